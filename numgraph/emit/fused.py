"""Prints a phase over blocks of rows: one share of it, and the joining of what the shares have summed up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph import dims
from numgraph.elements import View
from numgraph.emit.calls import ProductPrinter, product_of
from numgraph.emit.divided import JoinPrinter
from numgraph.emit.scalar import POINTERS
from numgraph.emit.statements import Body
from numgraph.emit.writer import Line
from numgraph.ir import Node
from numgraph.schedule.arrange import Block, Fused
from numgraph.schedule.fuse import is_narrow
from numgraph.schedule.items import Item


class FusedPrinter(ProductPrinter):
    """Prints the function `(address, share, shares)` of a phase: a loop over blocks of the share's rows."""

    divided: Fused

    def run(self) -> None:
        """Print what all blocks of rows use, and the loop over them."""
        fused = self.fused = self.divided
        # the statements that run for every block of rows; all others are before that loop or, `late`, behind it
        self.inside: list[Line] = []
        self.late: list[tuple[Item, str]] = []
        self.in_lanes = False
        self.operands: dict[Any, str] = {}
        self.say_own()
        super()._rows(fused)
        for block in fused.body:
            if block.items[0].kind == "product":
                self._product(block.items[0])
            else:
                self.loop(block, 0)
        rows, half = fused.rows, fused.rows // 2
        # the last block is never short: it costs as much to begin as others; one there is without rows, for sums are 0
        self.say(
            f"blocks = max((end - begin + {half - 1}) // {rows}, 1)", f"of {rows} rows, the last of up to {rows + half}"
        )
        self.say("for block in range(blocks):")
        self.say(f"    first = begin + block * {rows}")
        self.say(f"    last = first + {rows} if block + 1 < blocks else end")
        for line in self.inside:
            line.indent += 1
        self.body.lines += self.inside
        for item, accumulator in self.late:
            self._complete(item, accumulator)

    def loop(self, block: Block, level: int) -> None:
        """A loop over the rows of a block of them; loops inside it are as everywhere."""
        if level:
            super().loop(block, level)
            return
        accumulators = self._start_all(block, 0)
        self.late += accumulators.items()
        if block in self.fused.lanes:
            for part in block.body:
                self._lanes(part, accumulators)
            return
        lines = self._loop_lines(block, 0, "first, last", accumulators)
        self.inside += lines

    def _lanes(self, part: Block, accumulators: dict[Item, str]) -> None:
        """A part of a loop over rows, its loop over columns outside and that over rows inside."""
        starting = [item for item in part.items if item.kind == "reduce" and item.reduced == (1,)]
        for item in starting:
            form = item.node.op.reduce if item.node.op else None
            assert form is not None
            self._nest(None, accumulators, [item], self._start_value(form.start, item.node.dtype))
        self._nest(part.length, accumulators, part.items)

    def _nest(self, columns: Any, accumulators: dict[Item, str], items: Sequence[Item], start: str = "") -> None:
        """One nest. columns: their number, None where there is no such loop. start: what the items' buffers are set
        to."""
        inner = Body(1)
        inner.accumulators = dict(accumulators)
        outer: list[Line] = []
        after: list[Line] = []
        if columns is not None:
            j = self.counters[1] = self.names.counter(1)
            outer.append(Line(0, f"for {j} in range({self.value(self.graph.as_index(columns))}):"))
            for item in items:
                if item.kind == "reduce" and item.reduced == (0,) and len(item.loops) == 2:
                    self._keep(item, inner, outer, after)
        i = self.counters[0] = self.names.counter(0)
        # both loops' bodies are one
        self.bodies += [inner, inner]
        self.in_lanes = True
        for item in items:
            if start:
                pointer, subscript = self.subscript_at(item)
                self.say(f"{pointer}[{subscript}] = {start}", f"start of {item.node.name}", item.node)
            else:
                self.statement(item, 2)
        del self.bodies[-2:]
        self.in_lanes = False
        depth = len(outer[:1])
        outer[1:] = [Line(1, line.code, line.comment, line.lines) for line in outer[1:]]
        self.inside += [*outer, Line(depth, f"for {i} in range(first, last):")]
        self.inside += [Line(line.indent + depth + 1, line.code, line.comment, line.lines) for line in inner.lines]
        self.inside += [Line(depth, line.code, line.comment, line.lines) for line in after]

    def _keep(self, item: Item, inner: Body, before: list[Line], after: list[Line]) -> None:
        """A sum over rows for each column is a number while the rows of a block are added to it."""
        name = inner.accumulators[item] = self.names.fresh(None, "acc")
        pointer, subscript = self.subscript_at(item)
        truth = " != 0" if item.node.dtype == "bool" else ""
        stored = f"uint8({name})" if item.node.dtype == "bool" else name
        note = f"{item.node.name} {self.type_text(item.node)}"
        before.append(
            Line(0, f"{name} = {pointer}[{subscript}]{truth}", note, tuple(self.graph.lines.get(item.node, ())))
        )
        after.append(Line(0, f"{pointer}[{subscript}] = {stored}"))

    def _tail(self, item: Item) -> bool:
        if not self.in_lanes:
            return super()._tail(item)
        return bool(self.body.accumulators.get(item))

    # -- rows of one block --------------------------------------------------------------------------------------

    def declare(self, buffer: Node, code: str, note: str, origin: Node) -> None:
        """A pointer or an address, before the loop over blocks or, to the rows of one block, in it."""
        if self._is_local(buffer):
            self.inside.append(Line(0, code, note, tuple(self.graph.lines.get(origin, ()))))
        else:
            super().declare(buffer, code, note, origin)

    def address(self, buffer: Node) -> str:
        """The address of row 0; of what is kept for one block of rows, that from which these rows would be counted."""
        address = super().address(buffer)
        if not self._is_local(buffer):
            return address
        place = self.schedule.buffers[buffer]
        width = 1 if place.rows else dims.product(place.lengths(self.graph)[1:])
        row = width * np.dtype(buffer.dtype).itemsize
        return f"{address} - first * {row}"

    def _is_local(self, buffer: Node) -> bool:
        place = self.schedule.buffers.get(buffer)
        return place is not None and place.place == "rows"

    def _named(self, node: Node, view: View) -> str:
        """As of one product; operands of several have one name."""
        key = (view.buffer, view.offset)
        if key not in self.operands:
            self.operands[key] = super()._named(node, view)
        return self.operands[key]

    # -- products -----------------------------------------------------------------------------------------------

    def _product(self, item: Item) -> None:
        sources = item.node.inputs[1:3] if item.factors else item.node.inputs
        left, right = (self._named(v, view) for v, view in zip(sources, item.views, strict=True))
        if item in self.fused.sums:
            self._sum(item, left, right)
        else:
            self._row_product(item, left, right)

    def _row_product(self, item: Item, left: str, right: str) -> None:
        """The rows of a product."""
        node, (a, b) = item.node, item.views
        note = f"{self.buffer_name(node)} {self.type_text(node)}"
        target = self.names.fresh(self.graph.names.get(node), "out")
        self.declare(node, f"{target} = {self.address(node)}", note, node)
        columns, steps = right, self._steps(b.strides)
        if item in self.fused.copies:
            columns, steps = self._copied(item, right)
        n, k = self._length(node.dims[1]), self._length(a.lengths[1])
        a_steps = self._strides(a, 0)
        rows = self._from_first(left, a_steps[0], node)
        out = self._from_first(target, node.dims[1], node)
        alpha, beta = self._factors(item)
        operands = f"{rows}, {self._steps(a_steps)}, {columns}, {steps}"
        self._call_rows(
            node,
            self._near(a, 0),
            f"last - first, {n}, {k}, {alpha}, {operands}, {beta}, {out}, {n}",
            f"{target} = {left} @ {right}",
        )

    def _call_rows(self, node: Node, near: str, arguments: str, shown: str) -> None:
        name, slot = product_of(node, "_rows")
        self.imports.add(name)
        lines = tuple(self.graph.lines.get(node, ()))
        self.inside.append(Line(0, f"{name}(table[{slot}], {near}, own, {arguments})", shown, lines))

    def _near(self, view: View, rows: int) -> str:
        """Bytes from the rows of an operand to those of the next block, where those come from memory."""
        steps = view.strides
        far = view.buffer in self.schedule.buffers or steps[1 - rows] != 1
        near = self._length(self.fused.rows * steps[rows] * np.dtype(view.buffer.dtype).itemsize)
        return "0" if far else f"{near} if block + 1 < blocks else 0"

    def _from_first(self, address: str, stride: Any, node: Node) -> str:
        """The address of the block's first row. stride: between rows, in elements."""
        return f"{address} + first * {self._length(stride * np.dtype(node.dtype).itemsize)}"

    def _copied(self, item: Item, right: str) -> tuple[str, str]:
        """Copy a product's right side, so that its columns are contiguous, or its rows; returns (address, strides)."""
        view, dtype = item.views[1], item.node.dtype
        k, n = (self._length(v) for v in view.lengths)
        narrow = is_narrow(self.graph, item)
        name = self.names.fresh("columns" if narrow else "lines")
        source, to = self.names.fresh(None, "p"), self.names.fresh(None, "p")
        note = f"{right}.T {dtype}[{n},{k}]" if narrow else f"{right} {dtype}[{k},{n}]"
        self.say(f"{name} = {self.beyond('own', self.fused.copies[item])}", note)
        self.say(f"{source} = {POINTERS[dtype]}({right})")
        self.say(f"{to} = {POINTERS[dtype]}({name})")
        i, j = self.names.counter(0), self.names.counter(1)
        index = [self.graph.loop(0), self.graph.loop(1)]
        self.counters[0], self.counters[1] = i, j
        start = self.graph.as_index(index[0] * view.strides[0] + index[1] * view.strides[1])
        at = f"{j} * {k} + {i}" if narrow else f"{i} * {n} + {j}"
        self.say(f"for {i} in range({k}):")
        self.say(f"    for {j} in range({n}):")
        self.say(f"        {to}[{at}] = {source}[{self.value(start)}]", "contiguous now")
        return name, f"1, {k}" if narrow else f"{n}, 1"

    def _sum(self, item: Item, left: str, right: str) -> None:
        """Add the product of these rows to the share's sum, or its transpose, along whose rows vectors lie then."""
        node, (a, b) = item.node, item.views
        turned = self.fused.sums[item]
        target = self.names.fresh("added")
        m, n = (self._length(v) for v in node.dims)
        shape = f"{node.dtype}[{n},{m}]" if turned else f"{node.dtype}[{m},{n}]"
        self.say(f"{target} = {self.beyond('own', self.partial[node])}", f"of {left} @ {right} {shape}", node)
        a_steps, b_steps = self._strides(a, 1), self._strides(b, 0)
        x, y = self._from_first(left, a_steps[1], node), self._from_first(right, b_steps[0], node)
        operands = f"{x}, {self._steps(a_steps)}, {y}, {self._steps(b_steps)}"
        shown = f"{target} += {left} @ {right}"
        if turned:
            m, n = n, m
            operands = f"{y}, {self._steps(b_steps[::-1])}, {x}, {self._steps(a_steps[::-1])}"
            shown = f"{target} += ({left} @ {right}).T"
        alpha = "float32(1.0)" if node.dtype == "float32" else "1.0"
        beta = f"{node.dtype}(block > 0)"
        near = self._near(a, 1) if turned else self._near(b, 0)
        self._call_rows(node, near, f"{m}, {n}, last - first, {alpha}, {operands}, {beta}, {target}, {n}", shown)

    def _strides(self, view: View, rows: int) -> tuple[Any, ...]:
        """The strides of an operand, whose axis `rows` runs over the rows."""
        place = self.schedule.buffers.get(view.buffer)
        if place is None or not place.rows:
            return view.strides
        return (1, place.rows) if rows == 0 else (place.rows, 1)

    def _steps(self, strides: Sequence[Any]) -> str:
        return ", ".join(map(self._length, strides))


class FusedJoinPrinter(JoinPrinter, ProductPrinter):
    """Prints the function that completes the sums of a phase."""

    divided: Fused

    def _join(self, item: Item) -> None:
        if item.kind != "product":
            super()._join(item)
            return
        node, dtype = item.node, item.node.dtype
        turned = self.divided.sums[item]
        pointer = POINTERS[dtype]
        target, total, part = self.names.fresh("target"), self.names.fresh("total"), self.names.fresh("part")
        m, n = (self._length(v) for v in node.dims)
        count = self._length(dims.product(map(self.graph.find, node.dims)))
        base = self.beyond(self._behind_arena(), self.sharing.partial[item])
        step = self._size_text(self.schedule.private_bytes[self.stage])
        note = f"{self.buffer_name(node)} {self.type_text(node)}"
        self.say(f"{target} = {pointer}({self.address(node)})", note, node)
        self.say(f"{total} = {pointer}({base})", "of the shares")
        i, j = self.names.counter(0), self.names.counter(1)
        self.say("for share in range(1, shares):")
        self.say(f"    {part} = {pointer}({base} + share * {step})")
        self.say(f"    for {j} in range({count}):")
        self.say(f"        {total}[{j}] = {total}[{j}] + {part}[{j}]")
        alpha, beta = self._factors(item)
        j = self.names.counter(1)
        self.say(f"for {i} in range({m}):")
        self.say(f"    for {j} in range({n}):")
        at = f"{i} * {n} + {j}"
        value = f"{total}[{f'{j} * {m} + {i}' if turned else at}]"
        if item.factors:
            value = f"{beta} * {target}[{at}] + {alpha} * {value}"
        self.say(f"        {target}[{at}] = {value}", node.name, node)

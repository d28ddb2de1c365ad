"""A phase over blocks of rows: one share of it, and the joining of what the shares have summed up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph import dims
from numgraph.elements import View
from numgraph.emit.calls import ProductPrinter, product_of
from numgraph.emit.divided import SHARE, SHARES, JoinPrinter
from numgraph.emit.memory import OWN, as_read, as_stored, pointer_to
from numgraph.emit.printer import text
from numgraph.emit.statements import Body
from numgraph.ir import Node
from numgraph.loops.program import Assign, Call, Choice, Do, Expression, For, Name, Number, Statement, Store
from numgraph.loops.scalar import number
from numgraph.schedule.arrange import Block, Fused
from numgraph.schedule.fuse import is_narrow
from numgraph.schedule.items import Item

# Which block of rows it is, of how many, its rows, and those of the share.
BLOCK, BLOCKS, FIRST, LAST = Name("block"), Name("blocks"), Name("first"), Name("last")


class FusedPrinter(ProductPrinter):
    """Makes the function `(address, share, shares)` of a phase: a loop over blocks of the share's rows."""

    divided: Fused

    def run(self) -> None:
        """Add what all blocks of rows use, and the loop over them."""
        fused = self.fused = self.divided
        # the statements that run for every block of rows; all others are before that loop or, `late`, behind it
        self.inside: list[Statement] = []
        self.late: list[tuple[Item, Name | None]] = []
        self.in_lanes = False
        self.operands: dict[Any, Name] = {}
        self.say_own()
        begin, end = super()._rows(fused)
        for block in fused.body:
            if block.items[0].kind == "product":
                self._product(block.items[0])
            else:
                self.loop(block, 0)
        rows, half = fused.rows, fused.rows // 2
        # the last block is never short: it costs as much to begin as others; one there is without rows, for sums are 0
        count = Call("maximum", ((end - begin + (half - 1)) // rows, Number(1)))
        self.assign(BLOCKS, count, f"of {rows} rows, the last of up to {rows + half}")
        bounds = (
            Assign(FIRST, begin + BLOCK * rows),
            Assign(LAST, Choice((BLOCK + 1).compared("<", BLOCKS), FIRST + rows, end)),
        )
        self.add(For(BLOCK, (BLOCKS,), (*bounds, *self.inside)))
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
        self.inside.append(self._loop(block, 0, (FIRST, LAST), accumulators))

    def _lanes(self, part: Block, accumulators: dict[Item, Name | None]) -> None:
        """A part of a loop over rows, its loop over columns outside and that over rows inside."""
        for item in part.items:
            if item.kind == "reduce" and item.reduced == (1,):
                self._reset(item)
        self._nest(part, accumulators)

    def _reset(self, item: Item) -> None:
        """Set the rows' sums over columns to what they start with."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        start, dtype = self._start_value(form.start, item.node.dtype), item.node.dtype
        i, body = self._rows_of_block()
        element = self.written(item)
        origin = self.origin(item.node, f"start of {item.node.name}")
        self.add(Store(element.pointer, element.index, as_stored(start, dtype), **origin))
        del self.bodies[-2:]
        self.inside.append(For(i, (FIRST, LAST), tuple(body.statements)))

    def _rows_of_block(self) -> tuple[Name, Body]:
        """The counter of a loop over the rows, and its body, which is that of the loop around it, too."""
        i = self.counters[0] = Name(self.names.counter(0))
        body = Body(1)
        self.bodies += [body, body]
        return i, body

    def _nest(self, part: Block, accumulators: dict[Item, Name | None]) -> None:
        """One nest: a loop over columns, if there are some, and inside it one over the rows."""
        before: list[Statement] = []
        after: list[Statement] = []
        bounds: tuple[Expression, ...] = ()
        kept: dict[Item, Name | None] = {}
        if part.length is not None:
            self.counters[1] = Name(self.names.counter(1))
            bounds = (self.length(part.length),)
            for item in part.items:
                if item.kind == "reduce" and item.reduced == (0,) and len(item.loops) == 2:
                    kept[item] = self._keep(item, before, after)
        i, inner = self._rows_of_block()
        inner.accumulators = {**accumulators, **kept}
        self.in_lanes = True
        for item in part.items:
            self.statement(item, 2)
        del self.bodies[-2:]
        self.in_lanes = False
        rows = For(i, (FIRST, LAST), tuple(inner.statements))
        self.inside.append(For(self.counters[1], bounds, (*before, rows, *after)) if bounds else rows)

    def _keep(self, item: Item, before: list[Statement], after: list[Statement]) -> Name:
        """A sum over rows for each column is a number while the rows of a block are added to it."""
        dtype = item.node.dtype
        name = Name(self.names.fresh(None, "acc"), dtype)
        element = self.written(item)
        note = f"{item.node.name} {self.type_text(item.node)}"
        before.append(Assign(name, as_read(element, dtype), **self.origin(item.node, note)))
        after.append(Store(element.pointer, element.index, as_stored(name, dtype)))
        return name

    def _tail(self, item: Item) -> bool:
        if not self.in_lanes:
            return super()._tail(item)
        return bool(self.body.accumulators.get(item))

    # -- rows of one block --------------------------------------------------------------------------------------

    def declare(self, buffer: Node, name: str, value: Expression, note: str, origin: Node) -> Name:
        """A pointer or an address, before the loop over blocks or, to the rows of one block, in it."""
        if not self._is_local(buffer):
            return super().declare(buffer, name, value, note, origin)
        self.inside.append(Assign(Name(name, value.dtype), value, **self.origin(origin, note)))
        return Name(name, value.dtype)

    def address(self, buffer: Node) -> Expression:
        """The address of row 0; of what is kept for one block of rows, that from which these rows would be counted."""
        address = super().address(buffer)
        if not self._is_local(buffer):
            return address
        place = self.schedule.buffers[buffer]
        width = 1 if place.rows else dims.product(place.lengths(self.graph)[1:])
        return address - FIRST * (width * np.dtype(buffer.dtype).itemsize)

    def _is_local(self, buffer: Node) -> bool:
        place = self.schedule.buffers.get(buffer)
        return place is not None and place.place == "rows"

    def _operand(self, node: Node, view: View) -> Name:
        """As of one product; operands of several have one name."""
        key = (view.buffer, view.offset)
        if key not in self.operands:
            self.operands[key] = super()._operand(node, view)
        return self.operands[key]

    # -- products -----------------------------------------------------------------------------------------------

    def _product(self, item: Item) -> None:
        sources = item.node.inputs[1:3] if item.factors else item.node.inputs
        left, right = (self._operand(v, view) for v, view in zip(sources, item.views, strict=True))
        if item in self.fused.sums:
            self._sum(item, left, right)
        else:
            self._row_product(item, left, right)

    def _row_product(self, item: Item, left: Name, right: Name) -> None:
        """The rows of a product."""
        node, (a, b) = item.node, item.views
        note = f"{self.buffer_name(node)} {self.type_text(node)}"
        name = self.names.fresh(self.graph.names.get(node), "out")
        target = self.declare(node, name, self.address(node), note, node)
        columns, steps = right, self._steps(b.strides)
        if item in self.fused.copies:
            columns, steps = self._copied(item, right)
        n, k = self._length(node.dims[1]), self._length(a.lengths[1])
        a_steps = self._strides(a, 0)
        rows = self._from_first(left, a_steps[0], node)
        out = self._from_first(target, node.dims[1], node)
        alpha, beta = self._factors(item)
        operands = (rows, *self._steps(a_steps), columns, *steps)
        arguments = (LAST - FIRST, n, k, alpha, *operands, beta, out, n)
        self._call_rows(node, self._near(a, 0), arguments, f"{target.text} = {left.text} @ {right.text}")

    def _call_rows(self, node: Node, near: Expression, arguments: Sequence[Expression], shown: str) -> None:
        name, place = product_of(node, "_rows")
        self.imports.add(name)
        self.inside.append(Do(Call(name, (self.layout.slot(place), near, OWN, *arguments)), **self.origin(node, shown)))

    def _near(self, view: View, rows: int) -> Expression:
        """Bytes from the rows of an operand to those of the next block, where those come from memory."""
        steps = view.strides
        far = view.buffer in self.schedule.buffers or steps[1 - rows] != 1
        near = self._length(self.fused.rows * steps[rows] * np.dtype(view.buffer.dtype).itemsize)
        return Number(0) if far else Choice((BLOCK + 1).compared("<", BLOCKS), near, Number(0))

    def _from_first(self, address: Name, stride: Any, node: Node) -> Expression:
        """The address of the block's first row. stride: between rows, in elements."""
        return address + FIRST * self._length(stride * np.dtype(node.dtype).itemsize)

    def _copied(self, item: Item, right: Name) -> tuple[Name, tuple[Expression, ...]]:
        """Copy a product's right side, so that its columns are contiguous, or its rows; returns (address, strides)."""
        view, dtype = item.views[1], item.node.dtype
        k, n = (self._length(v) for v in view.lengths)
        narrow = is_narrow(self.graph, item)
        columns = self.names.fresh("columns" if narrow else "lines")
        source, to = self.names.fresh(None, "p"), self.names.fresh(None, "p")
        shown = (f"{right.text}.T", n, k) if narrow else (right.text, k, n)
        note = f"{shown[0]} {dtype}[{text(shown[1])},{text(shown[2])}]"
        name = self.assign(columns, self.beyond(OWN, self.fused.copies[item]), note)
        read = self.assign(source, pointer_to(right, dtype))
        written = self.assign(to, pointer_to(name, dtype))
        i, j = Name(self.names.counter(0)), Name(self.names.counter(1))
        index = [self.graph.loop(0), self.graph.loop(1)]
        self.counters[0], self.counters[1] = i, j
        start = self.length(index[0] * view.strides[0] + index[1] * view.strides[1])
        at = j * k + i if narrow else i * n + j
        copied = Store(written, at, read[start], note="contiguous now")
        self.add(For(i, (k,), (For(j, (n,), (copied,)),)))
        return name, (Number(1), k) if narrow else (n, Number(1))

    def _sum(self, item: Item, left: Name, right: Name) -> None:
        """Add the product of these rows to the share's sum, or its transpose, along whose rows vectors lie then."""
        node, (a, b) = item.node, item.views
        turned = self.fused.sums[item]
        added = self.names.fresh("added")
        m, n = (self._length(v) for v in node.dims)
        shape = ",".join(map(text, (n, m) if turned else (m, n)))
        note = f"of {left.text} @ {right.text} {node.dtype}[{shape}]"
        target = self.assign(added, self.beyond(OWN, self.partial[node]), note, node)
        a_steps, b_steps = self._strides(a, 1), self._strides(b, 0)
        x, y = self._from_first(left, a_steps[1], node), self._from_first(right, b_steps[0], node)
        operands = (x, *self._steps(a_steps), y, *self._steps(b_steps))
        shown = f"{target.text} += {left.text} @ {right.text}"
        if turned:
            m, n = n, m
            operands = (y, *self._steps(b_steps[::-1]), x, *self._steps(a_steps[::-1]))
            shown = f"{target.text} += ({left.text} @ {right.text}).T"
        beta = Call(node.dtype, (BLOCK.compared(">", 0),), node.dtype)
        near = self._near(a, 1) if turned else self._near(b, 0)
        arguments = (m, n, LAST - FIRST, number(1.0, node.dtype), *operands, beta, target, n)
        self._call_rows(node, near, arguments, shown)

    def _strides(self, view: View, rows: int) -> tuple[Any, ...]:
        """The strides of an operand, whose axis `rows` runs over the rows."""
        place = self.schedule.buffers.get(view.buffer)
        if place is None or not place.rows:
            return view.strides
        return (1, place.rows) if rows == 0 else (place.rows, 1)

    def _steps(self, strides: Sequence[Any]) -> tuple[Expression, ...]:
        return tuple(map(self._length, strides))


class FusedJoinPrinter(JoinPrinter, ProductPrinter):
    """Makes the function that completes the sums of a phase."""

    divided: Fused

    def _join(self, item: Item) -> None:
        if item.kind != "product":
            super()._join(item)
            return
        node, dtype = item.node, item.node.dtype
        turned = self.divided.sums[item]
        names = [self.names.fresh(wish) for wish in ("target", "total", "part")]
        m, n = (self._length(v) for v in node.dims)
        count = self._length(dims.product(map(self.graph.find, node.dims)))
        base = self.beyond(self._behind_arena(), self.sharing.partial[item])
        step = self._size(self.schedule.private_bytes[self.stage])
        note = f"{self.buffer_name(node)} {self.type_text(node)}"
        target = self.assign(names[0], pointer_to(self.address(node), dtype), note, node)
        total = self.assign(names[1], pointer_to(base, dtype), "of the shares")
        i, j = Name(self.names.counter(0)), Name(self.names.counter(1))
        part = Name(names[2], target.dtype)
        added = For(j, (count,), (Store(total, j, total[j] + part[j]),))
        parts = Assign(part, pointer_to(base + SHARE * step, dtype))
        self.add(For(SHARE, (Number(1), SHARES), (parts, added)))
        alpha, beta = self._factors(item)
        j = Name(self.names.counter(1))
        at = i * n + j
        value = total[j * m + i if turned else at]
        if item.factors:
            value = beta * target[at] + alpha * value
        stored = Store(target, at, value, **self.origin(node, node.name))
        self.add(For(i, (m,), (For(j, (n,), (stored,)),)))

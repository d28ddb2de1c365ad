"""A phase over tiles of rows: one chunk of it, and the joining of what the chunks have summed up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.elements import View
from numgraph.ir import Node
from numgraph.lengths import dims
from numgraph.loops.build import Accumulators, LoopBuilder, start_value
from numgraph.loops.calls import Products, product_of
from numgraph.loops.chunks import CHUNK, CHUNKS, add_join, rows_of_chunk
from numgraph.loops.memory import FIRST, OWN, HostMemory, pointer_to
from numgraph.loops.program import Assign, Call, Choice, Do, Expression, For, Name, Number, Statement, Store
from numgraph.loops.scalar import number
from numgraph.loops.shown import text
from numgraph.loops.values import Body, Values, as_read, as_stored
from numgraph.schedule.arrange import LoopNest, Tiled
from numgraph.schedule.fuse import is_narrow
from numgraph.schedule.tasks import Product, Reduction, Task

# Which tile it is, of how many, and the end of its rows.
TILE, TILES, LAST = Name("tile"), Name("tiles"), Name("last")


class Tiles:
    """A loop over tiles of a chunk's rows, with products and loops over these rows in it."""

    def __init__(self, values: Values, memory: HostMemory, tiled: Tiled) -> None:
        self.values = values
        self.memory = memory
        self.tiled = tiled
        self.builder = LoopBuilder(values)
        self.products = Products(values, memory)
        # the statements that run for every tile; all others are before that loop or, `late`, behind it
        self.inside: list[Statement] = []
        self.late: Accumulators = {}
        memory.tile = self.inside

    def add(self, stage: int) -> None:
        """Add what all tiles use, and the loop over them."""
        values, tiled = self.values, self.tiled
        self.memory.say_own(stage, CHUNK)
        begin, end = rows_of_chunk(values, tiled)
        for nest in tiled.body:
            if isinstance(nest.tasks[0], Product):
                self._product(nest.tasks[0])
            else:
                self._loop(nest)
        rows, half = tiled.rows, tiled.rows // 2
        # the last tile is never short: it costs as much to begin as others; one there is without rows, for sums are 0
        count = Call("maximum", ((end - begin + (half - 1)) // rows, Number(1)))
        values.assign(TILES, count, f"of {rows} rows, the last of up to {rows + half}")
        bounds = (
            Assign(FIRST, begin + TILE * rows),
            Assign(LAST, Choice((TILE + 1).compared("<", TILES), FIRST + rows, end)),
        )
        values.add(For(TILE, (TILES,), (*bounds, *self.inside)))
        self.builder.complete(self.late)

    # -- loops --------------------------------------------------------------------------------------------------

    def _loop(self, nest: LoopNest) -> None:
        """A loop over the rows of a tile; loops inside it are as everywhere."""
        accumulators = self.builder.started(nest, 0)
        self.late |= accumulators
        if nest not in self.tiled.lanes:
            self.inside += self.builder.parts(nest, 0, (FIRST, LAST), accumulators)
            return
        for part in nest.body:
            for task in part.reductions:
                if task.reduced == (1,):
                    self._reset(task)
            self._columns(part, accumulators)

    def _reset(self, task: Reduction) -> None:
        """Set the rows' sums over columns to what they start with."""
        values, dtype = self.values, task.node.dtype
        start = as_stored(start_value(task.form.start, dtype), dtype)
        i, body = self._rows()
        element = self.builder.written(task)
        values.add(
            Store(element.pointer, element.index, start, **values.origin(task.node, f"start of {task.node.name}"))
        )
        self.inside.append(self._closed(i, body))

    def _rows(self) -> tuple[Name, Body]:
        """The counter of a loop over the rows, and its body, which is that of the loop around it, too."""
        body = Body()
        self.values.bodies += [body, body]
        return self.values.counter(0), body

    def _closed(self, counter: Name, body: Body) -> For:
        del self.values.bodies[-2:]
        return For(counter, (FIRST, LAST), tuple(body.statements))

    def _columns(self, part: LoopNest, accumulators: Accumulators) -> None:
        """A part of a loop over rows, its loop over columns, if there is one, outside and that over rows inside."""
        before: list[Statement] = []
        after: list[Statement] = []
        bounds: tuple[Expression, ...] = ()
        kept: Accumulators = {}
        if part.length is not None:
            self.values.counter(1)
            bounds = (self.values.whole(part.length),)
            for task in part.reductions:
                if task.reduced == (0,) and len(task.loops) == 2:
                    kept[task] = self._keep(task, before, after)
        i, inner = self._rows()
        inner.accumulators = {**accumulators, **kept}
        for each in part.tasks:
            self.builder.task(each)
        rows = self._closed(i, inner)
        self.inside.append(For(self.values.counters[1], bounds, (*before, rows, *after)) if bounds else rows)

    def _keep(self, task: Reduction, before: list[Statement], after: list[Statement]) -> Name:
        """A sum over rows for each column is a number while the rows of a tile are added to it."""
        values, dtype = self.values, task.node.dtype
        name = Name(values.names.fresh(None, "acc"), dtype)
        element = self.builder.written(task)
        before.append(Assign(name, as_read(element, dtype), **values.origin(task.node, values.notes.op(task.node))))
        after.append(Store(element.pointer, element.index, as_stored(name, dtype)))
        return name

    # -- products -----------------------------------------------------------------------------------------------

    def _product(self, task: Task) -> None:
        left, right = self.products.sides(task)
        (self._sum if task in self.tiled.sums else self._row_product)(task, left, right)

    def _row_product(self, task: Task, left: Name, right: Name) -> None:
        """The rows of a product."""
        values, node, (a, b) = self.values, task.node, task.views
        name = values.names.fresh(values.graph.names.get(node), "out")
        target = self.memory.declare(node, name, self.memory.address(node), values.notes.array(node), node)
        columns, steps = right, self._steps(b.strides)
        if task in self.tiled.copies:
            columns, steps = self._copied(task, right)
        n, k = values.length(node.dims[1]), values.length(a.lengths[1])
        a_steps = self._strides(a, 0)
        rows = self._from_first(left, a_steps[0], node)
        out = self._from_first(target, node.dims[1], node)
        alpha, beta = self.products.factors(task)
        operands = (rows, *self._steps(a_steps), columns, *steps)
        arguments = (LAST - FIRST, n, k, alpha, *operands, beta, out, n)
        self._call(node, self._near(a, 0), arguments, f"{target.text} = {left.text} @ {right.text}")

    def _call(self, node: Node, near: Expression, arguments: Sequence[Expression], shown: str) -> None:
        values = self.values
        name, place = product_of(node, "_rows")
        values.imports.add(name)
        call = Call(name, (values.layout.slot(place), near, OWN, *arguments))
        self.inside.append(Do(call, **values.origin(node, shown)))

    def _near(self, view: View, rows: int) -> Expression:
        """Bytes from the rows of an operand to those of the next tile, where those come from memory."""
        steps = view.strides
        far = view.buffer in self.values.schedule.buffers or steps[1 - rows] != 1
        near = self.values.length(self.tiled.rows * steps[rows] * np.dtype(view.buffer.dtype).itemsize)
        return Number(0) if far else Choice((TILE + 1).compared("<", TILES), near, Number(0))

    def _from_first(self, address: Name, stride: Any, node: Node) -> Expression:
        """The address of the tile's first row. stride: between rows, in elements."""
        return address + FIRST * self.values.length(stride * np.dtype(node.dtype).itemsize)

    def _copied(self, task: Task, right: Name) -> tuple[Name, tuple[Expression, ...]]:
        """Copy a product's right side, so that its columns are contiguous, or its rows; returns (address, strides)."""
        values, view, dtype = self.values, task.views[1], task.node.dtype
        k, n = map(values.length, view.lengths)
        narrow = is_narrow(values.graph, task)
        columns = values.names.fresh("columns" if narrow else "lines")
        source, to = values.names.fresh(None, "p"), values.names.fresh(None, "p")
        shown = (f"{right.text}.T", n, k) if narrow else (right.text, k, n)
        note = f"{shown[0]} {dtype}[{text(shown[1])},{text(shown[2])}]"
        name = values.assign(columns, self.memory.beyond(OWN, self.tiled.copies[task]), note)
        read = values.assign(source, pointer_to(right, dtype))
        written = values.assign(to, pointer_to(name, dtype))
        i, j = values.counter(0), values.counter(1)
        index = [values.graph.loop(0), values.graph.loop(1)]
        start = values.whole(index[0] * view.strides[0] + index[1] * view.strides[1])
        at = j * k + i if narrow else i * n + j
        copied = Store(written, at, read[start], note="contiguous now")
        values.add(For(i, (k,), (For(j, (n,), (copied,)),)))
        return name, (Number(1), k) if narrow else (n, Number(1))

    def _sum(self, task: Task, left: Name, right: Name) -> None:
        """Add the product of these rows to the chunk's sum, or its transpose, along whose rows vectors lie then."""
        values, node, (a, b) = self.values, task.node, task.views
        turned = self.tiled.sums[task]
        added = values.names.fresh("added")
        m, n = map(values.length, node.dims)
        shape = ",".join(map(text, (n, m) if turned else (m, n)))
        note = f"of {left.text} @ {right.text} {node.dtype}[{shape}]"
        target = values.assign(added, self.memory.beyond(OWN, self.memory.own[node]), note, node)
        a_steps, b_steps = self._strides(a, 1), self._strides(b, 0)
        x, y = self._from_first(left, a_steps[1], node), self._from_first(right, b_steps[0], node)
        operands = (x, *self._steps(a_steps), y, *self._steps(b_steps))
        shown = f"{target.text} += {left.text} @ {right.text}"
        if turned:
            m, n = n, m
            operands = (y, *self._steps(b_steps[::-1]), x, *self._steps(a_steps[::-1]))
            shown = f"{target.text} += ({left.text} @ {right.text}).T"
        beta = Call(node.dtype, (TILE.compared(">", 0),), node.dtype)
        near = self._near(a, 1) if turned else self._near(b, 0)
        arguments = (m, n, LAST - FIRST, number(1.0, node.dtype), *operands, beta, target, n)
        self._call(node, near, arguments, shown)

    def _strides(self, view: View, rows: int) -> tuple[Any, ...]:
        """The strides of an operand, whose axis `rows` runs over the rows."""
        place = self.values.schedule.buffers.get(view.buffer)
        if place is None or not place.rows:
            return view.strides
        return (1, place.rows) if rows == 0 else (place.rows, 1)

    def _steps(self, strides: Sequence[Any]) -> tuple[Expression, ...]:
        return tuple(map(self.values.length, strides))


def add_tiles_join(values: Values, memory: HostMemory, task: Task, tiled: Tiled, stage: int) -> None:
    """What completes a sum of a phase: that of a product, or of a loop."""
    if isinstance(task, Reduction):
        add_join(values, memory, task, tiled, stage)
        return
    schedule, node, dtype = values.schedule, task.node, task.node.dtype
    turned = tiled.sums[task]
    names = [values.names.fresh(wish) for wish in ("target", "total", "part")]
    m, n = map(values.length, node.dims)
    count = values.length(dims.product(map(values.graph.find, node.dims)))
    base = memory.beyond(memory.behind_arena(stage), schedule.division[tiled].partial[task])
    step = memory.place(schedule.private_bytes[stage])
    target = values.assign(names[0], pointer_to(memory.address(node), dtype), values.notes.array(node), node)
    total = values.assign(names[1], pointer_to(base, dtype), "of the chunks")
    i, j = values.counter(0), values.counter(1)
    part = Name(names[2], target.dtype)
    added = For(j, (count,), (Store(total, j, total[j] + part[j]),))
    parts = Assign(part, pointer_to(base + CHUNK * step, dtype))
    values.add(For(CHUNK, (Number(1), CHUNKS), (parts, added)))
    alpha, beta = Products(values, memory).factors(task)
    j = values.counter(1)
    at = i * n + j
    value = total[j * m + i if turned else at]
    if task.factors:
        value = beta * target[at] + alpha * value
    stored = Store(target, at, value, **values.origin(node, node.name))
    values.add(For(i, (m,), (For(j, (n,), (stored,)),)))

"""Phases over tiles of rows: loops and products over the same rows are done for one tile of rows after the other.

A minibatch is then read from memory once: while a tile of its rows is in the cache, it is multiplied by the weights,
the loops over these rows run, and `x.T @ dz` of these rows is added to an accumulator. What only this phase needs of an
intermediate result are the rows of one tile. Sums over all rows are complete when all tiles are done.

Three kinds of loop nests may be parts of such a phase, all over the same rows:

* a loop whose rows may be computed by different threads;
* a product whose rows are these rows, `x @ W`, where W is not made in the phase and small enough to stay in the cache;
* a product that sums over these rows, `x.T @ dz`, whose result is small enough; it is complete after the phase.

What none of them depends on moves before the phase, the rest behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numgraph.elements import View
from numgraph.ir import Graph, Node
from numgraph.lengths import dims
from numgraph.lengths.known import full_length
from numgraph.lengths.sources import scalar_nodes
from numgraph.schedule.arrange import Arranger, LoopNest, Tiled
from numgraph.schedule.buffers import Buffer
from numgraph.schedule.chunks import obstacle
from numgraph.schedule.tasks import Elementwise, IndexCheck, Product, Reduction, Task
from numgraph.types import FLOATS

# Bytes of the weights, or of the sums, that may stay in the cache beside a tile of rows, and of that tile, about: the
# second-level cache of most processors has 512 KiB and more.
RESIDENT = 128 * 1024
TILE_BYTES = 160 * 1024
# Rows of a tile (the last one has up to half as many more).
MOST_ROWS, LEAST_ROWS = 32, 8
# Rows from which a phase is worth what each chunk adds for itself: a step of softmax regression (784 features, 10
# classes) on two threads is a tenth slower with it at 100 rows, and a tenth faster at 200.
WORTH_ROWS = 160
# Lines of a phase, about: Numba's typing time grows faster than linearly with a function's length.
MAX_LINES = 192
# Columns up to which the innermost loop runs over the rows of a tile rather than over its columns.
SHORT = 32
# Columns up to which a product goes along the summed axis, of this length at least.
NARROW, LONG = 12, 64


class Fuser:
    """Finds the phases of a program of one stage. buffers: of every task."""

    def __init__(self, graph: Graph, arranger: Arranger, buffers: dict[Node, Buffer]) -> None:
        self.graph = graph
        self.arranger = arranger
        self.buffers = buffers
        # why a product is not part of a phase with loops over its rows
        self.why: dict[Task, str] = {}

    def run(self, nests: Sequence[LoopNest]) -> list[LoopNest]:
        """The nests in an order in which those of a phase are one."""
        rest, done = list(nests), []
        while rest:
            found = self._phase(rest)
            if found is None:
                done.append(rest.pop(0))
                continue
            before, tiled, rest = found
            done += [*before, tiled]
        return done

    def _phase(self, nests: list[LoopNest]) -> tuple[list[LoopNest], Tiled, list[LoopNest]] | None:
        """(what moves before it, the phase, what comes after it), of a phase that begins with the first nest."""
        length = self._length(nests[0])
        if length is None or not self._worth(length, nests):
            return None
        tiled = Tiled(length)
        before: list[LoopNest] = []
        after: list[LoopNest] = []
        for nest in nests:
            if not self._depends(nest, after) and self._joins(nest, tiled):
                tiled.body.append(nest)
                tiled.tasks += nest.tasks
                tiled.scalars |= nest.scalars
            elif self._depends(nest, [tiled, *after]):
                after.append(nest)
            else:
                before.append(nest)
        kinds = {isinstance(nest.tasks[0], Product) for nest in tiled.body}
        if len(kinds) < 2 or len(tiled.sums) == len(tiled.body):
            return None
        self._settle(tiled)
        return before, tiled, after

    def _length(self, nest: LoopNest) -> Any:
        """The rows of a phase that might begin with a nest."""
        if isinstance(nest.tasks[0], Product):
            node = nest.tasks[0].node
            return node.dims[0] if len(node.dims) == 2 else None
        return None if obstacle(nest) else nest.length

    def _worth(self, length: Any, nests: Sequence[LoopNest]) -> bool:
        """Whether there are rows enough, as far as that is known before the call."""
        most = full_length(length)
        task = nests[0].tasks[0]
        if most is None and isinstance(task, Product):
            loops = [b for b in nests[1:] if b.length is not None and self.graph.equal_lengths(b.length, length)]
            if loops:
                self.why[task] = "how many rows there are is known only at the call"
        return most is not None and most >= WORTH_ROWS

    def _depends(self, nest: LoopNest, others: Iterable[LoopNest]) -> bool:
        tasks = {task for other in others for task in other.tasks}
        return any(not tasks.isdisjoint(self.arranger.before(task)) for task in nest.tasks)

    # -- parts ----------------------------------------------------------------------------------------------------

    def _joins(self, nest: LoopNest, tiled: Tiled) -> bool:
        if tiled.lines + nest.lines > MAX_LINES:
            return False
        task = nest.tasks[0]
        if not isinstance(task, Product):
            if obstacle(nest) or not self.graph.equal_lengths(nest.length, tiled.length):
                return False
            return all(self._by_rows(task, tiled) for task in nest.tasks)
        if len(task.node.dims) != 2 or task.node.dtype not in FLOATS:
            return False
        if self._is_row_product(task, tiled):
            return True
        if self._is_sum(task, tiled):
            m, n = (self.graph.find(v) for v in task.node.dims)
            tiled.sums[task] = n < m
            return True
        return False

    def _is_row_product(self, task: Task, tiled: Tiled) -> bool:
        a, b = task.views
        if task.factors or task.last or not self.graph.equal_lengths(task.node.dims[0], tiled.length):
            return False
        if self._made_in(b.buffer, tiled) or not self._goes_by_rows(a, 0, tiled):
            return False
        why = self._too_large(task, b.lengths, "weights")
        if why:
            self.why[task] = why
        return not why

    def _is_sum(self, task: Task, tiled: Tiled) -> bool:
        a, b = task.views
        if not self.graph.equal_lengths(a.lengths[-1], tiled.length):
            return False
        if not (self._goes_by_rows(a, 1, tiled) and self._goes_by_rows(b, 0, tiled)):
            return False
        base = task.node.inputs[0] if task.factors else None
        if (base is not None and self._made_in(base, tiled)) or self._is_read(task.node, tiled):
            return False
        why = self._too_large(task, task.node.dims, "sums")
        if why:
            self.why[task] = why
        return not why

    def _too_large(self, task: Task, lengths: Sequence[Any], what: str) -> str:
        known = [self.graph.find(n) for n in lengths]
        # each of them: none and any number are none
        if not all(isinstance(n, int) for n in known):
            return f"how large its {what} are is known only at the call"
        size = dims.bytes_of(known, task.node.dtype)
        return f"its {what}, {size:,} bytes, would not stay in the cache" if size > RESIDENT else ""

    def _made_in(self, node: Node, tiled: Tiled) -> bool:
        return any(task.node is node for task in tiled.tasks if task.writes)

    def _is_read(self, node: Node, tiled: Tiled) -> bool:
        return any(load.inputs[0] is node for task in tiled.tasks for load in task.loads)

    def _goes_by_rows(self, view: View, axis: int, tiled: Tiled) -> bool:
        """Whether row i of an operand (along its axis) is row i of what the phase makes, or not made in it at all."""
        maker = next((task for task in tiled.tasks if task.writes and task.node is view.buffer), None)
        if maker is None:
            return True
        width = 1
        for n in map(self.graph.find, view.buffer.dims[1:]):
            if not isinstance(n, int):
                return False
            width *= n
        stride = view.strides[axis]
        by_rows = maker not in tiled.sums and self._writes_rows(maker)
        return by_rows and isinstance(view.offset, int) and isinstance(stride, int) and stride == width

    def _writes_rows(self, task: Task) -> bool:
        return isinstance(task, Product) or (
            isinstance(task, Elementwise | Reduction)
            and 0 not in task.reduced
            and bool(task.loops)
            and task.level_axes[0] == 0
        )

    def _by_rows(self, task: Task, tiled: Tiled) -> bool:
        """Whether a task of a loop may run right after the same rows of what it depends on in the phase."""
        members = set(tiled.tasks)
        for other in self.arranger.before(task):
            if other not in members:
                continue
            if isinstance(other, Product):
                loads = [load for load in task.loads if load.inputs[0] is other.node]
                if other in tiled.sums or not loads:
                    return False
                rows = [v.inputs[1] for v in loads if not v.attrs]
                if len(rows) < len(loads) or not all(v.kind == "loop" and v.attrs[0] == 0 for v in rows):
                    return False
            elif not self.arranger.may_share(task, other, 0):
                return False
        return True

    # -- memory ---------------------------------------------------------------------------------------------------

    def _settle(self, tiled: Tiled) -> None:
        """Which results are kept for one tile of rows only, and how many rows that is."""
        inside = set(tiled.tasks)
        read_outside: set[Node] = set()
        for task in {*self.arranger.by_node.values(), *self.arranger.checks} - inside:
            read_outside.update(task.sources)
        width = 0
        for task in tiled.tasks:
            if isinstance(task, IndexCheck) or task in tiled.sums or not self._writes_rows(task):
                continue
            place = self.buffers[task.node]
            row = dims.bytes_of(map(self.graph.find, task.node.dims[1:]), task.node.dtype)
            if place.place == "arena" and 0 in place.axes and isinstance(row, int) and task.node not in read_outside:
                tiled.local.append(task.node)
                width += row
        width += sum(self._row_bytes(tiled).values())
        rows = min(max(TILE_BYTES // max(width, 1), LEAST_ROWS), MOST_ROWS)
        tiled.rows = rows // LEAST_ROWS * LEAST_ROWS
        for task in tiled.tasks:
            if isinstance(task, Product) and task not in tiled.sums:
                b = task.views[1]
                if is_narrow(self.graph, task) or not (isinstance(b.strides[-1], int) and b.strides[-1] == 1):
                    tiled.copies[task] = 0
        tiled.lanes = [nest for nest in tiled.body if self._has_lanes(nest, tiled)]
        for task in (task for nest in tiled.lanes for task in nest.tasks):
            if isinstance(task, IndexCheck) or 0 in task.reduced:
                continue
            place = self.buffers[task.node]
            if place.place == "register" or self._is_row(place) or task.node in tiled.local:
                columns = tuple(a for a in task.level_axes if a is not None)
                place.place, place.rows, place.axes = "rows", tiled.room, tuple(sorted(columns))
                if task.node not in tiled.local:
                    tiled.local.append(task.node)

    def _is_row(self, place: Buffer) -> bool:
        """Whether a buffer holds one row, for one round of a loop."""
        return place.place == "arena" and 0 not in place.axes

    def _has_lanes(self, nest: LoopNest, tiled: Tiled) -> bool:
        """Whether the vectors of a loop lie along the rows: it has short rows, of what is kept for one tile only."""
        made = {task.node for part in tiled.body for task in part.tasks if task.writes}
        return all(self._is_short(task, made, tiled) for task in nest.tasks)

    def _is_short(self, task: Task, made: set[Node], tiled: Tiled) -> bool:
        """Whether that is so for a task of a loop."""
        columns = [self.graph.find(n) for n in task.loops[1:]]
        if not isinstance(task, Elementwise | Reduction | IndexCheck) or len(columns) > 1:
            return False
        if not all(isinstance(n, int) and n <= SHORT for n in columns):
            return False
        form = task.form if isinstance(task, Reduction) else None
        if form is not None and form.position:
            return False
        if task.writes and 0 not in task.reduced:
            place = self.buffers[task.node]
            if task.level_axes[0] != 0:
                return False
            if place.place != "register" and task.node not in tiled.local and 0 in place.axes and len(place.axes) > 1:
                return False
        # what is not made here and has rows of its own lies row by row
        outside = [load.inputs[1:] for load in task.loads if load.inputs[0] not in made]
        return not any({v.attrs[0] for v in scalar_nodes(index) if v.kind == "loop"} == {0, 1} for index in outside)

    def _row_bytes(self, tiled: Tiled) -> dict[Node, int]:
        """Bytes of a row of what the products read of the rows and the phase does not make."""
        found: dict[Node, int] = {}
        for task in tiled.tasks:
            for view in task.views:
                lengths = [self.graph.find(n) for n in view.lengths]
                rows = [n for n in lengths if self.graph.equal_lengths(n, tiled.length)]
                others = [n for n in lengths if n not in rows and isinstance(n, int)]
                if rows and others and view.buffer not in tiled.local:
                    found[view.buffer] = dims.bytes_of(others[:1], view.buffer.dtype)
        return found


def is_narrow(graph: Graph, task: Task) -> bool:
    """Whether vectors of a product lie along the summed axis (kernels/dots.py): it has few columns and long rows."""
    k, n = (graph.find(v) for v in task.views[1].lengths)
    stride = task.views[0].strides[-1]
    return bool(n <= NARROW and k >= LONG and isinstance(stride, int) and stride == 1)


__all__ = ["Fuser", "Tiled", "is_narrow"]

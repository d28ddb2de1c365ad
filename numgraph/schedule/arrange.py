"""Rows and barriers: tasks become loop nests, each one pass over a loop in which everything fuses that may.

Two tasks share a loop when one reads of the other only the element of the same iteration, and that element is
complete there. A reduction over the loop, a scatter, a kernel or an index check is complete only after the loop: a
barrier. The rule is the same at every level, so a row-wise softmax is one loop over rows around three loops over
columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from numgraph.ir import LEAVES, Graph, Node
from numgraph.lengths import dims
from numgraph.lengths.known import counts_from_the_end
from numgraph.schedule.cuts import Repeats
from numgraph.schedule.gridproduct import TILED, maker_of
from numgraph.schedule.neighbours import ShortRows
from numgraph.schedule.tasks import (
    Elementwise,
    IndexCheck,
    KernelCall,
    Product,
    Reduction,
    ScanTask,
    Scattering,
    Task,
    writers,
)

# Statements in one outermost loop; Numba's typing time grows faster than linearly with a function's length.
MAX_BODY = 96


@dataclass(eq=False)
class LoopNest:
    """One loop (`length` is set) around further nests, or tasks that run one after the other at this level. joined:
    on a grid, how the launch of a product before it does it, too: "part", each block the part of what it has made,
    "beside", all threads together, or "".
    """

    length: Any
    tasks: list[Task] = field(default_factory=list)
    body: list[LoopNest] = field(default_factory=list)
    scalars: set[Node] = field(default_factory=set)
    joined: str = ""

    def add(self, task: Task) -> None:
        """Put a task into the nest."""
        self.tasks.append(task)
        self.scalars.update(v for v in task.scalars if v.kind in ("op", "load"))

    @property
    def reductions(self) -> list[Reduction]:
        """Those of its tasks that are."""
        return [task for task in self.tasks if isinstance(task, Reduction)]

    @property
    def lines(self) -> int:
        """About how many lines the nest is printed as: its operations, and loops, pointers and stores."""
        return len(self.scalars) + 5 * len(self.tasks)

    @property
    def statements(self) -> int:
        """Operations in the nest; what several tasks need counts once."""
        return len(self.scalars)


@dataclass(eq=False)
class Tiled(LoopNest):
    """A phase over tiles of rows; `body` has its parts, in order.

    rows: of a tile. sums: the products that sum over the rows, and whether their transpose is accumulated. copies:
    products whose right side is copied first, so that it is contiguous, with the place of the copy in the chunk's own
    memory. local: what is kept for the rows of one tile only. lanes: loops whose innermost loop runs over the rows of
    a tile.
    """

    rows: int = 0
    sums: dict[Task, bool] = field(default_factory=dict)
    copies: dict[Task, Any] = field(default_factory=dict)
    local: list[Node] = field(default_factory=list)
    lanes: list[LoopNest] = field(default_factory=list)

    @property
    def room(self) -> int:
        """Rows of the last tile, at most."""
        return self.rows + self.rows // 2


class Arranger:
    """Arranges the tasks of one stage.

    overwritten: for a task's node, the leaf in whose memory it is written in place.
    """

    def __init__(self, graph: Graph, tasks: Sequence[Task], overwritten: dict[Node, Node]) -> None:
        self.graph = graph
        self.by_node = writers(tasks)
        self.repeats = Repeats(tasks)
        self.short_rows = ShortRows(graph)
        # what may end a call
        self.checks = [task for task in tasks if isinstance(task, IndexCheck) or task.raises]
        self.overwritten = overwritten
        # what a grid makes in tiles
        self.tiled = {task.node for task in tasks if graph.traits.grid and maker_of(graph, task) == TILED}
        self.readers: dict[Node, list[Task]] = {leaf: [] for leaf in overwritten.values()}
        for task in tasks:
            for leaf in dict.fromkeys(task.operands):
                if leaf in self.readers:
                    self.readers[leaf].append(task)

    def before(self, task: Task) -> list[Task]:
        """The tasks that must run before `task`, or in the same iteration."""
        found = [self.by_node[v] for v in task.sources if v in self.by_node] + task.checks
        if task.last:
            found += self.checks
        if task.writes:
            found += self.readers.get(self.overwritten.get(task.node, task.node), ())
        return [other for other in dict.fromkeys(found) if other is not task]

    def arrange(self, tasks: Sequence[Task], level: int = 0) -> list[LoopNest]:
        """The nests of `tasks` at a loop level, in order."""
        nests: list[LoopNest] = []
        position: dict[Task, int] = {}
        for task in tasks if level else self._numbers_first(tasks):
            needed = [other for other in self.before(task) if other in position]
            earliest = max((self._after(task, other, position, nests, level) for other in needed), default=0)
            length = task.loops[level] if len(task.loops) > level else None
            chosen = next((k for k in range(earliest, len(nests)) if self._fits(nests[k], task, length, level)), None)
            if chosen is None:
                nests.append(LoopNest(length))
                chosen = len(nests) - 1
            nests[chosen].add(task)
            position[task] = chosen
        for nest in nests:
            if nest.length is not None:
                nest.body = self.arrange(nest.tasks, level + 1)
        return nests

    def _numbers_first(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks with those numbers in front that wait for no loop: a loop that uses one may then be a loop that is
        there before."""
        early: set[Task] = set()
        for task in tasks:
            if isinstance(task, Elementwise) and not task.loops and early.issuperset(self.before(task)):
                early.add(task)
        return [*(t for t in tasks if t in early), *(t for t in tasks if t not in early)]

    def _fits(self, nest: LoopNest, task: Task, length: Any, level: int) -> bool:
        if isinstance(task, Product | KernelCall) or (nest.tasks and isinstance(nest.tasks[0], Product | KernelCall)):
            return False
        if level == 0 and self.graph.traits.grid and not self._share_grid(nest.tasks[0], task):
            return False
        if (nest.length is None) != (length is None):
            return False
        if length is not None and not self.graph.equal_lengths(nest.length, length):
            return False
        if level == 0 and nest.statements + task.statements > MAX_BODY:
            return False
        if length is None or self.graph.traits.grid:
            return True
        tasks = [*nest.tasks, task]
        # a loop around all of it is one pass over memory, whatever is inside
        return not self.repeats(tasks, level) and not (level and self.short_rows(tasks, level))

    def _share_grid(self, a: Task, b: Task) -> bool:
        """Whether two tasks may run in the same pass on a grid, and are to: blocks of a product in tiles can go on with
        what goes over these alone."""
        return may_share_grid(a, b) and self._over_tiles(a) == self._over_tiles(b)

    def _over_tiles(self, task: Task) -> bool:
        return (
            isinstance(task, Elementwise)
            and len(task.loops) == 2
            and any(load.inputs[0] in self.tiled for load in task.loads)
        )

    def _after(self, task: Task, other: Task, position: dict[Task, int], nests: list[LoopNest], level: int) -> int:
        """The first nest in which `task` may run, as far as `other` is concerned."""
        nest = position[other]
        if nests[nest].length is None:
            # there a failed check ends a call at once; threads of a grid go on to the end of the nest
            return nest + (self.graph.traits.grid and isinstance(other, IndexCheck) and task.last)
        return nest if self.may_share(task, other, level) else nest + 1

    def may_share(self, task: Task, other: Task, level: int) -> bool:
        """Whether `task` may run in the same iteration of the loop at `level` as `other`, which it depends on."""
        if task.last and (isinstance(other, IndexCheck) or other.raises):
            # what is written in place waits for all that may end the call
            return False
        if isinstance(other, IndexCheck):
            return len(other.loops) > level and self._behind(other, task)
        if level == 0 and self.graph.traits.grid and gathers_rows(other):
            # all loops of such sums run at the same time, the outermost one, too
            return False
        if other.node in task.lengths or any(view.buffer is other.node for view in task.views):
            return False
        if task.overwrites and task.node.inputs[0] is other.node:
            return False
        found = [(load, other) for load in task.loads if load.inputs[0] is other.node]
        leaf = self.overwritten.get(task.node) if task.writes else None
        if leaf is not None:
            if leaf in other.lengths or any(view.buffer is leaf for view in other.views):
                return False
            found += [(load, task) for load in other.loads if load.inputs[0] is leaf]
        return all(self._same_iteration(load, writer, level) for load, writer in found)

    def _behind(self, check: Task, task: Task) -> bool:
        """Whether `task` uses the index only where the same iteration has checked it.

        An index that does not vary with the innermost loop of its check is used before that. One that is used as some
        other check does not compute it, such as that of another loop, waits for its check's loops to end.
        """
        assert check.value is not None
        used = dims.wrap(check.value, check.bound)
        if used is check.value or used not in task.scalars or check.value.depth < len(check.loops):
            return False
        checked = {dims.wrap(c.value, c.bound) for c in task.checks}
        return all(v in checked for v in task.scalars if v.depth and counts_from_the_end(v))

    def _same_iteration(self, load: Node, writer: Task, level: int) -> bool:
        """Whether `load` reads what `writer` writes in the same iteration of the loop at `level`."""
        if not isinstance(writer, Elementwise | Reduction) or level in writer.reduced or len(writer.loops) <= level:
            return False
        if load.attrs:
            return False
        axis = writer.level_axes[level]
        return axis is not None and load.inputs[1 + axis].kind == "loop" and load.inputs[1 + axis].attrs[0] == level


def nests_within(nests: Sequence[LoopNest]) -> Iterator[LoopNest]:
    """Nests, and those of the steps of scans among them."""
    for nest in nests:
        yield nest
        for task in nest.tasks:
            if isinstance(task, ScanTask):
                yield from nests_within(task.nests)


def may_share_grid(a: Task, b: Task) -> bool:
    """Whether two tasks may run in the same pass where all iterations of a loop run at the same time.

    Sums over the iterations do so with sums over the same ones only, and what is written where computed indices say
    with nothing.
    """
    if isinstance(a, Scattering) or isinstance(b, Scattering):
        return False
    if not (gathers_rows(a) or gathers_rows(b)):
        return True
    return gathers_rows(a) and gathers_rows(b) and a.loops == b.loops and a.reduced == b.reduced


def gathers_rows(task: Task) -> bool:
    """Whether a task is a reduction over the outermost loop, or one with results inside the loops that it reduces."""
    if not isinstance(task, Reduction) or not task.reduced:
        return False
    return task.reduced[0] == 0 or task.reduced[0] + len(task.reduced) < len(task.loops)


__all__ = ["LEAVES", "Arranger", "LoopNest", "Tiled"]

"""A place in memory for every buffer: registers, rows, the arena, or the array of an output or shared variable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from numgraph.ir import Graph, Node
from numgraph.lengths import dims
from numgraph.lengths.sources import read_for
from numgraph.schedule.arrange import LoopNest, Tiled
from numgraph.schedule.tasks import Elementwise, Reduction, ScanTask, Scattering, Task, tasks_within, writers


@dataclass(eq=False)
class Buffer:
    """Where a stored node lives.

    place: "arena", "private" (one for each chunk of a divided loop), "rows" (the same, for one tile of rows),
    "output", "fresh" (an array made for an update), "shared" (written in place), "base" (the memory of the node's first
    input), "moving" (at an address that moves from step to step of a scan) or "register" (never in memory).
    slot: number of the output, update, shared variable or address that moves. places: of those that a step of a scan
    writes in turn, how many lie in the arena. axes: the node's axes that are kept, the others being the
    same iteration for writer and readers. offset: bytes into the stage's arena, or into the chunk's own memory.
    rows: of a tile of rows that lies column by column, how many it has room for.
    """

    node: Node
    place: str
    slot: int = -1
    axes: tuple[int, ...] = ()
    offset: Any = 0
    stage: int = 0
    rows: int = 0
    places: int = 0

    def lengths(self, graph: Graph) -> tuple[Any, ...]:
        """Lengths of the kept axes."""
        return tuple(graph.find(self.node.dims[a]) for a in self.axes)

    def size(self, graph: Graph) -> Any:
        """Bytes, in whole cache lines."""
        size = dims.bytes_of(self.lengths(graph), self.node.dtype)
        return dims.aligned(max(size, 1) if isinstance(size, int) else size)

    @property
    def in_arena(self) -> bool:
        """Whether it has memory in the arena."""
        return self.place == "arena" or self.places > 0

    def room(self, graph: Graph) -> Any:
        """Bytes in the arena."""
        return self.size(graph) * max(self.places, 1)


def memory_of(buffers: dict[Node, Buffer], node: Node) -> Buffer | None:
    """The buffer in whose memory a node lies: its own, or that of the base that its op works in; None for a leaf."""
    while (place := buffers.get(node)) is not None and place.place == "base":
        node = node.inputs[0]
    return place


class Places:
    """Places of one size, each with the end of the life of what lies there, and those that are free: the first made
    comes first."""

    def __init__(self) -> None:
        self.offsets: list[Any] = []
        self.busy: list[tuple[int, int]] = []
        self.free: list[int] = []

    def take(self, begin: int, end: int, new: Any) -> Any:
        """The offset of a place that is free from `begin` on, `new` for a new one; asked for in order of `begin`."""
        while self.busy and self.busy[0][0] < begin:
            heappush(self.free, heappop(self.busy)[1])
        if not self.free:
            self.offsets.append(new)
        number = heappop(self.free) if self.free else len(self.offsets) - 1
        heappush(self.busy, (end, number))
        return self.offsets[number]


class Placer:
    """Places the buffers of a program. buffers: those whose place is settled already; the others are added."""

    def __init__(self, graph: Graph, buffers: dict[Node, Buffer]) -> None:
        self.graph = graph
        self.buffers = buffers
        self.stages = 1

    def place(self, tasks: Sequence[Task], stages: Sequence[Sequence[LoopNest]], waited: Sequence[Node] = ()) -> None:
        """A buffer for each task: registers and row buffers where all readers share the writer's loops. waited: nodes
        that conditions read."""
        self.stages = len(stages)
        paths = loops_around(stages)
        self._place_among(tasks, paths, waited)
        for task in tasks_within(tasks):
            if isinstance(task, ScanTask):
                self._place_among(task.body, paths, ())

    def _place_among(self, tasks: Sequence[Task], paths: dict[Task, list[LoopNest]], waited: Sequence[Node]) -> None:
        by_node = writers(tasks)
        shared_levels = {task: len(paths[task]) for task in by_node.values()}
        for task in tasks:
            for load in task.loads:
                writer = by_node.get(load.inputs[0])
                if writer is not None:
                    common = 0 if load.attrs or isinstance(writer, Scattering) else _common(paths[writer], paths[task])
                    shared_levels[writer] = min(shared_levels[writer], common)
            for view in task.views:
                if view.buffer in by_node:
                    shared_levels[by_node[view.buffer]] = 0
            if task.overwrites and task.node.inputs[0] in by_node:
                shared_levels[by_node[task.node.inputs[0]]] = 0
        for node in self.read_by_lengths(tasks) | set(waited):
            if node in by_node:
                shared_levels[by_node[node]] = 0
        for node, task in by_node.items():
            self._give_buffer(node, task, shared_levels[task])
        for task in reversed(tasks):
            if task.overwrites and task.node.inputs[0] in by_node:
                self._share_base(task)

    def read_by_lengths(self, tasks: Sequence[Task]) -> set[Node]:
        """What lengths depend on."""
        lengths = [n for task in tasks for n in map(self.graph.find, task.node.dims)]
        return set(read_for(lengths + [n for task in tasks for n in (*task.loops, *task.sizes, task.bound)]))

    def _give_buffer(self, node: Node, task: Task, levels: int) -> None:
        every = tuple(range(len(node.dims)))
        if node in self.buffers:
            self.buffers[node].axes, self.buffers[node].stage = every, task.stage
            return
        if not isinstance(task, Elementwise | Reduction):
            self.buffers[node] = Buffer(node, "arena", axes=every, stage=task.stage)
            return
        free = min(levels, min(task.reduced, default=levels))
        kept = tuple(a for level, a in enumerate(task.level_axes) if a is not None and level >= free)
        tail = not task.reduced or min(task.reduced) + len(task.reduced) == len(task.loops)
        place = "arena" if kept or not tail or levels < free or not self._stays(task, levels) else "register"
        self.buffers[node] = Buffer(node, place, axes=tuple(sorted(kept)), stage=task.stage)

    def _stays(self, task: Task, levels: int) -> bool:
        """Whether all readers lie in the loop body in which the value becomes complete."""
        complete = min(task.reduced, default=len(task.loops))
        return levels >= complete and complete > 0

    def _share_base(self, task: Task) -> None:
        """A scatter works in the memory of its base."""
        mine, base = self.buffers[task.node], self.buffers[task.node.inputs[0]]
        if mine.place != "arena":
            self.buffers[task.node.inputs[0]] = Buffer(base.node, mine.place, mine.slot, base.axes, stage=mine.stage)
        else:
            self.buffers[task.node] = Buffer(task.node, "base", -1, mine.axes, stage=base.stage)

    def lay_out(self, stage: int, nests: Sequence[LoopNest]) -> Any:
        """Offsets in the stage's arena; buffers of equal size whose lives do not overlap share memory. Returns the
        bytes."""
        first, final = self._lives(stage, nests)
        total: Any = 0
        places: dict[Any, Places] = {}
        for node in sorted(first, key=lambda v: first[v]):
            buffer = self.buffers[node]
            size = buffer.room(self.graph)
            known = places.setdefault(size, Places())
            count = len(known.offsets)
            buffer.offset = known.take(first[node], final[node], total)
            if len(known.offsets) > count:
                total = total + size
        return total

    def _lives(self, stage: int, nests: Sequence[LoopNest]) -> tuple[dict[Node, int], dict[Node, int]]:
        first: dict[Node, int] = {}
        final: dict[Node, int] = {}
        forever, number = len(nests) + 1, -1
        for nest in nests:
            # what runs at the same time lives at the same time
            number += not nest.joined
            for task in tasks_within(nest.tasks):
                for node in map(self._root_buffer, (*task.sources, *task.written)):
                    buffer = self.buffers.get(node)
                    if buffer is not None and buffer.in_arena and buffer.stage == stage:
                        first.setdefault(node, number)
                        final[node] = number
        later = set(self.buffers) if self.stages > 1 else set()
        return first, {node: forever if node in later else end for node, end in final.items()}

    def _root_buffer(self, node: Node) -> Node:
        while node in self.buffers and self.buffers[node].place == "base":
            node = node.inputs[0]
        return node


def loops_around(stages: Sequence[Sequence[LoopNest]]) -> dict[Task, list[LoopNest]]:
    """The loops around each task, outermost first."""
    paths: dict[Task, list[LoopNest]] = {}
    for nests in stages:
        _trace(nests, [], paths)
    return paths


def _trace(nests: Sequence[LoopNest], path: list[LoopNest], paths: dict[Task, list[LoopNest]]) -> None:
    for nest in nests:
        inside = [*path, nest] if nest.length is not None else path
        if isinstance(nest, Tiled):
            _trace(nest.body, path, paths)
        elif nest.length is None:
            for task in nest.tasks:
                paths[task] = inside
                if isinstance(task, ScanTask):
                    _trace(task.nests, [], paths)
        else:
            _trace(nest.body, inside, paths)


def _common(a: Sequence[LoopNest], b: Sequence[LoopNest]) -> int:
    """How many of the outermost loops two tasks share."""
    count = 0
    for x, y in zip(a, b, strict=False):
        if x is not y:
            break
        count += 1
    return count

"""Proves that a finished schedule keeps to the rule of `schedule/ownership`, by following what lies where.

The nests are gone through in the order in which they run. For each piece of memory it is known which node lies in it,
who wrote it, and who has read it since. A read must find the node that it asks for; a write ends the node that was
there, and whatever else overlaps. Within a loop one task may meet what another one does in another iteration; so two
tasks of a loop may use the same memory only if both name the element by the loop's counter, on the same axis. Then they
meet in the same iteration only, where their order is that of the text, on one thread as on many.

This is no part of compiling. `config.verify` turns it on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from numgraph.elements import row_by_row, unit_stride
from numgraph.errors import ScheduleError
from numgraph.ir import LEAVES, Graph, Node
from numgraph.lengths import dims
from numgraph.lengths.known import all_apart, apart, in_order
from numgraph.schedule.arrange import LoopNest, Tiled
from numgraph.schedule.chunks import Division, most_worked_in
from numgraph.schedule.grid import Mapping
from numgraph.schedule.plan import Buffer, Schedule
from numgraph.schedule.tasks import IndexCheck, KernelCall, Product, ScanTask, Task, tasks_within
from numgraph.schedule.work import name_of

# Index of an element as a task names it: None where nothing is known about it.
Index = tuple[Node | None, ...]
# How many loops are divided among threads, by the name of a mapping; others divide their work by rules of their own.
DIVIDED = {"flat": 99, "rows": 1, "lanes": 1}


@dataclass(frozen=True)
class Place:
    """A piece of memory. space: what it is a part of; offset and size in bytes there, None where it is all of it."""

    space: tuple[Any, ...]
    offset: Any = None
    size: Any = None


@dataclass(frozen=True)
class Use:
    """A task that reads or writes an element of each iteration. top: the nest of a stage that it runs in."""

    task: Task
    index: Index
    loops: tuple[LoopNest, ...]
    top: LoopNest


@dataclass
class Content:
    """What lies in a piece of memory, who wrote it (None: it was there before the call), and who has read it since."""

    node: Node
    writer: Use | None
    readers: list[Use] = field(default_factory=list)


def verify(schedule: Schedule) -> None:
    """ScheduleError if the schedule reads memory that nothing has written, or writes over what is still read."""
    Verifier(schedule).run()


class Verifier:
    """Follows one schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.graph: Graph = schedule.graph
        # by space
        self.contents: dict[tuple[Any, ...], dict[Place, Content]] = {}
        self.checks: list[Use] = []
        self.slots = {leaf: k for k, leaf in enumerate(schedule.shared)}
        for leaf, k in self.slots.items():
            self._put(Place(("shared", k)), Content(leaf, None))
        # what a step of a scan writes lies in a row of a result, or in turn in some places of the arena
        self.moving: dict[int, Node | Buffer] = {}
        for task in tasks_within(schedule.tasks):
            if isinstance(task, ScanTask):
                for node, found in task.memory.moving.items():
                    self.moving[schedule.buffers[node].slot] = found.home or schedule.buffers[node]
        # arenas whose different places are all apart, and before the end: then two places overlap if they are the same
        places: dict[tuple[Any, ...], set[tuple[Any, Any]]] = {}
        for place in map(self.place, schedule.buffers):
            if place.size is not None:
                places.setdefault(place.space, set()).add((place.offset, place.size))
        self.laid_out = {s for s, found in places.items() if all_apart([*found, (schedule.arena_bytes[s[1]], 0)])}
        # the first task that changed a shared variable: nothing may fail any more then
        self.changed: Task | None = None

    def run(self) -> None:
        """Go through the stages; then see whether every result is where it should be."""
        done: set[Task] = set()
        last = len(self.schedule.stages) - 1
        for stage, nests in enumerate(self.schedule.stages):
            for nest in nests:
                self._plan_reads(nest)
            for nest in nests:
                self._own_memory(stage, nest)
                for task, loops in ordered([nest]):
                    if task in done:
                        self._fail(f"{self._name(task.node)} is computed twice")
                    done.add(task)
                    self._run_item(task, loops, nest)
                for task in self._joined(nest):
                    self._write(Use(task, (), (), nest))
            if self.changed is not None and stage < last:
                self._fail(f"{self._name(self.changed.node)} changes a shared variable before the last stage")
        left = [task for task in self.schedule.tasks if task not in done]
        if left:
            self._fail(f"{self._name(left[0].node)} is never computed")
        self._results()

    def _fail(self, text: str) -> NoReturn:
        raise ScheduleError(f"a fault of numgraph, not of your program: {text}")

    def _name(self, node: Node) -> str:
        return f"{name_of(self.graph, node)} #{node.serial}"

    def _at(self, place: Place) -> Content | None:
        return self.contents.get(place.space, {}).get(place)

    def _overlapping(self, place: Place) -> list[Place]:
        """The places, among those that have been written, that have bytes in common with one, or may have."""
        there = self.contents.get(place.space, {})
        if place.size is None or place.space in self.laid_out:
            return [place] if place in there else []
        return [p for p in there if not apart((place.offset, place.size), (p.offset, p.size))]

    def _put(self, place: Place, content: Content) -> None:
        self.contents.setdefault(place.space, {})[place] = content

    # -- where nodes lie ----------------------------------------------------------------------------------------

    def root(self, node: Node) -> Buffer:
        """The buffer in whose memory a node lies: its own, or that of the base that its op works in."""
        while True:
            buffer = self.schedule.buffers.get(node)
            if buffer is None:
                self._fail(f"{self._name(node)} has no memory")
            if buffer.place != "base":
                return buffer
            node = node.inputs[0]

    def place(self, node: Node) -> Place:
        """The memory of a node."""
        if node in self.slots:
            return Place(("shared", self.slots[node]))
        if node.kind in LEAVES:
            return Place((node.kind, node))
        buffer = self.root(node)
        if buffer.place in ("output", "fresh", "shared"):
            return Place((buffer.place, buffer.slot))
        if buffer.place == "moving":
            there = self.moving[buffer.slot]
            if isinstance(there, Node):
                return self.place(there)
            buffer = there
        if buffer.in_arena:
            return Place(("arena", buffer.stage), buffer.offset, buffer.room(self.graph))
        # registers, and what each chunk has for itself: at different places, see `_own_memory`
        return Place((buffer.place, buffer.node))

    def _own_memory(self, stage: int, nest: LoopNest) -> None:
        """What each chunk of a divided nest has for itself must lie at different places, within what there is."""
        division = self.schedule.division.get(nest)
        parts: list[tuple[Any, Any]] = []
        if isinstance(division, Division):
            parts += [(0, most_worked_in(nest.tasks))]
            parts += [(offset, self._bytes(task.node)) for task, offset in division.partial.items()]
        if isinstance(nest, Tiled):
            parts += [(offset, self._bytes(task.node, task.views[1].lengths)) for task, offset in nest.copies.items()]
        for task in nest.tasks:
            buffer = None if isinstance(task, IndexCheck) else self.schedule.buffers[task.node]
            if buffer is not None and buffer.place in ("private", "rows"):
                lengths = [self.graph.find(task.node.dims[a]) for a in buffer.axes]
                if buffer.place == "rows":
                    assert isinstance(nest, Tiled)
                    lengths[0] = nest.room
                parts.append((buffer.offset, self._bytes(task.node, lengths)))
        room = division.private if isinstance(division, Mapping) else self.schedule.private_bytes[stage]
        for k, (offset, size) in enumerate(parts):
            fits = in_order(offset, size, room)
            if not fits or not all(apart((offset, size), other) for other in parts[:k]):
                self._fail(f"what a chunk of {self._name(nest.tasks[0].node)} has for itself overlaps")

    def _bytes(self, node: Node, lengths: Sequence[Any] | None = None) -> Any:
        found = map(self.graph.find, node.dims if lengths is None else lengths)
        return dims.aligned(dims.bytes_of(found, node.dtype))

    # -- a task ------------------------------------------------------------------------------------------------

    def _plan_reads(self, nest: LoopNest) -> None:
        """The plan of a stage reads lengths, and elements of arrays that are there already, before the stage runs."""
        for task in nest.tasks:
            for node in (*task.lengths, *(load.inputs[0] for load in task.loads if load.planned)):
                self._found(task, node)

    def _run_item(self, task: Task, loops: tuple[LoopNest, ...], top: LoopNest) -> None:
        for node, index in self._reads(task, top):
            self._read(node, Use(task, index, loops, top))
        self._as_they_lie(task)
        if isinstance(task, IndexCheck) or task.raises:
            self.checks.append(Use(task, (), loops, top))
            if self.changed is not None:
                self._fail(f"{self._name(self.changed.node)} changes a shared variable before {_what(task)}")
        if isinstance(task, ScanTask):
            self._steps(task, top)
        elif task.writes and task not in self._joined(top):
            rows: Index = (self.graph.loop(0), *(None for _ in task.node.dims[1:]))
            by_rows = isinstance(top, Tiled) and isinstance(task, Product)
            self._write(Use(task, rows if by_rows else tuple(task.target), loops, top))

    def _as_they_lie(self, task: Task) -> None:
        """What is given to a kernel or a scan lies row by row, and to a product as BLAS takes it."""
        for view in task.views:
            fits = unit_stride if isinstance(task, Product) else row_by_row
            # where a length is 0 nothing is read
            if 0 not in view.lengths and not fits(view):
                self._fail(f"{self._name(task.node)} is given {self._name(view.buffer)} with strides {view.strides}")

    def _steps(self, task: ScanTask, top: LoopNest) -> None:
        """The tasks of a step, and what is there after all of them. A second step finds what the first one has left."""
        for _ in range(2):
            for node, place in task.memory.moving.items():
                if place.in_place:
                    self._put(self.place(node), Content(node.inputs[0], None))
            for nest in task.nests:
                self._own_memory(task.stage, nest)
                for inner, loops in ordered([nest]):
                    self._run_item(inner, loops, nest)
                for joined in self._joined(nest):
                    self._write(Use(joined, (), (), nest))
            # the next step begins when this one is done
            done = Use(task, (), (), top)
            for content in (c for places in self.contents.values() for c in places.values()):
                content.readers = [done if use.top in task.nests else use for use in content.readers]
                if content.writer is not None and content.writer.top in task.nests:
                    content.writer = done
        for node in task.results:
            place = self.place(node)
            for other in self._overlapping(place):
                self.contents[place.space].pop(other)
            self._put(place, Content(node, Use(task, (), (), top)))

    def _reads(self, task: Task, top: LoopNest) -> list[tuple[Node, Index]]:
        """What a task reads, and which element of it in each iteration."""
        uses: list[tuple[Node, Index]] = [
            (load.inputs[0], () if load.attrs else load.inputs[1:]) for load in task.loads
        ]
        by_rows = isinstance(top, Tiled) and isinstance(task, Product)
        uses += [(view.buffer, self._rows_of(task, top, k) if by_rows else ()) for k, view in enumerate(task.views)]
        return uses + [(node, ()) for node in task.lengths]

    def _joined(self, nest: LoopNest) -> Collection[Task]:
        """The tasks whose results are put together from those of the chunks when the nest is done."""
        division = self.schedule.division.get(nest)
        return division.partial if isinstance(division, Division) else ()

    def _rows_of(self, task: Task, tiled: LoopNest, k: int) -> Index:
        """What a product in tiles of rows reads of operand k: the same rows of its buffer, or any."""
        assert isinstance(tiled, Tiled)
        view = task.views[k]
        axis = (-1 if k == 0 else 0) if task in tiled.sums else (0 if k == 0 else None)
        width = dims.product(map(self.graph.find, view.buffer.dims[1:]))
        if axis is None or not (isinstance(view.offset, int) and 0 <= view.offset < max(width, 1)):
            return ()
        same = view.strides[axis] == width and self.graph.equal_lengths(view.lengths[axis], tiled.length)
        return (self.graph.loop(0), *(None for _ in view.buffer.dims[1:])) if same else ()

    def _found(self, task: Task, node: Node) -> Content | None:
        """What lies in the memory of a node, which must be the node itself; None for what no call changes."""
        place = self.place(node)
        if node.kind in LEAVES and node not in self.slots:
            return None
        content = self._at(place)
        if content is None:
            self._fail(f"{self._name(task.node)} reads {self._name(node)}, which nothing has written")
        if content.node is not node:
            there = self._name(content.node)
            self._fail(f"{self._name(task.node)} reads {self._name(node)}, where {there} has been written")
        return content

    def _read(self, node: Node, use: Use) -> None:
        content = self._found(use.task, node)
        if content is None:
            return
        content.readers.append(use)
        if content.writer is None:
            return
        common = self._meet(content.writer, use, node)
        buffer = self.root(node)
        # of an axis of length 1 nothing is dropped
        long = [a for a, n in enumerate(content.writer.task.node.dims) if self.graph.find(n) != 1]
        dropped = [v for a, v in enumerate(content.writer.index) if a in long and a not in buffer.axes]
        outside = any(v is not None and v.kind == "loop" and v.attrs[0] >= common for v in dropped)
        if outside or (buffer.place in ("private", "rows") and content.writer.top is not use.top):
            self._fail(f"{self._name(use.task.node)} reads {self._name(node)} outside of the loop that it is kept for")

    def _write(self, use: Use) -> None:
        node, place = use.task.node, self.place(use.task.node)
        if node.kind in LEAVES:
            self._fail(f"{self._name(node)}, which is there before a call, is computed")
        if use.task.overwrites:
            content = self._at(place)
            if content is None or content.node is not node.inputs[0]:
                there = "nothing" if content is None else self._name(content.node)
                self._fail(f"{self._name(node)} works in the memory of its base, where {there} lies")
        if place.size is not None and place.space not in self.laid_out:
            end = self.schedule.arena_bytes[place.space[1]]
            if not in_order(place.offset, place.size, end):
                self._fail(f"{self._name(node)} lies behind the end of the arena")
        beside = self.contents.get(place.space, {})
        for other in self._overlapping(place):
            content = beside.pop(other)
            for earlier in (*content.readers, *([content.writer] if content.writer else [])):
                if other == place:
                    self._meet(earlier, use, content.node)
                elif common_loops(earlier, use):
                    self._fail(f"{self._name(node)} is written over {self._name(content.node)} in the same loop")
        self._put(place, Content(node, use))
        self._divided(use)
        if place.space[0] == "shared":
            self.changed = use.task
            for check in self.checks:
                if check.task is use.task or common_loops(check, use):
                    self._fail(f"{self._name(node)} changes a shared variable before {_what(check.task)}")

    def _meet(self, earlier: Use, later: Use, node: Node) -> int:
        """How many loops two uses of a node's memory share; in those they must meet in the same iteration only."""
        common = common_loops(earlier, later)
        same = earlier.task is later.task
        alike = all(
            any(p is q is self.graph.loop(level) for p, q in zip(earlier.index, later.index, strict=False))
            for level in range(common)
        )
        if not alike or (same and isinstance(later.task, KernelCall | Product)):
            what = self._name(later.task.node)
            self._fail(f"{what} meets {self._name(node)} while {self._name(earlier.task.node)} uses other elements")
        return common

    def _divided(self, use: Use) -> None:
        """Chunks of a divided loop write different elements, or each into memory of its own."""
        division = self.schedule.division.get(use.top)
        place = self.root(use.task.node)
        if isinstance(division, Mapping):
            levels: tuple[int, ...] = tuple(range(DIVIDED.get(division.shape, 0)))
        else:
            levels = () if division is None else division.levels
        if place.place in ("private", "rows", "register") or isinstance(use.task, KernelCall | Product):
            return
        if use.task in self._joined(use.top):
            return
        kept = [use.index[a] for a in place.axes]
        if not all(self.graph.loop(level) in kept for level in levels if level < len(use.loops)):
            self._fail(f"chunks of the loop of {self._name(use.task.node)} write the same elements")

    # -- results ------------------------------------------------------------------------------------------------

    def _results(self) -> None:
        """Every output and new value is where it is looked for; shared variables without one are as they were."""
        expected = {Place(("output", k)): node for k, node in enumerate(self.schedule.outputs)}
        expected |= {Place(("shared", k)): leaf for leaf, k in self.slots.items()}
        updates = {u.slot: u for u in self.schedule.updates}
        if len(updates) < len(self.schedule.updates):
            self._fail("a shared variable has two updates")
        for u in self.schedule.updates:
            if u.how in ("in place", "fresh"):
                expected[Place(("shared" if u.how == "in place" else "fresh", u.slot))] = u.node
        for place, node in expected.items():
            content = self._at(place)
            if content is None or content.node is not node:
                there = "nothing" if content is None else self._name(content.node)
                self._fail(f"{there} lies where {self._name(node)} should be, {place.space[0]} {place.space[1]}")


def _what(task: Task) -> str:
    """What a task may end a call with."""
    return "an index is checked" if isinstance(task, IndexCheck) else "a function that may raise is called"


def ordered(
    nests: Sequence[LoopNest], around: tuple[LoopNest, ...] = ()
) -> Iterator[tuple[Task, tuple[LoopNest, ...]]]:
    """The tasks of nests in the order in which they run, with the loops around them, outermost first."""
    for nest in nests:
        if isinstance(nest, Tiled):
            for part in nest.body:
                # all parts run for a tile of rows before the next one
                inner = [(task, ()) for task in part.tasks] if part.length is None else ordered(part.body)
                yield from ((task, (nest, *loops)) for task, loops in inner)
        elif nest.length is not None:
            yield from ordered(nest.body, (*around, nest))
        else:
            yield from ((task, around) for task in nest.tasks)


def common_loops(a: Use, b: Use) -> int:
    """How many of the outermost loops two uses share."""
    count = 0
    for x, y in zip(a.loops, b.loops, strict=False):
        if x is not y:
            break
        count += 1
    return count

"""Scans on a grid: one kernel goes through the steps, or the host launches those of a step once for each step, with
other addresses.

What a step reads and writes lies as on the processor, see `schedule.scans`. The launches of all steps are recorded with
those of the rest, so that a call is one replay; but those of a scan that ends when a step says so (`until`) are not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numgraph.elements import Elements
from numgraph.ir import LEAVES, Node
from numgraph.lengths import dims
from numgraph.loops.table import Layout
from numgraph.ops.loop import COUNT, FINAL, ROWS, SAVED, TRACE
from numgraph.schedule.buffers import memory_of
from numgraph.schedule.plan import Schedule
from numgraph.schedule.scans import ScanMemory, checkpoints_of
from numgraph.schedule.tasks import result_of

Source = tuple[Any, ...]


@dataclass(frozen=True)
class Place:
    """Memory, as parameters of kernels say where it is, and how many bytes behind its start. Numbers here and below are
    numbers, or slots of the plan's table as -1 - slot."""

    source: Source
    offset: int = 0


@dataclass(frozen=True)
class Written:
    """Where steps write a value: rows of a result from row `first` on, or some places in turn. size: of one, in bytes.
    In place: over the state."""

    base: Place
    size: int
    first: int = 0
    places: int = 0
    in_place: bool = False


@dataclass(frozen=True)
class State:
    """A state: its first value, what it becomes (another state's number, or the slot of what a step writes), and its
    bytes."""

    first: Place
    state: int | None
    written: int
    size: int


@dataclass(frozen=True)
class Copy:
    """A result that is copied as a whole. of: what it is a copy of, ("state", number), ("written", slot) or ("rows",
    slot); `first`: a state whose first value comes before."""

    to: Place
    of: tuple[str, int]
    size: int
    row: int
    first: int | None = None


@dataclass(frozen=True)
class Checkpoints:
    """A result that has the states before the steps first, first + every, ..., each of `size` bytes."""

    to: Place
    state: int
    first: int
    every: int
    size: int


@dataclass
class GridScan:
    """What the host does for a scan. number: of the scan; step: the slot of the step; steps: how many; plan: the name
    of what is worked out before each step, or "". traces: (result, state): whose first value is row 0 of the result.
    ends: the slot of what a step writes that is true in the last one, None where all steps are made; counts: where it
    is to be written how many there were. whole: whether one launch makes all steps, see `loops.grid.persistent`."""

    number: int
    step: int
    steps: int
    plan: str = ""
    states: dict[int, State] = field(default_factory=dict)
    written: dict[int, Written] = field(default_factory=dict)
    traces: list[tuple[Place, int]] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    checkpoints: list[Checkpoints] = field(default_factory=list)
    ends: int | None = None
    counts: list[Place] = field(default_factory=list)
    whole: bool = False


def source_of(schedule: Schedule, layout: Layout, buffer: Node) -> Source:
    """Where the memory of a buffer is, as parameters of kernels say it."""
    if buffer.kind == "array":
        return "array", buffer.attrs[0]
    if buffer.kind == "state":
        return "state", *buffer.attrs
    if buffer.kind in LEAVES:
        return "leaf", buffer
    place = memory_of(schedule.buffers, buffer)
    assert place is not None
    if place.place == "shared":
        return "leaf", schedule.shared[place.slot]
    if place.place == "arena":
        return "arena", place.stage, layout.number(place.offset)
    return place.place, place.slot


class GridScans:
    """Makes what the host needs for the scans of a schedule."""

    def __init__(self, schedule: Schedule, layout: Layout) -> None:
        self.schedule, self.layout, self.graph = schedule, layout, schedule.graph
        self.elements: Elements = schedule.elements

    def made(self, memory: ScanMemory) -> GridScan:
        """One scan."""
        task, layout, buffers = memory.task, self.layout, self.schedule.buffers
        found = GridScan(task.scan.number, layout.step(task.scan.number), layout.number(task.steps))
        for node, place in memory.moving.items():
            buffer = buffers[node]
            if place.home is not None:
                base, size = self._of(place.home), self._bytes(node)
            else:
                base = Place(("arena", buffer.stage, layout.number(buffer.offset)))
                size = layout.number(buffer.size(self.graph))
            kept = place.places if place.home is None else 0
            found.written[buffer.slot] = Written(base, size, place.first, kept, place.in_place)
        numbers = {leaf: k for k, (leaf, _, _) in memory.states.items()}
        for k, (leaf, first, new) in memory.states.items():
            view = self.elements.memory(first)
            assert view is not None
            offset = layout.number(view.offset * dims.bytes_of((1,), first.dtype))
            place_of = Place(source_of(self.schedule, layout, view.buffer), offset)
            written = -1 if new in numbers else buffers[new].slot
            found.states[k] = State(place_of, numbers.get(new), written, self._bytes(leaf))
        if memory.ends is not None:
            found.ends = buffers[memory.ends].slot
        for result in task.results:
            self._result(found, memory, result)
        return found

    def _of(self, buffer: Node) -> Place:
        return Place(source_of(self.schedule, self.layout, buffer))

    def _bytes(self, node: Node) -> int:
        return self.layout.number(dims.bytes_of(map(self.graph.find, node.dims), node.dtype))

    def _result(self, found: GridScan, memory: ScanMemory, result: Node) -> None:
        """What has to be copied for a result."""
        to = self._of(result)
        if result.op is COUNT:
            found.counts.append(to)
            return
        value = result_of(result).value
        assert value is not None
        if result.op is SAVED:
            number, (start, every) = result.attributes["asked"][0], checkpoints_of(result, memory.task.steps)
            begin, apart = self.layout.number(start), self.layout.number(every)
            found.checkpoints.append(Checkpoints(to, number, begin, apart, self._bytes(memory.states[number][0])))
            return
        size = self._bytes(result)
        if result.op is FINAL:
            found.copies.append(Copy(to, ("state", result.attributes["asked"][0]), size, size))
        elif result.op not in (ROWS, TRACE):
            state = memory.state_of(value)
            of = ("state", state) if state is not None else ("written", self.schedule.buffers[value].slot)
            found.copies.append(Copy(to, of, size, size))
        elif result in memory.copied:
            first = result.attributes["asked"][0] if result.op is TRACE else None
            slot = self.schedule.buffers[value].slot
            found.copies.append(Copy(to, ("rows", slot), size, self._bytes(value), first))
        elif result.op is TRACE:
            found.traces.append((to, result.attributes["asked"][0]))

"""Scans on the processor: a loop over the steps around the phases of one step.

The phases are functions of the table as all others. Before each step the loop writes to the table which step it is,
and where what moves from step to step lies: the states, and what the step writes. Numbers that depend on the step (the
place of a window, say) are worked out by a small plan of the step's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numgraph.ir import Node, Requirement
from numgraph.lengths import dims
from numgraph.lengths.known import within_of
from numgraph.loops.memory import HostMemory, pointer_to
from numgraph.loops.plan import broken
from numgraph.loops.program import (
    Assign,
    Expression,
    For,
    Function,
    If,
    Logic,
    Name,
    Number,
    Statement,
    Store,
    While,
    fail,
)
from numgraph.loops.values import Values
from numgraph.ops.loop import COUNT, FINAL, ROWS, SAVED, TRACE
from numgraph.schedule.scans import Moving, ScanMemory, checkpoints_of
from numgraph.schedule.tasks import result_of

STEP, GOES_ON = Name("t"), Name("goes_on", "bool")


@dataclass
class ScanLoop:
    """The loop of one scan, but for the phases of a step. before, after: around the loop. begin, end: in each step,
    around the phases. steps: how many."""

    name: str
    memory: ScanMemory
    steps: Expression
    before: list[Statement]
    begin: list[Statement] = field(default_factory=list)
    end: list[Statement] = field(default_factory=list)
    after: list[Statement] = field(default_factory=list)
    plan: Function | None = None
    reads_reals: bool = False

    def statements(self, phases: Sequence[Statement]) -> list[Statement]:
        """All statements, with those of the phases."""
        body = [*self.begin, *phases, *self.end]
        if self.memory.ends is None:
            return [*self.before, For(STEP, (self.steps,), tuple(body)), *self.after]
        start: list[Statement] = [Assign(STEP, Number(0)), Assign(GOES_ON, self.steps.compared(">", 0))]
        more = Assign(GOES_ON, Logic("and", (GOES_ON, STEP.compared("<", self.steps))))
        loop = While(GOES_ON, (*body, Assign(STEP, STEP + 1), more))
        return [*self.before, *start, loop, *self.after]


def _unless(flag: Expression) -> Expression:
    return flag.compared("==", 0)


class ScanBuilder:
    """Makes the loop of one scan."""

    def __init__(self, values: Values, memory: HostMemory, scan: ScanMemory, name: str) -> None:
        self.values, self.memory, self.scan = values, memory, scan
        self.graph, self.layout, self.buffers = values.graph, values.layout, values.schedule.buffers
        self.name = name
        self.bases: dict[Node, Expression] = {}
        self.sizes: dict[Node, Expression] = {}

    def build(self) -> ScanLoop:
        """The loop."""
        scan, values = self.scan, self.values
        steps = values.assign("steps", values.whole(scan.task.steps), "steps of the scan")
        firsts = {k: self._first(k, first) for k, (_, first, _) in scan.states.items()}
        for place in scan.moving.values():
            self._base(place)
        # what results need, before the loop: all these are definitions
        homes = {v: self._named(v) for v in scan.task.results}
        lengths = {v: self._count(v) for v in self._copied_lengths()}
        chunks = {v: self._chunk(v) for v in scan.task.results if v.op is SAVED}
        loop = ScanLoop(self.name, scan, steps, values.statements)
        self._start(loop, firsts, lengths)
        loop.begin.append(self.layout.stored(self.layout.step(scan.task.scan.number), STEP, "which step it is"))
        loop.begin += [self._keep(v, homes[v], lengths, *chunk) for v, chunk in chunks.items()]
        self._advance(loop)
        for result in scan.task.results:
            self._deliver(loop, result, homes[result], lengths, firsts)
        loop.reads_reals = self.memory.reads_reals
        return loop

    # -- addresses --------------------------------------------------------------------------------------------------

    def _first(self, state: int, node: Node) -> Expression:
        """The address of a state's first value."""
        view = self.values.schedule.elements.memory(node)
        assert view is not None
        name = self.values.names.fresh(self._shown(self.scan.states[state][0]) + "_first", "p")
        return self.values.assign(name, self.memory.view_address(view), "the first value of a state", node)

    def _shown(self, node: Node) -> str:
        return self.graph.names.get(node) or "state"

    def _row(self, node: Node) -> Any:
        return dims.bytes_of(map(self.graph.find, node.dims), node.dtype)

    def _base(self, place: Moving) -> None:
        """Name where a value of the steps begins, and how far it moves."""
        node, names = place.node, self.values.names
        if place.home is not None:
            address, size = self.memory.address(place.home), self._row(node)
        else:
            address, size = self.memory.in_arena(self.buffers[node]), self.buffers[node].size(self.graph)
        name = names.fresh(f"{self._shown(node)}_at", "p")
        self.bases[node] = self.values.assign(name, address, f"values of {self.values.notes.name_of(node)}", node)
        self.sizes[node] = self.memory.place(size, "row_bytes")

    def _named(self, result: Node) -> Expression:
        """The address of a result."""
        written = next((p.node for p in self.scan.moving.values() if p.home is result), None)
        if written is not None:
            return self.bases[written]
        return self.values.assign(self.values.names.fresh("result", "p"), self.memory.address(result), "", result)

    def _copied_lengths(self) -> list[Node]:
        """What is copied as a whole: its number of elements must be known before the loop."""
        scan = self.scan
        return list(dict.fromkeys([*scan.task.results, *scan.moving, *(leaf for leaf, _, _ in scan.states.values())]))

    def _count(self, node: Node) -> Expression:
        return self.values.whole(dims.product(map(self.graph.find, node.dims)))

    def _writes(self, node: Node) -> Expression:
        """Where a step writes a value."""
        return self.layout.slot(self.layout.moving(self.buffers[node].slot, self._shown(node)))

    def _state_slot(self, state: int) -> int:
        return self.layout.state(self.scan.states[state][0])

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _start(self, loop: ScanLoop, firsts: dict[int, Expression], lengths: dict[Node, Expression]) -> None:
        """Where states and what the first step writes lie; first values go where they are kept with the others."""
        layout = self.layout
        for node, place in self.scan.moving.items():
            slot = layout.moving(self.buffers[node].slot, self._shown(node))
            address = self.bases[node] if not place.first else self.bases[node] + self.sizes[node]
            loop.before.append(layout.stored(slot, address, f"where {self._shown(node)} of a step goes"))
        for k, (leaf, _, new) in self.scan.states.items():
            address = firsts[k]
            moved = self.scan.moving.get(new)
            if moved is not None and moved.in_place:
                loop.before.append(self._copy(self.bases[new], firsts[k], leaf.dtype, lengths[leaf]))
                address = self.bases[new]
            shown = f"where {self._shown(leaf)} lies"
            loop.before.append(layout.stored(self._state_slot(k), address, shown))
        for result in self.scan.task.results:
            if result.op is TRACE:
                k = result.attributes["asked"][0]
                leaf = self.scan.states[k][0]
                home = next((p.node for p in self.scan.moving.values() if p.home is result), None)
                if home is not None:
                    loop.before.append(self._copy(self.bases[home], firsts[k], leaf.dtype, lengths[leaf]))

    def _chunk(self, result: Node) -> tuple[Expression, Expression, Expression]:
        """Of a result that has the states before some steps: how many steps one is behind the other, the first step
        that a gradient goes back to, and the bytes of a state."""
        start, every = checkpoints_of(result, self.scan.task.steps)
        state = self.scan.states[result.attributes["asked"][0]][0]
        whole = self.values.whole
        return whole(every), whole(start), self.memory.place(self._row(state), "row_bytes")

    def _keep(
        self, result: Node, home: Expression, lengths: dict[Node, Expression], every: Expression, start: Expression,
        size: Expression,
    ) -> Statement:  # fmt: skip
        """At the begin of a step: the state goes to the checkpoints, if it is time."""
        number = result.attributes["asked"][0]
        leaf = self.scan.states[number][0]
        cut = result.attributes["limit"] is not None
        made = STEP - start if cut else STEP
        due: Expression = (made % every).compared("==", 0)
        if cut:
            due = Logic("and", (STEP.compared(">=", start), due))
        source = self.layout.slot(self._state_slot(number))
        return If(due, (self._copy(home + (made // every) * size, source, leaf.dtype, lengths[leaf]),))

    def _advance(self, loop: ScanLoop) -> None:
        """What is written in a step is the state of the next one, and the next one writes elsewhere."""
        layout, scan = self.layout, self.scan
        leaves = {leaf: k for k, (leaf, _, _) in scan.states.items()}
        if scan.ends is not None:
            # read before the next step's place stands in the table
            loop.end.append(Assign(GOES_ON, _unless(pointer_to(self._writes(scan.ends), "bool")[Number(0)])))
        found: list[tuple[int, Expression]] = []
        for k, (_, _, new) in scan.states.items():
            value = layout.slot(self._state_slot(leaves[new])) if new in leaves else self._writes(new)
            moved = scan.moving.get(new)
            if moved is None or not moved.in_place:
                found.append((self._state_slot(k), value))
        for number, (_, value) in enumerate(found):
            loop.end.append(Assign(Name(f"next{number}"), value))
        for number, (slot, _) in enumerate(found):
            loop.end.append(layout.stored(slot, Name(f"next{number}")))
        for node, place in scan.moving.items():
            slot = layout.moving(self.buffers[node].slot, self._shown(node))
            if place.home is not None:
                loop.end.append(layout.stored(slot, layout.slot(slot) + self.sizes[node]))
            elif place.places > 1:
                turn = (STEP + 1) % place.places
                loop.end.append(layout.stored(slot, self.bases[node] + turn * self.sizes[node]))

    # -- results ------------------------------------------------------------------------------------------------------

    def _deliver(
        self,
        loop: ScanLoop,
        result: Node,
        home: Expression,
        lengths: dict[Node, Expression],
        firsts: dict[int, Expression],
    ) -> None:
        """What a result has to have that the steps have not written to it."""
        part = result_of(result)
        if result.op is COUNT:
            made = STEP if self.scan.ends is not None else loop.steps
            loop.after.append(self._store(home, made))
            return
        assert part.value is not None
        if result.op in (ROWS, TRACE):
            if result in self.scan.copied:
                self._copy_rows(loop, result, part.value, home, lengths, firsts)
            return
        if result.op is SAVED:
            # where there are no steps, too
            number = result.attributes["asked"][0]
            loop.before.append(self._copy(home, firsts[number], result.dtype, lengths[self.scan.states[number][0]]))
            return
        if result.op is FINAL:
            source: Expression = self.layout.slot(self._state_slot(result.attributes["asked"][0]))
        else:
            source = self._last(part.value)
        loop.after.append(self._copy(home, source, result.dtype, lengths[result]))

    def _last(self, value: Node) -> Expression:
        """Where the last step has written a value."""
        state, place = self.scan.state_of(value), self.scan.moving[value]
        if state is not None:
            return self.layout.slot(self._state_slot(state))
        return self._writes(value) - self.sizes[value] if place.home is not None else self.bases[value]

    def _copy_rows(
        self,
        loop: ScanLoop,
        result: Node,
        value: Node,
        home: Expression,
        lengths: dict[Node, Expression],
        firsts: dict[int, Expression],
    ) -> None:
        """All values of the steps, which are kept elsewhere."""
        place = self.scan.moving[value]
        begin = self.bases[value] + self.sizes[value] if place.first else self.bases[value]
        if result.op is TRACE:
            k = result.attributes["asked"][0]
            loop.before.append(self._copy(home, firsts[k], result.dtype, lengths[self.scan.states[k][0]]))
            home = home + self.sizes[value]
        loop.after.append(self._copy(home, begin, result.dtype, lengths[value] * loop.steps))

    def _copy(self, to: Expression, source: Expression, dtype: str, count: Expression) -> Statement:
        """A loop that copies elements."""
        i, a, b = Name("i"), pointer_to(to, dtype), pointer_to(source, dtype)
        return For(i, (count,), (Store(a, i, b[i]),))

    def _store(self, to: Expression, value: Expression) -> Statement:
        return Store(pointer_to(to, "int64"), Number(0), value)


def plan_of_steps(values: Values, memory: HostMemory, number: int, requirements: Sequence[Requirement]) -> bool:
    """What has to be checked and worked out before each step: of a scan, by its number. Whether there is anything."""
    layout = values.layout
    for r in requirements:
        within = within_of(r)
        if within and max(within) == number:
            a, b = values.whole(r.a), values.whole(r.b)
            values.add(If(broken(r.kind, a, b), (fail(a, b, layout.fail_code(r)),), note=r.kind))
    done: set[Node] = set()
    while True:
        waiting = [v for v in layout.values if v.within and max(v.within) == number and v not in done]
        if not waiting:
            return bool(values.statements)
        for node in waiting:
            done.add(node)
            values.add(layout.stored(layout.values[node], values.value(node), values.notes.length(node)))

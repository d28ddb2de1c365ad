"""Profiles of target "reference": what each operation of NumPy's takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from numgraph.binder import Array, Binder
from numgraph.graph import Variable
from numgraph.passes import STABILISE, Progress, passed
from numgraph.profiling.compiled import EVENTS, numbers
from numgraph.profiling.result import Event, PhaseProfile, Profile
from numgraph.program import Program
from numgraph.reference import evaluate
from numgraph.runtime.times import now


@dataclass
class Operation:
    """One operation. within: that of a scan's steps. took: nanoseconds in each call. runs: in all calls."""

    name: str
    node: Variable
    within: str
    took: list[int] = field(default_factory=list)
    runs: int = 0


class Watch:
    """Sees an evaluation, and takes the time between one operation and the next for that of the latter."""

    def __init__(self, found: dict[int, Operation], events: list[Event], call: int, within: str = "") -> None:
        self.found, self.events, self.call, self.within = found, events, call, within
        self.last = now()

    def saw(self, node: Variable, arrays: Sequence[Array], result: Array) -> None:
        """An operation, what it got, and what it gave."""
        end = now()
        operation = self.found.setdefault(id(node), Operation(f"op_{len(self.found)}", node, self.within))
        if len(operation.took) <= self.call:
            operation.took += [0] * (self.call + 1 - len(operation.took))
        operation.took[self.call] += end - self.last
        operation.runs += 1
        self.events.append(Event(operation.name, "op", "caller", self.last, end - self.last))
        self.last = now()

    def step(self, loop: Any, number: int, wanted: Sequence[Variable], values: Mapping[Variable, Array]) -> list[Array]:
        """Evaluate one step of a loop."""
        return evaluate(wanted, values, Watch(self.found, self.events, self.call, "a step of a scan"))


def profiled_operations(
    program: Program, unset: frozenset[int], args: Sequence[Any], named: dict[str, Any], calls: int | None
) -> Profile:
    """The profile of calls with these arguments, of a program whose shared variables may be updated."""
    stable = passed(Progress(program, {}), [STABILISE]).stable
    binder, found, events = Binder(program, unset), dict[int, Operation](), list[Event]()
    took: list[int] = []
    for number in numbers(calls):
        begin = now()
        arguments = binder(args, named)
        values = dict(zip(program.variables, arguments, strict=True))
        results = evaluate(stable, values, Watch(found, events, number))
        for (variable, _), new in zip(program.updates, results[len(program.outputs) :], strict=True):
            variable.storage.put(new)
        binder.unset.clear()
        took.append(now() - begin)
        events.append(Event(program.title, "call", "caller", begin, took[-1]))
    micro = [t / 1000 for t in took]
    profile = Profile(program.title, "reference", calls=len(took), total=sum(micro), least=min(micro))
    profile.median = median(micro)
    profile.phases = [_phase(operation, profile) for operation in found.values()]
    profile.python = max(profile.mean - sum(p.mean for p in profile.phases if not p.within), 0.0)
    profile.events, profile.left_out = events[:EVENTS], max(len(events) - EVENTS, 0)
    return profile


def _phase(operation: Operation, whole: Profile) -> PhaseProfile:
    took = [t / 1000 for t in operation.took]
    node = operation.node
    mean = sum(took) / whole.calls
    return PhaseProfile(
        name=operation.name,
        kind="op",
        makes=[_title(node)],
        within=operation.within,
        runs=operation.runs / whole.calls,
        least=min(took),
        median=median(took),
        mean=mean,
        share=mean / whole.mean if whole.mean else 0.0,
        lines=[str(node.line)] if node.line else [],
    )


def _title(node: Variable) -> str:
    assert node.op is not None
    return node.op.title

"""Runs a function's program in a second compiled form, which reads the clock, and on shared variables of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from numgraph.binder import Array, Binder
from numgraph.call import general_call
from numgraph.fingerprint import shapes_of
from numgraph.graph import Variable
from numgraph.program import Program
from numgraph.rewrite.assume import Keys, Leaf
from numgraph.runtime.cpu import ProcessorTarget
from numgraph.runtime.executor import Executor
from numgraph.runtime.timed import TimedVariant
from numgraph.runtime.times import Reading, now
from numgraph.runtime.variant import NativeVariant
from numgraph.schedule.arrange import LoopNest
from numgraph.shared import SharedVariable
from numgraph.storage import Storage
from numgraph.substitution import substitute
from numgraph.target import CheckFailed, Compiled, contiguous
from numgraph.whole import Disturbed, uncollected

# Without `calls`: so many nanoseconds of calls, but at least and at most so many calls.
PATIENCE, LEAST, MOST = 500_000_000, 3, 1000
# Events that a profile keeps for its trace.
EVENTS = 20_000


def on_twins(program: Program) -> Program:
    """The program with copies in the place of the shared variables that it updates, and of states and defaults of
    inputs: what runs it changes nothing of the user's."""
    written = dict.fromkeys([*(s for s, _ in program.updates), *program.private])
    twins: dict[Variable, Variable] = {s: SharedVariable(Storage(s.storage.copied()), s.name, s.line) for s in written}
    cut = {v: v for v in program.variables} | twins
    results = [*program.results, *program.remembered]
    new: dict[Variable, Any] = {v: v for v in program.roots()}
    new |= dict(zip(results, substitute(results, cut), strict=True))
    found = program.mapped(new | twins)
    for variable, _ in found.updates:
        variable.storage.to_be_written()
    # what is printed is printed by the user's calls alone
    return replace(found, prints=None)


class TimedTarget(ProcessorTarget):
    """Runs one program by code that reads the clock. events: how many each variant keeps. saw: is told of each variant.
    made: the variants, old ones included."""

    def __init__(self, program: Program, events: int = 0, saw: Callable[[TimedVariant], None] | None = None) -> None:
        super().__init__(program, self._build)
        self.events = events
        self.saw = saw
        self.made: list[TimedVariant] = []

    def keep(self, events: int) -> None:
        """Have each variant keep so many events from now on."""
        self.events = events
        for variant in self.made:
            variant.times.expect(events)

    def timed(self, variant: NativeVariant) -> TimedVariant:
        """One of its variants, as what it is."""
        return next(v for v in self.made if v is variant)

    def chunks(self, variant: TimedVariant, arguments: Sequence[Array]) -> dict[LoopNest, int] | None:
        """Into how many chunks a call with these arguments divides each loop nest; None where its plan refuses them by
        now."""
        try:
            return self._chunks(variant, contiguous(arguments))
        except (CheckFailed, Disturbed):
            return None

    def export(self, variant: NativeVariant, path: str | Path, data: str, unset: Iterable[int]) -> None:
        """Write the program as a module of its own, which reads no clock."""
        from numgraph.compile import compiled_program

        super().export(
            compiled_program(self.program, shapes_of(self.program), frozenset(), None).variant, path, data, unset
        )

    def _build(self, given_up: Keys, leaf: Leaf | None) -> Compiled[NativeVariant]:
        from numgraph.compile import timed_program

        found = timed_program(self.program, shapes_of(self.program), given_up, leaf)
        assert isinstance(found.variant, TimedVariant)
        found.variant.times.expect(self.events)
        self.made.append(found.variant)
        if self.saw is not None:
            self.saw(found.variant)
        return found


@dataclass
class Sample:
    """One call: what it took in each span, and from where to where, in nanoseconds of the clock."""

    reading: Reading
    begin: int
    end: int

    @property
    def took(self) -> int:
        """Nanoseconds, from Python to Python."""
        return self.end - self.begin


@dataclass
class Measured:
    """Calls of one function. variant: that most of them ran, whose samples these are; others: calls of other variants.
    arguments: as arrays."""

    variant: TimedVariant
    samples: list[Sample]
    others: int
    target: TimedTarget
    arguments: list[Array]


def numbers(calls: int | None) -> Iterator[int]:
    """0, 1, 2, ... for as many calls as are wanted, or as there is patience for."""
    end = now() + PATIENCE
    for number in count():
        if number >= (MOST if calls is None else calls) or (calls is None and number >= LEAST and now() > end):
            return
        yield number


def measured(
    program: Program, unset: frozenset[int], args: Sequence[Any], named: dict[str, Any], calls: int | None
) -> Measured:
    """Calls with these arguments, one after the other; a first one, which is not counted, finds the variant for them
    and wakes the threads."""
    target = TimedTarget(program)
    executor: Executor[NativeVariant] = uncollected(partial(Executor, program, target))
    binder = Binder(program, unset)
    general = general_call(executor, binder)
    general(*args, **named)
    target.keep(EVENTS)
    samples: dict[int, list[Sample]] = {}
    chosen, call = executor.variant, executor.call(binder, general)
    for _ in numbers(calls):
        if executor.variant is not chosen:
            chosen, call = executor.variant, executor.call(binder, general)
        before = {id(variant): variant.times.reading for variant in target.made}
        begin = now()
        call(*args, **named)
        end = now()
        ran = target.timed(executor.variant)
        # a form that was compiled within the call says nothing of other calls, but is better than nothing
        nothing = Reading.like(ran.times.reading)
        sample = Sample(ran.times.reading.since(before.get(id(ran), nothing)), begin, end)
        samples.setdefault(id(ran), []).append(sample)
    most = max(samples, key=lambda key: len(samples[key]))
    others = sum(map(len, samples.values())) - len(samples[most])
    variant = next(v for v in target.made if id(v) == most)
    return Measured(variant, samples[most], others, target, binder(args, named))

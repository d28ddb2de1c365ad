"""From what was timed to a profile: by phase, beside the explanation of the same form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from threading import get_ident

import numpy as np
from numpy.typing import NDArray

from numgraph.explain.estimate import Estimator, made
from numgraph.loops.processor import Phase
from numgraph.loops.program import statements_in
from numgraph.loops.timed import Span
from numgraph.profiling.compiled import Measured, Sample
from numgraph.profiling.result import Event, PhaseProfile, Profile, ThreadTime
from numgraph.runtime.timed import TimedVariant
from numgraph.runtime.times import Times, cost
from numgraph.schedule.work import work_of
from numgraph.source import SourceLine, together
from numgraph.types import FLOATS

# What threads are called, by their number in the memory of times.
Names = list[str]


def phases_of(variant: TimedVariant) -> list[PhaseProfile]:
    """The phases of a variant, those of the steps of a scan behind the scan; nothing is known yet of their times."""
    found: list[PhaseProfile] = []

    def add(phases: Iterable[Phase], scan: str) -> None:
        for phase in phases:
            names = made(variant.schedule, phase)
            found.append(PhaseProfile(phase.name, phase.kind, names, scan, lines=lines_of(phase)))
            add(phase.inner, phase.name)

    add(variant.module.phases, "")
    return found


def lines_of(phase: Phase) -> list[str]:
    """The user's lines behind a phase, those of one function of theirs together."""
    functions = [function for part in (phase, *phase.inner) for function in part.functions]
    lines = dict.fromkeys(line for f in functions for s in statements_in(f.body) for line in s.lines)
    groups: dict[tuple[str, str], list[SourceLine]] = {}
    for line in sorted(lines, key=lambda line: (line.file, line.line)):
        # a lambda or a comprehension is none to a reader
        groups.setdefault((line.file, line.function.partition("<")[0]), []).append(line)
    return [together(several) for several in groups.values()]


def thread_names(times: Times) -> Names:
    """What threads are called, by number: who asks is the caller."""
    found, others = [], 0
    for identity in times.identities:
        others += identity != get_ident()
        found.append("caller" if identity == get_ident() else f"thread {others}")
    return found


class Assembly:
    """Makes the profile of one variant."""

    def __init__(self, name: str, found: Measured) -> None:
        self.name = name
        self.variant = found.variant
        self.samples: Sequence[Sample] = found.samples
        self.others = found.others
        self.spans = found.variant.spans
        self.threads = thread_names(found.variant.times)
        self.events = events_of(found.variant.times, self.spans, self.threads)
        self.left_out = found.variant.times.left_out
        # runs the plan once more, which is no part of the calls
        chunks = found.target.chunks(found.variant, found.arguments)
        self.estimator = Estimator(found.variant, found.arguments, chunks)

    def profile(self) -> Profile:
        """All of it."""
        took = [sample.took / 1000 for sample in self.samples]
        explained = self.estimator.explanation(self.name)
        plan, step = self._sum("plan"), self._sum("step")
        found = Profile(
            name=self.name,
            threads=self.variant.threads,
            calls=len(took),
            total=sum(took),
            least=min(took),
            median=median(took),
            plan=plan,
            predicted=explained.predicted,
            cost=cost() / 1000,
            spans=float(np.mean([s.reading.counts.sum() for s in self.samples])),
            machine=explained.machine,
            events=[*self._calls(), *self.events],
            left_out=self.left_out,
        )
        found.phases = [self._phase(p, found) for p in phases_of(self.variant)]
        found.between = max(step - sum(p.mean for p in found.phases if not p.within), 0.0)
        found.python = max(found.mean - plan - step, 0.0)
        found.notes = self._notes(found)
        return found

    def _notes(self, found: Profile) -> list[str]:
        notes = []
        if self.others:
            notes.append(f"{self.others} other calls ran another compiled form, for other lengths")
        if found.left_out:
            notes.append(f"the trace has {len(found.events):,} events; {found.left_out:,} later ones are left out")
        return notes

    def _calls(self) -> list[Event]:
        # calls behind the last event that was kept would be empty
        last = max((e.begin for e in self.events), default=0)
        kept = [s for s in self.samples if s.begin <= last]
        return [Event(self.name, "call", "caller", s.begin, s.took) for s in kept]

    # -- what was timed -----------------------------------------------------------------------------------------

    def _number(self, kind: str, name: str) -> int | None:
        return next((k for k, span in enumerate(self.spans) if span == Span(kind, name)), None)

    def _by_call(self, number: int, which: Callable[[Sample], NDArray[np.int64]]) -> NDArray[np.int64]:
        """int64[calls, threads] of one span."""
        return np.array([which(sample)[number] for sample in self.samples])

    def _sum(self, kind: str) -> float:
        """Microseconds of the mean call in all spans of a kind."""
        numbers = [k for k, span in enumerate(self.spans) if span.kind == kind]
        return float(np.mean([s.reading.nanoseconds[numbers].sum() for s in self.samples])) / 1000

    def _phase(self, found: PhaseProfile, whole: Profile) -> PhaseProfile:
        """A phase with its times, its work, and what was predicted."""
        number, chunk = self._number("phase", found.name), self._number("chunk", found.name)
        assert number is not None
        took = self._by_call(number, lambda s: s.reading.nanoseconds).sum(axis=1) / 1000
        found.runs = float(self._by_call(number, lambda s: s.reading.counts).sum(axis=1).mean())
        found.least, found.median, found.mean = float(took.min()), float(np.median(took)), float(took.mean())
        found.share = found.mean / whole.mean if whole.mean else 0.0
        if chunk is not None:
            self._add_threads(found, chunk)
        self._add_estimate(found)
        return found

    def _add_threads(self, found: PhaseProfile, number: int) -> None:
        busy = self._by_call(number, lambda s: s.reading.nanoseconds).mean(axis=0) / 1000
        counts = self._by_call(number, lambda s: s.reading.counts).mean(axis=0)
        found.threads = [
            ThreadTime(name, float(counts[k]), float(busy[k])) for k, name in enumerate(self.threads) if counts[k]
        ]
        found.threads.sort(key=lambda t: (t.thread != "caller", t.thread))
        found.chunks = float(counts.sum()) / found.runs if found.runs else 0.0

    def _add_estimate(self, found: PhaseProfile) -> None:
        """The work, what was predicted, and what the machine could reach."""
        phase = phase_named(self.variant.module.phases, found.name)
        number, schedule = self.estimator.number, self.variant.schedule
        work = work_of(schedule, phase.tasks, number)
        estimate = self.estimator.phase(phase, work)
        found.kind, found.makes = estimate.kind, estimate.makes
        times = found.runs if found.within else 1
        found.flops, found.read, found.written = (
            None if amount is None else round(amount * times) for amount in (work.flops, work.read, work.written)
        )
        found.predicted = None if estimate.together is None else estimate.together * times
        if phase.inner:
            return
        machine, chunks = self.estimator.machine, max(round(found.chunks), 1)
        dtypes = Counter(v.node.dtype for v in phase.tasks if v.node.dtype in FLOATS)
        width = 2 if dtypes and dtypes.most_common(1)[0][0] == "float64" else 1
        found.peak = machine.peak * chunks / width
        found.bandwidth = machine.bandwidth(self.estimator.footprint, chunks)


def phase_named(phases: Iterable[Phase], name: str) -> Phase:
    """A phase by its name, within scans, too."""
    waiting = list(phases)
    while waiting:
        phase = waiting.pop()
        if phase.name == name:
            return phase
        waiting += phase.inner
    raise KeyError(name)


def events_of(times: Times, spans: Sequence[Span], threads: Names) -> list[Event]:
    """The events that were kept."""
    return [
        Event(spans[number].name, spans[number].kind, threads[thread], begin, end - begin, chunk)
        for number, thread, chunk, begin, end in times.events.tolist()
    ]

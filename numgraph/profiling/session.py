"""`config.profile`: functions that are timed at each call, and what is said of them when the process ends."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numgraph.binder import Stats
from numgraph.call import executor_for
from numgraph.config import config
from numgraph.explain.tables import plain_table
from numgraph.explain.text import time_text
from numgraph.profiling.assemble import events_of, phases_of, thread_names
from numgraph.profiling.compiled import TimedTarget
from numgraph.profiling.result import PhaseProfile, Profile, ThreadTime
from numgraph.profiling.text import WIDTH, longest, percent, plain
from numgraph.profiling.trace import write_trace
from numgraph.program import Program
from numgraph.runtime.executor import Executor
from numgraph.runtime.timed import TimedVariant
from numgraph.runtime.times import Times, cost

# Events that each compiled form keeps, where a trace is to be written: its first ones.
EVENTS = 5_000
# Phases of a function that the table shows.
SHOWN = 8


@dataclass
class Form:
    """What is kept of a compiled form, which is less than its memory. phases: without times."""

    spans: list[Any]
    phases: list[PhaseProfile]
    times: Times


@dataclass
class Watched:
    """A function that is timed, which need not live any more. stats: of its calls."""

    name: str
    target: str
    stats: Stats
    forms: list[Form] = field(default_factory=list)

    def saw(self, variant: TimedVariant) -> None:
        """Another compiled form."""
        self.forms.append(Form(variant.spans, phases_of(variant), variant.times))

    def profile(self) -> Profile:
        """What its calls took so far."""
        calls, total = self.stats.calls, 1e6 * self.stats.seconds
        found = Profile(self.name, self.target, config.threads, calls, total)
        steps = 0.0
        for number, form in enumerate(self.forms, 1):
            sums = _sums(form)
            found.plan += _part(sums, "plan") / max(calls, 1)
            steps += _part(sums, "step") / max(calls, 1)
            again = f" ({number})" if number > 1 else ""
            found.phases += [_phase(replace(p, name=p.name + again), p.name, sums, found) for p in form.phases]
            found.events += events_of(form.times, form.spans, thread_names(form.times))
            found.left_out += form.times.left_out
            found.spans += sum(count for count, _, _ in sums.values()) / max(calls, 1)
        found.between = max(steps - sum(p.mean for p in found.phases if not p.within), 0.0)
        found.python = max(found.mean - found.plan - steps, 0.0)
        found.cost = cost() / 1000 if self.forms else 0.0
        return found


# By kind and name: how often it ran, microseconds altogether, and by thread.
Sums = dict[tuple[str, str], tuple[int, float, list[ThreadTime]]]


def _sums(form: Form) -> Sums:
    reading, names = form.times.reading, thread_names(form.times)
    found: Sums = {}
    for number, span in enumerate(form.spans):
        counts, times = reading.counts[number], reading.nanoseconds[number] / 1000
        threads = [ThreadTime(name, float(counts[k]), float(times[k])) for k, name in enumerate(names) if counts[k]]
        found[span.kind, span.name] = int(counts.sum()), float(times.sum()), threads
    return found


def _part(sums: Sums, kind: str) -> float:
    return sum(took for (which, _), (_, took, _) in sums.items() if which == kind)


def _phase(found: PhaseProfile, name: str, sums: Sums, whole: Profile) -> PhaseProfile:
    """A phase with its times in the mean call."""
    calls = max(whole.calls, 1)
    count, took, _ = sums["phase", name]
    found.runs, found.mean = count / calls, took / calls
    found.share = took / whole.total if whole.total else 0.0
    chunks, _, threads = sums.get(("chunk", name), (0, 0.0, []))
    found.threads = [ThreadTime(t.thread, t.chunks / calls, t.busy / calls) for t in threads]
    found.chunks = chunks / count if chunks and count else 1.0
    return found


# The functions that are timed, in the order in which they were made.
WATCHED: list[Watched] = []


def watched_executor(program: Program, target: str, stats: Stats) -> Executor[Any]:
    """What runs a program on a target and is timed from now on, where that is the processor; its calls are counted on
    any target. A table on standard error, or the file of `config.profile`, says so when the process ends."""
    entry = Watched(program.title, target, stats)
    if not WATCHED:
        atexit.register(_report)
    WATCHED.append(entry)
    if target != "cpu":
        return executor_for(program, target)
    return Executor(program, TimedTarget(program, EVENTS if isinstance(config.profile, str) else 0, entry.saw))


def profiles() -> list[Profile]:
    """Of the functions that were called, those first that took most."""
    return sorted((w.profile() for w in WATCHED if w.stats.calls), key=lambda p: -p.total)


def _report() -> None:
    found = profiles()
    if not found:
        return
    if isinstance(config.profile, str):
        try:
            write_trace(found, config.profile)
        except OSError as error:
            print(f"numgraph: the profile is not written: {error}", file=sys.stderr)
        return
    print(report_text(found), file=sys.stderr)


def report_text(found: Sequence[Profile]) -> str:
    """The table that is printed when the process ends."""
    calls = sum(p.calls for p in found)
    whole = sum(p.total for p in found)
    functions = "1 function" if len(found) == 1 else f"{len(found)} functions"
    head = f"numgraph: {functions}, {calls:,} calls, {time_text(whole)} in them; share: of the function's time\n"
    columns = ("function, phase", "makes", "runs", "each", "total", "share")
    rows = [row for p in found for row in _rows(p)]
    table = plain_table(columns, rows, WIDTH, whole=columns[2:], right=columns[2:])
    return f"{head}{plain(table)}"


def _rows(p: Profile) -> list[tuple[str, ...]]:
    """The lines of one function."""
    kind = "" if p.target == "cpu" else f'on target "{p.target}"'
    rows: list[tuple[str, ...]] = [(p.name, kind, f"{p.calls:,}", time_text(p.mean), time_text(p.total), "")]
    shown = longest(p.phases, SHOWN)
    for phase in shown:
        runs, took = phase.runs * p.calls, phase.mean * p.calls
        each = time_text(took / runs) if runs else ""
        name = ("    " if phase.within else "  ") + phase.name
        rows.append((name, ", ".join(phase.makes), f"{runs:,.0f}", each, time_text(took), percent(phase.share)))
    others = [phase for phase in p.phases if not any(phase is s for s in shown) and not phase.within]
    rest = [("others", sum(o.mean for o in others))] if others else []
    rest += [("plan", p.plan), ("between", p.between), ("python", p.python)] if p.phases else []
    for name, mean in rest:
        share = percent(mean / p.mean if p.mean else 0.0)
        rows.append((f"  {name}", "", "", time_text(mean), time_text(mean * p.calls), share))
    return rows

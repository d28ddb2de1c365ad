"""Traces: the events of profiles as JSON in the Trace Event Format, which Perfetto and Chrome open.

A complete event (`"ph": "X"`) has its begin `ts` and its duration `dur` in microseconds, which may have fractions;
those of one thread nest. Metadata events (`"ph": "M"`) name processes and threads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from numgraph.profiling.result import Event, PhaseProfile, Profile


def write_trace(profiles: Sequence[Profile], path: str | Path) -> None:
    """Write the events of profiles into one file, each function a process of its own, times from the first event on."""
    start = min((e.begin for p in profiles for e in p.events), default=0)
    events = [e for number, p in enumerate(profiles, 1) for e in trace_events(p, number, start)]
    left_out = {p.name: p.left_out for p in profiles if p.left_out}
    found = {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {"made by": "numgraph", "events left out": left_out},
    }
    Path(path).write_text(json.dumps(found), encoding="utf-8")


def trace_events(profile: Profile, process: int, start: int) -> list[dict[str, Any]]:
    """The events of one profile, as the format has them. process: its number there. start: from where times count, in
    nanoseconds."""
    phases = {p.name: p for p in profile.phases}
    threads = list(dict.fromkeys(["caller", *(e.thread for e in profile.events)]))
    found = [_named(process, 0, "process_name", profile.name)]
    found += [_named(process, tid, "thread_name", name) for tid, name in enumerate(threads, 1)]
    found += [_named(process, tid, "thread_sort_index", tid) for tid in range(1, len(threads) + 1)]
    for e in in_order(profile.events):
        made = phases[e.name].makes if e.kind == "op" else []
        found.append(
            {
                "name": made[0] if made else e.name,
                "cat": e.kind,
                "ph": "X",
                "ts": (e.begin - start) / 1000,
                "dur": e.duration / 1000,
                "pid": process,
                "tid": threads.index(e.thread) + 1,
                "args": arguments(e, phases.get(e.name)),
            }
        )
    return found


def in_order(events: Iterable[Event]) -> list[Event]:
    """Events by their begin, outer ones first."""
    return sorted(events, key=lambda e: (e.begin, -e.duration, _DEPTH[e.kind]))


_DEPTH = {"call": 0, "plan": 1, "step": 1, "phase": 2, "op": 2, "chunk": 3}


def arguments(event: Event, phase: PhaseProfile | None) -> dict[str, Any]:
    """What is shown beside an event that is picked: the work of a run, and the user's lines."""
    if phase is None:
        return {}
    found: dict[str, Any] = {"makes": ", ".join(phase.makes)}
    if event.kind == "chunk":
        found["chunk"] = event.chunk
    elif phase.runs:
        # of one run, as the event is
        amounts = {"flops": phase.flops, "bytes": phase.bytes}
        found |= {name: round(amount / phase.runs) for name, amount in amounts.items() if amount is not None}
    return {**found, "lines": phase.lines}


def _named(process: int, thread: int, what: str, value: str | int) -> dict[str, Any]:
    key = "sort_index" if what == "thread_sort_index" else "name"
    return {"name": what, "ph": "M", "pid": process, "tid": thread, "args": {key: value}}

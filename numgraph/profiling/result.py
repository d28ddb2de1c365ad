"""A profile as plain data: what calls of a function took, by phase and thread, beside what was predicted."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Written into the JSON; a reader refuses another number.
FORMAT = 1


@dataclass
class ThreadTime:
    """What one thread did for a phase, in the mean of the calls. thread: "caller", "thread 1", ... chunks: that it ran.
    busy: microseconds within them."""

    thread: str
    chunks: float
    busy: float


@dataclass
class PhaseProfile:
    """What one phase took. Times are microseconds of a call. None is what is unknown: least and median where calls were
    not told apart, as in traces that are written when the process ends.

    name: as in the source and in the explanation; of target "reference", an operation. kind: as in the explanation, or
    "op". makes: names of what it computes. within: the scan in whose steps it runs, "" for none. runs: how often it ran
    in a call: once, or in each step. least, median, mean: of all that, by calls. share: of the mean call, 0 to 1; a
    scan's has those of its phases in it. chunks: that a run is divided into. threads: who ran them. flops, read,
    written: operations on floats, and bytes, of all runs of a call. predicted: microseconds, by the explanation.
    peak, bandwidth: GFLOP/s and GB/s that this machine could reach there at most, with as many threads as there are
    chunks; None for a scan, whose phases have them. lines: the user's.
    """

    name: str
    kind: str = ""
    makes: list[str] = field(default_factory=list)
    within: str = ""
    runs: float = 1.0
    least: float | None = None
    median: float | None = None
    mean: float = 0.0
    share: float = 0.0
    chunks: float = 1.0
    threads: list[ThreadTime] = field(default_factory=list)
    flops: int | None = None
    read: int | None = None
    written: int | None = None
    predicted: float | None = None
    peak: float | None = None
    bandwidth: float | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int | None:
        """Bytes read and bytes written."""
        return None if self.read is None or self.written is None else self.read + self.written

    @property
    def gflops(self) -> float | None:
        """Operations per nanosecond, by the median."""
        return _rate(self.flops, self.median)

    @property
    def gbytes(self) -> float | None:
        """Bytes per nanosecond, by the median."""
        return _rate(self.bytes, self.median)

    @property
    def ratio(self) -> float | None:
        """The median over what was predicted."""
        return self.median / self.predicted if self.predicted and self.median is not None else None

    @property
    def balance(self) -> float | None:
        """How busy the threads were, 0 to 1: their time within chunks over that of so many threads altogether. None for
        a phase that was not divided."""
        elapsed = self.mean * self.chunks
        return min(sum(t.busy for t in self.threads) / elapsed, 1.0) if self.chunks > 1 and elapsed else None


def _rate(amount: int | None, microseconds: float | None) -> float | None:
    return amount / microseconds / 1000 if amount is not None and microseconds else None


@dataclass
class Event:
    """One span of the trace. kind: "call", "plan", "step", "phase", "chunk" or "op". thread: as in `ThreadTime`. begin,
    duration: nanoseconds, of the clock that `time.monotonic` reads on Linux. chunk: which, of a chunk."""

    name: str
    kind: str
    thread: str
    begin: int
    duration: int
    chunk: int = 0


@dataclass
class Profile:
    """What calls of a function took; print it to read it. Times are microseconds.

    name: of the function. target: what it ran on. threads: how many there were. calls: how many were timed. total: what
    they took together. least, median: a call from Python. plan: of the mean call, the time in plans (checks, lengths
    and addresses); between: within steps and beside phases (launches are within phases); python: beside plans and
    steps: arguments, results and the way there. predicted: a call. phases: in order, those of a scan's steps behind it.
    cost: what timing one span adds; spans: how many of them a call has. machine: the figures behind the limits, in
    words. notes: what else is to be said. events: of the trace, as many as were kept. left_out: the others.
    """

    name: str
    target: str = "cpu"
    threads: int = 1
    calls: int = 0
    total: float = 0.0
    least: float | None = None
    median: float | None = None
    plan: float = 0.0
    between: float = 0.0
    python: float = 0.0
    predicted: float | None = None
    phases: list[PhaseProfile] = field(default_factory=list)
    cost: float = 0.0
    spans: float = 0.0
    machine: str = ""
    notes: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    left_out: int = 0

    @property
    def mean(self) -> float:
        """Microseconds of a call, on average."""
        return self.total / self.calls if self.calls else 0.0

    def phase(self, name: str) -> PhaseProfile:
        """A phase by its name; KeyError for another name."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(f"{self.name} has no phase {name!r}; there are: {', '.join(p.name for p in self.phases)}")

    def __str__(self) -> str:
        from numgraph.profiling.text import profile_text

        return profile_text(self)

    def trace(self, path: str | Path) -> None:
        """Write the events as a trace: a JSON file that Perfetto (ui.perfetto.dev) and Chrome (chrome://tracing)
        open."""
        from numgraph.profiling.trace import write_trace

        write_trace([self], path)

    def to_plain(self) -> dict[str, Any]:
        """The profile as dicts, lists, numbers and strings."""
        return asdict(self)

    @classmethod
    def from_plain(cls, **plain: Any) -> Profile:
        """The profile of what `to_plain` made of one."""
        phases = [{**p, "threads": [ThreadTime(**t) for t in p["threads"]]} for p in plain["phases"]]
        plain["phases"] = [PhaseProfile(**p) for p in phases]
        plain["events"] = [Event(**e) for e in plain["events"]]
        return cls(**plain)

    def to_json(self) -> str:
        """The profile as JSON."""
        return json.dumps({"format": FORMAT, **self.to_plain()}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """The profile that `to_json` wrote; ValueError for another format."""
        plain = json.loads(text)
        written = plain.pop("format", None)
        if written != FORMAT:
            raise ValueError(f"a profile of format {written!r}; this version of numgraph reads format {FORMAT}")
        return cls.from_plain(**plain)

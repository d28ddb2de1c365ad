"""What `explain` says about a function, as data: the work of each phase, its predicted time, and the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)


@dataclass
class PhaseEstimate:
    """One phase, as it would run.

    makes: names of what it computes. kind: "loops", "divided loops", "product" or "kernel". loops: lengths of its
    loops, `?` where only a call tells. flops, read, written: operations on floats, bytes read and written; None where
    unknown, as everywhere below. alone, together: predicted microseconds on one thread, and in as many chunks as it
    would be divided into. limit: what takes the time, "compute", "memory" or "overhead" ("" where unknown). chunks:
    their number. reason: why so many. details: the path that a product takes, and the like.
    """

    name: str
    makes: list[str]
    kind: str
    loops: list[str] = field(default_factory=list)
    flops: int | None = None
    read: int | None = None
    written: int | None = None
    alone: float | None = None
    together: float | None = None
    limit: str = ""
    chunks: int | None = None
    reason: str = ""
    details: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int | None:
        """Bytes read and bytes written."""
        return None if self.read is None or self.written is None else self.read + self.written

    @property
    def intensity(self) -> float | None:
        """Operations per byte."""
        return self.flops / self.bytes if self.flops is not None and self.bytes else None


@dataclass
class UpdateEstimate:
    """How a shared variable gets its new value ("in place", "fresh", "exchange", "none"), and why so."""

    target: str
    how: str
    why: str = ""


@dataclass
class Explanation:
    """What a call of a function costs, as far as it is known without making it; print it to read it.

    lengths: of what the estimate is, in words. threads: how many there are. phases: in the order in which they run.
    updates: of shared variables. call: predicted microseconds of a call besides its phases. notes: about sweeps,
    variants and memory. machine: the figures that the predictions rest on, in words. calls, measured: the calls made
    so far, and their mean in microseconds (None without calls). limits: of the machine: "peak" and "peak_one", 10^9
    float32 operations a second of all threads and of one; "memory" and "memory_one", 10^9 bytes a second read from
    memory; "cache", the same of what lies in the first cache, by all threads.
    """

    name: str
    lengths: str = ""
    threads: int = 1
    phases: list[PhaseEstimate] = field(default_factory=list)
    updates: list[UpdateEstimate] = field(default_factory=list)
    call: float = 0.0
    notes: list[str] = field(default_factory=list)
    machine: str = ""
    calls: int = 0
    measured: float | None = None
    limits: dict[str, float] = field(default_factory=dict)

    @property
    def flops(self) -> int | None:
        """Operations of a call."""
        return _total(p.flops for p in self.phases)

    @property
    def bytes(self) -> int | None:
        """Bytes that its phases read and write."""
        return _total(p.bytes for p in self.phases)

    @property
    def alone(self) -> float | None:
        """Predicted microseconds of a call on one thread."""
        return _total((self.call, *(p.alone for p in self.phases)))

    @property
    def predicted(self) -> float | None:
        """Predicted microseconds of a call."""
        return _total((self.call, *(p.together for p in self.phases)))

    def __str__(self) -> str:
        from numgraph.explain.text import explanation_text

        return explanation_text(self)

    @classmethod
    def from_plain(cls, **plain: Any) -> Explanation:
        """The explanation of what `dataclasses.asdict` made of one."""
        plain["phases"] = [PhaseEstimate(**p) for p in plain.get("phases", [])]
        plain["updates"] = [UpdateEstimate(**u) for u in plain.get("updates", [])]
        return cls(**plain)


def _total(parts: Iterable[Number | None]) -> Number | None:
    """The sum; None where a part is unknown."""
    total = None
    for part in parts:
        if part is None:
            return None
        total = part if total is None else total + part
    return total

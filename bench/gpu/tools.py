"""What the sections share: the device, the time that is left, the results they give, and how a launch is timed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numgraph.cuda.array import DeviceArray
from numgraph.cuda.device import Device

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Section:
    """What a section found. tables: (title, head, rows). checks: (name, whether it holds, what was seen).

    aims: likewise, for what should be reached and is no fault when it is not. facts: name to text.
    """

    facts: dict[str, str] = field(default_factory=dict)
    tables: list[tuple[str, list[str], list[list[Any]]]] = field(default_factory=list)
    checks: list[tuple[str, bool, str]] = field(default_factory=list)
    aims: list[tuple[str, bool, str]] = field(default_factory=list)
    cut: str = ""

    def table(self, title: str, *head: str) -> list[list[Any]]:
        """A new table; rows are appended to what is returned."""
        rows: list[list[Any]] = []
        self.tables.append((title, list(head), rows))
        return rows

    def check(self, name: str, holds: bool, seen: str = "") -> None:
        """Something that must hold."""
        self.checks.append((name, bool(holds), seen))

    def aim(self, name: str, reached: bool, seen: str = "") -> None:
        """Something that should be reached."""
        self.aims.append((name, bool(reached), seen))


@dataclass
class Context:
    """device: real or simulated. target: the name of it. end: when the section's time is over (time.monotonic).

    seen: what the section has found so far. keep: is told, again and again, in case the process does not live on.
    """

    device: Device
    target: str
    end: float = math.inf
    seen: Section = field(default_factory=Section)
    keep: Callable[[Section], None] | None = None

    @property
    def simulated(self) -> bool:
        """Whether everything has to be tiny."""
        return self.target != "cuda"

    def over(self, section: Section, what: str) -> bool:
        """Whether the time is over; the section then says that it left `what` out."""
        self.seen = section
        if self.keep is not None:
            self.keep(section)
        if time.monotonic() < self.end:
            return False
        section.cut = section.cut or f"its time was over before {what}"
        return True

    def pick(self, small: Any, large: Any) -> Any:
        """A size for the simulator, or for a device."""
        return small if self.simulated else large


def context(target: str, seconds: float = math.inf) -> Context:
    """The context of a section that may take so long. DeviceError where there is no device."""
    from bench.gpu.cubins import use_cubins
    from numgraph.cuda.target import device_for

    if target == "cuda":
        use_cubins()
    return Context(device_for(target)[0], target, time.monotonic() + seconds)


def call_seconds(context: Context, f: Callable[[], Any], count: int) -> list[float]:
    """Seconds of a call, of several rounds of `count` calls that follow each other."""
    seconds = []
    for _ in range(context.pick(1, 5)):
        began = time.perf_counter()
        for _ in range(count):
            f()
        context.device.wait()
        seconds.append((time.perf_counter() - began) / count)
    return seconds


def least_seconds(device: Device, launches: Callable[[], None], least: float = 0.02, attempts: int = 5) -> float:
    """The least time of `launches` in several attempts, replayed often enough that each takes `least` seconds."""
    recording = device.record(launches)
    try:
        recording.replay()
        device.wait()
        if device.stream is None:
            # a simulator's time says nothing
            attempts, least = 1, 0.0
        count, taken = 1, 0.0
        while True:
            began = time.perf_counter()
            recording.replay(count)
            device.wait()
            taken = time.perf_counter() - began
            if taken >= least / 2 or count >= 1 << 16:
                break
            count = max(2 * count, math.ceil(count * 0.7 * least / max(taken, 1e-7)))
        best = taken / count
        for _ in range(attempts - 1):
            began = time.perf_counter()
            recording.replay(count)
            device.wait()
            best = min(best, (time.perf_counter() - began) / count)
        return best
    finally:
        recording.release()


def relative_error(got: Any, want: Any) -> float:
    """The norm of the difference over the norm of what is wanted; 0 or inf where that is 0. NaN must stand for NaN."""
    a, b = np.asarray(got).astype(np.float64), np.asarray(want).astype(np.float64)
    if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
        return math.inf
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    size, off = float(np.linalg.norm(b.ravel())), float(np.linalg.norm((a - b).ravel()))
    return off / size if size else 0.0 if off == 0 else math.inf


def bits(arrays: Sequence[Any]) -> list[bytes]:
    """The bytes of arrays, to compare runs."""
    return [np.ascontiguousarray(np.asarray(a)).tobytes() for a in arrays]


def poisoned(shape: Any, dtype: Any) -> Array:
    """An array that shows what was not written."""
    kind = np.dtype(dtype)
    return np.full(shape, np.nan if kind.kind == "f" else 1 if kind.kind == "b" else 99, kind)


def placed(device: Device, array: Array) -> DeviceArray:
    """An array on the device."""
    from numgraph.cuda.array import from_host

    return from_host(device, array)

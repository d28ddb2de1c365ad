"""Where compiled code writes what it took, by two functions in C made of LLVM assembly (times.ll): kept in the cache,
and loaded when a function is first timed."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from dataclasses import dataclass
from functools import cache as remember
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.runtime import native

# The clock that compiled code reads; `now` reads the same one.
CLOCK: int = getattr(time, "CLOCK_UPTIME_RAW", getattr(time, "CLOCK_MONOTONIC", 0))
# Words before the threads, and of an event; see times.ll.
HEAD, EVENT = 8, 5
# Threads that call a function, or run its chunks, besides those of the pool: their times are kept apart.
CALLERS = 64
# Turns in which the cost of a clock read is measured.
TURNS = 2000


class Reader(NamedTuple):
    """Loaded code. begin, end: addresses for compiled code. cost: (times, number, turns) -> nanoseconds."""

    begin: int
    end: int
    cost: Any


def now() -> int:
    """Nanoseconds of the clock that compiled code reads."""
    # elsewhere no compiled code reads a clock, and any will do
    return time.clock_gettime_ns(CLOCK) if os.name == "posix" else time.perf_counter_ns()


@remember
def reader() -> Reader:
    """The functions that read the clock; OptionError where the system has none of POSIX's."""
    if os.name != "posix":
        raise OptionError(
            f"profile: {sys.platform} has no clock_gettime, which compiled code reads\n"
            '  fix: use target="reference", whose operations are timed from Python, or f.stats for whole calls'
        )
    text = assembly()
    return native.of_assembly(text, lambda: ("clock_begin", native.emission_of(text).result()), _loaded)


def assembly() -> str:
    """Their text for this system."""
    text = Path(__file__).with_name("times.ll").read_text(encoding="utf-8")
    return text.replace("i32 CLOCK,", f"i32 {CLOCK},")


def _loaded(engine: Any) -> Reader:
    begin, end, cost = (int(engine.get_function_address(f"clock_{n}")) for n in ("begin", "end", "cost"))
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return Reader(begin, end, kind(cost))


@dataclass(frozen=True)
class Reading:
    """What has been timed until a moment. counts, nanoseconds: by number of the span, and thread."""

    counts: NDArray[np.int64]
    nanoseconds: NDArray[np.int64]

    @classmethod
    def like(cls, other: Reading) -> Reading:
        """Of as many spans, none of which has ended yet."""
        return cls(np.zeros_like(other.counts), np.zeros_like(other.nanoseconds))

    def since(self, earlier: Reading) -> Reading:
        """What has been timed since an earlier moment."""
        return Reading(self.counts - earlier.counts, self.nanoseconds - earlier.nanoseconds)


class Times:
    """The memory that the timed code of one function writes to.

    numbers: how many spans it has. threads: of the pool, the caller among them. events: how many are kept, the first
    ones; counts and sums go on.
    """

    def __init__(self, numbers: int, threads: int, events: int = 0) -> None:
        self.numbers = numbers
        self.room = threads + CALLERS
        self.words = np.zeros(HEAD + self.room * (1 + 3 * numbers), np.int64)
        self.words[2] = self.room
        self.expect(events)

    def expect(self, events: int) -> None:
        """Keep so many events from now on, and none of those so far. Nobody is within a call."""
        self._events = np.zeros((max(events, 1), EVENT), np.int64)
        self.words[3] = self._events.ctypes.data
        self.words[1] = events
        self.words[0] = 0

    @property
    def address(self) -> int:
        """Where the words lie."""
        return int(self.words.ctypes.data)

    @property
    def reading(self) -> Reading:
        """What has been timed so far."""
        cells = self.words[HEAD + self.room :].reshape(self.numbers, self.room, 3)
        return Reading(cells[:, :, 0].copy(), cells[:, :, 1].copy())

    @property
    def events(self) -> NDArray[np.int64]:
        """int64[events, 5]: number, thread, chunk, begin and end in nanoseconds; in the order of the ends."""
        return self._events[: min(int(self.words[0]), int(self.words[1]))].copy()

    @property
    def left_out(self) -> int:
        """Events that there was no room for."""
        return max(int(self.words[0] - self.words[1]), 0)

    @property
    def identities(self) -> list[int]:
        """Who the threads are, as `threading.get_ident` tells, as many as there are."""
        return [int(identity) for identity in self.words[HEAD : HEAD + self.room] if identity]


@remember
def cost() -> float:
    """Nanoseconds that timing one span takes: two clock reads, and writing down what they gave."""
    times = Times(1, 1, TURNS)
    measure = reader().cost
    return min(int(measure(times.address, 0, TURNS)) for _ in range(5)) / TURNS

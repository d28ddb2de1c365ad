"""`python -m bench threads`: when the pool's threads take part in a job, and what that gains or costs.

A job of a known length is launched as a program's loops are: in as many chunks as there are threads. It is launched at
several paces (what the caller does between two jobs) and beside busy processes (neighbours), in turn with and without
the pool. Of each the table shows

- `one thread`: the median of the job on the caller alone, at the same pace and beside the same neighbours,
- `ratio`: the median with the pool over that; the best is 1 / threads, and above 1 the pool costs more than it gains,
- `share`: the part of the chunks that the pool's threads ran; the best is (threads - 1) / threads,
- `late`: the median and the 90th percentile of the time until the first thread of the pool began, in microseconds; of
  the jobs in which one did.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from bench.machine import usable
from numgraph.inspector.terminal import make_console

# Microseconds that a job takes on one thread, hot.
JOBS = (20, 100, 500, 3000)
NEIGHBOURS = (0, 1, 2)
# Jobs of one kind in a row, with the pool or without.
ROW = 100
# Cycles in a microsecond, as a plan would expect them.
CYCLES = 3000
# Words of a record: when a chunk began, and in which thread.
RECORD = 8


@dataclass(frozen=True)
class Pace:
    """What the caller does between two jobs. jobs: how many are launched, with the pool and without."""

    name: str
    pause: Callable[[], Any]
    jobs: int = 200


@dataclass(frozen=True)
class Found:
    """The figures of one job at one pace, in microseconds. share: of the chunks."""

    pace: str
    neighbours: int
    job: int
    alone: float
    together: float
    share: float
    late: float | None
    late90: float | None

    @property
    def ratio(self) -> float:
        """The median with the pool over the median on one thread."""
        return self.together / self.alone


def paces() -> list[Pace]:
    """All paces: without a pause, computing in Python, asleep, after another library's threads."""
    matrix = np.ones((500, 500), np.float32)
    return [
        Pace("back to back", lambda: None),
        Pace("Python 0.3 ms", lambda: _compute(3e-4)),
        Pace("Python 2 ms", lambda: _compute(2e-3)),
        Pace("Python 10 ms", lambda: _compute(1e-2), 80),
        Pace("asleep 0.1 ms", lambda: time.sleep(1e-4)),
        Pace("asleep 2 ms", lambda: time.sleep(2e-3)),
        Pace("asleep 20 ms", lambda: time.sleep(2e-2), 60),
        Pace("asleep 100 ms", lambda: time.sleep(1e-1), 20),
        Pace("NumPy product", lambda: matrix @ matrix, 100),
    ]


def _compute(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Job:
    """A chain of dependent multiplications and additions, divided evenly among the chunks; it reads no memory."""

    def __init__(self, threads: int) -> None:
        from numba import cfunc, types
        from numgraph.kernels.support import i64

        from numgraph.runtime.threads import launcher, ready

        clock, self_id = clock_and_thread()

        @cfunc(types.int64(types.int64, types.int64, types.int64), _nrt=False)
        def run(address, chunk, chunks):  # type: ignore[no-untyped-def]
            words = i64(address)
            record = RECORD * (chunk + 1)
            words[record] = clock()
            words[record + 1] = self_id()
            x = np.int64(chunk)
            for _ in range(words[0] // chunks):
                x = x * np.int64(6364136223846793005) + np.int64(1442695040888963407)
            words[record + 2] = x
            return np.int64(0)

        self.function = run
        self.words = np.zeros(RECORD * (threads + 1), np.int64)
        self.threads = threads
        found = launcher() if ready(threads) else None
        if found is None:
            raise SystemExit("there is no pool of threads here: one processor, or a system without POSIX threads")
        self.launcher = found
        self.me = self._thread(1)
        self.work = 0
        self.rate = self._rate()

    def _rate(self) -> float:
        """Steps of the chain in a microsecond, hot."""
        self.words[0] = 200_000
        return float(self.words[0]) / min(self.timed(alone=True) for _ in range(50))

    def _thread(self, chunk: int) -> int:
        self.function.ctypes(self.words.ctypes.data, chunk - 1, 1)
        return int(self.words[RECORD * chunk + 1])

    def timed(self, alone: bool) -> float:
        """Microseconds of one job."""
        self.launcher.want(0 if alone else self.threads - 1)
        began = time.perf_counter_ns()
        self.launcher.launch(self.function.address, self.words.ctypes.data, self.threads, self.work)
        self.began = began
        return (time.perf_counter_ns() - began) / 1e3

    def helped(self) -> tuple[int, float | None]:
        """How many chunks of the last job others ran, and after how many microseconds the first of these began."""
        records = self.words[RECORD:].reshape(self.threads, RECORD)
        others = [int(r[0]) for r in records if r[1] != self.me]
        return len(others), (min(others) - self.began) / 1e3 if others else None


def clock_and_thread() -> tuple[Any, Any]:
    """The clock of `perf_counter_ns`, and what names a thread, as Numba calls them."""
    from llvmlite import ir
    from numba import njit, types
    from numba.core import cgutils
    from numba.extending import intrinsic

    from numgraph.runtime.threads import MONOTONIC

    word = ir.IntType(64)

    @intrinsic
    def clock(typing):  # type: ignore[no-untyped-def]
        def made(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            pair = ir.LiteralStructType([word, word])
            place = cgutils.alloca_once(builder, pair)
            kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32), pair.as_pointer()])
            function = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
            builder.call(function, [ir.Constant(ir.IntType(32), MONOTONIC), place])
            seconds, rest = (builder.extract_value(builder.load(place), k) for k in (0, 1))
            return builder.add(builder.mul(seconds, ir.Constant(word, 1_000_000_000)), rest)

        return types.int64(), made

    @intrinsic
    def thread(typing):  # type: ignore[no-untyped-def]
        def made(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(word, []), "pthread_self")
            return builder.call(function, [])

        return types.int64(), made

    return njit(lambda: clock()), njit(lambda: thread())


@contextmanager
def beside(count: int) -> Iterator[None]:
    """So many processes that compute all the time."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.3 if busy else 0)
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measured(job: Job, pace: Pace, size: int, neighbours: int, scale: float = 1.0) -> Found:
    """A job of `size` microseconds at a pace. scale: of the number of jobs."""
    job.words[0], job.work = int(size * job.rate), size * CYCLES
    times: dict[bool, list[float]] = {True: [], False: []}
    chunks, late = 0, []
    row = min(ROW, pace.jobs // 2)
    for number in range(max(int(2 * pace.jobs * scale / row), 2)):
        alone = number % 2 == 0
        for _ in range(row):
            pace.pause()
            times[alone].append(job.timed(alone))
            if not alone:
                count, after = job.helped()
                chunks += count
                late += [after] if after is not None else []
    share = chunks / (len(times[False]) * job.threads)
    middle, high = np.percentile(late, [50, 90]) if late else (None, None)
    return Found(pace.name, neighbours, size, *(float(np.median(times[k])) for k in (True, False)), share, middle, high)


def table(found: Sequence[Found], neighbours: int) -> Table:
    """The figures beside so many neighbours."""
    made = Table(title=f"{neighbours} busy neighbours", title_justify="left")
    made.add_column("between jobs")
    for name in ("job us", "one thread", "ratio", "share", "late", "late 90 %"):
        made.add_column(name, justify="right", no_wrap=True)
    mine = [f for f in found if f.neighbours == neighbours]
    for before, f in zip([None, *mine], mine, strict=False):
        new = before is None or before.pace != f.pace
        if new and before is not None:
            made.add_section()
        late = ["-" if value is None else f"{value:.0f}" for value in (f.late, f.late90)]
        made.add_row(f.pace if new else "", f"{f.job}", f"{f.alone:.0f}", f"{f.ratio:.2f}", f"{f.share:.2f}", *late)
    return made


def main(arguments: list[str]) -> int:
    """`python -m bench threads`; 0."""
    made = argparse.ArgumentParser(
        prog="python -m bench threads", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--threads", type=int, default=usable(), metavar="N", help="default: all processors")
    made.add_argument("--neighbours", type=int, nargs="*", default=NEIGHBOURS, metavar="N", help="default: 0 1 2")
    made.add_argument("--pace", action="append", metavar="TEXT", help="paces whose name contains it")
    made.add_argument("--scale", type=float, default=1.0, help="of the number of jobs")
    made.add_argument("--json", type=Path, metavar="FILE")
    options = made.parse_args(arguments)
    console = make_console()
    job = Job(options.threads)
    chosen = [p for p in paces() if not options.pace or any(text in p.name for text in options.pace)]
    found: list[Found] = []
    for neighbours in options.neighbours:
        with beside(neighbours):
            found += [measured(job, p, size, neighbours, options.scale) for p in chosen for size in JOBS]
        console.print(table(found, neighbours))
    if options.json:
        options.json.write_text(json.dumps([asdict(f) for f in found], indent=1), encoding="utf-8")
    return 0

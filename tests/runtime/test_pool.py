"""The pool of threads: when a job's chunks are run by others than the caller (the rules of runtime/launcher.ll)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import threads as bench
from numgraph.runtime import threads
from tests.waits import PATIENCE

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no launcher")

# Words: the caller's thread, how long to wait, how many chunks have begun, and per chunk its thread.
CALLER, PAUSE, BEGUN, FIRST = range(4)
MUCH = -1


class Jobs:
    """Jobs of two chunks on a pool of its own, which has the rules that users have."""

    def __init__(self, launcher: threads.Launcher) -> None:
        from numba import cfunc, types
        from numgraph.kernels.support import i64

        clock, thread = bench.clock_and_thread()

        @cfunc(types.int64(types.int64, types.int64, types.int64), _nrt=False)
        def together(address, chunk, chunks):  # type: ignore[no-untyped-def]
            # ends when both chunks have begun, or too late
            words = i64(address)
            words[FIRST + chunk] = thread()
            until = clock() + words[PAUSE]
            while clock() < until and (words[FIRST] == 0 or words[FIRST + 1] == 0):
                pass
            return np.int64(0)

        @cfunc(types.int64(types.int64, types.int64, types.int64), _nrt=False)
        def held_up(address, chunk, chunks):  # type: ignore[no-untyped-def]
            # in another thread than the caller's a chunk takes a while; the caller's waits until that one has begun
            words = i64(address)
            words[FIRST + chunk] = thread()
            until = clock() + words[PAUSE]
            other = thread() != words[CALLER]
            while clock() < until and (other or words[FIRST] == 0 or words[FIRST + 1] == 0):
                pass
            return np.int64(0)

        self.launcher = launcher
        self.words = np.zeros(8, np.int64)
        self.kinds = {"together": together, "held up": held_up}
        self.run("together", 0)
        self.words[CALLER] = self.words[FIRST]
        launcher.want(1)

    def run(self, kind: str, work: int, seconds: float = 0.0) -> int:
        """How many chunks of a job ran in other threads than the caller's."""
        self.words[FIRST:] = 0
        self.words[PAUSE] = int(seconds * 1e9)
        self.launcher.launch(self.kinds[kind].address, self.words.ctypes.data, 2, work)
        return int((self.words[FIRST : FIRST + 2] != self.words[CALLER]).sum())


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Jobs whose pool has the rules that users have; tests have one whose threads are always woken, see conftest."""
    monkeypatch.setitem(threads.RULES, "WORTH_CYCLES", threads.WORTH_CYCLES)
    launcher = threads.launcher.__wrapped__()
    assert launcher is not None
    yield Jobs(launcher)
    launcher.want(0)


def asleep() -> None:
    """Until every worker sleeps that has nothing to do."""
    time.sleep(20 * threads.RULES["LONG_WATCH"] / 1e9)


def threads_of_process() -> set[int]:
    """The system's numbers of this process's threads."""
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def test_a_long_call_starts_and_wakes_the_threads(jobs: Jobs) -> None:
    assert jobs.run("together", MUCH, PATIENCE) == 1
    for _ in range(3):
        asleep()
        assert jobs.run("together", threads.WORTH_CYCLES, PATIENCE) == 1


def test_a_short_call_leaves_sleepers_alone(jobs: Jobs) -> None:
    assert jobs.run("together", 0) == 0
    assert jobs.run("together", MUCH, PATIENCE) == 1
    asleep()
    for _ in range(5):
        assert jobs.run("together", threads.WORTH_CYCLES - 1, 1e-6) == 0
        time.sleep(2 * threads.RULES["LONG_WATCH"] / 1e9)


def test_short_calls_in_a_row_wake_them(jobs: Jobs) -> None:
    end = time.perf_counter() + PATIENCE
    helped = 0
    while not helped and time.perf_counter() < end:
        # both chunks by the caller: each waits for the other, in vain
        helped = jobs.run("together", 0, 5e-5)
    assert helped


def test_a_thread_that_is_put_aside_is_left_alone_for_a_while(jobs: Jobs) -> None:
    # it is put aside for so long that any rest is as long as rests may be
    aside = 20 * threads.RULES["MOST_GAIN"] / 1e9
    rest = threads.RULES["LONG_REST"] / 1e9
    assert jobs.run("held up", MUCH, aside) == 1
    began = time.perf_counter()
    alone = [jobs.run("together", MUCH, 2e-3) for _ in range(3)]
    if time.perf_counter() - began < rest / 2:
        assert alone == [0] * 3
    time.sleep(2 * rest)
    assert jobs.run("together", MUCH, PATIENCE) == 1


def test_workers_keep_off_the_processor_of_the_caller(jobs: Jobs) -> None:
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one processor, or no way to say where threads run")
    allowed = os.sched_getaffinity(0)
    before = threads_of_process()
    assert jobs.run("together", MUCH, PATIENCE) == 1
    (worker,) = threads_of_process() - before
    asleep()
    here = {min(allowed)}
    try:
        os.sched_setaffinity(0, allowed)
        assert jobs.run("together", MUCH, PATIENCE) == 1
        assert len(os.sched_getaffinity(worker)) == len(allowed) - 1
        # a caller that is on one processor says nothing
        os.sched_setaffinity(0, here)
        asleep()
        jobs.run("together", MUCH, 0.01)
        assert os.sched_getaffinity(worker)
    finally:
        os.sched_setaffinity(0, allowed)

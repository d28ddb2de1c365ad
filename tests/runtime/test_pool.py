"""The pool of threads: when a job's chunks are run by others than the caller (the rules of runtime/launcher.ll)."""

from __future__ import annotations

import ctypes
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import threads as bench
from numgraph.runtime import native, threads
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


class Trials:
    """What the pool knows of a program (the words of runtime/trials.ll), and steps that take as long as is said."""

    WORDS = ("address", "first", "time", "mixed", "preferred", "way", "steps", "trial")
    JOB, ADDRESS = 4096, 1 << 20

    def __init__(self, engine: Any) -> None:
        def found(name: str, result: Any, count: int) -> Any:
            return ctypes.CFUNCTYPE(result, *[ctypes.c_int64] * count)(engine.get_function_address(name))

        self.step, self.word = found("step", ctypes.c_int64, 3), found("word", ctypes.c_int64, 2)
        self.spend, self.note = found("spend", None, 2), found("note", None, 3)

    def steps(self, together: int, alone: int, count: int, work: int = 1000, address: int = ADDRESS) -> list[int]:
        """Which way steps went that take so many microseconds: 0, together, or 1, alone."""
        found = []
        for _ in range(count):
            program = self.step(self.JOB, address, work)
            found.append(self.word(program, self.WORDS.index("way")))
            time = 1000 * (alone if found[-1] else together)
            # two jobs, and in between another one
            self.spend(program, time // 3)
            assert self.step(self.JOB + 1, address, work) == program
            self.spend(program, time - time // 3)
        return found


@pytest.fixture
def open_pool() -> tuple[threads.Launcher, Trials]:
    """A pool, and what it knows of programs."""
    text = re.sub(r"define internal (\w+ @(?:step|spend|word|note)\()", r"define \1", threads.assembly())
    return native.of_assembly(
        text, lambda: ("launch", native.emission_of(text).result()), lambda e: (threads._loaded(e), Trials(e))
    )


@pytest.fixture
def trials(open_pool: tuple[threads.Launcher, Trials]) -> Trials:
    return open_pool[1]


RULES = threads.RULES
# Steps until a trial is over, at most.
SOON = RULES["TRIAL_FIRST"] + 2 * RULES["TRIAL_STEPS"]


def test_a_program_that_is_slower_together_runs_alone(trials: Trials) -> None:
    assert not any(trials.steps(530, 370, RULES["TRIAL_FIRST"]))
    trials.steps(530, 370, SOON)
    ways = trials.steps(530, 370, 20_000)
    assert ways.count(0) < 0.01 * len(ways)
    # and together again when that is better
    trials.steps(210, 370, 2 * RULES["TRIAL_MOST"])
    ways = trials.steps(210, 370, 20_000)
    assert ways.count(1) < 0.01 * len(ways)


def test_a_change_is_found_at_once(trials: Trials) -> None:
    trials.steps(210, 370, 20_000)
    ways = trials.steps(530, 370, RULES["TRIAL_SLOW"] + 4 * RULES["TRIAL_STEPS"])
    assert ways[-1] == 1


def test_steps_of_more_work_take_longer(trials: Trials) -> None:
    trials.steps(210, 370, 20_000)
    for factor in (3, 10, 1, 5):
        assert not any(trials.steps(210 * factor, 370 * factor, RULES["TRIAL_SLOW"] * 4, 1000 * factor))


def test_a_small_difference_changes_nothing(trials: Trials) -> None:
    ways = trials.steps(200, 190, 20_000)
    assert 0 < ways.count(1) < 0.01 * len(ways)


def test_long_steps_are_not_tried(trials: Trials) -> None:
    assert not any(trials.steps(RULES["TRIAL_LONGEST"] // 1000 + 1, 100, 1000))


def test_another_program_in_the_same_place_begins_anew(trials: Trials) -> None:
    trials.steps(530, 370, 2 * SOON)
    places = {trials.step(trials.JOB, trials.ADDRESS + 64 * k, 1) for k in range(10_000)}
    assert len(places) <= 64
    assert not any(trials.steps(530, 370, RULES["TRIAL_FIRST"]))
    # nor does one whose first job is another than that of a program which had its memory before
    trials.spend(trials.step(trials.JOB, trials.ADDRESS, 1), RULES["ENDLESS"] + 1)
    assert trials.word(trials.step(trials.JOB + 2, trials.ADDRESS, 1), trials.WORDS.index("first")) == trials.JOB + 2


def test_steps_that_went_otherwise_do_not_count(trials: Trials) -> None:
    program = 0
    for _ in range(10 * RULES["TRIAL_FIRST"]):
        program = trials.step(trials.JOB, trials.ADDRESS, 1000)
        trials.spend(program, 1000)
        trials.note(program, trials.WORDS.index("mixed"), 1)
    assert trials.word(program, trials.WORDS.index("steps")) == 0


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


def test_the_pool_leaves_a_program_alone_that_is_faster_so(open_pool: tuple[threads.Launcher, Trials]) -> None:
    launcher, trials = open_pool
    jobs = Jobs(launcher)
    program = trials.step(jobs.kinds["together"].address, jobs.words.ctypes.data, MUCH)
    assert jobs.run("together", MUCH, PATIENCE) == 1
    trials.note(program, trials.WORDS.index("preferred"), 1)
    # both chunks by the caller: each waits for the other, in vain
    assert [jobs.run("together", MUCH, 2e-3) for _ in range(5)] == [0] * 5
    assert trials.word(program, trials.WORDS.index("time")) > 2e6
    end = time.perf_counter() + PATIENCE
    helped = 0
    while not helped and time.perf_counter() < end:
        # it may have been put aside before, which is another rule
        trials.note(program, trials.WORDS.index("trial"), 1)
        helped = jobs.run("together", MUCH, 2e-3)
    launcher.want(0)
    assert helped


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

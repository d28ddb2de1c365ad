"""The process in which one peer lives: `python -m bench.worker PEER THREADS`, commands and answers pickled in pipes.

Answers are pairs (status, content); `STATUS` says what there is.
"""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, BinaryIO

import numpy as np

from bench import peers, training
from bench.machine import wait_until_asleep
from bench.peers import Peer, Program
from bench.problems import Array, Sizes

STATUS = ("ok", "not offered", "not installed", "failed")
# A measurement is preceded by this share of its calls, untimed: another process had the caches meanwhile.
WARM_UP = 0.2


class Bench:
    """The commands of a worker; each method that has a public name is one."""

    def __init__(self, peer: Peer, threads: int) -> None:
        self.peer, self.threads = peer, threads
        self.program: Program | None = None
        self.run: Callable[[int], float] = _nothing_built
        self.count: dict[float, int] = {}

    def hello(self) -> dict[str, str]:
        """The versions of the peer's packages."""
        try:
            return {name: version(name) for name in self.peer.packages}
        except PackageNotFoundError as error:
            raise ImportError(f"{error.name} is not installed") from error

    def build(self, kind: str, sizes: Sizes, way: str, checked: int, swept: int) -> tuple[str, list[Array]]:
        """Make the program; returns the idiom and what `checked` calls gave. swept: steps of a timed sweep."""
        self.drop()
        program = self.program = peers.build(self.peer, kind, sizes, self.threads)
        if way == "sweep" and program.sweep is None:
            raise peers.NotOffered("no sweep in this version")
        # a loop is not sweeping: its calls are timed like any others, as many as there is time for
        self.run = sweeps(program, swept) if way == "sweep" and not program.loops else calls(program)
        values = outcome(program, kind, way, checked)
        wait_until_asleep()
        return (program.sweep_how if way == "sweep" else program.how), values

    def measure(self, least: float) -> float:
        """Seconds per call, over at least about `least` seconds after a warm-up."""
        if least not in self.count:
            self.count[least] = calibrated(self.run, least)
        count = self.count[least]
        if count > 1 or not hasattr(self.run, "unit"):  # one long sweep warms up by itself
            self.run(max(1, int(count * WARM_UP)))
        gc.disable()
        try:
            return self.run(count)
        finally:
            gc.enable()
            wait_until_asleep()

    def drop(self) -> None:
        """Forget the program."""
        self.program, self.run, self.count = None, _nothing_built, {}
        gc.collect()


def _nothing_built(count: int) -> float:
    raise RuntimeError("build comes before measure")


def outcome(program: Program, kind: str, way: str, count: int) -> list[Array]:
    """The outputs of the first calls and the state after them, as `problems.expected` has them."""
    program.reset()
    if program.given is not None:
        costs = np.array([np.asarray(cost) for cost in program.given(count)])
        return [costs, *(np.array(a) for a in program.state()), summary(program, kind)]
    if way == "sweep" and program.sweep is not None:
        outputs = program.sweep(count)
    else:
        outputs = [np.array(program.call(*arguments)) for arguments in program.arguments[:count]]
    state = [np.asarray(a) for a in program.state()]
    if kind == "lstm":
        return state
    if state:
        return [np.array([np.asarray(output) for output in outputs]), *state]
    return [outputs[-1]]


def summary(program: Program, kind: str) -> Array:
    """What calls that draw for themselves give, as `training.summarized` has it."""
    program.reset()
    before = [np.array(a) for a in program.state()]
    costs = np.array([np.asarray(program.call(*each)) for each in program.arguments[: training.SUMMARIZED]])
    return training.summarized(kind, costs, before, [np.array(a) for a in program.state()])


def calls(program: Program) -> Callable[[int], float]:
    """A function that makes so many calls and returns seconds per call. It goes on where it stopped."""
    endless = itertools.cycle(program.arguments)
    length, call = len(program.arguments), program.call

    def run(count: int) -> float:
        # at most a few thousand references at once; whole rounds beyond that
        rounds, chunk = (1, count) if count <= 4 * length else (-(-count // length), length)
        arguments = list(itertools.islice(endless, chunk))
        repeat = itertools.repeat(None, rounds)
        began = time.perf_counter()
        for _ in repeat:
            for each in arguments:
                call(*each)
        return (time.perf_counter() - began) / (rounds * chunk)

    return run


def sweeps(program: Program, steps: int) -> Callable[[int], float]:
    """A function that makes so many sweeps of `steps` steps and returns seconds per step."""
    sweep = program.sweep
    assert sweep is not None
    steps = min(steps, len(program.arguments))

    def run(count: int) -> float:
        began = time.perf_counter()
        for _ in itertools.repeat(None, count):
            sweep(steps)
        return (time.perf_counter() - began) / (count * steps)

    run.unit = steps  # type: ignore[attr-defined]
    return run


def calibrated(run: Callable[[int], float], least: float) -> int:
    """How many calls take `least` seconds."""
    unit = getattr(run, "unit", 1)
    run(1)
    count = 1
    while True:
        each = max(run(count) * unit, 1e-9)
        if each * count >= least / 4 or count > 1e8:
            return max(1, round(least / each))
        count = min(count * 10, max(count + 1, round(least / 2 / each)))


def answer(bench: Bench, command: tuple[Any, ...]) -> tuple[str, Any]:
    """What a command gives, with its status."""
    name, *arguments = command
    try:
        return "ok", getattr(bench, name)(*arguments)
    except peers.NotOffered as error:
        return "not offered", str(error)
    except ImportError as error:
        return "not installed", str(error)
    except Exception as error:  # whatever a library raises is a result to report
        trace = traceback.extract_tb(error.__traceback__)[-1]
        text = (str(error).strip() or "no message").splitlines()[0][:300]
        return "failed", f"{type(error).__name__}: {text} ({trace.name}, line {trace.lineno})"


def serve(bench: Bench, commands: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the pipe closes."""
    while True:
        try:
            command = pickle.load(commands)
        except EOFError:
            return
        pickle.dump(answer(bench, command), answers)
        answers.flush()


def main() -> None:
    """What libraries print goes to standard error: standard output is the pipe."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    serve(Bench(peers.named(sys.argv[1]), int(sys.argv[2])), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()

"""Programs in processes of their own, since a program may crash its process or hang."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from numgraph.config import config
from tests.differential.draw import draw
from tests.differential.judge import Fault, judge, script
from tests.differential.program import Program
from tests.differential.shrink import shrunk, signature

# For one program, seconds of a processor, and seconds on the clock, since others may have the processor; and programs
# after which a process ends: compiled code is never given back.
LIMIT, WAIT, LIFE = 240.0, 1200.0, 150
# Bytes of addresses of a process: programs need a hundredth, but for those whose arrays grow from call to call.
MEMORY = 12 << 30


@dataclass(frozen=True)
class Task:
    """What is fuzzed. bug: the name of an old fault to put back."""

    target: str
    themes: tuple[str, ...] = ()
    bug: str | None = None

    def draw(self, seed: int) -> Program:
        return draw(seed, small=self.target != "cpu", only=self.themes)


@dataclass
class Verdict:
    """A fault by its sort, None for none; the kinds that were drawn, the calls that were right."""

    sort: str | None = None
    message: str = ""
    program: Program | None = None
    kinds: frozenset[str] = frozenset()
    calls: int = 0


def verdict(task: Task, program: Program) -> Verdict:
    kinds = frozenset(program.kinds)
    try:
        calls = judge(program, task.target)
    except Fault as fault:
        return Verdict(fault.sort, str(fault), program, kinds)
    except Exception as error:
        return Verdict(f"the judge fails: {type(error).__name__}", repr(error), program, kinds)
    return Verdict(kinds=kinds, calls=calls)


def limited() -> None:
    """Have this process refuse to grow beyond `MEMORY`, rather than be killed with whatever else runs."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def serve(connection: Connection, task: Task) -> None:
    """The loop of a worker: a seed or a program comes in, a verdict goes out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limited()
    if task.bug is not None:
        from tests.differential.bugs import BUGS

        # what is compiled with the fault must not be found by who has it not
        config.cache_dir = config.cache_dir / task.bug
        BUGS[task.bug].put_back()
    while True:
        asked = connection.recv()
        if asked is None:
            return
        connection.send(verdict(task, task.draw(asked) if isinstance(asked, int) else asked))


class Worker:
    """A process that judges programs; another one after a crash, a hang, or `LIFE` programs."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.process: Any = None
        self.served = 0

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.task), daemon=True)
        self.process.start()
        theirs.close()
        self.served = 0

    def ask(self, asked: int | Program) -> Verdict:
        if self.process is None or self.served >= LIFE:
            self.stop()
            self.start()
        self.served += 1
        try:
            self.connection.send(asked)
            begin, used = time.monotonic(), self.used()
            while time.monotonic() - begin < (WAIT if self.used() - used < LIMIT else 0.0):
                if self.connection.poll(min(10.0, WAIT)):
                    return self.connection.recv()
            sort = "hang"
        except (EOFError, OSError):
            self.process.join(5)
            sort = f"the process ends: {-(self.process.exitcode or 0)}"
        self.stop()
        program = asked if isinstance(asked, Program) else self.task.draw(asked)
        return Verdict(sort, sort, program, frozenset(program.kinds))

    def used(self) -> float:
        """Processor seconds of the process so far; where the system does not tell, those on the clock."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return time.monotonic()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.connection.close()
            self.process = None


@dataclass
class Tally:
    """What a run has done so far."""

    programs: int = 0
    calls: int = 0
    unbuilt: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    seeds: dict[str, list[int]] = field(default_factory=dict)

    def table(self, seconds: float) -> str:
        lines = [
            f"{self.programs} programs ({self.unbuilt} refused by all), {self.calls} calls compared, "
            f"{self.programs / max(seconds, 1e-9):.2f} programs a second"
        ]
        lines += [f"  {count:6} programs with {kind}" for kind, count in self.kinds.most_common()]
        lines.append(f"{sum(self.faults.values())} programs fail, {len(self.faults)} kinds of faults")
        lines += [f"  {count:6} {name}  (seeds {self.seeds[name][:5]})" for name, count in self.faults.most_common()]
        return "\n".join(lines)


class Run:
    """Seeds given out to workers, verdicts gathered."""

    def __init__(
        self, task: Task, first: int, minutes: float, programs: int | None = None, shrink: bool = True
    ) -> None:
        self.task, self.shrink = task, shrink
        self.until = time.monotonic() + 60 * minutes
        self.seeds: Iterator[int] = iter(range(first, first + (programs if programs is not None else 10**12)))
        self.tally = Tally()
        self.lock = threading.Lock()

    def go(self, jobs: int) -> Tally:
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.tally

    def work(self) -> None:
        worker = Worker(self.task)
        while time.monotonic() < self.until:
            with self.lock:
                seed = next(self.seeds, None)
            if seed is None:
                break
            found = worker.ask(seed)
            with self.lock:
                self.tally.programs += 1
                self.tally.calls += found.calls
                self.tally.unbuilt += found.sort is None and not found.calls
                self.tally.kinds.update(found.kinds)
                if self.tally.programs % 100 == 0:
                    print(f"# {self.tally.programs} programs, {sum(self.tally.faults.values())} fail", flush=True)
            if found.sort is not None:
                self.report(seed, found, worker)
        worker.stop()

    def is_old(self, program: Program) -> bool:
        """Whether a program goes wrong only because of the fault that was put back."""
        worker = Worker(replace(self.task, bug=None))
        verdict = worker.ask(program)
        worker.stop()
        return verdict.sort is None

    def report(self, seed: int, found: Verdict, worker: Worker) -> None:
        """Make a failing program small, print it and go on."""
        assert found.program is not None and found.sort is not None
        if self.task.bug is not None:
            if not self.is_old(found.program):
                return
            self.until = 0.0
            print(f"old fault {self.task.bug}: found by program {self.tally.programs}", flush=True)
        small, sort = found.program, found.sort
        if self.shrink:
            print(f"# seed {seed}: {sort}; being made smaller", flush=True)
            small = shrunk(small, lambda p: worker.ask(p).sort == sort, seconds=1200.0 if sort == "hang" else 300.0)
        message = worker.ask(small).message if self.shrink else found.message
        name = signature(small, sort)
        with self.lock:
            self.tally.faults[name] += 1
            self.tally.seeds.setdefault(name, []).append(seed)
            if self.tally.faults[name] <= 2:
                print(f"# seed {seed}: {sort}\n# {message[:1500]!r}\n{script(small, self.task.target)}\n", flush=True)
            else:
                print(f"# seed {seed}: {name} once more", flush=True)

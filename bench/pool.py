"""The workers from outside: one process per peer, asked in turn, so that at most one of them computes at a time."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from bench import machine
from bench.peers import Peer, named

# Each names the number of threads of some library.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def environment(threads: int, caches: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that uses so many threads. caches: variables that place caches."""
    path = os.pathsep.join(filter(None, [str(machine.ROOT), os.environ.get("PYTHONPATH")]))
    return machine.environment() | dict.fromkeys(THREADS, str(threads)) | {"PYTHONPATH": path} | (caches or {})


def confine(pid: int, threads: int) -> None:
    """Let a process use so many processors only, for libraries (XLA) that know no other way; no effect elsewhere.

    The process has to be young: libraries count processors when they start.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        if threads < len(allowed):
            os.sched_setaffinity(pid, allowed[:threads])


class Worker:
    """A process that runs one peer. After `ended` is set, every command is answered with it."""

    def __init__(self, peer: Peer, threads: int) -> None:
        self.peer = peer
        self.ended: tuple[str, str] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process, closed by close()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "bench.worker", peer.name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(threads),
        )
        confine(self._process.pid, threads)
        self._answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Runs in a thread, so that waiting for an answer can end at a time limit on any system."""
        assert self._process.stdout is not None
        try:
            while True:
                self._answers.put(pickle.load(self._process.stdout))
        except Exception:  # the pipe is closed, or cut in the middle of an answer
            self._answers.put(("ended", ""))

    def send(self, *command: Any) -> None:
        """Give a command; `receive` has the answer."""
        if self.ended:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended: receive says so
            pickle.dump(command, self._process.stdin)
            self._process.stdin.flush()

    def receive(self, limit: float) -> tuple[str, Any]:
        """The answer, ("ok", content) or (status, why). A worker that takes longer than `limit` seconds is killed."""
        if self.ended:
            return self.ended
        try:
            got = self._answers.get(timeout=limit)
        except queue.Empty:
            self.ended = ("too slow", f"over {limit:.0f} s")
            self._process.kill()
            return self.ended
        if got[0] == "ended":
            self._log.seek(0)
            last = self._log.read().decode(errors="replace").strip().splitlines()[-1:]
            self.ended = ("failed", f"the process ended: {' '.join(last)[:300]}")
            return self.ended
        return got

    def ask(self, limit: float, *command: Any) -> tuple[str, Any]:
        """Give a command and wait for the answer."""
        self.send(*command)
        return self.receive(limit)

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(OSError):  # unsent commands cannot be flushed
                stream.close()  # type: ignore[union-attr]


class Pool:
    """The workers of some peers, started as they are needed and again after one had to be killed."""

    def __init__(self, names: list[str], threads: int, limit: float) -> None:
        self.names, self.threads, self.limit = names, threads, limit
        self._workers: dict[str, Worker] = {}

    def worker(self, name: str) -> Worker:
        """The worker of a peer, alive."""
        known = self._workers.get(name)
        if known is not None and known.ended:
            known.close()
            known = None
        if known is None:
            known = self._workers[name] = Worker(named(name), self.threads)
        return known

    def all(self, names: list[str], *command: Any) -> dict[str, tuple[str, Any]]:
        """The answers of several workers that work at the same time: for what is not timed."""
        began = time.monotonic()
        for name in names:
            self.worker(name).send(*command)
        return {n: self._workers[n].receive(max(1.0, self.limit - (time.monotonic() - began))) for n in names}

    def in_turn(
        self, names: list[str], least: float, repeats: int, patience: float = math.inf
    ) -> dict[str, list[float] | tuple[str, str]]:
        """Seconds per call, `repeats` measurements of each, in rounds that start with another peer each time.

        A peer that fails or takes too long is left out from there on, and has (status, why) instead. No round is begun
        after `patience` seconds, except for the first three.
        """
        seconds: dict[str, list[float] | tuple[str, str]] = {name: [] for name in names}
        began = time.monotonic()
        for k in range(repeats):
            if k >= 3 and time.monotonic() - began > patience:
                break
            shift = k % len(names) if names else 0
            order = names[shift:] + names[:shift]
            for name in order if k % 2 == 0 else reversed(order):
                taken = seconds[name]
                if isinstance(taken, tuple):
                    continue
                status, content = self._workers[name].ask(self.limit, "measure", least)
                if status == "ok":
                    taken.append(content)
                else:
                    seconds[name] = (status, content)
        return seconds

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

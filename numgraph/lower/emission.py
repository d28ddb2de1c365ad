"""Machine code that is made while Python works on something else.

LLVM needs none of Python's locks, and works on modules of different contexts side by side. So what has been lowered has
its machine code made by other threads, `config.threads` with the one that lowers; who asks for code helps.

llvmlite holds a lock of its own in each call, which would have all that wait for one another. The two calls that take
long are made without it (`unlocked`); nothing else is used of llvmlite that has no public name.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from _thread import allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from llvmlite.binding import ffi

from numgraph.config import config
from numgraph.whole import EMITTING


def unlocked(name: str) -> Any:
    """A C function of llvmlite's without its lock, for modules whose context no other thread knows."""
    function = getattr(ffi.lib, name)
    return getattr(function, "_cfn", function)


def emitted(module: Any, machine: Any, passes: tuple[Any, Any] | None = None) -> bytes:
    """The object code of a module in a context of its own. passes: a manager of LLVM's, which come first, and the
    builder that it is of.

    Whoever takes Python's lock here waits for a few milliseconds, so there is little between the two calls.
    """
    if passes:
        unlocked("LLVMPY_RunNewModulePassManager")(passes[0], module, passes[1])
    with ffi.OutputString() as error:
        buffer = unlocked("LLVMPY_TargetMachineEmitToMemory")(machine, module, 1, error)
        if not buffer:
            raise RuntimeError(str(error))
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


class _Job:
    """One part of an emission, which the first thread that is free makes."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        # not kept longer than needed: it holds what was lowered
        self.make: Callable[[], bytes] | None = make
        self.code = b""
        self.done = allocate_lock()
        self.done.acquire()

    def run(self) -> None:
        """Make it; who asks for what failed makes it again, and gets the error."""
        try:
            with contextlib.suppress(BaseException):
                self.finish()
        finally:
            self.done.release()

    def finish(self) -> bytes:
        """The code, which no other thread is making."""
        if self.make is not None:
            self.code, self.make = self.make(), None
        return self.code


class Emission:
    """Machine code in the making, in parts.

    Who makes one, and who asks for its result, holds COMPILING. EMITTING is held while threads are at work for it: a
    fork, and the end of the process, wait until they are not.
    """

    waiting: ClassVar[deque[_Job]] = deque()
    workers: ClassVar[int] = 0
    _changing = allocate_lock()

    def __init__(self, makes: Iterable[Callable[[], bytes]]) -> None:
        self.jobs: list[_Job] = []
        for make in makes:
            job = _Job(make)
            self.jobs.append(job)
            self.waiting.append(job)
            self.begin()

    def result(self) -> list[bytes]:
        """The machine code of each part."""
        for job in self.jobs:
            with self._changing:
                mine = job in self.waiting
                if mine:
                    self.waiting.remove(job)
            if mine:
                job.run()
        for job in self.jobs:
            with job.done:
                pass
        return [job.finish() for job in self.jobs]

    @classmethod
    def begin(cls) -> None:
        """Have threads work on what waits."""
        with cls._changing:
            # while the interpreter ends, a thread would begin (before Python 3.12) and never get on
            while cls.workers < min(len(cls.waiting), max(1, config.threads - 1)) and not sys.is_finalizing():
                first = cls.workers == 0
                if first:
                    EMITTING.acquire()
                try:
                    start_new_thread(cls._work, ())
                except RuntimeError:  # no threads any more
                    if first:
                        EMITTING.release()
                    return
                cls.workers += 1

    @classmethod
    def _work(cls) -> None:
        while True:
            with cls._changing:
                if not cls.waiting:
                    cls.workers -= 1
                    if not cls.workers:
                        EMITTING.release()
                    return
                job = cls.waiting.popleft()
            job.run()


def _forsake() -> None:
    """In the child of a fork, which has none of the threads."""
    Emission.workers = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forsake)

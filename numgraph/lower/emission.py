"""Machine code that is made while Python works on something else.

LLVM works without Python's lock, but one call at a time (llvmlite has a lock of its own). So machine code of what has
been lowered waits until another function is being lowered, which is Python's work alone for a while.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from threading import Thread
from typing import ClassVar


class Emission:
    """Machine code to be made by `make`, in a thread of its own if there is work of Python's meanwhile.

    Whoever makes, begins or asks for one holds COMPILING, as for all work of LLVM's, and gives it back when nothing is
    under way any more (`settled`).
    """

    waiting: ClassVar[list[Emission]] = []
    under_way: ClassVar[list[Emission]] = []

    def __init__(self, make: Callable[[], bytes]) -> None:
        # not kept longer than needed: it holds what was lowered
        self.make: Callable[[], bytes] | None = make
        self.thread = Thread(target=self._run, name="numgraph emission")
        self.code = b""
        self.waiting.append(self)

    def _run(self) -> None:
        # who asks for what failed makes it again, and gets the error
        with contextlib.suppress(BaseException):
            self._make()

    def _make(self) -> None:
        if self.make is not None:
            self.code, self.make = self.make(), None

    def result(self) -> bytes:
        """The machine code."""
        if self in self.waiting:
            self.waiting.remove(self)
        if self in self.under_way:
            self.thread.join()
        self._make()
        return self.code

    @classmethod
    def begin(cls) -> None:
        """Begin to make what waits: Python will work for a while without LLVM."""
        # while the interpreter ends, a thread would begin (before Python 3.12) and never get on
        while cls.waiting and not sys.is_finalizing():
            try:
                cls.waiting[-1].thread.start()
            except RuntimeError:  # no threads any more
                return
            cls.under_way.append(cls.waiting.pop())

    @classmethod
    def settled(cls) -> None:
        """Wait for what has begun."""
        while cls.under_way:
            cls.under_way[-1].thread.join()
            cls.under_way.pop()

"""Interrupts at chosen places: one becomes pending just before an instruction, and comes where CPython looks for it.

CPython looks behind calls, at the start of functions and at jumps backwards. What is chosen is the number of the call
or jump, so that nothing depends on time. A trace function of Python would see the interrupt itself; so the one that
makes it pending is C: `PyErr_SetInterrupt`.
"""

from __future__ import annotations

import ctypes
import dis
import gc
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any

from numgraph.whole import CALLS, COMPILING
from tests.waits import together

_LOOKS = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "JUMP_BACKWARD", "CALL_INTRINSIC_1"}
_pend = ctypes.PYFUNCTYPE(None, ctypes.py_object, ctypes.py_object, ctypes.py_object)(
    ("PyErr_SetInterrupt", ctypes.pythonapi)
)
_before: dict[CodeType, set[int]] = {}


def _places(code: CodeType) -> set[int]:
    """Offsets of the instructions behind which one follows that looks for interrupts."""
    found = _before.get(code)
    if found is None:
        instructions = list(dis.get_instructions(code))
        found = {a.offset for a, b in pairwise(instructions) if b.opname in _LOOKS}
        _before[code] = found
    return found


def _interrupt() -> None:
    raise KeyboardInterrupt


class Interrupts:
    """Runs `work` with interrupts at the places `at` (numbers, counted from the start or the interrupt before).

    Meanwhile no garbage is collected: functions that the collector calls (hypothesis has one) would count as places,
    and what is raised in them is lost.

    happened: how many there were. places: how many places were passed behind the last of them. coarse: only the first
    place in each function that is called, where all of them would take too long. action: what the handler does. native:
    the file of functions that stand for such in C, within which nothing is interrupted.
    """

    def __init__(
        self, at: Sequence[int], coarse: bool = False, action: Callable[[], None] = _interrupt, native: str = ""
    ) -> None:
        self.at, self.coarse, self.action, self.native = list(at), coarse, action, native
        self.places = self.happened = 0
        self.pending: FrameType | None = None

    def _local(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode" and frame.f_lasti in _places(frame.f_code):
            if self.pending is None and self.at and self.places == self.at[0]:
                self.at.pop(0)
                self.pending = frame
                # called for the next instruction
                frame.f_trace = _pend
                return _pend
            self.places += 1
        return self._local

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code in (Interrupts._handle.__code__, Interrupts.run.__code__) or self._in_native(frame):
            return None
        frame.f_trace_lines = False
        if self.coarse:
            self.places += 1
            if not self.at or self.pending is not None or self.places <= self.at[0]:
                return None
            self.at.pop(0)
            self.pending = frame
            return self._by_instruction(frame, _pend)
        return self._by_instruction(frame, self._local)

    @staticmethod
    def _by_instruction(frame: FrameType, function: Any) -> Any:
        """Have a frame traced by a function, instruction by instruction."""
        # Python 3.13 looks at the second only where the first is there
        frame.f_trace = function
        frame.f_trace_opcodes = True
        return function

    def _in_native(self, frame: FrameType | None) -> bool:
        while self.native and frame is not None:
            if frame.f_code.co_filename == self.native:
                return True
            frame = frame.f_back
        return False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.pending is None or self._in_native(frame):
            # in the latter case it is pending again when that is left
            return
        self.pending.f_trace = self._local if self.at else None
        self.pending = None
        self.happened += 1
        self.places = 0
        self.action()

    def run(self, work: Callable[[], Any]) -> Any:
        """What `work` gives, or the KeyboardInterrupt that ended it."""
        before, traced, collects = signal.signal(signal.SIGINT, self._handle), sys.gettrace(), gc.isenabled()
        gc.disable()
        # Python 3.12 looks at this when `settrace` is called
        sys._getframe().f_trace_opcodes = True
        try:
            try:
                sys.settrace(self._trace)
                return work()
            finally:
                sys.settrace(traced)
        except KeyboardInterrupt as error:
            return error.with_traceback(None)
        finally:
            signal.signal(signal.SIGINT, before)
            if collects:
                gc.enable()


def places(work: Callable[[], Any], coarse: bool = False) -> int:
    """The number of places at which `work` can be interrupted."""
    counted = Interrupts([], coarse)
    counted.run(work)
    return counted.places


def everywhere(work: Callable[[], Any], most: int = 10_000) -> Iterator[tuple[int, Any]]:
    """(place, what came out) of `work` interrupted at each place; at `most` of them, evenly spread."""
    count = places(work)
    for place in range(0, count, max(1, -(-count // most))):
        yield place, Interrupts([place]).run(work)


def free(lock: Any, patience: float = 30.0) -> bool:
    """Whether another thread gets a lock: at once, unless work goes on for an interrupted caller."""
    got: list[bool] = []

    def look() -> None:
        got.append(lock.acquire(timeout=patience))
        if got[0]:
            lock.release()

    together(look)
    return got[0]


def all_free() -> bool:
    """Whether every lock of numgraph's is free."""
    return free(CALLS) and free(COMPILING)

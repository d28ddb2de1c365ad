"""Runs a script to see which functions it builds: until it calls one of them, or to its end."""

from __future__ import annotations

import io
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any

from numgraph.function import Function
from numgraph.inspector.places import Places
from numgraph.inspector.record import LIVE, UNNAMED
from numgraph.source import SourceLine, current_line, is_users
from numgraph.text import printable


class Stopped(BaseException):
    """Raised by the call at which a script is stopped. No Exception: what a script does about errors does not concern
    it, while `finally` blocks are executed."""


@dataclass
class Script:
    """A script that has been run.

    functions: in the order in which they were built, those included that the script itself kept no longer. stop: the
    line of the call at which it was stopped. error: what it raised. status: what it gave to `sys.exit`.
    """

    path: Path
    functions: list[Function] = field(default_factory=list)
    scopes: list[dict[str, Any]] = field(default_factory=list)
    stop: SourceLine | None = None
    error: BaseException | None = None
    status: Any = None

    @property
    def places(self) -> Places:
        """Where the functions are to be found."""
        return Places(self.functions, self.scopes)

    def title(self) -> None:
        """Call the functions that have no name after the variables that hold them, or `function 2` after their
        number."""
        places = self.places
        for number, f in enumerate(self.functions):
            if f.record.name == UNNAMED:
                several = len(self.functions) > 1
                f.record.name = places.path(f) or (f"{UNNAMED} {number}" if several else UNNAMED)

    def listing(self) -> str:
        """A line for each function: number, name, the variable that holds it, and the user's line."""
        places = self.places
        rows = []
        for number, f in enumerate(self.functions):
            line = str(f.program.line or "")
            rows.append((str(number), printable(f.name or "(no name)"), printable(places.path(f)), line))
        widths = [max((len(row[k]) for row in rows), default=0) for k in range(4)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(f"  {line.rstrip()}" for line in lines)

    def ending(self) -> str:
        """In words, how it ended: `stopped at its first call, train.py:31 in main`."""
        if self.error is not None:
            where = _innermost(self.error)
            return f"stopped with {type(self.error).__name__}{f' at {where}' if where else ''}"
        if self.stop is not None:
            return f"was stopped at a call, {self.stop}"
        return "ran to its end" if self.status in (None, 0) else f"ended with status {self.status}"

    def print_error(self) -> None:
        """The traceback of what it raised, from its own first line on, on standard error."""
        error = self.error
        if error is not None:
            traceback.print_exception(type(error), error, _own(error.__traceback__, str(self.path.absolute())))


class _Recorder:
    """What is told of each function that is built, and of each call."""

    def __init__(self, script: Script, wanted: Sequence[str], run_on: bool) -> None:
        self.script, self.wanted, self.run_on = script, wanted, run_on
        self.frames: list[FrameType] = []
        # how many functions there were when `wanted` was none of them, and those that were called since
        self.without: tuple[int, set[int]] = (0, set())
        self.said = False

    def built(self, function: Function) -> None:
        """The variables of those who build it are kept, since they may be all that leads to it."""
        self.script.functions.append(function)
        for frame in users_frames():
            if frame.f_locals is not self.script.scopes[0] and frame not in self.frames:
                self.frames.append(frame)
                self.script.scopes.append({})
        if not self.run_on:
            function.watch(self.called)

    def look(self) -> None:
        """Read the variables as they are now."""
        for scope, frame in zip(self.script.scopes[1:], self.frames, strict=True):
            scope.update(frame.f_locals)

    def called(self, function: Function) -> None:
        """Stop, unless the function that is wanted is not there yet."""
        if self.script.stop is None and not self.found(function):
            if not self.said:
                self.said = True
                names = " and ".join(map(printable, self.wanted))
                there = f"{current_line()} calls a function before there is any {names}"
                print(f"numgraph: {there}; the script runs on until it is built", file=sys.stderr)
            return
        self.script.stop = self.script.stop or current_line()
        raise Stopped

    def found(self, function: Function) -> bool:
        """Whether the functions built so far have those that are wanted; asked again when there is reason to."""
        count, called = self.without
        if count == len(self.script.functions) and id(function) in called:
            return False
        if not self.wanted:
            return True
        self.look()
        places = self.script.places
        if all(places.find(name) for name in self.wanted):
            return True
        self.without = len(self.script.functions), ({*called} if count == len(self.script.functions) else set())
        self.without[1].add(id(function))
        return False


def run(path: Path, arguments: Sequence[str], wanted: Sequence[str] = (), run_on: bool = False) -> Script:
    """Run a file as `python FILE ARGUMENTS` would, what it prints going to standard error.

    It is stopped at the first call or sweep of a function that it has built. wanted: at the first call after those of
    these names are there. run_on: never. What the script raises is kept in the result.
    """
    # Python makes it absolute, too
    file_name = str(path.absolute())
    module = ModuleType("__main__")
    vars(module).update(__file__=file_name, __builtins__=__builtins__)
    script = Script(path, scopes=[vars(module)])
    recorder = _Recorder(script, wanted, run_on)
    with LIVE.held(recorder.built), _as_script(module, path, arguments), redirect_stdout(sys.stderr):
        try:
            with io.open_code(file_name) as file:
                code = compile(file.read(), file_name, "exec", dont_inherit=True)
            exec(code, vars(module))
        except Stopped:
            pass
        except SystemExit as end:
            script.status = end.code
        except BaseException as error:
            script.error = error
    recorder.look()
    for function in script.functions:
        function.watch(None)
    if script.error is not None:
        script.scopes += [dict(frame.f_locals) for frame in _frames(script.error.__traceback__)]
    return script


def users_frames() -> Iterator[FrameType]:
    """The functions of the user's that are being executed, the innermost last."""
    frame: FrameType | None = sys._getframe(1)
    found = []
    while frame is not None and frame.f_code is not run.__code__:
        if is_users(frame.f_code.co_filename):
            found.append(frame)
        frame = frame.f_back
    return reversed(found)


@contextmanager
def _as_script(module: ModuleType, path: Path, arguments: Sequence[str]) -> Iterator[None]:
    """What a script finds that is run by Python: `sys.argv`, `sys.path[0]`, and itself as `__main__`."""
    argv, search, main, hook = sys.argv, sys.path, sys.modules["__main__"], threading.excepthook
    sys.argv, sys.path = [str(path), *arguments], [str(path.resolve().parent), *search]
    sys.modules["__main__"] = module
    threading.excepthook = lambda given: None if given.exc_type is Stopped else hook(given)
    try:
        yield
    finally:
        sys.argv, sys.path, sys.modules["__main__"], threading.excepthook = argv, search, main, hook


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        if is_users(trace.tb_frame.f_code.co_filename):
            yield trace.tb_frame
        trace = trace.tb_next


def _innermost(error: BaseException) -> SourceLine | None:
    """The line of the user's that raised."""
    trace, found = error.__traceback__, None
    while trace is not None:
        code = trace.tb_frame.f_code
        if is_users(code.co_filename):
            found = SourceLine(code.co_filename, trace.tb_lineno, code.co_name)
        trace = trace.tb_next
    return found


def _own(trace: TracebackType | None, path: str) -> TracebackType | None:
    """The traceback from the program's first line on; none of it where it did not begin."""
    while trace is not None and trace.tb_frame.f_code.co_filename != path:
        trace = trace.tb_next
    return trace

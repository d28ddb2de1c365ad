"""The user's line behind a variable.

A variable records the frame that made it: the innermost one outside this package. While a gradient or a rewrite builds
nodes on behalf of an older one, `lines_of` makes them carry the older one's line instead.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from numgraph.text import printable

LONGEST_PATH = 200
_PACKAGE = str(Path(__file__).resolve().parent)
_SEPARATED = (_PACKAGE + "/", _PACKAGE + "\\")
# The demo's programs lie in this package but are written as a user would write them: their lines count as the user's.
_PROGRAMS = tuple(folder + "demo" + folder[-1] for folder in _SEPARATED)


class SourceLine(NamedTuple):
    """One line of the user's program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        """`train.py:34 in loss`; the path is relative to the working directory where that is shorter."""
        where = f"{short_path(self.file)}:{self.line}"
        return where if self.function.startswith("<") else f"{where} in {printable(self.function)}"


def short_path(file: str) -> str:
    """`file` relative to the working directory when it lies inside it, else its last two parts; fit to be printed."""
    try:
        return _shortened(file, Path.cwd())
    except OSError:  # the working directory was removed
        return _shortened(file, Path())


@lru_cache(maxsize=256)
def _shortened(file: str, folder: Path) -> str:
    path = Path(file)
    try:
        shown = str(path.relative_to(folder))
    except ValueError:
        shown = "/".join(path.parts[-2:])
    return printable(shown, LONGEST_PATH)


# The lines set by `lines_of`, by the frame that has set them: of this thread are those that are being executed in it,
# and what an interrupt kept from being removed is never executed again.
_set: dict[FrameType, SourceLine | None] = {}


def current_line() -> SourceLine | None:
    """The line that is being executed outside this package, or the one set by `lines_of`."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _set:
        if frame in _set:
            return _set[frame]
        frame = frame.f_back
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_SEPARATED) or name.startswith(_PROGRAMS):
            return SourceLine(name, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return None


class lines_of:  # noqa: N801  # for a `with`
    """Within the block, new variables are said to come from `line`."""

    __slots__ = ("frame", "line", "outer")

    def __init__(self, line: SourceLine | None) -> None:
        self.line = line

    def __enter__(self) -> None:
        self.frame = sys._getframe(1)
        self.outer = _set.get(self.frame, self)
        _set[self.frame] = self.line

    def __exit__(self, *_: object) -> None:
        if isinstance(self.outer, lines_of):
            del _set[self.frame]
        else:
            _set[self.frame] = self.outer

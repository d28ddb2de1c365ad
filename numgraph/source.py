"""The user's line behind a variable.

A variable records the frame that made it: the innermost one outside this package. While a gradient or a rewrite builds
nodes on behalf of an older one, `lines_of` makes them carry the older one's line instead.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from numgraph.text import printable

LONGEST_PATH = 200
# An editable installation may be a tree of links: code knows the link, whoever follows it the file.
_PACKAGES = {str(Path(__file__).parent), str(Path(__file__).resolve().parent)}
_SEPARATED = tuple(folder + separator for folder in sorted(_PACKAGES) for separator in "/\\")
# The demo's programs lie in this package but are written as a user would write them: their lines count as the user's.
_PROGRAMS = tuple(folder + name + folder[-1] for folder in _SEPARATED for name in ("demo", "programs"))


class SourceLine(NamedTuple):
    """One line of the user's program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        """`train.py:34 in loss`; the path is relative to the working directory where that is shorter. `Cell In[2], line
        1` for a cell of a notebook."""
        return together([self])


def together(lines: Sequence[SourceLine]) -> str:
    """Several lines: `train.py:34, 36 in loss, model.py:7`."""
    numbers: dict[tuple[str, str], dict[str, None]] = {}
    for line in lines:
        # a comprehension is a function of its own in older Pythons, and none to a reader
        function = "" if line.function.startswith("<") else line.function
        numbers.setdefault((line.file, function), {})[str(line.line)] = None
    found = []
    for (file, function), several in numbers.items():
        cell, shown = cell_of(file), ", ".join(several)
        where = f"{cell}, line{'s' * (len(several) > 1)} {shown}" if cell else f"{short_path(file)}:{shown}"
        found.append(f"{where} in {printable(function)}" if function else where)
    return ", ".join(found)


def short_path(file: str) -> str:
    """`file` relative to the working directory when it lies inside it, else its last two parts; fit to be printed."""
    try:
        return _shortened(file, Path.cwd())
    except OSError:  # the working directory was removed
        return _shortened(file, Path())


# How IPython calls the source of a cell: at a prompt, and in a notebook.
_PROMPT = re.compile(r"<ipython-input-(\d+)-\w+>")
_KERNEL = re.compile(r".*[/\\]ipykernel_\d+[/\\]\d+\.py")


def cell_of(file: str) -> str:
    """`Cell In[2]` where `file` is what IPython calls the source of a cell, as its tracebacks say; "" elsewhere."""
    found = _PROMPT.fullmatch(file)
    if found:
        return f"Cell In[{found[1]}]"
    if not _KERNEL.fullmatch(file):
        return ""
    # a notebook's cell is called by its content; only IPython knows its number, and it is there if anything runs in it
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    try:
        kind, number = shell.compile.format_code_name(file)
    except (AttributeError, TypeError, ValueError):
        return "Cell"
    return printable(f"{kind} {number}")


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


def is_users(file: str) -> bool:
    """Whether code of this file is the user's: it lies outside this package, or is a program of the demo."""
    return not file.startswith(_SEPARATED) or file.startswith(_PROGRAMS)


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
        if is_users(name):
            return SourceLine(name, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return None


# which warnings were shown, as each module of the user's would remember it
_shown: dict[Any, Any] = {}


def warn(text: str) -> None:
    """A UserWarning at the line that this thread executes outside this package."""
    line = current_line()
    if line is None:
        warnings.warn(text, stacklevel=2)
    else:
        warnings.warn_explicit(text, UserWarning, line.file, line.line, registry=_shown)


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

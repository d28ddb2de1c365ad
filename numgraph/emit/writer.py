"""Source lines with their comments and the user lines behind them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from numgraph.source import SourceLine, together
from numgraph.text import printable

COMMENT_COLUMN = 56


@dataclass
class Line:
    """One generated line."""

    indent: int
    code: str
    comment: str = ""
    lines: tuple[SourceLine, ...] = ()
    # of the compile graph, what the line belongs to
    node: Any = None

    def text(self, with_user_lines: bool = False) -> str:
        """The line as source; with the user's lines behind it for a listing."""
        code = "    " * self.indent + self.code
        notes = self.comment
        if with_user_lines and self.lines:
            notes = f"{notes}  <- {together(self.lines)}".strip()
        # whatever a comment quotes, it ends with its line
        notes = printable(notes, sys.maxsize)
        return f"{code:<{COMMENT_COLUMN}}  # {notes}".rstrip() if notes else code

"""Source on a terminal: highlighted, numbered, and in lines that fit."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from numgraph.folding import code_breaks, hanging, wrapped

THEME = "ansi_dark"
# Where trailing comments begin, if the statement is shorter.
COMMENT_COLUMN = 30


def code(
    text: str, language: str, width: int, *, numbered: bool = True, numbers: Sequence[int] | None = None
) -> RenderableType:
    """Highlighted lines. Trailing comments move to the left, those that do not fit above their line; lines that are
    too long are broken behind commas or blanks.

    language: as pygments calls it; "" for the loop program. numbered: whether lines have their numbers beside them;
    numbers: of the lines, counted from 1 by default.
    """
    lines = text.rstrip("\n").split("\n")
    known = range(1, len(lines) + 1) if numbers is None else numbers
    gutter = len(str(max(known, default=0))) + 2 if numbered else 0
    room = width - gutter
    shown: list[tuple[str, str]] = []
    comments = trailing_comments(text) if language == "python" else {} if language else apart_comments(text)
    for k, (line, number) in enumerate(zip(lines, known, strict=True), 1):
        above, line = _placed(line, comments.get(k), room)
        shown += [("", part) for part in above]
        shown.append((str(number), line))
    highlighted = Text("\n".join(line for _, line in shown))
    if language:
        highlighted = Syntax("", language, theme=THEME).highlight(highlighted.plain)
    rows = [
        (mark if first else "", part)
        for (mark, _), styled in zip(shown, highlighted.split("\n", allow_blank=True), strict=False)
        for first, part in _broken(styled, room)
    ]
    if not numbered:
        return Text("\n").join(part for _, part in rows)
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="dim", width=gutter - 1)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _placed(line: str, column: int | None, room: int) -> tuple[list[str], str]:
    """(lines above, line) of a line with a comment that begins at `column`."""
    if column is None:
        if line.lstrip().startswith("# ") and len(line) > room:
            *above, last = comment_lines(line[: len(line) - len(line.lstrip())], line.strip(), room)
            return above, last
        return [], line
    statement, comment = line[:column].rstrip(), line[column:]
    for left in (statement.ljust(COMMENT_COLUMN), statement):
        if len(left) + 2 + len(comment) <= room:
            return [], f"{left}  {comment}"
    return comment_lines(statement, comment, room), statement


def _broken(line: Text, room: int) -> Iterator[tuple[bool, Text]]:
    """A highlighted line in parts that fit; whether each is the first."""
    indent = min(hanging(line.plain), room // 2)
    for k, part in enumerate(line.divide(code_breaks(line.plain, room))):
        part.rstrip()
        yield k == 0, part if k == 0 else Text(" " * indent).append_text(part)


def comment_lines(statement: str, comment: str, width: int) -> list[str]:
    """A comment as lines of its own above a statement, indented like it."""
    start = statement[: len(statement) - len(statement.lstrip())] + "# "
    words = comment.removeprefix("#").strip()
    return [start + line for line in wrapped(words, max(8, width - len(start)))]


def trailing_comments(text: str) -> dict[int, int]:
    """Line number -> column of the comment that follows code on that line; nothing for text that is not Python."""
    return dict(_comments(text))


def apart_comments(text: str) -> dict[int, int]:
    """The same for the loop program, whose comments two blanks precede."""
    found = {number: line.rfind("  # ") for number, line in enumerate(text.split("\n"), 1)}
    return {number: end + 2 for number, end in found.items() if end >= 0}


def _comments(text: str) -> Iterator[tuple[int, int]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
                yield token.start
    except (tokenize.TokenError, SyntaxError):
        return

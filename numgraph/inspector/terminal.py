"""A function's record on a terminal, by `rich`; made to be read at 100 columns."""

from __future__ import annotations

import io
import os
import sys
import textwrap
import tokenize
from collections.abc import Collection, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from numgraph.explain.text import WIDTH, explained
from numgraph.inspector.record import LANGUAGES, FunctionRecord, PairRecord, PassRecord, PhaseRecord, ValueRecord
from numgraph.text import printable

THEME = "ansi_dark"
# Where trailing comments begin, if the statement is shorter.
COMMENT_COLUMN = 30


def make_console(width: int | None = None, file: io.TextIOBase | None = None) -> Console:
    """A console of the terminal's width, or of the columns that COLUMNS says; `WIDTH` columns where the output is no
    terminal."""
    console = Console(width=width, file=file, highlight=False)  # type: ignore[arg-type]  # rich wants IO[str]
    if width is None and not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console = Console(width=WIDTH, file=file, highlight=False)  # type: ignore[arg-type]
    return console


def show(record: FunctionRecord, console: Console, stage: str | None = None) -> None:
    """Print one stage of the record, or with None the overview and the listing.

    KeyError naming the stages that there are when the function has no such stage.
    """
    console.print(Rule(heading(record), align="left"))
    if stage is None:
        console.print(overview(record))
        if "listing" in record.stages:
            console.print(code(record.stages["listing"], LANGUAGES["listing"], console.width))
        return
    text = stage_text(record, stage)
    explanation = record.explained() if stage == "explain" else None
    if explanation is not None:
        console.print(explained(explanation, console.width))
        return
    if stage == "schedule" and record.phases:
        console.print(phases(record.phases))
    language = LANGUAGES.get(stage)
    console.print(
        code(text, language, console.width) if language else Text(folded(text, console.width), overflow="fold")
    )


def stage_text(record: FunctionRecord, stage: str) -> str:
    """The text of one stage; KeyError naming the stages that there are when the function has no such stage."""
    if stage not in record.stages:
        there = ", ".join(record.stages) or "none"
        raise KeyError(
            f"function {printable(record.name)} has no stage {stage!r} (target {record.target}); it has: {there}"
        )
    return record.stages[stage]


def heading(record: FunctionRecord) -> Text:
    """`train  cpu  train.py:31`."""
    text = Text(printable(record.name), style="bold")
    for part in (record.target, record.line):
        if part:
            text.append("  ").append(part, style="dim")
    return text


def overview(record: FunctionRecord) -> RenderableType:
    """What goes in and comes out, what stays, what is replaced and updated, the phases, and the passes."""
    parts: list[RenderableType] = [_values(record)]
    pairs = [("givens", "stands for", record.givens), ("updates", "becomes", record.updates)]
    pairs.append(("gradients", "is", record.gradients))
    parts.extend(_pairs(title, verb, rows) for title, verb, rows in pairs if rows)
    if record.phases:
        parts.append(phases(record.phases))
    if record.passes:
        parts.append(_passes(record.passes))
    parts.append(_facts(record))
    spaced = [part for each in parts for part in (each, Text())]
    return Group(*spaced[:-1])


def _table(title: str, *columns: str, whole: Collection[str] = ()) -> Table:
    """A table whose columns give way to each other, but for those in `whole`, of which no line is broken."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    return table


def _values(record: FunctionRecord) -> Table:
    table = _table("values", "", "name", "type", "bytes", "made at", whole=("", "bytes"))
    table.columns[3].justify = "right"
    groups: list[tuple[str, Sequence[ValueRecord]]] = [
        ("in", record.inputs),
        ("out", record.outputs),
        ("resident", record.resident),
    ]
    for role, values in groups:
        for value in values:
            table.add_row(role, Text(value.name), Text(value.type), _count(value.nbytes), Text(value.line))
    return table


def _pairs(title: str, verb: str, pairs: Sequence[PairRecord]) -> Table:
    table = _table(title, "variable", verb, "type", "made at", whole=("type",))
    for pair in pairs:
        table.add_row(*map(Text, (pair.target, pair.expression, pair.type, pair.line)))
    return table


def phases(records: Sequence[PhaseRecord]) -> Table:
    """One row per phase of the schedule."""
    fixed = ("phase", "kind", "statements", "flops", "bytes")
    table = _table("phases", "phase", "kind", "loops", "statements", "flops", "bytes", "reads", "writes", whole=fixed)
    for column in table.columns[3:6]:
        column.justify = "right"
    for p in records:
        row = (p.name, p.kind, " x ".join(p.loops), str(p.statements), _count(p.flops), _count(p.bytes))
        table.add_row(*map(Text, (*row, " ".join(p.reads), " ".join(p.writes))))
    return table


def _passes(records: Sequence[PassRecord]) -> Table:
    table = _table("passes", "pass", "times", "ms", "made", whole=("pass", "times", "ms"))
    for column in table.columns[1:3]:
        column.justify = "right"
    for p in records:
        table.add_row(p.name, str(p.runs), f"{1e3 * p.seconds:,.3f}", p.counts)
    return table


def _facts(record: FunctionRecord) -> Text:
    facts = []
    if record.dtypes:
        facts.append(" ".join(f"{count} {dtype}" for dtype, count in sorted(record.dtypes.items())) + " nodes")
    facts.append(f"{_count(record.resident_bytes)} bytes resident")
    if record.flops is not None:
        facts.append(f"{_count(record.flops)} flops a call")
    if record.bytes is not None:
        facts.append(f"{_count(record.bytes)} bytes moved a call")
    if record.cache_path:
        facts.append(f"{'loaded from the cache' if record.cached else 'compiled'} in {record.compile_seconds:.2f} s")
    text = Text("\n".join(facts) + "\n", style="dim")
    if record.cache_path:
        text.append(printable(record.cache_path, sys.maxsize) + "\n", style="cyan")
    return text


def _count(number: int | None) -> str:
    """Digits grouped by threes; `?` where it is not known."""
    return "?" if number is None else f"{number:,}"


def code(text: str, language: str, width: int) -> RenderableType:
    """Highlighted and numbered lines. Trailing comments move to the left, those that do not fit above their line."""
    gutter = len(str(text.count("\n") + 1)) + 2
    comments = trailing_comments(text) if language == "python" else {}
    room = width - gutter
    shown: list[tuple[str, str]] = []
    for number, line in enumerate(text.rstrip("\n").split("\n"), 1):
        column = comments.get(number)
        if column is not None:
            statement, comment = line[:column].rstrip(), line[column:]
            places = (statement.ljust(COMMENT_COLUMN), statement)
            line = next((f"{left}  {comment}" for left in places if len(left) + 2 + len(comment) <= room), statement)
            if line is statement:
                shown += [("", part) for part in comment_lines(statement, comment, room)]
        shown.append((str(number), line))
    highlighted = Syntax("", language, theme=THEME).highlight("\n".join(line for _, line in shown))
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="dim", width=gutter - 1)
    table.add_column(overflow="fold")
    lines = highlighted.split("\n", allow_blank=True)
    for (mark, _), styled in zip(shown, lines, strict=False):
        table.add_row(mark, styled)
    return table


def comment_lines(statement: str, comment: str, width: int) -> list[str]:
    """A comment as lines of its own above a statement, indented like it."""
    start = statement[: len(statement) - len(statement.lstrip())] + "# "
    words = comment.removeprefix("#").strip()
    return textwrap.wrap(words, width, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)


def folded(text: str, width: int) -> str:
    """Lines of columns (two blanks apart): where they do not fit, the last columns stand on a line of their own."""
    lines: list[str] = []
    for line in text.split("\n"):
        head, _, tail = line.rpartition("  ")
        if len(line) <= width or not head.strip():
            lines.append(line)
        else:
            lines += [head.rstrip(), tail.rjust(width)]
    return "\n".join(lines)


def trailing_comments(text: str) -> dict[int, int]:
    """Line number -> column of the comment that follows code on that line; nothing for text that is not Python."""
    return dict(_comments(text))


def _comments(text: str) -> Iterator[tuple[int, int]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip():
                yield token.start
    except (tokenize.TokenError, SyntaxError):
        return

"""A function's record on a terminal or in a pipe, by `rich`; made to be read at 80 columns and more."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from numgraph.explain.tables import plain_table
from numgraph.explain.text import NARROW, WIDTH, explained
from numgraph.folding import wrapped
from numgraph.inspector.code import code
from numgraph.inspector.record import LANGUAGES, FunctionRecord, PairRecord, PassRecord, PhaseRecord
from numgraph.text import printable


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
    body = overview_and_listing(record, console.width) if stage is None else staged(record, stage, console.width)
    put(console, heading(record, console.width), *body)


def put(console: Console, *parts: RenderableType) -> None:
    """Print; without blanks at the ends of lines where the output is no terminal."""
    if console.is_terminal or console.color_system is not None:
        console.print(*parts, sep="\n")
        return
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    console.file.write("\n".join(line.rstrip(" ") for line in captured.get().split("\n")))


def overview_and_listing(record: FunctionRecord, width: int) -> list[RenderableType]:
    """What is shown of a function when nothing particular is asked for."""
    parts = [overview(record, width)]
    if "listing" in record.stages:
        parts.append(code(record.stages["listing"], LANGUAGES["listing"], width))
    return parts


def staged(record: FunctionRecord, stage: str, width: int) -> list[RenderableType]:
    """One stage in so many columns; KeyError as `stage_text`."""
    text = stage_text(record, stage)
    explanation = record.explained() if stage == "explain" else None
    if explanation is not None:
        return [explained(explanation, width)]
    parts: list[RenderableType] = []
    if stage == "schedule" and record.phases:
        parts.append(phases(record.phases, width))
    language = LANGUAGES.get(stage)
    if language or stage == "loops":
        return [*parts, code(text, language or "", width, numbered=language is not None)]
    return [*parts, Text(folded(text, width))]


def stage_text(record: FunctionRecord, stage: str) -> str:
    """The text of one stage; KeyError naming the stages that there are when the function has no such stage."""
    if stage not in record.stages:
        there = ", ".join(record.stages) or "none"
        raise KeyError(
            f"function {printable(record.name)} has no stage {stage!r} (target {record.target}); it has: {there}"
        )
    return record.stages[stage]


def heading(record: FunctionRecord, width: int) -> RenderableType:
    """`train  cpu  train.py:31` before a line across the page; on lines of its own where there is no room."""
    text = Text(printable(record.name), style="bold")
    text.append("  ").append(record.target, style="dim")
    if record.line and len(text) + len(record.line) + 6 > width:
        lines = [Text(line, style="dim") for line in wrapped(record.line, width, 2)]
        return Group(Text("\n".join(wrapped(text.plain, width, 2)), style="bold"), *lines, Rule())
    if record.line:
        text.append("  ").append(record.line, style="dim")
    return Rule(text, align="left")


def overview(record: FunctionRecord, width: int) -> RenderableType:
    """What goes in and comes out, what stays, what is replaced and updated, the phases, and the passes."""
    parts: list[RenderableType] = [_values(record, width)]
    pairs = [("givens", "stands for", record.givens), ("updates", "becomes", record.updates)]
    pairs.append(("gradients", "is", record.gradients))
    parts.extend(_pairs(title, verb, rows, width) for title, verb, rows in pairs if rows)
    if record.phases:
        parts.append(phases(record.phases, width))
    if record.passes:
        parts.append(_passes(record.passes, width))
    parts.append(_facts(record, width))
    spaced = [part for each in parts for part in (each, Text())]
    return Group(*spaced[:-1])


def _values(record: FunctionRecord, width: int) -> Table:
    groups = [("in", record.inputs), ("out", record.outputs), ("resident", record.resident)]
    rows = [(role, v.name, v.type, _count(v.nbytes), v.line) for role, values in groups for v in values]
    columns = ("", "name", "type", "bytes", "made at")
    return plain_table(columns, rows, width, title="values", whole=("", "type", "bytes"), right=("bytes",))


def _pairs(title: str, verb: str, pairs: Sequence[PairRecord], width: int) -> Table:
    rows = [(pair.target, pair.expression, pair.type, pair.line) for pair in pairs]
    return plain_table(("variable", verb, "type", "made at"), rows, width, title=title, whole=("type",))


def phases(records: Sequence[PhaseRecord], width: int) -> Table:
    """One row per phase of the schedule."""
    right = ("statements", "flops", "bytes")
    columns = ("phase", "kind", "loops", "statements", "flops", "bytes", "reads", "writes")
    rows: list[tuple[str, ...]] = []
    for p in records:
        row = (p.name, p.kind, " x ".join(p.loops), str(p.statements), _count(p.flops), _count(p.bytes))
        rows.append((*row, _together(p.reads), _together(p.writes)))
    shown = [k for k, name in enumerate(columns) if width >= NARROW or name != "statements"]
    rows = [tuple(row[k] for k in shown) for row in rows]
    whole = ("phase", "kind", *right)
    return plain_table([columns[k] for k in shown], rows, width, title="phases", whole=whole, right=right)


def _together(names: Sequence[str]) -> str:
    """`U, memory (7), dot2`: each name once."""
    return ", ".join(f"{name} ({count})" if count > 1 else name for name, count in Counter(names).items())


def _passes(records: Sequence[PassRecord], width: int) -> Table:
    rows = [(p.name, str(p.runs), f"{1e3 * p.seconds:,.3f}", p.counts) for p in records]
    whole = ("pass", "times", "ms")
    return plain_table(("pass", "times", "ms", "made"), rows, width, title="passes", whole=whole, right=whole[1:])


def _facts(record: FunctionRecord, width: int) -> Text:
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
    if record.versions:
        facts.append("  ".join(f"{name} {version}" for name, version in record.versions.items()))
    text = Text("\n".join(line for fact in facts for line in wrapped(fact, width, 2)) + "\n", style="dim")
    if record.cache_path:
        text.append("\n".join(wrapped(printable(record.cache_path, sys.maxsize), width, 2)) + "\n", style="cyan")
    return text


def _count(number: int | None) -> str:
    """Digits grouped by threes; `?` where it is not known."""
    return "?" if number is None else f"{number:,}"


def folded(text: str, width: int) -> str:
    """Lines of columns (two blanks apart): where they do not fit, the last columns stand on a line of their own."""
    lines: list[str] = []
    for line in text.split("\n"):
        head, _, tail = line.rpartition("  ")
        if len(line) <= width or not head.strip():
            lines += wrapped(line, width, len(line) - len(line.lstrip()) + 4)
            continue
        lines += wrapped(head.rstrip(), width, len(head) - len(head.lstrip()) + 4)
        lines += [tail.rjust(width)] if len(tail) <= width else wrapped("    " + tail, width, 6)
    return "\n".join(lines)

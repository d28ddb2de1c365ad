"""An explanation on a terminal: what `f.explain()` prints, and the stage `explain` of `numgraph inspect`."""

from __future__ import annotations

import io

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from numgraph.explain.explanation import Explanation, PhaseEstimate

WIDTH = 100
# Below so many columns the table of phases leaves out what can be had from its other columns.
NARROW = 95
_UNITS = (("G", 1e9), ("M", 1e6), ("k", 1e3))


def explained(found: Explanation, width: int = WIDTH) -> RenderableType:
    """The table of phases with its totals, the reasons, the updates and the notes, for so many columns."""
    head = Text(f"{found.name}: ", style="bold").append(found.lengths, style="dim")
    parts: list[RenderableType] = [head, _phases(found, width), Text(), _totals(found), Text(), _reasons(found)]
    if found.updates:
        parts += [Text(), _updates(found)]
    notes = Text("\n".join(f"* {note}" for note in [*found.notes, found.machine] if note), style="dim")
    return Group(*parts, Text(), notes)


def explanation_text(found: Explanation) -> str:
    """The same as plain text of at most 100 columns."""
    out = io.StringIO()
    console = Console(
        width=WIDTH, file=out, highlight=False, color_system=None, force_terminal=False, force_jupyter=False
    )
    console.print(explained(found))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def plain_table(*columns: str) -> Table:
    """A table without lines."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _phases(found: Explanation, width: int) -> Table:
    names = ("phase", "makes", "kind", "loops", "flops", "bytes", "flop/B", "limit", "1 thread", "predicted")
    cells = [_row(p) for p in found.phases]
    cells.append(("call", *[""] * 6, "overhead", *2 * (time_text(found.call),)))
    sums = (
        count_text(found.flops),
        count_text(found.bytes),
        "",
        "",
        time_text(found.alone),
        time_text(found.predicted),
    )
    cells.append(("total", "", "", "", *sums))
    shown = [k for k, name in enumerate(names) if width >= NARROW or name not in ("kind", "flop/B")]
    table = plain_table(*(names[k] for k in shown))
    for name, column in zip((names[k] for k in shown), table.columns, strict=True):
        column.no_wrap = name not in ("makes", "kind", "loops")
        column.justify = "right" if name in ("flops", "bytes", "flop/B", "1 thread", "predicted") else "left"
        column.max_width = {"makes": 14, "kind": 8}.get(name)
    for row in cells:
        table.add_row(*(Text(row[k]) for k in shown), style="bold" if row[0] == "total" else "")
    return table


def _row(p: PhaseEstimate) -> tuple[str, ...]:
    intensity = "?" if p.intensity is None else f"{p.intensity:.1f}"
    if p.bytes == 0:
        intensity = ""
    loops = " x ".join(p.loops) or "once"
    times = (time_text(p.alone), time_text(p.together))
    return (
        p.name,
        ", ".join(p.makes),
        p.kind,
        loops,
        count_text(p.flops),
        count_text(p.bytes),
        intensity,
        p.limit,
        *times,
    )


def _totals(found: Explanation) -> Text:
    threads = "1 thread" if found.threads == 1 else f"up to {found.threads} threads"
    text = Text(f"predicted: {time_text(found.predicted)} a call on {threads}")
    if found.calls and found.measured is not None:
        calls = "1 call" if found.calls == 1 else f"{found.calls:,} calls"
        text.append(f"; measured: {time_text(found.measured)}, the mean of {calls}")
    return text


def _reasons(found: Explanation) -> Table:
    table = plain_table("phase", "why it runs so")
    for p in found.phases:
        table.add_row(Text(p.name), Text("; ".join([p.reason, *p.details])))
    return table


def _updates(found: Explanation) -> Table:
    table = plain_table("update", "how", "why")
    for u in found.updates:
        table.add_row(Text(u.target), Text(u.how), Text(u.why))
    return table


def count_text(number: int | None) -> str:
    """A count with three digits, `1.94 M`; `?` where it is not known."""
    if number is None:
        return "?"
    for unit, size in _UNITS:
        if number >= size:
            return f"{number / size:.{decimals(number / size)}f} {unit}"
    return str(number)


def time_text(microseconds: float | None) -> str:
    """Microseconds with three digits, or milliseconds; `?` where they are not known."""
    if microseconds is None:
        return "?"
    if microseconds >= 10_000:
        return f"{microseconds / 1000:.{decimals(microseconds / 1000)}f} ms"
    return f"{microseconds:,.{decimals(microseconds)}f} us"


def decimals(value: float) -> int:
    """How many decimals a number below 1000 has that is shown with three digits."""
    return 2 if value < 9.995 else 1 if value < 99.95 else 0

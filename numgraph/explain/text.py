"""An explanation on a terminal: what `f.explain()` prints, and the stage `explain` of `numgraph inspect`."""

from __future__ import annotations

import io

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from numgraph.explain.explanation import Explanation, PhaseEstimate
from numgraph.explain.tables import plain_table
from numgraph.folding import wrapped

WIDTH = 100
# Below so many columns tables of phases leave out what can be done without.
NARROW = 95
_UNITS = (("G", 1e9), ("M", 1e6), ("k", 1e3))


def explained(found: Explanation, width: int = WIDTH) -> RenderableType:
    """The table of phases with its totals, the reasons, the updates and the notes, for so many columns."""
    head = Text(f"{found.name}: ", style="bold").append(found.lengths, style="dim")
    totals = Text("\n".join(wrapped(_totals(found), width)))
    parts: list[RenderableType] = [head, _phases(found, width), Text(), totals, Text(), _reasons(found, width)]
    if found.updates:
        rows = [(u.target, u.how, u.why) for u in found.updates]
        parts += [Text(), plain_table(("update", "how", "why"), rows, width)]
    notes = [line for note in [*found.notes, found.machine] if note for line in wrapped(f"* {note}", width, 2)]
    return Group(*parts, Text(), Text("\n".join(notes), style="dim"))


def phase_rows(found: Explanation, width: int = WIDTH) -> RenderableType:
    """The rows of phases alone, and the reasons."""
    return Group(_phases(found, width, totals=False), Text(), _reasons(found, width))


def explanation_text(found: Explanation) -> str:
    """The same as plain text of at most 100 columns."""
    out = io.StringIO()
    console = Console(
        width=WIDTH, file=out, highlight=False, color_system=None, force_terminal=False, force_jupyter=False
    )
    console.print(explained(found))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _phases(found: Explanation, width: int, totals: bool = True) -> Table:
    names = ("phase", "makes", "kind", "loops", "flops", "bytes", "flop/B", "limit", "1 thread", "predicted")
    rows = [_row(p) for p in found.phases]
    if totals:
        rows.append(("call", *[""] * 6, "overhead", *2 * (time_text(found.call),)))
        sums = (
            count_text(found.flops),
            count_text(found.bytes),
            "",
            "",
            time_text(found.alone),
            time_text(found.predicted),
        )
        rows.append(("total", "", "", "", *sums))
    shown = [k for k, name in enumerate(names) if width >= NARROW or name not in ("kind", "flop/B")]
    return plain_table(
        [names[k] for k in shown],
        [[row[k] for k in shown] for row in rows],
        width,
        whole=set(names) - {"makes", "kind", "loops"},
        right=("flops", "bytes", "flop/B", "1 thread", "predicted"),
        strong=[len(rows) - 1] if totals else (),
    )


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


def _totals(found: Explanation) -> str:
    threads = "1 thread" if found.threads == 1 else f"up to {found.threads} threads"
    text = f"predicted: {time_text(found.predicted)} a call on {threads}"
    if found.calls and found.measured is not None:
        calls = "1 call" if found.calls == 1 else f"{found.calls:,} calls"
        text += f"; measured: {time_text(found.measured)}, the mean of {calls}"
    return text


def _reasons(found: Explanation, width: int) -> Table:
    rows = [(p.name, "; ".join([p.reason, *p.details])) for p in found.phases]
    return plain_table(("phase", "why it runs so"), rows, width, whole=("phase",))


def count_text(number: int | None) -> str:
    """A count with three digits, `1.94 M`; `?` where it is not known."""
    if number is None:
        return "?"
    for unit, size in _UNITS:
        if number >= size:
            return f"{number / size:.{decimals(number / size)}f} {unit}"
    return str(number)


def time_text(microseconds: float | None) -> str:
    """Microseconds with three digits, or milliseconds."""
    if microseconds is None:
        return "?"
    if microseconds >= 10_000:
        return f"{microseconds / 1000:.{decimals(microseconds / 1000)}f} ms"
    return f"{microseconds:,.{decimals(microseconds)}f} us"


def decimals(value: float) -> int:
    """How many decimals a number below 1000 has that is shown with three digits."""
    return 2 if value < 9.995 else 1 if value < 99.95 else 0

"""A profile on a terminal: what `print(f.profile(...))` shows, in 80 columns."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from numgraph.explain.tables import plain_table
from numgraph.explain.text import count_text, decimals, time_text
from numgraph.profiling.result import PhaseProfile, Profile

WIDTH = 80
# Phases that are shown, those with the most time where there are more; and lines of the user's of a phase.
SHOWN, LINES = 30, 3
# Threads that have a column of their own.
THREADS = 4


def profile_text(found: Profile) -> str:
    """The profile as plain text of at most 80 columns."""
    return plain(told(found))


def plain(shown: RenderableType) -> str:
    """What rich shows, as plain text of at most 80 columns."""
    out = io.StringIO()
    console = Console(
        width=WIDTH, file=out, highlight=False, color_system=None, force_terminal=False, force_jupyter=False
    )
    console.print(shown)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def told(found: Profile) -> RenderableType:
    """The tables of times, of work and of lines, and the notes."""
    phases = longest(found.phases)
    parts: list[RenderableType] = [_head(found), _times(found, phases)]
    if found.target == "cpu":
        parts += [Text(), _work(phases), Text()]
        parts += [_threads(phases), Text()] if any(p.threads for p in phases) else []
        parts.append(_lines(phases))
    notes = [*found.notes, *_costs(found), found.machine]
    if len(phases) < len(found.phases):
        notes.insert(0, f"{len(found.phases) - len(phases)} others took less; f.profile(...).phases has them all")
    return Group(*parts, Text(), Text("\n".join(f"* {note}" for note in notes if note), style="dim"))


def longest(phases: Sequence[PhaseProfile], count: int = SHOWN) -> list[PhaseProfile]:
    """So many with the most time, in order."""
    most = sorted(phases, key=lambda p: -p.mean)[:count]
    return [p for p in phases if any(p is other for other in most)]


def _head(found: Profile) -> Text:
    calls = "1 call" if found.calls == 1 else f"{found.calls:,} calls"
    threads = "1 thread" if found.threads == 1 else f"up to {found.threads} threads"
    text = Text(f"{found.name}: ", style="bold").append(f"{calls} on {threads}", style="dim")
    return text.append("" if found.target == "cpu" else f', target "{found.target}"', style="dim")


def _times(found: Profile, phases: Sequence[PhaseProfile]) -> Table:
    names = ["phase", "makes", "runs", "least", "median", "share", "predicted", "ratio", "line"]
    rows = [_time_row(p) for p in phases]
    for name, took in (("plan", found.plan), ("between", found.between), ("python", found.python)):
        if name == "python" or found.target == "cpu":
            rows.append(
                [name, "", "", "", time_text(took), percent(took / found.mean if found.mean else 0), "", "", ""]
            )
    ratio = found.median / found.predicted if found.predicted and found.median is not None else None
    whole = [time_text(found.least), time_text(found.median), "100 %"]
    rows.append(["call", "", "", *whole, _known(found.predicted), _ratio(ratio), ""])
    left_out = set() if any(p.runs != 1 for p in phases) else {"runs"}
    left_out |= {"line"} if found.target == "cpu" else {"predicted", "ratio"}
    shown = [k for k, name in enumerate(names) if name not in left_out]
    return _table([names[k] for k in shown], [[row[k] for k in shown] for row in rows], ("call",))


def _time_row(p: PhaseProfile) -> list[str]:
    runs = f"{p.runs:,.0f}" if p.runs == round(p.runs) else f"{p.runs:,.1f}"
    times = [time_text(p.least), time_text(p.median), percent(p.share)]
    return [_shown(p), ", ".join(p.makes), runs, *times, _known(p.predicted), _ratio(p.ratio), ", ".join(p.lines)]


def _work(phases: Sequence[PhaseProfile]) -> Table:
    names = ["phase", "flops", "GFLOP/s", "of peak", "bytes", "GB/s", "of limit"]
    rows = []
    for p in phases:
        flops = (_rate(p.gflops), _part(p.gflops, p.peak)) if p.flops else ("", "")
        rows.append([_shown(p), count_text(p.flops), *flops, count_text(p.bytes)])
        rows[-1] += [_rate(p.gbytes), _part(p.gbytes, p.bandwidth)] if p.bytes else ["", ""]
    return _table(names, rows)


def _threads(phases: Sequence[PhaseProfile]) -> Table:
    """How busy each thread was with a phase."""
    divided = [p for p in phases if p.threads]
    threads = sorted(
        {t.thread for p in divided for t in p.threads}, key=lambda name: (name != "caller", len(name), name)
    )
    shown, rows = threads[:THREADS], []
    for p in divided:
        busy = {t.thread: t.busy for t in p.threads}
        others = sum(took for name, took in busy.items() if name not in shown)
        cells = [time_text(busy[name]) if name in busy else "" for name in shown]
        cells += [time_text(others)] if len(threads) > THREADS else []
        rows.append([_shown(p), f"{p.chunks:.0f}", "" if p.balance is None else f"{p.balance:.2f}", *cells])
    return _table(["phase", "chunks", "balance", *shown, *["others"] * (len(threads) > THREADS)], rows)


def _lines(phases: Sequence[PhaseProfile]) -> Table:
    rows = []
    for p in phases:
        more = len(p.lines) - LINES
        said = ", ".join(p.lines[:LINES]) + (f" and {more} more" if more > 0 else "")
        rows.append([_shown(p), said])
    return _table(["phase", "lines"], rows)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], bold: Sequence[str] = ()) -> Table:
    strong = [k for k, row in enumerate(rows) if row[0] in bold]
    right = set(names) - {"phase", "makes", "line", "lines"}
    whole = set(names) - {"makes", "line", "lines"}
    return plain_table(names, rows, WIDTH, whole=whole, right=right, strong=strong)


def _shown(p: PhaseProfile) -> str:
    return f"  {p.name}" if p.within else p.name


def _costs(found: Profile) -> list[str]:
    """What stands in the figures besides what was to be timed."""
    notes = [
        "share, plan, between, python and the threads' times are of the mean call; python is what comes before "
        "the plan and after the step"
    ]
    if found.target != "cpu":
        return [
            "an operation's time goes from the end of the one before to its own end; that of the first has what comes "
            "before it, too"
        ]
    if any(p.peak for p in found.phases):
        notes.append("of peak, of limit: of the arithmetic and reading that this machine reaches on so many threads")
    if found.spans:
        cost = 1000 * found.cost
        notes.append(
            f"timing a span takes {cost:.0f} ns, and there are {found.spans:,.0f} in a call: "
            f"{time_text(found.cost * found.spans)} of it, on all threads together"
        )
    return notes


def _known(microseconds: float | None) -> str:
    return "?" if microseconds is None else time_text(microseconds)


def percent(part: float | None) -> str:
    """A part of 1 in percent."""
    if part is None:
        return ""
    return f"{100 * part:.0f} %" if part >= 0.005 or not part else "< 1 %"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.{decimals(rate)}f}"


def _part(rate: float | None, limit: float | None) -> str:
    """Which part a rate is of what the machine could reach."""
    return percent(rate / limit) if rate is not None and limit else ""

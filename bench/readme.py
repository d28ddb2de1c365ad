"""The benchmark's table in the README: written by `python -m bench --readme README.md`, never by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BEGIN, END = "<!-- benchmark: written by `python -m bench --readme README.md` -->", "<!-- end of benchmark -->"


def fill(path: Path, report: dict[str, Any]) -> None:
    """Replace what stands between the two marks in the file; ValueError where it has none."""
    text = path.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path}: expected the lines {BEGIN} and {END}")
    path.write_text(f"{head}{begin}\n{section(report)}\n{end}{tail}", encoding="utf-8")


def section(report: dict[str, Any]) -> str:
    """The table and the line about the machine, as Markdown."""
    lines = [
        "| model / rows | numgraph | NumPy by hand | NumPy / numgraph (quartiles) |",
        "|---|---|---|---|",
        *(row(case) for case in report["cases"]),
        "",
        "; ".join(f"{name} {value}" for name, value in report["machine"].items()) + ".",
    ]
    return "\n".join(lines)


def row(case: dict[str, Any]) -> str:
    """One line of the table."""
    times = (pair(case[f"{side}_min_us"], case[f"{side}_median_us"]) for side in ("numgraph", "numpy"))
    ratio = "**{ratio_median:.2f}** ({ratio_low:.2f} to {ratio_high:.2f})".format_map(case)
    return f"| {case['case']} | {' | '.join(times)} | {ratio} |"


def pair(least: Any, median: Any) -> str:
    """`29.5 (30.1)`, without a fraction from 1000 on."""
    return "{} ({})".format(*(f"{x:,.0f}" if x >= 1000 else f"{x:.1f}" for x in (least, median)))

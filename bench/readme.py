"""The benchmark's table in the README: written by `python -m bench readme JSON README.md`, never by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import figures, tables
from bench.figures import US

BEGIN, END = "<!-- benchmark: written by `python -m bench readme JSON README.md` -->", "<!-- end of benchmark -->"
# Curves belong to the report's page.
LEFT_OUT = ("scaling", "threads")


def fill(path: Path, report: dict[str, Any]) -> None:
    """Write the table into the file; ValueError where it has no marks."""
    between(path, BEGIN, section(report), END)


def between(path: Path, first: str, content: str, last: str) -> None:
    """Replace what stands between two marks in the file; ValueError where it has none."""
    text = path.read_text(encoding="utf-8")
    head, begin, rest = text.partition(first)
    _, end, tail = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"{path}: expected the lines {first} and {last}")
    path.write_text(f"{head}{begin}\n{content}\n{end}{tail}", encoding="utf-8")


def section(report: dict[str, Any]) -> str:
    """The table and what it depends on, as Markdown."""
    lines = [
        "| case | numgraph | best peer | ratio (quartiles) | of the least | time / the machine's limit |",
        "|---|---|---|---|---|---|",
        *(row(report, case) for case in report["cases"] if case["group"] not in LEFT_OUT),
        "",
        "; ".join(f"{name} {value}" for name, value in report["machine"].items())
        + f"; {report['settings']['threads']} threads. Peers: {peers(report)}.",
    ]
    return "\n".join(lines)


def row(report: dict[str, Any], case: dict[str, Any]) -> str:
    """One line of the table."""
    found = figures.compare(case)
    ours = tables.cell(case["results"].get(US), case["unit"])
    theirs = ratio = least = ""
    if found:
        theirs = f"{tables.label(report, found.peer)} {tables.cell(case['results'][found.peer], case['unit'])}"
        ratio, least = f"**{found.ratio:.2f}** ({found.pairs.low:.2f} to {found.pairs.high:.2f})", f"{found.least:.2f}"
    return f"| {case['name']} | {ours} | {theirs} | {ratio} | {least} | {figures.limit_text(case)} |"


def peers(report: dict[str, Any]) -> str:
    """The other libraries with their versions, or why they are missing."""
    return ", ".join(
        f"{p['label']} {next(iter(p['versions'].values()))}" if p["status"] == "ok" else f"{p['label']} ({p['status']})"
        for name, p in report["peers"].items()
        if name != US
    )

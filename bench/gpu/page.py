"""The report as one HTML page that needs nothing else."""

from __future__ import annotations

from typing import Any

from bench.report import STYLE, escaped, section, table

Report = dict[str, Any]
WORDS = {True: ("win", "yes"), False: ("loss", "no")}


def page(report: Report) -> str:
    """The whole page."""
    checks = [c for s in report["sections"] for c in s["checks"]]
    held = sum(holds for _, holds, _ in checks)
    aims = [a for s in report["sections"] for a in s["aims"]]
    head = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    parts = [
        f"<title>numgraph on a GPU</title><style>{STYLE.read_text(encoding='utf-8')}</style>",
        "<h1>numgraph on a GPU</h1>",
        f"<p class=facts>{escaped(report['began'])}, {report['seconds']:.0f} s, target {escaped(report['target'])}</p>",
        f"<p><b>{held}</b> of {len(checks)} checks hold; <b>{sum(r for _, r, _ in aims)}</b> of {len(aims)} aims are"
        " reached.</p>",
        listed([c for c in checks if not c[1]] + aims),
        section("Sections", overview(report)),
        *(section(s["title"], content(s)) for s in report["sections"]),
    ]
    return head + "\n".join(parts) + "\n</html>\n"


def overview(report: Report) -> str:
    """How each section went."""
    head = [("", "section"), ("", "how it went"), ("n", "seconds"), ("text", "")]
    rows = []
    for s in report["sections"]:
        colour = {"done": "win", "cut": "none"}.get(s["status"], "loss")
        rows.append(
            [
                ("", escaped(s["title"])),
                (colour, s["status"]),
                ("n", f"{s['seconds']:.1f}"),
                ("text", escaped(s["why"])),
            ]
        )
    return table(head, rows)


def content(s: Report) -> str:
    """The tables, checks and facts of a section."""
    parts = []
    for title, head, rows in s["tables"]:
        columns = [("" if k == 0 else "n", escaped(name)) for k, name in enumerate(head)]
        cells = [[("" if k == 0 else "n", escaped(shown(value))) for k, value in enumerate(row)] for row in rows]
        parts.append(f"<h3>{escaped(title)}</h3>{table(columns, cells)}")
    parts.append(listed(s["checks"] + s["aims"]))
    if s["facts"]:
        parts.append(
            table([("", ""), ("", "")], [[("", escaped(n)), ("text", escaped(v))] for n, v in s["facts"].items()])
        )
    return "\n".join(parts)


def listed(checks: list[Any]) -> str:
    """Checks or aims, with what was seen."""
    if not checks:
        return ""
    rows = [[("", escaped(name)), WORDS[bool(holds)], ("text", escaped(seen))] for name, holds, seen in checks]
    return table([("", ""), ("", "holds"), ("text", "seen")], rows)


def shown(value: Any) -> str:
    """A cell: three digits of numbers, nothing for what there is not."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

"""One HTML page that needs nothing else: targets, tables, plots, and what the figures depend on."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from bench import figures, plots, tables, targets
from bench.figures import US, amount
from bench.tables import label

Report = dict[str, Any]

STYLE = Path(__file__).with_name("report.css")

HOW = (
    "Before anything is timed, each peer's results are compared with NumPy in float64; one that differs is called wrong"
    " and has no time.",
    "Each peer lives in a process of its own. They are asked in turn, one measurement each, while the others wait for"
    " their pipe, and each round starts with another peer.",
    "A call counts until its value can be read. Sweeps are whatever a library does best for many steps: one native"
    " call, a scan, or a loop. Hover over a time to see which.",
    "Figures are least values, medians in parentheses. A case's ratio is the median of the ratios of single rounds,"
    " whose quartiles are given. Beside it is the ratio of the least values, which is what each reaches undisturbed.",
    "The machine's limit is the longest of three times, measured in the same run: flops over the rate of a large"
    " product, bytes over the bandwidth at that footprint, and, for what is called from Python, a call of a compiled"
    " function that does nothing.",
    "Fresh processes start with an empty cache folder, or with the one that an earlier process of the peer left.",
)


def page(report: Report) -> str:
    """The whole page."""
    settings = report["settings"]
    counted = [c for case in report["cases"] if (c := figures.compare(case)) is not None]
    better = sum(c.ratio <= 1 for c in counted)
    parts = [
        "<h1>numgraph: benchmarks</h1>",
        f"<p class=facts>{escaped(report['began'])}, {report['minutes']} minutes; {settings['threads']} threads of"
        f" every peer; {settings['repeats']} measurements of at least {1000 * settings['least']:.0f} ms each</p>",
        f"<p>numgraph is ahead of the best other library in <b>{better}</b> of {len(counted)} comparisons, and behind"
        f" in <b>{len(counted) - better}</b>.</p>",
        *(f"<p class=note>{'<br>'.join(map(escaped, said))}</p>" for said in [tables.remarks(report)] if said),
        section("Targets", goals(report)),
        section("numgraph and the best peer", drawn("ratios", report)),
        section("Peers and the machine's limit", drawn("over_limits", report)),
        *(section(title(group), group_of(report, group)) for group in tables.groups(report)),
        section("How it is measured", f"<ul>{''.join(f'<li>{escaped(text)}</li>' for text in HOW)}</ul>"),
        section("The machine", machine(report)),
    ]
    head = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    style = STYLE.read_text(encoding="utf-8")
    return f"{head}<title>numgraph: benchmarks</title><style>{style}</style>\n" + "\n".join(parts) + "\n</html>\n"


def escaped(value: object) -> str:
    """Text for HTML."""
    return html.escape(str(value), quote=False)


def title(group: str) -> str:
    """The heading of a group."""
    return group[0].upper() + group[1:]


def section(heading: str, content: str) -> str:
    """A part of the page; nothing where there is no content."""
    return f"<h2>{escaped(heading)}</h2>\n{content}" if content else ""


def drawn(name: str, report: Report, *arguments: str) -> str:
    """A plot, or a line that says why there is none."""
    try:
        return str(getattr(plots, name)(report, *arguments))
    except ImportError:
        return "<p class=facts>No plot: matplotlib is not installed.</p>"


def table(head: list[tuple[str, str]], rows: list[list[tuple[str, str]]]) -> str:
    """HTML of cells (class, HTML)."""
    top = "".join(f"<th class='{kind}'>{text}</th>" for kind, text in head)
    body = "".join("<tr>" + "".join(f"<td class='{kind}'>{text}</td>" for kind, text in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def goals(report: Report) -> str:
    """The targets, met or not."""
    rows = []
    for outcome in targets.judge(report):
        colour = {True: "win", False: "loss", None: "none"}[outcome.met]
        note = f" <small>{escaped(outcome.target.note)}</small>" if outcome.target.note else ""
        rows.append(
            [
                ("text", escaped(outcome.target.case) + note),
                ("n", targets.required(outcome.target)),
                ("n", escaped(outcome.reached)),
                ("", escaped(label(report, outcome.best)) if outcome.best else ""),
                (colour, tables.verdict(outcome.met)),
            ]
        )
    head = [("", "case"), ("n", "at most, of the best peer"), ("n", "reached"), ("", "best peer"), ("", "")]
    return table(head, rows)


def group_of(report: Report, group: str) -> str:
    """The plot and the table of a group."""
    plot = {
        "scaling": ("curves", "scaling"),
        "threads": ("curves", "threads"),
        "start-up": ("seconds", "start-up"),
        "compilation": ("seconds", "compilation"),
        "memory": ("memory",),
    }.get(group)
    return (drawn(plot[0], report, *plot[1:]) if plot else "") + times(report, group) + formulas(report, group)


def times(report: Report, group: str) -> str:
    """All peers of a group of cases."""
    cases = [case for case in report["cases"] if case["group"] == group]
    names = [n for n in report["peers"] if any(n in case["results"] for case in cases)]
    limited = any(case.get("limit") for case in cases)
    head = [
        ("", "case"),
        *(("n", escaped(label(report, n))) for n in names),
        ("n", "numgraph / best (quartiles); of the least"),
    ]
    head += [("n", "/ limit")] if limited else []
    rows = []
    for case in cases:
        found = figures.compare(case)
        least = min((s.least for s in figures.timed(case).values()), default=None)
        row = [("", escaped(case["name"]))]
        row += [("n", time_of(case, n, least)) for n in names]
        if found:
            colour = "win" if found.ratio <= 1 else "loss"
            spread = f"<small>({found.pairs.low:.2f} to {found.pairs.high:.2f}); {found.least:.2f}</small>"
            row.append(("n", f"<span class={colour}>{found.ratio:.2f}</span> {spread}"))
        else:
            row.append(("n", ""))
        rows.append(row + ([("n", figures.limit_text(case))] if limited else []))
    return table(head, rows)


def time_of(case: dict[str, Any], name: str, least: float | None) -> str:
    """A cell: the least figure, in bold if it is the case's best, and the median."""
    result = case["results"].get(name)
    if result is None:
        return ""
    if result["status"] != "timed":
        text = result["why"] if result["status"] == "too slow" else result["status"]
        return f"<span class=none title='{html.escape(str(result['why']))}'>{escaped(text)}</span>"
    spread = figures.Spread.of(result["values"])
    best = "best" if spread.least == least else ""
    value = f"<span class='{best}'>{amount(spread.least, case['unit'])}</span>"
    how = html.escape(str(result.get("how", "")))
    return f"<span title='{how}'>{value} <small>({amount(spread.median, case['unit'])})</small></span>"


def formulas(report: Report, group: str) -> str:
    """What the kinds of a group compute, with their counts and tolerances."""
    seen: dict[str, list[tuple[str, str]]] = {}
    for case in report["cases"]:
        if case["group"] != group or case["kind"] in seen:
            continue
        tolerance = "{relative:g} relative, {absolute:g} absolute".format_map(case["tolerance"])
        counts = case.get("formulas", {"flops": "", "bytes": ""})
        sizes = ", ".join(f"{name} = {n:,}" for name, n in case["sizes"].items())
        seen[case["kind"]] = [
            ("", escaped(case["kind"])),
            ("text", f"{escaped(case['text'])} <small>{sizes}</small>"),
            ("", f"<code>{escaped(counts['flops'])}</code>"),
            ("", f"<code>{escaped(counts['bytes'])}</code>"),
            ("text", tolerance),
        ]
    head = [("", "kind"), ("", "what it computes"), ("", "flops"), ("", "bytes"), ("", "tolerance")]
    return (
        f"<details><summary class=facts>formulas and tolerances</summary>{table(head, list(seen.values()))}</details>"
    )


def machine(report: Report) -> str:
    """Versions, limits, peers."""
    rows = [[("", escaped(name)), ("text", escaped(value))] for name, value in report["machine"].items()]
    rows += [[("", escaped(p["label"])), ("text", escaped(_state(p)))] for n, p in report["peers"].items() if n != US]
    load = report["load"]
    if load["before"] is not None:
        rows.append([("", "load before and after"), ("", f"{load['before']:.1f}, {load['after']:.1f}")])
    limits = report["limits"]
    if limits:
        for threads, rate in limits["flops"].items():
            rows.append([("", f"float32 product, {threads} threads"), ("", f"{rate / 1e9:.0f} Gflop/s")])
        for traffic in ("read", "copy"):
            for threads, rates in limits[traffic].items():
                text = ", ".join(f"{rate / 1e9:.1f} GB/s over {size(int(n))}" for n, rate in rates.items())
                rows.append([("", f"{traffic}, {threads} threads"), ("text", text)])
    return table([("", ""), ("", "")], rows)


def _state(peer: dict[str, Any]) -> str:
    if peer["status"] != "ok":
        return f"{peer['status']}: {peer['why']}"
    return ", ".join(f"{name} {v}" for name, v in peer["versions"].items())


def size(count: int) -> str:
    """`256 KiB` or `4 MiB`."""
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"

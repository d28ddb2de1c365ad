"""The tables in the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from bench import figures, targets
from bench.figures import US, amount
from bench.peers import named


def label(report: dict[str, Any], name: str) -> str:
    """How a peer is called."""
    known = report["peers"].get(name)
    return str(known["label"]) if known else named(name).label


def cell(result: dict[str, Any] | None, unit: str) -> str:
    """The least and the median figure of a peer, or why there is none."""
    if result is None:
        return ""
    if result["status"] != "timed":
        return str(result["why"] if result["status"] == "too slow" else result["status"])
    spread = figures.Spread.of(result["values"])
    return f"{amount(spread.least, unit)} ({amount(spread.median, unit)})"


def short(result: dict[str, Any], unit: str) -> str:
    """The least figure alone, or why there is none."""
    return amount(min(result["values"]), unit) if result["status"] == "timed" else cell(result, unit)


def groups(report: dict[str, Any]) -> list[str]:
    """The groups of cases, in order."""
    return list(dict.fromkeys(case["group"] for case in report["cases"]))


def of_group(report: dict[str, Any], group: str) -> list[dict[str, Any]]:
    """The cases of a group."""
    return [case for case in report["cases"] if case["group"] == group]


def timings(report: dict[str, Any], group: str) -> Table:
    """A group of cases, a row for each: numgraph, the best peer and how the two compare."""
    made = Table(title=f"{group}: least (median)", title_justify="left")
    made.add_column("case")
    for title in ("numgraph", "best peer", "ratio", "quartiles", "of least", "/ limit"):
        made.add_column(title, justify="right")
    for case in of_group(report, group):
        found = figures.compare(case)
        best = value = rounds = least = ""
        if found:
            best = f"{label(report, found.peer)} {cell(case['results'][found.peer], case['unit'])}"
            colour = "green" if found.ratio <= 1 else "red"
            value = f"[{colour}]{found.ratio:.2f}[/]"
            rounds, least = f"{found.pairs.low:.2f} - {found.pairs.high:.2f}", f"{found.least:.2f}"
        own = cell(case["results"].get(US), case["unit"])
        made.add_row(case["name"], own, best, value, rounds, least, figures.limit_text(case))
    return made


def peers(report: dict[str, Any], group: str) -> Table:
    """What each of the peers took in a group of cases, a column for each of them."""
    cases = of_group(report, group)
    asked = [name for case in cases for name, found in case["results"].items() if found["status"] != "not offered"]
    shown = [name for name in dict.fromkeys(asked) if name != US]
    made = Table(title=f"{group}: each peer's least", title_justify="left")
    made.add_column("case")
    for name in shown:
        made.add_column(label(report, name), justify="right")
    for case in cases:
        found = [case["results"].get(name) for name in shown]
        known = (one if one and one["status"] != "not offered" else None for one in found)
        made.add_row(case["name"], *(short(one, case["unit"]) if one else "" for one in known))
    return made


def goals(report: dict[str, Any]) -> Table:
    """The targets, met or not."""
    made = Table(title=f"targets: {US}'s time over the best peer's", title_justify="left")
    for title in ("case", "at most", "reached", "best peer", ""):
        made.add_column(title)
    for outcome in targets.judge(report):
        note = f" ({outcome.target.note})" if outcome.target.note else ""
        made.add_row(
            outcome.target.case + note,
            targets.required(outcome.target),
            outcome.reached,
            label(report, outcome.best) if outcome.best else "",
            verdict(outcome.met),
            style={True: "green", False: "red", None: "dim"}[outcome.met],
        )
    return made


def verdict(met: bool | None) -> str:
    """In words."""
    return {True: "met", False: "not met", None: "not measured"}[met]


def remarks(report: dict[str, Any]) -> list[str]:
    """What a reader has to know: absent peers, wrong ones, a busy machine."""
    said = [f"{p['label']}: {p['status']} ({p['why']})" for p in report["peers"].values() if p["status"] != "ok"]
    if not report.get("complete", True):
        said.append("The run was interrupted: cases are missing.")
    bad: dict[str, list[str]] = {}
    for case in report["cases"]:
        for name, result in case["results"].items():
            if result["status"] in ("wrong", "failed"):
                bad.setdefault(f"{label(report, name)} {result['status']}: {result['why']}", []).append(case["name"])
    said += [f"{what} (in {'; '.join(names)})" for what, names in bad.items()]
    if unset := report.get("unset"):
        said.append(f"Set in the environment, and not passed on to any library: {', '.join(unset)}.")
    before = report["load"]["before"]
    if before is not None and before > 0.5:
        said.append(
            f"The machine was busy before this began (load {before:.1f}): least times are biased up, most for"
            " libraries that use several threads."
        )
    return said

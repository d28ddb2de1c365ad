"""The plots of the report, as SVG text for a page. matplotlib is imported when a plot is drawn."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench import figures
from bench.figures import US
from bench.tables import label

Report = dict[str, Any]
WIN, LOSS, GREY = "#0b63a5", "#c2410c", "#8a9099"
# One colour and mark per peer in all plots: Okabe and Ito's colours, which colour-blind readers can tell apart.
LOOKS = {
    "numgraph": ("#000000", "o"),
    "numpy": ("#999999", "s"),
    "jax": ("#0072b2", "^"),
    "torch": ("#d55e00", "D"),
    "torch.compile": ("#e69f00", "d"),
    "pytensor": ("#009e73", "v"),
    "pytensor-c": ("#56b4e9", "<"),
    "numexpr": ("#cc79a7", "P"),
}
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "legend.frameon": False,
}
CURVES = ("scaling", "threads")
WIDTH = 9.5  # inches, all plots


@contextmanager
def drawing(rows: int, columns: int, height: float) -> Iterator[tuple[Any, Any, list[str]]]:
    """A figure with its axes [rows, columns], and a list that holds its SVG text in the end."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    made: list[str] = []
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False, layout="constrained")
        try:
            yield figure, axes, made
            text = io.StringIO()
            figure.savefig(text, format="svg", metadata={"Date": None})
        finally:
            pyplot.close(figure)
    made.append(inline(text.getvalue()))


def inline(svg: str) -> str:
    """The element alone, as wide as the page; ids that nothing refers to would repeat in the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", svg)
    head, end, rest = svg.partition(">")
    return re.sub(r' (width|height)="[^"]*"', "", head) + ' width="100%"' + end + rest


def ratios(report: Report) -> str:
    """numgraph over the best peer, case by case."""
    rows = [(case, figures.compare(case)) for case in report["cases"] if case["group"] not in CURVES]
    found = [(case, c) for case, c in rows if c is not None]
    if not found:
        return ""
    with drawing(1, 1, 0.8 + 0.27 * len(found)) as (_, axes, made):
        ax = axes[0, 0]
        for k, (_, c) in enumerate(found):
            colour = WIN if c.ratio <= 1 else LOSS
            ax.plot([c.pairs.low, c.pairs.high], [k, k], color=colour, lw=5, alpha=0.25, solid_capstyle="butt")
            ax.plot([c.ratio], [k], "o", color=colour)
            ax.annotate(
                f"{c.ratio:.2f}  {label(report, c.peer)}",
                (1.01, k),
                xycoords=("axes fraction", "data"),
                va="center",
                color=colour,
            )
        ax.axvline(1, color=GREY, lw=1)
        names = [case["name"] for case, _ in found]
        _logarithmic(ax, names, "numgraph's time (or memory) / best peer's: left of 1, numgraph is better")
        ax.tick_params(axis="y", length=0)
    return made[0]


def over_limits(report: Report) -> str:
    """All peers over the machine's limit."""
    cases = [case for case in report["cases"] if case.get("limit") and case["group"] not in CURVES]
    return _dots(report, cases, lambda case, value: value / case["limit"], "time / the least that the machine needs", 1)


def seconds(report: Report, *groups: str) -> str:
    """All peers' seconds in groups of cases."""
    cases = [case for case in report["cases"] if case["group"] in groups]
    return _dots(report, cases, lambda case, value: value, "seconds")


def memory(report: Report) -> str:
    """All peers' resident sets."""
    cases = [case for case in report["cases"] if case["group"] == "memory"]
    return _dots(report, cases, lambda case, value: value / 1e6, "MB, greatest resident set of the process")


def _dots(
    report: Report,
    cases: list[dict[str, Any]],
    of: Callable[[dict[str, Any], float], float],
    title: str,
    line: float | None = None,
) -> str:
    """A row per case, a mark per peer."""
    cases = [case for case in cases if figures.timed(case)]
    if not cases:
        return ""
    with drawing(1, 1, 1.25 + 0.27 * len(cases)) as (figure, axes, made):
        ax = axes[0, 0]
        for name in [n for n in report["peers"] if n != US] + [US]:  # numgraph on top
            points = [(of(c, found[name].least), k) for k, c in enumerate(cases) if name in (found := figures.timed(c))]
            if points:
                colour, mark = _look(name)
                ax.plot(*zip(*points, strict=True), mark, color=colour, label=label(report, name), alpha=0.9)
        if line is not None:
            ax.axvline(line, color=GREY, lw=1)
        _logarithmic(ax, [case["name"] for case in cases], title)
        figure.legend(loc="outside upper center", ncols=4)
    return made[0]


def _logarithmic(ax: Any, names: list[str], title: str) -> None:
    """A logarithmic axis with plain numbers; the first name on top."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = ax.get_xlim()
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    narrow = high / low < 30
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel(title)


def curves(report: Report, group: str) -> str:
    """Time over what is varied, a panel per series; dashed, the machine's limit."""
    series: dict[str, list[dict[str, Any]]] = {}
    for case in report["cases"]:
        if case["group"] == group and figures.timed(case):
            series.setdefault(case["series"], []).append(case)
    if not series:
        return ""
    with drawing(1, len(series), 3.6) as (figure, axes, made):
        for ax, (name, cases) in zip(axes[0], series.items(), strict=True):
            _panel(report, ax, name, cases)
        axes[0, 0].set_ylabel("seconds per step")
        handles: dict[str, Any] = {}
        for ax in axes[0]:
            for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
                handles.setdefault(text, handle)
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=5)
    return made[0]


def _panel(report: Report, ax: Any, name: str, cases: list[dict[str, Any]]) -> None:
    for peer in report["peers"]:
        points = [(c["at"], found[peer].least) for c in cases if peer in (found := figures.timed(c))]
        if points:
            colour, mark = _look(peer)
            width = 2 if peer == US else 1
            ax.plot(*zip(*points, strict=True), f"{mark}-", color=colour, lw=width, ms=5, label=label(report, peer))
    limit = [(c["at"], c["limit"]) for c in cases if c.get("limit")]
    if limit:
        ax.plot(*zip(*limit, strict=True), "--", color=GREY, lw=1, label="the machine's limit")
    first, _, rest = name.partition(": ")
    ax.set_xlabel(first)
    ax.set_title(rest, fontsize=10)
    ax.set_yscale("log")
    if first == "threads":
        places = [case["at"] for case in cases]
        ax.set_xticks(places, [str(n) for n in places])
    else:
        ax.set_xscale("log")


def _look(name: str) -> tuple[str, str]:
    return LOOKS.get(name, (GREY, "x"))

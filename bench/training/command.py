"""`python -m bench programs`: training steps with loops and random numbers beside other libraries, and how long the
gradient of an LSTM takes to build and to compile."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import figures, machine, suite, tables
from bench.cases import Case, Start
from bench.figures import US, Spread, amount
from bench.suite import Settings

NAMES = {
    "dA": "denoising autoencoder",
    "cd": "RBM, CD-15",
    "pcd": "RBM, persistent CD-15",
    "lstm_layer": "LSTM layer",
    "rnn_layer": "RNN layer",
    "lenet": "LeNet, batch 500",
    "gp": "Gaussian process, 100 points",
}
PEERS = ("numgraph", "jax", "torch", "torch.nn", "torch.compile", "pytensor")
CASES = (
    *(Case(name, "programs", kind) for kind, name in NAMES.items()),
    Case("LeNet, batch 20", "programs", "lenet", {"B": 20}),
    Case("Gaussian process, 1,000 points", "programs", "gp", {"B": 1000, "R": 4000}),
)
# Of all that compile, JAX is the one to be compared with; `--full` asks the others, too.
START = Start("LSTM layer", "lstm_layer", {}, 3, 3, ("first", "compile", "compile again"), (US, "jax"))


def main(arguments: list[str]) -> int:
    """Check, measure and print; 0 unless a library gave wrong results."""
    options = parser().parse_args(arguments)
    unknown = sorted(set(options.peers.split(",")) - set(PEERS))
    if unknown:
        raise SystemExit(f"--peers: there is no {', '.join(unknown)}; there are {', '.join(PEERS)}")
    chosen = [case for case in CASES if any(text in case.name for text in options.only or [""])]
    starts = [START] if not options.only or "compile" in options.only else []
    if options.tiny:
        chosen, starts = [case.tiny() for case in chosen], [start.tiny() for start in starts]
    threads = options.threads or machine.usable()
    names = tuple(options.peers.split(","))
    settings = replace(
        Settings(names, threads, options.repeats, 0.1, options.limit, options.full, measure_limits=False),
        least=1e-4 if options.tiny else 0.1,
    )
    made = suite.run(chosen, starts, settings, lambda text: print(text, file=sys.stderr, flush=True))
    if options.json:
        options.json.write_text(json.dumps(made, indent=1), encoding="utf-8")
    print(text_of(made))
    return int(any(r["status"] == "wrong" for case in made["cases"] for r in case["results"].values()))


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m bench programs", description="Training steps of whole programs.")
    made.add_argument("--only", metavar="TEXT", action="append", help="cases whose name contains it, or `compile`")
    made.add_argument("--peers", metavar="NAME,NAME", default=",".join(PEERS), help="default: %(default)s")
    made.add_argument("--repeats", type=int, default=12, metavar="N", help="measurements of each")
    made.add_argument("--threads", type=int, metavar="N", help="of each library (default: all processors)")
    made.add_argument("--limit", type=float, default=600, metavar="SECONDS", help="after which one is given up")
    made.add_argument("--full", action="store_true", help="all libraries in fresh processes, not JAX alone")
    made.add_argument("--tiny", action="store_true", help="at the least sizes: shows that it runs")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return made


def text_of(report: dict[str, Any]) -> str:
    """The table: a line for each library and case, and numgraph's ratios to the fastest other library."""
    lines = [f"{'':26} {'least':>9} {'median':>9} {'quartiles':>19}"]
    for case in report["cases"]:
        found = figures.compare(case)
        lines.append(case["name"])
        for name, result in sorted(case["results"].items(), key=_least):
            row = f"  {tables.label(report, name):24} {_figures(result, case['unit'])}"
            if found and name == found.peer:
                row += f"   numgraph takes {found.least:.2f} of the least, {_medians(case, name):.2f} of the median"
            lines.append(row)
    lines += [f"- {text}" for text in tables.remarks(report)]
    return "\n".join(lines)


def _least(item: tuple[str, dict[str, Any]]) -> float:
    """Where a result belongs: the fastest first, those without figures last."""
    return min(item[1].get("values", [float("inf")]))


def _figures(result: dict[str, Any], unit: str) -> str:
    if result["status"] != "timed":
        return tables.cell(result, unit)
    spread = Spread.of(result["values"])
    least, median, low, high = (amount(x, unit) for x in (spread.least, spread.median, spread.low, spread.high))
    return f"{least:>9} {median:>9} {f'{low} - {high}':>19}"


def _medians(case: dict[str, Any], name: str) -> float:
    found = figures.timed(case)
    return found[US].median / found[name].median

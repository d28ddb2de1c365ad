"""`python -m bench tutorials`: what an epoch of the tutorials' programs takes in each library, as a table for
docs/tutorials.md.

Each row is one kind of step at a program's sizes, its minibatches in order, in the way in which a library does many
steps best (`f.sweep`, `lax.scan`, or a loop). What is timed are short sweeps, in turn with the other libraries; an
epoch is the least time of a step, times its steps. Validation is not in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import figures, machine, readme, suite, tables
from bench.cases import Case
from bench.figures import amount
from bench.peers import named
from bench.suite import Settings

BEGIN, END = "<!-- epochs: written by `python -m bench tutorials --write FILE` -->", "<!-- end of epochs -->"
ROWS = 8000
# The load from which on figures are marked.
BUSY = 0.5
# What a column shows: the fastest of these.
COLUMNS = {
    "numgraph": ("numgraph",),
    "PyTensor": ("pytensor",),
    "JAX": ("jax",),
    "PyTorch": ("torch", "torch.nn", "torch.compile"),
}
PEERS = tuple(name for names in COLUMNS.values() for name in names)


@dataclass(frozen=True)
class Row:
    """A line of the table. program: of bench/programs. what: the part of its training. steps: of an epoch. case: one
    of these steps."""

    program: str
    what: str
    steps: int
    case: Case


def _row(program: str, what: str, kind: str, steps: int, **sizes: int) -> Row:
    return Row(program, what, steps, Case(f"{program}, {what}", "tutorials", kind, sizes, way="sweep"))


def _digits(program: str, what: str, kind: str, batch: int, **sizes: int) -> Row:
    """On the digits, minibatches of so many rows."""
    return _row(program, what, kind, ROWS // batch, R=ROWS, B=batch, **sizes)


# The sizes of the programs.
TABLE = (
    _digits("logistic_sgd", "training", "logreg", 600),
    _digits("mlp", "training", "mlp", 20),
    _digits("convolutional_mlp", "training", "lenet", 50),
    _digits("dA", "of damaged digits", "dA", 20),
    _digits("cA", "training", "cA", 10),
    _digits("SdA", "fine-tuning", "deep", 20),
    _digits("rbm", "persistent chains", "pcd", 20, K=15),
    _digits("rbm", "`--contrastive`", "cd", 20, K=15),
    _digits("DBN", "pretraining of layer 1", "cd", 20, K=1),
    _row("lstm", "the layer alone", "lstm_layer", 250, R=1600, B=16, T=40, I=64, H=64),
    _row("rnnslu", "a layer of tanh units", "rnn_layer", 1000, R=100, B=1, T=12, I=350, H=100),
)


def main(arguments: list[str]) -> int:
    """Check, measure and print; 0 unless a library gave wrong results."""
    options = parser().parse_args(arguments)
    names = tuple(options.peers.split(","))
    unknown = sorted(set(names) - set(PEERS))
    if unknown:
        raise SystemExit(f"--peers: there is no {', '.join(unknown)}; there are {', '.join(PEERS)}")
    rows = [row for row in TABLE if any(text in row.case.name for text in options.only or [""])]
    if options.tiny:
        rows = [replace(row, case=row.case.tiny()) for row in rows]
    settings = Settings(
        names,
        options.threads or machine.usable(),
        options.repeats,
        1e-4 if options.tiny else options.least,
        options.limit,
        measure_limits=False,
        swept=options.swept,
        patience=options.patience,
    )
    made = suite.run([row.case for row in rows], [], settings, lambda text: print(text, file=sys.stderr, flush=True))
    if options.json:
        options.json.write_text(json.dumps(made, indent=1), encoding="utf-8")
    text = section(rows, made)
    print(text, *(f"- {remark}" for remark in tables.remarks(made)), sep="\n")
    if options.write:
        readme.between(options.write, BEGIN, text, END)
    return int(any(r["status"] == "wrong" for case in made["cases"] for r in case["results"].values()))


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m bench tutorials", description="An epoch of the tutorials' programs.")
    made.add_argument("--only", metavar="TEXT", action="append", help="rows whose program and part contain it")
    made.add_argument("--peers", metavar="NAME,NAME", default=",".join(PEERS), help="default: %(default)s")
    made.add_argument("--repeats", type=int, default=20, metavar="N", help="rounds, of which the least counts (20)")
    made.add_argument("--least", type=float, default=0.02, metavar="SECONDS", help="that a measurement takes (0.02)")
    made.add_argument("--swept", type=int, default=20, metavar="N", help="steps of a sweep (default 20)")
    made.add_argument("--patience", type=float, default=60, metavar="SECONDS", help="for the rounds of a row (60)")
    made.add_argument("--threads", type=int, metavar="N", help="of each library (default: all processors)")
    made.add_argument("--limit", type=float, default=600, metavar="SECONDS", help="after which one is given up")
    made.add_argument("--tiny", action="store_true", help="at the least sizes: shows that it runs")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    made.add_argument("--write", type=Path, metavar="FILE", help="write the table into that docs/tutorials.md")
    return made


def section(rows: list[Row], report: dict[str, Any]) -> str:
    """The table and what it depends on, as Markdown."""
    cases = {case["name"]: case for case in report["cases"]}
    threads = report["settings"]["threads"]
    heads = ["program", "what", "steps", *COLUMNS, "numgraph / best other"]
    lines = [
        f"| {' | '.join(heads)} |",
        "|" + "---|" * len(heads),
        *(line(row, cases[row.case.name]) for row in rows if row.case.name in cases),
        "",
        f"{report['machine']['processor']}, {threads} thread{'s' * (threads > 1)} for each library; {loaded(report)}."
        f" {readme.peers(report)}.",
    ]
    return "\n".join(lines)


def line(row: Row, case: dict[str, Any]) -> str:
    """A row: seconds per epoch of each column's fastest, and the ratio to the best of the others."""
    found, ratio = figures.timed(case), figures.compare(case)
    cells = []
    for names in COLUMNS.values():
        timed = [name for name in names if name in found]
        least = min(timed, key=lambda name: found[name].least, default="")
        if least:
            note = "" if least == names[0] else f" ({named(least).label})"
            cells.append(amount(found[least].least * row.steps, "s") + note)
        else:
            cells.append("; ".join(dict.fromkeys(tables.cell(case["results"].get(name), "s") for name in names)))
    cells.append(f"{ratio.least:.2f}" if ratio else "")
    return f"| `{row.program}` | {row.what} | {row.steps} | {' | '.join(cells)} |"


def loaded(report: dict[str, Any]) -> str:
    """What else the machine did."""
    loads = [load for load in report["load"].values() if load is not None]
    if not loads:
        return "the system does not tell what else the machine did"
    # the suite itself keeps one process busy
    other = "with nothing else to do" if loads[0] < BUSY else "shared with other work"
    return f"{other}, load {loads[0]:.1f} before and {loads[-1]:.1f} after"

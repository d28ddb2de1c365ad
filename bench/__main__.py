"""`python -m bench`: check, time and report the cases; `report` and `readme` make pages of it; `gpu`,
`scaling`, `threads`, `draws`, `programs` and `tutorials` are apart."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import machine, readme, suite, tables
from bench.cases import STARTS, Case, Start, cases
from bench.peers import PEERS
from bench.suite import Settings
from numgraph.inspector.terminal import make_console
from numgraph.text import tolerant

# What `--quick` leaves out: peers that compile for long, and cases that need many sizes or processes.
QUICK_PEERS = ("numgraph", "numpy", "jax", "torch", "numexpr")
QUICK_GROUPS = ("steps", "arrays", "calls")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 unless a peer that should be measured gave wrong results."""
    given = sys.argv[1:] if arguments is None else arguments
    tolerant(sys.stdout, sys.stderr)
    if given[:1] == ["report"]:
        return report_page(given[1:])
    if given[:1] == ["readme"]:
        return readme_table(given[1:])
    if given[:1] == ["gpu"]:
        from bench.gpu import run

        return run.main(given[1:])
    if given[:1] == ["scaling"]:
        from bench import scaling

        return scaling.main(given[1:])
    if given[:1] == ["draws"]:
        from bench import draws

        return draws.main(given[1:])
    if given[:1] == ["threads"]:
        from bench import threads

        return threads.main(given[1:])
    if given[:1] == ["programs"]:
        from bench.training import command

        return command.main(given[1:])
    if given[:1] == ["tutorials"]:
        from bench.training import epochs

        return epochs.main(given[1:])
    options = parser().parse_args(given)
    console = make_console()
    made = measured(options, console)
    show(made, console)
    if options.json:
        options.json.write_text(json.dumps(made, indent=1), encoding="utf-8")
    if options.readme:
        readme.fill(options.readme, made)
    return int(any(r["status"] == "wrong" for case in made["cases"] for r in case["results"].values()))


def parser() -> argparse.ArgumentParser:
    """The options of a run."""
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="numgraph against the libraries that people would use instead.",
        epilog="`python -m bench report [JSON] --out FILE.html` makes a page, `python -m bench readme JSON README.md`"
        " the table in the README, `python -m bench gpu --out DIR` looks at an NVIDIA GPU,"
        " `python -m bench scaling` shows how the time to compile grows, `python -m bench threads` when the pool's"
        " threads take part, `python -m bench draws` times random numbers,"
        " `python -m bench programs` training steps with loops, `python -m bench tutorials` an epoch of each program.",
    )
    how_to_run(made)
    made.add_argument("--readme", type=Path, metavar="FILE", help="write the table into that README.md")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return made


def how_to_run(made: argparse.ArgumentParser) -> None:
    """The options of `measured`."""
    made.add_argument("--quick", action="store_true", help="few cases, peers and repetitions: a first look")
    made.add_argument("--full", action="store_true", help="all peers in the scaling and compilation cases, too")
    made.add_argument("--only", metavar="TEXT", action="append", help="cases whose name contains it; may be repeated")
    made.add_argument("--peers", metavar="NAME,NAME", help=f"of {', '.join(PEERS)} (default: all)")
    made.add_argument("--repeats", type=int, metavar="N", help="measurements of each peer (default: 12, quick 4)")
    made.add_argument("--threads", type=int, metavar="N", help="of every peer (default: all processors)")
    made.add_argument("--limit", type=float, default=120, metavar="SECONDS", help="after which a peer is given up")


def measured(options: argparse.Namespace, console: Console) -> Any:
    """Run the suite as the options say."""
    settings, chosen, starts = plan(options)
    if not console.is_terminal:
        return suite.run(chosen, starts, settings, lambda text: print(text, file=sys.stderr, flush=True))
    with console.status("starting") as status:
        return suite.run(chosen, starts, settings, lambda text: status.update(text))


def plan(options: argparse.Namespace) -> tuple[Settings, list[Case], list[Start]]:
    """Settings and cases; SystemExit for a peer that is none."""
    quick = options.quick
    names = options.peers.split(",") if options.peers else QUICK_PEERS if quick else tuple(PEERS)
    unknown = [n for n in names if n not in PEERS]
    if unknown:
        raise SystemExit(f"--peers: there is no {', '.join(unknown)}; there are {', '.join(PEERS)}")
    threads = options.threads or machine.usable()
    repeats = options.repeats or (4 if quick else 12)
    settings = Settings(tuple(names), threads, repeats, 0.01 if quick else 0.03, options.limit, options.full)
    chosen = [c for c in cases(threads) if not quick or c.group in QUICK_GROUPS]
    starts = [replace(s, cold=1, warm=min(1, s.warm)) for s in STARTS[:1]] if quick else list(STARTS)
    if options.only:
        chosen = [c for c in chosen if any(text in c.name for text in options.only)]
        starts = [s for s in starts if any(text in name for text in options.only for name, _, _ in suite.shown(s))]
    return settings, chosen, starts


def show(report: dict[str, Any], console: Console) -> None:
    """All tables."""
    for group in tables.groups(report):
        console.print(tables.timings(report, group))
        console.print(tables.peers(report, group))
    console.print(tables.goals(report))
    for text in tables.remarks(report):
        console.print(f"- {text}")
    console.print("; ".join(f"{name} {value}" for name, value in report["machine"].items()), style="dim")


def report_page(arguments: list[str]) -> int:
    """`python -m bench report`."""
    made = argparse.ArgumentParser(prog="python -m bench report", description="One HTML page with tables and plots.")
    made.add_argument("figures", type=Path, nargs="?", metavar="JSON", help="of `--json`; without it the suite is run")
    made.add_argument("--out", type=Path, default=Path("bench.html"), metavar="FILE", help="default: bench.html")
    made.add_argument("--json", type=Path, metavar="FILE", help="keep the figures of the run there")
    how_to_run(made)
    options = made.parse_args(arguments)
    console = make_console()
    from bench import report

    found = figures_of(options.figures, made) if options.figures else measured(options, console)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    options.out.write_text(report.page(found), encoding="utf-8")
    console.print(f"wrote {options.out}")
    return 0


def readme_table(arguments: list[str]) -> int:
    """`python -m bench readme`."""
    made = argparse.ArgumentParser(prog="python -m bench readme", description="The table in the README, from figures.")
    made.add_argument("figures", type=Path, metavar="JSON", help="what `python -m bench --json` wrote")
    made.add_argument("readme", type=Path, metavar="README", help="the file with the two marks")
    options = made.parse_args(arguments)
    try:
        readme.fill(options.readme, figures_of(options.figures, made))
    except (OSError, ValueError) as error:
        made.error(str(error))
    return 0


def figures_of(path: Path, made: argparse.ArgumentParser) -> dict[str, Any]:
    """The figures in a file that `--json` wrote; a message and status 2 where it has none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict) or "cases" not in found:
            raise ValueError("it was not written by `python -m bench --json`")
    except OSError as error:
        made.error(f"cannot read {path}: {error.strerror}")
    except ValueError as error:
        made.error(f"there are no figures in {path}: {error}")
    return found


if __name__ == "__main__":
    sys.exit(main())

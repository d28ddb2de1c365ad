"""`python -m bench`: check, time and report the cases."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import readme
from bench.cases import CASES, run
from bench.readme import pair
from numgraph.demo import digits

# Variables that change how fast the BLAS under NumPy runs; a report without them would not be repeatable.
INFLUENCES = ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    repeats, least = (3, 0.02) if options.quick else (options.repeats, 0.2)
    data = digits.load()
    console = Console()
    rows = []
    for case in CASES:
        if options.only and options.only not in case.name:
            continue
        with console.status(f"{case.name}: compiling, checking, timing"):
            rows.append({"case": case.name, **run(case, data, repeats, least, options.target).summary()})
    report = {"machine": machine(), "repeats": repeats, "seconds_per_measurement": least, "cases": rows}
    console.print(table(rows))
    console.print(", ".join(f"{name} {value}" for name, value in report["machine"].items()), style="dim")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    if options.readme:
        readme.fill(options.readme, report)
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Training steps: numgraph against NumPy by hand."
    )
    parser.add_argument("--quick", action="store_true", help="3 short repetitions: shows that it works, not how fast")
    parser.add_argument("--repeats", type=int, default=15, metavar="N", help="measurements of each side (default: 15)")
    parser.add_argument("--only", metavar="TEXT", help="the cases whose name contains this, such as mlp or /20")
    parser.add_argument("--target", help="the target of the numgraph side (default: cpu)")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="write the table into that README.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args(arguments)


def table(rows: list[dict[str, Any]]) -> Table:
    """Microseconds per training step."""
    made = Table(title="µs per training step: min (median)", title_justify="left")
    made.add_column("case")
    for column in ("numgraph", "NumPy by hand", "ratio", "quartiles"):
        made.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        made.add_row(
            str(row["case"]),
            pair(row["numgraph_min_us"], row["numgraph_median_us"]),
            pair(row["numpy_min_us"], row["numpy_median_us"]),
            "{ratio_median:.2f}".format_map(row),
            "{ratio_low:.2f} - {ratio_high:.2f}".format_map(row),
        )
    return made


def machine() -> dict[str, str]:
    """What the figures depend on."""
    facts = {"processor": processor(), "Python": platform.python_version()}
    for package in ("numgraph", "numpy", "numba", "scipy"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    facts |= {name: os.environ[name] for name in INFLUENCES if name in os.environ}
    return facts | blas()


def processor() -> str:
    """The name of the processor where the system tells, and how many there are."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} x {names[0] if names else platform.processor() or platform.machine()}"


def blas() -> dict[str, str]:
    """The BLAS libraries in the process, where `threadpoolctl` can tell."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return {}
    found = [
        f"{pool.get('internal_api')} {pool.get('version')} {pool.get('architecture', '')} x{pool.get('num_threads')}"
        for pool in threadpool_info()
        if pool.get("user_api") == "blas"
    ]
    return {"BLAS": "; ".join(dict.fromkeys(found))}


if __name__ == "__main__":
    sys.exit(main())

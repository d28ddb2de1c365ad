"""`python -m bench scaling`: how the time to compile grows with a program.

Families of programs are built at doubling sizes, in one process and with an empty cache. The exponent is the slope of
log time over log size: 1 where twice the program takes twice as long, 2 where it takes four times as long.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import numgraph as ng
from numgraph.inspector.terminal import make_console

# inputs, outputs and updates of a program
Parts = tuple[list[Any], Any, list[Any]]


@dataclass(frozen=True)
class Family:
    """Programs of any size. unit: what there are `size` of; largest: the size up to which they are timed."""

    name: str
    unit: str
    make: Callable[[int], Parts]
    largest: int


@dataclass(frozen=True)
class Growth:
    """Processor seconds of a family by size."""

    family: Family
    seconds: dict[int, float]

    @property
    def exponent(self) -> float:
        """The slope of log seconds over log size, by least squares over the three largest sizes."""
        return slope(dict(list(self.seconds.items())[-3:]))


def slope(values: dict[int, float]) -> float:
    """The slope of the logarithms of values over those of sizes; nan for fewer than two."""
    if len(values) < 2:
        return math.nan
    sizes, found = np.log(list(values)), np.log(np.maximum(list(values.values()), 1e-6))
    return float(np.polyfit(sizes, found, 1)[0])


def _layers(size: int) -> Any:
    y = ng.vector("x")
    for _ in range(size):
        y = ng.tanh(y * 1.01 + 0.1)
    return y


def chain(size: int) -> Parts:
    """One elementwise operation after the other."""
    y = _layers(size // 3)
    return _leaves(y), y, []


def gradient(size: int) -> Parts:
    """The gradient of such a chain."""
    y = _layers(size // 3)
    (x,) = _leaves(y)
    return [x], ng.grad(y.sum(), x), []


def _leaves(y: Any) -> list[Any]:
    while y.op is not None:
        y = y.inputs[0]
    return [y]


def diff(size: int) -> Parts:
    """Differences of a high order: slices of slices."""
    x = ng.vector("x")
    return [x], ng.diff(x, n=size), []


def heat(size: int) -> Parts:
    """Steps of the heat equation, each one shorter at both ends."""
    x = y = ng.vector("x")
    for _ in range(size):
        y = y[1:-1] + 0.1 * (y[2:] - 2 * y[1:-1] + y[:-2])
    return [x], y, []


def halves(size: int) -> Parts:
    """Sums of the halves of a vector, each half as long: lengths made of lengths."""
    x = y = ng.vector("x")
    for _ in range(size):
        middle = y.shape[0] // 2
        y = y[:middle] + y[middle : 2 * middle]
    return [x], y, []


def doubled(size: int) -> Parts:
    """A slice whose bound is an index that is doubled again and again."""
    x, n = ng.vector("x"), ng.lscalar("n")
    bound = n
    for _ in range(size):
        bound = bound + bound
    return [n, x], x[bound * 0 :], []


def inputs(size: int) -> Parts:
    """The sum of many inputs."""
    xs = [ng.vector(f"x{k}") for k in range(size)]
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    return xs, total.sum(), []


def _states(size: int) -> list[Any]:
    return [ng.shared(np.full(3, float(k)), f"s{k}") for k in range(size)]


def ring(size: int) -> Parts:
    """Updates of which each reads the next variable."""
    states = _states(size)
    return [], None, [(s, s * 0.5 + states[(k + 1) % size]) for k, s in enumerate(states)]


def independent(size: int) -> Parts:
    """Updates that have nothing to do with one another."""
    return [], None, [(s, s * 0.5 + 1) for s in _states(size)]


def wide(size: int) -> Parts:
    """Many sums over one vector."""
    x = ng.vector("x")
    total = ng.sum(x)
    for k in range(1, size):
        total = total + ng.sum(x * float(k))
    return [x], total, []


def joined(size: int) -> Parts:
    """One vector made of many."""
    x = ng.vector("x")
    return [x], ng.concatenate([x * float(k) for k in range(size)]), []


def outputs(size: int) -> Parts:
    """Many results."""
    x = ng.vector("x")
    return [x], [x * float(k) for k in range(size)], []


FAMILIES = (
    Family("chain", "operations", chain, 4800),
    Family("gradient of a chain", "operations", gradient, 4800),
    Family("diff", "orders", diff, 400),
    Family("heat equation", "steps", heat, 200),
    Family("halves of halves", "steps", halves, 200),
    Family("doubled bound", "doublings", doubled, 400),
    Family("many inputs", "inputs", inputs, 1600),
    Family("ring of updates", "updates", ring, 800),
    Family("independent updates", "updates", independent, 1600),
    Family("wide sums", "sums", wide, 800),
    Family("joined parts", "parts", joined, 400),
    Family("many outputs", "outputs", outputs, 1600),
)


def measure(family: Family, sizes: Sequence[int], said: Callable[[str], None] = lambda text: None) -> Growth:
    """Compile a family at these sizes. Processor time of all threads: what else the machine does counts less."""
    found = {}
    for size in sizes:
        said(f"{family.name}: {size} {family.unit}")
        given, results, updates = family.make(size)
        began = time.process_time()
        ng.function(given, results, updates=updates)
        found[size] = time.process_time() - began
    return Growth(family, found)


def sizes_of(family: Family, steps: int, scale: float) -> list[int]:
    """Doubling sizes up to the largest."""
    largest = max(round(family.largest * scale), 2 ** (steps - 1))
    return [largest >> k for k in reversed(range(steps))]


def table(grown: Sequence[Growth]) -> Table:
    """A row for each family: seconds by size, and the exponent."""
    steps = max((len(g.seconds) for g in grown), default=0)
    made = Table(title="processor seconds to compile, by size", title_justify="left")
    made.add_column("family", min_width=12)
    made.add_column("size: seconds", justify="right")
    for _ in range(steps - 1):
        made.add_column("", justify="right")
    made.add_column("exponent", justify="right")
    for growth in grown:
        cells = [f"{size:,}: {seconds:.2f}" for size, seconds in growth.seconds.items()]
        made.add_row(growth.family.name, *cells, f"{growth.exponent:.2f}")
    return made


def main(arguments: list[str]) -> int:
    """`python -m bench scaling`."""
    made = argparse.ArgumentParser(
        prog="python -m bench scaling", description="How the time to compile grows with the size of a program."
    )
    made.add_argument("--only", metavar="TEXT", action="append", help="families whose name contains it")
    made.add_argument("--steps", type=int, default=4, metavar="N", help="sizes, each twice the one before (default: 4)")
    made.add_argument("--scale", type=float, default=1.0, metavar="X", help="of all sizes (default: 1)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = made.parse_args(arguments)
    chosen = [f for f in FAMILIES if not options.only or any(text in f.name for text in options.only)]
    console = make_console()
    kept = ng.config.cache_dir
    with tempfile.TemporaryDirectory() as folder, console.status("starting") as status:
        try:
            ng.config.cache_dir = Path(folder)
            # what is loaded and compiled once in a process
            measure(FAMILIES[0], [30])
            grown = [measure(f, sizes_of(f, options.steps, options.scale), status.update) for f in chosen]
        finally:
            ng.config.cache_dir = kept
    console.print(table(grown))
    if options.json:
        figures = [{"family": g.family.name, "seconds": g.seconds, "exponent": g.exponent} for g in grown]
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0

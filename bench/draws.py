"""`python -m bench draws`: random numbers beside NumPy's generator, in nanoseconds for a number.

Numbers differ between libraries, so this is no case of the suite, which compares results. Both write to memory that is
there already, where the library can.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.random import RandomStream

Draw = Callable[[RandomStream, Any], ng.Variable]
Peer = Callable[[np.random.Generator, Any], Any]


def _into(method: str, dtype: str) -> Peer:
    """A method of NumPy's generator that fills an array."""
    arrays: dict[Any, Any] = {}

    def run(rng: np.random.Generator, size: Any) -> Any:
        out = arrays.setdefault(size, np.zeros(size, dtype))
        return getattr(rng, method)(dtype=dtype, out=out)

    return run


def _dropped(rng: np.random.Generator, size: Any) -> Any:
    return np.where(rng.random(size, dtype="float32") >= 0.5, np.float32(2), np.float32(0))


def _mask(rng: RandomStream, size: Any) -> ng.Variable:
    return rng.dropout(ng.ones(size, "float32"), 0.5)


# name, size (None: what was asked for), draw, NumPy's
ROWS: tuple[tuple[str, Any, Draw, Peer], ...] = (
    ("uniform float32", None, lambda s, n: s.uniform(size=n, dtype="float32"), _into("random", "float32")),
    ("uniform float64", None, lambda s, n: s.uniform(size=n, dtype="float64"), _into("random", "float64")),
    ("normal float32", None, lambda s, n: s.normal(size=n, dtype="float32"), _into("standard_normal", "float32")),
    ("normal float64", None, lambda s, n: s.normal(size=n, dtype="float64"), _into("standard_normal", "float64")),
    ("exponential", None, lambda s, n: s.exponential(size=n), _into("standard_exponential", "float64")),
    ("bernoulli", None, lambda s, n: s.bernoulli(np.float32(0.3), size=n), lambda r, n: r.random(n, "float32") < 0.3),
    ("integers", None, lambda s, n: s.integers(1000, size=n), lambda r, n: r.integers(0, 1000, n)),
    ("gamma 2.5", None, lambda s, n: s.gamma(2.5, size=n), lambda r, n: r.gamma(2.5, size=n)),
    ("gamma 0.5", None, lambda s, n: s.gamma(0.5, size=n), lambda r, n: r.gamma(0.5, size=n)),
    ("poisson 3", None, lambda s, n: s.poisson(3.0, size=n), lambda r, n: r.poisson(3.0, n)),
    ("poisson 50", None, lambda s, n: s.poisson(50.0, size=n), lambda r, n: r.poisson(50.0, n)),
    ("binomial 10, 0.3", None, lambda s, n: s.binomial(10, 0.3, size=n), lambda r, n: r.binomial(10, 0.3, n)),
    ("binomial 1000, 0.3", None, lambda s, n: s.binomial(1000, 0.3, size=n), lambda r, n: r.binomial(1000, 0.3, n)),
    ("permutation", None, lambda s, n: s.permutation(n), lambda r, n: r.permutation(n)),
    ("dropout mask, 600 x 500", (600, 500), _mask, _dropped),
)


def least(run: Callable[[], Any], count: int, repeats: int) -> float:
    """The least time of several, in nanoseconds for a number."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e9 * min(times) / count


def measured(count: int, repeats: int) -> list[tuple[str, float, float]]:
    """(name, numgraph, NumPy) for each row."""
    stream, rng = RandomStream(seed=1), np.random.default_rng(1)
    found = []
    for name, fixed, draw, peer in ROWS:
        size = count if fixed is None else fixed
        made = draw(stream, size)
        kept = ng.shared(np.zeros(size, made.dtype))
        f = ng.function([], updates=[(kept, made)])
        number = int(np.prod(size))
        found.append(
            (name, least(f, number, repeats), least(lambda peer=peer, size=size: peer(rng, size), number, repeats))
        )
    return found


def main(arguments: list[str]) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench draws", description="Nanoseconds for a random number.")
    parser.add_argument("--count", type=int, default=1_000_000, metavar="N", help="numbers of a draw")
    parser.add_argument("--repeats", type=int, default=15, metavar="N", help="of which the least is shown")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="numgraph's; NumPy has one")
    options = parser.parse_args(arguments)
    ng.config.threads = options.threads
    print(f"{'ns for a number':26} {'numgraph':>10} {'NumPy':>10}")
    for name, own, other in measured(options.count, options.repeats):
        print(f"{name:26} {own:10.2f} {other:10.2f}")
    return 0

"""Regression by a Gaussian process: `ng.minimize`, SciPy's L-BFGS, minimises the negative log marginal likelihood, and
numgraph computes it and its gradient.

The covariance of two outputs falls off with the distance of their inputs, `s**2 * exp(-|a - b|**2 / (2 * l**2))`, and
each output has noise of its own. The logarithms of the length l, the size s and the noise are found from the data. All
that is costly is one Cholesky factor of the covariances, which the value, its gradient and the predictions share.

Source: C. Rasmussen and C. Williams, "Gaussian Processes for Machine Learning" (2006), algorithm 2.1 and section 5.4.1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import numgraph as ng


def main(arguments: Sequence[str] | None = None) -> float:
    """Find the parameters, print them, and return the error of the predictions, relative to the spread of what is
    predicted."""
    options = parser().parse_args(arguments)
    train_x, train_y, test_x, test_y = drawn(options.points, options.axes)

    theta = ng.shared(np.zeros(3), name="theta")
    x, y = ng.shared(train_x, name="x"), ng.shared(train_y, name="y")
    length, size, noise = (ng.exp(theta[k]) for k in range(3))

    def covariance(a: Any, b: Any) -> Any:
        squares = ng.sum(a**2, axis=1)[:, None] + ng.sum(b**2, axis=1) - 2 * ng.dot(a, b.T)
        return size**2 * ng.exp(-ng.maximum(squares, 0) / (2 * length**2))

    K = covariance(x, x) + noise**2 * ng.eye(x.shape[0])
    L = ng.cholesky(K)
    white = ng.solve_triangular(L, y, lower=True)
    cost = ng.sum(white**2) / 2 + ng.sum(ng.log(L[ng.arange(x.shape[0]), ng.arange(x.shape[0])]))
    cost += x.shape[0] * np.log(2 * np.pi) / 2

    new = ng.matrix("new")
    across = ng.solve_triangular(L, covariance(x, new), lower=True)
    predict = ng.function(
        [new], [ng.dot(across.T, white), size**2 + noise**2 - ng.sum(across**2, axis=0)], name="predict"
    )

    began = time.perf_counter()
    found = ng.minimize(cost, theta, options={"maxiter": options.iterations})
    seconds = time.perf_counter() - began
    mean, variance = predict(test_x)
    error = float(np.sqrt(np.mean((mean - test_y) ** 2)) / np.std(test_y))
    within = np.mean(np.abs(mean - test_y) < 2 * np.sqrt(variance))
    shown = ", ".join(f"{name} {v:.3f}" for name, v in zip(("length", "size", "noise"), np.exp(found.x), strict=True))
    print(f"{shown}; {within:.0%} of the predictions are within two standard deviations")
    print(f"likelihood {-found.fun:.2f} after {found.nfev} evaluations in {seconds:.2f} s, test error {error:.2%}")
    return error


def drawn(points: int, axes: int) -> tuple[Any, Any, Any, Any]:
    """Inputs in a cube and a smooth function of them with noise: those to learn from, and as many to predict."""
    rng = np.random.default_rng(7)
    x = rng.uniform(-2, 2, (2 * points, axes))
    y = np.sin(2 * x[:, 0]) + np.cos(x).sum(axis=1) / 2 + 0.1 * rng.normal(size=2 * points)
    y -= y[:points].mean()
    return x[:points], y[:points], x[points:], y[points:]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--points", type=int, default=1000, metavar="N", help="inputs to learn from (default 1000)")
    top.add_argument("--axes", type=int, default=2, metavar="N", help="numbers of an input (default 2)")
    top.add_argument("--iterations", type=int, default=50, metavar="N", help="at most (default 50)")
    return top


if __name__ == "__main__":
    main()

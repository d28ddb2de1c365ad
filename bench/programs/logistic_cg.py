"""Logistic regression by conjugate gradients: SciPy minimises, numgraph computes the cost and its gradient.

SciPy's minimisers work on one vector. `ng.minimize` makes W and b two windows of it, and the gradient with respect to
it is again one vector. All training digits are one batch: an evaluation reads them once for cost and gradient.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.demo import digits


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, print the errors, and return the error on the test digits at the best validation error, 0 to 1."""
    options = parser().parse_args(arguments)
    data = digits.load()

    # The model. SciPy's line search looks at small differences of the cost, hence float64.
    x, y = ng.matrix("x", dtype="float64"), ng.vector("y", dtype="int32")
    W = ng.shared(np.zeros((data.features, data.classes)), name="W")
    b = ng.shared(np.zeros(data.classes), name="b")
    p_y = ng.softmax(ng.dot(x, W) + b, axis=1)
    cost = -ng.mean(ng.log(p_y)[ng.arange(y.shape[0]), y])
    wrong = ng.mean(ng.neq(ng.argmax(p_y, axis=1), y))

    train_x = ng.shared(data.train.x.astype("float64"), name="train_x")
    train_y = ng.shared(data.train.y, name="train_y")
    judge = ng.function([x, y], wrong, name="judge")

    best, test = 1.0, 1.0

    def report(found: Any) -> None:
        # W and b have the values of the iteration
        nonlocal best, test
        valid = float(judge(data.valid.x, data.valid.y))
        if valid < best:
            best, test = valid, float(judge(data.test.x, data.test.y))
        print(f"iteration {found.nit:3}: validation error {valid:.2%}, best {best:.2%}")

    began = time.perf_counter()
    found = ng.minimize(
        cost, [W, b], "CG", givens={x: train_x, y: train_y}, callback=report, options={"maxiter": options.epochs}
    )
    seconds = time.perf_counter() - began
    print(f"cost {found.fun:.4f} after {found.nfev} evaluations in {seconds:.1f} s")
    print(f"best validation error {best:.2%}, test error {test:.2%}")
    return test


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--epochs", type=int, default=50, metavar="N", help="iterations at most (default 50)")
    return top


if __name__ == "__main__":
    main()

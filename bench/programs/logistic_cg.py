"""Logistic regression by conjugate gradients: SciPy minimises, numgraph computes the cost and its gradient.

SciPy's minimisers work on one vector. So W and b are two windows of it, `theta[:n].reshape(...)` and `theta[n:]`, and
the gradient with respect to theta is again one vector. All training digits are one batch: a call of `step` reads them
once for both results.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

import numgraph as ng
from numgraph.demo import digits


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, print the errors, and return the error on the test digits at the best validation error, 0 to 1."""
    options = parser().parse_args(arguments)
    data = digits.load()

    # The model. SciPy's line search looks at small differences of the cost, hence float64.
    x, y = ng.matrix("x", dtype="float64"), ng.vector("y", dtype="int32")
    weights = data.features * data.classes
    theta = ng.shared(np.zeros(weights + data.classes), name="theta")
    W = theta[:weights].reshape((data.features, data.classes))
    b = theta[weights:]
    p_y = ng.softmax(ng.dot(x, W) + b, axis=1)
    cost = -ng.mean(ng.log(p_y)[ng.arange(y.shape[0]), y])
    wrong = ng.mean(ng.neq(ng.argmax(p_y, axis=1), y))

    train_x = ng.shared(data.train.x.astype("float64"), name="train_x")
    train_y = ng.shared(data.train.y, name="train_y")
    step = ng.function([], [cost, ng.grad(cost, theta)], givens={x: train_x, y: train_y}, name="step")
    judge = ng.function([x, y], wrong, name="judge")

    def value_and_gradient(point: Any) -> tuple[float, Any]:
        # `borrow`: SciPy makes a new vector for each point, so that it need not be copied
        theta.set_value(point, borrow=True)
        value, gradient = step()
        return float(value), gradient

    best, test, iteration = 1.0, 1.0, 0

    def report(point: Any) -> None:
        nonlocal best, test, iteration
        iteration += 1
        theta.set_value(point)
        valid = float(judge(data.valid.x, data.valid.y))
        if valid < best:
            best, test = valid, float(judge(data.test.x, data.test.y))
        print(f"iteration {iteration:3}: validation error {valid:.2%}, best {best:.2%}")

    began = time.perf_counter()
    found = minimize(
        value_and_gradient,
        np.zeros(weights + data.classes),
        method="CG",
        jac=True,
        callback=report,
        options={"maxiter": options.epochs},
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

"""Logistic regression by stochastic gradient descent, with early stopping.

A digit's class is the row of softmax(x W + b) that is largest. Training makes the mean of -log p(correct class) small,
one minibatch after the other; it ends when the error on digits that it does not train on has stopped falling.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.demo import digits


def model(features: int, classes: int) -> tuple[Any, ...]:
    """Images x float32[n, features] with classes y int32[n]; the cost, the share of wrong answers, and what is
    trained."""
    x, y = ng.matrix("x", dtype="float32"), ng.vector("y", dtype="int32")
    W = ng.shared(np.zeros((features, classes), "float32"), name="W")
    b = ng.shared(np.zeros(classes, "float32"), name="b")
    p_y = ng.softmax(ng.dot(x, W) + b, axis=1)
    cost = -ng.mean(ng.log(p_y)[ng.arange(y.shape[0]), y])
    wrong = ng.mean(ng.neq(ng.argmax(p_y, axis=1), y))
    return x, y, cost, wrong, W, b


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, print the errors, and return the error on the test digits at the best validation error, 0 to 1."""
    options = parser().parse_args(arguments)
    data = digits.load()
    batch, rate = options.batch, options.rate
    x, y, cost, wrong, W, b = model(data.features, data.classes)

    # One training step: the data stay where they are, a call takes the number of its minibatch.
    index = ng.lscalar("index")
    train_x, train_y = ng.shared(data.train.x, name="train_x"), ng.shared(data.train.y, name="train_y")
    rows = slice(index * batch, (index + 1) * batch)
    gW, gb = ng.grad(cost, [W, b])
    train = ng.function(
        [index],
        cost,
        updates=[(W, W - rate * gW), (b, b - rate * gb)],
        givens={x: train_x[rows], y: train_y[rows]},
        name="train",
    )
    judge = ng.function([x, y], wrong, name="judge")

    began = time.perf_counter()
    batches = range(-(-len(data.train) // batch))
    # at least `patience` steps, and twice those that led to the last clear improvement
    patience, steps, epoch, best, test = options.patience, 0, 0, 1.0, 1.0
    for epoch in range(1, options.epochs + 1):
        costs = train.sweep(index=batches)
        steps += len(batches)
        valid = float(judge(data.valid.x, data.valid.y))
        if valid < best:
            patience = max(patience, 2 * steps) if valid < 0.995 * best else patience
            best, test = valid, float(judge(data.test.x, data.test.y))
            print(f"epoch {epoch:4}: cost {costs.mean():.4f}, validation error {valid:.2%}, test error {test:.2%}")
        if steps >= patience:
            break
    seconds = time.perf_counter() - began
    print(f"{epoch} epochs in {seconds:.1f} s; best validation error {best:.2%}, test error {test:.2%}")
    return test


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--epochs", type=int, default=1000, metavar="N", help="at most so many (default 1000)")
    top.add_argument("--batch", type=int, default=600, metavar="N", help="rows of a minibatch (default 600)")
    top.add_argument("--rate", type=float, default=0.13, metavar="R", help="step size (default 0.13)")
    top.add_argument("--patience", type=int, default=5000, metavar="N", help="steps at least (default 5000)")
    return top


if __name__ == "__main__":
    main()

"""A multilayer perceptron: one layer of tanh units, then logistic regression on what they compute.

Layers are functions that take an expression and return one, and hand their shared variables to a list. The cost is the
mean of -log p(correct class) plus a small multiple of the squared weights, which keeps these from growing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.demo import digits


def dense(x: Any, n_in: int, n_out: int, params: list[Any], rng: np.random.Generator | None = None) -> Any:
    """x W + b; `params` gets W and b. W starts from zeros, or with `rng` in the range of Glorot and Bengio (2010) for
    tanh units."""
    limit = np.sqrt(6.0 / (n_in + n_out))
    start = np.zeros((n_in, n_out)) if rng is None else rng.uniform(-limit, limit, (n_in, n_out))
    layer = len(params) // 2 + 1
    W = ng.shared(start.astype("float32"), name=f"W{layer}")
    b = ng.shared(np.zeros(n_out, "float32"), name=f"b{layer}")
    params += [W, b]
    return ng.dot(x, W) + b


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, print the errors, and return the error on the test digits at the best validation error, 0 to 1."""
    options = parser().parse_args(arguments)
    data = digits.load()
    batch = options.batch

    x, y = ng.matrix("x", dtype="float32"), ng.vector("y", dtype="int32")
    params: list[Any] = []
    hidden = ng.tanh(dense(x, data.features, options.hidden, params, np.random.default_rng(options.seed)))
    p_y = ng.softmax(dense(hidden, options.hidden, data.classes, params), axis=1)
    squares = sum(ng.sum(W**2) for W in params[::2])
    cost = -ng.mean(ng.log(p_y)[ng.arange(y.shape[0]), y]) + options.l2 * squares
    wrong = ng.mean(ng.neq(ng.argmax(p_y, axis=1), y))

    # The rate is an argument, so that it may fall while training goes on, and nothing is compiled anew.
    index, rate = ng.lscalar("index"), ng.fscalar("rate")
    train_x, train_y = ng.shared(data.train.x, name="train_x"), ng.shared(data.train.y, name="train_y")
    rows = slice(index * batch, (index + 1) * batch)
    train = ng.function(
        [index, rate],
        cost,
        updates=[(p, p - rate * g) for p, g in zip(params, ng.grad(cost, params), strict=True)],
        givens={x: train_x[rows], y: train_y[rows]},
        name="train",
    )
    judge = ng.function([x, y], wrong, name="judge")

    began = time.perf_counter()
    batches = range(-(-len(data.train) // batch))
    best, test, epoch = 1.0, 1.0, 0
    for epoch in range(1, options.epochs + 1):
        falling = np.float32(options.rate * 0.95 ** (epoch - 1))
        # the minibatches come in another order in each epoch
        costs = train.sweep(index=np.random.default_rng(epoch).permutation(len(batches)), rate=falling)
        valid = float(judge(data.valid.x, data.valid.y))
        if valid < best:
            best, test = valid, float(judge(data.test.x, data.test.y))
        print(f"epoch {epoch:3}: cost {costs.mean():.4f}, validation error {valid:.2%}, best {best:.2%}")
    seconds = time.perf_counter() - began
    print(f"{epoch} epochs in {seconds:.1f} s; best validation error {best:.2%}, test error {test:.2%}")
    return test


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--epochs", type=int, default=40, metavar="N", help="default 40")
    top.add_argument("--batch", type=int, default=20, metavar="N", help="rows of a minibatch (default 20)")
    top.add_argument("--rate", type=float, default=0.1, metavar="R", help="step size at the beginning (default 0.1)")
    top.add_argument("--hidden", type=int, default=500, metavar="N", help="tanh units (default 500)")
    top.add_argument("--l2", type=float, default=1e-4, metavar="C", help="factor of the squared weights (0.0001)")
    top.add_argument("--seed", type=int, default=1234, metavar="N", help="of the first weights")
    return top


if __name__ == "__main__":
    main()

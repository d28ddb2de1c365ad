"""The tutorial's models, and the compiled functions that train and judge one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.demo.digits import Digits, Part


@dataclass(frozen=True)
class Model:
    """A classifier as expressions over a minibatch `x` float32[n, features] with labels `y` int32[n].

    cost: what training makes small, a scalar. wrong: the number of rows that are classified wrongly, int64.
    """

    name: str
    x: Any
    y: Any
    cost: Any
    wrong: Any
    params: list[Any]


def logreg(features: int, classes: int) -> Model:
    """Logistic regression: softmax(x W + b), trained on the mean negative log-likelihood."""
    x = ng.matrix("x", dtype="float32")
    y = ng.vector("y", dtype="int32")
    W = ng.shared(np.zeros((features, classes), "float32"), name="W")
    b = ng.shared(np.zeros(classes, "float32"), name="b")
    p_y = ng.softmax(ng.dot(x, W) + b, axis=1)
    cost = -ng.mean(ng.log(p_y)[ng.arange(y.shape[0]), y])
    wrong = ng.sum(ng.neq(ng.argmax(p_y, axis=1), y))
    return Model("logreg", x, y, cost, wrong, [W, b])


def mlp(features: int, classes: int, hidden: int = 500, l2: float = 1e-4, seed: int = 1234) -> Model:
    """A multilayer perceptron with one tanh layer of `hidden` units, and `l2` times the squared weights added to the
    cost."""
    x = ng.matrix("x", dtype="float32")
    y = ng.vector("y", dtype="int32")
    limit = np.sqrt(6.0 / (features + hidden))
    start = np.random.RandomState(seed).uniform(-limit, limit, (features, hidden))
    W1 = ng.shared(start.astype("float32"), name="W1")
    b1 = ng.shared(np.zeros(hidden, "float32"), name="b1")
    W2 = ng.shared(np.zeros((hidden, classes), "float32"), name="W2")
    b2 = ng.shared(np.zeros(classes, "float32"), name="b2")
    h = ng.tanh(ng.dot(x, W1) + b1)
    p_y = ng.softmax(ng.dot(h, W2) + b2, axis=1)
    likelihood = ng.mean(ng.log(p_y)[ng.arange(y.shape[0]), y])
    cost = l2 * (ng.sum(W1**2) + ng.sum(W2**2)) - likelihood
    wrong = ng.sum(ng.neq(ng.argmax(p_y, axis=1), y))
    return Model("mlp", x, y, cost, wrong, [W1, b1, W2, b2])


@dataclass(frozen=True)
class Setting:
    """How a model is trained by default: rows of a minibatch, step size, epochs at most, and steps to wait at least."""

    batch: int
    rate: float
    epochs: int
    patience: int


# The tutorial's settings; the step size and epochs of mlp are chosen for 8,000 images instead of 50,000.
MODELS: dict[str, Callable[[int, int], Model]] = {"logreg": logreg, "mlp": mlp}
SETTINGS = {"logreg": Setting(600, 0.13, 1000, 5000), "mlp": Setting(20, 0.1, 40, 10000)}


@dataclass(frozen=True)
class Program:
    """A model with its data resident.

    train(index): one step on minibatch `index`, returns the cost. valid_wrong(index), test_wrong(index): the number
    of wrongly classified rows of that minibatch. The last minibatch of each part may be shorter.
    """

    model: Model
    batch: int
    train: Any
    valid_wrong: Any
    test_wrong: Any
    rows: dict[str, int]

    def batches(self, part: str) -> range:
        """The indices of the minibatches of "train", "valid" or "test"."""
        return range(-(-self.rows[part] // self.batch))

    def error(self, part: str) -> float:
        """The share of "valid" or "test" that is classified wrongly, 0 to 1."""
        wrong = self.valid_wrong if part == "valid" else self.test_wrong
        return sum(int(wrong(index)) for index in self.batches(part)) / self.rows[part]


def build(
    model: Model,
    digits: Digits,
    batch: int,
    rate: float,
    target: str | None = None,
    said: Callable[[str], None] = lambda text: None,
) -> Program:
    """Compile the functions of `model` on minibatches of `batch` rows; `rate` is the step size of gradient descent.

    said: is told what is being done.
    """
    index = ng.scalar("index", dtype="int64")

    def minibatch(part: Part, name: str) -> dict[Any, Any]:
        x = ng.shared(part.x, name=f"{name}_x", borrow=True)
        y = ng.shared(part.y, name=f"{name}_y", borrow=True)
        rows = slice(index * batch, (index + 1) * batch)
        return {model.x: x[rows], model.y: y[rows]}

    said("differentiating the cost and compiling the training step")
    gradients = ng.grad(model.cost, model.params)
    updates = [(p, p - rate * g) for p, g in zip(model.params, gradients, strict=True)]
    options: dict[str, Any] = {} if target is None else {"target": target}
    train = ng.function(
        [index], model.cost, updates=updates, givens=minibatch(digits.train, "train"), name="train", **options
    )
    said("compiling the validation and the test")
    valid, test = (
        ng.function([index], model.wrong, givens=minibatch(part, name), name=f"{name}_wrong", **options)
        for part, name in ((digits.valid, "valid"), (digits.test, "test"))
    )
    rows = {"train": len(digits.train), "valid": len(digits.valid), "test": len(digits.test)}
    return Program(model, batch, train, valid, test, rows)

"""A small LeNet: two layers of convolution and pooling, a layer of tanh units, and logistic regression.

Each of the first layer's filters looks at all windows of 5 x 5 pixels of a digit, pooling keeps the largest answer of
each 2 x 2, and the second layer does the same with what the first has found. Images are (images, channels, height,
width). A bias is added, and tanh taken, behind the pooling: of a quarter of the numbers, to the same effect.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.demo import digits, pictures

# The test error of the same arithmetic in JAX, from the same weights, with the defaults.
EXPECTED = 0.023
SIZE = 5  # of a filter


def weights(rng: np.random.Generator, shape: tuple[int, ...], inputs: float, outputs: float, name: str) -> Any:
    """Shared weights, uniform in the range of Glorot and Bengio (2010) for units with so many inputs and outputs."""
    limit = np.sqrt(6.0 / (inputs + outputs))
    return ng.shared(rng.uniform(-limit, limit, shape).astype("float32"), name=name)


def pooled_layer(x: Any, channels: int, filters: int, params: list[Any], rng: np.random.Generator) -> Any:
    """tanh of a bias and the largest of each 2 x 2 answers of `filters` filters; `params` gets filters and biases."""
    layer, area = len(params) // 2 + 1, SIZE * SIZE
    W = weights(rng, (filters, channels, SIZE, SIZE), channels * area, filters * area / 4, f"W{layer}")
    b = ng.shared(np.zeros(filters, "float32"), name=f"b{layer}")
    params += [W, b]
    return ng.tanh(ng.pool2d(ng.conv2d(x, W, flip=True), 2) + b[:, None, None])


def classified(x: Any, inputs: int, units: int, classes: int, params: list[Any], rng: np.random.Generator) -> Any:
    """Probabilities of the classes: a layer of tanh units, and logistic regression on what they compute."""
    W3 = weights(rng, (inputs, units), inputs, units, "W3")
    b3 = ng.shared(np.zeros(units, "float32"), name="b3")
    W4 = ng.shared(np.zeros((units, classes), "float32"), name="W4")
    b4 = ng.shared(np.zeros(classes, "float32"), name="b4")
    params += [W3, b3, W4, b4]
    return ng.softmax(ng.tanh(x @ W3 + b3) @ W4 + b4, axis=1)


def draw(path: str, filters: Any, maps: Sequence[Any], errors: Sequence[float]) -> None:
    """A picture of the filters, of what the layers make of some digits (ten channels at most), and of the errors."""
    panels = {"filters of the first layer": pictures.image(pictures.tiles(filters, 5, (SIZE, SIZE)))}
    for title, values in zip(("digits", "first layer", "second layer"), maps, strict=True):
        side, shown = values.shape[-1], values[:, :10]
        panels[title] = pictures.image(pictures.tiles(shown.reshape(-1, side, side), shown.shape[1], (side, side)))
    panels["validation error"] = pictures.curve(errors)
    pictures.save(path, panels, [1.2, 0.4, 3.4, 3.4, 1.2])


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, print the errors, and return the error on the test digits at the best validation error, 0 to 1."""
    options = parser().parse_args(arguments)
    data = digits.load()
    batch = options.batch
    x, y = ng.fmatrix("x"), ng.ivector("y")
    params: list[Any] = []
    rng = np.random.default_rng(options.seed)
    images = x.reshape((-1, 1, 28, 28))
    one = pooled_layer(images, 1, options.filters[0], params, rng)  # 28 - 5 + 1 = 24 pixels, pooled to 12
    two = pooled_layer(one, *options.filters, params, rng)  # 12 - 5 + 1 = 8 pixels, pooled to 4
    p_y = classified(two.flatten(2), options.filters[1] * 16, options.hidden, data.classes, params, rng)
    cost = -ng.mean(ng.log(p_y)[ng.arange(y.shape[0]), y])
    wrong = ng.mean(ng.neq(ng.argmax(p_y, axis=1), y))

    index = ng.lscalar("index")
    train_x, train_y = ng.shared(data.train.x, name="train_x"), ng.shared(data.train.y, name="train_y")
    rows = slice(index * batch, (index + 1) * batch)
    updates = [(p, p - options.rate * g) for p, g in zip(params, ng.grad(cost, params), strict=True)]
    train = ng.function([index], cost, updates=updates, givens={x: train_x[rows], y: train_y[rows]}, name="train")
    judge = ng.function([x, y], wrong, name="judge")

    began = time.perf_counter()
    batches = range(len(data.train) // batch)
    best, test, errors = 1.0, 1.0, []
    for epoch in range(1, options.epochs + 1):
        costs = train.sweep(index=batches)
        errors.append(float(judge(data.valid.x, data.valid.y)))
        if errors[-1] < best:
            best, test = errors[-1], float(judge(data.test.x, data.test.y))
        print(f"epoch {epoch:3}: cost {costs.mean():.4f}, validation error {errors[-1]:.2%}", flush=True)
    seconds = time.perf_counter() - began

    found = ng.function([x], [images, one, two], name="found")(data.test.x[:3])
    draw(options.picture, params[0].get_value(), found, errors)
    said = f"{options.epochs} epochs in {seconds:.1f} s; best validation error {best:.2%}, test error {test:.2%}"
    print(f"{said}; expected with the defaults: about {EXPECTED:.1%}")
    return test


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--epochs", type=int, default=20, metavar="N", help="default 20")
    top.add_argument("--batch", type=int, default=50, metavar="N", help="rows of a minibatch (default 50)")
    top.add_argument("--rate", type=float, default=0.1, metavar="R", help="step size (default 0.1)")
    top.add_argument("--filters", type=int, nargs=2, default=(20, 50), metavar="N", help="of each layer (20 50)")
    top.add_argument("--hidden", type=int, default=500, metavar="N", help="tanh units (default 500)")
    top.add_argument("--seed", type=int, default=23455, metavar="N", help="of the first weights")
    top.add_argument("--picture", default="convolutional_mlp.png", metavar="FILE.png", help="where it goes")
    return top


if __name__ == "__main__":
    main()

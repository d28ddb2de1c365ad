"""A contractive autoencoder: it gives digits back, and changes little where a digit changes a little.

The hidden layer is y = sigmoid(x W + b), the reconstruction sigmoid(y W.T + b'). Beside the cross-entropy, the cost has
the squared slopes of all hidden units with respect to all pixels, added up: what a digit does not need, y does not
follow. The slope of unit j along pixel i is y[j] (1 - y[j]) W[i, j]; so their squares need no table of all slopes, only
the product of (y (1 - y))^2 with the sums of W^2 down its columns, which is `slopes`. In the end the program shows on a
few digits that this is what the Jacobian matrix gives, which is `slopes_of_one`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.demo import digits, pictures

# What the same arithmetic, written in JAX, reaches, with other draws.
EXPECTED = (63.7, 127.7)


class Autoencoder:
    """The parameters, and what they make of images x float32[n, n_visible]."""

    def __init__(self, n_visible: int, n_hidden: int, seed: int) -> None:
        limit = 4 * np.sqrt(6.0 / (n_visible + n_hidden))
        start = np.random.default_rng(seed).uniform(-limit, limit, (n_visible, n_hidden))
        self.W = ng.shared(start.astype("float32"), name="W")
        self.b = ng.shared(np.zeros(n_hidden, "float32"), name="b")
        self.b_prime = ng.shared(np.zeros(n_visible, "float32"), name="b_prime")
        self.params = [self.W, self.b, self.b_prime]

    def hidden(self, x: Any) -> Any:
        """The hidden layer."""
        return ng.sigmoid(ng.dot(x, self.W) + self.b)

    def reconstructed(self, x: Any) -> Any:
        """What the machine makes of x."""
        return ng.sigmoid(ng.dot(self.hidden(x), self.W.T) + self.b_prime)

    def error(self, x: Any) -> Any:
        """The mean over the images of the cross-entropy between x and what is made of it."""
        z = self.reconstructed(x)
        return -ng.mean(ng.sum(x * ng.log(z) + (1 - x) * ng.log(1 - z), axis=1))

    def slopes(self, x: Any) -> Any:
        """The mean over the images of the squared slopes of all hidden units, added up."""
        y = self.hidden(x)
        return ng.mean(ng.dot((y * (1 - y)) ** 2, ng.sum(self.W**2, axis=0)))

    def slopes_of_one(self, x: Any) -> Any:
        """The same of one image x float32[n_visible], by the Jacobian matrix."""
        return ng.sum(ng.jacobian(self.hidden(x), x) ** 2)


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, and return the cross-entropy of the test digits."""
    options = parser().parse_args(arguments)
    data, batch = digits.load(), options.batch
    machine = Autoencoder(data.features, options.hidden, options.seed)
    x, one, index = ng.fmatrix("x"), ng.fvector("one"), ng.lscalar("index")
    train_x = ng.shared(data.train.x, name="train_x")
    error, slopes = machine.error(x), machine.slopes(x)
    gradients = ng.grad(error + options.contraction * slopes, machine.params)
    train = ng.function(
        [index],
        [error, slopes],
        updates=[(p, p - options.rate * g) for p, g in zip(machine.params, gradients, strict=True)],
        givens={x: train_x[index * batch : (index + 1) * batch]},
        name="train",
    )
    judge = ng.function([x], [error, slopes, machine.reconstructed(x)], name="judge")
    jacobian = ng.function([one], machine.slopes_of_one(one), name="jacobian")

    began = time.perf_counter()
    for epoch in range(1, options.epochs + 1):
        errors, squares = train.sweep(index=range(-(-len(data.train) // batch)))
        print(f"epoch {epoch:3}: error {errors.mean():.2f}, slopes {squares.mean():.2f}", flush=True)
    print(f"{options.epochs} epochs in {time.perf_counter() - began:.1f} s")
    few = data.test.x[:5]
    by_hand, by_jacobian = float(judge(few)[1]), float(np.mean([jacobian(image) for image in few]))
    print(f"slopes of five digits: {by_hand:.4f}, by the Jacobian matrix {by_jacobian:.4f}")

    test, contracted, _ = judge(data.test.x)
    shown = np.stack([data.test.x[:10], judge(data.test.x[:10])[2]], axis=1).reshape(20, -1)
    panels = {
        "filters": pictures.image(pictures.tiles(machine.W.get_value().T[:100], 10)),
        "reconstructions": pictures.image(pictures.tiles(shown, 2, alike=True)),
    }
    pictures.save(options.picture, panels, [1.0, 0.5])
    print(
        f"test digits: error {float(test):.2f}, slopes {float(contracted):.2f}; "
        f"expected with the defaults: about {EXPECTED[0]} and {EXPECTED[1]}"
    )
    return float(test)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--epochs", type=int, default=20, metavar="N", help="default 20")
    top.add_argument("--batch", type=int, default=10, metavar="N", help="rows of a minibatch (default 10)")
    top.add_argument("--rate", type=float, default=0.01, metavar="R", help="step size (default 0.01)")
    top.add_argument("--hidden", type=int, default=500, metavar="N", help="hidden units (default 500)")
    top.add_argument("--contraction", type=float, default=0.1, metavar="C", help="factor of the slopes (default 0.1)")
    top.add_argument("--seed", type=int, default=1234, metavar="N", help="of the first weights")
    top.add_argument("--picture", default="cA.png", metavar="FILE.png", help="where it goes (default cA.png)")
    return top


if __name__ == "__main__":
    main()

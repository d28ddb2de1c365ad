"""A denoising autoencoder: it is shown a digit in which pixels are missing, and has to say the whole one.

A hidden layer y = sigmoid(x W + b) of the damaged digit, and a reconstruction z = sigmoid(y W.T + b') with the same
weights. The cost is the cross-entropy between the undamaged digit and z, added up over its pixels. Each call draws
other pixels to set to 0; the loop that sets them makes these numbers where it needs them, so the mask is never stored.

Two machines are trained one after the other: one that sees whole digits, and one that sees 70 of 100 pixels. The
filters of the second one, the columns of W, are strokes and spots of digits; those of the first look like noise.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.demo import digits, pictures

# What the same arithmetic, written in NumPy, reaches, with other draws; with whole digits 55.1.
EXPECTED = 72.2


class Autoencoder:
    """The parameters, and what they make of images x float32[n, n_visible]."""

    def __init__(self, n_visible: int, n_hidden: int, seed: int) -> None:
        limit = 4 * np.sqrt(6.0 / (n_visible + n_hidden))
        start = np.random.default_rng(seed).uniform(-limit, limit, (n_visible, n_hidden))
        self.W = ng.shared(start.astype("float32"), name="W")
        self.b = ng.shared(np.zeros(n_hidden, "float32"), name="b")
        self.b_prime = ng.shared(np.zeros(n_visible, "float32"), name="b_prime")
        self.params = [self.W, self.b, self.b_prime]
        self.rng = ng.random.RandomStream(seed=seed)

    def damaged(self, x: Any, corruption: float) -> Any:
        """x with the share `corruption` of the pixels set to 0, others in each call."""
        return x * self.rng.bernoulli(np.float32(1 - corruption), size=x.shape) if corruption else x

    def reconstructed(self, x: Any) -> Any:
        """What the machine makes of x."""
        y = ng.sigmoid(ng.dot(x, self.W) + self.b)
        return ng.sigmoid(ng.dot(y, self.W.T) + self.b_prime)

    def cost(self, x: Any, corruption: float) -> Any:
        """The mean over the images of the cross-entropy between x and what is made of x when it is damaged. A logarithm
        of a sigmoid is taken in its stable form, here and in the gradient."""
        z = self.reconstructed(self.damaged(x, corruption))
        return -ng.mean(ng.sum(x * ng.log(z) + (1 - x) * ng.log(1 - z), axis=1))


def train(machine: Autoencoder, images: Any, corruption: float, options: argparse.Namespace) -> float:
    """Train on the resident images, and return the mean cost of the last epoch."""
    x, index, batch = ng.fmatrix("x"), ng.lscalar("index"), options.batch
    train_x = ng.shared(images, name="train_x")
    cost = machine.cost(x, corruption)
    step = ng.function(
        [index],
        cost,
        updates=[(p, p - options.rate * g) for p, g in zip(machine.params, ng.grad(cost, machine.params), strict=True)],
        givens={x: train_x[index * batch : (index + 1) * batch]},
        name="train",
    )
    mean = np.inf
    for epoch in range(1, options.epochs + 1):
        mean = step.sweep(index=range(-(-len(images) // batch))).mean()
        print(f"corruption {corruption:.0%}, epoch {epoch:3}: cost {mean:.2f}", flush=True)
    return float(mean)


def main(arguments: Sequence[str] | None = None) -> float:
    """Train both machines, and return the mean cost of the damaged test digits of the second one."""
    options = parser().parse_args(arguments)
    data = digits.load()
    panels: dict[str, pictures.Panel] = {}
    x, error = ng.fmatrix("x"), np.inf
    for corruption in (0.0, options.corruption):
        machine = Autoencoder(data.features, options.hidden, options.seed)
        began = time.perf_counter()
        last = train(machine, data.train.x, corruption, options)
        seconds = time.perf_counter() - began
        judge = ng.function([x], machine.cost(x, corruption), name="judge")
        error = float(judge(data.test.x))
        print(f"corruption {corruption:.0%}: cost {last:.2f}, test digits {error:.2f}, {seconds:.1f} s")
        filters = pictures.tiles(machine.W.get_value().T[:100], 10)
        panels[f"filters, corruption {corruption:.0%}"] = pictures.image(filters)
    damaged = machine.damaged(x, options.corruption)
    both = ng.function([x], [damaged, machine.reconstructed(damaged)], name="both")
    shown = data.test.x[:10]
    # three images in a row: the digit, what the machine is shown of it, and what it makes of that
    columns = np.stack([shown, *both(shown)], axis=1).reshape(30, -1)
    panels["reconstructions"] = pictures.image(pictures.tiles(columns, 3, alike=True))
    pictures.save(options.picture, panels, [1.0, 1.0, 0.35])
    print(f"cost of the damaged test digits {error:.2f}; expected with the defaults: about {EXPECTED:.1f}")
    return error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--epochs", type=int, default=15, metavar="N", help="default 15")
    top.add_argument("--batch", type=int, default=20, metavar="N", help="rows of a minibatch (default 20)")
    top.add_argument("--rate", type=float, default=0.1, metavar="R", help="step size (default 0.1)")
    top.add_argument("--hidden", type=int, default=500, metavar="N", help="hidden units (default 500)")
    top.add_argument("--corruption", type=float, default=0.3, metavar="P", help="share of pixels set to 0 (0.3)")
    top.add_argument("--seed", type=int, default=1234, metavar="N", help="of weights and damages")
    top.add_argument("--picture", default="dA.png", metavar="FILE.png", help="where it goes (default dA.png)")
    return top


if __name__ == "__main__":
    main()

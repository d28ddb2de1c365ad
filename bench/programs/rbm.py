"""A restricted Boltzmann machine: binary hidden units that explain binary pixels, trained by contrastive divergence.

Images v and hidden units h have the energy -v W h - b v - c h; pairs of low energy are likely. Given v, the hidden
units are independent, and given h, the pixels are. So one draws by turns, which is Gibbs sampling: `gibbs` is one turn,
a scan makes k of them.

A training step lowers the free energy of the digits in a minibatch and raises that of the images at which the chain
ends. The chain begins at the minibatch (CD-k, `--contrastive`) or where that of the step before has ended (persistent
CD-k, the default): then it is a shared variable, which each call updates.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.demo import digits, pictures

# What the same arithmetic, written in NumPy, reaches, with other draws.
EXPECTED = -73.9


class Machine:
    """The parameters, what one layer tells of the other one, and draws of it."""

    def __init__(self, n_visible: int, n_hidden: int, seed: int) -> None:
        limit = 4 * np.sqrt(6.0 / (n_visible + n_hidden))
        start = np.random.default_rng(seed).uniform(-limit, limit, (n_visible, n_hidden))
        self.W = ng.shared(start.astype("float32"), name="W")
        self.b = ng.shared(np.zeros(n_visible, "float32"), name="b")
        self.c = ng.shared(np.zeros(n_hidden, "float32"), name="c")
        self.rng = ng.random.RandomStream(seed=seed)

    def draw_hidden(self, v: Any) -> Any:
        """Hidden units, 0 or 1, for the images v."""
        return self.rng.bernoulli(ng.sigmoid(ng.dot(v, self.W) + self.c), dtype="float32")

    def pixels(self, h: Any) -> Any:
        """The probability of each pixel to be 1."""
        return ng.sigmoid(ng.dot(h, self.W.T) + self.b)

    def gibbs(self, h: Any) -> list[Any]:
        """A turn: images drawn for the hidden units h, and hidden units drawn for these. [probabilities, v, h]"""
        mean = self.pixels(h)
        v = self.rng.bernoulli(mean, dtype="float32")
        return [mean, v, self.draw_hidden(v)]

    def free_energy(self, v: Any) -> Any:
        """Of each image: minus the logarithm of the sum of exp(-energy) over all hidden units."""
        return -ng.dot(v, self.b) - ng.sum(ng.softplus(ng.dot(v, self.W) + self.c), axis=1)

    def pseudo_likelihood(self, v: Any) -> Any:
        """The mean over the binary images v of the sum of log p(pixel | all other pixels), one pixel per step."""
        inner = ng.dot(v, self.W) + self.c
        hidden_term = ng.sum(ng.softplus(inner), axis=1)

        def of_pixel(v_i: Any, w_i: Any, b_i: Any) -> Any:
            change = 1 - 2 * v_i  # what is added to the pixel to flip it
            flipped = ng.sum(ng.softplus(inner + change[:, None] * w_i), axis=1)
            return ng.mean(ng.log(ng.sigmoid(hidden_term - flipped - change * b_i)))

        found, _ = ng.scan(of_pixel, sequences=[v.T, self.W, self.b])
        return ng.sum(found)


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, draw samples, and return the mean pseudo-likelihood of the test digits."""
    options = parser().parse_args(arguments)
    data, batch = digits.load(), options.batch
    machine = Machine(data.features, options.hidden, options.seed)
    train = training(machine, data.train.x, options)
    v = ng.fmatrix("v")
    judge = ng.function([v], machine.pseudo_likelihood(v), name="judge")

    began = time.perf_counter()
    binary = [np.round(part.x) for part in (data.valid, data.test)]
    for epoch in range(1, options.epochs + 1):
        errors = train.sweep(index=np.random.default_rng(epoch).permutation(len(data.train) // batch))
        valid = float(judge(binary[0][:100]))
        print(f"epoch {epoch:3}: reconstruction error {errors.mean():.1f}, pseudo-likelihood {valid:.1f}", flush=True)
    print(f"{options.epochs} epochs in {time.perf_counter() - began:.1f} s")
    likelihood = float(judge(binary[1]))
    samples = sample(machine, data.test.x[:20], options.rows, options.between)
    filters = pictures.image(pictures.tiles(machine.W.get_value().T[:100], 10))
    drawn = pictures.image(pictures.tiles(samples, 20, alike=True))
    pictures.save(options.picture, {"filters": filters, "samples, downwards": drawn}, [1.0, 2.0])
    print(f"pseudo-likelihood of the test digits {likelihood:.1f}; expected with the defaults: about {EXPECTED:.1f}")
    return likelihood


def training(machine: Machine, images: Any, options: argparse.Namespace) -> Any:
    """One step on a minibatch of the resident images, which returns the error of the last images of the chain."""
    v, index, batch = ng.fmatrix("v"), ng.lscalar("index"), options.batch
    train_x = ng.shared(images, name="train_x")
    chain = ng.shared(np.zeros((batch, options.hidden), "float32"), name="chain")
    first = machine.draw_hidden(v) if options.contrastive else chain
    # what the steps draw advances the states of the random stream: `updates` has these
    (means, images_of, hidden_of), updates = ng.scan(
        machine.gibbs, outputs_info=[None, None, first], n_steps=options.k, name="gibbs"
    )
    end = images_of[-1]
    cost = ng.mean(machine.free_energy(v)) - ng.mean(machine.free_energy(end))
    params = [machine.W, machine.b, machine.c]
    # the draws are data: no gradient goes through them
    for p, g in zip(params, ng.grad(cost, params, consider_constant=[end]), strict=True):
        updates[p] = p - options.rate * g
    if not options.contrastive:
        updates[chain] = hidden_of[-1]
    shown = means[-1] if options.contrastive else machine.pixels(machine.draw_hidden(v))
    error = -ng.mean(ng.sum(v * ng.log(shown + 1e-6) + (1 - v) * ng.log(1 - shown + 1e-6), axis=1))
    rows = train_x[index * batch : (index + 1) * batch]
    return ng.function([index], error, updates=updates, givens={v: rows}, name="train")


def sample(machine: Machine, first: Any, rows: int, between: int) -> Any:
    """Rows of images: the first ones, and what chains that begin there show after every `between` turns."""
    h = ng.shared(np.zeros((len(first), machine.c.get_value().size), "float32"), name="h")
    v = ng.fmatrix("v")
    begin = ng.function([v], updates=[(h, machine.draw_hidden(v))], name="begin")
    # only the last images are stored, whatever the number of steps
    (means, _, hidden_of), updates = ng.scan(machine.gibbs, outputs_info=[None, None, h], n_steps=between)
    updates[h] = hidden_of[-1]
    go_on = ng.function([], means[-1], updates=updates, name="go_on")
    begin(first)
    return np.concatenate([first, *(go_on() for _ in range(rows))])


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--epochs", type=int, default=15, metavar="N", help="default 15")
    top.add_argument("--batch", type=int, default=20, metavar="N", help="rows of a minibatch (default 20)")
    top.add_argument("--rate", type=float, default=0.1, metavar="R", help="step size (default 0.1)")
    top.add_argument("--hidden", type=int, default=500, metavar="N", help="hidden units (default 500)")
    top.add_argument("--k", type=int, default=15, metavar="K", help="turns of a chain in a step (default 15)")
    top.add_argument("--contrastive", action="store_true", help="begin each chain at the minibatch (CD-k)")
    top.add_argument("--rows", type=int, default=9, metavar="N", help="rows of samples in the picture (default 9)")
    top.add_argument("--between", type=int, default=1000, metavar="N", help="turns between two rows (default 1000)")
    top.add_argument("--seed", type=int, default=1234, metavar="N", help="of weights and draws")
    top.add_argument("--picture", default="rbm.png", metavar="FILE.png", help="where it goes (default rbm.png)")
    return top


if __name__ == "__main__":
    main()

"""PyTensor: `scan`, shared variables and updates; generators of random numbers are states of the loop."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt

from bench import problems, training
from bench.kinds import Sizes
from bench.peers import NotOffered, Program
from bench.training.reference import with_numbers

pytensor.config.floatX = "float32"


class Maths:
    """PyTensor's functions by the names that the formulas use."""

    exp, tanh, sigmoid, softplus = pt.exp, pt.tanh, pt.sigmoid, pt.softplus
    sum, mean, log, diagonal = pt.sum, pt.mean, pt.log, pt.diagonal
    cholesky = pt.linalg.cholesky

    @staticmethod
    def natural(x):
        """Without what rounding leaves below 0."""
        return pt.maximum(x, np.float32(0))

    @staticmethod
    def identity(x):
        """A row and a column for each row of x."""
        return pt.eye(x.shape[0], dtype="float32")

    @staticmethod
    def solved(L, y):
        """The solution of L z = y, for a lower triangle L."""
        return pt.linalg.solve_triangular(L, y, lower=True)

    @staticmethod
    def surprise(scores, y):
        """The mean of -log p(class), p the softmax of the scores."""
        return -pt.mean(pt.log(pt.special.softmax(scores, axis=1))[pt.arange(y.shape[0]), y])


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """A step in the default mode, or in the one that the option names."""
    if kind == "lenet":
        raise NotOffered("no convolution with channels")
    inputs, *classes = (pytensor.shared(a, borrow=True) for a in training.data(kind, sizes))
    state = [pytensor.shared(a) for a in training.start(kind, sizes)]
    index = pt.lscalar()

    def compiled(given):
        numbers = []
        if kind.endswith("layer"):
            cost, updates = _layer(kind, sizes, inputs[index], state)
        elif kind in training.COSTS:
            rows = slice(index * sizes["B"], (index + 1) * sizes["B"])
            cost = training.COSTS[kind](Maths, *(a[rows] for a in (inputs, *classes)), *state)
            updates = _moved(kind, cost, state)
        else:
            x = inputs[index * sizes["B"] : (index + 1) * sizes["B"]]
            numbers = [pt.ftensor3(), pt.ftensor3()] if given and kind != "dA" else []
            numbers = ([pt.fmatrix()] if given and kind != "pcd" else []) + numbers
            cost, updates = _drawing(kind, sizes, x, state, numbers)
        options = {"mode": option or None, "trust_input": True, "on_unused_input": "ignore"}
        return pytensor.function([index, *numbers], cost, updates=updates, **options)

    def reset():
        for variable, first in zip(state, training.start(kind, sizes), strict=True):
            variable.set_value(first)

    f = compiled(False)
    arguments = [(np.asarray(k, np.int64),) for k in range(sizes["R"] // sizes["B"])]
    how = f"scan, {type(f.maker.linker).__name__.removesuffix('Linker')} linker"
    made = Program(f, arguments, how, reset=reset, state=lambda: [v.get_value() for v in state])
    if training.KINDS[kind].drawn:

        def given(count):
            step = compiled(True)
            return with_numbers(kind, sizes, lambda k, *u: step(np.asarray(k, np.int64), *u))(count)

        made.given = given
    return made.looped("loop over the step")


def _moved(kind, cost, params, constant=None):
    gradients = pytensor.grad(cost, params, consider_constant=constant)
    return [(p, p - np.float32(training.RATES[kind]) * g) for p, g in zip(params, gradients, strict=True)]


def _layer(kind, sizes, xs, params):
    # of a length that is not known: a known one of 1 is not what the loop makes
    zeros = pt.zeros((xs.shape[1], sizes["H"]), "float32")
    if kind == "lstm_layer":
        h, _ = pytensor.scan(
            lambda x, h, c, W, U, b: problems.cell(Maths, sizes["H"], x, h, c, W, U, b),
            sequences=xs,
            outputs_info=[zeros, zeros],
            non_sequences=params,
            return_updates=False,
        )
    else:
        h = pytensor.scan(
            lambda x, h, W, U, b: pt.tanh(x @ W + h @ U + b),
            sequences=xs,
            outputs_info=zeros,
            non_sequences=params,
            return_updates=False,
        )
    cost = pt.mean(h[-1] ** 2)
    return cost, _moved(kind, cost, params)


def _draw(p, numbers, generator, shape):
    """Zeros and ones, and the generator after them."""
    if numbers is not None:
        return pt.cast(numbers < p, "float32"), generator
    after, drawn = pt.random.bernoulli(p, size=shape, rng=generator).owner.outputs
    return pt.cast(drawn, "float32"), after


def _drawing(kind, sizes, x, state, numbers):
    shared = pytensor.shared(np.random.default_rng(1))
    generator = shared
    shapes = (sizes["B"], sizes["F"]), (sizes["B"], sizes["H"])
    if kind == "dA":
        p = np.float32(1 - training.CORRUPTION)
        kept, generator = _draw(p, numbers[0] if numbers else None, generator, shapes[0])
        cost = training.reconstruction(Maths, x, x * kept, *state)
        return cost, [*_moved(kind, cost, state), *([] if numbers else [(shared, generator)])]
    W, hidden, visible, *chains = state
    h = chains[0] if chains else None
    if h is None:
        up = training.upwards(Maths, x, W, hidden)
        h, generator = _draw(up, numbers[0] if numbers else None, generator, shapes[1])

    def gibbs(*arguments):
        *given, h, last = arguments if not numbers else (*arguments, None)
        u, w = given or (None, None)
        v, last = _draw(training.downwards(Maths, h, W, visible), u, last, shapes[0])
        h, last = _draw(training.upwards(Maths, v, W, hidden), w, last, shapes[1])
        return (v, h) if numbers else (v, h, last)

    carried = [h] if numbers else [h, generator]
    if sizes["K"] == 1:
        # a scan of one step does not compile in version 3.0
        v, h, *after = gibbs(*(u[0] for u in numbers[-2:]), *carried)
    else:
        vs, hs, *after = pytensor.scan(
            gibbs,
            sequences=numbers[-2:] or None,
            outputs_info=[None, *carried],
            n_steps=sizes["K"],
            return_updates=False,
        )
        v, h = vs[-1], hs[-1]
    cost = training.free_energy(Maths, x, W, hidden, visible) - training.free_energy(Maths, v, W, hidden, visible)
    updates = _moved(kind, cost, [W, hidden, visible], [v])
    updates += [(chains[0], h)] if chains else []
    return cost, updates + ([] if numbers else [(shared, after[0])])

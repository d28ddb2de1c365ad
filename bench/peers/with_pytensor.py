"""PyTensor: shared variables, updates and givens, as in Theano; its default mode, or another one by name."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt

from bench import problems
from bench.peers import NotOffered, Program
from bench.problems import Sizes

pytensor.config.floatX = "float32"


class Maths:
    """PyTensor's functions by the names that the formulas use."""

    exp, tanh, sin, sigmoid = pt.exp, pt.tanh, pt.sin, pt.sigmoid
    sum, mean, softmax = pt.sum, pt.mean, pt.special.softmax
    roll, where = pt.roll, pt.where


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """A function in the default mode, or in the one that the option names."""
    mode = option or None
    if kind in problems.RATES:
        return _stepping(kind, sizes, mode)
    if kind == "lstm":
        return _cell(sizes, mode)
    if kind in problems.TRANSFORMS:
        raise NotOffered("transforms have pairs of numbers in the place of complex ones")
    arrays = [np.asarray(a, np.float32) for a in problems.data(kind, sizes)]
    inputs = [pt.tensor(dtype="float32", shape=(None,) * a.ndim) for a in arrays]
    if kind == "gradient":
        output = pytensor.grad(pt.sum(problems.links(Maths, sizes["K"], inputs[0])), inputs[0])
    else:
        output = problems.FORMULAS[kind](Maths, *inputs)
    borrowed = [pytensor.In(v, borrow=True) for v in inputs]
    f = pytensor.function(borrowed, pytensor.Out(output, borrow=True), mode=mode, trust_input=True)
    return Program(f, [tuple(arrays)], _how(f))


def _how(f):
    return f"{type(f.maker.linker).__name__.removesuffix('Linker')} linker"


def _model(kind, sizes, params, x, y):
    h = x if kind == "logreg" else pt.tanh(x @ params[0] + params[1])
    p = pt.special.softmax(h @ params[-2] + params[-1], axis=1)
    cost = -pt.mean(pt.log(p)[pt.arange(y.shape[0]), y])
    return (
        cost if kind == "logreg" else cost + np.float32(problems.L2) * ((params[0] ** 2).sum() + (params[2] ** 2).sum())
    )


def _stepping(kind: str, sizes: Sizes, mode) -> Program:
    train_x, train_y = (pytensor.shared(a, borrow=True) for a in problems.data(kind, sizes))
    params = [pytensor.shared(a) for a in problems.start(kind, sizes)]
    x, y, index = pt.fmatrix(), pt.ivector(), pt.lscalar()
    cost = _model(kind, sizes, params, x, y)
    rate = np.float32(problems.RATES[kind])
    updates = [(p, p - rate * g) for p, g in zip(params, pytensor.grad(cost, params), strict=True)]
    rows = slice(index * sizes["B"], (index + 1) * sizes["B"])
    givens = {x: train_x[rows], y: train_y[rows]}
    f = pytensor.function([index], cost, updates=updates, givens=givens, mode=mode, trust_input=True)
    return _stateful(f, params, kind, sizes, sizes["R"] // sizes["B"])


def _cell(sizes: Sizes, mode) -> Program:
    xs = pytensor.shared(problems.data("lstm", sizes)[0], borrow=True)
    state = [pytensor.shared(a) for a in problems.start("lstm", sizes)]
    weights = [pytensor.shared(w) for w in problems.cell_weights(sizes)]
    t = pt.lscalar()
    new = problems.cell(Maths, sizes["H"], xs[t], *state, *weights)
    f = pytensor.function([t], [], updates=list(zip(state, new, strict=True)), mode=mode, trust_input=True)
    return _stateful(f, state, "lstm", sizes, sizes["T"])


def _stateful(f, state, kind: str, sizes: Sizes, count: int) -> Program:
    def reset():
        for variable, first in zip(state, problems.start(kind, sizes), strict=True):
            variable.set_value(first)

    arguments = [(np.asarray(k, np.int64),) for k in range(count)]
    made = Program(f, arguments, _how(f), reset=reset, state=lambda: [v.get_value() for v in state])
    return made.looped("loop over the step")

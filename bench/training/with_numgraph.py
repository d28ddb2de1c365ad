"""numgraph: `scan`, shared variables, updates and a random stream, as in Theano's tutorials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import numgraph as ng
from bench import problems, training
from bench.kinds import Sizes
from bench.peers import Program
from bench.training.reference import with_numbers

# A draw of zeros and ones with these probabilities; the second argument stands for given uniform numbers.
Draw = Callable[[ng.Variable, Any], ng.Variable]


class Maths:
    """numgraph's functions by the names that the formulas use."""

    exp, tanh, sigmoid, softplus = ng.exp, ng.tanh, ng.sigmoid, ng.softplus
    sum, mean, log, cholesky, diagonal = ng.sum, ng.mean, ng.log, ng.cholesky, ng.diagonal

    @staticmethod
    def natural(x: ng.Variable) -> Any:
        """Without what rounding leaves below 0."""
        return ng.maximum(x, np.float32(0))

    @staticmethod
    def identity(x: ng.Variable) -> Any:
        """A row and a column for each row of x."""
        return ng.eye(x.shape[0], dtype="float32")

    @staticmethod
    def solved(L: ng.Variable, y: ng.Variable) -> Any:
        """The solution of L z = y, for a lower triangle L."""
        return ng.solve_triangular(L, y, lower=True)

    @staticmethod
    def pooled(x: ng.Variable, W: ng.Variable) -> ng.Variable:
        """The largest of each 2 x 2 of what the filters answer."""
        return ng.pool2d(ng.conv2d(x, W), 2)

    @staticmethod
    def surprise(scores: ng.Variable, y: ng.Variable) -> Any:
        """The mean of -log p(class), p the softmax of the scores."""
        return -ng.mean(ng.log(ng.softmax(scores, axis=1))[ng.arange(y.shape[0]), y])


def build(kind: str, sizes: Sizes, threads: int, option: str) -> Program:
    """A compiled step. option: the target, empty for the default one."""
    if hasattr(ng.config, "threads"):
        ng.config.threads = threads
    options: dict[str, Any] = {"target": option} if option else {}
    inputs, *classes = (
        ng.shared(a, name=n, borrow=True)
        for a, n in zip(training.data(kind, sizes), ("inputs", "classes"), strict=False)
    )
    state = [ng.shared(a, name=n) for a, n in zip(training.start(kind, sizes), names(kind), strict=False)]
    index = ng.scalar("index", dtype="int64")

    def reset() -> None:
        for variable, first in zip(state, training.start(kind, sizes), strict=True):
            variable.set_value(first)

    if kind.endswith("layer"):
        step = _layer(kind, sizes, index, inputs, state, options)
    elif kind in training.COSTS:
        rows = slice(index * sizes["B"], (index + 1) * sizes["B"])
        cost = training.COSTS[kind](Maths, *(a[rows] for a in (inputs, *classes)), *state)
        step = ng.function([index], cost, updates=_moved(kind, cost, state), name=kind, **options)
    else:
        step = _drawing(kind, sizes, index, inputs, state, options, given=False)
    count = sizes["R"] // sizes["B"]
    made = Program(
        step, [(k,) for k in range(count)], "scan", reset=reset, state=lambda: [p.get_value() for p in state]
    )
    made.sweep, made.sweep_how = lambda n: step.sweep(index=range(n)), "f.sweep"
    if training.KINDS[kind].drawn:
        # compiled only where it is asked for
        made.given = lambda n: with_numbers(
            kind, sizes, _drawing(kind, sizes, index, inputs, state, options, given=True)
        )(n)
    return made


def names(kind: str) -> tuple[str, ...]:
    """What the state is called."""
    if kind == "gp":
        return ("theta",)
    if kind in ("deep", "lenet"):
        return tuple(f"{name}{layer}" for layer in range(1, 5) for name in "Wb")
    return ("W", "U", "b") if kind.endswith("layer") else ("W", "hidden", "visible", "chain")


def _layer(kind: str, sizes: Sizes, index: Any, inputs: Any, state: list[Any], options: dict[str, Any]) -> Any:
    W, U, b = state
    xs = inputs[index]
    zeros = ng.zeros((sizes["B"], sizes["H"]), "float32")
    if kind == "lstm_layer":
        (h, _), _ = ng.scan(
            lambda x, h, c: problems.cell(ng, sizes["H"], x, h, c, W, U, b), sequences=xs, outputs_info=[zeros, zeros]
        )
    else:
        h, _ = ng.scan(lambda x, h: ng.tanh(x @ W + h @ U + b), sequences=xs, outputs_info=zeros)
    cost = ng.mean(h[-1] ** 2)
    return ng.function([index], cost, updates=_moved(kind, cost, state), name=kind, **options)


def _moved(kind: str, cost: Any, params: list[Any], constant: Any = None) -> list[tuple[Any, Any]]:
    gradients = ng.grad(cost, params, consider_constant=constant)
    return [(p, p - training.RATES[kind] * g) for p, g in zip(params, gradients, strict=True)]


def _drawing(
    kind: str, sizes: Sizes, index: Any, inputs: Any, state: list[Any], options: dict[str, Any], given: bool
) -> Any:
    """A step of an autoencoder or an RBM. given: it takes its uniform numbers as arguments."""
    stream = ng.random.RandomStream(seed=1)
    numbers = []
    if given:
        first = [ng.matrix("numbers", dtype="float32")] if kind in ("dA", "cd") else []
        numbers = [*first, *(ng.tensor3(n, dtype="float32") for n in ("visibles", "hiddens") if kind != "dA")]

    def draw(p: Any, u: Any, shape: tuple[int, int]) -> Any:
        return ng.cast(u < p, "float32") if given else stream.bernoulli(p, size=shape, dtype="float32")

    x = inputs[index * sizes["B"] : (index + 1) * sizes["B"]]
    if kind == "dA":
        kept = draw(np.float32(1 - training.CORRUPTION), (numbers or [None])[0], (sizes["B"], sizes["F"]))
        cost = training.reconstruction(ng, x, x * kept, *state)
        updates: Any = _moved(kind, cost, state)
    else:
        cost, updates = _rbm(kind, sizes, x, state, draw, numbers)
    return ng.function([index, *numbers], cost, updates=updates, name=kind, **options)


def _rbm(kind: str, sizes: Sizes, x: Any, state: list[Any], draw: Any, numbers: list[Any]) -> tuple[Any, Any]:
    W, hidden, visible, *chains = state
    visibles, hiddens = (sizes["B"], sizes["F"]), (sizes["B"], sizes["H"])

    def gibbs(*arguments: Any) -> tuple[Any, Any]:
        *given, h = arguments
        u, w = given or (None, None)
        v = draw(training.downwards(ng, h, W, visible), u, visibles)
        return v, draw(training.upwards(ng, v, W, hidden), w, hiddens)

    first = chains[0] if chains else draw(training.upwards(ng, x, W, hidden), (numbers or [None])[0], hiddens)
    (vs, hs), drawn = ng.scan(gibbs, sequences=numbers[-2:] or None, outputs_info=[None, first], n_steps=sizes["K"])
    v = vs[-1]
    energies = [training.free_energy(ng, rows, W, hidden, visible) for rows in (x, v)]
    cost = energies[0] - energies[1]
    updates = _moved(kind, cost, [W, hidden, visible], [v])
    return cost, [*updates, *([(chains[0], hs[-1])] if chains else []), *drawn.items()]

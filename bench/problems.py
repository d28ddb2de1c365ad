"""What is computed: for each kind of problem its work, its data, and its results in float64 by plain NumPy.

The data is a function of the sizes alone, so every process makes the same. Nothing here imports a peer or numgraph.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from bench import training
from bench.kinds import Array, Kind, Plain, Sizes

# Step sizes and the weight of the squared parameters: those of numgraph.demo, so that models.py can be used as it is.
RATES = {"logreg": 0.13, "mlp": 0.1}
L2 = 1e-4


_STEP: dict[str, Any] = {"footprint": "4*R*F", "rtol": 2e-4, "atol": 2e-5, "steps": True}
_ROWS: dict[str, Any] = {"footprint": "4*M*N", "rtol": 1e-5, "atol": 1e-6}
_DIGITS = {"R": 24_000, "F": 784, "C": 10}

KINDS = {
    "logreg": Kind(
        "a training step of softmax regression on rows B*i to B*(i+1) of R x F resident inputs, C classes",
        {"B": 600, **_DIGITS},
        flops="4*B*F*C + 6*B*C",
        bytes="4*B*(F + 1)",
        **_STEP,
    ),
    "mlp": Kind(
        "a training step of a perceptron with H tanh units and squared weights in the cost",
        {"B": 600, "H": 500, **_DIGITS},
        flops="4*B*F*H + 6*B*H*C + 6*F*H",
        bytes="4*B*(F + 1)",
        **_STEP,
    ),
    "lstm": Kind(
        "one step of an LSTM cell on row t of T x B x I resident inputs, H units, state kept",
        {"B": 32, "I": 128, "H": 256, "T": 64},
        flops="8*B*H*(I + H) + 14*B*H",
        bytes="4*B*I",
        footprint="4*T*B*I",
        rtol=1e-4,
        atol=1e-5,
        steps=True,
    ),
    "chain": Kind(
        "2*exp(-x*x) + 3*tanh(y)*x over N float32",
        {"N": 1_000_000},
        flops="9*N",
        bytes="12*N",
        footprint="12*N",
        traffic="copy",
        rtol=1e-5,
        atol=2e-6,
    ),
    "chain_sum": Kind(
        "the sum of 2*exp(-x*x) + 3*tanh(y)*x over N float32",
        {"N": 1_000_000},
        flops="10*N",
        bytes="8*N",
        footprint="8*N",
        rtol=2e-5,
        atol=1e-3,
    ),
    "softmax": Kind(
        "softmax of each row of M x N float32",
        {"M": 1000, "N": 1000},
        flops="5*M*N",
        bytes="8*M*N",
        traffic="copy",
        **_ROWS,
    ),
    **{
        f"{name}_axis{axis}": Kind(
            f"the {name} over axis {axis} of M x N float32",
            {"M": 1000, "N": 1000},
            flops="M*N",
            bytes="4*M*N",
            footprint="4*M*N",
            rtol=1e-5,
            atol=1e-4,
        )
        for name in ("sum", "mean")
        for axis in (0, 1)
    },
    "life": Kind(
        "the next generation of a torus of M x N cells, float32 of 0 and 1: eight rolls, their sum, and the rule",
        {"M": 1024, "N": 1024},
        flops="11*M*N",
        bytes="8*M*N",
        footprint="8*M*N",
        traffic="copy",
        rtol=0,
        atol=0,
    ),
    "fft": Kind(
        "the Fourier transform of each row of M x N float32; 25 operations an element are those of N = 1000",
        {"M": 1000, "N": 1000},
        flops="25*M*N",
        bytes="8*M*N",
        footprint="8*M*N",
        traffic="copy",
        rtol=1e-5,
        atol=1e-3,
    ),
    "filter": Kind(
        "each row of M x N float32, transformed, multiplied by a factor for each frequency, and transformed back",
        {"M": 1000, "N": 1000},
        flops="52*M*N",
        bytes="8*M*N",
        footprint="8*M*N",
        traffic="copy",
        rtol=1e-5,
        atol=1e-4,
    ),
    "scalar": Kind(
        "a call of 2*exp(-x*x) + 3*tanh(y)*x for two Python floats",
        {},
        flops="9",
        bytes="0",
        footprint="0",
    ),
    "vector": Kind(
        "a call of 2*exp(-x*x) + 3*tanh(y)*x for two vectors of N float32",
        {"N": 10},
        flops="9*N",
        bytes="12*N",
        footprint="12*N",
        rtol=1e-5,
        atol=2e-6,
    ),
    "gradient": Kind(
        "the gradient of the sum of K chained operations with respect to N float32",
        {"K": 100, "N": 1000},
        flops="3*K*N",
        bytes="8*N",
        footprint="8*N",
        rtol=1e-4,
        atol=1e-6,
    ),
    **training.KINDS,
}


def chain(maths: Any, x: Any, y: Any) -> Any:
    """2 exp(-x x) + 3 tanh(y) x in the functions of `maths`, a library with `exp` and `tanh`."""
    return 2 * maths.exp(-x * x) + 3 * maths.tanh(y) * x


def links(maths: Any, count: int, v: Any) -> Any:
    """`count` chained operations on `v`: sin, a factor, tanh and a summand in turn, constants never equal."""
    for k in range(count):
        if k % 4 == 0:
            v = maths.sin(v)
        elif k % 4 == 1:
            v = v * (1.1 + 0.3 / (k + 1))
        elif k % 4 == 2:
            v = maths.tanh(v)
        else:
            v = v + 0.1 / (k + 1)
    return v


def life(maths: Any, x: Any) -> Any:
    """The next generation of Conway's Game of Life on a torus.

    A cell lives with three neighbours, or if it lived with two or three: 2 neighbours + x is 5, 6 or 7.
    """
    turned = [maths.roll(x, k, 0) for k in (-1, 1)]
    neighbours = sum(maths.roll(v, k, 1) for v in (*turned, x) for k in (-1, 1)) + turned[0] + turned[1]
    return maths.where(abs(2 * neighbours + x - 6) < 2, x * 0 + 1, x * 0)


# The kinds that are Fourier transforms.
TRANSFORMS = ("fft", "filter")
# What the kinds without a state compute, for any library with these names.
FORMULAS: dict[str, Callable[..., Any]] = {
    "chain": chain,
    "scalar": chain,
    "vector": chain,
    "chain_sum": lambda maths, x, y: maths.sum(chain(maths, x, y)),
    "life": life,
    "fft": lambda maths, x: maths.fft.rfft(x),
    "filter": lambda maths, x, y: maths.fft.irfft(maths.fft.rfft(x) * y, x.shape[1]),
    "softmax": lambda maths, x: maths.softmax(x, axis=1),
    "sum_axis0": lambda maths, x: maths.sum(x, axis=0),
    "sum_axis1": lambda maths, x: maths.sum(x, axis=1),
    "mean_axis0": lambda maths, x: maths.mean(x, axis=0),
    "mean_axis1": lambda maths, x: maths.mean(x, axis=1),
}


@lru_cache(maxsize=2)
def _digits(rows: int, features: int, classes: int) -> tuple[Array, Array]:
    """Inputs between 0 and 1, most of them 0 as in images of digits, and labels."""
    generator = np.random.default_rng(0)
    x = generator.random((rows, features), np.float32)
    np.subtract(x, np.float32(0.6), out=x)
    np.maximum(x, 0, out=x)
    return x, generator.integers(0, classes, rows).astype(np.int32)


def data(kind: str, sizes: Sizes) -> list[Array]:
    """The resident arrays of the problem, or its arguments; shared between calls of this function: do not write."""
    if kind in training.KINDS:
        return training.data(kind, sizes)
    if kind in RATES:
        return list(_digits(sizes["R"], sizes["F"], sizes["C"]))
    generator = np.random.default_rng(1)
    if kind == "lstm":
        return [generator.normal(size=(sizes["T"], sizes["B"], sizes["I"])).astype(np.float32)]
    if kind == "scalar":
        return [np.asarray(0.3), np.asarray(0.7)]
    if kind == "gradient":
        return [generator.uniform(-1, 1, sizes["N"]).astype(np.float32)]
    shape = (sizes["M"], sizes["N"]) if "M" in sizes else (sizes["N"],)
    if kind == "life":
        return [(generator.random(shape) < 0.3).astype(np.float32)]
    if kind == "filter":
        damping = np.exp(-np.linspace(0, 3, sizes["N"] // 2 + 1)).astype(np.float32)
        return [generator.uniform(-2, 2, shape).astype(np.float32), damping]
    count = 2 if "chain" in kind or kind == "vector" else 1
    return [generator.uniform(-2, 2, shape).astype(np.float32) for _ in range(count)]


def start(kind: str, sizes: Sizes) -> list[Array]:
    """The state before the first call, new arrays: parameters, or h and c; nothing for kinds without a state.

    logreg: W [F, C], b [C]. mlp: W1 [F, H], b1, W2 [H, C], b2. lstm: h [B, H], c [B, H].
    """
    if kind in training.KINDS:
        return training.start(kind, sizes)
    generator = np.random.default_rng(2)

    def small(*shape: int) -> Array:
        limit = np.sqrt(6 / sum(shape))
        return generator.uniform(-limit, limit, shape).astype(np.float32)

    zeros = np.zeros
    if kind == "logreg":
        return [zeros((sizes["F"], sizes["C"]), np.float32), zeros(sizes["C"], np.float32)]
    if kind == "mlp":
        F, H, C = sizes["F"], sizes["H"], sizes["C"]
        return [small(F, H), zeros(H, np.float32), small(H, C), zeros(C, np.float32)]
    if kind == "lstm":
        return [zeros((sizes["B"], sizes["H"]), np.float32) for _ in range(2)]
    return []


def cell_weights(sizes: Sizes) -> tuple[Array, Array, Array]:
    """Weights of the LSTM cell: W [I, 4 H], U [H, 4 H], b [4 H]; columns in the order input, forget, cell, output."""
    generator = np.random.default_rng(3)
    width = sizes["H"]
    shapes = ((sizes["I"], 4 * width), (width, 4 * width), (4 * width,))
    W, U, b = (generator.uniform(-0.1, 0.1, shape).astype(np.float32) for shape in shapes)
    return W, U, b


def cell(maths: Any, width: int, x: Any, h: Any, c: Any, W: Any, U: Any, b: Any) -> tuple[Any, Any]:
    """The new h and c of `width` units, for libraries with `sigmoid`, `tanh` and products written `@`."""
    z = x @ W + h @ U + b
    i, f, g, o = (z[:, k * width : (k + 1) * width] for k in range(4))
    c = maths.sigmoid(f) * c + maths.sigmoid(i) * maths.tanh(g)
    return maths.sigmoid(o) * maths.tanh(c), c


def expected(kind: str, sizes: Sizes, calls: int) -> list[Array]:
    """What `calls` calls give in float64: the outputs, stacked if the kind has a state, and then the state."""
    if kind in training.KINDS:
        return training.expected(kind, sizes, calls)
    arrays = data(kind, sizes)
    if kind == "gradient":
        return [_gradient(arrays[0].astype(float), sizes["K"])]
    if not KINDS[kind].steps:
        return [np.asarray(FORMULAS[kind](Plain, *(a.astype(float) for a in arrays)))]
    state = [p.astype(float) for p in start(kind, sizes)]
    if kind == "lstm":
        weights = [w.astype(float) for w in cell_weights(sizes)]
        for t in range(calls):
            state = list(cell(Plain, sizes["H"], arrays[0][t].astype(float), *state, *weights))
        return state
    costs = [_step(kind, sizes, arrays, state, t) for t in range(calls)]
    return [np.asarray(costs), *state]


def _step(kind: str, sizes: Sizes, arrays: list[Array], state: list[Array], t: int) -> float:
    """A training step in float64 that changes `state` in place; returns the cost before it."""
    rows = slice(t * sizes["B"], (t + 1) * sizes["B"])
    x, y = arrays[0][rows].astype(float), arrays[1][rows]
    hidden = [x] if kind == "logreg" else [x, np.tanh(x @ state[0] + state[1])]
    p = Plain.softmax(hidden[-1] @ state[-2] + state[-1], 1)
    pick = np.arange(len(y)), y
    cost = -np.log(p[pick]).mean()
    p[pick] -= 1
    dz = p / len(y)
    gradients = [hidden[-1].T @ dz, dz.sum(axis=0)]
    if kind == "mlp":
        cost += L2 * sum((W**2).sum() for W in state[::2])
        dh = dz @ state[2].T * (1 - hidden[1] ** 2)
        gradients = [x.T @ dh + 2 * L2 * state[0], dh.sum(axis=0), gradients[0] + 2 * L2 * state[2], gradients[1]]
    for parameter, gradient in zip(state, gradients, strict=True):
        parameter -= RATES[kind] * gradient
    return float(cost)


def _gradient(v: Array, count: int) -> Array:
    """The derivative of `links`, by the chain rule, forwards."""
    slope = np.ones_like(v)
    for k in range(count):
        if k % 4 == 0:
            slope *= np.cos(v)
        elif k % 4 == 1:
            slope *= 1.1 + 0.3 / (k + 1)
        elif k % 4 == 2:
            slope *= 1 - np.tanh(v) ** 2
        v = _link(k, v)
    return slope


def _link(k: int, v: Array) -> Array:
    """Operation k of `links` alone."""
    return (np.sin(v), v * (1.1 + 0.3 / (k + 1)), np.tanh(v), v + 0.1 / (k + 1))[k % 4]


def difference(kind: str, got: list[Array], want: list[Array]) -> str:
    """How the results of a peer differ from what is expected; empty where they agree."""
    if len(got) != len(want):
        return f"{len(got)} results instead of {len(want)}"
    rtol, atol = KINDS[kind].rtol, KINDS[kind].atol
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        if KINDS[kind].drawn and k == len(want) - 1:
            rtol, atol = KINDS[kind].drawn, 0.0
        if a.shape != b.shape:
            return f"result {k} has shape {a.shape} instead of {b.shape}"
        # not `> limit`: a NaN is a difference
        far = ~(np.abs(a - b) <= atol + rtol * np.abs(b))
        if far.any():
            place = tuple(int(n) for n in np.argwhere(far)[0])
            return f"result {k} at {place} is {a[place]} instead of {b[place]} ({int(far.sum())} such elements)"
    return ""

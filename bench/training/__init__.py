"""Training steps of whole programs, with loops and random numbers: `python -m bench programs`.

Here is what is computed, on which data, and in `reference` the same in float64; each library has a module of its own.

Random numbers differ between libraries, so two things are compared of a step that draws. Once its draws are replaced by
comparisons with given uniform numbers (a unit is 1 where the number is below its probability), and all results have to
be those of the reference. And of the step itself, which is what is timed, a summary of several calls has to be near the
reference's with other numbers: how far each parameter has moved.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from bench.kinds import Array, Kind, Sizes

# Step sizes. The layers' gradients are small, and float32 has to show what a step changes.
RATES = {
    "dA": 0.1, "cA": 0.1, "deep": 0.1, "lenet": 0.1, "cd": 0.1, "pcd": 0.1, "lstm_layer": 10.0, "rnn_layer": 1.0,
    "gp": 0.1,
}  # fmt: skip
# The share of the inputs that the autoencoder does not see.
CORRUPTION = 0.3
# Rows and columns of a filter.
FILTER = 5
# The factor of the squared slopes in the cost of a contractive autoencoder.
CONTRACTION = 0.1
# The peers' modules that are here, too.
MODULES = ("with_numgraph", "with_jax", "with_torch", "with_pytensor")
# Calls whose summary is compared.
SUMMARIZED = 20

_IMAGES: dict[str, Any] = {"bytes": "4*B*F", "footprint": "4*R*F", "rtol": 1e-4, "atol": 2e-6, "steps": True}
_SERIES: dict[str, Any] = {"bytes": "4*T*B*I", "footprint": "4*R*T*I", "rtol": 1e-4, "atol": 1e-6, "steps": True}
_GIBBS = "on F visible and H hidden units, R rows of binary inputs resident, by CD-K"
_LAYER = "back through all T steps of I inputs, for the mean square of the last of its H outputs; R sequences resident"

KINDS = {
    "dA": Kind(
        "a training step of an autoencoder with tied weights, F-H units, on B corrupted rows of R x F resident inputs",
        {"B": 20, "R": 2000, "F": 784, "H": 500},
        flops="10*B*F*H",
        drawn=0.15,
        **_IMAGES,
    ),
    "cA": Kind(
        "a training step of a contractive autoencoder with tied weights, F-H units, on B rows of R x F resident inputs",
        {"B": 10, "R": 2000, "F": 784, "H": 500},
        flops="10*B*F*H + 4*F*H",
        **_IMAGES,
    ),
    "deep": Kind(
        "a training step of a network of three layers of H sigmoid units and a softmax, on B rows of R x F resident"
        " inputs with C classes",
        {"B": 20, "R": 2000, "F": 784, "H": 500, "C": 10},
        flops="4*B*F*H + 12*B*H*H + 6*B*H*C",
        **_IMAGES,
    ),
    "lenet": Kind(
        "a training step of two layers of K and L filters of 5 x 5 with pooling, H tanh units and a softmax, on B of R"
        " resident images of G x G pixels with C classes",
        {"B": 500, "R": 2000, "G": 28, "K": 20, "L": 50, "H": 500, "C": 10},
        flops="100*B*K*(G - 4)**2 + 150*B*K*L*(G // 2 - 6)**2 + 6*B*L*H*(G // 4 - 3)**2 + 6*B*H*C",
        bytes="4*B*G*G",
        footprint="4*R*G*G",
        rtol=1e-4,
        # of two pixels that are nearly equal, rounding decides which one is the largest and gets the gradient
        atol=5e-5,
        steps=True,
    ),
    "gp": Kind(
        "a step down the negative log likelihood of a Gaussian process, by a Cholesky factor of B x B covariances, of B"
        " of R resident rows of F numbers",
        {"B": 100, "R": 400, "F": 2},
        flops="B**3 + 6*B*B",
        bytes="4*B*F",
        footprint="4*R*F",
        rtol=1e-4,
        atol=1e-5,
        steps=True,
    ),
    "cd": Kind(
        f"a training step of an RBM {_GIBBS}",
        {"B": 20, "R": 2000, "F": 784, "H": 500, "K": 15},
        flops="4*K*B*F*H + 10*B*F*H",
        drawn=0.2,
        **_IMAGES,
    ),
    "pcd": Kind(
        f"a training step of an RBM {_GIBBS} whose chains are kept",
        {"B": 20, "R": 2000, "F": 784, "H": 500, "K": 15},
        flops="4*K*B*F*H + 8*B*F*H",
        drawn=0.2,
        **_IMAGES,
    ),
    "lstm_layer": Kind(
        f"a training step of an LSTM layer on B sequences, {_LAYER}",
        {"B": 16, "R": 64, "T": 100, "I": 128, "H": 128},
        flops="24*T*B*H*(I + H)",
        **_SERIES,
    ),
    "rnn_layer": Kind(
        f"a training step of a layer of tanh units on B sequences, {_LAYER}",
        {"B": 16, "R": 64, "T": 100, "I": 128, "H": 128},
        flops="6*T*B*H*(I + H)",
        **_SERIES,
    ),
}


def data(kind: str, sizes: Sizes) -> list[Array]:
    """The resident inputs: rows of zeros and ones that are near one of ten patterns; with "deep" and "lenet" the number
    of the pattern modulo C beside it, and of "lenet" grey images [R, 1, G, G]; or sequences [R / B, T, B, I]; or of
    "gp" points, and a function of them with noise. Shared between calls of this function: do not write."""
    return _data(kind, tuple(sizes.items()))


@lru_cache(maxsize=2)
def _data(kind: str, lengths: tuple[tuple[str, int], ...]) -> list[Array]:
    sizes = dict(lengths)
    generator = np.random.default_rng(4)
    if kind.endswith("layer"):
        shape = sizes["R"] // sizes["B"], sizes["T"], sizes["B"], sizes["I"]
        return [generator.normal(size=shape).astype(np.float32)]
    if kind == "gp":
        x = generator.uniform(-2, 2, (sizes["R"], sizes["F"]))
        y = np.sin(2 * x[:, 0]) + np.cos(x).sum(axis=1) / 2 + 0.1 * generator.normal(size=len(x))
        return [x.astype(np.float32), (y - y.mean()).astype(np.float32)]
    width = sizes["G"] ** 2 if kind == "lenet" else sizes["F"]
    patterns = generator.random((10, width)) < 0.2
    chosen = generator.integers(0, 10, sizes["R"])
    rows = patterns[chosen]
    made = [(rows ^ (generator.random(rows.shape) < 0.05)).astype(np.float32)]
    if kind == "lenet":
        # grey, so that hardly two pixels of a window are equal, and rounding does not choose between them
        grey = made[0] * np.float32(0.5) + generator.random(rows.shape, np.float32)
        made = [grey.reshape(-1, 1, sizes["G"], sizes["G"])]
    return [*made, (chosen % sizes["C"]).astype(np.int32)] if "C" in sizes else made


def start(kind: str, sizes: Sizes) -> list[Array]:
    """The parameters before the first step: W [F, H], and biases of hidden and visible units; the chains of "pcd".

    Of a layer: W [I, k H], U [H, k H], b [k H], k = 4 for an LSTM. Of "deep" and "lenet": W and b of each layer, from
    below; filters [K, 1, 5, 5] and [L, K, 5, 5]. Of "gp": the logarithms of length, size and noise.
    """
    if kind == "gp":
        return [np.zeros(3, np.float32)]
    generator = np.random.default_rng(5)

    def uniform(limit: float, *shape: int) -> Array:
        return generator.uniform(-limit, limit, shape).astype(np.float32)

    H = sizes["H"]
    if kind.endswith("layer"):
        width = 4 * H if kind == "lstm_layer" else H
        limit = H**-0.5
        return [uniform(limit, sizes["I"], width), uniform(limit, H, width), uniform(limit, width)]
    if kind == "lenet":
        side, K, L = (sizes["G"] // 2 - FILTER // 2 - FILTER + 1) // 2, sizes["K"], sizes["L"]
        filters = [uniform(0.2, K, 1, FILTER, FILTER), uniform(0.1, L, K, FILTER, FILTER)]
        W, V = uniform(0.1, L * side * side, H), uniform(0.1, H, sizes["C"])
        biases = [np.zeros(n, np.float32) for n in (K, L, H, sizes["C"])]
        return [p for pair in zip((*filters, W, V), biases, strict=True) for p in pair]
    F = sizes["F"]
    if kind == "deep":
        shapes = (F, H), (H, H), (H, H), (H, sizes["C"])
        limits = (4 * (6 / sum(shape)) ** 0.5 for shape in shapes)
        return [p for s, n in zip(shapes, limits, strict=True) for p in (uniform(n, *s), np.zeros(s[1], np.float32))]
    made = [uniform(4 * (6 / (F + H)) ** 0.5, F, H), np.zeros(H, np.float32), np.zeros(F, np.float32)]
    return [*made, np.zeros((sizes["B"], H), np.float32)] if kind == "pcd" else made


def reconstruction(maths: Any, x: Any, noisy: Any, W: Any, hidden: Any, visible: Any) -> Any:
    """The cross-entropy of `x` and what the autoencoder makes of its corrupted copy, for libraries with `softplus`."""
    a = maths.sigmoid(noisy @ W + hidden) @ W.T + visible
    return maths.mean(maths.sum(maths.softplus(a) - x * a, axis=1))


def contraction(maths: Any, x: Any, W: Any, hidden: Any, visible: Any) -> Any:
    """The cross-entropy of `x` and what the autoencoder makes of it, and the squared slopes of the hidden units."""
    y = maths.sigmoid(x @ W + hidden)
    slopes = maths.mean(((y * (1 - y)) ** 2) @ maths.sum(W**2, axis=0))
    return reconstruction(maths, x, x, W, hidden, visible) + CONTRACTION * slopes


def classification(maths: Any, x: Any, y: Any, *params: Any) -> Any:
    """The mean of -log p(correct class), of sigmoid layers below a softmax."""
    *layers, (V, d) = zip(params[::2], params[1::2], strict=True)
    for W, b in layers:
        x = maths.sigmoid(x @ W + b)
    return maths.surprise(x @ V + d, y)


def images(maths: Any, x: Any, y: Any, *params: Any) -> Any:
    """The mean of -log p(correct class), of two layers of filters and pooling, one of tanh units and a softmax."""
    W1, b1, W2, b2, W3, b3, V, d = params
    h = maths.tanh(maths.pooled(x, W1) + b1[:, None, None])
    h = maths.tanh(maths.pooled(h, W2) + b2[:, None, None])
    return maths.surprise(maths.tanh(h.reshape((h.shape[0], -1)) @ W3 + b3) @ V + d, y)


def likelihood(maths: Any, x: Any, y: Any, theta: Any) -> Any:
    """The negative log likelihood of a Gaussian process for each row, without its constant."""
    length, size, noise = (maths.exp(theta[k]) for k in range(3))
    rows = maths.sum(x**2, axis=1)
    squares = maths.natural(rows[:, None] + rows - 2 * (x @ x.T))
    L = maths.cholesky(size**2 * maths.exp(-squares / (2 * length**2)) + noise**2 * maths.identity(x))
    white = maths.solved(L, y)
    return maths.mean(white**2 / 2 + maths.log(maths.diagonal(L)))


# The cost of a minibatch, of kinds without draws and without loops: of the library's functions, inputs and parameters.
COSTS = {"cA": contraction, "deep": classification, "lenet": images, "gp": likelihood}


def free_energy(maths: Any, v: Any, W: Any, hidden: Any, visible: Any) -> Any:
    """The mean free energy of the rows of `v`."""
    return -maths.mean(v @ visible + maths.sum(maths.softplus(v @ W + hidden), axis=1))


def upwards(maths: Any, v: Any, W: Any, hidden: Any) -> Any:
    """The probabilities of the hidden units."""
    return maths.sigmoid(v @ W + hidden)


def downwards(maths: Any, h: Any, W: Any, visible: Any) -> Any:
    """The probabilities of the visible units."""
    return maths.sigmoid(h @ W.T + visible)


def expected(kind: str, sizes: Sizes, calls: int) -> list[Array]:
    """What `calls` calls give in float64: costs, then the state, and the summary where there are draws."""
    from bench.training import reference

    costs, state = reference.given(kind, sizes, calls)[:2]
    return [costs, *state, *([reference.summary(kind, sizes)] if KINDS[kind].drawn else [])]


def summarized(kind: str, costs: Array, before: list[Array], after: list[Array]) -> Array:
    """How far each parameter has moved, and the mean cost of an autoencoder; an RBM's is a difference, mostly noise."""
    moved = [float(np.linalg.norm(b - a)) for a, b in zip(before[:3], after[:3], strict=True)]
    return np.array([*([costs.mean()] if kind == "dA" else []), *moved])

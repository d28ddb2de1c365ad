"""The steps in float64 by plain NumPy, with gradients in closed form, and uniform numbers for a check of the draws."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bench import training
from bench.kinds import Array, Plain, Sizes

# Probabilities in float32 may be wrong by less than this, so no number that is given is nearer to one.
MARGIN = 1e-4

Draw = Callable[[Array], Array]


class Numbers:
    """Draws that are 1 where a uniform number is below the probability; the numbers are kept."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.kept: list[Array] = []

    def __call__(self, p: Array) -> Array:
        """Zeros and ones."""
        u = self.generator.random(p.shape)
        u = np.where(abs(u - p) < MARGIN, np.where(p < 0.5, p + MARGIN, p - MARGIN), u)
        self.kept.append(u.astype(np.float32))
        return (u < p).astype(float)


def step(kind: str, batch: list[Array], state: list[Array], draw: Draw, K: int) -> tuple[float, list[Array]]:
    """The cost before a step on a minibatch, and the new state."""
    x = batch[0]
    if kind.endswith("layer"):
        cost, gradients = (_lstm if kind == "lstm_layer" else _rnn)(x, *state)
    elif kind == "dA":
        cost, gradients = _autoencoder(x, draw, *state)
    elif kind in PLAIN:
        cost, gradients = PLAIN[kind](*batch, *state)
    else:
        W, hidden, visible, *chains = state
        h = chains[0] if chains else draw(training.upwards(Plain, x, W, hidden))
        for _ in range(K):
            v = draw(training.downwards(Plain, h, W, visible))
            h = draw(training.upwards(Plain, v, W, hidden))
        cost, gradients = _contrast(x, v, W, hidden, visible)
        state, chains = state[:3], [h] if chains else []
        return cost, [*_moved(kind, state, gradients), *chains]
    return cost, _moved(kind, state, gradients)


def _moved(kind: str, state: list[Array], gradients: list[Array]) -> list[Array]:
    return [p - training.RATES[kind] * g for p, g in zip(state, gradients, strict=True)]


def _autoencoder(x: Array, draw: Draw, W: Array, hidden: Array, visible: Array) -> tuple[float, list[Array]]:
    noisy = x * draw(np.full(x.shape, 1 - training.CORRUPTION))
    y = Plain.sigmoid(noisy @ W + hidden)
    dz = (Plain.sigmoid(y @ W.T + visible) - x) / len(x)
    dy = dz @ W * y * (1 - y)
    cost = training.reconstruction(Plain, x, noisy, W, hidden, visible)
    return float(cost), [noisy.T @ dy + dz.T @ y, dy.sum(axis=0), dz.sum(axis=0)]


def _contractive(x: Array, W: Array, hidden: Array, visible: Array) -> tuple[float, list[Array]]:
    y = Plain.sigmoid(x @ W + hidden)
    dz = (Plain.sigmoid(y @ W.T + visible) - x) / len(x)
    squares = (W**2).sum(axis=0)
    slope = y * (1 - y)
    # of the mean of slope^2 @ squares, through y and through W
    through_y = training.CONTRACTION * 2 * slope * (1 - 2 * y) * squares / len(x)
    through_W = training.CONTRACTION * 2 * W * (slope**2).mean(axis=0)
    dy = (dz @ W + through_y) * slope
    cost = training.contraction(Plain, x, W, hidden, visible)
    return float(cost), [x.T @ dy + dz.T @ y + through_W, dy.sum(axis=0), dz.sum(axis=0)]


def _classifier(x: Array, y: Array, *params: Array) -> tuple[float, list[Array]]:
    layers = [x]
    for W, b in zip(params[:-2:2], params[1:-2:2], strict=True):
        layers.append(Plain.sigmoid(layers[-1] @ W + b))
    p = Plain.softmax(layers[-1] @ params[-2] + params[-1], axis=1)
    p[np.arange(len(y)), y] -= 1
    dz = p / len(y)
    gradients: list[Array] = []
    for h, W in zip(reversed(layers), params[-2::-2], strict=True):
        gradients = [h.T @ dz, dz.sum(axis=0), *gradients]
        dz = dz @ W.T * h * (1 - h)
    return float(training.classification(Plain, x, y, *params)), gradients


def _unpooled(g: Array, y: Array) -> Array:
    """The gradient for y of the largest of each 2 x 2; equal ones, of which filters see the same, share it."""
    images, filters, rows, columns = y.shape
    parts = y.reshape(images, filters, rows // 2, 2, columns // 2, 2)
    largest = parts == parts.max((3, 5), keepdims=True)
    return (largest / largest.sum((3, 5), keepdims=True) * g[:, :, :, None, :, None]).reshape(y.shape)


def _lenet(x: Array, y: Array, *params: Array) -> tuple[float, list[Array]]:
    W1, b1, W2, b2, W3, b3, V, _ = params
    a1 = Plain.answers(x, W1)
    h1 = np.tanh(Plain.halved(a1) + b1[:, None, None])
    a2 = Plain.answers(h1, W2)
    h2 = np.tanh(Plain.halved(a2) + b2[:, None, None])
    flat = h2.reshape(len(x), -1)
    h3 = np.tanh(flat @ W3 + b3)
    dz = Plain.softmax(h3 @ V + params[7], axis=1)
    dz[np.arange(len(y)), y] -= 1
    dz /= len(y)
    d3 = dz @ V.T * (1 - h3**2)
    d2 = (d3 @ W3.T).reshape(h2.shape) * (1 - h2**2)
    g2 = _unpooled(d2, a2)
    n = W2.shape[-1] - 1
    around = np.pad(g2, [(0, 0), (0, 0), (n, n), (n, n)])
    d1 = Plain.answers(around, W2[:, :, ::-1, ::-1].swapaxes(0, 1)) * (1 - h1**2)
    g1 = _unpooled(d1, a1)
    seen = (sliding_window_view(images, W1.shape[2:], (2, 3)) for images in (x, h1))
    filters = [np.einsum("bcyxrs,bkyx->kcrs", s, g, optimize=True) for s, g in zip(seen, (g1, g2), strict=True)]
    gradients = [filters[0], d1.sum((0, 2, 3)), filters[1], d2.sum((0, 2, 3)), flat.T @ d3, d3.sum(0)]
    return float(training.images(Plain, x, y, *params)), [*gradients, h3.T @ dz, dz.sum(0)]


def _process(x: Array, y: Array, theta: Array) -> tuple[float, list[Array]]:
    length, size, noise = np.exp(theta)
    squares = ((x[:, None] - x) ** 2).sum(axis=2)
    smooth = size**2 * np.exp(-squares / (2 * length**2))
    K = smooth + noise**2 * np.eye(len(x))
    inverse = np.linalg.inv(K)
    weights = inverse @ y
    slopes = (smooth * squares / length**2, 2 * smooth, 2 * noise**2 * np.eye(len(x)))
    half = (inverse - np.outer(weights, weights)) / 2
    cost = (y @ weights + np.linalg.slogdet(K)[1]) / 2
    return float(cost / len(x)), [np.array([np.sum(half * slope) for slope in slopes]) / len(x)]


# Kinds whose steps draw nothing: minibatch and parameters to cost and gradients.
PLAIN: dict[str, Callable[..., tuple[float, list[Array]]]] = {
    "cA": _contractive, "deep": _classifier, "lenet": _lenet, "gp": _process,
}  # fmt: skip


def _contrast(x: Array, v: Array, W: Array, hidden: Array, visible: Array) -> tuple[float, list[Array]]:
    """The difference of the free energies and its derivatives, the end `v` of the chains being a constant."""
    up, down = (training.upwards(Plain, rows, W, hidden) for rows in (x, v))
    energies = [training.free_energy(Plain, rows, W, hidden, visible) for rows in (x, v)]
    gradients = [v.T @ down - x.T @ up, (down - up).sum(axis=0), (v - x).sum(axis=0)]
    return float(energies[0] - energies[1]), [g / len(x) for g in gradients]


def _rnn(x: Array, W: Array, U: Array, b: Array) -> tuple[float, list[Array]]:
    hs = [np.zeros((x.shape[1], len(U)))]
    for row in x:
        hs.append(np.tanh(row @ W + hs[-1] @ U + b))
    gradients = [np.zeros_like(p) for p in (W, U, b)]
    dh = 2 * hs[-1] / hs[-1].size
    for row, before, h in zip(x[::-1], hs[-2::-1], hs[:0:-1], strict=True):
        dz = dh * (1 - h * h)
        _add(gradients, row, before, dz)
        dh = dz @ U.T
    return float(np.mean(hs[-1] ** 2)), gradients


def _lstm(x: Array, W: Array, U: Array, b: Array) -> tuple[float, list[Array]]:
    h = c = np.zeros((x.shape[1], len(U)))
    kept = []
    for row in x:
        gates = np.split(row @ W + h @ U + b, 4, axis=1)
        i, f, o = (Plain.sigmoid(gates[k]) for k in (0, 1, 3))
        g = np.tanh(gates[2])
        new = f * c + i * g
        kept.append((row, h, c, i, f, g, o, np.tanh(new)))
        h, c = o * np.tanh(new), new
    gradients = [np.zeros_like(p) for p in (W, U, b)]
    dh, dc = 2 * h / h.size, np.zeros_like(c)
    for row, before, c, i, f, g, o, t in reversed(kept):
        dc = dc + dh * o * (1 - t * t)
        parts = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o)
        dz = np.concatenate(parts, axis=1)
        _add(gradients, row, before, dz)
        dh, dc = dz @ U.T, dc * f
    return float(np.mean(h**2)), gradients


def _add(gradients: list[Array], x: Array, h: Array, dz: Array) -> None:
    """What one step of a layer adds to the gradients of W, U and b."""
    for g, part in zip(gradients, (x.T @ dz, h.T @ dz, dz.sum(axis=0)), strict=True):
        g += part


def minibatch(kind: str, sizes: Sizes, k: int) -> list[Array]:
    """Number k: inputs in float64, and classes where there are any."""
    x, *classes = training.data(kind, sizes)
    rows = slice(k * sizes["B"], (k + 1) * sizes["B"])
    return [(x[k] if kind.endswith("layer") else x[rows]).astype(float), *(y[rows] for y in classes)]


def trajectory(
    kind: str, sizes: Sizes, state: list[Array], calls: int, seed: int
) -> tuple[Array, list[Array], list[list[Array]]]:
    """Costs of some steps, the state after them, and the numbers that each drew with, as `arranged` has them."""
    costs, numbers = [], []
    draw = Numbers(seed)
    state = [p.astype(float) for p in state]
    for k in range(calls):
        cost, state = step(kind, minibatch(kind, sizes, k), state, draw, sizes.get("K", 0))
        costs.append(cost)
        numbers.append(arranged(kind, draw.kept))
        draw.kept = []
    return np.array(costs), state, numbers


def arranged(kind: str, kept: list[Array]) -> list[Array]:
    """The numbers of a step as its arguments: those of the chains' steps stacked, [K, B, F] and [K, B, H]."""
    if kind not in ("cd", "pcd"):
        return kept
    first = kept[: int(kind == "cd")]
    rest = kept[len(first) :]
    return [*first, np.stack(rest[::2]), np.stack(rest[1::2])]


@lru_cache(maxsize=8)
def _cached(kind: str, sizes: tuple[tuple[str, int], ...], calls: int, seed: int) -> tuple[Array, list[Array], object]:
    return trajectory(kind, dict(sizes), training.start(kind, dict(sizes)), calls, seed)


def given(kind: str, sizes: Sizes, calls: int) -> tuple[Array, list[Array], list[list[Array]]]:
    """The trajectory whose numbers peers are given."""
    costs, state, numbers = _cached(kind, tuple(sizes.items()), calls, 6)
    assert isinstance(numbers, list)
    return costs, state, numbers


def summary(kind: str, sizes: Sizes, seed: int = 7) -> Array:
    """The summary of a trajectory with other numbers."""
    calls = min(training.SUMMARIZED, sizes["R"] // sizes["B"])
    costs, state, _ = _cached(kind, tuple(sizes.items()), calls, seed)
    return training.summarized(kind, costs, training.start(kind, sizes), state)


def with_numbers(kind: str, sizes: Sizes, call: Callable[..., Array]) -> Callable[[int], list[Array]]:
    """A function that makes so many calls of a step that takes an index and the given numbers; returns the costs."""

    def run(count: int) -> list[Array]:
        numbers = given(kind, sizes, count)[2]
        return [call(k, *numbers[k]) for k in range(count)]

    return run

"""The NumPy side: the same training steps as a careful NumPy user writes them.

float32 throughout; the buffers of a full minibatch are made once and every result is written into one of them; the
gradient of softmax with cross-entropy is the usual closed form. The cost is computed too, since numgraph returns it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bench.problems import L2, Array


class Part(NamedTuple):
    """Inputs float32[n, features] and their labels int32[n]."""

    x: Array
    y: Array


class Softmax:
    """Cost and gradient of the mean negative log-likelihood with respect to the scores, in place."""

    def __init__(self, batch: int) -> None:
        self.rows = np.arange(batch)
        self.column = np.empty((batch, 1), np.float32)

    def __call__(self, z: Array, y: Array) -> np.float32:
        """Turn the scores `z` float32[n, classes] into their gradient; returns the cost. n is at most `batch`."""
        n = len(y)
        rows, column = self.rows[:n], self.column[:n]
        np.max(z, axis=1, keepdims=True, out=column)
        z -= column
        chosen = z[rows, y]
        np.exp(z, out=z)
        np.sum(z, axis=1, keepdims=True, out=column)
        cost = np.mean(np.log(column[:, 0]) - chosen)
        z /= column
        z[rows, y] -= 1
        z *= np.float32(1 / n)
        return cost


class LogReg:
    """A step of logistic regression; `params` are W [features, classes] and b [classes], changed in place."""

    def __init__(self, params: list[Array], data: Part, batch: int, rate: float) -> None:
        self.W, self.b = self.params = params
        self.data, self.batch, self.rate = data, batch, np.float32(rate)
        self.softmax = Softmax(batch)
        self.z = np.empty((batch, len(self.b)), np.float32)
        self.gW, self.gb = (np.empty_like(p) for p in params)

    def __call__(self, index: int) -> np.float32:
        """One step on minibatch `index`; returns the cost before it."""
        rows = slice(index * self.batch, (index + 1) * self.batch)
        x, y = self.data.x[rows], self.data.y[rows]
        z = np.dot(x, self.W, out=self.z[: len(y)])
        z += self.b
        cost = self.softmax(z, y)
        np.dot(x.T, z, out=self.gW)
        np.sum(z, axis=0, out=self.gb)
        descend(self.W, self.gW, self.rate)
        descend(self.b, self.gb, self.rate)
        return cost


class Mlp:
    """A step of the perceptron with one tanh layer; `params` are W1, b1, W2, b2, changed in place."""

    def __init__(self, params: list[Array], data: Part, batch: int, rate: float, l2: float = L2) -> None:
        self.W1, self.b1, self.W2, self.b2 = self.params = params
        self.data, self.batch, self.rate = data, batch, np.float32(rate)
        self.l2, self.shrink = np.float32(l2), np.float32(1 - 2 * rate * l2)
        self.softmax = Softmax(batch)
        hidden, classes = self.W2.shape
        self.h, self.dh, self.slope = (np.empty((batch, hidden), np.float32) for _ in range(3))
        self.z = np.empty((batch, classes), np.float32)
        self.gW1, self.gb1, self.gW2, self.gb2 = (np.empty_like(p) for p in params)

    def __call__(self, index: int) -> np.float32:
        """One step on minibatch `index`; returns the cost before it."""
        rows = slice(index * self.batch, (index + 1) * self.batch)
        x, y = self.data.x[rows], self.data.y[rows]
        n = len(y)
        h = np.dot(x, self.W1, out=self.h[:n])
        h += self.b1
        np.tanh(h, out=h)
        z = np.dot(h, self.W2, out=self.z[:n])
        z += self.b2
        cost = self.softmax(z, y) + self.l2 * (squares(self.W1) + squares(self.W2))
        dh = np.dot(z, self.W2.T, out=self.dh[:n])
        slope = np.multiply(h, h, out=self.slope[:n])
        np.subtract(1, slope, out=slope)
        dh *= slope
        np.dot(h.T, z, out=self.gW2)
        np.sum(z, axis=0, out=self.gb2)
        np.dot(x.T, dh, out=self.gW1)
        np.sum(dh, axis=0, out=self.gb1)
        # the L2 term's gradient 2 l2 W joins the step as a factor on W, which saves a pass over a third array
        for W, gW in ((self.W1, self.gW1), (self.W2, self.gW2)):
            W *= self.shrink
            descend(W, gW, self.rate)
        descend(self.b1, self.gb1, self.rate)
        descend(self.b2, self.gb2, self.rate)
        return cost


def squares(w: Array) -> np.float32:
    """The sum of squares, by BLAS: one pass, no array of squares."""
    flat = w.reshape(-1)
    return np.float32(np.dot(flat, flat))


def descend(parameter: Array, gradient: Array, rate: np.float32) -> None:
    """parameter -= rate * gradient, in place; the gradient's buffer is used up."""
    gradient *= rate
    parameter -= gradient


class Cell:
    """A step of an LSTM cell; `state` is h and c, changed in place. Gates in the order input, forget, cell, output."""

    def __init__(self, state: list[Array], xs: Array, W: Array, U: Array, b: Array) -> None:
        (self.h, self.c), self.xs, self.W, self.U, self.b = state, xs, W, U, b
        self.z, self.zu = (np.empty((len(self.h), len(b)), np.float32) for _ in range(2))
        self.product = np.empty_like(self.h)

    def __call__(self, t: int) -> None:
        """The step with input `xs[t]`."""
        width = self.h.shape[1]
        z = np.dot(self.xs[t], self.W, out=self.z)
        z += np.dot(self.h, self.U, out=self.zu)
        z += self.b
        i, f, g, o = (z[:, k * width : (k + 1) * width] for k in range(4))
        for gate in (z[:, : 2 * width], o):
            sigmoid(gate)
        np.tanh(g, out=g)
        self.c *= f
        np.multiply(i, g, out=self.product)
        self.c += self.product
        np.tanh(self.c, out=self.h)
        self.h *= o


def sigmoid(x: Array) -> None:
    """The logistic function, in place: half of 1 + tanh(x / 2), which never overflows and takes one pass less."""
    x *= np.float32(0.5)
    np.tanh(x, out=x)
    x += 1
    x *= np.float32(0.5)


def chain(x: Array, y: Array) -> Callable[[Array, Array], Array]:
    """2 exp(-x x) + 3 tanh(y) x into a buffer that the next call writes again."""
    a, b = np.empty_like(x), np.empty_like(x)

    def call(x: Array, y: Array) -> Array:
        np.multiply(x, x, out=a)
        np.negative(a, out=a)
        np.exp(a, out=a)
        np.multiply(a, 2, out=a)
        np.tanh(y, out=b)
        np.multiply(b, 3, out=b)
        np.multiply(b, x, out=b)
        return np.add(a, b, out=a)

    return call


def chain_sum(x: Array, y: Array) -> Callable[[Array, Array], np.float32]:
    """The sum of `chain`."""
    values = chain(x, y)
    return lambda x, y: np.sum(values(x, y))


def softmax(x: Array) -> Callable[[Array], Array]:
    """The softmax of each row, into a buffer that the next call writes again."""
    p, column = np.empty_like(x), np.empty((len(x), 1), x.dtype)

    def call(x: Array) -> Array:
        np.max(x, axis=1, keepdims=True, out=column)
        np.subtract(x, column, out=p)
        np.exp(p, out=p)
        np.sum(p, axis=1, keepdims=True, out=column)
        return np.divide(p, column, out=p)

    return call


def life(x: Array) -> Callable[[Array], Array]:
    """The next generation of a torus of cells, by sums of slices, into a buffer that the next call writes again."""
    rows, out = np.empty_like(x), np.empty_like(x)

    def call(x: Array) -> Array:
        np.add(x[:-2], x[2:], out=rows[1:-1])
        np.add(x[-1], x[1], out=rows[0])
        np.add(x[-2], x[0], out=rows[-1])
        np.add(rows, x, out=rows)
        np.add(rows[:, :-2], rows[:, 2:], out=out[:, 1:-1])
        np.add(rows[:, -1], rows[:, 1], out=out[:, 0])
        np.add(rows[:, -2], rows[:, 0], out=out[:, -1])
        np.add(out, rows, out=out)
        np.subtract(out, x, out=out)
        np.multiply(out, 2, out=out)
        np.add(out, x, out=out)
        np.subtract(out, 6, out=out)
        np.abs(out, out=out)
        return np.less(out, 2, out=out, casting="unsafe")

    return call


def over_axis(function: Callable[..., Array], axis: int) -> Callable[[Array], Callable[[Array], Array]]:
    """`function` over one axis, for any array."""
    return lambda x: lambda x: function(x, axis=axis)


STEPS = {"logreg": LogReg, "mlp": Mlp}


def transform(x: Array) -> Callable[[Array], Array]:
    """The Fourier transform of each row, into a buffer that the next call writes again."""
    out = np.empty((len(x), x.shape[1] // 2 + 1), np.complex64)
    return lambda x: np.fft.rfft(x, out=out)


def filtered(x: Array, y: Array) -> Callable[[Array, Array], Array]:
    """Each row with its frequencies multiplied by y, by way of a buffer."""
    found, out = np.empty((len(x), x.shape[1] // 2 + 1), np.complex64), np.empty_like(x)

    def call(x: Array, y: Array) -> Array:
        np.fft.rfft(x, out=found)
        np.multiply(found, y, out=found)
        return np.fft.irfft(found, x.shape[1], out=out)

    return call


FUNCTIONS: dict[str, Callable[..., Callable[..., Array | np.float32]]] = {
    "chain": chain,
    "vector": chain,
    "chain_sum": chain_sum,
    "softmax": softmax,
    "life": life,
    "fft": transform,
    "filter": filtered,
    **{f"{f.__name__}_axis{axis}": over_axis(f, axis) for f in (np.sum, np.mean) for axis in (0, 1)},
}

"""Functions of a user's own, as steps `users.blend(t1, t2)`: each in a graph, and what it means in NumPy (`Twins`)."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

import numgraph as ng

Array = np.ndarray[Any, Any]
LIMIT = 3.0


@numba.njit(error_model="numpy")
def _bump(x: float) -> float:
    wide = np.float64(x)
    return 1.0 / (1.0 + wide * wide)


@numba.njit
def _blend(x: float, y: float) -> float:
    a, b = np.float64(x), np.float64(y)
    return 0.75 * a + 0.25 * b if a < b else 0.5 * (a + b)


@numba.njit
def _guarded(x: float) -> float:
    if x > LIMIT:
        raise ValueError("large")
    return math.tanh(np.float64(x)) * LIMIT


def _digits(n: int, m: int) -> int:
    return (n & 15) + (m & 7) * 16


def _between(x: float, y: float) -> bool:
    return x < y and y != 3


def bump(x: Any) -> Any:
    return ng.elementwise(_bump, x, dtype="float64", grad=_bump_slope)


def _bump_slope(g: Any, x: Any) -> Any:
    return -2.0 * g * x / ng.sqr(1.0 + x * x)


def blend(x: Any, y: Any) -> Any:
    return ng.elementwise(_blend, x, y, dtype="float64", grad=_blend_slope)


def _blend_slope(g: Any, x: Any, y: Any) -> Any:
    return [g * ng.where(x < y, 0.75, 0.5), g * ng.where(x < y, 0.25, 0.5)]


def guarded(x: Any) -> Any:
    return ng.elementwise(_guarded, x, dtype="float64")


def digits(n: Any, m: Any) -> Any:
    return ng.elementwise(_digits, n, m, dtype="int64")


def between(x: Any, y: Any) -> Any:
    return ng.elementwise(_between, x, y, dtype="bool")


@numba.njit
def _steps(x: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = x[i, j] - x[i - 1, j] if i else x[i, j]


def steps(x: Any) -> Any:
    return ng.call(_steps, x, type=ng.TensorType(x.dtype, (None, None)))


@numba.njit
def _evens(x: Any, out: Any) -> None:
    for i in range(out.shape[0]):
        out[i] = x[2 * i]


def evens(x: Any) -> Any:
    """With lengths that a function says, of the inputs' lengths."""
    kind = ng.TensorType(x.dtype, (None, None))
    return ng.call(_evens, x, type=kind, shape=lambda x: ((x[0] + 1) // 2, x[1]))


class Twins:
    """The same for arrays."""

    @staticmethod
    def bump(x: Array) -> Array:
        return 1.0 / (1.0 + np.square(x.astype("float64")))

    @staticmethod
    def blend(x: Array, y: Array) -> Array:
        x, y = x.astype("float64"), y.astype("float64")
        return np.where(x < y, 0.75 * x + 0.25 * y, 0.5 * (x + y))

    @staticmethod
    def guarded(x: Array) -> Array:
        return np.tanh(x.astype("float64")) * LIMIT

    @staticmethod
    def digits(n: Array, m: Array) -> Array:
        return np.asarray((n.astype("int64") & 15) + (m.astype("int64") & 7) * 16)

    @staticmethod
    def between(x: Array, y: Array) -> Array:
        return np.logical_and(x < y, y != 3)

    @staticmethod
    def evens(x: Array) -> Array:
        return x[::2]

    @staticmethod
    def steps(x: Array) -> Array:
        return np.diff(x, axis=0, prepend=np.zeros((1, x.shape[1]), x.dtype))

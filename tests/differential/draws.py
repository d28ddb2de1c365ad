"""Random numbers as steps `draws.uniform(7, t1, "float32")`: one draw with the lengths of a value, of a state that no
call changes, and the same in NumPy and Python's integers (`Twins`)."""

from __future__ import annotations

from typing import Any

import numpy as np

import numgraph as ng
from numgraph.ops import lengths as ln
from numgraph.ops.random import drawn
from tests.philox import philox

Array = np.ndarray[Any, Any]
POSITION = 5


def _drawn(name: str, key: int, x: Any, *parameters: Any, **attrs: Any) -> Any:
    state = ng.constant(np.array([key, POSITION], np.uint64))
    return drawn(name, state, ln.dims_of(x), *map(ng.as_tensor_variable, parameters), **attrs)


def uniform(key: int, x: Any, dtype: str) -> Any:
    return _drawn("uniform", key, x, dtype=dtype)


def normal(key: int, x: Any) -> Any:
    return _drawn("normal", key, x, dtype="float64")


def integers(key: int, x: Any, low: int, high: int) -> Any:
    return _drawn("integer", key, x, np.int64(low), np.int64(high))


def dropped(key: int, x: Any) -> Any:
    """x where a number is at least 1/4."""
    return ng.where(uniform(key, x, "float32") >= 0.25, x, 0)


def _words(key: int, x: Array) -> Array:
    made = [philox(key, POSITION, k) for k in range(x.size)]
    return np.array(made, np.uint64).reshape((*x.shape, 4))


class Twins:
    """The same for arrays."""

    @staticmethod
    def uniform(key: int, x: Array, dtype: str) -> Array:
        w = _words(key, x)
        if dtype == "float32":
            return (w[..., 0] // 2**8).astype(dtype) / np.float32(2**24)
        return np.asarray(w[..., 0] // 2**5 * 2**26 + w[..., 1] // 2**6) / 2.0**53

    @staticmethod
    def normal(key: int, x: Array) -> Array:
        w = _words(key, x)
        u = np.asarray(w[..., 2] // 2**5 * 2**26 + w[..., 3] // 2**6) / 2.0**53 + 2.0**-54
        return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * Twins.uniform(key, x, "float64"))

    @staticmethod
    def integers(key: int, x: Array, low: int, high: int) -> Array:
        w = _words(key, x).reshape(-1, 4)
        numbers = [low + ((int(a) << 32 | int(b)) * (high - low) >> 64) for a, b, _, _ in w]
        return np.array(numbers, np.int64).reshape(x.shape)

    @staticmethod
    def dropped(key: int, x: Array) -> Array:
        return np.where(Twins.uniform(key, x, "float32") >= 0.25, x, np.zeros((), x.dtype))

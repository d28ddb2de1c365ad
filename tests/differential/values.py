"""Lengths, and the values that arguments are filled with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float32", "float64")
DTYPES = ("bool", *INTEGERS, *FLOATS)
# around multiples of the lanes of vectors, and of the blocks of rows
LONG = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 160, 257)
SHORT = (1, 2, 3, 4, 5, 7, 8, 9, 17, 33)

EXTREMES = {
    "float64": (
        np.nan,
        np.inf,
        -np.inf,
        -0.0,
        5e-324,
        2.2e-308,
        -1e-300,
        1.7976931348623157e308,
        -1e300,
        1e200,
        2.0**53 + 2,
    ),
    "float32": (np.nan, np.inf, -np.inf, -0.0, 1e-45, 1.1e-38, -1e-38, 3.4028235e38, -1e38, 1e20, 2.0**24 + 2),
}
# Indices and lengths that are out of range, among them some whose multiples wrap around to small numbers.
FAR = (100, -1000, 2**31, -(2**40), 2**62 - 1, 2**61 + 1, 2**63 - 1)
POLES = (np.nan, np.inf, -np.inf, 0.0)


def extremes(dtype: str) -> Array:
    """Values at the edges of a dtype, with some ordinary ones among them."""
    if dtype in FLOATS:
        return np.array((*EXTREMES[dtype], 0.0, 1.0, -1.5, 2.25, -3.0), dtype)
    info = np.iinfo(dtype)
    wanted = (info.min, info.min + 1, info.max, info.max - 1, info.max // 2 + 1, 2**53 + 1, 0, 1, 2, 3, 7)
    inside = [v for v in (*wanted, -1, -2, -7) if info.min <= v <= info.max]
    return np.array(inside, dtype)


def fill(shape: Sequence[int], dtype: str, flavour: str, seed: int) -> Array:
    """Values of a dtype, the same for the same seed.

    flavours: plain (quarters, small integers), extreme, special (as extreme, but no huge finite ones), poles (NaN and
    infinities among quarters), zeros (many of them, where slopes have kinks), index and far (integers in range of most
    axes, and out of range now and then), huge (lengths whose product wraps).
    """
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if flavour in ("extreme", "special"):
        choice = extremes(dtype)
        if flavour == "special" and dtype in FLOATS:
            choice = choice[~(np.isfinite(choice) & (np.abs(choice) > 100))]
            # SciPy's own incomplete gamma function is 0 for those below, where it is nearly 1
            choice = choice[~((choice != 0) & (np.abs(choice) < np.finfo(dtype).tiny))]
        return np.asarray(rng.choice(choice, shape)).astype(dtype)
    if flavour == "huge":
        return np.asarray(rng.choice([2**32, 2**31, 2**62, 2**63 - 1, 3 * 2**40, 2**33], shape)).astype(dtype)
    if dtype in FLOATS:
        array = np.asarray(rng.integers(-12, 13, shape) / 4)
        other = {"zeros": 0.5, "poles": 0.3}.get(flavour, 0.0)
        instead = rng.choice(POLES, shape) if flavour == "poles" else 0.0
        return np.asarray(np.where(rng.random(shape) < other, instead, array)).astype(dtype)
    low = 0 if dtype.startswith("u") else -2 if flavour == "index" else -4
    high = 2 if flavour == "index" else 7
    array = np.asarray(rng.integers(low, high, shape))
    if flavour == "far" and rng.random() < 0.6:
        array = np.where(rng.random(shape) < 0.2, rng.choice(FAR), rng.integers(-1, 1, shape))
    return np.asarray(array).astype(dtype)

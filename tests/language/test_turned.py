"""Reductions of arrays whose axes were put into another order."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest

import numgraph as ng

NAMES = ("sum", "prod", "max", "min", "mean", "any", "argmax")


@pytest.mark.parametrize("target", ["cpu", "reference", "cuda-sim"])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (0, 3)])
def test_every_order_and_every_axis(shape: tuple[int, ...], target: str) -> None:
    a = np.random.default_rng(0).normal(size=shape)
    x = ng.tensor("x", dtype="float64", shape=(None,) * a.ndim)
    outputs: list[Any] = []
    wanted: list[Any] = []
    for order in permutations(range(a.ndim)):
        for axes in (c for r in range(1, a.ndim + 1) for c in combinations(range(a.ndim), r)):
            turned = a.transpose(order)
            empty = 0 in [turned.shape[k] for k in axes]
            for name in NAMES:
                if (name == "argmax" and len(axes) > 1) or (empty and name in ("max", "min", "mean", "argmax")):
                    continue
                axis = axes[0] if name == "argmax" else axes
                outputs.append(getattr(ng, name)(x.transpose(order), axis=axis))
                wanted.append(getattr(np, name)(turned, axis=axis))
                if name in ("sum", "max"):
                    outputs.append(getattr(ng, name)(x.transpose(order), axis=axis, keepdims=True))
                    wanted.append(getattr(np, name)(turned, axis=axis, keepdims=True))
    for got, want in zip(ng.function([x], outputs, target=target)(a), wanted, strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_the_inner_loop_goes_along_the_memory() -> None:
    x = ng.shared(np.zeros((300, 200), np.float32))
    assert "p0[i * 200 + j]" in ng.function([], ng.sum(x.T, axis=0)).source


def test_nothing_has_no_maximum_and_its_axis_is_the_one_that_was_named() -> None:
    x = ng.matrix("x")
    f = ng.function([x], ng.max(x.T, axis=0))
    with pytest.raises(ValueError, match="max: axis 0 is empty"):
        f(np.zeros((3, 0)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "int64", "uint64"])
def test_the_place_of_the_largest_of_many(dtype: str) -> None:
    """By two loops: the largest, in vectors, and then its first place."""
    rng = np.random.default_rng(1)
    x = ng.matrix("x", dtype=dtype)
    f = ng.function([x], [ng.argmax(x, axis=1), ng.argmin(x, axis=1), ng.argmax(x), ng.argmin(x.T, axis=0)])
    rows = [rng.integers(0, 200, 150) for _ in range(6)]
    rows += [np.zeros(150), np.full(150, 7), np.arange(150), np.arange(150)[::-1]]
    a = np.array(rows).astype(dtype)
    arrays = [a, a[:, :1], a[:1], a[:, ::2]]
    if dtype.startswith("f"):
        b = a.copy()
        b[0, 3] = b[0, 149] = b[1, 0] = b[2, 149] = np.nan
        b[3], b[4], b[5, 5:9] = -np.inf, np.inf, -0.0
        b[6], b[6, 1::2] = 0.0, -0.0
        arrays.append(b)
    for array in arrays:
        for got, function, given in zip(f(array), (np.argmax, np.argmin) * 2, (1, 1, None, 1), strict=True):
            np.testing.assert_array_equal(got, function(array, axis=given))
    s = ng.shared(np.zeros((4, 100), dtype))
    assert "the first argmax" in ng.function([], ng.argmax(s, axis=1)).source


@pytest.mark.parametrize("axis", [None, 1])
def test_the_first_place_among_numbers_that_are_rolled_twice(axis: int | None) -> None:
    x, k = ng.tensor("x", dtype="int32", shape=(1, None)), ng.scalar("k", dtype="int64")
    f = ng.function([x, k], ng.argmin(ng.roll(ng.roll(x, k, 1), 1, 1), axis=axis))
    a = np.arange(100, dtype="int32")[None]
    a[0, 40] = -5
    np.testing.assert_array_equal(f(a, 3), np.argmin(np.roll(a, 4, 1), axis=axis))

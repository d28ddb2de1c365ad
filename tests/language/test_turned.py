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

"""The gradient of a product, and its gradient: each is made of all other elements, whatever an element is itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numgraph as ng

TARGETS = ("reference", "cpu", "cuda-sim")
nan, inf = np.nan, np.inf
ROWS: list[list[float]] = [
    [], [nan], [inf], [0], [3], [nan, 3], [inf, 0], [nan, 2, 0], [0, 0, 5], [-inf, 2, nan],
    [2, 3, 5, 7],
    # the product of all overflows or underflows, that of the others does not
    [1e300, 1e10, 1e-10], [1e-300, 1e-300, 1e300], [2, 1e300, 0.5, 1e300, 1e-200],
]  # fmt: skip


def others(x: Any, *left_out: int) -> Any:
    """The product of a row without some elements."""
    return np.prod(np.delete(x, left_out))


def slope(x: Any, **attrs: Any) -> Any:
    return ng.grad(ng.sum(ng.prod(x, **attrs)), x)


@pytest.mark.parametrize("target", TARGETS)
def test_of_rows(target: str) -> None:
    x = ng.vector("x")
    f = ng.function([x], slope(x), target=target)
    for row in ROWS:
        with np.errstate(all="ignore"):
            expected = [others(row, k) for k in range(len(row))]
        np.testing.assert_allclose(f(np.array(row, "float64")), expected, rtol=1e-14, err_msg=str(row))


@pytest.mark.parametrize("target", TARGETS)
def test_of_the_gradient(target: str) -> None:
    """Terms that nothing depends on are left out, though they be NaN."""
    x, weights = ng.vector("x"), ng.vector("weights")
    f = ng.function([x, weights], ng.grad(ng.sum(slope(x) * weights), x), target=target)
    for row in [r for r in ROWS if len(r) > 1]:
        for one in np.eye(len(row)):
            with np.errstate(all="ignore"):
                pairs = [[0.0 if i == k else others(row, i, k) for i in range(len(row))] for k in range(len(row))]
            expected = [p[int(one.argmax())] for p in pairs]
            np.testing.assert_allclose(f(np.array(row, "float64"), one), expected, rtol=1e-14, err_msg=f"{row} {one}")


@pytest.mark.parametrize("target", TARGETS)
def test_of_axes(target: str) -> None:
    x = ng.tensor3("x")
    v = np.random.default_rng(0).normal(size=(6, 4, 3))
    v[2, 1, 0], v[5, 3, 2], v[1, 2, 2], v[0, 0, 0] = nan, inf, 0, 0
    ways = [(axes, keep) for axes in (None, 0, 1, 2, (0, 2), (1, 2), (0, 1), ()) for keep in (False, True)]
    f = ng.function([x], [slope(x, axis=axes, keepdims=keep) for axes, keep in ways], target=target)
    for (axes, keep), got in zip(ways, f(v), strict=True):
        expected = np.empty_like(v)
        for place in np.ndindex(v.shape):
            one = v.copy()
            one[place] = 1
            with np.errstate(invalid="ignore"):
                expected[place] = np.prod(one, axis=axes, keepdims=True)[
                    tuple(0 if axes is None or k in np.atleast_1d(axes) else i for k, i in enumerate(place))
                ]
        np.testing.assert_allclose(got, expected, rtol=1e-13, err_msg=f"{axes} {keep}")
    for shape in ((0, 4, 3), (6, 0, 3), (6, 4, 0)):
        assert all(got.shape == shape for got in f(np.zeros(shape)))


@pytest.mark.parametrize("target", ["reference", "cpu"])
def test_float32_is_multiplied_in_float64(target: str) -> None:
    x = ng.matrix("x", "float32")
    f = ng.function([x], [slope(x, axis=0), slope(x, axis=1)], target=target)
    v = np.array([[1e30, 1e30, 1e-30, 1e-30, 3]] * 4 + [[1e-30, 1e-30, 1e30, 1e30, 3]], "float32")
    wide = v.astype("float64")
    for axis, got in enumerate(f(v)):
        assert got.dtype == np.float32
        with np.errstate(over="ignore"):
            expected = (np.prod(wide, axis=axis, keepdims=True) / wide).astype("float32")
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_on_a_device_float32_stays_float32() -> None:
    x = ng.matrix("x", "float32")
    f = ng.function([x], [slope(x, axis=0), slope(x, axis=1)], target="cuda-sim")
    assert "float64" not in f.source
    v = np.random.default_rng(1).uniform(0.5, 2, (5, 3)).astype("float32")
    for axis, got in enumerate(f(v)):
        np.testing.assert_allclose(got, np.prod(v, axis=axis, keepdims=True) / v, rtol=1e-5)

"""Sorting and running sums on the simulated device, by launches that the host works out."""

from __future__ import annotations

import numpy as np
import pytest

import numgraph as ng
from numgraph.cuda.library import CALLS
from numgraph.loops.grid.calls import CUBLAS, LIBRARY

rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_all_axes(dtype: str) -> None:
    x = ng.tensor3("x", dtype)
    v = (rng.standard_normal((3, 37, 2)) * 5).astype(dtype)
    outputs = [ng.argsort(x, axis=1), ng.sort(x, axis=2), ng.cumsum(x, axis=1), ng.cumsum(x), ng.cumprod(x, axis=2)]
    f = ng.function([x], outputs, target="cuda-sim")
    want = [np.argsort(v, 1, kind="stable"), np.sort(v, 2), np.cumsum(v, 1), np.cumsum(v), np.cumprod(v, 2)]
    # the second call records, the third replays
    for _ in range(3):
        for got, expected in zip(f(v), want, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [0, 1, 8, 9, 300])
def test_windows_of_vectors(length: int) -> None:
    x = ng.fvector("x")
    v = rng.standard_normal(length + 5).astype("float32")
    v[-1:] = np.nan
    f = ng.function([x], [ng.argsort(x[5:]), ng.cumsum(x[5:])], target="cuda-sim")
    order, sums = f(v)
    np.testing.assert_array_equal(order, np.argsort(v[5:], kind="stable"))
    np.testing.assert_allclose(sums, np.cumsum(v[5:].astype("float64")), rtol=1e-4, atol=1e-4)


def test_the_printer_knows_the_table() -> None:
    assert set(CALLS) == {*LIBRARY, CUBLAS}

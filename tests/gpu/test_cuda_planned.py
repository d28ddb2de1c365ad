"""Calls on a device whose plan was run before: what has changed meanwhile is seen."""

from __future__ import annotations

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import IndexOutOfRange


def test_lengths_that_change() -> None:
    x = ng.shared(np.arange(12, dtype="float32"), name="x")
    i = ng.scalar("i", dtype="int64")
    f = ng.function([i], 2 * x[i], target="cuda-sim")
    for _ in range(2):
        assert [float(f(k)) for k in (0, 5, 11)] == [0, 10, 22]
    with pytest.raises(IndexOutOfRange):
        f(12)
    x.set_value(np.arange(20, dtype="float32")[::-1].copy())
    assert [float(f(k)) for k in (0, 12)] == [38, 14]
    np.testing.assert_array_equal(f.sweep(i=range(20)), np.arange(38, -1, -2))
    x.set_value(np.ones(3, "float32"))
    with pytest.raises(IndexOutOfRange, match="i"):
        f(5)
    with pytest.raises(IndexOutOfRange):
        f.sweep(i=range(4))
    assert float(f(2)) == 2


def test_indices_that_kernels_check() -> None:
    x = ng.shared(np.arange(6, dtype="float32"), name="x")
    ids = ng.shared(np.array([0, 5, 2]), name="ids")
    k = ng.scalar("k", dtype="float32")
    f = ng.function([k], k * x[ids], target="cuda-sim")
    for _ in range(3):
        np.testing.assert_array_equal(f(2), [0, 10, 4])
    ids.set_value(np.array([0, 6, 2]))
    with pytest.raises(IndexOutOfRange, match="6"):
        f(2)
    ids.set_value(np.array([1, 1, 1]))
    np.testing.assert_array_equal(f(3), [3, 3, 3])


def test_signs_of_zeros_and_nan() -> None:
    x = ng.shared(np.ones(3, "float32"), name="x")
    k = ng.scalar("k", dtype="float32")
    f = ng.function([k], x * k, target="cuda-sim")
    for value in (0.0, -0.0, np.nan, 0.0):
        np.testing.assert_array_equal(np.signbit(f(value)), [np.signbit(value)] * 3)
    swept = f.sweep(k=np.array([0.0, -0.0, np.nan], "float32"))
    np.testing.assert_array_equal(swept, np.array([[0.0] * 3, [-0.0] * 3, [np.nan] * 3], "float32"))
    assert np.signbit(swept[1]).all()


def test_lengths_that_depend_on_numbers() -> None:
    n = ng.scalar("n", dtype="int64")
    x = ng.shared(np.ones(4, "float32"), name="x")
    f = ng.function([n], ng.sum(ng.arange(n)) + ng.sum(x), target="cuda-sim")
    for count in (3, 40, 3, 0, 400, 40):
        assert float(f(count)) == count * (count - 1) / 2 + 4

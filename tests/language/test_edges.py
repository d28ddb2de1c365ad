"""Edges of functions that are composed of others: norms of matrices, no freedom left, poles, decimals, divmod."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.special

from numgraph import testing
from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Constant, toposort
from numgraph.ops.define import f
from numgraph.reference import evaluate
from numgraph.tensor import matrix, tensor, tensor3, vector


def value(output: Any, **values: Any) -> Any:
    """The value of `output`, given the values of its inputs by name."""
    leaves = [v for v in toposort([output]) if v.op is None and not isinstance(v, Constant)]
    return evaluate([output], {v: np.asarray(values[str(v.name)], v.dtype) for v in leaves})[0]


@pytest.mark.parametrize("ord", [None, "fro", 1, -1, np.inf, -np.inf, 2, -2, "nuc"])
@pytest.mark.parametrize("axis", [None, (0, 1), (1, 0), (-1, 0)])
def test_norm_of_a_matrix(ord: Any, axis: Any) -> None:
    v = np.array([[1.0, -2.0, 0.0], [3.0, 4.0, -1.0]])
    for keepdims in (False, True):
        got = value(f.norm(matrix("x"), ord, axis, keepdims), x=v)
        np.testing.assert_allclose(got, np.linalg.norm(v, ord, axis, keepdims), rtol=1e-14)
    stack = np.arange(-12.0, 12.0).reshape(2, 3, 4)
    pair = (0, 2) if axis in (None, (0, 1)) else (2, 0)
    np.testing.assert_allclose(value(f.norm(tensor3("x"), ord, pair), x=stack), np.linalg.norm(stack, ord, pair))
    assert f.norm(matrix("x", "int64"), 1).dtype == "float64"


def test_norms_of_singular_values() -> None:
    def three(x: Any) -> Any:
        return f.stack([f.norm(x, 2), f.norm(x, -2), f.norm(x, "nuc")])

    testing.verify_grad(three, [np.array([[1.0, -2.0, 0.0], [3.0, 4.0, -1.0]])])
    assert value(f.norm(matrix("x"), 2), x=np.zeros((0, 3))) == 0


def test_norms_that_are_not_there() -> None:
    for ord in (0, 3, "no"):
        with pytest.raises(OptionError, match="is not defined"):
            f.norm(matrix("x"), ord)
    with pytest.raises(OptionError, match="a number, not 'no'"):
        f.norm(matrix("x"), "no", axis=1)
    with pytest.raises(ShapeError, match="not for 3 axes"):
        f.norm(tensor3("x"), 1)
    assert f.norm(tensor3("x")).ndim == 0


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("ddof", [0, 1, 2, 5])
def test_degrees_of_freedom(n: int, ddof: int) -> None:
    """With no degrees of freedom left the variance is infinite, or NaN where all are equal; never negative."""
    v = np.arange(1.0, n + 1.0)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [np.var(v, ddof=ddof), np.std(v, ddof=ddof)]
    for x in (vector("x"), tensor("x", shape=(n,))):
        got = [value(f.var(x, ddof=ddof), x=v), value(f.std(x, ddof=ddof), x=v)]
        np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "int64"])
def test_digamma_at_its_poles(dtype: str) -> None:
    v = np.array([0, -1, -2, -8, 1, 3], dtype)
    got = value(f.digamma(vector("x", dtype)), x=v)
    np.testing.assert_allclose(got, scipy.special.psi(v.astype(float)), rtol=1e-5)
    assert value(f.digamma(vector("x")), x=[-0.0])[0] == np.inf


@pytest.mark.parametrize("decimals", [-2, -1, 0, 1, 2, 5])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8", "bool"])
def test_round_to_decimals(dtype: str, decimals: int) -> None:
    v = np.array([2.675, 1.114, 0.5, 123.456, 25, 35, 250]).astype(dtype)
    x = vector("x", dtype)
    expected = v if dtype == "bool" else np.round(v, decimals)
    for rounded in (f.round(x, decimals), x.round(decimals), round(x, decimals)):
        got = value(rounded, x=v)
        assert got.dtype == v.dtype
        np.testing.assert_array_equal(got, expected)
    with pytest.raises(TypeError):
        f.round(x, 1.5)


def test_divmod() -> None:
    x, v = vector("x"), np.array([2.0, -2.0, 0.3])
    array = np.array([7.0, 8.0, 9.0])
    for pair, expected in (
        (divmod(x, 2.0), divmod(v, 2.0)),
        (divmod(7.0, x), divmod(7.0, v)),
        (divmod(array, x), divmod(array, v)),
        (np.divmod(x, array), np.divmod(v, array)),
        (f.divmod(x, x), np.divmod(v, v)),
    ):
        for part, wanted in zip(pair, expected, strict=True):
            np.testing.assert_allclose(value(part, x=v), wanted, rtol=1e-15)

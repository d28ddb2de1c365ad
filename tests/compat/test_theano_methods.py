"""Methods of variables with Theano's arguments, which take numgraph's as before."""

from __future__ import annotations

from typing import Any

import numgraph.compat.theano.tensor as T
import numpy as np
import pytest

import numgraph as ng
import numgraph.compat.theano as theano

X = np.array([[0.25, -0.5, 2.5], [1.5, 0.0, -3.0]])


def value(v: Any, x: Any) -> Any:
    return v.eval({x: X})


def test_lengths() -> None:
    x, n = T.dmatrix("x"), T.lvector("n")
    for made in (
        x.reshape(3, 2), x.reshape((3, 2)), x.reshape((3, 2), 2), x.reshape(T.constant([3, 2])),
        x.reshape(shape=(3, -1), ndim=2), x.reshape([-1, 2], ndim=2),
    ):  # fmt: skip
        np.testing.assert_array_equal(value(made, x), X.reshape(3, 2))
    f = theano.function([x, n], [x.reshape(n, ndim=2), x.reshape(n, 2), T.reshape(x, n, 2)])
    for got in f(X, [3, 2]):
        np.testing.assert_array_equal(got, X.reshape(3, 2))
    with pytest.raises(TypeError, match="several values"):
        x.reshape(3, 2, shape=(3, 2))
    with pytest.raises(ng.ShapeError):
        x.reshape(n)
    for made in (x.flatten(), x.flatten(1), x.flatten(outdim=1), x.ravel()):
        np.testing.assert_array_equal(value(made, x), X.ravel())
    assert x.flatten(ndim=2).ndim == 2 and T.dscalar().squeeze(axis=0).ndim == 0


def test_messages_call_methods_by_their_names() -> None:
    x = T.dmatrix("x")
    for method in (x.sum, x.round, x.mean, x.reshape):
        with pytest.raises(ng.GradientError, match=f"after {method.__name__}$"):
            theano.grad(method, x)
    assert [x.sum.__name__, x.round.__name__] == ["sum", "round"]


def test_lists_of_slices() -> None:
    x = T.dmatrix("x")
    cut = [slice(None)] * x.ndim
    cut[1] = slice(0, 2)
    for made, wanted in ((x[cut], X[:, :2]), (x[[None, Ellipsis, 1]], X[None, ..., 1]), (x[[1, 0]], X[[1, 0]])):
        np.testing.assert_array_equal(value(made, x), wanted)


def test_reductions() -> None:
    x = T.dmatrix("x")
    cases = {
        x.sum(axis=0, acc_dtype="float64"): X.sum(0), x.sum(1, "float64", True): X.sum(1, keepdims=True),
        x.prod(axis=1, no_zeros_in_input=False, acc_dtype="float64"): X.prod(1), x.mean(1): X.mean(1),
        x.var(axis=0, ddof=1, corrected=True): X.var(0, ddof=1), x.std(1, 0, True): X.std(1, keepdims=True),
        x.argmax([1, 0]): X.argmax(), x.argmin(axis=0): X.argmin(0), x.argmax(1, True): X.argmax(1, keepdims=True),
        x.sort(axis=0, kind="quicksort", order=None): np.sort(X, 0), x.argsort(-1, "mergesort"): np.argsort(X, -1),
        x.sort(T.constant(0)): np.sort(X, 0),
    }  # fmt: skip
    for made, wanted in cases.items():
        np.testing.assert_allclose(value(made, x), wanted)


def test_elements() -> None:
    x = T.dmatrix("x")
    cases = {
        x.round(): np.round(X), x.round(1): np.round(X, 1), x.round("half_to_even"): np.round(X),
        x.round(mode="half_away_from_zero"): np.trunc(X + np.sign(X) / 2), x.clip(-1, 1): np.clip(X, -1, 1),
        x.clip(a_min=0, a_max=2): np.clip(X, 0, 2), x.clip(low=-1.0, high=0.0): np.clip(X, -1, 0),
        x.clip(0, None): np.maximum(X, 0), x.clip(1.0, -1.0): np.where(X < 1, 1, -1), x.exp(): np.exp(X),
        x.arcsinh(): np.arcsinh(X), x.expm1(): np.expm1(X), x.tanh(): np.tanh(X), x.floor(): np.floor(X),
        x.transfer("cpu"): X, x.nonzero(return_matrix=True): np.array(np.nonzero(X)), x.nonzero()[1]: np.nonzero(X)[1],
    }  # fmt: skip
    for made, wanted in cases.items():
        np.testing.assert_allclose(value(made, x), wanted)


def test_copies_and_values() -> None:
    x, c, s = T.dmatrix("x"), T.constant(2.0, "c"), theano.shared(np.ones(2), "s")
    assert x.clone().type == x.type and x.clone() is not x and x.clone().name == "x"
    assert c.clone().eval() == 2 and c.get_scalar_constant_value() == 2
    other = s.clone()
    other.set_value(np.zeros(2))
    assert other is not s and other.name == "s" and s.get_value().tolist() == [0, 0]
    s.set_value(np.ones(2))
    assert x.type.clone(dtype="int8", broadcastable=(True, False)) == T.TensorType("int8", (True, False))
    assert x.type.clone() == x.type.make_variable("y").type == x.type
    assert s.get_value(borrow=True, return_internal_type=True).tolist() == s.get_value().tolist() == [1, 1]

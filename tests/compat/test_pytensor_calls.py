"""What PyTensor's own tests call: shapes, axes that are variables, dtypes of means, gradients of integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.compat import theano
from numgraph.compat.theano import tensor as T

RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4, 5))


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_an_axis_that_is_a_variable(target: str) -> None:
    x, axis = T.dtensor3("x"), T.lscalar("axis")
    found = T.sort(x, axis)
    outputs = [found, T.argsort(x, axis), T.grad((found**2 * T.arange(60.0).reshape((3, 4, 5))).sum(), x)]
    f = ng.function([x, axis], outputs, target=target)
    for k in range(-3, 3):
        got, order, g = f(X, k)
        np.testing.assert_array_equal(got, np.sort(X, k))
        np.testing.assert_array_equal(order, np.argsort(X, k, kind="stable"))
        wanted = np.zeros_like(X)
        np.put_along_axis(wanted, order, 2 * got * np.arange(60.0).reshape(X.shape), k)
        np.testing.assert_allclose(g, wanted)
    for k in (3, -4):
        with pytest.raises(ng.AssertionFailed, match="out of range for 3 axes"):
            f(X, k)
    np.testing.assert_array_equal(T.sort(x, T.constant(0)).eval({x: X}), np.sort(X, 0))
    with pytest.raises(ng.ShapeError, match="scalar has no axis"):
        T.sort(T.dscalar(), axis)


def test_shapes() -> None:
    n, k, x, y = T.lscalar("n"), T.lscalar("k"), T.dmatrix("x"), T.dvector("y")
    lengths = T.broadcast_shape((1, n, 2), (k, 1, 2), arrays_are_shapes=True)
    assert ng.function([n, k], list(lengths))(4, 3) == [3, 4, 2]
    f = ng.function([n, k], list(T.broadcast_shape((n,), (k,), arrays_are_shapes=True)))
    loose = T.broadcast_shape((n,), (k,), arrays_are_shapes=True, allow_runtime_broadcast=True)
    g = ng.function([n, k], list(loose))
    assert f(3, 3) == g(3, 1) == g(1, 3) == [3]
    with pytest.raises(ng.AssertionFailed, match="lengths differ"):
        f(3, 1)
    with pytest.raises(ng.AssertionFailed, match="do not fit"):
        g(3, 2)
    with pytest.raises(ng.ShapeError):
        T.broadcast_shape((2,), (3,), arrays_are_shapes=True)
    whole = T.broadcast_shape(x, y)
    assert ng.function([x, y], list(whole))(np.ones((2, 3)), np.ones(3)) == [2, 3]
    # a shape is a vector, that of a constant and of a scalar, too
    shapes = theano.function([x], [T.constant(np.ones((2, 3))).shape, x.sum().shape, x.shape[1:]])(np.ones((4, 5)))
    assert [s.tolist() for s in shapes] == [[2, 3], [], [5]]
    assert [v.ndim for v in T.atleast_Nd(y, T.dscalar(), n=2)] == [2, 2]
    np.testing.assert_array_equal(T.atleast_Nd(y, n=2, left=False).eval({y: [1.0, 2.0]}), [[1.0], [2.0]])
    eye = T.identity_like(x, dtype="int8").eval({x: np.ones((2, 3))})
    assert eye.dtype == "int8" and (eye == np.eye(2, 3)).all()


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32", "complex64"])
@pytest.mark.parametrize("given", ["bool", "int64", "float64", "complex128"])
def test_dtypes_of_means(given: Any, dtype: Any) -> None:
    x = T.matrix("x", dtype=given)
    for axis in (None, ()):
        for mean in (T.mean(x, axis=axis, dtype=dtype), x.mean(axis, dtype)):
            assert mean.dtype == ("float64" if np.dtype(dtype).kind in "bui" else dtype)
            got = mean.eval({x: np.ones((2, 1), given)})
            np.testing.assert_allclose(got, np.ones((2, 1)) if axis == () else np.array(2).astype(dtype) / 2)


def test_the_method_mean_cuts_nothing() -> None:
    x = T.dmatrix("x")
    got = x.mean(1, "int64", keepdims=True, acc_dtype="float64").eval({x: np.array([[1.0, 2.0], [4.0, 5.0]])})
    np.testing.assert_array_equal(got, [[1.5], [4.5]])
    # numgraph's function goes on as NumPy's
    assert ng.mean(x, 1, "int64").eval({x: np.array([[1.0, 2.0], [4.0, 5.0]])}).tolist() == [1, 4]


def test_gradients_of_integers() -> None:
    i, q = T.lvector("i"), T.dvector("q")
    values = [np.array([1, 2, 3]), np.array([0.5, -1.0, 2.0])]

    def gradient(cost: Any, wrt: Any) -> Any:
        found = theano.grad(cost, wrt)
        assert found.dtype == "float64"
        return theano.function([i, q], found, on_unused_input="ignore")(*values)

    np.testing.assert_allclose(gradient((i * q).sum(), i), values[1])
    np.testing.assert_allclose(gradient(T.exp(i).sum(), i), np.exp(values[0]))
    np.testing.assert_allclose(gradient((T.cast(i, "float64") ** 3).sum(), i), 3 * values[0] ** 2)
    # what only integers have made of them, or what only integers are made of
    for cost, wrt in (((i * 2).sum() * q[0], i), (q[i - 1].sum(), i), (T.argmax(q), q), (i.sum(), i)):
        np.testing.assert_array_equal(gradient(cost, wrt), np.zeros(3))
    with pytest.raises(ng.DisconnectedError):
        theano.grad(q.sum(), i)
    with pytest.raises(ng.GradientError, match="is not a float"):
        ng.grad((i * q).sum(), i)
    with pytest.raises(ValueError, match="integers must be"):
        ng.grad((i * q).sum(), i, integers="maybe")


def test_elementwise() -> None:
    x, y, z = T.dvectors("x", "y", "z")
    a, b, c = RNG.normal(size=(3, 4))
    got = ng.function([x, y, z], T.logaddexp(x, y, z))(a, b, c)
    np.testing.assert_allclose(got, np.log(np.exp(a) + np.exp(b) + np.exp(c)))
    special = np.array([1.0, np.nan, np.inf, -np.inf])
    for numbers in ((0, None, None), (3, 1, -1), (0, None, 1000)):
        got = T.nan_to_num(x, *numbers).eval({x: special})
        np.testing.assert_array_equal(got, np.nan_to_num(special, True, *numbers))
    with pytest.raises(ValueError, match="either both or neither"):
        T.where(x > 0, x)
    v = T.lvector("v")
    with pytest.raises(ng.AssertionFailed, match="negative"):
        T.bincount(v, assert_nonneg=True).eval({v: [1, -1]})
    np.testing.assert_array_equal(T.bincount(v, minlength=5).eval({v: [0, 2, 2]}), [1, 0, 2, 0, 0])
    with pytest.raises(ng.ShapeError, match="has no positions"):
        T.flatnonzero(T.dscalar())
    np.testing.assert_array_equal(T.flatnonzero(v).eval({v: [0, 3, 0, 1]}), [1, 3])
    s = T.dscalar("s")
    assert T.squeeze(s, axis=(0,)).eval({s: 5.0}) == 5.0
    for error in (ng.AxisError, np.exceptions.AxisError):
        with pytest.raises(error, match="axis 1 of s"):
            T.squeeze(s, axis=1)


def test_norms_of_stacks() -> None:
    x = T.dtensor3("x")
    for order in (None, "fro", np.inf, 1, -1, 2, "nuc"):
        for keep in (True, False):
            got = T.nlinalg.norm(x, order, keepdims=keep).eval({x: X})
            np.testing.assert_allclose(got, [np.linalg.norm(m, order, keepdims=keep) for m in X])


@pytest.mark.parametrize("extrapolate", [True, False])
@pytest.mark.parametrize("method", ["linear", "nearest", "first", "last", "mean"])
def test_points_on_a_line(method: str, extrapolate: bool) -> None:
    xs, ys = np.array([0.0, 3.0, 1.0, 2.0]), np.array([1.0, 7.0, -1.0, 4.0])
    x, y = T.dvectors("x", "y")
    places = np.array([[-0.5, 0.2, 0.8, 1.0], [1.4, 2.9, 3.0, 3.5]])
    where = T.dmatrix("where")
    found = T.interpolate1d(x, y, method, left_pad=-9.0, extrapolate=extrapolate)(where)
    got = ng.function([x, y, where], found)(xs, ys, places)
    np.testing.assert_allclose(got, np.vectorize(lambda p: _between(xs, ys, p, method, extrapolate))(places))
    if method == "linear":
        testing.check_gradient(
            lambda x, y, where: (T.interpolate1d(x, y)(where) ** 2).sum(), [xs, ys, np.array([0.3, 1.7, 2.2])]
        )


def _between(xs: Any, ys: Any, place: float, method: str, extrapolate: bool) -> float:
    """One value, by hand."""
    order = np.argsort(xs)
    xs, ys = xs[order], ys[order]
    index = int(np.searchsorted(xs, place))
    if not extrapolate and index in (0, len(xs)):
        return -9.0 if index == 0 else ys[-1]
    if method in ("first", "last"):
        return float(ys[np.clip(index - (method == "first"), 0, len(xs) - 1)])
    right = int(np.clip(index, 1, len(xs) - 1))
    left = right - 1
    if method == "mean":
        return float(ys[left] + ys[right]) / 2
    if method == "nearest":
        return float(ys[left] if place - xs[left] <= xs[right] - place else ys[right])
    return float(ys[left] + (place - xs[left]) / (xs[right] - xs[left]) * (ys[right] - ys[left]))


def test_what_interpolation_refuses() -> None:
    with pytest.raises(ng.errors.OptionError, match="method is one of"):
        T.interpolate1d(T.dvector(), T.dvector(), "cubic")
    with pytest.raises(ng.ShapeError, match="vectors are needed"):
        T.interpolate1d(T.dmatrix(), T.dvector())


def test_optimize() -> None:
    x, a, c = T.dscalar("x"), T.dscalar("a"), T.dscalar("c")
    searches = theano.tensor.optimize
    for found, success in (
        searches.minimize((x - 2 * a * c) ** 2, x, method="Newton-CG", hess=True, optimizer_kwargs={"tol": 1e-8}),
        searches.minimize_scalar((x - 2 * a * c) ** 2, x),
        searches.root(x - 2 * a * c, x, method="lm", use_vectorized_jac=True),
        searches.root_scalar(x - 2 * a * c, x, method="halley", jac=True, hess=True),
    ):
        got = theano.function([x, a, c], [found, success, T.grad(found, a)])(0.0, 2.0, 3.0)
        np.testing.assert_allclose(got, [12.0, 1.0, 6.0])
    for name in ("minimize", "root"):
        with pytest.raises(ng.errors.OptionError, match="method is one of"):
            getattr(searches, name)(x**2, x, method="guessing")


def test_places_over_several_axes() -> None:
    x = T.dtensor3("x")
    for ours, numpys in ((T.argmax, np.argmax), (T.argmin, np.argmin)):
        for axes in ([0, 1, 2], [1, 0, 2]):
            assert ours(x, axes).eval({x: X}) == numpys(X)
        np.testing.assert_array_equal(ours(x, ()).eval({x: X}), np.zeros(X.shape, "int64"))
    largest, place = (v.eval({x: X}) for v in T.max_and_argmax(x, axis=()))
    np.testing.assert_array_equal(largest, X)
    assert place.dtype == "int64" and not place.any()


def test_numbers_that_are_known() -> None:
    x, n = T.dmatrix("x"), T.lscalar("n")
    a, b = T.constant(np.full((2, 3), 4.0)), T.as_tensor_variable([3, 2, 7])
    known = {
        4.0: (a, a.dimshuffle("x", 1, 0), a[1:, 0], T.zeros_like(x) + 4, T.alloc(4.0, n, 3).T, 2 * T.sqrt(a)),
        0.0: (T.grad(T.argmax(x, 0).sum(), x), x.zeros_like()[n]), 7.0: (b[-1], b.max(), b[0] * 2 + 1),
    }  # fmt: skip
    for value, listed in known.items():
        for v in listed:
            assert T.get_scalar_constant_value(v) == value
    assert np.isnan(T.extract_constant(T.constant(np.nan))) and T.constant([1.0]).value.tolist() == [1]
    for v in (x, b, n + 1, x * 0, T.constant(np.zeros(0)), T.concatenate([a, x]), T.set_subtensor(a[0], 1)):
        with pytest.raises(ValueError, match="is no constant scalar"):
            T.get_scalar_constant_value(v)


def test_where_a_maximum_is() -> None:
    x, data = T.dtensor3("x"), np.random.default_rng(0).random((2, 3, 4))
    for axis in ([0, 1, 2], [1, 2, 0], (2, 0), None):
        order = sorted(axis) if axis else None
        wanted = np.argmax(data) if axis is None or len(axis) == 3 else T.argmax(x, order).eval({x: data})
        value, place = (v.eval({x: data}) for v in T.max_and_argmax(x, axis))
        np.testing.assert_array_equal(place, wanted)
        np.testing.assert_array_equal(value, data.max(axis=None if axis is None else tuple(axis)))


def test_the_shape_of_a_scalar_uses_its_inputs() -> None:
    x = T.dmatrix("x")
    assert theano.function([x], T.sum(x).shape)(np.ones((2, 2))).tolist() == []


def test_axes_that_are_constants() -> None:
    x, one = T.dmatrix("x"), T.constant(1)
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(T.join(one, x, x).eval({x: a}), np.concatenate([a, a], 1))
    np.testing.assert_array_equal(T.concatenate([x, x], axis=T.constant(-2)).eval({x: a}), np.concatenate([a, a], 0))
    np.testing.assert_array_equal(x.sum(axis=one).eval({x: a}), [3, 7])
    for wrong in (T.constant(1.0), T.lscalar()):
        with pytest.raises(TypeError, match="an axis is an int"):
            T.join(wrong, x, x)


def test_names_and_dtypes_of_results() -> None:
    x, v = T.dmatrix("x"), T.fvector("v")
    assert T.transpose(x).name == "x.T" and T.transpose(x, (0, 1)).name != "x.T" and T.transpose(x + 1).name is None
    a, b = np.arange(6.0).reshape(2, 3), np.array([1, 2, 3], "float32")
    wanted = {T.matvec: a @ b, T.vecdot: a @ b, T.vecmat: (b @ a.T), T.matmul: a @ b}
    for function, expected in wanted.items():
        given = (v, x.T) if function is T.vecmat else (x, v)
        assert function(*given).dtype == "float64" and function(*given, dtype="float32").dtype == "float32"
        np.testing.assert_allclose(function(*given, dtype="float32").eval({x: a, v: b}), expected)
    n = T.bvector("n")
    assert T.vecdot(n, n, dtype="int32").eval({n: np.array([100, 1], "int8")}) == 10001
    assert T.vecdot(n, n, dtype="int32").dtype == "int32"


def test_the_inverse_of_integers() -> None:
    for dtype, wanted in (("int8", "float32"), ("uint16", "float32"), ("int64", "float64"), ("float32", "float32")):
        x = T.vector("x", dtype=dtype)
        assert T.inv(x).dtype == wanted and T.inv(x).eval({x: np.array([2, 4], dtype)}).tolist() == [0.5, 0.25]

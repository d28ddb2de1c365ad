"""`minimize`: SciPy's methods on shared variables, what they leave behind, and what goes wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import minimizing
from numgraph.minimizing import METHODS, NOTHING, SINCE, scipy_version

HERE = [
    pytest.param(m, marks=pytest.mark.skipif(np.lib.NumpyVersion(scipy_version()) < since, reason=f"SciPy {since}"))
    if (since := SINCE.get(m))
    else m
    for m in METHODS
]
START = np.array([[0.5, -0.5], [1.5, 2.0]])


def problem() -> tuple[Any, Any, Any]:
    """A matrix and a scalar, and a convex cost whose least value is 2, at MATRIX and -1."""
    m, s = ng.shared(START, name="m"), ng.shared(0.25, name="s")
    away = m - np.array([[1.0, 2.0], [3.0, 4.0]])
    cost = ng.sum(ng.cosh(away)) - 3 + ng.exp(s) - s / math.e + (ng.sum(away) + s + 1) ** 2 + 1 - 2 / math.e
    return m, s, cost


@pytest.mark.parametrize("method", HERE)
def test_every_method_finds_the_least(method: str) -> None:
    m, s, cost = problem()
    seen: list[float] = []
    options = {"maxiter": 3000} if METHODS[method] == NOTHING else {}
    found = ng.minimize(cost, [m, s], method, options=options, callback=lambda at: seen.append(at.fun))
    assert found.success, found
    assert found.fun == pytest.approx(2.0, abs=1e-4)
    np.testing.assert_allclose(m.get_value(), [[1, 2], [3, 4]], atol=8e-3)
    np.testing.assert_allclose(s.get_value(), -1, atol=2e-2)
    np.testing.assert_array_equal(found.x, [*m.get_value().reshape(-1), s.get_value()])
    if METHODS[method] != NOTHING:
        # some count or call otherwise by one
        assert abs(len(seen) - found.nit) <= 1
    assert seen[-1] == pytest.approx(found.fun, abs=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_and_targets(dtype: str, target: str) -> None:
    """The variables keep their dtypes; what SciPy sees is float64."""
    x = ng.shared(np.zeros(3, dtype), name="x")
    found = ng.minimize(ng.sum((x - np.arange(3, dtype=dtype)) ** 2), x, target=target)
    assert found.x.dtype == np.float64 and x.dtype == x.get_value().dtype.name == dtype
    np.testing.assert_allclose(x.get_value(), [0, 1, 2], atol=1e-3)


def test_givens_stand_for_data_and_are_all_at_once() -> None:
    x, w = ng.vector("x"), ng.shared(np.zeros(2), name="w")
    data = ng.shared(np.array([3.0, -1.0]), name="data")
    found = ng.minimize(ng.sum((w - x) ** 2), w, "BFGS", givens={x: data[::-1]})
    assert found.success
    np.testing.assert_allclose(w.get_value(), [-1, 3], atol=1e-6)
    np.testing.assert_array_equal(data.get_value(), [3, -1])


def test_random_numbers_are_the_same_each_time() -> None:
    """A cost that draws is one function of its variables; the generator is where it was."""
    rng = ng.random.RandomStream(seed=4)
    x = ng.shared(0.0, name="x")
    cost = ng.mean((x - rng.normal(size=(1000,))) ** 2)
    mean = np.mean(ng.function([], rng_twin(), no_default_updates=True)())
    found = ng.minimize(cost, x, tol=1e-10)
    assert found.success and x.get_value() == pytest.approx(mean, abs=1e-6)


def rng_twin() -> Any:
    return ng.random.RandomStream(seed=4).normal(size=(1000,))


def test_bounds() -> None:
    m, s, _ = problem()
    cost = ng.sum((m - np.array([[1.0, 2.0], [3.0, 4.0]])) ** 2) + (s + 1) ** 2
    ng.minimize(cost, [m, s], bounds={m: (None, [[0.75, 9], [2.5, 9]]), s: (-0.5, 1)})
    np.testing.assert_allclose(m.get_value(), [[0.75, 2], [2.5, 4]], atol=1e-3)
    assert s.get_value() == -0.5
    ng.minimize(cost, [m, s], bounds=[(0, 0.25)] * 5)
    assert m.get_value().tolist() == [[0.25] * 2] * 2 and s.get_value() == 0
    with pytest.raises(ng.OptionError, match=r"a bound of shape \(3,\) does not broadcast to \(2, 2\)\n  m: float64"):
        ng.minimize(cost, [m, s], bounds={m: (np.zeros(3), None)})
    with pytest.raises(ng.OptionError, match="bounds for s, which is not in wrt"):
        ng.minimize(cost, m, bounds={s: (0, 1)})


@pytest.mark.parametrize("method", HERE)
def test_a_callback_sees_the_point_and_ends_the_search(method: str) -> None:
    m, s, cost = problem()
    value = ng.function([], cost)
    points: list[Any] = []

    def look(at: Any) -> None:
        points.append(at.x)
        np.testing.assert_array_equal(at.x, [*m.get_value().reshape(-1), s.get_value()])
        assert value() == pytest.approx(at.fun, rel=1e-12)
        assert at.nit == len(points)
        if at.nit == 2:
            raise StopIteration

    found = ng.minimize(cost, [m, s], method, callback=look)
    assert not found.success and found.status == 99 and "StopIteration" in found.message
    assert found.nit == 2 and found.nfev >= 2 and found.fun == value()
    np.testing.assert_array_equal(found.x, points[-1])
    np.testing.assert_array_equal(found.x, [*m.get_value().reshape(-1), s.get_value()])


def test_a_method_that_scipy_does_not_have_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minimizing, "scipy_version", lambda: "1.13.1")
    m, s, cost = problem()
    with pytest.raises(ng.OptionError, match=r"SciPy has COBYQA since 1\.14\.0, and this is 1\.13\.1: use COBYLA"):
        ng.minimize(cost, [m, s], "cobyqa")
    assert ng.minimize(cost, [m, s], "cobyla", options={"maxiter": 3000}).success


def test_a_run_without_convergence_leaves_the_last_point() -> None:
    m, s, cost = problem()
    found = ng.minimize(cost, [m, s], "CG", options={"maxiter": 1})
    assert not found.success
    np.testing.assert_array_equal(found.x, [*m.get_value().reshape(-1), s.get_value()])
    assert found.fun == ng.function([], cost)()


def test_an_exception_leaves_the_values_before() -> None:
    m, s, cost = problem()

    def fail(at: Any) -> None:
        assert m.get_value().tolist() != START.tolist()
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        ng.minimize(cost, [m, s], callback=fail)
    assert m.get_value().tolist() == START.tolist() and s.get_value() == 0.25
    with pytest.raises(ValueError):
        ng.minimize(cost, [m, s], bounds=[(0, 1)] * 3)
    assert m.get_value().tolist() == START.tolist()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_cost_that_is_no_number_leaves_the_values_before() -> None:
    x = ng.shared(np.array([-1.0, 2.0]), name="x")
    found = ng.minimize(ng.sum(ng.log(x)), x, "BFGS")
    assert not math.isfinite(found.fun)
    assert x.get_value().tolist() == [-1, 2]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "SLSQP", "trust-ncg", "Nelder-Mead"])
def test_a_singular_matrix_is_far_worse(method: str) -> None:
    """A step that is too long is taken back; at the start it is an error."""
    x = ng.shared(np.array([0.5, 0.6]), name="x")
    matrix = ng.stack([ng.stack([x[0], x[1]]), ng.stack([x[1], 1.0 + 0 * x[1]])])
    factor = ng.cholesky(matrix)
    cost = 40 * x[1] ** 2 + 30 * x[0] - ng.log(factor[0, 0])
    found = ng.minimize(cost, x, method)
    assert found.success
    np.testing.assert_allclose(x.get_value(), [1 / 60, 0], atol=2e-4)
    x.set_value([-1.0, 0.0])
    with pytest.raises(ng.MatrixError):
        ng.minimize(cost, x, method)
    assert x.get_value().tolist() == [-1, 0]


def test_errors() -> None:
    m, _, cost = problem()
    n, x = ng.shared(np.zeros(2, "int64"), name="n"), ng.vector("x")
    for wrong, kind, said in [
        (lambda: ng.minimize(cost, m, "SGD"), ng.OptionError, "one of L-BFGS-B, BFGS, .*, not 'SGD'"),
        (lambda: ng.minimize(cost, x), ng.InputError, "wrt are shared variables, got\n  x: float64"),
        (lambda: ng.minimize(cost, [m, 3]), ng.InputError, "got 3\n  fix: make them with ng.shared"),
        (lambda: ng.minimize(cost, n), ng.InputError, "n is no float, and keeps its value"),
        (lambda: ng.minimize(cost, [m, m]), ng.InputError, "m is twice in wrt"),
        (lambda: ng.minimize(cost, ng.shared(np.zeros((0, 2)))), ng.InputError, "wrt has no elements"),
        (lambda: ng.minimize(m, m), ng.GradientError, "the cost must be a scalar"),
        (lambda: ng.minimize(m, m, "Powell"), ng.GradientError, "the cost must be a scalar"),
        (lambda: ng.minimize(3.0, m), ng.GradientError, "the cost must be a variable"),
        (lambda: ng.minimize(ng.sum(n) * 1.0, m), ng.DisconnectedError, "does not depend on"),
        (lambda: ng.minimize(cost * x[0], m), ng.MissingInputError, "x"),
        (lambda: ng.minimize(cost, m, givens={x: ng.matrix()}), ng.GivensError, "x"),
    ]:
        with pytest.raises(kind, match=said):
            wrong()


@pytest.mark.parametrize("pair", [("float32", "float64"), ("float64", "float64")])
def test_hessian_vector_product(pair: tuple[str, str], target: str) -> None:
    """Against the matrix: for several variables, all of whose elements are its axes."""
    dtype, along = pair
    rng = np.random.default_rng(0)
    a, b = ng.matrix("a", dtype=dtype), ng.vector("b", dtype=dtype)
    cost = ng.sum(ng.tanh(ng.dot(a, b)) ** 2) + ng.sum(ng.exp(a)) * ng.sum(b**3)
    u, v = ng.matrix("u", dtype=along), ng.vector("v", dtype=along)
    products = ng.hessian_vector_product(cost, [a, b], [u, v])
    assert [p.dtype for p in products] == [dtype, dtype]
    f = ng.function([a, b, u, v], products)
    flat = ng.vector("flat", dtype=dtype)
    whole = ng.clone(cost, {a: flat[:6].reshape((2, 3)), b: flat[6:]})
    hessian = ng.function([flat], ng.hessian(whole, flat))
    values = [rng.normal(size=s).astype(dtype) for s in ((2, 3), (3,))]
    vectors = [rng.normal(size=s).astype(along) for s in ((2, 3), (3,))]
    got = np.concatenate([g.reshape(-1) for g in f(*values, *vectors)])
    matrix = hessian(np.concatenate([x.reshape(-1) for x in values])).astype(float)
    want = matrix @ np.concatenate([x.reshape(-1) for x in vectors])
    np.testing.assert_allclose(got, want, rtol=1e-5 if dtype == "float32" else 1e-12)


def test_hessian_vector_product_of_what_the_vector_depends_on() -> None:
    """A vector that is computed from the variable is a value, and is not differentiated."""
    x = ng.vector("x")
    f = ng.function([x], [ng.hessian_vector_product(ng.sum(x**3), x, x**2), ng.hessian_vector_product(x.sum(), x, x)])
    product, zero = f([1.0, 2.0])
    np.testing.assert_allclose(product, [6, 48])
    np.testing.assert_array_equal(zero, [0, 0])
    with pytest.raises(ng.GradientError, match="2 vectors for 1 variables"):
        ng.hessian_vector_product(x.sum(), [x], [x, x])
    with pytest.raises(ng.ShapeError, match="another number of axes"):
        ng.hessian_vector_product(x.sum(), x, ng.matrix("m"))


@pytest.mark.parametrize("method", ["Newton-CG", "trust-constr", "L-BFGS-B"])
def test_a_linear_cost_has_no_curvature(method: str) -> None:
    w = ng.shared(np.array([0.25, 0.75]), name="w")
    options = {"maxiter": 3} if method == "Newton-CG" else {}
    ng.minimize(
        (w * [1.0, -1.0]).sum(), w, method, bounds=None if method == "Newton-CG" else {w: (0, 1)}, options=options
    )
    if method != "Newton-CG":
        np.testing.assert_allclose(w.get_value(), [0.0, 1.0], atol=1e-3)

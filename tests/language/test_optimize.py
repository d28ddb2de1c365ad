"""Roots and minima as expressions, against SciPy and by hand, their gradients against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize

import numgraph as ng
from numgraph import testing

TARGETS = ("cpu", "reference")


def rosenbrock(x: Any, a: Any) -> Any:
    """A cost whose valley is curved; it is 0 at ones."""
    return (a * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@pytest.mark.parametrize("target", TARGETS)
def test_a_scalar(target: str) -> None:
    x, a = ng.scalar("x"), ng.scalar("a")
    found, success = ng.optimize.root_scalar(ng.exp(x) - a * x - 2.0, x)
    f = ng.function([x, a], [found, success, *ng.grad(found, [a, x])], target=target)
    for start, slope in ((1.0, 1.0), (-3.0, 1.0), (2.0, 0.3), (5.0, -2.0)):
        got, ok, by_a, by_x = f(start, slope)
        assert ok and abs(np.exp(got) - slope * got - 2.0) < 1e-12
        np.testing.assert_allclose(by_a, got / (np.exp(got) - slope), rtol=1e-9)
        assert by_x == 0.0
    # a parabola that does not reach zero
    found, success = ng.optimize.root_scalar(x**2 + a, x)
    assert not ng.function([x, a], success, target=target)(1.0, 1.0)


def test_on_a_device() -> None:
    x, a = ng.vector("x"), ng.scalar("a")
    least, success = ng.optimize.minimize(rosenbrock(x, a), x)
    crossing, found = ng.optimize.root(x**3 + a * x - 3.0, x)
    f = ng.function([x, a], [least, success, crossing, found, ng.grad(crossing.sum(), a)], target="cuda-sim")
    bottom, ok, at, there, slope = (np.asarray(v) for v in f(np.zeros(2), 2.0))
    assert ok and there
    np.testing.assert_allclose(bottom, np.ones(2), rtol=1e-8)
    np.testing.assert_allclose(at, np.ones(2), rtol=1e-8)
    np.testing.assert_allclose(slope, -2.0 / 5.0, rtol=1e-8)


@pytest.mark.parametrize("target", TARGETS)
def test_a_system(target: str) -> None:
    x, y, a = ng.vector("x"), ng.scalar("y"), ng.scalar("a")
    equations = [x[0] ** 2 + x[1] ** 2 - a, x[0] * x[1] - y, ng.exp(y) - 2.0 * x[1]]
    (at, there), success = ng.optimize.root(equations, [x, y])
    got, top, ok = ng.function([x, y, a], [at, there, success], target=target)([1.0, 0.7], 0.5, 2.0)

    def residual(z: Any) -> Any:
        return [z[0] ** 2 + z[1] ** 2 - 2.0, z[0] * z[1] - z[2], np.exp(z[2]) - 2.0 * z[1]]

    assert ok and got.shape == (2,) and top.shape == ()
    np.testing.assert_allclose(residual([*got, top]), np.zeros(3), atol=1e-10)
    wanted = scipy.optimize.root(residual, [1.0, 0.7, 0.5], tol=1e-13)
    np.testing.assert_allclose([*got, top], wanted.x, rtol=1e-8)


@pytest.mark.parametrize("target", TARGETS)
def test_a_curved_valley(target: str) -> None:
    x, a = ng.vector("x"), ng.scalar("a")
    found, success = ng.optimize.minimize(rosenbrock(x, a), x)
    f = ng.function([x, a], [found, success], target=target)
    for n, steep in ((2, 1.0), (5, 0.5), (6, 100.0)):
        got, ok = f(np.zeros(n), steep)
        assert ok
        np.testing.assert_allclose(got, np.ones(n), rtol=1e-9)
    # where the matrix of second derivatives has negative eigenvalues
    got, ok = f([-1.2, 1.0, 2.0, 0.5], 100.0)
    assert ok
    wanted = scipy.optimize.minimize(lambda z: rosenbrock(z, 100.0), [-1.2, 1.0, 2.0, 0.5], tol=1e-12)
    assert rosenbrock(got, 100.0) <= rosenbrock(wanted.x, 100.0) + 1e-12


def test_a_maximum_is_left() -> None:
    x = ng.scalar("x")
    found, success = ng.optimize.minimize_scalar(ng.cos(x) + 0.01 * x, x)
    got, ok = ng.function([x], [found, success])(0.1)
    assert ok
    np.testing.assert_allclose(np.sin(got), 0.01, rtol=1e-9)
    assert np.cos(got) < -0.9


def test_least_squares_of_several() -> None:
    rng = np.random.default_rng(5)
    data, w, b, y = ng.matrix("data"), ng.vector("w"), ng.scalar("b"), ng.vector("y")
    (fitted, shift), success = ng.optimize.minimize(((ng.dot(data, w) + b - y) ** 2).sum(), [w, b])
    values, goal = rng.normal(size=(30, 4)), rng.normal(size=30)
    f = ng.function([data, w, b, y], [fitted, shift, success])
    got, constant, ok = f(values, np.zeros(4), 0.0, goal)
    wanted = np.linalg.lstsq(np.column_stack([values, np.ones(30)]), goal, rcond=None)[0]
    assert ok
    np.testing.assert_allclose([*got, constant], wanted, rtol=1e-9)


def test_float32() -> None:
    x, a = ng.vector("x", dtype="float32"), ng.scalar("a", dtype="float32")
    found, success = ng.optimize.minimize(rosenbrock(x, a), x)
    got, ok, g = ng.function([x, a], [found, success, ng.grad(found.sum(), a)])(np.zeros(3, "float32"), np.float32(10))
    assert ok and got.dtype == g.dtype == "float32"
    np.testing.assert_allclose(got, np.ones(3), rtol=1e-3)


def test_gradients() -> None:
    start, a, b = np.zeros(3), np.array([1.0, 2.0, 0.5]), np.array([[2.0, 0.3, 0.0], [0.3, 1.0, 0.1], [0.0, 0.1, 3.0]])

    def least(a: Any, b: Any) -> Any:
        x = ng.constant(start)
        cost = (x * ng.dot(b, x)).sum() + (x**4).sum() - (a * x).sum()
        return (ng.optimize.minimize(cost, x)[0] ** 2 * [1.0, -2.0, 0.5]).sum()

    def crossing(a: Any, b: Any) -> Any:
        x = ng.constant(start)
        return ng.optimize.root(x**3 + ng.dot(b, x) - a**2, x)[0].prod()

    testing.check_gradient(least, [a, b])
    testing.check_gradient(crossing, [a, b])


def test_a_value_does_not_need_the_gradients_matrix() -> None:
    # at the least place of x**4 the second derivative is 0
    x = ng.vector("x")
    found, success = ng.optimize.minimize((x**4).sum(), x, tol=1e-9)
    got, ok = ng.function([x], [found, success])([1.0, -2.0])
    assert ok and np.abs(got).max() < 1e-2


def test_steps_are_counted() -> None:
    x = ng.vector("x")
    found, success = ng.optimize.minimize(rosenbrock(x, 100.0), x, max_steps=2)
    got, ok = ng.function([x], [found, success])(np.zeros(4))
    assert not ok and np.abs(got - 1.0).max() > 1e-3


def test_what_is_refused() -> None:
    x, n = ng.vector("x"), ng.lscalar("n")
    for search in (ng.optimize.root_scalar, ng.optimize.minimize_scalar):
        with pytest.raises(ng.ShapeError, match="a scalar is needed"):
            search(x.sum(), x)
    with pytest.raises(ng.GradientError, match="variables of floats"):
        ng.optimize.minimize(x.sum() * n, n)
    with pytest.raises(ng.GradientError, match="must be a scalar"):
        ng.optimize.minimize(x, x)
    with pytest.raises(ng.GradientError, match="equations are floats"):
        ng.optimize.root(n - 1, x)
    with pytest.raises(ng.ShapeError, match="2 equations for 3 unknowns"):
        y = ng.tensor("y", shape=(3,))
        ng.optimize.root(y[:2], y)
    with pytest.raises(ng.DisconnectedError):
        ng.optimize.minimize(ng.scalar("s") ** 2, x)

"""Functions that are compositions of ops, against NumPy on every target: special values, empty arrays, errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.errors import DtypeError, ShapeError

TARGETS = ("reference", "cpu", "cuda-sim")
SPECIAL = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1.0, -1.0, 0.1, 8.0, -27.0]


def inputs(values: Sequence[Any]) -> list[Any]:
    """A variable of unknown lengths for each array."""
    return [ng.tensor(f"x{k}", a.dtype.name, (None,) * a.ndim) for k, a in enumerate(map(np.asarray, values))]


def check(build: Callable[..., Any], *values: Any, wanted: Any, rtol: float = 1e-12) -> None:
    """`build(*variables)` has the values `wanted`, dtype and shape included, on every target."""
    variables = inputs(values)
    made = build(*variables)
    outputs = list(made) if isinstance(made, list | tuple) else [made]
    expected = list(wanted) if isinstance(made, list | tuple) else [wanted]
    for target in TARGETS:
        got = ng.function(variables, outputs, target=target, on_unused_input="ignore")(*values)
        for g, w in zip(got, expected, strict=True):
            w = np.asarray(w)
            assert (g.dtype, g.shape) == (w.dtype, w.shape), target
            np.testing.assert_allclose(g, w, rtol=rtol, err_msg=target)


def grid(dtype: str, *more: float) -> tuple[Any, Any]:
    """All pairs of special values."""
    with np.errstate(all="ignore"):
        values = np.array([*SPECIAL, *more]).astype(dtype)
    x, y = np.meshgrid(values, values)
    return x.ravel(), y.ravel()


# -- elementwise ----------------------------------------------------------------------------------------------------

EDGES = (5e-324, 2.0**-1021, 2.0**-1022, 1.5 * 2.0**-1021, 2.0**-1020, 2.0**-500, 2.0**-499, 1.7976931348623157e308)
EDGES_32 = (2.0**-149, 2.0**-125, 2.0**-126, 1.5 * 2.0**-125, 2.0**-124, 2.0**-60, 2.0**-59, 3.4028234663852886e38)


@pytest.mark.parametrize(("dtype", "edges"), [("float64", EDGES), ("float32", EDGES_32)], ids=["float64", "float32"])
def test_nextafter_is_exact(dtype: str, edges: Any) -> None:
    x, y = grid(dtype, *edges)
    with np.errstate(all="ignore"):
        wanted = np.nextafter(x, y)
    check(np.nextafter, x, y, wanted=wanted, rtol=0)
    # its sign says whether a 0 is -0.0
    check(lambda x, y: ng.copysign(1.0, ng.fmax(np.nextafter(x, y), -2.0)), x, y,
          wanted=np.copysign(np.ones((), dtype), np.fmax(wanted, np.asarray(-2.0, dtype))))  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ufuncs_of_special_values(dtype: str) -> None:
    x, y = grid(dtype)
    names = ["fmax", "fmin", "heaviside", "float_power", "copysign", "fmod"]
    with np.errstate(all="ignore"):
        wanted = [getattr(np, name)(x, y) for name in names]
        check(lambda x, y: [getattr(np, name)(x, y) for name in names], x, y, wanted=wanted)
        check(np.logaddexp2, x, y, wanted=np.logaddexp2(x, y), rtol=1e-6 if dtype == "float32" else 1e-13)
        check(np.cbrt, x, wanted=np.cbrt(x), rtol=1e-6 if dtype == "float32" else 1e-15)
    check(lambda x: [np.signbit(x), np.positive(x)], x, wanted=[np.signbit(x), x])
    check(lambda x: [np.degrees(x), np.radians(x)], x, wanted=[np.degrees(x), np.radians(x)], rtol=1e-6)
    check(np.cbrt, x[:0], wanted=x[:0])
    check(np.cbrt, x[::3], wanted=np.cbrt(x[::3]), rtol=1e-6)


def test_ufuncs_of_integers() -> None:
    n = np.array([-3, 0, 8], "int32")
    check(lambda n: [ng.signbit(n), ng.positive(n), ng.fmax(n, 1), ng.fmin(n, 1)], n,
          wanted=[n < 0, n, np.fmax(n, 1), np.fmin(n, 1)])  # fmt: skip
    check(lambda n: [ng.cbrt(n), ng.heaviside(n, 0.5)], n, wanted=[np.cbrt(n), np.heaviside(n, 0.5)])
    x, y = (a.ravel() for a in np.meshgrid(np.arange(-7, 8), np.array([-3, -1, 0, 2])))
    with np.errstate(divide="ignore"):
        check(np.fmod, x, y, wanted=np.fmod(x, y))
    check(np.fabs, n, wanted=np.fabs(n))
    check(ng.float_power, n, n, wanted=np.float_power(n, n))
    least = np.float32(2.0**-149)
    check(lambda x, y: [np.nextafter(x, y), np.nextafter(y, x)], np.uint8([0, 1]), np.uint8([1, 1]), rtol=0,
          wanted=[np.float32([least, 1]), np.float32([1 - 2.0**-24, 1])])  # fmt: skip
    for divisor in (np.gcd, np.lcm):
        with pytest.raises(DtypeError, match="gcd is defined for integers: convert"):
            divisor(ng.vector("b", "bool"), ng.vector("c", "bool"))
    with pytest.raises(DtypeError, match="positive is not defined for bool"):
        ng.positive(ng.vector("b", "bool"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ldexp(dtype: str) -> None:
    x, n = np.meshgrid(
        np.array([1.0, -0.7, 0.0, np.inf, np.nan, 1e-30, 3e38], dtype), [-2000, -140, -3, 0, 5, 200, 3000]
    )
    with np.errstate(all="ignore"):
        check(np.ldexp, x, n, wanted=np.ldexp(x, n), rtol=0)
    with pytest.raises(DtypeError, match="the exponent must be an integer"):
        ng.ldexp(ng.vector(), ng.vector())


def test_gradients_of_ufuncs() -> None:
    x, y = ng.vectors("x", "y")
    a, b = [1.0, np.nan, 2.0, 3.0], [np.nan, 1.0, 2.0, 1.0]
    for name, shares in (("fmax", [[1, 0, 0.5, 1], [0, 1, 0.5, 0]]), ("fmin", [[1, 0, 0.5, 0], [0, 1, 0.5, 1]])):
        got = ng.function([x, y], ng.grad(getattr(ng, name)(x, y).sum(), [x, y]))(a, b)
        np.testing.assert_array_equal(got, shares)
    slope = ng.function([x], ng.grad(ng.cbrt(x).sum(), x))([-8.0, 1.0])
    np.testing.assert_allclose(slope, [1 / 12, 1 / 3])
    safe = ng.function([x], ng.grad(ng.where(x > 0, ng.cbrt(x), 0).sum(), x))([0.0, 8.0, np.nan])
    np.testing.assert_allclose(safe, [0, 1 / 12, 0])
    np.testing.assert_array_equal(ng.function([x], ng.grad(ng.ldexp(x, 3).sum(), x))([1.0]), [8])
    both = ng.function([x, y], ng.grad(ng.logaddexp2(x, y).sum(), [x, y]))([1.0, np.inf, 0], [1.0, np.inf, -np.inf])
    np.testing.assert_allclose(both, [[0.5, 0.5, 1], [0.5, 0.5, 0]])
    with pytest.raises(ng.GradientError, match="step function"):
        ng.grad(ng.nextafter(x, y).sum(), x)


# -- padding --------------------------------------------------------------------------------------------------------

MODES = ["constant", "edge", "reflect", "symmetric", "wrap"]


@pytest.mark.parametrize("mode", MODES)
def test_pad(mode: Any) -> None:
    x = np.array([[1.0, np.nan, -0.0], [np.inf, 5.0, 6.0]])
    widths: list[Any] = [2, (0, 3), ((1, 2), (0, 5)), ((7,), (1,))]
    check(lambda x: [ng.pad(x, w, mode) for w in widths], x, wanted=[np.pad(x, w, mode) for w in widths])
    check(lambda x: ng.pad(x, {-1: (1, 4)}, mode), x, wanted=np.pad(x, ((0, 0), (1, 4)), mode))
    check(lambda x: ng.pad(x, 4, mode), x[:1, ::2], wanted=np.pad(x[:1, ::2], 4, mode))
    check(lambda x: ng.pad(x, 4, mode), x[0, 2:], wanted=np.pad(x[0, 2:], 4, mode))
    check(lambda x: ng.pad(x, ((0, 0), (1, 1)), mode), x[:0], wanted=np.pad(x[:0], ((0, 0), (1, 1)), mode))
    n = np.array([3, 1, 2], "uint8")
    check(lambda n, w: ng.pad(n, (w, 1), mode), n, np.int64(2), wanted=np.pad(n, (2, 1), mode))
    b = np.array([True, False])
    check(lambda b: ng.pad(b, 1, mode), b, wanted=np.pad(b, 1, mode))
    check(lambda s: ng.pad(s, 1, mode), np.float64(2.0), wanted=2.0)


def test_pad_with_values() -> None:
    x = np.arange(6.0).reshape(2, 3)
    values: list[Any] = [7, (1, 2), ((1, 2), (3, 4)), np.nan]
    wanted = [np.pad(x, 2, constant_values=v) for v in values]
    check(lambda x: [ng.pad(x, 2, constant_values=v) for v in values], x, wanted=wanted)
    check(lambda x, c: ng.pad(x, 1, constant_values=c), x, np.float32(0.5), wanted=np.pad(x, 1, constant_values=0.5))
    known = ng.tensor("known", "float64", (0,))
    assert ng.function([known], ng.pad(known, 2, constant_values=1))([]).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("mode", MODES)
def test_gradient_of_pad(mode: Any) -> None:
    x, weights = np.arange(6.0).reshape(2, 3), np.random.default_rng(0).normal(size=(9, 7))
    testing.check_gradient(lambda x, c: ng.sum(ng.pad(x, ((3, 4), (0, 4)), mode, c) * weights), [x, np.float64(0.5)])
    v = ng.vector("v")
    f = ng.function([v], ng.grad(ng.sum(ng.where(ng.pad(v, 1, mode) > 1, ng.log(ng.pad(v, 1, mode)), 0)), v))
    times = {"reflect": 3}.get(mode, 1)
    np.testing.assert_allclose(f([0.0, 2.0, 0.0]), [0, times / 2, 0])


def test_wrong_padding() -> None:
    x = ng.matrix("x")
    with pytest.raises(ng.OptionError, match="mode must be one of constant, edge"):
        ng.pad(x, 1, "empty")
    with pytest.raises(ShapeError, match=r"3 pairs of widths for the 2 axes of x"):
        ng.pad(x, ((1, 1), (1, 1), (1, 1)))
    with pytest.raises(ShapeError, match="negative"):
        ng.pad(x, -1)
    with pytest.raises(ShapeError, match="a scalar, not"):
        ng.pad(x, 1, constant_values=ng.vector())
    n = ng.lscalar("n")
    with pytest.raises(ShapeError, match="a width of -2"):
        ng.function([x, n], ng.pad(x, n))(np.ones((1, 1)), -2)
    with pytest.raises(ShapeError, match="an empty axis cannot be padded"):
        ng.function([x], ng.pad(x, 1, "edge"))(np.ones((2, 0)))

"""Special functions against SciPy, beyond what the table of ops tries: ranges, derivatives, stable forms, refusals."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as sp

import numgraph as ng
from numgraph.testing import check_gradient
from tests.waits import python

FAR = np.concatenate([-np.logspace(3, -8, 23), [0.0], np.logspace(-8, 3, 23)])
ABOVE = np.logspace(-8, 3, 40)
UNIT = np.concatenate([np.logspace(-12, -1, 12), np.linspace(0.1, 0.9, 9), 1 - np.logspace(-1, -12, 12)])
ORDERS = np.array([[0.0], [0.5], [1.0], [2.0], [7.3], [40.0]])

# (expression, its value by SciPy, arguments) of those that are numgraph's own on processors; a name stands for ng.name
# and scipy.special.name
ROWS: list[tuple[Any, Any, tuple[Any, ...]]] = [
    *((name, name, (FAR,)) for name in "erfcx ndtr log_ndtr entr loggamma".split()),
    *((name, name, (UNIT,)) for name in "erfinv ndtri logit".split()),
    ("xlogy", "xlogy", (ORDERS, ABOVE)),
    ("xlog1py", "xlog1py", (ABOVE[:, None], ABOVE[::3])),
    ("erfcinv", "erfcinv", (2 * UNIT,)),
    ("zeta", "zeta", (np.array([[1.0], [1.01], [2.0], [7.5], [60.0]]), np.logspace(-3, 5, 20))),
    (lambda n, x: ng.polygamma(n, x), sp.polygamma, (np.array([[0], [1], [5]]), ABOVE[20:])),
    (ng.chi2sf, lambda x, k: sp.chdtrc(k, x), (ABOVE, 3.0)),
    (ng.sinc, np.sinc, (FAR,)),
    ("factorial", "factorial", (np.array([-2.0, -0.5, 0.0, 3.0, 170.0, 180.0]),)),
    ("kn", "kn", (np.array([[0], [1], [4]]), ABOVE[20:])),
    ("kn", lambda n, x: [sp.kn(2, x[0]), np.nan], (np.array([2.0, 2.5]), np.array([0.7, 0.7]))),
]  # fmt: skip


def test_values() -> None:
    """Over the whole range, compiled."""
    outputs, wanted, inputs, values = [], [], [], []
    for expression, scipy, arguments in ROWS:
        arrays = [np.asarray(a) for a in arguments]
        variables = [ng.tensor(None, a.dtype.name, (None,) * a.ndim) for a in arrays]
        inputs += variables
        values += arrays
        build = getattr(ng, expression) if isinstance(expression, str) else expression
        function = getattr(sp, scipy) if isinstance(scipy, str) else scipy
        outputs.append(build(*variables))
        with np.errstate(all="ignore"):
            wanted.append(np.asarray(function(*arrays)))
    got = ng.function(inputs, outputs, target="cpu")(*values)
    for (name, _, _), array, expected in zip(ROWS, got, wanted, strict=True):
        # the sine of large numbers
        atol = 1e-14 if name is ng.sinc else 0
        np.testing.assert_allclose(array, expected, rtol=3e-13, atol=atol, err_msg=str(name))


# of the kernels that devices have in the place of SciPy's: arguments and relative error
KERNELS: dict[str, tuple[tuple[Any, ...], float]] = {
    "incomplete.gammainc": ((ORDERS, ABOVE), 1e-12), "incomplete.gammaincc": ((ORDERS, ABOVE), 1e-11),
    "incomplete.betaln": ((ABOVE[:, None], ABOVE[::3]), 1e-11),
    "incomplete.beta": ((ABOVE[:30, None], ABOVE[:30:3]), 1e-12),
    "incomplete.betainc": ((ORDERS[1:, :, None], ORDERS[1:], UNIT[::2]), 1e-10),
    **{f"bessel.{name}": ((FAR[np.abs(FAR) < 700],), 1e-13) for name in ("i0", "i1")},
    **{f"bessel.{name}": ((FAR,), 1e-14) for name in ("i0e", "i1e")},
    "bessel.k0": ((ABOVE[::2],), 1e-13), "bessel.k1": ((ABOVE[::2],), 1e-13),
    "bessel.kv": ((ORDERS, ABOVE[::4]), 1e-12), "bessel.kve": ((ORDERS, ABOVE[::4]), 1e-12),
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_of_devices(name: str) -> None:
    """As plain functions of Python's."""
    module, _, function = name.partition(".")
    kernel = np.vectorize(getattr(importlib.import_module(f"numgraph.kernels.{module}"), f"{function}_f64"))
    arrays, rtol = KERNELS[name]
    wanted = getattr(sp, function)(*arrays)
    small = (np.abs(wanted) < 1e-280) | np.isinf(wanted)
    with np.errstate(all="ignore"):
        got = np.where(small, wanted, kernel(*(np.where(small, 1.0, a) for a in np.broadcast_arrays(*arrays))))
    # the logarithm of what is near 1
    np.testing.assert_allclose(got, wanted, rtol=rtol, atol=1e-11 if function == "betaln" else 0)


def test_beta_of_numbers_below_zero() -> None:
    """On a device as SciPy's on the processor: signs, poles, and poles that cancel."""
    ends = [-50.5, -7.0, -3.0, -2.5, -1.0, -0.5, -1e-3, -0.0, 0.5, 1.0, 3.0, 7.5, 30.0, np.inf, -np.inf, np.nan]
    a, b = (np.array(v) for v in zip(*itertools.product(ends, repeat=2), strict=True))
    with np.errstate(all="ignore"):
        for name in ("beta", "betaln"):
            kernel = np.vectorize(getattr(importlib.import_module("numgraph.kernels.incomplete"), f"{name}_f64"))
            np.testing.assert_allclose(kernel(a, b), getattr(sp, name)(a, b), rtol=1e-11, atol=1e-12, err_msg=name)
    u, v = ng.vectors("u", "v")
    f = ng.function([u, v], [ng.beta(u, v), ng.betaln(u, v)], target="cuda-sim")
    some = np.array([-2.5, -0.5, -3.0, 2.0, -1.0]), np.array([0.3, -1.5, 2.0, -0.7, 4.0])
    for got, wanted in zip(f(*some), (sp.beta(*some), sp.betaln(*some)), strict=True):
        np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-12)


def test_orders_whose_scaled_functions_are_out_of_range() -> None:
    """On a device: what is summed may be out of range where the result is not."""
    v, x = ng.vector("v"), ng.vector("x")
    f = ng.function([v, x], [ng.kv(v, x), ng.kve(v, x)], target="cuda-sim")
    orders = np.array([32766.0, 500.0, 500.0, 700.0, 0.5, 1e300, 0.1])
    values = np.array([32766.0, 100.0, 700.0, 700.0, 800.0, 1.0, 1e-300])
    for got, function in zip(f(orders, values), (sp.kv, sp.kve), strict=True):
        wanted = function(orders, values)
        # SciPy's is NaN for orders that are too large for it
        np.testing.assert_allclose(
            got, np.where(orders == 1e300, np.inf, wanted), rtol=1e-12, err_msg=function.__name__
        )


GRADIENTS: dict[str, tuple[Callable[..., ng.Variable], list[Any], int]] = {
    "gammainc": (ng.gammainc, [np.array([0.3, 1.0, 5.0, 80.0, 80.0]), np.array([0.5, 3.0, 4.0, 70.0, 95.0])], 1),
    "gammaincc": (ng.gammaincc, [np.array([0.3, 2.0, 9.0]), np.array([0.1, 2.5, 20.0])], 1),
    "betainc": (ng.betainc, [np.array([0.4, 2.0, 30.0]), np.array([3.0, 0.7, 20.0]), np.array([0.1, 0.9, 0.6])], 1),
    "gammal": (ng.gammal, [np.array([0.5, 2.5]), np.array([0.4, 4.0])], 1),
    "gammau": (ng.gammau, [np.array([0.5, 2.5]), np.array([0.4, 4.0])], 1),
    "log_ndtr": (ng.log_ndtr, [np.array([-40.0, -5.0, -1.2, 0.3, 4.0])], 2),
    "loggamma": (ng.loggamma, [np.array([0.3, 7.0])], 2),
    "trigamma": (ng.trigamma, [np.array([0.4, 3.0, 12.0])], 2),
    "polygamma": (lambda x: ng.polygamma(2, x), [np.array([0.8, 3.0])], 2),
    "sinc": (ng.sinc, [np.array([0.0, 1e-7, 0.05, 0.0999, 0.1001, 2.0, -3.3])], 2),
    "jv": (lambda x: ng.jv(np.array([0.0, 2.0, 3.5]), x), [np.array([0.7, 2.0, 8.0])], 2),
    "kve": (lambda x: ng.kve(1.5, x), [np.array([0.7, 2.0, 8.0])], 2),
    "gammaincinv": (ng.gammaincinv, [np.array([0.4, 3.0, 40.0]), np.array([0.1, 0.6, 0.97])], 1),
    "gammainccinv": (ng.gammainccinv, [np.array([0.4, 3.0, 40.0]), np.array([0.1, 0.6, 0.97])], 1),
    "betaincinv": (ng.betaincinv, [np.array([0.6, 3.0]), np.array([2.0, 0.8]), np.array([0.2, 0.9])], 1),
    "ndtri_exp": (ng.ndtri_exp, [np.array([-60.0, -3.0, -0.4, -0.05])], 1),
    "poch": (ng.poch, [np.array([0.3, 2.0]), np.array([1.5, 0.2])], 2),
    "factorial": (ng.factorial, [np.array([0.3, 4.0])], 2),
    "kn": (lambda x: ng.kn(np.array([0, 3]), x), [np.array([0.7, 2.0])], 2),
    "hyp2f1": (
        ng.hyp2f1,
        [np.array(v) for v in ((0.5, -2.5, 1.2), (1.0, 0.3, 2.0), (1.5, 2.2, 0.7), (0.8, -0.4, -30.0))],
        1,
    ),
    "xlogy": (ng.xlogy, [np.array([0.0, 0.5]), np.array([2.0, 0.3])], 2),
}  # fmt: skip


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str) -> None:
    build, arrays, order = GRADIENTS[name]
    check_gradient(build, arrays, order=order)


def test_incomplete_functions_at_the_ends() -> None:
    """Values as SciPy's, slopes that are finite wherever they are defined."""
    a, b, x = ng.vector("a"), ng.vector("b"), ng.vector("x")
    of_gamma, of_beta = ng.gammainc(a, x), ng.betainc(a, b, x)
    shapes, at = np.array([np.inf, 2.4, 1.0, np.nan, -1.0, 1e6]), np.array([3.8, np.inf, 0.0, 1.0, 1.0, 1e6])
    f = ng.function([a, x], [of_gamma, ng.gammaincc(a, x), *ng.grad(ng.sum(of_gamma), [a, x])], target="cpu")
    below, above, of_a, of_x = f(shapes, at)
    np.testing.assert_allclose(below, sp.gammainc(shapes, at), rtol=1e-14)
    np.testing.assert_allclose(above, sp.gammaincc(shapes, at), rtol=1e-14)
    np.testing.assert_allclose(of_a[[1, 2, 5]], [0, 0, -1 / np.sqrt(2e6 * np.pi)], rtol=1e-6)
    np.testing.assert_allclose(of_x[[1, 2, 5]], [0, 1, 1 / np.sqrt(2e6 * np.pi)], rtol=1e-6)
    f = ng.function([a, b, x], [of_beta, *ng.grad(ng.sum(of_beta), [a, b, x])], target="cpu")
    got = f([1e-6, 1.0, 1.0, 30.0, 1.0, -1.0], [1e-6, 1.0, 1.0, 30.0, 1.0, 1.0], [0.5, 0.0, 1.0, 0.5, 2.0, 0.5])
    np.testing.assert_allclose(got[0], [0.5, 0, 1, 0.5, np.nan, np.nan], rtol=1e-14)
    np.testing.assert_allclose(got[1][:3], [-2.5e5, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(got[2][:4], -got[1][:4], rtol=1e-11)
    assert np.isnan(got[1][4:]).all() and (got[3][1:3] == 1).all()


def test_slopes_of_the_hypergeometric_function() -> None:
    """Of hyp2f1(a, b, b, z) = (1 - z)**-a they are known; none from 1 on and for poles."""
    a, b, c, z = (ng.vector(name) for name in "abcz")
    f = ng.function([a, b, c, z], ng.grad(ng.sum(ng.hyp2f1(a, b, c, z)), [a, b, c]))
    at, order = np.array([0.999, 0.5, 0.0, -0.5, -3.0, -2000.0]), np.array([0.5, -2.0, 1.0, 3.0, -1.5, 0.25])
    of_a, of_b, of_c = f(order, np.full(6, 1.3), np.full(6, 1.3), at)
    np.testing.assert_allclose(of_a, -np.log1p(-at) * (1 - at) ** -order, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(of_b, -of_c, rtol=1e-8, atol=1e-14)
    # at 1, where hyp2f1(-2, b, c, 1) = (c - b) (c - b + 1) / (c (c + 1)), and by differences where c - a is negative
    values = f([-2.0, 2.3], [0.7, -3.2], [3.1, 1.4], [1.0, 1.0])
    np.testing.assert_allclose(values[1][0], -(2 * 2.4 + 1) / (3.1 * 4.1), rtol=1e-12)
    around = [sp.hyp2f1(2.3 + s, -3.2, 1.4, 1.0) for s in (-1e-5, 1e-5)]
    np.testing.assert_allclose(values[0][1], (around[1] - around[0]) / 2e-5, rtol=1e-6)
    nowhere = f([1.0, 1.0, np.nan, 1.0], [1.0] * 4, [2.0, -1.0, 2.0, 2.0], [1.5, 0.5, 0.5, np.nan])
    assert np.isnan(nowhere).all()
    # between poles of c, and next to 1; by mpmath with 40 digits
    given = [3.70975, -0.5, 0.3], [1.0, -4.5, 0.4], [2.70975, -3.2, 0.02], [0.999696, 0.9, 0.2]
    known = [
        [29369829.991917823, 0.8588002535811146, 5.099115363415045],
        [36347869.418860696, 0.46777044161593095, 3.865378294413292],
        [-30843032.1191, -4.190104224852563, -73.38690979181524],
    ]
    for target in (None, "reference"):
        g = ng.function([a, b, c, z], ng.grad(ng.sum(ng.hyp2f1(a, b, c, z)), [a, b, c]), target=target)
        np.testing.assert_allclose(g(*given), known, rtol=1e-9)


REFUSED = {
    "zeta": lambda a: ng.zeta(a, 2.0), "jv": lambda a: ng.jv(a, 2.0), "kv": lambda a: ng.kv(a, 2.0),
    "hyp2f1_slope_a": lambda a: ng.sum(ng.grad(ng.sum(ng.hyp2f1(a, 1.0, 2.0, 0.5)), a)),
    "gammainc_slope": lambda a: ng.sum(ng.grad(ng.sum(ng.gammainc(a, 2.0)), a)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_gradient_that_is_not_there_is_refused(name: str) -> None:
    a = ng.vector("a")
    with pytest.raises(
        ng.GradientError, match=rf"{name} has no gradient for its argument \w+: the derivative(.|\n)*a:"
    ):
        ng.grad(ng.sum(REFUSED[name](a)), a)
    # held constant, it is in nobody's way
    x = ng.vector("x")
    ng.grad(ng.sum(REFUSED[name](ng.disconnected_grad(a)) * x), x)


STABLE: dict[str, tuple[Callable[[Any], ng.Variable], Callable[[Any], Any], list[float]]] = {
    "log(ndtr)": (lambda x: ng.log(ng.ndtr(x)), sp.log_ndtr, [-50.0, -3.0, 0.5]),
    "log(1 - ndtr)": (lambda x: ng.log(1 - ng.ndtr(x)), lambda x: sp.log_ndtr(-x), [60.0, 3.0, -0.5]),
    "exp(x * x) * erfc(x)": (lambda x: ng.exp(x * x) * ng.erfc(x), sp.erfcx, [50.0, 3.0, -2.0]),
    "exp(x**2) * erfc(x)": (lambda x: ng.exp(x**2) * ng.erfc(x), sp.erfcx, [50.0, 3.0]),
    "log(gamma)": (lambda x: ng.log(ng.gamma(x)), lambda x: sp.gammaln(x), [500.0, 3.0, 0.2, -1.5]),
    "log(i0)": (lambda x: ng.log(ng.i0(x)), lambda x: np.log(sp.i0e(x)) + abs(x), [-900.0, 2.0]),
    "log(iv)": (lambda x: ng.log(ng.iv(2.5, x)), lambda x: np.log(sp.ive(2.5, x)) + x, [900.0, 2.0]),
    "log(kv)": (lambda x: ng.log(ng.kv(2.5, x)), lambda x: np.log(sp.kve(2.5, x)) - x, [900.0, 2.0]),
    "log(k0)": (lambda x: ng.log(ng.k0(x)), lambda x: np.log(sp.k0e(x)) - x, [900.0, 2.0]),
    "1 - gammainc": (lambda x: 1 - ng.gammainc(2.0, x), lambda x: sp.gammaincc(2.0, x), [60.0, 1.0]),
    "1 - gammaincc": (lambda x: 1 - ng.gammaincc(2.0, x), lambda x: sp.gammainc(2.0, x), [1e-9, 1.0]),
}  # fmt: skip


def test_stable_forms() -> None:
    inputs = [ng.vector() for _ in STABLE]
    outputs = [build(x) for x, (build, _, _) in zip(inputs, STABLE.values(), strict=True)]
    slopes = [ng.grad(ng.sum(y), x) for x, y in zip(inputs, outputs, strict=True)]
    got = ng.function(inputs, outputs + slopes)(*(values for _, _, values in STABLE.values()))
    for name, array, slope in zip(STABLE, got, got[len(STABLE) :], strict=False):
        _, wanted, values = STABLE[name]
        np.testing.assert_allclose(array, wanted(np.array(values)), rtol=1e-12, err_msg=name)
        assert np.isfinite(slope).all(), name
    # gamma is negative between -1 and 0
    x = ng.vector("x")
    assert np.isnan(ng.function([x], ng.log(ng.gamma(x)))([-0.5, -2.5])).all()


def test_scipys_ufuncs_of_variables() -> None:
    x = ng.vector("x")
    made = [sp.betainc(2.0, 3.0, x), sp.ndtri(x), sp.xlogy(x, 2.0), sp.kv(1.0, x)]
    got = ng.function([x], made)([0.25, 0.5])
    for array, wanted in zip(got, (sp.betainc(2, 3, [0.25, 0.5]), sp.ndtri([0.25, 0.5])), strict=False):
        np.testing.assert_allclose(array, wanted, rtol=1e-13)


def test_a_device_refuses_what_scipy_alone_has() -> None:
    x = ng.vector("x")
    with pytest.raises(ng.OptionError, match=r"jv runs on the processor only(.|\n)*test_special.py"):
        ng.function([x], ng.jv(2.0, x), target="cuda-sim")


def test_code_of_the_cache_finds_scipy() -> None:
    """Another process loads the machine code, and SciPy's functions with it."""
    text = "import numgraph as ng; x = ng.vector('x'); print(ng.function([x], ng.iv(1.5, x))([2.0])[0])"
    x = ng.vector("x")
    ng.function([x], ng.iv(1.5, x))
    folder = {"NUMGRAPH_CACHE_DIR": str(ng.config.cache_dir)}
    done = python("-c", text, env=os.environ | folder)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(sp.iv(1.5, 2.0), rel=1e-14)


def test_an_exported_module_finds_scipy(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Numba does not keep what it has not optimised, and warns of that
    monkeypatch.delenv("NUMBA_OPT", raising=False)
    x = ng.vector("x")
    f = ng.function([x], ng.jv(1.5, x) + ng.erfinv(x))
    f.export(tmp_path / "exported_bessel.py")
    monkeypatch.syspath_prepend(tmp_path)
    step = importlib.import_module("exported_bessel").step
    np.testing.assert_allclose(step([0.5]), f([0.5]), rtol=1e-14)


def test_incomplete_gamma_functions_of_small_orders_on_a_device() -> None:
    """Of which 1 - P was nothing but rounding."""
    orders = np.array([1e-300, 1e-100, 1e-20, 1e-8, 1e-3, 0.0199, 0.0201, 0.3, 0.99])[:, None]
    at = np.array([1e-300, 1e-30, 1e-5, 0.3, 1.0, 1.1, 1.2, 5.0])
    a, x = ng.matrix("a"), ng.vector("x")
    below, above = ng.function([a, x], [ng.gammainc(a, x), ng.gammaincc(a, x)], target="cuda-sim")(orders, at)
    np.testing.assert_allclose(below, sp.gammainc(orders, at), rtol=1e-13)
    np.testing.assert_allclose(above, sp.gammaincc(orders, at), rtol=1e-12)

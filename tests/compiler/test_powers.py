"""Powers whose exponent is known are products and roots."""

import numpy as np
import pytest

import numgraph as ng

PRODUCTS = (1, 2, 3, 4, 5, 6, 0.5, 1.5, 2.5, 3.5, -0.5, -1, -1.5, -2, -2.5, -3, -4, -6)


@pytest.mark.parametrize("exponent", PRODUCTS)
def test_a_power_of_floats_is_a_product(exponent):
    numbers = np.concatenate([np.random.default_rng(0).uniform(0.01, 30.0, 2000), [0.0, 1.0, np.inf, np.nan]])
    for dtype, bits in (("float64", np.longdouble), ("float32", np.float64)):
        x = ng.vector("x", dtype=dtype)
        f = ng.function([x], x**exponent, target="cpu")
        assert "power" not in f.source
        # -inf has none by halves, as NumPy's (-inf) ** 0.5
        values = np.concatenate([numbers, -numbers[:-2]]).astype(dtype)
        with np.errstate(all="ignore"):
            exact = np.power(values.astype(bits), bits(exponent))
            expected = exact.astype(dtype)
        got = f(values)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
        there = np.isfinite(expected) & (expected != 0)
        np.testing.assert_array_equal(got[~there], expected[~there])
        off = np.abs(got[there].astype(bits) - exact[there]) / np.spacing(np.abs(expected[there]))
        assert off.max() < 4.5


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint32"])
def test_a_power_of_integers_is_a_product_that_wraps(dtype):
    x = ng.vector("x", dtype=dtype)
    values = np.array([0, 1, 3, 7, 100], dtype)
    for exponent in range(1, 7):
        f = ng.function([x], x**exponent, target="cpu")
        assert "power" not in f.source
        np.testing.assert_array_equal(f(values), values**exponent)


def test_other_powers_stay():
    x, n, c = ng.vector("x"), ng.lvector("n"), ng.zvector("c")
    for v, power in ((x, x**7), (x, x**0.3), (n, n**-2)):
        assert "power" in ng.function([v], power, target="cpu").source
    np.testing.assert_allclose(ng.function([c], c**3, target="cpu")(np.array([1 + 2j])), [-11 - 2j])


def test_gradients_of_powers_are_products():
    x = ng.vector("x")
    cost = (1.0 / x**6 - 1.0 / x**3 + x**-1.5).sum()
    f = ng.function([x], [ng.grad(cost, x), ng.grad(ng.grad(cost, x).sum(), x)], target="cpu")
    v = np.array([0.5, 1.0, 3.0])
    first, second = f(v)
    np.testing.assert_allclose(first, -6 * v**-7.0 + 3 * v**-4.0 - 1.5 * v**-2.5, rtol=1e-13)
    np.testing.assert_allclose(second, 42 * v**-8.0 - 12 * v**-5.0 + 3.75 * v**-3.5, rtol=1e-13)

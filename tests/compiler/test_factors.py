"""Operands that are one number all over are seen as factors, and lose no length by it."""

from __future__ import annotations

import numpy as np

import numgraph as ng

RNG = np.random.default_rng(3)


def test_weight_decay_is_part_of_the_product() -> None:
    w = ng.shared(RNG.normal(size=(6, 4)).astype("float32"), name="w")
    x = ng.matrix("x", dtype="float32")
    cost = ng.sum(ng.dot(x, w) ** 2) + 0.01 * ng.sum(w**2)
    before, value = w.get_value().astype("float64"), RNG.normal(size=(5, 6)).astype("float32")
    f = ng.function([x], cost, updates=[(w, w - 0.1 * ng.grad(cost, w))])
    assert [line.split(":")[0] for line in f.source.splitlines() if ": gemm" in line], f.source
    f(value)
    wanted = before - 0.1 * (2 * value.T.astype("float64") @ (value @ before) + 0.02 * before)
    np.testing.assert_allclose(w.get_value(), wanted, rtol=2e-5, atol=2e-6)


def test_the_result_keeps_the_lengths() -> None:
    x, y = ng.matrix("x"), ng.vector("y")
    wide = ng.full((3, 4), 2.0)
    outer = ng.full((2, 1), 1.0) * ng.full((1, 5), 2.0)
    f = ng.function([x, y], [wide * ng.full((1, 1), 3.0), x * wide, y + wide, outer])
    a, b = RNG.normal(size=(3, 4)), RNG.normal(size=4)
    wanted = np.full((3, 4), 6.0), a * 2, b + np.full((3, 4), 2.0), np.full((2, 5), 2.0)
    for got, want in zip(f(a, b), wanted, strict=True):
        assert got.shape == want.shape
        np.testing.assert_array_equal(got, want)


def test_stable_gradients_with_a_constant_in_front() -> None:
    x = ng.matrix("x")
    for build in (lambda v: ng.log(ng.softmax(v, axis=1)), lambda v: ng.log(ng.sigmoid(v))):
        gradient = ng.grad(ng.sum(build(x)), x)
        value = np.array([[-800.0, 1.0, 900.0], [0.0, 0.5, -1.0]])
        got = ng.function([x], gradient)(value)
        assert np.isfinite(got).all() and got.shape == value.shape


def test_an_infinite_factor_meets_zero() -> None:
    x = ng.vector("x")
    f = ng.function([x], [x * ng.full((3,), np.inf), x * ng.zeros((3,))])
    np.testing.assert_array_equal(f([0.0, 1.0, np.nan])[0], [np.nan, np.inf, np.nan])
    np.testing.assert_array_equal(f([np.inf, 1.0, np.nan])[1], [np.nan, 0.0, np.nan])

"""Hyperbolic functions and their inverses for SIMD loops; see `simd` for how, and how exact."""

import math

import numpy as np
from numgraph.kernels.simd import (
    HALF,
    NOT_A_NUMBER,
    ONE,
    ROUNDER,
    TINY,
    TINY_D,
    TWO,
    ZERO,
    multiply_add,
    polynomial,
    power_of_two,
    scalar,
    signed_f32,
    singles,
    with_sign_f32,
    with_sign_f64,
)
from numgraph.kernels.vectormath import (
    EXP,
    LN2,
    LN2_D,
    log1p_f32,
    log1p_f64,
    reduced_f32,
    reduced_f64,
)

# ------------------------------------------------------------------------------------------------------------- float32

QUARTER, SIXTEENTH = np.float32(0.25), np.float32(0.0625)
NEGATIVE_HALF_LN2, TWICE_LOG2_E = singles("-0x1.62e42fefa39efp-2 0x1.71547652b82fep+1")
# (expm1(2 r) / 2 - r) / r**2 on |r| <= ln(2) / 4
EXPM1_OF_TWICE = tuple(np.float32(c * 2.0 ** (k + 1)) for k, c in enumerate(EXP))
# Beyond these tanh is 1, sinh is infinite, and 1 + x**2 is x**2.
TANH_TOP, SINH_TOP, SQUARE_TOP = np.float32(10), np.float32(89.6), np.float32(2.0**28)


@scalar
def tanh_f32(x):
    """tanh(x) in float32, as h / (h + 1) with h = expm1(2 |x|) / 2. Error at most 2.5 ulp."""
    a = abs(x)
    a = TANH_TOP if a > TANH_TOP else a
    n = multiply_add(a, TWICE_LOG2_E, ROUNDER) - ROUNDER
    # one piece of ln(2) / 2 does, as n is small
    r = multiply_add(n, NEGATIVE_HALF_LN2, a)
    scale = power_of_two(n)
    h = multiply_add(scale, multiply_add(r * r, polynomial(r, EXPM1_OF_TWICE), r), multiply_add(scale, HALF, -HALF))
    return signed_f32(h / (h + ONE), x)


@scalar
def sinh_f32(x):
    """sinh(x) in float32, as y + y / (2 y + 1) with y = expm1(|x|) / 2. Error at most 2.5 ulp."""
    a = abs(x)
    a = SINH_TOP if a > SINH_TOP else a
    n, e = reduced_f32(a)
    # a quarter of e**a, so that no power of 2 is too large
    scale = power_of_two(n - TWO)
    t = multiply_add(scale, e, scale - QUARTER)
    y = t + t / ((TWO + TWO) * t + ONE)
    return x if abs(x) < TINY else with_sign_f32(y + y, x)


@scalar
def cosh_f32(x):
    """cosh(x) in float32. Error at most 1.6 ulp."""
    a = abs(x)
    a = SINH_TOP if a > SINH_TOP else a
    n, e = reduced_f32(a)
    scale = power_of_two(n - TWO)
    t = multiply_add(scale, e, scale)
    y = t + SIXTEENTH / t
    return y + y


@scalar
def asinh_f32(x):
    """asinh(x) in float32, as log1p(a + a**2 / (1 + sqrt(1 + a**2))) of a = |x|. Error at most 2.0 ulp."""
    a = abs(x)
    square = a * a
    large = a > SQUARE_TOP
    y = log1p_f32(a if large else a + square / (ONE + np.sqrt(ONE + square)))
    return with_sign_f32(y + (LN2 if large else ZERO), x)


@scalar
def acosh_f32(x):
    """acosh(x) in float32, as log1p(t + sqrt(2 t + t**2)) of t = x - 1; NaN below 1. Error at most 2.2 ulp."""
    t = x - ONE
    large = x > SQUARE_TOP
    y = log1p_f32(x if large else t + np.sqrt(t * (t + TWO)))
    return NOT_A_NUMBER if x < ONE else y + (LN2 if large else ZERO)


@scalar
def atanh_f32(x):
    """atanh(x) in float32, as log1p(2 a / (1 - a)) / 2 of a = |x|; NaN beyond 1. Error at most 2.2 ulp."""
    a = abs(x)
    y = HALF * log1p_f32((a + a) / (ONE - a))
    return x if a < TINY else with_sign_f32(y, x)


# ---------------------------------------------------------------------------------- float64, names with D for double

TANH_TOP_D, SINH_TOP_D, SQUARE_TOP_D = 20.0, 710.7, 2.0**56


@scalar
def tanh_f64(x):
    """tanh(x) in float64, as t / (t + 2) with t = expm1(2 |x|). Error at most 2.6 ulp."""
    a = abs(x)
    a = TANH_TOP_D if a > TANH_TOP_D else a
    n, e = reduced_f64(a + a)
    scale = power_of_two(n)
    t = multiply_add(scale, e, scale - 1.0)
    return with_sign_f64(t / (t + 2.0), x)


@scalar
def sinh_f64(x):
    """sinh(x) in float64, as y + y / (2 y + 1) with y = expm1(|x|) / 2. Error at most 2.5 ulp."""
    a = abs(x)
    a = SINH_TOP_D if a > SINH_TOP_D else a
    n, e = reduced_f64(a)
    # a quarter of e**a, so that no power of 2 is too large
    scale = power_of_two(n - 2.0)
    t = multiply_add(scale, e, scale - 0.25)
    y = t + t / ((2.0 + 2.0) * t + 1.0)
    return x if abs(x) < TINY_D else with_sign_f64(y + y, x)


@scalar
def cosh_f64(x):
    """cosh(x) in float64. Error at most 1.6 ulp."""
    a = abs(x)
    a = SINH_TOP_D if a > SINH_TOP_D else a
    n, e = reduced_f64(a)
    scale = power_of_two(n - 2.0)
    t = multiply_add(scale, e, scale)
    y = t + 0.0625 / t
    return y + y


@scalar
def asinh_f64(x):
    """asinh(x) in float64, as log1p(a + a**2 / (1 + sqrt(1 + a**2))) of a = |x|. Error at most 2.0 ulp."""
    a = abs(x)
    square = a * a
    large = a > SQUARE_TOP_D
    y = log1p_f64(a if large else a + square / (1.0 + np.sqrt(1.0 + square)))
    return with_sign_f64(y + (LN2_D if large else 0.0), x)


@scalar
def acosh_f64(x):
    """acosh(x) in float64, as log1p(t + sqrt(2 t + t**2)) of t = x - 1; NaN below 1. Error at most 2.4 ulp."""
    t = x - 1.0
    large = x > SQUARE_TOP_D
    y = log1p_f64(x if large else t + np.sqrt(t * (t + 2.0)))
    return math.nan if x < 1.0 else y + (LN2_D if large else 0.0)


@scalar
def atanh_f64(x):
    """atanh(x) in float64, as log1p(2 a / (1 - a)) / 2 of a = |x|; NaN beyond 1. Error at most 2.0 ulp."""
    a = abs(x)
    y = 0.5 * log1p_f64((a + a) / (1.0 - a))
    return x if a < TINY_D else with_sign_f64(y, x)

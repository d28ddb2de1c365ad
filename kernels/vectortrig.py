"""Sine, cosine and tangent for SIMD loops; see `simd` for how, and how exact.

Arguments up to `slowpath.FAR` are reduced with pi / 2 in pieces (Cody and Waite); those beyond, which need hundreds
of digits of it, one by one as `angles` has it.
"""

import numpy as np
from numgraph.kernels.angles import far_cosine, far_sine, far_tangent, quotient_f64, turned_f64
from numgraph.kernels.simd import (
    HALF,
    ONE,
    ROUNDER,
    ROUNDER_D,
    TINY,
    TINY_D,
    doubles,
    multiply_add,
    polynomial,
    scalar,
    singles,
)
from numgraph.kernels.slowpath import beyond

# ------------------------------------------------------------------------------------------------------------- float32

# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4 in r**2, |r| <= pi / 4
SIN = singles("-0x1.555546p-3 0x1.11077ap-7 -0x1.9954a4p-13")
COS = singles("0x1.55554ap-5 -0x1.6c0c1ap-10 0x1.99e0eep-16")
INT_ONE, INT_TWO, SIGN_SHIFT = np.uint32(1), np.uint32(2), np.uint32(30)
# 2 / pi, and pi / 2 in two pieces: the product of the first with a whole number below 2**22 is exact in float64
TWO_PER_PI, HALF_PI_1, HALF_PI_2 = doubles("0x1.45f306dc9c883p-1 -0x1.921fb54400000p+0 -0x1.0b4611a626331p-34")


@scalar
def _reduced_angle_f32(x):
    """n and r with x = n pi / 2 + r and |r| <= pi / 4 or a hair more, for |x| <= FAR; r is a float64."""
    x = np.float64(x)
    n = multiply_add(x, TWO_PER_PI, ROUNDER_D) - ROUNDER_D
    rest = multiply_add(n, HALF_PI_2, multiply_add(n, HALF_PI_1, x))
    return np.float32(n), rest


@scalar
def _sine_cosine_f32(r):
    """sin(r) and cos(r) for |r| <= pi / 4."""
    z = r * r
    sine = multiply_add(r * z, polynomial(z, SIN), r)
    return sine, multiply_add(z * z, polynomial(z, COS), multiply_add(-HALF, z, ONE))


@scalar
def _turned_f32(n, r):
    """sin(r + n pi / 2) for a whole n below 2**22."""
    turns = np.float32(n + ROUNDER).view(np.uint32)
    sine, cosine = _sine_cosine_f32(r)
    y = np.float32(cosine if turns & INT_ONE else sine)
    return np.uint32(y.view(np.uint32) ^ ((turns & INT_TWO) << SIGN_SHIFT)).view(np.float32)


@scalar
def sin_f32(x):
    """sin(x) in float32 for any x; NaN at infinities. Error at most 1.6 ulp."""
    n, r = _reduced_angle_f32(x)
    y = _turned_f32(n, np.float32(r))
    return beyond(far_sine, x, x if abs(x) < TINY else y)


@scalar
def cos_f32(x):
    """cos(x) in float32 for any x; NaN at infinities. Error at most 1.6 ulp."""
    n, r = _reduced_angle_f32(x)
    return beyond(far_cosine, x, _turned_f32(n + ONE, np.float32(r)))


@scalar
def tan_f32(x):
    """tan(x) in float32 for any x; NaN at infinities. Error at most 3.5 ulp."""
    n, rest = _reduced_angle_f32(x)
    # a quotient adds up errors: the part of the angle that float32 rounds off is kept
    r = np.float32(rest)
    s = np.float32(rest - np.float64(r))
    z = r * r
    sine = r + multiply_add(r * z, polynomial(z, SIN), s)
    cosine = multiply_add(z * z, polynomial(z, COS), -r * s) + multiply_add(-HALF, z, ONE)
    odd = (np.float32(n + ROUNDER).view(np.uint32) & INT_ONE) != 0
    y = (-cosine if odd else sine) / (sine if odd else cosine)
    return beyond(far_tangent, x, x if abs(x) < TINY else y)


# ---------------------------------------------------------------------------------- float64, names with D for double

# pi / 2 in four pieces: the products of the first three with a whole number below 2**20 are exact
HALF_PI_1_D, HALF_PI_2_D, HALF_PI_3_D, HALF_PI_4_D = doubles(
    "0x1.921fb54400000p+0 0x1.0b4611a600000p-34 0x1.3198a2e000000p-69 0x1.b839a252049c1p-104"
)


@scalar
def _reduced_angle_f64(x):
    """n, r, s with x = n pi / 2 + r + s, |r| <= pi / 4 or a hair more and |s| <= ulp(r), for |x| <= FAR."""
    n = multiply_add(x, TWO_PER_PI, ROUNDER_D) - ROUNDER_D
    # what is left of each difference is exact (D. E. Knuth, The Art of Computer Programming 2, 4.2.2)
    first = x - n * HALF_PI_1_D
    w = n * HALF_PI_2_D
    second = first - w
    v = second - first
    left = (first - (second - v)) - (w + v)
    w = n * HALF_PI_3_D
    third = second - w
    v = third - second
    left = left + ((second - (third - v)) - (w + v)) - n * HALF_PI_4_D
    r = third + left
    return n, r, (third - r) + left


@scalar
def sin_f64(x):
    """sin(x) in float64 for any x; NaN at infinities. Error at most 1.0 ulp."""
    n, r, s = _reduced_angle_f64(x)
    y = turned_f64(n, r, s)
    return beyond(far_sine, x, x if abs(x) < TINY_D else y)


@scalar
def cos_f64(x):
    """cos(x) in float64 for any x; NaN at infinities. Error at most 1.0 ulp."""
    n, r, s = _reduced_angle_f64(x)
    return beyond(far_cosine, x, turned_f64(n + 1.0, r, s))


@scalar
def tan_f64(x):
    """tan(x) in float64 for any x; NaN at infinities. Error at most 2.5 ulp."""
    n, r, s = _reduced_angle_f64(x)
    return beyond(far_tangent, x, x if abs(x) < TINY_D else quotient_f64(n, r, s))

"""Inverse trigonometric functions for SIMD loops; see `simd` for how, and how exact."""

import numpy as np
from numgraph.kernels.simd import (
    HALF,
    ONE,
    ZERO,
    doubles,
    multiply_add,
    polynomial,
    scalar,
    singles,
    with_sign_f32,
    with_sign_f64,
)

# ------------------------------------------------------------------------------------------------------------- float32

# pi / 2, pi / 4 and pi as sums of two numbers; tan(pi / 8) and tan(3 pi / 8)
HALF_PI_HI, HALF_PI_LO, QUARTER_PI_HI, QUARTER_PI_LO, PI_HI, PI_LO = singles(
    "0x1.921fb60000000p+0 -0x1.777a5cf72cecep-25 0x1.921fb60000000p-1 -0x1.777a5cf72cecep-26 "
    "0x1.921fb60000000p+1 -0x1.777a5cf72cecep-24"
)
TAN_EIGHTH, TAN_THREE_EIGHTHS = singles("0x1.a827999fcef32p-2 0x1.3504f333f9de6p+1")
# (atan(x) - x) / x**3 in x**2 for |x| <= tan(pi / 8), (asin(x) - x) / x**3 in x**2 for |x| <= 1 / 2
ATAN = singles("-0x1.55554ap-2 0x1.9991e8p-3 -0x1.23ba42p-3 0x1.b22eccp-4 -0x1.f31d68p-5")
ASIN = singles("0x1.5555cap-3 0x1.330162p-4 0x1.748b7cp-5 0x1.8ba440p-6 0x1.59ddd2p-5")


@scalar
def _arctangent_f32(a):
    """atan(a) for a >= 0, by atan(a) = pi / 4 + atan((a - 1) / (a + 1)) = pi / 2 + atan(-1 / a)."""
    large = a > TAN_THREE_EIGHTHS
    middle = a > TAN_EIGHTH
    t = (-ONE if large else (a - ONE if middle else a)) / (a if large else (a + ONE if middle else ONE))
    z = t * t
    high = HALF_PI_HI if large else (QUARTER_PI_HI if middle else ZERO)
    low = HALF_PI_LO if large else (QUARTER_PI_LO if middle else ZERO)
    return high + (t + multiply_add(t * z, polynomial(z, ATAN), low))


@scalar
def atan_f32(x):
    """atan(x) in float32. Error at most 2.0 ulp."""
    return with_sign_f32(_arctangent_f32(abs(x)), x)


@scalar
def atan2_f32(y, x):
    """The angle of the point (x, y) in float32, in [-pi, pi]; special cases as C's. Error at most 2.5 ulp."""
    a = abs(y)
    b = abs(x)
    steep = a > b
    # equal ones apart: 0 / 0 and inf / inf
    quotient = (b if steep else a) / (a if steep else b)
    angle = _arctangent_f32(ONE if a == b else quotient)
    angle = (HALF_PI_HI - (angle - HALF_PI_LO)) if steep else angle
    angle = ZERO if a == ZERO else angle
    behind = np.float32(x).view(np.int32) < 0
    angle = (PI_HI - (angle - PI_LO)) if behind else angle
    return x + y if (x != x) | (y != y) else with_sign_f32(angle, y)


@scalar
def _arcsine_pieces_f32(a):
    """r and asin(r), where r = a, or r = sqrt((1 - a) / 2) for a > 1 / 2."""
    large = a > HALF
    z = HALF * (ONE - a) if large else a * a
    r = np.sqrt(z) if large else a
    return multiply_add(r * z, polynomial(z, ASIN), r)


@scalar
def asin_f32(x):
    """asin(x) in float32, as pi / 2 - 2 asin(sqrt((1 - |x|) / 2)) beyond 1 / 2; NaN beyond 1. Error at most 2.5 ulp."""
    a = abs(x)
    p = _arcsine_pieces_f32(a)
    y = HALF_PI_HI - (p + p - HALF_PI_LO)
    return with_sign_f32(y if a > HALF else p, x)


@scalar
def acos_f32(x):
    """acos(x) in float32; NaN beyond 1. Error at most 1.3 ulp."""
    a = abs(x)
    p = _arcsine_pieces_f32(a)
    inner = HALF_PI_HI - (with_sign_f32(p, x) - HALF_PI_LO)
    outer = PI_HI - (p + p - PI_LO) if x < ZERO else p + p
    return outer if a > HALF else inner


# ---------------------------------------------------------------------------------- float64, names with D for double

HALF_PI_HI_D, HALF_PI_LO_D, QUARTER_PI_HI_D, QUARTER_PI_LO_D, PI_HI_D, PI_LO_D = doubles(
    "0x1.921fb54442d18p+0 0x1.1a62633145c07p-54 0x1.921fb54442d18p-1 0x1.1a62633145c07p-55 "
    "0x1.921fb54442d18p+1 0x1.1a62633145c07p-53"
)
TAN_EIGHTH_D, TAN_THREE_EIGHTHS_D = doubles("0x1.a827999fcef32p-2 0x1.3504f333f9de6p+1")
ATAN_D = doubles(
    "-0x1.5555555555554p-2 0x1.9999999999582p-3 -0x1.249249246f3c6p-3 0x1.c71c71b445edfp-4 -0x1.745d144d39fbcp-4 "
    "0x1.3b1364aa3351dp-4 -0x1.110be7ca8d220p-4 0x1.e16781100223ap-5 -0x1.ab3af25cbfe5ap-5 0x1.6fe30bd38b38dp-5 "
    "-0x1.0fd67621596f3p-5 0x1.e868816e7cd79p-7"
)
ASIN_D = doubles(
    "0x1.5555555555578p-3 0x1.333333332df15p-4 0x1.6db6db722b670p-5 0x1.f1c71a8b9ecdbp-6 0x1.6e8bdfe63b634p-6 "
    "0x1.1c49de070ec83p-6 0x1.ca214414401fep-7 0x1.75778b602d21dp-7 0x1.618adb86d57c5p-7 0x1.e157d9cc2977fp-9 "
    "0x1.65037fd611c62p-6 -0x1.59f946cdc29ffp-6 0x1.0be576b4f49dcp-5"
)


@scalar
def _arctangent_f64(a):
    """atan(a) for a >= 0, by atan(a) = pi / 4 + atan((a - 1) / (a + 1)) = pi / 2 + atan(-1 / a)."""
    large = a > TAN_THREE_EIGHTHS_D
    middle = a > TAN_EIGHTH_D
    t = (-1.0 if large else (a - 1.0 if middle else a)) / (a if large else (a + 1.0 if middle else 1.0))
    z = t * t
    high = HALF_PI_HI_D if large else (QUARTER_PI_HI_D if middle else 0.0)
    low = HALF_PI_LO_D if large else (QUARTER_PI_LO_D if middle else 0.0)
    return high + (t + multiply_add(t * z, polynomial(z, ATAN_D), low))


@scalar
def atan_f64(x):
    """atan(x) in float64. Error at most 2.0 ulp."""
    return with_sign_f64(_arctangent_f64(abs(x)), x)


@scalar
def atan2_f64(y, x):
    """The angle of the point (x, y) in float64, in [-pi, pi]; special cases as C's. Error at most 2.5 ulp."""
    a = abs(y)
    b = abs(x)
    steep = a > b
    # equal ones apart: 0 / 0 and inf / inf
    quotient = (b if steep else a) / (a if steep else b)
    angle = _arctangent_f64(1.0 if a == b else quotient)
    angle = (HALF_PI_HI_D - (angle - HALF_PI_LO_D)) if steep else angle
    angle = 0.0 if a == 0.0 else angle
    behind = np.float64(x).view(np.int64) < 0
    angle = (PI_HI_D - (angle - PI_LO_D)) if behind else angle
    return x + y if (x != x) | (y != y) else with_sign_f64(angle, y)


@scalar
def _arcsine_pieces_f64(a):
    """r and asin(r), where r = a, or r = sqrt((1 - a) / 2) for a > 1 / 2."""
    large = a > 0.5
    z = 0.5 * (1.0 - a) if large else a * a
    r = np.sqrt(z) if large else a
    return multiply_add(r * z, polynomial(z, ASIN_D), r)


@scalar
def asin_f64(x):
    """asin(x) in float64, as pi / 2 - 2 asin(sqrt((1 - |x|) / 2)) beyond 1 / 2; NaN beyond 1. Error at most 2.5 ulp."""
    a = abs(x)
    p = _arcsine_pieces_f64(a)
    y = HALF_PI_HI_D - (p + p - HALF_PI_LO_D)
    return with_sign_f64(y if a > 0.5 else p, x)


@scalar
def acos_f64(x):
    """acos(x) in float64; NaN beyond 1. Error at most 1.3 ulp."""
    a = abs(x)
    p = _arcsine_pieces_f64(a)
    inner = HALF_PI_HI_D - (with_sign_f64(p, x) - HALF_PI_LO_D)
    outer = PI_HI_D - (p + p - PI_LO_D) if x < 0.0 else p + p
    return outer if a > 0.5 else inner

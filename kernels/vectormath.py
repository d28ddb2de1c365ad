"""Exponentials and logarithms that LLVM's loop vectoriser turns into SIMD code; see `simd` for how, and how exact.

Method: range reduction after Cody and Waite (Software Manual for the Elementary Functions, 1980); logarithms by the
series of 2 atanh(f / (2 + f)), the rounding of 1 + x corrected, as in Sun's fdlibm.
"""

import math

import numpy as np
from numgraph.kernels.simd import (
    HALF,
    INF,
    NEGATIVE_INF,
    NOT_A_NUMBER,
    ONE,
    ROUNDER,
    ROUNDER_D,
    TINY,
    TINY_D,
    TWO,
    ZERO,
    doubles,
    multiply_add,
    polynomial,
    power_of_two,
    scalar,
    singles,
    times_power_of_two,
)

# ------------------------------------------------------------------------------------------------------------- float32

LOG2_E, LN2, LN2_HI, NEGATIVE_LN2_HI, LN2_LO, NEGATIVE_LN2_LO = singles(
    "0x1.71547652b82fep+0 0x1.62e42fefa39efp-1 0x1.62e4p-1 -0x1.62e4p-1 0x1.7f7d1cf79abcap-20 -0x1.7f7d1cf79abcap-20"
)
LOG10_E, LOG10_2_HI, LOG10_2_LO = singles("0x1.bcb7b1526e50ep-2 0x1.3440000000000p-2 0x1.3509f79fef312p-18")
EXPONENT_SHIFT, MANTISSA = np.uint32(23), np.uint32(0x7FFFFF)
SQRT_HALF_BITS, ONE_LESS_SQRT_HALF_BITS = np.uint32(0x3F3504F3), np.uint32(0x3F800000 - 0x3F3504F3)
NEGATIVE_BIAS, SUBNORMAL_EXPONENT = np.float32(-127), np.float32(-127 - 23)
SMALLEST_NORMAL, SUBNORMAL_SCALE = np.float32(2.0**-126), np.float32(2.0**23)
# Beyond these exp and exp2 are infinite or 0, and expm1 is -1; from 2**POWER_TOP on powers are infinite.
EXP_TOP, EXP_BOTTOM, EXPM1_BOTTOM, EXP2_BOTTOM, POWER_TOP = (np.float32(v) for v in (89, -104, -18, -151, 129))
# (expm1(r) - r) / r**2 on |r| <= ln(2) / 2
EXP = singles("0x1p-1 0x1.5554b2p-3 0x1.5554c8p-5 0x1.122668p-7 0x1.6d7206p-10")
# (2 atanh(s) - 2 s) / s**3 in s**2, s = f / (2 + f), for sqrt(1/2) <= 1 + f <= sqrt(2)
LOG = singles("0x1.55557ap-1 0x1.995eccp-2 0x1.31e23ep-2")


@scalar
def _expm1_rest_f32(x, n):
    """expm1(x - n ln(2))."""
    r = multiply_add(n, NEGATIVE_LN2_LO, multiply_add(n, NEGATIVE_LN2_HI, x))
    return multiply_add(r * r, polynomial(r, EXP), r)


@scalar
def reduced_f32(x):
    """n and expm1(r), where x = n ln(2) + r and |r| <= ln(2) / 2."""
    n = multiply_add(x, LOG2_E, ROUNDER) - ROUNDER
    return n, _expm1_rest_f32(x, n)


@scalar
def exp_f32(x):
    """exp(x) in float32. Error at most 1.1 ulp."""
    x = EXP_BOTTOM if x < EXP_BOTTOM else x
    n = multiply_add(x, LOG2_E, ROUNDER) - ROUNDER
    # x itself stays as large as it is, and so does the remainder
    n = POWER_TOP if n > POWER_TOP else n
    return times_power_of_two(_expm1_rest_f32(x, n), n, x)


@scalar
def exp2_f32(x):
    """2**x in float32; exact for whole x. Error at most 1.1 ulp."""
    x = POWER_TOP if x > POWER_TOP else x
    x = EXP2_BOTTOM if x < EXP2_BOTTOM else x
    n = (x + ROUNDER) - ROUNDER
    r = (x - n) * LN2
    return times_power_of_two(multiply_add(r * r, polynomial(r, EXP), r), n, x)


@scalar
def expm1_f32(x):
    """exp(x) - 1 in float32. Error at most 1.8 ulp."""
    clamped = EXP_TOP if x > EXP_TOP else x
    clamped = EXPM1_BOTTOM if clamped < EXPM1_BOTTOM else clamped
    n, e = reduced_f32(clamped)
    # half of the result, so that 2**128 is not needed
    scale = power_of_two(n - ONE)
    y = multiply_add(scale, e, scale - HALF)
    return x if abs(x) < TINY else y + y


@scalar
def log_pieces_f32(x, exponent):
    """k, f, f**2 / 2, s, p of a normal x > 0: log(x) = (k + exponent) ln(2) + f - (f**2 / 2 - s p)."""
    bits = np.uint32(np.float32(x).view(np.uint32) + ONE_LESS_SQRT_HALF_BITS)
    k = np.float32(np.int32(bits >> EXPONENT_SHIFT)) + exponent
    f = np.uint32((bits & MANTISSA) + SQRT_HALF_BITS).view(np.float32) - ONE
    s = f / (TWO + f)
    z = s * s
    half_square = HALF * f * f
    return k, f, half_square, s, multiply_add(z, polynomial(z, LOG), half_square)


@scalar
def log_terms_f32(x, exponent, correction):
    """log(x) + exponent ln(2) + correction for a normal x > 0; the largest terms are added last."""
    k, f, half_square, s, p = log_pieces_f32(x, exponent)
    rest = multiply_add(s, p, multiply_add(k, LN2_LO, correction))
    return multiply_add(k, LN2_HI, f - (half_square - rest))


@scalar
def normal_f32(x):
    """`x` made normal, and the power of 2 that `log_pieces_f32` needs for it."""
    scaled = x * SUBNORMAL_SCALE
    subnormal = x < SMALLEST_NORMAL
    return (scaled if subnormal else x), (SUBNORMAL_EXPONENT if subnormal else NEGATIVE_BIAS)


@scalar
def _log_limits_f32(x, y):
    """A logarithm `y` of x where x is positive and finite; -inf at 0, NaN below, x at inf and NaN."""
    low = NEGATIVE_INF if x == ZERO else NOT_A_NUMBER
    y = low if x <= ZERO else y
    return y if x < INF else x


@scalar
def log_f32(x):
    """log(x) in float32. Error at most 0.9 ulp."""
    normal, exponent = normal_f32(x)
    return _log_limits_f32(x, log_terms_f32(normal, exponent, ZERO))


@scalar
def log2_f32(x):
    """The logarithm to base 2 in float32; exact at powers of 2. Error at most 2.0 ulp."""
    normal, exponent = normal_f32(x)
    k, f, half_square, s, p = log_pieces_f32(normal, exponent)
    return _log_limits_f32(x, multiply_add(f - (half_square - s * p), LOG2_E, k))


@scalar
def log10_f32(x):
    """The logarithm to base 10 in float32. Error at most 2.0 ulp."""
    normal, exponent = normal_f32(x)
    k, f, half_square, s, p = log_pieces_f32(normal, exponent)
    y = multiply_add(f - (half_square - s * p), LOG10_E, k * LOG10_2_LO)
    return _log_limits_f32(x, multiply_add(k, LOG10_2_HI, y))


@scalar
def log1p_f32(x):
    """log(1 + x) in float32, with the rounding of 1 + x corrected to first order. Error at most 0.9 ulp."""
    u = ONE + x
    correction = (x - (u - ONE)) / u
    y = log_terms_f32(u, NEGATIVE_BIAS, correction)
    low = NEGATIVE_INF if u == ZERO else NOT_A_NUMBER
    y = low if u <= ZERO else y
    y = y if u < INF else u
    return x if abs(x) < TINY else y


# ---------------------------------------------------------------------------------- float64, names with D for double

LOG2_E_D, LN2_D, LN2_HI_D, NEGATIVE_LN2_HI_D, LN2_LO_D, NEGATIVE_LN2_LO_D = doubles(
    "0x1.71547652b82fep+0 0x1.62e42fefa39efp-1 0x1.62e42fefa38p-1 -0x1.62e42fefa38p-1 0x1.ef35793c7673p-45 "
    "-0x1.ef35793c7673p-45"
)
LOG10_E_D, LOG10_2_HI_D, LOG10_2_LO_D = doubles("0x1.bcb7b1526e50ep-2 0x1.34413509f8000p-2 -0x1.80433b83b532ap-44")
EXPONENT_SHIFT_D, MANTISSA_D = np.uint64(52), np.uint64(2**52 - 1)
SQRT_HALF_BITS_D = np.uint64(0x3FE6A09E667F3BCD)
ONE_LESS_SQRT_HALF_BITS_D = np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
# an integer k >= 0 in the low bits of 2**52 is the float 2**52 + k
WHOLE_BITS, NEGATIVE_BIAS_D = np.uint64(0x4330000000000000), -(2.0**52 + 1023)
SUBNORMAL_EXPONENT_D = NEGATIVE_BIAS_D - 54
SMALLEST_NORMAL_D, SUBNORMAL_SCALE_D = 2.0**-1022, 2.0**54
EXP_TOP_D, EXP_BOTTOM_D, EXPM1_BOTTOM_D, EXP2_TOP_D, EXP2_BOTTOM_D = 710.0, -746.0, -38.0, 1025.0, -1076.0
EXP_D = doubles(
    "0x1p-1 0x1.5555555555559p-3 0x1.5555555555558p-5 0x1.111111110f71cp-7 0x1.6c16c16c1762dp-10 "
    "0x1.a01a01af98f49p-13 0x1.a01a0198e5615p-16 0x1.71ddf9343e1a9p-19 0x1.27e5053b8f2b2p-22 "
    "0x1.af5d2383212b8p-26 0x1.1f251c9616d35p-29"
)
LOG_D = doubles(
    "0x1.5555555555593p-1 0x1.999999997f9f8p-2 0x1.249249422a482p-2 0x1.c71c51d7cbf0dp-3 0x1.746649b051d75p-3 "
    "0x1.39a0957625d8ep-3 0x1.2f118043af178p-3"
)


@scalar
def reduced_f64(x):
    """n and expm1(r), where x = n ln(2) + r and |r| <= ln(2) / 2."""
    n = multiply_add(x, LOG2_E_D, ROUNDER_D) - ROUNDER_D
    r = multiply_add(n, NEGATIVE_LN2_LO_D, multiply_add(n, NEGATIVE_LN2_HI_D, x))
    return n, multiply_add(r * r, polynomial(r, EXP_D), r)


@scalar
def exp_f64(x):
    """exp(x) in float64. Error at most 1.0 ulp."""
    x = EXP_TOP_D if x > EXP_TOP_D else x
    x = EXP_BOTTOM_D if x < EXP_BOTTOM_D else x
    n, e = reduced_f64(x)
    return times_power_of_two(e, n, x)


@scalar
def exp2_f64(x):
    """2**x in float64; exact for whole x. Error at most 1.1 ulp."""
    x = EXP2_TOP_D if x > EXP2_TOP_D else x
    x = EXP2_BOTTOM_D if x < EXP2_BOTTOM_D else x
    n = (x + ROUNDER_D) - ROUNDER_D
    r = (x - n) * LN2_D
    return times_power_of_two(multiply_add(r * r, polynomial(r, EXP_D), r), n, x)


@scalar
def expm1_f64(x):
    """exp(x) - 1 in float64. Error at most 2.0 ulp."""
    clamped = EXP_TOP_D if x > EXP_TOP_D else x
    clamped = EXPM1_BOTTOM_D if clamped < EXPM1_BOTTOM_D else clamped
    n, e = reduced_f64(clamped)
    scale = power_of_two(n - 1.0)
    y = multiply_add(scale, e, scale - 0.5)
    return x if abs(x) < TINY_D else y + y


@scalar
def log_pieces_f64(x, exponent):
    """As in float32. AVX2 cannot convert int64 to float64, so `exponent` also takes back the 2**52 of WHOLE_BITS."""
    bits = np.float64(x).view(np.uint64) + ONE_LESS_SQRT_HALF_BITS_D
    k = np.uint64((bits >> EXPONENT_SHIFT_D) | WHOLE_BITS).view(np.float64) + exponent
    f = np.uint64((bits & MANTISSA_D) + SQRT_HALF_BITS_D).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    return k, f, half_square, s, multiply_add(z, polynomial(z, LOG_D), half_square)


@scalar
def log_terms_f64(x, exponent, correction):
    """log(x) + exponent ln(2) + correction for a normal x > 0; the largest terms are added last."""
    k, f, half_square, s, p = log_pieces_f64(x, exponent)
    rest = multiply_add(s, p, multiply_add(k, LN2_LO_D, correction))
    return multiply_add(k, LN2_HI_D, f - (half_square - rest))


@scalar
def normal_f64(x):
    """`x` made normal, and the power of 2 that `log_pieces_f64` needs for it."""
    scaled = x * SUBNORMAL_SCALE_D
    subnormal = x < SMALLEST_NORMAL_D
    return (scaled if subnormal else x), (SUBNORMAL_EXPONENT_D if subnormal else NEGATIVE_BIAS_D)


@scalar
def _log_limits_f64(x, y):
    """A logarithm `y` of x where x is positive and finite; -inf at 0, NaN below, x at inf and NaN."""
    low = -math.inf if x == 0.0 else math.nan
    y = low if x <= 0.0 else y
    return y if x < math.inf else x


@scalar
def log_f64(x):
    """log(x) in float64. Error at most 0.9 ulp."""
    normal, exponent = normal_f64(x)
    return _log_limits_f64(x, log_terms_f64(normal, exponent, 0.0))


@scalar
def log2_f64(x):
    """The logarithm to base 2 in float64; exact at powers of 2. Error at most 2.0 ulp."""
    normal, exponent = normal_f64(x)
    k, f, half_square, s, p = log_pieces_f64(normal, exponent)
    return _log_limits_f64(x, multiply_add(f - (half_square - s * p), LOG2_E_D, k))


@scalar
def log10_f64(x):
    """The logarithm to base 10 in float64. Error at most 2.0 ulp."""
    normal, exponent = normal_f64(x)
    k, f, half_square, s, p = log_pieces_f64(normal, exponent)
    y = multiply_add(f - (half_square - s * p), LOG10_E_D, k * LOG10_2_LO_D)
    return _log_limits_f64(x, multiply_add(k, LOG10_2_HI_D, y))


@scalar
def log1p_f64(x):
    """log(1 + x) in float64, with the rounding of 1 + x corrected to first order. Error at most 0.9 ulp."""
    u = 1.0 + x
    correction = (x - (u - 1.0)) / u
    y = log_terms_f64(u, NEGATIVE_BIAS_D, correction)
    low = -math.inf if u == 0.0 else math.nan
    y = low if u <= 0.0 else y
    y = y if u < math.inf else u
    return x if abs(x) < TINY_D else y

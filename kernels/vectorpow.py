"""Powers and lengths for SIMD loops; see `simd` for how, and how exact."""

import math

import numpy as np
from numgraph.kernels.simd import (
    HALF,
    INF,
    NOT_A_NUMBER,
    ONE,
    ROUNDER_D,
    ZERO,
    doubles,
    multiply_add,
    off_whole,
    polynomial,
    power_of_two,
    scalar,
    upper_half,
)
from numgraph.kernels.vectormath import (
    EXP_D,
    EXPONENT_SHIFT_D,
    LN2_D,
    MANTISSA_D,
    NEGATIVE_BIAS_D,
    ONE_LESS_SQRT_HALF_BITS_D,
    SQRT_HALF_BITS_D,
    WHOLE_BITS,
    normal_f64,
)

# log2((1 + s) / (1 - s)) / s in s**2, and 2**r for |r| <= 1 / 2, as exact as float32 needs
POW_LOG2 = doubles(
    "0x1.71547652beea9p+1 0x1.ec709d12062e9p-1 0x1.2777807607a99p-1 0x1.a58d4889fbc7ep-2 0x1.5cecded2ff6dep-2"
)
POW_EXP2 = doubles(
    "0x1.ffffffff58edbp-1 0x1.62e430d076e78p-1 0x1.ebfbe1080b5afp-3 0x1.c6aecc1d89984p-5 0x1.3b29998893307p-7 "
    "0x1.5f48e6070ea14p-10 0x1.4496c9142aa4ap-13"
)
# (3 atanh(s) / s - 3 - s**2) / s**4 in s**2
POW_LOG_D = doubles(
    "0x1.3333333333330p-1 0x1.b6db6db6dc91dp-2 0x1.55555554141b0p-2 0x1.1745d22b9539bp-2 0x1.d89d10f52b721p-3 "
    "0x1.99b187e7068b2p-3 0x1.669d1ebe5e8dcp-3 0x1.709b88776873ap-3"
)
# 2 / (3 ln(2)) and its upper half
TWO_THIRDS_LOG2_E, TWO_THIRDS_LOG2_E_HI, TWO_THIRDS_LOG2_E_LO = doubles(
    "0x1.ec709dc3a03fdp-1 0x1.ec709d8000000p-1 0x1.0e80ff5d27f05p-27"
)
# Exponents beyond +-EXPONENT_TOP act as infinite ones: each number but 1 gives 0 or infinity.
EXPONENT_TOP = 1e20
HYPOT_TOP_D, HYPOT_BOTTOM_D, HYPOT_UP_D, HYPOT_DOWN_D = 2.0**500, 2.0**-500, 2.0**600, 2.0**-600


@scalar
def exp2_terms(t):
    """2**t in float64, with a relative error of 2**-29, as float32 needs it; t is cut at -300 and 300."""
    t = 300.0 if t > 300.0 else t
    t = -300.0 if t < -300.0 else t
    n = (t + ROUNDER_D) - ROUNDER_D
    return polynomial(t - n, POW_EXP2) * power_of_two(n)


@scalar
def _power_limits_f64(x, y, magnitude):
    """x**y, from |x|**y where both are numbers and |x| is neither 0 nor infinite: C's special cases."""
    a = abs(x)
    # 2**53 and larger are even, and so is infinity
    fraction = off_whole(y)
    odd = abs(off_whole(y * 0.5)) == 0.5
    end = math.inf if (a > 1.0) == (y > 0.0) else 0.0
    result = end if (a == 0.0) | (a == math.inf) else magnitude
    negative = np.int64(np.float64(x).view(np.int64)) < 0
    result = -result if negative & odd else result
    undefined = (x < 0.0) & (a < math.inf) & (abs(fraction) > 0.0)
    result = math.nan if undefined | (x != x) | (y != y) else result
    return 1.0 if (x == 1.0) | (y == 0.0) else result


@scalar
def _power_limits_f32(x, y, magnitude):
    """As in float64."""
    a = abs(x)
    fraction = off_whole(y)
    odd = abs(off_whole(y * HALF)) == HALF
    end = INF if (a > ONE) == (y > ZERO) else ZERO
    result = end if (a == ZERO) | (a == INF) else magnitude
    negative = np.int32(np.float32(x).view(np.int32)) < 0
    result = -result if negative & odd else result
    undefined = (x < ZERO) & (a < INF) & (abs(fraction) > ZERO)
    result = NOT_A_NUMBER if undefined | (x != x) | (y != y) else result
    return ONE if (x == ONE) | (y == ZERO) else result


@scalar
def power_f32(x, y):
    """x**y in float32, computed in float64; special cases as C's pow. Error at most 0.7 ulp."""
    base = np.float64(x)
    exponent = np.float64(y)
    bits = np.float64(abs(base)).view(np.uint64) + ONE_LESS_SQRT_HALF_BITS_D
    k = np.uint64((bits >> EXPONENT_SHIFT_D) | WHOLE_BITS).view(np.float64) + NEGATIVE_BIAS_D
    f = np.uint64((bits & MANTISSA_D) + SQRT_HALF_BITS_D).view(np.float64) - 1.0
    s = f / (2.0 + f)
    log2 = multiply_add(s, polynomial(s * s, POW_LOG2), k)
    bounded = EXPONENT_TOP if exponent > EXPONENT_TOP else exponent
    bounded = -EXPONENT_TOP if bounded < -EXPONENT_TOP else bounded
    return _power_limits_f32(x, y, np.float32(exp2_terms(log2 * bounded)))


@scalar
def _log2_in_halves(a):
    """The logarithm to base 2 of a > 0 in float64, as a sum of two numbers, the first with 26 bits: error 2**-64.

    As Sun's fdlibm has it in e_pow.c: s = f / (2 + f) and 3 + s**2 + ... are each carried in two numbers.
    """
    normal, exponent = normal_f64(a)
    bits = np.float64(normal).view(np.uint64) + ONE_LESS_SQRT_HALF_BITS_D
    k = np.uint64((bits >> EXPONENT_SHIFT_D) | WHOLE_BITS).view(np.float64) + exponent
    m = np.uint64((bits & MANTISSA_D) + SQRT_HALF_BITS_D).view(np.float64)
    f = m - 1.0
    inverse = 1.0 / (m + 1.0)
    s = f * inverse
    s_high = upper_half(s)
    d_high = upper_half(m + 1.0)
    s_low = inverse * ((f - s_high * d_high) - s_high * (m - (d_high - 1.0)))
    z = s * s
    r = z * z * polynomial(z, POW_LOG_D) + s_low * (s_high + s)
    z_high = s_high * s_high
    t_high = upper_half(3.0 + z_high + r)
    t_low = r - ((t_high - 3.0) - z_high)
    u = s_high * t_high
    v = s_low * t_high + t_low * s
    p_high = upper_half(u + v)
    p_low = v - (p_high - u)
    w_high = TWO_THIRDS_LOG2_E_HI * p_high
    w_low = TWO_THIRDS_LOG2_E_LO * p_high + p_low * TWO_THIRDS_LOG2_E
    high = upper_half((w_high + w_low) + k)
    return high, w_low - ((high - k) - w_high)


@scalar
def power_f64(x, y):
    """x**y in float64; special cases as C's pow. Error at most 1.5 ulp."""
    high, low = _log2_in_halves(abs(x))
    bounded = EXPONENT_TOP if y > EXPONENT_TOP else y
    bounded = -EXPONENT_TOP if bounded < -EXPONENT_TOP else bounded
    y_high = upper_half(bounded)
    t_high = y_high * high
    t_low = (bounded - y_high) * high + bounded * low
    t = t_high + t_low
    inside = 1025.0 if t > 1025.0 else t
    inside = -1076.0 if inside < -1076.0 else inside
    n = (inside + ROUNDER_D) - ROUNDER_D
    r = ((t_high - n) + t_low) * LN2_D
    e = multiply_add(r * r, polynomial(r, EXP_D), r)
    half = multiply_add(n, 0.5, ROUNDER_D) - ROUNDER_D
    magnitude = (1.0 + e) * power_of_two(half) * power_of_two(n - half)
    magnitude = math.inf if t > 1025.0 else magnitude
    return _power_limits_f64(x, y, 0.0 if t < -1076.0 else magnitude)


@scalar
def hypot_f32(x, y):
    """sqrt(x**2 + y**2) in float32, computed in float64; infinite where x or y is. Error at most 0.6 ulp."""
    a = np.float64(x)
    b = np.float64(y)
    infinite = (abs(x) == INF) | (abs(y) == INF)
    return INF if infinite else np.float32(np.sqrt(a * a + b * b))


@scalar
def hypot_f64(x, y):
    """sqrt(x**2 + y**2) in float64 without overflow; infinite where x or y is. Error at most 1.5 ulp."""
    a = abs(x)
    b = abs(y)
    largest = a if a > b else b
    scale = HYPOT_DOWN_D if largest > HYPOT_TOP_D else (HYPOT_UP_D if largest < HYPOT_BOTTOM_D else 1.0)
    back = HYPOT_UP_D if largest > HYPOT_TOP_D else (HYPOT_DOWN_D if largest < HYPOT_BOTTOM_D else 1.0)
    a = a * scale
    b = b * scale
    infinite = (a == math.inf) | (b == math.inf)
    return math.inf if infinite else np.sqrt(multiply_add(a, a, b * b)) * back

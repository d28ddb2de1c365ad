"""The error function and its complement for SIMD loops; see `simd` for how, and how exact."""

import numpy as np
from numgraph.kernels.simd import (
    HALF,
    ONE,
    ROUNDER,
    ROUNDER_D,
    TWO,
    ZERO,
    doubles,
    multiply_add,
    polynomial,
    power_of_two,
    scalar,
    singles,
    upper_half,
    with_sign_f32,
    with_sign_f64,
)
from numgraph.kernels.vectormath import reduced_f32, reduced_f64

ERF_TOP, ERF_SPLIT = np.float32(4), np.float32(0.9)
# erf(x) / x - 1 in x**2 for |x| <= 0.9, and -log(1 - erf(x)) / x for 0.85 <= x <= 4
ERF_SMALL = singles("0x1.06eba6p-3 -0x1.8126ecp-2 0x1.ce1b86p-4 -0x1.b69b96p-6 0x1.479c9ep-8 -0x1.3ba9cep-11")
ERF_LARGE = singles(
    "0x1.20ec84p+0 0x1.45481ep-1 0x1.b20196p-4 -0x1.814e2p-6 0x1.cdf17ap-9 -0x1.3375c2p-12 0x1.13fb36p-17"
)
# the same for |x| <= 0.5
ERF_SMALL_D = doubles(
    "0x1.06eba8214db68p-3 -0x1.812746b03794ap-2 0x1.ce2f21a0346f3p-4 -0x1.b82ce30a7e603p-6 0x1.565bcacbb0de9p-8 "
    "-0x1.c02cfd7c6621bp-11 0x1.f98165282d64ap-14 -0x1.f12f4e15ac98dp-17 0x1.83898073aceb2p-20"
)
# exp(x**2) erfc(x) / t in t - 1/8, t = 1 / (1 + x), for 0.48 <= x <= 10.1, and (1 + 2 x) exp(x**2) erfc(x) in
# (x - 3) / (x + 3) for 0 <= x <= 27.5
EIGHTH = np.float32(0.125)
ERFC = singles(
    "0x1.46dc6cp-1 0x1.3b76acp-1 0x1.d38b64p-4 -0x1.2b34ccp-1 -0x1.88fb5p-2 0x1.3effdp+0 0x1.cc2aep-2 -0x1.d69e92p+1 "
    "0x1.103b3ap+2 -0x1.b59a2p+0"
)
ERFC_D = doubles(
    "0x1.40c522d7e4987p+0 -0x1.15c084bb9e8ddp-3 -0x1.85a15c58aa539p-5 0x1.098366a5b3d11p-3 -0x1.e88b803a4a367p-4 "
    "0x1.17ca287819401p-4 -0x1.8574c40b6ddb7p-6 0x1.4b884df75a796p-9 0x1.ef1bdcf8ec9e2p-10 -0x1.98db46f325371p-11 "
    "-0x1.b9124d87c41c4p-14 0x1.065967f39d053p-13 0x1.4c18846b8dc6dp-18 -0x1.51264fdc3b249p-16 -0x1.8711f33aada01p-21 "
    "0x1.d0a9fbe52dfc2p-19 0x1.778757c2b1bf8p-22 -0x1.43724423ad6a9p-21 -0x1.19ae2af889ad8p-23 0x1.82beabf349864p-24 "
    "0x1.170fe2aaa103ap-25 -0x1.10fbb3b687c4bp-27 -0x1.111abe6a0a33ep-28"
)
# Beyond these erfc is 0 (2 on the negative side).
ERFC_TOP, ERFC_SPLIT = np.float32(11), np.float32(0.65)
# 1.5 * 2**15: what it is added to is rounded to 8 bits behind the point.
ERFC_ROUNDER = np.float32(49152)
ERF_TOP_D, ERF_SPLIT_D, ERFC_TOP_D = 6.0, 0.5, 27.5


@scalar
def erf_f32(x):
    """erf(x) in float32: x p(x**2) for small |x|, 1 - exp(-q(|x|)) beyond. Error at most 1.2 ulp."""
    a = abs(x)
    a = ERF_TOP if a > ERF_TOP else a
    n, e = reduced_f32(-a * polynomial(a, ERF_LARGE))
    scale = power_of_two(n)
    large = np.float32(ONE - multiply_add(scale, e, scale))
    large = with_sign_f32(large, x)
    small = multiply_add(x, polynomial(x * x, ERF_SMALL), x)
    return large if a > ERF_SPLIT else small


@scalar
def erfc_f32(x):
    """1 - erf(x) in float32: 1 - x p(x**2) for small |x|, exp(-x**2) q(1 / (1 + |x|)) beyond. Error at most 4.0 ulp."""
    a = abs(x)
    a = ERFC_TOP if a > ERFC_TOP else a
    square = a * a
    high = (a + ERFC_ROUNDER) - ERFC_ROUNDER
    low = a - high
    lost = (high * high - square + (high + high) * low) + low * low
    n, e = reduced_f32(-square)
    divisor = ONE + a
    t = ONE / divisor
    q = t * polynomial(t - EIGHTH, ERFC)
    # e, and what was rounded off the square and the divisor, are the small terms: q falls about as t does
    lost = multiply_add(ONE - (divisor - a), t, lost)
    y = multiply_add(q, multiply_add(-lost, ONE + e, e), q)
    half = multiply_add(n, HALF, ROUNDER) - ROUNDER
    y = y * power_of_two(half) * power_of_two(n - half)
    y = TWO - y if x < ZERO else y
    return y if a > ERFC_SPLIT else ONE - multiply_add(x, polynomial(x * x, ERF_SMALL), x)


@scalar
def _erfc_pieces(a):
    """n and y with erfc(a) = 2**n y, for 0 <= a <= 27.5."""
    square = a * a
    high = upper_half(a)
    low = a - high
    lost = (high * high - square + (high + high) * low) + low * low
    n, e = reduced_f64(-square)
    q = polynomial((a - 3.0) / (a + 3.0), ERFC_D) / (1.0 + (a + a))
    # e, and the part of the square that was rounded off, are the small terms
    return n, q + q * (e - lost * (1.0 + e))


@scalar
def erf_f64(x):
    """erf(x) in float64: x p(x**2) for small |x|, 1 - erfc(|x|) beyond. Error at most 2.0 ulp."""
    a = abs(x)
    a = ERF_TOP_D if a > ERF_TOP_D else a
    n, y = _erfc_pieces(a)
    large = with_sign_f64(1.0 - y * power_of_two(n), x)
    return large if a > ERF_SPLIT_D else multiply_add(x, polynomial(x * x, ERF_SMALL_D), x)


@scalar
def erfc_f64(x):
    """1 - erf(x) in float64, as exp(-x**2) with x**2 in double precision times a quotient (M. M. Shepherd and J. G.
    Laframboise, Mathematics of Computation 36, 1981). Error at most 4.0 ulp."""
    a = abs(x)
    a = ERFC_TOP_D if a > ERFC_TOP_D else a
    n, y = _erfc_pieces(a)
    half = multiply_add(n, 0.5, ROUNDER_D) - ROUNDER_D
    y = y * power_of_two(half) * power_of_two(n - half)
    y = 2.0 - y if x < 0.0 else y
    return y if a > ERF_SPLIT_D else 1.0 - multiply_add(x, polynomial(x * x, ERF_SMALL_D), x)

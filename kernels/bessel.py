"""Modified Bessel functions in float64, plain functions for devices.

Those of the first kind are summed by their power series, and for large x by the series in 1 / x (DLMF 10.25.2 and
10.40.1).
exp(x) * K(v, x) is the integral of exp(-x * (cosh(t) - 1)) * cosh(v * t) over t > 0, which the trapezoidal rule gives
to rounding: its error falls exponentially with the number of points. Source: Trefethen and Weideman, The exponentially
convergent trapezoidal rule, SIAM Review 56, 2014.
"""

import math

from numba.extending import register_jitable

# from here on the series in 1 / x is exact
BESSEL_FAR, TWO_PI = 30.0, 6.283185307179586
# the step for small x and v, and in parts of the width of the peak; points at most
STEP, PART, BESSEL_TERMS = 0.2, 0.5, 20000
SMALLEST = 2.0**-54
# from this v / x on the peak is at log(2 * v / x); exponents beyond this are out of range
FAR_PEAK, BEYOND = 1e8, 2000.0


@register_jitable
def _scaled(x, order):
    """exp(-x) times the function of the first kind and order 0 or 1, for x >= 0."""
    term, total, k, wanted = 1.0, 1.0, 1, True
    if x < BESSEL_FAR:
        square = 0.25 * x * x
        while wanted and k < BESSEL_TERMS:
            n = float(k)
            term = term * square / (n * (n + order))
            total = total + term
            wanted = term > SMALLEST * total
            k = k + 1
        return math.exp(-x) * total * (0.5 * x if order > 0.0 else 1.0)
    while wanted and k < BESSEL_TERMS:
        n = float(k)
        odd = 2.0 * n - 1.0
        term = term * (odd * odd - 4.0 * order) / (8.0 * n * x)
        total = total + term
        wanted = abs(term) > SMALLEST * total
        k = k + 1
    return total / math.sqrt(TWO_PI * x)


@register_jitable
def i0e_f64(x):
    """exp(-abs(x)) times the function of the first kind and order 0."""
    return _scaled(abs(x), 0.0)


@register_jitable
def i1e_f64(x):
    """exp(-abs(x)) times the function of the first kind and order 1."""
    return math.copysign(_scaled(abs(x), 1.0), x)


@register_jitable
def i0_f64(x):
    """The function of the first kind and order 0."""
    half = math.exp(0.5 * abs(x))
    return abs(x) if abs(x) == math.inf else i0e_f64(x) * half * half


@register_jitable
def i1_f64(x):
    """The function of the first kind and order 1."""
    half = math.exp(0.5 * abs(x))
    return x if abs(x) == math.inf else i1e_f64(x) * half * half


@register_jitable
def _integral(v, x, less):
    """exp(x - less) * K(v, x), NaN for negative x. What is summed is divided by the peak, which may be out of
    range where the result is not: K(32766, 32766) is 0, times exp(32766) it would be infinite."""
    v = abs(v)
    if not (x >= 0.0 and v < math.inf):
        return math.nan
    if x == 0.0 or x == math.inf:
        return math.inf if x == 0.0 else 0.0
    at = math.asinh(v / x) if v < FAR_PEAK * x else math.log(2.0 * v) - math.log(x)
    peak = v * at - v * (v / (math.hypot(v, x) + x))
    if abs(peak - less) > BEYOND:
        return math.inf if peak > less else 0.0
    h = min(STEP, PART / math.sqrt(max(x, v, 1.0)))
    total, k, wanted = 0.5 * math.exp(-peak), 1, True
    while wanted and k < BESSEL_TERMS:
        t = float(k) * h
        half = math.sinh(0.5 * t)
        fall = 2.0 * x * half * half + peak
        term = 0.5 * (math.exp(v * t - fall) + math.exp(-v * t - fall))
        total = total + term
        wanted = t < at or term > SMALLEST * total
        k = k + 1
    return total * h * math.exp(peak - less)


@register_jitable
def kve_f64(v, x):
    """exp(x) * kv(v, x); NaN for negative x."""
    return _integral(v, x, 0.0)


@register_jitable
def kv_f64(v, x):
    """The function of order v; NaN for negative x."""
    return _integral(v, x, x)


@register_jitable
def k0_f64(x):
    """The function of order 0; NaN for negative x."""
    return kv_f64(0.0, x)


@register_jitable
def k1_f64(x):
    """The function of order 1; NaN for negative x."""
    return kv_f64(1.0, x)

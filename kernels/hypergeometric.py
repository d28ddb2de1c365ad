"""The slopes of Gauss's hypergeometric function by its parameters, in float64, for loops and devices alike.

The series is summed with its derivative, term by term; far below zero it is that of z / (z - 1), by Pfaff's
transformation. At z = 1 it is Gauss's sum; next to it the series converges too slowly: beyond `LONGEST` the slope is
NaN.

Source: DLMF 15.2.1, 15.4.20 and 15.8.1.
"""

import math

from numba.extending import register_jitable
from numgraph.kernels.incomplete import psi

LONGEST, CLOSE = 1000000, 2.0**-53


@register_jitable
def _series(a, b, c, z, da, db, dc):
    """(sum, slope along (da, db, dc)); a NaN slope where it did not converge."""
    total, slope, term, change, k = 1.0, 0.0, 1.0, 0.0, 0.0
    first = abs(a) + abs(b) + abs(c)  # from here on terms become smaller
    small = CLOSE * (1.0 - abs(z))  # of the last term, so that all that follow are as small
    while k < LONGEST:
        p, q, r = a + k, b + k, c + k
        part = z / (r * (k + 1.0))
        ratio = p * q * part
        change = change * ratio + term * ((da * q + db * p) * part - ratio * dc / r)
        term = term * ratio
        total, slope, k = total + term, slope + change, k + 1.0
        if abs(term) <= small * abs(total) and abs(change) <= small * abs(slope) and (k > first or term == change):
            return total, slope
    return total, math.nan


@register_jitable
def _psi(x):
    """digamma; NaN at its poles."""
    if x > 0.0:
        return psi(x)
    return math.nan if math.floor(x) == x else psi(1.0 - x) - math.pi / math.tan(math.pi * x)


@register_jitable
def _at_one(a, b, c, da, db, dc):
    """The slope of Gauss's gamma(c) gamma(s) / (gamma(c - a) gamma(c - b)), s = c - a - b, NaN unless s > 0."""
    s = c - a - b
    if not s > 0.0:
        return math.nan
    value = math.gamma(c) * math.gamma(s) / (math.gamma(c - a) * math.gamma(c - b))
    return value * (dc * _psi(c) + (dc - da - db) * _psi(s) - (dc - da) * _psi(c - a) - (dc - db) * _psi(c - b))


@register_jitable
def hyp2f1_slope_f64(a, b, c, z, da, db, dc):
    """The derivative of `hyp2f1` along (da, db, dc): NaN for z above 1, and where c is 0, -1, ...."""
    if not z <= 1.0 or z == -math.inf or not (abs(a) + abs(b) + abs(c) < math.inf) or (c <= 0.0 and math.floor(c) == c):
        return math.nan
    if z == 1.0:
        return _at_one(a, b, c, da, db, dc)
    if z >= -0.5:
        _, slope = _series(a, b, c, z, da, db, dc)
        return slope
    total, slope = _series(a, c - b, c, z / (z - 1.0), da, dc - db, dc)
    return math.exp(-a * math.log1p(-z)) * (slope - da * math.log1p(-z) * total)

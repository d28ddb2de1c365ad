"""The slopes of Gauss's hypergeometric function by its parameters, in float64, for loops and devices alike.

The series is summed with its derivative, term by term; far below zero it is that of z / (z - 1), by Pfaff's
transformation. Next to z = 1 it converges too slowly: beyond `MOST_TERMS` the slope is NaN.

Source: DLMF 15.2.1 and 15.8.1.
"""

import math

from numba.extending import register_jitable

MOST_TERMS, NEAR = 1000000, 2.0**-53


@register_jitable
def _series(a, b, c, z, da, db, dc):
    """(sum, slope along (da, db, dc)); a NaN slope where it did not converge."""
    total, slope, term, change, k = 1.0, 0.0, 1.0, 0.0, 0.0
    first = abs(a) + abs(b) + abs(c)  # from here on terms become smaller
    small = NEAR * (1.0 - abs(z))  # of the last term, so that all that follow are as small
    while k < MOST_TERMS:
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
def hyp2f1_slope_f64(a, b, c, z, da, db, dc):
    """The derivative of `hyp2f1` along (da, db, dc): NaN for z from 1 on, and where c is 0, -1, ...."""
    if not z < 1.0 or z == -math.inf or not (abs(a) + abs(b) + abs(c) < math.inf) or (c <= 0.0 and math.floor(c) == c):
        return math.nan
    if z >= -0.5:
        _, slope = _series(a, b, c, z, da, db, dc)
        return slope
    total, slope = _series(a, c - b, c, z / (z - 1.0), da, dc - db, dc)
    return math.exp(-a * math.log1p(-z)) * (slope - da * math.log1p(-z) * total)

"""Random numbers by rejection, in float64: functions of (key, position, index) and parameters; see `draws`.

Each try takes the next counters of the element's own sequence: the upper 16 bits of the index count them, so that
elements beyond 2^48 would repeat others. A parameter outside of its range gives NaN.

Sources: Marsaglia and Tsang, A simple method for generating gamma variables, ACM TOMS 26, 2000; Hoermann, The
transformed rejection method for generating Poisson random variables (PTRS), Insurance: Mathematics and Economics 12,
1993; the same, The generation of binomial random variates (BTRS), J. Stat. Comput. Simul. 46, 1993. Small means are
drawn by adding up probabilities until a uniform number is passed.
"""

import math

from numba.extending import register_jitable
from numgraph.kernels.draws import above_zero_f64, normal_of, philox, unit_f64
from numpy import float64, int64, uint64

TRY_SHIFT = uint64(48)
# From here on all float64 are whole.
WHOLE = 2.0**52
# From this mean on rejection is used, for which its constants were made.
LARGE_MEAN = 10.0
# The counter of a number that belongs to no try, and what makes a fraction of a word.
LAST, FRACTION = 0xFFFF, 2.0**-32
# A bound below the accepted region of gamma numbers.
SQUEEZE = 0.0331
# More are never needed: one try in two is accepted at least. A loop ends where a number is not what it should be.
MOST_TRIES, MOST_STEPS = 1000, 1000


@register_jitable
def _words(key, position, index, attempt):
    """The four words of try number `attempt` of an element."""
    return philox(key, position, uint64(index) | (uint64(attempt) << TRY_SHIFT))


@register_jitable
def _floor(x):
    """The largest whole number that is not above x; NumPy's is not there on devices."""
    if not abs(x) < WHOLE:
        return x
    whole = float64(int64(x))
    return whole - 1.0 if whole > x else whole


@register_jitable
def gamma_f64(key, position, index, shape):
    """Gamma with the given shape and scale 1; 0 for shape 0."""
    if shape == 0.0:
        return 0.0
    if not (shape > 0.0 and shape < math.inf):
        return math.nan
    # below 1 the number for shape + 1 times u ** (1 / shape)
    small = shape < 1.0
    d = (shape + 1.0 if small else shape) - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    result, attempt, wanted = math.nan, 0, True
    while wanted and attempt < MOST_TRIES:
        w0, w1, w2, w3 = _words(key, position, index, attempt)
        attempt = attempt + 1
        # a normal number of three words, which leave one for u
        x = normal_of(float64(w0) * FRACTION, above_zero_f64(w2, w3))
        v = 1.0 + c * x
        if v > 0.0:
            v = v * v * v
            u, square = (float64(w1) + 0.5) * FRACTION, x * x
            # the first of the two is no condition of its own: it spares most the logarithms
            if u < 1.0 - SQUEEZE * square * square or math.log(u) < 0.5 * square + d - d * v + d * math.log(v):
                result, wanted = d * v, False
    if small:
        w0, w1, _, _ = _words(key, position, index, LAST)
        result = result * math.exp(math.log(above_zero_f64(w0, w1)) / shape)
    return result


@register_jitable
def _poisson_small(key, position, index, mean):
    """Poisson for a mean below `LARGE_MEAN`."""
    a, b, _, _ = _words(key, position, index, 0)
    left, k, p = unit_f64(a, b), 0.0, math.exp(-mean)
    while left >= p and k < MOST_STEPS:
        left = left - p
        k = k + 1.0
        p = p * mean / k
    return k


@register_jitable
def poisson_f64(key, position, index, mean):
    """Poisson with the given mean, a whole number."""
    if not (mean >= 0.0 and mean < math.inf):
        return math.nan
    if mean < LARGE_MEAN:
        return _poisson_small(key, position, index, mean)
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    accepted = 0.9277 - 3.6224 / (b - 2.0)
    result, attempt, wanted = math.nan, 0, True
    while wanted and attempt < MOST_TRIES:
        w0, w1, w2, w3 = _words(key, position, index, attempt)
        attempt = attempt + 1
        u, v = above_zero_f64(w0, w1) - 0.5, above_zero_f64(w2, w3)
        us = 0.5 - abs(u) + 2.0**-54
        k = _floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= accepted:
            result, wanted = k, False
        elif k >= 0.0 and (us >= 0.013 or v <= us):
            ratio = math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b)
            if ratio <= k * math.log(mean) - mean - math.lgamma(k + 1.0):
                result, wanted = k, False
    return result


@register_jitable
def _binomial_small(key, position, index, n, p):
    """Binomial for a mean below `LARGE_MEAN`, p at most 1/2."""
    a, b, _, _ = _words(key, position, index, 0)
    left, k, q = unit_f64(a, b), 0.0, math.exp(n * math.log1p(-p))
    odds = p / (1.0 - p)
    while left >= q and k < n and k < MOST_STEPS:
        left = left - q
        k = k + 1.0
        q = q * odds * (n - k + 1.0) / k
    return k


@register_jitable
def _binomial_large(key, position, index, n, p):
    """Binomial for a mean of at least `LARGE_MEAN`, p at most 1/2."""
    deviation = math.sqrt(n * p * (1.0 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    accepted, alpha = 0.92 - 4.2 / b, (2.83 + 5.1 / b) * deviation
    mode, log_odds = _floor((n + 1.0) * p), math.log(p / (1.0 - p))
    top = math.lgamma(mode + 1.0) + math.lgamma(n - mode + 1.0)
    result, attempt, wanted = math.nan, 0, True
    while wanted and attempt < MOST_TRIES:
        w0, w1, w2, w3 = _words(key, position, index, attempt)
        attempt = attempt + 1
        u, v = above_zero_f64(w0, w1) - 0.5, above_zero_f64(w2, w3)
        us = 0.5 - abs(u) + 2.0**-54
        k = _floor((2.0 * a / us + b) * u + n * p + 0.5)
        if us >= 0.07 and v <= accepted:
            result, wanted = k, False
        elif k >= 0.0 and k <= n:
            ratio = math.log(v * alpha / (a / (us * us) + b))
            if ratio <= top - math.lgamma(k + 1.0) - math.lgamma(n - k + 1.0) + (k - mode) * log_odds:
                result, wanted = k, False
    return result


@register_jitable
def binomial_f64(key, position, index, n, p):
    """How many of n trials succeed, each with probability p; n is cut to a whole number."""
    n = _floor(n)
    if not (n >= 0.0 and n < math.inf and p >= 0.0 and p <= 1.0):
        return math.nan
    # of the rarer of the two outcomes
    rare = p if p <= 0.5 else 1.0 - p
    if n * rare < LARGE_MEAN:
        k = _binomial_small(key, position, index, n, rare)
    else:
        k = _binomial_large(key, position, index, n, rare)
    return k if p <= 0.5 else n - k

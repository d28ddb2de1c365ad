"""Incomplete gamma and beta functions, their slopes by the parameters, and Hurwitz's zeta function, in float64.

Plain functions for every target. P and Q are summed by the series below the middle and by the continued fraction above
it, the incomplete beta function by its continued fraction; what comes in front of either is worked out with Stirling's
error, so that nothing cancels for large parameters. A slope is the derivative of that series or fraction, term by term,
along with it. The number of terms grows with the square root of the parameters: `MOST_TERMS` are enough up to 1e8.

Sources: Gautschi, A computational procedure for incomplete gamma functions, ACM TOMS 5, 1979; Thompson and Barnett,
Coulomb and Bessel functions of complex arguments and order, J. Comput. Phys. 64, 1986 (the modified method of Lentz);
Boik and Robison-Cox, Derivatives of the incomplete beta function, J. Stat. Software 3, 1998; DLMF 25.11.5 for zeta.
"""

import math

from numba.extending import register_jitable
from numpy import float64, int64

# More terms are never summed. A fraction has converged where the next factor is 1 to within `NEAR`.
MOST_TERMS, NEAR, TINIEST = 200000, 2.0**-52, 1e-300
# Up to this x, and for an order below 1, the powers of -x are summed.
SMALL = 1.1
# From here on Stirling's series is used; its terms and those of digamma's: B(2k) / (2k (2k - 1)) and B(2k) / 2k.
LARGE = 10.0
ROOT_2_PI, LOG_ROOT_2_PI = 2.5066282746310005024, 0.91893853320467274178
# zeta is summed up to here before the Euler-Maclaurin formula; further below zero than this it is not.
ZETA_TERMS, ZETA_BELOW = 12.0, -1e6


@register_jitable
def stirling_error(x):
    """The logarithm of gamma(x) less (x - 1/2) log(x) - x + log(2 pi) / 2, for x >= LARGE."""
    t = 1.0 / (x * x)
    s = 1.0 / 1188.0 + t * (-691.0 / 360360.0 + t / 156.0)
    s = -1.0 / 360.0 + t * (1.0 / 1260.0 + t * (-1.0 / 1680.0 + t * s))
    return (1.0 / 12.0 + t * s) / x


@register_jitable
def psi(x):
    """digamma for x > 0."""
    below = 0.0
    while x < LARGE:
        below = below - 1.0 / x
        x = x + 1.0
    t = 1.0 / (x * x)
    s = 1.0 / 240.0 + t * (-1.0 / 132.0 + t * (691.0 / 32760.0 - t / 12.0))
    s = t * (1.0 / 12.0 + t * (-1.0 / 120.0 + t * (1.0 / 252.0 - t * s)))
    return below + math.log(x) - 0.5 / x - s


# ----------------------------------------------------------------------------------------------------------------- beta


@register_jitable
def _is_whole(x):
    return abs(x) >= 2.0**52 or float64(int64(x)) == x


@register_jitable
def _is_pole(x):
    """Whether gamma has a pole at x."""
    return x <= 0.0 and _is_whole(x)


@register_jitable
def _sign_of_gamma(x):
    """The sign of gamma(x), which has no pole there."""
    return 1.0 if x > 0.0 or int64(x) % 2 != 0 else -1.0


@register_jitable
def _betaln_above_zero(a, b):
    small, large = min(a, b), max(a, b)
    if large == math.inf:
        return -math.inf if small < math.inf else math.nan
    if large < LARGE:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    if small < LARGE:
        return _betaln_of_large(small, large)
    share, other = math.log1p(small / large), math.log1p(large / small)
    error = stirling_error(large) - stirling_error(small + large)
    return LOG_ROOT_2_PI - 0.5 * math.log(large) - (small - 0.5) * other - large * share + error + stirling_error(small)


@register_jitable
def _betaln_of_large(small, large):
    """Where large and small + large are at least LARGE: nothing cancels."""
    error = stirling_error(large) - stirling_error(small + large)
    share = math.log1p(small / large)
    return math.lgamma(small) + small - small * math.log(small + large) - (large - 0.5) * share + error


@register_jitable
def betaln_f64(a, b):
    """The logarithm of the absolute value of the beta function, as SciPy's also where a or b is negative."""
    if a > 0.0 and b > 0.0:
        return _betaln_above_zero(a, b)
    if _is_pole(a) or _is_pole(b):
        below, other = (a, b) if _is_pole(a) else (b, a)
        # the poles of gamma(a) and gamma(a + b) cancel
        if 0.0 < other < 1.0 - below and _is_whole(other) and below > -math.inf:
            return _betaln_above_zero(1.0 - below - other, other)
        return math.inf
    if a != a or b != b or a == math.inf or b == math.inf:
        return a + b
    if _is_pole(a + b):
        return -math.inf
    if max(a, b) >= LARGE and a + b >= LARGE:
        return _betaln_of_large(min(a, b), max(a, b))
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@register_jitable
def beta_f64(a, b):
    """The beta function, as SciPy's also where a or b is negative."""
    size = math.exp(betaln_f64(a, b))
    if a > 0.0 and b > 0.0:
        return size
    if _is_pole(a) or _is_pole(b):
        below, other = (a, b) if _is_pole(a) else (b, a)
        odd = below > -math.inf and abs(other) < 2.0**52 and _is_whole(other) and int64(other) % 2 != 0
        return -size if odd and below + other < 1.0 else size
    if size == 0.0 or size != size:
        return size
    below = _sign_of_gamma(a) * _sign_of_gamma(b)
    return below * size if a == math.inf or b == math.inf else below * size * _sign_of_gamma(a + b)


@register_jitable
def _log_ratio(a, x, off, whole):
    """a * log(x * whole / a), for off = x * whole / a - 1."""
    return a * (math.log1p(off) if abs(off) < 0.5 else math.log(x / a * whole))


@register_jitable
def _log_front(a, b, x, y):
    """The logarithm of x**a * y**b / beta(a, b), for y = 1 - x."""
    if a < LARGE or b < LARGE:
        return a * math.log(x) + b * math.log(y) - betaln_f64(a, b)
    whole = a + b
    off = x * b - y * a
    error = stirling_error(a) + stirling_error(b) - stirling_error(whole)
    front = _log_ratio(a, x, off / a, whole) + _log_ratio(b, y, -off / b, whole)
    return front + 0.5 * math.log(a) + 0.5 * math.log(b / whole) - LOG_ROOT_2_PI - error


@register_jitable
def _lentz(part, slope, c, dc, d, dd):
    """A step of Lentz's method for a continued fraction 1 + part / (1 + ...): the ratios of its numerators and of its
    denominators, and their slopes. slope: that of `part`."""
    raw, rawer = 1.0 + part * d, slope * d + part * dd
    c, dc = 1.0 + part / c, (slope - part * dc / c) / c
    raw, c = TINIEST if raw == 0.0 else raw, TINIEST if c == 0.0 else c
    d = 1.0 / raw
    return c, dc, d, -rawer * d * d


@register_jitable
def _beta_fraction(a, b, x, da, db):
    """The continued fraction of the incomplete beta function, and the slope of its logarithm along (da, db)."""
    whole = a + b
    raw = 1.0 - whole * x / (a + 1.0)
    raw = TINIEST if raw == 0.0 else raw
    slope = -x * ((da + db) * (a + 1.0) - whole * da) / ((a + 1.0) * (a + 1.0))
    c, dc, d = 1.0, 0.0, 1.0 / raw
    dd = -slope * d * d
    h, total = d, dd / d
    m, wanted = 1, True
    while wanted and m < MOST_TERMS:
        k = float(m)
        two = a + 2.0 * k
        part = k * (b - k) * x / ((two - 1.0) * two)
        slope = k * x * db / ((two - 1.0) * two) - part * (da / (two - 1.0) + da / two)
        c, dc, d, dd = _lentz(part, slope, c, dc, d, dd)
        h, total = h * d * c, total + dd / d + dc / c
        part = -(a + k) * (whole + k) * x / (two * (two + 1.0))
        slope = -x * (da * (whole + k) + (a + k) * (da + db)) / (two * (two + 1.0))
        slope = slope - part * (da / two + da / (two + 1.0))
        c, dc, d, dd = _lentz(part, slope, c, dc, d, dd)
        step, last = d * c, dd / d + dc / c
        h, total = h * step, total + last
        m = m + 1
        wanted = not (abs(step - 1.0) <= NEAR and abs(last) <= NEAR * (1.0 + abs(total)))
    return h, total


@register_jitable
def betainc_f64(a, b, x):
    """The regularized incomplete beta function; NaN outside of 0 <= x <= 1 and for negative a or b."""
    if not (a >= 0.0 and b >= 0.0 and x >= 0.0 and x <= 1.0) or (a == b and (a == 0.0 or a == math.inf)):
        return math.nan
    if x == 0.0 or x == 1.0:
        return x
    if a == 0.0 or a == math.inf or b == 0.0 or b == math.inf:
        return 1.0 if a == 0.0 or b == math.inf else 0.0
    front = math.exp(_log_front(a, b, x, 1.0 - x))
    if x < (a + 1.0) / (a + b + 2.0):
        h, _ = _beta_fraction(a, b, x, 0.0, 0.0)
        return front * h / a
    h, _ = _beta_fraction(b, a, 1.0 - x, 0.0, 0.0)
    return 1.0 - front * h / b


@register_jitable
def betainc_slope_f64(a, b, x, da, db):
    """The derivative of `betainc` along (da, db)."""
    if not (a > 0.0 and b > 0.0 and x >= 0.0 and x <= 1.0):
        return math.nan
    if x == 0.0 or x == 1.0 or a == math.inf or b == math.inf:
        return 0.0
    front = math.exp(_log_front(a, b, x, 1.0 - x))
    both = psi(a + b)
    outer = da * (math.log(x) - psi(a) + both) + db * (math.log1p(-x) - psi(b) + both)
    if x < (a + 1.0) / (a + b + 2.0):
        h, inner = _beta_fraction(a, b, x, da, db)
        return front * h / a * (outer + inner - da / a)
    h, inner = _beta_fraction(b, a, 1.0 - x, db, da)
    return -front * h / b * (outer + inner - db / b)


# ---------------------------------------------------------------------------------------------------------------- gamma


@register_jitable
def _power_front(a, x):
    """x**a * exp(-x) / gamma(a)."""
    if a < LARGE:
        return math.exp(a * math.log(x) - x - math.lgamma(a))
    off = (x - a) / a
    # log(1 + off) - off by its series where it would cancel
    if abs(off) < 0.1:
        term, rest, k = off, 0.0, 2.0
        while k < 30.0:
            term = -term * off
            rest = rest + term / k
            k = k + 1.0
    else:
        rest = math.log(x / a) - off
    return math.sqrt(a) * math.exp(a * rest - stirling_error(a)) / ROOT_2_PI


@register_jitable
def _gamma_series(a, x):
    """1 + x / (a + 1) + x**2 / ((a + 1) (a + 2)) + ..., and its slope by a."""
    term, dterm, total, slope, over = 1.0, 0.0, 1.0, 0.0, 0.0
    k, wanted = 1, True
    while wanted and k < MOST_TERMS:
        below = a + float(k)
        over = over + 1.0 / below
        term = term * x / below
        dterm = -term * over
        total, slope = total + term, slope + dterm
        k = k + 1
        wanted = term > NEAR * total or -dterm > NEAR * -slope
    return total, slope


@register_jitable
def _gamma_fraction(a, x):
    """The continued fraction of the upper incomplete gamma function, and the slope of its logarithm by a."""
    b = x + 1.0 - a
    c, dc, d = 1.0 / TINIEST, 0.0, 1.0 / b
    dd = d * d
    h, total = d, d
    k, wanted = 1, True
    while wanted and k < MOST_TERMS:
        i = float(k)
        part = -i * (i - a)
        b = b + 2.0
        raw, rawer = part * d + b, i * d + part * dd - 1.0
        c, dc = b + part / c, i / c - part * dc / (c * c) - 1.0
        raw, c = TINIEST if raw == 0.0 else raw, TINIEST if c == 0.0 else c
        d = 1.0 / raw
        dd = -rawer * d * d
        step, last = d * c, dd / d + dc / c
        h, total = h * step, total + last
        k = k + 1
        wanted = not (abs(step - 1.0) <= NEAR and abs(last) <= NEAR * (1.0 + abs(total)))
    return h, total


@register_jitable
def _gamma_outside(a, x):
    """P(a, x) at the ends of the ranges of a and x, -1 within them."""
    if not (a >= 0.0 and x >= 0.0):
        return math.nan
    if a == 0.0:
        return 1.0 if x > 0.0 else math.nan
    if x == 0.0:
        return 0.0
    if a == math.inf:
        return math.nan if x == math.inf else 0.0
    return 1.0 if x == math.inf else -1.0


@register_jitable
def _log_gamma_above_one(a):
    """log(gamma(1 + a)) for a in (0, 1): by its Taylor series where 1 + a loses digits of a."""
    if a > 0.02:
        return math.lgamma(1.0 + a)
    # Euler's constant, and zeta(k) / k
    last = -0.16955717699740818 + a * (0.14404989676884611 - a * 0.12550966952474304)
    inner = 0.4006856343865314 + a * (-0.27058080842778454 + a * (0.20738555102867398 + a * last))
    return a * (-0.5772156649015329 + a * (0.8224670334241132 - a * inner))


@register_jitable
def _small_gamma(a, x):
    """(P(a, x), 1 - P(a, x)) for a below 1 and small x: neither is a difference of nearly equal numbers.

    By the series of powers of -x, as in A. DiDonato and A. Morris, Computation of the incomplete gamma function ratios
    and their inverse, ACM TOMS 12(4), 1986.
    """
    term, total, k, wanted = 1.0, 0.0, 1, True
    while wanted and k < MOST_TERMS:
        term = -term * x / float(k)
        part = term / (a + float(k))
        total = total + part
        wanted = abs(part) > NEAR * abs(total)
        k = k + 1
    power = a * math.log(x) - _log_gamma_above_one(a)
    return math.exp(power) * (1.0 + a * total), -math.expm1(power) - math.exp(power) * a * total


@register_jitable
def gammainc_f64(a, x):
    """The regularized lower incomplete gamma function; NaN for negative a or x."""
    known = _gamma_outside(a, x)
    if known != -1.0:
        return known
    if a < 1.0 and x <= SMALL:
        below, _ = _small_gamma(a, x)
        return below
    if x < a + 1.0:
        total, _ = _gamma_series(a, x)
        return _power_front(a, x) * total / a
    h, _ = _gamma_fraction(a, x)
    return 1.0 - _power_front(a, x) * h


@register_jitable
def gammaincc_f64(a, x):
    """The regularized upper incomplete gamma function; NaN for negative a or x."""
    known = _gamma_outside(a, x)
    if known != -1.0:
        return 1.0 - known
    if a < 1.0 and x <= SMALL:
        _, above = _small_gamma(a, x)
        return above
    if x < a + 1.0:
        total, _ = _gamma_series(a, x)
        return 1.0 - _power_front(a, x) * total / a
    h, _ = _gamma_fraction(a, x)
    return _power_front(a, x) * h


@register_jitable
def gammainc_slope_f64(a, x):
    """The derivative of `gammainc` by a."""
    if not (a > 0.0 and a < math.inf and x >= 0.0):
        return math.nan
    if x == 0.0 or x == math.inf:
        return 0.0
    front, outer = _power_front(a, x), math.log(x) - psi(a)
    if x < a + 1.0:
        total, slope = _gamma_series(a, x)
        return front / a * (total * (outer - 1.0 / a) + slope)
    h, inner = _gamma_fraction(a, x)
    return -front * h * (outer + inner)


# ----------------------------------------------------------------------------------------------------------------- zeta


@register_jitable
def hurwitz_f64(s, q):
    """The sum of (q + k)**-s over k = 0, 1, ...: infinite for s = 1, and for q = 0, -1, ...; NaN for s < 1, and for
    negative q where s is not whole, or q is below `ZETA_BELOW`."""
    if s != s or q != q or s < 1.0:
        return math.nan
    if s == 1.0 or (q <= 0.0 and _is_whole(q)):
        return math.inf
    if q < ZETA_BELOW or (q <= 0.0 and not _is_whole(s)):
        return math.nan
    if s == math.inf or q == math.inf:
        return 0.0 if q > 1.0 else 1.0 if q == 1.0 else math.inf
    total, far, wanted = 0.0, ZETA_TERMS + 0.5 * s, True
    while wanted and q < far:
        term = math.pow(q, -s)
        total = total + term
        # what is negative comes before all that is larger
        wanted = q <= 0.0 or term > 0.125 * NEAR * total
        q = q + 1.0
    if not wanted:
        return total
    # Euler-Maclaurin: B(2k) / (2k)! s (s + 1) ... (s + 2k - 2) q**(1 - s - 2k), by Horner's rule
    t = 1.0 / q / q
    h = -2.174868698558062e-16
    h = 8.586062056277845e-15 + (s + 17.0) * (s + 18.0) * t * h
    h = -3.3896802963225827e-13 + (s + 15.0) * (s + 16.0) * t * h
    h = 1.3382536530684679e-11 + (s + 13.0) * (s + 14.0) * t * h
    h = -5.284190138687493e-10 + (s + 11.0) * (s + 12.0) * t * h
    h = 2.08767569878681e-08 + (s + 9.0) * (s + 10.0) * t * h
    h = -8.267195767195768e-07 + (s + 7.0) * (s + 8.0) * t * h
    h = 3.306878306878307e-05 + (s + 5.0) * (s + 6.0) * t * h
    h = -0.001388888888888889 + (s + 3.0) * (s + 4.0) * t * h
    h = 0.08333333333333333 + (s + 1.0) * (s + 2.0) * t * h
    return total + math.pow(q, -s) * (q / (s - 1.0) + 0.5 + s / q * h)

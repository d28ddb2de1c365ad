"""Functions of complex numbers, for loops and devices alike.

Each computes in the precision of its argument. Literals are float32, which any precision holds exactly. Where parts are
infinite or NaN the values are those of C99's Annex G, as NumPy's.

Sources: W. Kahan, "Branch cuts for complex elementary functions" (1987), for tanh and the inverse functions;
R. Smith, Algorithm 116 (1962), for the quotient, as in NumPy; C99, Annex G.
"""

import math

import numpy as np
from numba.extending import register_jitable

_ZERO, _HALF, _UNIT, _TWO, _FOUR, _EIGHTH = (np.float32(v) for v in (0, 0.5, 1, 2, 4, 0.125))
_INF, _NAN = np.float32(np.inf), np.float32(np.nan)
# exp(x) is finite below it in float32, and 1 - tanh(x) is less than half of an ulp of float64 beyond `_FLAT`
# Squares between these have all their digits.
_LOW, _HIGH = np.float32(2.0**-76), np.float32(2.0**100)
_STEEP, _FLAT = np.float32(88), np.float32(20)
# Beyond the first one an inverse hyperbolic sine is a logarithm, and beyond the second the inverse tangent is a right
# angle, to all digits.
_LARGE, _HUGE, _TEN = np.float32(2.0**30), np.float32(2.0**60), np.float32(10)


@register_jitable
def _length(x, y):
    """sqrt(x * x + y * y), without overflow on the way; infinite where one is."""
    square = x * x + y * y
    if square > _LOW and square < _HIGH:
        return math.sqrt(square)
    x, y = abs(x), abs(y)
    if x == _INF or y == _INF:
        return x if x == _INF else y
    most = x if x > y else y
    least = y if x > y else x
    if most == _ZERO:
        return x + y  # NaN where x is
    ratio = least / most
    return most * math.sqrt(_UNIT + ratio * ratio)


@register_jitable
def made_complex(x, y):
    """x + y * 1j, for floats of one precision."""
    return complex(x, y)


@register_jitable
def real_complex(z):
    """The real part."""
    return z.real


@register_jitable
def imag_complex(z):
    """The imaginary part."""
    return z.imag


@register_jitable
def conj_complex(z):
    """The conjugate."""
    return complex(z.real, -z.imag)


@register_jitable
def abs_complex(z):
    """The absolute value, without overflow on the way."""
    return _length(z.real, z.imag)


@register_jitable
def angle_complex(z):
    """The angle in the plane, in [-pi, pi]."""
    return math.atan2(z.imag, z.real)


@register_jitable
def isinf_complex(z):
    """Whether a part is infinite."""
    return abs(z.real) == _INF or abs(z.imag) == _INF


@register_jitable
def unit_complex(z):
    """z / abs(z), and 0 for 0. What is infinite has no part in a part that is not."""
    length = _length(z.real, z.imag)
    if length == _ZERO:
        return z
    return complex(_share(z.real, length), _share(z.imag, length))


@register_jitable
def _share(x, length):
    """x / length; 1 or -1 for two infinities."""
    return math.copysign(_UNIT, x) if abs(x) == _INF else x / length


@register_jitable
def quotient_complex(a, b):
    """a / b."""
    x, y = abs(b.real), abs(b.imag)
    if x >= y:
        if x == _ZERO and y == _ZERO:
            return complex(a.real / x, a.imag / y)
        ratio = b.imag / b.real
        scale = _UNIT / (b.real + b.imag * ratio)
        return complex((a.real + a.imag * ratio) * scale, (a.imag - a.real * ratio) * scale)
    ratio = b.real / b.imag
    scale = _UNIT / (b.imag + b.real * ratio)
    return complex((a.real * ratio + a.imag) * scale, (a.imag * ratio - a.real) * scale)


@register_jitable
def _times_zero(a, b):
    """a * b, and 0 where a is 0 and b infinite."""
    return a if a == _ZERO else a * b


@register_jitable
def exp_complex(z):
    """e to the power z."""
    x, y = z.real, z.imag
    if y == _ZERO:
        return complex(math.exp(x), y)
    if abs(x) == _INF and not abs(y) < _INF:
        return complex(x, y - y) if x > _ZERO else complex(_ZERO, _ZERO)
    if not abs(y) < _INF:
        return complex(y - y, y - y)
    if x > _STEEP:
        # exp(x) may overflow where its product with a sine does not
        half = math.exp(x * _HALF)
        return complex(half * math.cos(y) * half, half * math.sin(y) * half)
    size = math.exp(x)
    return complex(_times_zero(size, math.cos(y)), _times_zero(size, math.sin(y)))


@register_jitable
def log_complex(z):
    """The natural logarithm, whose imaginary part is in [-pi, pi]."""
    x, y = abs(z.real), abs(z.imag)
    high = x if x > y else y
    low = y if x > y else x
    length = _length(x, y)
    if length > _HALF and length < _TWO:
        # next to 1 the logarithm of the rounded length has few digits
        size = _HALF * math.log1p((high - _UNIT) * (high + _UNIT) + low * low)
    elif length == _INF and high < _INF:
        size = math.log(_length(x * _HALF, y * _HALF)) - math.log(_HALF + _ZERO * low)
    else:
        size = math.log(length)
    return complex(size, math.atan2(z.imag, z.real))


@register_jitable
def _scaled_log(z, base):
    """The logarithm to a base, a number that float32 holds."""
    size = math.log(math.copysign(base, abs(z.real)))
    natural = log_complex(z)
    return complex(natural.real / size, natural.imag / size)


@register_jitable
def log2_complex(z):
    """The logarithm to base 2."""
    return _scaled_log(z, _TWO)


@register_jitable
def log10_complex(z):
    """The logarithm to base 10."""
    return _scaled_log(z, _TEN)


@register_jitable
def exp2_complex(z):
    """2 to the power z."""
    size = math.log(math.copysign(_TWO, abs(z.real)))
    return exp_complex(complex(z.real * size, z.imag * size))


@register_jitable
def expm1_complex(z):
    """exp(z) - 1, exact for small z."""
    x, y = z.real, z.imag
    if y == _ZERO:
        return complex(math.expm1(x), y)
    if x > _STEEP:
        return exp_complex(z) - _UNIT
    turn = math.sin(y * _HALF)
    return complex(math.expm1(x) * math.cos(y) - _TWO * turn * turn, math.exp(x) * math.sin(y))


@register_jitable
def log1p_complex(z):
    """log(1 + z), exact for small z."""
    x, y = z.real, z.imag
    if abs(x) > _HALF or abs(y) > _HALF:
        return log_complex(complex(_UNIT + x, y))
    return complex(_HALF * math.log1p(x * (_TWO + x) + y * y), math.atan2(y, _UNIT + x))


@register_jitable
def sqrt_complex(z):
    """The square root whose real part is not negative."""
    x, y = z.real, z.imag
    if x == _ZERO and y == _ZERO:
        return complex(abs(x), y)
    if abs(y) == _INF:
        return complex(abs(y), y)
    if x == _INF:
        return complex(x, y if y != y else math.copysign(_ZERO, y))
    if x == -_INF:
        return complex(y if y != y else _ZERO, math.copysign(-x, y))
    # eighths: their sum does not overflow
    root = _TWO * math.sqrt(_length(x * _EIGHTH, y * _EIGHTH) + abs(x) * _EIGHTH)
    other = abs(y) / (_TWO * root)
    if x >= _ZERO:
        return complex(root, math.copysign(other, y))
    return complex(other, math.copysign(root, y))


@register_jitable
def sinh_complex(z):
    """The hyperbolic sine."""
    x, y = z.real, z.imag
    if y == _ZERO:
        return complex(math.sinh(x), y)
    return complex(_times_zero(math.sinh(x), math.cos(y)), _times_zero(math.sin(y), math.cosh(x)))


@register_jitable
def cosh_complex(z):
    """The hyperbolic cosine."""
    x, y = z.real, z.imag
    if y == _ZERO:
        return complex(math.cosh(x), math.copysign(_UNIT, x) * y)
    return complex(math.cosh(x) * math.cos(y), _times_zero(math.sinh(x), math.sin(y)))


@register_jitable
def tanh_complex(z):
    """The hyperbolic tangent."""
    x, y = z.real, z.imag
    if y == _ZERO:
        return complex(math.tanh(x), y)
    if abs(x) > _FLAT:
        small = math.exp(-abs(x))
        turned = math.sin(y) * math.cos(y) if abs(y) < _INF or abs(x) < _INF else math.copysign(_ZERO, y)
        return complex(math.copysign(_UNIT, x), _FOUR * turned * small * small)
    t, s = math.tan(y), math.sinh(x)
    grown = _UNIT + t * t
    rho = math.sqrt(_UNIT + s * s)
    if abs(t) == _INF:
        return complex(rho / s, _UNIT / t)
    below = _UNIT + grown * s * s
    return complex(grown * rho * s / below, t / below)


@register_jitable
def sin_complex(z):
    """The sine."""
    turned = sinh_complex(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


@register_jitable
def cos_complex(z):
    """The cosine."""
    return cosh_complex(complex(-z.imag, z.real))


@register_jitable
def tan_complex(z):
    """The tangent."""
    turned = tanh_complex(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


@register_jitable
def _log_of_twice(x, y):
    """log(2 * abs(x + y * 1j)), without overflow on the way."""
    return math.log(_length(x * _HALF, y * _HALF)) + _TWO * math.log(math.copysign(_TWO, abs(x)))


@register_jitable
def asinh_complex(z):
    """The inverse hyperbolic sine, whose imaginary part is in [-pi/2, pi/2]."""
    x, y = z.real, z.imag
    if y == _ZERO:
        return complex(math.asinh(x), y)
    if abs(x) > _LARGE or abs(y) > _LARGE:
        return complex(math.copysign(_log_of_twice(x, y), x), math.atan2(y, abs(x)))
    a, b = sqrt_complex(complex(_UNIT + y, -x)), sqrt_complex(complex(_UNIT - y, x))
    return complex(math.asinh(a.real * b.imag - b.real * a.imag), math.atan2(y, a.real * b.real - a.imag * b.imag))


@register_jitable
def acos_complex(z):
    """The inverse cosine, whose real part is in [0, pi]."""
    x, y = z.real, z.imag
    if y == _ZERO and abs(x) <= _UNIT:
        return complex(math.acos(x), -y)
    if abs(x) > _LARGE or abs(y) > _LARGE:
        return complex(math.atan2(abs(y), x), math.copysign(_log_of_twice(x, y), -y))
    if x == _ZERO and y != y:
        return complex(math.acos(x), y)
    a, b = sqrt_complex(complex(_UNIT - x, -y)), sqrt_complex(complex(_UNIT + x, y))
    return complex(_TWO * math.atan2(a.real, b.real), math.asinh(b.real * a.imag - b.imag * a.real))


@register_jitable
def acosh_complex(z):
    """The inverse hyperbolic cosine, whose real part is not negative."""
    turned = acos_complex(z)
    return complex(abs(turned.imag), math.copysign(turned.real, z.imag))


@register_jitable
def atanh_complex(z):
    """The inverse hyperbolic tangent, whose imaginary part is in [-pi/2, pi/2]."""
    x, y = abs(z.real), z.imag
    if x == _ZERO:
        return complex(z.real, math.atan(y))
    if y == _ZERO and x <= _UNIT:
        return complex(math.atanh(z.real), y)
    if x > _HUGE or abs(y) > _HUGE:
        half = _length(x * _HALF, y * _HALF)
        size = x * (_HALF * _HALF) / half / half if half < _INF else _UNIT / half
        return complex(math.copysign(size, z.real), math.atan(math.copysign(_INF, y)) if y == y else y)
    if x == _UNIT and abs(y) * _LARGE < _UNIT:
        size = _HALF * (math.log(_TWO * x) - math.log(abs(y)))
        return complex(math.copysign(size, z.real), math.copysign(_HALF * math.atan2(_TWO * x, -abs(y)), y))
    size = math.log1p(_FOUR * x / ((_UNIT - x) * (_UNIT - x) + y * y)) * (_HALF * _HALF)
    return complex(math.copysign(size, z.real), -_HALF * math.atan2(-_TWO * y, (_UNIT - x) * (_UNIT + x) - y * y))


@register_jitable
def asin_complex(z):
    """The inverse sine, whose real part is in [-pi/2, pi/2]."""
    turned = asinh_complex(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


@register_jitable
def atan_complex(z):
    """The inverse tangent, whose real part is in [-pi/2, pi/2]."""
    turned = atanh_complex(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


@register_jitable
def _whole_power(base, count):
    """base to a whole power, by squares."""
    result, square, left = base, base, count - 1
    while left > 0:
        if left & 1:
            result = result * square
        square = square * square
        left = left >> 1
    return result


@register_jitable
def power_complex(a, b):
    """a to the power b; whole powers below 100 by products, as NumPy."""
    x, y = b.real, b.imag
    if x == _ZERO and y == _ZERO:
        return complex(_UNIT, _ZERO)
    if a.real == _ZERO and a.imag == _ZERO:
        return complex(_ZERO, _ZERO) if x > _ZERO else complex(_NAN, _NAN)
    if y == _ZERO and abs(x) < 100 and math.floor(x) == x:
        n = np.int64(abs(x))
        power = _whole_power(a, n)
        return power if x > _ZERO else quotient_complex(complex(_UNIT, _ZERO), power)
    return exp_complex(b * log_complex(a))

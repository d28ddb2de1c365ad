"""Scalar functions of generated kernels that `math` lacks or that need care, for float32 and for float64.

Each takes and returns the dtype in its name, and nothing in between is of another one. `numgraph.scalars` lists them.
"""

import math

from numgraph.kernels.cuda.support import helper
from numpy import float32, float64, int64


def _functions(number, whole):
    """The functions of one dtype. number: the dtype; whole: from here on floats of it have no fraction."""
    zero, one, half, far = number(0), number(1), number(0.5), number(whole)

    @helper
    def trunc(x):
        """x without its fraction; -0.0, NaN and infinities stay."""
        if not abs(x) < far:
            return x
        return math.copysign(number(int64(x)), x)

    @helper
    def floor(x):
        """The largest whole number that is not above x."""
        t = trunc(x)
        return t - one if t > x else t

    @helper
    def ceil(x):
        """The smallest whole number that is not below x; -0.0 for those between -1 and 0."""
        t = trunc(x)
        return t + one if t < x else t

    @helper
    def rint(x):
        """The nearest whole number, of two equally near ones the even one."""
        if not abs(x) < far:
            return x
        rounder = math.copysign(far, x)
        return math.copysign((x + rounder) - rounder, x)

    @helper
    def mod(a, b):
        """Remainder with the sign of b, as np.mod."""
        remainder = math.fmod(a, b)
        if remainder == zero:
            return math.copysign(remainder, b)
        return remainder + b if (b < zero) != (remainder < zero) else remainder

    @helper
    def floordiv(a, b):
        """Floor division as np.floor_divide, also where a / b rounds up to a whole number."""
        if b == zero:
            return a / b
        remainder = math.fmod(a, b)
        quotient = (a - remainder) / b
        if remainder != zero and (b < zero) != (remainder < zero):
            quotient = quotient - one
        if quotient == zero:
            return math.copysign(zero, a / b)
        below = floor(quotient)
        return below + one if quotient - below > half else below

    return trunc, floor, ceil, rint, mod, floordiv


trunc_f32, floor_f32, ceil_f32, rint_f32, mod_f32, floordiv_f32 = _functions(float32, 2.0**23)
trunc_f64, floor_f64, ceil_f64, rint_f64, mod_f64, floordiv_f64 = _functions(float64, 2.0**52)

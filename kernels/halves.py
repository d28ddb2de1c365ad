"""Numbers of float16 as float32 (and float64) ones: rounding, and what of 16 bits stands for a number.

float16 is a dtype of arrays; code computes in float32 and rounds. A half has 11 bits and exponents from -14 to 15, so
the numbers of float32 hold each one, the subnormal ones (multiples of 2**-24), infinities and NaN. All is done by sums,
comparisons and products with powers of two, which are exact: the bits are the same on every processor and device,
whether it has instructions for halves or not, and loops become SIMD loops.

Codes are whole numbers from 0 to 65535 as float32: the 16 bits of a half, read as an integer. NaN has one code.
"""

import math

from numgraph.kernels.simd import scalar
from numpy import float32, int32

# The powers of two by which one grows to the number, from 2**-14, the smallest normal half.
D16, D8, D4, D2, D1 = 2.0**16, 2.0**8, 2.0**4, 2.0**2, 2.0
LEAST, HALF_ROUNDER, D_INFINITY = 2.0**-14, 1.5 * 2.0**42, math.inf
LARGEST, CODE_OF_INFINITY, CODE_OF_NAN = 65504.0, 31744.0, 32256.0
F_LEAST, F_LARGEST, F_ROUNDER = float32(LEAST), float32(LARGEST), float32(1.5 * 2.0**13)
F16, F8, F4, F2, F1 = map(float32, (D16, D8, D4, D2, D1))
F_K16, F_K8, F_K4, F_K2, F_K1 = (float32(1024 * k) for k in (16, 8, 4, 2, 1))
F_ONE, F_ZERO, F_TOP, F_NAN, F_SIGN = map(float32, (1.0, 0.0, CODE_OF_INFINITY, CODE_OF_NAN, 32768.0))
F_STEP, F_INVERSE, F_SMALLEST, F_INFINITY = map(float32, (1024.0, 2.0**-10, 2.0**-24, math.inf))
I16, I8, I4, I2, I1, I0, I31 = map(int32, (16, 8, 4, 2, 1, 0, 31))


@scalar
def _rounded(x, least, largest, infinity, rounder, s16, s8, s4, s2, s1):
    """The half nearest to x, with constants of its dtype."""
    a = abs(x)
    # the power of two that the number begins with
    p = least
    p = p * s16 if a >= p * s16 else p
    p = p * s8 if a >= p * s8 else p
    p = p * s4 if a >= p * s4 else p
    p = p * s2 if a >= p * s2 else p
    p = p * s1 if a >= p * s1 else p
    # a sum that has no room for more than 10 bits behind the point
    r = (a + p * rounder) - p * rounder
    return math.copysign(infinity if r > largest else r, x)


@scalar
def half_rounded_f32(x):
    """The half nearest to x, of two equally near ones the even one; infinity from 65520 on."""
    return _rounded(x, F_LEAST, F_LARGEST, F_INFINITY, F_ROUNDER, F16, F8, F4, F2, F1)


@scalar
def half_rounded_f64(x):
    """The half nearest to x, of two equally near ones the even one; infinity from 65520 on."""
    return _rounded(x, LEAST, LARGEST, D_INFINITY, HALF_ROUNDER, D16, D8, D4, D2, D1)


@scalar
def half_code_f32(x):
    """The code of the half nearest to x."""
    a = abs(x)
    p, k = F_LEAST, F_ZERO
    k = k + F_K16 if a >= p * F16 else k
    p = p * F16 if a >= p * F16 else p
    k = k + F_K8 if a >= p * F8 else k
    p = p * F8 if a >= p * F8 else p
    k = k + F_K4 if a >= p * F4 else k
    p = p * F4 if a >= p * F4 else p
    k = k + F_K2 if a >= p * F2 else k
    p = p * F2 if a >= p * F2 else p
    k = k + F_K1 if a >= p * F1 else k
    p = p * F1 if a >= p * F1 else p
    # a number that is rounded up to the next power of two goes on counting where that begins
    code = k + ((a + p * F_ROUNDER) - p * F_ROUNDER) * (F_STEP / p)
    code = F_TOP if code > F_TOP else code
    code = code if a == a else F_NAN
    return code + F_SIGN if math.copysign(F_ONE, x) < F_ZERO else code


@scalar
def half_value_f32(code):
    """The number that a code, a whole number from 0 to 65535, stands for."""
    negative = code >= F_SIGN
    a = code - F_SIGN if negative else code
    exponent = int32(a * F_INVERSE)
    digits = a - float32(exponent) * F_STEP
    steps = exponent - I1 if exponent > I1 else I0
    unit = F_SMALLEST
    unit = unit * F16 if steps & I16 else unit
    unit = unit * F8 if steps & I8 else unit
    unit = unit * F4 if steps & I4 else unit
    unit = unit * F2 if steps & I2 else unit
    unit = unit * F1 if steps & I1 else unit
    value = (digits + F_STEP if exponent > I0 else digits) * unit
    # of infinity the digits are 0, of NaN they are not
    value = (F_INFINITY if digits == F_ZERO else F_INFINITY - F_INFINITY) if exponent == I31 else value
    return -value if negative else value

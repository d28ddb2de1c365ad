"""Random numbers from counters, for SIMD loops and for kernels of a device: functions of (key, position, index).

key: uint64, of one draw. position: uint64, how often the draw was made before. index: int64, the number of the element.
Philox 4x32-10 makes four words of 32 bits of the counter (index, position). Words are computed in 64 bits, of which the
upper half may be anything: it is cut off before a product, where the instruction for 32-bit factors ignores it anyway.

float32 numbers have 24 bits of a word, float64 ones 53 bits of two, the same word first: a draw in float32 is the draw
in float64, less exact. Normal numbers are Box and Muller's, the cosine of each pair; the angle needs no reduction.

Sources: Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011, and its library Random123 for
the constants; Box and Muller, A note on the generation of random normal deviates, Ann. Math. Stat. 29, 1958.
"""

import math

from numgraph.kernels.simd import HALF, polynomial, scalar
from numgraph.kernels.vectormath import log_f32, log_f64
from numpy import float32, float64, int32, int64, uint64

MASK, HALF_WORD = uint64(0xFFFFFFFF), uint64(32)
# Multipliers, and the steps of the key: the golden ratio and the square root of 3 less 1.
M0, M1 = uint64(0xD2511F53), uint64(0xCD9E8D57)
W0, W1 = uint64(0x9E3779B9), uint64(0xBB67AE85)
# What of a word goes into floats: 24 bits, or 27 of one and 26 of another. They convert as int32, in SIMD registers.
CUT_F32, CUT_SIGN, CUT_HIGH, CUT_LOW = uint64(8), uint64(1), uint64(5), uint64(6)
UNIT_F32, UNIT_31, HALF_UNIT_31 = float32(2.0**-24), float32(2.0**-31), float32(2.0**-32)
UNIT_HIGH, UNIT_LOW, HALF_UNIT = 2.0**-27, 2.0**-53, 2.0**-54
QUARTER_TURN, MINUS_TWO = float32(0.25), float32(-2)
# The series of sin(2 pi x) / x in x**2, of which |x| <= 1/4 needs so many terms: the next one is below 2**-53.
SINE_D = tuple((-1) ** k * (2 * math.pi) ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(11))
SINE = tuple(float32(c) for c in SINE_D[:7])
ROOT_HALF = math.sqrt(0.5)


@scalar
def _round(c0, c1, c2, c3, k0, k1):
    """One of ten rounds."""
    first = uint64(M0 * (c0 & MASK))
    second = uint64(M1 * (c2 & MASK))
    return (second >> HALF_WORD) ^ c1 ^ k0, second, (first >> HALF_WORD) ^ c3 ^ k1, first


@scalar
def _next(k0, k1):
    """The key of the next round."""
    return uint64(k0 + W0), uint64(k1 + W1)


@scalar
def philox(key, position, index):
    """The four words of a counter, uint64 below 2^32."""
    k0, k1 = uint64(key), uint64(key) >> HALF_WORD
    c0, c1 = uint64(index), uint64(index) >> HALF_WORD
    c2, c3 = uint64(position), uint64(position) >> HALF_WORD
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _next(k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _next(k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _next(k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _next(k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _next(k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _next(k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _next(k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _next(k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    k0, k1 = _next(k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    return c0 & MASK, c1 & MASK, c2 & MASK, c3 & MASK


# ------------------------------------------------------------------------------------------------------------- uniform


@scalar
def unit_f64(high, low):
    """A multiple of 2^-53 in [0, 1) of two words."""
    return float64(int32(high >> CUT_HIGH)) * UNIT_HIGH + float64(int32(low >> CUT_LOW)) * UNIT_LOW


@scalar
def above_zero_f32(word):
    """A number in (0, 1] of a word, 31 bits of which small ones keep."""
    return float32(int32(word >> CUT_SIGN)) * UNIT_31 + HALF_UNIT_31


@scalar
def above_zero_f64(high, low):
    """A number in (0, 1] of two words: half a unit above `unit_f64`."""
    return unit_f64(high, low) + HALF_UNIT


@scalar
def uniform_f32(key, position, index):
    """Uniform in [0, 1), a multiple of 2^-24."""
    word, _, _, _ = philox(key, position, index)
    return float32(int32(word >> CUT_F32)) * UNIT_F32


@scalar
def uniform_f64(key, position, index):
    """Uniform in [0, 1), a multiple of 2^-53."""
    high, low, _, _ = philox(key, position, index)
    return unit_f64(high, low)


# ---------------------------------------------------------------------------------------------- exponential and normal


@scalar
def exponential_f32(key, position, index):
    """Exponential with mean 1, by the logarithm of a uniform number; at most 22.2."""
    word, _, _, _ = philox(key, position, index)
    return -log_f32(above_zero_f32(word))


@scalar
def exponential_f64(key, position, index):
    """Exponential with mean 1, by the logarithm of a uniform number; at most 37.5."""
    high, low, _, _ = philox(key, position, index)
    return -log_f64(above_zero_f64(high, low))


@scalar
def _cosine_f32(turns):
    """cos(2 pi turns) for turns in [0, 1): the sine of what is left to a quarter, which is exact."""
    x = abs(turns - HALF) - QUARTER_TURN
    return x * polynomial(x * x, SINE)


@scalar
def _cosine_f64(turns):
    """cos(2 pi turns) for turns in [0, 1)."""
    x = abs(turns - 0.5) - 0.25
    return x * polynomial(x * x, SINE_D)


@scalar
def standard_normal_f32(key, position, index):
    """Normal with mean 0 and variance 1; |z| reaches 6.7."""
    angle, _, radius, _ = philox(key, position, index)
    length = math.sqrt(MINUS_TWO * log_f32(above_zero_f32(radius)))
    return float32(length) * _cosine_f32(float32(int32(angle >> CUT_F32)) * UNIT_F32)


@scalar
def normal_of(turns, u):
    """A normal number of a uniform one in [0, 1) and one in (0, 1]."""
    return math.sqrt(-2.0 * log_f64(u)) * _cosine_f64(turns)


@scalar
def standard_normal_f64(key, position, index):
    """Normal with mean 0 and variance 1; |z| reaches 8.6."""
    a, b, c, d = philox(key, position, index)
    return normal_of(unit_f64(a, b), above_zero_f64(c, d))


# ------------------------------------------------------------------------------------------------------------ integers


@scalar
def bits_i64(key, position, index):
    """64 random bits as an int64."""
    high, low, _, _ = philox(key, position, index)
    return int64((high << HALF_WORD) | low)


@scalar
def integer_i64(key, position, index, low, high):
    """An int64 in [low, high), low where that is empty: the upper word of (high - low) times 64 random bits.

    Each number comes with a probability that is off by at most 2^-64. Source: Lemire, Fast random integer generation in
    an interval, ACM TOMACS 29, 2019, without its rejection.
    """
    b1, b0, _, _ = philox(key, position, index)
    count = uint64(high) - uint64(low)
    count = uint64(count) if high > low else uint64(0)
    n1, n0 = count >> HALF_WORD, count & MASK
    middle = uint64(b1 * n0) + (uint64(b0 * n0) >> HALF_WORD)
    other = uint64(b0 * n1) + (middle & MASK)
    above = uint64(b1 * n1) + (middle >> HALF_WORD) + (other >> HALF_WORD)
    return int64(uint64(low) + uint64(above))


# ------------------------------------------------------------------------------------------------------------ quantile

# For |p - 1/2| <= 0.425 in 0.425**2 - (p - 1/2)**2; beyond in r - 1.6 and, for r > 5, in r - 5, r = sqrt(-log(p)).
QUANTILE_MIDDLE = (
    3.3871328727963666080, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
    4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
)  # fmt: skip
QUANTILE_UNDER_MIDDLE = (
    1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
    3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3,
)  # fmt: skip
QUANTILE_OUTER = (
    1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
    1.27045825245236838258, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4,
)  # fmt: skip
QUANTILE_UNDER_OUTER = (
    1.0, 2.05319162663775882187, 1.67638483018380384940, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
    1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
)  # fmt: skip
QUANTILE_FAR = (
    6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 2.96560571828504891230e-1,
    2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
)  # fmt: skip
QUANTILE_UNDER_FAR = (
    1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4,
    1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15,
)  # fmt: skip


@scalar
def _quantile(q, tail):
    """The number below which a normal number is with probability 1/2 + q. tail: 1/2 - |q|, the smaller probability."""
    t = 0.180625 - q * q
    middle = q * polynomial(t, QUANTILE_MIDDLE) / polynomial(t, QUANTILE_UNDER_MIDDLE)
    r = math.sqrt(-log_f64(tail))
    near, far = r - 1.6, r - 5.0
    above = polynomial(near, QUANTILE_OUTER) if r <= 5.0 else polynomial(far, QUANTILE_FAR)
    below = polynomial(near, QUANTILE_UNDER_OUTER) if r <= 5.0 else polynomial(far, QUANTILE_UNDER_FAR)
    size = math.inf if tail == 0.0 else above / below
    outer = -size if q < 0.0 else size
    return middle if abs(q) <= 0.425 else outer


@scalar
def quantile_f64(p):
    """The number below which a normal number is with probability p; infinite for 0 and 1, NaN outside of [0, 1].

    Source: Wichura, Algorithm AS 241: the percentage points of the normal distribution, Appl. Statist. 37, 1988.
    """
    q = p - 0.5
    return _quantile(q, p if q < 0.0 else 1.0 - p)


@scalar
def erfinv_f64(x):
    """The number whose erf is x, by `quantile_f64`; infinite for -1 and 1, NaN outside of [-1, 1]."""
    return _quantile(0.5 * x, 0.5 - 0.5 * abs(x)) * ROOT_HALF


@scalar
def erfcinv_f64(x):
    """The number whose erfc is x, by `quantile_f64`; infinite for 0 and 2, NaN outside of [0, 2]."""
    q = 0.5 - 0.5 * x
    return _quantile(q, 0.5 * x if x < 1.0 else 1.0 - 0.5 * x) * ROOT_HALF

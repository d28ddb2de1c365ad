"""Sines, cosines and tangents in float64: of reduced angles, and of huge ones, which take a scalar path (`far_...`).

Method of the reduction: M. Payne and R. Hanek, Radian reduction for trigonometric functions, SIGNUM Newsletter 18
(1983). An angle is m 2**e with a whole m of 53 bits. Digits of 2 / pi above 2**(1 - e) give whole turns; the 192 bits
from there on, times m, are the part of a turn that is left, with an error of 2**-139 turns. No float64 comes closer
than 2**-64 to a multiple of a quarter turn.
"""

import numpy as np
from numgraph.kernels.simd import ROUNDER_D, doubles, multiply_add, polynomial, scalar, upper_half

# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4 in r**2, |r| <= pi / 4
SIN_D = doubles(
    "-0x1.5555555555549p-3 0x1.111111110f8a4p-7 -0x1.a01a019c15b42p-13 0x1.71de357aad70ep-19 -0x1.ae5e683b5eee8p-26 "
    "0x1.5d9384776ff4ap-33"
)
COS_D = doubles(
    "0x1.555555555554cp-5 -0x1.6c16c16c1521ep-10 0x1.a01a019cbf339p-16 -0x1.27e4f81286a8ap-22 0x1.1ee9f129e4775p-29 "
    "-0x1.8fb1182aafbbep-37"
)
INT_ONE_D, INT_TWO_D, SIGN_SHIFT_D = np.uint64(1), np.uint64(2), np.uint64(62)


@scalar
def sine_cosine_f64(r, s):
    """sin(r + s) and cos(r + s) for |r| <= pi / 4 and a small s."""
    z = r * r
    half = 0.5 * z
    sine = r + multiply_add(r * z, polynomial(z, SIN_D), s - half * s)
    high = 1.0 - half
    return sine, high + ((1.0 - high - half) + (z * z * polynomial(z, COS_D) - r * s))


@scalar
def turned_f64(n, r, s):
    """sin(r + s + n pi / 2) for a whole n below 2**51."""
    turns = np.float64(n + ROUNDER_D).view(np.uint64)
    sine, cosine = sine_cosine_f64(r, s)
    y = np.float64(cosine if turns & INT_ONE_D else sine)
    return np.uint64(y.view(np.uint64) ^ ((turns & INT_TWO_D) << SIGN_SHIFT_D)).view(np.float64)


@scalar
def quotient_f64(n, r, s):
    """tan(r + s + n pi / 2) for a whole n below 2**51."""
    sine, cosine = sine_cosine_f64(r, s)
    odd = (np.float64(n + ROUNDER_D).view(np.uint64) & INT_ONE_D) != 0
    return (-cosine if odd else sine) / (sine if odd else cosine)


# ------------------------------------------------------------------------------------------------------- huge angles

# 64 zeros, then the bits of 2 / pi, in words of 32
TWO_PER_PI_WORDS = np.array([
    0x00000000, 0x00000000, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB,
    0xDEBBC561, 0xB7246E3A, 0x424DD2E0, 0x06492EEA, 0x09D1921C, 0xFE1DEB1C, 0xB129A73E, 0xE88235F5, 0x2EBB4484,
    0xE99C7026, 0xB45F7E41, 0x3991D639, 0x835339F4, 0x9C845F8B, 0xBDF9283B, 0x1FF897FF, 0xDE05980F, 0xEF2F118B,
    0x5A0A6D1F, 0x6D367ECF, 0x27CB09B7, 0x4F463F66, 0x9E5FEA2D, 0x7527BAC7, 0xEBE5F17B, 0x3D0739F7, 0x8A5292EA,
    0x6BFB5FB1, 0x1F8D5D08, 0x56033046, 0xFC7B6BAB,
], np.uint64)  # fmt: skip
# 2 pi in two numbers, and the halves of the first
TURN_HI, TURN_LO, TURN_HI_1, TURN_HI_2 = doubles(
    "0x1.921fb54442d18p+2 0x1.1a62633145c07p-52 0x1.921fb50000000p+2 0x1.110b460000000p-24"
)
WORD, WORD_BITS, EXPONENT_BITS = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(0x7FF)
HIDDEN_BIT, FRACTION_BITS, FRACTION_SHIFT = np.uint64(2**52), np.uint64(2**52 - 1), np.uint64(52)
QUARTER_SHIFT, QUARTER_REST = np.uint64(62), np.uint64(2**62 - 1)


@scalar
def _part_of_turn(x):
    """The 192 bits behind the point of x / (2 pi), for x > 0, in three words from the lowest to the highest."""
    bits = np.float64(x).view(np.uint64)
    start = np.int64((bits >> FRACTION_SHIFT) & EXPONENT_BITS) - 1075 + 62
    mantissa = (bits & FRACTION_BITS) | HIDDEN_BIT
    m_low = mantissa & WORD
    m_high = mantissa >> WORD_BITS
    shift = np.uint64(start & 31)
    low = mid = high = carry = next_carry = np.uint64(0)
    for k in range(5, -1, -1):
        at = (start >> 5) + k
        word = ((TWO_PER_PI_WORDS[at] << shift) | (TWO_PER_PI_WORDS[at + 1] >> (WORD_BITS - shift))) & WORD
        p = word * m_low
        q = word * m_high
        total = carry + (p & WORD)
        carry = next_carry + (p >> WORD_BITS) + (q & WORD) + (total >> WORD_BITS)
        next_carry = q >> WORD_BITS
        low = (low >> WORD_BITS) | (mid << WORD_BITS)
        mid = (mid >> WORD_BITS) | (high << WORD_BITS)
        high = (high >> WORD_BITS) | (total << WORD_BITS)
    return low, mid, high


@scalar
def _reduced_far(x):
    """n, r, s with |x| = n pi / 2 + r + s and whole turns, |r| <= pi / 4 |s| <= ulp(r); s is NaN for inf and NaN."""
    low, mid, high = _part_of_turn(abs(x))
    quarters = np.int64(high >> QUARTER_SHIFT)
    rest = np.int64(high & QUARTER_REST)
    if rest >= 2**61:
        rest = rest - 2**62
        quarters = quarters + 1
    # the sum of words from the highest to the lowest; the first two may cancel
    first = np.float64(rest >> 32) * 2.0**-32
    second = np.float64(rest & 0xFFFFFFFF) * 2.0**-64
    third = np.float64(mid >> WORD_BITS) * 2.0**-96 + np.float64(mid & WORD) * 2.0**-128
    third = third + np.float64(low >> WORD_BITS) * 2.0**-160
    top = first + second
    left = ((first - top) + second) + third
    turns = top + left
    left = (top - turns) + left
    # times 2 pi, in twice the precision
    r = turns * TURN_HI
    t_high = upper_half(turns)
    t_low = turns - t_high
    lost = ((t_high * TURN_HI_1 - r) + t_high * TURN_HI_2 + t_low * TURN_HI_1) + t_low * TURN_HI_2
    s = lost + turns * TURN_LO + left * TURN_HI
    return np.float64(quarters), r, s + (x - x)


@scalar
def far_sine(x):
    """sin(x) in float64 for |x| > FAR."""
    n, r, s = _reduced_far(x)
    y = turned_f64(n, r, s)
    return -y if x < 0.0 else y


@scalar
def far_cosine(x):
    """cos(x) in float64 for |x| > FAR."""
    n, r, s = _reduced_far(x)
    return turned_f64(n + 1.0, r, s)


@scalar
def far_tangent(x):
    """tan(x) in float64 for |x| > FAR."""
    n, r, s = _reduced_far(x)
    y = quotient_f64(n, r, s)
    return -y if x < 0.0 else y

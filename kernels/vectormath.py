"""Elementary functions that LLVM's loop vectoriser turns into SIMD code: only arithmetic and selects.

Numba's `math.exp` and its like are calls of the C library and keep a loop scalar. Here are no calls, branches or
lookups: `for i in range(n): out[i] = exp_f32(x[i])` becomes AVX2, AVX-512 or NEON code, without fast-math flags.
Every input has its value: NaN gives NaN, infinities the limits; subnormal arguments and results are right (nothing is
flushed to zero).

Each function takes and returns one scalar of the dtype in its name: in Python, in njit code and, but for sin and cos
(NVVM lacks llvm.rint), in CUDA kernels. `VECTOR_FUNCTIONS` names them by (scalar function, dtype).

The errors in the docstrings are the largest measured, in units in the last place, with and without fused multiply-add
(AVX2): float32 over every 16th (with) and 64th (without) of all 2**32 bit patterns, against float64; float64 on 17
million arguments, some of all exponents and most around 0 and 1, against the 80-bit format.

Method: range reduction after Cody and Waite (Software Manual for the Elementary Functions, 1980); rounding by adding
1.5 * 2**23 (2**52), which leaves the integer in the low bits; logarithms by the series of 2 atanh(f / (2 + f)), the
rounding of 1 + x corrected, as in Sun's fdlibm. The polynomials were fitted for this file: Remez exchange in 60
digits, coefficients rounded one by one and the remaining ones fitted anew.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import register_jitable


def polynomial(x, coefficients):
    """The polynomial at `x`: coefficients[0] + coefficients[1] * x + ...

    x: float32 or float64; coefficients: tuple of that dtype. Each step is a fused multiply-add where there is one.
    """
    result = coefficients[-1]
    for c in coefficients[-2::-1]:
        result = result * x + c
    return result


def multiply_add(a, b, c):
    """a * b + c, all float32 or all float64; compiled to a fused multiply-add where the machine has one."""
    return a * b + c


def off_whole(x):
    """`x` (float32 or float64) less the whole number nearest to it, halves going to the even one; exact."""
    return x - np.rint(x)


def power_of_two(n):
    """2**n, for a whole n of float32 in [-126, 127] or of float64 in [-1022, 1023]; NaN may give any number."""
    return n * 0 + 2**n


# These are lowered to LLVM directly: Numba would take several times as long to type and compile them in Python's words,
# and without fast-math flags LLVM may not fuse a separate product and sum.
@infer_global(polynomial)
class _PolynomialType(AbstractTemplate):
    def generic(self, args, kws):
        x, coefficients = args
        fits = isinstance(x, types.Float) and isinstance(coefficients, types.UniTuple) and coefficients.dtype == x
        return signature(x, x, coefficients) if fits else None


@infer_global(multiply_add)
class _MultiplyAddType(AbstractTemplate):
    def generic(self, args, kws):
        a, b, c = args
        return signature(a, a, b, c) if isinstance(a, types.Float) and a == b == c else None


@infer_global(off_whole)
class _OffWholeType(AbstractTemplate):
    def generic(self, args, kws):
        return signature(args[0], args[0]) if isinstance(args[0], types.Float) else None


@infer_global(power_of_two)
class _PowerOfTwoType(AbstractTemplate):
    def generic(self, args, kws):
        return signature(args[0], args[0]) if isinstance(args[0], types.Float) else None


def _fused(builder, a, b, c):
    kind = ir.FunctionType(a.type, [a.type] * 3)
    return builder.call(builder.module.declare_intrinsic("llvm.fmuladd", [a.type], kind), [a, b, c])


@lower_builtin(polynomial, types.Float, types.UniTuple)
def _lower_polynomial(context, builder, sig, args):
    x, coefficients = args
    values = [builder.extract_value(coefficients, k) for k in range(sig.args[1].count)]
    result = values.pop()
    while values:
        result = _fused(builder, result, x, values.pop())
    return result


@lower_builtin(multiply_add, types.Float, types.Float, types.Float)
def _lower_multiply_add(context, builder, sig, args):
    return _fused(builder, *args)


@lower_builtin(off_whole, types.Float)
def _lower_off_whole(context, builder, sig, args):
    return builder.fsub(args[0], builder.call(builder.module.declare_intrinsic("llvm.rint", [args[0].type]), args))


@lower_builtin(power_of_two, types.Float)
def _lower_power_of_two(context, builder, sig, args):
    # n + bias, in the low bits of the sum, becomes the exponent
    width, mantissa = sig.return_type.bitwidth, np.finfo(str(sig.return_type)).nmant
    moved = builder.fadd(args[0], args[0].type(1.5 * 2**mantissa + 2 ** (width - mantissa - 2) - 1))
    integer = ir.IntType(width)
    return builder.bitcast(builder.shl(builder.bitcast(moved, integer), integer(mantissa)), args[0].type)


# Inlined always: a call that is left over would keep the loop scalar.
scalar = register_jitable(error_model="numpy", forceinline=True)


def _float64(hexadecimal):
    return tuple(float.fromhex(text) for text in hexadecimal.split())


# A name per constant: a bare literal is float64 in Numba, and converting it costs typing time.
def _float32(hexadecimal):
    return tuple(np.float32(v) for v in _float64(hexadecimal))


# ------------------------------------------------------------------------------------------------------------- float32

ZERO, HALF, ONE, TWO = (np.float32(v) for v in (0, 0.5, 1, 2))
INF, NEGATIVE_INF, NOT_A_NUMBER = (np.float32(v) for v in (math.inf, -math.inf, math.nan))
LOG2_E, LN2_HI, NEGATIVE_LN2_HI, LN2_LO, NEGATIVE_LN2_LO = _float32(
    "0x1.71547652b82fep+0 0x1.62e4p-1 -0x1.62e4p-1 0x1.7f7d1cf79abcap-20 -0x1.7f7d1cf79abcap-20"
)
ROUNDER = np.float32(1.5 * 2**23)
EXPONENT_SHIFT, MANTISSA, SIGN = np.uint32(23), np.uint32(0x7FFFFF), np.uint32(0x80000000)
SQRT_HALF_BITS, ONE_LESS_SQRT_HALF_BITS = np.uint32(0x3F3504F3), np.uint32(0x3F800000 - 0x3F3504F3)
NEGATIVE_BIAS, SUBNORMAL_EXPONENT = np.float32(-127), np.float32(-127 - 23)
SMALLEST_NORMAL, SUBNORMAL_SCALE = np.float32(2.0**-126), np.float32(2.0**23)
# Beyond these exp is infinite, exp is 0, expm1 is -1, tanh and erf are 1; below the last expm1, log1p, sin give x.
EXP_TOP, EXP_BOTTOM, EXPM1_BOTTOM, TANH_TOP, ERF_TOP, TINY = (np.float32(v) for v in (89, -104, -18, 10, 4, 2.0**-26))
# (expm1(r) - r) / r**2 on |r| <= ln(2) / 2
EXP = _float32("0x1p-1 0x1.55552cp-3 0x1.555502p-5 0x1.1155aap-7 0x1.6d2e4ep-10 0x1.3b8732p-13")
# (2 atanh(s) - 2 s) / s**3 in s**2, s = f / (2 + f), for sqrt(1/2) <= 1 + f <= sqrt(2); in 2 s for 1 <= 1 + f <= 2
LOG = _float32("0x1.55557ap-1 0x1.995eccp-2 0x1.31e23ep-2")
LOG_ONE_TO_TWO = _float32("0x1.555558p-4 0x1.9996d8p-7 0x1.250510p-9 0x1.b72bb6p-12 0x1.f08b0cp-14")
# erf(x) / x - 1 in x**2 for |x| <= 0.9, and -log(1 - erf(x)) / x for 0.85 <= x <= 4
ERF_SPLIT = np.float32(0.9)
ERF_SMALL = _float32("0x1.06eba6p-3 -0x1.8126ecp-2 0x1.ce1b86p-4 -0x1.b69b96p-6 0x1.479c9ep-8 -0x1.3ba9cep-11")
ERF_LARGE = _float32(
    "0x1.20ec84p+0 0x1.45481ep-1 0x1.b20196p-4 -0x1.814e2p-6 0x1.cdf17ap-9 -0x1.3375c2p-12 0x1.13fb36p-17"
)
# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2 / 2) / r**4 in r**2, |r| <= pi / 4
SIN = _float32("-0x1.555546p-3 0x1.11077ap-7 -0x1.9954a4p-13")
COS = _float32("0x1.55554ap-5 -0x1.6c0c1ap-10 0x1.99e0eep-16")
INT_ONE, INT_TWO, SIGN_SHIFT = np.uint32(1), np.uint32(2), np.uint32(30)
TURN = 2 * math.pi
# 1 / (2 pi) in pieces of 29 bits: their products with a float32 are exact in float64
PER_TURN_1, PER_TURN_2, PER_TURN_3, PER_TURN_4, PER_TURN_5, PER_TURN_6, PER_TURN_7 = _float64(
    "0x1.45f306dp-3 0x1.9391054p-32 0x1.4fe13abp-61 0x1.d1f534dp-90 0x1.b81b6c5p-119 0x1.5993c4p-150 0x1.c820ff2p-177"
)


@scalar
def _reduced_f32(x):
    """n and expm1(r), where x = n ln(2) + r and |r| <= ln(2) / 2."""
    n = multiply_add(x, LOG2_E, ROUNDER) - ROUNDER
    r = multiply_add(n, NEGATIVE_LN2_LO, multiply_add(n, NEGATIVE_LN2_HI, x))
    return n, multiply_add(r * r, polynomial(r, EXP), r)


@scalar
def exp_f32(x):
    """exp(x) in float32. Error at most 1.0 ulp."""
    x = EXP_TOP if x > EXP_TOP else x
    x = EXP_BOTTOM if x < EXP_BOTTOM else x
    n, e = _reduced_f32(x)
    # two factors: 2**n itself may be infinite or subnormal
    half = multiply_add(n, HALF, ROUNDER) - ROUNDER
    return (e + ONE) * power_of_two(half) * power_of_two(n - half)


@scalar
def expm1_f32(x):
    """exp(x) - 1 in float32. Error at most 1.5 ulp."""
    clamped = EXP_TOP if x > EXP_TOP else x
    clamped = EXPM1_BOTTOM if clamped < EXPM1_BOTTOM else clamped
    n, e = _reduced_f32(clamped)
    # half of the result, so that 2**128 is not needed
    scale = power_of_two(n - ONE)
    y = multiply_add(scale, e, scale - HALF)
    return x if abs(x) < TINY else y + y


@scalar
def tanh_f32(x):
    """tanh(x) in float32, as t / (t + 2) with t = expm1(2 |x|). Error at most 2.4 ulp."""
    a = abs(x)
    a = TANH_TOP if a > TANH_TOP else a
    n, e = _reduced_f32(a + a)
    scale = power_of_two(n)
    t = multiply_add(scale, e, scale - ONE)
    y = np.float32(t / (t + TWO))
    return np.uint32(y.view(np.uint32) | (np.float32(x).view(np.uint32) & SIGN)).view(np.float32)


@scalar
def sigmoid_f32(x):
    """1 / (1 + exp(-x)) in float32, through exp(-|x|), which cannot overflow. Error at most 2.5 ulp."""
    e = exp_f32(-abs(x))
    return (ONE if x >= ZERO else e) / (ONE + e)


@scalar
def softplus_f32(x):
    """log(1 + exp(x)) in float32, as max(x, 0) + log1p(exp(-|x|)). Error at most 2.8 ulp."""
    e = exp_f32(-abs(x))
    d = (e + e) / (TWO + e)
    z = d * d
    return (x if x > ZERO else ZERO) + multiply_add(d * z, polynomial(z, LOG_ONE_TO_TWO), d)


@scalar
def _log_terms_f32(x, exponent, correction):
    """log(x) + exponent ln(2) + correction for a normal x > 0; the largest terms are added last."""
    bits = np.uint32(np.float32(x).view(np.uint32) + ONE_LESS_SQRT_HALF_BITS)
    k = np.float32(np.int32(bits >> EXPONENT_SHIFT)) + exponent
    f = np.uint32((bits & MANTISSA) + SQRT_HALF_BITS).view(np.float32) - ONE
    s = f / (TWO + f)
    z = s * s
    half_square = HALF * f * f
    rest = multiply_add(s, multiply_add(z, polynomial(z, LOG), half_square), multiply_add(k, LN2_LO, correction))
    return multiply_add(k, LN2_HI, f - (half_square - rest))


@scalar
def log_f32(x):
    """log(x) in float32. Error at most 0.9 ulp."""
    scaled = x * SUBNORMAL_SCALE
    normal = scaled if x < SMALLEST_NORMAL else x
    exponent = SUBNORMAL_EXPONENT if x < SMALLEST_NORMAL else NEGATIVE_BIAS
    y = _log_terms_f32(normal, exponent, ZERO)
    low = NEGATIVE_INF if x == ZERO else NOT_A_NUMBER
    y = low if x <= ZERO else y
    return y if x < INF else x


@scalar
def log1p_f32(x):
    """log(1 + x) in float32, with the rounding of 1 + x corrected to first order. Error at most 0.9 ulp."""
    u = ONE + x
    correction = (x - (u - ONE)) / u
    y = _log_terms_f32(u, NEGATIVE_BIAS, correction)
    low = NEGATIVE_INF if u == ZERO else NOT_A_NUMBER
    y = low if u <= ZERO else y
    y = y if u < INF else u
    return x if abs(x) < TINY else y


@scalar
def erf_f32(x):
    """erf(x) in float32: x p(x**2) for small |x|, 1 - exp(-q(|x|)) beyond. Error at most 1.2 ulp."""
    a = abs(x)
    a = ERF_TOP if a > ERF_TOP else a
    n, e = _reduced_f32(-a * polynomial(a, ERF_LARGE))
    scale = power_of_two(n)
    large = np.float32(ONE - multiply_add(scale, e, scale))
    large = np.uint32(large.view(np.uint32) | (np.float32(x).view(np.uint32) & SIGN)).view(np.float32)
    small = multiply_add(x, polynomial(x * x, ERF_SMALL), x)
    return large if a > ERF_SPLIT else small


@scalar
def _quarter_turns(x):
    """n and r with x = (n / 4 + a whole number) turns + r, |r| <= pi / 4 or a hair more, for any finite float32 x."""
    # x times each piece is exact, and so is what remains of it without whole turns: no bit of a huge x is lost.
    # n / 4 is taken away first, so that the sums that cancel are exact too.
    x = np.float64(x)
    a = off_whole(x * PER_TURN_1)
    b = off_whole(x * PER_TURN_2)
    c = off_whole(x * PER_TURN_3)
    d = off_whole(x * PER_TURN_4)
    e = off_whole(x * PER_TURN_5)
    f = off_whole(x * PER_TURN_6)
    g = off_whole(x * PER_TURN_7)
    quarters = (a + b + c + d + e + f + g) * 4.0
    n = quarters - off_whole(quarters)
    rest = multiply_add(n, -0.25, a) + b + c + d + e + f + g
    return np.float32(n), np.float32(rest * TURN)


@scalar
def _sine_f32(n, r):
    """sin(r + n pi / 2)."""
    turns = np.float32(n + ROUNDER).view(np.uint32)
    z = r * r
    sine = multiply_add(r * z, polynomial(z, SIN), r)
    cosine = multiply_add(z * z, polynomial(z, COS), multiply_add(-HALF, z, ONE))
    y = np.float32(cosine if turns & INT_ONE else sine)
    return np.uint32(y.view(np.uint32) ^ ((turns & INT_TWO) << SIGN_SHIFT)).view(np.float32)


@scalar
def sin_f32(x):
    """sin(x) in float32 for any x; NaN at infinities. Error at most 1.6 ulp."""
    n, r = _quarter_turns(x)
    y = _sine_f32(n, r)
    return x if abs(x) < TINY else y


@scalar
def cos_f32(x):
    """cos(x) in float32 for any x; NaN at infinities. Error at most 1.6 ulp."""
    n, r = _quarter_turns(x)
    return _sine_f32(n + ONE, r)


# ---------------------------------------------------------------------------------- float64, names with D for double
LOG2_E_D, LN2_HI_D, NEGATIVE_LN2_HI_D, LN2_LO_D, NEGATIVE_LN2_LO_D = _float64(
    "0x1.71547652b82fep+0 0x1.62e42fefa38p-1 -0x1.62e42fefa38p-1 0x1.ef35793c7673p-45 -0x1.ef35793c7673p-45"
)
ROUNDER_D = 1.5 * 2.0**52
EXPONENT_SHIFT_D, MANTISSA_D, SIGN_D = np.uint64(52), np.uint64(2**52 - 1), np.uint64(2**63)
SQRT_HALF_BITS_D = np.uint64(0x3FE6A09E667F3BCD)
ONE_LESS_SQRT_HALF_BITS_D = np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
# an integer k >= 0 in the low bits of 2**52 is the float 2**52 + k
WHOLE_BITS, NEGATIVE_BIAS_D = np.uint64(0x4330000000000000), -(2.0**52 + 1023)
SUBNORMAL_EXPONENT_D = NEGATIVE_BIAS_D - 54
SMALLEST_NORMAL_D, SUBNORMAL_SCALE_D = 2.0**-1022, 2.0**54
EXP_TOP_D, EXP_BOTTOM_D, EXPM1_BOTTOM_D, TANH_TOP_D, TINY_D = 710.0, -746.0, -38.0, 20.0, 2.0**-55
EXP_D = _float64(
    "0x1p-1 0x1.5555555555559p-3 0x1.5555555555558p-5 0x1.111111110f71cp-7 0x1.6c16c16c1762dp-10 "
    "0x1.a01a01af98f49p-13 0x1.a01a0198e5615p-16 0x1.71ddf9343e1a9p-19 0x1.27e5053b8f2b2p-22 "
    "0x1.af5d2383212b8p-26 0x1.1f251c9616d35p-29"
)
LOG_D = _float64(
    "0x1.5555555555593p-1 0x1.999999997f9f8p-2 0x1.249249422a482p-2 0x1.c71c51d7cbf0dp-3 0x1.746649b051d75p-3 "
    "0x1.39a0957625d8ep-3 0x1.2f118043af178p-3"
)
LOG_ONE_TO_TWO_D = _float64(
    "0x1.5555555555556p-4 0x1.9999999999656p-7 0x1.24924924ba50fp-9 0x1.c71c71a9ab643p-12 0x1.745d1d711e8b3p-14 "
    "0x1.3b12e3b18036fp-16 0x1.11226b4bd6142p-18 0x1.dff41b45d6f2fp-21 0x1.c0fffb001b090p-23 0x1.20126507bbcc3p-25 "
    "0x1.500115ecb3101p-26"
)


@scalar
def _reduced_f64(x):
    """n and expm1(r), where x = n ln(2) + r and |r| <= ln(2) / 2."""
    n = multiply_add(x, LOG2_E_D, ROUNDER_D) - ROUNDER_D
    r = multiply_add(n, NEGATIVE_LN2_LO_D, multiply_add(n, NEGATIVE_LN2_HI_D, x))
    return n, multiply_add(r * r, polynomial(r, EXP_D), r)


@scalar
def exp_f64(x):
    """exp(x) in float64. Error at most 1.0 ulp."""
    x = EXP_TOP_D if x > EXP_TOP_D else x
    x = EXP_BOTTOM_D if x < EXP_BOTTOM_D else x
    n, e = _reduced_f64(x)
    half = multiply_add(n, 0.5, ROUNDER_D) - ROUNDER_D
    return (e + 1.0) * power_of_two(half) * power_of_two(n - half)


@scalar
def expm1_f64(x):
    """exp(x) - 1 in float64. Error at most 2.0 ulp."""
    clamped = EXP_TOP_D if x > EXP_TOP_D else x
    clamped = EXPM1_BOTTOM_D if clamped < EXPM1_BOTTOM_D else clamped
    n, e = _reduced_f64(clamped)
    scale = power_of_two(n - 1.0)
    y = multiply_add(scale, e, scale - 0.5)
    return x if abs(x) < TINY_D else y + y


@scalar
def tanh_f64(x):
    """tanh(x) in float64, as t / (t + 2) with t = expm1(2 |x|). Error at most 2.6 ulp."""
    a = abs(x)
    a = TANH_TOP_D if a > TANH_TOP_D else a
    n, e = _reduced_f64(a + a)
    scale = power_of_two(n)
    t = multiply_add(scale, e, scale - 1.0)
    y = np.float64(t / (t + 2.0))
    return np.uint64(y.view(np.uint64) | (np.float64(x).view(np.uint64) & SIGN_D)).view(np.float64)


@scalar
def sigmoid_f64(x):
    """1 / (1 + exp(-x)) in float64, through exp(-|x|). Error at most 2.4 ulp."""
    e = exp_f64(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e)


@scalar
def softplus_f64(x):
    """log(1 + exp(x)) in float64, as max(x, 0) + log1p(exp(-|x|)). Error at most 2.9 ulp."""
    e = exp_f64(-abs(x))
    d = (e + e) / (2.0 + e)
    z = d * d
    return (x if x > 0.0 else 0.0) + multiply_add(d * z, polynomial(z, LOG_ONE_TO_TWO_D), d)


@scalar
def _log_terms_f64(x, exponent, correction):
    """As in float32. AVX2 cannot convert int64 to float64, so `exponent` also takes back the 2**52 of WHOLE_BITS."""
    bits = np.float64(x).view(np.uint64) + ONE_LESS_SQRT_HALF_BITS_D
    k = np.uint64((bits >> EXPONENT_SHIFT_D) | WHOLE_BITS).view(np.float64) + exponent
    f = np.uint64((bits & MANTISSA_D) + SQRT_HALF_BITS_D).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    rest = multiply_add(s, multiply_add(z, polynomial(z, LOG_D), half_square), multiply_add(k, LN2_LO_D, correction))
    return multiply_add(k, LN2_HI_D, f - (half_square - rest))


@scalar
def log_f64(x):
    """log(x) in float64. Error at most 0.9 ulp."""
    scaled = x * SUBNORMAL_SCALE_D
    normal = scaled if x < SMALLEST_NORMAL_D else x
    exponent = SUBNORMAL_EXPONENT_D if x < SMALLEST_NORMAL_D else NEGATIVE_BIAS_D
    y = _log_terms_f64(normal, exponent, 0.0)
    low = -math.inf if x == 0.0 else math.nan
    y = low if x <= 0.0 else y
    return y if x < math.inf else x


@scalar
def log1p_f64(x):
    """log(1 + x) in float64, with the rounding of 1 + x corrected to first order. Error at most 0.9 ulp."""
    u = 1.0 + x
    correction = (x - (u - 1.0)) / u
    y = _log_terms_f64(u, NEGATIVE_BIAS_D, correction)
    low = -math.inf if u == 0.0 else math.nan
    y = low if u <= 0.0 else y
    y = y if u < math.inf else u
    return x if abs(x) < TINY_D else y


_SINGLE = (exp_f32, expm1_f32, log_f32, log1p_f32, tanh_f32, sigmoid_f32, softplus_f32, erf_f32, sin_f32, cos_f32)
_DOUBLE = (exp_f64, expm1_f64, log_f64, log1p_f64, tanh_f64, sigmoid_f64, softplus_f64)
VECTOR_FUNCTIONS = {(f.__name__.removesuffix("_f32"), "float32"): f for f in _SINGLE}
VECTOR_FUNCTIONS |= {(f.__name__.removesuffix("_f64"), "float64"): f for f in _DOUBLE}

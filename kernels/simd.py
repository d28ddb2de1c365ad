"""What the vectorised functions are made of: primitives lowered to LLVM directly, and constants of each dtype.

Numba's `math.exp` and its like are calls of the C library and keep a loop scalar. The functions of the modules
`vector...` have no calls, branches or lookups, only arithmetic and selects (and what `slowpath` has for huge angles),
so that LLVM's loop vectoriser makes AVX2, AVX-512 or NEON code of `for i in range(n): out[i] = exp_f32(x[i])`, without
fast-math flags.

Every input has its value: NaN gives NaN, infinities the limits; subnormal arguments and results are right (nothing is
flushed to zero). Each function takes and returns scalars of the dtype in its name: in Python, in njit code and, but for
those that round with `off_whole` (NVVM lacks llvm.rint), in CUDA kernels. `numgraph.scalars` lists them.

The errors in the docstrings are, rounded up, the largest found by `python tests/ulp.py`, in units in the last place,
with fused multiply-add and without: float32 on every 16th (some on all) of the bit patterns, against float64; float64
on millions of arguments, some of all exponents and most where the functions bend, against the 80-bit format.

Rounding is by adding 1.5 * 2**23 (2**52), which leaves the integer in the low bits. The polynomials were fitted for
these files: Remez exchange in 50 digits or more, coefficients rounded one by one and the remaining ones fitted anew.
"""

import math

import numpy as np
from numba import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import register_jitable
from numgraph.kernels.primitives import (
    build_fused,
    build_off_whole,
    build_polynomial,
    build_power_of_two,
    build_times_power_of_two,
)


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


def times_power_of_two(e, n, x):
    """(1 + e) * 2**n, rounded once more only where that is subnormal; infinite where it is too large.

    n: whole and of the sign of x, within 191 in float32 and 1535 in float64; NaN may give any number.
    """
    half = np.rint(n * type(n)(0.5))
    return (e + type(e)(1)) * power_of_two(half) * power_of_two(n - half)


# These are primitives: Numba would take several times as long to type and compile them in Python's words, and without
# fast-math flags LLVM may not fuse a separate product and sum.
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


@infer_global(times_power_of_two)
class _TimesPowerOfTwoType(AbstractTemplate):
    def generic(self, args, kws):
        e, n, x = args
        return signature(e, e, n, x) if isinstance(e, types.Float) and e == n == x else None


@lower_builtin(polynomial, types.Float, types.UniTuple)
def _lower_polynomial(context, builder, sig, args):
    x, coefficients = args
    return build_polynomial(builder, x, [builder.extract_value(coefficients, k) for k in range(sig.args[1].count)])


@lower_builtin(multiply_add, types.Float, types.Float, types.Float)
def _lower_multiply_add(context, builder, sig, args):
    return build_fused(builder, *args)


@lower_builtin(off_whole, types.Float)
def _lower_off_whole(context, builder, sig, args):
    return build_off_whole(builder, *args)


@lower_builtin(power_of_two, types.Float)
def _lower_power_of_two(context, builder, sig, args):
    return build_power_of_two(builder, *args)


@lower_builtin(times_power_of_two, types.Float, types.Float, types.Float)
def _lower_times_power_of_two(context, builder, sig, args):
    return build_times_power_of_two(builder, *args)


# Inlined always: a call that is left over would keep the loop scalar.
scalar = register_jitable(error_model="numpy", forceinline=True)


def doubles(hexadecimal):
    """A tuple of float64 from hexadecimal texts between blanks."""
    return tuple(float.fromhex(text) for text in hexadecimal.split())


# A name per constant: a bare literal is float64 in Numba, and converting it costs typing time.
def singles(hexadecimal):
    """A tuple of float32 from hexadecimal texts between blanks."""
    return tuple(np.float32(v) for v in doubles(hexadecimal))


# Names with D at their end are for float64.
ZERO, HALF, ONE, TWO = (np.float32(v) for v in (0, 0.5, 1, 2))
INF, NEGATIVE_INF, NOT_A_NUMBER = (np.float32(v) for v in (math.inf, -math.inf, math.nan))
ROUNDER, ROUNDER_D = np.float32(1.5 * 2**23), 1.5 * 2.0**52
SIGN, SIGN_D = np.uint32(0x80000000), np.uint64(2**63)
UPPER_HALF = np.uint64(2**64 - 2**27)
# Below these f(x) is x, for f with f(x) = x + O(x**2)
TINY, TINY_D = np.float32(2.0**-26), 2.0**-55


@scalar
def with_sign_f32(y, x):
    """|y| with the sign of `x`, also where that is a zero or NaN."""
    magnitude = np.float32(y).view(np.uint32) & ~SIGN
    return np.uint32(magnitude | (np.float32(x).view(np.uint32) & SIGN)).view(np.float32)


@scalar
def signed_f32(y, x):
    """y >= 0 with the sign of `x`."""
    return np.uint32(np.float32(y).view(np.uint32) | (np.float32(x).view(np.uint32) & SIGN)).view(np.float32)


@scalar
def with_sign_f64(y, x):
    """|y| with the sign of `x`, also where that is a zero or NaN."""
    magnitude = np.float64(y).view(np.uint64) & ~SIGN_D
    return np.uint64(magnitude | (np.float64(x).view(np.uint64) & SIGN_D)).view(np.float64)


@scalar
def upper_half(x):
    """A float64 with the first 26 of its 53 bits: products of two such are exact."""
    return np.uint64(np.float64(x).view(np.uint64) & UPPER_HALF).view(np.float64)

"""The rest of NumPy's elementwise functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from numgraph.errors import DtypeError
from numgraph.graph import Variable, apply, as_operands, as_variable, describe, elementwise
from numgraph.op import OPS, Op, floating, same
from numgraph.ops import lengths as ln
from numgraph.ops.define import ZERO, as_floats, f, integral
from numgraph.ops.elementwise import LN2, deg2rad, rad2deg
from numgraph.types import BOOL, DISCRETE, FLOATS, INTEGERS, REALS, promote

__all__ = [
    "cbrt", "degrees", "fabs", "fix", "float_power", "fmax", "fmin", "fmod", "frexp", "gcd", "heaviside", "isneginf",
    "isposinf", "lcm", "ldexp", "logaddexp2", "matvec", "modf", "nextafter", "positive", "radians", "signbit",
    "spacing", "vecdot", "vecmat",
]  # fmt: skip

# -- the larger and the smaller -------------------------------------------------------------------------------------


def _fmax_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    """The gradient goes to the one that is taken; equal ones get half of it each."""
    return _shares(g, x, y, f.gt(x, y))


def _fmin_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    return _shares(g, x, y, f.lt(x, y))


def _shares(g: Variable, x: Variable, y: Variable, wins: Variable) -> tuple[Any, ...]:
    half, tie, first = f.mul(g, 0.5), f.eq(x, y), f.or_(wins, f.isnan(y))
    return f.where(tie, half, f.where(first, g, 0.0)), f.where(tie, half, f.where(first, 0.0, g))


Op("fmax", ("x", "y"), "The larger of x and y, the other one where one is NaN. Equal ones share the gradient evenly.",
   same, np.fmax, _fmax_grad, scalar="where(x >= y, x, where(isnan(y), x, y))", cost=3)  # fmt: skip
fmax = elementwise("fmax")

Op("fmin", ("x", "y"), "The smaller of x and y, the other one where one is NaN. Equal ones share the gradient evenly.",
   same, np.fmin, _fmin_grad, scalar="where(x <= y, x, where(isnan(y), x, y))", cost=3)  # fmt: skip
fmin = elementwise("fmin")

# -- roots, powers, logarithms --------------------------------------------------------------------------------------


def _same_elements(counts: Variable | None, out: Variable, *inputs: Variable) -> tuple[Any, ...]:
    """`reach` of a composition that works element by element."""
    return (counts,) * len(inputs)


def _cbrt_expand(x: Variable) -> Variable:
    """abs(x) ** (1 / 3) with one step of Newton's method, since 1 / 3 is rounded."""
    v = f.cast(x, floating([x.type.dtype]))
    size = f.abs(v)
    plain = f.logical_or(f.eq(size, 0), f.logical_not(f.isfinite(size)))
    root = f.pow(size, 1.0 / 3.0)
    better = f.sub(root, f.mul(f.sub(root, f.true_div(f.true_div(size, root), root)), 1.0 / 3.0))
    return f.where(plain, v, f.copysign(better, v))


Op("cbrt", ("x",), "The cube root, of negative numbers too; its derivative at 0 is infinite.", floating,
   lambda x: np.cbrt(np.asarray(x, None if np.asarray(x).dtype.kind == "f" else np.float64)),
   lambda g, out, x: (f.masked_div(g, f.mul(3.0, f.mul(out, out))),), expand=_cbrt_expand, reach=_same_elements,
   domain=(0.2, 4.0), cost=40)  # fmt: skip


def cbrt(x: Any) -> Variable:
    """The cube root, of negative numbers too, a float of x's shape; its derivative at 0 is infinite."""
    return apply(OPS["cbrt"], [as_variable(x)])


def float_power(x: Any, y: Any) -> Variable:
    """x to the power y, computed in float64 whatever the operands are."""
    return f.pow(*(f.cast(v, "float64") for v in as_operands(x, y)))


def _logaddexp2_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    """The shares of 2**x and 2**y in their sum; half each where both are the same infinity."""
    apart = f.where(f.and_(f.isinf(x), f.eq(x, y)), 0.0, f.mul(f.sub(x, y), LN2))
    return f.mul(g, f.sigmoid(apart)), f.mul(g, f.sigmoid(f.neg(apart)))


# equal operands apart: inf - inf is nan
Op("logaddexp2", ("x", "y"), "log2(2**x + 2**y), without overflow.", floating, np.logaddexp2, _logaddexp2_grad,
   scalar="where(x == y, x + 1.0, maximum(x, y) + log1p(exp2(-abs(x - y))) * 1.4426950408889634)", commutative=True,
   cost=45)  # fmt: skip
logaddexp2 = elementwise("logaddexp2")

# -- remainders -----------------------------------------------------------------------------------------------------

Op("fmod", ("x", "y"), "The remainder of x / y with the sign of x.", same, np.fmod,
   lambda g, out, x, y: (g, f.neg(f.masked_mul(g, f.trunc(f.true_div(x, y))))),
   scalar="copysign(mod(abs(x), abs(y)), x)", domain=(0.3, 3.0), dtypes=FLOATS, cost=8)  # fmt: skip


def fmod(x: Any, y: Any) -> Variable:
    """The remainder of x / y with the sign of x, as in C; `mod` has that of y. For integers a remainder by 0 is 0."""
    a, b = as_operands(x, y)
    if promote([a.type.dtype, b.type.dtype]) in REALS:
        return apply(OPS["fmod"], [a, b])
    rest = f.mod(a, b)
    apart = f.neq(f.lt(a, 0), f.lt(b, 0))
    return f.where(f.and_(apart, f.neq(rest, 0)), f.sub(rest, b), rest)


def fabs(x: Any) -> Variable:
    """The absolute value as a float."""
    v = as_variable(x)
    return f.abs(f.cast(v, floating([v.type.dtype])))


# -- signs and steps ------------------------------------------------------------------------------------------------

Op("heaviside", ("x", "y"), "0 for negative x, y for 0, 1 for positive x; NaN stays NaN.", floating, np.heaviside,
   lambda g, out, x, y: (ZERO, f.where(f.eq(x, 0), g, 0.0)), cost=3,
   scalar="where(x < 0.0, 0.0, where(x > 0.0, 1.0, where(x == 0.0, y, x)))")  # fmt: skip
heaviside = elementwise("heaviside")


def positive(x: Any) -> Variable:
    """+x, a variable of its own with x's elements. DtypeError for bool."""
    v = as_variable(x)
    if v.type.dtype == BOOL:
        raise DtypeError(f"positive is not defined for bool\n  {describe(v)}")
    return f.identity(v)


def signbit(x: Any) -> Variable:
    """Whether x is negative, bool: True for -0.0 too, and for a NaN with a sign."""
    v = as_variable(x)
    if v.type.dtype in DISCRETE:
        return f.lt(v, 0)
    return f.lt(f.copysign(f.ones_like(v), v), 0)


# -- the parts of a float -------------------------------------------------------------------------------------------

# For each dtype: the unit of rounding, the least number above 0, and a number so small that products with the unit
# lose bits.
_STEPS = {"float32": (2.0**-24, 2.0**-149, 2.0**-60), "float64": (2.0**-53, 2.0**-1074, 2.0**-500)}


def _nextafter_expand(x: Variable, y: Variable) -> Variable:
    """By Rump, Zimmermann, Boldo and Melquiond (2009): x plus a bit more than half of its last place, rounded.

    Numbers so small that the product would be inexact are scaled; those with the least distance have that added.
    """
    dtype = floating([x.type.dtype, y.type.dtype])
    unit, least, small = _STEPS[dtype]
    phi, scale = unit * (1 + 2 * unit), 2.0 / unit
    a, b = f.cast(x, dtype), f.cast(y, dtype)
    size = f.abs(a)
    away = f.eq(f.gt(b, a), f.gt(a, 0))
    toward = f.where(away, f.cast(1.0, dtype), f.cast(-1.0, dtype))
    scaled = f.mul(size, scale)
    tiny = f.lt(size, least / unit)
    by_scale = f.mul(f.add(scaled, f.mul(toward, f.mul(scaled, phi))), 1.0 / scale)
    plain = f.add(size, f.mul(toward, f.mul(size, phi)))
    moved = f.where(tiny, f.add(size, f.mul(toward, least)), f.where(f.lt(size, small), by_scale, plain))
    moved = f.where(f.isinf(size), float(np.finfo(dtype).max), moved)
    moved = f.where(f.eq(a, 0), f.copysign(f.full_like(b, least), b), f.copysign(moved, a))
    return f.where(f.eq(a, b), b, f.where(f.isnan(b), b, f.where(f.isnan(a), a, moved)))


Op("nextafter", ("x", "y"), "The float next to x on the way to y; y where they are equal.", floating,
   lambda x, y: np.nextafter(x, y, dtype=floating([x.dtype.name, y.dtype.name])),
   None, no_grad="the next float is a step function of x", expand=_nextafter_expand, dtypes=FLOATS,
   cost=20)  # fmt: skip


def nextafter(x: Any, y: Any) -> Variable:
    """The float next to x on the way to y; y where they are equal. It has no gradient: it is a step function."""
    return apply(OPS["nextafter"], as_operands(x, y))


def ldexp(x: Any, n: Any) -> Variable:
    """x * 2**n for integers n, exact but for underflow and overflow of the result. DtypeError for an n of floats."""
    v, exponent = as_variable(x), as_variable(n)
    if exponent.type.dtype not in DISCRETE or exponent.type.dtype == BOOL:
        raise DtypeError(f"ldexp: the exponent must be an integer, not {describe(exponent)}")
    dtype = floating([v.type.dtype])
    v = f.cast(v, dtype)
    # from the least number to beyond the largest, in three steps of which none overflows
    far = 300 if dtype == "float32" else 2200
    left = f.clip(f.cast(exponent, "int64"), -far, far)
    for share in (3, 2, 1):
        step = f.floor_div(left, share)
        v = f.mul(v, f.exp2(f.cast(step, dtype)))
        left = f.sub(left, step)
    return v


def frexp(x: Any) -> tuple[Variable, Variable]:
    """(m, e) with x = m * 2**e and m between 1/2 and 1 in size, e int32; (x, 0) for zeros, infinities and NaN."""
    v = as_floats(x)
    plain = f.or_(f.eq(v, 0), f.logical_not(f.isfinite(v)))
    size = f.disconnected_grad(f.where(plain, 1, f.abs(v)))
    # the logarithm is right but for rounding
    e = f.cast(f.add(f.floor(f.log2(size)), 1.0), "int64")
    part = ldexp(size, f.neg(e))
    e = f.add(e, f.sub(f.cast(f.ge(part, 1), "int64"), f.cast(f.lt(part, 0.5), "int64")))
    return f.where(plain, v, ldexp(v, f.neg(e))), f.cast(f.where(plain, 0, e), "int32")


def modf(x: Any) -> tuple[Variable, Variable]:
    """(fraction, whole part) of x, both with its sign."""
    v = as_floats(x)
    whole = f.trunc(v)
    return f.copysign(f.where(f.isinf(v), 0, f.sub(v, whole)), v), whole


def spacing(x: Any) -> Variable:
    """The distance from x to the next float away from 0, with x's sign; NaN for infinities. It has no gradient."""
    v = as_floats(x)
    return f.sub(nextafter(v, f.where(f.lt(v, 0), f.cast(-np.inf, v.type.dtype), f.cast(np.inf, v.type.dtype))), v)


def fix(x: Any) -> Variable:
    """`trunc` by another name of NumPy's."""
    return f.trunc(x)


def isposinf(x: Any) -> Variable:
    """Whether x is inf, bool."""
    return f.eq(as_variable(x), np.inf)


def isneginf(x: Any) -> Variable:
    """Whether x is -inf, bool."""
    return f.eq(as_variable(x), -np.inf)


# -- divisors -------------------------------------------------------------------------------------------------------

Op("gcd", ("x", "y"), "The greatest common divisor of integers, never negative; 0 for 0 and 0.", same, np.gcd, None,
   no_grad="integers have no gradient", scalar="gcd(x, y)", dtypes=INTEGERS, commutative=True,
   domain=(-60, 60), cost=60)  # fmt: skip
gcd = integral("gcd")


def lcm(x: Any, y: Any) -> Variable:
    """The least common multiple of integers, never negative; 0 where one is 0."""
    a, b = as_operands(x, y)
    divisor = gcd(a, b)
    return f.abs(f.mul(f.floor_div(a, f.where(f.eq(divisor, 0), 1, divisor)), b))


# -- products of vectors and matrices -------------------------------------------------------------------------------


def vecdot(x: Any, y: Any, axis: int = -1) -> Variable:
    """The scalar products of the vectors along `axis`; the other axes broadcast. ShapeError for vectors of two
    lengths."""
    a, b = as_operands(x, y)
    first, second = (ln.axis_of(axis, v.ndim, "vecdot", v) for v in (a, b))
    return f.sum(f.mul(a, f.as_long(a, b, [first], [second], "vecdot")), axis)


def matvec(a: Any, x: Any) -> Variable:
    """Matrices, the last two axes of a, times vectors, the last axis of x; the others broadcast."""
    return f.getitem(f.matmul(as_variable(a), f.shape_padright(as_variable(x))), (..., 0))


def vecmat(x: Any, a: Any) -> Variable:
    """Vectors, the last axis of x, times matrices, the last two axes of a; the others broadcast."""
    v = as_variable(x)
    row = f.expand_dims(v, v.ndim - 1)
    return f.getitem(f.matmul(row, as_variable(a)), (..., 0, slice(None)))


# Other names, of NumPy.
degrees, radians = rad2deg, deg2rad

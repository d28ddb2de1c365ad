"""Arithmetic, rounding, exponentials, logarithms and trigonometry, element by element.

A gradient whose slope may be infinite multiplies with `masked_mul` or divides with `masked_div`: where the incoming
gradient is zero the result is zero, whatever the slope. A rewrite turns them into `mul` and `true_div` where the slope
is a finite number. For what `where` did not choose nothing is needed here: see `reach`.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.config import config
from numgraph.graph import Variable, as_operands, as_variable, elementwise
from numgraph.op import Op, division, floating, real, same
from numgraph.ops import formula
from numgraph.ops.define import ZERO, boolless, converted, f, no_bool
from numgraph.types import BOOL, COMPLEX, DISCRETE, FLOATS, UNSIGNED

__all__ = [
    "abs",
    "abs_",
    "acos",
    "acosh",
    "add",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "ceiling",
    "cos",
    "cosh",
    "deg2rad",
    "divide",
    "divmod",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_div",
    "int_div",
    "inv",
    "log",
    "log1p",
    "log2",
    "log10",
    "mod",
    "mul",
    "multiply",
    "neg",
    "negative",
    "pow",
    "power",
    "rad2deg",
    "reciprocal",
    "remainder",
    "rint",
    "round",
    "sgn",
    "sign",
    "sin",
    "sinh",
    "sqr",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tan",
    "tanh",
    "true_div",
    "truediv",
    "trunc",
]  # fmt: skip
# Functions of expressions that gradients and operators use.
INTERNAL = ["masked_div", "masked_mul"]

NUMBERS = ("float32", "float64", "int32", "int64", "uint8")
LN2 = math.log(2.0)
LN10 = math.log(10.0)


def _of_bools(*operands: Variable) -> bool:
    return all(v.type.dtype == BOOL for v in operands)


# -- masked products ------------------------------------------------------------------------------------------------

Op(
    "masked_mul", ("g", "d"), "g * d, and zero wherever g is zero, even where d is infinite or NaN.", same,
    lambda g, d: np.where(g == 0, np.zeros((), np.result_type(g, d)), g * d),
    lambda h, out, g, d: (f.masked_mul(h, d), f.masked_mul(h, g)),
    scalar="where(g == 0.0, 0.0, g * d)", show=formula.times, dtypes=("float32", "float64"), complex=True,
)  # fmt: skip
masked_mul = elementwise("masked_mul")

Op(
    "masked_div", ("g", "d"), "g / d, and zero wherever g is zero, even where d is zero or NaN.", division,
    lambda g, d: np.where(g == 0, np.zeros((), np.result_type(g, d)), g / d),
    lambda h, out, g, d: (f.masked_div(h, d), f.neg(f.masked_div(f.masked_mul(h, out), d))),
    scalar="where(g == 0.0, 0.0, g / d)", show=formula.over, domain=(0.2, 3.0), dtypes=("float32", "float64"), cost=4,
    complex=True,
)  # fmt: skip
masked_div = elementwise("masked_div")

# -- arithmetic -----------------------------------------------------------------------------------------------------

ADD = Op("add", ("x", "y"), "x + y.", same, np.add, lambda g, out, x, y: (g, g), scalar="x + y", dtypes=NUMBERS,
   commutative=True, complex=True)  # fmt: skip
_add = elementwise("add")


def add(x: Any, y: Any, *more: Any) -> Variable:
    """x + y (+ ...); for two bools their `or`, as in NumPy."""
    a, b = as_operands(x, y)
    total: Variable = f.or_(a, b) if _of_bools(a, b) else _add(a, b)
    for other in more:
        total = add(total, other)
    return total


SUB = Op("sub", ("x", "y"), "x - y. DtypeError for two bools.", same, np.subtract,
   lambda g, out, x, y: (g, f.neg(g)), scalar="x - y", dtypes=NUMBERS, complex=True)  # fmt: skip
sub = no_bool("sub", "use ng.xor(x, y)")

MUL = Op("mul", ("x", "y"), "x * y.", same, np.multiply, lambda g, out, x, y: (f.mul(g, y), f.mul(g, x)),
   scalar="x * y", dtypes=NUMBERS, commutative=True, complex=True)  # fmt: skip
_mul = elementwise("mul")


def mul(x: Any, y: Any, *more: Any) -> Variable:
    """x * y (* ...); for two bools their `and`, as in NumPy."""
    a, b = as_operands(x, y)
    product: Variable = f.and_(a, b) if _of_bools(a, b) else _mul(a, b)
    for other in more:
        product = mul(product, other)
    return product


def _of_floats(name: str) -> Callable[..., Variable]:
    """The user function of an op that makes floatX of integers: of when it is called, not of when a function is
    compiled."""
    plain = elementwise(name)

    def build(*args: Any) -> Variable:
        operands = as_operands(*args)
        if all(v.type.dtype in DISCRETE for v in operands):
            operands = [converted(v, config.floatX) for v in operands]
        return plain(*operands)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = plain.__doc__
    return build


def _true_div_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    return masked_div(g, y), f.neg(masked_div(masked_mul(g, out), y))


Op("true_div", ("x", "y"), "x / y; two integers give floatX.", division, np.true_divide, _true_div_grad,
   scalar="x / y", domain=(0.3, 3.0), cost=4, complex=True)  # fmt: skip
true_div = _of_floats("true_div")

Op("floor_div", ("x", "y"), "The floor of x / y; for integers x // 0 is 0. Its gradient is zero.", boolless,
   np.floor_divide, lambda g, out, x, y: (ZERO, ZERO), scalar="floordiv(x, y)", domain=(0.3, 3.0), dtypes=NUMBERS,
   cost=6)  # fmt: skip
floor_div = elementwise("floor_div")


def _mod_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    return g, f.neg(masked_mul(g, f.floor(f.true_div(x, y))))


Op("mod", ("x", "y"), "x - y * floor(x / y), with the sign of y; for integers x % 0 is 0.", boolless, np.mod, _mod_grad,
   scalar="mod(x, y)", domain=(0.3, 3.0), dtypes=NUMBERS, cost=6)  # fmt: skip
mod = elementwise("mod")


def divmod(x: Any, y: Any) -> tuple[Variable, Variable]:
    """(x // y, x % y), as np.divmod."""
    a, b = as_operands(x, y)
    return floor_div(a, b), mod(a, b)


def _power(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """x ** y; integers to a negative power are 0 but for 1 and -1, where NumPy refuses."""
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype.kind in "fc" or y.dtype.kind in "fc":
        return np.asarray(np.power(x, y))
    result = np.asarray(np.power(x, np.where(y < 0, np.zeros((), y.dtype), y)))
    unit = np.where(x == 1, 1, np.where(x == -1, 1 - 2 * (y % 2), 0)) if x.dtype.kind == "i" else x == 1
    return np.where(y < 0, np.asarray(unit).astype(result.dtype), result)


def _pow_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    """The derivative for x is y * x**(y - 1), zero for y = 0; the one for y is out * log(x), zero at x = 0."""
    exponent = f.cast(y, out.type.dtype)
    gx = masked_mul(g, masked_mul(exponent, f.pow(x, f.sub(exponent, 1.0))))
    # a real number below 0 to a complex power
    base = f.cast(x, out.type.dtype) if out.type.dtype in COMPLEX else x
    gy = masked_mul(g, f.where(f.eq(x, 0), 0.0, masked_mul(out, f.log(base))))
    return gx, gy


Op("pow", ("x", "y"), "x to the power y. Integers give integers: 0 for a negative power, but for a base of 1 or -1.",
   boolless, _power, _pow_grad, scalar="power(x, y)", domain=(0.2, 3.0), dtypes=NUMBERS, cost=30,
   complex=True)  # fmt: skip
pow = elementwise("pow")

Op("neg", ("x",), "-x. DtypeError for bool.", same, np.negative, lambda g, out, x: (f.neg(g),), scalar="-x",
   dtypes=NUMBERS, complex=True)  # fmt: skip
neg = no_bool("neg", "use ~x")

Op("abs", ("x",), "The absolute value; its derivative at 0 is 0.", real, np.abs,
   lambda g, out, x: (f.mul(g, f.conj(f.sign(x))),), scalar="abs(x)",
   dtypes=("float32", "float64", "int32", "int64"), complex=True)  # fmt: skip
_abs = elementwise("abs")


def abs(x: Any) -> Variable:
    """The absolute value, of x's dtype, of complex numbers of that of their parts; its derivative at 0 is 0."""
    v = as_variable(x)
    return v if v.type.dtype == BOOL or v.type.dtype in UNSIGNED else _abs(v)


Op("sign", ("x",), "-1, 0 or 1; NaN stays NaN. Its gradient is zero.", same, np.sign, lambda g, out, x: (ZERO,),
   scalar="where(x > 0.0, 1.0, where(x < 0.0, -1.0, where(x == 0.0, 0.0, x)))",
   dtypes=("float32", "float64", "int32", "int64"))  # fmt: skip
_sign = no_bool("sign", "a bool is its own sign")


def sign(x: Any) -> Variable:
    """-1, 0 or 1, of x's dtype; NaN stays NaN. DtypeError for bool. Its gradient is zero.

    Of complex numbers x / abs(x), and 0 for 0; that has a gradient.
    """
    v = as_variable(x)
    if v.type.dtype in COMPLEX:
        return f.unit(v)
    return f.cast(f.neq(v, 0), v.type.dtype) if v.type.dtype in UNSIGNED else _sign(v)


Op("reciprocal", ("x",), "1 / x; integers give floatX.", division, lambda x: 1.0 / x,
   lambda g, out, x: (f.neg(masked_mul(masked_mul(g, out), out)),), scalar="1.0 / x", domain=(0.3, 3.0),
   cost=4, complex=True)  # fmt: skip
reciprocal = _of_floats("reciprocal")

Op("square", ("x",), "x * x.", boolless, np.square, lambda g, out, x: (f.mul(g, f.mul(2.0, x)),), scalar="x * x",
   dtypes=NUMBERS, complex=True)  # fmt: skip
square = elementwise("square")

# -- rounding -------------------------------------------------------------------------------------------------------


def _rounding(name: str, doc: str, numpy: Any, scalar: str) -> Any:
    """A rounding op: floats keep their dtype, integers and bools are returned as they are."""
    Op(name, ("x",), doc, same, numpy, lambda g, out, x: (ZERO,), scalar=scalar, dtypes=FLOATS, cost=2)
    rounded = elementwise(name)

    def build(x: Any) -> Variable:
        v = as_variable(x)
        return v if v.type.dtype in DISCRETE else rounded(v)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"{doc} Integers are returned unchanged. Its gradient is zero."
    return build


floor = _rounding("floor", "The largest whole number not above x.", np.floor, "floor(x)")
ceil = _rounding("ceil", "The smallest whole number not below x.", np.ceil, "ceil(x)")
trunc = _rounding("trunc", "x without its fraction.", np.trunc, "trunc(x)")
rint = _rounding("round", "The nearest whole number, halves to even.", np.rint, "rint(x)")


def round(x: Any, decimals: int = 0) -> Variable:
    """x rounded to `decimals` digits behind the point, halves to even, as np.round; negative ones count before it.

    Integers and bools stay what they are. Its gradient is zero. TypeError for `decimals` that are no integer.
    """
    digits, v = operator.index(decimals), as_variable(x)
    if digits == 0 or v.type.dtype == BOOL or (digits > 0 and v.type.dtype in DISCRETE):
        return rint(v)  # type: ignore[no-any-return]
    scale = 10.0 ** builtins.abs(digits)
    if v.type.dtype in DISCRETE:
        return f.cast(f.mul(rint(f.true_div(f.cast(v, "float64"), scale)), scale), v.type.dtype)
    if digits > 0:
        return f.true_div(rint(f.mul(v, scale)), scale)
    return f.mul(rint(f.true_div(v, scale)), scale)


# -- roots, exponentials, logarithms --------------------------------------------------------------------------------

Op("sqrt", ("x",), "The square root; its derivative at 0 is infinite.", floating, np.sqrt,
   lambda g, out, x: (masked_div(g, f.mul(2.0, out)),), scalar="sqrt(x)", domain=(0.1, 4.0), cost=6,
   complex=True)  # fmt: skip
sqrt = elementwise("sqrt")

Op("exp", ("x",), "e to the power x.", floating, np.exp, lambda g, out, x: (masked_mul(g, out),), scalar="exp(x)",
   cost=20, complex=True)  # fmt: skip
exp = elementwise("exp")

Op("exp2", ("x",), "2 to the power x.", floating, np.exp2, lambda g, out, x: (masked_mul(g, f.mul(LN2, out)),),
   scalar="exp2(x)", cost=20, complex=True)  # fmt: skip
exp2 = elementwise("exp2")

Op("expm1", ("x",), "exp(x) - 1, exact for small x.", floating, np.expm1, lambda g, out, x: (masked_mul(g, f.exp(x)),),
   scalar="expm1(x)", cost=25, complex=True)  # fmt: skip
expm1 = elementwise("expm1")

Op("log", ("x",), "The natural logarithm.", floating, np.log, lambda g, out, x: (masked_div(g, x),), scalar="log(x)",
   domain=(0.1, 4.0), cost=20, complex=True)  # fmt: skip
log = elementwise("log")

Op("log1p", ("x",), "log(1 + x), exact for small x.", floating, np.log1p,
   lambda g, out, x: (masked_div(g, f.add(x, 1.0)),), scalar="log1p(x)", domain=(-0.8, 4.0), cost=25,
   complex=True)  # fmt: skip
log1p = elementwise("log1p")

Op("log2", ("x",), "The logarithm to base 2.", floating, np.log2,
   lambda g, out, x: (f.mul(masked_div(g, x), 1.0 / LN2),), scalar="log2(x)", domain=(0.1, 4.0), cost=20,
   complex=True)  # fmt: skip
log2 = elementwise("log2")

Op("log10", ("x",), "The logarithm to base 10.", floating, np.log10,
   lambda g, out, x: (f.mul(masked_div(g, x), 1.0 / LN10),), scalar="log10(x)", domain=(0.1, 4.0), cost=20,
   complex=True)  # fmt: skip
log10 = elementwise("log10")

# -- trigonometry ---------------------------------------------------------------------------------------------------

Op("sin", ("x",), "The sine of x in radians.", floating, np.sin, lambda g, out, x: (f.mul(g, f.cos(x)),),
   scalar="sin(x)", cost=20, complex=True)  # fmt: skip
sin = elementwise("sin")

Op("cos", ("x",), "The cosine of x in radians.", floating, np.cos, lambda g, out, x: (f.neg(f.mul(g, f.sin(x))),),
   scalar="cos(x)", cost=20, complex=True)  # fmt: skip
cos = elementwise("cos")

Op("tan", ("x",), "The tangent of x in radians.", floating, np.tan,
   lambda g, out, x: (masked_mul(g, f.add(1.0, f.mul(out, out))),), scalar="tan(x)", domain=(-1.2, 1.2),
   cost=25, complex=True)  # fmt: skip
tan = elementwise("tan")


def _slant(x: Variable) -> Variable:
    """sqrt(1 + x * x), of floats also where the square overflows."""
    length: Variable = f.sqrt(f.add(1.0, f.mul(x, x))) if x.type.dtype in COMPLEX else f.hypot(1.0, x)
    return length


def _arc_slope(x: Variable) -> Variable:
    """sqrt(1 - x * x), in factors that keep their precision near 1."""
    slope: Variable = f.sqrt(f.mul(f.sub(1.0, x), f.add(1.0, x)))
    return slope


Op("arcsin", ("x",), "The inverse sine, in [-pi/2, pi/2].", floating, np.arcsin,
   lambda g, out, x: (masked_div(g, _arc_slope(x)),), scalar="asin(x)", domain=(-0.9, 0.9), cost=25,
   complex=True)  # fmt: skip
arcsin = elementwise("arcsin")

Op("arccos", ("x",), "The inverse cosine, in [0, pi].", floating, np.arccos,
   lambda g, out, x: (f.neg(masked_div(g, _arc_slope(x))),), scalar="acos(x)", domain=(-0.9, 0.9),
   cost=25, complex=True)  # fmt: skip
arccos = elementwise("arccos")

Op("arctan", ("x",), "The inverse tangent, in [-pi/2, pi/2].", floating, np.arctan,
   lambda g, out, x: (f.true_div(f.true_div(g, _slant(x)), _slant(x)),), scalar="atan(x)", cost=25,
   complex=True)  # fmt: skip
arctan = elementwise("arctan")


def share_of(x: Variable, length: Variable) -> Variable:
    """x / length, where `length` is that of a vector with component x: 0 where it is 0, -1 or 1 where x is infinite."""
    result: Variable = f.where(f.isinf(x), f.sign(x), masked_div(x, length))
    return result


def _arctan2_grad(g: Variable, out: Variable, y: Variable, x: Variable) -> tuple[Any, ...]:
    """x and y over the square of the length, which may overflow where the slope does not."""
    length = f.hypot(x, y)
    return (
        masked_div(masked_mul(g, share_of(x, length)), length),
        f.neg(masked_div(masked_mul(g, share_of(y, length)), length)),
    )


Op("arctan2", ("y", "x"), "The angle of the point (x, y), in [-pi, pi].", floating, np.arctan2, _arctan2_grad,
   scalar="atan2(y, x)", cost=30)  # fmt: skip
arctan2 = elementwise("arctan2")

Op("sinh", ("x",), "The hyperbolic sine.", floating, np.sinh, lambda g, out, x: (masked_mul(g, f.cosh(x)),),
   scalar="sinh(x)", cost=25, complex=True)  # fmt: skip
sinh = elementwise("sinh")

Op("cosh", ("x",), "The hyperbolic cosine.", floating, np.cosh, lambda g, out, x: (masked_mul(g, f.sinh(x)),),
   scalar="cosh(x)", cost=25, complex=True)  # fmt: skip
cosh = elementwise("cosh")

Op("tanh", ("x",), "The hyperbolic tangent.", floating, np.tanh,
   lambda g, out, x: (f.mul(g, f.sub(1.0, f.mul(out, out))),), scalar="tanh(x)", cost=25, complex=True)  # fmt: skip
tanh = elementwise("tanh")

Op("arcsinh", ("x",), "The inverse hyperbolic sine.", floating, np.arcsinh,
   lambda g, out, x: (f.true_div(g, _slant(x)),), scalar="asinh(x)", cost=25, complex=True)  # fmt: skip
arcsinh = elementwise("arcsinh")

Op("arccosh", ("x",), "The inverse hyperbolic cosine, of x at least 1.", floating, np.arccosh,
   lambda g, out, x: (masked_div(g, f.mul(f.sqrt(f.sub(x, 1.0)), f.sqrt(f.add(x, 1.0)))),), scalar="acosh(x)",
   domain=(1.2, 4.0), cost=25, complex=True)  # fmt: skip
arccosh = elementwise("arccosh")

Op("arctanh", ("x",), "The inverse hyperbolic tangent, of x in [-1, 1].", floating, np.arctanh,
   lambda g, out, x: (masked_div(g, f.mul(f.sub(1.0, x), f.add(1.0, x))),), scalar="atanh(x)",
   domain=(-0.9, 0.9), cost=25, complex=True)  # fmt: skip
arctanh = elementwise("arctanh")

Op("deg2rad", ("x",), "Degrees in radians.", floating, np.deg2rad, lambda g, out, x: (f.mul(g, math.pi / 180.0),),
   scalar="x * 0.017453292519943295")  # fmt: skip
deg2rad = elementwise("deg2rad")

Op("rad2deg", ("x",), "Radians in degrees.", floating, np.rad2deg, lambda g, out, x: (f.mul(g, 180.0 / math.pi),),
   scalar="x * 57.29577951308232")  # fmt: skip
rad2deg = elementwise("rad2deg")

# Other names, of Theano and NumPy.
abs_, ceiling, int_div, inv, power = abs, ceil, floor_div, reciprocal, pow
sgn, sqr, truediv, divide, multiply = sign, square, true_div, true_div, mul
negative, remainder, subtract = neg, mod, sub
acos, acosh, asin, asinh, atan, atan2, atanh = arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh

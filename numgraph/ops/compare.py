"""Comparisons, choice, limits, logic and bits, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numgraph.errors import ValueOverflowError
from numgraph.graph import Variable, apply, as_operands, as_variable, elementwise
from numgraph.op import Op, boolean, same
from numgraph.ops.define import Chosen, boolless, both, f, no_float
from numgraph.types import BOOL, FLOATS

__all__ = [
    "and_", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "clip", "eq", "equal", "ge", "greater",
    "greater_equal", "gt", "invert", "isfinite", "isinf", "isnan", "le", "left_shift", "less", "less_equal",
    "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "maximum", "minimum", "neq", "not_equal",
    "or_", "right_shift", "switch", "where", "xor",
]  # fmt: skip

# What gradients are made of.
INTERNAL = ["masked"]

STEP = "a comparison is a step function: gradients stop there"
BITS = "bits have no derivative"
INTEGERS = ("int32", "int64", "uint8", "bool")
SHIFTABLE = ("int8", "int32", "int64", "uint8", "uint64")

# -- comparisons ----------------------------------------------------------------------------------------------------


def _compared(name: str) -> Callable[[Any, Any], Variable]:
    """The user function of a comparison, exact also for a Python integer that does not fit the other's dtype."""
    plain = elementwise(name)

    def build(x: Any, y: Any) -> Variable:
        try:
            return plain(x, y)
        except ValueOverflowError:
            return plain(*(_wide(v) if type(v) is int else v for v in (x, y)))

    build.__name__ = build.__qualname__ = name
    build.__doc__ = plain.__doc__
    return build


def _wide(value: int) -> Any:
    """A Python integer in a dtype that it fits; beyond all integers of 64 bits infinity, which compares alike."""
    if value > np.iinfo(np.uint64).max or value < np.iinfo(np.int64).min:
        return np.float64(np.inf if value > 0 else -np.inf)
    return np.int64(value) if value <= np.iinfo(np.int64).max else np.uint64(value)


LT = Op("lt", ("x", "y"), "x < y, bool.", boolean, np.less, None, no_grad=STEP, scalar="x < y")
lt = _compared("lt")

Op("le", ("x", "y"), "x <= y, bool.", boolean, np.less_equal, None, no_grad=STEP, scalar="x <= y")
le = _compared("le")

Op("gt", ("x", "y"), "x > y, bool.", boolean, np.greater, None, no_grad=STEP, scalar="x > y")
gt = _compared("gt")

Op("ge", ("x", "y"), "x >= y, bool.", boolean, np.greater_equal, None, no_grad=STEP, scalar="x >= y")
ge = _compared("ge")

Op("eq", ("x", "y"), "x == y, bool (the operator == of variables is identity).", boolean, np.equal, None, no_grad=STEP,
   scalar="x == y", commutative=True, complex=True)  # fmt: skip
eq = _compared("eq")

NEQ = Op("neq", ("x", "y"), "x != y, bool (the operator != of variables is identity).", boolean, np.not_equal, None,
   no_grad=STEP, scalar="x != y", commutative=True, complex=True)  # fmt: skip
neq = _compared("neq")

Op("isnan", ("x",), "Whether x is NaN, bool.", boolean, np.isnan, None, no_grad=STEP, scalar="isnan(x)", complex=True)
isnan = elementwise("isnan")

Op(
    "isinf",
    ("x",),
    "Whether x is infinite, bool.",
    boolean,
    np.isinf,
    None,
    no_grad=STEP,
    scalar="isinf(x)",
    complex=True,
)
isinf = elementwise("isinf")

# inf - inf and nan - nan are nan, which is equal to nothing
Op("isfinite", ("x",), "Whether x is neither NaN nor infinite, bool.", boolean, np.isfinite, None, no_grad=STEP,
   scalar="x - x == 0.0", dtypes=("float32", "float64", "int32", "int64", "uint8"), complex=True)  # fmt: skip
_isfinite = elementwise("isfinite")


def isfinite(x: Any) -> Variable:
    """Whether x is neither NaN nor infinite, bool."""
    v = as_variable(x)
    return f.eq(v, v) if v.type.dtype == BOOL else _isfinite(v)


# -- choice and limits ----------------------------------------------------------------------------------------------


def _where_grad(g: Variable, out: Variable, cond: Variable, a: Variable, b: Variable) -> tuple[Any, ...]:
    return None, where(cond, g, 0.0), where(cond, 0.0, g)


def _where_reach(counts: Variable | None, out: Variable, cond: Variable, a: Variable, b: Variable) -> tuple[Any, ...]:
    wide = f.shape_padleft(cond, out.ndim - cond.ndim) if cond.ndim < out.ndim else cond
    return None, Chosen(both(counts, wide)), Chosen(both(counts, logical_not(wide)))


WHERE = Op("where", ("cond", "a", "b"), "a where cond holds, else b.", lambda dtypes: same(dtypes[1:]), np.where,
   _where_grad, scalar="where(cond, a, b)", keeps=(0,), reach=_where_reach, complex=True)  # fmt: skip


def where(cond: Any, a: Any = None, b: Any = None) -> Any:
    """a where cond holds, else b; cond may have any dtype (not 0 counts as true). Without a and b: `nonzero(cond)`.

    The gradient of what was not chosen is zero, even where its derivative is infinite or NaN.
    """
    chosen = as_variable(cond)
    if a is None and b is None:
        return f.nonzero(chosen)
    if chosen.type.dtype != BOOL:
        chosen = neq(chosen, 0)
    return apply(WHERE, [chosen, *as_operands(a, b)])


def _masked_reach(counts: Variable | None, out: Variable, mask: Variable, x: Variable) -> tuple[Any, ...]:
    return _where_reach(counts, out, mask, x, x)[:2]


Op("masked", ("mask", "x"), "x where mask holds, else 0: in gradients, for elements that have no part in the cost.",
   lambda dtypes: dtypes[1], lambda mask, x: np.where(mask, x, np.zeros((), np.asarray(x).dtype)),
   lambda g, out, mask, x: (None, f.masked(mask, g)), scalar="where(mask, x, 0.0)", keeps=(0,),
   reach=_masked_reach, dtypes=FLOATS, complex=True)  # fmt: skip
masked = elementwise("masked")


def _larger_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    """The gradient goes to the larger one; equal ones get half of it each, so that the shares sum to 1."""
    half, tie = f.mul(g, 0.5), eq(x, y)
    return where(tie, half, where(gt(x, y), g, 0.0)), where(tie, half, where(gt(y, x), g, 0.0))


def _smaller_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    return _larger_grad(g, out, y, x)


Op("maximum", ("x", "y"), "The larger of x and y; NaN wins. Equal ones share the gradient evenly.", same, np.maximum,
   _larger_grad, scalar="maximum(x, y)", commutative=True, cost=2)  # fmt: skip
maximum = elementwise("maximum")

Op("minimum", ("x", "y"), "The smaller of x and y; NaN wins. Equal ones share the gradient evenly.", same, np.minimum,
   _smaller_grad, scalar="minimum(x, y)", commutative=True, cost=2)  # fmt: skip
minimum = elementwise("minimum")


def _clip_grad(g: Variable, out: Variable, x: Variable, low: Variable, high: Variable) -> tuple[Any, ...]:
    """Inside, bounds included, the gradient is x's; outside it is that of the bound which stands."""
    over = gt(maximum(x, low), high)
    below = logical_and(lt(x, low), logical_not(over))
    inside = logical_and(ge(x, low), le(x, high))
    return where(inside, g, 0.0), where(below, g, 0.0), where(over, g, 0.0)


Op("clip", ("x", "low", "high"), "x limited to [low, high]; NaN stays NaN. At the bounds the gradient is x's.", same,
   lambda x, low, high: np.minimum(np.maximum(x, low), high), _clip_grad, scalar="minimum(maximum(x, low), high)",
   cost=4)  # fmt: skip
_clip = elementwise("clip")


def clip(x: Any, low: Any = None, high: Any = None) -> Variable:
    """x limited to [low, high]; either may be None, for no limit. NaN stays NaN. At the bounds the gradient is x's."""
    if low is None or high is None:
        bound, limit = (low, maximum) if high is None else (high, minimum)
        return as_variable(x) if bound is None else limit(x, bound)
    return _clip(x, low, high)


# -- logic and bits -------------------------------------------------------------------------------------------------

AND = Op("and_", ("x", "y"), "The bitwise `and` of integers, the logical one of bools. DtypeError for floats.", same,
   np.bitwise_and, None, no_grad=BITS, scalar="x & y", dtypes=INTEGERS, commutative=True)  # fmt: skip
and_ = no_float("and_")

Op("or_", ("x", "y"), "The bitwise `or` of integers, the logical one of bools. DtypeError for floats.", same,
   np.bitwise_or, None, no_grad=BITS, scalar="x | y", dtypes=INTEGERS, commutative=True)  # fmt: skip
or_ = no_float("or_")

Op("xor", ("x", "y"), "The bitwise exclusive `or` of integers, the logical one of bools. DtypeError for floats.", same,
   np.bitwise_xor, None, no_grad=BITS, scalar="x ^ y", dtypes=INTEGERS, commutative=True)  # fmt: skip
xor = no_float("xor")

Op("invert", ("x",), "The bitwise complement of integers. DtypeError for floats.", same, np.invert, None, no_grad=BITS,
   scalar="~x", dtypes=("int32", "int64", "uint8"))  # fmt: skip
_invert = no_float("invert")

LOGICAL_NOT = Op("logical_not", ("x",), "Whether x is 0, bool.", boolean, np.logical_not, None, no_grad=STEP,
   scalar="x == 0.0")  # fmt: skip
logical_not = elementwise("logical_not")


def invert(x: Any) -> Variable:
    """The bitwise complement of integers, the logical one of bools. DtypeError for floats."""
    v = as_variable(x)
    return logical_not(v) if v.type.dtype == BOOL else _invert(v)


def _truth(x: Any) -> Variable:
    v = as_variable(x)
    return v if v.type.dtype == BOOL else neq(v, 0)


def logical_and(x: Any, y: Any) -> Variable:
    """Whether x and y both differ from 0, bool."""
    return and_(_truth(x), _truth(y))


def logical_or(x: Any, y: Any) -> Variable:
    """Whether x or y differs from 0, bool."""
    return or_(_truth(x), _truth(y))


def logical_xor(x: Any, y: Any) -> Variable:
    """Whether exactly one of x and y differs from 0, bool."""
    return xor(_truth(x), _truth(y))


# A shift by more bits than there are, or by a negative number, shifts everything out, as in NumPy; C leaves it
# undefined.
Op("left_shift", ("x", "y"), "x with its bits moved up by y places. DtypeError for floats.", boolless, np.left_shift,
   None, no_grad=BITS, scalar="where(y < 0, 0, where(y > 63, 0, x << y))", domain=(0, 7), dtypes=SHIFTABLE)  # fmt: skip
left_shift = no_float("left_shift")

Op("right_shift", ("x", "y"), "x with its bits moved down by y places, the sign kept. DtypeError for floats.", boolless,
   np.right_shift, None, no_grad=BITS, domain=(0, 7), dtypes=SHIFTABLE,
   scalar="where(y < 0, where(x < 0, ~0, 0), where(y > 63, where(x < 0, ~0, 0), x >> y))")  # fmt: skip
right_shift = no_float("right_shift")

# Other names, of Theano and NumPy.
switch = where
bitwise_and, bitwise_or, bitwise_xor, bitwise_not = and_, or_, xor, invert
equal, not_equal, greater, greater_equal, less, less_equal = eq, neq, gt, ge, lt, le

"""Arrays made from nothing but lengths and numbers; triangles and diagonals.

A shape is an int, an int64 scalar, a sequence of these, or a vector of integers. `dtype=None` is floatX unless said
otherwise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from numgraph.config import config
from numgraph.errors import DtypeError, ShapeError, SizeError
from numgraph.graph import Constant, Variable, apply, as_variable, describe, frozen, weak_constant
from numgraph.lengths import dims
from numgraph.op import OPS, Check, Op, first
from numgraph.ops import formula
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.shape import stretch
from numgraph.types import COMPLEX, DISCRETE, REALS, check_dtype, promote

__all__ = [
    "alloc", "arange", "diag", "diagonal", "empty", "empty_like", "eye", "full", "full_like", "identity_like",
    "linspace", "ones", "ones_like", "tri", "tril", "triu", "zeros", "zeros_like",
]  # fmt: skip

NOT_NEGATIVE = Check(
    "at_least", lambda value, *lengths, **_: [(n, 0) for n in ln.values(lengths)], "a length of {a} is negative"
)

# -- one value ------------------------------------------------------------------------------------------------------

Op(
    "fill",
    ("value", "*lengths"),
    "An array with `value` everywhere.",
    first,
    lambda value, *lengths: np.full([int(n) for n in lengths], value, np.asarray(value).dtype),
    lambda g, out, value, *lengths: (f.sum(g), *(None for _ in lengths)),
    element=lambda idx, value, *lengths: value.at(),
    injective=False,
    moves=True,
    uniform=True,
    shape=lambda value, *lengths: ln.values(lengths),
    show=formula.filled,
    checks=(NOT_NEGATIVE,),
    samples=lambda: [([np.float64(1.5), 2, 3], {}), ([np.int64(7), 4], {}), ([True, 2], {})],
)


def filled(value: Variable, lengths: list[Length]) -> Variable:
    """An array with a scalar variable everywhere; the scalar itself where there are no axes."""
    return apply(OPS["fill"], [value, *ln.operands(lengths)]) if lengths else value


def constant_scalar(value: Any, dtype: Any) -> Constant:
    """A 0-d constant; DtypeError for a dtype that is not supported."""
    return Constant(frozen(np.array(value).astype(check_dtype(dtype))))


def zeros(shape: Any, dtype: Any = None) -> Variable:
    """Zeros."""
    return filled(constant_scalar(0, dtype or config.floatX), ln.as_lengths(shape, "zeros"))


def ones(shape: Any, dtype: Any = None) -> Variable:
    """Ones."""
    return filled(constant_scalar(1, dtype or config.floatX), ln.as_lengths(shape, "ones"))


def empty(shape: Any, dtype: Any = None) -> Variable:
    """An array whose values do not matter: zeros."""
    return zeros(shape, dtype)


def full(shape: Any, value: Any, dtype: Any = None) -> Variable:
    """`value`, a number or variable, everywhere (broadcast if it has axes); dtype None: that of value."""
    v = as_variable(value)
    lengths = ln.as_lengths(shape, "full")
    if dtype is not None and v.type.dtype != check_dtype(dtype):
        v = f.cast(v, dtype)
    return stretch(v, lengths) if v.ndim else filled(v, lengths)


def alloc(value: Any, *shape: Any) -> Variable:
    """`value` broadcast to the lengths that follow it, as Theano's `alloc`."""
    return full(shape[0] if len(shape) == 1 else shape, value)


def zeros_like(x: Any, dtype: Any = None) -> Variable:
    """Zeros with the lengths of x; dtype None: that of x."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Variable:
    """Ones with the lengths of x; dtype None: that of x."""
    return full_like(x, 1, dtype)


def empty_like(x: Any, dtype: Any = None) -> Variable:
    """Zeros with the lengths of x."""
    return zeros_like(x, dtype)


def full_like(x: Any, value: Any, dtype: Any = None) -> Variable:
    """`value` everywhere, with the lengths of x; dtype None: that of x."""
    v = as_variable(x)
    wanted = check_dtype(dtype or v.type.dtype)
    result = full(tuple(ln.dims_of(v)), _weak(value, wanted), wanted)
    if None in v.type.shape:
        return result
    return _about(f.identity(result) if result is value else result, v)


def _about(result: Variable, x: Variable) -> Variable:
    """`result`, a new variable, as one that was written with x although it needs no length of it."""
    result.about = (x,)
    return result


def _weak(value: Any, dtype: str) -> Any:
    """A Python number as a constant beside `dtype`, so that an int that does not fit is an error and not wrapped."""
    return weak_constant(value, dtype) if type(value) in (bool, int, float) else value


# -- ranges ---------------------------------------------------------------------------------------------------------

Op(
    "arange",
    ("start", "length", "step", "*stop"),
    "start + step * (0, 1, ..., length - 1), of integers.",
    None,
    lambda start, length, step, *stop, dtype: _range(int(start), int(length), int(step)).astype(dtype),
    None,
    no_grad="a range of integers",
    element=lambda idx, start, length, step, *stop, dtype: start.value + idx[0] * step.value,
    shape=lambda start, length, step, *stop, dtype: (length.value,),
    show=formula.counted,
    checks=(
        Check(
            "at_least",
            lambda start, length, step, *stop, dtype: [(dims.maximum(step.value, 0 - step.value), 1)],
            "a step of zero",
        ),
        Check("at_least", lambda start, length, *rest, dtype: [(length.value, 0)], "a length of {a} is negative"),
        Check(
            "at_least",
            lambda start, length, step, *stop, dtype: [
                pair for v in stop for pair in _bounds(start.value, v.value, step.value, length.value)
            ],
            "start and stop are further apart than an int64 says",
        ),
    ),
    samples=lambda: [([0, 4, 1], {"dtype": "int64"}), ([5, 3, -2], {"dtype": "float32"})],
)


def _range(start: int, length: int, step: int) -> np.ndarray[Any, Any]:
    return start + np.arange(length, dtype=np.int64) * step


def _bounds(start: Any, stop: Any, step: Any, length: Any) -> list[tuple[Any, Any]]:
    """Pairs, of which the first is at least the second, unless the difference of the ends of a range has wrapped."""
    some = dims.where(dims.less(0, step), dims.less(start, stop), dims.less(stop, start))
    return [(length, some), (dims.where(some, length, 0), length)]


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Variable:
    """start, start + step, ... up to but without stop; `arange(n)` counts from 0 to n - 1.

    Integers, known or not, give int64, floats the dtype of the float variables among them, else floatX. A step of zero
    is a ShapeError, and so are ends whose difference no int64 holds. Known integers that do not fit `dtype` are a
    ValueOverflowError, as in NumPy where they are the first two; all others wrap. As in NumPy, the length of a range of
    floats is subject to rounding: prefer `linspace`.
    """
    begin, end = (0, start) if stop is None else (start, stop)
    parts = [as_variable(v) for v in (begin, end, step)]
    for v in parts:
        if v.ndim:
            raise ShapeError(f"arange: start, stop and step are scalars, not {describe(v)}")
        if v.type.dtype in COMPLEX:
            raise DtypeError(f"arange: complex numbers have no order\n  {describe(v)}")
    if promote([v.type.dtype for v in parts]) in REALS:
        return _float_range(begin, end, step, dtype)
    a, b, c = (ln.integer(v, "arange: an argument") for v in parts)
    if isinstance(c, int) and c == 0:
        raise ShapeError("arange: a step of zero")
    wanted = check_dtype(dtype or "int64")
    length = _range_length(a, b, c)
    if wanted in DISCRETE and isinstance(a, int):
        weak_constant(a, wanted)
        if isinstance(length, int) and isinstance(c, int) and length > 1:
            weak_constant(a + c, wanted)
    low = a if isinstance(c, int) and c > 0 else b
    apart = isinstance(c, int) and isinstance(low, int) and low >= 0
    return apply(OPS["arange"], ln.operands([a, length, c, *([] if apart else [b])]), dtype=wanted)


def counting(n: Length) -> Variable:
    """0, 1, ..., n - 1 as int64, for a length n."""
    return apply(OPS["arange"], ln.operands([0, n, 1]), dtype="int64")


def _range_length(start: Length, stop: Length, step: Length) -> Length:
    """The rounded-up quotient of `stop - start` by `step`, at least 0."""
    if isinstance(step, int) and abs(step) == 1:
        low, high = (start, stop) if step == 1 else (stop, start)
        return ln.natural(high if isinstance(low, int) and low == 0 else high - low)
    backwards = (start - stop) // step
    return ln.natural(-backwards)


def _float_range(start: Any, stop: Any, step: Any, dtype: Any) -> Variable:
    """A range of floats, `start + k * step`; as in NumPy the step is rounded to `(start + step) - start`."""
    given = [as_variable(v).type.dtype for v in (start, stop, step) if type(v) not in (bool, int, float)]
    typed = [dtype for dtype in given if dtype in REALS]
    work = promote(typed) if typed else config.floatX
    ends = (start, stop, step)
    known = not any(isinstance(v, Variable) and not isinstance(v, Constant) for v in ends)
    a, b, c = [float(v.data if isinstance(v, Constant) else v) if known else f.cast(v, work) for v in ends]
    if known and c == 0:
        raise ShapeError("arange: a step of zero")
    if known and not math.isfinite((b - a) / c):
        raise SizeError(f"arange: from {a} to {b} by {c} there is no number of elements")
    # what is no number, or more than an int64 says, becomes a length that no array can have
    count: Any = max(math.ceil((b - a) / c), 0) if known else ln.natural(f.cast(_at_most(f.ceil((b - a) / c)), "int64"))
    first_value, second = f.cast(a, work), f.cast(f.cast(a, work) + f.cast(c, work), work)
    result = first_value + f.cast(counting(count), work) * (second - first_value)
    return result if dtype is None else f.cast(result, dtype)


def _at_most(count: Variable, most: float = 2.0**62) -> Variable:
    """A count, or what no length can be where it is larger or not a number."""
    return f.where(count < most, count, _weak(most, count.type.dtype))


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
    *,
    retstep: bool = False,
) -> Any:
    """`num` values at equal distances from start to stop (`endpoint=False`: without it); dtype None: floatX. Of arrays,
    which broadcast, the values are along a new axis, the first one or `axis`. retstep: a pair, with the distance.

    num: a number, known when the expression is built.
    """
    count = ln.as_length(num, "linspace")
    if not isinstance(count, int):
        raise ShapeError(
            f"linspace: num must be a number that is known now, not {describe(as_variable(num))}. Use arange."
        )
    wanted = check_dtype(dtype or config.floatX)
    if not isinstance(start, Variable) and not isinstance(stop, Variable):
        plain, gap = np.linspace(start, stop, count, endpoint, retstep=True, axis=axis)
        return (as_variable(plain.astype(wanted)), as_variable(gap)) if retstep else as_variable(plain.astype(wanted))
    a, b = (as_variable(v) for v in (start, stop))
    work = promote([a.type.dtype, b.type.dtype, config.floatX])
    a, b = f.cast(a, work), f.cast(b, work)
    gaps = count - 1 if endpoint else count
    steps = f.shape_padright(counting(count), max(a.ndim, b.ndim))
    step = (b - a) / max(gaps, 1)
    values = a + f.cast(steps, work) * step
    if endpoint and count > 1:
        values = f.where(f.eq(steps, count - 1), b, values)
    found = along(f.cast(values, wanted), axis, "linspace")
    return (found, step if gaps > 0 else f.full_like(step, np.nan)) if retstep else found


def along(values: Variable, axis: int, what: str) -> Variable:
    """`values` with the first axis in the place `axis`."""
    place = ln.axis_of(axis, values.ndim, what, values)
    result: Variable = f.moveaxis(values, 0, place) if place else values
    return result


# -- diagonals and triangles ----------------------------------------------------------------------------------------

_NOT_NEGATIVE = Check("at_least", lambda n, m, k, dtype: [(n.value, 0), (m.value, 0)], "a length of {a} is negative")
_SQUARES = ([3, 4, 0], {"dtype": "float32"}), ([3, 3, 1], {"dtype": "int64"}), ([2, 4, -1], {"dtype": "bool"})

Op(
    "eye",
    ("n", "m", "k"),
    "1 on the diagonal k places to the right of the main one, 0 elsewhere; n rows, m columns.",
    None,
    lambda n, m, k, dtype: np.eye(int(n), int(m), int(k), dtype=dtype),
    None,
    no_grad="made of numbers",
    element=lambda idx, n, m, k, dtype: dims.where(dims.equal(idx[1], idx[0] + k.value), 1, 0),
    shape=lambda n, m, k, dtype: (n.value, m.value),
    checks=(_NOT_NEGATIVE,),
    samples=lambda: list(_SQUARES),
)

Op(
    "tri",
    ("n", "m", "k"),
    "1 on and below the diagonal k places to the right of the main one, 0 above.",
    None,
    lambda n, m, k, dtype: np.tri(int(n), int(m), min(max(int(k), -int(n)), int(m)), dtype=dtype),
    None,
    no_grad="made of numbers",
    # the difference of two places is in range, whatever k is
    element=lambda idx, n, m, k, dtype: dims.where(dims.less(k.value, idx[1] - idx[0]), 0, 1),
    shape=lambda n, m, k, dtype: (n.value, m.value),
    checks=(_NOT_NEGATIVE,),
    samples=lambda: list(_SQUARES),
)


def eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Variable:
    """n rows and m (None: n) columns with ones on the k-th diagonal above the main one (below it where k < 0)."""
    return _square("eye", n, m, k, dtype)


def tri(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Variable:
    """n rows and m (None: n) columns with ones on and below the k-th diagonal, zeros above."""
    return _square("tri", n, m, k, dtype)


def _square(name: str, n: Any, m: Any, k: Any, dtype: Any) -> Variable:
    rows = ln.as_length(n, name)
    columns = rows if m is None else ln.as_length(m, name)
    wanted = check_dtype(dtype or config.floatX)
    return apply(OPS[name], ln.operands([rows, columns, ln.integer(k, f"{name}: k")]), dtype=wanted)


def identity_like(x: Any) -> Variable:
    """Ones on the diagonal, with the lengths and dtype of the matrix x."""
    v = as_variable(x)
    if v.ndim != 2:
        raise ShapeError(f"identity_like: a matrix is needed, not {describe(v)}")
    return _about(eye(ln.dim(v, 0), ln.dim(v, 1), dtype=v.type.dtype), v)


def tril(x: Any, k: Any = 0) -> Variable:
    """x with zeros above the k-th diagonal of its last two axes."""
    v = _matrices("tril", x)
    return f.where(tri(ln.dim(v, -2), ln.dim(v, -1), k, "bool"), v, 0)


def triu(x: Any, k: Any = 0) -> Variable:
    """x with zeros below the k-th diagonal of its last two axes."""
    v = _matrices("triu", x)
    below = ln.integer(k, "triu: k") - 1
    away = tri(ln.dim(v, -2), ln.dim(v, -1), below, "bool")
    return f.where(away, constant_scalar(0, v.type.dtype), v)


def _matrices(name: str, x: Any) -> Variable:
    v = as_variable(x)
    if v.ndim < 2:
        raise ShapeError(f"{name}: at least two axes are needed, for {describe(v)}")
    return v


def shifts(k: Any) -> tuple[Length, Length]:
    """How far the k-th diagonal starts down and to the right."""
    n = ln.integer(k, "diag: k")
    return ln.natural(0 - n), ln.natural(n)


def diagonal(x: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The diagonal of the matrices along two axes, `offset` places above the main one (below it for offset < 0), as a
    new last axis; empty where there is none. ShapeError for fewer than two axes, or twice the same."""
    v = as_variable(x)
    if v.ndim < 2:
        raise ShapeError(f"diagonal: a matrix is needed, not {describe(v)}")
    first, second = (ln.axis_of(a, v.ndim, "diagonal", v) for a in (axis1, axis2))
    if first == second:
        raise ShapeError(f"diagonal: two axes are needed, not twice {first}, for {describe(v)}")
    if v.ndim > 2:
        v = f.dimshuffle(v, *(a for a in range(v.ndim) if a not in (first, second)), first, second)
    elif first > second:
        v = f.transpose(v)
    down, right = shifts(offset)
    count = ln.natural(ln.least(less(ln.dim(v, v.ndim - 2), down), less(ln.dim(v, v.ndim - 1), right)))
    return f.getitem(v, (..., counted_from(down, count), counted_from(right, count)))


def diag(x: Any, k: Any = 0) -> Variable:
    """The k-th diagonal of a matrix as a vector, or a square matrix with the vector x on its k-th diagonal."""
    v = as_variable(x)
    if v.ndim != 1:
        return diagonal(v, k)
    down, right = shifts(k)
    count = ln.dim(v, 0)
    n = count + down + right
    base = zeros((n, n), v.type.dtype)
    return f.inc_subtensor(base[counted_from(down, count), counted_from(right, count)], v)


def less(n: Length, shift: Length) -> Length:
    """n - shift."""
    return n if isinstance(shift, int) and shift == 0 else n - shift


def counted_from(start: Length, count: Length) -> Variable:
    """start, start + 1, ..., so many."""
    return apply(OPS["arange"], ln.operands([start, count, 1]), dtype="int64")

"""Lengths and axes as arguments of user functions.

While an expression is built a length is a Python int where it is known and a 0-d int64 variable where it is not; both
take `+ - * //`, so that one piece of code serves both and what is known stays known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from numgraph.errors import AxisError, DtypeError, ShapeError, SizeError
from numgraph.graph import Constant, Variable, apply, as_variable, describe, frozen
from numgraph.lengths import dims
from numgraph.lengths.dims import Dim
from numgraph.op import OPS
from numgraph.ops.define import f
from numgraph.types import BOOL, DISCRETE

Length = int | Variable


class Known(int):
    """A length that a constant has given. about: that of the constant."""

    about: tuple[Variable, ...] = ()


def int_constant(value: int, *about: Variable) -> Constant:
    """A 0-d int64 constant; about: see `Variable`. SizeError for what no length can be."""
    if not -(2**63) <= value < 2**63:
        raise SizeError(f"a length of {value} is longer than any array")
    constant = Constant(frozen(np.array(value, np.int64)))
    constant.about = (*about, *(value.about if isinstance(value, Known) else ()))
    return constant


def dim(x: Variable, axis: int) -> Length:
    """The length of an axis."""
    known = x.type.shape[axis]
    return known if known is not None else apply(OPS["length"], [x], axis=axis % x.ndim)


def dims_of(x: Variable) -> list[Length]:
    """All lengths."""
    return [dim(x, axis) for axis in range(x.ndim)]


def integer(value: Any, what: str) -> Length:
    """An int or an int64 scalar variable; DtypeError for everything else."""
    if isinstance(value, int | np.integer):
        return int(value)
    variable = as_variable(value)
    if variable.type.dtype not in DISCRETE or variable.type.dtype == BOOL:
        raise DtypeError(f"{what} must be an integer, not {describe(variable)}. Convert it with x.astype('int64').")
    if variable.ndim:
        raise ShapeError(f"{what} must be a scalar, not {describe(variable)}, which has {variable.ndim} axes")
    if isinstance(variable, Constant):
        known = Known(variable.data)
        known.about = variable.about
        return known if known.about else int(known)
    return as_position(variable)


def as_position(x: Variable) -> Variable:
    """Integers as int64. uint64 beyond that becomes the largest: past every end, never a negative one."""
    if x.type.dtype == "uint64":
        x = f.minimum(x, np.uint64(2**63 - 1))
    result: Variable = x if x.type.dtype == "int64" else f.cast(x, "int64")
    return result


def as_length(value: Any, what: str, least: int = 0) -> Length:
    """A length given by the user; ShapeError for a negative one."""
    n = integer(value, f"{what}: a length")
    if isinstance(n, int) and n < least:
        wrong = "is negative" if n < 0 else f"is not enough: {least} or more"
        raise ShapeError(f"{what}: a length of {n} {wrong}")
    return n


def as_lengths(shape: Any, what: str, ndim: int | None = None, least: int = 0) -> list[Length]:
    """The lengths that a shape argument means: an int, a scalar variable, a sequence of them, or a vector of integers.

    ndim: how many lengths a vector variable of unknown length stands for. ShapeError where their number is unknown.
    """
    if isinstance(shape, Variable) and shape.ndim == 1:
        return [as_length(n, what, least) for n in _elements(shape, what, ndim)]
    if isinstance(shape, list | tuple) or (isinstance(shape, np.ndarray) and shape.ndim == 1):
        return [as_length(n, what, least) for n in shape]
    return [as_length(shape, what, least)]


def _elements(shape: Variable, what: str, ndim: int | None) -> list[Any]:
    """The elements of a vector of lengths; those of a `stack` of scalars are the scalars themselves."""
    if isinstance(shape, Constant):
        return list(shape.data)
    if shape.op is not None and shape.op.name == "concatenate":
        parts = [
            v.inputs[0] for v in shape.inputs if v.op is not None and v.op.name == "dimshuffle" and not v.inputs[0].ndim
        ]
        if len(parts) == len(shape.inputs):
            return parts
    count = shape.type.shape[0] if shape.type.shape[0] is not None else ndim
    if count is None:
        raise ShapeError(
            f"{what}: the number of lengths is not known: {describe(shape)}. "
            "Give a tuple of scalars, such as (x.shape[0], 10), or the number of axes."
        )
    return [shape[k] for k in range(count)]


def operands(lengths: Iterable[Length]) -> list[Variable]:
    """Lengths as arguments of an op."""
    return [int_constant(n) if isinstance(n, int) else n for n in lengths]


def product(lengths: Iterable[Length]) -> Length:
    """The product; 1 for none."""
    result: Length = 1
    for n in lengths:
        result = (
            n if isinstance(result, int) and result == 1 else result if isinstance(n, int) and n == 1 else result * n
        )
    return result


def least(a: Length, b: Length) -> Length:
    """The smaller of two."""
    result: Length = min(a, b) if isinstance(a, int) and isinstance(b, int) else f.minimum(a, b)
    return result


def most(a: Length, b: Length) -> Length:
    """The larger of two."""
    result: Length = max(a, b) if isinstance(a, int) and isinstance(b, int) else f.maximum(a, b)
    return result


def from_begin(place: Variable, n: Length) -> Variable:
    """A place among n, counted from the begin: negative ones count from the end."""
    return f.where(f.lt(place, 0), f.add(place, n), place)


def natural(n: Length) -> Length:
    """n, or 0 where it is negative."""
    if isinstance(n, int):
        return max(n, 0)
    if n.op is not None and n.op.name == "length":
        return n
    result: Variable = f.maximum(n, 0)
    return result


def same_length(a: Length, b: Length) -> bool:
    """Whether two lengths are known to be equal: numbers, one variable, or the same axis of one variable."""
    if isinstance(a, int) or isinstance(b, int):
        return isinstance(a, int) and isinstance(b, int) and a == b
    if a is b:
        return True
    if a.op is None or b.op is None or a.op.name != "length" or b.op.name != "length":
        return False
    return a.inputs[0] is b.inputs[0] and bool(a.attrs["axis"] == b.attrs["axis"])


def broadcast_length(a: Length, b: Length) -> Length:
    """The length that axes of lengths a and b broadcast to, for one of them 1 or both equal."""
    if same_length(a, b) or (isinstance(b, int) and b == 1):
        return a
    if isinstance(a, int):
        return b if a == 1 else a
    result: Length = b if isinstance(b, int) else f.where(f.eq(a, 1), b, a)
    return result


def values(lengths: Sequence[Any]) -> tuple[Dim, ...]:
    """For shape rules: the values of operands that are lengths."""
    return tuple(n.value for n in lengths)


def stretched(n: Dim, full: Dim) -> tuple[Dim, Dim]:
    """For checks: a pair that is equal if and only if an axis of length n can be stretched to `full`."""
    return dims.where(dims.equal(n, 1), full, n), full


def stretched_index(n: Dim, i: Dim, full: Dim) -> Dim:
    """For element forms: the index on an axis of length n that is stretched to `full`, along which i counts."""
    return i if n is full else dims.along(n, i)


def broadcast_dims(lengths: Iterable[Dim]) -> Dim:
    """For shape rules: the length that axes of these lengths broadcast to; known lengths decide before unknown ones."""
    full: Dim = 1
    for n in lengths:
        if n is full or (isinstance(n, int) and n == 1):
            continue
        if isinstance(full, int):
            full = n if full == 1 else full
        elif isinstance(n, int):
            full = n
        else:
            full = dims.where(dims.equal(full, 1), n, full)
    return full


def equal_dims(a: Dim, b: Dim) -> Dim:
    """For shape rules: one of two lengths that are checked to be equal, the known one if there is any."""
    return b if isinstance(b, int) else a


def left_over(x: Any, lengths: Sequence[Any]) -> tuple[Dim, ...]:
    """For shape rules: the lengths that are given, and for one that is -1 what the elements of x leave for it."""
    given, count = values(lengths), dims.product(x.shape)
    return tuple(
        dims.where(dims.equal(n, -1), _quotient(count, _product_without(given, k)), n) for k, n in enumerate(given)
    )


def free_lengths(lengths: Sequence[Any]) -> list[tuple[Dim, Dim]]:
    """For checks: pairs (a, b), all with a >= b if and only if at most one length is -1, and then none is 0."""
    given = values(lengths)
    free = [dims.where(dims.equal(n, -1), 1, 0) for n in given]
    total: Dim = 0
    for n in free:
        total = total + n
    empty = [dims.where(dims.equal(_product_without(given, k), 0), n, 0) for k, n in enumerate(free)]
    return [(1, total), *((0, n) for n in empty)]


def _product_without(given: Sequence[Dim], k: int) -> Dim:
    return dims.product(n for j, n in enumerate(given) if j != k)


def _quotient(count: Dim, others: Dim) -> Dim:
    return 0 if isinstance(others, int) and others == 0 else count // others


def axis_of(axis: Any, ndim: int, what: str, x: Variable) -> int:
    """An axis, an integer or a constant, as a natural number; AxisError for one that is not below `ndim`, TypeError for
    no int."""
    try:
        k = int(axis.__index__())
    except (AttributeError, TypeError):
        raise TypeError(f"{what}: an axis is an int, not {axis!r}") from None
    if not -ndim <= k < ndim:
        raise AxisError(f"{what}: axis {k} of {describe(x)}, where there are {ndim}")
    return k % ndim


def axes_of(axes: Any, ndim: int, what: str, x: Variable) -> tuple[int, ...]:
    """An axis or several, as natural numbers in the order given; ShapeError for one named twice."""
    several = isinstance(axes, list | tuple | range) or (isinstance(axes, np.ndarray) and axes.ndim == 1)
    found = tuple(axis_of(a, ndim, what, x) for a in (axes if several else (axes,)))
    if len(set(found)) != len(found):
        raise ShapeError(f"{what}: axis {axes} names an axis twice, for {describe(x)}")
    return found


def shape_text(lengths: Iterable[Length]) -> str:
    """`(3, ?)` for messages."""
    parts = [str(n) if isinstance(n, int) else "?" for n in lengths]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


class Lengths(tuple[Variable, ...]):
    """The lengths of a variable: a tuple, as in NumPy, of int64 scalars. Arithmetic on it is a TypeError, since a tuple
    times 2 would be repeated; `ng.stack(x.shape)` is the vector that Theano's `x.shape` is."""

    of: Variable

    def __getitem__(self, key: Any) -> Any:
        """One length, AxisError where there is no such axis; for a slice a tuple."""
        if isinstance(key, slice):
            return lengths_of(self.of, super().__getitem__(key))
        try:
            return super().__getitem__(key)
        except IndexError:
            raise AxisError(f"shape[{key}]: there is no such axis\n  {describe(self.of)}") from None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Integers where there is none, too; others have no value here, and say so."""
        return np.array(tuple(self), np.int64 if dtype is None else dtype)

    def _refused(self, other: Any = None) -> Any:
        raise TypeError(
            f"the shape of a variable is a tuple of lengths, as in NumPy, and no vector to compute with\n"
            f"  {describe(self.of)}\n"
            "  fix: ng.stack(x.shape) is the vector; x.shape[0] * 2 computes with one length; x.shape + (n,) adds an "
            "axis"
        )

    __mul__ = __rmul__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _refused
    __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = _refused

    def __add__(self, other: Any) -> Any:
        """In front of another tuple, as tuples are."""
        return super().__add__(other) if isinstance(other, tuple) else self._refused()

    def __radd__(self, other: Any) -> Any:
        """Behind another tuple, as tuples are."""
        return other + tuple(self) if isinstance(other, tuple) else self._refused()


def lengths_of(x: Variable, lengths: Iterable[Variable]) -> Lengths:
    """Some lengths of x as what `x.shape` is."""
    found = Lengths(lengths)
    found.of = x
    return found

"""Arithmetic on lengths that may be numbers, unknown, or expressions of the compile graph.

An op states its shape rule once, with the operators `+ - * //` and the helpers below. While a user builds an
expression the lengths are ints or `UNKNOWN`; in the compile graph they are ints or scalar nodes, and the same rule
builds the code that computes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Unknown:
    """A length that is known only at run time; arithmetic with it is unknown again."""

    _only: Unknown | None = None

    def __new__(cls) -> Unknown:
        """The single instance."""
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def _same(self, other: object = None) -> Unknown:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __neg__ = _same

    def __repr__(self) -> str:
        return "?"


UNKNOWN = Unknown()
# Bytes of an array, at most: more than machines can address, and so few that sums of many sizes do not wrap around.
MOST_BYTES = 1 << 48
# Bytes of an element, at most.
WIDEST = 8


# A length or an index: int, UNKNOWN, or a scalar node of the compile graph.
Dim = Any


def _call(function: str, *args: Dim) -> Dim:
    if any(a is UNKNOWN for a in args):
        return UNKNOWN
    node = next(a for a in args if not isinstance(a, int | float))
    return node.graph.integer(function, *args)


def _numbers(*args: Dim) -> bool:
    return all(isinstance(a, int | float) for a in args)


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two lengths."""
    return min(a, b) if _numbers(a, b) else _call("minimum", a, b)


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger of two lengths."""
    return max(a, b) if _numbers(a, b) else _call("maximum", a, b)


def less(a: Dim, b: Dim) -> Dim:
    """a < b."""
    return a < b if _numbers(a, b) else _call("lt", a, b)


def equal(a: Dim, b: Dim) -> Dim:
    """a == b."""
    return a == b if _numbers(a, b) else _call("eq", a, b)


def where(condition: Dim, a: Dim, b: Dim) -> Dim:
    """a if condition else b; both are evaluated."""
    if isinstance(condition, bool):
        return a if condition else b
    return _call("where", condition, a, b)


def before(index: Dim, cut: Dim) -> Dim:
    """index < cut, of an index map that reads elsewhere from `cut` on: a loop over the index may be cut there."""
    return index < cut if _numbers(index, cut) else _call("before", index, cut)


def select(condition: Dim, a: Dim, b: Dim) -> Dim:
    """As `where`, for elements of arrays, which have one dtype and keep it."""
    if isinstance(condition, bool):
        return a if condition else b
    return a if a is b else condition.graph.scalar_op("where", condition, a, b)


def modulo(a: Dim, n: Dim) -> Dim:
    """a % n, a number from 0 to n - 1; 0 where n is 0."""
    return 0 if isinstance(n, int) and n <= 1 else a % maximum(n, 1)


def wrap(index: Dim, length: Dim) -> Dim:
    """A possibly negative index, counted from the end when negative (no check of range)."""
    return where(less(index, 0), index + length, index)


def along(length: Dim, index: Dim) -> Dim:
    """The index on an axis that is stretched to one along which `index` counts: 0 where the axis has one element."""
    return where(equal(length, 1), 0, index)


def product(lengths: Any) -> Dim:
    """Product of lengths; 1 for none."""
    result: Dim = 1
    for n in lengths:
        result = result * n
    return result


def counted(lengths: Any, size: int) -> int:
    """The bytes of an array with elements of `size` bytes, as far as its lengths are ints; those of 0 are left out,
    as NumPy does, since others may remain when their axis is gone."""
    for n in lengths:
        size *= n if isinstance(n, int) and n else 1
    return size


def slice_bounds(length: Dim, start: Dim | None, stop: Dim | None, step: int) -> tuple[Dim, Dim]:
    """(first index, number of elements) of `[start:stop:step]` on an axis, as Python's `slice.indices` defines them.

    `start` and `stop` may be None, negative or past the end; `step` is a number other than 0.
    """
    if step > 0 and (start is None or _numbers(start)) and not _numbers(length):
        return _fixed_start(length, start or 0, stop, step)
    if step > 0:
        first = 0 if start is None else bound(start, length)
        last = length if stop is None else bound(stop, length)
    else:
        first = length - 1 if start is None else _reverse_bound(start, length)
        last = -1 if stop is None else _reverse_bound(stop, length)
    # no axis is longer; a larger step would make a sum in `_steps` wrap around
    return first, _steps(last - first if step > 0 else first - last, min(abs(step), MOST_BYTES))


def _steps(span: Dim, size: int) -> Dim:
    """The number of elements in steps of `size` over a span; 0 for a negative one."""
    return maximum(span if size == 1 else (span + (size - 1)) // size, 0)


def _fixed_start(length: Dim, start: int, stop: Dim | None, step: int) -> tuple[Dim, Dim]:
    """As `slice_bounds` for a start that is a number and a length that is not, in terms that come out alike for slices
    of slices. A start past the end stays as it is: there are no elements then."""
    step = min(step, MOST_BYTES)
    if start < 0:
        first = bound(start, length)
        if stop is None:
            return first, _steps(minimum(length, -start), step)
        return first, _steps(bound(stop, length) - first, step)
    if stop is None or (_numbers(stop) and stop < 0):
        return start, _steps(length - (start - (stop or 0)), step)
    return start, _steps(bound(stop, length) - start, step)


def bound(index: Dim, length: Dim) -> Dim:
    """A slice's bound as a position in [0, length]."""
    if _numbers(index, length):
        return min(max(index + length if index < 0 else index, 0), length)
    if _numbers(index):
        return maximum(length + index, 0) if index < 0 else minimum(length, index)
    return _call("slice_bound", index, length)


def _reverse_bound(index: Dim, length: Dim) -> Dim:
    """A bound of a slice with negative step as a position in [-1, length - 1]."""
    return minimum(maximum(wrap(index, length), -1), length - 1)


def bytes_of(lengths: Any, dtype: str) -> Dim:
    """The bytes of an array."""
    return product(lengths) * np.dtype(dtype).itemsize


def aligned(size: Dim) -> Dim:
    """A number of bytes rounded up to whole cache lines."""
    return -(-size // 64) * 64 if _numbers(size) else _call("align64", size)


def _operators(name: str) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """The method of an operator, and that for a length on its right."""
    return lambda a, b: a.graph.integer(name, a, b), lambda a, b: a.graph.integer(name, b, a)


class Arithmetic:
    """The operators of lengths and indices that a graph keeps. They take ints, too, and give one where it is known."""

    __slots__ = ()
    graph: Any
    __add__, __radd__ = _operators("add")
    __sub__, __rsub__ = _operators("sub")
    __mul__, __rmul__ = _operators("mul")
    __floordiv__, __rfloordiv__ = _operators("floor_div")
    __mod__, __rmod__ = _operators("mod")

    def __neg__(self) -> Any:
        return self.graph.integer("sub", 0, self)

"""Shapes and orders with the arguments that Theano and PyTensor give them: axes that are variables, shapes of many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numgraph.errors import ShapeError
from numgraph.graph import Variable, as_variable
from numgraph.op import FUNCTIONS
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.scanning.branches import ifelse
from numgraph.types import REALS

# what programs call in numgraph by these names
_SORT, _ARGSORT, _IDENTITY = FUNCTIONS["sort"], FUNCTIONS["argsort"], FUNCTIONS["identity_like"]


def _over_axes(function: Callable[[Variable, Any], Variable], what: str, x: Any, axis: Any) -> Variable:
    """function(x, axis), for an axis that may be a variable: one of as many branches as x has axes is computed."""
    v = as_variable(x)
    if not isinstance(axis, Variable):
        return function(v, axis)
    # Theano takes floats for axes, too
    place = ln.integer(f.cast(axis, "int64") if axis.type.dtype in REALS else axis, f"{what}: an axis")
    if isinstance(place, int):
        return function(v, place)
    if v.ndim == 0:
        raise ShapeError(f"{what}: a scalar has no axis")
    inside = f.assert_op(
        place, f.ge(place, -v.ndim), f.lt(place, v.ndim), message=f"{what}: an axis is out of range for {v.ndim} axes"
    )
    chosen = ln.from_begin(inside, v.ndim)
    found = function(v, v.ndim - 1)
    for k in reversed(range(v.ndim - 1)):
        found = ifelse(f.eq(chosen, k), function(v, k), found)
    return found


def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Variable:
    """As `numgraph.sort`; an axis may be a scalar of integers, and is an AssertionFailed in a call where there is no
    such axis. kind, order: without effect."""
    return _over_axes(_SORT, "sort", a, axis)


def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Variable:
    """As `numgraph.argsort`, with an axis as in `sort`."""
    return _over_axes(_ARGSORT, "argsort", a, axis)


def broadcast_shape(*arrays: Any, arrays_are_shapes: bool = False, allow_runtime_broadcast: bool = False) -> Any:
    """PyTensor's: the shape that arrays, or tuples of lengths, have together, as a tuple of variables.

    Without `allow_runtime_broadcast` only lengths that are known to be 1 are stretched; others must be equal, which is
    an AssertionFailed in a call where they are not. ShapeError for known lengths that do not fit together.
    """
    shapes = [list(a) if arrays_are_shapes else ln.dims_of(as_variable(a)) for a in arrays]
    lengths = [ln.as_lengths(shape, "broadcast_shape") for shape in shapes]
    if not allow_runtime_broadcast:
        ndim = max((len(shape) for shape in lengths), default=0)
        padded: list[list[ln.Length]] = [[*[1] * (ndim - len(shape)), *shape] for shape in lengths]
        lengths = [[_equal([shape[k] for shape in padded]) for k in range(ndim)]]
    return tuple(n if isinstance(n, Variable) else as_variable(n) for n in f.broadcast_shapes(*lengths))


def _equal(lengths: list[ln.Length]) -> ln.Length:
    """The one length that those that are not known to be 1 have."""
    given = [n for n in lengths if not (isinstance(n, int) and n == 1)]
    known = {n for n in given if isinstance(n, int)}
    unknown = [n for n in given if isinstance(n, Variable)]
    if len(known) > 1:
        raise ShapeError(f"broadcast_shape: lengths {sorted(known)} of one axis do not fit together")
    if not unknown or (len(unknown) == 1 and not known):
        return unknown[0] if unknown else next(iter(known), 1)
    operands: list[Variable] = [*(ln.int_constant(n) for n in known), *unknown]
    same = [f.eq(operands[0], n) for n in operands[1:]]
    found: Variable = f.assert_op(operands[0], *same, message="broadcast_shape: lengths differ")
    return found


def atleast_Nd(*arrays: Any, n: int = 1, left: bool = True) -> Any:  # PyTensor's name
    """Arrays with at least n axes: those that are missing have length 1, in front, or behind without `left`. One
    array is given as it is, several in a list."""
    pad = f.shape_padleft if left else f.shape_padright
    found = [pad(v, n - v.ndim) if v.ndim < n else v for v in map(as_variable, arrays)]
    return found[0] if len(found) == 1 else found


def identity_like(x: Any, dtype: Any = None) -> Variable:
    """The identity matrix of x's shape, of x's dtype or another."""
    return _IDENTITY(x) if dtype is None else f.cast(_IDENTITY(x), dtype)


def bincount(x: Any, weights: Any = None, minlength: Any = 0, assert_nonneg: bool = False) -> Variable:
    """As `numgraph.bincount`; with `assert_nonneg` an AssertionFailed for a negative element."""
    v = as_variable(x)
    if assert_nonneg:
        v = f.assert_op(v, f.all(f.ge(v, 0)), message="bincount: the input has negative values")
    found: Variable = f.bincount(v, weights, 0 if minlength is None else minlength)
    return found


def flatnonzero(a: Any) -> Variable:
    """As `numgraph.flatnonzero`; ShapeError for a scalar."""
    v = as_variable(a)
    if v.ndim == 0:
        raise ShapeError("flatnonzero: a scalar has no positions")
    found: Variable = f.flatnonzero(v)
    return found

"""Values at equal ratios, positions in arrays with several axes, and arrays whose diagonal is replaced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from numgraph.config import config
from numgraph.errors import DtypeError, OptionError, ShapeError
from numgraph.graph import Variable, as_variable, describe, weak_constant
from numgraph.ops import lengths as ln
from numgraph.ops.create import along, counting, eye, linspace
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.search import within
from numgraph.ops.shape import shuffled, stretch
from numgraph.types import BOOL, DISCRETE, check_dtype, promote

__all__ = [
    "block_diag", "fill_diagonal", "fill_diagonal_offset", "geomspace", "logspace", "ravel_multi_index",
    "unravel_index",
]  # fmt: skip

# -- equal ratios ---------------------------------------------------------------------------------------------------


def _work(*values: Any) -> str:
    """The dtype in which values are computed: the common one of variables and floatX."""
    return promote([config.floatX, *(v.type.dtype for v in values if isinstance(v, Variable))])


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Variable:
    """base**start, ..., base**stop: `num` values whose exponents are at equal distances; dtype None: floatX. Of arrays,
    which broadcast, they are along a new axis, the first one or `axis`.

    num: a number, known when the expression is built. endpoint=False: without the last one.
    """
    wanted = check_dtype(dtype or config.floatX)
    if not any(isinstance(v, Variable) for v in (start, stop, base)):
        count = ln.as_length(num, "logspace")
        if isinstance(count, int):
            return as_variable(np.logspace(start, stop, count, endpoint, base, axis=axis).astype(wanted))
    work = _work(start, stop, base)
    exponents = linspace(as_variable(start), as_variable(stop), num, endpoint, work)
    return along(f.cast(f.pow(f.cast(base, work), exponents), wanted), axis, "logspace")


def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Variable:
    """`num` values at equal ratios from start to stop (`endpoint=False`: without it), of one sign, not 0; NaN for
    others that are known only at run time. dtype None: floatX. Of arrays, which broadcast, the values are along a new
    axis, the first one or `axis`.

    num: a number, known when the expression is built.
    """
    wanted = check_dtype(dtype or config.floatX)
    count = ln.as_length(num, "geomspace")
    if not isinstance(count, int):
        raise ShapeError(f"geomspace: num must be a number that is known now, not {describe(as_variable(num))}")
    if not isinstance(start, Variable) and not isinstance(stop, Variable):
        return as_variable(np.geomspace(start, stop, count, endpoint, axis=axis).astype(wanted))
    work = _work(start, stop)
    a, b = f.cast(start, work), f.cast(stop, work)
    steps = f.shape_padright(counting(count), max(a.ndim, b.ndim))
    low, high = f.log(f.abs(a)), f.log(f.abs(b))
    share = f.true_div(f.cast(steps, work), float(max(count - 1 if endpoint else count, 1)))
    values = f.mul(f.sign(a), f.exp(f.add(low, f.mul(share, f.sub(high, low)))))
    values = f.where(f.eq(f.sign(a), f.sign(b)), values, math.nan)
    values = f.where(f.eq(steps, 0), a, values)
    if endpoint and count > 1:
        values = f.where(f.eq(steps, count - 1), b, values)
    return along(f.cast(values, wanted), axis, "geomspace")


# -- positions in arrays with several axes --------------------------------------------------------------------------


def _positions(what: str, x: Any) -> Variable:
    v = as_variable(x)
    if v.type.dtype not in DISCRETE or v.type.dtype == BOOL:
        raise DtypeError(f"{what}: positions are integers, not {describe(v)}")
    return ln.as_position(v)


def _in_order(what: str, lengths: Any, order: str, ndim: int | None = None) -> list[Length]:
    """The lengths, last one first to vary: backwards for order "F"."""
    if order not in ("C", "F"):
        raise OptionError(f'{what}: order must be "C" or "F", not {order!r}')
    found = ln.as_lengths(lengths, what, ndim)
    return found if order == "C" else found[::-1]


def unravel_index(indices: Any, dims: Any, order: str = "C", ndim: int | None = None) -> tuple[Variable, ...]:
    """The positions along each axis, int64, of elements that have the positions `indices` in the flattened array.

    dims: the array's lengths; ndim: how many, for a vector of unknown length. order: "F" where the first axis varies
    first. IndexOutOfRange when the function runs where an index is negative or past the end.
    """
    lengths = _in_order("unravel_index", dims, order, ndim)
    flat = within(_positions("unravel_index", indices), ln.product(lengths))
    found: list[Variable] = []
    for axis, n in enumerate(lengths):
        inner = ln.product(lengths[axis + 1 :])
        index = flat if isinstance(inner, int) and inner == 1 else f.floor_div(flat, inner)
        found.append(f.mod(index, n) if axis else index)
    return tuple(found if order == "C" else found[::-1])


def ravel_multi_index(multi_index: Any, dims: Any, mode: str = "raise", order: str = "C") -> Variable:
    """The positions in the flattened array, int64, of elements at the positions `multi_index`, one array for each axis.

    dims: the array's lengths. mode: what to do with a position outside of its axis: "raise" IndexOutOfRange when the
    function runs, "wrap" around, or "clip" to the first or last; a tuple has one for each axis. order: "F" where the
    first axis varies first.
    """
    given = list(multi_index) if isinstance(multi_index, list | tuple) else _rows(multi_index)
    modes = list(mode) if isinstance(mode, list | tuple) else [mode] * len(given)
    lengths = _in_order("ravel_multi_index", dims, order, len(given))
    if not len(given) == len(lengths) == len(modes) or not given:
        raise ShapeError(f"ravel_multi_index: {len(given)} arrays of positions for {len(lengths)} lengths")
    if order == "F":
        given, modes = given[::-1], modes[::-1]
    result: Any = None
    for x, n, how in zip(given, lengths, modes, strict=True):
        index = _positions("ravel_multi_index", x)
        if how not in ("raise", "wrap", "clip"):
            raise OptionError(f'ravel_multi_index: mode must be "raise", "wrap" or "clip", not {how!r}')
        if how == "raise":
            index = within(index, n)
        else:
            index = f.mod(index, n) if how == "wrap" else f.clip(index, 0, f.sub(n, 1))
        result = index if result is None else f.add(f.mul(result, n), index)
    return result  # type: ignore[no-any-return]


def _rows(x: Any) -> list[Variable]:
    v = as_variable(x)
    if v.ndim == 0 or v.type.shape[0] is None:
        raise ShapeError(f"ravel_multi_index: the number of axes is not known: {describe(v)}. Give a tuple of arrays.")
    return [v[k] for k in range(v.type.shape[0])]


# -- diagonals ------------------------------------------------------------------------------------------------------


def fill_diagonal(a: Any, val: Any) -> Variable:
    """a with the scalar `val`, in a's dtype, on its main diagonal; of more than two axes, which must have one length,
    where all indices are equal.
    """
    v = as_variable(a)
    if v.ndim < 2:
        raise ShapeError(f"fill_diagonal: at least two axes are needed, for {describe(v)}")
    if v.ndim > 2:
        lengths = ln.dims_of(v)
        known: Length = next((n for n in lengths if isinstance(n, int)), lengths[0])
        v = f.matched(v, [known] * v.ndim, "fill_diagonal")
    chosen = [
        shuffled(eye(ln.dim(v, p), ln.dim(v, q), dtype="bool"), _placed(v.ndim, p, q))
        for p, q in pairwise(range(v.ndim))
    ]
    return _filled("fill_diagonal", v, val, chosen)


def _placed(ndim: int, p: int, q: int) -> tuple[int, ...]:
    """The pattern that puts the axes of a matrix at p and q."""
    return tuple({p: 0, q: 1}.get(k, -1) for k in range(ndim))


def fill_diagonal_offset(a: Any, val: Any, offset: Any) -> Variable:
    """The matrix a with the scalar `val`, in a's dtype, on the diagonal `offset` places to the right of the main one,
    to the left of it for a negative one.
    """
    v = as_variable(a)
    if v.ndim != 2:
        raise ShapeError(f"fill_diagonal_offset: a matrix is needed, not {describe(v)}")
    return _filled("fill_diagonal_offset", v, val, [eye(ln.dim(v, 0), ln.dim(v, 1), offset, "bool")])


def _filled(what: str, v: Variable, val: Any, chosen: Sequence[Variable]) -> Variable:
    dtype = v.type.dtype
    value = weak_constant(val, dtype) if type(val) in (bool, int, float) else as_variable(val)
    if value.ndim:
        raise ShapeError(f"{what}: the value is a scalar, not {describe(value)}")
    value = value if value.type.dtype == dtype else f.cast(value, dtype)
    mask = chosen[0]
    for other in chosen[1:]:
        mask = f.and_(mask, other)
    return f.where(mask, value, v)


# -- blocks ---------------------------------------------------------------------------------------------------------


def block_diag(*arrays: Any) -> Variable:
    """Matrices along the diagonal of one, zeros elsewhere, as scipy.linalg.block_diag: [..., m, n] of [..., m1, n1] and
    so on, m and n the sums of their rows and columns. A vector is a row; axes in front broadcast."""
    blocks = [f.atleast_2d(as_variable(a)) for a in arrays]
    if not blocks:
        raise ShapeError("block_diag: at least one matrix is needed")
    ndim = max(b.ndim for b in blocks)
    lead: list[Length] = [1] * (ndim - 2)
    for b in blocks:
        own = ln.dims_of(b)[:-2]
        lead = [ln.broadcast_length(n, m) for n, m in zip(lead, [*[1] * (ndim - 2 - len(own)), *own], strict=True)]
    dtype, before, rows = promote([b.type.dtype for b in blocks]), 0, []
    columns = [ln.dim(b, -1) for b in blocks]
    whole: Any = sum(columns)
    for b, width in zip(blocks, columns, strict=True):
        wide = stretch(f.cast(b, dtype), [*lead, ln.dim(b, -2), width])
        rows.append(f.pad(wide, {ndim - 1: (before, whole - before - width)}))
        before = before + width
    return f.concatenate(rows, axis=-2)

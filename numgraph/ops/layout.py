"""Arrays put together, taken apart and turned: grids of positions, NumPy's stacks, deletions, insertions, choices."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from numgraph.errors import DtypeError, OptionError, ShapeError
from numgraph.graph import Variable, as_operands, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f, spread
from numgraph.ops.search import within
from numgraph.types import BOOL, DISCRETE, REALS, promote

__all__ = [
    "append", "array_split", "block", "broadcast_arrays", "column_stack", "delete", "diag_indices", "diagflat",
    "dsplit", "dstack", "extract", "fliplr", "flipud", "hsplit", "indices", "insert", "ix_", "join_dims",
    "matrix_transpose", "meshgrid", "mgrid", "ogrid", "piecewise", "put_along_axis", "rollaxis", "rot90", "select",
    "split_dims", "tril_indices", "tril_indices_from", "triu_indices", "triu_indices_from", "vander", "vsplit",
]  # fmt: skip

# -- grids of positions ---------------------------------------------------------------------------------------------


def meshgrid(*vectors: Any, indexing: str = "xy", sparse: bool = False) -> list[Variable]:
    """The coordinates of a grid, one array for each vector: with indexing "ij" its k-th axis is that of the k-th
    vector, with "xy" the first two are exchanged. sparse: axes of length 1 in the place of the others.

    OptionError for another `indexing`, ShapeError for more than one axis.
    """
    if indexing not in ("xy", "ij"):
        raise OptionError(f'meshgrid: indexing must be "xy" or "ij", not {indexing!r}')
    given = [as_variable(v) for v in vectors]
    for v in given:
        if v.ndim > 1:
            raise ShapeError(f"meshgrid: vectors are needed, not {describe(v)}")
    count = len(given)
    axes = list(builtins.range(count))
    if indexing == "xy" and count > 1:
        axes[:2] = [1, 0]
    open_grid = [spread(f.reshape(v, (-1,)), a, count) for v, a in zip(given, axes, strict=True)]
    return open_grid if sparse or count < 2 else broadcast_arrays(*open_grid)


def broadcast_arrays(*arrays: Any) -> list[Variable]:
    """The arrays, repeated along axes of length 1 so that all have one shape. No element is copied for it."""
    given = [as_variable(a) for a in arrays]
    ndim = max((v.ndim for v in given), default=0)
    padded = [f.shape_padleft(v, ndim - v.ndim) for v in given]
    lengths = [_common([ln.dim(v, k) for v in padded]) for k in builtins.range(ndim)]
    return [f.broadcast_to(v, tuple(lengths)) for v in padded]


def _common(lengths: Sequence[Any]) -> Any:
    """The length to which others broadcast: the one that is known and not 1, else the first that is not 1 at run
    time."""
    known = [n for n in lengths if isinstance(n, int) and n != 1]
    if known:
        return known[0]
    unknown = [n for n in lengths if not isinstance(n, int)]
    if not unknown:
        return 1
    result = unknown[-1]
    for n in reversed(unknown[:-1]):
        result = f.where(f.eq(n, 1), result, n)
    return result


def ix_(*vectors: Any) -> tuple[Variable, ...]:
    """Index arrays such that x[ix_(rows, columns)] is the part of x in these rows and columns; masks stand for the
    positions where they hold. ShapeError for more than one axis."""
    found = []
    for k, v in enumerate(as_variable(v) for v in vectors):
        if v.ndim != 1:
            raise ShapeError(f"ix_: vectors are needed, not {describe(v)}")
        found.append(spread(f.flatnonzero(v) if v.type.dtype == BOOL else v, k, len(vectors)))
    return tuple(found)


def indices(dimensions: Any, dtype: Any = "int64", sparse: bool = False) -> Variable | tuple[Variable, ...]:
    """For each axis of an array of the lengths `dimensions` the positions along it, as one array with one more axis in
    front; with `sparse` a tuple of arrays that broadcast."""
    lengths = list(dimensions)
    axes = [spread(f.arange(n, dtype=dtype), k, len(lengths)) for k, n in enumerate(lengths)]
    return tuple(axes) if sparse else f.stack(broadcast_arrays(*axes))


class _Grid:
    """`mgrid[a:b, c:d]` and `ogrid`: positions along slices; a step of `5j` means 5 of them, both ends included."""

    def __init__(self, sparse: bool) -> None:
        self.sparse = sparse

    def __getitem__(self, key: Any) -> Any:
        """An array with one first entry for each slice, or for `ogrid` a list; of one slice its positions."""
        slices = key if isinstance(key, tuple) else (key,)
        lines = [self._line(s) for s in slices]
        dtype = promote([v.type.dtype for v in lines])
        lines = [f.cast(v, dtype) for v in lines]
        if not isinstance(key, tuple):
            return lines[0]
        axes = [spread(v, k, len(lines)) for k, v in enumerate(lines)]
        return axes if self.sparse else f.stack(broadcast_arrays(*axes))

    def _line(self, s: slice) -> Variable:
        if not isinstance(s, slice) or s.stop is None:
            raise TypeError(f"a grid is made of slices with an end, such as 0:5, not {s!r}")
        start, step = 0 if s.start is None else s.start, 1 if s.step is None else s.step
        if isinstance(step, complex):
            return f.linspace(start, s.stop, int(abs(step)), dtype="float64")
        return f.arange(start, s.stop, step)


mgrid, ogrid = _Grid(False), _Grid(True)


def tril_indices(n: Any, k: Any = 0, m: Any = None) -> tuple[Variable, ...]:
    """The positions (rows, columns) on and below the k-th diagonal of n rows and m (None: n) columns."""
    return f.nonzero(f.tri(n, m, k, "bool"))


def triu_indices(n: Any, k: Any = 0, m: Any = None) -> tuple[Variable, ...]:
    """The positions (rows, columns) on and above the k-th diagonal of n rows and m (None: n) columns."""
    return f.nonzero(f.logical_not(f.tri(n, m, f.sub(k, 1), "bool")))


def tril_indices_from(x: Any, k: Any = 0) -> tuple[Variable, ...]:
    """As `tril_indices`, of the rows and columns of a matrix."""
    rows, columns = ln.dims_of(_matrix("tril_indices_from", x))
    return tril_indices(rows, k, columns)


def triu_indices_from(x: Any, k: Any = 0) -> tuple[Variable, ...]:
    """As `triu_indices`, of the rows and columns of a matrix."""
    rows, columns = ln.dims_of(_matrix("triu_indices_from", x))
    return triu_indices(rows, k, columns)


def _matrix(what: str, x: Any) -> Variable:
    v = as_variable(x)
    if v.ndim != 2:
        raise ShapeError(f"{what}: a matrix is needed, not {describe(v)}")
    return v


def diag_indices(n: Any, ndim: int = 2) -> tuple[Variable, ...]:
    """The positions on the main diagonal of an array of `ndim` axes of length n."""
    return (f.arange(n),) * ndim


# -- turning and stacking -------------------------------------------------------------------------------------------


def matrix_transpose(x: Any) -> Variable:
    """The matrices of the last two axes, transposed; also `x.mT`. ShapeError for less than two axes."""
    v = as_variable(x)
    if v.ndim < 2:
        raise ShapeError(f"matrix_transpose: a matrix is needed, or a stack of them, not {describe(v)}")
    return f.swapaxes(v, -1, -2)


def fliplr(x: Any) -> Variable:
    """x with its second axis in reverse order."""
    return f.flip(x, 1)


def flipud(x: Any) -> Variable:
    """x with its first axis in reverse order."""
    return f.flip(x, 0)


def rot90(x: Any, k: int = 1, axes: Any = (0, 1)) -> Variable:
    """x turned k times by 90 degrees, from the first of `axes` towards the second."""
    v = as_variable(x)
    a, b = (ln.axis_of(axis, v.ndim, "rot90", v) for axis in axes)
    if a == b:
        raise ShapeError(f"rot90: two axes are needed, not {axes}, for {describe(v)}")
    turns = operator.index(k) % 4
    if turns in (0, 2):
        return f.flip(v, (a, b)) if turns else v
    return f.swapaxes(f.flip(v, b), a, b) if turns == 1 else f.flip(f.swapaxes(v, a, b), b)


def rollaxis(x: Any, axis: int, start: int = 0) -> Variable:
    """x with `axis` moved in front of the axis `start`."""
    v = as_variable(x)
    a = ln.axis_of(axis, v.ndim, "rollaxis", v)
    before = start + v.ndim if start < 0 else start
    if not 0 <= before <= v.ndim:
        raise ShapeError(f"rollaxis: start must lie in [-{v.ndim}, {v.ndim}], not {start}, for {describe(v)}")
    return f.moveaxis(v, a, before - 1 if a < before else before)


def dstack(arrays: Any) -> Variable:
    """The arrays one behind the other along the third axis, as np.dstack."""
    return f.concatenate([f.atleast_3d(a) for a in arrays], 2)


def column_stack(arrays: Any) -> Variable:
    """Vectors as columns, beside each other and matrices."""
    given = [as_variable(a) for a in arrays]
    return f.concatenate([v if v.ndim > 1 else f.reshape(v, (-1, 1)) for v in given], 1)


def block(arrays: Any) -> Variable:
    """Nested lists of arrays put together: the innermost along the last axis, those around them along the one before.

    ShapeError for lists that are not nested to one depth.
    """
    depth = _depth(arrays)
    ndim = max(depth, max(v.ndim for v in _leaves(arrays)))
    return _joined(arrays, depth, ndim)


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(a) for a in arrays}
    if len(depths) != 1:
        raise ShapeError("block: lists must be nested to one depth, and not be empty")
    return 1 + depths.pop()


def _leaves(arrays: Any) -> list[Variable]:
    return [v for a in arrays for v in _leaves(a)] if isinstance(arrays, list) else [as_variable(arrays)]


def _joined(arrays: Any, depth: int, ndim: int) -> Variable:
    if not isinstance(arrays, list):
        v = as_variable(arrays)
        return f.shape_padleft(v, ndim - v.ndim)
    return f.concatenate([_joined(a, depth - 1, ndim) for a in arrays], ndim - depth)


def append(x: Any, values: Any, axis: Any = None) -> Variable:
    """`values` behind x along `axis`; None: both flattened."""
    a, b = as_operands(x, values)
    return f.concatenate([f.flatten(a), f.flatten(b)]) if axis is None else f.concatenate([a, b], axis)


def diagflat(x: Any, k: Any = 0) -> Variable:
    """A square matrix with the elements of x on its k-th diagonal."""
    return f.diag(f.flatten(as_variable(x)), k)


def vander(x: Any, n: int | None = None, increasing: bool = False) -> Variable:
    """The powers of a vector in columns, n of them (None: as many as elements, which must be known), the highest first.

    ShapeError for what is no vector, or of a length that is not known.
    """
    v = as_variable(x)
    count = n if n is not None else v.type.shape[0] if v.ndim == 1 else None
    if v.ndim != 1 or count is None:
        raise ShapeError(f"vander: a vector is needed, and n= where its length is not known, not {describe(v)}")
    v = f.cast(v, "int64") if v.type.dtype in DISCRETE else v
    columns = [f.ones_like(v)]
    while len(columns) < count:
        columns.append(f.mul(columns[-1], v))
    columns = columns[:count] if increasing else columns[:count][::-1]
    return f.stack(columns, axis=1) if columns else f.zeros((ln.dim(v, 0), 0), v.type.dtype)


# -- taking apart ---------------------------------------------------------------------------------------------------


def array_split(x: Any, sections: Any, axis: int = 0) -> list[Variable]:
    """x in so many parts along `axis`, the first ones longer by one where they are not equal; or, for a sequence of
    positions, cut at these."""
    v = as_variable(x)
    a = ln.axis_of(axis, v.ndim, "array_split", v)
    length = ln.dim(v, a)
    if isinstance(sections, int):
        if sections < 1:
            raise ShapeError(f"array_split: {sections} parts, where at least one is needed, for {describe(v)}")
        each, more = f.floor_div(length, sections), f.mod(length, sections)
        cuts: list[Any] = [f.add(f.mul(each, k), f.minimum(more, k)) for k in builtins.range(sections + 1)]
    else:
        cuts = [None, *sections, None]
    whole = (slice(None),) * a
    return [v[(*whole, slice(start, stop))] for start, stop in pairwise(cuts)]


def _split(name: str, axis: int) -> Callable[..., list[Variable]]:
    def build(x: Any, sections: Any) -> list[Variable]:
        v = as_variable(x)
        least = 1 if axis == 1 else axis + 1
        if v.ndim < least:
            raise ShapeError(f"{name}: at least {least} axes are needed\n  {describe(v)}")
        at = min(axis, v.ndim - 1)
        if isinstance(sections, int):
            return list(f.split(v, sections, axis=at))
        return array_split(v, sections, at)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"x in equal parts along axis {axis}, or cut at a sequence of positions, as np.{name}."
    return build


hsplit, vsplit, dsplit = _split("hsplit", 1), _split("vsplit", 0), _split("dsplit", 2)


def extract(condition: Any, x: Any) -> Variable:
    """The elements of the flattened x where the flattened `condition` is not 0."""
    return f.getitem(f.flatten(as_variable(x)), f.flatnonzero(condition))


def _flat(name: str, x: Any, axis: Any) -> tuple[Variable, int]:
    v = as_variable(x)
    if axis is None:
        return f.flatten(v), 0
    return v, ln.axis_of(axis, v.ndim, name, v)


def delete(x: Any, key: Any, axis: Any = None) -> Variable:
    """x without the parts at `key` along `axis` (None: of the flattened x): an integer, a slice, integers, or a mask.

    IndexOutOfRange when the function runs for what is not there.
    """
    v, a = _flat("delete", x, axis)
    whole, places = (slice(None),) * a, f.arange(ln.dim(v, a))
    if isinstance(key, slice):
        gone = f.set_subtensor(f.zeros_like(places, "bool")[key], True)
    else:
        named = as_variable(np.asarray(key, "int64") if isinstance(key, list | tuple) and not len(key) else key)
        if named.type.dtype in REALS:
            raise DtypeError(f"delete: positions must be integers, or a mask, not {describe(named)}")
        if named.type.dtype == BOOL:
            gone = f.matched(named, [ln.dim(v, a)], "delete")
        else:
            gone = f.set_subtensor(f.zeros_like(places, "bool")[f.reshape(named, (-1,))], True)
    return f.getitem(v, (*whole, f.flatnonzero(f.logical_not(gone))))


def insert(x: Any, key: Any, values: Any, axis: Any = None) -> Variable:
    """x with `values` before the positions `key` along `axis` (None: of the flattened x): an integer or a vector.

    Positions are those in x. Values broadcast to the shape of what is inserted. IndexOutOfRange when the function runs
    for positions that are not there.
    """
    v, a = _flat("insert", x, axis)
    length = ln.dim(v, a)
    at = ln.as_position(as_variable(key))
    new = as_variable(values)
    if at.ndim > 1:
        raise ShapeError(f"insert: positions are a number or a vector, not {describe(at)}")
    at = within(ln.from_begin(at, length), length + 1)
    single = at.ndim == 0
    if single and new.ndim >= v.ndim and v.ndim > 0:
        # one position for several values
        moved = f.moveaxis(new, 0, a) if axis is not None and new.ndim == v.ndim else new
        at = f.full((ln.dim(moved, a),), at)
    elif single:
        moved, at = (f.expand_dims(new, a) if new.ndim == v.ndim - 1 and v.ndim > 1 else new), f.reshape(at, (1,))
    else:
        moved = new
    order = f.argsort(at)
    count = ln.dim(at, 0)
    # the place of each inserted part in the result
    places = f.set_subtensor(f.zeros_like(at)[order], f.add(at[order], f.arange(count)))
    total = f.add(length, count)
    old = f.flatnonzero(f.logical_not(f.set_subtensor(f.zeros((total,), "bool")[places], True)))
    whole = (slice(None),) * a
    lengths = [total if k == a else ln.dim(v, k) for k in builtins.range(v.ndim)]
    result = f.zeros(tuple(lengths), v.dtype)
    result = f.set_subtensor(result[(*whole, old)], v)
    return f.set_subtensor(result[(*whole, places)], f.cast(moved, v.dtype))


def put_along_axis(x: Any, indices: Any, values: Any, axis: Any = None) -> Variable:
    """A copy of x with `values` along `axis` at `indices`, see `take_along_axis`; NumPy's changes x itself.

    axis None: of the flattened x, and the result has x's shape.
    """
    v, index = as_operands(x, indices)
    if axis is None:
        flat = f.set_subtensor(f.flatten(v)[f.flatten(index)], f.flatten(as_variable(values)))
        return f.reshape(flat, tuple(ln.dim(v, k) for k in builtins.range(v.ndim)))
    a = ln.axis_of(axis, v.ndim, "put_along_axis", v)
    if index.ndim != v.ndim:
        raise ShapeError(f"put_along_axis: indices of {v.ndim} axes are needed\n  {describe(v)}\n  {describe(index)}")
    every = [index if k == a else spread(f.arange(ln.dim(v, k)), k, v.ndim) for k in builtins.range(v.ndim)]
    return f.set_subtensor(v[tuple(every)], f.cast(values, v.type.dtype))


# -- axes joined and divided ----------------------------------------------------------------------------------------


def join_dims(x: Any, start_axis: int = 0, n_axes: int | None = None) -> Variable:
    """x with `n_axes` axes from `start_axis` on (None: all) as one; none makes a new axis of length 1."""
    v = as_variable(x)
    first = start_axis + v.ndim if start_axis < 0 else start_axis
    count = v.ndim - first if n_axes is None else n_axes
    if not 0 <= first <= v.ndim or not 0 <= count <= v.ndim - first:
        raise ShapeError(f"join_dims: {count} axes from {start_axis} on are not there: {describe(v)}")
    lengths = [ln.dim(v, k) for k in builtins.range(v.ndim)]
    joined: Any = 1
    for n in lengths[first : first + count]:
        joined = n if isinstance(joined, int) and joined == 1 else f.mul(joined, n)
    return f.reshape(v, (*lengths[:first], joined, *lengths[first + count :]))


def split_dims(x: Any, shape: Any, axis: int = 0) -> Variable:
    """x with `axis` as several of the lengths `shape`, one of which may be -1."""
    v = as_variable(x)
    a = ln.axis_of(axis, v.ndim, "split_dims", v)
    lengths = [ln.dim(v, k) for k in builtins.range(v.ndim)]
    parts = list(shape) if isinstance(shape, list | tuple) else [shape]
    if any(isinstance(n, int) and n == -1 for n in parts):
        rest: Any = lengths[a]
        for n in parts:
            rest = rest if isinstance(n, int) and n == -1 else f.floor_div(rest, n)
        parts = [rest if isinstance(n, int) and n == -1 else n for n in parts]
    return f.reshape(v, (*lengths[:a], *parts, *lengths[a + 1 :]))


# -- choosing -------------------------------------------------------------------------------------------------------


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Variable:
    """Of each element that of the first choice whose condition holds, else `default`; all broadcast.

    ShapeError where there are not as many choices as conditions, or none.
    """
    conditions, choices = list(condlist), list(choicelist)
    if len(conditions) != len(choices) or not choices:
        raise ShapeError(f"select: {len(conditions)} conditions and {len(choices)} choices")
    *values, rest = as_operands(*choices, default)
    result = rest
    for condition, value in zip(reversed(conditions), reversed(values), strict=True):
        result = f.where(condition, value, result)
    return result


def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **named: Any) -> Variable:
    """For each element the function (or number) whose condition holds there, the last of those; one more than there
    are conditions is for where none does, else 0. Functions get all of x, and what follows in the call."""
    v = as_variable(x)
    conditions, functions = list(condlist), list(funclist)
    if len(functions) not in (len(conditions), len(conditions) + 1):
        raise ShapeError(f"piecewise: {len(conditions)} conditions and {len(functions)} functions")
    results = [function(v, *args, **named) if callable(function) else function for function in functions]
    result = f.full_like(v, 0) if len(results) == len(conditions) else f.add(f.zeros_like(v), results.pop())
    for condition, value in zip(conditions, results, strict=True):
        result = f.where(condition, value, result)
    return f.cast(result, v.type.dtype)

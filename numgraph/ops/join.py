"""Joining, splitting and repeating arrays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from numgraph.errors import ShapeError
from numgraph.graph import Constant, Variable, apply, as_variable, describe
from numgraph.op import OPS, Check, Op, Scatter, first, same
from numgraph.ops import formula
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.create import constant_scalar, filled, zeros_like
from numgraph.ops.define import f, linearly
from numgraph.ops.indexmaps import CONCATENATED, joined_shape, rolled
from numgraph.ops.lengths import Length
from numgraph.ops.shape import flatten, reshape, reshaped, shuffled, stretch
from numgraph.types import promote

__all__ = [
    "concatenate", "diff", "flip", "hstack", "join", "repeat", "roll", "split", "stack", "tile", "vstack",
]  # fmt: skip


# Parts that are read in place. Where a loop is not cut, each element is chosen among all of them.
MOST_JOINED = 8


def part(x: Variable, axis: int, start: Length | None, stop: Length | None, step: int = 1) -> Variable:
    """x[..., start:stop:step, ...] with the slice at `axis`."""
    key: list[Any] = [slice(None)] * x.ndim
    key[axis] = slice(start, stop, step)
    return x[tuple(key)]  # type: ignore[no-any-return]


# -- placing --------------------------------------------------------------------------------------------------------


def _placed(base: Any, value: Any, offset: Any, axis: int, mode: str) -> Any:
    out = base.copy()
    where = (slice(None),) * axis + (slice(int(offset), int(offset) + value.shape[axis]),)
    out[where] = value if mode == "set" else out[where] + value
    return out


def _place_target(idx: Any, base: Any, value: Any, offset: Any, axis: int, mode: str) -> Any:
    return tuple(i + offset.value if k == axis else i for k, i in enumerate(idx))


def _place_grad(
    g: Variable, out: Variable, base: Variable, value: Variable, offset: Variable, axis: int, mode: str
) -> Any:
    length = ln.dim(value, axis)
    start: Length = int(offset.data) if isinstance(offset, Constant) else offset
    kept = (
        g if mode == "add" else apply(OPS["place"], [g, zeros_like(value, g.type.dtype), offset], axis=axis, mode="set")
    )
    return kept, part(g, axis, start, start + length), None


PLACE = Op(
    "place",
    ("base", "value", "offset"),
    "base with `value` written (or added) at `offset` along an axis; other lengths equal.",
    first,
    _placed,
    _place_grad,
    scatter=Scatter(lambda base, value, offset, axis, mode: value.shape, _place_target, unique=True),
    shape=lambda base, value, offset, axis, mode: base.shape,
    checks=(
        Check(
            "equal",
            lambda base, value, offset, axis, mode: [
                (n, m) for k, (n, m) in enumerate(zip(base.shape, value.shape, strict=True)) if k != axis
            ],
            "lengths {a} and {b} differ",
        ),
        Check(
            "at_least",
            lambda base, value, offset, axis, mode: [
                (base.shape[axis] - value.shape[axis], offset.value),
                (offset.value, 0),
            ],
            "the value does not fit",
        ),
    ),
    samples=lambda: [
        ([np.ones((2, 5), np.float64), np.full((2, 3), 2, np.float64), 1], {"axis": 1, "mode": mode})
        for mode in ("set", "add")
    ],
)

# -- concatenation --------------------------------------------------------------------------------------------------


def _offsets(parts: Sequence[Variable], axis: int) -> list[Length]:
    """Where each part begins, and the end."""
    offsets: list[Length] = [0]
    for v in parts:
        n = ln.dim(v, axis)
        offsets.append(n if offsets[-1] == 0 else offsets[-1] + n)
    return offsets


def _expand_concatenate(*parts: Variable, axis: int) -> Variable:
    """Parts that are read in place, or, of many, an array that each of them is written into."""
    dtype = promote([v.type.dtype for v in parts])
    there = [v for v in parts if v.type.shape[axis] != 0] or [*parts[:1]]
    values = [v if v.type.dtype == dtype else f.cast(v, dtype) for v in there]
    if len(values) == 1:
        return values[0]
    if len(values) <= MOST_JOINED:
        return apply(CONCATENATED, values, axis=axis)
    offsets = _offsets(values, axis)
    known = [next((v.type.shape[k] for v in parts if v.type.shape[k] is not None), None) for k in range(parts[0].ndim)]
    lengths = [n if n is not None else ln.dim(parts[0], k) for k, n in enumerate(known)]
    lengths[axis] = offsets[-1]
    result = filled(constant_scalar(0, dtype), lengths)
    for value, offset in zip(values, offsets, strict=False):
        result = apply(OPS["place"], [result, value, *ln.operands([offset])], axis=axis, mode="set")
    return result


def _concatenate_grad(g: Variable, out: Variable, *parts: Variable, axis: int) -> list[Variable]:
    offsets = _offsets(parts, axis)
    return [part(g, axis, begin, end) for begin, end in pairwise(offsets)]


Op(
    "concatenate",
    ("*parts",),
    "Arrays one behind the other along an axis.",
    same,
    lambda *parts, axis: np.concatenate(parts, axis=axis),
    _concatenate_grad,
    expand=_expand_concatenate,
    complex=True,
    reach=linearly,
    show=formula.joined,
    batch=over_stacks("concatenate"),
    shape=joined_shape,
    checks=(
        Check(
            "equal",
            lambda *parts, axis: [
                (parts[0].shape[k], p.shape[k]) for p in parts[1:] for k in range(p.ndim) if k != axis
            ],
            "lengths {a} and {b} differ",
        ),
    ),
    samples=lambda: [
        ([np.ones((2, 2), np.float64), np.zeros((2, 1), np.float64)], {"axis": 1}),
        ([np.ones(2, np.float64), np.zeros(3, np.float64), np.ones(1, np.float64)], {"axis": 0}),
    ],
)


def concatenate(arrays: Any, axis: int = 0) -> Variable:
    """The arrays one behind the other along `axis`, in their common dtype.

    Where it is used in a loop, the parts are read where they lie.
    ShapeError where they differ in the number of axes or in another length.
    """
    parts = [as_variable(v) for v in arrays]
    if not parts:
        raise ShapeError("concatenate: there is nothing to join")
    if parts[0].ndim == 0 or any(v.ndim != parts[0].ndim for v in parts):
        raise ShapeError("concatenate: all must have the same number of axes, at least one:" + _listed(parts))
    k = ln.axis_of(axis, parts[0].ndim, "concatenate", parts[0])
    for other in range(parts[0].ndim):
        known = {v.type.shape[other] for v in parts} - {None}
        if other != k and len(known) > 1:
            raise ShapeError(
                f"concatenate: axis {other}: lengths {sorted(n for n in known if n is not None)} differ"
                + _listed(parts)
            )
    return apply(OPS["concatenate"], parts, axis=k)


def _listed(variables: Sequence[Variable]) -> str:
    return "".join(f"\n  {describe(v)}" for v in variables)


def join(axis: int, *arrays: Any) -> Variable:
    """`concatenate`, with the axis first."""
    return concatenate(arrays, axis)


def stack(*arrays: Any, axis: int = 0) -> Variable:
    """Arrays of one shape along a new axis. Accepts `stack([a, b])`, `stack([a, b], 1)` and `stack(a, b)`;
    scalars make a vector.

    ShapeError where lengths differ.
    """
    given: Any = arrays
    if len(arrays) == 2 and isinstance(arrays[0], list | tuple) and isinstance(arrays[1], int):
        given, axis = arrays
    elif len(arrays) == 1 and isinstance(arrays[0], list | tuple):
        given = arrays[0]
    parts = _aligned(given)
    if not parts:
        raise ShapeError("stack: there is nothing to stack")
    if any(v.ndim != parts[0].ndim for v in parts):
        raise ShapeError("stack: all must have the same number of axes:" + _listed(parts))
    k = ln.axis_of(axis, parts[0].ndim + 1, "stack", parts[0])
    pattern = (*range(k), -1, *range(k, parts[0].ndim))
    return concatenate([shuffled(v, pattern) for v in parts], k)


def _aligned(values: Any) -> list[Variable]:
    """Variables; Python numbers take the dtype of the variables beside them."""
    from numgraph.graph import as_operands

    return as_operands(*values) if len(values) else []


def hstack(arrays: Any) -> Variable:
    """Vectors one behind the other; of arrays with more axes the columns side by side."""
    parts = [f.atleast_1d(v) for v in arrays]
    return concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1)


def vstack(arrays: Any) -> Variable:
    """Rows below each other; vectors count as rows."""
    return concatenate([f.atleast_2d(v) for v in arrays], 0)


# -- splitting ------------------------------------------------------------------------------------------------------


def split(x: Any, sizes: Any, n_splits: int | None = None, axis: int = 0) -> list[Variable]:
    """Consecutive parts of x along `axis`: `sizes` equal ones, or one for each length in a sequence `sizes`.

    n_splits: the number of parts where `sizes` is a vector variable of unknown length (Theano's third argument).
    ShapeError where the length is known and the parts do not add up to it; an unknown length must divide evenly when
    the function runs.
    """
    v = as_variable(x)
    k = ln.axis_of(axis, v.ndim, "split", v)
    length = ln.dim(v, k)
    if isinstance(sizes, int | np.integer):
        if sizes < 1 or (isinstance(length, int) and length % int(sizes)):
            raise ShapeError(f"split: axis {k} of {describe(v)} does not divide into {sizes} equal parts")
        each = length // int(sizes)
        lengths: list[Length] = [each] * int(sizes)
    else:
        lengths = ln.as_lengths(sizes, "split", n_splits)
    ends: list[Length] = [0]
    for n in lengths:
        ends.append(ends[-1] + n)
    if isinstance(length, int) and isinstance(ends[-1], int) and length != ends[-1]:
        raise ShapeError(f"split: lengths {ln.shape_text(lengths)} do not add up to axis {k} of {describe(v)}")
    if not isinstance(length, int) or not isinstance(ends[-1], int):
        equal = f" into {sizes} equal parts" if isinstance(sizes, int | np.integer) else ""
        v = f.matched(v, [ends[-1] if a == k else None for a in range(v.ndim)], f"split{equal}")
    return [part(v, k, begin, end) for begin, end in pairwise(ends)]


# -- repeating ------------------------------------------------------------------------------------------------------


def tile(x: Any, reps: Any, ndim: int | None = None) -> Variable:
    """x repeated as a whole `reps` times along each axis; a shorter `reps` speaks of the last axes, as in NumPy."""
    v = as_variable(x)
    times = ln.as_lengths(reps, "tile", ndim)
    count = max(v.ndim, len(times))
    times[:0] = [1] * (count - len(times))
    own: list[Length] = [*[1] * (count - v.ndim), *ln.dims_of(v)]
    v = shuffled(v, (*(-1,) * (count - v.ndim), *range(v.ndim)))
    if all(isinstance(t, int) and t == 1 for t in times):
        return v
    wide = shuffled(v, tuple(k for axis in range(count) for k in (-1, axis)))
    wide = stretch(wide, [n for pair in zip(times, own, strict=True) for n in pair])
    return reshaped(wide, [ln.product(pair) for pair in zip(times, own, strict=True)])


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Each element `repeats` times in a row along `axis` (None: of the flattened array).

    repeats: one integer, or a vector with one for each place of the axis, or with one for all, whose sum is the
    result's length there, known only at run time. ShapeError for a negative one, and for a vector of another length.
    """
    v = as_variable(x)
    if axis is None:
        v, axis = flatten(v), 0
    k = ln.axis_of(axis, v.ndim, "repeat", v)
    counts = as_variable(repeats)
    if counts.ndim == 1:
        return f.repeat_each(v, counts, k)
    times = ln.as_length(repeats, "repeat")
    own = ln.dims_of(v)
    wide = shuffled(v, (*range(k + 1), -1, *range(k + 1, v.ndim)))
    wide = stretch(wide, [*own[: k + 1], times, *own[k + 1 :]])
    return reshaped(wide, [*own[:k], ln.product([own[k], times]), *own[k + 1 :]])


# -- order of elements ----------------------------------------------------------------------------------------------


def flip(x: Any, axis: Any = None) -> Variable:
    """x with the elements along `axis` (None: all axes) in reverse order."""
    v = as_variable(x)
    axes = range(v.ndim) if axis is None else ln.axes_of(axis, v.ndim, "flip", v)
    key = tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(v.ndim))
    return v[key]  # type: ignore[no-any-return]


def roll(x: Any, shift: Any, axis: Any = None) -> Variable:
    """x with its elements moved `shift` places along `axis`, those that fall off coming in at the other end.

    axis None: of the flattened array. Several axes take several shifts. Nothing is moved where it is used in a loop:
    that reads x in pieces, so that a sum over the neighbours of each element is one pass over x.
    DtypeError for a shift that is no integer; ShapeError where shifts and axes differ in number.
    """
    v = as_variable(x)
    if axis is None:
        return reshape(roll(flatten(v), shift, 0), tuple(ln.dims_of(v)))
    axes = axis if isinstance(axis, list | tuple) else (axis,)
    shifts = shift if isinstance(shift, list | tuple) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes, for {describe(v)}")
    for k, s in zip((ln.axis_of(a, v.ndim, "roll", v) for a in axes), shifts, strict=True):
        v = rolled(v, ln.integer(s, "roll: a shift"), k)
    return v


def diff(x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Variable:
    """Differences of neighbours along `axis`, taken n times. prepend, append: what stands before and behind x for it, a
    number or an array."""
    v = as_variable(x)
    k = ln.axis_of(axis, v.ndim, "diff", v)
    if prepend is not None or append is not None:
        edge = [1 if a == k else ln.dim(v, a) for a in range(v.ndim)]
        ends = [e if e is None or as_variable(e).ndim else f.full(edge, e) for e in (prepend, append)]
        v = concatenate([e for e in (ends[0], v, ends[1]) if e is not None], k)
    for _ in range(n):
        v = part(v, k, 1, None) - part(v, k, None, -1)
    return v

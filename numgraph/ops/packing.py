"""Several arrays as one, and back: `pack`, `unpack`, and the shape to which arrays broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length

__all__ = ["broadcast_shapes", "pack", "unpack"]


def broadcast_shapes(*shapes: Any) -> tuple[Length, ...]:
    """The shape that arrays of these shapes have together: a tuple of integers, and of 0-d int64 variables where a
    length is known at a call only.

    shapes: lengths, or tuples of lengths, each an integer or a scalar of integers; shorter ones get ones in front.
    ShapeError for lengths that do not fit together; AssertionFailed for those that do not in a call.
    """
    given = [ln.as_lengths(shape, "broadcast_shapes") for shape in shapes]
    ndim = max((len(shape) for shape in given), default=0)
    padded: list[list[Length]] = [[*[1] * (ndim - len(shape)), *shape] for shape in given]
    return tuple(_common([shape[k] for shape in padded], padded) for k in range(ndim))


def _common(lengths: Sequence[Length], shapes: Sequence[Sequence[Length]]) -> Length:
    """The length to which these broadcast: the known one that is not 1, else the first that is not 1 in a call."""
    known = {n for n in lengths if isinstance(n, int) and n != 1}
    unknown = [n for n in lengths if isinstance(n, Variable)]
    if len(known) > 1:
        raise ShapeError(f"broadcast_shapes: lengths {sorted(known)} of one axis of {shapes} do not fit together")
    given: list[Length] = [1, *known, *unknown]
    found = reduce(ln.broadcast_length, given)
    if len(known) + len(unknown) < 2:
        return found
    whole = as_variable(found)
    fits = [f.or_(f.eq(n, 1), f.eq(n, whole)) for n in unknown]
    return ln.as_position(f.assert_op(whole, *fits, message="broadcast_shapes: lengths do not fit together"))


def _ends(axes: Any, what: str) -> tuple[int, int]:
    """How many first axes and how many last ones are kept; OptionError unless `axes` says just that."""
    if axes is None:
        return 0, 0
    listed = [axes] if isinstance(axes, int) else list(axes)
    first, last = [a for a in listed if a >= 0], [a for a in listed if a < 0]
    if not listed or listed != [*range(len(first)), *range(-len(last), 0)]:
        raise OptionError(f"{what}: keep_axes must be 0, 1, ... and then ..., -2, -1, or None, not {axes!r}")
    return len(first), len(last)


def pack(*tensors: Any, keep_axes: Any = None) -> tuple[Variable, list[tuple[Length, ...]]]:
    """Arrays as one: their axes joined to one each, and these put one after the other. Returns (the packed array, the
    shapes that `unpack` needs).

    keep_axes: the axes that stay, an integer or several: first ones counted from 0, and last ones counted from -1;
    None: none stays, and the result is a vector. Arrays must be equally long along those; the dtypes are promoted.
    OptionError for other `keep_axes`, ShapeError for an array that has fewer axes, and for none.

    >>> import numgraph as ng
    >>> whole, shapes = ng.pack(ng.ones((2, 3)), ng.zeros(()))
    >>> [part.eval().shape for part in ng.unpack(whole, shapes)]
    [(2, 3), ()]
    """
    first, last = _ends(keep_axes, "pack")
    given = [as_variable(t) for t in tensors]
    if not given:
        raise ShapeError("pack: there is nothing to pack")
    for v in given:
        if v.ndim < first + last:
            raise ShapeError(f"pack: keep_axes={keep_axes!r} needs {first + last} axes: {describe(v)}")
    shapes = [tuple(ln.dims_of(v)[first : v.ndim - last]) for v in given]
    rows = [f.join_dims(v, first, len(shape)) for v, shape in zip(given, shapes, strict=True)]
    return f.concatenate(rows, first), shapes


def unpack(packed: Any, shapes: Sequence[Any], keep_axes: Any = None) -> list[Variable]:
    """The arrays that `pack` has made one of.

    shapes: for each of them the lengths of the axes that were joined, or a vector of integers whose length is known.
    ShapeError where `packed` has not one axis besides those of `keep_axes`, and in a call for another length of it.
    """
    v = as_variable(packed)
    first, last = _ends(keep_axes, "unpack")
    if v.ndim != first + last + 1:
        raise ShapeError(
            f"unpack: an array with {first + last + 1} axes is needed for keep_axes={keep_axes!r}: {describe(v)}"
        )
    parts = [ln.as_lengths(shape, "unpack") for shape in shapes]
    if not parts:
        raise ShapeError("unpack: there are no shapes")
    pieces = f.split(v, [ln.product(lengths) for lengths in parts], len(parts), first) if len(parts) > 1 else [v]
    return [f.split_dims(piece, tuple(lengths), first) for piece, lengths in zip(pieces, parts, strict=True)]

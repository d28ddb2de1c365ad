"""Lengths, order of axes, reshaping and broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.lengths import dims
from numgraph.op import OPS, Check, Op, first, int64
from numgraph.ops import batching, formula
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_to", "dimshuffle", "expand_dims", "flatten", "moveaxis",
    "ravel", "reshape", "shape", "shape_padaxis", "shape_padleft", "shape_padright", "size", "squeeze",
    "swapaxes", "transpose",
]  # fmt: skip

Pattern = tuple[int, ...]

# -- lengths --------------------------------------------------------------------------------------------------------

Op(
    "length",
    ("x",),
    "The length of an axis of x, an int64 scalar.",
    int64,
    lambda x, axis: np.int64(x.shape[axis]),
    lambda g, out, x, axis: (None,),
    element=lambda idx, x, axis: x.shape[axis],
    windowed=lambda axis: axis == 0,
    shape=lambda x, axis: (),
    batch=lambda batched, x, axis: apply(OPS["length"], [x], axis=axis + 1),
    show=formula.length,
    samples=lambda: [([np.zeros((2, 3), np.float64)], {"axis": k}) for k in (0, 1)],
)


def shape(x: Any) -> ln.Lengths:
    """The lengths of x: a tuple of int64 scalars, constants where they are known. TypeError for arithmetic on it."""
    v = as_variable(x)
    found = (ln.int_constant(n, v) if isinstance(n, int) else n for n in ln.dims_of(v))
    return ln.lengths_of(v, found)


def size(x: Any) -> Variable:
    """The number of elements of x, an int64 scalar."""
    v = as_variable(x)
    count = ln.product(ln.dims_of(v))
    return ln.int_constant(count, v) if isinstance(count, int) else count


# -- order of axes --------------------------------------------------------------------------------------------------


def _dropped(ndim: int, pattern: Pattern) -> list[int]:
    return [axis for axis in range(ndim) if axis not in pattern]


def _shuffled(x: NDArray[Any], pattern: Pattern) -> NDArray[Any]:
    dropped = _dropped(x.ndim, pattern)
    if any(x.shape[axis] != 1 for axis in dropped):
        raise ShapeError(
            f"dimshuffle: an axis that is dropped must have length 1, for shape {x.shape} and pattern {pattern}"
        )
    moved = x.transpose([p for p in pattern if p >= 0] + dropped)
    return moved[(*(None if p < 0 else slice(None) for p in pattern), *(0 for _ in dropped))]


def inverse_pattern(ndim: int, pattern: Pattern) -> Pattern:
    """The pattern that undoes `pattern` on `ndim` axes: what was inserted is dropped, what was dropped is inserted."""
    return tuple(pattern.index(axis) if axis in pattern else -1 for axis in range(ndim))


_ONES = "an axis that is dropped has length {a}, not 1"
_IS_ONE = Check("equal", lambda x, pattern: [(x.shape[a], 1) for a in _dropped(x.ndim, pattern)], _ONES)

DIMSHUFFLE = Op(
    "dimshuffle",
    ("x",),
    "Axes in another order; -1 in `pattern` inserts an axis of length 1, an axis left out must have length 1.",
    first,
    lambda x, pattern: _shuffled(x, pattern),
    lambda g, out, x, pattern: (shuffled(g, inverse_pattern(x.ndim, pattern)),),
    element=lambda idx, x, pattern: x.at(*(idx[pattern.index(a)] if a in pattern else 0 for a in range(x.ndim))),
    moves=True,
    uniform=True,
    shape=lambda x, pattern: tuple(1 if p < 0 else x.shape[p] for p in pattern),
    batch=lambda batched, x, pattern: shuffled(x, (0, *(p + 1 if p >= 0 else -1 for p in pattern))),
    show=formula.shuffled,
    checks=(_IS_ONE,),
    samples=lambda: [
        ([np.arange(6, dtype=np.float64).reshape(2, 1, 3)], {"pattern": p})
        for p in ((2, -1, 0, 1), (2, 0), (0, 2), (1, 0, 2))
    ],
)


def shuffled(x: Variable, pattern: Pattern) -> Variable:
    """`dimshuffle` with -1 for inserted axes; x itself where nothing changes."""
    return x if pattern == tuple(range(x.ndim)) else apply(DIMSHUFFLE, [x], pattern=pattern)


def _checked_pattern(x: Variable, pattern: tuple[Any, ...], what: str) -> Pattern:
    numbers = tuple(-1 if isinstance(p, str) and p == "x" else ln.axis_of(p, x.ndim, what, x) for p in pattern)
    kept = [p for p in numbers if p >= 0]
    if len(set(kept)) != len(kept):
        raise ShapeError(f"{what}: the pattern {pattern} names an axis twice, for {describe(x)}")
    for axis in _dropped(x.ndim, numbers):
        if x.type.shape[axis] not in (1, None):
            raise ShapeError(
                f"{what}: axis {axis} of length {x.type.shape[axis]} cannot be dropped\n  {describe(x)}\n"
                "  fix: index or sum the axis away, or name it in the pattern"
            )
    return numbers


def dimshuffle(x: Any, *pattern: Any) -> Variable:
    """x with its axes in the order of `pattern`; "x" inserts an axis of length 1, an axis left out must have length 1.

    Accepts `dimshuffle(x, 1, 0)` and `dimshuffle(x, (1, 0))`. ShapeError where a longer axis would be dropped.

    >>> import numgraph as ng
    >>> ng.matrix("m", "float32").dimshuffle(1, "x", 0)
    <dimshuffle float32[?,1,?]>
    """
    v = as_variable(x)
    wanted = tuple(pattern[0]) if len(pattern) == 1 and isinstance(pattern[0], list | tuple) else pattern
    return apply(DIMSHUFFLE, [v], pattern=_checked_pattern(v, wanted, "dimshuffle"))


def transpose(x: Any, *axes: Any) -> Variable:
    """x with its axes in the order `axes`, or reversed. ShapeError where `axes` does not name each axis once."""
    v = as_variable(x)
    wanted = tuple(axes[0]) if len(axes) == 1 and isinstance(axes[0], list | tuple) else axes
    if not wanted or wanted == (None,):
        wanted = tuple(reversed(range(v.ndim)))
    order = ln.axes_of(wanted, v.ndim, "transpose", v)
    if len(order) != v.ndim:
        raise ShapeError(f"transpose: axes {wanted} do not name each axis of {describe(v)} once")
    return apply(DIMSHUFFLE, [v], pattern=order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Variable:
    """x with two axes exchanged."""
    v = as_variable(x)
    a, b = (ln.axis_of(k, v.ndim, "swapaxes", v) for k in (axis1, axis2))
    order = list(range(v.ndim))
    order[a], order[b] = b, a
    return apply(DIMSHUFFLE, [v], pattern=tuple(order))


def moveaxis(x: Any, source: Any, destination: Any) -> Variable:
    """x with the axes `source` moved to the positions `destination`, the others in their order."""
    v = as_variable(x)
    a, b = ln.axes_of(source, v.ndim, "moveaxis", v), ln.axes_of(destination, v.ndim, "moveaxis", v)
    if len(a) != len(b):
        raise ShapeError(f"moveaxis: {len(a)} axes {source} for {len(b)} positions {destination}, for {describe(v)}")
    order = [k for k in range(v.ndim) if k not in a]
    for position, axis in sorted(zip(b, a, strict=True)):
        order.insert(position, axis)
    return apply(DIMSHUFFLE, [v], pattern=tuple(order))


def expand_dims(x: Any, axis: Any) -> Variable:
    """x with an axis of length 1 at each position in `axis` of the result."""
    v = as_variable(x)
    ndim = v.ndim + (len(axis) if isinstance(axis, list | tuple) else 1)
    new = ln.axes_of(axis, ndim, "expand_dims", v)
    old = iter(range(v.ndim))
    return apply(DIMSHUFFLE, [v], pattern=tuple(-1 if k in new else next(old) for k in range(ndim)))


def squeeze(x: Any, axis: Any = None) -> Variable:
    """x without the axes `axis`, each of length 1; None: without those whose length is known to be 1."""
    v = as_variable(x)
    away = (
        ln.axes_of(axis, v.ndim, "squeeze", v)
        if axis is not None
        else [k for k, n in enumerate(v.type.shape) if n == 1]
    )
    kept = tuple(k for k in range(v.ndim) if k not in away)
    return apply(DIMSHUFFLE, [v], pattern=_checked_pattern(v, kept, "squeeze"))


def shape_padleft(x: Any, n_ones: int = 1) -> Variable:
    """x with `n_ones` axes of length 1 in front."""
    v = as_variable(x)
    return apply(DIMSHUFFLE, [v], pattern=(*(-1,) * n_ones, *range(v.ndim)))


def shape_padright(x: Any, n_ones: int = 1) -> Variable:
    """x with `n_ones` axes of length 1 behind."""
    v = as_variable(x)
    return apply(DIMSHUFFLE, [v], pattern=(*range(v.ndim), *(-1,) * n_ones))


def shape_padaxis(x: Any, axis: int) -> Variable:
    """x with an axis of length 1 at position `axis`."""
    return expand_dims(x, axis)


def atleast_1d(x: Any) -> Variable:
    """x, a scalar as a vector of one element."""
    v = as_variable(x)
    return v if v.ndim >= 1 else shape_padleft(v)


def atleast_2d(x: Any) -> Variable:
    """x with axes of length 1 in front, so that it has two."""
    v = as_variable(x)
    return v if v.ndim >= 2 else shape_padleft(v, 2 - v.ndim)


def atleast_3d(x: Any) -> Variable:
    """x with at least three axes, as NumPy: (n,) becomes (1, n, 1), (m, n) becomes (m, n, 1)."""
    v = as_variable(x)
    return v if v.ndim >= 3 else shape_padright(atleast_2d(v), 1)


# -- reshape --------------------------------------------------------------------------------------------------------

Op(
    "reshape",
    ("x", "*lengths"),
    "The same elements, in C order, with other lengths; one that is -1 when the function runs takes what is left.",
    first,
    lambda x, *lengths: x.reshape([int(n) for n in lengths]),
    lambda g, out, x, *lengths: (reshaped(g, ln.dims_of(x)), *(None for _ in lengths)),
    reshape=True,
    moves=True,
    shape=lambda x, *lengths: ln.left_over(x, lengths),
    batch=lambda batched, x, *lengths: None if any(batched[1:]) else reshape(x, [ln.dim(x, 0), *lengths]),
    show=formula.reshaped,
    checks=(
        Check(
            "equal",
            lambda x, *lengths: [(dims.product(x.shape), dims.product(ln.left_over(x, lengths)))],
            "{a} elements into a shape for {b}",
        ),
        Check(
            "at_least", lambda x, *lengths: [(n, 0) for n in ln.left_over(x, lengths)], "a length of {a} is negative"
        ),
        Check("at_least", lambda x, *lengths: ln.free_lengths(lengths), "what -1 stands for cannot be told"),
    ),
    samples=lambda: [([np.arange(6, dtype=np.float64).reshape(2, 3), *new], {}) for new in ((6,), (3, 2), (1, 6, 1))],
)


def reshaped(x: Variable, new: list[Length]) -> Variable:
    """`reshape` to lengths without -1; x itself where they are known to be its own."""
    if len(new) == x.ndim and all(map(ln.same_length, new, ln.dims_of(x))):
        return x
    return apply(OPS["reshape"], [x, *ln.operands(new)])


def reshape(x: Any, shape: Any, ndim: int | None = None) -> Variable:
    """The elements of x, in C order, with other lengths; one may be -1, which takes what is left. A scalar may turn out
    to be that one when the function runs.

    shape: an int, a scalar, a sequence of them, or a vector of integers (of `ndim` elements where that is not known).
    ShapeError where the numbers of elements differ: now if they are known, else when the function runs.
    """
    v = as_variable(x)
    new = ln.as_lengths(shape, "reshape", ndim, least=-1)
    free = [k for k, n in enumerate(new) if isinstance(n, int) and n == -1]
    if len(free) > 1:
        raise ShapeError(f"reshape: more than one length is -1 in {ln.shape_text(new)}, for {describe(v)}")
    if free:
        new[free[0]] = _left(v, [n for k, n in enumerate(new) if k != free[0]])
    have, want = ln.product(ln.dims_of(v)), ln.product(new)
    if isinstance(have, int) and isinstance(want, int) and have != want:
        raise _wrong_size(v, new, have)
    return apply(OPS["reshape"], [v, *ln.operands(new)])


def _left(x: Variable, others: list[Length]) -> Length:
    """The length that -1 stands for: the number of elements over the other lengths, common factors left out."""
    mine = ln.dims_of(x)
    symbolic = [n for n in mine if not isinstance(n, int)]
    theirs: list[Length] = []
    for n in (n for n in others if not isinstance(n, int)):
        match = next((k for k, m in enumerate(symbolic) if ln.same_length(m, n)), None)
        if match is None:
            theirs.append(n)
        else:
            del symbolic[match]
    above = ln.product(n for n in mine if isinstance(n, int))
    below = ln.product(n for n in others if isinstance(n, int))
    assert isinstance(above, int) and isinstance(below, int)
    if below and above % below == 0:
        above, below = above // below, 1
    elif not theirs and not symbolic:
        raise _wrong_size(x, [*others, -1], above)
    divisor = ln.product([below, *theirs])
    total = ln.product([above, *symbolic])
    return total if isinstance(divisor, int) and divisor == 1 else total // divisor


def _wrong_size(x: Variable, new: list[Length], have: int) -> ShapeError:
    return ShapeError(f"reshape: {have} elements do not fit the shape {ln.shape_text(new)}\n  {describe(x)}")


def flatten(x: Any, ndim: int = 1) -> Variable:
    """x with its first `ndim - 1` axes as they are and all others as one."""
    v = as_variable(x)
    if not 1 <= ndim <= max(v.ndim, 1):
        raise ShapeError(f"flatten: {ndim} axes from {describe(v)}, which has {v.ndim}")
    if v.ndim == ndim:
        return v
    lengths = ln.dims_of(v)
    # a length of -1 would be 0 where one of the first is
    last = -1 if ndim == 1 else ln.product(lengths[ndim - 1 :])
    return reshape(v, (*lengths[: ndim - 1], last))


def ravel(x: Any) -> Variable:
    """All elements of x as a vector, in C order."""
    return flatten(x)


# -- broadcasting ---------------------------------------------------------------------------------------------------


def _stretched_element(idx: Any, x: Any, *lengths: Any) -> Any:
    skip = len(idx) - x.ndim
    new = ln.values(lengths)[skip:]
    return x.at(*(ln.stretched_index(n, i, full) for n, i, full in zip(x.shape, idx[skip:], new, strict=True)))


BROADCAST_TO = Op(
    "broadcast_to",
    ("x", "*lengths"),
    "x repeated along new leading axes and along its axes of length 1.",
    first,
    lambda x, *lengths: np.broadcast_to(x, [int(n) for n in lengths]),
    lambda g, out, x, *lengths: (f.unbroadcast(x, g), *(None for _ in lengths)),
    element=_stretched_element,
    injective=False,
    moves=True,
    uniform=True,
    shape=lambda x, *lengths: ln.values(lengths),
    batch=batching.broadcast_to,
    show=formula.stretched,
    checks=(
        Check(
            "equal",
            lambda x, *lengths: [
                ln.stretched(n, full)
                for n, full in zip(x.shape, ln.values(lengths)[len(lengths) - x.ndim :], strict=True)
            ],
            "an axis of length {a} cannot be stretched to {b}",
        ),
        Check("at_least", lambda x, *lengths: [(n, 0) for n in ln.values(lengths)], "a length of {a} is negative"),
    ),
    samples=lambda: [
        ([np.arange(3, dtype=np.float64), 2, 3], {}),
        ([np.float64(2.5), 4], {}),
        ([np.arange(2, dtype=np.float64).reshape(2, 1), 3, 2, 4], {}),
    ],
)


def stretch(x: Variable, new: list[Length]) -> Variable:
    """`broadcast_to` lengths; x itself where they are known to be its own."""
    if len(new) == x.ndim and all(map(ln.same_length, new, ln.dims_of(x))):
        return x
    own = ln.dims_of(x)
    fits = len(new) >= len(own) and all(
        ln.same_length(n, full) or not isinstance(n, int) or n == 1 or not isinstance(full, int)
        for n, full in zip(reversed(own), reversed(new), strict=False)
    )
    if not fits:
        raise ShapeError(
            f"broadcast_to: shape {ln.shape_text(own)} does not broadcast to {ln.shape_text(new)}\n  {describe(x)}"
        )
    return apply(BROADCAST_TO, [x, *ln.operands(new)])


def broadcast_to(x: Any, shape: Any) -> Variable:
    """x with the lengths `shape`: new axes in front, and axes of length 1, are repeated. No element is copied for it.

    ShapeError where another length would have to change: now if it is known, else when the function runs.
    """
    return stretch(as_variable(x), ln.as_lengths(shape, "broadcast_to"))

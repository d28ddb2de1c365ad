"""Windows that slide along axes: index maps, which cost nothing and fuse.

Windows that overlap are elements of an array in which an axis for each window's inside stands behind (a broadcast one,
for a plain array): `windows` reads it along both at once, and its adjoint `unwindows` puts each element back, so that
the gradient is a sum over the insides. Windows apart from one another need no sum: `window_blocks` and
`unwindow_blocks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.lengths import dims
from numgraph.lengths.dims import Dim
from numgraph.op import OPS, Check, Op, first
from numgraph.ops import lengths as ln
from numgraph.ops.batching import ahead
from numgraph.ops.custom import assert_op
from numgraph.ops.define import f, linearly
from numgraph.ops.lengths import Length
from numgraph.ops.shape import shuffled, stretch

__all__ = ["sliding_window_view"]

SHORTER = "an axis of {a} elements is shorter than a window, {b}"


def extent(length: Any, dilation: int) -> Any:
    """How many places a window of so many elements reaches over."""
    return (length - 1) * dilation + 1


def positions(length: Any, window: Any, stride: int, dilation: int) -> Any:
    """How many windows there are on an axis."""
    return (length - extent(window, dilation)) // stride + 1


# -- windows that may overlap ------------------------------------------------------------------------------------------


def _parts(shape: Sequence[Any], count: int) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """(axes before, axes along which windows slide, axes of their insides)."""
    ahead = len(shape) - 2 * count
    return shape[:ahead], shape[ahead : ahead + count], shape[ahead + count :]


def _windows_shape(x: Any, stride: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[Dim, ...]:
    ahead, axes, insides = _parts(x.shape, len(stride))
    return (*ahead, *map(positions, axes, insides, stride, dilation), *insides)


def _windows_at(idx: Sequence[Dim], x: Any, stride: tuple[int, ...], dilation: tuple[int, ...]) -> Any:
    ahead, places, insides = _parts(idx, len(stride))
    where = [p * s + r * d for p, r, s, d in zip(places, insides, stride, dilation, strict=True)]
    return x.at(*ahead, *where, *insides)


def _windows(x: NDArray[Any], stride: tuple[int, ...], dilation: tuple[int, ...]) -> NDArray[Any]:
    return np.asarray(x[_indices(_windows_shape(x, stride, dilation), stride, dilation)])


def _indices(shape: Sequence[int], stride: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[Any, ...]:
    ahead, places, insides = _parts(np.indices(shape, sparse=True), len(stride))
    where = [p * s + r * d for p, r, s, d in zip(places, insides, stride, dilation, strict=True)]
    return (*ahead, *where, *insides)


def _windows_grad(g: Variable, out: Variable, x: Variable, stride: Any, dilation: Any) -> tuple[Variable]:
    _, axes, _ = _parts(ln.dims_of(x), len(stride))
    return (apply(OPS["unwindows"], [g, *ln.operands(axes)], stride=stride, dilation=dilation),)


def _unwindows_shape(g: Any, *lengths: Any, stride: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[Dim, ...]:
    ahead, _, insides = _parts(g.shape, len(stride))
    return (*ahead, *ln.values(lengths), *insides)


def _unwindows_at(idx: Sequence[Dim], g: Any, *lengths: Any, stride: Any, dilation: Any) -> Any:
    ahead, places, insides = _parts(idx, len(stride))
    where, inside = [], []
    for axis, (p, r, s, d) in enumerate(zip(places, insides, stride, dilation, strict=True)):
        count = g.shape[len(ahead) + axis]
        begin = p - r * d
        window = begin // s
        where.append(dims.maximum(dims.minimum(window, count - 1), 0))
        inside += [dims.equal(window * s, begin)] * (s > 1)
        inside += [dims.less(-1, begin), dims.less(window, count)]
    return _chosen(inside, g.at(*ahead, *where, *insides))


def _chosen(conditions: Sequence[Any], value: Any) -> Any:
    """The value where all conditions hold, else 0."""
    for condition in conditions:
        value = dims.where(condition, value, 0)
    return value


def _unwindows(g: NDArray[Any], *lengths: Any, stride: Any, dilation: Any) -> NDArray[Any]:
    ahead, _, insides = _parts(g.shape, len(stride))
    result = np.zeros((*ahead, *(int(n) for n in lengths), *insides), g.dtype)
    # no element is met twice
    result[_indices(g.shape, stride, dilation)] = g
    return result


def _unwindows_grad(h: Variable, out: Variable, g: Variable, *lengths: Variable, stride: Any, dilation: Any) -> Any:
    found = apply(OPS["windows"], [h], stride=stride, dilation=dilation)
    # windows of an array that is longer than the windows reach may be more
    return found[tuple(slice(0, n) for n in ln.dims_of(g))], *(None for _ in lengths)


def _too_short(x: Any, stride: Any, dilation: Any) -> list[tuple[Dim, Dim]]:
    _, axes, insides = _parts(x.shape, len(stride))
    return [(n, extent(k, d)) for n, k, d in zip(axes, insides, dilation, strict=True)]


def _no_inside(x: Any, stride: Any, dilation: Any) -> list[tuple[Dim, Dim]]:
    return [(k, 1) for k in _parts(x.shape, len(stride))[2]]


def _reached(g: Any, *lengths: Any, stride: Any, dilation: Any) -> list[tuple[Dim, Dim]]:
    """All windows are within the lengths."""
    _, counts, insides = _parts(g.shape, len(stride))
    return [
        (n, (c - 1) * s + extent(k, d))
        for n, c, k, s, d in zip(ln.values(lengths), counts, insides, stride, dilation, strict=True)
    ]


def _windows_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    line = np.arange(14.0).reshape(7, 2)
    plane = np.arange(120.0).reshape(1, 5, 4, 3, 2)
    return [
        ([line], {"stride": (1,), "dilation": (1,)}),
        ([line], {"stride": (2,), "dilation": (3,)}),
        ([plane], {"stride": (1, 2), "dilation": (2, 1)}),
        ([line[:0].reshape(0, 3, 2)], {"stride": (1,), "dilation": (1,)}),
    ]


def _unwindows_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    line = np.arange(8.0).reshape(4, 2)
    plane = np.arange(24.0).reshape(1, 2, 3, 2, 2)
    return [
        ([line, 5], {"stride": (1,), "dilation": (1,)}),
        ([line, 12], {"stride": (2,), "dilation": (3,)}),
        ([plane, 3, 6], {"stride": (1, 2), "dilation": (1, 1)}),
    ]


Op(
    "windows",
    ("x",),
    "Elements of windows that slide along axes; x has them for each place on the axes, and for each place in a window.",
    first,
    _windows,
    _windows_grad,
    element=_windows_at,
    injective=False,
    moves=True,
    shape=_windows_shape,
    checks=(Check("at_least", _no_inside, "a window of {a} elements"), Check("at_least", _too_short, SHORTER)),
    batch=ahead("windows"),
    samples=_windows_samples,
    reach=linearly,
)
Op(
    "unwindows",
    ("g", "*lengths"),
    "Elements of windows at the places on the axes that they are at, 0 elsewhere.",
    first,
    _unwindows,
    _unwindows_grad,
    element=_unwindows_at,
    injective=False,
    shape=_unwindows_shape,
    checks=(Check("at_least", _reached, SHORTER),),
    batch=ahead("unwindows"),
    samples=_unwindows_samples,
    reach=linearly,
)

# -- windows apart from one another ------------------------------------------------------------------------------------


def _blocks_shape(x: Any, *window: Any, stride: tuple[int, ...]) -> tuple[Dim, ...]:
    ahead, insides = len(x.shape) - len(stride), ln.values(window)
    return (
        *x.shape[:ahead],
        *(positions(n, k, s, 1) for n, k, s in zip(x.shape[ahead:], insides, stride, strict=True)),
        *insides,
    )


def _blocks_at(idx: Sequence[Dim], x: Any, *window: Any, stride: tuple[int, ...]) -> Any:
    ahead, places, insides = _parts(idx, len(stride))
    return x.at(*ahead, *(p * s + r for p, r, s in zip(places, insides, stride, strict=True)))


def _blocks(x: NDArray[Any], *window: Any, stride: tuple[int, ...]) -> NDArray[Any]:
    axes = tuple(range(x.ndim - len(stride), x.ndim))
    found = np.lib.stride_tricks.sliding_window_view(x, tuple(int(k) for k in window), axes)
    cut = [slice(None, None, s) for s in stride] + [slice(None)] * len(stride)
    return np.asarray(found[(Ellipsis, *cut)])


def _blocks_grad(g: Variable, out: Variable, x: Variable, *window: Variable, stride: tuple[int, ...]) -> Any:
    lengths = ln.dims_of(x)[x.ndim - len(stride) :]
    return apply(OPS["unwindow_blocks"], [g, *ln.operands(lengths)], stride=stride), *(None for _ in window)


def _unblocks_shape(g: Any, *lengths: Any, stride: tuple[int, ...]) -> tuple[Dim, ...]:
    return (*_parts(g.shape, len(stride))[0], *ln.values(lengths))


def _unblocks_at(idx: Sequence[Dim], g: Any, *lengths: Any, stride: tuple[int, ...]) -> Any:
    ahead = idx[: len(idx) - len(stride)]
    _, counts, sizes = _parts(g.shape, len(stride))
    windows, insides, inside = [], [], []
    for j, n, count, size, s in zip(idx[len(ahead) :], ln.values(lengths), counts, sizes, stride, strict=True):
        window, place = j // s, j % s
        if not _known(n, count * s):
            inside.append(dims.less(window, count))
            window = dims.minimum(window, count - 1)
        if not _known(s, size):
            inside.append(dims.less(place, size))
            place = dims.minimum(place, size - 1)
        windows.append(window)
        insides.append(place)
    return _chosen(inside, g.at(*ahead, *windows, *insides))


def _known(a: Any, b: Any) -> bool:
    """Whether a <= b is known."""
    return isinstance(a, int) and isinstance(b, int) and a <= b


def _unblocks(g: NDArray[Any], *lengths: Any, stride: tuple[int, ...]) -> NDArray[Any]:
    ahead = g.shape[: g.ndim - 2 * len(stride)]
    result = np.zeros((*ahead, *(int(n) for n in lengths)), g.dtype)
    places = np.indices(g.shape, sparse=True)
    outer, windows, insides = _parts(places, len(stride))
    result[(*outer, *(p * s + r for p, r, s in zip(windows, insides, stride, strict=True)))] = g
    return result


def _unblocks_grad(h: Variable, out: Variable, g: Variable, *lengths: Variable, stride: tuple[int, ...]) -> Any:
    sizes = ln.dims_of(g)[g.ndim - len(stride) :]
    found = apply(OPS["window_blocks"], [h, *ln.operands(sizes)], stride=stride)
    return found[tuple(slice(0, n) for n in ln.dims_of(g))], *(None for _ in lengths)


def _block_too_short(x: Any, *window: Any, stride: tuple[int, ...]) -> list[tuple[Dim, Dim]]:
    return list(zip(x.shape[len(x.shape) - len(stride) :], ln.values(window), strict=True))


def _blocks_reach(g: Any, *lengths: Any, stride: tuple[int, ...]) -> list[tuple[Dim, Dim]]:
    return _reached(g, *lengths, stride=stride, dilation=(1,) * len(stride))


def _blocks_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    plane = np.arange(42.0).reshape(1, 6, 7)
    return [([plane, 2, 2], {"stride": (2, 2)}), ([plane, 3], {"stride": (3,)}), ([plane, 1, 2], {"stride": (2, 3)})]


def _unblocks_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    plane = np.arange(24.0).reshape(2, 3, 2, 2)
    return [([plane, 4, 7], {"stride": (2, 2)}), ([plane, 6, 9], {"stride": (3, 3)}), ([plane, 6], {"stride": (3,)})]


Op(
    "window_blocks",
    ("x", "*window"),
    "Elements of windows that slide along the last axes, so far at a time that none is in two.",
    first,
    _blocks,
    _blocks_grad,
    element=_blocks_at,
    moves=True,
    shape=_blocks_shape,
    checks=(
        Check("at_least", lambda x, *window, stride: [(k, 1) for k in ln.values(window)], "a window of {a} elements"),
        Check("at_least", _block_too_short, SHORTER),
    ),
    batch=ahead("window_blocks"),
    samples=_blocks_samples,
    reach=linearly,
)
Op(
    "unwindow_blocks",
    ("g", "*lengths"),
    "Elements of windows that are apart at the places on the last axes that they are at, 0 elsewhere.",
    first,
    _unblocks,
    _unblocks_grad,
    element=_unblocks_at,
    shape=_unblocks_shape,
    checks=(Check("at_least", _blocks_reach, SHORTER),),
    batch=ahead("unwindow_blocks"),
    samples=_unblocks_samples,
    reach=linearly,
)


# -- what users call ---------------------------------------------------------------------------------------------------


def per_axis(value: Any, count: int, what: str, least: int = 1) -> tuple[int, ...]:
    """A number for each axis, of one for all or a sequence; OptionError where they are not integers from `least` on."""
    given = tuple(value) if isinstance(value, list | tuple) else (value,) * count
    if len(given) != count or not all(isinstance(n, int | np.integer) and n >= least for n in given):
        numbers = "an integer" if count == 1 else f"an integer or {count} of them"
        raise OptionError(f"{what} must be {numbers}, {least} or more, not {value!r}")
    return tuple(map(int, given))


def lengths_per_axis(value: Any, count: int, what: str) -> tuple[Length, ...]:
    """As `per_axis`, but also integers that only a call knows: scalars, or a vector of them."""
    if isinstance(value, Variable) and value.ndim == 1:
        value = ln.as_lengths(value, what, count)
    given = tuple(value) if isinstance(value, list | tuple) else (value,) * count
    if not any(isinstance(n, Variable) for n in given):
        return per_axis(value, count, what)
    if len(given) != count:
        raise OptionError(f"{what} must be one integer or {count} of them, not {value!r}")
    return tuple(per_axis(n, 1, what)[0] if not isinstance(n, Variable) else ln.integer(n, what) for n in given)


def windows_of(x: Variable, window: Sequence[Length], stride: Sequence[Length], dilation: tuple[int, ...]) -> Variable:
    """Windows along the last axes of x: their places stand for these, and their insides behind."""
    count = len(window)
    steps = tuple(s if isinstance(s, int) else 1 for s in stride)
    if steps != tuple(stride):
        # the step from window to window is known to a call alone: of those at all places some
        every = windows_of(x, window, steps, dilation)
        known = zip(stride, window, strict=True)
        chosen = [slice(None, None, None if isinstance(s, int) else _one_or_more(s, k)) for s, k in known]
        found: Variable = every[(..., *chosen, *(slice(None) for _ in window))]
        return found
    apart = all(isinstance(k, int) and k <= s and d == 1 for k, s, d in zip(window, steps, dilation, strict=True))
    if apart:
        return apply(OPS["window_blocks"], [x, *ln.operands(window)], stride=steps)
    wide = stretch(shuffled(x, (*range(x.ndim), *(-1 for _ in window))), [*ln.dims_of(x), *window])
    return apply(OPS["windows"], [wide], stride=steps, dilation=dilation) if count else x


def _one_or_more(step: Variable, window: Length) -> Variable:
    """A step from window to window, or an AssertionFailed: of windows without elements another check speaks."""
    return (
        step if step is window else assert_op(step, f.ge(step, 1), message="the step from window to window is below 1")
    )


def sliding_window_view(x: Any, window_shape: Any, axis: Any = None, *, stride: Any = 1, dilation: Any = 1) -> Variable:
    """Windows that slide along axes of x, as `np.lib.stride_tricks.sliding_window_view`; nothing is copied.

    window_shape: the length of a window along each of the axes, numbers or integer scalars. axis: which; None: all. The
    result has on these axes the places of the windows, and an axis for each behind all others that goes along a window.
    stride: places from one window to the next; dilation: from one element of a window to the next; integers, one for
    all axes or one for each. ShapeError where a window is longer than its axis.

    >>> import numgraph as ng
    >>> v = ng.vector("v")
    >>> ng.sliding_window_view(v, 3).max(axis=-1).eval({v: [1.0, 5.0, 2.0, 3.0, 0.0]})
    array([5., 5., 3.])
    """
    v = as_variable(x)
    given = list(window_shape) if isinstance(window_shape, list | tuple) else [window_shape]
    window = [ln.as_length(k, "sliding_window_view", 1) for k in given]
    axes = tuple(range(v.ndim)) if axis is None else ln.axes_of(axis, v.ndim, "sliding_window_view", v)
    if len(axes) != len(window):
        raise ShapeError(f"sliding_window_view: {len(window)} lengths for {len(axes)} axes of {describe(v)}")
    steps = per_axis(stride, len(axes), "sliding_window_view: stride")
    apart = per_axis(dilation, len(axes), "sliding_window_view: dilation")
    others = [a for a in range(v.ndim) if a not in axes]
    found = windows_of(shuffled(v, (*others, *axes)), window, steps, apart)
    back = [0] * v.ndim
    for place, a in enumerate((*others, *axes)):
        back[a] = place
    return shuffled(found, (*back, *range(v.ndim, found.ndim)))

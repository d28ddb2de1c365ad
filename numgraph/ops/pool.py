"""Pooling: one number of each window of an image. Compositions of windows, which are index maps, and reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.op import OPS, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.create import counting
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.padding import pad
from numgraph.ops.shape import reshaped, shuffled, stretch
from numgraph.ops.windows import lengths_per_axis, per_axis, windows_of
from numgraph.types import REALS, float_of

__all__ = ["images2neibs", "neibs2images", "pool1d", "pool2d", "pool3d", "upsample1d", "upsample2d", "upsample3d"]

MODES = ("max", "mean", "sum")
# Pixels of a window up to which ties are counted by an expression, without a loop whose results would be stored.
FEW = 16

# -- the largest of each window ----------------------------------------------------------------------------------------


def _window_max(x: NDArray[Any], count: int) -> NDArray[Any]:
    return np.asarray(np.max(x, axis=tuple(range(-count, 0))))


def _window_max_grad(g: Variable, out: Variable, x: Variable, count: int) -> tuple[Any, ...]:
    """As of `max`: equal ones share the gradient evenly."""
    behind = (*range(out.ndim), *[-1] * count)
    extreme = f.eq(x, shuffled(out, behind))
    sizes = x.type.shape[x.ndim - count :]
    known = [n for n in sizes if n is not None]
    if len(known) < count or math.prod(known) > FEW:
        ties = f.cast(f.sum(extreme, axis=tuple(range(-count, 0))), out.type.dtype)
    else:
        alike = [f.cast(f.eq(x[(..., *place)], out), out.type.dtype) for place in np.ndindex(*known)]
        ties = reduce(f.add, alike)
    return (f.where(extreme, shuffled(f.true_div(g, ties), behind), 0.0),)


def _window_max_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    x = np.random.default_rng(3).permutation(np.arange(54.0)).reshape(3, 3, 6)
    return [([x], {"count": 1}), ([x], {"count": 2}), ([x.reshape(2, 27)], {"count": 1})]


Op(
    "window_max",
    ("x",),
    "The largest element of each window; x has an axis for each of `count` axes of a window behind all others.",
    same,
    _window_max,
    _window_max_grad,
    expand=lambda x, count: f.max(x, axis=tuple(range(-count, 0))),
    shape=lambda x, count: x.shape[: len(x.shape) - count],
    samples=_window_max_samples,
)

# -- pooling -----------------------------------------------------------------------------------------------------------


def _count(n: Any, size: Length, step: Length, low: int, high: int, partial: bool) -> Any:
    """How many windows an axis of n pixels has. partial: also those that reach over the end, if they begin inside."""
    whole = n + low + high
    if not partial:
        return (whole - size) // step + 1
    found = ln.natural((whole - size + step - 1) // step) + 1
    return ln.least(found, (n + low - 1) // step + 1)


def _windows(
    v: Variable,
    size: Sequence[Length],
    step: Sequence[Length],
    margins: Sequence[tuple[Any, Any]],
    partial: bool,
    fill: Any,
) -> Variable:
    """The windows of the last axes, with their margins, which are `fill`."""
    count = len(size)
    widths: list[Any] = [(0, 0)] * (v.ndim - count)
    for n, k, s, (low, high) in zip(ln.dims_of(v)[v.ndim - count :], size, step, margins, strict=True):
        over: Length = 0 if not partial else (_count(n, k, s, low, high, True) - 1) * s + k - n - low - high
        widths.append((low, high + ln.natural(over)))
    if any(not isinstance(n, int) or n for pair in widths for n in pair):
        # a window would have nothing but margin in it
        pixels = range(v.ndim - count, v.ndim)
        v = f.with_elements(v, pixels, "pool", "pool: images without pixels cannot have a margin")
        v = pad(v, widths, constant_values=fill)
    return windows_of(v, size, step, (1,) * count)


def _pixels(
    v: Variable, size: Sequence[Length], step: Sequence[Length], margins: Any, partial: bool, dtype: str
) -> Any:
    """How many pixels of the image are in each window, which is fewer than in a window at the border."""
    total: Any = None
    for axis, (k, s, (low, high)) in enumerate(zip(size, step, margins, strict=True)):
        n = ln.dims_of(v)[v.ndim - len(size) + axis]
        begin = counting(_count(n, k, s, low, high, partial)) * s - low
        inside = f.sub(f.minimum(begin + k, n), f.maximum(begin, 0))
        line = shuffled(f.cast(inside, dtype), (0, *([-1] * (len(size) - 1 - axis))))
        total = line if total is None else f.mul(total, line)
    return total


def _lowest(dtype: str) -> Any:
    if dtype in REALS:
        return -math.inf
    return False if dtype == "bool" else int(np.iinfo(dtype).min)


def pool_last(
    what: str, count: int, x: Any, size: Any, stride: Any, padding: Any, mode: str, partial: bool, margin: bool
) -> Variable:
    """As `pool2d`, over the last `count` axes; what: the function of the user's."""
    v = as_variable(x)
    if v.ndim < count:
        raise ShapeError(f"{what}: an array of {count} axes or more is needed, not {describe(v)}")
    if mode not in MODES:
        raise OptionError(f"{what}: mode must be one of {', '.join(MODES)}, not {mode!r}")
    window = lengths_per_axis(size, count, f"{what}: size")
    step = window if stride is None else lengths_per_axis(stride, count, f"{what}: stride")
    given = padding if isinstance(padding, list | tuple) else [padding] * count
    margins = [per_axis(p, 2, f"{what}: padding of an axis", 0) for p in given]
    if len(margins) != count or any(max(p) >= k for p, k in zip(margins, window, strict=True) if isinstance(k, int)):
        raise OptionError(f"{what}: padding is less than a window for each of {count} axes, not {padding!r}")
    pairs = [(a, b) for a, b in margins]
    axes = tuple(range(-count, 0))
    if mode == "max":
        return apply(OPS["window_max"], [_windows(v, window, step, pairs, partial, _lowest(v.type.dtype))], count=count)
    if mode == "mean" and v.type.dtype not in REALS:
        v = f.cast(v, float_of(v.type.dtype))
    total = f.sum(_windows(v, window, step, pairs, partial, 0), axis=axes)
    if mode == "sum":
        return total
    bordered = partial or any(a or b for a, b in pairs)
    if not bordered or (margin and not partial):
        area = ln.product(window)
        known = isinstance(area, int)
        return f.mul(total, 1.0 / area) if known else f.true_div(total, f.cast(area, total.type.dtype))
    own = [(0, 0)] * count if margin else pairs
    counted = pad(v, [*[(0, 0)] * (v.ndim - count), *pairs]) if margin else v
    return f.true_div(total, _pixels(counted, window, step, own, partial, total.type.dtype))


def pool2d(
    x: Any,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    mode: str = "max",
    partial: bool = False,
    count_padding: bool = False,
) -> Variable:
    """One number of each window of the last two axes of x: its largest, its mean or its sum.

    size: pixels of a window, an integer or (height, width), which may be scalars that a call gives, or a vector of
    them. stride: from one window to the next, likewise; None: as the size.
    padding: pixels around the image, fewer than a window has: an integer, one for each axis, or a pair for each, before
    and behind it; none of them is the largest, and a mean is over the others unless `count_padding`. partial: also
    windows that reach over the end of the image, of which the pixels inside count.

    Elements that are the largest together share the gradient. dtype: of x; a mean of integers is a float. ShapeError
    where a window is longer than its axis.

    >>> import numgraph as ng
    >>> m = ng.matrix("m")
    >>> ng.pool2d(m, 2).eval({m: [[1.0, 2.0, 5.0, 4.0], [3.0, 0.0, 1.0, 2.0]]})
    array([[3., 5.]])
    """
    return pool_last("pool2d", 2, x, size, stride, padding, mode, partial, count_padding)


def pool1d(
    x: Any,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    mode: str = "max",
    partial: bool = False,
    count_padding: bool = False,
) -> Variable:
    """As `pool2d`, along the last axis."""
    return pool_last("pool1d", 1, x, size, stride, padding, mode, partial, count_padding)


def pool3d(
    x: Any,
    size: Any,
    stride: Any = None,
    padding: Any = 0,
    mode: str = "max",
    partial: bool = False,
    count_padding: bool = False,
) -> Variable:
    """As `pool2d`, over the last three axes."""
    return pool_last("pool3d", 3, x, size, stride, padding, mode, partial, count_padding)


# -- neighbourhoods ----------------------------------------------------------------------------------------------------


def images2neibs(x: Any, neib_shape: Any, neib_step: Any = None, mode: str = "valid") -> Variable:
    """The windows of images (images, channels, height, width), one in each row of a matrix.

    neib_shape: (height, width) of a window. neib_step: pixels from one to the next, None: as the shape. mode: "valid"
    or "ignore_borders", windows inside the image; "half" or "full", with half a window, or all but a pixel of it, of
    zeros around it. As Theano's, but that "valid" does not refuse pixels that no window has.
    """
    v = as_variable(x)
    if v.ndim != 4:
        raise ShapeError(f"images2neibs takes (images, channels, height, width), not {describe(v)}")
    window = lengths_per_axis(neib_shape, 2, "images2neibs: neib_shape")
    step = window if neib_step is None else lengths_per_axis(neib_step, 2, "images2neibs: neib_step")
    margins: dict[str, tuple[Length, Length]] = {"valid": (0, 0), "ignore_borders": (0, 0)}
    margins |= {"half": (window[0] // 2, window[1] // 2), "full": (window[0] - 1, window[1] - 1)}
    if mode not in margins:
        raise OptionError(f"images2neibs: mode must be one of {', '.join(margins)}, not {mode!r}")
    found = _windows(v, window, step, [(m, m) for m in margins[mode]], False, 0)
    return reshaped(found, [ln.product(ln.dims_of(found)[:4]), ln.product(window)])


def neibs2images(neibs: Any, neib_shape: Any, original_shape: Any) -> Variable:
    """Images of (images, channels, height, width) `original_shape`, of which `images2neibs` made a matrix of windows
    that do not overlap."""
    v = as_variable(neibs)
    if v.ndim != 2:
        raise ShapeError(f"neibs2images takes a matrix, not {describe(v)}")
    rows, columns = lengths_per_axis(neib_shape, 2, "neibs2images: neib_shape")
    images, channels, height, width = ln.as_lengths(original_shape, "neibs2images", 4)
    blocks = reshaped(v, [images, channels, height // rows, width // columns, rows, columns])
    return reshaped(shuffled(blocks, (0, 1, 2, 4, 3, 5)), [images, channels, height, width])


# -- more pixels -------------------------------------------------------------------------------------------------------


def _upsampled(what: str, count: int, x: Any, ratio: Any) -> Variable:
    v = as_variable(x)
    if v.ndim < count:
        raise ShapeError(f"{what}: an array of {count} axes or more is needed, not {describe(v)}")
    ratios = per_axis(ratio, count, f"{what}: ratio")
    ahead, lengths = v.ndim - count, ln.dims_of(v)
    pattern: list[int] = [*range(ahead)]
    wide: list[Length] = lengths[:ahead]
    for axis, r in zip(range(ahead, v.ndim), ratios, strict=True):
        pattern += [axis, -1]
        wide += [lengths[axis], r]
    spread = stretch(shuffled(v, tuple(pattern)), wide)
    new = [n * r for n, r in zip(lengths[ahead:], ratios, strict=True)]
    return reshaped(spread, [*lengths[:ahead], *new])


def upsample2d(x: Any, ratio: Any) -> Variable:
    """x with each pixel of its last two axes `ratio` times along each: an integer, or one for each axis. Its gradient
    is the sum over what was one pixel."""
    return _upsampled("upsample2d", 2, x, ratio)


def upsample1d(x: Any, ratio: Any) -> Variable:
    """As `upsample2d`, along the last axis."""
    return _upsampled("upsample1d", 1, x, ratio)


def upsample3d(x: Any, ratio: Any) -> Variable:
    """As `upsample2d`, over the last three axes."""
    return _upsampled("upsample3d", 3, x, ratio)

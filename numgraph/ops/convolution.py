"""Convolutions as users call them, over one, two or three axes: those of `convolve`, with axes of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.op import OPS
from numgraph.ops import lengths as ln
from numgraph.ops.convolve import Triple, attributes
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.shape import shuffled
from numgraph.ops.windows import extent, per_axis
from numgraph.types import float_of, promote

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

_PADDINGS = ("valid", "half", "full")


def margins_of(padding: Any, reach: Sequence[Any], what: str) -> list[tuple[Any, Any]]:
    """Margins before and behind each axis. reach: of a filter along each."""
    count = len(reach)
    if isinstance(padding, str):
        if padding not in _PADDINGS:
            raise OptionError(f'{what}: padding is "valid", "half", "full" or numbers of pixels, not {padding!r}')
        return [{"valid": (0, 0), "half": (n // 2, n // 2), "full": (n - 1, n - 1)}[padding] for n in reach]
    given = list(padding) if isinstance(padding, list | tuple) else [padding] * count
    if len(given) != count:
        raise OptionError(f"{what}: padding has a number, or a pair, for each of {count} axes, not {padding!r}")
    pairs = [tuple(p) if isinstance(p, list | tuple) else (p, p) for p in given]
    if any(len(pair) != 2 for pair in pairs):
        raise OptionError(f"{what}: padding of an axis is a number or a pair, before and behind it, not {padding!r}")
    return [(ln.as_length(a, f"{what}: padding"), ln.as_length(b, f"{what}: padding")) for a, b in pairs]


def _operands(what: str, count: int, x: Any, w: Any) -> tuple[Variable, Variable]:
    """Images and filters of one float dtype; ShapeError for other numbers of axes."""
    found = [as_variable(x), as_variable(w)]
    names = ("length", "height, width", "depth, height, width")[count - 1]
    for v, first in zip(found, ("images (images, channels", "filters (filters, channels"), strict=True):
        if v.ndim != count + 2:
            raise ShapeError(f"{what} takes {first}, {names}), not {describe(v)}")
    dtype = float_of(promote([v.type.dtype for v in found]))
    images, filters = (v if v.type.dtype == dtype else f.cast(v, dtype) for v in found)
    return images, filters


def _lifted(x: Variable, count: int) -> Variable:
    """With three axes of pixels."""
    return shuffled(x, (0, 1, *([-1] * (3 - count)), *range(2, 2 + count)))


def _lowered(x: Variable, count: int) -> Variable:
    return shuffled(x, (0, 1, *range(5 - count, 5)))


def _triple(values: tuple[int, ...]) -> Triple:
    found = (*([1] * (3 - len(values))), *values)
    return found[0], found[1], found[2]


def _turned(w: Variable, count: int) -> Variable:
    found: Variable = w[(slice(None), slice(None), *[slice(None, None, -1)] * count)]
    return found


def _convolution(
    what: str, count: int, x: Any, w: Any, padding: Any, stride: Any, dilation: Any, groups: Any, flip: bool
) -> Variable:
    images, filters = _operands(what, count, x, w)
    steps, apart = per_axis(stride, count, f"{what}: stride"), per_axis(dilation, count, f"{what}: dilation")
    (parts,) = per_axis(groups, 1, f"{what}: groups")
    reach = [extent(n, d) for n, d in zip(ln.dims_of(filters)[2:], apart, strict=True)]
    margins = [(0, 0)] * (3 - count) + margins_of(padding, reach, what)
    if flip:
        filters = _turned(filters, count)
    operands = ln.operands([*(a for a, _ in margins), *(b for _, b in margins)])
    attrs = attributes(_triple(steps), _triple(apart), parts)
    found = apply(OPS["convolve"], [_lifted(images, count), _lifted(filters, count), *operands], **attrs)
    return _lowered(found, count)


def conv2d(
    x: Any, w: Any, padding: Any = "valid", stride: Any = 1, dilation: Any = 1, groups: int = 1, flip: bool = False
) -> Variable:
    """Images x convolved with filters w: (images, filters, height, width) of (images, channels, height, width) and
    (filters, channels, height, width).

    padding: pixels of 0 around each image: "valid", none; "half", half a filter, which keeps the lengths where those of
    filters are odd; "full", all but one pixel of a filter; or a number, one for each axis, or a pair for each axis,
    before and behind it. stride: pixels from one place of a filter to the next; dilation: from one element of a filter
    to the next; integers, one or one for each axis. groups: channels and filters are divided among so many, each filter
    has the channels of its group only. flip: True turns the filters around along all axes, which is what mathematics
    and Theano call a convolution; False is what neural networks do elsewhere.

    The dtype is the common float one; ShapeError where channels or lengths do not fit, which may be when the function
    runs. Sums are those of a matrix product: errors as of `dot`.

    >>> import numgraph as ng, numpy as np
    >>> x = ng.tensor4("x", dtype="float64")
    >>> y = ng.conv2d(x, np.ones((1, 1, 2, 2)))
    >>> y.eval({x: np.arange(9.0).reshape(1, 1, 3, 3)})
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    return _convolution("conv2d", 2, x, w, padding, stride, dilation, groups, flip)


def conv1d(
    x: Any, w: Any, padding: Any = "valid", stride: Any = 1, dilation: Any = 1, groups: int = 1, flip: bool = False
) -> Variable:
    """As `conv2d`, over one axis: x (images, channels, length), w (filters, channels, length)."""
    return _convolution("conv1d", 1, x, w, padding, stride, dilation, groups, flip)


def conv3d(
    x: Any, w: Any, padding: Any = "valid", stride: Any = 1, dilation: Any = 1, groups: int = 1, flip: bool = False
) -> Variable:
    """As `conv2d`, over three axes: depth, height, width."""
    return _convolution("conv3d", 3, x, w, padding, stride, dilation, groups, flip)


def _transposed(
    what: str, count: int, x: Any, w: Any, padding: Any, stride: Any, dilation: Any, groups: Any, flip: bool, shape: Any
) -> Variable:
    g, filters = _operands(what, count, x, w)
    steps, apart = per_axis(stride, count, f"{what}: stride"), per_axis(dilation, count, f"{what}: dilation")
    (parts,) = per_axis(groups, 1, f"{what}: groups")
    reach: list[Any] = [extent(n, d) for n, d in zip(ln.dims_of(filters)[2:], apart, strict=True)]
    margins = margins_of(padding, reach, what)
    least = [(n - 1) * s + r - a - b for n, s, r, (a, b) in zip(ln.dims_of(g)[2:], steps, reach, margins, strict=True)]
    lengths = least if shape is None else ln.as_lengths(shape, f"{what}: output_shape", count)
    if flip:
        filters = _turned(filters, count)
    ones: list[Length] = [1] * (3 - count)
    zeros: list[Length] = [0] * (3 - count)
    operands = ln.operands([*ones, *lengths, *zeros, *(a for a, _ in margins)])
    attrs = attributes(_triple(steps), _triple(apart), parts)
    found = apply(OPS["convolution_images"], [_lifted(g, count), _lifted(filters, count), *operands], **attrs)
    return _lowered(found, count)


def conv_transpose2d(
    x: Any,
    w: Any,
    padding: Any = "valid",
    stride: Any = 1,
    dilation: Any = 1,
    groups: int = 1,
    flip: bool = False,
    output_shape: Any = None,
) -> Variable:
    """The adjoint of `conv2d` for its images: (images, channels, height, width) of x (images, filters, height, width)
    and the same filters w (filters, channels, height, width); each pixel of x adds a filter to the result.

    Other arguments are those of the `conv2d` that x might come from. output_shape: its (height, width), numbers or
    integer scalars; several give x the same shape with a stride. None: the smallest of them.
    """
    return _transposed("conv_transpose2d", 2, x, w, padding, stride, dilation, groups, flip, output_shape)


def conv_transpose1d(
    x: Any,
    w: Any,
    padding: Any = "valid",
    stride: Any = 1,
    dilation: Any = 1,
    groups: int = 1,
    flip: bool = False,
    output_shape: Any = None,
) -> Variable:
    """As `conv_transpose2d`, over one axis."""
    return _transposed("conv_transpose1d", 1, x, w, padding, stride, dilation, groups, flip, output_shape)


def conv_transpose3d(
    x: Any,
    w: Any,
    padding: Any = "valid",
    stride: Any = 1,
    dilation: Any = 1,
    groups: int = 1,
    flip: bool = False,
    output_shape: Any = None,
) -> Variable:
    """As `conv_transpose2d`, over three axes."""
    return _transposed("conv_transpose3d", 3, x, w, padding, stride, dilation, groups, flip, output_shape)

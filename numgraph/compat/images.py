"""Theano's functions of images, under its names and with its arguments."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from numgraph.graph import Constant, Variable, as_variable
from numgraph.ops import lengths as ln
from numgraph.ops.convolution import conv2d as native_conv2d
from numgraph.ops.convolution import conv3d as native_conv3d
from numgraph.ops.convolution import conv_transpose2d
from numgraph.ops.define import f
from numgraph.ops.normalize import moments
from numgraph.ops.pool import images2neibs, neibs2images, pool2d, pool3d

_MODES = {
    "max": ("max", False), "sum": ("sum", False), "average_inc_pad": ("mean", True), "average_exc_pad": ("mean", False),
}  # fmt: skip


def _of_shape(x: Any, shape: Any) -> Variable:
    """x with the lengths that a program promises; those that are no numbers are left as they are."""
    v = as_variable(x)
    if shape is None:
        return v
    known = [int(n.data) if isinstance(n, Constant) else n for n in shape]
    if v.ndim != len(known):
        return v
    return f.specify_shape(v, [n if isinstance(n, int) else None for n in known])


def conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    image_shape: Any = None,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
    **ignored: Any,
) -> Variable:
    """`numgraph.conv2d` with Theano's arguments: filters are flipped."""
    if unshared:
        raise NotImplementedError("theano.tensor.nnet.conv2d: filters of each place their own (unshared) are not there")
    x = _of_shape(input, input_shape if input_shape is not None else image_shape)
    w = _of_shape(filters, filter_shape)
    return native_conv2d(x, w, border_mode, subsample, filter_dilation, num_groups, bool(filter_flip))


def conv3d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
    num_groups: int = 1,
) -> Variable:
    """`numgraph.conv3d` with Theano's arguments."""
    x, w = _of_shape(input, input_shape), _of_shape(filters, filter_shape)
    return native_conv3d(x, w, border_mode, subsample, filter_dilation, num_groups, bool(filter_flip))


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    input_dilation: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """`numgraph.conv_transpose2d` with Theano's arguments."""
    if unshared:
        raise NotImplementedError("theano.tensor.nnet.conv2d_transpose: unshared filters are not there")
    lengths = None if output_shape is None else list(output_shape)[2:]
    w = _of_shape(filters, filter_shape)
    return conv_transpose2d(
        input, w, border_mode, input_dilation, filter_dilation, num_groups, bool(filter_flip), lengths
    )


def signal_conv2d(
    input: Any,
    filters: Any,
    image_shape: Any = None,
    filter_shape: Any = None,
    border_mode: str = "valid",
    subsample: Any = (1, 1),
    **ignored: Any,
) -> Variable:
    """Each of a stack of images, or one, convolved with each of a stack of filters, or one, without channels."""
    x, w = _of_shape(input, image_shape), _of_shape(filters, filter_shape)
    images = f.reshape(x, (-1, 1, x.shape[-2], x.shape[-1]))
    kernels = f.reshape(w, (-1, 1, w.shape[-2], w.shape[-1]))
    found = native_conv2d(images, kernels, border_mode, subsample, flip=True)
    if x.ndim == 2:
        found = found[0]
    return found if w.ndim == 3 else found[..., 0, :, :]


def _size(value: Any) -> Any:
    """Numbers of a size that may be given as constants."""
    if value is None or isinstance(value, int):
        return value
    found = value.data.tolist() if isinstance(value, Constant) else value
    return tuple(int(n.data) if isinstance(n, Constant) else n for n in found)


def _pool(what: str, count: int, input: Any, ws: Any, ignore_border: Any, stride: Any, pad: Any, mode: str) -> Variable:
    if mode not in _MODES:
        raise ValueError(f"{what}: mode must be one of {', '.join(_MODES)}, not {mode!r}")
    if ws is None:
        raise ValueError(f"{what} needs ws, the size of a window")
    if ignore_border is None:
        warnings.warn(f"{what}: ignore_border is not given and taken for False, as in Theano 1.0", stacklevel=3)
    margins: Sequence[int] = (pad,) * count if isinstance(pad, int) else tuple(_size(pad))
    if not ignore_border and any(margins):
        raise NotImplementedError(f"{what}: padding works only with ignore_border=True")
    kind, counted = _MODES[mode]
    native = pool2d if count == 2 else pool3d
    return native(input, _size(ws), _size(stride), margins, kind, not ignore_border, counted)


def pool_2d(
    input: Any,
    ws: Any = None,
    ignore_border: Any = None,
    stride: Any = None,
    pad: Any = (0, 0),
    mode: str = "max",
    ds: Any = None,
    st: Any = None,
    padding: Any = None,
) -> Variable:
    """`numgraph.pool2d` with Theano's arguments, also the older ones. Elements that are the largest together share the
    gradient, of which Theano gives each the whole."""
    return _pool(
        "pool_2d", 2, input, ws if ws is not None else ds, ignore_border, stride if stride is not None else st,
        pad if padding is None else padding, mode,
    )  # fmt: skip


def pool_3d(
    input: Any,
    ws: Any = None,
    ignore_border: Any = None,
    stride: Any = None,
    pad: Any = (0, 0, 0),
    mode: str = "max",
    ds: Any = None,
    st: Any = None,
    padding: Any = None,
) -> Variable:
    """`numgraph.pool3d` with Theano's arguments, as `pool_2d`."""
    return _pool(
        "pool_3d", 3, input, ws if ws is not None else ds, ignore_border, stride if stride is not None else st,
        pad if padding is None else padding, mode,
    )  # fmt: skip


def max_pool_2d(
    input: Any, ds: Any, ignore_border: Any = None, st: Any = None, padding: Any = (0, 0), mode: str = "max"
) -> Variable:
    """`pool_2d` under its oldest name."""
    return pool_2d(input, ds, ignore_border, st, padding, mode)


def batch_normalization_train(
    inputs: Any,
    gamma: Any,
    beta: Any,
    axes: Any = "per-activation",
    epsilon: float = 1e-4,
    running_average_factor: float = 0.1,
    running_mean: Any = None,
    running_var: Any = None,
) -> tuple[Variable, ...]:
    """(normalised inputs, their mean, 1 / their deviation), and where running averages are given the next of these.

    axes: what statistics are taken over: "per-activation", the images; "spatial", all axes but that of channels; or
    axes. The running variance is that without bias.
    """
    x = as_variable(inputs)
    if isinstance(axes, str):
        over = {"per-activation": (0,), "spatial": (0, *range(2, x.ndim))}[axes]
    else:
        over = tuple(axes) if isinstance(axes, list | tuple) else (axes,)
    mean, var = moments(x, over, keepdims=True)
    inverse = 1 / f.sqrt(var + epsilon)
    out = (x - mean) * (as_variable(gamma) * inverse) + beta
    if running_mean is None and running_var is None:
        return out, mean, inverse
    kept = 1 - running_average_factor
    m = f.cast(ln.product([ln.dim(x, a) for a in over]), x.type.dtype)
    averages: list[Variable] = []
    if running_mean is not None:
        averages.append(running_mean * kept + mean * running_average_factor)
    if running_var is not None:
        averages.append(running_var * kept + m / (m - 1) * var * running_average_factor)
    return (out, mean, inverse, *averages)


NNET = {
    "conv2d": conv2d, "conv3d": conv3d, "conv2d_transpose": conv2d_transpose, "images2neibs": images2neibs,
    "batch_normalization_train": batch_normalization_train,
}  # fmt: skip
CONV = {"conv2d": conv2d}
NEIGHBOURS = {"images2neibs": images2neibs, "neibs2images": neibs2images}
POOL = {"pool_2d": pool_2d, "pool_3d": pool_3d}
DOWNSAMPLE = {"max_pool_2d": max_pool_2d}
SIGNAL_CONV = {"conv2d": signal_conv2d}

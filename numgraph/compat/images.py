"""Theano's functions of images, under its names and with its arguments."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from numgraph.compat.convolving import CONVOLVING, conv2d_grad_wrt_inputs
from numgraph.compat.flags import config
from numgraph.compat.normalizing import batch_normalization_test, batch_normalization_train
from numgraph.compat.places import unshared_conv2d
from numgraph.errors import DtypeError
from numgraph.grad import grad
from numgraph.graph import Constant, Variable, as_variable
from numgraph.ops import lengths as ln
from numgraph.ops.convolution import conv2d as native_conv2d
from numgraph.ops.convolution import conv3d as native_conv3d
from numgraph.ops.convolution import conv_transpose2d
from numgraph.ops.define import f
from numgraph.ops.pool import images2neibs, neibs2images, pool_last

_MODES = {
    "max": ("max", False), "sum": ("sum", False), "average_inc_pad": ("mean", True), "average_exc_pad": ("mean", False),
}  # fmt: skip


def _of_shape(x: Any, shape: Any) -> Variable:
    """x with the lengths that a program promises; those that are no numbers are left as they are. Other lengths are a
    ShapeError in a call, and with `config.conv.assert_shape` an AssertionFailed."""
    v = as_variable(x)
    if shape is None:
        return v
    known = [int(n.data) if isinstance(n, Constant) else n for n in shape]
    if v.ndim != len(known):
        return v
    if config.conv.assert_shape:
        tests = [f.eq(m, n) for m, n in zip(ln.dims_of(v), known, strict=True) if isinstance(n, int)]
        return f.assert_op(v, *tests, message="an array has not the promised shape") if tests else v
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
    """`numgraph.conv2d` with Theano's arguments: filters are flipped; unshared ones are places' own."""
    convolved = unshared_conv2d if unshared else native_conv2d
    x = _of_shape(input, input_shape if input_shape is not None else image_shape)
    w = _of_shape(filters, filter_shape)
    return convolved(x, w, border_mode, subsample, filter_dilation, num_groups, bool(filter_flip))


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
    """`numgraph.conv_transpose2d` with Theano's arguments. Unshared filters are those of `conv2d`, of whose images
    it is the gradient, and need an output_shape."""
    if unshared:
        return conv2d_grad_wrt_inputs(
            input,
            filters,
            output_shape,
            None,
            border_mode,
            input_dilation,
            filter_flip,
            filter_dilation,
            num_groups,
            True,
        )
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
    if value is None or isinstance(value, int) or (isinstance(value, Variable) and not isinstance(value, Constant)):
        return value
    found = value.data.tolist() if isinstance(value, Constant) else value
    return tuple(int(n.data) if isinstance(n, Constant) else n for n in found)


def pooled(
    what: str, count: int, input: Any, ws: Any, ignore_border: Any, stride: Any, pad: Any, mode: str
) -> Variable:  # fmt: skip
    """The last `count` axes pooled, with Theano's arguments; `what` is in the words of errors."""
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
    return pool_last(what, count, input, _size(ws), _size(stride), margins, kind, not ignore_border, counted)


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
    return pooled(
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
    return pooled(
        "pool_3d", 3, input, ws if ws is not None else ds, ignore_border, stride if stride is not None else st,
        pad if padding is None else padding, mode,
    )  # fmt: skip


def max_pool_2d(
    input: Any, ds: Any, ignore_border: Any = None, st: Any = None, padding: Any = (0, 0), mode: str = "max"
) -> Variable:
    """`pool_2d` under its oldest name."""
    return pool_2d(input, ds, ignore_border, st, padding, mode)


def images2neibs_(ten4: Any, neib_shape: Any, neib_step: Any = None, mode: str = "valid") -> Variable:
    """`numgraph.images2neibs`; also with sizes as constants, and with mode "wrap_centered": windows of odd lengths
    around each pixel (each `neib_step`-th), which go on at the other side of the image."""
    shape, step = _size(neib_shape), _size(neib_step)
    if mode != "wrap_centered":
        return images2neibs(ten4, shape, step, mode)
    if any(n % 2 == 0 for n in shape):
        raise DtypeError(f"images2neibs: mode wrap_centered needs windows of odd lengths, not {shape}")
    margins = [(0, 0), (0, 0), *((n // 2, n // 2) for n in shape)]
    return images2neibs(f.pad(as_variable(ten4), margins, "wrap"), shape, step)


def neibs2images_(neibs: Any, neib_shape: Any, original_shape: Any, mode: str = "valid") -> Variable:
    """`numgraph.neibs2images`; with mode "ignore_borders" pixels that no window has are 0."""
    if mode not in ("valid", "ignore_borders"):
        raise NotImplementedError(f"neibs2images: mode is valid or ignore_borders, not {mode!r}")
    shape = _size(neib_shape)
    if mode == "valid":
        return neibs2images(neibs, shape, original_shape)
    images, channels, *lengths = ln.as_lengths(original_shape, "neibs2images", 4)
    whole = [n // k * k for n, k in zip(lengths, shape, strict=True)]
    found = neibs2images(neibs, shape, (images, channels, *whole))
    margins = [(0, 0), (0, 0), *((0, n - k) for n, k in zip(lengths, whole, strict=True))]
    padded: Variable = f.pad(found, margins)
    return padded


def max_pool_2d_same_size(input: Any, patch_size: Any) -> Variable:
    """The largest pixel of each patch at its place, 0 elsewhere; equal ones share it, in Theano each has the whole."""
    x = as_variable(input)
    out = pool_2d(x, patch_size, ignore_border=True)
    result: Variable = grad(None, x, known_grads={out: out})
    return result


NNET = {
    "conv2d": conv2d, "conv3d": conv3d, "conv2d_transpose": conv2d_transpose, "images2neibs": images2neibs_,
    "batch_normalization_train": batch_normalization_train, "batch_normalization_test": batch_normalization_test,
    **CONVOLVING,
}  # fmt: skip
CONV = {"conv2d": conv2d}
NEIGHBOURS = {"images2neibs": images2neibs_, "neibs2images": neibs2images_}
POOL = {"pool_2d": pool_2d, "pool_3d": pool_3d, "max_pool_2d_same_size": max_pool_2d_same_size}
DOWNSAMPLE = {"max_pool_2d": max_pool_2d, "max_pool_2d_same_size": max_pool_2d_same_size}


def convolve1d(in1: Any, in2: Any, mode: str = "full") -> Variable:
    """The convolution along the last axis; "same" is as long as in1."""
    found: Variable = f.convolve2d(*(f.expand_dims(as_variable(v), -2) for v in (in1, in2)), mode)[..., 0, :]
    return found


def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0, method: Any = "auto"
) -> Variable:
    """As `numgraph.convolve2d`; `method` has no effect."""
    found: Variable = f.convolve2d(in1, in2, mode, boundary, fillvalue)
    return found


SIGNAL_CONV = {"conv2d": signal_conv2d, "convolve1d": convolve1d, "convolve2d": convolve2d}

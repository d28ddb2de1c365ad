"""Theano's functions around convolution: adjoints, separable and causal filters, bilinear upsampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd
from typing import Any

from numgraph.compat.places import unshared_conv2d
from numgraph.config import config
from numgraph.errors import OptionError, ShapeError
from numgraph.grad import grad
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.convolution import conv2d, conv3d
from numgraph.ops.define import f

# -- lengths ----------------------------------------------------------------------------------------------------------


def get_conv_output_shape(
    image_shape: Sequence[Any],
    kernel_shape: Sequence[Any],
    border_mode: Any,
    subsample: Any,
    filter_dilation: Any = None,
) -> tuple[Any, ...]:
    """(images, filters, lengths...) of a convolution, of two such shapes; None where one that it needs is None."""
    count = len(subsample)
    modes = border_mode if isinstance(border_mode, tuple) else (border_mode,) * count
    apart = filter_dilation if filter_dilation is not None else (1,) * count
    axes = zip(image_shape[2:], kernel_shape[-count:], modes, subsample, apart, strict=True)
    return image_shape[0], kernel_shape[0], *(get_conv_shape_1axis(*axis) for axis in axes)


def get_conv_shape_1axis(
    image_shape: Any, kernel_shape: Any, border_mode: Any, subsample: Any, dilation: Any = 1
) -> Any:
    """The length of one axis of a convolution, None where one that it needs is None. ValueError for a negative
    margin."""
    if any(v is None for v in (image_shape, kernel_shape, border_mode, subsample, dilation)):
        return None
    reach = (kernel_shape - 1) * dilation + 1
    if isinstance(border_mode, str):
        before = {"valid": 0, "half": reach // 2, "full": reach - 1}[border_mode]
        margins = before + before
    else:
        pair = border_mode if isinstance(border_mode, tuple) else (border_mode, border_mode)
        if any(isinstance(n, int) and n < 0 for n in pair):
            raise ValueError(f"border_mode must be 0 or more, not {border_mode!r}")
        margins = pair[0] + pair[1]
    return (image_shape + margins - reach) // subsample + 1


# -- adjoints ---------------------------------------------------------------------------------------------------------


def _shape_of(what: str, given: Any, found: Sequence[Any], count: int) -> list[Any]:
    """Lengths of which the first two may be left out, and are those that are found."""
    lengths = list(given) if given is not None else [None] * (count + 2)
    if len(lengths) != count + 2 or any(n is None for n in lengths[2:]):
        raise ShapeError(f"{what}: {count + 2} lengths are needed, the last {count} not None, got {given!r}")
    return [own if n is None else n for n, own in zip(lengths, found, strict=False)] + lengths[2:]


def _checked(what: str, count: int, unshared: bool, *given: Any) -> list[Variable]:
    """Arrays of count + 2 axes; unshared filters have count more."""
    if unshared and count != 2:
        raise NotImplementedError(f"theano.tensor.nnet.{what}: unshared filters are not there")
    found = [as_variable(v) for v in given]
    for v in found:
        if v.ndim not in (count + 2, count + 2 + count * unshared):
            raise ShapeError(f"{what}: {count + 2} axes are needed\n  {describe(v)}")
    return found


def _adjoint(wrt: Variable, out: Variable, g: Variable) -> Variable:
    """The gradient for `wrt` where that of `out` is `g`, of its shape."""
    result: Variable = grad(None, wrt, known_grads={out: f.specify_shape(g, ln.dims_of(out))})
    return result


def _of_inputs(native: Callable[..., Variable], count: int) -> Callable[..., Variable]:
    title, ones = f"conv{count}d_grad_wrt_inputs", (1,) * count

    def call(
        output_grad: Any, filters: Any, input_shape: Any, filter_shape: Any = None, border_mode: Any = "valid",
        subsample: Any = ones, filter_flip: bool = True, filter_dilation: Any = ones, num_groups: int = 1,
        unshared: bool = False,
    ) -> Variable:  # fmt: skip
        """The gradient of a convolution for its images, of shape `input_shape`, whose own gradient is `output_grad`.

        input_shape: the first two lengths may be None. ShapeError for other Nones, other numbers of axes, and when the
        function runs for an `output_grad` that is not of the shape of such a convolution.
        """
        g, w = _checked(title, count, unshared, output_grad, filters)
        lengths = _shape_of(title, input_shape, [ln.dim(g, 0), ln.dim(w, -1 - count) * num_groups], count)
        # a convolution is linear, so its gradient depends on no pixel
        x = f.zeros(lengths, g.type.dtype)
        convolved = unshared_conv2d if unshared else native
        out = convolved(x, w, border_mode, subsample, filter_dilation, num_groups, bool(filter_flip))
        return _adjoint(x, out, g)

    call.__name__ = call.__qualname__ = title
    return call


def _of_weights(native: Callable[..., Variable], count: int) -> Callable[..., Variable]:
    title, ones = f"conv{count}d_grad_wrt_weights", (1,) * count

    def call(
        input: Any, output_grad: Any, filter_shape: Any, input_shape: Any = None, border_mode: Any = "valid",
        subsample: Any = ones, filter_flip: bool = True, filter_dilation: Any = ones, num_groups: int = 1,
        unshared: bool = False,
    ) -> Variable:  # fmt: skip
        """The gradient of a convolution for its filters, of shape `filter_shape`, whose own gradient is `output_grad`.

        filter_shape: the first two lengths may be None. ShapeError as for the images.
        """
        x, g = _checked(title, count, unshared, input, output_grad)
        channels = ln.dim(x, 1) // num_groups
        if unshared:
            lengths = [*ln.dims_of(g)[1:], channels, *list(filter_shape)[-count:]]
        else:
            lengths = _shape_of(title, filter_shape, [ln.dim(g, 1), channels], count)
        w = f.zeros(lengths, x.type.dtype)
        convolved = unshared_conv2d if unshared else native
        out = convolved(x, w, border_mode, subsample, filter_dilation, num_groups, bool(filter_flip))
        return _adjoint(w, out, g)

    call.__name__ = call.__qualname__ = title
    return call


conv2d_grad_wrt_inputs, conv3d_grad_wrt_inputs = _of_inputs(conv2d, 2), _of_inputs(conv3d, 3)
conv2d_grad_wrt_weights, conv3d_grad_wrt_weights = _of_weights(conv2d, 2), _of_weights(conv3d, 3)

# -- filters of channels ----------------------------------------------------------------------------------------------


def separable_conv2d(
    input: Any,
    depthwise_filters: Any,
    pointwise_filters: Any,
    num_channels: int,
    input_shape: Any = None,
    depthwise_filter_shape: Any = None,
    pointwise_filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
) -> Variable:
    """Each channel with filters of its own (filters, 1, height, width), then (outputs, filters, 1, 1) to mix them."""
    flip = bool(filter_flip)
    apart = conv2d(input, depthwise_filters, border_mode, subsample, filter_dilation, num_channels, flip)
    return conv2d(apart, pointwise_filters)


def separable_conv3d(
    input: Any,
    depthwise_filters: Any,
    pointwise_filters: Any,
    num_channels: int,
    input_shape: Any = None,
    depthwise_filter_shape: Any = None,
    pointwise_filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1, 1),
) -> Variable:
    """As `separable_conv2d`, over three axes."""
    flip = bool(filter_flip)
    apart = conv3d(input, depthwise_filters, border_mode, subsample, filter_dilation, num_channels, flip)
    return conv3d(apart, pointwise_filters)


def causal_conv1d(
    input: Any,
    filters: Any,
    filter_shape: Any = None,
    input_shape: Any = None,
    subsample: int = 1,
    filter_flip: bool = True,
    filter_dilation: int = 1,
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """A convolution along time, of input (batch, channels, time) and filters (outputs, channels, time), whose value at
    a step depends on no later one. ShapeError for other numbers of axes."""
    if unshared:
        raise NotImplementedError("theano.tensor.nnet.causal_conv1d: unshared filters are not there")
    x, w = as_variable(input), as_variable(filters)
    if x.ndim != 3 or w.ndim != 3:
        raise ShapeError(f"causal_conv1d: three axes are needed\n  {describe(x)}\n  {describe(w)}")
    before = (ln.dim(w, 2) - 1) * filter_dilation
    step, apart = (subsample, 1), (filter_dilation, 1)
    found = conv2d(
        f.shape_padright(x), f.shape_padright(w), ((before, 0), 0), step, apart, num_groups, bool(filter_flip)
    )
    result: Variable = found[..., 0]
    return result


# -- bilinear upsampling ----------------------------------------------------------------------------------------------


def bilinear_kernel_1D(ratio: Any, normalize: bool = True) -> Variable:  # Theano's name
    """The weights 1, ..., ratio, ..., 1 of a pixel at the new ones around it, divided by `ratio` with `normalize`."""
    weights = f.cast(ratio - abs(f.arange(2 * ratio - 1) - (ratio - 1)), config.floatX)
    result: Variable = weights / f.cast(ratio, config.floatX) if normalize else weights
    return result


def bilinear_kernel_2D(ratio: Any, normalize: bool = True) -> Variable:  # Theano's name
    """As `bilinear_kernel_1D`, over two axes; ratio: one for both, or a tuple."""
    rows, columns = ratio if isinstance(ratio, tuple) else (ratio, ratio)
    found: Variable = f.outer(bilinear_kernel_1D(rows, normalize), bilinear_kernel_1D(columns, normalize))
    return found


def _resampled(x: Variable, axis: int, up: Any, down: int) -> Variable:
    """Each `down`-th of `up` places for each element, between elements by their distance, beyond the ends as these.

    The first element stands at place (up - 1) // 2, so for an even `up` there is one place more behind the last.
    """
    n = ln.dim(x, axis)
    place = f.arange(0, n * up, down) - (up - 1) // 2
    low = place // up
    share = f.cast(place - low * up, x.type.dtype) / f.cast(up, x.type.dtype)
    first, second = (f.take(x, f.clip(k, 0, n - 1), axis) for k in (low, low + 1))
    share = f.shape_padright(share, x.ndim - 1 - axis)
    result: Variable = first * (1 - share) + second * share
    return result


def frac_bilinear_upsampling(input: Any, frac_ratio: Any) -> Variable:
    """As `bilinear_upsampling` by a fraction (numerator, denominator), or one for each axis."""
    if not isinstance(frac_ratio, tuple):
        raise OptionError(f"frac_bilinear_upsampling: frac_ratio must be a tuple, not {frac_ratio!r}")
    found = as_variable(input)
    pairs = frac_ratio if isinstance(frac_ratio[0], tuple) else (frac_ratio, frac_ratio)
    for axis, (up, down) in zip((2, 3), pairs, strict=True):
        common = gcd(up, down)
        found = _resampled(found, axis, up // common, down // common)
    return found


def bilinear_upsampling(
    input: Any,
    ratio: Any = None,
    frac_ratio: Any = None,
    batch_size: Any = None,
    num_input_channels: Any = None,
    use_1D_kernel: bool = True,  # Theano's name
) -> Variable:
    """Images (images, channels, height, width) with `ratio` times as many pixels along both axes, with values between
    those that are there by their distance. frac_ratio: a fraction instead, see `frac_bilinear_upsampling`; it goes with
    use_1D_kernel=False alone. OptionError for both, or neither."""
    if (ratio is None) == (frac_ratio is None):
        raise OptionError("bilinear_upsampling: either ratio or frac_ratio is needed")
    if frac_ratio is not None:
        if use_1D_kernel:
            raise OptionError("bilinear_upsampling: frac_ratio needs use_1D_kernel=False")
        return frac_bilinear_upsampling(input, frac_ratio)
    return _resampled(_resampled(as_variable(input), 2, ratio, 1), 3, ratio, 1)


CONVOLVING = {
    function.__name__: function
    for function in (
        get_conv_output_shape, get_conv_shape_1axis, conv2d_grad_wrt_inputs, conv3d_grad_wrt_inputs,
        conv2d_grad_wrt_weights, conv3d_grad_wrt_weights, separable_conv2d, separable_conv3d, causal_conv1d,
        bilinear_kernel_1D, bilinear_kernel_2D, frac_bilinear_upsampling, bilinear_upsampling,
    )
}  # fmt: skip

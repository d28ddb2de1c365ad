"""Theano's arithmetic of the shapes of convolutions and their adjoints, and checks of them.

A shape is (images, channels, lengths...), of filters (filters, channels, lengths...): integers, scalars, or None for
what is not known. border_mode: "valid", "half", "full", a margin for all axes or, in a tuple, for each; a margin may
be a pair. subsample, filter_dilation: a number for each axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.compat.constants import get_scalar_constant_value
from numgraph.compat.convolving import get_conv_output_shape
from numgraph.compat.flags import config
from numgraph.graph import Variable, as_variable
from numgraph.ops.define import f


def _margins(border_mode: Any, reach: Any) -> Any:
    """Both margins of an axis together, for a dilated filter of that length. ValueError for a negative one."""
    if isinstance(border_mode, str):
        return {"valid": 0, "half": 2 * (reach // 2), "full": 2 * (reach - 1)}[border_mode]
    pair = border_mode if isinstance(border_mode, tuple) else (border_mode, border_mode)
    if any(isinstance(n, int) and n < 0 for n in pair):
        raise ValueError(f"border_mode must be 0 or more, not {border_mode!r}")
    return pair[0] + pair[1]


def get_conv_gradinputs_shape_1axis(
    kernel_shape: Any, top_shape: Any, border_mode: Any, subsample: Any, dilation: Any
) -> Any:
    """The length of an axis of the images of which a convolution has the length `top_shape`; None where a length is
    not known, and for steps other than 1: then there are several."""
    if None in (kernel_shape, top_shape, border_mode) or subsample != 1:
        return None
    reach = (kernel_shape - 1) * dilation + 1
    return top_shape + reach - 1 - _margins(border_mode, reach)


def get_conv_gradweights_shape_1axis(
    image_shape: Any, top_shape: Any, border_mode: Any, subsample: Any, dilation: Any
) -> Any:
    """The length of an axis of the filters with which images have a convolution of the length `top_shape`; None where
    a length is not known, for steps other than 1, and for "half": then there are several."""
    if None in (image_shape, top_shape, border_mode) or subsample != 1 or border_mode == "half":
        return None
    full = border_mode == "full"
    reach = top_shape - image_shape if full else image_shape + _margins(border_mode, 1) - top_shape
    return reach // dilation + 1


def _by_axis(function: Callable[..., Any], first: Any, second: Any, mode: Any, steps: Any, apart: Any) -> Any:
    """The function of each axis."""
    count = len(steps)
    modes = mode if isinstance(mode, tuple) else (mode,) * count
    apart = apart if apart is not None else (1,) * count
    return tuple(function(*axis) for axis in zip(first, second, modes, steps, apart, strict=True))


def get_conv_gradinputs_shape(
    kernel_shape: Sequence[Any], top_shape: Sequence[Any], border_mode: Any, subsample: Sequence[Any],
    filter_dilation: Any = None, num_groups: int = 1,
) -> tuple[Any, ...]:  # fmt: skip
    """The shape of the images, of that of the filters and of their convolution."""
    lengths = kernel_shape[2 - len(top_shape) :], top_shape[2:]
    found = _by_axis(get_conv_gradinputs_shape_1axis, *lengths, border_mode, subsample, filter_dilation)
    return (top_shape[0], kernel_shape[1] if num_groups == 1 else kernel_shape[1] * num_groups, *found)


def get_conv_gradweights_shape(
    image_shape: Sequence[Any], top_shape: Sequence[Any], border_mode: Any, subsample: Sequence[Any],
    filter_dilation: Any = None, num_groups: int = 1, unshared: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """The shape of the filters, of that of the images and of their convolution; unshared filters have the places of the
    convolution, too."""
    lengths = image_shape[2:], top_shape[2:]
    found = _by_axis(get_conv_gradweights_shape_1axis, *lengths, border_mode, subsample, filter_dilation)
    channels = image_shape[1] if num_groups == 1 else image_shape[1] // num_groups
    return (top_shape[1], *(top_shape[2:] if unshared else ()), channels, *found)


def _known(n: Any) -> int | None:
    try:
        return None if n is None else int(get_scalar_constant_value(n))
    except ValueError:
        return None


def check_conv_gradinputs_shape(
    image_shape: Sequence[Any], kernel_shape: Sequence[Any], output_shape: Sequence[Any], border_mode: Any,
    subsample: Sequence[Any], filter_dilation: Any = None,
) -> bool:  # fmt: skip
    """Whether a convolution of images of this shape may have that output; what is not known may be anything."""
    count = len(image_shape)
    apart = subsample if filter_dilation is None else filter_dilation
    if any(n != count for n in (len(kernel_shape), len(output_shape), len(subsample) + 2, len(apart) + 2)):
        return False
    found = get_conv_output_shape(tuple(image_shape), tuple(kernel_shape), border_mode, subsample, filter_dilation)
    pairs = [(_known(a), _known(b)) for a, b in zip(output_shape, found, strict=True)]
    return all(a is None or b is None or a == b for a, b in pairs)


def assert_conv_shape(shape: Sequence[Any]) -> tuple[Any, ...]:
    """The shape, in which a call looks whether unknown lengths are possible, with an AssertionError; ValueError for a
    known one that is not. The first two may be 0."""
    found = []
    for k, n in enumerate(shape):
        known, least = _known(n), 0 if k < 2 else 1
        message = f"a convolution cannot have the shape {tuple(shape)}: length {k} is less than {least}"
        if known is not None and known < least:
            raise ValueError(message)
        found.append(n if known is not None else f.assert_op(n, f.ge(n, least), message=message))
    return tuple(found)


def assert_shape(x: Any, expected_shape: Sequence[Any] | None, msg: str = "Unexpected shape.") -> Variable:
    """x, of which a call looks whether it has the shape, with an AssertionError, where `config.conv.assert_shape` is
    set; a length of None may be anything."""
    v = as_variable(x)
    if expected_shape is None or not config.conv.assert_shape:
        return v
    tests = [f.eq(m, n) for m, n in zip(v.shape, expected_shape, strict=True) if n is not None]
    found: Variable = f.assert_op(v, *tests, message=msg) if tests else v
    return found


SIZES = {
    function.__name__: function
    for function in (
        get_conv_gradinputs_shape, get_conv_gradinputs_shape_1axis, get_conv_gradweights_shape,
        get_conv_gradweights_shape_1axis, check_conv_gradinputs_shape, assert_conv_shape, assert_shape,
    )
}  # fmt: skip

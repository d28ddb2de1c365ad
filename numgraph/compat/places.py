"""Theano's layers with weights of their own for each place or class: unshared filters, films, softmax by classes."""

from __future__ import annotations

from typing import Any

from numgraph.errors import ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.convolution import conv3d, margins_of
from numgraph.ops.define import f
from numgraph.ops.windows import extent, per_axis


def unshared_conv2d(
    x: Any, w: Any, padding: Any = "valid", stride: Any = 1, dilation: Any = 1, groups: int = 1, flip: bool = False
) -> Variable:
    """As `numgraph.conv2d`, with filters (filters, rows, columns, channels, height, width): one for each place (row,
    column) of the result. ShapeError for other numbers of axes, and for places that are not those of the result."""
    images, filters = as_variable(x), as_variable(w)
    for v, ndim, what in ((images, 4, "images"), (filters, 6, "filters")):
        if v.ndim != ndim:
            raise ShapeError(f"conv2d: unshared {what} have {ndim} axes\n  {describe(v)}")
    steps, apart = per_axis(stride, 2, "conv2d: stride"), per_axis(dilation, 2, "conv2d: dilation")
    window = ln.dims_of(filters)[4:]
    margins = margins_of(padding, [extent(n, d) for n, d in zip(window, apart, strict=True)], "conv2d")
    wide = f.pad(images, [(0, 0), (0, 0), *margins])
    seen = f.sliding_window_view(wide, tuple(window), (2, 3), stride=steps, dilation=apart)
    if flip:
        filters = filters[..., ::-1, ::-1]
    parts = f.split_dims(seen, axis=1, shape=(groups, ln.dim(seen, 1) // groups))
    owners = f.split_dims(filters, axis=0, shape=(groups, ln.dim(filters, 0) // groups))
    found = f.einsum("ngcrsij,gfrscij->ngfrs", parts, owners)
    result: Variable = f.join_dims(found, 1, 2)
    return result


def conv3d_of_films(
    signals: Any, filters: Any, signals_shape: Any = None, filters_shape: Any = None, border_mode: Any = "valid"
) -> Variable:
    """Films (films, steps, channels, height, width) convolved with filters (filters, steps, channels, height, width),
    which are flipped. border_mode: "valid", "half" or "full", or one of these for each of steps, height and width."""
    x, w = (f.dimshuffle(as_variable(v), 0, 2, 1, 3, 4) for v in (signals, filters))
    if not isinstance(border_mode, str):
        reach = ln.dims_of(w)[2:]
        border_mode = [margins_of(mode, [n], "conv3d")[0] for mode, n in zip(border_mode, reach, strict=True)]
    result: Variable = f.dimshuffle(conv3d(x, w, border_mode, flip=True), 0, 2, 1, 3, 4)
    return result


def h_softmax(
    x: Any, batch_size: Any, n_outputs: Any, n_classes: Any, n_outputs_per_class: Any, W1: Any, b1: Any, W2: Any,
    b2: Any, target: Any = None,
) -> Variable:  # fmt: skip
    """The probabilities of outputs in two levels: that of the class, by softmax(x @ W1 + b1), times that of the output
    within it, by softmax(x @ W2[class] + b2[class]).

    x: [rows, features]. W1: [features, classes]; W2: [classes, features, outputs of a class]. The result is [rows,
    n_outputs]; with `target`, the numbers of one output for each row, it is the vector of their probabilities.
    """
    v = as_variable(x)
    classes = f.softmax(f.add(f.dot(v, W1), b1), axis=1)
    if target is None:
        inside = f.softmax(f.add(f.tensordot(v, W2, (1, 1)), b2), axis=2)
        whole = f.join_dims(f.mul(classes[:, :, None], inside), 1, 2)
        found: Variable = whole[:, :n_outputs]
        return found
    wanted = f.flatten(as_variable(target))
    group, rows = f.floor_div(wanted, n_outputs_per_class), f.arange(ln.dim(v, 0))
    act = f.matmul(v[:, None, :], as_variable(W2)[group])[:, 0]
    inside = f.softmax(f.add(act, as_variable(b2)[group]), axis=1)
    found = f.mul(classes[rows, group], inside[rows, f.mod(wanted, n_outputs_per_class)])
    return found

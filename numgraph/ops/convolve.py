"""Convolution of images with filters, over one, two or three axes, and its adjoint.

Each is one op for images of three axes, (images, channels, depth, height, width), and filters (filters, channels of a
group, depth, height, width); for fewer axes the first are of length 1. It is linear in both operands, and its gradients
are the other ops here: of each the gradients are the other two. The kernels are those of `kernels/convolutions.py`,
and on a grid those of `kernels/cuda/convolutions.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.graph import Variable, apply
from numgraph.lengths import dims
from numgraph.lengths.dims import Dim
from numgraph.op import OPS, Check, Kernel, Op, Tiles, same
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.joined import joined
from numgraph.ops.lengths import Length
from numgraph.ops.matrices import FLOAT
from numgraph.ops.windows import extent, positions

# Bytes in which a kernel works, see kernels/convolutions.py; and among its sizes those whose product is the
# multiply-adds: images, groups, channels, filters, pixels of a filter and of the result.
OWN_BYTES = (1 << 20) + (1 << 19) + (1 << 18) + 4096
MULTIPLICATIONS = (0, 1, 2, 3, 7, 8, 9, 10, 11, 12)
UNIT: dict[str, Any] = {"own": OWN_BYTES, "shares": True, "multiplications": MULTIPLICATIONS}
# Images, or else pixels of the result, whose gradient for the filters is a part of its own, and how many parts there
# are at most: what each number is does not depend on how many threads there are. Where there are fewer images than
# parts, these divide lines, in pieces of so many pixels. On a grid, about how many blocks there are, each with
# the product of a side of filters and pixels of these.
PART, PART_PIXELS, PARTS, PIECE = 8, 1 << 14, 16, 16
BLOCKS, TILE = 512, 64

Triple = tuple[int, int, int]
Array = NDArray[Any]
Attrs = dict[str, Any]

# -- shapes ------------------------------------------------------------------------------------------------------------


def _result_shape(x: Any, w: Any, *margins: Any, stride: Triple, dilation: Triple, groups: int) -> tuple[Dim, ...]:
    low, high = ln.values(margins[:3]), ln.values(margins[3:])
    padded = [a + n + b for a, n, b in zip(low, x.shape[2:], high, strict=True)]
    return (x.shape[0], w.shape[0], *map(positions, padded, w.shape[2:], stride, dilation))


def _image_shape(g: Any, w: Any, *lengths: Any, stride: Triple, dilation: Triple, groups: int) -> tuple[Dim, ...]:
    return (g.shape[0], w.shape[1] * groups, *ln.values(lengths[:3]))


def _sums_shape(x: Any, g: Any, *lengths: Any, stride: Triple, dilation: Triple, groups: int) -> tuple[Dim, ...]:
    rows = x.shape[1] // groups * dims.product(ln.values(lengths[:3]))
    return (*ln.values(lengths[6:]), groups, rows, g.shape[1] // groups)


def _filters_shape(x: Any, g: Any, *lengths: Any, stride: Triple, dilation: Triple, groups: int) -> tuple[Dim, ...]:
    return (g.shape[1], x.shape[1] // groups, *ln.values(lengths[:3]))


def _sizes(images: Any, channels: Any, filters: Any, geometry: Sequence[Any], attrs: Attrs) -> tuple[Any, ...]:
    """What kernels are told. geometry: pixels of an image, of a filter and of the result, and of the margins."""
    image, window, result, low = geometry
    groups = attrs["groups"]
    steps = (*attrs["stride"], *attrs["dilation"])
    return (images, groups, channels // groups, filters // groups, *image, *window, *result, *steps, *low)


def _result_sizes(x: Any, w: Any, *margins: Any, **attrs: Any) -> tuple[Any, ...]:
    images, filters, *result = _result_shape(x, w, *margins, **attrs)
    return _sizes(images, x.shape[1], filters, (x.shape[2:], w.shape[2:], result, ln.values(margins[:3])), attrs)


def _image_sizes(g: Any, w: Any, *lengths: Any, **attrs: Any) -> tuple[Any, ...]:
    given = ln.values(lengths)
    channels = w.shape[1] * attrs["groups"]
    return _sizes(g.shape[0], channels, w.shape[0], (given[:3], w.shape[2:], g.shape[2:], given[3:]), attrs)


def _sums_sizes(x: Any, g: Any, *lengths: Any, **attrs: Any) -> tuple[Any, ...]:
    given = ln.values(lengths)
    sizes = _sizes(x.shape[0], x.shape[1], g.shape[1], (x.shape[2:], given[:3], g.shape[2:], given[3:6]), attrs)
    return (*sizes, given[6])


# -- references --------------------------------------------------------------------------------------------------------


def _np_patches(x: Array, window: Sequence[int], low: Any, result: Any, attrs: Attrs) -> Array:
    """(images, groups, channels, *result, *window)."""
    steps = zip(result, attrs["stride"], window, attrs["dilation"], strict=True)
    reach = [(o - 1) * s + extent(k, d) for o, s, k, d in steps]
    behind = [max(r - a - n, 0) for r, a, n in zip(reach, low, x.shape[2:], strict=True)]
    padded = np.pad(x, [(0, 0), (0, 0), *((int(a), int(b)) for a, b in zip(low, behind, strict=True))])
    index = np.indices((*result, *window), sparse=True)
    places = zip(index[:3], index[3:], attrs["stride"], attrs["dilation"], strict=True)
    where: tuple[Any, ...] = (slice(None), slice(None), *(o * s + k * d for o, k, s, d in places))
    return _grouped(padded[where], attrs["groups"], 1)


def _contracted(subscripts: str, a: Array, b: Array) -> Array:
    return np.asarray(np.einsum(subscripts, a, b, optimize=True))


def _grouped(x: Array, groups: int, axis: int) -> Array:
    shape = (*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])
    return x.reshape(shape)


def _np_convolve(x: Array, w: Array, *margins: Any, **attrs: Any) -> Array:
    padded = [int(a) + n + int(b) for a, n, b in zip(margins[:3], x.shape[2:], margins[3:], strict=True)]
    result = tuple(map(positions, padded, w.shape[2:], attrs["stride"], attrs["dilation"]))
    patches = _np_patches(x, w.shape[2:], margins[:3], result, attrs)
    found = _contracted("ngczyxtrs,gkctrs->ngkzyx", patches, _grouped(w, attrs["groups"], 0))
    return np.asarray(found.reshape(len(x), w.shape[0], *result))


def _np_images(g: Array, w: Array, *lengths: Any, **attrs: Any) -> Array:
    image, low, groups = [int(n) for n in lengths[:3]], [int(n) for n in lengths[3:]], attrs["groups"]
    grads = _contracted("ngkzyx,gkctrs->ngctrszyx", _grouped(g, groups, 1), _grouped(w, groups, 0))
    total = np.zeros((*grads.shape[:3], *_np_reach(g, w, image, low, attrs)), g.dtype)
    for place in np.ndindex(w.shape[2:]):
        steps = zip(place, attrs["dilation"], g.shape[2:], attrs["stride"], strict=True)
        at: tuple[Any, ...] = (..., *(slice(r * d, r * d + (o - 1) * s + 1, s) for r, d, o, s in steps))
        total[at] += grads[(slice(None), slice(None), slice(None), *place)]
    cut: tuple[Any, ...] = (..., *(slice(a, a + n) for a, n in zip(low, image, strict=True)))
    return np.asarray(total[cut].reshape(len(g), w.shape[1] * groups, *image))


def _np_reach(g: Array, w: Array, image: Sequence[int], low: Sequence[int], attrs: Attrs) -> list[int]:
    """Pixels of the images with their margins, as far as they are met."""
    steps = zip(g.shape[2:], attrs["stride"], w.shape[2:], attrs["dilation"], low, image, strict=True)
    return [max((o - 1) * s + extent(k, d), a + n) for o, s, k, d, a, n in steps]


def _np_sums(x: Array, g: Array, *lengths: Any, **attrs: Any) -> Array:
    window, low, count, groups = [int(n) for n in lengths[:3]], lengths[3:6], int(lengths[6]), attrs["groups"]
    patches, grads = _np_patches(x, window, low, g.shape[2:], attrs), _grouped(g, groups, 1)
    ends = [_np_pixels(len(x), g.shape[2:], p, count) for p in range(count + 1)]
    seen, flat = (np.moveaxis(v, (0, 3, 4, 5), (0, 1, 2, 3)) for v in (patches, grads))
    seen, flat = (v.reshape(ends[-1], *v.shape[4:]) for v in (seen, flat))
    found = [_contracted("qgctrs,qgk->gctrsk", seen[a:b], flat[a:b]) for a, b in pairwise(ends)]
    rows = x.shape[1] // groups * int(np.prod(window))
    return np.stack(found).reshape(count, groups, rows, g.shape[1] // groups)


def _np_pixels(images: int, result: Sequence[int], part: int, parts: int) -> int:
    """Where a part of the images begins, in pixels of all results."""
    lines, width = result[0] * result[1], result[2]
    if images >= parts:
        return images * part // parts * lines * width
    pieces = -(-width // PIECE)
    line, piece = divmod(images * lines * pieces * part // parts, max(pieces, 1))
    return line * width + piece * PIECE


# -- what a grid computes ----------------------------------------------------------------------------------------------


def _convolve_extents(images: Any, groups: Any, c: Any, k: Any, *geometry: Any) -> tuple[Any, Any, Any]:
    """Filters by pixels of the result."""
    return k, images * dims.product(geometry[6:9]), groups


def _images_extents(images: Any, groups: Any, c: Any, k: Any, *geometry: Any) -> tuple[Any, Any, Any]:
    """Channels by pixels of the images, these in phases: as many as a step has pixels, along each axis."""
    stride = geometry[9:12]
    along = [(n + (s - 1)) // s for n, s in zip(geometry, stride, strict=False)]
    return c, images * dims.product(along), groups * dims.product(stride)


def _sums_extents(images: Any, groups: Any, c: Any, k: Any, *geometry: Any) -> tuple[Any, Any, Any]:
    """Elements of a filter by filters, for each part."""
    return c * dims.product(geometry[3:6]), k, groups * geometry[-1]


def _axes_of(geometry: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Of each axis the pixels of an image, of a filter and of the result, steps, and pixels of the margin."""
    image, window, result, stride, dilation, low = (geometry[3 * k : 3 * k + 3] for k in range(6))
    return list(zip(image, window, result, stride, dilation, low, strict=True))


def _grid_options(images: Any, groups: Any, c: Any, k: Any, *geometry: Any) -> Attrs:
    """How many axes there are, the others being of length 1, and the steps."""
    without = 0
    for image, window, result, _, _, low in _axes_of(geometry)[:2]:
        lengths = (image, window, result, low)
        if any(not isinstance(n, int) for n in lengths) or lengths != (1, 1, 1, 0):
            break
        without += 1
    return {"axes": 3 - without, "stride": geometry[9:12], "dilation": geometry[12:15]}


def _no_margin(images: Any, groups: Any, c: Any, k: Any, *geometry: Any) -> list[tuple[Any, Any]]:
    """No pixel of a patch is outside of the image."""
    return [
        pair
        for n, r, o, s, d, low in _axes_of(geometry)
        for pair in ((0, low), (n, (o - 1) * s + extent(r, d)))
    ]  # fmt: skip


def _same_pixels(images: Any, groups: Any, c: Any, k: Any, *geometry: Any) -> list[tuple[Any, Any]]:
    """Filters of one pixel at each pixel of the image, so that each of these is one of the result's."""
    return [
        pair
        for n, r, o, s, _, low in _axes_of(geometry)
        for pair in ((1, r), (1, s), (0, low), (o, n))
    ]  # fmt: skip


# -- the gradient for the filters, from what parts of the images add up ------------------------------------------------


def _integers(lengths: Sequence[Variable]) -> list[Any]:
    return [ln.integer(n, "conv") for n in lengths]


def _filters(x: Variable, g: Variable, *lengths: Variable, **attrs: Any) -> Variable:
    images, pixels = ln.dim(x, 0), ln.product(ln.dims_of(g)[2:])
    parts = ln.most(images // PART, ln.most(images * pixels // PART_PIXELS, 1))
    return _added(x, g, lengths, ln.least(parts, PARTS), attrs)


def _filters_on_grid(x: Variable, g: Variable, *lengths: Variable, **attrs: Any) -> Variable:
    """In as many parts as make work for all blocks, fewer of large filters, and none smaller than an image."""
    rows = ln.product([ln.dim(x, 1), *_integers(lengths[:3])])
    tiles = (f.floor_div(rows, TILE) + 1) * (f.floor_div(ln.dim(g, 1) // attrs["groups"], TILE) + 1)
    return _added(x, g, lengths, ln.least(ln.most(ln.dim(x, 0), 1), ln.most(f.floor_div(BLOCKS, tiles), 1)), attrs)


def _added(x: Variable, g: Variable, lengths: Sequence[Variable], parts: Length, attrs: Attrs) -> Variable:
    found = apply(OPS["convolution_sums"], [x, g, *lengths, *ln.operands([parts])], **attrs)
    return joined(found, [ln.dim(x, 1) // attrs["groups"], *_integers(lengths[:3])])


# -- gradients ---------------------------------------------------------------------------------------------------------


def _none(lengths: Sequence[Variable]) -> tuple[None, ...]:
    return (None,) * len(lengths)


def _convolve_grad(h: Variable, out: Variable, x: Variable, w: Variable, *margins: Variable, **attrs: Any) -> Any:
    images = apply(OPS["convolution_images"], [h, w, *ln.operands(ln.dims_of(x)[2:]), *margins[:3]], **attrs)
    filters = apply(OPS["convolution_filters"], [x, h, *ln.operands(ln.dims_of(w)[2:]), *margins[:3]], **attrs)
    return images, filters, *_none(margins)


def _margins(
    g: Variable, w: Variable, image: Sequence[Length], low: Sequence[Variable], attrs: Attrs
) -> list[Variable]:
    """Both margins of images of which g is a gradient for the result; the one behind may be negative."""
    begin = _integers(low)
    high = [
        (o - 1) * s + extent(k, d) - n - a
        for o, s, k, d, n, a in zip(
            ln.dims_of(g)[2:], attrs["stride"], ln.dims_of(w)[2:], attrs["dilation"], image, begin, strict=True
        )
    ]
    return [*low, *ln.operands(high)]


def _images_grad(h: Variable, out: Variable, g: Variable, w: Variable, *lengths: Variable, **attrs: Any) -> Any:
    margins = _margins(g, w, _integers(lengths[:3]), lengths[3:], attrs)
    filters = apply(OPS["convolution_filters"], [h, g, *ln.operands(ln.dims_of(w)[2:]), *lengths[3:]], **attrs)
    return apply(OPS["convolve"], [h, w, *margins], **attrs), filters, *_none(lengths)


def _filters_grad(h: Variable, out: Variable, x: Variable, g: Variable, *lengths: Variable, **attrs: Any) -> Any:
    images = apply(OPS["convolution_images"], [g, h, *ln.operands(ln.dims_of(x)[2:]), *lengths[3:]], **attrs)
    margins = _margins(g, h, ln.dims_of(x)[2:], lengths[3:], attrs)
    return images, apply(OPS["convolve"], [x, h, *margins], **attrs), *_none(lengths)


# -- the ops -----------------------------------------------------------------------------------------------------------


def _too_small(x: Any, w: Any, *margins: Any, **attrs: Any) -> list[tuple[Dim, Dim]]:
    given = ln.values(margins)
    padded = [a + n + b for a, n, b in zip(given[:3], x.shape[2:], given[3:], strict=True)]
    return [(n, extent(k, d)) for n, k, d in zip(padded, w.shape[2:], attrs["dilation"], strict=True)]


def _same_channels(x: Any, w: Any, *margins: Any, groups: int, **_: Any) -> list[tuple[Dim, Dim]]:
    return [(x.shape[1], w.shape[1] * groups)]


def _whole_groups(x: Any, w: Any, *margins: Any, groups: int, **_: Any) -> list[tuple[Dim, Dim]]:
    return [(w.shape[0], w.shape[0] // groups * groups)] if groups > 1 else []


# a filter of no pixels looks at no place
_NO_FILTER = Check("at_least", lambda x, w, *_, **__: [(n, 1) for n in w.shape[2:]], "a filter of {a} pixels")
_NO_LENGTH = Check("at_least", lambda x, g, *n, **_: [(k, 1) for k in ln.values(n[:3])], "a filter of {a} pixels")
# Over how many pixels a filter may reach: kernels of devices count them in 32 bits.
FARTHEST = 1 << 30
_REACHES = "a filter may reach over {a} pixels at most, this one reaches over {b}"
_TOO_WIDE = Check("at_least", lambda x, w, *_, dilation, **__: _widths(w.shape[2:], dilation), _REACHES)


def _widths(window: Sequence[Dim], dilation: Triple) -> list[tuple[Dim, Dim]]:
    return [(FARTHEST, extent(k, d)) for k, d in zip(window, dilation, strict=True)]


def attributes(stride: Triple = (1, 1, 1), dilation: Triple = (1, 1, 1), groups: int = 1) -> Attrs:
    """The attributes of the ops, with steps for three axes."""
    return {"stride": stride, "dilation": dilation, "groups": groups}


def _cases() -> list[tuple[Array, Array, tuple[int, ...], Attrs]]:
    """(images, filters, margins, attributes)."""
    rng = np.random.default_rng(5)

    def made(*shape: int) -> Array:
        return rng.uniform(-1, 1, shape)

    return [
        (made(2, 2, 1, 5, 4), made(3, 2, 1, 3, 2), (0,) * 6, attributes()),
        (made(1, 1, 3, 4, 6), made(2, 1, 2, 2, 3), (1, 0, 2, 0, 1, 2), attributes((1, 2, 2), (2, 1, 1))),
        (made(3, 4, 1, 1, 7), made(2, 2, 1, 1, 3), (0, 0, 1, 0, 0, 1), attributes(dilation=(1, 1, 2), groups=2)),
        (made(2, 3, 1, 3, 3), made(2, 3, 1, 1, 1), (0,) * 6, attributes()),
        (made(0, 1, 1, 3, 3), made(1, 1, 1, 2, 2), (0,) * 6, attributes()),
    ]


def _samples() -> list[tuple[list[Any], Attrs]]:
    return [([x, w, *margins], attrs) for x, w, margins, attrs in _cases()]


def _image_samples() -> list[tuple[list[Any], Attrs]]:
    return [
        ([_np_convolve(x, w, *margins, **attrs), w, *x.shape[2:], *margins[:3]], attrs)
        for x, w, margins, attrs in _cases()
    ]


def _filter_samples() -> list[tuple[list[Any], Attrs]]:
    return [
        ([x, _np_convolve(x, w, *margins, **attrs), *w.shape[2:], *margins[:3]], attrs)
        for x, w, margins, attrs in _cases()
    ]


Op(
    "convolve",
    ("x", "w", "*margins"),
    "Of each image x[n, c, z, y, x] with each filter w[k, c, t, r, s] the sums of products at each place; filters are "
    "not turned. margins: pixels of 0 before each axis, and behind it.",
    same,
    _np_convolve,
    _convolve_grad,
    kernel=Kernel(
        "convolutions.convolve",
        _result_sizes,
        **UNIT,
        tiles=Tiles("convolutions.convolve", _convolve_extents, _grid_options, _no_margin, (1, (0, 2, 3, 4))),
    ),
    shape=_result_shape,
    checks=(
        Check("equal", _same_channels, "images of {a} channels, filters for {b}"),
        Check("equal", _whole_groups, "{a} filters cannot be divided among the groups"),
        _NO_FILTER,
        _TOO_WIDE,
        Check("at_least", _too_small, "an axis of {a} pixels, with its margins, is shorter than a filter, {b}"),
    ),
    dtypes=FLOAT,
    samples=_samples,
    cost=40,
)
Op(
    "convolution_images",
    ("g", "w", "*lengths"),
    "The adjoint of `convolve` for the images: lengths of their axes, and margins before these.",
    same,
    _np_images,
    _images_grad,
    kernel=Kernel(
        "convolutions.image_gradient", _image_sizes, **UNIT,
        tiles=Tiles("convolutions.image_gradient", _images_extents, _grid_options, _same_pixels),
    ),
    shape=_image_shape,
    checks=(
        Check("equal", lambda g, w, *lengths, **_: [(g.shape[1], w.shape[0])], "{a} channels, filters for {b}"),
        _NO_FILTER,
        _TOO_WIDE,
        Check("equal", lambda g, w, *lengths, **attrs: _whole_groups(g, w, **attrs), "{a} filters are no whole groups"),
    ),
    dtypes=FLOAT,
    samples=_image_samples,
    cost=40,
)  # fmt: skip
Op(
    "convolution_filters",
    ("x", "g", "*lengths"),
    "The adjoint of `convolve` for the filters: lengths of their axes, and margins before those of the images.",
    same,
    lambda x, g, *lengths, **attrs: _np_filters(x, g, *lengths, **attrs),
    _filters_grad,
    expand=_filters,
    on_grid=_filters_on_grid,
    shape=_filters_shape,
    dtypes=FLOAT,
    samples=_filter_samples,
)
Op(
    "convolution_sums",
    ("x", "g", "*lengths"),
    "What `convolution_filters` adds up for parts of the images: [part, group, element of a filter, filter]. lengths: "
    "those of filters, margins before the images, and how many parts.",
    same,
    _np_sums,
    None,
    "it is a part of convolution_filters, which has one",
    kernel=Kernel(
        "convolutions.filter_gradient",
        _sums_sizes,
        **UNIT,
        tiles=Tiles("convolutions.filter_gradient", _sums_extents, _grid_options, _no_margin),
    ),
    shape=_sums_shape,
    checks=(
        Check("equal", lambda x, g, *lengths, **_: [(x.shape[0], g.shape[0])], "{a} images, gradients for {b}"),
        _NO_LENGTH,
        Check("at_least", lambda x, g, *n, dilation, **_: _widths(ln.values(n[:3]), dilation), _REACHES),
        Check("at_least", lambda x, g, *lengths, **_: [(n, 1) for n in ln.values(lengths[6:])], "{a} parts"),
    ),
    dtypes=FLOAT,
    # on a grid there are no more parts than images
    samples=lambda: [([*o, n], attrs) for o, attrs in _filter_samples() for n in {1, min(max(len(o[0]), 1), 2)}],
    cost=40,
)


def _np_filters(x: Array, g: Array, *lengths: Any, **attrs: Any) -> Array:
    groups, window = attrs["groups"], [int(n) for n in lengths[:3]]
    sums = _np_sums(x, g, *lengths, 1, **attrs).sum(axis=0)
    channels, filters = x.shape[1] // groups, g.shape[1]
    parts = sums.reshape(groups, channels, *window, filters // groups).transpose(0, 5, 1, 2, 3, 4)
    return np.asarray(parts.reshape(filters, channels, *window))

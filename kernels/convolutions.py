"""Convolutions as matrix products over patches, which are never all in memory (implicit GEMM).

An image x[c, z, y, x] and filters w[k, c, t, r, s] make out[k, q] = w[k, p] @ patches[p, q]: p counts (c, t, r, s), q
the pixels of the result. Of the patches a *panel* is filled at a time, as many rows and columns as stay in the
second-level cache, and the matrix product at an address (`tiles`) does the rest. Filling costs a move for k
multiply-adds. Other orders of loops, and why this one: Chetlur et al., cuDNN (2014); Georganas et al., Anatomy of
high-performance deep learning convolutions on SIMD architectures (2018).

Images of few pixels share a panel, so that the product has columns enough; what belongs to them of the result lies side
by side, in memory of the chunk's own, until the product is done. A filter of one pixel needs no panel.

Arrays are pointers to their elements in C order. Sizes, for all functions: images, groups, then for one group channels
`c` and filters `k`, and the geometry, as (depth, height, width) each: of the image, of a filter, of the result, steps
from pixel to pixel of the result, steps from pixel to pixel of a filter, and how many pixels of margin, which are 0,
the image has before it. product: the address of the matrix product; chunk, chunks: which part of the work, of how many;
memory: OWN_BYTES of the chunk's own, aligned to 64 bytes.

Chunks are whole images if there are enough of them. A few large ones are divided, too: into pieces of lines of the
result, or into filters where there are hardly pixels; the gradient for the images into channels, or into pixels, of
which each chunk adds to its own alone whatever block brings some; that for the filters into elements of a filter. An
element of a result is the same sum in the same order whatever the number of chunks.
"""

from numba.extending import register_jitable
from numgraph.kernels.calls import multiply
from numgraph.kernels.foreign import at, place
from numgraph.kernels.patches import (
    COLUMNS,
    DIRECT,
    GROUPS,
    IMAGE,
    IMAGES,
    LINES,
    OWN_HIGH,
    OWN_LOW,
    PANEL,
    PIECE,
    PIECES,
    PIXELS,
    ROWS,
    SHARED,
    C,
    K,
    block,
    clear,
    division,
    even,
    noted,
    of_group,
    panel_moved,
    side_by_side,
    wide_of,
)
from numgraph.kernels.support import begin_of

# As many rows as a tile of the product has; and filters that a chunk has at least where these are divided.
_TILE, _FILTERS = 6, 24
# So many elements of as many filters are turned at a time.
_SIDE = 16


@register_jitable
def _results_of_chunk(geometry, chunk, chunks):
    """(first, end) of a chunk's pieces of results, of those of all images, and (first, end) of its filters."""
    images, filters = geometry[IMAGES], geometry[GROUPS] * geometry[K]
    per_image = geometry[LINES] * geometry[PIECES]
    begin, end, first, last = 0, images * per_image, 0, filters
    if even(images, chunks):
        step = max(per_image, 1)
        begin, end = begin_of(end, chunk, chunks, step), begin_of(end, chunk + 1, chunks, step)
    elif images * geometry[PIXELS] < 2 * COLUMNS * chunks and filters >= _FILTERS * chunks:
        first, last = begin_of(filters, chunk, chunks, _TILE), begin_of(filters, chunk + 1, chunks, _TILE)
    else:
        begin, end = begin_of(end, chunk, chunks, 1), begin_of(end, chunk + 1, chunks, 1)
    return begin, end, first, last


def convolve(
    out, x, w, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh, bw,
    product, chunk, chunks, memory,
):  # fmt: skip
    """out[n, k, q] = sum over p of w[k, p] * patches[p, q] of image n."""
    geometry = noted(
        memory, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh, bw
    )  # fmt: skip
    image, pixels, direct = geometry[IMAGE], geometry[PIXELS], geometry[DIRECT] != 0
    rows, apart, shared = geometry[ROWS], groups * c * geometry[IMAGE], at(out, memory + SHARED)
    per_image = max(geometry[LINES] * geometry[PIECES], 1)
    piece, end, first, last = _results_of_chunk(geometry, chunk, chunks)
    while piece < end:
        n, b = piece // per_image, piece % per_image
        whole = (end - piece) // per_image if b == 0 else 0
        stop = min(end - n * per_image, per_image)
        deep, many, span, together = division(geometry, whole)
        while b < stop:
            line0, line1, x0, x1, b = block(b, stop, geometry, many, span)
            side = (line1 - line0) * (x1 - x0) * together
            wide = wide_of(side)
            for g in range(groups):
                k0, k1 = of_group(first, last, g, k)
                of, to = (n * groups + g) * c * image, ((n * groups + g) * k + k0) * pixels
                target, step = place(out, to + line0 * ow + x0), pixels
                if together > 1:
                    target, step = memory + SHARED, side
                for p0 in range(0, max(rows, 1) if k1 > k0 else 0, deep):
                    p1 = min(p0 + deep, rows)
                    source, apart_lines = memory + PANEL, wide
                    if direct and together == 1:
                        source, apart_lines = place(x, of + p0 * pixels + line0 * ow + x0), pixels
                    else:
                        panel_moved(False, wide, x, of, apart, together, p0, p1, line0, line1, x0, x1, geometry, memory)
                    multiply(
                        product, out, k1 - k0, side, p1 - p0, place(w, (g * k + k0) * rows + p0), rows, 1, source,
                        apart_lines, 1, p0 > 0, target, step, memory,
                    )  # fmt: skip
                if together > 1:
                    side_by_side(True, shared, out, to, groups * k * pixels, together, k1 - k0, pixels)
        piece = n * per_image + b + (together - 1) * per_image


@register_jitable
def _pixels_of_chunk(geometry, chunk, chunks):
    """(first, end) of a chunk's pixels, of those of all images, and (first, end) of its channels."""
    images, channels, image = geometry[IMAGES], geometry[GROUPS] * geometry[C], geometry[IMAGE]
    begin, end, first, last = 0, images * image, 0, channels
    if even(images, chunks):
        step = max(image, 1)
        begin, end = begin_of(end, chunk, chunks, step), begin_of(end, chunk + 1, chunks, step)
    elif even(channels, chunks):
        first, last = begin_of(channels, chunk, chunks, 1), begin_of(channels, chunk + 1, chunks, 1)
    else:
        begin, end = begin_of(end, chunk, chunks, PIECE), begin_of(end, chunk + 1, chunks, PIECE)
    return begin, end, first, last


@register_jitable
def _meets(geometry, line0, line1, x0, x1):
    """Whether a block may have patches with pixels of the chunk's own."""
    height, width, oh = geometry[1], geometry[2], geometry[7]
    z0, z1, y0, y1 = line0 // oh, (line1 - 1) // oh, line0 % oh, (line1 - 1) % oh
    if z1 > z0:
        y0, y1 = 0, oh - 1
    z0, z1 = z0 * geometry[9] - geometry[15], z1 * geometry[9] - geometry[15] + (geometry[3] - 1) * geometry[12]
    y0, y1 = y0 * geometry[10] - geometry[16], y1 * geometry[10] - geometry[16] + (geometry[4] - 1) * geometry[13]
    x0, x1 = x0 * geometry[11] - geometry[17], (x1 - 1) * geometry[11] - geometry[17] + (geometry[5] - 1) * geometry[14]
    return (z1 * height + y1) * width + x1 >= geometry[OWN_LOW] and (z0 * height + y0) * width + x0 < geometry[OWN_HIGH]


@register_jitable
def _clear_own(out, n, together, first, last, geometry):
    """Set a chunk's pixels of channels of some images to 0."""
    image, channels = geometry[IMAGE], geometry[GROUPS] * geometry[C]
    low, high = geometry[OWN_LOW], geometry[OWN_HIGH]
    if high - low == image:
        for i in range(n, n + together):
            clear(out, (i * channels + first) * image, (last - first) * image)
    else:
        for channel in range(n * channels + first, n * channels + last):
            clear(out, channel * image + low, high - low)


def image_gradient(
    out, g_out, w, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh,
    bw, product, chunk, chunks, memory,
):  # fmt: skip
    """The gradient for the images of `convolve`, of which `g_out` is that for the result: a panel is w.T @ g_out, and
    is added to the pixels that it comes from."""
    geometry = noted(
        memory, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh, bw
    )  # fmt: skip
    image, pixels, direct = geometry[IMAGE], geometry[PIXELS], geometry[DIRECT] != 0
    rows, apart, shared = geometry[ROWS], groups * c * geometry[IMAGE], at(out, memory + SHARED)
    per_image, taps = geometry[LINES] * geometry[PIECES] if pixels > 0 else 0, kd * kh * kw
    pixel, end, first, last = _pixels_of_chunk(geometry, chunk, chunks)
    while pixel < end:
        n = pixel // image
        low, high = pixel - n * image, min(end - n * image, image)
        geometry[OWN_LOW], geometry[OWN_HIGH] = low, high
        deep, many, span, together = 1, 1, 1, 1
        if pixels > 0:
            deep, many, span, together = division(geometry, (end - pixel) // image if low == 0 else 0)
        _clear_own(out, n, together, first, last, geometry)
        b = 0
        while b < per_image:
            line0, line1, x0, x1, b = block(b, per_image, geometry, many, span)
            near = _meets(geometry, line0, line1, x0, x1)
            side, shift = (line1 - line0) * (x1 - x0) * together, line0 * ow + x0
            if direct and together == 1:
                side, shift = high - low, low
            wide = wide_of(side)
            for g in range(groups):
                c0, c1 = of_group(first, last, g, c)
                to, of = (n * groups + g) * c * image, (n * groups + g) * k * pixels
                source, step = place(g_out, of + shift), pixels
                if together > 1 and c1 > c0:
                    source, step = memory + SHARED, side
                    side_by_side(False, shared, g_out, of, groups * k * pixels, together, k, pixels)
                for p0 in range(c0 * taps, c1 * taps if near else 0, deep):
                    p1 = min(p0 + deep, c1 * taps)
                    target, apart_lines = memory + PANEL, wide
                    if direct and together == 1:
                        target, apart_lines = place(out, to + p0 * pixels + shift), pixels
                    multiply(
                        product, out, p1 - p0, side, k, place(w, g * k * rows + p0), 1, rows, source, step, 1, False,
                        target, apart_lines, memory,
                    )  # fmt: skip
                    if not (direct and together == 1):
                        panel_moved(
                            True, wide, out, to, apart, together, p0, p1, line0, line1, x0, x1, geometry, memory
                        )
        pixel = (n + together - 1) * image + high


@register_jitable
def _rows_of_chunk(geometry, parts, chunk, chunks):
    """(first, end) of a chunk's elements of filters, of those of all parts and groups."""
    rows = geometry[GROUPS] * geometry[ROWS]
    step = max(rows, 1) if even(parts, chunks) else _TILE
    return begin_of(parts * rows, chunk, chunks, step), begin_of(parts * rows, chunk + 1, chunks, step)


@register_jitable
def _pieces_of_part(geometry, part, parts):
    """Where a part begins, in pieces of the results of all images: whole images if there are as many as parts."""
    images, per_image = geometry[IMAGES], geometry[LINES] * geometry[PIECES]
    return images * part // parts * per_image if images >= parts else images * per_image * part // parts


def filter_gradient(
    out, x, g_out, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh,
    bw, parts, product, chunk, chunks, memory,
):  # fmt: skip
    """out[part, g, p, k] = the gradient for the filters of `convolve`, of a part of the images, or of their lines."""
    geometry = noted(
        memory, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh, bw
    )  # fmt: skip
    image, pixels, direct = geometry[IMAGE], geometry[PIXELS], geometry[DIRECT] != 0
    rows, apart, shared = geometry[ROWS], groups * c * geometry[IMAGE], at(out, memory + SHARED)
    per_image = max(geometry[LINES] * geometry[PIECES], 1)
    begin, end = _rows_of_chunk(geometry, parts, chunk, chunks)
    clear(out, begin * k, (end - begin) * k)
    part = begin // max(groups * rows, 1)
    while part * groups * rows < end:
        first, last = of_group(begin, end, part, groups * rows)
        piece, until = _pieces_of_part(geometry, part, parts), _pieces_of_part(geometry, part + 1, parts)
        while piece < until:
            n, b = piece // per_image, piece % per_image
            stop = min(until - n * per_image, per_image)
            deep, many, span, together = division(geometry, (until - piece) // per_image if b == 0 else 0)
            while b < stop:
                line0, line1, x0, x1, b = block(b, stop, geometry, many, span)
                side = (line1 - line0) * (x1 - x0) * together
                wide = wide_of(side)
                for g in range(groups):
                    r0, r1 = of_group(first, last, g, rows)
                    of, to = (n * groups + g) * c * image, (n * groups + g) * k * pixels
                    source, step = place(g_out, to + line0 * ow + x0), pixels
                    if together > 1 and r1 > r0:
                        source, step = memory + SHARED, side
                        side_by_side(False, shared, g_out, to, groups * k * pixels, together, k, pixels)
                    for p0 in range(r0, r1, deep):
                        p1 = min(p0 + deep, r1)
                        patches, apart_lines = memory + PANEL, wide
                        if direct and together == 1:
                            patches, apart_lines = place(x, of + p0 * pixels + line0 * ow + x0), pixels
                        else:
                            panel_moved(
                                False, wide, x, of, apart, together, p0, p1, line0, line1, x0, x1, geometry, memory
                            )
                        multiply(
                            product, out, p1 - p0, k, side, patches, apart_lines, 1, source, 1, step, True,
                            place(out, ((part * groups + g) * rows + p0) * k), k, memory,
                        )  # fmt: skip
            piece = n * per_image + b + (together - 1) * per_image
        part += 1


def join_parts(out, sums, parts, groups, rows, k, chunk, chunks, memory):
    """out[g, k, p] = sums[part, g, p, k] added up over the parts, in order: squares of them, in memory of the chunk's
    own, so that lines are read and written whole."""
    begin, end = begin_of(groups * k, chunk, chunks, 1), begin_of(groups * k, chunk + 1, chunks, 1)
    square = at(out, memory)
    for g in range(groups):
        first, last = of_group(begin, end, g, k)
        for k0 in range(first, last, _SIDE):
            many = min(_SIDE, last - k0)
            for p0 in range(0, rows, _SIDE):
                side = min(_SIDE, rows - p0)
                for p in range(side):
                    line = (g * rows + p0 + p) * k + k0
                    for f in range(many):
                        square[p * _SIDE + f] = sums[line + f]
                    for part in range(1, parts):
                        for f in range(many):
                            square[p * _SIDE + f] += sums[line + part * groups * rows * k + f]
                for f in range(many):
                    for p in range(side):
                        out[(g * k + k0 + f) * rows + p0 + p] = square[p * _SIDE + f]

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
the image has before it. product: the address of the matrix product; begin, end: which rows of the result; memory:
OWN_BYTES of the chunk's own, aligned to 64 bytes.
"""

from numba.extending import register_jitable
from numgraph.kernels.calls import multiply
from numgraph.kernels.foreign import at, place
from numgraph.kernels.moves import add_eight, add_four, move_eight, move_four
from numgraph.kernels.support import i64

# Behind what a product works in (`tiles.SCRATCH_BYTES`) lie a panel, the columns of several images, and the geometry.
_PANEL, _PANEL_ELEMENTS = 1 << 20, 1 << 16
_SHARED, _SHARED_ELEMENTS = (1 << 20) + (1 << 19), 1 << 15
_GEOMETRY = (1 << 20) + (1 << 19) + (1 << 18)
OWN_BYTES = _GEOMETRY + 4096
# Rows of a panel at most. The products of two panels are added to each other: a function of the filters alone.
_DEEP = 512
# Columns that a panel has at least, if there are images enough; and at most, if there are more filters than `_FEW`: the
# product would copy the panel once more.
_COLUMNS = 64
_FEW = 48


@register_jitable
def _copy_lines(to, t, below, x, f, apart, lines, count, step):
    """Copy `lines` lines of `count` elements, `step` apart in x, side by side: lines begin `apart` from each other in
    x, and `below` in `to`."""
    if step == 1 and count >= 8:
        for j in range(0, count - 8, 8):
            for line in range(lines):
                move_eight(to, t + line * below + j, x, f + line * apart + j)
        for line in range(lines):
            move_eight(to, t + line * below + count - 8, x, f + line * apart + count - 8)
    elif step == 1 and count >= 4:
        for line in range(lines):
            move_four(to, t + line * below, x, f + line * apart)
            move_four(to, t + line * below + count - 4, x, f + line * apart + count - 4)
    else:
        for line in range(lines):
            for j in range(count):
                to[t + line * below + j] = x[f + line * apart + j * step]


@register_jitable
def _add_lines(to, t, apart, x, f, below, lines, count, step):
    """Add `lines` lines of `count` elements of x, which lie side by side, to ones that are `step` apart."""
    j = 0
    if step == 1:
        while j + 8 <= count:
            for line in range(lines):
                add_eight(to, t + line * apart + j, x, f + line * below + j)
            j += 8
        if j + 4 <= count:
            for line in range(lines):
                add_four(to, t + line * apart + j, x, f + line * below + j)
            j += 4
    while j < count:
        for line in range(lines):
            to[t + line * apart + j * step] += x[f + line * below + j]
        j += 1


@register_jitable
def _clear(to, t, count):
    for j in range(count):
        to[t + j] = 0


@register_jitable
def _first(step, shift):
    """The first pixel of a line of the result that looks at no pixel before the image: at pixel * step + shift."""
    return (step - 1 - shift) // step if shift < 0 else 0


@register_jitable
def _end(step, shift, length):
    """Behind the last pixel of a line of the result that looks at none of `length` pixels' end."""
    return (length - 1 - shift) // step + 1 if shift < length else 0


@register_jitable
def _move(back, panel, wide, x, start, p0, p1, line0, line1, x0, x1, geometry):
    """Fill a panel with rows p0 to p1 of the patches of the image that begins at x[start], columns x0 to x1 of lines
    line0 to line1 of the result; or, `back`, add the panel to the pixels that these are. Rows are `wide` apart."""
    depth, height, width, kd, kh, kw = geometry[0], geometry[1], geometry[2], geometry[3], geometry[4], geometry[5]
    oh, sd, sh, sw = geometry[7], geometry[9], geometry[10], geometry[11]
    dd, dh, dw, bd, bh, bw = geometry[12], geometry[13], geometry[14], geometry[15], geometry[16], geometry[17]
    s, rest = p0 % kw, p0 // kw
    r, rest = rest % kh, rest // kh
    t, c = rest % kd, rest // kd
    many, span = line1 - line0, x1 - x0
    z0, y0 = line0 // oh, line0 % oh
    # all lines of the panel are of one plane
    plane = y0 + many <= oh
    for p in range(p0, p1):
        to = (p - p0) * wide
        shift, down = s * dw - bw, r * dh - bh
        u = min(max(_first(sw, shift), x0), x1)
        v = max(min(_end(sw, shift, width), x1), u)
        row = start + c * depth * height * width + u * sw + shift
        iz = z0 * sd + t * dd - bd
        whole = plane and v - u == span and iz >= 0 and iz < depth
        if whole and y0 * sh + down >= 0 and (y0 + many - 1) * sh + down < height:
            row += (iz * height + y0 * sh + down) * width
            if back:
                _add_lines(x, row, sh * width, panel, to, span, many, span, sw)
            else:
                _copy_lines(panel, to, span, x, row, sh * width, many, span, sw)
        else:
            for line in range(line0, line1):
                iz, iy = line // oh * sd + t * dd - bd, line % oh * sh + down
                inside = iz >= 0 and iz < depth and iy >= 0 and iy < height
                at_line = row + (iz * height + iy) * width
                if back and inside:
                    _add_lines(x, at_line, 0, panel, to + u - x0, 0, 1, v - u, sw)
                elif inside:
                    _clear(panel, to, u - x0)
                    _copy_lines(panel, to + u - x0, 0, x, at_line, 0, 1, v - u, sw)
                    _clear(panel, to + v - x0, x1 - v)
                elif not back:
                    _clear(panel, to, span)
                to += span
        s += 1
        if s == kw:
            s, r = 0, r + 1
            if r == kh:
                r, t = 0, t + 1
                if t == kd:
                    t, c = 0, c + 1


@register_jitable
def _panel(back, wide, x, of, apart, together, p0, p1, line0, line1, x0, x1, geometry, memory):
    """`_move` for `together` images, the first at x[of], whose columns of the panel are side by side."""
    for i in range(together):
        panel = at(x, memory + _PANEL)
        panel = at(x, place(panel, i * (line1 - line0) * (x1 - x0)))
        _move(back, panel, wide, x, of + i * apart, p0, p1, line0, line1, x0, x1, geometry)


@register_jitable
def _side_by_side(back, shared, x, of, apart, together, k, pixels):
    """Put the k rows of pixels of several images side by side, or, `back`, where they come from."""
    for i in range(together):
        for f in range(k):
            there, here = of + i * apart + f * pixels, (f * together + i) * pixels
            if back:
                _copy_lines(x, there, 0, shared, here, 0, 1, pixels, 1)
            else:
                _copy_lines(shared, here, 0, x, there, 0, 1, pixels, 1)


@register_jitable
def _noted(
    memory, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh, bw
):  # fmt: skip
    """The geometry in the chunk's memory: arguments of a small function would be as long as it is."""
    geometry = i64(memory + _GEOMETRY)
    geometry[0], geometry[1], geometry[2], geometry[3], geometry[4], geometry[5] = depth, height, width, kd, kh, kw
    geometry[6], geometry[7], geometry[8], geometry[9], geometry[10], geometry[11] = od, oh, ow, sd, sh, sw
    geometry[12], geometry[13], geometry[14], geometry[15], geometry[16], geometry[17] = dd, dh, dw, bd, bh, bw
    return geometry


@register_jitable
def _are_image(geometry):
    """Whether the patches are the image: filters of one pixel at each of its pixels."""
    same = True
    for axis in range(3):
        size, filter_size, pixels = geometry[axis], geometry[3 + axis], geometry[6 + axis]
        same = same and filter_size == 1 and pixels == size and geometry[9 + axis] == 1 and geometry[15 + axis] == 0
    return same


@register_jitable
def _wide(columns):
    """How far apart rows of a panel are: whole vectors, and no power of two, whose multiples compete for the same lines
    of the cache."""
    wide = (columns + 15) // 16 * 16
    return wide + 16 if wide % 256 == 0 else wide


@register_jitable
def _division(direct, rows, lines, ow, left, k):
    """(rows of a panel, lines of the result, columns of these, images that share it) for `left` images."""
    deep = max(min(rows, _DEEP), 1)
    pixels = lines * ow
    room = _PANEL_ELEMENTS // deep // 16 * 16 - 32 if k <= _FEW else _COLUMNS
    if pixels < _COLUMNS and left > 1:
        images = min(min(_COLUMNS // pixels + 1, left), min(room // pixels, _SHARED_ELEMENTS // max(k * pixels, 1)))
        return deep, lines, ow, max(images, 1)
    if direct:
        return deep, lines, ow, 1
    if ow > room:
        return deep, 1, room, 1
    return deep, min(room // ow, lines), ow, 1


@register_jitable
def _blocks(groups, lines, ow, many, span):
    """How many blocks of columns there are, with all groups."""
    return (lines + many - 1) // many * ((ow + span - 1) // span) * groups


@register_jitable
def _block(b, groups, lines, ow, many, span):
    """(group, first line, end of the lines, first column of a line, end of these) of a block."""
    pieces = (ow + span - 1) // span
    line0, x0 = b // groups // pieces * many, b // groups % pieces * span
    return b % groups, line0, min(line0 + many, lines), x0, min(x0 + span, ow)


def convolve(
    out, x, w, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh, bw,
    product, begin, end, memory,
):  # fmt: skip
    """out[n, k, q] = sum over p of w[k, p] * patches[p, q] of image n, for images begin to end."""
    geometry = _noted(memory, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh, bw)
    image, lines, pixels, whole = depth * height * width, od * oh, od * oh * ow, _are_image(geometry)
    rows, apart = c * kd * kh * kw, groups * c * image
    shared = at(out, memory + _SHARED)
    n = begin
    while n < end and pixels > 0:
        deep, many, span, together = _division(whole, rows, lines, ow, end - n, k)
        for b in range(_blocks(groups, lines, ow, many, span)):
            g, line0, line1, x0, x1 = _block(b, groups, lines, ow, many, span)
            of, to = (n * groups + g) * c * image, (n * groups + g) * k * pixels
            side = (line1 - line0) * (x1 - x0) * together
            wide = _wide(side)
            target, step = place(out, to + line0 * ow + x0), pixels
            if together > 1:
                target, step = memory + _SHARED, side
            for p0 in range(0, max(rows, 1), deep):
                p1 = min(p0 + deep, rows)
                source, apart_lines = memory + _PANEL, wide
                if whole and together == 1:
                    source, apart_lines = place(x, of + p0 * pixels), pixels
                else:
                    _panel(False, wide, x, of, apart, together, p0, p1, line0, line1, x0, x1, geometry, memory)
                multiply(
                    product, out, k, side, p1 - p0, place(w, g * k * rows + p0), rows, 1, source, apart_lines, 1,
                    p0 > 0, target, step, memory,
                )  # fmt: skip
            if together > 1:
                _side_by_side(True, shared, out, to, groups * k * pixels, together, k, pixels)
        n += together


def image_gradient(
    out, g_out, w, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh,
    bw, product, begin, end, memory,
):  # fmt: skip
    """The gradient for the images of `convolve`, of which `g_out` is that for the result: a panel is w.T @ g_out, and
    is added to the pixels that it comes from."""
    geometry = _noted(memory, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh, bw)
    image, lines, pixels, whole = depth * height * width, od * oh, od * oh * ow, _are_image(geometry)
    rows, apart = c * kd * kh * kw, groups * c * image
    shared = at(out, memory + _SHARED)
    _clear(out, begin * apart, (end - begin) * apart)
    n = begin
    while n < end and pixels > 0:
        deep, many, span, together = _division(whole, rows, lines, ow, end - n, k)
        for b in range(_blocks(groups, lines, ow, many, span)):
            g, line0, line1, x0, x1 = _block(b, groups, lines, ow, many, span)
            to, of = (n * groups + g) * c * image, (n * groups + g) * k * pixels
            side = (line1 - line0) * (x1 - x0) * together
            wide = _wide(side)
            source, step = place(g_out, of + line0 * ow + x0), pixels
            if together > 1:
                source, step = memory + _SHARED, side
                _side_by_side(False, shared, g_out, of, groups * k * pixels, together, k, pixels)
            for p0 in range(0, rows, deep):
                p1 = min(p0 + deep, rows)
                target, apart_lines = memory + _PANEL, wide
                if whole and together == 1:
                    target, apart_lines = place(out, to + p0 * pixels), pixels
                multiply(
                    product, out, p1 - p0, side, k, place(w, g * k * rows + p0), 1, rows, source, step, 1, False,
                    target, apart_lines, memory,
                )  # fmt: skip
                if not (whole and together == 1):
                    _panel(True, wide, out, to, apart, together, p0, p1, line0, line1, x0, x1, geometry, memory)
        n += together


def filter_gradient(
    out, x, g_out, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh,
    bw, parts, product, begin, end, memory,
):  # fmt: skip
    """out[part, g, p, k] = the gradient for the filters of `convolve`, of a part of the images each."""
    geometry = _noted(memory, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh, bw)
    image, lines, pixels, whole = depth * height * width, od * oh, od * oh * ow, _are_image(geometry)
    rows, apart = c * kd * kh * kw, groups * c * image
    shared = at(out, memory + _SHARED)
    _clear(out, begin * groups * rows * k, (end - begin) * groups * rows * k)
    for part in range(begin, end):
        n, last = images * part // parts, images * (part + 1) // parts
        while n < last and pixels > 0:
            deep, many, span, together = _division(whole, rows, lines, ow, last - n, k)
            for b in range(_blocks(groups, lines, ow, many, span)):
                g, line0, line1, x0, x1 = _block(b, groups, lines, ow, many, span)
                first, of = (n * groups + g) * c * image, (n * groups + g) * k * pixels
                side = (line1 - line0) * (x1 - x0) * together
                wide = _wide(side)
                source, step = place(g_out, of + line0 * ow + x0), pixels
                if together > 1:
                    source, step = memory + _SHARED, side
                    _side_by_side(False, shared, g_out, of, groups * k * pixels, together, k, pixels)
                for p0 in range(0, rows, deep):
                    p1 = min(p0 + deep, rows)
                    patches, apart_lines = memory + _PANEL, wide
                    if whole and together == 1:
                        patches, apart_lines = place(x, first + p0 * pixels), pixels
                    else:
                        _panel(False, wide, x, first, apart, together, p0, p1, line0, line1, x0, x1, geometry, memory)
                    multiply(
                        product, out, p1 - p0, k, side, patches, apart_lines, 1, source, 1, step, True,
                        place(out, ((part * groups + g) * rows + p0) * k), k, memory,
                    )  # fmt: skip
            n += together

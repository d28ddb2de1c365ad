"""Patches of images, the pixels that a filter looks at from each place, in panels for matrix products; and how their
work is divided. What it is for, and the names, are in `convolutions`."""

from numba.extending import register_jitable
from numgraph.kernels.foreign import at, place
from numgraph.kernels.moves import add_eight, add_four, clear_eight, move_eight, move_four, move_many
from numgraph.kernels.support import i64

# Behind what a product works in (`tiles.SCRATCH_BYTES`) lie a panel, the columns of several images, and the geometry.
PANEL, PANEL_ELEMENTS = 1 << 20, 1 << 16
SHARED, SHARED_ELEMENTS = (1 << 20) + (1 << 19), 1 << 15
GEOMETRY = (1 << 20) + (1 << 19) + (1 << 18)
OWN_BYTES = GEOMETRY + 4096
# Rows of a panel at most. The products of two panels are added to each other: a function of the filters alone.
_DEEP = 512
# Columns that a panel has at least, if there are images enough; and at most, if there are more filters than `_FEW`: of
# a wider one the product would make a copy.
COLUMNS, _MOST_COLUMNS = 64, 128
_FEW = 48
# Of a line of the result at least so many pixels are together.
PIECE = 16
# Where the geometry has what is not that of one axis.
IMAGES, GROUPS, C, K, LINES, PIECES, PIXELS, IMAGE, ROWS, DIRECT, OWN_LOW, OWN_HIGH = range(18, 30)


@register_jitable
def _copy_lines(to, t, below, x, f, apart, lines, count, step):
    """Copy `lines` lines of `count` elements, `step` apart in x, side by side: lines begin `apart` from each other in
    x, and `below` in `to`."""
    if step == 1 and count >= 32:
        for line in range(lines):
            source, target = f + line * apart, t + line * below
            for j in range(0, count - 32, 32):
                move_many(to, target + j, x, source + j)
            move_many(to, target + count - 32, x, source + count - 32)
    elif step == 1 and count >= 8:
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
def clear(to, t, count):
    """Set elements to 0."""
    for j in range(count):
        to[t + j] = 0


@register_jitable
def _clear_ends(to, t, first, last, count):
    """Set those before the first and from the last on of `count` elements to 0; those between may become 0."""
    if count >= 8 and first <= 8 and count - last <= 8:
        clear_eight(to, t)
        clear_eight(to, t + count - 8)
    else:
        clear(to, t, first)
        clear(to, t + last, count - last)


@register_jitable
def _first(step, shift):
    """The first pixel of a line of the result that looks at no pixel before the image: at pixel * step + shift."""
    if shift >= 0:
        return 0
    return -shift if step == 1 else (step - 1 - shift) // step


@register_jitable
def _end(step, shift, length):
    """Behind the last pixel of a line of the result that looks at none of `length` pixels' end."""
    if shift >= length:
        return 0
    return length - shift if step == 1 else (length - 1 - shift) // step + 1


@register_jitable
def _move(back, panel, wide, x, start, p0, p1, line0, line1, x0, x1, geometry):
    """Fill a panel with rows p0 to p1 of the patches of the image that begins at x[start], columns x0 to x1 of lines
    line0 to line1 of the result; or, `back`, add the panel to the pixels that these are, as far as these are the
    chunk's own. Rows are `wide` apart."""
    depth, height, width, kd, kh, kw = geometry[0], geometry[1], geometry[2], geometry[3], geometry[4], geometry[5]
    oh, sd, sh, sw = geometry[7], geometry[9], geometry[10], geometry[11]
    dd, dh, dw, bd, bh, bw = geometry[12], geometry[13], geometry[14], geometry[15], geometry[16], geometry[17]
    low, high = geometry[OWN_LOW], geometry[OWN_HIGH]
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
        channel, row = start + c * depth * height * width, u * sw + shift
        iz = z0 * sd + t * dd - bd
        whole = plane and v - u == span and iz >= 0 and iz < depth
        whole = whole and y0 * sh + down >= 0 and (y0 + many - 1) * sh + down < height
        if back and whole:
            begin = (iz * height + y0 * sh + down) * width + row
            whole = begin >= low and begin + (many - 1) * sh * width + (span - 1) * sw < high
        if whole:
            row += channel + (iz * height + y0 * sh + down) * width
            if back:
                _add_lines(x, row, sh * width, panel, to, span, many, span, sw)
            else:
                _copy_lines(panel, to, span, x, row, sh * width, many, span, sw)
        else:
            iy, y_end = y0 * sh + down, oh * sh + down
            for _ in range(many):
                inside = iz >= 0 and iz < depth and iy >= 0 and iy < height
                at_line = channel + row + (iz * height + iy) * width
                if back and inside:
                    a, b, first = u, v, (iz * height + iy) * width + shift
                    if first + u * sw < low or first + (v - 1) * sw >= high:
                        a = max(u, _first(sw, first - low))
                        b = min(v, _end(sw, first, high))
                    _add_lines(x, at_line + (a - u) * sw, 0, panel, to + a - x0, 0, 1, b - a, sw)
                elif inside:
                    _clear_ends(panel, to, u - x0, v - x0, span)
                    _copy_lines(panel, to + u - x0, 0, x, at_line, 0, 1, v - u, sw)
                elif not back:
                    clear(panel, to, span)
                to += span
                iy += sh
                if iy == y_end:
                    iy, iz = down, iz + sd
        s += 1
        if s == kw:
            s, r = 0, r + 1
            if r == kh:
                r, t = 0, t + 1
                if t == kd:
                    t, c = 0, c + 1


@register_jitable
def panel_moved(back, wide, x, of, apart, together, p0, p1, line0, line1, x0, x1, geometry, memory):
    """`_move` for `together` images, the first at x[of], whose columns of the panel are side by side."""
    for i in range(together):
        panel = at(x, memory + PANEL)
        panel = at(x, place(panel, i * (line1 - line0) * (x1 - x0)))
        _move(back, panel, wide, x, of + i * apart, p0, p1, line0, line1, x0, x1, geometry)


@register_jitable
def side_by_side(back, shared, x, of, apart, together, k, pixels):
    """Put the k rows of pixels of several images side by side, or, `back`, where they come from."""
    for i in range(together):
        for f in range(k):
            there, here = of + i * apart + f * pixels, (f * together + i) * pixels
            if back:
                _copy_lines(x, there, 0, shared, here, 0, 1, pixels, 1)
            else:
                _copy_lines(shared, here, 0, x, there, 0, 1, pixels, 1)


@register_jitable
def noted(
    memory, images, groups, c, k, depth, height, width, kd, kh, kw, od, oh, ow, sd, sh, sw, dd, dh, dw, bd, bh, bw
):  # fmt: skip
    """The geometry in the chunk's memory: arguments of a small function would be as long as it is."""
    geometry = i64(memory + GEOMETRY)
    geometry[0], geometry[1], geometry[2], geometry[3], geometry[4], geometry[5] = depth, height, width, kd, kh, kw
    geometry[6], geometry[7], geometry[8], geometry[9], geometry[10], geometry[11] = od, oh, ow, sd, sh, sw
    geometry[12], geometry[13], geometry[14], geometry[15], geometry[16], geometry[17] = dd, dh, dw, bd, bh, bw
    geometry[IMAGES], geometry[GROUPS], geometry[C], geometry[K] = images, groups, c, k
    geometry[LINES], geometry[PIECES] = od * oh, (ow + PIECE - 1) // PIECE
    geometry[PIXELS], geometry[IMAGE], geometry[ROWS] = od * oh * ow, depth * height * width, c * kd * kh * kw
    geometry[DIRECT] = _are_image(geometry)
    geometry[OWN_LOW], geometry[OWN_HIGH] = 0, depth * height * width
    return geometry


@register_jitable
def _are_image(geometry):
    """1 if the patches are the image, filters of one pixel at each of its pixels; else 0."""
    same = 1
    for axis in range(3):
        size, filter_size, pixels = geometry[axis], geometry[3 + axis], geometry[6 + axis]
        if filter_size != 1 or pixels != size or geometry[9 + axis] != 1 or geometry[15 + axis] != 0:
            same = 0
    return same


@register_jitable
def wide_of(columns):
    """How far apart rows of a panel are: whole vectors, and no power of two, whose multiples compete for the same lines
    of the cache."""
    wide = (columns + 15) // 16 * 16
    return wide + 16 if wide % 256 == 0 else wide


@register_jitable
def division(geometry, left):
    """(rows of a panel, lines of the result, columns of these, images that share it) for `left` images."""
    k, lines, ow = geometry[K], geometry[LINES], geometry[8]
    deep = max(min(geometry[ROWS], _DEEP), 1)
    pixels = lines * ow
    room = PANEL_ELEMENTS // deep // 16 * 16 - 32 if k <= _FEW else _MOST_COLUMNS
    if pixels < COLUMNS and left > 1:
        images = min(min(COLUMNS // pixels + 1, left), min(room // pixels, SHARED_ELEMENTS // max(k * pixels, 1)))
        return deep, lines, ow, max(images, 1)
    if geometry[DIRECT] != 0:
        return deep, lines, ow, 1
    if ow > room:
        return deep, 1, room, 1
    return deep, min(room // ow, lines), ow, 1


@register_jitable
def block(piece, end, geometry, many, span):
    """(first line, end of the lines, first column, end of the columns, the piece behind it) of the block of an image
    that begins with a piece: up to `many` whole lines, or one of which `span` columns or what is left before `end`."""
    pieces, ow = geometry[PIECES], geometry[8]
    line, x0 = piece // pieces, piece % pieces * PIECE
    left = (end - piece) // pieces
    if x0 == 0 and span == ow and left > 0:
        line1 = line + min(many, left)
        return line, line1, x0, ow, line1 * pieces
    x1 = min(min(x0 + span, (end - line * pieces) * PIECE), ow)
    return line, line + 1, x0, x1, line * pieces + (x1 + PIECE - 1) // PIECE


@register_jitable
def even(count, chunks):
    """Whether the largest chunk of whole ones of so many takes an eighth longer than the average at most."""
    return 8 * ((count + chunks - 1) // chunks * chunks - count) <= count


@register_jitable
def of_group(begin, end, group, count):
    """(begin, end) in a group of `count` of what is numbered through all groups."""
    first = max(begin - group * count, 0)
    return first, max(min(end - group * count, count), first)

"""Transforms of blocks of lines, of any length: what `fourier` does between reading lines and writing them.

Blocks are those of `butterflies`, their lines side by side. Long lines, which stand alone, are matrices.
"""

import math

from numba.extending import register_jitable
from numgraph.kernels.butterflies import (
    butterfly_2,
    butterfly_3,
    butterfly_4,
    butterfly_5,
    butterfly_7,
    butterfly_8,
    butterfly_11,
    butterfly_13,
    lanes_of,
    move,
    take_square,
    twist,
)
from numgraph.kernels.foreign import at, place
from numgraph.kernels.support import f64

# Numbers in a line from which on it is a matrix.
_LONG_LINE = 4096
_TURN = 6.283185307179586


# ------------------------------------------------------------------------------------------------------------- lengths


@register_jitable
def _radix(n):
    """What a pass over lines of n numbers divides them by; 0 where n has a larger prime."""
    if n % 8 == 0 and n != 16:
        return 8
    if n % 4 == 0:
        return 4
    if n % 2 == 0:
        return 2
    if n % 3 == 0:
        return 3
    if n % 5 == 0:
        return 5
    if n % 7 == 0:
        return 7
    if n % 11 == 0:
        return 11
    return 13 if n % 13 == 0 else 0


@register_jitable
def _is_smooth(n):
    """Whether all primes of n are at most 13."""
    left = n
    radix = _radix(left)
    while left > 1 and radix > 0:
        left = left // radix
        radix = _radix(left)
    return left <= 1


@register_jitable
def _padded(n):
    """The length of the convolution for n: the first from 2 n - 1 on without large primes."""
    m = max(2 * n - 1, 1)
    while not _is_smooth(m):
        m += 1
    return m


@register_jitable
def _rows_of(n):
    """The largest divisor of n up to its root."""
    found = 1
    k = 2
    while k * k <= n:
        if n % k == 0:
            found = k
        k += 1
    return found


# --------------------------------------------------------------------------------------------------------------- roots


@register_jitable
def _cosine(k, n):
    """cos(2 pi k / n) for 0 <= k < n, by an angle of an eighth of a turn at most."""
    eighths = 8 * k
    if eighths > 4 * n:
        eighths = 8 * n - eighths
    # cos(pi - x) is -cos(x), cos(pi / 2 - x) is sin(x)
    sign = 1.0
    if eighths > 2 * n:
        eighths = 4 * n - eighths
        sign = -1.0
    if eighths > n:
        return sign * math.sin(_TURN * (2 * n - eighths) / (8 * n))
    return sign * math.cos(_TURN * eighths / (8 * n))


@register_jitable
def _sine(k, n):
    """sin(2 pi k / n) for 0 <= k < n."""
    quarter = 4 * k - n
    # cos(x - pi / 2)
    return _cosine(quarter if quarter >= 0 else quarter + 4 * n, 4 * n)


@register_jitable
def _roots(like, table, n):
    """A table of exp(-2 pi i k / n), for all k below n: products of two roots of fewer."""
    w = at(like, table)
    few = 1
    while few * few < n:
        few += 1
    # behind the table, in float64
    fine = f64(place(w, 2 * n))
    for k in range(few):
        fine[2 * k], fine[2 * k + 1] = _cosine(k, n), -_sine(k, n)
    begin = 0
    while begin < n:
        c, s = _cosine(begin, n), -_sine(begin, n)
        for k in range(min(few, n - begin)):
            x, y = fine[2 * k], fine[2 * k + 1]
            w[begin + k] = c * x - s * y
            w[n + begin + k] = c * y + s * x
        begin += few


# -------------------------------------------------------------------------------------------------------------- passes


@register_jitable
def _pass_of_eight(x, y, size, m, width, w, count, turn, lanes):
    for p in range(m):
        for q in range(0, width, lanes):
            butterfly_8(x, y, size, q + width * p, width * m, q + width * 8 * p, width, w, count, p * turn)


@register_jitable
def _pass_of_four(x, y, size, m, width, w, count, turn, lanes):
    for p in range(m):
        for q in range(0, width, lanes):
            butterfly_4(x, y, size, q + width * p, width * m, q + width * 4 * p, width, w, count, p * turn)


@register_jitable
def _pass_of_two(x, y, size, m, width, w, count, turn, lanes):
    for p in range(m):
        for q in range(0, width, lanes):
            butterfly_2(x, y, size, q + width * p, width * m, q + width * 2 * p, width, w, count, p * turn)


@register_jitable
def _pass_of_three(x, y, size, m, width, w, count, turn, lanes):
    for p in range(m):
        for q in range(0, width, lanes):
            butterfly_3(x, y, size, q + width * p, width * m, q + width * 3 * p, width, w, count, p * turn)


@register_jitable
def _pass_of_five(x, y, size, m, width, w, count, turn, lanes):
    for p in range(m):
        for q in range(0, width, lanes):
            butterfly_5(x, y, size, q + width * p, width * m, q + width * 5 * p, width, w, count, p * turn)


@register_jitable
def _pass_of_more(radix, x, y, size, m, width, w, count, turn, lanes):
    for p in range(m):
        for q in range(0, width, lanes):
            source, target = q + width * p, q + width * radix * p
            if radix == 7:
                butterfly_7(x, y, size, source, width * m, target, width, w, count, p * turn)
            elif radix == 11:
                butterfly_11(x, y, size, source, width * m, target, width, w, count, p * turn)
            else:
                butterfly_13(x, y, size, source, width * m, target, width, w, count, p * turn)


@register_jitable
def _passes(like, block, other, n, table, count):
    """Transform blocks of n vectors; two blocks take turns, and the address of the last one is returned. The table has
    `count` roots, a multiple of n."""
    lanes = lanes_of(like)
    w, size, left, width = at(like, table), n * lanes, n, lanes
    while left > 1:
        x, y, radix = at(like, block), at(like, other), _radix(left)
        m, turn = left // radix, count // left
        if radix == 8:
            _pass_of_eight(x, y, size, m, width, w, count, turn, lanes)
        elif radix == 4:
            _pass_of_four(x, y, size, m, width, w, count, turn, lanes)
        elif radix == 2:
            _pass_of_two(x, y, size, m, width, w, count, turn, lanes)
        elif radix == 3:
            _pass_of_three(x, y, size, m, width, w, count, turn, lanes)
        elif radix == 5:
            _pass_of_five(x, y, size, m, width, w, count, turn, lanes)
        else:
            _pass_of_more(radix, x, y, size, m, width, w, count, turn, lanes)
        kept = block
        block = other
        other = kept
        width, left = width * radix, m
    return block


# ---------------------------------------------------------------------------------------------------------- long lines


@register_jitable
def _columns_of_matrix(like, block, other, rows, columns, table, count, work):
    """Of one line in `block`, a matrix, transform the columns, and multiply by roots; the result is in `other`."""
    lanes = lanes_of(like)
    x, y, w, n = at(like, block), at(like, other), at(like, table), rows * columns
    a, size, unit = at(like, work), rows * lanes, count // n
    for c in range(0, columns, lanes):
        there = min(lanes, columns - c)
        for j in range(rows):
            if there == lanes:
                move(x, j * columns + c, a, j * lanes)
                move(x, n + j * columns + c, a, size + j * lanes)
            else:
                for q in range(lanes):
                    k = j * columns + c + min(q, there - 1)
                    a[j * lanes + q], a[size + j * lanes + q] = x[k], x[n + k]
        b = at(like, _passes(like, work, place(a, 2 * size), rows, table, count))
        for j in range(rows):
            if there == lanes:
                twist(b, size, j * lanes, y, n, j * columns + c, w, count, j * c * unit, j * unit)
            else:
                for q in range(there):
                    k = j * (c + q) * unit
                    u, v, cosine, sine = b[j * lanes + q], b[size + j * lanes + q], w[k], w[count + k]
                    k = j * columns + c + q
                    y[k], y[n + k] = u * cosine - v * sine, u * sine + v * cosine


@register_jitable
def _rows_of_matrix(like, block, other, rows, columns, table, count, work):
    """Of a matrix in `block` transform the rows; the result is in `other`, transposed."""
    lanes = lanes_of(like)
    x, y, n = at(like, block), at(like, other), rows * columns
    a, size = at(like, work), columns * lanes
    for r in range(0, rows, lanes):
        there = min(lanes, rows - r)
        done = columns // lanes * lanes if there == lanes else 0
        for j in range(0, done, lanes):
            take_square(x, r * columns + j, columns, a, j * lanes)
            take_square(x, n + r * columns + j, columns, a, size + j * lanes)
        for q in range(lanes):
            begin = (r + min(q, there - 1)) * columns
            for j in range(done, columns):
                a[j * lanes + q], a[size + j * lanes + q] = x[begin + j], x[n + begin + j]
        b = at(like, _passes(like, work, place(a, 2 * size), columns, table, count))
        for j in range(columns):
            if there == lanes:
                move(b, j * lanes, y, r + rows * j)
                move(b, size + j * lanes, y, n + r + rows * j)
            else:
                for q in range(there):
                    k = r + q + rows * j
                    y[k], y[n + k] = b[j * lanes + q], b[size + j * lanes + q]


@register_jitable
def _long(like, block, other, n, table, count, work):
    """Transform one line, a block of its own; it is left where it was, whose address is returned."""
    rows = _rows_of(n)
    _columns_of_matrix(like, block, other, rows, n // rows, table, count, work)
    _rows_of_matrix(like, other, block, rows, n // rows, table, count, work)
    return block


@register_jitable
def _smooth(like, block, other, n, width, table, count, work):
    """Transform a block of `width` lines, 1 or the lanes; returns where the result is, `block` or `other`."""
    if width == 1:
        return _long(like, block, other, n, table, count, work)
    return _passes(like, block, other, n, table, count)


# ------------------------------------------------------------------------------------------------------- other lengths


@register_jitable
def _chirp(like, table, n, m, width, block, other, work):
    """Behind the roots of m: exp(-pi i k * k / n) for k below n, and the transform of the conjugates as a filter of
    length m, divided by m."""
    w = at(like, table)
    chirp, kernel = at(like, place(w, 2 * m)), at(like, place(w, 2 * m + 2 * n))
    for k in range(n):
        # the square of k as a number of half turns
        j = k * k % (2 * n)
        chirp[k], chirp[n + k] = _cosine(j, 2 * n), -_sine(j, 2 * n)
    x = at(like, block)
    for k in range(2 * m * width):
        x[k] = 0
    for k in range(n):
        for q in range(width):
            there = m - k if k > 0 else 0
            x[k * width + q], x[(m + k) * width + q] = chirp[k], -chirp[n + k]
            x[there * width + q], x[(m + there) * width + q] = chirp[k], -chirp[n + k]
    y = at(like, _smooth(like, block, other, m, width, table, m, work))
    for k in range(m):
        kernel[k], kernel[m + k] = y[k * width] / m, y[(m + k) * width] / m


@register_jitable
def _convolved(like, block, other, n, m, width, table, work):
    """Transform a block of lines of n numbers, which have room for m."""
    w = at(like, table)
    chirp, kernel = at(like, place(w, 2 * m)), at(like, place(w, 2 * m + 2 * n))
    x, y, size = at(like, block), at(like, other), n * width
    for k in range(n):
        c, s = chirp[k], chirp[n + k]
        for q in range(width):
            u, v = x[k * width + q], x[size + k * width + q]
            y[k * width + q], y[(m + k) * width + q] = u * c - v * s, u * s + v * c
    for k in range(n * width, m * width):
        y[k], y[m * width + k] = 0, 0
    found = _smooth(like, other, block, m, width, table, m, work)
    z = at(like, found)
    for k in range(m):
        c, s = kernel[k], kernel[m + k]
        for q in range(width):
            # real and imaginary parts change places, for the inverse
            u, v = z[k * width + q], z[(m + k) * width + q]
            z[k * width + q], z[(m + k) * width + q] = u * s + v * c, u * c - v * s
    free = other if found == block else block
    found = _smooth(like, found, free, m, width, table, m, work)
    free = other if found == block else block
    z, y = at(like, found), at(like, free)
    for k in range(n):
        c, s = chirp[k], chirp[n + k]
        for q in range(width):
            v, u = z[k * width + q], z[(m + k) * width + q]
            y[k * width + q], y[size + k * width + q] = u * c - v * s, u * s + v * c
    return free


# -------------------------------------------------------------------------------------------------- memory and tables


@register_jitable
def width_of(like, n, lines):
    """How many lines are transformed at once: the lanes; one if it is long, or there is but one of some length."""
    return 1 if n > _LONG_LINE or (lines == 1 and n >= 64) else lanes_of(like)


@register_jitable
def prepared(like, memory, n, count, width):
    """Fill the tables for lines of n numbers, and `count` roots, a multiple of n, if n is smooth or they are wanted.

    Of the memory the first part are two blocks, then work for long lines, then tables.
    """
    m = n if _is_smooth(n) else _padded(n)
    x = at(like, memory)
    other, work = place(x, 2 * (m + 1) * width), place(x, 4 * (m + 1) * width)
    table = place(x, _before_tables(m, width, lanes_of(like)))
    if m == n:
        _roots(like, table, count)
    else:
        _roots(like, table, m)
        _chirp(like, table, n, m, width, memory, other, work)
        if count > n:
            _roots(like, place(at(like, table), 4 * m + 2 * n), count)
    return m


@register_jitable
def _before_tables(m, width, lanes):
    """Elements before the tables: two blocks, and for long lines two blocks of the longer side of their matrices."""
    return 4 * (m + 1) * width + (4 * (m // _rows_of(m)) * lanes if width == 1 else 0)


@register_jitable
def free_block(like, memory, m, width, found):
    """The address of that of the two blocks which is not `found`; both have room for one more number."""
    other = place(at(like, memory), 2 * (m + 1) * width)
    return memory if found == other else other


@register_jitable
def own_roots(like, memory, n, m, width):
    """The address of the `count` roots that were wanted."""
    x = at(like, memory)
    table = _before_tables(m, width, lanes_of(like))
    return place(x, table if m == n else table + 4 * m + 2 * n)


@register_jitable
def transform(like, memory, n, m, count, width):
    """Transform what is in the first block; returns where the result is."""
    x = at(like, memory)
    other, work = place(x, 2 * (m + 1) * width), place(x, 4 * (m + 1) * width)
    table = place(x, _before_tables(m, width, lanes_of(like)))
    if m == n:
        return _smooth(like, memory, other, n, width, table, count, work)
    return _convolved(like, memory, other, n, m, width, table, work)

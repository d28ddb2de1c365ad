"""Discrete Fourier transforms of any length along an axis, for complex and real numbers.

A length whose primes are at most 13 goes through passes of butterflies (in Stockham's order nothing is permuted): the
lanes of vectors are lines side by side. Another one is a convolution of a length that has such primes (Bluestein). Long
lines, and those that stand alone, are matrices whose columns and rows are transformed, with a product between, so that
there are lines for all lanes and what is worked on stays in the cache (Cooley and Tukey; Bailey). Real lines of even
length are complex ones of half of it. Only exp(-2 pi i k / n) is computed: the inverse exchanges real and imaginary
parts.

Arrays are pointers to parts of numbers in C order: of complex ones real and imaginary parts, one after the other.
`outer` stacks of `inner` lines each have their elements `inner` apart. Blocks are those of `butterflies`. scale: 0 for
sums as they are, 1 divides by the length of the line, 2 by its root. begin, end: which stacks. memory: as many bytes as
`numgraph.ops.fourier.bytes_of` says.

Sources: C. Van Loan, Computational Frameworks for the Fast Fourier Transform (1992); L. Bluestein, A linear filtering
approach to the computation of discrete Fourier transform (1970); D. Bailey, FFTs in external or hierarchical memory
(1990).
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
)
from numgraph.kernels.foreign import at, place
from numgraph.kernels.support import f64

# Numbers in a line from which on it is a matrix.
_LONG = 4096
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
            for q in range(lanes):
                k = j * columns + c + min(q, there - 1)
                a[j * lanes + q], a[size + j * lanes + q] = x[k], x[n + k]
        b = at(like, _passes(like, work, place(a, 2 * size), rows, table, count))
        for j in range(rows):
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
        for q in range(lanes):
            begin = (r + min(q, there - 1)) * columns
            for j in range(columns):
                a[j * lanes + q], a[size + j * lanes + q] = x[begin + j], x[n + begin + j]
        b = at(like, _passes(like, work, place(a, 2 * size), columns, table, count))
        for j in range(columns):
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


# --------------------------------------------------------------------------------------------------------- whole lines


@register_jitable
def _width(like, n, lines):
    """How many lines are transformed at once: the lanes; one if it is long, or there is but one of some length."""
    return 1 if n > _LONG or (lines == 1 and n >= 64) else lanes_of(like)


@register_jitable
def _prepared(like, memory, n, count, width):
    """Fill the tables for lines of n numbers, and `count` roots, a multiple of n, if n is smooth or they are wanted.

    Of the memory the first part are two blocks, then work for long lines, then tables.
    """
    m = n if _is_smooth(n) else _padded(n)
    x = at(like, memory)
    other, work = place(x, 2 * m * width), place(x, 4 * m * width)
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
    return 4 * m * width + (4 * (m // _rows_of(m)) * lanes if width == 1 else 0)


@register_jitable
def _own_roots(like, memory, n, m, width):
    """The address of the `count` roots that were wanted."""
    x = at(like, memory)
    table = _before_tables(m, width, lanes_of(like))
    return place(x, table if m == n else table + 4 * m + 2 * n)


@register_jitable
def _transform(like, memory, n, m, count, width):
    """Transform what is in the first block; returns where the result is."""
    x = at(like, memory)
    other, work = place(x, 2 * m * width), place(x, 4 * m * width)
    table = place(x, _before_tables(m, width, lanes_of(like)))
    if m == n:
        return _smooth(like, memory, other, n, width, table, count, work)
    return _convolved(like, memory, other, n, m, width, table, work)


@register_jitable
def _factor(n, scale):
    """What sums are multiplied by."""
    if scale == 0:
        return 1.0
    return 1.0 / n if scale == 1 else 1.0 / math.sqrt(n)


@register_jitable
def _line(k, count, outer, inner, n):
    """Where line k of the stacks begins, and how far its elements are apart, for `n` elements to a line."""
    k = min(k, count - 1)
    return k // inner * n * inner + k % inner


def complex_lines(out, x, outer, n, inner, inverse, scale, begin, end, memory):
    """out = the transform of x along the middle axis, both [outer, n, inner]."""
    lines = (end - begin) * inner
    width = _width(out, n, lines)
    m = _prepared(out, memory, n, n, width)
    a, size, factor = at(out, memory), n * width, _factor(n, scale)
    # the inverse has real and imaginary parts exchanged, before and after
    real, imag = inverse, 1 - inverse
    for first in range(begin * inner, end * inner, width):
        there = min(width, end * inner - first)
        for q in range(width):
            start = _line(first + q, end * inner, outer, inner, n)
            for j in range(n):
                k = 2 * (start + j * inner)
                a[j * width + q], a[size + j * width + q] = x[k + real], x[k + imag]
        b = at(out, _transform(out, memory, n, m, n, width))
        for q in range(there):
            start = _line(first + q, end * inner, outer, inner, n)
            for j in range(n):
                k = 2 * (start + j * inner)
                out[k + real], out[k + imag] = b[j * width + q] * factor, b[size + j * width + q] * factor


def real_lines(out, x, outer, n, inner, scale, begin, end, memory):
    """out = the first n // 2 + 1 numbers of the transform of real x [outer, n, inner] along the middle axis."""
    if n % 2 == 1:
        _odd_real_lines(out, x, outer, n, inner, scale, begin, end, memory)
        return
    h = n // 2
    width = _width(out, h, (end - begin) * inner)
    m = _prepared(out, memory, h, n, width)
    a, size, factor = at(out, memory), h * width, 0.5 * _factor(n, scale)
    w = at(out, _own_roots(out, memory, h, m, width))
    for first in range(begin * inner, end * inner, width):
        there = min(width, end * inner - first)
        for q in range(width):
            start = _line(first + q, end * inner, outer, inner, n)
            for j in range(h):
                k = start + 2 * j * inner
                a[j * width + q], a[size + j * width + q] = x[k], x[k + inner]
        b = at(out, _transform(out, memory, h, m, n, width))
        for q in range(there):
            start = _line(first + q, end * inner, outer, inner, h + 1)
            for j in range(h + 1):
                # the transform of even numbers, and of odd ones, which are the real and imaginary parts of the line
                here, far = (j if j < h else 0) * width + q, (h - j if j > 0 else 0) * width + q
                u, v, s, t = b[here], b[size + here], b[far], b[size + far]
                c, d = w[j], w[n + j]
                even, odd, turned, back = u + s, v - t, v + t, s - u
                k = 2 * (start + j * inner)
                out[k] = (even + turned * c - back * d) * factor
                out[k + 1] = (odd + turned * d + back * c) * factor


@register_jitable
def _odd_real_lines(out, x, outer, n, inner, scale, begin, end, memory):
    """As `real_lines`: complex lines with imaginary parts of 0."""
    width = _width(out, n, (end - begin) * inner)
    m = _prepared(out, memory, n, n, width)
    a, size, factor = at(out, memory), n * width, _factor(n, scale)
    for first in range(begin * inner, end * inner, width):
        there = min(width, end * inner - first)
        for q in range(width):
            start = _line(first + q, end * inner, outer, inner, n)
            for j in range(n):
                a[j * width + q], a[size + j * width + q] = x[start + j * inner], 0
        b = at(out, _transform(out, memory, n, m, n, width))
        for q in range(there):
            start = _line(first + q, end * inner, outer, inner, n // 2 + 1)
            for j in range(n // 2 + 1):
                k = 2 * (start + j * inner)
                out[k], out[k + 1] = b[j * width + q] * factor, b[size + j * width + q] * factor


def real_results(out, x, outer, n, inner, scale, begin, end, memory):
    """out [outer, n, inner] = real, the inverse transform of lines of which x [outer, n // 2 + 1, inner] has the first
    half. The imaginary parts that would have to be 0 are not read."""
    if n % 2 == 1:
        _odd_real_results(out, x, outer, n, inner, scale, begin, end, memory)
        return
    h = n // 2
    width = _width(out, h, (end - begin) * inner)
    m = _prepared(out, memory, h, n, width)
    a, size, factor = at(out, memory), h * width, _factor(n, scale)
    w = at(out, _own_roots(out, memory, h, m, width))
    for first in range(begin * inner, end * inner, width):
        there = min(width, end * inner - first)
        for q in range(width):
            start = _line(first + q, end * inner, outer, inner, h + 1)
            for j in range(h):
                k, far = 2 * (start + j * inner), 2 * (start + (h - j) * inner)
                u, s = x[k], x[far]
                v = x[k + 1] if j > 0 else 0
                t = x[far + 1] if j > 0 else 0
                c, d = w[j], -w[n + j]
                even, odd, turned, back = u + s, v - t, u - s, v + t
                # even + i * w * (turned + i * back), with real and imaginary parts exchanged
                real = even - (turned * d + back * c)
                imag = odd + (turned * c - back * d)
                a[j * width + q], a[size + j * width + q] = imag, real
        b = at(out, _transform(out, memory, h, m, n, width))
        for q in range(there):
            start = _line(first + q, end * inner, outer, inner, n)
            for j in range(h):
                k = start + 2 * j * inner
                out[k + inner], out[k] = b[j * width + q] * factor, b[size + j * width + q] * factor


@register_jitable
def _odd_real_results(out, x, outer, n, inner, scale, begin, end, memory):
    """As `real_results`: by complex lines."""
    width = _width(out, n, (end - begin) * inner)
    m = _prepared(out, memory, n, n, width)
    a, size, factor = at(out, memory), n * width, _factor(n, scale)
    half = n // 2
    for first in range(begin * inner, end * inner, width):
        there = min(width, end * inner - first)
        for q in range(width):
            start = _line(first + q, end * inner, outer, inner, half + 1)
            a[size + q], a[q] = x[2 * start], 0
            for j in range(1, half + 1):
                k, far = 2 * (start + j * inner), (n - j) * width + q
                a[size + j * width + q], a[j * width + q] = x[k], x[k + 1]
                a[size + far], a[far] = x[k], -x[k + 1]
        b = at(out, _transform(out, memory, n, m, n, width))
        for q in range(there):
            start = _line(first + q, end * inner, outer, inner, n)
            for j in range(n):
                out[start + j * inner] = b[size + j * width + q] * factor

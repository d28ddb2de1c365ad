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
from numgraph.kernels.butterflies import give, give_rows, join, lanes_of, move, split, take, take_rows
from numgraph.kernels.foreign import at
from numgraph.kernels.passes import free_block, own_roots, prepared, transform, width_of


@register_jitable
def _factor(n, scale):
    """What sums are multiplied by."""
    if scale == 0:
        return 1.0
    return 1.0 / n if scale == 1 else 1.0 / math.sqrt(n)


@register_jitable
def _start(line, end, n, inner):
    """Where a line begins, for n elements to a line; beyond the last one that of the last one."""
    k = min(line, end - 1)
    return k // inner * n * inner + k % inner


@register_jitable
def _aligned(first, width, end, inner, lanes):
    """Whether lines fill the lanes, and lie side by side: in one stack, or each in one of its own."""
    return width == lanes and first + width <= end and (inner == 1 or first % inner + width <= inner)


@register_jitable
def _take_lines(x, a, size, first, end, n, inner, width, inverse):
    """Fill a block with lines of n complex numbers from `first` on, with real and imaginary parts exchanged for the
    inverse."""
    lanes, real, imag, done = lanes_of(x), size * inverse, size * (1 - inverse), 0
    start = _start(first, end, n, inner)
    if width == 1 and inner == 1:
        done = n // lanes * lanes
        for j in range(0, done, lanes):
            take(x, 2 * (start + j), a, real + j, imag + j)
    elif _aligned(first, width, end, inner, lanes):
        if inner == 1:
            done = n // lanes * lanes
            for j in range(0, done, lanes):
                take_rows(x, 2 * (start + j), 2 * n, a, real + j * lanes, imag + j * lanes)
        else:
            done = n
            for j in range(n):
                take(x, 2 * (start + j * inner), a, real + j * lanes, imag + j * lanes)
    for q in range(width if done < n else 0):
        start = _start(first + q, end, n, inner)
        for j in range(done, n):
            k = 2 * (start + j * inner)
            a[real + j * width + q], a[imag + j * width + q] = x[k], x[k + 1]


@register_jitable
def _give_lines(out, b, size, first, end, n, inner, width, inverse, factor):
    """The reverse of `_take_lines`, times a factor."""
    lanes, real, imag, done = lanes_of(out), size * inverse, size * (1 - inverse), 0
    start = _start(first, end, n, inner)
    if width == 1 and inner == 1:
        done = n // lanes * lanes
        for j in range(0, done, lanes):
            give(out, 2 * (start + j), b, real + j, imag + j, factor)
    elif _aligned(first, width, end, inner, lanes):
        if inner == 1:
            done = n // lanes * lanes
            for j in range(0, done, lanes):
                give_rows(out, 2 * (start + j), 2 * n, b, real + j * lanes, imag + j * lanes, factor)
        else:
            done = n
            for j in range(n):
                give(out, 2 * (start + j * inner), b, real + j * lanes, imag + j * lanes, factor)
    for q in range(min(width, end - first) if done < n else 0):
        start = _start(first + q, end, n, inner)
        for j in range(done, n):
            k = 2 * (start + j * inner)
            out[k], out[k + 1] = b[real + j * width + q] * factor, b[imag + j * width + q] * factor


@register_jitable
def _take_pairs(x, a, size, first, end, h, inner, width):
    """Fill a block with real lines of 2 h numbers, every other of which is an imaginary part."""
    if inner == 1:
        _take_lines(x, a, size, first, end, h, 1, width, 0)
        return
    lanes = lanes_of(x)
    side_by_side = _aligned(first, width, end, inner, lanes)
    for q in range(1 if side_by_side else width):
        start = _start(first + q, end, 2 * h, inner)
        for j in range(h):
            k = start + 2 * j * inner
            if side_by_side:
                move(x, k, a, j * lanes)
                move(x, k + inner, a, size + j * lanes)
            else:
                a[j * width + q], a[size + j * width + q] = x[k], x[k + inner]


@register_jitable
def _give_pairs(out, b, size, first, end, h, inner, width, factor):
    """Real lines of a block with real and imaginary parts exchanged, times a factor."""
    if inner == 1:
        _give_lines(out, b, size, first, end, h, 1, width, 1, factor)
        return
    for q in range(min(width, end - first)):
        start = _start(first + q, end, 2 * h, inner)
        for j in range(h):
            k = start + 2 * j * inner
            out[k + inner], out[k] = b[j * width + q] * factor, b[size + j * width + q] * factor


@register_jitable
def _halves(b, y, w, h, width, lanes):
    """Of the transform of pairs the first half of that of the real line, doubled: numbers 0 to h in y."""
    size, others = h * width, (h + 1) * width
    for j in range(h + 1):
        # the transform of even numbers, and of odd ones
        here, far = (j if j < h else 0) * width, (h - j if j > 0 else 0) * width
        if width == lanes:
            split(b, size, here, far, y, others, j * width, w, 2 * h, j)
        else:
            for q in range(width):
                u, v, s, t = b[here + q], b[size + here + q], b[far + q], b[size + far + q]
                c, d = w[j], w[2 * h + j]
                turned, back = v + t, s - u
                y[j * width + q] = u + s + (turned * c - back * d)
                y[others + j * width + q] = v - t + (turned * d + back * c)


@register_jitable
def _pairs(y, a, w, h, width, lanes):
    """Of the first half of a real line's transform that of its pairs, with real and imaginary parts exchanged."""
    size, others = h * width, (h + 1) * width
    for q in range(width):
        y[others + q], y[others + h * width + q] = 0, 0
    for j in range(h):
        here, far = j * width, (h - j) * width
        if width == lanes:
            join(y, others, here, far, a, size, here, w, 2 * h, j)
        else:
            for q in range(width):
                u, v, s, t = y[here + q], y[others + here + q], y[far + q], y[others + far + q]
                c, d = w[j], -w[2 * h + j]
                turned, back = u - s, v + t
                a[here + q] = v - t + (turned * c - back * d)
                a[size + here + q] = u + s - (turned * d + back * c)


def complex_lines(out, x, outer, n, inner, inverse, scale, begin, end, memory):
    """out = the transform of x along the middle axis, both [outer, n, inner]."""
    width = width_of(out, n, (end - begin) * inner)
    m = prepared(out, memory, n, n, width)
    a, size, factor, last = at(out, memory), n * width, _factor(n, scale), end * inner
    for first in range(begin * inner, last, width):
        _take_lines(x, a, size, first, last, n, inner, width, inverse)
        b = at(out, transform(out, memory, n, m, n, width))
        _give_lines(out, b, size, first, last, n, inner, width, inverse, factor)


def real_lines(out, x, outer, n, inner, scale, begin, end, memory):
    """out = the first n // 2 + 1 numbers of the transform of real x [outer, n, inner] along the middle axis."""
    if n % 2 == 1:
        _odd_real_lines(out, x, n, inner, scale, begin, end, memory)
        return
    h, last, lanes = n // 2, end * inner, lanes_of(out)
    width = width_of(out, h, last - begin * inner)
    m = prepared(out, memory, h, n, width)
    a, size, factor = at(out, memory), h * width, 0.5 * _factor(n, scale)
    w = at(out, own_roots(out, memory, h, m, width))
    for first in range(begin * inner, last, width):
        _take_pairs(x, a, size, first, last, h, inner, width)
        found = transform(out, memory, h, m, n, width)
        y = at(out, free_block(out, memory, m, width, found))
        _halves(at(out, found), y, w, h, width, lanes)
        _give_lines(out, y, size + width, first, last, h + 1, inner, width, 0, factor)


@register_jitable
def _odd_real_lines(out, x, n, inner, scale, begin, end, memory):
    """As `real_lines`: complex lines with imaginary parts of 0."""
    last = end * inner
    width = width_of(out, n, last - begin * inner)
    m = prepared(out, memory, n, n, width)
    a, size, factor = at(out, memory), n * width, _factor(n, scale)
    for first in range(begin * inner, last, width):
        for q in range(width):
            start = _start(first + q, last, n, inner)
            for j in range(n):
                a[j * width + q], a[size + j * width + q] = x[start + j * inner], 0
        b = at(out, transform(out, memory, n, m, n, width))
        _give_lines(out, b, size, first, last, n // 2 + 1, inner, width, 0, factor)


def real_results(out, x, outer, n, inner, scale, begin, end, memory):
    """out [outer, n, inner] = real, the inverse transform of lines of which x [outer, n // 2 + 1, inner] has the first
    half. The imaginary parts that would have to be 0 are not looked at."""
    if n % 2 == 1:
        _odd_real_results(out, x, n, inner, scale, begin, end, memory)
        return
    h, last, lanes = n // 2, end * inner, lanes_of(out)
    width = width_of(out, h, last - begin * inner)
    m = prepared(out, memory, h, n, width)
    a, size, factor = at(out, memory), h * width, _factor(n, scale)
    y, w = at(out, free_block(out, memory, m, width, memory)), at(out, own_roots(out, memory, h, m, width))
    for first in range(begin * inner, last, width):
        _take_lines(x, y, size + width, first, last, h + 1, inner, width, 0)
        _pairs(y, a, w, h, width, lanes)
        b = at(out, transform(out, memory, h, m, n, width))
        _give_pairs(out, b, size, first, last, h, inner, width, factor)


@register_jitable
def _odd_real_results(out, x, n, inner, scale, begin, end, memory):
    """As `real_results`: by complex lines."""
    last, half = end * inner, n // 2
    width = width_of(out, n, last - begin * inner)
    m = prepared(out, memory, n, n, width)
    a, size, factor = at(out, memory), n * width, _factor(n, scale)
    for first in range(begin * inner, last, width):
        for q in range(width):
            start = _start(first + q, last, half + 1, inner)
            a[size + q], a[q] = x[2 * start], 0
            for j in range(1, half + 1):
                k, far = 2 * (start + j * inner), (n - j) * width + q
                a[size + j * width + q], a[j * width + q] = x[k], x[k + 1]
                a[size + far], a[far] = x[k], -x[k + 1]
        b = at(out, transform(out, memory, n, m, n, width))
        for q in range(min(width, last - first)):
            start = _start(first + q, last, n, inner)
            for j in range(n):
                out[start + j * inner] = b[size + j * width + q] * factor

"""Running sums, products and linear recurrences along an axis; plain functions on flat indices.

An array is passed as its elements in C order; `p[k]` is element k. An axis of `length` elements with `outer`
combinations of the axes before it and `inner` of those behind it has its element j at `(o * length + j) * inner + i`.
The innermost loop runs over `inner`, whose elements lie side by side.
"""

import math

from numba.extending import register_jitable

LOG_2 = math.log(2.0)


def cumsum(out, x, outer, length, inner):
    """out[j] = x[0] + ... + x[j] along the axis, added in this order in out's dtype, as np.cumsum."""
    for o in range(outer):
        start = o * length * inner
        for i in range(inner if length > 0 else 0):
            out[start + i] = x[start + i]
        for j in range(1, length):
            row = start + j * inner
            for i in range(inner):
                out[row + i] = out[row - inner + i] + x[row + i]


def cumprod(out, x, outer, length, inner):
    """out[j] = x[0] * ... * x[j] along the axis, multiplied in this order in out's dtype, as np.cumprod."""
    for o in range(outer):
        start = o * length * inner
        for i in range(inner if length > 0 else 0):
            out[start + i] = x[start + i]
        for j in range(1, length):
            row = start + j * inner
            for i in range(inner):
                out[row + i] = out[row - inner + i] * x[row + i]


@register_jitable
def _others_of_line(out, x, start, length):
    """`others` of one line of adjoining elements: both products grow at once, from the ends to the middle and on."""
    before, behind = 1.0, 1.0
    half = length // 2
    last = start + length - 1
    for j in range(half):
        out[start + j] = before
        out[last - j] = behind
        before = before * x[start + j]
        behind = behind * x[last - j]
    if length % 2 == 1:
        middle = start + half
        out[middle] = before * behind
        before = before * x[middle]
        behind = behind * x[middle]
    for j in range(half):
        left, right = start + half - 1 - j, last - half + 1 + j
        out[left] = out[left] * behind
        out[right] = before * out[right]
        behind = x[left] * behind
        before = before * x[right]


@register_jitable
def _others_of_four_lines(out, x, a, length):
    """`others` of four lines of adjoining elements: a product waits for the one before it, and not for other lines."""
    b, c, d = a + length, a + 2 * length, a + 3 * length
    p, q, r, s = 1.0, 1.0, 1.0, 1.0
    for j in range(length):
        out[a + j], out[b + j], out[c + j], out[d + j] = p, q, r, s
        p, q, r, s = p * x[a + j], q * x[b + j], r * x[c + j], s * x[d + j]
    p, q, r, s = 1.0, 1.0, 1.0, 1.0
    for k in range(length):
        j = length - 1 - k
        out[a + j], out[b + j] = out[a + j] * p, out[b + j] * q
        out[c + j], out[d + j] = out[c + j] * r, out[d + j] * s
        p, q, r, s = x[a + j] * p, x[b + j] * q, x[c + j] * r, x[d + j] * s


@register_jitable
def _others_of_rows(out, x, start, length, inner):
    """`others` along the first of two axes, row by row."""
    for i in range(inner):
        out[start + i] = 1.0
    for j in range(1, length):
        row = start + j * inner
        for i in range(inner):
            out[row + i] = out[row - inner + i] * x[row - inner + i]
    # nothing is before the first row: there the products of what is behind grow
    for k in range(1, length):
        row = start + (length - k) * inner
        for i in range(inner):
            out[row + i] = out[row + i] * out[start + i]
            out[start + i] = x[row + i] * out[start + i]


def others(out, x, outer, length, inner):
    """out[j] = the product of all x[k] along the axis but x[j]: of what is before j, times that of what is behind.

    out: float64; x: floats. Nothing is divided, so that zeros, NaN, infinities and products out of range cost only what
    they are a part of. Error: about length * 1e-16, relative.
    """
    if length > 0 and inner == 1:
        done = outer // 4 * 4
        for o in range(0, done, 4):
            _others_of_four_lines(out, x, o * length, length)
        for o in range(done, outer):
            _others_of_line(out, x, o * length, length)
    elif length > 0:
        for o in range(outer):
            _others_of_rows(out, x, o * length * inner, length, inner)


def recurrence(out, a, b, outer, length, inner):
    """out[0] = b[0] and out[j] = a[j] * out[j - 1] + b[j] along the axis; all three arrays have one shape and dtype."""
    for o in range(outer):
        start = o * length * inner
        for i in range(inner if length > 0 else 0):
            out[start + i] = b[start + i]
        for j in range(1, length):
            row = start + j * inner
            for i in range(inner):
                out[row + i] = a[row + i] * out[row - inner + i] + b[row + i]


@register_jitable
def _running(out, x, outer, length, inner, largest):
    """out[j] = where the largest, or the smallest, of x[0], ..., x[j] stands along the axis."""
    for o in range(outer):
        start = o * length * inner
        for i in range(inner if length > 0 else 0):
            out[start + i] = 0
        for j in range(1, length):
            row = start + j * inner
            for i in range(inner):
                at = out[row - inner + i]
                new, best = x[row + i], x[start + at * inner + i]
                beyond = new > best if largest else new < best
                out[row + i] = j if beyond or (new != new and best == best) else at


def cumargmax(out, x, outer, length, inner):
    """out[j] = where the largest of x[0], ..., x[j] stands along the axis: the first of equal ones, the first NaN."""
    _running(out, x, outer, length, inner, True)


def cumargmin(out, x, outer, length, inner):
    """out[j] = where the smallest of x[0], ..., x[j] stands along the axis: the first of equal ones, the first NaN."""
    _running(out, x, outer, length, inner, False)


def logcumsumexp(out, x, outer, length, inner):
    """out[j] = log(exp(x[0]) + ... + exp(x[j])) along the axis."""
    for o in range(outer):
        start = o * length * inner
        for i in range(inner if length > 0 else 0):
            out[start + i] = x[start + i]
        for j in range(1, length):
            row = start + j * inner
            for i in range(inner):
                a, b = out[row - inner + i], x[row + i]
                # the difference of infinities of one sign would be NaN
                out[row + i] = a + LOG_2 if a == b else max(a, b) + math.log1p(math.exp(-abs(a - b)))

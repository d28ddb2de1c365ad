"""Factors with exchanged rows, and what these exchanges amount to; for pointers in compiled code, and for one thread of
a grid."""

from numba.extending import register_jitable


@register_jitable
def pivot_of(factors, at, i, n):
    """The row, of n, that row i was exchanged with, which is none before it; at `at` there is its number from 1.

    By comparisons, since that may be a complex number.
    """
    row = i
    while row + 1 < n and factors[at] != row + 1:
        row += 1
    return row


@register_jitable
def eliminate(out, start, m, n):
    """Factor the matrix of m rows and n columns at `start` of `out` in place, with partial pivoting, as LAPACK's getrf
    does by columns; in one more column, n, go the rows from 1 that were exchanged."""
    wide = n + 1
    for i in range(m):
        out[start + i * wide + n] = i + 1
    for k in range(min(m, n)):
        row, pivot = start + k * wide, k
        for j in range(k + 1, n):
            if abs(out[row + j]) > abs(out[row + pivot]):
                pivot = j
        out[row + n] = pivot + 1
        for i in range(m if pivot != k else 0):
            kept = out[start + i * wide + k]
            out[start + i * wide + k] = out[start + i * wide + pivot]
            out[start + i * wide + pivot] = kept
        for j in range(k + 1, n):
            if out[row + k] != 0:
                out[row + j] = out[row + j] / out[row + k]
            for i in range(k + 1, m):
                at = start + i * wide
                out[at + j] = out[at + j] - out[at + k] * out[row + j]


def permutation(out, pivots, count, known, n, inverse):
    """out = the order into which exchanges bring n rows: row i goes where pivots[i] is, one after the other, from 0,
    for as many rows as have pivots.

    Row i of the result is row out[i] of what it was; with `inverse` row out[i] of the result is row i.
    """
    moved = min(known, n)
    for s in range(count):
        start = s * n
        for i in range(n):
            out[start + i] = i
        for r in range(moved):
            i = moved - 1 - r if inverse != 0 else r
            other = pivots[s * known + i]
            if other < 0:
                other = other + n
            kept = out[start + i]
            out[start + i] = out[start + other]
            out[start + other] = kept

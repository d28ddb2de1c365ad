"""Products of few columns as dot products: vectors lie along the summed axis, where both operands are contiguous.

x[600,784] @ W[784,10] in vectors along the 10 columns leaves 6 of 16 lanes unused; along 784 it leaves none. The
columns of b are made contiguous first unless they are (b is small), and k is divided such that a block of them stays in
the first-level cache beside the rows of a, which are read once.
"""

import numpy as np
from numba.extending import register_jitable
from numgraph.kernels.dot_ir import COLUMNS, dots
from numgraph.kernels.support import helper
from numgraph.kernels.tile_ir import LINE, MACHINE, pick, turn

_VECTOR = MACHINE.vector
# Columns up to which the dot products of a row reuse its vectors enough.
MOST_COLUMNS = 32
# Vectors along k at least: the lanes of an element are added up at the end.
LEAST_VECTORS = 8
# Bytes of b in a block of k, and the rows that use it before the next block.
_BLOCK = 16 * 1024
_SOME_ROWS = 6
# Rows from here to those that are prefetched.
_AHEAD = 4


@helper
def exchange(size, m, n, source, source_row, source_col, to, to_row):
    """to[j, i] = source[i, j], for m x n elements of `size` bytes; rows of `to` are contiguous. Strides in bytes."""
    double = size // 8
    lanes = _VECTOR >> (2 + double)
    if m < lanes or n < lanes or source_col != size:
        pick(0, double, (m, n, source, source_row, source_col, to, size, to_row))
    else:
        i = 0
        while i < m:
            # the last rows may be copied twice
            i = min(i, m - lanes)
            turn(0, double, (n, source + i * source_row, source_row, lanes, to + i * size, to_row))
            i += lanes


@register_jitable
def dots_fit(size, n, k, a_col):
    """Whether a product of `n` columns can be made of dot products; a_col in bytes."""
    return a_col == size and 0 < n <= MOST_COLUMNS and k * size >= LEAST_VECTORS * _VECTOR


@register_jitable
def dot_length(size, n, k):
    """The length of the blocks of k: a function of the whole product, so that the order of summation is one."""
    lanes = _VECTOR // size
    longest = max(_BLOCK // (n * size), LEAST_VECTORS * lanes)
    blocks = (k + longest - 1) // longest
    return ((k + blocks - 1) // blocks + lanes - 1) // lanes * lanes


@helper
def _some_rows(size, m, n, k, a, a_row, ahead, b, b_col, out, out_row, scalars):
    """At most _SOME_ROWS rows of one block of k."""
    double = size // 8
    groups = (n + COLUMNS - 1) // COLUMNS
    few, large = n // groups, n % groups  # columns of a group; groups of one more
    odd = (m - m % 2) * a_row
    for g in range(groups):
        columns = few + 1 if g < large else few
        dots(columns - 1, double, (m // 2, k, a, a_row, 2 * a_row, ahead, b, b_col, out, out_row, 2 * out_row, scalars))
        last = out + (m - m % 2) * out_row
        dots(columns - 1, double, (m % 2, k, a + odd, 0, 0, 0, b, b_col, last, 0, 0, scalars))
        # once is enough
        ahead = np.int64(0)
        b += columns * b_col
        out += columns * size


@helper
def by_dots(size, length, m, n, k, a, a_row, b, b_row, b_col, out, out_row, first, later, space, space_bytes):
    """out[m, n] = alpha * a @ b + beta * out, where `dots_fit`. Strides in bytes.

    length: that of blocks of k, `dot_length` of the whole product. first, later: addresses of alpha and beta for the
    first block and for the others. space: the address of `space_bytes` bytes for contiguous columns of b.
    """
    group = k
    if b_row != size:
        group = max(1, space_bytes // (n * length * size + n * LINE)) * length
    g0 = 0
    while g0 < k:
        g = min(group, k - g0)
        lines, step = b + g0 * size, b_col
        if b_row != size:
            # not a multiple of what competes for the same lines of the cache
            lines, step = space, g * size + (LINE if g * size % 1024 == 0 else 0)
            exchange(size, g, n, b + g0 * b_row, b_row, b_col, lines, step)
        i0 = 0
        while i0 < m:
            rows = min(_SOME_ROWS, m - i0)
            k0 = 0
            while k0 < g:
                n_k = min(length, g - k0)
                head = a + i0 * a_row + (g0 + k0) * size
                scalars = first if g0 + k0 == 0 else later
                _some_rows(
                    size,
                    rows,
                    n,
                    n_k,
                    head,
                    a_row,
                    _AHEAD * a_row,
                    lines + k0 * size,
                    step,
                    out + i0 * out_row,
                    out_row,
                    scalars,
                )
                k0 += length
            i0 += rows
        g0 += group


__all__ = ["MOST_COLUMNS", "by_dots", "dot_length", "dots_fit", "exchange"]

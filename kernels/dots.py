"""Products of few columns as dot products: vectors lie along the summed axis, where both operands are contiguous.

x[600,784] @ W[784,10] in vectors along the 10 columns leaves 6 of 16 lanes unused; along 784 it leaves none. The
columns of b are made contiguous first unless they are (b is small), and k is divided such that a block of them stays in
the first-level cache beside the rows of a, which are read once.
"""

import numpy as np
from numgraph.kernels.dot_ir import CALL_DOTS, COLUMNS
from numgraph.kernels.support import helper, sized
from numgraph.kernels.tile_ir import CALL_PICK, CALL_TURN, LINE, MACHINE
from numgraph.kernels.wrapping import wrapped

dots = wrapped("dots", CALL_DOTS)
turn = wrapped("turn", CALL_TURN)
pick = wrapped("pick", CALL_PICK)

_VECTOR = MACHINE.vector
# Columns up to which the dot products of a row reuse its vectors enough.
MOST_COLUMNS = 32
# Bytes of b at most; where the second pair of alpha and beta is.
SPACE = 512 * 1024
SECOND = 16
# Vectors along k at least: the lanes of an element are added up at the end.
LEAST_VECTORS = 8
# Bytes of b in a block of k, and the rows that use it before the next block.
_BLOCK = 16 * 1024
_SOME_ROWS = 6
# Bytes that are prefetched with each step along k (in dot products with two vectors of 32 bytes), so that a block of
# rows arrives while another is worked on.
PACE = 16
# Rows from here to those that are prefetched where rows are not in blocks.
_AHEAD = 4


@sized
def exchange(size, m, n, source, source_row, source_col, to, to_row):
    """to[j, i] = source[i, j], for m x n elements; rows of `to` are contiguous. Strides in bytes."""
    lanes = _VECTOR >> (2 + size // 8)
    if m < lanes or n < lanes or source_col != size:
        pick(0, size // 8, (m, n, source, source_row, source_col, to, size, to_row))
    else:
        i = 0
        while i < m:
            # the last rows may be copied twice
            i = min(i, m - lanes)
            turn(0, size // 8, (n, source + i * source_row, source_row, lanes, to + i * size, to_row))
            i += lanes


@sized
def dot_blocks(size, m, n, k, a_col, b_row):
    """Length of the blocks of k where a product of elements of `size` bytes is best made of dot products, by an
    estimate, else 0; strides in bytes.

    This is asked of whole products, never of chunks: sums are added up in another order.
    """
    if a_col != size or n < 1 or n > MOST_COLUMNS or k * size < LEAST_VECTORS * _VECTOR or k * n * size > SPACE:
        return 0
    # As in tiles.way, in 1 / tile of a cycle. The lanes of an element are added up at last; every chunk packs all
    # columns.
    tile = 2 * _VECTOR
    time = (m + 1) * n * (k * size + tile) + (0 if b_row == size else 4 * n * k * _VECTOR)
    if time >= m * k * ((n * size + tile - 1) & -tile):
        return 0
    longest = max(_BLOCK // (n * size), LEAST_VECTORS * _VECTOR // size)
    blocks = (k + longest - 1) // longest
    return (k // blocks * size + _VECTOR) & -_VECTOR


@sized
def by_dots(size, length, m, n, k, near, a, a_row, b, b_row, b_col, out, out_row, scalars, space):
    """out[m, n] = alpha * a @ b + beta * out. Strides in bytes.

    length: bytes of blocks of k, `dot_blocks` of the whole product. near: bytes from a to what is prefetched meanwhile;
    0: rows that follow are, before they are read. scalars: address of alpha and beta for the first block, and behind a
    line for the others. space: the address of SPACE bytes and a line for each column, for contiguous columns of b.
    """
    # what `numgraph.loops.products` says of the micro-kernels that n columns take
    groups = (n + COLUMNS - 1) // COLUMNS
    far, pace = a + near, PACE
    line_of, step = b, b_col
    if b_row != size:
        # not a multiple of what competes for the same lines of the cache
        line_of, step = space, k * size | LINE
        exchange(size, k, n, b, b_row, b_col, line_of, step)
    i = 0
    while i < m:
        # pairs of rows; the last one may be a pair with itself
        rows = min(_SOME_ROWS, max((m - i) & -2, 1))
        pairs, row, out_next = (rows + 1) // 2, a_row, out_row
        if rows == 1:
            row, out_next = 0, 0
        if near == 0:
            far, pace = a + (i + _AHEAD) * a_row, 2 * _VECTOR // groups
        p = 0
        while p < k * size:
            part = min(length, k * size - p)
            # each pass of a pair of rows over k prefetches that many bytes
            leap = part * pace // _VECTOR
            line, target = line_of + p, out + i * out_row
            for g in range(groups):
                columns = (n + g) // groups
                head = a + i * a_row + p
                dots(
                    columns - 1, size // 8,
                    (
                        pairs, part // size, head, row, 2 * row, far, pace, leap, line, step, target, out_next,
                        2 * out_next, scalars + min(p, 1) * SECOND,
                    ),
                )  # fmt: skip
                far += pairs * leap
                line += columns * step
                target += columns * size
            p += length
        i += rows


@helper
def sdots(length, m, n, k, near, a, a_row, b, b_row, b_col, out, out_row, scalars, space):
    """As `by_dots`, for float32."""
    by_dots(np.int64(4), length, m, n, k, near, a, a_row, b, b_row, b_col, out, out_row, scalars, space)


@helper
def ddots(length, m, n, k, near, a, a_row, b, b_row, b_col, out, out_row, scalars, space):
    """As `by_dots`, for float64."""
    by_dots(np.int64(8), length, m, n, k, near, a, a_row, b, b_row, b_col, out, out_row, scalars, space)


__all__ = ["MOST_COLUMNS", "PACE", "SECOND", "SPACE", "ddots", "dot_blocks", "exchange", "pick", "sdots", "turn"]

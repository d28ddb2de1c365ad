"""Calls of numgraph's own matrix products (`tiles`), which are compiled once for all functions: the table holds the
address of theirs. Here a product is divided into chunks.
"""

from numba.extending import register_jitable
from numgraph.kernels.support import begin_of
from numgraph.kernels.wrapping import wrapped

# Rows and columns (elements) at whose multiples a product is divided: whole tiles.
_ROWS, _COLUMNS = 6, 16


_sgemm = wrapped("calls.sgemm_at")
_dgemm = wrapped("calls.dgemm_at")
multiply = wrapped("calls.multiply")


def called(function):
    """As `register_jitable`. numgraph's pass does not have it inlined: for each product of a program LLVM would work on
    it anew."""
    return register_jitable(function)


@register_jitable
def divides_columns(n, chunks):
    """Whether chunks are columns: each has four tiles at least. Then b, the larger operand, is read once."""
    return n >= 4 * _COLUMNS * chunks


@called
def sgemm(units, chunk, chunks, scratch, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
    """A chunk of out[m, n] = alpha * a[m, k] @ b[k, n] + beta * out, float32, rows of out `out_row` elements apart.

    units: as for `sgemm_tile`. a, b, out: addresses; strides count elements. scratch: address of SCRATCH_BYTES of the
    chunk's own memory. With beta 0 out is only written. The chunks together are the product, to the bit whatever their
    number.
    """
    if m == 1 and b_row == 1 and b_col != 1:
        # as many dot products: the column b.T @ a.T
        m0, m1 = begin_of(n, chunk, chunks, _ROWS), begin_of(n, chunk + 1, chunks, _ROWS)
        _sgemm(units, m0, m1, 0, 1, n, 1, k, 0, alpha, b, b_col, b_row, a, a_col, a_row, beta, out, 1, scratch)
    elif divides_columns(n, chunks):
        n0, n1 = begin_of(n, chunk, chunks, _COLUMNS), begin_of(n, chunk + 1, chunks, _COLUMNS)
        _sgemm(units, 0, m, n0, n1, m, n, k, 0, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch)
    else:
        m0, m1 = begin_of(m, chunk, chunks, _ROWS), begin_of(m, chunk + 1, chunks, _ROWS)
        _sgemm(units, m0, m1, 0, n, m, n, k, 0, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch)


@called
def dgemm(units, chunk, chunks, scratch, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
    """As `sgemm`, for float64."""
    if m == 1 and b_row == 1 and b_col != 1:
        # as many dot products: the column b.T @ a.T
        m0, m1 = begin_of(n, chunk, chunks, _ROWS), begin_of(n, chunk + 1, chunks, _ROWS)
        _dgemm(units, m0, m1, 0, 1, n, 1, k, 0, alpha, b, b_col, b_row, a, a_col, a_row, beta, out, 1, scratch)
    elif divides_columns(n, chunks):
        n0, n1 = begin_of(n, chunk, chunks, _COLUMNS), begin_of(n, chunk + 1, chunks, _COLUMNS)
        _dgemm(units, 0, m, n0, n1, m, n, k, 0, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch)
    else:
        m0, m1 = begin_of(m, chunk, chunks, _ROWS), begin_of(m, chunk + 1, chunks, _ROWS)
        _dgemm(units, m0, m1, 0, n, m, n, k, 0, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch)


@register_jitable
def sgemm_rows(units, near, scratch, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
    """As `sgemm`, for a product that is one of many over tiles of rows of a or b: `near` bytes from these rows to the
    next ones, which are prefetched."""
    _sgemm(units, 0, m, 0, n, m, n, k, near, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch)


@register_jitable
def dgemm_rows(units, near, scratch, m, n, k, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row):
    """As `sgemm_rows`, for float64."""
    _dgemm(units, 0, m, 0, n, m, n, k, near, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch)

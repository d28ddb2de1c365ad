"""Factorisations of stacks of matrices and solutions by them, through LAPACK and BLAS; for pointers in compiled code.

An array is passed as its elements in C order: `count` matrices, one behind the other. LAPACK has matrices by columns,
so it sees the transpose of each, and is asked for what is right for that; nothing is transposed. The addresses of the
routines come last. All return 0, the number from 1 of the first matrix that was refused, or -1 where there was no
memory for the work. What LAPACK takes by reference lies in `cells`, 64-bit words; it reads the lower halves of sizes.

Source: LAPACK Users' Guide, 3rd edition, and the comments of its routines.
"""

import math

from numba.extending import register_jitable
from numgraph.kernels.foreign import CELLS, LOWER, NO, RIGHT, TURNED, UNIT, UPPER, allocate, at, fortran, place, release
from numgraph.kernels.pivots import pivot_of
from numgraph.kernels.support import i32, i64


@register_jitable
def cells_of(address):
    """The cells of a call; a letter is the first byte of its cell."""
    return i64(address)


@register_jitable
def refused(info):
    """Whether the status that a routine left at an address is not 0."""
    return i32(info)[0] != 0


def cholesky(out, a, count, n, strict, potrf):
    """out = the lower triangular L with a = L @ L.T, of which the lower triangle is read; zeros above. strict: 0 for
    NaN instead of a failure."""
    memory = allocate(CELLS)
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1] = UPPER, n
    failed = 0
    for k in range(count if n > 0 else 0):
        start = k * n * n
        for i in range(n):
            row = start + i * n
            for j in range(i + 1):
                out[row + j] = a[row + j]
            for j in range(i + 1, n):
                out[row + j] = 0
        cells[2] = 0
        fortran(potrf, (memory, memory + 8, place(out, start), memory + 8, memory + 16))
        if refused(memory + 16):
            if strict == 0:
                for e in range(n * n):
                    out[start + e] = math.nan
            elif failed == 0:
                failed = k + 1
    release(memory)
    return failed


@register_jitable
def _prepared(memory, like, n, k, row):
    """Fill the cells of `_solve`. row: elements from one row of the triangular matrix to the next."""
    cells = cells_of(memory)
    cells[0], cells[4], cells[5], cells[7], cells[8], cells[9] = RIGHT, k, n, row, max(k, 1), 1
    # a number of two parts at most
    at(like, memory + 80)[0] = 1


@register_jitable
def _solve(memory, upper, transposed, unit, matrix, right, k, trsm, trsv):
    """Solve one triangular system in place, T @ X = B or T.T @ X = B, by rows: X.T @ T.T = B.T is how BLAS sees it.

    upper: whether T is, as it lies in C order. matrix, right: the addresses of T, and of B with k columns.
    """
    cells = cells_of(memory)
    cells[1] = LOWER if upper != 0 else UPPER
    cells[3] = UNIT if unit != 0 else NO
    if k == 1:
        cells[2] = NO if transposed != 0 else TURNED
        fortran(trsv, (memory + 8, memory + 16, memory + 24, memory + 40, matrix, memory + 56, right, memory + 72))
    else:
        cells[2] = TURNED if transposed != 0 else NO
        fortran(
            trsm,
            (
                memory, memory + 8, memory + 16, memory + 24, memory + 32, memory + 40, memory + 80, matrix,
                memory + 56, right, memory + 64,
            ),
        )  # fmt: skip


@register_jitable
def _singular(a, start, n, step):
    """Whether one of n elements on a diagonal, `step` apart, is 0."""
    found = False
    for i in range(n):
        found = found or a[start + i * step] == 0
    return found


def solve_triangular(out, a, b, count, n, k, upper, transposed, unit, trsm, trsv):
    """out = the solutions of a @ out = b, or a.T @ out = b, for triangular matrices a: n rows and columns, k columns of
    b. The other triangle is not read, and with `unit` the diagonal neither, which stands for ones."""
    memory = allocate(CELLS)
    if memory == 0:
        return -1
    _prepared(memory, out, n, k, n)
    failed = 0
    for e in range(count * n * k):
        out[e] = b[e]
    for s in range(count if n > 0 and k > 0 else 0):
        if unit == 0 and _singular(a, s * n * n, n, n + 1):
            failed = s + 1 if failed == 0 else failed
        else:
            _solve(memory, upper, transposed, unit, place(a, s * n * n), place(out, s * n * k), k, trsm, trsv)
    release(memory)
    return failed


def lu(out, a, count, m, n, getrf):
    """out = the factors of a.T = P @ L @ U, by columns, and in one more column the pivots: out[i, n] is the row, from
    1, that row i was exchanged with. a: m rows, n columns. Singular matrices have zeros on the diagonal of U."""
    least = min(m, n)
    memory = allocate(CELLS + 8 * least)
    if memory == 0:
        return -1
    cells, pivots = cells_of(memory), i32(memory + CELLS)
    cells[0], cells[1], cells[2] = n, n + 1, m
    for k in range(count):
        start = k * m * (n + 1)
        for i in range(m):
            for j in range(n):
                out[start + i * (n + 1) + j] = a[(k * m + i) * n + j]
        if least > 0:
            fortran(getrf, (memory, memory + 16, place(out, start), memory + 8, memory + CELLS, memory + 24))
        for i in range(m):
            out[start + i * (n + 1) + n] = pivots[i] if i < least else i + 1
    release(memory)
    return 0


@register_jitable
def _exchange(out, start, i, j, k):
    """Exchange rows i and j, of k elements."""
    for c in range(k if i != j else 0):
        x, y = start + i * k + c, start + j * k + c
        kept = out[x]
        out[x] = out[y]
        out[y] = kept


def lu_solve(out, factors, b, count, n, k, transposed, trsm, trsv):
    """out = the solutions of a @ out = b, or a.T @ out = b, by the factors that `lu` has made of a.

    In C order these are U.T, the lower triangle, and L.T with a diagonal of ones: a = U.T @ L.T @ P.T.
    """
    memory = allocate(CELLS)
    if memory == 0:
        return -1
    _prepared(memory, out, n, k, n + 1)
    failed = 0
    for e in range(count * n * k):
        out[e] = b[e]
    for s in range(count if n > 0 and k > 0 else 0):
        matrix, start = s * n * (n + 1), s * n * k
        if _singular(factors, matrix, n, n + 2):
            failed = s + 1 if failed == 0 else failed
        else:
            both, right = place(factors, matrix), place(out, start)
            if transposed != 0:
                for i in range(n):
                    _exchange(out, start, i, pivot_of(factors, matrix + i * (n + 1) + n, i, n), k)
                _solve(memory, 1, 1, 1, both, right, k, trsm, trsv)
                _solve(memory, 0, 1, 0, both, right, k, trsm, trsv)
            else:
                _solve(memory, 0, 0, 0, both, right, k, trsm, trsv)
                _solve(memory, 1, 0, 1, both, right, k, trsm, trsv)
                for r in range(n):
                    i = n - 1 - r
                    _exchange(out, start, i, pivot_of(factors, matrix + i * (n + 1) + n, i, n), k)
    release(memory)
    return failed

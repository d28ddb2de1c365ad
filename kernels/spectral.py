"""Eigenvalues, singular values and orthogonal factors of stacks of matrices, through LAPACK; for pointers.

As in `lapack`: arrays in C order, addresses of routines last, and the same statuses. Results of one matrix lie one
behind the other. Matrices are transposed for LAPACK where its vectors are to have the signs that NumPy's have.

Source: LAPACK Users' Guide, 3rd edition, sections 2.3 and 2.4, and the comments of its routines.
"""

from numba.extending import register_jitable
from numgraph.kernels.foreign import (
    ALL,
    BLOCK,
    CELLS,
    LOWER,
    MOST,
    NO,
    SOME,
    VECTORS,
    WIDE,
    allocate,
    at,
    fortran,
    place,
    release,
)
from numgraph.kernels.lapack import cells_of, refused
from numgraph.kernels.support import i32


@register_jitable
def by_columns(to, begin, x, start, rows, columns):
    """Copy a matrix of x, transposed."""
    for i in range(rows):
        for j in range(columns):
            to[begin + j * rows + i] = x[start + i * columns + j]


@register_jitable
def identity(out, start, n):
    """A matrix with ones on its diagonal."""
    for i in range(n):
        for j in range(n):
            out[start + i * n + j] = 1 if i == j else 0


def eigh(out, a, count, n, vectors, syevd):
    """Of symmetric matrices, of which the lower triangle is read: the n eigenvalues, ascending, and with `vectors` the
    eigenvectors behind them, one after the other."""
    work = 1 + 6 * n + 2 * n * n if vectors != 0 else (2 + BLOCK) * n + 1
    whole = 3 + 5 * n if vectors != 0 else 1
    memory = allocate(CELLS + WIDE * (work + whole + n * n))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1], cells[2] = VECTORS if vectors != 0 else NO, LOWER, n
    cells[3], cells[4] = min(work, MOST), min(whole, MOST)
    reals = memory + CELLS
    integers = reals + WIDE * work
    copy = integers + WIDE * whole
    size = n * (n + 1) if vectors != 0 else n
    failed = 0
    for k in range(count if n > 0 else 0):
        values = k * size
        matrix = place(out, values + n) if vectors != 0 else copy
        by_columns(at(out, matrix), 0, a, k * n * n, n, n)
        fortran(
            syevd,
            (
                memory, memory + 8, memory + 16, matrix, memory + 16, place(out, values), reals, memory + 24, integers,
                memory + 32, memory + 40,
            ),
        )  # fmt: skip
        if failed == 0 and refused(memory + 40):
            failed = k + 1
    release(memory)
    return failed


def svd(out, a, count, m, n, full, vectors, gesdd):
    """a = u @ diag(s) @ vt, for m rows and n columns: u.T, s and vt.T one behind the other, or s alone.

    u has m columns and vt n rows with `full`, else both min(m, n). s: descending.
    """
    least, most = min(m, n), max(m, n)
    left = 0 if vectors == 0 else m if full != 0 else least
    right = 0 if vectors == 0 else n if full != 0 else least
    # more than the routine asks for, by its comments, and as much as it asks for to be fast
    work = least * (6 + 4 * least) + (least + most) * BLOCK + 3 * least + most + 64
    memory = allocate(CELLS + WIDE * (work + 8 * least + m * n))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0] = NO if vectors == 0 else ALL if full != 0 else SOME
    cells[1], cells[2], cells[3], cells[4], cells[5] = m, n, max(left, 1), max(right, 1), min(work, MOST)
    reals = memory + CELLS
    integers = reals + WIDE * work
    copy = integers + WIDE * 8 * least
    failed = 0
    for k in range(count):
        begin = k * (left * m + least + n * right)
        values = begin + left * m
        if least == 0:
            identity(out, begin, left)
            identity(out, values, right)
        else:
            # vt by columns has its rows `right` apart
            by_columns(at(out, copy), 0, a, k * m * n, m, n)
            fortran(
                gesdd,
                (
                    memory, memory + 8, memory + 16, copy, memory + 8, place(out, values), place(out, begin),
                    memory + 8, place(out, values + least), memory + 32, reals, memory + 40, integers, memory + 48,
                ),
            )  # fmt: skip
            if failed == 0 and refused(memory + 48):
                failed = k + 1
    release(memory)
    return failed


def qr(out, a, count, m, n, columns, rows, gelqf, orglq):
    """a = q @ r with orthonormal columns of q and r upper triangular: q, m times `columns`, and r, `rows` times n, one
    behind the other. columns: 0 for r alone, min(m, n), or m. What LAPACK sees is a.T = r.T @ q.T."""
    least = min(m, n)
    work = BLOCK * max(max(m, n), 1)
    memory = allocate(CELLS + WIDE * (work + least + m * n))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1], cells[2], cells[3], cells[4], cells[5] = n, m, least, columns, min(work, MOST), max(columns, 1)
    reals = memory + CELLS
    scales = reals + WIDE * work
    copy = scales + WIDE * least
    x = at(out, copy)
    failed = 0
    for k in range(count):
        begin = k * (m * columns + rows * n)
        for e in range(m * n):
            x[e] = a[k * m * n + e]
        if least > 0:
            fortran(gelqf, (memory, memory + 8, copy, memory, scales, reals, memory + 32, memory + 48))
        for i in range(rows):
            for j in range(n):
                out[begin + m * columns + i * n + j] = x[i * n + j] if j >= i else 0
        if least == 0:
            identity(out, begin, columns)
        elif columns > 0:
            for i in range(m):
                for j in range(columns):
                    out[begin + i * columns + j] = x[i * n + j] if j < least else 0
            fortran(
                orglq,
                (
                    memory + 24, memory + 8, memory + 16, place(out, begin), memory + 40, scales, reals, memory + 32,
                    memory + 48,
                ),
            )  # fmt: skip
        if failed == 0 and least > 0 and refused(memory + 48):
            failed = k + 1
    release(memory)
    return failed


def reflections(out, a, count, m, n, gelqf):
    """What q and r are made of: m times n elements, r and below its diagonal the reflections, and min(m, n) scales."""
    least = min(m, n)
    work = BLOCK * max(max(m, n), 1)
    memory = allocate(CELLS + WIDE * work)
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1], cells[2] = n, m, min(work, MOST)
    failed = 0
    for k in range(count if least > 0 else 0):
        begin = k * (m * n + least)
        for e in range(m * n):
            out[begin + e] = a[k * m * n + e]
        fortran(
            gelqf,
            (
                memory, memory + 8, place(out, begin), memory, place(out, begin + m * n), memory + CELLS, memory + 16,
                memory + 24,
            ),
        )  # fmt: skip
        if failed == 0 and refused(memory + 24):
            failed = k + 1
    release(memory)
    return failed


def order_of_columns(out, a, count, m, n, geqp3):
    """out = for each matrix the order of its n columns in which the diagonal of r does not grow."""
    least = min(m, n)
    work = 2 * n + (n + 1) * BLOCK + 1
    memory = allocate(CELLS + WIDE * (work + n + least + m * n))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1], cells[2] = m, n, min(work, MOST)
    reals = memory + CELLS
    places = reals + WIDE * work
    scales = places + WIDE * n
    copy = scales + WIDE * least
    order = i32(places)
    failed = 0
    for k in range(count):
        for j in range(n):
            order[j] = 0
        if least > 0:
            by_columns(at(a, copy), 0, a, k * m * n, m, n)
            fortran(geqp3, (memory, memory + 8, copy, memory, places, scales, reals, memory + 16, memory + 24))
            if failed == 0 and refused(memory + 24):
                failed = k + 1
        for j in range(n):
            out[k * n + j] = order[j] - 1 if least > 0 else j
    release(memory)
    return failed

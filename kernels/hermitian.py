"""Singular values of complex matrices, and eigenvalues of Hermitian ones, through LAPACK; for pointers.

As in `spectral`. What is real comes in arrays of real numbers, of which two are one element for a pointer to complex
ones; where only that is asked for, the result is real.

Source: LAPACK Users' Guide, 3rd edition, sections 2.3.4.1 and 2.3.4.3, and the comments of its routines.
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
    WIDEST,
    allocate,
    at,
    fortran,
    place,
    release,
)
from numgraph.kernels.lapack import cells_of, refused
from numgraph.kernels.spectral import by_columns, identity


@register_jitable
def _real_parts(out, begin, pairs, count):
    """Copy so many real numbers to complex ones."""
    for i in range(count):
        pair = pairs[i // 2]
        out[begin + i] = pair.real if i % 2 == 0 else pair.imag


def complex_svd(out, a, count, m, n, full, gesdd):
    """a = u @ diag(s) @ vt: u.T, s and vt.T one behind the other, as `svd` of real matrices."""
    least, most = min(m, n), max(m, n)
    left, right = (m, n) if full != 0 else (least, least)
    work = least * (6 + 4 * least) + (least + most) * BLOCK + 3 * least + most + 64
    real = least * (5 * least + 7 + 2 * most) + 2 * least * least + 2
    memory = allocate(CELLS + WIDEST * (work + least + 1 + m * n) + WIDE * (real + 8 * least))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0] = ALL if full != 0 else SOME
    cells[1], cells[2], cells[3], cells[4], cells[5] = m, n, max(left, 1), max(right, 1), min(work, MOST)
    others = memory + CELLS
    values = others + WIDEST * work
    copy = values + WIDEST * (least + 1)
    reals = copy + WIDEST * m * n
    integers = reals + WIDE * real
    failed = 0
    for k in range(count):
        begin = k * (left * m + least + n * right)
        if least == 0:
            identity(out, begin, left)
            identity(out, begin + left * m, right)
        else:
            by_columns(at(out, copy), 0, a, k * m * n, m, n)
            fortran(
                gesdd,
                (
                    memory, memory + 8, memory + 16, copy, memory + 8, values, place(out, begin), memory + 8,
                    place(out, begin + left * m + least), memory + 32, others, memory + 40, reals, integers,
                    memory + 48,
                ),
            )  # fmt: skip
            _real_parts(out, begin + left * m, at(out, values), least)
            if failed == 0 and refused(memory + 48):
                failed = k + 1
    release(memory)
    return failed


def complex_singular_values(out, a, count, m, n, gesdd):
    """The singular values of complex matrices, descending, which are real."""
    least, most = min(m, n), max(m, n)
    work = least * (6 + 4 * least) + (least + most) * BLOCK + 3 * least + most + 64
    memory = allocate(CELLS + WIDEST * (work + m * n) + WIDE * (7 * least + 8 * least + 1))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1], cells[2], cells[3], cells[4] = NO, m, n, 1, min(work, MOST)
    others = memory + CELLS
    copy = others + WIDEST * work
    reals = copy + WIDEST * m * n
    integers = reals + WIDE * (7 * least + 1)
    failed = 0
    for k in range(count if least > 0 else 0):
        by_columns(at(a, copy), 0, a, k * m * n, m, n)
        fortran(
            gesdd,
            (
                memory, memory + 8, memory + 16, copy, memory + 8, place(out, k * least), others, memory + 24, others,
                memory + 24, others, memory + 32, reals, integers, memory + 40,
            ),
        )  # fmt: skip
        if failed == 0 and refused(memory + 40):
            failed = k + 1
    release(memory)
    return failed


@register_jitable
def _heevd(memory, heevd, matrix, values, others, reals, integers):
    """Eigenvalues, and in the place of the matrix its vectors, as the cells say."""
    fortran(
        heevd,
        (
            memory, memory + 8, memory + 16, matrix, memory + 16, values, others, memory + 24, reals, memory + 32,
            integers, memory + 40, memory + 48,
        ),
    )  # fmt: skip


def complex_eigh(out, a, count, n, heevd):
    """Of Hermitian matrices, of which the lower triangle is read: n eigenvalues, ascending, and n eigenvectors."""
    work, real, whole = n * (BLOCK + 2 + n) + 1, 1 + 5 * n + 2 * n * n, 3 + 5 * n
    memory = allocate(CELLS + WIDEST * (work + n + 1) + WIDE * (real + whole))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1], cells[2] = VECTORS, LOWER, n
    cells[3], cells[4], cells[5] = min(work, MOST), min(real, MOST), min(whole, MOST)
    others = memory + CELLS
    values = others + WIDEST * work
    reals = values + WIDEST * (n + 1)
    failed = 0
    for k in range(count if n > 0 else 0):
        begin = k * n * (n + 1)
        by_columns(out, begin + n, a, k * n * n, n, n)
        _heevd(memory, heevd, place(out, begin + n), values, others, reals, reals + WIDE * real)
        _real_parts(out, begin, at(out, values), n)
        if failed == 0 and refused(memory + 48):
            failed = k + 1
    release(memory)
    return failed


def complex_eigvalsh(out, a, count, n, heevd):
    """The eigenvalues of Hermitian matrices, of which the lower triangle is read, ascending, which are real."""
    work, real = n * (BLOCK + 2) + 1, n + 1
    memory = allocate(CELLS + WIDEST * (work + n * n) + WIDE * (real + 1))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1], cells[2], cells[3], cells[4], cells[5] = NO, LOWER, n, min(work, MOST), min(real, MOST), 1
    others = memory + CELLS
    copy = others + WIDEST * work
    reals = copy + WIDEST * n * n
    failed = 0
    for k in range(count if n > 0 else 0):
        by_columns(at(a, copy), 0, a, k * n * n, n, n)
        _heevd(memory, heevd, copy, place(out, k * n), others, reals, reals + WIDE * real)
        if failed == 0 and refused(memory + 48):
            failed = k + 1
    release(memory)
    return failed

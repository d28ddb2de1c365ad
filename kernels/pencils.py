"""Schur forms of pairs of matrices, through LAPACK; for pointers in compiled code. As in `schur`.

Source: LAPACK Users' Guide, 3rd edition, section 2.3.5, and the comments of its routines.
"""

from numba.extending import register_jitable
from numgraph.kernels.foreign import BLOCK, CELLS, MOST, NO, VECTORS, WIDE, WIDEST, allocate, fortran, place, release
from numgraph.kernels.lapack import cells_of, refused
from numgraph.kernels.spectral import by_columns
from numgraph.kernels.support import i32


@register_jitable
def _in_front(order, x, y, size):
    """Whether an eigenvalue (x + iy) / size is one of those in front, as SciPy's ordqz has it."""
    if size == 0:
        return order == 4 and (x != 0 or y != 0)
    if order == 1:
        return x / size < 0
    if order == 2:
        return x / size > 0
    ratio = (x * x + y * y) / (size * size)
    return ratio < 1 if order == 3 else ratio > 1


@register_jitable
def _said(memory, n, work):
    """Fill the cells: letters, the length, that of the work, and truths."""
    cells = cells_of(memory)
    cells[0], cells[1], cells[2], cells[3], cells[4] = VECTORS, NO, n, min(work, MOST), max(n, 1)
    cells[5], cells[6] = 0, 1


def qz(out, a, b, count, n, order, gges, tgsen):
    """a = q @ s @ z.T and b = q @ t @ z.T: s, t, q, z, and of each eigenvalue both parts, and what they are divided
    by."""
    work = 8 * n + 16 + BLOCK * n
    memory = allocate(2 * CELLS + WIDE * (work + 2 * n + 2))
    if memory == 0:
        return -1
    _said(memory, n, work)
    infos = memory + CELLS
    flags = infos + CELLS
    reals = flags + WIDE * (n + 1)
    chosen = i32(flags)
    failed = 0
    for k in range(count if n > 0 else 0):
        begin = k * (4 * n * n + 3 * n)
        values = begin + 4 * n * n
        by_columns(out, begin, a, k * n * n, n, n)
        by_columns(out, begin + n * n, b, k * n * n, n, n)
        s, t, q, z = (
            place(out, begin), place(out, begin + n * n), place(out, begin + 2 * n * n), place(out, begin + 3 * n * n),
        )  # fmt: skip
        x, y, size = place(out, values), place(out, values + n), place(out, values + 2 * n)
        fortran(
            gges,
            (
                memory, memory, memory + 8, memory, memory + 16, s, memory + 32, t, memory + 32, infos, x, y, size, q,
                memory + 32, z, memory + 32, reals, memory + 24, flags, infos + 8,
            ),
        )  # fmt: skip
        bad = refused(infos + 8)
        if order != 0 and not bad:
            for i in range(n):
                inside = _in_front(order, out[values + i], out[values + n + i], out[values + 2 * n + i])
                chosen[i] = 1 if inside else 0
            fortran(
                tgsen,
                (
                    memory + 40, memory + 48, memory + 48, flags, memory + 16, s, memory + 32, t, memory + 32, x, y,
                    size, q, memory + 32, z, memory + 32, infos, infos + 16, infos + 24, infos + 32, reals,
                    memory + 24, infos + 56, memory + 48, infos + 8,
                ),
            )  # fmt: skip
            bad = refused(infos + 8)
        if failed == 0 and bad:
            failed = k + 1
    release(memory)
    return failed


def complex_qz(out, a, b, count, n, order, gges, tgsen):
    """a = q @ s @ conj(z.T) and b = q @ t @ conj(z.T), of complex matrices: s, t, q, z, eigenvalues, and what they are
    divided by."""
    work = 2 * n + 1 + BLOCK * n
    memory = allocate(2 * CELLS + WIDEST * work + WIDE * (9 * n + 2))
    if memory == 0:
        return -1
    _said(memory, n, work)
    infos = memory + CELLS
    others = infos + CELLS
    flags = others + WIDEST * work
    reals = flags + WIDE * (n + 1)
    chosen = i32(flags)
    failed = 0
    for k in range(count if n > 0 else 0):
        begin = k * (4 * n * n + 2 * n)
        values = begin + 4 * n * n
        by_columns(out, begin, a, k * n * n, n, n)
        by_columns(out, begin + n * n, b, k * n * n, n, n)
        s, t, q, z = (
            place(out, begin), place(out, begin + n * n), place(out, begin + 2 * n * n), place(out, begin + 3 * n * n),
        )  # fmt: skip
        x, size = place(out, values), place(out, values + n)
        fortran(
            gges,
            (
                memory, memory, memory + 8, memory, memory + 16, s, memory + 32, t, memory + 32, infos, x, size, q,
                memory + 32, z, memory + 32, others, memory + 24, reals, flags, infos + 8,
            ),
        )  # fmt: skip
        bad = refused(infos + 8)
        if order != 0 and not bad:
            for i in range(n):
                # what an eigenvalue is divided by is real, and not below 0
                inside = _in_front(order, out[values + i].real, out[values + i].imag, out[values + n + i].real)
                chosen[i] = 1 if inside else 0
            fortran(
                tgsen,
                (
                    memory + 40, memory + 48, memory + 48, flags, memory + 16, s, memory + 32, t, memory + 32, x, size,
                    q, memory + 32, z, memory + 32, infos, infos + 16, infos + 24, infos + 32, others, memory + 24,
                    infos + 56, memory + 48, infos + 8,
                ),
            )  # fmt: skip
            bad = refused(infos + 8)
        if failed == 0 and bad:
            failed = k + 1
    release(memory)
    return failed

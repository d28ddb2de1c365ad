"""Schur forms of matrices and of pairs of matrices, through LAPACK; for pointers in compiled code.

As in `lapack`: arrays in C order, addresses of routines last, and the same statuses. Results of one matrix lie one
behind the other, matrices by columns. Eigenvalues are brought to the front behind the factorisation, as LAPACK's
drivers do it when they are told to: those with negative real part (order 1) or not (2), within the unit circle (3) or
not (4).

Source: LAPACK Users' Guide, 3rd edition, sections 2.3.4.2 and 2.3.5, and the comments of its routines.
"""

from numba.extending import register_jitable
from numgraph.kernels.foreign import BLOCK, CELLS, MOST, NO, VECTORS, WIDEST, allocate, at, fortran, place, release
from numgraph.kernels.lapack import cells_of, refused
from numgraph.kernels.spectral import by_columns
from numgraph.kernels.support import i32


@register_jitable
def _comes_first(order, x, y):
    """Whether an eigenvalue x + iy is one of those in front."""
    if order == 1:
        return x < 0
    if order == 2:
        return x >= 0
    within = x * x + y * y <= 1
    return within if order == 3 else not within


def schur(out, a, count, n, order, gees, trsen):
    """a = z @ t @ z.T: t, upper triangular but for blocks of two on its diagonal, z, and how many eigenvalues are in
    front."""
    work = (BLOCK + 2) * max(n, 1)
    memory = allocate(2 * CELLS + WIDEST * (work + 4 * n))
    if memory == 0:
        return -1
    cells, infos = cells_of(memory), memory + CELLS
    cells[0], cells[1], cells[2], cells[3], cells[4] = VECTORS, NO, n, min(work, MOST), max(n, 1)
    real, imag = infos + CELLS, infos + CELLS + WIDEST * n
    flags, integers, reals = imag + WIDEST * n, imag + 2 * WIDEST * n, imag + 3 * WIDEST * n
    x, y, chosen = at(out, real), at(out, imag), i32(flags)
    failed = 0
    for k in range(count):
        begin = k * (2 * n * n + 1)
        by_columns(out, begin, a, k * n * n, n, n)
        t, z = place(out, begin), place(out, begin + n * n)
        out[begin + 2 * n * n] = 0
        if n > 0:
            fortran(
                gees,
                (
                    memory, memory + 8, memory, memory + 16, t, memory + 32, infos, real, imag, z, memory + 32, reals,
                    memory + 24, flags, infos + 8,
                ),
            )  # fmt: skip
            bad = refused(infos + 8)
            if order != 0 and not bad:
                total = 0
                for i in range(n):
                    chosen[i] = 1 if _comes_first(order, x[i], y[i]) else 0
                    total += chosen[i]
                fortran(
                    trsen,
                    (
                        memory + 8, memory, flags, memory + 16, t, memory + 32, z, memory + 32, real, imag, infos,
                        infos + 16, infos + 24, reals, memory + 24, integers, memory + 24, infos + 8,
                    ),
                )  # fmt: skip
                out[begin + 2 * n * n] = total
                bad = refused(infos + 8)
            if failed == 0 and bad:
                failed = k + 1
    release(memory)
    return failed


def complex_schur(out, a, count, n, order, gees, trsen):
    """a = z @ t @ conj(z.T), of complex matrices: t, upper triangular, z, and how many eigenvalues are in front."""
    work = (BLOCK + 2) * max(n, 1)
    memory = allocate(2 * CELLS + WIDEST * (work + 3 * n))
    if memory == 0:
        return -1
    cells, infos = cells_of(memory), memory + CELLS
    cells[0], cells[1], cells[2], cells[3], cells[4] = VECTORS, NO, n, min(work, MOST), max(n, 1)
    values = infos + CELLS
    flags, reals, others = values + WIDEST * n, values + 2 * WIDEST * n, values + 3 * WIDEST * n
    w, chosen = at(out, values), i32(flags)
    failed = 0
    for k in range(count):
        begin = k * (2 * n * n + 1)
        by_columns(out, begin, a, k * n * n, n, n)
        t, z = place(out, begin), place(out, begin + n * n)
        out[begin + 2 * n * n] = 0
        if n > 0:
            fortran(
                gees,
                (
                    memory, memory + 8, memory, memory + 16, t, memory + 32, infos, values, z, memory + 32, others,
                    memory + 24, reals, flags, infos + 8,
                ),
            )  # fmt: skip
            bad = refused(infos + 8)
            if order != 0 and not bad:
                total = 0
                for i in range(n):
                    chosen[i] = 1 if _comes_first(order, w[i].real, w[i].imag) else 0
                    total += chosen[i]
                fortran(
                    trsen,
                    (
                        memory + 8, memory, flags, memory + 16, t, memory + 32, z, memory + 32, values, infos,
                        infos + 16, infos + 24, others, memory + 24, infos + 8,
                    ),
                )  # fmt: skip
                out[begin + 2 * n * n] = total
                bad = refused(infos + 8)
            if failed == 0 and bad:
                failed = k + 1
    release(memory)
    return failed

"""Sylvester's equation for triangular matrices, through LAPACK; for pointers in compiled code. As in `lapack`.

Source: LAPACK Users' Guide, 3rd edition, section 2.4.8, and the comments of trsyl.
"""

from numgraph.kernels.foreign import ADJOINT, CELLS, NO, WIDEST, allocate, at, fortran, release
from numgraph.kernels.lapack import cells_of, refused
from numgraph.kernels.spectral import by_columns


def sylvester(out, r, s, c, count, m, n, trsyl):
    """out = the solutions of r @ out + out @ conj(s.T) = c, for Schur forms r, m times m, and s, n times n."""
    memory = allocate(CELLS + WIDEST * (m * m + n * n + m * n))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1], cells[2], cells[3], cells[4] = NO, ADJOINT, 1, m, n
    left = memory + CELLS
    right = left + WIDEST * m * m
    both = right + WIDEST * n * n
    x, scale = at(out, both), at(out, memory + 80)
    failed = 0
    for k in range(count if m > 0 and n > 0 else 0):
        by_columns(at(out, left), 0, r, k * m * m, m, m)
        by_columns(at(out, right), 0, s, k * n * n, n, n)
        by_columns(x, 0, c, k * m * n, m, n)
        # a real number, of which a complex one takes the rest
        cells[10], cells[11] = 0, 0
        fortran(
            trsyl,
            (
                memory, memory + 8, memory + 16, memory + 24, memory + 32, left, memory + 24, right, memory + 32, both,
                memory + 24, memory + 80, memory + 48,
            ),
        )  # fmt: skip
        for i in range(m):
            for j in range(n):
                out[(k * m + i) * n + j] = x[j * m + i] * scale[0]
        if failed == 0 and refused(memory + 48):
            failed = k + 1
    release(memory)
    return failed

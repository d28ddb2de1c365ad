"""Eigenvalues of general matrices, through LAPACK; for pointers. As in `lapack`: arrays in C order, addresses of
routines last, and the same statuses.

Source: LAPACK Users' Guide, 3rd edition, section 2.3.4.2, and the comments of zgeev.
"""

from numgraph.kernels.foreign import BLOCK, CELLS, MOST, NO, VECTORS, WIDEST, allocate, at, fortran, place, release
from numgraph.kernels.lapack import cells_of, refused


def eig(out, a, count, n, vectors, geev):
    """Of complex matrices the n eigenvalues, and with `vectors` the eigenvectors behind them, one after the other, of
    length 1 with a largest part that is real."""
    work = max(BLOCK, 2) * n + 1
    memory = allocate(CELLS + WIDEST * (work + n + n * n + 1))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1] = NO, VECTORS if vectors != 0 else NO
    cells[2], cells[3], cells[4] = n, min(work, MOST), 1
    reals = memory + CELLS
    others = reals + WIDEST * n
    copy = others + WIDEST * work
    matrix = at(out, copy)
    size = n * (n + 1) if vectors != 0 else n
    failed = 0
    for k in range(count if n > 0 else 0):
        start = k * n * n
        for i in range(n):
            for j in range(n):
                matrix[j * n + i] = a[start + i * n + j]
        values = k * size
        # where there are no vectors nothing is written behind the values
        right = place(out, values + n) if vectors != 0 else copy
        fortran(
            geev,
            (
                memory, memory + 8, memory + 16, copy, memory + 16, place(out, values), copy, memory + 32, right,
                memory + 16, others, memory + 24, reals, memory + 40,
            ),
        )  # fmt: skip
        if failed == 0 and refused(memory + 40):
            failed = k + 1
    release(memory)
    return failed

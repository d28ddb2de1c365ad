"""Systems of linear equations of which more is known, through LAPACK; for pointers in compiled code.

As in `lapack`: arrays in C order, addresses of routines last, and the same statuses. Right-hand sides and solutions
are rows, which are LAPACK's columns.

Source: LAPACK Users' Guide, 3rd edition, section 2.3.1, and the comments of its routines.
"""

from numgraph.kernels.foreign import BLOCK, CELLS, LOWER, MOST, UPPER, WIDE, allocate, at, fortran, place, release
from numgraph.kernels.lapack import cells_of, refused


def solve_symmetric(out, a, b, count, n, k, upper, sysv):
    """out = the solutions x of a @ x.T = b.T, k rows of n elements, for symmetric a of which one triangle is read."""
    work = BLOCK * max(n, 1)
    memory = allocate(CELLS + WIDE * (work + n + n * n))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    # what is above the diagonal in C order is below it for LAPACK
    cells[0], cells[1], cells[2], cells[3] = LOWER if upper != 0 else UPPER, n, k, min(work, MOST)
    pivots = memory + CELLS
    reals = pivots + WIDE * n
    copy = reals + WIDE * work
    matrix = at(out, copy)
    for e in range(count * n * k):
        out[e] = b[e]
    failed = 0
    for s in range(count if n > 0 and k > 0 else 0):
        for e in range(n * n):
            matrix[e] = a[s * n * n + e]
        fortran(
            sysv,
            (
                memory, memory + 8, memory + 16, copy, memory + 8, pivots, place(out, s * n * k), memory + 8, reals,
                memory + 24, memory + 32,
            ),
        )  # fmt: skip
        if failed == 0 and refused(memory + 32):
            failed = s + 1
    release(memory)
    return failed


def solve_tridiagonal(out, a, b, count, n, k, part, gtsv):
    """out = the solutions x of a @ x.T = b.T, k rows of n elements, for a of which the diagonal and its neighbours are
    read. part: 0; 1 for the transposed matrix; 2 for the diagonal alone."""
    memory = allocate(CELLS + 3 * WIDE * n)
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1] = n, k
    below, middle, above = memory + CELLS, memory + CELLS + WIDE * n, memory + CELLS + 2 * WIDE * n
    lower, diagonal, upper = at(out, below), at(out, middle), at(out, above)
    for e in range(count * n * k):
        out[e] = b[e]
    failed = 0
    for s in range(count if n > 0 and k > 0 else 0):
        start = s * n * n
        for i in range(n):
            diagonal[i] = a[start + i * (n + 1)]
            if i > 0:
                down, right = start + i * (n + 1) - 1, start + (i - 1) * (n + 1) + 1
                lower[i - 1] = 0 if part == 2 else a[right if part == 1 else down]
                upper[i - 1] = 0 if part == 2 else a[down if part == 1 else right]
        fortran(gtsv, (memory, memory + 8, below, middle, above, place(out, s * n * k), memory, memory + 16))
        if failed == 0 and refused(memory + 16):
            failed = s + 1
    release(memory)
    return failed

"""Small real matrices without LAPACK and BLAS, of which a call takes longer than what there is to do, and wakes threads
for a few right-hand sides: where a processor is busy otherwise, it waits milliseconds for them.

Arguments and results are those of `lapack`.
"""

from numba.extending import register_jitable
from numgraph.kernels.pivots import eliminate, pivot_of

# So many elements of the right-hand sides stay in a processor's first cache.
STAY = 2048


def small_lu(out, a, count, m, n, getrf):
    """out = the factors of a.T = P @ L @ U, by columns, and in one more column the pivots. a: m rows, n columns."""
    for s in range(count):
        start = s * m * (n + 1)
        for i in range(m):
            for j in range(n):
                out[start + i * (n + 1) + j] = a[(s * m + i) * n + j]
        eliminate(out, start, m, n)
    return 0


@register_jitable
def _zero_on_diagonal(t, start, n, row):
    found = False
    for i in range(n):
        found = found or t[start + i * (row + 1)] == 0
    return found


@register_jitable
def _substitute(t, start, x, right, n, row, k, upper, turned, unit):
    """Solve T @ X = B or, `turned`, T.T @ X = B in place. T: at `start` of t, n rows that are `row` elements apart; B:
    at `right` of x, k columns. upper: which triangle T is."""
    # elements from one row of what is solved to the next, and from one column
    down, across = (1, row) if turned != 0 else (row, 1)
    wide = STAY // max(n, 1)
    for begin in range(0, k, wide):
        end = min(begin + wide, k)
        for r in range(n):
            i = r if upper == turned else n - 1 - r
            for e in range(r):
                j = e if upper == turned else n - 1 - e
                factor = t[start + i * down + j * across]
                for c in range(begin, end):
                    x[right + i * k + c] -= factor * x[right + j * k + c]
            if unit == 0:
                divisor = t[start + i * (row + 1)]
                for c in range(begin, end):
                    x[right + i * k + c] /= divisor


def small_solve_triangular(out, a, b, count, n, k, upper, transposed, unit, trsm, trsv):
    """out = the solutions of a @ out = b, or a.T @ out = b, for triangular matrices a: n rows and columns, k columns of
    b. The other triangle is not read, and with `unit` the diagonal neither, which stands for ones."""
    failed = 0
    for e in range(count * n * k):
        out[e] = b[e]
    for s in range(count if n > 0 and k > 0 else 0):
        if unit == 0 and _zero_on_diagonal(a, s * n * n, n, n):
            failed = s + 1 if failed == 0 else failed
        else:
            _substitute(a, s * n * n, out, s * n * k, n, n, k, upper, transposed, unit)
    return failed


@register_jitable
def _exchange_all(out, start, factors, matrix, n, k, first, step):
    """Exchange the rows of the right-hand sides as those of the matrix were, beginning with row `first`."""
    for r in range(n):
        i = first + r * step
        other = pivot_of(factors, matrix + i * (n + 1) + n, i, n)
        for c in range(k if other != i else 0):
            x, y = start + i * k + c, start + other * k + c
            kept = out[x]
            out[x] = out[y]
            out[y] = kept


def small_lu_solve(out, factors, b, count, n, k, transposed, trsm, trsv):
    """out = the solutions of a @ out = b, or a.T @ out = b, by the factors that `lu` has made of a.

    In C order these are U.T, the lower triangle, and L.T with a diagonal of ones: a = U.T @ L.T @ P.T.
    """
    failed = 0
    for e in range(count * n * k):
        out[e] = b[e]
    for s in range(count if n > 0 and k > 0 else 0):
        matrix, start = s * n * (n + 1), s * n * k
        if _zero_on_diagonal(factors, matrix, n, n + 1):
            failed = s + 1 if failed == 0 else failed
        else:
            if transposed != 0:
                _exchange_all(out, start, factors, matrix, n, k, 0, 1)
            # the upper triangle has ones on its diagonal; transposed it comes first
            for step in range(2):
                upper = transposed if step == 0 else 1 - transposed
                _substitute(factors, matrix, out, start, n, n + 1, k, upper, transposed, upper)
            if transposed == 0:
                _exchange_all(out, start, factors, matrix, n, k, n - 1, -1)
    return failed

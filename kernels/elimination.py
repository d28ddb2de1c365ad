"""Factors and solutions of stacks of matrices by plain loops, for one thread of a grid; LAPACK has them in `lapack`.

Arguments and results are those of `lapack`, without addresses of routines. Nothing is refused: where a matrix is
singular or not positive definite there are NaN and infinities in the result.
"""

import math

from numgraph.kernels.pivots import eliminate, pivot_of


def cholesky(out, a, count, n, strict):
    """out = the lower triangular L with a = L @ L.T, of which the lower triangle is read; zeros above. strict: 0 for
    NaN in all of it where there is none."""
    for s in range(count):
        start = s * n * n
        for i in range(n):
            row = start + i * n
            for j in range(n):
                if j > i:
                    out[row + j] = 0
                else:
                    left = a[row + j]
                    for k in range(j):
                        left = left - out[row + k] * out[start + j * n + k]
                    if j < i:
                        out[row + j] = left / out[start + j * n + j]
                    elif left > 0:
                        out[row + j] = math.sqrt(left)
                    else:
                        out[row + j] = math.nan
        # what follows a NaN is NaN
        if strict == 0 and n > 0 and out[start + n * n - 1] != out[start + n * n - 1]:
            for e in range(n * n):
                out[start + e] = math.nan


def solve_triangular(out, a, b, count, n, k, upper, transposed, unit):
    """out = the solutions of a @ out = b, or a.T @ out = b, for triangular matrices a: n rows and columns, k columns of
    b."""
    # elements from one row of what is solved to the next, and from one column
    down, across = (1, n) if transposed != 0 else (n, 1)
    for s in range(count):
        start, right = s * n * n, s * n * k
        for r in range(n):
            i = r if upper == transposed else n - 1 - r
            for c in range(k):
                left = b[right + i * k + c]
                for e in range(r):
                    j = e if upper == transposed else n - 1 - e
                    left = left - a[start + i * down + j * across] * out[right + j * k + c]
                if unit == 0:
                    left = left / a[start + i * n + i]
                out[right + i * k + c] = left


def lu(out, a, count, m, n):
    """out = the factors of a.T = P @ L @ U, by columns, and in one more column the pivots. a: m rows, n columns."""
    wide = n + 1
    for s in range(count):
        start = s * m * wide
        for i in range(m):
            for j in range(n):
                out[start + i * wide + j] = a[(s * m + i) * n + j]
        eliminate(out, start, m, n)


def lu_solve(out, factors, b, count, n, k, transposed):
    """out = the solutions of a @ out = b, or a.T @ out = b, by the factors that `lu` has made of a."""
    wide = n + 1
    # elements from one row of what is solved to the next, and from one column
    down, across = (1, wide) if transposed != 0 else (wide, 1)
    for s in range(count):
        start, right = s * n * wide, s * n * k
        for e in range(n * k):
            out[right + e] = b[right + e]
        if transposed != 0:
            for i in range(n):
                other = pivot_of(factors, start + i * wide + n, i, n)
                for c in range(k):
                    kept = out[right + i * k + c]
                    out[right + i * k + c] = out[right + other * k + c]
                    out[right + other * k + c] = kept
        # first the lower triangle, then the upper one; the diagonal of one of them is ones
        for step in range(2):
            for r in range(n):
                i = r if step == 0 else n - 1 - r
                for c in range(k):
                    left = out[right + i * k + c]
                    for e in range(r):
                        j = e if step == 0 else n - 1 - e
                        left = left - factors[start + i * down + j * across] * out[right + j * k + c]
                    if (step == 0) == (transposed == 0):
                        left = left / factors[start + i * wide + i]
                    out[right + i * k + c] = left
        if transposed == 0:
            for r in range(n):
                i = n - 1 - r
                other = pivot_of(factors, start + i * wide + n, i, n)
                for c in range(k):
                    kept = out[right + i * k + c]
                    out[right + i * k + c] = out[right + other * k + c]
                    out[right + other * k + c] = kept

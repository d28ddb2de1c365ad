"""A matrix product in plain loops, for where no BLAS is at hand."""

from numba.extending import register_jitable

# K_BLOCK rows of b, N_BLOCK columns wide (at most 256 KiB), stay in the cache while all rows of a pass over them.
K_BLOCK = 64
N_BLOCK = 512


def gemm(out, a, b, m, n, k, alpha, beta, a_row, a_col, b_row, b_col, out_row):
    """out[m, n] = alpha * a[m, k] @ b[k, n] + beta * out.

    out, a, b: pointers or flat arrays of one float dtype; alpha, beta: numbers of it. Strides count elements: a[i, p]
    is `a[i * a_row + p * a_col]`, so that a transpose is an exchange of strides; rows of out are `out_row` apart and
    its columns adjacent. With beta 0 out is only written: NaN in it does not matter. out must not overlap a or b.
    """
    for i in range(m):
        for j in range(n):
            out[i * out_row + j] = beta * out[i * out_row + j] if beta != 0 else beta
    for p0 in range(0, k, K_BLOCK):
        p1 = min(p0 + K_BLOCK, k)
        for j0 in range(0, n, N_BLOCK):
            j1 = min(j0 + N_BLOCK, n)
            for i in range(m):
                if b_col == 1:
                    _add_rows(out, a, b, alpha, i * out_row, i * a_row, a_col, b_row, p0, p1, j0, j1)
                else:
                    _add_dots(out, a, b, alpha, i * out_row, i * a_row, a_col, b_row, b_col, p0, p1, j0, j1)


@register_jitable
def _add_rows(out, a, b, alpha, row, a_at, a_col, b_row, p0, p1, j0, j1):
    """One row of out gains a[p] times row p of b, for four p at a time: out is read and written once for the four."""
    p = p0
    while p + 4 <= p1:
        w0, w1 = alpha * a[a_at + p * a_col], alpha * a[a_at + (p + 1) * a_col]
        w2, w3 = alpha * a[a_at + (p + 2) * a_col], alpha * a[a_at + (p + 3) * a_col]
        b0, b1, b2, b3 = p * b_row, (p + 1) * b_row, (p + 2) * b_row, (p + 3) * b_row
        for j in range(j0, j1):
            out[row + j] += w0 * b[b0 + j] + w1 * b[b1 + j] + w2 * b[b2 + j] + w3 * b[b3 + j]
        p += 4
    while p < p1:
        weight = alpha * a[a_at + p * a_col]
        for j in range(j0, j1):
            out[row + j] += weight * b[p * b_row + j]
        p += 1


@register_jitable
def _add_dots(out, a, b, alpha, row, a_at, a_col, b_row, b_col, p0, p1, j0, j1):
    """One row of out where columns of b are not adjacent (b is a transpose): dot products, in four partial sums."""
    zero = alpha * 0
    for j in range(j0, j1):
        s0, s1, s2, s3 = zero, zero, zero, zero
        p = p0
        while p + 4 <= p1:
            at = a_at + p * a_col
            bt = j * b_col + p * b_row
            s0 += a[at] * b[bt]
            s1 += a[at + a_col] * b[bt + b_row]
            s2 += a[at + 2 * a_col] * b[bt + 2 * b_row]
            s3 += a[at + 3 * a_col] * b[bt + 3 * b_row]
            p += 4
        while p < p1:
            s0 += a[a_at + p * a_col] * b[j * b_col + p * b_row]
            p += 1
        out[row + j] += alpha * ((s0 + s1) + (s2 + s3))

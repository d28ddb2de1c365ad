"""What LAPACK's exchanges of rows amount to; for pointers in compiled code, and for one thread of a grid."""


def permutation(out, pivots, count, n, inverse):
    """out = the order into which exchanges bring n rows: row i goes where pivots[i] is, one after the other, from 0.

    Row i of the result is row out[i] of what it was; with `inverse` row out[i] of the result is row i.
    """
    for s in range(count):
        start = s * n
        for i in range(n):
            out[start + i] = i
        for r in range(n):
            i = n - 1 - r if inverse != 0 else r
            other = pivots[start + i]
            kept = out[start + i]
            out[start + i] = out[start + other]
            out[start + other] = kept

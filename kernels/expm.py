"""The exponential of matrices, by Pade approximation, scaling and squaring; for pointers in compiled code."""

from numba.extending import register_jitable
from numgraph.kernels.foreign import CELLS, NO, WIDE, allocate, at, fortran, place, release
from numgraph.kernels.lapack import cells_of

# up to this norm the approximation is exact to float64 (Higham 2005, table 2.3)
_THETA = 5.371920351148152
# coefficients of its numerator, from that of the identity to that of the 13th power
_B0, _B1, _B2, _B3 = 64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0
_B4, _B5, _B6, _B7 = 129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0
_B8, _B9, _B10, _B11, _B12 = 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0


@register_jitable
def _norm(a, start, n):
    """The largest sum of absolute values of a row: at least the spectral radius. NaN where an element is."""
    largest = 0.0
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += abs(a[start + i * n + j])
        if total > largest or total != total:
            largest = total
    return largest


@register_jitable
def _times(memory, gemm, to, left, right):
    """A product of two matrices by columns, at addresses."""
    fortran(
        gemm,
        (
            memory, memory, memory + 8, memory + 8, memory + 8, memory + 32, left, memory + 8, right, memory + 8,
            memory + 40, to, memory + 8,
        ),
    )  # fmt: skip


@register_jitable
def _sum(to, x6, x4, x2, size, b6, b4, b2):
    for e in range(size):
        to[e] = b6 * x6[e] + b4 * x4[e] + b2 * x2[e]


@register_jitable
def _add(to, x6, x4, x2, n, b6, b4, b2, b0):
    for e in range(n * n):
        to[e] = to[e] + (b6 * x6[e] + b4 * x4[e] + b2 * x2[e])
    for i in range(n):
        to[i * (n + 1)] = to[i * (n + 1)] + b0


def expm(out, a, count, n, gemm, getrf, getrs):
    """out = exp(a) for each of `count` matrices; NaN everywhere where an element of one is NaN or infinite.

    Both are as well transposed, as LAPACK sees them. Returns 0, or -1 where there was no memory.
    Source: N. Higham, "The scaling and squaring method for the matrix exponential revisited" (2005), algorithm 2.3, of
    degree 13 always.
    """
    size = n * n
    memory = allocate(CELLS + WIDE * (n + 7 * size))
    if memory == 0:
        return -1
    cells = cells_of(memory)
    cells[0], cells[1] = NO, max(n, 1)
    at(out, memory + 32)[0] = 1
    at(out, memory + 40)[0] = 0
    pivots, each = memory + CELLS, WIDE * size
    first = pivots + WIDE * n
    second, fourth, sixth = first + each, first + 2 * each, first + 3 * each
    odd, even, other = first + 4 * each, first + 5 * each, first + 6 * each
    x, x2, x4, x6 = at(out, first), at(out, second), at(out, fourth), at(out, sixth)
    u, v, t = at(out, odd), at(out, even), at(out, other)
    for k in range(count if n > 0 else 0):
        start = k * size
        norm = _norm(a, start, n)
        if norm - norm != 0:
            for e in range(size):
                out[start + e] = norm - norm
        else:
            squarings, scale = 0, 1.0
            while norm * scale > _THETA:
                scale = scale * 0.5
                squarings += 1
            for e in range(size):
                x[e] = a[start + e] * scale
            _times(memory, gemm, second, first, first)
            _times(memory, gemm, fourth, second, second)
            _times(memory, gemm, sixth, fourth, second)
            _sum(t, x6, x4, x2, size, 1.0, _B11, _B9)
            _times(memory, gemm, even, sixth, other)
            _add(v, x6, x4, x2, n, _B7, _B5, _B3, _B1)
            _times(memory, gemm, odd, first, even)
            _sum(t, x6, x4, x2, size, _B12, _B10, _B8)
            _times(memory, gemm, even, sixth, other)
            _add(v, x6, x4, x2, n, _B6, _B4, _B2, _B0)
            for e in range(size):
                t[e] = v[e] - u[e]
                out[start + e] = v[e] + u[e]
            result = place(out, start)
            fortran(getrf, (memory + 8, memory + 8, other, memory + 8, pivots, memory + 24))
            fortran(
                getrs,
                (memory, memory + 8, memory + 8, other, memory + 8, pivots, result, memory + 8, memory + 24),
            )
            for _ in range(squarings):
                _times(memory, gemm, other, result, result)
                for e in range(size):
                    out[start + e] = t[e]
    release(memory)
    return 0

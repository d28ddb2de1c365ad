"""Sparse matrices by rows (CSR): row i has the elements indptr[i] to indptr[i + 1], in the columns that `indices` says.

Indices may be negative and then count from the end; that they are in range is looked at before. Rows of the dense
matrices are contiguous, so the innermost loops are vectors.
"""

from numba.extending import register_jitable


@register_jitable
def from_begin(place, length):
    """An index that counts from the begin."""
    return place + length if place < 0 else place


def csr_dot(out, data, indices, indptr, x, rows, columns, width, count):
    """out = S x. out: rows x width; x: columns x width. count: of the elements of S."""
    if width == 1:
        for i in range(rows):
            # 0 in the dtype of the numbers
            out[i] = 0
            total = out[i]
            for k in range(from_begin(indptr[i], count + 1), from_begin(indptr[i + 1], count + 1)):
                total += data[k] * x[from_begin(indices[k], columns)]
            out[i] = total
        return
    for i in range(rows):
        for j in range(width):
            out[i * width + j] = 0
        for k in range(from_begin(indptr[i], count + 1), from_begin(indptr[i + 1], count + 1)):
            value = data[k]
            line = from_begin(indices[k], columns) * width
            for j in range(width):
                out[i * width + j] += value * x[line + j]


def csr_transposed_dot(out, data, indices, indptr, x, rows, columns, width, count):
    """out = S.T x. out: columns x width; x: rows x width. count: of the elements of S."""
    for j in range(columns * width):
        out[j] = 0
    for i in range(rows):
        for k in range(from_begin(indptr[i], count + 1), from_begin(indptr[i + 1], count + 1)):
            value = data[k]
            line = from_begin(indices[k], columns) * width
            for j in range(width):
                out[line + j] += value * x[i * width + j]


def csr_sampled(out, indices, indptr, x, y, rows, columns, width, count):
    """The elements of x y.T where S has some, 0 for those of no row. x: rows x width; y: columns x width."""
    for k in range(count):
        out[k] = 0
    for i in range(rows):
        for k in range(from_begin(indptr[i], count + 1), from_begin(indptr[i + 1], count + 1)):
            line = from_begin(indices[k], columns) * width
            total = out[k]
            for j in range(width):
                total += x[i * width + j] * y[line + j]
            out[k] = total

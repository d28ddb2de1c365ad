"""Products with sparse matrices by rows: the numbers, their columns, and where each row begins.

Three ops, each of which the gradients of the other two are made of. What users write is in `numgraph.sparse`.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.graph import Variable, apply
from numgraph.op import OPS, Check, Kernel, Op, first
from numgraph.ops import lengths as ln
from numgraph.ops.create import counting, zeros
from numgraph.ops.define import f
from numgraph.ops.subtensor import OUT_OF_RANGE

__all__: list[str] = []
# Functions of expressions that `numgraph.sparse` uses.
INTERNAL = ["csr_dot", "csr_rows", "csr_sampled", "csr_transposed_dot"]

Array = NDArray[Any]


def _placed(indptr: Array, count: int) -> tuple[Array, Array]:
    """(the numbers of the elements that belong to a row, these rows)."""
    begins = np.where(indptr < 0, indptr + count + 1, indptr)
    spans = [np.arange(a, b) for a, b in itertools.pairwise(begins)]
    numbers = np.concatenate([np.zeros(0, np.int64), *spans]).astype(np.int64)
    return numbers, np.repeat(np.arange(len(spans)), [len(s) for s in spans])


def _dot(data: Array, indices: Array, indptr: Array, x: Array, columns: Any) -> Array:
    numbers, rows = _placed(indptr, len(data))
    out = np.zeros((len(indptr) - 1, x.shape[1]), x.dtype)
    np.add.at(out, rows, data[numbers, None] * x[indices[numbers]])
    return out


def _transposed_dot(data: Array, indices: Array, indptr: Array, x: Array, columns: Any) -> Array:
    numbers, rows = _placed(indptr, len(data))
    out = np.zeros((int(columns), x.shape[1]), x.dtype)
    np.add.at(out, indices[numbers], data[numbers, None] * x[rows])
    return out


def _sampled(indices: Array, indptr: Array, x: Array, y: Array) -> Array:
    numbers, rows = _placed(indptr, len(indices))
    out = np.zeros(len(indices), x.dtype)
    np.add.at(out, numbers, np.sum(x[rows] * y[indices[numbers]], axis=1))
    return out


def _data_dtype(dtypes: Any) -> str:
    return str(dtypes[2])


_STRUCTURE = np.array([0, 3, 1, 0, 3]), np.array([0, 2, 2, 5])
_DATA, _X, _Y = np.array([2.0, -1.0, 0.5, 3.0, 1.5]), np.arange(8.0).reshape(4, 2) - 2.5, np.ones((3, 2)) * [1.0, -2.0]

_ROWS = Check("at_least", lambda data, indices, indptr, *rest: [(indptr.shape[0], 1)], "indptr has no elements")
_COUNTS = Check(
    "equal",
    lambda data, indices, *rest: [(data.shape[0], indices.shape[0])],
    "data and indices have {a} and {b} elements",
)
_BEGINS = Check(
    "range",
    lambda data, indices, indptr, *rest: [(indptr, data.shape[0] + 1)],
    "an element of indptr, {a}, is not below {b}",
)


Op(
    "csr_dot",
    ("data", "indices", "indptr", "x", "columns"),
    "The product of a sparse matrix by rows, with so many columns, and a dense one.",
    first,
    _dot,
    lambda g, out, data, indices, indptr, x, columns: (
        csr_sampled(indices, indptr, g, x), None, None, csr_transposed_dot(data, indices, indptr, g, columns), None,
    ),
    kernel=Kernel(
        "sparse.csr_dot",
        lambda data, indices, indptr, x, columns: (indptr.shape[0] - 1, x.shape[0], x.shape[1], data.shape[0]),
    ),
    on_grid=lambda data, indices, indptr, x, columns: _summed(
        csr_rows(indptr, ln.dim(data, 0)), data, x[indices], ln.dim(indptr, 0) - 1
    ),
    shape=lambda data, indices, indptr, x, columns: (indptr.shape[0] - 1, x.shape[1]),
    checks=(
        _ROWS, _COUNTS, _BEGINS,
        Check(
            "equal",
            lambda data, indices, indptr, x, columns: [(columns.value, x.shape[0])],
            "the sparse matrix has {a} columns, the other one {b} rows",
        ),
        Check("range", lambda data, indices, indptr, x, columns: [(indices, x.shape[0])], OUT_OF_RANGE),
    ),
    samples=lambda: [([_DATA, *_STRUCTURE, _X, 4], {})],
    dtypes=("float32", "float64"),
)  # fmt: skip

Op(
    "csr_transposed_dot",
    ("data", "indices", "indptr", "x", "columns"),
    "The product of the transpose of a sparse matrix by rows, with so many columns, and a dense one.",
    first,
    _transposed_dot,
    lambda g, out, data, indices, indptr, x, columns: (
        csr_sampled(indices, indptr, x, g), None, None, csr_dot(data, indices, indptr, g, columns), None,
    ),
    kernel=Kernel(
        "sparse.csr_transposed_dot",
        lambda data, indices, indptr, x, columns: (x.shape[0], columns.value, x.shape[1], data.shape[0]),
    ),
    on_grid=lambda data, indices, indptr, x, columns: _summed(
        indices, data, x[csr_rows(indptr, ln.dim(data, 0))], columns
    ),
    shape=lambda data, indices, indptr, x, columns: (columns.value, x.shape[1]),
    checks=(
        _ROWS, _COUNTS, _BEGINS,
        Check(
            "equal",
            lambda data, indices, indptr, x, columns: [(indptr.shape[0] - 1, x.shape[0])],
            "the sparse matrix has {a} rows, the other one {b}",
        ),
        Check("at_least", lambda *operands: [(operands[-1].value, 0)], "a number of columns of {a}, which is negative"),
        Check("range", lambda data, indices, indptr, x, columns: [(indices, columns.value)], OUT_OF_RANGE),
    ),
    samples=lambda: [([_DATA, *_STRUCTURE, _Y, 4], {})],
    dtypes=("float32", "float64"),
)  # fmt: skip

Op(
    "csr_sampled",
    ("indices", "indptr", "x", "y"),
    "Those elements of the product of x and the transpose of y that a sparse matrix by rows has.",
    _data_dtype,
    _sampled,
    lambda g, out, indices, indptr, x, y: (
        None, None, csr_dot(g, indices, indptr, y, ln.dim(y, 0)),
        csr_transposed_dot(g, indices, indptr, x, ln.dim(y, 0)),
    ),
    kernel=Kernel(
        "sparse.csr_sampled",
        lambda indices, indptr, x, y: (x.shape[0], y.shape[0], x.shape[1], indices.shape[0]),
    ),
    on_grid=lambda indices, indptr, x, y: f.sum(x[csr_rows(indptr, ln.dim(indices, 0))] * y[indices], axis=1),
    shape=lambda indices, indptr, x, y: (indices.shape[0],),
    checks=(
        Check("at_least", lambda indices, indptr, x, y: [(indptr.shape[0], 1)], "indptr has no elements"),
        Check(
            "range", lambda indices, indptr, x, y: [(indptr, indices.shape[0] + 1)],
            "an element of indptr, {a}, is not below {b}",
        ),
        Check(
            "equal", lambda indices, indptr, x, y: [(indptr.shape[0] - 1, x.shape[0]), (x.shape[1], y.shape[1])],
            "lengths {a} and {b} differ",
        ),
        Check("range", lambda indices, indptr, x, y: [(indices, y.shape[0])], OUT_OF_RANGE),
    ),
    samples=lambda: [([*_STRUCTURE, _Y, _X], {})],
    dtypes=("float32", "float64"),
)  # fmt: skip


def csr_dot(data: Variable, indices: Variable, indptr: Variable, x: Variable, columns: Any) -> Variable:
    """The sparse matrix by rows, with so many columns, times x, float[columns, width]: float[rows, width]."""
    return apply(OPS["csr_dot"], [data, indices, indptr, x, *ln.operands([columns])])


def csr_transposed_dot(data: Variable, indices: Variable, indptr: Variable, x: Variable, columns: Any) -> Variable:
    """The transpose of the sparse matrix by rows, with so many columns, times x, float[rows, width]."""
    return apply(OPS["csr_transposed_dot"], [data, indices, indptr, x, *ln.operands([columns])])


def csr_sampled(indices: Variable, indptr: Variable, x: Variable, y: Variable) -> Variable:
    """For each element of the sparse matrix the dot product of its row of x and its column's row of y."""
    return apply(OPS["csr_sampled"], [indices, indptr, x, y])


def csr_rows(indptr: Variable, count: Any) -> Variable:
    """The row of each of so many elements."""
    # an index looks whether a begin is in range, and counts from the end as the kernels do
    begins = counting(count + 1 if isinstance(count, int) else f.add(count, 1))[indptr]
    return f.sub(f.searchsorted(begins, counting(count), "right"), 1)


def _summed(places: Variable, data: Variable, lines: Variable, count: Any) -> Variable:
    """So many rows, each the sum of the lines that belong there, times their numbers."""
    base = zeros((count, ln.dim(lines, 1)), lines.dtype)
    return f.inc_subtensor(base[places], data[:, None] * lines)

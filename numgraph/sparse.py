"""Sparse matrices times dense ones: `ng.sparse.shared(matrix)`, `S @ x`, `S.T @ y`, and gradients.

A sparse matrix is three vectors, as SciPy's CSR format has them: its numbers, the column of each, and where each row
begins. The vectors are variables like any others, so the numbers may be parameters, and rows may be cut out by an index
that only a call knows. Nothing of the size of the dense matrix is made, but by `toarray` and by gradients with respect
to dense matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numgraph.errors import DtypeError, OptionError, ShapeError
from numgraph.foreign import is_sparse
from numgraph.graph import Variable, as_variable, describe, label
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.shared import shared as _shared
from numgraph.types import DISCRETE, REALS, promote

__all__ = ["SparseMatrix", "csr", "dot", "shared"]


class SparseMatrix:
    """A sparse matrix of floats, or the transpose of one.

    data: float[n], the numbers, row by row. indices: int[n], their columns. indptr: int[rows + 1], where each row
    begins among them, and behind the last one where it ends. shape: (rows, columns), numbers or integer variables.
    Numbers for one place count together. Where an index or a begin is out of range, a call is an IndexOutOfRange.
    """

    # NumPy's arrays, and variables, leave operators to this class
    __array_ufunc__ = None
    ndim = 2

    def __init__(
        self, data: Variable, indices: Variable, indptr: Variable, columns: Any, transposed: bool = False
    ) -> None:
        self.data, self.indices, self.indptr = data, indices, indptr
        self._columns = columns
        self._transposed = transposed

    @property
    def shape(self) -> tuple[Any, Any]:
        """(rows, columns), each a number or an integer variable."""
        lengths = ln.dim(self.indptr, 0) - 1, self._columns
        return lengths[::-1] if self._transposed else lengths

    @property
    def dtype(self) -> str:
        """The dtype of the numbers."""
        return self.data.dtype

    @property
    def T(self) -> SparseMatrix:
        """The transpose, of the same vectors."""
        return SparseMatrix(self.data, self.indices, self.indptr, self._columns, not self._transposed)

    def with_data(self, data: Any) -> SparseMatrix:
        """Other numbers in the same places."""
        return SparseMatrix(as_variable(data), self.indices, self.indptr, self._columns, self._transposed)

    def dot(self, x: Any) -> Variable:
        """The product with x, float[columns] or float[columns, width]. ShapeError for another rank, and for lengths
        that do not fit; in a call where they are known only there."""
        v = as_variable(x)
        if v.ndim not in (1, 2):
            raise ShapeError(f"sparse.dot: a sparse matrix times a vector or a matrix, not {describe(v)}")
        dtype = promote([self.dtype, v.dtype])
        wide = f.cast(v if v.ndim == 2 else v[:, None], dtype)
        data = f.cast(self.data, dtype)
        if self._transposed:
            found = f.csr_transposed_dot(data, self.indices, self.indptr, wide, self._columns)
        else:
            found = f.csr_dot(data, self.indices, self.indptr, wide, self._columns)
        result: Variable = found if v.ndim == 2 else f.dimshuffle(found, 0)
        return result

    def __matmul__(self, x: Any) -> Variable:
        return self.dot(x)

    def __rmatmul__(self, x: Any) -> Variable:
        v = as_variable(x)
        if v.ndim not in (1, 2):
            raise ShapeError(f"sparse.dot: a vector or a matrix times a sparse matrix, not {describe(v)}")
        found = self.T.dot(v.T)
        result: Variable = found.T
        return result

    def __mul__(self, factor: Any) -> SparseMatrix:
        """All numbers times a scalar."""
        v = as_variable(factor)
        if v.ndim:
            raise ShapeError(f"a sparse matrix times {describe(v)}: only a scalar; S.with_data(...) has other numbers")
        return self.with_data(self.data * v)

    __rmul__ = __mul__

    def __getitem__(self, rows: Any) -> SparseMatrix:
        """Rows begin:end, whose bounds may be variables; OptionError for anything else, and for a transpose."""
        if not isinstance(rows, slice) or rows.step not in (None, 1) or self._transposed:
            raise OptionError(
                "of a sparse matrix there are rows begin:end, not of its transpose, and nothing else\n"
                "  fix: x.toarray() for other parts; gradients are with respect to x.data"
            )
        if rows.start is None and rows.stop is None:
            return self
        count = self.shape[0]
        start = 0 if rows.start is None else _bound(rows.start, count)
        stop = count if rows.stop is None else f.maximum(_bound(rows.stop, count), start)
        # one more than the rows: where the last one ends
        indptr = self.indptr[start : stop + 1]
        first, last = indptr[0], indptr[-1]
        return SparseMatrix(self.data[first:last], self.indices[first:last], indptr - first, self._columns)

    def toarray(self) -> Variable:
        """The dense matrix."""
        dense = f.eye(self._columns, dtype=self.dtype)
        own = SparseMatrix(self.data, self.indices, self.indptr, self._columns).dot(dense)
        result: Variable = own.T if self._transposed else own
        return result

    def sum(self, axis: int | None = None) -> Variable:
        """The sum of all numbers, or float[columns] for axis=0 and float[rows] for axis=1."""
        if axis is None:
            total: Variable = f.sum(self.data)
            return total
        turned = self.T if axis % 2 == 0 else self
        result: Variable = turned.dot(f.ones((turned.shape[1],), dtype=self.dtype))
        return result

    def __repr__(self) -> str:
        rows, columns = (n if isinstance(n, int) else "?" for n in self.shape)
        return f"<sparse {self.dtype}[{rows},{columns}] of {label(self.data)}>"


def csr(data: Any, indices: Any, indptr: Any, shape: Any) -> SparseMatrix:
    """A sparse matrix of three vectors, see `SparseMatrix`; integers among `data` count as float64.

    shape: (rows, columns), or the number of columns. DtypeError for indices that are no integers, ShapeError for what
    is no vector.
    """
    numbers, columns, begins = (as_variable(v) for v in (data, indices, indptr))
    for name, v in (("data", numbers), ("indices", columns), ("indptr", begins)):
        if v.ndim != 1:
            raise ShapeError(f"sparse.csr: {name} must be a vector, not {describe(v)}")
        if name != "data" and (v.dtype not in DISCRETE or v.dtype == "bool"):
            raise DtypeError(f"sparse.csr: {name} must be integers, not {describe(v)}")
    numbers = numbers if numbers.dtype in REALS else f.cast(numbers, "float64")
    # no code reads by uint64; beyond int64 there is no element
    columns, begins = (ln.as_position(v) if v.dtype == "uint64" else v for v in (columns, begins))
    count = shape[1] if isinstance(shape, tuple | list) else shape
    return SparseMatrix(numbers, columns, begins, ln.as_length(count, "sparse.csr: columns"))


def shared(matrix: Any, name: str | None = None, borrow: bool = False) -> SparseMatrix:
    """A matrix or array of scipy.sparse, of any format, as three shared variables that stay where they are between
    calls: `S.data`, `S.indices` and `S.indptr`.

    borrow: keep the arrays themselves, as `numgraph.shared`, where the matrix is in CSR format. TypeError for what is
    not sparse, DtypeError for complex numbers; integers count as float64.

    >>> import scipy.sparse
    >>> S = shared(scipy.sparse.eye_array(3), "S")
    >>> (S @ np.array([1.0, 2.0, 3.0])).eval()
    array([1., 2., 3.])
    """
    if not is_sparse(matrix):
        raise TypeError(f"sparse.shared: takes a matrix or an array of scipy.sparse, not {type(matrix).__name__}")
    if matrix.dtype.kind not in "biuf":
        raise DtypeError(f"sparse.shared: elements are real numbers, not {matrix.dtype}\n  fix: matrix.real")
    rows = matrix.tocsr()
    data = rows.data if rows.dtype.kind == "f" else rows.data.astype(np.float64)
    numbers, columns, begins = (
        _shared(part, f"{name}.{kind}" if name else None, borrow)
        for kind, part in (("data", data), ("indices", rows.indices), ("indptr", rows.indptr))
    )
    return SparseMatrix(numbers, columns, begins, int(rows.shape[1]))


def dot(a: Any, b: Any) -> Variable:
    """a @ b, one of which is a `SparseMatrix`, and the other one a dense vector or matrix."""
    if isinstance(a, SparseMatrix):
        if isinstance(b, SparseMatrix):
            raise OptionError("sparse.dot: of two sparse matrices, one has to be dense: b.toarray()")
        return a.dot(b)
    if not isinstance(b, SparseMatrix):
        raise OptionError("sparse.dot: neither is a sparse matrix\n  fix: ng.dot")
    return b.__rmatmul__(a)


def _bound(bound: Any, count: Any) -> Any:
    """The bound of a slice of so many rows, from the begin and within them."""
    return f.clip(ln.from_begin(as_variable(bound), count), 0, count)

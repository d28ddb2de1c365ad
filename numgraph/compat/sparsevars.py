"""Theano's sparse variables: `csr_matrix("x")`, `as_sparse_variable(matrix)`, shared ones, and what they are made of.

One is four vectors, which are variables like any others: its numbers, the index of each along the minor axis (the
column, for format "csr"; the row for "csc"), where each row (or column) begins among them, and the two lengths. So what
`numgraph.sparse` has for products is used here; everything else is written with gathers, scatters and sorted places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.config import config
from numgraph.errors import DtypeError, OptionError
from numgraph.foreign import is_sparse
from numgraph.graph import Constant, Variable, as_variable, frozen
from numgraph.op import FUNCTIONS
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.shared import SharedVariable
from numgraph.shared import shared as native_shared
from numgraph.sparse import SparseMatrix
from numgraph.types import REALS, TensorType, check_dtype

FORMATS = ["csc", "csr"]


class SparseType:
    """The type of a sparse variable: format ("csr" or "csc") and dtype. A call makes a variable of it."""

    ndim = 2

    def __init__(self, format: str, dtype: Any = None, broadcastable: Any = None, name: str | None = None) -> None:
        if format not in FORMATS:
            raise OptionError(f'a sparse variable has the format "csr" or "csc", not {format!r}')
        self.format, self.dtype = format, check_dtype(dtype if dtype is not None else config.floatX)

    def __call__(self, name: str | None = None) -> SparseVariable:
        """A variable of this type."""
        kinds = {"data": self.dtype, "indices": "int32", "indptr": "int32", "shape": "int64"}
        leaves = [
            Variable(TensorType(dtype, (2 if kind == "shape" else None,)), f"{name}.{kind}" if name else None)
            for kind, dtype in kinds.items()
        ]
        data, indices, indptr, shape = leaves
        return SparseVariable(self.format, data, indices, indptr, (shape[0], shape[1]), name, leaves)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SparseType) and (self.format, self.dtype) == (other.format, other.dtype)

    def __hash__(self) -> int:
        return hash((SparseType, self.format, self.dtype))

    def __repr__(self) -> str:
        return f"Sparse[{self.dtype}, {self.format}]"


class SparseVariable:
    """A sparse matrix as an expression. data, indices, indptr: its vectors; lengths: (rows, columns), numbers or
    scalars; leaves: the four vectors of an input or a shared one, else None.

    Numbers for one place count together. Operators are those of `numgraph.compat.sparseops`.
    """

    # NumPy's arrays, and variables, leave operators to this class
    __array_ufunc__ = None
    ndim = 2

    def __init__(
        self, format: str, data: Variable, indices: Variable, indptr: Variable, lengths: Any,
        name: str | None = None, leaves: Sequence[Variable] | None = None,
    ) -> None:  # fmt: skip
        self.format, self.data, self.indices, self.indptr = format, data, indices, indptr
        self.lengths, self.name, self.leaves = tuple(lengths), name, leaves
        self.dense: Variable | None = None

    @property
    def dtype(self) -> str:
        """The dtype of the numbers."""
        return self.data.dtype

    @property
    def type(self) -> SparseType:
        """Format and dtype."""
        return SparseType(self.format, self.dtype)

    @property
    def shape(self) -> ln.Lengths:
        """(rows, columns), scalars."""
        return ln.lengths_of(self.data, [f.cast(as_variable(n), "int64") for n in self.lengths])

    @property
    def vectors(self) -> list[Variable]:
        """The four vectors, of the dtypes that inputs have."""
        if self.leaves is not None:
            return list(self.leaves)
        ends = [self.data, *(f.cast(v, "int32") for v in (self.indices, self.indptr))]
        return [*ends, f.stack(list(self.shape))]

    @property
    def major(self) -> Variable:
        """Of each number the index along the axis by which they are sorted: the row, for "csr"."""
        found: Variable = f.searchsorted(self.indptr, f.arange(ln.dim(self.data, 0)), "right") - 1
        return found

    @property
    def places(self) -> tuple[Variable, Variable]:
        """(the row, the column) of each number."""
        minor = f.cast(self.indices, "int64")
        return (self.major, minor) if self.format == "csr" else (minor, self.major)

    @property
    def T(self) -> SparseVariable:
        """The transpose, of the same vectors in the other format."""
        other = "csc" if self.format == "csr" else "csr"
        turned = SparseVariable(other, self.data, self.indices, self.indptr, self.lengths[::-1])
        turned.dense = None if self.dense is None else self.dense.T
        return turned

    def with_data(self, data: Any) -> SparseVariable:
        """Other numbers in the same places."""
        return SparseVariable(self.format, as_variable(data), self.indices, self.indptr, self.lengths)

    def native(self) -> SparseMatrix:
        """The matrix of `numgraph.sparse`; DtypeError for numbers that are no floats."""
        if self.dtype not in REALS:
            raise DtypeError(f"numgraph.sparse has matrices of floats, and this one is of {self.dtype}")
        by_columns = self.format == "csc"
        return SparseMatrix(self.data, self.indices, self.indptr, self.lengths[0 if by_columns else 1], by_columns)

    def eval(self, inputs_to_values: Any = None) -> Any:
        """The value, a matrix of SciPy, for values of variables that are not sparse."""
        found = [FUNCTIONS["eval"](v, inputs_to_values or {}) for v in self.vectors]
        return matrix_of(self.format, found)

    def __repr__(self) -> str:
        return f"<{self.name or 'sparse'} {self.type!r}>"


class SparseShared(SparseVariable):
    """A sparse matrix that stays where it is between calls: four shared variables."""

    def __init__(self, format: str, leaves: list[SharedVariable], name: str | None) -> None:
        data, indices, indptr, shape = leaves
        super().__init__(format, data, indices, indptr, (shape[0], shape[1]), name, leaves)
        self.kept = leaves

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """The matrix, of SciPy. borrow: of the arrays themselves."""
        return matrix_of(self.format, [v.get_value(borrow=borrow) for v in self.kept])

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Another matrix; TypeError for what is not one of SciPy's."""
        for v, part in zip(self.kept, parts_of(new_value, self.type), strict=True):
            v.set_value(part, borrow=borrow)


def matrix_of(format: str, vectors: Any) -> Any:
    """The matrix of SciPy with these vectors."""
    import scipy.sparse

    data, indices, indptr, shape = (np.asarray(v) for v in vectors)
    made = {"csr": scipy.sparse.csr_matrix, "csc": scipy.sparse.csc_matrix}[format]
    return made((data, indices, indptr), shape=tuple(map(int, shape)), copy=False)


def parts_of(matrix: Any, wanted: Any) -> list[Any]:
    """The vectors of a matrix of SciPy, in a format. TypeError for anything else, and for a dtype that would be cut."""
    if not is_sparse(matrix):
        raise TypeError(f"a sparse matrix of SciPy is needed, not {type(matrix).__name__}")
    found = matrix.asformat(wanted.format)
    if found.dtype != wanted.dtype and not np.can_cast(found.dtype, wanted.dtype):
        raise DtypeError(f"a sparse matrix of {wanted.dtype} is needed, not of {found.dtype}")
    data = np.asarray(found.data, wanted.dtype)
    return [data, *(np.asarray(v, np.int32) for v in (found.indices, found.indptr)), np.array(found.shape, np.int64)]


def as_sparse_variable(x: Any, name: str | None = None) -> SparseVariable:
    """x itself where it is sparse, or a constant of a matrix of SciPy in CSR or CSC format; TypeError otherwise."""
    if isinstance(x, SparseVariable):
        return x
    form = getattr(x, "format", None)
    if not is_sparse(x) or form not in FORMATS:
        raise TypeError(f"not a sparse variable, nor a matrix of SciPy in CSR or CSC format: {x!r}")
    data, indices, indptr, shape = (Constant(frozen(v)) for v in parts_of(x, SparseType(form, x.dtype)))
    return SparseVariable(form, data, indices, indptr, (int(shape.data[0]), int(shape.data[1])), name)


def as_sparse_or_tensor_variable(x: Any, name: str | None = None) -> Any:
    """As `as_sparse_variable`, and a variable for what is dense."""
    sparse = isinstance(x, SparseVariable) or is_sparse(x)
    return as_sparse_variable(x, name) if sparse else as_variable(x, name)


def shared(value: Any, name: str | None = None, strict: bool = False, allow_downcast: Any = None,
           borrow: bool = False, format: str | None = None) -> SparseShared:  # fmt: skip
    """A shared sparse variable of a matrix of SciPy, CSR where it is in another format; TypeError for anything else."""
    if not is_sparse(value):
        raise TypeError(f"a sparse matrix of SciPy is needed, not {type(value).__name__}")
    form = format or (value.format if value.format in FORMATS else "csr")
    parts = parts_of(value, SparseType(form, value.dtype))
    kinds = ("data", "indices", "indptr", "shape")
    leaves = [
        native_shared(part, f"{name}.{kind}" if name else None, borrow) for kind, part in zip(kinds, parts, strict=True)
    ]
    return SparseShared(form, leaves, name)


def _of_format(form: str) -> Any:
    def make(name: str | None = None, dtype: Any = None) -> SparseVariable:
        return SparseType(form, dtype)(name)

    return make


csr_matrix, csc_matrix = _of_format("csr"), _of_format("csc")


def matrix(format: str, name: str | None = None, dtype: Any = None) -> SparseVariable:
    """A sparse variable of a format, and of floatX without a dtype."""
    return SparseType(format, dtype)(name)


def CSR(data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:  # Theano's name
    """The matrix of these vectors, row by row. shape: a vector of two integers, or a pair."""
    return _of_vectors("csr", data, indices, indptr, shape)


def CSC(data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:  # Theano's name
    """The matrix of these vectors, column by column."""
    return _of_vectors("csc", data, indices, indptr, shape)


def _of_vectors(form: str, data: Any, indices: Any, indptr: Any, shape: Any) -> SparseVariable:
    numbers, minor, begins = (as_variable(v) for v in (data, indices, indptr))
    for what, v in (("data", numbers), ("indices", minor), ("indptr", begins)):
        if v.ndim != 1 or (what != "data" and v.dtype not in ("int8", "int16", "int32", "int64", "uint8", "uint16")):
            raise TypeError(f"{what} must be a vector{' of integers' if what != 'data' else ''}, not {v!r}")
    size = as_variable(shape) if not isinstance(shape, tuple | list) else shape
    return SparseVariable(form, numbers, minor, begins, (size[0], size[1]))

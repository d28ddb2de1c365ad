"""Theano's functions of sparse variables. Those of two sparse matrices sort places; `true_dot`, comparisons of sparse
matrices and indexing by lists go by way of dense ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numgraph.compat.dtypes import upcast
from numgraph.compat.sparsevars import SparseVariable, as_sparse_or_tensor_variable, as_sparse_variable
from numgraph.errors import OptionError
from numgraph.graph import Variable, as_variable
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.types import REALS, promote

# -- places -----------------------------------------------------------------------------------------------------------


def _begins(major: Variable, count: Any) -> Variable:
    """Where each row begins, of the rows of numbers that are sorted by them."""
    found: Variable = f.searchsorted(major, f.arange(f.add(count, 1)))
    return found


def _scattered(count: Any, index: Variable, data: Variable) -> Variable:
    """The sums of the numbers of each index."""
    found: Variable = f.inc_subtensor(f.zeros((count,), data.dtype)[index], data)
    return found


def _of_places(form: str, rows: Variable, columns: Variable, data: Variable, shape: Any) -> SparseVariable:
    """The matrix with numbers at places in any order, those of one place added."""
    by_rows = form == "csr"
    major, minor = (rows, columns) if by_rows else (columns, rows)
    count, width = shape if by_rows else shape[::-1]
    wide = f.maximum(f.cast(as_variable(width), "int64"), 1)
    keys, which = f.unique(f.add(f.mul(f.cast(major, "int64"), wide), minor), return_inverse=True)
    sums = _scattered(ln.dim(keys, 0), which, data)
    return SparseVariable(form, sums, f.mod(keys, wide), _begins(f.floor_div(keys, wide), count), shape)


def _kept(made: SparseVariable, function: Callable[..., Variable], *operands: Any) -> SparseVariable:
    """The matrix that was made of operands, with what `function` makes of the dense ones where there is a dense one."""
    if any(isinstance(v, SparseVariable) and v.dense is not None for v in operands):
        made.dense = function(*(dense_from_sparse(v) if isinstance(v, SparseVariable) else v for v in operands))
    return made


def _same(x: Variable) -> Variable:
    return x


def ensure_sorted_indices(x: Any) -> SparseVariable:
    """x with its places in order, each once."""
    s = as_sparse_variable(x)
    return _kept(_of_places(s.format, *s.places, s.data, s.lengths), _same, s)


def remove0(x: Any) -> SparseVariable:
    """x without the numbers that are 0."""
    s = as_sparse_variable(x)
    kept = f.nonzero(f.neq(s.data, 0))[0]
    count = ln.dim(s.indptr, 0) - 1
    made = SparseVariable(s.format, s.data[kept], s.indices[kept], _begins(s.major[kept], count), s.lengths)
    return _kept(made, _same, s)


def clean(x: Any) -> SparseVariable:
    """x with its places in order, without numbers that are 0."""
    return ensure_sorted_indices(remove0(x))


# -- from and to dense ------------------------------------------------------------------------------------------------


def dense_from_sparse(x: Any) -> Variable:
    """The dense matrix."""
    s = as_sparse_variable(x)
    if s.dense is not None:
        return s.dense
    found: Variable = f.inc_subtensor(f.zeros(s.lengths, s.dtype)[s.places], s.data)
    return found


def csr_from_dense(x: Any) -> SparseVariable:
    """The numbers of a dense matrix that are not 0, row by row. TypeError for what is no matrix."""
    v = as_variable(x)
    if v.ndim != 2:
        raise TypeError(f"a sparse matrix is made of a dense one, not of {v!r}")
    rows, columns = f.nonzero(v)
    shape = tuple(ln.dims_of(v))
    made = SparseVariable("csr", v[rows, columns], columns, _begins(rows, shape[0]), shape)
    made.dense = v
    return made


def csc_from_dense(x: Any) -> SparseVariable:
    """The numbers of a dense matrix that are not 0, column by column. TypeError for what is no matrix."""
    return csr_from_dense(as_variable(x).T).T


def _from_dense(form: str, x: Variable) -> SparseVariable:
    return csr_from_dense(x) if form == "csr" else csc_from_dense(x)


# -- of one matrix ----------------------------------------------------------------------------------------------------


def transpose(x: Any) -> SparseVariable:
    """The transpose, in the other format."""
    return as_sparse_variable(x).T


def neg(x: Any) -> SparseVariable:
    """-x."""
    s = as_sparse_variable(x)
    return _kept(s.with_data(-s.data), f.neg, s)


def cast(variable: Any, dtype: Any) -> SparseVariable:
    """The numbers in another dtype."""
    s = as_sparse_variable(variable)
    return _kept(s.with_data(f.cast(s.data, dtype)), lambda v: f.cast(v, dtype), s)


def sp_ones_like(x: Any) -> SparseVariable:
    """Ones in the places of x."""
    s = as_sparse_variable(x)
    return s.with_data(f.ones_like(s.data))


def sp_zeros_like(x: Any) -> SparseVariable:
    """A matrix without numbers, of the shape of x."""
    s = as_sparse_variable(x)
    return SparseVariable(s.format, s.data[:0], s.indices[:0], f.zeros_like(s.indptr), s.lengths)


def sp_sum(x: Any, axis: int | None = None, sparse_grad: bool = False) -> Variable:
    """The sum of all numbers, or of each column (axis=0) or row (axis=1), dense. sparse_grad: without effect."""
    s = as_sparse_variable(x)
    if s.dense is not None:
        whole: Variable = f.cast(f.sum(s.dense, axis), s.dtype)
        return whole
    if axis is None:
        total: Variable = f.cast(f.sum(s.data), s.dtype)
        return total
    kept = 1 - axis % 2
    return _scattered(s.lengths[kept], s.places[kept], s.data)


def diag(x: Any) -> Variable:
    """The diagonal, dense."""
    s = as_sparse_variable(x)
    if s.dense is not None:
        line: Variable = f.diagonal(s.dense)
        return line
    rows, columns = s.places
    found = f.nonzero(f.eq(rows, columns))[0]
    return _scattered(ln.least(*s.lengths), rows[found], s.data[found])


def square_diagonal(diagonal: Any) -> SparseVariable:
    """The matrix with a vector on its diagonal."""
    v = as_variable(diagonal)
    n = ln.dim(v, 0)
    return SparseVariable("csc", v, f.arange(n), f.arange(f.add(n, 1)), (n, n))


def _scaled(axis: int) -> Callable[[Any, Any], SparseVariable]:
    def scale(x: Any, s: Any) -> SparseVariable:
        m, v = as_sparse_variable(x), as_variable(s)
        line = v[:, None] if axis == 0 else v
        return _kept(m.with_data(m.data * v[m.places[axis]]), f.mul, m, line)

    scale.__doc__ = f"Each {('row', 'column')[axis]} times a number of the vector s."
    return scale


row_scale, col_scale = _scaled(0), _scaled(1)
mul_s_v = col_scale


def structured_add_s_v(x: Any, y: Any) -> SparseVariable:
    """To each number of x that of its column in the vector y is added."""
    s = as_sparse_variable(x)
    return s.with_data(s.data + as_variable(y)[s.places[1]])


def structured(name: str, function: Callable[..., Variable]) -> Callable[..., SparseVariable]:
    """The function of the numbers of a sparse matrix, and of scalars, under its name in Theano."""

    def call(x: Any, *scalars: Any) -> SparseVariable:
        s = as_sparse_variable(x)
        return s.with_data(function(s.data, *scalars))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{name}` of the numbers of a sparse matrix."
    return call


# -- of two -----------------------------------------------------------------------------------------------------------


def _pair(x: Any, y: Any) -> tuple[Any, Any, bool, bool]:
    a, b = as_sparse_or_tensor_variable(x), as_sparse_or_tensor_variable(y)
    sparse = isinstance(a, SparseVariable), isinstance(b, SparseVariable)
    if not any(sparse):
        raise TypeError("neither is a sparse matrix: use the function of theano.tensor")
    return a, b, *sparse


def add(x: Any, y: Any) -> Any:
    """x + y, sparse where both are."""
    a, b, left, right = _pair(x, y)
    if left and right:
        form, dtype = a.format, promote([a.dtype, b.dtype])
        rows, columns = (f.concatenate(pair) for pair in zip(a.places, b.places, strict=True))
        data = f.concatenate([f.cast(v.data, dtype) for v in (a, b)])
        return _kept(_of_places(form, rows, columns, data, a.lengths), f.add, a, b)
    return dense_from_sparse(a) + b if left else a + dense_from_sparse(b)


def sub(x: Any, y: Any) -> Any:
    """x - y, sparse where both are."""
    a, b, _, _ = _pair(x, y)
    return add(a, -b)


def add_s_s_data(x: Any, y: Any) -> SparseVariable:
    """x + y of matrices with the same places."""
    a, b = as_sparse_variable(x), as_sparse_variable(y)
    return a.with_data(a.data + b.data)


def mul(x: Any, y: Any) -> SparseVariable:
    """x * y, sparse: one may be dense, a matrix or a vector for the columns, or a scalar."""
    a, b, left, right = _pair(x, y)
    if left and right:
        both = a.with_data(a.data * _found_at(ensure_sorted_indices(b), *a.places))
        return _kept(both, f.mul, a, b)
    s: SparseVariable = a if left else b
    dense = b if left else a
    part = dense[s.places if dense.ndim == 2 else s.places[1]] if dense.ndim else dense
    return _kept(s.with_data(s.data * part), f.mul, s, dense)


def _found_at(s: SparseVariable, rows: Variable, columns: Variable) -> Variable:
    """The numbers of a matrix, whose places are in order, at other places: 0 where there is none."""
    width = f.maximum(f.cast(as_variable(s.lengths[1] if s.format == "csr" else s.lengths[0]), "int64"), 1)
    own, other = (f.add(f.mul(p, width), q) for p, q in ((s.major, s.indices), _by(s.format, rows, columns)))
    at = f.searchsorted(own, other)
    # behind all places is one that nothing is equal to
    own = f.concatenate([own, f.cast(f.full((1,), -1), own.dtype)])
    data = f.concatenate([s.data, f.zeros((1,), s.dtype)])
    found: Variable = f.where(f.eq(own[at], other), data[at], 0)
    return f.cast(found, s.dtype)


def _by(form: str, rows: Variable, columns: Variable) -> tuple[Variable, Variable]:
    return (rows, columns) if form == "csr" else (columns, rows)


def dot(x: Any, y: Any) -> Variable:
    """x @ y, dense; one of them, or both, sparse."""
    a, b, left, right = _pair(x, y)
    found: Variable
    if not left:
        found = dot(b.T, a.T).T
        return found
    b = dense_from_sparse(b) if right else b
    if a.dense is not None:
        found = f.dot(a.dense, b)
        return found
    if promote([a.dtype, b.dtype]) in REALS and a.dtype in REALS:
        found = a.native().dot(b)
        return found
    rows, columns = a.places
    products = (a.data[:, None] if b.ndim == 2 else a.data) * b[columns]
    shape = (a.lengths[0], ln.dim(b, 1)) if b.ndim == 2 else (a.lengths[0],)
    found = f.inc_subtensor(f.zeros(shape, products.dtype)[rows], products)
    return found


def true_dot(x: Any, y: Any, grad_preserves_dense: bool = True) -> SparseVariable:
    """x @ y, sparse, in the format of the sparse one."""
    a, b, left, _ = _pair(x, y)
    return _from_dense((a if left else b).format, dot(a, b))


def structured_dot(x: Any, y: Any) -> Any:
    """x @ y: sparse where both are, and dense otherwise."""
    a, b, left, right = _pair(x, y)
    return true_dot(a, b) if left and right else dot(a, b)


def any_dot(a: Any, b: Any) -> Any:
    """`theano.tensor.dot`: of sparse variables as `structured_dot`."""
    return structured_dot(a, b) if isinstance(a, SparseVariable) or isinstance(b, SparseVariable) else f.dot(a, b)


def sampling_dot(x: Any, y: Any, p: Any) -> SparseVariable:
    """p * (x @ y.T), of which only the numbers in the places of p are computed."""
    s = as_sparse_variable(p)
    left, right = as_variable(x), as_variable(y)
    rows, columns = s.places
    made = s.with_data(s.data * f.sum(left[rows] * right[columns], 1))
    return _kept(made, lambda v: f.mul(v, f.dot(left, right.T)), s)


def usmm(alpha: Any, x: Any, y: Any, z: Any) -> Variable:
    """alpha * (x @ y) + z."""
    found: Variable = as_variable(alpha) * dot(x, y) + as_variable(z)
    return found


def _compared(name: str) -> Callable[[Any, Any], Any]:
    def compare(x: Any, y: Any) -> Any:
        a, b, left, right = _pair(x, y)
        dense = [dense_from_sparse(v) if isinstance(v, SparseVariable) else v for v in (a, b)]
        found = f.cast(getattr(f, name)(*dense), "uint8")
        return _from_dense(a.format, found) if left and right else found

    compare.__doc__ = f"`{name}` of all elements, 0 or 1: sparse where both matrices are."
    return compare


eq, neq, lt, gt, le, ge = map(_compared, ("eq", "neq", "lt", "gt", "le", "ge"))

# -- of several -------------------------------------------------------------------------------------------------------


def _stacked(axis: int, blocks: Any, format: str | None, dtype: Any) -> SparseVariable:
    parts = [as_sparse_variable(b) for b in blocks]
    chosen = dtype if dtype is not None else upcast(*(p.dtype for p in parts))
    moved: list[list[Variable]] = [[], []]
    before: Any = 0
    for p in parts:
        for k, index in enumerate(p.places):
            moved[k].append(index if k != axis else f.add(index, before))
        before = f.add(before, p.lengths[axis])
    shape = tuple(before if k == axis else parts[0].lengths[k] for k in (0, 1))
    data = f.concatenate([f.cast(p.data, chosen) for p in parts])
    made = _of_places(format or "csc", f.concatenate(moved[0]), f.concatenate(moved[1]), data, shape)
    return _kept(made, lambda *whole: f.cast(f.concatenate(whole, axis), chosen), *parts)


def hstack(blocks: Any, format: str | None = None, dtype: Any = None) -> SparseVariable:
    """Matrices side by side, in CSC format unless another is asked for."""
    return _stacked(1, blocks, format, dtype)


def vstack(blocks: Any, format: str | None = None, dtype: Any = None) -> SparseVariable:
    """Matrices below each other, in CSC format unless another is asked for."""
    return _stacked(0, blocks, format, dtype)


def construct_sparse_from_list(x: Any, values: Any, ilist: Any) -> SparseVariable:
    """A matrix of the shape of x, in CSC format, with rows at some indices."""
    rows, like, index = as_variable(values), as_variable(x), as_variable(ilist)
    at, along = f.broadcast_arrays(f.cast(index, "int64")[:, None], f.arange(ln.dim(rows, 1))[None])
    return _of_places("csc", f.flatten(at), f.flatten(along), f.flatten(rows), tuple(ln.dims_of(like)))


# -- parts ------------------------------------------------------------------------------------------------------------


def _selected(index: Variable, key: slice, count: Any) -> tuple[Variable, Variable, Any]:
    """(which places are in a slice of an axis, what they are in it, its length)."""
    step = 1 if key.step is None else key.step
    if not isinstance(step, int) or step == 0:
        raise OptionError("of a sparse matrix there are slices with steps that are known, and not 0")
    ahead = step > 0
    end = f.cast(as_variable(count), "int64")
    low, high = (0, end) if ahead else (-1, end - 1)

    def bound(given: Any, otherwise: Any) -> Any:
        if given is None:
            return otherwise
        return f.clip(ln.from_begin(f.cast(as_variable(given), "int64"), count), low, high)

    start = bound(key.start, low if ahead else high)
    stop = bound(key.stop, high if ahead else low)
    length = f.maximum((f.sub(stop, start) + (step - 1 if ahead else step + 1)) // step, 0)
    along = f.sub(index, start)
    place = along // step
    inside = f.eq(along % step, 0) & f.ge(place, 0) & f.lt(place, length)
    return inside, place, length


def getitem(x: SparseVariable, key: Any) -> Any:
    """x[a:b, c:d], sparse; x[i, j], a scalar; x[list], rows; x[list, list], the elements at pairs of indices."""
    pair = (*(key if isinstance(key, tuple) else (key,)), slice(None))[:2]
    if all(isinstance(k, slice) for k in pair):
        parts = [_selected(i, k, n) for i, k, n in zip(x.places, pair, x.lengths, strict=True)]
        kept = f.nonzero(parts[0][0] & parts[1][0])[0]
        rows, columns = parts[0][1][kept], parts[1][1][kept]
        made = _of_places(x.format, rows, columns, x.data[kept], (parts[0][2], parts[1][2]))
        return _kept(made, lambda v: v[pair], x)
    listed = [as_variable(k) for k in pair if not isinstance(k, slice)]
    if len(listed) == 2:
        return get_item_2lists(x, *listed)
    if listed[0].ndim != 1 or isinstance(pair[0], slice):
        raise NotImplementedError("a sparse vector is not there: use x[a:b, c:d] with ranges of one")
    return get_item_list(x, listed[0])


def get_item_list(x: Any, index: Any) -> SparseVariable:
    """The rows at some indices, in the format of x."""
    s = as_sparse_variable(x)
    return _from_dense(s.format, dense_from_sparse(s)[as_variable(index)])


def get_item_2lists(x: Any, ind1: Any, ind2: Any) -> Variable:
    """The elements in rows ind1 and columns ind2, dense."""
    found: Variable = dense_from_sparse(x)[as_variable(ind1), as_variable(ind2)]
    return found


def get_item_scalar(x: Any, index: Any) -> Variable:
    """The element at a pair of indices."""
    return get_item_2lists(x, *index)


def csm_properties(csm: Any) -> tuple[Variable, Variable, Variable, Variable]:
    """(data, indices, indptr, shape), vectors."""
    data, indices, indptr, shape = as_sparse_variable(csm).vectors
    return data, indices, indptr, shape


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: function(other, self)


_OPERATORS: dict[str, Any] = {
    "__add__": add, "__radd__": add, "__sub__": sub, "__rsub__": _reflected(sub), "__mul__": mul, "__rmul__": mul,
    "__neg__": neg, "__lt__": lt, "__le__": le, "__gt__": gt, "__ge__": ge, "__getitem__": getitem,
    "__matmul__": structured_dot, "__rmatmul__": _reflected(structured_dot), "__dot__": structured_dot,
    "dot": structured_dot, "astype": cast, "toarray": dense_from_sparse, "todense": dense_from_sparse,
    "transpose": transpose, "zeros_like": sp_zeros_like, "sum": sp_sum,
    "size": property(lambda self: as_variable(ln.dim(self.data, 0))),
}  # fmt: skip
for _name, _function in _OPERATORS.items():
    setattr(SparseVariable, _name, _function)

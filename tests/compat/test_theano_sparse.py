"""Theano's sparse variables: what SciPy gives for the same matrices, gradients, and functions of them."""

from __future__ import annotations

from typing import Any

import numgraph.compat.theano.tensor as T
import numpy as np
import pytest
import scipy.sparse as sp

import numgraph as ng
import numgraph.compat.theano as theano
from numgraph.compat.theano import sparse


def drawn(form: str, dtype: str, shape: tuple[int, int] = (5, 7), seed: int = 0) -> Any:
    """A matrix of SciPy with places out of order, one of them twice, an explicit zero and an empty row."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(0, [shape[0] - 1, shape[1]], (14, 2)).T
    data = rng.integers(-4, 5, 14) + (0.5 if "int" not in dtype else 0)
    data[3] = 0
    keys, which = np.unique(rows * shape[1] + columns, return_inverse=True)
    numbers = np.zeros(len(keys), dtype)
    numbers[which] = data
    made = sp.coo_matrix((numbers, (keys // shape[1], keys % shape[1])), shape).asformat(form)
    made.indices, made.data = np.ascontiguousarray(made.indices), np.ascontiguousarray(made.data)
    return made


def same(got: Any, wanted: Any) -> None:
    assert sp.issparse(got) == sp.issparse(wanted)
    dense = [np.asarray(v.todense() if sp.issparse(v) else v) for v in (got, wanted)]
    np.testing.assert_allclose(dense[0], dense[1], rtol=1e-6)
    assert dense[0].shape == dense[1].shape


@pytest.mark.parametrize(
    ("form", "dtype", "target"),
    [("csr", "float64", "cpu"), ("csc", "float64", "reference"), ("csr", "int64", "reference"),
     ("csc", "int64", "cpu"), ("csr", "complex64", "reference")],
)  # fmt: skip
def test_functions_give_what_scipy_gives(form: str, dtype: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "target", target)
    other = {"csr": "csc", "csc": "csr"}[form]
    A, B = drawn(form, dtype), drawn(other, dtype, seed=1)
    D, E, V = (np.arange(1, 1 + np.prod(s)).reshape(s).astype(dtype) for s in ((7, 3), (5, 7), (7,)))
    a, b = sparse.matrix(form, "a", dtype), sparse.matrix(other, "b", dtype)
    d, e, v = T.matrix(dtype=dtype), T.matrix(dtype=dtype), T.vector(dtype=dtype)
    one = np.asarray(A.todense())
    outer, placed, wide = E @ E.T, np.zeros_like(E), "complex128"
    placed[[3, 1]] = E[:2]
    cases: list[tuple[Any, Any]] = [
        # products and sums
        (sparse.dot(a, d), A @ D), (sparse.dot(d.T, a.T), (A @ D).T), (sparse.dot(a, v), A @ V), (T.dot(a, d), A @ D),
        (sparse.dot(a, b.T), (A @ B.T).toarray()), (sparse.true_dot(a, b.T), A @ B.T),
        (sparse.usmm(2, a, d, T.dot(e, d)), 2 * (A @ D) + E @ D),
        (sparse.sampling_dot(e, e + 1, sparse.csr_from_dense(T.dot(e, e.T))), sp.csr_matrix(outer * (E @ (E + 1).T))),
        (sparse.sp_sum(a), one.sum()), (sparse.sp_sum(a, 0), one.sum(0)), (sparse.sp_sum(a, axis=1), one.sum(1)),
        # elements of two, or of one
        (a + b, A + B), (a - b, A - B), (-a, -A), (a + e, one + E), (e - a, E - one), (a * b, A.multiply(B)),
        (a * e, A.multiply(E)), (a * v, A.multiply(V)), (3 * a, 3 * A), (sparse.cast(a, wide), A.astype(wide)),
        (sparse.row_scale(a, e[:, 0]), A.multiply(E[:, :1])), (sparse.eq(a, e), (one == E).astype("uint8")),
        (sparse.neq(a, b), sp.csr_matrix(A != B).astype("uint8")), (a.zeros_like(), A * 0),
        (sparse.sp_ones_like(sparse.remove0(a)), (A != 0) * 1),
        # parts, and matrices of others
        (a.T, A.T), (a.toarray(), one), (sparse.csr_from_dense(e - 9), sp.csr_matrix(E - 9)),
        (sparse.csc_from_dense(e - 9), sp.csc_matrix(E - 9)), (sparse.hstack([a, b]), sp.hstack([A, B])),
        (sparse.vstack([a, b], "csr"), sp.vstack([A, B])), (sparse.diag(a), one.diagonal()),
        (sparse.square_diagonal(v), sp.csc_matrix(np.diag(V))), (a[1:4, 2:], A[1:4, 2:]), (a.shape, np.array([5, 7])),
        (a[::-1, 5:1:-2], A[::-1, 5:1:-2]), (a[-9:3:2], A[-9:3:2]), (a[1, -2], one[1, -2]),
        (a[[0, 3, 3]], A[[0, 3, 3]]), (a[[0, 1], [2, 3]], one[[0, 1], [2, 3]]),
        (sparse.construct_sparse_from_list(e, e[:2], T.constant([3, 1])), sp.csc_matrix(placed)),
    ]  # fmt: skip
    f = theano.function([a, b, d, e, v], [case for case, _ in cases])
    for got, (case, wanted) in zip(f(A, B, D, E, V), cases, strict=True):
        same(got, wanted)
        if isinstance(case, sparse.SparseVariable):
            assert got.format == case.format and got.dtype == case.dtype


def test_functions_of_the_numbers() -> None:
    A = drawn("csc", "float64")
    a, y = sparse.csc_dmatrix("a"), T.dscalar("y")
    found = {
        sparse.structured_exp(a): np.exp, sparse.structured_pow(a, y): lambda x: x**2,
        sparse.structured_minimum(a, y): lambda x: np.minimum(x, 2), sparse.structured_add(a, y): lambda x: x + 2,
        sparse.tanh(a): np.tanh, sparse.sqr(a): np.square, sparse.rint(a): np.rint, sparse.sgn(a): np.sign,
    }  # fmt: skip
    for got, function in zip(theano.function([a, y], list(found))(A, 2.0), found.values(), strict=True):
        assert got.format == "csc" and got.indices.tolist() == A.indices.tolist()
        np.testing.assert_allclose(got.data, function(A.data), rtol=1e-12)
    v = T.dvector("v")
    row = np.arange(7.0)
    got = theano.function([a, v], [sparse.structured_add_s_v(a, v), sparse.mul_s_v(a, v), sparse.add_s_s_data(a, a)])(
        A, row
    )
    columns = np.repeat(row, np.diff(A.indptr))
    for value, wanted in zip(got, (A.data + columns, A.data * columns, 2 * A.data), strict=True):
        np.testing.assert_allclose(value.data, wanted)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_places_in_order(form: str) -> None:
    A = drawn(form, "float64")
    assert (A.data == 0).any()
    turned = A.copy()
    turned.indices = A.shape[1 if form == "csr" else 0] - 1 - A.indices
    turned.has_sorted_indices = False
    a = sparse.matrix(form, "a")
    kept, ordered, neat = theano.function([a], [sparse.remove0(a), sparse.ensure_sorted_indices(a), sparse.clean(a)])(
        turned
    )
    for got in (ordered, neat):
        same(got, turned)
        assert all((np.diff(got.indices[i:j]) > 0).all() for i, j in zip(got.indptr, got.indptr[1:], strict=False))
    assert (kept.data != 0).all() and ordered.nnz == A.nnz and neat.nnz == kept.nnz < A.nnz


def test_parts_and_constants() -> None:
    A = drawn("csr", "float32")
    c = sparse.as_sparse_variable(A, "c")
    assert c.type == sparse.csr_fmatrix and c.type != sparse.csc_fmatrix and repr(c) == "<c Sparse[float32, csr]>"
    data, indices, indptr, shape = (part.eval() for part in sparse.csm_properties(c))
    assert (data.tolist(), indices.tolist()) == (A.data.tolist(), A.indices.tolist())
    assert (indptr.tolist(), shape.tolist()) == (A.indptr.tolist(), [5, 7])
    same(sparse.CSM("csr")(data, indices, indptr, shape).eval(), A)
    same(sparse.CSC(data, indices, indptr, (7, 5)).eval(), A.T.tocsc())
    assert c.size.eval() == A.nnz and sparse.as_sparse_or_tensor_variable(3.0).ndim == 0
    assert sparse.HStack(format="csr", dtype="float64")(c, c).eval().dtype == "float64"
    dense = A.toarray()
    assert sparse.GetItem2Lists()(c, ind1=[0, 1], ind2=[2, 3]).eval().tolist() == dense[[0, 1], [2, 3]].tolist()
    same(sparse.GetItemList()(c, index=[1, 1]).eval(), A[[1, 1]])
    for wrong in (np.eye(2), sp.coo_matrix(np.eye(2)), 3):
        with pytest.raises(TypeError, match="not a sparse variable"):
            sparse.as_sparse_variable(wrong)
    with pytest.raises(TypeError, match="indices must be a vector of integers"):
        sparse.CSR(data, data, indptr, shape)
    for make in (sparse.csr_from_dense, sparse.csc_from_dense):
        with pytest.raises(TypeError, match="is made of a dense one"):
            make(T.dvector())
    with pytest.raises(TypeError, match="neither is a sparse matrix"):
        sparse.dot(T.dmatrix(), T.dmatrix())
    with pytest.raises(NotImplementedError, match="a sparse vector is not there"):
        c[1]
    with pytest.raises(ng.OptionError, match="format"):
        sparse.matrix("bsr")


def test_gradients_have_the_places_of_the_matrix() -> None:
    A, D = drawn("csc", "float64"), np.arange(21.0).reshape(7, 3)
    a, d = sparse.csc_matrix("a", "float64"), T.dmatrix("d")
    cost = (T.tanh(sparse.dot(a, d) / 50) ** 2).sum() + sparse.sp_sum(a * a)
    of_a, of_d = theano.function([a, d], T.grad(cost, [a, d]))(A, D)
    inner = np.tanh(A @ D / 50)
    slope = 2 * inner * (1 - inner**2) / 50
    assert of_a.format == "csc" and of_a.indices.tolist() == A.indices.tolist()
    dense = slope @ D.T + 2 * A.toarray()
    np.testing.assert_allclose(of_a.data, dense[A.tocoo().row, A.tocoo().col])
    np.testing.assert_allclose(of_d, A.T @ slope)
    assert isinstance(T.grad(cost, a), sparse.SparseVariable) and isinstance(T.grad(cost, (a,)), tuple)


def test_functions_take_and_give_matrices(target: str) -> None:
    A, X = drawn("csr", "float64"), np.arange(7.0)
    kept = theano.shared(A, "kept")
    assert isinstance(kept, sparse.SparseTensorSharedVariable) and kept.get_value() is not A
    a, x = sparse.csr_matrix("a", "float64"), T.dvector("x")
    product = sparse.dot(a, x)
    f = theano.function([theano.In(a, mutable=True), theano.In(x, value=X)], [a.T, product], name="f")
    turned, got = f(A.tocsc())
    same(turned, A.T.tocsc())
    np.testing.assert_allclose(got, A @ X)
    np.testing.assert_allclose(f(x=2 * X, a=A)[1], 2 * (A @ X))
    # one function: of the shared matrix in its place, which it changes
    step = theano.function([x], product, givens={a: kept}, updates=[(kept, 2.0 * kept)])
    np.testing.assert_allclose(step(X), A @ X)
    np.testing.assert_allclose(step(X), 2 * (A @ X))
    same(kept.get_value(), 4 * A)
    kept.set_value(sp.csr_matrix(np.eye(7)))
    np.testing.assert_allclose(step(X), X)
    assert theano.function([a], a)(A).nnz == A.nnz
    for wrong in (A.toarray(), A.astype("complex128")):
        with pytest.raises(TypeError):
            f(wrong)
    with pytest.raises(TypeError, match="takes a sparse variable of its type"):
        theano.function([x], [], updates=[(kept, sparse.cast(kept, "float32"))])
    with pytest.raises(ng.InputError, match="is computed, and cannot be an input"):
        theano.function([a.T], [])
    with pytest.raises(TypeError, match="takes no value"):
        theano.In(a, value=A)
    with pytest.raises(ng.InputError, match="at most 1"):
        theano.function([a], a)(A, A)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_gradients_for_dense_matrices_reach_zeros(form: str) -> None:
    """Of a sparse matrix that is made of a dense one, as if it had stayed dense."""
    make = {"csr": sparse.csr_from_dense, "csc": sparse.csc_from_dense}[form]
    x, d, v = T.dmatrix("x"), T.dmatrix("d"), T.dvector("v")
    X = np.array([[0.0, 2.0, 0.0], [0.5, 0.0, -1.0], [0.0, 0.0, 3.0]])
    D, V = np.arange(9.0).reshape(3, 3) - 2, np.array([1.0, -2.0, 0.5])
    s, c = make(x), sparse.as_sparse_variable(sp.csr_matrix(D))
    pairs = [
        (s, x), (s.T, x.T), (-s, -x), (s + s.T, x + x.T), (s - c, x - D), (s * c, x * D), (c * s, x * D),
        (s * d, x * d), (s * v, x * v), (sparse.row_scale(s, v), x * v[:, None]), (sparse.clean(s), x),
        (s[::-1, 1:], x[::-1, 1:]),
        (sparse.hstack([s, c]), T.concatenate([x, T.constant(D)], 1)), (sparse.vstack([c, s]), T.concatenate([D, x])),
        (sparse.true_dot(s, c), T.dot(x, D)), (sparse.sampling_dot(d, d, s), x * T.dot(d, d.T)), (s[[1, 1]], x[[1, 1]]),
        (sparse.cast(s, "float32"), T.cast(x, "float32")),
    ]  # fmt: skip
    dense = [
        (sparse.dot(s, d), T.dot(x, d)), (sparse.dot(d, s), T.dot(d, x)), (sparse.sp_sum(s), x.sum()),
        (sparse.sp_sum(s, 1), x.sum(1)), (sparse.diag(s), T.diag(x)), (s[0, 0], x[0, 0]),
    ]  # fmt: skip
    pairs = [(sparse.dense_from_sparse(a), b) for a, b in pairs] + dense
    costs = [(T.sqr(a - 0.3).sum(), T.sqr(b - 0.3).sum()) for a, b in pairs]
    found = [T.grad(cost, x) for both in costs for cost in both]
    got = theano.function([x, d, v], found, on_unused_input="ignore")(X, D, V)
    for sparsely, densely in zip(got[::2], got[1::2], strict=True):
        np.testing.assert_allclose(sparsely, densely, rtol=1e-6)
    kept = theano.function([x], [s, sparse.clean(s + s)])(X)
    assert [m.nnz for m in kept] == [4, 4]

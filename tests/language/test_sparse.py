"""Sparse matrices against SciPy's and against dense ones, on every target, with gradients, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import numgraph as ng
from numgraph import testing
from numgraph.errors import DtypeError, IndexOutOfRange, OptionError, ShapeError

RNG = np.random.default_rng(3)
TARGETS = ["cpu", "reference", "cuda-sim"]
# an empty row and an empty column
MATRIX = RNG.random((9, 7)) * (RNG.permutation(63).reshape(9, 7) < 0.3 * 63)
MATRIX = scipy.sparse.csr_array(MATRIX * (np.arange(9) != 4)[:, None] * (np.arange(7) != 2))
X, Y, V = RNG.normal(size=(7, 3)), RNG.normal(size=(9, 2)), RNG.normal(size=7)


@pytest.mark.parametrize("target", TARGETS)
def test_products_are_scipys(target: str) -> None:
    S = ng.sparse.shared(MATRIX, "S")
    x, y, v = ng.matrix("x"), ng.matrix("y"), ng.vector("v")
    outputs = [S @ x, S.T @ y, S @ v, v @ S.T, y.T @ S,
               ng.sparse.dot(x.T, S.T), 2.0 * S @ v, S.toarray(), S.T.toarray(),
               S.sum(), S.sum(0), S.sum(1), S.T.sum(-1)]  # fmt: skip
    found = ng.function([x, y, v], outputs, target=target)(X, Y, V)
    dense = MATRIX.toarray()
    want = [dense @ X, dense.T @ Y, dense @ V, dense @ V, Y.T @ dense, X.T @ dense.T, 2 * dense @ V, dense, dense.T,
            dense.sum(), dense.sum(0), dense.sum(1), dense.sum(0)]  # fmt: skip
    for got, wanted in zip(found, want, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-13, atol=1e-13)


def matrix(data: Any) -> ng.sparse.SparseMatrix:
    return ng.sparse.csr(data, MATRIX.indices, MATRIX.indptr, MATRIX.shape)


def test_gradients() -> None:
    """With respect to the numbers and the dense matrices, and those of the gradients."""
    testing.verify_grad(lambda data, x: ng.tanh(matrix(data) @ x), [MATRIX.data, X])
    testing.verify_grad(lambda data, y: ng.tanh(matrix(data).T @ y), [MATRIX.data, Y])

    def slopes(data: Any, x: Any) -> Any:
        return ng.concatenate([g.flatten() for g in ng.grad(ng.sum(ng.tanh(matrix(data) @ x)), [data, x])])

    testing.verify_grad(slopes, [MATRIX.data, X])


@pytest.mark.parametrize("target", TARGETS)
def test_a_step_on_minibatches_of_rows(target: str) -> None:
    """The rows that an index cuts out, as those of a dense matrix; of any bounds."""
    S, D = ng.sparse.shared(MATRIX, "S"), ng.shared(MATRIX.toarray(), "D")
    W = ng.shared(np.zeros((7, 2)), "W")
    a, b = ng.lscalar("a"), ng.lscalar("b")

    def step(rows: Any) -> Any:
        cost = ng.mean((rows @ (W + 1) - 0.5) ** 2)
        return [cost, ng.grad(cost, W)]

    f = ng.function([a, b], [*step(S[a:b]), *step(D[a:b]), ng.sum(S[a:] @ V), ng.sum(D[a:] @ V)], target=target)
    for bounds in ((0, 9), (2, 6), (4, 5), (-3, 9), (-30, -2), (7, 100)):
        sparse, slopes, dense, dense_slopes, *sums = f(*bounds)
        np.testing.assert_allclose(sparse, dense, rtol=1e-13)
        np.testing.assert_allclose(slopes, dense_slopes, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(*sums, rtol=1e-12)
    empty = ng.function([a, b], S[a:b] @ V, target=target)
    assert all(empty(*bounds).shape == (0,) for bounds in ((3, 3), (5, 2), (9, 20), (50, 60)))


def test_numbers_that_stand_twice_count_together_and_places_from_the_end() -> None:
    S = ng.sparse.csr([1.0, 2.0, 3.0], [0, 0, -1], [0, 2, 3], (2, 4))
    for target in TARGETS:
        assert ng.function([], S.toarray(), target=target)().tolist() == [[3, 0, 0, 0], [0, 0, 0, 3]]


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_numbers_that_belong_to_two_rows(target: str) -> None:
    """Their gradient is that of both places."""
    data, g = ng.vector("data"), np.arange(1.0, 4.0)
    S = ng.sparse.csr(data, np.array([0, 1, 2]), np.array([0, 2, 1, 3]), 3)
    f = ng.function([data], ng.grad(ng.dot(S @ np.ones(3), g), data), target=target)
    # rows 0, 1, 2 have the numbers 0 and 1, none, 1 and 2
    assert f([5.0, 6.0, 7.0]).tolist() == [1.0, 1.0 + 3.0, 3.0]


@pytest.mark.parametrize("target", TARGETS)
def test_places_of_any_integers(target: str) -> None:
    for dtype in ("int8", "uint8", "int32", "uint32", "uint64"):
        columns, begins = (ng.vector(name, dtype=dtype) for name in ("columns", "begins"))
        f = ng.function(
            [columns, begins], ng.sparse.csr([1.0, 2.0, 3.0], columns, begins, 3) @ np.arange(3.0), target=target
        )
        assert f(np.array([0, 2, 1], dtype), np.array([0, 2, 3], dtype)).tolist() == [4.0, 3.0]
        last = np.iinfo(dtype).max
        with pytest.raises(IndexOutOfRange):
            f(np.array([0, 2, last], dtype), np.array([0, 2, 3], dtype))
        with pytest.raises(IndexOutOfRange):
            f(np.array([0, 2, 1], dtype), np.array([0, 2, last], dtype))


def test_dtypes() -> None:
    S = ng.sparse.shared(MATRIX.astype("float32"))
    assert (S @ ng.fvector("x")).dtype == "float32" and (S @ ng.dvector("x")).dtype == "float64"
    assert ng.sparse.shared(MATRIX.astype(bool)).dtype == "float64"
    np.testing.assert_allclose((S @ V.astype("float32")).eval(), MATRIX @ V, rtol=1e-5)


def test_updates_of_the_numbers_and_of_the_structure() -> None:
    S = ng.sparse.shared(MATRIX, "S")
    x = ng.vector("x")
    f = ng.function([x], ng.sum(S @ x), updates=[(S.data, S.data * 2)])
    assert float(f(V)) == pytest.approx((MATRIX @ V).sum()) and float(f(V)) == pytest.approx(2 * (MATRIX @ V).sum())
    other = scipy.sparse.csr_array(np.eye(7))
    for mine, theirs in ((S.data, other.data), (S.indices, other.indices), (S.indptr, other.indptr)):
        mine.set_value(theirs.astype(mine.dtype))
    assert float(f(V)) == pytest.approx(V.sum())


@pytest.mark.parametrize("target", TARGETS)
def test_places_out_of_range_are_never_read(target: str) -> None:
    data, indices, indptr, x = ng.vector("data"), ng.ivector("indices"), ng.ivector("indptr"), ng.matrix("x")
    S = ng.sparse.csr(data, indices, indptr, 7)
    f = ng.function([data, indices, indptr, x], [S @ x, S.T @ ng.ones((S.shape[0], 1))], target=target)
    parts = MATRIX.data, MATRIX.indices.astype("int32"), MATRIX.indptr.astype("int32")
    f(*parts, X)
    for place, far in ((1, 7), (1, -8), (2, len(parts[0]) + 1), (2, 2**31 - 1), (2, -(2**31))):
        wrong = [p.copy() for p in parts]
        wrong[place][2] = far
        with pytest.raises(IndexOutOfRange, match=f"{far}"):
            f(*wrong, X)
    with pytest.raises(ShapeError, match="data and indices have"):
        f(parts[0][1:], *parts[1:], X)
    with pytest.raises(ShapeError, match="7 columns, the other one 6"):
        f(*parts, X[1:])
    with pytest.raises(ShapeError, match="indptr has no elements"):
        f(*parts[:2], parts[2][:0], X)


def test_what_is_refused() -> None:
    S = ng.sparse.shared(MATRIX, "S")
    with pytest.raises(TypeError, match="takes a matrix or an array of scipy"):
        ng.sparse.shared(np.eye(3))
    with pytest.raises(DtypeError, match="indices must be integers"):
        ng.sparse.csr([1.0], [0.0], [0, 1], (1, 1))
    with pytest.raises(ShapeError, match="data must be a vector"):
        ng.sparse.csr([[1.0]], [0], [0, 1], (1, 1))
    with pytest.raises(ShapeError, match="times a vector or a matrix"):
        S @ ng.tensor3("x")
    with pytest.raises(ShapeError, match="only a scalar"):
        S * V
    with pytest.raises(OptionError, match="rows begin:end"):
        S[::2]
    with pytest.raises(OptionError, match="one has to be dense"):
        ng.sparse.dot(S, S.T)
    with pytest.raises(OptionError, match="neither is a sparse matrix"):
        ng.sparse.dot(X, X)
    assert repr(S) == "<sparse float64[?,7] of S.data>"
    for attempt in (lambda: ng.exp(S), lambda: ng.dot(S, V), lambda: S @ V + S):
        with pytest.raises(DtypeError, match=r"cannot be part of an expression\n  fix: products are S @ x and x @ S"):
            attempt()
    with pytest.raises(OptionError, match=r"gradients are with respect to x\.data"):
        ng.grad((S @ V).sum(), S)


def test_numbers_that_are_not_finite() -> None:
    S = ng.sparse.csr([np.inf, np.nan, -1.0], [1, 2, 0], [0, 1, 2, 3, 3], (4, 3))
    for x in (ng.constant([1.0, 2.0, 3.0]), ng.constant([[1.0, 1.0], [2.0, 0.5], [3.0, 1.0]])):
        for target in TARGETS:
            found = ng.function([], S @ x, target=target)()
            np.testing.assert_array_equal(np.asarray(found).reshape(4, -1)[:, 0], [np.inf, np.nan, -1, 0])


def test_complex_matrices_are_refused() -> None:
    """Their imaginary parts were left out, with a warning of NumPy's."""
    with pytest.raises(DtypeError, match="elements are real numbers, not complex128"):
        ng.sparse.shared(scipy.sparse.eye_array(2) * 1j)

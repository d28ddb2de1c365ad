"""Linear algebra and signals with the arguments that PyTensor gives them, against SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

import numgraph as ng
from numgraph.compat import theano
from numgraph.compat.theano import tensor as T

RNG = np.random.default_rng(9)
A = RNG.normal(size=(4, 4))
B = RNG.normal(size=(3, 4))
POSITIVE = A @ A.T + np.eye(4)
L = T.slinalg


def value(outputs: Any, **given: Any) -> Any:
    """What expressions of the matrices `a` and `b` are."""
    return ng.function(list(VARIABLES), outputs, target="reference", on_unused_input="ignore")(A, given.get("b", B))


VARIABLES = T.dmatrices("a", "b")
a, b = VARIABLES


def test_stacks_of_vectors() -> None:
    positive = T.dot(a, a.T) + np.eye(4)
    solved = value(
        [
            L.solve(a, b, b_ndim=1, check_finite=False), L.solve_triangular(a, b, trans=1, lower=True, b_ndim=1),
            L.lu_solve(L.lu_factor(a), b, trans=True, b_ndim=1),
            L.cho_solve((L.cholesky(positive), True), b, b_ndim=1), L.solve_triangular(a, b.T, unit_diagonal=True),
        ]
    )  # fmt: skip
    wanted = [
        np.linalg.solve(A, B.T).T, np.linalg.solve(np.tril(A).T, B.T).T, np.linalg.solve(A.T, B.T).T,
        np.linalg.solve(POSITIVE, B.T).T, scipy.linalg.solve_triangular(A, B.T, unit_diagonal=True),
    ]  # fmt: skip
    for got, exact in zip(solved, wanted, strict=True):
        np.testing.assert_allclose(got, exact, atol=1e-10)


def test_lists_of_factors() -> None:
    for got, exact in (
        (L.lu(a), scipy.linalg.lu(A)),
        (L.lu(a, permute_l=True, check_finite=False), scipy.linalg.lu(A, permute_l=True)),
        (L.qr(a, mode="full", pivoting=True), scipy.linalg.qr(A, pivoting=True)),
        (L.svd(a, full_matrices=False), np.linalg.svd(A, full_matrices=False)),
    ):
        assert isinstance(got, list)
        for one, other in zip(value(got), exact, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-10)
    (h, scales), r = scipy.linalg.qr(A, mode="raw")
    for one, other in zip(value(L.qr(a, mode="raw")), (h, scales, r), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)
    for one, other in zip(value(list(T.nlinalg.qr(a, "raw"))), np.linalg.qr(A, "raw"), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)
    order = scipy.linalg.lu(A, p_indices=True)[0]
    pivots = scipy.linalg.lu_factor(A)[1]
    assert (L.pivot_to_permutation(pivots).eval() == order).all()
    assert (L.pivot_to_permutation(pivots, inverse=True).eval() == np.argsort(order)).all()
    assert np.isnan(value(L.cholesky(-T.dot(a, a.T), on_error="nan"))).all()


@pytest.mark.parametrize("lower", [True, False])
def test_eigenvalues_of_pairs(lower: bool) -> None:
    w, v = value(L.eigh(a + a.T, T.dot(a, a.T) + np.eye(4), lower=lower))
    np.testing.assert_allclose(w, scipy.linalg.eigh(A + A.T, POSITIVE)[0])
    np.testing.assert_allclose((A + A.T) @ v, POSITIVE @ v * w, atol=1e-10)


def test_convolutions() -> None:
    conv = T.signal.conv
    for mode in ("full", "same", "valid"):
        one, two = value(
            [conv.convolve1d(a, b, mode=mode), conv.convolve2d(a, b, mode, boundary="wrap", method="fft")],
            b=(rows := RNG.normal(size=(4, 7))),
        )
        np.testing.assert_allclose(one, [np.convolve(x, y, "full")[_part(mode)] for x, y in zip(A, rows, strict=True)])
        np.testing.assert_allclose(two, scipy.signal.convolve2d(A, rows, mode, "wrap"))


def _part(mode: str) -> slice:
    """Of a signal of 4 and one of 7: what a mode wants, by SciPy, of 10."""
    return {"full": slice(None), "same": slice(3, 7), "valid": slice(3, 7)}[mode]


def test_diagonals_of_stacks() -> None:
    got = value([T.alloc_diag(b, offset=1), T.alloc_diag(b, -2, 2, 1), b.norm(L=1, axis=1)])
    wanted = np.stack([np.diag(row, 1) for row in B])
    np.testing.assert_array_equal(got[0], np.moveaxis(wanted, (-2, -1), (0, 1)))
    np.testing.assert_array_equal(got[1], np.moveaxis(np.stack([np.diag(row, -2) for row in B]), (-2, -1), (2, 1)))
    np.testing.assert_allclose(got[2], np.abs(B).sum(1))


def test_functions_over_axes_in_front() -> None:
    product = T.vectorize(lambda x, y: (T.outer(x, y), T.dot(x, y)), "(n),(n)->(n,n),()")
    outer, inner = value(product(T.stack([a, 2 * a]), b[0]))
    np.testing.assert_allclose(outer, np.stack([A, 2 * A])[..., None] * B[0])
    np.testing.assert_allclose(inner, np.stack([A, 2 * A]) @ B[0])
    assert (value(T.vectorize(lambda x: x + 1)(a)) == A + 1).all()
    assert T.vectorize(lambda x: x * 2, "(n)->(n)")(b[0]).ndim == 1
    for wrong, arguments, said in (
        (product, (a,), "Number of inputs"),
        (T.vectorize(lambda x, y: x, "(n),(n)->(n),()"), (a, b), "Number of outputs"),
        (product, (a, b[0, 0]), "less dimensions"),
        (T.vectorize(lambda x: None), (a,), "no outputs"),
    ):
        with pytest.raises(ValueError, match=said):
            wrong(*arguments)


def test_updates_and_shared_variables() -> None:
    where = np.array([0, 0, 2])
    once, each = value([T.inc_subtensor(b[where], 1.0, ignore_duplicates=keep) for keep in (True, False)])
    np.testing.assert_allclose(once, B + np.array([[1.0], [0], [1]]))
    np.testing.assert_allclose(each, B + np.array([[2.0], [0], [1]]))
    assert theano.shared(B, shape=(None, 4)).get_value().shape == (3, 4)
    with pytest.raises(ng.ShapeError, match="for a value of shape"):
        theano.shared(B, shape=(3, 3))

"""Systems of which more is known, and triangular factors, against SciPy: values, gradients, failures, edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from test_matrices import close, value

import numgraph as ng
from numgraph import testing
from numgraph.graph import toposort

TARGETS = ("cpu", "reference")
RNG = np.random.default_rng(5)
A = RNG.normal(size=(4, 4))
STACK = RNG.normal(size=(2, 3, 4, 4))
B = RNG.normal(size=(4, 2))
BAND = np.tril(np.triu(A, -1), 1)
POSITIVE = A @ A.T + np.eye(4)


def stacked(function: Callable[..., Any], signature: str) -> Callable[..., Any]:
    """SciPy's function of each matrix of a stack."""
    return np.vectorize(function, signature=signature)


# -- what is known of a matrix -----------------------------------------------------------------------------------------

KNOWN = {
    "sym": A + A.T, "her": A + A.T, "pos": POSITIVE, "tridiagonal": BAND, "diagonal": np.diag(A.diagonal()),
    "lower triangular": np.tril(A), "upper triangular": np.triu(A), "banded": BAND, "gen": A,
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", KNOWN)
def test_solve(kind: str, target: str) -> None:
    a = KNOWN[kind]
    for lower in (False, True):
        for turned in (False, True):
            for b in (B, B[:, 0], B[:, :0]):
                got = value(lambda x, y, low=lower, t=turned: ng.solve(x, y, kind, low, t), a, b, target=target)
                close(got, np.linalg.solve(a.T if turned else a, b))


@pytest.mark.parametrize("kind", ["sym", "tridiagonal", "diagonal", "pos"])
def test_only_what_is_known_is_read(kind: str) -> None:
    for lower in (False, True):
        half = (np.tril if lower else np.triu)(KNOWN[kind]) if kind in ("sym", "pos") else A
        close(value(lambda x, y, low=lower: ng.solve(x, y, kind, low), half, B), np.linalg.solve(KNOWN[kind], B))


@pytest.mark.parametrize("kind", ["sym", "tridiagonal", "diagonal", "pos"])
def test_gradient_of_solve(kind: str) -> None:
    a = np.stack([KNOWN[kind], 2 * KNOWN[kind]])
    for lower, turned in ((False, False), (True, True)):
        testing.check_gradient(
            lambda x, y, low=lower, t=turned: ng.solve(x, y, kind, low, t), [a, B], order=2, tolerance=1e-4
        )


@pytest.mark.parametrize("kind", ["sym", "tridiagonal", "diagonal"])
def test_singular_systems_name_the_variable(kind: str) -> None:
    stiffness = ng.matrix("stiffness")
    f = ng.function([stiffness], ng.solve(stiffness, np.ones(3), kind))
    with pytest.raises(np.linalg.LinAlgError, match=r"singular") as caught:
        f(np.zeros((3, 3)))
    assert "stiffness" in str(caught.value) and "test_systems.py:" in str(caught.value)
    close(f(np.eye(3)), np.ones(3))


# -- triangular factors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 4, 4), (5, 3), (2, 3, 5), (1, 1), (0, 0), (0, 3), (3, 0), (0, 2, 2)])
def test_factors(shape: tuple[int, ...], target: str) -> None:
    a = RNG.normal(size=shape)
    found = value(lambda x: (*ng.lu(x), *ng.lu(x, True), *ng.lu(x, p_indices=True)), a, target=target)
    p, lower, upper, permuted, _, places, _, _ = found
    np.testing.assert_allclose(p @ lower @ upper, a, atol=1e-12)
    np.testing.assert_allclose(permuted, p @ lower, atol=1e-12)
    np.testing.assert_array_equal(np.take_along_axis(lower, places[..., None], -2), permuted)
    if a.ndim == 2 and a.size:
        close(found[:3], scipy.linalg.lu(a))
        close(
            [v.astype("float64") for v in found[5:]], [v.astype("float64") for v in scipy.linalg.lu(a, p_indices=True)]
        )
        packed, pivots = value(ng.lu_factor, a, target=target)
        close((packed, pivots), scipy.linalg.lu_factor(a))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("trans", [0, 1, 2, "T"])
def test_solutions_by_factors(trans: Any, target: str) -> None:
    for a, b in ((A, B), (A, B[:, 0]), (STACK, B), (A, RNG.normal(size=(3, 4, 1))), (A, B[:, :0]), (A[:0, :0], B[:0])):
        got = value(lambda x, y: ng.lu_solve(ng.lu_factor(x), y, trans), a, b, target=target)
        close(got, np.linalg.solve(np.swapaxes(a, -1, -2) if trans else a, b), 1e-8)


@pytest.mark.parametrize("target", TARGETS)
def test_factors_that_come_from_outside(target: str) -> None:
    packed, pivots = scipy.linalg.lu_factor(A)
    for given in (pivots, pivots - 4):
        got = value(lambda lu, p, b: ng.lu_solve((lu, p), b, 1), packed, given, B, target=target)
        close(got, np.linalg.solve(A.T, B))
    with pytest.raises(IndexError, match=r"is out of range for an axis of length 4(.|\n)*lu_solve called at"):
        value(lambda lu, p, b: ng.lu_solve((lu, p), b), packed, pivots + 4, B, target=target)


GRADIENTS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "lu": (lambda a: ng.lu(a)[1] * 2 + ng.lu(a)[2] ** 2, (STACK,)),
    "tall": (lambda a: ng.lu_factor(a).lu ** 2, (RNG.normal(size=(5, 3)),)),
    "wide": (lambda a: ng.lu_factor(a).lu ** 2, (RNG.normal(size=(3, 5)),)),
    "permuted": (lambda a: ng.lu(a, permute_l=True)[0] ** 2, (RNG.normal(size=(5, 3)),)),
    "solve": (lambda a, b: ng.lu_solve(ng.lu_factor(a), b), (A, B)),
    "transposed": (lambda a, b: ng.lu_solve(ng.lu_factor(a), b, 1), (A, B[:, 0])),
    "cho_solve": (lambda a, b: ng.cho_solve(ng.cho_factor(a), b), (POSITIVE, B)),
    "cho_solve of a factor": (lambda c, b: ng.cho_solve((c, True), b), (np.tril(A) + 3 * np.eye(4), B)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_of_factors(name: str) -> None:
    build, arrays = GRADIENTS[name]
    testing.check_gradient(build, arrays, order=1, tolerance=1e-4)


def _determined(factor: Any) -> Any:
    """Half of the logarithm of the determinant of what was factored."""
    n = ng.arange(factor.shape[0])
    return ng.sum(ng.log(factor[n, n]))


def _half(a: Any, b: Any) -> Any:
    factor = ng.cholesky(a)
    return factor, ng.solve_triangular(factor, b, lower=True)


def _likelihood(a: Any, b: Any) -> Any:
    factor, white = _half(a, b)
    return ng.sum(white**2) / 2 + _determined(factor)


# costs of a matrix and right-hand sides, and in how many of its gradient's products a factor is multiplied
FACTORED: dict[str, tuple[Callable[..., Any], int]] = {
    "likelihood": (_likelihood, 0),
    "upper": (lambda a, b: ng.sum(ng.cho_solve(ng.cho_factor(a), b) * b) - _determined(ng.cholesky(a, True)), 0),
    "mean of a diagonal": (lambda a, b: ng.mean(_half(a, b)[1] ** 4) + ng.sum(ng.diagonal(ng.cholesky(a)) ** 3), 0),
    "diagonal, turned": (lambda a, b: ng.sum(ng.diagonal(ng.cholesky(a).T) ** 2), 0),
    "some of the diagonal": (lambda a, b: ng.sum(ng.cholesky(a)[[0, 2, 2], [0, 2, 2]] ** 3), 0),
    "not the diagonal": (lambda a, b: ng.sum(ng.cholesky(a)[[2, 1, 2], [0, 1, 1]] ** 3), 1),
    "another diagonal": (lambda a, b: ng.sum(ng.diagonal(ng.cholesky(a), -1) ** 3), 1),
    "twice": (lambda a, b: ng.sum(ng.solve_triangular(*_half(a, b), lower=True) ** 2), 0),
    "the other factor's triangle": (lambda a, b: ng.sum(ng.solve_triangular(_half(a, b)[0], b) ** 2), 1),
    "with ones": (lambda a, b: ng.sum(ng.solve_triangular(_half(a, b)[0], b, "T", True, unit_diagonal=True) ** 2), 1),
    "the whole factor": (lambda a, b: ng.sum(_half(a, b)[1] ** 2) + ng.sum(_half(a, b)[0] ** 3), 1),
    "a factor of its own": (lambda a, b: ng.sum(ng.solve_triangular(ng.cholesky(a * 2), ng.cholesky(a)) ** 2), 2),
}


@pytest.mark.parametrize("name", FACTORED)
def test_gradient_by_the_terms_of_a_factor(name: str) -> None:
    """Systems and determinants that share a factor have a gradient without products of square matrices."""
    build, products = FACTORED[name]
    testing.check_gradient(lambda a, b: build(0.5 * (a + a.T), b), [POSITIVE, B], order=2, tolerance=1e-4)
    a, b = ng.matrix("a"), ng.matrix("b")
    made = toposort([ng.grad(build(a, b), a)])
    assert sum(v.op is not None and v.op.name == "dot2" and _is_factor(v.inputs[0]) for v in made) == products


def _is_factor(v: Any) -> bool:
    """Whether it is a Cholesky factor transposed."""
    return v.op is not None and v.op.name == "dimshuffle" and getattr(v.inputs[0].op, "name", "") == "cholesky"


@pytest.mark.parametrize("lower", [False, True])
def test_cholesky_factors_and_solutions(lower: bool) -> None:
    factor = np.linalg.cholesky(POSITIVE) if lower else np.linalg.cholesky(POSITIVE).T
    close(value(lambda a: ng.cho_factor(a, lower).c, POSITIVE), factor)
    for b in (B, B[:, 0]):
        close(value(lambda c, y: ng.cho_solve((c, lower), y), factor, b), scipy.linalg.cho_solve((factor, lower), b))


@pytest.mark.parametrize("target", TARGETS)
def test_cholesky_may_give_nan_instead_of_an_error(target: str) -> None:
    a = np.stack([POSITIVE, -POSITIVE, POSITIVE - 9 * np.diag([0, 0, 0, 1.0]), POSITIVE])
    for upper in (False, True):
        got = value(lambda x, up=upper: ng.cholesky(x, up, on_error="nan"), a, target=target)
        wanted = np.linalg.cholesky(POSITIVE)
        assert np.isnan(got[1:3]).all()
        np.testing.assert_allclose(got[[0, 3]], np.stack([wanted.T if upper else wanted] * 2))
    slope = value(lambda x: ng.grad(ng.sum(ng.cholesky(x, on_error="nan")), x), -POSITIVE, target=target)
    assert np.isnan(slope[np.tril_indices(4)]).all()


def test_what_is_refused() -> None:
    x = ng.matrix("x")
    with pytest.raises(ng.OptionError, match='on_error is "raise" or "nan"'):
        ng.cholesky(x, on_error="zeros")
    with pytest.raises(ng.OptionError, match="trans is 0, 1, 2"):
        ng.lu_solve(ng.lu_factor(x), x, "H")
    with pytest.raises(ng.OptionError, match="assume_a is one of general, symmetric"):
        ng.solve(x, x, "sparse")
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    with pytest.raises(ng.MatrixError, match="singular"):
        value(lambda a: ng.lu_solve(ng.lu_factor(a), np.ones(2)), singular)
    with pytest.raises(ng.MatrixError, match="singular"):
        value(lambda a: ng.grad(ng.sum(ng.lu_factor(a).lu), a), singular)


@pytest.mark.parametrize("target", TARGETS)
def test_blocks_on_a_diagonal(target: str) -> None:
    blocks = (B, np.arange(3.0), A[:0, :1], np.array(2.0), np.array([[1, 2]]))
    got = value(lambda *m: ng.linalg.block_diag(*m), *blocks, target=target)
    close(got, scipy.linalg.block_diag(*blocks[:2], np.zeros((0, 1)), *blocks[3:]))
    stack = value(lambda a, b: ng.block_diag(a, b), STACK, B, target=target)
    close(stack, stacked(scipy.linalg.block_diag, "(a,b),(c,d)->(e,f)")(STACK, B))
    assert ng.block_diag(np.ones((2, 3)), ng.matrix("x")).type.shape == (None, None)
    assert ng.block_diag(np.ones((2, 3)), np.ones((1, 1))).type.shape == (3, 4)
    testing.check_gradient(ng.block_diag, [A, B], order=1)


# -- complex numbers ---------------------------------------------------------------------------------------------------

COMPLEX = STACK + 1j * RNG.normal(size=STACK.shape)
COMPLEX_B = B + 1j * B[::-1]


@pytest.mark.parametrize("target", TARGETS)
def test_complex_systems(target: str) -> None:
    a, b = COMPLEX, COMPLEX_B
    got = value(
        lambda x, y: (ng.solve(x, y), ng.solve(x, y, transposed=True), ng.linalg.inv(x), ng.linalg.det(x)),
        a,
        b,
        target=target,
    )
    close(
        got,
        (np.linalg.solve(a, b), np.linalg.solve(np.swapaxes(a, -1, -2), b), np.linalg.inv(a), np.linalg.det(a)),
        1e-8,
    )
    one, real = a[0, 0], B
    for trans in (0, 1, 2):
        found = value(
            lambda x, y, t=trans: (ng.lu_solve(ng.lu_factor(x), y, t), ng.solve_triangular(x, y, t)),
            one,
            real,
            target=target,
        )
        wanted = scipy.linalg.lu_solve(scipy.linalg.lu_factor(one), real, trans)
        close(found, (wanted, scipy.linalg.solve_triangular(one, real, trans)))
    p, lower, upper = value(ng.lu, one, target=target)
    close((p, lower, upper), scipy.linalg.lu(one))


def test_complex_systems_of_half_the_precision() -> None:
    a, b = COMPLEX.astype("complex64"), COMPLEX_B.astype("complex64")
    got = value(lambda x, y: (ng.solve(x, y), ng.linalg.inv(x)), a, b)
    for one, wanted in zip(got, (np.linalg.solve(COMPLEX, COMPLEX_B), np.linalg.inv(COMPLEX)), strict=True):
        assert one.dtype == "complex64"
        np.testing.assert_allclose(one, wanted, rtol=1e-3, atol=1e-3)


def test_gradients_of_complex_systems() -> None:
    a, b = COMPLEX[0, 0] + 2 * np.eye(4), COMPLEX_B
    testing.check_gradient(
        lambda x, y: ng.real(ng.solve(x, y)) + ng.imag(ng.solve_triangular(x, y, 2)), [a, b], order=1
    )
    testing.check_gradient(lambda x: ng.real(ng.linalg.det(x) * ng.lu_factor(x).lu), [a], order=1)


# -- equations with unknown matrices on two sides ----------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_equations_of_sylvester_and_lyapunov(target: str) -> None:
    c = RNG.normal(size=(4, 3))
    for a, b, q in ((A, A[:3, :3] + 5 * np.eye(3), c), (COMPLEX[0, 0], A[:3, :3], c), (A[:0, :0], A[:3, :3], c[:0])):
        got = value(ng.linalg.solve_sylvester, a, b, q, target=target)
        np.testing.assert_allclose(a @ got + got @ b, q, atol=1e-9)
    stack = value(ng.linalg.solve_sylvester, STACK, A[:3, :3] + 5 * np.eye(3), c, target=target)
    np.testing.assert_allclose(
        STACK @ stack + stack @ (A[:3, :3] + 5 * np.eye(3)), np.broadcast_to(c, stack.shape), atol=1e-8
    )
    for a in (A, COMPLEX[1, 1], STACK[0] / 3):
        x = value(ng.linalg.solve_continuous_lyapunov, a, POSITIVE, target=target)
        turned = np.conj(np.swapaxes(a, -1, -2))
        np.testing.assert_allclose(a @ x + x @ turned, np.broadcast_to(POSITIVE, x.shape), atol=1e-8)
        for method in ("direct", "bilinear", None):
            x = value(lambda v, q, by=method: ng.linalg.solve_discrete_lyapunov(v, q, by), a, POSITIVE, target=target)
            np.testing.assert_allclose(a @ x @ turned - x + POSITIVE, 0, atol=1e-8)


def test_gradients_and_failures_of_sylvester() -> None:
    b = A[:3, :3] + 5 * np.eye(3)
    testing.check_gradient(ng.linalg.solve_sylvester, [STACK[0], b, RNG.normal(size=(4, 3))], order=1, tolerance=1e-4)
    testing.check_gradient(lambda a, q: ng.linalg.solve_discrete_lyapunov(a, q, "bilinear"), [A / 3, POSITIVE], order=1)
    dynamics = ng.matrix("dynamics")
    f = ng.function([dynamics], ng.linalg.solve_sylvester(dynamics, -dynamics, np.eye(2)))
    with pytest.raises(ng.MatrixError, match="solve_sylvester: a and -b have an eigenvalue in common"):
        f(np.eye(2))
    with pytest.raises(ng.OptionError, match='method is "direct" or "bilinear"'):
        ng.linalg.solve_discrete_lyapunov(dynamics, dynamics, "fast")


def test_riccatis_equation() -> None:
    """As SciPy's, of stacks that broadcast; symmetric parts count; NaN where nothing stabilises; gradients."""
    a, b, q, r = RNG.normal(size=(2, 4, 4)), RNG.normal(size=(4, 2)), POSITIVE, np.diag([2.0, 0.5])
    matrices = [ng.tensor(name, "float64", (None,) * v.ndim) for name, v in zip("abqr", (a, b, q, r), strict=True)]
    f = ng.function(matrices, ng.linalg.solve_discrete_are(*matrices))
    wanted = np.stack([scipy.linalg.solve_discrete_are(m, b, q, r) for m in a])
    np.testing.assert_allclose(f(a, b, q, r), wanted, rtol=1e-8)
    np.testing.assert_allclose(f(a, b, q + np.triu(A, 1) - np.triu(A, 1).T, r), wanted, rtol=1e-8)
    # at the edge: 1 stays 1 whatever is done
    assert np.isnan(f(np.ones((1, 1, 1)), np.ones((1, 2)), np.zeros((1, 1)), r)).all()
    testing.check_gradient(ng.linalg.solve_discrete_are, [a[0] / 2, b, q, r], order=1, tolerance=1e-4)
    for refused in ((a, b, q, 0 * r), (2 * np.eye(4)[None], 0 * b, q, r)):
        with pytest.raises(ng.MatrixError, match="singular"):
            f(*refused)


def test_what_is_stored_later_changes_a_view_that_was_looked_at_before() -> None:
    """b.T.T lies in memory as b does, but not once b.T, which another kernel wants row by row, has been stored."""
    a, b, c = (ng.matrix(name) for name in "abc")
    first = ng.solve_sylvester(a, b, c)
    A, B, C = (np.random.default_rng(k).normal(size=s) for k, s in enumerate([(3, 3), (2, 2), (3, 2)]))
    f = ng.function([a, b, c], ng.solve_sylvester(a.T, b.T, first), target="cpu")
    wanted = scipy.linalg.solve_sylvester(A.T, B.T, scipy.linalg.solve_sylvester(A, B, C))
    np.testing.assert_allclose(f(A, B, C), wanted, rtol=1e-9)


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_what_is_not_finite_stays_in_its_row_of_a_triangular_system(target: str) -> None:
    """Substitution reads a row's own elements and the solutions before it."""
    a = np.array([[2.0, 0, 0], [1.0, np.inf, 0], [0.0, 1.0, 4.0]])
    b = np.array([[1.0, np.nan], [3.0, 1.0], [2.0, 2.0]])
    A, B = ng.matrix("A"), ng.matrix("B")
    for matrix, transposed in ((a, 0), (a.T.copy(), 1)):
        f = ng.function([A, B], ng.solve_triangular(A, B, trans=transposed, lower=not transposed), target=target)
        expected = scipy.linalg.solve_triangular(matrix, b, trans=transposed, lower=not transposed, check_finite=False)
        np.testing.assert_allclose(f(matrix, b), expected)
        assert np.isfinite(expected[:, 0]).all() and np.isnan(expected[:, 1]).all()

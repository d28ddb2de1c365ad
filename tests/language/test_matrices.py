"""Linear algebra as users call it, against NumPy and SciPy; what fails, and what is as before then."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import numgraph as ng
from numgraph import testing
from numgraph.compile import printed
from numgraph.program import build_program
from numgraph.protocols import _no_numpy
from numgraph.runtime.refused import error_of
from numgraph.target import CheckFailed

TARGETS = ("cpu", "reference")
RNG = np.random.default_rng(3)
A = RNG.normal(size=(4, 4)) + 4 * np.eye(4)
STACK = RNG.normal(size=(2, 3, 4, 4)) + 4 * np.eye(4)
TALL, WIDE = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 5))
SYMMETRIC = A @ A.T


def value(build: Callable[..., Any], *arrays: Any, target: str = "cpu") -> Any:
    """What a function of arrays gives, of unknown lengths."""
    values = [np.asarray(a) for a in arrays]
    inputs = [ng.tensor(f"x{k}", a.dtype, (None,) * a.ndim) for k, a in enumerate(values)]
    built = build(*inputs)
    return ng.function(inputs, list(built) if isinstance(built, tuple) else built, target=target)(*values)


def close(got: Any, wanted: Any, rtol: float = 1e-9) -> None:
    """Equal shapes and dtypes, and nearly equal values."""
    for one, other in zip(got, wanted, strict=True) if isinstance(wanted, tuple | list) else [(got, wanted)]:
        assert np.shape(one) == np.shape(other)
        assert one.dtype == np.asarray(other).dtype
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


# (numgraph's, NumPy's or SciPy's, arguments)
SAME: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "inv": (ng.linalg.inv, np.linalg.inv, (STACK,)),
    "det": (ng.linalg.det, np.linalg.det, (STACK,)),
    "slogdet": (ng.linalg.slogdet, lambda a: tuple(np.linalg.slogdet(a)), (-STACK[:, :, :3, :3],)),
    "solve a vector": (ng.linalg.solve, np.linalg.solve, (A, np.arange(4.0))),
    "solve a matrix for a stack": (ng.linalg.solve, np.linalg.solve, (STACK, TALL[:4])),
    "solve a stack by a matrix": (ng.linalg.solve, np.linalg.solve, (A, STACK[..., :2])),
    "solve a vector for a stack": (ng.linalg.solve, np.linalg.solve, (STACK, np.arange(4.0))),
    "cholesky": (ng.linalg.cholesky, np.linalg.cholesky, (SYMMETRIC,)),
    "cholesky reads the lower triangle": (ng.linalg.cholesky, np.linalg.cholesky, (np.tril(SYMMETRIC),)),
    "upper cholesky": (
        lambda a: ng.linalg.cholesky(a, upper=True), lambda a: scipy.linalg.cholesky(a), (np.triu(SYMMETRIC),),
    ),
    "eigh": (ng.linalg.eigh, lambda a: tuple(np.linalg.eigh(a)), (np.tril(SYMMETRIC),)),
    "eigh of the upper triangle": (
        lambda a: ng.linalg.eigh(a, "U")[0], lambda a: np.linalg.eigh(a, "U")[0], (np.triu(SYMMETRIC),),
    ),
    "eigvalsh": (ng.linalg.eigvalsh, np.linalg.eigvalsh, (STACK,)),
    "svd": (ng.linalg.svd, lambda a: tuple(np.linalg.svd(a)), (TALL,)),
    "svd of a wide matrix": (ng.linalg.svd, lambda a: tuple(np.linalg.svd(a)), (WIDE,)),
    "thin svd": (
        lambda a: ng.linalg.svd(a, full_matrices=False),
        lambda a: tuple(np.linalg.svd(a, full_matrices=False)), (WIDE,),
    ),
    "svdvals": (ng.linalg.svdvals, lambda a: np.linalg.svd(a, compute_uv=False), (STACK[..., :3],)),
    "singular values": (
        lambda a: ng.linalg.svd(a, compute_uv=False), lambda a: np.linalg.svd(a, compute_uv=False), (TALL,),
    ),
    "qr": (ng.linalg.qr, lambda a: tuple(np.linalg.qr(a)), (TALL,)),
    "qr of a wide matrix": (ng.linalg.qr, lambda a: tuple(np.linalg.qr(a)), (WIDE,)),
    "complete qr": (
        lambda a: ng.linalg.qr(a, "complete"), lambda a: tuple(np.linalg.qr(a, "complete")), (TALL,),
    ),
    "r": (lambda a: ng.linalg.qr(a, "r"), lambda a: np.linalg.qr(a, "r"), (STACK,)),
    "pinv": (ng.linalg.pinv, np.linalg.pinv, (np.stack([TALL, 2 * TALL]),)),
    "pinv of a singular matrix": (ng.linalg.pinv, np.linalg.pinv, (np.ones((3, 2)),)),
    "pinv with a cutoff": (lambda a: ng.linalg.pinv(a, 0.5), lambda a: np.linalg.pinv(a, 0.5), (np.diag([4.0, 1.0]),)),
    "third power": (lambda a: ng.linalg.matrix_power(a, 3), lambda a: np.linalg.matrix_power(a, 3), (STACK,)),
    "power 0": (lambda a: ng.linalg.matrix_power(a, 0), lambda a: np.linalg.matrix_power(a, 0), (STACK,)),
    "power -2": (lambda a: ng.linalg.matrix_power(a, -2), lambda a: np.linalg.matrix_power(a, -2), (A,)),
    "expm": (ng.linalg.expm, scipy.linalg.expm, (A,)),
    "expm of a small matrix": (ng.linalg.expm, scipy.linalg.expm, (A * 1e-9,)),
    "expm of a large matrix": (ng.linalg.expm, scipy.linalg.expm, (-A * 20,)),
    "trace": (ng.trace, np.trace, (STACK[0],)),
    "trace of other axes": (lambda a: ng.trace(a, -1, 3, 0), lambda a: np.trace(a, -1, 3, 0), (STACK,)),
    "trace of matrices": (ng.linalg.trace, lambda a: np.trace(a, 0, -2, -1), (STACK,)),
    "diagonal": (lambda a: ng.linalg.diagonal(a, 1), lambda a: np.diagonal(a, 1, -2, -1), (STACK[..., :3],)),
    "trace of integers": (ng.trace, np.trace, (np.arange(6).reshape(2, 3),)),
    "kron": (ng.kron, np.kron, (TALL, WIDE)),
    "kron of other ranks": (ng.kron, np.kron, (TALL, np.arange(4.0))),
    "multi_dot": (lambda *m: ng.linalg.multi_dot(m), lambda *m: np.linalg.multi_dot(m), (TALL, WIDE, TALL)),
    "lower triangular": (
        lambda a, b: ng.solve_triangular(a, b, lower=True),
        lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True), (A, TALL[:4]),
    ),
    "upper triangular, transposed, unit diagonal": (
        lambda a, b: ng.solve_triangular(a, b, "T", unit_diagonal=True),
        lambda a, b: scipy.linalg.solve_triangular(a, b, "T", unit_diagonal=True), (A, np.arange(4.0)),
    ),
    "positive definite": (lambda a, b: ng.solve(a, b, "pos"), np.linalg.solve, (SYMMETRIC, TALL[:4])),
    "told that it is triangular": (
        lambda a, b: ng.solve(a, b, "upper triangular"), scipy.linalg.solve_triangular, (A, np.arange(4.0)),
    ),
    "lstsq": (ng.linalg.lstsq, lambda a, b: _lstsq(a, b), (TALL, np.arange(5.0))),
    "lstsq of several": (ng.linalg.lstsq, lambda a, b: _lstsq(a, b), (TALL, np.arange(10.0).reshape(5, 2))),
    "lstsq without full rank": (
        ng.linalg.lstsq, lambda a, b: _lstsq(a, b), (np.c_[TALL[:, :2], TALL[:, 0]], np.arange(5.0)),
    ),
    "lstsq of a wide matrix": (ng.linalg.lstsq, lambda a, b: _lstsq(a, b), (WIDE, np.arange(3.0))),
}  # fmt: skip


def _lstsq(a: Any, b: Any) -> tuple[Any, ...]:
    x, residuals, rank, s = np.linalg.lstsq(a, b)
    return x, residuals, np.int64(rank), s


@pytest.mark.parametrize("rcond", [-1.0, 0.0, 0.5, 1.0, 2.5])
def test_cutoffs_outside_of_0_to_1_are_the_precision(rcond: float) -> None:
    """As LAPACK takes them, and so NumPy."""
    a, b, cutoff = ng.matrix("a"), ng.vector("b"), ng.scalar("cutoff")
    wanted = np.linalg.lstsq(TALL, np.arange(5.0), rcond)
    for f in (
        ng.function([a, b], list(ng.lstsq(a, b, rcond))),
        ng.function([a, b, cutoff], list(ng.lstsq(a, b, cutoff))),
    ):
        got = f(TALL, np.arange(5.0), *([rcond] if len(f.inputs) == 3 else []))
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SAME)
def test_as_numpy(name: str, target: str) -> None:
    ours, theirs, arrays = SAME[name]
    close(value(ours, *arrays, target=target), theirs(*arrays), 1e-8 if name == "expm of a large matrix" else 1e-9)


@pytest.mark.parametrize("name", [n for n in SAME if "rank" not in n and "integers" not in n and "singular m" not in n])
def test_float32(name: str) -> None:
    ours, theirs, arrays = SAME[name]
    got = value(ours, *(a.astype("float32") for a in arrays))
    wanted = theirs(*arrays)
    for one, other in zip(got, wanted, strict=True) if isinstance(wanted, tuple | list) else [(got, wanted)]:
        assert one.dtype == ("float32" if np.asarray(other).dtype == "float64" else "int64")
        scale = max(1.0, float(np.max(np.abs(other)))) if np.size(other) else 1.0
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4 * scale)


def test_integers_are_converted() -> None:
    x = ng.lmatrix("x")
    assert ng.det(x).dtype == ng.solve(x, [1, 2]).dtype == "float64"
    assert value(ng.det, np.array([[2, 1], [1, 1]])) == 1.0


def test_rows_that_are_not_contiguous() -> None:
    x = ng.tensor3("x")
    f = ng.function([x], [ng.matrix_inverse(x[:, 1, ::2][:2]), ng.cholesky(x[0, ::-2, ::-2]), ng.det(x.T[::2, ::2, 0])])
    v = np.asfortranarray(np.broadcast_to(SYMMETRIC, (4, 4, 4)) * np.arange(1.0, 5.0)[:, None, None])
    v[1, 1, 2] = 7.0
    wanted = np.linalg.inv(v[:, 1, ::2][:2]), np.linalg.cholesky(v[0, ::-2, ::-2]), np.linalg.det(v.T[::2, ::2, 0])
    close(f(v), wanted)


# -- empty ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 0, 0), (0, 2, 2), (0, 2, 3), (1, 1), (1, 3), (3, 1)])
def test_nothing_and_one(shape: tuple[int, ...], target: str) -> None:
    v = np.ones(shape)
    got = value(lambda a: (*ng.svd(a), *ng.qr(a, "complete"), *ng.qr(a), ng.svdvals(a)), v, target=target)
    close(got, [*np.linalg.svd(v), *np.linalg.qr(v, "complete"), *np.linalg.qr(v), np.linalg.svd(v, compute_uv=False)])
    if shape[-1] == shape[-2]:
        v = v + np.eye(shape[-1])

        def square(a: Any) -> tuple[Any, ...]:
            return ng.det(a), *ng.slogdet(a), ng.cholesky(a), ng.linalg.inv(a), *ng.eigh(a), ng.solve(a, a[..., :0])

        wanted = [
            np.linalg.det(v), *np.linalg.slogdet(v), np.linalg.cholesky(v), np.linalg.inv(v), *np.linalg.eigh(v),
            np.linalg.solve(v, v[..., :0]),
        ]  # fmt: skip
        close(value(square, v, target=target), wanted)


# -- what fails -------------------------------------------------------------------------------------------------------

SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])
NOT_FINITE = np.array([[np.nan, 0.0], [0.0, 1.0]])
FAILING: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "cholesky": (ng.cholesky, -np.eye(2), "cholesky: .*ositive definite"),
    "inverse": (ng.matrix_inverse, SINGULAR, "matrix_inverse: .*ingular"),
    "solve": (lambda a: ng.solve(a, np.ones(2)), SINGULAR, "solve: .*ingular"),
    "solve with pos": (lambda a: ng.solve(a, np.ones(2), "pos"), -np.eye(2), "cholesky: .*ositive definite"),
    "triangular": (lambda a: ng.solve_triangular(a, np.ones(2)), np.array([[1.0, 1.0], [0.0, 0.0]]), "ingular"),
    "svd of NaN": (lambda a: ng.svd(a)[1], NOT_FINITE, "svd: .*not converge"),
    "gradient of det": (lambda a: ng.grad(ng.det(a), a), SINGULAR, "matrix_inverse: .*ingular"),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", FAILING)
def test_a_failure_names_the_variable_and_changes_nothing(name: str, target: str) -> None:
    build, wrong, said = FAILING[name]
    covariance, total = ng.matrix("covariance"), ng.shared(np.zeros((2, 2)), "total")
    f = ng.function([covariance], build(covariance), updates=[(total, total + covariance)], target=target)
    for kind in (np.linalg.LinAlgError, ng.MatrixError, ng.NumgraphError, ValueError):
        with pytest.raises(kind, match=said) as caught:
            f(wrong)
    assert "covariance" in str(caught.value) and "test_matrices.py:" in str(caught.value)
    assert not total.get_value().any()
    f(np.eye(2) * [1.0, 2.0])
    assert total.get_value().trace() == 3.0


def test_the_message_of_a_failure() -> None:
    K = ng.tensor3("K")
    y = ng.function([K], ng.cholesky(K * 2.0))
    v = np.stack([np.eye(2), np.eye(2), -np.eye(2)])
    with pytest.raises(ng.MatrixError) as caught:
        y(v)
    first, *lines = str(caught.value).splitlines()
    assert first == "cholesky: the matrix is not positive definite, matrix 2 of the stack"
    assert lines[0].startswith("  the result of mul: float64[3,2,2]") or "K * 2" in lines[0]
    assert lines[1].startswith("  cholesky called at ") and "test_matrices.py:" in lines[1]


def test_no_memory_for_the_work_is_an_error_of_its_own() -> None:
    a = ng.matrix("a")
    state = printed(build_program([a], ng.eigvalsh(a)))
    cause = next(cause for cause in state.module.failures if cause.kind == "broken")
    error = error_of(CheckFailed(state.schedule.graph, cause, -1, 0))
    assert isinstance(error, ng.errors.SizeError) and str(error).startswith("eigvalsh: there is no memory for the work")


def test_a_failing_step_of_a_sweep_keeps_what_the_steps_before_have_done() -> None:
    i, n = ng.lscalar("i"), ng.shared(np.array(0), "n")
    stack = ng.shared(np.stack([np.eye(2), 2 * np.eye(2), np.zeros((2, 2)), np.eye(2)]), "stack")
    f = ng.function([i], ng.matrix_inverse(stack[i]), updates=[(n, n + 1)])
    with pytest.raises(ng.MatrixError, match="singular"):
        f.sweep(i=range(4))
    assert n.get_value() == 2


def test_what_is_not_finite_goes_through_where_numpy_lets_it() -> None:
    assert np.isnan(value(ng.det, NOT_FINITE)) and np.isnan(value(lambda a: ng.solve(a, np.ones(2)), NOT_FINITE)[0])
    assert np.isnan(value(ng.cholesky, NOT_FINITE)[0, 0]) and np.isnan(np.linalg.cholesky(NOT_FINITE)[0, 0])
    assert np.isnan(value(ng.expm, NOT_FINITE)).all() and np.isnan(value(ng.expm, NOT_FINITE * 0 + np.inf)).all()
    assert value(ng.det, SINGULAR) == 0.0
    close(value(ng.slogdet, SINGULAR), tuple(np.linalg.slogdet(SINGULAR)))


def test_wrong_lengths() -> None:
    x, y = ng.matrix("x"), ng.tensor(name="y", shape=(2, 3))
    with pytest.raises(ng.ShapeError, match="2 rows and 3 columns is not square"):
        ng.det(y)
    with pytest.raises(ng.ShapeError, match="2 rows and 3 columns is not square"):
        ng.function([x], ng.cholesky(x))(np.ones((2, 3)))
    with pytest.raises(ng.ShapeError, match="a matrix of 2 rows for right-hand sides of 3"):
        ng.function([x], ng.solve(x, x[0, 0] * np.ones(3)))(np.eye(2))
    with pytest.raises(ng.ShapeError, match="a matrix is needed"):
        ng.svd(ng.vector("v"))
    with pytest.raises(ng.OptionError, match="assume_a"):
        ng.solve(x, x, "sparse")
    with pytest.raises(ng.OptionError, match="mode"):
        ng.qr(x, "thin")
    with pytest.raises(ng.OptionError, match="n is an integer"):
        ng.matrix_power(x, 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", TARGETS)
def test_systems_of_arrays(target: str) -> None:
    a, b = RNG.normal(size=(2, 6, 3, 4)) + np.eye(12).reshape(2, 6, 3, 4), RNG.normal(size=(2, 6))
    close(value(ng.tensorsolve, a, b, target=target), np.linalg.tensorsolve(a, b))
    turned = np.moveaxis(a, 2, 0)
    close(
        value(lambda x, y: ng.tensorsolve(x, y, (0, 3)), turned, b, target=target),
        np.linalg.tensorsolve(turned, b, (0, 3)),
    )
    close(value(ng.tensorinv, a, target=target), np.linalg.tensorinv(a))
    cube = RNG.normal(size=(6, 2, 3))
    close(value(lambda x: ng.linalg.tensorinv(x, 1), cube, target=target), np.linalg.tensorinv(cube, 1))


def test_systems_of_arrays_have_gradients_and_refuse() -> None:
    a, b = RNG.normal(size=(2, 2, 4)) + np.eye(4).reshape(2, 2, 4), RNG.normal(size=(2, 2))
    testing.check_gradient(lambda a, b: ng.sum(ng.tensorsolve(a, b) ** 2) + ng.sum(ng.tensorinv(a) ** 2), [a, b])
    with pytest.raises(ng.ShapeError, match="no axes for the solution"):
        ng.tensorsolve(ng.matrix(), ng.matrix())
    with pytest.raises(ng.ShapeError, match="choose 1 to 2"):
        ng.tensorinv(ng.matrix(), 3)
    with pytest.raises(ng.ShapeError):
        value(ng.tensorsolve, a, np.ones((4, 1)))
    with pytest.raises(np.linalg.LinAlgError):
        value(ng.tensorinv, np.zeros((2, 2, 4)))


@pytest.mark.parametrize("name", np.linalg.__all__)
def test_hints_for_functions_of_numpy_lead_to_what_is_there(name: str) -> None:
    """`np.linalg.det(x)` says what to use, and there is such a function."""
    function, x = getattr(np.linalg, name), ng.matrix("x")
    if isinstance(function, type):
        return
    message = _no_numpy(function, x)
    found = re.search(r"use ng\.([\w.]+)", message)
    assert found is not None or "numgraph has no such function" in message
    assert found is None or callable(operator.attrgetter(found[1])(ng))
    assert (name in ng.linalg.__all__) == (found is not None)


# -- one factorisation, one piece of code -----------------------------------------------------------------------------


def test_one_factorisation_serves_all() -> None:
    a, b = ng.matrix("a"), ng.vector("b")
    cost = b @ ng.solve(a, b) + ng.slogdet(a)[1] + ng.sum(ng.matrix_inverse(a))
    f = ng.function([a, b], [cost, *ng.grad(cost, [a, b])])
    assert f.source.count("= lu(") == 1
    w, v = ng.eigh(a)
    assert ng.function([a], [w, v, ng.grad(ng.sum(w), a)]).source.count("= eigh(") == 1


def test_lengths_do_not_compile_anew() -> None:
    a = ng.matrix("a")
    f = ng.function([a], ng.sum(ng.linalg.inv(a)))
    for n in (1, 2, 5, 50):
        assert f(np.eye(n)) == n
    assert "1 variant compiled" in "".join(f.explain().notes)


def test_in_threads_at_once() -> None:
    """Python's lock is given away while LAPACK works."""
    from concurrent.futures import ThreadPoolExecutor

    a = ng.matrix("a")
    functions = [ng.function([a], ng.linalg.inv(a * (k + 1.0))) for k in range(2)]
    v = RNG.normal(size=(150, 150)) + 20 * np.eye(150)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda k: functions[k % 2](v), range(8)))
    for k, got in enumerate(found):
        np.testing.assert_allclose(got, np.linalg.inv(v) / (k % 2 + 1), rtol=1e-9, atol=1e-12)


# -- gradients --------------------------------------------------------------------------------------------------------

GRADIENTS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "likelihood": (lambda k, y: y @ ng.solve(k, y, "pos") + ng.slogdet(k)[1], (SYMMETRIC, np.arange(4.0))),
    "pos": (lambda k, y: ng.sum(ng.solve(k, y, "pos", lower=True) ** 2), (SYMMETRIC, TALL[:4])),
    "upper cholesky": (lambda a: ng.cholesky(a, upper=True), (SYMMETRIC,)),
    "broadcast": (lambda a, b: ng.solve(a, b), (A, STACK[..., :2])),
    "broadcast the other way": (lambda a, b: ng.solve(a, b), (STACK[0], TALL[:4])),
    "eigenvalues of equal ones": (lambda a: ng.sum(ng.eigh(a)[0] ** 3), (np.eye(3),)),
    "vectors": (lambda a: ng.eigh(a, "U")[1] ** 2, (SYMMETRIC,)),
    "low rank": (lambda u: ng.pinv(u @ u.T, 1e-9), (TALL[:, :2],)),
    "least squares": (lambda a, b: ng.lstsq(a, b).x, (TALL, np.arange(5.0))),
    "least squares of a wide matrix": (lambda a, b: ng.lstsq(a, b).x, (WIDE, np.arange(3.0))),
    "tall q": (lambda a: ng.qr(a).Q ** 2, (TALL,)),
    "wide r": (lambda a: ng.qr(a, "r"), (WIDE,)),
    "power": (lambda a: ng.matrix_power(a, -3), (A / 4,)),
    "expm": (lambda a: ng.expm(a)[0], (A / 3,)),
    "einsum": (lambda a, b, c: ng.einsum("ij,jk,li->lk", a, b, c), (TALL, WIDE, WIDE)),
    "einsum of a diagonal": (lambda a: ng.einsum("iij->j", a), (STACK[0].transpose(1, 2, 0),)),
    "kron": (ng.kron, (TALL[:2], WIDE[:, :2])),
    "trace": (lambda a: ng.trace(a, 1, 2, 0), (STACK[0],)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(name: str) -> None:
    build, arrays = GRADIENTS[name]
    order = 1 if name.startswith("eigenvalues of equal") else 2
    testing.check_gradient(build, arrays, order=order, tolerance=1e-4)


@pytest.mark.parametrize("name", ["likelihood", "vectors", "tall q", "expm", "least squares", "einsum"])
def test_compiled_gradient(name: str) -> None:
    """The same numbers as the reference's, twice differentiated."""
    build, arrays = GRADIENTS[name]
    inputs = testing.variables_for([np.asarray(a) for a in arrays])
    first = ng.grad(ng.sum(build(*inputs) ** 2), inputs)
    second = ng.grad(sum(ng.sum(ng.cos(g)) for g in first), inputs)
    outputs = [*first, *second]
    got, wanted = (ng.function(inputs, outputs, target=t)(*arrays) for t in TARGETS)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8 * max(1.0, np.abs(other).max()))


# -- einsum -----------------------------------------------------------------------------------------------------------

SUMS = [
    ("ij,jk", (2, 3), (3, 4)), ("ii", (3, 3)), ("ii->i", (3, 3)), ("ij->", (2, 3)), ("i,j", (2,), (3,)),
    ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 4)), ("...ij,...jk", (2, 3), (5, 3, 4)), ("bij,bjk,bkl->bil", (5, 2, 3),
    (5, 3, 4), (5, 4, 2)), ("ijk,jil->kl", (2, 3, 4), (3, 2, 5)), ("ij,jk,kl,lm", (2, 3), (3, 4), (4, 5), (5, 2)),
    ("iij,j->i", (3, 3, 2), (2,)), ("ab,ab,ab->a", (2, 3), (2, 3), (2, 3)), ("..., ...", (3,), (3,)),
    ("ij,...->i...", (2, 3), (4,)), ("iii->i", (3, 3, 3)), ("i->", (0,)), ("ij->ji", (2, 3)),
    ("a,b,c,a->", (2,), (3,), (4,), (2,)), ("i,i->i", (3,), (3,)), (",i->i", (), (3,)), ("ba", (2, 3)),
    ("ij,ij,jk->ik", (1, 3), (2, 3), (3, 2)), ("...,...->...", (2, 1, 3), (4, 3)),
]  # fmt: skip


@pytest.mark.parametrize("case", SUMS, ids=lambda case: case[0])
def test_einsum(case: tuple[Any, ...]) -> None:
    text, *shapes = case
    arrays = [RNG.normal(size=s) for s in shapes]
    for static in (False, True):
        inputs = testing.variables_for(arrays, static)
        for target in TARGETS:
            got = ng.function(inputs, ng.einsum(text, *inputs), target=target)(*arrays)
            close(got, np.einsum(text, *arrays))


def test_einsum_of_lists_and_integers() -> None:
    x, y = ng.lmatrix("x"), ng.lmatrix("y")
    v = np.arange(6).reshape(2, 3)
    f = ng.function([x, y], [ng.einsum(x, [0, 1], y, [2, 1], [2, 0]), ng.einsum("ij->j", x), ng.einsum(x, [0, ...])])
    close(f(v, v), [np.einsum(v, [0, 1], v, [2, 1], [2, 0]), v.sum(0), v.T])


def test_einsum_refuses_in_the_users_terms() -> None:
    x, y = ng.matrix("x"), ng.tensor(name="y", shape=(2, 3))
    for text, said in (
        ("ij,jk", "for 2 operands"),
        ("ijk", "does not fit"),
        ("i2", "no list of letters"),
        ("ij->k", "of no operand"),
        ("ij->ii", "or twice"),
    ):
        with pytest.raises(ng.OptionError, match=said):
            ng.einsum(text, x)
    with pytest.raises(ng.ShapeError, match="lengths 3 and 2 have the label j"):
        ng.einsum("ij,jk", y, y)
    with pytest.raises(ng.ShapeError):
        ng.function([x], ng.einsum("ii", x))(np.ones((2, 3)))
    a, b = ng.tensor3("a"), ng.tensor3("b")
    with pytest.raises(ng.ShapeError):
        ng.function([a, b], ng.einsum("ijk,ijl->kl", a, b))(np.ones((2, 3, 1)), np.ones((3, 2, 1)))

"""Orthogonal factors, their modes, and singular vectors: what is unique has a gradient, what is not refuses a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from test_matrices import close, value

import numgraph as ng
from numgraph import testing

TARGETS = ("cpu", "reference")
RNG = np.random.default_rng(11)
SHAPES = [(4, 4), (5, 3), (3, 5), (1, 1), (0, 3), (3, 0), (0, 0)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", SHAPES)
def test_modes_of_qr(shape: tuple[int, int], target: str) -> None:
    a = RNG.normal(size=shape)
    found = value(
        lambda x: (*ng.qr(x, "raw"), *ng.qr(x, "economic"), *ng.qr(x, "full"), ng.qr(x, "r")), a, target=target
    )
    wanted = (*np.linalg.qr(a, "raw"), *np.linalg.qr(a), *np.linalg.qr(a, "complete"), np.linalg.qr(a, "r"))
    close(found, wanted)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", SHAPES)
def test_pivoting(shape: tuple[int, int], target: str) -> None:
    a = RNG.normal(size=shape)
    q, r, order = value(lambda x: ng.qr(x, pivoting=True), a, target=target)
    np.testing.assert_allclose(q @ r, a[:, order], atol=1e-12)
    close((r, order), value(lambda x: ng.qr(x, "r", pivoting=True), a, target=target))
    if a.size:
        close((q, r), scipy.linalg.qr(a, mode="economic", pivoting=True)[:2])


def test_pivoting_of_stacks() -> None:
    a = RNG.normal(size=(3, 4, 2))
    q, r, order = value(lambda x: ng.qr(x, pivoting=True), a)
    np.testing.assert_allclose(q @ r, np.take_along_axis(a, order[:, None, :], -1), atol=1e-12)


TALL, WIDE, SQUARE = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 5)), RNG.normal(size=(4, 4))
GRADIENTS: dict[str, tuple[Callable[..., Any], Any]] = {
    "complete q of a wide matrix": (lambda a: ng.sum(ng.qr(a, "complete").Q ** 3), WIDE),
    "complete r of a tall matrix": (lambda a: ng.sum(ng.qr(a, "complete").R ** 3), TALL),
    "columns of a complete q": (lambda a: ng.sum(ng.qr(a, "complete").Q[:, :3] ** 3), TALL),
    "values beside all vectors": (lambda a: ng.sum(ng.svd(a).S ** 3), WIDE),
    "vectors of a square matrix": (lambda a: ng.sum(ng.svd(a).U ** 4) + ng.sum(ng.svd(a).Vh ** 4), SQUARE),
    "some of all vectors": (lambda a: ng.sum(ng.svd(a).U[:, :3] ** 4), TALL),
    "pivoted": (lambda a: ng.sum(ng.qr(a, pivoting=True)[1] ** 3), WIDE),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_of_what_is_unique(name: str) -> None:
    build, a = GRADIENTS[name]
    testing.check_gradient(build, [a], order=1, tolerance=1e-4)
    x = ng.matrix("x")
    got, wanted = (ng.function([x], ng.grad(build(x), x), target=t)(a) for t in TARGETS)
    np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_not_unique_has_no_gradient(target: str) -> None:
    x = ng.matrix("x")
    for cost, said in (
        (ng.sum(ng.qr(x, "complete").Q ** 3), 'mode="reduced"'),
        (ng.sum(ng.svd(x).U ** 3), "full_matrices=False"),
        (ng.sum(ng.svd(x.T).Vh ** 3), "full_matrices=False"),
    ):
        f = ng.function([x], ng.grad(cost, x), target=target)
        with pytest.raises(ng.errors.AssertionFailed, match=f"not unique, .* use {said}"):
            f(TALL)
        assert f(SQUARE).shape == (4, 4)
    with pytest.raises(ng.GradientError, match='mode="reduced"'):
        ng.grad(ng.sum(ng.qr(x, "raw")[0]), x)


# -- Schur forms -------------------------------------------------------------------------------------------------------


# by both parts of an eigenvalue, of which SciPy 1.13 takes the real one where matrices are real
CIRCLE: dict[Any, Any] = {"iuc": lambda x, y=0: abs(complex(x) + 1j * y) <= 1,
                          "ouc": lambda x, y=0: abs(complex(x) + 1j * y) > 1}  # fmt: skip
SCIPYS_CIRCLE = scipy.linalg.schur(np.array([[0.5, -2.0], [2.0, 0.5]]), sort="iuc")[2] == 0


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("sort", [None, "lhp", "rhp", "iuc", "ouc"])
def test_schur_forms(sort: Any, target: str) -> None:
    real, whole = RNG.normal(size=(5, 5)), RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4))
    for a, output in ((real, "real"), (real, "complex"), (whole, "real"), (np.eye(1), "real")):
        found = value(lambda x, o=output: ng.linalg.schur(x, o, sort), a, target=target)
        wanted = scipy.linalg.schur(a, output, sort=CIRCLE.get(sort, sort))
        close(found, [*wanted[:2], *map(np.int64, wanted[2:])])
        # SciPy's own names, wherever they mean both parts of an eigenvalue
        if SCIPYS_CIRCLE or sort not in CIRCLE or output == "complex" or np.iscomplexobj(a):
            close(found, [*(named := scipy.linalg.schur(a, output, sort=sort))[:2], *map(np.int64, named[2:])])


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_schur_forms_of_other_dtypes_and_of_stacks(dtype: str) -> None:
    a = (RNG.normal(size=(2, 4, 4)) + (1j * RNG.normal(size=(2, 4, 4)) if dtype == "complex64" else 0)).astype(dtype)
    t, z = value(ng.linalg.schur, a)
    assert t.dtype == z.dtype == dtype
    np.testing.assert_allclose(z @ t @ np.conj(np.swapaxes(z, -1, -2)), a, atol=1e-5)
    assert not np.tril(t, -2).any() and value(ng.linalg.schur, a[:0, :0, :0])[0].shape == (0, 0, 0)


def test_schur_refuses() -> None:
    x = ng.matrix("x")
    with pytest.raises(ng.OptionError, match="sort is one of lhp"):
        ng.linalg.schur(x, sort="up")
    with pytest.raises(ng.OptionError, match='output is "real" or "complex"'):
        ng.linalg.schur(x, "whole")
    with pytest.raises(ng.GradientError, match="schur"):
        ng.grad(ng.sum(ng.linalg.schur(x)[0]), x)


# -- complex matrices --------------------------------------------------------------------------------------------------


def _complex(*shape: int) -> Any:
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 3, 5), (1, 1), (0, 3), (3, 0), (0, 2, 2)])
def test_complex_singular_values(shape: tuple[int, ...], target: str) -> None:
    a = _complex(*shape)
    for full in (True, False):
        got = value(lambda x, full=full: (*ng.svd(x, full), ng.svdvals(x)), a, target=target)
        close(got, (*np.linalg.svd(a, full), np.linalg.svd(a, compute_uv=False)))
    half = value(lambda x: (*ng.svd(x, False), ng.svdvals(x)), a.astype("complex64"), target=target)
    assert [v.dtype for v in half] == ["complex64", "float32", "complex64", "float32"]
    np.testing.assert_allclose(half[0] * half[1][..., None, :] @ half[2], a, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("upper", ["L", "U"])
def test_hermitian_matrices(upper: Any, target: str) -> None:
    for a in (_complex(4, 4), _complex(2, 3, 3), _complex(1, 1), _complex(0, 0), _complex(0, 2, 2)):
        # the other triangle is not read, and of the diagonal the real part
        w, v, alone = value(lambda x: (*ng.eigh(x, upper), ng.eigvalsh(x, upper)), a, target=target)
        part = np.tril(a) if upper == "L" else np.conj(np.swapaxes(np.triu(a), -1, -2))
        whole = np.tril(part, -1) + np.conj(np.swapaxes(np.tril(part, -1), -1, -2))
        whole = whole + np.eye(a.shape[-1]) * np.real(a)
        close((w, alone), (np.linalg.eigvalsh(whole),) * 2)
        np.testing.assert_allclose(whole @ v, v * w[..., None, :], atol=1e-10)
        assert v.dtype == "complex128" and w.dtype == "float64"


def test_gradients_of_complex_matrices() -> None:
    a = _complex(2, 4, 4)
    for cost in (
        lambda x: ng.sum(ng.eigvalsh(x) ** 3) * 0.1,
        lambda x: ng.sum(ng.abs(ng.eigh(x, "U").eigenvectors) ** 4) + ng.sum(ng.eigh(x, "U").eigenvalues ** 2),
        lambda x: ng.sum(ng.svdvals(x[:, :, :3]) ** 3),
    ):
        testing.check_gradient(cost, [a], order=1, tolerance=1e-4)
    x = ng.zmatrix("x")
    with pytest.raises(ng.GradientError, match="use svdvals"):
        ng.grad(ng.sum(ng.abs(ng.svd(x).U)), x)


def test_a_complex_matrix_that_is_not_finite_is_named() -> None:
    field = ng.zmatrix("field")
    f = ng.function([field], ng.svdvals(field))
    with pytest.raises(ng.MatrixError, match=r"svdvals: .*not converge"):
        f(np.full((3, 3), np.nan))


@pytest.mark.parametrize("target", TARGETS)
def test_schur_forms_of_pairs(target: str) -> None:
    real, whole = RNG.normal(size=(2, 5, 5)), _complex(2, 4, 4)
    singular = real * np.array([1, 1, 0, 1, 1.0])
    for pair, output in ((real, "real"), (singular, "real"), (real, "complex"), (whole, "real")):
        a, b = pair
        got = value(lambda x, y, o=output: ng.qz(x, y, o), a, b, target=target)
        close(got, scipy.linalg.qz(a, b, output))
        # an eigenvalue that is infinite is not moved well
        for sort in ("lhp", "rhp", "iuc", "ouc") if pair is not singular else ():
            got = value(lambda x, y, o=output, by=sort: ng.ordqz(x, y, by, o), a, b, target=target)
            close(got, scipy.linalg.ordqz(a, b, sort, output))
    stack = value(ng.qz, np.stack([real, real]), real[0], target=target)
    close([v[1, 0] for v in stack], value(ng.qz, *real[[0, 0]], target=target))
    assert value(ng.qz, np.ones((0, 0)), np.ones((0, 0)), target=target)[2].shape == (0, 0)

"""Real matrices that are known to be small are factored and solved by loops, larger and complex ones by LAPACK."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg

import numgraph as ng

KERNELS = ("small_lu(", "small_lu_solve(", "small_solve_triangular(")


def resident(value: Any) -> Any:
    """A shared variable, whose lengths are known to compiled code."""
    return ng.shared(value, name="resident")


def drawn(dtype: str, n: int, k: int) -> tuple[Any, Any]:
    """Stacks of matrices of which rows must be exchanged, and of right-hand sides."""
    rng = np.random.default_rng(n * 100 + k)
    a, b = rng.normal(size=(2, n, n)), rng.normal(size=(2, n, k))
    if dtype == "complex128":
        a, b = a + 1j * rng.normal(size=a.shape), b + 1j * rng.normal(size=b.shape)
    return np.roll(a + 3 * np.sqrt(n) * np.eye(n), 1, axis=1).astype(dtype), b.astype(dtype)


def close(got: Any, wanted: Any) -> None:
    size = np.abs(wanted).max()
    np.testing.assert_allclose(got / size, wanted / size, rtol=0, atol=1e-12 if got.itemsize > 4 else 1e-5)


@pytest.mark.parametrize(
    ("dtype", "n", "k"),
    [("float64", n, k) for n in (1, 3, 8, 9, 32, 33) for k in (1, 3)]
    + [(dtype, n, 3) for dtype in ("float32", "complex128") for n in (3, 9)],
)
def test_solutions(dtype: str, n: int, k: int) -> None:
    a, b = drawn(dtype, n, k)
    A, B = resident(a), resident(b)
    outputs = [ng.solve(A, B), ng.solve(A, B, transposed=True), ng.linalg.inv(A)]
    f = ng.function([], outputs, target="cpu")
    solution, turned, inverse = f()
    close(solution, np.linalg.solve(a, b))
    close(turned, np.linalg.solve(np.swapaxes(a, 1, 2), b))
    close(inverse, np.linalg.inv(a))
    few, several = n <= 8, n <= 32 and max(k, n) > 1
    assert (KERNELS[0] in f.source) == (few and dtype != "complex128")
    assert (KERNELS[1] in f.source) == ((few or several) and dtype != "complex128")
    if n < 32:
        close(ng.function([], ng.det(A), target="cpu")(), np.linalg.det(a))


@pytest.mark.parametrize(
    ("dtype", "n", "k"),
    [("float64", n, k) for n in (1, 8, 9, 32, 33) for k in (1, 5, 3000)] + [("float32", 3, 5), ("float32", 9, 3000)],
)
def test_triangles(dtype: str, n: int, k: int) -> None:
    """Every way, with a right-hand side that does not stay in the first cache; the other triangle is not read."""
    a, b = drawn(dtype, n, k)
    a = (a[:, ::-1] / n + 2 * np.eye(n)).astype(dtype)
    ways = [(trans, lower, unit) for trans in (0, 1) for lower in (False, True) for unit in (False, True)]
    outputs, wanted, right = [], [], resident(b)
    for trans, lower, unit in ways:
        read = np.where(np.tri(n, dtype=bool) if lower else np.tri(n, dtype=bool).T, a, np.nan).astype(dtype)
        if unit:
            read[:, np.arange(n), np.arange(n)] = np.nan
        outputs.append(ng.solve_triangular(resident(read), right, trans, lower, unit))
        wanted.append(
            [
                scipy.linalg.solve_triangular(x, y, trans, lower, unit, check_finite=False)
                for x, y in zip(np.nan_to_num(read, nan=7.0), b, strict=True)
            ]
        )
    f = ng.function([], outputs, target="cpu")
    assert (KERNELS[2] in f.source) == (n <= 8 or (n <= 32 and k > 1))
    for got, expected in zip(f(), wanted, strict=True):
        close(got, np.stack(expected))


def test_what_is_singular_is_refused() -> None:
    good = np.eye(3)
    for bad in (np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 0.0, 2.0])):
        A = resident(np.stack([good, bad]))
        assert (ng.function([], ng.det(A), target="cpu")() == [1.0, 0.0]).all()
        for build in (lambda A: ng.linalg.inv(A), lambda A: ng.solve_triangular(A, ng.ones((2, 3, 4)))):
            f = ng.function([], build(A), target="cpu")
            assert any(kernel in f.source for kernel in KERNELS)
            if bad[1, 1] == 0 or "small_lu(" in f.source:
                with pytest.raises(ng.MatrixError, match="singular"):
                    f()


def test_a_filter_solves_its_small_systems_by_loops() -> None:
    """In a scan, with gradients, as LAPACK does where the lengths are not known."""
    y, q = ng.matrix("y"), ng.shared(0.3, name="q")
    C = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.2]])

    def step(y_t: Any, m: Any, P: Any) -> Any:
        P = P + ng.exp(q) * ng.eye(3)
        S = C @ P @ C.T + np.eye(2)
        v = y_t - C @ m
        K = ng.solve(S, C @ P).T
        return [m + K @ v, P - K @ S @ K.T, v @ ng.solve(S, v) + ng.slogdet(S)[1]]

    (_, _, terms), _ = ng.scan(step, y, [ng.zeros((3,)), ng.eye(3), None])
    outputs = [terms.sum(), ng.grad(terms.sum(), q)]
    data = np.random.default_rng(0).normal(size=(20, 2))
    f = ng.function([y], outputs, target="cpu")
    assert "small_lu(" in f.source and "import lu as" not in f.source
    for got, wanted in zip(f(data), ng.function([y], outputs, target="reference")(data), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-11)

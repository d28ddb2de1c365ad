"""CUDA kernels in the simulator: products, against NumPy in float64, at odd lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numgraph.kernels.cuda.names import HALF

from numgraph.cuda.simulator import Offset
from tests.cuda_run import empty, run

FLOATS = ["float32", "float64"]
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}
# Beyond what 32 bits count.
FAR = 2**33
ONE, ZERO = np.float32(1), np.float32(0)


def draw(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def assert_close(got: np.ndarray, want: Any, scale: float = 1.0) -> None:
    tolerance = TOLERANCE[str(got.dtype)] * scale
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def wide(x: np.ndarray) -> np.ndarray:
    return x.astype("float64")


# -- products --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(19, 21, 11), (16, 16, 4), (1, 1, 1), (3, 33, 5)])
def test_product(dtype: str, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    a, b = draw(m, k, dtype=dtype), draw(k, n, dtype=dtype, seed=1)
    kind = np.dtype(dtype).type
    out = empty((m, n), dtype)
    steps = dict(m=m, n=n, k=k, a_row=k, a_col=1, b_row=n, b_col=1, out_row=n)
    run("product", dtype, out=out, a=a, b=b, **steps, alpha=kind(1), beta=kind(0))
    assert_close(out, wide(a) @ wide(b), k)
    before = out.copy()
    run("product", dtype, out=out, a=a, b=b, **steps, alpha=kind(-0.5), beta=kind(2))
    assert_close(out, 2 * wide(before) - 0.5 * (wide(a) @ wide(b)), 4 * k)


def test_product_of_transposed_factors_into_a_wider_array() -> None:
    m, n, k = 7, 18, 9
    a, b, out = draw(k, m), draw(n, k, seed=1), empty((m, n + 3))
    run("product_b_along", sizes=dict(a_along=False), out=out, a=a, b=b, m=m, n=n, k=k, a_row=1, a_col=m, b_row=1,
        b_col=k, out_row=n + 3, alpha=np.float32(1), beta=np.float32(0))  # fmt: skip
    assert_close(out[:, :n], wide(a).T @ wide(b).T, k)
    assert np.isnan(out[:, n:]).all()


@pytest.mark.parametrize(("a_along", "b_along"), [(True, False), (False, True)])
def test_product_of_whole_tiles(a_along: bool, b_along: bool) -> None:
    m, n, k = 32, 16, 12
    a, b, out = draw(m, k), draw(k, n, seed=1), empty((m, n))
    stored = a if a_along else np.ascontiguousarray(a.T), np.ascontiguousarray(b.T) if b_along else b
    steps = dict(a_row=k, a_col=1) if a_along else dict(a_row=1, a_col=m)
    steps |= dict(b_row=1, b_col=k) if b_along else dict(b_row=n, b_col=1)
    run("product_whole_tiles", sizes=dict(a_along=a_along, b_along=b_along), out=out, a=stored[0], b=stored[1], m=m,
        n=n, k=k, **steps, out_row=n, alpha=np.float32(1), beta=np.float32(0))  # fmt: skip
    assert_close(out, wide(a) @ wide(b), k)


def test_product_takes_infinities_and_nan_where_they_are() -> None:
    a, b, out = draw(5, 6), draw(6, 7, seed=1), empty((5, 7))
    a[2, 3], b[4, 5] = np.inf, np.nan
    run("product", out=out, a=a, b=b, m=5, n=7, k=6, a_row=6, a_col=1, b_row=7, b_col=1, out_row=7, alpha=np.float32(1),
        beta=np.float32(0))  # fmt: skip
    with np.errstate(invalid="ignore"):
        assert_close(out, wide(a) @ wide(b), 6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("m", "k"), [(5, 70), (4, 3), (1, 1)])
def test_skinny_product(dtype: str, m: int, k: int) -> None:
    kind = np.dtype(dtype).type
    x, w, out = draw(m, k + 2, dtype=dtype), draw(k, 3, dtype=dtype, seed=1), empty((m, 3), dtype)
    lengths = dict(m=m, k=k, x_row=k + 2, out_row=3)
    run("skinny_product", dtype, out=out, x=x, w=w, **lengths, w_row=3, w_col=1, alpha=kind(2), beta=kind(0))
    want = wide(x)[:, :k] @ wide(w)
    assert_close(out, 2 * want, k)
    turned = np.ascontiguousarray(w.T)
    run("skinny_product", dtype, out=out, x=x, w=turned, **lengths, w_row=1, w_col=k, alpha=kind(1), beta=kind(-1))
    assert_close(out, -want, 4 * k)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("m", "k"), [(21, 9), (1, 4), (40, 1)])
def test_skinny_contraction_with_an_update(dtype: str, m: int, k: int) -> None:
    kind = np.dtype(dtype).type
    x, d, W = draw(m, k, dtype=dtype), draw(m, 3, dtype=dtype, seed=1), draw(k, 3, dtype=dtype, seed=2)
    want = wide(W) - 0.25 * (wide(x).T @ wide(d))
    run("skinny_contraction", dtype, out=W, x=x, d=d, m=m, k=k, part=m, x_row=k, d_row=3, out_row=3, out_part=0,
        alpha=kind(-0.25), beta=kind(1))  # fmt: skip
    assert_close(W, want, m)


def test_skinny_contraction_in_parts() -> None:
    m, k, part = 21, 9, 8
    x, d, parts = draw(m, k), draw(m, 3, seed=1), empty((3, k, 3))
    run("skinny_contraction", out=parts, x=x, d=d, m=m, k=k, part=part, x_row=k, d_row=3, out_row=3, out_part=3 * k,
        alpha=np.float32(1), beta=np.float32(0))  # fmt: skip
    for p in range(3):
        rows = slice(p * part, (p + 1) * part)
        assert_close(parts[p], wide(x)[rows].T @ wide(d)[rows], m)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("along", [False, True])
@pytest.mark.parametrize("shape", [(7, 9, 11), (1, 1, 1), (3, 4, 70), (2, 5, 0)])
def test_product_of_a_step(dtype: str, along: bool, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    kind = np.dtype(dtype).type
    a, b, out = draw(m, max(k, 1), dtype=dtype), draw(max(k, 1), n, dtype=dtype, seed=1), empty((m, n), dtype)
    stored, name = (np.ascontiguousarray(b.T), "product_of_step_along") if along else (b, "product_of_step")
    steps = dict(m=m, n=n, k=k, a_row=a.shape[1], a_col=1, out_row=n)
    steps |= dict(b_row=1, b_col=len(b)) if along else dict(b_row=n, b_col=1)
    run(name, dtype, out=out, a=a, b=stored, **steps, alpha=kind(1), beta=kind(0))
    want = wide(a)[:, :k] @ wide(b)[:k]
    assert_close(out, want, max(k, 1))
    run(name, dtype, out=out, a=a, b=stored, **steps, alpha=kind(-0.5), beta=kind(2))
    assert_close(out, 1.5 * want, 4 * max(k, 1))


# -- offsets of more than 32 bits ----------------------------------------------------------------------------------


def test_products_far_behind() -> None:
    a, b, out = draw(16, 4), draw(4, 16, seed=1), empty((16, 16))
    # the last block of the last of many turns of the second axis
    turns = FAR // 16**2 // HALF + 1
    m = 16 * HALF * turns
    run("product", origin=(0, HALF - 1, turns - 1), out=Offset(out, 16 * (m - 16)), a=Offset(a, 4 * (m - 16)), b=b, m=m,
        n=16, k=4, a_row=4, a_col=1, b_row=16, b_col=1, out_row=16, alpha=ONE, beta=ZERO)  # fmt: skip
    assert_close(out, wide(a) @ wide(b), 4)
    # far apart: a step of 2^33 elements from row to row
    x, made = draw(1, 5), empty((1, 3))
    run("skinny_product", origin=(1, 0, 0), sizes=dict(rows=1), out=Offset(made, FAR), x=Offset(x, FAR),
        w=(w := draw(5, 3)), m=2, k=5, x_row=FAR, w_row=3, w_col=1, out_row=FAR, alpha=np.float32(1),
        beta=np.float32(0))  # fmt: skip
    assert_close(made, wide(x) @ wide(w), 5)

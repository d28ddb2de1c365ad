"""What is compiled for matrix products: the micro-kernels that a function may call, and no others."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numgraph.kernels import dots

import numgraph as ng
from numgraph.convention import Products
from numgraph.loops import products as wanted
from numgraph.runtime import native
from numgraph.runtime.products import dots_source, tiles_source

# a single column is no product
WIDTHS = [*range(2, 14), 31, 32, 33, 40]


def products_of(function: Any) -> list[Products]:
    """What a function's program says of its products."""
    found: list[Products] = function.executor.variant.artifact.products
    return found


def taken(n: int) -> set[int]:
    """How many columns at a time `kernels.dots.by_dots` takes of n."""
    groups = -(-n // dots.COLUMNS)
    return {(n + g) // groups for g in range(groups)}


def test_the_limits_are_those_of_the_kernels() -> None:
    assert (wanted.MOST_COLUMNS, wanted.AT_A_TIME) == (dots.MOST_COLUMNS, dots.COLUMNS)
    # vectors have 16 bytes at least
    assert wanted.LEAST_BYTES == 16 * dots.LEAST_VECTORS


@pytest.mark.parametrize("n", WIDTHS)
def test_micro_kernels_by_the_width_of_a_product(n: int) -> None:
    x, W = ng.matrix("x", dtype="float32"), ng.shared(np.ones((300, n), np.float32), name="W")
    f = ng.function([x], x @ W)
    found = tuple(sorted(taken(n))) if n <= dots.MOST_COLUMNS else ()
    assert products_of(f) == [("float32", found, n <= 16)]
    values = np.random.default_rng(n).standard_normal((601, 300)).astype("float32")
    wide = values.astype("float64") @ np.ones((300, n))
    np.testing.assert_allclose(f(values), wide, rtol=1e-5, atol=1e-3)


def test_a_width_that_only_a_call_tells() -> None:
    x, y = ng.matrix("x", dtype="float64"), ng.matrix("y", dtype="float64")
    f = ng.function([x, y], x @ y)
    assert products_of(f) == [("float64", (1, 2, 3, 4, 5, 6), True)]
    rng = np.random.default_rng(0)
    for n in WIDTHS:
        a, b = rng.standard_normal((70, 500)), rng.standard_normal((500, n))
        np.testing.assert_allclose(f(a, b), a @ b, rtol=1e-11, atol=1e-11)


def test_products_that_are_never_dot_products() -> None:
    x, W = ng.matrix("x", dtype="float32"), ng.shared(np.ones((300, 10), np.float32), name="W")
    narrow = ng.shared(np.ones((20, 10), np.float32), name="narrow")
    values = np.random.default_rng(0).standard_normal((300, 70)).astype("float32")
    short = ng.function([x], x @ narrow)
    # elements of a row of X.T are apart
    turned = ng.function([], ng.shared(values, name="X").T @ W)
    assert products_of(short) == products_of(turned) == [("float32", (), True)]
    np.testing.assert_allclose(turned(), values.sum(axis=0)[:, None] + np.zeros(10), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(short(values[:, :20]), values[:, :20] @ np.ones((20, 10)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 40), (3, 700), (40, 1), (128, 5), (300, 70), (1000, 301)])
def test_a_row_times_contiguous_columns(dtype: str, k: int, n: int) -> None:
    """One row times W.T is as many dot products, where only the call tells that it is one row."""
    rng = np.random.default_rng(k)
    X, W = (ng.shared(rng.standard_normal(shape).astype(dtype)) for shape in ((9, k), (n, k)))
    b, i, count = ng.shared(rng.standard_normal((1, n)).astype(dtype)), ng.lscalar("i"), ng.lscalar("count")
    f = ng.function([i, count], X[i : i + count] @ W.T)
    added = ng.function([i], updates=[(b, b - 0.5 * X[i : i + 1] @ W.T)])
    columns = [c for p in products_of(f) for c in p.columns]
    # a single column is a sum
    assert (1 in columns) == (n > 1 and k * np.dtype(dtype).itemsize >= 128)
    x, w, bias = X.get_value().astype("float64"), W.get_value().astype("float64"), b.get_value()
    tolerance = {"rtol": 0, "atol": (1e-5 if dtype == "float32" else 1e-13) * k}
    for rows in (0, 1, 2, 3):
        np.testing.assert_allclose(f(2, rows), x[2 : 2 + rows] @ w.T, **tolerance)
    threads = [f.sweep(i=[4], count=[1])[0] for ng.config.threads in (1, 2, 3)]
    assert all(np.array_equal(threads[0], other) for other in threads)
    added(5)
    np.testing.assert_allclose(b.get_value(), bias - 0.5 * x[5:6] @ w.T, **tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (33, 70), (300, 17)])
def test_vectors_times_matrices_in_any_order(dtype: str, shape: tuple[int, int]) -> None:
    """A single row or column of a known length is a sum; its innermost loop goes along the matrix's rows."""
    rng = np.random.default_rng(1)
    m, n = shape
    numbers = [rng.integers(-4, 5, size) for size in (shape, m, n, (1, m), (m, 1), (1, n), (n, 1))]
    A, u, v, u_row, u_column, v_row, v_column = (ng.shared(x.astype(dtype)) for x in numbers)
    a, p, q = (x.astype("int64") for x in numbers[:3])
    pairs = (
        (A @ v, a @ q), (u @ A, p @ a), (A.T @ u, a.T @ p), (v @ A.T, q @ a.T), (u_row @ A, numbers[3] @ a),
        (A.T @ u_column, a.T @ numbers[4]), (v_row @ A.T, numbers[5] @ a.T), (A @ v_column, a @ numbers[6]),
        ((A * 2).T @ u, 2 * a.T @ p), (u_column @ v_row, numbers[4] @ numbers[5]),
    )  # fmt: skip
    for got, (_, value) in zip(ng.function([], [made for made, _ in pairs])(), pairs, strict=True):
        np.testing.assert_array_equal(got, value)
    # no index grows by more than 1 from round to round of an innermost loop
    for made in (A @ v, u @ A, A.T @ u, v @ A.T):
        assert min(shape) == 1 or not re.search(r"\[j\d* \*", ng.function([], made).source)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 3, 7, 8, 15, 16, 17, 31, 33, 64, 70, 500])
def test_products_of_one_column_and_one_row(dtype: str, width: int) -> None:
    """Bits of what a product of any length has, with minus zero, NaN and infinities."""
    rng = np.random.default_rng(width)
    x, d = rng.standard_normal((4, 30)).astype(dtype), rng.standard_normal((4, width)).astype(dtype)
    x[1, :3], x[2, 4] = (-0.0, np.nan, np.inf), 0
    X, D, i, count = ng.shared(x), ng.shared(d), ng.lscalar("i"), ng.lscalar("count")
    W = ng.shared(np.zeros((30, width), dtype))
    part = slice(i, i + count)
    f = ng.function([i, count], X[part].T @ D[part], updates=[(W, W - 0.25 * (X[part].T @ D[part]))])
    start = rng.standard_normal((30, width)).astype(dtype)
    start[0] = -0.0
    for k in range(4):
        W.set_value(start)
        product = x[k][:, None] * d[k] + np.zeros((), dtype)
        np.testing.assert_array_equal(f(k, 1), product)
        step = product.astype("float64") * -0.25 + start if dtype == "float32" else start - 0.25 * product
        np.testing.assert_array_equal(W.get_value(), step.astype(dtype))


@pytest.mark.parametrize("letter", ["f32", "f64"])
def test_no_other_micro_kernels_are_made(letter: str, tmp_path: Path) -> None:
    dtype = {"f32": "float32", "f64": "float64"}[letter]
    texts = {(): tiles_source(dtype), (5,): dots_source(dtype, (5,)), (1, 2): dots_source(dtype, (1, 2))}
    for columns, text in texts.items():
        path = tmp_path / "product.py"
        path.write_text(text)
        code = b"".join(native.compile_source(path, text)[1])
        there = {c for c in range(1, dots.COLUMNS + 1) if f"numgraph_dots_{c}_{letter}".encode() in code}
        assert there == set(columns)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_few_elements_have_the_bits_of_tiles(dtype: str) -> None:
    """Matrices of 2 to 4 rows are multiplied without tiles."""
    a, b, c = ng.matrix("a", dtype), ng.matrix("b", dtype), ng.shared(np.ones((40, 40), dtype), name="c")
    f = ng.function([a, b], 0.3 * ng.dot(a, b))
    g = ng.function([a, b], updates=[(c, c - 0.3 * ng.dot(a.T, b.T).T)])
    rng = np.random.default_rng(2)
    for k in (0, 1, 2, 3, 8, 9):
        left, right = rng.normal(size=(40, k)).astype(dtype), rng.normal(size=(k, 40)).astype(dtype)
        if k > 1:
            left[0, 0], left[1, 1], left[2, 0], right[0, 3] = np.nan, np.inf, -0.0, 0.0
        whole = f(left, right)
        for m, n in itertools.product((0, 1, 2, 4, 5), repeat=2):
            got = f(left[:m], right[:, :n])
            assert got.tobytes() == np.ascontiguousarray(whole[:m, :n]).tobytes(), (k, m, n)
            c.set_value(np.ones((n, m), dtype))
            g(right[:, :m], left[:n])
            with np.errstate(invalid="ignore"):
                terms = left[:n].astype("float64") @ right[:, :m].astype("float64")
            np.testing.assert_allclose(c.get_value(), 1 - 0.3 * terms, rtol=1e-5, atol=1e-6)

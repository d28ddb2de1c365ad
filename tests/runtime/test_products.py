"""What is compiled for matrix products: the micro-kernels that a function may call, and no others."""

from __future__ import annotations

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

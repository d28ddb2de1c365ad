"""Sums along columns, several rows at a time (`loops.jam`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.loops.jam import ROWS

SEVERAL = f"# {ROWS} rows at a time"
LENGTHS = (0, 1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS, 5 * ROWS + 3, 4000)


def columns(rows: int, width: int, dtype: str = "float32") -> Any:
    return (np.random.default_rng(rows).standard_normal((rows, width)) * 3).astype(dtype)


REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sum": (lambda x, b: ng.sum(x, axis=0), lambda x, b: x.astype("float64").sum(0)),
    "of a term": (lambda x, b: ng.sum((x - b) ** 2, axis=0), lambda x, b: ((x - b).astype("float64") ** 2).sum(0)),
    "mean and variance": (
        lambda x, b: ng.mean(x, axis=0) + ng.var(x, axis=0),
        lambda x, b: (
            x.astype("float64").mean(0) + x.astype("float64").var(0) if len(x) else np.full(x.shape[1], np.nan)
        ),
    ),
    "maximum": (lambda x, b: ng.max(x * b, axis=0), lambda x, b: (x * b).max(0) if len(x) else None),
    "product": (lambda x, b: ng.prod(1 + x / 100, axis=0), lambda x, b: (1 + x.astype("float64") / 100).prod(0)),
    "integers": (lambda x, b: ng.sum(ng.cast(x, "int8"), axis=0), lambda x, b: x.astype("int8").sum(0)),
    "behind another axis": (
        lambda x, b: ng.sum(x[None] * np.float32([[[1]], [[2]]]), axis=1)[1],
        lambda x, b: 2 * x.astype("float64").sum(0),
    ),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_values(name: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "threads", threads)
    build, want = REDUCTIONS[name]
    x, b = ng.matrix("x", "float32"), ng.vector("b", "float32")
    f = ng.function([x, b], build(x, b), on_unused_input="ignore")
    assert SEVERAL in f.source
    for rows in LENGTHS:
        for width in (0, 1, 3, 17):
            array, row = columns(rows, width), columns(1, width)[0]
            expected = want(array, row)
            if expected is None:
                continue
            np.testing.assert_allclose(f(array, row), expected, rtol=2e-5, atol=1e-4, err_msg=f"{rows} x {width}")


def test_known_lengths_have_no_more_loops_than_they_need() -> None:
    for rows in (4 * ROWS, 4 * ROWS + 1):
        x = ng.shared(columns(rows, 5), name="x")
        f = ng.function([], ng.sum(x, axis=0))
        text = f.source[f.source.index("def phase_0") :]
        assert text.count(SEVERAL) == 1 and (f"range({4 * ROWS}, {rows})" in text) == bool(rows % ROWS)
        np.testing.assert_allclose(f(), x.get_value().astype("float64").sum(0), rtol=1e-5, atol=1e-5)


def test_nothing_but_sums_in_any_order() -> None:
    x = ng.matrix("x", "float32")
    stored = ng.exp(x)
    for outputs in (
        [stored, ng.sum(stored, axis=0)],
        [ng.argmax(x, axis=0)],
        [ng.sum(ng.tanh(x), axis=0)],
        [ng.sum(x, axis=1)],
    ):
        assert SEVERAL not in ng.function([x], outputs).source
    few = ng.shared(columns(2 * ROWS - 1, 5), name="few")
    assert SEVERAL not in ng.function([], ng.sum(few, axis=0)).source


def test_special_values() -> None:
    x = ng.matrix("x", "float64")
    f = ng.function([x], [ng.sum(x, axis=0), ng.max(x, axis=0)])
    rows = np.zeros((9, 4))
    rows[:, 0] = -0.0
    rows[3, 1], rows[6, 2], rows[7, 2], rows[8, 3] = np.nan, np.inf, -np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(f(rows)[0], [0, np.nan, np.nan, -np.inf])
    np.testing.assert_array_equal(f(rows)[1], [0, np.nan, np.inf, 0])

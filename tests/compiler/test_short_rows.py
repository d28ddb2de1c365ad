"""Loops over short rows: those that run as one, those over groups of rounds, and what LLVM is told of the others."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numgraph.kernels import loops_ir

import numgraph as ng


def lines(f: ng.Function) -> str:
    """The phases."""
    return f.source.partition("def phase_0")[2].partition("def step_")[0]


def loops(f: ng.Function) -> list[str]:
    """What the loops of the phases run over, in order."""
    return re.findall(r"for \w+ in range\((.*)\):", lines(f))


def floats(name: str, *shape: int | None) -> Any:
    return ng.tensor(name, dtype="float32", shape=shape)


X, B, R = floats("x", 20, 3, 12, 12), floats("b", 3), floats("r", 12)
PARTS = "begin // 3, (end + 3 - 1) // 3"
CHANNELS = "maximum(begin - i * 3, 0), minimum(end - i * 3, 3)"
DRAWN = ng.random.RandomStream(3).uniform(size=(20, 3, 12, 12), dtype="float32")

# An expression, and what its loops run over.
NESTS: dict[str, tuple[Any, list[str]]] = {
    "all": (ng.tanh(X), ["begin * 144, end * 144"]),
    "a bias of channels": (ng.tanh(X + B[:, None, None]), [PARTS, CHANNELS, "144"]),
    "a bias of columns": (X + R, ["begin * 12, end * 12", "12"]),
    "columns": (ng.tanh(X[..., :7]), ["begin * 12, end * 12", "7"]),
    "lines": (ng.tanh(X[:, :, :7]), ["begin, end", "84"]),
    "turned": (ng.tanh(X.dimshuffle(0, 1, 3, 2)), ["begin, end", "12", "12"]),
    "backwards": (ng.tanh(X[..., ::-1]), ["begin * 12, end * 12", "12"]),
    "sums of lines": (ng.sum(X * 2, axis=3), ["begin * 12, end * 12", "12"]),
    "the largest of images": (ng.max(X, axis=(2, 3)), ["60", "144"]),
    "random numbers": (X * DRAWN, ["begin * 144, end * 144", "2"]),
    "neighbours": (X[:, :, 1:] - X[:, :, :-1], ["60", "132"]),
}


@pytest.mark.parametrize("name", NESTS)
def test_loops_along_neighbours_run_as_one(name: str) -> None:
    expression, expected = NESTS[name]
    f = ng.function([X, B, R], expression, on_unused_input="ignore")
    rng = np.random.default_rng(1)
    data = [rng.normal(size=v.type.shape).astype("float32") for v in (X, B, R)]
    if name != "random numbers":
        reference = ng.function([X, B, R], expression, on_unused_input="ignore", target="reference")
        np.testing.assert_allclose(f(*data), reference(*data), rtol=1e-5)
    got = loops(f)
    assert [g for g in got if g not in (PARTS, CHANNELS)] == [e for e in expected if e not in (PARTS, CHANNELS)]


def test_a_position_is_counted_in_its_own_loops() -> None:
    f = ng.function([X], ng.argmax(X.reshape((60, 144)), axis=1))
    data = np.random.default_rng(2).integers(0, 5, X.type.shape).astype("float32")
    np.testing.assert_array_equal(f(data), data.reshape(60, 144).argmax(axis=1))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (5, 1), (1, 7), (4, 5), (70, 3), (300, 11)])
def test_lengths_that_only_the_call_knows(shape: tuple[int, int]) -> None:
    x, y = ng.dmatrix("x"), ng.shared(np.zeros(shape), name="y")
    a, b = x.shape
    counted = (ng.arange(a)[:, None] * 2 + ng.arange(b)) * x
    f = ng.function([x], [ng.exp(x), ng.sum(x), ng.sum(x, axis=0), counted])
    alone = [loops(ng.function([x], v)) for v in (ng.exp(x), counted)]
    assert [any("* " in loop for loop in found) for found in alone] == [True, False]
    data = np.random.default_rng(3).normal(size=shape)
    numbers = np.arange(shape[0])[:, None] * 2 + np.arange(shape[1])
    wanted = (np.exp(data), data.sum(), data.sum(axis=0), numbers * data)
    for got, value in zip(f(data), wanted, strict=True):
        np.testing.assert_allclose(got, value, rtol=1e-13, atol=1e-12)
    ng.function([x], updates=[(y, y + x)])(data)
    np.testing.assert_array_equal(y.get_value(), data)


def test_pooling_and_what_follows_are_apart() -> None:
    """tanh of what is pooled is a loop over all of an image's pixels rather than one over each line."""
    f = ng.function([X, B], ng.tanh(ng.pool2d(X, (2, 2)) + B[:, None, None]))
    assert "36" in loops(f)
    rng = np.random.default_rng(4)
    x, b = (rng.normal(size=v.type.shape).astype("float32") for v in (X, B))
    pooled = x.reshape(20, 3, 6, 2, 6, 2).max(axis=(3, 5))
    np.testing.assert_allclose(f(x, b), np.tanh(pooled + b[:, None, None]), rtol=1e-6)
    # nothing is gained where what is computed is cheap
    assert "36" not in loops(ng.function([X], -ng.pool2d(X, (2, 2))))


HINTS = {
    3: "",
    7: "",
    8: "with_masks(8)",
    12: "with_masks(12)",
    16: "not_unrolled()",
    18: "not_unrolled()",
    28: "with_masks(28)",
}


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7, 8, 9, 12, 15, 16, 17, 18, 28, 31, 32, 33, 48, 63, 64, 65])
def test_rows_of_any_length(length: int) -> None:
    """What LLVM is told, and values: elementary functions, sums, extremes, what is written beside a sum."""
    x, b = floats("x", None, length), floats("b", length)
    y = ng.tanh(x + b)
    f = ng.function([x, b], [y, ng.sum(x * x, axis=1), ng.max(x, axis=1), ng.softmax(x, axis=1), ng.sum(x, axis=0)])
    if length in HINTS:
        # the first loop over a row is that of tanh and the sums
        alone = lines(ng.function([x, b], y))
        assert HINTS[length] in alone and ("with_masks" in alone) == ("with_masks" in HINTS[length])
        assert ("not_unrolled" in alone) == ("not_unrolled" in HINTS[length])
    for rows in (0, 1, 2, 37):
        rng = np.random.default_rng(length)
        data, bias = rng.normal(size=(rows, length)).astype("float32"), rng.normal(size=length).astype("float32")
        e = np.exp(data.astype(float))
        wanted = (
            np.tanh(data.astype(float) + bias), (data.astype(float) ** 2).sum(axis=1),
            data.max(axis=1, initial=-np.inf), e / e.sum(axis=1, keepdims=True), data.sum(axis=0, dtype=float),
        )  # fmt: skip
        for got, value in zip(f(data, bias), wanted, strict=True):
            np.testing.assert_allclose(got, value, rtol=2e-6, atol=1e-5)


def test_what_llvm_would_unroll() -> None:
    for length, told in ((63, True), (64, True), (65, False)):
        x = floats("x", None, length)
        assert ("not_unrolled" in lines(ng.function([x], ng.sum(x, axis=1)))) == told


def test_sums_and_strides_have_no_masks() -> None:
    x = floats("x", None, 24)
    assert "with_masks" not in lines(ng.function([x], ng.sum(x[:, :12], axis=1)))
    assert "with_masks" not in lines(ng.function([x], ng.tanh(x[:, ::2])))
    assert "with_masks(12)" in lines(ng.function([x], ng.tanh(x[:, 12:])))


@pytest.mark.parametrize(("vector", "few", "many"), [(64, True, True), (32, False, True), (16, False, True)])
def test_masks_are_for_processors_that_have_them(vector: int, few: bool, many: bool) -> None:
    for rounds, unrolled in ((12, few), (28, many)):
        hints = loops_ir._for_vectors((loops_ir.MASKED, rounds), vector)
        assert (loops_ir.UNROLLED in hints) == unrolled
        assert any("predicate" in hint[0] for hint in hints) == (vector == 64)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
@pytest.mark.parametrize("groups", [1, 3, 8, 20])
def test_a_counter_that_is_divided_counts_groups(size: int, groups: int) -> None:
    x = floats("x", None, groups, size)
    image = floats("image", None, 6, groups * size)
    pooled = ng.pool2d(image, (2, size))
    f = ng.function([x, image], [ng.tanh(x).reshape((x.shape[0], groups * size)), ng.grad(ng.sum(pooled**2), image)])
    assert (f"range({groups}):" in lines(f) and "each of" in lines(f)) == (1 < size <= 4 and groups > 1)
    rng = np.random.default_rng(5)
    a, b = (
        rng.normal(size=(5, groups, size)).astype("float32"),
        rng.normal(size=(5, 6, groups * size)).astype("float32"),
    )
    whole, slope = f(a, b)
    np.testing.assert_allclose(whole, np.tanh(a).reshape(5, -1), rtol=1e-6)
    windows = b.reshape(5, 3, 2, groups, size)
    largest = windows.max(axis=(2, 4), keepdims=True)
    np.testing.assert_allclose(slope.reshape(windows.shape), np.where(windows == largest, 2 * largest, 0), rtol=1e-6)

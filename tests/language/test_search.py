"""Searching, counting, the largest elements and choices, against NumPy on every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_more_ops import check

import numgraph as ng
from numgraph import testing
from numgraph.errors import AxisError, DtypeError, IndexOutOfRange, OptionError, ShapeError

X = np.array([[3.0, np.nan, -0.0, 1.0], [0.0, np.inf, 3.0, -np.inf]])
LINE = np.array([3.0, 1.0, 2.0, 1.0, 3.0, 3.0])


# -- searching ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: Any) -> None:
    a = np.array([-np.inf, 0.0, 1.0, 1.0, 3.0, np.nan])
    for line in (a, a[:0], a[1:2], a[::2]):
        check(lambda a, v: ng.searchsorted(a, v, side), line, X, wanted=np.searchsorted(line, X, side))
    check(lambda a, v: ng.searchsorted(a, v, side), a, np.float64(1.0), wanted=np.searchsorted(a, 1.0, side))
    check(lambda a, v: ng.searchsorted(a, v, side), a, X[:0], wanted=np.searchsorted(a, X[:0], side))
    n = np.array([1, 3, 3, 200], "uint8")
    m = np.array([-1, 3, 4, 300], "int16")
    check(lambda n, m: ng.searchsorted(n, m, side), n, m, wanted=np.searchsorted(n, m, side))
    order = np.argsort(LINE)
    check(lambda a, v, s: ng.searchsorted(a, v, side, s), LINE, X, order, wanted=np.searchsorted(LINE, X, side, order))
    check(lambda a: ng.searchsorted(a, 1, side), a, wanted=np.searchsorted(a, 1, side))


@pytest.mark.parametrize("length", [2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 100])
def test_searchsorted_finds_every_place(length: int) -> None:
    """Vectors of all kinds of lengths, with equal elements and NaN, and more values than are searched side by side."""
    rng = np.random.default_rng(length)
    line = np.sort(rng.integers(0, length, length).astype(float))
    line[-1] = np.nan
    values = np.concatenate(
        [np.arange(-1.0, length + 1.5, 0.5), [np.nan, np.inf, -np.inf], rng.uniform(0, length, 130)]
    )
    for side in ("left", "right"):
        wanted = np.searchsorted(line, values, side)
        check(lambda a, v, s=side: ng.searchsorted(a, v, s), line, values, wanted=wanted)


@pytest.mark.parametrize("right", [False, True])
def test_digitize(right: bool) -> None:
    bins = np.array([-1.0, 0.0, 1.0, 3.0])
    for edges in (bins, bins[::-1], bins[:1], bins[:0]):
        wanted = np.digitize(X, edges, right)
        check(lambda x, b: ng.digitize(x, b, right), X, edges, wanted=wanted)


# -- counting -------------------------------------------------------------------------------------------------------


def test_bincount() -> None:
    n, w = np.array([3, 0, 3, 5], "int32"), np.array([0.5, 1.0, 2.0, -1.0])
    check(lambda n, w: [ng.bincount(n), ng.bincount(n, w), ng.bincount(n, minlength=9), ng.bincount(n, w, 2)], n, w,
          wanted=[np.bincount(n), np.bincount(n, w), np.bincount(n, minlength=9), np.bincount(n, w)])  # fmt: skip
    check(ng.bincount, n[:0], wanted=np.bincount(n[:0]))
    check(lambda n: ng.bincount(n, minlength=3), n[:0], wanted=np.bincount(n[:0], minlength=3))
    check(ng.bincount, n[::2], w[::2].astype("float32"), wanted=np.bincount(n[::2], w[::2]).astype("float32"))
    testing.check_gradient(lambda w: ng.sum(ng.bincount(n, w) ** 2), [w])
    with pytest.raises(DtypeError, match="must be integers"):
        ng.bincount(ng.vector())
    k = ng.lvector("k")
    with pytest.raises(ShapeError, match=r"^bincount: -2 is negative\n(.*\n)*  bincount called at"):
        ng.function([k], ng.bincount(k))([1, -2])
    with pytest.raises(ShapeError):
        ng.function([k], ng.bincount(k, [1.0, 2.0]))([1, 2, 3])


def test_histogram() -> None:
    x = np.random.default_rng(0).normal(size=(20, 5))
    w = np.arange(100.0).reshape(20, 5)
    edges = np.array([-1.0, 0.0, 0.5, 2.0])
    check(lambda x, e: ng.histogram(x, e), x, edges, wanted=np.histogram(x, edges))
    check(lambda x, w: ng.histogram(x, 7, weights=w), x, w, wanted=np.histogram(x, 7, weights=w))
    check(lambda x: ng.histogram(x, 4, (-1, 2), density=True), x, wanted=np.histogram(x, 4, (-1, 2), density=True))
    check(lambda x, e: ng.histogram(x, e), np.array([2.0, 2.0, np.nan, -1.0, 9.0]), edges, wanted=[[1, 0, 2], edges])
    for few in (x[:0, 0], x[:1, 0], np.array([2, 2, 2])):
        check(ng.histogram, few, wanted=np.histogram(few), rtol=1e-9)
    with pytest.raises(ShapeError, match="0 bins"):
        ng.histogram(ng.vector(), 0)


# -- the largest elements -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("k", [1, 2, -1, -2])
def test_topk(k: int, axis: Any) -> None:
    along = np.sort(X, axis)
    length = along.shape[-1 if axis is None else axis]
    chosen = np.arange(length - 1, length - 1 - k, -1) if k > 0 else np.arange(-k)
    wanted = np.take(along, chosen, 0 if axis is None else axis)
    check(lambda x: ng.topk(x, k, axis), X, wanted=wanted)

    def again(x: Any) -> Any:
        indices = ng.argtopk(x, k, axis)
        return ng.take(x, indices) if axis is None else ng.take_along_axis(x, indices, axis)

    check(again, X, wanted=wanted)


def test_topk_of_equal_elements() -> None:
    check(lambda x: ng.topk_and_argtopk(x, 3), LINE, wanted=[LINE[[0, 4, 5]], np.array([0, 4, 5])])
    check(lambda x: ng.argtopk(x, -2, idx_dtype="int32"), LINE, wanted=np.array([1, 3], "int32"))
    x = ng.vector("x")
    got = ng.function([x], ng.grad(ng.sum(ng.topk(x, 2) * [1.0, 10.0]), x))([1.0, 5.0, 3.0])
    np.testing.assert_array_equal(got, [0, 1, 10])
    with pytest.raises(ShapeError, match="known now"):
        ng.topk(x, 0)
    with pytest.raises(ShapeError, match="there are no 4 elements"):
        ng.topk(ng.tensor("t", "float64", (3,)), 4)
    with pytest.raises(ShapeError, match="topk: an axis has 2 elements, and 4 are asked for"):
        ng.function([x], ng.topk(x, 4))([1.0, 2.0])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint64", "int32", "uint8", "bool"])
def test_few_of_long_lines(dtype: str) -> None:
    """Lines in which a heap keeps the first ones, blocks are passed over, and those that are sorted whole."""
    rng = np.random.default_rng(3)
    numbers = rng.standard_normal((3, 200, 2)) * 40
    if dtype.startswith("float"):
        special = rng.choice([np.nan, np.inf, -np.inf, -0.0, 0.0], numbers.shape)
        numbers = np.where(rng.random(numbers.shape) < 0.2, special, numbers)
    with np.errstate(invalid="ignore"):
        values = (numbers if dtype != "uint64" else np.abs(numbers) * 2.0**57).astype(dtype)
    lines = values[:, :, 0]
    for array, axis, count in ((values, 1, 5), (lines, 1, 25), (lines, 1, -3), (lines, 1, 26), (lines.T, 0, -199)):
        order = np.argsort(array, axis, kind="stable")
        if count > 0:
            order = np.flip(array.shape[axis] - 1 - np.argsort(np.flip(array, axis), axis, kind="stable"), axis)
        order = np.take(order, np.arange(abs(count)), axis)
        found = np.take_along_axis(array, order, axis)
        check(lambda x, axis=axis, count=count: ng.topk_and_argtopk(x, count, axis), array, wanted=[found, order])
    orders = [np.sort(lines, 1), np.sort(lines, 1)[:, ::-1], np.zeros_like(lines)]
    for array in orders:
        check(lambda x: ng.topk(x, -2, 1), array, wanted=np.sort(array, 1)[:, :2])


# -- choosing -------------------------------------------------------------------------------------------------------


def test_choose() -> None:
    a, far = np.array([[0, 2, 1], [1, 0, 2]]), np.array([[0, -5, 1], [7, 0, 2]])
    c = np.arange(18.0).reshape(3, 2, 3)
    check(ng.choose, a, c, wanted=np.choose(a, c))
    check(lambda a, c: ng.choose(a, [c[0], c[1], 9.0]), a, c, wanted=np.choose(a, [c[0], c[1], 9.0]))
    for mode in ("wrap", "clip"):
        wanted = np.choose(far, c, mode=mode)  # type: ignore[call-overload]
        check(lambda a, c, mode=mode: ng.choose(a, c, mode), far, c, wanted=wanted)
        check(lambda a, c, mode=mode: ng.choose(a, [c[0], c[1], c[2]], mode), far, c, wanted=wanted)
    check(ng.choose, a[0], c[:, 0], wanted=np.choose(a[0], c[:, 0]))
    check(ng.choose, a, c[:, 0, 0], wanted=np.choose(a, c[:, 0, 0]))
    n, x = ng.lvector("n"), ng.matrix("x")
    for made in (ng.choose(n, x), ng.choose(n, [x[0], x[1]])):
        for wrong in ([0, 2], [-1, 0]):
            with pytest.raises(IndexOutOfRange, match="out of range for an axis of length 2"):
                ng.function([n, x], made)(wrong, np.ones((2, 2)))
    with pytest.raises(OptionError, match="mode must be"):
        ng.choose(n, x, "else")
    testing.check_gradient(lambda c: ng.sum(ng.choose(a, c) ** 2), [c])


def test_compress() -> None:
    mask = np.array([True, False, True])
    check(lambda m, x: [ng.compress(m, x, 1), ng.compress(m, x)], mask, X,
          wanted=[np.compress(mask, X, 1), np.compress(mask, X)])  # fmt: skip
    check(lambda m, x: ng.compress(m, x, 0), mask[:0], X, wanted=np.compress(mask[:0], X, 0))
    m, x = ng.vector("m", "bool"), ng.matrix("x")
    with pytest.raises(IndexOutOfRange):
        ng.function([m, x], ng.compress(m, x, 0))(mask, X)


def test_repeat_by_counts() -> None:
    counts = np.array([2, 0, 1, 3])
    check(lambda x, n: ng.repeat(x, n, 1), X, counts, wanted=np.repeat(X, counts, 1))
    check(lambda x, n: ng.repeat(x, n), LINE[::2], counts[:3], wanted=np.repeat(LINE[::2], counts[:3]))
    check(lambda x, n: ng.repeat(x, n), LINE[:0], counts[:0], wanted=LINE[:0])
    check(lambda x: ng.repeat(x, [2], 0), X, wanted=np.repeat(X, [2], 0))
    testing.check_gradient(lambda x: ng.sum(ng.repeat(x, counts, 0) ** 3), [LINE[:4]])
    x, n = ng.vector("x"), ng.lvector("n")
    with pytest.raises(ShapeError, match=r"^repeat: -1 is negative\n(.*\n)*  repeat called at"):
        ng.function([x, n], ng.repeat(x, n))([1.0, 2.0], [1, -1])
    with pytest.raises(ShapeError):
        ng.function([x, n], ng.repeat(x, n))([1.0, 2.0], [1, 1, 1])
    # counts of which nothing is needed are not looked at, as indices
    m = ng.matrix("m")
    assert ng.function([m, n], ng.repeat(m, n, 0).shape[1])(X[:2], [1, -1]) == X.shape[1]


# -- different elements ---------------------------------------------------------------------------------------------


def test_unique() -> None:
    small: list[Any] = [np.array([np.nan, 1.0, np.nan]), np.array([[3, 1], [1, 2]], "int8"), np.array([True, True])]
    for x in (LINE, LINE[:1], LINE[:0], LINE[::2], X, *small):
        everything = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
        values, index, inverse, counts = everything
        check(lambda x: ng.unique(x, True, True, True), x, wanted=[values, index, inverse.reshape(x.shape), counts])
        if x is LINE or x is X:
            # what else there is is not made where nobody asks for it
            check(ng.unique, x, wanted=values)
    x = ng.vector("x")
    got = ng.function([x], ng.grad(ng.sum(ng.unique(x) ** 2), x))([2.0, 1.0, 2.0])
    np.testing.assert_array_equal(got, [4, 2, 0])


def test_unique_along_an_axis() -> None:
    blocks = np.array([2, 0, 2, 1, 0, 2, 2, 1] * 6, "int16").reshape(6, 4, 2)[[0, 3, 1, 0, 3, 5]] % np.int16(2)
    lines = [(LINE, 0), (blocks, 0), (blocks, 1), (blocks, -1), (blocks[:0], 0), (blocks[:, :0], 0), (X > 0, 1)]
    for x, axis in lines:
        wanted = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
        check(lambda x, axis=axis: ng.unique(x, True, True, True, axis), x, wanted=wanted)
        if x is LINE or axis == 1:
            check(lambda x, axis=axis: ng.unique(x, axis=axis), x, wanted=wanted[0])
    nan = np.array([[np.nan, 2.0], [1.0, np.nan], [np.nan, 2.0], [1.0, 0.0], [1.0, np.nan]])
    check(lambda x: ng.unique(x, axis=0), nan, wanted=nan[[3, 1, 0]])
    x = ng.matrix("x")
    got = ng.function([x], ng.grad(ng.sum(ng.unique(x, axis=0) ** 2), x))([[2.0, 1.0], [0.0, 3.0], [2.0, 1.0]])
    np.testing.assert_array_equal(got, [[4, 2], [0, 6], [0, 0]])
    with pytest.raises(AxisError):
        ng.unique(x, axis=2)


def test_many_rows_are_sorted() -> None:
    rows = np.random.default_rng(1).integers(0, 3, size=(1000, 4))
    check(lambda x: ng.unique(x, True, axis=0), rows, wanted=np.unique(rows, return_index=True, axis=0))

"""What compiled calls do with memory, lengths, threads and errors."""

from __future__ import annotations

import sys
import threading
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import ShapeError
from tests.waits import together

EACH = pytest.mark.parametrize


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "target", "cpu")


def training(rows: int = 50) -> tuple[ng.Function, ng.SharedVariable, ng.SharedVariable]:
    """A step of linear regression on minibatches of 8 rows, with its data and weights."""
    rng = np.random.default_rng(0)
    X, W = ng.shared(rng.normal(size=(rows, 5)).astype("float32"), "X"), ng.shared(np.ones((5, 2), "float32"), "W")
    x, i = ng.fmatrix("x"), ng.lscalar("i")
    cost = ng.mean(ng.sqr(ng.dot(x, W)))
    updates = [(W, W - 0.1 * ng.grad(cost, W))]
    return ng.function([i], cost, updates=updates, givens={x: X[i * 8 : (i + 1) * 8]}), X, W


# -- memory -----------------------------------------------------------------------------------------------------


@EACH("rows", [50, 5000])
def test_a_step_moves_an_index_in_and_a_cost_out(rows: int) -> None:
    f, _, _ = training(rows)
    for k in range(3):
        f(k)
    stats = f.stats
    assert (stats.calls, stats.bytes_in, stats.bytes_out, stats.bytes_allocated) == (3, 3 * 8, 3 * 4, 3 * 4)


def test_stats_of_array_arguments() -> None:
    x, a = ng.fvector("x"), ng.scalar("a", "float64")
    f = ng.function([x, a], [x * 2, ng.sum(x) * a])
    f(np.ones(10, "float32"), 1.5)
    f(np.ones(20, "float32")[::2], 1.5)
    # forty bytes and a number in; forty bytes and a number (float64, since `a` is) out
    assert (f.stats.calls, f.stats.bytes_in, f.stats.bytes_out) == (2, 2 * 48, 2 * 48)


def test_calls_do_not_collect_memory() -> None:
    f, _, W = training()
    x = ng.vector("x")
    g = ng.function([x], ng.softmax(x) + ng.sum(x))
    argument, buffer = np.ones(100), W.get_value(borrow=True)
    for k in range(10):
        f(k % 6), g(argument)
    arenas = [id(a) for v in (f, g) for a in v.executor.variant.arenas]
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for k in range(1000):
        f(k % 6), g(argument)
    growth = sum(s.size_diff for s in tracemalloc.take_snapshot().compare_to(before, "filename"))
    tracemalloc.stop()
    assert growth < 20_000
    assert [id(a) for v in (f, g) for a in v.executor.variant.arenas] == arenas
    assert W.get_value(borrow=True) is buffer, "an update of the same lengths is written in place"


def test_results_are_fresh_and_owned() -> None:
    x, s = ng.matrix("x"), ng.shared(np.arange(6.0).reshape(2, 3), "s")
    f = ng.function([x], [x, x.T, x[:1], s, s.T, s[0], ng.constant(np.ones(3)) * 1, ng.sum(x)])
    argument = np.ones((2, 3))
    first, second = f(argument), f(argument)
    everything = [*first, *second, argument, s.get_value(borrow=True)]
    for k, a in enumerate(everything):
        assert a.flags.c_contiguous and a.flags.writeable and a.flags.owndata
        assert not any(np.shares_memory(a, b) for b in everything[k + 1 :])
        a[...] = -5
    assert np.array_equal(second[1], np.full((3, 2), -5.0))


def test_results_stay_when_the_function_is_gone() -> None:
    x = ng.vector("x")
    result = ng.function([x], ng.exp(x) * 2)(np.zeros(1000))
    assert np.array_equal(result, np.full(1000, 2.0))


def test_the_arena_grows_and_stays() -> None:
    x = ng.vector("x")
    y = ng.exp(x)
    f = ng.function([x], y / ng.sum(y) + ng.max(y))
    for n in (1, 1000, 10, 100_000, 3):
        v = np.linspace(0, 1, n)
        np.testing.assert_allclose(f(v), np.exp(v) / np.exp(v).sum() + np.exp(v).max())


# -- threads ----------------------------------------------------------------------------------------------------


def in_threads(work: Callable[[int], None], count: int = 4) -> None:
    together(*(partial(work, k) for k in range(count)))


def arguments_of(kind: str, k: int) -> tuple[Any, ...]:
    n = 5 + 3 * k
    if kind == "scalar":
        return (float(k),)
    if kind == "list":
        return ([float(k)] * n,)
    array = np.full(2 * n, float(k))
    return (array[::2] if kind == "strided" else array[:n],)


@EACH("kind", ["scalar", "array", "strided", "list"])
def test_two_threads_call_one_function(kind: str) -> None:
    """Each gets the result for its own arguments, however the call is made: the fast way or the general one."""
    x = ng.scalar("x") if kind == "scalar" else ng.vector("x")
    f = ng.function([x], [ng.exp(x) / (1 + ng.sum(ng.exp(x))), x + 1])

    def work(k: int) -> None:
        arguments = arguments_of(kind, k)
        v = np.asarray(arguments[0])
        for _ in range(1500):
            a, b = f(*arguments)
            assert b.shape == v.shape and np.array_equal(b, v + 1)
            np.testing.assert_allclose(a, np.exp(v) / (1 + np.exp(v).sum()))

    switching(lambda: in_threads(work))


def test_calls_beside_a_sweep() -> None:
    """Short calls wait for no lock: they may run while a sweep of the same function does."""
    x = ng.dscalar("x")
    f = ng.function([x], ng.exp(x) + 1)
    data = np.linspace(-2, 2, 1_000_000)
    expected = f.sweep(x=data)
    done = threading.Event()

    def work(k: int) -> None:
        if k == 0:
            try:
                for _ in range(10):
                    np.testing.assert_array_equal(f.sweep(x=data), expected)
            finally:
                done.set()
        while not done.is_set():
            # an int goes the general way, which waits for the sweep
            v = k if k == 1 else 0.5 * k
            assert abs(float(f(v)) - (np.exp(v) + 1)) <= 1e-12 * np.exp(v)

    switching(lambda: in_threads(work))


def test_lengths_of_arguments_are_those_of_outputs() -> None:
    """One native call where the lengths of the outputs are those of arguments."""
    x, y = ng.dmatrix("x"), ng.dvector("y")
    f = ng.function([x, y], [x.T * 2, y + 1, x.sum(axis=1), ng.join(0, y, y)])
    for rows, columns, n in ((3, 2, 4), (1, 1, 1), (0, 5, 0), (2, 0, 3)):
        a, b = np.arange(rows * columns, dtype=float).reshape(rows, columns), np.arange(n, dtype=float)
        for got, wanted in zip(f(a, b), (a.T * 2, b + 1, a.sum(axis=1), np.concatenate([b, b])), strict=True):
            np.testing.assert_array_equal(got, wanted)
    g = ng.function([x, y], x + y)
    assert g(np.ones((3, 2)), np.ones(2)).shape == (3, 2)
    assert g(np.ones((3, 2)), np.ones(1)).shape == (3, 2)
    assert g(np.ones((3, 1)), np.ones(4)).shape == (3, 4)
    with pytest.raises(ShapeError, match="2"):
        g(np.ones((3, 2)), np.ones(5))


def switching(work: Callable[[], None]) -> None:
    """Run with threads that take turns as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        work()
    finally:
        sys.setswitchinterval(interval)


@EACH("kind", ["scalar", "array"])
def test_updates_of_two_threads_are_all_counted(kind: str) -> None:
    x = ng.scalar("x") if kind == "scalar" else ng.vector("x")
    total, a, b = ng.shared(0.0, "total"), ng.shared(np.zeros(3), "a"), ng.shared(np.ones(3), "b")
    f = ng.function([x], ng.sum(a), updates=[(total, total + ng.sum(x)), (a, b), (b, a)])
    seen: list[float] = []

    def work(k: int) -> None:
        seen.extend(float(f(1.0 if kind == "scalar" else np.ones(1))) for _ in range(1000))

    switching(lambda: in_threads(work))
    assert total.get_value() == 4000
    # a and b were exchanged at every call, an even number of times in all
    assert sorted(seen) == [0.0] * 2000 + [3.0] * 2000
    assert (a.get_value().tolist(), b.get_value().tolist()) == ([0.0] * 3, [1.0] * 3)


# -- lengths ----------------------------------------------------------------------------------------------------


def window() -> tuple[ng.Function, ng.SharedVariable]:
    X, i = ng.shared(np.arange(20.0).reshape(10, 2), "X"), ng.lscalar("i")
    x = ng.matrix("x")
    return ng.function([i], [x * 1, ng.sum(x, axis=0)], givens={x: X[i * 4 : (i + 1) * 4]}), X


def test_minibatches_at_the_end_past_it_and_before_the_start() -> None:
    f, X = window()
    data = X.get_value()
    for k in (0, 1, 2, 3, 1000, -1, -2, -3, -1000, 2**40):
        rows, total = f(k)
        expected = data[k * 4 : (k + 1) * 4]
        assert rows.shape == expected.shape
        assert np.array_equal(rows, expected) and np.array_equal(total, expected.sum(0))


def test_a_data_set_of_another_length_is_not_compiled_for() -> None:
    f, X = window()
    for n in (3, 0, 1, 400, 10):
        data = np.random.default_rng(n).normal(size=(n, 2))
        X.set_value(data)
        for k in (0, 1, 2):
            rows, total = f(k)
            assert np.array_equal(rows, data[k * 4 : (k + 1) * 4])
            np.testing.assert_allclose(total, data[k * 4 : (k + 1) * 4].sum(0), atol=1e-12)
    assert len(f.executor.variants) == 1


def test_weights_of_other_lengths_and_back() -> None:
    x, W, b = ng.matrix("x"), ng.shared(np.ones((3, 2)), "W"), ng.shared(np.ones(2), "b")
    f = ng.function([x], ng.tanh(ng.dot(x, W)) + b, updates=[(W, W * 0.5), (b, b + 1)])
    rng = np.random.default_rng(0)
    for n, m in ((3, 2), (4, 2), (3, 2), (4, 5), (1, 1), (3, 5), (3, 2), (0, 2), (4, 5)):
        w, v, a = rng.normal(size=(n, m)), rng.normal(size=m), rng.normal(size=(6, n))
        W.set_value(w)
        b.set_value(v)
        np.testing.assert_allclose(f(a), np.tanh(a @ w) + v)
        np.testing.assert_allclose(W.get_value(), w * 0.5)
        np.testing.assert_allclose(f(a), np.tanh(a @ (w * 0.5)) + v + 1)


def test_lengths_that_an_update_changes() -> None:
    x, s = ng.vector("x"), ng.shared(np.zeros(0), "s")
    f = ng.function([x], s.shape[0], updates=[(s, ng.concatenate([s[-2:], x]))])
    expected = np.zeros(0)
    for n in (1, 3, 0, 2, 5, 1, 1, 0, 0, 0, 4):
        assert f(np.full(n, float(n))) == len(expected)
        expected = np.concatenate([expected[-2:], np.full(n, float(n))])
        assert np.array_equal(s.get_value(), expected)


def test_lengths_that_were_taken_for_equal() -> None:
    x, y = ng.matrix("x"), ng.matrix("y")
    f = ng.function([x, y], [x + y, x * 2, ng.sum(y, axis=0)])
    for a, b in (
        ((2, 3), (2, 3)),
        ((1, 3), (2, 3)),
        ((2, 1), (1, 3)),
        ((2, 3), (2, 3)),
        ((2, 3), (1, 1)),
        ((0, 3), (1, 3)),
    ):
        u, v = np.random.default_rng(0).normal(size=a), np.ones(b)
        for got, expected in zip(f(u, v), (u + v, u * 2, v.sum(0)), strict=True):
            assert got.shape == expected.shape
            np.testing.assert_allclose(got, expected)
    with pytest.raises(ng.ShapeError, match="3"):
        f(np.ones((2, 3)), np.ones((3, 3)))
    assert np.array_equal(f(np.ones((2, 3)), np.ones((2, 3)))[0], np.full((2, 3), 2.0))


# -- failed calls -----------------------------------------------------------------------------------------------


def failing() -> tuple[ng.Function, list[ng.SharedVariable]]:
    """Updates of all kinds (in place, scattered, exchanged, fresh) beside a gather that may fail."""
    table, n = ng.shared(np.arange(8.0).reshape(4, 2), "table"), ng.shared(np.array(0), "n")
    a, b, grown = ng.shared(np.zeros(2), "a"), ng.shared(np.ones(2), "b"), ng.shared(np.zeros(1), "grown")
    i, x = ng.lvector("i"), ng.vector("x")
    picked = table[i]
    updates = [
        (n, n + 1), (a, b), (b, a), (grown, ng.concatenate([grown, x])),
        (table, ng.inc_subtensor(picked, picked * 0.5 + x)),
    ]  # fmt: skip
    return ng.function([i, x], ng.sum(picked), updates=updates), [table, n, a, b, grown]


@EACH(
    ("i", "x", "error"),
    [
        ([0, 4], [1.0, 1.0], ng.IndexOutOfRange), ([0, -5], [1.0, 1.0], ng.IndexOutOfRange),
        ([0, 1], [1.0, 1.0, 1.0], ng.ShapeError), ([2**62], [1.0], ng.IndexOutOfRange),
        ([0, 1], [[1.0]], ng.ArgumentShapeError), ([0.5], [1.0], ng.DtypeError),
    ],
)  # fmt: skip
def test_a_failed_call_changes_nothing(i: Any, x: Any, error: type[Exception]) -> None:
    f, shared = failing()
    f([0, 1], [1.0, 2.0])
    before = [s.get_value() for s in shared]
    addresses = [s.get_value(borrow=True).ctypes.data for s in shared]
    calls = f.stats.calls
    for _ in range(2):
        with pytest.raises(error):
            f(i, x)
    assert all(np.array_equal(s.get_value(), v) for s, v in zip(shared, before, strict=True))
    assert [s.get_value(borrow=True).ctypes.data for s in shared] == addresses
    assert f.stats.calls == calls
    f([3], [1.0, 2.0])
    assert shared[1].get_value() == 2


def test_a_failure_in_a_late_stage_changes_nothing() -> None:
    """The bad index shows only after a length that had to be computed first."""
    x, s, t = ng.vector("x"), ng.shared(np.zeros(3), "s"), ng.shared(np.zeros(3), "t")
    where = ng.nonzero(x > 0)[0]
    f = ng.function([x], where, updates=[(s, s + 1), (t, ng.inc_subtensor(t[where], 1.0))])
    f(np.array([1.0, 0.0, 1.0]))
    with pytest.raises(ng.IndexOutOfRange):
        f(np.array([1.0, 0.0, 0.0, 1.0]))
    assert (s.get_value().tolist(), t.get_value().tolist()) == ([1, 1, 1], [1, 0, 1])


# -- arguments --------------------------------------------------------------------------------------------------


def odd_arrays() -> dict[str, np.ndarray]:
    base = np.arange(24.0).reshape(4, 6)
    read_only = base.copy()
    read_only.flags.writeable = False
    raw = np.zeros(base.nbytes + 1, np.uint8)[1:].view(np.float64).reshape(base.shape)
    raw[...] = base
    wide = np.lib.stride_tricks.as_strided(np.arange(1e6), (4, 6), (8 * 150_000, 8 * 20_000))
    field = np.zeros((4, 6), np.dtype([("a", "i1"), ("b", "f8")]))
    field["b"] = base
    return {
        "transposed": base.T, "reversed": base[::-1, ::-1], "strided": base[::2, ::3], "read-only": read_only,
        "fortran": np.asfortranarray(base), "byte-swapped": base.astype(">f8"), "unaligned": raw, "huge strides": wide,
        "broadcast": np.broadcast_to(base[0], (4, 6)), "a field": field["b"], "no rows": base[:0],
        "no columns": base[:, :0],
        "one element": base[:1, :1], "a subclass": np.rec.array(base),
        "float32": base.astype("float32"), "integers": base.astype("int32"), "a list": base.tolist(),
    }  # fmt: skip


@EACH("way", ["plain", "updating"])
def test_any_arrangement_of_an_argument(way: str) -> None:
    x, n = ng.matrix("x"), ng.shared(np.zeros(1), "n")
    f = ng.function([x], [x * 2, ng.sum(x, axis=0), x.T], updates=[(n, n + 1)] if way == "updating" else [])
    for name, array in odd_arrays().items():
        expected = np.array(array, dtype=np.float64, ndmin=2)
        copy = np.array(array)
        got = f(array)
        for a, e in zip(got, (expected * 2, expected.sum(0), expected.T), strict=True):
            assert a.dtype == np.float64 and a.dtype.isnative, name
            np.testing.assert_array_equal(a, e, err_msg=name)
        np.testing.assert_array_equal(np.array(array), copy, err_msg=name)


@EACH("dtype", ["float64", "float32", "int64", "int8", "uint8", "bool"])
def test_0d_values(dtype: str) -> None:
    x, s = ng.scalar("x", dtype), ng.shared(np.array(1, dtype), "s")
    f = ng.function([x], [x, s, ng.eq(x, s)], updates=[(s, x)])
    for value in (np.array(0, dtype), np.array(1, dtype), np.dtype(dtype).type(1), 0, np.array([1], dtype)[0]):
        old = s.get_value()
        a, b, c = f(value)
        assert [v.shape for v in (a, b, c)] == [(), (), ()]
        assert (a.dtype, b.dtype, c.dtype) == (dtype, dtype, bool)
        assert (a, b, c) == (value, old, value == old)
        assert s.get_value() == value and s.get_value().dtype == dtype


@EACH("dtype", ["int8", "int64", "uint8", "uint64"])
def test_limits_of_integers(dtype: str) -> None:
    info = np.iinfo(dtype)
    x, v = ng.scalar("x", dtype), ng.vector("v", dtype)
    f = ng.function([x, v], [x, x + v])
    for number in (info.min, info.max):
        a, b = f(number, np.array([0, 1], dtype))
        assert int(a) == number
        with np.errstate(over="ignore"):
            assert np.array_equal(b, np.array(number, dtype) + np.array([0, 1], dtype))
    for number in (info.min - 1, info.max + 1):
        with pytest.raises(ng.NumgraphError):
            f(number, np.array([0, 1], dtype))


def test_float_scalars_of_all_kinds() -> None:
    x, y = ng.scalar("x", "float32"), ng.scalar("y", "float64")
    f = ng.function([x, y], [x, y])
    for value in (0.1, np.inf, -np.inf, np.nan, -0.0, 3e38, 5e-324, 1):
        a, b = f(value, value)
        np.testing.assert_array_equal([a, b], [np.float32(value), np.float64(value)])
        assert np.signbit(a) == np.signbit(b) == np.signbit(float(value))
    with pytest.raises(ng.DtypeError):
        f(1e39, 0.0)


def test_nothing_to_compute_with() -> None:
    x, W = ng.matrix("x"), ng.shared(np.ones((3, 2)), "W")
    f = ng.function([x], [ng.dot(x, W), ng.sum(x), ng.prod(x), ng.softmax(x), x.T @ x, ng.sum(x, axis=0)])
    got = f(np.zeros((0, 3)))
    assert [a.shape for a in got] == [(0, 2), (), (), (0, 3), (3, 3), (3,)]
    assert [a.tolist() for a in (got[1], got[2], got[4], got[5])] == [0.0, 1.0, [[0.0] * 3] * 3, [0.0] * 3]
    with pytest.raises(ng.ShapeError):
        ng.function([x], ng.max(x))(np.zeros((0, 3)))

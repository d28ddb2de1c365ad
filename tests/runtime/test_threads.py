"""Loops divided among threads: the same values for every number of threads and shares, forks, concurrent callers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import numgraph as ng
from numgraph import cache
from numgraph.config import Config
from numgraph.errors import IndexOutOfRange, OptionError
from numgraph.runtime import threads
from numgraph.schedule import chunks
from tests import fuzz
from tests.waits import PATIENCE, in_child, join, together

RNG = np.random.default_rng(5)


@pytest.fixture
def tiny_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every loop of two rows is divided."""
    monkeypatch.setattr(chunks, "GRAIN", 1)
    before = ng.config.threads
    ng.config.threads = 3
    yield
    ng.config.threads = before


def program(dtype: str = "float32") -> tuple[ng.Variable, list[ng.Variable]]:
    """Reductions over rows, columns and everything, row buffers, and an elementwise result."""
    x = ng.matrix("x", dtype=dtype)
    column = ng.sum(ng.exp(x) * 2, axis=0)
    return x, [
        column, ng.softmax(x, axis=1), ng.sum(x), ng.max(x, axis=0), ng.any(x > 1.5), ng.all(x < 9, axis=0),
        ng.min(x), ng.prod(x, axis=1), x * column, ng.argmax(x, axis=1), ng.mean(x),
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 7, 100])
def test_values_do_not_depend_on_threads(tiny_chunks: None, rows: int) -> None:
    if rows == 0:
        x = ng.matrix("x", dtype="float32")
        outputs = [ng.sum(x, axis=0), ng.any(x > 1.5), x * 2]
    else:
        x, outputs = program()
    f = ng.function([x], outputs)
    assert "launch(" in f.source
    reference = ng.function([x], outputs, target="reference")
    value = RNG.normal(size=(rows, 5)).astype("float32")
    for got, want in zip(f(value), reference(value), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 2, 5])
def test_sums_of_rows_with_many_columns_have_the_same_bits_for_any_threads(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = chunks.MANY_COLUMNS + 2 * chunks.COLUMNS_OF_BLOCK + 5
    value = RNG.normal(size=(rows, columns)).astype(np.float32)
    value[RNG.random(value.shape) < 0.01] = np.nan
    x = ng.shared(value)
    outputs = [ng.sum(x, axis=0), ng.max(x * 2, axis=0) if rows else ng.prod(x, axis=0), ng.any(x > 1, axis=0)]
    monkeypatch.setattr(chunks, "GRAIN", 1)
    found = []
    for threads_ in (1, 2, 5):
        monkeypatch.setattr(ng.config, "threads", threads_)
        found.append(ng.function([], outputs)())
    want = [
        value.sum(0, dtype=np.float64).astype(np.float32),
        (value * 2).max(0) if rows else value.prod(0),
        (value > 1).any(0),
    ]
    for got in found:
        for a, b, c in zip(got, found[0], want, strict=True):
            assert a.tobytes() == b.tobytes()
            np.testing.assert_allclose(a, c, rtol=1e-6)
    source = ng.function([], outputs).source
    assert "columns of this chunk" in source and "join_" not in source


def test_one_thread_count_gives_the_same_bits(tiny_chunks: None) -> None:
    x, outputs = program()
    f = ng.function([x], outputs)
    value = RNG.normal(size=(501, 33)).astype("float32")
    first = f(value)
    for _ in range(200):
        for got, want in zip(f(value), first, strict=True):
            assert got.tobytes() == want.tobytes()


def test_nan_and_infinities_reach_the_joined_result(tiny_chunks: None) -> None:
    x = ng.matrix("x")
    f = ng.function([x], [ng.max(x, axis=0), ng.sum(x, axis=0), ng.min(x)])
    value = RNG.normal(size=(30, 3))
    value[29, 0], value[0, 1], value[15, 2] = np.nan, np.inf, -np.inf
    for got, want in zip(f(value), (value.max(axis=0), value.sum(axis=0), value.min()), strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_allclose(got, want)


def test_the_first_bad_index_in_order_is_reported(tiny_chunks: None) -> None:
    x, rows = ng.matrix("x"), ng.vector("rows", dtype="int64")
    state = ng.shared(np.zeros(3), name="state")
    f = ng.function([x, rows], ng.exp(x)[ng.arange(rows.shape[0]), rows], updates=[(state, state + 1)])
    index = np.zeros(60, np.int64)
    index[[20, 59]] = 7, 9
    for _ in range(20):
        with pytest.raises(IndexOutOfRange, match="index 7 is out of range"):
            f(np.ones((60, 4)), index)
    np.testing.assert_array_equal(state.get_value(), np.zeros(3))
    index[[20, 59]] = 3
    f(np.ones((60, 4)), index)
    np.testing.assert_array_equal(state.get_value(), np.ones(3))


def test_updates_in_place_by_chunks(tiny_chunks: None) -> None:
    w = ng.shared(np.arange(1000.0).reshape(100, 10), name="w")
    f = ng.function([], ng.sum(w, axis=0), updates=[(w, w * 2 + 1)])
    expected = w.get_value()
    for _ in range(3):
        np.testing.assert_allclose(f(), expected.sum(axis=0))
        expected = expected * 2 + 1
    np.testing.assert_array_equal(w.get_value(), expected)


@pytest.mark.parametrize("seed", range(5))
def test_random_graphs_by_chunks(tiny_chunks: None, seed: int) -> None:
    fuzz.check(fuzz.draw(fuzz.seeded(seed)))


def test_python_threads_may_call_at_once() -> None:
    x = ng.matrix("x")
    shared_function = ng.function([x], ng.sum(ng.exp(x), axis=0))
    values = [RNG.normal(size=(400, 100)) for _ in range(4)]
    wrong: list[int] = []

    def work(k: int) -> None:
        own = ng.function([x], ng.sum(ng.tanh(x), axis=0))
        for _ in range(30):
            if not np.allclose(shared_function(values[k]), np.exp(values[k]).sum(axis=0)):
                wrong.append(k)
            if not np.allclose(own(values[k]), np.tanh(values[k]).sum(axis=0)):
                wrong.append(k)

    together(*(partial(work, k) for k in range(4)))
    assert not wrong


def test_other_python_threads_run_during_a_long_call() -> None:
    x = ng.vector("x")
    f = ng.function([x], ng.sum(ng.exp(ng.sin(x))))
    value = np.zeros(20_000_000)
    f(value[:1000])
    started, counted = threading.Event(), [0]

    def count() -> None:
        started.set()
        while not done.is_set():
            counted[0] += 1
            time.sleep(0)

    done = threading.Event()
    worker = threading.Thread(target=count, daemon=True)
    worker.start()
    assert started.wait(PATIENCE)
    before = counted[0]
    f(value)
    during = counted[0] - before
    done.set()
    join(worker)
    # with Python's lock held the other thread could get in at most once
    assert during > 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_computes(tiny_chunks: None) -> None:
    x, outputs = program()
    f = ng.function([x], outputs[:2])
    value = RNG.normal(size=(300, 40)).astype("float32")
    expected = f(value)

    def child() -> bool:
        return all(np.array_equal(a, b) for _ in range(50) for a, b in zip(f(value), expected, strict=True))

    assert in_child(child) == 0
    for got, want in zip(f(value), expected, strict=True):
        np.testing.assert_array_equal(got, want)


def test_the_launcher_runs_every_share_once() -> None:
    from numba import cfunc
    from numgraph.kernels.support import i64

    @cfunc("int64(int64, int64, int64)", _nrt=False)
    def count(address, chunk, chunks):  # type: ignore[no-untyped-def]
        words = i64(address)
        words[chunk] = words[chunk] + 1
        return 2 if chunk == 1 else 0

    if not threads.ready(3):
        pytest.skip("no threads on this system")
    launcher = threads.launcher()
    assert launcher is not None
    for number in (0, 1, 2, 3, 8, 1000, 70_000):
        words = np.zeros(max(number, 1), np.int64)
        for _ in range(3):
            assert launcher.launch(count.address, words.ctypes.data, number, -1) == (2 if number > 1 else 0)
        assert (words[:number] == 3).all()


@pytest.mark.skipif(os.name != "posix", reason="there is no launcher")
def test_the_launcher_is_kept_as_machine_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "cache_dir", tmp_path)
    first = threads.launcher.__wrapped__()
    assert [f.kind for f in cache.files()] == ["source", "code"]
    monkeypatch.setattr(threads, "_compiled", pytest.fail)
    second = threads.launcher.__wrapped__()
    assert first is not None and second is not None and first.address != second.address


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True, 1025])
def test_a_wrong_number_of_threads_is_refused(value: object) -> None:
    with pytest.raises(OptionError, match="threads must be a whole number from 1 to 1024"):
        ng.config.threads = value  # type: ignore[assignment]


def test_the_environment_says_how_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert Config().threads == 3
    monkeypatch.setenv("NUMBA_NUM_THREADS", "5")
    assert Config().threads == 5
    monkeypatch.setenv("NUMGRAPH_THREADS", "7")
    assert Config().threads == 7
    for value in ("many", "0", "-1", "2.5"):
        monkeypatch.setenv("NUMGRAPH_THREADS", value)
        with pytest.raises(OptionError, match="NUMGRAPH_THREADS must be a whole number from 1 on, not"):
            Config()
    # those of others are theirs to complain of
    monkeypatch.delenv("NUMGRAPH_THREADS")
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(name, "many")
    assert 1 <= Config().threads <= (os.cpu_count() or 1)


def test_a_share_of_a_product_has_the_memory_that_it_needs() -> None:
    from numgraph.kernels import tiles

    assert chunks.SCRATCH_BYTES == tiles.SCRATCH_BYTES


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 3, 4), (7, 130, 5), (65, 2, 33), (40, 300, 20), (0, 3, 2), (3, 2, 0)])
def test_products_by_chunks(tiny_chunks: None, dtype: str, m: int, n: int, k: int) -> None:
    a, b = ng.matrix("a", dtype=dtype), ng.matrix("b", dtype=dtype)
    stack = ng.tensor3("stack", dtype=dtype)
    f = ng.function(
        [a, b, stack], [ng.dot(a, b), ng.dot(b.T, a.T), ng.batched_dot(stack, ng.transpose(stack, (0, 2, 1)))]
    )
    one, other = RNG.normal(size=(m, k)).astype(dtype), RNG.normal(size=(k, n)).astype(dtype)
    many = RNG.normal(size=(4, m, k)).astype(dtype)
    wanted = (one @ other, (one @ other).T, many @ many.transpose(0, 2, 1))
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for got, want in zip(f(one, other, many), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_products_have_the_same_bits_for_every_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "GRAIN", 1)
    before, results = ng.config.threads, []
    value = RNG.normal(size=(90, 300)).astype("float32")
    for count in (1, 2, 5):
        ng.config.threads = count
        w = ng.shared(np.ones((300, 40), "float32"), name="w")
        x = ng.matrix("x", dtype="float32")
        f = ng.function([x], ng.dot(x, w), updates=[(w, w - np.float32(0.1) * ng.dot(x.T, ng.dot(x, w)))])
        results.append((f(value).tobytes(), w.get_value().tobytes()))
    ng.config.threads = before
    assert results[0] == results[1] == results[2]

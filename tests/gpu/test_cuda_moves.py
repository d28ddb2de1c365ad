"""CUDA kernels in the simulator: scans, sorting, gathering, scattering, transposition, random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numgraph.kernels.cuda.names import KERNELS
from numgraph.kernels.cuda.randoms import philox

from numgraph.cuda.simulator import Offset, simulate
from tests.cuda_run import empty, run

# Beyond what 32 bits count.
FAR = 2**33


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# -- scans -----------------------------------------------------------------------------------------------------------

SCAN = {"sum": np.cumsum, "prod": np.cumprod}


def scanned(op: str, x: np.ndarray, dtype: str = "float32", threads: int = 8) -> np.ndarray:
    """The cumulative sums or products of rows, in up to three launches."""
    rows, length = x.shape
    chunks = -(-length // (4 * threads))
    out, totals = empty(x.shape, dtype), empty((rows, chunks), dtype)
    sizes = dict(threads=threads)
    run("scan_rows", dtype, op, sizes=sizes, out=out, totals=totals, x=x, rows=rows, length=length)
    if chunks > 1:
        totals = scanned(op, totals, dtype, threads)
        run("scan_carry", dtype, op, sizes=dict(chunk=4 * threads), out=out, totals=totals, rows=rows, length=length,
            chunks=chunks)  # fmt: skip
    return out


@pytest.mark.parametrize("op", SCAN)
@pytest.mark.parametrize(("length", "threads"), [(1, 8), (37, 8), (150, 2), (300, 64)])
def test_scan_rows(op: str, length: int, threads: int) -> None:
    x = draw(2, length)
    x[1] = np.exp(0.1 * x[1])
    got = scanned(op, x, threads=threads)
    np.testing.assert_allclose(got, SCAN[op](x.astype("float64"), axis=1), rtol=2e-5, atol=1e-5)


def test_scan_special_values() -> None:
    x = draw(4, 70)
    x[0, 40], x[1, 5], x[2, [3, 50]], x[3, 10] = np.nan, np.inf, [np.inf, -np.inf], -0.0
    with np.errstate(invalid="ignore"):
        want = np.cumsum(x.astype("float64"), axis=1)
    np.testing.assert_allclose(scanned("sum", x), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op", SCAN)
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_scan_columns_and_other_dtypes(op: str, dtype: str) -> None:
    x = np.random.default_rng(0).integers(-3, 4, size=(2, 9, 3)).astype(dtype)
    out = empty(x.shape, dtype)
    run("scan_columns", dtype, op, out=out, x=x, outer=2, length=9, inner=3)
    np.testing.assert_array_equal(out, SCAN[op](x, axis=1))
    rows = np.ascontiguousarray(x.swapaxes(1, 2)).reshape(6, 9)
    np.testing.assert_array_equal(scanned(op, rows, dtype), SCAN[op](rows, axis=1))


# -- sorting ---------------------------------------------------------------------------------------------------------


def sorted_along(x: np.ndarray, run_length: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Keys and indices that sort the middle axis of x, which comes last in them."""
    outer, length, inner = x.shape
    dtype = str(x.dtype)
    lines = outer * inner
    keys, ids = empty((lines, length), dtype), empty((lines, length), "int64")
    run("sort_blocks", dtype, sizes=dict(run=run_length), keys=keys, ids=ids, x=x, outer=outer, length=length,
        inner=inner)  # fmt: skip
    width = run_length
    while width < length:
        new_keys, new_ids = empty(keys.shape, dtype), empty(ids.shape, "int64")
        run("sort_merge", dtype, new_keys=new_keys, new_ids=new_ids, keys=keys, ids=ids, lines=lines, length=length,
            width=width)  # fmt: skip
        keys, ids, width = new_keys, new_ids, 2 * width
    return keys, ids


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 1), (2, 13, 3), (1, 70, 1)])
def test_sort_is_stable(dtype: str, shape: tuple[int, int, int]) -> None:
    x = np.random.default_rng(0).integers(0, 5, size=shape).astype(dtype)
    keys, ids = sorted_along(x)
    lines = np.moveaxis(x, 1, 2).reshape(-1, shape[1])
    np.testing.assert_array_equal(ids, np.argsort(lines, axis=1, kind="stable"))
    np.testing.assert_array_equal(keys, np.sort(lines, axis=1))


def test_sort_special_values() -> None:
    x = np.array([3, np.nan, -np.inf, 0.0, -0.0, np.inf, np.nan, -1, 0.0, np.inf, 2], "float32")
    keys, ids = sorted_along(x[None, :, None], 4)
    np.testing.assert_array_equal(ids[0], np.argsort(x, kind="stable"))
    np.testing.assert_array_equal(np.signbit(keys[0]), np.signbit(x[ids[0]]))


# -- moving elements -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 11, 19), (1, 8, 16), (3, 1, 9)])
def test_transpose(shape: tuple[int, int, int]) -> None:
    batches, rows, columns = shape
    x, out = draw(*shape), empty((batches, columns, rows))
    run("transpose", out=out, x=x, batches=batches, rows=rows, columns=columns)
    np.testing.assert_array_equal(out, x.swapaxes(1, 2))


@pytest.mark.parametrize("columns", [1, 5, 37])
def test_gather(columns: int) -> None:
    x, ids, status = draw(6, columns), np.array([5, -6, 0, 0, -1, 3, 2]), np.zeros(1, "int32")
    out = empty((7, columns))
    run("gather", out=out, x=x, ids=ids, status=status, count=7, length=6, columns=columns)
    np.testing.assert_array_equal(out, x[ids])
    assert status[0] == 0


@pytest.mark.parametrize("wrong", [6, -7])
def test_gather_outside(wrong: int) -> None:
    x, ids, status, out = draw(6, 3), np.array([1, wrong, 2]), np.zeros(1, "int32"), empty((3, 3))
    run("gather", out=out, x=x, ids=ids, status=status, count=3, length=6, columns=3)
    assert status[0] == 1
    np.testing.assert_array_equal(out[[0, 2]], x[[1, 2]])
    assert np.isnan(out[1]).all()


def scattered(out: np.ndarray, ids: np.ndarray, x: np.ndarray) -> int:
    """Add rows of x to rows of out in place; returns the status."""
    count, status, keys = len(ids), np.zeros(1, "int32"), empty(len(ids), "int64")
    run("positions", str(ids.dtype), out=keys, ids=ids, status=status, count=count, length=len(out))
    sorted_keys, order = sorted_along(keys[None, :, None])
    run("scatter_add", out=out, x=x, keys=sorted_keys[0], order=order[0], count=count, length=len(out),
        columns=x.shape[1])  # fmt: skip
    return int(status[0])


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("columns", [1, 6])
def test_scatter_add(dtype: str, columns: int) -> None:
    ids = np.random.default_rng(0).integers(-5, 5, size=19).astype(dtype)
    x, out = draw(19, columns), draw(5, columns, seed=1)
    want = out.copy()
    np.add.at(want, ids, x)
    assert scattered(out, ids, x) == 0
    # in the order of NumPy, so to the bit
    np.testing.assert_array_equal(out, want)


def test_scatter_add_outside() -> None:
    out = np.zeros((3, 2), "float32")
    assert scattered(out, np.array([0, 3, -4, 2]), np.ones((4, 2), "float32")) == 1
    np.testing.assert_array_equal(out, [[1, 1], [0, 0], [1, 1]])


# -- random numbers --------------------------------------------------------------------------------------------------


def block_of_four(out, counter, key):
    a, b, c, d = philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1])
    out[0] = a
    out[1] = b
    out[2] = c
    out[3] = d


# Random123, examples/kat_vectors: philox4x32 10
ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "answer"), ANSWERS)
def test_known_answers(counter: str, key: str, answer: str) -> None:
    counters, keys, want = (np.array([int(w, 16) for w in text.split()], "uint64") for text in (counter, key, answer))
    out = empty(4, "uint64")
    simulate(block_of_four, 1, 1, (out, counters, keys))
    np.testing.assert_array_equal(out, want)


def stream(name: str, dtype: str, count: int, begin: int = 0, seed: int = 5, **others: Any) -> np.ndarray:
    out = empty(count, dtype)
    run(name, dtype, out=out, count=count, begin=begin, stream=3, seed=seed, **others)
    return out


def test_streams_go_on_and_differ() -> None:
    whole = stream("random_bits", "uint32", 37)
    parts = [stream("random_bits", "uint32", n, begin) for n, begin in ((16, 0), (21, 16))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(whole, stream("random_bits", "uint32", 37, seed=6))
    # the words of the key are the halves of the seed, those of the counter of number and stream
    out = empty(4, "uint64")
    simulate(block_of_four, 1, 1, (out, np.array([FAR // 4 & 0xFFFFFFFF, FAR // 4 >> 32, 3, 0]), np.array([7, 1])))
    np.testing.assert_array_equal(stream("random_bits", "uint32", 4, begin=FAR, seed=2**32 + 7), out)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions(dtype: str) -> None:
    from scipy import stats  # takes a second

    kind = np.dtype(dtype).type
    u = stream("random_uniform", dtype, 999, low=kind(-1), high=kind(3))
    assert u.min() >= -1
    assert u.max() <= 3
    assert stats.kstest((u + 1) / 4, "uniform").pvalue > 0.01
    z = stream("random_normal", dtype, 999, mean=kind(2), deviation=kind(0.5))
    assert stats.kstest((z - 2) / 0.5, "norm").pvalue > 0.01
    np.testing.assert_array_equal(z[:8], stream("random_normal", dtype, 8, mean=kind(2), deviation=kind(0.5)))


def test_uniform_numbers_are_the_high_bits() -> None:
    words = stream("random_bits", "uint32", 8)
    zero, one = np.float32(0), np.float32(1)
    np.testing.assert_array_equal(stream("random_uniform", "float32", 8, low=zero, high=one), (words >> 8) * 2.0**-24)
    pairs = words.astype("uint64").reshape(4, 2)
    want = ((pairs[:, 0] << np.uint64(21)) | (pairs[:, 1] >> np.uint64(11))) * 2.0**-53
    np.testing.assert_array_equal(stream("random_uniform", "float64", 4, low=0.0, high=1.0), want)


# -- the table, and offsets of more than 32 bits -----------------------------------------------------------------------


def test_the_table_names_arguments_as_kernels_do() -> None:
    for name, kernel in KERNELS.items():
        made = kernel.make(kernel.dtypes[0])
        assert made.__code__.co_varnames[: made.__code__.co_argcount] == kernel.names(), name
        assert len(kernel.signature()) == len(kernel.names()), name


def test_gather_far_behind() -> None:
    x, out, first = draw(2, 4), empty((3, 4)), FAR // 4
    run("gather", out=out, x=Offset(x, FAR), ids=np.array([first, first + 1, -1]), status=np.zeros(1, "int32"), count=3,
        length=first + 2, columns=4)  # fmt: skip
    np.testing.assert_array_equal(out, x[[0, 1, 1]])


def test_moves_far_behind() -> None:
    x, out = draw(1, 8, 8), empty((1, 8, 8))
    first = FAR // 64
    # blocks along the third axis are at most 65,535, so batches are reached in steps
    arguments = dict(batches=first + 1, rows=8, columns=8)
    assert KERNELS["transpose"].launch(**arguments)[0][2] == 65_535
    simulate(KERNELS["transpose"].make(**KERNELS["transpose"].small), 1, (8, 4),
             (Offset(out, FAR), Offset(x, FAR), *arguments.values()), origin=(0, 0, first))  # fmt: skip
    np.testing.assert_array_equal(out, x.swapaxes(1, 2))


def test_scan_and_sort_far_behind() -> None:
    x, out, totals = draw(1, 32), empty((1, 32)), empty(1)
    row = FAR // 32
    simulate(KERNELS["scan_rows"].make(threads=8), 1, 8,
             (Offset(out, FAR), Offset(totals, row), Offset(x, FAR), row + 1, 32), origin=(0, row, 0))  # fmt: skip
    np.testing.assert_allclose(out, x.cumsum(1), rtol=1e-5, atol=1e-6)
    keys, ids = empty((1, 8)), empty((1, 8), "int64")
    line = FAR // 8
    simulate(KERNELS["sort_blocks"].make(run=8), 1, 8,
             (Offset(keys, FAR), Offset(ids, FAR), Offset(x[:, :8].copy(), FAR), line + 1, 8, 1),
             origin=(0, line, 0))  # fmt: skip
    np.testing.assert_array_equal(ids[0], np.argsort(x[0, :8]))

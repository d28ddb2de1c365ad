"""CUDA kernels in the simulator: scans, sorting, transposition."""

from __future__ import annotations

import numpy as np
import pytest
from numgraph.kernels.cuda.names import KERNELS

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


# -- the table, and offsets of more than 32 bits -----------------------------------------------------------------------


def test_the_table_names_arguments_as_kernels_do() -> None:
    for name, kernel in KERNELS.items():
        made = kernel.make(kernel.dtypes[0])
        assert made.__code__.co_varnames[: made.__code__.co_argcount] == kernel.names(), name
        assert len(kernel.signature()) == len(kernel.names()), name


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

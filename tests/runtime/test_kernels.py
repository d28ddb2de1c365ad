"""The kernels against NumPy: as Python on arrays, and compiled on pointers as generated code calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from numba import types
from numba.extending import register_jitable
from numgraph.kernels import products, scans, sorting

POINTED = {
    "bool": types.uint8, "uint8": types.uint8, "int8": types.int8, "int32": types.int32, "int64": types.int64,
    "uint64": types.uint64, "float32": types.float32, "float64": types.float64,
}  # fmt: skip
DTYPES = tuple(POINTED)
# (outer, length, inner)
LINES = [(1, 0, 1), (1, 1, 1), (1, 7, 1), (2, 8, 1), (1, 9, 3), (2, 33, 2), (0, 5, 1), (1, 5, 0), (1, 300, 1)]
# A kernel for pointers in place of the arguments, by their dtypes and the number of integers and floats behind them.
COMPILED: dict[Any, Any] = {}


def by_array(kernel: Callable[..., None], arrays: list[Any], *numbers: Any) -> None:
    """Run it as Python, with NumPy's scalars."""
    kernel(*arrays, *numbers)


def by_pointer(kernel: Callable[..., None], arrays: list[Any], *numbers: Any) -> None:
    """Run it as generated code does: compiled for typed pointers, without objects and without memory of its own."""
    key = (kernel, *(a.dtype.name for a in arrays), *(type(n) for n in numbers))
    if key not in COMPILED:
        pointers = [types.CPointer(POINTED[a.dtype.name]) for a in arrays]
        signature = types.void(*pointers, *map(numba.typeof, numbers))
        COMPILED[key] = numba.cfunc(signature, error_model="numpy", _nrt=False)(kernel)
    function = COMPILED[key].ctypes
    function(*(a.ctypes.data_as(t) for a, t in zip(arrays, function.argtypes, strict=False)), *numbers)


EXECUTORS = [by_array, by_pointer]
# Integers of the others are compiled as ops, in tests/language/test_compiled.py: LLVM takes a second for a sort.
RUNS = [(run, d) for run in EXECUTORS for d in DTYPES if run is by_array or d not in ("bool", "uint8", "int64")]


def drawn(dtype: str, size: int, seed: int = 0) -> Any:
    """Few different values, so that there are ties; NaN and infinities among floats."""
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return rng.choice(np.array([-np.inf, -2.5, -0.0, 0.0, 1.0, 3.0, np.inf, np.nan], dtype), size)
    low = 0 if dtype in ("bool", "uint8", "uint64") else -3
    values = rng.integers(low, 2 if dtype == "bool" else 4, size).astype(dtype)
    if dtype == "uint64":
        # beyond int64
        values[values == 3] = 2**64 - 1
    return values


@pytest.mark.parametrize(("run", "dtype"), RUNS)
def test_argsort(run: Any, dtype: str) -> None:
    for outer, length, inner in LINES:
        x = drawn(dtype, outer * length * inner)
        out = np.full(x.size, -1, np.int64)
        run(sorting.argsort, [out, x], outer, length, inner)
        expected = np.argsort(x.reshape(outer, length, inner), axis=1, kind="stable")
        assert np.array_equal(out.reshape(expected.shape), expected), (outer, length, inner)


@pytest.mark.parametrize("order", ["random", "sorted", "reversed", "equal"])
def test_argsort_of_a_long_line(order: str) -> None:
    x = np.random.default_rng(0).normal(size=20_001).astype("float32")
    x = {"random": x, "sorted": np.sort(x), "reversed": np.sort(x)[::-1].copy(), "equal": np.ones_like(x)}[order]
    out = np.empty(x.size, np.int64)
    by_pointer(sorting.argsort, [out, x], 1, x.size, 1)
    assert np.array_equal(out, np.argsort(x, kind="stable"))


def test_argsort_compares_no_more_than_a_merge_sort() -> None:
    counted = []

    @register_jitable
    def before(a: Any, b: Any) -> Any:
        counted.append(1)
        return a < b

    original, sorting.before = sorting.before, before
    try:
        n = 1024
        by_array(sorting.argsort, [np.empty(n, np.int64), np.random.default_rng(0).normal(size=n)], 1, n, 1)
    finally:
        sorting.before = original
    assert len(counted) < 1.5 * n * np.log2(n)


@pytest.mark.parametrize(("run", "dtype"), RUNS)
def test_nonzero(run: Any, dtype: str) -> None:
    for size in (0, 1, 50):
        mask = drawn(dtype, size)
        expected = np.flatnonzero(mask)
        out = np.full(expected.size + 1, -7, np.int64)
        run(sorting.nonzero, [out, mask], size, expected.size)
        assert np.array_equal(out[:-1], expected)
        assert out[-1] == -7


@pytest.mark.parametrize(("run", "dtype"), RUNS)
@pytest.mark.parametrize(("kernel", "numpy"), [(scans.cumsum, np.cumsum), (scans.cumprod, np.cumprod)])
def test_running_sums_and_products(run: Any, dtype: str, kernel: Any, numpy: Any) -> None:
    with np.errstate(all="ignore"):
        for outer, length, inner in LINES:
            x = drawn(dtype, outer * length * inner)
            expected = numpy(x.reshape(outer, length, inner), axis=1)
            out = np.full(x.size, 77, expected.dtype)
            run(kernel, [out, x], outer, length, inner)
            # float32 too to the last bit: NumPy adds one by one here
            assert np.array_equal(out.reshape(expected.shape), expected, equal_nan=dtype.startswith("float"))


@pytest.mark.parametrize("run", EXECUTORS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_others(run: Any, dtype: str) -> None:
    with np.errstate(all="ignore"):
        for outer, length, inner in [*LINES, (4, 5, 1), (7, 6, 1), (2, 1, 3)]:
            x = drawn(dtype, outer * length * inner)
            # enough ordinary elements that some products are no NaN
            x = np.where(np.random.default_rng(1).random(x.size) < 0.7, np.full_like(x, 1.25), x)
            lines = x.reshape(outer, length, inner).astype("float64")
            expected = np.empty_like(lines)
            for k in range(length):
                expected[:, k] = np.prod(np.delete(lines, k, axis=1), axis=1)
            out = np.full(x.size, 77.0)
            run(scans.others, [out, x], outer, length, inner)
            np.testing.assert_allclose(out.reshape(expected.shape), expected, rtol=1e-12)


@pytest.mark.parametrize("run", EXECUTORS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_recurrence(run: Any, dtype: str) -> None:
    for outer, length, inner in LINES[:-1]:
        rng = np.random.default_rng(1)
        a, b = (rng.integers(-1, 2, (outer, length, inner)).astype(dtype) for _ in range(2))
        expected = b.copy()
        for j in range(1, length):
            expected[:, j] = a[:, j] * expected[:, j - 1] + b[:, j]
        out = np.empty(a.size, dtype)
        run(scans.recurrence, [out, a.ravel(), b.ravel()], outer, length, inner)
        assert np.array_equal(out.reshape(expected.shape), expected)


SIZES = [(1, 1, 1), (3, 5, 4), (2, 7, 9), (5, 1, 130), (4, 600, 3), (3, 2, 0), (0, 3, 2), (3, 0, 2), (17, 70, 67)]


@pytest.mark.parametrize("run", EXECUTORS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)], ids=str)
def test_gemm(run: Any, dtype: str, transposed: tuple[bool, bool]) -> None:
    number = np.dtype(dtype).type
    for m, n, k in SIZES if run is by_pointer else SIZES[:3]:
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        strides = []
        flat = []
        for matrix, turned in zip((a, b), transposed, strict=True):
            rows, columns = matrix.shape
            strides += [1, rows] if turned else [columns, 1]
            flat.append(np.ascontiguousarray(matrix.T if turned else matrix).ravel())
        for alpha, beta in ((1, 0), (-0.5, 1), (2, 0.25)):
            # rows of out are two elements further apart than they are long
            out = np.full((m, n + 2), np.nan if beta == 0 else 1.0, dtype)
            out[:, n:] = 9
            expected = alpha * (a.astype("float64") @ b) + (beta if beta else 0)
            run(products.gemm, [out.reshape(-1), *flat], m, n, k, number(alpha), number(beta), *strides, n + 2)
            tolerance = 1e-4 if dtype == "float32" else 1e-12
            np.testing.assert_allclose(out[:, :n], expected, rtol=tolerance, atol=tolerance)
            assert (out[:, n:] == 9).all()


def test_gemm_writes_over_nan_only_with_beta_0() -> None:
    out = np.array([np.nan])
    by_pointer(products.gemm, [out, np.ones(1), np.ones(1)], 1, 1, 1, np.float64(1), np.float64(1), 1, 1, 1, 1, 1)
    assert np.isnan(out[0])
    by_pointer(products.gemm, [out, np.ones(1), np.ones(1)], 1, 1, 1, np.float64(1), np.float64(0), 1, 1, 1, 1, 1)
    assert out[0] == 1

"""cuBLAS without a device: the calls of nvmath.bindings.cublas that numgraph uses, with matrices by columns."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from enum import IntEnum
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.lib.stride_tricks import as_strided

from numgraph.cuda import blas
from numgraph.cuda.simdevice import SimulatedDevice

# Bytes that it gets to work in.
SPACE = 1 << 12


class Math(IntEnum):
    DEFAULT_MATH = 0
    TF32_TENSOR_OP_MATH = 3


class cuBLASError(Exception):  # noqa: N801  # as nvmath has it
    pass


class FakeCublas:
    """memory: `address -> bytes from there on`. later: is given what happens in the stream's order."""

    Math, cuBLASError = Math, cuBLASError

    def __init__(self, memory: Callable[[int], np.ndarray], later: Callable[[Callable[[], None]], Any]) -> None:
        self.memory, self.later = memory, later
        self.calls: list[tuple[Any, ...]] = []
        self.refuse = ""
        self.mode = Math.DEFAULT_MATH

    def create(self) -> int:
        return 1

    def set_stream(self, handle: int, stream: Any) -> None:
        self.calls.append(("set_stream", stream))

    def set_workspace(self, handle: int, address: int, size: int) -> None:
        assert len(self.memory(address)) >= size
        self.calls.append(("set_workspace", size))

    def set_math_mode(self, handle: int, mode: Math) -> None:
        self.mode = Math(mode)
        self.calls.append(("set_math_mode", self.mode.name))

    def names(self, part: str = "gemm") -> list[str]:
        return [name for name, *_ in self.calls if part in name]

    def sgemm(self, handle: int, *given: Any) -> None:
        self._one("sgemm", "float32", *given)

    def dgemm(self, handle: int, *given: Any) -> None:
        self._one("dgemm", "float64", *given)

    def sgemm_strided_batched(self, handle: int, *given: Any) -> None:
        self._stack("sgemm_strided_batched", "float32", *given)

    def dgemm_strided_batched(self, handle: int, *given: Any) -> None:
        self._stack("dgemm_strided_batched", "float64", *given)

    def _one(self, name: str, dtype: str, ta: int, tb: int, m: int, n: int, k: int, alpha: int, a: int, lda: int,
             b: int, ldb: int, beta: int, c: int, ldc: int) -> None:  # fmt: skip
        self._stack(name, dtype, ta, tb, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1)

    def _stack(self, name: str, dtype: str, ta: int, tb: int, m: int, n: int, k: int, alpha: int, a: int, lda: int,
               step_a: int, b: int, ldb: int, step_b: int, beta: int, c: int, ldc: int, step_c: int,
               count: int) -> None:  # fmt: skip
        """Everything is checked as cuBLAS does; what has no elements is not looked at."""
        self.calls.append((name, ta, tb, m, n, k, count))
        if self.refuse:
            raise cuBLASError(self.refuse)
        rows_a, rows_b = (k if ta else m), (n if tb else k)
        if min(m, n, k, count) < 0 or lda < max(1, rows_a) or ldb < max(1, rows_b) or ldc < max(1, m):
            raise cuBLASError("CUBLAS_STATUS_INVALID_VALUE (7)")
        kind = ctypes.c_float if dtype == "float32" else ctypes.c_double
        # factors are read at the call, matrices when their time comes
        factors = tuple(np.dtype(dtype).type(kind.from_address(p).value) for p in (alpha, beta))
        narrow = dtype == "float32" and self.mode == Math.TF32_TENSOR_OP_MATH

        def run() -> None:
            for at in range(count):
                left = self._matrix(dtype, a, at * step_a, (m, k), lda, ta)
                right = self._matrix(dtype, b, at * step_b, (k, n), ldb, tb)
                out = self._matrix(dtype, c, at * step_c, (m, n), ldc, 0)
                if narrow:
                    left, right = map(tf32, (left, right))
                product = (left.astype("float64") @ right.astype("float64")).astype(dtype) * factors[0]
                out[...] = product + factors[1] * out if factors[1] else product

        self.later(run)

    def _matrix(self, dtype: str, address: int, offset: int, shape: tuple[int, int], leading: int, turned: int) -> Any:
        """op(matrix), as a view of the memory; numgraph's memory ends where the matrix does, or later."""
        rows, columns = shape[::-1] if turned else shape
        width = np.dtype(dtype).itemsize
        assert address % width == 0
        if not rows or not columns:
            return np.empty(shape, dtype)
        size = (leading * (columns - 1) + rows) * width
        cells = self.memory(address + offset * width)[:size]
        assert len(cells) == size, "a matrix that ends outside of its memory"
        whole = as_strided(cells.view(dtype), (rows, columns), (width, leading * width))
        return whole.T if turned else whole


def tf32(x: np.ndarray) -> np.ndarray:
    """Rounded to 11 significant bits; towards zero, which is enough here."""
    return (np.ascontiguousarray(x).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


def with_cublas(device: SimulatedDevice) -> FakeCublas:
    """Give a simulated device a cuBLAS."""
    library = FakeCublas(device._bytes, lambda run: run())
    with patch.dict(blas.WORKSPACE, {9: SPACE}):
        device.blas = blas.Cublas(library, device)
    return library

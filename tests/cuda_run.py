"""Runs kernels of the table in the simulator, with the table's launches, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numgraph.kernels.cuda.names import KERNELS

from numgraph.cuda.compiler import compile_cubin
from numgraph.cuda.simulator import Offset, simulate
from tests.ptx_run import run_ptx


def run(
    name: str,
    dtype: str = "float32",
    op: str = "",
    origin: tuple[int, int, int] = (0, 0, 0),
    sizes: dict[str, Any] | None = None,
    compiled: bool = False,
    **arguments: Any,
) -> None:
    """Run a kernel with small blocks. arguments: by the names of the table. compiled: its PTX, not its source."""
    kernel = KERNELS[name]
    chosen = {**kernel.sizes, **kernel.small, **(sizes or {})}
    lengths = {key: value for key, value in arguments.items() if isinstance(value, int)}
    grid, block = kernel.launch(chosen, **lengths)
    grid = (*grid, 1, 1)[:3]
    grid = tuple(n - first for n, first in zip(grid, origin, strict=True))
    values = [arguments[key] for key in kernel.names()]
    for value, kind in zip(values, kernel.signature(dtype), strict=True):
        array = value.array if isinstance(value, Offset) else value
        assert isinstance(array, np.ndarray) == kind.endswith("*"), f"{name}: {value!r} is no {kind}"
        assert not isinstance(array, np.ndarray) or array.dtype == kind[:-1], f"{name}: {array.dtype} is no {kind}"
    function = kernel.make(dtype, op, **chosen)
    if compiled:
        run_ptx(compile_cubin(function, kernel.signature(dtype), (9, 0)).ptx, grid, block, values)
    else:
        simulate(function, grid, block, values, origin=origin)


def empty(shape: Any, dtype: str = "float32") -> np.ndarray:
    """An array that shows what was not written."""
    kind = np.dtype(dtype)
    return np.full(shape, np.nan if kind.kind == "f" else 0 if kind.kind == "b" else 99, kind)

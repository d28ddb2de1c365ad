"""A kernel on a CUDA device, with room for the parameters of its next launch."""

from __future__ import annotations

import ctypes
import functools
import math
import struct

import numpy as np

from numgraph.cuda.bindings import Handle
from numgraph.cuda.compiler import Cubin
from numgraph.cuda.device import MOST_BLOCKS, MOST_THREADS, Lengths, Parameters
from numgraph.errors import LaunchError

# How parameters are packed, each in 8 bytes.
FORMATS = {
    "bool": "?7x", "int8": "b7x", "uint8": "B7x", "int16": "h6x", "uint16": "H6x", "int32": "i4x", "uint32": "I4x",
    "int64": "q", "uint64": "Q", "float16": "e6x", "float32": "f4x", "float64": "d",
}  # fmt: skip


class CudaKernel:
    """A kernel of a cubin. compiled: what the assembler says of it; together: its blocks wait for one another."""

    def __init__(
        self, name: str, signature: tuple[str, ...], handle: Handle, compiled: Cubin, together: bool = False
    ) -> None:
        self.name, self.signature, self.handle, self.compiled = name, signature, handle, compiled
        self.together = together
        self.format = struct.Struct("=" + "".join("Q" if t.endswith("*") else FORMATS[t] for t in signature))
        self.values = bytearray(8 * max(1, len(signature)))
        begin = ctypes.addressof(ctypes.c_char.from_buffer(self.values))
        self.pointers = begin + 8 * np.arange(max(1, len(signature)), dtype=np.uint64)
        self.address = self.pointers.ctypes.data

    def pack(self, parameters: Parameters) -> None:
        """Put parameters where a launch reads them; LaunchError for those that do not fit."""
        try:
            self.format.pack_into(self.values, 0, *parameters)
        except (struct.error, OverflowError, TypeError) as error:
            taken = f"{self.name}({', '.join(self.signature)})"
            raise LaunchError(f"kernel {taken} cannot have the parameters {tuple(parameters)}: {error}") from None


@functools.lru_cache(maxsize=4096)
def checked_lengths(name: str, grid: Lengths, block: Lengths) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Three lengths each of a grid and a block; LaunchError for those that no device takes."""
    blocks = ((grid,) if isinstance(grid, int) else tuple(grid)) + (1, 1)
    threads = ((block,) if isinstance(block, int) else tuple(block)) + (1, 1)
    blocks, threads = blocks[:3], threads[:3]
    if not all(1 <= n <= most for n, most in zip(blocks, MOST_BLOCKS, strict=True)):
        raise LaunchError(f"kernel {name}: a grid has 1 to {MOST_BLOCKS} blocks, not {grid}")
    if min(threads) < 1 or math.prod(threads) > MOST_THREADS:
        raise LaunchError(f"kernel {name}: a block has 1 to {MOST_THREADS} threads, not {block}")
    return blocks, threads

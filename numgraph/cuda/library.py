"""Named kernels on a device: each is a few launches of hand-written kernels, worked out for the lengths of a call.

The table is `CALLS`, by the names that ops use (`Op.kernel`); those that are not in it run on one thread, from the same
source as on the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from numgraph.cuda.blas import product_of
from numgraph.cuda.device import Copying, Device, Product
from numgraph.types import COMPLEX

KERNELS: Any = import_module("numgraph.kernels.cuda.names").KERNELS
# kernel, grid, threads of a block, parameters; or a product by cuBLAS, or a copy
Launch = tuple[Any, Any, Any, tuple[int, ...]] | Product | Copying


@dataclass
class Call:
    """What a named kernel works on.

    pointers: addresses and dtypes of the result and the operands, C-contiguous; sizes: the numbers behind them. room:
    `(purpose, bytes) -> address` of memory that only this call uses. small: whether kernels are made with the sizes for
    the simulator. factors: alpha and beta of a product by cuBLAS; tf32: whether that may use TF32.
    """

    device: Device
    pointers: tuple[tuple[int, str], ...]
    sizes: tuple[int, ...]
    room: Callable[[str, int], int]
    small: bool
    factors: tuple[float, ...] = ()
    tf32: bool = False

    def launch(self, name: str, dtype: str, values: dict[str, int], op: str = "", **types: str) -> Launch:
        """The launch of a kernel of the table.

        values: its arguments by name; types: dtypes of pointers, where not those of the table.
        """
        kernel = KERNELS[name]
        signature = tuple(
            f"{types[key]}*" if key in types else kind
            for key, kind in zip(kernel.names(), kernel.signature(dtype), strict=True)
        )
        grid, block = kernel.launch(sizes_of(name, self.small), **values)
        device: Any = self.device
        code = _code(device, name, dtype, op, self.small, signature, int(np.prod(block)))
        return code, grid, block, tuple(values[key] for key in kernel.names())

    def size_of(self, name: str, key: str) -> int:
        """A size with which a kernel of the table is made."""
        return int(sizes_of(name, self.small)[key])


def sizes_of(name: str, small: bool) -> dict[str, Any]:
    """The sizes with which a kernel of the table is made."""
    kernel = KERNELS[name]
    return {**kernel.sizes, **(kernel.small if small else {})}


@cache
def _code(device: Any, name: str, dtype: str, op: str, small: bool, signature: tuple[str, ...], threads: int) -> Any:
    """A kernel of the table on a device, made once."""
    return device.load(KERNELS[name].make(dtype, op, **sizes_of(name, small)), signature, threads)


def ask(device: Device, launches: Iterable[Launch]) -> None:
    """Launch one by one."""
    for launch in launches:
        if isinstance(launch, Product):
            device.multiply(launch)
        elif isinstance(launch, Copying):
            device.copy(launch.to, launch.source, launch.size)
        else:
            device.launch(*launch)


def argsort(call: Call) -> Iterator[Launch]:
    """Runs sorted in shared memory, then merged; `out` takes turns with other memory, and has the last result."""
    (out, _), (x, dtype) = call.pointers
    outer, length, inner = call.sizes
    lines, run = outer * inner, call.size_of("sort_blocks", "run")
    if not lines * length:
        return
    dtype = "uint8" if dtype == "bool" else dtype
    size = np.dtype(dtype).itemsize
    merges = 0
    while run << merges < length:
        merges += 1
    keys = [call.room(f"keys {k}", lines * length * size) for k in range(2)]
    ids = [out if inner == 1 else call.room("ids 0", 8 * lines * length), call.room("ids 1", 8 * lines * length)]
    at = merges % 2
    first = dict(keys=keys[at], ids=ids[at], x=x, outer=outer, length=length, inner=inner)
    yield call.launch("sort_blocks", dtype, first)
    for k in range(merges):
        new = 1 - at
        pair = dict(new_keys=keys[new], new_ids=ids[new], keys=keys[at], ids=ids[at])
        yield call.launch("sort_merge", dtype, {**pair, "lines": lines, "length": length, "width": run << k})
        at = new
    if inner > 1:
        turned = dict(out=out, x=ids[0], batches=outer, rows=inner, columns=length)
        yield call.launch("transpose", "int64", turned)


def cumsum(call: Call) -> Iterator[Launch]:
    """Sums along the axis: see `_scan`."""
    return _scan(call, "sum")


def cumprod(call: Call) -> Iterator[Launch]:
    """Products along the axis: see `_scan`."""
    return _scan(call, "prod")


def _scan(call: Call, op: str) -> Iterator[Launch]:
    """Adjoining elements in chunks, whose totals are scanned in the same way; others by a thread per line."""
    (out, dtype), (x, source) = call.pointers
    outer, length, inner = call.sizes
    if not outer * length * inner:
        return
    if inner > 1 or dtype in COMPLEX:
        # shuffles take no complex numbers
        values = dict(out=out, x=x, outer=outer, length=length, inner=inner)
        yield call.launch("scan_columns", dtype, values, op, x=source)
    else:
        yield from _chunks(call, op, dtype, (out, x, source), outer, length)


def _chunks(
    call: Call, op: str, dtype: str, places: tuple[int, int, str], rows: int, length: int, depth: int = 0
) -> Iterator[Launch]:
    """The scan of rows: (result, elements, their dtype); the result may be where the elements are."""
    out, x, source = places
    chunk = 4 * call.size_of("scan_rows", "threads")
    chunks = -(-length // chunk)
    totals = call.room(f"totals {depth}", rows * chunks * np.dtype(dtype).itemsize)
    values = dict(out=out, totals=totals, x=x, rows=rows, length=length)
    yield call.launch("scan_rows", dtype, values, op, x=source)
    if chunks > 1:
        yield from _chunks(call, op, dtype, (totals, totals, dtype), rows, chunks, depth + 1)
        yield call.launch(
            "scan_carry", dtype, dict(out=out, totals=totals, rows=rows, length=length, chunks=chunks), op
        )


def gemm(call: Call) -> Iterator[Launch]:
    """By cuBLAS; sizes as `schedule.gridproduct` gives them."""
    addresses = tuple(address for address, _ in call.pointers)
    product = product_of(call.pointers[0][1], addresses, call.sizes, call.factors, call.tf32)
    if product is not None:
        yield product


CALLS: dict[str, Callable[[Call], Iterator[Launch]]] = {
    "sorting.argsort": argsort,
    "scans.cumsum": cumsum,
    "scans.cumprod": cumprod,
    "cublas.gemm": gemm,
}

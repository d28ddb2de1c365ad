"""Kernels one by one: the copy bandwidth, every kernel of the table against NumPy, products against cuBLAS."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from bench.gpu import cublas
from bench.gpu.cases import CASES, Problem, draw
from bench.gpu.tools import Context, Section, bits, least_seconds, placed, relative_error
from numgraph.cuda.array import DeviceArray, Memory, empty
from numgraph.cuda.blas import INSTALL

# Bytes of a copy, beyond every cache; the bytes of one that stays in the second-level cache of an H100.
COPIED, CACHED = 1 << 30, 1 << 23


def table() -> Any:
    """The kernels by name."""
    return import_module("numgraph.kernels.cuda.names").KERNELS


def bandwidth(context: Context, size: int) -> float:
    """Bytes per second that a copy on the device reads and writes."""
    device = context.device
    memory = Memory(device, 2 * size)
    device.clear(memory.address, 2 * size)
    return 2 * size / least_seconds(device, lambda: device.copy(memory.address + size, memory.address, size))


def copying(context: Context) -> Section:
    """What the device's own copy reaches, and uploads and downloads."""
    found = Section()
    rows = found.table("Copies", "bytes", "what", "GB/s, bytes read and written")
    for size in context.pick((1 << 12,), (CACHED, COPIED)):
        rows.append([size, "on the device", bandwidth(context, size) / 1e9])
    return found


def loaded(context: Context, name: str, dtype: str, sizes: dict[str, Any]) -> Any:
    """A kernel of the table, compiled for the blocks that it is launched with."""
    kernel = table()[name]
    threads = int(np.prod(kernel.threads(sizes)))
    return context.device.load(kernel.make(dtype, **sizes), kernel.signature(dtype), threads, kernel.min_blocks)


class Placed:
    """A problem on the device. launch: runs the kernel once."""

    def __init__(self, context: Context, name: str, problem: Problem, sizes: dict[str, Any]) -> None:
        kernel = table()[name]
        self.arrays: dict[str, DeviceArray] = {
            n: placed(context.device, a) for n, a in problem.arguments.items() if isinstance(a, np.ndarray)
        }
        given = {n: v for n, v in problem.arguments.items() if isinstance(v, int)}
        grid, block = kernel.launch(sizes, **given)
        code = loaded(context, name, problem.dtype, sizes)
        parameters = tuple(
            self.arrays[n].address if n in self.arrays else _number(problem.arguments[n]) for n in kernel.names()
        )
        self.launch: Callable[[], None] = lambda: context.device.launch(code, grid, block, parameters)

    def outputs(self, problem: Problem) -> list[Any]:
        """What the outputs hold."""
        return [np.asarray(self.arrays[n]) for n in problem.outputs]


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def table_of_kernels(context: Context, timed: bool = True) -> Section:
    """Every kernel: right at odd lengths, the same bits twice, and how fast at large ones."""
    found = Section()
    rows = found.table("Kernels", "kernel", "relative error", "two runs", "µs", "GB/s or GFLOP/s", "of a copy, or peak")
    limit = bandwidth(context, COPIED) if timed and not context.simulated else None
    for name, kernel in table().items():
        if context.over(found, f"kernel {name}"):
            break
        if name not in CASES:
            found.check(name, False, "the benchmark has no problem for this kernel")
            continue
        sizes = {**kernel.sizes, **(kernel.small if context.simulated else {})}
        error, same, tolerance = _checked(context, name, sizes)
        found.check(
            name, error <= tolerance and same, f"relative error {error:.2g}, {'' if same else 'not '}repeatable"
        )
        row: list[Any] = [name, error, "equal" if same else "differ"]
        right = found.checks[-1][1]
        rows.append(row + (_timed(context, name, sizes, limit) if limit is not None and right else [None, None, None]))
        gc.collect()
    return found


def _checked(context: Context, name: str, sizes: dict[str, Any]) -> tuple[float, bool, float]:
    """(the largest relative error, whether two runs are bit-equal, what is allowed)."""
    problem = CASES[name](sizes, context.pick("small", "odd"))
    runs = []
    for _ in range(2):
        current = Placed(context, name, problem, sizes)
        current.launch()
        runs.append(current.outputs(problem))
    error = max((relative_error(a, b) for a, b in zip(runs[0], problem.want(), strict=False)), default=0.0)
    return error, bits(runs[0]) == bits(runs[1]), problem.tolerance


def _timed(context: Context, name: str, sizes: dict[str, Any], limit: float) -> list[Any]:
    """[µs, rate, rate of the copy's]; for products Gflop/s and nothing."""
    problem = CASES[name](sizes, "large")
    current = Placed(context, name, problem, sizes)
    seconds = least_seconds(context.device, current.launch)
    if problem.flops:
        return [seconds * 1e6, problem.flops / seconds / 1e9, None]
    rate = problem.moved / seconds
    return [seconds * 1e6, rate / 1e9, rate / limit]


# -- products ---------------------------------------------------------------------------------------------------------

# (m, n, k): squares, and the shapes of training steps.
SHAPES = (
    *((n, n, n) for n in (128, 256, 512, 1024, 2048, 4096)),
    (20, 10, 784), (600, 10, 784), (6000, 10, 784),
    (20, 500, 784), (600, 500, 784), (6000, 500, 784), (784, 500, 600), (784, 500, 6000), (32, 4096, 1024),
    (8192, 64, 1024), (64, 64, 65_536),
)  # fmt: skip
# Of a product that are looked at, and their relative error at most.
ROWS, TOLERANCE = 16, 1e-4
TINY = ((17, 10, 12), (32, 32, 16))
PRODUCTS = ("product", "product_large", "product_whole_tiles", "skinny_product")


def products(context: Context) -> Section:
    """Own products against cuBLAS in true float32, over shapes: where which one is faster."""
    found = Section()
    other = None if context.simulated else cublas.find(context.device)
    found.facts["cuBLAS"] = other.how if other else f"not there: {INSTALL}"
    rows = found.table("Products", "m, n, k", *PRODUCTS, "cuBLAS", "best own / cuBLAS")
    for shape in context.pick(TINY, SHAPES):
        if context.over(found, f"shape {shape}"):
            break
        own = {name: _own(context, found, name, *shape) for name in PRODUCTS}
        theirs = _theirs(found, other, *shape) if other else None
        best = min((s for s in own.values() if s is not None), default=math.inf)
        flops = 2 * np.prod([float(x) for x in shape])
        cells = [None if s is None else flops / s / 1e9 for s in (*own.values(), theirs)]
        rows.append([", ".join(map(str, shape)), *cells, None if theirs is None else best / theirs])
    found.facts["unit"] = "Gflop/s; the last column is a ratio of times, below 1 numgraph is faster"
    return found


def product_sizes(context: Context, name: str, m: int, n: int, k: int) -> dict[str, Any] | None:
    """The factory's parameters of a product for a shape; None where it does not take the shape."""
    kernel = table()[name]
    sizes = {**kernel.sizes, **(kernel.small if context.simulated else {})}
    if name == "product_whole_tiles" and (m % sizes["tile_m"] or n % sizes["tile_n"] or k % sizes["depth"]):
        return None
    if name == "skinny_product":
        if n > 32:
            return None
        sizes |= {"columns": n, "rows": max(1, min(sizes["rows"], 64 // n))}
    return sizes


def _right(found: Section, name: str, got: Any, m: int, n: int, k: int) -> bool:
    """Whether a product of `draw(m, k)` and `draw(k, n, seed=1)` is right, as far as some of its rows say."""
    rows = np.unique(np.linspace(0, m - 1, min(m, ROWS)).astype(int))
    want = draw(m, k)[rows].astype(float) @ draw(k, n, seed=1).astype(float)
    error = relative_error(np.asarray(got)[rows], want)
    found.check(f"{name}, {m} x {n} x {k}", error <= TOLERANCE, f"relative error {error:.2g}")
    return error <= TOLERANCE


def _theirs(found: Section, other: cublas.Cublas, m: int, n: int, k: int) -> float | None:
    """Seconds of cuBLAS, if it is right."""
    product = other.product(m, n, k)
    product.run()
    return other.seconds(product) if _right(found, "cuBLAS", product.result(), m, n, k) else None


def _own(context: Context, found: Section, name: str, m: int, n: int, k: int) -> float | None:
    """Seconds of one of our products; None where it does not take the shape, or is wrong."""
    kernel = table()[name]
    sizes = product_sizes(context, name, m, n, k)
    if sizes is None:
        return None
    skinny, device = name == "skinny_product", context.device
    a, b, out = placed(device, draw(m, k)), placed(device, draw(k, n, seed=1)), empty(device, (m, n), "float32")
    steps = dict(x_row=k, w_row=n, w_col=1) if skinny else dict(n=n, a_row=k, a_col=1, b_row=n, b_col=1)
    given: dict[str, Any] = dict(m=m, k=k, **steps, out_row=n, alpha=1.0, beta=0.0)
    pointers = dict(out=out.address, x=a.address, w=b.address, a=a.address, b=b.address)
    grid, block = kernel.launch(sizes, **{key: v for key, v in given.items() if isinstance(v, int)})
    code = loaded(context, name, "float32", sizes)
    parameters = tuple((pointers | given)[key] for key in kernel.names())
    device.launch(code, grid, block, parameters)
    if not _right(found, name, out, m, n, k):
        return None
    return least_seconds(device, lambda: device.launch(code, grid, block, parameters), 0.01, 3)

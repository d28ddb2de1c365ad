"""A problem for every kernel of the table: arguments, what NumPy gives in float64, and the work.

`CASES[name](sizes, scale)` makes it; sizes are the factory's parameters, scale is "small" for the simulator, "odd" for
a check on a device, "large" for a timing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from bench.gpu.tools import Array, poisoned
from numgraph.op import OPS

Sizes = Mapping[str, Any]
SCALES = ("small", "odd", "large")


@dataclass
class Problem:
    """arguments: by name; arrays for pointers. outputs: the names of what is written. want: what that is in float64.

    moved: bytes that have to be read and written. flops: operations of a product, 0 where bytes decide.
    """

    arguments: dict[str, Any]
    outputs: tuple[str, ...]
    want: Callable[[], tuple[Array, ...]]
    dtype: str = "float32"
    flops: int = 0
    tolerance: float = 1e-5
    moved: int = field(default=0)

    def __post_init__(self) -> None:
        if not self.moved:
            self.moved = sum(a.nbytes for a in self.arguments.values() if isinstance(a, np.ndarray))


def lengths(scale: str, small: Any, odd: Any, large: Any) -> Any:
    """Those of a scale."""
    return {"small": small, "odd": odd, "large": large}[scale]


def draw(*shape: int, seed: int = 0) -> Array:
    """Normal float32 numbers."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def wide(x: Array) -> Array:
    """In float64, for what is wanted."""
    return x.astype(np.float64)


ONE, ZERO = np.float32(1), np.float32(0)


def product(sizes: Sizes, scale: str, a_along: bool = True, b_along: bool = False, whole: bool = False) -> Problem:
    """a @ b, stored as the kernel loads them."""
    m, n, k = lengths(scale, (19, 21, 11), (333, 210, 127), (2048, 2048, 2048))
    if whole:
        m, n, k = (-(-x // t) * t for x, t in zip((m, n, k), (sizes["tile_m"], sizes["tile_n"], 8), strict=True))
    a, b = draw(m, k), draw(k, n, seed=1)
    steps = dict(a_row=k, a_col=1) if a_along else dict(a_row=1, a_col=m)
    steps |= dict(b_row=1, b_col=k) if b_along else dict(b_row=n, b_col=1)
    stored = a if a_along else np.ascontiguousarray(a.T), np.ascontiguousarray(b.T) if b_along else b
    arguments = dict(out=poisoned((m, n), "float32"), a=stored[0], b=stored[1], m=m, n=n, k=k, **steps, out_row=n,
                     alpha=ONE, beta=ZERO)  # fmt: skip
    return Problem(arguments, ("out",), lambda: (wide(a) @ wide(b),), flops=2 * m * n * k)


def product_of_step(sizes: Sizes, scale: str, b_along: bool = False) -> Problem:
    """h @ U, as a step of a recurrent network has it."""
    m, n, k = lengths(scale, (5, 9, 11), (33, 210, 127), (32, 1024, 256))
    a, b = draw(m, k), draw(k, n, seed=1)
    steps = dict(b_row=1, b_col=k) if b_along else dict(b_row=n, b_col=1)
    stored = np.ascontiguousarray(b.T) if b_along else b
    arguments = dict(out=poisoned((m, n), "float32"), a=a, b=stored, m=m, n=n, k=k, a_row=k, a_col=1, **steps,
                     out_row=n, alpha=ONE, beta=ZERO)  # fmt: skip
    return Problem(arguments, ("out",), lambda: (wide(a) @ wide(b),), flops=2 * m * n * k)


def skinny_product(sizes: Sizes, scale: str) -> Problem:
    """x @ w for few columns."""
    m, k = lengths(scale, (5, 70), (601, 784), (60_000, 784))
    columns = sizes["columns"]
    x, w = draw(m, k), draw(k, columns, seed=1)
    arguments = dict(out=poisoned((m, columns), "float32"), x=x, w=w, m=m, k=k, x_row=k, w_row=columns, w_col=1,
                     out_row=columns, alpha=ONE, beta=ZERO)  # fmt: skip
    return Problem(arguments, ("out",), lambda: (wide(x) @ wide(w),))


def skinny_contraction(sizes: Sizes, scale: str) -> Problem:
    """x.T @ d in parts of the rows."""
    m, k, part = lengths(scale, (21, 9, 8), (601, 784, 200), (60_000, 784, 2000))
    columns = sizes["columns"]
    x, d = draw(m, k), draw(m, columns, seed=1)
    starts = range(0, m, part)

    def want() -> tuple[Array, ...]:
        return (np.stack([wide(x[s : s + part]).T @ wide(d[s : s + part]) for s in starts]),)

    arguments = dict(out=poisoned((len(starts), k, columns), "float32"), x=x, d=d, m=m, k=k, part=part, x_row=k,
                     d_row=columns, out_row=columns, out_part=k * columns, alpha=ONE, beta=ZERO)  # fmt: skip
    return Problem(arguments, ("out",), want)


def convolution(sizes: Sizes, scale: str, what: str = "convolve") -> Problem:
    """One of a convolution, with margins, and its two adjoints."""
    images, c, k, side, window = lengths(scale, (3, 2, 5, 6, 3), (7, 19, 33, 23, 3), (64, 64, 128, 57, 3))
    stride, attributes = sizes["stride"], dict(stride=sizes["stride"], dilation=sizes["dilation"], groups=1)
    pixels = [(side + 2 - window) // s + 1 for s in stride[1:]]
    x, w, g = draw(images, c, 1, side, side), draw(k, c, 1, window, window, seed=1), draw(images, k, 1, *pixels, seed=2)
    numbers = (images, 1, c, k, 1, side, side, 1, window, window, 1, *pixels, *stride, *sizes["dilation"], 0, 1, 1)
    names = import_module("numgraph.kernels.cuda.names").GEOMETRY
    parts, low = min(images, 16), (0, 1, 1)
    operands, ends, shape = {
        "convolve": ({"x": x, "w": w}, (*low, *low), g.shape),
        "convolution_images": ({"g": g, "w": w}, (1, side, side, *low), x.shape),
        "convolution_sums": ({"x": x, "g": g}, (1, window, window, *low, parts), (parts, 1, c * window * window, k)),
    }[what]
    arguments = dict(out=poisoned(shape, "float32"), **operands, **dict(zip(names, numbers, strict=True)))
    arguments |= {"parts": parts} if what == "convolution_sums" else {}
    found = OPS[what]
    return Problem(arguments, ("out",), lambda: (found.numpy(*map(wide, operands.values()), *ends, **attributes),),
                   flops=2 * images * c * k * window * window * math.prod(pixels))  # fmt: skip


def scan_rows(sizes: Sizes, scale: str) -> Problem:
    """Cumulative sums within chunks, and the sums of chunks."""
    rows, length = lengths(scale, (2, 75), (101, 5003), (64, 1 << 20))
    chunk = 4 * sizes["threads"]
    x = draw(rows, length)
    chunks = -(-length // chunk)

    def want() -> tuple[Array, ...]:
        padded = np.zeros((rows, chunks * chunk))
        padded[:, :length] = x
        sums = padded.reshape(rows, chunks, chunk).cumsum(axis=2)
        return sums.reshape(rows, -1)[:, :length], sums[:, :, -1]

    arguments = dict(out=poisoned(x.shape, "float32"), totals=poisoned((rows, chunks), "float32"), x=x, rows=rows,
                     length=length)  # fmt: skip
    return Problem(arguments, ("out", "totals"), want)


def scan_carry(sizes: Sizes, scale: str) -> Problem:
    """What comes before a chunk is added to it."""
    rows, length = lengths(scale, (2, 75), (101, 5003), (64, 1 << 20))
    chunk = sizes["chunk"]
    chunks = -(-length // chunk)
    out, totals = draw(rows, length), draw(rows, chunks, seed=1)

    def want() -> tuple[Array, ...]:
        before = np.concatenate([np.zeros((rows, 1)), wide(totals)[:, :-1]], axis=1)
        return (wide(out) + np.repeat(before, chunk, axis=1)[:, :length],)

    arguments = dict(out=out, totals=totals, rows=rows, length=length, chunks=chunks)
    return Problem(arguments, ("out",), want, moved=2 * out.nbytes)


def scan_columns(sizes: Sizes, scale: str) -> Problem:
    """Cumulative sums over the middle axis."""
    outer, length, inner = lengths(scale, (2, 9, 3), (3, 101, 77), (8, 64, 65_536))
    x = draw(outer, length, inner)
    arguments = dict(out=poisoned(x.shape, "float32"), x=x, outer=outer, length=length, inner=inner)
    return Problem(arguments, ("out",), lambda: (wide(x).cumsum(axis=1),))


def _runs(lines: Array, width: int) -> Array:
    """The indices that sort each run of `width`."""
    starts = range(0, lines.shape[1], width)
    return np.concatenate([s + np.argsort(lines[:, s : s + width], axis=1, kind="stable") for s in starts], axis=1)


def sort_blocks(sizes: Sizes, scale: str) -> Problem:
    """Runs, each sorted."""
    outer, length, inner = lengths(scale, (2, 13, 3), (3, 1201, 7), (64, 1 << 14, 1))
    x = np.round(8 * draw(outer, length, inner))
    lines = np.moveaxis(x, 1, 2).reshape(-1, length)

    def want() -> tuple[Array, ...]:
        ids = _runs(lines, sizes["run"])
        return np.take_along_axis(lines, ids, 1), ids

    arguments = dict(keys=poisoned(lines.shape, "float32"), ids=poisoned(lines.shape, "int64"), x=x, outer=outer,
                     length=length, inner=inner)  # fmt: skip
    return Problem(arguments, ("keys", "ids"), want, tolerance=0)


def sort_merge(sizes: Sizes, scale: str) -> Problem:
    """Two runs to one."""
    lines, length, width = lengths(scale, (3, 13, 8), (21, 901, 512), (64, 1 << 14, 1 << 13))
    x = np.round(8 * draw(lines, length))
    ids = _runs(x, width)

    def want() -> tuple[Array, ...]:
        whole = np.argsort(x, axis=1, kind="stable")
        return np.take_along_axis(x, whole, 1), whole

    arguments = dict(new_keys=poisoned(x.shape, "float32"), new_ids=poisoned(x.shape, "int64"),
                     keys=np.take_along_axis(x, ids, 1), ids=ids, lines=lines, length=length, width=width)  # fmt: skip
    return Problem(arguments, ("new_keys", "new_ids"), want, tolerance=0)


def transpose(sizes: Sizes, scale: str) -> Problem:
    """Of each matrix."""
    batches, rows, columns = lengths(scale, (2, 11, 19), (3, 333, 210), (1, 8192, 8192))
    x = draw(batches, rows, columns)
    arguments = dict(
        out=poisoned((batches, columns, rows), "float32"), x=x, batches=batches, rows=rows, columns=columns
    )
    return Problem(arguments, ("out",), lambda: (x.swapaxes(1, 2),), tolerance=0)


def of(function: Callable[..., Problem], **options: Any) -> Callable[[Sizes, str], Problem]:
    """A case with options."""
    return lambda sizes, scale: function(sizes, scale, **options)


CASES: dict[str, Callable[[Sizes, str], Problem]] = {
    "product": product,
    "product_b_along": of(product, b_along=True),
    "product_a_across": of(product, a_along=False),
    "product_large": product,
    "product_whole_tiles": of(product, whole=True),
    "skinny_product": skinny_product,
    "skinny_contraction": skinny_contraction,
    "product_of_step": product_of_step,
    "product_of_step_along": of(product_of_step, b_along=True),
    "convolution": convolution,
    "convolution_images": of(convolution, what="convolution_images"),
    "convolution_filters": of(convolution, what="convolution_sums"),
    "scan_rows": scan_rows,
    "scan_carry": scan_carry,
    "scan_columns": scan_columns,
    "sort_blocks": sort_blocks,
    "sort_merge": sort_merge,
    "transpose": transpose,
}

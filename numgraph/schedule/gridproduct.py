"""What computes a product: which function of `kernels/cuda/products.py`, or cuBLAS; and kernels that are products in
tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from numgraph.ir import Graph
from numgraph.lengths import dims
from numgraph.lengths.known import at_least, full_length
from numgraph.lengths.sources import varies
from numgraph.op import Tiles
from numgraph.schedule.tasks import KernelCall, Task
from numgraph.schedule.tasks import Product as ProductTask

# Functions that make kernels of products.
SKINNY_ROWS, SKINNY_COLUMNS, TILED = "skinny_rows", "skinny_columns", "tiled"
# A side of up to this many is skinny: the sums of a thread for all of it stay in registers.
SKINNY = 32
# Columns of the left matrix that a block of `skinny_columns` makes: those of one sector of memory.
WIDTH = 8
# Products all of whose lengths are at least this are left to cuBLAS, where the device has it: below, a product takes
# little longer than its launch, and own kernels are as good. An estimate, to be set from the table "Products" that
# `python -m bench gpu` makes.
LARGE = 128
# Matrices of a stack may be shorter by this factor: own code for stacks has a thread per element and no tiles.
STACKED = 8
# Bytes of the sums that a thread has of a tile, at most: half of its registers or less.
SUMS = 256
# Lengths that a kernel in tiles is told, up to which it has the registers that its tile allows.
FEW = 8
# Blocks along the second axis of a grid, which ends at 65,535, before the third one goes on.
HALF = 1 << 15
# Blocks along the first axis, at most, and the largest number that cuBLAS takes.
MOST = 2**31 - 1


class Patch(NamedTuple):
    """A tile of a product: its rows and columns, and how many of either a thread has. resident: how many blocks a
    multiprocessor is to hold, which bounds a thread's registers."""

    rows: int
    columns: int
    thread_rows: int
    thread_columns: int
    resident: int = 1

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.rows * self.columns // (self.thread_rows * self.thread_columns)


@dataclass(frozen=True)
class Choice:
    """maker: the function that makes the kernel, of a module in `kernels/cuda`; options: its arguments behind the
    dtype, as text. numbers: lengths and strides that the kernel gets. grid: for each axis (count, per block, most).
    threads: of a block, resident: blocks that a multiprocessor is to hold. why: in words. rows, columns: of the result
    that a block makes, columns being 0 for all.
    """

    maker: str
    options: str
    numbers: tuple[Any, ...]
    grid: tuple[tuple[Any, int, int], ...]
    threads: int
    why: str
    rows: int
    columns: int = 0
    module: str = "products"
    resident: int = 1


def maker_of(graph: Graph, task: Task) -> str:
    """The function that makes the kernel of a product of two matrices, or of what is one in tiles; "" for a stack of
    products, and other tasks. Blocks of a skinny one make whole rows of the result, those of a tiled one tiles."""
    if (tiles := tiles_of(task)) is not None:
        return TILED if tiles.result else ""
    if not isinstance(task, ProductTask) or len(task.node.dims) != 2:
        return ""
    n = graph.find(task.node.dims[1])
    (a_row, a_col), (_, b_col) = ((graph.find(s) for s in view.strides) for view in task.views)
    if isinstance(n, int) and 1 <= n <= SKINNY:
        if _is_one(a_col):
            return SKINNY_ROWS
        if _is_one(a_row) and _is_one(b_col):
            return SKINNY_COLUMNS
    return TILED


def tiles_of(task: Task) -> Tiles | None:
    """What the record of a kernel says of tiles; None for other tasks."""
    kernel = task.node.op.kernel if isinstance(task, KernelCall) and task.node.op is not None else None
    return kernel.tiles if kernel is not None else None


def choose_product(graph: Graph, task: Task, geometry: Any) -> Choice | None:
    """The choice for a product of two matrices, or a kernel whose record has tiles; None for a stack of products."""
    if tiles_of(task) is not None:
        return choose_tiles(graph, task, geometry)
    maker = maker_of(graph, task)
    if not maker:
        return None
    m, n = (graph.find(length) for length in task.node.dims)
    left, right = task.views
    k = graph.find(left.lengths[-1])
    a_row, a_col = (graph.find(s) for s in left.strides)
    b_row, b_col = (graph.find(s) for s in right.strides)
    threads = geometry.skinny
    if maker == SKINNY_ROWS:
        rows = max(1, min(4, geometry.sums // n))
        return Choice(
            maker, f"{n}, {rows}, {threads}", (m, k, a_row, b_row, b_col, n), ((m, rows, MOST),), threads,
            f"few columns ({n}): the threads of a block divide the sums of {rows} rows", rows,
        )  # fmt: skip
    if maker == SKINNY_COLUMNS:
        # few blocks have to read all of x: as many threads for each as there are rows for
        threads, rows = geometry.columns, full_length(k)
        while rows is not None and threads > geometry.skinny and threads >= 2 * WIDTH * rows:
            threads //= 2
        return Choice(
            maker, f"{n}, {WIDTH}, {threads}", (k, m, k, a_col, b_row, n, 0), ((m, WIDTH, MOST),), threads,
            f"few columns ({n}): each block makes {WIDTH} rows of the result", WIDTH,
        )  # fmt: skip
    tile, each, depth = next((t for t in geometry.tiles if _blocks(m, n, t[0]) >= geometry.wanted), geometry.tiles[-1])
    along = f"a_along={_is_one(a_col)}, b_along={_is_one(b_row) and not _is_one(b_col)}"
    return Choice(
        maker, f"{tile}, {tile}, {depth}, {each}, {each}, {along}", (m, n, k, a_row, a_col, b_row, b_col, n),
        ((n, tile, MOST), (m, tile, HALF), (m, tile * HALF, HALF)), tile * tile // (each * each),
        f"tiles of {tile} x {tile}", tile, tile,
    )  # fmt: skip


def choose_tiles(graph: Graph, task: Task, geometry: Any) -> Choice:
    """The choice for a kernel whose record has tiles."""
    about = tiles_of(task)
    assert about is not None
    sizes = [graph.find(n) for n in task.sizes]
    rows, columns, stack = about.extents(*sizes)
    tile = _tile(rows, columns, stack, np.dtype(task.node.dtype).itemsize, geometry)
    options: dict[str, Any] = dict(zip(("tile_m", "tile_n", "thread_m", "thread_n"), tile[:4], strict=True))
    options |= dict(deep=geometry.deep, entries=geometry.entries, **about.options(*sizes))
    options["inside"] = all(at_least(length, least) for length, least in about.inside(*sizes))
    # numbers that are not known before a call take registers
    resident = tile.resident if sum(not isinstance(n, int) for n in sizes) <= FEW else max(tile.resident - 1, 1)
    module, _, maker = about.maker.rpartition(".")
    return Choice(
        maker, ", ".join(f"{name}={value}" for name, value in options.items()), task.sizes,
        ((blocks(rows, tile.rows) * blocks(columns, tile.columns) * stack, 1, MOST),), tile.threads,
        f"tiles of {tile.rows} x {tile.columns}", tile.rows, tile.columns, module, resident,
    )  # fmt: skip


def _tile(rows: Any, columns: Any, stack: Any, itemsize: int, geometry: Any) -> Patch:
    """The tile of a product: none that a smaller one would hold all rows or columns of, or whose sums are too much for
    a thread; the largest of these of which there are as many blocks as a device wants, else the smallest. Unknown
    lengths are long. Either side may be a few."""
    m, n = full_length(rows), full_length(columns)
    few: tuple[Patch, Patch] = geometry.narrow
    every: list[Patch] = [t for t in geometry.patches if t.thread_rows * t.thread_columns * itemsize <= SUMS]
    if m is not None and m <= few[0].rows:
        return few[0]
    if n is not None and n <= few[1].columns:
        return few[1]
    fitting = [t for t in every if t.rows <= _holding(m, {t.rows for t in every})
               and t.columns <= _holding(n, {t.columns for t in every})]  # fmt: skip
    count = full_length(stack)
    if m is None or n is None or count is None:
        return fitting[0]
    numbers = (blocks(m, t.rows) * blocks(n, t.columns) * count for t in fitting)
    return next((t for t, found in zip(fitting, numbers, strict=True) if found >= geometry.wanted), fitting[-1])


def _holding(length: int | None, sides: set[int]) -> int:
    """The shortest side of a tile that is as long as a length, else the longest."""
    return min((side for side in sides if length is not None and side >= length), default=max(sides))


def blocks(count: Any, each: int) -> Any:
    """How many blocks it takes for a count, each doing so many."""
    return (count + (each - 1)) // each


def blocks_of(choice: Choice) -> Any:
    """How many blocks there are in all."""
    counts = [dims.minimum(dims.maximum(blocks(n, each), 1), most) for n, each, most in choice.grid]
    return dims.product(counts)


def cublas_sizes(graph: Graph, task: Task, large: int | None) -> tuple[Any, ...] | None:
    """Lengths and strides for `cuda.blas.product_of` if cuBLAS is to compute a product, else None.

    large: the least length, None where there is no cuBLAS. They are m, n, k, the two strides of either operand, and
    the length of a stack with its stride in either operand. What is known of them before a call decides.
    Nothing may depend on the value of an argument: places of windows are worked out by the host here, so that each
    value would need a recording of its own, and a sweep would not replay one. Factors have to be constants.
    """
    left, right = task.views
    m, n = task.node.dims[-2:]
    k, stack = left.lengths[-1], task.node.dims[:-2]
    if large is None or not all(v.is_number for v in task.factors):
        return None
    full = [*map(full_length, (m, n, k))]
    # of a single row both strides may be 1
    least = max(2, large // STACKED) if stack else large
    strides = [graph.find(s) for view in task.views for s in view.strides[-2:]]
    if any(length is None or not least <= length <= MOST for length in full) or not _leading(full, strides):
        return None
    sizes = [*(graph.find(length) for length in (m, n, k)), *strides]
    for axis, length in enumerate(stack):
        sizes += [graph.find(s) for s in (length, left.strides[axis], right.strides[axis])]
    return None if any(map(varies, (*sizes, left.offset, right.offset))) else tuple(sizes)


def _leading(full: Sequence[Any], strides: Sequence[Any]) -> bool:
    """Whether one stride of either operand is 1 and the other steps over all that lie side by side."""
    m, n, k = full
    for row, column, rows, columns in ((*strides[:2], m, k), (*strides[2:], k, n)):
        if not (isinstance(row, int) and isinstance(column, int) and max(row, column) <= MOST):
            return False
        if not ((column == 1 and row >= columns) or (row == 1 and column >= rows)):
            return False
    return True


def _is_one(stride: Any) -> bool:
    return isinstance(stride, int) and stride == 1


def _blocks(m: Any, n: Any, tile: int) -> int:
    """Blocks of threads for tiles of this size; lengths that are not known count as one tile."""
    return -(-(full_length(m) or 1) // tile) * -(-(full_length(n) or 1) // tile)

"""Which function of `kernels/cuda/products.py` computes a product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numgraph.ir import Graph
from numgraph.schedule.bounds import full_length
from numgraph.schedule.items import Item

# A side of up to this many is skinny: the sums of a thread for all of it stay in registers.
SKINNY = 32
# Columns of the left matrix that a block of `skinny_columns` makes: those of one sector of memory.
WIDTH = 8


@dataclass(frozen=True)
class Choice:
    """maker: the function that makes the kernel; options: its arguments behind the dtype, as text. numbers: lengths and
    strides that the kernel gets. grid: for each axis (count, per block). threads: of a block. why: in words."""

    maker: str
    options: str
    numbers: tuple[Any, ...]
    grid: tuple[tuple[Any, int], ...]
    threads: int
    why: str


def choose_product(graph: Graph, item: Item, geometry: Any) -> Choice | None:
    """The choice for a product of two matrices; None for a stack of products."""
    if len(item.node.dims) != 2:
        return None
    m, n = (graph.find(length) for length in item.node.dims)
    left, right = item.views
    k = graph.find(left.lengths[-1])
    a_row, a_col = (graph.find(s) for s in left.strides)
    b_row, b_col = (graph.find(s) for s in right.strides)
    if isinstance(n, int) and 1 <= n <= SKINNY:
        threads = geometry.skinny
        if _is_one(a_col):
            rows = max(1, min(4, geometry.sums // n))
            return Choice(
                "skinny_rows", f"{n}, {rows}, {threads}", (m, k, a_row, b_row, b_col, n), ((m, rows),), threads,
                f"few columns ({n}): the threads of a block divide the sums of {rows} rows",
            )  # fmt: skip
        if _is_one(a_row) and _is_one(b_col):
            return Choice(
                "skinny_columns", f"{n}, {WIDTH}, {threads}", (k, m, k, a_col, b_row, n, 0), ((m, WIDTH),), threads,
                f"few columns ({n}): each block makes {WIDTH} rows of the result",
            )  # fmt: skip
    tile, each, depth = next(
        (t for t in geometry.tiles if _blocks(graph, m, n, t[0]) >= geometry.wanted), geometry.tiles[-1]
    )
    along = f"a_along={_is_one(a_col)}, b_along={_is_one(b_row) and not _is_one(b_col)}"
    return Choice(
        "tiled", f"{tile}, {tile}, {depth}, {each}, {each}, {along}", (m, n, k, a_row, a_col, b_row, b_col, n),
        ((n, tile), (m, tile)), tile * tile // (each * each), f"tiles of {tile} x {tile}",
    )  # fmt: skip


def _is_one(stride: Any) -> bool:
    return isinstance(stride, int) and stride == 1


def _blocks(graph: Graph, m: Any, n: Any, tile: int) -> int:
    """Blocks of threads for tiles of this size; lengths that are not known count as one tile."""
    return -(-(full_length(graph, m) or 1) // tile) * -(-(full_length(graph, n) or 1) // tile)

"""numgraph's own matrix products, which functions find by the address in their table.

There are two units for a dtype, each compiled once on a machine for all functions. Products by tiles are one. Products
of few columns by dot products are another, with the micro-kernels for the columns that are wanted, since no function
has products of all widths, and most have none that is so narrow.
"""

from __future__ import annotations

from functools import cache as remember

import numpy as np
from numpy.typing import NDArray

from numgraph.runtime import native

_TILES = '''"""numgraph: {name}, for all functions"""

from numgraph.kernels.support import c_function, written_out
from numgraph.kernels.tiles import {name}


@c_function("void({types})")
@written_out
def enter(pair, m0, m1, n0, n1, m, n, k, near, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch):
    {name}(pair, m0, m1, n0, n1, m, n, k, near, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch)
'''
_DOTS = '''"""numgraph: {name}, {columns} columns at a time, for all functions"""

from numgraph.kernels.dots import {name}
from numgraph.kernels.support import c_function, only, written_out


@c_function("void({types})")
@written_out
@only(dots={numbers})
def enter(length, m, n, k, near, a, a_row, b, b_row, b_col, out, out_row, scalars, space):
    {name}(length, m, n, k, near, a, a_row, b, b_row, b_col, out, out_row, scalars, space)
'''


def tiles_source(dtype: str) -> str:
    """The module that has the product for "float32" or "float64" as its entry."""
    kinds = ["int64"] * 9 + [dtype] + ["int64"] * 6 + [dtype] + ["int64"] * 3
    return _TILES.format(name=f"{_letter(dtype)}gemm_tile", types=", ".join(kinds))


def dots_source(dtype: str, columns: tuple[int, ...]) -> str:
    """The module that has products by dot products as its entry, `columns` at a time, each 1 to 6, and no other
    numbers of them."""
    return _DOTS.format(
        name=f"{_letter(dtype)}dots",
        types=", ".join(["int64"] * 14),
        columns=" or ".join(map(str, columns)),
        numbers=tuple(c - 1 for c in columns),
    )


def _letter(dtype: str) -> str:
    return "s" if dtype == "float32" else "d"


@remember
def _pair(tiles: int, dots: int) -> NDArray[np.int64]:
    return np.array([tiles, dots], np.int64)


def begin(dtype: str, columns: tuple[int, ...]) -> None:
    """Load the code of products for "float32" or "float64", or lower it now; what is compiled next has its machine code
    made meanwhile. columns: as for `dots_source`; () where no product is one of dot products."""
    if columns:
        native.unit(dots_source(dtype, columns))
    # last, since it takes longest
    native.unit(tiles_source(dtype))


def product_address(dtype: str, columns: tuple[int, ...]) -> int:
    """The address of the pair of addresses that products are told, see `kernels.tiles`; their code is loaded, or
    compiled now. dtype, columns: as for `begin`."""
    begin(dtype, columns)
    dots = native.unit(dots_source(dtype, columns))().address if columns else 0
    return int(_pair(native.unit(tiles_source(dtype))().address, dots).ctypes.data)

"""numgraph's own matrix products, which functions find by the address in their table.

There are three units for a dtype, each compiled once on a machine for all functions. Products by tiles are one.
Products of few columns by dot products are another, with the micro-kernels for the columns that are wanted, since no
function has products of all widths, and most have none that is so narrow. The third has products whose rows are no
longer than a vector, for processors of AVX-512.
"""

from __future__ import annotations

from functools import cache as remember
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numgraph.processor import processor
from numgraph.runtime import native

if TYPE_CHECKING:
    from numgraph.convention import Products

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
_PARTS = '''"""numgraph: {name}, for all functions"""

from numgraph.kernels.parts import {name}
from numgraph.kernels.support import c_function, written_out


@c_function("void({types})")
@written_out
def enter(m, k, lanes, s, s_row, s_step, v, v_step, out, out_row, scalars):
    {name}(m, k, lanes, s, s_row, s_step, v, v_step, out, out_row, scalars)
'''
# Bytes of the vectors of which parts are loaded and stored.
IN_PARTS = 64


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


def parts_source(dtype: str) -> str:
    """The module that has products of a part of a vector as its entry."""
    return _PARTS.format(name=f"{_letter(dtype)}parts", types=", ".join(["int64"] * 11))


def _letter(dtype: str) -> str:
    return "s" if dtype == "float32" else "d"


@remember
def _units(*addresses: int) -> NDArray[np.int64]:
    return np.array(addresses, np.int64)


def _others(kinds: Products) -> list[str]:
    """What has products by dot products and of parts of vectors; "" where there are none."""
    return [
        dots_source(kinds.dtype, kinds.columns) if kinds.columns else "",
        parts_source(kinds.dtype) if kinds.narrow and processor().vector == IN_PARTS else "",
    ]


def begin(kinds: Products) -> None:
    """Load the code of products, or lower it now; what is compiled next has its machine code made meanwhile."""
    for source in filter(None, _others(kinds)):
        native.unit(source)
    # last, since it takes longest
    native.unit(tiles_source(kinds.dtype))


def product_address(kinds: Products) -> int:
    """The address of the addresses that products are told, see `kernels.tiles`; their code is loaded, or compiled
    now."""
    begin(kinds)
    others = [native.unit(source)().address if source else 0 for source in _others(kinds)]
    return int(_units(native.unit(tiles_source(kinds.dtype))().address, *others).ctypes.data)

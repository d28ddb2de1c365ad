"""numgraph's own matrix products: compiled once for all functions, which find their addresses in the table."""

from __future__ import annotations

from functools import cache as remember

from numgraph.processor import Processor, processor
from numgraph.runtime import native

_SOURCE = '''"""numgraph: {name}, for all functions"""

from numgraph.kernels.support import c_function, written_out
from numgraph.kernels.tiles import {name}


@c_function("void({types})")
@written_out
def enter(m0, m1, n0, n1, m, n, k, near, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch):
    {name}(m0, m1, n0, n1, m, n, k, near, alpha, a, a_row, a_col, b, b_row, b_col, beta, out, out_row, scratch)
'''


@remember
def _native(dtype: str, made_for: Processor) -> native.Native:
    return native.build(source(dtype))


def source(dtype: str) -> str:
    """The module that has the product for "float32" or "float64" as its entry."""
    name = "sgemm_tile" if dtype == "float32" else "dgemm_tile"
    kinds = ["int64"] * 8 + [dtype] + ["int64"] * 6 + [dtype] + ["int64"] * 3
    return _SOURCE.format(name=name, types=", ".join(kinds))


def product_address(dtype: str) -> int:
    """The address of the product for "float32" or "float64"; its code is loaded, or compiled now."""
    return _native(dtype, processor()).address

"""Which matrix products a loop program calls, as far as it depends on that what is compiled for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numgraph.convention import Products
from numgraph.loops.program import Call, Function, Number, walk

# Of products by dot products, as kernels/dots.py has them: the most columns, the most at a time, and the least bytes
# of a row, 8 vectors on any processor.
MOST_COLUMNS, AT_A_TIME, LEAST_BYTES = 32, 6, 8 * 16
_SIZES = {"float32": 4, "float64": 8}
# The functions of kernels/calls.py: their dtype, and which arguments are the columns of the result, the length of sums,
# and a's stride along rows; and of those in which a row may be as many dot products, its rows and b's stride along
# columns.
_CALLS = {
    "sgemm": ("float32", (5, 6, 10), (4, 12)), "dgemm": ("float64", (5, 6, 10), (4, 12)),
    "sgemm_rows": ("float32", (4, 5, 9), ()), "dgemm_rows": ("float64", (4, 5, 9), ()),
}  # fmt: skip
# Bytes of a row up to which it may be a part of a vector, on any processor.
MOST_BYTES = 64


def products_of(functions: Iterable[Function]) -> list[Products]:
    """What the functions call, each dtype once."""
    found: dict[str, tuple[set[int], set[bool]]] = {}
    for function in functions:
        for call in walk(function.body):
            if isinstance(call, Call) and call.function in _CALLS:
                dtype, places, of_row = _CALLS[call.function]
                n, k, a_col = (_known(call.arguments[place]) for place in places)
                columns, narrow = found.setdefault(dtype, (set(), set()))
                columns.update(_columns(n, k, a_col, _SIZES[dtype]))
                if of_row and all(_known(call.arguments[place]) in (1, None) for place in of_row):
                    columns.update(_columns(1, k, 1, _SIZES[dtype]))
                narrow.add(n is None or n * _SIZES[dtype] <= MOST_BYTES)
    return [Products(dtype, tuple(sorted(found[dtype][0])), any(found[dtype][1])) for dtype in _SIZES if dtype in found]


def _columns(n: int | None, k: int | None, a_col: int | None, size: int) -> range:
    """The numbers of columns that a product may take at a time by dot products of elements of `size` bytes."""
    if a_col not in (1, None) or (k is not None and k * size < LEAST_BYTES):
        return range(0)
    if n is None:
        return range(1, AT_A_TIME + 1)
    if not 1 <= n <= MOST_COLUMNS:
        return range(0)
    groups = -(-n // AT_A_TIME)
    return range(n // groups, (n + groups - 1) // groups + 1)


def _known(argument: Any) -> int | None:
    """The number that an argument is; None where only a call tells."""
    return argument.value if isinstance(argument, Number) else None

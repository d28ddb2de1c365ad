"""Which matrix products a loop program calls, as far as it depends on that what is compiled for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numgraph.loops.program import Call, Function, Number, walk

# Of products by dot products, as kernels/dots.py has them: the most columns, the most at a time, and the least bytes
# of a row, 8 vectors on any processor.
MOST_COLUMNS, AT_A_TIME, LEAST_BYTES = 32, 6, 8 * 16
# Where the calls of kernels/calls.py have the columns of the result, the length of sums, and the stride along a row.
_PLACES = {"gemm": (5, 6, 10), "gemm_rows": (4, 5, 9)}
_DTYPES = {"s": "float32", "d": "float64"}
_SIZES = {"float32": 4, "float64": 8}
# A dtype, and the numbers of columns that its products by dot products take at a time; none if there are no such ones.
Products = tuple[str, tuple[int, ...]]


def products_of(functions: Iterable[Function]) -> list[Products]:
    """What the functions call, each dtype once."""
    found: dict[str, set[int]] = {}
    for function in functions:
        for call in walk(function.body):
            if isinstance(call, Call) and call.function[1:] in _PLACES and call.function[0] in _DTYPES:
                dtype = _DTYPES[call.function[0]]
                found.setdefault(dtype, set()).update(_columns(call, _SIZES[dtype]))
    return [(dtype, tuple(sorted(found[dtype]))) for dtype in _SIZES if dtype in found]


def _columns(call: Call, size: int) -> range:
    """The numbers of columns that a product may take at a time by dot products of elements of `size` bytes."""
    n, k, a_col = (_known(call.arguments[place]) for place in _PLACES[call.function[1:]])
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

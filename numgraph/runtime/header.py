"""Where an ndarray object keeps the address of its elements and its lengths.

Compiled code reads them from the object itself (NumPy's C API: behind the object header stand the data pointer, the
number of axes, and the pointers to lengths and strides). Other builds of Python have other object headers, so this is
tried out once per process, before any compiled code runs.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache as remember

import numpy as np

from numgraph.errors import NumgraphError

# Where the data pointer is expected, in bytes from the object's address.
DATA_OFFSET = object.__basicsize__
WORD = 8


@remember
def data_offset(offset: int | None = None) -> int:
    """DATA_OFFSET (or `offset`) once it is known to be right; NumgraphError on a Python whose arrays look different."""
    where = DATA_OFFSET if offset is None else offset
    problem = _problem(where)
    if problem is None:
        return where
    raise NumgraphError(
        f"compiled code cannot read arrays in this Python: {problem}\n"
        f"  Python: {sys.implementation.name} {' '.join(sys.version.split())}; NumPy: {np.__version__}\n"
        "  fix: use a standard 64-bit build of CPython (python.org, Linux distributions, conda), or "
        'target="reference", which needs no compiled code'
    )


def _problem(offset: int) -> str | None:
    """What is wrong with arrays whose header is at byte `offset` of the object; None when nothing is."""
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != WORD:
        return "it is no 64-bit CPython"
    if not 0 <= offset <= np.ndarray.__basicsize__ - 4 * WORD:
        return f"an array object of {np.ndarray.__basicsize__} bytes has no header at byte {offset}"
    # odd lengths: no other field of the object is likely to hold them
    array = np.zeros((3, 7, 5), np.int8)
    wrong = mismatch(id(array) + offset, array.ctypes.data, array.shape)
    return f"{wrong} is not where it should be, with the header at byte {offset} of the object" if wrong else None


def mismatch(header: int, data: int, lengths: tuple[int, ...]) -> str | None:
    """The first field that does not hold what it should in the header at an address; None when all do."""
    words = (ctypes.c_int64 * 3).from_address(header)
    if words[0] != data:
        return "the data pointer"
    if ctypes.c_int.from_address(header + WORD).value != len(lengths):
        return "the number of axes"
    # the fields before it are right, so this is a pointer
    if words[2] == 0 or tuple((ctypes.c_int64 * len(lengths)).from_address(words[2])) != lengths:
        return "the pointer to the lengths"
    return None

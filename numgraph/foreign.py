"""Arrays of other libraries as NumPy's, in the same memory where that is possible.

NumPy reads the buffer protocol, `__array_interface__` and `__array__` (PyTorch, JAX, pandas, Arrow, memory maps) by
itself. What is left is DLPack alone, and columns that may have missing values.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Set
from numbers import Integral, Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of these a look at attributes would cost more than the conversion.
_OURS = (np.ndarray, np.generic, float, int, list, tuple)


def plain(value: Any) -> NDArray[Any]:
    """`value` as an array. ValueError, TypeError, RuntimeError or BufferError, as its library raises them."""
    if isinstance(value, _OURS):
        return np.asarray(value)
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    array = np.asarray(value)
    if array.dtype == object and hasattr(value, "to_numpy"):
        # columns of pandas that may have missing values, and have none: an array of objects otherwise
        dtypes = [getattr(d, "numpy_dtype", d) for d in _dtypes(value)]
        if all(isinstance(d, np.dtype) and d.kind in "biuf" for d in dtypes):
            return np.asarray(value.to_numpy(dtype=np.result_type(*dtypes)))
    return array


def nulls_of(value: Any) -> int:
    """How many values of columns (pandas, Arrow, Polars) are missing, where NumPy's array would hide it.

    NaN among floats is a number like any other.
    """
    if isinstance(value, _OURS):
        return 0
    if hasattr(value, "null_count"):
        # Arrow's arrays have the number; Polars' columns a method, and tables one that gives it for each column
        count = value.null_count() if callable(value.null_count) else value.null_count
        return int(np.sum(np.asarray(count)))
    if hasattr(value, "itercolumns"):
        # a table of Arrow
        return sum(map(nulls_of, value.itercolumns()))
    if hasattr(value, "isna") and any(hasattr(d, "numpy_dtype") for d in _dtypes(value)):
        return int(np.sum(np.asarray(value.isna())))
    return 0


def _dtypes(value: Any) -> list[Any]:
    """The dtype of a column, or those of the columns of a table."""
    found = getattr(value, "dtypes", None)
    if found is None or isinstance(found, np.dtype) or not hasattr(found, "__iter__"):
        found = [getattr(value, "dtype", None)]
    return list(found)


UNMASKED = "pass value.filled(...), or the mask as an array of its own"


def is_masked(value: Any) -> bool:
    """Whether it is a masked array: NumPy would make an array of it without a word of its mask."""
    # who has one has imported the module, which takes 10 ms
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(value, masked.MaskedArray)


def advice_for(value: Any, otherwise: str) -> str:
    """What to do with a value of which NumPy makes no array of numbers."""
    if isinstance(value, Iterator | Mapping | Set):
        return "make a list of it, such as list(value)"
    if isinstance(value, Integral):
        return "an integer is at least -2**63 and below 2**64; pass a float"
    if isinstance(value, Number):
        return "pass float(value)"
    if type(value).__name__ == "SparseMatrix":
        return "products are S @ x and x @ S, functions S.with_data(f(S.data)); S.toarray() is dense"
    sparse = sys.modules.get("scipy.sparse")
    if sparse is not None and sparse.issparse(value):
        return "ng.sparse.shared(matrix) for products with it, or matrix.toarray()"
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "mM":
        return "pass value.astype('int64'), a number of its unit"
    return otherwise

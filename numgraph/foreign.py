"""Arrays of other libraries as NumPy's, in the same memory where that is possible.

NumPy reads the buffer protocol, `__array_interface__` and `__array__` (PyTorch, JAX, pandas, Arrow, memory maps) by
itself. What is left is DLPack alone, and columns that may have missing values.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Set
from numbers import Integral, Number
from types import FrameType
from typing import Any, NamedTuple

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


_UNMASKED = "pass value.filled(...), or the mask as an array of its own"
_DENSE = "ng.sparse.shared(matrix) for products with it, or matrix.toarray()"


class Hidden(NamedTuple):
    """What NumPy's array of a value would not say: what the value is, what is the matter with it, what to do."""

    kind: str
    matter: str
    fix: str


def hidden_in(value: Any) -> Hidden | None:
    """What NumPy would make an array of without a word: masked arrays, columns with missing values."""
    # who has one has imported the module, which takes 10 ms
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray):
        return Hidden("masked array", "its mask would be lost", _UNMASKED)
    count = nulls_of(value)
    if not count:
        return None
    are = "1 of its values is" if count == 1 else f"{count} of its values are"
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__qualname__}"
    return Hidden(kind, f"{are} missing", "fill them first, with .fillna(...) or .fill_null(...)")


def is_sparse(value: Any) -> bool:
    """Whether it is a matrix or an array of scipy.sparse; SciPy is not loaded to know that."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(value))


# Packages whose own operators want an array of what is on their right, and what to do instead.
_ASKERS = (
    ("scipy.sparse", "the operand on the left is sparse", _DENSE),
    ("numpy.ma", "the operand on the left is a masked array", _UNMASKED),
    ("pandas", "the operand on the left is of pandas", "left.to_numpy(), an array, beside a variable"),
)


def asked_by(frame: FrameType | None) -> tuple[str, str] | None:
    """Which package's operator has asked for the array of a variable, and what to do instead. frame: of who asks."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        for package, what, fix in _ASKERS:
            if module == package or module.startswith(f"{package}."):
                return what, fix
        if module.partition(".")[0] not in ("numpy", "scipy", "pandas"):
            return None
        frame = frame.f_back
    return None


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
    if is_sparse(value):
        return _DENSE
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "mM":
        return "pass value.astype('int64'), a number of its unit"
    return otherwise

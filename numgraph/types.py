"""Types of variables, and NumPy-2 promotion with the exceptions that numgraph makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numgraph.config import config
from numgraph.errors import DtypeError, ShapeError, SizeError
from numgraph.lengths.dims import MOST_BYTES, counted

BOOL = "bool"
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
# Of arrays: every operation computes in float32 and rounds its result.
HALF = "float16"
# What is computed in.
FLOATS = ("float32", "float64")
REALS = (HALF, *FLOATS)
COMPLEX = ("complex64", "complex128")
DTYPES = (BOOL, *INTEGERS, *REALS, *COMPLEX)
DISCRETE = (BOOL, *INTEGERS)
INEXACT = (*REALS, *COMPLEX)
# In what sums of a dtype are accumulated.
WIDER = {"float32": "float64", "complex64": "complex128"}

Shape = tuple[int | None, ...]
# A loop for each axis, and some around them: Python, whose source is generated, nests no more than 20.
MOST_AXES = 16
# What messages advise where complex numbers are refused.
OF_PARTS = "  fix: use x.real, x.imag, ng.abs(x) or ng.angle(x), which are real"


def check_dtype(dtype: Any) -> str:
    """The name of a supported dtype; `DtypeError` for every other (float128, objects, strings).

    "floatX" is what the setting says now. Byte order is dropped: numgraph's own arrays are always in the machine's
    order.
    """
    if isinstance(dtype, str) and dtype == "floatX":
        return config.floatX
    if isinstance(dtype, str) and dtype in DTYPES:
        return str(dtype)
    try:
        name: str = np.dtype(dtype).newbyteorder("=").name
    except TypeError as error:
        raise DtypeError(f"{dtype!r} is not a dtype. Supported: {', '.join(DTYPES)}") from error
    if name not in DTYPES:
        raise DtypeError(f"dtype {name} is not supported. Supported: {', '.join(DTYPES)}")
    return name


def check_axes(count: int, what: str) -> None:
    """ShapeError, which says what it is about, for more axes than there can be."""
    if count > MOST_AXES:
        raise ShapeError(
            f"{what}: {count} axes, and an array has at most {MOST_AXES}\n  fix: make one axis of several by a reshape"
        )


@dataclass(frozen=True, slots=True)
class TensorType:
    """dtype and shape of a tensor; a length of None is known only at run time, 1 is known to broadcast."""

    dtype: str
    shape: Shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def counted(self, what: str) -> TensorType:
        """The type. Errors say what it is the type of: ShapeError for too many axes, SizeError if an array of its known
        lengths is too large."""
        check_axes(self.ndim, what)
        size = counted(self.shape, np.dtype(self.dtype).itemsize)
        if size > MOST_BYTES:
            raise SizeError(f"{what}: {self} would take {size:,} bytes, more than there can be")
        return self

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """For each axis, whether its length is known to be 1 (Theano's name for it)."""
        return tuple(n == 1 for n in self.shape)

    def __str__(self) -> str:
        """`float32[?,784]`; `float32` alone for a scalar."""
        inside = ",".join("?" if n is None else str(n) for n in self.shape)
        return f"{self.dtype}[{inside}]" if self.shape else self.dtype


def promote(dtypes: Iterable[str]) -> str:
    """The dtype that arrays of these dtypes combine to.

    NumPy 2's table with one exception: a float32 with an integer of any size stays float32 (NumPy: float64 for int32
    and wider), so that a float32 loss divided by a length stays float32; and so does a complex64. A float16 with an
    integer of 8 bits stays float16; with a wider one it is float32.
    """
    names = list(dict.fromkeys(dtypes))
    if len(names) == 1:
        return names[0]
    if not names:
        raise DtypeError("promotion of no dtypes")
    if any(d in COMPLEX for d in names):
        return complex_of(promote([real_of(d) for d in names]))
    floats = [d for d in names if d in REALS]
    if floats:
        wide = any(d in DISCRETE and np.dtype(d).itemsize > 1 for d in names)
        return max((*floats, "float32") if wide else floats, key=REALS.index)
    result = np.dtype(names[0])
    for name in names[1:]:
        result = np.promote_types(result, name)
    return result.name


def real_of(dtype: str) -> str:
    """dtype of the real and the imaginary part of numbers; what is real keeps its own."""
    return FLOATS[COMPLEX.index(dtype)] if dtype in COMPLEX else dtype


def complex_of(dtype: str) -> str:
    """dtype of the complex numbers whose parts have a dtype: complex64 of float32, and of what `float_of` makes it."""
    return dtype if dtype in COMPLEX else COMPLEX[float_of(dtype) == "float64"]


def compared(dtypes: Iterable[str]) -> str | None:
    """The dtype in which arrays of these dtypes are compared; None where each must keep its own.

    NumPy 2 compares signed integers with uint64 exactly, although their common dtype is float64.
    """
    names = list(dtypes)
    common = promote(names)
    return None if common in INEXACT and all(d in DISCRETE for d in names) else common


def true_division(dtypes: Iterable[str]) -> str:
    """dtype of `/`: floatX for two discrete operands, else as `promote`."""
    names = list(dtypes)
    # int64 and uint64 would promote to float64
    return config.floatX if all(d in DISCRETE for d in names) else promote(names)


def float_of(dtype: str) -> str:
    """dtype of exp, log, sin...: floats and complex keep theirs; bool and integers of 8 or 16 bits give float32, wider
    ones float64."""
    if dtype in INEXACT:
        return dtype
    return "float32" if dtype in ("bool", "int8", "uint8", "int16", "uint16") else "float64"


def sum_of(dtype: str) -> str:
    """dtype of sum and prod: signed and bool give int64, unsigned uint64, floats and complex keep theirs."""
    if dtype in INEXACT:
        return dtype
    return "uint64" if dtype in UNSIGNED else "int64"


def is_lossless(source: str, target: str) -> bool:
    """Whether every value of dtype `source` is representable in dtype `target` (NumPy's `same_kind`-free safe cast)."""
    return bool(np.can_cast(source, target, casting="safe"))

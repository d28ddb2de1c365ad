"""The memory behind a shared variable, and the descriptor through which compiled code finds it."""

from __future__ import annotations

from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Held while compiled code runs and while a value is replaced: a call reads addresses first and uses them afterwards;
# functions share the table of their arguments among threads. Nothing runs in parallel for it: compiled code keeps the
# interpreter's lock anyway.
CALLS = RLock()


class Storage:
    """One resident array: C-contiguous, aligned, in the machine's byte order, owned here unless it was borrowed.

    descriptor: int64[1 + ndim], the address and the lengths. Compiled code keeps the *descriptor's* address, which
    never changes, and reads the array's address at each call: `set_value`, a resize or an exchange of buffers is seen
    at once.
    """

    __slots__ = ("array", "descriptor")

    def __init__(self, array: NDArray[Any]) -> None:
        self.descriptor = np.zeros(1 + array.ndim, np.int64)
        self.put(array)

    def put(self, array: NDArray[Any]) -> None:
        """Take `array` (C-contiguous, aligned, of the same rank) as the value from now on, without a copy."""
        with CALLS:
            self.array = array
            self.descriptor[0] = array.ctypes.data
            self.descriptor[1:] = array.shape

    def __deepcopy__(self, memo: dict[int, Any]) -> Storage:
        return Storage(self.array.copy())

    def __getstate__(self) -> NDArray[Any]:
        return self.array

    def __setstate__(self, array: NDArray[Any]) -> None:
        self.descriptor = np.zeros(1 + array.ndim, np.int64)
        self.put(owned(array))


def owned(value: NDArray[Any]) -> NDArray[Any]:
    """A fresh C-contiguous copy of `value` in the machine's byte order."""
    return np.array(value, dtype=value.dtype.newbyteorder("="), order="C", copy=True, subok=False)


def resident(value: NDArray[Any]) -> NDArray[Any]:
    """`value` itself where compiled code can use it in place, else a copy."""
    usable = value.flags.c_contiguous and value.flags.aligned and value.flags.writeable and value.dtype.isnative
    return value if usable and type(value) is np.ndarray else owned(value)

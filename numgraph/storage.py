"""The memory behind a shared variable, and the descriptor through which compiled code finds it."""

from __future__ import annotations

from threading import RLock
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

# Held while compiled code runs and while a value is replaced: a call reads addresses first and uses them afterwards;
# functions share the table of their arguments among threads. Nothing runs in parallel for it: compiled code keeps the
# interpreter's lock anyway.
CALLS = RLock()


class Remote(Protocol):
    """A value that lies elsewhere, on a device. value: the array there."""

    value: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths."""

    def fetch(self) -> NDArray[Any]:
        """A copy in this machine's memory."""

    def put(self, array: NDArray[Any]) -> None:
        """Take a copy of `array` as the value."""


class User(Protocol):
    """Who reads addresses from descriptors."""

    def displaced(self) -> None:
        """A value has left this machine's memory."""


class Storage:
    """One resident array: C-contiguous, aligned, in the machine's byte order, owned here unless it was borrowed.

    descriptor: int64[1 + ndim], the address and the lengths. Compiled code keeps the *descriptor's* address, which
    never changes, and reads the array's address at each call: `set_value`, a resize or an exchange of buffers is seen
    at once. remote: where the value is while it is on a device; then no compiled code of the processor may run on it
    before `come_home`. users: told when that begins.
    """

    __slots__ = ("_array", "descriptor", "remote", "users")

    def __init__(self, array: NDArray[Any]) -> None:
        self.descriptor = np.zeros(1 + array.ndim, np.int64)
        self.remote: Remote | None = None
        self.users: WeakSet[User] = WeakSet()
        self._hold(array)

    def _hold(self, array: NDArray[Any]) -> None:
        self._array = array
        self.descriptor[0] = array.ctypes.data
        self.descriptor[1:] = array.shape

    @property
    def array(self) -> NDArray[Any]:
        """The array itself, or a copy of what lies on a device."""
        return self._array if self.remote is None else self.remote.fetch()

    @property
    def held(self) -> NDArray[Any]:
        """The array in this machine's memory; an empty one while the value is on a device."""
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths, wherever the value is."""
        return self._array.shape if self.remote is None else self.remote.shape

    def put(self, array: NDArray[Any]) -> None:
        """Take `array` (C-contiguous, aligned, of the same rank) as the value from now on; without a copy, unless it
        goes to a device."""
        with CALLS:
            if self.remote is None:
                self._hold(array)
            else:
                self.remote.put(array)

    def leave(self, remote: Remote) -> None:
        """The value is on a device from now on."""
        with CALLS:
            self.remote = remote
            # what reads the descriptor all the same sees an empty array
            self._hold(np.zeros((0,) * self._array.ndim, self._array.dtype))
            for user in list(self.users):
                user.displaced()

    def come_home(self) -> None:
        """The value is in this machine's memory from now on."""
        with CALLS:
            if self.remote is not None:
                array, self.remote = self.remote.fetch(), None
                self._hold(array)

    def __deepcopy__(self, memo: dict[int, Any]) -> Storage:
        return Storage(np.array(self.array))

    def __getstate__(self) -> NDArray[Any]:
        return self.array

    def __setstate__(self, array: NDArray[Any]) -> None:
        self.__init__(owned(array))  # type: ignore[misc]


def owned(value: NDArray[Any]) -> NDArray[Any]:
    """A fresh C-contiguous copy of `value` in the machine's byte order."""
    return np.array(value, dtype=value.dtype.newbyteorder("="), order="C", copy=True, subok=False)


def resident(value: NDArray[Any]) -> NDArray[Any]:
    """`value` itself where compiled code can use it in place, else a copy."""
    usable = value.flags.c_contiguous and value.flags.aligned and value.flags.writeable and value.dtype.isnative
    return value if usable and type(value) is np.ndarray else owned(value)

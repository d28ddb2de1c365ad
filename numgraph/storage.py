"""The memory behind a shared variable, and the descriptor through which compiled code finds it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol
from weakref import WeakSet, ref

import numpy as np
from numpy.typing import NDArray

from numgraph.overlaps import Span, spans
from numgraph.whole import CALLS, Action, at_once, disturb, held


class Remote(Protocol):
    """A value that lies elsewhere, on a device. value: the array there."""

    value: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths."""

    def spans(self) -> list[Span]:
        """Which bytes of the device it is."""

    def fetch(self) -> NDArray[Any]:
        """A copy in this machine's memory."""

    def setting(self, array: NDArray[Any]) -> list[Action]:
        """What makes a copy of `array` the value, for `at_once`."""

    def put(self, array: NDArray[Any]) -> None:
        """Take a copy of `array` as the value."""


class User(Protocol):
    """Who reads addresses from descriptors."""

    def displaced(self) -> None:
        """A value is about to leave this machine's memory."""


class Group(Protocol):
    """Values that a function uses together."""

    def check(self, storage: Storage, found: Sequence[Span]) -> None:
        """SharedMemoryError where a value may not lie at `found` beside the others."""


# All that there are, by id: a weak set may not be gone through while another thread adds to it.
_ALIVE: dict[int, ref[Storage]] = {}


class Storage:
    """One resident array: C-contiguous, aligned, in the machine's byte order, owned here unless it was borrowed.

    A borrowed array may be read-only (a file that is mapped into memory) as long as no function updates it. written:
    whether one does.

    descriptor: int64[1 + ndim], the address and the lengths. Compiled code keeps the *descriptor's* address, which
    never changes, and reads the array's address at each call: `set_value`, a resize or an exchange of buffers is seen
    at once. remote: where the value is while it is on a device; then no compiled code of the processor may run on it
    before `come_home`. users: told before that begins. These three change together, by `at_once`.

    lent: the array that was borrowed last; one that is no storage's is numgraph's own. groups: of the functions that
    update it, or others beside it.
    """

    __slots__ = ("__weakref__", "_array", "descriptor", "groups", "lent", "remote", "users", "written")
    _array: NDArray[Any]
    remote: Remote | None

    def __init__(self, array: NDArray[Any], lent: bool = False) -> None:
        self.lent = array if lent else None
        self.groups: WeakSet[Group] = WeakSet()
        key = id(self)
        _ALIVE[key] = ref(self, lambda _: _ALIVE.pop(key, None))
        self.descriptor = np.zeros(1 + array.ndim, np.int64)
        self.users: WeakSet[User] = WeakSet()
        self.written = False
        at_once(*self._holding(array))

    def _holding(self, array: NDArray[Any], remote: Remote | None = None) -> list[Action]:
        return [*self.holding(array, array.ctypes.data), partial(setattr, self, "remote", remote)]

    def holding(self, array: NDArray[Any], address: int) -> list[Action]:
        """What makes `array` (C-contiguous, aligned, of the same rank) the value at home, for `at_once`."""
        words = np.array((address, *array.shape), np.int64)
        return [partial(self.descriptor.__setitem__, ..., words), partial(setattr, self, "_array", array)]

    def taking(self, other: Storage) -> list[Action]:
        """What gives it the array of another one, for `at_once`; both are at home."""
        return [
            partial(self.descriptor.__setitem__, ..., other.descriptor.copy()),
            partial(setattr, self, "_array", other._array),
        ]

    def setting(self, array: NDArray[Any]) -> list[Action]:
        """What makes `array`, as for `holding`, the value wherever that is; copied if it goes to a device."""
        return self._holding(array) if self.remote is None else self.remote.setting(array)

    @property
    def array(self) -> NDArray[Any]:
        """The array itself, or a copy of what lies on a device."""
        return self._array if self.remote is None else self.copied()

    @property
    def held(self) -> NDArray[Any]:
        """The array in this machine's memory; an empty one while the value is on a device."""
        return self._array

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths, wherever the value is."""
        return self._array.shape if self.remote is None else self.remote.shape

    def copied(self) -> NDArray[Any]:
        """A copy of the value, as it is between two calls."""
        with CALLS:
            return self._array.copy() if self.remote is None else self.remote.fetch()

    def borrow(self, array: NDArray[Any]) -> None:
        """Take `array` itself as the value where it can be that as it is, else a copy.

        SharedMemoryError where it shares memory with what a function uses beside this one, and updates one of them.
        """
        if not (lendable(array, self) and (array.flags.writeable or not self.written)):
            self.put(owned(array))
            return
        self.check(spans(array))
        self.put(array)
        self.lent = array

    def check(self, found: Sequence[Span]) -> None:
        """SharedMemoryError where the value may not lie there, see `borrow`."""
        for group in list(self.groups):
            group.check(self, found)

    def spans(self) -> list[Span]:
        """Where the value lies."""
        return spans(self._array) if self.remote is None else self.remote.spans()

    def to_be_written(self) -> None:
        """Functions update the value in place from now on: where it is read-only, a copy takes its place. MemoryError
        where there is no room for one."""
        with CALLS:
            self.written = True
            if self.remote is None and not self._array.flags.writeable:
                copy = owned(self._array)
                at_once(*self.holding(copy, copy.ctypes.data))

    def put(self, array: NDArray[Any]) -> None:
        """Take `array`, as for `holding`, as the value from now on; without a copy, unless it goes to a device."""
        nested = held()
        with CALLS:
            disturb(nested)
            if self.remote is None:
                at_once(*self.holding(array, array.ctypes.data))
            else:
                self.remote.put(array)

    def leave(self, remote: Remote) -> None:
        """The value is on a device from now on."""
        nested = held()
        with CALLS:
            disturb(nested)
            # told before: to bring home what is there already is harmless, to miss what has left is not
            for user in list(self.users):
                user.displaced()
            # what reads the descriptor all the same sees an empty array
            at_once(*self._holding(np.zeros((0,) * self._array.ndim, self._array.dtype), remote))

    def come_home(self) -> None:
        """The value is in this machine's memory from now on."""
        with CALLS:
            if self.remote is not None:
                at_once(*self._holding(self.remote.fetch()))

    def __deepcopy__(self, memo: dict[int, Any]) -> Storage:
        return Storage(self.copied())

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.copied(),)


def put_together(changes: Sequence[tuple[Storage, NDArray[Any]]]) -> None:
    """As `put` for each pair, all at once: no interrupt and no other thread sees some of them done."""
    nested = held()
    with CALLS:
        disturb(nested)
        at_once(*(action for storage, array in changes for action in storage.setting(array)))


def _unpickled(array: NDArray[Any]) -> Storage:
    # what comes out of band is read-only, and perhaps somebody else's memory
    return Storage(owned(array))


def owned(value: NDArray[Any]) -> NDArray[Any]:
    """A fresh C-contiguous copy of `value` in the machine's byte order."""
    return np.array(value, dtype=value.dtype.newbyteorder("="), order="C", copy=True, subok=False)


def lendable(array: NDArray[Any], to: Storage | None = None) -> bool:
    """Whether a shared variable may keep an array of the caller's: compiled code can read it, and it is not the memory
    of another one, as `get_value(borrow=True)` gives it."""
    if not usable(array):
        return False
    alive = [s for s in (known() for known in list(_ALIVE.values())) if s is not None]
    near = [s for s in alive if s is not to and np.may_share_memory(s.held, array)]
    return all(any(other.lent is s.held for other in alive) for s in near)


def usable(value: NDArray[Any]) -> bool:
    """Whether compiled code can read an array where it is."""
    flags = value.flags
    return bool(flags.c_contiguous and flags.aligned and value.dtype.isnative and type(value) is np.ndarray)

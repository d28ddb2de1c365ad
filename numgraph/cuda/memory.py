"""What simulated threads see as memory: every access is checked for its bounds and for races.

An element has one *owner* at a time, as the rules of CUDA want it: between two barriers of a block no thread may use
what another thread of the block writes, and no thread of another block may during the whole launch, or between two
barriers of all blocks. Reads of many threads, and writes of one value by many (a flag), are allowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from numgraph.cuda.numbers import Int64
from numgraph.errors import IndexOutOfRange, KernelError

# Of shared and local memory that nothing has written.
POISON = {"f": math.nan, "c": math.nan, "i": -0x5A5A5A5A, "u": 0x5A5A5A5A, "b": True}


@dataclass
class Thread:
    """Where a simulated thread is; `epoch` counts the barriers of its block, `warp_epoch` also those of its warp."""

    block: tuple[int, int, int]
    index: tuple[int, int, int]
    rank: int
    name: str = ""
    epoch: int = 0
    warp_epoch: int = 0

    def __post_init__(self) -> None:
        x, y, z = self.index
        self.at = SimpleNamespace(x=x, y=y, z=z)

    def __str__(self) -> str:
        return f"{self.name}, block {self.block}, thread {self.index}"


# Who used an element last: block, rank in the block, epochs, and what was written (None where it was read). Several
# threads that read it are rank -1, several blocks are MANY.
Use = tuple[tuple[int, int, int], int, int, int, Any]
MANY = (-1, -1, -1)


@dataclass
class Watch:
    """The uses of one kind of memory; `thread` is the one that runs now."""

    thread: Thread
    races: bool = True
    writes: dict[int, Use] = field(default_factory=dict)
    reads: dict[int, Use] = field(default_factory=dict)

    def forget(self) -> None:
        """All blocks have met: what was used before is apart from what follows."""
        self.writes.clear()
        self.reads.clear()

    def _apart(self, use: Use) -> bool:
        """Whether a barrier, or being the same thread, stands between an earlier use and the current thread."""
        block, rank, epoch, warp_epoch, _ = use
        me = self.thread
        if block != me.block:
            return False
        if rank == me.rank or epoch != me.epoch:
            return True
        return rank >= 0 and rank // 32 == me.rank // 32 and warp_epoch != me.warp_epoch

    def read(self, key: int, cells: Cells, index: Any) -> None:
        """The current thread reads the element at an address, `cells[index]`."""
        me = self.thread
        use = self.writes.get(key)
        if use is not None and not self._apart(use):
            raise self._race(cells, index, "read", "written", use)
        block, rank, before = me.block, me.rank, self.reads.get(key)
        if before is not None:
            if before[0] != block:
                block = MANY
            elif before[1] != rank and before[2] == me.epoch:
                rank = -1
        self.reads[key] = (block, rank, me.epoch, me.warp_epoch, None)

    def write(self, key: int, value: Any, cells: Cells, index: Any) -> None:
        """The current thread writes an element, likewise."""
        me = self.thread
        use = self.writes.get(key)
        if use is not None and not self._apart(use) and not (use[4] == value or use[4] != use[4]):
            raise self._race(cells, index, "written", "written", use)
        use = self.reads.get(key)
        if use is not None and not self._apart(use):
            raise self._race(cells, index, "written", "read", use)
        self.writes[key] = (me.block, me.rank, me.epoch, me.warp_epoch, value)

    def _race(self, cells: Cells, index: Any, now: str, then: str, use: Use) -> KernelError:
        """The error for two uses of one element."""
        block = "several blocks" if use[0] == MANY else f"block {use[0]}"
        who = f"{block}, {f'thread number {use[1]}' if use[1] >= 0 else 'several threads'}"
        return KernelError(
            f"{cells.name}[{index}] is {now} by {self.thread}\n  and {then} by {who}, with no barrier between them"
        )


def _as_it_is(value: Any) -> Any:
    return value


def _plain(value: Any) -> Any:
    return value.item()


class Cells:
    """Elements under a flat index or, for arrays of a kernel's own, a tuple: the values are typed as compiled code's.

    Integers come out as Python's, since Numba computes with 64 bits whatever was loaded, and are wrapped when stored;
    int64 wraps where it is computed.
    """

    def __init__(self, data: np.ndarray, name: str, watch: Watch | None) -> None:
        self.flat, self.shape, self.name, self.watch = data.reshape(-1), data.shape, name, watch
        self.kind, self.item = data.dtype.kind, data.dtype.itemsize
        self.bits = 8 * self.item
        # an element as compiled code has it
        self.convert = _as_it_is if self.kind in "fc" else Int64 if data.dtype == np.int64 else _plain
        # elements are watched by their addresses: two pointers may go to the same array
        self.address: int = data.ctypes.data
        # where it is true there is a watch
        self.races = watch is not None and watch.races

    def place(self, index: Any) -> int:
        """The position in `flat`; IndexOutOfRange for what is not there, negative indices included."""
        lengths = index if isinstance(index, tuple) else (index,)
        where = 0
        inside = len(lengths) == len(self.shape)
        for i, length in zip(lengths, self.shape, strict=False):
            i = i.__index__()
            inside = inside and 0 <= i < length
            where = where * length + i
        if not inside:
            raise self.outside(index)
        return where

    def outside(self, index: Any) -> IndexOutOfRange:
        """The error for an index that is not there."""
        where = f"\n  in {self.watch.thread}" if self.watch else ""
        return IndexOutOfRange(f"{self.name}[{index}] is outside of its elements {list(self.shape)}{where}")

    def __getitem__(self, index: Any) -> Any:
        where = self.place(index)
        if self.races:
            self.watch.read(self.address + where * self.item, self, index)  # type: ignore[union-attr]
        return self.convert(self.flat[where])

    def __setitem__(self, index: Any, value: Any) -> None:
        where = self.place(index)
        if self.kind in "iu":
            value = int(value) & ((1 << self.bits) - 1)
            if self.kind == "i" and value >> (self.bits - 1):
                value -= 1 << self.bits
        if self.races:
            self.watch.write(self.address + where * self.item, value, self, index)  # type: ignore[union-attr]
        self.flat[where] = value


class Pointer(Cells):
    """An array's elements in C order, as a kernel's pointer sees them; `begin` is the index of the first."""

    def __init__(self, data: np.ndarray, name: str, watch: Watch, begin: int = 0) -> None:
        if not data.flags.c_contiguous:
            raise KernelError(f"{name}: a pointer goes to adjoining elements\n  fix: np.ascontiguousarray")
        super().__init__(data, name, watch)
        self.begin, self.size = begin, data.size

    def place(self, index: Any) -> int:
        """The position in `flat`."""
        where: int = index.__index__() - self.begin
        if not 0 <= where < self.size:
            raise self.outside(index)
        return where

    def outside(self, index: Any) -> IndexOutOfRange:
        """The error for an index that is not there."""
        return IndexOutOfRange(
            f"{self.name}[{index}] is outside of its elements {self.begin}..{self.begin + self.size - 1}\n"
            f"  in {self.watch.thread if self.watch else 'the host'}"
        )


class SharedCells(Cells):
    """An array in the shared memory of a block, whose elements are read only once they were written."""

    def __getitem__(self, index: Any) -> Any:
        where = self.place(index)
        if self.races:
            assert self.watch is not None
            key = self.address + where * self.item
            if key not in self.watch.writes:
                raise KernelError(f"{self.name}[{index}] is read before it is written\n  in {self.watch.thread}")
            self.watch.read(key, self, index)
        return self.convert(self.flat[where])

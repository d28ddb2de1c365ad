"""What the plan of a generated module stands on: the host runs it before each call, as plain Python.

Its table is a list: numbers are numbers, arrays stand for themselves, and a shared variable for its lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Table(list[Any]):
    """The slots, see `loops.table`. fetch: `(address, dtype) -> number`, reads an element of the device's memory."""

    fetch: Callable[[int, str], Any]


class Constant:
    """The address of a constant array, which the host has as well: what is added to it are bytes."""

    def __init__(self, array: np.ndarray[Any, Any], offset: int = 0) -> None:
        self.array, self.offset = array, offset

    def __add__(self, offset: int) -> Constant:
        return Constant(self.array, self.offset + int(offset))

    def fetch(self, offset: int, dtype: str) -> Any:
        """The element behind so many more bytes."""
        return as_number(np.frombuffer(self.array, dtype, 1, self.offset + int(offset))[0])


def as_number(element: Any) -> Any:
    """An element as plans compute with it: integers wrap around as NumPy's do, floats are Python's."""
    return element.item() if element.dtype.kind == "f" else element


class _Elements:
    """Elements at an address of the device, or of a constant."""

    def __init__(self, table: Table, address: Any, dtype: str) -> None:
        self.table, self.address, self.dtype = table, address, dtype

    def __getitem__(self, index: int) -> Any:
        offset = index * np.dtype(self.dtype).itemsize
        if isinstance(self.address, Constant):
            return self.address.fetch(offset, self.dtype)
        return self.table.fetch(self.address + offset, self.dtype)


def _pointer(dtype: str) -> Callable[..., Any]:
    def pointer(address: Any) -> Any:
        # the plan's own table, or memory that it found in the table
        return address if isinstance(address, Table) else _Elements(_current[-1], address, dtype)

    pointer.__doc__ = f"Elements of {dtype} at an address."
    return pointer


i8, i16, i32, i64, u8, u16, u32, u64, f32, f64 = map(
    _pointer, "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64".split()
)
_current: list[Table] = []


def run_plan(plan: Callable[[Table], int], table: Table) -> int:
    """The status of a plan; it leaves what it found in the table.

    Integers that a call brings, or that were computed, wrap around as a kernel's do: they are NumPy's.
    """
    _current.append(table)
    try:
        with np.errstate(over="ignore"):
            return int(plan(table))
    finally:
        _current.pop()


def argument_length(table: Table, slot: int, axis: int) -> int:
    """Length of an axis of an argument."""
    return int(table[slot].shape[axis])


def resident_length(table: Table, slot: int, axis: int) -> int:
    """Length of an axis of a shared variable."""
    return int(table[slot][axis])


def resident_shape(table: Table, slot: int, lengths: tuple[int, ...], code: int) -> int:
    """0 where a shared variable has these lengths, any where one is below 0; else the status of the first that it has
    not."""
    for has, wanted in zip(table[slot], lengths, strict=True):
        if wanted >= 0:
            if has != wanted:
                return fail(table, int(has), wanted, code)
            code += 1
    return 0


def fail(table: Table, a: int, b: int, status: int) -> int:
    """Leave the two values that a condition was about; returns the status."""
    table[0], table[1] = a, b
    return status

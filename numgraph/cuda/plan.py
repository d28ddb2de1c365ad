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


class _Elements:
    """Elements at an address of the device."""

    def __init__(self, table: Table, address: int, dtype: str) -> None:
        self.table, self.address, self.dtype = table, address, dtype

    def __getitem__(self, index: int) -> Any:
        return self.table.fetch(self.address + index * np.dtype(self.dtype).itemsize, self.dtype)


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

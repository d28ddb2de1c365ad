"""Many steps in one native call: a row of words per step holds its arguments and the places of its outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.binder import Column
from numgraph.convention import BEGIN, END, GROW, WORDS
from numgraph.runtime.header import DATA_OFFSET
from numgraph.runtime.variant import NativeVariant
from numgraph.types import COMPLEX, REALS
from numgraph.whole import CALLS, Disturbed, begin, end, held, undisturbed

Array = NDArray[Any]
Words = NDArray[np.int64]


class NativeSweep:
    """The steps of one sweep over a compiled variant.

    columns: of the right dtypes, C-contiguous. home: brings values of shared variables home.
    """

    def __init__(self, variant: NativeVariant, columns: Sequence[Column], count: int, home: Callable[[], None]) -> None:
        self.variant, self.home = variant, home
        # calls that wait for no lock would write into the table that a sweep is using
        self.table: Any
        self.table, self.entry = variant.own_table() if variant.alone else (variant.integers, variant.entry)
        self.outputs = variant.making.stacked(count, variant.empty)
        # what the words point to
        self.kept: list[Any] = [columns]
        words = np.empty((count, len(columns) + len(self.outputs)), np.int64)
        for k, column in enumerate(columns):
            values, varies = column.values, column.varies
            placed = values.ndim > varies or values.dtype.name in COMPLEX
            words[:, k] = self._arrays(values, varies) if placed else _bits(values)
        for k, array in enumerate(self.outputs):
            words[:, len(columns) + k] = self._arrays(array, True)
        self.words = words

    def _arrays(self, values: Array, varies: bool) -> Any:
        """Addresses at which compiled code finds what an ndarray object holds: where the elements lie, two words
        further on where the lengths lie."""
        if not varies:
            return id(values)
        headers = np.zeros((len(values), 3), np.int64)
        lengths = np.array(values.shape[1:], np.int64)
        headers[:, 0] = values.ctypes.data + np.arange(len(values)) * (values.strides[0] if len(values) else 0)
        headers[:, 2] = lengths.ctypes.data
        self.kept += [headers, lengths]
        return headers.ctypes.data + np.arange(len(values)) * headers.strides[0] - DATA_OFFSET

    def run(self, first: int, last: int) -> int:
        """Run steps from `first` up to before `last`; the first that did not run, `last` when all did."""
        table, artifact = self.table, self.variant.artifact
        nested = held()
        with CALLS:
            self.home()
            while True:
                begun = begin(nested)
                self.variant.spoil()
                table[WORDS], table[BEGIN], table[END] = self.words.ctypes.data, first, last
                with suppress(Disturbed):
                    status = undisturbed(begun, partial(self.entry, -2))
                    first = int(table[BEGIN])
                    if status != GROW:
                        end(nested)
                        return first if status else last
                    self.variant.grow(0, table[artifact.needed[0]])


def _bits(values: Array) -> Words:
    """Numbers as the table holds them: integers as int64, floats as the bits of a float64."""
    if values.dtype.name in REALS:
        return values.astype(np.float64).view(np.int64)
    return values.astype(np.int64)

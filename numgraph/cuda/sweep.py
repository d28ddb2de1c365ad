"""Many steps on a device: one recording, replayed for each row of arguments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from numgraph.binder import Column
from numgraph.cuda.device import Array
from numgraph.cuda.variant import DeviceVariant
from numgraph.loops.grid.kernel import STEPS
from numgraph.rewrite.halves import as_argument
from numgraph.target import CheckFailed
from numgraph.whole import CALLS, apart


class DeviceSweep:
    """The steps of one sweep over a compiled variant. columns: of numbers of the right dtypes."""

    def __init__(self, variant: DeviceVariant, columns: Sequence[Column], count: int) -> None:
        self.variant, self.columns = variant, columns
        self.outputs = variant.making.stacked(count)

    def run(self, begin: int, end: int) -> int:
        """Run steps from `begin`; the first that did not run, `end` when all did."""
        # steps of which some launches are missing would be half done
        return apart(partial(self._run, begin, end), CALLS)

    def _run(self, begin: int, end: int) -> int:
        while begin < end:
            last = min(begin + STEPS, end)
            done = self._turn(begin, last)
            if done < last:
                return done
            begin = last
        return end

    def _turn(self, begin: int, end: int) -> int:
        """As `run`, for as many steps as the device takes at once."""
        variant = self.variant
        variant.settle()
        variant.locate()
        rows, launches = self._planned(begin, end)
        if not len(rows):
            return begin
        found = variant.steps.sweep(variant.record(launches, True), rows)
        failed = variant.status.failed()
        done = begin + (len(rows) if failed is None else failed[0])
        for number, array in enumerate(self.outputs):
            size = array.nbytes // len(array)
            place = 8 * variant.results[number]
            taken = np.ascontiguousarray(found[: done - begin].view(np.uint8)[:, place : place + size])
            array[begin:done] = taken.view(array.dtype).reshape(array[begin:done].shape)
        return done

    def _planned(self, begin: int, end: int) -> tuple[Array, Any]:
        """(the words of the steps that launch the same as the first, these launches)."""
        variant, count = self.variant, end - begin
        columns = [c.values[begin:end] if c.varies else np.broadcast_to(c.values, count) for c in self.columns]
        rows = np.empty((count, variant.steps.width), np.int64)
        for k, column in enumerate(columns):
            rows[:, k] = _words(column)
        rows[:, -1] = np.arange(count)
        lists = [column.tolist() for column in columns]
        slots = variant.module.layout.arguments
        first: Any = None
        for step, numbers in enumerate(zip(*lists, strict=True) if lists else [()] * count):
            for slot, number in zip(slots, numbers, strict=True):
                variant.table[slot] = number
            try:
                launches = variant.planned(numbers)
            except CheckFailed:
                return rows[:step], first
            if first is None:
                first = launches
            elif launches is not first and launches != first:
                return rows[:step], first
        return rows, first


def _words(column: Array) -> Array:
    """Numbers as kernels read them: integers as int64, floats in the first bytes of a word."""
    if column.dtype.kind != "f":
        return column.astype(np.int64)
    kind = np.dtype(as_argument(column.dtype.name))
    words = np.zeros(len(column), np.int64)
    words.view(kind)[:: 8 // kind.itemsize] = column
    return words

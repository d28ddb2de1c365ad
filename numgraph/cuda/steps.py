"""The arguments and results of a recorded step, and how to replay it once per row of a table.

A recording has fixed addresses in it. So the arguments of a step lie in *slots*, from which its kernels read them by
pointer, and small outputs go to *results*. One call writes the slots and replays. A sweep has all rows of arguments on
the device: the first launch of its recording fetches the next row itself, and keeps what the step before it gave, so
that n steps are n replays with nothing in between. Everything is in words of 8 bytes, whatever is in them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from numgraph.cuda.array import Memory
from numgraph.cuda.device import Device, Recording

Words = NDArray[np.int64]

THREADS, MOST_BLOCKS = 128, 64
# Rows whose words would take more bytes than this are uploaded in several turns.
TURN = 1 << 22
SIGNATURE = ("int64*", "int64*", "int64*", "int64", "int64*", "int64*", "int64", "int64", "int64")


class Steps:
    """Slots for `width` words of arguments and `kept` words of results. capacity: rows on the device at once at most.

    slots, results: their addresses.
    """

    def __init__(self, device: Device, width: int, kept: int, capacity: int = 4096) -> None:
        self.device, self.width, self.kept = device, width, kept
        self.capacity = max(1, min(capacity, TURN // (8 * max(width, kept, 1))))
        self._slots = Memory(device, 8 * width)
        self._results = Memory(device, 8 * kept)
        self.slots, self.results = self._slots.address, self._results.address
        # what sweeps need is made by the first one
        self._tables: tuple[Memory, Memory, Memory] | None = None
        self._kernel = device.load(import_module("numgraph.kernels.cuda.steps").advance, SIGNATURE)

    def set(self, row: Words) -> None:
        """The arguments of the next step, int64[width]."""
        if self.width:
            self.device.upload(self.slots, row)

    def _memories(self) -> tuple[Memory, Memory, Memory]:
        """The number of the step, the rows of arguments, the rows of results."""
        if self._tables is None:
            device, rows = self.device, self.capacity
            self._tables = (
                Memory(device, 8),
                Memory(device, 8 * rows * self.width),
                Memory(device, 8 * rows * self.kept),
            )
        return self._tables

    def prepare(self) -> None:
        """Allocate what sweeps need; before the recording of one."""
        self._memories()

    def advance(self) -> None:
        """Launch what comes before each step of a sweep: the first thing in its recording."""
        self._advance(self.capacity)

    def _advance(self, last: int) -> None:
        at, rows, kept = (m.address for m in self._memories())
        words = max(self.width, self.kept)
        blocks = max(1, min(MOST_BLOCKS, -(-words // THREADS)))

        def launch(grid: int, width: int, out_width: int, move: int) -> None:
            self.device.launch(
                self._kernel,
                grid,
                THREADS,
                (at, rows, self.slots, width, self.results, kept, out_width, last, move),
            )

        launch(blocks, self.width, self.kept, int(blocks == 1))
        if blocks > 1:
            launch(1, 0, 0, 1)

    def sweep(self, recording: Recording, rows: Words, told: Callable[[int], None] | None = None) -> Words:
        """Replay `recording`, whose first launches are those of `advance`, for each row of int64[n, width].

        Returns what the steps left in `results`, int64[n, kept]. told: is told how many steps are done, now and then.
        After an exception, Ctrl-C too, the steps of whole turns before it are done, and some of the current turn.
        """
        count = len(rows)
        found = np.empty((count, self.kept), np.int64)
        at, table, kept = self._memories()
        for begin in range(0, count, self.capacity):
            end = min(begin + self.capacity, count)
            self.device.clear(at.address, 8)
            if self.width:
                self.device.upload(table.address, np.ascontiguousarray(rows[begin:end]))
            recording.replay(end - begin)
            # the results of the last step of the turn are still where it left them
            self._advance(0)
            if self.kept:
                self.device.download(kept.address, found[begin:end])
            if told is not None:
                told(end)
        return found

"""What kernels say of the indices that they check."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numgraph.cuda.array import Memory
from numgraph.cuda.device import Device
from numgraph.loops.grid.kernel import FLAGS, STEPS


class Status:
    """A word for each check of a program, which says whether it failed, and behind these one for each step of each.

    address: of the first.
    """

    def __init__(self, device: Device, words: int) -> None:
        self.device, self.words = device, words
        self.memory = Memory(device, 8 * (FLAGS + STEPS * words) if words else 0)
        self.address = self.memory.address
        device.clear(self.address, self.memory.size)

    def seen(self) -> bool:
        """Whether a kernel has found an index out of range; the words stay as they are."""
        return self.words > 0 and bool(self._flags().any())

    def _flags(self) -> NDArray[np.int64]:
        flags = np.zeros(self.words, np.int64)
        self.device.download(self.address, flags)
        return flags

    def failed(self) -> tuple[int, int] | None:
        """(step, word) of the first index that a kernel found out of range; the words are clean then."""
        if not self.words:
            return None
        if not self._flags().any():
            return None
        steps = np.zeros((self.words, STEPS), np.int64)
        self.device.download(self.address + 8 * FLAGS, steps)
        self.device.clear(self.address, self.memory.size)
        step = int(steps.any(axis=0).argmax())
        return step, int(steps[:, step].argmax())

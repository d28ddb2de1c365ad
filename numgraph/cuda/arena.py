"""Memory for one purpose of a function, such as its temporaries."""

from __future__ import annotations

from numgraph.cuda.array import Memory
from numgraph.cuda.device import Device


class Arena:
    """One allocation, kept for the function's life and exchanged for a larger one when a plan needs more."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.memory: Memory | None = None

    @property
    def address(self) -> int:
        """Where it lies; 0 before the first bytes were reserved."""
        return self.memory.address if self.memory is not None else 0

    @property
    def size(self) -> int:
        """Bytes that it has."""
        return self.memory.size if self.memory is not None else 0

    def reserve(self, size: int) -> bool:
        """Have at least `size` bytes. True if the arena has moved: its content is lost, recordings of it are void.

        DeviceMemoryError when there is not enough; there is no arena then.
        """
        if size <= self.size:
            return False
        # given back first, so that the device need not hold both
        self.memory = None
        self.memory = Memory(self.device, size)
        return True

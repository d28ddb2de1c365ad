"""Memory of small results, used again when nobody has the result any more."""

from __future__ import annotations

from numgraph.cuda.array import Memory
from numgraph.cuda.device import Device
from numgraph.cuda.held import hold

# Blocks of one size that wait to be used again, at most.
KEPT = 64


class Lease:
    """A block that goes back to its pool when nothing refers to it any more. address: of its first byte."""

    __slots__ = ("__weakref__", "address", "held")

    def __init__(self, memory: Memory, free: list[Memory]) -> None:
        self.address = memory.address

        def give_back() -> None:
            if len(free) < KEPT:
                free.append(memory)

        self.held = hold(give_back)


class Pool:
    """Blocks of device memory by size. What is written into a block again comes later on the device's stream than
    whatever used it before."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.free: dict[int, list[Memory]] = {}

    def take(self, size: int) -> Lease:
        """A block of `size` bytes whose content is undefined. DeviceMemoryError when there is not enough memory."""
        waiting = self.free.setdefault(size, [])
        return Lease(waiting.pop() if waiting else Memory(self.device, size), waiting)

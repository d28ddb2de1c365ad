"""Small copies through memory of the host that the device reads directly: nothing is allocated, nobody waits.

Bytes of ordinary memory may be read by the driver long after a copy was asked for, so an array could not be changed
after `upload`. Here they are put into a ring first. The ring has parts, and each is used again only when the device is
past an event that was placed behind the copies from it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from numgraph.cuda.bindings import Bindings, Handle

# Copies of up to this many bytes go through the ring; for larger ones the host waits.
SMALL = 1 << 16
PARTS, PART = 4, 1 << 18
_ALIGNMENT = 16


class Staging:
    """The ring. until(event): waits until an event has passed."""

    def __init__(self, bindings: Bindings, until: Callable[[Handle], None]) -> None:
        self.bindings, self.until = bindings, until
        self.address = bindings.host(PARTS * PART)
        self.memory = memoryview((ctypes.c_char * (PARTS * PART)).from_address(self.address)).cast("B")
        self.events = [bindings.event() for _ in range(PARTS)]
        self.waits = [False] * PARTS
        self.part = self.used = 0

    def send(self, to: int, data: memoryview) -> None:
        """Copy 1 to SMALL bytes to the device; they may be changed at once."""
        size = data.nbytes
        if self.used + size > PART:
            self.bindings.mark(self.events[self.part])
            self.waits[self.part] = True
            self.part, self.used = (self.part + 1) % PARTS, 0
            if self.waits[self.part]:
                self.until(self.events[self.part])
        place = self.part * PART + self.used
        self.used += -(-size // _ALIGNMENT) * _ALIGNMENT
        self.memory[place : place + size] = data.cast("B")
        self.bindings.to_device(to, self.address + place, size)

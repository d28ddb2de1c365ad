"""Launches recorded as a CUDA graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numgraph.cuda.bindings import Handle, Refused
from numgraph.errors import LaunchError

if TYPE_CHECKING:
    from numgraph.cuda.driver import CudaDevice

# Recordings are replayed this many at once, where many are wanted and they have no more launches than that in all.
BATCH, MOST_LAUNCHES = 16, 4096


class CudaRecording:
    """A CUDA graph, and one that does it BATCH times."""

    def __init__(self, device: CudaDevice, graph: Handle, launches: int) -> None:
        self.device, self.graph, self.launches = device, graph, launches
        self.once: Handle = device.bindings.ready(graph)
        self.many: tuple[Handle, Handle] | None = None
        self.released = False

    def replay(self, times: int = 1) -> None:
        """See `device.Recording`. Ctrl-C stops between two replays; what was started is done nevertheless."""
        device, started = self.device, 0
        with device.use:
            device.nothing_recorded("a recording is replayed")
            if self.released:
                raise LaunchError("the recording was released before this replay\n  fix: record again")
            try:
                if times >= 2 * BATCH and self.launches * BATCH <= MOST_LAUNCHES:
                    many = self._many()
                    while started + BATCH <= times:
                        device.bindings.start(many)
                        started += BATCH
                while started < times:
                    device.bindings.start(self.once)
                    started += 1
            except Refused as error:
                raise device.failed(error, "a recording") from None
            finally:
                device.counts.launches += started * self.launches
            device.checked("a recording")

    def _many(self) -> Handle:
        if self.many is None:
            graph = self.device.bindings.repeated(self.graph, BATCH)
            self.many = graph, self.device.bindings.ready(graph)
        return self.many[1]

    def release(self) -> None:
        """See `device.Recording`."""
        if not self.released:
            self.released = True
            self.device.discard([(self.graph, self.once), *([self.many] if self.many else [])])

    def __del__(self) -> None:
        if not getattr(self, "released", True):
            self.release()

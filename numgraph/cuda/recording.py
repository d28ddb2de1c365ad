"""Launches recorded as a CUDA graph."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from numgraph.cuda.bindings import Handle, Refused
from numgraph.cuda.held import Held, hold
from numgraph.errors import LaunchError

if TYPE_CHECKING:
    from numgraph.cuda.driver import CudaDevice

# Recordings are replayed this many at once, where many are wanted and they have no more launches than that in all.
BATCH, MOST_LAUNCHES = 16, 4096


class CudaRecording:
    """A CUDA graph, and one that does it BATCH times."""

    def __init__(self, device: CudaDevice, graph: Handle, launches: int) -> None:
        self.device, self.graph, self.launches = device, graph, launches
        # what gives the graphs back, with their executable forms; None once the recording is released
        self.held: list[Held] | None = []
        self.once = self._ready(graph)
        self.many: Handle | None = None

    def replay(self, times: int = 1) -> None:
        """See `device.Recording`. Ctrl-C stops between two replays; what was started is done nevertheless."""
        device, started = self.device, 0
        with device.lock, device.use:
            device.nothing_recorded("a recording is replayed")
            if self.held is None:
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
            self.many = self._ready(self.device.bindings.repeated(self.graph, BATCH))
        return self.many

    def _ready(self, graph: Handle) -> Handle:
        """The executable form of a graph; both are given back with the recording, or at once where that fails."""
        device = self.device
        try:
            executable = device.bindings.ready(graph)
        except BaseException:
            with suppress(Refused):
                device.bindings.drop(graph, None)
            raise
        assert self.held is not None
        self.held.append(hold(lambda: device.discard(graph, executable)))
        return executable

    def release(self) -> None:
        """See `device.Recording`."""
        self.held = None

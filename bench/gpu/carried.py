"""Makes the machine code that a machine without compilers is to carry: see `bench.gpu.cubins`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu import kernels, loops, programs
from bench.gpu.cubins import Cubins
from bench.gpu.programs import KINDS
from bench.gpu.tools import context
from bench.peers import with_numgraph
from numgraph.cuda.bindings import Properties
from numgraph.cuda.driver import CudaDevice, adopt


def pack(folder: Path, capability: tuple[int, int], kinds: Sequence[str] = KINDS) -> Cubins:
    """Fill a folder with the code of all kernels that the sections load on a device that is not here."""
    folder.mkdir(parents=True, exist_ok=True)
    cubins = Cubins(folder, keep=True)
    adopt(CudaDevice(NoDevice(capability), compile=cubins.compile))
    here = context("cuda")
    for sizes in [programs.TINY | {"B": 5}, *(programs.sizes_of(here, batch) for batch in programs.BATCHES)]:
        for kind in kinds:
            program = with_numgraph.build(kind, sizes, 1, "cuda")
            assert program.sweep is not None
            # called, then recorded, then swept
            for k in range(3):
                program.call(k)
            program.sweep(2)
    programs.chain(here)[0]()
    for shape in loops.SHAPES:
        for make in (loops.layer, loops.launched):
            make("cuda", *shape)[0]()
    for name, kernel in kernels.table().items():
        kernels.loaded(here, name, kernel.dtypes[0], dict(kernel.sizes))
    for shape in kernels.SHAPES:
        for name in kernels.PRODUCTS:
            chosen = kernels.product_sizes(here, name, *shape)
            if chosen is not None:
                kernels.loaded(here, name, "float32", chosen)
    return cubins


class NoDevice:
    """See `numgraph.cuda.bindings.Bindings`: keeps memory on the host, and launches nothing."""

    kind, stream = 2, None

    def __init__(self, capability: tuple[int, int]) -> None:
        self.capability = capability
        self.memories: dict[int, Any] = {}

    def open(self, number: int) -> Properties:
        """See `Bindings`."""
        return Properties("no device", self.capability, 132, "13.0")

    def enter(self) -> bool:
        """See `Bindings`."""
        return False

    def leave(self) -> None:
        """See `Bindings`."""

    def allocate(self, size: int) -> int:
        """See `Bindings`. Zeros, so that no kernel seems to have complained."""
        memory = np.zeros(size + 256, np.uint8)
        address = int(memory.ctypes.data) + -int(memory.ctypes.data) % 256
        self.memories[address] = memory
        return address

    def free(self, address: int) -> None:
        """See `Bindings`."""
        del self.memories[address]

    def memory(self) -> tuple[int, int]:
        """See `Bindings`."""
        return 1 << 36, 1 << 36

    def host(self, size: int) -> int:
        """See `Bindings`."""
        return self.allocate(size)

    def to_device(self, address: int, source: int, size: int) -> None:
        """See `Bindings`."""
        ctypes.memmove(address, source, size)

    to_host = on_device = to_device

    def fill(self, address: int, size: int) -> None:
        """See `Bindings`."""
        ctypes.memset(address, 0, size)

    def load(self, code: bytes, entry: str) -> Any:
        """See `Bindings`."""
        return entry

    def launch(
        self, kernel: Any, grid: tuple[int, ...], block: tuple[int, ...], parameters: int, together: bool
    ) -> None:
        """See `Bindings`."""

    def begin(self) -> None:
        """See `Bindings`."""

    def end(self) -> Any:
        """See `Bindings`."""

    def repeated(self, graph: Any, times: int) -> Any:
        """See `Bindings`."""

    def ready(self, graph: Any) -> Any:
        """See `Bindings`."""

    def start(self, executable: Any) -> None:
        """See `Bindings`."""

    def drop(self, graph: Any, executable: Any) -> None:
        """See `Bindings`."""

    def event(self) -> Any:
        """See `Bindings`."""

    def mark(self, event: Any, stream: int | None = None) -> None:
        """See `Bindings`."""

    def passed(self, event: Any) -> bool:
        """See `Bindings`."""
        return True

    def follow(self, event: Any, stream: int | None = None) -> None:
        """See `Bindings`."""

    def synchronize(self) -> None:
        """See `Bindings`."""

    def finish(self) -> None:
        """See `Bindings`."""

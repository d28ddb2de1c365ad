"""Machine code that was made elsewhere, for machines that have no compilers.

It is kept by what it was made from (source, captured values, types, capability, limits) and not by the
versions of the tools, since the machine that runs it may have others.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu import kernels, programs
from bench.gpu.programs import KINDS
from bench.gpu.tools import context
from bench.peers import with_numgraph
from numgraph import cache
from numgraph.cuda.bindings import Properties
from numgraph.cuda.driver import CudaDevice, adopt
from numgraph.device import captured, door
from numgraph.device.door import Cubin


class Cubins:
    """Machine code in a folder. used, made: how many kernels came from it, and how many were compiled here."""

    def __init__(self, folder: Path, keep: bool = False) -> None:
        self.folder, self.keep = folder, keep
        self.used = self.made = 0

    def compile(
        self, function: Callable[..., Any], signature: tuple[str, ...], capability: tuple[int, int], **limits: Any
    ) -> Cubin:
        """In place of `door.compile_cubin`, which is asked for what is not in the folder."""
        about = (*captured.fingerprint(function), repr(signature), repr(capability), repr(sorted(limits.items())))
        path = self.folder / f"{cache.digest(*about)}.cubin"
        if path.exists():
            self.used += 1
            head, _, code = path.read_bytes().partition(b"\n")
            return Cubin(code=code, **json.loads(head))
        cubin = door.compile_cubin(function, signature, capability, **limits)
        self.made += 1
        if self.keep:
            head = json.dumps({k: v for k, v in asdict(cubin).items() if k not in ("code", "ptx")} | {"ptx": ""})
            path.write_bytes(head.encode() + b"\n" + cubin.code)
        return cubin


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

    def launch(self, kernel: Any, grid: tuple[int, ...], block: tuple[int, ...], parameters: int) -> None:
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

"""A CUDA driver that is none: memory in NumPy arrays, kernels by the simulator, a stream that does nothing until asked.

Whatever is asked for is put in a queue, and done when the host waits for an event behind it. So a copy from memory that
was changed meanwhile shows, as it would on a device.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from numgraph.cuda.bindings import Properties, Refused
from numgraph.cuda.compiler import Cubin
from numgraph.cuda.driver import CudaDevice
from numgraph.cuda.simulator import simulate

TOTAL = 1 << 24
MULTIPROCESSORS = 4
POISON = 0xCD


class Bytes:
    """Aligned memory."""

    def __init__(self, size: int) -> None:
        self.whole = np.full(size + 256, POISON, np.uint8)
        skip = -self.whole.ctypes.data % 256
        self.bytes = self.whole[skip : skip + size]
        self.address = self.bytes.ctypes.data


class FakeBindings:
    """See `numgraph.cuda.bindings.Bindings`. Its memory is the host's, for DLPack, unless it says otherwise."""

    def __init__(self, kind: int = 1, stream: int | None = None) -> None:
        self.kind, self.stream = kind, stream
        self.blocks: dict[int, Bytes] = {}
        self.hosts: list[Bytes] = []
        self.free_bytes = TOTAL
        self.queue: list[Callable[[], None]] = []
        self.graph: list[Callable[[], None]] | None = None
        self.calls: list[tuple[Any, ...]] = []
        self.functions: list[tuple[Callable[..., Any], tuple[str, ...]]] = []
        self.entered = 0
        self.events = 0
        # the next call with this name is refused with this status
        self.refused: dict[str, str] = {}

    def called(self, name: str, *about: Any) -> None:
        assert self.entered, f"{name} outside of the device's context"
        self.calls.append((name, *about))
        if name in self.refused:
            raise Refused(name, self.refused.pop(name), "as the test wants")

    def later(self, what: Callable[[], None]) -> None:
        (self.queue if self.graph is None else self.graph).append(what)

    def drain(self, count: int) -> None:
        for _ in range(count):
            self.queue.pop(0)()

    def names(self, *wanted: str) -> list[str]:
        return [name for name, *_ in self.calls if name in wanted]

    # -- the calls ----------------------------------------------------------------------------------------------------

    def open(self, number: int) -> Properties:
        if number > 0:
            raise Refused("open", "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal")
        return Properties("Fake", (9, 0), MULTIPROCESSORS, "13.0")

    def enter(self) -> bool:
        self.entered += 1
        return True

    def leave(self) -> None:
        self.entered -= 1

    def allocate(self, size: int) -> int:
        self.called("allocate", size)
        assert self.graph is None
        if size > self.free_bytes:
            raise Refused("allocate", "CUDA_ERROR_OUT_OF_MEMORY", "out of memory")
        block = Bytes(size)
        self.blocks[block.address] = block
        self.free_bytes -= size
        return block.address

    def free(self, address: int) -> None:
        self.called("free", address)
        assert self.graph is None and address in self.blocks

        def free() -> None:
            self.free_bytes += len(self.blocks.pop(address).bytes)

        self.later(free)

    def memory(self) -> tuple[int, int]:
        return self.free_bytes, TOTAL

    def host(self, size: int) -> int:
        self.called("host", size)
        self.hosts.append(Bytes(size))
        return self.hosts[-1].address

    def inside(self, address: int, size: int) -> int:
        """The address, if those bytes are in one block of the device."""
        assert any(b <= address and address + size <= b + len(m.bytes) for b, m in self.blocks.items()), "no such bytes"
        return address

    def to_device(self, address: int, source: int, size: int) -> None:
        self.called("to_device", size)
        assert self.graph is None
        self.later(lambda: void(ctypes.memmove(self.inside(address, size), source, size)))

    def to_host(self, address: int, source: int, size: int) -> None:
        self.called("to_host", size)
        assert self.graph is None
        self.later(lambda: void(ctypes.memmove(address, self.inside(source, size), size)))

    def on_device(self, address: int, source: int, size: int) -> None:
        self.called("on_device", size)
        self.later(lambda: void(ctypes.memmove(self.inside(address, size), self.inside(source, size), size)))

    def fill(self, address: int, size: int) -> None:
        self.called("fill", size)
        self.later(lambda: void(ctypes.memset(self.inside(address, size), 0, size)))

    def compile(
        self, function: Callable[..., Any], signature: tuple[str, ...], capability: tuple[int, int], **limits: Any
    ) -> Cubin:
        """In place of `compiler.compile_cubin`: the code is the number of the function."""
        self.calls.append(("compile", function.__name__, limits))
        self.functions.append((function, signature))
        return Cubin(str(len(self.functions) - 1).encode(), f"ng_{function.__name__}", 1, 0, 0, 0, "")

    def load(self, code: bytes, entry: str) -> Any:
        self.called("load", entry)
        return self.functions[int(code)]

    def launch(
        self, kernel: Any, grid: tuple[int, ...], block: tuple[int, ...], parameters: int, together: bool
    ) -> None:
        function, signature = kernel
        self.called("launch", function.__name__, grid, block, *["together"] * together)
        if together and math.prod(grid) > MULTIPROCESSORS:
            raise Refused("launch", "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks in cooperative launch")
        pointers = np.ctypeslib.as_array(ctypes.cast(parameters, ctypes.POINTER(ctypes.c_uint64)), (len(signature),))
        values = [value_at(int(p), kind) for p, kind in zip(pointers, signature, strict=True)]

        def run() -> None:
            arguments = [
                self.elements(int(v), kind[:-1]) if kind.endswith("*") else v
                for v, kind in zip(values, signature, strict=True)
            ]
            simulate(function, grid, block, arguments)

        self.later(run)

    def elements(self, address: int, kind: str) -> np.ndarray:
        """What a pointer goes to: the rest of the block."""
        block = next(m for b, m in self.blocks.items() if b <= address <= b + len(m.bytes))
        rest = block.bytes[address - block.address :]
        return rest[: len(rest) // np.dtype(kind).itemsize * np.dtype(kind).itemsize].view(kind)

    def begin(self) -> None:
        self.called("begin")
        assert self.graph is None
        self.graph = []

    def end(self) -> Any:
        self.called("end")
        graph, self.graph = self.graph, None
        return graph

    def repeated(self, graph: Any, times: int) -> Any:
        self.called("repeated", times)
        return graph * times

    def ready(self, graph: Any) -> Any:
        self.called("ready", len(graph))
        return tuple(graph)

    def start(self, executable: Any) -> None:
        self.called("start", len(executable))
        assert self.graph is None
        for what in executable:
            self.later(what)

    def drop(self, graph: Any, executable: Any) -> None:
        self.called("drop", len(graph))

    def event(self) -> Any:
        self.called("event")
        self.events += 1
        return {"done": True, "asked": 0}

    def mark(self, event: Any, stream: int | None = None) -> None:
        self.called("mark", stream)
        if stream is None:
            # it stands for its latest place
            place = event["place"] = object()
            event["done"] = False
            self.later(lambda: event.update(done=event["done"] or event["place"] is place))

    def passed(self, event: Any) -> bool:
        self.called("passed")
        if not event["done"] and event["asked"] % 2:
            while not event["done"]:
                self.drain(1)
        event["asked"] += 1
        return bool(event["done"])

    def follow(self, event: Any, stream: int | None = None) -> None:
        self.called("follow", stream)

    def synchronize(self) -> None:
        self.called("synchronize")
        self.drain(len(self.queue))

    def finish(self) -> None:
        self.called("finish")
        self.drain(len(self.queue))


def void(_: Any) -> None:
    """Throw a result away."""


def value_at(address: int, kind: str) -> Any:
    """A parameter, as a kernel reads it."""
    dtype = np.dtype(np.uint64 if kind.endswith("*") else kind)
    raw = (ctypes.c_char * dtype.itemsize).from_address(address)
    return np.frombuffer(bytes(raw), dtype)[0]


def fake_device(kind: int = 1, stream: int | None = None) -> CudaDevice:
    """A device on fake bindings; `device.bindings` is them."""
    bindings = FakeBindings(kind, stream)
    return CudaDevice(bindings, compile=bindings.compile)


def bindings_of(device: CudaDevice) -> FakeBindings:
    """The fake behind a device."""
    assert isinstance(device.bindings, FakeBindings)
    return device.bindings

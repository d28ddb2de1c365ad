"""The CUDA driver in the few calls that numgraph makes: addresses are plain integers, failures are `Refused`.

Nothing is decided here: `numgraph.cuda.driver` does that, and its tests put another `Bindings` in this one's place.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

# Flags of the driver's interface, by their values: the enumerations differ among versions of cuda-bindings.
STREAM_NON_BLOCKING, EVENT_DISABLE_TIMING, CAPTURE_THREAD_LOCAL = 1, 2, 1
ATTRIBUTES = {"major": 75, "minor": 76, "multiprocessors": 16, "pools": 115}


# What stands for a kernel, a graph, its executable form or an event: the bindings' own.
Handle = Any


class Refused(Exception):
    """The driver did not do something. status: as CUDA_ERROR_OUT_OF_MEMORY. call: the function that said so."""

    def __init__(self, call: str, status: str, text: str) -> None:
        super().__init__(f"{call}: {status} ({text})")
        self.call, self.status, self.text = call, status, text


@dataclass(frozen=True)
class Properties:
    """What a device is. driver: the version of CUDA that its driver is for, as "13.0"."""

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    driver: str


class Bindings(Protocol):
    """The calls. All but `open` need the device's context: between `enter` and `leave`.

    kind: that of DLPack for its memory. stream: the handle of its stream, None without one.
    """

    kind: int
    stream: int | None

    def open(self, number: int) -> Properties:
        """Start the driver; make a stream, and a pool of memory."""

    def enter(self) -> bool:
        """Make the device's context the thread's. False if it was; `leave` is called only if it was not."""

    def leave(self) -> None:
        """Back to the thread's former context."""

    def allocate(self, size: int) -> int:
        """Memory of the device, in the stream's order."""

    def free(self, address: int) -> None:
        """Give memory back, in the stream's order."""

    def memory(self) -> tuple[int, int]:
        """Bytes that are free, and all."""

    def host(self, size: int) -> int:
        """Memory of the host that the device reads directly; kept for the life of the process."""

    def to_device(self, address: int, source: int, size: int) -> None:
        """From the host, in the stream's order."""

    def to_host(self, address: int, source: int, size: int) -> None:
        """To the host, in the stream's order."""

    def on_device(self, address: int, source: int, size: int) -> None:
        """Within the device, in the stream's order."""

    def fill(self, address: int, size: int) -> None:
        """Zeros, in the stream's order."""

    def load(self, code: bytes, entry: str) -> Handle:
        """The kernel `entry` of a cubin."""

    def launch(
        self, kernel: Handle, grid: tuple[int, ...], block: tuple[int, ...], parameters: int, together: bool
    ) -> None:
        """Run a kernel, in the stream's order. parameters: the address of the addresses of the parameters. together:
        all blocks are on the device at the same time; Refused where there is no room for that."""

    def begin(self) -> None:
        """From now on the stream records."""

    def end(self) -> Handle:
        """The graph of what was recorded since `begin`."""

    def repeated(self, graph: Handle, times: int) -> Handle:
        """A graph that does `graph` so many times, one after the other."""

    def ready(self, graph: Handle) -> Handle:
        """The executable form of a graph, on the device."""

    def start(self, executable: Handle) -> None:
        """Do what a graph says, in the stream's order."""

    def drop(self, graph: Handle, executable: Handle) -> None:
        """Forget a graph and its executable form, None where there is none."""

    def event(self) -> Handle:
        """A point in a stream's order, not yet placed."""

    def mark(self, event: Handle, stream: int | None = None) -> None:
        """Place an event after what the stream (or another one) was asked for so far."""

    def passed(self, event: Handle) -> bool:
        """Whether the stream is past the event."""

    def follow(self, event: Handle, stream: int | None = None) -> None:
        """What the stream (or another one) is asked for from now on waits for the event."""

    def synchronize(self) -> None:
        """Until the stream has done everything."""

    def finish(self) -> None:
        """Until all streams of the context have done everything."""


class CudaBindings:
    """The real driver, through cuda-bindings."""

    kind = 2
    stream: int | None = None

    def __init__(self) -> None:
        self.driver: Any = importlib.import_module("cuda.bindings.driver")
        self.context: Any = None
        self.context_address = 0
        self.pool: Any = None
        self.handle: Any = None

    def _(self, call: str, *arguments: Any) -> Any:
        """The result of a call; Refused unless it succeeded."""
        status, *result = getattr(self.driver, call)(*arguments)
        if status:
            self.refuse(call, status)
        return result[0] if len(result) == 1 else result

    def refuse(self, call: str, status: Any) -> None:
        """Raise what a status means."""
        _, text = self.driver.cuGetErrorString(status)
        said = text.decode() if isinstance(text, bytes) else str(text)
        raise Refused(call, getattr(status, "name", str(status)), said)

    def open(self, number: int) -> Properties:
        """See `Bindings`. The context is the device's primary one, which CuPy, PyTorch and JAX use, too."""
        driver = self.driver
        self._("cuInit", 0)
        device = self._("cuDeviceGet", number)
        self.context = self._("cuDevicePrimaryCtxRetain", device)
        self.context_address = int(self.context)
        found = {
            name: self._("cuDeviceGetAttribute", driver.CUdevice_attribute(value), device)
            for name, value in ATTRIBUTES.items()
        }
        entered = self.enter()
        try:
            self.handle = self._("cuStreamCreate", STREAM_NON_BLOCKING)
            self.stream = int(self.handle)
            if found["pools"]:
                self.pool = self._pool(number)
        finally:
            if entered:
                self.leave()
        version = self._("cuDriverGetVersion")
        name = self._("cuDeviceGetName", 256, device).split(b"\0")[0].decode()
        return Properties(
            name,
            (found["major"], found["minor"]),
            found["multiprocessors"],
            f"{version // 1000}.{version % 1000 // 10}",
        )

    def _pool(self, number: int) -> Any:
        """A pool that keeps what is given back: allocations after the first ones cost microseconds."""
        driver = self.driver
        wanted = driver.CUmemPoolProps()
        wanted.allocType = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
        wanted.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
        wanted.location.id = number
        pool = self._("cuMemPoolCreate", wanted)
        threshold = driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
        self._("cuMemPoolSetAttribute", pool, threshold, driver.cuuint64_t(2**64 - 1))
        return pool

    def enter(self) -> bool:
        """See `Bindings`. A thread without a context keeps this one; that of another device is restored by `leave`."""
        status, current = self.driver.cuCtxGetCurrent()
        if status:
            self.refuse("cuCtxGetCurrent", status)
        address = int(current)
        if address == self.context_address:
            return False
        self._("cuCtxPushCurrent" if address else "cuCtxSetCurrent", self.context)
        return address != 0

    def leave(self) -> None:
        """See `Bindings`."""
        self._("cuCtxPopCurrent")

    def allocate(self, size: int) -> int:
        """See `Bindings`. Devices without pools wait for everything here."""
        if self.pool is None:
            return int(self._("cuMemAlloc", size))
        return int(self._("cuMemAllocFromPoolAsync", size, self.pool, self.handle))

    def free(self, address: int) -> None:
        """See `Bindings`."""
        if self.pool is None:
            self._("cuMemFree", address)
        else:
            self._("cuMemFreeAsync", address, self.handle)

    def memory(self) -> tuple[int, int]:
        """See `Bindings`. What the pool keeps in reserve counts as free."""
        free, total = self._("cuMemGetInfo")
        if self.pool is not None:
            kinds = self.driver.CUmemPool_attribute
            reserved = self._("cuMemPoolGetAttribute", self.pool, kinds.CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)
            used = self._("cuMemPoolGetAttribute", self.pool, kinds.CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
            free += int(reserved) - int(used)
        return free, total

    def host(self, size: int) -> int:
        """See `Bindings`."""
        return int(self._("cuMemHostAlloc", size, 0))

    def to_device(self, address: int, source: int, size: int) -> None:
        """See `Bindings`."""
        (status,) = self.driver.cuMemcpyHtoDAsync(address, source, size, self.handle)
        if status:
            self.refuse("cuMemcpyHtoDAsync", status)

    def to_host(self, address: int, source: int, size: int) -> None:
        """See `Bindings`."""
        self._("cuMemcpyDtoHAsync", address, source, size, self.handle)

    def on_device(self, address: int, source: int, size: int) -> None:
        """See `Bindings`."""
        self._("cuMemcpyDtoDAsync", address, source, size, self.handle)

    def fill(self, address: int, size: int) -> None:
        """See `Bindings`."""
        self._("cuMemsetD8Async", address, 0, size, self.handle)

    def load(self, code: bytes, entry: str) -> Handle:
        """See `Bindings`. A kernel is on the device when this returns, so that a recording does not load it."""
        module = self._("cuModuleLoadData", code)
        return self._("cuModuleGetFunction", module, entry.encode())

    def launch(
        self, kernel: Handle, grid: tuple[int, ...], block: tuple[int, ...], parameters: int, together: bool
    ) -> None:
        """See `Bindings`."""
        if together:
            self._("cuLaunchCooperativeKernel", kernel, *grid, *block, 0, self.handle, parameters)
            return
        (status,) = self.driver.cuLaunchKernel(kernel, *grid, *block, 0, self.handle, parameters, 0)
        if status:
            self.refuse("cuLaunchKernel", status)

    def begin(self) -> None:
        """See `Bindings`. What other threads do with the driver meanwhile does not disturb the recording."""
        self._("cuStreamBeginCapture", self.handle, self.driver.CUstreamCaptureMode(CAPTURE_THREAD_LOCAL))

    def end(self) -> Handle:
        """See `Bindings`."""
        return self._("cuStreamEndCapture", self.handle)

    def repeated(self, graph: Handle, times: int) -> Handle:
        """See `Bindings`."""
        whole = self._("cuGraphCreate", 0)
        before: list[Any] = []
        try:
            for _ in range(times):
                before = [self._("cuGraphAddChildGraphNode", whole, before, len(before), graph)]
        except BaseException:
            self._("cuGraphDestroy", whole)
            raise
        return whole

    def ready(self, graph: Handle) -> Handle:
        """See `Bindings`."""
        made = self._("cuGraphInstantiate", graph, 0)
        try:
            self._("cuGraphUpload", made, self.handle)
        except BaseException:
            self._("cuGraphExecDestroy", made)
            raise
        return made

    def start(self, executable: Handle) -> None:
        """See `Bindings`."""
        (status,) = self.driver.cuGraphLaunch(executable, self.handle)
        if status:
            self.refuse("cuGraphLaunch", status)

    def drop(self, graph: Handle, executable: Handle) -> None:
        """See `Bindings`."""
        try:
            if executable is not None:
                self._("cuGraphExecDestroy", executable)
        finally:
            self._("cuGraphDestroy", graph)

    def event(self) -> Handle:
        """See `Bindings`."""
        return self._("cuEventCreate", EVENT_DISABLE_TIMING)

    def mark(self, event: Handle, stream: int | None = None) -> None:
        """See `Bindings`."""
        self._("cuEventRecord", event, self.handle if stream is None else stream)

    def passed(self, event: Handle) -> bool:
        """See `Bindings`."""
        (status,) = self.driver.cuEventQuery(event)
        if status and status.name != "CUDA_ERROR_NOT_READY":
            self.refuse("cuEventQuery", status)
        return not status

    def follow(self, event: Handle, stream: int | None = None) -> None:
        """See `Bindings`."""
        self._("cuStreamWaitEvent", self.handle if stream is None else stream, event, 0)

    def synchronize(self) -> None:
        """See `Bindings`."""
        self._("cuStreamSynchronize", self.handle)

    def finish(self) -> None:
        """See `Bindings`."""
        self._("cuCtxSynchronize")

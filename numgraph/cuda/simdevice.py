"""The simulated device: this machine's memory, and kernels run by the simulator."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from numgraph.binder import Counts
from numgraph.config import config
from numgraph.cuda.arena import Arena
from numgraph.cuda.device import ALIGNMENT, HOST, Array, Blas, Device, Lengths, Parameters, Product
from numgraph.cuda.simulator import simulate
from numgraph.cuda.steps import Steps
from numgraph.errors import DeviceError, DeviceMemoryError, LaunchError

# What fresh memory holds: NaN as floats, -1 as integers.
POISON = 0xFF


class SimulatedKernel:
    """A kernel with its signature."""

    def __init__(self, function: Callable[..., Any], signature: tuple[str, ...]) -> None:
        self.function, self.name, self.signature = function, function.__name__, tuple(signature)


class SimulatedRecording:
    """What was asked for while it was recorded, to be done again."""

    def __init__(self, asked: list[Callable[[], None]], launches: int) -> None:
        self.asked, self.launches = asked, launches

    def replay(self, times: int = 1) -> None:
        """See `device.Recording`."""
        for _ in range(times):
            for action in self.asked:
                action()

    def release(self) -> None:
        """See `device.Recording`."""
        self.asked = []


def spoil(device: Device, memory: Mapping[Any, Arena], stage: int, steps: Steps) -> None:
    """Temporaries of a stage, and small outputs, look as if they were fresh, where `config.verify` wants that."""
    if not (config.verify and isinstance(device, SimulatedDevice)):
        return
    for arena in (memory[key] for key in (("arena", stage), "own") if key in memory):
        device.spoil(arena.address, arena.size)
    if stage == 0:
        device.spoil(steps.results, 8 * steps.kept)


class SimulatedDevice:
    """See `device.Device`. Nothing is asynchronous; fresh memory is poisoned."""

    name = "the simulator"
    capability = (9, 0)
    multiprocessors = 3
    dlpack = (HOST, 0)
    stream: int | None = None
    blas: Blas | None = None
    asynchronous = False

    def __init__(self) -> None:
        self.counts = Counts()
        # by address: the array that owns the memory, and the bytes that were asked for
        self.memory: dict[int, tuple[Array, Array]] = {}
        self.addresses: list[int] = []
        self.recorded: list[Callable[[], None]] | None = None

    def allocate(self, size: int) -> int:
        """See `device.Device`."""
        self._not_recorded("allocate")
        try:
            whole = np.full(max(size, 1) + ALIGNMENT, POISON, np.uint8)
        except (MemoryError, ValueError):
            raise DeviceMemoryError(f"{self.name}: there is no memory for {size:,} bytes") from None
        start = -int(whole.ctypes.data) % ALIGNMENT
        address = int(whole.ctypes.data) + start
        self.memory[address] = (whole, whole[start : start + max(size, 1)])
        insort(self.addresses, address)
        self.counts.allocations += 1
        return address

    def release(self, address: int) -> None:
        """See `device.Device`."""
        if address in self.memory:
            # a finalizer may be interrupted in between: what is listed is there
            self.addresses.remove(address)
            del self.memory[address]

    def _bytes(self, address: int) -> Array:
        """The memory from an address to the end of its allocation."""
        k = bisect_right(self.addresses, address) - 1
        if k >= 0:
            start = self.addresses[k]
            cells = self.memory[start][1]
            if address - start <= cells.size:
                return cells[address - start :]
        raise DeviceError(f"address {address:#x} is not of {self.name}")

    def _not_recorded(self, what: str) -> None:
        if self.recorded is not None:
            raise LaunchError(f"{what} while launches are recorded")

    def _ask(self, action: Callable[[], None]) -> None:
        """Do something now, or when what is being recorded is replayed."""
        if self.recorded is None:
            action()
        else:
            self.recorded.append(action)

    def upload(self, address: int, array: Array) -> None:
        """See `device.Device`."""
        self._not_recorded("upload")
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self._bytes(address)[: data.size] = data
        self.counts.bytes_in += data.size

    def download(self, address: int, array: Array) -> None:
        """See `device.Device`."""
        self._not_recorded("download")
        flat = array.reshape(-1).view(np.uint8)
        flat[:] = self._bytes(address)[: flat.size]
        self.counts.bytes_out += flat.size

    def clear(self, address: int, size: int) -> None:
        """See `device.Device`."""
        self._ask(lambda: self._bytes(address)[:size].fill(0))

    def spoil(self, address: int, size: int) -> None:
        """Make memory look as if it were fresh."""
        self._bytes(address)[:size].fill(POISON)

    def copy(self, to: int, source: int, size: int) -> None:
        """See `device.Device`."""

        def move() -> None:
            self._bytes(to)[:size] = self._bytes(source)[:size]

        self._ask(move)

    def load(
        self,
        function: Callable[..., Any],
        signature: tuple[str, ...],
        max_threads: int | None = None,
        min_blocks: int = 1,
        together: bool = False,
    ) -> SimulatedKernel:
        """See `device.Device`."""
        return SimulatedKernel(function, signature)

    def launch(self, kernel: Any, grid: Lengths, block: Lengths, parameters: Parameters) -> None:
        """See `device.Device`."""
        self._ask(lambda: self._run(kernel, grid, block, parameters))

    def _run(self, kernel: SimulatedKernel, grid: Lengths, block: Lengths, parameters: Parameters) -> None:
        passed: list[Any] = []
        for kind, value in zip(kernel.signature, parameters, strict=True):
            if not kind.endswith("*"):
                passed.append(value)
                continue
            dtype = np.dtype(kind[:-1])
            cells = self._bytes(int(value))
            passed.append(cells[: cells.size // dtype.itemsize * dtype.itemsize].view(dtype))
        self._simulate(kernel, grid, block, passed)
        self.counts.launches += 1

    def multiply(self, product: Product) -> None:
        """See `device.Device`."""
        assert self.blas is not None, "there is nothing that multiplies"
        blas = self.blas

        def run() -> None:
            blas.multiply(product)
            self.counts.launches += 1

        self._ask(run)

    def _simulate(self, kernel: Any, grid: Lengths, block: Lengths, passed: list[Any]) -> None:
        simulate(kernel.function, grid, block, passed)

    def record(self, launches: Callable[[], None]) -> SimulatedRecording:
        """See `device.Device`."""
        self._not_recorded("record")
        self.recorded = []
        before = self.counts.launches
        try:
            launches()
            asked = self.recorded
        finally:
            self.recorded = None
        return SimulatedRecording(asked, self.counts.launches - before)

    def wait(self) -> None:
        """See `device.Device`."""

    def before(self, stream: int) -> None:
        """See `device.Device`."""

    def after(self, stream: int) -> None:
        """See `device.Device`."""

    def let_go(self, owner: Any, stream: int) -> None:
        """See `device.Device`."""

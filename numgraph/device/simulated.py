"""The simulated device: this machine's memory, and kernels run by the simulator."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.device.device import Counts
from numgraph.device.simulator import simulate
from numgraph.errors import DeviceError


class Kernel:
    """A kernel with its signature."""

    def __init__(self, function: Callable[..., Any], signature: Sequence[str]) -> None:
        self.function = function
        self.signature = tuple(signature)


class SimulatedDevice:
    """See `device.Device`. Nothing is asynchronous; memory that nothing has written holds NaN or odd integers."""

    name = "simulator"
    asynchronous = False

    def __init__(self) -> None:
        self.counts = Counts()
        self.memory: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {}
        self.addresses: list[int] = []

    def allocate(self, size: int) -> int:
        """The address of `size` bytes."""
        whole = np.full(size + 256, 0xFF, np.uint8)
        start = -int(whole.ctypes.data) % 256
        address = int(whole.ctypes.data) + start
        self.memory[address] = (whole, whole[start : start + max(size, 1)])
        self.addresses = sorted(self.memory)
        self.counts.allocations += 1
        return address

    def release(self, address: int) -> None:
        """Free what `allocate` gave."""
        del self.memory[address]
        self.addresses = sorted(self.memory)

    def _bytes(self, address: int) -> NDArray[Any]:
        """The memory from an address to the end of its allocation."""
        k = bisect_right(self.addresses, address) - 1
        if k >= 0:
            start = self.addresses[k]
            cells = self.memory[start][1]
            if address - start <= cells.size:
                return cells[address - start :]
        raise DeviceError(f"address {address:#x} is not of this device")

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy an array to the device."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self._bytes(address)[: data.size] = data
        self.counts.bytes_in += data.size

    def download(self, address: int, array: NDArray[Any]) -> None:
        """Fill a C-contiguous array from the device."""
        flat = array.reshape(-1).view(np.uint8)
        flat[:] = self._bytes(address)[: flat.size]
        self.counts.bytes_out += flat.size

    def copy(self, to: int, source: int, size: int) -> None:
        """Copy on the device."""
        self._bytes(to)[:size] = self._bytes(source)[:size].copy()

    def load(self, function: Callable[..., Any], signature: Sequence[str]) -> Kernel:
        """A kernel that can be launched."""
        return Kernel(function, signature)

    def launch(self, kernel: Kernel, grid: int, block: int, parameters: Sequence[int]) -> None:
        """Run a kernel."""
        passed = []
        for kind, value in zip(kernel.signature, parameters, strict=True):
            if not kind.endswith("*"):
                passed.append(value)
                continue
            dtype = np.dtype(kind[:-1])
            cells = self._bytes(value)
            passed.append(cells[: cells.size // dtype.itemsize * dtype.itemsize].view(dtype))
        simulate(kernel.function, grid, block, passed)
        self.counts.launches += 1

    def record(self, launch: Callable[[], None]) -> Callable[[], None]:
        """What does the same again."""
        return launch

    def wait(self) -> None:
        """Nothing is under way."""

"""What the executor of a grid knows of the device that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray


@dataclass
class Counts:
    """What a device has done: launches of kernels, bytes from and to the host, allocations."""

    launches: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    allocations: int = 0


class Device(Protocol):
    """Memory by address, and kernels launched one after the other."""

    name: str
    counts: Counts

    def allocate(self, size: int) -> int:
        """The address of `size` bytes, a multiple of 256."""

    def release(self, address: int) -> None:
        """Free what `allocate` gave, after all that was launched."""

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy an array to the device."""

    def download(self, address: int, array: NDArray[Any]) -> None:
        """Fill a C-contiguous array from the device, after all that was launched."""

    def copy(self, to: int, source: int, size: int) -> None:
        """Copy bytes on the device."""

    def load(self, function: Callable[..., Any], signature: Sequence[str]) -> Any:
        """A kernel that can be launched; see `door.compile_cubin`."""

    def launch(self, kernel: Any, grid: int, block: int, parameters: Sequence[int]) -> None:
        """Run a kernel with addresses and numbers."""

    def record(self, launch: Callable[[], None]) -> Callable[[], None]:
        """What does again what `launch` launches."""

    def wait(self) -> None:
        """Return when everything is done."""

"""Where a shared variable's value lies on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.device.device import Device
from numgraph.storage import Storage


@dataclass
class Residence:
    """The value of a shared variable in a device's memory, which is the only place where it is."""

    device: Device
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def fetch(self) -> NDArray[Any]:
        """A copy on the host."""
        array = np.empty(self.shape, self.dtype)
        if array.nbytes:
            self.device.download(self.address, array)
        return array

    def put(self, array: NDArray[Any]) -> None:
        """Take a copy of `array` as the value."""
        if array.shape != self.shape:
            address = self.device.allocate(array.nbytes)
            self.device.release(self.address)
            self.address, self.shape = address, array.shape
        if array.nbytes:
            self.device.upload(self.address, array)


def residence(storage: Storage, device: Device) -> Residence:
    """Where the value lies on `device`; it goes there if it is elsewhere."""
    place = storage.remote
    if isinstance(place, Residence) and place.device is device:
        return place
    array = storage.array
    address = device.allocate(array.nbytes)
    if array.nbytes:
        device.upload(address, array)
    new = Residence(device, address, array.shape, array.dtype)
    storage.leave(new)
    return new

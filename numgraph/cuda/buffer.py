"""Where a shared variable's value lies on a device."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakMethod

import numpy as np
from numpy.typing import NDArray

from numgraph.cuda.array import DeviceArray, copied, from_host, imported
from numgraph.cuda.device import Array, Device
from numgraph.overlaps import Span
from numgraph.storage import Storage
from numgraph.whole import Action


class DeviceBuffer:
    """The value of a shared variable in a device's memory, which is the only place where it is."""

    def __init__(self, device: Device, value: DeviceArray) -> None:
        self.device = device
        self.value: DeviceArray = value
        # raises what the call that wrote the value has found, if nobody has waited for it
        self.settle: WeakMethod[Callable[[], None]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths."""
        return self.value.shape

    @property
    def address(self) -> int:
        """Where the first element is."""
        return self.value.address

    def spans(self) -> list[Span]:
        """Which bytes of the device it is."""
        value = self.value
        size = math.prod(value.shape) * value.dtype.itemsize
        return [Span(self.device.name, self.address, self.address + size)] if size else []

    def fetch(self) -> NDArray[np.generic]:
        """A copy on the host. IndexOutOfRange where the call that should have written it failed."""
        settle = self.settle() if self.settle is not None else None
        if settle is not None:
            settle()
        return self.value.__array__()

    def holding(self, value: DeviceArray) -> Action:
        """What makes an array on the device the value, for `at_once`."""
        return partial(setattr, self, "value", value)

    def setting(self, array: Array) -> list[Action]:
        """What makes a copy of `array` the value, for `at_once`."""
        return [self.holding(from_host(self.device, array))]

    def put(self, array: Array) -> None:
        """Take a copy of `array` as the value; in the same place, if it has the same lengths."""
        if array.shape == self.shape:
            if array.nbytes:
                self.device.upload(self.address, np.ascontiguousarray(array))
        else:
            self.value = from_host(self.device, array)

    def copy(self) -> DeviceArray:
        """A copy on the device."""
        return copied(self.value)


def device_buffer(storage: Storage, device: Device) -> DeviceBuffer:
    """Where the value lies on `device`; it goes there if it is elsewhere."""
    place = storage.remote
    if isinstance(place, DeviceBuffer) and place.device is device:
        return place
    new = DeviceBuffer(device, from_host(device, storage.array))
    storage.leave(new)
    return new


def adopted(value: Any, copy: bool) -> DeviceBuffer:
    """An array of another library in a CUDA device's memory as the place of a value; see `array.imported`."""
    # a process without a device does not need the driver
    from numgraph.cuda.driver import device as cuda_device

    device = cuda_device()
    return DeviceBuffer(device, imported(device, value, copy))

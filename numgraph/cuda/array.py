"""Arrays in the memory of a device: lazy results, and what other libraries see of resident values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

from numgraph.cuda import dlpack
from numgraph.cuda.device import CUDA, HOST, Device
from numgraph.cuda.held import hold
from numgraph.errors import DtypeError, ForeignArrayError

# Longer arrays are not copied to be shown.
SHOWN = 100
# The stream that None stands for in DLPack: the legacy default one, by its handle.
LEGACY = 1


class Memory:
    """An allocation of a device, given back when nothing refers to it any more."""

    __slots__ = ("__weakref__", "address", "device", "held", "size")

    def __init__(self, device: Device, size: int) -> None:
        self.device, self.size = device, size
        self.address = address = device.allocate(size)
        self.held = hold(lambda: device.release(address))


class DeviceArray(NDArrayOperatorsMixin):
    """A C-contiguous array at an address of a device, which `owner` keeps alive.

    It is read by `np.asarray`, `float`, `item` and the like, which wait for what computes it and copy; and by libraries
    that know DLPack or `__cuda_array_interface__`, which use the memory itself, in the order of their stream.
    """

    __slots__ = ("__weakref__", "address", "device", "dtype", "owner", "settle", "shape")

    def __init__(self, device: Device, owner: Any, address: int, shape: Sequence[int], dtype: DTypeLike) -> None:
        self.device, self.owner, self.address = device, owner, address
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        # raises what the call that makes the values has found, if nobody has waited for it
        self.settle: Callable[[], None] | None = None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes."""
        return self.size * self.dtype.itemsize

    # -- on the host --------------------------------------------------------------------------------------------------

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """The values, copied from the device. ValueError for copy=False, which cannot be."""
        if copy is False:
            raise ValueError("an array on a device cannot be read by the host without a copy")
        if self.settle is not None:
            self.settle()
        values = np.empty(self.shape, self.dtype)
        self.device.download(self.address, values)
        return values if dtype is None else values.astype(dtype, copy=False)

    def item(self, *index: int) -> Any:
        """The only element, or the one at an index, as a number of Python."""
        return self.__array__().item(*index)

    def tolist(self) -> Any:
        """The values as lists of Python's numbers, or one number."""
        return self.__array__().tolist()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Operators and functions of NumPy: on the host, with arrays of the host as results."""
        if any(isinstance(out, DeviceArray) for out in options.get("out", ())):
            raise TypeError(f"{ufunc.__name__}: NumPy cannot write into an array on a device")
        values = [v.__array__() if isinstance(v, DeviceArray) else v for v in inputs]
        return getattr(ufunc, method)(*values, **options)

    def __getattr__(self, name: str) -> Any:
        """Methods and attributes of NumPy arrays (`sum`, `reshape`, `T`): of the values, on the host."""
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.__array__(), name)

    def __float__(self) -> float:
        return float(self.__array__())

    def __int__(self) -> int:
        return int(self.__array__())

    def __index__(self) -> int:
        return self.__array__().__index__()

    def __bool__(self) -> bool:
        return bool(self.__array__())

    def __complex__(self) -> complex:
        return complex(self.__array__())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__array__())

    def __getitem__(self, index: Any) -> Any:
        """Part of the values, on the host."""
        return self.__array__()[index]

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if not self.shape else format(str(self), spec)

    def __repr__(self) -> str:
        shown = f", {self.tolist()}" if self.size <= SHOWN else ""
        return f"DeviceArray({self.dtype}{list(self.shape)} on {self.device.name}{shown})"

    # -- for other libraries ------------------------------------------------------------------------------------------

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3. Not there (AttributeError) unless the device is a CUDA device."""
        if self.device.stream is None:
            raise AttributeError(f"{self.device.name} is no CUDA device: no __cuda_array_interface__")
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address if self.size else 0, False),
            "version": 3,
            "strides": None,
            "stream": self.device.stream,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        """The device as DLPack counts them."""
        return self.device.dlpack

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A capsule, in DLPack's versioned form if max_version allows it.

        stream: of the consumer, -1 when it takes care of the order itself, also of the end. dl_device: the host's
        (1, 0), too, to which a copy is made. BufferError for another device, a host copy with copy=False, and stream 0,
        which says nothing.
        """
        if dl_device is not None and tuple(dl_device) != self.device.dlpack:
            return self._on_host(dl_device, copy).__dlpack__(max_version=max_version)
        array = copied(self) if copy else self
        owner: Any = array
        if self.device.dlpack[0] == CUDA:
            owner = array._handed_over(stream)
        elif self.device.dlpack[0] == HOST:
            self.device.wait()
        versioned = max_version is not None and tuple(max_version) >= (1, 0)
        return dlpack.capsule(owner, array.address, array.shape, array.dtype, self.device.dlpack, versioned, bool(copy))

    def _on_host(self, place: tuple[int, int], copy: bool | None) -> NDArray[Any]:
        if tuple(place) != (HOST, 0) or copy is False:
            raise BufferError(f"the array is on {self.device.name}, DLPack's device {self.device.dlpack}, not {place}")
        return self.__array__()

    def _handed_over(self, stream: int | None) -> Any:
        """What the consumer is to keep. What it does on its stream comes after what computes the array; what is done
        here once it has let go comes after what it did."""
        if stream == 0:
            raise BufferError("__dlpack__: stream 0 is ambiguous; 1 is the legacy default stream, 2 the thread's own")
        if stream == -1:
            return self
        theirs = LEGACY if stream is None else stream
        self.device.before(theirs)
        return hold(lambda: self.device.let_go(self, theirs))


def empty(device: Device, shape: Sequence[int], dtype: DTypeLike) -> DeviceArray:
    """A new array whose values are undefined. DeviceMemoryError when there is not enough memory."""
    kind = np.dtype(dtype)
    memory = Memory(device, math.prod(shape) * kind.itemsize)
    return DeviceArray(device, memory, memory.address, shape, kind)


def from_host(device: Device, values: NDArray[Any]) -> DeviceArray:
    """A new array with these values."""
    native = np.asarray(values, values.dtype.newbyteorder("="), order="C")
    made = empty(device, native.shape, native.dtype)
    device.upload(made.address, native)
    return made


def copied(array: DeviceArray) -> DeviceArray:
    """A new array on the same device with the same values."""
    made = empty(array.device, array.shape, array.dtype)
    array.device.copy(made.address, array.address, array.nbytes)
    return made


def imported(device: Device, value: Any, copy: bool = False) -> DeviceArray:
    """An array of another library (CuPy, PyTorch, JAX; DLPack or `__cuda_array_interface__`) as one of ours.

    The memory is used in place, and `value` kept alive with it, unless copy=True. What its library has launched on its
    current stream comes first. ForeignArrayError for arrays that are on another device, not C-contiguous or read-only
    (with copy=True read-only ones are fine); DtypeError for a dtype that NumPy does not have, such as bfloat16.
    """
    view = _view(device, value)
    shape, dtype = tuple(view.shape), view.dtype
    if dtype is None:
        raise DtypeError(f"{_kind(value)}: its dtype is none of NumPy's\n  fix: convert it in its library first")
    number = device.dlpack[1] if device.dlpack[0] == CUDA else -1
    if view.device_id != number:
        place = "the host's memory" if view.device_id == -1 else f"CUDA device {view.device_id}"
        raise ForeignArrayError(f"{_kind(value)}: it is in {place}, not on {device.name}\n  fix: move it there first")
    if not _contiguous(shape, view.strides):
        raise ForeignArrayError(
            f"{_kind(value)}: shape {shape} with strides {tuple(view.strides)} is not C-contiguous\n"
            "  fix: make it contiguous in its library, for example x.contiguous() or cupy.ascontiguousarray(x)"
        )
    if view.readonly and not copy:
        raise ForeignArrayError(f"{_kind(value)}: it is read-only\n  fix: leave out borrow=True, for a copy")
    found = DeviceArray(device, (value, view), view.ptr, shape, dtype)
    return copied(found) if copy else found


def _view(device: Device, value: Any) -> Any:
    """What cuda-core finds out about an array, in the order of the device's stream."""
    stream = device.stream if device.stream is not None else -1
    view = import_module("cuda.core.utils").StridedMemoryView
    try:
        return view.from_any_interface(value, stream_ptr=stream)
    except (BufferError, TypeError, ValueError) as error:
        raise ForeignArrayError(f"{_kind(value)}: it cannot be used in place ({error})") from error


def _kind(value: Any) -> str:
    return f"a {type(value).__module__.partition('.')[0]} {type(value).__name__}"


def _contiguous(shape: tuple[int, ...], strides: Sequence[int] | None) -> bool:
    """Whether elements adjoin in C order; strides count elements, axes of length 1 have any."""
    if strides is None or 0 in shape:
        return True
    expected = 1
    for length, stride in zip(reversed(shape), reversed(tuple(strides)), strict=True):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return True

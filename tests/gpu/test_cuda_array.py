"""Arrays on a device: reading them, and DLPack in both directions and both forms."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np
import pytest

from numgraph.cuda import array as arrays
from numgraph.cuda import dlpack, driver
from numgraph.cuda.array import DeviceArray, copied, empty, from_host, imported
from numgraph.cuda.driver import CudaDevice
from numgraph.cuda.pool import KEPT, Pool
from numgraph.errors import DtypeError, ForeignArrayError
from numgraph.shared import on_device
from tests.fakecuda import FakeBindings, fake_device

DTYPES = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64".split()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3)])
def test_there_and_back(device: CudaDevice, dtype: str, shape: tuple[int, ...]) -> None:
    values = (np.arange(np.prod(shape, dtype=int)).reshape(shape) - 1).astype(dtype)
    array = from_host(device, values)
    assert (array.shape, array.dtype, array.ndim, array.size, array.nbytes) == (
        (values.shape, values.dtype, values.ndim, values.size, values.nbytes)
    )
    for other in (np.asarray(array), np.asarray(copied(array))):
        assert other.dtype == values.dtype
        np.testing.assert_array_equal(other, values)


def test_from_any_layout(device: CudaDevice) -> None:
    values = np.arange(24, dtype=">f8").reshape(2, 3, 4)
    for view in (values.T, values[:, ::-1, 1:3], np.asfortranarray(values)):
        array = from_host(device, view)
        assert array.dtype.isnative
        np.testing.assert_array_equal(array, view)


def test_numbers(device: CudaDevice) -> None:
    number = from_host(device, np.float32(2.5))
    assert float(number) == number.item() == 2.5 and int(number) == 2 and bool(number) and complex(number) == 2.5
    assert f"{number:.3f}" == "2.500" and number.tolist() == 2.5
    index = from_host(device, np.int64(3))
    assert [0, 1, 2, 7][index] == 7
    with pytest.raises(TypeError):
        len(number)
    with pytest.raises(TypeError):
        float(from_host(device, np.zeros(2)))


def test_results_use_the_memory_of_earlier_ones(device: CudaDevice) -> None:
    leases = Pool(device)
    first, second = leases.take(24), leases.take(24)
    assert first.address != second.address
    address, before = first.address, device.counts.copy()
    del first
    for _ in range(20):
        again = leases.take(24)
        assert again.address == address
        del again
    assert device.counts.minus(before).allocations == 0
    held = [leases.take(24) for _ in range(2 * KEPT)]
    assert len({a.address for a in (second, *held)}) == 2 * KEPT + 1
    del held
    assert len(leases.free[24]) == KEPT


def test_parts(device: CudaDevice) -> None:
    array = from_host(device, np.arange(6).reshape(2, 3))
    assert len(array) == 2 and array.item(4) == 4 and array[1, 2] == 5
    assert [row.tolist() for row in array] == array.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_conversion(device: CudaDevice) -> None:
    array = from_host(device, np.arange(3))
    assert np.asarray(array, dtype="float32").dtype == "float32"
    with pytest.raises(ValueError, match="without a copy"):
        np.array(array, copy=False)
    assert (np.arange(3) + array).tolist() == [0, 2, 4]
    with pytest.raises(TypeError, match="cannot write into an array on a device"):
        np.add(array, 1, out=array)


def test_repr_copies_little(device: CudaDevice) -> None:
    name = device.name
    assert repr(from_host(device, np.arange(3))) == f"DeviceArray(int64[3] on {name}, [0, 1, 2])"
    before = device.counts.copy()
    assert repr(empty(device, (1000, 1000), "float32")) == f"DeviceArray(float32[1000, 1000] on {name})"
    assert device.counts.minus(before).bytes_out == 0


def test_reading_waits(device: CudaDevice) -> None:
    array = from_host(device, np.zeros(3))
    device.upload(array.address, np.arange(3.0))
    np.testing.assert_array_equal(array, [0, 1, 2])


# -- export -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def host() -> CudaDevice:
    """A device whose memory is the host's, so that NumPy may look at it."""
    return fake_device()


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_sees_the_memory_itself(host: CudaDevice, dtype: str) -> None:
    array = from_host(host, np.arange(6).reshape(2, 3).astype(dtype))
    seen = np.from_dlpack(array)
    assert (seen.dtype, seen.shape, seen.ctypes.data) == (array.dtype, (2, 3), array.address)
    np.testing.assert_array_equal(seen, array)
    host.clear(array.address, array.nbytes)
    host.wait()
    assert not seen.any()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 4, 1)])
def test_shapes_through_dlpack(host: CudaDevice, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape, dtype=int), dtype="float32").reshape(shape)
    np.testing.assert_array_equal(np.from_dlpack(from_host(host, values)), values, strict=True)


class Old:
    """An array whose consumer knows only the form before version 1.0."""

    def __init__(self, array: DeviceArray) -> None:
        self.array = array

    def __dlpack__(self, **about: Any) -> Any:
        return self.array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("form", [lambda a: a, Old], ids=["versioned", "old"])
def test_the_consumer_keeps_the_array_alive(host: CudaDevice, form: Any) -> None:
    array = from_host(host, np.arange(3.0))
    owner, seen = weakref.ref(array.owner), np.from_dlpack(form(array))
    del array
    assert owner() is not None and seen.tolist() == [0, 1, 2]
    del seen
    assert owner() is None


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_a_capsule_that_nobody_takes(host: CudaDevice, version: tuple[int, int] | None) -> None:
    array = from_host(host, np.arange(3.0))
    owner = weakref.ref(array.owner)
    capsule = array.__dlpack__(max_version=version)
    assert ("dltensor_versioned" if version else '"dltensor"') in repr(capsule)
    del array
    assert owner() is not None
    del capsule
    assert owner() is None and not dlpack._exported


# NumPy 2.0 takes no keywords there, and hands out no arrays that are read-only
SINCE_2_1 = pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="DLPack 1.0 came with NumPy 2.1")


@SINCE_2_1
def test_copies_are_marked(host: CudaDevice) -> None:
    array = from_host(host, np.arange(3.0))
    seen = np.from_dlpack(array, copy=True)
    assert seen.ctypes.data != array.address and seen.tolist() == [0, 1, 2]
    capsule = array.__dlpack__(max_version=(1, 0), copy=True)
    address = dlpack._pointer(id(capsule), b"dltensor_versioned")
    made = dlpack._Versioned.from_address(address)
    assert (made.version.major, made.flags, made.tensor.ndim) == (1, dlpack.COPIED, 1)
    assert ctypes.cast(made.tensor.data, ctypes.POINTER(ctypes.c_double))[2] == 2


@SINCE_2_1
def test_other_devices(host: CudaDevice) -> None:
    array = from_host(fake_device(kind=2, stream=77), np.arange(3.0))
    assert array.__dlpack_device__() == (2, 0)
    # numpy asks for the host with the device's own words
    seen = np.from_dlpack(array, device="cpu")
    assert seen.tolist() == [0, 1, 2] and seen.ctypes.data != array.address
    with pytest.raises(BufferError, match=r"is on Fake, DLPack's device \(2, 0\), not \(4, 0\)"):
        array.__dlpack__(dl_device=(4, 0))
    with pytest.raises(BufferError):
        array.__dlpack__(dl_device=(1, 0), copy=False)


def test_streams_of_consumers() -> None:
    device = fake_device(kind=2, stream=77)
    array = from_host(device, np.arange(3.0))
    bindings = device.bindings
    assert isinstance(bindings, FakeBindings)
    for stream, want in ((None, 1), (1, 1), (2, 2), (12345, 12345), (-1, None)):
        bindings.calls.clear()
        capsule = array.__dlpack__(stream=stream)
        found = [about for name, *about in bindings.calls if name in ("mark", "follow")]
        assert found == ([] if want is None else [[None], [want]])
        del capsule
    with pytest.raises(BufferError, match="stream 0 is ambiguous"):
        array.__dlpack__(stream=0)


def test_cuda_array_interface() -> None:
    array = from_host(fake_device(kind=2, stream=77), np.zeros((2, 3), "float32"))
    assert array.__cuda_array_interface__ == {
        "shape": (2, 3),
        "typestr": "<f4",
        "data": (array.address, False),
        "version": 3,
        "strides": None,
        "stream": 77,
    }
    assert not hasattr(from_host(fake_device(), np.zeros(1)), "__cuda_array_interface__")


# -- import -----------------------------------------------------------------------------------------------------------


def test_arrays_of_others(host: CudaDevice) -> None:
    pytest.importorskip("cuda.core")
    values = np.arange(6, dtype="float32").reshape(2, 3)
    alive = weakref.ref(values)
    array = imported(host, values)
    assert (array.address, array.shape, array.dtype) == (values.ctypes.data, (2, 3), np.dtype("float32"))
    assert array.owner[0] is values
    del values
    assert alive() is not None and np.from_dlpack(array).tolist() == [[0, 1, 2], [3, 4, 5]]
    del array
    assert alive() is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.arange(6).reshape(2, 3).T, r"shape \(3, 2\) with strides \(1, 3\) is not C-contiguous\n  fix: make it"),
        (np.arange(6)[::2], r"strides \(2,\) is not C-contiguous"),
        (np.zeros(3, "datetime64[s]"), "it cannot be used in place"),
        ([1, 2], "a builtins list: it cannot be used in place"),
    ],
)
def test_arrays_that_cannot_be_used(host: CudaDevice, values: Any, message: str) -> None:
    pytest.importorskip("cuda.core")
    with pytest.raises(ForeignArrayError, match=message):
        imported(host, values)


@SINCE_2_1
def test_read_only_arrays(host: CudaDevice) -> None:
    pytest.importorskip("cuda.core")
    values = np.arange(3.0)
    values.flags.writeable = False
    with pytest.raises(ForeignArrayError, match=r"it is read-only\n  fix: leave out borrow=True"):
        imported(host, values)


def test_lengths_of_1_have_any_stride(host: CudaDevice) -> None:
    pytest.importorskip("cuda.core")
    values = np.arange(12.0).reshape(3, 4)[1:2]
    assert imported(host, values.reshape(1, 1, 4)[:, :, :]).shape == (1, 1, 4)
    assert imported(host, np.zeros((0, 5))).shape == (0, 5)
    assert arrays._contiguous((3, 1, 2), (2, 99, 1)) and not arrays._contiguous((3, 1, 2), (3, 1, 1))


def test_arrays_in_other_places() -> None:
    pytest.importorskip("cuda.core")
    device = fake_device(kind=2, stream=-1)
    with pytest.raises(ForeignArrayError, match="a numpy ndarray: it is in the host's memory, not on Fake"):
        imported(device, np.zeros(3))


def test_dtypes_that_numpy_does_not_have(host: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    view = type("View", (), {"shape": (2,), "dtype": None, "strides": (1,)})
    monkeypatch.setattr(arrays, "_view", lambda device, value: view())
    with pytest.raises(DtypeError, match="its dtype is none of NumPy's"):
        imported(host, np.zeros(2))


def test_what_is_on_a_device_already(host: CudaDevice) -> None:
    class Elsewhere:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

    class Interface:
        __cuda_array_interface__: dict[str, Any] = {}  # noqa: RUF012

    assert on_device(Elsewhere()) and on_device(Interface())
    for value in (np.zeros(2), np.float32(1), 3, [1], from_host(host, np.zeros(2))):
        assert not on_device(value)


# -- the libraries themselves, on a device ----------------------------------------------------------------------------


@pytest.mark.gpu
def test_torch() -> None:
    torch = pytest.importorskip("torch")
    device = driver.device()
    array = from_host(device, np.arange(6, dtype="float32").reshape(2, 3))
    seen = torch.from_dlpack(array)
    assert seen.data_ptr() == array.address and seen.sum().item() == 15
    assert torch.as_tensor(array, device="cuda").sum().item() == 15
    mine = torch.arange(6, device="cuda").reshape(2, 3) * 2
    ours = imported(device, mine)
    assert ours.address == mine.data_ptr() and np.asarray(ours).tolist() == [[0, 2, 4], [6, 8, 10]]
    with pytest.raises(ForeignArrayError, match="not C-contiguous"):
        imported(device, mine.T)
    with pytest.raises(ForeignArrayError, match="in the host's memory"):
        imported(device, torch.zeros(2))
    assert on_device(mine) and not on_device(torch.zeros(2))


@pytest.mark.gpu
def test_cupy() -> None:
    cupy = pytest.importorskip("cupy")
    device = driver.device()
    array = from_host(device, np.arange(6, dtype="float32"))
    assert cupy.from_dlpack(array).data.ptr == cupy.asarray(array).data.ptr == array.address
    mine = cupy.arange(6, dtype="float32") * 3
    ours = imported(device, mine)
    assert ours.address == mine.data.ptr and np.asarray(ours).tolist() == [0, 3, 6, 9, 12, 15]


@pytest.mark.gpu
def test_jax() -> None:
    jax = pytest.importorskip("jax")
    device = driver.device()
    seen = jax.numpy.from_dlpack(from_host(device, np.arange(6, dtype="float32")))
    assert seen.sum() == 15
    mine = jax.device_put(jax.numpy.arange(6, dtype="float32"), jax.devices("cuda")[0])
    assert np.asarray(imported(device, mine, copy=True)).tolist() == [0, 1, 2, 3, 4, 5]

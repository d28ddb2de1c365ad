"""The CUDA device: on a fake driver that does things late, and the same on a real one where there is one."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from numba import cuda

from numgraph.cuda import staging
from numgraph.cuda.arena import Arena
from numgraph.cuda.array import Memory, from_host
from numgraph.cuda.bindings import Bindings
from numgraph.cuda.device import Counts, Device
from numgraph.cuda.driver import CudaDevice
from numgraph.cuda.recording import BATCH
from numgraph.errors import DeviceError, DeviceMemoryError, LaunchError
from tests.fakecuda import TOTAL, FakeBindings, bindings_of, fake_device
from tests.waits import PATIENCE, join

SIGNATURE = ("float32*", "float32*", "float32", "int64")


def scale(out, x, factor, n):
    i = cuda.grid(1)
    if i < n:
        out[i] = factor * x[i]


def count_up(at):
    if cuda.grid(1) == 0:
        at[0] = at[0] + 1


def double(at):
    if cuda.grid(1) == 0:
        at[0] = 2 * at[0] + 1


def read(device: Device, address: int, count: int, dtype: str = "int64") -> np.ndarray:
    values = np.empty(count, dtype)
    device.download(address, values)
    return values


def test_the_protocols_are_met() -> None:
    device: Device = fake_device()
    bindings: Bindings = FakeBindings()
    assert device.dlpack == (1, 0) and bindings.kind == 1


def test_memory(device: CudaDevice) -> None:
    first, second = device.allocate(100), device.allocate(0)
    assert first % 256 == second % 256 == 0 and first != second
    values = np.arange(12, dtype="float32")
    device.upload(first, values)
    device.copy(first + 48, first, 48)
    device.clear(first + 8, 4)
    want = np.concatenate([values, values])
    want[2] = 0
    np.testing.assert_array_equal(read(device, first, 24, "float32"), want)
    device.release(first)
    device.release(second)


def test_nothing_is_copied_for_nothing(device: CudaDevice) -> None:
    address = device.allocate(8)
    device.upload(address, np.empty(0))
    device.copy(address, address, 0)
    device.clear(address, 0)
    assert read(device, address, 0).shape == (0,)
    device.release(address)


def test_counts(device: CudaDevice) -> None:
    before = device.counts.copy()
    address = device.allocate(64)
    device.upload(address, np.zeros(4))
    read(device, address, 1)
    kernel = device.load(count_up, ("int64*",))
    device.launch(kernel, 1, 1, (address,))
    recording = device.record(lambda: device.launch(kernel, 1, 1, (address,)))
    assert device.counts.minus(before) == Counts(1, 32, 8, 1)
    recording.replay(50)
    assert device.counts.minus(before) == Counts(51, 32, 8, 1)
    assert read(device, address, 1)[0] == 51
    device.release(address)


def test_an_array_may_be_changed_after_its_upload(device: CudaDevice) -> None:
    sizes = (1, 8, 100, staging.SMALL // 8, staging.SMALL // 8 + 1)
    address = device.allocate(8 * sum(sizes))
    at = address
    for size in sizes:
        values = np.full(size, float(size))
        device.upload(at, values)
        values[:] = np.nan
        at += 8 * size
    np.testing.assert_array_equal(read(device, address, sum(sizes), "float64"), np.repeat(sizes, sizes))
    device.release(address)


def test_small_uploads_allocate_nothing_and_do_not_wait(fake: CudaDevice) -> None:
    bindings = bindings_of(fake)
    address = fake.allocate(8)
    bindings.calls.clear()
    for k in range(1000):
        fake.upload(address, np.array([k]))
    assert set(bindings.names("host", "allocate", "event", "passed", "synchronize", "to_device")) == {"to_device"}
    assert len(bindings.queue) == 1000
    assert read(fake, address, 1)[0] == 999


def test_the_ring_goes_round(fake: CudaDevice) -> None:
    """Parts of the ring are used again only after what was in them was copied: the queue is long by then."""
    count = 3 * staging.PARTS * staging.PART // staging.SMALL
    words = staging.SMALL // 8
    memories = [from_host(fake, np.full(words, k)) for k in range(count)]
    for k, array in enumerate(memories):
        np.testing.assert_array_equal(array, np.full(words, k))


def test_launch(device: CudaDevice) -> None:
    kernel = device.load(scale, SIGNATURE)
    assert kernel.name == "scale" and kernel.signature == SIGNATURE
    assert device.load(scale, SIGNATURE) is kernel
    x = from_host(device, np.arange(100, dtype="float32"))
    out = from_host(device, np.full(100, np.nan, "float32"))
    device.launch(kernel, (7,), (16, 1), (out.address, x.address, 2.5, 100))
    np.testing.assert_array_equal(out, np.arange(100, dtype="float32") * np.float32(2.5))


@pytest.mark.parametrize(
    ("grid", "block", "message"),
    [
        (0, 32, "a grid has 1 to .* blocks, not 0"),
        ((1, 65536), 32, r"blocks, not \(1, 65536\)"),
        (1, 0, "a block has 1 to 1024 threads, not 0"),
        (1, (32, 33), r"threads, not \(32, 33\)"),
    ],
)
def test_grids_that_no_device_takes(device: CudaDevice, grid, block, message: str) -> None:
    kernel = device.load(count_up, ("int64*",))
    with pytest.raises(LaunchError, match=f"kernel count_up: .*{message}"):
        device.launch(kernel, grid, block, (0,))


@pytest.mark.parametrize("parameters", [(1, 2, 3.0), (1, 2, "3", 4), (1, 2, 3.0, 2**63), (-1, 2, 3.0, 4)])
def test_parameters_that_do_not_fit(device: CudaDevice, parameters) -> None:
    kernel = device.load(scale, SIGNATURE)
    with pytest.raises(LaunchError, match=r"kernel scale\(float32\*, .*\) cannot have the parameters \("):
        device.launch(kernel, 1, 32, parameters)


def test_every_type_of_parameter(device: CudaDevice) -> None:
    def store(out, a, b, c, d, e, f, g):
        out[0] = a
        out[1] = b
        out[2] = c
        out[3] = d
        out[4] = e
        out[5] = f
        out[6] = 1.0 if g else 0.0

    signature = ("float64*", "int8", "uint16", "int32", "uint64", "float32", "float64", "bool")
    kernel = device.load(store, signature)
    out = from_host(device, np.full(7, np.nan))
    device.launch(kernel, 1, 1, (out.address, -3, 65535, -(2**31), 2**53, 0.1, -0.0, True))
    want = [-3, 65535, -(2**31), 2**53, np.float32(0.1), -0.0, 1]
    np.testing.assert_array_equal(out, want)
    assert np.signbit(np.asarray(out)[5])


# -- recordings -------------------------------------------------------------------------------------------------------


def test_recordings_do_nothing_until_they_are_replayed_and_keep_the_order(device: CudaDevice) -> None:
    kernels = [device.load(k, ("int64*",)) for k in (count_up, double)]
    array = from_host(device, np.zeros(2, "int64"))

    def launches() -> None:
        device.clear(array.address + 8, 8)
        for kernel in kernels:
            device.launch(kernel, 1, 1, (array.address,))
        device.copy(array.address + 8, array.address, 8)

    recording = device.record(launches)
    assert recording.launches == 2
    assert np.asarray(array).tolist() == [0, 0]
    want = 0
    for _ in range(3):
        recording.replay()
        want = 2 * (want + 1) + 1
        assert np.asarray(array).tolist() == [want, want]


@pytest.mark.parametrize("times", [0, 1, BATCH, 2 * BATCH - 1, 2 * BATCH, 5 * BATCH + 3])
def test_replays(device: CudaDevice, times: int) -> None:
    kernel = device.load(count_up, ("int64*",))
    array = from_host(device, np.zeros(1, "int64"))
    recording = device.record(lambda: device.launch(kernel, 1, 1, (array.address,)))
    recording.replay(times)
    assert array.item() == times
    recording.replay(times)
    assert array.item() == 2 * times


def test_many_replays_are_few_calls(fake: CudaDevice) -> None:
    bindings = bindings_of(fake)
    kernel = fake.load(count_up, ("int64*",))
    array = from_host(fake, np.zeros(1, "int64"))
    recording = fake.record(lambda: fake.launch(kernel, 1, 1, (array.address,)))
    recording.replay(10 * BATCH + 2)
    assert len(bindings.names("start")) == 12
    recording.replay(10 * BATCH)
    assert bindings.names("repeated") == ["repeated"]


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (lambda d, a, r: d.allocate(8), "memory is allocated"),
        (lambda d, a, r: d.upload(a, np.zeros(1)), "an array is uploaded"),
        (lambda d, a, r: read(d, a, 1), "an array is downloaded"),
        (lambda d, a, r: d.wait(), "the device is waited for"),
        (lambda d, a, r: d.load(scale, SIGNATURE), "a kernel is loaded"),
        (lambda d, a, r: d.record(lambda: None), "another recording begins"),
        (lambda d, a, r: r.replay(), "a recording is replayed"),
        (lambda d, a, r: d.before(1), "an array is handed over"),
        (lambda d, a, r: d.after(1), "an array is taken over"),
    ],
)
def test_what_cannot_be_recorded(device: CudaDevice, what, text: str) -> None:
    kernel = device.load(count_up, ("int64*",))
    array = from_host(device, np.zeros(1, "int64"))

    def launches() -> None:
        device.launch(kernel, 1, 1, (array.address,))

    recording = device.record(launches)
    with pytest.raises(DeviceError, match=f"{text} while launches are recorded\n  fix: "):
        device.record(lambda: (launches(), what(device, array.address, recording)))
    # the device goes on, and what was recorded before works
    recording.replay()
    assert array.item() == 1


def test_garbage_within_a_recording_is_given_back_after_it(fake: CudaDevice) -> None:
    bindings = bindings_of(fake)
    kernel = fake.load(count_up, ("int64*",))
    array = from_host(fake, np.zeros(1, "int64"))
    garbage = [Memory(fake, 8)]
    old = fake.record(lambda: None)
    bindings.calls.clear()

    def launches() -> None:
        fake.launch(kernel, 1, 1, (array.address,))
        garbage.clear()
        old.release()

    recording = fake.record(launches)
    assert bindings.names("free", "drop", "end") == ["end"]
    recording.replay()
    assert bindings.names("free", "drop", "start", "end") == ["end", "free", "drop", "start"]
    recording.replay()
    assert array.item() == 2


def test_released_recordings_are_refused(device: CudaDevice) -> None:
    recording = device.record(lambda: None)
    recording.release()
    recording.release()
    with pytest.raises(LaunchError, match="released before this replay"):
        recording.replay()


# -- memory that is given back ----------------------------------------------------------------------------------------


def test_memory_belongs_to_its_owner(fake: CudaDevice) -> None:
    bindings = bindings_of(fake)
    memory = Memory(fake, 1000)
    assert bindings.free_bytes == TOTAL - 1000
    del memory
    gc.collect()
    fake.wait()
    assert bindings.free_bytes == TOTAL and not bindings.blocks


def test_release_never_waits_for_the_lock(fake: CudaDevice) -> None:
    bindings = bindings_of(fake)
    address = fake.allocate(8)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with fake.lock, fake.use:
            held.set()
            done.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(PATIENCE)
    fake.release(address)
    assert bindings.names("free") == []
    done.set()
    join(thread)
    fake.wait()
    assert bindings.names("free") == ["free"]


def test_out_of_memory(device: CudaDevice) -> None:
    with pytest.raises(DeviceMemoryError) as caught:
        device.allocate(1 << 46)
    said = str(caught.value)
    assert "65536.0 GiB of memory were asked for" in said and " are free\n  fix: smaller minibatches" in said
    assert isinstance(caught.value, MemoryError)
    device.release(device.allocate(8))


def test_garbage_makes_room(fake: CudaDevice) -> None:
    class Cycle:
        def __init__(self) -> None:
            self.me, self.memory = self, Memory(fake, TOTAL - 100)

    gc.disable()
    try:
        Cycle()
        Memory(fake, TOTAL - 200)
    finally:
        gc.enable()


def test_arena(device: CudaDevice) -> None:
    arena = Arena(device)
    assert (arena.address, arena.size) == (0, 0)
    assert not arena.reserve(0)
    assert arena.reserve(100) and arena.size == 100
    address = arena.address
    assert not arena.reserve(50) and arena.address == address
    assert arena.reserve(101) and arena.size == 101
    with pytest.raises(DeviceMemoryError):
        arena.reserve(1 << 46)
    assert arena.size == 0 and arena.reserve(10)

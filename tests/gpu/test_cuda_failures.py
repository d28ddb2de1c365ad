"""What a CUDA device says when something fails, and that threads, interrupts, forks and the end do it no harm."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numba import cuda, float32

from numgraph.config import config
from numgraph.cuda import compiler, driver
from numgraph.cuda.array import from_host
from numgraph.cuda.driver import CudaDevice
from numgraph.errors import DeviceError, LaunchError
from tests.fakecuda import FakeBindings, bindings_of
from tests.waits import python, together

ROOT = Path(__file__).parents[2]


def count_up(at):
    if cuda.grid(1) == 0:
        at[0] = at[0] + 1


def wrong_address(out):
    out[1 << 40] = float32(1.0)


def test_failures_are_named(fake: CudaDevice) -> None:
    bindings = bindings_of(fake)
    kernel = fake.load(count_up, ("int64*",))
    array = from_host(fake, np.zeros(1, "int64"))
    bindings.refused["launch"] = "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"
    with pytest.raises(LaunchError, match=r"Fake: the launch of count_up, grid 1, block 32 failed: .*OUT_OF_RES"):
        fake.launch(kernel, 1, 32, (array.address,))
    bindings.refused["passed"] = "CUDA_ERROR_ILLEGAL_ADDRESS"
    with pytest.raises(LaunchError, match=r"something launched earlier.*ILLEGAL_ADDRESS.*\n  fix: .*cuda_wait = True"):
        fake.wait()
    bindings.refused["free"] = "CUDA_ERROR_ILLEGAL_ADDRESS"
    fake.release(fake.allocate(8))
    bindings.refused["start"] = "CUDA_ERROR_UNKNOWN"
    recording = fake.record(lambda: None)
    with pytest.raises(LaunchError, match="a recording failed: CUDA_ERROR_UNKNOWN"):
        recording.replay(3)
    assert bindings.entered == 0 and fake.lock.acquire(blocking=False)


def test_waiting_for_each_launch(fake: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    bindings = bindings_of(fake)
    kernel = fake.load(count_up, ("int64*",))
    array = from_host(fake, np.zeros(1, "int64"))
    monkeypatch.setattr(config, "cuda_wait", True)
    bindings.refused["synchronize"] = "CUDA_ERROR_ILLEGAL_ADDRESS"
    with pytest.raises(LaunchError, match="Fake: count_up failed: CUDA_ERROR_ILLEGAL_ADDRESS"):
        fake.launch(kernel, 1, 1, (array.address,))
    # not while recording, when nothing runs
    bindings.calls.clear()
    recording = fake.record(lambda: fake.launch(kernel, 1, 1, (array.address,)))
    assert bindings.names("synchronize") == []
    recording.replay()
    assert bindings.names("synchronize") == ["synchronize"]


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match="CUDA device 3 cannot be used: open: CUDA_ERROR_INVALID_DEVICE"):
        CudaDevice(FakeBindings(), 3)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "missing", lambda purpose: "there is no NVIDIA driver\n  fix: install it")
    monkeypatch.setattr(driver, "_OPEN", {})
    with pytest.raises(DeviceError, match='target "cuda": there is no NVIDIA driver\n  fix: install it'):
        driver.device()


@pytest.mark.gpu
def test_a_kernel_that_fails_on_the_device() -> None:
    """In a process of its own, which cannot use the device afterwards."""
    code = (
        "from tests.gpu.test_cuda_failures import *\n"
        "device = driver.device(); array = from_host(device, np.zeros(1, 'float32'))\n"
        "device.launch(device.load(wrong_address, ('float32*',)), 1, 1, (array.address,))\n"
        "try:\n    device.wait()\nexcept LaunchError as error:\n    print(error)\n"
    )
    done = python("-c", code, cwd=ROOT)
    assert "ILLEGAL_ADDRESS" in done.stdout, done.stderr


# -- threads, forks, the end ------------------------------------------------------------------------------------------


def test_several_threads(device: CudaDevice) -> None:
    kernel = device.load(count_up, ("int64*",))
    found: dict[int, int] = {}

    def work(number: int) -> None:
        array = from_host(device, np.full(1, 1000 * number))
        recording = device.record(lambda: device.launch(kernel, 1, 1, (array.address,)))
        for _ in range(20):
            device.launch(kernel, 1, 1, (array.address,))
            recording.replay(2)
        found[number] = array.item()

    together(*(partial(work, k) for k in range(4)))
    assert found == {k: 1000 * k + 60 for k in range(4)}


def test_waiting_leaves_the_device_to_other_threads(fake: CudaDevice) -> None:
    bindings = bindings_of(fake)
    bindings.passed = lambda event: False  # type: ignore[method-assign]
    thread = threading.Thread(target=fake.wait, daemon=True)
    thread.start()
    time.sleep(0.01)
    fake.clear(fake.allocate(8), 8)
    del bindings.passed
    thread.join(10)
    assert not thread.is_alive()


def test_an_interrupted_wait(fake: CudaDevice) -> None:
    bindings = bindings_of(fake)
    array = from_host(fake, np.zeros(1))

    def interrupted(event: object) -> bool:
        raise KeyboardInterrupt

    bindings.passed = interrupted  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        fake.wait()
    with pytest.raises(KeyboardInterrupt):
        array.item()
    assert not bindings.queue, "a copy to memory that may be gone is waited for"
    del bindings.passed
    assert array.item() == 0 and bindings.entered == 0


FORK_AND_EXIT = """
import os
from tests.fakecuda import fake_device
from numgraph.cuda.array import Memory
from numgraph.errors import DeviceError
device = fake_device()
memory, recording = Memory(device, 8), device.record(lambda: None)
device.lock.acquire()
if os.fork() == 0:
    try:
        device.wait()
    except DeviceError as error:
        print(error, flush=True)
    del memory, recording
    os._exit(0)
os.wait()
device.lock.release()
device.wait()
print("parent goes on")

def gone(*about):
    raise AssertionError("the driver is gone at exit")

device.bindings.free = device.bindings.drop = device.bindings.enter = gone
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_and_at_exit() -> None:
    done = python("-c", FORK_AND_EXIT, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Fake: CUDA was used before this process was forked, and does not work in the child\n"
        '  fix: start processes with multiprocessing\'s "spawn", or use CUDA only in the children\n'
        "parent goes on\n"
    )

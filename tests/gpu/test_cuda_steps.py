"""Steps: arguments in slots, results kept, sweeps that are nothing but replays."""

from __future__ import annotations

import numpy as np
import pytest
from numba import cuda
from numgraph.kernels.cuda.steps import advance

from numgraph.cuda import compiler, driver, steps
from numgraph.cuda.array import from_host
from numgraph.cuda.driver import CudaDevice
from numgraph.cuda.steps import SIGNATURE, Steps
from tests.fakecuda import fake_device


def step(out, state, arguments, width, kept):
    # a state that depends on the order of the steps
    if cuda.grid(1) == 0:
        total = state[0]
        for k in range(width):
            total += arguments[k]
        for k in range(kept):
            out[k] = total + k
        state[0] = 3 * total + 1


@pytest.fixture(params=["fake", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> CudaDevice:
    return fake_device() if request.param == "fake" else driver.device()


def expected(rows: np.ndarray, kept: int) -> tuple[np.ndarray, int]:
    state, found = 0, np.empty((len(rows), kept), np.int64)
    for k, row in enumerate(rows):
        state += int(row.sum())
        found[k] = state + np.arange(kept)
        state = (3 * state + 1 + 2**63) % 2**64 - 2**63
    return found, state


@pytest.mark.parametrize(("width", "kept"), [(1, 1), (3, 2), (0, 1), (1, 0), (300, 5), (2, 200)])
@pytest.mark.parametrize(("count", "capacity"), [(0, 4), (1, 4), (4, 4), (9, 4), (35, 40)])
def test_sweeps(device: CudaDevice, width: int, kept: int, count: int, capacity: int) -> None:
    table = Steps(device, width, kept, capacity)
    kernel = device.load(step, ("int64*", "int64*", "int64*", "int64", "int64"))
    state = from_host(device, np.zeros(1, "int64"))

    def one() -> None:
        device.launch(kernel, 1, 1, (table.results, state.address, table.slots, width, kept))

    rows = np.random.default_rng(width).integers(-9, 9, (count, width))
    want, end = expected(rows, kept)
    table.prepare()
    sweep = device.record(lambda: (table.advance(), one())[0])
    told: list[int] = []
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(table.sweep(sweep, rows, told.append), want)
    assert state.item() == end
    assert told == [min(k + capacity, count) for k in range(0, count, capacity)]
    # the same, called one by one
    device.clear(state.address, 8)
    single = device.record(one)
    for k in range(count):
        before = device.counts.copy()
        table.set(rows[k])
        single.replay()
        assert device.counts.minus(before).bytes_in == 8 * width
        found = np.empty(kept, np.int64)
        device.download(table.results, found)
        np.testing.assert_array_equal(found, want[k])
    assert state.item() == end


def test_one_step_of_a_sweep_is_one_launch_more(device: CudaDevice) -> None:
    for width, launches in ((1, 1), (steps.THREADS, 1), (steps.THREADS + 1, 2)):
        table = Steps(device, width, 1)
        table.prepare()
        assert device.record(table.advance).launches == launches


def test_a_training_call_brings_8_bytes_and_allocates_nothing(device: CudaDevice) -> None:
    table = Steps(device, 1, 1)
    recording = device.record(lambda: device.copy(table.results, table.slots, 8))
    before = device.counts.copy()
    for k in range(100):
        table.set(np.array([k]))
        recording.replay()
    made = device.counts.minus(before)
    assert (made.bytes_in, made.bytes_out, made.allocations) == (800, 0, 0)


def test_capacity_is_bounded_by_the_bytes() -> None:
    device = fake_device()
    assert Steps(device, 1, 1).capacity == 4096
    assert Steps(device, 1 << 12, 1).capacity == 128
    assert Steps(device, 1 << 20, 1).capacity == 1


@pytest.mark.skipif(compiler.missing("compile") is not None, reason=str(compiler.missing("compile")))
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
def test_machine_code(capability: tuple[int, int]) -> None:
    cubin = compiler.compile_cubin(advance, SIGNATURE, capability)
    assert (cubin.stack_bytes, cubin.spill_bytes, cubin.shared_bytes) == (0, 0, 0)
    assert cubin.registers <= 40 and ".f64" not in cubin.ptx

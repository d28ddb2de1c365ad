"""What a device gave is given back once, when nobody can use it any more, in whatever order its users die."""

from __future__ import annotations

import gc
import random
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.cuda.array import DeviceArray, Memory, from_host
from numgraph.cuda.bindings import CudaBindings, Refused
from numgraph.cuda.driver import CudaDevice
from numgraph.cuda.held import hold
from numgraph.cuda.pool import Pool
from numgraph.cuda.recording import BATCH
from numgraph.cuda.simdevice import SimulatedDevice
from numgraph.errors import LaunchError
from tests.fakecuda import bindings_of, fake_device

# -- reference cycles -------------------------------------------------------------------------------------------------


def test_the_cyclic_collector_does_not_know_what_is_held() -> None:
    told: list[str] = []
    held: list[Any] = [hold(lambda: told.append("back"))]
    assert not gc.is_tracked(held[0]), "see cuda/held.py: another container is needed with this version of NumPy"
    held.append(held)
    del held
    gc.collect()
    assert told == ["back"]


def test_a_result_that_dies_in_a_cycle() -> None:
    """Its memory is not used twice: the cyclic collector calls all finalizers, in an order of its own."""
    s = ng.shared(np.arange(3, dtype="float32"), "s")
    f = ng.function([], ng.sum(s), target="cuda-sim")
    cycle: list[Any] = [f()]
    cycle.append(cycle)
    del cycle
    gc.collect()
    other = ng.shared(np.full(1, 7, "float32"), "other")
    g = ng.function([], other * 1, target="cuda-sim")
    assert np.asarray(g()).tolist() == [7]
    assert float(f()) == 3
    assert np.asarray(g()).tolist() == [7]


class Reader:
    """Reads a result in its finalizer, as a logger may."""

    def __init__(self, result: Any, seen: list[Any]) -> None:
        self.result, self.seen, self.me = result, seen, self

    def __del__(self) -> None:
        self.seen.append(np.asarray(self.result).tolist())


@pytest.mark.parametrize("first", ["reader", "result"])
def test_a_finalizer_reads_a_result_that_dies_with_it(first: str) -> None:
    device = SimulatedDevice()
    pool, seen = Pool(device), []
    for k in range(4):
        reader = Reader(0, seen) if first == "reader" else None
        lease = pool.take(8) if k % 2 else Memory(device, 8)
        result = DeviceArray(device, lease, lease.address, (1,), "float64")
        device.upload(result.address, np.array([float(k)]))
        reader = reader or Reader(0, seen)
        reader.result = result
        del lease, result, reader
        gc.collect()
    assert seen == [[0.0], [1.0], [2.0], [3.0]]
    assert len(device.memory) == 1, "one block waits in the pool"
    del pool
    gc.collect()
    assert not device.memory


def test_random_graphs_of_references() -> None:
    """Whatever refers to what: blocks in use are never given back, never given twice, and none is lost."""
    device, choose = SimulatedDevice(), random.Random(5)
    pool, values = Pool(device), 0
    for _ in range(40):
        held = [pool.take(8) if choose.random() < 0.7 else Memory(device, 8) for _ in range(choose.randrange(1, 6))]
        arrays = [DeviceArray(device, m, m.address, (1,), "int64") for m in held]
        assert len({a.address for a in arrays}) == len(arrays)
        nodes: list[list[Any]] = [[a] for a in arrays]
        for node in nodes:
            node += choose.sample(nodes, choose.randrange(len(nodes) + 1))
        kept = choose.sample(arrays, choose.randrange(len(arrays) + 1))
        want = list(range(values, values + len(kept)))
        values += len(kept)
        for k, value in enumerate(want):
            device.upload(kept[k].address, np.array([value]))
        del held, arrays, nodes, node
        gc.collect()
        others = [pool.take(8) for _ in range(3)]
        for other in others:
            device.upload(other.address, np.array([-1]))
        assert [a.item() for a in kept] == want
        del kept, others, other
    del pool
    gc.collect()
    assert not device.memory


# -- graphs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", ["launches", "ready", "repeated"])
def test_a_failed_recording_leaves_no_graph(fake: CudaDevice, fails: str) -> None:
    bindings = bindings_of(fake)

    def launches() -> None:
        if fails == "launches":
            raise ZeroDivisionError

    if fails == "ready":
        bindings.refused["ready"] = "CUDA_ERROR_OUT_OF_MEMORY"
    with pytest.raises((ZeroDivisionError, LaunchError)):
        recording = fake.record(launches)
        bindings.refused["ready"] = "CUDA_ERROR_OUT_OF_MEMORY"
        recording.replay(2 * BATCH)
    made, dropped = bindings.names("end", "repeated"), bindings.names("drop")
    if fails == "repeated":
        del recording
        gc.collect()
        fake.wait()
        dropped = bindings.names("drop")
    assert len(made) == len(dropped) == (2 if fails == "repeated" else 1)


class Driver:
    """In place of cuda-bindings: notes calls, and refuses the one that is named."""

    def __init__(self, refused: str) -> None:
        self.refused, self.calls = refused, []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            return (int(name == self.refused), b"no") if name == "cuGetErrorString" else (int(name == self.refused), 5)

        return call


@pytest.mark.parametrize(
    ("call", "refused", "dropped"),
    [
        (lambda b: b.ready(1), "cuGraphUpload", ["cuGraphExecDestroy"]),
        (lambda b: b.repeated(1, 3), "cuGraphAddChildGraphNode", ["cuGraphDestroy"]),
        (lambda b: b.drop(1, 2), "cuGraphExecDestroy", ["cuGraphExecDestroy", "cuGraphDestroy"]),
    ],
)
def test_the_bindings_leave_no_graph(call: Any, refused: str, dropped: list[str]) -> None:
    bindings = CudaBindings.__new__(CudaBindings)
    bindings.driver, bindings.handle = Driver(refused), 0
    with pytest.raises(Refused):
        call(bindings)
    assert [name for name in bindings.driver.calls if "Destroy" in name] == dropped


def test_a_graph_without_executable_form_is_dropped() -> None:
    bindings = CudaBindings.__new__(CudaBindings)
    bindings.driver = Driver("")
    bindings.drop(1, None)
    assert bindings.driver.calls == ["cuGraphDestroy"]


# -- arrays that another library has ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [None, 2, 12345])
def test_a_consumer_that_is_done_is_waited_for(stream: int | None) -> None:
    """Its launches may be under way when it lets go: what is written into the memory then comes later."""
    device = fake_device(kind=2, stream=77)
    bindings = bindings_of(device)
    array = from_host(device, np.arange(3.0))
    capsule = array.__dlpack__(stream=stream)
    del array
    bindings.calls.clear()
    del capsule
    device.wait()
    found = [(name, *about) for name, *about in bindings.calls if name in ("mark", "follow", "free")]
    assert [name for name, *_ in found[:3]] == ["mark", "follow", "free"]
    assert found[:2] == [("mark", 1 if stream is None else stream), ("follow", None)]


def test_a_consumer_without_order_is_not_waited_for() -> None:
    device = fake_device(kind=2, stream=77)
    bindings = bindings_of(device)
    capsule = from_host(device, np.arange(3.0)).__dlpack__(stream=-1)
    bindings.calls.clear()
    del capsule
    assert bindings.names("mark", "follow", "finish", "free") == ["free"]


def test_a_consumer_whose_stream_is_gone() -> None:
    device = fake_device(kind=2, stream=77)
    bindings = bindings_of(device)
    capsule = from_host(device, np.arange(3.0)).__dlpack__(stream=12345)
    bindings.calls.clear()
    bindings.refused["mark"] = "CUDA_ERROR_INVALID_HANDLE"
    del capsule
    assert bindings.names("mark", "follow", "finish", "free") == ["mark", "finish", "free"]


def test_a_consumer_lets_go_within_a_recording() -> None:
    device = fake_device(kind=2, stream=77)
    bindings = bindings_of(device)
    capsules = [from_host(device, np.arange(3.0)).__dlpack__(stream=2)]
    bindings.calls.clear()
    recording = device.record(capsules.clear)
    assert bindings.names("mark", "free") == []
    recording.replay()
    assert bindings.names("mark", "free")[:2] == ["mark", "free"]

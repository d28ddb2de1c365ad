"""A training step with target="cuda" through everything but the driver itself: the fake one does things late."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import numgraph as ng
from bench import problems
from bench.gpu.programs import TINY, outcome
from bench.gpu.tools import bits
from bench.peers import with_numgraph
from numgraph.cuda import buffer, driver, target
from numgraph.cuda.array import DeviceArray, from_host
from numgraph.cuda.driver import CudaDevice
from numgraph.errors import ArgumentShapeError, DtypeError, IndexOutOfRange
from tests import fakecuda
from tests.fakecuda import FakeBindings, fake_device
from tests.interrupts import Interrupts, all_free, free, places
from tests.runtime.test_interrupts import Model


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[CudaDevice]:
    """What target="cuda" uses."""
    monkeypatch.setattr(driver, "_OPEN", {})
    target.device_for.cache_clear()
    made = fake_device()
    driver.adopt(made)
    yield made
    target.device_for.cache_clear()


def test_training(device: CudaDevice) -> None:
    sizes = TINY | {"B": 5}
    program = with_numgraph.build("logreg", sizes, 1, "cuda")
    first = outcome(program, False, 2)
    assert problems.difference("logreg", first, problems.expected("logreg", sizes, 2)) == ""
    # recorded by now
    assert bits(outcome(program, False, 2)) == bits(first)
    assert bits(outcome(program, True, 2)) == bits(first)
    ng.config.cuda_graphs = False
    try:
        assert bits(outcome(program, False, 2)) == bits(first)
    finally:
        ng.config.cuda_graphs = True


def test_a_call_is_one_upload_and_one_replay(device: CudaDevice) -> None:
    program = with_numgraph.build("logreg", TINY | {"B": 5}, 1, "cuda")
    for k in range(3):
        program.call(k)
    bindings = device.bindings
    assert isinstance(bindings, FakeBindings)
    bindings.calls.clear()
    before = device.counts.copy()
    cost = program.call(3)
    assert bindings.names("to_device", "start", "launch", "begin", "load") == ["to_device", "start"]
    did = device.counts.minus(before)
    assert did.launches <= 4
    assert did.bytes_in == 8
    assert np.isfinite(float(cost))


def test_a_call_does_not_wait_and_its_error_comes_when_something_is_read(device: CudaDevice) -> None:
    w, labels = ng.shared(np.zeros(4, "float32"), "w"), ng.shared(np.array([0, 1, 9, 3]), "labels")
    k = ng.lscalar("k")
    f = ng.function([k], ng.sum(w), updates=[(w, ng.inc_subtensor(w[labels[k : k + 2]], 1))], target="cuda")
    assert float(f(0)) == 0
    bindings = device.bindings
    assert isinstance(bindings, FakeBindings)
    for _ in range(2):
        f(0)
    bindings.calls.clear()
    good = f(0)
    assert bindings.names("to_host", "wait") == []
    failed, after = f(2), f(0)
    with pytest.raises(IndexOutOfRange, match="out of range") as caught:
        float(failed)
    assert any("not waited for" in note for note in caught.value.__notes__)
    # the call after it did nothing, and everything goes on
    del after
    assert float(good) == 6
    np.testing.assert_array_equal(w.get_value(), [4, 4, 0, 0])
    f(1)
    with pytest.raises(IndexOutOfRange):
        w.get_value()
    np.testing.assert_array_equal(w.get_value(), [4, 4, 0, 0])


class Elsewhere:
    """An array of another library on the device, as far as numgraph looks at it itself."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)


def test_shared_variables_take_arrays_that_are_there(device: CudaDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def taken(device: CudaDevice, value: Elsewhere, copy: bool) -> DeviceArray:
        asked.append(copy)
        return from_host(device, value.values)

    monkeypatch.setattr(buffer, "imported", taken)
    w = ng.shared(Elsewhere(np.arange(3.0)), "w", borrow=True)
    assert (w.type.dtype, w.ndim) == ("float64", 1)
    f = ng.function([], w.sum(), updates=[(w, w + 1)], target="cuda")
    assert [float(f()) for _ in range(2)] == [3, 6]
    assert w.get_value().tolist() == [2, 3, 4]
    assert w.device_value.shape == (3,)
    w.set_value(Elsewhere(np.ones(5)))
    assert float(f()) == 5
    assert asked == [False, True]
    with pytest.raises(DtypeError, match="float32 on a device, needs float64"):
        w.set_value(Elsewhere(np.ones(5, "float32")))
    with pytest.raises(ArgumentShapeError, match="2 axes on a device, needs 1"):
        w.set_value(Elsewhere(np.ones((5, 1))))
    assert float(ng.function([], w.sum(), target="cpu")()) == 10
    assert w.device_value is None


@pytest.mark.parametrize(
    "names", [["a number in place", "scattered"], ["two exchanged", "other lengths"]], ids="+".join
)
def test_an_interrupt_leaves_all_updates_or_none(device: CudaDevice, names: list[str]) -> None:
    """The driver's functions, which the fake has in Python, are not interrupted; everything around them is."""
    model = Model(names, "cuda")
    state = model.check(model.values(), model.function(1.5))
    for _ in range(2):
        # recorded by now
        state = model.check(state, model.function(1.5))
    count = places(lambda: model.function(1.5))
    state = model.step(state)
    for place in range(0, count, max(1, count // 40)):
        out = Interrupts([place], native=fakecuda.__file__).run(lambda: model.function(1.5))
        state = model.check(state, out)
    assert count > 20 and all_free() and free(device.lock)

"""A training step with target="cuda" through everything but the driver itself: the fake one does things late."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from fakecuda import FakeBindings, fake_device

import numgraph as ng
from bench import problems
from bench.gpu.programs import TINY, outcome
from bench.gpu.tools import bits
from bench.peers import with_numgraph
from numgraph.cuda import driver, executor
from numgraph.cuda.driver import CudaDevice


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[CudaDevice]:
    """What target="cuda" uses."""
    monkeypatch.setattr(driver, "_OPEN", {})
    executor.device_for.cache_clear()
    made = fake_device()
    driver.adopt(made)
    yield made
    executor.device_for.cache_clear()


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

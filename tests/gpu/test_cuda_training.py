"""Training steps on the simulated device: against the processor, recorded, swept, and what they move."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.cuda.passes import printed_for_grid
from numgraph.errors import IndexOutOfRange
from numgraph.loops.grid.kernel import Geometry

SIM = "cuda-sim"
ROWS, FEATURES, CLASSES, BATCH = 44, 9, 4, 20


class Logistic:
    """Softmax regression on minibatches of resident data; the last one is cut short."""

    def __init__(self, target: str, hidden: int = 0) -> None:
        rng = np.random.default_rng(0)
        shared = ng.shared
        data = rng.standard_normal((ROWS, FEATURES)).astype("float32")
        self.labels = shared(rng.integers(0, CLASSES, ROWS).astype("int32"), "train_y")
        sizes = [FEATURES, *([hidden] if hidden else []), CLASSES]
        layers = list(pairwise(sizes))
        self.weights = [shared((rng.standard_normal(s) * 0.3).astype("float32"), f"W{k}") for k, s in enumerate(layers)]
        self.weights += [shared(np.zeros(s[1], "float32"), f"b{k}") for k, s in enumerate(layers)]
        x, y, index = ng.matrix("x", "float32"), ng.vector("y", "int32"), ng.lscalar("index")
        h = x
        for k in range(len(layers)):
            h = ng.dot(h, self.weights[k]) + self.weights[len(layers) + k]
            h = ng.tanh(h) if k + 1 < len(layers) else ng.softmax(h)
        cost = -ng.mean(ng.log(h)[ng.arange(y.shape[0]), y])
        rate = np.float32(0.1)
        updates = [(w, w - rate * g) for w, g in zip(self.weights, ng.grad(cost, self.weights), strict=True)]
        window = slice(index * BATCH, (index + 1) * BATCH)
        givens = {x: shared(data, "train_x")[window], y: self.labels[window]}
        self.train = ng.function([index], cost, updates, givens, target=target, name="train")

    def values(self) -> list[Any]:
        return [w.get_value() for w in self.weights]


def same(a: Logistic, b: Logistic) -> None:
    for v, w in zip(a.values(), b.values(), strict=True):
        np.testing.assert_array_equal(v, w)


@pytest.mark.parametrize("hidden", [0, 40])
def test_as_on_the_processor(hidden: int) -> None:
    there, here = Logistic(SIM, hidden), Logistic("cpu", hidden)
    for k in (0, 1, 2, 0):
        assert float(there.train(k)) == pytest.approx(float(here.train(k)), rel=1e-4)
    for v, w in zip(there.values(), here.values(), strict=True):
        np.testing.assert_allclose(v, w, atol=1e-5)


def test_a_logistic_step_is_three_launches_and_sends_one_number() -> None:
    model = Logistic(SIM)
    waiting = [model.train(0) for _ in range(2)]
    del waiting
    for k in (0, 1, 2):
        model.train(k)
    # results that were given back are used again
    model.train.stats.calls = model.train.stats.bytes_in = model.train.stats.allocations = (
        model.train.stats.launches
    ) = 0
    costs = [model.train(k) for k in (0, 1)]
    stats = model.train.stats
    assert (stats.calls, stats.bytes_in, stats.allocations) == (2, 2 * 8, 0)
    assert stats.launches == 2 * len(model.train.executor.variant.kernels[0])
    assert np.isfinite([float(c) for c in costs]).all()
    # with the grids of a real device
    module = printed_for_grid(model.train.program, Geometry()).module
    assert len(module.kernels[0]) == 3


def test_sweeps_are_the_calls() -> None:
    swept, called = Logistic(SIM), Logistic(SIM)
    order = [0, 1, 0, 1, 2]
    costs = swept.train.sweep(order)
    np.testing.assert_array_equal(costs, [np.asarray(called.train(k)) for k in order])
    same(swept, called)


def test_a_sweep_ends_before_the_step_that_fails() -> None:
    swept, called = Logistic(SIM), Logistic(SIM)
    for model in (swept, called):
        labels = model.labels.get_value()
        labels[25] = 99
        model.labels.set_value(labels)
    with pytest.raises(IndexOutOfRange, match="index 99 is out of range for an axis of length 4") as caught:
        swept.train.sweep([0, 0, 1, 0])
    assert any("step 2 of a sweep" in note for note in caught.value.__notes__)
    called.train(0)
    called.train(0)
    same(swept, called)
    assert float(swept.train(0)) == float(called.train(0))


def test_phases_of_one_launch_stop_where_an_index_is_refused() -> None:
    """The sum of what labels pick follows their check in the same kernel, which must not read there."""
    x, y = ng.matrix("x", "float32"), ng.vector("y", "int32")
    cost = -ng.mean(ng.log(ng.softmax(x))[ng.arange(y.shape[0]), y])
    rows, labels = ng.shared(np.zeros((3, 4), "float32"), "rows"), ng.shared(np.array([0, 1, 9], "int32"), "labels")
    f = ng.function([], [cost, ng.grad(cost, x)], givens={x: rows, y: labels}, target=SIM)
    assert any(len(kernel.shapes) > 1 and "status" in kernel.parameters
               for kernel in f.executor.variant.module.kernels[0])  # fmt: skip
    with pytest.raises(IndexOutOfRange, match="index 9"):
        f()
    labels.set_value(np.array([0, 1, 2], "int32"))
    assert float(f()[0]) == pytest.approx(np.log(4))


def test_the_recording_follows_new_lengths() -> None:
    """What is recorded has addresses and lengths in it."""
    x = ng.shared(np.arange(5.0), "x")
    f = ng.function([], ng.sum(x * x), updates=[(x, x + 1)], target=SIM)
    for length in (5, 5, 5, 9, 9, 9, 5):
        if x.get_value().shape != (length,):
            x.set_value(np.arange(float(length)))
        want = (x.get_value() ** 2).sum()
        assert float(f()) == want


def test_two_runs_give_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        model = Logistic(SIM, 33)
        model.train.sweep(range(2))
        runs.append(model)
    same(*runs)

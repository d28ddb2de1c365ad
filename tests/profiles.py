"""What tests of profiles share: functions to profile, a machine that is always the same, and whether events nest."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

import numgraph as ng
from numgraph.explain.machine import Machine
from numgraph.profiling.result import Event

FIGURES = Machine(32, 100.0, {16 << 10: 160.0, 1 << 20: 80.0, 64 << 20: 10.0}, 1.5, 1000.0, 2)


def ones(*shape: int) -> Any:
    return np.ones(shape, "float32")


def training(target: str = "cpu", name: str = "train") -> tuple[Any, list[Any]]:
    """A training step, and its shared variables."""
    index, x, y = ng.lscalar("index"), ng.fmatrix("x"), ng.ivector("y")
    rng = np.random.default_rng(1)
    train_x = ng.shared(rng.normal(size=(500, 40)).astype("float32"), name="train_x")
    train_y = ng.shared(rng.integers(0, 3, 500).astype("int32"), name="train_y")
    W, b = ng.shared(np.zeros((40, 3), "float32"), name="W"), ng.shared(np.zeros(3, "float32"), name="b")
    cost = -ng.mean(ng.log(ng.softmax(ng.dot(x, W) + b, axis=1))[ng.arange(y.shape[0]), y])
    gW, gb = ng.grad(cost, [W, b])
    part = slice(index * 100, (index + 1) * 100)
    updates = [(W, W - 0.1 * gW), (b, b - 0.1 * gb)]
    givens = {x: train_x[part], y: train_y[part]}
    train = ng.function([index], cost, updates=updates, givens=givens, target=target, name=name)
    return train, [train_x, train_y, W, b]


def recurrent(steps: Any = None) -> Any:
    """A scan and its gradient, with an update."""
    x, h0 = ng.ftensor3("x"), ng.fmatrix("h0")
    U = ng.shared(0.5 * np.eye(8, dtype="float32"), name="U")
    h, _ = ng.scan(lambda x_t, h: ng.tanh(x_t + ng.dot(h, U)), sequences=x, outputs_info=h0)
    cost = ng.sum(h)
    return ng.function([x, h0], cost, updates=[(U, U - 0.01 * ng.grad(cost, U))], name="recurrent")


def kinds(events: list[Event]) -> Counter[tuple[str, str]]:
    return Counter((e.kind, e.name) for e in events)


def assert_nested(events: list[Event]) -> None:
    """Events of one thread lie within one another or apart."""
    for thread in {e.thread for e in events}:
        open_until: list[int] = []
        own = sorted((e for e in events if e.thread == thread), key=lambda e: (e.begin, -e.duration))
        for e in own:
            while open_until and open_until[-1] <= e.begin:
                open_until.pop()
            assert not open_until or e.begin + e.duration <= open_until[-1], e
            open_until.append(e.begin + e.duration)

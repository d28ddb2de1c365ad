"""Recurrent layers: training steps in which one kernel goes through all steps of a loop, against launches for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import numgraph as ng
from bench.gpu.tools import Context, Section, bits, call_seconds, relative_error

# Steps, rows of a minibatch, units: a step is the work of one block of threads, of several, the most that is not left
# to launches.
SHAPES = ((100, 1, 32), (100, 1, 256), (100, 32, 256), (100, 32, 512))
TINY = ((3, 2, 5),)
INPUTS = 16
# Of float32 sums in another order, over all steps.
TOLERANCE = 1e-4


def layer(target: str, steps: int, rows: int, units: int) -> tuple[Callable[[], Any], list[Any]]:
    """A training step of a layer of LSTM cells on resident data, and what it changes."""
    rng = np.random.default_rng(0)
    shapes = {"x": (steps, rows, INPUTS), "W": (INPUTS, 4 * units), "U": (units, 4 * units), "b": (4 * units,)}
    made = [ng.shared((rng.standard_normal(s) / units**0.5).astype("float32"), n) for n, s in shapes.items()]
    x, W, U, b = made

    def step(v: Any, h: Any, c: Any) -> Any:
        z = v @ W + h @ U + b
        i, f, o, g = (z[:, units * k : units * (k + 1)] for k in range(4))
        c = ng.sigmoid(f) * c + ng.sigmoid(i) * ng.tanh(g)
        return ng.sigmoid(o) * ng.tanh(c), c

    zeros = ng.zeros((rows, units), "float32")
    (h, _), _ = ng.scan(step, x, [zeros, zeros])
    cost = ng.mean(ng.sqr(h[-1] - 1))
    updates = [(v, v - np.float32(0.1) * g) for v, g in zip(made[1:], ng.grad(cost, made[1:]), strict=True)]
    return ng.function([], cost, updates=updates, target=target), made[1:]


def launched(target: str, *shape: int) -> tuple[Callable[[], Any], list[Any]]:
    """The same with launches for each step of the loops."""
    before = ng.config.cuda_loops
    ng.config.cuda_loops = False
    try:
        return layer(target, *shape)
    finally:
        ng.config.cuda_loops = before


def outcome(f: Callable[[], Any], state: list[Any], start: list[Any]) -> list[Any]:
    """The cost and the weights after a step from the start."""
    for v, value in zip(state, start, strict=True):
        v.set_value(value)
    cost = np.asarray(f())
    return [cost, *(v.get_value() for v in state)]


def loops(context: Context) -> Section:
    """Right, repeatable, and how long both ways take."""
    found = Section()
    head = (
        "steps, rows, units",
        "relative error",
        "two runs",
        "launches",
        "µs",
        "launches, each",
        "µs, each",
    )
    rows = found.table("Layers of LSTM cells", *head)
    for shape in context.pick(TINY, SHAPES):
        name = ", ".join(map(str, shape))
        if context.over(found, name):
            return found
        f, state = layer(context.target, *shape)
        start = [v.get_value() for v in state]
        first = outcome(f, state, start)
        g, other = layer("reference", *shape)
        error = max(relative_error(a, b) for a, b in zip(first, outcome(g, other, start), strict=True))
        same = bits(outcome(f, state, start)) == bits(first)
        found.check(f"{name}: right", error <= TOLERANCE, f"relative error {error:.2g}")
        found.check(f"{name}: two runs", same, "equal bits" if same else "other bits")
        whole, each = timed(context, f), timed(context, launched(context.target, *shape)[0])
        found.check(f"{name}: fewer launches", whole[0] < each[0], f"{whole[0]:g} rather than {each[0]:g}")
        rows.append([name, error, "equal" if same else "differ", whole[0], whole[1] * 1e6, each[0], each[1] * 1e6])
    return found


def timed(context: Context, f: Callable[[], Any]) -> tuple[float, float]:
    """Launches and seconds of a training step."""
    device, count = context.device, context.pick(1, 20)
    for _ in range(2):
        f()
    device.wait()
    before = device.counts.copy()
    seconds = call_seconds(context, f, count)
    return device.counts.minus(before).launches / count / len(seconds), min(seconds)

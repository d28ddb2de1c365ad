"""Updates made by several ops in the memory of the variable: sums of products, scatters one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.config import config

Made = tuple[list[ng.Variable], list[tuple[ng.Variable, ng.Variable]]]
x, y = ng.matrix("x", dtype="float64"), ng.matrix("y", dtype="float64")
P, Q = x.T @ y, (y.T @ x).T


def rows(base: Any, value: Any) -> Any:
    """Two of its rows, which a call chooses, are written over."""
    return ng.set_subtensor(base[ng.cast(ng.floor(abs(y[:2, 0])), "int64")], value)


# What is made of W [6, 5] and V [5, 5], and how W gets its new value.
CASES: dict[str, tuple[Callable[[Any, Any], Made], str]] = {
    "a product and a turned one": (lambda W, V: ([ng.sum(W)], [(W, W - 0.1 * (P + 2 * Q))]), "in place"),
    "three": (lambda W, V: ([W + 1], [(W, 0.5 * W + P - Q + x.T @ (y * 2))]), "in place"),
    "the second reads it before": (lambda W, V: ([], [(W, W + P + x.T @ (x @ W))]), "in place"),
    "the first reads it before": (lambda W, V: ([], [(W, W + x.T @ (x @ W) + P)]), "in place"),
    "the first is of itself": (lambda W, V: ([], [(W, W + W @ V + P)]), "fresh"),
    "the second is of itself": (lambda W, V: ([], [(W, W + P + W @ V)]), "fresh"),
    "both of each other": (lambda W, V: ([], [(V, V + y.T @ y + W.T @ W), (W, W + P + Q + x.T @ (x @ W))]), "in place"),
    "one is an output": (lambda W, V: ([P], [(W, W - 0.1 * (P + Q))]), "in place"),
    "one counts twice": (lambda W, V: ([], [(W, W + P + P)]), "in place"),
    "and something else": (lambda W, V: ([], [(W, W + P + Q + ng.sign(W))]), "in place"),
    "two scatters": (lambda W, V: ([W.sum()], [(W, ng.inc_subtensor(rows(W, y[:2])[2], y[1]))]), "in place"),
    "the second reads what was": (lambda W, V: ([], [(W, ng.inc_subtensor(rows(W, y[:2])[2], W[1]))]), "fresh"),
    "in between is an output": (
        lambda W, V: (lambda made: ([made], [(W, ng.inc_subtensor(made[2], y[1]))]))(rows(W, y[:2])), "fresh",
    ),
    "a scatter into products": (lambda W, V: ([], [(W, ng.set_subtensor((W + P + Q)[0], y[0]))]), "fresh"),
    "one value for two": (lambda W, V: ([], [(W, W + (P + Q)), (V, V + (P + Q)[:5] @ V)]), "in place"),
}  # fmt: skip


def run(build: Callable[[Any, Any], Made], target: str) -> tuple[list[Any], Any]:
    """What three calls give and leave, and the function."""
    W = ng.shared(np.arange(30.0).reshape(6, 5) / 7, name="W")
    V = ng.shared(np.arange(25.0).reshape(5, 5) / 9, name="V")
    outputs, updates = build(W, V)
    f = ng.function([x, y], outputs, updates=updates, target=target, on_unused_input="ignore")
    found: list[Any] = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        found += [*map(np.array, f(rng.standard_normal((4, 6)), rng.standard_normal((4, 5))))]
        found += [W.get_value(), V.get_value()]
    return found, f


@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_the_reference(case: str) -> None:
    build, how = CASES[case]
    expected, _ = run(build, "reference")
    for target in ("cpu", "cuda-sim"):
        found, f = run(build, target)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
        if target == "cpu":
            explained = f.explain(np.zeros((4, 6)), np.zeros((4, 5)))
            assert {u.target: u.how for u in explained.updates}["W"] == how


def test_tied_weights_store_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An autoencoder's weights are used twice, the second time turned."""
    monkeypatch.setattr(config, "threads", 1)
    W, v = ng.shared(np.full((700, 300), 0.01), name="W"), ng.matrix("v", dtype="float64")
    cost = ng.sum((ng.tanh(ng.tanh(v @ W) @ W.T) - v) ** 2)
    f = ng.function([v], cost, updates={W: W - 0.1 * ng.grad(cost, W)})
    batch = np.linspace(-1, 1, 5 * 700).reshape(5, 700)
    f(batch)
    # less than one matrix of the weights' size
    assert sum(f.executor.variant.artifact.needed) < W.get_value().nbytes


def test_a_call_that_fails_has_written_nothing() -> None:
    W = ng.shared(np.arange(30.0).reshape(6, 5), name="W")
    k = ng.lscalar("k")
    f = ng.function([y, k], [], updates={W: ng.inc_subtensor(ng.set_subtensor(W[0], y[0])[k], y[1])})
    with pytest.raises(IndexError):
        f(np.ones((4, 5)), 6)
    np.testing.assert_array_equal(W.get_value(), np.arange(30.0).reshape(6, 5))


def test_each_product_names_the_variable() -> None:
    W = ng.shared(np.zeros((6, 5)), name="W")
    f = ng.function([x, y], [], updates={W: W - 0.1 * (P + 2 * Q)})
    f(np.ones((4, 6)), np.ones((4, 5)))
    np.testing.assert_allclose(W.get_value(), -0.1 * 3 * 4)
    assert "# W = W + " in f.source and "out0" not in f.source

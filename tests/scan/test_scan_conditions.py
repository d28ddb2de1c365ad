"""Conditions on what a step of a scan alone knows: lengths and places that it counts. One that fails ends the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng

X, Y, N = ng.vector("x"), ng.vector("y"), ng.lscalar("n")


def over(step: Callable[..., Any], *states: Any) -> Any:
    """The rows of a loop whose steps get the number of the step, 0 to n - 1."""
    return ng.scan(step, sequences=ng.arange(N), outputs_info=states[0] if states else None)[0]


# The lengths of x and y are 3 and 2: each step is fine for two steps, and some step is not for seven.
STEPS: dict[str, Callable[[], Any]] = {
    "a written place": lambda: over(lambda k, a: ng.set_subtensor(a[k], a[k] + 1.0), X),
    "a written place, of the last state": lambda: over(lambda k, a: ng.inc_subtensor(a[k], 1.0), X)[-1],
    "a read place": lambda: over(lambda k: Y[X[:k].shape[0]]),
    "broadcasting": lambda: over(lambda k: ng.sum(X[k:] * Y[k:][:1])) + over(lambda k: ng.sum(X[k : k + 2] * Y)),
    "a product": lambda: over(lambda k: ng.dot(X[k : k + 2], Y)),
    "a reshape": lambda: over(lambda k: X[k : k + 2].reshape((2, -1)).sum()),
    "the maximum of nothing": lambda: over(lambda k: ng.max(X[k:])),
    "a negative length": lambda: over(lambda k: ng.zeros((2 - k,)).sum()),
    "a loop in a loop": lambda: ng.map(lambda k: k * over(lambda j, a: ng.set_subtensor(a[j], 1.0), X)[-1], Y)[0],
    "a gradient": lambda: ng.grad(over(lambda k, a: ng.set_subtensor(a[k], a[k] * 2.0), X)[-1].sum(), X),
    "a branch": lambda: over(lambda k: ng.ifelse(k > 1, ng.max(X[k:]), 0.0)),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_condition_that_fails_in_a_step_ends_the_call(name: str, target: str) -> None:
    made = ng.shared(np.zeros(3), "made")
    updates = [(made, made + 1.0)]
    f = ng.function([X, Y, N], STEPS[name](), updates=updates, target=target, on_unused_input="ignore")
    reference = ng.function([X, Y, N], STEPS[name](), target="reference", on_unused_input="ignore")
    x, y = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0])
    np.testing.assert_allclose(f(x, y, 2), reference(x, y, 2))
    with pytest.raises((ng.ShapeError, ng.IndexOutOfRange)):
        f(x, y, 7)
    assert made.get_value().tolist() == [1.0] * 3


def test_a_variable_whose_new_value_a_loop_makes_stays_as_it_was(target: str) -> None:
    value = ng.shared(np.array([1.0, 2.0, 4.0]), "value")
    new = over(lambda k, a: ng.set_subtensor(a[k], a[k] * 2.0), value)[-1]
    f = ng.function([N], updates=[(value, new)], target=target)
    f(2)
    assert value.get_value().tolist() == [2.0, 4.0, 4.0]
    with pytest.raises(ng.IndexOutOfRange, match="index 3 is out of range"):
        f(4)
    assert value.get_value().tolist() == [2.0, 4.0, 4.0]
    with pytest.raises(ng.IndexOutOfRange, match="index 3 is out of range"):
        f.sweep(n=[3, 5, 3])
    assert value.get_value().tolist() == [4.0, 8.0, 8.0], "the first step of the sweep was made"

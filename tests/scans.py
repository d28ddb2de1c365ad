"""What the tests of scans share: the same values by the reference and compiled, and gradients by both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.testing import assert_allclose

import numgraph as ng
from numgraph import testing

Array = np.ndarray[Any, Any]


def compiled(inputs: Sequence[Any], outputs: Sequence[Any], values: Sequence[Any]) -> list[Array]:
    """An executor for `testing`, that compiles."""
    return list(ng.function(list(inputs), list(outputs), target="cpu", on_unused_input="ignore")(*values))


def both(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    *calls: Sequence[Any],
    updates: Any = None,
    shared: Sequence[Any] = (),
    exact: bool = False,
    targets: Sequence[str] = ("cpu",),
) -> list[Any]:
    """The outputs of some calls, with the values of shared variables after each behind them: compiled for the last of
    the targets, after a comparison of all with the reference. Of one call just its values. exact: to the last bit."""
    start = [v.get_value() for v in shared]
    found: list[list[list[Array]]] = []
    for target in ("reference", *targets):
        for v, value in zip(shared, start, strict=True):
            v.set_value(value)
        f = ng.function(list(inputs), list(outputs), updates=updates, target=target, on_unused_input="ignore")
        found.append([[np.asarray(r) for r in f(*call)] + [v.get_value() for v in shared] for call in calls])
    for made in found[1:]:
        for wanted, got in zip(found[0], made, strict=True):
            for a, b in zip(wanted, got, strict=True):
                assert (a.dtype, a.shape) == (b.dtype, b.shape)
                rough = 0.0 if exact or a.dtype.kind != "f" else 1e-5 if a.dtype == np.float32 else 1e-11
                assert_allclose(b, a, rtol=rough, atol=rough)
    return found[-1] if len(calls) > 1 else found[-1][0]


def check(build: Callable[..., Any], *arrays: Any, order: int = 2) -> None:
    """First and second derivatives of `build` by the reference against differences, and by both the same."""
    testing.check_gradient(build, [np.asarray(a) for a in arrays], order=order)
    inputs = testing.variables_for([np.asarray(a) for a in arrays])
    floats = [v for v in inputs if v.dtype == "float64"]
    cost = ng.sum(ng.sqr(build(*inputs)))
    first = ng.grad(cost, floats)
    outputs = [cost, *first]
    if order == 2:
        sides = sum((ng.sum(ng.sin(g)) for g in first), ng.constant(0.0))
        outputs += ng.grad(sides, floats, disconnected_inputs="ignore")
    both(inputs, outputs, arrays)

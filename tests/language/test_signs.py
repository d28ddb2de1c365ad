"""Logarithms that stand for numbers in stable forms: only where these are positive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng

L = np.longdouble
TARGETS = ("reference", "cpu")

# made of q = 1 - exp(x), which is negative for x > 0, and of y
SIGNED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "q / (2 + q q)": lambda q, y, n: q / (2 + q * q),
    "q / (2 + q**2)": lambda q, y, n: q / (2 + q**2),
    "q / exp(y)": lambda q, y, n: q / n.exp(y),
    "q exp(y) / (1 + exp(y))": lambda q, y, n: (q * n.exp(y)) / (1 + n.exp(y)),
    "exp(y) / (exp(y) + q)": lambda q, y, n: n.exp(y) / (n.exp(y) + q),
    "log(4 + q)": lambda q, y, n: n.log(4 + q),
    "log(q q)": lambda q, y, n: n.log(q * q),
    "log(q**2)": lambda q, y, n: n.log(q**2),
    "log(q q q)": lambda q, y, n: n.log(q * q * q),
    "log(q y)": lambda q, y, n: n.log(q * y),
    "log(q / y)": lambda q, y, n: n.log(q / y),
    "log(q (1 - exp(y)))": lambda q, y, n: n.log(q * (1 - n.exp(y))),
    "log(q / (1 - exp(y)))": lambda q, y, n: n.log(q / (1 - n.exp(y))),
    "log(sqrt(q))": lambda q, y, n: n.log(n.sqrt(q)),
    "log(1 / q)": lambda q, y, n: n.log(1 / q),
    "log(exp(y) q)": lambda q, y, n: n.log(n.exp(y) * q),
    "log(where(y > 0, q, y))": lambda q, y, n: n.log(n.where(y > 0, q, y)),
    "log(prod(q))": lambda q, y, n: n.log(n.prod(q[None, :] * n.sign(y)[:, None], axis=0)),
    "log(4 + sum(q))": lambda q, y, n: n.log(40 + n.sum(q)),
    "log(mean(q q))": lambda q, y, n: n.log(n.mean(q * q)),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SIGNED)
def test_what_may_be_negative_is_no_exponential(name: str, target: str) -> None:
    """A logarithm stands for a number only where that is positive, whatever else is made of it."""
    x, y = ng.vector("x", "float64"), ng.vector("y", "float64")
    at, other = np.array([-30, -1.75, -0.01, 0.3, 1, 1.2, 2, -2]), np.array([2, -3, 0.5, 1.2, -1, -0.2, 3, -1])
    build = SIGNED[name]
    f = ng.function([x, y], build(1 - ng.exp(x), y, ng), target=target, on_unused_input="ignore")
    with np.errstate(all="ignore"):
        wanted = build(-np.expm1(at.astype(L)), other.astype(L), np)
    assert np.isfinite(np.asarray(wanted, float)).any()
    np.testing.assert_allclose(f(at, other), np.asarray(wanted, float), rtol=1e-11, atol=1e-13)

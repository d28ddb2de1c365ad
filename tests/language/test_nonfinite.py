"""`config.check_nan`: the operation that made a NaN is found, nothing else is reported, and nothing is lost."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.config import config
from numgraph.errors import NotFiniteError


@pytest.fixture(autouse=True)
def checking() -> Iterator[None]:
    config.check_nan = True
    yield
    config.check_nan = False


def problem(f: Any, *args: Any) -> str:
    """What a call says of its NaN."""
    with pytest.raises(NotFiniteError) as caught:
        f(*args)
    assert isinstance(caught.value, FloatingPointError)
    return re.sub(r" at \S+\.py:\d+( in \w+)?", " at LINE", str(caught.value))


@pytest.mark.parametrize("target", ["cpu", "reference", "cuda-sim"])
def test_the_operation_that_made_it(target: str) -> None:
    x, y = ng.vectors("x", "y")
    w = ng.shared(np.array([1.0, 2.0]), "w")
    cost = ng.sum(ng.log(x) * w + y / x)
    cost.name = "cost"
    f = ng.function([x, y], cost, updates=[(w, w - ng.grad(cost, w))], name="train", target=target)
    assert float(f([1.0, 1.0], [1.0, 2.0])) == 3
    before = w.get_value()
    assert problem(f, [1.0, 0.0], [1.0, 1.0]) == (
        "log: the result has -inf at [1] (1 of 2 elements is not finite), made of 0.0\n"
        "  x: float64[2]  made at LINE\n"
        "  log called at LINE\n"
        "  and so output 0 (cost) is nan, by mul at LINE, add at LINE, sum at LINE\n"
        "in a call of train(x, y)"
    )
    np.testing.assert_array_equal(w.get_value(), before)
    assert problem(f, [1.0, np.nan], [1.0, 1.0]).startswith(
        "x: the argument has nan at [1] (1 of 2 elements is not finite)\n"
        "  and so output 0 (cost) is nan, by log at LINE, mul at LINE, "
    )
    w.set_value([np.inf, 1.0])
    assert problem(f, [1.0, 2.0], [1.0, 1.0]).startswith("w: the value before the call has inf at [0] (1 of 2")


def test_infinities_that_go_away_are_no_fault() -> None:
    x = ng.vector("x")
    f = ng.function([x], [1 / (1 + ng.exp(x)), ng.max(ng.where(x > 0, x, -np.inf)), x > np.inf])
    assert f([1000.0, -1000.0])[0].tolist() == [0, 1]
    # of several infinities the one that the result comes from
    g = ng.function([x], [1 / ng.exp(x * 1000), ng.sum(ng.sqrt(x - 2) + 0 * (1 / ng.exp(x * 1000)))])
    assert problem(g, [1.0]).startswith("sqrt: the result has nan at [0] (1 of 1 elements is not finite), made of -1.0")


def test_updates_and_sweeps() -> None:
    w, n = ng.shared(np.array([1e308, 1.0]), "w"), ng.shared(0, "n")
    f = ng.function([], updates=[(n, n + 1), (w, w * 2.0)])
    assert "and so the new value of w has inf at [0]" in problem(f)
    w.set_value([4e307, 1.0])
    with pytest.raises(NotFiniteError, match=r"mul: the result has inf at \[0\]"):
        f.sweep(steps=5)
    # two steps were done
    assert n.get_value() == 2 and w.get_value().tolist() == [1.6e308, 4]


def test_within_a_scan() -> None:
    x = ng.vector("x")
    states = ng.scan(lambda h, v: ng.sqrt(h - v), outputs_info=[ng.constant(5.0)], non_sequences=[x[0]], n_steps=5)
    f = ng.function([x], ng.sum(states[0] if isinstance(states, tuple) else states))
    assert np.isfinite(f([0.5]))
    said = problem(f, [3.0])
    assert said.startswith("sqrt: the result is nan, made of -1.58") and "\n  in step 1 of a loop\n" in said


def test_other_operations_say_their_ranges() -> None:
    m = ng.matrix("m")
    said = problem(ng.function([m], ng.dot(m, m)), np.full((2, 2), 1e200))
    assert "dot: the result has inf at [0, 0] (4 of 4 elements are not finite), made of finite values, 1e+200" in said


def test_outputs_without_floats_and_without_elements() -> None:
    x = ng.vector("x")
    f = ng.function([x], {"empty": x[:0], "whole": ng.argmax(x), "flag": ng.any(ng.isnan(x))})
    assert f([1.0, np.nan])["flag"]
    place = np.empty(1)
    g = ng.function([x], x + 1)
    assert g(np.array([1.0]), out=place) is place
    assert "the argument has nan" in problem(g, [np.nan])


def test_it_is_a_setting_of_when_the_function_is_made() -> None:
    x = ng.scalar("x")
    f = ng.function([x], ng.log(x))
    config.check_nan = False
    g = ng.function([x], ng.log(x))
    assert g(0.0) == -np.inf and "log" in problem(f, 0.0)
    assert pickle.loads(pickle.dumps(f))(0.0) == -np.inf

"""Sums of gradients of slices that do not overlap: parts side by side, without zeros."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numgraph as ng
from numgraph.graph import Variable

PARTS = [("tanh", ng.tanh), ("square", ng.square), ("exp", ng.exp), ("sin", ng.sin)]


def agree(outputs: Any, inputs: list[Variable], *values: Any) -> ng.Function:
    f = ng.function(inputs, outputs)
    found, wanted = f(*values), ng.function(inputs, outputs, target="reference")(*values)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    return f


def writes_zeros(f: ng.Function) -> bool:
    """Whether an array of zeros is made, to be added to."""
    return " # copy " in f.source


def of_slices(x: Variable, axis: int, cuts: list[slice]) -> Variable:
    key: list[Any] = [slice(None)] * x.ndim
    total: Any = 0
    for k, cut in enumerate(cuts):
        key[axis] = cut
        total = total + ng.sum(PARTS[k % 4][1](x[tuple(key)]) * (k + 1))
    return total


def test_gates_of_a_recurrent_layer_write_no_zeros() -> None:
    x = ng.shared(np.random.default_rng(0).normal(size=(5, 12)))
    a, b, c, d = (x[:, 3 * k : 3 * k + 3] for k in range(4))
    f = agree([ng.grad(ng.sum(ng.tanh(a) * b + ng.exp(c) * d), x)], [])
    assert not writes_zeros(f)


@pytest.mark.parametrize(
    ("cuts", "merged"),
    [
        ([slice(0, 2), slice(4, 6)], True),
        ([slice(-2, None), slice(1, 3)], True),
        ([slice(1, 3), slice(3, 4), slice(5, 6)], True),
        ([slice(0, 3), slice(2, 5)], False),
        ([slice(0, 4, 2), slice(4, 6)], False),
        ([slice(2, 2), slice(4, 6)], False),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_of_parts_that_do_not_overlap(cuts: list[slice], merged: bool, axis: int) -> None:
    x = ng.tensor("x", dtype="float64", shape=(6, 6))
    value = np.random.default_rng(1).normal(size=(6, 6))
    f = agree([ng.grad(of_slices(x, axis, cuts), x)], [x], value)
    assert writes_zeros(f) != merged


def test_lengths_that_are_not_known_are_left() -> None:
    x = ng.matrix("x")
    f = agree([ng.grad(of_slices(x, 1, [slice(0, 2), slice(2, 4)]), x)], [x], np.ones((3, 5)))
    assert writes_zeros(f)


def test_infinities_and_nan_stay_in_their_part() -> None:
    x = ng.tensor("x", dtype="float64", shape=(7,))
    value = np.array([0.0, -0.0, 800.0, np.inf, -np.inf, np.nan, 1e-320])
    agree([ng.grad(of_slices(x, 0, [slice(0, 2), slice(2, 4), slice(4, 6)]), x)], [x], value)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=7), st.sets(st.integers(0, 6)), st.integers(0, 1))
def test_drawn_cuts(places: list[int], left_out: set[int], axis: int) -> None:
    """Slices between sorted places, some of which are left out; so lengths are 0 at times, and gaps are zeros."""
    cuts = [slice(a, b) for k, (a, b) in enumerate(pairwise(sorted(places))) if k not in left_out]
    x = ng.tensor("x", dtype="float64", shape=(9, 9))
    value = np.random.default_rng(2).normal(size=(9, 9))
    cost = of_slices(x, axis, cuts)
    agree([ng.grad(cost + ng.sum(x[2:3]) + ng.sum(x[4]), x)], [x], value)

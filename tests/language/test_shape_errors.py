"""Errors of a call about shapes: the actual ones, in the order of the operands, under the names of the user."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng

Made = tuple[list[ng.Variable], Any, list[Any]]


def ones(*shape: int) -> Any:
    return np.ones(shape)


def case(build: Callable[..., Any], *values: Any) -> Made:
    """Inputs called x, y, ..., what `build` makes of them, and values for them."""
    inputs = [ng.tensor(name, shape=(None,) * v.ndim) for name, v in zip("xyz", values, strict=False)]
    return inputs, build(*inputs), list(values)


def weights() -> ng.SharedVariable:
    return ng.shared(ones(3, 4), "W")


# what is built, the first line (in compiled code), and the operands
CASES: dict[str, tuple[Callable[[], Made], str, list[str]]] = {
    "product": (
        lambda: case(ng.dot, ones(2, 3), ones(4, 5)),
        "dot: the inner lengths 3 and 4 differ",
        ["x: float64[2,3]", "y: float64[4,5]"],
    ),
    "product with shared": (
        lambda: case(lambda x: ng.dot(x, weights()), ones(2, 5)),
        "dot: the inner lengths 5 and 3 differ",
        ["x: float64[2,5]", "W: float64[3,4]"],
    ),
    "product of results": (
        lambda: case(lambda x, y: ng.dot(x * 2, y.T), ones(2, 3), ones(4, 5)),
        "dot: the inner lengths 3 and 5 differ",
        ["x * 2.0: float64[2,3]", "y.T: float64[5,4]"],
    ),
    "product of vectors": (
        lambda: case(ng.dot, ones(3), ones(4)),
        "dot: the inner lengths 3 and 4 differ",
        ["x[None]: float64[1,3]", "y[:, None]: float64[4,1]"],
    ),
    "sum": (
        lambda: case(lambda x, y: x + y, ones(2, 3), ones(4, 5)),
        "add: axis 0: lengths 2 and 4 do not broadcast",
        ["x: float64[2,3]", "y: float64[4,5]"],
    ),
    "sum, the other way round": (
        lambda: case(lambda x, y: y + x * 2, ones(2), ones(5)),
        "add: axis 0: lengths 5 and 2 do not broadcast",
        ["y: float64[5]", "x * 2.0: float64[2]"],
    ),
    "choice": (
        lambda: case(lambda x, y, z: ng.where(x > 0, y, z), ones(2, 3), ones(2, 3), ones(5)),
        "where: axis 1: lengths 3 and 5 do not broadcast",
        ["x > 0.0: bool[2,3]", "y: float64[2,3]", "z: float64[5]"],
    ),
    "loss": (
        lambda: case(lambda x, y: ng.mean((ng.dot(x, weights()) - y) ** 2), ones(5, 3), ones(6, 4)),
        "sub: axis 0: lengths 5 and 6 do not broadcast",
        ["x @ W: float64[5,4]", "y: float64[6,4]"],
    ),
    "part": (
        lambda: case(lambda x, y: ng.set_subtensor(x[0], y), ones(2, 3), ones(4)),
        "set_subtensor: a value of length 4 does not broadcast to a part of length 3",
        ["x: float64[2,3]", "y: float64[4]"],
    ),
    "joined": (
        lambda: case(lambda x, y: ng.concatenate([x, y]), ones(2, 3), ones(4, 5)),
        "concatenate: lengths 3 and 5 differ",
        ["x: float64[2,3]", "y: float64[4,5]"],
    ),
    "nothing": (
        lambda: case(lambda x: ng.max(x, axis=0), ones(0, 3)),
        "max: axis 0 is empty, and max of nothing is not defined",
        ["x: float64[0,3]"],
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("target", ["cpu", "reference", "cuda-sim"])
def test_shapes_of_a_call(name: str, target: str) -> None:
    build, first, operands = CASES[name]
    inputs, output, values = build()
    f = ng.function(inputs, output, target=target)
    with pytest.raises(ng.ShapeError) as caught:
        f(*values)
    lines = str(caught.value).split("\n")
    # NumPy broadcasts for the reference, and says so in its own words
    assert lines[0] == first or (target == "reference" and "could not be broadcast" in lines[0])
    shown = [re.fullmatch(r"  (.*)  made at .*test_shape_errors\.py:\d+.*", line) for line in lines[1:-1]]
    assert [found and found[1] for found in shown] == operands
    op = first.partition(":")[0]
    assert re.fullmatch(rf"  {op} called at .*test_shape_errors\.py:\d+.*", lines[-1])


def test_a_long_formula_is_the_result_of_an_operation() -> None:
    x, y = ng.vector("x"), ng.vector("a name that is rather long, longer than most names are")
    z = ng.exp(-(x**2) / 3.0) + ng.tanh(x * 4.0 - 3.0) * ng.log(x + 2.0)
    with pytest.raises(ng.ShapeError, match=r"\n  the result of add: float64\[2\]  made at"):
        ng.function([x, y], z * y)(ones(2), ones(3))

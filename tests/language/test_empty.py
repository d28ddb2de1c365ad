"""Axes of length 0: NumPy's and SciPy's answers, by reference and compiled alike, values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import numgraph as ng
from numgraph.errors import IndexOutOfRange, ShapeError
from numgraph.graph import Variable

TARGETS = ("reference", "cpu")
# by number of axes: a function serves all shapes of the same rank
SHAPES = {2: ((3, 0), (0, 3), (0, 0)), 3: ((2, 0, 3), (0, 2, 3))}


def function(build: Callable[..., Any], arrays: list[Any], target: str) -> Callable[..., Any]:
    """`build` of variables of unknown lengths."""
    variables = [ng.tensor(f"x{k}", a.dtype.name, (None,) * a.ndim) for k, a in enumerate(arrays)]
    return ng.function(variables, build(*variables), target=target, on_unused_input="ignore")


def cross_entropy(p: Variable, t: Variable) -> Variable:
    return ng.categorical_crossentropy(ng.softmax(p), t)


# name -> (of a variable and an axis, the same of an array)
REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sum": (ng.sum, np.sum),
    "prod": (ng.prod, np.prod),
    "mean": (ng.mean, np.mean),
    "var": (ng.var, np.var),
    "std": (ng.std, np.std),
    "any": (ng.any, np.any),
    "all": (ng.all, np.all),
    "logsumexp": (ng.logsumexp, lambda x, axis: np.log(np.sum(np.exp(x), axis))),
    "log(sum(exp))": (lambda x, axis: ng.log(ng.sum(ng.exp(x), axis)), lambda x, axis: np.log(np.sum(np.exp(x), axis))),
    # of order inf: 0, as NumPy has it since 2.3
    **{
        f"norm {order}": (
            lambda x, axis, o=order: ng.norm(x.flatten() if axis is None else x, o, axis),
            lambda x, axis: np.sum(x, axis),
        )
        for order in (None, 0, 1, 3, np.inf)
    },
}
SAME_SHAPE: dict[str, Callable[..., Variable]] = {
    "softmax": ng.softmax,
    "log_softmax": ng.log_softmax,
    "log(softmax)": lambda x, axis: ng.log(ng.softmax(x, axis)),
    "exp / sum(exp)": lambda x, axis: ng.exp(x) / ng.sum(ng.exp(x), axis, keepdims=True),
    "exp(x - logsumexp)": lambda x, axis: ng.exp(x - ng.logsumexp(x, axis, keepdims=True)),
    "cumsum": ng.cumsum,
    "sort": ng.sort,
}
UNDEFINED: dict[str, Callable[..., Variable]] = {
    "max": ng.max,
    "min": ng.min,
    "ptp": ng.ptp,
    "argmax": ng.argmax,
    "argmin": ng.argmin,
    "norm -inf": lambda x, axis: ng.norm(x, -np.inf, axis),
}


@pytest.mark.parametrize("target", TARGETS)
def test_reductions_of_nothing(target: str) -> None:
    axes = (0, 1, None)
    f = function(
        lambda v: [build(v, axis=a) for build, _ in REDUCTIONS.values() for a in axes], [np.zeros((3, 0))], target
    )
    for shape in SHAPES[2]:
        x = np.zeros(shape)
        got = iter(f(x))
        with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
            for name, (_, expected) in REDUCTIONS.items():
                for axis in axes:
                    np.testing.assert_array_equal(next(got), expected(x, axis=axis), f"{name} {axis} of {shape}")


def test_expected_values_are_those_of_numpy_and_scipy() -> None:
    x = np.zeros((3, 0))
    if np.lib.NumpyVersion(scipy.__version__) >= "1.15.0":  # before, an error
        assert scipy.special.logsumexp(x, axis=1).tolist() == [-np.inf] * 3
    assert [np.linalg.norm(x, order, axis=1).tolist() for order in (None, 0, 1, 3)] == [[0.0] * 3] * 4


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("dtype", "ndim"), [("float32", 2), ("float64", 3)])
def test_results_of_the_same_shape(dtype: str, ndim: int, target: str) -> None:
    x = np.zeros(SHAPES[ndim][0], dtype)
    f = function(lambda v: [build(v, axis=a) for build in SAME_SHAPE.values() for a in (0, 1)], [x], target)
    for shape in SHAPES[ndim]:
        for got in f(np.zeros(shape, dtype)):
            assert got.shape == shape
            assert got.dtype == dtype


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("axis", [0, 1])
def test_gradients(axis: int, target: str) -> None:
    builds = [*SAME_SHAPE.values(), *(REDUCTIONS[n][0] for n in REDUCTIONS if n not in ("any", "all", "norm 0"))]
    f = function(lambda v: [ng.grad(ng.sum(build(v, axis=axis)), v) for build in builds], [np.zeros((3, 0))], target)
    for shape in SHAPES[2]:
        assert [g.shape for g in f(np.zeros(shape))] == [shape] * len(builds)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", UNDEFINED)
def test_what_nothing_has_not(name: str, target: str) -> None:
    build = UNDEFINED[name]
    op = {"ptp": "(max|min)", "norm -inf": "min"}.get(name, name)
    for shape, axis in (((3, 0), 1), ((2, 0, 3), 1)):
        x = np.zeros(shape)
        f = function(lambda v, axis=axis: build(v, axis=axis), [x], target)
        with pytest.raises(ShapeError, match=rf"{op}: axis {axis} is empty, and {op} of nothing is not defined"):
            f(x)
        assert f(np.ones((2,) * x.ndim)).shape == (2,) * (x.ndim - 1)


@pytest.mark.parametrize("target", TARGETS)
def test_cross_entropies(target: str) -> None:
    rows, classes = np.zeros((0, 3)), np.zeros((3, 0))
    labels = np.zeros(3, np.int64)
    builds: list[Callable[..., Variable]] = [
        cross_entropy,
        ng.binary_crossentropy,
        lambda p, t: ng.mean(cross_entropy(p, t)),
        lambda p, t: ng.grad(ng.sum(cross_entropy(p, t)), p),
    ]
    f = function(lambda p, t: [build(p, t) for build in builds], [rows, rows], target)
    for x, shapes, mean in ((rows, [(0,), (0, 3)], np.nan), (classes, [(3,), (3, 0)], 0.0)):
        each, binary, average, slope = f(x, x)
        assert [each.shape, binary.shape, slope.shape] == [shapes[0], x.shape, shapes[1]]
        np.testing.assert_array_equal(each, 0.0)
        np.testing.assert_array_equal(average, mean)
    picked = function(
        lambda p, y: [cross_entropy(p, y), ng.grad(ng.sum(cross_entropy(p, y)), p)], [rows, labels], target
    )
    assert [a.shape for a in picked(rows, labels[:0])] == [(0,), (0, 3)]
    with pytest.raises(IndexOutOfRange, match="index 0 is out of range for an axis of length 0"):
        picked(classes, labels)


@pytest.mark.parametrize("target", TARGETS)
def test_known_lengths(target: str) -> None:
    """Lengths that are known to be 0 when code is generated."""
    x = ng.tensor("x", "float64", (3, 0))
    f = ng.function([x], [ng.softmax(x), ng.logsumexp(x, 1), ng.norm(x, np.inf, 1)], target=target)
    empty, low, zero = f(np.zeros((3, 0)))
    assert empty.shape == (3, 0)
    assert low.tolist() == [-np.inf] * 3
    assert zero.tolist() == [0.0] * 3
    with pytest.raises(ShapeError, match="max: axis 1 is empty"):
        ng.function([x], ng.max(x, 1), target=target)(np.zeros((3, 0)))


def test_flattened_nothing_keeps_the_lengths_of_an_element(target: str) -> None:
    """Also where it is known that there is nothing: a minibatch without rows has rows of as many elements as others."""
    x = ng.tensor3("x")
    nothing = ng.tensor(dtype="float64", shape=(0, 2, 3), name="nothing")
    made = [ng.flatten(v, 2) for v in (x, nothing, ng.zeros((0, 2, 3)), ng.zeros((2, 0, 3)), x[:0])]
    f = ng.function([x, nothing], [*made, ng.dot(made[2], np.ones((6, 4)))], target=target)
    found = f(np.zeros((0, 2, 3)), np.zeros((0, 2, 3)))
    assert [v.shape for v in found] == [(0, 6), (0, 6), (0, 6), (2, 0), (0, 6), (0, 4)]

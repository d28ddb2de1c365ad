"""Branches whose results have different lengths, and what is asked of one that is not taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.graph import apply, as_variable, toposort
from numgraph.op import OPS
from numgraph.scanning.extents import Extents
from numgraph.testing import draw, variables_for

TARGETS = ("reference", "cpu", "cuda-sim")
X, Y, M = np.array([-1.0, 2.0, 3.0, -4.0, 5.0]), np.array([1.0, 2.0]), np.arange(6.0).reshape(2, 3)


def _counts(x: Any) -> Any:
    return ng.cast(abs(x) + 0.5, "int64")


# name -> (condition, x, y, m) -> the expression; x -> what it is if the condition is 1, and if it is 0
CASES: dict[str, tuple[Callable[..., Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "slice": (lambda c, x, y, m: ng.ifelse(c, x * 2, x[:1]), lambda x: x * 2, lambda x: x[:1]),
    "leaves": (lambda c, x, y, m: ng.ifelse(c, x, y), lambda x: x, lambda x: Y),
    "mask": (lambda c, x, y, m: ng.ifelse(c, x[x > 0] * 3, x[x < 0]), lambda x: x[x > 0] * 3, lambda x: x[x < 0]),
    "sums of masks": (
        lambda c, x, y, m: ng.ifelse(c, x[x > 0].sum(keepdims=True), x),
        lambda x: x[x > 0].sum(keepdims=True), lambda x: x,
    ),
    "set": (lambda c, x, y, m: ng.ifelse(c, ng.unique(x), y), np.unique, lambda x: Y),
    "repeated": (
        lambda c, x, y, m: ng.ifelse(c, ng.repeat(x, _counts(x)), y),
        lambda x: np.repeat(x, (abs(x) + 0.5).astype(int)), lambda x: Y,
    ),
    "product": (lambda c, x, y, m: ng.ifelse(c, ng.dot(m, x[:3]), x), lambda x: M @ x[:3], lambda x: x),
    "known lengths": (
        lambda c, x, y, m: ng.ifelse(c, ng.stack([x[0], x[1]]), ng.stack([x[2]])), lambda x: x[:2], lambda x: x[2:3],
    ),
    "within": (
        lambda c, x, y, m: ng.ifelse(c, ng.ifelse(x[0] > 0, x[x > 0], x[x < 0]), x[:3]),
        lambda x: x[x < 0], lambda x: x[:3],
    ),
    "computed condition": (
        lambda c, x, y, m: ng.ifelse(x.sum() * (c - 0.5) > 0, x[1:3], ng.concatenate([x, y])),
        lambda x: x[1:3], lambda x: np.concatenate([x, Y]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_lengths_of_the_branch_taken(case: str, target: str) -> None:
    """Values, and gradients by differences of the values."""
    build, then, other = CASES[case]
    c, x, y, m = ng.scalar("c"), ng.vector("x"), ng.vector("y"), ng.matrix("m")
    result = build(c, x, y, m)
    weight = ng.arange(1, result.shape[0] + 1)
    cost = ng.sum(weight * ng.sin(result))
    f = ng.function(
        [c, x, y, m], [result, ng.grad(cost, x, disconnected_inputs="ignore")], target=target, on_unused_input="ignore"
    )
    for chosen, value in ((1, then), (0, other), (1, then)):
        got, slope = (np.asarray(v) for v in f(chosen, X, Y, M))
        np.testing.assert_allclose(got, value(X), rtol=1e-14)
        assert got.shape == value(X).shape
        numeric = np.zeros_like(X)
        for k in range(len(X)):
            step = np.zeros_like(X)
            step[k] = 1e-6
            ends = [np.sin(value(X + s)) for s in (step, -step)]
            numeric[k] = np.diff([np.dot(np.arange(1, len(v) + 1), v) for v in reversed(ends)])[0] / 2e-6
        np.testing.assert_allclose(slope, numeric, atol=1e-7)


@pytest.mark.parametrize("target", TARGETS)
def test_several_values(target: str) -> None:
    """Pairs of lists, each pair with lengths of its own."""
    c, x, m = ng.iscalar("c"), ng.vector("x"), ng.matrix("m")
    pair = ng.ifelse(c, [x[:2], m, x[0]], [x * x, m.T, x[1]])
    slope = ng.grad(ng.sum(pair[0]) + ng.sum(pair[1] ** 2) + 3 * pair[2], [x, m])
    f = ng.function([c, x, m], [*pair, *slope], target=target)
    wanted = {
        1: [X[:2], M, X[0], [4.0, 1.0, 0.0, 0.0, 0.0], 2 * M],
        0: [X * X, M.T, X[1], 2 * X + [0, 3, 0, 0, 0], 2 * M],
    }
    for chosen, values in wanted.items():
        for got, value in zip(f(chosen, X, M), values, strict=True):
            np.testing.assert_allclose(np.asarray(got), value)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("data", [False, True], ids=["scalar", "computed"])
def test_nothing_is_asked_of_the_other_branch(target: str, data: bool) -> None:
    """Lengths that do not fit are an error only where they meet, in gradients, too."""
    c, x, y, m = ng.scalar("c"), ng.vector("x"), ng.vector("y"), ng.matrix("m")
    yes = x.sum() * c > 0 if data else c
    results = [ng.ifelse(yes, x + y, x[:2]), ng.ifelse(yes, ng.dot(x, y), x[0]), ng.ifelse(yes, m[:, :2] + x, m)]
    f = ng.function([c, x, y, m], [*results, ng.grad(sum(map(ng.sum, results)), x)], target=target)
    for got, value in zip(f(0, X, Y, M), [X[:2], X[0], M, [2.0, 1.0, 0.0, 0.0, 0.0]], strict=True):
        np.testing.assert_allclose(np.asarray(got), value)
    with pytest.raises(ng.ShapeError):
        f(1, X, Y, M)
    got = f(1, Y, Y, M)
    np.testing.assert_allclose(np.asarray(got[0]), 2 * Y)
    np.testing.assert_allclose(np.asarray(got[2]), M[:, :2] + Y)


def test_what_a_length_needs_is_computed_only_where_it_is_taken(target: str) -> None:
    """The mask of a branch is made of a matrix that cannot be inverted: nobody looks, unless the branch is taken."""
    c, x, m = ng.scalar("c"), ng.vector("x"), ng.matrix("m")
    solved = ng.linalg.solve(m, x)
    f = ng.function([c, x, m], ng.ifelse(c, solved[solved > 0], x))
    singular = np.ones((2, 2))
    np.testing.assert_array_equal(f(0, Y, singular), Y)
    with pytest.raises(ng.MatrixError):
        f(1, Y, singular)
    np.testing.assert_array_equal(f(1, Y, np.diag([1.0, -1.0])), [1.0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("how", ["integers", "function", "data"])
def test_branches_in_a_branch(target: str, how: str) -> None:
    """The inner conditions take more than a comparison; of a device they are computed before the branch."""
    c, k, x = ng.scalar("c"), ng.lscalar("k"), ng.vector("x")
    inner = {"integers": k % 3 > 1, "function": ng.exp(k) > 4, "data": (x * k).sum() > 2}[how]
    chosen = ng.ifelse(c, x * 2, ng.ifelse(inner, x**2, ng.ifelse(k // 2 > 0, x + 1, x[:1])))
    walked, _ = ng.scan(lambda a, s: ng.ifelse(c, a + s, ng.ifelse(inner, a * s, a - s)), x, 1.0)
    f = ng.function([c, k, x], [chosen, ng.grad(chosen.sum(), x), walked], target=target)
    ones = np.ones(2)
    wanted: list[tuple[tuple[int, int], list[Any]]] = [
        ((1, 0), [2 * Y, 2 * ones, [2.0, 4.0]]),
        ((0, 2), [Y**2, 2 * Y, [1.0, 2.0]]),
        ((0, 0), [Y[:1], [1.0, 0.0], [0.0, 2.0]]),
    ]
    for numbers, values in wanted:
        for got, value in zip(f(*numbers, Y), values, strict=True):
            np.testing.assert_allclose(np.asarray(got), value)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_made_of_constants_is_computed_only_where_it_is_taken(target: str) -> None:
    """A matrix that cannot be factored, inverted or read there: written down, or made of zeros."""
    c, x = ng.scalar("c"), ng.vector("x")
    zeros = ng.zeros((2, 2))
    for wrong in (ng.linalg.cholesky(ng.constant(-np.eye(2))), ng.linalg.inv(zeros), ng.linalg.inv(zeros + 1) @ zeros):
        result = ng.ifelse(c, x.sum() * wrong, ng.eye(2))
        f = ng.function([c, x], [result, ng.grad(result.sum(), x)], target=target)
        for got, value in zip(f(0, Y), [np.eye(2), np.zeros(2)], strict=True):
            np.testing.assert_array_equal(np.asarray(got), value)
        if target != "cuda-sim":
            with pytest.raises(ng.MatrixError):
                f(1, Y)
    right = ng.ifelse(c, x.sum() * ng.linalg.inv(2 * ng.eye(2)), ng.eye(2))
    f = ng.function([c, x], [right, ng.grad(right.sum(), x)], target=target)
    for got, value in zip(f(1, Y), [1.5 * np.eye(2), np.ones(2)], strict=True):
        np.testing.assert_allclose(np.asarray(got), value)


@pytest.mark.parametrize("target", TARGETS)
def test_shared_variables_that_grow(target: str) -> None:
    kept = ng.shared(np.arange(2.0), "kept")
    c = ng.iscalar("c")
    f = ng.function([c], kept.sum(), updates=[(kept, ng.ifelse(c, ng.concatenate([kept, kept]), kept))], target=target)
    for chosen in (0, 1, 0, 1):
        f(chosen)
    np.testing.assert_array_equal(kept.get_value(), np.tile([0.0, 1.0], 4))


def test_same_lengths_are_no_choice() -> None:
    """Where both branches have one length, code knows it as that: it is none that is read from a computed array."""
    x = ng.vector("x")
    result = ng.ifelse(x.sum() > 0, ng.exp(x[1:]), x[1:] * 2)
    assert "fill_either" not in {v.op.name for v in toposort([result]) if v.op is not None}


def test_lengths_that_a_step_chooses(target: str) -> None:
    """Code has lengths that are known before a loop: there those of both branches must be equal."""
    x, w = ng.matrix("x"), ng.matrix("w")
    f = ng.function([x, w], ng.map(lambda v: ng.ifelse(v.sum() > 3.0, ng.dot(v, w), v).sum(), x)[0])
    np.testing.assert_allclose(f(M, 2 * np.eye(3)), [3.0, 24.0])
    if target == "reference":
        np.testing.assert_allclose(f(M, np.ones((3, 1))), [3.0, 12.0])
    else:
        with pytest.raises(ng.ShapeError, match="a step of a scan chooses"):
            f(M, np.ones((3, 1)))


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.samples is not None and not op.loop], ids=repr)
def test_lengths_by_rules_alone(op: Any) -> None:
    """The lengths of each op, as expressions, are those of its values."""
    for arrays, attrs in draw(op, "float64"):
        inputs = variables_for(arrays)
        result = apply(op, inputs, **attrs)

        def refused(number: Any) -> Any:
            raise AssertionError(number)

        extents = Extents(set(), refused, {})
        for v in (*inputs, result):
            extents.read(v)
        lengths = [as_variable(n) for n in extents.lengths(result)]
        values = dict(zip(inputs, map(np.asarray, arrays), strict=True))
        found = ng.function(inputs, [*lengths, result], target="reference", on_unused_input="ignore")(*values.values())
        assert tuple(found[:-1]) == found[-1].shape


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_a_loop_of_so_many_steps_in_a_branch(target: str) -> None:
    """Its result has a length that is known and others that are not: those of a state's first value, or of what is
    computed for them."""
    yes, x = ng.scalar("yes"), ng.vector("x")
    value = np.array([1.0, 2.0])
    state, _ = ng.scan(lambda h: 2.0 * h, outputs_info=x, n_steps=4)
    rows, _ = ng.scan(lambda a: a * x, sequences=x)
    (_, longer), _ = ng.scan(lambda h: [h + 1.0, ng.concatenate([h, h])], outputs_info=[x, None], n_steps=3)
    later, _ = ng.scan(lambda h: (2.0 * h, ng.until(h.sum() > 20.0)), outputs_info=x, n_steps=9)
    for result in (state[-1], state, rows, longer, longer[-1], later, ng.grad((state[-1] ** 2).sum(), x)):
        wanted = ng.function([x], result, target="reference")(value)
        f = ng.function([yes, x], ng.ifelse(yes > 0, result, ng.zeros_like(result)), target=target)
        np.testing.assert_allclose(f(1.0, value), wanted, rtol=1e-14)
        np.testing.assert_array_equal(f(-1.0, value), np.zeros_like(wanted))
    slope = ng.grad((ng.ifelse(yes > 0, state[-1], x) ** 2).sum(), x)
    g = ng.function([yes, x], slope, target=target)
    np.testing.assert_allclose([g(1.0, value), g(-1.0, value)], [512.0 * value, 2.0 * value])

"""Lengths that are taken for equal: given up where they contradict each other, and where a call shows that they
differ.

The programs drawn here are built and planned but not compiled: the conditions of a plan, worked out for the lengths of
a call, must hold exactly where the reference executor gives a value.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.compile import State, scheduled
from numgraph.ir import Node
from numgraph.lengths.known import holds
from numgraph.lengths.values import Values
from numgraph.program import build_program
from numgraph.reference import evaluate
from numgraph.rewrite.assume import MOST_LENGTHS, NOTHING, Keys, smallest
from numgraph.runtime.refused import is_mismatch
from numgraph.target import CheckFailed


class Calls:
    """Calls of a program by its plans alone: which variant they find, and whether the plan lets them through."""

    def __init__(self, inputs: list[Any], outputs: list[Any]) -> None:
        self.program = build_program(inputs, outputs, on_unused_input="ignore")
        self.given_up: Keys = NOTHING
        self.builds = 0
        self.plan = self.build(None)

    def build(self, leaf: Any) -> State:
        self.builds += 1
        found = scheduled(self.program, self.given_up, leaf=leaf)
        self.given_up = found.given_up
        return found

    def lengths(self, arrays: list[Any]) -> list[tuple[Any, ...]] | None:
        """The lengths of the outputs, None where the plan refuses the call."""
        for _ in range(20):
            shared = self.plan.shared

            def leaf(node: Node, shared: Any = shared) -> Any:
                if node.kind == "shared":
                    return shared[node.attrs[0]].storage.array
                return node.graph.arrays[node.attrs[0]] if node.kind == "array" else arrays[node.attrs[0]]

            values, graph = Values(leaf), self.plan.schedule.graph
            for r in self.plan.conditions:
                a, b = values(r.a), values(r.b)
                if holds(r.kind, a, b):
                    continue
                if r.kind != "assume" or is_mismatch(CheckFailed(graph, r, a, b)):
                    return None
                self.given_up |= {r.key}
                self.plan = self.build(leaf)
                break
            else:
                return [tuple(values(graph.find(n)) for n in v.dims) for v in self.plan.schedule.outputs]
        raise AssertionError("a call that finds no variant")


class Drawn:
    """A random program over a few lengths, in which many of them meet."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        draw = self.draw
        self.inputs = [draw.choice([ng.vector, ng.vector, ng.matrix])(f"x{k}") for k in range(draw.randint(1, 4))]
        self.shared = [ng.shared(np.ones(draw.choice([1, 2, 3])), f"s{k}") for k in range(draw.randint(0, 2))]
        self.pool = [*self.inputs, *self.shared]
        self.pool += [ng.constant(np.ones(draw.choice([2, 3, 4]))) for _ in range(draw.randint(0, 2))]
        self.outputs: list[Any] = []
        for _ in range(draw.randint(2, 7)):
            self.step()
        self.outputs += self.pool[-2:]

    def step(self) -> None:
        draw, kind = self.draw, self.draw.randrange(9)
        a, b = draw.choice(self.pool), draw.choice(self.pool)
        vectors = [v for v in self.pool if v.ndim == 1]
        v, w = (draw.choice(vectors) for _ in range(2)) if vectors else (None, None)
        try:
            if kind < 4 or v is None:
                new = [a + b, a * b, ng.maximum(a, b), ng.where(a > 0, a, b)][draw.randrange(4)]
            elif kind == 4:
                new = ng.concatenate([v, w])
            elif kind == 5:
                new = [v[1:], v[:-1], v[:2], v[::2]][draw.randrange(4)]
            elif kind == 6:
                new = v.sum() + a
            elif kind == 7:
                new = ng.dot(v, w) + a
            else:
                new = ng.grad((v * w).sum(), draw.choice([v, w]))
        except (ng.ShapeError, ng.errors.DisconnectedError):
            return
        self.pool.append(new)

    def arrays(self) -> list[Any]:
        """Arguments, and other values of shared variables, of drawn lengths: few, so that some of them fit."""
        few = self.draw.choice([[1, 2], [1, 3], [1, 1, 4], [2], [3], [0, 1], [1, 2, 3, 4]])
        for s in self.shared:
            if self.draw.randrange(3) == 0:
                s.set_value(np.ones(self.draw.choice(few)))
        return [np.ones([self.draw.choice(few) for _ in range(x.ndim)]) for x in self.inputs]


@pytest.mark.parametrize("seed", range(80))
def test_a_plan_refuses_what_the_reference_refuses(seed: int) -> None:
    drawn = Drawn(seed)
    calls = None
    for _ in range(8):
        arrays = drawn.arrays()
        try:
            if calls is None:
                calls = Calls(drawn.inputs, drawn.outputs)
            found = calls.lengths(arrays)
        except ng.ShapeError:
            # certain from types and constants
            assert calls is None
            found = None
        try:
            expected = [v.shape for v in evaluate(drawn.outputs, dict(zip(drawn.inputs, arrays, strict=True)))]
        except ng.ShapeError:
            expected = None
        assert found == expected, (seed, [a.shape for a in arrays])


def test_programs_with_contradictions_are_drawn() -> None:
    """So that the test above is worth its time."""
    counts = {"given up before any call": 0, "built again": 0, "refused": 0, "computed": 0}
    for seed in range(60):
        drawn = Drawn(seed)
        arrays = drawn.arrays()
        try:
            calls = Calls(drawn.inputs, drawn.outputs)
        except ng.ShapeError:
            continue
        counts["given up before any call"] += bool(calls.given_up)
        counts["computed" if calls.lengths(arrays) is not None else "refused"] += 1
        counts["built again"] += calls.builds > 1
    assert min(counts.values()) >= 8, counts


# -- what is given up ---------------------------------------------------------------------------------------------

c3, c4 = ng.constant(np.arange(3.0)), ng.constant(np.arange(4.0))


def test_only_what_contradicts_is_given_up() -> None:
    xs = [ng.vector(f"x{k}") for k in range(20)]
    total = (xs[7] * c4).sum() + (xs[7] * c3).sum()
    for a, b in pairwise(xs):
        total = total + ng.exp(a * 2 + b).sum() if xs[7] not in (a, b) else total
    calls = Calls(xs, [total])
    # that x7 has length 4, and that it has length 3
    assert len(calls.given_up) == 2
    assumed = [r for r in calls.plan.conditions if r.kind == "assume"]
    assert len(assumed) == 17
    calls.lengths([np.ones(1 if k == 7 else 5) for k in range(20)])
    assert calls.builds == 1


def test_one_more_build_is_enough_for_any_call() -> None:
    """However many lengths differ: a variant is built for the lengths of the call that needs it."""
    xs = [ng.vector(f"x{k}") for k in range(12)]
    calls = Calls(xs, [sum(xs[1:], xs[0])])
    assert calls.lengths([np.ones(4 if k % 2 else 1) for k in range(12)]) == [(4,)]
    assert calls.builds == 2
    assert calls.lengths([np.ones(1 if k % 2 else 4) for k in range(12)]) == [(4,)]
    assert calls.builds <= 3
    assert calls.lengths([np.ones(3)] * 12) == [(3,)]


def test_shared_variables_keep_the_lengths_that_contradict_nothing() -> None:
    s, u, x = ng.shared(np.zeros(10), "s"), ng.shared(np.zeros(3), "u"), ng.vector("x")
    calls = Calls([x], [s + x, u + x])
    assert [tuple(v.dims) for v in calls.plan.schedule.outputs] == [(10,), (3,)]
    # these two contradict each other: both lengths are open, and taken for equal
    calls = Calls([], [s + u])
    assert [r.kind for r in calls.plan.conditions] == ["assume"]
    assert calls.lengths([]) is None
    u.set_value(np.zeros(10))
    assert calls.lengths([]) == [(10,)]
    assert calls.builds == 1


def test_lengths_that_are_never_equal_are_not_taken_for_equal() -> None:
    x = ng.vector("x")
    n = x.shape[0]
    calls = Calls([x], [ng.zeros(n + 1) * x, ng.zeros((n + 1, n + 1))[ng.arange(n), ng.arange(n)] + x])
    assert not [r for r in calls.plan.conditions if r.kind == "assume"]


@pytest.mark.parametrize("wanted", [[0], [19], [3, 4], [0, 19], [2, 9, 17], list(range(8))])
def test_the_smallest_set_that_fails(wanted: list[int]) -> None:
    tries: list[int] = []

    def fails(parts: Any) -> bool:
        tries.append(len(parts))
        return set(wanted) <= set(parts)

    assert sorted(smallest(fails, list(range(20)))) == wanted
    assert len(tries) <= 12 * len(wanted)


# -- what comes of it ---------------------------------------------------------------------------------------------

TARGETS = ("reference", "cpu", "cuda-sim")
ONE = np.array([2.0])


@pytest.mark.parametrize("target", TARGETS)
def test_one_length_at_two_widths(target: str) -> None:
    x, y, v, m = ng.vector("x"), ng.vector("y"), ng.matrix("v"), ng.matrix("m")
    f = ng.function([x], (x * c4).sum() + (x * c3).sum(), target=target)
    assert f(ONE) == 18
    for n in (3, 4):
        with pytest.raises(ng.ShapeError, match=r"do(es)? not broadcast|be broadcast"):
            f(np.ones(n))
    assert f(ONE) == 18
    S, W = ng.shared(np.ones((4, 2)), "S"), ng.shared(np.ones((3, 2)), "W")
    g = ng.function([x, y], [ng.dot(x + y, S) + x, ng.grad((ng.dot(x + y, S) + x).sum(), x)], target=target)
    for got, wanted in zip(g(ONE, np.arange(4.0)), ([16, 16], [10]), strict=True):
        np.testing.assert_allclose(got, wanted)
    rows = ng.function([m, v], ng.dot(m * v, W) * v, target=target)
    np.testing.assert_allclose(rows(np.ones((5, 3)), np.ones((5, 1))), np.full((5, 2), 3.0))


@pytest.mark.parametrize("target", TARGETS)
def test_shared_values_that_do_not_fit_yet(target: str) -> None:
    s, t = ng.shared(np.zeros(0), "s"), ng.shared(np.arange(3.0), "t")
    f = ng.function([], s + t, target=target)
    with pytest.raises(ng.ShapeError, match=r"(?s)s: float64\[0\].*test_assumptions.*t: float64\[3\]"):
        f()
    s.set_value(np.ones(3))
    np.testing.assert_allclose(f(), [1, 2, 3])
    s.set_value(np.ones(2))
    with pytest.raises(ng.ShapeError):
        f()
    s.set_value(np.ones(1))
    np.testing.assert_allclose(f(), [1, 2, 3])


@pytest.mark.parametrize("target", TARGETS)
def test_a_resize_after_one_that_failed(target: str) -> None:
    s = ng.shared(np.ones((2, 2)), "s")
    f = ng.function([], s - ng.dot(s.T, s), target=target)
    assert f().shape == (2, 2)
    s.set_value(np.ones((33, 31)))
    with pytest.raises(ng.ShapeError, match=r"33,31\]"):
        f()
    s.set_value(np.ones((10, 1)))
    assert f().shape == (10, 1)


@pytest.mark.parametrize("target", TARGETS)
def test_some_of_several_shared_variables_change_their_length(target: str) -> None:
    """What each keeps is given up before what was assumed of two of them because both kept theirs."""
    a, b, c = (ng.shared(np.full((3, 1), k, "uint8"), name) for k, name in enumerate("abc"))
    f = ng.function([], [b, ng.maximum(c + b, 0), ng.concatenate([a, b])], givens=[(a, b), (b, a)], target=target)
    for lengths in ((32, 3, 32), (3, 4, 3), (5, 5, 5), (1, 2, 7)):
        for k, (shared, n) in enumerate(zip((a, b, c), lengths, strict=True)):
            shared.set_value(np.full((n, 1), k, "uint8"))
        # b stands for a, and a for b
        first, total, both = f()
        assert len(first) == lengths[0] and len(both) == lengths[0] + lengths[1]
        np.testing.assert_array_equal(total, np.full((max(lengths[0], lengths[2]), 1), 2, "uint8"))


@pytest.mark.parametrize("target", TARGETS)
def test_lengths_that_go_on_changing_are_compiled_for_once(target: str) -> None:
    s, w = ng.shared(np.ones((1, 3)), "s"), ng.shared(np.arange(3.0), "w")
    cost = (ng.tanh(s @ w) * ng.dot(s, w)).sum()
    f = ng.function([], [cost, ng.grad(cost, w)], target=target)
    compiled, compile = [], f.executor.target.compile
    f.executor.target.compile = lambda *args: compiled.append(args) or compile(*args)  # type: ignore[method-assign]
    for n in range(1, 13):
        s.set_value(np.full((n, 3), 1 / n))
        got = f()
        np.testing.assert_allclose(np.asarray(got[0]), n * np.tanh(3 / n) * 3 / n)
    # one for each of the first lengths, and one for all
    assert len(compiled) == (0 if target == "reference" else MOST_LENGTHS)
    s.set_value(np.ones((2, 5)))
    with pytest.raises(ng.ShapeError, match=r"s: float64\[2,5\]"):
        f()


@pytest.mark.parametrize("target", TARGETS)
def test_picks_from_fewer_rows_than_there_are(target: str) -> None:
    y, X, x = ng.ivector("y"), ng.matrix("X"), ng.vector("x")
    w, rows = ng.constant(np.arange(1.0, 4.0)), np.array([0, 1, 2], "int32")
    f = ng.function([y], ng.inc_subtensor(ng.zeros((4, 5))[ng.arange(y.shape[0]), y], w), target=target)
    np.testing.assert_allclose(f(rows), np.diag([1.0, 2, 3, 0, 0])[:4])
    cost = ((X[ng.arange(y.shape[0]), y] * w) ** 2).sum() + (X * ng.constant(np.ones((4, 5)))).sum()
    g = ng.function([y, X], ng.grad(cost, X), target=target)
    np.testing.assert_allclose(g(rows, np.ones((4, 5))), 1 + np.diag([2.0, 8, 18, 0, 0])[:4])
    d = ng.function([x], (ng.diag(x, 1) * ng.constant(np.ones((4, 4)))).sum() + (x * w).sum(), target=target)
    assert d(np.ones(3)) == 9


def test_the_error_of_a_call_shows_lengths_and_lines() -> None:
    x, y = ng.matrix("x"), ng.vector("y")
    f = ng.function([x, y], x * y + 1)
    np.testing.assert_allclose(f(np.ones((2, 3)), np.ones(3)), 2)
    with pytest.raises(ng.ShapeError) as found:
        f(np.ones((2, 3)), np.ones(4))
    text = str(found.value)
    assert "lengths 3 and 4" in text or "lengths 4 and 3" in text
    assert "x: float64[2,3]  made at tests/compiler/test_assumptions.py" in text and "y: float64[4]" in text


# -- lengths that are computed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_computed_lengths_are_checked_before_they_are_used(target: str) -> None:
    """Also where the same loop could run without them, over a length that is known."""
    x, y = ng.vector("x"), ng.vector("y")
    count = (x > 0).sum()
    front, picked = x[:count], x[(x > 0).nonzero()[0]]
    W = ng.shared(np.ones((3, 2)), "W")
    positive = np.array([1.0, 2, 3, -5])
    functions = [
        (ng.function([x, y], (front + y) * 2, target=target), {1, 3}),
        (ng.function([x, y], picked * y, target=target), {1, 3}),
        (ng.function([x, y], ng.dot(front, W).sum() + y, target=target), {0, 1, 2, 3, 4}),
        (ng.function([x, y], ng.dot(picked, W) * 0 + (picked + y).sum(), target=target), {1, 3}),
        (ng.function([x, y], ng.set_subtensor(y[:count], c3), target=target), {3, 4}),
        (ng.function([x, y], ng.concatenate([front, y]) + ng.constant(np.ones(6)), target=target), {3}),
        (ng.function([x, y], ng.grad((picked * y).sum(), y), target=target), {1, 3}),
    ]
    for number, (f, fitting) in enumerate(functions):
        for n in range(5):
            if n in fitting:
                assert np.isfinite(f(positive, np.ones(n))).all(), (number, n)
            else:
                with pytest.raises(ng.ShapeError):
                    f(positive, np.ones(n))
        if number in (2, 3):
            with pytest.raises(ng.ShapeError):
                f(np.ones(4), np.ones(4))


def test_a_length_that_is_an_output_of_a_later_stage() -> None:
    x, y = ng.vector("x"), ng.vector("y")
    count = (x[(x > 0).nonzero()[0]] > 1).sum()
    f = ng.function([x, y], [count, y[:count] + 1])
    n, front = f(np.array([1.0, 2, 3, -5]), np.ones(5))
    assert n == 2
    np.testing.assert_allclose(front, [2, 2])

"""Conditions on lengths: what is known to hold is not checked, everything else is."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import ShapeError
from numgraph.ir import Graph, Requirement
from numgraph.lengths.known import holds, least, undecided

KINDS = {
    "equal": lambda a, b: a == b,
    "nonempty": lambda a, b: a >= 1,
    "at_least": lambda a, b: a >= b,
    "broadcast": lambda a, b: a == b or 1 in (a, b),
    "range": lambda a, b: -b <= a < b,
}
VALUES = (0, 1, 2, 5)


class Lengths:
    """Two symbolic lengths, an integer argument, and expressions of them with their values."""

    def __init__(self) -> None:
        self.graph = g = Graph()
        leaf = g.make("input", None, (), (0,), "float64", ())
        n, m = (g.make("extent", None, (leaf,), (axis,), "int64", ()) for axis in (0, 1))
        k = g.make("scalar", None, (), (1,), "int64", ())
        half, smaller, larger = n // 2, g.integer("minimum", n, m), g.integer("maximum", n, m)
        picked = g.integer("where", g.integer("eq", n, 1), m + 1, n + 2)
        self.n, self.m, self.k = n, m, k
        self.forms: list[tuple[Any, Any]] = [
            (0, lambda n, m, k: 0),
            (1, lambda n, m, k: 1),
            (-2, lambda n, m, k: -2),
            (3, lambda n, m, k: 3),
            (n, lambda n, m, k: n),
            (m, lambda n, m, k: m),
            (k, lambda n, m, k: k),
            (n + 1, lambda n, m, k: n + 1),
            (n + m, lambda n, m, k: n + m),
            (n - 1, lambda n, m, k: n - 1),
            (n + k, lambda n, m, k: n + k),
            ((n + 1) * (m + 2), lambda n, m, k: (n + 1) * (m + 2)),
            (n * m, lambda n, m, k: n * m),
            (n * k, lambda n, m, k: n * k),
            (half, lambda n, m, k: n // 2),
            (smaller, lambda n, m, k: min(n, m)),
            (larger, lambda n, m, k: max(n, m)),
            (g.integer("maximum", k, 1), lambda n, m, k: max(k, 1)),
            (picked, lambda n, m, k: m + 1 if n == 1 else n + 2),
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_to_hold_does(kind: str) -> None:
    """Whatever the lengths are; and enough is known to hold for the question to be worth asking."""
    lengths, known = Lengths(), 0
    for (a, of_a), (b, of_b) in itertools.product(lengths.forms, lengths.forms):
        if holds(kind, a, b):
            known += 1
            for values in itertools.product(VALUES, VALUES, (-3, -1, 0, 1, 4)):
                assert KINDS[kind](of_a(*values), of_b(*values)), (kind, a, b, values)
    assert known > len(lengths.forms) // 2


def test_lower_bounds_are_lower() -> None:
    for node, value in Lengths().forms:
        smallest = min(value(*v) for v in itertools.product(VALUES, VALUES, (-3, -1, 0, 1, 4)))
        bound = least((node, 1))
        assert bound is None or bound <= smallest
    lengths = Lengths()
    assert [least((v, 1)) for v in (lengths.n + 1, (lengths.n + 1) * (lengths.m + 2), lengths.k)] == [1, 2, None]


@pytest.mark.parametrize(
    ("kind", "build", "expected"),
    [
        ("at_least", lambda v: (v.n, v.n), True),
        ("at_least", lambda v: (v.n + v.m, v.m), True),
        ("at_least", lambda v: (v.n + v.k, v.n), False),
        ("at_least", lambda v: (v.graph.integer("maximum", v.n, v.m), v.m), True),
        ("at_least", lambda v: (v.n - 1, v.n), False),
        ("nonempty", lambda v: (v.n + 1, 1), True),
        ("nonempty", lambda v: (v.n, 1), False),
        ("range", lambda v: (0, v.n + 1), True),
        ("range", lambda v: (-2, v.n + 1), False),
        ("range", lambda v: (-1, v.n + 1), True),
        ("broadcast", lambda v: (v.n, 1), True),
        ("broadcast", lambda v: (v.n, 3), False),
    ],
)
def test_what_is_known(kind: str, build: Any, expected: bool) -> None:
    lengths = Lengths()
    assert holds(kind, *build(lengths)) is expected


def test_equal_lengths_decide_other_conditions_but_not_themselves() -> None:
    lengths = Lengths()
    graph, n, m = lengths.graph, lengths.n, lengths.m
    for kind in ("at_least", "assume", "broadcast", "at_least", "equal"):
        graph.requirements.append(Requirement(kind, n, m, "", None))
    assert [r.kind for r in undecided(graph)] == ["at_least", "assume", "broadcast", "equal"]
    graph.unify(n, m)
    assert [r.kind for r in undecided(graph)] == ["assume", "equal"]


def conditions(source: str) -> list[str]:
    """Those of a plan; for the status of a call, the call."""
    found = re.findall(r"^    (?:if|status =) (.*?):?(?:  .*)?$", source, re.MULTILINE)
    return [c for c in found if c != "status != 0"]


def sources() -> list[str]:
    golden = [p.read_text(encoding="utf-8") for p in sorted((Path(__file__).parents[1] / "golden").glob("*.py"))]
    x, y, i = ng.matrix("x"), ng.matrix("y"), ng.lscalar("i")
    s = ng.shared(np.zeros((4, 3)), "s")
    functions = [
        ng.function([x, y], [ng.concatenate([x, y]), ng.stack([x, y]), ng.max(x, 1), ng.argmax(x, 1), ng.softmax(x)]),
        ng.function([x, i], [x[i], x[i:], x[:, :2], ng.set_subtensor(x[1:], 0.0), x.reshape((-1, 2)), ng.roll(x, 1)]),
        ng.function([], [], updates=[(s, ng.concatenate([s, s[:1]]))]),
    ]
    return golden + [f.source for f in functions]


def test_no_condition_is_trivial_or_repeated() -> None:
    seen = 0
    for source in sources():
        for part in re.findall(r"^def plan_\d+.*?^    return 0", source, re.MULTILINE | re.DOTALL):
            found = conditions(part)
            seen += len(found)
            assert len(set(found)) == len(found), found
            for condition in found:
                sides = re.match(r"(-?\w+) (<|!=|>=) (-?\w+)$", condition)
                if sides is not None:
                    a, b = sides[1], sides[3]
                    assert a != b, condition
                    assert not (a.lstrip("-").isdigit() and b.lstrip("-").isdigit()), condition
    assert seen > 20


def test_conditions_that_are_not_known_are_still_checked() -> None:
    x, y = ng.matrix("x"), ng.matrix("y")
    f = ng.function([x, y], [ng.max(x, 0), ng.min(x, 0), ng.concatenate([x, y], axis=1)])
    assert [a.tolist() for a in f([[1.0, 2.0]], [[3.0]])] == [[1.0, 2.0], [1.0, 2.0], [[1.0, 2.0, 3.0]]]
    with pytest.raises(ShapeError, match="axis 0 is empty, and max"):
        f(np.zeros((0, 2)), np.zeros((0, 1)))
    with pytest.raises(ShapeError, match="concatenate"):
        f(np.zeros((2, 2)), np.zeros((3, 1)))
    low = ng.function([x], ng.min(x, 0))
    with pytest.raises(ShapeError, match="axis 0 is empty, and min"):
        low(np.zeros((0, 2)))


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_a_condition_that_nothing_else_waits_for(target: str) -> None:
    """Only a length is asked of what it is about, which the condition's own lengths have no part in."""
    x, y, z = ng.vector("x"), ng.vector("y"), ng.matrix("z")
    state = ng.shared(np.zeros(2), "state")
    count = ng.sum(ng.cast(x > 1, "int64"))
    written, row = ng.set_subtensor(x[x > 1], y), z[count - 2 : count][y.shape[0] % 2]
    others = np.array([3.0, 4]), np.ones((2, 3))
    for result in (written.size, count + written.size, row.shape[0]):
        f = ng.function(
            [x, y, z], [result, y + 1], updates=[(state, state + 1)], target=target, on_unused_input="ignore"
        )
        f(np.array([1.0, 5, 5]), *others)
        before = state.get_value().tolist()
        with pytest.raises((ShapeError, ng.IndexOutOfRange), match=r"does not broadcast|out of range"):
            f(np.array([1.0, 0, 0]), *others)
        assert state.get_value().tolist() == before
        f(np.array([1.0, 5, 5]), *others)
        assert state.get_value().tolist() == [v + 1 for v in before]


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_what_a_number_is_at_least_does_not_hold_where_it_wraps_around(target: str) -> None:
    """max(k, 0) * 4 may be -4: an index from the end, and no length."""
    k, x = ng.lscalar("k"), ng.vector("x")
    natural = ng.maximum(k, 0)
    values = np.arange(100.0, 110.0)
    outputs = [x[natural * 4], ng.set_subtensor(x[natural + natural + natural * 2], 1.0), x[natural * 4 :]]
    f, g = (ng.function([k, x], outputs, target=t) for t in (target, "reference"))
    for index in (2**62 - 1, 2, 2**63 - 2):
        for got, want in zip(f(index, values), g(index, values), strict=True):
            np.testing.assert_array_equal(np.asarray(got), want)
    for length, index in ((natural * 4 + 1, 2**63 - 1), (natural + 5, 2**63 - 1), (natural * 2 + 1, 2**62 + 1)):
        with pytest.raises(ShapeError, match="is negative"):
            ng.function([k], ng.sum(ng.zeros((length,))), target=target)(index)
    f = ng.function([k], ng.cumsum(ng.ones((natural * 4 + 8,)))[5], target=target)
    assert float(f(0)) == 6
    with pytest.raises(ng.IndexOutOfRange, match="index 5 is out of range for an axis of length 4"):
        f(2**62 - 1)

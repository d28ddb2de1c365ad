"""Integer arithmetic on lengths and indices: every identity gives the value of what it stands for."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numgraph.ir import Graph, Node, topological
from numgraph.lengths import dims, known

SIGNS: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floor_div": lambda a, b: a // b if b else 0,
    "minimum": min,
    "maximum": max,
}
NUMBERS = (-3, -1, 0, 1, 2, 7)
# two lengths and an index, which may be negative
LEAVES = ({"n": 0, "m": 5, "k": -4}, {"n": 3, "m": 1, "k": 2}, {"n": 1, "m": 8, "k": 0})

trees = st.recursive(
    st.sampled_from(["n", "m", "k", *NUMBERS]),
    lambda parts: st.tuples(st.sampled_from(sorted(SIGNS)), parts, parts),
    max_leaves=8,
)


def symbols(graph: Graph) -> dict[str, Node]:
    leaf = graph.make("input", None, (), (0,), "float64", ())
    n, m = (graph.make("extent", None, (leaf,), (axis,), "int64", ()) for axis in (0, 1))
    return {"n": n, "m": m, "k": graph.make("scalar", None, (), (1,), "int64", ())}


def built(tree: Any, graph: Graph, names: dict[str, Node]) -> Any:
    if not isinstance(tree, tuple):
        return names.get(tree, tree)
    return graph.integer(tree[0], built(tree[1], graph, names), built(tree[2], graph, names))


def evaluated(tree: Any, values: dict[str, int]) -> int:
    if not isinstance(tree, tuple):
        return values.get(tree, tree)
    return SIGNS[tree[0]](evaluated(tree[1], values), evaluated(tree[2], values))


def value_of(result: Any, names: dict[str, Node], values: dict[str, int]) -> int:
    """The value of a node, by the references of its ops."""
    if isinstance(result, int):
        return result
    known = {names[name]: np.int64(v) for name, v in values.items()}
    for node in topological([result]):
        if node.is_number:
            known[node] = np.int64(node.value)
        elif node not in known and node.op is not None:
            with np.errstate(all="ignore"):
                known[node] = node.op.numpy(*(known[v] for v in node.inputs))
    return int(known[result])


@given(trees)
@settings(max_examples=400)
def test_simplified_expressions_keep_their_values(tree: Any) -> None:
    graph = Graph()
    names = symbols(graph)
    result = built(tree, graph, names)
    for values in LEAVES:
        value = value_of(result, names, values)
        assert value == evaluated(tree, values)
        assert isinstance(result, int) or result.lowest <= value <= result.highest


@given(trees, trees)
@settings(max_examples=400)
def test_bounds_hold_of_what_wraps_around(left: Any, right: Any) -> None:
    graph = Graph()
    names = symbols(graph)
    a, b = (built(tree, graph, names) for tree in (left, right))
    for k in (2**63 - 1, 2**62 - 1, 2**62 + 3, -(2**63), -(2**61) - 1):
        values = {"n": 3, "m": 5, "k": k}
        x, y = (value_of(v, names, values) for v in (a, b))
        assert isinstance(a, int) or a.lowest <= x <= a.highest
        assert x >= y or not known.certainly(a, b)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda n, m: n + n, lambda n, m: n * 2),
        (lambda n, m: n * 3 + n, lambda n, m: n * 4),
        (lambda n, m: n + n * 3, lambda n, m: n * 4),
        (lambda n, m: n * 2 + n * 5, lambda n, m: n * 7),
        (lambda n, m: n * 3 + n * -3, lambda n, m: 0),
        (lambda n, m: n * 2 + m * 2, lambda n, m: n * 2 + m * 2),
        (lambda n, m: sum([n * 8] * 100, 0), lambda n, m: n * 800),
    ],
)
def test_equal_terms_are_one(build: Any, expected: Any) -> None:
    names = symbols(Graph())
    a, b = (f(names["n"], names["m"]) for f in (build, expected))
    assert a is b or a == b


def test_a_long_sum_has_a_bound_without_recursion() -> None:
    graph = Graph()
    total: Any = 0
    for k in range(5000):
        total = total + graph.make(
            "extent", None, (graph.make("input", None, (), (k,), "float64", ()),), (0,), "int64", ()
        )
    assert total.lowest == 0
    assert graph.integer("maximum", total, 0) is total


BOUNDS = (None, 0, 1, 3, -1, -2, "k", "half")


@pytest.mark.parametrize("step", [1, 2, -1, -3])
def test_slices_of_slices(step: int) -> None:
    """First elements and lengths, for numbers, an argument and half the length as bounds, as Python has them."""
    graph = Graph()
    names = symbols(graph)
    for first, second in itertools.product(itertools.product(BOUNDS, BOUNDS), ((None, None), (1, None), (None, -2))):
        length: Any = names["n"]
        places = []
        for (start, stop), by in ((first, step), (second, 1), ((1, -1), 1)):
            half = length // 2 if isinstance(length, Node) else 0
            bounds = [half if b == "half" else names["k"] if b == "k" else b for b in (start, stop)]
            begin, count = dims.slice_bounds(length, *bounds, by)
            places.append((begin, count))
            length = count
        for n, k in itertools.product((0, 1, 2, 5, 6), (-3, 2)):
            part = range(n)
            values = {"n": n, "m": 0, "k": k}
            for ((start, stop), by), (begin, count) in zip(
                ((first, step), (second, 1), ((1, -1), 1)), places, strict=True
            ):
                wanted = {"half": len(part) // 2, "k": k}
                taken = part[slice(wanted.get(start, start), wanted.get(stop, stop), by)]
                assert value_of(count, names, values) == len(taken), (first, second, n, k)
                if taken:
                    assert part[value_of(begin, names, values)] == taken[0], (first, second, n, k)
                part = taken


def test_lengths_of_shifted_slices_are_one() -> None:
    """What is added up after one another is not compared at each call, and no length gets longer with the others."""
    graph = Graph()
    length: Any = symbols(graph)["n"]
    for _ in range(50):
        inner = {dims.slice_bounds(length, start, stop, 1)[1] for start, stop in ((2, None), (1, -1), (None, -2))}
        assert len(inner) == 1
        (length,) = inner
    assert len(topological([length])) == 6


@given(trees, trees)
@settings(max_examples=400)
def test_what_is_known_of_two_numbers_holds(left: Any, right: Any) -> None:
    """Their difference, which one is not smaller, and what multiples of them are at least."""
    graph = Graph()
    names = symbols(graph)
    a, b = (built(tree, graph, names) for tree in (left, right))
    for values in LEAVES:
        rest = evaluated(left, values) - evaluated(right, values)
        assert known.difference(a, b) in (None, rest)
        assert rest >= 0 or not known.at_least(a, b)
        bound = known.least((a, 3), (b, -2))
        assert bound is None or bound <= 3 * evaluated(left, values) - 2 * evaluated(right, values)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda n, m, k: ((n + k) - n, k), 0),
        (lambda n, m, k: (n * 3 + k, (n + k) + 5), None),
        (lambda n, m, k: ((n + m) * 2 - 1, m * 2 + n + (n + 4)), -5),
        (lambda n, m, k: (n * m, m * n), None),
        (lambda n, m, k: (7, 3), 4),
    ],
)
def test_differences(build: Any, expected: Any) -> None:
    names = symbols(Graph())
    assert known.difference(*build(*names.values())) == expected


def test_lengths_taken_for_equal_count_as_equal() -> None:
    graph = Graph()
    n, m, k = symbols(graph).values()
    a, b = n + k, (m + 1) + k
    assert known.difference(a, b) is None
    graph.unify(n, m)
    assert known.difference(a, b) == -1 and known.at_least(b, a) and not known.at_least(a, b)
    graph.unify(n, 3)
    assert known.difference(b, k) == 4


def test_the_difference_of_long_sums_is_short_work() -> None:
    """A common beginning is not looked at; what is looked at is so once, and not by recursion."""
    graph = Graph()
    n, m, k = symbols(graph).values()
    total = n
    for _ in range(5000):
        total = graph.integer("floor_div", total, 3) + m
    assert known.difference(total + 64, total) == 64
    for i in range(5000):
        total = total - graph.make("extent", None, (k,), (i,), "int64", ())
    assert known.difference(total + 1, total) == 1
    assert len(known.total((total, 1))) == 5003


def test_pieces_fit_below_the_largest_of_several_ends() -> None:
    graph = Graph()
    names = symbols(graph)
    n, m = names["n"], names["m"]
    end = graph.integer("maximum", graph.integer("maximum", n + 8, m), graph.integer("mul", n, 3))
    assert known.in_order(n, 8, end) and known.in_order(0, m, end)
    assert not known.in_order(n, 9, end) and not known.in_order(0, n + m, end)

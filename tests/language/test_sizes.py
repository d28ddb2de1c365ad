"""Arrays that are too large: lengths whose product or sum wraps around, negative ones, and too little memory.

Everything here is refused before anything is computed. Nothing that these programs ask for is ever allocated.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.compile import scheduled
from numgraph.config import config
from numgraph.errors import ShapeError, SizeError
from numgraph.ir import Graph, Node
from numgraph.lengths.dims import MOST_BYTES
from numgraph.program import build_program
from numgraph.reference import evaluate
from numgraph.rewrite.sizes import Sizes
from numgraph.runtime.variant import NativeVariant

a, u, X = ng.vector("a"), ng.vector("u", "uint8"), ng.matrix("X")
n, k = ng.lscalar("n"), ng.lscalar("k")
NOTHING, ONES = np.empty(0), np.ones(5)
BIG = 2**32

# (result, a, n, k): the product of the lengths wraps to 0 in most.
WRAPS: dict[str, tuple[Any, Any, int, int]] = {
    "reshape": (a.reshape((n, k))[0], NOTHING, BIG, BIG),
    "reshape, rank 3": (a.reshape((n, k, n))[0, 0], NOTHING, 2**22, 2**20),
    "reshape with -1": (a.reshape((n, -1, k))[0], NOTHING, BIG, BIG),
    "an element of a reshape": (a.reshape((n, k))[0, 3], NOTHING, BIG, BIG),
    "broadcast": (ng.broadcast_to(a[0], (n, k)).ravel(), ONES, BIG, BIG),
    "sum of a broadcast": (ng.broadcast_to(a[0], (n, k)).ravel().sum(), ONES, BIG, BIG),
    "size": (ng.broadcast_to(a[0], (n, k)).size, ONES, BIG, BIG),
    "zeros": (ng.zeros((n, k)), NOTHING, BIG, BIG),
    "negative factors": (ng.sort(ng.zeros((n * k,))), NOTHING, -3, -(2**61)),
    "bytes": (ng.sort(ng.zeros((n,))), NOTHING, 2**61, 0),
    "arange": (ng.sort(ng.arange(n)[::-1]), NOTHING, 2**61, 0),
    "cumsum": (ng.cumsum(ng.arange(n) * 1.0), NOTHING, 2**61, 0),
    "eye": (ng.eye(n).sum(axis=0), NOTHING, BIG, 0),
    "repeat": (ng.repeat(a, n), ONES, 2**62, 0),
    "tile": (ng.tile(a, (n, k)), ONES, BIG, BIG),
    "concatenate": (ng.concatenate([ng.broadcast_to(u[0], (n,))] * 3), ONES, 2**62, 0),
    "operands of a sum": (ng.outer(ng.arange(n), ng.arange(k)).sum(), NOTHING, 2**31, 2**31),
    "flat sum of operands": ((ng.arange(n)[:, None] + ng.arange(k)).ravel(), NOTHING, BIG, BIG),
    "scatter": (ng.inc_subtensor(a.reshape((n, k))[0, :9], 1.0).sum(axis=1)[0], NOTHING, BIG, BIG),
    "diag": (ng.diag(ng.broadcast_to(a[0], (n,))).sum(), ONES, BIG, 0),
    "one-hot": (ng.to_one_hot(ng.cast(a, "int64"), n).sum(axis=0), ONES, 2**61, 0),
}
NEGATIVE: dict[str, Any] = {
    "reshape": a.reshape((n, -1)),
    "broadcast": ng.broadcast_to(a[0], (n, 3)),
    "zeros": ng.zeros((n, 2)),
    "full": ng.full((n,), 1.0),
    "eye": ng.eye(n),
    "tri": ng.tri(2, n),
    "repeat": ng.repeat(a, n),
    "tile": ng.tile(a, (n,)),
    "one-hot": ng.to_one_hot(ng.arange(0), n),
}


def call(result: Any, target: str, *values: Any) -> Any:
    """The result of one call. A function that changes a shared variable leaves it as it was when it is refused."""
    s = ng.shared(np.arange(3.0), "s")
    f = ng.function([a, u, n, k], result, updates=[(s, s + 1)], target=target, on_unused_input="ignore")
    first, others = values[0], values[1:]
    try:
        return np.asarray(f(first, np.ones(len(first), "uint8"), *others))
    except Exception:
        np.testing.assert_array_equal(s.get_value(), np.arange(3.0))
        raise


@pytest.mark.parametrize("name", WRAPS)
def test_products_that_wrap_are_refused(name: str) -> None:
    result, *values = WRAPS[name]
    for target in ("reference", "cpu", "cuda-sim"):
        if target == "reference" and name == "operands of a sum":
            # NumPy makes the operands first
            continue
        with pytest.raises(ShapeError) as caught:
            call(result, target, *values)
        if target != "reference":
            assert isinstance(caught.value, SizeError) and isinstance(caught.value, MemoryError)
            assert "too large" in str(caught.value)


@pytest.mark.parametrize("name", NEGATIVE)
def test_negative_lengths_are_refused(name: str) -> None:
    for target in ("reference", "cpu", "cuda-sim"):
        with pytest.raises(ShapeError, match=r"negative|into a shape"):
            call(NEGATIVE[name], target, ONES, -2, 0)


def test_what_remains_when_an_empty_axis_is_gone() -> None:
    """NumPy has arrays of lengths (0, 2**59): what is summed over the first axis is no longer empty."""
    f = ng.function([X], ng.sort(X.sum(axis=0)))
    with pytest.raises(SizeError, match="a length of 576460752303423488 makes the array too large"):
        f(np.empty((0, 2**59)))
    assert ng.function([X], X + 1)(np.empty((0, 2**59))).shape == (0, 2**59)


def test_lengths_known_when_the_expression_is_built() -> None:
    attempts: list[Callable[[], Any]] = [
        lambda: ng.broadcast_to(a[0], (BIG, BIG)),
        lambda: ng.zeros((2**40, 2**40)),
        lambda: a.reshape((2**64,)),
        lambda: ng.arange(2**62),
        lambda: ng.ones((2**30,))[:, None, None] * ng.ones((2**30,))[:, None] * ng.ones((2**30,)),
    ]
    for attempt in attempts:
        with pytest.raises(SizeError, match=r"would take .* bytes|longer than any array"):
            attempt()


def test_shared_variables_of_known_lengths() -> None:
    v, w = (ng.shared(np.zeros(2**16, "float32"), name) for name in "vw")
    stack = v[:, None, None, None] * w[:, None, None] * v[:, None] * w
    for target in ("cpu", "cuda-sim"):
        with pytest.raises(SizeError):
            ng.function([], stack.sum(axis=(0, 1)), target=target)()


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_no_memory(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results and temporaries for which there is no memory are a MemoryError, also in calls that go the fast way."""
    f = ng.function([n], ng.zeros((n,)) + 1, target=target)
    g = ng.function([a, n], ng.cumsum(ng.cumsum(ng.broadcast_to(a[0], (n,)))[::-1]).sum(), target=target)
    h = ng.function([a, X], a[:, None, None] + X, target=target)
    f(3), g(ONES, 3), h(ONES, np.ones((2, 2)))
    # as if all of memory were in use: such arrays can be made, as long as nobody writes to them
    most = 2**43
    refused = np.empty

    def empty(lengths: Any, *more: Any) -> Any:
        count = int(np.prod(lengths, dtype=object))
        if count > most:
            raise MemoryError
        return refused(lengths, *more)

    for each in (f, g, h):
        variant = each.executor.variant
        if isinstance(variant, NativeVariant):
            variant.empty = empty
    for attempt in (lambda: f(2**44), lambda: g(ONES, 2**44)):
        with pytest.raises(MemoryError) as caught:
            attempt()
        assert "memory for" in str(caught.value) and " bytes" in str(caught.value)
    np.testing.assert_array_equal(f(2), [1, 1])
    assert float(g(ONES, 2)) == 5.0


def test_steps_larger_than_any_axis() -> None:
    for target in ("reference", "cpu"):
        f = ng.function([a], [a[:: 2**63 - 1], a[:: -(2**63) + 1], a[1 :: 2**62]], target=target)
        for found, want in zip(f(np.arange(5.0)), ([0], [4], [1]), strict=True):
            np.testing.assert_array_equal(found, want)


# -- which conditions there are -------------------------------------------------------------------------------------


def conditions(inputs: Any, result: Any) -> int:
    """How many conditions on sizes a program has."""
    found = scheduled(build_program(inputs, [result], on_unused_input="ignore"))
    return sum(r.kind == "fits" for r in found.conditions)


def test_arrays_as_large_as_those_that_are_there_need_no_condition() -> None:
    """Not what most programs do: so nothing is checked in a call of them."""
    y = ng.matrix("y")
    data = ng.shared(np.zeros((50, 8), "float32"), "data")
    i = ng.lscalar("i")
    window = data[i * 5 : (i + 1) * 5]
    for result in (ng.exp(X) * 2, X + y, X[1:, ::2], X.T, X.ravel(), X.sum(), (a - a.mean()).sum(), ng.sort(a)[::-1]):
        assert conditions([X, y, a], result) == 0
    for result in (window * 2, ng.dot(window, np.ones((8, 3), "float32")), ng.softmax(window).sum(axis=0)):
        assert conditions([i], result) == 0
    # each of these might be larger
    assert conditions([X, y], ng.dot(X, y)) == 2
    assert conditions([n], ng.arange(n) * 2 + 1) == 1
    assert conditions([a, n], ng.broadcast_to(a[0], (n, 2)) + ng.broadcast_to(a[1], (n, 1))) == 1


def test_conditions_are_exact() -> None:
    """For random lengths the conditions hold just where the array is not too large."""
    graph = Graph()
    leaf = graph.make("input", None, (), (0,), "float64", ())
    lengths = [graph.make("extent", None, (leaf,), (axis,), "int64", ()) for axis in range(3)]
    leaf.graph.lengths[leaf] = (lengths[0],)
    pairs = list(Sizes(graph).conditions((*lengths, 3)))
    assert len(pairs) == 3

    def value(node: Any, known: dict[Node, int]) -> int:
        if not isinstance(node, Node):
            return int(node)
        if node in known or node.is_number:
            return known[node] if node in known else int(node.value)
        x, y = (value(v, known) for v in node.inputs)
        return {"floor_div": lambda: x // y, "maximum": lambda: max(x, y)}[node.name]()

    for drawn in itertools.product((0, 1, 7, 2**10, 2**22, 2**23, 2**45, 2**46, 2**62), repeat=3):
        known = dict(zip(lengths, drawn, strict=True))
        passed = all(value(a, known) <= value(b, known) for a, b in pairs)
        size = 24
        for length in drawn:
            size *= max(length, 1)
        assert passed == (size <= MOST_BYTES), drawn


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_lengths_of_arrays_that_nothing_computes(target: str) -> None:
    """They need not be computed for a condition on them alone."""
    s, x = ng.shared(np.array([2]), "s"), ng.matrix("x")
    marked = ng.nonzero(s > 0)[-1]
    spread = ng.broadcast_to(x, (s[s > 0].shape[0], *x.shape))
    one, two = ng.function([x], [ng.diag(marked), ng.maximum(spread.shape[1], 1)], target=target)(np.ones((3, 2)))
    assert np.asarray(one).tolist() == [[0]] and int(two) == 3


def test_verify_is_on() -> None:
    assert config.verify


def test_as_many_axes_as_there_may_be() -> None:
    x = ng.tensor("x", shape=(None,) * 16)
    value = np.arange(24.0).reshape(2, 1, 3, *(1,) * 11, 2, 2)
    results = [
        x + x[..., 0, None], x.T * 2, x.sum(axis=(0, 2, -1)), ng.concatenate([x, x], axis=-1), x @ x,
        ng.softmax(x, axis=2), ng.sort(x, axis=-1), ng.grad((x * x[::-1]).sum(), x), ng.inc_subtensor(x[..., ::2], 1.0),
        x[[0, 1, 1]], ng.scan(lambda row: row * 2 + 1, x)[0],
    ]  # fmt: skip
    wanted = [evaluate([r], {x: value})[0] for r in results]
    for target in ("cpu", "cuda-sim"):
        for got, expected in zip(ng.function([x], results, target=target)(value), wanted, strict=True):
            np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-12)


def test_more_axes_are_refused_where_they_are_made() -> None:
    x = ng.tensor("x", shape=(None,) * 16)
    many = np.zeros((1,) * 17)
    attempts: list[Callable[[], Any]] = [
        lambda: ng.tensor("y", shape=(None,) * 17), lambda: x[None], lambda: ng.shared(many), lambda: ng.constant(many),
        lambda: x[..., 0] + many, lambda: ng.TensorType("float64", (None,) * 17).counted("y"),
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(ShapeError, match=r"17 axes, and an array has at most 16\n  fix: "):
            attempt()


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_steps_and_bounds_of_slices_that_only_the_call_knows(target: str) -> None:
    """As far as int64 goes: a step that is longer than any axis takes one element."""
    x, key = ng.vector("x"), [ng.lscalar(name) for name in "ijk"]
    f = ng.function([x, *key], [x[slice(*key)], ng.set_subtensor(x[slice(*key)], 9.0)], target=target)
    values, far = np.arange(7.0), (2**62, -(2**62), 2**63 - 1, -(2**63))
    for i, j, k in itertools.product((0, 3, -1, *far), (0, 7, -3, *far), (1, -2, *far)):
        written = values.copy()
        written[i:j:k] = 9.0
        for got, wanted in zip(f(values, i, j, k), (values[i:j:k], written), strict=True):
            np.testing.assert_array_equal(np.asarray(got), wanted, err_msg=str((i, j, k)))


# Of what a reduction of lengths is. The first two are what libraries make of a stack of images.
REDUCED: dict[str, Callable[[Any, Any], Any]] = {
    "rows": lambda v, n: v.reshape((v.shape[0], n)),
    "rows, the other length left open": lambda v, n: v.reshape((n, -1)),
    "zeros": lambda v, n: ng.zeros((n, v.shape[0])) + 1,
    "arange": lambda v, n: ng.arange(n),
    "the end of a slice": lambda v, n: v.reshape((v.shape[0], n))[:, : n - 3],
    "a gathered sum": lambda v, n: ng.sum(v.reshape((v.shape[0], n)), axis=0)[ng.arange(n)],
    "steps of a scan": lambda v, n: ng.scan(lambda i: v.reshape((-1, n))[i] * 2, sequences=ng.arange(n))[0],
    "a gradient": lambda v, n: ng.grad(ng.sum(v.reshape((v.shape[0], n)) ** 3), v),
}


@pytest.mark.parametrize("name", REDUCED)
def test_lengths_that_are_reductions_of_lengths(name: str, target: str) -> None:
    """Also of a shared variable, whose lengths are taken for numbers: what was to be computed is known then."""
    first, other = (np.arange(float(np.prod(s))).reshape(s) for s in ((12, 2, 5), (13, 3, 4)))
    images, given = ng.shared(first, name="images"), ng.tensor3("given")
    for v in (images, given):
        f = ng.function([given], REDUCED[name](v, ng.prod(ng.stack(v.shape[1:]))), on_unused_input="ignore")
        for value in (first, other, first):
            images.set_value(value)
            wanted = evaluate([REDUCED[name](given, ng.prod(ng.stack(given.shape[1:])))], {given: value})[0]
            np.testing.assert_array_equal(f(value), wanted)
    sizes = ng.stack(images.shape)
    made = ng.function([], ng.max(sizes) * ng.ones((ng.min(sizes),)))
    assert made().tolist() == [12.0, 12.0]

"""Rolls, margins and joins, which are read in place: against NumPy, on every target, alone and in updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.graph import Variable
from numgraph.types import TensorType

TARGETS = ("reference", "cpu", "cuda-sim")
RNG = np.random.default_rng(30)
MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def both(text: str) -> Callable[..., Any]:
    """A formula of `x`, `y`, the number `k` and a module `m`, which is NumPy or numgraph."""
    made: Callable[..., Any] = eval(f"lambda m, x, y, k: {text}")
    return made


ROLLS = [
    "m.roll(x, 1, 0)", "m.roll(x, -2, 1)", "m.roll(x, k, 1)", "m.roll(x, (1, k), (0, 1))", "m.roll(x, 3)",
    "m.roll(m.roll(x, 1, 1), k, 1)", "m.roll(x, k, 0) - x", "m.roll(x[::-1, ::2], k, 1)", "m.roll(x, k, 1)[:, ::-1]",
    "m.roll(x, k, 1)[::2, 1:]", "m.roll(x.T, k, 0)", "m.sum(m.roll(x, k, 1) * x, axis=1)", "m.sum(m.roll(x, k, 0))",
    "m.sum(m.roll(x, k, 1), axis=0)", "m.cumsum(m.roll(x, 1, 1), axis=1)",
    "m.where(m.roll(x, 1, 1) > x, x, m.roll(x, k, 0))", "m.argmin(m.roll(m.roll(x, 1, 1), k, 1), axis=1)",
    "m.argmax(m.roll(m.roll(x, 1, 0), k, 0), axis=0)", "m.argmax(m.roll(m.roll(x, k, 1), 1, 1)[:1])",
    "m.roll(x, 1, 0) + m.roll(x, -1, 0) + m.roll(x, 1, 1) + m.roll(x, -1, 1) + m.roll(x, (k, 1), (0, 1))",
]  # fmt: skip
JOINS = [
    "m.concatenate([x, y])", "m.concatenate([x, y, x * 2])", "m.concatenate([x, x], 1) * 2",
    "m.concatenate([x[:, 1:], x[:, :1]], 1)", "m.concatenate([x, y])[::-1]", "m.concatenate([x, y])[::3, 1:]",
    "m.concatenate([m.exp(x), y, x])", "m.sum(m.concatenate([x, y]) ** 2)", "m.sum(m.concatenate([x, y]), axis=0)",
    "m.sum(m.concatenate([x, x - 1], 1), axis=1)", "m.roll(m.concatenate([x, y]), k, 0)",
    "m.concatenate([m.roll(x, k, 1), m.roll(y, 1, 1)])", "m.concatenate([x, y]).T", "m.stack([x, x + 1], axis=1)",
    "m.dot(m.concatenate([x, x], 1), m.concatenate([x, x * 2], 1).T)", "m.concatenate([x, y]).ravel()",
    "m.concatenate([x, m.concatenate([y, x])]) - 1", "m.concatenate([x] * 9)", "m.concatenate([x, y])[1] * x[0]",
]  # fmt: skip
PADS = [f"m.pad(x, ((1, 2), (0, 3)), {mode!r})" for mode in MODES]
PADS += [f"m.sum(m.pad(x, 2, {mode!r}) * 2, axis=1)" for mode in MODES]
PADS += [
    "m.roll(m.pad(x, 1), k, 1)",
    "m.pad(m.concatenate([x, y]), 1)",
    "m.pad(x, 5, 'wrap')",
    "m.pad(x, 6, 'reflect')",
]


def evaluated(texts: list[str], target: str, static: tuple[Any, ...] = ()) -> Callable[..., list[Any]]:
    """A function of x, y and k, all of unknown length; or, of arrays that are known, one of k."""
    x, y, k = ng.matrix("x", "float64"), ng.matrix("y", "float64"), ng.lscalar("k")
    given = [ng.shared(v) for v in static]
    f = ng.function(
        [k] if given else [x, y, k],
        [both(t)(ng, *(given or [x, y]), k) for t in texts],
        target=target,
        on_unused_input="ignore",
    )
    return f


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("texts", [ROLLS, JOINS, PADS], ids=["rolls", "joins", "pads"])
def test_maps_of_unknown_and_of_known_lengths(texts: list[str], target: str) -> None:
    f = evaluated(texts, target)
    cases = [((4, 5), (3, 5), 1), ((4, 5), (2, 5), -8), ((2, 2), (1, 2), 10**15 + 1), ((2, 2), (3, 2), -1)]
    if texts is not PADS:
        cases += [((2, 2), (0, 2), 1), ((4, 3), (1, 3), 0)]
    for shape, other, k in cases:
        x, y = RNG.normal(size=shape), RNG.normal(size=other)
        for text, got in zip(texts, f(x, y, k), strict=True):
            np.testing.assert_allclose(got, both(text)(np, x, y, k), 1e-12, 1e-12, err_msg=f"{text} {shape} {k}")
    g = evaluated(texts[::2], target, (x, y))
    for text, got in zip(texts[::2], g(-3), strict=True):
        np.testing.assert_allclose(got, both(text)(np, x, y, -3), 1e-12, 1e-12, err_msg=text)


def test_nothing_and_one() -> None:
    texts = ["m.roll(x, k, 0)", "m.roll(x, 1, 1)", "m.concatenate([x, y])", "m.concatenate([y, x, y])", "m.roll(x, k)"]
    for target in TARGETS:
        f = evaluated(texts, target)
        for shape, other in (((0, 3), (2, 3)), ((3, 0), (2, 0)), ((1, 1), (1, 1)), ((0, 0), (0, 0)), ((2, 3), (0, 3))):
            x, y = RNG.normal(size=shape), RNG.normal(size=other)
            for text, got in zip(texts, f(x, y, 5), strict=True):
                np.testing.assert_array_equal(got, both(text)(np, x, y, 5), err_msg=f"{text} {shape}")


@pytest.mark.parametrize("target", TARGETS)
def test_dtypes_and_axes(target: str) -> None:
    outputs, wanted, inputs, values = [], [], [], []
    shapes = {
        "bool": (5,),
        "int8": (2, 3),
        "uint8": (2, 1, 3),
        "int32": (2, 2, 1, 2),
        "uint64": (3,),
        "float32": (1, 2),
    }
    for dtype, shape in shapes.items():
        a = RNG.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
        v = Variable(TensorType(dtype, (None,) * a.ndim))
        inputs.append(v)
        values.append(a)
        outputs += [ng.roll(v, -1, -1), ng.concatenate([v, v], -1), ng.pad(v, 1, "edge")]
        wanted += [np.roll(a, -1, -1), np.concatenate([a, a], -1), np.pad(a, 1, "edge")]
    f = ng.function(inputs, outputs, target=target)
    for got, expected in zip(f(*values), wanted, strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


# New values of s and t, which are read from both.
UPDATES = {
    "roll": ("m.roll(s, 1)", "t"),
    "exchange": ("m.roll(t, 1)", "m.roll(s, -1)"),
    "ring": ("m.roll(t, 2)", "m.concatenate([s[1:], s[:1]])"),
    "sum": ("s + m.roll(s, 1) + m.roll(s, -1)", "t * 2 + m.roll(s, 3)"),
    "own": ("m.where(m.roll(s, 1) > 3, s * 2, s)", "m.roll(t, 1) + s"),
    "twice": ("m.roll(m.roll(s, 1), -1) * 2", "m.roll(t, 7)"),
    "parts": ("m.concatenate([s[:3] * 2, s[3:]])", "m.concatenate([t[3:], s[:3]])"),
    "margin": ("m.pad(s[1:-1], 1)", "m.pad(t[2:], (0, 2), 'edge') - s"),
    "same": ("m.roll(s, 1)", "m.roll(s, 1)"),
    "read before": ("s * 2", "m.roll(s, 1) + t"),
    "a variable shift": ("m.roll(s, m.abs(t[0]))", "m.roll(t, s[0])"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_updates_that_read_elsewhere(target: str) -> None:
    s0, t0 = np.arange(9), 2 * np.arange(9) % 5
    for name, texts in UPDATES.items():
        s, t = ng.shared(s0.copy(), "s"), ng.shared(t0.copy(), "t")
        made = [eval(f"lambda m, s, t: {text}") for text in texts]
        f = ng.function(
            [], [ng.roll(s, 2) + t], updates=[(s, made[0](ng, s, t)), (t, made[1](ng, s, t))], target=target
        )
        a, b = s0, t0
        for _ in range(3):
            np.testing.assert_array_equal(f()[0], np.roll(a, 2) + b, err_msg=name)
            a, b = made[0](np, a, b), made[1](np, a, b)
            np.testing.assert_array_equal(s.get_value(), a, err_msg=name)
            np.testing.assert_array_equal(t.get_value(), b, err_msg=name)


@pytest.mark.parametrize("target", TARGETS)
def test_scatters_into_what_is_read_elsewhere(target: str) -> None:
    x, j = ng.vector("x", "float64"), ng.lvector("j")
    e = ng.exp(x)
    s = ng.shared(np.arange(6.0), "s")
    outputs = [ng.inc_subtensor(e[j], ng.roll(e, 1)[j]), ng.set_subtensor(ng.roll(x, 1)[j], 7.0)]
    rolled = ng.inc_subtensor(s[1:4], ng.roll(s, 2)[:3])
    f = ng.function([x, j], outputs, updates=[(s, rolled)], target=target)
    a, i, b = RNG.normal(size=6), np.array([0, 2, 5]), np.arange(6.0)
    got = f(a, i)
    wanted = np.exp(a)
    wanted[i] += np.roll(np.exp(a), 1)[i]
    np.testing.assert_allclose(got[0], wanted)
    wanted = np.roll(a, 1)
    wanted[i] = 7
    np.testing.assert_array_equal(got[1], wanted)
    b[1:4] += np.roll(b, 2)[:3]
    np.testing.assert_array_equal(s.get_value(), b)


@pytest.mark.parametrize("target", TARGETS)
def test_a_ring_of_states(target: str) -> None:
    """States of a scan that are made of other elements of themselves, and of each other."""
    x = ng.vector("x", "float64")
    (a, b), _ = ng.scan(
        lambda a, b: (ng.roll(a, 1) + ng.concatenate([b[1:], b[:1]]), ng.roll(a, -1)),
        outputs_info=[x, x * 2],
        n_steps=5,
    )
    f = ng.function([x], [a, b[-1]], target=target)
    p = RNG.normal(size=7)
    q = p * 2
    rows = f(p)
    for row in rows[0]:
        p, q = np.roll(p, 1) + np.roll(q, -1), np.roll(p, -1)
        np.testing.assert_allclose(row, p)
    np.testing.assert_allclose(rows[1], q)


def test_gradients_are_maps_back() -> None:
    x, k = ng.matrix("x", "float64"), ng.lscalar("k")
    y = (
        ng.roll(x, k, 1)
        * ng.roll(x, (2, -1), (0, 1))
        * ng.concatenate([x[:, 1:], x[:, :1]], 1)
        * ng.pad(x, 1)[1:-1, 2:]
    )
    f = ng.function([x, k], [ng.sum(y), ng.grad(ng.sum(y), x)])
    a, d = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
    for shift in (1, -6, 0, -(2**63)):
        slope = (f(a + 1e-5 * d, shift)[0] - f(a - 1e-5 * d, shift)[0]) / 2e-5
        np.testing.assert_allclose(np.sum(f(a, shift)[1] * d), slope, 1e-6)
    g = ng.grad(ng.sum(ng.roll(x, 2, 1) * ng.arange(4.0)), x)
    assert str(g).count("roll") == 1 or "roll" in ng.pprint(g)
    np.testing.assert_array_equal(g.eval({x: a})[0], np.roll(np.arange(4.0), -2))


def test_long_loops_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of threads begin and end anywhere beside the cuts."""
    monkeypatch.setattr(ng.config, "threads", 3)
    x, y, k = ng.vector("x", "float64"), ng.vector("y", "float64"), ng.lscalar("k")
    joined = ng.concatenate([x, y, x])
    f = ng.function([x, y, k], [ng.exp(ng.roll(x, k)) + x, ng.exp(joined), ng.sum(ng.exp(joined)), ng.argmax(joined)])
    for n, m in ((40_000, 3), (40_001, 50_000), (1, 90_000)):
        a, b = RNG.normal(size=n), RNG.normal(size=m)
        j = np.concatenate([a, b, a])
        wanted = [np.exp(np.roll(a, 17)) + a, np.exp(j), np.sum(np.exp(j)), np.argmax(j)]
        for got, expected in zip(f(a, b, 17), wanted, strict=True):
            np.testing.assert_allclose(got, expected, 1e-12)


def inner_choices(source: str) -> list[str]:
    """The lines of innermost loops, the most indented ones, in which something is chosen."""
    lines = [line for line in source.split("def plan_0")[1].splitlines() if " = " in line]
    deepest = max(len(line) - len(line.lstrip()) for line in lines)
    return [line for line in lines if len(line) - len(line.lstrip()) == deepest and " if " in line]


def test_what_loops_are_cut_into() -> None:
    b = ng.shared(np.zeros((64, 64), "int8"), "b")
    around = sum(ng.roll(b, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)
    source = ng.function([], updates=[(b, around)]).source
    assert [f"for {v} in range({r}):" in source for v, r in (("j", "1"), ("j1", "1, 63"), ("j2", "63, 64"))] == [
        True
    ] * 3
    # which rows are read is chosen once for each row, and nothing is written but the result
    assert not inner_choices(source) and source.count("int64\n") == 2 and source.count("def phase") == 1
    # parts one below the other: each has its own loop over its rows
    x, y, k = ng.matrix("x"), ng.matrix("y"), ng.lscalar("k")
    assert not inner_choices(ng.function([x, y], ng.exp(ng.concatenate([x, y]))).source)
    # an unknown length: first and last rounds, in which all is chosen, and what is between them
    v = ng.vector("v")
    rolls = ng.function([v], sum(ng.roll(v, s) * s for s in (-2, -1, 1, 2, 3))).source
    assert rolls.count("for i") == 3
    # beyond so many cuts at places that only a call tells, the rest stays a choice
    shifts = [ng.lscalar() for _ in range(6)]
    many = ng.function([v, *shifts], sum(ng.roll(v, s) for s in shifts)).source
    assert 1 < many.count("for i") <= 9 and " if " in many
    # what is dear is not repeated for each part: these are put together first
    parts = [ng.vector(n) for n in "abcdef"]
    assert ng.function(parts, ng.tanh(ng.exp(ng.concatenate(parts)))).source.count("tanh_f") == 2
    assert ng.function([x, k], ng.roll(x, k, 1)).source.count("for j") == 2


def test_an_empty_part_is_another_variant() -> None:
    x, y = ng.vector("x", "float64"), ng.vector("y", "float64")
    f = ng.function([x, y], ng.concatenate([x, y]) * 2)
    for n, m in ((3, 2), (0, 2), (3, 0), (0, 0), (1, 1)):
        np.testing.assert_array_equal(f(np.ones(n), np.ones(m)), np.full(n + m, 2.0))
    assert len(f.executor.variants) == 2 if hasattr(f.executor, "variants") else True


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_parts_whose_lengths_are_found_late(target: str) -> None:
    """Parts of what is stored, cut at a number that is counted, or worked out of floats; one of them may be empty."""
    s, x = ng.shared(np.array([3]), "s"), ng.vector("x")
    mean, sums = ng.mean(s, axis=0, keepdims=True), ng.cumsum(x)
    cuts = [(mean, ng.argmax(s)), (x, ng.argmin(x)), (sums, ng.argmin(x)), (sums, ng.cast(ng.max(x), "int64"))]
    f = ng.function([x], [ng.concatenate([v[k:], v[:k]]) for v, k in cuts], target=target)
    for values, want in (
        ([2.0, 1.0, 3.0], [[3], [1, 3, 2], [3, 6, 2], [2, 3, 6]]),
        ([0.0, 1.0, 1.0], [[3], [0, 1, 1], [0, 1, 2], [1, 2, 0]]),
    ):
        for got, wanted in zip(f(np.array(values)), want, strict=True):
            np.testing.assert_array_equal(got, wanted)

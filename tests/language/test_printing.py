"""Graphs and formulas as text."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import compile as pipeline
from numgraph.program import build_program


def printed(x: Any) -> str:
    out = io.StringIO()
    ng.debugprint(x, file=out)
    return out.getvalue()


def test_debugprint() -> None:
    x = ng.vector("x")
    h = ng.exp(x)
    h.name = "hidden"
    y = h * 2 + h
    two = y.inputs[0].inputs[1]
    assert printed(y) == (
        f"add [0] float64[?]  <- {y.line}\n"
        f"  mul [1] float64[?]  <- {y.inputs[0].line}\n"
        f"    exp [2] float64[?]  'hidden'  <- {h.line}\n"
        f"      x [3] float64[?]  <- {x.line}\n"
        f"    constant 2.0 [4] float64  <- {two.line}\n"
        "  exp [2] printed above\n"
    )


def test_debugprint_of_several_and_of_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    x, n = ng.scalar("x"), ng.shared(0, "n")
    f = ng.function([x], {"double": x * 2}, updates={n: n + 1}, target="reference")
    ng.debugprint(f)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "output double:" and lines[4] == "update of n:" and lines[6].startswith("  shared n [")
    assert printed([x, x]).splitlines()[1] == "x [0] printed above"
    with pytest.raises(ng.InputError):
        ng.debugprint(3)


def test_a_long_chain_is_printed_in_linear_space() -> None:
    z = x = ng.scalar("x")
    for _ in range(20_000):
        z = z + x
    lines = printed(z).splitlines()
    assert len(lines) == 40_001 and max(map(len, lines)) < 200
    assert "(level 20000) x [" in lines[20_000]


x, y, W = ng.vector("x"), ng.vector("y"), ng.matrix("W")


@pytest.mark.parametrize(
    ("variable", "formula"),
    [
        (x, "x"),
        (x + y * 2, "x + y * 2.0"),
        ((x + y) * 2, "(x + y) * 2.0"),
        (x - (y - x), "x - (y - x)"),
        ((x - y) - x, "x - y - x"),
        (x / (y * x), "x / (y * x)"),
        (-(x + y), "-(x + y)"),
        ((-x) ** 2, "(-x) ** 2.0"),
        (-(x**2), "-x ** 2.0"),
        (x**-2, "x ** (-2.0)"),
        (x**y**x, "x ** y ** x"),
        ((x**y) ** x, "(x ** y) ** x"),
        ((x // 2) % 3, "x // 2.0 % 3.0"),
        (ng.exp(-x) * y, "exp(-x) * y"),
        (x < y + 1, "x < y + 1.0"),
        (ng.where(x > 0, x, y), "where(x > 0.0, x, y)"),
        (ng.vector() + 1, "unnamed + 1.0"),
        (x * np.array([1.0, 2.0]), "x * [1., 2.]"),
        (W.T, "W.T"),
        ((W + 1).T @ W, "(W + 1.0).T @ W"),
        (x[:, None] * x[None], "x[:, None] * x[None]"),
        (W.dimshuffle(1, "x", 0), "W.dimshuffle(1, 'x', 0)"),
        (W.shape[1] + 1, "W.shape[1] + 1"),
        (x[ng.arange(x.shape[0]), None], "x[arange(x.shape[0])][:, None]"),
        (W[ng.arange(3), ng.arange(0, 6, 2)], "W[arange(3), 2 * arange(3)]"),
        (ng.zeros((2, 3)), "zeros((2, 3))"),
        (ng.ones(x.shape[0]), "ones(x.shape[0])"),
        (ng.full(3, 2.5), "full(3, 2.5)"),
        (ng.sum(W), "sum(W)"),
        (ng.sum(W, axis=0), "sum(W, axis=0)"),
        (ng.max(W, axis=1, keepdims=True), "max(W, axis=1, keepdims=True)"),
        (x.astype("float32"), "float32(x)"),
        (ng.reshape(x, (2, 3)), "x.reshape(2, 3)"),
        (ng.set_subtensor(x[1:], 0), "set_subtensor(x[1:], 0.0)"),
        (ng.inc_subtensor(x[ng.arange(2)], y), "inc_subtensor(x[arange(2)], y)"),
        (ng.concatenate([W, W], axis=1), "concatenate([W, W], axis=1)"),
    ],
)
def test_pprint(variable: ng.Variable, formula: str) -> None:
    assert ng.pprint(variable) == formula


def test_pprint_cuts_what_is_far_below() -> None:
    z: ng.Variable = x
    for _ in range(100_000 // 50):
        z = z * 2
    text = ng.pprint(z)
    assert text.startswith("... * 2.0 * 2.0") and len(text) < 400
    square: ng.Variable = x + y
    for _ in range(100):
        square = square * square
    assert "..." in ng.pprint(square) and len(ng.pprint(square)) < 2000


def test_pprint_with_names() -> None:
    h = ng.exp(x)
    assert ng.pprint(h * h + y, names={h: "h"}) == "h * h + y"


def source(cost: ng.Variable, W: ng.SharedVariable) -> str:
    slope = ng.grad(cost, W)
    assert slope.name is None
    return pipeline.printed(build_program([], cost, updates=[(W, W - 0.5 * slope)])).module.text


def test_a_gradient_is_called_after_its_variable() -> None:
    W = ng.shared(np.ones(3), "W")
    text = source(ng.sum(W**3), W)
    assert "    update W := W - 0.5 * gW\n" in text and "    where gW = " in text
    assert "W[i] = x0 - 0.5 * gW " in text


def test_a_name_of_the_users_goes_before_that_of_a_gradient() -> None:
    W, own = ng.shared(np.ones(3), "W"), ng.shared(np.ones(3), "gW")
    text = source(ng.sum(W * own * own), W).split('"""')[1]
    assert ":= W - 0.5 * gW\n" not in text and "    where gW = " not in text


def test_the_users_own_variable_is_no_gradient_by_name() -> None:
    x, y = ng.vector("x"), ng.vector("y")
    h = ng.tanh(y)
    slope = ng.grad(ng.sum(x * h), x)
    assert h.hint is None and slope.hint in (None, "gx")


def test_a_function_with_givens_and_gradients() -> None:
    data, w = ng.shared(np.ones((6, 3)), "data"), ng.shared(np.zeros(3), "w")
    x, i = ng.matrix("x"), ng.lscalar("i")
    cost = ng.sum(ng.dot(x, w))
    f = ng.function([i], cost, {w: w - ng.grad(cost, w)}, {x: data[i : i + 2]}, target="reference")
    lines = ng.pprint(f).splitlines()
    assert lines[:3] == ["output 0: sum(x @ w)", "update of w: w - gw", "given x: data[i:i + 2]"]
    assert lines[3].startswith("where gw: x.T @ ") and len(lines) == 4
    out = io.StringIO()
    ng.debugprint(f, file=out)
    assert re.search(r"\ngiven x:\nsubtensor \[\d+\] printed above\n$", out.getvalue())

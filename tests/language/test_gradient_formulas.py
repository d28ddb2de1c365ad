"""Gradients as formulas: what a person would write, and the same numbers as the gradient itself."""

from __future__ import annotations

import ast
import io
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.formula import Formula

RANDOM = np.random.default_rng(3)
x, t = ng.matrix("x"), ng.matrix("t")
v, u = ng.vector("v"), ng.vector("u")
y = ng.vector("y", dtype="int64")
W, b = (ng.shared(RANDOM.normal(size=n), name) for n, name in (((4, 3), "W"), (3, "b")))
VALUES = {
    "x": RANDOM.normal(size=(5, 4)), "t": RANDOM.normal(size=(5, 3)), "v": RANDOM.uniform(0.5, 2.0, 4),
    "u": RANDOM.normal(size=5), "y": np.array([0, 2, 1, 1, 2]),
}  # fmt: skip
labels = ng.log(ng.softmax(x @ W + b))[ng.arange(y.shape[0]), y]

# what the labels say, and zeros elsewhere
AT_LABELS = "inc_subtensor(zeros((x.shape[0], W.shape[1]))[arange(y.shape[0]), y], -1.0 / y.shape[0])"
ZEROS = "zeros((x.shape[0], x.shape[1]))"
# cost, variable, formula of its gradient
FORMULAS = [
    (ng.mean((x @ W + b - t) ** 2), W, "x.T @ (1.0 / (x.shape[0] * W.shape[1]) * (2.0 * (x @ W + b - t)))"),
    (ng.sum(x @ W + b), b, "sum(broadcast_to(1.0[None, None], (x.shape[0], W.shape[1])), axis=0)"),
    (ng.sum(t * (x @ W + b)), b, "sum(t, axis=0)"),
    (ng.mean((x @ v - u) ** 2), v, "x.T @ (1.0 / x.shape[0] * (2.0 * (x @ v - u)))"),
    (
        ng.sum(t * ng.softmax(t)),
        t,
        "softmax(t, axis=1) + softmax(t, axis=1) * (t - sum(t * softmax(t, axis=1), axis=1, keepdims=True))",
    ),
    (ng.sum(v**3), v, "3.0 * v ** 2.0"),
    (ng.sum(ng.tanh(v)), v, "1.0 - tanh(v) * tanh(v)"),
    (ng.sum(ng.where(v > 1, ng.log(v), v)), v, "where(v > 1.0, 0.0, 1.0) + where(v > 1.0, 1.0, 0.0) / v"),
    (
        -ng.mean(labels),
        b,
        f"sum({AT_LABELS} - softmax(x @ W + b, axis=1) * sum({AT_LABELS}, axis=1, keepdims=True), axis=0)",
    ),
    (ng.sum(x[1:] * x[:-1]), x, f"inc_subtensor({ZEROS}[:-1], x[1:]) + inc_subtensor({ZEROS}[1:], x[:-1])"),
]


def value_of(text: str) -> Any:
    """The number that a formula stands for, read as the program that it looks like."""
    functions = {name: getattr(ng, name) for name in ng.__all__ if not name.startswith("_")}
    names = {"x": x, "t": t, "v": v, "u": u, "y": y, "W": W, "b": b}
    # 1.0[None] is no Python
    expression = eval(text.replace("1.0[None, None]", "constant(1.0)"), {**functions, "constant": ng.constant, **names})
    return evaluated(expression)


def evaluated(expression: Any) -> Any:
    given = {n: a for n, a in VALUES.items() if n in str(ng.pprint(expression))}
    inputs = [variable for n, variable in {"x": x, "t": t, "v": v, "u": u, "y": y}.items() if n in given]
    f = ng.function(inputs, expression, target="reference", on_unused_input="ignore")
    return np.asarray(f(*given.values()))


@pytest.mark.parametrize(("cost", "wrt", "wanted"), FORMULAS, ids=[wanted[:30] for *_, wanted in FORMULAS])
def test_a_gradient_is_written_as_a_person_would(cost: Any, wrt: Any, wanted: str) -> None:
    gradient = ng.grad(cost, wrt)
    text = ng.pprint(gradient, largest=1_000)
    assert text == wanted
    np.testing.assert_allclose(np.broadcast_to(value_of(text), evaluated(gradient).shape), evaluated(gradient))


def test_everything_can_still_be_seen() -> None:
    gradient = ng.grad(-ng.mean(labels), W)
    shown = io.StringIO()
    ng.debugprint(gradient, file=shown)
    assert "masked" in shown.getvalue()
    assert "masked" not in ng.pprint(gradient)


def test_named_gradients_stand_in_each_other_by_name() -> None:
    gW = ng.grad(ng.sum((x @ W) ** 2), W)
    again = ng.grad(ng.sum(gW), W)
    assert ng.pprint(gW / ng.sum(gW), names={gW: "gW"}) == "gW / sum(gW)"
    assert ng.pprint(again, names={gW: "gW"}).startswith("x.T @ ")


def test_the_header_of_the_source_names_and_writes_gradients() -> None:
    cost = ng.mean((x @ W + b - t) ** 2)
    gW = ng.grad(cost, W)
    f = ng.function([x, t], cost, updates=[(W, W - 0.1 * gW)])
    assert "    update W := W - 0.1 * gW\n" in f.source
    assert "    where gW = x.T @ (1.0 / (x.shape[0] * W.shape[1]) * (2.0 * (x @ W + b - t)))\n" in f.source


def test_a_long_chain_takes_no_longer_than_what_is_shown_of_it() -> None:
    h = x
    for _ in range(2_000):
        h = ng.tanh(h) * 0.5 + h
    gradient = ng.grad(ng.sum(h), x)
    visited: list[Any] = []
    inside = Formula(gradient, 10, {})
    visited.extend(inside.places)
    assert len(visited) <= 12
    assert ast.parse(ng.pprint(gradient, largest=40).replace("...", "x"))


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_a_formula_takes_no_unknown_length_for_a_known_one(target: str) -> None:
    """s has length 1 when the function is called, and broadcasts to 3 and to 4."""
    s = ng.shared(np.array([-0.5]), "s")
    total = ng.sum(s * np.arange(3.0)) + ng.sum(s * np.arange(4.0))
    slope = ng.grad(ng.sum(ng.abs(s - total) * ng.mean(s, axis=0)), s)
    np.testing.assert_allclose(ng.function([], slope, target=target)(), [8.0])
    assert "sum" in ng.pprint(slope)

"""Passes of the rewriter: as many as there is something to do, and nothing is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import compile as pipeline
from numgraph.graph import apply
from numgraph.ir import topological
from numgraph.op import OPS, Op, same
from numgraph.rewrite.engine import Rewriter
from numgraph.rewrite.rules import SIMPLE


def programs() -> dict[str, tuple[list[Any], Any]]:
    x, W = ng.matrix("x"), ng.matrix("W")
    y = ng.lvector("y")
    loss = ng.mean(ng.categorical_crossentropy(ng.softmax(ng.dot(x, W)), y))
    return {
        "nothing to do": ([x], ng.exp(x) + 1.0),
        "one rule": ([x], ng.log(1.0 + ng.exp(x))),
        "a composition": ([x], ng.softmax(x)),
        "compositions within compositions": ([x], ng.grad(ng.sum(ng.prod(ng.softmax(x), 1)), x)),
        "loss": ([x, W, y], ng.grad(loss, W)),
        "elu": ([x], ng.grad(ng.sum(ng.elu(x) ** 2), x)),
    }


def passes_of(inputs: list[Any], output: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[Any], list[Rewriter]]:
    seen = []
    real = pipeline.simplified
    with monkeypatch.context() as patch:
        patch.setattr(
            pipeline, "simplified", lambda builder, nodes: seen.append((builder, *real(builder, nodes))) or seen[-1][1:]
        )
        _ = ng.function(inputs, output, target="cpu").source
    return seen[0]


@pytest.mark.parametrize("name", programs())
def test_nothing_is_left_to_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another pass of all rules finds nothing, and no composition is left."""
    builder, nodes, passes = passes_of(*programs()[name], monkeypatch)
    assert len(passes) < pipeline.MAX_PASSES
    assert not any(node.op is not None and node.op.expand for node in topological(nodes))
    again = Rewriter(builder, SIMPLE)
    assert again.run(nodes) == nodes
    assert not again.fired


def test_passes_end_when_nothing_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {name: len(passes_of(*program, monkeypatch)[2]) for name, program in programs().items()}
    assert counts["nothing to do"] == 1
    assert counts["a composition"] == 2
    assert counts["compositions within compositions"] > counts["nothing to do"]


def test_rules_are_applied_within_what_was_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    op = Op("tripled_for_test", ("x",), "3 * (x * 1).", same, lambda x: 3 * x, None, no_grad="a test",
            expand=lambda v: ng.mul(v * 1.0, 3.0))  # fmt: skip
    try:
        x = ng.vector("x")
        _, nodes, passes = passes_of([x], apply(op, [x]), monkeypatch)
    finally:
        del OPS[op.name]
    assert [node.name for node in topological(nodes) if node.op is not None] == ["mul"]
    assert [[r.name for r, _, _ in p.fired] for p in passes] == [[], ["x * 1 -> x"], []]


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_what_only_a_length_is_asked_of_is_not_computed(target: str) -> None:
    """Its loops were printed without anything in them."""
    s, x = ng.shared(np.array([[1, -1, 1]], "int8"), "s"), ng.vector("x")
    count = ng.sum(ng.cast(s > 0, "int64"))
    lengths = [
        ng.repeat(ng.arange(count), 2).shape[0],
        ng.dot(ng.exp(x[:count])[:, None], x[None, :]).reshape((-1,)).shape[0],
        ng.sort(x[:count] * 2).reshape((-1, 1)).shape[0],
    ]
    f = ng.function([x], [ng.mod(ng.cast(n, "int64"), 7) for n in lengths], target=target)
    assert [int(v) for v in f(np.arange(4.0))] == [4, 1, 2]
    if target == "cpu":
        code = f.source.split('"""')[2]
        assert "exp(" not in code and "# broadcast_to" not in code

"""The passes of the compiler: what each leaves, and that each is timed and counted."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.compile import GRAPH, MAX_ROUNDS, State
from numgraph.graph import apply
from numgraph.inspector.record import FunctionRecord
from numgraph.ir import topological
from numgraph.op import OPS, Op, same
from numgraph.passes import passed
from numgraph.program import build_program
from numgraph.rewrite.assume import Assumptions
from numgraph.rewrite.engine import Rewriter
from numgraph.rewrite.rules import SIMPLE
from numgraph.traits import CPU

SCHEDULED = ["stabilise", "lower", "rewrite", "fuse updates", "schedule", "verify"]


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


def rewritten(inputs: list[Any], output: Any) -> State:
    """The state of a program after the passes up to the rewriter."""
    return passed(State(build_program(inputs, output), {}, CPU, {}, Assumptions()), GRAPH[:3])


@pytest.mark.parametrize("name", programs())
def test_nothing_is_left_to_do(name: str) -> None:
    """Another round of all rules finds nothing, and no composition is left."""
    state = rewritten(*programs()[name])
    assert len(state.rounds) < MAX_ROUNDS
    assert not any(node.op is not None and node.op.expand for node in topological(state.nodes))
    again = Rewriter(state.builder, SIMPLE)
    assert again.run(state.nodes) == state.nodes
    assert not again.fired


def test_rounds_end_when_nothing_is_new() -> None:
    counts = {name: len(rewritten(*program).rounds) for name, program in programs().items()}
    assert counts["nothing to do"] == 1
    assert counts["a composition"] == 2
    assert counts["compositions within compositions"] > counts["nothing to do"]


def test_rules_are_applied_within_what_was_expanded() -> None:
    op = Op("tripled_for_test", ("x",), "3 * (x * 1).", same, lambda x: 3 * x, None, no_grad="a test",
            expand=lambda v: ng.mul(v * 1.0, 3.0))  # fmt: skip
    try:
        x = ng.vector("x")
        state = rewritten([x], apply(op, [x]))
    finally:
        del OPS[op.name]
    assert [node.name for node in topological(state.nodes) if node.op is not None] == ["mul"]
    fired = [[r.name if r is not None else "expanded" for r, _, _ in p.fired] for p in state.rounds]
    assert fired == [["expanded"], ["x * 1 -> x"], []]


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


def test_nodes_do_not_change() -> None:
    x = ng.matrix("x")
    for node in topological(rewritten([x], ng.exp(x)).nodes):
        for name in ("kind", "inputs", "dtype", "serial"):
            with pytest.raises(FrozenInstanceError):
                setattr(node, name, None)


@pytest.mark.parametrize(
    ("target", "passes"),
    [
        ("cpu", [*SCHEDULED, "make loops", "merge alike", "inline", "print", "products", "compile", "load"]),
        ("cuda-sim", [*SCHEDULED, "make loops", "print", "load"]),
        ("reference", ["stabilise"]),
    ],
)
def test_each_pass_is_in_the_record(target: str, passes: list[str]) -> None:
    x = ng.matrix("x")
    record = ng.function([x], ng.softmax(x), target=target).record
    assert [p.name for p in record.passes] == passes
    assert all(p.runs == 1 and p.seconds > 0 and p.made for p in record.passes)
    assert FunctionRecord.from_json(record.to_json(())).passes == record.passes
    for each in record.passes:
        assert str(each).startswith(each.name) and all(str(n) in str(each) for n in each.made.values())


def test_passes_of_builds_that_were_given_up_count() -> None:
    """The lengths of `s` are assumed to stay, until its update is found to change them."""
    s = ng.shared(np.zeros(3), "s")
    f = ng.function([], ng.sum(s), updates={s: ng.concatenate([s, s])}, target="cpu")
    assert {p.name: p.runs for p in f.record.passes if p.runs > 1}.keys() >= {"lower", "schedule"}


def test_passes_are_printed_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ng.config, "debug", 3)
    x = ng.vector("x")
    f = ng.function([x], ng.exp(x), target="cpu")
    said = capsys.readouterr().err
    assert all(f"{p.name} " in said for p in f.record.passes)
    assert said.index("rewrite ") < said.index("schedule ") < said.index("compile ")

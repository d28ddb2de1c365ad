"""Clock reads in the loop program: nothing else changes, and each phase has one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

import numgraph as ng
from numgraph.compile import LOOPS, TIMED_LOOPS, printed
from numgraph.loops import verify
from numgraph.loops.processor import within
from numgraph.loops.program import Call, Do, Function, Name, Statement, bodies, rebuilt, walk, with_bodies
from numgraph.loops.timed import timed
from tests.profiles import recurrent, training


def many() -> Any:
    """Functions that are merged, and a second stage."""
    x = ng.fmatrix("x")
    chain = x
    for k in range(80):
        chain = ng.tanh(ng.sum(chain * (k + 1.5), axis=1, keepdims=True) + x)
    return ng.function([x], [chain, ng.dot(x, x.T), x[ng.nonzero(x[:, 0])[0]]], name="many")


def is_read(statement: Statement) -> bool:
    """Whether a statement reads the clock."""
    clock = isinstance(statement, Do) and statement.call.function == "call_at"
    return clock and "CLOCK" in str([n for n in walk([statement])])


def without(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Statements without clock reads."""
    return tuple(with_bodies(s, without) for s in body if not is_read(s))


def untimed(function: Function, inside: dict[str, str]) -> Function:
    """A function without clock reads. inside: what is timed by a function of its own."""

    def change(node: Any) -> Any:
        if isinstance(node, Name):
            return replace(node, text=inside.get(node.text, node.text))
        return replace(node, function=inside.get(node.function, node.function)) if isinstance(node, Call) else node

    return replace(function, body=tuple(rebuilt(s, change) for s in without(function.body)))


@pytest.mark.parametrize("make", [lambda: training()[0], recurrent, many], ids=["train", "recurrent", "many"])
def test_nothing_else_changes(make: Any) -> None:
    state = printed(make().program)
    before = state.steps[-1].functions
    after, clocks = timed(state.loops, before)
    verify.verify(after)
    added = {f.name: f for f in after if f.name.startswith("timed_")}
    inside = {
        f.name: next(c.function for c in walk(f.body) if isinstance(c, Call) and c.function in {b.name for b in before})
        for f in added.values()
    }
    kept = [untimed(f, inside) for f in after if f.name not in added]
    assert [f.name for f in kept] == [f.name for f in before]
    for old, new in zip(before, kept, strict=True):
        # the table may be named where it was not
        assert new.body[-len(old.body) :] == old.body and len(new.body) - len(old.body) in (0, 1), old.name
    names = [phase.name for phase in within(state.loops.phases)]
    spans = Counter((span.kind, span.name) for span in clocks.spans)
    assert max(spans.values()) == 1
    assert {name for kind, name in spans if kind == "phase"} == set(names)
    divided = {phase.name for phase in within(state.loops.phases) if phase.nest is not None}
    assert {name for kind, name in spans if kind == "chunk"} == divided
    reads = sum(is_read(s) for f in after for s in statements(f.body))
    assert reads == 2 * len(clocks.spans)


def statements(body: tuple[Statement, ...]) -> list[Statement]:
    return [found for s in body for found in (s, *(t for b in bodies(s).values() for t in statements(b)))]


def test_one_pass_more() -> None:
    assert [p.name for p in TIMED_LOOPS] == [*(p.name for p in LOOPS[:-1]), "read clocks", "print"]

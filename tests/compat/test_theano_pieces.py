"""Theano's pieces of graphs: OpFromGraph with gradients of its own, and variables that are replaced."""

from __future__ import annotations

from typing import Any

import numgraph.compat.theano.tensor as T
import numpy as np
import pytest

import numgraph as ng
import numgraph.compat.theano as theano


def test_overrides_of_pieces() -> None:
    x, y, g = T.dvectors("x", "y", "g")
    by_piece = theano.OpFromGraph([x, y, g], [g * y * 2, g * x * 3])
    of_each = [lambda at, gs: gs[0] * at[1] * 2, "default"]
    with_outputs = theano.OpFromGraph([x, y, g, T.dvector("h")], [g, g + y])
    made = [
        theano.OpFromGraph([x, y], [x * y], grad_overrides=by_piece),
        theano.OpFromGraph([x, y], [x * y], grad_overrides=of_each),
        theano.OpFromGraph([x, y], [x * y], lop_overrides=with_outputs),
    ]
    a, b = T.dvectors("a", "b")
    values = np.array([1.0, 2.0]), np.array([5.0, -1.0])
    wanted = [(2 * values[1], 3 * values[0]), (2 * values[1], values[0]), (values[0] * values[1],) * 2]
    for op, (ga, gb) in zip(made, wanted, strict=True):
        found = theano.function([a, b], T.grad(T.sum(op(a, b)), [a, b]), on_unused_input="ignore")(*values)
        np.testing.assert_array_equal(found[0], ga)
        np.testing.assert_array_equal(found[1], gb if op is not made[2] else gb + values[1])
    with pytest.raises(NotImplementedError, match="takes no overrides"):
        theano.OpFromGraph([x, y], [x * y], rop_overrides=by_piece)


def test_overrides_of_several_outputs() -> None:
    x, y, a, b = T.dvectors("x", "y", "a", "b")

    def rule(at: Any, outs: Any, gs: Any) -> Any:
        return [gs[0] * outs[1], 3 * gs[1] + gs[0]]

    op = theano.OpFromGraph([x, y], [x * y, x - y], pullback=rule)
    first, second = op(a, b)
    found = T.grad(T.sum(5 * first) + T.sum(7 * second), [a, b])
    of_a, of_b, *values = theano.function([a, b], [*found, first, second])([1.0, 2.0], [4.0, -1.0])
    np.testing.assert_array_equal(values, [[4, -2], [-3, 3]])
    np.testing.assert_array_equal(of_a, [-15, 15])
    np.testing.assert_array_equal(of_b, [26, 26])
    # one rule for each input and output, of which one is a piece, too, one as it is, and one nothing
    g, h = T.dvectors("g", "h")
    piece = theano.OpFromGraph([x, y, g, h], [x * g - h])
    for other, expected in (("default", [-2, 3]), (theano.gradient.DisconnectedType()(), [0, 0])):
        mixed = theano.OpFromGraph([x, y], [x * y, x - y], grad_overrides=[piece, other])
        total = sum((k * T.sum(v) for k, v in zip((5, 7), mixed(a, b), strict=True)), T.sum(b) * 0)
        got = theano.function([a, b], T.grad(total, [a, b]))([1.0, 2.0], [4.0, -1.0])
        np.testing.assert_array_equal(got, [[-2, 3], expected])


def test_a_rule_for_what_the_output_does_not_need() -> None:
    x, y = T.dvectors("x", "y")
    op = theano.OpFromGraph(
        [x, y], [y + T.round(y)], connection_pattern=[[True], [False]], on_unused_input="ignore",
        grad_overrides=lambda at, gs: [gs[0] * 2, theano.gradient.disconnected_type()],
    )  # fmt: skip
    np.testing.assert_array_equal(T.grad(op(x, y).sum(), x).eval({x: np.ones(3), y: np.ones(3)}), [2, 2, 2])
    with pytest.raises(ng.DisconnectedError):
        theano.grad(op(x, y).sum(), y)


def test_an_input_that_is_there_twice() -> None:
    x, y = T.dscalars("x", "y")
    with pytest.raises(ng.InputError, match="an input is there twice"):
        theano.OpFromGraph([x, x, y], [x - y])
    op = theano.OpFromGraph([x, x, y], [x - y], on_unused_input="ignore")
    assert op(y, 100.0, x).eval({x: 2.0, y: 5.0}) == 3.0


def test_variables_are_mapped() -> None:
    from numgraph.compat.theano.scan_module.scan_utils import map_variables

    x, a, b, c = T.dvector("x"), *T.dscalars("a", "b", "c")
    inner = a * b
    u = T.exp(inner) + b
    inner.tag.replacement, b.tag.replacement = inner + b, c

    def replacer(v: Any) -> Any:
        return getattr(v.tag, "replacement", v)

    (v,) = map_variables(replacer, [u])
    # what a replacement is made of stays as it is
    assert v.eval({a: 2.0, b: 0.5, c: 7.0}) == np.exp(1.5) + 7.0
    assert map_variables(replacer, [a])[0] is a
    s, _ = theano.scan(lambda e: e * b, sequences=x)
    assert map_variables(replacer, [s])[0].eval({x: [1.0, 2.0], c: 3.0}).tolist() == [3, 6]
    counter = theano.shared(0.0)
    counter.default_update = counter + 1
    a.tag.replacement = a * counter
    with pytest.raises(NotImplementedError, match="has a default update"):
        map_variables(replacer, [u])


def test_what_stands_for_a_gradient_that_is_not_there() -> None:
    x, y = T.dvectors("x", "y")
    for said in ("None", "Disconnected"):
        found = theano.grad(x.sum(), [x, y], disconnected_inputs="ignore", return_disconnected=said)
        assert found[1] is None and found[0].eval({x: [1.0, 2.0]}).tolist() == [1, 1]
    zero = theano.grad(x.sum(), y, disconnected_inputs="ignore", return_disconnected="zero")
    assert zero.eval({y: [1.0]}).tolist() == [0]
    with pytest.raises(ValueError, match="return_disconnected must be"):
        theano.grad(x.sum(), y, return_disconnected="nothing")

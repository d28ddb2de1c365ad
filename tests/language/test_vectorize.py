"""`vectorize`: every op of the table over one more axis, against a loop in Python."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.graph import apply
from numgraph.op import OPS, Op
from numgraph.types import FLOATS

# what takes a loop over the new axis, since no rule says how it is done at once
SLOW = {
    "place", "recurrence", "within", "counters", "one_hot", "fill", "arange", "reshape",
    "broadcast_to", "subtensor", "subtensor_update", "given", "specify_shape", "matched", "fitted_mask", "eye", "tri",
    "pad", "element_number", "gemm", "turn", "meanwhile", "gather", "gather_update", "scan_chunk", "chunk_rows",
    "kept", "unwindows", "with_lengths", "fill_either", "window_blocks", "unwindow_blocks", "roll",
}  # fmt: skip


def samples(op: Op) -> list[tuple[list[Any], dict[str, Any]]]:
    return testing.draw(op, "float64")[:6] if "float64" in op.dtypes else testing.draw(op, op.dtypes[0])[:6]


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if not op.loop])
def test_ops_over_a_new_axis(name: str) -> None:
    op = OPS[name]
    for arrays, attrs in samples(op):
        floats = [a.dtype.name in FLOATS for a in arrays]
        choices = {tuple(floats), tuple(True for _ in arrays), (True, *(False for _ in arrays[1:]))}
        choices |= {tuple(k == j for k in range(len(arrays))) for j in range(len(arrays))} if len(arrays) < 4 else set()
        for has in sorted(c for c in choices if any(c)):
            check(op, [np.asarray(a) for a in arrays], attrs, has)


def check(op: Op, arrays: list[Any], attrs: dict[str, Any], has: tuple[bool, ...]) -> None:
    many = [
        np.stack([a, a * 0.95 if a.dtype.kind == "f" else a, a]) if b else a for a, b in zip(arrays, has, strict=True)
    ]
    singles = testing.variables_for(arrays)
    stacked = [
        ng.tensor(dtype=a.dtype.name, shape=(None, *(n if n == 1 else None for n in a.shape[1:]))) if b else v
        for a, v, b in zip(many, singles, has, strict=True)
    ]
    y = apply(op, singles, **attrs)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pairs = [(v, w) for v, w, b in zip(singles, stacked, has, strict=True) if b]
        batch = ng.vectorize(y, pairs)
    slow = [w for w in said if "there is no rule for" in str(w.message)]
    assert not slow or op.name in SLOW or op.kernel or op.expand, str(slow[0].message)
    got = testing.by_reference(stacked, [batch], many)[0]
    each = [
        testing.by_reference(singles, [y], [m[k] if b else m for m, b in zip(many, has, strict=True)])[0]
        for k in range(3)
    ]
    assert batch.dtype == y.dtype and batch.ndim == y.ndim + 1
    if len({e.shape for e in each}) == 1:
        np.testing.assert_allclose(got, np.stack(each), rtol=1e-10, atol=1e-12, err_msg=f"{op.name} {attrs} {has}")


def test_a_layer_and_its_gradient(target: str) -> None:
    """Gradients per example, without a loop."""
    rng = np.random.default_rng(0)
    x, y = ng.vector("x"), ng.scalar("y", dtype="int64")
    W, b = ng.shared(rng.normal(size=(4, 3)), name="W"), ng.shared(rng.normal(size=3), name="b")
    cost = -ng.log(ng.softmax(ng.dot(x, W) + b))[y]
    gradients = ng.grad(cost, [W, b])
    xs, ys = ng.matrix("xs"), ng.vector("ys", dtype="int64")
    with warnings.catch_warnings():
        # no loop is made
        warnings.simplefilter("error")
        many = ng.vectorize([cost, *gradients], {x: xs, y: ys})
    values = rng.normal(size=(5, 4)), np.array([0, 2, 1, 1, 0])
    got = ng.function([xs, ys], many)(*values)
    one = ng.function([x, y], [cost, *gradients])
    for k in range(5):
        for whole, part in zip(got, one(values[0][k], values[1][k]), strict=True):
            np.testing.assert_allclose(whole[k], part, rtol=1e-10, atol=1e-12)


def test_scans_and_what_has_no_rule_say_so(target: str) -> None:
    x, xs = ng.vector("x"), ng.matrix("xs")
    h, _ = ng.scan(lambda t, h: ng.tanh(t + h), x, ng.constant(0.0))
    with pytest.warns(UserWarning, match="there is no rule for .* over one more axis: done by a loop"):
        y = ng.vectorize(h[-1] + ng.sum(ng.set_subtensor(x[0], 1.0)), [(x, xs)])
    values = np.arange(6.0).reshape(2, 3)
    one = ng.function([x], h[-1] + ng.sum(ng.set_subtensor(x[0], 1.0)))
    np.testing.assert_allclose(ng.function([xs], y)(values), [one(v) for v in values])


def test_twice_and_of_an_intermediate_result(target: str) -> None:
    x, xs, xss = ng.vector("x"), ng.matrix("xs"), ng.tensor3("xss")
    h = x * 2
    y = ng.sum(h * ng.arange(3)) + 1
    twice = ng.vectorize(ng.vectorize(y, {h: xs}), {xs: xss})
    values = np.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_allclose(ng.function([xss], twice)(values), (values * np.arange(3)).sum(axis=2) + 1)


def test_what_depends_on_nothing_has_the_axis_too(target: str) -> None:
    x, z, xs = ng.vector("x"), ng.vector("z"), ng.matrix("xs")
    found = ng.vectorize((x, z), {x: xs})
    assert isinstance(found, tuple) and found[0] is xs
    assert ng.function([xs, z], list(found))([[1.0], [2.0]], [3.0, 4.0])[1].tolist() == [[3, 4], [3, 4]]


def test_errors() -> None:
    x, xs = ng.vector("x"), ng.matrix("xs")
    for wrong, kind, said in [
        (lambda: ng.vectorize(x, {x: ng.vector("v")}), ng.ShapeError, "must have 2 axes.*\n  v: float64"),
        (lambda: ng.vectorize(x, {x: ng.matrix(dtype="float32")}), ng.DtypeError, "dtype float32 for float64"),
        (lambda: ng.vectorize(x, {}), ng.GivensError, "names no variable"),
        (lambda: ng.vectorize(x, {3: xs}), ng.GivensError, "must be a variable, got 3"),
        (lambda: ng.vectorize([3.0], {x: xs}), ng.InputError, "expected variables, got 3.0"),
    ]:
        with pytest.raises(kind, match=said):
            wrong()


def test_a_cost_of_labels_needs_no_loop() -> None:
    """That there are as many labels as rows is checked once for all."""
    p, y = ng.matrix("p"), ng.lvector("y")
    many = ng.tensor3("many")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        costs = ng.vectorize(ng.categorical_crossentropy(p, y), [(p, many)])
    values = np.random.default_rng(0).random((2, 3, 4))
    wanted = [-np.log(v[np.arange(3), [0, 3, 1]]) for v in values]
    np.testing.assert_allclose(costs.eval({many: values, y: np.array([0, 3, 1])}), wanted, rtol=1e-12)

"""Copies of `x[key]` as targets of set_subtensor and inc_subtensor: what was indexed is known however the part was
copied."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.config import config
from numgraph.graph import Variable


@pytest.fixture(autouse=True)
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a part is a part of is known before anything is compiled."""
    monkeypatch.setattr(config, "target", "reference")


X = np.arange(1.0, 13.0).reshape(3, 4)
ROWS, M, M2 = np.array([2, 0, 2]), np.array([True, False, True, False]), X % 3 == 0
KEYS: dict[str, Any] = {
    "number": 1,
    "slice": slice(1, None),
    "slices": (slice(None, None, 2), slice(-3, 3)),
    "array": ROWS,
    "slice and array": (slice(1, None), ROWS),
    "array and slice": (ROWS, slice(None, 2)),
    "arrays": (ROWS, ROWS + 1),
    "two separated": (ROWS, None, ROWS),
    "slice, new axis": (slice(1, 3), None),
    "new axes": (None, slice(None), None),
    "number and array": (1, ROWS),
    "slice, array, new axis": (slice(1, None), ROWS, None),
    "everything": ...,
    "mask": M2,
    "mask of columns": (slice(None), M),
    "slice and mask": (slice(1, None), M),
}
WAYS: dict[str, Callable[[Variable, Variable], tuple[Variable, Variable]]] = {
    "deepcopy": lambda x, part: copy.deepcopy((x, part)),
    **{
        f"pickle {p}": lambda x, part, p=p: pickle.loads(pickle.dumps((x, part), p))
        for p in (2, pickle.HIGHEST_PROTOCOL)
    },
    "clone": lambda x, part: (y := ng.matrix("y"), ng.clone(part, {x: y})),
    "pickle of a copy of a clone": lambda x, part: pickle.loads(
        pickle.dumps(copy.deepcopy((y := ng.matrix("y"), ng.clone(part, {x: y}))))
    ),
    "part of a function": lambda x, part: (
        f := pickle.loads(pickle.dumps(ng.function([x], part))),
        (f.inputs[0].variable, f.outputs[0]),
    )[1],
    "copied under a name": lambda x, part: (setattr(part, "name", "part"), copy.deepcopy((x, part)))[1],
}  # fmt: skip


def written(x: Any, key: Any, value: Any, add: bool) -> Any:
    result = x.copy()
    if add:
        np.add.at(result, key, value)
    else:
        result[key] = value
    return result


@pytest.mark.parametrize("way", WAYS)
def test_copies_are_written_as_the_original(way: str) -> None:
    for name, key in KEYS.items():
        x = ng.matrix("x")
        other, part = WAYS[way](x, x[key])
        got = ng.function([other], [ng.set_subtensor(part, -1.0), ng.inc_subtensor(part, 5.0)])(X)
        np.testing.assert_array_equal(got[0], written(X, key, -1.0, False), f"set {name}")
        np.testing.assert_array_equal(got[1], written(X, key, 5.0, True), f"inc {name}")


def test_where_a_part_stands_for_what_was_indexed() -> None:
    """x[key] with y[1:], or x.T, for x: that is what was indexed, not y."""
    big = np.concatenate([X[:1], X])
    for name, key in KEYS.items():
        x, y = ng.matrix("x"), ng.matrix("y")
        part = ng.clone(x[key], {x: y[1:]})
        got = ng.function([y], [ng.set_subtensor(part, -1.0), ng.set_subtensor(y[1:][key], -1.0)])(big)
        for value in got:
            np.testing.assert_array_equal(value, written(X, key, -1.0, False), name)
        turned = ng.clone(x[key], {x: y.T})
        got = ng.function([y], [ng.inc_subtensor(turned, 2.0), ng.inc_subtensor(y.T[key], 2.0)])(X.T)
        for value in got:
            np.testing.assert_array_equal(value, written(X, key, 2.0, True), name)


def test_givens_in_a_function() -> None:
    for name, key in KEYS.items():
        x, y = ng.matrix("x"), ng.matrix("y")
        f = ng.function([y], x[key] * 1.0, givens={x: y * 2})
        (part,) = f.outputs[0].inputs[:1]
        assert part.steps, name
        # written: the given value with the part replaced
        got = ng.function([y], ng.set_subtensor(part, 0.0))(X)
        np.testing.assert_array_equal(got, written(2 * X, key, 0.0, False), name)


def test_gradients() -> None:
    """Through a written copy, and with a gradient in what is written."""
    for name, key in KEYS.items():
        x = ng.matrix("x")
        x, part = copy.deepcopy((x, x[key]))
        slope = ng.grad(ng.sum(part**2), x)
        whole = ng.grad(ng.sum(ng.set_subtensor(part, 0.0) ** 3), x)
        moved = ng.set_subtensor(part, ng.grad(ng.sum(part**2), part))
        got = ng.function([x], [slope, whole, moved])(X)
        np.testing.assert_array_equal(got[0], written(np.zeros_like(X), key, 2 * X[key], True), name)
        np.testing.assert_array_equal(got[1], written(3 * X**2, key, 0.0, False), name)
        np.testing.assert_array_equal(got[2], written(X, key, 2 * X[key], False), name)


def test_one_value_for_a_mask_stays_a_choice() -> None:
    """Also in copies, and only for a mask itself: positions that a formula makes of a mask are written one by one."""
    x, m = ng.matrix("x"), ng.matrix("m", "bool")
    v, n = ng.vector("v"), ng.vector("n", "bool")
    for part in (x[m], v[n], x[:, n], x[n]):
        for same in (part, copy.deepcopy(part), pickle.loads(pickle.dumps(part)), ng.clone(part, {x: x + 1, v: v + 1})):
            result = ng.set_subtensor(same, 0.0)
            assert result.op is not None
            assert result.op.name == "where"
    rows, columns = ng.nonzero(m)
    other = ng.set_subtensor(x[columns, rows], 0.0)
    assert other.op is not None
    assert other.op.name == "gather_update"
    square = np.arange(9.0).reshape(3, 3)
    got = ng.function([x, m], other)(square, np.triu(np.ones((3, 3), bool), 1))
    np.testing.assert_array_equal(got, np.triu(square))


def test_an_index_of_a_part_leaves_the_part_as_it_is() -> None:
    """x[1] is still a part of x after `part[...]`, which is a part of the part."""
    x = ng.vector("x")
    part = x[1]
    whole = part[...]
    assert whole is not part
    got = ng.function([x], [ng.set_subtensor(part, 9.0), ng.set_subtensor(whole, 9.0)])(np.ones(3))
    assert got[0].tolist() == [1.0, 9.0, 1.0]
    assert got[1] == 9.0


def test_parts_of_what_is_shared() -> None:
    """A function and a part of its shared variable, copied together, still belong together."""
    for again in (copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))):
        s = ng.shared(X.copy(), "s")
        f, part, s = again((ng.function([], ng.sum(s)), s[1:, ROWS], s))
        ng.function([], [], updates=[(s, ng.set_subtensor(part, 0.0))])()
        assert f() == written(X, (slice(1, None), ROWS), 0.0, False).sum()

"""`givens`: what may stand for what, and that everything is substituted at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numgraph as ng

pytestmark = pytest.mark.usefixtures("target")


def batches(rows: int = 10, size: int = 4) -> tuple[Any, Any, Any]:
    """A resident matrix, an index, and the window of that number."""
    X = ng.shared(np.arange(2.0 * rows).reshape(rows, 2), "X")
    i = ng.lscalar("i")
    return X, i, X[i * size : (i + 1) * size]


# -- forms and kinds of keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [dict, list, tuple, iter, lambda pairs: (p for p in pairs)])
def test_forms(form: Any) -> None:
    x, y = ng.scalars("x", "y")
    assert ng.function([y], x * 2, givens=form([(x, y + 1)]))(2.0) == 6


@pytest.mark.parametrize("empty", [None, {}, []])
def test_none(empty: Any) -> None:
    x = ng.scalar("x")
    assert ng.function([x], x * 2, givens=empty, updates=empty)(2.0) == 4


def test_key_is_a_root() -> None:
    X, i, window = batches()
    x = ng.matrix("x")
    f = ng.function([i], ng.sum(x, axis=0), givens={x: window})
    value = X.get_value()
    for k in range(3):
        np.testing.assert_array_equal(f(k), value[4 * k : 4 * k + 4].sum(0))


def test_key_is_shared_and_its_value_a_slice_of_itself() -> None:
    X, i, window = batches()
    f = ng.function([i], X * 2 + ng.sum(X), givens={X: window})
    part = X.get_value()[4:8]
    np.testing.assert_array_equal(f(1), part * 2 + part.sum())


def test_key_is_an_intermediate_result() -> None:
    x, y = ng.scalars("x", "y")
    h = x * 2
    assert ng.function([y], h + 1, givens={h: y * 10})(1.0) == 11
    # what lies above the key is gone, so x is no input any more
    with pytest.raises(ng.UnusedInputError, match="x: float64"):
        ng.function([x, y], h + 1, givens={h: y})
    assert ng.function([x, y], h + x, givens={h: y})(3.0, 10.0) == 13


def test_key_is_an_output() -> None:
    x, y = ng.scalars("x", "y")
    h = x * 2
    assert ng.function([y], [h, h + 1], givens={h: y})(5.0) == [5, 6]
    assert ng.function([y], x, givens={x: y})(5.0) == 5


def test_the_type_of_an_output_key_is_checked_too() -> None:
    x, n = ng.scalar("x"), ng.lscalar("n")
    with pytest.raises(ng.GivensError):
        ng.function([n], x, givens={x: n})


def test_value_is_an_input_used_only_there() -> None:
    X = ng.shared(np.arange(6.0), "X")
    x, i = ng.vector("x"), ng.lscalar("i")
    f = ng.function([i], ng.sum(x), givens={x: X[i * 2 : (i + 1) * 2]})
    assert [f(0), f(2)] == [1, 9]


def test_a_key_that_the_graph_does_not_hold_is_said_in_a_warning() -> None:
    x, y = ng.scalars("x", "y")
    with pytest.warns(
        UserWarning, match="depends on what givens replaces\n  y: float64  made at .*\n  fix: remove"
    ) as said:
        f = ng.function([x], x, givens={y: ng.shared(1.0)})
    assert f(2.0) == 2 and said[0].filename == __file__
    assert ng.function([x], x, givens={y: 1.0}, on_unused_input="ignore")(2.0) == 2
    # what only a default update holds is held
    s = ng.shared(1.0)
    s.default_update = s + y
    g = ng.function([], s, givens={y: 3.0})
    assert (g(), g()) == (1, 4)


def test_parts_without_rows_are_refused_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    data, labels = ng.shared(np.arange(10.0).reshape(5, 2)), ng.shared(np.arange(5))
    x, y, i = ng.matrix("x"), ng.lvector("y"), ng.lscalar("i")
    givens = {x: data[i * 2 : (i + 1) * 2], y: labels[i * 2 : (i + 1) * 2]}
    count = ng.shared(0)
    arguments = ([i], ng.mean(x) + ng.sum(y), {count: count + 1}, givens)
    assert np.isnan(ng.function(*arguments)(3))
    monkeypatch.setattr(ng.config, "on_empty_givens", "raise")
    f = ng.function(*arguments)
    assert [float(f(k)) for k in range(3)] == [2.5, 10.5, 12.5]
    for k in (3, -1):
        with pytest.raises(ng.ShapeError, match="what stands for a variable has 0 rows"):
            f(k)
    assert count.get_value() == 4


# -- values that are no variables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "ndim", "value"),
    [("float32", 0, 0.1), ("float32", 0, 3), ("int32", 1, [1, 2]), ("float64", 2, np.eye(2)), ("bool", 0, True)],
)
def test_raw_values_become_constants_of_the_keys_type(dtype: str, ndim: int, value: Any) -> None:
    x = ng.tensor("x", dtype, (None,) * ndim)
    result = ng.function([], x, givens={x: value})()
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.asarray(value, dtype))


def test_a_raw_value_is_copied() -> None:
    x, value = ng.vector("x"), np.ones(2)
    f = ng.function([], x * 2, givens={x: value})
    value[:] = 5
    np.testing.assert_array_equal(f(), [2, 2])


@pytest.mark.parametrize("value", [np.zeros(2), [0.1], 1.0, np.zeros((1, 2), "float32"), "text", None])
def test_raw_values_of_another_type(value: Any) -> None:
    x = ng.vector("given_x", "float32")
    with pytest.raises(ng.GivensError, match="given_x"):
        ng.function([], x, givens={x: value})


# -- types ----------------------------------------------------------------------------------------------------------


def test_wrong_types_name_both_variables() -> None:
    X = ng.shared(np.arange(12), "all_labels")
    y, i = ng.vector("labels", "int32"), ng.lscalar("i")
    with pytest.raises(ng.GivensError) as caught:
        ng.function([i], ng.sum(y), givens={y: X[i * 4 : (i + 1) * 4]})
    for word in ("labels", "int64", "int32", "test_givens.py"):
        assert word in str(caught.value)
    with pytest.raises(ng.GivensError, match=r"all_labels.*int64"):
        ng.function([], ng.sum(y), givens={y: X})
    f = ng.function([i], ng.sum(y), givens={y: X.astype("int32")[i * 4 : (i + 1) * 4]})
    assert f(1) == 22


def test_ranks() -> None:
    x, m = ng.vector("x"), ng.matrix("m")
    with pytest.raises(ng.GivensError, match="2 axes for 1"):
        ng.function([m], x * 2, givens={x: m})


def test_lengths_of_one_may_be_added_but_not_lost() -> None:
    m, r = ng.matrix("m"), ng.row("r")
    b = ng.matrix("b")
    f = ng.function([r, b], m + b, givens={m: r})
    np.testing.assert_array_equal(f(np.ones((1, 2)), np.zeros((3, 2))), np.ones((3, 2)))
    with pytest.raises(ng.GivensError, match="axis 0 must be known to have length 1"):
        ng.function([m], r * 2, givens={r: m})
    assert ng.function([m], r * 2, givens={r: ng.sum(m, axis=0, keepdims=True)})(np.ones((3, 2))).shape == (1, 2)


def test_known_lengths() -> None:
    x, s = ng.tensor("x", "float64", (None, 3)), ng.shared(np.ones((4, 3)), "s")
    assert ng.function([], ng.sum(x), givens={x: s})() == 12
    y = ng.tensor("y", "float64", (None, 4))
    with pytest.raises(ng.GivensError, match="axis 1 has length 4 for 3"):
        ng.function([y], x, givens={x: y})


def test_types_are_left_to_the_operations_when_not_strict() -> None:
    x, m = ng.ivector("x"), ng.imatrix("m")
    f = ng.function([m], x + 1, givens={x: m}, rebuild_strict=False)
    np.testing.assert_array_equal(f([[1, 2]]), [[2, 3]])


# -- all at once ----------------------------------------------------------------------------------------------------


def test_values_are_not_substituted_again() -> None:
    a, b, c = ng.scalars("abc")
    # whatever the order of the pairs, b inside a's value stays b
    for pairs in ([(a, b + 1), (b, c * 10)], [(b, c * 10), (a, b + 1)]):
        with pytest.raises(ng.MissingInputError, match=r"b: float64.*another given value uses it"):
            ng.function([c], a + b, givens=pairs)
    h = a * 2
    # h stands for b here, although h itself is replaced, too
    assert ng.function([a, c], h + b, givens={b: h, h: c})(1.0, 10.0) == 12


def test_swap() -> None:
    a, b = ng.shared(1.0, "a"), ng.shared(10.0, "b")
    assert ng.function([], a - b, givens={a: b, b: a})() == 9


def test_a_variable_by_a_function_of_itself() -> None:
    x = ng.scalar("x")
    h = x * 2
    assert ng.function([x], h + 1, givens={h: h * 10})(1.0) == 21
    s = ng.shared(3.0, "s")
    assert ng.function([], s * 10, givens={s: s + 1})() == 40


@pytest.mark.parametrize(("which", "expected"), [("c", 14), ("d", 35)])
def test_an_intermediate_by_its_descendant(which: str, expected: int) -> None:
    a = ng.lscalar("a")
    b = 3 * a
    c, d = b - 1, 2 * b
    # c is (3a - 1) - 1 and d is 2 (3a - 1) for b -> c; c is 6a - 1 and d is 12a for b -> d
    assert ng.function([a], c + d, givens={b: c if which == "c" else d})(2) == expected


def test_keys_above_one_another() -> None:
    x, y = ng.scalars("x", "y")
    h = x + 1
    f = ng.function([y], h * 2 + x, givens={x: y, h: y * 100})
    assert f(1.0) == 201


# -- what is refused ------------------------------------------------------------------------------------------------


def test_a_key_that_is_an_input() -> None:
    x = ng.scalar("xin")
    with pytest.raises(ng.GivensError, match="xin"):
        ng.function([x], x * 10, givens={x: x + 1})
    h = x * 2
    with pytest.raises(ng.GivensError, match="is an input"):
        ng.function([h], h + 1, givens={h: ng.constant(1.0)})


def test_a_key_given_twice() -> None:
    x = ng.scalar("x")
    with pytest.raises(ng.GivensError, match="replaced twice"):
        ng.function([], x, givens=[(x, 1.0), (x, 2.0)])


@pytest.mark.parametrize("givens", [{"x": 1.0}, [1, 2], [(1, 2, 3)], 5, "xy"])
def test_no_pairs_of_variables(givens: Any) -> None:
    with pytest.raises(ng.GivensError):
        ng.function([], ng.constant(1.0), givens=givens)


def test_a_variable_is_no_list_of_pairs() -> None:
    x, y = ng.scalars("x", "y")
    with pytest.raises(ng.GivensError):
        ng.function([y], x, givens=[x, y])
    with pytest.raises(ng.GivensError):
        ng.function([y], x, givens=x)


# -- with updates and resident arrays -------------------------------------------------------------------------------


def test_updates_are_rewritten_but_not_their_targets() -> None:
    w, a = ng.shared(1.0, "w"), ng.scalar("a")
    ng.function([a], [], updates=[(w, w + 1)], givens={w: a})(5.0)
    assert w.get_value() == 6
    w.set_value(1.0)
    ng.function([], [], updates=[(w, w + 1)], givens={w: w * 2})()
    assert w.get_value() == 3


def test_updates_of_inputs_and_default_updates_are_rewritten() -> None:
    x, y, total = ng.scalars("x", "y", "total")
    f = ng.function([y, ng.In(total, value=0.0, update=total + x)], [], givens={x: y * 10})
    f(1.0)
    assert f[total] == 10
    s = ng.shared(1.0, "s")
    s.default_update = s + x
    ng.function([y], s * 1, givens={x: y})(5.0)
    assert s.get_value() == 6


def test_resident_data_may_change_its_length() -> None:
    X, i, window = batches()
    x = ng.matrix("x")
    f = ng.function([i], x * 1, givens={x: window})
    assert [f(k).shape[0] for k in range(4)] == [4, 4, 2, 0]
    X.set_value(np.ones((13, 2)))
    assert [f(k).shape[0] for k in range(4)] == [4, 4, 4, 1]
    X.set_value(np.ones((0, 2)))
    assert f(0).shape == (0, 2)


def test_what_does_not_depend_on_a_key_is_not_copied() -> None:
    x, y, z = ng.scalars("xyz")
    kept = ng.exp(z)
    f = ng.function([y, z], [kept, x + kept], givens={x: y})
    assert f.outputs[0] is kept and f.outputs[1].inputs[1] is kept


def test_substitution_in_a_long_chain() -> None:
    x, y = ng.scalars("x", "y")
    z = x
    for _ in range(3000):
        z = z + 1.0
    assert ng.clone(z, {x: y}).op is z.op
    assert ng.function([y], z, givens={x: y}, target="reference")(0.0) == 3000


def test_an_input_that_is_written_counts_as_used() -> None:
    """Also where its value does not matter, since lengths are known from types, or a gradient is a constant."""
    x, v, r, t = ng.scalar("x"), ng.vector("v"), ng.row("r"), ng.tensor("t", shape=(4,))
    same = [x.size, ng.ones_like(x), ng.full_like(x, 1.0), ng.grad(x, x), ng.grad(ng.grad(x**2 * 0.5, x), x)]
    for written in same:
        assert ng.function([x], written)(1.0) == 1
    shifted = ng.full_like(x, x) + ng.zeros_like(ng.zeros_like(x))
    assert ng.function([x], shifted)(3.0) == 3
    assert ng.function([x], ng.grad(x, x), givens={}, target="reference")(1.0) == 1
    for given, written in ((r, r.shape[0]), (t, t.shape[0] // 4), (v, v.reshape((1, 3)).shape[0])):
        assert ng.function([given], written)(np.ones((1,) * (given.ndim - 1) + (4 if given is t else 3,))) == 1
    assert ng.function([t], ng.zeros((t.shape[0],)))(np.ones(4)).shape == (4,)
    assert ng.function([t], ng.identity_like(ng.stack([t, t, t, t])))(np.ones(4)).shape == (4, 4)
    assert ng.function([v], x.size, givens={x: v.sum()})([1.0]) == 1
    # the value of a variable that is not an input stays out of it, and so does an input that occurs nowhere
    assert ng.function([], x.size)() == 1
    with pytest.raises(ng.UnusedInputError):
        ng.function([x, v], x.size)

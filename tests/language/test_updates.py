"""`updates` and default updates: what shared variables become, and that everything sees the values before the call."""

from __future__ import annotations

import gc
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import numgraph as ng

pytestmark = pytest.mark.usefixtures("target")


# -- forms ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [dict, OrderedDict, list, tuple, iter, lambda p: (x for x in p), lambda p: zip(*zip(*p, strict=True), strict=True)],
)
def test_forms(form: Any) -> None:
    a, b = ng.shared(1.0, "a"), ng.shared(2.0, "b")
    ng.function([], updates=form([(a, a + 1), (b, a * 10)]))()
    assert (a.get_value(), b.get_value()) == (2, 10)


def test_numbers_and_arrays() -> None:
    n, v, f = ng.shared(0, "n"), ng.shared(np.zeros(2), "v"), ng.shared(np.float32(0), "f")
    ng.function([], updates=[(n, 3), (v, [1, 2, 3]), (f, 0.1)])()
    assert n.get_value() == 3 and n.get_value().dtype == "int64" and f.get_value() == np.float32(0.1)
    np.testing.assert_array_equal(v.get_value(), [1, 2, 3])


@pytest.mark.parametrize("value", [3, 3.5, np.zeros((1, 2)), "text", None])
def test_values_of_another_type(value: Any) -> None:
    v = ng.shared(np.zeros(2, "int32"), "vector_v")
    with pytest.raises(ng.UpdateError, match="vector_v"):
        ng.function([], updates={v: value})


def test_an_update_to_itself() -> None:
    a = ng.shared(np.arange(3.0), "a")
    f = ng.function([], a * 2, updates=[(a, a)])
    np.testing.assert_array_equal(f(), [0, 2, 4])
    ng.function([], updates=[(a, a * 1)])()
    np.testing.assert_array_equal(a.get_value(), [0, 1, 2])


# -- what is refused ------------------------------------------------------------------------------------------------


def test_only_shared_variables() -> None:
    x, s = ng.scalar("x"), ng.shared(0.0)
    for updates in ([(x, x + 1)], [(s + 1, s)], [(3, s)]):
        with pytest.raises(ng.UpdateError, match="only a shared variable"):
            ng.function([x], x, updates=updates)


@pytest.mark.parametrize("form", ["flat", "variable", "text", "triple", "number"])
def test_no_pairs(form: str) -> None:
    a = ng.shared(0.0, "a")
    updates = {"flat": [a, a + 1], "variable": a, "text": "ab", "triple": [(a, a, a)], "number": 3}[form]
    with pytest.raises(ng.UpdateError):
        ng.function([], updates=updates)


def test_twice() -> None:
    a = ng.shared(0.0, "a")
    with pytest.raises(ng.RepeatedUpdateError, match="a is updated twice"):
        ng.function([], updates=[(a, a + 1), (a, a + 2)])
    assert issubclass(ng.RepeatedUpdateError, ValueError)


@pytest.mark.parametrize(
    ("dtype", "by", "fits"),
    [
        ("float64", "float32", True),
        ("float64", "int32", True),
        ("int64", "int32", True),
        ("int32", "bool", True),
        ("float32", "float64", False),
        ("int32", "int64", False),
        ("float32", "int64", False),
        ("uint8", "int8", False),
        ("bool", "uint8", False),
    ],
)
def test_dtypes(dtype: str, by: str, fits: bool) -> None:
    s, x = ng.shared(np.zeros(2, dtype), "shared_s"), ng.vector("x", by)
    if not fits:
        with pytest.raises(ng.UpdateError) as caught:
            ng.function([x], updates=[(s, x)])
        assert all(word in str(caught.value) for word in ("shared_s", dtype, by))
        return
    ng.function([x], updates=[(s, x)])(np.ones(2, by))
    assert s.get_value().dtype == dtype
    np.testing.assert_array_equal(s.get_value(), [1, 1])


def test_ranks_must_agree_and_lengths_need_not() -> None:
    s, r = ng.shared(np.zeros((3, 2)), "s"), ng.row("r")
    with pytest.raises(ng.UpdateError, match="1 axes for 2"):
        ng.function([], updates=[(s, s[0])])
    ng.function([r], updates=[(s, r)])(np.ones((1, 5)))
    assert s.get_value().shape == (1, 5)
    ng.function([], updates=[(s, ng.concatenate([s, s]))])()
    assert s.get_value().shape == (2, 5)


def test_a_loss_divided_by_a_length_stays_float32() -> None:
    s, x = ng.shared(np.zeros(3, "float32"), "s"), ng.vector("x", "float32")
    ng.function([x], updates=[(s, s - 0.1 * x / x.shape[0])])(np.ones(3, "float32"))
    np.testing.assert_allclose(s.get_value(), np.full(3, -0.1 / 3), rtol=1e-6)


# -- the order of events --------------------------------------------------------------------------------------------


def test_outputs_see_the_old_value() -> None:
    state, inc = ng.shared(2, "state"), ng.lscalar("inc")
    f = ng.function([inc], [state, 10 * state], updates=[(state, state + inc)])
    assert [*f(5), *f(20), state.get_value()] == [2, 20, 7, 70, 27]


def test_a_returned_value_is_not_changed_by_the_next_call() -> None:
    a = ng.shared(np.zeros(3), "a")
    f = ng.function([], a, updates=[(a, a + 1)])
    first = f()
    f()
    np.testing.assert_array_equal(first, [0, 0, 0])


def test_swap() -> None:
    a, b = ng.shared(np.array([1.0, 2.0]), "a"), ng.shared(np.array([3.0, 4.0]), "b")
    f = ng.function([], [a, b, a + b], updates=[(a, b), (b, a)])
    p, q, r = f()
    np.testing.assert_array_equal([p, q, r], [[1, 2], [3, 4], [4, 6]])
    np.testing.assert_array_equal([a.get_value(), b.get_value()], [[3, 4], [1, 2]])
    f()
    np.testing.assert_array_equal([a.get_value(), b.get_value()], [[1, 2], [3, 4]])


def test_rotation_of_three() -> None:
    a, b, c = (ng.shared(np.array([float(k)]), n) for k, n in enumerate("abc"))
    f = ng.function([], [], updates=[(a, b), (b, c), (c, a)])
    f()
    assert [v.get_value()[0] for v in (a, b, c)] == [1, 2, 0]
    f()
    f()
    assert [v.get_value()[0] for v in (a, b, c)] == [0, 1, 2]


def test_two_variables_with_the_same_new_value_share_no_memory() -> None:
    a, b, d = (ng.shared(np.zeros(3), n) for n in "abd")
    d.set_value([1, 2, 3])
    ng.function([], d, updates=[(a, d), (b, d)])()
    arrays = [v.get_value(borrow=True) for v in (a, b, d)]
    for k, p in enumerate(arrays):
        np.testing.assert_array_equal(p, [1, 2, 3])
        assert not any(np.shares_memory(p, q) for q in arrays[:k])


def test_views_as_new_values() -> None:
    a, b = ng.shared(np.arange(6.0), "a"), ng.shared(np.zeros(2), "b")
    f = ng.function([], [a[1:3]], updates=[(a, a[::-1]), (b, a[2:4])])
    (out,) = f()
    np.testing.assert_array_equal(out, [1, 2])
    np.testing.assert_array_equal(a.get_value(), [5, 4, 3, 2, 1, 0])
    np.testing.assert_array_equal(b.get_value(), [2, 3])
    assert not np.shares_memory(a.get_value(borrow=True), b.get_value(borrow=True))


def test_neighbours_are_read_before_they_are_written() -> None:
    a = ng.shared(np.arange(8.0), "a")
    f = ng.function([], [], updates=[(a, ng.concatenate([a[:1], a[1:] + a[:-1]]))])
    f()
    np.testing.assert_array_equal(a.get_value(), [0, 1, 3, 5, 7, 9, 11, 13])
    m = ng.shared(np.arange(9.0).reshape(3, 3), "m")
    ng.function([], [], updates=[(m, m.T - m)])()
    np.testing.assert_array_equal(m.get_value(), np.arange(9).reshape(3, 3).T - np.arange(9.0).reshape(3, 3))
    w = ng.shared(np.arange(9.0).reshape(3, 3), "w")
    ng.function([], [], updates=[(w, w - ng.dot(w, w))])()
    value = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(w.get_value(), value - value @ value)


def test_a_momentum_step() -> None:
    p, v = ng.shared(np.array([1.0, 2.0]), "p"), ng.shared(np.zeros(2), "v")
    new = 0.5 * v + ng.grad(ng.sum(p**2), p)
    f = ng.function([], new, updates=[(v, new), (p, p - 0.1 * new)])
    P, V = np.array([1.0, 2.0]), np.zeros(2)
    for _ in range(3):
        V = 0.5 * V + 2 * P
        P = P - 0.1 * V
        np.testing.assert_allclose(f(), V, rtol=1e-12)
    np.testing.assert_allclose(p.get_value(), P, rtol=1e-12)


def test_a_failed_call_updates_nothing() -> None:
    a, s = ng.shared(np.zeros(2), "a"), ng.shared(np.zeros(3), "s")
    y, i = ng.vector("y"), ng.lvector("i")
    f = ng.function([y, i], [], updates=[(a, a + 1), (s, ng.set_subtensor(s[i], y))])
    f([1.0], [2])
    kept = a.get_value(), s.get_value()
    for y_value, i_value in (([1.0, 2.0], [0, 1, 2]), ([1.0], [3]), ([1.0, 2.0], [0, -4])):
        with pytest.raises((ng.ShapeError, ng.IndexOutOfRange)):
            f(y_value, i_value)
        np.testing.assert_array_equal(a.get_value(), kept[0])
        np.testing.assert_array_equal(s.get_value(), kept[1])
    f([1.0], [-3])
    np.testing.assert_array_equal(s.get_value(), [1, 0, 1])


def test_a_column_shared_with_a_matrix_expression() -> None:
    W, m = ng.shared(np.ones((3, 1)), "W"), ng.shared(np.zeros((1, 3)), "m")
    x, y = ng.matrix("x"), ng.matrix("y")
    g = ng.grad(ng.mean((ng.dot(x, W) - y) ** 2), W)
    ng.function([x, y], [], updates=[(W, W - g), (m, m + ng.mean(x, axis=0, keepdims=True))])(
        np.eye(3), np.zeros((3, 1))
    )
    assert W.get_value().shape == (3, 1) and m.get_value().shape == (1, 3)


def test_values_set_between_calls_are_seen() -> None:
    a = ng.shared(np.zeros(2), "a")
    f = ng.function([], a * 1, updates=[(a, a + 1)])
    f()
    a.set_value([10, 20, 30])
    np.testing.assert_array_equal(f(), [10, 20, 30])
    np.testing.assert_array_equal(a.get_value(), [11, 21, 31])


def test_the_users_array_is_copied_unless_it_is_lent() -> None:
    mine = np.zeros(3)
    a, lent = ng.shared(mine, "a"), ng.shared(mine, "lent", borrow=True)
    f = ng.function([], [], updates=[(a, a + 1)])
    f()
    np.testing.assert_array_equal(mine, [0, 0, 0])
    mine[:] = 7
    np.testing.assert_array_equal(a.get_value(), [1, 1, 1])
    np.testing.assert_array_equal(lent.get_value(), [7, 7, 7])
    a.set_value(mine)
    mine[:] = 8
    np.testing.assert_array_equal(a.get_value(), [7, 7, 7])
    # a copy of another class is still a copy of the same memory
    a.set_value(mine.view(np.recarray))
    mine[:] = 9
    np.testing.assert_array_equal(a.get_value(), [8, 8, 8])


# -- default updates ------------------------------------------------------------------------------------------------


def counter(name: str = "n") -> Any:
    n = ng.shared(0, name)
    n.default_update = n + 1
    return n


def test_a_default_update_happens_when_the_variable_is_reached() -> None:
    n, x = counter(), ng.lscalar("x")
    f, g = ng.function([x], x + n), ng.function([x], x * 2)
    assert [f(10), f(10)] == [10, 11]
    g(1)
    assert n.get_value() == 2
    ng.function([], [], updates={ng.shared(0): n})()
    assert n.get_value() == 3


def test_an_explicit_update_comes_first() -> None:
    n = counter()
    ng.function([], n, updates=[(n, n + 10)])()
    assert n.get_value() == 10


def test_chains_of_default_updates() -> None:
    a, b = ng.shared(0, "a"), counter("b")
    a.default_update = a + b
    f = ng.function([], a)
    assert [f(), f(), f()] == [0, 0, 1]
    assert (a.get_value(), b.get_value()) == (3, 3)
    assert f.get_shared() == [a, b] or f.get_shared() == [b, a]


def test_no_default_updates() -> None:
    a, b = counter("a"), counter("b")
    ng.function([], a + b, no_default_updates=True)()
    assert (a.get_value(), b.get_value()) == (0, 0)
    ng.function([], a + b, no_default_updates=[a])()
    assert (a.get_value(), b.get_value()) == (0, 1)
    ng.function([], a + b, no_default_updates=True, updates={b: b + 5})()
    assert (a.get_value(), b.get_value()) == (0, 6)
    ng.function([], a + b, no_default_updates=[a], updates={a: a + 5})()
    assert (a.get_value(), b.get_value()) == (5, 7)
    for wrong in ((a,), a, "all", [1]):
        with pytest.raises(ng.UpdateError, match="no_default_updates"):
            ng.function([], a, no_default_updates=wrong)


def test_an_input_cuts_the_graph_above_a_default_update() -> None:
    n = counter()
    h = n * 2
    ng.function([h], h + 1)(5)
    assert n.get_value() == 0


def test_givens_remove_and_add_default_updates() -> None:
    a, b, x = counter("a"), counter("b"), ng.lscalar("x")
    ng.function([], a * 1, givens={a: b})()
    assert (a.get_value(), b.get_value()) == (0, 1)
    ng.function([], x * 1, givens={x: a})()
    assert (a.get_value(), b.get_value()) == (1, 1)


def test_the_type_of_a_default_update_is_checked() -> None:
    n = ng.shared(0, "count")
    n.default_update = n + 0.5
    with pytest.raises(ng.UpdateError, match="count"):
        ng.function([], n * 2)


# -- state ----------------------------------------------------------------------------------------------------------


def test_the_update_of_an_input_must_have_its_type() -> None:
    x = ng.scalar("x", "float32")
    with pytest.raises(ng.UpdateError, match="dtype float64 for dtype float32"):
        ng.In(x, value=0.0, update=x.astype("float64"))
    with pytest.raises(ng.UpdateError, match="1 axes for 0"):
        ng.In(x, value=0.0, update=ng.vector("v", "float32"))
    with pytest.raises(ng.UpdateError):
        ng.In(x, value=0.0, update=1.0)  # type: ignore[arg-type]


def test_private_state_beside_shared_state() -> None:
    x, k, s = ng.scalar("x"), ng.scalar("k"), ng.shared(0.0, "s")
    f = ng.function([x, ng.In(k, value=1.0, update=k * 2)], s + k, updates=[(s, s + k * x)], name="f")
    assert [f(1.0), f(1.0), f(1.0)] == [1, 3, 7]
    assert s.get_value() == 7 and f[k] == 8
    assert [t.name for t, _ in f.updates] == ["s"]


# -- memory that several variables borrow ------------------------------------------------------------------------


def lent(*arrays: Any) -> list[ng.SharedVariable]:
    return [ng.shared(a, f"s{k}", borrow=True) for k, a in enumerate(arrays)]


def test_variables_that_are_only_read_may_share_memory() -> None:
    memory = np.arange(6.0)
    a, b = lent(memory[:4], memory[2:])
    c = ng.shared(0.0, "c")
    f = ng.function([], [a.sum(), b.sum()], updates=[(c, c + a.sum() * b.sum())])
    assert [float(v) for v in f()] == [6.0, 14.0] and c.get_value() == 84
    assert np.shares_memory(a.get_value(borrow=True), b.get_value(borrow=True))


@pytest.mark.parametrize(("first", "second", "apart"), [
    (slice(0, 4), slice(3, 6), False), (slice(2, 4), slice(0, 6), False), (slice(0, 6), slice(0, 6), False),
    (slice(0, 3), slice(3, 6), True), (slice(3, 6), slice(0, 3), True), (slice(2, 2), slice(0, 6), True),
])  # fmt: skip
@pytest.mark.parametrize("written", [[0], [1], [0, 1]])
def test_updates_of_borrowed_memory(first: slice, second: slice, apart: bool, written: list[int]) -> None:
    memory = np.arange(6.0)
    both = lent(memory[first], memory[second])
    updates = [(both[k], both[k] + both[1 - k].sum()) for k in written]
    if apart:
        before = [v.get_value() for v in both]
        ng.function([], updates=updates)()
        for k in range(2):
            wanted = before[k] + (before[1 - k].sum() if k in written else 0)
            np.testing.assert_array_equal(both[k].get_value(), wanted)
        return
    with pytest.raises(ng.SharedMemoryError, match=f"a function updates s{written[0]}"):
        ng.function([], updates=updates)


def test_memory_that_is_borrowed_after_the_function_was_made() -> None:
    memory = np.arange(8.0)
    a, b = lent(memory[:3], memory[3:6])
    f = ng.function([], a.sum(), updates=[(b, b + 1)])
    with pytest.raises(ng.SharedMemoryError, match="s0 and s1 share memory"):
        b.set_value(memory[2:5], borrow=True)
    with pytest.raises(ng.SharedMemoryError):
        a.set_value(memory[5:7], borrow=True)
    assert b.get_value(borrow=True) is not memory and a.get_value().tolist() == [0, 1, 2]
    b.set_value(memory[6:], borrow=True)
    assert f() == 3 and b.get_value().tolist() == [7, 8]
    del f
    gc.collect()
    b.set_value(memory[2:5], borrow=True)


def test_a_file_that_is_mapped_twice(tmp_path: Any) -> None:
    path = tmp_path / "data.bin"
    np.arange(6.0).tofile(path)
    one, other = (np.memmap(path, "float64", mode="r+") for _ in range(2))
    a, b, c = lent(one[2:], other[:3], other[:2])
    with pytest.raises(ng.SharedMemoryError):
        ng.function([], a.sum(), updates=[(b, b + 1)])
    ng.function([], a.sum(), updates=[(c, c + 1)])()
    assert c.get_value().tolist() == [1, 2]
    copied = ng.shared(np.memmap(path, "float64", mode="c")[2:], borrow=True)
    ng.function([], copied.sum(), updates=[(b, b + 1)])


def test_the_memory_of_another_variable_is_not_borrowed() -> None:
    online, target = ng.shared(np.zeros(3), "online"), ng.shared(np.ones(3), "target")
    step = ng.function([], updates=[(online, online + 1)])
    target.set_value(online.get_value(borrow=True), borrow=True)
    copy = ng.shared(online.get_value(borrow=True)[:2], "copy", borrow=True)
    step()
    assert target.get_value().tolist() == [0, 0, 0] and copy.get_value().tolist() == [0, 0]
    own = online.get_value(borrow=True)
    online.set_value(own, borrow=True)
    assert online.get_value(borrow=True) is own

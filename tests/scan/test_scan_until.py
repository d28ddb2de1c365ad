"""Scans that end by a condition, scans inside of scans, and loops with less to say: map, reduce, foldl, foldr."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import numgraph as ng
from tests import scans
from tests.scans import check

both = partial(scans.both, targets=("cpu", "cuda-sim"))
rng = np.random.default_rng(6)


def test_the_step_that_makes_the_condition_true_is_the_last() -> None:
    w, n = ng.scalar("w"), ng.lscalar("n")
    s, _ = ng.scan(lambda h: (h * w, ng.until(h * w > 20)), outputs_info=1.0, n_steps=n)
    outputs = [s, s.shape[0], s[-1], ng.grad(s.sum(), w)]
    calls = [(2.0, 100), (1.7, 30), (2.0, 3), (100.0, 5)]
    found = both([w, n], outputs, *calls)
    assert found[0][0].tolist() == [2, 4, 8, 16, 32]
    for (value, most), (whole, count, last, slope) in zip(calls, found, strict=True):
        wanted = [value]
        while wanted[-1] <= 20 and len(wanted) < most:
            wanted.append(wanted[-1] * value)
        assert_allclose(whole, wanted)
        assert count == len(wanted) and last == whole[-1]
        assert_allclose(slope, sum((k + 1) * value**k for k in range(len(wanted))))


def test_no_steps_and_a_condition() -> None:
    x = ng.vector("x")
    s, _ = ng.scan(lambda v, h: (h + v, ng.until(v > 2)), sequences=x, outputs_info=0.0)
    got = both([x], [s, s.shape[0], ng.grad(s.sum(), x)], ([],), ([3.0, 1.0],), ([1.0, 1.0],))
    assert [[v.tolist() for v in call] for call in got] == [[[], 0, []], [[3], 1, [1, 0]], [[1, 2], 2, [2, 1]]]


def test_gradients_of_the_steps_that_were_made() -> None:
    def build(x: Any, w: Any, h0: Any) -> Any:
        # the sequence is longer than the loop: 3 steps of 6
        s, _ = ng.scan(
            lambda v, h: (ng.tanh(h * w) + v, ng.until(v.sum() > 4)), sequences=x, outputs_info=h0, n_steps=6
        )
        return s * s[-1]

    X = np.abs(rng.normal(size=(6, 2))) * 0.3
    X[2:4] += 3
    check(build, X, rng.normal(size=2), rng.normal(size=2))


def test_a_condition_of_numbers_and_of_outputs_without_states() -> None:
    x = ng.lvector("x")
    (a, b), _ = ng.scan(lambda v: (v * 2, ng.stack([v, -v]), ng.until(v % 5)), sequences=x)
    got = both([x], [a, b, b[-1]], ([5, 10, 6, 7],), ([5, 10],))
    assert got[0][0].tolist() == [10, 20, 12] and got[0][1][-1].tolist() == got[0][2].tolist() == [6, -6]
    assert got[1][0].tolist() == [10, 20]


def test_a_condition_with_updates_counts_the_steps() -> None:
    x, c = ng.vector("x"), ng.shared(0, "c")
    s, updates = ng.scan(lambda v: (v, {c: c + 1}, ng.until(v > 2)), sequences=x)
    f = ng.function([x], s, updates=updates)
    assert f([1.0, 2.0, 3.0, 4.0]).tolist() == [1, 2, 3] and c.get_value() == 3
    assert f([1.0]).tolist() == [1] and c.get_value() == 4


def test_a_cut_gradient_with_a_condition() -> None:
    a = ng.scalar("a")
    s, _ = ng.scan(lambda h: (h * a, ng.until(h * a > 10)), outputs_info=1.0, n_steps=9, truncate_gradient=2)
    (got,) = both([a], [ng.grad(s[-1], a)], (2.0,))
    assert got == 2 * 8


def inner(row: Any) -> Any:
    s, _ = ng.scan(lambda v, h: ng.sin(h) * 0.5 + v, sequences=row, outputs_info=0.0)
    return s[-1], s


def test_a_scan_in_a_scan() -> None:
    x = ng.matrix("x")
    (last, whole), _ = ng.scan(inner, sequences=x)
    X = rng.normal(size=(3, 4))
    got = both([x], [last, whole], (X,), (X[:0],), (X[:1],))
    wanted = np.zeros((3, 4))
    for i in range(3):
        h = 0.0
        for j in range(4):
            h = wanted[i, j] = np.sin(h) * 0.5 + X[i, j]
    for n, (a, b) in zip((3, 0, 1), got, strict=True):
        assert_allclose(a, wanted[:n, -1])
        assert_allclose(b, wanted[:n])


def test_gradients_of_a_scan_in_a_scan() -> None:
    def build(x: Any, h0: Any, w: Any) -> Any:
        def step(row: Any, h: Any) -> Any:
            s, _ = ng.scan(lambda v, a: ng.tanh(a * w + v + h.sum()), sequences=row, outputs_info=h[0])
            return h * 0.3 + s

        s, _ = ng.scan(step, sequences=x, outputs_info=h0)
        return s

    check(build, rng.normal(size=(3, 2)), rng.normal(size=2), rng.normal(size=()))


def test_a_scan_in_a_scan_in_a_scan() -> None:
    x = ng.tensor3("x")

    def total(rows: Any) -> Any:
        s, _ = ng.scan(lambda row, h: h + ng.scan(lambda v, g: g * 0.5 + v, row, 0.0)[0][-1], rows, 0.0)
        return s[-1]

    s, _ = ng.scan(total, sequences=x)
    X = rng.normal(size=(2, 3, 4))
    got = both([x], [s, ng.grad((s**2).sum(), x)], (X,))
    weights = 0.5 ** np.arange(3, -1, -1.0)
    assert_allclose(got[0], (X @ weights).sum(axis=1))
    assert_allclose(got[1], 2 * got[0][:, None, None] * np.broadcast_to(weights, X.shape))


def test_inner_loops_of_lengths_that_the_outer_one_decides() -> None:
    n, w = ng.lvector("n"), ng.scalar("w")
    power, _ = ng.scan(lambda k: ng.foldl(lambda _, h: h * w, ng.arange(k), 1.0)[0], sequences=n)
    counts, _ = ng.scan(
        lambda k: ng.scan(lambda h: (h + 1.0, ng.until(h >= k)), outputs_info=0.0, n_steps=9)[0].shape[0], sequences=n
    )
    got = both([n, w], [power, counts], ([0, 1, 3], 2.0))
    assert got[0].tolist() == [1, 2, 8] and got[1].tolist() == [1, 2, 4]


def test_compiled_code_stores_nothing_whose_length_a_step_decides() -> None:
    n = ng.lvector("n")

    def counted(k: Any) -> Any:
        return ng.scan(lambda h: (h + 1.0, ng.until(h >= k)), outputs_info=0.0, n_steps=9)[0]

    total, _ = ng.scan(lambda k: counted(k).sum(), sequences=n)
    assert ng.function([n], total, target="reference")([0, 1, 3]).tolist() == [1, 3, 10]
    with pytest.raises(
        ng.ShapeError, match=r"a length depends on what a step computes(.|\n)*`until` ends a scan within a"
    ):
        ng.function([n], total, target="cpu")
    last, _ = ng.scan(lambda k: counted(k)[-1], sequences=n)
    assert both([n], [last], ([0, 1, 3],))[0].tolist() == [1, 2, 4]


def doubled(v: Any) -> Any:
    """Twice as much, until it is above 10."""
    return ng.scan(lambda h: (h * 2.0, ng.until(h > 10.0)), outputs_info=[v], n_steps=20)[0]


@pytest.mark.filterwarnings("ignore:vectorize. there is no rule:UserWarning")
def test_a_scan_that_ends_for_each_element_of_a_new_axis() -> None:
    """Each element has steps of its own: none has the number of another one."""
    v, x = ng.scalar("v"), ng.vector("x")
    values = [1.0, 2.0, 30.0]
    h = doubled(v)
    got = both([x], ng.vectorize([h[-1], h.shape[0], v + h[-1]], {v: x}), (values,))
    assert [g.tolist() for g in got] == [[32, 32, 60], [5, 4, 1], [33, 34, 90]]
    slope = ng.vectorize(ng.grad(h.sum(), v), {v: x})
    assert ng.function([x], slope, target="reference")(values).tolist() == [62, 30, 2]
    with pytest.raises(ng.ShapeError, match=r"`until` ends a scan within a step.*\n  fix: one scan over all of them"):
        ng.function([x], slope, target="cpu")


def test_the_way_to_do_that_with_gradients() -> None:
    """What `ENDS` of schedule/scans says."""
    x = ng.vector("x")

    def step(h: Any, done: Any) -> Any:
        return [ng.where(done, h, h * 2.0), done | (h > 10.0)], ng.until(ng.all(done | (h > 10.0)))

    (h, _), _ = ng.scan(step, outputs_info=[x, ng.zeros_like(x, dtype="bool")], n_steps=20)
    got = both([x], [h[-1], ng.grad(h[-1].sum(), x)], ([1.0, 2.0, 30.0],))
    assert [g.tolist() for g in got] == [[32, 32, 60], [32, 16, 2]]


def test_updates_of_a_scan_in_a_scan() -> None:
    """As rnnrbm: the inner loop's updates are the outer step's."""
    c, x = ng.shared(np.int64(0), "c"), ng.matrix("x")

    def step(row: Any) -> Any:
        s, updates = ng.scan(lambda v: (v * 2, {c: c + 1}), sequences=row)
        return s.sum(), updates

    s, updates = ng.scan(step, sequences=x)
    f = ng.function([x], s, updates=updates)
    assert f(np.ones((3, 4))).tolist() == [8, 8, 8] and c.get_value() == 12


def test_map() -> None:
    x, y = ng.matrix("x"), ng.vector("y")
    squares, updates = ng.map(lambda a: a**2, x)
    pairs, _ = ng.map(lambda a, b, w: (a * b, a.sum() + w), [x, y], non_sequences=3.0)
    back, _ = ng.map(lambda a: a, y, go_backwards=True)
    X, Y = rng.normal(size=(4, 2)), rng.normal(size=4)
    calls = [(X, Y), (X[:0], Y[:0])]
    for (a, b), got in zip(calls, both([x, y], [squares, *pairs, back], *calls), strict=True):
        for one, wanted in zip(got, (a**2, a * b[:, None], a.sum(axis=1) + 3, b[::-1]), strict=True):
            assert_allclose(one, wanted)
    assert not updates


def test_folds() -> None:
    x, y = ng.vector("x"), ng.vector("y")
    left, _ = ng.foldl(lambda v, so_far: so_far * 2 + v, x, 0.0)
    right, _ = ng.foldr(lambda v, so_far: so_far * 2 + v, x, 0.0)
    back, _ = ng.reduce(lambda v, so_far: so_far * 2 + v, x, 0.0, go_backwards=True)
    (total, top), _ = ng.reduce(lambda a, b, s, m, w: (s + a * b * w, ng.maximum(m, a)), [x, y], [0.0, -9.0], 2.0)
    slopes = ng.grad(left + total, [x, y])
    got = both([x, y], [left, right, back, total, top, *slopes], ([1.0, 2.0, 3.0], [1.0, 0.0, 1.0]), ([], []))
    assert [v.tolist() for v in got[0]] == [11, 17, 17, 8, 3, [6, 2, 3], [2, 4, 6]]
    # of nothing, what they begin with is left
    assert [v.tolist() for v in got[1]] == [0, 0, 0, 0, -9, [], []]


def test_a_fold_with_an_output_that_is_no_state(target: str) -> None:
    x = ng.vector("x")
    (last, total), _ = ng.reduce(lambda v, s: (v * 10, s + v), x, [None, 0.0])
    f = ng.function([x], [last, total])
    assert [v.tolist() for v in f([1.0, 2.0])] == [20, 3]
    with pytest.raises(IndexError, match="scan: no last step, since there are 0 steps"):
        f([])


def test_a_fold_keeps_the_name_that_it_is_given() -> None:
    assert ng.foldl(lambda v, s: s + v, ng.vector("x"), 0.0, name="total")[0].attrs["loop"].name == "total"


def test_values_of_a_condition_that_nan_never_meets() -> None:
    x = ng.vector("x")
    s, _ = ng.scan(lambda v, h: (h + v, ng.until(h + v > 1)), sequences=x, outputs_info=0.0)
    (got,) = both([x], [s], ([0.5, np.nan, 7.0],))
    assert_array_equal(got, [0.5, np.nan, np.nan])


def test_a_condition_that_is_an_output_too() -> None:
    x = ng.lvector("x")
    (flags, h), _ = ng.scan(
        lambda v, h: (v > 0, ~h, ng.until(v > 0)), sequences=x, outputs_info=[None, ng.constant(np.array([True]))]
    )
    got = both([x], [flags, h], ([0, 0, 0, 6, 0],), ([1, 0],))
    assert got[0][0].tolist() == [False, False, False, True] and got[0][1].ravel().tolist() == [False, True] * 2
    assert got[1][0].tolist() == [True]


def test_loops_that_end_when_the_condition_fails() -> None:
    a, x = ng.lscalar("a"), ng.vector("x")
    power = ng.while_loop(lambda k: k < 100, lambda k: k * 3, a)
    divided, rest = ng.while_loop(lambda p: p[1] > 0, lambda p: (p[1], p[0] % p[1]), (ng.constant(np.int64(36)), a))
    root, _ = ng.while_loop(
        lambda s: ng.max(ng.abs(s[0] - s[1])) > 1e-12, lambda s: [(s[0] + x / s[0]) / 2, s[0]], [x, x + 1]
    )
    got = both([a, x], [power, divided, rest, root], (2, [4.0, 2.0, 1e6]), (100, [1.0]), (48, [9.0]))
    assert [[v.tolist() for v in call[:3]] for call in got] == [[162, 2, 0], [100, 4, 0], [144, 12, 0]]
    assert_allclose(got[0][3], np.sqrt([4.0, 2.0, 1e6]))
    assert got[1][3].tolist() == [1] and got[2][3].tolist() == [3]


def test_loops_of_unknown_length_in_a_scan() -> None:
    """How many steps a number takes to 1, and the largest on its way."""
    n = ng.lvector("n")

    def step(state: Any) -> Any:
        value, count, most = state
        value = ng.where(ng.eq(value % 2, 0), value // 2, 3 * value + 1)
        return value, count + 1, ng.maximum(most, value)

    def collatz(k: Any) -> Any:
        _, steps, most = ng.while_loop(lambda s: s[0] > 1, step, (k, ng.constant(np.int64(0)), k))
        return steps, most

    (steps, most), _ = ng.scan(collatz, sequences=n)
    total = ng.shared(np.int64(0), "total")
    got = both([n], [steps], ([1, 6, 7, 27],), ([],), updates=[(total, total + steps.sum())], shared=[total])
    assert got[0][0].tolist() == [0, 8, 16, 111] and [call[1] for call in got] == [135, 135]
    assert both([n], [most], ([1, 6, 7, 27],))[0].tolist() == [1, 16, 52, 9232]
    scans.both([n], [steps, most], ([1, 6, 7, 27],), ([],))
    with pytest.raises(ng.ShapeError, match=r"a length depends on what a step computes(.|\n)*while_loop"):
        # the host would have to look whether there is a first step
        ng.function([n], [steps, most], target="cuda-sim")


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_an_index_that_is_refused_ends_a_loop(target: str) -> None:
    """Where nothing else would, for a very long time; and nothing is changed."""
    v, table = ng.vector("v"), ng.shared(np.zeros(3), "table")
    s, _ = ng.scan(lambda k: (k + 1, ng.until(v[k] < 0)), outputs_info=ng.constant(np.int64(0)), n_steps=10**6)
    f = ng.function([v], s[-1], updates=[(table, ng.inc_subtensor(table[1:], 1.0))], target=target)
    assert f([1.0, 2.0, -1.0, 5.0]) == 3 and table.get_value().tolist() == [0, 1, 1]
    # what a step on a device has read is gone
    which = "an index" if target == "cuda-sim" else "index 2"
    with pytest.raises(IndexError, match=f"{which} is out of range(.|\n)*v: float64(.|\n)*test_scan_until.py"):
        f([1.0, 2.0])
    assert table.get_value().tolist() == [0, 1, 1]
    assert f([-1.0]) == 1 and table.get_value().tolist() == [0, 2, 2]

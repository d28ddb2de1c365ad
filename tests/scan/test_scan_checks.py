"""Indices that are the same in all steps are looked at once, before the loop."""

from __future__ import annotations

import numpy as np
import pytest

import numgraph as ng


def in_steps(source: str) -> int:
    """How many functions of a step may fail."""
    parts = [part for part in source.split("\ndef ") if "_part_" in part.split("(")[0]]
    return sum("return fail(" in part for part in parts)


def test_an_index_that_no_step_changes_is_looked_at_before_the_loop() -> None:
    place, x = ng.lvector("place"), ng.vector("x")
    h, _ = ng.scan(lambda h: ng.tanh(h[place]) + h, outputs_info=x, n_steps=5)
    f = ng.function([place, x], h[-1], target="cpu")
    assert "return fail(" in f.source and in_steps(f.source) == 0
    value = np.array([1.0, 2.0, 3.0])
    wanted = value
    for _ in range(5):
        wanted = np.tanh(wanted[[2, -3, 1]]) + wanted
    np.testing.assert_allclose(f([2, -3, 1], value), wanted, rtol=1e-14)
    with pytest.raises(ng.IndexOutOfRange, match="3"):
        f([0, 3, 1], value)


def test_the_gradient_looks_once_too() -> None:
    place, x = ng.lvector("place"), ng.vector("x")
    h, _ = ng.scan(lambda h: ng.tanh(h[place]) + h, outputs_info=x, n_steps=5)
    g = ng.function([place, x], ng.grad((h[-1] ** 2).sum(), x), target="cpu")
    assert in_steps(g.source) == 0
    value = np.array([0.1, 0.2, 0.3])
    wanted = ng.function([place, x], ng.grad((h[-1] ** 2).sum(), x), target="reference")([2, 2, 0], value)
    np.testing.assert_allclose(g([2, 2, 0], value), wanted, rtol=1e-13)
    with pytest.raises(ng.IndexOutOfRange):
        g([2, 3, 0], value)


def test_an_index_that_steps_change_is_looked_at_in_each() -> None:
    places, x = ng.lmatrix("places"), ng.vector("x")
    h, _ = ng.scan(lambda place, h: h[place] + 1.0, sequences=places, outputs_info=x)
    f = ng.function([places, x], h, target="cpu")
    assert in_steps(f.source) == 1
    np.testing.assert_array_equal(f([[1, 0], [1, 1]], [5.0, 7.0]), [[8.0, 6.0], [7.0, 7.0]])
    with pytest.raises(ng.IndexOutOfRange, match="2"):
        f([[1, 0], [1, 2]], [5.0, 7.0])


def test_a_loop_in_a_loop_looks_where_the_index_changes() -> None:
    """An index that changes with the outer loop is looked at before the inner one."""
    places, x = ng.lmatrix("places"), ng.vector("x")

    def outer(place: ng.Variable, h: ng.Variable) -> ng.Variable:
        inner, _ = ng.scan(lambda s: s[place] * 0.5 + s, outputs_info=h, n_steps=3)
        return inner[-1]

    h, _ = ng.scan(outer, sequences=places, outputs_info=x)
    f = ng.function([places, x], h[-1], target="cpu")
    value = np.array([1.0, 2.0])
    rows = [[1, 0], [1, 1], [-1, -2]]
    wanted = value
    for row in rows:
        for _ in range(3):
            wanted = wanted[row] * 0.5 + wanted
    np.testing.assert_allclose(f(rows, value), wanted, rtol=1e-14)
    with pytest.raises(ng.IndexOutOfRange):
        f([[1, 0], [1, 2]], value)


def test_in_a_branch_that_is_not_taken_nothing_is_looked_at() -> None:
    place, x, yes = ng.lvector("place"), ng.vector("x"), ng.scalar("yes")

    def loop() -> ng.Variable:
        return ng.scan(lambda h: ng.tanh(h[place]) + h, outputs_info=x, n_steps=4)[0][-1]

    f = ng.function([place, x, yes], ng.ifelse(yes > 0, loop(), x), target="cpu")
    np.testing.assert_array_equal(f([0, 9], [1.0, 2.0], -1.0), [1.0, 2.0])
    with pytest.raises(ng.IndexOutOfRange, match="9"):
        f([0, 9], [1.0, 2.0], 1.0)


def test_a_sparse_matrix_is_looked_at_once() -> None:
    data, columns, begins, x = ng.vector("data"), ng.ivector("columns"), ng.ivector("begins"), ng.vector("x")
    S = ng.sparse.csr(data, columns, begins, (2, 2))
    h, _ = ng.scan(lambda h: S @ h, outputs_info=x, n_steps=6)
    f = ng.function([data, columns, begins, x], h[-1], target="cpu")
    assert in_steps(f.source) == 0
    matrix = np.array([[2.0, 1.0], [0.0, 3.0]])
    arrays = np.array([2.0, 1.0, 3.0]), np.array([0, 1, 1], "int32"), np.array([0, 2, 3], "int32")
    np.testing.assert_allclose(f(*arrays, [1.0, -1.0]), np.linalg.matrix_power(matrix, 6) @ [1.0, -1.0])
    with pytest.raises(ng.IndexOutOfRange):
        f(arrays[0], np.array([0, 2, 1], "int32"), arrays[2], [1.0, -1.0])


def test_of_two_indices_one_may_change() -> None:
    """That which no step changes is looked at before the loop, and does not wait for the other one."""
    rows, places, x = ng.lmatrix("rows"), ng.lvector("places"), ng.matrix("x")
    h, _ = ng.scan(lambda row: x[row, places], sequences=rows)
    f = ng.function([rows, places, x], h, target="cpu")
    value = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(f([[1, 0], [0, 0]], [2, 1], value), [[5, 1], [2, 1]])
    for bad in ([[1, 2], [0, 0]], [2, 1]), ([[1, 0], [0, 0]], [3, 1]):
        with pytest.raises(ng.IndexOutOfRange):
            f(*bad, value)

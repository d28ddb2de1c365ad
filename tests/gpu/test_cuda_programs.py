"""Whole programs on the simulated device: values, updates, errors, residency; the kernels are those of a real one."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import IndexOutOfRange, OptionError, ShapeError

SIM = "cuda-sim"
rng = np.random.default_rng(3)


def run(outputs: Any, **values: Any) -> list[Any]:
    """The values of outputs on the simulated device, given those of their inputs by name."""
    from numgraph.graph import toposort

    inputs = [v for v in toposort(list(outputs)) if v.op is None and v.name in values]
    return list(ng.function(inputs, list(outputs), target=SIM)(*(values[v.name] for v in inputs if v.name)))


def agree(outputs: Any, expected: Any, **values: Any) -> None:
    """Compare with NumPy in float64."""
    for got, want in zip(run(outputs, **values), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-5)
        assert got.shape == np.shape(want)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (9, 1), (1, 40), (0, 5), (5, 0)])
def test_elementwise_and_sums_of_all_axes(shape: tuple[int, int]) -> None:
    x = ng.matrix("x", "float32")
    v = rng.standard_normal(shape).astype("float32")
    w = v.astype("float64")
    outputs = [ng.exp(x) * 2 - x, ng.sum(x), ng.sum(x, axis=0), ng.sum(x, axis=1), ng.prod(x, axis=1)]
    agree(outputs, [np.exp(w) * 2 - w, w.sum(), w.sum(0), w.sum(1), w.prod(1)], x=v)


def test_sums_of_inner_axes_and_of_all() -> None:
    x = ng.tensor3("x", "float32")
    v = rng.standard_normal((4, 5, 6)).astype("float32")
    w = v.astype("float64")
    axes: list[Any] = [0, 1, 2, (0, 1), (0, 2), (1, 2), None]
    agree([ng.sum(x, axis=a) for a in axes], [w.sum(a) for a in axes], x=v)


@pytest.mark.parametrize("columns", [3, 40])
def test_softmax_of_short_and_of_long_rows(columns: int) -> None:
    x = ng.shared(rng.standard_normal((7, columns)).astype("float32"), "x")
    p = ng.function([], ng.softmax(x), target=SIM)()
    w = np.exp(x.get_value().astype("float64"))
    np.testing.assert_allclose(p, w / w.sum(1, keepdims=True), rtol=1e-5)


def test_extremes_and_where_they_are() -> None:
    x = ng.matrix("x", "float32")
    v = rng.standard_normal((6, 21)).astype("float32")
    v[2, 5] = v[2, 9] = 9
    v[3, 4] = np.nan
    v[4] = -np.inf
    outputs = [ng.max(x, axis=1), ng.argmax(x, axis=1), ng.argmin(x, axis=0), ng.argmax(x), ng.min(x)]
    for got, want in zip(run(outputs, x=v), [v.max(1), v.argmax(1), v.argmin(0), v.argmax(), v.min()], strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool", "float64"])
def test_dtypes(dtype: str) -> None:
    x = ng.matrix("x", dtype)
    v = (rng.standard_normal((5, 9)) * 3).astype(dtype)
    outputs = [ng.sum(x, axis=0), ng.any(x, axis=1), ng.all(x), ng.eq(x, x[::-1]), ng.prod(x, axis=1), x.T]
    want = [v.sum(0), v.any(1), v.all(), v == v[::-1], v.prod(1), v.T]
    for got, expected in zip(run(outputs, x=v), want, strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=1e-12)


PRODUCTS = {"few columns": (9, 21, 3), "large": (19, 23, 35), "nothing summed": (4, 0, 3), "no rows": (0, 5, 4),
            "one": (1, 1, 1), "wide and nothing summed": (5, 0, 40)}  # fmt: skip


@pytest.mark.parametrize("sizes", PRODUCTS.values(), ids=PRODUCTS)
def test_products(sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    a, b = (rng.standard_normal(s).astype("float32") for s in ((m, k), (k, n)))
    x, y = ng.shared(a, "x"), ng.shared(b, "y")
    outputs = [ng.dot(x, y), ng.dot(y.T, x.T), ng.dot(x.T, ng.dot(x, y))]
    wide = [v.astype("float64") for v in (a, b)]
    want = [wide[0] @ wide[1], wide[1].T @ wide[0].T, wide[0].T @ (wide[0] @ wide[1])]
    for got, expected in zip(ng.function([], outputs, target=SIM)(), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_stacks_of_products() -> None:
    x, y = ng.tensor3("x", "float64"), ng.tensor3("y", "float64")
    a, b = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 5, 2))
    agree([ng.matmul(x, y)], [a @ b], x=a, y=b)


def test_scatter_gather_sort_and_running_sums() -> None:
    x, i = ng.vector("x", "float32"), ng.vector("i", "int64")
    v = rng.standard_normal(23).astype("float32")
    at = rng.integers(-23, 23, 30)
    added, last = v.copy(), v.copy()
    np.add.at(added, at, 1.0)
    for k, where in enumerate(at):
        last[where] = k
    outputs = [x[i], ng.inc_subtensor(x[i], 1.0), ng.set_subtensor(x[i], ng.cast(ng.arange(i.shape[0]), "float32")),
               ng.sort(x), ng.argsort(x), ng.cumsum(x), x[::-2]]  # fmt: skip
    want = [v[at], added, last, np.sort(v), np.argsort(v), np.cumsum(v), v[::-2]]
    agree(outputs, want, x=v, i=at)


def test_lengths_that_are_results() -> None:
    x = ng.vector("x", "float32")
    v = rng.standard_normal(19).astype("float32")
    (where,) = ng.nonzero(x > 0)
    agree([x[where] * 2, ng.sum(x[where])], [v[v > 0] * 2, v[v > 0].sum()], x=v)


def test_indices_and_bounds_that_are_read_from_arrays() -> None:
    x, order = ng.shared(np.arange(81.0).reshape(9, 9), "x"), ng.shared(np.array([2, 5, 40]), "order")
    k = ng.lscalar("k")
    f = ng.function([k], [ng.sum(x[order[k]]), x[order[k] : order[k + 1]]], target=SIM)
    for i in (0, 0, 0):
        total, window = f(i)
        assert float(total) == x.get_value()[2].sum()
        np.testing.assert_array_equal(window, x.get_value()[2:5])
    g = ng.function([k], ng.sum(x[order[k]]), target=SIM)
    with pytest.raises(IndexOutOfRange, match="index 40 is out of range for an axis of length 9"):
        g(2)


def test_special_values_and_scalar_functions() -> None:
    """Functions that kernels have versions of their own for."""
    x = ng.vector("x", "float32")
    v = np.array([0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 7.9, -7.9, 1e9, -1e20, np.inf, -np.inf, np.nan], "float32")
    with np.errstate(all="ignore"):
        cases = [
            (ng.floor(x), np.floor(v)), (ng.ceil(x), np.ceil(v)), (ng.trunc(x), np.trunc(v)), (ng.round(x), np.rint(v)),
            (x % np.float32(3), v % np.float32(3)), (x // np.float32(3), v // np.float32(3)), (abs(x), abs(v)),
            (ng.sigmoid(x), 1 / (1 + np.exp(-v.astype("float64")))), (ng.maximum(x, 1), np.maximum(v, np.float32(1))),
        ]  # fmt: skip
    for got, (_, want) in zip(run([c for c, _ in cases], x=v), cases, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
        zeros = np.asarray(want) == 0
        np.testing.assert_array_equal(np.signbit(np.asarray(got)[zeros]), np.signbit(np.asarray(want)[zeros]))


# -- updates ----------------------------------------------------------------------------------------------------------


def test_updates_see_old_values_and_change_places() -> None:
    a, b, n = ng.shared(np.arange(3.0), "a"), ng.shared(np.arange(3.0) + 10, "b"), ng.shared(0, "n")
    swap = ng.function([], [a + b, n], updates=[(a, b), (b, a), (n, n + 1)], target=SIM)
    for k in range(3):
        total, count = swap()
        np.testing.assert_array_equal(total, np.arange(3.0) * 2 + 10)
        assert count == k
    np.testing.assert_array_equal(a.get_value(), np.arange(3.0) + 10)
    grow = ng.function([], updates=[(a, ng.concatenate([a, b]))], target=SIM)
    grow()
    grow()
    assert a.get_value().shape == (9,)
    shift = ng.function([], a.sum(), updates=[(a, a[::-1])], target=SIM)
    before = a.get_value()
    assert shift() == before.sum()
    np.testing.assert_array_equal(a.get_value(), before[::-1])


def test_a_failed_call_changes_nothing() -> None:
    w, i = ng.shared(np.zeros(5), "w"), ng.vector("i", "int64")
    f = ng.function([i], updates=[(w, ng.inc_subtensor(w[i], 1.0))], target=SIM)
    with pytest.raises(IndexOutOfRange, match=r"index 5 is out of range for an axis of length 5"):
        f([0, 5, 7])
    np.testing.assert_array_equal(w.get_value(), np.zeros(5))
    f([0, -5, 4])
    np.testing.assert_array_equal(w.get_value(), [2, 0, 0, 0, 1])
    x, y = ng.vector("x"), ng.vector("y")
    g = ng.function([x, y], x + y, updates=[(w, w + 1)], target=SIM)
    with pytest.raises(ShapeError):
        g([1.0, 2.0], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(w.get_value(), [2, 0, 0, 0, 1])
    np.testing.assert_array_equal(g([1.0], [1.0, 2.0, 3.0]), [2, 3, 4])


# -- where values are -------------------------------------------------------------------------------------------------


def test_both_processors_use_one_variable() -> None:
    w = ng.shared(np.arange(4.0), "w")
    here, there = (ng.function([], w.sum(), updates=[(w, w + 1)], target=t) for t in ("cpu", SIM))
    assert [float(f()) for f in (here, there, there, here, here, there)] == [6, 10, 14, 18, 22, 26]
    w.set_value(np.ones(7))
    assert [float(f()) for f in (here, there, here)] == [7, 14, 21]
    assert w.get_value().tolist() == [4.0] * 7
    again = copy.deepcopy(w)
    there()
    assert again.get_value().tolist() == [4.0] * 7
    assert pickle.loads(pickle.dumps(w)).get_value().tolist() == [5.0] * 7


def test_results_are_lazy_and_behave_as_arrays() -> None:
    x = ng.matrix("x")
    f = ng.function([x], [x * 2, ng.sum(x)], target=SIM)
    doubled, total = f(np.ones((2, 3)))
    f(np.zeros((2, 3)))
    assert float(total) == 6
    assert f"{total:.1f}" == "6.0"
    assert (doubled + 1).tolist() == [[3.0] * 3] * 2
    assert np.add(doubled, doubled).sum() == 24
    assert doubled.mean() == 2
    assert doubled[1].tolist() == [2.0] * 3
    assert (doubled == 2).all()
    assert np.concatenate([doubled, doubled]).shape == (4, 3)


def test_scalars_of_all_kinds_as_arguments() -> None:
    values: dict[str, Any] = {"float32": 0.1, "float64": 0.1, "int8": -3, "uint64": 2**40, "bool": True}
    inputs = [ng.scalar(f"a_{d}", d) for d in values]
    f = ng.function(inputs, [v * 1 if v.dtype != "bool" else ~v for v in inputs], target=SIM)
    got = f(*values.values())
    for value, dtype, result in zip(values.values(), values, got, strict=True):
        want = np.array(value, dtype)
        assert result == (~want if dtype == "bool" else want)


def test_target_cuda_says_what_is_missing() -> None:
    from numgraph.cuda import compiler

    problem = compiler.missing("run")
    if problem is None:
        pytest.skip("there is a device")
    with pytest.raises(RuntimeError, match="cuda"):
        ng.function([], ng.shared(1.0) + 1, target="cuda")
    with pytest.raises(OptionError):
        ng.function([], ng.shared(1.0) + 1, target="gpu")

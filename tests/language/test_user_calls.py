"""Users' Numba functions of arrays in graphs: `ng.call`."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numba
import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import DtypeError, FunctionError, GradientError, OptionError, ShapeError, SizeError

TARGETS = ("cpu", "reference")


@numba.njit
def smooth(x: Any, width: int, out: Any) -> None:
    for i in range(len(x)):
        out[i] = x[max(0, i - width) : min(len(x), i + width + 1)].mean()


@numba.njit
def pairs(x: Any, y: Any, out: Any) -> None:
    for i in range(len(x)):
        for j in range(len(y)):
            out[i, j] = x[i] - y[j]


def pairs_shape(x: Any, y: Any) -> Any:
    return x[0], y[0]


def pairs_slope(g: Any, x: Any, y: Any) -> Any:
    return [g.sum(axis=1), -g.sum(axis=0)]


@numba.njit
def extremes(x: Any, low: Any, high: Any, both: Any) -> None:
    if x.shape[0] == 0:
        raise ValueError("nothing")
    for j in range(x.shape[1]):
        low[j] = x[:, j].min()
        high[j] = x[:, j].max()
    both[()] = low.sum() + high.sum()


@numba.njit
def sorted_up(x: Any, out: Any) -> None:
    # Numba takes seconds for its own sort
    for i in range(len(x)):
        j = i
        while j > 0 and out[j - 1] > x[i]:
            out[j] = out[j - 1]
            j -= 1
        out[j] = x[i]


def any_true(x: Any, out: Any) -> None:
    for i in range(x.shape[0]):
        out[i] = x[i].any()


EXTREMES = [ng.TensorType("float64", (None,)), ng.TensorType("float64", (None,)), ng.TensorType("float64", ())]


def extremes_of(x: Any, **more: Any) -> list[Any]:
    found: list[Any] = ng.call(extremes, x, type=EXTREMES, shape=lambda x: [x[1], x[1], ()], **more)
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_values(target: str) -> None:
    x, y, width = ng.vector("x"), ng.vector("y"), ng.scalar("width", dtype="int64")
    even = ng.call(smooth, x + 1, width, type=x.type)
    table = ng.call(pairs, x, y, type=ng.TensorType("float64", (None, None)), shape=pairs_shape)
    f = ng.function([x, y, width], [even * 2, table.sum(axis=1), ng.call(sorted_up, x, type=x.type)], target=target)
    got = f([3.0, 1.0, 2.0, 6.0], [1.0, 4.0], 1)
    np.testing.assert_allclose(got[0], [6.0, 6.0, 8.0, 10.0])
    np.testing.assert_allclose(got[1], [1.0, -3.0, -1.0, 7.0])
    np.testing.assert_allclose(got[2], [1.0, 2.0, 3.0, 6.0])
    # other lengths, empty and strided arrays: the same code
    assert [np.asarray(v).shape for v in f([], [], 1)] == [(0,)] * 3
    np.testing.assert_allclose(f(np.arange(6.0)[::-2], np.zeros(1), 0)[2], [1.0, 3.0, 5.0])


@pytest.mark.parametrize("target", TARGETS)
def test_several_results_and_transposed_inputs(target: str) -> None:
    x = ng.matrix("x")
    low, high, both = extremes_of(x.T)
    f = ng.function([x], [high - low, both, low], target=target)
    a = np.array([[1.0, 5.0, 3.0], [7.0, -2.0, 0.0]])
    got = f(a)
    np.testing.assert_allclose(got[0], np.ptp(a, axis=1))
    np.testing.assert_allclose(got[1], a.min(axis=1).sum() + a.max(axis=1).sum())
    np.testing.assert_allclose(got[2], a.min(axis=1))
    assert (low.type.shape, both.type.shape) == ((None,), ())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float32"])
def test_dtypes(target: str, dtype: str) -> None:
    x = ng.matrix("x", dtype=dtype)
    out = ng.call(any_true, x, type=ng.TensorType("bool", (None,)), shape=lambda x: x[0])
    f = ng.function([x], [out, ~out], target=target)
    a = np.array([[0, 1], [0, 0], [1, 1]], dtype)
    for got, want in zip(f(a), (a.any(axis=1), ~a.any(axis=1)), strict=True):
        np.testing.assert_array_equal(got, want)


def test_inputs_are_where_they_lie() -> None:
    """A window of a shared array is passed as it is, and read only."""
    data = ng.shared(np.arange(12.0).reshape(6, 2), name="data")
    i = ng.scalar("i", dtype="int64")

    @numba.njit
    def addresses(x: Any, out: Any) -> None:
        out[0] = x.ctypes.data
        out[1] = x.shape[0]

    f = ng.function([i], ng.call(addresses, data[i : i + 2], type=ng.TensorType("int64", (2,))))
    start = data.get_value(borrow=True).ctypes.data
    np.testing.assert_array_equal(f(3), [start + 3 * 16, 2])
    np.testing.assert_array_equal(f(5), [start + 5 * 16, 1])
    assert re.search(r"view\(f64\(.*\), \(table\[AT_\w+\], 2\)\)", f.source)
    with pytest.raises(DtypeError, match=r"cannot be compiled by Numba for \(readonly array"):

        @numba.njit
        def writes(x: Any, out: Any) -> None:
            x[0] = out[0]

        x = ng.vector("x")
        ng.function([x], ng.call(writes, x, type=x.type))


@pytest.mark.parametrize("target", TARGETS)
def test_gradients(target: str) -> None:
    x, y = ng.vector("x"), ng.vector("y")
    kind = ng.TensorType("float64", (None, None))
    cost = (ng.call(pairs, x, y, type=kind, shape=pairs_shape, grad=pairs_slope) ** 2).sum()
    plainly = ((x[:, None] - y[None, :]) ** 2).sum()
    f = ng.function([x, y], [*ng.grad(cost, [x, y]), *ng.grad(plainly, [x, y])], target=target)
    a, b, c, d = f([1.0, 2.0, 4.0], [0.5, -1.0])
    np.testing.assert_allclose([*a, *b], [*c, *d])
    with pytest.raises(GradientError, match="none was given"):
        ng.grad(ng.call(pairs, x, y, type=kind, shape=pairs_shape).sum(), x)
    m = ng.matrix("m")
    _, high, both = extremes_of(
        m, grad=lambda g, x: ng.eq(x, x.min(axis=0)) * (g[0] + g[2]) + ng.eq(x, x.max(axis=0)) * (g[1] + g[2])
    )
    slope = ng.function([m], ng.grad((high * 3).sum() + both, m), target=target)
    np.testing.assert_allclose(slope([[1.0, 5.0], [2.0, 3.0]]), [[1.0, 4.0], [4.0, 1.0]])


@pytest.mark.parametrize("target", TARGETS)
def test_what_it_raises_leaves_shared_values(target: str) -> None:
    x, w, v = ng.matrix("x"), ng.shared(np.zeros(2), name="w"), ng.shared(np.ones((2, 2)), name="v")
    low, high, _ = extremes_of(x)
    f = ng.function([x], high, updates=[(w, w + low), (v, v + ng.dot(v, v))], target=target)
    np.testing.assert_allclose(f([[1.0, 2.0], [3.0, 0.0]]), [3.0, 2.0])
    with pytest.raises(FunctionError, match=r"extremes: raised ValueError: nothing\n  x: float64\[0,2\]") as caught:
        f(np.zeros((0, 2)))
    assert isinstance(caught.value.__cause__, ValueError) and "extremes called at" in str(caught.value)
    np.testing.assert_allclose(w.get_value(), [1.0, 0.0])
    np.testing.assert_allclose(v.get_value(), np.full((2, 2), 3.0))


@pytest.mark.parametrize("target", TARGETS)
def test_in_sweeps_and_updates(target: str) -> None:
    i, w = ng.scalar("i", dtype="int64"), ng.shared(np.array([4.0, 1.0, 7.0]), name="w")
    f = ng.function([i], w.sum(), updates=[(w, ng.call(smooth, w, i, type=w.type))], target=target)
    sums = f.sweep(i=[0, 1, 5])
    np.testing.assert_allclose(sums, [12.0, 12.0, 2.5 + 4.0 + 4.0])
    np.testing.assert_allclose(w.get_value(), [3.5] * 3)


def test_mistakes() -> None:
    x = ng.vector("x")
    with pytest.raises(OptionError, match=r"lengths of float64\[\?,\?\] are not known, since no input has 2 axes"):
        ng.call(smooth, x, 1, type=ng.TensorType("float64", (None, None)))
    for wrong in ("float64", x, [x.type, "float64"]):
        with pytest.raises(OptionError, match="type= is a TensorType"):
            ng.call(smooth, x, 1, type=wrong)
    with pytest.raises(OptionError, match="have one dtype, not float64, int64"):
        ng.call(extremes, x, type=[x.type, x.type, ng.TensorType("int64", ())])
    with pytest.raises(TypeError, match="cannot be called with 1 input and 1 array for results"):
        ng.call(smooth, x, type=x.type)
    with pytest.raises(OptionError, match=r"shape= raised a TypeError .*\n.*know \+ - \* // % alone"):
        ng.call(smooth, x, 1, type=x.type, shape=lambda x, width: max(x[0], 3))
    with pytest.raises(ShapeError, match="results of"):
        ng.call(smooth, x, 1, type=x.type, shape=lambda x, width: (x[0], 2))
    fixed = ng.call(smooth, x, 1, type=ng.TensorType("float64", (3,)), shape=lambda x, width: x[0])
    for target in TARGETS:
        f = ng.function([x], fixed, target=target)
        assert f(np.zeros(3)).shape == (3,)
        with pytest.raises(ShapeError, match=r"type= says that a length is 3, shape= that it is 4"):
            f(np.zeros(4))
    with pytest.raises(FunctionError, match="runs on the processor only"):
        ng.function([x], ng.call(smooth, x, 1, type=x.type), target="cuda-sim")


def test_lengths_that_no_array_has() -> None:
    """The plan looks at what `shape` says before anything has memory: a view of -3 elements was handed out once."""
    x, kind = ng.vector("x"), ng.TensorType("float64", (None,))
    short = ng.call(sorted_up, x, type=kind, shape=lambda x: x[0] - 5)
    again = ng.call(sorted_up, short, type=kind, shape=lambda x: x[0] + 7)
    large = ng.call(sorted_up, x, type=kind, shape=lambda x: x[0] * 2**61)
    w = ng.shared(1.0, name="w")
    for target in TARGETS:
        for value in (short, short.sum(), again, short.shape[0], short * 2, ng.sort(short)[::-1]):
            f = ng.function([x], value, updates=[(w, w + 1)], target=target)
            with pytest.raises(ShapeError, match=r"sorted_up: shape= gave the length -3, which is negative\n +x: "):
                f([1.0, 2.0])
        assert w.get_value() == 1
    for value in (large, large.sum(), ng.sort(ng.zeros(x.shape[0] * 2**61)).sum()):
        with pytest.raises(SizeError, match="makes the array too large"):
            ng.function([x], value)([1.0, 2.0])
    fixed = ng.tensor("fixed", "float64", (3,))
    with pytest.raises(ShapeError, match="shape= gave the length -2, which is neg"):
        ng.call(sorted_up, fixed, type=kind, shape=lambda x: x[0] - 5)
    for wrong in (2.5, "a", None, True):
        with pytest.raises(OptionError, match=r"shape= gave the length .*; lengths are whole numbers\n  fix: round"):
            ng.function([x], ng.call(sorted_up, x, type=kind, shape=lambda x: (wrong,)))  # noqa: B023
    assert ng.function([x], ng.call(sorted_up, x, type=kind, shape=lambda x: np.int32(2)))([2.0, 1.0]).shape == (2,)


def returns(x: Any, out: Any) -> Any:
    return x * 2


def writes_inside(x: Any, out: Any) -> None:
    def write(k: int) -> None:
        out[k] = x[k]

    for k in range(len(x)):
        write(k)


def test_a_function_that_writes_nothing() -> None:
    x = ng.vector("x")
    with pytest.raises(OptionError, match=r"nothing is written into the argument 'out'.*\n.*\n  fix: out\[...\] = "):
        ng.call(returns, x, type=x.type)
    with pytest.raises(OptionError, match="written into the argument 'both'"):
        ng.call(lambda x, low, both: sorted_up(x, low), x, type=[x.type, x.type])
    assert ng.function([x], ng.call(writes_inside, x, type=x.type))([1.0, 2.0]).tolist() == [1, 2]


def test_pickles_by_name() -> None:
    x, y = ng.vector("x"), ng.vector("y")
    kind = ng.TensorType("float64", (None, None))
    table = ng.call(pairs, x, y, type=kind, shape=pairs_shape, grad=pairs_slope)
    again, u, v = pickle.loads(pickle.dumps((table, x, y)))
    assert again.op is table.op
    np.testing.assert_allclose(ng.function([u, v], again)([1.0], [2.0]), [[-1.0]])
    with pytest.raises(FunctionError, match="cannot be pickled"):
        pickle.dumps(ng.call(pairs, x, y, type=kind, shape=lambda x, y: (x[0], y[0])))


@numba.njit
def put(out: Any, i: int) -> None:
    out[i] = 7.0


@numba.njit
def one_too_many(x: Any, out: Any) -> None:
    for i in range(len(x) + 1):
        put(out, i)


def test_an_index_out_of_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference always looks, compiled code where it is asked to, also in what the function calls."""
    x, w = ng.vector("x"), ng.shared(0.0, name="w")

    def function(target: str) -> ng.Function:
        return ng.function([x], ng.call(one_too_many, x, type=x.type), updates=[(w, w + x[0])], target=target)

    checked = [function("reference")]
    unchecked = function("cpu")
    monkeypatch.setattr(ng.config, "check_bounds", True)
    checked.append(function("cpu"))
    assert checked[1].source != unchecked.source
    for f in checked:
        with pytest.raises(FunctionError, match="raised IndexError: index is out of bounds\n  x: float64") as caught:
            f([1.0, 2.0])
        assert isinstance(caught.value.__cause__, IndexError) and w.get_value() == 0
    free = numba.njit(boundscheck=False)(smooth.py_func)
    assert ng.function([x], ng.call(free, x, 1, type=x.type))([3.0]) == [3]
    table = np.arange(3.0)
    looked_up = ng.function([x], ng.elementwise(lambda k: table[int(k)], x))
    with pytest.raises(FunctionError, match=r"raised IndexError for \(3.0\)"):
        looked_up([2.0, 3.0])


def test_what_is_written_into_an_input_is_seen_by_the_reference() -> None:
    x = ng.vector("x")

    def writes(x: Any, out: Any) -> None:
        x.flat[0] = 5.0
        out[0] = 1.0

    f = ng.function([x], ng.call(writes, x, type=ng.TensorType("float64", (1,))), target="reference")
    mine = np.zeros(2)
    with pytest.raises(FunctionError, match=r"writes: wrote into its input 0, which is read-only\n  fix: .*x.copy\(\)"):
        f(mine)
    assert mine.tolist() == [0, 0]

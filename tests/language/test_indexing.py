"""`x[key]`, `set_subtensor` and `inc_subtensor` against NumPy: random keys, errors, gradients; selections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numgraph as ng
from numgraph import testing
from numgraph.errors import DtypeError, IndexOutOfRange, NumgraphError, ShapeError
from numgraph.graph import Variable
from numgraph.reference import evaluate
from numgraph.types import TensorType

# -- keys -----------------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """An array and a key for it; `symbolic`: which numbers and arrays of the key are variables."""

    x: Any
    key: tuple[Any, ...]
    symbolic: bool
    static: bool

    def build(self) -> tuple[Variable, tuple[Any, ...], dict[Variable, Any]]:
        """The variable, the key with variables in it, and their values."""
        values: dict[Variable, Any] = {}

        def lift(part: Any) -> Any:
            if part is None or part is Ellipsis or not self.symbolic:
                return part
            if isinstance(part, slice):
                return slice(lift(part.start), lift(part.stop), part.step)
            array = np.asarray(part)
            variable = Variable(TensorType(array.dtype.name, (None,) * array.ndim), "k")
            values[variable] = array
            return variable

        shape = self.x.shape if self.static else (None,) * self.x.ndim
        x = Variable(TensorType(self.x.dtype.name, shape), "x")
        values[x] = self.x
        return x, tuple(map(lift, self.key)), values

    @property
    def basic(self) -> bool:
        """Whether the key has only numbers, slices and new axes."""
        return not any(isinstance(part, np.ndarray) for part in self.key)


bounds = st.one_of(st.none(), st.integers(-6, 6))
slices = st.builds(slice, bounds, bounds, st.sampled_from([None, 1, 2, 3, -1, -2, -3]))
# shapes that broadcast to each other
index_shapes = st.sampled_from([(2,), (1,), (3, 2), (3, 1), (1, 2), ()])


@st.composite
def index_arrays(draw: Any, length: int) -> Any:
    shape = draw(index_shapes)
    if length == 0:
        return np.zeros((0, *shape[1:]) if shape else (0,), np.int64)
    flat = draw(st.lists(st.integers(-length, length - 1), min_size=6, max_size=6))
    return np.array(flat[: int(np.prod(shape))], draw(st.sampled_from(["int64", "int32", "int8"]))).reshape(shape)


@st.composite
def cases(draw: Any, advanced: bool) -> Case:
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    x = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    used = draw(st.integers(0, len(shape)))
    key: list[Any] = []
    axis = 0
    # where an axis of length 0 is indexed by arrays all of them must be empty, which is not worth drawing
    with_arrays = advanced and all(n > 0 for n in shape)
    masked = False
    while axis < used:
        kinds = ["slice"] + (["number"] if shape[axis] else []) + (["array", "array"] if with_arrays else [])
        kind = draw(st.sampled_from([*kinds, "mask"] if with_arrays and not masked else kinds))
        if kind == "slice":
            key.append(draw(slices))
        elif kind == "number":
            key.append(draw(st.integers(-shape[axis], shape[axis] - 1)))
        elif kind == "array":
            key.append(draw(index_arrays(shape[axis])))
        else:
            # exactly two are chosen along the first axis of the mask, so that it broadcasts with the index arrays
            count = min(2, shape[axis])
            chosen = draw(st.permutations(range(shape[axis])))[:count]
            mask = np.zeros(shape[axis], bool)
            mask[list(chosen)] = True
            key.append(mask)
            masked = True
        axis += 1
    for _ in range(draw(st.integers(0, 2))):
        key.insert(draw(st.integers(0, len(key))), None)
    if draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))), Ellipsis)
        # what follows an ellipsis speaks of the last axes: keep only keys that NumPy accepts
    return Case(x, tuple(key), draw(st.booleans()), draw(st.booleans()))


def numpy_value(case: Case) -> Any:
    try:
        return case.x[case.key]
    except (IndexError, ValueError, DeprecationWarning):  # NumPy 2.0 warns of an index past the end of nothing
        return None


def compare_read(case: Case) -> None:
    expected = numpy_value(case)
    if expected is None:
        # now where it can be known, else when the function runs
        with pytest.raises(NumgraphError):
            x, key, values = case.build()
            evaluate([x[key]], values)
        return
    x, key, values = case.build()
    result = x[key]
    got = evaluate([result], values)[0]
    assert got.shape == np.shape(expected)
    assert np.array_equal(got, expected)
    assert all(n in (None, m) for n, m in zip(result.type.shape, got.shape, strict=True))


@given(cases(advanced=False))
@settings(max_examples=150)
def test_reading_numbers_and_slices(case: Case) -> None:
    compare_read(case)


@given(cases(advanced=True))
@settings(max_examples=200)
def test_reading_index_arrays(case: Case) -> None:
    compare_read(case)


# -- writing --------------------------------------------------------------------------------------------------------


@st.composite
def writes(draw: Any) -> tuple[Case, Any]:
    case = draw(cases(advanced=draw(st.booleans())))
    expected = numpy_value(case)
    shape = np.shape(expected) if expected is not None else ()
    cut = draw(st.integers(0, len(shape)))
    shape = tuple(1 if draw(st.integers(0, 3)) == 0 else n for n in shape[cut:])
    if draw(st.integers(0, 9)) == 0:
        shape = (1, *shape)
    return case, np.asarray(100.0 * np.arange(1, 1 + np.prod(shape)).reshape(shape))


@given(writes())
@settings(max_examples=200)
def test_writing(drawn: tuple[Case, Any]) -> None:
    case, new = drawn
    if numpy_value(case) is None:
        return
    x, key, values = case.build()
    value = Variable(TensorType("float64", new.shape if case.static else (None,) * new.ndim), "v")
    values[value] = new
    put, added = case.x.copy(), case.x.copy()
    # NumPy takes a value with more axes than the part (all of length 1) in most places only
    part = np.shape(case.x[case.key])
    fitted = np.broadcast_to(new.reshape(new.shape[max(new.ndim - len(part), 0) :]), part)
    put[case.key] = fitted
    np.add.at(added, case.key, fitted)
    got = evaluate([ng.set_subtensor(x[key], value), ng.inc_subtensor(x[key], value)], values)
    assert np.array_equal(got[0], put)
    assert np.array_equal(got[1], added)


def value_of(output: Any, **values: Any) -> Any:
    """The value of `output` for values of its inputs by name."""
    from numgraph.graph import toposort

    leaves = {v: np.asarray(values[v.name], v.dtype) for v in toposort([output]) if v.op is None and v.name in values}
    return evaluate([output], leaves)[0]


def test_repeated_indices_add_up_and_the_last_one_is_set() -> None:
    x, i, v = ng.vector("x"), ng.lvector("i"), ng.vector("v")
    given_values = {"x": np.zeros(2), "i": [0, 0, -2], "v": [1.0, 10.0, 100.0]}
    assert value_of(ng.inc_subtensor(x[i], v), **given_values).tolist() == [111, 0]
    assert value_of(ng.set_subtensor(x[i], v), **given_values).tolist() == [100, 0]


def test_a_value_is_converted_to_the_dtype_of_its_target() -> None:
    n = ng.vector("n", "int32")
    result = ng.set_subtensor(n[1:], 2.9)
    assert result.dtype == "int32"
    assert value_of(result, n=[1, 1, 1]).tolist() == [1, 2, 2]
    assert ng.inc_subtensor(ng.fvector("x")[0], ng.dscalar("s")).dtype == "float32"


def test_writing_through_other_views() -> None:
    x = ng.matrix("x")
    xv = np.arange(6.0).reshape(2, 3)
    transposed = ng.set_subtensor(x[:, 1:].T, np.array([[10.0, 20.0]]))
    expected = xv.copy()
    expected[:, 1:].T[...] = [[10.0, 20.0]]
    assert np.array_equal(value_of(transposed, x=xv), expected)
    flat = ng.inc_subtensor(x[0].reshape((3, 1)), np.array([[1.0], [2.0], [3.0]]))
    assert np.array_equal(value_of(flat, x=xv), xv + np.array([[1, 2, 3], [0, 0, 0]]))
    # the target's own source is what was indexed last, not what that was cut from
    inner = x[1:]
    assert value_of(ng.set_subtensor(inner[0], 7.0), x=xv).tolist() == [[7, 7, 7]]
    assert value_of(ng.set_subtensor(inner[np.array([0])][0], 7.0), x=xv).tolist() == [[7, 7, 7]]


def test_writing_everything() -> None:
    s, x = ng.scalar("s"), ng.vector("x")
    assert value_of(ng.set_subtensor(s[...], 2.0), s=1.0) == 2
    assert value_of(ng.inc_subtensor(s[()], 2.0), s=1.0) == 3
    assert value_of(ng.set_subtensor(x[:], 2.0), x=[1.0, 1.0]).tolist() == [2, 2]
    assert value_of(ng.inc_subtensor(x[None, :], np.ones((1, 2))), x=[1.0, 1.0]).tolist() == [2, 2]


def test_a_number_for_a_mask_is_a_choice_per_element() -> None:
    x, m = ng.matrix("x"), ng.matrix("m", "bool")
    xv = np.array([[1.0, -2.0], [-3.0, 4.0]])
    result = ng.set_subtensor(x[x < 0], 0.0)
    assert result.op is not None and result.op.name == "where"
    assert np.array_equal(value_of(result, x=xv), np.maximum(xv, 0))
    assert np.array_equal(value_of(ng.inc_subtensor(x[m], 1.0), x=xv, m=xv < 0), xv + (xv < 0))
    rows = ng.set_subtensor(x[ng.gt(x[:, 0], 0)], 9.0)
    assert value_of(rows, x=xv).tolist() == [[9, 9], [-3, 4]]
    each = ng.set_subtensor(x[x < 0], np.array([7.0, 8.0]))
    assert value_of(each, x=xv).tolist() == [[1, 7], [8, 4]]


# -- errors ---------------------------------------------------------------------------------------------------------


def test_too_many_indices_name_the_variable() -> None:
    with pytest.raises(IndexOutOfRange, match=r"too many indices: 2 for weights: float64\[\?\]"):
        ng.vector("weights")[0, 1]


def test_known_lengths_are_checked_at_once() -> None:
    x = Variable(TensorType("float64", (3,)), "weights")
    for key in (3, -4, np.array([0, 3]), [-4]):
        with pytest.raises(IndexOutOfRange, match="weights"):
            x[key]
    with pytest.raises(IndexOutOfRange, match="a mask of length 2"):
        x[np.array([True, False])]
    with pytest.raises(ShapeError, match="does not broadcast"):
        ng.set_subtensor(x[:2], np.ones(3))


@pytest.mark.parametrize("index", [[0, 3], [-4], [10**9]])
def test_an_index_out_of_range_is_an_error_when_it_runs(index: list[int]) -> None:
    x, i = ng.vector("x"), ng.lvector("i")
    for result in (x[i], ng.set_subtensor(x[i], 9.0), ng.inc_subtensor(x[i], 1.0), x[i[0]] + x[i[-1]]):
        with pytest.raises(IndexOutOfRange):
            value_of(result, x=[1.0, 2.0, 3.0], i=index)


def test_lengths_that_do_not_fit_when_it_runs() -> None:
    x, m, v = ng.vector("x"), ng.vector("m", "bool"), ng.vector("v")
    with pytest.raises(ShapeError):
        value_of(x[m], x=[1.0, 2.0, 3.0], m=[True, False])
    with pytest.raises(ShapeError):
        value_of(ng.set_subtensor(x[1:], v), x=[1.0, 2.0, 3.0], v=[1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (1.0, DtypeError),
        (True, DtypeError),
        (ng.scalar("b", "bool"), DtypeError),
        (ng.vector("f"), DtypeError),
        (slice(None, None, ng.dscalar("step")), DtypeError),
        (slice(1.5, None), DtypeError),
        (slice(None, None, 0), ShapeError),
        ((..., ...), IndexOutOfRange),
    ],
    ids=str,
)
def test_keys_that_are_refused(key: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ng.vector("x")[key]


@pytest.mark.parametrize("target", [ng.vector("x"), ng.vector("x") + 1, 3.0], ids=str)
def test_a_target_must_be_a_part(target: Any) -> None:
    with pytest.raises(DtypeError, match=r"such as x\[1:3\]"):
        ng.set_subtensor(target, 0.0)


# -- gradients ------------------------------------------------------------------------------------------------------

X = np.arange(12.0).reshape(3, 4)
KEYS: tuple[Any, ...] = (
    0,
    (slice(None), -1),
    slice(None, None, -2),
    (slice(2, 0, -1), None, slice(1, 3)),
    np.array([0, 0, -1]),
    (np.array([[0], [0]]), np.array([1, 1, 2])),
    (slice(1, None), np.array([3, 3])),
    (np.arange(3), np.array([0, 2, 0])),
    X > 4,
    np.array([True, False, True]),
)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_gradients(key: Any) -> None:
    value = np.random.default_rng(0).normal(size=X[key].shape)
    testing.check_gradient(lambda x: x[key] * x[key], [X], order=1)
    testing.check_gradient(lambda x, v: ng.set_subtensor(x[key], v) ** 2, [X, value])
    testing.check_gradient(lambda x, v: ng.inc_subtensor(x[key], v) ** 2, [X, value])
    testing.check_gradient(lambda x, s: ng.set_subtensor(x[key], s) ** 2, [X, np.float64(1.5)], order=1)


def test_gradients_of_slices_and_gathers_by_hand() -> None:
    x = ng.vector("x")

    def gradient(cost: Variable, n: int) -> list[float]:
        return value_of(ng.grad(cost, x), x=np.zeros(n)).tolist()  # type: ignore[no-any-return]

    assert gradient(x[np.array([0, 0, 2])].sum(), 3) == [2, 0, 1]
    assert gradient(x[np.array([-1, 2])].sum(), 3) == [0, 0, 2]
    assert gradient((x[2:0:-1] * np.array([1.0, 10.0])).sum(), 3) == [0, 10, 1]
    assert gradient(x[2:4].sum(), 3) == [0, 0, 1]
    assert gradient(x[6:8].sum(), 3) == [0, 0, 0]


# -- selections -----------------------------------------------------------------------------------------------------


def test_nonzero() -> None:
    x = ng.matrix("x")
    xv = np.array([[0.0, np.nan, 2.0], [0.0, 0.0, -1.0]])
    for got, expected in zip(ng.nonzero(x), np.nonzero(xv), strict=True):
        assert value_of(got, x=xv).tolist() == expected.tolist()
    assert value_of(ng.flatnonzero(x), x=xv).tolist() == [1, 2, 5]
    assert np.array_equal(value_of(ng.nonzero_values(x), x=xv), [np.nan, 2.0, -1.0], equal_nan=True)
    assert value_of(x.nonzero()[0], x=np.zeros((0, 3))).tolist() == []


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("indices", [2, [1, -1], np.array([[0, 2], [1, 1]])], ids=str)
def test_take(indices: Any, axis: int | None) -> None:
    x = ng.matrix("x")
    xv = np.arange(12.0).reshape(3, 4)
    assert np.array_equal(value_of(ng.take(x, indices, axis), x=xv), np.take(xv, indices, axis))
    for mode in ("wrap", "clip"):
        far = np.asarray(indices) * 5 - 7
        expected = np.take(xv, far, axis, mode=mode)
        assert np.array_equal(value_of(ng.take(x, far, axis, mode=mode), x=xv), expected)


def test_take_along_all_elements() -> None:
    x, i = ng.matrix("x"), ng.lvector("i")
    xv, iv = np.arange(6.0).reshape(2, 3), np.array([5, 0, -2])
    found = ng.function([x, i], ng.take_along_axis(x, i, None))(xv, iv)
    assert np.array_equal(found, np.take_along_axis(xv, iv, None))
    with pytest.raises(ng.ShapeError, match="with 1 axes"):
        ng.take_along_axis(x, x.argsort(1), None)


def test_take_along_axis() -> None:
    x, i = ng.matrix("x"), ng.lmatrix("i")
    xv = np.arange(12.0).reshape(3, 4)
    for axis, iv in ((0, np.array([[0, 2, 1, -1]])), (1, np.array([[0], [3], [-2]])), (-1, np.argsort(-xv, 1))):
        assert np.array_equal(value_of(ng.take_along_axis(x, i, axis), x=xv, i=iv), np.take_along_axis(xv, iv, axis))


def test_one_hot() -> None:
    y = ng.ivector("y")
    assert value_of(ng.to_one_hot(y, 3), y=[2, 0, -1]).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]
    assert ng.to_one_hot(y, 3, "float32").type == TensorType("float32", (None, 3))
    with pytest.raises(IndexOutOfRange):
        value_of(ng.to_one_hot(y, 3), y=[3])


# -- compiled -------------------------------------------------------------------------------------------------------


def compiled(inputs: Sequence[Variable], outputs: Sequence[Variable], values: Sequence[Any]) -> list[Any]:
    result = ng.function(list(inputs), list(outputs))(*values)
    assert isinstance(result, list)
    return result


def test_compiled_reading_and_writing() -> None:
    x, i, k, v = ng.matrix("x"), ng.lvector("i"), ng.lscalar("k"), ng.vector("v")
    inputs = [x, i, k, v]
    parts = [x[k:, ::-1], x[i], x[:, i], x[i, k], x[None, -1, ..., None], x[i, :k], x[k, i[1:]]]
    outputs = [
        *parts,
        ng.set_subtensor(x[k:, 1], v[:1]),
        ng.inc_subtensor(x[i], v),
        ng.set_subtensor(x[i, 2:], k),
        ng.inc_subtensor(x[:, i], 1.0),
        ng.set_subtensor(x[i, i], v[:3]),
    ]
    for kv in (1, -2, 0):
        values = [np.arange(12.0).reshape(3, 4), np.array([0, -1, 0]), np.int64(kv), np.array([10.0, 20.0, 30.0, 40.0])]
        for got, expected in zip(
            compiled(inputs, outputs, values), evaluate(outputs, dict(zip(inputs, values, strict=True))), strict=True
        ):
            assert got.shape == expected.shape
            assert np.array_equal(got, expected)


def test_compiled_masks() -> None:
    x = ng.matrix("x")
    outputs = [x[x > 4], x[x[:, 0] > 3, 1:], ng.set_subtensor(x[x > 4], 0.0), ng.inc_subtensor(x[x > 4], x[x > 4])]
    for xv in (np.arange(12.0).reshape(3, 4), np.zeros((2, 3)), np.zeros((0, 3))):
        expected = evaluate(outputs, {x: xv})
        for got, wanted in zip(compiled([x], outputs, [xv]), expected, strict=True):
            assert np.array_equal(got, wanted)


def test_an_index_that_is_read_from_an_array_is_checked(target: str) -> None:
    x, order = ng.shared(np.arange(81.0).reshape(9, 9), "x"), ng.shared(np.array([0, 40, -10]), "order")
    w, k = ng.shared(np.zeros(3), "w"), ng.lscalar("k")
    row = x[order[k]]
    outputs = [ng.sum(row), x[1, order[k]], ng.set_subtensor(row, 1.0)[0], row[2:], x[order[order[k]]]]
    for output in outputs:
        f = ng.function([k], output, updates=[(w, w + 1)])
        w.set_value(np.zeros(3))
        f(0)
        for wrong in (1, 2):
            with pytest.raises(IndexOutOfRange, match=r"index (40|-10) is out of range"):
                f(wrong)
        assert w.get_value().tolist() == [1.0] * 3


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_the_last_one_that_is_set_does_not_depend_on_the_order_in_memory(target: str) -> None:
    s, j = ng.vector("s"), ng.lmatrix("j")
    a, i = np.arange(6.0), np.array([[5, 5, 3, 0, -2, 5], [-2, -3, 1, -2, 5, -3]])
    f = ng.function([s, j], [ng.set_subtensor(s[j], s), ng.set_subtensor(s[j.T], s[:, None][:, [0, 0]])], target=target)
    for index in (i, np.asfortranarray(i), np.repeat(i, 2, axis=1)[:, ::2]):
        first, second = (np.asarray(r).tolist() for r in f(a, index))
        assert first == [3, 2, 2, 5, 3, 4] and second == [3, 2, 2, 5, 4, 5]

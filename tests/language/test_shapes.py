"""Creation, shapes, joining, products of matrices, sorting and running sums, against NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import testing
from numgraph.errors import DtypeError, IndexOutOfRange, NumgraphError, ShapeError, ValueOverflowError
from numgraph.graph import Constant, Variable, toposort
from numgraph.ops import lengths as ln
from numgraph.reference import evaluate
from numgraph.types import TensorType

X = np.arange(24.0).reshape(2, 3, 4)


def variable(shape: tuple[int | None, ...], dtype: str = "float64", name: str = "x") -> Variable:
    return Variable(TensorType(dtype, shape), name)


def check(build: Callable[..., Any], expected: Any, *arrays: Any) -> None:
    """`build` of variables with these values has the expected value, shape and dtype, with lengths known and not."""
    values = [np.asarray(a) for a in arrays]
    for static in (False, True):
        inputs = [
            variable(a.shape if static else (None,) * a.ndim, a.dtype.name, f"x{k}") for k, a in enumerate(values)
        ]
        result = build(*inputs)
        got = evaluate([result], dict(zip(inputs, values, strict=True)))[0]
        wanted = np.asarray(expected)
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        assert np.array_equal(got, wanted, equal_nan=wanted.dtype.kind == "f")
        fits = zip(result.type.shape, wanted.shape, strict=True)
        assert all(n in (None, m) for n, m in fits)


def value(output: Any, **values: Any) -> Any:
    leaves = {v: np.asarray(values[v.name], v.dtype) for v in toposort([output]) if v.op is None and v.name in values}
    return evaluate([output], leaves)[0]


# -- creation -------------------------------------------------------------------------------------------------------


def test_shapes_are_ints_scalars_sequences_or_vectors() -> None:
    n = ng.lscalar("n")
    x = ng.matrix("x")
    assert ng.zeros(3).type == TensorType("float64", (3,))
    assert ng.zeros((2, n), "int8").type == TensorType("int8", (2, None))
    assert ng.ones(np.array([2, 1])).type.shape == (2, 1)
    assert ng.ones(x.shape).type.shape == (None, None)
    assert value(ng.zeros((2, n)), n=3).shape == (2, 3)
    assert value(ng.ones(ng.stack([n, 2]), "float32"), n=3).tolist() == [[1, 1]] * 3
    # the lengths of a stack are its scalars: nothing is stored to find them
    assert all(v.op is None or v.op.name != "concatenate" for v in toposort([ng.ones(ng.stack([n, 2]))]))
    assert value(ng.alloc(ng.vector("v"), n, 2), n=2, v=[5.0, 6.0]).tolist() == [[5, 6]] * 2
    assert value(ng.full((n,), 7), n=2).dtype == np.int64
    assert value(ng.full_like(x, 2), x=np.zeros((2, 1))).tolist() == [[2], [2]]
    assert ng.zeros_like(ng.fmatrix("f")).dtype == "float32"
    assert ng.ones_like(variable((2, 3)), "int32").type == TensorType("int32", (2, 3))
    assert value(ng.ones_like(ng.scalar("s")), s=3.0) == 1


def test_shapes_that_are_refused() -> None:
    for shape, error in (
        (-1, ShapeError),
        (2.0, DtypeError),
        (ng.vector("v"), ShapeError),
        ((ng.dscalar("d"),), DtypeError),
    ):
        with pytest.raises(error):
            ng.zeros(shape)
    with pytest.raises(ValueOverflowError):
        ng.full_like(ng.vector("x", "uint8"), 300)
    with pytest.raises(ShapeError):
        value(ng.zeros((ng.lscalar("n"),)), n=-1)


@pytest.mark.parametrize(
    "bounds", [(5,), (0,), (-2,), (2, 7), (7, 2), (0, 7, 2), (7, 0, -2), (-3, 4, 3), (1, 8, 7), (5, 5, -1), (0, 10, 3)]
)
def test_ranges_of_integers(bounds: tuple[int, ...]) -> None:
    expected = np.arange(*bounds)
    result = ng.arange(*bounds)
    assert result.type == TensorType("int64", expected.shape)
    assert np.array_equal(value(result), expected)
    check(ng.arange, expected, *map(np.int64, bounds))
    if len(bounds) == 3:
        check(
            lambda a, b: ng.arange(a, b, bounds[2], "float32"), expected.astype("float32"), *map(np.int64, bounds[:2])
        )


def test_ranges_of_floats() -> None:
    for bounds in ((0.0, 1.0, 0.1), (5.0,), (2.5, -1.0, -0.5), (0, 1, 0.25), (1.0, 0.0)):
        check(lambda b=bounds: ng.arange(*b), np.arange(*bounds))
        assert np.array_equal(value(ng.arange(ng.dscalar("a"), *bounds[1:]), a=bounds[0]), np.arange(*bounds))
    assert ng.arange(ng.fscalar("stop")).dtype == "float32"
    assert ng.arange(np.float32(3)).dtype == "float32"


def test_ranges_that_are_refused() -> None:
    for arguments in ((0, 5, 0), (0.0, 1.0, 0.0), (ng.lvector("v"),)):
        with pytest.raises(ShapeError):
            ng.arange(*arguments)
    with pytest.raises(ShapeError, match="a step of zero"):
        value(ng.arange(0, 5, ng.lscalar("step")), step=0)


def test_a_range_over_rows_keeps_their_number() -> None:
    y = ng.lvector("y")
    count = ng.arange(y.shape[0]).inputs[1]
    assert count.op is not None and count.op.name == "length" and count.inputs[0] is y


def test_linspace() -> None:
    check(lambda: ng.linspace(0, 1, 7), np.linspace(0, 1, 7))
    check(lambda a, b: ng.linspace(a, b, 7), np.linspace(0.3, 1.7, 7), 0.3, 1.7)
    check(lambda a, b: ng.linspace(a, b, 4, endpoint=False), np.linspace(2.0, -1.0, 4, False), 2.0, -1.0)
    check(lambda a, b: ng.linspace(a, b, 1), np.linspace(2.0, -1.0, 1), 2.0, -1.0)


def test_diagonals_and_triangles() -> None:
    m = np.arange(1.0, 13.0).reshape(3, 4)
    v = np.array([1.0, 2.0, 3.0])
    for k in (-4, -2, 0, 1, 3, 6):
        check(lambda: ng.eye(3, 4, k, "int32"), np.eye(3, 4, k, "int32"))  # noqa: B023
        check(lambda n: ng.tri(n, k=k), np.tri(3, k=k), np.int64(3))  # noqa: B023
        check(lambda x: ng.tril(x, k), np.tril(m, k), m)  # noqa: B023
        check(lambda x: ng.triu(x, k), np.triu(X, k), X)  # noqa: B023
        # np.diagonal refuses a diagonal outside the matrix only in some versions: an empty one is meant
        check(lambda x: ng.diagonal(x, k), np.array([m[i, i + k] for i in range(3) if 0 <= i + k < 4]), m)  # noqa: B023
        check(lambda x: ng.diag(x, k), np.diag(v, k), v)  # noqa: B023
        check(lambda x: ng.trace(x, k), np.trace(m, k), m)  # noqa: B023
    check(ng.identity_like, np.eye(3, 4), m)
    testing.check_gradient(lambda x: ng.trace(x, 1) ** 2, [m])
    testing.check_gradient(lambda x: ng.diag(x, -1) ** 2, [v])
    testing.check_gradient(lambda x: ng.triu(x) ** 2, [m])


# -- shapes ---------------------------------------------------------------------------------------------------------


def test_lengths() -> None:
    x = variable((None, 3))
    rows, columns = x.shape
    assert isinstance(columns, Constant) and int(columns.data) == 3 and columns.dtype == "int64"
    assert value(rows, x=np.zeros((5, 3))) == 5
    assert value(x.size, x=np.zeros((5, 3))) == 15
    assert isinstance(variable((2, 3)).size, Constant)
    assert value(ng.scalar("s").size) == 1
    assert ng.matrix("m").shape[0].op is not None


def test_order_of_axes() -> None:
    check(lambda x: x.dimshuffle(2, "x", 0, 1), X.transpose(2, 0, 1)[:, None], X)
    check(lambda x: x.dimshuffle((0, 2, 1)), X.transpose(0, 2, 1), X)
    check(lambda x: x.T, X.T, X)
    check(lambda x: ng.transpose(x, (1, 0, 2)), X.transpose(1, 0, 2), X)
    check(lambda x: ng.swapaxes(x, 0, -1), X.swapaxes(0, -1), X)
    for source, destination in ((0, -1), (-1, 0), ((0, 1), (2, 0)), (1, 1)):
        check(lambda x: ng.moveaxis(x, source, destination), np.moveaxis(X, source, destination), X)  # noqa: B023
    for axis in (0, -1, (0, 2), (1, -1)):
        check(lambda x: ng.expand_dims(x, axis), np.expand_dims(X, axis), X)  # noqa: B023
    check(lambda x: ng.shape_padright(ng.shape_padleft(x, 2)), X[None, None, ..., None], X)
    for low, high in ((ng.atleast_1d, np.atleast_1d), (ng.atleast_2d, np.atleast_2d), (ng.atleast_3d, np.atleast_3d)):
        for array in (np.float64(2), X[0, 0], X[0], X):
            check(low, high(array), array)


def test_axes_that_are_dropped_have_length_1() -> None:
    column = np.ones((3, 1))
    check(lambda x: ng.squeeze(x, 1), column[:, 0], column)
    assert ng.squeeze(variable((None, 1, 3, 1))).type.shape == (None, 3)
    assert ng.squeeze(ng.matrix("x")).type.shape == (None, None)
    with pytest.raises(ShapeError, match="axis 0 of length 3 cannot be dropped"):
        variable((3, 1)).dimshuffle(1)
    with pytest.raises(ShapeError, match="length 3, not 1"):
        value(ng.matrix("x").dimshuffle(1), x=column)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.dimshuffle(0, 0),
        lambda x: x.dimshuffle(0, 2),
        lambda x: ng.transpose(x, 0),
        lambda x: ng.swapaxes(x, 0, 2),
        lambda x: ng.moveaxis(x, (0, 1), 0),
        lambda x: ng.expand_dims(x, (0, 0)),
        lambda x: x.reshape((-1, -1)),
        lambda x: ng.flatten(x, 3),
    ],
)
def test_axes_that_are_refused(wrong: Callable[[Variable], Any]) -> None:
    with pytest.raises(NumgraphError, match="weights"):
        wrong(variable((None, None), name="weights"))


@pytest.mark.parametrize(
    "new", [(24,), (-1,), 24, -1, (4, -1), (2, 1, 12), (-1, 1, 6), (3, 2, 4, 1), (2, -1, 2)], ids=str
)
def test_reshape(new: Any) -> None:
    check(lambda x: x.reshape(new), X.reshape(new), X)
    check(lambda x: ng.reshape(x, np.array(new, ndmin=1)), X.reshape(new), X)


def test_reshape_knows_what_it_can() -> None:
    x = variable((None, 784))
    assert x.reshape((-1, 1, 28, 28)).type.shape == (None, 1, 28, 28)
    # the free length of an image batch is the batch's length itself, not a division
    rows = x.reshape((-1, 1, 28, 28)).inputs[1]
    assert rows.op is not None and rows.op.name == "length"
    assert x.reshape((x.shape[0], -1)).type.shape == (None, 784)
    assert x.reshape((x.shape[0], 28, -1)).type.shape == (None, 28, 28)
    assert ng.matrix("m").reshape((1, 4)).broadcastable == (True, False)
    assert ng.matrix("m").reshape((1, 3, 5)).type.shape == (1, 3, 5)
    n = ng.lscalar("n")
    assert value(ng.vector("v").reshape((n, -1)), v=np.arange(6.0), n=2).shape == (2, 3)
    assert value(ng.reshape([n, n + 1], (2, 1)), n=4).tolist() == [[4], [5]]
    assert ng.reshape(ng.vector("v"), ng.lvector("s"), ndim=2).ndim == 2


def _reshaped(array: np.ndarray, new: tuple[int, ...]) -> Any:
    """By NumPy, for which any negative number is as -1."""
    try:
        return array.reshape(new).tolist() if min(new) >= -1 else None
    except ValueError:
        return None


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_a_length_of_minus_one_known_at_the_call(target: str) -> None:
    m, k, n = ng.matrix("m"), ng.lscalar("k"), ng.lscalar("n")
    free = ng.function([m, k, n], m.reshape((k, n)), target=target)
    two = ng.function([m, k], [m.reshape((k, 2)), ng.grad((m.reshape((k, 2)) ** 2).sum(), m)], target=target)
    given = ng.function([m], ng.reshape(m, (n, 3)), givens={n: ng.constant(-1)}, target=target)
    for shape in ((2, 3), (0, 3), (1, 1), (4, 1)):
        array = np.arange(float(np.prod(shape))).reshape(shape)
        for lengths in itertools.product(range(-2, 5), repeat=2):
            wanted = _reshaped(array, lengths)
            if wanted is None:
                with pytest.raises(ng.ShapeError):
                    free(array, *lengths)
            else:
                assert free(array, *lengths).tolist() == wanted
            if lengths[1] == 2 and wanted is not None:
                got, slope = two(array, lengths[0])
                assert got.tolist() == wanted
                assert np.array_equal(slope, 2 * array)
    assert given(np.arange(6.0).reshape(2, 3)).shape == (2, 3)


def test_flatten() -> None:
    check(ng.flatten, X.ravel(), X)
    check(lambda x: x.flatten(2), X.reshape(2, 12), X)
    check(lambda x: x.ravel(), np.ones(1), np.float64(1))
    assert value(ng.matrix("x").flatten(), x=np.zeros((0, 3))).shape == (0,)


def test_elements_that_do_not_fit() -> None:
    for new in ((5, 5), (7, -1)):
        with pytest.raises(ShapeError, match="weights"):
            variable((2, 3, 4), name="weights").reshape(new)
        with pytest.raises(ShapeError):
            value(ng.tensor3("x").reshape(new), x=X)
    with pytest.raises(ShapeError, match="broadcast_to"):
        ng.broadcast_to(variable((2,)), (3,))
    with pytest.raises(ShapeError):
        ng.broadcast_to(variable((1, 2)), (2,))
    for new in (2, 1):
        with pytest.raises(ShapeError):
            value(ng.broadcast_to(ng.vector("x"), (ng.lscalar("n"),)), x=np.zeros(3), n=new)


def test_broadcast_to() -> None:
    check(lambda x: ng.broadcast_to(x, (2, 3, 4)), np.broadcast_to(X[:1], (2, 3, 4)), X[:1])
    check(lambda x: ng.broadcast_to(x, (5, 3)), np.full((5, 3), 2.0), np.float64(2))
    check(lambda x, n: ng.broadcast_to(x, (n, 3)), np.tile(np.arange(3.0), (2, 1)), np.arange(3.0), np.int64(2))
    check(lambda x, n: ng.broadcast_to(x, (n,)), np.zeros(0), np.zeros(1), np.int64(0))


def test_specify_shape() -> None:
    x = ng.matrix("x")
    known = ng.specify_shape(x, (None, 3))
    assert known.type.shape == (None, 3)
    assert np.array_equal(value(known, x=np.ones((2, 3))), np.ones((2, 3)))
    with pytest.raises(ShapeError):
        value(known, x=np.ones((2, 4)))
    with pytest.raises(ShapeError):
        ng.specify_shape(variable((2, 3)), (2, 4))


def test_lengths_as_numbers_or_variables() -> None:
    n = ng.lscalar("n")
    assert ln.product([2, 3]) == 6 and ln.product([1, n]) is n
    assert ln.broadcast_length(1, n) is n and ln.broadcast_length(4, n) == 4 and ln.broadcast_length(3, 1) == 3
    assert value(ln.broadcast_length(n, ng.lscalar("m")), n=1, m=5) == 5
    assert ln.natural(-2) == 0 and ln.least(2, 3) == 2


# -- joining --------------------------------------------------------------------------------------------------------


def test_joining() -> None:
    a, b = np.ones((2, 3)), np.arange(4, dtype="int32").reshape(2, 2)
    check(lambda x, y: ng.concatenate([x, y], 1), np.concatenate([a, b], 1), a, b)
    check(lambda x, y: ng.join(-1, x, y, x), np.concatenate([a, b, a], 1), a, b)
    check(lambda x: ng.stack([x, x * 2], axis=-1), np.stack([a, a * 2], -1), a)
    check(lambda x: ng.stack(x, x), np.stack([a, a]), a)
    check(lambda x, y: ng.hstack([x, y]), np.hstack([a, b]), a, b)
    check(lambda x, y: ng.vstack([x, y]), np.vstack([a[0], a]), a[0], a)
    check(lambda x: ng.concatenate([x]), a, a)
    s = ng.fscalar("s")
    assert ng.stack([s, 1.5]).type == TensorType("float32", (2,))
    assert ng.concatenate([variable((None, 3)), variable((2, None))]).type.shape == (None, 3)
    assert value(ng.concatenate([ng.vector("x"), ng.vector("x")]), x=np.zeros(0)).shape == (0,)


def test_joining_what_does_not_fit() -> None:
    for wrong in ([], [ng.vector("v"), ng.matrix("m")], [ng.scalar("s")], [variable((2, 3)), variable((2, 4))]):
        with pytest.raises(ShapeError):
            ng.concatenate(wrong)
    with pytest.raises(IndexOutOfRange):
        ng.concatenate([ng.vector("v")], 1)
    joined = ng.concatenate([ng.matrix("x"), ng.matrix("y")], 1)
    with pytest.raises(ShapeError):
        value(joined, x=np.ones((2, 3)), y=np.ones((1, 3)))


def test_splitting() -> None:
    x = np.arange(12.0).reshape(6, 2)
    for k in range(3):
        check(lambda v: ng.split(v, 3)[k], np.split(x, 3)[k], x)  # noqa: B023
        check(lambda v: ng.split(v, [1, 3, 2])[k], np.split(x, [1, 4])[k], x)  # noqa: B023
    for sizes in (4, [1, 2]):
        with pytest.raises(ShapeError):
            ng.split(variable((6,)), sizes)
        with pytest.raises(ShapeError):
            value(ng.split(ng.vector("v"), sizes)[0], v=np.zeros(6))


def test_repeating_and_moving() -> None:
    x = np.arange(6.0).reshape(2, 3)
    for reps in (2, (2, 1), (1, 3), (2, 1, 2), (0, 1), 1):
        check(lambda v: ng.tile(v, reps), np.tile(x, reps), x)  # noqa: B023
    for axis in (None, 0, 1, -1):
        check(lambda v: ng.repeat(v, 3, axis), np.repeat(x, 3, axis), x)  # noqa: B023
        check(lambda v: ng.flip(v, axis), np.flip(x, axis), x)  # noqa: B023
        for shift in (1, -2, 7, 0):
            check(lambda v: ng.roll(v, shift, axis), np.roll(x, shift, axis), x)  # noqa: B023
    check(lambda v, n: ng.repeat(v, n), np.repeat(x, 2), x, np.int64(2))
    check(lambda v: ng.roll(v, (1, 2), (0, 1)), np.roll(x, (1, 2), (0, 1)), x)
    check(lambda v: ng.roll(v, 1), np.zeros(0), np.zeros(0))
    check(lambda v: ng.diff(v, 2), np.diff(x, 2), x)
    testing.check_gradient(lambda v: ng.tile(v, (2, 2)) ** 2 * np.arange(24.0).reshape(4, 6), [x])
    testing.check_gradient(lambda v: ng.roll(v, 1, 1) * v, [x])
    testing.check_gradient(lambda v: ng.concatenate([v, v * v, v[:1]]) ** 2, [x])

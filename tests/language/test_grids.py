"""Values at equal ratios, positions, diagonals, activations and the confusion matrix, on every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_more_ops import check

import numgraph as ng
from numgraph import testing
from numgraph.errors import AxisError, DtypeError, IndexOutOfRange, OptionError, ShapeError

# -- equal ratios ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize("num", [0, 1, 2, 7])
def test_equal_ratios(num: int, endpoint: bool) -> None:
    a, b = np.float64(-0.5), np.float64(2.0)
    check(lambda a, b: ng.logspace(a, b, num, endpoint, 3.0), a, b, wanted=np.logspace(a, b, num, endpoint, 3.0))
    check(lambda a: ng.logspace(a, 1, num, endpoint), a, wanted=np.logspace(a, 1, num, endpoint))
    for low, high in ((1e-200, 1e200), (8.0, 0.5), (-1.0, -3.0)):
        wanted = np.geomspace(low, high, num, endpoint)
        check(lambda a, b: ng.geomspace(a, b, num, endpoint), np.float64(low), np.float64(high), wanted=wanted)
    np.testing.assert_allclose(ng.geomspace(1, 16, 5).eval(), [1, 2, 4, 8, 16], rtol=1e-14)
    assert np.array_equal(ng.logspace(0, 3, 4, dtype="int32").eval(), [1, 10, 100, 1000])


def test_gradients_of_equal_ratios() -> None:
    testing.check_gradient(
        lambda a, b: ng.sum(ng.geomspace(a, b, 5) * np.arange(5)), [np.float64(0.5), np.float64(4.0)]
    )
    testing.check_gradient(lambda a, b: ng.sum(ng.logspace(a, b, 5) * np.arange(5)), [np.float64(0.5), np.float64(1.0)])
    with pytest.raises(ShapeError, match="known now"):
        ng.geomspace(1, 2, ng.lscalar())


@pytest.mark.parametrize("name", ["linspace", "logspace", "geomspace"])
def test_values_along_another_axis(name: str) -> None:
    ours, numpys = getattr(ng, name), getattr(np, name)
    low, high = np.array([[0.5, 2.0]]), np.array([[1.0, 4.0], [3.0, 1.5]])
    for axis in (0, 1, 2, -1):
        wanted = numpys(low, high, 4, axis=axis)
        check(lambda a, b, axis=axis: ours(a, b, 4, axis=axis), low, high, wanted=wanted)
        np.testing.assert_allclose(ours(low, high, 4, axis=axis).eval(), wanted)
    with pytest.raises(AxisError, match=name):
        ours(ng.vector(), 1.0, axis=2)


def test_distances_of_linspace() -> None:
    a = np.array([1.0, 2.0])
    for num, endpoint in ((5, True), (5, False)):
        wanted = np.linspace(a, 3.0, num, endpoint, True)
        check(lambda a, n=num, e=endpoint: ng.linspace(a, 3.0, n, e, retstep=True), a, wanted=wanted)
    assert [v.eval().tolist() for v in ng.linspace(0, 1, 3, retstep=True)] == [[0, 0.5, 1], 0.5]


# -- positions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
def test_positions(order: Any) -> None:
    flat, shape = np.array([[0, 7], [23, 11]], "int32"), (2, 3, 4)
    wanted = np.unravel_index(flat, shape, order)
    check(lambda i: ng.unravel_index(i, shape, order), flat, wanted=wanted)
    check(lambda i: ng.unravel_index(i, (9,), order), np.arange(4), wanted=[np.arange(4)])
    check(lambda i, n: ng.unravel_index(i, (2, n, 4), order), flat, np.int64(3), wanted=wanted)
    check(lambda *k: ng.ravel_multi_index(k, shape, order=order), *wanted, wanted=flat.astype("int64"))
    far = [np.array([-3, 5]), np.array([4, -1])]
    for mode in ("wrap", "clip", ("clip", "wrap")):
        there: Any = np.ravel_multi_index(far, (3, 4), mode, order)
        check(lambda *k, mode=mode: ng.ravel_multi_index(k, (3, 4), mode, order), *far, wanted=there)
    check(lambda i: ng.unravel_index(i, shape, order)[0], flat[:0], wanted=wanted[0][:0])


def test_wrong_positions() -> None:
    n, m = ng.lvector("n"), ng.lvector("m")
    for wrong in ([6], [-1]):
        with pytest.raises(IndexOutOfRange):
            ng.function([n], ng.unravel_index(n, (2, 3)))(wrong)
    for pair in (([2], [0]), ([0], [3]), ([0], [-1])):
        with pytest.raises(IndexOutOfRange):
            ng.function([n, m], ng.ravel_multi_index((n, m), (2, 3)))(*pair)
    with pytest.raises(ShapeError, match="2 arrays of positions for 1 lengths"):
        ng.ravel_multi_index((n, m), (2,))
    with pytest.raises(OptionError, match="order must be"):
        ng.unravel_index(n, (2, 3), "K")
    with pytest.raises(DtypeError, match="positions are integers"):
        ng.unravel_index(ng.vector(), (2, 3))


# -- diagonals ------------------------------------------------------------------------------------------------------


def test_fill_diagonal() -> None:
    for shape in ((3, 3), (2, 4), (5, 2), (0, 3), (3, 3, 3)):
        x = np.random.default_rng(0).normal(size=shape)
        wanted = x.copy()
        np.fill_diagonal(wanted, np.nan)
        check(lambda x: ng.fill_diagonal(x, np.nan), x, wanted=wanted)
    x = np.arange(12).reshape(3, 4)
    for offset in (-3, -1, 0, 2, 4):
        wanted = np.where(np.eye(3, 4, offset, dtype=bool), 7, x)
        check(lambda x, k: ng.fill_diagonal_offset(x, 7, k), x, np.int64(offset), wanted=wanted)
    testing.check_gradient(lambda x, v: ng.sum(ng.fill_diagonal(x, v) ** 2), [x[:, :3] * 0.5, np.float64(3.0)])
    with pytest.raises(ShapeError, match="two axes"):
        ng.fill_diagonal(ng.vector(), 1)
    with pytest.raises(ShapeError, match="a scalar, not"):
        ng.fill_diagonal(ng.matrix(), [1, 2])
    cube = ng.tensor3("cube")
    with pytest.raises(ShapeError):
        ng.function([cube], ng.fill_diagonal(cube, 1))(np.ones((2, 3, 2)))


# -- activations ----------------------------------------------------------------------------------------------------


def fast(x: Any) -> Any:
    """Theano's ultra_fast_sigmoid of a number."""
    half = abs(x) * 0.5
    size = 0.99505475368673
    if half < 1.7:
        size = 1.5 * half / (1 + half)
    elif half < 3:
        size = 0.935409070603099 + 0.0458812946797165 * (half - 1.7)
    return 0.5 * (np.copysign(size, x) + 1.0)


def test_activations() -> None:
    x = np.array([-np.inf, -7.0, -5.0, -1.0, -0.0, 0.0, 0.5, 3.3, 3.5, 6.5, np.inf])
    with np.errstate(invalid="ignore"):
        check(lambda x: [ng.hard_sigmoid(x), ng.ultra_fast_sigmoid(x)], x,
              wanted=[np.clip(0.2 * x + 0.5, 0, 1), np.array([fast(v) for v in x])])  # fmt: skip
        elu = np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)) * 1.0507009873554805
        check(lambda x: [ng.selu(x), ng.softsign(x)], x, wanted=[elu, x / (1 + abs(x))])
    check(lambda n: [ng.hard_sigmoid(n), ng.softsign(n)], np.array([-3, 0, 1]), wanted=[[0, 0.5, 0.7], [-0.75, 0, 0.5]])
    check(ng.ultra_fast_sigmoid, np.array([np.nan, 1.0], "float32"), wanted=np.array([np.nan, 0.75], "float32"))
    inner = np.array([-4.0, -1.0, 0.3, 2.0, 5.0, 8.0])
    for name in ("hard_sigmoid", "ultra_fast_sigmoid", "selu", "softsign"):
        testing.check_gradient(lambda x, name=name: ng.sum(getattr(ng, name)(x)), [inner], order=1)


def test_confusion_matrix() -> None:
    actual, pred = np.array([3, 1, 3, 7, 1]), np.array([3, 3, 3, 1, 1])
    check(ng.confusion_matrix, actual, pred, wanted=[[[1, 1, 0], [0, 2, 0], [1, 0, 0]], [1, 3, 7]])
    check(ng.confusion_matrix, actual[:0], pred[:0], wanted=[np.zeros((0, 0), "int64"), actual[:0]])
    a, b = ng.lvector("a"), ng.lvector("b")
    with pytest.raises(ShapeError):
        ng.function([a, b], ng.confusion_matrix(a, b))([1, 2], [1])
    with pytest.raises(ShapeError, match="vectors are needed"):
        ng.confusion_matrix(ng.matrix(), a)

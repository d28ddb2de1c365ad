"""Theano's older modules, and functions that its programs call by their long names."""

from __future__ import annotations

from typing import Any

import numgraph.compat.theano.tensor as T
import numpy as np
import pytest
from numgraph.compat.theano.sandbox import linalg, multinomial
from numgraph.compat.theano.tensor.fourier import fft
from numgraph.compat.theano.tensor.nnet import abstract_conv as conv

import numgraph.compat.theano as theano


def test_outcomes_are_counted() -> None:
    p, u, n = T.dmatrix("p"), T.dvector("u"), T.iscalar("n")
    f = theano.function([p, u, n], multinomial.MultinomialFromUniform("auto")(p, u, n))
    rng = np.random.default_rng(0)
    chances, numbers = rng.random((3, 4)), rng.random(3 * 5)
    chances /= chances.sum(1, keepdims=True)
    wanted = np.zeros((3, 4))
    for k, number in enumerate(numbers):
        wanted[k % 3, np.searchsorted(np.cumsum(chances[k % 3]), number, "right")] += 1
    np.testing.assert_array_equal(f(chances, numbers, 5), wanted)
    # where the sum stays below the number, nothing is chosen
    np.testing.assert_array_equal(f([[0.5, 0.25], [1.0, 0.0]], [0.8, 0.8], 1), [[0, 0], [1, 0]])
    with pytest.raises(AssertionError, match="n numbers for each row"):
        f(chances, numbers, 4)
    with pytest.raises(NotImplementedError, match="must be a vector"):
        multinomial.MultinomialFromUniform()(p, p)
    assert multinomial.MultinomialFromUniform("int32")(p, u).dtype == "int32"
    again = multinomial.ChoiceFromUniform(replace=True)(p, u, n)
    places = theano.function([p, u, n], again)(chances, numbers, 5)
    assert places.dtype == "int64" and [np.bincount(row, minlength=4).tolist() for row in places] == wanted.tolist()


def test_outcomes_are_chosen_once() -> None:
    p, u = T.dmatrix("p"), T.dvector("u")
    op = multinomial.ChoiceFromUniform(odtype="int16", replace=False)
    found = theano.function([p, u], op(p, u, 3))([[0.2, 0.3, 0.5]] * 2, [0.1, 0.6, 0.5, 0.5, 0.3, 0.9])
    # 0.1 is in 0, then 0.5 in 2 of (3/8, 5/8); 0.6 is in 2, then 0.5 in 1 of (2/5, 3/5)
    assert found.dtype == "int16" and found.tolist() == [[0, 2, 1], [2, 1, 0]]
    n = T.iscalar("n")
    again = theano.function([p, u, n], op(p, u, n))([[0.2, 0.3, 0.5]] * 2, [0.1, 0.6, 0.5, 0.5, 0.3, 0.9], 3)
    assert again.dtype == "int16" and again.tolist() == found.tolist()


def test_linear_algebra_of_the_sandbox() -> None:
    x = T.dmatrix("x")
    a = np.array([[2.0, 0.5], [0.5, 1.0]])
    f = theano.function([x], [linalg.ops.spectral_radius_bound(x, 6), linalg.matrix_inverse(x), linalg.psd(x)])
    bound, inverse, same = f(a)
    largest = np.linalg.eigvalsh(a)[-1]
    assert largest <= bound < 1.02 * largest
    np.testing.assert_allclose(inverse, np.linalg.inv(a))
    assert same.tolist() == a.tolist() and linalg.kron is T.kron
    for wrong, error in (((T.dvector(), 2), TypeError), ((x, 2.0), TypeError), ((x, 0), ValueError)):
        with pytest.raises(error, match="spectral_radius_bound"):
            linalg.ops.spectral_radius_bound(*wrong)


def test_fourier() -> None:
    a = T.dmatrix("a")
    values = np.random.default_rng(0).random((8, 6))
    for n, axis in ((10, 0), (None, None), (4, 1)):
        got = fft(a, n, axis).eval({a: values})
        np.testing.assert_allclose(got, np.fft.fft(values, n, -1 if axis is None else axis), atol=1e-12)


def test_limits_that_are_the_wrong_way_round() -> None:
    x, low, high = T.dvector("x"), T.dscalar("low"), T.dscalar("high")
    values = np.array([-3.0, -0.5, 0.5, 2.0])
    for a, b, wanted in ((1.0, -1.0, [1, 1, 1, -1]), (-1.0, 1.0, [-1, -0.5, 0.5, 1])):
        clipped = T.clip(x, low, high)
        assert T.clip(x, a, b).eval({x: values}).tolist() == wanted
        assert clipped.eval({x: values, low: a, high: b}).tolist() == wanted
        slope = theano.function([x, low, high], T.grad(clipped.sum(), x))(values, a, b)
        assert slope.tolist() == ([0, 1, 1, 0] if a < b else [0] * 4)


def test_indices_as_functions() -> None:
    x, y, i, j = T.dmatrix("x"), T.dvector("y"), T.lvector("i"), T.lvector("j")
    given: Any = {x: np.arange(6.0).reshape(2, 3), y: np.array([10.0, 20.0]), i: np.array([0, 0]), j: np.array([1, 1])}

    def value(v: Any) -> Any:
        names = [x, y, i, j]
        return theano.function(names, v, on_unused_input="ignore")(*(given[n] for n in names)).tolist()

    assert value(T.advanced_subtensor(x, i, j)) == [1, 1]
    assert value(T.advanced_inc_subtensor(x, y, i, j)) == [[0, 31, 2], [3, 4, 5]]
    assert value(T.advanced_set_subtensor(x, 7.0, i, j)) == [[0, 7, 2], [3, 4, 5]]
    assert (
        value(T.advanced_inc_subtensor1(y, y, i)) == [40, 20] and value(T.advanced_subtensor1(x, j)) == [[3, 4, 5]] * 2
    )


def test_softmax_and_cross_entropy() -> None:
    x, y, g = T.dmatrix("x"), T.lvector("y"), T.dvector("g")
    given = np.array([[0.1, 0.7, -1.0], [2.0, 0.3, 0.0]]), np.array([1, 2]), np.array([0.5, -3.0])
    cost, p, most, place = T.nnet.crossentropy_softmax_max_and_argmax_1hot(x, y)
    slope = T.nnet.crossentropy_softmax_1hot_with_bias_dx(g, p, y)
    slopes = theano.function([x, y, g], [slope, T.grad((cost * g).sum(), x), most, p.max(1), place])(*given)
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-12)
    np.testing.assert_array_equal(slopes[2], slopes[3])
    assert slopes[4].tolist() == [1, 0]


@pytest.mark.parametrize("mode", ["valid", "half", "full", 1, (0, 2), ((1, 0), 2)])
@pytest.mark.parametrize("apart", [None, (2, 3)])
def test_shapes_of_convolutions(mode: Any, apart: Any) -> None:
    images, filters = (7, 4, 15, 17), (5, 4, 3, 4)
    whole = conv.get_conv_output_shape(images, filters, mode, (1, 1), apart)
    assert conv.get_conv_gradinputs_shape(filters, whole, mode, (1, 1), apart) == images
    found = conv.get_conv_gradweights_shape(images, whole, mode, (1, 1), apart)
    assert found == (filters if mode != "half" else (5, 4, None, None))
    assert conv.get_conv_gradinputs_shape(filters, whole, mode, (1, 2), apart)[3] is None
    assert conv.check_conv_gradinputs_shape(images, filters, whole, mode, (1, 1), apart)
    assert conv.check_conv_gradinputs_shape(images, filters, (None, 5, T.lscalar(), whole[3]), mode, (1, 1), apart)
    for k in range(4):
        other = (*whole[:k], whole[k] + 1, *whole[k + 1 :])
        assert not conv.check_conv_gradinputs_shape(images, filters, other, mode, (1, 1), apart)
    assert not conv.check_conv_gradinputs_shape(images, filters, whole, mode, (1,), apart)


def test_groups_and_unshared_filters() -> None:
    assert conv.get_conv_gradinputs_shape((6, 2, 3, 3), (5, 6, 8, 8), "valid", (1, 1), None, 2) == (5, 4, 10, 10)
    assert conv.get_conv_gradweights_shape((5, 4, 10, 10), (5, 6, 8, 8), "valid", (1, 1), None, 2) == (6, 2, 3, 3)
    shape = conv.get_conv_gradweights_shape((5, 4, 10, 10), (5, 6, 8, 8), "valid", (1, 1), None, 1, True)
    assert shape == (6, 8, 8, 4, 3, 3)
    with pytest.raises(ValueError, match="border_mode must be 0 or more"):
        conv.get_conv_gradinputs_shape((6, 2, 3, 3), (5, 6, 8, 8), -1, (1, 1))


def test_shapes_that_calls_look_at() -> None:
    x, n, m = T.dmatrix("x"), T.lscalar("n"), T.lscalar("m")
    f = theano.function([n, m], list(conv.assert_conv_shape((n, 0, m, 3)))[0::2])
    assert [int(v) for v in f(0, 1)] == [0, 1]
    for wrong in ((-1, 1), (0, 0)):
        with pytest.raises(AssertionError, match="a convolution cannot have the shape"):
            f(*wrong)
    with pytest.raises(ValueError, match="length 3 is less than 1"):
        conv.assert_conv_shape((n, 0, m, 0))
    assert conv.assert_shape(x, (2, 2)) is x
    with theano.change_flags([("conv.assert_shape", True)]):
        g = theano.function([x, n], conv.assert_shape(x, (None, n)))
        assert conv.assert_shape(x, None) is x
    assert g(np.ones((2, 3)), 3).shape == (2, 3)
    with pytest.raises(AssertionError, match=r"Unexpected shape\."):
        g(np.ones((2, 3)), 2)


def test_functions_in_place() -> None:
    from numgraph.compat.theano.tensor import inplace

    x, y = T.dvectors("x", "y")
    assert inplace.exp_inplace is T.exp and inplace.add_inplace is T.add
    got = theano.function([x, y], [inplace.mul_inplace(x, y), x])([1.0, 2.0], [3.0, 4.0])
    assert [v.tolist() for v in got] == [[3, 8], [1, 2]]


def test_targets_of_draws() -> None:
    from numgraph.compat.theano.sandbox.rng_mrg import MRG_RandomStreams

    p = np.array([[0.2, 0.8]])
    for name, named in {
        "uniform": {"size": (2,)}, "binomial": {"size": (2,)}, "normal": {"size": (2,)},
        "truncated_normal": {"size": (2,)}, "multinomial": {"pvals": p}, "choice": {"replace": False, "p": p},
    }.items():  # fmt: skip
        with_target, without = (
            theano.function([], getattr(MRG_RandomStreams(3), name)(**named, **more))()
            for more in ({"target": "cpu"}, {})
        )
        np.testing.assert_array_equal(with_target, without)

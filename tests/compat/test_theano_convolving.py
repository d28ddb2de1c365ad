"""Theano's functions around convolution: adjoints, separable and causal filters, upsampling, neighbourhoods,
normalisation; against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numgraph as ng
import numgraph.compat.theano as theano
from numgraph.compat.theano import tensor as T

abstract_conv, bn, neighbours = T.nnet.abstract_conv, T.nnet.bn, T.nnet.neighbours
pool = T.signal.pool
RNG = np.random.default_rng(4)
X, W = RNG.normal(size=(2, 4, 7, 8)), RNG.normal(size=(6, 2, 3, 2))
OPTIONS: dict[str, Any] = {"border_mode": (1, 2), "subsample": (2, 1), "filter_dilation": (1, 2), "num_groups": 2}


def test_adjoints_of_a_convolution_are_its_gradients() -> None:
    x, w, g = (T.dtensor4(name) for name in "xwg")
    y = T.nnet.conv2d(x, w, **OPTIONS)
    images = abstract_conv.conv2d_grad_wrt_inputs(g, w, (None, None, x.shape[2], x.shape[3]), **OPTIONS)
    filters = abstract_conv.conv2d_grad_wrt_weights(input=x, output_grad=g, filter_shape=(6, 2, 3, 2), **OPTIONS)
    shape = abstract_conv.get_conv_output_shape(X.shape, W.shape, (1, 2), (2, 1), (1, 2))
    cotangent = RNG.normal(size=shape)
    found = theano.function([x, w, g], [*T.grad(T.sum(y * g), [x, w]), images, filters])(X, W, cotangent)
    np.testing.assert_allclose(found[2], found[0], atol=1e-12)
    np.testing.assert_allclose(found[3], found[1], atol=1e-12)
    wrong = abstract_conv.conv2d_grad_wrt_weights(x, g, (6, 2, 3, 3), **OPTIONS)
    with pytest.raises(ng.ShapeError):
        theano.function([x, g], wrong)(X, cotangent)
    assert abstract_conv.get_conv_output_shape((None, 3, 9, None), (5, 3, 2, 2), "half", (2, 2)) == (None, 5, 5, None)
    with pytest.raises(ng.ShapeError, match="not None"):
        abstract_conv.conv2d_grad_wrt_inputs(g, w, (2, 4, None, 8))
    with pytest.raises(ValueError, match="0 or more"):
        abstract_conv.get_conv_output_shape((1, 1, 9, 9), (1, 1, 2, 2), (-1, 0), (1, 1))


def test_separable_filters_have_a_channel_each() -> None:
    x, apart, mixing = (T.dtensor4(name) for name in ("x", "apart", "mixing"))
    depth, point = RNG.normal(size=(8, 1, 3, 3)), RNG.normal(size=(5, 8, 1, 1))
    made = T.nnet.separable_conv2d(x, apart, mixing, num_channels=4, border_mode="half")
    each = T.concatenate(
        [T.nnet.conv2d(x[:, c : c + 1], apart[2 * c : 2 * c + 2], border_mode="half") for c in range(4)], axis=1
    )
    wanted = T.nnet.conv2d(each, mixing)
    found = theano.function([x, apart, mixing], [made, wanted])(X, depth, point)
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)


def test_causal_filters_see_no_later_step() -> None:
    x, w = T.dtensor3("x"), T.dtensor3("w")
    signal, kernel = RNG.normal(size=(1, 1, 9)), RNG.normal(size=(1, 1, 3))
    f = theano.function([x, w], abstract_conv.causal_conv1d(x, w, (1, 1, 3), filter_dilation=2))
    spread = np.array([kernel[0, 0, 0], 0, kernel[0, 0, 1], 0, kernel[0, 0, 2]])
    np.testing.assert_allclose(f(signal, kernel)[0, 0], np.convolve(signal[0, 0], spread)[:9], atol=1e-12)
    with pytest.raises(ng.ShapeError, match="three axes"):
        abstract_conv.causal_conv1d(T.dmatrix(), w)


def test_bilinear_upsampling_is_interpolation() -> None:
    x = T.dtensor4("x")
    made = [
        abstract_conv.bilinear_upsampling(x, 3),
        abstract_conv.bilinear_upsampling(x, ratio=2, use_1D_kernel=False),
        abstract_conv.bilinear_upsampling(x, frac_ratio=((6, 4), (5, 3)), use_1D_kernel=False),
    ]
    found = theano.function([x], made)(X)
    for value, (rows, columns) in zip(found, (((3, 1), (3, 1)), ((2, 1), (2, 1)), ((3, 2), (5, 3))), strict=True):
        wanted = X
        for axis, (up, down) in ((2, rows), (3, columns)):
            n = X.shape[axis]
            at = (np.arange(0, n * up, down) - (up - 1) // 2) / up
            wanted = np.apply_along_axis(lambda line, at=at, n=n: np.interp(at, np.arange(n), line), axis, wanted)
        np.testing.assert_allclose(value, wanted, atol=1e-12)
    np.testing.assert_allclose(abstract_conv.bilinear_kernel_1D(3).eval(), np.array([1, 2, 3, 2, 1]) / 3)
    assert abstract_conv.bilinear_kernel_2D((2, 3)).eval().shape == (3, 5)
    ng.testing.verify_grad(lambda v: abstract_conv.bilinear_upsampling(v, 2), [X[:1, :1, :3, :3]])
    for wrong in ({}, {"ratio": 2, "frac_ratio": (2, 1)}, {"frac_ratio": (3, 2)}):
        with pytest.raises(ng.OptionError, match="ratio"):
            abstract_conv.bilinear_upsampling(x, **wrong)


def test_neighbourhoods_that_wrap_and_sizes_that_are_constants() -> None:
    x = T.dtensor4("x")
    around = neighbours.images2neibs(x, T.as_tensor_variable((3, 3)), neib_step=(2, 1), mode="wrap_centered")
    padded = np.pad(X, [(0, 0), (0, 0), (1, 1), (1, 1)], "wrap")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2].reshape(-1, 9)
    np.testing.assert_array_equal(theano.function([x], around)(X), windows)
    with pytest.raises(TypeError, match="odd"):
        neighbours.images2neibs(x, (3, 2), mode="wrap_centered")
    parts = neighbours.images2neibs(x, (3, 3), mode="ignore_borders")
    back = neighbours.neibs2images(parts, (3, 3), x.shape, mode="ignore_borders")
    wanted = X.copy()
    wanted[:, :, 6:], wanted[:, :, :, 6:] = 0, 0
    np.testing.assert_array_equal(theano.function([x], back)(X), wanted)
    with pytest.raises(NotImplementedError, match="half"):
        neighbours.neibs2images(parts, (3, 3), x.shape, mode="half")


def test_pooling_that_keeps_the_size() -> None:
    x = T.dtensor4("x")
    found = theano.function([x], pool.max_pool_2d_same_size(x, (2, 4)))(X)
    whole = np.zeros_like(X)
    for i, j in np.ndindex(3, 2):
        block = X[:, :, 2 * i : 2 * i + 2, 4 * j : 4 * j + 4]
        whole[:, :, 2 * i : 2 * i + 2, 4 * j : 4 * j + 4] = block * (block == block.max((2, 3), keepdims=True))
    np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("axes", ["per-activation", "spatial", (1, 2)])
@pytest.mark.parametrize("whole", [True, False])
def test_parameters_of_normalisation_with_all_axes_or_those_that_are_left(axes: Any, whole: bool) -> None:
    over = {"per-activation": (0,), "spatial": (0, 2, 3)}.get(axes, axes) if isinstance(axes, str) else axes
    shape = tuple(1 if k in over else n for k, n in enumerate(X.shape))
    own = shape if whole else tuple(n for k, n in enumerate(X.shape) if k not in over)
    x, *parameters = (T.TensorType("float64", [False] * n)(name) for n, name in zip(
        (4, *[len(own)] * 4), ("x", "gamma", "beta", "m", "v"), strict=True))  # fmt: skip
    values = [RNG.uniform(0.5, 2.0, size=own) for _ in parameters]
    gamma, beta, running, variance = parameters
    trained = bn.batch_normalization_train(x, gamma, beta, axes, 1e-3, 0.3, running, variance)
    tested = bn.batch_normalization_test(x, gamma, beta, running, variance, axes, 1e-3)
    found = theano.function([x, *parameters], [*trained, tested])(X, *values)
    g, b, m, v = (value.reshape(shape) for value in values)
    mean, var, n = X.mean(over, keepdims=True), X.var(over, keepdims=True), X.size / np.prod(shape)
    inverse = 1 / np.sqrt(var + 1e-3)
    wanted = [(X - mean) * inverse * g + b, mean, inverse, m * 0.7 + mean * 0.3, v * 0.7 + n / (n - 1) * var * 0.3]
    for value, exact in zip(found, [*wanted, (X - m) / np.sqrt(v + 1e-3) * g + b], strict=True):
        assert value.shape in (X.shape, own)
        np.testing.assert_allclose(value, exact.reshape(value.shape), atol=1e-12)


def test_normalisation_refuses_other_parameters() -> None:
    x, vector, matrix = T.dtensor4("x"), T.dvector("vector"), T.dmatrix("matrix")
    with pytest.raises(ng.ShapeError, match="gamma must have the 4 axes of the inputs, or the 1"):
        bn.batch_normalization_train(x, matrix, matrix, "spatial")
    with pytest.raises(ng.ShapeError, match="beta"):
        bn.batch_normalization_train(x, vector, matrix, "spatial")
    with pytest.raises(ng.OptionError, match="given both"):
        bn.batch_normalization_train(x, vector, vector, "spatial", running_mean=vector)
    with pytest.raises(ng.OptionError, match="1e-05 or more"):
        bn.batch_normalization_train(x, vector, vector, "spatial", epsilon=1e-6)
    with pytest.raises(ng.OptionError, match="axes must be"):
        bn.batch_normalization_train(x, vector, vector, "channels")
    with pytest.raises(ng.AxisError, match="no axes of"):
        bn.batch_normalization_test(x, vector, vector, vector, vector, (4,))


def test_flags_of_a_block_as_a_list_of_pairs() -> None:
    with theano.change_flags([("conv.assert_shape", True)]):
        assert theano.config.conv.assert_shape is True
    assert theano.config.conv.assert_shape is False

"""Theano's functions of images: their arguments, and what they mean, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numgraph as ng
import numgraph.compat.theano as theano
from numgraph.compat.theano import tensor as T

RNG = np.random.default_rng(2)
X, W = RNG.normal(size=(2, 3, 8, 7)), RNG.normal(size=(4, 3, 3, 2))


def value(expression: Any, **arrays: Any) -> Any:
    """Its value, of the inputs by name."""
    inputs = [v for v in theano.gof.graph.inputs([expression]) if v.name in arrays]
    return theano.function(inputs, expression)(*(arrays[str(v.name)] for v in inputs))


def plain(x: Any, w: Any) -> Any:
    """True convolutions, filters turned around."""
    from scipy import signal  # takes seconds

    return np.stack([[sum(signal.convolve(a, b, "valid") for a, b in zip(i, k, strict=True)) for k in w] for i in x])


def test_filters_are_flipped() -> None:
    x, w = T.dtensor4("x"), T.dtensor4("w")
    made = T.nnet.conv2d(input=x, filters=w, filter_shape=(4, 3, 3, 2), input_shape=(2, 3, 8, 7))
    np.testing.assert_allclose(value(made, x=X, w=W), plain(X, W), atol=1e-12)
    np.testing.assert_allclose(value(T.nnet.conv.conv2d(x, w), x=X, w=W), plain(X, W), atol=1e-12)
    turned = T.nnet.conv2d(x, w, filter_flip=False, subsample=(2, 1), image_shape=(None, 3, None, None))
    np.testing.assert_allclose(value(turned, x=X, w=W), plain(X, W[:, :, ::-1, ::-1])[:, :, ::2], atol=1e-12)


def test_border_modes_and_dilation() -> None:
    x, w = T.dtensor4("x"), T.dtensor4("w")
    odd = RNG.normal(size=(4, 3, 3, 3))
    for mode, margin in (("half", 1), ("full", 2), (1, 1), ((2, 2), 2)):
        padded = np.pad(X, [(0, 0), (0, 0), (margin, margin), (margin, margin)])
        made = T.nnet.conv2d(x, w, border_mode=mode)
        np.testing.assert_allclose(value(made, x=X, w=odd), plain(padded, odd), atol=1e-12)
    assert value(T.nnet.conv2d(x, w, filter_dilation=(2, 3)), x=X, w=odd).shape == (2, 4, 4, 1)


def test_a_shape_that_is_promised_is_checked() -> None:
    x, w = T.dtensor4("x"), T.dtensor4("w")
    with pytest.raises(ng.ShapeError, match="5"):
        value(T.nnet.conv2d(x, w, input_shape=(5, 3, 8, 7)), x=X, w=W)


def test_transposed_convolution_is_the_gradient() -> None:
    g, w, x = T.dtensor4("g"), T.dtensor4("w"), T.dtensor4("x")
    made = T.nnet.conv2d_transpose(g, w, output_shape=(2, 3, 8, 7), border_mode=(1, 0), input_dilation=(2, 1))
    forward = T.nnet.conv2d(x, w, border_mode=(1, 0), subsample=(2, 1))
    shape = value(forward, x=X, w=W).shape
    cotangent = RNG.normal(size=shape)
    wanted = theano.function([x, w, g], T.grad(T.sum(forward * g), x))(X, W, cotangent)
    np.testing.assert_allclose(value(made, g=cotangent, w=W), wanted, atol=1e-12)


def test_convolution_of_signals() -> None:
    from scipy import signal

    a, k = T.dmatrix("a"), T.dmatrix("k")
    one = T.signal.conv.conv2d(a, k, border_mode="full")
    np.testing.assert_allclose(value(one, a=X[0, 0], k=W[0, 0]), signal.convolve(X[0, 0], W[0, 0]), atol=1e-12)
    stack, kernels = T.dtensor3("stack"), T.dtensor3("kernels")
    found = value(T.signal.conv.conv2d(stack, kernels), stack=X[:, 0], kernels=W[:, 0])
    np.testing.assert_allclose(found, plain(X[:, :1], W[:, :1]), atol=1e-12)


def test_pooling_under_all_its_names() -> None:
    x = T.dtensor4("x")
    wanted = X[:, :, :, :6].reshape(2, 3, 4, 2, 3, 2).max(axis=(3, 5))
    for made in (
        T.signal.pool.pool_2d(x, (2, 2), ignore_border=True),
        T.signal.pool.pool_2d(input=x, ds=(2, 2), ignore_border=True),
        T.signal.downsample.max_pool_2d(x, (2, 2), ignore_border=True),
    ):
        np.testing.assert_array_equal(value(made, x=X), wanted)
    with pytest.warns(UserWarning, match="ignore_border is not given"):
        over = T.signal.pool.pool_2d(x, (2, 2))
    assert value(over, x=X).shape == (2, 3, 4, 4)
    np.testing.assert_array_equal(value(over, x=X)[..., 3], X[..., 6].reshape(2, 3, 4, 2).max(axis=-1))
    with pytest.raises(NotImplementedError, match="ignore_border=True"):
        T.signal.pool.pool_2d(x, (2, 2), ignore_border=False, pad=(1, 1))


def test_means_with_and_without_padding() -> None:
    x, ones = T.dtensor4("x"), np.ones((1, 1, 2, 2))
    options: dict[str, Any] = {"ws": (2, 2), "ignore_border": True, "pad": (1, 1)}
    included = T.signal.pool.pool_2d(x, mode="average_inc_pad", **options)
    np.testing.assert_allclose(value(included, x=ones), np.full((1, 1, 2, 2), 0.25))
    excluded = T.signal.pool.pool_2d(x, mode="average_exc_pad", **options)
    np.testing.assert_allclose(value(excluded, x=ones), np.ones((1, 1, 2, 2)))
    np.testing.assert_allclose(value(T.signal.pool.pool_2d(x, mode="sum", **options), x=ones), np.ones((1, 1, 2, 2)))


@pytest.mark.parametrize(("axes", "over", "shape"), [("per-activation", 0, (3, 4, 5)), ("spatial", (0, 2, 3), (3,))])
def test_batch_normalization(axes: str, over: Any, shape: Any) -> None:
    x, gamma, beta = T.dtensor4("x"), T.dtensor4("gamma"), T.dtensor4("beta")
    running = T.dtensor4("running")
    values = RNG.normal(size=(6, 3, 4, 5))
    wide = (1, *shape) if axes == "per-activation" else (1, 3, 1, 1)
    g, b, r = RNG.normal(size=wide), RNG.normal(size=wide), np.full(wide, 2.0)
    made = T.nnet.bn.batch_normalization_train(
        x, T.patternbroadcast(gamma, [n == 1 for n in wide]), T.patternbroadcast(beta, [n == 1 for n in wide]), axes,
        running_mean=running, running_var=running,
    )  # fmt: skip
    out, mean, inverse, new_mean, new_var = theano.function([x, gamma, beta, running], list(made))(values, g, b, r)
    m, v = values.mean(axis=over, keepdims=True), values.var(axis=over, keepdims=True)
    np.testing.assert_allclose(out, (values - m) / np.sqrt(v + 1e-4) * g + b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mean, m, atol=1e-12)
    np.testing.assert_allclose(inverse, 1 / np.sqrt(v + 1e-4), rtol=1e-10)
    count = values.size / m.size
    np.testing.assert_allclose(new_mean, 0.9 * r + 0.1 * m, rtol=1e-10)
    np.testing.assert_allclose(new_var, 0.9 * r + 0.1 * v * count / (count - 1), rtol=1e-10)


def test_neighbourhoods() -> None:
    x = T.dtensor4("x")
    rows = T.nnet.neighbours.images2neibs(x, neib_shape=(2, 7))
    np.testing.assert_array_equal(value(rows, x=X), X.reshape(2 * 3 * 4, 14))


def test_shapes_that_a_flag_has_checked() -> None:
    x, w = T.dtensor4("x"), T.dtensor4("w")
    for flag, error in ((False, ValueError), (True, AssertionError)):
        with theano.change_flags([("conv.assert_shape", flag)]):
            f = theano.function([x, w], T.nnet.conv2d(x, w, input_shape=(None, 2, 5, 5), filter_shape=(3, 2, 2, 2)))
        assert f(np.ones((1, 2, 5, 5)), np.ones((3, 2, 2, 2))).shape == (1, 3, 4, 4)
        with pytest.raises(error):
            f(np.ones((1, 2, 6, 5)), np.ones((3, 2, 2, 2)))

"""Theano's layers with weights of their own for each place or class, against loops in NumPy."""

from __future__ import annotations

from typing import Any

import numgraph.compat.theano.tensor as T
import numpy as np
import pytest
from numgraph.compat.theano.tensor.nnet.abstract_conv import conv2d_grad_wrt_inputs, conv2d_grad_wrt_weights
from numgraph.compat.theano.tensor.nnet.conv3d2d import conv3d

import numgraph as ng
import numgraph.compat.theano as theano
from numgraph import testing

RNG = np.random.default_rng(8)


def by_hand(x: Any, w: Any, margins: tuple[int, int], step: int, apart: int, groups: int, flip: bool) -> Any:
    """(images, filters, rows, columns) of filters (filters, rows, columns, channels, height, width)."""
    x = np.pad(x, ((0, 0), (0, 0), (margins[0],) * 2, (margins[1],) * 2))
    count, rows, columns, channels, height, width = w.shape
    w = w[..., ::-1, ::-1] if flip else w
    out = np.zeros((len(x), count, rows, columns))
    for k, i, j in np.ndindex(count, rows, columns):
        first = k // (count // groups) * channels
        down = i * step + apart * np.arange(height)
        right = j * step + apart * np.arange(width)
        seen = x[:, first : first + channels][:, :, down][:, :, :, right]
        out[:, k, i, j] = (seen * w[k, i, j]).sum((1, 2, 3))
    return out


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("mode, step, apart, groups", [("valid", 1, 1, 1), ("half", 2, 1, 2), ((1, 2), 1, 2, 1)])
def test_filters_of_places(mode: Any, step: int, apart: int, groups: int, flip: bool) -> None:
    x = RNG.normal(size=(2, 4, 7, 6))
    margins = {"valid": (0, 0), "half": (1, 1)}.get(mode, mode)
    rows, columns = ((n + 2 * m - 2 * apart - 1) // step + 1 for n, m in zip((7, 6), margins, strict=True))
    w = RNG.normal(size=(4, rows, columns, 4 // groups, 3, 3))
    a, b = T.dtensor4("a"), T.TensorType("float64", (False,) * 6)("b")
    options: dict[str, Any] = dict(
        border_mode=mode, subsample=(step, step), filter_dilation=(apart, apart), num_groups=groups, unshared=True,
        filter_flip=flip,
    )  # fmt: skip
    out = T.nnet.conv2d(a, b, **options)
    wanted = by_hand(x, w, margins, step, apart, groups, flip)
    np.testing.assert_allclose(theano.function([a, b], out)(x, w), wanted, rtol=1e-10, atol=1e-12)
    # adjoints: sums of products with what is linear
    g = RNG.normal(size=wanted.shape)
    of_x = conv2d_grad_wrt_inputs(g, b, (None, None, 7, 6), **options)
    turned = T.nnet.conv2d_transpose(
        g, b, (None, None, 7, 6), None, mode, (step, step), flip, (apart, apart), groups, unshared=True
    )
    np.testing.assert_array_equal(*theano.function([b], [of_x, turned])(w))
    of_w = conv2d_grad_wrt_weights(a, g, (None, None, 3, 3), **options)
    gx, gw = theano.function([a, b], [of_x, of_w])(x, w)
    assert gx.shape == x.shape and gw.shape == w.shape
    np.testing.assert_allclose([(gx * x).sum(), (gw * w).sum()], (g * wanted).sum(), rtol=1e-9)


def test_places_that_are_not_there_are_refused() -> None:
    a, b = T.dtensor4("a"), T.TensorType("float64", (False,) * 6)("b")
    f = theano.function([a, b], T.nnet.conv2d(a, b, unshared=True))
    with pytest.raises(ng.ShapeError):
        f(np.ones((1, 1, 5, 5)), np.ones((1, 4, 3, 1, 3, 3)))
    with pytest.raises(ng.ShapeError, match="unshared filters have 6 axes"):
        T.nnet.conv2d(a, a, unshared=True)


@pytest.mark.parametrize("mode", ["valid", "full", ("half", "valid", "full")])
def test_films(mode: Any) -> None:
    x, w = RNG.normal(size=(2, 5, 3, 6, 4)), RNG.normal(size=(2, 3, 3, 3, 2))
    a, b = T.dtensor5("a"), T.dtensor5("b")
    got = theano.function([a, b], conv3d(a, b, border_mode=mode))(x, w)
    modes = (mode,) * 3 if isinstance(mode, str) else mode
    pairs = [{"valid": 0, "half": n // 2, "full": n - 1}[m] for m, n in zip(modes, (3, 3, 2), strict=True)]
    wide = np.pad(x, [(0, 0), (pairs[0],) * 2, (0, 0), (pairs[1],) * 2, (pairs[2],) * 2])
    seen = np.lib.stride_tricks.sliding_window_view(wide, (3, 3, 2), (1, 3, 4))
    wanted = np.einsum("ntchwijk,ficjk->ntfhw", seen, w[:, ::-1, :, ::-1, ::-1])
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_softmax_by_classes() -> None:
    """All outputs, those that are wanted, and the gradient of their logarithm."""
    x, w1, b1 = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2)), RNG.normal(size=2)
    w2, b2, target = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 3)), np.array([4, 0, 3])
    inside = softmax(np.einsum("nd,cdo->nco", x, w2) + b2)
    wanted = (softmax(x @ w1 + b1)[:, :, None] * inside).reshape(3, 6)
    v, t = T.dmatrix("v"), T.lvector("t")
    made = [T.nnet.h_softmax(v, 3, 5, 2, 3, w1, b1, w2, b2, k) for k in (None, t)]
    found, of_target = theano.function([v, t], made)(x, target)
    np.testing.assert_allclose(found, wanted[:, :5], rtol=1e-12)
    np.testing.assert_allclose(of_target, wanted[range(3), target], rtol=1e-12)
    testing.check_gradient(
        lambda x, w: -ng.log(T.nnet.h_softmax(x, 3, 5, 2, 3, w1, b1, w, b2, target)), [x, w2], testing.by_reference
    )

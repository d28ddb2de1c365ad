"""What programs call in Theano's modules for GPUs, against NumPy."""

from __future__ import annotations

import os
from typing import Any

import numgraph.compat.theano.tensor as T
import numpy as np
import pytest
from numgraph.compat.theano.gpuarray import dnn
from numgraph.compat.theano.sandbox.cuda import basic_ops, blas
from numgraph.compat.theano.sandbox.cuda import dnn as old
from numgraph.compat.theano.tensor.nnet import corr, corr3d
from numpy.typing import NDArray

import numgraph.compat.theano as theano
from numgraph.compat.theano import gpuarray
from tests.waits import python

Array = NDArray[Any]
_ENDINGS = ("", "_gradWeights", "_gradInputs")


def _drawn(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def _correlated(x: Array, w: Array, margin: int, step: int) -> Array:
    """Images (n, channels, ...) with filters (m, channels, ...), which are not flipped."""
    count = x.ndim - 2
    padded = np.pad(x, [(0, 0), (0, 0), *[(margin, margin)] * count])
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=tuple(range(2, x.ndim)))
    windows = windows[(slice(None), slice(None), *[slice(None, None, step)] * count)]
    found = np.tensordot(windows, w, axes=((1, *range(2 + count, 2 + 2 * count)), (1, *range(2, 2 + count))))
    return np.moveaxis(found, -1, 1)


@pytest.mark.parametrize("count", [2, 3])
def test_convolutions(count: int) -> None:
    ending, axes = ("", "3d")[count - 2], tuple(range(2, 2 + count))
    x, w = _drawn(2, 3, *(7,) * count), _drawn(4, 3, *(3,) * count)
    named: dict[str, Any] = {"border_mode": (1,) * count, "subsample": (2,) * count}
    convolve = getattr(dnn, f"dnn_conv{ending}")
    for mode, filters in (("cross", w), ("conv", np.flip(w, axes))):
        out = convolve(img=x, kerns=w, conv_mode=mode, **named).eval()
        np.testing.assert_allclose(out, _correlated(x, filters, 1, 2), rtol=1e-10)
        desc = dnn.GpuDnnConvDesc(conv_mode=mode, **named)(w.shape)
        np.testing.assert_allclose(dnn.GpuDnnConv()(x, w, np.ones(out.shape), desc, 2.0, 1.0).eval(), 2 * out + 1)
        # a convolution is linear in each of both: <out, g> is <x, the gradient for x>, and that of filters
        g = _drawn(*out.shape)
        total = (out * g).sum()
        for_x = getattr(dnn, f"dnn_gradinput{ending}")(w, g, x.shape, conv_mode=mode, **named)
        for_w = getattr(dnn, f"dnn_gradweight{ending}")(x, g, w.shape, conv_mode=mode, **named)
        ops = dnn.GpuDnnConvGradI()(w, g, x, desc), dnn.GpuDnnConvGradW()(x, g, w, desc)
        for found, value in ((for_x, x), (for_w, w), (ops[0], x), (ops[1], w)):
            assert (found.eval() * value).sum() == pytest.approx(total, rel=1e-10)
    with pytest.raises(ValueError, match=r"conv_mode must be one of conv, .*'odd'"):
        convolve(x, w, conv_mode="odd")


@pytest.mark.parametrize("count", [2, 3])
def test_correlations(count: int) -> None:
    """Ops that flip no filters, on a processor and on a GPU."""
    x, w = _drawn(2, 3, *(7,) * count), _drawn(4, 3, *(3,) * count)
    wanted = _correlated(x, w, 1, 2)
    g = _drawn(*wanted.shape)
    total = (wanted * g).sum()
    margins, steps = (1,) * count, (2,) * count
    for module, name in (((corr, corr3d)[count - 2], ""), (blas, "Gpu"), (gpuarray.blas, "Gpu")):
        ops = [getattr(module, f"{name}Corr{'' if count == 2 else '3d'}MM{end}") for end in _ENDINGS]
        out, for_w, for_x = (op(margins, steps) for op in ops)
        np.testing.assert_allclose(out(x, w).eval(), wanted, rtol=1e-10)
        np.testing.assert_allclose(ops[0](subsample=steps, pad=margins)(x, w).eval(), wanted, rtol=1e-10)
        assert (for_x(w, g, x.shape[2:]).eval() * x).sum() == pytest.approx(total, rel=1e-10)
        assert (for_w(x, g, w.shape[2:]).eval() * w).sum() == pytest.approx(total, rel=1e-10)


def test_groups_are_those_of_the_op_or_of_the_description() -> None:
    x, w = _drawn(2, 4, 5, 5), _drawn(6, 2, 3, 3)
    wanted = np.concatenate([_correlated(x[:, k : k + 2], w[j : j + 3], 0, 1) for k, j in ((0, 0), (2, 3))], 1)
    one = dnn.GpuDnnConv(num_groups=2)(x, w, wanted, dnn.GpuDnnConvDesc("valid", conv_mode="cross")(w.shape))
    two = dnn.dnn_conv(x, w, conv_mode="cross", num_groups=2)
    for found in (one, two):
        np.testing.assert_allclose(found.eval(), wanted, rtol=1e-10)


def test_a_transposed_convolution_as_programs_write_it() -> None:
    """Of cuDNN's gradient for images, whose memory they allocate themselves."""
    x, w = T.dtensor4("x"), T.dtensor4("w")
    img, kerns = basic_ops.gpu_contiguous(x), basic_ops.gpu_contiguous(w)
    out = basic_ops.gpu_alloc_empty(img.shape[0], kerns.shape[1], img.shape[2] * 2, img.shape[3] * 2)
    desc = old.GpuDnnConvDesc(border_mode=(2, 2), subsample=(2, 2), conv_mode="conv")(out.shape, kerns.shape)
    made = basic_ops.host_from_gpu(old.GpuDnnConvGradI()(kerns, img, out, desc))
    values, filters = _drawn(2, 3, 4, 4), _drawn(3, 2, 5, 5)
    found = theano.function([x, w], made)(values, filters)
    other = _drawn(2, 2, 8, 8)
    assert found.shape == (2, 2, 8, 8)
    forward = _correlated(other, np.flip(filters, (2, 3)), 2, 2)
    assert (found * other).sum() == pytest.approx((forward * values).sum(), rel=1e-10)
    assert basic_ops.HostFromGpu()(x) is basic_ops.as_cuda_ndarray_variable(x) is x


def test_pooling_takes_every_window_unless_it_is_told_a_stride() -> None:
    x = np.arange(32.0).reshape(1, 2, 4, 4)
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(2, 3))
    for mode, wanted in (("max", windows.max((4, 5))), ("sum", windows.sum((4, 5))), ("average", windows.mean((4, 5)))):
        np.testing.assert_allclose(dnn.dnn_pool(x, (2, 2), mode=mode).eval(), wanted)
    strided = dnn.dnn_pool(x, (2, 2), stride=(2, 2), mode="max_deterministic", pad=(1, 1)).eval()
    assert strided[0, 0].tolist() == [[0, 2, 3], [8, 10, 11], [12, 14, 15]]


def test_normalisation() -> None:
    x = _drawn(3, 2, 4, 4)
    ones = np.ones((1, 2, 1, 1))
    out, mean, inverse = (v.eval() for v in dnn.dnn_batch_normalization_train(x, ones, 0 * ones, "spatial", 1e-4))
    np.testing.assert_allclose(mean, x.mean((0, 2, 3), keepdims=True))
    np.testing.assert_allclose(inverse, 1 / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-4))
    np.testing.assert_allclose(out, (x - mean) * inverse)
    var = ones * 3
    again = dnn.dnn_batch_normalization_test(x, ones, ones, mean, var, mode="spatial").eval()
    np.testing.assert_allclose(again, (x - mean) / np.sqrt(var + 1e-4) + 1)


def test_these_are_there_for_programs_that_ask_for_a_gpu() -> None:
    assert not dnn.dnn_present("dev0") and not old.dnn_available() and "device=gpu" in old.dnn_available.msg
    with theano.config.change_flags(device="cuda0"):
        assert dnn.dnn_present("dev0")
    lines = (
        "import numgraph.compat.theano as t; from numgraph.compat.theano import gpuarray, sandbox;"
        "print(sandbox.cuda.cuda_enabled, sandbox.cuda.cuda_available, gpuarray.pygpu_activated)"
    )
    for device, wanted in (("gpu1", "True True False"), ("cuda", "False False True"), ("cpu", "False False False")):
        environment = os.environ | {"THEANO_FLAGS": f"device={device}"}
        said = python("-c", lines, env=environment, check=True)
        assert said.stdout.strip() == wanted

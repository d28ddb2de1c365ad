"""Theano's ops of pooling, by windows in NumPy."""

from __future__ import annotations

from itertools import product
from typing import Any

import numgraph.compat.theano.tensor as T
import numpy as np
import pytest
from numgraph.compat.theano.tensor.signal.pool import (
    AveragePoolGrad,
    DownsampleFactorMaxGradGrad,
    MaxPoolGrad,
    Pool,
)

import numgraph as ng
import numgraph.compat.theano as theano

RNG = np.random.default_rng(8)


def windows(shape: Any, ws: Any, step: Any, pad: Any, ignore: bool) -> list[list[slice]]:
    """The parts of each axis of the array with its margins that the windows have."""
    found = []
    for n, w, s, p in zip(shape, ws, step, pad, strict=True):
        whole = n + 2 * p
        starts = [k for k in range(0, whole, s) if k + w <= whole] if ignore else list(range(0, whole, s))
        while not ignore and len(starts) > 1 and starts[-1] - s + w >= whole:
            starts.pop()
        found.append([slice(k, k + w) for k in starts])
    return found


def by_hand(x: Any, ws: Any, step: Any, pad: Any, ignore: bool, mode: str) -> Any:
    """The pooled last axes of x."""
    count = len(ws)
    margins = [(0, 0)] * (x.ndim - count) + [(p, p) for p in pad]
    wide = np.pad(x, margins, constant_values=-np.inf if mode == "max" else np.nan)
    parts = windows(x.shape[-count:], ws, step, pad, ignore)
    out = np.zeros((*x.shape[:-count], *map(len, parts)))
    for place in product(*(range(len(p)) for p in parts)):
        seen = wide[(..., *(p[k] for p, k in zip(parts, place, strict=True)))]
        axes = tuple(range(-count, 0))
        if mode == "max":
            value = seen.max(axes)
        elif mode == "average_inc_pad":
            value = np.nansum(seen, axes) / np.prod(seen.shape[-count:])
        else:
            value = np.nansum(seen, axes) / (1 if mode == "sum" else (~np.isnan(seen)).sum(axes))
        out[(..., *place)] = value
    return out


CASES = [
    ((3, 7), (2,), (2,), (0,)),
    ((2, 3, 7, 5), (2, 3), (2, 3), (0, 0)),
    ((2, 3, 7, 5), (3, 2), (2, 1), (1, 1)),
    ((3, 7, 5), (2, 2), (3, 3), (0, 0)),
    ((2, 5, 4, 6), (2, 2, 3), (1, 2, 2), (0, 1, 1)),
    ((2, 3, 4, 3, 4), (2, 2, 2, 2), (1, 2, 1, 2), (0, 1, 0, 1)),
]


@pytest.mark.parametrize("mode", ["max", "sum", "average_inc_pad", "average_exc_pad"])
@pytest.mark.parametrize("ignore", [True, False])
@pytest.mark.parametrize(("shape", "ws", "step", "pad"), CASES)
def test_pool(shape: Any, ws: Any, step: Any, pad: Any, ignore: bool, mode: Any) -> None:
    count = len(ws)
    x, values = T.TensorType("float64", (False,) * len(shape))("x"), RNG.normal(size=shape)
    op = Pool(ignore_border=ignore, mode=mode, ndim=count)
    if not ignore and any(pad):
        with pytest.raises(NotImplementedError, match="padding works only"):
            op(x, ws, step, pad)
        return
    out = op(x, ws, step, pad)
    wanted = by_hand(values, ws, step, pad, ignore, mode)
    got = theano.function([x], out)(values)
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)  # a mean of numbers of two signs may be next to 0
    assert list(wanted.shape) == Pool.out_shape(shape, ws, ignore, step, pad, ndim=count)
    lengths = Pool.out_shape(list(x.shape), ws, ignore, step, pad, ndim=count)
    assert [int(n.eval({x: values})) for n in lengths[-count:]] == list(wanted.shape[-count:])
    # the gradients by differences along a direction: both ops are linear in what they are given
    g, along = RNG.normal(size=wanted.shape), RNG.normal(size=shape)
    if mode == "max":
        found = MaxPoolGrad(ignore, count)(x, out, g, ws, step, pad)
        change = DownsampleFactorMaxGradGrad(ignore, ndim=count)(x, out, along, ws, step, pad)
    else:
        found = AveragePoolGrad(ignore, mode, count)(x, g, ws, step, pad)
        change = T.Rop(out, x, T.constant(along))
    gx, moved = theano.function([x], [found, change])(values)
    eps = 1e-6
    slope = (by_hand(values + eps * along, ws, step, pad, ignore, mode) - wanted) / eps
    np.testing.assert_allclose(moved, slope, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose((gx * along).sum(), (g * slope).sum(), rtol=1e-4, atol=1e-4)


def test_what_is_refused() -> None:
    with pytest.raises(ng.ShapeError, match="2 axes are pooled"):
        Pool()(T.dvector(), (2, 2))
    with pytest.raises(ValueError, match="needs ws"):
        Pool.out_shape((4, 4))
    assert Pool.out_shape((2, 4, 5), ds=(2, 2), st=(2, 2), padding=(0, 0)) == [2, 2, 3]

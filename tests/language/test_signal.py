"""Convolution and correlation of signals against NumPy and SciPy: axes in front, margins, dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal

import numgraph as ng
from numgraph import testing

RNG = np.random.default_rng(7)
TARGETS = ("cpu", "reference")
X, W, LONG = RNG.normal(size=(2, 3, 6)), RNG.normal(size=4), RNG.normal(size=9)


def value(build: Callable[..., Any], *arrays: Any, target: str = "cpu", static: bool = False) -> Any:
    """What a function of arrays gives."""
    inputs = testing.variables_for([np.asarray(a) for a in arrays], static)
    return ng.function(inputs, build(*inputs), target=target)(*arrays)


def rows(function: Callable[..., Any], a: Any, v: Any, mode: str) -> Any:
    """NumPy's or SciPy's function of each pair of signals."""
    return np.vectorize(lambda x, w: function(x, w, mode), signature="(n),(k)->(m)")(a, v)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_axes_in_front(name: str, mode: str) -> None:
    numpys, ours = getattr(np, name), getattr(ng, name)
    for a, v in ((X, W), (X, LONG), (W, X), (X, X[:, :, :3]), (X[:, :1], X[0]), (X, W + 1j * W[::-1])):
        for target in TARGETS:
            got = value(lambda x, w: ours(x, w, mode), a, v, target=target)
            np.testing.assert_allclose(got, rows(numpys, a, v, mode), rtol=1e-12, atol=1e-12)


def test_integers_stay_integers() -> None:
    big = np.array([2**53 + 1, 3, -1])
    got = value(lambda x, w: ng.convolve(x, w), big, np.array([1, 1]))
    assert got.dtype == "int64" and (got == np.convolve(big, [1, 1])).all()


@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_two_axes(mode: str, boundary: str) -> None:
    x = RNG.normal(size=(5, 6))
    for shape in ((3, 3), (2, 4), (5, 6), (7, 9), (1, 1)):
        w = RNG.normal(size=shape)
        for fill in (0, 0.5) if boundary == "fill" else (0,):
            wanted = scipy.signal.convolve2d(x, w, mode, boundary, fill)
            for static in (True, False):
                got = value(lambda a, b, fill=fill: ng.convolve2d(a, b, mode, boundary, fill), x, w, static=static)
                np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


def test_stacks_of_images() -> None:
    x, w = RNG.normal(size=(2, 3, 5, 5)), RNG.normal(size=(3, 2, 2))
    got = value(lambda a, b: ng.convolve2d(a, b, "same", "symm"), x, w)
    wanted = [[scipy.signal.convolve2d(i, k, "same", "symm") for i, k in zip(s, w, strict=True)] for s in x]
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


GRADIENTS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "shared kernel": (lambda x, w: ng.convolve(x, w, "same"), (X, W)),
    "own kernels": (lambda x, w: ng.convolve(x, w, "valid"), (X, X[0, :, :2])),
    "longer kernel": (lambda x, w: ng.correlate(x, w), (X[0], LONG)),
    "images": (lambda x, w: ng.convolve2d(x, w, "full", "wrap"), (X, X[0, :2, :2])),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient(name: str) -> None:
    build, arrays = GRADIENTS[name]
    testing.check_gradient(build, arrays, order=2, tolerance=1e-4)


def test_mistakes() -> None:
    x, m = ng.vector("x"), ng.matrix("m")
    with pytest.raises(ng.ShapeError, match="matrices are needed, not x"):
        ng.convolve2d(m, x)
    with pytest.raises(ng.OptionError, match="boundary is one of fill, wrap, symm"):
        ng.convolve2d(m, m, boundary="mirror")
    with pytest.raises(ng.ShapeError):
        value(ng.convolve, np.ones(3), np.ones(0))

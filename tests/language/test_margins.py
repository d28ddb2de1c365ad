"""Margins whose values are computed, and softmax over several axes, against NumPy and SciPy on every target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from test_more_ops import check

import numgraph as ng
from numgraph import testing

X = np.array([[3.0, -1.0, 0.5, 2.0], [0.25, 4.0, -2.0, 1.0], [1.5, 2.5, -0.5, 8.0]])
WHOLE = np.array([[3, -1, 2, 2], [0, 4, -2, 1]], "int16")


@pytest.mark.parametrize("mode", ["maximum", "minimum", "mean", "median"])
@pytest.mark.parametrize("counts", [None, 2, (1, 3), ((2, 1), (9, 2))])
def test_statistics(mode: Any, counts: Any) -> None:
    # each is compiled: widths of all kinds with one dtype, the other one with one width
    for x, width in [(X, ((1, 0), (0, 3))), *([(X, 2), (WHOLE, ((1, 0), (0, 3)))] if counts is None else [])]:
        wanted = np.pad(x, width, mode, stat_length=counts)
        check(lambda v, w=width: ng.pad(v, w, mode, stat_length=counts), x, wanted=wanted)


@pytest.mark.parametrize("end", [0, -4, (1, 5), ((1, 2), (3, 9))])
def test_ramps(end: Any) -> None:
    for x, width in [(X, ((0, 2), (4, 1))), (WHOLE, 3), *([(X[:, :1], 3)] if end == 0 else [])]:
        wanted = np.pad(x, width, "linear_ramp", end_values=end)
        check(lambda v, w=width: ng.pad(v, w, "linear_ramp", end_values=end), x, wanted=wanted)


@pytest.mark.parametrize("mode", ["reflect", "symmetric"])
def test_odd_mirrors(mode: Any) -> None:
    for x, width in [(X, ((1, 0), (0, 3))), (X, 9), (WHOLE, ((0, 2), (4, 0))), (X[:, :1], ((0, 0), (2, 3)))]:
        wanted = np.pad(x, width, mode, reflect_type="odd")
        check(lambda v, w=width: ng.pad(v, w, mode, reflect_type="odd"), x, wanted=wanted)
    v, n = ng.vector("v"), ng.lscalar("n")
    f = ng.function([v, n], ng.pad(v, (n, 2), mode, reflect_type="odd"))
    for width in (0, 11):
        np.testing.assert_allclose(f(X[0], width), np.pad(X[0], (width, 2), mode, reflect_type="odd"))
    testing.check_gradient(lambda v: ng.sum(ng.pad(v, 7, mode, reflect_type="odd") ** 2), [X[:, :2]])
    with pytest.raises(ng.ShapeError, match="empty axis"):
        f(X[0, :0], 1)


def test_widths_that_are_known_at_the_call() -> None:
    v, n = ng.vector("v"), ng.lscalar("n")
    f = ng.function([v, n], [ng.pad(v, (n, 1), "mean"), ng.pad(v, n, "linear_ramp", end_values=v[0])])
    for width in (0, 3):
        found = f(X[0], width)
        np.testing.assert_allclose(found[0], np.pad(X[0], (width, 1), "mean"))
        np.testing.assert_allclose(found[1], np.pad(X[0], width, "linear_ramp", end_values=3.0))


def test_widths_in_one_variable() -> None:
    x, pair, each = ng.matrix("x"), ng.lvector("pair"), ng.tensor("each", "int64", (2, 2))
    f = ng.function([x, pair, each], [ng.pad(x, pair, "edge"), ng.pad(x, each), ng.pad(x, each, "linear_ramp")])
    rows = np.array([[1, 0], [2, 3]])
    found = f(X, [2, 1], rows)
    for value, wanted in zip(
        found, (np.pad(X, (2, 1), "edge"), np.pad(X, rows), np.pad(X, rows, "linear_ramp")), strict=True
    ):
        np.testing.assert_allclose(value, wanted)
    with pytest.raises(ng.ShapeError, match="a number or two for each axis"):
        ng.pad(x, ng.lmatrix())


def test_gradients_of_margins() -> None:
    for mode, options in (("mean", {}), ("maximum", {"stat_length": 2}), ("linear_ramp", {"end_values": 2.0})):
        testing.check_gradient(lambda v, m=mode, o=options: ng.sum(ng.pad(v, 2, m, **o) ** 2), [X])


def test_options_of_other_modes_are_refused() -> None:
    v = ng.vector("v")
    with pytest.raises(ng.OptionError, match="stat_length is for mode maximum"):
        ng.pad(v, 1, "edge", stat_length=2)
    with pytest.raises(ng.OptionError, match="end_values is for mode linear_ramp"):
        ng.pad(v, 1, "mean", end_values=2)
    with pytest.raises(ng.OptionError, match="reflect_type is for mode reflect, symmetric"):
        ng.pad(v, 1, "wrap", reflect_type="odd")
    with pytest.raises(ng.OptionError, match='"even" or "odd", not \'both\''):
        ng.pad(v, 1, "reflect", reflect_type="both")
    with pytest.raises(ng.OptionError, match="mode must be one of constant"):
        ng.pad(v, 1, "empty")
    with pytest.raises(ng.ShapeError):
        ng.pad(v, 1, "mean", stat_length=-1)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_over_several_axes(name: str) -> None:
    cube = np.linspace(-3, 2, 24).reshape(2, 3, 4) ** 2
    ours, scipys = getattr(ng, name), getattr(scipy.special, name)
    for axis in (None, (0, 2), (1, 0), (-1, 1), (1,)):
        check(lambda x, axis=axis: ours(x, axis), cube, wanted=scipys(cube, axis=axis))
    testing.check_gradient(lambda x: ng.sum(ours(x, (0, 2)) ** 2), [cube[:, :2, :2]])
    with pytest.raises(ng.ShapeError, match="an axis is needed"):
        ours(ng.scalar(), None)

"""PyTensor's interpolation of points on a line, by several methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f

METHODS = ("linear", "nearest", "first", "last", "mean")


def interpolate1d(
    x: Any, y: Any, method: str = "linear", left_pad: Any = None, right_pad: Any = None, extrapolate: bool = True
) -> Callable[[Any], Variable]:
    """A function that interpolates the points (x, y): of places, an array of any shape, it gives values.

    x, y: vectors of one length; x need not be in order. method: "linear" between neighbours, the "nearest" of both, the
    "first" or the "last" of them, or their "mean". extrapolate: go on beyond the ends as between the outermost points;
    without it there is left_pad or right_pad, numbers or scalars (None: the value at that end).

    OptionError for another method, ShapeError for what is no vector.
    """
    if method not in METHODS:
        raise OptionError(f"interpolate1d: method is one of {', '.join(METHODS)}, not {method!r}")
    points, values = as_variable(x), as_variable(y)
    for v in (points, values):
        if v.ndim != 1:
            raise ShapeError(f"interpolate1d: vectors are needed, not {describe(v)}")
    order = f.argsort(points)
    points, values = points[order], values[order]
    ends = (values[0] if left_pad is None else left_pad, values[-1] if right_pad is None else right_pad)

    def at(places: Any) -> Variable:
        where = as_variable(places)
        count = ln.dim(points, 0)
        index = f.searchsorted(points, where)
        found = _between(points, values, where, index, method)
        if not extrapolate:
            found = f.where(f.eq(index, 0), ends[0], f.where(f.eq(index, count), ends[1], found))
        return found

    return at


def _between(points: Variable, values: Variable, where: Variable, index: Variable, method: str) -> Variable:
    """The values at places, of which `index` says before which point they are."""
    last = ln.dim(points, 0) - 1
    if method in ("first", "last"):
        chosen: Variable = values[f.clip(index - 1 if method == "first" else index, 0, last)]
        return chosen
    right = f.clip(index, 1, last)
    left = right - 1
    if method == "mean":
        middle: Variable = (values[left] + values[right]) / 2
        return middle
    if method == "nearest":
        nearer = f.le(where - points[left], points[right] - where)
        found: Variable = f.where(nearer, values[left], values[right])
        return found
    slope = (where - points[left]) / (points[right] - points[left])
    line: Variable = values[left] + slope * (values[right] - values[left])
    return line

"""Statistics beyond sums: medians and quantiles, weighted means, covariances, and all that leaves out NaN.

`axis` as in `reduce`. What is not known better is as in NumPy.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Constant, Variable, as_operands, as_variable, describe
from numgraph.op import floating
from numgraph.ops import lengths as ln
from numgraph.ops.define import f, spread
from numgraph.ops.fitted import with_elements
from numgraph.ops.reduce import axes_of, reduced
from numgraph.ops.statistics import count_of, rounded_once
from numgraph.types import DISCRETE, REALS, check_dtype

__all__ = [
    "average", "corrcoef", "count_nonzero", "cov", "median", "nan_to_num", "nanargmax", "nanargmin", "nanmax",
    "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar",
    "percentile", "quantile",
]  # fmt: skip

# -- without NaN ----------------------------------------------------------------------------------------------------


def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """How many elements along `axis` are not 0, int64; NaN is not 0."""
    return f.sum(f.neq(reduced("count_nonzero", x), 0), axis, None, keepdims)


def _filled(x: Variable, value: float) -> Variable:
    return x if x.type.dtype in DISCRETE else f.where(f.isnan(x), value, x)


def nansum(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """The sum along `axis` of what is not NaN, 0 for nothing; dtypes as for `sum`."""
    return f.sum(_filled(reduced("nansum", x), 0.0), axis, dtype, keepdims)


def nanprod(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """The product along `axis` of what is not NaN, 1 for nothing; dtypes as for `prod`."""
    return f.prod(_filled(reduced("nanprod", x), 1.0), axis, dtype, keepdims)


def _counted(x: Variable, axis: Any, keepdims: bool) -> Variable:
    return f.sum(f.logical_not(f.isnan(x)), axis, None, keepdims)


def nanmean(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """The mean along `axis` of what is not NaN, NaN for nothing; dtypes as for `mean`."""
    v = reduced("nanmean", x)
    if v.type.dtype in DISCRETE:
        return f.mean(v, axis, dtype, keepdims)
    if (v.type.dtype if dtype is None else check_dtype(dtype)) == "float16":
        return rounded_once(nanmean, v, axis, "float32", keepdims)
    total = nansum(v, axis, dtype, keepdims)
    return f.true_div(total, f.cast(_counted(v, axis, keepdims), total.type.dtype))


def nanvar(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """The variance along `axis` of what is not NaN, with n - ddof degrees of freedom; NaN where there are none."""
    v = reduced("nanvar", x)
    if v.type.dtype in DISCRETE:
        return f.var(v, axis, ddof, keepdims)
    axes = axes_of("nanvar", v, axis)
    if v.type.dtype == "float16":
        return rounded_once(nanvar, v, axes, ddof, keepdims)
    difference = _filled(f.sub(v, nanmean(v, axes, keepdims=True)), 0.0)
    freedom = f.cast(f.sub(_counted(v, axes, keepdims), ddof), v.type.dtype)
    squares = f.sum(f.mul(difference, difference), axes, None, keepdims)
    return f.where(f.gt(freedom, 0), f.true_div(squares, freedom), math.nan)


def nanstd(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """The standard deviation along `axis` of what is not NaN: the square root of `nanvar`."""
    v = as_variable(x)
    if v.type.dtype == "float16":
        return rounded_once(nanstd, v, axis, ddof, keepdims)
    return f.sqrt(nanvar(v, axis, ddof, keepdims))


def _extreme(name: str, ignored: float) -> Callable[..., Variable]:
    """The reduction `name` of what is not NaN; NaN where all are."""

    def build(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
        v = reduced(f"nan{name}", x)
        function: Callable[..., Variable] = getattr(f, name)
        if v.type.dtype in DISCRETE:
            return function(v, axis, keepdims)
        nothing = f.all(f.isnan(v), axis, keepdims)
        return f.where(nothing, math.nan, function(_filled(v, ignored), axis, keepdims))

    build.__name__ = build.__qualname__ = f"nan{name}"
    build.__doc__ = f"`{name}` along `axis` of what is not NaN, NaN where all are. ShapeError at run time for nothing."
    return build


nanmax, nanmin = _extreme("max", -math.inf), _extreme("min", math.inf)


def _position(name: str, ignored: float) -> Callable[..., Variable]:
    def build(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
        function: Callable[..., Variable] = getattr(f, name)
        return function(_filled(reduced(f"nan{name}", x), ignored), axis, keepdims)

    build.__name__ = build.__qualname__ = f"nan{name}"
    build.__doc__ = f"`{name}` of what is not NaN, int64; 0 where all are NaN, for which NumPy raises ValueError."
    return build


nanargmax, nanargmin = _position("argmax", -math.inf), _position("argmin", math.inf)


def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Variable:
    """x with `nan` in the place of NaN, and the largest and the lowest number of its dtype, or what is given, in that
    of infinities. Integers stay what they are."""
    v = as_variable(x)
    if v.type.dtype in DISCRETE:
        return v
    most = float(np.finfo(v.type.dtype).max)
    above, below = most if posinf is None else posinf, -most if neginf is None else neginf
    infinite = f.where(f.gt(v, 0), f.cast(above, v.type.dtype), f.cast(below, v.type.dtype))
    return f.where(f.isnan(v), f.cast(nan, v.type.dtype), f.where(f.isinf(v), infinite, v))


# -- quantiles ------------------------------------------------------------------------------------------------------

METHODS = ("linear", "lower", "higher", "nearest", "midpoint")


def _as_floats(x: Any) -> Variable:
    v = as_variable(x)
    return v if v.type.dtype in REALS else f.cast(v, "float64")


def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Variable:
    """The number below which the part q of the elements along `axis` is, for each q, whose axes come first.

    method: what is taken between two elements: "linear" interpolation, the "lower", the "higher", the "nearest" or the
    "midpoint". A NaN makes NaN. OptionError for another method, ValueError for a known q outside of [0, 1];
    IndexOutOfRange when the function runs for others, and for no elements. The gradient goes to the elements taken.
    """
    return _quantile("quantile", x, q, axis, method, keepdims)


def _part(name: str, percent: Any) -> Any:
    """What part of all so many percent are."""
    q = as_variable(percent)
    if not isinstance(q, Constant):
        return f.true_div(f.cast(q, "float64"), 100.0)
    if not ((q.data >= 0) & (q.data <= 100)).all():
        raise ValueError(f"{name}: q must lie in [0, 100], not {q.data}")
    return np.asarray(q.data, np.float64) / 100.0


def _quantile(name: str, x: Any, q: Any, axis: Any, method: str, keepdims: bool) -> Variable:
    if method not in METHODS:
        raise OptionError(f"{name}: method must be one of {', '.join(METHODS)}, not {method!r}")
    v, share = _as_floats(x), f.cast(q, "float64")
    if isinstance(share, Constant) and not ((share.data >= 0) & (share.data <= 1)).all():
        raise ValueError(f"{name}: q must lie in [0, 1], not {share.data}")
    skips = name.startswith("nan")
    axes = axes_of(name, v, axis)
    line, last = _as_last(v, axes), v.ndim - len(axes)
    line = with_elements(line, [line.ndim - 1], name, f"{name}: there are no elements along the axis of")
    # rows of elements, sorted, NaN last
    ordered = f.sort(line, -1)
    if skips:
        count: Any = _counted(ordered, -1, True)
    else:
        count = ln.dim(ordered, ordered.ndim - 1)
    # the axes of q in front of those that are left, and one for the row
    place = f.reshape(share, (*share.shape, *((1,) * (last + 1)))) if last else f.shape_padright(share)
    place = f.mul(place, f.cast(f.sub(count, 1), "float64"))
    place = f.maximum(place, 0.0) if skips else place
    found = _between(ordered, place, method, share.ndim, skips)
    if not skips:
        broken = f.any(f.isnan(line), -1)
        found = f.where(broken, math.nan, found)
    if not keepdims:
        return found
    kept = [1 if a in axes else ln.dim(v, a) for a in builtins.range(v.ndim)]
    return f.reshape(found, (*share.shape, *kept))


def _as_last(v: Variable, axes: tuple[int, ...]) -> Variable:
    """v with all of `axes` as one last axis."""
    rest = [a for a in builtins.range(v.ndim) if a not in axes]
    moved = f.dimshuffle(v, *rest, *axes)
    if len(axes) == 1:
        return moved
    return f.reshape(moved, (*(ln.dim(v, a) for a in rest), count_of(v, axes)))


def _between(ordered: Variable, place: Variable, method: str, front: int, skips: bool) -> Variable:
    """The values at fractional places of sorted rows. front: how many axes of `place` come before those of the rows."""
    lower, upper = f.floor(place), f.ceil(place)
    if method == "lower":
        upper = lower
    elif method == "higher":
        lower = upper
    elif method == "nearest":
        lower = upper = f.round(place)
    at = [_taken(ordered, f.cast(where, "int64"), front, skips) for where in (lower, upper)]
    if lower is upper:
        return at[0]
    weight = f.where(f.eq(lower, upper), 0.0, 0.5) if method == "midpoint" else f.sub(place, lower)
    part = f.cast(f.dimshuffle(weight, *builtins.range(place.ndim - 1)), ordered.type.dtype)
    # what is taken whole may be infinite
    return f.add(at[0], f.where(f.eq(at[0], at[1]), 0, f.mul(part, f.sub(at[1], at[0]))))


def _taken(ordered: Variable, index: Variable, front: int, skips: bool) -> Variable:
    """ordered[..., index] for each place, without the axis of the row."""
    if not skips:
        flat = f.dimshuffle(index, *builtins.range(front))
        found = f.take(ordered, flat, ordered.ndim - 1)
        # the axes of the places come last
        rest = ordered.ndim - 1
        return f.dimshuffle(found, *builtins.range(rest, rest + front), *builtins.range(rest))
    wide = f.broadcast_to(ordered, (*index.shape[:front], *ordered.shape))
    lengths = (*wide.shape[:-1], 1)
    found = f.take_along_axis(wide, f.broadcast_to(index, lengths), wide.ndim - 1)
    return f.dimshuffle(found, *builtins.range(found.ndim - 1))


def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Variable:
    """`quantile` for q in percent, a known one from 0 to 100."""
    return _quantile("percentile", x, _part("percentile", q), axis, method, keepdims)


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The element in the middle along `axis`, or the mean of the two; a NaN makes NaN. Integers give float64."""
    return _quantile("median", x, 0.5, axis, "linear", keepdims)


def nanquantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Variable:
    """`quantile` of what is not NaN, NaN where all are."""
    return _quantile("nanquantile", x, q, axis, method, keepdims)


def nanpercentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Variable:
    """`percentile` of what is not NaN, NaN where all are."""
    return _quantile("nanpercentile", x, _part("nanpercentile", q), axis, method, keepdims)


def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """`median` of what is not NaN, NaN where all are."""
    return _quantile("nanmedian", x, 0.5, axis, "linear", keepdims)


# -- weights --------------------------------------------------------------------------------------------------------


def average(
    x: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: bool = False
) -> Variable | tuple[Variable, Variable]:
    """The mean along `axis`, weighted. weights: of x's shape, or a vector along one axis.

    returned: (average, sum of the weights). ShapeError for weights of another shape.
    """
    v = as_variable(x)
    axes = axes_of("average", v, axis)
    if weights is None:
        mean = f.mean(v, axes, None, keepdims)
        return (mean, f.full_like(mean, f.cast(count_of(v, axes), mean.type.dtype))) if returned else mean
    w = as_variable(weights)
    if w.ndim == 1 and v.ndim != 1 and len(axes) == 1:
        w = spread(f.matched(w, [ln.dim(v, axes[0])], "average"), axes[0], v.ndim)
        w = f.broadcast_to(w, v.shape)
    elif w.ndim == v.ndim:
        w = f.matched(w, ln.dims_of(v), "average")
    else:
        raise ShapeError(
            f"average: weights are of x's shape, or a vector along one axis\n  {describe(v)}\n  {describe(w)}"
        )
    dtype = floating([v.type.dtype, w.type.dtype])
    # as of `rounded_once`
    wide = "float32" if dtype == "float16" else dtype
    v, w = f.cast(v, wide), f.cast(w, wide)
    total = f.sum(w, axes, None, keepdims)
    mean = f.cast(f.true_div(f.sum(f.mul(v, w), axes, None, keepdims), total), dtype)
    return (mean, f.cast(total, dtype)) if returned else mean


def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
    aweights: Any = None,
) -> Variable:  # fmt: skip
    """The covariance matrix of the rows of m (rowvar=False: its columns), and of those of y; of a vector its variance.

    ddof: by default 1, or 0 with `bias`. fweights: how often each observation counts; aweights: its weight. ShapeError
    for more than two axes.
    """
    parts = [_observed(v, rowvar) for v in as_operands(*(v for v in (m, y) if v is not None))]
    x = f.concatenate(parts, 0) if len(parts) > 1 else parts[0]
    if x.type.dtype == "float16":
        wide = [None if v is None else f.cast(v, "float32") for v in (m, y)]
        return f.cast(cov(wide[0], wide[1], rowvar, bias, ddof, fweights, aweights), "float16")
    freedom = (0 if bias else 1) if ddof is None else ddof
    count = f.cast(ln.dim(x, 1), x.type.dtype)
    weights = [f.cast(w, x.type.dtype) for w in (fweights, aweights) if w is not None]
    if not weights:
        centred = f.sub(x, f.mean(x, 1, None, True))
        norm, other = f.sub(count, freedom), centred
    else:
        w = weights[0] if len(weights) == 1 else f.mul(*weights)
        total = f.sum(w)
        centred = f.sub(x, f.true_div(f.sum(f.mul(x, w), 1, None, True), total))
        other = f.mul(centred, w)
        # with weights of observations a degree of freedom counts their mean weight
        share = f.true_div(f.sum(f.mul(w, weights[-1])), total) if aweights is not None else 1.0
        norm = f.sub(total, f.mul(share, freedom))
    found = f.true_div(f.dot(centred, f.transpose(other)), f.maximum(norm, 0))
    return found[0, 0] if y is None and as_variable(m).ndim < 2 else found


def _observed(v: Variable, rowvar: bool) -> Variable:
    """Variables by observations."""
    if v.ndim > 2:
        raise ShapeError(f"cov: a vector or a matrix is needed, not {describe(v)}")
    v = _as_floats(v)
    if v.ndim < 2:
        return f.reshape(v, (1, -1))
    return v if rowvar else f.transpose(v)


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Variable:
    """The correlation coefficients of the rows of x (rowvar=False: its columns), and of those of y."""
    c = cov(x, y, rowvar)
    if not c.ndim:
        return f.true_div(c, c)
    deviation = f.sqrt(f.diagonal(c))
    scaled = f.true_div(f.true_div(c, f.shape_padright(deviation)), deviation)
    return f.clip(scaled, -1.0, 1.0)

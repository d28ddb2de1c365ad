"""Functions of sampled values: interpolation, differences and sums of them, running extremes."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, apply, as_operands, as_variable, describe
from numgraph.op import OPS, Kernel, Op, int64, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.define import as_floats, f, spread
from numgraph.ops.join import flip, part
from numgraph.ops.sort import along, flattened, sampled_lines
from numgraph.types import DISCRETE, FLOATS

__all__ = [
    "cross", "cummax", "cummin", "ediff1d", "gradient", "interp", "logcumsumexp",
    "trapezoid", "unwrap",
]  # fmt: skip


# -- running extremes -----------------------------------------------------------------------------------------------


def _running(beyond: Any) -> Any:
    def positions(x: NDArray[Any], axis: int) -> NDArray[Any]:
        line = np.moveaxis(np.asarray(x), axis, 0)
        out = np.zeros(line.shape, np.int64)
        for j in range(1, len(line)):
            best = np.take_along_axis(line, out[j - 1][None], 0)[0]
            out[j] = np.where(beyond(line[j], best) | ((line[j] != line[j]) & (best == best)), j, out[j - 1])
        return np.moveaxis(out, 0, axis)

    return positions


def _running_op(name: str, extreme: str, beyond: Any) -> None:
    Op(
        name, ("x",), f"Where the {extreme} element so far is along `axis`: the first of equal ones, the first NaN.",
        int64, _running(beyond), None, no_grad="positions are integers",
        kernel=Kernel(f"scans.{name}", lambda x, axis: along(x, axis)),
        batch=over_stacks(name), shape=lambda x, axis: x.shape, samples=sampled_lines,
    )  # fmt: skip


_running_op("cumargmax", "largest", np.greater)
_running_op("cumargmin", "smallest", np.less)


def _extreme(name: str, position: str, x: Any, axis: Any) -> Variable:
    v, k = flattened(name, x, axis)
    return f.take_along_axis(v, apply(OPS[position], [v], axis=k), k)


def cummax(x: Any, axis: Any = None) -> Variable:
    """The largest element up to each one along `axis` (None: of the flattened x); NaN from the first one on.

    The gradient goes to the first of equal elements.
    """
    return _extreme("cummax", "cumargmax", x, axis)


def cummin(x: Any, axis: Any = None) -> Variable:
    """The smallest element up to each one along `axis` (None: of the flattened x); NaN from the first one on.

    The gradient goes to the first of equal elements.
    """
    return _extreme("cummin", "cumargmin", x, axis)


def _logcumsumexp_grad(g: Variable, out: Variable, x: Variable, axis: int) -> tuple[Variable]:
    """exp(x) times the sums of g * exp(-out) from behind: of positive and negative g apart, by their logarithms."""
    parts = []
    for size in (f.maximum(g, 0), f.maximum(f.neg(g), 0)):
        logs = f.where(f.gt(size, 0), f.sub(f.log(size), out), -math.inf)
        behind = flip(apply(OPS["logcumsumexp"], [flip(logs, axis)], axis=axis), axis)
        parts.append(f.where(f.eq(x, -math.inf), 0, f.exp(f.add(x, behind))))
    return (f.sub(*parts),)


Op(
    "logcumsumexp", ("x",), "log(exp(x[0]) + ... + exp(x[j])) along `axis`, without overflow.", same,
    lambda x, axis: np.logaddexp.accumulate(np.asarray(x), axis=axis), _logcumsumexp_grad,
    kernel=Kernel("scans.logcumsumexp", lambda x, axis: along(x, axis)),
    batch=over_stacks("logcumsumexp"), shape=lambda x, axis: x.shape, samples=sampled_lines, dtypes=FLOATS, orders=1,
)  # fmt: skip


def logcumsumexp(x: Any, axis: Any = None) -> Variable:
    """log(exp(x[0]) + ... + exp(x[j])) for each j along `axis` (None: of the flattened x), without overflow."""
    v, k = flattened("logcumsumexp", as_floats(x), axis)
    return apply(OPS["logcumsumexp"], [v], axis=k)


# -- interpolation --------------------------------------------------------------------------------------------------


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Variable:
    """fp at x, linear between the points xp, which must rise; outside `left` (None: fp[0]) and `right` (None: fp[-1]).

    period: xp and x are taken modulo it, and need not rise. The result has x's shape; it has gradients for x and fp.
    ShapeError for points that are no vectors, or of two lengths.
    """
    at, points, values = (as_floats(v) for v in as_operands(x, xp, fp))
    for v in (points, values):
        if v.ndim != 1:
            raise ShapeError(f"interp: xp and fp must be vectors, not {describe(v)}")
    values = f.matched(values, [ln.dim(points, 0)], "interp")
    if period is not None:
        period = f.abs(period)
        at, points = f.mod(at, period), f.mod(points, period)
        order = f.argsort(points)
        points, values = points[order], values[order]
        points = f.concatenate([points[-1:] - period, points, points[:1] + period])
        values = f.concatenate([values[-1:], values, values[:1]])
        left = right = None
    last = f.sub(ln.dim(points, 0), 1)
    found = f.searchsorted(f.disconnected_grad(points), f.disconnected_grad(at), "right")
    start = f.clip(f.sub(found, 1), 0, f.maximum(f.sub(last, 1), 0))
    end = f.minimum(f.add(start, 1), last)
    x0, x1, y0, y1 = points[start], points[end], values[start], values[end]
    inside = f.add(y0, f.mul(f.masked_div(f.sub(at, x0), f.where(f.eq(x0, x1), 1, f.sub(x1, x0))), f.sub(y1, y0)))
    # a point itself has its value, whatever the slope
    inside = f.where(f.eq(at, x0), y0, f.where(f.eq(at, x1), y1, inside))
    low, high = values[0] if left is None else left, values[-1] if right is None else right
    return f.where(f.lt(at, points[0]), low, f.where(f.gt(at, points[-1]), high, inside))


# -- differences and sums -------------------------------------------------------------------------------------------


def cross(a: Any, b: Any, axis: int = -1) -> Variable:
    """The vector product along `axis`, of length 3; the other axes broadcast. ShapeError for another known length."""
    given = [f.moveaxis(v, axis, -1) for v in as_operands(a, b)]
    for v in given:
        if v.type.shape[-1] not in (3, None):
            raise ShapeError(f"cross: vectors of length 3 are needed along axis {axis}, not {describe(v)}")
    x, y = (f.matched(v, [*(None,) * (v.ndim - 1), 3], "cross") for v in given)
    parts = [f.sub(f.mul(x[..., i], y[..., j]), f.mul(x[..., j], y[..., i])) for i, j in ((1, 2), (2, 0), (0, 1))]
    return f.moveaxis(f.stack(parts, axis=-1), -1, axis)


def ediff1d(x: Any, to_end: Any = None, to_begin: Any = None) -> Variable:
    """The differences of neighbours of the flattened x, `to_begin` before and `to_end` behind them."""
    found = f.diff(f.flatten(as_variable(x)))
    if to_begin is None and to_end is None:
        return found
    ends = [None if v is None else f.cast(f.flatten(as_variable(v)), found.type.dtype) for v in (to_begin, to_end)]
    return f.concatenate([v for v in (ends[0], found, ends[1]) if v is not None])


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Variable:
    """The integral along `axis` by the trapezoidal rule. x: the positions of the samples, a vector or of y's shape;
    None: they are `dx` apart."""
    v = as_variable(y)
    k = ln.axis_of(axis, v.ndim, "trapezoid", v)
    if x is not None:
        step = as_variable(x)
        dx = f.diff(step, axis=k if step.ndim > 1 else 0)
        if dx.ndim == 1:
            dx = spread(dx, k, v.ndim)
    means = f.mul(f.add(part(v, k, 1, None), part(v, k, None, -1)), 0.5)
    return f.sum(f.mul(means, dx), k)


def gradient(y: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Variable | list[Variable]:
    """Central differences of samples along `axis` (None: all, as a list), one-sided at the ends: as np.gradient. The
    derivative of an expression is `grad`.

    spacing: one distance for all axes, or for each axis its distance or the vector of its positions. edge_order: 1 or 2
    for the differences at the ends. OptionError for another, ShapeError for another number of spacings or positions,
    and for fewer than edge_order + 1 samples.
    """
    v = as_floats(y)
    if edge_order not in (1, 2):
        raise OptionError(f"gradient: edge_order must be 1 or 2, not {edge_order!r}")
    wanted = range(v.ndim) if axis is None else axis if isinstance(axis, list | tuple) else [axis]
    axes = [ln.axis_of(a, v.ndim, "gradient", v) for a in wanted]
    steps = spacing * len(axes) if len(spacing) == 1 else spacing or (1.0,) * len(axes)
    if len(steps) != len(axes):
        raise ShapeError(f"gradient: {len(spacing)} spacings for {len(axes)} axes of {describe(v)}")
    found = [_slopes(v, a, as_variable(s), edge_order) for a, s in zip(axes, steps, strict=True)]
    return found if (axis is None and v.ndim != 1) or isinstance(axis, list | tuple) else found[0]


def _slopes(v: Variable, axis: int, step: Variable, order: int) -> Variable:
    """The differences along one axis."""
    line = f.moveaxis(v, axis, 0)
    h = step
    if step.ndim:
        h = f.shape_padright(f.diff(f.matched(step, [ln.dim(line, 0)], "gradient")), v.ndim - 1)
        before, behind = h[:-1], h[1:]
        middle = f.add(
            f.mul(f.true_div(f.neg(behind), f.mul(before, f.add(before, behind))), line[:-2]),
            f.add(
                f.mul(f.true_div(f.sub(behind, before), f.mul(before, behind)), line[1:-1]),
                f.mul(f.true_div(before, f.mul(behind, f.add(before, behind))), line[2:]),
            ),
        )
    else:
        middle = f.true_div(f.sub(line[2:], line[:-2]), f.mul(2.0, h))
    ends = [_end(line, h, at, order) for at in (0, -1)]
    found = f.concatenate([ends[0], f.cast(middle, line.type.dtype), ends[1]])
    # fewer samples than a difference needs give fewer differences than samples
    return f.moveaxis(f.matched(found, ln.dims_of(line), "gradient"), 0, axis)


def _end(line: Variable, h: Variable, at: int, order: int) -> Variable:
    """The difference at the first (0) or the last (-1) sample, as an array of length 1."""
    sign = 1 if at == 0 else -1
    places = [slice(k, k + 1) if at == 0 else slice(-1 - k, -k or None) for k in builtins.range(3)]
    near, next_, third = (line[p] for p in places)
    first, second = (h[places[0]], h[places[1]]) if h.ndim else (h, h)
    if order == 1:
        found = f.true_div(f.mul(sign, f.sub(next_, near)), first)
    else:
        both = f.add(first, second)
        found = f.mul(sign, f.sub(
            f.mul(f.true_div(both, f.mul(first, second)), next_),
            f.add(f.mul(f.true_div(f.add(both, first), f.mul(first, both)), near),
                  f.mul(f.true_div(first, f.mul(second, both)), third)),
        ))  # fmt: skip
    return f.cast(found, line.type.dtype)


def unwrap(p: Any, discont: Any = None, axis: int = -1, period: float = 2 * math.pi) -> Variable:
    """Angles without jumps along `axis`: where neighbours differ by more than `discont` (None: half a period), a
    multiple of the period is added to what follows. Integers with an integer period stay integers.
    """
    v = as_variable(p)
    whole = v.type.dtype in DISCRETE and isinstance(period, int)
    v = v if whole else as_floats(v)
    k = ln.axis_of(axis, v.ndim, "unwrap", v)
    steps = f.diff(v, axis=k)
    if whole:
        high, odd = divmod(period, 2)
        low: Any = -high
        ambiguous = odd == 0
    else:
        high, low, ambiguous = period / 2, -period / 2, True
    least = high if discont is None else f.maximum(discont, high)
    folded = f.add(f.mod(f.sub(steps, low), period), low)
    if ambiguous:
        folded = f.where(f.and_(f.eq(folded, low), f.gt(steps, 0)), high, folded)
    correction = f.where(f.lt(f.abs(steps), least), 0, f.sub(folded, steps))
    moved = f.add(part(v, k, 1, None), f.cumsum(f.disconnected_grad(correction), k))
    return f.concatenate([part(v, k, None, 1), f.cast(moved, v.type.dtype)], k)

"""Arrays with a margin: each element of the result is one of x, or a constant; nothing is copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, apply, as_variable, describe, weak_constant
from numgraph.lengths import dims
from numgraph.lengths.dims import Dim
from numgraph.op import OPS, Check, Op, first
from numgraph.ops import lengths as ln
from numgraph.ops.create import counting, zeros
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.margins import COMPUTED, RAMP, check_options, computed, oddly_mirrored
from numgraph.ops.subtensor import gather_update

__all__ = ["pad"]

MODES = ("constant", "edge", "reflect", "symmetric", "wrap")

# -- where an element comes from ------------------------------------------------------------------------------------


def _source(j: Any, n: Any, mode: str, least: Any, most: Any) -> Any:
    """The index on an axis of length n (at least 1) of what stands j places behind its begin, which may be negative.

    least, most: minimum and maximum, of lengths or of variables.
    """
    if mode in ("constant", "edge"):
        return most(least(j, n - 1), 0)
    n = most(n, 1)
    if mode == "wrap":
        return j % n
    period = 2 * n if mode == "symmetric" else most(2 * n - 2, 1)
    inside = j % period
    return least(inside, period - 1 - inside if mode == "symmetric" else period - inside)


def _pad_element(idx: Sequence[Dim], x: Any, value: Any, *widths: Any, mode: str) -> Any:
    places: list[Dim] = []
    # for each axis with a margin, whether an index stands before the end of the margin in front, and of what is x's
    sides: list[tuple[Dim, Dim]] = []
    for i, n, begin, end in zip(idx, x.shape, widths[::2], widths[1::2], strict=True):
        if _unpadded(begin, end):
            places.append(i)
            continue
        width = begin.value
        sides.append((dims.before(i, width), dims.before(i, width + n)))
        left, right = _margins(i - width, n, mode, begin.value, end.value)
        places.append(dims.where(sides[-1][0], left, dims.where(sides[-1][1], i - width, right)))
    found = x.at(*places)
    if mode == "constant":
        for front, inside in sides:
            found = dims.select(front, value.at(), dims.select(inside, found, value.at()))
    return found


def _margins(j: Dim, n: Dim, mode: str, before: Dim, after: Dim) -> tuple[Dim, Dim]:
    """Where the elements of both margins come from: in order, where these are not wider than x."""
    if mode in ("constant", "edge"):
        return 0, n - 1
    if not isinstance(n, int) or not all(isinstance(w, int) and w < n for w in (before, after)):
        found = _source(j, n, mode, dims.minimum, dims.maximum)
        return found, found
    if mode == "wrap":
        return j + n, j - n
    return (-1 - j, 2 * n - 1 - j) if mode == "symmetric" else (-j, 2 * n - 2 - j)


def _unpadded(before: Any, after: Any) -> bool:
    return all(isinstance(w.value, int) and w.value == 0 for w in (before, after))


def _padded_shape(x: Any, value: Any, *widths: Any, mode: str) -> tuple[Dim, ...]:
    given = ln.values(widths)
    return tuple(a + n + b for n, a, b in zip(x.shape, given[::2], given[1::2], strict=True))


def _padded(x: Any, value: Any, *widths: Any, mode: str) -> Any:
    pairs = [(int(a), int(b)) for a, b in zip(widths[::2], widths[1::2], strict=True)]
    options = {"constant_values": value} if mode == "constant" else {}
    return np.pad(x, pairs, mode, **options) if pairs else x  # type: ignore[call-overload]


def _not_empty(x: Any, value: Any, *widths: Any, mode: str) -> list[tuple[Dim, Dim]]:
    """An axis that gets a margin has elements: what stands there is one of them. Of constants a rewrite sees to it."""
    if mode == "constant":
        return []
    given = ln.values(widths)
    return [(n, dims.minimum(a + b, 1)) for n, a, b in zip(x.shape, given[::2], given[1::2], strict=True)]


# -- gradients ------------------------------------------------------------------------------------------------------


def _pad_grad(g: Variable, out: Variable, x: Variable, value: Variable, *widths: Variable, mode: str) -> Any:
    lengths = ln.dims_of(x)
    begins = [ln.integer(w, "pad") for w in widths[::2]]
    nothing = (None,) * len(widths)
    if mode == "constant":
        key = tuple(slice(b, b + n) for b, n in zip(begins, lengths, strict=True))
        margin = f.sum(f.set_subtensor(g[key], 0.0)) if g.ndim else f.zeros_like(value)
        return g[key], margin, *nothing
    for axis, (begin, n) in enumerate(zip(begins, lengths, strict=True)):
        if _same_length(g, x, axis):
            continue
        shape = [n if k == axis else ln.dim(g, k) for k in range(g.ndim)]
        index = _source(counting(ln.dim(g, axis)) - begin, n, mode, ln.least, ln.most)
        g = gather_update(zeros(tuple(shape), g.type.dtype), g, [index], (axis,), axis, "add")
    return g, None, *nothing


def _same_length(g: Variable, x: Variable, axis: int) -> bool:
    return x.type.shape[axis] is not None and x.type.shape[axis] == g.type.shape[axis]


def _pad_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    x, value = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.float64(0.5)
    found: list[tuple[list[Any], dict[str, Any]]] = []
    for mode in MODES:
        found.append(([x, value, 1, 0, 2, 2], {"mode": mode}))
        found.append(([x[0], value, 7, 4], {"mode": mode}))
    found.append(([x[:, :0], value, 1, 2, 0, 0], {"mode": "edge"}))
    return [*found, ([x[:1, :1], value, 0, 0, 3, 2], {"mode": "reflect"})]


Op(
    "pad",
    ("x", "value", "*widths"),
    "x with a margin: for each axis so many places before and behind it.",
    first,
    _padded,
    _pad_grad,
    element=_pad_element,
    injective=False,
    pieces=lambda operands: 3,
    shape=_padded_shape,
    checks=(
        Check("at_least", lambda x, value, *widths, mode: [(w, 0) for w in ln.values(widths)], "a width of {a}"),
        Check("at_least", _not_empty, "an empty axis cannot be padded"),
    ),
    samples=_pad_samples,
)


def _pairs(v: Variable, width: Any, what: str) -> list[tuple[Any, Any]]:
    """Two numbers for each axis: of one number, one pair, one for each axis; or a mapping of some axes, as in NumPy."""
    if isinstance(width, dict):
        given = {ln.axis_of(axis, v.ndim, "pad", v): own for axis, own in width.items()}
        return [_pair(given.get(axis, 0), what) for axis in range(v.ndim)]
    if isinstance(width, np.ndarray):
        width = width.tolist()
    if isinstance(width, Variable) and width.ndim and what == "width":
        width = _parts_of(width)
    if not isinstance(width, list | tuple):
        return [(width, width)] * v.ndim
    several = any(isinstance(part, list | tuple) for part in width)
    if not several:
        return [_pair(width, what)] * v.ndim
    if len(width) == 1:
        return [_pair(width[0], what)] * v.ndim
    if len(width) != v.ndim:
        raise ShapeError(f"pad: {len(width)} pairs of {what}s for the {v.ndim} axes of {describe(v)}")
    return [_pair(part, what) for part in width]


def _parts_of(width: Variable) -> list[Any]:
    """The scalars of a vector or matrix of widths; ShapeError where it has not one or two in a row."""
    rows, columns = (1, width.type.shape[0]) if width.ndim == 1 else width.type.shape[:2]
    if width.ndim > 2 or rows is None or columns not in (1, 2, None):
        raise ShapeError(f"pad: widths are a number or two for each axis, not {describe(width)}")
    columns = 2 if columns is None else columns
    if width.ndim == 1:
        return [width[k] for k in range(columns)]
    return [[width[j, k] for k in range(columns)] for j in range(rows)]


def _pair(part: Any, what: str) -> tuple[Any, Any]:
    if not isinstance(part, list | tuple):
        return part, part
    if len(part) not in (1, 2):
        raise ShapeError(f"pad: a {what} is a number or two, before and behind an axis, not {len(part)}")
    return part[0], part[-1]


def pad(
    x: Any,
    pad_width: Any,
    mode: str = "constant",
    constant_values: Any = 0,
    *,
    stat_length: Any = None,
    end_values: Any = None,
    reflect_type: Any = None,
) -> Variable:
    """x with a margin, as np.pad: of x's dtype, each axis longer by the widths before and behind it.

    pad_width: one width for all sides, a pair (before, behind) for all axes, a sequence with a pair for each, or a
    mapping from axes; integers, known or not, also as a vector of two or a matrix of so many rows.

    mode: "constant", which puts `constant_values` there (a number or scalar variable, or as many as widths); "edge"
    repeats the outermost elements; "wrap" goes on at the other end; "reflect" and "symmetric" mirror at the outermost
    element and at the border behind it; "maximum", "minimum", "mean" and "median" of the `stat_length` outermost
    elements of the axis (None: of all); "linear_ramp" goes from the outermost element to `end_values` (None: 0). Both
    are given as `constant_values` are. reflect_type: "even" (or None) for mirrors, "odd" for twice the outermost
    element minus what is mirrored, which goes on with the same slope. ShapeError for a negative width and for an empty
    axis, unless constants stand there; OptionError for another mode, and for an option of another.

    >>> import numgraph as ng
    >>> v = ng.vector("v")
    >>> ng.pad(v, (1, 2), "reflect").eval({v: [1.0, 2.0, 3.0]})
    array([2., 1., 2., 3., 2., 1.])
    """
    v = as_variable(x)
    if mode not in (*MODES, *COMPUTED):
        raise OptionError(f"pad: mode must be one of {', '.join((*MODES, *COMPUTED))}, not {mode!r}")
    check_options(mode, stat_length, end_values, reflect_type)
    widths: list[Length] = [ln.as_length(w, "pad") for pair in _pairs(v, pad_width, "width") for w in pair]
    if reflect_type == "odd":
        return oddly_mirrored(v, list(zip(widths[::2], widths[1::2], strict=True)), mode)
    if mode in COMPUTED:
        given = _pairs(v, stat_length if mode != RAMP else 0 if end_values is None else end_values, "value")
        return computed(v, list(zip(widths[::2], widths[1::2], strict=True)), mode, given)
    values = [c for pair in _pairs(v, constant_values, "value") for c in pair] if mode == "constant" else [0]
    if all(value is values[0] or _equal(value, values[0]) for value in values):
        return _applied(v, values[0] if values else 0, widths, mode)
    # the margins of the later axes lie over those of the earlier ones
    for k, (value, width) in enumerate(zip(values, widths, strict=True)):
        if not isinstance(width, int) or width:
            v = _applied(v, value, [w if j == k else 0 for j, w in enumerate(widths)], mode)
    return v


def _equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and isinstance(a, bool | int | float) and (a == b or (a != a and b != b))


def _applied(v: Variable, value: Any, widths: Sequence[Length], mode: str) -> Variable:
    dtype = v.type.dtype
    new = weak_constant(value, dtype) if type(value) in (bool, int, float) else as_variable(value)
    if new.ndim:
        raise ShapeError(f"pad: a value of the margin is a scalar, not {describe(new)}")
    new = new if new.type.dtype == dtype else f.cast(new, dtype)
    return apply(OPS["pad"], [v, new, *ln.operands(widths)], mode=mode)

"""Margins whose values are computed: extremes, means and medians of a part of each axis, ramps, and odd mirrors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.errors import OptionError
from numgraph.graph import Variable, as_variable
from numgraph.ops import lengths as ln
from numgraph.ops.create import counting
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.types import BOOL, DISCRETE

RAMP = "linear_ramp"
STATISTICS = ("maximum", "mean", "median", "minimum")
COMPUTED = (*STATISTICS, RAMP)
MIRRORS = ("reflect", "symmetric")

Pairs = Sequence[tuple[Any, Any]]


def check_options(mode: str, stat_length: Any, end_values: Any, reflect_type: Any) -> None:
    """OptionError for an option of another mode, and for another `reflect_type`."""
    given = {"stat_length": (stat_length, STATISTICS), "end_values": (end_values, (RAMP,))}
    given["reflect_type"] = (reflect_type, MIRRORS)
    for name, (value, modes) in given.items():
        if value is not None and mode not in modes:
            raise OptionError(f"pad: {name} is for mode {', '.join(modes)}, not {mode!r}")
    if reflect_type not in (None, "even", "odd"):
        raise OptionError(f'pad: reflect_type is "even" or "odd", not {reflect_type!r}')


def computed(v: Variable, widths: Pairs, mode: str, numbers: Pairs) -> Variable:
    """v with margins, axis by axis: a later axis takes what the earlier ones have got into account, as in NumPy.

    numbers: for each side of each axis how many elements count (None: all), or the value at the end of a ramp.
    """
    for axis, ((before, behind), (first, last)) in enumerate(zip(widths, numbers, strict=True)):
        whole = v
        if not isinstance(before, int) or before:
            v = f.concatenate([_margin(whole, axis, before, mode, first, True), v], axis=axis)
        if not isinstance(behind, int) or behind:
            v = f.concatenate([v, _margin(whole, axis, behind, mode, last, False)], axis=axis)
    return v


def _margin(v: Variable, axis: int, width: Length, mode: str, number: Any, front: bool) -> Variable:
    """The values of one margin."""
    if mode == RAMP:
        return _ramp(v, axis, width, number, front)
    n = ln.dim(v, axis)
    count: Any = n if number is None else ln.least(ln.as_length(number, "pad: stat_length", 1), n)
    chosen = slice(None, count) if front else slice(n - count, None)
    part = v[(*(slice(None),) * axis, chosen)]
    statistic: Callable[..., Variable] = {"maximum": f.max, "minimum": f.min, "mean": f.mean, "median": f.median}[mode]
    found = statistic(part, axis, keepdims=True)
    lengths = [width if k == axis else m for k, m in enumerate(ln.dims_of(v))]
    return f.broadcast_to(_of_dtype(found, v.type.dtype, f.round), lengths)


def _ramp(v: Variable, axis: int, width: Length, end: Any, front: bool) -> Variable:
    """From the outermost element, which is no part of it, to `end` at the outside."""
    edge = v[(*(slice(None),) * axis, slice(None, 1) if front else slice(-1, None))]
    if v.type.dtype in DISCRETE:
        edge = f.cast(edge, "float64")
    steps = counting(width) if front else width - 1 - counting(width)
    share = f.cast(steps, edge.type.dtype) / f.cast(as_variable(width), edge.type.dtype)
    outside = f.cast(as_variable(end), edge.type.dtype)
    found = outside + (edge - outside) * f.shape_padright(share, v.ndim - 1 - axis)
    return _of_dtype(found, v.type.dtype, f.floor)


def oddly_mirrored(v: Variable, widths: Pairs, mode: str) -> Variable:
    """v with margins that are turned around its outermost elements: twice the element, minus what is mirrored there."""
    for axis, (before, behind) in enumerate(widths):
        if isinstance(before, int) and isinstance(behind, int) and not before and not behind:
            continue
        n, edge = ln.dim(v, axis), (slice(None),) * axis
        first, last = v[(*edge, slice(None, 1))], v[(*edge, slice(-1, None))]
        even = f.pad(v, {axis: (before, behind)}, mode)
        place = counting(ln.dim(even, axis)) - before
        # mirrored at both ends an axis repeats, and goes on from where it has ended
        period: Any = 2 * n if mode == "symmetric" else ln.most(2 * n - 2, 1)
        turned = f.shape_padright(f.ge(place % period, n), v.ndim - 1 - axis)
        times = f.shape_padright(f.cast(place // period, v.type.dtype), v.ndim - 1 - axis)
        v = f.where(turned, 2 * last - even, even) + 2 * times * (last - first)
    return v


def _of_dtype(found: Variable, dtype: str, whole: Callable[..., Variable]) -> Variable:
    """In the dtype of the array; for integers the whole number that NumPy takes."""
    if found.type.dtype == dtype:
        return found
    result: Variable = f.cast(whole(found) if dtype in DISCRETE and dtype != BOOL else found, dtype)
    return result

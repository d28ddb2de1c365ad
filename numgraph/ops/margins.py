"""Margins whose values are computed: extremes, means and medians of a part of each axis, and ramps."""

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

Pairs = Sequence[tuple[Any, Any]]


def check_options(mode: str, stat_length: Any, end_values: Any) -> None:
    """OptionError for an option of another mode."""
    for name, value, modes in (("stat_length", stat_length, STATISTICS), ("end_values", end_values, (RAMP,))):
        if value is not None and mode not in modes:
            raise OptionError(f"pad: {name} is for mode {', '.join(modes)}, not {mode!r}")


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


def _of_dtype(found: Variable, dtype: str, whole: Callable[..., Variable]) -> Variable:
    """In the dtype of the array; for integers the whole number that NumPy takes."""
    if found.type.dtype == dtype:
        return found
    result: Variable = f.cast(whole(found) if dtype in DISCRETE and dtype != BOOL else found, dtype)
    return result

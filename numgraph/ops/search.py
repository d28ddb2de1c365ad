"""Searching in sorted arrays, counting, the largest elements, and what is made of positions known only at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.errors import DtypeError, OptionError, ShapeError
from numgraph.graph import Variable, apply, as_operands, as_variable, describe
from numgraph.lengths import dims
from numgraph.op import OPS, Check, Kernel, Op, first, int64
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_axis
from numgraph.ops.create import constant_scalar, counting, linspace, ones_like, zeros
from numgraph.ops.define import f
from numgraph.ops.join import concatenate, flip, part
from numgraph.ops.reduce import max_or_lowest
from numgraph.ops.select import flatnonzero, take, take_along_axis
from numgraph.ops.shape import flatten, reshaped
from numgraph.ops.sort import argsort, argsort_rows, cumsum
from numgraph.ops.subtensor import OUT_OF_RANGE
from numgraph.types import BOOL, DISCRETE, REALS, promote

__all__ = [
    "argtopk", "bincount", "choose", "compress", "digitize", "histogram", "searchsorted", "topk", "topk_and_argtopk",
    "unique",
]  # fmt: skip
# Functions of expressions that others are made of.
INTERNAL = ["repeat_each"]

# -- integers in a range --------------------------------------------------------------------------------------------

Op(
    "within",
    ("x", "length"),
    "x, whose elements are indices of an axis of a length.",
    first,
    lambda x, length: np.array(x),
    None,
    no_grad="positions are integers",
    element=lambda idx, x, length: x.at(*idx),
    shape=lambda x, length: x.shape,
    checks=(Check("range", lambda x, length: [(x, length.value)], OUT_OF_RANGE),),
    samples=lambda: [([np.array([2, 0, 1]), 3], {})],
    dtypes=("int64",),
)


def within(x: Variable, length: ln.Length) -> Variable:
    """Integers x as int64; IndexOutOfRange when the function runs where one is negative, or not below `length`."""
    v = ln.as_position(x)
    # what is negative is past the begin, and not counted from the end
    return apply(OPS["within"], [f.where(f.lt(v, 0), f.sub(v, length), v), *ln.operands([length])])


Op(
    "counters",
    ("value", "length"),
    "A vector with `value` everywhere; a negative length is the negative number among those that were counted.",
    first,
    lambda value, length, what: np.full(int(length), value, np.asarray(value).dtype),
    lambda g, out, value, length, what: (f.sum(g), None),
    element=lambda idx, value, length, what: value.at(),
    injective=False,
    uniform=True,
    moves=True,
    shape=lambda value, length, what: (length.value,),
    checks=(Check("at_least", lambda value, length, what: [(length.value, 0)], "{a} is negative"),),
    samples=lambda: [([np.float64(1.5), 3], {"what": "bincount"})],
    says="counting",
)


def _counters(length: Variable, counted: Variable, dtype: str, what: str) -> Variable:
    """Zeros; ShapeError when the function runs where an element of `counted` is negative."""
    # ~x falls where x rises; of nothing the largest is the lowest number, and the smallest the highest
    low = f.invert(max_or_lowest(f.invert(counted), (0,)))
    return apply(OPS["counters"], [constant_scalar(0, dtype), f.where(f.lt(low, 0), low, length)], what=what)


def _integers(what: str, x: Any) -> Variable:
    v = as_variable(x)
    if v.type.dtype not in DISCRETE or v.type.dtype == BOOL:
        raise DtypeError(f"{what} must be integers, not {describe(v)}")
    return v


# -- searching ------------------------------------------------------------------------------------------------------


def _sorts_before(x: Variable, y: Variable) -> Variable:
    """x < y, where NaN is larger than all."""
    return f.or_(f.lt(x, y), f.and_(f.isnan(y), f.logical_not(f.isnan(x))))


def _counted_before(a: Variable, v: Variable, right: bool) -> Variable:
    """Each element is compared with all of a, by as many threads as there are elements, or more."""
    line, many = f.shape_padleft(a, v.ndim + 1 - a.ndim), f.shape_padright(v)
    found = f.logical_not(_sorts_before(many, line)) if right else _sorts_before(line, many)
    return f.sum(found, -1)


def _over_axis(batched: Sequence[bool], a: Variable, v: Variable, right: bool) -> Variable:
    """One more axis of v is searched as the others are. Where there are many vectors, each is counted."""
    if not batched[0]:
        return apply(OPS["searchsorted"], [a, v], right=right)
    lines, many = over_axis(batched, a, v)
    return _counted_before(f.dimshuffle(lines, 0, *"x" * (many.ndim - 1), 1), many, right)


Op(
    "searchsorted",
    ("a", "v"),
    "For each element of v its place in the sorted vector a: before the first that is not below it, or behind the last "
    "that is not above it.",
    int64,
    lambda a, v, right: np.searchsorted(a, v, "right" if right else "left"),
    None,
    no_grad="positions are integers",
    kernel=Kernel(
        "sorting.searchsorted",
        lambda a, v, right: (a.shape[0], dims.product(v.shape), int(right)),
    ),
    on_grid=_counted_before,
    batch=_over_axis,
    shape=lambda a, v, right: v.shape,
    samples=lambda: [
        ([np.array(a), np.array(v)], {"right": right})
        for right in (False, True)
        for a, v in (
            ([1.0, 2.0, 2.0, 4.0], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
            ([2.0], [1.0, 2.0, 3.0]),
            ([-1.0, 0.0, np.nan], [np.nan, -2.0, 0.0, np.inf]),
        )
    ],
    dtypes=("float32", "float64"),
)


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Variable:
    """Where the elements of v belong in the sorted vector a, int64 of v's shape: the number of elements of a that are
    smaller (side="left"), or that are not larger (side="right"). NaN is larger than all, as when sorting.

    sorter: indices that sort a. Both are compared in their common dtype. OptionError for another side, ShapeError for
    an a that is no vector and a sorter of another length.
    """
    line, values = as_operands(a, v)
    if line.ndim != 1:
        raise ShapeError(f"searchsorted: a must be a vector, not {describe(line)}")
    if side not in ("left", "right"):
        raise OptionError(f'searchsorted: side must be "left" or "right", not {side!r}')
    if sorter is not None:
        line = take(line, f.matched(as_variable(sorter), [ln.dim(line, 0)], "searchsorted"))
    dtype = promote([line.type.dtype, values.type.dtype])
    # a kernel takes arrays
    many = values if values.ndim else f.reshape(values, (1,))
    found = apply(OPS["searchsorted"], [f.cast(line, dtype), f.cast(many, dtype)], right=side == "right")
    return found if values.ndim else found[0]


def digitize(x: Any, bins: Any, right: bool = False) -> Variable:
    """The number of the bin of each element of x, int64: i where bins[i - 1] <= x < bins[i], or, with `right`, where
    bins[i - 1] < x <= bins[i]. `bins` is a vector that rises or falls; it is not checked that it does.
    """
    edges = as_variable(bins)
    if edges.ndim != 1:
        raise ShapeError(f"digitize: bins must be a vector, not {describe(edges)}")
    falls = f.any(f.gt(part(edges, 0, None, -1), part(edges, 0, 1, None)))
    found = searchsorted(f.where(falls, flip(edges), edges), x, "left" if right else "right")
    return f.where(falls, f.sub(ln.dim(edges, 0), found), found)


# -- counting -------------------------------------------------------------------------------------------------------


def bincount(x: Any, weights: Any = None, minlength: Any = 0) -> Variable:
    """How often 0, 1, ... occur in a vector of integers, int64; with `weights` the sums of those instead.

    The result's length is max(x) + 1, at least `minlength`, and known only at run time. Weights are added in float64;
    the sums have their dtype where that is a float. ShapeError for a negative x when the function runs.
    """
    v = _integers("bincount: elements", x)
    if v.ndim != 1:
        raise ShapeError(f"bincount: a vector is needed, not {describe(v)}")
    least = ln.as_length(0 if minlength is None else minlength, "bincount: minlength")
    places = ln.as_position(v)
    length = f.maximum(f.add(f.maximum(max_or_lowest(places, (0,)), -1), 1), least)
    if weights is None:
        return f.inc_subtensor(_counters(length, places, "int64", "bincount")[places], 1)
    own = as_variable(weights)
    dtype = own.type.dtype if own.type.dtype in REALS else "float64"
    if own.ndim != 1:
        raise ShapeError(f"bincount: a weight for each element is needed, not {describe(own)}")
    own = f.matched(f.cast(own, "float64"), [ln.dim(v, 0)], "bincount")
    sums = f.inc_subtensor(_counters(length, places, "float64", "bincount")[places], own)
    return f.cast(sums, dtype)


def histogram(
    x: Any, bins: Any = 10, range: Any = None, density: bool = False, weights: Any = None
) -> tuple[Variable, Variable]:
    """(counts, edges): how many elements of x lie in each bin, int64, and the edges of the bins; NaN lies in none.

    A bin has its left edge and not its right one; the last has both. bins: a vector of rising edges, or a number of
    bins of one width over the pair `range` (None: from the smallest element to the largest, (0, 1) where there are
    none). weights: sums of these, of x's shape, in float64, in the place of counts. density: the counts over their sum
    and the widths. What bins miss is not counted. ShapeError for bins that are no number and no vector, and for weights
    of another number of elements.
    """
    v = flatten(as_variable(x))
    edges = as_variable(bins) if not isinstance(bins, int) else _edges(v, bins, range)
    if edges.ndim != 1:
        raise ShapeError(f"histogram: bins are a number that is known now, or a vector of edges: {describe(edges)}")
    count = ln.dim(edges, 0)
    places = searchsorted(edges, v, "right")
    places = f.where(f.eq(v, edges[-1]), f.sub(count, 1), places)
    board = zeros(count + 1, "int64" if weights is None else "float64")
    own = 1 if weights is None else f.matched(flatten(as_variable(weights)), [ln.dim(v, 0)], "histogram")
    counts: Any = f.inc_subtensor(board[places], own)[1:-1]
    if density:
        counts = f.true_div(f.true_div(f.cast(counts, "float64"), f.diff(edges)), f.cast(f.sum(counts), "float64"))
    return counts, edges


def _edges(v: Variable, bins: int, given: Any) -> Variable:
    """The edges of bins of one width."""
    if bins < 1:
        raise ShapeError(f"histogram: {bins} bins, where at least one is needed")
    if given is not None:
        low, high = (f.cast(as_variable(end), "float64") for end in given)
    else:
        values = f.cast(v, "float64")
        low, high = f.neg(max_or_lowest(f.neg(values), (0,))), max_or_lowest(values, (0,))
        low, high = f.where(f.eq(f.size(v), 0), 0.0, low), f.where(f.eq(f.size(v), 0), 1.0, high)
    same = f.eq(low, high)
    ends = f.where(same, low - 0.5, low), f.where(same, high + 0.5, high)
    edges: Variable = linspace(*ends, bins + 1, dtype="float64")
    return edges


# -- the largest elements -------------------------------------------------------------------------------------------


def topk_and_argtopk(
    x: Any, kth: int, axis: Any = -1, sorted: bool = True, idx_dtype: Any = "int64"
) -> tuple[Variable, Variable]:
    """The `kth` largest elements along `axis` (None: of the flattened x), largest first, and their indices.

    kth: a number; -k means the k smallest, smallest first. Of equal elements those with lower indices come first; NaN
    is the largest, as when sorting. They are sorted whatever `sorted` says, which is Theano's. ShapeError where there
    are fewer elements, and for a kth of 0 or one that is not known now.
    """
    v = as_variable(x)
    if axis is None:
        v, axis = flatten(v), 0
    if v.ndim == 0:
        raise ShapeError(f"topk: a scalar has no axis: {describe(v)}")
    k = ln.axis_of(axis, v.ndim, "topk", v)
    count = ln.integer(kth, "topk: kth")
    if not isinstance(count, int) or count == 0:
        raise ShapeError(f"topk: kth must be a number that is known now, and not 0: {kth!r}")
    length = ln.dim(v, k)
    if isinstance(length, int) and abs(count) > length:
        raise ShapeError(f"topk: there are no {abs(count)} elements along axis {k} of {describe(v)}")
    order = apply(OPS["argtopk"], [v], axis=k, count=count)
    return take_along_axis(v, order, k), f.cast(order, idx_dtype)


def topk(x: Any, kth: int, axis: Any = -1, sorted: bool = True, idx_dtype: Any = "int64") -> Variable:
    """The `kth` largest elements along `axis`, largest first, or for -k the k smallest; see `topk_and_argtopk`."""
    return topk_and_argtopk(x, kth, axis, sorted, idx_dtype)[0]


def argtopk(x: Any, kth: int, axis: Any = -1, sorted: bool = True, idx_dtype: Any = "int64") -> Variable:
    """The indices of the `kth` largest elements along `axis`, or for -k of the k smallest; see `topk_and_argtopk`."""
    return topk_and_argtopk(x, kth, axis, sorted, idx_dtype)[1]


# -- choosing -------------------------------------------------------------------------------------------------------


def choose(a: Any, choices: Any, mode: str = "raise") -> Variable:
    """For each element of the integers `a` that of the choice which it names: choices[a[i]][i], all broadcast.

    choices: a list, or an array whose first axis counts them. mode: what to do with a number that names none: "raise"
    IndexOutOfRange when the function runs, "wrap" around, or "clip" to the first or last.
    """
    index = _integers("choose: a", a)
    if mode not in ("raise", "wrap", "clip"):
        raise OptionError(f'choose: mode must be "raise", "wrap" or "clip", not {mode!r}')
    several = isinstance(choices, list | tuple)
    given = as_operands(*choices) if several else [as_variable(choices)]
    if not given or (not several and given[0].ndim == 0):
        raise ShapeError("choose: there is nothing to choose from")
    count = len(given) if several else ln.dim(given[0], 0)
    index = ln.as_position(index)
    if mode == "raise":
        index = within(index, count)
    else:
        index = f.mod(index, count) if mode == "wrap" else f.clip(index, 0, f.sub(count, 1))
    if not several and isinstance(count, int):
        given, several = [given[0][k] for k in range(count)], True
    if several:
        return _chosen(index, given)
    # the positions in the other axes, one index array for each
    rest = given[0].ndim - 1
    every = [f.reshape(counting(ln.dim(given[0], k + 1)), (-1,) + (1,) * (rest - 1 - k)) for k in range(rest)]
    return given[0][(index, *every)]  # type: ignore[no-any-return]


def _chosen(index: Variable, given: Sequence[Variable]) -> Variable:
    result = f.where(f.eq(index, index), given[-1], given[-1])
    for k in reversed(range(len(given) - 1)):
        result = f.where(f.eq(index, k), given[k], result)
    return result


def compress(condition: Any, x: Any, axis: Any = None) -> Variable:
    """The parts of x along `axis` (None: of the flattened x) where the vector `condition` is not 0.

    It may be shorter than the axis. IndexOutOfRange when the function runs where it holds past the end.
    """
    mask = as_variable(condition)
    if mask.ndim != 1:
        raise ShapeError(f"compress: the condition must be a vector, not {describe(mask)}")
    return take(x, flatnonzero(mask), axis)


def repeat_each(v: Variable, counts: Variable, axis: int) -> Variable:
    """Each part of v along `axis` as many times as the vector `counts` says."""
    times = ln.as_position(_integers("repeat: counts", counts))
    n = ln.dim(v, axis)
    known = times.type.shape[0]
    # one count is that of all, also where only a call says that it is one
    if known == 1 or (known is None and not ln.same_length(ln.dim(times, 0), n)):
        count = ln.dim(times, 0)
        times = f.matched(times, [1 if known else f.where(f.eq(count, 1), 1, n)], "repeat")
        times = f.broadcast_to(times, (n,))
    ends = cumsum(f.matched(times, [n], "repeat"), 0)
    total = ln.dim(_counters(f.sum(times), times, "int64", "repeat"), 0)
    return take(v, searchsorted(ends, counting(total), "right"), axis)


# -- different elements ---------------------------------------------------------------------------------------------


def unique(
    x: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
) -> Variable | tuple[Variable, ...]:
    """The different elements of x, sorted, as a vector whose length is known only at run time; NaN counts once.

    axis: the different parts of x along it, sorted by their first elements, equal ones by the second, and so on.

    With any of the others a tuple, in this order: return_index, where each occurs first in the flattened x, or along
    `axis`; return_inverse, of x's shape, or a vector along `axis`, which of them each is; return_counts, how often each
    occurs.
    """
    v = as_variable(x)
    k = None if axis is None else ln.axis_of(axis, v.ndim, "unique", v)
    order, new = _in_order(v, k)
    starts = flatnonzero(new)
    found: list[Variable] = [take(flatten(v) if k is None else v, order[starts], 0 if k is None else k)]
    if return_index:
        found.append(order[starts])
    if return_inverse:
        ranks = f.sub(cumsum(new, 0), 1)
        placed = f.set_subtensor(f.zeros_like(order)[order], ranks)
        found.append(reshaped(placed, ln.dims_of(v)) if k is None else placed)
    if return_counts:
        found.append(f.diff(concatenate([starts, f.reshape(f.size(order), (1,))])))
    return tuple(found) if len(found) > 1 else found[0]


def _in_order(v: Variable, axis: int | None) -> tuple[Variable, Variable]:
    """The order of the elements of v, or of its parts along `axis`, and which of them in this order differ from the one
    before."""
    if axis is None:
        order = argsort(flatten(v), 0)
        ordered = flatten(v)[order]
    else:
        rows = reshaped(f.moveaxis(v, axis, 0), [ln.dim(v, axis), ln.product(_others(v, axis))])
        order = argsort_rows(rows)
        ordered = rows[order]
    before, behind = part(ordered, 0, None, -1), part(ordered, 0, 1, None)
    new = f.neq(before, behind)
    if v.type.dtype in REALS:
        new = f.and_(new, f.logical_not(f.and_(f.isnan(before), f.isnan(behind))))
    new = new if axis is None else f.any(new, axis=1)
    return order, concatenate([ones_like(part(order, 0, None, 1), "bool"), new])


def _others(v: Variable, axis: int) -> list[ln.Length]:
    return [n for k, n in enumerate(ln.dims_of(v)) if k != axis]

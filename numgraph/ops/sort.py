"""Sorting, running sums and products, and products of all others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import DtypeError, ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.lengths import dims
from numgraph.lengths.dims import Dim
from numgraph.op import OPS, Check, Kernel, Op, accumulated, first, int64, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.create import ones_like
from numgraph.ops.define import along_axis, f, linearly
from numgraph.ops.join import concatenate, flip, part
from numgraph.ops.select import take_along_axis
from numgraph.ops.shape import flatten
from numgraph.types import COMPLEX, REALS

__all__ = [
    "argpartition", "argsort", "cumprod", "cumsum", "lexsort", "partition", "sort",
]  # fmt: skip
# Functions of expressions that gradients and operators use.
INTERNAL = ["argsort_rows", "product_of_others"]

# The longest axis that `kernels.sorting.argsort` takes.
LONGEST = 2**31


def along(x: Any, axis: int) -> tuple[Dim, Dim, Dim]:
    """(number of elements of the axes before, the length of the axis, number of elements of those behind)."""
    return dims.product(x.shape[:axis]), x.shape[axis], dims.product(x.shape[axis + 1 :])


def sampled_lines() -> list[tuple[list[Any], dict[str, Any]]]:
    """What the tests try ops along an axis on."""
    x = np.array([[2.0, -1.5, 0.5], [1.0, 3.0, -0.25]], np.float64)
    return [([x], {"axis": 0}), ([x], {"axis": 1}), ([x[0]], {"axis": 0})]


def flattened(what: str, x: Any, axis: Any) -> tuple[Variable, int]:
    """The variable and its axis; flattened where the axis is None."""
    v = as_variable(x)
    if axis is None:
        return flatten(v), 0
    if v.ndim == 0:
        raise ShapeError(f"{what}: a scalar has no axis: {describe(v)}")
    return v, ln.axis_of(axis, v.ndim, what, v)


# -- sorting --------------------------------------------------------------------------------------------------------

# What the kernels of `radix` call the elements.
UNSIGNED, SIGNED, FLOATING = 0, 1, 2


def _sizes(x: Any, axis: int) -> tuple[Any, ...]:
    """What a kernel of `radix` is told."""
    dtype = np.dtype(x.dtype)
    kind = FLOATING if dtype.kind == "f" else SIGNED if dtype.kind == "i" else UNSIGNED
    return (*along(x, axis), x.shape[0], dtype.itemsize, kind)


def _bytes(outer: Dim, length: Dim, *sizes: Any) -> Dim:
    """The memory in which a kernel of `radix` sorts a line: counts of digits, keys and positions twice."""
    return dims.aligned(length * 32 + 8 * 256 * 8)


Op(
    "argsort",
    ("x",),
    "The indices that sort x along `axis`; equal elements keep their order, NaN comes last.",
    int64,
    lambda x, axis: np.argsort(x, axis=axis, kind="stable"),
    None,
    no_grad="positions are integers",
    kernel=Kernel(
        "radix.argsort_lines",
        lambda x, axis: (*_sizes(x, axis), x.shape[axis], 0),
        own=_bytes,
        addresses=True,
        on_thread="sorting.argsort",
    ),
    batch=over_stacks("argsort"),
    shape=lambda x, axis: x.shape,
    checks=(
        Check("at_least", lambda x, axis: [(LONGEST - x.shape[axis], 0)], "an axis longer than 2**31 cannot be sorted"),
    ),
    samples=sampled_lines,
)


def _shape_of_first(x: Any, axis: int, count: int) -> tuple[Any, ...]:
    return (*x.shape[:axis], abs(count), *x.shape[axis + 1 :])


def _sizes_of_first(x: Any, axis: int, count: int) -> tuple[Any, ...]:
    outer, length, inner, _, size, kind = _sizes(x, axis)
    turned = 0 if count < 0 else -1 if size == 8 else (1 << 8 * size) - 1
    return outer, length, inner, _shape_of_first(x, axis, count)[0], size, kind, abs(count), turned


def _first_positions(x: NDArray[Any], axis: int, count: int) -> NDArray[np.int64]:
    if count > 0:
        # backwards, so that of equal elements the first comes last
        order = np.flip(x.shape[axis] - 1 - np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    else:
        order = np.argsort(x, axis, kind="stable")
    return np.take(order, np.arange(abs(count)), axis)


def _sorted_whole(x: Variable, axis: int, count: int) -> Variable:
    length = ln.dim(x, axis)
    order = argsort(x, axis) if count < 0 else f.sub(f.sub(length, 1), flip(argsort(flip(x, axis), axis), axis))
    return part(order, axis, None, abs(count))


Op(
    "argtopk",
    ("x",),
    "The indices of the `count` largest elements along `axis`, largest first, for -count of the smallest.",
    int64,
    _first_positions,
    None,
    no_grad="positions are integers",
    kernel=Kernel("radix.argsort_lines", _sizes_of_first, own=_bytes, addresses=True),
    on_grid=_sorted_whole,
    batch=over_stacks("argtopk"),
    shape=_shape_of_first,
    checks=(
        Check("at_least", lambda x, axis, count: [(LONGEST - x.shape[axis], 0)],
              "an axis longer than 2**31 cannot be sorted"),
        Check("at_least", lambda x, axis, count: [(x.shape[axis], abs(count))],
              "an axis has {a} elements, and {b} are asked for"),
    ),
    samples=lambda: [(x, {**attrs, "count": count}) for x, attrs in sampled_lines() for count in (1, 2, -1)],
    says="topk",
)  # fmt: skip


def _unsorted(v: Variable, x: Variable, axis: int) -> Variable:
    """What stands beside the sorted x, beside the elements as they are in x."""
    return take_along_axis(v, argsort(argsort(x, axis), axis), axis)


Op(
    "sort",
    ("x",),
    "x sorted along `axis`; NaN comes last, and zeros keep the order of their signs.",
    same,
    lambda x, axis: np.take_along_axis(x, np.argsort(x, axis=axis, kind="stable"), axis),
    lambda g, out, x, axis: (_unsorted(g, x, axis),),
    kernel=Kernel("radix.sort_lines", _sizes, own=_bytes, addresses=True),
    on_grid=lambda x, axis: take_along_axis(x, argsort(x, axis), axis),
    batch=over_stacks("sort"),
    reach=lambda counts, out, x, axis: (None if counts is None else _unsorted(counts, x, axis),),
    shape=lambda x, axis: x.shape,
    samples=sampled_lines,
)  # fmt: skip


def argsort(x: Any, axis: Any = -1, kind: Any = None) -> Variable:
    """The int64 indices that sort x along `axis` (None: flattened). Equal elements keep their order, NaN comes last,
    whatever `kind` says, which is NumPy's."""
    v, k = flattened("argsort", x, axis)
    return apply(OPS["argsort"], [v], axis=k)


Op(
    "argsort_rows",
    ("x",),
    "The order of a matrix's rows: by their first elements, equal ones by the second, and so on; NaN comes last.",
    int64,
    lambda x: np.lexsort(x.T[::-1]) if x.shape[1] else np.arange(len(x)),
    None,
    no_grad="positions are integers",
    kernel=Kernel("sorting.argsort_rows", lambda x: (x.shape[0], x.shape[1])),
    shape=lambda x: x.shape[:1],
    checks=(Check("at_least", lambda x: [(LONGEST - x.shape[0], 0)], "more than 2**31 rows cannot be sorted"),),
    samples=lambda: [
        ([np.array(rows, np.float64)], {})
        for rows in (
            [[2.0, 1.0], [0.0, 3.0], [2.0, 0.0], [0.0, 3.0], [-1.0, 9.0]],
            [[1.0, np.nan], [1.0, 0.5]],
            [[0.0]],
        )
    ],
)


def argsort_rows(x: Variable) -> Variable:
    """The int64 indices that sort the rows of a matrix, see the op."""
    return apply(OPS["argsort_rows"], [x])


def sort(x: Any, axis: Any = -1, kind: Any = None) -> Variable:
    """x sorted along `axis` (None: the flattened x), NaN last. `kind`, which is NumPy's, has no effect."""
    v, k = flattened("sort", x, axis)
    return apply(OPS["sort"], [v], axis=k)


# -- running sums and products --------------------------------------------------------------------------------------

Op(
    "cumsum",
    ("x",),
    "Sums of the elements up to each one along `axis`.",
    accumulated,
    lambda x, axis: np.cumsum(x, axis=axis),
    lambda g, out, x, axis: (flip(cumsum(flip(g, axis), axis), axis),),
    kernel=Kernel("scans.cumsum", lambda x, axis: along(x, axis)),
    complex=True,
    reach=linearly,
    batch=over_stacks("cumsum"),
    shape=lambda x, axis: x.shape,
    samples=sampled_lines,
)


def _cumprod_grad(g: Variable, out: Variable, x: Variable, axis: int) -> tuple[Variable]:
    """The product before x[j], times s[j] = g[j] + x[j + 1] * s[j + 1]. Nothing is divided, so zeros are fine."""
    one = ones_like(part(out, axis, None, 1))
    before = concatenate([one, part(out, axis, None, -1)], axis)
    following = concatenate([part(x, axis, 1, None), ones_like(part(x, axis, None, 1))], axis)
    behind = flip(apply(OPS["recurrence"], [flip(following, axis), flip(g, axis)], axis=axis), axis)
    return (f.mul(before, behind),)


Op(
    "cumprod",
    ("x",),
    "Products of the elements up to each one along `axis`.",
    accumulated,
    lambda x, axis: np.cumprod(x, axis=axis),
    _cumprod_grad,
    kernel=Kernel("scans.cumprod", lambda x, axis: along(x, axis)),
    complex=True,
    reach=lambda counts, out, x, axis: linearly(counts, cumsum(out, axis), out, axis=axis),
    batch=over_stacks("cumprod"),
    shape=lambda x, axis: x.shape,
    samples=sampled_lines,
)


def _recurred(a: NDArray[Any], b: NDArray[Any], axis: int) -> NDArray[Any]:
    factors, terms = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    out = np.array(np.broadcast_to(terms, terms.shape), np.result_type(a, b))
    for j in range(1, len(out)):
        out[j] = factors[j] * out[j - 1] + terms[j]
    return np.moveaxis(out, 0, axis)


def _recurrence_grad(g: Variable, out: Variable, a: Variable, b: Variable, axis: int) -> tuple[Variable, Variable]:
    """s[j] = g[j] + a[j + 1] * s[j + 1] is the gradient of b; a[j] multiplies out[j - 1], a[0] nothing."""
    nothing = f.zeros_like(part(out, axis, None, 1))
    following = concatenate([part(a, axis, 1, None), f.zeros_like(part(a, axis, None, 1))], axis)
    behind = flip(apply(OPS["recurrence"], [flip(following, axis), flip(g, axis)], axis=axis), axis)
    return f.mul(behind, concatenate([nothing, part(out, axis, None, -1)], axis)), behind


Op(
    "recurrence",
    ("a", "b"),
    "out[0] = b[0], out[j] = a[j] * out[j - 1] + b[j] along `axis`.",
    same,
    _recurred,
    _recurrence_grad,
    kernel=Kernel("scans.recurrence", lambda a, b, axis: along(b, axis)),
    complex=True,
    reach=lambda counts, out, a, b, axis: linearly(counts, cumsum(out, axis), out, axis=axis) * 2,
    shape=lambda a, b, axis: b.shape,
    checks=(Check("equal", lambda a, b, axis: list(zip(a.shape, b.shape, strict=True)), "lengths {a} and {b} differ"),),
    samples=lambda: [([x, x * 2 + 1], attrs) for (x,), attrs in sampled_lines()],
)


def partition(x: Any, kth: Any, axis: Any = -1) -> Variable:
    """x along `axis` (None: the flattened x) such that element `kth` is where sorting would put it, with no larger ones
    before it and no smaller ones behind: it is sorted, whatever `kth` is."""
    return sort(x, axis)


def argpartition(x: Any, kth: Any, axis: Any = -1) -> Variable:
    """The int64 indices that partition x along `axis`: those that sort it."""
    return argsort(x, axis)


def lexsort(keys: Any, axis: Any = -1) -> Variable:
    """The int64 indices that sort by several keys, of which the last one counts first, as np.lexsort. keys: a list of
    arrays of one shape, or an array whose first axis counts them. ShapeError for none, and for keys of several
    shapes."""
    given = [as_variable(v) for v in keys] if isinstance(keys, list | tuple) else list(as_variable(keys))
    if not given:
        raise ShapeError("lexsort: there is no key")
    order = argsort(given[0], axis)
    for key in (f.matched(v, ln.dims_of(given[0]), "lexsort") for v in given[1:]):
        order = take_along_axis(order, argsort(take_along_axis(key, order, axis), axis), axis)
    return order


def cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Variable:
    """Sums of the elements up to each one along `axis` (None: of the flattened x), in `dtype` where it is given.

    Integers and bools give int64 (unsigned ones uint64); floats keep their dtype and are added in it, one by one.
    """
    v, k = flattened("cumsum", x if dtype is None else f.cast(x, dtype), axis)
    return apply(OPS["cumsum"], [v], axis=k)


def cumprod(x: Any, axis: Any = None, dtype: Any = None) -> Variable:
    """Products of the elements up to each one along `axis` (None: of the flattened x); dtypes as for `cumsum`."""
    v, k = flattened("cumprod", x if dtype is None else f.cast(x, dtype), axis)
    return apply(OPS["cumprod"], [v], axis=k)


# -- the product of all other elements ------------------------------------------------------------------------------


def _others(x: NDArray[Any], axis: int) -> NDArray[Any]:
    moved = np.moveaxis(np.asarray(x), axis, 0)
    result = np.empty(moved.shape)
    for k in range(len(moved)):
        result[k] = np.prod(np.delete(moved, k, axis=0), axis=0, dtype=np.float64)
    return np.moveaxis(result, 0, axis)


def _before_and_behind(x: Variable, axis: int) -> tuple[Variable, Variable]:
    """For each element the product of those before it, and of those behind it."""
    one = ones_like(part(x, axis, None, 1))
    before = concatenate([one, cumprod(part(x, axis, None, -1), axis)], axis)
    behind = concatenate([one, cumprod(flip(part(x, axis, 1, None), axis), axis)], axis)
    return before, flip(behind, axis)


def _others_composed(x: Variable, axis: int) -> Variable:
    result: Variable = f.mul(*_before_and_behind(x, axis))
    return result


def _others_grad(g: Variable, out: Variable, x: Variable, axis: int) -> tuple[Variable]:
    """gx[k] = the sum over all other j of g[j] * the product of x without elements j and k: of j before k, and behind
    it."""
    before, behind = _before_and_behind(x, axis)
    backwards = [flip(v, axis) for v in (g, x, behind, before)]
    return (f.add(_of_those_before(axis, g, x, before, behind), flip(_of_those_before(axis, *backwards), axis)),)


def _of_those_before(axis: int, g: Variable, x: Variable, before: Variable, behind: Variable) -> Variable:
    """The terms of `_others_grad` for j < k: sums[k] = g[k - 1] * before[k - 1] + x[k - 1] * sums[k - 1], times
    behind[k]. Where g has been 0 so far there are none, though x may be NaN there."""
    some = _shifted(f.gt(cumsum(f.neq(g, 0), axis), 0), axis)
    sums = apply(OPS["recurrence"], [f.where(some, x, 0), f.masked_mul(g, before)], axis=axis)
    result: Variable = f.where(some, f.mul(_shifted(sums, axis), behind), 0)
    return result


def _shifted(v: Variable, axis: int) -> Variable:
    """What is before each element; 0 before the first one."""
    result: Variable = concatenate([f.zeros_like(part(v, axis, None, 1)), part(v, axis, None, -1)], axis)
    return result


Op(
    "product_of_others",
    ("x",),
    "For each element the product of all others along `axis`.",
    first,
    _others,
    _others_grad,
    kernel=Kernel("scans.others", lambda x, axis: along(x, axis), wide=True),
    on_grid=_others_composed,
    reach=along_axis,
    batch=over_stacks("product_of_others"),
    shape=lambda x, axis: x.shape,
    dtypes=("float32", "float64"),
    samples=lambda: [
        ([np.array(v)], {"axis": a})
        for a in (0, 1)
        for v in (
            [[0.5, 2.0, -1.5], [1.0, 3.0, 0.25]],
            [[0.0, 2.0, -1.5], [1.0, 0.0, 0.0]],
            [[2.0], [3.0]],
        )
    ],
)


def product_of_others(x: Any, axis: int) -> Variable:
    """For each element of a float array the product of all others along `axis`: the gradient of `prod`.

    Zeros, NaN and infinities are in the products of all others, and not in their own. float32 is multiplied in float64.
    """
    v = as_variable(x)
    if v.type.dtype in COMPLEX:
        return _others_composed(v, ln.axis_of(axis, v.ndim, "product_of_others", v))
    if v.type.dtype not in REALS:
        raise DtypeError(f"product_of_others: {describe(v)} is not a float")
    return apply(OPS["product_of_others"], [v], axis=ln.axis_of(axis, v.ndim, "product_of_others", v))

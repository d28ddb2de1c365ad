"""Means, variances, norms and logsumexp: reductions composed of others. `axis` as in `reduce`."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops.define import as_floats, f
from numgraph.ops.reduce import Axes, axes_of, max, max_or_lowest, min, reduced, sum
from numgraph.types import INEXACT, check_dtype, real_of

__all__ = [
    "logsumexp", "mean", "norm", "ptp", "std", "var",
]  # fmt: skip
# Functions of expressions that operators use.
INTERNAL = ["norm_of_all"]


def count_of(x: Variable, axes: Axes) -> Any:
    """How many elements lie along `axes`: an int where all lengths are known, else an int64 scalar variable."""
    known = 1
    unknown: Any = None
    lengths = f.shape(x) if any_unknown(x, axes) else x.type.shape
    for a in axes:
        n = x.type.shape[a]
        if n is not None:
            known *= n
        else:
            unknown = lengths[a] if unknown is None else f.mul(unknown, lengths[a])
    if unknown is None:
        return known
    return unknown if known == 1 else f.mul(unknown, known)


def any_unknown(x: Variable, axes: Axes) -> bool:
    """Whether a length along `axes` is known only at run time."""
    return None in [x.type.shape[a] for a in axes]


def rounded_once(function: Callable[..., Variable], x: Variable, *args: Any) -> Variable:
    """function(x, *args) of a float16 x, computed in float32: sums and counts of 65,520 and more would be infinite."""
    result: Variable = f.cast(function(f.cast(x, "float32"), *args), "float16")
    return result


def mean(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """The mean along `axis`: integers and bools give float64, floats and complex numbers their dtype, or `dtype`.

    The mean of nothing is NaN. For an integer `dtype` elements are added in it, and the mean is cut to it, as in NumPy.
    One of float16 is that of float32, rounded.
    """
    v = reduced("mean", x)
    chosen = check_dtype(dtype) if dtype is not None else v.type.dtype if v.type.dtype in INEXACT else "float64"
    axes = axes_of("mean", v, axis)
    if chosen == "float16":
        return rounded_once(mean, v, axes, "float32", keepdims)
    if chosen not in INEXACT:
        whole = sum(f.cast(v, chosen), axes, chosen, keepdims)
        return f.cast(f.true_div(f.cast(whole, "float64"), f.cast(count_of(v, axes), "float64")), chosen)
    result: Variable = f.true_div(sum(v, axes, chosen, keepdims), f.cast(count_of(v, axes), chosen))
    return result


def var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """The variance along `axis`, of n - ddof degrees of freedom, or of 0 where there are none: then it is not finite.

    dtypes as for `mean`; of complex numbers it is real, the mean square of the distance from the mean.
    """
    v = as_variable(x)
    axes = axes_of("var", v, axis)
    if v.type.dtype == "float16":
        return rounded_once(var, v, axes, ddof, keepdims)
    difference = f.sub(v, mean(v, axes, keepdims=True))
    freedom = count_of(v, axes)
    if ddof:
        freedom = builtins.max(freedom - ddof, 0) if isinstance(freedom, int) else f.maximum(f.sub(freedom, ddof), 0)
    squares = sum(f.absolute_square(difference), axes, keepdims=keepdims)
    result: Variable = f.true_div(squares, f.cast(freedom, squares.type.dtype))
    return result


def std(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """The standard deviation along `axis`: the square root of `var`. Its gradient where all are equal is not finite."""
    v = as_variable(x)
    if v.type.dtype == "float16":
        return rounded_once(std, v, axis, ddof, keepdims)
    result: Variable = f.sqrt(var(v, axis, ddof, keepdims))
    return result


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The largest minus the smallest element along `axis`."""
    v = as_variable(x)
    result: Variable = f.sub(max(v, axis, keepdims), min(v, axis, keepdims))
    return result


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """log(sum(exp(x))) along `axis`, without overflow; elements of -inf count as nothing, -inf for no elements."""
    v = as_floats(x)
    axes = axes_of("logsumexp", v, axis)
    # the shift cancels out, so that no gradient needs to pass through it; an infinite one would make nan
    largest = max_or_lowest(v, axes, keepdims=True)
    shift = f.disconnected_grad(f.where(f.isfinite(largest), largest, 0.0))
    result: Variable = f.add(f.log(sum(f.exp(f.sub(v, shift)), axes, keepdims=True)), shift)
    return result if keepdims else dropped(result, axes)


def dropped(v: Variable, axes: Axes) -> Variable:
    """v without `axes`, all of length 1."""
    result: Variable = f.dimshuffle(v, *(k for k in range(v.ndim) if k not in axes))
    return result


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Variable:
    """The norm along `axis`, as np.linalg.norm: one axis is a vector, two are a matrix, None all of x.

    ord of a vector: 2 (or None), 1, inf, -inf, 0 or another number. ord of a matrix: None or "fro" for the root of the
    sum of squares, 1 and -1 for the largest and the smallest sum of a column, inf and -inf of a row; 2 and -2 for the
    largest and the smallest singular value, "nuc" for their sum. Without `ord` an x of any number of axes counts as the
    vector of its elements. The norm of nothing is 0; of order -inf, and of -1 and -2 for matrices, it is a ShapeError
    at run time. OptionError for another `ord`. ShapeError for an `ord` of more than two axes.
    """
    v = as_floats(x)
    axes = axes_of("norm", v, axis)
    if ord is None or (ord == "fro" and len(axes) == 2) or (ord == 2 and len(axes) < 2):
        result: Variable = f.sqrt(sum(f.absolute_square(v), axes, keepdims=keepdims))
        return result
    if len(axes) > 2:
        raise ShapeError(
            f"norm: ord={ord!r} is for a vector or a matrix, not for {len(axes)} axes\n  {describe(v)}\n"
            "  fix: choose one or two axes with axis=, or flatten it"
        )
    return _matrix_norm(v, ord, axis, keepdims) if len(axes) == 2 else _vector_norm(v, ord, axes, keepdims)


def norm_of_all(x: Any, order: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The norm of the vector of all elements along `axis` (None: all of x, some axes: those together)."""
    v = as_floats(x)
    axes = axes_of("norm", v, axis)
    return norm(v, None, axes, keepdims) if order == 2 else _vector_norm(v, order, axes, keepdims)


def _matrix_norm(v: Variable, ord: Any, axis: Any, keepdims: bool) -> Variable:
    """The largest or smallest sum of a column (ord 1, -1) or row (inf, -inf), or singular value (2, -2, "nuc")."""
    # rows and columns are told by the order in which the axes are given
    rows, columns = (0, 1) if axis is None else (a % v.ndim for a in axis)
    if ord in (2, -2, "nuc"):
        values = f.svdvals(f.moveaxis(v, (rows, columns), (-2, -1)))
        last = (values.ndim - 1,)
        found = sum(values, last) if ord == "nuc" else _largest(values, last, False) if ord == 2 else min(values, last)
        return f.expand_dims(found, builtins.sorted((rows, columns))) if keepdims else found
    if ord not in (1, -1, np.inf, -np.inf):
        raise OptionError(
            f"norm: ord={ord!r} of a matrix is not defined\n  {describe(v)}\n"
            '  fix: "fro" for the root of the sum of squares, or x.flatten() for the norm of its elements'
        )
    summed, left = (rows, columns) if ord in (1, -1) else (columns, rows)
    sums = sum(f.abs(v), summed, keepdims=True)
    result = _largest(sums, (left,), True) if ord > 0 else min(sums, left, keepdims=True)
    return result if keepdims else dropped(result, (rows, columns))


def _largest(v: Variable, axes: Axes, keepdims: bool) -> Variable:
    """The largest element, 0 for none."""
    n = count_of(v, axes)
    result = max_or_lowest(v, axes, keepdims)
    return result if isinstance(n, int) and n > 0 else f.where(f.eq(n, 0), 0, result)


def _vector_norm(v: Variable, ord: Any, axes: Axes, keepdims: bool) -> Variable:
    if not isinstance(ord, int | float):
        raise OptionError(f'norm: ord must be None, "fro" or a number, not {ord!r}, for {describe(v)}')
    if ord == np.inf:
        result = _largest(f.abs(v), axes, keepdims)
    elif ord == -np.inf:
        result = min(f.abs(v), axes, keepdims)
    elif ord == 0:
        result = f.cast(sum(f.neq(v, 0), axes, keepdims=keepdims), real_of(v.type.dtype))
    elif ord == 1:
        result = sum(f.abs(v), axes, keepdims=keepdims)
    else:
        result = f.pow(sum(f.pow(f.abs(v), float(ord)), axes, keepdims=keepdims), 1.0 / ord)
    return result

"""Reductions and elementwise functions with the arguments, and the dtypes, that Theano and PyTensor give them."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from numgraph.graph import Variable, as_variable
from numgraph.op import FUNCTIONS
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.types import COMPLEX, DISCRETE, check_dtype

Function = Callable[..., Variable]
# what programs call in numgraph by these names
_MEAN: Function = FUNCTIONS["mean"]
_ARGMAX: Function = FUNCTIONS["argmax"]
_ARGMIN: Function = FUNCTIONS["argmin"]
_NAN_TO_NUM: Function = FUNCTIONS["nan_to_num"]
_LOGADDEXP: Function = FUNCTIONS["logaddexp"]
_SQUEEZE: Function = FUNCTIONS["squeeze"]


def mean(
    input: Any, axis: Any = None, dtype: Any = None, op: Any = False, keepdims: bool = False, acc_dtype: Any = None
) -> Variable:
    """The mean. dtype: that of the sum; one of integers is divided as floats, and gives float64. The sum of complex
    numbers in a real dtype is that of their real parts. op, acc_dtype: without effect."""
    x = as_variable(input)
    if dtype is None:
        return _MEAN(x, axis, keepdims=keepdims)
    wanted = check_dtype(dtype)
    if x.type.dtype in COMPLEX and wanted not in COMPLEX:
        x = f.real(x)
    if wanted not in DISCRETE:
        return _MEAN(x, axis, dtype=wanted, keepdims=keepdims)
    axes = range(x.ndim) if axis is None else ln.axes_of(axis, x.ndim, "mean", x)
    total = f.cast(f.sum(x, tuple(axes), keepdims=keepdims), wanted)
    count = ln.product([ln.dim(x, k) for k in axes])
    found: Variable = f.true_div(f.cast(total, "float64"), f.cast(as_variable(count), "float64"))
    return found


def _sorted(axis: Any) -> Any:
    return sorted(axis) if isinstance(axis, list | tuple) and all(isinstance(a, int) and a >= 0 for a in axis) else axis


def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """As `numgraph.argmax`; of several axes in the order of the array, however they are given."""
    return _ARGMAX(x, _sorted(axis), keepdims)


def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """As `argmax`, of the smallest element."""
    return _ARGMIN(x, _sorted(axis), keepdims)


def max_and_argmax(a: Any, axis: Any = None, keepdims: bool = False) -> list[Variable]:
    """The maximum, and where it is first reached, as `argmax`."""
    x = as_variable(a)
    return [f.max(x, axis, keepdims), argmax(x, axis, keepdims)]


def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Variable:
    """As `numgraph.nan_to_num`, which has NumPy's `copy` behind x."""
    return _NAN_TO_NUM(x, nan=nan, posinf=posinf, neginf=neginf)


def logaddexp(*xs: Any) -> Variable:
    """log(exp(x) + exp(y) + ...), of two or more."""
    found: Variable = reduce(_LOGADDEXP, xs)
    return found


def squeeze(x: Any, axis: Any = None) -> Variable:
    """As `numgraph.squeeze`; a scalar has an axis 0 and -1 that can be left out, as NumPy's."""
    v = as_variable(x)
    axes = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    return v if v.ndim == 0 and axes in ((0,), (-1,)) else _SQUEEZE(v, axis)


def where(condition: Any, ift: Any = None, iff: Any = None) -> Any:
    """As `numgraph.where`; ValueError for one of the two values without the other."""
    if (ift is None) != (iff is None):
        raise ValueError("where: either both or neither of ift and iff must be given")
    found: Any = f.where(condition, ift, iff)
    return found

"""Selections: the positions of what is not zero, elements at given positions along an axis, and one-hot arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.config import config
from numgraph.errors import DtypeError, ShapeError
from numgraph.graph import Constant, Variable, apply, as_variable, describe
from numgraph.lengths import dims
from numgraph.op import OPS, Check, Kernel, Op, first, int64
from numgraph.ops import lengths as ln
from numgraph.ops.create import constant_scalar, counting, filled, ones_like
from numgraph.ops.define import f
from numgraph.ops.shape import flatten, shuffled
from numgraph.ops.subtensor import OUT_OF_RANGE, gather
from numgraph.types import BOOL, DISCRETE

__all__ = [
    "flatnonzero", "nonzero", "nonzero_values", "take", "take_along_axis", "to_one_hot",
]  # fmt: skip

# -- positions of what is not zero ----------------------------------------------------------------------------------


Op(
    "nonzero",
    ("mask", "count"),
    "The positions in the vector `mask` that are not 0, of which there are `count`.",
    int64,
    lambda mask, count: np.flatnonzero(mask),
    None,
    no_grad="positions are integers",
    kernel=Kernel("sorting.nonzero", lambda mask, count: (mask.shape[0], count.value)),
    shape=lambda mask, count: (count.value,),
    samples=lambda: [([np.array([True, False, True]), 2], {}), ([np.array([0.0, 2.0, -1.0], np.float64), 2], {})],
)


def flatnonzero(x: Any) -> Variable:
    """The positions of the elements of the flattened x that are not 0, in order: int64, as many as there are."""
    v = flatten(as_variable(x))
    mask = v if v.type.dtype == BOOL else f.neq(v, 0)
    return apply(OPS["nonzero"], [mask, f.sum(mask)])


def nonzero(x: Any) -> tuple[Variable, ...]:
    """One int64 vector per axis: the indices of the elements that are not 0, in C order. ShapeError for a scalar."""
    v = as_variable(x)
    if v.ndim == 0:
        raise ShapeError(f"nonzero: an array is needed, not {describe(v)}")
    flat = flatnonzero(v)
    if v.ndim == 1:
        return (flat,)
    lengths = ln.dims_of(v)
    result = []
    for axis, n in enumerate(lengths):
        index = flat // ln.product(lengths[axis + 1 :]) if axis + 1 < v.ndim else flat
        result.append(index % n if axis else index)
    return tuple(result)


def nonzero_values(x: Any) -> Variable:
    """The elements of x that are not 0, as a vector in C order."""
    v = as_variable(x)
    return flatten(v)[flatnonzero(v)]  # type: ignore[no-any-return]


# -- along an axis ---------------------------------------------------------------------------------------------------


def take(x: Any, indices: Any, axis: Any = None, mode: str | None = "raise") -> Variable:
    """Elements at `indices` along `axis` (None: of the flattened array).

    mode: what to do with an index past the end: "raise" (None) IndexOutOfRange, "wrap" around, or "clip" to the last.
    """
    v = as_variable(x)
    if axis is None:
        v, axis = flatten(v), 0
    k = ln.axis_of(axis, v.ndim, "take", v)
    if mode not in (None, "raise", "wrap", "clip"):
        raise ValueError(f'take: mode must be "raise", "wrap" or "clip", not {mode!r}')
    if mode in ("wrap", "clip"):
        index = ln.as_position(as_variable(indices))
        last = ln.dim(v, k)
        indices = f.mod(index, last) if mode == "wrap" else f.clip(index, 0, last - 1)
    return f.getitem(v, (*(slice(None),) * k, indices))


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Variable:
    """Elements along `axis` at `indices`, which has one index for each element of the result and as many axes as x.

    Its other lengths are those of x, or 1. axis=None: of the elements of x in C order, with a vector of indices.
    """
    v, index = as_variable(x), as_variable(indices)
    if axis is None:
        v, axis = flatten(v), 0
    k = ln.axis_of(axis, v.ndim, "take_along_axis", v)
    if index.ndim != v.ndim or index.type.dtype not in DISCRETE or index.type.dtype == BOOL:
        raise ShapeError(
            f"take_along_axis: indices must be integers with {v.ndim} axes\n  {describe(v)}\n  {describe(index)}"
        )
    index = ln.as_position(index)
    every = [
        index if a == k else shuffled(counting(ln.dim(v, a)), tuple(0 if b == a else -1 for b in range(v.ndim)))
        for a in range(v.ndim)
    ]
    return gather(v, every, tuple(range(v.ndim)), 0)


# -- one-hot arrays --------------------------------------------------------------------------------------------------


def _one_hot(v: NDArray[Any], index: NDArray[Any], length: Any) -> NDArray[Any]:
    out = np.zeros((*np.shape(v), int(length)), np.asarray(v).dtype)
    np.put_along_axis(out, np.asarray(index, np.int64)[..., None], np.asarray(v)[..., None], -1)
    return out


def _one_hot_element(idx: Any, v: Any, index: Any, length: Any) -> Any:
    chosen = dims.wrap(index.at(*idx[:-1]), length.value)
    return dims.where(dims.equal(chosen, idx[-1]), v.at(*idx[:-1]), 0)


def _one_hot_grad(g: Variable, out: Variable, v: Variable, index: Variable, length: Variable) -> Any:
    hot = one_hot(filled(constant_scalar(1, g.type.dtype), ln.dims_of(index)), index, _known(length))
    return f.sum(f.where(f.neq(hot, 0), g, 0), -1), None, None


def _known(length: Variable) -> ln.Length:
    return int(length.data) if isinstance(length, Constant) else length


ONE_HOT = Op(
    "one_hot",
    ("v", "index", "length"),
    "A new last axis with v at position `index` and zeros elsewhere.",
    first,
    _one_hot,
    _one_hot_grad,
    element=_one_hot_element,
    injective=False,
    shape=lambda v, index, length: (*v.shape, length.value),
    checks=(
        Check("at_least", lambda v, index, length: [(length.value, 0)], "a length of {a} is negative"),
        Check("range", lambda v, index, length: [(index, length.value)], OUT_OF_RANGE),
        Check(
            "equal", lambda v, index, length: list(zip(v.shape, index.shape, strict=True)), "{a} values and {b} indices"
        ),
    ),
    samples=lambda: [([np.array([1.5, 2, 3], np.float64), np.array([2, 0, -1]), 4], {})],
)


def one_hot(v: Variable, index: Variable, length: ln.Length) -> Variable:
    """A new last axis of `length` with v at position `index` and zeros elsewhere; v and index have one shape."""
    return apply(ONE_HOT, [v, index, *ln.operands([length])])


def to_one_hot(y: Any, nb_class: Any, dtype: Any = None) -> Variable:
    """A new last axis of length `nb_class` with 1 at position y and zeros elsewhere. y: integers; dtype None: floatX.

    IndexOutOfRange for a y that is not below nb_class.
    """
    v = as_variable(y)
    if v.type.dtype not in DISCRETE or v.type.dtype == BOOL:
        raise DtypeError(f"to_one_hot: labels must be integers, not {describe(v)}")
    return one_hot(ones_like(v, dtype or config.floatX), v, ln.as_length(nb_class, "to_one_hot"))

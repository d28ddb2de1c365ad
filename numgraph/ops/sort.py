"""Sorting, and running sums and products."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph import dims
from numgraph.dims import Dim
from numgraph.errors import ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.op import OPS, Check, Kernel, Op, accumulated, int64, same
from numgraph.ops import lengths as ln
from numgraph.ops.create import ones_like
from numgraph.ops.define import f, linearly
from numgraph.ops.join import concatenate, flip, part
from numgraph.ops.select import take_along_axis
from numgraph.ops.shape import flatten

__all__ = "argsort cumprod cumsum sort".split()

# The longest axis that `kernels.sorting.argsort` takes.
LONGEST = 2**31


def _line(x: Any, axis: int) -> tuple[Dim, Dim, Dim]:
    """(number of elements of the axes before, the length of the axis, number of elements of those behind)."""
    return dims.product(x.shape[:axis]), x.shape[axis], dims.product(x.shape[axis + 1 :])


def _lines() -> list[tuple[list[Any], dict[str, Any]]]:
    x = np.array([[2.0, -1.5, 0.5], [1.0, 3.0, -0.25]], np.float64)
    return [([x], {"axis": 0}), ([x], {"axis": 1}), ([x[0]], {"axis": 0})]


def _axis(what: str, x: Any, axis: Any) -> tuple[Variable, int]:
    """The variable and its axis; flattened where the axis is None."""
    v = as_variable(x)
    if axis is None:
        return flatten(v), 0
    if v.ndim == 0:
        raise ShapeError(f"{what}: a scalar has no axis: {describe(v)}")
    return v, ln.axis_of(axis, v.ndim, what, v)


# -- sorting --------------------------------------------------------------------------------------------------------

Op(
    "argsort",
    ("x",),
    "The indices that sort x along `axis`; equal elements keep their order, NaN comes last.",
    int64,
    lambda x, axis: np.argsort(x, axis=axis, kind="stable"),
    None,
    no_grad="positions are integers",
    kernel=Kernel("sorting.argsort", lambda x, axis: _line(x, axis)),
    shape=lambda x, axis: x.shape,
    checks=(
        Check("at_least", lambda x, axis: [(LONGEST - x.shape[axis], 0)], "an axis longer than 2**31 cannot be sorted"),
    ),
    samples=_lines,
)


def argsort(x: Any, axis: Any = -1) -> Variable:
    """The int64 indices that sort x along `axis` (None: flattened). Equal elements keep their order, NaN comes last."""
    v, k = _axis("argsort", x, axis)
    return apply(OPS["argsort"], [v], axis=k)


def sort(x: Any, axis: Any = -1) -> Variable:
    """x sorted along `axis` (None: the flattened x), NaN last."""
    v, k = _axis("sort", x, axis)
    return take_along_axis(v, argsort(v, k), k)


# -- running sums and products --------------------------------------------------------------------------------------

Op(
    "cumsum",
    ("x",),
    "Sums of the elements up to each one along `axis`.",
    accumulated,
    lambda x, axis: np.cumsum(x, axis=axis),
    lambda g, out, x, axis: (flip(cumsum(flip(g, axis), axis), axis),),
    kernel=Kernel("scans.cumsum", lambda x, axis: _line(x, axis)),
    reach=linearly,
    shape=lambda x, axis: x.shape,
    samples=_lines,
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
    kernel=Kernel("scans.cumprod", lambda x, axis: _line(x, axis)),
    reach=lambda counts, out, x, axis: linearly(counts, cumsum(out, axis), out, axis=axis),
    shape=lambda x, axis: x.shape,
    samples=_lines,
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
    kernel=Kernel("scans.recurrence", lambda a, b, axis: _line(b, axis)),
    reach=lambda counts, out, a, b, axis: linearly(counts, cumsum(out, axis), out, axis=axis) * 2,
    shape=lambda a, b, axis: b.shape,
    checks=(Check("equal", lambda a, b, axis: list(zip(a.shape, b.shape, strict=True)), "lengths {a} and {b} differ"),),
    samples=lambda: [([x, x * 2 + 1], attrs) for (x,), attrs in _lines()],
)


def cumsum(x: Any, axis: Any = None) -> Variable:
    """Sums of the elements up to each one along `axis` (None: of the flattened x).

    Integers and bools give int64 (unsigned ones uint64); floats keep their dtype and are added in it, one by one.
    """
    v, k = _axis("cumsum", x, axis)
    return apply(OPS["cumsum"], [v], axis=k)


def cumprod(x: Any, axis: Any = None) -> Variable:
    """Products of the elements up to each one along `axis` (None: of the flattened x); dtypes as for `cumsum`."""
    v, k = _axis("cumprod", x, axis)
    return apply(OPS["cumprod"], [v], axis=k)

"""Reductions along axes, and `unbroadcast`, which undoes broadcasting in gradients.

Every user function takes `axis` as None (all axes), an int or a tuple of ints, negative ones counted from the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import AxisError, ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.lengths import dims
from numgraph.op import OPS, Check, Op, Reduce, Scatter, accumulated, boolean, first, int64, same
from numgraph.ops import batching, formula
from numgraph.ops.define import f
from numgraph.source import warn
from numgraph.types import COMPLEX, WIDER, check_dtype

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "max", "min", "prod", "sum",
]  # fmt: skip
# Functions of expressions that gradients and operators use.
INTERNAL = ["unbroadcast"]

Axes = tuple[int, ...]
POSITIONS = "an index is an integer and has no derivative"
TRUTHS = "a truth value has no derivative"

# -- axes -----------------------------------------------------------------------------------------------------------


def axes_of(name: str, x: Variable, axis: Any) -> Axes:
    """The axes as sorted natural numbers; AxisError for one that x has not, ShapeError for a repeated one."""
    if axis is None:
        return tuple(range(x.ndim))
    chosen = []
    for a in axis if isinstance(axis, tuple | list) else (axis,):
        try:
            k = a.__index__()
        except (AttributeError, TypeError):
            raise TypeError(f"{name}: axis must be None, an int or a tuple of ints, not {axis!r}") from None
        if not -x.ndim <= k < x.ndim:
            raise AxisError(f"{name}: axis {k} of {describe(x)}, which has {x.ndim} axes")
        chosen.append(k % x.ndim)
    if len(set(chosen)) < len(chosen):
        raise ShapeError(f"{name}: axis {axis} names an axis twice, for {describe(x)}")
    return tuple(sorted(chosen))


def reduced(name: str, x: Any) -> Variable:
    """What a reduction is of, as a variable. A Python bool is mostly what `==` or `!=` of two variables gave: it is
    said in a warning."""
    if isinstance(x, bool):
        warn(
            f"{name} of {x}: `==` and `!=` of variables compare identity, and give one Python bool for all elements\n"
            f"  fix: ng.{name}(ng.eq(x, y)) or ng.{name}(ng.neq(x, y))"
        )
    return as_variable(x)


def restored(v: Variable, ndim: int, axes: Axes) -> Variable:
    """A reduced variable with an axis of length 1 for each of `axes` again."""
    if v.ndim == ndim:
        return v
    kept = iter(range(v.ndim))
    result: Variable = f.dimshuffle(v, *("x" if k in axes else next(kept) for k in range(ndim)))
    return result


def _spread(g: Variable, x: Variable, axes: Axes) -> Variable:
    """A reduction's gradient, repeated along the reduced axes."""
    result: Variable = f.broadcast_to(restored(g, x.ndim, axes), f.shape(x))
    return result


def _samples(*dtypes: str, axes: Sequence[Axes] = ((0,), (1,), (0, 1)), low: float = -3.0) -> Any:
    """Samples of a reduction: 0 to 2 axes reduced, kept or dropped, a length of 1, and negative values."""

    def draw() -> list[tuple[list[Any], dict[str, Any]]]:
        rng = np.random.default_rng(5)
        result: list[tuple[list[Any], dict[str, Any]]] = []
        for dtype in dtypes:
            for shape in ((3, 4), (1, 5), (4, 1)):
                x = np.asarray(rng.uniform(low if dtype[0] != "u" else 0.0, 3.0, shape)).astype(dtype)
                result += [([x], {"axis": a, "keepdims": len(result) % 2 == 0}) for a in axes]
        return result

    return draw


NUMBERS = ("float32", "float64", "int32", "int64", "uint8", "bool")

# -- sum and product ------------------------------------------------------------------------------------------------


def _accumulator(x: NDArray[Any], dtype: str | None) -> Any:
    """The dtype that NumPy accumulates in: float32 in float64, as compiled code does."""
    wanted = dtype or accumulated([x.dtype.name])
    return WIDER.get(wanted, wanted)


def _sum(x: NDArray[Any], axis: Axes, keepdims: bool, dtype: str | None = None) -> NDArray[Any]:
    return np.asarray(np.sum(x, axis=axis, keepdims=keepdims, dtype=_accumulator(x, dtype)))


def _prod(x: NDArray[Any], axis: Axes, keepdims: bool, dtype: str | None = None) -> NDArray[Any]:
    return np.asarray(np.prod(x, axis=axis, keepdims=keepdims, dtype=_accumulator(x, dtype)))


def _prod_grad(
    g: Variable, out: Variable, x: Variable, axis: Axes, keepdims: bool, dtype: Any = None
) -> tuple[Any, ...]:
    """For each element the product of all others, worked out axis by axis; nothing is divided."""
    floats = x if dtype is None else f.cast(x, dtype)
    others: Any = None
    for a in reversed(axis):
        along = f.product_of_others(floats, a)
        others = along if others is None else f.mul(others, along)
        floats = prod(floats, a, keepdims=True)
    return (_spread(g, x, axis) if others is None else f.masked_mul(restored(g, x.ndim, axis), others),)


SUM = Op("sum", ("x",), "The sum along `axis`; float32 accumulates in float64.", accumulated, _sum,
   lambda g, out, x, axis, keepdims, dtype=None: (_spread(g, x, axis),),
   reduce=Reduce(0, "acc + x", wide=True, reassociate=True), samples=_samples(*NUMBERS), complex=True)  # fmt: skip

Op("prod", ("x",), "The product along `axis`; float32 accumulates in float64.", accumulated, _prod, _prod_grad,
   reduce=Reduce(1, "acc * x", wide=True, reassociate=True), samples=_samples(*NUMBERS), complex=True)  # fmt: skip


def sum(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """The sum along `axis`; integers and bools give int64 (unsigned uint64), or `dtype` where it is given.

    float32 is accumulated in float64. The sum of nothing is 0. AxisError for an axis that x has not.
    """
    return _accumulated("sum", x, axis, dtype, keepdims)


def prod(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Variable:
    """The product along `axis`; dtypes as for `sum`. The product of nothing is 1. Its gradient divides
    nothing: it is right for zeros, NaN and infinities too.
    """
    return _accumulated("prod", x, axis, dtype, keepdims)


def _accumulated(name: str, x: Any, axis: Any, dtype: Any, keepdims: bool) -> Variable:
    v = reduced(name, x)
    if dtype is not None and v.type.dtype in COMPLEX:
        v = f.cast(v, dtype)
    attrs: dict[str, Any] = {"axis": axes_of(name, v, axis), "keepdims": bool(keepdims)}
    if dtype is not None and check_dtype(dtype) != accumulated([v.type.dtype]):
        attrs["dtype"] = check_dtype(dtype)
    return apply(OPS[name], [v], **attrs)


# -- largest and smallest -------------------------------------------------------------------------------------------


def _extreme_grad(
    g: Variable, out: Variable, x: Variable, axis: Axes, keepdims: bool, empty: bool = False
) -> tuple[Any, ...]:
    """Equal extremes share the gradient evenly: the shares sum to 1."""
    extreme = f.eq(x, restored(out, x.ndim, axis))
    ties = f.cast(sum(extreme, axis, keepdims=True), out.type.dtype)
    return (f.where(extreme, f.true_div(restored(g, x.ndim, axis), ties), 0.0),)


def _lowest(dtype: Any) -> Any:
    """What `maximum` leaves every other element of the dtype as it is with."""
    return False if dtype.kind == "b" else -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _max(x: NDArray[Any], axis: Axes, keepdims: bool, empty: bool = False) -> NDArray[Any]:
    start = {"initial": _lowest(x.dtype)} if empty else {}
    return np.asarray(np.max(x, axis, keepdims=keepdims, **start))


Op("max", ("x",), "The largest element along `axis`; NaN wins.", same, _max, _extreme_grad,
   reduce=Reduce("lowest", "maximum(acc, x)", reassociate=True), samples=_samples(*NUMBERS))  # fmt: skip

Op("min", ("x",), "The smallest element along `axis`; NaN wins.", same,
   lambda x, axis, keepdims: np.min(x, axis, keepdims=keepdims), _extreme_grad,
   reduce=Reduce("highest", "minimum(acc, x)", reassociate=True), samples=_samples(*NUMBERS))  # fmt: skip


def _position(function: Any) -> Any:
    return lambda x, axis, keepdims: function(x, axis=axis[0], keepdims=keepdims)


# the first NaN replaces what was found before it, and nothing replaces a NaN
Op("argmax", ("x",), "The index of the first largest element along `axis`; the first NaN wins.", int64,
   _position(np.argmax), None, no_grad=POSITIONS,
   reduce=Reduce("lowest", "x > acc or (x != x and acc == acc)", position=True),
   samples=_samples(*NUMBERS, axes=((0,), (1,))))  # fmt: skip

Op("argmin", ("x",), "The index of the first smallest element along `axis`; the first NaN wins.", int64,
   _position(np.argmin), None, no_grad=POSITIONS,
   reduce=Reduce("highest", "x < acc or (x != x and acc == acc)", position=True),
   samples=_samples(*NUMBERS, axes=((0,), (1,))))  # fmt: skip


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The largest element along `axis`, of x's dtype; NaN wins. Equal ones share the gradient evenly.

    ShapeError at run time when there are no elements along `axis`.
    """
    return _reduced("max", x, axis, keepdims)


def max_or_lowest(x: Variable, axes: Axes, keepdims: bool = False) -> Variable:
    """As `max`, but along an empty axis the lowest number of x's dtype, -inf for floats."""
    return apply(OPS["max"], [x], axis=axes, keepdims=keepdims, empty=True)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The smallest element along `axis`, of x's dtype; NaN wins. Equal ones share the gradient evenly.

    ShapeError at run time when there are no elements along `axis`.
    """
    return _reduced("min", x, axis, keepdims)


def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The int64 index of the first largest element along `axis`, the first NaN before all: of several axes (None: of
    all) that among their elements in C order, in the order in which the axes are given.

    ShapeError at run time when there are no elements along `axis`.
    """
    return _located("argmax", x, axis, keepdims)


def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The int64 index of the first smallest element along `axis`, the first NaN before all: of several axes (None: of
    all) that among their elements in C order, in the order in which the axes are given.

    ShapeError at run time when there are no elements along `axis`.
    """
    return _located("argmin", x, axis, keepdims)


def _reduced(name: str, x: Any, axis: Any, keepdims: bool) -> Variable:
    v = reduced(name, x)
    return apply(OPS[name], [v], axis=axes_of(name, v, axis), keepdims=bool(keepdims))


def _located(name: str, x: Any, axis: Any, keepdims: bool) -> Variable:
    v = as_variable(x)
    if axis is None and v.ndim != 1:
        flat = apply(OPS[name], [f.flatten(v, 1)], axis=(0,), keepdims=False)
        return restored(flat, v.ndim, tuple(range(v.ndim))) if keepdims else flat
    axes = axes_of(name, v, axis)
    if not axes:
        # each element is the only one of its own
        found: Variable = f.zeros_like(v, "int64")
        return found
    if len(axes) != 1:
        given = tuple(a % v.ndim for a in axis) if isinstance(axis, list | tuple) else axes
        rest = [a for a in range(v.ndim) if a not in axes]
        line = f.flatten(f.dimshuffle(v, *rest, *given), len(rest) + 1)
        place = apply(OPS[name], [line], axis=(len(rest),), keepdims=False)
        return restored(place, v.ndim, axes) if keepdims else place
    return apply(OPS[name], [v], axis=axes, keepdims=bool(keepdims))


# -- truth ----------------------------------------------------------------------------------------------------------

ANY = Op("any", ("x",), "Whether any element along `axis` is not 0.", boolean,
   lambda x, axis, keepdims: np.any(x, axis, keepdims=keepdims), None, no_grad=TRUTHS,
   reduce=Reduce(False, "acc | x"), samples=_samples(*NUMBERS), complex=True)  # fmt: skip

Op("all", ("x",), "Whether all elements along `axis` are not 0.", boolean,
   lambda x, axis, keepdims: np.all(x, axis, keepdims=keepdims), None, no_grad=TRUTHS, reduce=Reduce(True, "acc & x"),
   samples=_samples(*NUMBERS), complex=True)  # fmt: skip


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Whether any element along `axis` is not 0, bool; False for no elements."""
    return _reduced("any", x, axis, keepdims)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Whether all elements along `axis` are not 0, bool; True for no elements."""
    return _reduced("all", x, axis, keepdims)


# -- broadcasting undone --------------------------------------------------------------------------------------------


def _unbroadcast(base: NDArray[Any], g: NDArray[Any], mode: str) -> NDArray[Any]:
    total = np.sum(g, axis=tuple(range(g.ndim - base.ndim)), dtype=base.dtype)
    ones = tuple(k for k, n in enumerate(base.shape) if n == 1 and total.shape[k] != 1)
    return np.asarray(base + np.sum(total, axis=ones, keepdims=True, dtype=base.dtype))


def _summed_to(idx: Sequence[Any], base: Any, g: Any, mode: str) -> tuple[Any, ...]:
    """Where element `idx` of g is added: at 0 on each axis that was broadcast, axes aligned at the right."""
    own = idx[len(idx) - base.ndim :]
    return tuple(dims.along(n, i) for n, i in zip(base.shape, own, strict=True))


Op("unbroadcast", ("base", "g"), "base + the sums of g over the axes along which base's shape broadcasts to g's.",
   first, _unbroadcast, lambda h, out, base, g, mode: (h, f.broadcast_to(h, f.shape(g))),
   dtypes=("float32", "float64"),
   scatter=Scatter(region=lambda base, g, mode: g.shape, target=_summed_to, unique=False),
   shape=lambda base, g, mode: base.shape, batch=batching.unbroadcast, show=formula.summed_like,
   checks=(Check("broadcast", lambda base, g, mode: list(zip(base.shape, g.shape[g.ndim - base.ndim :], strict=True)),
                 "lengths {a} and {b} do not broadcast"),),
   samples=lambda: [([np.zeros(s), np.arange(24.0).reshape(2, 3, 4)], {"mode": "add"})
                    for s in ((3, 4), (1, 4), (3, 1), (1, 1), (1,), (), (2, 1, 4))])  # fmt: skip


def unbroadcast(like: Any, g: Any) -> Variable:
    """g summed over the axes along which the shape of `like` broadcasts to g's: an array of that shape, of g's dtype.

    Which axes these are may be known only at run time. ShapeError when `like` does not broadcast to g's shape.
    """
    b, v = as_variable(like), as_variable(g)
    extra = v.ndim - b.ndim
    if extra < 0:
        raise ShapeError(f"unbroadcast: {describe(v)} has fewer axes than {describe(b)}")
    pairs = list(zip(b.type.shape, v.type.shape[extra:], strict=True))
    if [n for n, m in pairs if n is None and m != 1]:
        return apply(OPS["unbroadcast"], [f.cast(f.zeros_like(f.real(b)), v.type.dtype), v], mode="add")
    ones = tuple(k + extra for k, (n, m) in enumerate(pairs) if n == 1 and m != 1)
    v = sum(v, ones, keepdims=True) if ones else v
    return sum(v, tuple(range(extra))) if extra else v


amax, amin = max, min

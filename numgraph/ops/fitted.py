"""What is known about lengths: arrays of which an op, or the user, says how long they must be."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import IndexShapeError, ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.op import OPS, Check, Op, first
from numgraph.ops import lengths as ln
from numgraph.ops.lengths import Length

__all__ = ["specify_shape"]
# Functions of expressions that other ops use.
INTERNAL = ["as_long", "as_part", "given", "matched", "with_elements"]


def _own_or_known(x: Any, *lengths: Any, **attrs: Any) -> tuple[Any, ...]:
    return tuple(n if isinstance(n, int) else full for n, full in zip(x.shape, ln.values(lengths), strict=True))


def _pairs(x: Any, *lengths: Any, **attrs: Any) -> list[tuple[Any, Any]]:
    return list(zip(x.shape, ln.values(lengths), strict=True))


def _with_lengths(
    name: str, doc: str, shape: Callable[..., tuple[Any, ...]], message: str, error: type[ShapeError], says: str = "",
    show: Callable[..., ast.expr] | None = None,
) -> Op:  # fmt: skip
    """An op that gives its first argument, whose lengths must be the others; `error` says that they are not."""

    def value(x: NDArray[Any], *lengths: Any, what: str = says or name) -> NDArray[Any]:
        wanted = tuple(int(n) for n in lengths)
        if x.shape != wanted:
            raise error(f"{what}: the shape is {x.shape}, not {wanted}")
        return x

    def batch(batched: Sequence[bool], x: Variable, *lengths: Variable, **attrs: Any) -> Variable | None:
        return None if any(batched[1:]) else apply(OPS[name], [x, *ln.operands([ln.dim(x, 0)]), *lengths], **attrs)

    return Op(
        name, ("x", "*lengths"), doc, first, value,
        lambda g, out, x, *lengths, **attrs: (g, *(None for _ in lengths)),
        element=lambda idx, x, *lengths, **attrs: x.at(*idx),
        shape=shape,
        checks=(Check("equal", _pairs, message, error),),
        samples=lambda: [([np.ones((2, 3), np.float64), 2, 3], {})], says=says, moves=True,
        show=show, batch=batch,
    )  # fmt: skip


_with_lengths("specify_shape", "x, whose lengths must be the given ones.", _own_or_known, "a length is {a}, not {b}",
              ShapeError)  # fmt: skip
_with_lengths("matched", "x, whose lengths must be those of what it belongs to.", _own_or_known,
              "a length is {a}, not {b}", ShapeError, show=lambda x, *lengths, what="": x)  # fmt: skip
_with_lengths("fitted_mask", "x, a mask for axes of the given lengths.", lambda x, *lengths: tuple(ln.values(lengths)),
              "a mask of length {a} for an axis of length {b}", IndexShapeError, "mask")  # fmt: skip


Op("given", ("x",), "x, which must have a row; for what `givens` put in a variable's place.", first, lambda x: x,
   lambda g, out, x: (g,), element=lambda idx, x: x.at(*idx), shape=lambda x: x.shape,
   checks=(Check("nonempty", lambda x: [x.shape[0]], "what stands for a variable has {a} rows"),),
   samples=lambda: [([np.ones((2, 3), np.float64)], {})], says="givens", moves=True)  # fmt: skip


def given(x: Any) -> Variable:
    """x, and a ShapeError at run time where its first axis has no element."""
    return apply(OPS["given"], [as_variable(x)])


def specify_shape(x: Any, shape: Any) -> Variable:
    """x, known to have the lengths `shape` from here on (None: as it is). ShapeError where it has others."""
    v, name = as_variable(x), "specify_shape"
    return _of_lengths(name, v, shape if isinstance(shape, list | tuple) else ln.as_lengths(shape, name, v.ndim))


def matched(x: Any, lengths: Sequence[Length | None], what: str) -> Variable:
    """`specify_shape` by the function `what`: of weights, labels or positions that belong to elements of another."""
    return _of_lengths("matched", as_variable(x), lengths, what=what)


def as_long(x: Variable, y: Variable, first: Sequence[int], second: Sequence[int], what: str) -> Variable:
    """y, of which axis second[k] must be as long as axis first[k] of x; y itself where that is known."""
    pairs = [(m, ln.dim(x, k)) for k, m in zip(first, second, strict=True)]
    unknown = {m: n for m, n in pairs if not ln.same_length(n, ln.dim(y, m))}
    return matched(y, [unknown.get(m) for m in range(y.ndim)], what) if unknown else y


def as_part(part: Any, like: Variable, what: str) -> Variable:
    """A part of a gradient that a rule gave. Where it has the axes of `like` it must have its lengths, too."""
    v = as_variable(part)
    known = v.ndim != like.ndim or all(ln.same_length(ln.dim(v, k), ln.dim(like, k)) for k in range(v.ndim))
    return v if known else matched(v, ln.dims_of(like), what)


def with_elements(v: Variable, axes: Sequence[int], what: str, refused: str) -> Variable:
    """v, which must have elements along these axes; v itself where that is known. refused: what a ShapeError says of a
    v that is known to have none."""
    lengths = {axis: ln.dim(v, axis) for axis in axes}
    if 0 in lengths.values():
        raise ShapeError(f"{refused}: {describe(v)}")
    unknown = {axis: ln.most(n, 1) for axis, n in lengths.items() if not isinstance(n, int)}
    return matched(v, [unknown.get(axis) for axis in range(v.ndim)], what) if unknown else v


def _of_lengths(name: str, v: Variable, lengths: Sequence[Any], **attrs: Any) -> Variable:
    what = OPS[name].called(attrs)
    if len(lengths) != v.ndim:
        raise ShapeError(f"{what}: {len(lengths)} lengths for {describe(v)}, which has {v.ndim} axes")
    own = ln.dims_of(v)
    new = [k if n is None else ln.as_length(n, what) for n, k in zip(lengths, own, strict=True)]
    if any(isinstance(n, int) and isinstance(k, int) and n != k for n, k in zip(new, own, strict=True)):
        raise ShapeError(f"{what}: the lengths are not {ln.shape_text(new)}\n  {describe(v)}")
    return apply(OPS[name], [v, *ln.operands(new)], **attrs)

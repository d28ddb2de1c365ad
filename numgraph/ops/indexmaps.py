"""Index maps: each element of the result is an element of an operand, at an index that is worked out from its own.

Nothing is moved or copied for them: the loop that uses an element reads it where it lies. `dims.before` says where a
map begins to read elsewhere, so that the loop may be cut there (`loops/pieces`), and each piece reads its operand in
order. In a loop that is not cut the index is chosen for each element, and it is inside of its axis whatever is chosen.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.graph import Constant, Variable, apply
from numgraph.lengths import dims
from numgraph.lengths.dims import Dim
from numgraph.op import OPS, Op, first, same
from numgraph.ops import formula
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.define import f, linearly

__all__: list[str] = []

LOOP_ONLY = "a part of `concatenate` in generated code: its gradient is taken before"


def _at(x: Any, idx: Sequence[Dim], axis: int, i: Dim) -> Any:
    return x.at(*idx[:axis], i, *idx[axis + 1 :])


# -- roll -----------------------------------------------------------------------------------------------------------


def _roll_element(idx: Sequence[Dim], x: Any, shift: Any, axis: int) -> Any:
    n, i = x.shape[axis], idx[axis]
    places = dims.modulo(shift.value, n)
    if isinstance(places, int) and places == 0:
        return x.at(*idx)
    return _at(x, idx, axis, dims.where(dims.before(i, places), i + (n - places), i - places))


def _roll_grad(g: Variable, out: Variable, x: Variable, shift: Variable, axis: int) -> Any:
    if isinstance(shift, Constant):
        back: Any = ln.int_constant(-int(shift.data))
    else:
        # below the length, or the smallest integer would stay negative
        back = -f.mod(shift, ln.most(ln.dim(x, axis), 1))
    return apply(ROLL, [g, back], axis=axis), None


def _roll_batch(batched: Sequence[bool], x: Variable, shift: Variable, axis: int) -> Variable | None:
    """The same along the next axis; where each has a shift of its own only a loop does it."""
    return None if batched[1] else apply(ROLL, [x, shift], axis=axis + 1)


def _show_roll(x: ast.expr, shift: ast.expr, axis: int) -> ast.expr:
    return formula.call("roll", x, shift, ast.Constant(axis))


ROLL = Op(
    "roll",
    ("x", "shift"),
    "x with its elements moved along an axis, those that fall off coming in at the other end.",
    first,
    lambda x, shift, axis: np.roll(x, int(shift), axis),
    _roll_grad,
    element=_roll_element,
    shape=lambda x, shift, axis: x.shape,
    moves=True,
    uniform=True,
    pieces=lambda operands: 2,
    reach=linearly,
    batch=_roll_batch,
    show=_show_roll,
    samples=lambda: [
        ([np.arange(6.0).reshape(2, 3), shift], {"axis": axis}) for shift, axis in ((1, 1), (-4, 1), (1, 0), (0, 1))
    ],
)

# -- parts one behind the other -------------------------------------------------------------------------------------


def joined_shape(*parts: Any, axis: int) -> tuple[Dim, ...]:
    """For shape rules: the lengths of arrays one behind the other."""
    lengths = [p.shape for p in parts]
    total: Any = 0
    for shape in lengths:
        total = total + shape[axis]
    known = [next((s[k] for s in lengths if isinstance(s[k], int)), lengths[0][k]) for k in range(len(lengths[0]))]
    return tuple(total if k == axis else n for k, n in enumerate(known))


def _joined_element(idx: Sequence[Dim], *parts: Any, axis: int) -> Any:
    i, begin = idx[axis], 0
    values: list[Any] = []
    ends: list[Any] = []
    for part in parts:
        n = part.shape[axis]
        end = begin + n
        at: Any = i - begin
        # an element that is not chosen is read all the same, so it must be there
        if part is not parts[-1]:
            at = dims.where(dims.before(i, end), at, n - 1)
        if part is not parts[0]:
            at = dims.where(dims.before(i, begin), 0, at)
        values.append(_at(part, idx, axis, at))
        ends.append(end)
        begin = end
    found = values.pop()
    for value, end in zip(reversed(values), reversed(ends[:-1]), strict=True):
        found = dims.select(dims.before(i, end), value, found)
    return found


CONCATENATED = Op(
    "concatenated",
    ("*parts",),
    "Arrays one behind the other along an axis, none of which is empty.",
    same,
    lambda *parts, axis: np.concatenate(parts, axis=axis),
    None,
    no_grad=LOOP_ONLY,
    element=_joined_element,
    injective=False,
    pieces=lambda operands: operands,
    batch=over_stacks("concatenated"),
    shape=joined_shape,
    samples=lambda: [
        ([np.ones((2, 2)), np.zeros((2, 1))], {"axis": 1}),
        ([np.ones(2), np.zeros(3), np.ones(1)], {"axis": 0}),
    ],
)


def rolled(x: Variable, shift: ln.Length, axis: int) -> Variable:
    """x rolled along one axis."""
    n = x.type.shape[axis]
    if n == 0:
        return x
    places = shift % n if isinstance(shift, int) and n is not None and not -n < shift < n else shift
    return apply(OPS["roll"], [x, *ln.operands([places])], axis=axis)

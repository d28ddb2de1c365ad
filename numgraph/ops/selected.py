"""`reach` of what takes a part of an array, or replaces one: which elements have a part in the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.graph import Variable, apply
from numgraph.op import OPS
from numgraph.ops import lengths as ln
from numgraph.ops.create import constant_scalar, filled
from numgraph.ops.define import Chosen, both, f, linearly
from numgraph.ops.shape import shuffled


def _where_sliced(x: Variable, bounds: Sequence[Variable], key: Any) -> Variable | None:
    """Which elements of x a slice takes, as a bool array that broadcasts to x; None for all."""
    rest = iter(bounds)
    found: Variable | None = None
    for axis, entry in enumerate(key):
        own = [next(rest) for _ in range(1 if entry[0] == "index" else int(entry[1]) + int(entry[2]))]
        if entry != ("slice", False, False, 1):
            line = filled(constant_scalar(0, "float32"), [ln.dim(x, axis)])
            taken = f.neq(
                apply(OPS["subtensor_update"], [line, constant_scalar(1, "float32"), *own], key=(entry,), mode="set"), 0
            )
            found = both(found, shuffled(taken, tuple(0 if k == axis else -1 for k in range(x.ndim))))
    return found


def subtensor_reach(counts: Variable | None, out: Variable, x: Variable, *bounds: Variable, key: Any) -> Any:
    """What a slice does not take has no part in it."""
    if counts is not None:
        return linearly(counts, out, x, *bounds, key=key)
    return _where_sliced(x, bounds, key), *(None for _ in bounds)


def subtensor_update_reach(
    counts: Variable | None, out: Variable, base: Variable, *rest: Variable, key: Any, mode: str
) -> Any:
    """What is overwritten has no part in the result."""
    if counts is not None or mode == "add":
        return linearly(counts, out, base, *rest, key=key, mode=mode)
    taken = _where_sliced(base, rest[1:], key)
    return None if taken is None else Chosen(f.logical_not(taken)), *(None for _ in rest)


def _where_taken(x: Variable, indices: Sequence[Variable], axes: Sequence[int]) -> Variable:
    """Which elements of x index arrays name, as a bool array that broadcasts to x."""
    board = filled(constant_scalar(0, "float32"), [ln.dim(x, axis) for axis in axes])
    every = tuple(range(len(axes)))
    named = apply(
        OPS["gather_update"], [board, constant_scalar(1, "float32"), *indices], axes=every, position=0, mode="add"
    )
    return f.neq(shuffled(named, tuple(axes.index(k) if k in axes else -1 for k in range(x.ndim))), 0)


def _of_mask(index: Variable) -> bool:
    """Whether an index array holds the positions in a mask, see `select.nonzero`."""
    while index.op is not None and index.op.name in ("mod", "floor_div"):
        index = index.inputs[0]
    return index.op is not None and index.op.name == "nonzero"


def gather_reach(
    counts: Variable | None, out: Variable, x: Variable, *indices: Variable, axes: tuple[int, ...], position: int
) -> Any:
    """What no index names has no part in the result."""
    if counts is not None:
        found = linearly(counts, out, x, *indices, axes=axes, position=position)[0]
    else:
        found = _where_taken(x, indices, axes)
    return Chosen(found) if any(map(_of_mask, indices)) else found, *(None for _ in indices)


def gather_update_reach(
    counts: Variable | None, out: Variable, base: Variable, *rest: Variable, mode: str, **attrs: Any
) -> Any:
    """What is overwritten has no part in the result."""
    if counts is not None or mode == "add":
        return linearly(counts, out, base, *rest, mode=mode, **attrs)
    return Chosen(f.logical_not(_where_taken(base, rest[1:], attrs["axes"]))), *(None for _ in rest)

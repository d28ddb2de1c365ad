"""Parts of an array: slices (`subtensor`), index arrays (`gather`), and copies in which such a part is replaced.

A part is described by attributes and operands. For slices, `key` has one entry per axis: `("index",)`, which takes one
operand, or `("slice", has_start, has_stop, step)`, which takes one for each bound that it has. For index arrays, `axes`
names the axis of each, and `position` says before which of the other axes their common axes stand in the result.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import IndexShapeError
from numgraph.graph import Variable, apply
from numgraph.lengths import dims
from numgraph.lengths.dims import Dim
from numgraph.op import OPS, Check, Op, Scatter, first
from numgraph.ops import batching, formula, selected
from numgraph.ops import lengths as ln
from numgraph.ops.batching import FULL, Key
from numgraph.ops.create import constant_scalar, counting, filled, zeros_like
from numgraph.ops.define import f
from numgraph.ops.shape import reshaped, shuffled

__all__: list[str] = []

# -- slices ---------------------------------------------------------------------------------------------------------


def numpy_key(key: Key, bounds: Sequence[Any]) -> tuple[Any, ...]:
    """The key as NumPy takes it."""
    rest = iter([int(b) for b in bounds])
    result: list[Any] = []
    for entry in key:
        if entry[0] == "index":
            result.append(next(rest))
        else:
            start = next(rest) if entry[1] else None
            result.append(slice(start, next(rest) if entry[2] else None, entry[3]))
    return tuple(result)


def _resolved(lengths: Sequence[Dim], key: Key, bounds: Sequence[Any]) -> Iterator[tuple[Dim, Dim | None, int]]:
    """Per axis: the first index, the number of elements (None for a single index), the step."""
    rest = iter(bounds)
    for n, entry in zip(lengths, key, strict=True):
        if entry[0] == "index":
            yield dims.wrap(next(rest).value, n), None, 1
        elif entry == FULL:
            yield 0, n, 1
        else:
            start = next(rest).value if entry[1] else None
            stop = next(rest).value if entry[2] else None
            begin, count = dims.slice_bounds(n, start, stop, entry[3])
            yield begin, count, entry[3]


def part_lengths(x: Any, key: Key, bounds: Sequence[Any]) -> tuple[Dim, ...]:
    """For shape rules: the lengths of a slice of x."""
    return tuple(count for _, count, _ in _resolved(x.shape, key, bounds) if count is not None)


def _part_index(idx: Sequence[Dim], x: Any, key: Key, bounds: Sequence[Any]) -> tuple[Dim, ...]:
    """Where in x the element `idx` of a slice stands."""
    inside = iter(idx)
    found = _resolved(x.shape, key, bounds)
    return tuple(begin if count is None else begin + next(inside) * step for begin, count, step in found)


def _single(x: Any, key: Key, bounds: Sequence[Any]) -> list[tuple[Any, Dim]]:
    """For range checks: the operands that are single indices, and the lengths of their axes."""
    pairs = []
    rest = iter(bounds)
    for n, entry in zip(x.shape, key, strict=True):
        if entry[0] == "index":
            pairs.append((next(rest), n))
        else:
            for _ in range(int(entry[1]) + int(entry[2])):
                next(rest)
    return pairs


def _subscript(x: ast.expr, entries: Sequence[ast.expr]) -> ast.expr:
    """`x[a:b, i]` for formulas; whole axes at the end are left out, as one writes it."""
    shown = list(entries)
    while len(shown) > 1 and isinstance(shown[-1], ast.Slice) and ast.unparse(shown[-1]) == ":":
        shown.pop()
    return ast.Subscript(x, shown[0] if len(shown) == 1 else ast.Tuple(shown))


def _show_slices(x: ast.expr, *bounds: ast.expr, key: Key) -> ast.expr:
    if all(entry == FULL for entry in key):
        return x
    rest = iter(bounds)
    entries: list[ast.expr] = []
    for entry in key:
        if entry[0] == "index":
            entries.append(next(rest))
        else:
            lower = next(rest) if entry[1] else None
            upper = next(rest) if entry[2] else None
            entries.append(ast.Slice(lower, upper, ast.Constant(entry[3]) if entry[3] != 1 else None))
    return _subscript(x, entries)


def _show_gather(x: ast.expr, *indices: ast.expr, axes: Sequence[int], position: int) -> ast.expr:
    at = dict(zip(axes, indices, strict=True))
    return _subscript(x, [at.get(axis, ast.Slice()) for axis in range(max(axes) + 1)])


OUT_OF_RANGE = "index {a} is out of range for an axis of length {b}"
TOO_LONG = "a value of length {a} does not broadcast to a part of length {b}"


def _stretched_value(value: Any, region: Sequence[Dim]) -> list[tuple[Dim, Dim]]:
    return [ln.stretched(n, full) for n, full in zip(value.shape, region[len(region) - value.ndim :], strict=True)]


_KEYS: tuple[tuple[Key, list[int]], ...] = (
    ((("index",), FULL), [-1]),
    ((("slice", True, True, 1), ("slice", False, False, -1)), [1, 3]),
    ((("slice", False, True, 1), ("index",)), [-1, 2]),
    ((("slice", True, False, -2), FULL), [-1]),
)


def _subtensor_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    x = np.arange(12, dtype=np.float64).reshape(3, 4)
    return [([x, *bounds], {"key": key}) for key, bounds in _KEYS]


def _update_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    x = np.arange(12, dtype=np.float64).reshape(3, 4)
    return [
        ([x, x[numpy_key(key, bounds)] * 2 + 1, *bounds], {"key": key, "mode": mode})
        for key, bounds in _KEYS
        for mode in ("set", "add")
    ]


Op(
    "subtensor",
    ("x", "*bounds"),
    "Single elements and slices along the axes of x.",
    first,
    lambda x, *bounds, key: x[numpy_key(key, bounds)],
    lambda g, out, x, *bounds, key: (
        apply(OPS["subtensor"], [g], key=key)
        if batching.is_turn(key)
        else subtensor_update(zeros_like(x, g.type.dtype), g, bounds, key, "add"),
        *(None for _ in bounds),
    ),
    element=lambda idx, x, *bounds, key: x.at(*_part_index(idx, x, key, bounds)),
    moves=True,
    windowed=lambda key: key[0][0] == "index" or (key[0][0] == "slice" and key[0] != ("slice", False, False, 1)),
    shape=lambda x, *bounds, key: part_lengths(x, key, bounds),
    batch=batching.subtensor,
    reach=selected.subtensor_reach,
    show=_show_slices,
    checks=(Check("range", lambda x, *bounds, key: _single(x, key, bounds), OUT_OF_RANGE),),
    samples=_subtensor_samples,
)

SUBTENSOR = OPS["subtensor"]


def subtensor(x: Variable, bounds: Sequence[Variable], key: Key) -> Variable:
    """A part of x by slices."""
    return apply(SUBTENSOR, [x, *bounds], key=key)


def subtensor_update(base: Variable, value: Variable, bounds: Sequence[Variable], key: Key, mode: str) -> Variable:
    """base with a part, by slices, replaced ("set") or added to ("add")."""
    return apply(SUBTENSOR_UPDATE, [base, value, *bounds], key=key, mode=mode)


def _subtensor_updated(base: NDArray[Any], value: Any, *bounds: Any, key: Key, mode: str) -> NDArray[Any]:
    out = base.copy()
    where = numpy_key(key, bounds)
    new = np.asarray(value).astype(base.dtype)
    out[where] = new if mode == "set" else out[where] + new
    return out


def _subtensor_update_grad(
    g: Variable, out: Variable, base: Variable, value: Variable, *bounds: Variable, key: Key, mode: str
) -> Any:
    zero = constant_scalar(0, g.type.dtype)
    kept = g if mode == "add" else subtensor_update(g, zero, bounds, key, "set")
    return kept, f.unbroadcast(value, subtensor(g, bounds, key)), *(None for _ in bounds)


SUBTENSOR_UPDATE = Op(
    "subtensor_update",
    ("base", "value", "*bounds"),
    "base with a part replaced by (or increased by) `value`, which broadcasts to it.",
    first,
    _subtensor_updated,
    _subtensor_update_grad,
    scatter=Scatter(
        lambda base, value, *bounds, key, mode: part_lengths(base, key, bounds),
        lambda idx, base, value, *bounds, key, mode: _part_index(idx, base, key, bounds),
        unique=True,
    ),
    shape=lambda base, value, *bounds, key, mode: base.shape,
    batch=batching.subtensor_update,
    reach=selected.subtensor_update_reach,
    show=lambda base, value, *bounds, key, mode: formula.written(_show_slices(base, *bounds, key=key), value, mode),
    checks=(
        Check("range", lambda base, value, *bounds, key, mode: _single(base, key, bounds), OUT_OF_RANGE),
        Check(
            "equal",
            lambda base, value, *bounds, key, mode: _stretched_value(value, part_lengths(base, key, bounds)),
            TOO_LONG,
        ),
    ),
    samples=_update_samples,
    says="set_subtensor",
)

# -- index arrays ---------------------------------------------------------------------------------------------------


def _common(indices: Sequence[Any]) -> tuple[Dim, ...]:
    """The lengths that index arrays broadcast to."""
    ndim = max((i.ndim for i in indices), default=0)
    return tuple(ln.broadcast_dims(i.shape[k] for i in indices if i.ndim >= -k) for k in range(-ndim, 0))


def gathered_lengths(x: Any, indices: Sequence[Any], axes: Sequence[int], position: int) -> tuple[Dim, ...]:
    """For shape rules: the lengths of what index arrays take from x."""
    others = [n for k, n in enumerate(x.shape) if k not in axes]
    return (*others[:position], *_common(indices), *others[position:])


def _gathered_index(
    idx: Sequence[Dim], x: Any, indices: Sequence[Any], axes: Sequence[int], position: int
) -> tuple[Dim, ...]:
    """Where in x the element `idx` of the result stands."""
    common = _common(indices)
    ndim = len(common)
    inside = idx[position : position + ndim]
    others = iter((*idx[:position], *idx[position + ndim :]))
    result: list[Dim] = []
    for axis, n in enumerate(x.shape):
        if axis not in axes:
            result.append(next(others))
            continue
        array = indices[axes.index(axis)]
        pairs = zip(array.shape, inside[ndim - array.ndim :], common[ndim - array.ndim :], strict=True)
        at = [ln.stretched_index(m, i, full) for m, i, full in pairs]
        result.append(dims.wrap(array.at(*at), n))
    return tuple(result)


def _broadcasting(indices: Sequence[Any]) -> list[tuple[Dim, Dim]]:
    """For checks: each length of an index array, and the common one."""
    full = _common(indices)
    return [(n, m) for i in indices for n, m in zip(i.shape, full[len(full) - i.ndim :], strict=True)]


def _array_ranges(x: Any, indices: Sequence[Any], axes: Sequence[int]) -> list[tuple[Any, Dim]]:
    return [(i, x.shape[axis]) for i, axis in zip(indices, axes, strict=True)]


def _in_front(x: NDArray[Any], axes: Sequence[int]) -> NDArray[Any]:
    """A view with the indexed axes in front."""
    return np.moveaxis(x, axes, range(len(axes)))


def _gathered(x: NDArray[Any], *indices: Any, axes: Sequence[int], position: int) -> NDArray[Any]:
    taken = _in_front(x, axes)[tuple(np.asarray(i, np.int64) for i in indices)]
    ndim = max((np.ndim(i) for i in indices), default=0)
    return np.moveaxis(taken, range(ndim), range(position, position + ndim))


def _gather_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    x = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    i, j = np.array([2, 0, -1]), np.array([[3], [0]])
    return [
        ([x, i], {"axes": (1,), "position": 1}),
        ([x, i, j], {"axes": (1, 2), "position": 1}),
        ([x, np.array([1, -1]), j], {"axes": (0, 2), "position": 0}),
        ([x, j, np.int64(-2)], {"axes": (2, 1), "position": 1}),
    ]


Op(
    "gather",
    ("x", "*indices"),
    "Elements of x at index arrays, which broadcast to each other; negative ones count from the end.",
    first,
    _gathered,
    lambda g, out, x, *indices, axes, position: (
        gather_update(zeros_like(x, g.type.dtype), g, indices, axes, position, "add"),
        *(None for _ in indices),
    ),
    element=lambda idx, x, *indices, axes, position: x.at(*_gathered_index(idx, x, indices, axes, position)),
    injective=False,
    moves=True,
    windowed=lambda axes, position: 0 in axes,
    reach=selected.gather_reach,
    show=_show_gather,
    shape=lambda x, *indices, axes, position: gathered_lengths(x, indices, axes, position),
    batch=batching.gather,
    checks=(
        Check("range", lambda x, *indices, axes, position: _array_ranges(x, indices, axes), OUT_OF_RANGE),
        Check(
            "broadcast",
            lambda x, *indices, axes, position: _broadcasting(indices),
            "index arrays of lengths {a} and {b} do not broadcast",
            IndexShapeError,
        ),
    ),
    samples=_gather_samples,
)


def gather(x: Variable, indices: Sequence[Variable], axes: tuple[int, ...], position: int) -> Variable:
    """Elements of x at index arrays."""
    return apply(OPS["gather"], [x, *indices], axes=axes, position=position)


def gather_update(
    base: Variable, value: Variable, indices: Sequence[Variable], axes: tuple[int, ...], position: int, mode: str
) -> Variable:
    """base with elements at index arrays replaced ("set", the last one wins) or added to ("add", all of them count)."""
    return apply(OPS["gather_update"], [base, value, *indices], axes=axes, position=position, mode=mode)


def _gather_updated(
    base: NDArray[Any], value: Any, *indices: Any, axes: Sequence[int], position: int, mode: str
) -> NDArray[Any]:
    out = base.copy()
    common = np.broadcast_shapes(*(np.shape(i) for i in indices))
    ndim = len(common)
    # NumPy goes through them as they lie in memory; which is the last one must not depend on that
    arrays = tuple(np.ascontiguousarray(np.broadcast_to(np.asarray(i, np.int64), common)) for i in indices)
    others = [n for k, n in enumerate(base.shape) if k not in axes]
    region = (*others[:position], *common, *others[position:])
    new = np.broadcast_to(np.asarray(value).astype(base.dtype), region)
    new = np.ascontiguousarray(np.moveaxis(new, range(position, position + ndim), range(ndim)))
    front = _in_front(out, axes)
    if mode == "set":
        front[arrays] = new
    else:
        np.add.at(front, arrays, new)
    return out


def _gather_update_grad(
    g: Variable,
    out: Variable,
    base: Variable,
    value: Variable,
    *indices: Variable,
    axes: tuple[int, ...],
    position: int,
    mode: str,
) -> Any:
    taken = gather(g, indices, axes, position)
    nothing = [None for _ in indices]
    if mode == "add":
        return g, f.unbroadcast(value, taken), *nothing
    kept = gather_update(g, constant_scalar(0, g.type.dtype), indices, axes, position, "set")
    if not _distinct(indices):
        wins = _winners(base, indices, axes)
        ndim = base.ndim - len(axes) - position
        taken = f.where(shuffled(wins, (*range(wins.ndim), *(-1,) * ndim)), taken, 0)
    return kept, f.unbroadcast(value, taken), *nothing


def _distinct(indices: Sequence[Variable]) -> bool:
    """Whether no element can be met twice: all indices are numbers, or a range runs along the only common axis."""
    if all(i.ndim == 0 for i in indices):
        return True
    return max(i.ndim for i in indices) == 1 and any(
        i.op is not None and i.op.name == "arange" for i in indices if i.ndim
    )


def _winners(base: Variable, indices: Sequence[Variable], axes: tuple[int, ...]) -> Variable:
    """Where a "set" through index arrays lasts: each element writes its own number, and reads back who was the last."""
    shape: list[ln.Length] = []
    for k in range(-max(i.ndim for i in indices), 0):
        n: ln.Length = 1
        for i in indices:
            n = ln.broadcast_length(n, ln.dim(i, k)) if i.ndim >= -k else n
        shape.append(n)
    numbers = reshaped(counting(ln.product(shape)), shape)
    board = filled(constant_scalar(0, "int64"), [ln.dim(base, axis) for axis in axes])
    every = tuple(range(len(axes)))
    written = gather_update(board, numbers, indices, every, 0, "set")
    result: Variable = f.eq(gather(written, indices, every, 0), numbers)
    return result


def _gather_update_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    result = []
    for (x, *indices), attrs in _gather_samples():
        value = _gathered(x, *indices, **attrs) * 2 + 1
        result += [([x, value, *indices], {**attrs, "mode": mode}) for mode in ("set", "add")]
    return result


Op(
    "gather_update",
    ("base", "value", "*indices"),
    "base with the elements at index arrays replaced by (or increased by) `value`.",
    first,
    _gather_updated,
    _gather_update_grad,
    scatter=Scatter(
        lambda base, value, *indices, axes, position, mode: gathered_lengths(base, indices, axes, position),
        lambda idx, base, value, *indices, axes, position, mode: _gathered_index(idx, base, indices, axes, position),
        unique=False,
    ),
    shape=lambda base, value, *indices, axes, position, mode: base.shape,
    batch=batching.gather_update,
    reach=selected.gather_update_reach,
    show=lambda base, value, *indices, axes, position, mode: formula.written(
        _show_gather(base, *indices, axes=axes, position=position), value, mode
    ),
    checks=(
        Check(
            "range",
            lambda base, value, *indices, axes, position, mode: _array_ranges(base, indices, axes),
            OUT_OF_RANGE,
        ),
        Check(
            "broadcast",
            lambda base, value, *indices, axes, position, mode: _broadcasting(indices),
            "index arrays of lengths {a} and {b} do not broadcast",
            IndexShapeError,
        ),
        Check(
            "equal",
            lambda base, value, *indices, axes, position, mode: _stretched_value(
                value, gathered_lengths(base, indices, axes, position)
            ),
            TOO_LONG,
        ),
    ),
    samples=_gather_update_samples,
    says="set_subtensor",
)

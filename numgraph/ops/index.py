"""`x[key]` as NumPy has it, and copies of x with `x[key]` replaced or increased.

A key becomes at most three ops in this order: `subtensor` for numbers and slices, `gather` for index arrays and masks,
and `dimshuffle` for new axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numgraph.errors import DtypeError, IndexOutOfRange, IndexShapeError, ShapeError
from numgraph.graph import Constant, Variable, apply, as_variable, describe, weak_constant
from numgraph.op import OPS
from numgraph.ops import lengths as ln
from numgraph.ops import subtensor as st
from numgraph.ops.define import f, spread
from numgraph.ops.lengths import Length
from numgraph.ops.select import nonzero
from numgraph.ops.shape import inverse_pattern, reshaped, shuffled, stretch
from numgraph.types import BOOL, DISCRETE

__all__ = [
    "inc_subtensor", "set_subtensor",
]  # fmt: skip
# Functions of expressions that gradients and operators use.
INTERNAL = ["getitem"]

# Bounds of slices beyond this are as good as infinite.
FAR = 2**62


@dataclass(frozen=True)
class Item:
    """One part of a key, for `axes` axes. kind: "new", "all" (ellipsis), "gap", "slice", "number", "array", "mask"."""

    kind: str
    value: Any
    axes: int


# -- keys -----------------------------------------------------------------------------------------------------------


def _item(x: Variable, part: Any) -> Item:
    if part is None:
        return Item("new", None, 0)
    if part is Ellipsis:
        return Item("all", None, 0)
    if isinstance(part, slice):
        return Item("slice", part, 1)
    if isinstance(part, bool | np.bool_):
        raise DtypeError(
            f"index {part} of {describe(x)}: a single truth value is no index. Use ng.where, or an array as mask."
        )
    if isinstance(part, int | np.integer):
        return Item("number", int(part), 1)
    if isinstance(part, list | tuple) and len(part) == 0:
        part = np.zeros(0, np.int64)
    array = as_variable(part)
    if array.type.dtype not in DISCRETE:
        raise DtypeError(f"an index must be of integers or bools, not {describe(array)}, for {describe(x)}")
    if array.type.dtype == BOOL:
        if array.ndim == 0:
            raise DtypeError(f"a single truth value is no index: {describe(array)}, for {describe(x)}. Use ng.where.")
        return Item("mask", array, array.ndim)
    if isinstance(array, Constant) and array.ndim == 0:
        return Item("number", int(array.data), 1)
    if array.type.dtype == "uint64":
        array = ln.as_position(array)
    if array.ndim == 0:
        return Item("number", array, 1)
    return Item("array", array, 1)


def _items(x: Variable, key: Any) -> list[Item]:
    """The parts of a key with the ellipsis written out, so that they cover every axis of x."""
    items = [_item(x, part) for part in (key if isinstance(key, tuple) else (key,))]
    covered = sum(item.axes for item in items)
    if covered > x.ndim:
        raise IndexOutOfRange(f"too many indices: {covered} for {describe(x)}, which has {x.ndim} axes")
    places = [k for k, item in enumerate(items) if item.kind == "all"]
    if len(places) > 1:
        raise IndexOutOfRange(f"an index can have only one ellipsis ('...'), for {describe(x)}")
    place = places[0] if places else len(items)
    # an ellipsis that stands for no axis still keeps index arrays apart
    items[place : place + 1] = [Item("slice", slice(None), 1)] * (x.ndim - covered) or [Item("gap", None, 0)] * len(
        places
    )
    return items


def getitem(x: Any, key: Any) -> Variable:
    """`x[key]` with NumPy's keys: numbers, slices, None, `...`, index arrays and masks; all may be symbolic.

    Index arrays broadcast to each other; where they are apart from each other their axes come first. A mask's length is
    that of its axes; the length of the result is known only at run time. IndexOutOfRange for too many indices and for
    one past the end (at run time where the length is not known); DtypeError for floats, and for a symbolic step beside
    index arrays; AssertionFailed when the function runs for a symbolic step of 0.
    """
    v = as_variable(x)
    items = _items(v, key)
    if any(item.kind == "slice" and isinstance(_step_of(item.value), Variable) for item in items):
        result = _stepped(v, items)
    elif any(item.kind in ("array", "mask") for item in items):
        result = _advanced(v, items)
    else:
        result = _with_new_axes(
            _sliced(v, [i.value for i in items if i.axes]), [i.kind for i in items if i.kind in ("slice", "new")], v
        )
    node = result
    while node is not v:
        node = node.inputs[0]
        result.steps += 1
    return result


def _with_new_axes(x: Variable, kinds: Sequence[str], of: Variable) -> Variable:
    """x with an axis of length 1 for each "new" among `kinds`, which names all axes. Always another variable than
    `of`."""
    axes = iter(range(x.ndim))
    pattern = tuple(-1 if kind == "new" else next(axes) for kind in kinds)
    return x if pattern == tuple(range(x.ndim)) and x is not of else apply(OPS["dimshuffle"], [x], pattern=pattern)


# -- symbolic steps -------------------------------------------------------------------------------------------------


def _step_of(value: slice) -> Length:
    return 1 if value.step is None else ln.integer(value.step, "a slice's step")


def _stepped(x: Variable, items: Sequence[Item]) -> Variable:
    """x[key] where steps are known only at run time: the positions of each slice are an index array."""
    if any(item.kind in ("array", "mask") for item in items):
        raise DtypeError(
            f"a symbolic step beside index arrays, for {describe(x)}\n  fix: x[::k][rows], one after the other"
        )
    axes = [item for item in items if item.axes]
    count, place = sum(item.kind == "slice" for item in axes), 0
    indices: list[Variable] = []
    for axis, item in enumerate(axes):
        if item.kind == "slice":
            line = _places(x, axis, item.value)
            indices.append(spread(line, place, count))
            place += 1
        else:
            _check_number(x, axis, item.value)
            indices += ln.operands([item.value])
    gathered = st.gather(x, indices, tuple(range(x.ndim)), 0)
    return _with_new_axes(gathered, [i.kind for i in items if i.kind in ("slice", "new")], x)


def _places(x: Variable, axis: int, value: slice) -> Variable:
    """The positions of a slice, as Python's `slice.indices` has them."""
    n, step = ln.dim(x, axis), ln.as_position(as_variable(_step_of(value)))
    step = f.assert_op(step, f.neq(step, 0), message="the step of a slice is 0")
    # no axis is longer; a larger step would make the sum for the count wrap around
    step = f.clip(step, -FAR, FAR)
    forward = f.gt(step, 0)
    low, high = f.where(forward, 0, -1), f.where(forward, n, f.sub(n, 1))
    ends = []
    for given, default in ((value.start, f.where(forward, low, high)), (value.stop, f.where(forward, high, low))):
        end = _bound(given)
        bound = default if end is None else f.cast(end, "int64")
        ends.append(bound if end is None else f.clip(ln.from_begin(bound, n), low, high))
    span = f.add(f.sub(ends[1], ends[0]), f.sub(step, f.sign(step)))
    count = f.maximum(f.floor_div(span, step), 0)
    return f.add(ends[0], f.mul(step, f.arange(count)))


# -- numbers and slices ---------------------------------------------------------------------------------------------


def _sliced(x: Variable, parts: Sequence[Any]) -> Variable:
    """x with a number, scalar variable or slice for each axis; x itself where it has no axes."""
    key: list[tuple[Any, ...]] = []
    bounds: list[Variable] = []
    for axis, value in enumerate(parts):
        if isinstance(value, slice):
            entry, used = _slice(x, axis, value)
            key.append(entry)
            bounds += used
        else:
            _check_number(x, axis, value)
            key.append(("index",))
            bounds += ln.operands([value])
    return st.subtensor(x, bounds, tuple(key)) if key else x


def _check_number(x: Variable, axis: int, index: Length) -> None:
    length = x.type.shape[axis]
    if isinstance(index, int) and length is not None and not -length <= index < length:
        raise IndexOutOfRange(f"index {index} is out of range for axis {axis} of length {length}\n  {describe(x)}")


def _slice(x: Variable, axis: int, value: slice) -> tuple[tuple[Any, ...], list[Variable]]:
    """(entry of the key, bounds) of one slice; bounds that change nothing are left out."""
    step = 1 if value.step is None else ln.integer(value.step, "a slice's step")
    if not isinstance(step, int):
        raise DtypeError(
            f"the step of a slice must be a number that is known now, not {describe(step)}, for {describe(x)}"
        )
    if step == 0:
        raise ShapeError(f"a slice with a step of zero, for {describe(x)}")
    start = _bound(value.start)
    stop = _bound(value.stop)
    length = x.type.shape[axis]
    if isinstance(start, int) and start == 0 and step > 0:
        start = None
    if isinstance(stop, int) and step > 0 and stop >= (FAR if length is None else length):
        stop = None
    entry = ("slice", start is not None, stop is not None, step)
    return entry, ln.operands([b for b in (start, stop) if b is not None])


def _bound(value: Any) -> Length | None:
    if value is None:
        return None
    bound = ln.integer(value, "a slice's bound")
    return max(-FAR, min(FAR, bound)) if isinstance(bound, int) else bound


# -- index arrays and masks -----------------------------------------------------------------------------------------


def _advanced(x: Variable, items: Sequence[Item]) -> Variable:
    """x with index arrays: slices first, then one `gather`, then new axes."""
    of, slices = x, [slice(None)] * x.ndim
    indices: list[Variable] = []
    axes: list[int] = []
    axis = 0
    for item in items:
        if item.kind == "slice":
            slices[axis] = item.value
        elif item.axes:
            arrays = _mask_indices(x, item.value, axis) if item.kind == "mask" else ln.operands([item.value])
            for k, array in enumerate(arrays):
                _check_values(x, axis + k, array)
            indices += arrays
            axes += range(axis, axis + item.axes)
        axis += item.axes
    if any(s != slice(None) for s in slices):
        x = _sliced(x, slices)
    position, kinds = _layout(items, max(i.ndim for i in indices))
    return _with_new_axes(st.gather(x, indices, tuple(axes), position), kinds, of)


def _layout(items: Sequence[Item], ndim: int) -> tuple[int, list[str]]:
    """(slices before the arrays' common axes, kinds of the result's axes), by NumPy's rule about separated arrays."""
    taken = [k for k, item in enumerate(items) if item.kind in ("number", "array", "mask")]
    together = taken[-1] - taken[0] + 1 == len(taken)
    front = taken[0] if together else 0
    before = [item.kind for item in items[:front] if item.kind in ("slice", "new")]
    after = [item.kind for item in items[front:] if item.kind in ("slice", "new")]
    return before.count("slice"), [*before, *["array"] * ndim, *after]


def _check_values(x: Variable, axis: int, index: Variable) -> None:
    """IndexOutOfRange now where index values and the length are known."""
    length = x.type.shape[axis]
    if isinstance(index, Constant) and length is not None:
        wrong = index.data[(index.data < -length) | (index.data >= length)]
        if wrong.size:
            raise IndexOutOfRange(
                f"index {int(wrong.flat[0])} is out of range for axis {axis} of length {length}\n  {describe(x)}"
            )


def _fitted_mask(x: Variable, mask: Variable, axis: int) -> Variable:
    """The mask, whose lengths must be those of x from `axis` on."""
    for k in range(mask.ndim):
        a, b = mask.type.shape[k], x.type.shape[axis + k]
        if a is not None and b is not None and a != b:
            raise IndexShapeError(
                f"a mask of length {a} on axis {axis + k} of length {b}\n  {describe(mask)}\n  {describe(x)}\n"
                "  fix: the mask must have the lengths of the axes that it selects from"
            )
    return apply(OPS["fitted_mask"], [mask, *ln.operands([ln.dim(x, axis + k) for k in range(mask.ndim)])])


def _mask_indices(x: Variable, mask: Variable, axis: int) -> list[Variable]:
    return list(nonzero(_fitted_mask(x, mask, axis)))


def _mask_of(part: Variable) -> Variable | None:
    """The mask where `part` is `x[mask]` or `x[:, mask]`, with an axis of length 1 for each axis of x behind it."""
    if part.steps != 1 or not _is(part, "gather"):
        return None
    x, indices, axes = part.inputs[0], part.inputs[1:], part.attrs["axes"]
    mask = indices[0]
    # indices are made of the positions in the flat mask, see `nonzero`
    while _is(mask, "mod", "floor_div", "nonzero", "reshape"):
        mask = mask.inputs[0]
    if not _is(mask, "fitted_mask") or mask.ndim != len(axes) or mask.dtype != BOOL:
        return None
    if axes != tuple(range(axes[0], axes[0] + len(axes))):
        return None
    if not _same_formulas(list(zip(indices, nonzero(mask), strict=True)), mask):
        return None
    return shuffled(mask, (*range(mask.ndim), *(-1,) * (x.ndim - axes[0] - mask.ndim)))


def _same_formulas(pairs: list[tuple[Variable, Variable]], stop: Variable) -> bool:
    """Whether the two of each pair are the same expression of `stop`."""
    while pairs:
        a, b = pairs.pop()
        if a is b or a is stop or b is stop:
            if a is not b:
                return False
        elif isinstance(a, Constant) and isinstance(b, Constant):
            if a.type != b.type or not np.array_equal(a.data, b.data):
                return False
        elif a.op is None or a.op is not b.op or a.attrs != b.attrs:
            return False
        else:
            pairs += zip(a.inputs, b.inputs, strict=True)
    return True


# -- writing --------------------------------------------------------------------------------------------------------


def set_subtensor(target: Any, value: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Variable:
    """A copy of x in which `value` stands at `key`, for a target `x[key]`.

    value: broadcasts to x[key] and is converted to x's dtype. Where index arrays name an element twice the last value
    stays. IndexOutOfRange as for reading, ShapeError for a value that does not fit. Nothing is changed in place; the
    other arguments are Theano's and have no effect.

    >>> import numgraph as ng
    >>> x = ng.vector("x", "float64")
    >>> ng.set_subtensor(x[1:3], 0.0).eval({x: [1.0, 2.0, 3.0, 4.0]})
    array([1., 0., 0., 4.])
    """
    return _written("set_subtensor", target, value, "set")


def inc_subtensor(target: Any, value: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False) -> Variable:
    """A copy of x with `value` added at `key`, for a target `x[key]`; as `set_subtensor`.

    Where index arrays name an element several times all values are added.
    """
    return _written("inc_subtensor", target, value, "add")


def _written(what: str, target: Any, value: Any, mode: str) -> Variable:
    base, path = _path(what, target)
    dtype = base.type.dtype
    new = weak_constant(value, dtype) if type(value) in (bool, int, float) else as_variable(value)
    new = f.cast(new, dtype) if new.type.dtype != dtype else new
    new = _fitted(what, target, new)
    mask = _mask_of(target) if new.ndim == 0 else None
    if mask is not None:
        # one value for all that the mask selects: a choice per element, without looking for positions
        return f.where(mask, new if mode == "set" else f.add(base, new), base)
    for node in path:
        new, mode = _through(node, new, mode)
    if any(_is(node, "subtensor", "gather") for node in path):
        return new
    return stretch(new, ln.dims_of(base)) if mode == "set" else f.add(base, new)


def _path(what: str, target: Any) -> tuple[Variable, list[Variable]]:
    """The variable that was indexed, and what leads from `target` (first) up to it."""
    path: list[Variable] = []
    node = target
    while isinstance(node, Variable) and not node.steps and _is(node, "dimshuffle", "reshape"):
        path.append(node)
        node = node.inputs[0]
    if not isinstance(node, Variable) or not (node.steps or _is(node, "subtensor", "gather")):
        shown = describe(target) if isinstance(target, Variable) else repr(target)
        raise DtypeError(f"{what}: the first argument must be a part of a variable, such as x[1:3], not {shown}")
    for _ in range(max(node.steps, 1)):
        path.append(node)
        node = node.inputs[0]
    return node, path


def _is(node: Variable, *names: str) -> bool:
    return node.op is not None and node.op.name in names


def _fitted(what: str, target: Variable, value: Variable) -> Variable:
    """The value without leading axes that the target has not; ShapeError where known lengths do not broadcast."""
    extra = value.ndim - target.ndim
    lengths = value.type.shape[max(extra, 0) :]
    wrong = [
        n
        for n, full in zip(reversed(lengths), reversed(target.type.shape), strict=False)
        if n not in (1, None, full) and full is not None
    ]
    if wrong or any(n not in (1, None) for n in value.type.shape[: max(extra, 0)]):
        raise ShapeError(
            f"{what}: the value does not broadcast to its part\n  {describe(value)}\n  {describe(target)}\n"
            "  fix: give it the part's shape, or axes of length 1"
        )
    return shuffled(value, tuple(range(extra, value.ndim))) if extra > 0 else value


def _through(node: Variable, value: Variable, mode: str) -> tuple[Variable, str]:
    """A value for `node` as a value for what `node` was made from, and how to write that."""
    inner = node.inputs[0]
    assert node.op is not None
    if node.op.name == "subtensor":
        return st.subtensor_update(inner, value, node.inputs[1:], node.attrs["key"], mode), "set"
    if node.op.name == "gather":
        return st.gather_update(inner, value, node.inputs[1:], node.attrs["axes"], node.attrs["position"], mode), "set"
    if value.ndim == 0:
        return value, mode
    if node.op.name == "reshape":
        return reshaped(stretch(value, ln.dims_of(node)), ln.dims_of(inner)), mode
    padded = shuffled(value, (*(-1,) * (node.ndim - value.ndim), *range(value.ndim)))
    return shuffled(padded, inverse_pattern(inner.ndim, node.attrs["pattern"])), mode

"""Rules of ops over one more axis, for `vectorize`: field `batch` of their records.

`batched` says which inputs have the new axis, in front; None is returned where only a loop does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.graph import Variable, apply
from numgraph.op import OPS
from numgraph.ops.define import f

Key = tuple[tuple[Any, ...], ...]
# a slice of the whole axis, in keys of `subtensor`
FULL = ("slice", False, False, 1)
# the same from its end to its begin
TURNED = ("slice", False, False, -1)


def is_turn(key: Key) -> bool:
    """Whether a key takes all elements, some axes from the end: done again, it puts them where they were."""
    return all(entry in (FULL, TURNED) for entry in key)


def over_axis(batched: Sequence[bool], *inputs: Variable) -> list[Variable]:
    """For `batch` rules: what has not the new axis is repeated along it."""
    length = f.shape(inputs[batched.index(True)])[0]
    return [v if has else f.broadcast_to(v, (length, *f.shape(v))) for v, has in zip(inputs, batched, strict=True)]


def padded_behind(v: Variable, ndim: int) -> Variable:
    """For `batch` rules: axes of length 1 behind the new axis of v, so that it has `ndim` besides."""
    missing = ndim + 1 - v.ndim
    return f.dimshuffle(v, 0, *"x" * missing, *range(1, v.ndim)) if missing else v


def over_stacks(name: str) -> Callable[..., Any]:
    """The `batch` rule of an op that takes stacks, or works along attribute `axis`: the same op, with one axis more."""

    def batch(batched: Sequence[bool], *inputs: Variable, **attrs: Any) -> Variable:
        later = {k: n + 1 for k, n in attrs.items() if k == "axis"}
        return apply(OPS[name], over_axis(batched, *inputs), **attrs | later)

    return batch


def ahead(name: str) -> Callable[..., Any]:
    """The `batch` rule of an op that works on the last axes of its first operand: the same op. Others say lengths."""

    def batch(batched: Sequence[bool], x: Variable, *lengths: Variable, **attrs: Any) -> Variable | None:
        return None if any(batched[1:]) else apply(OPS[name], [x, *lengths], **attrs)

    return batch


def broadcast_to(batched: Sequence[bool], x: Variable, *lengths: Variable) -> Variable | None:
    """The new axis stays in front."""
    if any(batched[1:]):
        return None
    return f.broadcast_to(padded_behind(x, len(lengths)), (f.shape(x)[0], *lengths))


def unbroadcast(batched: Sequence[bool], base: Variable, g: Variable, mode: str) -> Variable:
    """Sums over the axes behind the new one."""
    base, g = over_axis(batched, base, g)
    missing = g.ndim - base.ndim
    padded = f.dimshuffle(base, 0, *"x" * missing, *range(1, base.ndim))
    total = apply(OPS["unbroadcast"], [padded, g], mode=mode)
    return f.dimshuffle(total, 0, *range(1 + missing, g.ndim))


def subtensor(batched: Sequence[bool], x: Variable, *bounds: Variable, key: Key) -> Variable | None:
    """Slices, the first of which is the whole new axis."""
    if any(batched[1:]):
        axes = _indexed(key)
        return None if axes is None else gather(batched, x, *bounds, axes=axes, position=0)
    return apply(OPS["subtensor"], [x, *bounds], key=(FULL, *key))


def _indexed(key: Key) -> tuple[int, ...] | None:
    """The axes of which a key takes single elements; None where it takes a part of another one."""
    whole = all(entry == FULL or entry[0] == "index" for entry in key)
    return tuple(k for k, entry in enumerate(key) if entry[0] == "index") if whole else None


def _batched_indices(
    batched: Sequence[bool], indices: Sequence[Variable], axes: tuple[int, ...], length: Any
) -> tuple[list[Variable], tuple[int, ...]]:
    """Index arrays of which some have the new axis, for an array that has it, too: with the numbers of the elements
    along that axis in front."""
    ndim = max(i.ndim - b for i, b in zip(indices, batched, strict=True))
    wide = [padded_behind(i, ndim) if b else i for i, b in zip(indices, batched, strict=True)]
    numbers = f.dimshuffle(f.arange(length), 0, *"x" * ndim)
    return [numbers, *wide], (0, *(axis + 1 for axis in axes))


def gather(
    batched: Sequence[bool], x: Variable, *indices: Variable, axes: tuple[int, ...], position: int
) -> Variable | None:
    """Index arrays: of the array, the indices, or both."""
    if not any(batched[1:]):
        return apply(OPS["gather"], [x, *indices], axes=tuple(axis + 1 for axis in axes), position=position + 1)
    if batched[0]:
        if position:
            return None
        found, along = _batched_indices(batched[1:], indices, axes, f.shape(x)[0])
        return apply(OPS["gather"], [x, *found], axes=along, position=0)
    # the new axis of the index arrays becomes an axis of the result, and then its first one
    ndim = max(i.ndim - b for i, b in zip(indices, batched[1:], strict=True))
    wide = [padded_behind(i, ndim) if b else i for i, b in zip(indices, batched[1:], strict=True)]
    return f.moveaxis(apply(OPS["gather"], [x, *wide], axes=axes, position=position), position, 0)


def gather_update(
    batched: Sequence[bool], base: Variable, value: Variable, *indices: Variable, axes: tuple[int, ...], position: int,
    mode: str,
) -> Variable | None:  # fmt: skip
    """What is written at index arrays."""
    length = f.shape((base, value, *indices)[batched.index(True)])[0]
    (wide,) = [base] if batched[0] else [f.broadcast_to(base, (length, *f.shape(base)))]
    common = max(i.ndim - b for i, b in zip(indices, batched[2:], strict=True))
    given = padded_behind(value, wide.ndim - 1 - len(axes) + common) if batched[1] else value
    if not any(batched[2:]):
        return apply(
            OPS["gather_update"], [wide, given, *indices], axes=tuple(axis + 1 for axis in axes), position=position + 1,
            mode=mode,
        )  # fmt: skip
    if position:
        return None
    found, along = _batched_indices(batched[2:], indices, axes, length)
    return apply(OPS["gather_update"], [wide, given, *found], axes=along, position=0, mode=mode)


def subtensor_update(
    batched: Sequence[bool], base: Variable, value: Variable, *bounds: Variable, key: Key, mode: str
) -> Variable | None:
    """What is written into slices."""
    if any(batched[2:]):
        axes = _indexed(key)
        return None if axes is None else gather_update(batched, base, value, *bounds, axes=axes, position=0, mode=mode)
    (wide,) = [base] if batched[0] else [f.broadcast_to(base, (f.shape(value)[0], *f.shape(base)))]
    given = padded_behind(value, sum(entry[0] == "slice" for entry in key)) if batched[1] else value
    return apply(OPS["subtensor_update"], [wide, given, *bounds], key=(FULL, *key), mode=mode)

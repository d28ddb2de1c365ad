"""The operations that random programs are made of: each takes a program (see `fuzz`), gives (variable, whether exact).

An operation that finds no operands gives (None, False).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import numgraph as ng

Made = tuple[Any, bool]
NOTHING: Made = (None, False)


def is_float(v: Any) -> bool:
    return bool(v.dtype.startswith("float"))


def is_whole(v: Any) -> bool:
    return v.dtype in ("int64", "int32", "uint8")


def is_exact(v: Any) -> bool:
    return bool(v.exact)


def is_number(v: Any) -> bool:
    return v.dtype != "bool"


def has_axes(n: int) -> Callable[[Any], bool]:
    return lambda v: len(v.shape) >= n


def is_full(v: Any) -> bool:
    return v.array.size > 0


def broadcasts(p: Any, v: Any, *wanted: Any) -> Any:
    """A value that broadcasts with `v`."""

    def fits(w: Any) -> bool:
        try:
            return len(np.broadcast_shapes(v.shape, w.shape)) <= 4
        except ValueError:
            return False

    return p.pick(fits, *wanted)


def arithmetic(p: Any) -> Made:
    x = p.pick(is_number)
    y = broadcasts(p, x, is_number) if x else None
    if y is None:
        return NOTHING
    op = p.one_of((ng.add, ng.sub, ng.mul, ng.maximum, ng.minimum))
    return op(x.variable, y.variable), x.exact and y.exact


def with_number(p: Any) -> Made:
    x = p.pick(is_number)
    if x is None:
        return NOTHING
    v = x.variable
    how = p.choose(7)
    number = 2 if is_whole(x) else p.one_of((0.5, 2.0, -1.0, 3, 0, 1))
    made = (v + number, number - v if x.dtype != "uint8" else v, v * number, -v if x.dtype != "uint8" else v * 2, v * v,
            v + v, ng.maximum(v, number))[how]  # fmt: skip
    return made, x.exact


def smooth(p: Any) -> Made:
    x = p.pick(is_float)
    if x is None:
        return NOTHING
    v = x.variable
    made = (
        ng.tanh(v), ng.sigmoid(v), ng.exp(-v * v), ng.sqrt(1 + v * v), ng.log(1 + v * v), v / (2 + v * v), ng.cos(v),
        ng.softplus(v), 1 / (1 + ng.exp(v)), ng.log1p(ng.exp(v * 0.001)), ng.sqr(v) ** 0.5 + 1,
    )  # fmt: skip
    return p.one_of(made), False


def rounding(p: Any) -> Made:
    x = p.pick(is_float, is_exact)
    if x is None:
        return NOTHING
    return p.one_of((ng.floor, ng.ceil, ng.round, ng.trunc, ng.sgn, ng.abs))(x.variable), True


def whole_division(p: Any) -> Made:
    x = p.pick(is_whole)
    y = broadcasts(p, x, is_whole) if x else None
    if y is None:
        return NOTHING
    return p.one_of((ng.floor_div, ng.mod, ng.true_div))(x.variable, y.variable * y.variable + 1), False


def comparison(p: Any) -> Made:
    x = p.pick(is_exact, is_number)
    y = broadcasts(p, x, is_exact, is_number) if x else None
    if y is None:
        return NOTHING
    op = p.one_of((ng.lt, ng.le, ng.gt, ng.ge, ng.eq, ng.neq))
    return op(x.variable, y.variable), True


def logic(p: Any) -> Made:
    x = p.pick(lambda v: v.dtype == "bool")
    y = broadcasts(p, x, lambda v: v.dtype == "bool") if x else None
    if y is None:
        return NOTHING
    return (x.variable & y.variable, x.variable | y.variable, x.variable ^ y.variable, ~x.variable)[p.choose(4)], True


def where(p: Any) -> Made:
    x = p.pick(is_number)
    y = broadcasts(p, x, is_number) if x else None
    c = broadcasts(p, x, lambda v: v.dtype == "bool") if x else None
    if y is None or c is None:
        return NOTHING
    try:
        np.broadcast_shapes(x.shape, y.shape, c.shape)
    except ValueError:
        return NOTHING
    return ng.where(c.variable, x.variable, y.variable), x.exact and y.exact


def cast(p: Any) -> Made:
    x = p.pick(lambda v: is_exact(v) or is_float(v))
    if x is None:
        return NOTHING
    if is_float(x):
        to = p.one_of(("float32", "float64", "int64", "bool") if x.exact else ("float32", "float64"))
    else:
        to = p.one_of(("float64", "float32", "int64", "int32", "uint8", "bool", "int8"))
    return ng.cast(x.variable, to), x.exact and to != "float32"


def axes(p: Any, x: Any) -> tuple[int, ...] | None:
    chosen = tuple(a for a in range(len(x.shape)) if p.choose(2))
    return None if not chosen else tuple(a - len(x.shape) if p.choose(2) else a for a in chosen)


def reduction(p: Any) -> Made:
    x = p.pick(has_axes(1))
    if x is None:
        return NOTHING
    axis, keep = axes(p, x), bool(p.choose(2))
    if x.dtype == "bool":
        return p.one_of((ng.sum, ng.any, ng.all))(x.variable, axis=axis, keepdims=keep), True
    how = p.choose(6)
    if how < 2 or not is_full(x):
        return ng.sum(x.variable, axis=axis, keepdims=keep), x.exact
    if how == 2:
        return ng.mean(x.variable, axis=axis, keepdims=keep), False
    if how == 3 and is_float(x):
        return p.one_of((ng.logsumexp, ng.var))(x.variable, axis=axis, keepdims=keep), False
    return p.one_of((ng.max, ng.min))(x.variable, axis=axis, keepdims=keep), x.exact


def position(p: Any) -> Made:
    x = p.pick(has_axes(1), is_full, is_exact)
    if x is None:
        return NOTHING
    axis = p.choose(len(x.shape) + 1) - 1
    return p.one_of((ng.argmax, ng.argmin))(
        x.variable, axis=None if axis < 0 else axis, keepdims=bool(p.choose(2))
    ), True


def along(p: Any) -> Made:
    x = p.pick(has_axes(1), is_number)
    if x is None:
        return NOTHING
    axis = p.choose(len(x.shape))
    how = p.choose(4)
    if how == 0 and is_float(x) and is_full(x):
        return p.one_of((ng.softmax, ng.log_softmax))(x.variable, axis=axis), False
    if how == 1 and x.exact:
        return ng.sort(x.variable, axis=axis), True
    if how == 2:
        return ng.cumsum(x.variable, axis=axis), x.exact
    return ng.flip(x.variable, axis) if p.choose(2) else ng.roll(x.variable, 1 + p.choose(3), axis), x.exact


def some_slice(p: Any, length: int) -> slice:
    bounds = (None, 0, 1, 2, -1, -2, 100, -100)
    return slice(p.one_of(bounds), p.one_of(bounds), p.one_of((None, 1, 2, -1, -2, 3)))


def scalar_index(p: Any, length: int) -> Any:
    """A symbolic index that is in range for every length but 0."""
    i = p.pick(lambda v: v.dtype in ("int64", "int32") and v.shape == ())
    return None if i is None else i.variable


def part_key(p: Any, x: Any) -> tuple[Any, ...]:
    key: list[Any] = []
    for length in x.shape:
        how = p.choose(5)
        i = scalar_index(p, length) if how in (3, 4) else None
        if how == 2 and length:
            key.append(p.one_of((0, -1)))
        elif how == 3 and i is not None and length:
            key.append(ng.mod(i, length) if p.choose(2) else slice(i, i + 2))
        elif how == 4 and i is not None:
            key.append(slice(None, i))
        else:
            key.append(some_slice(p, length))
        if not p.choose(8):
            break
    return tuple(key)


def part(p: Any) -> Made:
    x = p.pick(has_axes(1))
    if x is None:
        return NOTHING
    return x.variable[part_key(p, x)], x.exact


def index_for(p: Any, x: Any, axis: int) -> Any:
    """An integer array made to lie in the range of an axis, some of it counted from the end."""
    i = p.pick(is_whole, lambda v: 1 <= len(v.shape) <= 2)
    if i is None or not x.shape[axis]:
        return None
    n = ng.cast(x.variable.shape[axis], "int64")
    inside = ng.mod(ng.cast(i.variable, "int64"), ng.maximum(n, 1))
    return inside - n if p.choose(2) else inside


def gather(p: Any) -> Made:
    x = p.pick(has_axes(1), is_full)
    if x is None:
        return NOTHING
    axis = p.choose(len(x.shape))
    i = index_for(p, x, axis)
    if i is None:
        return NOTHING
    if len(x.shape) > 1 and axis == 0 and p.choose(2) and x.shape[1]:
        return x.variable[i, ng.mod(i, ng.maximum(x.variable.shape[1], 1))], x.exact
    return x.variable[(slice(None),) * axis + (i,)], x.exact


def mask(p: Any) -> Made:
    c = p.pick(has_axes(1), lambda v: v.dtype == "bool")
    x = p.pick(lambda v: len(v.shape) >= len(c.shape) and v.shape[: len(c.shape)] == c.shape) if c else None
    if x is None:
        return NOTHING
    return x.variable[c.variable], x.exact


def write_part(p: Any) -> Made:
    x = p.pick(has_axes(1), is_number)
    if x is None:
        return NOTHING
    region = x.variable[part_key(p, x)]
    value = p.pick(lambda v: v.dtype == x.dtype and v.shape == ())
    write = p.one_of((ng.set_subtensor, ng.inc_subtensor))
    if value is None or p.choose(2):
        return write(region, ng.cast(region * 2, x.dtype)), x.exact
    return write(region, value.variable), x.exact and value.exact


def write_gather(p: Any) -> Made:
    x = p.pick(has_axes(1), is_number, is_full)
    i = index_for(p, x, 0) if x else None
    if i is None:
        return NOTHING
    region = x.variable[i]
    value = ng.cast(region * 2, x.dtype) if p.choose(2) else ng.cast(p.choose(3) + 1, x.dtype)
    return p.one_of((ng.set_subtensor, ng.inc_subtensor))(region, value), x.exact


def shuffled(p: Any) -> Made:
    x = p.pick(has_axes(1))
    if x is None:
        return NOTHING
    order: list[Any] = []
    for axis in range(len(x.shape)):
        order.insert(p.choose(len(order) + 1), axis)
    if len(order) < 4 and p.choose(2):
        order.insert(p.choose(len(order) + 1), "x")
    return x.variable.dimshuffle(*order), x.exact


def reshaped(p: Any) -> Made:
    x = p.pick(has_axes(1))
    if x is None:
        return NOTHING
    v = x.variable
    how = p.choose(4)
    if how == 0 or len(x.shape) == 1:
        return (v.flatten() if len(x.shape) > 1 else v.reshape((v.shape[0], 1))), x.exact
    if how == 1:
        return v.reshape((v.shape[-1], *[v.shape[k] for k in range(len(x.shape) - 1)])), x.exact
    if how == 2:
        return v.reshape((v.shape[0] * v.shape[1], *v.shape[2:])), x.exact
    return (v.flatten(2) if 0 not in x.shape[1:] else v.flatten()), x.exact


def joined(p: Any) -> Made:
    x = p.pick(has_axes(1))
    if x is None:
        return NOTHING
    axis = p.choose(len(x.shape))

    def fits(v: Any) -> bool:
        same = len(v.shape) == len(x.shape) and is_number(v) == is_number(x)
        return same and all(a == axis or n == m for a, (n, m) in enumerate(zip(v.shape, x.shape, strict=True)))

    y = p.pick(fits)
    if p.choose(4) == 0:
        return ng.stack(x.variable, x.variable, axis=axis), x.exact
    if p.choose(4) == 0:
        return ng.tile(x.variable, (2,) * len(x.shape)) if p.choose(2) else ng.repeat(x.variable, 2, axis), x.exact
    return ng.concatenate(
        [x.variable, y.variable, x.variable[:1] if axis == 0 else x.variable], axis
    ), x.exact and y.exact


def mapped(p: Any) -> Made:
    """Elements read at other places: rolls by what is known or not, margins, joins of parts in another order."""
    x = p.pick(has_axes(1))
    if x is None:
        return NOTHING
    v, axis, how = x.variable, p.choose(len(x.shape)), p.choose(5)
    i = scalar_index(p, 1)
    if how == 0 and i is not None:
        return ng.roll(v, i if p.choose(2) else -i, axis), x.exact
    if how == 1:
        return ng.roll(v, (p.choose(9) - 4, -1), (axis, 0)), x.exact
    if how == 2 and is_full(x):
        widths = {axis: (p.choose(3), p.choose(3)), 0: (1, p.choose(2))}
        return ng.pad(v, widths, p.one_of(("constant", "edge", "reflect", "symmetric", "wrap"))), x.exact
    whole = (slice(None),) * axis
    cut = i if i is not None and p.choose(2) else 1
    parts = [v[(*whole, slice(cut, None))], v[(*whole, slice(None, cut))]]
    if how == 3 and x.dtype != "bool":
        parts[1] = ng.cast(parts[1] * 2, x.dtype)
    return ng.concatenate(parts, axis)[:: p.one_of((1, 1, 2, -1))], x.exact


def product(p: Any) -> Made:
    x = p.pick(has_axes(1), is_float)
    if x is None:
        return NOTHING
    y = p.pick(is_float, lambda v: 1 <= len(v.shape) <= 2 and v.shape[-min(2, len(v.shape))] == x.shape[-1])
    if y is not None and len(x.shape) <= 2:
        return ng.dot(x.variable, y.variable), False
    if len(x.shape) == 1:
        return ng.dot(x.variable, x.variable), False
    return ng.matmul(x.variable, ng.swapaxes(x.variable, -1, -2)), False


def gradient(p: Any) -> Made:
    """Through what is smooth, or exact: elsewhere a rounded value may lie on either side of a kink."""
    x = p.pick(lambda v: v.dtype == "float64", is_exact)
    if x is None or not isinstance(x.variable, ng.Variable) or x.variable.op is not None:
        return NOTHING
    y = p.pick(lambda v: v.dtype == "float64", is_exact, lambda v: v is not x)
    if y is None:
        return NOTHING
    return ng.grad(ng.sum(ng.sin(y.variable) * 2), x.variable, disconnected_inputs="ignore"), False


OPERATIONS = (
    arithmetic, arithmetic, with_number, smooth, smooth, rounding, whole_division, comparison, logic, where, cast,
    reduction, reduction, position, along, part, part, gather, gather, mask, write_part, write_gather, shuffled,
    reshaped, joined, mapped, mapped, product, gradient,
)  # fmt: skip

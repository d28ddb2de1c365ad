"""Limits on gradients: lists of gradients in, lists of gradients out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.errors import OptionError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops.define import f


def clip_by_value(gradients: Sequence[Any], limit: Any) -> list[Variable]:
    """Each element limited to [-limit, limit]. limit: a number of at least 0, or a scalar expression."""
    bound = _checked("clip_by_value", limit)
    listed = [as_variable(g) for g in gradients]
    return [f.clip(g, f.neg(f.cast(bound, g.dtype)), f.cast(bound, g.dtype)) for g in listed]


def clip_by_norm(gradients: Sequence[Any], max_norm: Any) -> list[Variable]:
    """Each gradient whose norm, the root of the sum of its squares, is larger than `max_norm`, scaled to that norm."""
    bound = _checked("clip_by_norm", max_norm)
    listed = [as_variable(g) for g in gradients]
    return [_scaled(g, global_norm([g]), bound) for g in listed]


def clip_by_global_norm(gradients: Sequence[Any], max_norm: Any) -> list[Variable]:
    """All gradients scaled by one number, so that the norm of all their elements is at most `max_norm`.

    max_norm: a number of at least 0, or a scalar expression. An infinite norm makes finite elements 0 and infinite ones
    NaN; where the norm is NaN nothing is scaled. Source: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of
    training recurrent neural networks" (2013), algorithm 1.
    """
    bound = _checked("clip_by_global_norm", max_norm)
    listed = [as_variable(g) for g in gradients]
    norm = global_norm(listed)
    return [_scaled(g, norm, bound) for g in listed]


def global_norm(gradients: Sequence[Any]) -> Variable:
    """The root of the sum of the squares of all elements, in float64: squares of float32 do not overflow."""
    wide = [f.cast(as_variable(g), "float64") for g in gradients]
    squares = [f.sum(g * g) for g in wide]
    total = f.add(*squares) if len(squares) > 1 else squares[0] if squares else as_variable(np.float64(0.0))
    return f.sqrt(total)


def _scaled(gradient: Variable, norm: Variable, bound: Variable) -> Variable:
    factor = f.where(f.gt(norm, bound), bound / norm, 1.0)
    scaled: Variable = gradient * f.cast(factor, gradient.dtype)
    return scaled


def _checked(name: str, limit: Any) -> Variable:
    """A limit as a float64 scalar."""
    given = as_variable(limit)
    if given.ndim:
        raise OptionError(f"{name}: the limit is a number or a scalar expression, not\n  {describe(given)}")
    if not isinstance(limit, Variable) and not limit >= 0:
        raise OptionError(f"{name}: the limit must be at least 0, not {limit!r}")
    bound: Variable = f.cast(given, "float64")
    return bound

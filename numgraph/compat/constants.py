"""What is known of a variable before a function runs, and other questions that Theano's programs ask constants."""

from __future__ import annotations

from typing import Any

import numpy as np

from numgraph.graph import Constant, Variable, as_variable, toposort
from numgraph.reference import evaluate


def get_scalar_constant_value(v: Any) -> Any:
    """The number that `v` is known to be, or, for an array, all its elements: that of a constant, of what is computed
    from constants alone, and of what fills, moves or calculates with such. ValueError for everything else."""
    found = as_variable(v)
    value = _number(found)
    if value is None:
        raise ValueError(f"{found!r} is no constant scalar")
    return value


def _number(v: Variable) -> Any:
    """The number that all elements of v are; None if that is not known."""
    if isinstance(v, Constant):
        return _uniform(v.data)
    if v.op is None:
        return None
    if v.op.moves or v.op.name == "fill":
        known = _number(v.inputs[0])
        if known is not None:
            return known
    elif v.op.scalar is not None and not v.op.redrawn:
        parts = [_number(x) for x in v.inputs]
        if all(part is not None for part in parts):
            return np.asarray(v.op.numpy(*parts, **v.attrs), v.dtype)
    if all(isinstance(leaf, Constant) for leaf in toposort([v]) if leaf.op is None):
        return _uniform(evaluate([v], {})[0])
    return None


def _uniform(data: Any) -> Any:
    values = data.ravel()
    return np.array(values[0]) if values.size == 1 or (values.size and (values == values[0]).all()) else None

"""Theano's functions for what is written with brackets: parts of arrays, and arrays with others there."""

from __future__ import annotations

from typing import Any

from numgraph.graph import Variable, as_variable
from numgraph.ops.define import f


def advanced_subtensor(x: Any, *indices: Any) -> Variable:
    """x[indices], of arrays, slices and None."""
    found: Variable = as_variable(x)[indices]
    return found


def advanced_inc_subtensor(x: Any, y: Any, *indices: Any) -> Variable:
    """x with y added at the indices, as often as each is there."""
    found: Variable = f.inc_subtensor(as_variable(x)[indices], y)
    return found


def advanced_set_subtensor(x: Any, y: Any, *indices: Any) -> Variable:
    """x with y at the indices."""
    found: Variable = f.set_subtensor(as_variable(x)[indices], y)
    return found


INDEXING = {
    "advanced_subtensor": advanced_subtensor, "advanced_subtensor1": advanced_subtensor,
    "advanced_inc_subtensor": advanced_inc_subtensor, "advanced_inc_subtensor1": advanced_inc_subtensor,
    "advanced_set_subtensor": advanced_set_subtensor, "advanced_set_subtensor1": advanced_set_subtensor,
}  # fmt: skip

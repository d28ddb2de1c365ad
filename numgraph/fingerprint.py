"""What the passes read of a program, as a digest: programs of one digest are compiled to the same code."""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from typing import Any

from numgraph.cache import digest
from numgraph.graph import Constant, Variable, toposort
from numgraph.ops import TABLE
from numgraph.program import Program
from numgraph.shared import SharedVariable

Shapes = Mapping[SharedVariable, tuple[int, ...]]

# Bytes of constant arrays up to which a program has a digest, and is kept.
LARGEST = 1 << 20
# Values of attributes that are what they look like: a subclass, or a number of NumPy's, may be equal to one and differ.
_PLAIN = (bool, int, float, str, type(None))
# The first version of the format that depends on how often a value is referred to is 3.
_FORMAT = 2


class Unknown(Exception):
    """A program has something whose whole content cannot be told."""


def shapes_of(program: Program) -> Shapes:
    """The lengths of a program's shared variables now, in an order that its graph alone decides."""
    return {v: v.storage.shape for v in toposort(program.roots()) if isinstance(v, SharedVariable)}


def fingerprint(program: Program, shapes: Shapes) -> str | None:
    """The digest of all that the passes read of a program: its graph with names, constants and given pairs, and the
    lengths of its shared variables. None where that cannot be told, as for users' functions and for ops of their own.

    Values of shared variables and the user's lines are no part of it: no code depends on them.
    """
    numbers: dict[Variable, int] = {}
    nodes = []
    try:
        for number, variable in enumerate(toposort(program.roots())):
            nodes.append(_node(variable, numbers, shapes))
            numbers[variable] = number
        whole = (
            nodes,
            program.name,
            [numbers[v] for v in program.variables],
            [numbers[v] for v in program.outputs],
            [(numbers[s], numbers[v]) for s, v in program.updates],
            [(numbers[k], numbers[v]) for k, v in program.givens],
        )
        return digest(marshal.dumps(whole, _FORMAT))
    except (Unknown, ValueError):
        # marshal refuses what is no plain value, such as a name of a class of its own
        return None


def _node(variable: Variable, numbers: Mapping[Variable, int], shapes: Shapes) -> tuple[Any, ...]:
    """One variable, as plain values."""
    own: Any = None
    if isinstance(variable, Constant):
        if variable.data.nbytes > LARGEST:
            raise Unknown
        own = variable.data.tobytes()
    elif isinstance(variable, SharedVariable):
        own = shapes[variable]
    op = variable.op
    if op is not None and op not in TABLE:
        raise Unknown
    return (
        type(variable).__name__,
        variable.type.dtype,
        variable.type.shape,
        variable.name,
        variable.hint,
        None if op is None else op.name,
        [numbers[v] for v in variable.inputs],
        [(name, _plain(value)) for name, value in variable.attrs.items()],
        variable.steps,
        own,
    )


def _plain(value: Any) -> Any:
    """A value of an attribute; Unknown for one that is not plain."""
    if type(value) in _PLAIN:
        return value
    if type(value) in (tuple, list):
        return (type(value).__name__, [_plain(v) for v in value])
    raise Unknown

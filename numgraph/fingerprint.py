"""What the passes read of a program, as a digest: programs of one digest are compiled to the same code."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from typing import Any

from numgraph.cache import digest
from numgraph.graph import Constant, Variable, toposort
from numgraph.ops import TABLE
from numgraph.ops.loop import Loop
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
    reader = Reader(shapes)
    numbers = reader.numbers
    try:
        reader.read(program.roots())
        whole = (
            reader.nodes,
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


class Reader:
    """Makes plain values of variables, each once, and of the loops that they are results of."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.numbers: dict[Variable, int] = {}
        self.nodes: list[Any] = []
        self.loops: dict[int, int] = {}

    def read(self, roots: Iterable[Variable]) -> None:
        """Variables with all that they are made of."""
        for variable in toposort(roots, stop=self.numbers):
            if variable not in self.numbers:
                node = self._node(variable)
                self.numbers[variable] = len(self.nodes)
                self.nodes.append(node)

    def _node(self, variable: Variable) -> tuple[Any, ...]:
        """One variable, as plain values."""
        own: Any = None
        if isinstance(variable, Constant):
            if variable.data.nbytes > LARGEST:
                raise Unknown
            own = variable.data.tobytes()
        elif isinstance(variable, SharedVariable):
            own = self.shapes[variable]
        op, attrs = variable.op, dict(variable.attrs)
        if op is not None and op not in TABLE:
            raise Unknown
        if op is not None and op.loop:
            own = self._loop(attrs.pop("loop"), attrs.pop("value", None))
        return (
            type(variable).__name__,
            variable.type.dtype,
            variable.type.shape,
            variable.name,
            variable.hint,
            None if op is None else op.name,
            [self.numbers[v] for v in variable.inputs],
            [(name, _plain(value)) for name, value in attrs.items()],
            variable.steps,
            own,
        )

    def _loop(self, loop: Loop, value: int | None) -> tuple[Any, ...]:
        """Which loop it is, and which of its values is asked for: others that it knows of are nothing to the code."""
        parts = [loop.sequences, loop.states, loop.invariants, loop.nexts, [] if loop.until is None else [loop.until]]
        asked = None if value is None else loop.values[value]
        self.read([v for part in parts for v in part] + ([] if asked is None else [asked]))
        if id(loop) not in self.loops:
            self.loops[id(loop)] = len(self.nodes)
            content = [[self.numbers[v] for v in part] for part in parts]
            self.nodes.append(("loop", content, loop.name, loop.truncate))
        return self.loops[id(loop)], None if asked is None else self.numbers[asked]


def _plain(value: Any) -> Any:
    """A value of an attribute; Unknown for one that is not plain."""
    if type(value) in _PLAIN:
        return value
    if type(value) in (tuple, list):
        return (type(value).__name__, [_plain(v) for v in value])
    raise Unknown

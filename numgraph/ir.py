"""The compile graph: interned, immutable nodes with symbolic lengths.

Equal nodes are one node, which is common-subexpression elimination. A length is an int or itself a node (a 0-d
int64), so "these two axes have the same length" is `is`, and the code that computes a length is the node's
expression. The same nodes serve as index arithmetic in generated loops: `loop` nodes stand for loop counters and
`load` nodes for memory reads.

User lines, names and lengths live beside the nodes, never in their identity.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import InitVar, dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from numgraph.formula import described
from numgraph.graph import Variable
from numgraph.lengths.dims import Arithmetic
from numgraph.lengths.rules import HIGH, LOW, bounds, simplified
from numgraph.op import OPS, Op, reference
from numgraph.ops.halves import ROUNDED, VALUE
from numgraph.ops.loop import Loop
from numgraph.ops.special import CAST
from numgraph.source import SourceLine
from numgraph.text import printable
from numgraph.traits import CPU, Traits
from numgraph.types import FLOATS, HALF, promote

MAX_LINES = 4
# A constant result larger than this is computed at run time, not embedded in the program.
MAX_FOLDED = 4096

# Kinds of nodes that are no op:
#   input   an argument array            attrs: (position,)
#   scalar  a 0-d argument               attrs: (position,)
#   shared  a resident array             attrs: (position,)
#   array   a constant array             attrs: (digest,), value in `Graph.arrays`
#   number  a 0-d constant               attrs: (value,)
#   extent  a length of a leaf           attrs: (axis,), inputs: (leaf,)
#   loop    the counter of loop level k  attrs: (k,)
#   load    an element of a buffer       inputs: (buffer, *index)
#   copy    a private copy of its input  attrs: (serial,)
#   step    which step a scan is in      attrs: (number of the scan,)
#   state   a scan's state before a step attrs: (number of the scan, number of the state)
LEAVES = frozenset({"input", "scalar", "shared", "array", "state"})
NOWHERE: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Node(Arithmetic):
    """One node. `kind` is "op" or one of the kinds above.

    depth: the innermost loop it depends on, + 1. planned: whether it is a scalar that can be computed before any loop
    runs, of the program or of a scan's step. reads: whether an element of an array is read for it: of a length, whether
    it is more than arithmetic on lengths. lowest, highest: what a length or index is at least and at most; bounds of
    int64 where nothing is known. within: the scans, by number, in whose steps it is another value.
    """

    graph: Graph
    kind: str
    op: Op | None
    inputs: tuple[Node, ...]
    attrs: tuple[Any, ...]
    dtype: str
    lengths: InitVar[tuple[Any, ...]]
    serial: int = field(init=False)
    depth: int = field(init=False)
    planned: bool = field(init=False)
    reads: bool = field(init=False)
    lowest: int = field(init=False)
    highest: int = field(init=False)
    within: frozenset[int] = field(init=False)

    def __post_init__(self, lengths: tuple[Any, ...]) -> None:
        """Find what follows from the rest."""
        graph, kind, inputs = self.graph, self.kind, self.inputs
        graph.lengths[self] = lengths
        graph.count += 1
        if kind == "loop":
            depth = self.attrs[0] + 1
        else:
            depth = max((v.depth for v in (inputs[1:] if kind == "load" else inputs)), default=0)
        put = object.__setattr__
        put(self, "serial", graph.count)
        put(self, "depth", depth)
        put(self, "planned", _planned(self))
        put(self, "reads", kind == "load" or (kind != "extent" and any(v.reads for v in inputs)))
        put(self, "within", _within(self))
        lowest, highest = bounds(self) if self.dtype == "int64" and not lengths else (LOW, HIGH)
        put(self, "lowest", lowest)
        put(self, "highest", highest)

    @property
    def dims(self) -> tuple[Any, ...]:
        """Its lengths, which the graph has."""
        return self.graph.lengths[self]

    @property
    def name(self) -> str:
        """The op's name, or the kind."""
        return self.op.name if self.op else self.kind

    @property
    def attributes(self) -> dict[str, Any]:
        """The op's attributes."""
        return dict(self.attrs)

    @property
    def is_number(self) -> bool:
        """Whether this is a 0-d constant."""
        return self.kind == "number"

    @property
    def value(self) -> Any:
        """The Python value of a number."""
        return self.attrs[0]

    def __repr__(self) -> str:
        return f"<{self.name} {self.dtype}{list(self.dims)} #{self.serial}>"


def _within(node: Node) -> frozenset[int]:
    """The scans in whose steps a node varies."""
    if node.kind in ("step", "state"):
        return frozenset(node.attrs[:1])
    found = NOWHERE
    for v in node.inputs:
        if v.within and not v.within <= found:
            found |= v.within
    if found and node.op is not None and node.op.loop:
        # outside of a scan its results do not vary with its steps
        found -= {node.attributes["scan"]}
    return found


def _planned(node: Node) -> bool:
    """Whether the node is a scalar that can be computed before any loop runs."""
    if node.kind in ("scalar", "number", "step"):
        return True
    if node.kind == "extent":
        return True
    if node.kind == "load":
        buffer = node.inputs[0]
        return buffer.kind in LEAVES and buffer.kind != "state" and all(v.planned for v in node.inputs[1:])
    return (
        node.kind == "op"
        and not node.dims
        and node.op is not None
        and bool(node.op.scalar)
        # a draw is made where the other draws are
        and not node.op.redrawn
        and all(v.planned for v in node.inputs)
    )


class Graph:
    """Makes nodes, each once, and keeps what belongs to them but not to their identity."""

    def __init__(self, traits: Traits = CPU) -> None:
        self.traits = traits
        self.count = 0
        self.table: dict[Any, Node] = {}
        # what stands for a length may move, see `lengths.sources`
        self.lengths: dict[Node, tuple[Any, ...]] = {}
        self.lines: dict[Node, list[SourceLine]] = {}
        self.names: dict[Node, str] = {}
        # the user's variable that a node is the value of
        self.variables: dict[Node, Variable] = {}
        self.arrays: dict[str, Any] = {}
        self.same: dict[Node, Any] = {}
        self.active: tuple[SourceLine, ...] = ()
        self.requirements: list[Requirement] = []
        # by number
        self.scans: list[Scan] = []

    def make(
        self,
        kind: str,
        op: Op | None,
        inputs: Sequence[Node],
        attrs: tuple[Any, ...],
        dtype: str,
        lengths: Sequence[Any],
    ) -> Node:
        """The node with this content: an existing one, or a new one."""
        inputs = tuple(inputs)
        key = (kind, op, inputs, tuple(map(_frozen, attrs)), dtype)
        node = self.table.get(key)
        if node is None:
            node = self.table[key] = Node(self, kind, op, inputs, attrs, dtype, tuple(lengths))
        for line in self.active:
            self.mark(node, line)
        return node

    def with_inputs(self, node: Node, inputs: Sequence[Node], attrs: tuple[Any, ...] | None = None) -> Node:
        """The node with other inputs, or other attributes, too: of the same lengths, and the same to the user."""
        made = self.make(node.kind, node.op, inputs, node.attrs if attrs is None else attrs, node.dtype, node.dims)
        self.lines.setdefault(made, self.lines.get(node, []))
        if node in self.names:
            self.names.setdefault(made, self.names[node])
        return made

    def mark(self, node: Node, line: SourceLine | None) -> None:
        """Remember that `node` stands for something on the user's `line`."""
        if line is not None:
            kept = self.lines.setdefault(node, [])
            if line not in kept and len(kept) < MAX_LINES:
                kept.append(line)

    def call(self, node: Node, name: str | None) -> None:
        """Let messages, comments and identifiers call `node` so, unless it has a name already."""
        if name:
            self.names.setdefault(node, printable(name))

    def where(self, node: Node, numbers: Sequence[int | None] | None = None) -> str:
        """`  x: float32[?,3]  made at train.py:34`, one line. numbers: the lengths in a call, where they are known."""
        known = [n if isinstance(n, int) else None for n in node.dims] if numbers is None else numbers
        lengths = ",".join("?" if n is None else str(n) for n in known)
        name = self.names.get(node) or self._described(node)
        # there is no float16 here: what it stands for is of the user's dtype
        dtype = HALF if node.op in (VALUE, ROUNDED) else node.dtype
        shown = f"{dtype}[{lengths}]" if node.dims else dtype
        lines = ", ".join(map(str, self.lines.get(node, ())))
        return f"  {name}: {shown}" + (f"  made at {lines}" if lines else "") + "\n"

    def _described(self, node: Node) -> str:
        """What messages call a node without a name."""
        while node not in self.variables and node.op is not None and node.op.conversion:
            node = node.inputs[0]
        if node in self.names or node in self.variables:
            return self.names.get(node) or described(self.variables[node])
        return f"the result of {node.op.title}" if node.op else "a constant" if node.kind == "array" else node.kind

    def demand(self, requirement: Requirement) -> None:
        """Record a condition, on behalf of the user's lines that are looked at."""
        requirement.lines = self.active
        self.requirements.append(requirement)

    def number(self, value: Any, dtype: str = "int64") -> Node:
        """A 0-d constant; the value is normalised to the dtype."""
        plain = np.dtype(dtype).type(value).item()
        # -0.0 and 0.0 are equal keys but not equal numbers; nan is no key at all
        tag = repr(plain) if isinstance(plain, float) else plain
        key = ("number", dtype, tag)
        node = self.table.get(key)
        if node is None:
            node = self.table[key] = Node(self, "number", None, (), (plain,), dtype, ())
        return node

    def loop(self, level: int) -> Node:
        """The counter of the loop at `level`."""
        return self.make("loop", None, (), (level,), "int64", ())

    def load(self, buffer: Node, index: Sequence[Any]) -> Node:
        """The element of `buffer` at `index` (one int64 per axis)."""
        return self.make("load", None, (buffer, *map(self.as_index, index)), (), buffer.dtype, ())

    def as_index(self, value: Any) -> Node:
        """An int as a node."""
        return value if isinstance(value, Node) else self.number(int(value))

    def find(self, length: Any) -> Any:
        """The representative of a length: lengths known or assumed equal have one."""
        while isinstance(length, Node) and length in self.same:
            length = self.same[length]
        return length.value if isinstance(length, Node) and length.is_number else length

    def equal_lengths(self, a: Any, b: Any) -> bool:
        """Whether two lengths are known to be equal."""
        return bool(self.find(a) == self.find(b))

    def unify(self, a: Any, b: Any) -> None:
        """From now on `a` and `b` count as equal; a number wins as the representative."""
        a, b = self.find(a), self.find(b)
        if a is b or a == b:
            return
        if isinstance(a, Node) and (not isinstance(b, Node) or b.serial < a.serial):
            self.same[a] = b
        elif isinstance(b, Node):
            self.same[b] = a

    def scalar_op(self, name: str | Op, *operands: Node, dtype: str | None = None) -> Node:
        """A 0-d elementwise op, folded and simplified; a user's function is left to the call."""
        op = name if isinstance(name, Op) else OPS[name]
        if dtype is None:
            assert op.dtype is not None
            dtype = op.dtype([v.dtype for v in operands])
        if all(v.is_number for v in operands) and op.user is None:
            values = [np.dtype(v.dtype).type(v.value) for v in operands]
            with np.errstate(all="ignore"):
                return self.number(reference(op, values, {}, dtype), dtype)
        return self.make("op", op, operands, (), dtype, ())

    def integer(self, name: str, *operands: Any) -> Any:
        """Arithmetic on lengths and indices: ints and int64 nodes in, an int (when known) or a node out.

        The elements of generated arrays (arange, one_hot) may be floats; then the result has their dtype.
        """
        floats = [v.dtype for v in operands if isinstance(v, Node) and v.dtype in FLOATS]
        if floats:
            return self._real(name, operands, promote(floats))
        nodes = [self._whole(v) for v in operands]
        if all(v.is_number for v in nodes):
            # `int` loses nothing here; a comparison stays a bool for `dims.where`
            return self.scalar_op(name, *nodes).value
        simpler = simplified(self, name, nodes)
        if simpler is None:
            return self.scalar_op(name, *nodes)
        return simpler.value if isinstance(simpler, Node) and simpler.is_number else simpler

    def _whole(self, value: Any) -> Node:
        """An operand of index arithmetic, which is in int64; conditions of `where` stay bool."""
        if isinstance(value, bool):
            return self.number(value, "bool")
        node = self.as_index(self.find(value))
        return node if node.dtype == "bool" else self.cast(node, "int64")

    def _real(self, name: str, operands: Sequence[Any], dtype: str) -> Node:
        nodes = [
            v if isinstance(v, Node) else self.number(v, "bool" if isinstance(v, bool) else dtype) for v in operands
        ]
        return self.scalar_op(name, *(v if v.dtype == "bool" else self.cast(v, dtype) for v in nodes))

    def cast(self, node: Node, dtype: str) -> Node:
        """`node` converted to `dtype`."""
        if node.dtype == dtype:
            return node
        if node.is_number:
            return self.number(np.dtype(node.dtype).type(node.value).astype(dtype), dtype)
        return self.make("op", CAST, (node,), (("dtype", dtype),), dtype, node.dims)


class Scan:
    """The nodes of a loop's placeholders and of what a step computes of them, by its variables.

    step, states: the leaves. number: the scan's, which those within it carry; that of an inner scan is larger. idle: a
    condition that says that there are no steps, where none of their conditions on lengths need hold then; else None.
    """

    def __init__(self, graph: Graph, loop: Loop) -> None:
        self.loop, self.number = loop, len(graph.scans)
        graph.scans.append(self)
        self.step = graph.make("step", None, (), (self.number,), "int64", ())
        self.states: dict[int, Node] = {}
        self.nodes: dict[Variable, Node] = {}
        self.idle: Node | None = None


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


class Requirement:
    """A condition on lengths that the program checks before it runs.

    kind: "equal" (else an error), "assume" (else this variant of the program does not apply), "nonempty", "at_least",
    "broadcast" (b is a or a is 1), "fits" (a is at most b, so that an array is not too large). node: what needs it, or
    the operands, a tuple. key: by which an assumption is known in other builds. lines: of the user's, that need it.
    idle: of an assumption, whether calls may be right in which it does not hold, whatever the lengths are.
    """

    __slots__ = ("a", "b", "idle", "key", "kind", "lines", "message", "node", "shapes")

    def __init__(self, kind: str, a: Any, b: Any, message: str, node: Any, key: Any = None, idle: bool = False) -> None:
        self.kind, self.a, self.b, self.message, self.node, self.key = kind, a, b, message, node, key
        self.idle = idle
        # as they are now: later, lengths that this condition makes equal count as one
        self.shapes = {v: v.dims for v in involved(node)}
        self.lines: tuple[SourceLine, ...] = ()


def involved(node: Any) -> list[Node]:
    """The arrays that a condition is about: the operands of what needs it, in their order."""
    if isinstance(node, tuple):
        operands = [v for v in node if isinstance(v, Node)]
    elif node is None:
        operands = []
    else:
        operands = [v for v in node.inputs if v.dims] if node.op is not None else [node]
    return list(dict.fromkeys(operands))


def topological(
    outputs: Iterable[Node],
    known: Container[Node] = (),
    inputs: Callable[[Node], Sequence[Node]] = attrgetter("inputs"),
) -> list[Node]:
    """Every ancestor of `outputs` through inputs (not through lengths), inputs first; `known` ones and what only they
    need are left out."""
    done: dict[Node, None] = {}
    for output in outputs:
        stack = [(output, False)]
        while stack:
            node, ready = stack.pop()
            if node in done or node in known:
                continue
            if ready:
                done[node] = None
                continue
            stack.append((node, True))
            stack.extend((v, False) for v in reversed(inputs(node)) if v not in done)
    return list(done)


def found(length: Any) -> Any:
    """The representative of a length, see `Graph.find`."""
    return length.graph.find(length) if isinstance(length, Node) else length


def loops_of(graph: Graph, lengths: Sequence[Any]) -> tuple[Any, ...]:
    """The lengths that need a loop: all but those known to be 1."""
    return tuple(n for n in map(graph.find, lengths) if not (isinstance(n, int) and n == 1))


__all__ = ["LEAVES", "MAX_FOLDED", "Graph", "Node", "Requirement", "found", "loops_of", "topological"]

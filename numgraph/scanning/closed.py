"""Makes a closed loop of an open graph: what does not depend on the step is computed outside, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from numgraph.graph import Constant, Variable, toposort
from numgraph.op import Op
from numgraph.ops.loop import Loop
from numgraph.scanning.lean import kept
from numgraph.stable.engine import stabilised
from numgraph.substitution import replaced
from numgraph.types import TensorType


@dataclass
class Open:
    """A loop that is being made, still with variables of the outside.

    steps: how many. sequences, states, invariants: (placeholder, what stands for it). nexts: of each state. values:
    what results are wanted of. See `ops.loop.Loop`.
    """

    steps: Variable
    sequences: list[tuple[Variable, Variable]]
    states: list[tuple[Variable, Variable]]
    nexts: list[Variable]
    values: list[Variable] = field(default_factory=list)
    until: Variable | None = None
    name: str = ""
    truncate: int | None = None
    lazy: bool = False
    checkpoint: int | None = None
    recompute: bool = False
    invariants: list[tuple[Variable, Variable]] = field(default_factory=list)

    @property
    def placeholders(self) -> list[Variable]:
        """Those that there are so far."""
        return [p for p, _ in (*self.sequences, *self.states, *self.invariants)]

    @property
    def roots(self) -> list[Variable]:
        """All that a step computes."""
        return [*self.nexts, *self.values, *([self.until] if self.until is not None else [])]


@dataclass(frozen=True)
class Closed:
    """A loop with what stands for its placeholders, behind the number of steps. values: as they were asked for."""

    loop: Loop
    operands: tuple[Variable, ...]
    values: tuple[Variable, ...]


def placeholder(like: Variable, name: str | None = None, row: bool = False) -> Variable:
    """What stands for a variable inside of a loop. row: for one of its elements along axis 0."""
    return Variable(TensorType(like.type.dtype, like.type.shape[1 if row else 0 :]), name, line=like.line)


def dependent(roots: Iterable[Variable], placeholders: Iterable[Variable]) -> set[int]:
    """The ids of the variables of `roots` that depend on placeholders, themselves included."""
    inner = {id(p) for p in placeholders}
    for node in toposort(roots):
        if any(id(v) in inner for v in node.inputs):
            inner.add(id(node))
    return inner


def outer(roots: Sequence[Variable], inner: set[int]) -> list[Variable]:
    """The variables of the outside that a loop reads, each once; constants stay inside."""
    found: dict[int, Variable] = {}
    for node in toposort(roots, stop=[]):
        if id(node) in inner:
            found.update((id(v), v) for v in node.inputs if id(v) not in inner)
    found.update((id(v), v) for v in roots if id(v) not in inner)
    return [v for v in found.values() if not isinstance(v, Constant)]


def is_costly(op: Op | None) -> bool:
    """Whether an op takes more than what one element of its result takes."""
    return op is not None and not (op.scalar or op.element or op.reshape)


def lazily(roots: Sequence[Variable], inner: set[int]) -> list[Variable]:
    """As `outer` for a loop that may have no steps. What is costly, or may fail, belongs to the loop, also where it is
    made of constants alone: those are read as if they came from outside. `inner` gets what depends on them."""
    nodes = toposort(roots)
    varying = inner | dependent(roots, [v for v in nodes if v.op is None and not isinstance(v, Constant)])
    read: dict[int, Variable] = {}
    for node in nodes:
        if id(node) not in varying and is_costly(node.op):
            read.update((id(v), v) for v in node.inputs if v.ndim)
    for node in nodes:
        if any(id(v) in inner or id(v) in read for v in node.inputs):
            inner.add(id(node))
            read.pop(id(node), None)
    return [*read.values(), *(v for v in outer(roots, inner) if id(v) not in read)]


def closed(graph: Open) -> Closed:
    """The loop of a graph, in stable form. Gradients within a step keep what they need."""
    roots = stabilised(kept(graph.roots), graph.placeholders)
    inner = dependent(roots, graph.placeholders)
    stands = {v: placeholder(v, v.name) for v in (outer(roots, inner) if not graph.lazy else lazily(roots, inner))}
    invariants = [*graph.invariants, *((p, v) for v, p in stands.items())]
    roots = replaced(roots, stands)
    states = [p for p, _ in graph.states]
    nexts, values = roots[: len(states)], roots[len(states) :]
    until = values.pop() if graph.until is not None else None
    loop = Loop(
        [p for p, _ in graph.sequences], states, [p for p, _ in invariants], nexts, until, graph.name, graph.truncate,
        lazy=graph.lazy, checkpoint=graph.checkpoint, recompute=graph.recompute,
    )  # fmt: skip
    sources = [v for _, v in (*graph.sequences, *graph.states, *invariants)]
    return Closed(loop, (graph.steps, *sources), tuple(values))

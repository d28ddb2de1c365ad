"""What lengths, and other integers of the plan, are read from.

A length such as the number of true elements of a mask is an expression over a `load` of the node that counts them. When
a rewrite replaces that node, or the schedule gives it a copy to work in, the length must be read from the replacement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numgraph.ir import LEAVES, Graph, Node, topological


def read_for(values: Iterable[Any]) -> list[Node]:
    """The arrays of which elements are read for lengths and other integers, each once."""
    nodes = scalar_nodes(v for v in values if isinstance(v, Node) and v.reads)
    return list(dict.fromkeys(v.inputs[0] for v in nodes if v.kind == "load"))


def computed_sources(lengths: Iterable[Any]) -> list[Node]:
    """The computed nodes that lengths are read from, each once."""
    return [v for v in read_for(lengths) if v.kind not in LEAVES]


def made_in_steps(number: Any) -> bool:
    """Whether a number depends on what a step of a scan computes, so that no plan knows it."""
    if not isinstance(number, Node) or not number.reads or not number.within:
        return False
    return any(v.kind == "state" or (v.kind not in LEAVES and v.within) for v in read_for([number]))


def scalar_nodes(roots: Iterable[Node]) -> list[Node]:
    """Every scalar node below `roots`, inputs first; a load counts its index, not its buffer. What the plan works out
    from lengths and arguments is one node, however long it is."""
    return topological(roots, inputs=_scalar_inputs)


def _scalar_inputs(node: Node) -> Sequence[Node]:
    if node.planned and not node.reads and node.dtype == "int64":
        return ()
    return node.inputs[1:] if node.kind == "load" else node.inputs


def varies(number: Any) -> bool:
    """Whether a number depends on an argument's value or on elements of arrays, rather than on lengths alone."""
    nodes = topological([number]) if isinstance(number, Node) else []
    return any(v.kind in ("scalar", "load", "step") for v in nodes)


def length_sources(graph: Graph, nodes: Iterable[Node]) -> list[Node]:
    """The computed nodes that lengths of `nodes` and of their ancestors are read from."""
    return computed_sources(map(graph.find, (n for node in topological(nodes) for n in node.dims)))


class Mover:
    """Rebuilds lengths for one replacement of nodes: `moved(node)` is what stands for a node now."""

    def __init__(self, graph: Graph, moved: Callable[[Node], Node]) -> None:
        self.graph = graph
        self.moved = moved
        self.known: dict[Node, Node] = {}

    def length(self, length: Any) -> Any:
        """The length as it is read now."""
        return self.graph.find(self.as_written(self.graph.find(length)))

    def as_written(self, length: Any) -> Any:
        """The very expression, moved: a condition compares two lengths that count as equal elsewhere."""
        if not isinstance(length, Node) or not length.reads:
            return length
        for node in scalar_nodes([length]):
            if node not in self.known:
                self.known[node] = self._rebuilt(node)
        return self.known[length]

    def _rebuilt(self, node: Node) -> Node:
        if node.kind == "extent":
            return node
        inputs = [self.known.get(v, v) for v in node.inputs]
        if node.kind == "load" and node.inputs[0].kind not in LEAVES:
            inputs[0] = self.moved(node.inputs[0])
            if inputs[0].is_number:
                # what was read is known since lengths are taken for numbers
                return inputs[0]
        if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            return node
        if node.op is not None and not node.attrs and all(v.is_number for v in inputs):
            return self.graph.scalar_op(node.op, *inputs, dtype=node.dtype)
        return self.graph.make(node.kind, node.op, inputs, node.attrs, node.dtype, node.dims)

    def _states(self, node: Node) -> Iterable[Node]:
        """The states of a scan, by a result of it: also those that no step reads, so that nothing leads to them."""
        if node.op is None or not node.op.loop:
            return ()
        states: Iterable[Node] = self.graph.scans[node.attributes["scan"]].states.values()
        return states

    def apply(self, roots: Iterable[Node]) -> None:
        """Move the lengths of every node that the roots need, lengths' own sources included."""
        done: set[Node] = set()
        frontier = list(roots)
        while frontier:
            sources: list[Node] = []
            for node in topological(frontier):
                if node in done:
                    continue
                done.add(node)
                for v in (node, *self._states(node)):
                    self.graph.lengths[v] = tuple(map(self.length, v.dims))
                    sources += read_for(v.dims)
            frontier = [v for v in dict.fromkeys(sources) if v not in done]

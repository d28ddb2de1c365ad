"""Lengths that depend on computed data follow the nodes that they are read from.

A length such as the number of true elements of a mask is an expression over a `load` of the node that counts them. When
a rewrite replaces that node, or the schedule gives it a copy to work in, the length must be read from the replacement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from numgraph.ir import LEAVES, Graph, Node, topological
from numgraph.schedule.items import computed_sources, read_for, scalar_nodes


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
        if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            return node
        return self.graph.make(node.kind, node.op, inputs, node.attrs, node.dtype, node.dims)

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
                self.graph.lengths[node] = tuple(map(self.length, node.dims))
                sources += read_for(node.dims)
            frontier = [v for v in dict.fromkeys(sources) if v not in done]

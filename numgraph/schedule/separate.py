"""Results of a scan are made together; one that varies with other steps than the rest gets a scan of its own.

Results that look at different operands of a loop have different scans from the start, see `rewrite.scans`. But rules
may find that a value does not depend on what it looked at. It is then made before the steps around the scan, and read
where they are over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.ir import Graph, Node, Scan, topological

Checks = Sequence[tuple[Node, Node, Any]]


def separated(graph: Graph, roots: Sequence[Node], ranges: Checks) -> tuple[dict[Node, Node], Checks]:
    """What stands for nodes so that all results of a scan vary with the same steps, as far as one scan that does not
    show that; and the index checks, with those of the new nodes. Nothing stands for anything where that holds."""
    nodes = topological(roots)
    odd = _odd(nodes)
    if not odd:
        return {}, ranges
    again = _Again(graph, odd)
    new = {node: again.made[node] for node in odd}
    for node in nodes:
        if node not in new and any(v in new for v in node.inputs):
            new[node] = graph.with_inputs(node, [new.get(v, v) for v in node.inputs])
    more = [(again.made[n], again.made.get(i, i), length) for n, i, length in ranges if n in again.made]
    return new, [*ranges, *more]


def _odd(nodes: Sequence[Node]) -> list[Node]:
    """Results of one scan that vary with the steps of fewer scans than another of its results."""
    found: dict[int, dict[frozenset[int], list[Node]]] = {}
    for node in nodes:
        if node.op is not None and node.op.loop:
            found.setdefault(node.attributes["scan"], {}).setdefault(node.within, []).append(node)
    mixed = next((groups for groups in found.values() if len(groups) > 1), None)
    return min(mixed.items(), key=lambda group: (len(group[0]), sorted(group[0])))[1] if mixed else []


class _Again:
    """Results of a scan, and what its steps compute for them, made once more in a scan of their own. made: by node."""

    def __init__(self, graph: Graph, results: Sequence[Node]) -> None:
        self.graph = graph
        self.made: dict[Node, Node] = {}
        self.scans: dict[int, Scan] = {}
        nodes = topological(results)
        # outer scans first, which have the smaller numbers
        for node in reversed(nodes):
            if node.op is not None and node.op.loop and (node in results or self._varies(node)):
                self._scan(node.attributes["scan"])
        for node in nodes:
            if node in self.made or not (node in results or self._varies(node)):
                continue
            inputs = [self.made.get(v, v) for v in node.inputs]
            self.made[node] = graph.with_inputs(node, inputs, self._attributes(node))

    def _varies(self, node: Node) -> bool:
        """Whether a node varies with the steps of a scan that is made again."""
        return not node.within.isdisjoint(self.scans)

    def _scan(self, number: int) -> None:
        if number in self.scans:
            return
        old = self.graph.scans[number]
        new = self.scans[number] = Scan(self.graph, old.loop)
        new.idle = old.idle
        self.made[old.step] = new.step
        for k, state in old.states.items():
            new.states[k] = self.graph.with_inputs(state, (), (new.number, k))
            self.made[state] = new.states[k]

    def _attributes(self, node: Node) -> tuple[Any, ...]:
        if node.op is None or not node.op.loop:
            return node.attrs
        number = self.scans[node.attributes["scan"]].number
        return tuple((key, number if key == "scan" else value) for key, value in node.attrs)

"""Conditions on lengths that are computed: whatever follows from such lengths runs after the plan that checks them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from numgraph.ir import Graph, Node
from numgraph.lengths.known import undecided
from numgraph.lengths.sources import computed_sources
from numgraph.schedule.tasks import Task


class LateConditions:
    """The conditions of a program that wait for computed nodes, its sources; asked for each task in order."""

    def __init__(self, graph: Graph) -> None:
        waits = [frozenset(computed_sources((r.a, r.b))) for r in undecided(graph)]
        self.waits = list(dict.fromkeys(filter(None, waits)))
        self.sources = frozenset().union(*self.waits)
        # the sources that a node is made of, itself included
        self.made_of: dict[Node, frozenset[Node]] = {}

    def stage(self, task: Task, reads: Iterable[Node], stages: Mapping[Node, int]) -> int:
        """The first stage in which a task that reads these nodes may run: after the plan that checks the lengths that
        it follows from."""
        if not self.waits:
            return 0
        found = frozenset().union(*(self.made_of.get(v, frozenset()) for v in reads))
        for node in task.written:
            self.made_of[node] = found | (self.sources & {node})
        return max((1 + max(stages[v] for v in wait) for wait in self.waits if wait <= found), default=0)

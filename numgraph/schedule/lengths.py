"""The lengths of one call as numbers, as far as they are known before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numgraph.ir import Graph, Node
from numgraph.rewrite.values import Values
from numgraph.schedule.bounds import full_length


class Lengths(Values):
    """`lengths(n)`: the number that a length (or another integer of the plan) is, None where only a call tells.

    leaf: the array of an input, shared variable or constant, None where there is none yet. A window `s[i*B:(i+1)*B]`
    whose place is not known counts with its full length B; lengths that the program is compiled for as equal count as
    equal.
    """

    def __init__(self, graph: Graph, leaf: Callable[[Node], Any | None]) -> None:
        super().__init__(leaf)
        self.graph = graph

    def __call__(self, length: Any) -> Any | None:
        """The number, or None."""
        return super().__call__(self.graph.find(length))

    def value(self, node: Node) -> Any | None:
        """As `Values.value`, or the number that the node is taken for."""
        found = super().value(node)
        if found is not None or node.dims or node.depth or node.dtype != "int64":
            return found
        same = self.graph.find(node)
        if same is not node:
            return self(same)
        return full_length(self.graph, node)

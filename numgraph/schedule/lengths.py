"""The lengths of one call as numbers, as far as they are known before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numgraph.ir import LEAVES, Graph, Node
from numgraph.op import reference
from numgraph.schedule.bounds import full_length
from numgraph.schedule.items import scalar_nodes


class Lengths:
    """`lengths(n)`: the number that a length (or another integer of the plan) is, None where only a call tells.

    leaf: the array of an input, shared variable or constant, None where there is none yet. A window `s[i*B:(i+1)*B]`
    whose place is not known counts with its full length B.
    """

    def __init__(self, graph: Graph, leaf: Callable[[Node], Any | None]) -> None:
        self.graph = graph
        self.leaf = leaf
        self.known: dict[Node, int | None] = {}

    def __call__(self, length: Any) -> int | None:
        """The number, or None."""
        length = self.graph.find(length)
        if not isinstance(length, Node):
            return int(length)
        if length not in self.known:
            for node in scalar_nodes([length]):
                if node not in self.known:
                    found = self._value(node)
                    self.known[node] = full_length(self.graph, node) if found is None and not node.depth else found
        return self.known[length]

    def _value(self, node: Node) -> Any | None:
        if node.is_number:
            return node.value
        found = self.graph.find(node)
        if found is not node and found in self.known:
            return self.known[found]
        if node.kind in ("extent", "scalar", "load"):
            return self._read(node)
        values = [self.known[v] for v in node.inputs]
        if node.op is None or not node.op.scalar or None in values:
            return None
        typed = [np.dtype(v.dtype).type(x) for v, x in zip(node.inputs, values, strict=True)]
        return reference(node.op, typed, node.attributes, node.dtype).item()

    def _read(self, node: Node) -> Any | None:
        """A length or an element of an array that is there already."""
        source = node if node.kind == "scalar" else node.inputs[0]
        array = self.leaf(source) if source.kind in LEAVES else None
        if array is None:
            return None
        if node.kind != "load":
            return array.shape[node.attrs[0]] if node.kind == "extent" else array.item()
        index = tuple(self.known[v] for v in node.inputs[1:])
        if None in index:
            return None
        elements = array.reshape(-1) if node.attrs else array
        inside = all(-n <= i < n for i, n in zip(index, elements.shape, strict=True) if i is not None)
        return elements[index].item() if inside else None

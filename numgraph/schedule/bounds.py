"""How long a length can be: a window `s[i*B:(i+1)*B]` is B long unless the end of its array cuts it short."""

from __future__ import annotations

from typing import Any

from numgraph.ir import Graph, Node

# Additions and the like in the bounds of what is looked at as a window.
MAX_STEPS = 64


def full_length(graph: Graph, length: Any) -> int | None:
    """The number that a length is, or that a window is long unless the end of its array cuts it short."""
    length = graph.find(length)
    if isinstance(length, int):
        return length
    if length.name == "maximum" and length.inputs[1].is_number and length.inputs[1].value == 0:
        return full_length(graph, length.inputs[0])
    if length.name == "sub":
        return _constant_difference(*map(_as_written, length.inputs))
    return None


def _as_written(bound: Node) -> Node:
    """A bound of a slice before the end of its array cuts it short."""
    if bound.name == "minimum" and bound.inputs[1].is_number:
        return bound.inputs[1]
    return bound.inputs[0] if bound.name == "slice_bound" else bound


def _constant_difference(end: Node, start: Node) -> int | None:
    """end - start, where that is a natural number whatever they are made of."""
    # places of nodes that were made later come first, so that each is met once, with all that is to be added to it
    factors = {end: 1}
    factors[start] = factors.get(start, 0) - 1
    rest = 0
    for _ in range(MAX_STEPS):
        factors = {node: factor for node, factor in factors.items() if factor}
        if not factors:
            return rest if rest >= 0 else None
        node = max(factors, key=lambda v: v.serial)
        factor = factors.pop(node)
        if node.is_number:
            rest += factor * int(node.value)
            continue
        if node.name in ("add", "sub"):
            parts = [(node.inputs[0], 1), (node.inputs[1], 1 if node.name == "add" else -1)]
        elif node.name == "mul" and node.inputs[1].is_number:
            parts = [(node.inputs[0], int(node.inputs[1].value))]
        else:
            return None
        for part, sign in parts:
            factors[part] = factors.get(part, 0) + sign * factor
    return None


def varies(length: Any) -> bool:
    """Whether a number depends on an argument's value or on elements of arrays, rather than on lengths alone."""
    waiting = [length] if isinstance(length, Node) else []
    seen: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node.kind in ("scalar", "load"):
            return True
        seen.add(node)
        waiting += () if node.kind == "extent" else [v for v in node.inputs if v not in seen]
    return False

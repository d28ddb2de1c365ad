"""How long a length can be: a window `s[i*B:(i+1)*B]` is B long unless the end of its array cuts it short."""

from __future__ import annotations

from typing import Any

from numgraph.ir import Graph, Node


def full_length(graph: Graph, length: Any) -> int | None:
    """The number that a length is, or that a window is long unless the end of its array cuts it short."""
    length = graph.find(length)
    if isinstance(length, int):
        return length
    if length.name == "maximum" and length.inputs[1].is_number and length.inputs[1].value == 0:
        return full_length(graph, length.inputs[0])
    if length.name == "sub":
        ends = [v.inputs[0] if v.name == "slice_bound" else v for v in length.inputs]
        terms: dict[Node | None, int] = {}
        _collect(ends[0], 1, terms)
        _collect(ends[1], -1, terms)
        rest = terms.pop(None, 0)
        return rest if rest >= 0 and not any(terms.values()) else None
    return None


def varies(length: Any) -> bool:
    """Whether a number depends on an argument's value or on elements of arrays, rather than on lengths alone."""
    waiting = [length] if isinstance(length, Node) else []
    while waiting:
        node = waiting.pop()
        if node.kind in ("scalar", "load"):
            return True
        waiting += () if node.kind == "extent" else node.inputs
    return False


def _collect(node: Node, factor: int, terms: dict[Node | None, int]) -> None:
    """Add `factor * node` to a linear combination; the key None holds the constant."""
    if node.is_number:
        terms[None] = terms.get(None, 0) + factor * int(node.value)
    elif node.name in ("add", "sub"):
        _collect(node.inputs[0], factor, terms)
        _collect(node.inputs[1], factor if node.name == "add" else -factor, terms)
    elif node.name == "mul" and node.inputs[1].is_number:
        _collect(node.inputs[0], factor * int(node.inputs[1].value), terms)
    else:
        terms[node] = terms.get(node, 0) + factor

"""Pieces of memory whose places and sizes are expressions of lengths: whether they overlap, whatever the lengths are.

A number is looked at as a sum of multiples of sizes that are not known, none of which is negative. So a sum without
negative factors is not negative. No nodes are made.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from numgraph.ir import Node

# For each size that is not known, its factor; with the key None what is known.
Terms = dict[Node | None, int]

# A size for each that is not known, to put pieces in order.
SAMPLE = 1 << 20


class Pieces:
    """Compares pieces, offset and size each; remembers what each expression is made of."""

    def __init__(self) -> None:
        self.known: dict[Node, Terms] = {}

    def terms(self, number: Any) -> Terms:
        """The multiples that a number is the sum of."""
        if not isinstance(number, Node):
            return {None: int(number)}
        waiting = [number]
        while number not in self.known:
            node = waiting[-1]
            inside = _parts(node)
            open_parts = [v for v, _ in inside if isinstance(v, Node) and v is not node and v not in self.known]
            if open_parts:
                waiting += open_parts
                continue
            self.known[node] = self._sum(inside) if inside[0][0] is not node else {node: 1}
            waiting.pop()
        return self.known[number]

    def _sum(self, parts: Iterable[tuple[Any, int]]) -> Terms:
        total: Terms = {}
        for number, factor in parts:
            for key, value in self.terms(number).items():
                total[key] = total.get(key, 0) + factor * value
        return total

    def in_order(self, *numbers: Any) -> bool:
        """Whether the first of two numbers, and others that are added to it, are not larger than the last one."""
        *first, last = numbers
        return all(value >= 0 for value in self._sum([(last, 1), *((n, -1) for n in first)]).values())

    def apart(self, a: tuple[Any, Any], b: tuple[Any, Any]) -> bool:
        """Whether two pieces do not overlap."""
        return self.in_order(*a, b[0]) or self.in_order(*b, a[0])

    def all_apart(self, pieces: Iterable[tuple[Any, Any]]) -> bool:
        """Whether each of different pieces ends before the next one begins, in some order."""
        ordered = sorted(pieces, key=lambda piece: self._at_sample(piece[0]))
        return all(self.in_order(*a, b[0]) for a, b in pairwise(ordered))

    def _at_sample(self, number: Any) -> int:
        return sum(factor if key is None else factor * SAMPLE for key, factor in self.terms(number).items())


def _parts(node: Node) -> list[tuple[Any, int]]:
    """(number, factor) of a sum or a multiple; the node itself where it is neither."""
    if node.is_number:
        return [(node.value, 1)]
    if node.name in ("add", "sub"):
        return [(node.inputs[0], 1), (node.inputs[1], 1 if node.name == "add" else -1)]
    if node.name == "mul" and node.inputs[1].is_number:
        return [(node.inputs[0], node.inputs[1].value)]
    return [(node, 1)]

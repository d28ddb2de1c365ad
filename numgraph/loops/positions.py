"""Where elements lie: the position in a buffer as a part that no loop changes, and one that varies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.ir import Node
from numgraph.loops.notes import sign_of
from numgraph.schedule.buffers import memory_of
from numgraph.schedule.neighbours import position_among
from numgraph.schedule.plan import Schedule


def position(schedule: Schedule, buffer: Node, index: Sequence[Node], flat: bool) -> tuple[Any, Any]:
    """Where an element is in its buffer, in elements: (what no loop changes, what varies). flat: `index` is it."""
    graph = schedule.graph
    place = memory_of(schedule.buffers, buffer)
    if flat:
        found: Any = index[0]
    elif place is None:
        found = position_among([graph.find(n) for n in buffer.dims], index)
    else:
        lengths, at = list(place.lengths(graph)), [index[a] for a in place.axes]
        if place.rows:
            # the first axis comes last
            lengths, at = [*lengths[1:], place.rows], [*at[1:], at[0]]
        found = position_among(lengths, at)
    return split(graph.as_index(found))


def split(node: Node) -> tuple[Any, Any]:
    """A position as (part that no loop changes, part that varies)."""
    if node.depth == 0:
        return (node.value if node.is_number else node), 0
    sign = sign_of(node)
    if sign in ("+", "-"):
        (a, b), (c, d) = (split(v) for v in node.inputs)
        return (a + c, b + d) if sign == "+" else (a - c, b - d)
    if sign == "*":
        left, right = node.inputs
        if right.depth:
            left, right = right, left
        if right.depth == 0:
            factor = right.value if right.is_number else right
            fixed, moving = split(left)
            return fixed * factor, moving * factor
    return 0, node

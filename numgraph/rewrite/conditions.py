"""Which conditions on lengths are known to hold, so that no code checks them."""

from __future__ import annotations

from typing import Any

from numgraph.ir import Graph, Node, Requirement

# Kinds of conditions that need not hold of an array that nothing computes.
OF_ELEMENTS = ("fits", "at_least")


def lowest(length: Any) -> int | None:
    """A number that a length or index is known to be at least; None where none is known."""
    return length if isinstance(length, int) else length.lowest


def holds(graph: Graph, kind: str, a: Any, b: Any) -> bool:
    """Whether a condition (see `ir.Requirement`) is known to hold: by numbers, by equal lengths, by lower bounds."""
    a, b = graph.find(a), graph.find(b)
    if isinstance(a, int) and isinstance(b, int):
        return {
            "equal": a == b, "assume": a == b, "nonempty": a >= 1, "at_least": a >= b,
            "broadcast": a in (1, b) or b == 1, "range": -b <= a < b, "fits": a <= b,
        }[kind]  # fmt: skip
    equal = graph.equal_lengths(a, b)
    if kind in ("equal", "assume"):
        return equal
    if kind == "broadcast":
        return equal or (isinstance(a, int) and a == 1) or (isinstance(b, int) and b == 1)
    if kind == "range":
        return isinstance(a, int) and _at_least(b, a + 1 if a >= 0 else -a)
    if kind == "nonempty":
        return _at_least(a, 1)
    if kind == "fits":
        return False
    return equal or (isinstance(b, int) and _at_least(a, b)) or _exceeds(graph, a, b)


def _at_least(length: Any, least: int) -> bool:
    bound = lowest(length)
    return bound is not None and bound >= least


def _exceeds(graph: Graph, a: Any, b: Any) -> bool:
    """Whether a is b plus something that is not negative, or the larger of b and something."""
    if not isinstance(a, Node) or a.name not in ("add", "maximum"):
        return False
    for this, other in (a.inputs, reversed(a.inputs)):
        if graph.equal_lengths(this, b) and (a.name == "maximum" or _at_least(other, 0)):
            return True
    return False


def undecided(graph: Graph) -> list[Requirement]:
    """The conditions that code must check: each once, none that is known to hold.

    Lengths that are assumed or required to be equal count as equal here, since that is checked by itself.
    """
    found: dict[Any, Requirement] = {}
    for r in graph.requirements:
        if r.kind not in ("equal", "assume") and holds(graph, r.kind, r.a, r.b):
            continue
        found.setdefault((r.kind, r.a, r.b), r)
    return list(found.values())

"""Identities of integer arithmetic, exact for every value, and lower bounds: the algebra of lengths and indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Those of `ir`, which stands on this.
Graph = Any
Node = Any


def simplified(graph: Graph, name: str, nodes: list[Node]) -> Any:
    """A simpler form of `name(*nodes)`, an int or a node; None where no identity applies."""
    rule = RULES.get(name)
    return rule(graph, *nodes) if rule else None


def lower_bound(node: Node) -> int | None:
    """What a new node is known to be at least, from the bounds of its inputs; None where nothing is known."""
    if node.is_number:
        return int(node.value)
    if node.kind in ("extent", "loop") or node.name == "slice_bound":
        return 0
    if node.name not in ("add", "mul", "floor_div", "minimum", "maximum", "where"):
        return None
    known: list[int | None] = [v.lowest for v in (node.inputs[1:] if node.name == "where" else node.inputs)]
    if node.name == "maximum":
        return max((n for n in known if n is not None), default=None)
    x, y = known
    if x is None or y is None:
        return None
    if node.name == "add":
        return x + y
    if node.name in ("minimum", "where"):
        return min(x, y)
    if x < 0 or y < 0:
        return None
    return 0 if node.name == "floor_div" else x * y


def _is_natural(node: Node) -> bool:
    bound: int | None = node.lowest
    return bound is not None and bound >= 0


def _is(node: Node, value: int) -> bool:
    return bool(node.is_number and node.value == value)


def _add(graph: Graph, a: Node, b: Node) -> Any:
    if _is(a, 0):
        return b
    if _is(b, 0):
        return a
    if a.is_number:
        a, b = b, a
    if b.is_number and a.name in ("add", "sub") and a.inputs[1].is_number:
        inner = a.inputs[1].value if a.name == "add" else -a.inputs[1].value
        return graph.integer("add", a.inputs[0], inner + b.value)
    # (x - y) + y
    if a.name == "sub" and a.inputs[1] is b:
        return a.inputs[0]
    if b.is_number and b.value < 0:
        return graph.scalar_op("sub", a, graph.number(-b.value))
    (x, j), (y, k) = _multiple(a), _multiple(b)
    # places in memory are sums of many equal sizes
    return graph.integer("mul", x, j + k) if x is y else None


def _multiple(node: Node) -> tuple[Node, int]:
    """The node as a multiple of another one."""
    if node.name == "mul" and node.inputs[1].is_number:
        return node.inputs[0], node.inputs[1].value
    return node, 1


def _sub(graph: Graph, a: Node, b: Node) -> Any:
    if _is(b, 0):
        return a
    if a is b:
        return 0
    if b.is_number:
        return graph.integer("add", a, -b.value) if b.value < 0 or a.name in ("add", "sub") else None
    if a.name == "add" and b in a.inputs:
        return a.inputs[1] if a.inputs[0] is b else a.inputs[0]
    return None


def _mul(graph: Graph, a: Node, b: Node) -> Any:
    if a.is_number:
        a, b = b, a
    if _is(b, 0):
        return 0
    if _is(b, 1):
        return a
    if b.is_number and a.name == "mul" and a.inputs[1].is_number:
        return graph.integer("mul", a.inputs[0], a.inputs[1].value * b.value)
    if a.is_number or not b.is_number or a is b:
        return None
    return graph.scalar_op("mul", a, b)


def _div(graph: Graph, a: Node, b: Node) -> Any:
    if _is(b, 1):
        return a
    if b.is_number and b.value > 0 and a.name == "mul" and a.inputs[1].is_number and a.inputs[1].value % b.value == 0:
        return graph.integer("mul", a.inputs[0], a.inputs[1].value // b.value)
    return None


def _minimum(graph: Graph, a: Node, b: Node) -> Any:
    if a is b or (_is(a, 0) and _is_natural(b)):
        return a
    if _is(b, 0) and _is_natural(a):
        return b
    if a.name == "minimum" and b in a.inputs:
        return a
    return None


def _maximum(graph: Graph, a: Node, b: Node) -> Any:
    if a is b or (_is(b, 0) and _is_natural(a)):
        return a
    if _is(b, 0) and a.name == "sub" and a.inputs[0].name == "maximum" and _is_natural(a.inputs[1]):
        # max(max(x, 0) - k, 0): slices of slices
        x, zero = a.inputs[0].inputs
        return graph.integer("maximum", graph.integer("sub", x, a.inputs[1]), 0) if _is(zero, 0) else None
    if _is(a, 0) and _is_natural(b):
        return b
    return None


def _slice_bound(graph: Graph, a: Node, b: Node) -> Any:
    """Of a[:m] with m = n // 2, m is never past the end."""
    half = a.name == "floor_div" and a.inputs[0] is b and a.inputs[1].is_number and a.inputs[1].value > 0
    return a if a is b or half else None


def _lt(graph: Graph, a: Node, b: Node) -> Any:
    if a is b or (_is(b, 0) and _is_natural(a)):
        return False
    return None


def _eq(graph: Graph, a: Node, b: Node) -> Any:
    if a is b:
        return True
    if a.is_number:
        a, b = b, a
    return False if b.is_number and a.lowest is not None and a.lowest > b.value else None


def _where(graph: Graph, c: Node, a: Node, b: Node) -> Any:
    if c.is_number:
        return a if c.value else b
    return a if a is b else None


RULES: dict[str, Callable[..., Any]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "floor_div": _div,
    "minimum": _minimum,
    "maximum": _maximum,
    "slice_bound": _slice_bound,
    "lt": _lt,
    "eq": _eq,
    "where": _where,
}

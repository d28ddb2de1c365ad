"""The algebra of lengths and indices: identities, exact for every integer, and bounds, also of what wraps around."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numgraph.lengths.dims import MOST_BYTES
from numgraph.ops.loop import COUNT

# Those of `ir`, which stands on this.
Graph = Any
Node = Any

# The operations whose operands may change places.
COMMUTATIVE = frozenset({"add", "mul", "minimum", "maximum", "eq"})

# Bounds of an int64; and of a size of which lengths are factors, or a few of them terms.
LOW, HIGH = -(1 << 63), (1 << 63) - 1
MOST = MOST_BYTES << 8

# At least and at most.
Bounds = tuple[int, int]


def _bounds_of_product(x: Bounds, y: Bounds) -> Bounds:
    """A product of lengths is the size of an array, which has been counted (see `rewrite.sizes`); that of other numbers
    may be anything. What may be as large as a length, and not larger than some of them, is made of lengths."""
    if x[0] < 0 or y[0] < 0:
        return LOW, HIGH
    least, most = x[0] * y[0], x[1] * y[1]
    of_lengths = min(x[1], y[1]) >= MOST_BYTES and max(x[1], y[1]) <= MOST
    return (least, min(most, MOST)) if most > HIGH and of_lengths else (least, most)


# The bounds of a result before it wraps around, from those of its two operands.
BOUNDS: dict[str, Callable[[Bounds, Bounds], Bounds]] = {
    "add": lambda x, y: (x[0] + y[0], x[1] + y[1]),
    "sub": lambda x, y: (x[0] - y[1], x[1] - y[0]),
    "mul": _bounds_of_product,
    "floor_div": lambda x, y: (0, x[1]) if x[0] >= 0 and y[0] >= 0 else (LOW, HIGH),
    "minimum": lambda x, y: (min(x[0], y[0]), min(x[1], y[1])),
    "maximum": lambda x, y: (max(x[0], y[0]), max(x[1], y[1])),
    "mod": lambda x, y: (0, y[1] - 1) if y[0] >= 1 else (LOW, HIGH),
    "where": lambda x, y: (min(x[0], y[0]), max(x[1], y[1])),
    "slice_bound": lambda x, y: (0, max(y[1], 0)),
}


def simplified(graph: Graph, name: str, nodes: list[Node]) -> Any:
    """A simpler form of `name(*nodes)`, which are not all numbers, as an int or a node; None where no identity
    applies."""
    rule = RULES.get(name)
    if rule is None:
        return None
    return rule(graph, *(reversed(nodes) if name in COMMUTATIVE and nodes[0].is_number else nodes))


def bounds(node: Node) -> Bounds:
    """What a new node is known to be at least and at most, from the bounds of its inputs."""
    if node.is_number:
        return int(node.value), int(node.value)
    if node.kind in ("extent", "loop", "step"):
        return 0, MOST_BYTES
    if node.op is not None and node.op.conversion and node.inputs[0].dtype == "bool":
        return 0, 1
    if node.op is COUNT:
        # a condition ends a scan behind a step, and not before the first one
        steps = node.inputs[0]
        return (1 if steps.lowest >= 1 else 0), max(steps.highest, 0)
    if node.name not in BOUNDS:
        return LOW, HIGH
    # of `where` without the condition
    least, most = BOUNDS[node.name](*((v.lowest, v.highest) for v in node.inputs[-2:]))
    return (LOW, HIGH) if least < LOW or most > HIGH else (least, most)


def _wrapped(value: int) -> int:
    """A number as int64 has it: what is too large is refused elsewhere, by the length that it belongs to."""
    return (value - LOW) % (1 << 64) + LOW


def _reaches(node: Node, least: Node) -> bool:
    """Whether a node is known to be at least a number."""
    return bool(least.is_number and node.lowest >= least.value)


def _add(graph: Graph, a: Node, b: Node) -> Any:
    if b.is_number:
        return _shifted(graph, "add", a, b.value)
    # (x - y) + y
    if a.name == "sub" and a.inputs[1] is b:
        return a.inputs[0]
    (x, j), (y, k) = _multiple(a), _multiple(b)
    # places in memory are sums of many equal sizes
    return graph.integer("mul", x, _wrapped(j + k)) if x is y else None


def _sub(graph: Graph, a: Node, b: Node) -> Any:
    if b.is_number:
        return _shifted(graph, "sub", a, -b.value)
    if a is b:
        return 0
    if a.name == "add" and b in a.inputs:
        return a.inputs[1] if a.inputs[0] is b else a.inputs[0]
    return None


def _shifted(graph: Graph, name: str, node: Node, by: int) -> Any:
    """node + by, which is written as an addition or subtraction of a number."""
    if node.name in ("add", "sub") and node.inputs[1].is_number:
        inner = node.inputs[1].value
        return graph.integer("add", node.inputs[0], _wrapped(by + (inner if node.name == "add" else -inner)))
    if by == 0:
        return node
    if abs(by) > HIGH:
        return None
    other = "sub" if by < 0 else "add"
    return graph.integer(other, node, abs(by)) if other != name else None


def _multiple(node: Node) -> tuple[Node, int]:
    """The node as a multiple of another one."""
    if node.name == "mul" and node.inputs[1].is_number:
        return node.inputs[0], node.inputs[1].value
    return node, 1


def _mul(graph: Graph, a: Node, b: Node) -> Any:
    if not b.is_number:
        return None
    if b.value in (0, 1):
        return a if b.value else 0
    x, factor = _multiple(a)
    return graph.scalar_op("mul", a, b) if x is a else graph.integer("mul", x, _wrapped(factor * b.value))


def _div(graph: Graph, a: Node, b: Node) -> Any:
    x, factor = _multiple(a)
    if not b.is_number or b.value <= 0 or factor % b.value:
        return None
    return graph.integer("mul", x, factor // b.value) if b.value > 1 else a


def _minimum(graph: Graph, a: Node, b: Node) -> Any:
    if a is b or (a.name == "minimum" and b in a.inputs):
        return a
    return b if _reaches(a, b) else None


def _maximum(graph: Graph, a: Node, b: Node) -> Any:
    if a is b or _reaches(a, b):
        return a
    if b.is_number and b.value == 0 and a.name == "sub" and a.inputs[0].name == "maximum":
        # max(max(x, 0) - k, 0): slices of slices
        x, least = a.inputs[0].inputs
        if least is b and _reaches(a.inputs[1], b):
            return graph.integer("maximum", graph.integer("sub", x, a.inputs[1]), 0)
    return None


def _slice_bound(graph: Graph, a: Node, b: Node) -> Any:
    """Of a[:m] with m = n // 2, m is never past the end."""
    half = a.name == "floor_div" and a.inputs[0] is b and a.inputs[1].is_number and a.inputs[1].value > 0
    return a if a is b or half else None


def _lt(graph: Graph, a: Node, b: Node) -> Any:
    return False if a is b or _reaches(a, b) else None


def _before(graph: Graph, a: Node, b: Node) -> Any:
    return True if b.is_number and a.highest < b.value else _lt(graph, a, b)


def _eq(graph: Graph, a: Node, b: Node) -> Any:
    if a is b:
        return True
    return False if b.is_number and a.lowest > b.value else None


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
    "before": _before,
    "eq": _eq,
    "where": _where,
}

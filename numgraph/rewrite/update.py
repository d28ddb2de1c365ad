"""Updates of the form `w := beta * w + alpha * a @ b + ...` as products that write in place and store no gradient.

Weights that are used twice, as in an autoencoder whose second layer is the first one turned, have a gradient of two
products, one of them transposed: (a @ b).T is b.T @ a.T.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from numgraph.ir import Node, topological
from numgraph.op import Op
from numgraph.ops.elementwise import ADD, MUL
from numgraph.ops.shape import DIMSHUFFLE
from numgraph.patterns import match
from numgraph.rewrite.build import Builder
from numgraph.rewrite.engine import NODES
from numgraph.types import FLOATS

# What an update's expression is taken apart by.
FORMS = PLUS, MINUS, PRODUCT, NEGATIVE = [ast.parse(f, mode="eval").body for f in ("x + y", "x - y", "x * y", "-x")]
# How many sums and products of an update's expression are looked through.
MAX_TERMS = 24


def fuse_updates(
    builder: Builder, outputs: Sequence[Node], values: Sequence[Node], targets: Sequence[Node]
) -> list[Node]:
    """`values` with products merged into the update where nothing else needs the product."""
    users: dict[Node, int] = {}
    for node in topological([*outputs, *values]):
        for v in node.inputs:
            users[v] = users.get(v, 0) + 1
    for root in (*outputs, *values):
        users[root] = users.get(root, 0) + 1
    return [_fused(builder, value, target, users) for value, target in zip(values, targets, strict=True)]


def _fused(builder: Builder, value: Node, target: Node, users: dict[Node, int]) -> Node:
    if value.dtype not in FLOATS or value.dtype != target.dtype or len(value.dims) != 2:
        return value
    terms: list[tuple[list[Node], Node]] = []
    if not _collect(builder, value, [], terms, value.dims) or len(terms) < 2:
        return value
    products = [(factors, _product(builder, v, users)) for factors, v in terms if v is not target]
    found = [(factors, product) for factors, product in products if product is not None]
    if not found or len(found) < len(products) or len(products) == len(terms):
        return value
    one = builder.graph.number(1.0, value.dtype)

    def multiplied(parts: Sequence[Node]) -> Node:
        result = one
        for part in parts:
            result = builder.call(MUL, result, builder.graph.cast(part, value.dtype)) if result is not one else part
        return builder.graph.cast(result, value.dtype)

    beta = builder.graph.number(0.0, value.dtype)
    for parts, node in terms:
        if node is target:
            beta = builder.call(ADD, beta, multiplied(parts)) if not _is_zero(beta) else multiplied(parts)
    result = target
    for factors, (into, a, b) in found:
        result = builder.call(into, result, a, b, multiplied(factors), beta if result is target else one)
    return result


def _product(builder: Builder, node: Node, users: dict[Node, int]) -> tuple[Op, Node, Node] | None:
    """What adds this product, or transposed product, to an array, and its operands; None for what is none, and for one
    that something else needs as well."""
    turned = node.op is DIMSHUFFLE and node.attributes["pattern"] == (1, 0)
    product = node.inputs[0] if turned else node
    if product.op is None or product.op.into is None or users.get(node) != 1 or users.get(product) != 1:
        return None
    a, b = product.inputs
    if turned:
        a, b = (builder.call(DIMSHUFFLE, v, pattern=(1, 0)) for v in (b, a))
    return product.op.into, a, b


def _is_zero(node: Node) -> bool:
    return node.is_number and node.value == 0


def _collect(
    builder: Builder, node: Node, factors: list[Node], terms: list[tuple[list[Node], Node]], dims: Sequence[object]
) -> bool:
    """Split a sum into (scalar factors, array) terms; False when there are too many."""
    graph = builder.graph
    if len(terms) > MAX_TERMS:
        return False
    whole = len(node.dims) == len(dims) and all(map(graph.equal_lengths, node.dims, dims))
    form = next((f for f in FORMS if match(f, node, NODES, {}) is not None), None) if whole else None
    minus = graph.number(-1.0, node.dtype)
    if form is NEGATIVE:
        return _collect(builder, node.inputs[0], [minus, *factors], terms, dims)
    x, y = node.inputs if form is not None else (node, node)
    if form is PRODUCT and x.dims and not y.dims:
        x, y = y, x
    if form is None or (form is PRODUCT and x.dims):
        terms.append((factors, node))
        return whole
    if form is PRODUCT:
        return _collect(builder, y, [x, *factors], terms, dims)
    second = factors if form is PLUS else [minus, *factors]
    return _collect(builder, x, factors, terms, dims) and _collect(builder, y, second, terms, dims)

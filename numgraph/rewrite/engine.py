"""Applies the rules of `rules` to the compile graph. Patterns are explained in `patterns`.

A number in a pattern matches a constant of any shape. The engine carries user lines forward and rejects a replacement
of another dtype or shape.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from numgraph.ir import Node, topological
from numgraph.op import OPS
from numgraph.patterns import Bindings, Rule, is_number, keywords, match, op_name, operands
from numgraph.rewrite.build import Builder


class _Nodes:
    """The compile graph as patterns see it: equal nodes are one, and nothing is out of bounds."""

    def attributes(self, node: Node) -> dict[str, Any]:
        return node.attributes

    def number(self, node: Node) -> Any:
        return fill_value(node)

    def same(self, a: Node, b: Node) -> bool:
        return a is b

    def enter(self, node: Node) -> bool:
        return True


NODES = _Nodes()


def fill_value(node: Node) -> Any:
    """The number that every element of the node is known to have, else None."""
    while True:
        if node.is_number:
            return node.value
        if node.op is None or not node.op.uniform:
            return None
        node = node.inputs[0]


def construct(tree: ast.expr, builder: Builder, bound: Bindings, dtype: str) -> Node:
    """The node that a replacement describes."""
    if isinstance(tree, ast.Name):
        node: Node = bound[tree.id]
        return node
    if is_number(tree):
        return builder.graph.number(ast.literal_eval(tree), dtype)
    inputs = [construct(part, builder, bound, dtype) for part in operands(tree)]
    return builder.op(OPS[op_name(tree)], inputs, keywords(tree, bound))


class Rewriter:
    """Applies rules bottom-up until none matches; remembers what fired, and as None what was expanded.

    expand: replaces a node of an op that is a composition before the rules see it; without it such nodes stay.
    """

    def __init__(
        self, builder: Builder, rules: Iterable[Rule], expand: Callable[[Builder, Node], Node] | None = None
    ) -> None:
        self.builder = builder
        self.by_root: dict[str, list[Rule]] = {}
        for r in rules:
            self.by_root.setdefault(r.root, []).append(r)
        self.expand = expand
        self.new: dict[Node, Node] = {}
        self.fired: list[tuple[Rule | None, Node, Node]] = []
        # whether there is something that no pass has looked at yet
        self.made = False

    def run(self, outputs: Sequence[Node]) -> list[Node]:
        """`outputs` rewritten."""
        graph = self.builder.graph
        for node in topological(outputs):
            if node in self.new:
                continue
            graph.active = tuple(graph.lines.get(node, ()))
            rebuilt = self._rebuild(node)
            if rebuilt.op is not None and rebuilt.op.composition(graph.traits.grid):
                self.made = True
                if self.expand is not None:
                    whole, rebuilt = rebuilt, self.expand(self.builder, rebuilt)
                    self.fired.append((None, whole, rebuilt))
            result = self._apply(rebuilt)
            if node in graph.names:
                graph.names.setdefault(result, graph.names[node])
            self.new[node] = result
        graph.active = ()
        self.made = self.made or bool(self.fired)
        return [self.new[v] for v in outputs]

    def _rebuild(self, node: Node) -> Node:
        inputs = [self.new.get(v, v) for v in node.inputs]
        if node.kind not in ("op", "load") or all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            return node
        if node.kind == "load":
            # a length is an operand where it says at which place something is
            return self.builder.graph.make("load", None, inputs, node.attrs, node.dtype, ())
        assert node.op is not None
        attrs = node.attributes
        if node.op.reduce:
            attrs.setdefault("dtype", node.dtype)
        return self.builder.op(node.op, inputs, attrs)

    def _apply(self, node: Node, depth: int = 0) -> Node:
        """The node after all rules that apply to it, and to what they made of it."""
        if node.op is None or depth > 20:
            return node
        for r in self.by_root.get(node.op.name, ()):
            bound = match(r.pattern, node, NODES, {})
            if bound is None or (r.when is not None and not r.when(self.builder, bound)):
                continue
            replaced = self._replacement(r, node, bound)
            if replaced is not None and replaced is not node:
                self.fired.append((r, node, replaced))
                return self._apply(replaced, depth + 1)
        return node

    def _replacement(self, r: Rule, node: Node, bound: Bindings) -> Node | None:
        if r.build is not None:
            replaced = r.build(self.builder, node, bound)
            if replaced is None:
                return None
        else:
            assert r.replacement is not None
            replaced = construct(r.replacement, self.builder, bound, node.dtype)
        graph = self.builder.graph
        replaced = self.builder.spread(replaced, node.dims)
        same = len(replaced.dims) == len(node.dims) and all(map(graph.equal_lengths, replaced.dims, node.dims))
        return graph.cast(replaced, node.dtype) if same and _same_kind(replaced, node) else None


def _same_kind(a: Node, b: Node) -> bool:
    return (a.dtype == "bool") == (b.dtype == "bool") and ("float" in a.dtype) == ("float" in b.dtype)

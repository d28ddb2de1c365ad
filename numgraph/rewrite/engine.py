"""Rewrite rules as data: a pattern, a replacement and the reason, both in the notation of the ops.

    rule("log(softmax(x, axis=A))", "log_softmax(x, axis=A)", why="log(0) is -inf where softmax underflows")

In a pattern a name matches any node (the same node wherever it is repeated), a call matches the op of that name, an
operator the op it stands for, a number a constant of that value (of any shape), a keyword's name an attribute.
Commutative ops match in both orders. The engine carries user lines forward and rejects a replacement of another dtype
or shape.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache as remember
from typing import Any

from numgraph.ir import Node, topological
from numgraph.op import OPS
from numgraph.rewrite.build import Builder

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "true_div", ast.Pow: "pow", ast.FloorDiv: "floor_div",
    ast.Mod: "mod", ast.USub: "neg", ast.Lt: "lt", ast.Gt: "gt", ast.LtE: "le", ast.GtE: "ge", ast.Eq: "eq",
}  # fmt: skip

Bindings = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """One rewrite. `when` may refuse a match; `build` makes the replacement where a text cannot say it."""

    name: str
    pattern: ast.expr
    replacement: ast.expr | None
    why: str
    when: Callable[[Builder, Bindings], bool] | None = None
    build: Callable[[Builder, Node, Bindings], Node | None] | None = None

    @property
    def root(self) -> str:
        """The op that the pattern starts with."""
        return op_name(self.pattern)


def rule(
    pattern: str,
    replacement: str | None,
    why: str,
    when: Callable[[Builder, Bindings], bool] | None = None,
    build: Callable[[Builder, Node, Bindings], Node | None] | None = None,
) -> Rule:
    """A rule from its texts; ValueError at import for an op that does not exist."""
    parsed = Rule(
        name=f"{pattern} -> {replacement or (build.__name__ if build else '')}",
        pattern=ast.parse(pattern, mode="eval").body,
        replacement=ast.parse(replacement, mode="eval").body if replacement else None,
        why=why,
        when=when,
        build=build,
    )
    for tree in filter(None, (parsed.pattern, parsed.replacement)):
        for part in ast.walk(tree):
            if isinstance(part, ast.Call | ast.BinOp | ast.UnaryOp | ast.Compare) and not _is_negative(part):
                op_name(part)
    return parsed


@remember
def op_name(tree: ast.expr) -> str:
    """The op that a pattern's outermost call or operator stands for."""
    if isinstance(tree, ast.Call):
        assert isinstance(tree.func, ast.Name)
        name = tree.func.id
    elif isinstance(tree, ast.BinOp | ast.UnaryOp):
        name = OPERATORS[type(tree.op)]
    elif isinstance(tree, ast.Compare):
        name = OPERATORS[type(tree.ops[0])]
    else:
        raise ValueError(f"a pattern starts with an op, not {ast.unparse(tree)}")
    if name not in OPS:
        raise ValueError(f"rewrite pattern names an unknown op {name!r}")
    return name


@remember
def operands(tree: ast.expr) -> list[ast.expr]:
    """The operands of a pattern's outermost call or operator."""
    if isinstance(tree, ast.Call):
        return tree.args
    if isinstance(tree, ast.BinOp):
        return [tree.left, tree.right]
    if isinstance(tree, ast.Compare):
        return [tree.left, tree.comparators[0]]
    assert isinstance(tree, ast.UnaryOp)
    return [tree.operand]


def _is_negative(tree: ast.AST) -> bool:
    return isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub) and isinstance(tree.operand, ast.Constant)


def match(tree: ast.expr, node: Node, bound: Bindings) -> Bindings | None:
    """The bindings under which `tree` describes `node`, or None."""
    if isinstance(tree, ast.Name):
        if tree.id in bound:
            return bound if bound[tree.id] is node else None
        return {**bound, tree.id: node}
    if isinstance(tree, ast.Constant) or _is_negative(tree):
        return bound if fill_value(node) == ast.literal_eval(tree) else None
    op = node.op
    # a conversion of a constant or of an exact match in between is looked through by `fill_value` only
    if op is None or op.name != op_name(tree):
        return None
    parts = operands(tree)
    attributes = _match_attributes(tree, node, bound)
    if attributes is None or len(parts) > len(node.inputs):
        return None
    found = _match_operands(parts, node.inputs, attributes)
    if found is None and op.commutative and len(node.inputs) == 2:
        found = _match_operands(parts, node.inputs[::-1], attributes)
    return found


def _match_operands(parts: Sequence[ast.expr], nodes: Sequence[Node], bound: Bindings) -> Bindings | None:
    for part, node in zip(parts, nodes, strict=False):
        found = match(part, node, bound)
        if found is None:
            return None
        bound = found
    return bound


def _match_attributes(tree: ast.expr, node: Node, bound: Bindings) -> Bindings | None:
    if not isinstance(tree, ast.Call) or not tree.keywords:
        return bound
    attributes = node.attributes
    for keyword in tree.keywords:
        value = attributes.get(str(keyword.arg))
        if isinstance(keyword.value, ast.Name):
            name = "@" + keyword.value.id
            if name in bound and bound[name] != value:
                return None
            bound = {**bound, name: value}
        elif ast.literal_eval(keyword.value) != value:
            return None
    return bound


def fill_value(node: Node) -> Any:
    """The number that every element of the node is known to have, else None."""
    while True:
        if node.is_number:
            return node.value
        if node.op is None or not node.inputs or node.op.name not in ("fill", "broadcast_to", "dimshuffle", "cast"):
            return None
        node = node.inputs[0]


def construct(tree: ast.expr, builder: Builder, bound: Bindings, dtype: str) -> Node:
    """The node that a replacement describes."""
    if isinstance(tree, ast.Name):
        node: Node = bound[tree.id]
        return node
    if isinstance(tree, ast.Constant) or _is_negative(tree):
        return builder.graph.number(ast.literal_eval(tree), dtype)
    inputs = [construct(part, builder, bound, dtype) for part in operands(tree)]
    attrs = {}
    for keyword in tree.keywords if isinstance(tree, ast.Call) else ():
        value = keyword.value
        attrs[str(keyword.arg)] = bound["@" + value.id] if isinstance(value, ast.Name) else ast.literal_eval(value)
    return builder.op(OPS[op_name(tree)], inputs, attrs)


class Rewriter:
    """Applies rules bottom-up until none matches; remembers what fired.

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
        self.fired: list[tuple[Rule, Node, Node]] = []
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
            if rebuilt.op is not None and rebuilt.op.expand:
                self.made = True
                rebuilt = self.expand(self.builder, rebuilt) if self.expand is not None else rebuilt
            result = self._apply(rebuilt)
            if node in graph.names:
                graph.names.setdefault(result, graph.names[node])
            self.new[node] = result
        graph.active = ()
        self.made = self.made or bool(self.fired)
        return [self.new[v] for v in outputs]

    def _rebuild(self, node: Node) -> Node:
        inputs = [self.new.get(v, v) for v in node.inputs]
        if node.kind != "op" or all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            return node
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
            bound = match(r.pattern, node, {})
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

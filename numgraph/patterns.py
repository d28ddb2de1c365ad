"""Rewrite rules as data: a pattern, a replacement and the reason, both in the notation of the ops.

    rule("log(softmax(x, axis=A))", "log_softmax(x, axis=A)", why="log(0) is -inf where softmax underflows")

In a pattern a name matches any node (the same node wherever it is repeated), a call matches the op of that name, an
operator the op it stands for, a number a constant of that value, a keyword's name an attribute. Commutative ops match
in both orders. `stable` applies rules to the expression graph, `rewrite` to the compile graph; a `View` says how each
is looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache as remember
from typing import Any, Protocol

from numgraph.op import OPS

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "true_div", ast.Pow: "pow", ast.FloorDiv: "floor_div",
    ast.Mod: "mod", ast.USub: "neg", ast.Lt: "lt", ast.Gt: "gt", ast.LtE: "le", ast.GtE: "ge", ast.Eq: "eq",
}  # fmt: skip

Bindings = dict[str, Any]


class View(Protocol):
    """A graph as patterns see it; its nodes have `op` and `inputs`."""

    def attributes(self, node: Any) -> dict[str, Any]:
        """The op's attributes."""

    def number(self, node: Any) -> Any:
        """The number that every element of the node is known to have, else None."""

    def same(self, a: Any, b: Any) -> bool:
        """Whether two nodes are the same expression."""

    def enter(self, node: Any) -> bool:
        """Whether a pattern may look at what the node is made of."""


@dataclass(frozen=True)
class Rule:
    """One rewrite. `when` may refuse a match; `build` makes the replacement where a text cannot say it.

    Both get what builds nodes, and the bindings; `build` also the node that matched.
    """

    name: str
    pattern: ast.expr
    replacement: ast.expr | None
    why: str
    when: Callable[[Any, Bindings], bool] | None = None
    build: Callable[[Any, Any, Bindings], Any] | None = None

    @property
    def root(self) -> str:
        """The op that the pattern starts with."""
        return op_name(self.pattern)


def rule(
    pattern: str,
    replacement: str | None,
    why: str,
    when: Callable[[Any, Bindings], bool] | None = None,
    build: Callable[[Any, Any, Bindings], Any] | None = None,
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
            if isinstance(part, ast.Call | ast.BinOp | ast.UnaryOp | ast.Compare) and not is_number(part):
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


def is_number(tree: ast.AST) -> bool:
    """Whether a pattern is a number, perhaps with a minus."""
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        tree = tree.operand
    return isinstance(tree, ast.Constant)


def match(tree: ast.expr, node: Any, view: View, bound: Bindings, root: bool = True) -> Bindings | None:
    """The bindings under which `tree` describes `node`, or None."""
    if isinstance(tree, ast.Name):
        if tree.id in bound:
            return bound if view.same(bound[tree.id], node) else None
        return {**bound, tree.id: node}
    if is_number(tree):
        return bound if view.number(node) == ast.literal_eval(tree) else None
    op = node.op
    if op is None or op.name != op_name(tree) or not (root or view.enter(node)):
        return None
    parts = operands(tree)
    found = _match_attributes(tree, node, view, bound)
    if found is None or len(parts) > len(node.inputs):
        return None
    matched = _match_operands(parts, node.inputs, view, found)
    if matched is None and op.commutative and len(node.inputs) == 2:
        matched = _match_operands(parts, node.inputs[::-1], view, found)
    return matched


def _match_operands(parts: Sequence[ast.expr], nodes: Sequence[Any], view: View, bound: Bindings) -> Bindings | None:
    for part, node in zip(parts, nodes, strict=False):
        found = match(part, node, view, bound, root=False)
        if found is None:
            return None
        bound = found
    return bound


def _match_attributes(tree: ast.expr, node: Any, view: View, bound: Bindings) -> Bindings | None:
    if not isinstance(tree, ast.Call) or not tree.keywords:
        return bound
    attributes = view.attributes(node)
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


def keywords(tree: ast.expr, bound: Bindings) -> dict[str, Any]:
    """The attributes that a replacement's call gives."""
    given = tree.keywords if isinstance(tree, ast.Call) else ()
    return {
        str(k.arg): bound["@" + k.value.id] if isinstance(k.value, ast.Name) else ast.literal_eval(k.value)
        for k in given
    }

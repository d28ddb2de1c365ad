"""What comments say: types of arrays, lengths in the user's terms, and the lines that a statement comes from."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from numgraph.ir import Graph, Node
from numgraph.loops.table import Layout, length_text
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.tasks import Task
from numgraph.schedule.work import name_of

_SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}


class Notes:
    """The words for one graph."""

    def __init__(self, graph: Graph, layout: Layout) -> None:
        self.graph = graph
        self.length_names = layout.length_names

    def origin(self, node: Node | None, note: str = "") -> dict[str, Any]:
        """Where a statement comes from, and the comment behind it."""
        return {"note": note, "node": node, "lines": tuple(self.graph.lines.get(node, ())) if node is not None else ()}

    def type_of(self, node: Node) -> str:
        """`float32[?,10]` of a node."""
        return type_text(self.graph, node)

    def name_of(self, buffer: Node) -> str:
        """What comments call a buffer."""
        return name_of(self.graph, buffer)

    def array(self, buffer: Node) -> str:
        """`W float32[784,10]` of a buffer."""
        return f"{self.name_of(buffer)} {self.type_of(buffer)}"

    def assumed(self, array: Node, lengths: Sequence[int]) -> str:
        """`W float32[784,10]`, of lengths that are assumed, -1 where they are not."""
        return f"{self.name_of(array)} {array.dtype}[{','.join('?' if n < 0 else str(n) for n in lengths)}]"

    def op(self, node: Node, origin: Node | None = None) -> str:
        """`exp float32[?,10]`. origin: the array that the node is an element of."""
        return f"{node.name} {self.type_of(origin if origin is not None else node)}"

    def made(self, tasks: list[Task]) -> str:
        """What tasks make, by name."""
        names = [self.graph.names.get(i.node) or i.node.name for i in tasks if i.writes]
        text = ", ".join(dict.fromkeys(names))
        return text if len(text) < 70 else text[:67] + "..."

    def loop(self, nest: LoopNest) -> str:
        """What a loop counts, where that is no number."""
        return "" if isinstance(nest.length, int) else self.length(nest.length)

    def run(self, lengths: Sequence[Any]) -> str:
        """What a loop counts that stands for several: `len(x) x 10`."""
        return " x ".join(self.length(n) for n in lengths)

    def length(self, node: Any) -> str:
        """A length in the user's terms: `len(train_x)`, `index*600`."""
        return ast.unparse(self._tree(node, 0))

    def _tree(self, node: Any, depth: int) -> ast.expr:
        """The same as a tree. What the user calls something is the text of a name in it, and is not looked into."""
        if not isinstance(node, Node):
            return ast.Name(str(node))
        if node in self.length_names:
            return ast.Name(self.length_names[node])
        if node in self.graph.names and depth:
            return ast.Name(self.graph.names[node])
        if node.kind == "extent":
            owner = self.graph.names.get(node.inputs[0], "argument")
            return ast.Name(length_text(owner, node.attrs[0]))
        if node.is_number:
            return ast.Name(str(node.value))
        if depth > 3 or node.op is None:
            return ast.Name("..." if depth > 3 else self.graph.names.get(node, node.name))
        parts = [self._tree(v, depth + 1) for v in node.inputs]
        tree = node.op.tree
        if isinstance(tree, ast.BinOp | ast.Compare):
            return replaced(tree, dict(zip(node.op.args, parts, strict=True)))
        return ast.Call(ast.Name(node.name), parts, [])


def type_text(graph: Graph, node: Node) -> str:
    """`float32[?,10]` of a node."""
    lengths = [graph.find(n) for n in node.dims]
    inside = ",".join(str(n) if isinstance(n, int) else "?" for n in lengths)
    return f"{node.dtype}[{inside}]" if lengths else node.dtype


def sign_of(node: Node) -> str | None:
    """`+`, `-` or `*` for an op that is written so, else None."""
    tree = node.op.tree if node.op is not None else None
    return _SIGNS.get(type(tree.op)) if isinstance(tree, ast.BinOp) else None


def replaced(tree: ast.expr, names: dict[str, ast.expr]) -> ast.expr:
    """A copy of an expression with names replaced."""
    copied: ast.expr = _replaced(tree, names)
    return copied


def _replaced(tree: Any, names: dict[str, ast.expr]) -> Any:
    # not by a NodeTransformer on a deep copy: there is one of these for each line of a plan
    if isinstance(tree, ast.Name):
        return names.get(tree.id, tree)
    if isinstance(tree, list):
        return [_replaced(part, names) for part in tree]
    if not isinstance(tree, ast.AST):
        return tree
    return type(tree)(**{field: _replaced(part, names) for field, part in ast.iter_fields(tree)})

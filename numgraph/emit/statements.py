"""Makes statements of nested loop bodies that compute scalar expressions."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numgraph.emit.table import Layout, called_as, length_text
from numgraph.emit.writer import RESERVED, Names, imported
from numgraph.ir import Node
from numgraph.loops.program import (
    REALS,
    TABLE,
    Assign,
    Binary,
    Call,
    Compare,
    Expression,
    If,
    Name,
    Number,
    Return,
    Several,
    Statement,
    whole,
)
from numgraph.loops.scalar import convert, number, scalar
from numgraph.schedule.items import Item
from numgraph.schedule.plan import Schedule
from numgraph.types import FLOATS

_SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}


@dataclass(frozen=True)
class Raised:
    """Why compiled code ended: the call of a user's function in `node` raised. Its arguments, if they are numbers, are
    in slots from `slot` on."""

    node: Node
    slot: int | None = None
    kind: str = "raised"


class Body:
    """The statements of one loop level, and the names that they gave to scalar nodes."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.statements: list[Statement] = []
        self.names: dict[Node, Expression] = {}
        self.registers: dict[Node, Expression] = {}
        # None for those that accumulate in their buffers
        self.accumulators: dict[Item, Name | None] = {}
        # index checks that stand in it
        self.guarded: set[Item] = set()


class Statements:
    """Puts statements into nested loop bodies; a scalar is computed once, at the level where it stops varying."""

    def __init__(self, schedule: Schedule, layout: Layout, vector: Mapping[tuple[str, str], str]) -> None:
        self.schedule = schedule
        self.graph = schedule.graph
        self.layout = layout
        self.vector = vector
        self.imports: set[str] = set()
        self.names = Names(set(RESERVED | imported(vector.values()) | set(layout.functions.values())))
        # in a divided loop: the items whose results this share accumulates for itself, with their places
        self.partial: dict[Node, Any] = {}
        # the counters of the open loops, by level
        self.counters: dict[int, Name] = {}
        self.bodies = [Body(0)]
        self.pointers: dict[Any, Name] = {}
        self.planning = False
        # whether arguments are read that are floats
        self.reads_reals = False
        # places in the arena, whose sizes say nothing to a reader
        self.offsets: set[Node] = set()
        self.length_names = layout.length_names

    @property
    def body(self) -> Body:
        """The innermost open loop body."""
        return self.bodies[-1]

    def add(self, statement: Statement, level: int | None = None) -> None:
        """Add a statement at a loop level (default: the innermost)."""
        last = len(self.bodies) - 1
        self.bodies[last if level is None else min(level, last)].statements.append(statement)

    def origin(self, node: Node | None, note: str = "") -> dict[str, Any]:
        """Where a statement comes from, and the comment behind it."""
        return {"note": note, "node": node, "lines": tuple(self.graph.lines.get(node, ())) if node is not None else ()}

    def assign(
        self, name: str | Name, value: Expression, note: str = "", node: Node | None = None, level: int | None = None
    ) -> Name:
        """Add `name = value`; returns the name."""
        target = Name(name, value.dtype) if isinstance(name, str) else name
        self.add(Assign(target, value, **self.origin(node, note)), level)
        return target

    # -- scalars ------------------------------------------------------------------------------------------------

    def length(self, length: Any) -> Expression:
        """A length, or another whole number of the plan."""
        return self.value(self.graph.as_index(length))

    def value(self, root: Node) -> Expression:
        """A scalar node: a name or a number. Statements that it needs are added at their levels."""
        for node in self._undefined(root):
            if not self._is_inline(node):
                self._define(node)
        return self.expression(root)

    def _undefined(self, root: Node) -> list[Node]:
        """The nodes below `root` that have no name yet, inputs first; what the plan computes is not looked into."""
        done: dict[Node, None] = {}
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in done or self._known(node) is not None:
                continue
            if ready:
                done[node] = None
                continue
            stack.append((node, True))
            if node.kind != "extent" and not self._from_plan(node):
                inputs = node.inputs[1:] if node.kind == "load" else node.inputs
                stack.extend((v, False) for v in reversed(inputs))
        return list(done)

    def _from_plan(self, node: Node) -> bool:
        """Whether a phase reads the node from the table: lengths, and indices that no loop changes."""
        return not self.planning and node.planned and node.kind == "op" and node.dtype == "int64"

    def _known(self, node: Node) -> Expression | None:
        for body in self.bodies:
            if node in body.names:
                return body.names[node]
        return None

    def _is_inline(self, node: Node) -> bool:
        """Whether the node is written where it is used: literals, counters, and index sums."""
        if node.kind in ("number", "loop"):
            return True
        return node.kind == "op" and node.dtype == "int64" and node.depth > 0 and sign_of(node) is not None

    def expression(self, node: Node) -> Expression:
        """The name of a defined node, or its expression where it is written in place."""
        known = self._known(node)
        if known is not None:
            return known
        if node.kind == "number":
            return number(node.value, node.dtype)
        if node.kind == "loop":
            return self.counters[node.attrs[0]]
        sign = sign_of(node)
        assert sign is not None, node
        a, b = (self.expression(v) for v in node.inputs)
        return Binary(sign, a, b)

    def _define(self, node: Node) -> None:
        """Add the statement that computes one node."""
        level = min(node.depth, len(self.bodies) - 1)
        origin = self.schedule.elements.origin.get(node)
        if node.kind == "load":
            self._define_load(node, level, origin)
            return
        if node.kind in ("scalar", "extent") or self._from_plan(node):
            self._define_planned(node)
            return
        assert node.op is not None, node
        operands = [self.expression(v) for v in node.inputs]
        if node.op.user is not None:
            self._define_call(node, operands, level, origin)
            return
        expression = scalar(node.op, operands, node.dtype, self.vector, self.imports)
        wish = self._wish(node, origin)
        name = Name(self.names.fresh(wish), node.dtype, plain=not wish)
        self.bodies[level].names[node] = self.assign(name, expression, self._note(node, origin), origin or node, level)

    def _define_call(self, node: Node, operands: Sequence[Expression], level: int, origin: Node | None) -> None:
        """Add the call of a user's function; one that may raise ends the phase when it does."""
        assert node.op is not None
        key = called_as(node)
        assert key is not None
        # simulated numbers have other dtypes than compiled ones
        converts = node.op.converts or self.graph.traits.grid
        returned = "int64" if converts and node.dtype == "bool" else node.dtype
        call: Expression = Call(self.layout.functions[key], tuple(operands), returned)
        note = self._note(node, origin)
        name = self.names.fresh(self._wish(node, origin), partner="_raised")
        self.bodies[level].names[node] = Name(name, node.dtype)
        if key[-1]:
            raised = Name(f"{name}_raised", "bool")
            value = Name(self.names.fresh(None) if converts else name, returned)
            self.add(Assign((value, raised), call, **self.origin(origin or node, note)), level)
            status = self.layout.fail_code(Raised(origin or node, first := self.layout.arguments_of(node)))
            refused = Return(
                Call("refuse", (TABLE, self.layout.at(first), Number(status, role="code"), Several(tuple(operands))))
            )
            self.add(If(raised, (refused,), **self.origin(origin or node)), level)
            if not converts:
                return
            call = value
        if converts:
            call = Compare("!=", call, whole(0)) if node.dtype == "bool" else Call(node.dtype, (call,), node.dtype)
        self.assign(Name(name, node.dtype), call, note, origin or node, level)

    def _define_planned(self, node: Node) -> None:
        """Read an argument, a length or an index that the plan has computed."""
        wish = self.graph.names.get(node)
        if node.kind == "scalar":
            place = self.layout.arguments[node.attrs[0]]
            self.reads_reals |= node.dtype in FLOATS
            value: Expression = REALS[self.layout.at(place)] if node.dtype in FLOATS else self.layout.slot(place)
            value, prefix, note = convert(value, value.dtype, node.dtype), "a", "argument"
        else:
            value, prefix = self.layout.slot(self.layout.value(node)), "n"
            note = "place among the temporaries" if node in self.offsets else f"= {self.explain(node)}"
        name = Name(self.names.fresh(wish, prefix), value.dtype)
        self.bodies[0].names[node] = self.assign(name, value, note, node, 0)

    def _wish(self, node: Node, origin: Node | None) -> str | None:
        return self.graph.names.get(origin) if origin is not None else self.graph.names.get(node)

    def _note(self, node: Node, origin: Node | None) -> str:
        """`exp float32[?,10]`."""
        shown = origin if origin is not None else node
        return f"{node.name} {self.type_text(shown)}"

    def type_text(self, node: Node) -> str:
        """`float32[?,10]` of a node."""
        lengths = [self.graph.find(n) for n in node.dims]
        inside = ",".join(str(n) if isinstance(n, int) else "?" for n in lengths)
        return f"{node.dtype}[{inside}]" if lengths else node.dtype

    def explain(self, node: Any) -> str:
        """A length in the user's terms: `len(train_x)`, `index*600`."""
        return ast.unparse(self._explained(node, 0))

    def _explained(self, node: Any, depth: int) -> ast.expr:
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
        parts = [self._explained(v, depth + 1) for v in node.inputs]
        tree = node.op.tree
        if isinstance(tree, ast.BinOp | ast.Compare):
            return replaced(tree, dict(zip(node.op.args, parts, strict=True)))
        return ast.Call(ast.Name(node.name), parts, [])

    def _define_load(self, node: Node, level: int, origin: Node | None) -> None:
        raise NotImplementedError

    def buffer_name(self, buffer: Node) -> str:
        """What comments call a buffer."""
        return self.graph.names.get(buffer) or (buffer.name if buffer.op else buffer.kind)


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

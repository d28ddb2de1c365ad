"""Formulas of variables: `2.0 * x + exp(-y)`, and what messages call a variable."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from numgraph.graph import Constant, Variable, label
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.text import identifier, printable

# How much of a formula is written out; the rest is `...`
FORMULA_NODES, FORMULA_DEPTH = 120, 24
# How much of it stands for a variable without a name in a message: parts, and letters.
SHORT_NODES, SHORT = 12, 60
# How much is written out of a step of a loop.
STEP_NODES = 40


def formula(x: Variable, largest: int = FORMULA_NODES, names: Mapping[Variable, str] | None = None) -> str:
    """The formula of a variable, cut beyond `largest` parts; `names` are written in place of their formulas."""
    return ast.unparse(Formula(x, largest, names or {}).tree())


def described(x: Variable) -> str:
    """What a message calls a variable of the user's: its name, or its formula where that is short."""
    if x.name or x.op is None:
        return label(x)
    text = formula(x, SHORT_NODES)
    return text if len(text) <= SHORT and "..." not in text else label(x)


class Formula:
    """The syntax tree of a variable's formula, cut to a size that a person can read.

    Which operands are written out is decided breadth first, so that a long formula loses what is far below. An op whose
    scalar form is a plain operator is printed with it; every other one as a call.
    """

    def __init__(self, root: Variable, largest: int, names: Mapping[Variable, str | ast.expr]) -> None:
        self.names = names
        self.places: list[tuple[Variable, list[int]]] = [(root, [])]
        waiting = deque([(0, 0)])
        while waiting:
            place, depth = waiting.popleft()
            node, operands = self.places[place]
            if node in names:
                continue
            if depth >= FORMULA_DEPTH or len(self.places) + len(node.inputs) > largest:
                continue
            for v in node.inputs:
                operands.append(len(self.places))
                waiting.append((len(self.places), depth + 1))
                self.places.append((v, []))

    def tree(self) -> ast.expr:
        """The syntax tree of the root."""
        trees: list[ast.expr] = [ast.Name("...")] * len(self.places)
        # operands stand behind their users
        for place in range(len(self.places) - 1, -1, -1):
            node, operands = self.places[place]
            if node in self.names:
                known = self.names[node]
                trees[place] = known if isinstance(known, ast.expr) else ast.Name(printable(known))
            elif len(operands) == len(node.inputs):
                trees[place] = expression(node, [trees[k] for k in operands])
        return trees[0]


def expression(node: Variable, operands: list[ast.expr]) -> ast.expr:
    """The syntax tree of one operation on `operands`, as a formula writes it."""
    if isinstance(node, Constant):
        return (
            ast.UnaryOp(ast.USub(), ast.Name(number_text(node)[1:]))
            if _is_negative(node)
            else ast.Name(number_text(node))
        )
    if node.op is None:
        return ast.Name(label(node) if node.name else "unnamed")
    if node.op.loop:
        return _loop(node, operands)
    if node.op.show is not None:
        return node.op.show(*operands, **node.attrs)
    names = dict(zip(node.op.args, operands, strict=False))
    form = node.op.tree
    match form:
        case ast.BinOp(left=ast.Name(id=a), right=ast.Name(id=b), op=op) if a != b:
            return ast.BinOp(names[a], op, names[b])
        case ast.Call(func=ast.Name(id=function), args=[ast.Name(id=a), ast.Name(id=b)]) if sign := SCALAR_FUNCTIONS[
            function
        ].operator:
            return ast.BinOp(names[a], sign, names[b])
        case ast.UnaryOp(operand=ast.Name(id=a), op=unary):
            return ast.UnaryOp(unary, names[a])
        case ast.Compare(left=ast.Name(id=a), ops=ops, comparators=[ast.Name(id=b)]):
            return ast.Compare(names[a], ops, [names[b]])
    return ast.Call(ast.Name(node.op.name), operands, [ast.keyword(k, ast.Name(v)) for k, v in _keywords(node)])


def _loop(node: Variable, operands: list[ast.expr]) -> ast.expr:
    """A result of a loop by its step, `scan(tanh(x[t] + h), h=h0, steps=len)`: `h` is the state before the step."""
    loop = node.attrs["loop"]
    steps, *rest = operands
    sequences, firsts, invariants = loop.parts(rest)
    names: dict[Variable, str | ast.expr] = dict(zip(loop.invariants, invariants, strict=True))
    for p, whole in zip(loop.sequences, sequences, strict=True):
        names[p] = ast.Subscript(whole, ast.Name("t"))
    shown = _state_names(loop)
    names |= {p: ast.Name(name) for p, name in zip(loop.states, shown, strict=True)}
    asked = loop.asked(**{name: value for name, value in node.attrs.items() if name in ("value", "state")})
    body = [Formula(v, STEP_NODES, names).tree() for v in (asked,) if v is not None]
    ends = [ast.keyword("until", Formula(v, STEP_NODES, names).tree()) for v in (loop.until,) if v is not None]
    read = {v.id for tree in (*body, *(k.value for k in ends)) for v in ast.walk(tree) if isinstance(v, ast.Name)}
    states = [ast.keyword(name, first) for name, first in zip(shown, firsts, strict=True) if name in read]
    tree = ast.Call(ast.Name("scan"), body, [*states, *ends, ast.keyword("steps", steps)])
    return tree if node.op is None or node.op.show is None else node.op.show(tree)


def _state_names(loop: Any) -> list[str]:
    """What a formula calls the states of a loop: by their names, where these can stand for a keyword."""
    found: list[str] = []
    for number, p in enumerate(loop.states):
        name = identifier((p.name or "").partition("[")[0]) or f"state{number or ''}"
        found.append(name if name not in found else f"{name}_{number}")
    return found


def _keywords(node: Variable) -> Iterator[tuple[str, str]]:
    """The attributes of a call, as a user would write them: `axis=1` for (1,), none for a reduction of all axes."""
    for name, value in node.attrs.items():
        if value is None or value is False:
            continue
        if name == "axis" and isinstance(value, tuple):
            if len(value) == node.inputs[0].ndim and not node.attrs.get("keepdims"):
                continue
            value = value[0] if len(value) == 1 else value
        yield name, str(value)


def _is_negative(node: Constant) -> bool:
    """Whether the number needs parentheses as a base, `(-2.0) ** x`."""
    return node.data.ndim == 0 and node.data.dtype.kind != "c" and bool(node.data < 0)


def number_text(node: Constant) -> str:
    """The value of a constant; of a large array its ends."""
    if node.data.ndim == 0:
        return str(node.data[()])
    return " ".join(np.array2string(node.data, threshold=6, edgeitems=2, separator=", ").split())

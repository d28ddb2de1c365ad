"""Graphs and formulas as text."""

from __future__ import annotations

import ast
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import numpy as np

from numgraph.errors import InputError
from numgraph.graph import Constant, Variable, label
from numgraph.program import Program
from numgraph.shared import SharedVariable
from numgraph.text import encodable, printable

# Deeper levels are not indented further, but numbered: the text of a chain stays linear in its length.
INDENTED_LEVELS = 24
# How much of a formula `pprint` writes out; the rest is `...`
FORMULA_NODES, FORMULA_DEPTH = 120, 24


def debugprint(x: Any, file: TextIO | None = None) -> None:
    """Print the graph of a variable, of several, or of a function's outputs and updates.

    One line per node: what it is, its number in this print-out, type, name, and the user's line; below it, indented,
    its operands. What was printed before is referred to by its number. file: where to, standard output by default.
    """
    out = sys.stdout if file is None else file
    numbers: dict[Variable, int] = {}
    for heading, root in _roots(x, "debugprint"):
        if heading:
            out.write(encodable(heading + "\n", out))
        out.writelines(encodable(line, out) for line in _tree(root, numbers))


def pprint(x: Any, largest: int = FORMULA_NODES, names: Mapping[Variable, str] | None = None) -> str:
    """The formula of a variable, `2.0 * x + exp(-y)`, with no more parentheses than needed; a line for each of several,
    and of a function's outputs and updates.

    Formulas of more than `largest` parts are cut: `...` stands for operands far below. names: variables that are
    written as a name instead of their formula. InputError for what is none of these.
    """
    if isinstance(x, Variable):
        return ast.unparse(_Formula(x, largest, names or {}).tree())
    roots = list(_roots(x, "pprint"))
    formulas = [ast.unparse(_Formula(root, largest, names or {}).tree()) for _, root in roots]
    if len(roots) == 1:
        return formulas[0]
    return "\n".join(f"{heading} {text}".lstrip() for (heading, _), text in zip(roots, formulas, strict=True))


def _roots(x: Any, what: str) -> Iterator[tuple[str, Variable]]:
    """(heading, variable) of what is to be printed."""
    program = getattr(x, "program", None)
    if isinstance(program, Program):
        for k, output in enumerate(program.outputs):
            yield f"output {printable(program.keys[k]) if program.keys else k}:", output
        for target, value in program.updates:
            yield f"update of {label(target) if target.name else 'an unnamed shared variable'}:", value
    elif isinstance(x, list | tuple):
        for each in x:
            yield from _roots(each, what)
    elif isinstance(x, Variable):
        yield "", x
    else:
        raise InputError(f"{what}: expected a variable, a list of them, or a function, got {x!r}")


def _tree(root: Variable, numbers: dict[Variable, int]) -> Iterator[str]:
    stack = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        margin = "  " * depth if depth <= INDENTED_LEVELS else "  " * INDENTED_LEVELS + f"(level {depth}) "
        if node in numbers:
            yield f"{margin}{_title(node)} [{numbers[node]}] printed above\n"
            continue
        numbers[node] = len(numbers)
        yield f"{margin}{_title(node)} [{numbers[node]}] {node.type}{_details(node)}\n"
        stack.extend((v, depth + 1) for v in reversed(node.inputs))


def _title(node: Variable) -> str:
    if node.op is not None:
        return node.op.name
    if isinstance(node, Constant):
        return f"constant {_number(node)}"
    name = label(node) if node.name else ""
    return f"shared {name}".rstrip() if isinstance(node, SharedVariable) else name or "unnamed"


def _details(node: Variable) -> str:
    attrs = ", ".join(f"{k}={v}" for k, v in node.attrs.items())
    named = f"  '{label(node)}'" if node.op is not None and node.name else ""
    return f"{named}{f'  {attrs}' if attrs else ''}{f'  <- {node.line}' if node.line else ''}"


def _number(node: Constant) -> str:
    if node.data.ndim == 0:
        return str(node.data[()])
    return " ".join(np.array2string(node.data, threshold=6, edgeitems=2, separator=", ").split())


# Functions of scalar forms for which Python has an operator.
_OPERATORS: dict[str, ast.operator] = {"floordiv": ast.FloorDiv(), "mod": ast.Mod(), "power": ast.Pow()}


class _Formula:
    """The syntax tree of a variable's formula, cut to a size that a person can read.

    Which operands are written out is decided breadth first, so that a long formula loses what is far below. An op whose
    scalar form is a plain operator is printed with it; every other one as a call.
    """

    def __init__(self, root: Variable, largest: int, names: Mapping[Variable, str]) -> None:
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
                trees[place] = ast.Name(printable(self.names[node]))
            elif len(operands) == len(node.inputs):
                trees[place] = expression(node, [trees[k] for k in operands])
        return trees[0]


def expression(node: Variable, operands: list[ast.expr]) -> ast.expr:
    """The syntax tree of one operation on `operands`, as a formula writes it."""
    if isinstance(node, Constant):
        return ast.UnaryOp(ast.USub(), ast.Name(_number(node)[1:])) if _is_negative(node) else ast.Name(_number(node))
    if node.op is None:
        return ast.Name(label(node) if node.name else "unnamed")
    if node.op.show is not None:
        return node.op.show(*operands, **node.attrs)
    names = dict(zip(node.op.args, operands, strict=False))
    form = node.op.tree
    match form:
        case ast.BinOp(left=ast.Name(id=a), right=ast.Name(id=b), op=op) if a != b:
            return ast.BinOp(names[a], op, names[b])
        case ast.Call(func=ast.Name(id=function), args=[ast.Name(id=a), ast.Name(id=b)]) if function in _OPERATORS:
            return ast.BinOp(names[a], _OPERATORS[function], names[b])
        case ast.UnaryOp(operand=ast.Name(id=a), op=unary):
            return ast.UnaryOp(unary, names[a])
        case ast.Compare(left=ast.Name(id=a), ops=ops, comparators=[ast.Name(id=b)]):
            return ast.Compare(names[a], ops, [names[b]])
    return ast.Call(ast.Name(node.op.name), operands, [ast.keyword(k, ast.Name(v)) for k, v in _keywords(node)])


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
    return node.data.ndim == 0 and bool(node.data < 0)

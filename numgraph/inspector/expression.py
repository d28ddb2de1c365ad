"""Expressions as text: a list of the operations in order, or one line.

Nothing here knows an op by name. An op whose scalar form is `x + y` is written with that operator, one that says how it
is to be shown is shown so, and every other as a call. No text grows with the number of paths through a graph.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import numpy as np

from numgraph.graph import Constant, Variable, toposort
from numgraph.op import Op

# How tightly an operator binds; a call or a name binds tightest.
PRECEDENCE: dict[type[ast.AST], int] = {
    ast.BitOr: 2,
    ast.BitXor: 3,
    ast.BitAnd: 4,
    ast.LShift: 5,
    ast.RShift: 5,
    ast.Add: 6,
    ast.Sub: 6,
    ast.Mult: 7,
    ast.Div: 7,
    ast.FloorDiv: 7,
    ast.Mod: 7,
    ast.USub: 8,
    ast.Invert: 8,
    ast.Pow: 9,
}
COMPARISON, TIGHTEST = 1, 10
# A longer part of a one-line expression is abbreviated.
LONGEST = 1000


def pprint(variable: Variable) -> str:
    """The expression on one line, as one would write it: `-mean(log(softmax(dot(x, W) + b, axis=1)))`.

    Variables with a name stand as that name where they are leaves; a result with a name is written out. Parts of more
    than a thousand characters are abbreviated to `op(...)`.
    """
    return expressions([variable])[0]


def expressions(variables: Sequence[Variable], stop: Iterable[Variable] = ()) -> list[str]:
    """`pprint` of several variables. Those in `stop` stand as their names."""
    stops = set(stop)
    texts: dict[Variable, tuple[str, int]] = {}
    for node in toposort(variables, stop=stops):
        if node.op is None or node in stops:
            texts[node] = leaf(node), TIGHTEST
            continue
        text, precedence = _written(node, [texts[v] for v in node.inputs])
        texts[node] = (text, precedence) if len(text) <= LONGEST else (f"{node.op.name}(...)", TIGHTEST)
    return [texts[v][0] for v in variables]


def leaf(variable: Variable) -> str:
    """The name of a leaf, or the value of a constant."""
    if variable.name:
        return variable.name
    if isinstance(variable, Constant):
        value = variable.data
        return str(value[()]) if value.ndim == 0 else f"<constant {variable.type}>"
    return f"<{variable.op.name if variable.op else 'unnamed'} {variable.type}>"


def _written(node: Variable, operands: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """The text of a node, and how tightly it binds."""
    assert node.op is not None
    operator = infix(node.op)
    if operator is None or node.attrs:
        return call(node, [text for text, _ in operands]), TIGHTEST
    symbol, own = operator
    if len(operands) == 1:
        return symbol + _bracketed(operands[0], own), own
    # a - (b - c) needs its brackets, (a - b) - c does not; comparisons do not chain
    left = _bracketed(operands[0], own + (own == COMPARISON))
    return f"{left} {symbol} {_bracketed(operands[1], own + 1)}", own


def _bracketed(operand: tuple[str, int], least: int) -> str:
    text, precedence = operand
    return text if precedence >= least else f"({text})"


def infix(op: Op) -> tuple[str, int] | None:
    """(symbol, precedence) of an op whose scalar form is one operator on its arguments; None for every other."""
    tree = op.tree
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.operand, ast.Name) and type(tree.op) in PRECEDENCE:
        return ast.unparse(tree).removesuffix(tree.operand.id).strip(), PRECEDENCE[type(tree.op)]
    if isinstance(tree, ast.BinOp):
        sides, precedence = (tree.left, tree.right), PRECEDENCE.get(type(tree.op))
    elif isinstance(tree, ast.Compare) and len(tree.ops) == 1:
        sides, precedence = (tree.left, tree.comparators[0]), COMPARISON
    else:
        return None
    names = [side.id for side in sides if isinstance(side, ast.Name)]
    if precedence is None or len(names) != 2 or names != list(op.args):
        return None
    return ast.unparse(tree).removeprefix(names[0]).removesuffix(names[1]).strip(), precedence


def call(node: Variable, operands: Sequence[str]) -> str:
    """`sum(x, axis=(0,))`; attributes that are None are left out."""
    assert node.op is not None
    attributes = [f"{name}={_attribute(value)}" for name, value in node.attrs.items() if value is not None]
    return f"{node.op.name}({', '.join([*operands, *attributes])})"


def _attribute(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype}{list(value.shape)}>"
    return str(value)


def debugprint(variables: Variable | Sequence[Variable], file: TextIO | None = None) -> None:
    """Print how `variables` are computed, one operation per line, operands first; each is printed once.

    A line says: name (t1, t2, ... where there is none), operation, type, and the line of the user's program. It goes to
    `file`, by default the standard output.
    """
    listed = [variables] if isinstance(variables, Variable) else list(variables)
    print(listing(listed), file=file or sys.stdout)


def listing(results: Sequence[Variable], stop: Iterable[Variable] = (), titles: Sequence[str] = ()) -> str:
    """The text of `debugprint`. Variables in `stop` are taken as given.

    titles: what to say of each result at the end, `return` by default: "W becomes" and the like.
    """
    stops = set(stop)
    nodes = toposort(results, stop=stops)
    names = unique_names(nodes)
    rows: list[tuple[str, str, str]] = []
    for node in nodes:
        where = f"<- {node.line}" if node.line else ""
        if node.op is not None and node not in stops:
            operands = [names[v] for v in node.inputs]
            rows.append((f"{names[node]} = {call(node, operands)}", str(node.type), where))
        elif not isinstance(node, Constant):
            kind = "input" if node in stops else type(node).__name__.removesuffix("Variable").lower() or "input"
            rows.append((f"{names[node]}: {kind}", str(node.type), where))
    for k, result in enumerate(results):
        rows.append((f"{titles[k] if titles else 'return'} {names[result]}", "", ""))
    return aligned(rows)


def unique_names(nodes: Sequence[Variable]) -> dict[Variable, str]:
    """A name for each: the user's, with a number where several share it; the value of a constant; t1, t2, ... else."""
    names: dict[Variable, str] = {}
    taken = {v.name for v in nodes if v.name}
    used: dict[str, int] = {}
    temporary = 0
    for node in nodes:
        if node.name:
            used[node.name] = count = used.get(node.name, 0) + 1
            names[node] = node.name if count == 1 else f"{node.name}#{count}"
        elif isinstance(node, Constant):
            names[node] = leaf(node)
        else:
            temporary += 1
            while f"t{temporary}" in taken:
                temporary += 1
            names[node] = f"t{temporary}"
    return names


def aligned(rows: Sequence[tuple[str, ...]], widest: int = 48) -> str:
    """Rows as columns; a cell wider than `widest` pushes only its own row's later cells."""
    count = max(map(len, rows), default=0)
    widths = [max((len(row[k]) for row in rows if len(row[k]) <= widest), default=0) for k in range(count)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)

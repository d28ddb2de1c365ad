"""Expressions as Python: in what is printed, and in comments."""

from __future__ import annotations

from numgraph.loops import program as p
from numgraph.loops.scalar import literal

# How tightly signs bind, as in Python's grammar.
CHOICE, OR, AND, NOT, COMPARE, BIT_OR, BIT_XOR, BIT_AND, SHIFT, SUM, TERM, FACTOR, POWER, ATOM = range(14)
BINDS = {
    "or": OR, "and": AND, "not": NOT, "|": BIT_OR, "^": BIT_XOR, "&": BIT_AND, "<<": SHIFT, ">>": SHIFT, "+": SUM,
    "-": SUM, "*": TERM, "/": TERM, "//": TERM, "%": TERM, "**": POWER,
}  # fmt: skip


def text(node: p.Expression) -> str:
    """An expression."""
    return _text(node)[0]


def _text(node: p.Expression) -> tuple[str, int]:
    """(text, how tightly its outermost sign binds)."""
    match node:
        case p.Name():
            return node.text, ATOM
        case p.Number():
            shown = node.name or literal(node.value, node.dtype)
            return shown, FACTOR if shown.startswith("-") else ATOM
        case p.Load():
            return f"{_inside(node.pointer, ATOM)}[{text(node.index)}]", ATOM
        case p.Binary():
            binds = BINDS[node.sign]
            return f"{_inside(node.left, binds)} {node.sign} {_inside(node.right, binds + 1)}", binds
        case p.Call():
            return f"{node.function}({', '.join(map(text, node.arguments))})", ATOM
        case p.Unary(sign="not"):
            return f"not {_inside(node.operand, NOT)}", NOT
        case p.Unary():
            return f"{node.sign}{_inside(node.operand, FACTOR)}", FACTOR
        case p.Compare():
            return f"{_inside(node.left, BIT_OR)} {node.sign} {_inside(node.right, BIT_OR)}", COMPARE
        case p.Logic():
            # `a and b` in `or` needs no parentheses, but is read sooner with them
            parts = [
                _inside(v, BINDS[v.sign] if isinstance(v, p.Logic) and v.sign == node.sign else NOT) for v in node.parts
            ]
            return f" {node.sign} ".join(parts), BINDS[node.sign]
        case p.Choice():
            yes, condition, no = (_inside(v, b) for v, b in ((node.yes, OR), (node.condition, OR), (node.no, CHOICE)))
            return f"{yes} if {condition} else {no}", CHOICE
        case p.Several():
            inside = ", ".join(map(text, node.parts))
            return f"({inside}{',' if len(node.parts) == 1 else ''})", ATOM
    raise AssertionError(node)


def _inside(node: p.Expression, binds: int) -> str:
    """The text, in parentheses where its own sign binds less tightly."""
    shown, own = _text(node)
    return shown if own >= binds else f"({shown})"

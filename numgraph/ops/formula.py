"""How formulas write ops that have a notation of their own: `show` functions, from syntax trees to a syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

__all__: list[str] = []


def call(function: str, *arguments: ast.expr, **keywords: ast.expr) -> ast.expr:
    """`function(a, b, k=c)`."""
    return ast.Call(ast.Name(function), list(arguments), [ast.keyword(k, v) for k, v in keywords.items()])


def method(x: ast.expr, name: str, *arguments: ast.expr) -> ast.expr:
    """`x.name(a, b)`."""
    return ast.Call(ast.Attribute(x, name), list(arguments), [])


def shape(lengths: Sequence[ast.expr]) -> ast.expr:
    """`n` or `(n, m)`."""
    return lengths[0] if len(lengths) == 1 else ast.Tuple(list(lengths))


def number(x: ast.expr) -> str:
    """The digits of a written-out number, "" for every other tree."""
    return x.id if isinstance(x, ast.Name) and x.id[:1].isdigit() else ""


def times(a: ast.expr, b: ast.expr) -> ast.expr:
    """`a * b`."""
    return ast.BinOp(a, ast.Mult(), b)


def over(a: ast.expr, b: ast.expr) -> ast.expr:
    """`a / b`."""
    return ast.BinOp(a, ast.Div(), b)


def product(a: ast.expr, b: ast.expr) -> ast.expr:
    """`a @ b`."""
    return ast.BinOp(a, ast.MatMult(), b)


def length(x: ast.expr, axis: int) -> ast.expr:
    """`x.shape[0]`."""
    return ast.Subscript(ast.Attribute(x, "shape"), ast.Constant(axis))


def cast(x: ast.expr, dtype: str) -> ast.expr:
    """`float32(x)`."""
    return call(dtype, x)


def shuffled(x: ast.expr, pattern: Sequence[int]) -> ast.expr:
    """`x.T`, `x[:, None]`, `x @ v` of a vector, and `x.dimshuffle(1, 'x', 0)` for the rest."""
    if isinstance(x, ast.BinOp) and isinstance(x.op, ast.MatMult) and tuple(pattern) in ((), (0,), (1,)):
        row = _vector(x.left, "None") if 0 not in pattern else x.left
        column = _vector(x.right, "(:, None)") if 1 not in pattern else x.right
        if row is not None and column is not None:
            return product(row, column)
    kept = [axis for axis in pattern if axis >= 0]
    if len(pattern) > 1 and list(pattern) == list(range(len(pattern)))[::-1]:
        return ast.Attribute(x, "T")
    if kept == list(range(len(kept))) and len(kept) < len(pattern):
        entries: list[ast.expr] = [ast.Constant(None) if axis < 0 else ast.Slice() for axis in pattern]
        while len(entries) > 1 and isinstance(entries[-1], ast.Slice):
            entries.pop()
        return ast.Subscript(x, shape(entries))
    return method(x, "dimshuffle", *(ast.Constant("x" if axis < 0 else axis) for axis in pattern))


def _vector(x: ast.expr, entries: str) -> ast.expr | None:
    """v of `v[None]` or `v[:, None]`."""
    return x.value if isinstance(x, ast.Subscript) and ast.unparse(x.slice) == entries else None


def filled(value: ast.expr, *lengths: ast.expr) -> ast.expr:
    """`zeros((n, m))`, `ones(n)`, `full(n, value)`."""
    digits = number(value)
    if digits in ("0", "0.0"):
        return call("zeros", shape(lengths))
    return call("ones", shape(lengths)) if digits in ("1", "1.0") else call("full", shape(lengths), value)


def counted(start: ast.expr, n: ast.expr, step: ast.expr, *stop: ast.expr, dtype: str) -> ast.expr:
    """`arange(n)`, or `start + step * arange(n)`."""
    result = call("arange", n)
    if number(step) != "1":
        result = times(step, result)
    return result if number(start) == "0" else ast.BinOp(start, ast.Add(), result)


def reshaped(x: ast.expr, *lengths: ast.expr) -> ast.expr:
    """`x.reshape(n, m)`."""
    return method(x, "reshape", *lengths)


def stretched(x: ast.expr, *lengths: ast.expr) -> ast.expr:
    """`broadcast_to(x, (n, m))`."""
    return call("broadcast_to", x, shape(lengths))


def joined(*parts: ast.expr, axis: int) -> ast.expr:
    """`concatenate([x, y], axis=1)`."""
    return call("concatenate", ast.List(list(parts)), **({"axis": ast.Constant(axis)} if axis else {}))


def written(part: ast.expr, value: ast.expr, mode: Any) -> ast.expr:
    """`inc_subtensor(x[a:b], value)`, or `set_subtensor`."""
    return call("inc_subtensor" if mode == "add" else "set_subtensor", part, value)


def summed_like(base: ast.expr, g: ast.expr, mode: str) -> ast.expr:
    """`unbroadcast(base, g)`; only `g` where the base is zeros, as in gradients, which would not be readable else."""
    zeros = isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "zeros"
    return g if zeros else call("unbroadcast", base, g)

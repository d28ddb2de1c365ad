"""Which statements of the kernels an exported module needs."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# Decorators that do nothing but make something of the function. Others may tell Numba of it, and stay; but what
# implements a function that is not needed is not needed either.
_PLAIN = ("register_jitable", "scalar", "sized", "helper", "intrinsic")
_IMPLEMENTING = ("overload", "lower_builtin", "infer_global")


@dataclass
class _Statement:
    """A statement of a kernel. defines: the names that it gives, or implements; none if it is always needed."""

    text: str
    kernel: int
    defines: set[str] = field(default_factory=set)
    refers: set[str] = field(default_factory=set)


def used(kernels: Sequence[str], others: Iterable[str]) -> list[str]:
    """The sources of kernels without the functions and constants to which neither the rest of the module nor what is
    left of the kernels refers; a kernel of which nothing is left is left out."""
    statements = [s for k, text in enumerate(kernels) for s in _statements(text, k)]
    # the last one of a name is what others see; all are kept
    by_name: dict[str, list[_Statement]] = {}
    for statement in statements:
        for name in statement.defines:
            by_name.setdefault(name, []).append(statement)
    waiting = [name for text in others for name in _names(ast.parse(text))]
    kept = {id(s) for s in statements if not s.defines}
    waiting += [name for s in statements if not s.defines for name in s.refers]
    while waiting:
        for statement in by_name.pop(waiting.pop(), ()):
            if id(statement) not in kept:
                kept.add(id(statement))
                waiting += statement.refers
    left = []
    for k, text in enumerate(kernels):
        own = [s for s in statements if s.kernel == k and id(s) in kept]
        if any(s.defines for s in own) or not any(s.kernel == k and s.defines for s in statements):
            head = text.split("\n", 1)[0]
            body = "".join(s.text for s in own).strip("\n")
            left.append(body if body.startswith(head) else f"{head}\n{body}")
    return left


def _statements(text: str, kernel: int) -> list[_Statement]:
    """Each statement with the comments and blank lines above it."""
    lines = text.split("\n")
    found, begin = [], 0
    for node in ast.parse(text).body:
        end = node.end_lineno or node.lineno
        segment = "\n".join(lines[begin:end]) + "\n"
        found.append(_Statement(segment, kernel, _defined(node), set(_names(node))))
        begin = end
    return found


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Assign):
        names = [n for target in node.targets for n in ast.walk(target)]
        plain = all(isinstance(n, ast.Name | ast.Tuple | ast.expr_context) for n in names)
        return {n.id for n in names if isinstance(n, ast.Name)} if plain else set()
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        for decorator in node.decorator_list:
            made = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = made.id if isinstance(made, ast.Name) else ""
            if name in _IMPLEMENTING and isinstance(decorator, ast.Call) and isinstance(decorator.args[0], ast.Name):
                return {decorator.args[0].id}
            if name not in _PLAIN:
                return set()
        return {node.name}
    return set()


def _names(node: ast.AST) -> Iterable[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value.isidentifier():
            # what is looked up by its name
            yield inner.value

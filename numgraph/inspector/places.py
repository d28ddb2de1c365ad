"""Where the functions of a program are to be found: under which variables, in which objects, lists and dicts."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType, NoneType
from typing import Any

from numgraph.function import Function
from numgraph.graph import Variable

# How many objects are looked at, how far from a variable they may be, and how much of a list.
MOST_OBJECTS, DEEPEST, MOST_ITEMS = 20_000, 5, 1_000
_CLOSED = (NoneType, FunctionType, MethodType, str, bytes, int, float, complex, type, ModuleType, Variable, Function)


class Places:
    """Functions by number, name, and by the expressions under which variables hold them: `step`, `model.train`,
    `functions[0]`, `d['train']`.

    functions: in the order in which they were built. scopes: variables, those that are looked at first in front.
    """

    def __init__(self, functions: Sequence[Function], scopes: Sequence[Mapping[str, Any]]) -> None:
        self.functions = functions
        self.scopes = scopes
        self.paths: dict[int, list[str]] = {id(f): [] for f in functions}
        for scope in scopes:
            for path, function in held_in(scope):
                known = self.paths.get(id(function))
                if known is not None and path not in known:
                    known.append(path)

    def find(self, name: str) -> list[Function]:
        """The functions that `name` means, none if there are none: a number in the order of building, which may be
        negative; a `name=`, which several may have; an expression of a variable; or the end of one (`train` for
        `model.train` or `d['train']`)."""
        if name.removeprefix("-").isdecimal():
            number = int(name)
            count = len(self.functions)
            return [self.functions[number]] if -count <= number < count else []
        named = [f for f in self.functions if f.name == name]
        if named:
            return named
        for scope in self.scopes:
            found = evaluated(name, scope)
            if any(found is f for f in self.functions):
                return [found]
        ends = (f".{quoted(name)}", f"[{name!r}]")
        return [f for f in self.functions if any(path.endswith(ends) for path in self.paths[id(f)])]

    def path(self, function: Function) -> str:
        """The first expression that holds a function; empty when no variable leads to it."""
        return next(iter(self.paths[id(function)]), "")


def held_in(scope: Mapping[str, Any]) -> Iterator[tuple[str, Function]]:
    """(expression, function) of what variables lead to, the shortest way first; no code of theirs is run."""
    waiting = deque((name, value, 0) for name, value in [*scope.items()] if not name.startswith("__"))
    seen: set[int] = set()
    while waiting and len(seen) < MOST_OBJECTS:
        path, value, depth = waiting.popleft()
        if isinstance(value, Function):
            yield path, value
        elif id(value) not in seen and not isinstance(value, _CLOSED) and depth < DEEPEST:
            seen.add(id(value))
            waiting.extend((path + step, inner, depth + 1) for step, inner in _inside(value))


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    """(what leads there, what is there) of an object: its attributes, or its elements."""
    if isinstance(value, dict):
        for key in [*value][:MOST_ITEMS]:
            if isinstance(key, str | int):
                yield f"[{key!r}]", value[key]
    elif isinstance(value, list | tuple):
        for k, item in enumerate(value[:MOST_ITEMS]):
            yield f"[{k}]", item
        for k, name in enumerate(getattr(value, "_fields", ())):
            yield f".{name}", value[k]
    try:
        attributes = dict(object.__getattribute__(value, "__dict__"))
    except (AttributeError, TypeError):
        attributes = {}
    for cls in type(value).__mro__:
        for slot, member in vars(cls).items():
            if isinstance(member, MemberDescriptorType) and slot not in attributes:
                try:
                    attributes[slot] = member.__get__(value)
                except AttributeError:
                    continue
    for name, inner in attributes.items():
        if isinstance(name, str) and not name.startswith("__"):
            yield f".{name}", inner


def quoted(text: str) -> str:
    """`d[train]` as `d['train']`: a shell takes the quotes away."""
    try:
        return ast.unparse(_Quoted().visit(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError):
        return text


class _Quoted(ast.NodeTransformer):
    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        index = ast.Constant(node.slice.id) if isinstance(node.slice, ast.Name) else node.slice
        return ast.Subscript(self.visit(node.value), index)


def evaluated(text: str, scope: Mapping[str, Any]) -> Any:
    """The value of `a.b[0]['c']` with these variables: names, attributes and constant indices; None where it has
    none."""
    try:
        return _value(ast.parse(quoted(text), mode="eval").body, scope)
    except Exception:  # whatever attributes of the user's raise
        return None


def _value(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name(name):
            return scope[name]
        case ast.Attribute(inner, name):
            return getattr(_value(inner, scope), name)
        case ast.Subscript(inner, index):
            return _value(inner, scope)[ast.literal_eval(index)]
    raise ValueError(ast.unparse(node))

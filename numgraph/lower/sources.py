"""Reads kernel files and generated modules: their functions as source, their constants as values.

A kernel file is not imported, since it imports Numba. Its statements are executed but for those that are about Numba:
what mentions a name that comes from there, or one that was made by such a statement, is left out.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache as remember
from pathlib import Path
from types import CodeType
from typing import Any

from numgraph.lower.kinds import Unsupported

KERNELS = "numgraph.kernels."


@dataclass(frozen=True, eq=False)
class Source:
    """A function whose body can be compiled. module: where it stands, whose names it may use."""

    name: str
    tree: ast.FunctionDef
    module: Module

    @property
    def decorators(self) -> list[str]:
        """The names of its decorators, calls included."""
        found = [d.func if isinstance(d, ast.Call) else d for d in self.tree.decorator_list]
        return [d.id for d in found if isinstance(d, ast.Name)]


@dataclass
class Module:
    """What a file defines. values: constants and Python functions; sources: functions to compile by name."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)

    def find(self, name: str) -> Any:
        """What a name means in the module: a `Source` where it has one; Unsupported where it has no meaning."""
        if name in self.sources:
            return self.sources[name]
        if name in self.values:
            return self.values[name]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        raise Unsupported(f"{self.name}: the name {name}")


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement of a file, and the code of it with the names in it, but for functions that are only compiled here."""

    tree: ast.stmt
    code: CodeType | None
    names: frozenset[str]


def _statement(tree: ast.stmt, file: str) -> Statement:
    if isinstance(tree, ast.FunctionDef) and tree.decorator_list:
        return Statement(tree, None, frozenset())
    code = compile(ast.Module([tree], []), file, "exec")
    return Statement(tree, code, frozenset(_names(code)))


def _names(code: CodeType) -> Iterator[str]:
    """The global names in a code object and in those within it."""
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)


@remember
def _statements(name: str) -> list[Statement]:
    """The statements of a kernel file."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None, name
    text = Path(spec.origin).read_text(encoding="utf-8")
    return [_statement(tree, spec.origin) for tree in ast.parse(text, spec.origin).body]


def _assigned(tree: ast.stmt) -> Iterator[str]:
    if isinstance(tree, ast.FunctionDef | ast.ClassDef):
        yield tree.name
    else:
        yield from (n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


class Library:
    """The modules that one compilation uses, each read once.

    known: what is not compiled from its source but by a function of its own, by "module.name".
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = known
        self.modules: dict[str, Module] = {}

    def kernel(self, name: str) -> Module:
        """A kernel file, "numgraph.kernels.support"."""
        if name not in self.modules:
            self.modules[name] = module = Module(name)
            self._read(module, _statements(name))
        return self.modules[name]

    def generated(self, text: str) -> Module:
        """A generated module: imports, functions, and names for kernels (`argsort = helper(argsort_source)`)."""
        module = Module("generated")
        self._read(module, [_statement(tree, module.name) for tree in ast.parse(text).body])
        return module

    def _read(self, module: Module, statements: list[Statement]) -> None:
        foreign: set[str] = set()
        # executed code finds its module there, for the classes in it
        module.values["__name__"] = module.name
        for statement in statements:
            tree = statement.tree
            if isinstance(tree, ast.ImportFrom | ast.Import):
                self._import(module, statement, tree, foreign)
            elif isinstance(tree, ast.FunctionDef):
                self._function(module, statement, tree, foreign)
            elif isinstance(tree, ast.Assign) and self._alias(module, tree):
                continue
            elif statement.names & foreign:
                foreign.update(_assigned(tree))
            else:
                _execute(statement, module)

    def _import(
        self, module: Module, statement: Statement, tree: ast.ImportFrom | ast.Import, foreign: set[str]
    ) -> None:
        names = [a.asname or a.name for a in tree.names]
        where = tree.module or "" if isinstance(tree, ast.ImportFrom) else tree.names[0].name
        if where.split(".")[0] == "numba":
            foreign.update(names)
        elif where.startswith(KERNELS):
            for alias, name in zip(tree.names, names, strict=True):
                self._take(module, where, alias.name, name, foreign)
        else:
            _execute(statement, module)

    def _take(self, module: Module, where: str, name: str, new: str, foreign: set[str]) -> None:
        """Import one name of another kernel file."""
        other = self.kernel(where)
        if name in other.sources:
            module.sources[new] = other.sources[name]
        if name in other.values:
            module.values[new] = other.values[name]
        else:
            foreign.add(new)

    def _function(self, module: Module, statement: Statement, tree: ast.FunctionDef, foreign: set[str]) -> None:
        name = f"{module.name.removeprefix(KERNELS)}.{tree.name}"
        if name in self.known:
            module.values[tree.name] = self.known[name]
            return
        module.sources[tree.name] = Source(tree.name, tree, module)
        if statement.code is None or statement.names & foreign:
            foreign.add(tree.name)
        else:
            _execute(statement, module)

    def _alias(self, module: Module, statement: ast.Assign) -> bool:
        """Whether a statement is `name = helper(function)` or `name = wrapped("name", primitive)`."""
        target, value = statement.targets[0], statement.value
        if not (isinstance(target, ast.Name) and isinstance(value, ast.Call) and isinstance(value.func, ast.Name)):
            return False
        first = value.args[0] if value.args else None
        if value.func.id == "helper" and isinstance(first, ast.Name):
            module.sources[target.id] = module.sources[first.id]
            return True
        if value.func.id == "wrapped" and isinstance(first, ast.Constant) and isinstance(first.value, str):
            own = value.args[1] if len(value.args) > 1 else None
            module.values[target.id] = module.values[own.id] if isinstance(own, ast.Name) else self.known[first.value]
            return True
        return False


def _execute(statement: Statement, module: Module) -> None:
    assert statement.code is not None
    exec(statement.code, module.values)

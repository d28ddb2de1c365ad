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


@remember
def _parsed(name: str) -> ast.Module:
    """The syntax tree of a kernel file."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None, name
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"), spec.origin)


def _mentioned(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}


def _assigned(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


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
            self._read(module, _parsed(name))
        return self.modules[name]

    def generated(self, text: str) -> Module:
        """A generated module: imports, functions, and names for kernels (`argsort = helper(argsort_source)`)."""
        module = Module("generated")
        self._read(module, ast.parse(text))
        return module

    def _read(self, module: Module, tree: ast.Module) -> None:
        foreign: set[str] = set()
        # executed code finds its module there, for the classes in it
        module.values["__name__"] = module.name
        for statement in tree.body:
            if isinstance(statement, ast.ImportFrom | ast.Import):
                self._import(module, statement, foreign)
            elif isinstance(statement, ast.FunctionDef):
                self._function(module, statement, foreign)
            elif isinstance(statement, ast.Assign) and self._alias(module, statement):
                continue
            elif _mentioned(statement) & foreign:
                foreign.update(_assigned(statement))
            else:
                _execute(statement, module)

    def _import(self, module: Module, statement: ast.ImportFrom | ast.Import, foreign: set[str]) -> None:
        names = [a.asname or a.name for a in statement.names]
        where = statement.module or "" if isinstance(statement, ast.ImportFrom) else statement.names[0].name
        if where.split(".")[0] == "numba":
            foreign.update(names)
        elif where.startswith(KERNELS):
            for alias, name in zip(statement.names, names, strict=True):
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

    def _function(self, module: Module, tree: ast.FunctionDef, foreign: set[str]) -> None:
        name = f"{module.name.removeprefix(KERNELS)}.{tree.name}"
        if name in self.known:
            module.values[tree.name] = self.known[name]
            return
        module.sources[tree.name] = Source(tree.name, tree, module)
        if _mentioned(tree) & foreign:
            foreign.add(tree.name)
        else:
            _execute(tree, module)

    def _alias(self, module: Module, statement: ast.Assign) -> bool:
        """Whether a statement is `name = helper(function)` or `name = wrapped("name", primitive)`."""
        target, value = statement.targets[0], statement.value
        if not (isinstance(target, ast.Name) and isinstance(value, ast.Call) and isinstance(value.func, ast.Name)):
            return False
        first = value.args[0] if value.args else None
        if value.func.id == "helper" and isinstance(first, ast.Name):
            module.sources[target.id] = module.sources[first.id]
            return True
        if value.func.id == "wrapped" and isinstance(first, ast.Constant):
            own = value.args[1] if len(value.args) > 1 else None
            module.values[target.id] = module.values[own.id] if isinstance(own, ast.Name) else self.known[first.value]
            return True
        return False


def _execute(statement: ast.stmt, module: Module) -> None:
    exec(compile(ast.Module([statement], []), module.name, "exec"), module.values)

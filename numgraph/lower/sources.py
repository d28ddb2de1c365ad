"""The functions of generated modules and kernel files as source: their trees, by the code that Python made of them."""

from __future__ import annotations

import ast
import builtins
import linecache
from dataclasses import dataclass
from functools import cache as remember
from types import CodeType, FunctionType
from typing import Any

from numba.core.dispatcher import Dispatcher

from numgraph.lower.values import INT64, Type, Unsupported

KERNELS = "numgraph.kernels."
# Marks a file of generated source.
GENERATED = "numgraph_generated_"
# What generated code decorates its functions with -> the types of their arguments; they return int64.
PHASES = {"jit": (INT64,), "divided": (INT64,) * 3}


@dataclass(frozen=True, eq=False)
class Source:
    """A function whose body can be compiled. names: the names of its module."""

    name: str
    tree: ast.FunctionDef
    names: dict[str, Any]

    @property
    def decorators(self) -> list[str]:
        """The names of its decorators, calls included."""
        found = [d.func if isinstance(d, ast.Call) else d for d in self.tree.decorator_list]
        return [d.id for d in found if isinstance(d, ast.Name)]

    @property
    def phase(self) -> tuple[Type, ...] | None:
        """The types of its arguments, if it is a function that generated code consists of."""
        return next((PHASES[d] for d in self.decorators if d in PHASES), None)

    def find(self, name: str) -> Any:
        """What a global name means; Unsupported where it has no meaning."""
        if name in self.names:
            return self.names[name]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        raise Unsupported(f"{self.name}: the name {name}")


def function_of(target: Any) -> FunctionType | None:
    """The function of ours that something called is, None for what is not compiled from its source here: a user's
    function, an operator, an intrinsic."""
    function = target.py_func if isinstance(target, Dispatcher) else target
    if not isinstance(function, FunctionType):
        return None
    module = function.__module__ or ""
    if module.startswith(GENERATED) or (
        module.startswith(KERNELS) and (function is not target or _is_marked(function))
    ):
        return function
    return None


def _is_marked(function: FunctionType) -> bool:
    """Whether a plain function of a kernel file is a kernel by its decorator; others are known to Numba otherwise."""
    return bool(_kernel_trees(function.__code__.co_filename)[function.__code__.co_firstlineno].decorator_list)


class Sources:
    """The functions that one program uses, each found once."""

    def __init__(self) -> None:
        self.known: dict[CodeType, Source] = {}
        self.trees: dict[str, dict[int, ast.FunctionDef]] = {}

    def of(self, function: FunctionType) -> Source:
        """The source of a function."""
        code = function.__code__
        if code not in self.known:
            if function.__closure__ or function.__defaults__ or function.__kwdefaults__:
                raise Unsupported(f"{function.__name__}, which has a closure or defaults")
            tree = self._of_file(function)[code.co_firstlineno]
            self.known[code] = Source(function.__name__, tree, function.__globals__)
        return self.known[code]

    def _of_file(self, function: FunctionType) -> dict[int, ast.FunctionDef]:
        file = function.__code__.co_filename
        if function.__module__.startswith(KERNELS):
            return _kernel_trees(file)
        if file not in self.trees:
            # who executed the text has left its tree there
            self.trees[file] = _by_line(function.__globals__.get("__tree__") or _parsed(file))
        return self.trees[file]


@remember
def _kernel_trees(file: str) -> dict[int, ast.FunctionDef]:
    return _by_line(_parsed(file))


def _parsed(file: str) -> ast.Module:
    return ast.parse("".join(linecache.getlines(file)), file)


def _by_line(tree: ast.Module) -> dict[int, ast.FunctionDef]:
    """The functions of a file by the line where they begin, decorators included."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {min([f.lineno, *(d.lineno for d in f.decorator_list)]): f for f in functions}

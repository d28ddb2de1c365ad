"""What a kernel is made of: its source text, and the values that its names stand for."""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from numgraph.errors import KernelError


def text(function: Callable[..., Any]) -> str:
    """The source of a function, from its first column; KernelError where there is none.

    Generated functions have one if they come from a file, or if `linecache` knows their text.
    """
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise KernelError(
            f"kernel {getattr(function, '__qualname__', function)!r}: its source is not known ({error})\n"
            "  fix: define it in a file, or enter its text into linecache.cache under its code's file name"
        ) from error


def tree(function: Callable[..., Any]) -> ast.FunctionDef:
    """The syntax tree of a function, with the line numbers of its file and without decorators."""
    (definition,) = ast.parse(text(function)).body
    if not isinstance(definition, ast.FunctionDef):
        raise KernelError(f"kernel {function!r}: not a plain function\n  fix: define it with def")
    ast.increment_lineno(definition, function.__code__.co_firstlineno - 1)
    definition.decorator_list = []
    return definition


def values(function: Callable[..., Any]) -> dict[str, Any]:
    """The values of the names that a function uses and does not define: of its closure, its module and the builtins."""
    assert isinstance(function, FunctionType)
    found = {}
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for name in _names(function.__code__):
        if name in cells:
            found[name] = cells[name].cell_contents
        elif name in function.__globals__:
            found[name] = function.__globals__[name]
        elif hasattr(builtins, name):
            found[name] = getattr(builtins, name)
    return found


def _names(code: CodeType) -> Iterator[str]:
    """Names that code reads from outside of it."""
    yield from (i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_DEREF"))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def fingerprint(function: Callable[..., Any]) -> list[str]:
    """Texts that are equal exactly if two functions compile to the same code: sources, and values of captured names.

    Functions that are called are followed. Other values are described by `repr`, modules by name.
    """
    parts: list[str] = []
    waiting, seen = [function], {id(function)}
    while waiting:
        current = waiting.pop()
        parts.append(text(current) + getattr(current, "users_digest", ""))
        for name, value in sorted(values(current).items()):
            inner = plain_function(value)
            if inner is None:
                # an address would differ in the next process
                shown = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
                parts.append(f"{name} = {value.__name__ if isinstance(value, ModuleType) else shown}")
            else:
                parts.append(f"{name} is {inner.__qualname__}")
                if id(inner) not in seen:
                    seen.add(id(inner))
                    waiting.append(inner)
    return parts


def plain_function(value: Any) -> FunctionType | None:
    """The Python function of a helper or of an intrinsic, None for other values."""
    inner = value if isinstance(value, FunctionType) else getattr(value, "__wrapped__", None)
    return inner if isinstance(inner, FunctionType) else None


def simulated_function(value: Any) -> FunctionType | None:
    """The Python function that stands for a helper in the simulator: an intrinsic's attribute `simulated`."""
    inner = value if isinstance(value, FunctionType) else getattr(value, "simulated", None)
    return inner if isinstance(inner, FunctionType) else None

"""Kernels that are compiled once for all functions, which find their addresses in the table."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache as remember
from pathlib import Path

from numgraph.runtime import native

_SOURCE = '''"""numgraph: {name} of {dtype}, for all functions"""

from numgraph.kernels.{module} import {name} as {name}_source
from numgraph.kernels.support import c_function, {pointer}, helper

{name} = helper({name}_source)


@c_function("void({types})")
def enter({arguments}):
    {name}({given})
'''


@remember
def unit_source(function: str, dtype: str, pointers: int, source: str = _SOURCE, entry: str = "enter") -> str:
    """The module that has a kernel, "module.name", as its entry, a function of numbers. pointers: how many of its
    arguments, the first ones, point to elements of the dtype: they are addresses there. source: how it is written."""
    module, _, name = function.rpartition(".")
    arguments = _arguments(module, name)
    pointer = f"f{dtype[-2:]}"
    given = [f"{pointer}({a})" if k < pointers else a for k, a in enumerate(arguments)]
    return source.format(
        entry=entry,
        name=name,
        dtype=dtype,
        module=module,
        pointer=pointer,
        types=", ".join(["int64"] * len(arguments)),
        arguments=", ".join(arguments),
        given=", ".join(given),
    )


def _arguments(module: str, name: str) -> list[str]:
    """The names of a kernel's arguments, without loading Numba."""
    spec = importlib.util.find_spec(f"numgraph.kernels.{module}")
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = next(v for v in tree.body if isinstance(v, ast.FunctionDef) and v.name == name)
    return [a.arg for a in found.args.args]


def begin_unit(function: str, dtype: str, pointers: int) -> None:
    """Load the code of a kernel, see `unit_source`, or lower it now; what is compiled next has its machine code made
    meanwhile."""
    native.unit(unit_source(function, dtype, pointers))


def unit_address(function: str, dtype: str, pointers: int) -> int:
    """The address of a kernel; its code is loaded, or compiled now."""
    return native.unit(unit_source(function, dtype, pointers))().address

"""The top of a generated module: what it does, and what it imports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from numgraph.emit.writer import Line
from numgraph.loops.names import CHAINS, DTYPES, FINDERS, FOREIGN, HINTS, PRODUCTS, SUPPORT, USERS
from numgraph.loops.table import Layout
from numgraph.text import docstring

WIDTH = 110


def words(code: str) -> set[str]:
    """The names and keywords in generated code."""
    return set(re.findall(r"[^\W\d]\w*", code))


def module_header(
    title: Sequence[str], phases: Iterable[str], code: str, vector: set[str], kernels: Iterable[str]
) -> list[str]:
    """The lines above the functions of `code`.

    title: lines that say what the graph is in the user's terms. phases: one line each. vector: the vectorised
    functions ("module.function"). kernels: the named kernels ("module.function") that are called.
    """
    used = words(code)
    functions = [kernel.rsplit(".", 1) for kernel in sorted(kernels)]
    lines = [*docstring([*title, "", *phases]), "", *libraries(used)]
    lines += [""] if lines[-1] else []
    lines += _import("calls", PRODUCTS & used)
    lines += _import("chains", CHAINS & used)
    lines += _import("foreign", FOREIGN & used)
    lines += [f"from numgraph.kernels.{module} import {name} as {name}_source" for module, name in functions]
    lines += _import("loops", HINTS & used)
    lines += _import("support", (SUPPORT & used) | ({"helper"} if functions else set()))
    lines += _import("users", USERS & used)
    for module in sorted({name.partition(".")[0] for name in vector}):
        lines += _import(module, used & {name.removeprefix(f"{module}.") for name in vector})
    lines += finders(used)
    lines += [f"{name} = helper({name}_source)" for _, name in functions]
    return [*lines, ""]


def libraries(used: set[str]) -> list[str]:
    """The imports of Python's and NumPy's modules. used: the names in the code."""
    dtypes = [d for d in DTYPES if d in used]
    lines = ["import math", ""] if "math" in used else []
    lines += ["import numpy as np"] if "np" in used else []
    return [*lines, f"from numpy import {', '.join(dtypes)}"] if dtypes else lines


def finders(used: set[str]) -> list[str]:
    """The import of what finds users' functions."""
    return [f"from numgraph.userfunctions.function import {name}" for name in sorted(FINDERS & used)]


def _import(module: str, names: Iterable[str]) -> list[str]:
    """Imports of a kernel file; a long list in several statements, each on one line, as `runtime.export` reads them."""
    lines: list[str] = []
    for name in sorted(names):
        if lines and len(lines[-1]) + len(name) < WIDTH:
            lines[-1] += f", {name}"
        else:
            lines.append(f"from numgraph.kernels.{module} import {name}")
    return lines


def slot_lines(layout: Layout, used: set[str]) -> list[str]:
    """The constants of a module that say which slot is which, in the order of the slots."""
    rows: list[list[tuple[str, str]]] = []
    room = 0
    for pair in ((name, str(k)) for k, name in enumerate(layout.names) if name in used):
        length = sum(map(len, pair)) + 4
        if length > room:
            rows.append([])
            room = WIDTH
        rows[-1].append(pair)
        room -= length
    return [" = ".join(map(", ".join, zip(*row, strict=True))) for row in rows]


def with_users(layout: Layout, lines: Sequence[Line], finder: str) -> list[Line]:
    """Lines, and above them what finds the users' functions that occur in them."""
    return [*found_functions(layout, words("\n".join(line.code for line in lines)), finder), *lines]


def found_functions(layout: Layout, used: set[str], finder: str) -> list[Line]:
    """The statements that find the users' functions whose names occur in the code below."""
    lines: list[Line] = []
    for (user, count, checks), name in layout.functions.items():
        if name in used:
            found = f"{finder}({user.digest!r}, {user.module!r}, {user.qualname!r})".replace("'", '"')
            code = f"{name} = {f'checked({found}, {count})' if checks else found}"
            note = "may raise: (value, whether it raised)" if checks else ""
            lines.append(Line(0, code, note, (user.line,)))
    return [*lines, Line(0, ""), Line(0, "")] if lines else []

"""The top of a generated module: what it does, and what it imports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from numgraph.loops.scalar import HELPERS, POINTERS
from numgraph.text import docstring

# What generated code may use of `support`, `calls`, `loops` and `users` in `kernels/`; names that occur are imported.
SUPPORT = (
    frozenset(
        """add_up argument_address argument_length divided entry fail floor_div_float from_python helper
    items_of jit largest launch mod_float multiply_up real_of relock resident_address resident_length shape share_count
    smallest table_of to_python unlock""".split()
    )
    | set(POINTERS.values())
    | HELPERS
)
PRODUCTS = frozenset({"sgemm", "dgemm", "sgemm_rows", "dgemm_rows"})
HINTS = frozenset({"interleave"})
USERS = frozenset({"bools", "checked", "refuse", "room", "view"})
# How generated code finds users' functions, of `userfunctions.function`.
FINDERS = frozenset({"users_function", "plain_users_function"})
WIDTH = 110
DTYPES = "float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()


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
    dtypes = [d for d in DTYPES if d in used]
    lines = [*docstring([*title, "", *phases]), ""]
    lines += ["import math", ""] if "math" in used else []
    lines += ["import numpy as np"] if "np" in used else []
    lines += [f"from numpy import {', '.join(dtypes)}"] if dtypes else []
    lines += [""] if "np" in used or dtypes else []
    lines += _import("calls", PRODUCTS & used)
    lines += [f"from numgraph.kernels.{module} import {name} as {name}_source" for module, name in functions]
    lines += _import("loops", HINTS & used)
    lines += _import("support", (SUPPORT & used) | ({"helper"} if functions else set()))
    lines += _import("users", USERS & used)
    for module in sorted({name.partition(".")[0] for name in vector}):
        lines += _import(module, used & {name.removeprefix(f"{module}.") for name in vector})
    lines += finders(used)
    lines += [f"{name} = helper({name}_source)" for _, name in functions]
    return [*lines, ""]


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

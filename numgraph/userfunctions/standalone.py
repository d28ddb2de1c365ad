"""Finds users' functions in an exported module: copied by `export` into it, so it uses Numba and Python alone."""

from __future__ import annotations

import importlib
from typing import Any

import numba


def users_function(digest: str, module: str, qualname: str) -> Any:
    """A user's function, as its module has it now, for compiled code to call. digest: of what it was at the export."""
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    plain = getattr(found, "py_func", found)
    given = getattr(found, "targetoptions", {"error_model": "numpy"})
    kept = ("error_model", "fastmath", "boundscheck", "forceinline")
    options: dict[str, Any] = {"error_model": "python", "fastmath": False, "_nrt": True}
    options |= {name: given[name] for name in kept if given.get(name) is not None}
    return numba.njit(**options)(plain)

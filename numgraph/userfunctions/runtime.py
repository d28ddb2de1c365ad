"""Numba's runtime, which machine code of users' functions may call: memory, exceptions, functions of its library."""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib import import_module

_NAMES = re.compile(rb"\b(?:NRT|numba)_\w+")


def load_runtime(code: bytes, harmless: Collection[str]) -> None:
    """Load Numba if object code names functions of its runtime: LLVM knows them from then on.

    harmless: those of Numba's wrappers, which are never called. Code without users' functions names no others.
    """
    known = {name.encode() for name in harmless}
    if any(name not in known for name in _NAMES.findall(code)):
        import_module("numba.core.pythonapi")
        context = import_module("numba.core.registry").cpu_target.target_context
        import_module("numba.core.runtime").rtsys.initialize(context)

"""The addresses of special functions, as SciPy exports them for Cython, for machine code that names them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from numgraph.runtime.capsules import exported_function

# Machine code calls `scipy_special_j0` SciPy's function j0, see kernels/special.py.
_NAMES = re.compile(rb"scipy_special_(\w+)")


def special_address(name: str) -> int:
    """The address of a function of float64 numbers and Cython's int. ImportError where SciPy has no such function."""
    from scipy.special import cython_special

    exported: Any = cython_special.__pyx_capi__
    # functions of several types are numbered
    forms = (name, *(f"__pyx_fuse_{k}{name}" for k in range(4)))
    for signature, address in (exported_function(exported, form) for form in forms if form in exported):
        if re.fullmatch(r"double \((double, )+int \w+\)", signature):
            return address
    raise ImportError(f"scipy.special.cython_special has no {name} of float64")


@cache
def make_known(name: str) -> None:
    """Have LLVM know the address of a function."""
    import llvmlite.binding as llvm

    llvm.add_symbol(f"scipy_special_{name}", special_address(name))


def load_special(code: bytes) -> None:
    """Load SciPy's special functions if object code names some: LLVM knows them from then on."""
    make_all_known(name.decode() for name in _NAMES.findall(code))


def make_all_known(names: Iterable[str]) -> None:
    """Have LLVM know the addresses of functions."""
    for name in names:
        make_known(name)

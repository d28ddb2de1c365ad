"""The addresses of special functions, as SciPy exports them for Cython, for machine code that names them."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

# Machine code calls `scipy_special_j0` SciPy's function j0, see kernels/special.py.
_NAMES = re.compile(rb"scipy_special_(\w+)")


def special_address(name: str) -> int:
    """The address of a function of float64 numbers and Cython's int. ImportError where SciPy has no such function."""
    from scipy.special import cython_special

    get_name, get_pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    exported: Any = cython_special.__pyx_capi__
    # functions of several types are numbered
    for form in (name, *(f"__pyx_fuse_{k}{name}" for k in range(4))):
        signature = get_name(exported[form]) if form in exported else b""
        if re.fullmatch(rb"double \((double, )+int \w+\)", signature):
            return int(get_pointer(exported[form], signature))
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

"""The addresses of LAPACK's and BLAS's functions, as SciPy exports them for Cython."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


@cache
def routine_address(name: str) -> int:
    """The address of `dpotrf`, `strsm` and so on; everything is passed by reference. ImportError without SciPy."""
    from scipy.linalg import cython_blas, cython_lapack

    get_name, get_pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    exported: dict[str, Any] = {**cython_blas.__pyx_capi__, **cython_lapack.__pyx_capi__}
    signature = get_name(exported[name])
    # sizes are read as the lower halves of 64-bit numbers, but pivots are written as they are
    if b"int *" not in signature:
        raise ImportError(f"{name} of SciPy takes no int, but is {signature.decode()}")
    return int(get_pointer(exported[name], signature))

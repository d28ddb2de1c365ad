"""Finds the matrix product of a BLAS library: NumPy's own where it brings one, else SciPy's.

Sharing NumPy's library matters: a second copy has a second pool of threads, and pools that wait by spinning take the
processor from each other. It also saves importing SciPy.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import numpy as np

# Fortran-style names, with 64-bit or 32-bit integers. Compiled code passes sizes as 64-bit numbers by reference; a
# library with 32-bit integers reads their lower halves, which hold the value on little-endian machines.
_NAMES = ("scipy_{}_64_", "{}_64_", "scipy_{}_", "{}_")


@cache
def blas_addresses() -> tuple[int, int]:
    """The addresses of sgemm and dgemm."""
    return _from_numpy() or _from_scipy()


def _from_numpy() -> tuple[int, int] | None:
    """The functions in the library that NumPy's wheel brings and has loaded; None where NumPy was built otherwise."""
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs", package / ".libs")
    for file in sorted(f for folder in folders if folder.is_dir() for f in folder.iterdir() if "openblas" in f.name):
        try:
            library = ctypes.CDLL(str(file))
        except OSError:
            continue
        for pattern in _NAMES:
            found = [getattr(library, pattern.format(name), None) for name in ("sgemm", "dgemm")]
            addresses = [ctypes.cast(f, ctypes.c_void_p).value for f in found if f is not None]
            if len(addresses) == 2 and all(addresses):
                return int(addresses[0] or 0), int(addresses[1] or 0)
    return None


def _from_scipy() -> tuple[int, int]:
    """The functions that SciPy exports for Cython."""
    from scipy.linalg import cython_blas

    get_name, get_pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    single, double = (cython_blas.__pyx_capi__[name] for name in ("sgemm", "dgemm"))
    return int(get_pointer(single, get_name(single))), int(get_pointer(double, get_name(double)))

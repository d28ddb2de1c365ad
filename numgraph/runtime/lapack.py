"""The addresses of LAPACK's and BLAS's functions, as SciPy exports them for Cython."""

from __future__ import annotations

from functools import cache

from numgraph.runtime.capsules import exported_function


@cache
def routine_address(name: str) -> int:
    """The address of `dpotrf`, `strsm` and so on; everything is passed by reference. ImportError without SciPy."""
    from scipy.linalg import cython_blas, cython_lapack

    signature, address = exported_function({**cython_blas.__pyx_capi__, **cython_lapack.__pyx_capi__}, name)
    # sizes are read as the lower halves of 64-bit numbers, but pivots are written as they are
    if "int *" not in signature:
        raise ImportError(f"{name} of SciPy takes no int, but is {signature}")
    return address

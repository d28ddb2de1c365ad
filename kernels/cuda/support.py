"""What CUDA kernels share: the names of `numba.cuda`, which no other module of kernels imports, and helpers.

A `helper` is a function that kernels call. It is compiled into each of them; the simulator calls the function itself.
"""

from numba import cuda as cuda
from numba.extending import register_jitable as helper

__all__ = ["FULL", "cuda", "helper"]

# All lanes of a warp.
FULL = 0xFFFFFFFF

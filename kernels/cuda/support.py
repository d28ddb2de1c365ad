"""What CUDA kernels share: the names of `numba.cuda`, which no other module of kernels imports, helpers and reductions.

A `helper` is a function that kernels call. It is compiled into each of them; the simulator calls the function itself.
"""

import linecache

from numba import cuda as cuda
from numba import types
from numba.extending import register_jitable as helper

WARP = 32
# All lanes of a warp.
FULL = 0xFFFFFFFF
# Numba's types of dtypes; called, they make typed literals.
TYPES = {
    name: getattr(types, name)
    for name in """float32 float64 complex64 complex128 int8 int16 int32 int64 uint8 uint16 uint32
uint64""".split()
}
TYPES["bool"] = types.uint8  # in memory


def generated(name, text, names):
    """The function `name` of a text; tools that look for its source find it. names: the values that it uses."""
    file = f"<numgraph.kernels.cuda {name} {hash(text) & 0xFFFFFFFFFFFF:x}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    namespace = {"__name__": __name__, "cuda": cuda, **names}
    exec(compile(text, file, "exec"), namespace)
    return namespace[name]


# -- combining the values of threads --------------------------------------------------------------------------------


@helper
def add(a, b):
    """The sum."""
    return a + b


@helper
def multiply(a, b):
    """The product."""
    return a * b

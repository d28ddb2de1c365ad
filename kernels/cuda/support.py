"""What CUDA kernels share: the names of `numba.cuda`, which no other module of kernels imports, helpers and reductions.

A `helper` is a function that kernels call. It is compiled into each of them; the simulator calls the function itself.
"""

import linecache

import numpy as np
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


def lowest(dtype):
    """The smallest value of a dtype, where a maximum starts; its negative is where a minimum of floats starts."""
    if dtype.startswith("float"):
        return TYPES[dtype](-np.inf)
    return int(np.iinfo(dtype).min) if dtype != "bool" else 0


# -- combining the values of threads --------------------------------------------------------------------------------


@helper
def add(a, b):
    """The sum."""
    return a + b


@helper
def multiply(a, b):
    """The product."""
    return a * b


@helper
def larger(a, b):
    """The larger value; NaN if there is one."""
    return a if a >= b or a != a else b


@helper
def smaller(a, b):
    """The smaller value; NaN if there is one."""
    return a if a <= b or a != a else b


@helper
def either(a, b):
    """Whether one is 1, of numbers 0 and 1."""
    return a | b


@helper
def both(a, b):
    """Whether both are 1, of numbers 0 and 1."""
    return a & b


def total_of(combine, kind, lanes):
    """A helper total(value): all values of a group of `lanes` adjacent threads, combined; each thread gets the result.

    lanes: a power of two up to 32, or all threads of a one-dimensional block, a multiple of 32. The order is that of a
    binary tree within each warp, then that of the warps, so that results are the same at each run. All threads of the
    block call it. kind: the Numba type of the values.
    """

    @helper
    def warp_total(value):
        step = min(lanes, WARP) // 2
        while step > 0:
            value = combine(value, cuda.shfl_xor_sync(FULL, value, step))
            step //= 2
        return value

    warps = lanes // WARP

    @helper
    def block_total(value):
        cells = cuda.shared.array(warps, kind)
        value = warp_total(value)
        thread = cuda.threadIdx.x
        if thread % WARP == 0:
            cells[thread // WARP] = value
        cuda.syncthreads()
        value = cells[0]
        for w in range(1, warps):
            value = combine(value, cells[w])
        # the cells are used again by the next call
        cuda.syncthreads()
        return value

    return block_total if warps > 1 else warp_total

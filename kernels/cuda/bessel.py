"""Bessel functions of generated kernels, from CUDA's library, in float64. `numgraph.scalars` lists them."""

from numgraph.kernels.cuda.support import cuda, helper


@helper
def j0_f64(x):
    """That of the first kind and order 0."""
    return cuda.libdevice.j0(x)


@helper
def j1_f64(x):
    """That of the first kind and order 1."""
    return cuda.libdevice.j1(x)

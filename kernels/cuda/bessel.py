"""Bessel functions of generated kernels, from CUDA's library, in float64. `numgraph.scalars` lists them."""

import math

from numgraph.kernels.cuda.support import cuda, helper

# From here on i0 and i1 may overflow, and five terms of the series in 1 / x are exact.
FAR, TWO_PI = 600.0, 6.283185307179586


@helper
def i0_f64(x):
    """The modified one of the first kind and order 0."""
    return cuda.libdevice.cyl_bessel_i0(x)


@helper
def i1_f64(x):
    """The modified one of the first kind and order 1."""
    return cuda.libdevice.cyl_bessel_i1(x)


@helper
def j0_f64(x):
    """That of the first kind and order 0."""
    return cuda.libdevice.j0(x)


@helper
def j1_f64(x):
    """That of the first kind and order 1."""
    return cuda.libdevice.j1(x)


@helper
def _far(x, m):
    """exp(-x) times the modified one of order 0 (m = 0) or 1 (m = 4) for large x: DLMF 10.40.1."""
    t = 0.125 / x
    s = 1.0 - (m - 49.0) * t / 4.0
    s = 1.0 - (m - 25.0) * t / 3.0 * s
    s = 1.0 - (m - 9.0) * t / 2.0 * s
    return (1.0 - (m - 1.0) * t * s) / math.sqrt(TWO_PI * x)


@helper
def i0e_f64(x):
    """exp(-abs(x)) * i0(x)."""
    size = abs(x)
    if size < FAR:
        return math.exp(-size) * i0_f64(size)
    return _far(size, 0.0)


@helper
def i1e_f64(x):
    """exp(-abs(x)) * i1(x)."""
    size = abs(x)
    if size < FAR:
        return math.exp(-size) * i1_f64(x)
    return math.copysign(_far(size, 4.0), x)

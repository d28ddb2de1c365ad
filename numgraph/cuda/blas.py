"""cuBLAS, through nvmath-python where both are installed; nothing else in numgraph touches either.

cuBLAS has matrices by columns, numgraph by rows. The memory of a row-major matrix is that of its transpose by columns,
and (A @ B).T = B.T @ A.T: so the operands change places, and an operand that is transposed in memory is turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from numgraph.cuda.bindings import Refused
from numgraph.cuda.device import Device, Product

INSTALL = "in the folder of numgraph's source: pip install '.[cuda,cuda-blas]'"
# Bytes that cuBLAS works in, by the major capability: what its manual recommends. Without memory of our own it would
# allocate some for each recording.
WORKSPACE = {9: 32 << 20, 10: 32 << 20, 12: 12 << 20}
OTHER_WORKSPACE = 4 << 20
PREFIX = {"float32": "s", "float64": "d"}


class Cublas:
    """A handle of cuBLAS on a device's own stream, for the life of the process; calls hold the device's lock.

    library: the module `nvmath.bindings.cublas`. cuBLASError or RuntimeError where it cannot be used.
    """

    def __init__(self, library: Any, device: Device) -> None:
        self.library = library
        self.handle = library.create()
        library.set_stream(self.handle, device.stream)
        size = WORKSPACE.get(device.capability[0], OTHER_WORKSPACE)
        # after the stream, which resets it
        library.set_workspace(self.handle, device.allocate(size), size)
        self.tf32 = False

    def multiply(self, product: Product) -> None:
        """See `device.Blas`. Float32 is true float32 unless the product allows TF32."""
        stack = product.count > 1
        name = f"{PREFIX[product.dtype]}gemm{'_strided_batched' if stack else ''}"
        # read before the call returns
        alpha, beta = (np.array(v, product.dtype) for v in (product.alpha, product.beta))
        a, b, c = (numbers if stack else numbers[:2] for numbers in (product.a, product.b, product.c))
        count = (product.count,) if stack else ()
        try:
            self._set_mode(product.tf32)
            getattr(self.library, name)(
                self.handle, int(product.a_turned), int(product.b_turned), product.m, product.n, product.k,
                alpha.ctypes.data, *a, *b, beta.ctypes.data, *c, *count,
            )  # fmt: skip
        except self.library.cuBLASError as error:
            raise Refused(f"cuBLAS {name}", str(error), "cuBLAS") from None

    def _set_mode(self, tf32: bool) -> None:
        if tf32 != self.tf32:
            modes = self.library.Math
            self.library.set_math_mode(self.handle, modes.TF32_TENSOR_OP_MATH if tf32 else modes.DEFAULT_MATH)
            self.tf32 = tf32


def find(device: Device) -> Cublas | None:
    """cuBLAS for a device; None where it or nvmath-python is not installed, or does not work there."""
    if device.stream is None:
        return None
    try:
        library = import_module("nvmath.bindings.cublas")
    except ImportError:
        return None
    try:
        return Cublas(library, device)
    except (library.cuBLASError, RuntimeError):
        # nvmath finds the library itself at its first call, and says so in subclasses of RuntimeError
        return None


def product_of(
    dtype: str,
    addresses: Sequence[int],
    sizes: Sequence[int],
    factors: Sequence[float] = (1.0, 0.0),
    tf32: bool = False,
) -> Product | None:
    """out = alpha * left @ right + beta * out, of row-major matrices or stacks of them; None for empty results.

    addresses: of out, left, right. sizes: m, n, k, then the strides of the rows and columns of left and of right, one
    of each pair 1 and the other not less than what it steps over; then, of stacks, how many matrices they have, and
    what one takes in left and in right. out is C-contiguous.
    """
    m, n, k, left_row, left_column, right_row, right_column = sizes[:7]
    count, left_step, right_step = sizes[7:] or (1, 0, 0)
    if not m * n * count:
        return None
    (alpha, beta), (out, left, right) = factors, addresses
    a = right, max(right_row, right_column), right_step
    b = left, max(left_row, left_column), left_step
    c = out, n, m * n
    return Product(dtype, right_column != 1, left_column != 1, n, m, k, alpha, a, b, beta, c, count, tf32)

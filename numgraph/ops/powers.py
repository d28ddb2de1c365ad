"""Powers and the exponential of matrices.

The gradient of the exponential is a block of an exponential: I. Najfeld and T. Havel, "Derivatives of the matrix
exponential and their computation" (1995); A. Al-Mohy and N. Higham (2009), eq. 1.3. So it has derivatives of any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.graph import Variable, apply
from numgraph.op import OPS, Kernel, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.define import f
from numgraph.ops.matrices import FLOAT, SQUARE, by_matrix, count, identity, matrices, product, sample, transposed
from numgraph.ops.shape import stretch
from numgraph.ops.solve import matrix_inverse

__all__ = ["expm", "matrix_power"]


def _expm_value(a: NDArray[Any]) -> NDArray[Any]:
    from scipy.linalg import expm

    return by_matrix(lambda x: expm(x) if x.size else x, [a], a.shape[-2:])


def _expm_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    """The block above the diagonal of exp([[a.T, g], [0, a.T]])."""
    turned, n = transposed(a), ln.dim(a, -1)
    above = f.concatenate([turned, g], axis=-1)
    below = f.concatenate([f.zeros_like(a), turned], axis=-1)
    both = apply(OPS["expm"], [f.concatenate([above, below], axis=-2)])
    return (both[..., :n, n:],)


Op(
    "expm",
    ("a",),
    "The exponential of each matrix.",
    same,
    _expm_value,
    _expm_grad,
    kernel=Kernel("expm.expm", lambda a: (count(a), a.shape[-1]), routines=("gemm", "getrf", "getrs")),
    batch=over_stacks("expm"),
    shape=lambda a: a.shape,
    checks=(SQUARE,),
    dtypes=FLOAT,
    samples=lambda: [
        ([sample(*s) * scale], {})
        for s, scale in (((3, 3), 0.3), ((2, 3, 3), 0.6), ((1, 1), 1.0), ((2, 2), 4.0), ((0, 0), 1.0), ((2, 0, 0), 1.0))
    ],
    cost=100,
)


def expm(a: Any) -> Variable:
    """The exponential of each matrix of a, floats [..., n, n], as scipy.linalg.expm: 1 + a + a @ a / 2 + ...

    By Pade approximation, scaling and squaring. A matrix with NaN or infinities gives NaN.
    """
    return apply(OPS["expm"], matrices("expm", a, square=True))


def matrix_power(a: Any, n: int) -> Variable:
    """The product of n matrices a for each matrix of a, floats [..., m, m], as np.linalg.matrix_power.

    n: an integer, which is known when the expression is built; a negative one is a power of the inverse, 0 gives the
    identity. OptionError for another n.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise OptionError(f"matrix_power: n is an integer, not {n!r}")
    (v,) = matrices("matrix_power", a, square=True)
    if n < 0:
        v, n = matrix_inverse(v), -int(n)
    if n == 0:
        return stretch(identity(v, ln.dim(v, -1)), ln.dims_of(v))
    result, square = None, v
    while n:
        if n & 1:
            result = square if result is None else product(result, square)
        n >>= 1
        square = product(square, square) if n else square
    assert result is not None
    return result

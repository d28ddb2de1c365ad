"""Linear algebra under NumPy's names: `ng.linalg.inv` for `np.linalg.inv`.

What NumPy has in np.linalg, and of scipy.linalg solve_triangular, expm, lu and cho_factor with what
belongs to them. All work on stacks of matrices: the last two
axes are a matrix, those before them count matrices. The same functions stand in numgraph itself, but for `inv`, which
is there 1 / x, element by element, and `trace` and `diagonal`, which are there of the first two axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.errors import MatrixError
from numgraph.graph import Variable
from numgraph.ops.calculus import cross
from numgraph.ops.eigen import eig, eigvals
from numgraph.ops.grids import block_diag
from numgraph.ops.layout import matrix_transpose
from numgraph.ops.leastsquares import lstsq, pinv
from numgraph.ops.linalg import matmul, matrix_dot, outer, tensordot
from numgraph.ops.linalg import trace as _trace
from numgraph.ops.lu import lu, lu_factor, lu_solve
from numgraph.ops.matrices import diagonals, stacks
from numgraph.ops.orthogonal import qr
from numgraph.ops.powers import expm, matrix_power
from numgraph.ops.riccati import solve_discrete_are
from numgraph.ops.schur import ordqz, qz, schur
from numgraph.ops.solve import det, slogdet, solve
from numgraph.ops.solve import matrix_inverse as inv
from numgraph.ops.spectral import eigh, eigvalsh, svd, svdvals
from numgraph.ops.statistics import norm
from numgraph.ops.sylvester import solve_continuous_lyapunov, solve_discrete_lyapunov, solve_sylvester
from numgraph.ops.tensorsystems import tensorinv, tensorsolve
from numgraph.ops.triangular import cho_factor, cho_solve, cholesky, solve_triangular
from numgraph.ops.ufuncs import vecdot

__all__ = [
    "LinAlgError", "block_diag", "cho_factor", "cho_solve", "cholesky", "cross", "det", "diagonal", "eig", "eigh",
    "eigvals", "eigvalsh", "expm", "inv", "lstsq", "lu", "lu_factor", "lu_solve", "matmul", "matrix_power",
    "matrix_transpose", "multi_dot", "norm", "ordqz", "outer", "pinv", "qr", "qz", "schur", "slogdet", "solve",
    "solve_continuous_lyapunov", "solve_discrete_are", "solve_discrete_lyapunov", "solve_sylvester",
    "solve_triangular", "svd", "svdvals", "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot",
]  # fmt: skip

LinAlgError = MatrixError


def multi_dot(arrays: Sequence[Any]) -> Variable:
    """The product of a list of matrices, from left to right."""
    return matrix_dot(*arrays)


def diagonal(x: Any, offset: Any = 0) -> Variable:
    """A diagonal of each matrix, as np.linalg.diagonal: of the last two axes."""
    (v,) = stacks("diagonal", x)
    return diagonals(v, offset)


def trace(x: Any, offset: Any = 0) -> Variable:
    """The sum along a diagonal of each matrix, as np.linalg.trace: of the last two axes."""
    return _trace(x, offset, -2, -1)

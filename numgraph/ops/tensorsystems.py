"""Systems of linear equations whose unknowns are arrays: reshaped to matrices, solved, and reshaped back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.errors import ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.shape import reshaped
from numgraph.ops.solve import matrix_inverse, solve

__all__ = ["tensorinv", "tensorsolve"]


def tensorsolve(a: Any, b: Any, axes: Sequence[int] | None = None) -> Variable:
    """x with tensordot(a, x, x.ndim) = b, as np.linalg.tensorsolve, floats.

    a: [*b.shape, *x.shape], where both have equally many elements. axes: these axes of a are first moved behind all
    others. ShapeError where a has no axes for x, and when the function runs where the numbers of elements differ;
    MatrixError then where a is singular.
    """
    v, right = as_variable(a), as_variable(b)
    if axes is not None:
        last = ln.axes_of(list(axes), v.ndim, "tensorsolve", v)
        v = f.transpose(v, [*(k for k in range(v.ndim) if k not in last), *last])
    if v.ndim <= right.ndim:
        raise ShapeError(f"tensorsolve: a has no axes for the solution\n  {describe(v)}\n  {describe(right)}")
    of_b, of_x = ln.dims_of(v)[: right.ndim], ln.dims_of(v)[right.ndim :]
    flat = reshaped(v, [ln.product(of_b), ln.product(of_x)])
    return reshaped(solve(flat, f.flatten(f.matched(right, of_b, "tensorsolve"))), of_x)


def tensorinv(a: Any, ind: int = 2) -> Variable:
    """The inverse of tensordot(a, x, a.ndim - ind), as np.linalg.tensorinv, floats: the last axes of a come first.

    ind: how many axes count as rows, 1 or more. ShapeError for another `ind`, and when the function runs where the
    first `ind` axes have not as many elements as the others; MatrixError then where a is singular.
    """
    v = as_variable(a)
    if not 0 < ind <= v.ndim:
        raise ShapeError(f"tensorinv: ind={ind} axes of rows\n  {describe(v)}\n  fix: choose 1 to {v.ndim}")
    rows, columns = ln.dims_of(v)[:ind], ln.dims_of(v)[ind:]
    return reshaped(matrix_inverse(reshaped(v, [ln.product(rows), ln.product(columns)])), [*columns, *rows])

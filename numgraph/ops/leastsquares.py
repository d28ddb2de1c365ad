"""Pseudo-inverses and least squares, by singular values.

Gradients: G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose
variables separate" (1973), eq. 4.12.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numgraph.errors import ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.op import OPS, Op, first
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.matrices import FLOAT, column, line, matrices, product, sample, transposed
from numgraph.ops.spectral import svd

__all__ = ["lstsq", "pinv"]


def _pinv(a: Variable, rcond: Variable) -> Variable:
    u, s, vt = svd(a, full_matrices=False)
    counts = _large(s, rcond)
    inverse = f.where(counts, f.true_div(1, f.where(counts, s, 1)), 0)
    return product(f.mul(transposed(vt), line(inverse)), transposed(u))


def _large(s: Variable, rcond: Any) -> Variable:
    """Which singular values are more than rounding: s > rcond * the first, the largest."""
    return f.gt(s, f.mul(f.cast(rcond, s.type.dtype), s[..., :1]))


def _pinv_grad(g: Variable, out: Variable, a: Variable, rcond: Variable) -> tuple[Variable, None]:
    """Golub and Pereyra (1973), eq. 4.12, transposed: right where the rank stays the same."""
    p, pt, gt = out, transposed(out), transposed(g)
    outside = f.sub(gt, product(a, p, gt))
    beside = f.sub(gt, product(gt, p, a))
    return f.add(f.add(f.neg(product(pt, g, pt)), product(outside, p, pt)), product(pt, p, beside)), None


Op(
    "pinv",
    ("a", "rcond"),
    "The pseudo-inverse of each matrix; singular values up to rcond times the largest count as 0.",
    first,
    lambda a, rcond: np.linalg.pinv(a, rcond),
    _pinv_grad,
    expand=_pinv,
    batch=lambda batched, a, rcond: None if batched[1] else apply(OPS["pinv"], [a, rcond]),
    shape=lambda a, rcond: (*a.shape[:-2], a.shape[-1], a.shape[-2]),
    dtypes=FLOAT,
    samples=lambda: [([sample(*s), np.float32(1e-5)], {}) for s in ((3, 2), (2, 4), (2, 3, 3), (1, 1), (3, 0), (0, 2))],
)


def pinv(a: Any, rcond: Any = 1e-15) -> Variable:
    """The pseudo-inverse [..., n, m] of each matrix of a, floats [..., m, n], as np.linalg.pinv.

    rcond: singular values up to so many times the largest count as 0. MatrixError when the function runs where the
    singular values are not found. The gradient is right where the rank does not change.
    """
    (v,) = matrices("pinv", a)
    return apply(OPS["pinv"], [v, f.cast(as_variable(rcond), v.type.dtype)])


class LeastSquares(NamedTuple):
    """What `lstsq` gives."""

    x: Variable
    residuals: Variable
    rank: Variable
    s: Variable


def lstsq(a: Any, b: Any, rcond: Any = None) -> LeastSquares:
    """(x, residuals, rank, s) as np.linalg.lstsq: x is the smallest of those that make `|a @ x - b|` smallest.

    a: floats [m, n]; b: [m] or [m, k]. x: [n] or [n, k]. residuals: the sums of squares of each column of b - a @ x,
    [1] or [k], empty where the rank is less than n or m <= n. rank: int64. s: the singular values of a. rcond: singular
    values up to so many times the largest count as 0; None is the precision of the dtype times max(m, n), and what is
    not between 0 and 1 is the precision, as LAPACK (dgelsd) has it.
    """
    right = as_variable(b)
    vector = right.ndim == 1
    matrix, columns = matrices("lstsq", a, column(right) if vector else right)
    if matrix.ndim != 2 or columns.ndim != 2:
        told = f"\n  {describe(as_variable(a))}\n  {describe(right)}"
        raise ShapeError(f"lstsq: one matrix is needed, and a vector or a matrix{told}")
    m, n = ln.dims_of(matrix)
    dtype, precision = matrix.type.dtype, float(np.finfo(matrix.type.dtype).eps)
    if rcond is None:
        cutoff = f.mul(f.cast(f.maximum(m, n), dtype), precision)
    else:
        given = f.cast(as_variable(rcond), dtype)
        cutoff = f.where(f.and_(f.gt(given, 0), f.lt(given, 1)), given, f.cast(precision, dtype))
    x = product(pinv(matrix, cutoff), columns)
    s = svd(matrix, full_matrices=False).S
    rank = f.sum(_large(s, cutoff), -1)
    sums = f.sum(f.sqr(f.sub(columns, product(matrix, x))), 0)
    known = f.and_(f.eq(rank, n), f.gt(m, n))
    residuals = sums[: f.where(known, ln.dim(sums, 0), 0)]
    return LeastSquares(x[:, 0] if vector else x, residuals, rank, s)

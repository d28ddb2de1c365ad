"""Linear algebra with the arguments that Theano and PyTensor give it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from numgraph.errors import ShapeError
from numgraph.graph import Variable, as_variable
from numgraph.op import FUNCTIONS
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lu import order_of_pivots
from numgraph.ops.matrices import adjoint

# arguments that have no effect here: nothing is overwritten, and what is not finite goes through
Ignored = Any


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Variable:
    """The norm along `axis`, as `numgraph.norm`; with three or more axes that of each matrix, as in PyTensor. Theano's
    names of infinite orders are "inf" and "-inf"."""
    orders = {"inf": np.inf, "-inf": -np.inf}
    v = as_variable(x)
    axis = (-2, -1) if axis is None and v.ndim > 2 else axis
    found: Variable = f.norm(v, orders.get(ord, ord) if isinstance(ord, str) else ord, axis, keepdims)
    return found


def lstsq(*args: Any, **named: Any) -> Any:
    """`numgraph.lstsq`; Theano has a class of ops here, so that programs write `lstsq()(a, b, rcond)`."""
    return f.lstsq(*args, **named) if args or named else f.lstsq


def alloc_diag(diag: Any) -> Variable:
    """The matrix with a vector on its diagonal; ShapeError for what is none."""
    return _diagonal("alloc_diag", "vector", as_variable(diag))


def extract_diag(x: Any) -> Variable:
    """The diagonal of a matrix; ShapeError for what is none."""
    return _diagonal("extract_diag", "matrix", as_variable(x))


def _diagonal(name: str, kind: str, v: Variable) -> Variable:
    if v.ndim != ("vector", "matrix").index(kind) + 1:
        raise ShapeError(f"{name}: a {kind} is needed, not {v!r}")
    found: Variable = f.diag(v)
    return found


def diagonal_matrix(diag: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """Matrices with vectors, the last axis of `diag`, on a diagonal; axis1, axis2: what axes of the result they are."""
    v = as_variable(diag)
    lead, n = ln.dims_of(v)[:-1], ln.dim(v, -1)
    rows, columns = (f.add(f.arange(n), max(0, shift)) for shift in (-offset, offset))
    whole = n + abs(offset)
    found = f.set_subtensor(f.zeros((*lead, whole, whole), v.type.dtype)[..., rows, columns], v)
    return f.moveaxis(found, (-2, -1), (axis1, axis2))


def cholesky(x: Any, lower: bool = True, on_error: str = "raise", **_: Ignored) -> Variable:
    """L with `L @ L.T = x`, of the lower triangle of x; with lower=False U with `U.T @ U = x`, of the upper one."""
    found: Variable = f.cholesky(x, upper=not lower, on_error=on_error)
    return found


def _stacked(solver: Callable[[Variable], Variable], b: Any, b_ndim: int | None) -> Variable:
    """What a function of right-hand sides gives; with b_ndim=1 they are a stack of vectors."""
    right = as_variable(b)
    if b_ndim != 1 or right.ndim < 2:
        return solver(right)
    found: Variable = solver(f.expand_dims(right, -1))[..., 0]
    return found


def solve(
    a: Any, b: Any, lower: bool = False, transposed: bool = False, assume_a: str = "gen", b_ndim: int | None = None,
    **_: Ignored,
) -> Variable:  # fmt: skip
    """x with `a @ x = b`, as `numgraph.solve`. b_ndim=1: b is a stack of vectors."""
    return _stacked(lambda right: f.solve(a, right, assume_a=assume_a, lower=lower, transposed=transposed), b, b_ndim)


def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, b_ndim: int | None = None,
    **_: Ignored,
) -> Variable:  # fmt: skip
    """x with `a @ x = b` for triangular a, as `numgraph.solve_triangular`. b_ndim=1: b is a stack of vectors."""
    return _stacked(lambda right: f.solve_triangular(a, right, trans, lower, unit_diagonal), b, b_ndim)


def solve_lower_triangular(a: Any, b: Any) -> Variable:
    """x with a @ x = b, for a of which the lower triangle is read."""
    return f.solve_triangular(a, b, lower=True)


def solve_upper_triangular(a: Any, b: Any) -> Variable:
    """x with a @ x = b, for a of which the upper triangle is read."""
    return f.solve_triangular(a, b)


def lu(
    a: Any, permute_l: bool = False, check_finite: Ignored = True, p_indices: bool = False, **_: Ignored
) -> list[Any]:
    """As `numgraph.lu`, in a list."""
    return list(f.lu(a, permute_l, p_indices))


def lu_factor(a: Any, **_: Ignored) -> tuple[Variable, Variable]:
    """As `numgraph.lu_factor`."""
    packed, pivots = f.lu_factor(a)
    return packed, pivots


def lu_solve(lu_and_piv: Any, b: Any, trans: Any = 0, b_ndim: int | None = None, **_: Ignored) -> Variable:
    """As `numgraph.lu_solve`. b_ndim=1: b is a stack of vectors."""
    return _stacked(lambda right: f.lu_solve(lu_and_piv, right, trans), b, b_ndim)


def cho_solve(c_and_lower: Any, b: Any, b_ndim: int | None = None, **_: Ignored) -> Variable:
    """As `numgraph.cho_solve`. b_ndim=1: b is a stack of vectors."""
    return _stacked(lambda right: f.cho_solve(c_and_lower, right), b, b_ndim)


def qr(a: Any, mode: str = "reduced", pivoting: bool = False, **_: Ignored) -> Any:
    """As `numgraph.qr`, in a list; of "raw", as PyTensor, the reflections as SciPy has them, their scales, and r."""
    found = f.qr(a, mode, pivoting)
    if mode != "raw":
        return list(found) if isinstance(found, tuple) else found
    h, scales, *order = found
    whole = f.swapaxes(h, -1, -2)
    return [whole, scales, f.triu(whole[..., : ln.least(*ln.dims_of(whole)[-2:]), :]), *order]


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, **_: Ignored) -> Any:
    """As `numgraph.svd`, in a list."""
    found = f.svd(a, full_matrices, compute_uv)
    return list(found) if compute_uv else found


def schur(a: Any, output: str = "real", sort: str | None = None, **_: Ignored) -> list[Variable]:
    """[t, z], as `numgraph.schur`, whose third result with `sort` is left out."""
    return list(f.schur(a, output, sort))[:2]


def qz(
    a: Any, b: Any, output: str = "real", sort: str | None = None, return_eigenvalues: bool = False, **_: Ignored
) -> list[Variable]:
    """As `numgraph.qz`, in a list; with `sort` or the eigenvalues as `numgraph.ordqz`."""
    if sort is None and not return_eigenvalues:
        return list(f.qz(a, b, output))
    found = list(f.ordqz(a, b, sort, output))
    return found if return_eigenvalues else [*found[:2], *found[4:]]


def _reduced(a: Any, b: Any, lower: bool) -> tuple[Variable, Variable]:
    """Symmetric matrices whose eigenvalues w are those with a @ v = w * b @ v, and the lower factors of b."""
    x, factor = as_variable(a), f.cholesky(b, upper=not lower)
    factor = factor if lower else adjoint(factor)
    part = f.tril(x) if lower else adjoint(f.triu(x))
    whole = f.add(part, adjoint(f.tril(part, -1)))
    half = f.solve_triangular(factor, whole, lower=True)
    return f.solve_triangular(factor, adjoint(half), lower=True), factor


def eigh(a: Any, b: Any = None, lower: bool = True, UPLO: str | None = None, **_: Ignored) -> Any:
    """(w, v) with `a @ v = w * v`, or for positive definite b with `a @ v = w * b @ v`, in a list. The lower triangles
    are read, or with lower=False or UPLO="U" the upper ones; UPLO may stand in the place of b, as in Theano."""
    if isinstance(b, str):
        b, UPLO = None, b
    if b is None:
        return list(f.eigh(a, UPLO or ("L" if lower else "U")))
    matrix, factor = _reduced(a, b, lower)
    values, vectors = f.eigh(matrix)
    return [values, f.solve_triangular(factor, vectors, "C", lower=True)]


def eigvalsh(a: Any, b: Any = None, lower: bool = True, **_: Ignored) -> Variable:
    """The eigenvalues w of symmetric matrices a, or those with a @ v = w * b @ v for positive definite b."""
    return f.eigvalsh(a, "L" if lower else "U") if b is None else f.eigvalsh(_reduced(a, b, lower)[0])


def pivot_to_permutation(p: Any, inverse: bool = False) -> Variable:
    """The order of rows that the exchanges p of `lu_factor` make; with `inverse` the one that undoes it."""
    pivots = as_variable(p)
    return order_of_pivots(pivots, ln.dim(pivots, -1), not inverse)


def _of_dtype(product: Callable[[Any, Any], Variable]) -> Callable[..., Variable]:
    """A product with PyTensor's `dtype`, in which it is computed."""

    @wraps(product)
    def call(x1: Any, x2: Any, dtype: Any = None) -> Variable:
        if dtype is None:
            return product(x1, x2)
        found: Variable = f.cast(product(f.cast(x1, dtype), f.cast(x2, dtype)), dtype)
        return found

    return call


PRODUCTS = {name: _of_dtype(FUNCTIONS[name]) for name in ("matmul", "matvec", "vecdot", "vecmat")}


def psd(v: Any) -> Variable:
    """Theano's hint that a matrix is positive: v itself, with no effect."""
    return as_variable(v)


def spectral_radius_bound(X: Any, log2_exponent: int) -> Variable:  # Theano's name
    """A bound of the largest eigenvalue of a symmetric matrix, by its power 2**log2_exponent: the larger, the tighter.
    TypeError for what is no matrix or no integer, ValueError for an exponent that is not positive.

    Source: V. Pan, "Estimating the extremal eigenvalues of a symmetric matrix" (1990).
    """
    v = as_variable(X)
    if v.ndim != 2 or not isinstance(log2_exponent, int):
        raise TypeError(f"spectral_radius_bound: a matrix and an integer are needed, not {v!r} and {log2_exponent!r}")
    if log2_exponent <= 0:
        raise ValueError(f"spectral_radius_bound: the exponent must be positive, not {log2_exponent}")
    for _ in range(log2_exponent):
        v = f.dot(v, v)
    found: Variable = f.pow(f.trace(v), 2.0**-log2_exponent)
    return found


SANDBOX = {"psd": psd, "spectral_radius_bound": spectral_radius_bound}

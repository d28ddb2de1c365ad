"""Systems of linear equations: Cholesky factors, triangular systems, inverses and determinants.

General matrices are factored once, by `lu`, of which solutions, inverses and determinants are made. Gradients:
M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation" (2008);
of the Cholesky factor I. Murray, "Differentiation of the Cholesky decomposition" (2016), eq. 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, apply, as_variable, describe
from numgraph.op import OPS, Check, Kernel, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.create import counting, tril, triu
from numgraph.ops.define import ZERO, f
from numgraph.ops.matrices import (
    SQUARE,
    by_matrix,
    column,
    count,
    definite,
    diagonals,
    identity,
    matrices,
    of_triangle,
    product,
    sample,
    symmetric_gradient,
    together,
    transposed,
)
from numgraph.ops.shape import shuffled, stretch

__all__ = ["cholesky", "det", "matrix_inverse", "slogdet", "solve", "solve_triangular"]

FLOAT = ("float32", "float64")
SINGULAR = "the matrix is singular"
SYSTEM = Check(
    "equal", lambda a, b, **_: [(a.shape[-2], b.shape[-2])], "a matrix of {a} rows for right-hand sides of {b}"
)
STACKS = Check(
    "equal", lambda a, b, **_: list(zip(a.shape[:-2], b.shape[:-2], strict=True)), "stacks of {a} and {b} matrices"
)

# -- Cholesky factors -------------------------------------------------------------------------------------------------


def _cholesky_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    """L^-T P(L.T @ g) L^-1, where P takes the lower triangle and half of the diagonal (Murray 2016)."""
    inner = of_triangle(product(transposed(out), g))
    left = _triangular(out, inner, transposed=True)
    return (symmetric_gradient(_triangular(out, transposed(left), transposed=True)),)


Op(
    "cholesky",
    ("a",),
    "The lower triangular L with L @ L.T = a, for positive definite matrices of which the lower triangle is read.",
    same,
    np.linalg.cholesky,
    _cholesky_grad,
    kernel=Kernel(
        "lapack.cholesky",
        lambda a: (count(a), a.shape[-1]),
        routines=("potrf",),
        on_thread="elimination.cholesky",
        fails="the matrix is not positive definite",
    ),
    batch=over_stacks("cholesky"),
    shape=lambda a: a.shape,
    checks=(SQUARE,),
    dtypes=FLOAT,
    samples=lambda: [([definite(*s)], {}) for s in ((3, 3), (2, 4, 4), (1, 1), (0, 0), (2, 0, 3, 3), (2, 0, 0))],
    cost=20,
)


def cholesky(a: Any, upper: bool = False) -> Variable:
    """The lower triangular L with `L @ L.T = a`, for symmetric positive definite matrices; as np.linalg.cholesky.

    a: floats [..., n, n], of which the lower triangle is read; the result has its shape and dtype, zeros above the
    diagonal. upper: U with `U.T @ U = a`, of the upper triangle. MatrixError when the function runs where a matrix is
    not positive definite. The gradient is with respect to the elements that are read.
    """
    (v,) = matrices("cholesky", a, square=True)
    return transposed(apply(OPS["cholesky"], [transposed(v)])) if upper else apply(OPS["cholesky"], [v])


# -- triangular systems -----------------------------------------------------------------------------------------------


def _triangle(a: NDArray[Any], upper: bool, unit: bool) -> NDArray[Any]:
    n = a.shape[-1]
    part = np.triu(a, int(unit)) if upper else np.tril(a, -int(unit))
    return part + np.eye(n, dtype=a.dtype) if unit else part


def _triangular_value(a: NDArray[Any], b: NDArray[Any], upper: bool, transposed: bool, unit: bool) -> NDArray[Any]:
    matrix = _triangle(a, upper, unit)
    return np.linalg.solve(np.swapaxes(matrix, -1, -2) if transposed else matrix, b)


def _triangular_grad(
    g: Variable, out: Variable, a: Variable, b: Variable, upper: bool, transposed: bool, unit: bool
) -> tuple[Variable, Variable]:
    gb = _triangular(a, g, upper, not transposed, unit)
    ga = _outer(gb, out, transposed)
    return (triu(ga, int(unit)) if upper else tril(ga, -int(unit))), gb


def _outer(gb: Variable, out: Variable, turned: bool) -> Variable:
    """The gradient with respect to a of the solutions of a @ out = b, or with `turned` of a.T @ out = b."""
    return f.neg(product(out, transposed(gb)) if turned else product(gb, transposed(out)))


def _triangular_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    shapes = (((3, 3), (3, 2)), ((2, 3, 3), (2, 3, 1)), ((1, 1), (1, 3)), ((0, 0), (0, 2)), ((2, 2), (2, 0)))
    ways = [(False, False, False), (True, False, True), (False, True, True), (True, True, False)]
    return [
        ([sample(*n), sample(*m, seed=1)], {"upper": upper, "transposed": turned, "unit": unit})
        for n, m in shapes[:2]
        for upper, turned, unit in ways
    ] + [([sample(*n), sample(*m)], {"upper": False, "transposed": True, "unit": False}) for n, m in shapes[2:]]


Op(
    "solve_triangular",
    ("a", "b"),
    "The solutions x of a @ x = b, or a.T @ x = b, for triangular matrices a, whose other triangle is not read.",
    same,
    _triangular_value,
    _triangular_grad,
    kernel=Kernel(
        "lapack.solve_triangular",
        lambda a, b, upper, transposed, unit: (
            count(b), a.shape[-1], b.shape[-1], int(upper), int(transposed), int(unit),
        ),
        routines=("trsm", "trsv"),
        on_thread="elimination.solve_triangular",
        fails=f"{SINGULAR}: there is a zero on its diagonal",
    ),
    batch=over_stacks("solve_triangular"),
    shape=lambda a, b, **_: b.shape,
    checks=(SQUARE, SYSTEM, STACKS),
    dtypes=FLOAT,
    samples=_triangular_samples,
    cost=20,
)  # fmt: skip


def _triangular(
    a: Variable, b: Variable, upper: bool = False, transposed: bool = False, unit: bool = False
) -> Variable:
    return apply(OPS["solve_triangular"], [a, b], upper=upper, transposed=transposed, unit=unit)


def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False) -> Variable:
    """The solution x of `a @ x = b` for triangular matrices a, with scipy.linalg.solve_triangular's arguments.

    a: floats [..., n, n], of which only the upper triangle is read, with `lower` only the lower one. b: [n], or
    [..., n, k]; axes in front broadcast. trans: 0 or "N"; 1 or "T" for `a.T @ x = b`. unit_diagonal: the diagonal is
    ones, and is not read. MatrixError when the function runs where an element of the diagonal is 0.
    """
    if trans not in (0, 1, "N", "T"):
        raise OptionError(f'solve_triangular: trans is 0, 1, "N" or "T", not {trans!r}')
    matrix, right, vector = _system("solve_triangular", a, b)
    x = _triangular(matrix, right, not lower, trans in (1, "T"), bool(unit_diagonal))
    return x[..., 0] if vector else x


def _system(what: str, a: Any, b: Any) -> tuple[Variable, Variable, bool]:
    """Stacks of matrices and right-hand sides that broadcast, and whether b is one vector."""
    right = as_variable(b)
    if right.ndim == 0:
        raise ShapeError(f"{what}: a right-hand side is a vector or a matrix, not {describe(right)}")
    vector = right.ndim == 1
    matrix, right = matrices(what, a, column(right) if vector else right, square=True)
    n, m = matrix.type.shape[-1], right.type.shape[-2]
    if n is not None and m is not None and n != m:
        raise ShapeError(
            f"{what}: {n} rows of the matrix for {m} of the right-hand side\n"
            f"  {describe(as_variable(a))}\n  {describe(as_variable(b))}"
        )
    return (*together(matrix, right), vector)


# -- general systems --------------------------------------------------------------------------------------------------


def _factored(a: NDArray[Any]) -> NDArray[Any]:
    from scipy.linalg import get_lapack_funcs

    n = a.shape[-1]
    getrf: Any = get_lapack_funcs("getrf", (a,))

    def one(x: NDArray[Any]) -> NDArray[Any]:
        factors, pivots, _ = getrf(x.T) if n else (x, np.empty(0), 0)
        return np.column_stack([factors.T, pivots + 1])

    return by_matrix(one, [a], (n, n + 1))


def _lu_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    return [([sample(*s)[..., ::-1]], {}) for s in ((3, 3), (2, 4, 4), (1, 1), (0, 0), (2, 0, 0))]


Op(
    "lu",
    ("a",),
    "The factors of a.T = P @ L @ U by columns, and in one more column the rows that were exchanged, from 1.",
    same,
    _factored,
    None,
    no_grad="solutions, inverses and determinants are differentiated before they are made of it",
    kernel=Kernel("lapack.lu", lambda a: (count(a), a.shape[-1]), routines=("getrf",), on_thread="elimination.lu"),
    batch=over_stacks("lu"),
    shape=lambda a: (*a.shape[:-1], a.shape[-1] + 1),
    checks=(SQUARE,),
    dtypes=FLOAT,
    samples=_lu_samples,
    cost=20,
)


def _lu_value(factors: NDArray[Any], b: NDArray[Any], transposed: bool, what: str) -> NDArray[Any]:
    """By the matrix that the factors are of."""
    n = factors.shape[-2]
    matrix = np.triu(factors[..., :n], 1) + np.eye(n, dtype=factors.dtype)
    matrix = np.tril(factors[..., :n]) @ matrix
    for k in np.ndindex(*factors.shape[:-2]):
        for i in reversed(range(n)):
            j = int(factors[k][i, n]) - 1
            matrix[k][:, [i, j]] = matrix[k][:, [j, i]]
    return np.linalg.solve(np.swapaxes(matrix, -1, -2) if transposed else matrix, b)


Op(
    "lu_solve",
    ("factors", "b"),
    "The solutions x of a @ x = b, or a.T @ x = b, by the factors of a. what: the function that asks for them.",
    same,
    _lu_value,
    None,
    no_grad="solutions and inverses are differentiated before they are made of it",
    kernel=Kernel(
        "lapack.lu_solve",
        lambda factors, b, transposed, what: (count(b), b.shape[-2], b.shape[-1], int(transposed)),
        routines=("trsm", "trsv"),
        on_thread="elimination.lu_solve",
        fails=SINGULAR,
    ),
    batch=over_stacks("lu_solve"),
    shape=lambda factors, b, transposed, what: b.shape,
    checks=(SYSTEM, STACKS),
    dtypes=FLOAT,
    samples=lambda: [
        ([_factored(a), np.ones((*a.shape[:-1], k)).cumsum(-2)], {"transposed": turned, "what": "solve"})
        for (a,), _ in _lu_samples()
        for k, turned in ((2, False), (1, True), (1, False), (3, True))
    ],
    cost=20,
    says="solve",
)


def _by_factors(a: Variable, b: Variable, transposed: bool, what: str) -> Variable:
    return apply(OPS["lu_solve"], [apply(OPS["lu"], [a]), b], transposed=transposed, what=what)


def _solve_grad(g: Variable, out: Variable, a: Variable, b: Variable, transposed: bool) -> tuple[Variable, Variable]:
    gb = _solved(a, g, not transposed)
    return _outer(gb, out, transposed), gb


Op(
    "solve",
    ("a", "b"),
    "The solutions x of a @ x = b, or a.T @ x = b.",
    same,
    lambda a, b, transposed: np.linalg.solve(np.swapaxes(a, -1, -2) if transposed else a, b),
    _solve_grad,
    expand=lambda a, b, transposed: _by_factors(a, b, transposed, "solve"),
    batch=over_stacks("solve"),
    shape=lambda a, b, transposed: b.shape,
    checks=(SQUARE, SYSTEM, STACKS),
    dtypes=FLOAT,
    samples=lambda: [
        ([a, np.ones((*a.shape[:-1], k)).cumsum(-2)], {"transposed": turned})
        for (a,), _ in _lu_samples()
        for k, turned in ((2, False), (1, True))
    ],
)


def _solved(a: Variable, b: Variable, transposed: bool) -> Variable:
    return apply(OPS["solve"], [a, b], transposed=transposed)


# how `assume_a` calls what is known of a matrix
_KINDS = {
    "gen": "general", "general": "general", "pos": "positive definite", "positive definite": "positive definite",
    "lower triangular": "lower triangular", "upper triangular": "upper triangular", "sym": "general",
    "symmetric": "general",
}  # fmt: skip


def solve(a: Any, b: Any, assume_a: str = "gen", lower: bool = False) -> Variable:
    """The solution x of `a @ x = b`, as np.linalg.solve: b is a vector [n], or [..., n, k]; axes in front broadcast.

    a: floats [..., n, n]. assume_a: as for scipy.linalg.solve, "gen", "sym", "pos" (by its Cholesky factor, of the
    lower triangle with `lower`, else of the upper one), "lower triangular" or "upper triangular". MatrixError when the
    function runs where a matrix is singular, or with "pos" not positive definite.
    """
    kind = _KINDS.get(assume_a)
    if kind is None:
        raise OptionError(f"solve: assume_a is one of {', '.join(_KINDS)}, not {assume_a!r}")
    matrix, right, vector = _system("solve", a, b)
    if kind == "positive definite":
        factor = apply(OPS["cholesky"], [matrix if lower else transposed(matrix)])
        x = _triangular(factor, _triangular(factor, right), transposed=True)
    elif kind == "general":
        x = _solved(matrix, right, False)
    else:
        x = _triangular(matrix, right, kind.startswith("upper"))
    return x[..., 0] if vector else x


# -- inverses and determinants ----------------------------------------------------------------------------------------


def _squares() -> list[tuple[list[Any], dict[str, Any]]]:
    return [([sample(*s)[..., ::-1]], {}) for s in ((3, 3), (2, 3, 3), (1, 1), (0, 0), (2, 0, 0))]


Op(
    "matrix_inverse",
    ("a",),
    "The inverse of each matrix.",
    same,
    np.linalg.inv,
    lambda g, out, a: (f.neg(product(transposed(out), g, transposed(out))),),
    expand=lambda a: _by_factors(a, stretch(identity(a, ln.dim(a, -1)), ln.dims_of(a)), False, "matrix_inverse"),
    batch=over_stacks("matrix_inverse"),
    shape=lambda a: a.shape,
    checks=(SQUARE,),
    dtypes=FLOAT,
    samples=_squares,
)


def _odd(factors: Variable) -> Variable:
    """Whether an odd number of rows was exchanged."""
    n = ln.dim(factors, -2)
    moved = f.neq(factors[..., -1], f.cast(f.add(counting(n), 1), factors.type.dtype))
    return f.eq(f.mod(f.sum(moved, -1), 2), 1)


def _sign_of(a: Variable) -> Variable:
    factors = apply(OPS["lu"], [a])
    signs = f.prod(f.sgn(diagonals(factors)), -1)
    return f.where(_odd(factors), f.neg(signs), signs)


def _det(a: Variable) -> Variable:
    factors = apply(OPS["lu"], [a])
    found = f.prod(diagonals(factors), -1)
    return f.where(_odd(factors), f.neg(found), found)


def _inverse_times(g: Variable, a: Variable) -> Variable:
    """The inverse of each matrix transposed, times a number of its own."""
    return f.mul(shuffled(g, (*range(g.ndim), -1, -1)), transposed(matrix_inverse(a)))


Op("det", ("a",), "The determinant of each matrix.", same, np.linalg.det,
   lambda g, out, a: (_inverse_times(f.mul(g, out), a),),
   expand=_det, shape=lambda a: a.shape[:-2], checks=(SQUARE,), dtypes=FLOAT, samples=_squares)  # fmt: skip
Op("sign_of_det", ("a",), "The sign of the determinant of each matrix, 0 for singular ones.", same,
   lambda a: np.linalg.slogdet(a)[0], lambda g, out, a: (ZERO,),
   expand=_sign_of, shape=lambda a: a.shape[:-2], checks=(SQUARE,), dtypes=FLOAT, samples=_squares)  # fmt: skip
Op("log_of_det", ("a",), "The logarithm of the absolute determinant of each matrix.", same,
   lambda a: np.linalg.slogdet(a)[1], lambda g, out, a: (_inverse_times(g, a),),
   expand=lambda a: f.sum(f.log(f.abs(diagonals(apply(OPS["lu"], [a])))), -1),
   shape=lambda a: a.shape[:-2], checks=(SQUARE,), dtypes=FLOAT, samples=_squares)  # fmt: skip


def matrix_inverse(a: Any) -> Variable:
    """The inverse of each matrix of a, floats [..., n, n], as np.linalg.inv (`ng.inv` is 1 / x, as in Theano).

    MatrixError when the function runs where a matrix is singular.
    """
    return apply(OPS["matrix_inverse"], matrices("matrix_inverse", a, square=True))


def det(a: Any) -> Variable:
    """The determinant of each matrix of a, floats [..., n, n], as np.linalg.det: 0 for singular ones.

    Its gradient is the determinant times the inverse, transposed: MatrixError where a matrix is singular.
    """
    return apply(OPS["det"], matrices("det", a, square=True))


def slogdet(a: Any) -> tuple[Variable, Variable]:
    """(sign, logarithm of the absolute value) of the determinant of each matrix, as np.linalg.slogdet: does not
    overflow. (0, -inf) for singular ones, where the gradient is a MatrixError."""
    (v,) = matrices("slogdet", a, square=True)
    return apply(OPS["sign_of_det"], [v]), apply(OPS["log_of_det"], [v])

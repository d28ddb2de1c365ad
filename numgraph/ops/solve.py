"""Systems of linear equations, inverses and determinants.

General matrices are factored once, by `lu_packed`, of which solutions, inverses and determinants are made. Gradients:
M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation" (2008).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.graph import Variable, apply
from numgraph.op import OPS, Check, Kernel, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.complexes import conj
from numgraph.ops.create import counting, tril, triu
from numgraph.ops.define import ZERO, f
from numgraph.ops.lu import by_factors, squares
from numgraph.ops.matrices import (
    FLOAT,
    SINGULAR,
    SQUARE,
    STACKS,
    SYSTEM,
    adjoint,
    count,
    diagonals,
    identity,
    matrices,
    outer_gradient,
    product,
    sample,
    symmetric_gradient,
    system,
    transposed,
)
from numgraph.ops.shape import shuffled, stretch
from numgraph.ops.triangular import lower_factor, triangular

__all__ = ["det", "matrix_inverse", "slogdet", "solve"]

# -- general systems --------------------------------------------------------------------------------------------------


def _solve_grad(g: Variable, out: Variable, a: Variable, b: Variable, transposed: bool) -> tuple[Variable, Variable]:
    gb = _solved(a, g, not transposed)
    return outer_gradient(gb, out, transposed), gb


Op(
    "solve",
    ("a", "b"),
    "The solutions x of a @ x = b, or a.T @ x = b.",
    same,
    lambda a, b, transposed: np.linalg.solve(np.swapaxes(a, -1, -2) if transposed else a, b),
    _solve_grad,
    expand=lambda a, b, transposed: by_factors(a, b, transposed, "solve"),
    batch=over_stacks("solve"),
    shape=lambda a, b, transposed: b.shape,
    checks=(SQUARE, SYSTEM, STACKS),
    dtypes=FLOAT,
    complex=True,
    samples=lambda: [
        ([a, np.ones((*a.shape[:-1], k)).cumsum(-2)], {"transposed": turned})
        for (a,), _ in squares()
        for k, turned in ((2, False), (1, True))
    ],
)


def _solved(a: Variable, b: Variable, transposed: bool) -> Variable:
    return apply(OPS["solve"], [a, b], transposed=transposed)


# -- systems of which more is known ------------------------------------------------------------------------------------

_ROWS = Check(
    "equal", lambda a, b, **_: [(a.shape[-1], b.shape[-1])], "a matrix of {a} rows for right-hand sides of {b}"
)


def _special_op(
    name: str, doc: str, routine: str, made: Any, whole: Any, grad: Any, option: str, values: Sequence[Any]
) -> None:
    """An op of matrices a and right-hand sides by rows, [..., k, n], as LAPACK has them. made, whole: what stands for a
    by its elements that are read, in NumPy and as a variable. option, values: an attribute."""

    def general(a: Variable, b: Variable, **attrs: Any) -> Variable:
        return transposed(_solved(whole(a, **attrs), transposed(b), False))

    Op(
        name, ("a", "b"), f"The solutions x of a @ x.T = b.T, as rows, for {doc}.", same,
        lambda a, b, **attrs: np.swapaxes(np.linalg.solve(made(a, **attrs), np.swapaxes(b, -1, -2)), -1, -2), grad,
        kernel=Kernel(
            f"systems.{name}", lambda a, b, **attrs: (count(b), b.shape[-1], b.shape[-2], int(attrs[option])),
            routines=(routine,), fails=SINGULAR,
        ),
        on_grid=general,
        batch=over_stacks(name), shape=lambda a, b, **_: b.shape, checks=(SQUARE, _ROWS, STACKS), dtypes=FLOAT,
        samples=lambda: [
            ([a + np.eye(a.shape[-1]), np.ones((*a.shape[:-2], k, a.shape[-1])).cumsum(-1)], {option: chosen})
            for (a,), _ in squares()
            for k, chosen in zip((2, 1, 3), values, strict=False)
        ],
        cost=20, says="solve",
    )  # fmt: skip


def _mirrored(a: NDArray[Any], upper: bool) -> NDArray[Any]:
    part = np.swapaxes(np.triu(a), -1, -2) if upper else np.tril(a)
    whole: NDArray[Any] = part + np.swapaxes(np.tril(part, -1), -1, -2)
    return whole


def _symmetric(a: Variable, upper: bool) -> Variable:
    part = tril(transposed(a) if upper else a)
    return f.add(part, transposed(tril(part, -1)))


def _symmetric_grad(g: Variable, out: Variable, a: Variable, b: Variable, upper: bool) -> tuple[Variable, Variable]:
    """With respect to the elements that are read."""
    gb = apply(OPS["solve_symmetric"], [a, g], upper=upper)
    ga = symmetric_gradient(f.neg(product(transposed(gb), out)))
    return (transposed(ga) if upper else ga), gb


# what of a matrix is read: the diagonal and its neighbours, the same transposed, or the diagonal alone
BAND, TURNED, DIAGONAL = 0, 1, 2


def _band(a: Variable, part: int) -> Variable:
    width = 0 if part == DIAGONAL else 1
    found = tril(triu(a, -width), width)
    return transposed(found) if part == TURNED else found


def _band_value(a: NDArray[Any], part: int) -> NDArray[Any]:
    width = 0 if part == DIAGONAL else 1
    found = np.tril(np.triu(a, -width), width)
    return np.swapaxes(found, -1, -2) if part == TURNED else found


def _band_grad(g: Variable, out: Variable, a: Variable, b: Variable, part: int) -> tuple[Variable, Variable]:
    other = {BAND: TURNED, TURNED: BAND, DIAGONAL: DIAGONAL}[part]
    gb = apply(OPS["solve_tridiagonal"], [a, g], part=other)
    ga = product(transposed(out), gb) if part == TURNED else product(transposed(gb), out)
    return f.neg(_band(ga, DIAGONAL if part == DIAGONAL else BAND)), gb


_special_op("solve_symmetric", "symmetric matrices of which one triangle is read", "sysv", _mirrored, _symmetric,
            _symmetric_grad, "upper", (False, True))  # fmt: skip
_special_op("solve_tridiagonal", "the diagonals of a in the middle, the rest is not read", "gtsv", _band_value, _band,
            _band_grad, "part", (BAND, TURNED, DIAGONAL))  # fmt: skip


def _of_rows(name: str, matrix: Variable, right: Variable, **attrs: Any) -> Variable:
    return transposed(apply(OPS[name], [matrix, transposed(right)], **attrs))


def _positive(matrix: Variable, right: Variable, lower: bool, turned: bool) -> Variable:
    factor = lower_factor(matrix if lower else adjoint(matrix))
    # a matrix is its transpose, or of complex ones the conjugate of that
    found = triangular(conj(factor), triangular(factor, conj(right) if turned else right), transposed=True)
    return conj(found) if turned else found


Solver = Callable[[Variable, Variable, bool, bool], Variable]
# what solves a system (matrix, right-hand sides, lower, transposed), by what SciPy calls what is known of the matrix
_SOLVERS: dict[str, Solver] = {
    "general": lambda a, b, lower, turned: _solved(a, b, turned),
    "symmetric": lambda a, b, lower, turned: _of_rows("solve_symmetric", a, b, upper=not lower),
    "positive definite": _positive,
    "diagonal": lambda a, b, lower, turned: _of_rows("solve_tridiagonal", a, b, part=DIAGONAL),
    "tridiagonal": lambda a, b, lower, turned: _of_rows("solve_tridiagonal", a, b, part=TURNED if turned else BAND),
    "lower triangular": lambda a, b, lower, turned: triangular(a, b, False, turned),
    "upper triangular": lambda a, b, lower, turned: triangular(a, b, True, turned),
}
_SOLVERS |= {
    short: _SOLVERS[name]
    for short, name in {
        "gen": "general", "banded": "general", "sym": "symmetric", "her": "symmetric", "hermitian": "symmetric",
        "pos": "positive definite",
    }.items()
}  # fmt: skip


def solve(a: Any, b: Any, assume_a: str = "gen", lower: bool = False, transposed: bool = False) -> Variable:
    """The solution x of `a @ x = b`, as np.linalg.solve: b is a vector [n], or [..., n, k]; axes in front broadcast.

    a: floats [..., n, n]. assume_a: what is known of a, as for scipy.linalg.solve: "gen"; "sym" or "her", and "pos" by
    its Cholesky factor, of the lower triangle with `lower`, else of the upper one; "tridiagonal" and "diagonal", of
    which the rest is not read; "lower triangular" or "upper triangular"; "banded", which is taken for "gen".
    transposed: `a.T @ x = b`. MatrixError when the function runs where a matrix is singular, or with "pos" not positive
    definite. Gradients are with respect to the elements that are read.
    """
    if assume_a not in _SOLVERS:
        raise OptionError(f"solve: assume_a is one of {', '.join(_SOLVERS)}, not {assume_a!r}")
    matrix, right, vector = system("solve", a, b)
    x = _SOLVERS[assume_a](matrix, right, bool(lower), bool(transposed))
    return x[..., 0] if vector else x


# -- inverses and determinants ----------------------------------------------------------------------------------------


def _small() -> list[tuple[list[Any], dict[str, Any]]]:
    return [([sample(*s)[..., ::-1]], {}) for s in ((3, 3), (2, 3, 3), (1, 1), (0, 0), (2, 0, 0))]


Op(
    "matrix_inverse",
    ("a",),
    "The inverse of each matrix.",
    same,
    np.linalg.inv,
    lambda g, out, a: (f.neg(product(transposed(out), g, transposed(out))),),
    expand=lambda a: by_factors(a, stretch(identity(a, ln.dim(a, -1)), ln.dims_of(a)), False, "matrix_inverse"),
    batch=over_stacks("matrix_inverse"),
    shape=lambda a: a.shape,
    checks=(SQUARE,),
    dtypes=FLOAT,
    complex=True,
    samples=_small,
)


def _odd(factors: Variable) -> Variable:
    """Whether an odd number of rows was exchanged."""
    n = ln.dim(factors, -2)
    moved = f.neq(factors[..., -1], f.cast(f.add(counting(n), 1), factors.type.dtype))
    return f.eq(f.mod(f.sum(moved, -1), 2), 1)


def _sign_of(a: Variable) -> Variable:
    factors = apply(OPS["lu_packed"], [a])
    signs = f.prod(f.sgn(diagonals(factors)), -1)
    return f.where(_odd(factors), f.neg(signs), signs)


def _det(a: Variable) -> Variable:
    factors = apply(OPS["lu_packed"], [a])
    found = f.prod(diagonals(factors), -1)
    return f.where(_odd(factors), f.neg(found), found)


def _inverse_times(g: Variable, a: Variable) -> Variable:
    """The inverse of each matrix transposed, times a number of its own."""
    return f.mul(shuffled(g, (*range(g.ndim), -1, -1)), transposed(matrix_inverse(a)))


Op("det", ("a",), "The determinant of each matrix.", same, np.linalg.det,
   lambda g, out, a: (_inverse_times(f.mul(g, out), a),),
   expand=_det, shape=lambda a: a.shape[:-2], checks=(SQUARE,), dtypes=FLOAT, complex=True, samples=_small)  # fmt: skip
Op("sign_of_det", ("a",), "The sign of the determinant of each matrix, 0 for singular ones.", same,
   lambda a: np.linalg.slogdet(a)[0], lambda g, out, a: (ZERO,),
   expand=_sign_of, shape=lambda a: a.shape[:-2], checks=(SQUARE,), dtypes=FLOAT, samples=_small)  # fmt: skip
Op("log_of_det", ("a",), "The logarithm of the absolute determinant of each matrix.", same,
   lambda a: np.linalg.slogdet(a)[1], lambda g, out, a: (_inverse_times(g, a),),
   expand=lambda a: f.sum(f.log(f.abs(diagonals(apply(OPS["lu_packed"], [a])))), -1),
   shape=lambda a: a.shape[:-2], checks=(SQUARE,), dtypes=FLOAT, samples=_small)  # fmt: skip


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

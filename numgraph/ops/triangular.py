"""Triangular systems and Cholesky factors.

The gradient of the Cholesky factor: I. Murray, "Differentiation of the Cholesky decomposition" (2016), eq. 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.graph import Variable, apply
from numgraph.op import OPS, Kernel, Op, same
from numgraph.ops.batching import over_stacks
from numgraph.ops.complexes import conj
from numgraph.ops.create import tril, triu
from numgraph.ops.define import f
from numgraph.ops.factors import is_turned, turned_product
from numgraph.ops.matrices import (
    FLOAT,
    SINGULAR,
    SQUARE,
    STACKS,
    SYSTEM,
    adjoint,
    by_matrix,
    count,
    definite,
    definite_hermitian,
    hermitian_gradient,
    is_small,
    matrices,
    of_triangle,
    outer_gradient,
    sample,
    symmetric_gradient,
    system,
    transposed,
)
from numgraph.types import COMPLEX

__all__ = ["cho_factor", "cho_solve", "cholesky", "solve_triangular"]

# whether the matrix is transposed, by what SciPy calls it
TRANS = {0: False, 1: True, 2: True, "N": False, "T": True, "C": True}
# of these the conjugate is
ADJOINT = (2, "C")

# -- Cholesky factors -------------------------------------------------------------------------------------------------


def _cholesky_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    """L^-T P(L.T @ g) conj(L)^-1, where P takes the lower triangle and half of the diagonal (Murray 2016)."""
    inner = of_triangle(turned_product(out, g))
    left = triangular(out, inner, transposed=True)
    found = triangular(conj(out), transposed(left), transposed=True)
    is_complex = found.type.dtype in COMPLEX
    return (hermitian_gradient(transposed(found)) if is_complex else symmetric_gradient(found),)


def _or_nan(a: NDArray[Any]) -> NDArray[Any]:
    """Cholesky factors, NaN where there is none."""

    def one(x: NDArray[Any]) -> NDArray[Any]:
        try:
            return np.linalg.cholesky(x)
        except np.linalg.LinAlgError:
            return np.full_like(x, np.nan)

    return by_matrix(one, [a], a.shape[-2:])


def _stacks_of(drawn: Callable[..., NDArray[Any]]) -> Callable[[], list[tuple[list[Any], dict[str, Any]]]]:
    shapes = ((3, 3), (2, 4, 4), (1, 1), (0, 0), (2, 0, 3, 3), (2, 0, 0))
    return lambda: [([drawn(*s)], {}) for s in shapes]


def _cholesky_op(name: str, doc: str, value: Any, strict: int) -> None:
    # on devices each thread has a matrix, a real one
    for kind, turned, samples, on_thread in (
        ("", "L.T", definite, "elimination.cholesky"),
        ("complex_", "conj(L.T)", definite_hermitian, ""),
    ):
        kernel = Kernel(
            "lapack.cholesky", lambda a: (count(a), a.shape[-1], strict), routines=("potrf",), on_thread=on_thread,
            fails="the matrix is not positive definite", flops=lambda count, n, _: count * n**3 / 3,
        )  # fmt: skip
        Op(
            kind + name, ("a",),
            f"The lower triangular L with L @ {turned} = a, of which the lower triangle is read{doc}.", same, value,
            _cholesky_grad, kernel=kernel, batch=over_stacks(kind + name), shape=lambda a: a.shape,
            checks=(SQUARE,), complex=bool(kind), dtypes=COMPLEX if kind else FLOAT, cost=20, says="cholesky",
            samples=_stacks_of(samples),
        )  # fmt: skip


_cholesky_op("cholesky", ", for positive definite matrices", np.linalg.cholesky, 1)
_cholesky_op("cholesky_or_nan", "; NaN where a is not positive definite", _or_nan, 0)


def lower_factor(a: Variable, strict: bool = True) -> Variable:
    """The Cholesky factor of matrices, of which the lower triangle is read."""
    kind = "complex_" if a.type.dtype in COMPLEX else ""
    return apply(OPS[f"{kind}cholesky{'' if strict else '_or_nan'}"], [a])


def cholesky(a: Any, upper: bool = False, on_error: str = "raise") -> Variable:
    """The lower triangular L with `L @ L.T = a`, for symmetric positive definite matrices; as np.linalg.cholesky.

    a: floats [..., n, n], of which the lower triangle is read; the result has its shape and dtype, zeros above the
    diagonal. Of complex (Hermitian) matrices L.T is conjugated. upper: U with `U.T @ U = a`, of the upper triangle.
    on_error: "raise" for a MatrixError when the function runs where a matrix is not positive definite, "nan" for NaN
    there, in all of the factor. The gradient is with respect to the elements that are read.
    """
    if on_error not in ("raise", "nan"):
        raise OptionError(f'cholesky: on_error is "raise" or "nan", not {on_error!r}')
    (v,) = matrices("cholesky", a, square=True)
    factor = lower_factor(adjoint(v) if upper else v, on_error == "raise")
    return adjoint(factor) if upper else factor


class CholeskyFactor(NamedTuple):
    """What `cho_factor` gives, and `cho_solve` takes."""

    c: Variable
    lower: bool


def cho_factor(a: Any, lower: bool = False) -> CholeskyFactor:
    """(c, lower), the Cholesky factor for `cho_solve`, as scipy.linalg.cho_factor; zeros in the other triangle of c."""
    return CholeskyFactor(cholesky(a, upper=not lower), bool(lower))


def cho_solve(c_and_lower: Any, b: Any) -> Variable:
    """The solution x of `a @ x = b` by the Cholesky factor (c, lower) of a, as scipy.linalg.cho_solve.

    c: [..., n, n], of which only the triangle that `lower` says is read. b: [n], or [..., n, k]; axes in front
    broadcast. MatrixError when the function runs where an element of c's diagonal is 0.
    """
    c, lower = c_and_lower
    matrix, right, vector = system("cho_solve", c, b)
    turned = conj(matrix)
    x = triangular(matrix if lower else turned, right, not lower, not lower)
    x = triangular(turned if lower else matrix, x, not lower, bool(lower))
    return x[..., 0] if vector else x


# -- triangular systems -----------------------------------------------------------------------------------------------


def _triangle(a: NDArray[Any], upper: bool, unit: bool) -> NDArray[Any]:
    n = a.shape[-1]
    part = np.triu(a, int(unit)) if upper else np.tril(a, -int(unit))
    return part + np.eye(n, dtype=a.dtype) if unit else part


def _triangular_value(a: NDArray[Any], b: NDArray[Any], upper: bool, transposed: bool, unit: bool) -> NDArray[Any]:
    matrix = _triangle(a, upper, unit)
    if not np.diagonal(matrix, axis1=-2, axis2=-1).all():
        raise np.linalg.LinAlgError("Singular matrix")
    matrix = np.swapaxes(matrix, -1, -2) if transposed else matrix
    rows = list(range(a.shape[-1]))[:: -1 if upper != transposed else 1]
    found = b.copy()
    # one row after the other: a factorisation would spread what is not finite over all of them
    for k, row in enumerate(rows):
        known = matrix[..., row : row + 1, rows[:k]] @ found[..., rows[:k], :]
        found[..., row, :] = (b[..., row, :] - known[..., 0, :]) / matrix[..., row, row, None]
    return found


def _triangular_grad(
    g: Variable, out: Variable, a: Variable, b: Variable, upper: bool, transposed: bool, unit: bool
) -> tuple[Variable, Variable]:
    gb = triangular(a, g, upper, not transposed, unit)
    ga = outer_gradient(gb, out, transposed)
    return (triu(ga, int(unit)) if upper else tril(ga, -int(unit))), gb


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
        small="small.small_solve_triangular",
        is_small=lambda count, n, k, *_: is_small(n, k),
        fails=f"{SINGULAR}: there is a zero on its diagonal",
        flops=lambda count, n, k, *_: count * n * n * k,
    ),
    batch=over_stacks("solve_triangular"),
    shape=lambda a, b, **_: b.shape,
    checks=(SQUARE, SYSTEM, STACKS),
    dtypes=FLOAT,
    complex=True,
    samples=_triangular_samples,
    cost=20,
)  # fmt: skip


def triangular(a: Variable, b: Variable, upper: bool = False, transposed: bool = False, unit: bool = False) -> Variable:
    """The op; of a matrix that is another one transposed, as `cholesky(x, upper=True)` is, that one is read."""
    while is_turned(a):
        a, upper, transposed = a.inputs[0], not upper, not transposed
    return apply(OPS["solve_triangular"], [a, b], upper=upper, transposed=transposed, unit=unit)


def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False) -> Variable:
    """The solution x of `a @ x = b` for triangular matrices a, with scipy.linalg.solve_triangular's arguments.

    a: [..., n, n], of which only the upper triangle is read, with `lower` only the lower one. b: [n], or [..., n, k];
    axes in front broadcast. trans: 0 or "N"; 1 or "T" for `a.T @ x = b`, 2 or "C" for `conj(a.T) @ x = b`.
    unit_diagonal: the diagonal is ones, and is not read. MatrixError when the function runs where an element of the
    diagonal is 0.
    """
    if trans not in TRANS:
        raise OptionError(f'solve_triangular: trans is 0, 1, 2, "N", "T" or "C", not {trans!r}')
    matrix, right, vector = system("solve_triangular", a, b)
    matrix = f.conj(matrix) if trans in ADJOINT else matrix
    x = triangular(matrix, right, not lower, TRANS[trans], bool(unit_diagonal))
    return x[..., 0] if vector else x

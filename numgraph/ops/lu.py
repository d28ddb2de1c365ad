"""Triangular factors of general matrices, and solutions by them.

The gradient of the factors: S. de Hoog, R. Anderssen and M. Lukas, "Differentiation of matrix functionals using
triangular factorization" (2011), section 3; of matrices that are not square as for factors made square by an identity.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.graph import Variable, apply, as_variable
from numgraph.lengths import dims
from numgraph.op import OPS, Check, Kernel, Op, int64, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import ahead, over_stacks
from numgraph.ops.create import counted_from, eye, tril, triu
from numgraph.ops.define import f
from numgraph.ops.matrices import (
    FLOAT,
    SINGULAR,
    STACKS,
    SYSTEM,
    by_matrix,
    column,
    count,
    identity,
    is_small,
    is_square,
    line,
    matrices,
    product,
    sample,
    system,
    transposed,
)
from numgraph.ops.shape import stretch
from numgraph.ops.subtensor import OUT_OF_RANGE
from numgraph.ops.triangular import ADJOINT, TRANS, triangular
from numgraph.types import real_of

__all__ = ["lu", "lu_factor", "lu_solve"]

# -- one factorisation for solutions, inverses and determinants --------------------------------------------------------


def _factored(a: NDArray[Any]) -> NDArray[Any]:
    from scipy.linalg import get_lapack_funcs

    rows, columns = a.shape[-2:]
    getrf: Any = get_lapack_funcs("getrf", (a,))

    def one(x: NDArray[Any]) -> NDArray[Any]:
        factors, pivots, _ = getrf(x.T) if x.size else (x.T, np.empty(0), 0)
        exchanged = np.arange(1, rows + 1)
        exchanged[: len(pivots)] = pivots + 1
        return np.column_stack([factors.T, exchanged])

    return by_matrix(one, [a], (rows, columns + 1))


def squares() -> list[tuple[list[Any], dict[str, Any]]]:
    """Samples of matrices whose rows are exchanged."""
    return [([sample(*s)[..., ::-1]], {}) for s in ((3, 3), (2, 4, 4), (1, 1), (0, 0), (2, 0, 0))]


def _rectangles() -> list[tuple[list[Any], dict[str, Any]]]:
    return squares() + [([sample(*s)[..., ::-1]], {}) for s in ((2, 4), (2, 4, 3), (3, 0), (0, 2))]


def _lu_grad(g: Variable, out: Variable, a: Variable) -> tuple[Variable]:
    """P @ L^-T (P1(L.T @ gL) + P2(gU @ U.T)) U^-T, where P1 takes what is below the diagonal, P2 the rest."""
    packed, wanted = (transposed(v[..., :-1]) for v in (out, g))
    left, right = _made_square(packed)
    lower = f.add(tril(left, -1), identity(left, ln.dim(left, -1)))
    below, above = product(transposed(lower), tril(wanted, -1)), product(triu(wanted), transposed(triu(right)))
    inner = triangular(left, f.add(tril(below, -1), triu(above)), transposed=True, unit=True)
    found = triangular(right, transposed(inner), upper=True)
    # the rows that have none name themselves
    pivots = out[..., : ln.least(*ln.dims_of(packed)[-2:]), -1]
    places = order_of_pivots(f.cast(f.sub(f.real(pivots), 1), "int64"), ln.dim(packed, -2), True)
    return (f.take_along_axis(found, line(places), -1),)


def _made_square(packed: Variable) -> tuple[Variable, Variable]:
    """Square matrices with L and with U, of which the other triangle is not to be read."""
    if is_square(packed):
        return packed, packed
    lead, (m, n) = ln.dims_of(packed)[:-2], ln.dims_of(packed)[-2:]
    k, dtype = ln.least(m, n), packed.type.dtype
    left = f.concatenate([packed[..., :k], f.zeros((*lead, m, m - k), dtype)], axis=-1)
    rest = stretch(eye(n, dtype=dtype)[k:], [*lead, n - k, n])
    return left, f.concatenate([packed[..., :k, :], rest], axis=-2)


Op(
    "lu_packed",
    ("a",),
    "The factors of a.T = P @ L @ U by columns, and in one more column the rows that were exchanged, from 1.",
    same,
    _factored,
    _lu_grad,
    kernel=Kernel(
        "lapack.lu",
        lambda a: (count(a), *a.shape[-2:]),
        routines=("getrf",),
        on_thread="elimination.lu",
        small="small.small_lu",
        is_small=lambda count, m, n: is_small(m) and is_small(n),
        flops=lambda count, n, m: count * n * m * min(n, m) * 2 / 3,
    ),
    batch=over_stacks("lu_packed"),
    shape=lambda a: (*a.shape[:-1], a.shape[-1] + 1),
    dtypes=FLOAT,
    complex=True,
    samples=_rectangles,
    cost=20,
    says="lu",
)


def _by_matrix(factors: NDArray[Any], b: NDArray[Any], transposed: bool, what: str) -> NDArray[Any]:
    """By the matrix that the factors are of."""
    n = factors.shape[-2]
    matrix = np.triu(factors[..., :n], 1) + np.eye(n, dtype=factors.dtype)
    matrix = np.tril(factors[..., :n]) @ matrix
    for k in np.ndindex(*factors.shape[:-2]):
        for i in reversed(range(n)):
            j = int(factors[k][i, n].real) - 1
            matrix[k][:, [i, j]] = matrix[k][:, [j, i]]
    return np.linalg.solve(np.swapaxes(matrix, -1, -2) if transposed else matrix, b)


Op(
    "lu_substitution",
    ("factors", "b"),
    "The solutions x of a @ x = b, or a.T @ x = b, by the factors of a. what: the function that asks for them.",
    same,
    _by_matrix,
    None,
    no_grad="solutions and inverses are differentiated before they are made of it",
    kernel=Kernel(
        "lapack.lu_solve",
        lambda factors, b, transposed, what: (count(b), b.shape[-2], b.shape[-1], int(transposed)),
        routines=("trsm", "trsv"),
        on_thread="elimination.lu_solve",
        small="small.small_lu_solve",
        is_small=lambda count, n, k, _: is_small(n, k),
        fails=SINGULAR,
        flops=lambda count, n, k, _: count * n * n * k * 2,
    ),
    batch=over_stacks("lu_substitution"),
    shape=lambda factors, b, transposed, what: b.shape,
    checks=(SYSTEM, STACKS),
    dtypes=FLOAT,
    complex=True,
    samples=lambda: [
        ([_factored(a), np.ones((*a.shape[:-1], k)).cumsum(-2)], {"transposed": turned, "what": "solve"})
        for (a,), _ in squares()
        for k, turned in ((2, False), (1, True), (1, False), (3, True))
    ],
    cost=20,
    says="solve",
)


def by_factors(a: Variable, b: Variable, transposed: bool, what: str) -> Variable:
    """The solutions of a @ x = b, or of a.T @ x = b, for `what` the user has called."""
    return apply(OPS["lu_substitution"], [apply(OPS["lu_packed"], [a]), b], transposed=transposed, what=what)


# -- orders of rows ----------------------------------------------------------------------------------------------------


def _permuted(pivots: NDArray[Any], rows: Any, inverse: bool) -> NDArray[Any]:
    n = int(rows)
    out = np.broadcast_to(np.arange(n), (*pivots.shape[:-1], n)).copy()
    moved = range(min(pivots.shape[-1], n))
    for k in np.ndindex(*pivots.shape[:-1]):
        for i in reversed(moved) if inverse else moved:
            j = pivots[k][i]
            out[k][[i, j]] = out[k][[j, i]]
    return out


def _pivots() -> list[tuple[list[Any], dict[str, Any]]]:
    given = (np.array([2, 2, 2]), np.array([[0, 3, 2, 3], [3, 2, -1, 3]]), np.zeros(1, int), np.zeros((1, 0), int))
    rows = (3, 5, 1, 0)
    return [([p, n], {"inverse": turned}) for p, n in zip(given, rows, strict=True) for turned in (False, True)]


Op(
    "order_of_pivots",
    ("pivots", "rows"),
    "The order into which exchanges bring rows: row i goes where pivots[i] is, one after the other. rows: how many "
    "there are, of which the last ones may have no pivots.",
    int64,
    _permuted,
    None,
    no_grad="an order is no number",
    kernel=Kernel(
        "pivots.permutation",
        lambda pivots, rows, inverse: (
            dims.product(pivots.shape[:-1]),
            pivots.shape[-1],
            rows.value,
            int(inverse),
        ),
    ),
    batch=ahead("order_of_pivots"),
    shape=lambda pivots, rows, inverse: (*pivots.shape[:-1], rows.value),
    checks=(Check("range", lambda pivots, rows, inverse: [(pivots, rows.value)], OUT_OF_RANGE),),
    dtypes=("int32", "int64"),
    samples=_pivots,
    cost=4,
    says="lu_solve",
)


def order_of_pivots(pivots: Variable, rows: Any, inverse: bool) -> Variable:
    """The order into which exchanges bring so many rows, of which the last ones may have no pivots."""
    return apply(OPS["order_of_pivots"], [pivots, *ln.operands([rows])], inverse=inverse)


# -- what users call ---------------------------------------------------------------------------------------------------


class LUFactors(NamedTuple):
    """What `lu_factor` gives, and `lu_solve` takes."""

    lu: Variable
    piv: Variable


def lu_factor(a: Any) -> LUFactors:
    """(lu, piv) of `a = P @ L @ U` for each matrix of a, [..., m, n], as scipy.linalg.lu_factor.

    lu: [..., m, n], U in its upper triangle and below it L, without the ones of its diagonal. piv: int32 [..., k], k =
    min(m, n): row i was exchanged with row piv[i], one after the other. Of singular matrices U has a 0 on its diagonal;
    there the gradient is a MatrixError.
    """
    (v,) = matrices("lu_factor", a)
    packed = apply(OPS["lu_packed"], [transposed(v)])
    k = ln.least(*ln.dims_of(v)[-2:])
    pivots = f.cast(f.sub(f.real(packed[..., :k, -1]), 1), "int32")
    return LUFactors(transposed(packed[..., :-1]), pivots)


def lu_solve(lu_and_piv: Any, b: Any, trans: Any = 0) -> Variable:
    """The solution x of `a @ x = b` by what `lu_factor` gives of a, as scipy.linalg.lu_solve.

    b: [n], or [..., n, k]; axes in front broadcast. trans: 0 or "N"; 1 or "T" for `a.T @ x = b`, 2 or "C" for
    `conj(a.T) @ x = b`. MatrixError when the function runs where a is singular. `solve` with the same matrix shares its
    factorisation, too.
    """
    if trans not in TRANS:
        raise OptionError(f'lu_solve: trans is 0, 1, 2, "N", "T" or "C", not {trans!r}')
    factors, pivots = lu_and_piv
    matrix, right, vector = system("lu_solve", factors, b)
    matrix = f.conj(matrix) if trans in ADJOINT else matrix
    n = ln.dim(matrix, -1)
    order = order_of_pivots(f.cast(as_variable(pivots), "int64"), n, TRANS[trans])
    places = column(stretch(order, [*ln.dims_of(matrix)[:-2], n]))
    if TRANS[trans]:
        x = triangular(matrix, triangular(matrix, right, upper=True, transposed=True), transposed=True, unit=True)
        x = f.take_along_axis(x, places, -2)
    else:
        x = triangular(matrix, f.take_along_axis(right, places, -2), unit=True)
        x = triangular(matrix, x, upper=True)
    return x[..., 0] if vector else x


def lu(a: Any, permute_l: bool = False, p_indices: bool = False) -> tuple[Variable, ...]:
    """(p, l, u) with `a = p @ l @ u` for each matrix of a, [..., m, n], as scipy.linalg.lu.

    p: a permutation matrix [..., m, m]. l: lower triangular [..., m, k] with ones on its diagonal, k = min(m, n). u:
    upper triangular [..., k, n]. p_indices: instead of the matrix int64 indices p with `a = l[p] @ u`. permute_l: (p @
    l, u) alone. Gradients as of `lu_factor`.
    """
    packed, pivots = lu_factor(a)
    m, n = ln.dims_of(packed)[-2:]
    k = ln.least(m, n)
    lower = f.add(tril(packed[..., :k], -1), eye(m, k, dtype=packed.type.dtype))
    upper = triu(packed[..., :k, :])
    # row i of a is row places[i] of l @ u
    places = order_of_pivots(f.cast(pivots, "int64"), m, True)
    if permute_l:
        return f.take_along_axis(lower, column(places), -2), upper
    if p_indices:
        return places, lower, upper
    return f.cast(f.eq(column(places), counted_from(0, m)), real_of(packed.type.dtype)), lower, upper

"""Sylvester's and Lyapunov's equations, by Schur forms.

R. Bartels and G. Stewart, "Algorithm 432: solution of the matrix equation AX + XB = C" (1972). The gradient of the
solution is the solution of the transposed equation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import OptionError
from numgraph.graph import Variable, apply
from numgraph.op import OPS, Check, Kernel, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.complexes import conj
from numgraph.ops.define import f
from numgraph.ops.matrices import (
    FLOAT,
    SQUARE,
    adjoint,
    count,
    identity,
    matrices,
    product,
    sample,
    together,
    transposed,
)
from numgraph.ops.schur import schur
from numgraph.ops.shape import reshaped

__all__ = ["solve_continuous_lyapunov", "solve_discrete_lyapunov", "solve_sylvester"]

COMMON = "a and -b have an eigenvalue in common, nearly at least"
_FITS = Check(
    "equal",
    lambda a, b, q: [(a.shape[-1], q.shape[-2]), (b.shape[-2], q.shape[-1]), (b.shape[-1], b.shape[-2])],
    "matrices of {a} rows or columns with those of {b}",
)
_STACKS = Check(
    "equal",
    lambda a, b, q: [pair for v in (a, b) for pair in zip(v.shape[:-2], q.shape[:-2], strict=True)],
    "stacks of {a} and {b} matrices",
)


def _triangular_value(r: NDArray[Any], s: NDArray[Any], c: NDArray[Any]) -> NDArray[Any]:
    return _value(r, np.conj(np.swapaxes(s, -1, -2)), c)


def _value(a: NDArray[Any], b: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
    from scipy.linalg import solve_sylvester as scipys

    out = np.zeros(q.shape, np.result_type(a, b, q))
    for k in np.ndindex(*q.shape[:-2]) if q.shape[-1] and q.shape[-2] else ():
        out[k] = scipys(a[k], b[k], q[k])
    return out


def _samples(triangular: bool) -> list[tuple[list[Any], dict[str, Any]]]:
    found: list[tuple[list[Any], dict[str, Any]]] = []
    for lead, m, n in (((), 3, 2), ((2,), 2, 4), ((), 1, 1), ((), 0, 2), ((2,), 3, 0), ((0,), 2, 2)):
        a, b = sample(*lead, m, m), sample(*lead, n, n, seed=1)
        pair = [np.triu(a), np.triu(b)] if triangular else [a, b]
        found.append(([*pair, np.ones((*lead, m, n)).cumsum(-1)], {}))
    return found


Op(
    "sylvester_triangular",
    ("r", "s", "c"),
    "The solutions x of r @ x + x @ conj(s.T) = c, for Schur forms r and s.",
    same,
    _triangular_value,
    None,
    no_grad="solutions are differentiated before they are made of it",
    kernel=Kernel(
        "sylvester.sylvester",
        lambda r, s, c: (count(c), c.shape[-2], c.shape[-1]),
        routines=("trsyl",),
        fails=COMMON,
    ),
    batch=over_stacks("sylvester_triangular"),
    shape=lambda r, s, c: c.shape,
    checks=(SQUARE, _STACKS),
    dtypes=FLOAT,
    complex=True,
    samples=lambda: _samples(True),
    cost=40,
    says="solve_sylvester",
)


def _by_schur(a: Variable, b: Variable, q: Variable) -> Variable:
    r, u = schur(a)
    s, v = schur(adjoint(b))
    inner = apply(OPS["sylvester_triangular"], [r, s, product(adjoint(u), q, v)])
    return product(u, inner, adjoint(v))


def _grad(g: Variable, out: Variable, a: Variable, b: Variable, q: Variable) -> tuple[Variable, Variable, Variable]:
    gq = apply(OPS["sylvester"], [transposed(a), transposed(b), g])
    return f.neg(product(gq, transposed(out))), f.neg(product(transposed(out), gq)), gq


Op(
    "sylvester",
    ("a", "b", "q"),
    "The solutions x of a @ x + x @ b = q.",
    same,
    _value,
    _grad,
    expand=_by_schur,
    batch=over_stacks("sylvester"),
    shape=lambda a, b, q: q.shape,
    checks=(SQUARE, _FITS, _STACKS),
    dtypes=FLOAT,
    complex=True,
    samples=lambda: _samples(False),
    says="solve_sylvester",
)


def solve_sylvester(a: Any, b: Any, q: Any) -> Variable:
    """The solution x of `a @ x + x @ b = q`, as scipy.linalg.solve_sylvester: a [..., m, m], b [..., n, n], q [..., m,
    n]; axes in front broadcast. MatrixError when the function runs where a and -b have an eigenvalue in common."""
    v, w, right = matrices("solve_sylvester", a, b, q, square=True)
    right, _ = together(right, product(v, right))
    right, w = together(right, w)
    return apply(OPS["sylvester"], [together(v, right)[0], w, right])


def solve_continuous_lyapunov(a: Any, q: Any) -> Variable:
    """The solution x of `a @ x + x @ conj(a.T) = q`, as scipy.linalg.solve_continuous_lyapunov: a, q [..., n, n]. See
    `solve_sylvester`."""
    v, right = matrices("solve_continuous_lyapunov", a, q, square=True)
    return solve_sylvester(v, adjoint(v), right)


def solve_discrete_lyapunov(a: Any, q: Any, method: str | None = None) -> Variable:
    """The solution x of `a @ x @ conj(a.T) - x + q = 0`, as scipy.linalg.solve_discrete_lyapunov.

    a, q: [..., n, n]; axes in front broadcast. method: "direct", one system of n * n equations; "bilinear", by
    `solve_continuous_lyapunov`, which needs that a has no eigenvalue -1; None: the first where n is known to be below
    10. MatrixError when the function runs where two eigenvalues of a have the product 1.
    """
    if method not in (None, "direct", "bilinear"):
        raise OptionError(f'solve_discrete_lyapunov: method is "direct" or "bilinear", not {method!r}')
    v, right = matrices("solve_discrete_lyapunov", a, q, square=True)
    v, right = together(v, right)
    n = ln.dim(v, -1)
    if method == "direct" or (method is None and isinstance(n, int) and n < 10):
        lead = ln.dims_of(v)[:-2]
        pairs = f.mul(v[..., :, None, :, None], conj(v)[..., None, :, None, :])
        system = f.sub(identity(v, n * n), reshaped(pairs, [*lead, n * n, n * n]))
        return reshaped(f.solve(system, reshaped(right, [*lead, n * n, 1])), [*lead, n, n])
    one, turned = identity(v, n), adjoint(v)
    inverse = f.matrix_inverse(f.add(turned, one))
    b = product(f.sub(turned, one), inverse)
    c = f.mul(product(f.matrix_inverse(f.add(v, one)), right, inverse), 2)
    return solve_continuous_lyapunov(adjoint(b), f.neg(c))

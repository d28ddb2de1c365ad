"""The discrete algebraic equation of Riccati.

The solution is read off the stable vectors of a pencil: T. Pappas, A. Laub and N. Sandell, "On the numerical solution
of the discrete-time algebraic Riccati equation" (1980). Its gradient solves Lyapunov's equation of the closed loop.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.graph import Variable, apply
from numgraph.op import OPS, Check, Op, same
from numgraph.ops import lengths as ln
from numgraph.ops.batching import over_stacks
from numgraph.ops.create import zeros_like
from numgraph.ops.define import f
from numgraph.ops.join import concatenate
from numgraph.ops.matrices import FLOAT, SQUARE, identity, matrices, product, sample, together, transposed
from numgraph.ops.schur import ordered_pairs
from numgraph.ops.sylvester import solve_discrete_lyapunov

__all__ = ["solve_discrete_are"]

_FITS = Check(
    "equal",
    lambda a, b, q, r: [
        (a.shape[-1], b.shape[-2]), (a.shape[-1], q.shape[-1]), (q.shape[-1], q.shape[-2]),
        (r.shape[-1], b.shape[-1]), (r.shape[-1], r.shape[-2]),
    ],
    "matrices of {a} rows or columns with those of {b}",
)  # fmt: skip
_STACKS = Check(
    "equal",
    lambda a, b, q, r: [pair for v in (a, b, r) for pair in zip(v.shape[:-2], q.shape[:-2], strict=True)],
    "stacks of {a} and {b} matrices",
)


def _symmetric(x: Any) -> Any:
    return (x + np.swapaxes(x, -1, -2)) / 2 if isinstance(x, np.ndarray) else f.mul(0.5, f.add(x, transposed(x)))


def _value(a: NDArray[Any], b: NDArray[Any], q: NDArray[Any], r: NDArray[Any]) -> NDArray[Any]:
    from scipy.linalg import solve_discrete_are as scipys

    out = np.full(q.shape, np.nan, np.result_type(a, b, q, r))
    q, r = _symmetric(q), _symmetric(r)
    for k in np.ndindex(*q.shape[:-2]) if q.shape[-1] else ():
        try:
            out[k] = scipys(a[k], b[k], q[k], r[k])
        except np.linalg.LinAlgError:
            continue
    return out


def _by_pencil(a: Variable, b: Variable, q: Variable, r: Variable) -> Variable:
    """[u, v] spans the vectors of eigenvalues within the unit circle of [a, 0; -q, 1] and [1, b r^-1 b.T; 0, a.T], and
    x @ u = v."""
    n = ln.dim(a, -1)
    one, nothing = f.add(zeros_like(a), identity(a, n)), zeros_like(a)
    control = product(b, f.solve(_symmetric(r), transposed(b)))
    left = concatenate([concatenate([a, nothing], -1), concatenate([f.neg(_symmetric(q)), one], -1)], -2)
    right = concatenate([concatenate([one, control], -1), concatenate([nothing, transposed(a)], -1)], -2)
    _, _, alpha, beta, _, z = ordered_pairs("solve_discrete_are", left, right, "iuc")
    x = _symmetric(transposed(f.solve(transposed(z[..., :n, :n]), transposed(z[..., n:, :n]))))
    stable = f.all(f.lt(f.abs(alpha[..., :n]), f.abs(beta[..., :n])), axis=-1)
    found: Variable = f.where(stable[..., None, None], x, math.nan)
    return found


def _grad(
    g: Variable, out: Variable, a: Variable, b: Variable, q: Variable, r: Variable
) -> tuple[Variable, Variable, Variable, Variable]:
    back = product(transposed(b), out)
    gain = f.solve(f.add(_symmetric(r), product(back, b)), product(back, a))
    closed = f.sub(a, product(b, gain))
    gq = solve_discrete_lyapunov(closed, _symmetric(g))
    ga = f.mul(2.0, product(out, closed, gq))
    return ga, f.neg(product(ga, transposed(gain))), gq, product(gain, gq, transposed(gain))


def _samples() -> list[tuple[list[Any], dict[str, Any]]]:
    found: list[tuple[list[Any], dict[str, Any]]] = []
    for lead, n, m in (((), 3, 2), ((2,), 2, 1), ((), 1, 1)):
        q, r = np.eye(n) + 0.1 * sample(*lead, n, n), np.eye(m) + np.zeros((*lead, m, m))
        found.append(([sample(*lead, n, n, seed=2), sample(*lead, n, m, seed=3), q, r], {}))
    return found


Op(
    "solve_discrete_are",
    ("a", "b", "q", "r"),
    "The solutions x of a.T @ x @ a - x - a.T @ x @ b @ (r + b.T @ x @ b)^-1 @ b.T @ x @ a + q = 0 that are stable.",
    same,
    _value,
    _grad,
    expand=_by_pencil,
    batch=over_stacks("solve_discrete_are"),
    shape=lambda a, b, q, r: q.shape,
    checks=(SQUARE, _FITS, _STACKS),
    dtypes=FLOAT,
    samples=_samples,
)


def solve_discrete_are(a: Any, b: Any, q: Any, r: Any) -> Variable:
    """The stabilising solution x of the discrete algebraic Riccati equation, as scipy.linalg.solve_discrete_are:
    `a.T @ x @ a - x - (a.T @ x @ b) @ inv(r + b.T @ x @ b) @ (b.T @ x @ a) + q = 0`.

    a, q: floats [..., n, n]; b: [..., n, m]; r: [..., m, m], not singular; axes in front broadcast. Of q and r the
    symmetric parts count. MatrixError when the function runs where r is singular, or what grows is out of reach of b;
    NaN where the closed loop would have an eigenvalue on the unit circle.
    """
    v, w, cost, weight = matrices("solve_discrete_are", a, b, q, r)
    cost, _ = together(cost, product(v, cost))
    cost, w = together(cost, w)
    cost, weight = together(cost, weight)
    cost, v = together(cost, v)
    return apply(OPS["solve_discrete_are"], [v, together(w, v)[0], cost, together(weight, v)[0]])

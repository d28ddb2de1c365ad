"""Matrices of derivatives, row by row: a loop over the elements of what is differentiated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numgraph.errors import GradientError
from numgraph.grad import grad
from numgraph.graph import Variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.scanning.api import scan

__all__ = ["hessian", "jacobian"]


def jacobian(
    expression: Variable,
    wrt: Variable | Sequence[Variable],
    consider_constant: Iterable[Variable] | Variable | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The derivative of each element of `expression`, a vector or a scalar, for each variable in `wrt`.

    Of a vector of n elements and a variable of shape (k, m) it has the shape (n, k, m); of a scalar it is the gradient.
    A list or tuple of variables gives a list or tuple. consider_constant, disconnected_inputs: as in `grad`.
    GradientError for an expression of more axes, and as `grad`.
    """
    if expression.ndim == 0:
        return grad(expression, wrt, consider_constant, disconnected_inputs=disconnected_inputs)
    if expression.ndim > 1:
        raise GradientError(
            f"jacobian: a vector or a scalar is needed\n  {describe(expression)}\n  fix: use .flatten() on it"
        )
    several: list[Any] = list(wrt) if isinstance(wrt, list | tuple) else [wrt]

    def row(k: Variable) -> list[Variable]:
        found: list[Variable] = grad(expression[k], several, consider_constant, disconnected_inputs=disconnected_inputs)
        return found

    rows, _ = scan(row, f.arange(ln.dim(expression, 0)), name="jacobian", return_list=True)
    if isinstance(wrt, tuple):
        return tuple(rows)
    return rows if isinstance(wrt, list) else rows[0]


def hessian(
    cost: Variable,
    wrt: Variable | Sequence[Variable],
    consider_constant: Iterable[Variable] | Variable | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The matrix of second derivatives of a scalar for each variable in `wrt`, all vectors: (n, n) for one of n.

    A list or tuple of variables gives a list or tuple: derivatives for two of them are not among these.
    GradientError for a variable that is no vector, and as `grad`.
    """
    several: list[Any] = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    for v in several:
        if v.ndim != 1:
            raise GradientError(f"hessian: a vector is needed\n  {describe(v)}\n  fix: make it a reshaped vector's")
    firsts = grad(cost, several, consider_constant, disconnected_inputs=disconnected_inputs)
    rows = [
        jacobian(first, v, consider_constant, disconnected_inputs="ignore")
        for first, v in zip(firsts, several, strict=True)
    ]
    if isinstance(wrt, tuple):
        return tuple(rows)
    return rows if isinstance(wrt, list) else rows[0]

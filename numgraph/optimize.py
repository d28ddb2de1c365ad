"""Roots and minima as expressions: `ng.optimize.root` and `minimize`, which functions compute when they are called.

All are searched by Newton's method, damped as Levenberg and Marquardt do: a step solves with the second derivatives of
what is to become least, plus a number that grows until these are positive definite and the step leads down. Of
equations that is half the sum of their squares, by the squares of their first derivatives.
Gradients are those of the implicit function: of what holds where the search has ended, whichever way it took.

Sources: Levenberg, A method for the solution of certain non-linear problems in least squares, Quarterly of Applied
Mathematics 2, 1944; Marquardt, An algorithm for least-squares estimation of nonlinear parameters, J. SIAM 11, 1963;
Nocedal and Wright, Numerical Optimization, 2006, section 3.4 (modified Hessians).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from numgraph.errors import GradientError, ShapeError
from numgraph.givens import clone
from numgraph.grad import check_cost, grad
from numgraph.graph import Variable, as_variable, describe
from numgraph.jacobians import jacobian
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.scanning.branches import while_loop
from numgraph.types import REALS, promote

__all__ = ["minimize", "minimize_scalar", "root", "root_scalar"]

# How the damping shrinks and grows, where it starts and where nothing is hoped for any more, by the largest derivative.
SHRINK, GROW, FIRST, LAST = 0.2, 4.0, 1e-3, 1e20


class Point(NamedTuple):
    """What is known of a place: what is to become least, what is left of it, its slope, and its second derivatives."""

    merit: Variable
    left: Variable
    slope: Variable
    matrix: Variable


class _Unknowns:
    """The variables that are searched for, as one vector."""

    def __init__(self, what: str, variables: Any) -> None:
        self.one = isinstance(variables, Variable)
        self.variables: list[Variable] = [variables] if self.one else list(variables)
        for v in self.variables:
            if not isinstance(v, Variable) or v.type.dtype not in REALS:
                raise GradientError(f"optimize.{what}: variables of floats are searched for, not {v!r}")
        self.start, self.shapes = f.pack(*self.variables)

    def at(self, expressions: Sequence[Variable], place: Variable) -> list[Variable]:
        """Expressions for another place."""
        parts = self.apart(place)
        found: list[Variable] = clone(list(expressions), list(zip(self.variables, parts, strict=True)))
        return found

    def apart(self, place: Variable) -> list[Variable]:
        """The values of the variables at a place."""
        parts = f.unpack(place, self.shapes)
        return [f.cast(p, v.type.dtype) for p, v in zip(parts, self.variables, strict=True)]

    def result(self, place: Variable) -> Any:
        """As `apart`; one for one."""
        parts = self.apart(place)
        return parts[0] if self.one else parts


def root(equations: Any, variables: Any, *, tol: float | None = None, max_steps: int = 200) -> tuple[Any, Variable]:
    """Values of variables for which all equations are 0, and whether they were found: (values, success).

    equations: an expression of floats, or a list of them; all their elements are to be 0. variables: one that they
    depend on, or a list of them, which have as many elements; what they are in a call is where the search begins. The
    values have their shapes and dtypes, and are a list for a list. tol: how large an element may be at the end, by
    default the roundoff to the power 2/3. max_steps: how many steps are made.

    Derivatives of the values, up to the third, are those of the implicit function, right where the values are a root.
    They solve with the derivatives of the equations: MatrixError in a call where their matrix is singular. The gradient
    of where the search begins is 0.

    GradientError for what is no float or has no gradient, ShapeError for other numbers of equations, MatrixError in a
    call for derivatives that are not finite.

    >>> import numgraph as ng
    >>> x, a = ng.scalar("x"), ng.scalar("a")
    >>> found, success = ng.optimize.root(x**2 - a, x)
    >>> ng.function([x, a], [found, success, ng.grad(found, a)])(1.0, 4.0)
    [array(2.), array(True), array(0.25)]
    """
    unknowns = _Unknowns("root", variables)
    given = [as_variable(e) for e in (equations if isinstance(equations, list | tuple) else [equations])]
    for e in given:
        if e.type.dtype not in REALS:
            raise GradientError(f"optimize.root: equations are floats, not {describe(e)}")

    def residual(place: Variable) -> Variable:
        whole: Variable = f.pack(*unknowns.at(given, place))[0]
        return whole

    def known(place: Variable) -> Point:
        left = residual(place)
        slopes = jacobian(left, place)
        down = f.transpose(slopes)
        merit = 0.5 * f.sum(f.square(left))
        return Point(merit, f.max(f.abs(left)), f.matmul(down, left), f.matmul(down, slopes))

    n, m = residual(unknowns.start).type.shape[0], unknowns.start.type.shape[0]
    if None not in (n, m) and n != m:
        raise ShapeError(f"optimize.root: {n} equations for {m} unknowns")
    return _searched(unknowns, known, residual, tol, max_steps)


def minimize(cost: Any, variables: Any, *, tol: float | None = None, max_steps: int = 200) -> tuple[Any, Variable]:
    """Values of variables for which a cost is least, near where they are, and whether they were found.

    cost: a float scalar. variables, tol, max_steps and the results: as of `root`, where `tol` says how large an element
    of the gradient may be. All second derivatives are worked out, so this is for some hundreds of unknowns at most;
    `ng.minimize` has SciPy's methods, for shared variables. Errors and gradients: as of `root`, by the matrix of second
    derivatives; GradientError for a cost that is no float scalar.

    >>> import numgraph as ng
    >>> x, a = ng.vector("x"), ng.vector("a")
    >>> found, success = ng.optimize.minimize(((x - 2.0 * a) ** 2).sum(), x)
    >>> ng.function([x, a], [found, ng.grad(found.sum(), a)])([0.0, 0.0], [1.0, 3.0])
    [array([2., 6.]), array([2., 2.])]
    """
    unknowns = _Unknowns("minimize", variables)
    cost = as_variable(cost)
    check_cost(cost)

    def slope(place: Variable) -> Variable:
        found: Variable = grad(unknowns.at([cost], place)[0], place)
        return found

    def known(place: Variable) -> Point:
        value = unknowns.at([cost], place)[0]
        down = grad(value, place)
        return Point(value, f.max(f.abs(down)), down, jacobian(down, place, disconnected_inputs="ignore"))

    return _searched(unknowns, known, slope, tol, max_steps)


def root_scalar(equation: Any, variable: Variable, **options: Any) -> tuple[Any, Variable]:
    """As `root`, of one equation and one scalar; ShapeError for others."""
    _scalar("root_scalar", as_variable(equation), variable)
    return root(equation, variable, **options)


def minimize_scalar(cost: Any, variable: Variable, **options: Any) -> tuple[Any, Variable]:
    """As `minimize`, of one scalar; ShapeError for others."""
    _scalar("minimize_scalar", as_variable(cost), variable)
    return minimize(cost, variable, **options)


def _scalar(what: str, *given: Variable) -> None:
    for v in given:
        if v.ndim:
            raise ShapeError(f"optimize.{what}: a scalar is needed, not {describe(v)}")


# -- the search -------------------------------------------------------------------------------------------------------


def _searched(
    unknowns: _Unknowns, known: Callable[[Variable], Point], zero: Callable[[Variable], Variable], tol: float | None,
    max_steps: int,
) -> tuple[Any, Variable]:  # fmt: skip
    """(values, success) of a search from where the variables are to where `zero` is 0."""
    start = f.disconnected_grad(unknowns.start)
    dtype = promote([start.type.dtype])
    noise = float(np.finfo(dtype).eps)
    least = noise ** (2 / 3) if tol is None else tol

    def on(states: Sequence[Variable]) -> Variable:
        _, left, damping, steps = states
        going: Variable = f.and_(f.and_(f.gt(left, least), f.lt(damping, LAST)), f.lt(steps, max_steps))
        return going

    first = [start, known(start).left, f.cast(FIRST, dtype), f.cast(0, "int64")]
    place, left, _, _ = while_loop(on, lambda states: _step(states, known, noise), first)
    place = f.disconnected_grad(place)

    # It has the derivatives of two steps of Newton's method from there, up to the third; nobody needs their values.
    moved = place
    for _ in range(2):
        rest = zero(moved)
        moved = f.sub(moved, f.solve(jacobian(rest, moved, disconnected_inputs="ignore"), rest))
    found = f.custom_gradient(
        lambda moved, start: place, moved, unknowns.start, grad=lambda g, moved, start: [g, f.zeros_like(start)]
    )
    return unknowns.result(found), f.le(left, least)


def _step(states: Sequence[Variable], known: Callable[[Variable], Point], noise: float) -> list[Variable]:
    """One step, which is made where it leads down, or where roundoff hides that and less is left."""
    place, left, damping, steps = states
    here = known(place)
    symmetric = 0.5 * (here.matrix + f.transpose(here.matrix))
    # where this is not positive definite there are NaN, and the step is none
    more = (damping + noise) * f.maximum(f.max(f.abs(symmetric)), noise)
    factor = f.cholesky(f.add(symmetric, more * f.eye(ln.dim(place, 0), dtype=place.type.dtype)), on_error="nan")
    there = f.sub(place, f.cho_solve((factor, True), here.slope))
    new = known(there)
    level = here.merit + 10.0 * noise * (1.0 + f.abs(here.merit))
    lower = f.or_(f.lt(new.merit, here.merit), f.and_(f.le(new.merit, level), f.lt(new.left, left)))
    made = f.and_(f.and_(lower, f.isfinite(new.merit)), f.isfinite(new.left))
    weaker = f.where(f.lt(damping, noise), 0.0, damping * SHRINK)
    dtype = damping.type.dtype
    return [
        f.cast(f.where(made, there, place), place.type.dtype), f.where(made, new.left, left),
        f.cast(f.where(made, weaker, f.maximum(damping * GROW, FIRST)), dtype), steps + 1,
    ]  # fmt: skip

"""PyTensor's `tensor.optimize`: the searches of `numgraph.optimize`, with its arguments."""

from __future__ import annotations

from typing import Any

from numgraph import optimize
from numgraph.errors import OptionError
from numgraph.graph import Variable

# the methods that PyTensor hands on to SciPy; here there is one
_MINIMISERS = (
    "nelder-mead powell cg bfgs newton-cg l-bfgs-b tnc cobyla cobyqa slsqp trust-constr dogleg trust-ncg trust-exact "
    "trust-krylov"
)
_METHODS = {
    "minimize": _MINIMISERS.split(), "minimize_scalar": "brent bounded golden".split(),
    "root": "hybr lm broyden1 broyden2 anderson linearmixing diagbroyden excitingmixing krylov df-sane".split(),
    "root_scalar": "bisect brentq brenth ridder toms748 newton secant halley".split(),
}  # fmt: skip


def _checked(what: str, method: str) -> None:
    if method.lower() not in _METHODS[what]:
        raise OptionError(f"{what}: method is one of {', '.join(_METHODS[what])}, not {method!r}")


def minimize(
    objective: Any, x: Any, method: str = "BFGS", jac: bool = True, hess: bool = False,
    use_vectorized_jac: bool = False, optimizer_kwargs: Any = None,
) -> tuple[Any, Variable]:  # fmt: skip
    """As `numgraph.optimize.minimize`. method: one of SciPy's, of which the search is none; OptionError for another.
    The other arguments have no effect."""
    _checked("minimize", method)
    return optimize.minimize(objective, x)


def minimize_scalar(
    objective: Any, x: Variable, method: str = "brent", optimizer_kwargs: Any = None
) -> tuple[Any, Variable]:
    """As `numgraph.optimize.minimize_scalar`, from where x is; arguments as of `minimize`."""
    _checked("minimize_scalar", method)
    return optimize.minimize_scalar(objective, x)


def root(
    equations: Any, variables: Any, method: str = "hybr", jac: bool = True, use_vectorized_jac: bool = False,
    optimizer_kwargs: Any = None,
) -> tuple[Any, Variable]:  # fmt: skip
    """As `numgraph.optimize.root`; arguments as of `minimize`."""
    _checked("root", method)
    return optimize.root(equations, variables)


def root_scalar(
    equation: Any, variable: Variable, method: str = "secant", jac: bool = False, hess: bool = False,
    optimizer_kwargs: Any = None,
) -> tuple[Any, Variable]:  # fmt: skip
    """As `numgraph.optimize.root_scalar`; arguments as of `minimize`."""
    _checked("root_scalar", method)
    return optimize.root_scalar(equation, variable)

"""`minimize`: SciPy's minimisers on shared variables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import InputError, MatrixError, OptionError
from numgraph.function import Function, function
from numgraph.givens import clone
from numgraph.grad import check_cost, grad
from numgraph.graph import Variable, describe, instead, label
from numgraph.jacobians import hessian, hessian_vector_product
from numgraph.ops.define import f
from numgraph.shared import SharedVariable, shared
from numgraph.storage import put_together
from numgraph.types import FLOATS

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

Array = NDArray[Any]
# What each method of SciPy's asks for besides the cost.
GRADIENT, PRODUCTS, MATRIX, NOTHING = "gradient", "products with the Hessian", "the Hessian", "nothing"
METHODS = {
    "L-BFGS-B": GRADIENT, "BFGS": GRADIENT, "CG": GRADIENT, "TNC": GRADIENT, "SLSQP": GRADIENT,
    "Newton-CG": PRODUCTS, "trust-ncg": PRODUCTS, "trust-krylov": PRODUCTS, "trust-constr": PRODUCTS,
    "dogleg": MATRIX, "trust-exact": MATRIX,
    "Nelder-Mead": NOTHING, "Powell": NOTHING, "COBYLA": NOTHING, "COBYQA": NOTHING,
}  # fmt: skip
# Methods that the oldest supported SciPy lacks, and the version they came with.
SINCE = {"COBYQA": "1.14.0"}
# How much worse a point is where a matrix is singular, and how steep.
FAR = 1e3
# `status` of a run that a callback has ended, as SciPy has it.
STOPPED = 99


def minimize(
    cost: Variable,
    wrt: Any,
    method: str = "L-BFGS-B",
    *,
    givens: Any = None,
    bounds: Any = None,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callable[[OptimizeResult], Any] | None = None,
    target: str | None = None,
) -> OptimizeResult:
    """Find values of shared variables for which a cost is least, by `scipy.optimize.minimize`; they get them at the
    end.

    cost: a float scalar. wrt: a shared float variable, or a list of them; their values are where it starts. For SciPy
        they are one float64 vector, one behind the other, which one compiled function maps to cost and gradient.
    method: "L-BFGS-B", "BFGS", "CG", "TNC", "SLSQP"; "Newton-CG", "trust-ncg", "trust-krylov", "trust-constr", which
        get products with the Hessian, too; "dogleg", "trust-exact", which get the Hessian; "Nelder-Mead", "Powell",
        "COBYLA", "COBYQA" (SciPy 1.14 and later), which get the cost alone.
    givens: as for `function`: what stands for the inputs, such as resident data. No default update is carried out, so
        that a cost with random numbers has the same ones each time.
    bounds: a mapping from variables to (low, high), numbers or arrays that broadcast to the value, None for none; or
        what SciPy takes for the whole vector. tol, options: SciPy's.
    callback: called after each iteration with an OptimizeResult of the point: x, fun, nit. Meanwhile the variables have
        the values of this point. It ends the search by raising StopIteration.
    target: as for `function`.

    Returns SciPy's OptimizeResult: x, fun, success, message, nit, nfev and so on. The variables have the values of x,
    whether it has converged or not, but for a cost that is not finite there: then they are as before, and so are they
    after any exception. A point where a matrix of the cost is singular or not positive definite (MatrixError) counts as
    far worse than the last point where none was, to which its gradient leads back; at the first point it is raised.

    InputError for what is no shared variable, OptionError for an unknown method or bounds that do not fit,
    GradientError and DisconnectedError as `grad`, MissingInputError for an input that no `givens` replace; what the
    function or the callback raises.

    >>> x, y = ng.shared(np.zeros(2), name="x"), ng.shared(0.0, name="y")
    >>> found = ng.minimize(((x - [1.0, 2.0]) ** 2).sum() + (y + 3.0) ** 2, [x, y])
    >>> found.success, x.get_value().round(4), y.get_value().round(4)
    (True, array([1., 2.]), array(-3.))
    """
    check_cost(cost)
    name = _method(method)
    search = Search(_variables(wrt), clone(cost, givens), METHODS[name], target)
    run = Run(search, callback)
    try:
        found: OptimizeResult = scipy_optimize().minimize(
            run.value, search.start, method=name, bounds=_bounds(bounds, search), tol=tol, options=dict(options or {}),
            callback=run.callback, **run.derivatives(),
        )  # fmt: skip
    except Stopped:
        found = scipy_optimize().OptimizeResult(
            x=run.point, fun=run.cost, nit=run.iterations, nfev=run.evaluations, success=False, status=STOPPED,
            message="the callback has raised StopIteration",
        )  # fmt: skip
    except BaseException:
        search.put(search.start)
        raise
    search.put(found.x if math.isfinite(found.fun) else search.start)
    return found


def scipy_optimize() -> Any:
    """SciPy's minimisers, loaded when they are needed."""
    from scipy import optimize

    return optimize


def scipy_version() -> str:
    """Of the SciPy that is here."""
    import scipy

    return scipy.__version__


class Stopped(Exception):
    """A callback has ended the search."""


class Search:
    """What is minimised: variables as parts of one vector, and functions of it.

    start: the values of the variables behind one another, float64.
    """

    def __init__(self, wrt: Sequence[SharedVariable], cost: Variable, needs: str, target: str | None) -> None:
        self.wrt, self.needs = wrt, needs
        self.values = [v.get_value() for v in wrt]
        self.ends = np.cumsum([v.size for v in self.values]).tolist()
        self.start = np.concatenate([v.reshape(-1) for v in self.values]).astype("float64")
        self.theta = shared(self.start, "theta")
        parts = [
            f.cast(f.reshape(self.theta[end - v.size : end], v.shape), v.dtype.name)
            for v, end in zip(self.values, self.ends, strict=True)
        ]
        cost = clone(cost, list(zip(wrt, parts, strict=True)))
        results = [cost] if needs == NOTHING else [cost, grad(cost, self.theta)]
        options: dict[str, Any] = {"no_default_updates": True, "target": target}
        self.function = function([], results, name="minimize", **options)
        self.curvature: Function | None = None
        if needs == MATRIX:
            self.curvature = function([], hessian(cost, self.theta), name="minimize_hessian", **options)
        elif needs == PRODUCTS:
            along = Variable(self.theta.type, "along")
            product = hessian_vector_product(cost, self.theta, along)
            # the gradient of a linear cost does not change along anything
            self.curvature = function([along], product, name="minimize_product", on_unused_input="ignore", **options)

    def put(self, point: Array) -> None:
        """Give the variables the values of a point."""
        parts = [
            np.array(point[end - v.size : end].reshape(v.shape), v.dtype)
            for v, end in zip(self.values, self.ends, strict=True)
        ]
        put_together([(v.storage, part) for v, part in zip(self.wrt, parts, strict=True)])


class Run:
    """One run: what SciPy calls, and where it is. point, cost: of the last iteration."""

    def __init__(self, search: Search, callback: Callable[[OptimizeResult], Any] | None) -> None:
        self.search, self.user = search, callback
        self.evaluations = self.iterations = 0
        self.point, self.cost = search.start, math.nan
        self.last: tuple[Array, float] = (search.start, math.nan)
        # SciPy makes an attribute of what it calls
        self.callback = None if callback is None else self._after_iteration

    def value(self, point: Array) -> Any:
        """The cost at a point, with its gradient where the method asks for it."""
        search = self.search
        # `borrow`: it is read in this call alone
        search.theta.set_value(point, borrow=True)
        self.evaluations += 1
        try:
            found = search.function()
            cost, gradient = float(found[0]), found[-1]
        except MatrixError:
            if self.evaluations == 1:
                raise
            cost, gradient = self._refused(point)
        else:
            self.last = point.copy(), cost
        return cost if search.needs == NOTHING else (cost, gradient)

    def _refused(self, point: Array) -> tuple[float, Array]:
        """Cost and gradient where there are none. They are finite: SciPy's L-BFGS-B takes infinity for convergence."""
        back = point - self.last[0]
        return self.last[1] + FAR * (1 + abs(self.last[1])), FAR * back / (np.linalg.norm(back) or 1.0)

    def derivatives(self) -> dict[str, Any]:
        """The arguments for SciPy that say which derivatives there are."""
        curvature = self.search.curvature
        if self.search.needs == NOTHING:
            return {}
        if curvature is None:
            return {"jac": True}

        def at(point: Array, *along: Array) -> Array:
            self.search.theta.set_value(point, borrow=True)
            result: Array = curvature(*along)
            return result

        return {"jac": True, "hessp" if self.search.needs == PRODUCTS else "hess": at}

    def _after_iteration(self, point: Array, *state: Any) -> None:
        """Call the user's callback; Stopped if that raises StopIteration."""
        self.iterations += 1
        self.point = np.array(point, "float64")
        if not np.array_equal(self.last[0], self.point):
            self.value(self.point)
        self.cost = self.last[1]
        self.search.put(self.point)
        assert self.user is not None
        try:
            self.user(scipy_optimize().OptimizeResult(x=self.point.copy(), fun=self.cost, nit=self.iterations))
        except StopIteration:
            raise Stopped from None


def _method(name: Any) -> str:
    """The method as SciPy writes it."""
    for known in METHODS:
        if isinstance(name, str) and name.lower() == known.lower():
            needed, here = SINCE.get(known, ""), scipy_version()
            if needed and np.lib.NumpyVersion(here) < needed:
                raise OptionError(f"minimize: SciPy has {known} since {needed}, and this is {here}: use COBYLA")
            return known
    raise OptionError(f"minimize: method must be one of {', '.join(METHODS)}, not {name!r}")


def _variables(wrt: Any) -> list[SharedVariable]:
    listed: list[Any] = [wrt] if isinstance(wrt, Variable) else list(wrt)
    for k, v in enumerate(listed):
        if not isinstance(v, SharedVariable):
            raise InputError(
                f"minimize: wrt are shared variables, got{instead(v)}\n  fix: make them with ng.shared(value)"
            )
        if v.dtype not in FLOATS:
            raise InputError(f"minimize: {label(v)} is no float, and keeps its value\n  {describe(v)}")
        if any(v is other for other in listed[:k]):
            raise InputError(f"minimize: {label(v)} is twice in wrt\n  {describe(v)}")
    if not any(np.prod(v.storage.shape) for v in listed):
        raise InputError("minimize: wrt has no elements")
    return listed


def _bounds(bounds: Any, search: Search) -> Any:
    """Bounds of the whole vector."""
    if not isinstance(bounds, Mapping):
        return bounds
    left = {id(v): v for v in bounds}
    lows: list[Array] = []
    highs: list[Array] = []
    for v, value in zip(search.wrt, search.values, strict=True):
        left.pop(id(v), None)
        low, high = bounds.get(v, (None, None))
        for bound, none, found in ((low, -np.inf, lows), (high, np.inf, highs)):
            try:
                whole = np.broadcast_to(np.asarray(none if bound is None else bound, "float64"), value.shape)
            except ValueError as error:
                raise OptionError(
                    f"minimize: a bound of shape {np.shape(bound)} does not broadcast to {value.shape}\n  {describe(v)}"
                ) from error
            found.append(whole.reshape(-1))
    for v in left.values():
        raise OptionError(f"minimize: bounds for {label(v)}, which is not in wrt")
    return scipy_optimize().Bounds(np.concatenate(lows), np.concatenate(highs))

"""What the methods share: gradients, states, hyperparameters and the count of steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from numgraph.errors import DtypeError, GradientError, InputError, OptionError, RepeatedUpdateError, ShapeError
from numgraph.grad import grad
from numgraph.graph import Variable, as_variable, describe, instead, label
from numgraph.ops.define import f
from numgraph.shared import SharedVariable, shared
from numgraph.storage import Storage
from numgraph.types import BOOL, REALS

# What `function(updates=)` takes.
Pairs = list[tuple[SharedVariable, Variable]]
# A number, a scalar expression, or a function of the number of steps done so far that returns one of these.
Hyper = float | Variable | Callable[[Variable], Any]


class Method:
    """One use of a method: its parameters with their gradients, and the pairs that it makes on the way."""

    def __init__(self, name: str, cost_or_gradients: Any, params: Any) -> None:
        self.name = name
        self.params = checked_params(name, params)
        self.gradients = gradients_of(name, cost_or_gradients, self.params)
        self.pairs: Pairs = []
        self._steps: SharedVariable | None = None

    def __iter__(self) -> Iterator[tuple[SharedVariable, Variable]]:
        """The parameters with their gradients."""
        return iter(zip(self.params, self.gradients, strict=True))

    @property
    def steps(self) -> SharedVariable:
        """How many steps have been done, 0 in the first: a shared int64, made when something asks for it."""
        if self._steps is None:
            self._steps = shared(np.int64(0), f"{self.name}_steps")
        return self._steps

    def number(self, what: str, value: Hyper, low: float = 0.0, high: float = math.inf) -> float | Variable:
        """A hyperparameter: a float in [low, high), or a float64 scalar expression, whose value is not looked at."""
        if callable(value) and not isinstance(value, Variable):
            value = value(self.steps)
        found = value if isinstance(value, int | float | np.number) else as_variable(value)
        if not isinstance(found, Variable):
            if not low <= found < high:
                raise OptionError(f"{self.name}: {what} must be at least {low} and below {high}, not {found!r}")
            return float(found)
        if found.ndim or found.dtype == BOOL:
            raise OptionError(
                f"{self.name}: {what} is a number, a scalar expression or a function of the count of steps, not\n"
                f"  {describe(found)}"
            )
        wide: Variable = f.cast(found, "float64")
        return wide

    def state(self, param: SharedVariable, role: str, fill: float = 0.0) -> SharedVariable:
        """A new shared variable of a parameter's shape and dtype, `fill` everywhere."""
        array = np.full(param.storage.shape, fill, param.dtype)
        return SharedVariable(Storage(array), f"{param.name}_{role}" if param.name else None)

    def averaged(self, param: SharedVariable, role: str, value: Variable, kept: float | Variable) -> Variable:
        """A running mean that begins at zero, kept * old + (1 - kept) * value: its new value, with its pair added."""
        old = self.state(param, role)
        new = weighted(old, value, kept, param)
        self.update(old, new)
        return new

    def update(self, target: SharedVariable, value: Variable) -> None:
        """Add a pair."""
        self.pairs.append((target, value))

    def finished(self) -> Pairs:
        """All pairs, the count of steps at the end."""
        return self.pairs if self._steps is None else [*self.pairs, (self._steps, self._steps + 1)]


def within(number: float | Variable, param: Variable) -> Any:
    """A hyperparameter as an operand beside a parameter, whose dtype it does not change."""
    return f.cast(number, param.dtype) if isinstance(number, Variable) else number


def weighted(old: Variable, new: Variable, kept: float | Variable, param: Variable) -> Variable:
    """kept * old + (1 - kept) * new."""
    total: Variable = within(kept, param) * old + within(1.0 - kept, param) * new
    return total


def checked_params(method: str, params: Any) -> list[SharedVariable]:
    """The parameters as a list; InputError for what is no shared variable, DtypeError for integers,
    RepeatedUpdateError for one that is there twice."""
    listed: list[Any] = [params] if isinstance(params, Variable) else list(params)
    for k, p in enumerate(listed):
        if not isinstance(p, SharedVariable):
            raise InputError(
                f"{method}: parameters are shared variables, got{instead(p)}\n  fix: make them with ng.shared(value)"
            )
        if p.dtype not in REALS:
            raise DtypeError(
                f"{method}: a parameter is a float\n  {describe(p)}\n  fix: ng.shared(value.astype('float32'))"
            )
        if any(p is other for other in listed[:k]):
            raise RepeatedUpdateError(f"{method}: {label(p)} is twice among the parameters\n  {describe(p)}")
    return listed


def gradients_of(method: str, given: Any, params: Sequence[SharedVariable]) -> list[Variable]:
    """The gradients of a scalar cost, or the list that is given: one for each parameter, in its dtype.

    GradientError for another number of gradients, and as `grad`; ShapeError for a gradient of another rank.
    """
    if isinstance(given, Variable):
        found: list[Variable] = grad(given, params)
        return found
    if not isinstance(given, Iterable):
        raise GradientError(f"{method}: the first argument is a scalar cost, or a list of gradients, not {given!r}")
    listed = [as_variable(g) for g in given]
    if len(listed) != len(params):
        raise GradientError(f"{method}: {len(listed)} gradients for {len(params)} parameters")
    for g, p in zip(listed, params, strict=True):
        if g.ndim != p.ndim:
            raise ShapeError(
                f"{method}: a gradient has another number of axes than its parameter\n  {describe(g)}\n  {describe(p)}"
            )
    return [f.cast(g, p.dtype) for g, p in zip(listed, params, strict=True)]

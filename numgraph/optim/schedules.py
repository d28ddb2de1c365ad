"""Hyperparameters that change: functions of the number of steps done so far, which a method calls with its counter.

    ng.optim.sgd(cost, params, ng.optim.warmup(100, ng.optim.cosine_decay(0.1, 10_000)))

Any other function of the counter, `lambda steps: 0.1 / (1 + 0.01 * steps)`, will do as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from numgraph.errors import OptionError
from numgraph.graph import Variable, as_variable
from numgraph.ops.define import f

Schedule = Callable[[Variable], Variable]


def exponential_decay(initial: Any, rate: Any, every: float = 1) -> Schedule:
    """initial * rate ** (steps / every)."""
    _positive("exponential_decay", "every", every)

    def at(steps: Variable) -> Variable:
        return initial * f.pow(_wide(rate), _wide(steps) / every)  # type: ignore[no-any-return]

    return at


def inverse_time_decay(initial: Any, rate: Any) -> Schedule:
    """initial / (1 + rate * steps)."""

    def at(steps: Variable) -> Variable:
        return initial / (1.0 + rate * _wide(steps))  # type: ignore[no-any-return]

    return at


def cosine_decay(initial: Any, steps: float, final: Any = 0.0) -> Schedule:
    """From `initial` to `final` along half a cosine, in `steps` steps, and then `final`."""
    _positive("cosine_decay", "steps", steps)

    def at(done: Variable) -> Variable:
        part = f.minimum(_wide(done) / steps, 1.0)
        return final + (initial - final) * (1.0 + f.cos(math.pi * part)) / 2  # type: ignore[no-any-return]

    return at


def piecewise(boundaries: Sequence[float], values: Sequence[Any]) -> Schedule:
    """values[0] in the steps before boundaries[0], then values[1], and so on; one value more than boundaries."""
    ends = list(boundaries)
    if len(values) != len(ends) + 1 or ends != sorted(ends):
        raise OptionError(
            f"piecewise: boundaries in order and one value more are needed, got {ends} and {len(values)} values"
        )

    def at(steps: Variable) -> Variable:
        found = _wide(values[-1])
        for end, value in zip(reversed(ends), reversed(values[:-1]), strict=True):
            found = f.where(f.lt(steps, end), _wide(value), found)
        return found

    return at


def warmup(steps: float, then: Any) -> Schedule:
    """`then`, a number, a scalar expression or a schedule, multiplied by 1 / steps in the first step, 2 / steps in the
    second, and so on up to 1."""
    _positive("warmup", "steps", steps)

    def at(done: Variable) -> Variable:
        value = then(done) if callable(then) and not isinstance(then, Variable) else then
        return value * f.minimum((_wide(done) + 1.0) / steps, 1.0)  # type: ignore[no-any-return]

    return at


def _wide(value: Any) -> Variable:
    """A scalar as float64."""
    wide: Variable = f.cast(as_variable(value), "float64")
    return wide


def _positive(name: str, what: str, value: float) -> None:
    if not value > 0:
        raise OptionError(f"{name}: {what} must be more than 0, not {value!r}")

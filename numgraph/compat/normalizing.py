"""Theano's normalisation of minibatches: parameters have the inputs' axes, or those that are left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.errors import AxisError, OptionError, ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.normalize import moments

# below it Theano refuses, as the library that it calls on GPUs
_LEAST_EPSILON = 1e-5


def _axes(what: str, axes: Any, x: Variable) -> tuple[int, ...]:
    """The axes that are normalised, sorted."""
    if isinstance(axes, str):
        if axes not in ("per-activation", "spatial"):
            raise OptionError(f'{what}: axes must be "per-activation", "spatial" or numbers, not {axes!r}')
        return (0,) if axes == "per-activation" else (0, *range(2, x.ndim))
    found = tuple(sorted(int(a) for a in (axes if isinstance(axes, list | tuple) else (axes,))))
    if not found or found[0] < 0 or found[-1] >= x.ndim:
        raise AxisError(f"{what}: axes={found} are no axes of {describe(x)}")
    return found


def _parameters(what: str, x: Variable, axes: Sequence[int], given: dict[str, Any]) -> dict[str, Variable]:
    """The parameters with the axes of x, of length 1 where x is normalised.

    ShapeError where one has neither the axes of x nor those that are left, or not as many as the first one.
    """
    left = [k for k in range(x.ndim) if k not in axes]
    found = {name: as_variable(value) for name, value in given.items()}
    ndim = next(iter(found.values())).ndim
    for name, v in found.items():
        if v.ndim not in (x.ndim, len(left)) or v.ndim != ndim:
            raise ShapeError(
                f"{what}: {name} must have the {x.ndim} axes of the inputs, or the {len(left)} that are not "
                f"normalised, as all parameters\n  {describe(v)}\n  {describe(x)}"
            )
    if ndim == x.ndim:
        return {name: f.specify_shape(v, [1 if k in axes else None for k in range(ndim)]) for name, v in found.items()}
    pattern = [left.index(k) if k in left else "x" for k in range(x.ndim)]
    return {name: f.dimshuffle(v, *pattern) for name, v in found.items()}


def _checked_epsilon(what: str, epsilon: float) -> float:
    if not epsilon >= _LEAST_EPSILON:
        raise OptionError(f"{what}: epsilon must be {_LEAST_EPSILON} or more, not {epsilon}")
    return epsilon


def batch_normalization_train(
    inputs: Any,
    gamma: Any,
    beta: Any,
    axes: Any = "per-activation",
    epsilon: float = 1e-4,
    running_average_factor: float = 0.1,
    running_mean: Any = None,
    running_var: Any = None,
) -> tuple[Variable, ...]:
    """(normalised inputs, their mean, 1 / their deviation), and where running averages are given the next of these.

    axes: what statistics are taken over: "per-activation", the images; "spatial", all axes but that of channels; or
    numbers. gamma, beta, running_mean, running_var: with the axes of `inputs`, of length 1 at `axes`, or without these;
    the results have the same axes. The running variance is that without bias. ShapeError for other parameters,
    OptionError for one running average without the other and for an epsilon below 1e-5.
    """
    what = "batch_normalization_train"
    x = as_variable(inputs)
    over = _axes(what, axes, x)
    if (running_mean is None) != (running_var is None):
        raise OptionError(f"{what}: running_mean and running_var are given both, or none of them")
    given = {"gamma": gamma, "beta": beta}
    if running_mean is not None:
        given |= {"running_mean": running_mean, "running_var": running_var}
    at = _parameters(what, x, over, given)
    mean, var = moments(x, over, keepdims=True)
    inverse = 1 / f.sqrt(var + _checked_epsilon(what, epsilon))
    out = (x - mean) * (at["gamma"] * inverse) + at["beta"]
    found = [mean, inverse]
    if running_mean is not None:
        kept = 1 - running_average_factor
        m = f.cast(ln.product([ln.dim(x, a) for a in over]), x.type.dtype)
        found.append(at["running_mean"] * kept + mean * running_average_factor)
        found.append(at["running_var"] * kept + m / (m - 1) * var * running_average_factor)
    if as_variable(gamma).ndim != x.ndim:
        found = [f.dimshuffle(v, *(k for k in range(x.ndim) if k not in over)) for v in found]
    return (out, *found)


def batch_normalization_test(
    inputs: Any, gamma: Any, beta: Any, mean: Any, var: Any, axes: Any = "per-activation", epsilon: float = 1e-4
) -> Variable:
    """(inputs - mean) gamma / sqrt(var + epsilon) + beta; see `batch_normalization_train`."""
    what = "batch_normalization_test"
    x = as_variable(inputs)
    at = _parameters(what, x, _axes(what, axes, x), {"gamma": gamma, "beta": beta, "mean": mean, "var": var})
    scale = at["gamma"] / f.sqrt(at["var"] + _checked_epsilon(what, epsilon))
    result: Variable = (x - at["mean"]) * scale + at["beta"]
    return result

"""Normalisation of layers: by the batch, by the row, by groups of channels. Compositions of reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops.define import as_floats, f
from numgraph.ops.lengths import dims_of
from numgraph.ops.reduce import Axes, axes_of
from numgraph.ops.statistics import mean, var

__all__ = ["batch_norm", "group_norm", "layer_norm", "moments", "rms_norm"]


def moments(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Variable, Variable]:
    """(mean, variance without bias correction) along `axis`; integers and bools count as float64.

    >>> import numpy as np
    >>> [float(m.eval()) for m in moments(np.array([1.0, 3.0]))]
    [2.0, 1.0]
    """
    v = as_variable(x)
    return mean(v, axis, keepdims=keepdims), var(v, axis, keepdims=keepdims)


def batch_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    mean: Any = None,
    var: Any = None,
    axis: int = 1,
    epsilon: float = 1e-5,
) -> Variable:
    """(x - mean) / sqrt(var + epsilon) * gamma + beta, for each channel, of x's shape.

    x: float[batch, channels, ...], with channels along `axis`. gamma, beta: float[channels], or None for 1 and 0. mean,
    var: float[channels], those of training when a model is used; None for those of x itself, along all axes but
    `axis`, as in training (Ioffe and Szegedy, 2015). `moments` gives them for running averages. DtypeError, ShapeError,
    AxisError; OptionError for one of mean and var without the other.
    """
    v = as_floats(x)
    axes = axes_of("batch_norm", v, axis)
    if len(axes) != 1:
        raise ShapeError(f"batch_norm: axis is the one of channels, not {axis}, for {describe(v)}")
    channel = axes[0]
    if (mean is None) != (var is None):
        raise OptionError("batch_norm: mean and var come together: both, or neither for those of x itself")
    if mean is None:
        m, s = moments(v, tuple(k for k in range(v.ndim) if k != channel), keepdims=True)
    else:
        m, s = (_along("batch_norm", p, v, (channel,)) for p in (mean, var))
    normal = f.mul(f.sub(v, m), _inverse(s, epsilon))
    return _scaled("batch_norm", normal, gamma, beta, (channel,))


def layer_norm(x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float = 1e-5) -> Variable:
    """(x - mean) / sqrt(var + epsilon) * gamma + beta, of x's shape, with mean and variance along `axis`, one or more.

    gamma, beta: with an axis for each of `axis`, from the first to the last, or None for 1 and 0 (Ba, Kiros and Hinton,
    2016). AxisError; ShapeError for parameters of another rank.
    """
    v = as_floats(x)
    axes = axes_of("layer_norm", v, axis)
    m, s = moments(v, axes, keepdims=True)
    return _scaled("layer_norm", f.mul(f.sub(v, m), _inverse(s, epsilon)), gamma, beta, axes)


def rms_norm(x: Any, gamma: Any = None, axis: Any = -1, epsilon: float = 1e-5) -> Variable:
    """x / sqrt(mean(x**2) + epsilon) * gamma along `axis`, as `layer_norm` (Zhang and Sennrich, 2019)."""
    v = as_floats(x)
    axes = axes_of("rms_norm", v, axis)
    return _scaled("rms_norm", f.mul(v, _inverse(mean(f.mul(v, v), axes, keepdims=True), epsilon)), gamma, None, axes)


def group_norm(x: Any, groups: int, gamma: Any = None, beta: Any = None, epsilon: float = 1e-5) -> Variable:
    """As `layer_norm`, over each of so many groups of channels of x, float[batch, channels, ...] (Wu and He, 2018).

    With as many groups as channels it is instance normalisation. gamma, beta: float[channels]. ShapeError for less than
    two axes, or channels that are no multiple of `groups`, where that is known.
    """
    v = as_floats(x)
    if v.ndim < 2:
        raise ShapeError(f"group_norm: x needs an axis for the batch and one for channels\n  {describe(v)}")
    if not isinstance(groups, int) or groups < 1:
        raise OptionError(f"group_norm: groups must be a number of at least 1, not {groups!r}")
    known = v.type.shape[1]
    if known is not None and known % groups:
        raise ShapeError(f"group_norm: {known} channels do not make {groups} equal groups\n  {describe(v)}")
    batch, channels, *rest = dims_of(v)
    inner = channels // groups if isinstance(channels, int) else f.floor_div(channels, groups)
    grouped = f.reshape(v, (batch, groups, inner, *rest))
    normal = layer_norm(grouped, axis=tuple(range(2, grouped.ndim)), epsilon=epsilon)
    return _scaled("group_norm", f.reshape(normal, (batch, channels, *rest)), gamma, beta, (1,))


def _inverse(variance: Variable, epsilon: float) -> Variable:
    """1 / sqrt(variance + epsilon)."""
    return f.true_div(1.0, f.sqrt(f.add(variance, epsilon)))


def _scaled(name: str, normal: Variable, gamma: Any, beta: Any, axes: Axes) -> Variable:
    """normal * gamma + beta, the parameters along `axes`."""
    if gamma is not None:
        normal = f.mul(normal, _along(name, gamma, normal, axes))
    return normal if beta is None else f.add(normal, _along(name, beta, normal, axes))


def _along(name: str, parameter: Any, x: Variable, axes: Sequence[int]) -> Variable:
    """A parameter with one axis for each of `axes`, as it broadcasts with x; a number as it is."""
    p = as_variable(parameter)
    if not p.ndim:
        return p
    if p.ndim != len(axes):
        raise ShapeError(
            f"{name}: a parameter has {len(axes)} axes, one for each that it belongs to, or none, not {p.ndim}\n"
            f"  parameter: {describe(p)}\n  x: {describe(x)}"
        )
    pattern: list[Any] = ["x"] * x.ndim
    for k, a in enumerate(axes):
        pattern[a] = k
    result: Variable = f.dimshuffle(p, *pattern)
    return result

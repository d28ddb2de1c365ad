"""Functions of neural networks: activations, softmax and the cross-entropies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import DtypeError, ShapeError
from numgraph.graph import Variable, apply, as_operands, as_variable, describe, elementwise
from numgraph.op import OPS, Op, floating, same
from numgraph.ops import lengths as ln
from numgraph.ops.define import along_axis, as_floats, f
from numgraph.ops.reduce import axes_of, max_or_lowest
from numgraph.ops.shape import reshaped
from numgraph.types import FLOATS, REALS

__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "elu", "expit", "log_softmax", "relu", "sigmoid",
    "sigmoid_binary_crossentropy", "softmax", "softplus",
]  # fmt: skip

# -- activations ----------------------------------------------------------------------------------------------------

# exp(-x) overflows to infinity for very negative x, and 1 / inf is the 0 that is wanted
Op("sigmoid", ("x",), "1 / (1 + exp(-x)).", floating, lambda x: 1.0 / (1.0 + np.exp(-x)),
   lambda g, out, x: (f.mul(g, f.mul(out, f.sub(1.0, out))),), scalar="1.0 / (1.0 + exp(-x))", domain=(-6.0, 6.0),
   cost=25)  # fmt: skip
sigmoid = elementwise("sigmoid")
# SciPy's name
expit = sigmoid

Op("softplus", ("x",), "log(1 + exp(x)), without overflow for large x.", floating,
   lambda x: np.logaddexp(x, np.zeros((), x.dtype)), lambda g, out, x: (f.mul(g, sigmoid(x)),),
   scalar="maximum(x, 0.0) + log1p(exp(-abs(x)))", domain=(-20.0, 20.0), cost=45)  # fmt: skip
softplus = elementwise("softplus")


def _relu_grad(g: Variable, out: Variable, x: Variable) -> tuple[Any, ...]:
    return (f.where(f.gt(x, 0), g, f.where(f.eq(x, 0), f.mul(0.5, g), 0.0)),)


Op("relu", ("x",), "The larger of x and 0; its derivative at 0 is 0.5.", same,
   lambda x: np.maximum(x, np.zeros((), x.dtype)), _relu_grad, scalar="maximum(x, 0.0)", cost=2)  # fmt: skip
relu = elementwise("relu")


def _elu_grad(g: Variable, out: Variable, x: Variable, alpha: Variable) -> tuple[Any, ...]:
    positive = f.gt(x, 0)
    left = f.where(positive, 0.0, g)
    return f.where(positive, g, f.masked_mul(left, f.mul(alpha, f.exp(x)))), f.masked_mul(left, f.expm1(x))


Op("elu", ("x", "alpha"), "x where it is positive, else alpha * (exp(x) - 1).", floating,
   lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)), _elu_grad, scalar="where(x > 0.0, x, alpha * expm1(x))",
   cost=25)  # fmt: skip


def elu(x: Any, alpha: Any = 1.0) -> Variable:
    """x where it is positive, else alpha * (exp(x) - 1); alpha is a number or an array that broadcasts with x."""
    return apply(OPS["elu"], as_operands(x, alpha))


# -- softmax --------------------------------------------------------------------------------------------------------


def _softmax(x: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.exp(_log_softmax(x, axis)) if x.size else np.asarray(x, x.dtype if x.dtype.kind == "f" else np.float64)


def _log_softmax(x: NDArray[Any], axis: int) -> NDArray[Any]:
    x = np.asarray(x)
    x = x if x.dtype.kind == "f" else x.astype(np.float64)
    if not x.size:
        return x
    shifted = x - np.max(x, axis, keepdims=True)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis, keepdims=True)))


def _softmax_expand(x: Variable, axis: int) -> Variable:
    e = f.exp(f.sub(x, max_or_lowest(x, (axis,), keepdims=True)))
    result: Variable = f.true_div(e, f.sum(e, axis, keepdims=True))
    return result


def _log_softmax_expand(x: Variable, axis: int) -> Variable:
    shifted = f.sub(x, max_or_lowest(x, (axis,), keepdims=True))
    result: Variable = f.sub(shifted, f.log(f.sum(f.exp(shifted), axis, keepdims=True)))
    return result


def _softmax_grad(g: Variable, out: Variable, x: Variable, axis: int) -> tuple[Any, ...]:
    return (f.mul(out, f.sub(g, f.sum(f.mul(g, out), axis, keepdims=True))),)


def _log_softmax_grad(g: Variable, out: Variable, x: Variable, axis: int) -> tuple[Any, ...]:
    return (f.sub(g, f.mul(softmax(x, axis), f.sum(g, axis, keepdims=True))),)


def _softmax_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    plain = np.array([[0.5, -1.0, 2.0], [3.0, 3.0, -2.0]])
    return [([plain], {"axis": 1}), ([plain], {"axis": 0}), ([plain[0]], {"axis": 0}), ([plain[:, :1]], {"axis": 1})]


Op("softmax", ("x",), "exp(x) / sum(exp(x)) along `axis`, without overflow.", floating, _softmax, _softmax_grad,
   expand=_softmax_expand, reach=along_axis, samples=_softmax_samples, dtypes=FLOATS)  # fmt: skip

Op("log_softmax", ("x",), "log(softmax(x)) along `axis`, without overflow or underflow.", floating, _log_softmax,
   _log_softmax_grad, expand=_log_softmax_expand, reach=along_axis, samples=_softmax_samples,
   dtypes=FLOATS)  # fmt: skip


# -- p * log(p) -------------------------------------------------------------------------------------------------------


def _plogp(x: NDArray[Any], axis: int) -> NDArray[Any]:
    logs = _log_softmax(x, axis)
    return np.where(logs == -np.inf, np.zeros((), logs.dtype), np.exp(logs) * logs)


def _plogp_expand(x: Variable, axis: int) -> Variable:
    return f.masked_mul(softmax(x, axis), log_softmax(x, axis))


def _plogp_grad(g: Variable, out: Variable, x: Variable, axis: int) -> tuple[Any, ...]:
    """d p * log(p) = (log(p) + 1) dp, in which p * log(p) is `out`: finite also where log(p) is not."""
    p = softmax(x, axis)
    own = f.mul(g, f.add(out, p))
    return (f.sub(own, f.mul(p, f.sum(own, axis, keepdims=True))),)


Op("softmax_plogp", ("x",), "p * log(p) for p = softmax(x) along `axis`, 0 where p is 0.", floating, _plogp,
   _plogp_grad, expand=_plogp_expand, reach=along_axis, samples=_softmax_samples, dtypes=FLOATS)  # fmt: skip


def softmax(x: Any, axis: int | tuple[int, ...] | None = -1) -> Variable:
    """exp(x) / sum(exp(x)) along `axis`, of x's shape; an element of -inf gets probability and gradient 0.

    axis: one, several, over which the sum is then taken, or None for all.

    The axis may be empty, as may be the others: then so is the result.
    AxisError for an axis that x has not.
    """
    return _along("softmax", x, axis)


def log_softmax(x: Any, axis: int | tuple[int, ...] | None = -1) -> Variable:
    """log(softmax(x)) along `axis`, of x's shape, finite however far apart the elements are; empty where x is.

    axis: as for `softmax`.

    AxisError for an axis that x has not.
    """
    return _along("log_softmax", x, axis)


def _along(name: str, x: Any, axis: Any) -> Variable:
    v = as_floats(x)
    axes = axes_of(name, v, axis)
    if not axes:
        raise ShapeError(f"{name}: an axis is needed, not {axis}, for {describe(v)}")
    if len(axes) == 1:
        return apply(OPS[name], [v], axis=axes[0])
    # the axes as one, behind the others, and back
    order = [*(k for k in range(v.ndim) if k not in axes), *axes]
    moved = f.transpose(v, order)
    lengths = ln.dims_of(moved)
    flat = reshaped(moved, [*lengths[: v.ndim - len(axes)], ln.product(lengths[v.ndim - len(axes) :])])
    found = reshaped(apply(OPS[name], [flat], axis=flat.ndim - 1), lengths)
    result: Variable = f.transpose(found, [order.index(k) for k in range(v.ndim)])
    return result


# -- cross-entropies ------------------------------------------------------------------------------------------------


def categorical_crossentropy(p: Any, y: Any) -> Variable:
    """-log of the probability of the true class, for each row of p, float[rows, classes].

    y: int[rows] labels, or float[rows, classes] true distributions (a class of probability 0 counts as nothing).
    ShapeError for other numbers of axes, or of labels, DtypeError for labels that are no integers.
    """
    probabilities, target = as_variable(p), as_variable(y)
    if target.ndim == probabilities.ndim:
        weighted = f.masked_mul(f.cast(target, probabilities.type.dtype), f.log(probabilities))
        one_hot: Variable = f.neg(f.sum(weighted, axis=-1))
        return one_hot
    if probabilities.ndim != 2 or target.ndim != 1:
        raise ShapeError(
            "categorical_crossentropy: p has one axis for rows and one for classes, y has a label for each row, "
            "or the shape of p\n"
            f"  {describe(probabilities)}\n  {describe(target)}"
        )
    if target.type.dtype in (*REALS, "bool"):
        raise DtypeError(
            f"categorical_crossentropy: labels are integers, not {describe(target)}; convert with y.astype('int32')"
        )
    target = f.matched(target, [ln.dim(probabilities, 0)], "categorical_crossentropy")
    rows = f.arange(f.shape(target)[0])
    picked: Variable = f.neg(f.getitem(f.log(probabilities), (rows, target)))
    return picked


def binary_crossentropy(p: Any, t: Any) -> Variable:
    """-(t * log(p) + (1 - t) * log(1 - p)), element by element; a term of weight 0 counts as nothing.

    p: probabilities; t: targets in [0, 1].
    """
    probabilities, target = as_operands(p, t)
    target = f.cast(target, f.log(probabilities).type.dtype)
    hit = f.masked_mul(target, f.log(probabilities))
    missed = f.masked_mul(f.sub(1.0, target), f.log(f.sub(1.0, probabilities)))
    result: Variable = f.neg(f.add(hit, missed))
    return result


def sigmoid_binary_crossentropy(x: Any, t: Any) -> Variable:
    """binary_crossentropy(sigmoid(x), t), finite for every finite x: softplus(x) - x * t."""
    score, target = as_operands(x, t)
    wanted = softplus(score)
    result: Variable = f.sub(wanted, f.mul(score, f.cast(target, wanted.type.dtype)))
    return result

"""More activations of neural networks, and the confusion matrix: compositions."""

from __future__ import annotations

import math
from typing import Any

from numgraph.config import config
from numgraph.errors import DtypeError, ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.ops import lengths as ln
from numgraph.ops.create import zeros
from numgraph.ops.define import as_floats, f
from numgraph.ops.join import concatenate
from numgraph.ops.search import searchsorted, unique
from numgraph.types import DISCRETE

__all__ = [
    "celu",
    "confusion_matrix",
    "gelu",
    "glu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "one_hot",
    "relu6",
    "selu",
    "silu",
    "softmin",
    "softsign",
    "squareplus",
    "swish",
    "ultra_fast_sigmoid",
]  # fmt: skip


def hard_sigmoid(x: Any) -> Variable:
    """0.2 * x + 0.5 between 0 and 1: an approximation of the sigmoid by three lines."""
    return f.clip(f.add(f.mul(as_floats(x), 0.2), 0.5), 0.0, 1.0)


def ultra_fast_sigmoid(x: Any) -> Variable:
    """An approximation of the sigmoid by Theano's formula, off by up to 0.0147: a hyperbola near 0, a line beyond 3.4,
    constant beyond 6. Its gradient is that of the formula.
    """
    v = as_floats(x)
    half = f.mul(f.abs(v), 0.5)
    near = f.true_div(f.mul(half, 1.5), f.add(half, 1.0))
    line = f.add(f.mul(f.sub(half, 1.7), 0.0458812946797165), 0.935409070603099)
    size = f.where(f.lt(half, 1.7), near, f.where(f.lt(half, 3.0), line, 0.99505475368673))
    signed = f.where(f.lt(v, 0), f.neg(size), size)
    return f.where(f.isnan(v), v, f.mul(f.add(signed, 1.0), 0.5))


def selu(x: Any) -> Variable:
    """The scaled elu of Klambauer and others (2017), which keeps mean 0 and variance 1."""
    return f.mul(f.elu(x, 1.6732632423543772), 1.0507009873554805)


def softsign(x: Any) -> Variable:
    """x / (1 + abs(x)), which lies between -1 and 1."""
    v = as_floats(x)
    return f.true_div(v, f.add(f.abs(v), 1.0))


def leaky_relu(x: Any, negative_slope: Any = 0.01) -> Variable:
    """x where it is not negative, else `negative_slope` * x."""
    v = as_floats(x)
    return f.where(f.ge(v, 0), v, f.mul(v, negative_slope))


def relu6(x: Any) -> Variable:
    """x between 0 and 6."""
    return f.clip(as_floats(x), 0.0, 6.0)


def hard_tanh(x: Any) -> Variable:
    """x between -1 and 1."""
    return f.clip(as_floats(x), -1.0, 1.0)


def silu(x: Any) -> Variable:
    """x * sigmoid(x), of Elfwing and others (2017), also called swish."""
    v = as_floats(x)
    return f.mul(v, f.sigmoid(v))


def hard_silu(x: Any) -> Variable:
    """x * relu6(x + 3) / 6: `silu` by lines and a parabola, of Howard and others (2019)."""
    v = as_floats(x)
    return f.mul(v, f.mul(f.clip(f.add(v, 3.0), 0.0, 6.0), 1 / 6))


def gelu(x: Any, approximate: bool = False) -> Variable:
    """x times the probability that a normal number is below x, of Hendrycks and Gimpel (2016).

    approximate: by their formula with tanh, off by up to 5e-4.
    """
    v = as_floats(x)
    if not approximate:
        return f.mul(v, f.ndtr(v))
    inner = f.mul(math.sqrt(2 / math.pi), f.add(v, f.mul(0.044715, f.mul(v, f.mul(v, v)))))
    return f.mul(f.mul(0.5, v), f.add(1.0, f.tanh(inner)))


def mish(x: Any) -> Variable:
    """x * tanh(softplus(x)), of Misra (2019)."""
    v = as_floats(x)
    return f.mul(v, f.tanh(f.softplus(v)))


def log_sigmoid(x: Any) -> Variable:
    """log(sigmoid(x)), finite for every finite x."""
    return f.neg(f.softplus(f.neg(as_floats(x))))


def celu(x: Any, alpha: Any = 1.0) -> Variable:
    """x where it is positive, else alpha * (exp(x / alpha) - 1), of Barron (2017)."""
    v = as_floats(x)
    left = f.mul(alpha, f.expm1(f.true_div(f.minimum(v, 0), alpha)))
    return f.where(f.gt(v, 0), v, left)


def squareplus(x: Any, b: Any = 4.0) -> Variable:
    """(x + sqrt(x * x + b)) / 2: close to softplus, without exponentials."""
    v = as_floats(x)
    return f.mul(0.5, f.add(v, f.sqrt(f.add(f.mul(v, v), b))))


def glu(x: Any, axis: int = -1) -> Variable:
    """The first half of x along `axis` times the sigmoid of the second, of Dauphin and others (2016).

    ShapeError where the axis has an odd length, when the function runs if that is not known before.
    """
    left, right = f.split(as_floats(x), 2, axis=axis)
    return f.mul(left, f.sigmoid(right))


def softmin(x: Any, axis: int = -1) -> Variable:
    """softmax(-x) along `axis`."""
    return f.softmax(f.neg(as_floats(x)), axis)


def one_hot(x: Any, num_classes: Any, dtype: Any = None, axis: int = -1) -> Variable:
    """A new axis of length `num_classes` with 1 at position x and zeros elsewhere; only zeros for an x that is not
    there. dtype None: floatX. `to_one_hot` raises IndexOutOfRange instead. DtypeError for floats.
    """
    v = as_variable(x)
    if v.type.dtype not in DISCRETE:
        raise DtypeError(f"one_hot: labels must be integers, not {describe(v)}")
    hot = f.eq(f.shape_padright(v), f.arange(num_classes))
    return f.moveaxis(f.cast(hot, config.floatX if dtype is None else dtype), -1, axis)


def confusion_matrix(actual: Any, pred: Any) -> list[Variable]:
    """[counts, labels]: how often each label in `actual` (rows) goes with each in `pred` (columns), int64, and the
    labels that occur in either, sorted. Both are vectors of one length; how many labels there are is known only at run
    time. ShapeError where the lengths differ.
    """
    found = [as_variable(v) for v in (actual, pred)]
    for v in found:
        if v.ndim != 1:
            raise ShapeError(f"confusion_matrix: vectors are needed, not {describe(v)}")
    if found[0].type.dtype != found[1].type.dtype and any(v.type.dtype not in DISCRETE for v in found):
        raise DtypeError(f"confusion_matrix: labels of two dtypes\n  {describe(found[0])}\n  {describe(found[1])}")
    found[1] = f.matched(found[1], [ln.dim(found[0], 0)], "confusion_matrix")
    labels = unique(concatenate(found))
    assert isinstance(labels, Variable)
    count = ln.dim(labels, 0)
    places = tuple(searchsorted(labels, v) for v in found)
    return [f.inc_subtensor(zeros((count, count), "int64")[places], 1), labels]


# Other names, of JAX and others.
swish, hard_swish = silu, hard_silu

"""More activations of neural networks, and the confusion matrix: compositions."""

from __future__ import annotations

from typing import Any

from numgraph.errors import DtypeError, ShapeError
from numgraph.graph import Variable, as_variable, describe
from numgraph.op import floating
from numgraph.ops import lengths as ln
from numgraph.ops.create import zeros
from numgraph.ops.define import f
from numgraph.ops.join import concatenate
from numgraph.ops.search import searchsorted, unique
from numgraph.types import DISCRETE

__all__ = ["confusion_matrix", "hard_sigmoid", "selu", "softsign", "ultra_fast_sigmoid"]


def _floats(x: Any) -> Variable:
    v = as_variable(x)
    return f.cast(v, floating([v.type.dtype])) if v.type.dtype in DISCRETE else v


def hard_sigmoid(x: Any) -> Variable:
    """0.2 * x + 0.5 between 0 and 1: an approximation of the sigmoid by three lines."""
    return f.clip(f.add(f.mul(_floats(x), 0.2), 0.5), 0.0, 1.0)


def ultra_fast_sigmoid(x: Any) -> Variable:
    """An approximation of the sigmoid by Theano's formula, off by up to 0.0147: a hyperbola near 0, a line beyond 3.4,
    constant beyond 6. Its gradient is that of the formula.
    """
    v = _floats(x)
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
    v = _floats(x)
    return f.true_div(v, f.add(f.abs(v), 1.0))


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
    found[1] = f.specify_shape(found[1], [ln.dim(found[0], 0)])
    labels = unique(concatenate(found))
    assert isinstance(labels, Variable)
    count = ln.dim(labels, 0)
    places = tuple(searchsorted(labels, v) for v in found)
    return [f.inc_subtensor(zeros((count, count), "int64")[places], 1), labels]

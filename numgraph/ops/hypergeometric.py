"""Gauss's hypergeometric function, on processors alone: SciPy's; and its slopes."""

from __future__ import annotations

from typing import Any

import numpy as np

from numgraph.graph import Variable, apply, elementwise
from numgraph.op import OPS, Op, floating
from numgraph.ops.define import TRIED, f
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.types import FLOATS

__all__ = ["hyp2f1"]


def _samples() -> list[Any]:
    z = np.array([-5.0, -0.7, 0.3, 0.9])
    return [([0.5, np.array([[1.0], [2.5]]), 1.5, z], {}), ([-2.0, 0.7, np.array([3.1]), z], {})]


def _of_z(a: Variable, b: Variable, c: Variable, z: Variable) -> tuple[Variable, Variable]:
    """(a * b / c, hyp2f1(a + 1, b + 1, c + 1, z)), whose product is the derivative by z."""
    return f.true_div(f.mul(a, b), c), hyp2f1(*(f.add(v, 1.0) for v in (a, b, c)), z)


def _grad(g: Variable, out: Variable, a: Variable, b: Variable, c: Variable, z: Variable) -> tuple[Any, ...]:
    slopes = (f.masked_mul(g, apply(OPS[f"hyp2f1_slope_{name}"], [a, b, c, z])) for name in "abc")
    return (*slopes, f.masked_mul(g, f.mul(*_of_z(a, b, c, z))))


Op("hyp2f1", ("a", "b", "c", "z"), "Gauss's hypergeometric function.", floating, SCALAR_FUNCTIONS["hyp2f1"].numpy,
   _grad, scalar="hyp2f1(a, b, c, z)", samples=_samples, dtypes=TRIED, orders=1,
   cost=600)  # fmt: skip
hyp2f1 = elementwise("hyp2f1")


def _slope_op(name: str, along: str) -> None:
    value = SCALAR_FUNCTIONS["hyp2f1_slope"].numpy
    seeds = tuple(float(n) for n in along.split(", "))

    def mixed(a: Variable, b: Variable, c: Variable, z: Variable) -> Variable:
        """The derivative of the slope by z: that of a * b / c * hyp2f1(a + 1, b + 1, c + 1, z) by the parameter."""
        factor, above = _of_z(a, b, c, z)
        slope = apply(OPS[f"hyp2f1_slope_{name}"], [*(f.add(v, 1.0) for v in (a, b, c)), z])
        of_factor = f.true_div({"a": b, "b": a, "c": f.neg(factor)}[name], c)
        return f.add(f.mul(of_factor, above), f.mul(factor, slope))

    Op(f"hyp2f1_slope_{name}", ("a", "b", "c", "z"), f"The derivative of `hyp2f1` by {name}.", floating,
       lambda a, b, c, z: value(a, b, c, z, *seeds),
       lambda g, out, a, b, c, z: (None, None, None, f.masked_mul(g, mixed(a, b, c, z))), undefined=(0, 1, 2),
       no_grad="the derivative of a parameter's derivative is not known in closed form",
       scalar=f"hyp2f1_slope(a, b, c, z, {along})", samples=_samples, dtypes=FLOATS, cost=1000)  # fmt: skip


for _name, _along in zip("abc", ("1.0, 0.0, 0.0", "0.0, 1.0, 0.0", "0.0, 0.0, 1.0"), strict=True):
    _slope_op(_name, _along)

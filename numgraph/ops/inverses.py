"""Inverses of the incomplete gamma and beta functions and of the normal distribution, on processors alone: SciPy's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from numgraph.graph import Variable, apply, elementwise
from numgraph.op import OPS, Op, floating
from numgraph.ops.define import TRIED, f
from numgraph.ops.gammas import beta_density, gamma_density
from numgraph.scalars import SCALAR_FUNCTIONS

__all__ = ["betaincinv", "gammainccinv", "gammaincinv", "ndtri_exp"]


def _share(*values: Any) -> list[Any]:
    """What the tests try: parameters, and a share of the whole."""
    return [([*values, np.array([0.05, 0.4, 0.9])], {}), ([*(2.0 for _ in values), np.array(0.3)], {})]


def _gamma_inverse(name: str, doc: str, sign: float) -> Any:
    """An inverse of a function whose derivative by x is `sign` times the density."""

    def grad(g: Variable, out: Variable, a: Variable, y: Variable) -> tuple[Any, ...]:
        per_x = f.masked_div(g, gamma_density(a, out))
        return f.neg(f.masked_mul(per_x, apply(OPS["gammainc_slope"], [a, out]))), f.mul(sign, per_x)

    Op(name, ("a", "y"), doc, floating, SCALAR_FUNCTIONS[name].numpy, grad, scalar=f"{name}(a, y)",
       samples=lambda: _share(np.array([[0.4], [2.5], [30.0]])), dtypes=TRIED, orders=1, cost=1000)  # fmt: skip
    return elementwise(name)


gammaincinv = _gamma_inverse("gammaincinv", "The x for which `gammainc(a, x)` is y, of y in [0, 1].", 1.0)
gammainccinv = _gamma_inverse("gammainccinv", "The x for which `gammaincc(a, x)` is y, of y in [0, 1].", -1.0)


def _beta_grad(g: Variable, out: Variable, a: Variable, b: Variable, y: Variable) -> tuple[Any, ...]:
    per_x = f.masked_div(g, beta_density(a, b, out))
    slopes = (apply(OPS[f"betainc_slope_{name}"], [a, b, out]) for name in "ab")
    return (*(f.neg(f.masked_mul(per_x, slope)) for slope in slopes), per_x)


Op("betaincinv", ("a", "b", "y"), "The x for which `betainc(a, b, x)` is y, of y in [0, 1].", floating,
   SCALAR_FUNCTIONS["betaincinv"].numpy, _beta_grad, scalar="betaincinv(a, b, y)",
   samples=lambda: _share(np.array([[0.6], [2.5], [20.0]]), np.array([0.7, 1.0, 3.0])), dtypes=TRIED, orders=1,
   cost=1500)  # fmt: skip
betaincinv = elementwise("betaincinv")


def _per_density(y: Variable, x: Variable) -> Variable:
    """exp(y) over the density of the normal distribution at x."""
    share: Variable = f.exp(f.add(f.add(y, f.mul(0.5, f.mul(x, x))), 0.5 * math.log(2 * math.pi)))
    return share


Op("ndtri_exp", ("y",), "ndtri(exp(y)), of y up to 0: exact where exp(y) underflows, and next to 1.", floating,
   SCALAR_FUNCTIONS["ndtri_exp"].numpy,
   lambda g, out, y: (f.masked_mul(g, _per_density(y, out)),),
   scalar="ndtri_exp(y)", domain=(-30.0, -0.01), dtypes=TRIED, cost=200)  # fmt: skip
ndtri_exp = elementwise("ndtri_exp")

"""The gamma and beta functions, the incomplete ones, and zeta. On processors most of them are SciPy's."""

from __future__ import annotations

import math
from typing import Any

from numgraph.graph import Variable, apply, as_operands, as_variable, elementwise
from numgraph.op import OPS, Op, floating
from numgraph.ops.define import TRIED, as_floats, f
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.types import DISCRETE, FLOATS

__all__ = [
    "beta", "betainc", "betaln", "chi2sf", "factorial", "gamma", "gammainc", "gammaincc", "gammal", "gammau",
    "loggamma", "poch", "polygamma", "tri_gamma", "trigamma", "zeta",
]  # fmt: skip

SLOPE = "the derivative of a parameter's derivative is not known in closed form"

# -- gamma ----------------------------------------------------------------------------------------------------------

Op("gamma", ("x",), "The gamma function; NaN at -1, -2, ....", floating, SCALAR_FUNCTIONS["tgamma"].numpy,
   lambda g, out, x: (f.masked_mul(g, f.mul(out, f.digamma(x))),), scalar="tgamma(x)", domain=(0.2, 5.0), dtypes=TRIED,
   cost=60)  # fmt: skip
gamma = elementwise("gamma")


def loggamma(x: Any) -> Variable:
    """The logarithm of the gamma function, NaN for negative x, where `gammaln` has that of the absolute value."""
    v = as_variable(x)
    return f.where(f.lt(v, 0), math.nan, f.gammaln(v))


def factorial(n: Any) -> Variable:
    """gamma(n + 1), a float array of n's shape; 0 for negative n, as SciPy's."""
    v = as_floats(n)
    return f.where(f.lt(v, 0.0), 0.0, gamma(f.add(v, 1.0)))


def _poch_grad(g: Variable, out: Variable, z: Variable, m: Variable) -> tuple[Any, ...]:
    above = f.digamma(f.add(z, m))
    return f.masked_mul(g, f.mul(out, f.sub(above, f.digamma(z)))), f.masked_mul(g, f.mul(out, above))


Op("poch", ("z", "m"), "The rising factorial gamma(z + m) / gamma(z), of Pochhammer; on processors alone.", floating,
   SCALAR_FUNCTIONS["poch"].numpy, _poch_grad, scalar="poch(z, m)", domain=(0.3, 4.0), dtypes=TRIED,
   cost=150)  # fmt: skip
poch = elementwise("poch")


def gamma_density(a: Variable, x: Variable) -> Variable:
    """x**(a - 1) * exp(-x) / gamma(a)."""
    density = f.exp(f.sub(f.sub(f.xlogy(f.sub(a, 1.0), x), x), f.gammaln(a)))
    return f.where(f.eq(x, math.inf), 0.0, density)


Op("gammainc", ("a", "x"), "The regularized lower incomplete gamma function P(a, x).", floating,
   SCALAR_FUNCTIONS["gammainc"].numpy,
   lambda g, out, a, x: (f.masked_mul(g, _slope(a, x)), f.masked_mul(g, gamma_density(a, x))),
   scalar="gammainc(a, x)", domain=(0.3, 5.0), dtypes=TRIED, orders=1, cost=200)  # fmt: skip
gammainc = elementwise("gammainc")

Op("gammaincc", ("a", "x"), "The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x).", floating,
   SCALAR_FUNCTIONS["gammaincc"].numpy,
   lambda g, out, a, x: (f.neg(f.masked_mul(g, _slope(a, x))), f.neg(f.masked_mul(g, gamma_density(a, x)))),
   scalar="gammaincc(a, x)", domain=(0.3, 5.0), dtypes=TRIED, orders=1, cost=200)  # fmt: skip
gammaincc = elementwise("gammaincc")

Op("gammainc_slope", ("a", "x"), "The derivative of P(a, x) by a.", floating, SCALAR_FUNCTIONS["gammainc_slope"].numpy,
   lambda g, out, a, x: (None, f.masked_mul(g, _mixed(a, x))), undefined=(0,), no_grad=SLOPE,
   scalar="gammainc_slope(a, x)", domain=(0.3, 5.0), dtypes=FLOATS, cost=400)  # fmt: skip


def _slope(a: Variable, x: Variable) -> Variable:
    """The derivative of P by a."""
    return apply(OPS["gammainc_slope"], [a, x])


def _mixed(a: Variable, x: Variable) -> Variable:
    """The derivative of P by a and x."""
    return f.masked_mul(gamma_density(a, x), f.sub(f.log(x), f.digamma(a)))


def gammal(k: Any, x: Any) -> Variable:
    """The lower incomplete gamma function, not regularized: the integral of t**(k - 1) * exp(-t) from 0 to x."""
    a, b = as_operands(k, x)
    return f.mul(gammainc(a, b), gamma(a))


def gammau(k: Any, x: Any) -> Variable:
    """The upper incomplete gamma function, not regularized: the integral of t**(k - 1) * exp(-t) from x on."""
    a, b = as_operands(k, x)
    return f.mul(gammaincc(a, b), gamma(a))


def chi2sf(x: Any, k: Any) -> Variable:
    """The probability that a chi-squared number of k degrees of freedom is above x, as Theano's `chi2sf`."""
    a, b = as_operands(x, k)
    return gammaincc(f.true_div(b, 2.0), f.true_div(a, 2.0))


# -- beta -----------------------------------------------------------------------------------------------------------


def _betaln_grad(g: Variable, out: Variable, a: Variable, b: Variable) -> tuple[Any, ...]:
    both = f.digamma(f.add(a, b))
    return f.masked_mul(g, f.sub(f.digamma(a), both)), f.masked_mul(g, f.sub(f.digamma(b), both))


Op("betaln", ("a", "b"), "The logarithm of the absolute value of the beta function.", floating,
   SCALAR_FUNCTIONS["betaln"].numpy, _betaln_grad, scalar="betaln(a, b)", domain=(0.3, 5.0), dtypes=TRIED,
   commutative=True, cost=80)  # fmt: skip
betaln = elementwise("betaln")

Op("beta", ("a", "b"), "The beta function, gamma(a) * gamma(b) / gamma(a + b).", floating,
   SCALAR_FUNCTIONS["beta"].numpy, lambda g, out, a, b: _betaln_grad(f.masked_mul(g, out), out, a, b),
   scalar="beta(a, b)", domain=(0.3, 5.0), dtypes=TRIED, commutative=True, cost=80)  # fmt: skip
beta = elementwise("beta")


def beta_density(a: Variable, b: Variable, x: Variable) -> Variable:
    """x**(a - 1) * (1 - x)**(b - 1) / beta(a, b)."""
    powers = f.add(f.xlogy(f.sub(a, 1.0), x), f.xlog1py(f.sub(b, 1.0), f.neg(x)))
    return f.exp(f.sub(powers, f.betaln(a, b)))


def _betainc_grad(g: Variable, out: Variable, a: Variable, b: Variable, x: Variable) -> tuple[Any, ...]:
    slopes = (apply(OPS[f"betainc_slope_{name}"], [a, b, x]) for name in "ab")
    return (*(f.masked_mul(g, s) for s in slopes), f.masked_mul(g, beta_density(a, b, x)))


def _beta_samples() -> list[Any]:
    import numpy as np

    a, b = np.array([[0.4], [1.0], [2.5], [30.0]]), np.array([0.5, 1.0, 3.0])
    return [([a, b, np.array([0.1, 0.5, 0.95])], {}), ([2.0, 3.0, np.array(0.3)], {})]


Op("betainc", ("a", "b", "x"), "The regularized incomplete beta function, of x in [0, 1].", floating,
   SCALAR_FUNCTIONS["betainc"].numpy, _betainc_grad, scalar="betainc(a, b, x)", samples=_beta_samples, dtypes=TRIED,
   orders=1, cost=300)  # fmt: skip
betainc = elementwise("betainc")


def _slope_op(name: str, along: str) -> None:
    value = SCALAR_FUNCTIONS["betainc_slope"].numpy
    seeds = tuple(float(n) for n in along.split(", "))

    def mixed(a: Variable, b: Variable, x: Variable) -> Variable:
        """The derivative of the density by the parameter."""
        both = f.digamma(f.add(a, b))
        own = f.sub(f.log(x), f.digamma(a)) if name == "a" else f.sub(f.log1p(f.neg(x)), f.digamma(b))
        return f.masked_mul(beta_density(a, b, x), f.add(own, both))

    Op(f"betainc_slope_{name}", ("a", "b", "x"), f"The derivative of `betainc` by {name}.", floating,
       lambda a, b, x: value(a, b, x, *seeds),
       lambda g, out, a, b, x: (None, None, f.masked_mul(g, mixed(a, b, x))), undefined=(0, 1), no_grad=SLOPE,
       scalar=f"betainc_slope(a, b, x, {along})", samples=_beta_samples, dtypes=FLOATS, cost=600)  # fmt: skip


_slope_op("a", "1.0, 0.0")
_slope_op("b", "0.0, 1.0")

# -- zeta and the derivatives of digamma ----------------------------------------------------------------------------

Op("zeta", ("s", "q"), "Hurwitz's zeta function, the sum of (q + k)**-s over k = 0, 1, ....", floating,
   SCALAR_FUNCTIONS["hurwitz"].numpy,
   lambda g, out, s, q: (None, f.neg(f.masked_mul(g, f.mul(s, zeta(f.add(s, 1.0), q))))), undefined=(0,),
   no_grad="the derivative by the exponent is not known in closed form",
   scalar="hurwitz(s, q)", domain=(1.3, 6.0), dtypes=TRIED, cost=300)  # fmt: skip


def zeta(s: Any, q: Any = 1.0) -> Variable:
    """Hurwitz's zeta function, the sum of (q + k)**-s over k = 0, 1, ...; Riemann's for q = 1.

    Infinite for s = 1, and for q = 0, -1, ...; NaN for s below 1, and for negative q where s is not whole. It has a
    gradient for q, and none for s.
    """
    return apply(OPS["zeta"], as_operands(s, q))


def polygamma(n: Any, x: Any) -> Variable:
    """The n-th derivative of `digamma`, n a whole number from 0 on; NaN for others. It has a gradient for x.

    Computed in float64 where n is an array of integers and x is no float32.
    """
    v = as_variable(x)
    order = as_variable(n)
    dtype = floating([v.type.dtype])
    v = f.cast(v, dtype)
    if order.type.dtype in DISCRETE:
        order = f.cast(order, dtype)
    order = f.disconnected_grad(order)
    above = f.add(order, 1.0)
    sign = f.where(f.eq(f.mod(order, 2.0), 0.0), -1.0, 1.0)
    known = f.mul(f.mul(sign, gamma(above)), zeta(above, v))
    whole = f.and_(f.ge(order, 0.0), f.eq(f.floor(order), order))
    return f.where(f.eq(order, 0.0), f.digamma(v), f.where(whole, known, math.nan))


def trigamma(x: Any) -> Variable:
    """The derivative of `digamma`, a float array of x's shape."""
    return zeta(2.0, as_floats(x))


tri_gamma = trigamma

"""Bessel functions, on processors SciPy's, and what else SciPy alone has: devices lack iv, ive, jv and the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numgraph.graph import Variable, as_variable, elementwise
from numgraph.op import Op, floating
from numgraph.ops.define import TRIED, f
from numgraph.scalars import SCALAR_FUNCTIONS
from numgraph.types import DISCRETE

__all__ = ["i0", "i0e", "i1", "i1e", "iv", "ive", "j0", "j1", "jv", "k0", "k1", "kn", "kv", "kve", "owens_t"]

ORDER = "the derivative of a Bessel function by its order is not known in closed form"
Slope = Callable[[Variable, Variable], Variable]


def _of_x(name: str, doc: str, slope: Slope, low: float = -3.0) -> Callable[..., Variable]:
    """An op of one argument. slope: of (result, x)."""
    Op(name, ("x",), doc, floating, SCALAR_FUNCTIONS[name].numpy,
       lambda g, out, x: (f.masked_mul(g, slope(out, x)),), scalar=f"{name}(x)", domain=(low, 5.0), dtypes=TRIED,
       cost=80)  # fmt: skip
    return elementwise(name)


def _of_order(name: str, doc: str, slope: Callable[..., Variable]) -> Callable[..., Variable]:
    """An op of an order v and x. slope: of (result, v, x)."""
    Op(name, ("v", "x"), doc, floating, SCALAR_FUNCTIONS[name].numpy,
       lambda g, out, v, x: (None, f.masked_mul(g, slope(out, v, x))), undefined=(0,), no_grad=ORDER,
       scalar=f"{name}(v, x)", domain=(0.3, 5.0), dtypes=TRIED, cost=300)  # fmt: skip
    return elementwise(name)


def _neighbours(function: Slope, sign: int, factor: float) -> Callable[..., Variable]:
    """factor * (function(v - 1, x) + sign * function(v + 1, x))."""

    def slope(out: Variable, v: Variable, x: Variable) -> Variable:
        combine = f.add if sign > 0 else f.sub
        return f.mul(factor, combine(function(f.sub(v, 1.0), x), function(f.add(v, 1.0), x)))

    return slope


# -- of the first kind ----------------------------------------------------------------------------------------------

j0 = _of_x("j0", "The Bessel function of the first kind and order 0.", lambda out, x: f.neg(f.j1(x)))
j1 = _of_x("j1", "The Bessel function of the first kind and order 1.",
           lambda out, x: f.mul(0.5, f.sub(f.j0(x), f.jv(2.0, x))))  # fmt: skip
jv = _of_order("jv", "The Bessel function of the first kind and order v.",
               _neighbours(lambda v, x: f.jv(v, x), -1, 0.5))  # fmt: skip

# -- modified -------------------------------------------------------------------------------------------------------

i0 = _of_x("i0", "The modified Bessel function of the first kind and order 0.", lambda out, x: f.i1(x))
i1 = _of_x("i1", "The modified Bessel function of the first kind and order 1.",
           lambda out, x: f.mul(0.5, f.add(f.i0(x), f.iv(2.0, x))))  # fmt: skip
i0e = _of_x("i0e", "exp(-abs(x)) * i0(x), without overflow.",
            lambda out, x: f.sub(f.i1e(x), f.mul(f.sign(x), out)))  # fmt: skip
i1e = _of_x("i1e", "exp(-abs(x)) * i1(x), without overflow.",
            lambda out, x: f.sub(f.mul(0.5, f.add(f.i0e(x), f.ive(2.0, x))), f.mul(f.sign(x), out)))  # fmt: skip
_of_iv = _neighbours(lambda v, x: f.iv(v, x), 1, 0.5)
_of_ive = _neighbours(lambda v, x: f.ive(v, x), 1, 0.5)
iv = _of_order("iv", "The modified Bessel function of the first kind and order v.", _of_iv)
ive = _of_order("ive", "exp(-abs(x)) * iv(v, x), without overflow.",
                lambda out, v, x: f.sub(_of_ive(out, v, x), f.mul(f.sign(x), out)))  # fmt: skip

# -- modified, of the second kind -----------------------------------------------------------------------------------

k0 = _of_x("k0", "The modified Bessel function of the second kind and order 0, of positive x.",
           lambda out, x: f.neg(f.k1(x)), 0.3)  # fmt: skip
k1 = _of_x("k1", "The modified Bessel function of the second kind and order 1, of positive x.",
           lambda out, x: f.mul(-0.5, f.add(f.k0(x), f.kv(2.0, x))), 0.3)  # fmt: skip
_of_kv = _neighbours(lambda v, x: f.kv(v, x), 1, -0.5)
_of_kve = _neighbours(lambda v, x: f.kve(v, x), 1, -0.5)
kv = _of_order("kv", "The modified Bessel function of the second kind and order v, of positive x.", _of_kv)
kve = _of_order("kve", "exp(x) * kv(v, x), without underflow.",
                lambda out, v, x: f.add(_of_kve(out, v, x), out))  # fmt: skip


def kn(n: Any, x: Any) -> Variable:
    """`kv` of whole orders n; NaN for others."""
    order = as_variable(n)
    found = kv(order, x)
    return found if order.type.dtype in DISCRETE else f.where(f.eq(f.floor(order), order), found, math.nan)


# -- others ---------------------------------------------------------------------------------------------------------


def _owens_grad(g: Variable, out: Variable, h: Variable, a: Variable) -> tuple[Any, ...]:
    bell = f.exp(f.mul(-0.5, f.mul(h, h)))
    of_h = f.mul(-0.5 / math.sqrt(2 * math.pi), f.mul(bell, f.erf(f.mul(math.sqrt(0.5), f.mul(a, h)))))
    slant = f.add(1.0, f.mul(a, a))
    of_a = f.true_div(f.mul(0.5 / math.pi, f.exp(f.mul(-0.5, f.mul(f.mul(h, h), slant)))), slant)
    return f.masked_mul(g, of_h), f.masked_mul(g, of_a)


Op("owens_t", ("h", "a"), "Owen's T function: the probability of X > h and 0 < Y < a * X, both normal.", floating,
   SCALAR_FUNCTIONS["owens_t"].numpy, _owens_grad, scalar="owens_t(h, a)", dtypes=TRIED, cost=300)  # fmt: skip
owens_t = elementwise("owens_t")

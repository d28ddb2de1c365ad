"""Functions of the normal distribution, logarithms of probabilities, and their likes: on every target."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from numgraph.graph import Variable, elementwise
from numgraph.op import Op, floating
from numgraph.ops.define import TRIED, as_floats, f
from numgraph.ops.special import ERFC_TAIL, LN2, tail_text
from numgraph.scalars import by_scipy

__all__ = [
    "entr", "erfcinv", "erfcx", "erfinv", "log_ndtr", "logit", "ndtr", "ndtri", "sinc", "xlog1py", "xlogy",
]  # fmt: skip

ROOT_HALF, ROOT_PI = math.sqrt(0.5), math.sqrt(math.pi)

# -- erf's relatives ------------------------------------------------------------------------------------------------


def _inverse_grad(sign: float) -> Any:
    """1 over the bell curve at the result."""
    return lambda g, out, x: (f.masked_mul(g, f.mul(sign * ROOT_PI / 2, f.exp(f.mul(out, out)))),)


Op("erfinv", ("x",), "The number whose erf is x; infinite for -1 and 1, NaN outside of [-1, 1].", floating,
   by_scipy("erfinv"), _inverse_grad(1.0), scalar="erfinv(x)", domain=(-0.95, 0.95), dtypes=TRIED,
   cost=90)  # fmt: skip
erfinv = elementwise("erfinv")

Op("erfcinv", ("x",), "The number whose erfc is x; infinite for 0 and 2, NaN outside of [0, 2].", floating,
   by_scipy("erfcinv"), _inverse_grad(-1.0), scalar="erfcinv(x)", domain=(0.05, 1.95), dtypes=TRIED,
   cost=90)  # fmt: skip
erfcinv = elementwise("erfcinv")

# exp(x * x) by two factors, of a square that is exact and of the rest; below -30 it overflows
Op("erfcx", ("x",), "exp(x * x) * erfc(x), finite for large x.", floating, by_scipy("erfcx"),
   lambda g, out, x: (f.masked_mul(g, f.sub(f.mul(2.0, f.mul(x, out)), 2.0 / ROOT_PI)),), cost=90, dtypes=TRIED,
   scalar=f"where(x < -30.0, 1e999, where(x < {ERFC_TAIL}, exp(rint(x * 16.0) * rint(x * 16.0) / 256.0) * "
          "exp((x - rint(x * 16.0) / 16.0) * (x + rint(x * 16.0) / 16.0)) * erfc(x), "
          f"(1.0 + {tail_text()}) / x * {1 / ROOT_PI}))")  # fmt: skip
erfcx = elementwise("erfcx")

# -- the normal distribution ----------------------------------------------------------------------------------------

Op("ndtr", ("x",), "The probability that a normal number is below x.", floating, by_scipy("ndtr"),
   lambda g, out, x: (f.mul(g, f.mul(1 / math.sqrt(2 * math.pi), f.exp(f.mul(-0.5, f.mul(x, x))))),),
   scalar=f"0.5 * erfc(x * {-ROOT_HALF})", dtypes=TRIED, cost=30)  # fmt: skip
ndtr = elementwise("ndtr")

Op("ndtri", ("p",), "The number below which a normal number is with probability p; NaN outside of [0, 1].", floating,
   by_scipy("ndtri"),
   lambda g, out, p: (f.masked_mul(g, f.mul(math.sqrt(2 * math.pi), f.exp(f.mul(0.5, f.mul(out, out))))),),
   scalar="quantile(p)", domain=(0.01, 0.99), dtypes=TRIED, cost=90)  # fmt: skip
ndtri = elementwise("ndtri")


def log_ndtr(x: Any) -> Variable:
    """The logarithm of `ndtr`, a float array of x's shape: finite far below 0, exact far above."""
    v = as_floats(x)
    below = f.sub(f.log_erfc(f.mul(-ROOT_HALF, v)), LN2)
    above = f.log1p(f.mul(-0.5, f.erfc(f.mul(ROOT_HALF, v))))
    return f.where(f.lt(v, -1.0), below, above)


# -- logarithms -----------------------------------------------------------------------------------------------------

Op("xlogy", ("x", "y"), "x * log(y), and 0 where x is 0, unless y is NaN.", floating, by_scipy("xlogy"),
   lambda g, out, x, y: (f.masked_mul(g, f.log(y)), f.masked_mul(g, f.masked_div(x, y))), cost=22, dtypes=TRIED,
   domain=(0.2, 3.0), scalar="where(x == 0.0, where(isnan(y), y, 0.0), x * log(y))")  # fmt: skip
xlogy = elementwise("xlogy")

Op("xlog1py", ("x", "y"), "x * log(1 + y), and 0 where x is 0, unless y is NaN.", floating, by_scipy("xlog1py"),
   lambda g, out, x, y: (f.masked_mul(g, f.log1p(y)), f.masked_mul(g, f.masked_div(x, f.add(1.0, y)))), cost=27,
   dtypes=TRIED, domain=(0.2, 3.0), scalar="where(x == 0.0, where(isnan(y), y, 0.0), x * log1p(y))")  # fmt: skip
xlog1py = elementwise("xlog1py")


Op("entr", ("x",), "-x * log(x), 0 for 0 and -inf for negative x.", floating, by_scipy("entr"),
   lambda g, out, x: (f.neg(f.masked_mul(g, f.add(1.0, f.log(x)))),), domain=(0.1, 3.0), dtypes=TRIED, cost=25,
   scalar="where(x > 0.0, -x * log(x), where(x == 0.0, 0.0, where(isnan(x), x, -1e999)))")  # fmt: skip
entr = elementwise("entr")

# around 1/2 both logarithms would cancel
Op("logit", ("x",), "log(x / (1 - x)), the inverse of sigmoid; NaN outside of [0, 1].", floating, by_scipy("logit"),
   lambda g, out, x: (f.masked_div(g, f.mul(x, f.sub(1.0, x))),), domain=(0.05, 0.95), dtypes=TRIED, cost=50,
   scalar="where(abs(x - 0.5) < 0.2, 2.0 * atanh(2.0 * x - 1.0), log(x) - log1p(-x))")  # fmt: skip
logit = elementwise("logit")

# -- sinc -----------------------------------------------------------------------------------------------------------

# where the slope is worked out by its series, and its terms: (-1)**k * 2k * pi**2k / (2k + 1)!
SINC_NEAR = 0.1
SINC_SLOPE = [(-1) ** k * 2 * k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(1, 9)]


def _sinc_grad(g: Variable, out: Variable, x: Variable) -> tuple[Any, ...]:
    square = f.mul(x, x)
    series: Any = f.mul(square, SINC_SLOPE[-1])
    for coefficient in reversed(SINC_SLOPE[1:-1]):
        series = f.mul(square, f.add(coefficient, series))
    near = f.mul(x, f.add(SINC_SLOPE[0], series))
    far = f.masked_div(f.sub(f.cos(f.mul(math.pi, x)), out), x)
    return (f.masked_mul(g, f.where(f.lt(f.abs(x), SINC_NEAR), near, far)),)


Op("sinc", ("x",), "sin(pi * x) / (pi * x), and 1 at 0, as np.sinc.", floating, np.sinc, _sinc_grad, cost=25,
   scalar=f"where(x == 0.0, 1.0, sin(x * {math.pi}) / (x * {math.pi}))", dtypes=TRIED)  # fmt: skip
sinc = elementwise("sinc")

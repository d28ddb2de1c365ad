"""Special functions, conversions, and ops that only change gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import DtypeError
from numgraph.graph import Variable, apply, as_variable, describe, elementwise
from numgraph.op import OPS, Op, floating, same
from numgraph.ops import formula
from numgraph.ops.define import ZERO, as_floats, f
from numgraph.ops.elementwise import share_of
from numgraph.scalars import SCALAR_FUNCTIONS, each
from numgraph.types import COMPLEX, DISCRETE, INTEGERS, OF_PARTS, check_dtype

__all__ = [
    "cast", "consider_constant", "copysign", "digamma", "disconnected_grad", "erf", "erfc", "gammaln", "grad_clip",
    "grad_scale", "hypot", "identity", "lgamma", "log1mexp", "log_erfc", "logaddexp", "psi", "tensor_copy", "zero_grad",
]  # fmt: skip

LN2 = math.log(2.0)

# -- special functions ----------------------------------------------------------------------------------------------


def _bell(x: Variable) -> Variable:
    """2 / sqrt(pi) * exp(-x * x)."""
    bell: Variable = f.mul(2.0 / math.sqrt(math.pi), f.exp(f.neg(f.mul(x, x))))
    return bell


Op("erf", ("x",), "The error function.", floating, SCALAR_FUNCTIONS["erf"].numpy,
   lambda g, out, x: (f.mul(g, _bell(x)),), scalar="erf(x)", cost=25)  # fmt: skip
erf = elementwise("erf")

Op("erfc", ("x",), "1 - erf(x), exact for large x.", floating, SCALAR_FUNCTIONS["erfc"].numpy,
   lambda g, out, x: (f.neg(f.mul(g, _bell(x))),), scalar="erfc(x)", cost=25)  # fmt: skip
erfc = elementwise("erfc")


def _log1mexp(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.where(x > -LN2, np.log(-np.expm1(x)), np.log1p(-np.exp(x))))


# the slope is -exp(x) / (1 - exp(x))
Op("log1mexp", ("x",), "log(1 - exp(x)) for x below 0, exact where exp(x) is next to 0 or 1.", floating, _log1mexp,
   lambda g, out, x: (f.neg(f.masked_mul(g, f.exp(f.sub(x, out)))),), domain=(-3.0, -0.1), cost=60,
   scalar="where(x > -0.6931471805599453, log(-expm1(x)), log1p(-exp(x)))")  # fmt: skip
log1mexp = elementwise("log1mexp")

# From here on log(erfc(x)) is computed by the asymptotic series of erfc(x) * exp(x * x) * x * sqrt(pi) in
# t = 1 / (2 * x * x): 1 - t + 3 * t**2 - 15 * t**3 ..., whose error is then below 1e-14.
ERFC_TAIL = 8.0
ERFC_TERMS = 12
LOG_SQRT_PI = math.log(math.pi) / 2


def _log_erfc(x: float) -> float:
    if x < ERFC_TAIL or math.isnan(x):
        return math.log(math.erfc(x))
    t = 0.5 / x / x
    series = 1.0
    for k in range(ERFC_TERMS, 0, -1):
        series = 1.0 - (2 * k - 1) * t * series
    return -x * x - math.log(x) - LOG_SQRT_PI + math.log(series) if math.isfinite(x) else -math.inf


def tail_text() -> str:
    """The series less 1, as scalar forms have it."""
    text = "1.0"
    for k in range(ERFC_TERMS, 1, -1):
        text = f"(1.0 - {2 * k - 1}.0 * (0.5 / x / x) * {text})"
    return f"-(0.5 / x / x) * {text}"


def _log_erfc_grad(g: Variable, out: Variable, x: Variable) -> tuple[Any, ...]:
    """-2 / sqrt(pi) * exp(-x * x) / erfc(x), and in the tail -2 * x / series."""
    t = f.true_div(f.true_div(0.5, x), x)
    series: Any = f.cast(1.0, out.type.dtype)
    for k in range(ERFC_TERMS, 0, -1):
        series = f.sub(1.0, f.mul(f.mul(t, 2.0 * k - 1.0), series))
    near = f.neg(f.true_div(_bell(x), f.erfc(x)))
    return (f.mul(g, f.where(f.lt(x, ERFC_TAIL), near, f.true_div(f.mul(-2.0, x), series))),)


Op("log_erfc", ("x",), "log(erfc(x)), finite where erfc(x) underflows.", floating, each(_log_erfc), _log_erfc_grad,
   scalar=f"where(x < {ERFC_TAIL}, log(erfc(x)), -x * x - log(x) - {LOG_SQRT_PI} + log1p({tail_text()}))",
   cost=80)  # fmt: skip
log_erfc = elementwise("log_erfc")

Op("gammaln", ("x",), "The logarithm of the absolute value of the gamma function.", floating,
   SCALAR_FUNCTIONS["lgamma"].numpy, lambda g, out, x: (f.masked_mul(g, digamma(x)),), scalar="lgamma(x)",
   domain=(0.2, 5.0), cost=40)  # fmt: skip
gammaln = elementwise("gammaln")

# B(2k) / 2k of the asymptotic series of digamma, whose error at x >= 10 is below 1e-15
DIGAMMA_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760)
DIGAMMA_SHIFT = 10


def _digamma_above_zero(x: Variable) -> Variable:
    """digamma(x) = digamma(x + 10) - sum of 1 / (x + k), and the asymptotic series at x + 10."""
    y = f.add(x, float(DIGAMMA_SHIFT))
    inverse = f.reciprocal(f.mul(y, y))
    series = f.mul(inverse, DIGAMMA_SERIES[-1])
    for coefficient in reversed(DIGAMMA_SERIES[:-1]):
        series = f.mul(inverse, f.add(coefficient, series))
    below: Any = f.reciprocal(x)
    for k in range(1, DIGAMMA_SHIFT):
        below = f.add(below, f.reciprocal(f.add(x, float(k))))
    result: Variable = f.sub(f.sub(f.sub(f.log(y), f.true_div(0.5, y)), series), below)
    return result


def digamma(x: Any) -> Variable:
    """The derivative of `gammaln`, a float array of x's shape; a composition of other ops, so that it has every
    derivative.
    """
    v = as_floats(x)
    positive = f.gt(v, 0.0)
    mirrored = _digamma_above_zero(f.where(positive, v, f.sub(1.0, v)))
    # below zero by reflection: digamma(1 - x) - digamma(x) = pi / tan(pi * x)
    reflected = f.true_div(math.pi, f.tan(f.mul(math.pi, v)))
    result: Variable = f.where(positive, mirrored, f.sub(mirrored, reflected))
    # at -1, -2, ... it has no value; at 0 it is infinite, by the sign of the zero
    return f.where(f.and_(f.lt(v, 0.0), f.eq(v, f.floor(v))), math.nan, result)


def _hypot_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    return f.mul(g, share_of(x, out)), f.mul(g, share_of(y, out))


Op("hypot", ("x", "y"), "sqrt(x * x + y * y), without overflow.", floating, np.hypot, _hypot_grad, scalar="hypot(x, y)",
   commutative=True, cost=10)  # fmt: skip
hypot = elementwise("hypot")

Op("copysign", ("x", "y"), "x with the sign of y (of -0.0 too).", floating, np.copysign,
   lambda g, out, x, y: (f.mul(g, f.mul(f.sign(x), f.copysign(1.0, y))), ZERO), scalar="copysign(x, y)",
   cost=2)  # fmt: skip
copysign = elementwise("copysign")


def _logaddexp_grad(g: Variable, out: Variable, x: Variable, y: Variable) -> tuple[Any, ...]:
    """The shares of exp(x) and exp(y) in their sum; half each where both are the same infinity."""
    apart = f.where(f.and_(f.isinf(x), f.eq(x, y)), 0.0, f.sub(x, y))
    return f.mul(g, f.sigmoid(apart)), f.mul(g, f.sigmoid(f.neg(apart)))


# equal operands apart: inf - inf is nan
Op("logaddexp", ("x", "y"), "log(exp(x) + exp(y)), without overflow.", floating, np.logaddexp, _logaddexp_grad,
   scalar="where(x == y, x + 0.6931471805599453, maximum(x, y) + log1p(exp(-abs(x - y))))", commutative=True,
   cost=45)  # fmt: skip
logaddexp = elementwise("logaddexp")

# -- conversion -----------------------------------------------------------------------------------------------------


def _cast(x: NDArray[Any], dtype: str) -> NDArray[Any]:
    """x.astype(dtype); of floats that do not fit what NumPy gives on x86-64, on every machine and at every place of an
    array. See `kernels.support.to_int32` and those after it."""
    x = np.asarray(x)
    if x.dtype.kind != "f" or dtype not in INTEGERS:
        return x.astype(dtype)
    if dtype == "uint64":
        far = x >= 2.0**63
        return _whole(np.where(far, x - x.dtype.type(2.0**63), x), 64).astype(dtype) ^ np.where(far, _TOP, _TOP ^ _TOP)
    return _whole(x, 64 if dtype in ("int64", "uint32") else 32).astype(dtype)


_TOP = np.uint64(2**63)


def _whole(x: NDArray[Any], bits: int) -> NDArray[Any]:
    """The whole part of floats as integers of so many bits; the lowest number of what does not fit."""
    fits = np.abs(x) < 2.0 ** (bits - 1)
    return np.where(fits, np.where(fits, x, 0).astype(f"int{bits}"), np.iinfo(f"int{bits}").min)


def _cast_samples() -> list[tuple[list[Any], dict[str, Any]]]:
    values = [
        np.array([0.0, 1.75, 2.0, 100.25]),
        np.array([0, 1, 2, 100], np.int32),
        np.array([False, True, True, False]),
    ]
    return [([v], {"dtype": dtype}) for v in values for dtype in ("float32", "float64", "int32", "uint8", "bool")]


CAST = Op("cast", ("x",), "x in another dtype; floats are truncated towards zero, not 0 gives True.", None,
   _cast, lambda g, out, x, dtype: (g,), scalar="x",
   keeps=(0,), samples=_cast_samples, show=formula.cast, uniform=True, conversion=True, complex=True)  # fmt: skip


def cast(x: Any, dtype: Any) -> Variable:
    """x in another dtype (floats truncate towards zero, not 0 gives True); x itself when it has that dtype already.

    DtypeError for an unsupported dtype, and for complex numbers in a real one. "floatX" stands for `config.floatX`.
    """
    v = as_variable(x)
    if dtype == "floatX":
        from numgraph.config import config

        dtype = config.floatX
    name = check_dtype(dtype)
    if v.type.dtype in COMPLEX and name not in (*COMPLEX, "bool"):
        raise DtypeError(f"cast: complex numbers have no one {name}\n  {describe(v)}\n{OF_PARTS}")
    return v if v.type.dtype == name else apply(CAST, [v], dtype=name)


# -- identities -----------------------------------------------------------------------------------------------------

Op("identity", ("x",), "x, as a variable of its own.", same, np.array, lambda g, out, x: (g,), scalar="x", complex=True)
identity = elementwise("identity")

Op("disconnected_grad", ("x",), "x, through which no gradient flows: for `grad` the result does not depend on x.",
   same, np.array, lambda g, out, x: (None,), scalar="x", complex=True)  # fmt: skip
disconnected_grad = elementwise("disconnected_grad")

Op(
    "zero_grad",
    ("x",),
    "x, with a gradient of zero.",
    same,
    np.array,
    lambda g, out, x: (ZERO,),
    scalar="x",
    complex=True,
)
zero_grad = elementwise("zero_grad")

Op("grad_clip", ("x",), "x, whose gradient is limited to [lower, upper].", same, lambda x, lower, upper: np.array(x),
   lambda g, out, x, lower, upper: (f.clip(g, lower, upper),), scalar="x",
   samples=lambda: [([np.array([0.5, -1.0])], {"lower": -5.0, "upper": 5.0})])  # fmt: skip


def grad_clip(x: Any, lower: float, upper: float) -> Variable:
    """x, whose gradient is limited to [lower, upper]; DtypeError for integers, which have none."""
    v = as_variable(x)
    if v.type.dtype in DISCRETE:
        raise DtypeError(f"grad_clip: {describe(v)} is not a float and has no gradient")
    return apply(OPS["grad_clip"], [v], lower=float(lower), upper=float(upper))


Op("grad_scale", ("x",), "x, whose gradient is multiplied by `factor`.", same, lambda x, factor: np.array(x),
   lambda g, out, x, factor: (f.mul(g, factor),), scalar="x",
   samples=lambda: [([np.array([0.5, -1.0])], {"factor": 1.0})], complex=True)  # fmt: skip


def grad_scale(x: Any, factor: float) -> Variable:
    """x, whose gradient is multiplied by `factor`, which may be negative; DtypeError for integers, which have none."""
    v = as_variable(x)
    if v.type.dtype in DISCRETE:
        raise DtypeError(f"grad_scale: {describe(v)} is not a float and has no gradient")
    return apply(OPS["grad_scale"], [v], factor=float(factor))


lgamma, psi, tensor_copy, consider_constant = gammaln, digamma, identity, zero_grad

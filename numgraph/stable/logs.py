"""Logarithms of what leaves the range of floats: `log(softmax(x))` is finite where softmax has underflowed to 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numgraph.graph import Constant, Variable, apply, as_variable
from numgraph.op import OPS
from numgraph.ops.define import f
from numgraph.types import DISCRETE, FLOATS

# How deep an expression is looked into.
MAX_DEPTH = 12


class Log(NamedTuple):
    """The logarithm of an expression. extreme: whether the expression may overflow or underflow where it does not.
    signed: whether the expression may be negative, and its logarithm NaN."""

    value: Variable
    extreme: bool
    signed: bool = False


Found = Log | None


def log_of(site: Any, v: Variable, loose: bool = False, depth: int = 0) -> Found:
    """log(v) without computing v, where v is made of exponentials, probabilities and numbers above 0; else None.

    loose: it may be negative, with NaN for its logarithm, where nothing but NaN is made of that. So one factor of a
    product may be anything, since log(a * b) is NaN, as log(b) is, for b < 0; but not two, nor what is added or
    squared.
    """
    value = site.number(v)
    if value is not None:
        return Log(_constant(v, math.log(value)), False) if 0 < value < math.inf else None
    if v.op is None or v.type.dtype not in FLOATS or depth > MAX_DEPTH:
        return None
    build = _moved if v.op.moves else LOGS.get(v.op.name)
    return build(site, v, loose, depth + 1) if build is not None and site.enter(v) else None


def _constant(like: Variable, value: float) -> Variable:
    return as_variable(np.asarray(value, like.type.dtype))


def _factor(site: Any, v: Variable, loose: bool, depth: int) -> Found:
    """The logarithm of a factor: of one that may be anything only where that is allowed."""
    found = log_of(site, v, loose, depth)
    return found if found is not None or not loose else Log(f.log(v), False, signed=True)


def _of_product(combine: Callable[[Variable, Variable], Variable]) -> Any:
    def build(site: Any, v: Variable, loose: bool, depth: int) -> Found:
        a, b = (_factor(site, w, loose, depth) for w in v.inputs)
        if a is None or b is None or not (a.extreme or b.extreme) or (a.signed and b.signed):
            return None
        return Log(combine(a.value, b.value), True, a.signed or b.signed)

    return build


def _of_sum_of_two(site: Any, v: Variable, loose: bool, depth: int) -> Found:
    a, b = (log_of(site, w, False, depth) for w in v.inputs)
    if a is None or b is None or not (a.extreme or b.extreme):
        return None
    return Log(f.logaddexp(a.value, b.value), True)


def _of_reduction(name: str) -> Any:
    """Of a reduction along axes: the function `name` of the logarithms."""

    def build(site: Any, v: Variable, loose: bool, depth: int) -> Found:
        inside = log_of(site, v.inputs[0], False, depth)
        if inside is None or not inside.extreme or "dtype" in v.attrs:
            return None
        return Log(getattr(f, name)(inside.value, axis=v.attrs["axis"], keepdims=v.attrs["keepdims"]), True)

    return build


def _of_mean_or_quotient(site: Any, v: Variable, loose: bool, depth: int) -> Found:
    """As of a product; a divisor that is a number of elements is never negative."""
    a, b = v.inputs
    if _is_count(b):
        above = _factor(site, a, loose, depth)
        return None if above is None or not above.extreme else Log(f.sub(above.value, f.log(b)), True, above.signed)
    return _of_product(f.sub)(site, v, loose, depth)  # type: ignore[no-any-return]


def _is_count(v: Variable) -> bool:
    return v.op is OPS["cast"] and v.inputs[0].type.dtype in DISCRETE and v.inputs[0].op is OPS["length"]


def _of_power(site: Any, v: Variable, loose: bool, depth: int) -> Found:
    base = log_of(site, v.inputs[0], False, depth)
    return None if base is None or not base.extreme else Log(f.mul(v.inputs[1], base.value), True)


def _scaled(scale: float, even: bool = False) -> Any:
    """Of a power. even: of negative numbers, too."""

    def build(site: Any, v: Variable, loose: bool, depth: int) -> Found:
        base = log_of(site, v.inputs[0], loose and not even, depth)
        return None if base is None or not base.extreme else Log(f.mul(base.value, scale), True, base.signed)

    return build


def _moved(site: Any, v: Variable, loose: bool, depth: int) -> Found:
    """Of elements that are only moved: the same elements of the logarithm."""
    inside = log_of(site, v.inputs[0], loose, depth)
    if inside is None or not inside.extreme:
        return None
    assert v.op is not None
    return Log(apply(v.op, [inside.value, *v.inputs[1:]], **v.attrs), True, inside.signed)


def _of_choice(site: Any, v: Variable, loose: bool, depth: int) -> Found:
    cond, a, b = v.inputs
    first, second = (_factor(site, w, loose, depth) for w in (a, b))
    if first is None or second is None or not (first.extreme or second.extreme):
        return None
    return Log(f.where(cond, first.value, second.value), True, first.signed or second.signed)


def _of_neg(site: Any, v: Variable, loose: bool, depth: int) -> Found:
    """-expm1(x) is 1 - exp(x), which is negative for x > 0."""
    inside = v.inputs[0]
    if not loose or inside.op is not OPS["expm1"] or not site.enter(inside):
        return None
    return Log(f.log1mexp(inside.inputs[0]), True, signed=True)


def _leaf(build: Callable[..., Variable], signed: bool = False) -> Any:
    """Of a function whose logarithm has a form of its own. signed: it may be negative, and that form is NaN then."""
    return lambda site, v, loose, depth: Log(build(*v.inputs), True, signed) if loose or not signed else None


def _log_gamma(x: Variable) -> Variable:
    """Between -1 and 0, -3 and -2 and so on gamma is negative."""
    below = f.and_(f.lt(x, 0), f.neq(f.mod(f.floor(x), 2.0), 0))
    return f.where(below, math.nan, f.gammaln(x))


LOGS: dict[str, Callable[[Any, Variable, bool, int], Found]] = {
    "exp": _leaf(lambda x: x),
    "exp2": _leaf(lambda x: f.mul(x, math.log(2.0))),
    "sigmoid": _leaf(lambda x: f.neg(f.softplus(f.neg(x)))),
    "softmax": lambda site, v, loose, depth: Log(apply(OPS["log_softmax"], v.inputs, **v.attrs), True),
    "erfc": _leaf(lambda x: f.log_erfc(x)),
    "ndtr": _leaf(lambda x: f.log_ndtr(x)),
    "gamma": _leaf(_log_gamma, signed=True),
    "i0": _leaf(lambda x: f.add(f.log(f.i0e(x)), f.abs(x))),
    "i1": _leaf(lambda x: f.add(f.log(f.i1e(x)), f.abs(x)), signed=True),
    "iv": _leaf(lambda v, x: f.add(f.log(f.ive(v, x)), f.abs(x)), signed=True),
    "k0": _leaf(lambda x: f.sub(f.log(f.kve(0.0, x)), x)),
    "k1": _leaf(lambda x: f.sub(f.log(f.kve(1.0, x)), x)),
    "kv": _leaf(lambda v, x: f.sub(f.log(f.kve(v, x)), x)),
    "cosh": _leaf(lambda x: f.sub(f.logaddexp(x, f.neg(x)), math.log(2.0))),
    "neg": _of_neg,
    "mul": _of_product(lambda a, b: f.add(a, b)),
    "true_div": _of_mean_or_quotient,
    "add": _of_sum_of_two,
    "sum": _of_reduction("logsumexp"),
    "prod": _of_reduction("sum"),
    "pow": _of_power,
    "square": _scaled(2.0, even=True),
    "sqrt": _scaled(0.5),
    "reciprocal": _scaled(-1.0),
    "where": _of_choice,
}

# -- signs ------------------------------------------------------------------------------------------------------------

POSITIVE = frozenset("exp exp2 sigmoid softmax softplus erfc cosh sqrt square abs hypot".split())
KEEPING = frozenset("sum prod mul add true_div max min".split())


def never_negative(site: Any, v: Variable, depth: int = 0) -> bool:
    """Whether the form of an expression says that it is at least 0, or NaN."""
    if isinstance(v, Constant):
        return bool((v.data >= 0).all())
    if v.type.dtype in DISCRETE:
        return v.op is OPS["length"]
    if v.op is None or depth > MAX_DEPTH:
        return False
    name = v.op.name
    if name in POSITIVE or (name == "mul" and site.same(*v.inputs)):
        return True
    if name == "pow":
        exponent = site.number(v.inputs[1])
        return exponent is not None and exponent % 2 == 0
    if v.op.conversion:
        return never_negative(site, v.inputs[0], depth + 1)
    operands = v.inputs[:1] if name not in ("mul", "add", "true_div") else v.inputs
    return (name in KEEPING or v.op.moves) and all(never_negative(site, w, depth + 1) for w in operands)

"""Parameters of draws: dtypes, ranges, shapes, and what is done with numbers that were drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from numgraph.config import config
from numgraph.errors import DtypeError, OptionError, ShapeError
from numgraph.graph import Constant, Variable, as_variable, describe, frozen
from numgraph.ops import lengths as ln
from numgraph.ops.define import converted, f
from numgraph.ops.fitted import with_elements
from numgraph.ops.lengths import Length
from numgraph.ops.shape import stretch
from numgraph.types import FLOATS, INTEGERS, check_dtype

__all__: list[str] = []

# -- parameters -----------------------------------------------------------------------------------------------------


def real_dtype(what: str, dtype: Any) -> str:
    """The dtype of real numbers; None is floatX."""
    kind = check_dtype(config.floatX if dtype in (None, "floatX") else dtype)
    if kind not in FLOATS:
        raise DtypeError(f"{what}: dtype must be float32 or float64, not {kind}")
    return kind


def typed(value: Any, dtype: str) -> Variable:
    """A parameter in a dtype; what is known stays a constant."""
    if type(value) in (bool, int, float):
        return Constant(frozen(np.array(value, dtype)))
    return converted(as_variable(value), dtype)


def whole(what: str, value: Any) -> Variable:
    """An integer parameter as int64; DtypeError for another one."""
    v = as_variable(value)
    if v.type.dtype not in INTEGERS:
        raise DtypeError(f"{what}: a bound must be an integer, not {describe(v)}\n  fix: use x.astype('int64')")
    return typed(v, "int64")


def probability(what: str, p: Any) -> Variable:
    """A probability, of its own float dtype, floatX for numbers and integers."""
    v = as_variable(p)
    chance = typed(p, v.type.dtype if v.type.dtype in FLOATS else config.floatX)
    check(what, "p must lie in [0, 1]", lambda x: (x >= 0) & (x <= 1), p=chance)
    return chance


# So many categories are counted, in the loop around the draw; of more, the place is searched.
FEW_CATEGORIES = 16


def probabilities(what: str, pvals: Any) -> Variable:
    """Probabilities along the last axis, float64: in float32 many of them would not add up."""
    if pvals is None:
        raise OptionError(f"{what}: pvals, the probabilities, are missing")
    p = typed(pvals, "float64")
    if p.ndim == 0:
        raise ShapeError(f"{what}: the probabilities need an axis, not {describe(p)}")
    p = with_elements(p, [p.ndim - 1], what, f"{what}: there are no probabilities in")
    ok = "probabilities must not be negative, and their sum must be positive"
    check(what, ok, lambda x: (x >= 0).all() & (x.sum(-1) > 0).all() & np.isfinite(x).all(), pvals=p)
    return p


def weights(n: Length, p: Any) -> Variable:
    """The probabilities of n elements."""
    found = probabilities("choice", p)
    if found.ndim != 1:
        raise ShapeError(f"choice: p needs one axis, with a probability for each element, not {describe(found)}")
    return f.matched(found, (n,), "choice")


def check(what: str, problem: str, holds: Callable[..., Any], **parameters: Variable) -> None:
    """OptionError with the values where known parameters break a condition."""
    known = [v.data for v in parameters.values() if isinstance(v, Constant)]
    if len(known) < len(parameters) or np.all(holds(*known)):
        return
    listed = "".join(f"\n  {name}: {_shown(value)}" for name, value in zip(parameters, known, strict=True))
    raise OptionError(f"{what}: {problem}{listed}")


def _shown(value: Any) -> str:
    """The text of a value, on one line."""
    return " ".join(np.array2string(value, threshold=6, separator=", ").split())


def fitted(what: str, size: Any, **parameters: Variable) -> tuple[list[Length], list[Variable]]:
    """The lengths of a draw, those of `size` or else those that its parameters broadcast to, and the parameters for
    them; ShapeError, which names the parameter, for one that does not broadcast to the size."""
    if size is None:
        return _common(parameters.values()), list(parameters.values())
    lengths = ln.as_lengths(size, what)
    given = []
    for name, v in parameters.items():
        try:
            given.append(stretch(v, lengths) if v.ndim else v)
        except ShapeError:
            own, wanted = ln.shape_text(ln.dims_of(v)), ln.shape_text(lengths)
            raise ShapeError(
                f"{what}: {name} of shape {own} does not broadcast to size {wanted}\n  {describe(v)}"
            ) from None
    return lengths, given


def _common(parameters: Iterable[Variable]) -> list[Length]:
    """The lengths that variables broadcast to."""
    rank = max((v.ndim for v in parameters), default=0)
    lengths: list[Length] = [1] * rank
    for v in parameters:
        for axis in range(v.ndim):
            k = rank - v.ndim + axis
            lengths[k] = ln.broadcast_length(lengths[k], ln.dim(v, axis))
    return lengths


# -- arithmetic -----------------------------------------------------------------------------------------------------


def _is(v: Variable, number: float) -> bool:
    """Whether a parameter is known to be one number."""
    return isinstance(v, Constant) and v.ndim == 0 and bool(v.data == number)


def less(a: Variable, b: Variable) -> Any:
    """a - b, a value where both are known."""
    return a.data - b.data if isinstance(a, Constant) and isinstance(b, Constant) else f.sub(a, b)


def times(scale: Variable, x: Variable) -> Variable:
    result: Variable = x if _is(scale, 1) else f.mul(scale, x)
    return result


def scaled(mean: Variable, scale: Variable, z: Variable) -> Variable:
    spread = times(scale, z)
    result: Variable = spread if _is(mean, 0) else f.add(mean, spread)
    return result


def below(x: Variable) -> Variable:
    """The probability that a normal number is below x."""
    return f.mul(0.5, f.erfc(f.mul(x, -math.sqrt(0.5))))


def running_sums(p: Variable, lengths: Sequence[Length]) -> Variable:
    """The running sums of p along its last axis, for every element of a draw."""
    return stretch(f.cumsum(p, axis=-1), [*lengths, ln.dim(p, -1)])


def category_of_all(p: Variable, u: Variable) -> Variable:
    """For each element of u a category by the same probabilities p, a vector: found by halves where these are many."""
    sums = f.cumsum(p)
    most = ln.dim(p, 0)
    if u.ndim == 0 or (isinstance(most, int) and most <= FEW_CATEGORIES):
        return category(f.shape_padleft(sums, u.ndim), u)
    return f.minimum(f.searchsorted(sums, f.mul(u, sums[-1]), "right"), f.sub(most, 1))


def category(sums: Variable, u: Variable) -> Variable:
    """How many of the running sums, along the last axis, are passed by u times the last one."""
    passed = f.le(sums, f.mul(f.expand_dims(u, -1), sums[..., -1:]))
    return f.minimum(f.sum(passed, axis=-1), ln.dim(sums, -1) - 1)

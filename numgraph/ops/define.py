"""What the op files share: late-bound access to user functions, the zero gradient, and dtype checks of arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.errors import DtypeError
from numgraph.graph import Constant, Variable, as_operands, as_variable, describe, elementwise, frozen
from numgraph.op import FUNCTIONS
from numgraph.types import BOOL, INTEGERS, REALS, float_of, promote

# What the tests try of functions that turn integers into floats before.
TRIED = ("float32", "float64", "int64")


class Functions:
    """`f.exp(x)` calls the user function `exp`, wherever it is defined; gradients may name any op this way.

    For type checkers each returns a variable, but for those named here: lengths, and one variable for each axis.
    """

    shape: Callable[..., Any]
    nonzero: Callable[..., tuple[Variable, ...]]

    def __getattr__(self, name: str) -> Callable[..., Variable]:
        try:
            return FUNCTIONS[name]
        except KeyError:
            raise AttributeError(f"numgraph has no function {name!r}") from None


f = Functions()


def converted(v: Variable, dtype: str) -> Variable:
    """v in a dtype; what is known stays a constant."""
    if isinstance(v, Constant):
        return Constant(frozen(v.data.astype(dtype)), v.name, v.line)
    return f.cast(v, dtype)


def as_floats(x: Any) -> Variable:
    """x, or where it holds integers or bools the floats that exp and sin would compute with."""
    v = as_variable(x)
    return f.cast(v, float_of(v.type.dtype))


def spread(v: Variable, axis: int, ndim: int) -> Variable:
    """A vector along `axis` of an array of `ndim` axes."""
    return f.dimshuffle(v, *(0 if k == axis else "x" for k in range(ndim)))


class Zero:
    """The gradient of a step function: zero, but not disconnected. `numgraph.grad` builds no nodes for it."""

    def __repr__(self) -> str:
        return "ZERO"


ZERO = Zero()


class Chosen:
    """A `reach` that a program asked for: by a condition, in `where` or as a mask, or by overwriting the rest.

    Products then leave out the rows and columns that do not count. For what slices and index arrays do not name they do
    not: those are everywhere, and each would cost a pass over the operands.
    """

    def __init__(self, counts: Variable) -> None:
        self.counts = counts


def both(a: Variable | None, b: Variable) -> Variable:
    """Where `a` (None: everywhere) and `b` hold."""
    return b if a is None else f.and_(a, b)


def along_axis(counts: Variable | None, out: Variable, *inputs: Variable, axis: int) -> tuple[Any, ...]:
    """`reach` of an op whose elements depend on all elements along `axis`."""
    return tuple(None if counts is None else f.any(counts, axis, keepdims=True) for _ in inputs)


def linearly(counts: Variable | None, out: Variable, /, *inputs: Variable, **attrs: Any) -> tuple[Any, ...]:
    """`reach` of an op that only moves and adds elements: the gradient of what counts is positive where it arrives."""
    assert out.op is not None and out.op.grad is not None
    if counts is None:
        return (None,) * len(inputs)
    whole = f.cast(f.broadcast_to(counts, f.shape(out)), "float32")
    parts = out.op.grad(whole, out, *inputs, **attrs)
    return tuple(None if p is None or p is ZERO else f.neq(p, 0) for p in parts)


def boolless(dtypes: Sequence[str]) -> str:
    """As `same`, but bool with bool gives int8, as NumPy has it for `//`, `%`, `**` and shifts."""
    dtype = promote(dtypes)
    return "int8" if dtype == BOOL else dtype


def no_bool(name: str, instead: str) -> Callable[..., Variable]:
    """The user function of an elementwise op that bools have no meaning for; DtypeError names the argument."""
    return _checked(name, lambda dtype: dtype != BOOL, f"is not defined for bool: {instead}")


def no_float(name: str) -> Callable[..., Variable]:
    """The user function of an op on bits; DtypeError names the float argument."""
    return _checked(
        name, lambda dtype: dtype not in REALS, "works on bits of integers and bools: convert with x.astype('int64')"
    )


def integral(name: str) -> Callable[..., Variable]:
    """The user function of an op on integers; DtypeError names another argument."""
    return _checked(name, INTEGERS.__contains__, "is defined for integers: convert with x.astype('int64')")


def _checked(name: str, allowed: Callable[[str], bool], otherwise: str) -> Callable[..., Variable]:
    plain = elementwise(name)

    def build(*args: Any) -> Variable:
        operands = as_operands(*args)
        if operands and not allowed(promote([v.type.dtype for v in operands])):
            listed = "".join(f"\n  {describe(v)}" for v in operands)
            raise DtypeError(f"{name} {otherwise}{listed}")
        return plain(*operands)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = plain.__doc__
    return build

"""What the op files share: late-bound access to user functions, the zero gradient, and dtype checks of arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.errors import DtypeError
from numgraph.graph import Variable, as_operands, describe, elementwise
from numgraph.op import FUNCTIONS
from numgraph.types import BOOL, FLOATS, promote


class Functions:
    """`f.exp(x)` calls the user function `exp`, wherever it is defined; gradients may name any op this way."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return FUNCTIONS[name]
        except KeyError:
            raise AttributeError(f"numgraph has no function {name!r}") from None


f: Any = Functions()


class Zero:
    """The gradient of a step function: zero, but not disconnected. `numgraph.grad` builds no nodes for it."""

    def __repr__(self) -> str:
        return "ZERO"


ZERO = Zero()


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
        name, lambda dtype: dtype not in FLOATS, "works on bits of integers and bools: convert with x.astype('int64')"
    )


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

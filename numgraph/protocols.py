"""What NumPy does with a variable: its ufuncs become numgraph's functions, all else is refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from numgraph.foreign import asked_by
from numgraph.op import FUNCTIONS

# NumPy's ufuncs that numgraph calls otherwise
_UFUNCS = {
    "subtract": "sub", "multiply": "mul", "divide": "true_div", "floor_divide": "floor_div", "remainder": "mod",
    "power": "pow", "negative": "neg", "absolute": "abs", "bitwise_and": "and_", "bitwise_or": "or_",
    "bitwise_xor": "xor", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "rint": "round",
}  # fmt: skip


# Functions of NumPy that numgraph calls otherwise or has not under their name, and what to do instead.
_OTHERWISE = {
    "linalg.inv": "use ng.linalg.inv, the inverse of a matrix (ng.inv is 1 / x, element by element)",
    "linalg.trace": "use ng.linalg.trace",
    "linalg.multi_dot": "use ng.linalg.multi_dot",
    "linalg.norm": "use ng.norm",
    "identity": "use ng.eye",
    "ndim": "use x.ndim",
    "size": "use x.size",
}
# Where NumPy keeps functions, and what stands before their names.
_PLACES = ("", "linalg", "fft", "random")


def _named(function: Any) -> str:
    """Where `function` stands in NumPy, `exp` or `linalg.inv`; "" for what is not NumPy's."""
    name = getattr(function, "__name__", "")
    for place in _PLACES:
        if getattr(getattr(np, place) if place else np, name, None) is function:
            return f"{place}.{name}" if place else name
    return ""


def _same_function(function: Any) -> str:
    """The name of numgraph's function that is the same as one of NumPy's, or of SciPy's; "" where there is none."""
    name = _named(function)
    special = getattr(sys.modules.get("scipy.special"), function.__name__, None)
    if not name and special is not function:
        return ""
    known = _UFUNCS.get(name, name) if name else function.__name__
    return known if known in FUNCTIONS and known not in _OTHERWISE else ""


def _no_numpy(function: Any, variable: Any, method: str = "", options: bool = False) -> str:
    name = (_named(function) or function.__name__) + method
    shown = f"np.{name}" if _named(function) else name
    there = "" if method else _same_function(function)
    place, _, bare = name.rpartition(".")
    if place in ("linalg", "fft") and name not in _OTHERWISE and bare in FUNCTIONS:
        there = name
    otherwise = _OTHERWISE.get(name, f"numgraph has no {'such function' if '.' in name else 'function of that name'}")
    instead = f"use ng.{there}" if there else otherwise
    if options:
        instead += " without options such as out= (`a += x` on an array is one: write `a = a + x`)"
    return f"{shown} computes with values, and {said(variable)} has none before a function runs\n  fix: {instead}"


def said(variable: Any) -> str:
    """`v float32[?], made at train.py:3`, for messages."""
    line = getattr(variable, "line", None)
    return repr(variable).removeprefix("<").removesuffix(">") + (f", made at {line}," if line else "")


def _wanted_by(variable: Any, what: str, fix: str) -> str:
    return (
        f"{what}, and its operators work with values, which {said(variable)} has none of before a function runs\n"
        f"  fix: {fix}"
    )


def no_matrix(sign: str, value: Any) -> None:
    """TypeError for a `numpy.matrix` beside an operator that means something else to it."""
    if isinstance(value, np.matrix):
        meant = "the product of matrices" if sign == "*" else "a power of the matrix"
        instead = "`@` for the product, " if sign == "*" else ""
        raise TypeError(
            f"`{sign}` of a numpy.matrix is {meant} in NumPy, and of variables is element by element\n"
            f"  fix: {instead}np.asarray(matrix) for the elements"
        )


class NumpyProtocols:
    """Mixed into `Operators`."""

    __slots__ = ()
    __array_priority__ = 1000
    # above that of pandas' tables: their operators leave it to the variable's then
    __pandas_priority__ = 10_000

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """`array * x` and `np.exp(x)` are `ng.mul(array, x)` and `ng.exp(x)`; TypeError where there is none."""
        if method == "__call__" and not options:
            if ufunc in (np.equal, np.not_equal):  # `==` is identity, also with an array on its left
                return ufunc is np.not_equal
            known = _same_function(ufunc)
            if known:
                return FUNCTIONS[known](*inputs)
        raise TypeError(_no_numpy(ufunc, self, "" if method == "__call__" else f".{method}", bool(options)))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        """TypeError that names numgraph's function: NumPy's own would compute something else, or fail obscurely."""
        if asker := asked_by(sys._getframe(1)):
            raise TypeError(_wanted_by(self, *asker))
        raise TypeError(_no_numpy(function, self))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """TypeError: NumPy would make an array of objects."""
        if asker := asked_by(sys._getframe(1)):
            raise TypeError(_wanted_by(self, *asker))
        raise TypeError(
            f"{said(self)} has no value before a function computes it, and cannot become a NumPy array\n"
            "  fix: use numgraph's functions on it (ng.stack for a list of variables), or compute it with .eval(...)"
        )

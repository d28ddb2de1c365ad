"""Whether a function may raise, as far as its bytecode says: without Numba, and never no where it may.

What may raise is followed by a look at its status in generated code, and the call changes nothing in place before it. A
compiler sees more (a division by `1 + exp(x)`) and drops what cannot happen.
"""

from __future__ import annotations

import dis
import math
from collections.abc import Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from numgraph.userfunctions.frozen import cells_of, dispatcher_of, globals_in, options_of, values_of

# Instructions that may raise, whatever they work on.
_RISKY = frozenset(
    """RAISE_VARARGS RERAISE BINARY_SUBSCR BINARY_SLICE STORE_SUBSCR BUILD_LIST BUILD_SET BUILD_MAP IMPORT_NAME
    LIST_APPEND LIST_EXTEND BUILD_SLICE LOAD_BUILD_CLASS FORMAT_VALUE BUILD_STRING DICT_MERGE""".split()
)
_SAFE_BUILTINS = frozenset("abs min max float int bool round range True False None".split())
_DIVISIONS = frozenset(["/", "//", "%", "/=", "//=", "%="])
_POWERS = frozenset(["**", "**="])


def may_raise(function: FunctionType, options: Mapping[str, Any]) -> bool:
    """Whether a call may end with an exception. options: those of Numba that it is compiled with."""
    return _Look().function(function, options, "python")


def raises(function: FunctionType) -> bool:
    """Whether the function, or one that it calls, says `raise` or `assert`."""
    return _says_raise(function, set())


def _says_raise(function: FunctionType, seen: set[int]) -> bool:
    seen.add(id(function))
    called = [dispatcher_of(v) for v in (*values_of(function).values(), *cells_of(function).values())]
    inner = [d.py_func for d in called if d is not None and id(d.py_func) not in seen]
    return _has_raise(function.__code__) or any(_says_raise(f, seen) for f in inner)


def _has_raise(code: CodeType) -> bool:
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return any(i.opname == "RAISE_VARARGS" for i in dis.get_instructions(code)) or any(map(_has_raise, inner))


class _Look:
    """One look at a function and those that it calls."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def function(self, function: FunctionType, options: Mapping[str, Any], model: str) -> bool:
        """Whether a function may raise; one that is being looked at already says it itself. model: how the caller
        divides, which a function inherits."""
        if id(function) in self.seen:
            return False
        self.seen.add(id(function))
        values = values_of(function) | cells_of(function)
        model = options.get("error_model", model)
        if self._code(function.__code__, model == "python") or options.get("boundscheck"):
            return True
        unknown = set(globals_in(function.__code__)) - set(values) - _SAFE_BUILTINS
        if unknown or not all(self._is_safe(v, model) for v in values.values()):
            return True
        return not all(map(_is_safe_attribute, _attributes(function.__code__)))

    def _code(self, code: CodeType, divides: bool) -> bool:
        before = None
        for i in dis.get_instructions(code):
            if i.opname in _RISKY or (i.opname == "BINARY_OP" and self._binary(i, before, divides)):
                return True
            before = i
        return any(self._code(c, divides) for c in code.co_consts if isinstance(c, CodeType))

    def _binary(self, i: dis.Instruction, before: dis.Instruction | None, divides: bool) -> bool:
        """Whether an operator may raise: by a number that is not 0 one divides."""
        sign = i.argrepr
        if sign == "[]":
            return True
        number = before.argval if before is not None and before.opname in ("LOAD_CONST", "LOAD_SMALL_INT") else None
        if sign in _DIVISIONS:
            return divides and not (isinstance(number, int | float) and number != 0)
        return sign in _POWERS and not (isinstance(number, int | float) and number >= 0)

    def _is_safe(self, value: Any, model: str) -> bool:
        dispatcher = dispatcher_of(value)
        if dispatcher is not None:
            return not self.function(dispatcher.py_func, options_of(dispatcher), model)
        if isinstance(value, ModuleType):
            return value.__name__ in ("math", "numpy")
        return isinstance(value, bool | int | float | np.number | np.bool_ | np.ufunc) or _is_safe_callable(value)


def _instructions(code: CodeType) -> list[dis.Instruction]:
    found = list(dis.get_instructions(code))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += _instructions(constant)
    return found


def used_names(code: CodeType) -> set[str]:
    """The local variables that a function, or one inside it, reads."""
    # an instruction of Python 3.13 reads two
    loads = [i.argval for i in _instructions(code) if "LOAD" in i.opname]
    return {n for names in loads for n in (names if isinstance(names, tuple) else (names,)) if isinstance(n, str)}


def _attributes(code: CodeType) -> set[str]:
    return {str(i.argval) for i in _instructions(code) if i.opname in ("LOAD_ATTR", "LOAD_METHOD")}


def _is_safe_attribute(name: str) -> bool:
    """Whether a name of `math` or `numpy` is a number, or a function of numbers that does not raise when compiled."""
    found = [getattr(m, name) for m in (math, np) if hasattr(m, name)]
    return bool(found) and all(isinstance(v, float | np.ufunc) or _is_safe_callable(v) for v in found)


def _is_safe_callable(value: Any) -> bool:
    if isinstance(value, type):
        return issubclass(value, np.number | np.bool_)
    return getattr(value, "__module__", "") == "math" and value not in (math.factorial, math.comb, math.perm)

"""A user's function as it is now: a copy whose globals and closure stay what they are, and a digest of what is seen.

Numba makes constants of a function's globals when it compiles, and a process may compile long after the function was
put into a graph. So the graph has a copy, with values of its own. The digest is part of the generated source, and so of
the name of its machine code: another function, or another value in its closure, never finds old code.
"""

from __future__ import annotations

import builtins
import dis
import enum
import hashlib
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

# Packages whose functions are what their names say; their versions are a part of the name of machine code anyway.
TRUSTED = frozenset("math cmath numpy numba builtins operator random".split())
# What Numba is told of a copy; the other options say how a dispatcher compiles, not what.
OPTIONS = ("error_model", "fastmath", "boundscheck", "forceinline")
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
# Stands for values that cannot be seen into: code made with them is of this process only.
_HERE = uuid.uuid4().hex


def dispatcher_of(value: Any) -> Any:
    """`value` if `numba.njit` made it, else None. Nothing imports Numba for that: without it there are none."""
    module = sys.modules.get("numba.core.registry")
    return value if module is not None and isinstance(value, module.CPUDispatcher) else None


def options_of(dispatcher: Any) -> dict[str, Any]:
    """The options of a dispatcher that its code depends on."""
    given = dispatcher.targetoptions
    kept = {name: given[name] for name in OPTIONS if given.get(name) is not None}
    return kept | ({"locals": dispatcher.locals} if dispatcher.locals else {})


def names_in(code: CodeType) -> Iterator[str]:
    """The names of globals and attributes in code, also of functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def globals_in(code: CodeType) -> Iterator[str]:
    """The global names that code reads, also within functions in it."""
    yield from (i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from globals_in(constant)


def values_of(function: FunctionType) -> dict[str, Any]:
    """What the globals that a function reads are now; builtins are left out."""
    space = function.__globals__
    return {name: space[name] for name in sorted(set(globals_in(function.__code__))) if name in space}


def cells_of(function: FunctionType) -> dict[str, Any]:
    """What the names of a function's closure are now; those that have no value yet are left out."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


class Freezer:
    """Copies one function and those that it calls.

    wrap: `(function, options)` makes what the copy calls of the copy of a dispatcher. defaults: options of the first
    function, where it has none of its own. bounds: whether all of them look at bounds, unless they say otherwise.
    """

    def __init__(
        self,
        wrap: Callable[[FunctionType, Mapping[str, Any]], Any],
        defaults: Mapping[str, Any],
        bounds: bool = False,
    ) -> None:
        self.wrap, self.defaults = wrap, defaults
        self.every = {"boundscheck": True} if bounds else {}
        self.state = hashlib.blake2b(digest_size=10)
        # by the identity of a function: its copy, and how many came before; what is wrapped
        self.copies: dict[int, tuple[FunctionType, int]] = {}
        self.wrapped: dict[int, Any] = {}

    @property
    def digest(self) -> str:
        """20 hexadecimal digits for all that was seen."""
        return self.state.hexdigest()

    def say(self, *parts: Any) -> None:
        """Something that the digest depends on."""
        for part in parts:
            data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
            self.state.update(len(data).to_bytes(8, "little"))
            self.state.update(data)

    def function(self, function: FunctionType, options: Mapping[str, Any]) -> FunctionType:
        """The copy of a function."""
        options = {**self.every, **options}
        known = self.copies.get(id(function))
        if known is not None:
            self.say("again", known[1])
            return known[0]
        code = function.__code__
        space: dict[str, Any] = {"__name__": function.__module__, "__builtins__": builtins}
        cells = {name: CellType() for name in code.co_freevars}
        copy = FunctionType(code, space, function.__name__, function.__defaults__, tuple(cells.values()))
        copy.__kwdefaults__, copy.__qualname__ = function.__kwdefaults__, function.__qualname__
        self.copies[id(function)] = copy, len(self.copies)
        self.say("function", *(f"{k}={v!r}" for k, v in sorted(options.items())))
        self._code(code)
        attributes = set(names_in(code))
        for values in (function.__defaults__ or (), tuple(sorted((function.__kwdefaults__ or {}).items()))):
            self.value(values, attributes)
        for name, value in values_of(function).items():
            self.say(name)
            space[name] = self.value(value, attributes)
        for name, value in cells_of(function).items():
            self.say(name)
            cells[name].cell_contents = self.value(value, attributes)
        return copy

    def made(self, function: FunctionType, options: Mapping[str, Any]) -> Any:
        """What is made of the copy of a function; once, so that a function that calls itself calls what was made."""
        options = {**self.every, **options}
        copy = self.function(function, options)
        if id(function) not in self.wrapped:
            first = self.copies[id(function)][1] == 0
            self.wrapped[id(function)] = self.wrap(copy, {**self.defaults, **options} if first else options)
        return self.wrapped[id(function)]

    def _code(self, code: CodeType) -> None:
        self.say(code.co_code, code.co_exceptiontable, code.co_flags, code.co_argcount, code.co_kwonlyargcount)
        self.say(code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._code(constant)
            elif isinstance(constant, frozenset):
                self.say("frozenset", sorted(map(repr, constant)))
            else:
                self.value(constant, frozenset())

    def value(self, value: Any, attributes: Any) -> Any:
        """What stands for a value in the copy. attributes: the names that may be read of a module."""
        dispatcher = dispatcher_of(value)
        if dispatcher is not None:
            return self.made(dispatcher.py_func, options_of(dispatcher))
        self.say(type(value).__name__)
        if isinstance(value, ModuleType):
            return self._module(value, attributes)
        if isinstance(value, tuple) and type(value) is tuple:
            self.say(len(value))
            return tuple(self.value(part, attributes) for part in value)
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            self.say(value.dtype.str, value.shape, value.strides, value.tobytes())
            return np.array(value, order="K")
        self._described(value, attributes)
        return value

    def _described(self, value: Any, attributes: Any) -> None:
        """Say what a value is, that stands for itself."""
        if type(value) in _PLAIN:
            self.say(repr(value))
        elif isinstance(value, np.generic) and not value.dtype.hasobject:
            self.say(value.dtype.str, value.tobytes())
        elif isinstance(value, enum.Enum):
            self.say(type(value).__module__, type(value).__qualname__, value.name, repr(value.value))
        elif isinstance(value, tuple):
            self.say(type(value).__module__, type(value).__qualname__, getattr(value, "_fields", ()))
            for part in value:
                self.value(part, attributes)
        elif isinstance(value, FunctionType) and not is_trusted(value.__module__):
            self.say(value.__module__, value.__qualname__)
            self.function(value, {})
        elif isinstance(value, type | BuiltinFunctionType | FunctionType | np.ufunc | np.dtype):
            self.say(getattr(value, "__module__", ""), getattr(value, "__qualname__", "") or str(value))
        elif is_trusted(type(value).__module__):
            self._of_numba(value)
        else:
            self.say(_HERE, id(value))

    def _of_numba(self, value: Any) -> None:
        """A type, an intrinsic, or a function on arrays that Numba has made."""
        inner = getattr(value, "_defn", None) or getattr(getattr(value, "_dispatcher", None), "py_func", None)
        if isinstance(inner, FunctionType):
            self.say(inner.__module__, inner.__qualname__)
            self.function(inner, {})
        else:
            shown = repr(value)
            self.say(*((_HERE, id(value)) if " at 0x" in shown else (shown,)))

    def _module(self, module: ModuleType, attributes: Any) -> ModuleType:
        """The module, or where it may change a copy with what may be read of it."""
        self.say(module.__name__)
        if is_trusted(module.__name__):
            return module
        copy = ModuleType(module.__name__)
        for name in sorted(attributes):
            if hasattr(module, name):
                self.say(name)
                setattr(copy, name, self.value(getattr(module, name), attributes - {name}))
        return copy


def is_trusted(module: Any) -> bool:
    """Whether a module, by name, is one whose functions are known by their names."""
    return str(module).partition(".")[0] in TRUSTED

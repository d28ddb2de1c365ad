"""One user's function, and how generated source finds it: in a table of this process, or by importing its module."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from functools import cached_property
from types import FunctionType
from typing import Any
from weakref import WeakValueDictionary

from numgraph.config import config
from numgraph.errors import FunctionError, OptionError
from numgraph.source import SourceLine
from numgraph.text import printable
from numgraph.userfunctions.effects import may_raise, raises, used_names
from numgraph.userfunctions.frozen import Freezer, dispatcher_of, options_of

# How a plain Python function is compiled: divided by zero as NumPy's numbers are.
PLAIN_OPTIONS = {"error_model": "numpy"}
# What a function would inherit from the one that calls it, if it is compiled for that: generated code is no user's.
DEFAULTS = {"error_model": "python", "fastmath": False, "_nrt": True}

_known: WeakValueDictionary[str, UserFunction] = WeakValueDictionary()


class UserFunction:
    """A function as it was when it was first put into a graph.

    name: for messages and generated source. module, qualname: where it is found. digest: of all that its code depends
    on. line: where it is defined. arguments: names of its parameters. may_raise: whether a call may end with an
    exception; says_raise: whether it says so itself. bounds: whether it looks at bounds, see `config.check_bounds`.
    """

    def __init__(self, function: FunctionType, options: Mapping[str, Any]) -> None:
        self.function, self.options = function, dict(options)
        # what is executed without a module has none
        self.module, self.qualname = function.__module__ or "?", function.__qualname__
        self.name = printable(function.__name__ if function.__name__.isidentifier() else "function")
        self.bounds = config.check_bounds
        freezer = Freezer(compiled_by_numba, {}, self.bounds)
        freezer.say(self.module, self.qualname)
        self.frozen = freezer.function(function, options)
        self.digest = freezer.digest
        self.line = SourceLine(function.__code__.co_filename, function.__code__.co_firstlineno, "<module>")
        self.arguments = tuple(inspect.signature(function).parameters.values())
        looked_at = options.get("boundscheck", self.bounds)
        self.may_raise, self.says_raise = may_raise(function, {**options, "boundscheck": looked_at}), raises(function)

    def __repr__(self) -> str:
        return f"<users' function {self.where}>"

    @property
    def where(self) -> str:
        """`mymodule.softplus`."""
        return printable(f"{self.module}.{self.qualname}")

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        plain = [p for p in self.arguments if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        keywords = [p for p in self.arguments if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
        required = sum(p.default is p.empty for p in plain)
        starred = any(p.kind is p.VAR_POSITIONAL for p in self.arguments)
        return not keywords and required <= count and (starred or count <= len(plain))

    @cached_property
    def unused(self) -> frozenset[str]:
        """The names of arguments that the function does not look at."""
        return frozenset(p.name for p in self.arguments) - used_names(self.function.__code__)

    @cached_property
    def dispatcher(self) -> Any:
        """The function as Numba compiles it by itself: Python may call it."""
        return Freezer(compiled_by_numba, DEFAULTS, self.bounds).made(self.frozen, self.options)

    @cached_property
    def guarded(self) -> Any:
        """The same with a look at the bounds of every index, unless the function says that it wants none."""
        if self.bounds or not self.may_raise:
            return self.dispatcher
        return Freezer(compiled_by_numba, DEFAULTS, True).made(self.frozen, self.options)

    @cached_property
    def embedded(self) -> Any:
        """The same for generated code to call: a dispatcher of its own, which nobody else may call."""
        return Freezer(compiled_by_numba, DEFAULTS, self.bounds).made(self.frozen, self.options)

    @cached_property
    def plain(self) -> Any:
        """The same with plain functions in place of what it calls: compilers for devices take these."""
        helper = importlib.import_module("numba.extending").register_jitable
        copy: Any = Freezer(lambda function, options: helper(function), {}).made(self.frozen, self.options)
        # for keys of caches, whatever `repr` leaves out of a value
        copy.users_digest = self.digest
        return copy

    @property
    def importable(self) -> bool:
        """Whether a process that imports its module finds it there."""
        try:
            found = imported(self.module, self.qualname)
        except (ImportError, AttributeError):
            return False
        return getattr(dispatcher_of(found), "py_func", found) is self.function

    def checked_importable(self, purpose: str) -> tuple[str, str]:
        """(module, qualname); FunctionError where others could not import it. purpose: "pickled", "exported"."""
        if not self.importable or (purpose == "exported" and self.module == "__main__"):
            raise FunctionError(
                f"{self.where} cannot be {purpose}: it cannot be imported by its name\n  defined at {self.line}\n"
                "  fix: define it with def at the top of a module that can be imported"
            )
        return self.module, self.qualname


def compiled_by_numba(function: FunctionType, options: Mapping[str, Any]) -> Any:
    """A dispatcher of a function; it compiles for the types of each call."""
    return importlib.import_module("numba").njit(**options)(function)


def check_compiles(otherwise: str = 'use target="reference", which needs no compiler') -> None:
    """OptionError where Numba was told to compile nothing: its decorators give plain functions then."""
    if importlib.import_module("numba").config.DISABLE_JIT:
        raise OptionError(f"NUMBA_DISABLE_JIT is set, so Numba compiles nothing\n  fix: unset it, or {otherwise}")


def user_function(function: Any) -> UserFunction:
    """The record of a function: one for all functions that are the same. OptionError for what is none."""
    dispatcher = dispatcher_of(function)
    plain = dispatcher.py_func if dispatcher is not None else function
    if not isinstance(plain, FunctionType):
        raise OptionError(
            f"expected a function, or one that numba.njit has made, not {printable(repr(function))}\n"
            "  fix: pass the function itself, written with def; for a function of CUDA's or a ufunc, what it is made of"
        )
    if dispatcher is not None and dispatcher.targetoptions.get("parallel"):
        raise OptionError(
            f"{plain.__module__}.{plain.__qualname__} is made with parallel=True, which generated code cannot call\n"
            "  fix: numba.njit without it; numgraph divides loops among threads itself"
        )
    made = UserFunction(plain, options_of(dispatcher) if dispatcher is not None else PLAIN_OPTIONS)
    return _known.setdefault(made.digest, made)


def imported(module: str, qualname: str) -> Any:
    """What a module calls by a dotted name; ImportError or AttributeError."""
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def recorded(digest: str, module: str, qualname: str) -> UserFunction:
    """The function with this digest: of this process, else of its module; FunctionError if it is another one there."""
    known = _known.get(digest)
    if known is not None:
        return known
    where = printable(f"{module}.{qualname}")
    fix = "\n  fix: run the source in the process that generated it, or build the function again"
    try:
        found = user_function(imported(module, qualname))
    except (ImportError, AttributeError) as error:
        raise FunctionError(f"generated source calls {where}, which cannot be imported ({error}){fix}") from error
    if found.digest != digest:
        raise FunctionError(
            f"generated source calls {where} as it was then; it, or what it uses, has another content now{fix}"
        )
    return found


def users_function(digest: str, module: str, qualname: str) -> Any:
    """For generated source: a user's function for compiled code to call."""
    return recorded(digest, module, qualname).embedded


def plain_users_function(digest: str, module: str, qualname: str) -> Any:
    """For generated source of a device: a user's function as it is written."""
    return recorded(digest, module, qualname).plain

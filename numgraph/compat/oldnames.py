"""Names that Python and NumPy had when programs for Theano were written, and have dropped since."""

from __future__ import annotations

import collections
import collections.abc
import inspect
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class ArgSpec(NamedTuple):
    """What `inspect.getargspec` gave."""

    args: list[str]
    varargs: str | None
    keywords: str | None
    defaults: tuple[Any, ...] | None


def getargspec(func: Callable[..., Any]) -> ArgSpec:
    """The arguments of a function, without those that are named alone."""
    found = inspect.getfullargspec(func)
    return ArgSpec(found.args, found.varargs, found.varkw, found.defaults)


class _Casts(dict[Any, Callable[[Any], Any]]):
    """`np.cast[dtype](x)`."""

    def __missing__(self, dtype: Any) -> Callable[[Any], Any]:
        return lambda x: np.asarray(x, dtype=dtype)


_NUMPY = {
    "bool": bool, "int": int, "float": float, "complex": complex, "object": object, "str": str, "float_": np.float64,
    "unicode_": np.str_, "Inf": np.inf, "Infinity": np.inf, "infty": np.inf, "NaN": np.nan, "product": np.prod,
    "cumproduct": np.cumprod, "alltrue": np.all, "sometrue": np.any, "cast": _Casts(),
}  # fmt: skip


_DROPPED: list[tuple[Any, str, Any]] = [
    *((collections, name, getattr(collections.abc, name)) for name in collections.abc.__all__),
    (inspect, "getargspec", getargspec),
    *((np, name, value) for name, value in _NUMPY.items()),
]


def named_in(error: BaseException) -> str:
    """The name of these that an error says is not there, with its module; "" for other errors."""
    text = str(error)
    for module, name, _ in _DROPPED:
        of = module.__name__
        if (f"'{name}'" in text and f"'{of}'" in text) or (module is np and f"`np.{name}`" in text):
            return f"{of}.{name}"
    return ""


def restore() -> list[str]:
    """Put the names back that are missing, each as what it was or as what took its place; which these were."""
    made = []
    for module, name, value in _DROPPED:
        with warnings.catch_warnings():
            # NumPy warns of some that it has not, and of some that it may have again
            warnings.simplefilter("ignore")
            if not hasattr(module, name):
                setattr(module, name, value)
                made.append(f"{module.__name__}.{name}")
    return made

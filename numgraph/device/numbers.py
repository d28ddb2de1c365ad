"""Numbers as compiled kernels compute them, for simulated ones: casts, and the functions of `math`.

A kernel's floats are NumPy scalars, so that float32 stays float32 and infinities and NaN arise quietly; its integers
are Python's. Functions of `math` keep the dtype of their argument, as in compiled code, and raise nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from numgraph.errors import KernelError


def _float(name: str) -> Callable[[Any], Any]:
    kind = getattr(np, name)
    return lambda value: kind(value)


def _signed(name: str) -> Callable[[Any], int]:
    bits = int(name[3:])

    def cast(value: Any) -> int:
        number = int(value)
        if not -(1 << bits - 1) <= number < 1 << bits - 1:
            raise KernelError(f"{name}({number}): the number does not fit\n  fix: keep offsets in int64")
        return number

    return cast


def _unsigned(name: str) -> Callable[[Any], int]:
    mask = (1 << int(name[4:])) - 1
    return lambda value: int(value) & mask


CASTS: dict[str, Callable[[Any], Any]] = {
    **{name: _float(name) for name in ("float16", "float32", "float64")},
    **{name: _signed(name) for name in ("int8", "int16", "int32", "int64")},
    **{name: _unsigned(name) for name in ("uint8", "uint16", "uint32", "uint64")},
    "bool": bool,
}
CASTS["boolean"] = CASTS["bool_"] = CASTS["bool"]


def _typed(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function whose integer arguments are float64."""

    def typed(*arguments: Any) -> Any:
        return function(*(a if isinstance(a, np.floating) else np.float64(a) for a in arguments))

    return typed


def _careful(function: Callable[[float], float], limits: dict[float, float]) -> Callable[[Any], Any]:
    """A function of `math` that NumPy lacks, with its values at infinities, where math's may raise."""

    def typed(x: Any) -> Any:
        kind = type(x) if isinstance(x, np.floating) else np.float64
        try:
            return kind(limits[float(x)] if float(x) in limits else function(float(x)))
        except OverflowError:
            return kind(math.inf)
        except ValueError:
            return kind(math.nan)

    return typed


_NUMPY = """exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh
atan2 hypot fabs copysign fmod isnan isinf isfinite trunc""".split()
_RENAMED = dict(asin="arcsin", acos="arccos", atan="arctan", asinh="arcsinh", acosh="arccosh", atanh="arctanh",
                atan2="arctan2")  # fmt: skip

MATH = SimpleNamespace(
    **{name: _typed(getattr(np, _RENAMED.get(name, name))) for name in _NUMPY},
    pow=_typed(np.power),
    floor=math.floor,
    ceil=math.ceil,
    ldexp=lambda x, n: np.ldexp(x, int(n)),
    erf=_careful(math.erf, {}),
    erfc=_careful(math.erfc, {}),
    gamma=_careful(math.gamma, {}),
    lgamma=_careful(math.lgamma, {math.inf: math.inf, -math.inf: math.inf, 0.0: math.inf}),
    pi=math.pi,
    e=math.e,
    inf=math.inf,
    nan=math.nan,
)

# Those functions of CUDA's library that kernels use, which have no name in `math`.
LIBDEVICE = SimpleNamespace(
    cospif=lambda x: np.float32(np.cos(np.float64(x) * np.pi)),
    sinpif=lambda x: np.float32(np.sin(np.float64(x) * np.pi)),
    cospi=lambda x: np.cos(x * np.pi),
    sinpi=lambda x: np.sin(x * np.pi),
)

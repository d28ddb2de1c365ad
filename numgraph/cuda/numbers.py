"""Numbers as compiled kernels compute them, for simulated ones: casts, and the functions of `math`.

A kernel's floats are NumPy scalars, so that float32 stays float32 and infinities and NaN arise quietly. Its integers
are Python's, and are cut to their bits where a cast says so; int64 is computed without casts and wraps by itself.
Functions of `math` keep the dtype of their argument, as in compiled code, and raise nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from numgraph.scalars import DEVICE, SCALAR_FUNCTIONS
from numgraph.types import FLOATS


def _float(name: str) -> Callable[[Any], Any]:
    kind = getattr(np, name)
    return lambda value: kind(value)


_HALF = 1 << 63
_WHOLE = (1 << 64) - 1


def _again(method: Callable[..., int]) -> Callable[..., Any]:
    """A method of int whose result wraps around; with other numbers than integers it is theirs."""

    def wrapped(*numbers: Any) -> Any:
        made = method(*numbers)
        return made if made is NotImplemented else Int64((made + _HALF & _WHOLE) - _HALF)

    return wrapped


def _alike(method: Callable[..., int]) -> Callable[..., Any]:
    """A method of int that gives an int64 for two of them; a plain int may be unsigned, and stays plain."""

    def made(*numbers: Any) -> Any:
        result = method(*numbers)
        return Int64(result) if all(isinstance(n, Int64) for n in numbers) else result

    return made


class Int64(int):
    """An int64 of a kernel: sums, differences, products and so on are int64, too, and wrap around.

    Python's own ints, such as those of threads and lengths, do not come near the ends.
    """

    __slots__ = ()
    __add__, __radd__ = _again(int.__add__), _again(int.__radd__)
    __sub__, __rsub__ = _again(int.__sub__), _again(int.__rsub__)
    __mul__, __rmul__ = _again(int.__mul__), _again(int.__rmul__)
    __floordiv__, __mod__ = _again(int.__floordiv__), _again(int.__mod__)
    __lshift__, __rlshift__ = _again(int.__lshift__), _again(int.__rlshift__)
    __and__, __or__, __xor__ = _alike(int.__and__), _alike(int.__or__), _alike(int.__xor__)
    __rshift__ = _again(int.__rshift__)
    __neg__, __abs__, __invert__ = _again(int.__neg__), _again(int.__abs__), _again(int.__invert__)


def _signed(name: str) -> Callable[[Any], int]:
    bits = int(name[3:])
    half, mask = 1 << bits - 1, (1 << bits) - 1
    if bits == 64:
        return lambda value: Int64((int(value) + half & mask) - half)
    return lambda value: (int(value) + half & mask) - half


def _unsigned(name: str) -> Callable[[Any], int]:
    mask = (1 << int(name[4:])) - 1
    return lambda value: int(value) & mask


CASTS: dict[str, Callable[[Any], Any]] = {
    **{name: _float(name) for name in ("float16", "float32", "float64", "complex64", "complex128")},
    **{name: _signed(name) for name in ("int8", "int16", "int32", "int64")},
    **{name: _unsigned(name) for name in ("uint8", "uint16", "uint32", "uint64")},
    "bool": bool,
}
CASTS["boolean"] = CASTS["bool_"] = CASTS["bool"]


def complex_of(x: Any, y: Any) -> Any:
    """`complex(x, y)` of kernels: in the precision of its parts, where Python's is always double."""
    kind = np.complex64 if isinstance(x, np.float32) and isinstance(y, np.float32) else np.complex128
    return kind(complex(x, y))


def _typed(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function whose integer arguments are float64."""

    def typed(*arguments: Any) -> Any:
        return function(*(a if isinstance(a, np.floating) else np.float64(a) for a in arguments))

    return typed


def _of_rows() -> dict[str, Callable[..., Any]]:
    """The functions of scalar forms that `math` has in kernels."""
    called = {DEVICE.get((row.name, "float64"), row.numba): row.numpy for row in SCALAR_FUNCTIONS.values()}
    return {name.removeprefix("math."): function for name, function in called.items() if name.startswith("math.")}


# Other functions of `math`, of kernels and users.
_OTHERS: dict[str, Callable[..., Any]] = dict(
    cbrt=np.cbrt, fabs=np.fabs, fmod=np.fmod, isfinite=np.isfinite, isinf=np.isinf,
    isnan=np.isnan, trunc=np.trunc,
)  # fmt: skip

MATH = SimpleNamespace(
    **{name: _typed(function) for name, function in {**_of_rows(), **_OTHERS}.items()},
    floor=math.floor,
    ceil=math.ceil,
    ldexp=lambda x, n: np.ldexp(x, int(n)),
    pi=math.pi,
    e=math.e,
    inf=math.inf,
    nan=math.nan,
)

# The functions of plans, which the host runs: under the names that they have in kernels' files.
OF_PLANS: dict[str, Any] = {"math": MATH} | {
    file.rpartition(".")[2]: _typed(row.numpy)
    for row in SCALAR_FUNCTIONS.values()
    for dtype in FLOATS
    if (file := DEVICE.get((row.name, dtype))) and not file.startswith("math.")
}

# Those functions of CUDA's library that kernels use, which have no name in `math`.
LIBDEVICE = SimpleNamespace(
    cospif=lambda x: np.float32(np.cos(np.float64(x) * np.pi)),
    sinpif=lambda x: np.float32(np.sin(np.float64(x) * np.pi)),
    cospi=lambda x: np.cos(x * np.pi),
    sinpi=lambda x: np.sin(x * np.pi),
    **{row.name: row.numpy for row in SCALAR_FUNCTIONS.values() if row.grid == "cuda.bessel"},
)

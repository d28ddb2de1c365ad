"""The error of the SIMD functions in units in the last place: `python tests/ulp.py [NAME ...] [--dtype D] [--step N]`.

float32 functions of one argument are measured on every bit pattern (`--step 16`: on every 16th), against NumPy in
float64; the others on random arguments of all exponents, and more where the functions bend, against the 80-bit format
of x87, which has to exist: float64's errors cannot be measured on other machines. `NUMBA_CPU_NAME=ivybridge
NUMBA_CPU_FEATURES=+avx` measures a processor without fused multiply-add.
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
from numgraph.kernels.support import f32, f64

from numgraph.scalars import SCALAR_FUNCTIONS, VECTOR

BLOCK = 1 << 20
BINARY = frozenset({"power", "hypot", "atan2"})
# whether longdouble can tell float64's errors (not on Windows, nor on macOS/arm64)
EXACT = np.finfo(np.longdouble).nmant > 52


def function_of(key: tuple[str, str]) -> Any:
    """The vectorised function of a scalar function in a dtype."""
    module, name = VECTOR[key].split(".")
    return getattr(importlib.import_module(f"numgraph.kernels.{module}"), name)


def arity(name: str) -> int:
    """The number of arguments of a scalar function."""
    return 2 if name in BINARY else 1


def compiled(function: Any, dtype: str, arguments: int = 1) -> Any:
    """A compiled loop(address of x[, address of y], address of out, length), as generated code has it."""
    pointer = f32 if dtype == "float32" else f64
    if arguments == 2:

        @numba.njit("void(int64, int64, int64, int64)", error_model="numpy", _nrt=False)
        def loop(x_address, y_address, out_address, n):  # type: ignore[no-untyped-def]
            x, y, out = pointer(x_address), pointer(y_address), pointer(out_address)
            for i in range(n):
                out[i] = function(x[i], y[i])

        return loop

    @numba.njit("void(int64, int64, int64)", error_model="numpy", _nrt=False)
    def loop(x_address, out_address, n):  # type: ignore[no-untyped-def]
        x, out = pointer(x_address), pointer(out_address)
        for i in range(n):
            out[i] = function(x[i])

    return loop


def apply(loop: Any, *arguments: Any) -> Any:
    """The loop on arrays of one length."""
    kept = [np.ascontiguousarray(a) for a in arguments]
    out = np.empty_like(kept[0])
    loop(*(a.ctypes.data for a in kept), out.ctypes.data, out.size)
    return out


# --------------------------------------------------------------------------------------------------------- references


def _erfc_tail(a: Any) -> Any:
    """erfc(a) for a >= 2, by its continued fraction; exp(-a**2) with a**2 in two pieces, the first exact."""
    fraction = np.zeros_like(a)
    for k in range(120, 0, -1):
        fraction = (k / type(a.flat[0])(2)) / (a + fraction)
    high = a.astype(np.float32).astype(a.dtype)
    bell = np.exp(-high * high) * np.exp(-(a - high) * (a + high))
    return bell / (np.sqrt(np.arctan(a.dtype.type(1)) * 4) * (a + fraction))


def _erf_series(a: Any) -> Any:
    """erf(a) for 0 <= a <= 2: 2 / sqrt(pi) exp(-a**2) times the sum of 2**n a**(2 n + 1) / (2 n + 1)!!"""
    term = a.copy()
    total = a.copy()
    for n in range(1, 60):
        term = term * (2 * a * a) / (2 * n + 1)
        total = total + term
    return total * np.exp(-a * a) * 2 / np.sqrt(np.arctan(a.dtype.type(1)) * 4)


def _errors(x: Any) -> tuple[Any, Any]:
    """erf and erfc of |x|."""
    a = abs(x)
    small = _erf_series(np.minimum(a, 2))
    tail = _erfc_tail(np.clip(a, 2, 200))
    return np.where(a < 2, small, 1 - tail), np.where(a < 2, 1 - small, tail)


def reference(name: str, *arguments: Any) -> Any:
    """The function in the next wider format: float64 for float32, longdouble for float64."""
    wide = [a.astype(np.float64 if a.dtype == np.float32 else np.longdouble) for a in arguments]
    x = wide[0]
    if name == "erf":
        return np.copysign(_errors(x)[0], x)
    if name == "erfc":
        erf, erfc = _errors(x)
        # 1 - erf loses up to 9 of the 11 extra bits below 2; there erfc is 1 - erf to within a quarter of a unit
        return np.where(x < 0, 1 + erf, erfc)
    return SCALAR_FUNCTIONS[name].numpy(*wide)


# ---------------------------------------------------------------------------------------------------------- arguments

# where functions of one argument bend: centre and width of extra arguments
BENDS = [(0, 1), (0, 20), (1, 0.1), (0, 100), (0, 1e-3), (0.5, 0.1), (-1, 0.1), (0, 710), (0, 1e6), (0, 6), (20, 8)]


# where they change from one form to another, or end; arguments next to these, of both signs, are tried one by one
SWITCHES = [
    0, 0.41421356, 0.5, 0.70710677, 0.70710678118654752, 0.9, 1, 1.4142135, 1.4142135623730951, 2, 2.41421356, 4, 6,
    9.2, 10, 10.06, 11, 18, 20, 26.5, 27.226, 27.5, 37, 88.722839, 89.415986, 103.97, 104, 126, 128, 149, 151,
    708.39641853226, 709.782712893384, 710.475860073944, 745.133219101942, 1022, 1024, 1074, 2.0**20, 2.0**22,
    2.0**28, 2.0**56, 2.0**-26, 2.0**-55, 2.0**-126, 2.0**-1022, 1e20, 2.0**500, 2.0**-500,
]  # fmt: skip


def switches(dtype: str, reach: int = 40) -> Any:
    """Arguments within `reach` steps of each of `SWITCHES`."""
    with np.errstate(over="ignore", under="ignore"):
        centres = np.array(SWITCHES).astype(dtype)
    centres = centres[np.isfinite(centres)]
    bits = centres.view("int32" if dtype == "float32" else "int64")
    near = bits[:, None] + np.arange(-reach, reach + 1, dtype=bits.dtype)
    x = near[near >= 0].view(dtype)
    return np.concatenate([x, -x])


def scattered(dtype: str, count: int, seed: int) -> Any:
    """About `count` finite arguments: all exponents, subnormals, and the surroundings of `BENDS`."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32 if dtype == "float32" else 2**64, count // 4, dtype=np.uint64)
    every = bits.astype(np.uint32).view(np.float32) if dtype == "float32" else bits.view(np.float64)
    each = count * 3 // 4 // len(BENDS)
    near = [(centre + rng.uniform(-1, 1, each) * width).astype(dtype) for centre, width in BENDS]
    subnormal = (rng.uniform(-2, 2, count // 20) * float(np.finfo(dtype).smallest_normal)).astype(dtype)
    x = np.concatenate([every, *near, subnormal, switches(dtype)])
    return np.ascontiguousarray(rng.permutation(x[np.isfinite(x)]))


def pairs(name: str, dtype: str, count: int, seed: int) -> tuple[Any, Any]:
    """Arguments of a function of two; most powers are numbers, and many next to the limits of the dtype."""
    rng = np.random.default_rng(seed)
    x, y = scattered(dtype, count, seed), scattered(dtype, count, seed + 1)
    n = min(x.size, y.size)
    x, y = x[:n], y[:n]
    if name != "power":
        with np.errstate(over="ignore"):
            close = (y * rng.uniform(-3, 3, n)).astype(dtype)
        return np.where((rng.random(n) < 0.5) & np.isfinite(close), close, x), y
    x = np.where(rng.random(n) < 0.9, abs(x), x)
    top = 128 if dtype == "float32" else 1024
    with np.errstate(all="ignore"):
        bound = (rng.uniform(-1.1, 1.05, n) * top / np.log2(abs(x.astype(np.float64)))).astype(dtype)
    whole = rng.integers(-30, 30, n).astype(dtype)
    kind = rng.random(n)
    y = np.where(kind < 0.7, bound, np.where(kind < 0.8, whole, y))
    return x, np.where(np.isfinite(y), y, 1).astype(dtype)


def blocks(name: str, dtype: str, step: int) -> Iterator[tuple[Any, ...]]:
    """Arguments in arrays of at most about a million."""
    if dtype == "float32" and arity(name) == 1:
        for start in range(0, 2**32, BLOCK * step):
            x = np.arange(start, min(start + BLOCK * step, 2**32), step, dtype=np.uint64).astype(np.uint32)
            yield (x.view(np.float32),)
        return
    for seed in range(max(1, 64 // step)):
        yield pairs(name, dtype, BLOCK, seed) if arity(name) == 2 else (scattered(dtype, BLOCK, seed),)


# -------------------------------------------------------------------------------------------------------- measurement


def errors(got: Any, wide: Any) -> Any:
    """|got - wide| in units in the last place of the result; where either is not finite, 0 for the same, else inf."""
    with np.errstate(all="ignore"):
        rounded = wide.astype(got.dtype)
        unit = np.spacing(np.minimum(abs(rounded), np.finfo(got.dtype).max))
        error = (abs(got.astype(wide.dtype) - wide) / unit).astype(np.float64)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    # next to the largest number an infinite result is an error of one unit
    edge = np.isinf(rounded) & (abs(got) == np.finfo(got.dtype).max) | np.isinf(got) & (
        abs(wide) >= np.finfo(got.dtype).max * (1 - 2 * np.finfo(got.dtype).eps)
    )
    special = ~(np.isfinite(got) & np.isfinite(rounded))
    return np.where(special, np.where(same, 0.0, np.where(edge & (np.sign(got) == np.sign(wide)), 1.0, np.inf)), error)


def worst(name: str, dtype: str, arguments: Iterator[tuple[Any, ...]], loop: Any) -> tuple[float, tuple[Any, ...]]:
    """The largest error, and where it is."""
    largest, where = -1.0, ()
    for block in arguments:
        with np.errstate(all="ignore"):
            found = errors(apply(loop, *block), reference(name, *block))
        at = int(np.argmax(found))
        if found[at] > largest:
            largest, where = float(found[at]), tuple(a[at] for a in block)
    return largest, where


def claimed(function: Callable[..., Any]) -> float:
    """The bound that the docstring of a function gives."""
    found = re.search(r"Error at most ([\d.]+) ulp", function.__doc__ or "")
    assert found is not None, function
    return float(found[1])


def main() -> None:
    """Print the largest error of each function."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="exp, power, ...; default: all")
    parser.add_argument("--dtype", choices=("float32", "float64"))
    parser.add_argument("--step", type=int, default=1, help="measure on every Nth argument")
    options = parser.parse_args()
    for name, dtype in VECTOR:
        if (options.names and name not in options.names) or options.dtype not in (None, dtype):
            continue
        if not EXACT and (dtype == "float64"):
            print(f"{name:9} {dtype}  not measured: longdouble is no wider than float64 here")
            continue
        function = function_of((name, dtype))
        loop = compiled(function, dtype, arity(name))
        error, where = worst(name, dtype, blocks(name, dtype, options.step), loop)
        verdict = "" if error <= claimed(function) else "  MORE THAN CLAIMED"
        at = ", ".join(map(repr, map(float, where)))
        print(f"{name:9} {dtype}  {error:.3f} at {name}({at}), claimed {claimed(function)}{verdict}", flush=True)


if __name__ == "__main__":
    main()

"""The functions that scalar forms of ops call: one row for each says what it is called wherever code is made of it."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numgraph import randoms
from numgraph.types import COMPLEX, FLOATS


@dataclass(frozen=True)
class ScalarFunction:
    """A function of scalar forms.

    numpy: the same for NumPy's arrays and floats; kernels that are simulated compute with it. numba: its name for
    floats; "math.x" and "np.x" are Numba's, others are of `kernels.support`. integer, unsigned: that for integers, ""
    where there is none. written: the expression over x, y and z that stands for a call, in place of a name; written_int
    the one for integers and bools, where it is another. vector: the file of `kernels` that has it for SIMD loops, as
    name_f32 and name_f64. grid: the same for kernels of a device, or "math", or "math.name"; where there is none and
    SciPy's is called (`scipy`), devices do not have it. wide: it is there for float64 only. scipy: `kernels.special`
    has it for processors, as SciPy's function of that name. complex: what `kernels.complexes` has for complex numbers
    returns: "same", such a number, "part", a float, or "bool"; "" where there is none. inline: it is a few
    instructions and calls no library. operator: Python's, with which formulas write it.
    """

    name: str
    numpy: Callable[..., Any]
    numba: str = ""
    integer: str = ""
    unsigned: str = ""
    written: str = ""
    written_int: str = ""
    vector: str = ""
    grid: str = ""
    common: str = ""
    typed: tuple[str, ...] = FLOATS
    wide: bool = False
    scipy: str = ""
    inline: bool = False
    complex: str = ""
    operator: ast.operator | None = None


def each(function: Callable[[float], float]) -> Callable[[Any], Any]:
    """A function of one Python float for arrays and NumPy's floats; infinity where it overflows, NaN where
    it refuses."""

    def value(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan

    def apply_to(x: Any) -> Any:
        values = np.asarray(x)
        dtype = values.dtype if values.dtype.kind == "f" else np.float64
        return np.array([value(float(v)) for v in values.ravel()], dtype).reshape(values.shape)[()]

    return apply_to


def _log_gamma(x: float) -> float:
    return math.inf if math.isinf(x) or (x <= 0.0 and x == math.floor(x)) else math.lgamma(x)


def by_scipy(name: str) -> Callable[..., Any]:
    """A function of scipy.special, which is loaded when it is called."""

    def value(*x: Any) -> Any:
        from scipy import special

        return getattr(special, name)(*x)

    return value


def _scipy(name: str, scipy: str = "", grid: str = "") -> ScalarFunction:
    """A function of SciPy's, computed in float64."""
    return ScalarFunction(name, by_scipy(scipy or name), scipy=scipy or name, grid=grid, wide=True)


def hurwitz(s: Any, q: Any) -> Any:
    """Hurwitz's zeta function, NaN for NaN; of an infinite s what is left of the first term, where SciPy has NaN."""
    found = np.where((np.asarray(s) == np.inf) & (np.asarray(q) > 1.0), 0.0, by_scipy("zeta")(s, q))
    return np.where(np.isnan(s), s, np.where(np.isnan(q), q, found))[()]


# of the central differences of order 8, for steps of 1, 2, 3 and 4
_WEIGHTS = (4 / 5, -1 / 5, 4 / 105, -1 / 280)


def _by_differences(function: Callable[[Any], Any], scale: Any) -> Any:
    """The derivative at 0 of a function that changes little over the root of `scale`; to about 1e-12."""
    with np.errstate(all="ignore"):
        step = 0.02 * np.minimum(scale, np.sqrt(scale), dtype=np.float64)
        return sum(w * (function(k * step) - function(-k * step)) for k, w in enumerate(_WEIGHTS, 1)) / step


def gammainc_slope(a: Any, x: Any) -> Any:
    """The derivative of `gammainc` by a; NaN for an a that is not finite: SciPy 1.13 has gammainc(NaN, 0) = 0."""
    value, a = by_scipy("gammainc"), np.asarray(a)
    return np.where(np.isfinite(a), _by_differences(lambda t: value(a + t, x), a), np.nan)[()]


def betainc_slope(a: Any, b: Any, x: Any, da: Any, db: Any) -> Any:
    """The derivative of `betainc` along (da, db), one of which is 1 and the other 0."""
    value = by_scipy("betainc")
    return _by_differences(lambda t: value(a + t * da, b + t * db, x), np.where(da, a, b))


def hyp2f1_slope(a: Any, b: Any, c: Any, z: Any, da: Any, db: Any, dc: Any) -> Any:
    """The derivative of `hyp2f1` along (da, db, dc)."""
    value = by_scipy("hyp2f1")
    with np.errstate(all="ignore"):
        # near 1 it changes as a power of 1 - z does, and by c between the poles at 0, -1, ...
        scale = 1.0 / (1.0 + np.where(np.asarray(z) < 1.0, np.abs(np.log1p(-np.minimum(z, 1.0))), 0.0))
        pole = np.minimum(np.round(c), 0.0)
        scale = scale * np.where(dc, np.minimum(np.abs(np.asarray(c) - pole), 1.0), 1.0)
    return _by_differences(lambda t: value(a + t * da, b + t * db, c + t * dc, z), scale)


def made(x: Any, y: Any) -> Any:
    """x + y * 1j, each part as it is: products with 1j would make NaN of infinities."""
    x, y = np.broadcast_arrays(x, y)
    found = np.empty(x.shape, np.result_type(x, y, np.complex64))
    found.real, found.imag = x, y
    return found


SCALAR_FUNCTIONS: dict[str, ScalarFunction] = {
    row.name: row
    for row in (
        ScalarFunction("abs", np.abs, "abs", "abs", inline=True, complex="part"),
        ScalarFunction("minimum", np.minimum, "minimum", "minimum", inline=True),
        ScalarFunction("maximum", np.maximum, "maximum", "maximum", inline=True),
        ScalarFunction("where", np.where, written="y if x else z", inline=True),
        ScalarFunction("isnan", np.isnan, written="x != x", written_int="False", inline=True),
        ScalarFunction("isinf", np.isinf, written="abs(x) == 1e999", written_int="False", inline=True, complex="bool"),
        ScalarFunction("half_rounded", lambda x: x.astype("float16").astype(x.dtype), common="halves", inline=True),
        ScalarFunction("half_code", lambda x: x.astype("float16").view("uint16").astype("float32"), common="halves",
                       typed=("float32",), inline=True),
        ScalarFunction("half_value", lambda x: x.astype("uint16").view("float16").astype("float32"), common="halves",
                       typed=("float32",), inline=True),
        ScalarFunction("copysign", np.copysign, "math.copysign", inline=True),
        # division, remainder, power
        ScalarFunction("floordiv", np.floor_divide, "floor_div_float", "floor_div_int", "floor_div_uint",
                       grid="cuda.scalar", operator=ast.FloorDiv()),
        ScalarFunction("mod", np.mod, "mod_float", "mod_int", "mod_uint", grid="cuda.scalar", operator=ast.Mod()),
        ScalarFunction("power", np.power, "math.pow", "power_int", "power_uint", vector="vectorpow", complex="same",
                       operator=ast.Pow()),
        ScalarFunction("hypot", np.hypot, "math.hypot", vector="vectorpow"),
        ScalarFunction("gcd", np.gcd, integer="gcd_int", unsigned="gcd_uint"),
        # rounding
        ScalarFunction("floor", np.floor, "np.floor", grid="cuda.scalar", inline=True),
        ScalarFunction("ceil", np.ceil, "np.ceil", grid="cuda.scalar", inline=True),
        ScalarFunction("trunc", np.trunc, "np.trunc", grid="cuda.scalar", inline=True),
        ScalarFunction("rint", np.rint, "np.rint", grid="cuda.scalar", inline=True),
        # complex numbers; of two floats `made` is defined for complex numbers whose parts they are
        ScalarFunction("real", np.real, written="x", complex="part"),
        ScalarFunction("imag", np.imag, written="0.0", complex="part"),
        ScalarFunction("conj", np.conj, written="x", complex="same"),
        ScalarFunction("angle", np.angle, written="atan2(0.0, x)", complex="part"),
        ScalarFunction("unit", np.sign, written="where(x > 0.0, 1.0, where(x < 0.0, -1.0, x))", complex="same"),
        ScalarFunction("quotient", np.true_divide, complex="same"),
        ScalarFunction("made", made),
        # roots, exponentials, logarithms
        ScalarFunction("sqrt", np.sqrt, "math.sqrt", inline=True, complex="same"),
        ScalarFunction("exp", np.exp, "math.exp", vector="vectormath", complex="same"),
        ScalarFunction("exp2", np.exp2, "np.exp2", vector="vectormath", grid="math", complex="same"),
        ScalarFunction("expm1", np.expm1, "math.expm1", vector="vectormath", complex="same"),
        ScalarFunction("log", np.log, "math.log", vector="vectormath", complex="same"),
        ScalarFunction("log2", np.log2, "np.log2", vector="vectormath", grid="math", wide=True, complex="same"),
        ScalarFunction("log10", np.log10, "math.log10", vector="vectormath", complex="same"),
        ScalarFunction("log1p", np.log1p, "math.log1p", vector="vectormath", complex="same"),
        # trigonometry
        ScalarFunction("sin", np.sin, "math.sin", vector="vectortrig", complex="same"),
        ScalarFunction("cos", np.cos, "math.cos", vector="vectortrig", complex="same"),
        ScalarFunction("tan", np.tan, "math.tan", vector="vectortrig", complex="same"),
        ScalarFunction("asin", np.arcsin, "math.asin", vector="vectorarcs", complex="same"),
        ScalarFunction("acos", np.arccos, "math.acos", vector="vectorarcs", complex="same"),
        ScalarFunction("atan", np.arctan, "math.atan", vector="vectorarcs", complex="same"),
        ScalarFunction("atan2", np.arctan2, "math.atan2", vector="vectorarcs"),
        ScalarFunction("sinh", np.sinh, "math.sinh", vector="vectorhyper", complex="same"),
        ScalarFunction("cosh", np.cosh, "math.cosh", vector="vectorhyper", complex="same"),
        ScalarFunction("tanh", np.tanh, "math.tanh", vector="vectorhyper", complex="same"),
        ScalarFunction("asinh", np.arcsinh, "math.asinh", vector="vectorhyper", complex="same"),
        ScalarFunction("acosh", np.arccosh, "math.acosh", vector="vectorhyper", complex="same"),
        ScalarFunction("atanh", np.arctanh, "math.atanh", vector="vectorhyper", complex="same"),
        # others
        ScalarFunction("erf", each(math.erf), "math.erf", vector="vectorerf"),
        ScalarFunction("erfc", each(math.erfc), "math.erfc", vector="vectorerf"),
        ScalarFunction("lgamma", each(_log_gamma), "math.lgamma"),
        ScalarFunction("erfinv", by_scipy("erfinv"), common="draws", typed=("float64",), wide=True, inline=True),
        ScalarFunction("erfcinv", by_scipy("erfcinv"), common="draws", typed=("float64",), wide=True, inline=True),
        ScalarFunction("hurwitz", hurwitz, common="incomplete", typed=("float64",), wide=True),
        ScalarFunction("gammainc_slope", gammainc_slope, common="incomplete", typed=("float64",), wide=True),
        ScalarFunction("betainc_slope", betainc_slope, common="incomplete", typed=("float64",), wide=True),
        ScalarFunction("hyp2f1_slope", hyp2f1_slope, common="hypergeometric", typed=("float64",), wide=True),
        *(_scipy(name, grid="incomplete") for name in ("gammainc", "gammaincc", "betainc", "betaln", "beta")),
        _scipy("tgamma", "gamma", grid="math.gamma"),
        *(_scipy(name, grid="cuda.bessel") for name in ("j0", "j1")),
        *(_scipy(name, grid="bessel") for name in ("i0", "i1", "i0e", "i1e", "k0", "k1", "kv", "kve")),
        *map(_scipy, ("iv", "ive", "jv", "owens_t", "hyp2f1", "poch")),
        *map(_scipy, ("gammaincinv", "gammainccinv", "betaincinv", "ndtri_exp")),
        # random numbers: functions of a key, a position and an index, see `kernels.draws`
        ScalarFunction("uniform", randoms.uniform, common="draws", inline=True),
        ScalarFunction("standard_normal", randoms.normal, common="draws", inline=True),
        ScalarFunction("exponential", randoms.exponential, common="draws", inline=True),
        ScalarFunction("bits", randoms.bits, common="draws", typed=("int64",), inline=True),
        ScalarFunction("integer", randoms.integer, common="draws", typed=("int64",), inline=True),
        ScalarFunction("quantile", by_scipy("ndtri"), common="draws", typed=("float64",), wide=True, inline=True),
        ScalarFunction("gamma", randoms.gamma, common="rejection", typed=("float64",)),
        ScalarFunction("poisson", randoms.poisson, common="rejection", typed=("float64",)),
        ScalarFunction("binomial", randoms.binomial, common="rejection", typed=("float64",)),
        # a user's function, which has a name of its own
        ScalarFunction("users", lambda *x: NotImplemented),
    )
}  # fmt: skip


def _in_files(field: str, typed: tuple[str, ...] = FLOATS) -> dict[tuple[str, str], str]:
    return {
        (row.name, dtype): _in_file(file, row.name, dtype)
        for row in SCALAR_FUNCTIONS.values()
        if (file := getattr(row, field))
        for dtype in typed
        if dtype in row.typed and (dtype == "float64" or not row.scipy)
    }


def _in_file(file: str, name: str, dtype: str) -> str:
    if file == "math":
        return f"math.{name}"
    return file if file.startswith("math.") else f"{file}.{name}_{SHORT[dtype]}"


# How names of functions end.
SHORT = {"float32": "f32", "float64": "f64", "int64": "i64"}
# Those of complex numbers, for every target.
_OF_COMPLEX = {
    (row.name, dtype): f"complexes.{row.name}_complex"
    for row in SCALAR_FUNCTIONS.values()
    for dtype in COMPLEX
    if row.complex
} | {("made", dtype): "complexes.made_complex" for dtype in FLOATS}
# (scalar function, dtype) -> the function of `kernels`: versions for SIMD loops, those that every target has, and with
# these all that a processor and a device call.
VECTOR, COMMON = _in_files("vector"), _in_files("common", (*FLOATS, "int64"))
# what SciPy has
_SCIPY = {(row.name, "float64"): f"special.scipy_{row.name}_f64" for row in SCALAR_FUNCTIONS.values() if row.scipy}
PROCESSOR = {**VECTOR, **COMMON, **_SCIPY, **_OF_COMPLEX}
DEVICE = {**_in_files("grid"), **COMMON, **_OF_COMPLEX}

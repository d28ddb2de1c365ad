"""The SIMD functions of kernels/vectormath.py: accuracy, special values, and that loops over them are vectorised."""

from __future__ import annotations

import itertools
import math
import platform
import re

import numba
import numpy as np
import pytest
from scipy import special

from kernels import names, vectormath
from kernels.support import f32, f64
from kernels.vectormath import VECTOR_FUNCTIONS

KEYS = list(VECTOR_FUNCTIONS)
ids = "-".join
EXACT = (
    np.finfo(np.longdouble).nmant > 52
)  # whether longdouble tells float64's errors (not on Windows, nor on macOS/arm64)
INF, NAN = math.inf, math.nan

# scalar function -> [(x, value)], exact and with the sign of zeros
SPECIAL = {
    "exp": [(-INF, 0), (INF, INF), (0.0, 1), (-0.0, 1), (1e5, INF), (-1e5, 0)],
    "expm1": [(-INF, -1), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (1e5, INF), (-1e5, -1), (1e-30, 1e-30)],
    "log": [(-INF, NAN), (INF, INF), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (-1e-40, NAN), (1.0, 0.0)],
    "log1p": [(-INF, NAN), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-2.0, NAN), (1e-30, 1e-30)],
    "tanh": [(-INF, -1), (INF, 1), (0.0, 0.0), (-0.0, -0.0), (100.0, 1), (-100.0, -1), (1e-30, 1e-30)],
    "sigmoid": [(-INF, 0), (INF, 1), (0.0, 0.5), (-0.0, 0.5), (-1e4, 0), (1e4, 1)],
    "softplus": [(-INF, 0), (INF, INF), (-1e4, 0), (1e4, 1e4), (-200000.0, 0)],
    "erf": [(-INF, -1), (INF, 1), (0.0, 0.0), (-0.0, -0.0), (100.0, 1), (-100.0, -1)],
    "sin": [(-INF, NAN), (INF, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-30, 1e-30)],
    "cos": [(-INF, NAN), (INF, NAN), (0.0, 1), (-0.0, 1), (1e-30, 1)],
}


@pytest.fixture(scope="module")
def loops():
    """(scalar function, dtype) -> a compiled loop(address of x, address of out, length), as generated code has it."""
    made = {}
    for key, function in VECTOR_FUNCTIONS.items():
        made[key] = compiled(function, f32 if key[1] == "float32" else f64)
    return made


def compiled(function, pointer):
    @numba.njit("void(int64, int64, int64)", error_model="numpy", _nrt=False)
    def loop(x_address, out_address, n):
        x = pointer(x_address)
        out = pointer(out_address)
        for i in range(n):
            out[i] = function(x[i])

    return loop


def apply(loop, x):
    x = np.ascontiguousarray(x)
    out = np.empty_like(x)
    loop(x.ctypes.data, out.ctypes.data, x.size)
    return out


def arguments(dtype):
    """Arguments in all binades, and more where the functions bend."""
    rng = np.random.default_rng(7)
    if dtype == "float32":
        every = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
        scales = (1, 20, 100)
    else:
        every = rng.integers(0, 2**64, 200_000, dtype=np.uint64).view(np.float64)
        scales = (1, 20, 700)
    near = [rng.uniform(-s, s, 50_000) for s in scales] + [1 + rng.normal(size=50_000) / 10]
    subnormal = rng.uniform(-2, 2, 5_000) * float(np.finfo(dtype).smallest_normal)
    x = np.concatenate([every.astype(dtype), *(v.astype(dtype) for v in [*near, subnormal])])
    return np.ascontiguousarray(x[np.isfinite(x)])


def reference(name, x):
    """The function in the next wider format."""
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    if name == "sigmoid":
        e = np.exp(-abs(wide))
        return np.where(wide >= 0, 1, e) / (1 + e)
    if name == "softplus":
        return np.maximum(wide, 0) + np.log1p(np.exp(-abs(wide)))
    return special.erf(wide) if name == "erf" else getattr(np, name)(wide)


def test_names_list_the_functions():
    assert {key: f.__name__ for key, f in VECTOR_FUNCTIONS.items()} == names.VECTOR


@pytest.mark.parametrize("key", KEYS, ids=ids)
@np.errstate(all="ignore")
def test_error_is_at_most_what_the_docstring_says(key, loops):
    name, dtype = key
    if dtype == "float64" and not EXACT:
        pytest.skip("longdouble is no wider than float64 here")
    claimed = float(re.search(r"Error at most ([\d.]+) ulp", VECTOR_FUNCTIONS[key].__doc__)[1])
    assert claimed <= 4
    x = arguments(dtype)
    got, wide = apply(loops[key], x), reference(name, x)
    rounded = wide.astype(dtype)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(rounded))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(rounded))
    finite = np.isfinite(rounded)
    error = abs(got[finite] - wide[finite]) / np.spacing(abs(rounded[finite]))
    worst = error.argmax()
    assert error[worst] <= claimed, (
        f"{name}({x[finite][worst]!r}) = {got[finite][worst]!r}, not {wide[finite][worst]!r}"
    )


@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_special_values_are_exact(key, loops):
    name, dtype = key
    cases = SPECIAL[name]
    x = np.array([*(x for x, _ in cases), NAN], dtype)
    wanted = np.array([*(value for _, value in cases), NAN], dtype)
    for got in (apply(loops[key], x), in_python(key, x)):
        np.testing.assert_array_equal(got, wanted)
        defined = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(got[defined]), np.signbit(wanted[defined]))


@np.errstate(all="ignore")
def in_python(key, x):
    return np.array([VECTOR_FUNCTIONS[key](v) for v in x], x.dtype)


@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_python_gives_the_same_to_rounding(key, loops):
    """Compiled code may fuse multiply-adds, so the last digits may differ."""
    x = arguments(key[1])[::1009]
    eps = float(np.finfo(key[1]).eps)
    tiny = float(np.finfo(key[1]).smallest_subnormal)
    np.testing.assert_allclose(in_python(key, x), apply(loops[key], x), rtol=6 * eps, atol=4 * tiny)


@pytest.mark.parametrize("key", KEYS, ids=ids)
@np.errstate(all="ignore")
def test_result_does_not_depend_on_the_place_in_a_vector(key, loops):
    """Full vectors and the scalar rest of a loop agree bit by bit."""
    x = arguments(key[1])[::97][:259]
    whole = apply(loops[key], x)
    single = np.concatenate([apply(loops[key], x[i : i + 1].copy()) for i in range(x.size)])
    np.testing.assert_array_equal(whole, single)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_subnormal_results_are_not_flushed(dtype, loops):
    x = np.array([-87.5, -95.0, -103.0] if dtype == "float32" else [-709.0, -720.0, -744.0], dtype)
    for name in ("exp", "sigmoid", "softplus"):
        got = apply(loops[name, dtype], x)
        assert (got > 0).all() and (got < np.finfo(dtype).smallest_normal).all()


@pytest.mark.parametrize("name", ["exp", "sigmoid", "softplus"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_monotone_to_rounding(name, dtype, loops):
    top = 80 if dtype == "float32" else 700
    x = np.linspace(-top, top, 20_001).astype(dtype)
    assert (np.diff(apply(loops[name, dtype], x)) >= 0).all()


def body(loop):
    """The assembly of the loop itself, without the wrappers for Python."""
    text = loop.inspect_asm(loop.signatures[0])
    first = re.search(r"^(_ZN\S*loop\S*):$", text, re.MULTILINE)
    return text[first.end() : text.index(".Lfunc_end0", first.end())]


@pytest.mark.skipif(platform.system() != "Linux", reason="reads ELF assembly")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="knows the registers of x86-64 and AArch64")
@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_loop_is_vectorised_and_calls_nothing(key, loops):
    text = body(loops[key])
    x86 = platform.machine() == "x86_64"
    called = re.findall(r"\s(?:call\w*|bl)\s+(.*)", text)
    letter, lanes = ("s", "4s") if key[1] == "float32" else ("d", "2d")
    packed = rf"\sv?(?:mul|fn?m(?:add|sub)\w*)p{letter}\s" if x86 else rf"\sf(?:mul|ml[as])\s+v\d+\.{lanes}"
    assert not called
    assert len(re.findall(packed, text)) >= 5


def test_loop_of_several_functions_is_one_vector_loop():
    """What fusion makes: functions of functions, inlined together."""
    sigmoid, tanh, log = vectormath.sigmoid_f32, vectormath.tanh_f32, vectormath.log_f32

    @vectormath.scalar
    def mixed(x):
        return log(x * x) * tanh(x) + sigmoid(x)

    loop = compiled(mixed, f32)
    assert not re.findall(r"\s(?:call\w*|bl)\s", body(loop))
    x = np.linspace(-10, 10, 1000).astype(np.float32)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(
        apply(loop, x), np.log(wide**2) * np.tanh(wide) + 1 / (1 + np.exp(-wide)), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("key", [("sin", "float32"), ("cos", "float32")], ids=ids)
def test_arguments_next_to_multiples_of_a_quarter_turn(key, loops):
    """No bit of a huge argument is lost: what is left of 16367173 * 2**72 after whole quarter turns is 1.6e-9."""
    x = np.array([16367173 * 2.0**72, 2.0**127, 3.4e38, 1e10, 3 * math.pi, 710 * math.pi, 1e6 * math.pi], np.float32)
    wanted = getattr(np, key[0])(x.astype(np.float64))
    assert abs(wanted).min() < 3e-9 or key[0] == "sin"
    np.testing.assert_allclose(apply(loops[key], x), wanted, rtol=2.5e-7)
    np.testing.assert_allclose(in_python(key, x), wanted, rtol=2.5e-7)


@pytest.mark.parametrize(("x", "table"), list(itertools.product((0.3, -2.0), ((1.0,), (1.0, 2.0), (0.5, -1.0, 4.0)))))
def test_polynomial(x, table):
    @numba.njit
    def value(x):
        return vectormath.polynomial(x, table)

    assert value(x) == pytest.approx(np.polyval(table[::-1], x))
    assert vectormath.polynomial(x, table) == pytest.approx(np.polyval(table[::-1], x))


def test_mixed_dtypes_are_refused():
    """A float64 literal must not slip into float32 arithmetic unseen."""

    @numba.njit
    def mixed(x):
        return vectormath.multiply_add(x, 0.5, x)

    with pytest.raises(numba.TypingError):
        mixed(np.float32(1))

"""The SIMD functions of kernels/: accuracy, special values, and that loops over them are vectorised.

`tests/ulp.py` measures on far more arguments: all of them, for float32 functions of one argument.
"""

from __future__ import annotations

import itertools
import math
import platform
import re
from pathlib import Path

import numba
import numpy as np
import pytest
from numgraph.kernels import angles, simd, vectorhyper, vectormath

import numgraph as ng
from numgraph.processor import processor
from numgraph.scalars import VECTOR
from tests import ulp
from tests.ulp import apply
from tests.waits import python

ROOT = Path(__file__).parents[2]
KEYS = list(VECTOR)
UNARY = [key for key in KEYS if ulp.arity(key[0]) == 1]
BINARY = [key for key in KEYS if ulp.arity(key[0]) == 2]
FUNCTIONS = {key: ulp.function_of(key) for key in KEYS}
ids = "-".join
INF, NAN = math.inf, math.nan

# scalar function -> [(x, value)], exact and with the sign of zeros
SPECIAL = {
    "exp": [(-INF, 0), (INF, INF), (0.0, 1), (-0.0, 1), (1e5, INF), (-1e5, 0)],
    "expm1": [(-INF, -1), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (1e5, INF), (-1e5, -1), (1e-30, 1e-30)],
    "log": [(-INF, NAN), (INF, INF), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (-1e-40, NAN), (1.0, 0.0)],
    "log1p": [(-INF, NAN), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-2.0, NAN), (1e-30, 1e-30)],
    "tanh": [(-INF, -1), (INF, 1), (0.0, 0.0), (-0.0, -0.0), (100.0, 1), (-100.0, -1), (1e-30, 1e-30)],
    "erf": [(-INF, -1), (INF, 1), (0.0, 0.0), (-0.0, -0.0), (100.0, 1), (-100.0, -1)],
    "sin": [(-INF, NAN), (INF, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-30, 1e-30)],
    "cos": [(-INF, NAN), (INF, NAN), (0.0, 1), (-0.0, 1), (1e-30, 1)],
    "tan": [(-INF, NAN), (INF, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-30, 1e-30)],
    "exp2": [(-INF, 0), (INF, INF), (0.0, 1), (-0.0, 1), (10.0, 1024), (-3.0, 0.125), (-149.0, 2.0**-149), (1e5, INF)],
    "log2": [
        (-INF, NAN),
        (INF, INF),
        (0.0, -INF),
        (-0.0, -INF),
        (-1.0, NAN),
        (1.0, 0.0),
        (1024.0, 10),
        (2.0**-149, -149),
    ],
    "log10": [(-INF, NAN), (INF, INF), (0.0, -INF), (-0.0, -INF), (-1.0, NAN), (1.0, 0.0), (1e5, 5), (100.0, 2)],
    "sinh": [(-INF, -INF), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (1e5, INF), (1e-30, 1e-30)],
    "cosh": [(-INF, INF), (INF, INF), (0.0, 1), (-0.0, 1), (1e5, INF), (-1e-30, 1)],
    "asinh": [(-INF, -INF), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (1e-30, 1e-30)],
    "acosh": [(-INF, NAN), (INF, INF), (0.0, NAN), (-1.0, NAN), (-3.0, NAN), (1.0, 0.0)],
    "atanh": [(-INF, NAN), (INF, NAN), (0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (1.5, NAN), (-3.0, NAN)],
    "asin": [(-INF, NAN), (INF, NAN), (0.0, 0.0), (-0.0, -0.0), (1.0, math.pi / 2), (-1.5, NAN), (1e-30, 1e-30)],
    "acos": [(-INF, NAN), (INF, NAN), (0.0, math.pi / 2), (1.0, 0.0), (-1.0, math.pi), (1.5, NAN)],
    "atan": [(-INF, -math.pi / 2), (INF, math.pi / 2), (0.0, 0.0), (-0.0, -0.0), (1e-30, 1e-30), (1.0, math.pi / 4)],
    "erfc": [(-INF, 2), (INF, 0), (0.0, 1), (-0.0, 1), (100.0, 0), (-100.0, 2)],
}


@pytest.fixture(scope="module")
def loops():
    """(scalar function, dtype) -> a compiled loop over pointers, as generated code has it."""
    return {key: ulp.compiled(FUNCTIONS[key], key[1], ulp.arity(key[0])) for key in KEYS}


def arguments(key, count=200_000):
    name, dtype = key
    if ulp.arity(name) == 2:
        return ulp.pairs(name, dtype, count, seed=7)
    return (ulp.scattered(dtype, count, seed=7),)


@np.errstate(all="ignore")
def in_python(key, *given):
    return np.array([FUNCTIONS[key](*values) for values in zip(*given, strict=True)], given[0].dtype)


def test_names_list_the_functions():
    for (name, dtype), function in FUNCTIONS.items():
        assert function.__name__ == f"{name}_{dtype[0]}{dtype[-2:]}"


@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_error_is_at_most_what_the_docstring_says(key, loops):
    name, dtype = key
    if dtype == "float64" and not ulp.EXACT:
        pytest.skip("longdouble is no wider than float64 here")
    claimed = ulp.claimed(FUNCTIONS[key])
    assert claimed <= 4
    error, where = ulp.worst(name, dtype, iter([arguments(key)]), loops[key])
    assert error <= claimed, f"{name}{where} is off by {error} ulp"


def test_the_measure_finds_an_error():
    """What an ulp is, and that a wrong value, a missing infinity and a wrong sign of one are seen."""
    wide = np.array([1.0, 1.0, 2.0**-149, np.inf, np.inf, np.nan, 4e38, 3.0])
    got = np.array([1 + 2.0**-22, 1 - 2.0**-23, 0.0, 1.0, -np.inf, 1.0, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(ulp.errors(got, wide), [2, 1, 1, np.inf, np.inf, np.inf, 0, np.inf])


@pytest.mark.parametrize("key", UNARY, ids=ids)
def test_special_values_are_exact(key, loops):
    name, dtype = key
    cases = SPECIAL[name]
    x = np.array([*(x for x, _ in cases), NAN], dtype)
    wanted = np.array([*(value for _, value in cases), NAN], dtype)
    for got in (apply(loops[key], x), in_python(key, x)):
        np.testing.assert_array_equal(got, wanted)
        defined = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(got[defined]), np.signbit(wanted[defined]))


@pytest.mark.parametrize("key", BINARY, ids=ids)
@np.errstate(all="ignore")
def test_special_pairs_are_as_in_numpy(key, loops):
    """Zeros, infinities, NaN, odd, even and broken exponents, of both signs and in every combination."""
    name, dtype = key
    info = np.finfo(dtype)
    odd = 2.0 ** (info.nmant + 1) - 1  # the largest odd number, and behind it an even one
    positive = [0.0, INF, NAN, 1.0, 2.0, 3.0, 0.5, 1.5, odd, odd + 1, info.smallest_subnormal, info.smallest_normal]
    values = np.array([sign * v for v in [*positive, info.max, 1 - info.eps, 1 + info.eps] for sign in (1, -1)], dtype)
    x, y = (np.ascontiguousarray(v.ravel()) for v in np.meshgrid(values, values))
    wanted = ulp.reference(name, x, y).astype(dtype)
    for got in (apply(loops[key], x, y), in_python(key, x, y)):
        np.testing.assert_allclose(got, wanted, rtol=4 * float(info.eps), atol=float(info.smallest_subnormal))
        exact = np.isinf(wanted) | (wanted == 0)
        np.testing.assert_array_equal(got[exact], wanted[exact])
        defined = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(got[defined]), np.signbit(wanted[defined]))


@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_python_gives_the_same_to_rounding(key, loops):
    """Compiled code may fuse multiply-adds, so the last digits may differ."""
    given = [np.ascontiguousarray(x[::1009]) for x in arguments(key)]
    info = np.finfo(key[1])
    np.testing.assert_allclose(
        in_python(key, *given),
        apply(loops[key], *given),
        rtol=8 * float(info.eps),
        atol=4 * float(info.smallest_subnormal),
    )


@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_result_does_not_depend_on_the_place_in_a_vector(key, loops):
    """Full vectors and the scalar rest of a loop agree bit by bit."""
    given = [x[::97][:259].copy() for x in arguments(key)]
    whole = apply(loops[key], *given)
    single = np.concatenate([apply(loops[key], *(x[i : i + 1] for x in given)) for i in range(whole.size)])
    np.testing.assert_array_equal(whole, single)


# what x has to be lowered by so that erfc of sqrt(-x) is about exp(x)
LOWERED = {"float32": 0.1, "float64": 0.08}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_subnormal_results_are_not_flushed(dtype, loops):
    x = np.array([-87.5, -95.0, -103.0] if dtype == "float32" else [-709.0, -720.0, -744.0], dtype)
    two = np.full(3, 2.0, dtype)
    found = [apply(loops["exp", dtype], x), apply(loops["exp2", dtype], (x * 1.4426).astype(dtype))]
    found.append(apply(loops["power", dtype], two, (x * 1.4426).astype(dtype)))
    found.append(apply(loops["erfc", dtype], np.sqrt(-x) - np.asarray(LOWERED[dtype], dtype)))
    for got in found:
        assert (got > 0).all() and (got[1:] < np.finfo(dtype).smallest_normal).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_monotone_to_rounding(dtype, loops):
    top = 80 if dtype == "float32" else 700
    x = np.linspace(-top, top, 20_001).astype(dtype)
    assert (np.diff(apply(loops["exp", dtype], x)) >= 0).all()


def body(loop):
    """The assembly of the loop itself, without the wrappers for Python."""
    text = loop.inspect_asm(loop.signatures[0])
    first = re.search(r"^(_ZN\S*loop\S*):$", text, re.MULTILINE)
    return text[first.end() : text.index(".Lfunc_end0", first.end())]


def calls(text):
    """The targets of the calls in assembly; for a call of the address in a register, what was put there."""
    found = []
    for target in re.findall(r"\s(?:call\w*|blr?)\s+(.*)", text):
        register = re.fullmatch(r"\*(%\w+)", target)
        names = re.findall(rf"\smov\w*\s+\$?([A-Za-z_]\S*),\s*{register[1]}\b", text) if register else []
        found += names or [target]
    return found


@pytest.mark.skipif(platform.system() != "Linux", reason="reads ELF assembly")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="knows the registers of x86-64 and AArch64")
@pytest.mark.parametrize("key", KEYS, ids=ids)
def test_loop_is_vectorised_and_calls_nothing(key, loops):
    """But for the slow path of angles, which is called once per vector."""
    name, dtype = key
    if key == ("hypot", "float64") and platform.machine() == "x86_64" and "avx" not in processor().has:
        pytest.skip("two lanes are not worth it, LLVM finds")
    text = body(loops[key])
    x86 = platform.machine() == "x86_64"
    # these compute in float64, whatever they are given
    double = dtype == "float64" or key in {("power", "float32"), ("hypot", "float32")}
    letter, lanes = ("d", "2d") if double else ("s", "4s")
    packed = rf"\sv?(?:mul|fn?m(?:add|sub)\w*)p{letter}\s" if x86 else rf"\sf(?:mul|ml[as])\s+v\d+\.{lanes}"
    if name in ("sin", "cos", "tan"):
        far = {"sin": "far_sine", "cos": "far_cosine", "tan": "far_tangent"}[name]
        assert f"numgraph_{far}_{'f32' if dtype == 'float32' else 'f64'}_x" in text
    else:
        # llvmlite 0.45 calls the root of a negative number, for errno, in the rounds that are left over
        assert not [target for target in calls(text) if not re.search(r"\bsqrtf?\b", target)]
    assert len(re.findall(packed, text)) >= (2 if name == "hypot" else 5)


def test_loop_of_several_functions_is_one_vector_loop():
    """What fusion makes: functions of functions, inlined together."""
    exp, tanh, log = vectormath.exp_f32, vectorhyper.tanh_f32, vectormath.log_f32

    @simd.scalar
    def mixed(x):
        return log(x * x) * tanh(x) + exp(-abs(x))

    loop = ulp.compiled(mixed, "float32")
    assert not calls(body(loop))
    x = np.linspace(-10, 10, 1000).astype(np.float32)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(
        apply(loop, x), np.log(wide**2) * np.tanh(wide) + np.exp(-abs(wide)), rtol=1e-6, atol=1e-6
    )


# one function that numgraph compiles -> what its loop has to contain: the lanes of any width, and no call of libm
GENERATED = {
    "power": (lambda x, y: x**y, r"<\d+ x double>"),
    "erf": (lambda x, y: ng.erf(x) * ng.exp2(y), r"<\d+ x double>"),
    "sin": (lambda x, y: ng.sin(x) + ng.cos(x) * y, r"call <\d+ x double> @numgraph_far_sine_f64_x\d+"),
}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_loops_are_vectorised(name, monkeypatch, tmp_path):
    monkeypatch.setattr(ng.config, "cache_dir", tmp_path)
    x, y = ng.vector("x", "float64"), ng.vector("y", "float64")
    build, pattern = GENERATED[name]
    text = ng.function([x, y], build(x, y)).record.stages["llvm"]
    assert re.search(pattern, text)
    called = set(re.findall(r"call [^@\n]*@(\w+)\(", text))
    assert not called & {"pow", "erf", "exp2"}


# ------------------------------------------------------------------------------------------------------------- angles


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_float32_arguments_next_to_multiples_of_a_quarter_turn(name, loops):
    """No bit of a huge argument is lost: what is left of 16367173 * 2**72 after whole quarter turns is 1.6e-9."""
    x = np.array([16367173 * 2.0**72, 2.0**127, 3.4e38, 1e10, 3 * math.pi, 710 * math.pi, 1e6 * math.pi], np.float32)
    wanted = getattr(np, name)(x.astype(np.float64))
    assert name != "cos" or abs(wanted).min() < 3e-9
    np.testing.assert_allclose(apply(loops[name, "float32"], x), wanted, rtol=4e-7)
    np.testing.assert_allclose(in_python((name, "float32"), x), wanted, rtol=4e-7)


@pytest.mark.skipif(not ulp.EXACT, reason="longdouble is no wider than float64 here")
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_float64_arguments_next_to_multiples_of_a_quarter_turn(name, loops):
    """The number next to each of the multiples that are reduced in vectors."""
    half_pi = np.arctan(np.longdouble(1)) * 2
    near = (np.arange(1, 700_000) * half_pi).astype(np.float64)
    x = np.concatenate([near, -near[:1000]])
    error = ulp.errors(apply(loops[name, "float64"], x), ulp.reference(name, x))
    assert error.max() <= ulp.claimed(FUNCTIONS[name, "float64"])


# Values of 1,000 bits. The first comes closest of all to a multiple of a quarter turn (J.-M. Muller, Elementary
# Functions), and the C library may be wrong by many units there.
HUGE = [6381956970095103.0 * 2.0**797, 2.0**1023, 1e22, 1e300, 2.0**20 + 0.5]
HUGE_VALUES = {
    "sin": [1.0, 0.563127779850884, -0.8522008497671888, -0.8178819121159085, 0.7425208640927718],
    "cos": [-4.687165924254628e-19, -0.826369834614148, 0.523214785395139, -0.5753861119575491, 0.669822936593637],
    "tan": [-2.133485385753704e18, -0.6814476476066215, -1.6287782256068988, 1.4214488238747245, 1.1085330518373078],
}


@pytest.mark.parametrize("name", HUGE_VALUES)
def test_huge_float64_angles(name, loops):
    x, wanted = np.array(HUGE), np.array(HUGE_VALUES[name])
    mirrored = wanted if name == "cos" else -wanted
    for got, negative in (
        (apply(loops[name, "float64"], x), apply(loops[name, "float64"], -x)),
        (in_python((name, "float64"), x), in_python((name, "float64"), -x)),
    ):
        np.testing.assert_array_max_ulp(got, wanted, 3)
        np.testing.assert_array_max_ulp(negative, mirrored, 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_huge_argument_among_ordinary_ones(dtype, loops):
    """The slow path is taken by the lane that needs it; the others keep their values bit by bit."""
    x = np.linspace(-3, 3, 67).astype(dtype)
    plain = apply(loops["sin", dtype], x)
    for place in range(x.size):
        changed = x.copy()
        changed[place] = 1e30 if dtype == "float32" else 1e300
        got = apply(loops["sin", dtype], changed)
        assert got[place] == pytest.approx(math.sin(float(changed[place])), rel=1e-6)
        np.testing.assert_array_equal(np.delete(got, place), np.delete(plain, place))


@pytest.mark.parametrize(("x", "table"), list(itertools.product((0.3, -2.0), ((1.0,), (1.0, 2.0), (0.5, -1.0, 4.0)))))
def test_polynomial(x, table):
    @numba.njit
    def value(x):
        return simd.polynomial(x, table)

    assert value(x) == pytest.approx(np.polyval(table[::-1], x))
    assert simd.polynomial(x, table) == pytest.approx(np.polyval(table[::-1], x))


@pytest.mark.parametrize("wrong", [(1.0, np.float32(1)), (1, 1)])
def test_the_slow_path_takes_floats_of_one_dtype(wrong):
    from numgraph.kernels.slowpath import beyond

    @numba.njit
    def call(x, y):
        return beyond(angles.far_sine, x, y)

    with pytest.raises(numba.TypingError):
        call(*wrong)


def test_mixed_dtypes_are_refused():
    """A float64 literal must not slip into float32 arithmetic unseen."""

    @numba.njit
    def mixed(x):
        return simd.multiply_add(x, 0.5, x)

    with pytest.raises(numba.TypingError):
        mixed(np.float32(1))


def test_errors_are_measured_from_the_command_line():
    command = [str(ROOT / "tests" / "ulp.py"), "hypot", "--dtype", "float32", "--step", "64"]
    out = python(*command, cwd=ROOT, check=True).stdout
    assert re.fullmatch(r"hypot +float32 +0\.\d+ at hypot\(.*\), claimed [\d.]+\n", out)

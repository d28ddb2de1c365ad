"""float16: storage of 16 bits, operations in float32 that are rounded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph import processor
from numgraph.types import DTYPES, promote
from tests.waits import python

TARGETS = ("reference", "cpu", "cuda-sim")
HALF = np.float16
RNG = np.random.default_rng(5)
A, B, S = (RNG.normal(size=(4, 7)) * 3).astype(HALF), RNG.normal(size=7).astype(HALF), HALF(1.1)
# all of them but those that are not numbers
CODES = np.arange(65536).astype(np.uint16).view(HALF)
NUMBERS = CODES[~np.isnan(CODES)]


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *x: np.asarray(function(*(v.astype("float32") for v in x))).astype(HALF)


# name -> (a, b, s) -> the expression; and NumPy's, in float16 where that rounds once, too
CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "chain": (lambda a, b, s: (a * b + s) * 2 - b / 3, lambda a, b, s: (a * b + s) * HALF(2) - b / HALF(3)),
    "exp": (lambda a, b, s: ng.exp(b), lambda a, b, s: np.exp(b)),
    "sqrt": (lambda a, b, s: ng.sqrt(abs(b)), lambda a, b, s: np.sqrt(abs(b))),
    "compare": (lambda a, b, s: a < b, lambda a, b, s: a < b),
    "where": (lambda a, b, s: ng.where(b > 0, b, s), lambda a, b, s: np.where(b > 0, b, s)),
    "sort": (lambda a, b, s: ng.sort(a, axis=1), lambda a, b, s: np.sort(a, axis=1)),
    "sum": (lambda a, b, s: ng.sum(a, axis=1), in_float32(lambda a, b, s: a.astype("float64").sum(1))),
    "mean": (lambda a, b, s: ng.mean(b), in_float32(lambda a, b, s: b.astype("float64").mean())),
    "max": (lambda a, b, s: ng.max(a, axis=0), lambda a, b, s: a.max(0)),
    "argmax": (lambda a, b, s: ng.argmax(b), lambda a, b, s: b.argmax()),
    "product": (lambda a, b, s: ng.dot(a, b), in_float32(lambda a, b, s: a @ b)),
    "move": (
        lambda a, b, s: ng.concatenate([a.T[::-1], a[:, ::2].T]),
        lambda a, b, s: np.concatenate([a.T[::-1], a[:, ::2].T]),
    ),
    "mask": (lambda a, b, s: b[b > 0], lambda a, b, s: b[b > 0]),
    "float32": (lambda a, b, s: a.astype("float32") * 3, lambda a, b, s: a.astype("float32") * 3),
    "int32": (lambda a, b, s: a.astype("int32"), lambda a, b, s: a.astype("int32")),
    "overflow": (lambda a, b, s: s * 60000, lambda a, b, s: HALF(np.inf)),
    "tiny": (lambda a, b, s: b * 2.0**-20, lambda a, b, s: b * HALF(2.0**-20)),
    "write": (lambda a, b, s: ng.set_subtensor(b[::2], s), lambda a, b, s: np.where(np.arange(7) % 2, b, s)),
    "inverse": (lambda a, b, s: ng.linalg.inv(a[:, :4]), in_float32(lambda a, b, s: np.linalg.inv(a[:, :4]))),
    "leaf": (lambda a, b, s: a, lambda a, b, s: a),
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_values(case: str, target: str) -> None:
    a, b, s = (ng.tensor(n, "float16", (None,) * k) for n, k in (("a", 2), ("b", 1), ("s", 0)))
    build, numpy = CASES[case]
    result = build(a, b, s)
    got = np.asarray(ng.function([a, b, s], result, target=target, on_unused_input="ignore")(A, B, S))
    with np.errstate(all="ignore"):
        wanted = np.asarray(numpy(A, B, S))
    assert got.dtype == wanted.dtype == result.dtype
    if case == "inverse":
        # one unit: LAPACK's order of operations is not NumPy's
        np.testing.assert_allclose(got.astype("float64"), wanted.astype("float64"), rtol=2.0**-10)
    else:
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("target", TARGETS)
def test_every_half(target: str) -> None:
    """Every code is read and written as it is, and NaN stays NaN; each op sees the number that NumPy sees."""
    x = ng.tensor("x", "float16", (None,))
    values = CODES if target != "cuda-sim" else CODES[::37]
    f = ng.function([x], [x, x.astype("float64"), -x, x + x], target=target)
    same, wide, negative, double = map(np.asarray, f(values))
    np.testing.assert_array_equal(wide, values.astype("float64"))
    numbers = ~np.isnan(values)
    for got, wanted in ((same, values), (negative, -values)):
        assert np.isnan(got[~numbers]).all()
        np.testing.assert_array_equal(got.view("uint16")[numbers], wanted.view("uint16")[numbers])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(double, values + values)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding(dtype: str, target: str) -> None:
    """To the nearest, of two the even one, in one step: beside each half, halfway to the next, and beside that."""
    wide = np.sort(NUMBERS[np.isfinite(NUMBERS)].astype(dtype))[:: 1 if target != "cuda-sim" else 97]
    middle = (wide[1:] + wide[:-1]) / 2
    infinity = np.array(np.inf, dtype)
    places = [wide, middle, np.nextafter(middle, infinity), np.nextafter(middle, -infinity), [65519.0, 65520.0, 1e30]]
    values = np.concatenate([v for v in places]).astype(dtype)
    x = ng.vector("x", dtype)
    got = np.asarray(ng.function([x], x.astype("float16"), target=target)(values))
    with np.errstate(all="ignore"):
        wanted = values.astype(HALF)
    np.testing.assert_array_equal(got.view("uint16"), wanted.view("uint16"))


@pytest.mark.parametrize("target", TARGETS)
def test_gradients(target: str) -> None:
    """Differences of the same cost in float64, within what a half tells apart."""
    b = ng.tensor("b", "float16", (None,))
    slope = ng.grad(ng.sum(ng.tanh(b) * b) + ng.max(b), b)
    assert slope.dtype == "float16"
    got = np.asarray(ng.function([b], slope, target=target)(B)).astype("float64")
    wide, step = B.astype("float64"), 1e-6 * np.eye(7)
    cost = lambda x: (np.tanh(x) * x).sum() + x.max()  # noqa: E731
    numeric = [(cost(wide + d) - cost(wide - d)) / 2e-6 for d in step]
    np.testing.assert_allclose(got, numeric, atol=4e-3)


@pytest.mark.parametrize("target", TARGETS)
def test_shared_variables_and_numbers(target: str) -> None:
    w, v = ng.shared(B, "w"), ng.shared(np.ones(7, HALF), "v")
    rate = ng.tensor("rate", "float16", ())
    f = ng.function([rate], w.sum(), updates=[(w, w - rate * v), (v, w)], target=target)
    want_w, want_v = B, np.ones(7, HALF)
    for k, given in enumerate((0.1, HALF(0.2), 3)):
        total = np.asarray(f(given))
        assert total.dtype == HALF and total == want_w.astype("float64").sum().astype(HALF), k
        want_w, want_v = want_w - HALF(given) * want_v, want_w
        np.testing.assert_array_equal(w.get_value(), want_w)
        np.testing.assert_array_equal(v.get_value(), want_v)
    assert w.get_value().dtype == HALF


def test_swaps_keep_every_bit() -> None:
    codes = np.arange(0x7C00, 0x7C08, dtype=np.uint16).view(HALF)
    w, v = ng.shared(codes, "w"), ng.shared(np.zeros(8, HALF), "v")
    ng.function([], [], updates=[(v, w), (w, v)], target="cpu")()
    np.testing.assert_array_equal(v.get_value().view("uint16"), codes.view("uint16"))


@pytest.mark.parametrize("target", TARGETS)
def test_scans_and_sweeps(target: str) -> None:
    b, s = ng.tensor("b", "float16", (None,)), ng.tensor("s", "float16", ())
    states, _ = ng.scan(lambda x, h: h / 3 + x, sequences=b, outputs_info=s)
    assert states.dtype == "float16"
    f = ng.function([b, s], states, target=target)
    wanted, state = [], S
    for x in B:
        state = state / HALF(3) + x
        wanted.append(state)
    np.testing.assert_array_equal(np.asarray(f(B, S)), wanted)
    g = ng.function([s], s / 3, target=target)
    np.testing.assert_array_equal(np.asarray(g.sweep(s=B)), B / HALF(3))


@pytest.mark.parametrize("target", TARGETS)
def test_means_do_not_overflow(target: str) -> None:
    """Neither the sum nor the number of elements is one that float16 has."""
    x = ng.tensor("x", "float16", (None,))
    values = (np.arange(100000) % 7).astype("float16")
    wide = values.astype("float64")
    means: dict[Any, Any] = {
        ng.mean(x): wide.mean(), ng.mean(x, dtype="float16"): wide.mean(), ng.var(x): wide.var(),
        ng.std(x * 100): np.std(wide * 100), ng.nanmean(x): wide.mean(), ng.nanvar(x, ddof=1): wide.var(ddof=1),
        ng.nanstd(x * 100): np.std(wide * 100), ng.average(x, weights=x): np.average(wide, weights=wide),
        ng.cov(x, 2 * x): np.cov(wide, 2 * wide), ng.corrcoef(x, x[::-1]): np.corrcoef(wide, wide[::-1]),
    }  # fmt: skip
    found = ng.function([x], [*means, ng.grad(ng.mean(x), x)], target=target)(values)
    assert {np.asarray(v).dtype.name for v in found} == {"float16"}
    for got, wanted in zip(found, means.values(), strict=False):
        np.testing.assert_allclose(np.asarray(got, "float64"), wanted, rtol=1e-3)
    np.testing.assert_allclose(np.asarray(found[-1], "float64"), 1e-5, rtol=0.01)
    assert ng.mean(x, dtype="float64").eval({x: values}).dtype == "float64"


def test_promotion() -> None:
    """NumPy's table; beside integers of 32 and 64 bits float32, as float32 is beside them."""
    for other in DTYPES:
        found, numpy = promote(["float16", other]), np.promote_types("float16", other).name
        wide = other in ("int32", "int64", "uint32", "uint64")
        assert found == ("float32" if wide else numpy), other
    assert promote(["int8", "uint8", "float16"]) == "float16"
    x = ng.tensor("x", "float16", (None,))
    assert (x * 2).dtype == (x / 3.5).dtype == ng.exp(x).dtype == ng.mean(x).dtype == "float16"
    assert (x * 1j).dtype == ng.fft.rfft(x).dtype == "complex64"


def test_what_is_refused() -> None:
    x = ng.tensor("x", "float16", (None,))
    with pytest.raises(ng.DtypeError, match="functions get and give no float16"):
        ng.elementwise(lambda v: v + 1, x)
    with pytest.raises(ng.DtypeError, match="bits"):
        x & 1
    with pytest.raises(ng.DtypeError, match="may not fit dtype float16"):
        ng.function([x], x + 1)(np.zeros(2, "float32"))


PROGRAM = """
import hashlib, sys, numpy as np, numgraph as ng
ng.config.cpu = sys.argv[1]
values = np.arange(0, 2**32, 4097, dtype=np.uint64).astype(np.uint32).view("float32")
x, y = ng.fvector("x"), ng.tensor("y", "float16", (None,))
f = ng.function([x, y], [x.astype("float16"), x.astype("float64").astype("float16"), y * y + y / 3, ng.sqrt(y)])
with np.errstate(all="ignore"):
    found = f(values, values.astype("float16"))
print(hashlib.sha1(b"".join(np.where(np.isnan(v), np.float16(7), v).tobytes() for v in found)).hexdigest())
"""


def test_all_processors_have_the_same_bits() -> None:
    levels = processor.available()
    printed = [python("-c", PROGRAM, level) for level in levels]
    assert all(done.returncode == 0 for done in printed), printed[0].stderr
    assert len({done.stdout for done in printed}) == 1


def test_messages_say_the_users_dtype() -> None:
    """Compiled code has numbers of float32 and codes of 16 bits, of which no user knows."""
    h, i = ng.tensor("h", "float16", (None,)), ng.lscalar("i")
    value = np.ones(3, "float16")
    for f, arguments in (
        (ng.function([h, i], h[i], target="cpu"), (value, 7)),
        (ng.function([h], h + ng.constant(np.ones(2, "float16")), target="cpu"), (value,)),
        (ng.function([h], (h * 2 + 1) + ng.constant(np.ones(2, "float16")), target="cpu"), (value,)),
    ):
        with pytest.raises(ng.NumgraphError, match=r": float16\[3\]"):
            f(*arguments)

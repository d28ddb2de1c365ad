"""The ends of every integer dtype: all ops that take integers wrap around as NumPy does, compiled and simulated."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.errors import DtypeError, IndexOutOfRange
from numgraph.graph import Variable, apply
from numgraph.op import OPS
from numgraph.types import DISCRETE, FLOATS, INTEGERS

# What runs where: a simulated thread takes microseconds for an element, and Numba seconds for a function.
RUNS = [
    *((dtype, "cpu", "direct") for dtype in INTEGERS),
    *((dtype, "cpu", "standard") for dtype in ("int64", "uint64")),
    *((dtype, "cuda-sim", "direct") for dtype in ("int8", "int32", "int64", "uint64")),
]
POSITIONS = {f"{dtype}-{target}-{passes}": (dtype, target, passes) for dtype, target, passes in RUNS}


def ends(dtype: str, few: bool = False) -> list[int]:
    """Numbers where something happens."""
    limits = np.iinfo(dtype)
    low, high, bits = int(limits.min), int(limits.max), limits.bits
    found = [low, high, 0, 1, 2, low + 1, high - 1, -1, -2, 3, bits - 1, bits, 7, -7, 10, 2 ** (bits // 2), 2**53 + 1]
    return list(dict.fromkeys(n for n in found[: 8 if few else None] if low <= n <= high))


def pairs(dtype: str, few: bool) -> tuple[Any, Any]:
    """Every number with every other, as two vectors."""
    return tuple(np.array(side, dtype) for side in zip(*itertools.product(ends(dtype, few), repeat=2), strict=True))


def elementwise(x: Variable, y: Variable) -> dict[str, Variable]:
    """Every elementwise op of the table that makes integers or truth values of integers."""
    found: dict[str, Variable] = {}
    for op in OPS.values():
        taken = op.scalar and len(op.args) <= 2 and set(op.dtypes) & set(INTEGERS)
        if not taken or op.name in ("cast", "align64", "slice_bound", "grad_clip", "grad_scale", "printed"):
            continue
        try:
            made = apply(op, [x, y][: len(op.args)])
        except DtypeError:
            continue
        if made.dtype in DISCRETE:
            found[op.name] = made
    return found


def composed(x: Variable, y: Variable) -> dict[str, Variable]:
    """Expressions that are folded, or compared, if integers are taken not to overflow."""
    casts = {f"cast to {dtype}": ng.cast(x, dtype) for dtype in (*DISCRETE, *FLOATS)}
    return casts | {
        "x - y < 0": x - y < 0,
        "x + 1 > x": x + 1 > x,
        "x * 2 // 2": x * 2 // 2,
        "x // 2, x % 3": x // 2 + x % 3,
        "x ** 3": x**3,
        "(x + y) - y": x + y - y,
        "maximum(x + 1, 0)": ng.maximum(x + 1, 0),
        "clip(x - y, 0, 2)": ng.clip(x - y, 0, 2),
        "where": ng.where(x > y, x - y, y - x),
        "x << 1 >> 1": (x << 1) >> 1,
    }


def reduced(x: Variable) -> dict[str, Variable]:
    names = "sum prod max min argmax argmin any all cumsum cumprod sort argsort mean diff".split()
    return {name: getattr(ng, name)(x) for name in names} | {
        "dot": ng.dot(x, x),
        "sum of a slice": ng.sum(x[1:] * x[:-1]),
    }


def check(run: str, monkeypatch: pytest.MonkeyPatch, build: Callable[..., dict[str, Variable]], *values: Any) -> None:
    """What is built of vectors, for all values and for the first three: the same as by NumPy."""
    dtype, target, passes = POSITIONS[run]
    monkeypatch.setattr(ng.config, "standard_passes", passes == "standard")
    inputs = [ng.vector(name, dtype) for name in "xy"[: len(values)]]
    outputs = build(*inputs)
    wanted, made = (ng.function(inputs, outputs, target=t, on_unused_input="ignore") for t in ("reference", target))
    for arguments in (values, [v[:3] for v in values], [v[::-1].copy() for v in values]):
        expected, got = wanted(*arguments), made(*arguments)
        for name, value in expected.items():
            found = np.asarray(got[name])
            assert found.dtype == value.dtype, name
            # a mean is a sum of floats, which is taken in another order
            about = 1e-12 * float(np.abs(values[0].astype("float64")).max()) if name == "mean" else 0
            np.testing.assert_allclose(found, value, rtol=0, atol=about, err_msg=f"{name} of {arguments}")


@pytest.mark.parametrize("run", POSITIONS)
def test_every_elementwise_op(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dtype, target, _ = POSITIONS[run]
    check(run, monkeypatch, elementwise, *pairs(dtype, target != "cpu"))


@pytest.mark.parametrize("run", POSITIONS)
def test_composed_expressions(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dtype, target, _ = POSITIONS[run]
    check(run, monkeypatch, composed, *pairs(dtype, target != "cpu"))


@pytest.mark.parametrize("run", [run for run in POSITIONS if "standard" not in run])
def test_reductions(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dtype, target, _ = POSITIONS[run]
    check(run, monkeypatch, reduced, np.array(ends(dtype, target != "cpu") * 3, dtype))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_reference_is_numpy(dtype: str) -> None:
    """But for negative powers, which NumPy refuses."""
    x, y = ng.vector("x", dtype), ng.vector("y", dtype)
    a, b = pairs(dtype, False)
    f = ng.function([x, y], [x + y, x - y, x * y, x // y, x % y, -x, abs(x), x**y], target="reference")
    with np.errstate(all="ignore"):
        whole = np.where(b < 0, 0, b).astype(dtype)
        wanted = [a + b, a - b, a * b, a // b, a % b, -a, np.abs(a), np.where(b < 0, 0, a**whole)]
    *most, power = f(a, b)
    for got, expected in zip(most, wanted[:-1], strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.where(b < 0, 0, power), wanted[-1])


# -- floats ---------------------------------------------------------------------------------------------------------

FLOATING = [
    math * sign
    for math in (0.0, 0.5, 1.0, 16.2, 200.0, 300.0, 4e4, 7e4, 3e9, 5e9, 1e10, 1e15, 9.2e18, 9.3e18, 1.5e19, 3e19, 1e30)
    for sign in (1, -1)
] + [np.nan, np.inf, -np.inf, 2.0**31, -(2.0**31), 2.0**32, 2.0**63, -(2.0**63), 2.0**64]


def whole_part(x: float, dtype: str) -> int:
    """What x86-64's instructions give, in Python's integers."""
    bits = np.iinfo(dtype).bits
    wide = 64 if bits == 64 or dtype == "uint32" else 32
    if dtype == "uint64" and x >= 2.0**63:
        return int(x) if x < 2.0**64 else 0
    fits = -(2.0 ** (wide - 1)) <= x < 2.0 ** (wide - 1)
    return int(np.array((int(x) if fits else -(2 ** (wide - 1))) % 2**bits, f"uint{bits}").astype(dtype))


@pytest.mark.parametrize(
    ("target", "passes"), [("reference", "direct"), ("cpu", "direct"), ("cpu", "standard"), ("cuda-sim", "direct")]
)
@pytest.mark.parametrize("source", FLOATS)
def test_floats_that_do_not_fit(source: str, target: str, passes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In vectors and in what is left over of them."""
    monkeypatch.setattr(ng.config, "standard_passes", passes == "standard")
    x = ng.vector("x", source)
    f = ng.function([x], [ng.cast(x, dtype) for dtype in INTEGERS], target=target)
    values = np.array(FLOATING, source)
    for given in (values, values[:3], np.repeat(values, 3)[1:]):
        for dtype, got in zip(INTEGERS, f(given), strict=True):
            wanted = [whole_part(float(v), dtype) for v in given]
            assert np.asarray(got).tolist() == wanted, dtype


@pytest.mark.parametrize("source", FLOATS)
def test_casts_of_floats_are_numpys(source: str) -> None:
    """Wherever NumPy gives one answer on this machine: it differs within an array for uint32."""
    x = ng.vector("x", source)
    dtypes = [dtype for dtype in INTEGERS if dtype != "uint32"]
    f = ng.function([x], [ng.cast(x, dtype) for dtype in dtypes], target="reference")
    values = np.array(FLOATING, source)
    with np.errstate(all="ignore"):
        if np.array([np.nan]).astype("int64")[0] != -(2**63):
            # another architecture, with numbers of its own for what does not fit
            values = values[np.abs(values) < 100]
        for dtype, got in zip(dtypes, f(values), strict=True):
            np.testing.assert_array_equal(got, values.astype(dtype), dtype)


# -- indices --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["reference", "cpu", "cuda-sim"])
def test_the_largest_unsigned_index_is_no_negative_one(target: str) -> None:
    x, k, s = ng.vector("x"), ng.vector("k", "uint64"), ng.scalar("s", "uint64")
    data, top = np.arange(3.0), np.uint64(2**64 - 1)
    refused = [x[s], x[k], ng.take(x, k), ng.set_subtensor(x[k], 0.0), ng.inc_subtensor(x[s], 1.0)]
    for expression in refused:
        f = ng.function([x, k, s], expression, target=target, on_unused_input="ignore")
        f(data, np.array([2], "uint64"), np.uint64(2))
        with pytest.raises(IndexOutOfRange):
            f(data, np.array([top]), top)
    slices = ng.function([x, s], [x[s:], x[:s]], target=target)
    assert [np.asarray(v).tolist() for v in slices(data, top)] == [[], [0, 1, 2]]


def test_powers_of_literals() -> None:
    x = ng.vector("x", "int64")
    f = ng.function([x], [x**2, x**-1, x**0], target="cpu")
    assert [v.tolist() for v in f([3, 1, -1, 0])] == [[9, 1, 1, 0], [0, 1, -1, 0], [1, 1, 1, 1]]


def test_exported_modules_wrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba alone compiles them."""
    x = ng.vector("x", "int64")
    ng.function([x], [x + 1 > x, x * 2 // 2, x // -1], target="cpu").export(tmp_path / "wrapping_step.py")
    monkeypatch.syspath_prepend(tmp_path)
    high = 2**63 - 1
    got = import_module("wrapping_step").step(np.array([high, -high - 1, 3]))
    assert [v.tolist() for v in got] == [[False, True, True], [-1, 0, 3], [-high, -high - 1, -3]]


def test_integers_of_plans_and_of_bits_wrap() -> None:
    """A cast in the plan is one of compiled code, and what `|` gives is an int64 as any other."""
    n, v = ng.lscalar("n"), ng.lvector("v")
    f = ng.function([n, v], [ng.arange(ng.cast(n, "uint16") % 9), (v | v) / ((v | v) * (v | v) + 1)], target="cuda-sim")
    steps, ratio = (np.asarray(r).tolist() for r in f(-1, np.array([2**63 - 1, 2])))
    assert steps == [0, 1, 2, 3, 4, 5] and ratio == [(2**63 - 1) / 2, 0.4]

"""What becomes of loops: vectors side by side, all lanes beside wider sums, extremes in any order."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numgraph.kernels import loops_ir

import numgraph as ng
from numgraph.runtime import native


def optimised(f: Any, tmp_path: Path) -> str:
    """The LLVM IR of a function after all passes."""
    return str(native.compiled_source(tmp_path / "source.py", f.source).library.get_llvm_str())


def test_long_loops_over_elementary_functions_go_side_by_side() -> None:
    x = ng.fvector("x")
    assert "interleave(4)" in ng.function([x], ng.exp(x)).source
    assert "interleave(2)" in ng.function([x], ng.exp(x) + ng.tanh(x) + ng.log(x) + ng.sin(x) + ng.sqrt(x)).source
    assert "interleave" not in ng.function([x], x * 2 + 1).source
    many = x
    for k in range(14):
        many = ng.sin(many + k)
    assert "interleave" not in ng.function([x], many).source


def chain(x: ng.Variable) -> ng.Variable:
    """Of fourteen functions, each of what the one before gives."""
    for k in range(14):
        x = (ng.sin, ng.exp)[k % 2](x * -0.5 + k)
    return x


def test_long_chains_call_functions(tmp_path: Path) -> None:
    x, d = ng.fvector("x"), ng.dvector("d")
    f = ng.function([x], chain(x))
    assert "call_functions(2)" in f.source
    assert re.search(r"call <\d+ x float> @sin_f32_shared_x", optimised(f, tmp_path))
    for no_chain in (chain(x).sum(), sum(ng.exp(x * k) for k in range(14)), ng.exp(chain(x)) + ng.cast(d, "float32")):
        assert "call_functions(2)" not in ng.function([x, d], no_chain, on_unused_input="ignore").source


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_called_functions_have_numbas_bits(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = ng.vector("x", dtype=dtype)
    # the second argument is the same in all calls
    y = chain(x) + functools.reduce(lambda power, k: ng.power(power * x, 1.25) - k, range(6), abs(x))
    called = ng.function([x], y)
    monkeypatch.setattr(ng.config, "standard_passes", True)
    copied = ng.function([x], y)
    for length in (3, 16, 77):
        data = np.linspace(-3e6, 5, length, dtype=dtype)
        np.testing.assert_array_equal(called(data).view("u1"), copied(data).view("u1"))


def test_short_loops_do_not() -> None:
    for length, hinted in ((10, False), (64, True)):
        x = ng.tensor("x", dtype="float32", shape=(None, length))
        assert ("interleave" in ng.function([x], ng.exp(x).sum(axis=1)).source) == hinted


def lanes(text: str) -> int:
    """The most lanes in which exp is computed."""
    # but for the function that makes LLVM look at that many, see `kernels.variants`
    text = re.sub(r"^define [^\n]*@numgraph_fused_x.*?^}", "", text, flags=re.MULTILINE | re.DOTALL)
    return max(int(n) for n in re.findall(r"call <(\d+) x float> @llvm.fmuladd", text))


@pytest.mark.parametrize("standard", [False, True])
def test_the_hint_reaches_the_vectoriser(standard: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ng.config, "standard_passes", standard)
    x = ng.fvector("x")
    text = optimised(ng.function([x], ng.exp(x)), tmp_path)
    # the loop is in the phase, and where that is inlined
    assert text.count(f"store <{lanes(text)} x float>") >= 4


def test_sums_in_float64_leave_the_lanes_of_float32(tmp_path: Path) -> None:
    x = ng.fvector("x")
    plain, added = (optimised(ng.function([x], v), tmp_path) for v in (ng.exp(x), ng.exp(x).sum()))
    assert lanes(added) == lanes(plain) >= 4
    # what makes LLVM look at so many lanes is never called itself
    assert "@numgraph_fused" in added
    assert not re.search(r"call .*@numgraph_fused", added)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_of_any_length(name: str, dtype: str) -> None:
    """Vectors, what is left over, and NaN and infinities at each place."""
    x = ng.tensor("x", dtype=dtype, shape=(None, None))
    both = ng.function([x], [getattr(ng, name)(x, axis=1), getattr(ng, name)(x, axis=0)])
    rng = np.random.default_rng(0)
    for n in (1, 3, 8, 31, 64, 77, 131):
        data = rng.normal(size=(n + 3, n)).astype(dtype)
        for k in range(n):
            data[k, k] = (np.nan, np.inf, -np.inf)[k % 3]
        for got, axis in zip(both(data), (1, 0), strict=True):
            np.testing.assert_array_equal(got, getattr(np, name)(data, axis=axis))


@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_of_many_rows_are_joined(name: str) -> None:
    """One extreme of rows that threads divide."""
    x = ng.fmatrix("x")
    f = ng.function([x], getattr(ng, name)(x))
    data = np.random.default_rng(1).normal(size=(700, 301)).astype(np.float32)
    assert f(data) == getattr(np, name)(data)
    data[699, 300] = np.nan
    assert np.isnan(f(data))


def test_loops_that_are_not_unrolled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM would make copies of what contains loops, and of the loop that vectors leave over. Of iterations whose
    number is known it may."""
    x, m, three = ng.fvector("x"), ng.fmatrix("m"), ng.tensor("three", dtype="float32", shape=(None, 3))
    hints: set[str] = set()
    monkeypatch.setattr(loops_ir, "note", lambda branch, hint: hints.add(hint))
    for argument, value, wanted in (
        (x, ng.exp(x), {"unroll.runtime.disable"}),
        (m, ng.softmax(m, axis=1), {"unroll.runtime.disable", "unroll.disable"}),
        (three, three.sum(axis=1), {"unroll.disable"}),
    ):
        hints.clear()
        optimised(ng.function([argument], value), tmp_path)
        assert hints == wanted


@pytest.mark.parametrize("target", ["cpu", "cuda-sim"])
def test_an_index_within_an_address_and_beside_it(target: str) -> None:
    """What an address needs of a sum of indices is not all that its other users need."""
    x = ng.tensor("x", dtype="uint8", shape=(None, None, None))
    y = ng.sort(x, axis=0)[0:2:-2, :-1, -100:-2:-1]
    z = ng.sort(x, axis=2)[::-1, 1:, -2::-1]
    f = ng.function([x], [y, z], target=target)
    for shape in ((1, 1, 1), (3, 2, 4), (2, 3, 1)):
        a = np.random.default_rng(0).integers(0, 9, shape).astype("uint8")
        wanted = np.sort(a, 0)[0:2:-2, :-1, -100:-2:-1], np.sort(a, 2)[::-1, 1:, -2::-1]
        for got, want in zip(f(a), wanted, strict=True):
            np.testing.assert_array_equal(np.asarray(got), want)


def test_what_has_the_lengths_that_it_is_stretched_to_is_not_stored() -> None:
    x, y = ng.dmatrix("x"), ng.dmatrix("y")
    full = ng.broadcast_to(ng.exp(ng.sin(x)), (x.shape[0], x.shape[1]))
    f = ng.function([x, y], full.T * y)
    assert f.source.count("def phase_") == 1
    a, b = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(f(a, b), np.exp(np.sin(a)).T * b)
    longer = ng.function([x, y], ng.broadcast_to(ng.exp(ng.sin(x)), (y.shape[0], x.shape[1])))
    np.testing.assert_allclose(longer(a[:1], b), np.broadcast_to(np.exp(np.sin(a[:1])), (3, 3)))
    with pytest.raises(ng.ShapeError, match="cannot be stretched"):
        longer(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_sums_over_first_and_last_axes_go_to_memory_once(dtype: str) -> None:
    """As those of a layer of images for each channel: the innermost loops accumulate in a register."""
    x = ng.tensor("x", dtype=dtype, shape=(None, 3, None, None))
    f = ng.function([x], [ng.sum(x, axis=(0, 2, 3)), ng.max(x, axis=(0, 2, 3)), ng.sum(x, axis=(0, 2))])
    inner = re.findall(r"\n {12,}for \w+ in range\(.*\n((?: {16,}.*\n)+)", f.source)
    stored = [line for loop in inner for line in loop.splitlines() if re.match(r" {20,}p\d+\[", line)]
    # the last sum keeps the innermost axis
    assert len(stored) == 1, f.source
    for shape in ((2, 3, 4, 5), (1, 3, 1, 1), (2, 3, 0, 5), (0, 3, 2, 2), (40, 3, 30, 31)):
        values = np.random.default_rng(0).integers(-9, 9, shape).astype(dtype)
        if not values.size:
            np.testing.assert_array_equal(ng.function([x], ng.sum(x, axis=(0, 2, 3)))(values), np.zeros(3))
            continue
        for got, want in zip(
            f(values), (values.sum((0, 2, 3)), values.max((0, 2, 3)), values.sum((0, 2))), strict=True
        ):
            np.testing.assert_array_equal(got, want)

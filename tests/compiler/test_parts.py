"""LLVM modules in parts: the code that comes of them is that of the whole, to the bit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import numgraph as ng
from numgraph.config import config
from numgraph.lower import target
from numgraph.lower.parts import dealt, parts
from numgraph.runtime import native, objects

WHOLE = 10**9


def chain() -> tuple[list[ng.Variable], Any]:
    x = ng.vector("x", dtype="float32")
    y = x
    for k in range(30):
        y = [ng.sin, ng.tanh, ng.cos][k % 3](y) + 0.1 * k
    return [x], [ng.sum(y), ng.grad(ng.sum(y), x)]


def perceptron() -> tuple[list[ng.Variable], Any]:
    x, y = ng.matrix("x", dtype="float32"), ng.ivector("y")
    rng = np.random.default_rng(1)
    W, V = (ng.shared(rng.normal(size=s).astype("float32") / 8) for s in ((70, 30), (30, 10)))
    p = ng.softmax(ng.tanh(x @ W) @ V)
    cost = -ng.mean(ng.log(p)[ng.arange(y.shape[0]), y])
    return [x, y], [cost, *ng.grad(cost, [W, V])]


def recurrence() -> tuple[list[ng.Variable], Any]:
    x = ng.tensor3("x", dtype="float64")
    U = ng.shared(np.random.default_rng(2).normal(size=(9, 9)) / 3)
    states, _ = ng.scan(lambda v, h: ng.tanh(v + h @ U), sequences=x, outputs_info=ng.zeros((4, 9)))
    return [x], [states[-1], *ng.grad(ng.sum(states**2), [x, U])]


RNG = np.random.default_rng(0)
PROGRAMS: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "chain": (chain, [RNG.normal(size=1003).astype("float32") * 50]),
    "perceptron": (perceptron, [RNG.normal(size=(57, 70)).astype("float32"), RNG.integers(0, 10, 57).astype("int32")]),
    "recurrence": (recurrence, [RNG.normal(size=(6, 4, 9))]),
}


def compiled_in(worth: int, name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[list[bytes], int, str]:
    """The bits of a program's results, in how many parts its code is, and its optimised IR."""
    build, values = PROGRAMS[name]
    with monkeypatch.context() as patched:
        patched.setattr(config, "cache_dir", folder / str(worth))
        patched.setattr(target, "WORTH", worth)
        f = ng.function(*build())
        results = [np.asarray(r).tobytes() for r in f(*values)]
        file = native.object_name(f.source)
        found = objects.unpack(file, (folder / str(worth) / file).read_bytes())
        assert found is not None
        return results, len(found[1]), f.inspect_llvm()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_bits_are_those_of_the_whole(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole, one, text = compiled_in(WHOLE, name, monkeypatch, tmp_path)
    many, count, texts = compiled_in(1, name, monkeypatch, tmp_path)
    assert one == 1 and count > 3
    assert whole == many
    # who looks sees the whole entry either way
    for shown in (text, texts):
        assert "define" in shown and "@cfunc.enter" in shown and shown.count("@phase_0(") > 1
        assert "declare i64 @phase_0(" not in shown
        # functions for several lanes, which another part may have
        assert bool(re.search(r"call [^@]*<\d+ x float> @\w+_x\d+\(", shown)) == (name == "chain")


def test_a_program_is_in_as_many_parts_on_every_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counts = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(config, "threads", threads)
        counts.append(compiled_in(300, "perceptron", monkeypatch, tmp_path / str(threads))[1])
    assert counts[0] > 1 and len(set(counts)) == 1


def test_users_functions_are_with_what_calls_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    numba = pytest.importorskip("numba")

    @numba.njit
    def smooth(x):  # type: ignore[no-untyped-def]
        return x * x / (1 + x * x)

    monkeypatch.setattr(config, "cache_dir", tmp_path)
    monkeypatch.setattr(target, "WORTH", 1)
    x = ng.vector("x")
    f = ng.function([x], ng.sum(ng.elementwise(smooth, x, dtype="float64")) * ng.sum(ng.exp(x)))
    value = np.linspace(-3, 3, 101)
    np.testing.assert_allclose(f(value), np.sum(value**2 / (1 + value**2)) * np.exp(value).sum(), rtol=1e-12)


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 100), min_size=1), st.integers(1, 9))
def test_what_is_dealt_out_is_balanced(work: dict[str, int], count: int) -> None:
    lists = dealt(work, count)
    assert sorted(n for names in lists for n in names) == sorted(work)
    sums = [sum(work[n] for n in names) for names in lists]
    assert max(sums) - min(sums) <= max(work.values())
    assert lists[0] and work[lists[0][0]] == max(work.values())


def test_a_module_of_one_function_is_not_divided() -> None:
    from llvmlite import ir

    module = ir.Module("m")
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), ()), "f")
    ir.IRBuilder(function.append_basic_block()).ret_void()
    assert parts(module, 1) == [str(module)]

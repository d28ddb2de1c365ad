"""What generated code says of memory that overlaps no other: it is so, and loops of many arrays are over vectors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.config import config
from tests.compiler.test_parts import PROGRAMS

DEFINED = re.compile(r"^ +(\w+) = [if]\d+\((.*?)\) +#", re.MULTILINE)
# with the rest of the loop, which is as far from the margin or farther
SAID = re.compile(r"^( +)apart\((.*?)\).*\n((?:\1.*\n)*)", re.MULTILINE)
# where memory lies that is made for one buffer
OWN = re.compile(r"table\[AT_(TEMPORARIES|OUTPUT|MADE|NEW_STATE)|^own\b")


def loops(source: str) -> list[tuple[dict[str, str], set[str], list[str]]]:
    """For each loop of which something is said: where the function's pointers point to, those that the loop uses, and
    those that are named."""
    found = []
    for function in re.split(r"^def ", source, flags=re.MULTILINE):
        defined = dict(DEFINED.findall(function))
        for _, names, body in SAID.findall(function):
            words = re.findall(r"\w+", re.sub("#.*", "", body))
            found.append((defined, {n for n in words if n in defined}, names.split(", ")))
    return found


def many(count: int, dtype: str = "float32") -> ng.Function:
    """A loop that reads and writes many arrays: each function's value is needed for the gradient."""
    x = ng.vector("x", dtype=dtype)
    y = x
    for k in range(count):
        y = ng.tanh(y) * (1 + 0.01 * k)
    return ng.function([x], ng.grad(ng.sum(y), x))


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_what_numgraph_has_made_is_named(name: str) -> None:
    build, _ = PROGRAMS[name]
    found = loops(ng.function(*build()).source)
    assert found
    for defined, _, names in found:
        assert len(set(names)) == len(names)
        places = [defined[n] for n in names]
        assert all(map(OWN.match, places)) and len(set(places)) == len(places), places


def test_two_windows_of_one_array_are_not_named() -> None:
    x = ng.vector("x")
    y = ng.exp(x)
    f = ng.function([x], [y, ng.sqrt(y[1:] * y[:-1] + y[2] * x[1:])])
    found = loops(f.source)
    assert found
    for defined, used, names in found:
        for name in names:
            # outputs, each in a slot of the table
            assert [n for n in used if defined[n].split(" + ")[0] == defined[name].split(" + ")[0]] == [name]
    value = np.linspace(0, 1, 50)
    e = np.exp(value)
    np.testing.assert_allclose(f(value)[1], np.sqrt(e[1:] * e[:-1] + e[2] * value[1:]), rtol=1e-14)


def test_a_loop_of_many_arrays_is_over_vectors() -> None:
    """LLVM compares addresses of a few arrays only, and would leave this loop as it is."""
    f = many(40)
    text = f.inspect_llvm()
    assert re.search(r"fmul[^\n]*<\d+ x float>", text)
    assert "vector.memcheck" not in text
    value = np.linspace(-2, 2, 1001).astype("float32")
    y, slope = value.astype("float64"), np.ones(1001)
    for k in range(40):
        y, slope = np.tanh(y) * (1 + 0.01 * k), slope * (1 - np.tanh(y) ** 2) * (1 + 0.01 * k)
    np.testing.assert_allclose(f(value), slope, rtol=2e-4, atol=1e-6)


def test_the_bits_are_those_of_numbas_own_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    value = np.linspace(-2, 2, 77)
    ours = many(12, "float64")(value)
    monkeypatch.setattr(config, "standard_passes", True)
    assert many(12, "float64")(value).tobytes() == ours.tobytes()


@pytest.mark.parametrize("shift", [0, 1, 5])
def test_arguments_and_shared_arrays_may_overlap(shift: int) -> None:
    """The user's arrays are never said to be apart, so what is computed does not depend on where they lie."""
    memory = np.linspace(0.1, 1, 206)
    w = ng.shared(memory[:200], borrow=True)
    x, y = ng.vector("x"), ng.vector("y")
    parts: list[Any] = [ng.exp(x) * w, ng.tanh(y) + x, x * y * w, w - y]
    f = ng.function([x, y], parts, updates=[(w, w * ng.cos(x) + y)])
    a, b, old = memory[shift : shift + 200], memory[6 - shift : 206 - shift], memory[:200].copy()
    a_was, b_was = a.copy(), b.copy()
    found = f(a, b)
    wanted = [np.exp(a_was) * old, np.tanh(b_was) + a_was, a_was * b_was * old, old - b_was]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)

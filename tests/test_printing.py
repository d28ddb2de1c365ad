"""Graphs and formulas as text."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import numgraph as ng


def printed(x: Any) -> str:
    out = io.StringIO()
    ng.debugprint(x, file=out)
    return out.getvalue()


def test_debugprint() -> None:
    x = ng.vector("x")
    h = ng.exp(x)
    h.name = "hidden"
    y = h * 2 + h
    two = y.inputs[0].inputs[1]
    assert printed(y) == (
        f"add [0] float64[?]  <- {y.line}\n"
        f"  mul [1] float64[?]  <- {y.inputs[0].line}\n"
        f"    exp [2] float64[?]  'hidden'  <- {h.line}\n"
        f"      x [3] float64[?]  <- {x.line}\n"
        f"    constant 2.0 [4] float64  <- {two.line}\n"
        "  exp [2] printed above\n"
    )


def test_debugprint_of_several_and_of_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    x, n = ng.scalar("x"), ng.shared(0, "n")
    f = ng.function([x], {"double": x * 2}, updates={n: n + 1}, target="reference")
    ng.debugprint(f)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "output double:" and lines[4] == "update of n:" and lines[6].startswith("  shared n [")
    assert printed([x, x]).splitlines()[1] == "x [0] printed above"
    with pytest.raises(ng.InputError):
        ng.debugprint(3)


def test_a_long_chain_is_printed_in_linear_space() -> None:
    z = x = ng.scalar("x")
    for _ in range(20_000):
        z = z + x
    lines = printed(z).splitlines()
    assert len(lines) == 40_001 and max(map(len, lines)) < 200
    assert "(level 20000) x [" in lines[20_000]


x, y, W = ng.vector("x"), ng.vector("y"), ng.matrix("W")


@pytest.mark.parametrize(
    ("variable", "formula"),
    [
        (x, "x"),
        (x + y * 2, "x + y * 2.0"),
        ((x + y) * 2, "(x + y) * 2.0"),
        (x - (y - x), "x - (y - x)"),
        ((x - y) - x, "x - y - x"),
        (x / (y * x), "x / (y * x)"),
        (-(x + y), "-(x + y)"),
        ((-x) ** 2, "(-x) ** 2.0"),
        (-(x**2), "-x ** 2.0"),
        (x**-2, "x ** (-2.0)"),
        (x**y**x, "x ** y ** x"),
        ((x**y) ** x, "(x ** y) ** x"),
        ((x // 2) % 3, "x // 2.0 % 3.0"),
        (ng.exp(-x) * y, "exp(-x) * y"),
        (x < y + 1, "x < y + 1.0"),
        (ng.where(x > 0, x, y), "where(x > 0.0, x, y)"),
        (ng.vector() + 1, "unnamed + 1.0"),
        (x * np.array([1.0, 2.0]), "x * [1., 2.]"),
    ],
)
def test_pprint(variable: ng.Variable, formula: str) -> None:
    assert ng.pprint(variable) == formula


def test_pprint_cuts_what_is_far_below() -> None:
    z: ng.Variable = x
    for _ in range(100_000 // 50):
        z = z * 2
    text = ng.pprint(z)
    assert text.startswith("... * 2.0 * 2.0") and len(text) < 400
    square: ng.Variable = x + y
    for _ in range(100):
        square = square * square
    assert "..." in ng.pprint(square) and len(ng.pprint(square)) < 2000

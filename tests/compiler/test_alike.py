"""Functions that are alike are printed once: what may differ, how they are called, and that no bit changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numgraph as ng
from numgraph.emit import printer
from numgraph.emit.header import WIDTH
from numgraph.loops import processor
from numgraph.loops.alike import LEAST, NAMED, apart, merge
from numgraph.loops.program import (
    ADDRESS,
    TABLE,
    Assign,
    Call,
    For,
    Function,
    If,
    Load,
    Name,
    Number,
    Return,
    Statement,
    Store,
    fail,
)
from numgraph.loops.scalar import number
from numgraph.loops.shown import text
from numgraph.source import SourceLine

CHUNKS = (ADDRESS, Name("chunk"), Name("chunks"))
Body = list[Statement]


def slot(number: int) -> Load:
    return Load(TABLE, Number(number, role="at"))


def body(
    place: int = 20, offset: int = 64, length: int = 10, factor: float = 0.25, code: int = 1, x: str = "x", y: str = "y"
) -> Body:
    """Statements with each kind of number."""
    i, own, n = Name("i"), Name("own"), Name("n0")
    read, other = Name(x, "float32*"), Name(y, "float32*")
    refused = If(read[i].compared("<", number(factor, "float32")), (fail(n, 7, code),))
    half = Store(read, i, read[i] * number(0.5, "float32") + other[i])
    return [
        Assign(TABLE, Call("i64", (ADDRESS,), "int64*")),
        Assign(read, Call("f32", (slot(place) + Number(offset, role="by"),), "float32*"), note="comment x"),
        Assign(n, slot(16)),
        Assign(other, Call("f32", (own + Number(64, role="by"),), "float32*")),
        For(i, (Number(length),), (refused, half)),
        Return(Number(0)),
    ]


def made(k: int, arguments: Sequence[Name] = (ADDRESS,), more: Sequence[Statement] = (), **numbers: Any) -> Function:
    """A function that is like others but for its numbers."""
    statements = (*body(**{"place": 20 + k, **numbers}), *more)
    return Function(f"phase_{k}", tuple(arguments), statements, "divided" if len(arguments) > 1 else "jit", "adds")


def printed(functions: Sequence[Function]) -> str:
    merged = merge(functions)
    found = [function for name in merged.printed for function in merged.printed[name]]
    return "\n".join(line.text() for function in found for line in printer.function_lines(function))


def called(functions: Sequence[Function]) -> list[str]:
    return [text(use.call) for use in merge(functions).calls.values()]


def test_places_become_arguments() -> None:
    functions = [made(k) for k in range(3)]
    text = printed(functions)
    assert text.count("for i in range") == text.count("def ") == text.count("@shape") == 1
    assert "def shape_0(address, at0):                                # adds: phase_0, phase_1, phase_2" in text
    assert "    x = f32(table[at0] + 64)" in text and "float32(0.5)" in text, "what all have stays"
    assert called(functions) == [f"shape_0(address, {20 + k})" for k in range(3)]
    assert merge(functions).calls["phase_2"].note == "phase_2: adds"


@pytest.mark.parametrize(
    ("differing", "argument"),
    [
        ({"offset": 128}, "table[at0] + by0)"),
        ({"factor": 1e-30}, "float32(c0)"),
        ({"factor": -0.25}, "float32(c0)"),
        ({"code": 2}, "fail(table, n0, 7, code0)"),
    ],
)
def test_what_else_becomes_an_argument(differing: dict[str, Any], argument: str) -> None:
    functions = [made(0), made(1, **differing)]
    (value,) = differing.values()
    assert argument in printed(functions)
    assert called(functions)[1].endswith(f", 21, {value})")


def test_lengths_stay_in_the_functions() -> None:
    """LLVM makes use of them."""
    functions = [made(0), made(1, length=12)]
    text = printed(functions)
    assert "shape" not in text and "range(10)" in text and "range(12)" in text
    assert called(functions) == ["phase_0(address)", "phase_1(address)"]


def test_names_and_short_bodies_stay() -> None:
    assert "shape" not in printed([made(0), made(1, x="z")])
    size = len(made(0).body) + 3
    short = [replace(made(k), body=made(k).body[: LEAST - 2 - size]) for k in range(2)]
    assert "shape" not in printed(short)


def test_zeros_of_both_signs_are_two_numbers() -> None:
    functions = [made(k, place=20, factor=factor) for k, factor in enumerate((0.0, -0.0, 0.0))]
    assert called(functions) == ["shape_0(address, 0.0)", "shape_0(address, -0.0)", "shape_0(address, 0.0)"]


def test_a_function_of_shares_remains_and_calls_the_shape() -> None:
    functions = [made(k, CHUNKS, factor=k + 0.5) for k in range(2)]
    text = printed(functions)
    assert text.startswith("@shape\ndef shape_0(address, chunk, chunks, at0, c0):")
    stub = "@divided\ndef phase_1(address, chunk, chunks):                      # adds\n"
    assert f"{stub}    return shape_0(address, chunk, chunks, 21, 1.5)" in text
    assert called(functions)[1] == "phase_1(address, chunk, chunks)", "by its address"


@pytest.mark.parametrize("arguments", [(ADDRESS,), CHUNKS])
def test_functions_that_are_the_same_are_one(arguments: Sequence[Name]) -> None:
    """One that is there already stands for another, itself or, if further ones are alike, their shape."""
    functions = [made(k, arguments, place=20) for k in range(2)]
    text = printed(functions)
    assert "shape" not in text and "# adds; also phase_1" in text and "phase_1(" not in text
    inside = ", ".join(argument.text for argument in arguments)
    assert called(functions) == [f"phase_0({inside})"] * 2
    found = called([*functions, made(2, arguments)])
    assert found[0] == found[1] != found[2]
    assert found[0] == ("phase_0(address, chunk, chunks)" if len(arguments) > 1 else "shape_0(address, 20)")


def test_numbers_that_go_together_have_one_argument_whose_name_is_free() -> None:
    functions = [made(k, y="at0", more=[Assign(Name("z"), slot(20 + k))]) for k in range(2)]
    assert "def shape_0(address, at1):" in printed(functions)
    assert "table[at1] + 64" in printed(functions) and "z = table[at1]" in printed(functions)


def test_letters_of_all_languages_take_their_room() -> None:
    functions = [made(k, x="θ", factor=k + 0.5) for k in range(2)]
    assert "θ = f32(table[at0] + 64)" in printed(functions) and "if θ[i] < float32(c0):" in printed(functions)
    assert called(functions)[1] == "shape_0(address, 21, 1.5)"


def test_comments_that_differ_say_whose_they_are() -> None:
    functions = []
    for k in range(NAMED + 2):
        statements = body(20 + k)
        statements[2] = replace(statements[2], note=f"of phase_{k}")
        statements[3] = replace(statements[3], lines=(SourceLine("f.py", 1, ""), SourceLine("f.py", k + 1, "")))
        functions.append(replace(made(k), body=tuple(statements)))
    (shape,) = merge(functions).printed["phase_0"]
    assert shape.note == "adds: phase_0, phase_1, phase_2, phase_3 and 2 more"
    assert shape.body[2].note == "of phase_0 (phase_0)" and shape.body[1].note == "comment x"
    assert [line.line for line in shape.body[3].lines] == [1, 2, 3, 4], "as many as a variable keeps"
    assert merge(functions).calls["phase_5"].lines == functions[5].body[3].lines


def test_long_heads_and_calls_are_several_lines() -> None:
    functions = [made(n, CHUNKS, [Assign(Name(f"z{k}"), slot(100 * n + k)) for k in range(60)]) for n in range(2)]
    text = printed(functions)
    assert all(len(line.partition("  #")[0]) <= WIDTH + 8 for line in text.split("\n"))
    compile(text.replace("@shape", "").replace("@divided", ""), "text", "exec")


def long_chain() -> tuple[ng.Function, list[np.ndarray]]:
    """Chunks that differ in places and factors."""
    x = v = ng.vector("x", dtype="float32")
    for k in range(60):
        v = ng.sin(v) * np.float32(1 + 1 / (k + 1)) if k % 2 else ng.tanh(v) - np.float32(0.1 * k)
    total = ng.sum(v)
    return ng.function([x], [total, v, *ng.grad(total, [x])]), [np.linspace(-2, 2, 1001).astype("float32")]


def power_iteration() -> tuple[ng.Function, list[np.ndarray]]:
    """Products and sums, and the joining of their chunks."""
    A, x = ng.fmatrix("A"), ng.fmatrix("x")
    v = x
    for _ in range(4):
        v = ng.dot(A, v)
        v = v / ng.sqrt(ng.sum(v * v, axis=0))
    random = np.random.default_rng(0)
    return ng.function([A, x], v), [random.normal(size=(400, n)).astype("float32") for n in (400, 37)]


def followed(first: int = 3, rounds: int = 5) -> tuple[ng.Function, list[np.ndarray]]:
    """Indices that are checked in each phase."""
    v = x = ng.lvector("x")
    for _ in range(rounds):
        v = ng.sort(v)[v] + 1
    return ng.function([x], v), [np.array([0, 0, 0, 0, 0, first, 0])]


def rescaled() -> tuple[ng.Function, list[np.ndarray]]:
    """A few short loops and sums that differ in factors, which Numba's own passes take a second for."""
    v = x = ng.vector("x", dtype="float32")
    for k in range(3):
        w = (v * np.float32(0.5 + 0.1 * k) + np.float32(k)) * np.float32(0.6 + 0.1 * k) + np.float32(k + 0.25)
        v = w / ng.sum(w)
    return ng.function([x], v), [np.linspace(1, 2, 37).astype("float32")]


@pytest.mark.parametrize(
    ("build", "standard"),
    [(long_chain, False), (power_iteration, False), (followed, False), (rescaled, True)],
    ids=["long chain", "power iteration", "followed", "rescaled, by Numba's own passes"],
)
def test_merged_functions_compute_the_same_bits(
    build: Any, standard: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ng.config, "standard_passes", standard)
    function, arguments = build()
    assert "@shape" in function.source
    got = function(*arguments)
    # what is kept of the program is of other passes
    monkeypatch.setattr(ng.config, "cache_dir", tmp_path)
    monkeypatch.setattr(processor, "merge", apart)
    function, arguments = build()
    assert "@shape" not in function.source
    wanted = function(*arguments)
    for one, other in zip(*([v] if isinstance(v, np.ndarray) else v for v in (got, wanted)), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_numba_compiles_a_shape_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not for each number that is written in a call of it."""
    import numba
    from numgraph.kernels import support

    monkeypatch.setattr(support, "COMPILER", {})
    shared = support.shape(lambda address, at0, c0: address + at0 * c0)
    step = numba.njit(lambda address: shared(address, 3, 1.5) + shared(address, 4, -2.5))
    assert step(10) == 10 + 4.5 + 10 - 10 and len(shared.signatures) == 1


@pytest.mark.parametrize("first", range(7))
def test_a_failure_in_a_shape_is_that_of_its_phase(first: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = []
    for _ in range(2):
        function, arguments = followed(first)
        try:
            said.append(function(*arguments).tolist())
        except IndexError as error:
            said.append(str(error))
        monkeypatch.setattr(ng.config, "cache_dir", tmp_path)
        monkeypatch.setattr(processor, "merge", apart)
    assert said[0] == said[1]


def test_kernels_that_are_the_same_are_one() -> None:
    """On a device: what they work on are their parameters."""
    x = v = ng.vector("x", dtype="float32")
    for _ in range(120):
        v = ng.tanh(v) + np.float32(0.1)
    gradient = ng.grad(ng.sum(v), x)
    values = np.linspace(-2, 2, 50).astype("float32")
    function = ng.function([x], [v, gradient], target="cuda-sim")
    pairs = re.findall("^# (.+): (.+) with other arguments$", function.source, re.MULTILINE)
    assert pairs
    assert all(f"def {first}(" in function.source and f"def {same}(" not in function.source for same, first in pairs)
    assert {name for pair in pairs for name in pair} <= {phase.name for phase in function.record.phases}
    got, wanted = (f(values) for f in (function, ng.function([x], [v, gradient], target="reference")))
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)

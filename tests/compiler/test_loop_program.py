"""The loop program: scalar operations, the text of expressions, nesting, and the checks."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest

import numgraph as ng
from numgraph.emit.printer import fits, function_lines
from numgraph.loops.inline import inlined
from numgraph.loops.program import (
    Assign,
    Call,
    Choice,
    Compare,
    Do,
    Expression,
    For,
    Function,
    If,
    Logic,
    Name,
    Number,
    Return,
    Several,
    Statement,
    Store,
    Unary,
    fail,
)
from numgraph.loops.scalar import formula, number, scalar
from numgraph.loops.shown import text
from numgraph.loops.verify import Malformed, verify
from numgraph.op import OPS, Op
from numgraph.scalars import PROCESSOR

A, B, C = (Name(name) for name in "abc")
X = Name("x", "float64")


def kept_dtype(op: Op, argument: int) -> str:
    """The dtype of an argument that is not converted: that of the op's samples, or a condition."""
    return np.asarray(op.samples()[0][0][argument]).dtype.name if op.samples else "bool"


def test_scalar_forms_have_the_dtype_that_they_are_said_to_have() -> None:
    """Text that Python reads as the same expression, and the dtype of the result."""
    for op in OPS.values():
        if not op.scalar or op.name == "cast":
            continue
        kept = {k: kept_dtype(op, k) for k in op.keeps}
        for dtype in op.dtypes:
            given = [kept.get(k, dtype) for k in range(len(op.args))]
            if op.dtype is None:
                # an attribute says it
                assert op.samples is not None
                results = {attrs["dtype"] for _, attrs in op.samples()}
            else:
                results = {op.dtype(given)}
            for result in results:
                # operands are converted before
                dtypes = given if result == "bool" else [kept.get(k, result) for k in range(len(op.args))]
                operands = [Name(f"x{k}", d) for k, d in enumerate(dtypes)]
                found = scalar(op, operands, result, PROCESSOR, set())
                assert found.dtype == result, (op, dtype)
                assert ast.unparse(ast.parse(text(found))) == text(found)


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        (A - (B - C), "a - (b - c)"),
        (X - (X - X), "x - (x - x)"),
        (A + (B + C), "a + b + c"),
        (X + (X + X), "x + (x + x)"),
        ((A + B) * C, "(a + b) * c"),
        (A // (B * C) % B, "a // (b * c) % b"),
        (Unary("-", A + B), "-(a + b)"),
        (Unary("-", X) * X, "-x * x"),
        (X * number(-0.0, "float64"), "x * -0.0"),
        (number(0.1, "float32"), "float32(0.1)"),
        (number(float("-inf"), "float32"), "float32(-np.inf)"),
        (Choice(A.compared("<", 0), A + B, Number(0)), "a + b if a < 0 else 0"),
        (Choice(A, B, C) + 1, "(b if a else c) + 1"),
        (Logic("or", (Logic("and", (A, B)), Unary("not", C))), "(a and b) or not c"),
        (Logic("and", (Logic("or", (A, B)), C)), "(a or b) and c"),
        (Compare("==", Compare("<", A, B), C), "(a < b) == c"),
        (Several((A,)), "(a,)"),
        (formula("acc & x << 1", {"acc": A, "x": B}, "int64"), "a & b << 1"),
        ((A + B)[C + 1], "(a + b)[c + 1]"),
    ],
)
def test_parentheses(expression: Expression, shown: str) -> None:
    assert text(expression) == shown


def made(*body: Statement) -> Function:
    return Function("f", (X, Name("p", "float64*"), Name("n")), body)


T, V = Name("t0", "float64", plain=True), Name("v0", "float64", plain=True)
P, N, J = Name("p", "float64*"), Name("n"), Name("j")


def nested_text(*body: Statement) -> list[str]:
    function = inlined(made(*body), fits)
    verify([function])
    return [line.text().strip() for line in function_lines(function)[1:]]


def test_what_is_used_once_stands_where_it_is_used() -> None:
    assert nested_text(Assign(T, X * X), Store(P, N, T + X)) == ["p[n] = x * x + x"]
    assert nested_text(Assign(T, X * X), Store(P, N, T + T)) == ["t0 = x * x", "p[n] = t0 + t0"]
    named = Name("named", "float64")
    assert nested_text(Assign(named, X * X), Store(P, N, named)) == ["named = x * x", "p[n] = named"]


def test_nothing_that_is_read_moves_past_what_is_written() -> None:
    assert nested_text(Assign(V, P[N]), Store(P, N, X), Store(P, N + 1, V))[0] == "v0 = p[n]"
    acc = Name("acc0", "float64")
    kept = nested_text(Assign(acc, X), Assign(T, acc * X), Assign(acc, X + X), Store(P, N, T + acc))
    assert kept == ["acc0 = x", "t0 = acc0 * x", "acc0 = x + x", "p[n] = t0 + acc0"]


def test_nothing_moves_into_a_loop_or_a_branch() -> None:
    loop = For(J, (N,), (Store(P, J, T),))
    assert nested_text(Assign(T, X * X), loop) == ["t0 = x * x", "for j in range(n):", "p[j] = t0"]
    choice = Choice(X.compared("<", X), T, X)
    assert nested_text(Assign(T, X * X), Store(P, N, choice)) == ["t0 = x * x", "p[n] = t0 if x < x else x"]
    chosen = Choice(Compare("<", T, X), X, X)
    assert nested_text(Assign(T, X * X), Store(P, N, chosen)) == ["p[n] = x if x * x < x else x"]


def test_long_lines_stay_several() -> None:
    sum_of = X
    for _ in range(30):
        sum_of = sum_of + X
    lines = nested_text(Assign(T, sum_of), Store(P, N, T * X))
    assert len(lines) == 2 and lines[1] == "p[n] = t0 * x"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ([Store(P, N, T)], "has no value here"),
        ([For(J, (N,), (Assign(T, X),)), Store(P, N, T)], "has no value here"),
        ([Assign(T, X), Assign(T, X)], "more than once"),
        ([Store(P, N, N)], "is int64, and stored as float64"),
        ([Store(P, N, X + N)], "is of float64 and int64"),
        ([If(X, ())], "is no condition"),
        ([Store(X, N, X)], "is no pointer"),
        ([For(J, (X,), ())], "bounds a loop"),
        ([Store(P, N, X[N])], "what is no pointer"),
        ([Assign(Name("x"), N)], "was float64"),
    ],
)
def test_malformed_programs_are_found(body: list[Statement], problem: str) -> None:
    with pytest.raises(Malformed, match=problem):
        verify([made(*body)])


def test_a_refusal_that_nobody_looks_at_is_found() -> None:
    refuses = Function("refuses", (N,), (If(N.compared(">", 1), (fail(N, N, 1),)), Return(Number(0))))
    passes = Function("passes", (X,), (Assign(N, Call("refuses", (X,))), Return(N)))
    harmless = Function("harmless", (X,), (Return(Number(0)),))
    passes_nothing = Function("passes_nothing", (X,), (Assign(N, Call("harmless", (X,))), Return(N)))
    module = [refuses, passes, harmless, passes_nothing]
    for name in ("harmless", "passes_nothing"):
        verify([*module, made(Do(Call(name, (X,))))], ["table", "n"])
    for done in (Call("refuses", (X,)), Call("passes", (X,)), Call("launch", (X, Name("refuses")))):
        with pytest.raises(Malformed, match="is not looked at"):
            verify([*module, made(Do(done))], ["table", "n"])


def test_the_loop_program_is_a_stage_of_the_record() -> None:
    """With dtypes, and after each transformation what it has changed."""
    x = v = ng.vector("x", dtype="float32")
    for k in range(40):
        v = ng.sin(v) * np.float32(1 + 1 / (k + 1))
    shown = ng.function([x], [v, ng.grad(ng.sum(v), x)]).record.stages["loops"]
    steps = re.findall(r"^-- (.+): (\d+) functions, (\d+) statements$", shown, re.MULTILINE)
    assert [name for name, *_ in steps] == ["made of the schedule", "alike functions merged", "expressions inlined"]
    statements = [int(count) for *_, count in steps]
    assert statements[0] >= statements[1] > statements[2]
    assert (
        re.search(r"^ +for i: int64 in begin, end", shown, re.MULTILINE) and "x: float32* = f32(table[AT_X])" in shown
    )
    device = ng.function([x], ng.sum(v), target="cuda-sim").record.stages["loops"]
    assert "cuda.syncthreads()" in device and "cuda.shfl_xor_sync(FULL, value, step)" in device

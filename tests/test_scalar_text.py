"""Scalar operations in generated source: their text, and the text of expressions."""

from __future__ import annotations

import ast

import pytest
from numgraph.kernels.names import VECTOR

from numgraph.emit.printer import text
from numgraph.loops.program import Choice, Compare, Expression, Logic, Name, Number, Several, Unary
from numgraph.loops.scalar import formula, number, scalar
from numgraph.op import OPS

A, B, C = (Name(name) for name in "abc")
X = Name("x", "float64")


def test_scalar_forms_have_the_dtype_that_they_are_said_to_have() -> None:
    """Text that Python reads as the same expression, and the dtype of the result."""
    for op in OPS.values():
        if not op.scalar or op.name == "cast":
            continue
        for dtype in op.dtypes:
            assert op.dtype is not None
            dtypes = ("bool", dtype, dtype) if op.keeps else (dtype,) * len(op.args)
            result = op.dtype(list(dtypes))
            if result != "bool":
                # operands are converted before
                dtypes = ("bool", result, result) if op.keeps else (result,) * len(op.args)
            operands = [Name(f"x{k}", d) for k, d in enumerate(dtypes)]
            found = scalar(op, operands, result, VECTOR, set())
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

"""One scalar operation as an expression that Numba compiles to the dtype that NumPy would give.

Numba widens: int8 + int8 is int64, float32 * 0.5 is float64. So literals carry the dtype, and a result whose dtype
Numba would not produce is converted at once.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from numgraph.loops.program import Binary, Call, Choice, Compare, Expression, Logic, Number, Unary
from numgraph.op import Op
from numgraph.scalars import SCALAR_FUNCTIONS, ScalarFunction
from numgraph.types import COMPLEX, DISCRETE, FLOATS, INEXACT, UNSIGNED, real_of

POINTERS = {
    "float32": "f32", "float64": "f64", "complex64": "c64", "complex128": "c128",
    "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "bool": "u8",
}  # fmt: skip

# integer -> the function that takes the whole part of a float, which is then cut to fewer bits
WHOLE_PARTS = {
    "int8": "to_int32", "int16": "to_int32", "int32": "to_int32", "int64": "to_int64",
    "uint8": "to_int32", "uint16": "to_int32", "uint32": "to_int64", "uint64": "to_uint64",
}  # fmt: skip
# functions of `kernels.support`, for every target
HELPERS = frozenset(
    [*WHOLE_PARTS.values(), *(name for row in SCALAR_FUNCTIONS.values() for name in (row.integer, row.unsigned))]
) - {"", "abs"}


def literal(value: Any, dtype: str) -> str:
    """A number as source text of exactly this dtype."""
    if dtype == "bool":
        return str(bool(value))
    if dtype in COMPLEX:
        parts = (literal(part, real_of(dtype)) for part in (value.real, value.imag))
        return f"complex({', '.join(parts)})"
    if dtype in FLOATS:
        number = float(value)
        text = (
            repr(number) if math.isfinite(number) else "np.nan" if number != number else f"{'-' * (number < 0)}np.inf"
        )
        if dtype == "float64" or not math.isfinite(number):
            return text if dtype == "float64" else f"float32({text})"
        # 0.13 rather than 0.12999999523162842, where it is the same float32
        short = str(np.float32(number))
        return f"float32({short if np.float32(float(short)) == np.float32(number) else text})"
    return str(int(value)) if dtype == "int64" else f"{dtype}({int(value)})"


def number(value: Any, dtype: str) -> Number:
    """A number; functions that differ in finite floats may be merged."""
    if dtype in COMPLEX:
        return Number(complex(value), dtype)
    return Number(value, dtype, "c" if dtype in FLOATS and math.isfinite(value) else "")


def convert(value: Expression, source: str, target: str) -> Expression:
    """`value` of dtype `source` converted to `target` with NumPy's meaning."""
    if source == target:
        return value
    if target == "bool":
        return Compare("!=", value, number(0, source))
    if source in FLOATS and target in WHOLE_PARTS:
        whole = WHOLE_PARTS[target]
        value = Call(whole, (value,), whole.removeprefix("to_"))
    return value if value.dtype == target else Call(target, (value,), target)


_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "-", ast.Invert: "~", ast.Not: "not"}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


# What functions of complex numbers return, by the dtype of these.
_RESULTS: dict[str, Callable[[str], str]] = {"same": str, "part": real_of, "bool": lambda dtype: "bool"}


class Former:
    """Makes expressions of a formula's syntax tree. names: what its arguments stand for. dtype: that it computes in."""

    def __init__(self, names: Mapping[str, Expression], dtype: str) -> None:
        self.names = names
        self.dtype = dtype

    def form(self, tree: ast.expr) -> Expression:
        """The expression."""
        match tree:
            case ast.Name(name):
                return self.names[name]
            case ast.Constant(bool() as value):
                return Number(value, "bool")
            case ast.Constant(value):
                return number(value, self.dtype)
            case ast.BinOp(left, sign, right):
                return Binary(_BINARY[type(sign)], self.form(left), self.form(right))
            case ast.UnaryOp(sign, operand):
                return Unary(_UNARY[type(sign)], self.form(operand))
            case ast.Compare(left, [sign], [right]):
                return Compare(_COMPARE[type(sign)], self.form(left), self.form(right))
            case ast.BoolOp(sign, parts):
                return Logic("and" if isinstance(sign, ast.And) else "or", tuple(map(self.form, parts)))
            case ast.IfExp(condition, yes, no):
                return Choice(self.form(condition), self.form(yes), self.form(no))
            case ast.Call(ast.Name(name), arguments):
                return self.call(name, tuple(map(self.form, arguments)))
        raise AssertionError(ast.unparse(tree))

    def call(self, name: str, arguments: tuple[Expression, ...]) -> Expression:
        """A call of a function by its name."""
        return Call(name, arguments, self.dtype)


@lru_cache(maxsize=256)
def _parsed(formula: str) -> ast.expr:
    return ast.parse(formula, mode="eval").body


def formula(text: str, names: Mapping[str, Expression], dtype: str) -> Expression:
    """The expression of a formula in which names stand for expressions."""
    return Former(names, dtype).form(_parsed(text))


class ScalarFormer(Former):
    """Makes the expression of an op's scalar form: typed literals, the target's functions. vector: functions of
    `kernels`, by name and dtype; imports: those that are used are added."""

    def __init__(
        self,
        names: Mapping[str, Expression],
        dtype: str,
        vector: Mapping[tuple[str, str], str],
        imports: set[str],
    ) -> None:
        super().__init__(names, dtype)
        self.vector = vector
        self.imports = imports

    def form(self, tree: ast.expr) -> Expression:
        """The expression; a quotient of complex numbers is a function, since Numba's raises."""
        if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Div) and self.dtype in COMPLEX:
            return self.call("quotient", (self.form(tree.left), self.form(tree.right)))
        return super().form(tree)

    def call(self, name: str, arguments: tuple[Expression, ...]) -> Expression:
        """A scalar function becomes the target's."""
        row = SCALAR_FUNCTIONS[name]
        if row.complex and self.dtype in COMPLEX:
            return Call(self.function(row), arguments, _RESULTS[row.complex](self.dtype))
        if row.written:
            written = row.written_int if row.written_int and self.dtype in DISCRETE else row.written
            names = dict(zip("xyz", arguments, strict=False))
            return ScalarFormer(names, self.dtype, self.vector, self.imports).form(_parsed(written))
        if self.dtype == "float32" and row.wide and (name, "float32") not in self.vector:
            wide = tuple(Call("float64", (a,), "float64") for a in arguments)
            double = ScalarFormer(self.names, "float64", self.vector, self.imports)
            return Call("float32", (double.call(name, wide),), "float32")
        return Call(self.function(row), arguments, self.dtype)

    def function(self, row: ScalarFunction) -> str:
        """The target's name of a scalar function in the dtype."""
        vector = self.vector.get((row.name, self.dtype))
        if vector is not None:
            module, _, short = vector.rpartition(".")
            if module == "math":
                return vector
            self.imports.add(vector)
            return short
        if self.dtype in FLOATS:
            return row.numba
        return row.unsigned if row.unsigned and self.dtype in UNSIGNED else row.integer


@lru_cache(maxsize=512)
def functions_of(op: Op) -> frozenset[str]:
    """The names of the functions that the scalar form of an op calls."""
    calls = (n.func for n in ast.walk(op.tree or ast.Constant(0)) if isinstance(n, ast.Call))
    return frozenset(n.id for n in calls if isinstance(n, ast.Name))


def is_missing(op: Op, vector: Mapping[tuple[str, str], str]) -> bool:
    """Whether the scalar form of an op calls a function of SciPy's that the target does not have."""
    return any(SCALAR_FUNCTIONS[name].scipy and (name, "float64") not in vector for name in functions_of(op))


def scalar(
    op: Op, operands: Sequence[Expression], dtype: str, vector: Mapping[tuple[str, str], str], imports: set[str]
) -> Expression:
    """`op` of operands, of result `dtype`. Adds what it needs of `vector` to `imports`."""
    if op.conversion:
        return convert(operands[0], operands[0].dtype, dtype)
    assert op.tree is not None
    loose = [v.dtype for k, v in enumerate(operands) if k not in op.keeps]
    compute = loose[0] if loose else dtype
    names = dict(zip(op.args, operands, strict=True))
    found = ScalarFormer(names, compute, vector, imports).form(op.tree)
    # Numba's result would be of another dtype
    plain = dtype == compute and dtype in (*INEXACT, "int64", "bool")
    return found if plain or (dtype == "bool" and compute != "bool") else Call(dtype, (found,), dtype)

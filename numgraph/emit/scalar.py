"""Prints one scalar operation as Python that Numba compiles to the dtype that NumPy would give.

Numba widens: int8 + int8 is int64, float32 * 0.5 is float64. So literals carry the dtype, and a result whose dtype
Numba would not produce is converted at once.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from numgraph.op import Op
from numgraph.types import FLOATS, INTEGERS, UNSIGNED

POINTERS = {
    "float32": "f32", "float64": "f64", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64", "bool": "u8",
}  # fmt: skip

# scalar function -> how it is written on the CPU for floats; "math.x" and "np.x" are Numba's
FLOAT_CALLS = {
    "abs": "abs", "exp": "math.exp", "exp2": "np.exp2", "expm1": "math.expm1", "log": "math.log", "log1p": "math.log1p",
    "log2": "np.log2", "log10": "math.log10", "sqrt": "math.sqrt", "sin": "math.sin", "cos": "math.cos",
    "tan": "math.tan", "asin": "math.asin", "acos": "math.acos", "atan": "math.atan", "atan2": "math.atan2",
    "sinh": "math.sinh", "cosh": "math.cosh", "tanh": "math.tanh", "asinh": "math.asinh", "acosh": "math.acosh",
    "atanh": "math.atanh",
    "floor": "np.floor", "ceil": "np.ceil", "trunc": "np.trunc", "rint": "np.rint",
    "erf": "math.erf", "erfc": "math.erfc",
    "lgamma": "math.lgamma", "hypot": "math.hypot", "copysign": "math.copysign", "minimum": "minimum",
    "maximum": "maximum", "floordiv": "floor_div_float", "mod": "mod_float",
}  # fmt: skip
# functions that Numba has for float64 only
DOUBLE_ONLY = frozenset({"log2"})
INTEGER_CALLS = {
    "abs": "abs", "minimum": "minimum", "maximum": "maximum", "floordiv": "floor_div_int", "mod": "mod_int",
    "power": "power_int",
}  # fmt: skip
UNSIGNED_CALLS = {**INTEGER_CALLS, "floordiv": "floor_div_uint", "mod": "mod_uint", "power": "power_uint"}
# integer -> the function that takes the whole part of a float, which is then cut to fewer bits
WHOLE_PARTS = {
    "int8": "to_int32", "int16": "to_int32", "int32": "to_int32", "int64": "to_int64",
    "uint8": "to_int32", "uint16": "to_int32", "uint32": "to_int64", "uint64": "to_uint64",
}  # fmt: skip
# functions of `kernels.support`, for every target
HELPERS = frozenset([*INTEGER_CALLS.values(), *UNSIGNED_CALLS.values(), *WHOLE_PARTS.values()]) - {"abs"}


def literal(value: Any, dtype: str) -> str:
    """A number as source text of exactly this dtype."""
    if dtype == "bool":
        return str(bool(value))
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


def convert(text: str, source: str, target: str) -> str:
    """`text` of dtype `source` converted to `target` with NumPy's meaning."""
    if source == target:
        return text
    if target == "bool":
        return f"({text} != {literal(0, source)})"
    if source in FLOATS and target in WHOLE_PARTS:
        whole = WHOLE_PARTS[target]
        text = f"{whole}({text})"
        if whole.removeprefix("to_") == target:
            return text
    return f"{target}({text})"


class ScalarPrinter(ast.NodeTransformer):
    """Rewrites the syntax tree of an op's scalar form: operands for names, typed literals, the target's functions."""

    def __init__(
        self, names: dict[str, str], dtypes: dict[str, str], compute: str, vector: dict[tuple[str, str], str]
    ) -> None:
        self.names = names
        self.dtypes = dtypes
        self.compute = compute
        self.vector = vector
        self.imports: set[str] = set()

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """An argument becomes its operand."""
        return ast.parse(self.names[node.id], mode="eval").body

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """A literal takes the dtype in which the op computes."""
        if isinstance(node.value, bool):
            return node
        return ast.parse(literal(node.value, self.compute), mode="eval").body

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """A scalar function becomes the target's."""
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        arguments = [self.visit(a) for a in node.args]
        if name == "where":
            return ast.IfExp(test=arguments[0], body=arguments[1], orelse=arguments[2])
        if name in ("isnan", "isinf"):
            return self._special(name, arguments[0])
        if self.compute == "float32" and name in DOUBLE_ONLY and (name, "float32") not in self.vector:
            inside = ", ".join(f"float64({ast.unparse(a)})" for a in arguments)
            return ast.parse(f"float32({FLOAT_CALLS[name]}({inside}))", mode="eval").body
        return ast.Call(func=ast.parse(self.function(name), mode="eval").body, args=arguments, keywords=[])

    def _special(self, name: str, x: ast.expr) -> ast.expr:
        text = ast.unparse(x)
        if self.compute in INTEGERS or self.compute == "bool":
            return ast.Constant(False)
        infinity = literal(math.inf, self.compute)
        source = f"({text} != {text})" if name == "isnan" else f"(abs({text}) == {infinity})"
        return ast.parse(source, mode="eval").body

    def function(self, name: str) -> str:
        """The target's name of a scalar function in the compute dtype."""
        vector = self.vector.get((name, self.compute))
        if vector is not None:
            module, _, short = vector.rpartition(".")
            if module == "math":
                return vector
            self.imports.add(vector)
            return short
        if self.compute in FLOATS:
            if name == "power":
                return "math.pow"
            return FLOAT_CALLS[name]
        return (UNSIGNED_CALLS if self.compute in UNSIGNED else INTEGER_CALLS)[name]


def print_scalar(
    op: Op,
    operands: Sequence[str],
    dtypes: Sequence[str],
    dtype: str,
    vector: dict[tuple[str, str], str],
    used: set[str],
) -> str:
    """The source text of `op` on `operands` (names or literals, of `dtypes`), of result `dtype`. Adds imports to
    `used`."""
    if op.name == "cast":
        return convert(operands[0], dtypes[0], dtype)
    functions = tuple(vector.items())
    if all(map(_ATOM.fullmatch, operands)):
        # the text is the same but for the operands, which stand in it as they are
        places = tuple(f"__{k}__" for k in range(len(operands)))
        text, imports = _printed(op, places, tuple(dtypes), dtype, functions)
        text = _PLACE.sub(lambda found: operands[int(found[1])], text)
    else:
        text, imports = _printed(op, tuple(operands), tuple(dtypes), dtype, functions)
    used |= imports
    return text


# Operands that need no parentheses wherever they stand.
_ATOM = re.compile(r"[^\W\d]\w*|\d+(\.\d+)?|\w+\([\d.]+\)")
_PLACE = re.compile(r"__(\d+)__")


@lru_cache(maxsize=4096)
def _printed(
    op: Op,
    operands: tuple[str, ...],
    dtypes: tuple[str, ...],
    dtype: str,
    vector: tuple[tuple[tuple[str, str], str], ...],
) -> tuple[str, frozenset[str]]:
    """The source text, and what it imports."""
    loose = [d for k, d in enumerate(dtypes) if k not in op.keeps]
    compute = loose[0] if loose else dtype
    names = dict(zip(op.args, operands, strict=True))
    printer = ScalarPrinter(names, dict(zip(op.args, dtypes, strict=True)), compute, dict(vector))
    assert op.tree is not None
    tree = printer.visit(_copy(op.tree))
    text = ast.unparse(ast.fix_missing_locations(tree))
    return _settled(text, op, compute, dtype), frozenset(printer.imports)


def _copy(tree: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(tree), mode="eval").body


def _settled(text: str, op: Op, compute: str, dtype: str) -> str:
    """Convert where Numba's result would be of another dtype."""
    if compute == dtype and dtype in (*FLOATS, "int64", "bool"):
        return text
    if dtype == "bool" and compute != "bool":
        return text
    if compute in FLOATS and dtype == compute:
        return text
    return f"{dtype}({text})"

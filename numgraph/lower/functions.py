"""Functions of `math` and NumPy, and a few builtins, of scalars: each becomes what Numba makes of it."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from numgraph.lower.kinds import BOOL, FLOAT64, KINDS, Kind, Unsupported, Value, common
from numgraph.lower.operators import Builder, cast, compare

# What `emit` and the kernels call; the others have a vectorised version in the kernels.
# function -> LLVM intrinsic
INTRINSICS: dict[Any, str] = {
    math.copysign: "llvm.copysign", np.log2: "llvm.log2",
    np.floor: "llvm.floor", np.ceil: "llvm.ceil", np.trunc: "llvm.trunc", np.rint: "llvm.rint",
}  # fmt: skip
# function -> C function for float64; with "f" behind its name for float32
EXTERNALS: dict[Any, str] = {math.sqrt: "sqrt", np.sqrt: "sqrt", math.lgamma: "lgamma"}
# what calls convert to
CASTS: dict[Any, Kind] = {getattr(np, name): kind for name, kind in KINDS.items() if name != "bool"} | {
    bool: BOOL, float: FLOAT64, int: KINDS["int64"],
}  # fmt: skip


def call(builder: Builder, function: Any, values: Sequence[Value]) -> Value:
    """A call of a function that needs no source; Unsupported for any other."""
    if function in CASTS and len(values) == 1:
        return cast(builder, values[0], CASTS[function])
    if function in INTRINSICS:
        return _intrinsic(builder, INTRINSICS[function], values)
    if function in EXTERNALS:
        return _external(builder, EXTERNALS[function], values)
    special = _SPECIAL.get(function)
    if special is None:
        raise Unsupported(f"the function {getattr(function, '__name__', function)}")
    return special(builder, values)


def _floats(builder: Builder, values: Sequence[Value]) -> tuple[Kind, list[Any]]:
    """The arguments as floats of one kind: integers become float64."""
    wide = [v if v.kind.is_float else cast(builder, v, FLOAT64) for v in values]
    kind = wide[0].kind
    if any(v.kind != kind for v in wide):
        raise Unsupported("floats of two kinds")
    return kind, [v.llvm for v in wide]


def _intrinsic(builder: Builder, name: str, values: Sequence[Value]) -> Value:
    kind, arguments = _floats(builder, values)
    form = ir.FunctionType(kind.llvm, [kind.llvm] * len(arguments))
    function = builder.module.declare_intrinsic(name, [kind.llvm], form)
    return Value(kind, builder.call(function, arguments))


def _external(builder: Builder, name: str, values: Sequence[Value]) -> Value:
    kind, arguments = _floats(builder, values)
    symbol = name if kind == FLOAT64 else f"{name}f"
    function = builder.module.globals.get(symbol)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(kind.llvm, [kind.llvm] * len(arguments)), symbol)
        # so LLVM may use an instruction, and vectors
        for attribute in ("readonly", "nounwind"):
            function.attributes.add(attribute)
    return Value(kind, builder.call(function, arguments))


def _absolute(builder: Builder, values: Sequence[Value]) -> Value:
    (x,) = values
    if x.kind.is_float:
        return _intrinsic(builder, "llvm.fabs", values)
    if x.kind.signed:
        below = builder.icmp_signed("<", x.llvm, x.llvm.type(0))
        return Value(x.kind, builder.select(below, builder.neg(x.llvm), x.llvm))
    if x.kind.is_integer:
        return x
    raise Unsupported(f"abs of {x.kind.name}")


def _extreme(operator: ast.cmpop) -> Callable[[Builder, Sequence[Value]], Value]:
    """`min` or `max`: the first unless a later one is beyond it, as Python has it."""

    def made(builder: Builder, values: Sequence[Value]) -> Value:
        result = values[0]
        for value in values[1:]:
            kind = common(result.type, value.type)
            old, new = cast(builder, result, kind), cast(builder, value, kind)
            result = Value(kind, builder.select(compare(builder, operator, new, old).llvm, new.llvm, old.llvm))
        return result

    return made


def _remainder(builder: Builder, values: Sequence[Value]) -> Value:
    kind, (a, b) = _floats(builder, values)
    return Value(kind, builder.frem(a, b))


_SPECIAL: dict[Any, Callable[[Builder, Sequence[Value]], Value]] = {
    abs: _absolute,
    min: _extreme(ast.Lt()),
    max: _extreme(ast.Gt()),
    np.fmod: _remainder,
}

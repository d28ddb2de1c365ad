"""Operators and conversions of scalars as LLVM IR, instruction by instruction as Numba has them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from numgraph.lower.kinds import (
    BOOL,
    FLOAT64,
    INT64,
    Kind,
    Type,
    Unsupported,
    Value,
    arithmetic,
    comparison,
    logic,
)

Builder = Any


def constant(number: Any, kind: Kind) -> Value:
    """A number of a kind."""
    return Value(kind, ir.Constant(kind.llvm, float(number) if kind.is_float else int(number)))


def cast(builder: Builder, value: Value, target: Type) -> Value:
    """`value` converted; Unsupported where there is no conversion."""
    if value.type == target:
        return value
    if not isinstance(target, Kind):
        raise Unsupported(f"{value.type.name} to {target.name}")
    return Value(target, _converted(builder, value.llvm, value.kind, target))


def _converted(builder: Builder, x: Any, source: Kind, target: Kind) -> Any:
    if target == BOOL:
        zero = ir.Constant(x.type, 0.0 if source.is_float else 0)
        return builder.fcmp_unordered("!=", x, zero) if source.is_float else builder.icmp_unsigned("!=", x, zero)
    if source.is_float and target.is_float:
        return (builder.fpext if source.bits < target.bits else builder.fptrunc)(x, target.llvm)
    if source.is_float:
        return (builder.fptosi if target.signed else builder.fptoui)(x, target.llvm)
    if target.is_float:
        return (builder.sitofp if source.signed else builder.uitofp)(x, target.llvm)
    if source.bits == target.bits:
        return x
    if source.bits > target.bits:
        return builder.trunc(x, target.llvm)
    return (builder.sext if source.signed else builder.zext)(x, target.llvm)


def truth(builder: Builder, value: Value) -> Any:
    """The LLVM bool of a condition."""
    return cast(builder, value, BOOL).llvm


_ARITHMETIC: dict[type, tuple[str, str]] = {
    ast.Add: ("add", "fadd"), ast.Sub: ("sub", "fsub"), ast.Mult: ("mul", "fmul"),
}  # fmt: skip
# Small whole numbers are computed here: kernels ask whether a size is one.
_FOLDED: dict[type, Callable[[int, int], int]] = {
    ast.Add: lambda x, y: x + y, ast.Sub: lambda x, y: x - y, ast.Mult: lambda x, y: x * y,
    ast.FloorDiv: lambda x, y: x // y, ast.RShift: lambda x, y: x >> min(y, 63),
}  # fmt: skip
_BITS: dict[type, str] = {ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor"}
_ORDERED: dict[type, str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


def binary(builder: Builder, operator: ast.operator, a: Value, b: Value) -> Value:
    """`a OP b` of two scalars."""
    kind = type(operator)
    if kind in _FOLDED and a.type == b.type == INT64:
        x, y = (getattr(v.llvm, "constant", None) for v in (a, b))
        if isinstance(x, int) and isinstance(y, int) and 0 <= x < 2**31 and 0 < y < 2**31:
            return constant(_FOLDED[kind](x, y), INT64)
    if kind in _ARITHMETIC:
        return _arithmetic(builder, *_ARITHMETIC[kind], a, b)
    if kind in _BITS:
        target = logic(a.kind, b.kind)
        x, y = cast(builder, a, target), cast(builder, b, target)
        return Value(target, getattr(builder, _BITS[kind])(x.llvm, y.llvm))
    special = _SPECIAL.get(kind)
    if special is None:
        raise Unsupported(f"the operator {kind.__name__}")
    return special(builder, a, b)


def _arithmetic(builder: Builder, whole: str, real: str, a: Value, b: Value) -> Value:
    target = arithmetic(a.kind, b.kind)
    x, y = cast(builder, a, target).llvm, cast(builder, b, target).llvm
    if target.is_float:
        return Value(target, getattr(builder, real)(x, y))
    # integers wrap around: `kernels.support` has Numba leave out what says that they do not
    return Value(target, getattr(builder, whole)(x, y))


def _divided(builder: Builder, a: Value, b: Value) -> Value:
    target = arithmetic(a.kind, b.kind)
    target = target if target.is_float else FLOAT64
    return Value(target, builder.fdiv(cast(builder, a, target).llvm, cast(builder, b, target).llvm))


def _shifted(builder: Builder, a: Value, b: Value, left: bool) -> Value:
    if not (a.kind.is_integer and b.kind.is_integer):
        raise Unsupported("shift of what is no integer")
    target = Kind(f"{a.kind.family}64", a.kind.family, 64)
    x, y = cast(builder, a, target).llvm, cast(builder, b, target).llvm
    return Value(target, builder.shl(x, y) if left else builder.ashr(x, y) if target.signed else builder.lshr(x, y))


def _quotient(builder: Builder, a: Value, b: Value, remainder: bool) -> Value:
    """`a // b` and `a % b` of integers: rounded down, 0 for b = 0."""
    target = arithmetic(a.kind, b.kind)
    if target.is_float:
        raise Unsupported("floor division of floats")
    x, y = cast(builder, a, target).llvm, cast(builder, b, target).llvm
    if target.signed:
        return Value(target, _signed_quotient(builder, x, y, target, remainder))
    zero = y.type(0)
    safe = builder.select(builder.icmp_unsigned("==", y, zero), y.type(1), y)
    made = (builder.urem if remainder else builder.udiv)(x, safe)
    return Value(target, builder.select(builder.icmp_unsigned("==", y, zero), zero, made))


def _signed_quotient(builder: Builder, x: Any, y: Any, kind: Kind, remainder: bool) -> Any:
    """Without branches: a divisor of 0 or an overflowing -1 becomes 1 first; both give 0, as in Numba."""
    zero, one, minus = y.type(0), y.type(1), y.type(-1)
    if isinstance(y, ir.Constant) and y.constant > 0:
        wrong, safe = None, y
    else:
        overflow = builder.and_(
            builder.icmp_signed("==", x, y.type(-(2 ** (kind.bits - 1)))), builder.icmp_signed("==", y, minus)
        )
        wrong = builder.or_(overflow, builder.icmp_signed("==", y, zero))
        safe = builder.select(wrong, one, y)
    rest = builder.srem(x, safe)
    apart = builder.and_(builder.icmp_signed("!=", rest, zero), builder.icmp_signed("<", builder.xor(safe, rest), zero))
    if remainder:
        made = builder.select(apart, builder.add(rest, safe), rest)
    else:
        quotient = builder.sdiv(x, safe)
        made = builder.select(apart, builder.sub(quotient, one), quotient)
    return made if wrong is None else builder.select(wrong, zero, made)


_SPECIAL: dict[type, Callable[[Builder, Value, Value], Value]] = {
    ast.Div: _divided,
    ast.FloorDiv: lambda builder, a, b: _quotient(builder, a, b, False),
    ast.Mod: lambda builder, a, b: _quotient(builder, a, b, True),
    ast.LShift: lambda builder, a, b: _shifted(builder, a, b, True),
    ast.RShift: lambda builder, a, b: _shifted(builder, a, b, False),
}


def unary(builder: Builder, operator: ast.unaryop, a: Value) -> Value:
    """`-a`, `+a`, `~a` or `not a`."""
    kind = a.kind
    if isinstance(operator, ast.Not):
        return Value(BOOL, builder.not_(truth(builder, a)))
    if isinstance(operator, ast.USub) and kind.is_float:
        return Value(kind, builder.fsub(ir.Constant(kind.llvm, -0.0), a.llvm))
    if isinstance(operator, ast.Invert) and kind == BOOL:
        return Value(BOOL, builder.not_(a.llvm))
    if isinstance(operator, ast.USub | ast.Invert) and kind.is_integer:
        # first the operation, then the conversion to 64 bits
        made = builder.neg(a.llvm) if isinstance(operator, ast.USub) else builder.not_(a.llvm)
        return cast(builder, Value(kind, made), arithmetic(kind, kind))
    raise Unsupported(f"the operator {type(operator).__name__} of {kind.name}")


def compare(builder: Builder, operator: ast.cmpop, a: Value, b: Value) -> Value:
    """`a OP b`, a bool."""
    if type(operator) not in _ORDERED:
        raise Unsupported(f"the comparison {type(operator).__name__}")
    sign = _ORDERED[type(operator)]
    target = comparison(a.kind, b.kind)
    x, y = cast(builder, a, target).llvm, cast(builder, b, target).llvm
    if target.is_float:
        compared = builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered
        return Value(BOOL, compared(sign, x, y))
    return Value(BOOL, (builder.icmp_signed if target.signed else builder.icmp_unsigned)(sign, x, y))

"""Values in compiled code, with Numba's types; and Numba's rules for them, each asked for once in a process."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import errors, types

# A Numba type.
Type = Any
BOOL, INT64, UINT64, FLOAT64 = types.boolean, types.int64, types.uint64, types.float64


# How many implementations are remembered: users' functions are among them.
MOST_KNOWN = 4096


class Unsupported(errors.NumbaError):
    """Source that the direct pass does not know; Numba's own passes compile the function instead.

    Never seen by users.
    """


@dataclass(frozen=True, eq=False)
class Value:
    """A value in compiled code: its Numba type, and the LLVM value; a list of LLVM values for a tuple."""

    type: Type
    llvm: Any

    def parts(self) -> list[Value]:
        """The values of a tuple; Unsupported for anything else."""
        if not isinstance(self.type, types.BaseTuple):
            raise Unsupported(f"a tuple is wanted, not a {self.type}")
        return [Value(t, v) for t, v in zip(self.type.types, self.llvm, strict=True)]


def tuple_of(values: Sequence[Value]) -> Value:
    """The tuple of scalars."""
    return Value(types.Tuple.from_types([v.type for v in values]), [v.llvm for v in values])


def type_of(number: Any) -> Type:
    """The type of a Python or NumPy number as a constant; Unsupported for anything else."""
    if isinstance(number, bool):
        return BOOL
    if isinstance(number, int):
        if -(2**63) <= number < 2**64:
            return INT64 if number < 2**63 else UINT64
    elif type(number) is float:
        return FLOAT64
    elif type(number) is complex:
        return types.complex128
    elif hasattr(number, "dtype") and number.shape == ():
        return getattr(types, number.dtype.name)
    raise Unsupported(f"the constant {number!r}")


class Rules:
    """What Numba makes of operations, calls and conversions: its typing context, and implementations of a target."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.typing = context.typing_context
        self.known: dict[Any, tuple[Any, Any]] = {}
        self.unified: dict[tuple[Type, Type], Type] = {}
        self.forms: dict[Type, Any] = {}

    def form(self, kind: Type) -> Any:
        """The LLVM type of values of a type."""
        found = self.forms.get(kind)
        if found is None:
            if isinstance(kind, types.BaseTuple):
                found = ir.LiteralStructType([self.form(t) for t in kind.types])
            else:
                found = self.context.get_value_type(kind)
            self.forms[kind] = found
        return found

    def constant(self, number: Any, kind: Type | None = None) -> Value:
        """A Python or NumPy number, or a tuple of such."""
        if isinstance(number, tuple):
            return tuple_of([self.constant(v) for v in number])
        kind = kind or type_of(number)
        return Value(kind, self._constant(number, kind))

    def _constant(self, number: Any, kind: Type) -> Any:
        form = self.form(kind)
        if isinstance(kind, types.Complex):
            parts = zip(form.elements, (number.real, number.imag), strict=True)
            return ir.Constant(form, [ir.Constant(part, float(v)) for part, v in parts])
        return ir.Constant(form, float(number) if isinstance(kind, types.Float) else int(number))

    def common(self, a: Type, b: Type) -> Type:
        """The type of a variable that has two types at different places."""
        if a == b:
            return a
        if (a, b) not in self.unified:
            self.unified[a, b] = self.typing.unify_types(a, b)
        found = self.unified[a, b]
        if found is None or not isinstance(found, types.Number | types.Boolean):
            raise Unsupported(f"a variable that is {a} or {b}")
        return found

    def cast(self, builder: Any, value: Value, kind: Type) -> Any:
        """The LLVM value of `value` converted; Unsupported where there is no conversion."""
        if value.type == kind:
            return value.llvm
        if not (_is_scalar(value.type) and _is_scalar(kind)):
            raise Unsupported(f"{value.type} to {kind}")
        return self.context.cast(builder, value.llvm, value.type, kind)

    def truth(self, builder: Any, value: Value) -> Any:
        """The LLVM bool of a condition."""
        if not _is_scalar(value.type):
            raise Unsupported(f"a {value.type} as a condition")
        if value.type == BOOL:
            return value.llvm
        # what `bool` is; to find the type of that, Numba would load its dicts and lists
        return self.call(builder, operator.ne, [value, self.constant(0, value.type)]).llvm

    def call(self, builder: Any, function: Any, values: Sequence[Value]) -> Value:
        """The value of a call of what Numba has an implementation of: an operator, a function, a type, an intrinsic."""
        found = self.called(builder, function, values)
        if found is None:
            raise Unsupported(f"the value of {function!r}")
        return found

    def called(self, builder: Any, function: Any, values: Sequence[Value]) -> Value | None:
        """As `call`; None for a call that gives no value."""
        kinds = tuple(v.type for v in values)
        if function is operator.mul and any(isinstance(kind, types.Complex) for kind in kinds):
            return self._complex_product(builder, *values)
        if function in (operator.floordiv, operator.mod) and kinds == (INT64, INT64):
            return Value(INT64, floor_division(builder, function, *values))
        if getattr(function, "_prefer_literal", False):
            kinds = tuple(v.type if literal(v) is None else types.literal(literal(v)) for v in values)
        key = function, *kinds
        found = self.known.get(key)
        if found is None:
            if len(self.known) >= MOST_KNOWN:
                self.known.clear()
            found = self.known[key] = self._resolved(function, kinds)
        signature, implementation = found
        if len(signature.args) != len(values):
            raise Unsupported(f"{function!r} with {len(values)} arguments")
        arguments = [self._fitted(builder, v, t) for v, t in zip(values, signature.args, strict=True)]
        made = implementation(builder, arguments)
        let_wrap(made)
        self.context.add_linking_libs(getattr(implementation, "libs", ()))
        if signature.return_type in (types.none, types.void):
            return None
        if isinstance(signature.return_type, types.BaseTuple):
            made = [builder.extract_value(made, k) for k in range(len(signature.return_type))]
        return Value(signature.return_type, made)

    def _complex_product(self, builder: Any, a: Value, b: Value) -> Value:
        """a * b, as NumPy has it. Numba's own is a function that it compiles by its standard passes."""
        kind = self.common(a.type, b.type)
        (x, y), (u, v) = ([builder.extract_value(self.cast(builder, one, kind), k) for k in (0, 1)] for one in (a, b))
        real = builder.fsub(builder.fmul(x, u), builder.fmul(y, v))
        imag = builder.fadd(builder.fmul(x, v), builder.fmul(y, u))
        made = builder.insert_value(ir.Constant(self.form(kind), ir.Undefined), real, 0)
        return Value(kind, builder.insert_value(made, imag, 1))

    def _fitted(self, builder: Any, value: Value, kind: Type) -> Any:
        """An argument as an implementation takes it."""
        if not isinstance(kind, types.BaseTuple):
            return value.llvm if isinstance(kind, types.Literal | types.CPointer) else self.cast(builder, value, kind)
        parts = [self.cast(builder, v, t) for v, t in zip(value.parts(), kind.types, strict=True)]
        return self.context.make_tuple(builder, kind, parts)

    def _resolved(self, function: Any, kinds: tuple[Type, ...]) -> tuple[Any, Any]:
        """(signature, implementation) of a function for arguments of these types."""
        try:
            kind = self.typing.resolve_value_type(function)
            signature = self.typing.resolve_function_type(kind, kinds, {})
        except errors.NumbaError as error:
            raise Unsupported(f"{function!r}: {error}") from None
        if signature is None:
            raise Unsupported(f"{function!r} of {', '.join(map(str, kinds))}")
        if isinstance(kind, types.Dispatcher):
            return signature, _UserCall(self.context, kind.dispatcher.overloads[signature.args])
        return signature, self.context.get_function(kind, signature)


class _UserCall:
    """A call of a user's function that raises nothing (what raises is called through `kernels.users.checked`).

    compiled: what Numba has made of it. libs: with what it is linked.
    """

    def __init__(self, context: Any, compiled: Any) -> None:
        self.context, self.compiled, self.libs = context, compiled, [compiled.library]

    def __call__(self, builder: Any, arguments: Sequence[Any]) -> Any:
        signature = self.compiled.signature
        function = self.context.declare_function(builder.module, self.compiled.fndesc)
        _, result = self.context.call_conv.call_function(
            builder, function, signature.return_type, signature.args, arguments
        )
        return result


def _is_scalar(kind: Type) -> bool:
    return isinstance(kind, types.Number | types.Boolean)


def floor_division(builder: Any, function: Any, x: Value, y: Value) -> Any:
    """The LLVM value of x // y or x % y of int64, the same as Numba's: rounded down, and 0 where the divisor is 0 or
    the quotient is no int64. Numba's own is a dozen blocks, and a fourth of all instructions of a small function."""
    a, b = x.llvm, y.llvm
    zero, known = a.type(0), literal(y)
    if known is not None and known > 0:
        below = builder.ashr(builder.srem(a, b), a.type(63))
        if function is operator.floordiv:
            return builder.add(builder.sdiv(a, b), below)
        return builder.add(builder.srem(a, b), builder.and_(below, b))
    lowest = builder.icmp_signed("==", a, a.type(-(2**63)))
    none = builder.and_(lowest, builder.icmp_signed("==", b, a.type(-1)))
    none = builder.or_(none, builder.icmp_signed("==", b, zero))
    divisor = builder.select(none, a.type(1), b)
    rest = builder.srem(a, divisor)
    down = builder.icmp_signed("<", builder.xor(rest, divisor), zero)
    down = builder.and_(down, builder.icmp_signed("!=", rest, zero))
    if function is operator.floordiv:
        found = builder.sub(builder.sdiv(a, divisor), builder.zext(down, a.type))
    else:
        found = builder.add(rest, builder.select(down, divisor, zero))
    return builder.select(none, zero, found)


def let_wrap(instruction: Any) -> None:
    """Have integers wrap around: Numba tells LLVM that signed ones never do."""
    if "nsw" in getattr(instruction, "flags", ()):
        instruction.flags = [flag for flag in instruction.flags if flag != "nsw"]


def literal(value: Value) -> int | None:
    """The number that an integer always is, None where it is not known."""
    number = getattr(value.llvm, "constant", None)
    return number if isinstance(number, int) and isinstance(value.type, types.Integer) else None

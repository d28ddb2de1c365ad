"""Types of values in generated code, and Numba's rules for what an operation on them gives.

Generated source and kernels are compiled by Numba too, so its rules are the definition: integers compute in 64 bits,
float32 with an integer is float64, and so on. What is not here is refused (`Unsupported`), never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache as remember
from typing import Any

from llvmlite import ir


class Unsupported(Exception):
    """Source that this compiler does not know; Numba compiles the whole module instead.

    Never seen by users.
    """


@dataclass(frozen=True)
class Kind:
    """A scalar type: its NumPy name, "bool", "int", "uint" or "float", and its size in bits."""

    name: str
    family: str
    bits: int

    @property
    def is_integer(self) -> bool:
        """Whether it is an integer, bool apart."""
        return self.family in ("int", "uint")

    @property
    def is_float(self) -> bool:
        """Whether it is a float."""
        return self.family == "float"

    @property
    def signed(self) -> bool:
        """Whether it is a signed integer."""
        return self.family == "int"

    @property
    def llvm(self) -> Any:
        """The LLVM type."""
        return _llvm(self)


@remember
def _llvm(kind: Kind) -> Any:
    if kind.is_float:
        return ir.FloatType() if kind.bits == 32 else ir.DoubleType()
    return ir.IntType(kind.bits)


BOOL = Kind("bool", "bool", 1)
FLOAT32, FLOAT64 = Kind("float32", "float", 32), Kind("float64", "float", 64)
KINDS = {
    kind.name: kind
    for kind in (
        BOOL,
        FLOAT32,
        FLOAT64,
        *(Kind(f"int{n}", "int", n) for n in (8, 16, 32, 64)),
        *(Kind(f"uint{n}", "uint", n) for n in (8, 16, 32, 64)),
    )
}
INT64, UINT64 = KINDS["int64"], KINDS["uint64"]


@dataclass(frozen=True)
class Pointer:
    """The type of `f32(address)`: elements of a kind."""

    element: Kind

    @property
    def name(self) -> str:
        """As it stands in the name of a function."""
        return f"p_{self.element.name}"

    @property
    def llvm(self) -> Any:
        """The LLVM type."""
        return self.element.llvm.as_pointer()


@dataclass(frozen=True)
class Tuple:
    """The type of a tuple of scalars."""

    parts: tuple[Kind, ...]

    @property
    def name(self) -> str:
        """As it stands in the name of a function."""
        return "t_" + "_".join(part.name for part in self.parts)

    @property
    def llvm(self) -> Any:
        """The LLVM type."""
        return ir.LiteralStructType([part.llvm for part in self.parts])


Type = Kind | Pointer | Tuple


@dataclass(frozen=True, eq=False)
class Value:
    """A value in compiled code: its type, and the LLVM value; a list of LLVM values for a tuple."""

    type: Type
    llvm: Any

    @property
    def kind(self) -> Kind:
        """The type of a scalar; Unsupported for anything else."""
        if not isinstance(self.type, Kind):
            raise Unsupported(f"a number is wanted, not a {self.type.name}")
        return self.type

    def parts(self) -> list[Value]:
        """The values of a tuple; Unsupported for anything else."""
        if not isinstance(self.type, Tuple):
            raise Unsupported(f"a tuple is wanted, not a {self.type.name}")
        return [Value(kind, v) for kind, v in zip(self.type.parts, self.llvm, strict=True)]


def tuple_of(values: list[Value]) -> Value:
    """The tuple of scalars."""
    return Value(Tuple(tuple(v.kind for v in values)), [v.llvm for v in values])


def arithmetic(a: Kind, b: Kind) -> Kind:
    """In which kind `+ - * // %` of two kinds are computed, and what they give."""
    if a.is_float or b.is_float:
        return _float_of(a, b)
    if BOOL in (a, b) and a == b:
        return INT64
    return _integer_of(a, b)


def _float_of(a: Kind, b: Kind) -> Kind:
    """Of two kinds of which one is a float."""
    if a == b:
        return a
    if FLOAT64 in (a, b):
        return FLOAT64
    other = b if a == FLOAT32 else a
    return FLOAT32 if other.bits <= 16 and other.name != "uint16" else FLOAT64


def _integer_of(a: Kind, b: Kind) -> Kind:
    """Of two integers: 64 bits, without a sign where both are without."""
    if a.family == b.family == "uint":
        return UINT64
    return INT64


def logic(a: Kind, b: Kind) -> Kind:
    """What `& | ^` of two kinds give."""
    if a.is_float or b.is_float:
        raise Unsupported(f"bits of {a.name} and {b.name}")
    return BOOL if a == b == BOOL else _integer_of(a, b)


def comparison(a: Kind, b: Kind) -> Kind:
    """In which kind two kinds are compared, or one that gives the same answers."""
    if a == b:
        return a
    if a.is_float or b.is_float:
        return _float_of(a, b)
    if UINT64 in (a, b) and (a.signed or b.signed):
        return FLOAT64
    if a.family == b.family:
        return a if a.bits > b.bits else b
    return UINT64 if UINT64 in (a, b) else INT64


def common(a: Type, b: Type) -> Type:
    """The type of a variable that has two types at different places."""
    if a == b:
        return a
    if not (isinstance(a, Kind) and isinstance(b, Kind)):
        raise Unsupported(f"a variable that is {a.name} or {b.name}")
    if BOOL in (a, b):
        return b if a == BOOL else a
    if a.is_float or b.is_float:
        narrow = FLOAT32 in (a, b) and min(a.bits, b.bits) <= 16
        return FLOAT32 if narrow else FLOAT64
    if a.family == b.family:
        return a if a.bits > b.bits else b
    signed, unsigned = (a, b) if a.signed else (b, a)
    if unsigned.bits == 64:
        return FLOAT64
    return KINDS[f"int{max(signed.bits, 2 * unsigned.bits)}"]

"""The nodes of a loop program: expressions, statements and functions, each with its dtype and where it comes from.

Nodes are immutable, and know nothing of the target. `emit.printer` makes text of them. Pointers have the dtype of their
elements and a star, as in "float32*"; elements of bool arrays are "uint8" in memory. Addresses and lengths are "int64".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from numgraph.ir import Node
from numgraph.source import SourceLine


class Expression:
    """What has a value. `+`, `-`, `*`, `//` and `%` of expressions and whole numbers are expressions."""

    __slots__ = ()

    @property
    def dtype(self) -> str:
        """The dtype of the value."""
        raise NotImplementedError

    def __add__(self, other: Whole) -> Expression:
        added = whole(other)
        if isinstance(added, Binary) and added.sign in ("+", "-") and added.dtype == "int64":
            # whole numbers wrap around, so the order is free: a + b + c rather than a + (b + c)
            return Binary(added.sign, self + added.left, added.right)
        return Binary("+", self, added)

    def __sub__(self, other: Whole) -> Expression:
        return Binary("-", self, whole(other))

    def __mul__(self, other: Whole) -> Expression:
        return Binary("*", self, whole(other))

    def __floordiv__(self, other: Whole) -> Expression:
        return Binary("//", self, whole(other))

    def __mod__(self, other: Whole) -> Expression:
        return Binary("%", self, whole(other))

    def compared(self, sign: str, other: Whole) -> Expression:
        """`self < other` and the like."""
        return Compare(sign, self, whole(other))

    def __getitem__(self, index: Whole) -> Expression:
        return Load(self, whole(index))


Whole = Expression | int


@dataclass(frozen=True, slots=True)
class Name(Expression):
    """A variable, an argument or a constant of the module. plain: nobody has named it, so that its value may stand
    in its place."""

    text: str
    dtype: str = "int64"
    plain: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Number(Expression):
    """A number. role: what an argument in its place is called, where functions may be merged that differ in it: "at" (a
    slot of the table), "by" (bytes behind an address), "code" (of a failure), "c" (a factor); "" where they may not.
    name: of the constant that stands for it in text."""

    value: Any
    dtype: str = "int64"
    role: str = ""
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Load(Expression):
    """An element of memory, `pointer[index]`."""

    pointer: Expression
    index: Expression

    @property
    def dtype(self) -> str:
        """That of the elements."""
        return self.pointer.dtype.removesuffix("*")


@dataclass(frozen=True, slots=True)
class Unary(Expression):
    """`-x`, `~x`, `not x`."""

    sign: str
    operand: Expression

    @property
    def dtype(self) -> str:
        """That of the operand."""
        return self.operand.dtype


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    """`left sign right`, of one dtype."""

    sign: str
    left: Expression
    right: Expression

    @property
    def dtype(self) -> str:
        """That of the operands."""
        return self.left.dtype


@dataclass(frozen=True, slots=True)
class Compare(Expression):
    """`left < right` and the like."""

    sign: str
    left: Expression
    right: Expression
    dtype: str = "bool"


@dataclass(frozen=True, slots=True)
class Logic(Expression):
    """`a and b`, `a or b`. sign: "and" or "or"."""

    sign: str
    parts: tuple[Expression, ...]
    dtype: str = "bool"


@dataclass(frozen=True, slots=True)
class Choice(Expression):
    """`yes if condition else no`."""

    condition: Expression
    yes: Expression
    no: Expression

    @property
    def dtype(self) -> str:
        """That of either."""
        return self.yes.dtype


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """A call of a function, a conversion, or the making of a pointer from an address."""

    function: str
    arguments: tuple[Expression, ...]
    dtype: str = "int64"


@dataclass(frozen=True, slots=True)
class Several(Expression):
    """Several values, `(a, b)`."""

    parts: tuple[Expression, ...]
    dtype: str = "tuple"


# -- statements -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is done. note: the comment behind it; node: what it belongs to; lines: the user's lines."""

    note: str = ""
    node: Node | None = field(default=None, compare=False)
    lines: tuple[SourceLine, ...] = ()


@dataclass(frozen=True)
class Assign(Statement):
    """`target = value`; several targets take several values."""

    target: Name | tuple[Name, ...]
    value: Expression


@dataclass(frozen=True)
class Store(Statement):
    """`pointer[index] = value`."""

    pointer: Expression
    index: Expression
    value: Expression


@dataclass(frozen=True)
class Do(Statement):
    """A call whose result is not used."""

    call: Call


@dataclass(frozen=True)
class For(Statement):
    """`for counter in range(...)`. bounds: what `range` is given: the end, or start and end, and the step."""

    counter: Name
    bounds: tuple[Expression, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class While(Statement):
    """As long as a condition holds."""

    condition: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class If(Statement):
    """Statements under a condition, and others where it does not hold."""

    condition: Expression
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class Return(Statement):
    """The end of a function."""

    value: Expression | None = None


@dataclass(frozen=True)
class Continue(Statement):
    """The end of an iteration."""


@dataclass(frozen=True)
class Barrier(Statement):
    """All threads of a block wait for one another."""


@dataclass(frozen=True)
class Function:
    """A function. decorator: its name, "" for none; note: a comment behind the first line."""

    name: str
    arguments: tuple[Name, ...]
    body: tuple[Statement, ...]
    decorator: str = ""
    note: str = ""


# -- making ------------------------------------------------------------------------------------------------------------

TABLE = Name("table", "int64*")
REALS = Name("reals", "float64*")
ADDRESS = Name("address")


def whole(value: Whole) -> Expression:
    """A whole number as an expression."""
    return value if isinstance(value, Expression) else Number(value)


def fail(a: Whole, b: Whole, code: int) -> Return:
    """The end of a call that a condition about two numbers refuses."""
    return Return(Call("fail", (TABLE, whole(a), whole(b), Number(code, role="code"))))


# -- walking -----------------------------------------------------------------------------------------------------------


# By class of node, the fields that hold nodes, and those that say what it does.
_PARTS: dict[type[Any], tuple[str, ...]] = {}
_MEANING: dict[type[Any], tuple[str, ...]] = {}


def _parts(kind: type[Any]) -> tuple[str, ...]:
    """The fields that hold nodes."""
    found = _PARTS.get(kind)
    if found is None:
        inside = ("Expression", "Statement", "Name", "Call")
        found = _PARTS[kind] = tuple(f.name for f in fields(kind) if any(word in str(f.type) for word in inside))
    return found


def meaning(kind: type[Any]) -> tuple[str, ...]:
    """The fields of a class of nodes that say what it does: all but where a statement comes from."""
    if kind not in _MEANING:
        origin = {f.name for f in fields(Statement)}
        _MEANING[kind] = tuple(f.name for f in fields(kind) if f.name not in origin)
    return _MEANING[kind]


def children(node: Any) -> list[Any]:
    """The expressions and statements in a node, in order."""
    found: list[Any] = []
    for name in _parts(type(node)):
        part = getattr(node, name)
        if isinstance(part, tuple):
            found += part
        elif part is not None:
            found.append(part)
    return found


def walk(nodes: Iterable[Any]) -> Iterator[Any]:
    """All expressions and statements in some, outer ones first."""
    waiting = list(nodes)[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(children(node))


# By class of statement, the fields that hold statements.
_BODIES = {For: ("body",), While: ("body",), If: ("body", "otherwise")}


def bodies(statement: Statement) -> dict[str, tuple[Statement, ...]]:
    """The statements inside a statement, by the field that has them; nothing for one that has no body."""
    return {name: getattr(statement, name) for name in _BODIES.get(type(statement), ())}


def with_bodies(statement: Statement, change: Callable[[tuple[Statement, ...]], tuple[Statement, ...]]) -> Statement:
    """A statement with other bodies."""
    changed: dict[str, Any] = {name: change(body) for name, body in bodies(statement).items()}
    return replace(statement, **changed) if changed else statement


def statements_in(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Statements and those inside them, outer ones first."""
    for statement in statements:
        yield statement
        for body in bodies(statement).values():
            yield from statements_in(body)


def count_statements(functions: Iterable[Function]) -> int:
    """How many statements functions have."""
    return sum(1 for function in functions for _ in statements_in(function.body))


def rebuilt(node: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a node, in which `change` says what stands for each part; parts of parts come first. Nodes in which
    nothing changes are kept."""
    new: dict[str, Any] = {}
    for name in _parts(type(node)):
        part = getattr(node, name)
        if isinstance(part, tuple):
            made: Any = tuple(rebuilt(p, change) for p in part)
            same = all(a is b for a, b in zip(made, part, strict=True))
        else:
            made = part if part is None else rebuilt(part, change)
            same = made is part
        if not same:
            new[name] = made
    return change(replace(node, **new) if new else node)

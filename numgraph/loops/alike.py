"""Functions that differ in numbers only become one: the numbers in which they differ become arguments.

A long chain of operations gives many phases that differ in nothing but places in the table and in the arena, factors,
and codes of failures (`Number.role`). Their common body, the *shape*, is read once, and compiled once. Other numbers
are lengths, which LLVM makes use of: they must be equal. So must names be, since they are the user's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any

from numgraph.ir import MAX_LINES
from numgraph.loops.program import (
    Call,
    Expression,
    Function,
    Name,
    Number,
    Return,
    Statement,
    count_statements,
    meaning,
    rebuilt,
    statements_in,
    walk,
    with_bodies,
)
from numgraph.loops.scalar import literal
from numgraph.source import SourceLine

# Statements that a body has at least: a shorter one is read sooner than a call of it.
LEAST = 8
# Functions that a comment names.
NAMED = 4

Numbers = tuple[Number, ...]
# Numbers as text: 0.0 and -0.0 are not the same.
Texts = tuple[str, ...]


@dataclass(frozen=True)
class Use:
    """How a function is called, and the comment and the user's lines behind that."""

    call: Call
    note: str = ""
    lines: tuple[SourceLine, ...] = ()


@dataclass
class Group:
    """Functions that are alike, by the numbers in which they may differ."""

    members: dict[Texts, list[Function]] = field(default_factory=dict)
    numbers: list[Numbers] = field(default_factory=list)

    @property
    def firsts(self) -> list[Function]:
        """Of those that are the same the first one."""
        return [same[0] for same in self.members.values()]


@dataclass
class Merged:
    """What is printed in the place of each function, and how it is called, by its name."""

    printed: dict[str, list[Function]]
    calls: dict[str, Use]


def merge(functions: Sequence[Function]) -> Merged:
    """The functions, those that are the same or alike merged: before the first of those stands their shape.

    A function of chunks remains as one that calls the shape, for threads are given a function with these arguments; of
    one of the address nothing remains but its call.
    """
    merged = apart(functions)
    shapes = 0
    for group in _groups(functions):
        for first, *others in group.members.values():
            note = f"{first.note}; also {_listed(others)}" if others else first.note
            merged.printed[first.name] = [replace(first, note=note)]
        if len(group.members) > 1 and count_statements(group.firsts[:1]) >= LEAST:
            _share(f"shape_{shapes}", group, merged)
            shapes += 1
        for first, *others in group.members.values():
            for other in others:
                merged.printed[other.name] = []
                merged.calls[other.name] = _noted(merged.calls[first.name].call, other)
    return merged


def apart(functions: Sequence[Function]) -> Merged:
    """The functions as they are."""
    return Merged({f.name: [f] for f in functions}, {f.name: Use(Call(f.name, f.arguments)) for f in functions})


def _groups(functions: Sequence[Function]) -> list[Group]:
    """The functions, those together that are alike, in the order of the first ones; a group has two at least."""
    found: dict[object, Group] = defaultdict(Group)
    for function in functions:
        skeleton, numbers = _taken_apart(function)
        group, texts = found[skeleton], tuple(literal(n.value, n.dtype) for n in numbers)
        if texts not in group.members:
            group.numbers.append(numbers)
        group.members.setdefault(texts, []).append(function)
    return [group for group in found.values() if sum(map(len, group.members.values())) > 1]


def _taken_apart(function: Function) -> tuple[object, Numbers]:
    """What a function has in common with those that are alike, and the numbers in which it may differ."""
    numbers: list[Number] = []

    def common(node: Any) -> object:
        if isinstance(node, tuple):
            return tuple(map(common, node))
        if isinstance(node, Number) and node.role:
            numbers.append(node)
            return node.dtype, node.role
        if not isinstance(node, Expression | Statement):
            return node
        return type(node), *[common(getattr(node, name)) for name in meaning(type(node))]

    return (function.decorator, function.arguments, common(function.body)), tuple(numbers)


def _share(name: str, group: Group, merged: Merged) -> None:
    """Make one function of the body of a group, which each member calls with its numbers."""
    columns = zip(zip(*group.members, strict=True), zip(*group.numbers, strict=True), strict=True)
    first = group.firsts[0]
    taken = {node.text for node in walk(first.body) if isinstance(node, Name)}
    arguments = Arguments(taken | {argument.text for argument in first.arguments})
    names = [None if len(set(texts)) == 1 else arguments.name(texts, numbers) for texts, numbers in columns]
    shape = _shape(name, group, names, arguments)
    for place, function in enumerate(group.firsts):
        values = (_argument(numbers[place]) for numbers in arguments.numbers)
        use = _noted(Call(name, (*function.arguments, *values)), function)
        if len(function.arguments) == 1:
            merged.printed[function.name] = []
            merged.calls[function.name] = use
        else:
            (kept,) = merged.printed[function.name]
            merged.printed[function.name] = [replace(kept, body=(Return(use.call, lines=use.lines),))]
    merged.printed[first.name].insert(0, shape)


def _argument(number: Number) -> Number:
    """A number as an argument: floats are float64, which has every float32."""
    return replace(number, dtype="float64") if number.role == "c" else number


class Arguments:
    """The arguments of a shape, by the numbers of all members for which they stand."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        self.names: dict[tuple[str, Texts], Name] = {}
        self.numbers: list[Numbers] = []

    def name(self, texts: Texts, numbers: Numbers) -> Name:
        """The argument for these numbers."""
        role = numbers[0].role
        if (role, texts) not in self.names:
            text = next(n for n in (f"{role}{k}" for k in count()) if n not in self.taken)
            self.taken.add(text)
            self.names[role, texts] = Name(text, "float64" if role == "c" else "int64")
            self.numbers.append(numbers)
        return self.names[role, texts]


def _shape(name: str, group: Group, names: Sequence[Name | None], arguments: Arguments) -> Function:
    """The function with the common body. names: for each of its numbers the argument that stands for it."""
    first = group.firsts[0]
    alike = zip(*(statements_in(function.body) for function in group.firsts), strict=True)
    notes = {id(statements[0]): _note(first, statements) for statements in alike}
    places = iter(names)

    def change(node: Any) -> Any:
        if isinstance(node, Number) and node.role:
            argument = next(places)
            if argument is None:
                return node
            return Call(node.dtype, (argument,), node.dtype) if node.dtype != argument.dtype else argument
        return node

    def noted(statement: Statement) -> Statement:
        """With the comments of all, which are known by what the statement was."""
        return replace(statement, **notes[id(statement)]) if id(statement) in notes else statement

    body = tuple(rebuilt(_annotated(statement, noted), change) for statement in first.body)
    note = _listed(list(chain.from_iterable(group.members.values())))
    if all(function.note == first.note for function in group.firsts):
        note = f"{first.note}: {note}"
    return Function(name, (*first.arguments, *arguments.names.values()), body, "shape", note)


def _annotated(statement: Statement, noted: Callable[[Statement], Statement]) -> Statement:
    """A statement, and those in it, with other comments."""
    return with_bodies(noted(statement), lambda body: tuple(_annotated(part, noted) for part in body))


def _note(first: Function, statements: Sequence[Statement]) -> dict[str, Any]:
    """The comment and the user's lines of a statement of several functions."""
    note = statements[0].note
    if any(statement.note != note for statement in statements):
        note = f"{note} ({first.name})".lstrip()
    return {"note": note, "lines": _user_lines(statements)}


def _listed(functions: Sequence[Function]) -> str:
    """The names of the first of some functions, and how many more there are."""
    names = ", ".join(function.name for function in functions[:NAMED])
    return names + (f" and {len(functions) - NAMED} more" if len(functions) > NAMED else "")


def _noted(call: Call, function: Function) -> Use:
    """The call that stands for one of a function."""
    return Use(call, f"{function.name}: {function.note}", _user_lines(statements_in(function.body)))


def _user_lines(statements: Iterable[Statement]) -> tuple[SourceLine, ...]:
    """The user's lines behind several, as many as are kept for one."""
    return tuple(dict.fromkeys(chain.from_iterable(statement.lines for statement in statements)))[:MAX_LINES]

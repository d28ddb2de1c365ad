"""Expressions nest: what is used once stands where it is used, as long as the line stays short.

A statement for each operation is how the loop program is made, and hard to read. What the user has named keeps its
name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from numgraph.ir import MAX_LINES
from numgraph.loops.program import (
    Assign,
    Choice,
    Expression,
    For,
    Function,
    If,
    Load,
    Logic,
    Name,
    Statement,
    children,
    rebuilt,
    walk,
)

Fits = Callable[[Statement, int], bool]


def nested(function: Function, fits: Fits) -> Function:
    """The function with expressions in one another. fits: whether a statement, so many levels deep, is short enough."""
    return numbered(replace(function, body=Nesting(function, fits).of(function.body, 1)))


@dataclass
class Waiting:
    """A value that may move to where it is used. changes: whether it may be another one later: it reads memory, or what
    is assigned more than once."""

    statement: Assign
    changes: bool


class Nesting:
    """Nests the expressions of one function."""

    def __init__(self, function: Function, fits: Fits) -> None:
        self.fits = fits
        nodes = list(walk(function.body))
        targets = Counter(name.text for s in nodes if isinstance(s, Statement) for name in assigned(s))
        self.again = {text for text, count in targets.items() if count > 1}
        uses = Counter(node.text for node in nodes if isinstance(node, Name))
        # a target is a name in the statement, too
        self.once = {text for text, count in uses.items() if count == 2 and targets[text] == 1}

    def of(self, statements: Iterable[Statement], depth: int) -> tuple[Statement, ...]:
        """The statements of one body."""
        done: list[Statement] = []
        waiting: dict[str, Waiting] = {}
        for each in statements:
            statement = self._with_values(each, waiting, done, depth)
            if self._may_move(statement):
                assert isinstance(statement, Assign) and isinstance(statement.target, Name)
                waiting[statement.target.text] = Waiting(statement, self._changes(statement.value))
                continue
            inside = {name: getattr(statement, name) for name in ("body", "otherwise") if hasattr(statement, name)}
            writes = not isinstance(statement, Assign) or any(name.text in self.again for name in assigned(statement))
            for text in [text for text, w in waiting.items() if inside or (writes and w.changes)]:
                done.append(waiting.pop(text).statement)
            changed: dict[str, Any] = {name: self.of(body, depth + 1) for name, body in inside.items()}
            done.append(replace(statement, **changed) if inside else statement)
        return (*done, *(w.statement for w in waiting.values()))

    def _may_move(self, statement: Statement) -> bool:
        if not isinstance(statement, Assign) or not isinstance(statement.target, Name):
            return False
        return statement.target.plain and statement.target.text in self.once

    def _changes(self, value: Expression) -> bool:
        return any(isinstance(v, Load) or (isinstance(v, Name) and v.text in self.again) for v in walk([value]))

    def _with_values(
        self, statement: Statement, waiting: dict[str, Waiting], done: list[Statement], depth: int
    ) -> Statement:
        """A statement with the values that wait for it; those for which it would get too long are done before it."""
        movable = {n.text for part in direct(statement) for n in always(part) if isinstance(n, Name)}
        for text in [n.text for part in direct(statement) for n in walk([part]) if isinstance(n, Name)]:
            if text not in waiting:
                continue
            moved = waiting.pop(text).statement
            longer = statement
            if text in movable:
                lines = tuple(dict.fromkeys((*statement.lines, *moved.lines)))[:MAX_LINES]
                longer = replace(put(statement, text, moved.value), lines=lines)
            if longer is not statement and self.fits(longer, depth):
                statement = longer
            else:
                done.append(moved)
        return statement


def numbered(function: Function) -> Function:
    """The function with the names that nobody has given numbered without gaps."""
    nodes = [*function.arguments, *walk(function.body)]
    names = dict.fromkeys(node for node in nodes if isinstance(node, Name))
    plain = dict.fromkeys(t for s in nodes if isinstance(s, Assign) for t in assigned(s) if t.plain)
    taken = {name.text for name in names if name not in plain}
    counts: Counter[str] = Counter()
    new: dict[Name, Name] = {}
    for name in plain:
        stem = name.text.rstrip("0123456789")
        while (text := f"{stem}{counts[stem]}") in taken:
            counts[stem] += 1
        counts[stem] += 1
        new[name] = replace(name, text=text)

    def change(node: Any) -> Any:
        return new.get(node, node) if isinstance(node, Name) else node

    return replace(function, body=tuple(rebuilt(statement, change) for statement in function.body))


def assigned(statement: Statement) -> tuple[Name, ...]:
    """The names that a statement gives values."""
    if isinstance(statement, For):
        return (statement.counter,)
    if not isinstance(statement, Assign):
        return ()
    return statement.target if isinstance(statement.target, tuple) else (statement.target,)


def direct(statement: Statement) -> list[Expression]:
    """The expressions that a statement computes once, before what it does."""
    if isinstance(statement, For):
        return list(statement.bounds)
    if isinstance(statement, If):
        return [statement.condition]
    if isinstance(statement, Assign):
        return [statement.value]
    return (
        [part for part in children(statement) if isinstance(part, Expression)] if not hasattr(statement, "body") else []
    )


def always(expression: Expression) -> Iterator[Expression]:
    """The parts of an expression that are computed whatever the others are."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Choice):
            waiting.append(node.condition)
        elif isinstance(node, Logic):
            waiting.append(node.parts[0])
        else:
            waiting += children(node)


def put(statement: Statement, text: str, value: Expression) -> Statement:
    """A statement with a value in the place of a name."""

    def change(node: Any) -> Any:
        return value if isinstance(node, Name) and node.text == text else node

    if isinstance(statement, For):
        return replace(statement, bounds=tuple(rebuilt(bound, change) for bound in statement.bounds))
    if isinstance(statement, If):
        return replace(statement, condition=rebuilt(statement.condition, change))
    if isinstance(statement, Assign):
        return replace(statement, value=rebuilt(statement.value, change))
    found: Statement = rebuilt(statement, change)
    return found

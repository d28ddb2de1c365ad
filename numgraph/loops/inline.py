"""Expressions nest: what is used once stands where it is used, as long as the line stays short.

A statement for each operation is how the loop program is made, and hard to read. What the user has named keeps its
name. The order in which things are computed stays, so that LLVM makes the same of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from numgraph.ir import MAX_LINES
from numgraph.loops.program import (
    Assign,
    Choice,
    Expression,
    For,
    Function,
    If,
    Logic,
    Name,
    Statement,
    bodies,
    children,
    rebuilt,
    walk,
    with_bodies,
)

Fits = Callable[[Statement, int], bool]


def inlined(function: Function, fits: Fits) -> Function:
    """The function with expressions in one another. fits: whether a statement, so many levels deep, is short enough."""
    return numbered(replace(function, body=Inlining(function, fits).of(function.body, 1)))


class Inlining:
    """Inlines the expressions of one function, in the order in which they are computed."""

    def __init__(self, function: Function, fits: Fits) -> None:
        self.fits = fits
        nodes = list(walk(function.body))
        targets = Counter(name.text for s in nodes if isinstance(s, Statement) for name in assigned(s))
        uses = Counter(node.text for node in nodes if isinstance(node, Name))
        # a target is a name in the statement, too
        self.once = {text for text, count in uses.items() if count == 2 and targets[text] == 1}

    def of(self, statements: Iterable[Statement], depth: int) -> tuple[Statement, ...]:
        """The statements of one body."""
        done: list[Statement] = []
        # what may move to where it is used: all of it is done before anything else is
        waiting: dict[str, Assign] = {}
        for each in statements:
            statement = self._with_values(each, waiting, done, depth)
            if (
                isinstance(statement, Assign)
                and isinstance(statement.target, Name)
                and self._may_move(statement.target)
            ):
                waiting[statement.target.text] = statement
                continue
            done += [*waiting.values(), with_bodies(statement, lambda body: self.of(body, depth + 1))]
            waiting.clear()
        return (*done, *waiting.values())

    def _may_move(self, name: Name) -> bool:
        return name.plain and name.text in self.once

    def _with_values(
        self, statement: Statement, waiting: dict[str, Assign], done: list[Statement], depth: int
    ) -> Statement:
        """A statement with the last of the values that wait, as far as it uses them and does not get too long; the
        others that it uses are done before it, and so is what comes before them."""
        if not waiting:
            return statement
        used = {n.text for part in direct(statement) for n in always(part) if isinstance(n, Name)}
        while waiting and next(reversed(waiting)) in used:
            text, moved = waiting.popitem()
            lines = tuple(dict.fromkeys((*statement.lines, *moved.lines)))[:MAX_LINES]
            longer = replace(put(statement, text, moved.value), lines=lines)
            if not self.fits(longer, depth):
                waiting[text] = moved
                break
            statement = longer
        inside = {n.text for part in direct(statement) for n in walk([part]) if isinstance(n, Name)}
        last = max((k for k, text in enumerate(waiting) if text in inside), default=-1)
        for text in list(waiting)[: last + 1]:
            done.append(waiting.pop(text))
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
    if bodies(statement):
        return []
    return [part for part in children(statement) if isinstance(part, Expression)]


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

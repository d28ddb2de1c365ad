"""Loops that go on by the number of threads, and their counters.

They are `while` loops, since for a `range` with a step a device divides to count the rounds before it begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from numgraph.loops.program import Assign, Continue, For, If, Name, Statement, While, walk, with_bodies


def stepped(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Statements in which no loop has a step."""
    return tuple(new for statement in statements for new in _stepped(statement))


def _stepped(statement: Statement) -> Iterator[Statement]:
    inner = with_bodies(statement, stepped)
    if not isinstance(inner, For) or len(inner.bounds) < 3:
        yield inner
        return
    start, end, step = inner.bounds
    counter = inner.counter
    onward = Assign(counter, counter + step)
    yield Assign(counter, start)
    body = (*_going_on(inner.body, onward), onward)
    yield While(counter.compared("<", end), body, note=inner.note, node=inner.node, lines=inner.lines)


def _going_on(body: Iterable[Statement], onward: Statement) -> Iterator[Statement]:
    """The body of a loop in which every way to the next round counts it."""
    for statement in body:
        if isinstance(statement, Continue):
            yield onward
        # a Continue further inside belongs to a loop there
        yield with_bodies(statement, lambda b: tuple(_going_on(b, onward))) if isinstance(statement, If) else statement


def needed(statements: Iterable[Statement], loose: set[str]) -> tuple[Statement, ...]:
    """Statements without those that assign a name of `loose` which none behind them uses."""
    kept: list[Statement] = []
    used: set[str] = set()
    for statement in reversed(list(statements)):
        target = statement.target if isinstance(statement, Assign) else None
        if isinstance(target, Name) and target.text in loose and target.text not in used:
            continue
        kept.append(statement)
        used |= {node.text for node in walk([statement]) if isinstance(node, Name)}
    return tuple(reversed(kept))

"""Prints a loop program as Python: one printer for every target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from numgraph.emit.header import WIDTH
from numgraph.emit.writer import Line
from numgraph.loops import program as p
from numgraph.loops.shown import text

# Columns up to which expressions nest, what is longer being several statements; and those of the lines of arguments in
# a call that is wrapped.
NESTED, FILLED = 80, 88


def lines_of(statements: Iterable[p.Statement], indent: int = 0) -> Iterator[Line]:
    """Statements as lines."""
    for statement in statements:
        yield from _lines(statement, indent)


def _lines(statement: p.Statement, indent: int) -> Iterator[Line]:
    match statement:
        case p.Assign(target, value):
            targets = target if isinstance(target, tuple) else (target,)
            yield from _wrapped(statement, indent, f"{', '.join(t.text for t in targets)} = ", value)
        case p.Store(pointer, index, value):
            yield from _wrapped(statement, indent, f"{text(p.Load(pointer, index))} = ", value)
        case p.Do(call):
            yield from _wrapped(statement, indent, "", call)
        case p.For(counter, bounds, body):
            yield line_of(statement, indent, f"for {counter.text} in range({', '.join(map(text, bounds))}):")
            yield from lines_of(body, indent + 1)
        case p.While(condition, body):
            yield line_of(statement, indent, f"while {text(condition)}:")
            yield from lines_of(body, indent + 1)
        case p.If(condition, body, otherwise):
            yield line_of(statement, indent, f"if {text(condition)}:")
            yield from lines_of(body, indent + 1)
            if otherwise:
                yield Line(indent, "else:")
                yield from lines_of(otherwise, indent + 1)
        case p.Return(value):
            if value is None:
                yield line_of(statement, indent, "return")
            else:
                yield from _wrapped(statement, indent, "return ", value)
        case p.Continue():
            yield line_of(statement, indent, "continue")
        case p.Barrier():
            yield line_of(statement, indent, "cuda.syncthreads()")
        case _:
            raise AssertionError(statement)


def line_of(statement: p.Statement, indent: int, code: str) -> Line:
    """A line of a statement, with what stands behind it."""
    return Line(indent, code, statement.note, statement.lines, statement.node)


def _wrapped(statement: p.Statement, indent: int, start: str, value: p.Expression) -> Iterator[Line]:
    """A statement that ends with a value: on one line, or a call on several where that is too long."""
    shown = ", ".join(map(text, value.parts)) if isinstance(value, p.Several) and start == "return " else text(value)
    if len(start) + len(shown) <= WIDTH or not isinstance(value, p.Call) or not value.arguments:
        yield line_of(statement, indent, start + shown)
        return
    yield line_of(statement, indent, f"{start}{value.function}(")
    yield from _filled(_parts(value.arguments), indent + 1)
    yield Line(indent, ")")


def _parts(arguments: Iterable[p.Expression]) -> Iterator[str]:
    """Arguments, those of several values in as many parts as they have."""
    for argument in arguments:
        if isinstance(argument, p.Several) and len(argument.parts) > 1:
            first, *inner, last = map(text, argument.parts)
            yield from (f"({first}", *inner, f"{last})")
        else:
            yield text(argument)


def _filled(arguments: Iterable[str], indent: int) -> Iterator[Line]:
    """Arguments on as few lines as they fit."""
    line = ""
    for argument in arguments:
        if line and 4 * indent + len(line) + len(argument) + 3 > FILLED:
            yield Line(indent, f"{line},")
            line = ""
        line += f", {argument}" if line else argument
    yield Line(indent, line)


def fits(statement: p.Statement, depth: int) -> bool:
    """Whether a statement at a depth is short enough to be read at a glance; of one with a body the first line."""
    line = next(_lines(statement, depth))
    return len(line.code) + 4 * depth <= NESTED


def function_lines(function: p.Function) -> list[Line]:
    """A function, as lines."""
    decorated = [Line(0, f"@{function.decorator}")] if function.decorator else []
    arguments = ", ".join(argument.text for argument in function.arguments)
    head = [Line(0, f"def {function.name}({arguments}):", function.note)]
    if len(head[0].code) > WIDTH:
        parts = _filled((argument.text for argument in function.arguments), 1)
        head = [Line(0, f"def {function.name}(", function.note), *parts, Line(0, "):")]
    return [*decorated, *head, *lines_of(function.body, 1)]

"""The loop program as text, with dtypes: as it is made, and what is left of it after each transformation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from numgraph.emit.printer import line_of, lines_of
from numgraph.emit.writer import Line
from numgraph.loops.program import Assign, For, Function, If, Name, Statement, Store, While, count_statements
from numgraph.loops.shown import text


@dataclass
class Transformed:
    """The functions of a loop program after a transformation, whose name it has."""

    name: str
    functions: list[Function]


def steps_text(steps: Sequence[Transformed]) -> str:
    """All steps; of one the functions that it has changed."""
    lines: list[str] = []
    before: list[Function] = []
    for step in steps:
        count = count_statements(step.functions)
        lines += ["", f"-- {step.name}: {len(step.functions)} functions, {count} statements"]
        known = {id(function) for function in before}
        for function in step.functions:
            if id(function) not in known:
                lines += ["", *(line.text() for line in typed(function))]
        before = step.functions
    return "\n".join(lines[1:]) + "\n"


def typed(function: Function) -> list[Line]:
    """A function with the dtypes of its names."""
    arguments = ", ".join(map(_declared, function.arguments))
    decorated = f"@{function.decorator} " if function.decorator else ""
    return [Line(0, f"{decorated}{function.name}({arguments})", function.note), *_typed(function.body, 1)]


def _typed(statements: Sequence[Statement], indent: int) -> Iterator[Line]:
    for statement in statements:
        match statement:
            case Assign(target, value):
                targets = target if isinstance(target, tuple) else (target,)
                yield line_of(statement, indent, f"{', '.join(map(_declared, targets))} = {text(value)}")
            case Store(pointer, index, value):
                element = pointer[index]
                yield line_of(statement, indent, f"{text(element)}: {element.dtype} = {text(value)}")
            case For(counter, bounds, body):
                yield line_of(statement, indent, f"for {_declared(counter)} in {', '.join(map(text, bounds))}")
                yield from _typed(body, indent + 1)
            case If() | While():
                yield next(lines_of([statement], indent))
                yield from _typed(statement.body, indent + 1)
                if isinstance(statement, If) and statement.otherwise:
                    yield Line(indent, "else:")
                    yield from _typed(statement.otherwise, indent + 1)
            case _:
                yield from lines_of([statement], indent)


def _declared(name: Name) -> str:
    return f"{name.text}: {name.dtype}"

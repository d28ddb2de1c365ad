"""`Print`: values that calls of a function print, as outputs of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from numgraph.graph import Variable, toposort
from numgraph.ops.custom import PRINTED
from numgraph.program import Program
from numgraph.source import warn
from numgraph.text import printable


@dataclass(frozen=True)
class Prints:
    """What is printed of the last outputs of a program, and how the others are returned.

    lines: (message, attributes) of each. form, keys: as of a program.
    """

    lines: tuple[tuple[str, tuple[str, ...]], ...]
    form: str
    keys: tuple[str, ...]

    def own(self, outputs: Sequence[Any]) -> Any:
        """What a call returns for all outputs."""
        found = outputs[: len(outputs) - len(self.lines)]
        if self.form == "dict":
            return dict(zip(self.keys, found, strict=True))
        return found[0] if self.form == "single" else list(found) if self.form == "list" else None

    def show(self, outputs: Sequence[Any]) -> None:
        """Print what is to be printed of one call."""
        for (message, attributes), value in zip(self.lines, outputs[len(outputs) - len(self.lines) :], strict=True):
            array = np.asarray(value)
            for name in attributes:
                found = getattr(array, name)
                print(f"{message} {name} = {found() if callable(found) else found}")

    def calling(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call that prints."""

        def run(*args: Any, **named: Any) -> Any:
            outputs = call(*args, **named)
            self.show(outputs)
            return self.own(outputs)

        return run

    def swept(self, stacked: Sequence[Any]) -> Any:
        """What a sweep returns for its stacked outputs, with the lines of each step printed."""
        for step in range(len(stacked[-1])):
            self.show([each[step] for each in stacked])
        return self.own(stacked)


def with_prints(program: Program) -> Program:
    """The program with what it prints as further outputs; itself where that is nothing."""
    found: dict[Variable, None] = {}
    for node in toposort(program.results, stop=program.variables):
        if node.op is PRINTED:
            found[node] = None
        elif node.op is not None and node.op.loop:
            _warn_of(node)
    if not found:
        return program
    lines = tuple((printable(v.attrs["message"]), v.attrs["attributes"]) for v in found)
    borrowed = program.borrowed or (False,) * len(program.outputs)
    return replace(
        program,
        outputs=(*program.outputs, *found),
        form="list",
        keys=(),
        borrowed=(*borrowed, *(False for _ in found)),
        prints=Prints(lines, program.form, program.keys),
    )


def _warn_of(node: Variable) -> None:
    """Say that what a step prints is not printed."""
    loop = node.attrs["loop"]
    for inner in toposort([*loop.nexts, *loop.values]):
        if inner.op is PRINTED:
            message = printable(inner.attrs["message"])
            where = "inside of a scan or a branch"
            warn(f"Print({message!r}) prints nothing {where}: return the value, and print that of all steps")

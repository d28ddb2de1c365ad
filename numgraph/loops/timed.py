"""Clock reads in a loop program: one more transformation of what is finished, whose functions stay as they are.

Plans, steps, phases and chunks are timed, each under a number of its own. What begins and ends is told to two functions
in C whose addresses stand in the table (`runtime.times`): they know which thread calls them, and read the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numgraph.loops.chunks import CHUNK, CHUNKS
from numgraph.loops.entry import POINTER, STATUS
from numgraph.loops.processor import Phase, ProcessorProgram, within
from numgraph.loops.program import (
    ADDRESS,
    TABLE,
    Assign,
    Call,
    Do,
    Expression,
    Function,
    Name,
    Number,
    Return,
    Several,
    Statement,
    rebuilt,
    with_bodies,
)
from numgraph.loops.table import Layout


@dataclass(frozen=True)
class Span:
    """What is timed under one number.

    kind: "plan", "step", "phase" (from before its launch until after the joining of what chunks have accumulated, on
    the thread that called the function) or "chunk" (of a phase, on the thread that ran it).
    """

    kind: str
    name: str


@dataclass(frozen=True)
class Clocks:
    """How a program is timed. begins, ends, times: slots of the table, for the addresses of the two functions and of
    the memory that they write to. spans: by number."""

    begins: int
    ends: int
    times: int
    spans: list[Span]


def timed(program: ProcessorProgram, functions: Sequence[Function]) -> tuple[list[Function], Clocks]:
    """The functions of a program with clock reads: those of steps and of the loops of scans, and the entry, have them;
    those of plans and phases are as before. The layout has three more slots."""
    return Timing(program, functions).run()


class Timing:
    """The transformation of one program."""

    def __init__(self, program: ProcessorProgram, functions: Sequence[Function]) -> None:
        self.program = program
        self.functions = functions
        self.layout: Layout = program.layout
        self.names = {function.name for function in functions}
        begins, ends, times = map(self.layout.clock, ("begins", "ends", "times"))
        self.clocks = Clocks(begins, ends, times, [])

    def run(self) -> tuple[list[Function], Clocks]:
        """The functions, and how they are timed."""
        phases = {phase.name: phase for phase in within(self.program.phases) if phase.scan is not None}
        found: list[Function] = []
        for function in self.functions:
            kind, _, number = function.name.partition("_")
            if function.name in phases:
                found += self._around(function, phases[function.name].inner)
            elif kind == "step" and function.decorator == "jit":
                found += self._around(function, self.program.stages[int(number)])
                found.append(self._whole(function, kind))
            elif kind == "plan" and function.decorator == "jit":
                found += [function, self._whole(function, kind)]
            elif function.decorator == "entry":
                found.append(replace(function, body=tuple(rebuilt(s, self._timed_call) for s in function.body)))
            else:
                found.append(function)
        return found, self.clocks

    def _number(self, kind: str, name: str) -> int:
        self.clocks.spans.append(Span(kind, name))
        return len(self.clocks.spans) - 1

    def _told(self, slot: int, number: int, chunk: Expression, note: str = "") -> Do:
        """The call that tells that something begins or ends."""
        arguments = (self.layout.slot(self.clocks.times), Number(number), chunk)
        return Do(Call("call_at", (self.layout.slot(slot), Several(arguments))), note=note)

    def _between(self, number: int, inside: Sequence[Statement], chunk: Expression) -> list[Statement]:
        """Statements between two clock reads."""
        span = self.clocks.spans[number]
        what = f"chunk of {span.name}" if span.kind == "chunk" else span.name
        begins = self._told(self.clocks.begins, number, chunk, f"clock: {what}")
        return [begins, *inside, self._told(self.clocks.ends, number, chunk)]

    # -- functions around others --------------------------------------------------------------------------------

    def _whole(self, function: Function, kind: str) -> Function:
        """What is called in the place of a plan or a step."""
        inside = (Assign(STATUS, Call(function.name, (ADDRESS,))),)
        body = self._between(self._number(kind, function.name), inside, Number(0))
        note = f"{function.name}, timed"
        return Function(_timed(function.name), (ADDRESS,), (Assign(TABLE, POINTER), *body, Return(STATUS)), "jit", note)

    def _timed_call(self, node: Any) -> Any:
        """Calls of what is timed as a whole, in the entry."""
        if isinstance(node, Call) and node.function in self.names and node.function.startswith(("plan_", "step_")):
            return replace(node, function=_timed(node.function))
        return node

    def _chunks(self, phase: Phase, function: str) -> Function:
        """What threads run in the place of a chunk of a phase. function: what computes it."""
        given = (ADDRESS, CHUNK, CHUNKS)
        inside = (Assign(STATUS, Call(function, given)),)
        body = self._between(self._number("chunk", phase.name), inside, CHUNK)
        note = f"a chunk of {phase.name}, timed"
        return Function(_timed(phase.name), given, (Assign(TABLE, POINTER), *body, Return(STATUS)), "divided", note)

    # -- phases within a function -------------------------------------------------------------------------------

    def _around(self, function: Function, phases: Iterable[Phase]) -> list[Function]:
        """The function with clock reads around the phases that it calls, in their order, and behind those that run
        chunks of them."""
        waiting, added = iter(phases), list[Function]()
        body = self._body(function.body, waiting, added)
        assert next(waiting, None) is None, f"{function.name} does not call all of its phases"
        if not body or not (isinstance(body[0], Assign) and body[0].target == TABLE):
            body = (Assign(TABLE, POINTER), *body)
        return [*added, replace(function, body=body)]

    def _body(self, body: Iterable[Statement], phases: Iterator[Phase], added: list[Function]) -> tuple[Statement, ...]:
        done: list[Statement] = []
        statements = iter(body)
        for statement in statements:
            if self._called(statement) is None:
                done.append(with_bodies(statement, lambda b: self._body(b, phases, added)))
                continue
            phase = next(phases)
            inside = [self._launching(phase, statement, added)]
            while phase.joining is not None and (len(inside) == 1 or self._called(inside[-1]) is None):
                inside.append(next(statements))
            done += self._between(self._number("phase", phase.name), inside, Number(0))
        return tuple(done)

    def _called(self, statement: Statement) -> str | None:
        """The function of a phase or of a joining that a statement calls, or launches; None for none."""
        value = statement.call if isinstance(statement, Do) else getattr(statement, "value", None)
        if not isinstance(value, Call) or isinstance(statement, Return):
            return None
        if value.function == "launch":
            launched = value.arguments[1]
            assert isinstance(launched, Name)
            return launched.text
        # the plan of a step of a scan belongs to the loop
        known = value.function in self.names and not value.function.endswith("_step")
        return value.function if known else None

    def _launching(self, phase: Phase, statement: Statement, added: list[Function]) -> Statement:
        """The statement that calls a phase, or launches its chunks with what times them."""
        called = self._called(statement)
        if phase.nest is None:
            return statement
        assert called is not None
        chunks = self._chunks(phase, called)
        added.append(chunks)

        def change(node: Any) -> Any:
            return Name(chunks.name) if isinstance(node, Name) and node.text == called else node

        changed: Statement = rebuilt(statement, change)
        return changed


def _timed(name: str) -> str:
    return f"timed_{name}"

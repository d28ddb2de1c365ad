"""What holds the phases together: the step, several steps in one call, and the entry that Python calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numgraph.convention import BEGIN, END, GROW, LAUNCH, WORDS, WORK
from numgraph.loops.alike import Use
from numgraph.loops.program import (
    ADDRESS,
    REALS,
    TABLE,
    Assign,
    Call,
    Choice,
    Compare,
    Do,
    Expression,
    Function,
    If,
    Logic,
    Name,
    Number,
    Return,
    Statement,
    Store,
    While,
    whole,
)
from numgraph.loops.table import Layout
from numgraph.schedule.plan import Schedule
from numgraph.types import FLOATS


def sweeps(schedule: Schedule) -> bool:
    """Whether many steps can run in one native call: one stage, outputs of known lengths, every update in place."""
    return not sweep_obstacle(schedule)


def sweep_obstacle(schedule: Schedule) -> str:
    """Why many steps cannot run in one native call; "" where they can."""
    if len(schedule.stages) != 1:
        return "a length is the result of a computation"
    if not all(isinstance(schedule.graph.find(n), int) for node in schedule.outputs for n in node.dims):
        return "the lengths of an output are known only at the call"
    moved = [u for u in schedule.updates if u.how not in ("in place", "none")]
    if moved:
        names = [schedule.graph.names.get(schedule.shared[u.slot]) or "a shared variable" for u in moved]
        return f"the update of {', '.join(dict.fromkeys(names))} is not in place"
    return ""


STATUS, PART, ITEMS = Name("status"), Name("part"), Name("items")
OBJECTS, MANY = Name("objects", "int64*"), Name("many", "bool")
POINTER = Call("i64", (ADDRESS,), "int64*")


def call(function: str, *arguments: Expression) -> Call:
    """A call of a generated function, or of one of `kernels.support`."""
    return Call(function, arguments)


def step_function(layout: Layout, stage: int, phases: Sequence[Any], uses: Mapping[str, Use]) -> Function:
    """The function that runs the phases of a stage in order. uses: how each is called, or launched for its chunks."""
    body: list[Statement] = []
    made = {key: place for key, place in layout.made_addresses.items() if layout.made_stage[key] == stage}
    if made or any(phase.nest is not None for phase in phases):
        body.append(Assign(TABLE, POINTER))
    for (kind, number), target in made.items():
        place = layout.outputs[number] if kind == "output" else layout.fresh[number]
        address = call("argument_address", TABLE, layout.at(place))
        body.append(layout.stored(target, address, f"where {kind} {number} lies"))
    for phase in phases:
        body += phase_call(layout, phase, uses)
    return Function(f"step_{stage}", (ADDRESS,), (*body, Return(Number(0))), "jit", "everything, in order")


def phase_call(layout: Layout, phase: Any, uses: Mapping[str, Use]) -> list[Statement]:
    """The call of a phase, or of what launches its chunks."""
    return _divided_call(layout, phase, uses) if phase.nest is not None else call_of(uses[phase.name], phase.fails)


def call_of(use: Use, fails: bool, answer: Expression = STATUS) -> list[Statement]:
    """The call of a phase, or its launch; where it may fail, the end of the step with an answer."""
    if not fails:
        return [Do(use.call, note=use.note, lines=use.lines)]
    note = "" if answer is STATUS else "what fails first in order"
    return [
        Assign(STATUS, use.call, note=use.note, lines=use.lines),
        If(STATUS.compared("!=", 0), (Return(answer, note=note),)),
    ]


def _divided_call(layout: Layout, phase: Any, uses: Mapping[str, Use]) -> list[Statement]:
    use = uses[phase.name]
    function, count = Name(use.call.function), layout.slot(layout.chunk_count(phase.nest))
    launch = Use(call("launch", layout.slot(LAUNCH), function, ADDRESS, count, layout.slot(WORK)), use.note, use.lines)
    body = call_of(launch, phase.fails, call(function.text, ADDRESS, Number(0), Number(1)))
    if phase.joining is not None:
        join = uses[phase.joining]
        body.append(Do(join.call, note=join.note, lines=join.lines))
    return body


def entry_function(layout: Layout, stages: int, with_sweep: bool) -> Function:
    """The function that Python calls: for parts of a call, one call, or many, whose arguments and places of outputs are
    rows of words. One call may come with a tuple of its arguments and the arrays for its outputs."""
    table, part = Name("table_object"), Name("part_object")
    body: list[Statement] = [Assign(ADDRESS, call("table_of", table)), Assign(TABLE, POINTER)]
    note = "2k: plan of stage k; 2k+1: its step; -1: one call; -2: many"
    if stages == 1:
        body += _taken(layout, part, note)
    else:
        body.append(Assign(PART, call("from_python", part), note=note))
    for k in range(stages):
        lock, result = Name("lock"), Name("result")
        body.append(If(PART.compared("==", 2 * k), (Return(call("to_python", call(f"plan_{k}", ADDRESS))),)))
        step = (
            Assign(lock, call("unlock", layout.slot(WORK)), note="lets Python's other threads run, when it takes long"),
            Assign(result, call(f"step_{k}", ADDRESS)),
            Do(call("relock", lock)),
            Return(call("to_python", result)),
        )
        body.append(If(PART.compared("==", 2 * k + 1), step))
    body += _calls(layout) if with_sweep else _one_call(layout)
    return Function("enter", (table, part), tuple(body), "entry", "called by Python with two objects")


def _taken(layout: Layout, part: Name, note: str) -> list[Statement]:
    """Where the entry got a tuple, its objects go into the table; then which part of a call is wanted."""
    kinds = [
        (place, node.dtype if node.kind == "scalar" else "")
        for place, node in zip(layout.arguments, layout.inputs, strict=True)
    ]
    kinds += [(place, "") for place in layout.outputs]
    taken: list[Statement] = []
    for k, (place, dtype) in enumerate(kinds):
        item = OBJECTS[k]
        if dtype in FLOATS:
            taken.append(Store(REALS, layout.at(place), Call("real_of", (item,), "float64")))
        else:
            taken.append(layout.stored(place, call("from_python", item) if dtype else item))
    body: list[Statement] = []
    if any(isinstance(statement, Store) and statement.pointer is REALS for statement in taken):
        body.append(Assign(REALS, Call("f64", (ADDRESS,), "float64*")))
    there = ITEMS.compared("!=", 0)
    body.append(Assign(ITEMS, call("items_of", part), note="of a tuple: the arguments, and arrays for the outputs"))
    if taken:
        body.append(If(there, (Assign(OBJECTS, Call("i64", (ITEMS,), OBJECTS.dtype)), *taken)))
    return [*body, Assign(PART, Choice(there, Number(-1), call("from_python", part)), note=note)]


def _grown(layout: Layout) -> list[Statement]:
    """The plan, and whether the arena is large enough for what it found."""
    fits = layout.slot(layout.needed[0]).compared(">", layout.slot(layout.capacity[0]))
    return [
        Assign(STATUS, call("plan_0", ADDRESS)),
        If(Logic("and", (_good(), fits)), (Assign(STATUS, Number(GROW), note="the arena must grow"),)),
    ]


def _good() -> Compare:
    return Compare("==", STATUS, whole(0))


def _unlocked(name: str, how: Expression) -> tuple[Statement, ...]:
    """The step, while Python's other threads may run."""
    lock = Name(name)
    return (
        Assign(lock, call("unlock", how)),
        Assign(STATUS, call("step_0", ADDRESS)),
        Do(call("relock", lock)),
    )


def _one_call(layout: Layout) -> list[Statement]:
    step = If(_good(), _unlocked("unlocked", layout.slot(WORK)))
    return [*_grown(layout), step, Return(call("to_python", STATUS))]


def _calls(layout: Layout) -> list[Statement]:
    places = [*layout.arguments, *layout.outputs]
    words, number, end, unlocked = Name("words", "int64*"), Name("call"), Name("end"), Name("unlocked")
    row = [layout.stored(place, words[number * len(places) + k]) for k, place in enumerate(places)]
    step = (
        *([If(MANY, tuple(row))] if row else []),
        *_grown(layout),
        If(_good(), _unlocked("own_lock", Choice(MANY, Number(0), layout.slot(WORK)))),
        If(_good(), (Assign(number, number + 1),)),
    )
    return [
        Assign(MANY, PART.compared("==", -2)),
        Assign(
            words,
            Call("i64", (layout.slot(WORDS),), "int64*"),
            note="a row for each of many calls: arguments, places of outputs",
        ),
        Assign(number, Choice(MANY, layout.slot(BEGIN), Number(0))),
        Assign(end, Choice(MANY, layout.slot(END), Number(1))),
        Assign(unlocked, call("unlock", Choice(MANY, Number(-1), Number(0)))),
        Assign(STATUS, Number(0)),
        While(Logic("and", (number.compared("<", end), _good())), step),
        Do(call("relock", unlocked)),
        If(MANY, (layout.stored(BEGIN, number, "the first that did not run"),)),
        Return(call("to_python", STATUS)),
    ]

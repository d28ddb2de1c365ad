"""Prints what holds the phases together: the step, several steps in one call, and the entry that Python calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from numgraph.emit.table import BEGIN, END, LAUNCH, WORDS, WORK, Layout
from numgraph.emit.writer import Call, Line
from numgraph.schedule.plan import Schedule
from numgraph.types import FLOATS

# What the entry answers instead of a status when the arena is too small; it has changed nothing then.
GROW = -1


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


def step_lines(layout: Layout, stage: int, phases: Sequence[Any], calls: Mapping[str, Call]) -> list[Line]:
    """The function that runs the phases of a stage in order. calls: how each is called, or launched for its shares."""
    lines = [Line(0, "@jit"), Line(0, f"def step_{stage}(address):", "everything, in order")]
    made = {key: slot for key, slot in layout.made_addresses.items() if layout.made_stage[key] == stage}
    if made or any(phase.block is not None for phase in phases):
        lines.append(Line(1, "table = i64(address)"))
    for (kind, number), target in made.items():
        slot = layout.outputs[number] if kind == "output" else layout.fresh[number]
        code = f"table[{target}] = argument_address(table, {slot})"
        lines.append(Line(1, code, f"where {kind} {number} lies"))
    for phase in phases:
        lines += _divided_call(layout, phase, calls) if phase.block is not None else _call(phase, calls)
    return [*lines, Line(1, "return 0")]


def joining(phase: str) -> str:
    """The name of the function that joins what the shares of a phase have accumulated."""
    return phase.replace("phase", "join")


def _call(phase: Any, calls: Mapping[str, Call]) -> list[Line]:
    call = calls[phase.name]
    if not phase.fails:
        return call.lines(1)
    return [*call.lines(1, "status = "), Line(1, "if status != 0:"), Line(2, "return status")]


def _divided_call(layout: Layout, phase: Any, calls: Mapping[str, Call]) -> list[Line]:
    function = calls[phase.name]
    arguments = (f"table[{LAUNCH}]", function.name, "address", f"table[{layout.share_count(phase.block)}]")
    launch = replace(function, name="launch", arguments=arguments)
    lines = launch.lines(1)
    if phase.fails:
        lines = [
            *launch.lines(1, "status = "),
            Line(1, "if status != 0:"),
            Line(2, f"return {function.name}(address, 0, 1)", "what fails first in order"),
        ]
    if layout.schedule.sharing[phase.block].partial:
        lines += calls[joining(phase.name)].lines(1)
    return lines


def entry_lines(layout: Layout, stages: int, with_sweep: bool) -> list[Line]:
    """The function that Python calls: for parts of a call, one call, or many, whose arguments and places of outputs are
    rows of words. One call may come with a tuple of its arguments and the arrays for its outputs."""
    lines = [
        Line(0, "@entry"),
        Line(0, "def enter(table_object, part_object):", "called by Python with two objects"),
        Line(1, "address = table_of(table_object)"),
        Line(1, "table = i64(address)"),
        *(_taken(layout) if stages == 1 else [Line(1, "part = from_python(part_object)")]),
    ]
    lines[-1].comment = "2k: plan of stage k; 2k+1: its step; -1: one call; -2: many"
    for k in range(stages):
        lines += [
            Line(1, f"if part == {2 * k}:"),
            Line(2, f"return to_python(plan_{k}(address))"),
            Line(1, f"if part == {2 * k + 1}:"),
            Line(2, f"lock = unlock(table[{WORK}])", "lets Python's other threads run, when it takes long"),
            Line(2, f"result = step_{k}(address)"),
            Line(2, "relock(lock)"),
            Line(2, "return to_python(result)"),
        ]
    return lines + (_calls(layout) if with_sweep else _one_call(layout))


def _taken(layout: Layout) -> list[Line]:
    """Where the entry got a tuple, its objects go into the table; then which part of a call is wanted."""
    kinds = [
        (slot, "" if node.dims else node.dtype) for slot, node in zip(layout.arguments, layout.inputs, strict=True)
    ]
    kinds += [(slot, "") for slot in layout.outputs]
    lines = []
    for k, (slot, dtype) in enumerate(kinds):
        if dtype in FLOATS:
            lines.append(Line(2, f"reals[{slot}] = real_of(objects[{k}])"))
        else:
            lines.append(Line(2, f"table[{slot}] = {f'from_python(objects[{k}])' if dtype else f'objects[{k}]'}"))
    return [
        *([Line(1, "reals = f64(address)")] if any("reals" in line.code for line in lines) else []),
        Line(1, "items = items_of(part_object)", "of a tuple: the arguments, and arrays for the outputs"),
        *([Line(1, "if items != 0:"), Line(2, "objects = i64(items)"), *lines] if lines else []),
        Line(1, "part = -1 if items != 0 else from_python(part_object)"),
    ]


def _grown(layout: Layout, indent: int) -> list[Line]:
    """The plan, and whether the arena is large enough for what it found."""
    needed, capacity = layout.needed[0], layout.capacity[0]
    return [
        Line(indent, "status = plan_0(address)"),
        Line(indent, f"if status == 0 and table[{needed}] > table[{capacity}]:"),
        Line(indent + 1, f"status = {GROW}", "the arena must grow"),
    ]


def _one_call(layout: Layout) -> list[Line]:
    return [
        *_grown(layout, 1),
        Line(1, "if status == 0:"),
        Line(2, f"unlocked = unlock(table[{WORK}])"),
        Line(2, "status = step_0(address)"),
        Line(2, "relock(unlocked)"),
        Line(1, "return to_python(status)"),
    ]


def _calls(layout: Layout) -> list[Line]:
    slots = [*layout.arguments, *layout.outputs]
    return [
        Line(1, "many = part == -2"),
        Line(1, f"words = i64(table[{WORDS}])", "a row for each of many calls: arguments, places of outputs"),
        Line(1, f"call = table[{BEGIN}] if many else 0"),
        Line(1, f"end = table[{END}] if many else 1"),
        Line(1, "unlocked = unlock(-1 if many else 0)"),
        Line(1, "status = 0"),
        Line(1, "while call < end and status == 0:"),
        *([Line(2, "if many:")] if slots else []),
        *(Line(3, f"table[{slot}] = words[call * {len(slots)} + {k}]") for k, slot in enumerate(slots)),
        *_grown(layout, 2),
        Line(2, "if status == 0:"),
        Line(3, f"own_lock = unlock(0 if many else table[{WORK}])"),
        Line(3, "status = step_0(address)"),
        Line(3, "relock(own_lock)"),
        Line(2, "if status == 0:"),
        Line(3, "call += 1"),
        Line(1, "relock(unlocked)"),
        Line(1, "if many:"),
        Line(2, f"table[{BEGIN}] = call", "the first that did not run"),
        Line(1, "return to_python(status)"),
    ]

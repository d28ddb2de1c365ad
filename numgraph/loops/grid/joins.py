"""What the lanes of a block of threads have accumulated, joined in shared memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numgraph.loops.build import in_order, position_of
from numgraph.loops.grid.kernel import LANE, LANES
from numgraph.loops.program import (
    Assign,
    Barrier,
    Call,
    Compare,
    Function,
    If,
    Load,
    Logic,
    Name,
    Number,
    Return,
    Several,
    Statement,
    Store,
    Unary,
    While,
)
from numgraph.loops.scalar import formula
from numgraph.loops.values import as_read, as_stored
from numgraph.schedule.tasks import Reduction

if TYPE_CHECKING:
    from numgraph.loops.grid.nests import Work


def joined(work: Work, task: Reduction, name: Name, width: int) -> Name:
    """Join what lanes have accumulated, those `width` apart; returns the joined value. It is right in all lanes."""
    form, dtype, helpers = task.form, name.dtype, work.kernel.helpers
    function = f"join_{task.node.name}_{dtype}"
    if function not in helpers:
        helpers[function] = join_function(task, function, dtype)
    result = Name(work.values.names.fresh("joined", partner="_at" if form.position else ""), dtype)
    origin = work.values.origin(task.node, task.node.name)
    if form.position:
        call = Call(function, (name, position_of(name), LANE, Number(width)), dtype)
        work.values.add(Assign((result, position_of(result)), call, **origin))
    else:
        work.values.add(Assign(result, Call(function, (name, LANE, Number(width)), dtype), **origin))
    return result


def join_function(task: Reduction, function: str, dtype: str) -> Function:
    """The function that joins what lanes have, `width` apart, in shared memory: halves are laid upon each other."""
    form = task.form
    cell = "uint8" if dtype == "bool" else dtype
    memory, at, half = Name("memory", f"{cell}*"), Name("at", "int64*"), Name("half")
    width, value, position = Name("width"), Name("value", dtype), Name("position")
    mine, other = Load(memory, LANE), Load(memory, LANE + half)
    combined = in_order(task, as_read(mine, dtype), as_read(other, dtype))
    merged: Statement = Store(memory, LANE, as_stored(combined, dtype))
    start: list[Statement] = [Assign(memory, shared_array(cell)), Store(memory, LANE, as_stored(value, dtype))]
    if form.position:
        better = formula(form.combine, {"acc": mine, "x": other}, "bool")
        worse = formula(form.combine, {"acc": other, "x": mine}, "bool")
        earlier = Compare("<", at[LANE + half], at[LANE])
        first = Logic("or", (better, Logic("and", (Unary("not", worse), earlier))))
        merged = If(first, (Store(memory, LANE, other), Store(at, LANE, at[LANE + half])))
        start += [Assign(at, shared_array("int64")), Store(at, LANE, position)]
    step = (If(LANE.compared("<", half), (merged,)), Barrier(), Assign(half, half // 2))
    result, found = Name("result", dtype), Name("found")
    body = (
        *start,
        Barrier(),
        Assign(half, LANES // 2),
        While(half.compared(">=", width), step),
        Assign(result, as_read(memory[LANE % width], dtype)),
        *((Assign(found, at[LANE % width]),) if form.position else ()),
        Barrier(),
        Return(Several((result, found)) if form.position else result),
    )
    arguments = (value, position, LANE, width) if form.position else (value, LANE, width)
    return Function(function, arguments, body, "helper", f"{form.combine}, of lanes `width` apart")


def shared_array(dtype: str) -> Call:
    """Memory of a block of threads, an element for each."""
    return Call("cuda.shared.array", (LANES, Name(dtype, "dtype")), f"{dtype}*")

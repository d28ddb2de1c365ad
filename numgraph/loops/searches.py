"""Where the largest or smallest of many numbers is: which it is, in vectors, and then where it is first.

One loop that keeps both goes number by number; of two, the first reads eight at a time, and the second ends at what it
looks for.
"""

from __future__ import annotations

from numgraph.ir import Node
from numgraph.lengths.sources import scalar_nodes
from numgraph.loops.program import Assign, Call, For, Logic, Name, Number, While
from numgraph.loops.scalar import formula
from numgraph.loops.values import Body, Values
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.tasks import Reduction
from numgraph.types import FLOATS

# Numbers from which on two loops are faster.
MANY = 64
# What a reduction that starts there looks for: among floats, and among integers.
KEPT = {"lowest": ("largest", "maximum(acc, x)"), "highest": ("smallest", "minimum(acc, x)")}


def searched(values: Values, nest: LoopNest, level: int) -> Reduction | None:
    """The task of a loop that does nothing but find the place of a number in memory."""
    task = nest.tasks[0]
    if len(nest.tasks) > 1 or not isinstance(task, Reduction) or not task.form.position or task.value is None:
        return None
    length = values.graph.find(nest.length)
    value = values.as_settled(task.value)
    in_register = task.reduced == (level,) and task.in_register and task.form.start in KEPT
    alone = in_register and value.kind == "load" and value.dtype != "bool" and _in_place(values, value, level)
    return task if alone and not (isinstance(length, int) and length < MANY) else None


def _in_place(values: Values, value: Node, level: int) -> bool:
    """Whether the place of a number in memory is written where it is read: no part of it is a statement of its own."""
    return all(v is value or v.depth <= level or values.is_inline(v) for v in scalar_nodes([value]))


def search(values: Values, nest: LoopNest, task: Reduction, level: int, found: Name, place: Name) -> None:
    """The loops. found: the accumulator, with its start value; place: the position, which is 0."""
    node, value, length = task.node, task.value, values.whole(nest.length)
    assert value is not None
    body = Body()
    values.bodies.append(body)
    counter = values.counter(level)
    kept, text = KEPT[str(task.form.start)]
    x = values.value(value)
    is_float = value.dtype in FLOATS
    best = Call(kept, (found, x), value.dtype) if is_float else formula(text, {"acc": found, "x": x}, value.dtype)
    values.assign(found, best, node.name, node)
    values.bodies.pop()
    values.add(For(counter, (length,), tuple(body.statements), note=values.notes.loop(nest)))
    body = Body()
    values.bodies.append(body)
    values.counters[level] = place
    x = values.value(value)
    values.bodies.pop()
    # as a part of the condition, which has no room for statements
    x = next((s.value for s in body.statements if isinstance(s, Assign)), x)
    # where one is NaN, the first of those
    others = (x.compared("!=", found), *((x.compared("==", x),) if is_float else ()))
    before = Logic("and", (place.compared("<", length - Number(1)), *others))
    values.add(While(before, (Assign(place, place + Number(1)),), **values.origin(node, f"the first {node.name}")))

"""Where the largest or smallest of many numbers is: which it is, in vectors, and then where it is first.

One loop that keeps both goes number by number; of two, the first reads eight at a time, and the second ends at what it
looks for.
"""

from __future__ import annotations

from numgraph.ir import Node
from numgraph.lengths.sources import scalar_nodes
from numgraph.loops.program import Assign, Call, Expression, For, Logic, Name, Number, Statement, While, rebuilt
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
    alone = in_register and value.kind == "load" and value.dtype != "bool" and not calls_user(value)
    return task if alone and not (isinstance(length, int) and length < MANY) else None


def calls_user(value: Node) -> bool:
    """Whether a number or its place needs a user's function, which may raise."""
    return any(node.op is not None and node.op.user is not None for node in scalar_nodes([value]))


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
    x = as_part(body.statements, x)
    # where one is NaN, the first of those
    others = (x.compared("!=", found), *((x.compared("==", x),) if is_float else ()))
    before = Logic("and", (place.compared("<", length - Number(1)), *others))
    values.add(While(before, (Assign(place, place + Number(1)),), **values.origin(node, f"the first {node.name}")))


def as_part(statements: list[Statement], value: Expression) -> Expression:
    """A value without the names that statements give to its parts: a condition has no room for statements."""
    known: dict[Expression, Expression] = {}
    for statement in statements:
        assert isinstance(statement, Assign) and isinstance(statement.target, Name), statement
        known[statement.target] = rebuilt(statement.value, lambda part: known.get(part, part))
    made: Expression = rebuilt(value, lambda part: known.get(part, part))
    return made

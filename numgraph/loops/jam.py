"""Sums along columns: several rows at a time, which are added up before they go to memory (unroll and jam)."""

from __future__ import annotations

from typing import Any

from numgraph.ir import Graph, Node
from numgraph.loops.hints import is_elementary
from numgraph.loops.pieces import Settled
from numgraph.loops.program import Expression, Name, Number
from numgraph.loops.values import Values
from numgraph.ops.bounds import BEFORE
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.tasks import Reduction

# So many rows at a time, and operations for all of them together.
ROWS, MOST_OPERATIONS = 4, 64


def jammed(graph: Graph, nest: LoopNest, level: int) -> bool:
    """Whether all that a loop does is to accumulate rows: in memory, in the loop inside it, and in any order.

    An accumulator is read and written once for each row, and waits for that of the row before.
    """
    if len(nest.body) != 1 or (inner := nest.body[0]).length is None:
        return False
    tasks, length = inner.tasks, graph.find(nest.length)
    if any(part.length is not None for part in inner.body) or (isinstance(length, int) and length < 2 * ROWS):
        return False
    if is_elementary(inner) or any(v.op is BEFORE for v in inner.scalars) or inner.statements * ROWS > MOST_OPERATIONS:
        return False
    return all(_accumulates(task, level) for task in tasks)


def _accumulates(task: Any, level: int) -> bool:
    if not isinstance(task, Reduction) or task.reduced != (level,) or task.in_register:
        return False
    return task.form.reassociate and not task.form.position


def rows_of(values: Values, level: int, counter: Name, origin: dict[Node, Node]) -> list[Settled]:
    """The scalars of each of the rows, of which the loop's counter counts the first. origin: see `Settled`."""
    graph, rows = values.graph, []
    for k in range(ROWS):
        row = graph.make("loop", None, (), (level, f"row {k}"), "int64", ())
        number = counter if k == 0 else values.assign(values.names.counter(level), counter + k)
        values.members[row] = number
        rows.append(Settled(graph, {graph.loop(level): row}, values.settled, origin))
    return rows


def bounds_of(begin: Expression, end: Expression) -> tuple[tuple[Expression, ...], tuple[Expression, ...] | None]:
    """What the loop over several rows runs between, and that over the others; None where there are none."""
    if isinstance(begin, Number) and isinstance(end, Number):
        rest = (end.value - begin.value) % ROWS
        last = Number(end.value - rest)
        return (begin, last, Number(ROWS)), (last, end) if rest else None
    number = end if isinstance(begin, Number) and begin.value == 0 else end - begin
    return (begin, end - (ROWS - 1), Number(ROWS)), (end - number % ROWS, end)

"""Innermost loops over groups of a few neighbours, such as the columns of a window that an index is divided by.

`x[i // 2]` for 24 columns is a loop over 12 groups, with a copy of the body for each of the two columns. The
quotient is the counter then, and LLVM makes vectors of the loop, where it would find no order in the quotients.
"""

from __future__ import annotations

from dataclasses import dataclass

from numgraph.ir import Graph, Node, topological
from numgraph.lengths.known import divided
from numgraph.loops.pieces import Settled
from numgraph.ops.bounds import BEFORE
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.cuts import varying
from numgraph.schedule.neighbours import counts_only

# Members of a group, at most, and operations in all copies of the body.
MOST_MEMBERS, MOST_OPERATIONS = 4, 64


@dataclass(frozen=True, eq=False)
class Groups:
    """A loop over groups. count: of them; members: the scalars for each member of one, where the loop's counter is that
    of the groups."""

    count: int
    members: list[Settled]


def groups_of(
    graph: Graph, nest: LoopNest, level: int, outer: Settled | None, origin: dict[Node, Node]
) -> Groups | None:
    """The groups of a loop's rounds; None where its indices are not divided by one number. outer: what is known around
    it; origin: see `Settled`."""
    length, tasks = graph.find(nest.length), nest.tasks
    if not isinstance(length, int) or any(part.length is not None for part in nest.body):
        return None
    roots = [v for task in tasks for v in (task.value, *task.target) if v is not None]
    nodes = topological([v if outer is None else outer(v) for v in roots], inputs=varying)
    parts, counter = divided(nodes, graph.loop(level)), graph.loop(level)
    size = next(iter(parts)) if len(parts) == 1 else 0
    if not 1 < size <= min(MOST_MEMBERS, length - 1) or length % size or size * nest.statements > MOST_OPERATIONS:
        return None
    if any(v.op is BEFORE for v in nest.scalars) or not all(map(counts_only, tasks)):
        return None
    # not the loop's own, which is replaced
    group = graph.make("loop", None, (), (level, "groups"), "int64", ())
    quotients, rests = parts[size]
    members = []
    for member in range(size):
        known: dict[Node, int | Node] = dict.fromkeys(quotients, group) | dict.fromkeys(rests, member)
        known[counter] = graph.as_index(group * size + member)
        members.append(Settled(graph, known, outer, origin))
    return Groups(length // size, members)

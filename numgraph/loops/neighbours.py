"""Loops inside each other that run as one, see `schedule.neighbours`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from numgraph.ir import Node
from numgraph.lengths import dims
from numgraph.loops.pieces import Settled
from numgraph.loops.positions import position
from numgraph.ops.bounds import BEFORE
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.neighbours import Pair, counts_only
from numgraph.schedule.plan import Schedule
from numgraph.schedule.tasks import Task


@dataclass(frozen=True, eq=False)
class Run:
    """Loops from `level` on that run as one: `nest` is the innermost of them, `lengths` are theirs, outermost first.

    settled: the scalars in them, with 0 for the counters of all but the innermost, which counts through.
    """

    level: int
    nest: LoopNest
    lengths: tuple[Any, ...]
    settled: Settled

    @property
    def innermost(self) -> int:
        """The level of the loop that counts through."""
        return self.level + len(self.lengths) - 1

    def inside(self, levels: int) -> Any:
        """How many of its rounds there are for one of the first `levels` loops together."""
        return dims.product(self.lengths[levels:])


def run_from(schedule: Schedule, nest: LoopNest, level: int, outer: Settled | None) -> Run | None:
    """The longest run of loops from one on, None where it is alone. outer: what is known around it."""
    graph, first = schedule.graph, nest
    if not _has_one_inside(nest) or any(v.op is BEFORE for v in nest.scalars) or not all(map(counts_only, nest.tasks)):
        return None
    lengths = [graph.find(nest.length)]
    places = [place for task in nest.tasks for place in _places(schedule, task, outer)]
    values = [v if outer is None else outer(v) for task in nest.tasks if (v := task.value) is not None]
    while _has_one_inside(nest):
        last, length = level + len(lengths), graph.find(nest.body[0].length)
        pair = Pair(graph, (graph.loop(last - 1), graph.loop(last)), length)
        if not pair.is_one(nest.tasks, places, values):
            break
        nest = nest.body[0]
        lengths.append(length)
    if nest is first:
        return None
    zeros = {graph.loop(level + k): 0 for k in range(len(lengths) - 1)}
    return Run(level, nest, tuple(lengths), Settled(graph, zeros, outer, schedule.elements.origin))


def _has_one_inside(nest: LoopNest) -> bool:
    return len(nest.body) == 1 and nest.body[0].length is not None


def _places(schedule: Schedule, task: Task, outer: Settled | None) -> Iterable[Node]:
    """The positions that a task reads and writes."""
    for load in task.loads:
        load = load if outer is None else outer(load)
        if load.kind == "load":
            yield schedule.graph.as_index(position(schedule, load.inputs[0], load.inputs[1:], bool(load.attrs))[1])
    target = [v if outer is None else outer(v) for v in task.target]
    yield schedule.graph.as_index(position(schedule, task.node, target, False)[1])

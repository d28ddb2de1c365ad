"""Which loops inside each other go along memory from each element to the next, and so can run as one.

`tanh(x)` of x[20, 12, 12] is one loop over 2,880 elements: LLVM makes vectors of the innermost loop, and one over 12
elements would be less than a vector of a wide processor, or some vectors and a rest, with the loop's own work for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from numgraph.ir import Graph, Node
from numgraph.lengths.known import factors, linear
from numgraph.schedule.cuts import varying
from numgraph.schedule.tasks import Elementwise, Reduction, Task
from numgraph.types import FLOATS

# What an elementary function costs at least, and the length from which on a loop over them is as good as any.
ELEMENTARY, LONG = 20, 64


@dataclass(frozen=True)
class Pair:
    """Two loops, one directly inside the other: their counters. length: of the inner one."""

    graph: Graph
    counters: Sequence[Node]
    length: Any

    def is_one(self, tasks: Iterable[Task], places: Iterable[Node], values: Iterable[Node]) -> bool:
        """Whether the two can be one. places: positions that tasks read and write; values: what they compute."""
        outer, inner = (counter.attrs[0] for counter in self.counters)
        # what is reduced over one of them begins or ends between them
        if any((outer in task.reduced) != (inner in task.reduced) for task in tasks):
            return False
        return all(map(self._follows, places)) and all(map(self._follows_within, values))

    def _follows(self, number: Node) -> bool:
        """Whether a number goes on from the end of the inner loop to its next start as it does within it."""
        row = linear(number, self.counters)
        return row is not None and factors(row[0]) == factors(row[1], self.length)

    def _follows_within(self, value: Node) -> bool:
        """Whether all numbers made of counters do, on which a value depends by itself rather than by what it reads."""
        outer = self.counters[0].depth
        stack, seen = [value], set()
        while stack:
            node = stack.pop()
            if node in seen or node.depth < outer or node.kind == "load":
                continue
            seen.add(node)
            if node.dtype == "int64" and self._follows(node):
                continue
            if node in self.counters:
                return False
            stack += varying(node)
        return True


def counts_only(task: Task) -> bool:
    """Whether a task does nothing with its counters that depends on which loop they are of."""
    if isinstance(task, Reduction) and task.form.position:
        return False
    return isinstance(task, Elementwise | Reduction) and not task.raises


class ShortRows:
    """Says of tasks whether elementary functions of some would be computed in short loops for the others' sake."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.found: dict[tuple[Task, int], bool] = {}

    def __call__(self, tasks: Sequence[Task], level: int) -> bool:
        """Whether that is so if they share the loop at a level: by itself, one of them would be one long loop."""
        along = [self._is_one(task, level) for task in tasks]
        costly = (task for task, is_one in zip(tasks, along, strict=True) if is_one and _is_costly(task))
        return not all(along) and any(costly)

    def _is_one(self, task: Task, level: int) -> bool:
        if (task, level) not in self.found:
            self.found[task, level] = self._runs_as_one(task, level)
        return self.found[task, level]

    def _runs_as_one(self, task: Task, level: int) -> bool:
        """Whether the loops of a task from a level on run as one, and the last of them is short."""
        loops = [self.graph.find(n) for n in task.loops]
        short = len(loops) > level + 1 and isinstance(loops[-1], int) and loops[-1] < LONG
        if not short or not counts_only(task) or task.value is None:
            return False
        places = [self._place(v.inputs[0], v.inputs[1:], bool(v.attrs)) for v in task.loads]
        places.append(self._place(task.node, task.target, False))
        return all(
            Pair(self.graph, (self.graph.loop(k), self.graph.loop(k + 1)), loops[k + 1]).is_one(
                [task], places, [task.value]
            )
            for k in range(level, len(loops) - 1)
        )

    def _place(self, buffer: Node, index: Sequence[Node], flat: bool) -> Node:
        found = index[0] if flat else position_among([self.graph.find(n) for n in buffer.dims], index)
        return self.graph.as_index(found)


def _is_costly(task: Task) -> bool:
    costs = (v.op.cost for v in task.scalars if v.op is not None and v.dtype in FLOATS)
    return isinstance(task, Elementwise) and max(costs, default=0) >= ELEMENTARY


def position_among(lengths: Sequence[Any], index: Sequence[Any]) -> Any:
    """Where an element lies among those of an array with these lengths."""
    found: Any = 0
    for n, i in zip(lengths, index, strict=True):
        found = found * n + i
    return found

"""Where index maps change the place that they read, and so where loops are cut (`loops/pieces`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from numgraph.ir import Node, topological
from numgraph.ops.bounds import BEFORE
from numgraph.ops.compare import WHERE
from numgraph.schedule.tasks import Task

# Operations that the pieces of a loop may repeat: LLVM takes its time for each of them.
REPEATED = 50


def varying(node: Node) -> Sequence[Node]:
    """The inputs of a scalar that loops change."""
    return [v for v in (node.inputs[1:] if node.kind == "load" else node.inputs) if v.depth]


def conditions(roots: Iterable[Node]) -> list[Node]:
    """All conditions that index maps choose by."""
    return [v for v in topological(roots, inputs=varying) if v.op is BEFORE]


def choosing(roots: Iterable[Node]) -> list[Node]:
    """The conditions by which elements are chosen, rather than where one is read."""
    nodes = topological(roots, inputs=lambda v: () if v.kind == "load" else varying(v))
    return [v.inputs[0] for v in nodes if v.op is WHERE and v.inputs[0].op is BEFORE]


class Repeats:
    """Says of tasks whether those that need no pieces would make much code in the pieces that others need."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.maps = {task for task in tasks if task.value is not None and any(v.op is BEFORE for v in task.scalars)}
        self.found: dict[tuple[Task, int], list[Node]] = {}

    def __call__(self, tasks: Sequence[Task], level: int) -> bool:
        """Whether that is so in a loop at a level."""
        if not self.maps or self.maps.isdisjoint(tasks):
            return False
        cuts: set[Node] = set()
        cost = 0
        for task in tasks:
            found = self._cuts(task, level) if task in self.maps else []
            cuts.update(found)
            cost += 0 if found else _cost(task)
        return len(cuts) * cost > REPEATED

    def _cuts(self, task: Task, level: int) -> list[Node]:
        """The conditions for which a loop of a task would be cut."""
        if (task, level) not in self.found:
            assert task.value is not None
            roots = [task.value, *task.target]
            found = conditions(roots) if len(task.loops) == level + 1 else choosing(roots)
            self.found[task, level] = [v for v in found if v.depth == level + 1]
        return self.found[task, level]


def _cost(task: Task) -> int:
    return sum(v.op.cost for v in task.scalars if v.op is not None and v.depth)

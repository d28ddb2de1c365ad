"""Where the values of a scan's steps lie.

Each value that a step computes for others has an address that moves: the loop writes it to the table before it runs a
step. Where a result asks for all values, that is a row of the result. Otherwise a step writes one of a few places, used
in turn, so many that what later steps read is still there. A state is read where its last value was written, or where
its first value is; nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numgraph.errors import ShapeError
from numgraph.ir import Graph, Node, involved
from numgraph.lengths.known import undecided
from numgraph.lengths.sources import made_in_steps
from numgraph.ops.loop import COUNT, ROWS, TRACE, chunk, traced_steps
from numgraph.schedule.tasks import Result, ScanTask, Task, result_of, tasks_within

WAYS = "  fix: keep all of it, and use ng.where or a mask for what a step does not need"
# Of a scan within another one, which a condition ends after another number of steps in each step of that.
ENDS = (
    "  `until` ends a scan within a step after another number of steps each time; compiled, only its last row, h[-1], "
    "and h.shape[0] can be used there, without a gradient\n"
    "  fix: one scan over all of them at once, in which what is done keeps its value: ng.where(done, h, new) with "
    "ng.until(ng.all(done)); or target='reference'"
)


@dataclass(eq=False)
class Moving:
    """A value that a step computes. home: the result whose rows it is written to, from row `first` on; None: one of
    `places` places in turn. in_place: it is written over the state, which nothing else reads."""

    node: Node
    home: Node | None = None
    first: int = 0
    places: int = 1
    in_place: bool = False


@dataclass(eq=False)
class ScanMemory:
    """The memory of one scan. states: of each the leaf, the first value and the next one, by number. moving: by node.
    copied: results of which the values lie elsewhere, too."""

    task: ScanTask
    states: dict[int, tuple[Node, Node, Node]]
    ends: Node | None
    moving: dict[Node, Moving] = field(default_factory=dict)
    copied: list[Node] = field(default_factory=list)

    def state_of(self, value: Node) -> int | None:
        """A state whose next value is this one."""
        return next((k for k, (_, _, new) in self.states.items() if new is value), None)


def parts_of(results: Iterable[Node]) -> list[Result]:
    """The inputs of results."""
    return [result_of(v) for v in results]


def memory_of_scan(task: ScanTask, in_place: set[Node]) -> ScanMemory:
    """Decide where the values of a scan lie."""
    parts = parts_of(task.results)
    states = {k: (task.scan.states[k], *pair) for part in parts for k, pair in part.states.items()}
    found = ScanMemory(task, dict(sorted(states.items())), next((p.ends for p in parts if p.ends is not None), None))
    for node in dict.fromkeys(v for part in parts for v in part.roots if v.kind != "state"):
        found.moving[node] = Moving(node, in_place=node in in_place)
    for result, part in zip(task.results, parts, strict=True):
        if part.value is None or result.op not in (ROWS, TRACE):
            continue
        place = found.moving[part.value]
        if place.home is None and part.value.kind != "state":
            place.home, place.first = result, int(result.op is TRACE)
        else:
            found.copied.append(result)
    for node, place in found.moving.items():
        place.places = 1 if place.in_place else 1 + _delay(found, node)
    return found


def _delay(memory: ScanMemory, node: Node) -> int:
    """In how many later steps a value is read: of a state that becomes another one, in more than one."""
    waiting = [k for k, (_, _, new) in memory.states.items() if new is node]
    delay, seen = int(bool(waiting)), set(waiting)
    while waiting:
        leaves = {memory.states[k][0] for k in waiting}
        waiting = [k for k, (_, _, new) in memory.states.items() if new in leaves and k not in seen]
        seen.update(waiting)
        delay += bool(waiting)
    return delay


def checkpoints_of(result: Node, steps: Any) -> tuple[Any, Any]:
    """Of a result that has the states before some steps: which is the first of these, and how far they are apart."""
    length = traced_steps(steps, result.attributes["limit"])
    return steps - length if result.attributes["limit"] is not None else 0, chunk(length, result.attributes["every"])


class Copies:
    """Gives what scans keep memory of its own. copy: makes a private copy of a node."""

    def __init__(self, graph: Graph, copy: Callable[[Node], Node]) -> None:
        self.graph, self.copy = graph, copy
        self.made: dict[tuple[int, Node], Node] = {}

    def of_result(self, node: Node, inputs: Sequence[Node]) -> list[Node]:
        """The inputs of a result, copies where a step's value or a first value has no memory of its own."""
        attrs, number = node.attributes, node.attributes["scan"]
        fixed = list(inputs)
        begin = 2 + attrs["ends"]
        for k in range(1, len(inputs)):
            if k == 1 and node.op is COUNT:
                continue
            if k >= begin and (k - begin) % 2 == 0:
                fixed[k] = self._first(inputs[k])
            else:
                fixed[k] = self._value(number, inputs[k], is_next=k >= begin)
        return fixed

    def _first(self, node: Node) -> Node:
        alone = node.kind in ("number", "scalar", "extent", "step") or (node.planned and not node.dims)
        return self._copied(-1, node) if alone else node

    def _value(self, number: int, node: Node, is_next: bool) -> Node:
        if node.kind == "state" and node.attrs[0] == number and is_next:
            return node
        own = node.op is not None and not node.op.reshape and number in node.within
        return node if own or (node.kind == "copy" and number in node.within) else self._copied(number, node)

    def _copied(self, number: int, node: Node) -> Node:
        key = (number, node)
        if key not in self.made:
            self.made[key] = self._in_step(number, self.copy(node)) if number >= 0 else self.copy(node)
        return self.made[key]

    def _in_step(self, number: int, copy: Node) -> Node:
        """A copy that each step of a scan makes: it needs the step, if only by name."""
        if number in copy.within:
            return copy
        step = self.graph.scans[number].step
        return self.graph.make("copy", None, (copy.inputs[0], step), copy.attrs, copy.dtype, copy.dims)

    def within(self, node: Node, copy: Node) -> Node:
        """A copy for a node to work in: made in each step where the node is."""
        return self._in_step(max(node.within), copy) if node.within else copy


def written_over(nodes: Sequence[Node], uses: dict[Node, int]) -> set[Node]:
    """The next values of states that are made in the memory of the state: nobody else reads it, and nobody asks for its
    values in earlier steps."""
    found: set[Node] = set()
    refused: set[Node] = set()
    for result in (v for v in nodes if v.op is not None and v.op.loop):
        part = result_of(result)
        scan = result.graph.scans[result.attributes["scan"]]
        if result.op in (ROWS, TRACE) and part.value is not None:
            refused.add(part.value)
        nexts = [new for _, new in part.states.values()]
        leaves = {scan.states[k]: new for k, (_, new) in part.states.items()}
        refused.update(v for v in nexts if nexts.count(v) > 1)
        for leaf, new in leaves.items():
            alone = new.op is not None and new.op.overwrites and new.inputs[0] is leaf and uses.get(leaf) == 1
            (found if alone and leaf not in nexts else refused).add(new)
    return found - refused


def refuse_moving_conditions(graph: Graph) -> None:
    """ShapeError for a condition on a length that a step computes: it would have to be checked within the step."""
    for r in undecided(graph):
        if made_in_steps(r.a) or made_in_steps(r.b):
            raise _made_in_step(graph, next(iter(involved(r.node)), None))


def refuse_computed_lengths(graph: Graph, tasks: Sequence[Task]) -> None:
    """ShapeError for lengths that depend on what a step computes."""
    for task in tasks_within(tasks):
        if not any(v.within for v in (task.node, *task.sources)):
            continue
        lengths = [*task.loops, *task.sizes, task.bound, *map(graph.find, task.node.dims)]
        lengths += [v for view in task.views for v in (*view.lengths, view.offset, *view.strides)]
        if isinstance(task, ScanTask):
            lengths = [*task.sizes, *(n for v in task.results for n in map(graph.find, v.dims))]
        if any(map(made_in_steps, lengths)):
            raise _made_in_step(graph, task.node)


def refuse_moving_lengths(graph: Graph, tasks: Sequence[Task], stored: Callable[[Node], bool]) -> None:
    """ShapeError for what varies in length from step to step and is stored."""
    for task in tasks_within(tasks):
        rows = [*task.results, *task.memory.moving] if isinstance(task, ScanTask) else []
        own = [n for v in task.written for n in map(graph.find, v.dims)] if any(map(stored, task.written)) else []
        own += [n for v in rows for n in map(graph.find, v.dims)]
        if any(isinstance(n, Node) and n.within for n in own):
            raise ShapeError(
                "scan: the length of a value varies from step to step, and it has to be stored\n"
                f"{graph.where(task.node)}{_ways(graph)}"
            )


def _ways(graph: Graph) -> str:
    """What to do about lengths that a step decides."""
    return ENDS if any(v.op is COUNT and v.within for v in graph.table.values()) else WAYS


def _made_in_step(graph: Graph, node: Node | None) -> ShapeError:
    shown = "" if node is None else graph.where(node)
    return ShapeError(
        "scan: a length depends on what a step computes, and code is made for lengths that are known before\n"
        f"{shown}{_ways(graph)}"
    )

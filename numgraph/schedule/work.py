"""Estimates of a phase's work, and the schedule as text.

A window `s[i*B:(i+1)*B]` counts with its full length B; a length with no known bound makes the estimate unknown (None).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numgraph.ir import Graph, Node, loops_of
from numgraph.lengths.known import full_length, times
from numgraph.lengths.sources import scalar_nodes
from numgraph.schedule.arrange import LoopNest, Tiled
from numgraph.schedule.plan import Schedule
from numgraph.schedule.tasks import IndexCheck, Product, Reduction, ScanTask, Scattering, Task, multiplications
from numgraph.types import FLOATS

# What a length counts as: a number, or None where it is unknown.
Length = Callable[[Any], int | None]


@dataclass
class Work:
    """One phase: arithmetic operations, memory by buffer, and the names of what it reads and writes.

    flops: operations on floats. read_from, written_to: bytes by buffer, each byte once however often a phase reads it;
    None where a length is unknown. What never leaves the registers or the row of a loop counts nothing. An update in
    place is written to the variable that it reads from.
    """

    flops: int | None
    read_from: dict[Node, int | None]
    written_to: dict[Node, int | None]
    reads: list[str]
    writes: list[str]
    loops: list[str]
    statements: int

    @property
    def read(self) -> int | None:
        """Bytes read."""
        return _sum(self.read_from.values())

    @property
    def written(self) -> int | None:
        """Bytes written."""
        return _sum(self.written_to.values())

    @property
    def bytes(self) -> int | None:
        """Bytes read and bytes written."""
        return _sum((self.read, self.written))


@dataclass(frozen=True)
class Operation:
    """One scalar operation or memory read of a phase, which is printed once in the body of `nest` (None: before all
    loops), for the first of the tasks that need it; it runs once for each round of the task's outermost `depth`
    loops."""

    node: Node
    task: Task
    nest: LoopNest | None
    depth: int


def operations(schedule: Schedule, tasks: Sequence[Task]) -> list[Operation]:
    """What a phase computes, each operation where generated code computes it."""
    paths = schedule.paths
    found: dict[tuple[LoopNest | None, Node], Operation] = {}
    for task in tasks:
        path = paths[task]
        for node in task.scalars:
            if node.kind in ("op", "load") and not (node.planned and node.dtype not in FLOATS):
                depth = min(node.depth, len(path))
                nest = path[depth - 1] if depth else None
                found.setdefault((nest, node), Operation(node, task, nest, depth))
    return list(found.values())


def work_of(schedule: Schedule, tasks: Sequence[Task], number: Length = full_length) -> Work:
    """The work of a phase. number: what lengths count as; as they are known without a call, by default."""
    graph = schedule.graph
    read: dict[Node, int | None] = {}
    written: dict[Node, int | None] = {}
    for task in tasks:
        for load in task.loads:
            _most(read, load.inputs[0], _loaded(schedule, task, load, number))
        for view in task.views:
            _most(read, view.buffer, _bytes(view.buffer, view.lengths, number))
        for node in task.written[1:]:
            written[node] = _bytes(node, node.dims, number)
        if task.writes:
            written[task.node] = _stored(schedule, task, number)
            if task.overwrites and _adds(task):
                read[owner(schedule, task.node)] = written[task.node]
    inner = {v for v in written if v in schedule.buffers and schedule.buffers[v].place == "register"}
    local = inner | {v for v in written if v in schedule.buffers and _is_row(schedule, v)}
    outside = {v: size for v, size in read.items() if v not in written}
    return Work(
        flops_of(schedule, tasks, number),
        outside,
        {owner(schedule, v): size for v, size in written.items() if v not in local},
        [name_of(graph, v) for v in outside],
        [name_of(graph, v) for v in written if v not in inner],
        list(dict.fromkeys(length_text(graph, n) for task in tasks for n in task.loops)),
        sum(task.statements for task in tasks),
    )


def flops_of(schedule: Schedule, tasks: Sequence[Task], number: Length) -> int | None:
    """Arithmetic operations on floats: one for each scalar operation, accumulation, and two for each product."""
    parts: list[int | None] = []
    for task in tasks:
        if isinstance(task, ScanTask):
            steps, inner = number(task.steps), flops_of(schedule, task.body, number)
            parts.append(None if steps is None or inner is None else steps * inner)
        elif factors := multiplications(task):
            parts.append(times((2, *factors), number))
        elif task.node.op is not None and task.node.op.kernel is not None:
            parts.append(kernel_flops(task, number))
        elif _adds(task) and task.value is not None and task.value.dtype in FLOATS:
            parts.append(times(task.loops, number))
    for done in operations(schedule, tasks):
        # a conversion computes nothing
        op = done.node.op
        if op is not None and done.node.dtype in FLOATS and not op.conversion:
            parts.append(times(done.task.loops[: done.depth], number))
    return _sum(parts)


def kernel_flops(task: Task, number: Length) -> int | None:
    """What the op says that its kernel computes; 0 where it does not say."""
    kernel = task.node.op.kernel if task.node.op is not None else None
    if kernel is None or kernel.flops is None:
        return 0
    sizes = [number(n) for n in task.sizes]
    return None if None in sizes else int(kernel.flops(*sizes))


def _adds(task: Task) -> bool:
    """Whether the task combines each element with what its buffer holds."""
    return (
        isinstance(task, Reduction)
        or (isinstance(task, Scattering) and task.node.attributes.get("mode") == "add")
        or (isinstance(task, Product) and bool(task.factors))
    )


def _sum(parts: Iterable[int | None]) -> int | None:
    found = list(parts)
    return None if None in found else sum(n for n in found if n is not None)


def _most(sizes: dict[Node, int | None], buffer: Node, size: int | None) -> None:
    """Keep the larger size: two reads of a buffer mostly meet the same elements."""
    known = sizes.get(buffer, 0)
    sizes[buffer] = None if size is None or known is None else max(known, size)


def _bytes(node: Node, lengths: Iterable[Any], number: Length) -> int | None:
    count = times(lengths, number)
    return None if count is None else count * np.dtype(node.dtype).itemsize


def _loaded(schedule: Schedule, task: Task, load: Node, number: Length) -> int | None:
    """Bytes of a buffer that a read in a task's loops meets: as many elements as its index can take values."""
    buffer = load.inputs[0]
    levels = {v.attrs[0] for v in scalar_nodes(load.inputs[1:]) if v.kind == "loop"}
    reached = _bytes(buffer, (n for k, n in enumerate(task.loops) if k in levels), number)
    whole = _bytes(buffer, buffer.dims, number)
    return reached if whole is None else whole if reached is None else min(whole, reached)


def _stored(schedule: Schedule, task: Task, number: Length) -> int | None:
    """Bytes that a task writes: a scatter its region, the others their whole buffer."""
    if isinstance(task, Scattering):
        return _bytes(task.node, task.loops, number)
    place = schedule.buffers.get(task.node)
    lengths = task.node.dims if place is None else place.lengths(schedule.graph)
    return _bytes(task.node, lengths, number)


def _is_row(schedule: Schedule, node: Node) -> bool:
    """Whether a buffer holds what one round of a loop or one tile of rows needs, again and again: it stays in the
    cache."""
    place = schedule.buffers[node]
    is_part = place.place in ("arena", "private") and len(place.axes) < len(loops_of(schedule.graph, node.dims))
    return is_part or place.place == "rows"


def owner(schedule: Schedule, node: Node) -> Node:
    """The leaf in whose memory an update is written, or the node itself."""
    place = schedule.buffers.get(node)
    return schedule.shared[place.slot] if place is not None and place.place == "shared" else node


def name_of(graph: Graph, node: Node) -> str:
    """What people call a buffer: the user's name for it, or the op that makes it."""
    return graph.names.get(node) or (node.name if node.op else node.kind)


def length_text(graph: Graph, length: Any) -> str:
    """A length for people: the number, `up to 600` for a window, or `?`."""
    length = graph.find(length)
    if isinstance(length, int):
        return str(length)
    full = full_length(length)
    return "?" if full is None else f"up to {full}"


def schedule_text(schedule: Schedule) -> str:
    """The stages, nests and tasks as an indented text."""
    lines: list[str] = []
    for number, nests in enumerate(schedule.stages):
        if len(schedule.stages) > 1:
            lines.append(f"stage {number}")
        for nest in nests:
            _nest_text(schedule, nest, 0, lines)
    for update in schedule.updates:
        target = name_of(schedule.graph, schedule.shared[update.slot])
        source = f" with {name_of(schedule.graph, schedule.shared[update.other])}" if update.how == "exchange" else ""
        lines.append(f"update {target}: {update.how}{source}")
    return "\n".join(lines)


def _nest_text(schedule: Schedule, nest: LoopNest, depth: int, lines: list[str]) -> None:
    if isinstance(nest, Tiled):
        lines.append(f"{'    ' * depth}for tiles of {nest.rows} rows of {length_text(schedule.graph, nest.length)}:")
        for inner in nest.body:
            _nest_text(schedule, inner, depth + 1, lines)
        return
    if nest.length is not None:
        lines.append(f"{'    ' * depth}for each of {length_text(schedule.graph, nest.length)}:")
        for inner in nest.body:
            _nest_text(schedule, inner, depth + 1, lines)
        return
    for task in nest.tasks:
        place = schedule.buffers.get(task.node)
        where = "" if isinstance(task, IndexCheck) or place is None else f"  -> {place.place}"
        lengths = ",".join(length_text(schedule.graph, n) for n in task.node.dims)
        shown = f"{task.node.dtype}[{lengths}]" if lengths else task.node.dtype
        lines.append(f"{'    ' * depth}{task.kind} {name_of(schedule.graph, task.node)} {shown}{where}")

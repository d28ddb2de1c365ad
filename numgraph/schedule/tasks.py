"""Tasks: the units of work. A node with a buffer of its own is one task; everything else is computed inside its users.

A task runs over loops (one per axis whose length is not known to be 1) and evaluates a scalar expression in which the
elements of other tasks appear as `load` nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from numgraph.elements import View, row_major
from numgraph.ir import Node
from numgraph.op import Reduce
from numgraph.ops.loop import COUNT


@dataclass(eq=False)
class Task:
    """One unit of work.

    node: whose buffer it fills (for a check: the node that asked for it). loops: lengths. value: what is stored,
    accumulated, scattered or checked. target: index into the buffer of the element written. reduced: loop levels that a
    reduction runs over. views: operands of a product or kernel. sizes: of a kernel. factors: alpha and beta of a
    product that accumulates, or the numbers that a user's function gets. bound: for a check, the length of the indexed
    axis.

    Found when it is finished: loads: the memory reads in it. lengths: buffers that its lengths are read from. checks:
    tasks that must run before. scalars: every scalar node in it. raises: whether it calls a user's function that may
    raise: then the call has changed nothing, as after a check.
    """

    node: Node
    loops: tuple[Any, ...] = ()
    value: Node | None = None
    target: tuple[Node, ...] = ()
    reduced: tuple[int, ...] = ()
    views: tuple[View, ...] = ()
    sizes: tuple[Any, ...] = ()
    factors: tuple[Node, ...] = ()
    bound: Any = None
    loads: list[Node] = field(default_factory=list)
    lengths: tuple[Node, ...] = ()
    checks: list[IndexCheck] = field(default_factory=list)
    scalars: set[Node] = field(default_factory=set)
    statements: int = 0
    stage: int = 0
    last: bool = False
    raises: bool = False

    # what messages and listings call it, and whether it writes to memory
    kind: ClassVar[str]
    writes: ClassVar[bool] = True

    @property
    def written(self) -> tuple[Node, ...]:
        """The nodes whose buffers it fills."""
        return (self.node,) if self.writes else ()

    @property
    def overwrites(self) -> bool:
        """Whether the task works in the memory of its node's first input."""
        return self.writes and self.node.op is not None and self.node.op.overwrites

    @property
    def level_axes(self) -> list[int | None]:
        """For each loop level, the axis of the task's own buffer that it runs along (None: reduced away)."""
        axes: list[int | None] = [None] * len(self.loops)
        for axis, index in enumerate(self.target):
            if index.kind == "loop":
                axes[index.attrs[0]] = axis
        return axes

    @property
    def kept(self) -> tuple[int, ...]:
        """The loop levels that a reduction does not run over: a result for each of their iterations."""
        return tuple(level for level in range(len(self.loops)) if level not in self.reduced)

    @property
    def operands(self) -> list[Node]:
        """The buffers whose elements or views the task reads, or that its lengths are read from."""
        return [*(load.inputs[0] for load in self.loads), *(view.buffer for view in self.views), *self.lengths]

    @property
    def sources(self) -> list[Node]:
        """All buffers that the task needs: its operands, and the base that it works in."""
        return [*self.operands, *self.node.inputs[:1]] if self.overwrites else self.operands

    def __repr__(self) -> str:
        return f"<{self.kind} {self.node!r} over {list(self.loops)}>"


class Elementwise(Task):
    """Computes and stores each element of its node by itself."""

    kind = "store"


class Reduction(Task):
    """Accumulates over some of its loops."""

    kind = "reduce"

    @property
    def form(self) -> Reduce:
        """How it accumulates."""
        assert self.node.op is not None and self.node.op.reduce is not None
        return self.node.op.reduce

    @property
    def innermost(self) -> int:
        """The loop level from which on it runs over all loops; their number if the last one is not its own."""
        return max(self.kept, default=-1) + 1

    @property
    def in_register(self) -> bool:
        """Whether it runs over the innermost loops only, so that it accumulates in a register."""
        return min(self.reduced) == self.innermost


class Scattering(Task):
    """Writes or adds values where indices say."""

    kind = "scatter"


class Product(Task):
    """A matrix product."""

    kind = "product"


class KernelCall(Task):
    """The call of a named kernel, or of a user's function of arrays."""

    kind = "kernel"


class IndexCheck(Task):
    """Ends the call where an index is out of range."""

    kind = "check"
    writes = False


@dataclass(eq=False)
class ScanTask(KernelCall):
    """All steps of a scan. results: the nodes that it writes. steps: how many. body: the tasks of a step; nests: these,
    arranged. memory: a `ScanMemory`, where the values of the steps lie."""

    kind = "scan"

    scan: Any = None
    results: list[Node] = field(default_factory=list)
    steps: Any = 0
    body: list[Task] = field(default_factory=list)
    nests: list[Any] = field(default_factory=list)
    memory: Any = None

    @property
    def written(self) -> tuple[Node, ...]:
        """Its results."""
        return tuple(self.results)


@dataclass(frozen=True)
class Result:
    """The inputs of a scan's result. value: that is asked for, None for the count of steps. ends: the condition that
    ends the scan, or None. states: (first value, next value), by number."""

    steps: Node
    value: Node | None
    ends: Node | None
    states: dict[int, tuple[Node, Node]]

    @property
    def roots(self) -> list[Node]:
        """What a step computes."""
        return [v for v in (self.value, self.ends, *(new for _, new in self.states.values())) if v is not None]


def result_of(node: Node) -> Result:
    """The inputs of a result of a scan by what they are, see `Builder.result`."""
    attrs, (steps, value, *rest) = node.attributes, node.inputs
    ends = rest.pop(0) if attrs["ends"] else None
    states = {k: (rest[2 * i], rest[2 * i + 1]) for i, k in enumerate(attrs["states"])}
    return Result(steps, None if node.op is COUNT else value, ends, states)


def read_in_memory(node: Node) -> tuple[Node, ...]:
    """The operands that must lie in memory."""
    op = node.op
    assert op is not None
    if op.accumulates:
        return node.inputs[1:3]
    return tuple(v for v in node.inputs if v.dims) if op.kernel else node.inputs if op.product else node.inputs[:1]


def multiplications(task: Task) -> tuple[Any, ...]:
    """The lengths whose product is the number of multiply-adds of a product, or in a kernel; none for other tasks."""
    if isinstance(task, Product):
        return (*task.node.dims, task.views[0].lengths[-1])
    kernel = task.node.op.kernel if isinstance(task, KernelCall) and task.node.op is not None else None
    return tuple(task.sizes[k] for k in kernel.multiplications) if kernel is not None else ()


def whole_view(buffer: Node) -> View:
    """All of a buffer."""
    lengths = tuple(map(buffer.graph.find, buffer.dims))
    return View(buffer, 0, lengths, row_major(lengths))


def tasks_within(tasks: Iterable[Task]) -> Iterator[Task]:
    """Tasks, and those of the steps of scans among them."""
    for task in tasks:
        yield task
        if isinstance(task, ScanTask):
            yield from tasks_within(task.body)


def writers(tasks: Iterable[Task]) -> dict[Node, Task]:
    """The task that writes each node."""
    return {node: task for task in tasks for node in task.written}

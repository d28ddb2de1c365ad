"""Tasks: the units of work. A node with a buffer of its own is one task; everything else is computed inside its users.

A task runs over loops (one per axis whose length is not known to be 1) and evaluates a scalar expression in which the
elements of other tasks appear as `load` nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from numgraph.elements import Elements, Operand, View
from numgraph.ir import LEAVES, Graph, Node, loops_of, topological
from numgraph.lengths.known import holds
from numgraph.lengths.sources import read_for, scalar_nodes
from numgraph.op import Reduce

# An expression of at most this cost is computed again by each of its users instead of being stored.
CHEAP = 3
# An expression of more operations than this is stored, so that one loop body stays short: Numba's typing time grows
# faster than linearly with the length of a function.
MAX_STATEMENTS = 40


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
    def in_register(self) -> bool:
        """Whether it runs over the innermost loops, so that it accumulates in a register."""
        return min(self.reduced) + len(self.reduced) == len(self.loops)


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


def choose_stored(graph: Graph, elements: Elements, outputs: Sequence[Node]) -> None:
    """Decide which nodes get a buffer: into `elements.stored`."""
    nodes = topological(outputs)
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for source in node.inputs:
            users.setdefault(source, []).append(node)
    cost: dict[Node, int] = {}
    size: dict[Node, int] = {}
    # what of the cost is that of draws, which each of several users makes again
    drawn: dict[Node, int] = {}
    stored = elements.stored
    stored.update(v for v in outputs if v.kind not in LEAVES and v.kind != "number")
    for node in nodes:
        _require_memory(elements, node)
        cost[node], size[node] = _inline_cost(elements, node, cost, size)
        drawn[node] = _cost_of_draws(elements, node, cost, drawn)
        if node.kind in LEAVES or node.kind == "number" or node in stored:
            continue
        if must_store(node) or (
            _computes(node)
            and (size[node] > MAX_STATEMENTS or _worth_storing(graph, node, users, cost[node], drawn[node]))
        ):
            stored.add(node)
            cost[node], size[node], drawn[node] = 1, 1, 0
    elements.forget_memory()


def must_store(node: Node) -> bool:
    """Whether the node can only be read from a buffer."""
    op = node.op
    return node.kind == "copy" or (op is not None and bool(op.reduce or op.product or op.scatter or op.kernel))


def _computes(node: Node) -> bool:
    return node.op is not None and bool(node.op.scalar or node.op.element)


def _require_memory(elements: Elements, node: Node) -> None:
    """Operands that must lie in memory (of a kernel, a product, a true reshape) are stored unless a view reaches
    them."""
    op = node.op
    if op is not None and op.overwrites and node.inputs[0].kind not in LEAVES:
        elements.stored.add(node.inputs[0])
    if op is None or not (op.kernel or op.product or op.reshape):
        return
    if op.reshape and elements.only_ones(node):
        return
    for source in _in_memory(node):
        if elements.has_buffer(source):
            # it lies there row by row, which is right for all, also where a length of 0 makes a stride of 0
            continue
        elements.forget_memory()
        view = elements.memory(source)
        if view is None or not (_unit_stride(view) if op.product else elements._contiguous(view)):
            elements.stored.add(source)


def _in_memory(node: Node) -> tuple[Node, ...]:
    """The operands that must lie in memory."""
    op = node.op
    assert op is not None
    if op.accumulates:
        return node.inputs[1:3]
    return tuple(v for v in node.inputs if v.dims) if op.kernel else node.inputs if op.product else node.inputs[:1]


def _unit_stride(view: View) -> bool:
    """Whether BLAS can take the last two axes as they lie: one of them with stride 1, the other not smaller."""
    rows, columns = view.strides[-2:]
    flat = (isinstance(columns, int) and columns == 1) or (isinstance(rows, int) and rows == 1)
    positive = all(not isinstance(s, int) or s > 0 for s in view.strides)
    return flat and positive


def _inline_cost(elements: Elements, node: Node, cost: dict[Node, int], size: dict[Node, int]) -> tuple[int, int]:
    """(cost, number of operations) of one element of the node computed in place."""
    if node.is_number or node.kind in ("extent", "scalar"):
        return 0, 0
    if node in elements.stored or node.kind in LEAVES or node.op is None:
        return 1, 1
    if not node.dims and node.planned:
        # lengths and indices are computed once, by the plan
        return 0, 1 + sum(size[v] for v in dict.fromkeys(node.inputs))
    own = node.op.cost if node.op.scalar else int(not node.op.injective)
    distinct = [v for v in dict.fromkeys(node.inputs) if node.op.scalar or v.dims]
    return own + sum(cost[v] for v in distinct), bool(own) + sum(size[v] for v in distinct)


def _cost_of_draws(elements: Elements, node: Node, cost: dict[Node, int], drawn: dict[Node, int]) -> int:
    """What of the cost of one element, computed in place, is that of random numbers."""
    if node in elements.stored or node.op is None or not (node.op.scalar or node.op.element):
        return 0
    below = sum(drawn.get(v, 0) for v in dict.fromkeys(node.inputs) if node.op.scalar or v.dims)
    if not (node.op.redrawn and node.op.scalar):
        return below
    # with the numbers that are the same for all elements
    return node.op.cost + below + sum(cost[v] - drawn.get(v, 0) for v in dict.fromkeys(node.inputs) if not v.dims)


def _worth_storing(graph: Graph, node: Node, users: dict[Node, list[Node]], cost: int, drawn: int) -> bool:
    """Whether inlining would compute an element more than once, at a cost: for several users, of which each makes
    draws again, or for one that reads elements repeatedly."""
    if cost <= CHEAP:
        return False
    found = users.get(node, [])
    if len(found) > 1 and cost - drawn > CHEAP:
        return True
    return any(_reads_repeatedly(graph, node, user) for user in found)


def _reads_repeatedly(graph: Graph, node: Node, user: Node) -> bool:
    op = user.op
    if op is None:
        return False
    if op.scalar:
        mine, theirs = loops_of(graph, node.dims), loops_of(graph, user.dims)
        return len(mine) != len(theirs) and len(theirs) > 0
    if op.overwrites:
        return user.inputs[0] is not node
    return bool(op.element) and (not op.injective or user.inputs[0] is not node)


class TaskMaker:
    """Makes the tasks of a program, in an order in which each comes after what it reads."""

    def __init__(self, graph: Graph, elements: Elements, ranges: Sequence[tuple[Node, Node, Any]]) -> None:
        self.graph = graph
        self.elements = elements
        self.tasks: dict[Node, Task] = {}
        self.ordered: list[Task] = []
        self.ranges: dict[Node, list[tuple[Node, Any]]] = {}
        for node, index, length in ranges:
            self.ranges.setdefault(node, []).append((index, length))
        self.check_tasks: dict[Node, list[IndexCheck]] = {}
        self.checked: dict[Any, IndexCheck] = {}

    def make_all(self, roots: Sequence[Node]) -> list[Task]:
        """Tasks of every stored node that the roots need, and the index checks among them."""
        for node in topological(roots):
            for index, length in self.ranges.get(node, ()):
                self._check(node, index, length)
            if node in self.elements.stored and node not in self.tasks:
                task = self._task(node)
                self._finish(task)
                self.tasks[node] = task
                self.ordered.append(task)
        return self.ordered

    def _loop_index(self, node: Node) -> tuple[tuple[Any, ...], list[Any]]:
        """(loops, index): one loop per axis that is not known to have length 1."""
        index: list[Any] = []
        level = 0
        for n in map(self.graph.find, node.dims):
            if isinstance(n, int) and n == 1:
                index.append(self.graph.number(0))
            else:
                index.append(self.graph.loop(level))
                level += 1
        return loops_of(self.graph, node.dims), index

    def _task(self, node: Node) -> Task:
        op = node.op
        if op is not None and op.reduce:
            return self._reduce(node)
        if op is not None and op.scatter:
            return self._scatter(node)
        if op is not None and (op.product or op.kernel):
            return self._kernel(node)
        loops, index = self._loop_index(node)
        return Elementwise(node, loops, self.elements.compute(node, index), tuple(index))

    def _reduce(self, node: Node) -> Task:
        source = node.inputs[0]
        loops, index = self._loop_index(source)
        axes = node.attributes["axis"]
        reduced = tuple(index[a].attrs[0] for a in axes if index[a].kind == "loop")
        if node.attributes["keepdims"]:
            target = [self.graph.number(0) if k in axes else i for k, i in enumerate(index)]
        else:
            target = [i for k, i in enumerate(index) if k not in axes]
        return Reduction(node, loops, self.elements.at(source, index), tuple(target), reduced)

    def _scatter(self, node: Node) -> Task:
        form = node.op.scatter if node.op else None
        assert form is not None
        operands = [Operand(v, self.elements) for v in node.inputs]
        attrs = node.attributes
        region = [self.graph.find(n) for n in form.region(*operands, **attrs)]
        # a stand-in with the region's lengths gives the loops and the broadcasting of the value
        stand_in = self.graph.make("region", None, (node,), (), node.dtype, region)
        loops, index = self._loop_index(stand_in)
        value = self.elements.at(node.inputs[1], self.elements.broadcast_index(node.inputs[1], stand_in, index))
        target = tuple(map(self.graph.as_index, form.target(tuple(index), *operands, **attrs)))
        return Scattering(node, loops, value, target)

    def _kernel(self, node: Node) -> Task:
        op = node.op
        assert op is not None
        operands = [Operand(v, self.elements) for v in node.inputs]
        views = []
        for v in _in_memory(node):
            view = self.elements.memory(v)
            assert view is not None, (node, v)
            views.append(view)
        sizes = tuple(op.kernel.sizes(*operands, **node.attributes)) if op.kernel else ()
        numbers = node.inputs[3:5] if op.accumulates else [v for v in node.inputs if not v.dims] if op.user else ()
        factors = tuple(self.elements.at(v, ()) for v in numbers)
        made = Product if op.product else KernelCall
        return made(node, views=tuple(views), sizes=sizes, factors=factors)

    def _check(self, node: Node, index: Node, length: Any) -> None:
        loops, at = self._loop_index(index)
        value = self.elements.at(index, at)
        bound = self.graph.find(length)
        if holds("range", value, bound) or self._in_range(value, loops, bound):
            return
        task = self.checked.get((value, bound, loops))
        if task is None:
            task = self.checked[value, bound, loops] = IndexCheck(node, loops, value, bound=bound)
            self._finish(task)
            self.ordered.append(task)
        self.check_tasks.setdefault(node, []).append(task)

    def _in_range(self, value: Node, loops: tuple[Any, ...], length: Any) -> bool:
        """Whether an index is a loop counter that stays below `length`."""
        return value.kind == "loop" and self.graph.equal_lengths(loops[value.attrs[0]], length)

    def _finish(self, task: Task) -> None:
        """Collect the task's memory reads and the checks that must precede it."""
        scalars = [v for v in (task.value, *task.target) if v is not None]
        scalars += [v for view in task.views for v in (view.offset, *view.strides) if isinstance(v, Node)]
        scalars += [v for v in (*task.sizes, *task.factors) if isinstance(v, Node)]
        nodes = scalar_nodes(scalars)
        task.loads = [v for v in nodes if v.kind == "load"]
        task.scalars = set(nodes)
        task.statements = sum(v.kind in ("op", "load") for v in nodes)
        # threads of a grid cannot end a call: there functions that say `raise` are refused
        task.raises = not self.graph.traits.grid and any(v.op is not None and v.op.raises for v in (*nodes, task.node))
        lengths = [*task.loops, *map(self.graph.find, task.node.dims), task.bound]
        task.lengths = tuple(read_for([*lengths, *(n for view in task.views for n in view.lengths)]))
        for node in self._inlined(task.node):
            task.checks += self.check_tasks.get(node, ())

    def _inlined(self, root: Node) -> Iterable[Node]:
        """The nodes computed inside a task: its own, and unstored ones above it."""
        seen: dict[Node, None] = {root: None}
        stack = [root]
        while stack:
            for v in stack.pop().inputs:
                if v not in seen and not self.elements.has_buffer(v):
                    seen[v] = None
                    stack.append(v)
        return seen


def needed(tasks: Sequence[Task], roots: Sequence[Node]) -> list[Task]:
    """The tasks that results are made of, and index checks, with all that these read. Of an array of which only a
    length is asked for, no element is computed."""
    by_node = {task.node: task for task in tasks if task.writes}
    results = set(roots)
    found: set[Task] = set()
    stack = [task for task in tasks if isinstance(task, IndexCheck) or task.node in results]
    while stack:
        task = stack.pop()
        if task not in found:
            found.add(task)
            stack += [*(by_node[v] for v in task.sources if v in by_node), *task.checks]
    return [task for task in tasks if task in found]

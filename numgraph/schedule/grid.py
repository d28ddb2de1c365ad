"""How the threads of a grid divide the loops of a nest among them.

The threads of a block can wait for each other and share fast memory, blocks cannot. Each loop nest of the schedule gets
one of these mappings:

* once      one thread: scalars
* flat      an iteration of all loops together per thread: elementwise work
* rows      an iteration of the outermost loop per thread: short rows
* lanes     an iteration of the outermost loop per block, whose threads divide the loops inside and join their sums
* sums      sums over the outermost loop: a block has some of the results, or a part of the iterations of one
* scatter   iterations that may meet the same element follow each other in one thread
* kernel, product   a call, of a function that divides its work itself
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from numgraph.ir import Graph, Node
from numgraph.lengths import dims
from numgraph.lengths.known import full_length, times
from numgraph.schedule.arrange import LoopNest, gathers_rows
from numgraph.schedule.buffers import memory_of
from numgraph.schedule.gridproduct import TILED, maker_of
from numgraph.schedule.tasks import Elementwise, IndexCheck, KernelCall, Product, Scattering, Task
from numgraph.types import FLOATS

# Iterations up to which a nest is worth moving beside others of its size, with which it is one launch then.
SMALL = 16384
# Rows of up to this many elements are handled by one thread each.
SHORT = 32
# Columns of up to this many elements are summed up by the blocks that make them, in parts.
LONG = 8192


@dataclass(eq=False)
class Mapping:
    """How a nest is divided. shape: one of the names above. count: how many threads have work (for "lanes": blocks),
    about; work: iterations in all; None where that is not known before the call. private: bytes that each thread
    ("lanes": block) has for itself. shares: how many blocks
    share in each sum, if that is settled.
    """

    shape: str
    count: Any
    work: int | None
    private: Any = 0
    shares: Any = None

    def is_small(self, most: int) -> bool:
        """Whether one block of threads may do it beside others, for at most so many iterations."""
        return self.shape not in ("product", "kernel", "scan") and self.work is not None and self.work <= most


def map_to_grid(graph: Graph, nests: list[LoopNest], buffers: dict[Node, Any]) -> tuple[dict[LoopNest, Mapping], Any]:
    """A mapping for each nest of a stage. Row buffers change their place to "private", small nests move up to
    others."""
    found: dict[LoopNest, Mapping] = {}
    for nest in nests:
        shape = _shape(graph, nest)
        mapping = found[nest] = Mapping(shape, _count(graph, nest, shape), _work(nest))
        for task in nest.tasks:
            if isinstance(task, IndexCheck) or shape not in ("rows", "lanes"):
                continue
            buffer = buffers[task.node]
            if buffer.place == "arena" and task.level_axes[0] not in buffer.axes:
                if shape == "lanes":
                    buffer.axes = _apart(task, buffer.axes)
                buffer.place, buffer.offset = "private", mapping.private
                mapping.private = mapping.private + buffer.size(graph)
    follow_products(graph, nests, found, buffers)
    follow_sums(nests, found, buffers)
    gather_small(nests, found, buffers)
    # what a kernel has for itself lies in memory of its own
    return found, 0


def _apart(task: Task, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes with that of the loop which lanes divide: its iterations run at the same time, and may not share memory
    as those of a loop do that one thread runs."""
    divided = task.level_axes[1] if len(task.loops) > 1 else None
    return axes if divided is None else tuple(sorted({*axes, divided}))


def _shape(graph: Graph, nest: LoopNest) -> str:
    first = nest.tasks[0]
    if isinstance(first, Product | KernelCall | Scattering):
        return first.kind
    if nest.length is None:
        return "once"
    if any(gathers_rows(task) for task in nest.tasks):
        return "sums"
    plain = all(isinstance(task, Elementwise | IndexCheck) or not task.reduced for task in nest.tasks)
    same = all(len(task.loops) == len(first.loops) for task in nest.tasks)
    if plain and same and _one_nest(nest):
        return "flat"
    return "rows" if _short_rows(nest) else "lanes"


def _one_nest(nest: LoopNest) -> bool:
    """Whether the loops lie directly inside each other, with all tasks in the innermost."""
    while nest.body and nest.body[0].length is not None:
        if len(nest.body) > 1:
            return False
        nest = nest.body[0]
    return all(inner.length is None for inner in nest.body)


def _short_rows(nest: LoopNest) -> bool:
    """Whether one thread may as well do a whole iteration of the outermost loop."""
    inner = [task.loops[1] for task in nest.tasks if len(task.loops) > 1]
    lengths = [full_length(n) for n in inner]
    return all(n is not None and n <= SHORT for n in lengths)


def _count(graph: Graph, nest: LoopNest, shape: str) -> Any:
    first = nest.tasks[0]
    if shape == "flat":
        return dims.product([graph.find(n) for n in first.loops])
    if shape == "sums":
        return dims.product([graph.find(first.loops[k]) for k in first.kept])
    if shape == "scatter":
        return dims.product([graph.find(first.loops[k]) for k in free_levels(first)])
    return 1 if nest.length is None else graph.find(nest.length)


def free_levels(task: Task) -> list[int]:
    """The loops of a scatter whose iterations never meet at an element."""
    form = task.node.op.scatter if task.node.op else None
    assert form is not None
    if form.unique:
        return list(range(len(task.loops)))
    counters = {index.attrs[0] for index in task.target if index.kind == "loop"}
    return sorted(counters)


def _work(nest: LoopNest) -> int | None:
    """Iterations of all tasks, as far as they are known before a call."""
    counts = [times(task.loops or task.node.dims) for task in nest.tasks]
    return None if None in counts else sum(n for n in counts if n is not None)


def gather_small(nests: list[LoopNest], found: dict[LoopNest, Mapping], buffers: dict[Node, Any]) -> None:
    """Move each small nest up to the small one before it, where nothing in between has to come first."""
    for k in range(1, len(nests)):
        place = next((p for p in range(k - 1, -1, -1) if _is_small(nests[p], found)), None)
        if not _is_small(nests[k], found) or place is None:
            continue
        between = nests[place + 1 : k]
        if not any(must_follow(nests[k], other, buffers) for other in between):
            nests.insert(place + 1, nests.pop(k))


def _is_small(nest: LoopNest, found: dict[LoopNest, Mapping]) -> bool:
    """Whether one block may do a nest beside others, as no product's blocks do it."""
    return not nest.joined and found[nest].is_small(SMALL)


def follow_products(
    graph: Graph, nests: list[LoopNest], found: dict[LoopNest, Mapping], buffers: dict[Node, Any]
) -> None:
    """Move nests up to a product whose launch can do them, too: those over its elements, rows or columns, and small
    ones that it has nothing to do with."""
    products = [n for n in nests if maker_of(graph, n.tasks[0]) and not n.tasks[0].node.within]
    for product in products:
        _follow(nests, product, "part", lambda tasks, nest: _goes_on(graph, tasks, nest, found[nest], buffers), buffers)
    for product in products:
        for nest in reversed(nests[: nests.index(product)]):
            # sums of what is there from the beginning stand in front
            place = nests.index(product) + len(_launch(nests, product))
            between = nests[nests.index(nest) + 1 : place]
            large = not nest.joined and found[nest].shape == "sums" and not found[nest].is_small(SMALL)
            if large and not any(must_follow(other, nest, buffers) for other in between):
                nests.insert(place, nest)
                nests.remove(nest)
        _follow(
            nests, product, "beside", lambda tasks, nest: _has_nothing_to_do(tasks, nest, found[nest], buffers), buffers
        )


def _launch(nests: list[LoopNest], product: LoopNest) -> list[LoopNest]:
    """A product and the nests that its launch does, too."""
    behind = nests[nests.index(product) + 1 :]
    return [product, *takewhile(lambda nest: nest.joined, behind)]


def _follow(
    nests: list[LoopNest],
    product: LoopNest,
    how: str,
    fits: Callable[[list[Task], LoopNest], bool],
    buffers: dict[Node, Any],
) -> None:
    """Move nests up to a product whose launch does them, too, as `how` says. fits: whether it can after tasks."""
    place = nests.index(product) + len(_launch(nests, product))
    tasks = [task for nest in _launch(nests, product) for task in nest.tasks]
    for nest in nests[place:]:
        if nest.joined or any(must_follow(nest, other, buffers) for other in nests[place : nests.index(nest)]):
            continue
        if not _waits(nest, tasks) and fits(tasks, nest):
            nests.remove(nest)
            nests.insert(place, nest)
            place, nest.joined = place + 1, how
            tasks += nest.tasks


def _waits(nest: LoopNest, tasks: list[Task]) -> bool:
    """Whether a nest waits for an index check among tasks, whose outcome blocks do not see of one another."""
    checks = {task for task in tasks if isinstance(task, IndexCheck)}
    return bool(checks) and any(
        isinstance(t, IndexCheck) or t.last or checks.intersection(t.checks) for t in nest.tasks
    )


def _goes_on(graph: Graph, tasks: list[Task], nest: LoopNest, mapping: Mapping, buffers: dict[Node, Any]) -> bool:
    """Whether a block that has done its part of some tasks, the first a product, can do the same part of a nest."""
    product, shape = tasks[0], mapping.shape
    tiles = maker_of(graph, product) == TILED
    both = ("flat", "sums") if isinstance(product, Product) else ("flat",)
    if shape not in (both if tiles else ("flat", "rows", "sums")):
        return False
    if not graph.equal_lengths(nest.length, product.node.dims[0]):
        return False
    if tiles and not all(_over_tiles(graph, task, product) for task in nest.tasks):
        return False
    if shape == "sums" and not (_sums_up_parts(nest) and (tiles or not mapping.is_small(SMALL))):
        return False
    made, used = _made_and_used(tasks, buffers)
    reads = [load for task in nest.tasks for load in task.loads if _owner(load.inputs[0], buffers) in made]
    if any(load.attrs or not _at_own(graph, load, tiles) for load in reads):
        return False
    _, writes = _reads_and_writes(nest, buffers)
    lengths = {_owner(v, buffers) for task in nest.tasks for v in task.lengths}
    return bool(reads) and not writes & used and not lengths & made


def _at_own(graph: Graph, load: Node, tiles: bool) -> bool:
    """Whether a task reads the element that it makes itself, or, not `tiles`, its row."""
    if not tiles:
        return load.inputs[1] is graph.loop(0)
    index = [v for v in load.inputs[1:] if not v.is_number]
    return index == [graph.loop(level) for level in range(len(index))]


def _over_tiles(graph: Graph, task: Task, product: Task) -> bool:
    """Whether a task goes over the elements of a product, the axes of length 1 of a kernel's aside."""
    dims_of = [n for n in map(graph.find, product.node.dims) if n != 1 or isinstance(product, Product)]
    return len(task.loops) == len(dims_of) and all(map(graph.equal_lengths, task.loops, dims_of))


def _sums_up_parts(nest: LoopNest) -> bool:
    """Whether a nest of sums over the outermost loop can sum up a part of it, and there are not too many parts."""
    rows = full_length(nest.length)
    if rows is None or rows > LONG:
        return False
    return all(task.reduced == (0,) and not task.form.position for task in nest.reductions)


def _has_nothing_to_do(tasks: list[Task], nest: LoopNest, mapping: Mapping, buffers: dict[Node, Any]) -> bool:
    """Whether a small nest, or large sums of all there is, can run at the same time as some tasks."""
    if mapping.is_small(SMALL):
        if mapping.shape != "flat":
            return False
    elif mapping.shape != "sums" or any(
        task.kept or task.form.position or task.node.dtype not in FLOATS for task in nest.reductions
    ):
        return False
    made, used = _made_and_used(tasks, buffers)
    reads, writes = _reads_and_writes(nest, buffers)
    lengths = {_owner(v, buffers) for task in nest.tasks for v in task.lengths}
    return not (writes & used or (reads | lengths) & made)


def _made_and_used(tasks: list[Task], buffers: dict[Node, Any]) -> tuple[set[Any], set[Any]]:
    """The memory that tasks write, and that which they write or read."""
    made = {_owner(v, buffers) for task in tasks for v in task.written}
    return made, made | {_owner(v, buffers) for task in tasks for v in task.sources}


def follow_sums(nests: list[LoopNest], found: dict[LoopNest, Mapping], buffers: dict[Node, Any]) -> None:
    """Move small nests down to sums that blocks share in, as far as nothing in between needs them: what joins the parts
    is one launch with what is small behind it."""
    for sums in [n for n in reversed(nests) if found[n].shape == "sums" and not _is_small(n, found)]:
        for nest in reversed(nests[: nests.index(sums)]):
            if not _is_small(nest, found):
                continue
            place = nests.index(sums)
            while place + 1 < len(nests) and nests[place + 1].joined:
                place += 1
            if not any(must_follow(other, nest, buffers) for other in nests[nests.index(nest) + 1 : place + 1]):
                nests.insert(place + 1, nest)
                nests.remove(nest)


def must_follow(nest: LoopNest, other: LoopNest, buffers: dict[Node, Any]) -> bool:
    """Whether `nest`, which comes later, may not be moved before `other`, nor be done at the same time."""
    if any(task.raises for task in (*nest.tasks, *other.tasks)):
        return True
    checks = {task for task in other.tasks if isinstance(task, IndexCheck)}
    if checks and any(isinstance(t, IndexCheck) or t.last or checks.intersection(t.checks) for t in nest.tasks):
        return True
    reads, writes = _reads_and_writes(nest, buffers)
    before_reads, before_writes = _reads_and_writes(other, buffers)
    return bool(reads & before_writes or writes & (before_reads | before_writes))


def _reads_and_writes(nest: LoopNest, buffers: dict[Node, Any]) -> tuple[set[Any], set[Any]]:
    """What a nest reads and writes: shared variables by their slot, other memory by the node that has it."""
    reads: set[Any] = set()
    writes: set[Any] = set()
    for task in nest.tasks:
        reads.update(_owner(node, buffers) for node in task.sources)
        writes.update(_owner(node, buffers) for node in task.written)
    return reads, writes


def _owner(node: Node, buffers: dict[Node, Any]) -> Any:
    if node.kind == "shared":
        return "shared", node.attrs[0]
    place = memory_of(buffers, node)
    if place is None:
        return node
    return ("shared", place.slot) if place.place == "shared" else place.node

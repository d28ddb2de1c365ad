"""Which loops are divided among threads, and what each chunk of a loop has for itself.

A loop over rows is divided into chunks of consecutive rows. A chunk has its own row buffers (what the serial loop uses
again in every row) and its own accumulators for sums over the rows; those are joined in the order of the chunks when
all are done, so that results depend on the number of chunks, never on timing. The number of chunks follows from the
work, the rows and `config.threads` alone. Where rows may be few, such as images, the loop within, over channels, is
divided with them, as if both were one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numgraph.ir import Graph, Node
from numgraph.lengths import dims
from numgraph.lengths.known import full_length
from numgraph.lengths.sources import computed_sources
from numgraph.schedule.arrange import LoopNest, Tiled
from numgraph.schedule.tasks import (
    Elementwise,
    IndexCheck,
    KernelCall,
    Product,
    Reduction,
    ScanTask,
    Scattering,
    Task,
    multiplications,
)
from numgraph.types import FLOATS

# Cycles of work below which a chunk is not worth the launch, which takes several hundred.
GRAIN = 4096
# Elements that one vector instruction handles, about; and multiplications with addition that one cycle handles.
LANES = 4
MULTIPLICATIONS = 12
# Cycles for an element of a named kernel (sorting, scans, gathers), about.
KERNEL = 20
# Where rows are summed: columns from which on chunks are columns, since the sums do not stay in the cache while a row
# is added; and as many as whose sums stay in the first-level cache.
MANY_COLUMNS, COLUMNS_OF_BLOCK = 8192, 2048
# So many rows are enough for all threads.
MANY_ROWS = 64
# Steps that a scan which may end early counts for, at most.
MOST_STEPS = 1 << 10
# What a chunk of a product has at least, see kernels/calls.py; and its memory, as in kernels/tiles.py.
TILE_ROWS, TILE_COLUMNS = 6, 64
SCRATCH_BYTES = 1 << 20


@dataclass(eq=False)
class Division:
    """How a nest is divided. work: cycles, about. partial: the tasks whose results are joined, with the offset of
    each chunk's part. levels: the loops that are divided, (0,), the rows; (1,), columns, of which chunks have all rows;
    or (0, 1), both, rows of rows one after the other. length: rounds of these loops."""

    work: Any
    length: Any
    partial: dict[Task, Any] = field(default_factory=dict)
    levels: tuple[int, ...] = (0,)


def divide_among_threads(
    graph: Graph, nests: Sequence[LoopNest], buffers: dict[Node, Any]
) -> tuple[dict[LoopNest, Division], Any]:
    """The nests of a stage that are divided, and the bytes that one chunk of any needs for itself.

    Row buffers of divided nests change their place to "private".
    """
    found: dict[LoopNest, Division] = {}
    # products use the same memory one after the other
    size: Any = most_worked_in(task for nest in nests for task in nest.tasks)
    for nest in nests:
        if isinstance(nest, Tiled):
            found[nest], size = _divide_tiled(graph, nest, buffers, size)
            continue
        if isinstance(nest.tasks[0], Product):
            found[nest] = Division(work_of_nest(graph, nest), _parts(graph, nest.tasks[0]))
            continue
        if works_in_memory(nest.tasks[0]):
            found[nest] = Division(work_of_nest(graph, nest), _elements(graph, nest.tasks[0].node))
            continue
        if not _divisible(nest):
            continue
        work = work_of_nest(graph, nest)
        columns = columns_of(graph, nest)
        if columns is not None:
            found[nest] = Division(work, columns, levels=(1,))
            continue
        length, levels = graph.find(nest.length), Division.levels
        inner = _inner_rows(graph, nest)
        if inner is not None:
            length, levels = length * inner, (0, 1)
        most = work_of_nest(graph, nest, full_length)
        if (most is not None and most < 2 * GRAIN) or (isinstance(length, int) and length < 2):
            continue
        found[nest] = Division(work, length, levels=levels)
        size = _own_memory(graph, nest.tasks, buffers, found[nest], size)
    return found, size


def columns_of(graph: Graph, nest: LoopNest) -> int | None:
    """The columns of a nest that sums up rows, where chunks are columns: then each sum is made by one thread and
    none is joined, in an order that does not depend on threads. None where columns are few or another order is needed.
    """
    tasks = nest.tasks
    if not all(isinstance(t, Reduction) and t.reduced == (0,) and len(t.loops) == 2 for t in tasks):
        return None
    if any(isinstance(t, Reduction) and (t.form.position or t.in_register) for t in tasks):
        return None
    lengths = {graph.find(t.loops[1]) for t in tasks if isinstance(t, Reduction)}
    columns = lengths.pop() if len(lengths) == 1 else None
    return columns if isinstance(columns, int) and columns >= MANY_COLUMNS else None


def _inner_rows(graph: Graph, nest: LoopNest) -> Any:
    """The length of the second loop, where chunks are to divide it, too: rows may be few, such as images, and their
    parts, such as channels, are long and may be computed by different threads. None where they are not."""
    length = graph.find(nest.length)
    if len(nest.body) != 1 or nest.body[0].length is None or (isinstance(length, int) and length >= MANY_ROWS):
        return None
    inner = graph.find(nest.body[0].length)
    if (isinstance(inner, int) and inner < 2) or (isinstance(inner, Node) and inner.within):
        return None
    return inner if all(map(_by_inner_rows, nest.tasks)) else None


def _by_inner_rows(task: Task) -> bool:
    return isinstance(task, Elementwise | Reduction) and len(task.loops) > 2 and None not in task.level_axes[:2]


def works_in_memory(task: Task) -> bool:
    """Whether a chunk of a task works in memory of its own: of a product, and of a kernel that says so."""
    kernel = task.node.op.kernel if task.node.op is not None and not isinstance(task, ScanTask) else None
    return isinstance(task, Product) or (kernel is not None and bool(kernel.own))


def _elements(graph: Graph, node: Node) -> Any:
    """Of a kernel that works in memory of its own, how many chunks there may be: one for each row, or element."""
    assert node.op is not None and node.op.kernel is not None
    lengths = [graph.find(n) for n in node.dims]
    return dims.product(lengths) if node.op.kernel.shares else lengths[0]


def most_worked_in(tasks: Iterable[Task]) -> Any:
    """Bytes in which a chunk of any of the tasks works: the most, plus those that are not known, each once, since
    which of them is the most is not known either."""
    most = 0
    unknown: dict[Any, None] = {}
    for task in filter(works_in_memory, tasks):
        own = task.node.op.kernel.own if task.node.op is not None and task.node.op.kernel is not None else 0
        found = SCRATCH_BYTES if isinstance(task, Product) else own(*task.sizes) if callable(own) else own
        if isinstance(found, int):
            most = max(most, found)
        else:
            unknown[found] = None
    return sum(unknown, start=most)


def _own_memory(graph: Graph, tasks: Sequence[Task], buffers: dict[Node, Any], division: Division, size: Any) -> Any:
    """Give the tasks of a divided loop what each chunk has for itself, from `size` bytes on; returns the new size."""
    for task in tasks:
        if isinstance(task, IndexCheck | Product):
            continue
        buffer = buffers[task.node]
        if 0 in task.reduced:
            division.partial[task] = size
        elif buffer.place == "arena" and any(task.level_axes[k] not in buffer.axes for k in division.levels):
            buffer.place, buffer.offset = "private", size
        else:
            continue
        size = size + buffer.size(graph)
    return size


def _divide_tiled(graph: Graph, tiled: Tiled, buffers: dict[Node, Any], size: Any) -> tuple[Division, Any]:
    """As for a loop; besides, rows of a tile, copied weights, and sums of products."""
    division = Division(work_of_nest(graph, tiled), graph.find(tiled.length))
    for node in tiled.local:
        buffer = buffers[node]
        buffer.place, buffer.offset = "rows", size
        size = size + dims.aligned(tiled.room * dims.bytes_of(buffer.lengths(graph)[1:], node.dtype))
    for task in tiled.copies:
        tiled.copies[task] = size
        size = size + dims.aligned(dims.bytes_of(map(graph.find, task.views[1].lengths), task.node.dtype))
    for task in tiled.sums:
        division.partial[task] = size
        size = size + dims.aligned(dims.bytes_of(map(graph.find, task.node.dims), task.node.dtype))
    return division, _own_memory(graph, tiled.tasks, buffers, division, size)


def _parts(graph: Graph, task: Task) -> Any:
    """How many parts a product can have: tiles of its rows or columns, or the products of a stack."""
    lengths = [graph.find(n) for n in task.node.dims]
    return lengths[0] if len(lengths) == 3 else dims.maximum(lengths[0] // TILE_ROWS, lengths[1] // TILE_COLUMNS)


def _divisible(nest: LoopNest) -> bool:
    """Whether the rows of a nest's loop may be computed by different threads."""
    return not obstacle(nest)


def obstacle(nest: LoopNest) -> str:
    """Why the rows of a nest's loop may not be computed by different threads; "" where they may."""
    if isinstance(nest.length, Node) and nest.length.within:
        return "how long it is varies from step to step of a scan"
    if isinstance(nest.tasks[0], KernelCall):
        return "a kernel runs on one thread"
    if nest.length is None:
        return "no loop to divide"
    return next((reason for task in nest.tasks if (reason := _not_by_rows(task))), "")


def _not_by_rows(task: Task) -> str:
    if isinstance(task, IndexCheck):
        return ""
    if isinstance(task, Scattering):
        return "writes where computed indices say"
    if isinstance(task, Reduction) and 0 in task.reduced:
        return "finds the first of all rows, in order" if task.form.position else ""
    by_rows = isinstance(task, Elementwise | Reduction) and task.level_axes[0] is not None
    return "" if by_rows else "its loop does not run along the rows of what it writes"


def work_of_nest(graph: Graph, nest: LoopNest, length_of: Callable[[Any], Any] | None = None) -> Any:
    """Cycles that a nest takes on one core, about; a number, or a node where lengths are not known.

    length_of: what a length counts as (as it is by default); None as an answer makes the whole work None.
    """
    found = length_of or graph.find
    costs: dict[tuple[Any, ...], int] = {}
    total: Any = 0
    for task in nest.tasks:
        lengths: tuple[Any, ...]
        if isinstance(task, ScanTask):
            inner = [work_of_nest(graph, part, length_of) for part in task.nests]
            steps = found(task.steps)
            if isinstance(steps, Node) and computed_sources([steps]):
                # no plan knows it
                steps = 1
            if task.memory is not None and task.memory.ends is not None and steps is not None:
                # it may end long before
                steps = dims.minimum(steps, MOST_STEPS)
            if steps is None or None in inner:
                return None
            total = total + steps * sum(n for n in inner if not (isinstance(n, Node) and n.within))
            continue
        if works_in_memory(task):
            lengths, cost = multiplications(task), 0
        elif isinstance(task, KernelCall):
            lengths, cost = task.node.dims, KERNEL * LANES
        else:
            lengths, cost = task.loops, _cost(task)
        key = tuple(map(found, lengths))
        if None in key:
            return None
        if works_in_memory(task):
            total = total + dims.product(key) // (MULTIPLICATIONS // (2 if task.node.dtype == "float64" else 1))
        costs[key] = costs.get(key, 0) + cost
    for key, cost in costs.items():
        total = total + dims.product(key) * cost // LANES
    return total


def _cost(task: Task) -> int:
    """Operations, reads and the write of one element of a task."""
    cost = sum(v.op.cost for v in task.scalars if v.kind == "op" and v.op is not None and v.dtype in FLOATS)
    return cost + len(task.loads) + 1 + (isinstance(task, Reduction | Scattering))

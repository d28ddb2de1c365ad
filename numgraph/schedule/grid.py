"""How the threads of a grid divide the loops of a block among them.

A grid has blocks of threads; here "group" is such a block, since a block of the schedule is a loop. The threads of a
group can wait for each other and share fast memory, groups cannot. Each block of the schedule gets one of these
mappings:

* once      one thread: scalars
* flat      an iteration of all loops together per thread: elementwise work
* rows      an iteration of the outermost loop per thread: short rows
* lanes     an iteration of the outermost loop per group, whose threads divide the loops inside and join their sums
* sums      sums over the outermost loop: a group has some of the results, or a part of the iterations of one
* scatter   iterations that may meet the same element follow each other in one thread
* kernel, product   a call, of a function that divides its work itself
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numgraph.ir import Graph, Node
from numgraph.lengths import dims
from numgraph.lengths.known import full_length, times
from numgraph.schedule.arrange import Block, gathers_rows
from numgraph.schedule.buffers import memory_of
from numgraph.schedule.tasks import Elementwise, IndexCheck, KernelCall, Product, Scattering, Task

# Iterations up to which a block is worth moving beside others of its size, with which it is one launch then.
SMALL = 16384
# Rows of up to this many elements are handled by one thread each.
SHORT = 32


@dataclass(eq=False)
class Mapping:
    """How a block is divided. shape: one of the names above. count: how many threads have work (for "lanes": groups),
    about; work: iterations in all; None where that is not known before the call. private: bytes that each thread
    ("lanes": group) has for itself.
    """

    shape: str
    count: Any
    work: int | None
    private: Any = 0

    def is_small(self, most: int) -> bool:
        """Whether one block of threads may do it beside others, for at most so many iterations."""
        return self.shape not in ("product", "kernel") and self.work is not None and self.work <= most


def map_to_grid(graph: Graph, blocks: list[Block], buffers: dict[Node, Any]) -> tuple[dict[Block, Mapping], Any]:
    """A mapping for each block of a stage. Row buffers change their place to "private", small blocks move up to
    others."""
    found: dict[Block, Mapping] = {}
    for block in blocks:
        shape = _shape(graph, block)
        mapping = found[block] = Mapping(shape, _count(graph, block, shape), _work(block))
        for task in block.tasks:
            if isinstance(task, IndexCheck) or shape not in ("rows", "lanes"):
                continue
            buffer = buffers[task.node]
            if buffer.place == "arena" and task.level_axes[0] not in buffer.axes:
                if shape == "lanes":
                    buffer.axes = _apart(task, buffer.axes)
                buffer.place, buffer.offset = "private", mapping.private
                mapping.private = mapping.private + buffer.size(graph)
    gather_small(blocks, found, buffers)
    # what a kernel has for itself lies in memory of its own
    return found, 0


def _apart(task: Task, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes with that of the loop which lanes divide: its iterations run at the same time, and may not share memory
    as those of a loop do that one thread runs."""
    divided = task.level_axes[1] if len(task.loops) > 1 else None
    return axes if divided is None else tuple(sorted({*axes, divided}))


def _shape(graph: Graph, block: Block) -> str:
    first = block.tasks[0]
    if isinstance(first, Product | KernelCall | Scattering):
        return first.kind
    if block.length is None:
        return "once"
    if any(gathers_rows(task) for task in block.tasks):
        return "sums"
    plain = all(isinstance(task, Elementwise | IndexCheck) or not task.reduced for task in block.tasks)
    same = all(len(task.loops) == len(first.loops) for task in block.tasks)
    if plain and same and _one_nest(block):
        return "flat"
    return "rows" if _short_rows(block) else "lanes"


def _one_nest(block: Block) -> bool:
    """Whether the loops lie directly inside each other, with all tasks in the innermost."""
    while block.body and block.body[0].length is not None:
        if len(block.body) > 1:
            return False
        block = block.body[0]
    return all(inner.length is None for inner in block.body)


def _short_rows(block: Block) -> bool:
    """Whether one thread may as well do a whole iteration of the outermost loop."""
    inner = [task.loops[1] for task in block.tasks if len(task.loops) > 1]
    lengths = [full_length(n) for n in inner]
    return all(n is not None and n <= SHORT for n in lengths)


def _count(graph: Graph, block: Block, shape: str) -> Any:
    first = block.tasks[0]
    if shape == "flat":
        return dims.product([graph.find(n) for n in first.loops])
    if shape == "sums":
        return dims.product([graph.find(first.loops[k]) for k in first.kept])
    if shape == "scatter":
        return dims.product([graph.find(first.loops[k]) for k in free_levels(first)])
    return 1 if block.length is None else graph.find(block.length)


def free_levels(task: Task) -> list[int]:
    """The loops of a scatter whose iterations never meet at an element."""
    form = task.node.op.scatter if task.node.op else None
    assert form is not None
    if form.unique:
        return list(range(len(task.loops)))
    counters = {index.attrs[0] for index in task.target if index.kind == "loop"}
    return sorted(counters)


def _work(block: Block) -> int | None:
    """Iterations of all tasks, as far as they are known before a call."""
    counts = [times(task.loops or task.node.dims) for task in block.tasks]
    return None if None in counts else sum(n for n in counts if n is not None)


def gather_small(blocks: list[Block], found: dict[Block, Mapping], buffers: dict[Node, Any]) -> None:
    """Move each small block up to the small one before it, where nothing in between has to come first."""
    for k in range(1, len(blocks)):
        place = next((p for p in range(k - 1, -1, -1) if found[blocks[p]].is_small(SMALL)), None)
        if not found[blocks[k]].is_small(SMALL) or place is None:
            continue
        between = blocks[place + 1 : k]
        if not any(_must_follow(blocks[k], other, buffers) for other in between):
            blocks.insert(place + 1, blocks.pop(k))


def _must_follow(block: Block, other: Block, buffers: dict[Node, Any]) -> bool:
    """Whether `block`, which comes later, may not be moved before `other`."""
    if any(isinstance(task, IndexCheck) for task in (*block.tasks, *other.tasks)):
        return True
    reads, writes = _reads_and_writes(block, buffers)
    before_reads, before_writes = _reads_and_writes(other, buffers)
    return bool(reads & before_writes or writes & (before_reads | before_writes))


def _reads_and_writes(block: Block, buffers: dict[Node, Any]) -> tuple[set[Any], set[Any]]:
    """What a block reads and writes: shared variables by their slot, other memory by the node that has it."""
    reads: set[Any] = set()
    writes: set[Any] = set()
    for task in block.tasks:
        reads.update(_owner(node, buffers) for node in task.sources)
        if task.writes:
            writes.add(_owner(task.node, buffers))
    return reads, writes


def _owner(node: Node, buffers: dict[Node, Any]) -> Any:
    if node.kind == "shared":
        return "shared", node.attrs[0]
    place = memory_of(buffers, node)
    if place is None:
        return node
    return ("shared", place.slot) if place.place == "shared" else place.node

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
from numgraph.schedule.items import Elementwise, IndexCheck, Item, KernelCall, Product, Scattering

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
        for item in block.items:
            if isinstance(item, IndexCheck) or shape not in ("rows", "lanes"):
                continue
            buffer = buffers[item.node]
            if buffer.place == "arena" and item.level_axes[0] not in buffer.axes:
                if shape == "lanes":
                    buffer.axes = _apart(item, buffer.axes)
                buffer.place, buffer.offset = "private", mapping.private
                mapping.private = mapping.private + buffer.size(graph)
    gather_small(blocks, found, buffers)
    # what a kernel has for itself lies in memory of its own
    return found, 0


def _apart(item: Item, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes with that of the loop which lanes divide: its iterations run at the same time, and may not share memory
    as those of a loop do that one thread runs."""
    divided = item.level_axes[1] if len(item.loops) > 1 else None
    return axes if divided is None else tuple(sorted({*axes, divided}))


def _shape(graph: Graph, block: Block) -> str:
    first = block.items[0]
    if isinstance(first, Product | KernelCall | Scattering):
        return first.kind
    if block.length is None:
        return "once"
    if any(gathers_rows(item) for item in block.items):
        return "sums"
    plain = all(isinstance(item, Elementwise | IndexCheck) or not item.reduced for item in block.items)
    same = all(len(item.loops) == len(first.loops) for item in block.items)
    if plain and same and _one_nest(block):
        return "flat"
    return "rows" if _short_rows(block) else "lanes"


def _one_nest(block: Block) -> bool:
    """Whether the loops lie directly inside each other, with all items in the innermost."""
    while block.body and block.body[0].length is not None:
        if len(block.body) > 1:
            return False
        block = block.body[0]
    return all(inner.length is None for inner in block.body)


def _short_rows(block: Block) -> bool:
    """Whether one thread may as well do a whole iteration of the outermost loop."""
    inner = [item.loops[1] for item in block.items if len(item.loops) > 1]
    lengths = [full_length(n) for n in inner]
    return all(n is not None and n <= SHORT for n in lengths)


def _count(graph: Graph, block: Block, shape: str) -> Any:
    first = block.items[0]
    if shape == "flat":
        return dims.product([graph.find(n) for n in first.loops])
    if shape == "sums":
        return dims.product([graph.find(first.loops[k]) for k in first.kept])
    if shape == "scatter":
        return dims.product([graph.find(first.loops[k]) for k in free_levels(first)])
    return 1 if block.length is None else graph.find(block.length)


def free_levels(item: Item) -> list[int]:
    """The loops of a scatter whose iterations never meet at an element."""
    form = item.node.op.scatter if item.node.op else None
    assert form is not None
    if form.unique:
        return list(range(len(item.loops)))
    counters = {index.attrs[0] for index in item.target if index.kind == "loop"}
    return sorted(counters)


def _work(block: Block) -> int | None:
    """Iterations of all items, as far as they are known before a call."""
    counts = [times(item.loops or item.node.dims) for item in block.items]
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
    if any(isinstance(item, IndexCheck) for item in (*block.items, *other.items)):
        return True
    reads, writes = _memory_of(block, buffers)
    before_reads, before_writes = _memory_of(other, buffers)
    return bool(reads & before_writes or writes & (before_reads | before_writes))


def _memory_of(block: Block, buffers: dict[Node, Any]) -> tuple[set[Any], set[Any]]:
    """What a block reads and writes: shared variables by their slot, other memory by the node that has it."""
    reads: set[Any] = set()
    writes: set[Any] = set()
    for item in block.items:
        reads.update(_owner(node, buffers) for node in item.sources)
        if item.writes:
            writes.add(_owner(item.node, buffers))
    return reads, writes


def _owner(node: Node, buffers: dict[Node, Any]) -> Any:
    if node.kind == "shared":
        return "shared", node.attrs[0]
    while node in buffers and buffers[node].place == "base":
        node = node.inputs[0]
    place = buffers.get(node)
    return ("shared", place.slot) if place is not None and place.place == "shared" else node

"""A loop that is divided among threads: one chunk of it, and the joining of what the chunks have accumulated."""

from __future__ import annotations

from functools import partial

import numpy as np

from numgraph.lengths import dims
from numgraph.loops.build import LoopBuilder, in_order
from numgraph.loops.memory import HostMemory, pointer_to
from numgraph.loops.neighbours import run_from
from numgraph.loops.program import Assign, Call, Expression, For, Name, Number, Store
from numgraph.loops.values import Setting, Values, as_read, as_stored
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.chunks import COLUMNS_OF_BLOCK
from numgraph.schedule.tasks import Reduction

# Which chunk this is, and of how many.
CHUNK, CHUNKS = Name("chunk"), Name("chunks")


def host_values(
    setting: Setting, nest: LoopNest | None = None, plans: bool = False, scan: int | None = None
) -> tuple[Values, HostMemory]:
    """The beginning of a function for the processor. nest: what it does a chunk of. plans, scan: see `HostMemory`."""
    own = {task.node: place for task, place in setting.schedule.division[nest].partial.items()} if nest else {}
    values = Values(setting, partial(HostMemory, own=own, plans=plans, scan=scan), setting.names())
    assert isinstance(values.memory, HostMemory)
    return values, values.memory


def rows_of_chunk(values: Values, nest: LoopNest) -> tuple[Expression, Expression]:
    """The first of a chunk's iterations of a loop, and the end."""
    rows = values.whole(nest.length)
    begin = values.assign("begin", rows * CHUNK // CHUNKS, "rows of this chunk")
    return begin, values.assign("end", rows * (CHUNK + 1) // CHUNKS)


def _rows_of_rows(values: Values, nest: LoopNest) -> tuple[Expression, Expression]:
    """As `rows_of_chunk`, for the rounds of two loops that are divided as one."""
    rows = values.whole(values.schedule.division[nest].length)
    begin = values.assign("begin", rows * CHUNK // CHUNKS, "rows of rows of this chunk")
    return begin, values.assign("end", rows * (CHUNK + 1) // CHUNKS)


def _two_loops(values: Values, builder: LoopBuilder, nest: LoopNest) -> tuple[Expression, Expression]:
    """The bounds of a chunk in the outer one of two loops that are divided as one; those of the inner one are noted."""
    begin, end = _rows_of_rows(values, nest)
    inner = values.whole(nest.body[0].length)

    def within() -> tuple[Expression, Expression]:
        before = values.counters[0] * inner
        return Call("maximum", (begin - before, Number(0))), Call("minimum", (end - before, inner))

    builder.bounds[1] = within
    each = inner if isinstance(inner, Number) else values.assign("each", Call("maximum", (inner, Number(1))))
    return begin // each, (end + each - 1) // each


def add_chunk(values: Values, memory: HostMemory, nest: LoopNest, stage: int) -> None:
    """A chunk of a divided loop."""
    division = values.schedule.division[nest]
    if division.levels == (1,):
        _add_columns(values, nest)
        return
    places = [values.schedule.buffers[task.node].place for task in nest.tasks if task.writes]
    if memory.own or "private" in places:
        memory.say_own(stage, CHUNK)
    builder = LoopBuilder(values)
    accumulators = builder.started(nest, 0)
    run = run_from(values.schedule, nest, 0, None)
    if run and division.levels == (0, 1):
        values.add(builder.one_loop(run, _rows_of_rows(values, nest), 2, accumulators))
    else:
        bounds = rows_of_chunk(values, nest) if division.levels == (0,) else _two_loops(values, builder, nest)
        for part in builder.parts(nest, 0, bounds, accumulators):
            values.add(part)
    builder.complete(accumulators)


def _add_columns(values: Values, nest: LoopNest) -> None:
    """All rows of some columns, a block of them after the other."""
    columns, block = values.whole(values.schedule.division[nest].length), Name(values.names.fresh("block"))
    begin = values.assign("begin", columns * CHUNK // CHUNKS, "columns of this chunk")
    end = values.assign("end", columns * (CHUNK + 1) // CHUNKS)
    before = len(values.statements)
    stop = values.assign(
        "stop", Call("minimum", (block + Number(COLUMNS_OF_BLOCK), end)), "columns whose sums stay near"
    )
    builder = LoopBuilder(values)
    builder.bounds[1] = lambda: (block, stop)
    builder.loop(nest, 0)
    inside = tuple(values.statements[before:])
    del values.statements[before:]
    values.add(For(block, (begin, end, Number(COLUMNS_OF_BLOCK)), inside))


def add_join(values: Values, memory: HostMemory, task: Reduction, nest: LoopNest, stage: int) -> None:
    """What the chunks of a divided loop have accumulated for a reduction, joined in the order of the chunks."""
    schedule, names, node, dtype = values.schedule, values.names, task.node, task.node.dtype
    total_name, part_name, acc_name = names.fresh("total"), names.fresh("part"), names.fresh("acc")
    step = memory.place(schedule.private_bytes[stage] // np.dtype(dtype).itemsize)
    total = values.assign(total_name, pointer_to(memory.address(node), dtype), values.notes.array(node), node)
    parts = memory.beyond(memory.behind_arena(stage), schedule.division[nest].partial[task])
    part = values.assign(part_name, pointer_to(parts, dtype), "of the chunks")
    count = memory.place(dims.product(schedule.buffers[node].lengths(values.graph)))
    counter, acc = values.counter(0), Name(acc_name, dtype)
    # in vectors, a sum over a handful of chunks would only be long code
    combined = in_order(task, acc, as_read(part[CHUNK * step + counter], dtype))
    body = (
        Assign(acc, as_read(part[counter], dtype)),
        For(CHUNK, (Number(1), CHUNKS), (Assign(acc, combined, **values.origin(node, node.name)),)),
        Store(total, counter, as_stored(acc, dtype)),
    )
    values.add(For(counter, (count,), body))

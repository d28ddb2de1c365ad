"""What the launch of a product goes on with: loops over what each block has made, and small loops beside."""

from __future__ import annotations

from collections.abc import Callable

from numgraph.lengths import dims
from numgraph.loops.grid.kernel import BLOCK, BLOCKS, LANE, Region
from numgraph.loops.grid.nests import Work
from numgraph.loops.grid.reductions import Sums
from numgraph.loops.program import Choice, Expression, If, Logic, Name, Number
from numgraph.schedule.gridproduct import tiles_of
from numgraph.schedule.tasks import Task


def part(work: Work) -> None:
    """A nest over the part of the product's result that the block has made."""
    region = region_of(work)
    if region.task is not None:
        _tile_of_kernel(work, region, region.task)
        return
    first = work.values.assign(work.name("first"), region.row, "of the rows that this block has made")
    if work.mapping.shape == "sums":
        _sums(work, region, first)
    elif region.columns:
        _tile(work, region, first)
    else:
        _rows(work, region, first)


def region_of(work: Work) -> Region:
    """What each block of the product has made."""
    assert work.kernel.region is not None
    return work.kernel.region


def beside(work: Work) -> None:
    """A nest of the mapping "flat", or sums of all there is, by all threads of the launch."""
    threads, block, blocks = Number(work.kernel.threads), BLOCK, BLOCKS
    if region_of(work).columns:
        at, count = ([Name(f"cuda.{what}.{axis}") for axis in "xyz"] for what in ("blockIdx", "gridDim"))
        block = work.values.assign(work.name("number"), (at[2] * count[1] + at[1]) * count[0] + at[0], "of this block")
        blocks = work.values.assign(work.name("count"), count[2] * count[1] * count[0], "of blocks")
    start, step = block * threads + LANE, blocks * threads
    if work.mapping.shape == "sums":
        Sums(work, work.nest.tasks[0].reduced).of_all_blocks(block, start, step)
        return
    length = dims.product(work.lengths(work.nest.tasks[0], range(len(work.nest.tasks[0].loops))))
    _flat(work, start, work.values.whole(length), step)


JOINED: dict[str, Callable[[Work], None]] = {"part": part, "beside": beside}


def _flat(work: Work, *bounds: Expression) -> None:
    """All loops together."""
    levels = range(len(work.nest.tasks[0].loops))
    counter = work.name("e")
    with work.loop(counter, *bounds):
        work.unflatten(counter, work.lengths(work.nest.tasks[0], levels), levels)
        for task in work.nest.tasks:
            work.builder.task(task)


def _rows(work: Work, region: Region, first: Name) -> None:
    """Whole rows."""
    threads = Number(work.kernel.threads)
    end = _end(work, region, first)
    if work.mapping.shape == "rows":
        work.values.add(work.builder.for_loop(work.nest, 0, (first + LANE, end, threads), {}))
        # each block has memory for as many threads as one of the usual size
        work.own = work.mapping.private * work.geometry.threads
        return
    lengths = work.lengths(work.nest.tasks[0], range(len(work.nest.tasks[0].loops)))
    row = work.values.whole(dims.product(lengths[1:]))
    _flat(work, first * row + LANE, end * row, threads)


def _end(work: Work, region: Region, first: Name) -> Name:
    """Where the rows of a block end."""
    return _before(work, first + region.rows, work.values.whole(work.nest.length))


def _before(work: Work, last: Expression, length: Expression) -> Name:
    """The smaller of two ends."""
    return work.values.assign(work.name("end"), Choice(last.compared("<", length), last, length))


def _tile(work: Work, region: Region, first: Name) -> None:
    """An element of the tile for each thread in turn."""
    values, count = work.values, region.columns
    lengths = [values.whole(n) for n in work.lengths(work.nest.tasks[0], (0, 1))]
    column = values.assign(work.name("column"), region.column)
    element = work.name("e")
    with work.loop(element, LANE, Number(region.rows * count), Number(work.kernel.threads)):
        for level, place in enumerate((first + element // count, column + element % count)):
            values.counters[level] = values.assign(values.names.counter(level), place)
        inside = tuple(values.counters[k].compared("<", lengths[k]) for k in (0, 1))
        with work.inside(lambda body: If(Logic("and", inside), body)):
            for task in work.nest.tasks:
                work.builder.task(task)


def _tile_of_kernel(work: Work, region: Region, task: Task) -> None:
    """Likewise, of a kernel that is a product in tiles: rows of a group, and columns that count several axes. Each
    thread has one column, whose places are worked out once."""
    values, about, threads = work.values, tiles_of(task), work.kernel.threads
    assert about is not None and about.result and threads % region.columns == 0
    dims_of = [values.graph.find(n) for n in task.node.dims]
    rows, columns, _ = map(values.whole, about.extents(*map(values.graph.find, task.sizes)))
    others, down = work.quotient(BLOCK, work.ceiling(rows, region.rows))
    group, across = work.quotient(others, work.ceiling(columns, region.columns))
    first = values.assign(work.name("first"), down * region.rows, "of the rows that this block has made")
    end = _before(work, first + region.rows, rows)
    column = values.assign(work.name("column"), across * region.columns + LANE % region.columns)
    with work.inside(lambda body: If(column.compared("<", columns), body)):
        axis, axes = about.result
        levels = [a for a, n in enumerate(dims_of) if n != 1]
        outer, *inner = (a for a in axes if a in levels)
        rest: Expression = column
        for number in reversed(inner):
            level = levels.index(number)
            rest, place = work.quotient(rest, values.whole(dims_of[number]))
            values.counters[level] = values.assign(values.names.counter(level), place)
        values.counters[levels.index(outer)] = values.assign(values.names.counter(levels.index(outer)), rest)
        row = work.name("row")
        with work.loop(row, first + LANE // region.columns, end, Number(threads // region.columns)):
            if axis in levels:
                level = levels.index(axis)
                values.counters[level] = values.assign(values.names.counter(level), group * rows + row)
            for each in work.nest.tasks:
                work.builder.task(each)


def _sums(work: Work, region: Region, first: Name) -> None:
    """Results of sums over the rows, each by one thread: the part that the block's rows are."""
    values, made = work.values, Sums(work, (0,))
    begin: Expression = LANE
    last = made.count = values.whole(made.results)
    end = _end(work, region, first)
    if region.columns:
        column = values.assign(work.name("column"), region.column)
        begin, last = column + LANE, _before(work, column + region.columns, last)
    made.share = values.assign(work.name("share"), first // region.rows, "which part of the sums")
    made.counter = work.name("c")
    with work.loop(made.counter, begin, last, Number(work.kernel.threads)):
        work.unflatten(made.counter, work.lengths(made.first, made.kept), made.kept)
        accumulators = {task: work.builder.start(task) for task in work.nest.reductions}
        values.counters[0] = work.name("e")
        with work.loop(values.counters[0], first, end):
            for task, accumulator in accumulators.items():
                work.builder.accumulate(task, accumulator, work.builder.operand(task))
        for task, accumulator in accumulators.items():
            values.add(made.part_stored(task, accumulator))

"""Sums over the outermost loop, by all threads of a block or of several: the mapping "sums"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numgraph.ir import Graph
from numgraph.lengths import dims
from numgraph.lengths.known import full_length
from numgraph.loops.build import position_of
from numgraph.loops.grid.joins import joined
from numgraph.loops.grid.kernel import BLOCK, BLOCK_Y, BLOCKS, BLOCKS_Y, LANE, LANES, THREAD, THREADS, Geometry
from numgraph.loops.grid.nests import Work
from numgraph.loops.program import Call, Choice, Expression, If, Load, Logic, Name, Number, Store
from numgraph.loops.values import as_read
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.grid import Mapping
from numgraph.schedule.tasks import Reduction

ZERO, ONE = Number(0), Number(1)
# Up to so many parts of a sum are joined by one thread.
FEW = 32


def width_of(results: Any, geometry: Geometry) -> int:
    """How many results lanes side by side work on: those of a memory transaction, or all there are."""
    most = min(32, geometry.threads)
    if not isinstance(results, int):
        return most
    width = 1
    while width < min(results, most):
        width *= 2
    return width


def shares_of(graph: Graph, nest: LoopNest, mapping: Mapping, geometry: Geometry) -> Any:
    """How many blocks of threads share in each sum; a number wherever the lengths have known bounds."""
    if mapping.shares is not None:
        return mapping.shares
    first = nest.tasks[0]
    if any(task.form.position for task in nest.reductions):
        return 1
    if mapping.work is not None and mapping.work <= geometry.small:
        return 1
    kept = [full_length(first.loops[k]) for k in first.kept]
    width = width_of(dims.product([n for n in kept if n is not None]), geometry) if None not in kept else 32
    steps: Any = 1
    for k in first.reduced:
        known = full_length(first.loops[k])
        steps = steps * (graph.find(first.loops[k]) if known is None else known)
    return dims.maximum(dims.minimum(steps * width // geometry.part, geometry.shares), 1)


def reductions(work: Work) -> None:
    """Each result by one block of threads, or shares of it by several, whose parts `join` puts together."""
    made, shares = Sums(work, work.nest.tasks[0].reduced), work_shares(work)
    steps = dims.product(work.lengths(made.first, made.reduced))
    if isinstance(shares, int) and shares == 1:
        made.add(steps, work.builder.operand, made.store_result)
    else:
        made.shares = shares
        made.add(steps, work.builder.operand, made.store_part)
    work.launch(made.tiles, 1)
    # a share of the sums for each block along the second axis
    number_of = work.values.layout.number
    work.kernel.grid.append((number_of(shares), 1, work.geometry.shares))


def join(work: Work) -> None:
    """The joining of what the shares of a nest of sums have found, in the order of the shares."""
    made, shares = Sums(work, ()), work_shares(work)
    most = full_length(shares)
    if most is not None and most <= FEW:
        made.each_result(shares)
        work.launch(made.results, work.geometry.threads)
        return
    made.add(shares, made.part, made.store_result)
    work.launch(made.tiles, 1)


def work_shares(work: Work) -> Any:
    """How many blocks of threads share in each sum of a nest."""
    return shares_of(work.values.graph, work.nest, work.mapping, work.geometry)


class Sums:
    """Loops over results and what each is the sum of.

    kept, reduced: which loops give results and which are summed over. width: lanes side by side that work on different
    results; shares: how many blocks of threads work on one. counter: which result it is, of `count`; share: which part
    of it; step: which of what is summed up.
    """

    def __init__(self, work: Work, reduced: tuple[int, ...]) -> None:
        self.work = work
        self.values = work.values
        self.first = work.nest.tasks[0]
        self.kept, self.reduced = self.first.kept, reduced
        self.results = dims.product(work.lengths(self.first, self.kept))
        self.width = width_of(self.results, work.geometry)
        self.shares: Any = 1
        self.share: Expression = ZERO
        self.count: Expression = ONE
        self.counter, self.step = LANE, LANE

    @property
    def tiles(self) -> Any:
        """Blocks of threads for all results, each once."""
        return (self.results + (self.width - 1)) // self.width

    @property
    def whole(self) -> bool:
        """Whether every lane has a result."""
        return isinstance(self.results, int) and self.results % self.width == 0

    def add(
        self, steps: Any, element: Callable[[Reduction], Expression], store: Callable[[Reduction, Name], None]
    ) -> None:
        """The loops; lanes `width` apart work on the same result."""
        work, values, width = self.work, self.values, self.width
        self.count, tiles = map(values.whole, (self.results, self.tiles))
        tile, self.counter = work.name("part"), work.name("c")
        with work.loop(tile, BLOCK, tiles, BLOCKS), self._share(steps) as (begin, all_steps):
            values.assign(self.counter, self._result(tile), "the result that this lane works on")
            first: Expression = LANE // width if width > 1 else LANE
            if begin is not None:
                first = begin + first
            last = all_steps
            if width > 1 and not self.whole:
                chosen = Choice(self.counter.compared("<", self.count), all_steps, ZERO)
                last = values.assign(work.name("end"), chosen)
            work.unflatten(self.counter, work.lengths(self.first, self.kept), self.kept)
            accumulators = {task: work.builder.start(task) for task in work.nest.reductions}
            self.step = work.name("e")
            with work.loop(self.step, first, last, LANES if width == 1 else LANES // width):
                if self.reduced:
                    work.unflatten(self.step, work.lengths(self.first, self.reduced), self.reduced)
                for task, accumulator in accumulators.items():
                    work.builder.accumulate(task, accumulator, element(task))
            for task, accumulator in accumulators.items():
                store(task, joined(work, task, accumulator, width))

    def each_result(self, shares: Any) -> None:
        """The loop over results in which each thread adds up the parts of one."""
        work, values = self.work, self.values
        self.count, self.counter, self.step = values.whole(self.results), work.name("c"), work.name("e")
        with work.loop(self.counter, THREAD, self.count, THREADS):
            work.unflatten(self.counter, work.lengths(self.first, self.kept), self.kept)
            accumulators = {task: work.builder.start(task) for task in work.nest.reductions}
            with work.loop(self.step, values.whole(shares)):
                for task, accumulator in accumulators.items():
                    work.builder.accumulate(task, accumulator, self.part(task))
            for task, accumulator in accumulators.items():
                values.add(work.builder.stored(task, accumulator))

    def of_all_blocks(self, block: Expression, start: Expression, step: Expression) -> None:
        """The loop of all threads of a launch over what is summed up to single numbers; a part for each block."""
        work, values = self.work, self.values
        lengths = work.lengths(self.first, self.reduced)
        accumulators = {task: work.builder.start(task) for task in work.nest.reductions}
        self.share, self.step = block, work.name("e")
        with work.loop(self.step, start, values.whole(dims.product(lengths)), step):
            work.unflatten(self.step, lengths, self.reduced)
            for task, accumulator in accumulators.items():
                work.builder.accumulate(task, accumulator, work.builder.operand(task))
        for task, accumulator in accumulators.items():
            found = joined(work, task, accumulator, 1)
            values.add(If(LANE.compared("==", 0), (self.part_stored(task, found),)))

    @contextmanager
    def _share(self, steps: Any) -> Iterator[tuple[Expression | None, Expression]]:
        """The loop over shares, if there are several: where a share of the steps begins, and where it ends."""
        work, values, shares = self.work, self.values, self.shares
        if isinstance(shares, int) and shares == 1:
            yield None, values.whole(steps)
            return
        self.share = work.name("share")
        with work.loop(self.share, BLOCK_Y, values.whole(shares), BLOCKS_Y):
            size = values.whole((steps + (shares - 1)) // shares)
            begin = values.assign(work.name("begin"), self.share * size, "which part of the sums")
            end = Call("minimum", (begin + size, values.whole(steps)))
            yield begin, values.assign(work.name("end"), end)

    def _result(self, tile: Expression) -> Expression:
        """The result that a lane works on."""
        if self.width == 1:
            return tile
        return LANE % self.width if tile == ZERO else tile * self.width + LANE % self.width

    def _part_of(self, task: Reduction, share: Expression) -> Load:
        """A share's part of the present result."""
        dtype = "uint8" if task.node.dtype == "bool" else task.node.dtype
        pointer = self.work.kernel.parameter(("part", task), None, "part", f"{dtype}*", ("part", task))
        return Load(pointer, share if self.count == ONE else share * self.count + self.counter)

    def part(self, task: Reduction) -> Expression:
        """What the share whose turn it is has found."""
        return as_read(self._part_of(task, self.step), task.node.dtype)

    def _own_lanes(self) -> Expression:
        """Whether a lane is one of those that write results."""
        first = LANE.compared("==", 0) if self.width == 1 else LANE.compared("<", self.width)
        if self.width == 1 or self.whole:
            return first
        return Logic("and", (first, self.counter.compared("<", self.count)))

    def store_part(self, task: Reduction, value: Name) -> None:
        """Write what this share has found."""
        self.values.add(If(self._own_lanes(), (self.part_stored(task, value),)))

    def part_stored(self, task: Reduction, value: Name) -> Store:
        """The statement that writes what this share has found."""
        return self.work.builder.store(self._part_of(task, self.share), value, task, f"part of {task.node.name}")

    def store_result(self, task: Reduction, value: Name) -> None:
        """Write a result."""
        found = position_of(value) if task.form.position else value
        stored = self.work.builder.stored(task, found)
        self.values.add(If(self._own_lanes(), (stored,), **self.values.origin(task.node)))

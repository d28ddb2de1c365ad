"""Loops that the threads of a grid divide among them: a function for each mapping of `schedule.grid` but "sums"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from numgraph.ir import Node
from numgraph.lengths import dims
from numgraph.loops.build import LoopBuilder
from numgraph.loops.grid.checks import GuardingChecks
from numgraph.loops.grid.joins import joined
from numgraph.loops.grid.kernel import BLOCK, BLOCKS, LANE, LANES, THREAD, THREADS, Geometry, Kernel
from numgraph.loops.grid.memory import GridMemory
from numgraph.loops.grid.strides import needed
from numgraph.loops.positions import split
from numgraph.loops.program import Barrier, Call, Choice, Expression, For, If, Name, Number, Statement, Store
from numgraph.loops.values import Body, Setting, Values
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.grid import Mapping, free_levels
from numgraph.schedule.gridproduct import blocks
from numgraph.schedule.neighbours import position_among
from numgraph.schedule.tasks import Task


@dataclass
class Work:
    """One block of the schedule that a kernel does. own: bytes that each block of threads has for itself; blocks: gives
    how many of these have work; loose: names of counters that perhaps nothing uses; flats: elements of several loops
    that have one counter."""

    values: Values
    memory: GridMemory
    builder: LoopBuilder
    kernel: Kernel
    nest: LoopNest
    mapping: Mapping
    geometry: Geometry
    checks: GuardingChecks
    own: Any = 0
    blocks: Callable[[], Any] = lambda: 1
    loose: set[str] = field(default_factory=set)
    flats: dict[Node, Expression] = field(default_factory=dict)

    @classmethod
    def of(cls, setting: Setting, kernel: Kernel, nest: LoopNest, geometry: Geometry, words: list[int]) -> Work:
        """The beginning. words: for each word of the status, which failure it stands for."""
        mapping = setting.schedule.division[nest]
        values, memory = kernel_values(setting, kernel, mapping)
        builder = LoopBuilder(values, partial(GuardingChecks, nest=nest, words=words), vectors=False)
        assert isinstance(builder.checks, GuardingChecks)
        return cls(values, memory, builder, kernel, nest, mapping, geometry, builder.checks)

    @contextmanager
    def inside(self, statement: Callable[[tuple[Statement, ...]], Statement]) -> Iterator[None]:
        """A body for everything that varies, in a statement."""
        outer, body = self.values.bodies, Body()
        body.names |= self.flats
        self.values.bodies = [outer[0], body]
        yield
        inner, self.values.bodies = self.values.bodies[-1], outer
        self.values.add(statement(needed(inner.statements, self.loose)))

    def loop(self, counter: Name, *bounds: Expression, note: str = "") -> AbstractContextManager[None]:
        """The body of a loop."""
        return self.inside(lambda body: For(counter, bounds, body, note=note))

    def one_thread(self) -> AbstractContextManager[None]:
        """The body of what one thread does."""
        return self.inside(lambda body: If(THREAD.compared("==", 0), body))

    def name(self, wish: str) -> Name:
        """A new name for a whole number."""
        return Name(self.values.names.fresh(wish))

    def unflatten(self, flat: Name, lengths: Sequence[Any], levels: Sequence[int]) -> None:
        """Define the counters of loops that run together as one with counter `flat`; elements that lie in its order
        need none of them."""
        values, graph = self.values, self.values.graph
        if len(levels) == 1:
            values.counters[levels[0]] = flat
            return
        for k, level in reversed(list(enumerate(levels))):
            # the element of the loops up to this one
            place = split(graph.as_index(position_among(lengths[: k + 1], [graph.loop(v) for v in levels[: k + 1]])))[1]
            self.flats[graph.as_index(place)] = values.body.names[graph.as_index(place)] = flat
            counter = values.names.counter(level)
            if not k:
                values.counters[level] = values.assign(self._loose(counter), flat)
                return
            size = values.whole(lengths[k])
            self.kernel.imports.add("cuda.flat.quotient")
            rest = values.assign(self._loose(self.name("e").text), Call("quotient", (flat, size)))
            values.counters[level] = values.assign(self._loose(counter), flat - rest * size)
            flat = rest

    def quotient(self, number: Expression, by: Expression) -> tuple[Expression, Expression]:
        """(quotient, remainder) of whole numbers that are not negative."""
        self.kernel.imports.add("cuda.flat.quotient")
        found = self.values.assign(self.name("q"), Call("quotient", (number, by)))
        return found, number - found * by

    def ceiling(self, number: Expression, by: int) -> Expression:
        """How many times `by` it takes to hold a number, at least once."""
        self.kernel.imports.add("cuda.flat.quotient")
        found = Call("quotient", (number + (by - 1), Number(by)))
        return Choice(number.compared(">", 0), found, Number(1))

    def _loose(self, name: str) -> Name:
        """A name that may be left out where nothing uses it."""
        self.loose.add(name)
        return Name(name)

    def lengths(self, task: Task, levels: Sequence[int]) -> list[Any]:
        """Those of loops of a task."""
        return [self.values.graph.find(task.loops[k]) for k in levels]

    def spread(self) -> None:
        """Launch a thread for each iteration, as far as the grid reaches."""
        self.launch(self.mapping.count, self.geometry.threads)
        self.own = self.mapping.private * self.geometry.threads

    def launch(self, count: Any, per_block: int) -> None:
        """Launch blocks of threads for so many iterations."""
        self.blocks = partial(blocks, count, per_block)
        self.kernel.grid = [(self.values.layout.number(count), per_block, self.geometry.blocks)]


def kernel_values(setting: Setting, kernel: Kernel, mapping: Mapping) -> tuple[Values, GridMemory]:
    """The beginning of what a kernel does next."""
    values = Values(setting, partial(GridMemory, kernel=kernel, mapping=mapping), kernel.names)
    values.imports = kernel.imports
    values.bodies[0].names |= kernel.known
    assert isinstance(values.memory, GridMemory)
    return values, values.memory


def once(work: Work) -> None:
    """What one thread does."""
    # also what does not vary is read by this thread only: it may be what the thread then writes
    values, outer, inner = work.values, work.values.bodies, Body()
    inner.names |= outer[0].names
    values.bodies = [inner]
    for task in work.nest.tasks:
        work.builder.task(task)
    values.bodies = outer
    body = tuple(inner.statements)
    for place in reversed(work.checks.left_out):
        # what follows a check is for the case that it has refused nothing
        check = body[place - 1]
        assert isinstance(check, If)
        body = (*body[: place - 1], replace(check, otherwise=body[place:]))
    values.add(If(THREAD.compared("==", 0), body))


def scatter(work: Work) -> None:
    """Iterations that may meet the same element follow each other in one thread."""
    values, task = work.values, work.nest.tasks[0]
    free = free_levels(task)
    rest = [k for k in range(len(task.loops)) if k not in free]
    lengths, behind = work.lengths(task, free), work.lengths(task, rest)
    counter = work.name("e")
    with work.loop(counter, THREAD, values.whole(dims.product(lengths)), THREADS):
        if free:
            work.unflatten(counter, lengths, free)
        if rest:
            # one after the other: the last of several writes stays, and sums have one order
            inner = work.name("r")
            with work.loop(inner, values.whole(dims.product(behind)), note="in order"):
                work.unflatten(inner, behind, rest)
                work.builder.task(task)
        else:
            work.builder.task(task)
    work.spread()


def rows(work: Work) -> None:
    """An iteration of the outermost loop per thread."""
    length = work.values.whole(work.nest.length)
    work.values.add(work.builder.for_loop(work.nest, 0, (THREAD, length, THREADS), {}))
    work.spread()


def lanes(work: Work) -> None:
    """An iteration of the outermost loop per block of threads, whose lanes divide the loops inside."""
    values, builder, nest = work.values, work.builder, work.nest
    length = values.whole(nest.length)
    row = Body()
    values.bodies.append(row)
    counter = values.counter(0)
    for part in nest.body:
        if part.length is None:
            builder.nests([part], 1)
            continue
        accumulators = builder.started(part, 1)
        values.add(builder.for_loop(part, 1, (LANE, values.whole(part.length), LANES), accumulators))
        builder.complete({task: acc and joined(work, task, acc, 1) for task, acc in accumulators.items()})
        if not accumulators:
            values.add(Barrier())
    values.bodies.pop()
    statements = [*by_one_lane(work, row.statements)]
    buffers = [values.schedule.buffers[task.node] for task in nest.tasks if task.writes]
    if any(buffer.place == "private" for buffer in buffers):
        statements.append(Barrier(note="before the next row uses the same memory"))
    values.add(For(counter, (BLOCK, length, BLOCKS), tuple(statements), note=values.notes.loop(nest)))
    work.launch(work.mapping.count, 1)
    work.own = work.mapping.private


def by_one_lane(work: Work, statements: Sequence[Statement]) -> Iterator[Statement]:
    """What all lanes do for a row, with results that are written by one of them."""
    reads = [load for task in work.nest.tasks for load in task.loads]
    written = {task.node: task for task in work.nest.tasks if task.writes}
    for statement in statements:
        if not isinstance(statement, Store) or statement.node is None:
            yield statement
            continue
        node = statement.node
        if work.values.schedule.buffers[node].place == "shared":
            yield Barrier(note="all lanes have read the old value")
        yield If(LANE.compared("==", 0), (statement,), **work.values.origin(node))
        own = work.values.graph.load(node, written[node].target)
        if any(load.inputs[0] is node and load is not own for load in reads):
            yield Barrier(note="other lanes read it through an index")

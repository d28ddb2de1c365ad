"""Prints loops that the threads of a grid divide among them, except for those of sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from operator import mul
from typing import Any

from numgraph import dims
from numgraph.emit.function import outside, position_of
from numgraph.emit.grid import FLAGS, STEPS
from numgraph.emit.gridmemory import GridMemory
from numgraph.emit.memory import as_read, as_stored
from numgraph.emit.statements import Body
from numgraph.loops.program import (
    Assign,
    Barrier,
    Call,
    Compare,
    Continue,
    Expression,
    For,
    Function,
    If,
    Load,
    Logic,
    Name,
    Number,
    Return,
    Several,
    Statement,
    Store,
    Unary,
    While,
)
from numgraph.loops.scalar import formula
from numgraph.schedule.arrange import Arranger, Block
from numgraph.schedule.grid import Mapping, free_levels
from numgraph.schedule.items import Item

# Which thread this is, of how many; the same for its place in its block, and for the block.
THREAD, THREADS, LANE, LANES, BLOCK, BLOCKS = map(Name, "thread threads lane THREADS block blocks".split())


class GridLoops(GridMemory):
    """Makes the mappings "once", "flat", "scatter", "rows" and "lanes", see `schedule.grid`; and index checks."""

    def _inside(self, statement: Callable[[tuple[Statement, ...]], Statement]) -> None:
        """Open a body for everything that varies; `_close` makes the statement that has it."""
        self.outer.append((statement, self.bodies))
        self.bodies = [self.bodies[0], Body(1)]

    def _inside_loop(self, counter: Name, *bounds: Expression, note: str = "") -> None:
        self._inside(lambda body: For(counter, bounds, body, note=note))

    def _inside_one_thread(self) -> None:
        self._inside(lambda body: If(THREAD.compared("==", 0), body))

    def _close(self) -> None:
        inner = self.bodies[-1]
        statement, self.bodies = self.outer.pop()
        self.add(statement(tuple(inner.statements)))

    def _unflatten(self, flat: Name, lengths: Sequence[Any], levels: Sequence[int]) -> None:
        """Define the counters of loops that run together as one with counter `flat`."""
        if len(levels) == 1:
            self.counters[levels[0]] = flat
            return
        sizes = [self.length(n) for n in lengths]
        for k, level in enumerate(levels):
            name = self.names.counter(level)
            value: Expression = flat
            if k + 1 < len(levels):
                value = value // reduce(mul, sizes[k + 1 :])
            self.counters[level] = self.assign(name, value % sizes[k] if k else value)

    def _lengths(self, item: Item, levels: Sequence[int]) -> list[Any]:
        return [self.graph.find(item.loops[k]) for k in levels]

    def _print_once(self, block: Block) -> None:
        # also what does not vary is read by this thread only: it may be what the thread then writes
        outer, self.bodies = self.bodies, [Body(0)]
        self.body.names |= outer[0].names
        for item in block.items:
            self.statement(item, 0)
        (inner,) = self.bodies
        self.bodies = outer
        body = tuple(inner.statements)
        for place in reversed(self.left_out):
            # what follows a check is for the case that it has refused nothing
            check = body[place - 1]
            assert isinstance(check, If)
            body = (*body[: place - 1], replace(check, otherwise=body[place:]))
        self.add(If(THREAD.compared("==", 0), body))

    def _print_flat(self, block: Block) -> None:
        first = block.items[0]
        levels = range(len(first.loops))
        lengths = self._lengths(first, levels)
        total = self.length(dims.product(lengths))
        name = Name(self.names.counter(0) if len(lengths) == 1 else self.names.fresh("e"))
        self._inside_loop(name, THREAD, total, THREADS, note=" x ".join(map(self.explain, lengths)))
        self._unflatten(name, lengths, levels)
        for item in block.items:
            self.statement(item, len(lengths))
        self._close()
        self._spread(block)

    def _print_scatter(self, block: Block) -> None:
        item = block.items[0]
        free = free_levels(item)
        rest = [k for k in range(len(item.loops)) if k not in free]
        lengths = self._lengths(item, free)
        name = Name(self.names.fresh("e"))
        self._inside_loop(name, THREAD, self.length(dims.product(lengths)), THREADS)
        if free:
            self._unflatten(name, lengths, free)
        if rest:
            # one after the other: the last of several writes stays, and sums have one order
            inner = Name(self.names.fresh("r"))
            behind = self._lengths(item, rest)
            self._inside_loop(inner, self.length(dims.product(behind)), note="in order")
            self._unflatten(inner, behind, rest)
        self.statement(item, len(item.loops))
        if rest:
            self._close()
        self._close()
        self._spread(block)

    def _print_rows(self, block: Block) -> None:
        self.blocks([block])
        self._spread(block)

    def _spread(self, block: Block) -> None:
        """Launch a thread for each iteration, as far as the grid reaches."""
        self._launch(self.mapping.count, self.geometry.threads)
        self.own = self.mapping.private * self.geometry.threads

    def _launch(self, count: Any, per_block: int) -> None:
        self.kernel.grid = [(self.layout.number(count), per_block, self.geometry.blocks)]

    def _print_lanes(self, block: Block) -> None:
        self.blocks([block])
        self._launch(self.mapping.count, 1)
        self.own = self.mapping.private

    def _rows(self, block: Block) -> tuple[Expression, ...]:
        """A loop that threads divide."""
        (length,) = super()._rows(block)
        if block is self.block:
            return (THREAD, length, THREADS) if self.mapping.shape == "rows" else (BLOCK, length, BLOCKS)
        if self.mapping.shape == "lanes" and block in self.block.body:
            return LANE, length, LANES
        return (length,)

    def loop(self, block: Block, level: int) -> None:
        """A loop; where lanes have divided it, a barrier ends it."""
        super().loop(block, level)
        lanes = self.mapping.shape == "lanes"
        joined = any(item.reduced and min(item.reduced) == 1 for item in block.items if item.kind == "reduce")
        if lanes and block in self.block.body and not joined:
            self.add(Barrier())

    def _loop(
        self, block: Block, level: int, bounds: tuple[Expression, ...], accumulators: dict[Item, Name | None]
    ) -> For:
        found = super()._loop(block, level, bounds, accumulators)
        if block is self.block and self.mapping.shape == "lanes" and self._is_private(block):
            return replace(found, body=(*found.body, Barrier(note="before the next row uses the same memory")))
        return found

    def _is_private(self, block: Block) -> bool:
        buffers = self.schedule.buffers
        return any(item.kind != "check" and buffers[item.node].place == "private" for item in block.items)

    def _complete(self, item: Item, accumulator: Name | None) -> None:
        """After a reduction's loop: lanes join what each has accumulated."""
        if accumulator is not None and self.mapping.shape == "lanes" and min(item.reduced) == 1:
            accumulator = self._joined(item, accumulator, 1)
        super()._complete(item, accumulator)

    def _deliver(self, item: Item, value: Expression) -> None:
        """Write a row's value by one lane only."""
        place = self.schedule.buffers[item.node]
        one = self.mapping.shape == "lanes" and len(self.bodies) == 2 and place.place != "register"
        if not one:
            super()._deliver(item, value)
            return
        stored = self.stored(item, value)
        if place.place == "shared":
            self.add(Barrier(note="all lanes have read the old value"))
        self.add(If(LANE.compared("==", 0), (stored,), **self.origin(item.node)))
        own = self.graph.load(item.node, item.target)
        self.body.names[own] = value
        if any(load.inputs[0] is item.node and load is not own for other in self.block.items for load in other.loads):
            self.add(Barrier(note="other lanes read it through an index"))

    def _joined(self, item: Item, name: Name, width: int) -> Name:
        """Join what lanes have accumulated, those `width` apart; returns the joined value. It is right in all lanes."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None and item.value is not None
        dtype = item.value.dtype if form.position else item.node.dtype
        function = f"join_{item.node.name}_{dtype}"
        if function not in self.kernel.helpers:
            self.kernel.helpers[function] = self._join_function(item, function, dtype)
        joined = Name(self.names.fresh("joined", partner="_at" if form.position else ""), dtype)
        origin = self.origin(item.node, item.node.name)
        if form.position:
            call = Call(function, (name, position_of(name), LANE, Number(width)), dtype)
            self.add(Assign((joined, position_of(joined)), call, **origin))
        else:
            self.add(Assign(joined, Call(function, (name, LANE, Number(width)), dtype), **origin))
        return joined

    def _join_function(self, item: Item, function: str, dtype: str) -> Function:
        """The function that joins what lanes have, `width` apart, in shared memory: halves are laid upon each other."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        cell = "uint8" if dtype == "bool" else dtype
        memory, at, half = Name("memory", f"{cell}*"), Name("at", "int64*"), Name("half")
        width, value, position = Name("width"), Name("value", dtype), Name("position")
        mine, other = Load(memory, LANE), Load(memory, LANE + half)
        merged: Statement = Store(
            memory, LANE, as_stored(self.combine(item, as_read(mine, dtype), as_read(other, dtype)), dtype)
        )
        start: list[Statement] = [Assign(memory, shared_array(cell)), Store(memory, LANE, as_stored(value, dtype))]
        if form.position:
            better = formula(form.combine, {"acc": mine, "x": other}, "bool")
            worse = formula(form.combine, {"acc": other, "x": mine}, "bool")
            earlier = Compare("<", at[LANE + half], at[LANE])
            first = Logic("or", (better, Logic("and", (Unary("not", worse), earlier))))
            merged = If(first, (Store(memory, LANE, other), Store(at, LANE, at[LANE + half])))
            start += [Assign(at, shared_array("int64")), Store(at, LANE, position)]
        step = (If(LANE.compared("<", half), (merged,)), Barrier(), Assign(half, half // 2))
        result, found = Name("result", dtype), Name("found")
        body = (
            *start,
            Barrier(),
            Assign(half, LANES // 2),
            While(half.compared(">=", width), step),
            Assign(result, as_read(memory[LANE % width], dtype)),
            *((Assign(found, at[LANE % width]),) if form.position else ()),
            Barrier(),
            Return(Several((result, found)) if form.position else result),
        )
        arguments = (value, position, LANE, width) if form.position else (value, LANE, width)
        return Function(function, arguments, body, "helper", f"{form.combine}, of lanes `width` apart")

    def combine(self, item: Item, acc: Expression, x: Expression) -> Expression:
        """`acc OP x`: the order is fixed, the same in every call."""
        return self.combine_in_order(item, acc, x)

    def find(self, item: Item) -> None:
        """Print the search for the first index that a check refuses, by one thread: for the message."""
        self.mapping = Mapping("find", 1, None)
        (self.block,) = Arranger(self.graph, [item], {}).arrange([item])
        self.blocks([self.block])
        self.kernel.statements += self.bodies[0].statements

    def _report(self, item: Item, value: Expression, limit: Expression) -> None:
        found = self.kernel.parameter(("found",), "found", "p", "int64*", ("found",))
        first = Logic("and", (found[0].compared("==", 0), outside(value, limit)))
        noted = tuple(Store(found, Number(k), v) for k, v in enumerate((Number(1), value, limit)))
        self.add(If(first, noted, **self.origin(item.node, "the first")))

    def statement(self, item: Item, level: int) -> None:
        """Print what an item does in the innermost of its loops, behind the checks of its indices."""
        for check in item.checks:
            # those of other blocks came first, and where one has failed nothing came after them
            if check in self.block.items and check.value in item.scalars:
                self._guard(check)
        super().statement(item, level)

    def _check(self, item: Item, level: int) -> None:
        if self.mapping.shape == "find":
            assert item.value is not None
            self._report(item, self.value(item.value), self.length(item.bound))
        else:
            self._guard(item)

    def _guard(self, check: Item) -> None:
        """An index that is out of range is reported, and what would use it left out; later kernels do nothing then."""
        if any(check in body.guarded for body in self.bodies):
            return
        assert check.value is not None
        value, limit = self.value(check.value), self.length(check.bound)
        once = self.mapping.shape == "once"
        level = 0 if once else min(max(1, check.value.depth), len(self.bodies) - 1)
        body = self.bodies[level]
        body.guarded.add(check)
        status = self.kernel.parameter("status", "status", "p", "int64*", ("status",))
        word = self._word(check)
        step = self._arguments()[len(self.schedule.arguments)]
        refused: list[Statement] = [
            Store(status, Number(word), Number(1), note="later kernels do nothing"),
            Store(status, Number(FLAGS + word * STEPS) + step, Number(1), note="in this step of a sweep"),
        ]
        if not once and level == 1 and self.mapping.shape == "lanes":
            refused.append(Barrier(note="all lanes have found it"))
        if not once:
            refused.append(Continue())
        note = f"index in range of {check.node.name}"
        self.add(If(outside(value, limit), tuple(refused), **self.origin(check.node, note)), level)
        if once:
            self.left_out.append(len(body.statements))

    def _word(self, check: Item) -> int:
        """The word of the status for a check."""
        if check not in self.word_of:
            assert len(self.words) < FLAGS, f"more than {FLAGS} index checks in one function"
            self.word_of[check] = len(self.words)
            self.words.append(self.layout.fail_code(check))
        return self.word_of[check]


def shared_array(dtype: str) -> Call:
    """Memory of a block of threads, an element for each."""
    return Call("cuda.shared.array", (LANES, Name(dtype, "dtype")), f"{dtype}*")

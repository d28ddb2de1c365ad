"""One phase: a function over the table that runs blocks of loops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from numgraph.emit.memory import MemoryStatements, as_read, as_stored
from numgraph.emit.statements import Body
from numgraph.loops.program import (
    Assign,
    Binary,
    Call,
    Do,
    Expression,
    For,
    If,
    Load,
    Logic,
    Name,
    Number,
    Statement,
    Store,
    Unary,
    fail,
)
from numgraph.loops.scalar import convert, formula, number
from numgraph.schedule.arrange import Block
from numgraph.schedule.items import Item
from numgraph.types import FLOATS

# Accumulations of floats that may go in any order, and the functions that say so to LLVM.
UNORDERED = {
    "acc + x": "add_up", "acc * x": "multiply_up", "maximum(acc, x)": "largest", "minimum(acc, x)": "smallest",
}  # fmt: skip
# A loop over operations of at least the cost ELEMENTARY has so many vectors of rounds side by side, by what its
# operations cost at most in all: long bodies would take LLVM long. A loop shorter than LONG has none.
ELEMENTARY, LONG = 20, 64
SIDE_BY_SIDE = {80: 4, 240: 2}


class FunctionPrinter(MemoryStatements):
    """Prints the loops of a phase; every scalar node is computed once, at the level where it stops varying."""

    # -- loops --------------------------------------------------------------------------------------------------

    def blocks(self, blocks: Iterable[Block], level: int = 0) -> None:
        """Print blocks at a loop level, in order."""
        for block in blocks:
            if block.length is None:
                for item in block.items:
                    self.statement(item, level)
            else:
                self.loop(block, level)

    def loop(self, block: Block, level: int) -> None:
        """One loop: accumulators before it, what is complete after it."""
        accumulators = self._start_all(block, level)
        bounds = self._rows(block)
        self.add(self._loop(block, level, bounds, accumulators))
        for item, accumulator in accumulators.items():
            self._complete(item, accumulator)

    def _start_all(self, block: Block, level: int) -> dict[Item, Name | None]:
        """Start the reductions whose first loop this is."""
        starting = [item for item in block.items if item.kind == "reduce" and min(item.reduced, default=-1) == level]
        return {item: self._start(item, level) for item in starting}

    def _loop(
        self, block: Block, level: int, bounds: tuple[Expression, ...], accumulators: dict[Item, Name | None]
    ) -> For:
        """The loop itself; what it does not change goes to the bodies around it."""
        inner = Body(level + 1)
        self.bodies.append(inner)
        counter = self.counters[level] = Name(self.names.counter(level))
        inner.accumulators = accumulators
        self.blocks(block.body, level + 1)
        self.bodies.pop()
        return For(counter, bounds, (*self._hint(block), *inner.statements), note=self._loop_note(block))

    def _hint(self, block: Block) -> list[Statement]:
        """How many vectors of an innermost loop's rounds are computed side by side, where LLVM would do them singly."""
        length = self.graph.find(block.length)
        if any(body.length is not None for body in block.body) or (isinstance(length, int) and length < LONG):
            return []
        costs = [v.op.cost for v in block.scalars if v.op is not None and v.dtype in FLOATS]
        if max(costs, default=0) < ELEMENTARY:
            return []
        count = next((n for most, n in SIDE_BY_SIDE.items() if sum(costs) <= most), 0)
        return [Do(Call("interleave", (Number(count),)), note="vectors side by side")] if count else []

    def _rows(self, block: Block) -> tuple[Expression, ...]:
        """What a block's loop counts over, as arguments of `range`."""
        return (self.length(block.length),)

    def _loop_note(self, block: Block) -> str:
        return "" if isinstance(block.length, int) else self.explain(block.length)

    def _tail(self, item: Item) -> bool:
        """Whether a reduction runs over the innermost loops, so that it accumulates in a register."""
        return min(item.reduced) + len(item.reduced) == len(item.loops)

    def _start(self, item: Item, level: int) -> Name | None:
        """Add an accumulator's start; returns its name (None when it accumulates in its buffer)."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None and item.value is not None
        dtype = item.value.dtype if form.position else item.node.dtype
        start = self._start_value(form.start, dtype)
        if self._tail(item):
            name = Name(self.names.fresh(None, "acc", "_at" if form.position else ""), dtype)
            self.assign(name, start, f"{item.node.name} {self.type_text(item.node)}", item.node)
            if form.position:
                self.assign(position_of(name), Number(0), f"position of {name.text}", item.node)
            return name
        self._fill(item, level, start)
        return None

    def _start_value(self, start: Any, dtype: str) -> Expression:
        if start == "lowest":
            return number(-np.inf if dtype in FLOATS else False if dtype == "bool" else int(np.iinfo(dtype).min), dtype)
        if start == "highest":
            return number(np.inf if dtype in FLOATS else True if dtype == "bool" else int(np.iinfo(dtype).max), dtype)
        return number(start, dtype)

    def _fill(self, item: Item, level: int, start: Expression) -> None:
        """Set a buffer in which a reduction accumulates to its start value, over the axes that its loops will run
        along."""
        levels = [k for k in range(level, len(item.loops)) if k not in item.reduced]
        for k in levels:
            self.counters[k] = Name(self.names.counter(k))
        note = f"start of {item.node.name} {self.type_text(item.node)}"
        element = self.written(item)
        filled: Statement = Store(element.pointer, element.index, as_stored(start, item.node.dtype), note=note)
        bounds = [self.length(item.loops[k]) for k in levels]
        for k, bound in reversed(list(zip(levels, bounds, strict=True))):
            filled = For(self.counters[k], (bound,), (filled,))
        self.add(filled)

    def written(self, item: Item) -> Load:
        """The element that the item writes."""
        return self.element(item.node, item.target)

    def _complete(self, item: Item, accumulator: Name | None) -> None:
        """After a reduction's loop: its value is a name from here on, or goes to memory."""
        if accumulator is None:
            return
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        self._deliver(item, position_of(accumulator) if form.position else accumulator)

    def _deliver(self, item: Item, value: Expression) -> None:
        place = self.schedule.buffers[item.node]
        if place.place == "register":
            self.body.registers[item.node] = value
            return
        self.add(self.stored(item, value))
        # whoever reads the element in this loop body uses the name instead of the memory
        self.body.names[self.graph.load(item.node, item.target)] = value

    def stored(self, item: Item, value: Expression) -> Store:
        """The statement that writes a value into the element which is the item's turn."""
        return self.store(self.written(item), value, item, self.buffer_name(item.node))

    def store(self, element: Load, value: Expression, item: Item, shown: str) -> Store:
        """The statement that writes into an element of an item. shown: what the comment calls it."""
        value = as_stored(value, item.node.dtype)
        origin = self.origin(item.node, f"{shown} {self.type_text(item.node)}")
        return Store(element.pointer, element.index, value, **origin)

    # -- statements ---------------------------------------------------------------------------------------------

    def statement(self, item: Item, level: int) -> None:
        """Add what an item does in the innermost of its loops."""
        getattr(self, f"_{item.kind}")(item, level)

    def _store(self, item: Item, level: int) -> None:
        assert item.value is not None
        self._deliver(item, self.value(item.value))

    def _reduce(self, item: Item, level: int) -> None:
        form = item.node.op.reduce if item.node.op else None
        assert form is not None and item.value is not None
        x, dtype = self.value(item.value), item.node.dtype
        if not item.reduced:
            # every reduced axis has length 1
            self._deliver(item, Number(0) if form.position else convert(x, item.value.dtype, dtype))
            return
        if not self._tail(item):
            element = self.written(item)
            new = self.combine(item, as_read(element, dtype), convert(x, item.value.dtype, dtype))
            origin = self.origin(item.node, item.node.name)
            self.add(Store(element.pointer, element.index, as_stored(new, dtype), **origin))
            return
        name = next(b.accumulators[item] for b in reversed(self.bodies) if item in b.accumulators)
        assert name is not None
        if form.position:
            self._position(item, name, x)
            return
        new = self.combine(item, name, convert(x, item.value.dtype, dtype))
        self.assign(name, new, item.node.name, item.node)

    def combine(self, item: Item, acc: Expression, x: Expression) -> Expression:
        """A reduction's `acc OP x`, in the dtype in which it accumulates."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        if form.reassociate and item.node.dtype in FLOATS:
            return Call(UNORDERED[form.combine], (acc, x), item.node.dtype)
        return self.combine_in_order(item, acc, x)

    def combine_in_order(self, item: Item, acc: Expression, x: Expression) -> Expression:
        """The same, without leave to change the order."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        dtype = item.node.dtype
        found = formula(form.combine, {"acc": acc, "x": x}, dtype)
        return found if dtype in (*FLOATS, "int64", "bool") else Call(dtype, (found,), dtype)

    def _position(self, item: Item, name: Name, x: Expression) -> None:
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        better = formula(form.combine, {"acc": name, "x": x}, "bool")
        found = (Assign(name, x), Assign(position_of(name), self.counters[item.reduced[0]]))
        self.add(If(better, found, **self.origin(item.node, item.node.name)))

    def _scatter(self, item: Item, level: int) -> None:
        assert item.value is not None
        value, dtype = self.value(item.value), item.node.dtype
        for index in item.target:
            self.value(index)
        element = self.written(item)
        if item.node.attributes["mode"] != "set":
            value = Binary("|" if dtype == "bool" else "+", as_read(element, dtype), value)
            if dtype not in (*FLOATS, "int64", "bool"):
                value = Call(dtype, (value,), dtype)
        self.add(self.store(element, value, item, item.node.name))

    def _check(self, item: Item, level: int) -> None:
        assert item.value is not None
        value = self.value(item.value)
        limit = self.length(item.bound)
        code = self.layout.fail_code(item)
        note = f"index in range of {item.node.name}"
        self.add(If(outside(value, limit), (fail(value, limit, code),), **self.origin(item.node, note)))


def position_of(accumulator: Name) -> Name:
    """The place of what an accumulator has found."""
    return Name(f"{accumulator.text}_at")


def outside(index: Expression, limit: Expression) -> Expression:
    """Whether an index is out of range."""
    return Logic("or", (index.compared("<", Unary("-", limit)), index.compared(">=", limit)))

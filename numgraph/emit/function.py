"""Prints one phase: a function over the table that runs blocks of loops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from numgraph.emit.memory import MemoryStatements
from numgraph.emit.scalar import convert, literal
from numgraph.emit.statements import Body, substitute_code
from numgraph.emit.writer import Line
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
        limit = self._rows(block)
        self.body.lines += self._loop_lines(block, level, limit, accumulators)
        for item, accumulator in accumulators.items():
            self._complete(item, accumulator)

    def _start_all(self, block: Block, level: int) -> dict[Item, str]:
        """Start the reductions whose first loop this is."""
        starting = [item for item in block.items if item.kind == "reduce" and min(item.reduced, default=-1) == level]
        return {item: self._start(item, level) for item in starting}

    def _loop_lines(self, block: Block, level: int, limit: str, accumulators: dict[Item, str]) -> list[Line]:
        """The loop itself; what it does not change goes to the bodies around it."""
        inner = Body(level + 1)
        self.bodies.append(inner)
        counter = self.counters[level] = self.names.counter(level)
        inner.accumulators = accumulators
        self.blocks(block.body, level + 1)
        self.bodies.pop()
        inner.lines[:0] = self._hint(block)
        for line in inner.lines:
            line.indent += 1
        return [Line(0, f"for {counter} in range({limit}):", self._loop_note(block)), *inner.lines]

    def _hint(self, block: Block) -> list[Line]:
        """How many vectors of an innermost loop's rounds are computed side by side, where LLVM would do them singly."""
        length = self.graph.find(block.length)
        if any(body.length is not None for body in block.body) or (isinstance(length, int) and length < LONG):
            return []
        costs = [v.op.cost for v in block.scalars if v.op is not None and v.dtype in FLOATS]
        if max(costs, default=0) < ELEMENTARY:
            return []
        count = next((n for most, n in SIDE_BY_SIDE.items() if sum(costs) <= most), 0)
        return [Line(0, f"interleave({count})", "vectors side by side")] if count else []

    def _rows(self, block: Block) -> str:
        """What a block's loop counts over, as arguments of `range`."""
        return self.value(self.graph.as_index(block.length))

    def _loop_note(self, block: Block) -> str:
        return "" if isinstance(block.length, int) else self.explain(block.length)

    def _tail(self, item: Item) -> bool:
        """Whether a reduction runs over the innermost loops, so that it accumulates in a register."""
        return min(item.reduced) + len(item.reduced) == len(item.loops)

    def _start(self, item: Item, level: int) -> str:
        """Print an accumulator's start; returns its name ("" when it accumulates in its buffer)."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None and item.value is not None
        dtype = item.value.dtype if form.position else item.node.dtype
        start = self._start_value(form.start, dtype)
        if self._tail(item):
            name = self.names.fresh(None, "acc", "_at" if form.position else "")
            note = f"{item.node.name} {self.type_text(item.node)}"
            self.say(f"{name} = {start}", note, item.node)
            if form.position:
                self.say(f"{name}_at = 0", f"position of {name}", item.node)
            return name
        self._fill(item, level, start)
        return ""

    def _start_value(self, start: Any, dtype: str) -> str:
        if start == "lowest":
            low = -np.inf if dtype in FLOATS else False if dtype == "bool" else int(np.iinfo(dtype).min)
            return literal(low, dtype)
        if start == "highest":
            high = np.inf if dtype in FLOATS else True if dtype == "bool" else int(np.iinfo(dtype).max)
            return literal(high, dtype)
        return literal(start, dtype)

    def _fill(self, item: Item, level: int, start: str) -> None:
        """Set a buffer in which a reduction accumulates to its start value, over the axes that its loops will run
        along."""
        levels = [k for k in range(level, len(item.loops)) if k not in item.reduced]
        for k in levels:
            self.counters[k] = self.names.counter(k)
        pointer, subscript = self.subscript_at(item)
        stored = f"uint8({start})" if item.node.dtype == "bool" else start
        for depth, k in enumerate(levels):
            line = Line(
                depth, f"for {self.counters[k]} in range({self.value(self.graph.as_index(item.loops[k]))}):", ""
            )
            self.body.lines.append(line)
        note = f"start of {item.node.name} {self.type_text(item.node)}"
        self.body.lines.append(Line(len(levels), f"{pointer}[{subscript}] = {stored}", note))

    def subscript_at(self, item: Item) -> tuple[str, str]:
        """(pointer, subscript) of the element that the item writes."""
        return self.subscript(item.node, item.target)

    def _complete(self, item: Item, accumulator: str) -> None:
        """After a reduction's loop: its value is a name from here on, or goes to memory."""
        if not accumulator:
            return
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        result = f"{accumulator}_at" if form.position else accumulator
        self._deliver(item, result)

    def _deliver(self, item: Item, value: str) -> None:
        place = self.schedule.buffers[item.node]
        if place.place == "register":
            self.body.registers[item.node] = value
            return
        self.say(*self.stored(item, value), item.node)
        # whoever reads the element in this loop body uses the name instead of the memory
        self.body.names[self.graph.load(item.node, item.target)] = value

    def stored(self, item: Item, value: str) -> tuple[str, str]:
        """The statement, and a comment, that writes a value into the element which is the item's turn."""
        pointer, subscript = self.subscript_at(item)
        value = f"uint8({value})" if item.node.dtype == "bool" else value
        return f"{pointer}[{subscript}] = {value}", f"{self.buffer_name(item.node)} {self.type_text(item.node)}"

    # -- statements ---------------------------------------------------------------------------------------------

    def statement(self, item: Item, level: int) -> None:
        """Print what an item does in the innermost of its loops."""
        getattr(self, f"_{item.kind}")(item, level)

    def _store(self, item: Item, level: int) -> None:
        assert item.value is not None
        self._deliver(item, self.value(item.value))

    def _reduce(self, item: Item, level: int) -> None:
        form = item.node.op.reduce if item.node.op else None
        assert form is not None and item.value is not None
        x = self.value(item.value)
        if not item.reduced:
            # every reduced axis has length 1
            self._deliver(item, "0" if form.position else convert(x, item.value.dtype, item.node.dtype))
            return
        if not self._tail(item):
            pointer, subscript = self.subscript_at(item)
            x = convert(x, item.value.dtype, item.node.dtype)
            old = f"({pointer}[{subscript}] != 0)" if item.node.dtype == "bool" else f"{pointer}[{subscript}]"
            new = self.combine(item, old, x)
            new = f"uint8({new})" if item.node.dtype == "bool" else new
            self.say(f"{pointer}[{subscript}] = {new}", item.node.name, item.node)
            return
        name = next(b.accumulators[item] for b in reversed(self.bodies) if item in b.accumulators)
        if form.position:
            self._position(item, name, x)
            return
        self.say(
            f"{name} = {self.combine(item, name, convert(x, item.value.dtype, item.node.dtype))}",
            item.node.name,
            item.node,
        )

    def combine(self, item: Item, acc: str, x: str) -> str:
        """The text of a reduction's `acc OP x`, in the dtype in which it accumulates."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        if form.reassociate and item.node.dtype in FLOATS:
            return f"{UNORDERED[form.combine]}({acc}, {x})"
        return self.combine_in_order(item, acc, x)

    def combine_in_order(self, item: Item, acc: str, x: str) -> str:
        """The same, without leave to change the order."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        text = substitute_code(form.combine, {"acc": acc, "x": x})
        dtype = item.node.dtype
        return text if dtype in (*FLOATS, "int64", "bool") else f"{dtype}({text})"

    def _position(self, item: Item, name: str, x: str) -> None:
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        counter = self.counters[item.reduced[0]]
        self.say(f"if {substitute_code(form.combine, {'acc': name, 'x': x})}:", item.node.name, item.node)
        self.say(f"    {name} = {x}")
        self.say(f"    {name}_at = {counter}")

    def _scatter(self, item: Item, level: int) -> None:
        assert item.value is not None
        value = self.value(item.value)
        for index in item.target:
            self.value(index)
        pointer, subscript = self.subscript_at(item)
        if item.node.attributes["mode"] != "set":
            dtype = item.node.dtype
            value = f"{pointer}[{subscript}] + {value}" if dtype != "bool" else f"{pointer}[{subscript}] | {value}"
            value = value if dtype in (*FLOATS, "int64") else f"{'uint8' if dtype == 'bool' else dtype}({value})"
        elif item.node.dtype == "bool":
            value = f"uint8({value})"
        self.say(f"{pointer}[{subscript}] = {value}", f"{item.node.name} {self.type_text(item.node)}", item.node)

    def _check(self, item: Item, level: int) -> None:
        assert item.value is not None
        value = self.value(item.value)
        limit = self.value(self.graph.as_index(item.bound))
        code = self.layout.fail_code(item)
        self.say(f"if {value} < -{limit} or {value} >= {limit}:", f"index in range of {item.node.name}", item.node)
        self.say(f"    return fail(table, {value}, {limit}, {code})")

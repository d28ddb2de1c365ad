"""Prints a loop that is divided among threads: one share of it, and the joining of what the shares have accumulated."""

from __future__ import annotations

from typing import Any

import numpy as np

from numgraph import dims
from numgraph.emit.function import FunctionPrinter
from numgraph.emit.scalar import POINTERS
from numgraph.emit.table import Layout
from numgraph.ir import Node
from numgraph.schedule.arrange import Block
from numgraph.schedule.items import Item
from numgraph.schedule.plan import Schedule


class SharePrinter(FunctionPrinter):
    """Prints the function `(address, share, shares)` of one divided block of a stage."""

    def __init__(
        self, schedule: Schedule, layout: Layout, vector: dict[tuple[str, str], str], block: Block, stage: int
    ) -> None:
        super().__init__(schedule, layout, vector)
        self.divided = block
        self.sharing = schedule.sharing[block]
        self.stage = stage
        self.partial = {item.node: offset for item, offset in self.sharing.partial.items()}

    def run(self) -> None:
        """Print the share's loop."""
        if self.partial or any(self._is_private(item) for item in self.divided.items):
            self.say_own()
        self.blocks([self.divided])

    def say_own(self) -> None:
        """Where the share's own memory is."""
        size = self._size_text(self.schedule.private_bytes[self.stage])
        self.say(f"own = {self._behind_arena()} + share * {size}", "what this share has for itself")

    def _is_private(self, item: Item) -> bool:
        return item.kind != "check" and self.schedule.buffers[item.node].place == "private"

    def _behind_arena(self) -> str:
        return self.beyond(f"table[{self.layout.arena[self.stage]}]", self.schedule.arena_bytes[self.stage])

    def _size_text(self, size: Any) -> str:
        if isinstance(size, Node):
            self.offsets.add(size)
        return self.value(self.graph.as_index(size))

    def _rows(self, block: Block) -> str:
        if block is not self.divided:
            return super()._rows(block)
        rows = self.value(self.graph.as_index(block.length))
        self.say(f"begin = {rows} * share // shares", "rows of this share")
        self.say(f"end = {rows} * (share + 1) // shares")
        return "begin, end"


class JoinPrinter(SharePrinter):
    """Prints the function that joins the shares' results of the reductions of a divided block."""

    def run(self) -> None:
        """Print the joining of every reduction, each in the order of the shares."""
        self.partial = {}
        self.say(f"shares = table[{self.layout.share_count(self.divided)}]")
        for item in self.sharing.partial:
            self._join(item)

    def _join(self, item: Item) -> None:
        dtype = item.node.dtype
        pointer = POINTERS[dtype]
        total, part, acc = self.names.fresh("total"), self.names.fresh("part"), self.names.fresh("acc")
        size = self.schedule.private_bytes[self.stage]
        step = self._size_text(size // np.dtype(dtype).itemsize)
        note = f"{self.buffer_name(item.node)} {self.type_text(item.node)}"
        self.say(f"{total} = {pointer}({self.address(item.node)})", note, item.node)
        self.say(
            f"{part} = {pointer}({self.beyond(self._behind_arena(), self.sharing.partial[item])})", "of the shares"
        )
        count = dims.product(self.schedule.buffers[item.node].lengths(self.graph))
        limit = self._size_text(count)
        counter = self.names.counter(0)
        truth = " != 0" if dtype == "bool" else ""
        self.say(f"for {counter} in range({limit}):")
        self.say(f"    {acc} = {part}[{counter}]{truth}")
        self.say("    for share in range(1, shares):")
        # in vectors, a sum over a handful of shares would only be long code
        combined = self.combine_in_order(item, acc, f"({part}[share * {step} + {counter}]{truth})")
        self.say(f"        {acc} = {combined}", item.node.name, item.node)
        self.say(f"    {total}[{counter}] = {f'uint8({acc})' if dtype == 'bool' else acc}")

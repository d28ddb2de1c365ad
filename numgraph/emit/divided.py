"""A loop that is divided among threads: one share of it, and the joining of what the shares have accumulated."""

from __future__ import annotations

from typing import Any

import numpy as np

from numgraph import dims
from numgraph.emit.function import FunctionPrinter
from numgraph.emit.memory import OWN, as_read, as_stored, pointer_to
from numgraph.emit.table import Layout
from numgraph.ir import Node
from numgraph.loops.program import Assign, Expression, For, Name, Number, Store
from numgraph.schedule.arrange import Block
from numgraph.schedule.items import Item
from numgraph.schedule.plan import Schedule

# Which share this is, and of how many.
SHARE, SHARES = Name("share"), Name("shares")


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
        size = self._size(self.schedule.private_bytes[self.stage])
        self.assign(OWN, self._behind_arena() + SHARE * size, "what this share has for itself")

    def _is_private(self, item: Item) -> bool:
        return item.kind != "check" and self.schedule.buffers[item.node].place == "private"

    def _behind_arena(self) -> Expression:
        return self.beyond(self.layout.slot(self.layout.arena[self.stage]), self.schedule.arena_bytes[self.stage])

    def _size(self, size: Any) -> Expression:
        if isinstance(size, Node):
            self.offsets.add(size)
        return self.length(size)

    def _rows(self, block: Block) -> tuple[Expression, ...]:
        if block is not self.divided:
            return super()._rows(block)
        rows = self.length(block.length)
        begin = self.assign("begin", rows * SHARE // SHARES, "rows of this share")
        return begin, self.assign("end", rows * (SHARE + 1) // SHARES)


class JoinPrinter(SharePrinter):
    """Prints the function that joins the shares' results of the reductions of a divided block."""

    def run(self) -> None:
        """Print the joining of every reduction, each in the order of the shares."""
        self.partial = {}
        self.assign(SHARES, self.layout.slot(self.layout.share_count(self.divided)))
        for item in self.sharing.partial:
            self._join(item)

    def _join(self, item: Item) -> None:
        dtype = item.node.dtype
        total_name, part_name, acc_name = self.names.fresh("total"), self.names.fresh("part"), self.names.fresh("acc")
        step = self._size(self.schedule.private_bytes[self.stage] // np.dtype(dtype).itemsize)
        note = f"{self.buffer_name(item.node)} {self.type_text(item.node)}"
        total = self.assign(total_name, pointer_to(self.address(item.node), dtype), note, item.node)
        parts = pointer_to(self.beyond(self._behind_arena(), self.sharing.partial[item]), dtype)
        part = self.assign(part_name, parts, "of the shares")
        count = self._size(dims.product(self.schedule.buffers[item.node].lengths(self.graph)))
        counter, acc = Name(self.names.counter(0)), Name(acc_name, dtype)
        # in vectors, a sum over a handful of shares would only be long code
        combined = self.combine_in_order(item, acc, as_read(part[SHARE * step + counter], dtype))
        added = Assign(acc, combined, **self.origin(item.node, item.node.name))
        body = (
            Assign(acc, as_read(part[counter], dtype)),
            For(SHARE, (Number(1), SHARES), (added,)),
            Store(total, counter, as_stored(acc, dtype)),
        )
        self.add(For(counter, (count,), body))

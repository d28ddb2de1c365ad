"""Where the values of a grid's kernel come from: parameters, and places in the memory behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numgraph.emit.function import FunctionPrinter
from numgraph.emit.grid import Geometry, Kernel
from numgraph.emit.statements import Body
from numgraph.emit.table import Layout
from numgraph.ir import LEAVES, Node, topological
from numgraph.loops.program import Expression, Load, Name, Number, Statement
from numgraph.loops.scalar import convert
from numgraph.schedule.arrange import Block
from numgraph.schedule.bounds import varies
from numgraph.schedule.grid import Mapping
from numgraph.schedule.items import Item
from numgraph.schedule.plan import Schedule
from numgraph.types import FLOATS


class GridMemory(FunctionPrinter):
    """Prints reads of memory, lengths and arguments; `block` is the block of the schedule that is being printed."""

    def __init__(
        self,
        schedule: Schedule,
        layout: Layout,
        vector: dict[tuple[str, str], str],
        kernel: Kernel,
        stage: int,
        geometry: Geometry,
        words: list[int],
    ) -> None:
        super().__init__(schedule, layout, vector)
        # for each word of the status, which failure it stands for
        self.words = words
        self.word_of: dict[Item, int] = {}
        # in statements of one thread: before which of them something is left out when an index was refused
        self.left_out: list[int] = []
        self.kernel = kernel
        self.names = kernel.names
        self.imports = kernel.imports
        self.stage = stage
        self.geometry = geometry
        self.block: Block
        self.mapping: Mapping
        self.starts: dict[Any, Expression | None] = {}
        # how statements that are open end, and the bodies around them
        self.outer: list[tuple[Callable[[tuple[Statement, ...]], Statement], list[Body]]] = []
        # bytes that each block of threads has for itself
        self.own: Any = 0

    def _hint(self, block: Block) -> list[Statement]:
        """None: a device has other threads to turn to while one waits."""
        return []

    def _from_plan(self, node: Node) -> bool:
        """Whether the host works the value out: lengths. What depends on an argument's value is worked out in place, so
        that one recording of the launches serves every value."""
        return node.kind == "op" and node.dtype == "int64" and node.planned and not varies(node)

    def _reads(self, node: Node) -> bool:
        """Whether a number depends on elements of arrays."""
        return any(v.kind == "load" for v in topological([node]))

    def _define_planned(self, node: Node) -> None:
        wish = self.graph.names.get(node)
        if node.kind != "scalar":
            place = self.layout.value(node)
            # the same node may be an output, too, whose memory is another parameter
            key = "number", node
            self.bodies[0].names[node] = self.kernel.parameter(key, wish, "n", "int64", ("slot", place))
            return
        kind = node.dtype if node.dtype in FLOATS else "int64"
        position = node.attrs[0] * (2 if kind == "float32" else 1)
        value = convert(self._arguments(kind)[position], kind, node.dtype)
        name = self.names.fresh(wish, "a")
        self.bodies[0].names[node] = self.assign(name, value, "argument", node, 0)

    def _arguments(self, kind: str = "int64") -> Name:
        """The pointer to the argument buffer, as elements of a dtype."""
        wish = "arguments" if kind == "int64" else f"arguments_{kind}"
        return self.kernel.parameter(("arguments", kind), wish, "p", f"{kind}*", ("arguments",))

    def base(self, buffer: Node) -> tuple[Name, Expression | None]:
        """(parameter, start): the memory of a buffer, and where in it the buffer begins, None for its start."""
        graph, kernel = self.graph, self.kernel
        dtype = "uint8" if buffer.dtype == "bool" else buffer.dtype
        wish = graph.names.get(buffer)
        if buffer.kind == "array":
            return kernel.parameter(buffer, wish, "c", f"{dtype}*", ("array", buffer.attrs[0])), None
        if buffer.kind in LEAVES:
            return kernel.parameter(buffer, wish, "x", f"{dtype}*", ("leaf", buffer)), None
        place = self.root(self.schedule.buffers[buffer])
        if place.place == "shared":
            leaf = self.schedule.shared[place.slot]
            return kernel.parameter(leaf, graph.names.get(leaf), "x", f"{dtype}*", ("leaf", leaf)), None
        if place.place == "private":
            name = kernel.parameter(("own", place.offset), wish, "own", f"{dtype}*", ("own", 0))
            return name, self._own_start(place, dtype)
        if place.place == "output":
            return kernel.parameter(buffer, wish, "out", f"{dtype}*", ("output", place.slot)), None
        source = (
            ("fresh", place.slot)
            if place.place == "fresh"
            else ("arena", place.stage, self.layout.number(place.offset))
        )
        root = place.node
        return kernel.parameter(root, graph.names.get(root) or wish, "t", f"{dtype}*", source), None

    def _own_start(self, place: Any, dtype: str) -> Expression:
        """Where the part of memory begins that this thread, or block, has for itself."""
        size = np.dtype(dtype).itemsize
        who = Name("thread" if self.mapping.shape == "rows" else "block")
        start = who * self.length(self.mapping.private // size)
        offset = place.offset // size if not isinstance(place.offset, int) or place.offset else 0
        return start if isinstance(offset, int) and offset == 0 else start + self.length(offset)

    def element(self, buffer: Node, index: Sequence[Node], flat: bool = False, view: str | None = None) -> Load:
        """An element of memory; what does not vary with the loops is computed once."""
        fixed, moving = self.position(buffer, index, flat)
        pointer, start = self.base(buffer)
        begin = self._begin(buffer, start, fixed, view)
        place = self.length(moving)
        if begin is None:
            return Load(pointer, place)
        return Load(pointer, begin if place == Number(0) else begin + place)

    def _begin(self, buffer: Node, start: Expression | None, fixed: Any, view: str | None) -> Expression | None:
        """The first element that is meant; None for the very first."""
        key = (buffer, fixed)
        if key not in self.starts:
            found = start
            if not (isinstance(fixed, int) and fixed == 0):
                moved = self.length(fixed)
                found = moved if found is None else found + moved
            if found is not None and not isinstance(found, Name | Number):
                name = self.names.fresh(f"{view or self.graph.names.get(buffer) or 'p'}_from")
                note = f"{view or self.buffer_name(buffer)} {self.type_text(buffer)} from element {self.explain(fixed)}"
                found = self.assign(name, found, note, buffer, 0)
            self.starts[key] = found
        return self.starts[key]

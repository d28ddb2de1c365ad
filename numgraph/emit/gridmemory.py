"""Where the values of a grid's kernel come from: parameters, and places in the memory behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.emit.function import FunctionPrinter
from numgraph.emit.grid import Geometry, Kernel
from numgraph.emit.scalar import convert
from numgraph.emit.statements import Body
from numgraph.emit.table import Layout
from numgraph.emit.writer import Line
from numgraph.ir import LEAVES, Node, topological
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
        # in statements of one thread: where what follows is left out when an index was refused
        self.left_out: list[int] = []
        self.kernel = kernel
        self.names = kernel.names
        self.imports = kernel.imports
        self.stage = stage
        self.geometry = geometry
        self.block: Block
        self.mapping: Mapping
        self.starts: dict[Any, str] = {}
        # open statements, and the bodies around them
        self.outer: list[tuple[str, str, list[Body]]] = []
        # bytes that each block of threads has for itself
        self.own: Any = 0

    def _hint(self, block: Block) -> list[Line]:
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
            slot = self.layout.value(node)
            # the same node may be an output, too, whose memory is another parameter
            key = "number", node
            self.bodies[0].names[node] = self.kernel.parameter(key, wish, "n", "int64", ("slot", slot))
            return
        kind = node.dtype if node.dtype in FLOATS else "int64"
        position = node.attrs[0] * (2 if kind == "float32" else 1)
        pointer = self._arguments(kind)
        name = self.names.fresh(wish, "a")
        self.bodies[0].names[node] = name
        self.say(f"{name} = {convert(f'{pointer}[{position}]', kind, node.dtype)}", "argument", node, 0)

    def _arguments(self, kind: str = "int64") -> str:
        """The pointer to the argument buffer, as elements of a dtype."""
        wish = "arguments" if kind == "int64" else f"arguments_{kind}"
        return self.kernel.parameter(("arguments", kind), wish, "p", f"{kind}*", ("arguments",))

    def base(self, buffer: Node) -> tuple[str, str]:
        """(parameter, start): the memory of a buffer, and an expression of where in it the buffer begins, "" for its
        start."""
        graph, kernel = self.graph, self.kernel
        dtype = "uint8" if buffer.dtype == "bool" else buffer.dtype
        wish = graph.names.get(buffer)
        if buffer.kind == "array":
            return kernel.parameter(buffer, wish, "c", f"{dtype}*", ("array", buffer.attrs[0])), ""
        if buffer.kind in LEAVES:
            return kernel.parameter(buffer, wish, "x", f"{dtype}*", ("leaf", buffer)), ""
        place = self.root(self.schedule.buffers[buffer])
        if place.place == "shared":
            leaf = self.schedule.shared[place.slot]
            return kernel.parameter(leaf, graph.names.get(leaf), "x", f"{dtype}*", ("leaf", leaf)), ""
        if place.place == "private":
            name = kernel.parameter(("own", place.offset), wish, "own", f"{dtype}*", ("own", 0))
            return name, self._own_start(place, dtype)
        if place.place == "output":
            return kernel.parameter(buffer, wish, "out", f"{dtype}*", ("output", place.slot)), ""
        source = (
            ("fresh", place.slot)
            if place.place == "fresh"
            else ("arena", place.stage, self.layout.number(place.offset))
        )
        root = place.node
        return kernel.parameter(root, graph.names.get(root) or wish, "t", f"{dtype}*", source), ""

    def _own_start(self, place: Any, dtype: str) -> str:
        """Where the part of memory begins that this thread, or block, has for itself."""
        size = np.dtype(dtype).itemsize
        who = "thread" if self.mapping.shape == "rows" else "block"
        start = f"{who} * {self._text(self.mapping.private // size)}"
        offset = place.offset // size if not isinstance(place.offset, int) or place.offset else 0
        return start if isinstance(offset, int) and offset == 0 else f"{start} + {self._text(offset)}"

    def _text(self, length: Any) -> str:
        return self.value(self.graph.as_index(length))

    def subscript(
        self, buffer: Node, index: Sequence[Node], flat: bool = False, view: str | None = None
    ) -> tuple[str, str]:
        """(pointer, subscript) of an element; what does not vary with the loops is computed once."""
        fixed, moving = self.position(buffer, index, flat)
        pointer, start = self.base(buffer)
        begin = self._begin(buffer, start, fixed, view)
        text = self.value(self.graph.as_index(moving))
        if not begin:
            return pointer, text
        return pointer, begin if text == "0" else f"{begin} + {text}"

    def _begin(self, buffer: Node, start: str, fixed: Any, view: str | None) -> str:
        """The name of the first element that is meant; "" for the very first."""
        key = (buffer, fixed)
        if key not in self.starts:
            terms = [start] if start else []
            if not (isinstance(fixed, int) and fixed == 0):
                terms.append(self._text(fixed))
            text = " + ".join(terms)
            if text and not text.isidentifier() and not text.isdigit():
                name = self.names.fresh(f"{view or self.graph.names.get(buffer) or 'p'}_from")
                note = f"{view or self.buffer_name(buffer)} {self.type_text(buffer)} from element {self.explain(fixed)}"
                self.say(f"{name} = {text}", note, buffer, 0)
                text = name
            self.starts[key] = text
        return self.starts[key]

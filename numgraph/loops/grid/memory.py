"""Where the values of a grid's kernel come from: parameters, and places in the memory behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.ir import LEAVES, Node
from numgraph.lengths.sources import varies
from numgraph.loops.grid.kernel import BLOCK, THREAD, Kernel
from numgraph.loops.positions import position
from numgraph.loops.program import Expression, Load, Name, Number
from numgraph.loops.scalar import convert
from numgraph.loops.values import Values
from numgraph.schedule.buffers import Buffer, memory_of
from numgraph.schedule.grid import Mapping
from numgraph.types import FLOATS


class GridMemory:
    """Reads of memory, lengths and arguments in a kernel. mapping: how its threads divide what is being made."""

    def __init__(self, values: Values, kernel: Kernel, mapping: Mapping) -> None:
        self.values = values
        self.schedule = values.schedule
        self.graph = values.graph
        self.kernel = kernel
        self.mapping = mapping
        # the first elements that are meant, by buffer and position
        self.starts: dict[Any, Expression | None] = {}

    def supplies(self, node: Node) -> bool:
        """Whether the host works the value out: lengths. What depends on an argument's value is worked out in place, so
        that one recording of the launches serves every value."""
        return node.kind == "op" and node.dtype == "int64" and node.planned and not varies(node)

    def supplied(self, node: Node) -> Expression:
        """A parameter for a length, or an argument's value, which is read where all arguments are."""
        wish = self.graph.names.get(node)
        if node.kind == "step":
            slot = self.values.layout.step(node.attrs[0])
            return self.kernel.parameter(node, "step", "t", "int64", ("slot", slot))
        if node.kind != "scalar":
            # lengths that are equal are one, if no recording of the launches depends on it
            known = self.graph.find(node)
            if isinstance(known, int):
                return Number(known)
            node = node if varies(known) else known
            place = self.values.layout.value(node)
            # the same node may be an output, too, whose memory is another parameter
            return self.kernel.parameter(("number", node), wish, "n", "int64", ("slot", place))
        kind = node.dtype if node.dtype in FLOATS else "int64"
        index = node.attrs[0] * (2 if kind == "float32" else 1)
        value = convert(self.arguments(kind)[index], kind, node.dtype)
        return self.values.assign(self.values.names.fresh(wish, "a"), value, "argument", node, 0)

    def arguments(self, kind: str = "int64") -> Name:
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
        if buffer.kind == "state":
            return kernel.parameter(buffer, wish, "x", f"{dtype}*", ("state", *buffer.attrs)), None
        if buffer.kind in LEAVES:
            return kernel.parameter(buffer, wish, "x", f"{dtype}*", ("leaf", buffer)), None
        place = memory_of(self.schedule.buffers, buffer)
        assert place is not None
        if place.place == "shared":
            leaf = self.schedule.shared[place.slot]
            return kernel.parameter(leaf, graph.names.get(leaf), "x", f"{dtype}*", ("leaf", leaf)), None
        if place.place == "private":
            name = kernel.parameter(("own", place.offset), wish, "own", f"{dtype}*", ("own", 0))
            return name, self._own_start(place, dtype)
        if place.place == "moving":
            return kernel.parameter(("moving", place.slot), wish, "out", f"{dtype}*", ("moving", place.slot)), None
        if place.place == "output":
            return kernel.parameter(buffer, wish, "out", f"{dtype}*", ("output", place.slot)), None
        arena = ("arena", place.stage, self.values.layout.number(place.offset))
        source = ("fresh", place.slot) if place.place == "fresh" else arena
        return kernel.parameter(place.node, graph.names.get(place.node) or wish, "t", f"{dtype}*", source), None

    def _own_start(self, place: Buffer, dtype: str) -> Expression:
        """Where the part of memory begins that this thread, or block, has for itself."""
        size = np.dtype(dtype).itemsize
        who = THREAD if self.mapping.shape == "rows" else BLOCK
        start = who * self.values.whole(self.mapping.private // size)
        offset = place.offset // size if not isinstance(place.offset, int) or place.offset else 0
        return start if isinstance(offset, int) and offset == 0 else start + self.values.whole(offset)

    def apart(self, pointers: Sequence[Name]) -> list[Name]:
        """None: a thread does one iteration."""
        return []

    def element(self, buffer: Node, index: Sequence[Node], flat: bool = False, view: str | None = None) -> Load:
        """An element of memory; what does not vary with the loops is computed once."""
        fixed, moving = position(self.schedule, buffer, index, flat)
        pointer, start = self.base(buffer)
        begin = self._begin(buffer, start, fixed, view)
        place = self.values.whole(moving)
        if begin is None:
            return Load(pointer, place)
        return Load(pointer, begin if place == Number(0) else begin + place)

    def whole_of(self, buffer: Node, offset: Any) -> tuple[Name, Expression | None]:
        """(parameter, start) of an operand whose first element is `offset` elements into a buffer."""
        pointer, start = self.base(buffer)
        return pointer, self._begin(buffer, start, offset, None)

    def _begin(self, buffer: Node, start: Expression | None, fixed: Any, view: str | None) -> Expression | None:
        """The first element that is meant; None for the very first."""
        key = (buffer, fixed)
        if key in self.starts:
            return self.starts[key]
        values, notes = self.values, self.values.notes
        found = start
        if not (isinstance(fixed, int) and fixed == 0):
            moved = values.whole(fixed)
            found = moved if found is None else found + moved
        if found is not None and not isinstance(found, Name | Number):
            shown = view or notes.name_of(buffer)
            name = values.names.fresh(f"{view or self.graph.names.get(buffer) or 'p'}_from")
            note = f"{shown} {notes.type_of(buffer)} from element {notes.length(fixed)}"
            found = values.assign(name, found, note, buffer, 0)
        self.starts[key] = found
        return found

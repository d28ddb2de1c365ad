"""Prints memory reads and addresses: pointers into resident arrays, arguments and temporaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.emit.scalar import POINTERS
from numgraph.emit.statements import Statements, sign_of
from numgraph.ir import LEAVES, Node
from numgraph.schedule.plan import Buffer


class MemoryStatements(Statements):
    """Adds reads and writes of memory. The part of an index that no loop changes goes into a pointer."""

    def _define_load(self, node: Node, level: int, origin: Node | None) -> None:
        buffer = node.inputs[0]
        place = self.schedule.buffers.get(buffer)
        if place is not None and place.place == "register":
            for body in self.bodies:
                if buffer in body.registers:
                    body.names[node] = body.registers[buffer]
                    return
            raise AssertionError(f"{buffer} is not in a register here")
        view = (
            self.graph.names.get(origin) if origin is not None and origin.op is not None and origin.op.element else None
        )
        pointer, subscript = self.subscript(buffer, node.inputs[1:], bool(node.attrs), view)
        expression = f"{pointer}[{subscript}]"
        if buffer.dtype == "bool":
            expression = f"({expression} != 0)"
        name = self.names.fresh(
            self._wish(node, origin) if origin is not node else None, "x" if buffer.kind in LEAVES else "v"
        )
        self.bodies[level].names[node] = name
        shown = self.buffer_name(buffer)
        self.say(f"{name} = {expression}", f"{shown} {self.type_text(buffer)}", origin or buffer, level)

    def subscript(
        self, buffer: Node, index: Sequence[Node], flat: bool = False, view: str | None = None
    ) -> tuple[str, str]:
        """(pointer, subscript) of an element; what does not vary with the loops goes into the pointer."""
        fixed, moving = self.position(buffer, index, flat)
        pointer = self.pointer(buffer, fixed, view)
        return pointer, self.value(self.graph.as_index(moving))

    def position(self, buffer: Node, index: Sequence[Node], flat: bool) -> tuple[Any, Any]:
        """Where an element is in its buffer, in elements: (what no loop changes, what varies)."""
        place = self.schedule.buffers.get(buffer)
        if flat:
            position: Any = index[0]
        elif place is None:
            position = self._linear([self.graph.find(n) for n in buffer.dims], index)
        else:
            base = self.root(place)
            lengths, at = list(base.lengths(self.graph)), [index[a] for a in base.axes]
            if base.rows:
                # the first axis comes last
                lengths, at = [*lengths[1:], base.rows], [*at[1:], at[0]]
            position = self._linear(lengths, at)
        return self.split(self.graph.as_index(position))

    def root(self, place: Buffer) -> Buffer:
        """The buffer in whose memory a scatter works."""
        while place.place == "base":
            place = self.schedule.buffers[place.node.inputs[0]]
        return place

    def _linear(self, lengths: Sequence[Any], index: Sequence[Any]) -> Any:
        position: Any = 0
        for n, i in zip(lengths, index, strict=True):
            position = position * n + i
        return position

    def split(self, node: Node) -> tuple[Any, Any]:
        """A position as (part that no loop changes, part that varies)."""
        if node.depth == 0:
            return (node.value if node.is_number else node), 0
        sign = sign_of(node)
        if sign in ("+", "-"):
            (a, b), (c, d) = (self.split(v) for v in node.inputs)
            return (a + c, b + d) if sign == "+" else (a - c, b - d)
        if sign == "*":
            left, right = node.inputs
            if right.depth:
                left, right = right, left
            if right.depth == 0:
                factor = right.value if right.is_number else right
                fixed, moving = self.split(left)
                return fixed * factor, moving * factor
        return 0, node

    def pointer(self, buffer: Node, fixed: Any, view: str | None = None) -> str:
        """The name of a pointer to `buffer` moved by `fixed` elements, defined at the top of the function.

        view: the user's name for what is read through it, a window of the buffer.
        """
        key = (buffer, fixed)
        if key in self.pointers:
            return self.pointers[key]
        size = np.dtype(buffer.dtype).itemsize
        address = self.address(buffer)
        note = f"{self.buffer_name(buffer)} {self.type_text(buffer)}"
        if not (isinstance(fixed, int) and fixed == 0):
            moved = self.value(self.graph.as_index(fixed * size))
            address = f"{address} + {moved}"
            note = f"{view or ''}{' = ' if view else ''}{note} from element {self.explain(fixed)}"
        name = self.names.fresh(view or self.graph.names.get(buffer), "p")
        self.declare(buffer, f"{name} = {POINTERS[buffer.dtype]}({address})", note, buffer)
        self.pointers[key] = name
        return name

    def declare(self, buffer: Node, code: str, note: str, origin: Node) -> None:
        """Print a pointer to a buffer, or its address, at the top of the function."""
        self.say(code, note, origin, 0)

    def address(self, buffer: Node) -> str:
        """The address of a buffer's first element, as an expression over the table."""
        if buffer.kind == "array":
            return f"table[{self.layout.array(buffer.attrs[0])}]"
        if buffer.kind in LEAVES:
            return f"table[{self.layout.address(buffer)}]"
        place = self.root(self.schedule.buffers[buffer])
        if buffer in self.partial or place.place in ("private", "rows"):
            return self.beyond("own", self.partial.get(buffer, place.offset))
        if place.place == "arena":
            return self.beyond(f"table[{self.layout.arena[place.stage]}]", place.offset)
        if place.place == "shared":
            return f"table[{self.layout.address(self.schedule.shared[place.slot])}]"
        return f"table[{self.layout.made_address(place.place, place.slot)}]"

    def beyond(self, base: str, offset: Any) -> str:
        """An address `offset` bytes behind another."""
        if isinstance(offset, int):
            return base if offset == 0 else f"{base} + {offset}"
        self.offsets.add(offset)
        return f"{base} + {self.value(offset)}"

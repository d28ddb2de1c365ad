"""Memory reads and addresses: pointers into resident arrays, arguments and temporaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.emit.statements import Statements, sign_of
from numgraph.ir import LEAVES, Node
from numgraph.loops.program import Call, Compare, Expression, Load, Name, Number, whole
from numgraph.loops.scalar import POINTERS
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
        value = as_read(self.element(buffer, node.inputs[1:], bool(node.attrs), view), buffer.dtype)
        wish = self._wish(node, origin) if origin is not node else None
        name = Name(self.names.fresh(wish, "x" if buffer.kind in LEAVES else "v"), value.dtype, plain=not wish)
        note = f"{self.buffer_name(buffer)} {self.type_text(buffer)}"
        self.bodies[level].names[node] = self.assign(name, value, note, origin or buffer, level)

    def element(self, buffer: Node, index: Sequence[Node], flat: bool = False, view: str | None = None) -> Load:
        """An element of memory; what does not vary with the loops goes into the pointer."""
        fixed, moving = self.position(buffer, index, flat)
        pointer = self.pointer(buffer, fixed, view)
        return Load(pointer, self.length(moving))

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

    def pointer(self, buffer: Node, fixed: Any, view: str | None = None) -> Name:
        """A pointer to `buffer` moved by `fixed` elements, defined at the top of the function.

        view: the user's name for what is read through it, a window of the buffer.
        """
        key = (buffer, fixed)
        if key in self.pointers:
            return self.pointers[key]
        size = np.dtype(buffer.dtype).itemsize
        address = self.address(buffer)
        note = f"{self.buffer_name(buffer)} {self.type_text(buffer)}"
        if not (isinstance(fixed, int) and fixed == 0):
            address = address + self.length(fixed * size)
            note = f"{view or ''}{' = ' if view else ''}{note} from element {self.explain(fixed)}"
        name = self.names.fresh(view or self.graph.names.get(buffer), "p")
        self.pointers[key] = self.declare(buffer, name, pointer_to(address, buffer.dtype), note, buffer)
        return self.pointers[key]

    def declare(self, buffer: Node, name: str, value: Expression, note: str, origin: Node) -> Name:
        """Name a pointer to a buffer, or its address, at the top of the function."""
        return self.assign(name, value, note, origin, 0)

    def address(self, buffer: Node) -> Expression:
        """The address of a buffer's first element."""
        if buffer.kind == "array":
            return self.layout.slot(self.layout.array(buffer.attrs[0]))
        if buffer.kind in LEAVES:
            return self.layout.slot(self.layout.address(buffer))
        place = self.root(self.schedule.buffers[buffer])
        if buffer in self.partial or place.place in ("private", "rows"):
            return self.beyond(OWN, self.partial.get(buffer, place.offset))
        if place.place == "arena":
            return self.beyond(self.layout.slot(self.layout.arena[place.stage]), place.offset)
        if place.place == "shared":
            return self.layout.slot(self.layout.address(self.schedule.shared[place.slot]))
        return self.layout.slot(self.layout.made_address(place.place, place.slot))

    def beyond(self, base: Expression, offset: Any) -> Expression:
        """An address `offset` bytes behind another."""
        if isinstance(offset, int):
            return base if offset == 0 else base + Number(offset, role="by")
        self.offsets.add(offset)
        return base + self.value(offset)


# what a share has for itself
OWN = Name("own")


def pointer_to(address: Expression, dtype: str) -> Call:
    """A pointer to elements of a dtype at an address."""
    return Call(POINTERS[dtype], (address,), f"{'uint8' if dtype == 'bool' else dtype}*")


def as_read(value: Expression, dtype: str) -> Expression:
    """An element of memory as a number of a dtype: bools are uint8 there."""
    return Compare("!=", value, whole(0)) if dtype == "bool" else value


def as_stored(value: Expression, dtype: str) -> Expression:
    """A number of a dtype as memory holds it."""
    return Call("uint8", (value,), "uint8") if dtype == "bool" else value

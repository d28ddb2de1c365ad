"""Memory of the processor: addresses in the table, and pointers made of them at the top of a function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from numgraph.elements import View
from numgraph.ir import LEAVES, Node
from numgraph.lengths import dims
from numgraph.loops.positions import position
from numgraph.loops.program import REALS, TABLE, Assign, Call, Expression, Load, Name, Number, Statement
from numgraph.loops.scalar import POINTERS, convert
from numgraph.loops.values import Values
from numgraph.schedule.buffers import Buffer, memory_of
from numgraph.schedule.work import owner
from numgraph.types import FLOATS

# what a chunk has for itself, and the first row of a tile
OWN, FIRST = Name("own"), Name("first")
NOTHING: Mapping[Node, Any] = {}
# the places of memory that is made for one buffer
MADE = frozenset({"arena", "private", "rows", "output", "fresh"})


class HostMemory:
    """What a function reads from the table, and pointers to buffers.

    own: buffers that the chunk has a copy of, with their places in its own memory. plans: whether the function is a
    plan, which computes lengths. scan: of a plan of a scan's steps, the number of the scan. tile: in a loop over tiles
    of rows, the statements of one tile, which define the pointers to what is kept for its rows.
    """

    def __init__(
        self, values: Values, own: Mapping[Node, Any] = NOTHING, plans: bool = False, scan: int | None = None
    ) -> None:
        self.values = values
        self.schedule = values.schedule
        self.graph = values.graph
        self.layout = values.layout
        self.own = own
        self.plans = plans
        self.scan = scan
        self.tile: list[Statement] | None = None
        self.pointers: dict[Any, Name] = {}
        # places in the arena, whose sizes say nothing to a reader
        self.offsets: set[Node] = set()
        # whether arguments are read that are floats
        self.reads_reals = False

    # -- numbers --------------------------------------------------------------------------------------------------

    def supplies(self, node: Node) -> bool:
        """Whether a phase reads the node from the table: lengths, and indices that no loop changes."""
        if self.scan is not None and self.scan in node.within:
            return False
        return not self.plans and node.planned and node.kind == "op" and node.dtype == "int64"

    def supplied(self, node: Node) -> Expression:
        """Read an argument, a length or an index that the plan has computed."""
        values, notes, layout = self.values, self.values.notes, self.layout
        wish: str | None = self.graph.names.get(node)
        value: Expression
        if node.kind == "step":
            value, prefix, note = layout.slot(layout.step(node.attrs[0])), "t", "which step it is"
        elif node.kind == "scalar":
            place = layout.arguments[node.attrs[0]]
            self.reads_reals |= node.dtype in FLOATS
            value = REALS[layout.at(place)] if node.dtype in FLOATS else layout.slot(place)
            value, prefix, note = convert(value, value.dtype, node.dtype), "a", "argument"
        elif self.plans:
            wish, value, prefix, note = None, self._length(node), "n", notes.length(node)
        elif isinstance(known := self.graph.find(node), int):
            return Number(known)
        else:
            # lengths that are equal are one
            node = known
            value, prefix = layout.slot(layout.value(node)), "n"
            note = "place among the temporaries" if node in self.offsets else f"= {notes.length(node)}"
        name = Name(values.names.fresh(wish, prefix), value.dtype, plain=not wish)
        return values.assign(name, value, note, node, 0)

    def _length(self, extent: Node) -> Expression:
        """A length of an argument or a shared array."""
        leaf, axis = extent.inputs[0], extent.attrs[0]
        resident = leaf.kind == "shared"
        place = (self.layout.shared if resident else self.layout.arguments)[leaf.attrs[0]]
        function = "resident_length" if resident else "argument_length"
        return Call(function, (TABLE, self.layout.at(place), Number(axis)))

    # -- arrays ---------------------------------------------------------------------------------------------------

    def element(self, buffer: Node, index: Sequence[Node], flat: bool = False, view: str | None = None) -> Load:
        """An element of memory; what does not vary with the loops goes into the pointer, but for plain numbers: of
        neighbours that one pointer has, LLVM knows how far they are apart."""
        fixed, moving = position(self.schedule, buffer, index, flat)
        if isinstance(fixed, int):
            fixed, moving = 0, moving + fixed
        pointer = self.pointer(buffer, fixed, view)
        return Load(pointer, self.values.whole(moving))

    def pointer(self, buffer: Node, fixed: Any, view: str | None = None) -> Name:
        """A pointer to `buffer` moved by `fixed` elements, defined at the top of the function.

        view: the user's name for what is read through it, a window of the buffer.
        """
        buffer = self._owner(buffer)
        key = (buffer, fixed)
        if key in self.pointers:
            return self.pointers[key]
        size = np.dtype(buffer.dtype).itemsize
        address = self.address(buffer)
        notes = self.values.notes
        note = notes.array(buffer)
        if not (isinstance(fixed, int) and fixed == 0):
            address = address + self._moved(fixed * size, view or notes.name_of(buffer))
            note = f"{view or ''}{' = ' if view else ''}{note} from element {notes.length(fixed)}"
        name = self.values.names.fresh(view or self.graph.names.get(buffer), "p")
        self.pointers[key] = self.declare(buffer, name, pointer_to(address, buffer.dtype), note, buffer)
        return self.pointers[key]

    def apart(self, pointers: Sequence[Name]) -> list[Name]:
        """Those of the pointers of a loop whose memory no other one of them overlaps; none where it is not known.

        What is used at the same time among the temporaries lies apart (`schedule.buffers`), and so do arrays that are
        made for results, and what a step of a scan writes (`schedule.scans`). Arguments and shared arrays are the
        user's, and may overlap.
        """
        owners = {name: buffer for (buffer, _), name in self.pointers.items()}
        if not owners.keys() >= set(pointers):
            return []
        count = Counter(owners[name] for name in pointers)
        return [name for name in pointers if count[owners[name]] == 1 and self._is_made(owners[name])]

    def _is_made(self, buffer: Node) -> bool:
        """Whether the memory is made for this buffer alone."""
        if buffer in self.own:
            return True
        place = None if buffer.kind in LEAVES else memory_of(self.schedule.buffers, buffer)
        if place is None or place.place != "moving":
            return place is not None and place.place in MADE
        # what is written over a state is in its memory
        return place.node.op is None or not place.node.op.overwrites

    def _owner(self, buffer: Node) -> Node:
        """What the memory of a buffer belongs to: a shared variable that it is the new value of, or the first of those
        that are written over one another."""
        place = None if buffer in self.own else memory_of(self.schedule.buffers, buffer)
        return buffer if place is None else owner(self.schedule, place.node)

    def declare(self, buffer: Node, name: str, value: Expression, note: str, origin: Node) -> Name:
        """Name a pointer to a buffer, or its address, at the top of the function, or of a tile to the tile's rows."""
        if not self._of_tile(buffer):
            return self.values.assign(name, value, note, origin, 0)
        assert self.tile is not None
        self.tile.append(Assign(Name(name, value.dtype), value, **self.values.origin(origin, note)))
        return Name(name, value.dtype)

    def _of_tile(self, buffer: Node) -> bool:
        """Whether only the rows of one tile are kept."""
        place = self.schedule.buffers.get(buffer)
        return place is not None and place.place == "rows"

    def address(self, buffer: Node) -> Expression:
        """The address of a buffer's first element."""
        if buffer.kind == "array":
            return self.layout.slot(self.layout.array(buffer.attrs[0]))
        if buffer.kind == "state":
            return self.layout.slot(self.layout.state(buffer))
        if buffer.kind in LEAVES:
            return self.layout.slot(self.layout.address(buffer))
        place = memory_of(self.schedule.buffers, buffer)
        assert place is not None
        if self._of_tile(buffer):
            # that from which the rows of the tile would be counted
            width = 1 if place.rows else dims.product(place.lengths(self.graph)[1:])
            return self.beyond(OWN, place.offset) - FIRST * (width * np.dtype(buffer.dtype).itemsize)
        if buffer in self.own or place.place == "private":
            return self.beyond(OWN, self.own.get(buffer, place.offset))
        if place.place == "moving":
            return self.layout.slot(self.layout.moving(place.slot, self._shown(buffer)))
        if place.place == "arena":
            return self.in_arena(place)
        if place.place == "shared":
            return self.layout.slot(self.layout.address(self.schedule.shared[place.slot]))
        return self.layout.slot(self.layout.made_address(place.place, place.slot))

    def in_arena(self, place: Buffer) -> Expression:
        """The address of a buffer in the arena."""
        return self.beyond(self.layout.slot(self.layout.arena[place.stage]), place.offset)

    def _shown(self, buffer: Node) -> str:
        return self.graph.names.get(buffer) or "state"

    def view_address(self, view: View, name: str | None = None) -> Expression:
        """The address of the first element that an operand of a product or kernel reads. name: what it is called."""
        address = self.address(view.buffer)
        if isinstance(view.offset, int) and view.offset == 0:
            return address
        return address + self._moved(
            view.offset * np.dtype(view.buffer.dtype).itemsize, name or self.values.notes.name_of(view.buffer)
        )

    def _moved(self, size: Any, name: str) -> Expression:
        """By how many bytes what is called `name` begins behind the start of a buffer."""
        offset = self.graph.as_index(size)
        self.layout.wishes.setdefault(offset, f"{name}_offset")
        return self.values.value(offset)

    def beyond(self, base: Expression, offset: Any) -> Expression:
        """An address `offset` bytes behind another."""
        if isinstance(offset, int):
            return base if offset == 0 else base + Number(offset, role="by")
        return base + self.place(offset)

    def place(self, size: Any, wish: str = "offset") -> Expression:
        """A place among the temporaries, or a size of some. wish: what its slot is to be called."""
        if isinstance(size, Node):
            self.offsets.add(size)
            self.layout.wishes.setdefault(size, wish)
        return self.values.whole(size)

    # -- what chunks have for themselves ----------------------------------------------------------------------------

    def behind_arena(self, stage: int) -> Expression:
        """Where the memory begins that chunks have for themselves."""
        return self.beyond(self.layout.slot(self.layout.arena[stage]), self.schedule.arena_bytes[stage])

    def say_own(self, stage: int, chunk: Expression) -> None:
        """Define where a chunk's own memory is."""
        size = self.place(self.schedule.private_bytes[stage], "own_bytes")
        self.values.assign(OWN, self.behind_arena(stage) + chunk * size, "what this chunk has for itself")


def pointer_to(address: Expression, dtype: str) -> Call:
    """A pointer to elements of a dtype at an address."""
    return Call(POINTERS[dtype], (address,), f"{'uint8' if dtype == 'bool' else dtype}*")

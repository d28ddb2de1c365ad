"""Prints one phase: a function over the table that runs blocks of loops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from numgraph.emit.scalar import POINTERS, convert, literal, print_scalar
from numgraph.emit.table import Layout
from numgraph.emit.writer import Line, Names
from numgraph.ir import LEAVES, Node
from numgraph.schedule.arrange import Block
from numgraph.schedule.items import Item, scalar_nodes
from numgraph.schedule.plan import Buffer, Schedule
from numgraph.types import FLOATS

COUNTERS = "ijklmnopq"


class Body:
    """The statements of one loop level, and the names that they gave to scalar nodes."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.lines: list[Line] = []
        self.names: dict[Node, str] = {}
        self.registers: dict[Node, str] = {}


class FunctionPrinter:
    """Prints statements into nested loop bodies; every scalar node is computed once, at the level where it stops varying."""

    def __init__(self, schedule: Schedule, layout: Layout, vector: dict[tuple[str, str], str]) -> None:
        self.schedule = schedule
        self.graph = schedule.graph
        self.layout = layout
        self.vector = vector
        self.imports: set[str] = set()
        self.names = Names()
        self.bodies = [Body(0)]
        self.pointers: dict[Any, str] = {}
        self.failures: list[tuple[Item, int]] = []
        self.planning = False
        self.length_names = name_lengths(schedule)

    @property
    def body(self) -> Body:
        """The innermost open loop body."""
        return self.bodies[-1]

    def say(self, code: str, comment: str = "", node: Node | None = None, level: int | None = None) -> None:
        """Add a line at a loop level (default: the innermost)."""
        body = self.bodies[len(self.bodies) - 1 if level is None else min(level, len(self.bodies) - 1)]
        lines = tuple(self.graph.lines.get(node, ())) if node is not None else ()
        body.lines.append(Line(0, code, comment, lines))

    # -- scalars ------------------------------------------------------------------------------------------------

    def value(self, root: Node) -> str:
        """Text of a scalar node: a name or a literal. Statements that it needs are added at their levels."""
        for node in self._undefined(root):
            if not self._is_inline(node):
                self._define(node)
        return self.text(root)

    def _undefined(self, root: Node) -> list[Node]:
        """The nodes below `root` that have no name yet, inputs first; what the plan computes is not looked into."""
        done: dict[Node, None] = {}
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in done or self._known(node) is not None:
                continue
            if ready:
                done[node] = None
                continue
            stack.append((node, True))
            if node.kind != "extent" and not self._from_plan(node):
                inputs = node.inputs[1:] if node.kind == "load" else node.inputs
                stack.extend((v, False) for v in reversed(inputs))
        return list(done)

    def _from_plan(self, node: Node) -> bool:
        """Whether a phase reads the node from the table: lengths, and indices that no loop changes."""
        return not self.planning and node.planned and node.kind == "op" and node.dtype == "int64"

    def _known(self, node: Node) -> str | None:
        for body in self.bodies:
            if node in body.names:
                return body.names[node]
        return None

    def _is_inline(self, node: Node) -> bool:
        """Whether the node is written where it is used: literals, counters, and index sums."""
        if node.kind in ("number", "loop"):
            return True
        return node.kind == "op" and node.dtype == "int64" and node.depth > 0 and node.name in ("add", "sub", "mul")

    def text(self, node: Node) -> str:
        """The name of a defined node, or its text where it is written in place."""
        known = self._known(node)
        if known is not None:
            return known
        if node.kind == "number":
            return literal(node.value, node.dtype)
        if node.kind == "loop":
            return COUNTERS[node.attrs[0]]
        a, b = (self.text(v) for v in node.inputs)
        sign = {"add": "+", "sub": "-", "mul": "*"}[node.name]
        if sign == "*":
            a, b = (f"({t})" if " + " in t or " - " in t else t for t in (a, b))
        elif sign == "-" and (" + " in b or " - " in b):
            b = f"({b})"
        return f"{a} {sign} {b}"

    def _define(self, node: Node) -> None:
        """Add the statement that computes one node."""
        level = min(node.depth, len(self.bodies) - 1)
        origin = self.schedule.elements.origin.get(node)
        if node.kind == "load":
            self._define_load(node, level, origin)
            return
        if node.kind in ("scalar", "extent") or self._from_plan(node):
            self._define_planned(node)
            return
        assert node.op is not None, node
        operands = [self.text(v) for v in node.inputs]
        expression = print_scalar(node.op, operands, [v.dtype for v in node.inputs], node.dtype, self.vector, self.imports)
        name = self.names.fresh(self._wish(node, origin))
        self.bodies[level].names[node] = name
        self.say(f"{name} = {expression}", self._note(node, origin), origin or node, level)

    def _define_planned(self, node: Node) -> None:
        """Read an argument, a length or an index that the plan has computed."""
        wish = self.graph.names.get(node)
        if node.kind == "scalar":
            slot = self.layout.arguments[node.attrs[0]]
            if node.dtype in FLOATS:
                source, expression = "float64", f"reals[{slot}]"
            else:
                source, expression = "int64", f"table[{slot}]"
            expression = convert(expression, source, node.dtype)
            prefix, note = "a", "argument"
        else:
            slot = self.layout.value(node)
            expression, prefix, note = f"table[{slot}]", "n", f"= {self.explain(node)}"
        name = self.names.fresh(wish, prefix)
        self.bodies[0].names[node] = name
        self.say(f"{name} = {expression}", note, node, 0)

    def _wish(self, node: Node, origin: Node | None) -> str | None:
        return self.graph.names.get(origin) if origin is not None else self.graph.names.get(node)

    def _note(self, node: Node, origin: Node | None) -> str:
        """`exp float32[?,10]`."""
        shown = origin if origin is not None else node
        return f"{node.name} {self.type_text(shown)}"

    def type_text(self, node: Node) -> str:
        """`float32[?,10]` of a node."""
        lengths = [self.graph.find(n) for n in node.dims]
        inside = ",".join(str(n) if isinstance(n, int) else "?" for n in lengths)
        return f"{node.dtype}[{inside}]" if lengths else node.dtype

    def explain(self, node: Any, depth: int = 0) -> str:
        """A length in the user's terms: `len(train_x)`, `index*600`."""
        if not isinstance(node, Node):
            return str(node)
        if node in self.length_names:
            return self.length_names[node]
        if node in self.graph.names and depth:
            return self.graph.names[node]
        if node.kind == "extent":
            owner = self.graph.names.get(node.inputs[0], "argument")
            return f"len({owner})" if node.attrs[0] == 0 else f"{owner}.shape[{node.attrs[0]}]"
        if node.is_number:
            return str(node.value)
        if depth > 3 or node.op is None:
            return "..." if depth > 3 else self.graph.names.get(node, node.name)
        parts = [self.explain(v, depth + 1) for v in node.inputs]
        signs = {"add": " + ", "sub": " - ", "mul": "*", "floor_div": "//", "lt": " < ", "eq": " == "}
        if node.name in signs and len(parts) == 2:
            return f"({signs[node.name].join(parts)})" if depth else signs[node.name].join(parts)
        short = {"minimum": "min", "maximum": "max"}.get(node.name, node.name)
        return f"{short}({', '.join(parts)})"

    # -- memory -------------------------------------------------------------------------------------------------

    def _define_load(self, node: Node, level: int, origin: Node | None) -> None:
        buffer = node.inputs[0]
        place = self.schedule.buffers.get(buffer)
        if place is not None and place.place == "register":
            for body in self.bodies:
                if buffer in body.registers:
                    body.names[node] = body.registers[buffer]
                    return
            raise AssertionError(f"{buffer} is not in a register here")
        view = self.graph.names.get(origin) if origin is not None and origin.op is not None and origin.op.element else None
        pointer, subscript = self.subscript(buffer, node.inputs[1:], bool(node.attrs), view)
        expression = f"{pointer}[{subscript}]"
        if buffer.dtype == "bool":
            expression = f"({expression} != 0)"
        name = self.names.fresh(self._wish(node, origin) if origin is not node else None, "x" if buffer.kind in LEAVES else "v")
        self.bodies[level].names[node] = name
        shown = self.buffer_name(buffer)
        self.say(f"{name} = {expression}", f"{shown} {self.type_text(buffer)}", origin or buffer, level)

    def buffer_name(self, buffer: Node) -> str:
        """What comments call a buffer."""
        return self.graph.names.get(buffer) or (buffer.name if buffer.op else buffer.kind)

    def subscript(self, buffer: Node, index: Sequence[Node], flat: bool = False, view: str | None = None) -> tuple[str, str]:
        """(pointer, subscript) of an element; what does not vary with the loops goes into the pointer."""
        place = self.schedule.buffers.get(buffer)
        if flat:
            position: Any = index[0]
        elif place is None:
            position = self._linear([self.graph.find(n) for n in buffer.dims], index)
        else:
            base = self.root(place)
            position = self._linear(base.lengths(self.graph), [index[a] for a in base.axes])
        fixed, moving = self.split(self.graph.as_index(position))
        pointer = self.pointer(buffer, fixed, view)
        return pointer, self.value(self.graph.as_index(moving))

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
        if node.name in ("add", "sub") and node.kind == "op":
            (a, b), (c, d) = (self.split(v) for v in node.inputs)
            return (a + c, b + d) if node.name == "add" else (a - c, b - d)
        if node.name == "mul" and node.kind == "op":
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
        self.say(f"{name} = {POINTERS[buffer.dtype]}({address})", note, buffer, 0)
        self.pointers[key] = name
        return name

    def address(self, buffer: Node) -> str:
        """The address of a buffer's first element, as an expression over the table."""
        if buffer.kind == "array":
            return f"table[{self.layout.array(buffer.attrs[0])}]"
        if buffer.kind in LEAVES:
            return f"table[{self.layout.address(buffer)}]"
        place = self.root(self.schedule.buffers[buffer])
        if place.place == "arena":
            base = f"table[{self.layout.arena[place.stage]}]"
            if isinstance(place.offset, int):
                return base if place.offset == 0 else f"{base} + {place.offset}"
            return f"{base} + {self.value(place.offset)}"
        if place.place == "shared":
            return f"table[{self.layout.address(self.schedule.shared[place.slot])}]"
        return f"table[{self.layout.address(('made', place.place, place.slot))}]"  # type: ignore[arg-type]

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
        starting = [item for item in block.items if item.kind == "reduce" and min(item.reduced, default=-1) == level]
        accumulators = {item: self._start(item, level) for item in starting}
        limit = self.value(self.graph.as_index(block.length))
        inner = Body(level + 1)
        self.bodies.append(inner)
        inner.registers.update(accumulators)  # type: ignore[arg-type]
        self.blocks(block.body, level + 1)
        self.bodies.pop()
        self.say(f"for {COUNTERS[level]} in range({limit}):", self._loop_note(block))
        for line in inner.lines:
            line.indent += 1
        self.body.lines += inner.lines
        for item in starting:
            self._complete(item, accumulators[item])

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
            name = self.names.fresh(None, "acc")
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
        """Set a buffer in which a reduction accumulates to its start value, over the axes that its loops will run along."""
        levels = [k for k in range(level, len(item.loops)) if k not in item.reduced]
        pointer, subscript = self.subscript_at(item)
        stored = f"uint8({start})" if item.node.dtype == "bool" else start
        for depth, k in enumerate(levels):
            line = Line(depth, f"for {COUNTERS[k]} in range({self.value(self.graph.as_index(item.loops[k]))}):", "")
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
        pointer, subscript = self.subscript_at(item)
        stored = f"uint8({value})" if item.node.dtype == "bool" else value
        self.say(f"{pointer}[{subscript}] = {stored}", f"{self.buffer_name(item.node)} {self.type_text(item.node)}", item.node)
        # whoever reads the element in this loop body uses the name instead of the memory
        self.body.names[self.graph.load(item.node, item.target)] = value

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
            new = self._combine(item, old, x)
            new = f"uint8({new})" if item.node.dtype == "bool" else new
            self.say(f"{pointer}[{subscript}] = {new}", item.node.name, item.node)
            return
        name = next(b.registers[item] for b in reversed(self.bodies) if item in b.registers)  # type: ignore[index]
        if form.position:
            self._position(item, name, x)
            return
        self.say(f"{name} = {self._combine(item, name, convert(x, item.value.dtype, item.node.dtype))}", item.node.name, item.node)

    def _combine(self, item: Item, acc: str, x: str) -> str:
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        dtype = item.node.dtype
        if form.reassociate and dtype in FLOATS:
            return f"{'add_up' if '+' in form.combine else 'multiply_up'}({acc}, {x})"
        text = substitute_names(form.combine, {"acc": acc, "x": x})
        return text if dtype in (*FLOATS, "int64", "bool") else f"{dtype}({text})"

    def _position(self, item: Item, name: str, x: str) -> None:
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        counter = COUNTERS[item.reduced[0]]
        self.say(f"if {substitute_names(form.combine, {'acc': name, 'x': x})}:", item.node.name, item.node)
        self.say(f"    {name} = {x}")
        self.say(f"    {name}_at = {counter}")

    def _scatter(self, item: Item, level: int) -> None:
        assert item.value is not None
        value = self.value(item.value)
        for index in item.target:
            self.value(index)
        pointer, subscript = self.subscript_at(item)
        if item.node.attributes["mode"] == "add":
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
        self.failures.append((item, len(self.failures)))
        code = self.layout.fail_code(item)
        self.say(f"if {value} < -{limit} or {value} >= {limit}:", f"index in range of {item.node.name}", item.node)
        self.say(f"    table[0] = {value}")
        self.say(f"    table[1] = {limit}")
        self.say(f"    return {code}")


def name_lengths(schedule: Schedule) -> dict[Node, str]:
    """What comments call a length: that of the first named array that has it."""
    graph = schedule.graph
    found: dict[Node, str] = {}
    for node, name in graph.names.items():
        for axis, length in enumerate(map(graph.find, node.dims)):
            if isinstance(length, Node) and length.kind != "extent":
                found.setdefault(length, f"len({name})" if axis == 0 else f"{name}.shape[{axis}]")
    return found


def substitute_names(text: str, names: dict[str, str]) -> str:
    """`text` with names replaced, parenthesised by the parser."""
    import ast

    class Replace(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            if node.id in names:
                return ast.parse(names[node.id], mode="eval").body
            return node

    return ast.unparse(ast.fix_missing_locations(Replace().visit(ast.parse(text, mode="eval"))))

"""Prints kernels of a grid: functions that every thread runs, with pointers and lengths as parameters.

Inside a kernel `block` of `blocks` and `lane` of THREADS say which thread this is, `thread` of `threads` the same among
all. A loop that threads divide steps over what the others do; all threads of a block go through the same barriers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numgraph import dims
from numgraph.emit.function import FunctionPrinter
from numgraph.emit.scalar import convert, literal
from numgraph.emit.statements import Body, substitute_names
from numgraph.emit.table import Layout
from numgraph.emit.writer import Line, Names
from numgraph.ir import LEAVES, Graph, Node
from numgraph.schedule.arrange import Block
from numgraph.schedule.bounds import full_length
from numgraph.schedule.grid import Mapping, free_levels
from numgraph.schedule.gridproduct import choose_product
from numgraph.schedule.items import Item
from numgraph.schedule.plan import Schedule
from numgraph.types import FLOATS

# Steps of one native sweep at most. For each check the status has a word that says whether it failed, and one for each
# step.
STEPS = 1024
STATUS_ROW = STEPS + 1


@dataclass(frozen=True)
class Geometry:
    """Sizes of a grid. threads: of a block, a power of two; blocks: at most, of one launch; small: iterations up to which
    one block does a phase, so that several phases are one launch; part: iterations of a sum for each block that shares
    in it, of which there are at most `shares`."""

    threads: int = 256
    blocks: int = 1024
    small: int = 16384
    part: int = 4096
    shares: int = 256
    # of products: the most multiply-adds that a thread of a skinny one keeps, its threads, and (tile, elements of a thread,
    # depth) of the others, the largest first
    sums: int = 64
    skinny: int = 128
    tiles: tuple[tuple[int, int, int], ...] = ((128, 8, 8), (64, 4, 8), (32, 4, 8))
    # blocks of threads that a product wants to have
    wanted: int = 132


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    dtype: of the elements of a pointer ("float32*") or the number ("int64"). source: where the value comes from: ("leaf",
    node), ("array", digest), ("arena", stage, offset), ("output", k), ("fresh", slot), ("own", offset) memory behind the
    arena that only this launch uses, ("arguments",), ("status",), ("slot", slot of the plan's table).
    """

    name: str
    dtype: str
    source: tuple[Any, ...]


@dataclass
class Sums:
    """What `_sum_up` prints: which loops give results and which are summed over. width: lanes side by side that work on
    different results; shares: how many blocks of threads work on one, as text."""

    items: list[Item]
    kept: list[int]
    reduced: list[int]
    results: Any
    width: int
    shares: str
    counter: str = ""
    share: str = "0"
    count: str = ""
    step: str = ""


def width_of(results: Any, geometry: Geometry) -> int:
    """How many results lanes side by side work on: those of a memory transaction, or all there are."""
    most = min(32, geometry.threads)
    if not isinstance(results, int):
        return most
    width = 1
    while width < min(results, most):
        width *= 2
    return width


def shares_of(graph: Graph, block: Block, mapping: Mapping, geometry: Geometry) -> Any:
    """How many blocks of threads share in each sum; a number wherever the lengths have known bounds."""
    first = block.items[0]
    if any(item.node.op.reduce.position for item in block.items if item.node.op and item.node.op.reduce):
        return 1
    if mapping.work is not None and mapping.work <= geometry.small:
        return 1
    kept = [full_length(graph, n) for k, n in enumerate(first.loops) if k not in first.reduced]
    width = width_of(dims.product([n for n in kept if n is not None]), geometry) if None not in kept else 32
    steps: Any = 1
    for k in first.reduced:
        known = full_length(graph, first.loops[k])
        steps = steps * (graph.find(first.loops[k]) if known is None else known)
    return dims.maximum(dims.minimum(steps * width // geometry.part, geometry.shares), 1)


@dataclass
class Kernel:
    """A printed kernel, of one or several phases.

    grid: for each of its axes (count, per_block, most): it has count / per_block thread blocks, from 1 to `most`. threads: of a
    block. own: bytes that each block has for itself, while it runs. counts and own are numbers, or slots of the plan's
    table as -1 - slot. helpers: functions that it calls; made: those that an
    expression makes.
    """

    name: str
    names: Names
    parameters: dict[Any, Parameter] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    grid: list[tuple[int, int, int]] = field(default_factory=lambda: [(1, 1, 1)])
    threads: int = 0
    own: Any = 0
    helpers: dict[str, list[Line]] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)

    def make(self, maker: str, expression: str) -> str:
        """The name of a function that is made by an expression when the module is loaded."""
        if expression not in self.made:
            self.made[expression] = f"{maker}_{len(self.made)}" if self.made else f"{maker}_kernel"
        return self.made[expression]

    def parameter(self, key: Any, wish: str | None, prefix: str, dtype: str, source: tuple[Any, ...]) -> str:
        """The name of a parameter, which is added when it is new."""
        if key not in self.parameters:
            self.parameters[key] = Parameter(self.names.fresh(wish, prefix), dtype, source)
        return self.parameters[key].name


class GridPrinter(FunctionPrinter):
    """Prints one block of the schedule into a kernel."""

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
        self.sums: Sums
        # bytes that each block of threads has for itself
        self.own: Any = 0

    def run(self, block: Block) -> None:
        """Print a block of the schedule."""
        self.block, self.mapping = block, self.schedule.sharing[block]
        self.kernel.items += block.items
        self.kernel.shapes.append(self.mapping.shape)
        getattr(self, f"_print_{self.mapping.shape}")(block)
        self.kernel.lines += self.bodies[0].lines

    # -- where values come from ---------------------------------------------------------------------------------

    def _from_plan(self, node: Node) -> bool:
        """Whether the host works the value out: lengths. What depends on an argument's value is worked out in place, so
        that one recording of the launches serves every value."""
        return node.kind == "op" and node.dtype == "int64" and node.planned and not self._varies(node)

    def _varies(self, node: Node) -> bool:
        stack = [node]
        while stack:
            v = stack.pop()
            if v.kind in ("scalar", "load"):
                return True
            stack += () if v.kind == "extent" else v.inputs
        return False

    def _define_planned(self, node: Node) -> None:
        wish = self.graph.names.get(node)
        if node.kind != "scalar":
            slot = self.layout.value(node)
            self.bodies[0].names[node] = self.kernel.parameter(node, wish, "n", "int64", ("slot", slot))
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

    def pointer(self, buffer: Node, fixed: Any, view: str | None = None) -> str:
        """A pointer parameter; `subscript` adds what is fixed."""
        raise NotImplementedError

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
        source = ("fresh", place.slot) if place.place == "fresh" else ("arena", place.stage, self._slot(place.offset))
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

    def _slot(self, value: Any) -> int:
        """A number as it is, a length as -1 - its slot in the plan's table."""
        return value if isinstance(value, int) else -1 - self.layout.value(value)

    def subscript(
        self, buffer: Node, index: Sequence[Node], flat: bool = False, view: str | None = None
    ) -> tuple[str, str]:
        """(pointer, subscript) of an element; what does not vary with the loops is computed once."""
        place = self.schedule.buffers.get(buffer)
        if flat:
            position: Any = index[0]
        elif place is None:
            position = self._linear([self.graph.find(n) for n in buffer.dims], index)
        else:
            base = self.root(place)
            position = self._linear(base.lengths(self.graph), [index[a] for a in base.axes])
        fixed, moving = self.split(self.graph.as_index(position))
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

    # -- loops --------------------------------------------------------------------------------------------------

    def _inside(self, loop: str, note: str = "") -> None:
        """Open a body for everything that varies, behind the statement `loop`, which `_close` prints."""
        self.outer.append((loop, note, self.bodies))
        self.bodies = [self.bodies[0], Body(1)]

    def _close(self) -> None:
        inner = self.bodies[-1]
        loop, note, self.bodies = self.outer.pop()
        self.say(loop, note)
        for line in inner.lines:
            line.indent += 1
        self.body.lines += inner.lines

    def _unflatten(self, name: str, lengths: Sequence[Any], levels: Sequence[int]) -> None:
        """Define the counters of loops that run together as one with counter `name`."""
        if len(levels) == 1:
            self.counters[levels[0]] = name
            return
        texts = [self._text(n) for n in lengths]
        for k, level in enumerate(levels):
            counter = self.counters[level] = self.names.counter(level)
            behind = " * ".join(texts[k + 1 :])
            code = name if not behind else f"{name} // ({behind})" if k + 2 < len(levels) else f"{name} // {behind}"
            self.say(f"{counter} = {code}" + (f" % {texts[k]}" if k else ""))

    def _lengths(self, item: Item, levels: Sequence[int]) -> list[Any]:
        return [self.graph.find(item.loops[k]) for k in levels]

    def _print_once(self, block: Block) -> None:
        self._inside("if thread == 0:")
        for item in block.items:
            self.statement(item, 0)
        self._close()

    def _print_flat(self, block: Block) -> None:
        first = block.items[0]
        levels = range(len(first.loops))
        lengths = self._lengths(first, levels)
        total = self._text(dims.product(lengths))
        name = self.names.counter(0) if len(lengths) == 1 else self.names.fresh("e")
        self._inside(f"for {name} in range(thread, {total}, threads):", " x ".join(map(self.explain, lengths)))
        self._unflatten(name, lengths, levels)
        for item in block.items:
            self.statement(item, len(lengths))
        self._close()
        self._spread(block)

    def _print_scatter(self, block: Block) -> None:
        item = block.items[0]
        free = free_levels(item)
        rest = [k for k in range(len(item.loops)) if k not in free]
        lengths = self._lengths(item, free)
        name = self.names.fresh("e")
        self._inside(f"for {name} in range(thread, {self._text(dims.product(lengths))}, threads):")
        if free:
            self._unflatten(name, lengths, free)
        if rest:
            # one after the other: the last of several writes stays, and sums have one order
            inner = self.names.fresh("r")
            behind = self._lengths(item, rest)
            self._inside(f"for {inner} in range({self._text(dims.product(behind))}):", "in order")
            self._unflatten(inner, behind, rest)
        self.statement(item, len(item.loops))
        if rest:
            self._close()
        self._close()
        self._spread(block)

    def _print_rows(self, block: Block) -> None:
        self.blocks([block])
        self._spread(block)

    def _spread(self, block: Block) -> None:
        """Launch a thread for each iteration, as far as the grid reaches."""
        self._launch(self.mapping.count, self.geometry.threads)
        self.own = self.mapping.private * self.geometry.threads

    def _launch(self, count: Any, per_block: int) -> None:
        self.kernel.grid = [(self._slot(count), per_block, self.geometry.blocks)]

    def _print_lanes(self, block: Block) -> None:
        self.blocks([block])
        self._launch(self.mapping.count, 1)
        self.own = self.mapping.private

    def _rows(self, block: Block) -> str:
        """A loop that threads divide."""
        length = super()._rows(block)
        if block is self.block:
            return f"thread, {length}, threads" if self.mapping.shape == "rows" else f"block, {length}, blocks"
        if self.mapping.shape == "lanes" and block in self.block.body:
            return f"lane, {length}, THREADS"
        return length

    def loop(self, block: Block, level: int) -> None:
        """A loop; where lanes have divided it, a barrier ends it."""
        super().loop(block, level)
        divided = self.mapping.shape == "lanes" and block in self.block.body
        joined = any(item.reduced and min(item.reduced) == 1 for item in block.items if item.kind == "reduce")
        if divided and not joined:
            self.say("cuda.syncthreads()")
        if block is self.block and self.mapping.shape == "lanes" and self._is_private(block):
            self.body.lines.append(Line(1, "cuda.syncthreads()", "before the next row uses the same memory"))

    def _is_private(self, block: Block) -> bool:
        buffers = self.schedule.buffers
        return any(item.kind != "check" and buffers[item.node].place == "private" for item in block.items)

    def _complete(self, item: Item, accumulator: str) -> None:
        """After a reduction's loop: lanes join what each has accumulated."""
        if accumulator and self.mapping.shape == "lanes" and min(item.reduced) == 1:
            accumulator = self._joined(item, accumulator, 1)
        super()._complete(item, accumulator)

    def _deliver(self, item: Item, value: str) -> None:
        """Write a row's value by one lane only."""
        place = self.schedule.buffers[item.node]
        one = self.mapping.shape == "lanes" and len(self.bodies) == 2 and place.place != "register"
        if not one:
            super()._deliver(item, value)
            return
        pointer, subscript = self.subscript_at(item)
        stored = f"uint8({value})" if item.node.dtype == "bool" else value
        self.say("if lane == 0:", "", item.node)
        note = f"{self.buffer_name(item.node)} {self.type_text(item.node)}"
        self.say(f"    {pointer}[{subscript}] = {stored}", note, item.node)
        self.body.names[self.graph.load(item.node, item.target)] = value

    # -- sums ---------------------------------------------------------------------------------------------------

    def _joined(self, item: Item, name: str, width: int) -> str:
        """Join what lanes have accumulated, those `width` apart; returns the joined value's name. It is right in all lanes."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None and item.value is not None
        dtype = item.value.dtype if form.position else item.node.dtype
        function = f"join_{item.node.name}_{dtype}"
        if function not in self.kernel.helpers:
            self.kernel.helpers[function] = self._join_function(item, function, dtype)
        joined = self.names.fresh("joined")
        if form.position:
            self.say(f"{joined}, {joined}_at = {function}({name}, {name}_at, lane, {width})", item.node.name, item.node)
        else:
            self.say(f"{joined} = {function}({name}, lane, {width})", item.node.name, item.node)
        return joined

    def _join_function(self, item: Item, function: str, dtype: str) -> list[Line]:
        """The function that joins what lanes have, `width` apart, in shared memory: halves are laid upon each other."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        mine, other = "memory[lane]", "memory[lane + half]"
        if form.position:
            better = substitute_names(form.combine, {"acc": mine, "x": other})
            worse = substitute_names(form.combine, {"acc": other, "x": mine})
            merge = [
                f"if {better} or (not ({worse}) and at[lane + half] < at[lane]):",
                f"    {mine} = {other}",
                "    at[lane] = at[lane + half]",
            ]
        elif dtype == "bool":
            merge = [f"{mine} = uint8({self.combine(item, f'({mine} != 0)', f'({other} != 0)')})"]
        else:
            merge = [f"{mine} = {self.combine(item, mine, other)}"]
        position = ["at = cuda.shared.array(THREADS, int64)", "at[lane] = position"] if form.position else []
        result = "memory[lane % width]" + (" != 0" if dtype == "bool" else "")
        cell = "uint8" if dtype == "bool" else dtype
        body = [
            f"memory = cuda.shared.array(THREADS, {cell})",
            "memory[lane] = " + ("uint8(value)" if dtype == "bool" else "value"),
            *position,
            "cuda.syncthreads()",
            "half = THREADS // 2",
            "while half >= width:",
            "    if lane < half:",
            *(f"        {line}" for line in merge),
            "    cuda.syncthreads()",
            "    half = half // 2",
            f"result = {result}",
            *(["found = at[lane % width]"] if form.position else []),
            "cuda.syncthreads()",
            "return result, found" if form.position else "return result",
        ]
        arguments = "value, position, lane, width" if form.position else "value, lane, width"
        head = [Line(0, "@helper"), Line(0, f"def {function}({arguments}):", f"{form.combine}, of lanes `width` apart")]
        return [*head, *(Line(1, line) for line in body)]

    def combine(self, item: Item, acc: str, x: str) -> str:
        """`acc OP x`: the order is fixed, the same in every call."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        dtype = item.node.dtype
        text = substitute_names(form.combine, {"acc": acc, "x": x})
        return text if dtype in (*FLOATS, "int64", "bool") else f"{dtype}({text})"

    def _print_sums(self, block: Block) -> None:
        """Each result by one block of threads, or shares of it by several, whose parts `join` puts together."""
        first = block.items[0]
        kept = [k for k in range(len(first.loops)) if k not in first.reduced]
        results, steps = (dims.product(self._lengths(first, levels)) for levels in (kept, first.reduced))
        self.sums = Sums(block.items, kept, list(first.reduced), results, width_of(results, self.geometry), "1")
        shares = shares_of(self.graph, block, self.mapping, self.geometry)
        if isinstance(shares, int) and shares == 1:
            self._sum_up(steps, self._element, self._store_result)
        else:
            self.sums.shares = self._text(shares)
            self._sum_up(steps, self._element, self._store_part)
        tiles = (results + (self.sums.width - 1)) // self.sums.width
        self._launch(tiles * shares, 1)

    def join(self, block: Block) -> None:
        """Print the joining of what the shares of a block of sums have found, in the order of the shares."""
        self.block, self.mapping = block, self.schedule.sharing[block]
        first = block.items[0]
        kept = [k for k in range(len(first.loops)) if k not in first.reduced]
        results = dims.product(self._lengths(first, kept))
        self.sums = Sums(block.items, kept, [], results, width_of(results, self.geometry), "1")
        shares = shares_of(self.graph, block, self.mapping, self.geometry)
        self._sum_up(shares, self._part, self._store_result)
        self._launch((results + (self.sums.width - 1)) // self.sums.width, 1)
        self.kernel.lines += self.bodies[0].lines

    def _sum_up(self, steps: Any, element: Callable[[Item], str], store: Callable[[Item, str], None]) -> None:
        """Loops over results and what each is the sum of; lanes `width` apart work on the same result."""
        sums, width = self.sums, self.sums.width
        count, all_steps = self._text(sums.results), self._text(steps)
        tiles = self._text((sums.results + (width - 1)) // width)
        part, c, begin, end = (self.names.fresh(n) for n in ("part", "c", "begin", "end"))
        sums.counter, sums.count, split = c, count, sums.shares != "1"
        work = sums.shares if tiles == "1" else f"{tiles} * {sums.shares}" if split else tiles
        self._inside(f"for {part} in range(block, {work}, blocks):")
        tile, share = (part, "0") if not split else ("0", part) if tiles == "1" else (f"{part} % {tiles}", "")
        if not share:
            share = self.names.fresh("share")
            self.say(f"{share} = {part} // {tiles}", "which part of the sums")
        sums.share = share
        column = f"lane % {width}" if width > 1 else ""
        start = f"{tile} * {width}" if width > 1 and tile != "0" else "" if tile == "0" else tile
        self.say(f"{c} = {' + '.join(filter(None, (start, column))) or '0'}", "the result that this lane works on")
        inside = f" if {c} < {count} else 0" if width > 1 and not self._whole(sums.results, width) else ""
        row = f"lane // {width}" if width > 1 else "lane"
        if split:
            self.say(f"{begin} = {all_steps} * {share} // {sums.shares} + {row}")
            self.say(f"{end} = {all_steps} * ({share} + 1) // {sums.shares}{inside}")
            row = begin
        elif inside:
            self.say(f"{end} = {all_steps}{inside}")
        else:
            end = all_steps
        self._unflatten(c, self._lengths(sums.items[0], sums.kept), sums.kept)
        names = {item: self._start(item, 0) for item in sums.items}
        step = self.names.fresh("e")
        sums.step = step
        self._inside(f"for {step} in range({row}, {end}, {'THREADS' if width == 1 else f'THREADS // {width}'}):")
        if sums.reduced:
            self._unflatten(step, self._lengths(sums.items[0], sums.reduced), sums.reduced)
        for item in sums.items:
            self._add(item, names[item], element(item))
        self._close()
        for item in sums.items:
            store(item, self._joined(item, names[item], width))
        self._close()

    def _start(self, item: Item, level: int) -> str:
        """As for a loop of one thread; sums of a grid always accumulate in a register."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None and item.value is not None
        if self.mapping.shape != "sums":
            return super()._start(item, level)
        name = self.names.fresh(None, "acc")
        start = self._start_value(form.start, item.value.dtype if form.position else item.node.dtype)
        self.say(f"{name} = {start}", f"{item.node.name} {self.type_text(item.node)}", item.node)
        if form.position:
            self.say(f"{name}_at = 0", f"position of {name}", item.node)
        return name

    def _add(self, item: Item, name: str, x: str) -> None:
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        if form.position:
            self._position(item, name, x)
        else:
            self.say(f"{name} = {self.combine(item, name, x)}", item.node.name, item.node)

    def _element(self, item: Item) -> str:
        assert item.value is not None
        form = item.node.op.reduce if item.node.op else None
        x = self.value(item.value)
        return x if form is not None and form.position else convert(x, item.value.dtype, item.node.dtype)

    def _part_of(self, item: Item) -> tuple[str, str]:
        """The memory of a sum's parts, and the dtype of its elements."""
        dtype = "uint8" if item.node.dtype == "bool" else item.node.dtype
        name = self.kernel.parameter(("part", item), None, "part", f"{dtype}*", ("part", item))
        return name, dtype

    def _part(self, item: Item) -> str:
        name, _ = self._part_of(item)
        one = self.sums.count == "1"
        text = f"{name}[{self.sums.step}]" if one else f"{name}[{self.sums.step} * {self.sums.count} + {self.sums.counter}]"
        return f"({text} != 0)" if item.node.dtype == "bool" else text

    @staticmethod
    def _whole(results: Any, width: int) -> bool:
        """Whether every lane has a result."""
        return isinstance(results, int) and results % width == 0

    def _own_lanes(self) -> str:
        width, c, count = self.sums.width, self.sums.counter, self.sums.count
        first = "lane == 0" if width == 1 else f"lane < {width}"
        return f"if {first}:" if width == 1 or self._whole(self.sums.results, width) else f"if {first} and {c} < {count}:"

    def _store_part(self, item: Item, value: str) -> None:
        name, _ = self._part_of(item)
        stored = f"uint8({value})" if item.node.dtype == "bool" else value
        self.say(self._own_lanes())
        at = self.sums.share if self.sums.count == "1" else f"{self.sums.share} * {self.sums.count} + {self.sums.counter}"
        self.say(f"    {name}[{at}] = {stored}", f"part of {item.node.name} {self.type_text(item.node)}", item.node)

    def _store_result(self, item: Item, value: str) -> None:
        form = item.node.op.reduce if item.node.op else None
        value = f"{value}_at" if form is not None and form.position else value
        pointer, subscript = self.subscript_at(item)
        stored = f"uint8({value})" if item.node.dtype == "bool" else value
        self.say(self._own_lanes(), "", item.node)
        note = f"{self.buffer_name(item.node)} {self.type_text(item.node)}"
        self.say(f"    {pointer}[{subscript}] = {stored}", note, item.node)

    # -- calls --------------------------------------------------------------------------------------------------

    def _print_product(self, block: Block) -> None:
        """A product: by a function of `kernels/cuda/products.py`, or, of a stack of matrices, by one thread per element."""
        item = block.items[0]
        choice = choose_product(self.graph, item, self.geometry)
        if choice is None:
            self._print_stack(item)
            return
        name = self.kernel.make(choice.maker, f'{choice.maker}("{item.node.dtype}", {choice.options})')
        self.imports.add(f"cuda.products.{choice.maker}")
        target, begin = self._whole_of(item.node, 0)
        operands = [self._whole_of(v.buffer, v.offset) for v in item.views]
        pointers = [self._advanced(*place) for place in ((target, begin), *operands)]
        alpha, beta = (self.value(v) for v in item.factors) if item.factors else (literal(1, item.node.dtype), literal(0, item.node.dtype))
        numbers = ", ".join(self._text(self.graph.find(n)) for n in choice.numbers)
        note = f"{self.buffer_name(item.node)} {self.type_text(item.node)}"
        self.say(f"{name}({', '.join(pointers)}, {numbers}, {alpha}, {beta})", note, item.node)
        self.kernel.grid = [(self._slot(n), per_block, 1 << 30) for n, per_block in choice.grid]
        self.kernel.threads = choice.threads

    def _whole_of(self, buffer: Node, offset: Any) -> tuple[str, str]:
        """(parameter, start) of an operand whose first element is `offset` elements into a buffer."""
        pointer, start = self.base(buffer)
        return pointer, self._begin(buffer, start, offset, None)

    def _advanced(self, pointer: str, start: str) -> str:
        if not start:
            return pointer
        self.imports.add("cuda.pointers.advance")
        return f"advance({pointer}, {start})"

    def _print_stack(self, item: Item) -> None:
        """A product by one thread per element."""
        node, (left, right) = item.node, item.views
        lengths = [self.graph.find(n) for n in node.dims]
        e, k = self.names.fresh("e"), self.names.fresh("k")
        self._inside(f"for {e} in range(thread, {self._text(dims.product(lengths))}, threads):")
        self._unflatten(e, lengths, range(len(lengths)))
        index = [self.graph.loop(level) for level in range(len(lengths))]
        inner = self.graph.loop(len(lengths))
        self.counters[len(lengths)] = k
        acc = self.names.fresh("acc")
        self.say(f"{acc} = {literal(0, node.dtype)}")
        self._inside(f"for {k} in range({self._text(left.lengths[-1])}):")
        texts = []
        for view, place in ((left, [*index[:-1], inner]), (right, [*index[:-2], inner, index[-1]])):
            pointer, subscript = self.subscript(view.buffer, [self.graph.as_index(view.flat(place))], True)
            texts.append(f"{pointer}[{subscript}]")
        self.say(f"{acc} = {acc} + {texts[0]} * {texts[1]}", node.name, node)
        self._close()
        pointer, subscript = self.subscript(node, index)
        result = acc
        if item.factors:
            alpha, beta = (self.value(v) for v in item.factors)
            result = f"{beta} * {pointer}[{subscript}] + {alpha} * {acc}"
        self.say(f"{pointer}[{subscript}] = {result}", f"{self.buffer_name(node)} {self.type_text(node)}", node)
        self._close()
        self._launch(dims.product(lengths), self.geometry.threads)

    def _print_kernel(self, block: Block) -> None:
        """A named kernel by one thread."""
        item = block.items[0]
        node = item.node
        assert node.op is not None and node.op.kernel is not None
        name: str = node.op.kernel.function
        arguments = [self.base(node)[0], *(self.base(v.buffer)[0] for v in item.views)]
        arguments += [self._text(n) for n in item.sizes]
        self._inside("if thread == 0:")
        note = f"{self.buffer_name(node)} {self.type_text(node)}"
        self.say(f"{name.rsplit('.', 1)[1]}({', '.join(arguments)})", note, node)
        self._close()
        self.kernel.imports.add(name)

    def _check(self, item: Item, level: int) -> None:
        """An index that is out of range is reported, and the first element taken in its place; later kernels do nothing
        then."""
        assert item.value is not None
        value = self.value(item.value)
        limit = self._text(item.bound)
        code = self.layout.fail_code(item)
        status = self.kernel.parameter("status", "status", "p", "int64*", ("status",))
        safe = self.names.fresh("index")
        self.say(f"{safe} = {value}", f"index in range of {item.node.name}", item.node)
        self.say(f"if {value} < -{limit} or {value} >= {limit}:")
        self.say(f"    {status}[{len(self.words) * STATUS_ROW}] = 1", "later kernels do nothing")
        step = f"{self._arguments()}[{len(self.schedule.arguments)}]"
        self.say(f"    {status}[{len(self.words) * STATUS_ROW + 1} + {step}] = 1", "in this step of a sweep")
        self.words.append(code)
        self.say(f"    {safe} = 0")
        self.body.names[item.value] = safe

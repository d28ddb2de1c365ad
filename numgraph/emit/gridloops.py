"""Prints loops that the threads of a grid divide among them, except for those of sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph import dims
from numgraph.emit.grid import FLAGS, STEPS
from numgraph.emit.gridmemory import GridMemory
from numgraph.emit.statements import Body, substitute_code
from numgraph.emit.writer import Line
from numgraph.schedule.arrange import Arranger, Block
from numgraph.schedule.grid import Mapping, free_levels
from numgraph.schedule.items import Item


class GridLoops(GridMemory):
    """Prints the mappings "once", "flat", "scatter", "rows" and "lanes", see `schedule.grid`; and index checks."""

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
        # also what does not vary is read by this thread only: it may be what the thread then writes
        outer, self.bodies = self.bodies, [Body(0)]
        self.body.names |= outer[0].names
        for item in block.items:
            self.statement(item, 0)
        (inner,) = self.bodies
        self.bodies = outer
        self.say("if thread == 0:")
        indent = 1
        for number, line in enumerate(inner.lines):
            if number in self.left_out:
                self.body.lines.append(Line(indent, "else:"))
                indent += 1
            self.body.lines.append(Line(line.indent + indent, line.code, line.comment, line.lines))

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
        self.kernel.grid = [(self.layout.number(count), per_block, self.geometry.blocks)]

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
        code, note = self.stored(item, value)
        if place.place == "shared":
            self.say("cuda.syncthreads()", "all lanes have read the old value")
        self.say("if lane == 0:", "", item.node)
        self.say(f"    {code}", note, item.node)
        own = self.graph.load(item.node, item.target)
        self.body.names[own] = value
        if any(load.inputs[0] is item.node and load is not own for other in self.block.items for load in other.loads):
            self.say("cuda.syncthreads()", "other lanes read it through an index")

    def _joined(self, item: Item, name: str, width: int) -> str:
        """Join what lanes have accumulated, those `width` apart; returns the joined value's name. It is right in all
        lanes."""
        form = item.node.op.reduce if item.node.op else None
        assert form is not None and item.value is not None
        dtype = item.value.dtype if form.position else item.node.dtype
        function = f"join_{item.node.name}_{dtype}"
        if function not in self.kernel.helpers:
            self.kernel.helpers[function] = self._join_function(item, function, dtype)
        joined = self.names.fresh("joined", partner="_at" if form.position else "")
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
            better = substitute_code(form.combine, {"acc": mine, "x": other})
            worse = substitute_code(form.combine, {"acc": other, "x": mine})
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
        return self.combine_in_order(item, acc, x)

    def find(self, item: Item) -> None:
        """Print the search for the first index that a check refuses, by one thread: for the message."""
        self.mapping = Mapping("find", 1, None)
        (self.block,) = Arranger(self.graph, [item], {}).arrange([item])
        self.blocks([self.block])
        self.kernel.lines += self.bodies[0].lines

    def _report(self, item: Item, value: str, limit: str) -> None:
        found = self.kernel.parameter("found", "found", "p", "int64*", ("found",))
        self.say(f"if {found}[0] == 0 and ({value} < -{limit} or {value} >= {limit}):", "the first", item.node)
        for place, text in enumerate(("1", value, limit)):
            self.say(f"    {found}[{place}] = {text}")

    def statement(self, item: Item, level: int) -> None:
        """Print what an item does in the innermost of its loops, behind the checks of its indices."""
        for check in item.checks:
            # those of other blocks came first, and where one has failed nothing came after them
            if check in self.block.items and check.value in item.scalars:
                self._guard(check)
        super().statement(item, level)

    def _check(self, item: Item, level: int) -> None:
        if self.mapping.shape == "find":
            assert item.value is not None
            self._report(item, self.value(item.value), self._text(item.bound))
        else:
            self._guard(item)

    def _guard(self, check: Item) -> None:
        """An index that is out of range is reported, and what would use it left out; later kernels do nothing then."""
        if any(check in body.guarded for body in self.bodies):
            return
        assert check.value is not None
        value, limit = self.value(check.value), self._text(check.bound)
        once = self.mapping.shape == "once"
        level = 0 if once else min(max(1, check.value.depth), len(self.bodies) - 1)
        body = self.bodies[level]
        body.guarded.add(check)
        status = self.kernel.parameter("status", "status", "p", "int64*", ("status",))
        word = self._word(check)
        note = f"index in range of {check.node.name}"
        self.say(f"if {value} < -{limit} or {value} >= {limit}:", note, check.node, level)
        self.say(f"    {status}[{word}] = 1", "later kernels do nothing", None, level)
        step = f"{self._arguments()}[{len(self.schedule.arguments)}]"
        self.say(f"    {status}[{FLAGS + word * STEPS} + {step}] = 1", "in this step of a sweep", None, level)
        if once:
            self.left_out.append(len(body.lines))
            return
        if level == 1 and self.mapping.shape == "lanes":
            self.say("    cuda.syncthreads()", "all lanes have found it", None, level)
        self.say("    continue", "", None, level)

    def _word(self, check: Item) -> int:
        """The word of the status for a check."""
        if check not in self.word_of:
            assert len(self.words) < FLAGS, f"more than {FLAGS} index checks in one function"
            self.word_of[check] = len(self.words)
            self.words.append(self.layout.fail_code(check))
        return self.word_of[check]

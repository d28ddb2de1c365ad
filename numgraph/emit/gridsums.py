"""Prints sums over the outermost loop, by all threads of a block or of several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numgraph import dims
from numgraph.emit.grid import Geometry
from numgraph.emit.gridloops import GridLoops
from numgraph.emit.scalar import convert
from numgraph.ir import Graph
from numgraph.schedule.arrange import Block
from numgraph.schedule.bounds import full_length
from numgraph.schedule.grid import Mapping
from numgraph.schedule.items import Item


@dataclass
class Sums:
    """What `_sum_up` prints: which loops give results and which are summed over. width: lanes side by side that work on
    different results; shares: how many blocks of threads work on one, as text."""

    items: list[Item]
    kept: tuple[int, ...]
    reduced: tuple[int, ...]
    results: Any
    width: int
    shares: str
    counter: str = ""
    share: str = "0"
    count: str = ""
    step: str = ""

    @property
    def tiles(self) -> Any:
        """Blocks of threads for all results, each once."""
        return (self.results + (self.width - 1)) // self.width


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
    kept = [full_length(graph, first.loops[k]) for k in first.kept]
    width = width_of(dims.product([n for n in kept if n is not None]), geometry) if None not in kept else 32
    steps: Any = 1
    for k in first.reduced:
        known = full_length(graph, first.loops[k])
        steps = steps * (graph.find(first.loops[k]) if known is None else known)
    return dims.maximum(dims.minimum(steps * width // geometry.part, geometry.shares), 1)


class GridSums(GridLoops):
    """Prints the mapping "sums"."""

    sums: Sums

    def _print_sums(self, block: Block) -> None:
        """Each result by one block of threads, or shares of it by several, whose parts `join` puts together."""
        shares = self._begin_sums(block, block.items[0].reduced)
        steps = dims.product(self._lengths(block.items[0], self.sums.reduced))
        if isinstance(shares, int) and shares == 1:
            self._sum_up(steps, self._element, self._store_result)
        else:
            self.sums.shares = self._text(shares)
            self._sum_up(steps, self._element, self._store_part)
        self._launch(self.sums.tiles * shares, 1)

    def join(self, block: Block) -> None:
        """Print the joining of what the shares of a block of sums have found, in the order of the shares."""
        self.block, self.mapping = block, self.schedule.sharing[block]
        self.kernel.shapes.append("joins")
        self._sum_up(self._begin_sums(block, ()), self._part, self._store_result)
        self._launch(self.sums.tiles, 1)
        self.kernel.lines += self.bodies[0].lines

    def _begin_sums(self, block: Block, reduced: tuple[int, ...]) -> Any:
        """Say what is summed up, over loops `reduced`; returns how many blocks of threads share in each sum."""
        first = block.items[0]
        results = dims.product(self._lengths(first, first.kept))
        self.sums = Sums(block.items, first.kept, reduced, results, width_of(results, self.geometry), "1")
        return shares_of(self.graph, block, self.mapping, self.geometry)

    def _sum_up(self, steps: Any, element: Callable[[Item], str], store: Callable[[Item, str], None]) -> None:
        """Loops over results and what each is the sum of; lanes `width` apart work on the same result."""
        sums, width = self.sums, self.sums.width
        count, all_steps = self._text(sums.results), self._text(steps)
        tiles = self._text(sums.tiles)
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

    def _tail(self, item: Item) -> bool:
        """Sums of a grid always accumulate in a register."""
        return self.mapping.shape == "sums" or super()._tail(item)

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

    def _part_of(self, item: Item, share: str) -> str:
        """A share's part of the present result."""
        dtype = "uint8" if item.node.dtype == "bool" else item.node.dtype
        name = self.kernel.parameter(("part", item), None, "part", f"{dtype}*", ("part", item))
        count = self.sums.count
        return f"{name}[{share if count == '1' else f'{share} * {count} + {self.sums.counter}'}]"

    def _part(self, item: Item) -> str:
        text = self._part_of(item, self.sums.step)
        return f"({text} != 0)" if item.node.dtype == "bool" else text

    @staticmethod
    def _whole(results: Any, width: int) -> bool:
        """Whether every lane has a result."""
        return isinstance(results, int) and results % width == 0

    def _own_lanes(self) -> str:
        width, c, count = self.sums.width, self.sums.counter, self.sums.count
        first = "lane == 0" if width == 1 else f"lane < {width}"
        every = width == 1 or self._whole(self.sums.results, width)
        return f"if {first}:" if every else f"if {first} and {c} < {count}:"

    def _store_part(self, item: Item, value: str) -> None:
        stored = f"uint8({value})" if item.node.dtype == "bool" else value
        part = self._part_of(item, self.sums.share)
        self.say(self._own_lanes())
        self.say(f"    {part} = {stored}", f"part of {item.node.name} {self.type_text(item.node)}", item.node)

    def _store_result(self, item: Item, value: str) -> None:
        form = item.node.op.reduce if item.node.op else None
        value = f"{value}_at" if form is not None and form.position else value
        code, note = self.stored(item, value)
        self.say(self._own_lanes(), "", item.node)
        self.say(f"    {code}", note, item.node)

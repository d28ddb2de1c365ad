"""Sums over the outermost loop, by all threads of a block or of several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numgraph import dims
from numgraph.emit.function import position_of
from numgraph.emit.grid import Geometry
from numgraph.emit.gridloops import BLOCK, BLOCKS, LANE, LANES, GridLoops
from numgraph.emit.memory import as_read
from numgraph.ir import Graph
from numgraph.loops.program import Choice, Expression, If, Load, Logic, Name, Number
from numgraph.loops.scalar import convert
from numgraph.schedule.arrange import Block
from numgraph.schedule.bounds import full_length
from numgraph.schedule.grid import Mapping
from numgraph.schedule.items import Item

ZERO, ONE = Number(0), Number(1)


@dataclass
class Sums:
    """What `_sum_up` makes: which loops give results and which are summed over. width: lanes side by side that work on
    different results; shares: how many blocks of threads work on one. counter: which result it is, of `count`; share:
    which part of it; step: which of what is summed up."""

    items: list[Item]
    kept: tuple[int, ...]
    reduced: tuple[int, ...]
    results: Any
    width: int
    shares: Expression = ONE
    counter: Name = LANE
    share: Expression = ZERO
    count: Expression = ONE
    step: Name = LANE

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
    """Makes the mapping "sums"."""

    sums: Sums

    def _print_sums(self, block: Block) -> None:
        """Each result by one block of threads, or shares of it by several, whose parts `join` puts together."""
        shares = self._begin_sums(block, block.items[0].reduced)
        steps = dims.product(self._lengths(block.items[0], self.sums.reduced))
        if isinstance(shares, int) and shares == 1:
            self._sum_up(steps, self._element, self._store_result)
        else:
            self.sums.shares = self.length(shares)
            self._sum_up(steps, self._element, self._store_part)
        self._launch(self.sums.tiles * shares, 1)

    def join(self, block: Block) -> None:
        """Add the joining of what the shares of a block of sums have found, in the order of the shares."""
        self.block, self.mapping = block, self.schedule.sharing[block]
        self.kernel.shapes.append("joins")
        self._sum_up(self._begin_sums(block, ()), self._part, self._store_result)
        self._launch(self.sums.tiles, 1)
        self.kernel.statements += self.bodies[0].statements

    def _begin_sums(self, block: Block, reduced: tuple[int, ...]) -> Any:
        """Say what is summed up, over loops `reduced`; returns how many blocks of threads share in each sum."""
        first = block.items[0]
        results = dims.product(self._lengths(first, first.kept))
        self.sums = Sums(block.items, first.kept, reduced, results, width_of(results, self.geometry))
        return shares_of(self.graph, block, self.mapping, self.geometry)

    def _sum_up(self, steps: Any, element: Callable[[Item], Expression], store: Callable[[Item, Name], None]) -> None:
        """Loops over results and what each is the sum of; lanes `width` apart work on the same result."""
        sums, width = self.sums, self.sums.width
        count, all_steps, tiles = self.length(sums.results), self.length(steps), self.length(sums.tiles)
        part, c, begin, end = (Name(self.names.fresh(n)) for n in ("part", "c", "begin", "end"))
        sums.counter, sums.count, split = c, count, sums.shares != ONE
        self._inside_loop(part, BLOCK, sums.shares if tiles == ONE else tiles * sums.shares if split else tiles, BLOCKS)
        tile = self._tile(part, tiles, split)
        self.assign(c, self._result(tile), "the result that this lane works on")
        inside = width > 1 and not self._whole(sums.results, width)
        row: Expression = LANE // width if width > 1 else LANE
        if split:
            row = self.assign(begin, all_steps * sums.share // sums.shares + row)
            all_steps = all_steps * (sums.share + 1) // sums.shares
        if inside:
            all_steps = Choice(c.compared("<", count), all_steps, ZERO)
        last = self.assign(end, all_steps) if split or inside else all_steps
        self._unflatten(c, self._lengths(sums.items[0], sums.kept), sums.kept)
        names = {item: self._start(item, 0) for item in sums.items}
        sums.step = Name(self.names.fresh("e"))
        self._inside_loop(sums.step, row, last, LANES if width == 1 else LANES // width)
        if sums.reduced:
            self._unflatten(sums.step, self._lengths(sums.items[0], sums.reduced), sums.reduced)
        for item, name in names.items():
            assert name is not None
            self._add(item, name, element(item))
        self._close()
        for item, name in names.items():
            assert name is not None
            store(item, self._joined(item, name, width))
        self._close()

    def _tile(self, part: Name, tiles: Expression, split: bool) -> Expression:
        """Which results a part of the work is about; the share of them is kept."""
        if not split:
            self.sums.share = ZERO
            return part
        if tiles == ONE:
            self.sums.share = part
            return ZERO
        share = self.names.fresh("share")
        self.sums.share = self.assign(share, part // tiles, "which part of the sums")
        return part % tiles

    def _result(self, tile: Expression) -> Expression:
        """The result that a lane works on."""
        width = self.sums.width
        if width == 1:
            return tile
        return LANE % width if tile == ZERO else tile * width + LANE % width

    def _tail(self, item: Item) -> bool:
        """Sums of a grid always accumulate in a register."""
        return self.mapping.shape == "sums" or super()._tail(item)

    def _add(self, item: Item, name: Name, x: Expression) -> None:
        form = item.node.op.reduce if item.node.op else None
        assert form is not None
        if form.position:
            self._position(item, name, x)
        else:
            self.assign(name, self.combine(item, name, x), item.node.name, item.node)

    def _element(self, item: Item) -> Expression:
        assert item.value is not None
        form = item.node.op.reduce if item.node.op else None
        x = self.value(item.value)
        return x if form is not None and form.position else convert(x, item.value.dtype, item.node.dtype)

    def _part_of(self, item: Item, share: Expression) -> Load:
        """A share's part of the present result."""
        dtype = "uint8" if item.node.dtype == "bool" else item.node.dtype
        pointer = self.kernel.parameter(("part", item), None, "part", f"{dtype}*", ("part", item))
        sums = self.sums
        return Load(pointer, share if sums.count == ONE else share * sums.count + sums.counter)

    def _part(self, item: Item) -> Expression:
        return as_read(self._part_of(item, self.sums.step), item.node.dtype)

    @staticmethod
    def _whole(results: Any, width: int) -> bool:
        """Whether every lane has a result."""
        return isinstance(results, int) and results % width == 0

    def _own_lanes(self) -> Expression:
        """Whether a lane is one of those that write results."""
        sums = self.sums
        first = LANE.compared("==", 0) if sums.width == 1 else LANE.compared("<", sums.width)
        if sums.width == 1 or self._whole(sums.results, sums.width):
            return first
        return Logic("and", (first, sums.counter.compared("<", sums.count)))

    def _store_part(self, item: Item, value: Name) -> None:
        stored = self.store(self._part_of(item, self.sums.share), value, item, f"part of {item.node.name}")
        self.add(If(self._own_lanes(), (stored,)))

    def _store_result(self, item: Item, value: Name) -> None:
        form = item.node.op.reduce if item.node.op else None
        found = position_of(value) if form is not None and form.position else value
        self.add(If(self._own_lanes(), (self.stored(item, found),), **self.origin(item.node)))

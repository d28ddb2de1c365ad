"""Four elements for each thread: what adjoins in memory is read and written 16 bytes at a time.

What a loop does for an element becomes a function, which is called for each of four; and for one after the other where
memory does not begin at a multiple of 16 bytes, or at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numgraph.lengths import dims
from numgraph.loops.grid.kernel import THREAD, THREADS
from numgraph.loops.grid.nests import Work
from numgraph.loops.program import (
    Assign,
    Binary,
    Call,
    Choice,
    Do,
    Expression,
    For,
    Function,
    Load,
    Logic,
    Name,
    Number,
    Return,
    Several,
    Statement,
    Store,
    rebuilt,
    walk,
)
from numgraph.types import COMPLEX

WIDTH = 4
# What the operations of an element may cost, at most: beyond, memory waits for them, and they are there five times.
COST = 80
# Loops with fewer rounds than this for each thread of a block stay as they are.
ROUNDS = 4
# Names that functions of a module have besides their arguments.
CONSTANTS = frozenset({"THREADS", "WARP", "FULL"})
# Where memory comes from that always begins at a multiple of 16 bytes.
ALIGNED = frozenset({"arena", "output", "fresh", "array", "part"})


@dataclass(frozen=True)
class Place:
    """Adjoining elements: `counter` counts them, from element `begin` on."""

    pointer: Name
    counter: Name
    begin: Expression | None = None


@dataclass
class Each:
    """What a loop does for an element, as a function. reads: its arguments that adjoin in memory; writes: what it
    returns, and where that goes. before: statements that are the same for four elements."""

    before: list[Statement] = field(default_factory=list)
    body: list[Statement] = field(default_factory=list)
    reads: dict[Place, Name] = field(default_factory=dict)
    writes: dict[Place, Expression] = field(default_factory=dict)


class NotAdjoining(Exception):
    """Why a loop cannot take four elements at a time."""


def flat(work: Work) -> None:
    """An iteration of all loops together per thread, or four."""
    values, first = work.values, work.nest.tasks[0]
    levels = range(len(first.loops))
    lengths = work.lengths(first, levels)
    total = dims.product(lengths)
    counter = Name(values.names.counter(0)) if len(lengths) == 1 else work.name("e")
    note = " x ".join(map(values.notes.length, lengths))
    with work.loop(counter, THREAD, values.whole(total), THREADS, note=note):
        work.unflatten(counter, lengths, levels)
        for task in work.nest.tasks:
            work.builder.task(task)
    work.spread()
    loop = values.statements.pop()
    assert isinstance(loop, For)
    fours = in_fours(work, loop, total, lengths[-1])
    values.statements.extend([loop] if fours is None else fours)
    if fours is not None:
        work.launch(work.mapping.count, work.geometry.threads * WIDTH)


def in_fours(work: Work, loop: For, total: Any, inner: Any) -> list[Statement] | None:
    """The loops that stand for one over `total` elements, whose innermost axis has length `inner`; None where it stays
    as it is."""
    few = isinstance(total, int) and total < WIDTH * ROUNDS * work.geometry.threads
    if few or sum(v.op.cost for v in work.nest.scalars if v.op is not None) > COST:
        return None
    try:
        made = Fours(work, loop, isinstance(inner, int) and inner % WIDTH == 0)
    except NotAdjoining:
        return None
    return made.loops(total)


class Fours:
    """Makes the loops. whole_rows: whether four elements are never in two rows."""

    def __init__(self, work: Work, loop: For, whole_rows: bool) -> None:
        self.work, self.values, self.loop = work, work.values, loop
        last = max(self.values.counters)
        self.moving = [loop.counter]
        if whole_rows and self.values.counters[last] != loop.counter:
            self.moving.append(self.values.counters[last])
        self.each = Each()
        for statement in loop.body:
            self._sort(statement, len(self.moving) > 1)
        if not self.each.writes:
            raise NotAdjoining
        self.function = self._function()

    def _sort(self, statement: Statement, whole_rows: bool) -> None:
        """Find the place of a statement of the loop's body."""
        each = self.each
        if isinstance(statement, Assign) and isinstance(statement.target, Name):
            target = statement.target
            if target.text in self.work.loose:
                if not whole_rows:
                    # four elements have as many counters
                    raise NotAdjoining
                each.before.append(statement)
                return
            place = self._place(statement.value) if isinstance(statement.value, Load) else None
            if place is not None and place not in each.reads:
                self._unwritten(place.pointer)
                each.reads[place] = target
                return
            value = self._read(statement.value)
            each.body.append(Assign(target, value, note=statement.note, node=statement.node, lines=statement.lines))
        elif isinstance(statement, Store):
            place = self._place(Load(statement.pointer, statement.index))
            if place is None or place in each.writes:
                raise NotAdjoining
            value = self._read(statement.value)
            if any(read.pointer == place.pointer and read != place for read in each.reads):
                raise NotAdjoining
            name = Name(self.values.names.fresh(None), value.dtype)
            each.body.append(Assign(name, value, note=statement.note, node=statement.node, lines=statement.lines))
            each.writes[place] = name
        else:
            raise NotAdjoining

    def _place(self, load: Load) -> Place | None:
        """Where adjoining elements are; None for any other element."""
        index, pointer = load.index, load.pointer
        begin = None
        if isinstance(index, Binary) and index.sign == "+":
            begin, index = index.left, index.right
        if index not in self.moving or not isinstance(pointer, Name) or not isinstance(index, Name):
            return None
        if load.dtype in COMPLEX or (begin is not None and self._varies(begin)):
            return None
        return Place(pointer, index, begin)

    def _varies(self, expression: Expression) -> bool:
        made = {n.text for s in self.loop.body for n in walk([s]) if isinstance(s, Assign) and n == s.target}
        names = {node.text for node in walk([expression]) if isinstance(node, Name)}
        return bool(names & (made | {self.loop.counter.text})) or any(isinstance(n, Load) for n in walk([expression]))

    def _read(self, value: Expression) -> Expression:
        """An expression in which names stand for what adjoins in memory."""

        def change(node: Any) -> Any:
            if not isinstance(node, Load):
                return node
            self._unwritten(node.pointer)
            place = self._place(node)
            if place is None:
                return node
            if place not in self.each.reads:
                self.each.reads[place] = Name(self.values.names.fresh(None, "v"), node.dtype)
            return self.each.reads[place]

        found: Expression = rebuilt(value, change)
        return found

    def _unwritten(self, pointer: Expression) -> None:
        """Elements that are written are not read behind that."""
        if any(place.pointer == pointer for place in self.each.writes):
            raise NotAdjoining

    # -- the function -------------------------------------------------------------------------------------------

    def _function(self) -> Function:
        """The function of an element: first what adjoins, then counters, then what is the same for all."""
        each, kernel = self.each, self.work.kernel
        written = {place.pointer for place in each.writes}
        if any(isinstance(n, Load) and n.pointer in written for s in each.body for n in walk([s])):
            raise NotAdjoining
        made = {s.target for s in each.body if isinstance(s, Assign)}
        read = tuple(each.reads.values())
        # names with a dot are of modules
        used = {n: None for s in each.body for n in walk([s]) if isinstance(n, Name) and "." not in n.text}
        free = [n for n in used if n not in made and n not in read and n.text not in CONSTANTS]
        self.moved = [n for n in free if n in self.moving]
        self.same = [n for n in free if n not in self.moving]
        results = tuple(each.writes.values())
        end = Return(results[0] if len(results) == 1 else Several(results))
        name = f"each_{kernel.name.rpartition('_')[2]}_{len(kernel.helpers)}"
        function = Function(name, (*read, *self.moved, *self.same), (*each.body, end), "helper", "for each element")
        kernel.helpers[name] = function
        return function

    # -- the loops ----------------------------------------------------------------------------------------------

    def loops(self, total: Any) -> list[Statement]:
        """The loop over four elements at a time, and that over the others."""
        values, kernel, counter = self.values, self.work.kernel, self.loop.counter
        all_of, end = values.whole(total), values.whole(total // WIDTH * WIDTH)
        conditions = self._conditions()
        if conditions:
            condition = conditions[0] if len(conditions) == 1 else Logic("and", tuple(conditions))
            end = values.assign(self.work.name("end"), Choice(condition, end, Number(0)), "elements in fours")
            kernel.imports.add("cuda.pointers.aligned")
        kernel.imports |= {f"cuda.registers.{name}" for name in ("load4", "store4")}
        bounds = (THREAD * WIDTH, end, THREADS * WIDTH)
        found: list[Statement] = [For(counter, bounds, tuple(self._four()), note=f"{self.loop.note}, four at a time")]
        if end != all_of:
            start = THREAD if end == Number(0) else end + THREAD
            found.append(For(counter, (start, all_of, THREADS), tuple(self._one()), note="the others"))
        return found

    def _conditions(self) -> list[Expression]:
        """What has to hold for memory to be read in fours."""
        sources = {p.name: p.source for p in self.work.kernel.parameters.values()}
        found: dict[Expression, None] = {}
        for place in (*self.each.reads, *self.each.writes):
            source = sources[place.pointer.text]
            argument = source[0] == "leaf" and source[1].kind != "shared"
            if place.begin is not None or not (argument or source[0] in ALIGNED):
                found[Call("aligned", (place.pointer, place.begin or Number(0)), "bool")] = None
        return list(found)

    def _four(self) -> Iterable[Statement]:
        """The body for four elements."""
        each, names = self.each, self.values.names
        yield from each.before
        parts: list[tuple[Name, ...]] = []
        for place, value in each.reads.items():
            parts.append(tuple(Name(names.fresh(None, f"{value.text}_"), value.dtype) for _ in range(WIDTH)))
            yield Assign(parts[-1], Call("load4", (place.pointer, _element(place)), "tuple"))
        results: list[list[Name]] = []
        for k in range(WIDTH):
            results.append([Name(names.fresh(None, "r"), value.dtype) for value in each.writes.values()])
            moved = [counter + k if k else counter for counter in self.moved]
            yield self._call(results[-1], [*(part[k] for part in parts), *moved])
        for place, values in zip(each.writes, zip(*results, strict=True), strict=True):
            yield Do(Call("store4", (place.pointer, _element(place), *values)))

    def _one(self) -> Iterable[Statement]:
        """The body for one element."""
        each = self.each
        yield from each.before
        results = [Name(self.values.names.fresh(None, "r"), value.dtype) for value in each.writes.values()]
        yield self._call(results, [*(Load(place.pointer, _element(place)) for place in each.reads), *self.moved])
        for place, value in zip(each.writes, results, strict=True):
            yield Store(place.pointer, _element(place), value)

    def _call(self, results: Sequence[Name], arguments: Sequence[Expression]) -> Statement:
        dtype = results[0].dtype if len(results) == 1 else "tuple"
        call = Call(self.function.name, (*arguments, *self.same), dtype)
        return Assign(results[0] if len(results) == 1 else tuple(results), call)


def _element(place: Place) -> Expression:
    return place.counter if place.begin is None else place.begin + place.counter

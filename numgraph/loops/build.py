"""Loop nests: what the tasks of the schedule do, in loops that run one iteration after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from numgraph.loops.groups import Groups, groups_of
from numgraph.loops.hints import vector_hints
from numgraph.loops.jam import ROWS, bounds_of, jammed, rows_of
from numgraph.loops.neighbours import Run, run_from
from numgraph.loops.pieces import Cutter, Piece
from numgraph.loops.program import (
    REALS,
    TABLE,
    Assign,
    Binary,
    Call,
    Do,
    Expression,
    For,
    If,
    Load,
    Logic,
    Name,
    Number,
    Statement,
    Store,
    Unary,
    fail,
    walk,
)
from numgraph.loops.scalar import convert, formula, number
from numgraph.loops.searches import search, searched
from numgraph.loops.values import Body, Values, as_read, as_stored
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.tasks import Elementwise, IndexCheck, Reduction, Scattering, Task
from numgraph.schedule.work import owner
from numgraph.types import FLOATS, INEXACT

# Accumulations of floats that may go in any order, and the functions that say so to LLVM.
UNORDERED = {
    "acc + x": "add_up", "acc * x": "multiply_up", "maximum(acc, x)": "largest", "minimum(acc, x)": "smallest",
}  # fmt: skip
# Of so many arrays LLVM is told which ones do not overlap: of each pair it would compare the addresses before the loop,
# and beyond a few dozen pairs it makes no loop over vectors.
SEVERAL = 2
Accumulators = dict[Reduction, Name | None]


class Checks(Protocol):
    """What a target does about indices that may be out of range."""

    def check(self, task: IndexCheck) -> None:
        """Add an index check where it stands among the tasks."""

    def before(self, task: Task) -> None:
        """Add what has to come before a task that uses indices."""


class FailingChecks:
    """On the processor: an index that is out of range ends the call."""

    def __init__(self, values: Values) -> None:
        self.values = values

    def before(self, task: Task) -> None:
        """Nothing: the order of the tasks is enough."""

    def check(self, task: IndexCheck) -> None:
        """The end of the call, under a condition."""
        values = self.values
        assert task.value is not None
        value, limit = values.value(task.value), values.whole(task.bound)
        code = values.layout.fail_code(task)
        origin = values.origin(task.node, f"index in range of {task.node.name}")
        values.add(If(outside(value, limit), (fail(value, limit, code),), **origin))


class LoopBuilder:
    """Adds loops to a function that is being made. vectors: whether loops are to become vector loops, and sums of
    floats may be in any order for that."""

    def __init__(
        self, values: Values, checks: Callable[[Values], Checks] = FailingChecks, vectors: bool = True
    ) -> None:
        self.values = values
        self.graph = values.graph
        self.schedule = values.schedule
        self.vectors = vectors
        self.cutter = Cutter(values.graph, values.schedule.elements.origin)
        self.checks = checks(values)
        # by level, between what the loops run that do not run along the whole of their axis: they may depend on the
        # counters of loops around them
        self.bounds: dict[int, Callable[[], tuple[Expression, Expression]]] = {}

    # -- loops --------------------------------------------------------------------------------------------------

    def nests(self, nests: Iterable[LoopNest], level: int = 0) -> None:
        """Add nests at a loop level, in order."""
        for nest in nests:
            if nest.length is None:
                for task in nest.tasks:
                    self.task(task)
            else:
                self.loop(nest, level)

    def loop(self, nest: LoopNest, level: int) -> None:
        """One loop: accumulators before it, what is complete after it."""
        accumulators = self.started(nest, level)
        task = searched(self.values, nest, level) if self.vectors else None
        found = accumulators.get(task) if task is not None else None
        if task is not None and found is not None:
            search(self.values, nest, task, level, found, position_of(found))
            self.complete(accumulators)
            return
        for part in self.parts(nest, level, self._run(level, nest.length), accumulators):
            self.values.add(part)
        self.complete(accumulators)

    def _run(self, level: int, length: Any) -> tuple[Expression, ...]:
        """Between what a loop runs: the end, or start and end."""
        return self.bounds[level]() if level in self.bounds else (self.values.whole(length),)

    def started(self, nest: LoopNest, level: int) -> Accumulators:
        """Start the reductions whose first loop this is, and those whose last loops begin here: what these add up goes
        to memory once."""
        accumulators: Accumulators = {}
        for task in nest.reductions:
            first = min(task.reduced, default=-1)
            if level == first and not task.in_register:
                accumulators[task] = None
                self._fill(task, level)
            elif level == task.innermost and (level == first or (first >= 0 and self._any_order(task))):
                accumulators[task] = self.start(task)
        return accumulators

    def parts(
        self, nest: LoopNest, level: int, bounds: Sequence[Expression], accumulators: Accumulators
    ) -> Iterator[For]:
        """The loop, or the loops over its pieces, one behind the other. bounds: the end, or start and end."""
        values, cutter, outer = self.values, self.cutter, self.values.settled
        if not self.vectors:
            yield self.for_loop(nest, level, bounds, accumulators)
            return
        if run := run_from(self.schedule, nest, level, outer):
            yield self.one_loop(run, bounds, 1, accumulators)
            return
        whole = len(bounds) == 1 and isinstance(bounds[0], Number)
        groups = groups_of(self.graph, nest, level, outer, cutter.origin) if whole else None
        if groups:
            yield self.over_groups(groups, nest, level, accumulators)
            return
        if jammed(self.graph, nest, level):
            begin, end = (Number(0) if len(bounds) == 1 else bounds[0]), bounds[-1]
            several, others = bounds_of(begin, end)
            yield self.over_rows(nest, level, several)
            if others:
                yield self.for_loop(nest, level, others, accumulators)
            return
        pieces = cutter.pieces(nest, level, outer)
        room, cutter.room = cutter.room, cutter.room // len(pieces)
        numbers = all(isinstance(n, int) for piece in pieces for n in (piece.begin, piece.end))
        if level and len(pieces) > 1 and not numbers:
            values.add(Do(Call("one_copy", ()), note="of this loop, see kernels.loops"))
        for piece in pieces:
            within = self._within(piece, nest, bounds)
            values.settled = piece.settled
            part = self.for_loop(nest, level, within, accumulators)
            values.settled = outer
            yield part
        cutter.room = room

    def _within(self, piece: Piece, nest: LoopNest, bounds: Sequence[Expression]) -> Sequence[Expression]:
        """The bounds of a piece of a loop between bounds."""
        begin, end = (Number(0) if len(bounds) == 1 else bounds[0]), bounds[-1]
        first = isinstance(piece.begin, int) and piece.begin == 0
        if not first:
            own = self.values.whole(piece.begin)
            begin = own if len(bounds) == 1 else Call("maximum", (begin, own))
        if not self.graph.equal_lengths(piece.end, nest.length):
            own = self.values.whole(piece.end)
            end = own if len(bounds) == 1 else Call("minimum", (end, own))
        return (end,) if first and len(bounds) == 1 else (begin, end)

    def one_loop(self, run: Run, bounds: Sequence[Expression], levels: int, accumulators: Accumulators) -> For:
        """Loops that run as one. bounds: those of the first `levels` of them together."""
        values, outer = self.values, self.values.settled
        each = values.whole(run.inside(levels))
        values.bodies += [Body() for _ in run.lengths[1:]]
        values.settled = run.settled
        rounds = [_times(bound, each) for bound in bounds]
        found = self.for_loop(run.nest, run.innermost, rounds, accumulators, run)
        values.settled = outer
        del values.bodies[1 - len(run.lengths) :]
        return found

    def over_groups(self, groups: Groups, nest: LoopNest, level: int, accumulators: Accumulators) -> For:
        """A loop over groups of its rounds."""
        values, outer, body = self.values, self.values.settled, Body()
        values.bodies.append(body)
        counter = values.counter(level)
        body.accumulators = accumulators
        for settled in groups.members:
            values.settled = settled
            self.nests(nest.body, level + 1)
        values.settled = outer
        values.bodies.pop()
        hints = self._hints(nest, groups.count, counter, body.statements)
        note = f"each of {len(groups.members)}"
        return For(counter, (Number(groups.count),), (*hints, *body.statements), note=note)

    def over_rows(self, nest: LoopNest, level: int, bounds: Sequence[Expression]) -> For:
        """A loop over several rows at a time, which are added up before they go to memory."""
        values, outer, inner = self.values, self.values.settled, nest.body[0]
        counter, around, body = values.counter(level), Body(), Body()
        values.bodies.append(around)
        rows = rows_of(values, level, counter, self.cutter.origin)
        values.bodies.append(body)
        column = values.counter(level + 1)
        for task in inner.tasks:
            assert isinstance(task, Reduction)
            terms = []
            for values.settled in rows:
                terms.append(self.operand(task))
            values.settled = outer
            while len(terms) > 1:
                terms = [self.combine(task, a, b) for a, b in zip(terms[::2], terms[1::2], strict=True)]
            self._into_memory(task, terms[0])
        del values.bodies[-2:]
        hints = self._hints(inner, inner.length, column, body.statements)
        length = (values.whole(inner.length),)
        loop = For(column, length, (*hints, *body.statements), note=values.notes.loop(inner))
        return For(counter, tuple(bounds), (*around.statements, loop), note=f"{ROWS} rows at a time")

    def for_loop(
        self, nest: LoopNest, level: int, bounds: Sequence[Expression], accumulators: Accumulators,
        run: Run | None = None,
    ) -> For:  # fmt: skip
        """The loop itself; what it does not change goes to the bodies around it. run: the loops that it stands for."""
        values = self.values
        inner = Body()
        values.bodies.append(inner)
        counter = values.counter(level, run.level if run else level)
        inner.accumulators = accumulators
        self.nests(nest.body, level + 1)
        values.bodies.pop()
        length, note = (run.inside(0), values.notes.run(run.lengths)) if run else (nest.length, values.notes.loop(nest))
        hints = self._hints(nest, length, counter, inner.statements)
        return For(counter, tuple(bounds), (*hints, *inner.statements), note=note)

    def _hints(self, nest: LoopNest, length: Any, counter: Name, statements: Sequence[Statement]) -> list[Statement]:
        """What LLVM is told of an innermost loop."""
        if not self.vectors or any(body.length is not None for body in nest.body):
            return []
        return [*vector_hints(nest, self.graph.find(length), counter, statements), *self._apart(statements)]

    def _apart(self, statements: Sequence[Statement]) -> list[Statement]:
        """Which of the arrays of a loop have memory that no other one there overlaps."""
        parts = list(walk(statements))
        pointers = dict.fromkeys(n for n in parts if isinstance(n, Name) and n.dtype.endswith("*"))
        if len(pointers) < SEVERAL or not any(isinstance(s, Store) for s in parts):
            return []
        found = self.values.memory.apart([name for name in pointers if name not in (TABLE, REALS)])
        return [Do(Call("apart", tuple(found)), note="overlap no others")] if found else []

    # -- reductions ---------------------------------------------------------------------------------------------

    def start(self, task: Reduction) -> Name:
        """An accumulator in a register."""
        values, node, form = self.values, task.node, task.form
        assert task.value is not None
        dtype = task.value.dtype if form.position else node.dtype
        name = Name(values.names.fresh(None, "acc", "_at" if form.position else ""), dtype)
        values.assign(name, start_value(form.start, dtype), values.notes.op(node), node)
        if form.position:
            values.assign(position_of(name), Number(0), f"position of {name.text}", node)
        return name

    def _fill(self, task: Reduction, level: int) -> None:
        """Set a buffer in which a reduction accumulates to its start value, over the axes that its loops will run
        along."""
        values, node = self.values, task.node
        levels = [k for k in range(level, len(task.loops)) if k not in task.reduced]
        counters = [values.counter(k) for k in levels]
        element = self.written(task)
        start = as_stored(start_value(task.form.start, node.dtype), node.dtype)
        filled: Statement = Store(element.pointer, element.index, start, note=f"start of {values.notes.op(node)}")
        bounds = [self._run(k, task.loops[k]) for k in levels]
        for counter, within in reversed(list(zip(counters, bounds, strict=True))):
            filled = For(counter, within, (filled,))
        values.add(filled)

    def complete(self, accumulators: Accumulators) -> None:
        """After reductions' loop: their values are names from here on, or go to memory."""
        for task, accumulator in accumulators.items():
            if accumulator is None:
                continue
            if task.in_register:
                self.deliver(task, position_of(accumulator) if task.form.position else accumulator)
            else:
                self._into_memory(task, accumulator)

    def accumulate(self, task: Reduction, accumulator: Name, x: Expression) -> None:
        """One more value for an accumulator in a register. x: as it is for a position, else in the task's dtype."""
        values, node, form = self.values, task.node, task.form
        if not form.position:
            values.assign(accumulator, self.combine(task, accumulator, x), node.name, node)
            return
        better = formula(form.combine, {"acc": accumulator, "x": x}, "bool")
        found = (Assign(accumulator, x), Assign(position_of(accumulator), values.counters[task.reduced[0]]))
        values.add(If(better, found, **values.origin(node, node.name)))

    def combine(self, task: Reduction, acc: Expression, x: Expression) -> Expression:
        """A reduction's `acc OP x`, in the dtype in which it accumulates."""
        if self._any_order(task) and task.node.dtype in FLOATS:
            return Call(UNORDERED[task.form.combine], (acc, x), task.node.dtype)
        return in_order(task, acc, x)

    def _any_order(self, task: Reduction) -> bool:
        """Whether it may add up parts of its values first."""
        return self.vectors and task.form.reassociate

    # -- tasks --------------------------------------------------------------------------------------------------

    def task(self, task: Task) -> None:
        """Add what a task does in the innermost of its loops."""
        self.checks.before(task)
        match task:
            case Elementwise():
                self.deliver(task, self.operand(task))
            case Reduction():
                self._reduce(task)
            case Scattering():
                self._scatter(task)
            case IndexCheck():
                self.checks.check(task)
            case _:
                raise AssertionError(task)

    def operand(self, task: Task) -> Expression:
        """What a task stores or accumulates."""
        assert task.value is not None
        value = self.values.value(task.value)
        if isinstance(task, Reduction) and not task.form.position:
            return convert(value, task.value.dtype, task.node.dtype)
        return value

    def _reduce(self, task: Reduction) -> None:
        x = self.operand(task)
        if not task.reduced:
            # every reduced axis has length 1
            self.deliver(task, Number(0) if task.form.position else x)
            return
        bodies = reversed(self.values.bodies)
        accumulator = next((b.accumulators[task] for b in bodies if task in b.accumulators), None)
        if accumulator is not None:
            self.accumulate(task, accumulator, x)
            return
        self._into_memory(task, x)

    def _into_memory(self, task: Reduction, x: Expression) -> None:
        """One more value for an accumulator in memory."""
        element, dtype = self.written(task), task.node.dtype
        new = as_stored(self.combine(task, as_read(element, dtype), x), dtype)
        self.values.add(Store(element.pointer, element.index, new, **self.values.origin(task.node, task.node.name)))

    def _scatter(self, task: Task) -> None:
        values, dtype = self.values, task.node.dtype
        value = self.operand(task)
        for index in task.target:
            values.value(index)
        element = self.written(task)
        if task.node.attributes["mode"] != "set":
            value = Binary("|" if dtype == "bool" else "+", as_read(element, dtype), value)
            if dtype not in (*INEXACT, "int64", "bool"):
                value = Call(dtype, (value,), dtype)
        values.add(self.store(element, value, task, task.node.name))

    # -- results ------------------------------------------------------------------------------------------------

    def written(self, task: Task) -> Load:
        """The element that the task writes."""
        return self.values.memory.element(task.node, tuple(map(self.values.as_settled, task.target)))

    def deliver(self, task: Task, value: Expression) -> None:
        """The value of a task, in a register or in memory."""
        body = self.values.body
        if self.schedule.buffers[task.node].place == "register":
            body.registers[task.node] = value
            return
        self.values.add(self.stored(task, value))
        # whoever reads the element in this loop body uses the name instead of the memory
        body.names[self.values.as_settled(self.graph.load(task.node, task.target))] = value

    def stored(self, task: Task, value: Expression) -> Store:
        """The statement that writes a value into the element which is the task's turn."""
        shown = self.values.notes.name_of(owner(self.schedule, task.node))
        return self.store(self.written(task), value, task, shown)

    def store(self, element: Load, value: Expression, task: Task, shown: str) -> Store:
        """The statement that writes into an element of a task. shown: what the comment calls it."""
        notes = self.values.notes
        origin = notes.origin(task.node, f"{shown} {notes.type_of(task.node)}")
        return Store(element.pointer, element.index, as_stored(value, task.node.dtype), **origin)


def _times(bound: Expression, each: Expression) -> Expression:
    """So many times as many rounds."""
    if isinstance(bound, Number) and isinstance(each, Number):
        return Number(bound.value * each.value)
    return bound if isinstance(each, Number) and each.value == 1 else bound * each


def in_order(task: Reduction, acc: Expression, x: Expression) -> Expression:
    """A reduction's `acc OP x`, without leave to change the order."""
    dtype = task.node.dtype
    found = formula(task.form.combine, {"acc": acc, "x": x}, dtype)
    return found if dtype in (*INEXACT, "int64", "bool") else Call(dtype, (found,), dtype)


def start_value(start: Any, dtype: str) -> Expression:
    """What a reduction starts with. start: a number, "lowest" or "highest"."""
    if start not in ("lowest", "highest"):
        return number(start, dtype)
    sign = -1 if start == "lowest" else 1
    if dtype in FLOATS:
        return number(sign * np.inf, dtype)
    if dtype == "bool":
        return number(sign > 0, dtype)
    limits = np.iinfo(dtype)
    return number(int(limits.min if sign < 0 else limits.max), dtype)


def position_of(accumulator: Name) -> Name:
    """The place of what an accumulator has found."""
    return Name(f"{accumulator.text}_at")


def outside(index: Expression, limit: Expression) -> Expression:
    """Whether an index is out of range."""
    return Logic("or", (index.compared("<", Unary("-", limit)), index.compared(">=", limit)))

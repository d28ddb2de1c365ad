"""The gradient of a loop in chunks of steps: states are kept before each chunk alone, and its steps are made again.

Of n steps in chunks of about sqrt(n), about sqrt(n) states are kept, and what the gradient needs of one chunk. It costs
the steps a second time. (Griewank, Achieving logarithmic growth of temporal and spatial complexity in reverse automatic
differentiation, 1992; Chen, Xu, Zhang, Guestrin, Training deep nets with sublinear memory cost, 2016.)

The steps are made again by an ordinary loop over a chunk, whose gradient is the ordinary one, in a loop back over the
chunks. So the last chunk, which has one step up to as many as the others, is an expression of its own before that loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from numgraph.graph import Variable, apply
from numgraph.op import OPS
from numgraph.ops import lengths as ln
from numgraph.ops import loop as loops
from numgraph.ops.create import arange
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.loop import Loop
from numgraph.scanning.closed import Open, closed, placeholder
from numgraph.scanning.lifted import lift
from numgraph.scanning.sums import added, total
from numgraph.substitution import replaced
from numgraph.types import TensorType

# `(outputs with their adjoints, variables) -> gradients or None`, one for each variable
Differentiate = Callable[[Mapping[Variable, Variable], Sequence[Variable]], Sequence[Variable | None]]
Parts = dict[Variable, Variable]


@dataclass(frozen=True)
class Arrived:
    """The adjoints of a loop's results. rows: of a value in each step; lasts: of a value of the last step; finals: of a
    state after all; saved: of a state before each chunk; all by number."""

    rows: Mapping[int, Variable]
    lasts: Mapping[int, Variable]
    finals: Mapping[int, Variable]
    saved: Mapping[int, Variable]


@dataclass
class Piece:
    """The gradient of some steps of a loop, in terms of variables that stand for what these steps have of everything.

    stands: by placeholder of the loop. rows, lasts, finals: for adjoints, by number. parts: the gradients, by
    placeholder.
    """

    parts: Parts
    stands: dict[Variable, Variable]
    rows: dict[int, Variable] = field(default_factory=dict)
    lasts: dict[int, Variable] = field(default_factory=dict)
    finals: dict[int, Variable] = field(default_factory=dict)

    def of(self, sources: Mapping[Variable, Variable]) -> Parts:
        """The gradients, of what is given for the stand-ins."""
        found = replaced(list(self.parts.values()), dict(sources))
        return dict(zip(self.parts, found, strict=True))


class Chunked:
    """The loop back over chunks of a loop.

    operands: those of the loop. made: how many steps it has made. active: the numbers of the states that have adjoints.
    needed: the placeholders whose gradients are asked for. differentiate: see `gradient.Backward`.
    """

    def __init__(
        self,
        loop: Loop,
        operands: Sequence[Variable],
        made: Variable,
        arrived: Arrived,
        active: Sequence[int],
        needed: Sequence[Variable],
        differentiate: Differentiate,
    ) -> None:
        self.loop, self.operands, self.arrived, self.differentiate = loop, operands, arrived, differentiate
        self.sources = dict(zip(loop.placeholders, operands[1:], strict=True))
        self.active = list(active)
        self.wanted = [*(loop.states[k] for k in active), *(p for p in needed if p not in loop.states)]
        self.made = ln.integer(made, "scan")
        all_steps = ln.integer(operands[0], "scan")
        assert loop.checkpoint is not None
        self.every = _every(_limited(all_steps, loop.truncate), loop.checkpoint)
        back = _limited(self.made, loop.truncate)
        self.start: Length = 0 if loop.truncate is None else self.made - back
        # all chunks but the last one, and the step that this one begins with
        self.chunks: Length = ln.natural(back - 1) // self.every
        self.split: Length = self.start + self.chunks * self.every

    def run(self) -> Parts:
        """The gradients of the sources of placeholders, by placeholder."""
        last = self._last_chunk()
        return self._other_chunks(last)

    # -- the steps of a chunk ---------------------------------------------------------------------------------------

    def _piece(self, steps: Length, last: bool) -> Piece:
        """The gradient of `steps` steps. last: whether the last one is among them."""
        loop, arrived = self.loop, self.arrived
        stands: dict[Variable, Variable] = {}
        for p in loop.sequences:
            stands[p] = _stretch(self.sources[p])
        for p in (*loop.states, *loop.invariants):
            stands[p] = placeholder(p, p.name)
        found = Piece({}, stands)
        numbers = list(dict.fromkeys([*arrived.rows, *(arrived.lasts if last else ())]))
        fixed = {p: stands[p] for p in loop.invariants}
        roots = replaced([*loop.nexts, *(loop.values[k] for k in numbers)], fixed)
        count = len(loop.nexts)
        graph = Open(
            ln.operands([steps])[0], [(p, stands[p]) for p in loop.sequences], [(p, stands[p]) for p in loop.states],
            roots[:count], roots[count:], name=loop.name, lazy=loop.lazy,
        )  # fmt: skip
        if not loop.lazy:
            lift(graph)
        made = closed(graph)
        seeds: dict[Variable, Variable] = {}
        for number, value in zip(numbers, made.values, strict=True):
            whole = loops.rows(made.loop, made.operands, value)
            if number in arrived.rows:
                found.rows[number] = _stretch(arrived.rows[number])
                seeds[whole] = found.rows[number]
            if last and number in arrived.lasts:
                found.lasts[number] = placeholder(arrived.lasts[number])
                seeds[loops.last(made.loop, made.operands, whole.attrs["value"])] = found.lasts[number]
        for number in self.active:
            found.finals[number] = placeholder(loop.states[number], f"d{loop.states[number].name or 'state'}")
            seeds[loops.final(made.loop, made.operands, number)] = found.finals[number]
        parts = self.differentiate(seeds, [stands[p] for p in self.wanted])
        found.parts = {p: part for p, part in zip(self.wanted, parts, strict=True) if part is not None}
        return found

    def _saved(self, number: int) -> Variable:
        assert self.loop.checkpoint is not None
        return loops.saved(self.loop, self.operands, number, self.loop.checkpoint)

    def _last_chunk(self) -> Parts:
        """The gradients of the last chunk: of the loop's operands, for states of the states before it."""
        loop, arrived = self.loop, self.arrived
        piece = self._piece(self.made - self.split, True)
        given: dict[Variable, Variable] = {}
        for p in loop.sequences:
            given[piece.stands[p]] = self.sources[p][self.split : self.made]
        for k, p in enumerate(loop.states):
            given[piece.stands[p]] = self._saved(k)[self.chunks]
        for p in loop.invariants:
            given[piece.stands[p]] = self.sources[p]
        for k, stand in piece.rows.items():
            given[stand] = arrived.rows[k][self.split : self.made]
        for k, stand in piece.lasts.items():
            given[stand] = arrived.lasts[k]
        for k, stand in piece.finals.items():
            adjoint = arrived.finals.get(k)
            given[stand] = f.zeros_like(self.sources[loop.states[k]]) if adjoint is None else adjoint
        found = piece.of(given)
        for k in self.active:
            p = loop.states[k]
            kept = arrived.saved[k][self.chunks] if k in arrived.saved else None
            found[p] = total(found.get(p), kept, like=self.sources[p])
        for p in (p for p in loop.sequences if p in found):
            # of the steps that are not gone through, nothing
            whole = f.zeros_like(self.sources[p])
            found[p] = f.set_subtensor(whole[self.split : self.made], found[p])
        return found

    # -- the loop over the other chunks -----------------------------------------------------------------------------

    def _other_chunks(self, last: Parts) -> Parts:
        """The gradients of all chunks. last: of the last one."""
        loop, arrived = self.loop, self.arrived
        piece = self._piece(self.every, False)
        numbers = arange(self.chunks)
        number = placeholder(numbers, row=True)
        begin = number * self.every + self.start
        name = f"gradient of {loop.name}" if loop.name else ""
        graph = Open(ln.operands([self.chunks])[0], [(number, numbers[::-1])], [], [], name=name, recompute=True)
        given: dict[Variable, Variable] = {}
        for p in loop.sequences:
            given[piece.stands[p]] = self._part(self.sources[p], begin)
        for k, p in enumerate(loop.states):
            given[piece.stands[p]] = self._of_chunk(graph, self._saved(k))
        for p in loop.invariants:
            given[piece.stands[p]] = self.sources[p]
        for k, stand in piece.rows.items():
            given[stand] = self._part(arrived.rows[k], begin)
        parts = piece.of(given)
        wanted: list[Variable] = []
        for k in self.active:
            p = loop.states[k]
            kept = self._of_chunk(graph, arrived.saved[k]) if k in arrived.saved else None
            graph.states.append((piece.finals[k], last[p]))
            graph.nexts.append(total(parts.get(p), kept, like=piece.finals[k]))
            wanted.append(p)
        for p in (p for p in self.wanted if p not in loop.states and p in parts):
            so_far = placeholder(self.sources[p], f"d{p.name}" if p.name else None)
            graph.states.append((so_far, total(last.get(p), None, like=self.sources[p])))
            if p in loop.sequences:
                graph.nexts.append(f.set_subtensor(so_far[begin : begin + self.every], parts[p]))
            else:
                graph.nexts.append(added(so_far, parts[p]))
            wanted.append(p)
        made = closed(graph)
        return {**last, **{p: loops.final(made.loop, made.operands, k) for k, p in enumerate(wanted)}}

    def _part(self, whole: Variable, begin: Variable) -> Variable:
        """What of all steps belongs to a chunk."""
        return loops.rows_of_chunk(whole, begin, ln.operands([self.every])[0])

    def _of_chunk(self, graph: Open, whole: Variable) -> Variable:
        """What of all chunks belongs to one: a sequence of the loop over them."""
        p = placeholder(whole, row=True)
        graph.sequences.append((p, whole[: self.chunks][::-1]))
        return p


def _stretch(whole: Variable) -> Variable:
    """What stands for some rows of a variable."""
    return Variable(TensorType(whole.type.dtype, (None, *whole.type.shape[1:])), whole.name, line=whole.line)


def _limited(steps: Length, limit: int | None) -> Length:
    return steps if limit is None else ln.least(steps, limit)


def _every(steps: Length, every: int) -> Length:
    """See `loops.chunk`."""
    if every or isinstance(steps, int):
        return loops.chunk(steps, every)  # type: ignore[no-any-return]
    return apply(OPS["scan_chunk"], [steps], every=every)

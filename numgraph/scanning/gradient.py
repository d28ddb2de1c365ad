"""The gradient of a loop: another loop, that goes back over the states of the first.

With s[t+1], v[t] = step(x[t], s[t], w), the adjoint of a state goes from the last step to the first. What a step of the
gradient needs of the step that it belongs to is kept by the first loop where it is costly, and computed again where it
is cheap. The gradient of what is the same in every step is a sum over the steps: of matrices of weights it is one
product behind the loop, `x.T @ dz` over all steps at once. (Werbos, Backpropagation through time, 1990.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numgraph.graph import Variable, toposort
from numgraph.ops import lengths as ln
from numgraph.ops import loop as loops
from numgraph.ops.batching import FULL
from numgraph.ops.define import ZERO, Zero, f
from numgraph.ops.loop import Loop
from numgraph.scanning.checkpoints import Arrived, Chunked, Differentiate
from numgraph.scanning.closed import Closed, Open, closed, placeholder
from numgraph.scanning.sums import Sink, added, sunk
from numgraph.substitution import replaced
from numgraph.types import DISCRETE, INEXACT

# A value of a step of at most this cost is computed again by the gradient; others are kept for all steps.
CHEAP = 4


def gradients(
    results: Sequence[tuple[Variable, Variable | Zero]], wanted: Sequence[bool], differentiate: Differentiate
) -> list[Any]:
    """The gradient of each operand of a loop, None where there is none: as an op's `grad` gives them.

    results: those of one loop with the same operands, and what has arrived at each. wanted: for which operands.
    """
    return Backward(results, differentiate).run(wanted)


class Backward:
    """The loop back over one loop."""

    def __init__(self, results: Sequence[tuple[Variable, Variable | Zero]], differentiate: Differentiate) -> None:
        first = results[0][0]
        self.loop: Loop = first.attrs["loop"]
        self.operands = first.inputs
        self.steps, *rest = first.inputs
        self.sources, self.initials, self.invariants = self.loop.parts(rest)
        self.differentiate = differentiate
        if self.loop.until is not None:
            # the rows behind the last step that was made are nothing
            self.steps = loops.count(self.loop, self.operands)
        # adjoints: of a value in each step; of a value of the last step; of a state after all; of a state in each; of
        # one before each chunk
        self.rows: dict[int, Variable] = {}
        self.lasts: dict[int, Variable] = {}
        self.finals: dict[int, Variable] = {}
        self.traces: dict[int, Variable] = {}
        self.saved: dict[int, Variable] = {}
        kinds = {
            loops.ROWS: (self.rows, "value"), loops.LAST: (self.lasts, "value"), loops.FINAL: (self.finals, "state"),
            loops.TRACE: (self.traces, "state"), loops.SAVED: (self.saved, "state"),
        }  # fmt: skip
        for result, adjoint in results:
            assert result.op is not None
            if isinstance(adjoint, Variable) and result.op in kinds:
                table, key = kinds[result.op]
                # the same result may have been asked for twice
                number = result.attrs[key]
                table[number] = _sum(table.get(number), adjoint)

    def run(self, wanted: Sequence[bool]) -> list[Any]:
        """See `gradients`."""
        found: list[Any] = [None] * len(self.operands)
        needed = [p for p, yes in zip(self.loop.placeholders, wanted[1:], strict=True) if yes]
        if not (self.rows or self.lasts or self.finals or self.traces or self.saved):
            return [ZERO if yes else None for yes in wanted]
        self.active = self._active_states()
        parts = self._in_chunks(needed) if self._is_chunked() else self._made(self._opened(needed))
        for number, p in enumerate(self.loop.placeholders):
            found[number + 1] = parts.get(p)
        return found

    def _is_chunked(self) -> bool:
        """Whether steps are made again. Not where nobody knows before the loop which step a gradient ends at."""
        loop = self.loop
        return loop.checkpoint is not None and (loop.truncate is None or loop.until is None)

    def _in_chunks(self, needed: Sequence[Variable]) -> dict[Variable, Variable]:
        # the states in all steps are asked for by gradients that keep them
        assert not self.traces
        arrived = Arrived(self.rows, self.lasts, self.finals, self.saved)
        chunked = Chunked(self.loop, self.operands, self.steps, arrived, self.active, needed, self.differentiate)
        found = chunked.run()
        for p in self.loop.states:
            if p in found:
                found[p] = self._of_first(found[p])
        return found

    def _of_first(self, adjoint: Variable) -> Variable:
        """The gradient of a first value, which one that is cut does not reach."""
        limit = self.loop.truncate
        if limit is None:
            return adjoint
        return f.where(f.le(self.steps, limit), adjoint, f.zeros_like(adjoint))

    # -- which states have adjoints -------------------------------------------------------------------------------

    def _seeds(self, of_state: Mapping[int, Variable], of_value: Mapping[int, Variable]) -> dict[Variable, Variable]:
        """Variables that only adjoints depend on, and those adjoints: the sweep begins there."""
        seeds: dict[Variable, Variable] = {}
        for number, adjoint in of_state.items():
            seeds[f.identity(self.loop.nexts[number])] = adjoint
        for number, adjoint in of_value.items():
            seeds[f.identity(self.loop.values[number])] = adjoint
        return seeds

    def _active_states(self) -> list[int]:
        """The states that have adjoints at some step."""
        loop = self.loop
        floats = [k for k, p in enumerate(loop.states) if p.type.dtype in INEXACT]
        found = [k for k in floats if k in self.finals or k in self.traces or k in self.saved]
        values = {k: f.zeros_like(loop.values[k]) for k in (*self.rows, *self.lasts)}
        while True:
            seeds = self._seeds({k: f.zeros_like(loop.nexts[k]) for k in found}, values)
            parts = self.differentiate(seeds, [loop.states[k] for k in floats])
            more = [k for k, part in zip(floats, parts, strict=True) if part is not None and k not in found]
            if not more:
                return found
            found = sorted([*found, *more])

    # -- the loop back --------------------------------------------------------------------------------------------

    def _backwards(self, whole: Variable) -> Variable:
        """The rows of all steps, or of the last ones, from the last to the first."""
        made = whole if self.loop.until is None else whole[: self.steps]
        turned: Variable = made[::-1]
        limit = self.loop.truncate
        return turned if limit is None else turned[:limit]

    def _opened(self, needed: Sequence[Variable]) -> Open:
        """The loop back with the gradients of `needed`, in terms of placeholders and of the loop's own graph."""
        loop = self.loop
        sequences: list[tuple[Variable, Variable]] = []
        states: list[tuple[Variable, Variable]] = []
        arriving: dict[int, Variable] = {}
        for number, adjoint in self.rows.items():
            arriving[number] = self._sequence(sequences, self._backwards(adjoint))
        carried: dict[int, Variable] = {}
        for number in self.active:
            carried[number] = placeholder(loop.states[number], f"d{loop.states[number].name or 'state'}")
            states.append((carried[number], self._last_adjoint(number)))
        once: dict[int, Variable] = {}
        for number, adjoint in self.lasts.items():
            once[number] = placeholder(adjoint)
            states.append((once[number], adjoint))
        of_value = {k: _sum(arriving.get(k), once.get(k)) for k in (*arriving, *once)}
        seeds = self._seeds(carried, of_value)
        wanted = [loop.states[k] for k in self.active] + [p for p in needed if p not in loop.states]
        parts = dict(zip(wanted, self.differentiate(seeds, wanted), strict=True))
        nexts = []
        for number in self.active:
            p = loop.states[number]
            part = parts.pop(p)
            before = self._before(number, sequences)
            nexts.append(_sum(part, before) if part is not None or before is not None else f.zeros_like(p))
        nexts += [f.zeros_like(v) for v in once.values()]
        self.parts = {p: part for p, part in parts.items() if part is not None}
        name = f"gradient of {loop.name}" if loop.name else ""
        return Open(self._count(), sequences, states, nexts, name=name, lazy=loop.lazy, recompute=loop.recompute)

    def _count(self) -> Variable:
        limit = self.loop.truncate
        if limit is None:
            return self.steps
        fewest = ln.least(ln.integer(self.steps, "scan"), limit)
        return ln.operands([fewest])[0]

    def _sequence(self, sequences: list[tuple[Variable, Variable]], source: Variable) -> Variable:
        p = placeholder(source, row=True)
        sequences.append((p, source))
        return p

    def _last_adjoint(self, number: int) -> Variable:
        """The adjoint of a state after all steps."""
        given = self.finals.get(number)
        if number in self.traces:
            given = _sum(given, self.traces[number][self.steps])
        zero: Variable = f.zeros_like(self.initials[number])
        return zero if given is None else given

    def _before(self, number: int, sequences: list[tuple[Variable, Variable]]) -> Variable | None:
        """What arrives at a state before each step from a trace of the states."""
        if number not in self.traces:
            return None
        return self._sequence(sequences, self._backwards(self.traces[number][:-1]))

    # -- what it needs of the loop, and what comes of it ------------------------------------------------------------

    def _made(self, back: Open) -> dict[Variable, Variable]:
        """The gradients of the placeholders' sources."""
        loop = self.loop
        # a sum behind the loop would keep rows of all steps
        sinks = {p: None if loop.recompute else sunk(part) for p, part in self.parts.items() if p in loop.invariants}
        sums = [p for p, sink in sinks.items() if sink is None]
        for p in sums:
            total = placeholder(p, f"d{p.name}" if p.name else None)
            back.states.append((total, f.zeros_like(self._source(p))))
            back.nexts.append(added(total, self.parts[p]))
        rowed = [p for p in self.parts if p in loop.sequences]
        back.values = [self.parts[p] for p in rowed]
        for sink in sinks.values():
            if sink is not None:
                back.values += sink.operands
        self._connect(back)
        made = closed(back)
        return self._collected(made, rowed, sums, sinks)

    def _source(self, p: Variable) -> Variable:
        return self.operands[1 + self.loop.placeholders.index(p)]

    def _collected(
        self, made: Closed, rowed: Sequence[Variable], sums: Sequence[Variable], sinks: Mapping[Variable, Sink | None]
    ) -> dict[Variable, Variable]:
        loop, values = self.loop, iter(made.values)
        result: dict[Variable, Variable] = {}
        for p in rowed:
            result[p] = self._in_order(p, loops.rows(made.loop, made.operands, next(values)))
        for p, sink in sinks.items():
            if sink is not None:
                result[p] = sink.build(*(loops.rows(made.loop, made.operands, next(values)) for _ in sink.operands))
        for k, number in enumerate(self.active):
            result[loop.states[number]] = self._of_first(loops.final(made.loop, made.operands, k))
        first = len(made.loop.states) - len(sums)
        for k, p in enumerate(sums):
            result[p] = loops.final(made.loop, made.operands, first + k)
        return result

    def _in_order(self, p: Variable, backwards: Variable) -> Variable:
        """The gradients of a sequence's elements, from the first to the last."""
        turned: Variable = backwards[::-1]
        if self.loop.truncate is None and self.loop.until is None:
            return turned
        whole = f.zeros_like(self._source(p), turned.type.dtype)
        return f.set_subtensor(whole[self.steps - ln.dim(turned, 0) : self.steps], turned)

    def _connect(self, back: Open) -> None:
        """Let placeholders stand for what the loop back reads of the first loop: its leaves, and what it keeps."""
        loop = self.loop
        mine = {id(v) for v in toposort(loop.roots)}
        stands: dict[Variable, Variable] = {}
        for node in self._kept(back.roots, mine):
            source = loops.rows(loop, self.operands, node)
            stands[node] = self._sequence(back.sequences, self._backwards(source))
        for node in toposort(back.roots, stop=stands):
            if node in loop.sequences:
                source = self._source(node)
            elif node in loop.states:
                source = loops.trace(loop, self.operands, loop.states.index(node))[:-1]
            elif node in loop.invariants:
                stands[node] = self._source(node)
                if loop.lazy:
                    # what is made of it is computed in the step
                    back.invariants.append((placeholder(node, node.name), stands[node]))
                    stands[node] = back.invariants[-1][0]
                continue
            else:
                continue
            stands[node] = self._sequence(back.sequences, self._backwards(source))
        count, extra = len(back.nexts), back.values
        roots = replaced(back.roots, stands)
        back.nexts, back.values = roots[:count], roots[count : count + len(extra)]

    def _kept(self, roots: Sequence[Variable], mine: set[int]) -> list[Variable]:
        """The values of the first loop that the loop back asks for and that are not cheap to compute again."""
        if self.loop.recompute:
            return []
        nodes = toposort(roots)
        # a length is read from what has it, which costs nothing
        asked = {id(v) for node in nodes if id(node) not in mine and not _of_lengths(node) for v in node.inputs} | {
            id(v) for v in roots
        }
        varying: set[int] = {id(p) for p in (*self.loop.sequences, *self.loop.states)}
        cost: dict[int, float] = {}
        # what may have another shape in each step cannot be kept
        ragged: set[int] = set()
        kept = []
        for node in nodes:
            if id(node) not in mine:
                continue
            fixed = _of_lengths(node) and not any(id(v) in ragged for v in node.inputs)
            if node.op is not None and not fixed and any(id(v) in varying for v in node.inputs):
                varying.add(id(node))
            if _varies_in_length(node, varying, ragged):
                ragged.add(id(node))
            own = 0.0 if node.op is None else _cost(node)
            cost[id(node)] = own + sum(cost[id(v)] for v in dict.fromkeys(node.inputs)) * (not _of_lengths(node))
            if cost[id(node)] > CHEAP and id(node) in asked and id(node) in varying - ragged:
                kept.append(node)
                cost[id(node)] = 0.0
        return kept


def _varies_in_length(node: Variable, varying: set[int], ragged: set[int]) -> bool:
    """Whether a value may have other lengths in each step, as `x[:t]`: then it is not kept, but computed again."""
    op = node.op
    if op is None or None not in node.type.shape:
        return False
    if any(id(v) in ragged for v in node.inputs):
        return True
    key = node.attrs.get("key", ())
    if op.scalar or op.reduce or (key and all(entry[0] == "index" or entry == FULL for entry in key)):
        return False
    decides = [v for v in node.inputs if id(v) in varying and v.type.dtype in DISCRETE]
    return any(not v.ndim or v.type.dtype == "bool" for v in decides)


def _of_lengths(node: Variable) -> bool:
    """Whether a variable needs its operands' lengths only."""
    return node.op is not None and node.op.name == "length"


def _cost(node: Variable) -> float:
    op = node.op
    assert op is not None
    if op.scalar:
        return 0.0 if op.conversion else float(op.cost)
    return 0.0 if op.element or op.reshape else float("inf")


def _sum(a: Variable | None, b: Variable | None) -> Variable:
    found = b if a is None else a
    assert found is not None
    return found if a is None or b is None else f.add(a, b)

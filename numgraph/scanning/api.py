"""`scan`, and what is written with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numgraph.errors import IndexOutOfRange, InputError, MissingInputError, OptionError
from numgraph.graph import Variable, as_variable, describe, label, toposort
from numgraph.ops import lengths as ln
from numgraph.ops import loop as loops
from numgraph.ops.create import arange
from numgraph.ops.define import f
from numgraph.ops.loop import Loop
from numgraph.scanning.arguments import (
    State,
    called,
    chunk_of,
    condition_of,
    listed,
    missing,
    refuse_options,
    returned,
    taps_of,
    until,
)
from numgraph.scanning.closed import Closed, Open, closed, placeholder
from numgraph.scanning.lean import kept
from numgraph.scanning.lifted import lift
from numgraph.shared import SharedVariable
from numgraph.substitution import replaced
from numgraph.updates import Updates, left_by_loop, update_value

__all__ = ["scan", "until"]


def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
    profile: Any = False,
    allow_gc: Any = None,
    strict: bool = False,
    return_list: bool = False,
    checkpoint: bool | int | None = None,
) -> tuple[Any, Updates]:
    """A loop in an expression: what `fn` says of one step, for all steps. Returns (outputs, updates).

        outputs, updates = ng.scan(lambda x_t, h: ng.tanh(x_t + h @ W), sequences=x, outputs_info=h0)

    fn: called once, with variables for one step: the elements of the sequences, the outputs of earlier steps that
        `outputs_info` asks for, and `non_sequences`. It returns the step's outputs: one, or a list; or a pair of those
        and updates of shared variables; with `until(condition)` behind them, the step that makes it true is the last.
        It may use other variables than its arguments: what no step changes is computed once, before the loop.
    sequences: a variable or a list of them, along whose axis 0 the steps go, the shortest decides how many; or
        `dict(input=x, taps=[-1, 0, 1])`, for x[t-1], x[t] and x[t+1], where t goes as far as all of them are there.
    outputs_info: for each output None, or its value before the first step, which makes it a state: fn gets its value of
        the step before. `dict(initial=x, taps=[-2, -1])` for several steps before: then initial has that many rows.
    n_steps: how many steps, an int or a scalar, where the sequences do not say it or have more. 0 is none.
    truncate_gradient: how many steps a gradient goes back; -1 for all. go_backwards: from the last element to the
        first. strict: fn may use no shared variables but those in `non_sequences`. return_list: a list, also of one.
    checkpoint: True: gradients keep the states before chunks of about sqrt(n) steps alone, and make the steps of a
        chunk again, so they need less memory, and the time of the steps twice; an int: chunks of so many steps; False:
        they keep what they need of all steps. None: they keep it, unless a call would take more than
        `config.scan_memory`; then another variant of the function is compiled, as for True, and used from then on.
    mode, profile, allow_gc: as in Theano, without effect.

    outputs: each with the steps as axis 0; one by itself, several as a list, or None. updates: of the shared variables
    that fn updates, random states included, for `function(..., updates=updates)`: what they are after all steps.

    A state keeps its shape and dtype: ShapeError or DtypeError where a step changes them. InputError for arguments that
    fit no step, MissingInputError for a shared variable that `strict` does not allow, IndexError (at the call) for a
    negative number of steps, and for `outputs[-1]` of none.
    """
    scanner = scanned(fn, sequences, outputs_info, non_sequences, n_steps, go_backwards, name, strict)
    if truncate_gradient == 0 or truncate_gradient < -1:
        raise OptionError(f"scan: truncate_gradient is a number of steps, or -1 for all, not {truncate_gradient}")
    scanner.graph.truncate = None if truncate_gradient == -1 else truncate_gradient
    scanner.graph.checkpoint = chunk_of(checkpoint)
    return scanner.results(return_list, automatic=checkpoint is not False)


def scanned(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any,
    n_steps: Any,
    go_backwards: bool,
    name: str | None,
    strict: bool = False,
) -> Scanner:
    """A scan whose step is known."""
    scanner = Scanner(name or getattr(fn, "__name__", "").replace("<lambda>", ""), go_backwards)
    scanner.read_sequences(listed(sequences))
    scanner.count(n_steps)
    extra = [as_variable(v) for v in listed(non_sequences)]
    scanner.read_states(listed(outputs_info))
    scanner.trace(fn, extra)
    if strict:
        _refuse_others(scanner.graph, extra)
    return scanner


class Scanner:
    """A scan that is being made."""

    def __init__(self, name: str, backwards: bool) -> None:
        self.backwards = backwards
        self.graph = Open(ln.operands([0])[0], [], [], [], name=name)
        # per output: None, or the placeholders of the steps that fn asks for; and how many steps back there are
        self.info: list[State | None] = []
        self.sources: list[tuple[Variable, str]] = []
        self.arguments: list[Variable] = []
        self.updates: Updates = {}

    # -- what goes in ---------------------------------------------------------------------------------------------

    def read_sequences(self, given: Sequence[Any]) -> None:
        """Sequences, each cut to what is there for every tap."""
        for number, entry in enumerate(given):
            options = dict(entry) if isinstance(entry, Mapping) else {"input": entry}
            whole = as_variable(options.pop("input", None) if options.get("input") is not None else missing("input"))
            taps = taps_of(options.pop("taps", None), [0])
            refuse_options("sequences", options)
            if whole.ndim == 0:
                raise InputError(
                    f"scan: sequence {number} has no axis to go along\n  {describe(whole)}\n"
                    "  fix: pass what is the same in every step as non_sequences"
                )
            low, high = min(*taps, 0), max(*taps, 0)
            for tap in taps:
                part = whole[tap - low : ln.dim(whole, 0) - (high - tap)] if (low or high) else whole
                shown = f"{whole.name}[t{tap:+d}]" if tap else f"{whole.name}[t]"
                self.sources.append((part[::-1] if self.backwards else part, shown if whole.name else ""))

    def count(self, n_steps: Any) -> None:
        """How many steps there are, and sequences of just that length."""
        lengths: list[Any] = [ln.dim(source, 0) for source, _ in self.sources]
        if n_steps is not None:
            steps = ln.integer(n_steps, "scan: n_steps")
            if isinstance(steps, int) and steps < 0:
                raise IndexOutOfRange(f"scan: n_steps is {steps}, and there are no fewer steps than 0")
            lengths.append(steps)
        if not lengths:
            raise InputError("scan: the number of steps is not known: give sequences or n_steps")
        fewest = lengths[0]
        for other in lengths[1:]:
            fewest = fewest if ln.same_length(fewest, other) else ln.least(fewest, other)
        self.graph.steps = ln.operands([fewest])[0]
        for source, shown in self.sources:
            cut = source if ln.same_length(ln.dim(source, 0), fewest) else source[:fewest]
            element = placeholder(cut, shown or None, row=True)
            self.graph.sequences.append((element, cut))
            self.arguments.append(element)

    def read_states(self, given: Sequence[Any]) -> None:
        """What each output is before the first step."""
        for entry in given:
            options = dict(entry) if isinstance(entry, Mapping) else {"initial": entry}
            initial = options.pop("initial", None)
            if initial is None:
                if options.get("taps"):
                    raise InputError("scan: outputs_info has taps without an initial value")
                self.info.append(None)
                continue
            weak = type(initial) in (bool, int, float)
            taps = taps_of(options.pop("taps", None), [-1])
            options.pop("inplace", None)
            refuse_options("outputs_info", options)
            if max(taps) >= 0:
                raise OptionError(f"scan: taps of an output are steps before, negative numbers, not {taps}")
            self.info.append(State(as_variable(initial), taps, weak))

    # -- the step -------------------------------------------------------------------------------------------------

    def trace(self, fn: Callable[..., Any], extra: Sequence[Variable]) -> None:
        """Call fn, and make a graph of what it says."""
        self.passed = tuple(extra)
        for _ in range(3):
            for state in self.info:
                if state is not None:
                    state.begin()
            asked = [p for state in self.info if state is not None for p in state.asked()]
            outputs, updates, condition = returned(called(fn, self.arguments, asked, extra))
            self._match(outputs)
            again = [state.widened(out) for state, out in zip(self.info, outputs, strict=True) if state is not None]
            if not any(again):
                break
        self.outputs = kept(outputs)
        for state, out in zip(self.info, self.outputs, strict=True):
            if state is not None:
                state.connect(self.graph, out)
        if condition is not None:
            self.graph.until = condition_of(condition)
        self._share(updates)
        self.graph.values = list(outputs)

    def _match(self, outputs: Sequence[Variable]) -> None:
        if not self.info:
            self.info = [None] * len(outputs)
        if len(outputs) != len(self.info):
            raise InputError(
                f"scan: the function returns {len(outputs)} output{'s' * (len(outputs) != 1)} for {len(self.info)} in "
                "outputs_info\n  fix: one entry for each output, None for those that no step needs"
            )

    def _share(self, explicit: Updates) -> None:
        """Shared variables that steps update become states."""
        updates = dict(explicit)
        waiting = [*self.outputs, *explicit.values(), *([self.graph.until] if self.graph.until is not None else [])]
        nodes = toposort(waiting)
        for node in nodes:
            if isinstance(node, SharedVariable) and node.default_update is not None and node not in updates:
                left = left_by_loop(node, nodes)
                updates[node] = update_value(node, node.default_update) if left is None else left
        stands = {v: placeholder(v, v.name) for v in updates}
        count, until = len(self.graph.nexts), self.graph.until
        roots = [*self.graph.nexts, *self.outputs, *updates.values(), *([until] if until is not None else [])]
        roots = replaced(roots, {v: p for v, p in stands.items()})
        if until is not None:
            self.graph.until = roots.pop()
        news = roots[count + len(self.outputs) :]
        self.outputs = roots[count : count + len(self.outputs)]
        self.graph.nexts = roots[:count]
        self.shared = list(updates)
        for variable, new in zip(self.shared, news, strict=True):
            self.graph.states.append((stands[variable], variable))
            self.graph.nexts.append(new)

    def results(
        self, return_list: bool, reduced: bool = False, every: int | None = None, automatic: bool = True
    ) -> tuple[Any, Updates]:
        """The outputs, and the updates. reduced: what the outputs are after all steps, rather than in each; every:
        after so many steps each, and after the last one. automatic: whether gradients keep less where the memory of a
        function would not do."""
        if self.graph.until is None:
            self.graph.values = list(self.outputs)
        first = len(self.graph.states) - len(self.shared)
        made = self._closed(automatic)
        found = [loops.rows(made.loop, made.operands, value) for value in made.values]
        if reduced:
            found = [self._reduced(k, whole, made) for k, whole in enumerate(found)]
        elif every is not None:
            found = [self._thinned(k, whole, made, every) for k, whole in enumerate(found)]
        elif self.graph.until is not None:
            count = loops.count(made.loop, made.operands)
            found = [whole[:count] for whole in found]
        updates: Updates = {
            variable: loops.final(made.loop, made.operands, first + k) for k, variable in enumerate(self.shared)
        }
        for variable in (*found, *updates.values()):
            # what is passed counts as used, as every argument of an op
            variable.about = (*variable.about, *self.passed)
        if not found:
            return None, updates
        return (found[0] if len(found) == 1 and not return_list else found), updates

    def _closed(self, automatic: bool) -> Closed:
        """The loop; if nobody has said what gradients keep, with a lean one beside it, whose steps do all the work."""
        graph = self.graph
        whole = graph.until is None
        if graph.checkpoint is not None:
            return closed(graph)
        count = len(graph.values)
        nexts, values = list(graph.nexts), list(graph.values)
        if whole:
            lift(graph)
        if not automatic or (not whole and graph.truncate is not None):
            return closed(graph)
        graph.values = [*graph.values, *values, *nexts]
        made = closed(graph)
        lean, extra = made.loop, made.values[count:]
        lean = Loop(
            lean.sequences, lean.states, lean.invariants, extra[count:], lean.until, graph.name, graph.truncate,
            extra[:count], checkpoint=0,
        )  # fmt: skip
        made.loop.lean = lean
        return Closed(made.loop, made.operands, made.values[:count])

    def _reduced(self, number: int, whole: Variable, made: Closed) -> Variable:
        """Output `number` after all steps."""
        state = self.info[number]
        if state is None:
            return loops.last(made.loop, made.operands, whole.attrs["value"])
        return loops.final(made.loop, made.operands, self._number(state))

    def _number(self, state: State) -> int:
        return [p for p, _ in self.graph.states].index(state.before[0])

    def _thinned(self, number: int, whole: Variable, made: Closed, every: int) -> Variable:
        """Output `number` after each chunk of steps."""
        loop, operands, state = made.loop, made.operands, self.info[number]
        steps = operands[0] if loop.until is None else loops.count(loop, operands)
        count = -(-ln.integer(steps, "scan") // every)
        if state is None:
            last = f.minimum((arange(count) + 1) * every, steps) - 1
            return whole[last]  # type: ignore[no-any-return]
        k = self._number(state)
        begun = loops.saved(loop, operands, k, every)[1:count]
        return f.concatenate([begun, f.expand_dims(loops.final(loop, operands, k), 0)])[:count]  # type: ignore[no-any-return]


def _refuse_others(graph: Open, allowed: Sequence[Variable]) -> None:
    """MissingInputError for shared variables that a strict step uses and does not name."""
    there = {id(v) for v in allowed} | {id(v) for _, v in graph.states}
    for node in toposort(graph.roots, stop=[*allowed, *graph.placeholders]):
        if isinstance(node, SharedVariable) and id(node) not in there:
            raise MissingInputError(
                f"scan: strict, and the step uses {label(node)}, which is not in non_sequences\n  {describe(node)}"
            )

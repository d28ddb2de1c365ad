"""`scan`, and what is written with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numgraph.errors import DtypeError, IndexOutOfRange, InputError, MissingInputError, OptionError, ShapeError
from numgraph.graph import Constant, Variable, as_variable, describe, label, toposort
from numgraph.ops import lengths as ln
from numgraph.ops import loop as loops
from numgraph.ops.define import converted, f
from numgraph.scanning.closed import Closed, Open, closed, placeholder
from numgraph.scanning.lifted import lift
from numgraph.shared import SharedVariable
from numgraph.substitution import replaced
from numgraph.types import is_lossless
from numgraph.updates import Updates, left_by_loop, update_value

__all__ = ["foldl", "foldr", "map", "reduce", "scan", "until"]


@dataclass(frozen=True)
class Until:
    """The condition under which a step of a scan is the last one."""

    condition: Any


def until(condition: Any) -> Until:
    """What the function of a scan returns behind its outputs: a step in which `condition`, a scalar, is true is the
    last one."""
    return Until(condition)


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
    mode, profile, allow_gc: as in Theano, without effect.

    outputs: each with the steps as axis 0; one by itself, several as a list, or None. updates: of the shared variables
    that fn updates, random states included, for `function(..., updates=updates)`: what they are after all steps.

    A state keeps its shape and dtype: ShapeError or DtypeError where a step changes them. InputError for arguments that
    fit no step, MissingInputError for a shared variable that `strict` does not allow, IndexError (at the call) for a
    negative number of steps, and for `outputs[-1]` of none.
    """
    scanner = _scanned(fn, sequences, outputs_info, non_sequences, n_steps, go_backwards, name, strict)
    if truncate_gradient == 0 or truncate_gradient < -1:
        raise OptionError(f"scan: truncate_gradient is a number of steps, or -1 for all, not {truncate_gradient}")
    scanner.graph.truncate = None if truncate_gradient == -1 else truncate_gradient
    return scanner.results(return_list)


def _scanned(
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
    scanner.read_sequences(_listed(sequences))
    scanner.count(n_steps)
    extra = [as_variable(v) for v in _listed(non_sequences)]
    scanner.read_states(_listed(outputs_info))
    scanner.trace(fn, extra)
    if strict:
        _refuse_others(scanner.graph, extra)
    return scanner


def _listed(given: Any) -> list[Any]:
    """An argument that is one thing, several, or None."""
    if given is None:
        return []
    if isinstance(given, list | tuple) and not isinstance(given, str):
        return list(given)
    return [given]


class Scanner:
    """A scan that is being made."""

    def __init__(self, name: str, backwards: bool) -> None:
        self.backwards = backwards
        self.graph = Open(ln.operands([0])[0], [], [], [], name=name)
        # per output: None, or the placeholders of the steps that fn asks for; and how many steps back there are
        self.info: list[_State | None] = []
        self.sources: list[tuple[Variable, str]] = []
        self.arguments: list[Variable] = []
        self.updates: Updates = {}

    # -- what goes in ---------------------------------------------------------------------------------------------

    def read_sequences(self, given: Sequence[Any]) -> None:
        """Sequences, each cut to what is there for every tap."""
        for number, entry in enumerate(given):
            options = dict(entry) if isinstance(entry, Mapping) else {"input": entry}
            whole = as_variable(options.pop("input", None) if options.get("input") is not None else _missing("input"))
            taps = _taps(options.pop("taps", None), [0])
            _refuse_options("sequences", options)
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
            taps = _taps(options.pop("taps", None), [-1])
            options.pop("inplace", None)
            _refuse_options("outputs_info", options)
            if max(taps) >= 0:
                raise OptionError(f"scan: taps of an output are steps before, negative numbers, not {taps}")
            self.info.append(_State(as_variable(initial), taps, weak))

    # -- the step -------------------------------------------------------------------------------------------------

    def trace(self, fn: Callable[..., Any], extra: Sequence[Variable]) -> None:
        """Call fn, and make a graph of what it says."""
        self.passed = tuple(extra)
        for _ in range(3):
            for state in self.info:
                if state is not None:
                    state.begin()
            asked = [p for state in self.info if state is not None for p in state.asked()]
            outputs, updates, condition = _returned(fn(*self.arguments, *asked, *extra))
            self._match(outputs)
            again = [state.widened(out) for state, out in zip(self.info, outputs, strict=True) if state is not None]
            if not any(again):
                break
        self.outputs = outputs
        for state, out in zip(self.info, outputs, strict=True):
            if state is not None:
                state.connect(self.graph, out)
        if condition is not None:
            self.graph.until = _condition(condition)
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

    def results(self, return_list: bool, reduced: bool = False) -> tuple[Any, Updates]:
        """The outputs, and the updates. reduced: what the outputs are after all steps, rather than in each."""
        if self.graph.until is None:
            self.graph.values = list(self.outputs)
            lift(self.graph)
        first = len(self.graph.states) - len(self.shared)
        made = closed(self.graph)
        found = [loops.rows(made.loop, made.operands, value) for value in made.values]
        if reduced:
            found = [self._reduced(k, whole, made) for k, whole in enumerate(found)]
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

    def _reduced(self, number: int, whole: Variable, made: Closed) -> Variable:
        """Output `number` after all steps."""
        state = self.info[number]
        if state is None:
            return loops.last(made.loop, made.operands, whole.attrs["value"])
        return loops.final(made.loop, made.operands, [p for p, _ in self.graph.states].index(state.before[0]))


class _State:
    """An output that later steps need: its first value, and which steps before."""

    def __init__(self, initial: Variable, taps: Sequence[int], weak: bool) -> None:
        self.initial, self.taps, self.weak = initial, list(taps), weak
        self.depth = -min(taps)
        self.several = self.taps != [-1]
        if self.several and not initial.ndim:
            raise ShapeError(
                f"scan: taps {self.taps} need {self.depth} first values, along axis 0 of initial\n  {describe(initial)}"
            )

    def begin(self) -> None:
        """New placeholders: of one step before, of two, ..."""
        name = self.initial.name or ""
        shown = [f"{name}[t-{k}]" if name else None for k in range(1, self.depth + 1)]
        self.before = [placeholder(self.initial, text, row=self.several) for text in shown]

    def asked(self) -> list[Variable]:
        """Those that the function gets."""
        return [self.before[-tap - 1] for tap in self.taps]

    def widened(self, out: Variable) -> bool:
        """Whether a first value that is a Python number has to be of another dtype, which it is now."""
        if not self.weak or out.type.dtype == self.initial.type.dtype:
            return False
        if not is_lossless(self.initial.type.dtype, out.type.dtype) and not isinstance(self.initial, Constant):
            return False
        self.initial = converted(self.initial, out.type.dtype)
        self.weak = False
        return True

    def connect(self, graph: Open, out: Variable) -> None:
        """Make states of it."""
        p = self.before[0]
        _check_state(p, out)
        for k, before in enumerate(self.before):
            first = self.initial[self.depth - 1 - k] if self.several else self.initial
            graph.states.append((before, first))
            graph.nexts.append(out if k == 0 else self.before[k - 1])


def _check_state(before: Variable, out: Variable) -> None:
    """ShapeError or DtypeError where an output cannot be what the next step gets for it."""
    said = f"  before: {describe(before)}\n  after: {describe(out)}"
    if out.type.dtype != before.type.dtype:
        raise DtypeError(
            f"scan: a step makes {out.type.dtype} of a state of {before.type.dtype}\n{said}\n"
            f"  fix: start with initial.astype({out.type.dtype!r}), or convert the output with "
            f".astype({before.type.dtype!r})"
        )
    pairs = list(zip(before.type.shape, out.type.shape, strict=False))
    if before.ndim != out.ndim or any(None not in (n, m) and n != m for n, m in pairs):
        raise ShapeError(
            f"scan: a step changes the shape of a state\n{said}\n"
            "  fix: a first value of the shape that steps make, for instance ng.zeros(shape)"
        )


def _returned(given: Any) -> tuple[list[Variable], Updates, Any]:
    """Outputs, updates and the condition of `until` in what a function of a scan has returned."""
    parts = list(given) if isinstance(given, tuple | list) else [given]
    condition = None
    if parts and isinstance(parts[-1], Until):
        condition = parts.pop().condition
    outputs: list[Any] = []
    updates: Updates = {}
    if len(parts) == 2 and _are_updates(parts[1]) and not _are_updates(parts[0]):
        outputs, updates = _listed(parts[0]), _updates(parts[1])
    elif len(parts) == 2 and _are_updates(parts[0]) and not _are_updates(parts[1]):
        outputs, updates = _listed(parts[1]), _updates(parts[0])
    elif len(parts) == 1 and _are_updates(parts[0]):
        updates = _updates(parts[0])
    elif _are_updates(given):
        updates = _updates(given)
    else:
        outputs = [v for part in parts for v in (part if isinstance(part, list | tuple) else [part])]
    return [as_variable(v) for v in outputs if v is not None], updates, condition


def _are_updates(given: Any) -> bool:
    if isinstance(given, Mapping):
        return True
    return (
        isinstance(given, list | tuple)
        and bool(given)
        and all(
            isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], SharedVariable) for pair in given
        )
    )


def _updates(given: Any) -> Updates:
    pairs: Iterable[Any] = given.items() if isinstance(given, Mapping) else given
    return {target: update_value(target, value) for target, value in pairs}


def _condition(given: Any) -> Variable:
    condition = as_variable(given)
    if condition.ndim:
        raise ShapeError(f"scan: the condition of until must be a scalar\n  {describe(condition)}")
    return condition if condition.type.dtype == "bool" else f.neq(condition, 0)


def _taps(given: Any, otherwise: list[int]) -> list[int]:
    if given is None:
        return otherwise
    taps = [given] if isinstance(given, int) else list(given)
    if not taps or not all(isinstance(tap, int) for tap in taps) or len(set(taps)) < len(taps):
        raise OptionError(f"scan: taps are a list of different whole numbers, not {given!r}")
    return taps


def _missing(what: str) -> Any:
    raise InputError(f"scan: a dict for a sequence needs {what!r}")


def _refuse_options(where: str, options: Mapping[str, Any]) -> None:
    if options:
        raise InputError(f"scan: {where} has an entry with {sorted(options)}, which is unknown")


def _refuse_others(graph: Open, allowed: Sequence[Variable]) -> None:
    """MissingInputError for shared variables that a strict step uses and does not name."""
    there = {id(v) for v in allowed} | {id(v) for _, v in graph.states}
    for node in toposort(graph.roots, stop=[*allowed, *graph.placeholders]):
        if isinstance(node, SharedVariable) and id(node) not in there:
            raise MissingInputError(
                f"scan: strict, and the step uses {label(node)}, which is not in non_sequences\n  {describe(node)}"
            )


# -- loops with less to say ---------------------------------------------------------------------------------------


def map(
    fn: Callable[..., Any],
    sequences: Any,
    non_sequences: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, Updates]:
    """fn of each element along axis 0 of the sequences. Returns (outputs, updates), see `scan`."""
    return scan(
        fn, sequences, [], non_sequences, truncate_gradient=truncate_gradient, go_backwards=go_backwards, name=name
    )


def reduce(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, Updates]:
    """What is left of outputs_info when fn(element, so far) has gone over the sequences. Returns (outputs, updates)."""
    scanner = _scanned(fn, sequences, outputs_info, non_sequences, None, go_backwards, name)
    return scanner.results(False, reduced=True)


def foldl(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, Updates]:
    """`reduce` from the first element to the last."""
    return reduce(fn, sequences, outputs_info, non_sequences, False, mode, name)


def foldr(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any = None,
    mode: Any = None,
    name: str | None = None,
) -> tuple[Any, Updates]:
    """`reduce` from the last element to the first."""
    return reduce(fn, sequences, outputs_info, non_sequences, True, mode, name)

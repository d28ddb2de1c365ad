"""What is given to a scan, and what the function of a step returns, read into plain parts."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numgraph.errors import DtypeError, InputError, OptionError, ShapeError
from numgraph.graph import Constant, Variable, as_variable, describe
from numgraph.ops.define import converted, f
from numgraph.scanning.closed import Open, placeholder
from numgraph.shared import SharedVariable
from numgraph.types import is_lossless
from numgraph.updates import Updates, update_value


@dataclass(frozen=True)
class Until:
    """The condition under which a step of a scan is the last one."""

    condition: Any


def called(fn: Any, elements: Sequence[Any], states: Sequence[Any], others: Sequence[Any]) -> Any:
    """What the function of a scan returns; a TypeError for its arguments has a note that says which they are."""
    note = (
        f"scan calls its function with {len(elements)} elements of sequences, then {len(states)} values of "
        f"outputs before, then {len(others)} of non_sequences"
    )
    return noted(fn, [*elements, *states, *others], note)


def noted(fn: Any, arguments: Sequence[Any], note: str) -> Any:
    """fn(*arguments); a TypeError of a function that does not take so many has the note."""
    try:
        return fn(*arguments)
    except TypeError as error:
        if callable(fn) and not _takes(fn, len(arguments)):
            error.add_note(note)
        raise


def _takes(fn: Any, count: int) -> bool:
    try:
        inspect.signature(fn).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def until(condition: Any) -> Until:
    """What the function of a scan returns behind its outputs: a step in which `condition`, a scalar, is true is the
    last one."""
    return Until(condition)


def listed(given: Any) -> list[Any]:
    """An argument that is one thing, several, or None."""
    if given is None:
        return []
    if isinstance(given, list | tuple) and not isinstance(given, str):
        return list(given)
    return [given]


class State:
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


def returned(given: Any) -> tuple[list[Variable], Updates, Any]:
    """Outputs, updates and the condition of `until` in what a function of a scan has returned."""
    parts = list(given) if isinstance(given, tuple | list) else [given]
    condition = None
    if parts and isinstance(parts[-1], Until):
        condition = parts.pop().condition
    outputs: list[Any] = []
    updates: Updates = {}
    if len(parts) == 2 and _are_updates(parts[1]) and not _are_updates(parts[0]):
        outputs, updates = listed(parts[0]), _updates(parts[1])
    elif len(parts) == 2 and _are_updates(parts[0]) and not _are_updates(parts[1]):
        outputs, updates = listed(parts[1]), _updates(parts[0])
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


def condition_of(given: Any) -> Variable:
    """The condition of `until`, a 0-d bool."""
    condition = as_variable(given)
    if condition.ndim:
        raise ShapeError(f"scan: the condition of until must be a scalar\n  {describe(condition)}")
    return condition if condition.type.dtype == "bool" else f.neq(condition, 0)


def chunk_of(checkpoint: Any) -> int | None:
    """How many steps there are between checkpoints, 0 for about the square root of their number, None for none."""
    if checkpoint is None or checkpoint is False:
        return None
    if checkpoint is True:
        return 0
    if not isinstance(checkpoint, int) or checkpoint < 1:
        raise OptionError(f"scan: checkpoint is True, False, None or a number of steps, not {checkpoint!r}")
    return checkpoint


def taps_of(given: Any, otherwise: list[int]) -> list[int]:
    """A list of taps; OptionError for what is none."""
    if given is None:
        return otherwise
    taps = [given] if isinstance(given, int) else list(given)
    if not taps or not all(isinstance(tap, int) for tap in taps) or len(set(taps)) < len(taps):
        raise OptionError(f"scan: taps are a list of different whole numbers, not {given!r}")
    return taps


def missing(what: str) -> Any:
    """InputError for a dict that says too little."""
    raise InputError(f"scan: a dict for a sequence needs {what!r}")


def refuse_options(where: str, options: Mapping[str, Any]) -> None:
    """InputError for what is left of a dict."""
    if options:
        raise InputError(f"scan: {where} has an entry with {sorted(options)}, which is unknown")

"""Passes over a program: what runs, times and records them, and the first one, which all targets have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Generic, NamedTuple, TypeVar

from numgraph.config import config
from numgraph.graph import Variable
from numgraph.inspector.record import PassRecord
from numgraph.program import Program
from numgraph.stable.engine import Fired, stabilised


@dataclass
class Progress:
    """A program on its way. Each field below `records` is set by the pass that makes it, and read by later ones.

    records: of the passes so far, those of builds that were given up included. stable: the outputs and new values in
    stable forms; fired: what rules did for that.
    """

    program: Program
    records: dict[str, PassRecord]
    stable: list[Variable] = field(init=False)
    fired: list[Fired] = field(init=False)


S = TypeVar("S", bound=Progress)
Read = TypeVar("Read", bound=Progress, contravariant=True)
# What a pass made, in numbers.
Made = dict[str, int]


class Pass(NamedTuple, Generic[Read]):
    """One step: `work` reads and sets fields of a state, and says what it made."""

    name: str
    work: Callable[[Read], Made]


def passed(state: S, passes: Sequence[Pass[S]]) -> S:
    """The state after passes, each timed and recorded."""
    for name, work in passes:
        record = state.records.setdefault(name, PassRecord(name))
        start = perf_counter()
        record.made = work(state)
        record.seconds += perf_counter() - start
        record.runs += 1
        if config.debug >= 3:
            print(f"numgraph: {state.program.title}: {record}", file=sys.stderr)
    return state


def stabilise(state: Progress) -> Made:
    """Forms that keep numbers right."""
    program = state.program
    state.fired = []
    state.stable = stabilised(program.results, program.variables, state.fired)
    return {"results": len(state.stable)}


STABILISE = Pass("stabilise", stabilise)

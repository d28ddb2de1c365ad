"""The reference as a target: the graph op by op with NumPy, without a compiler."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from numgraph.binder import Array, Binder, Call, Column, Counts, bytes_of
from numgraph.destinations import FRESH, Destinations
from numgraph.explain.explanation import Explanation
from numgraph.graph import Variable
from numgraph.inspector.record import FunctionRecord, PassRecord
from numgraph.passes import STABILISE, Progress, passed
from numgraph.program import Program
from numgraph.reference import evaluate
from numgraph.rewrite.assume import NOTHING, Keys, Leaf
from numgraph.shared import SharedVariable
from numgraph.target import Compiled, Sweep, missing
from numgraph.whole import CALLS, Action, begin, end, held, undisturbed


@dataclass(frozen=True)
class Stabilised:
    """All that a program computes, in stable forms; no assumption is made, so there is one variant of it."""

    results: list[Variable]
    passes: list[PassRecord]
    shared: tuple[SharedVariable, ...] = ()


class ReferenceTarget:
    """Runs one program with NumPy: slow, and what every other target must agree with."""

    name = "reference"
    estimates = False

    def __init__(self, program: Program) -> None:
        self.program = program

    def compile(self, given_up: Keys = NOTHING, leaf: Leaf | None = None) -> Compiled[Stabilised]:
        """The program in stable forms."""
        state = passed(Progress(self.program, {}), [STABILISE])
        return Compiled(Stabilised(state.stable, list(state.records.values())), NOTHING)

    def bind(self, shared: Sequence[SharedVariable]) -> None:
        """Nothing: values are read wherever they are."""

    def run(
        self, variant: Stabilised, arguments: Sequence[Array], then: Sequence[Action], into: Destinations = FRESH
    ) -> list[Array]:
        """The outputs; updates are stored once everything is computed."""
        program = self.program
        values = dict(zip(program.variables, arguments, strict=True))
        count = len(program.outputs)
        nested = held()
        with CALLS:
            begun = begin(nested)
            results = evaluate(variant.results, values)
            for number, output in enumerate(results[:count]):
                into.check(number, output.shape)
            undisturbed(begun, *self._stored(results[count:]), *then)
            end(nested)
        return results[:count]

    def _stored(self, values: Sequence[Array]) -> list[Action]:
        targets = [target.storage for target, _ in self.program.updates]
        return [action for t, new in zip(targets, values, strict=True) for action in t.setting(new)]

    def call(self, variant: Stabilised, binder: Binder, general: Call) -> Call:
        """The general call."""
        return general

    def sweep(self, variant: Stabilised, columns: Sequence[Column], count: int) -> Sweep | None:
        """None: steps are called one by one."""
        return None

    def counts(self) -> Counts | None:
        """None: arguments and outputs are what there is to count."""
        return None

    def allocated(self, outputs: Sequence[Array]) -> int:
        """The bytes of the outputs and of the new values of shared variables."""
        new = sum(prod(s.storage.shape) * np.dtype(s.dtype).itemsize for s, _ in self.program.updates)
        return bytes_of(outputs) + new

    def explain(self, variant: Stabilised, arguments: Sequence[Array] | None, kept: int) -> Explanation:
        """OptionError: nothing is known of what a call costs."""
        raise missing(self.program, self.name, "explanation")

    def complete(self, record: FunctionRecord, variant: Stabilised) -> None:
        """The passes: the record has the graph, and nothing else is made of it."""
        record.passes = variant.passes

    def source(self, variant: Stabilised) -> str:
        """OptionError: there is none."""
        raise missing(self.program, self.name, "source")

    def listing(self, variant: Stabilised) -> str:
        """OptionError: there is none."""
        raise missing(self.program, self.name, "listing")

    def dispatcher(self, variant: Stabilised) -> Any:
        """OptionError: nothing is compiled."""
        raise missing(self.program, self.name, "compiled")

    def export(self, variant: Stabilised, path: str | Path, data: str, unset: Iterable[int]) -> None:
        """OptionError: there is no source to write."""
        raise missing(self.program, self.name, "export")

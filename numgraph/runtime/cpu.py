"""The processor as a target: native code, entered by a call that is generated for each function."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numgraph.binder import Array, Binder, Call, Column, Counts, bytes_of
from numgraph.destinations import FRESH, Destinations
from numgraph.program import Program
from numgraph.runtime.fastcall import FastCall, can_be_fast
from numgraph.runtime.native import dispatcher
from numgraph.runtime.sweep import NativeSweep
from numgraph.runtime.variant import NativeVariant
from numgraph.shared import SharedVariable
from numgraph.target import Build, Compiled, contiguous
from numgraph.text import printable
from numgraph.whole import CALLS, Action, begin, end, held

if TYPE_CHECKING:
    from numgraph.explain.explanation import Explanation
    from numgraph.inspector.record import FunctionRecord
    from numgraph.rewrite.assume import Keys, Leaf
    from numgraph.schedule.arrange import LoopNest


class ProcessorTarget:
    """Runs one program by native code. It is among the users of its shared variables' storages."""

    name = "cpu"
    estimates = True

    def __init__(self, program: Program, build: Build[NativeVariant]) -> None:
        self.program = program
        self.build = build
        self.shared: Sequence[SharedVariable] = ()
        # not empty while a shared variable's value may be on a device
        self.away: list[bool] = []

    def compile(self, given_up: Keys, leaf: Leaf | None) -> Compiled[NativeVariant]:
        """A variant that does not assume what was given up, for a call whose arrays `leaf` knows."""
        return self.build(given_up, leaf)

    def bind(self, shared: Sequence[SharedVariable]) -> None:
        """Be told where the values of shared variables are, from now on."""
        self.shared = shared
        for variable in shared:
            variable.storage.users.add(self)
            if variable.storage.remote is not None:
                self.displaced()

    def displaced(self) -> None:
        """A shared variable's value is about to leave this machine's memory: calls must bring it home first."""
        self.away.append(True)

    def bring_home(self) -> None:
        """Fetch the values of shared variables that are on a device. The caller holds CALLS, so that they stay."""
        if self.away:
            for variable in self.shared:
                variable.storage.come_home()
            self.away.clear()

    def run(
        self, variant: NativeVariant, arguments: Sequence[Array], then: Sequence[Action], into: Destinations = FRESH
    ) -> list[Array]:
        """The outputs; updates are done, and `then` with them."""
        arrays = contiguous(arguments)
        nested = held()
        with CALLS:
            begun = begin(nested)
            self.bring_home()
            outputs = variant.run(arrays, begun, then, into)
            end(nested)
            return outputs

    def call(self, variant: NativeVariant, binder: Binder, general: Call) -> Call:
        """A call generated for the variant, or the general one where that cannot be right."""
        if not can_be_fast(self.program):
            return general
        return FastCall(self.program, binder, variant, general, self.away).build()

    def sweep(self, variant: NativeVariant, columns: Sequence[Column], count: int) -> NativeSweep | None:
        """What runs many steps in one native call; None where the variant cannot."""
        return NativeSweep(variant, columns, count, self.bring_home) if variant.artifact.sweeps else None

    def counts(self) -> Counts | None:
        """None: arguments and outputs are what there is to count."""
        return None

    def allocated(self, outputs: Sequence[Array]) -> int:
        """The bytes of the outputs."""
        return bytes_of(outputs)

    def explain(self, variant: NativeVariant, arguments: Sequence[Array] | None, kept: int) -> Explanation:
        """What a call costs, with these arguments if they are given, without making it."""
        from numgraph.explain.estimate import Estimator
        from numgraph.inspector.record import UNNAMED
        from numgraph.ir import Requirement
        from numgraph.rewrite.assume import MEMORY

        arrays = None if arguments is None else contiguous(arguments)
        found = Estimator(variant, arrays, None if arrays is None else self._chunks(variant, arrays))
        said = found.explanation(printable(self.program.name or UNNAMED))
        conditions = [cause for cause in variant.module.failures if isinstance(cause, Requirement)]
        assumed = sum(c.kind == "assume" and c.key != MEMORY for c in conditions)
        count = "1 variant" if kept == 1 else f"{kept} variants"
        equal = "1 pair of lengths" if assumed == 1 else f"{assumed} pairs of lengths"
        said.notes.append(f"{count} compiled" + (f"; the one in use assumes {equal} to be equal" if assumed else ""))
        return said

    def _chunks(self, variant: NativeVariant, arrays: Sequence[Array]) -> dict[LoopNest, int]:
        """Into how many chunks the plan of a call with these arguments divides each loop nest."""
        nested = held()
        with CALLS:
            begun = begin(nested)
            self.bring_home()
            chunks = variant.plan(arrays, begun)
            end(nested)
        return chunks

    def complete(self, record: FunctionRecord, variant: NativeVariant) -> None:
        """Add to a record what the variant knows."""
        from numgraph.runtime.explain import complete

        complete(record, variant)

    def source(self, variant: NativeVariant) -> str:
        """The generated source."""
        return variant.module.text

    def listing(self, variant: NativeVariant) -> str:
        """The source with the user's lines."""
        return variant.module.listing

    def dispatcher(self, variant: NativeVariant) -> Any:
        """Numba's dispatcher of the entry."""
        return dispatcher(variant.native.path, variant.module.text)

    def export(self, variant: NativeVariant, path: str | Path, data: str, unset: Iterable[int]) -> None:
        """Write the variant as a module of its own."""
        from numgraph.runtime.export import export

        export(variant, self.program, path, data, unset)

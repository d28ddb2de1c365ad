"""Runs a program on a target: compiled variants, the choice among them, and errors in the user's terms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from numgraph.binder import Array, Binder, Call, Column
from numgraph.destinations import FRESH, Destinations
from numgraph.program import Program
from numgraph.target import CheckFailed, Sweep, Target, V
from numgraph.whole import Action, Disturbed, at_once, uncollected

if TYPE_CHECKING:
    from numgraph.explain.explanation import Explanation
    from numgraph.inspector.record import FunctionRecord
    from numgraph.rewrite.assume import Key

Result = TypeVar("Result")

# Compiled forms kept for one function: calls whose lengths take turns find theirs again.
MAX_VARIANTS = 4
# Variants that one call tries before it gets one that assumes nothing.
MAX_TRIED = 2 * MAX_VARIANTS


class Executor(Generic[V]):
    """What stands behind a function, whatever its target.

    switched: called when another variant takes over. bytes_allocated: of the arrays that `run` has made.
    """

    def __init__(self, program: Program, target: Target[V]) -> None:
        self.program = program
        self.target = target
        self.bytes_allocated = 0
        # Numba's dispatcher, where somebody asked for it, and of which variant
        self.dispatcher: tuple[V, Any] | None = None
        self.switched: Callable[[], None] | None = None
        # given_up: assumptions about lengths that did not hold in a call, or do not beside others
        self.variant, self.given_up = target.compile(frozenset(), None)
        # the one of which `switched` was told last
        self.chosen = self.variant
        self.variants = [self.variant]
        target.bind(self.variant.shared)

    def run(self, arguments: Sequence[Array], then: Sequence[Action] = (), into: Destinations = FRESH) -> list[Array]:
        """The outputs; updates are done, and `then` with them. ShapeError or IndexOutOfRange leave every shared
        variable as it was."""
        outputs = self.attempted(arguments, lambda variant: self.target.run(variant, arguments, then, into))
        self.bytes_allocated += self.target.allocated(into.made(outputs))
        return into.filled(outputs)

    def attempted(self, arguments: Sequence[Array], work: Callable[[V], Result]) -> Result:
        """What `work` gives for the first variant whose assumptions hold for these arguments; ShapeError or
        IndexOutOfRange."""
        tried: list[V] = []
        failed: set[Key] = set()
        while True:
            variant = self.variant
            tried.append(variant)
            try:
                found = work(variant)
            except Disturbed:
                tried.pop()
                continue
            except CheckFailed as problem:
                self.recover(problem, arguments, tried, failed)
                continue
            if self.chosen is not self.variant:
                # after an interrupt, too, which may have come between the two
                self._tell()
            return found

    def recover(self, problem: CheckFailed, arguments: Sequence[Array], tried: list[V], failed: set[Key]) -> None:
        """After a failed check in a call with these arguments: another variant to try, or the user's error.

        failed: the assumptions that did not hold in this call; a new variant makes none of them. Nothing changes
        before it is compiled.
        """
        # loaded when they are first needed: most calls refuse nothing
        from numgraph.ir import Requirement
        from numgraph.rewrite.assume import ALL
        from numgraph.runtime.refused import is_mismatch, leaves_of, refused

        cause, leaf = problem.cause, leaves_of(tried[-1].shared, arguments)
        if not isinstance(cause, Requirement) or cause.kind != "assume" or is_mismatch(problem):
            error = refused(self.program, problem, arguments, leaf)
            raise error from error.__cause__
        failed.add(cause.key)
        given_up, variants = self.given_up, self.variants
        other = next((v for v in variants if v not in tried), None)
        if other is None:
            if len(tried) > MAX_TRIED:
                failed.add(ALL)
            other, given_up = uncollected(partial(self.target.compile, given_up | failed, leaf))
            variants = [other, *variants][:MAX_VARIANTS]
        at_once(
            partial(setattr, self, "given_up", given_up),
            partial(setattr, self, "variants", variants),
            partial(setattr, self, "variant", other),
        )

    def _tell(self) -> None:
        """Have calls use the present variant."""
        variant = self.variant
        if self.switched is not None:
            self.switched()
        self.chosen = variant

    def call(self, binder: Binder, general: Call) -> Call:
        """What a call enters: `general`, or what stands for it while the present variant is in use."""
        return self.target.call(self.variant, binder, general)

    def sweep(self, columns: Sequence[Column], count: int) -> Sweep | None:
        """What runs many steps at once; None where the present variant cannot."""
        return self.target.sweep(self.variant, columns, count)

    def explanation(self, arguments: Sequence[Array] | None = None) -> Explanation:
        """What a call costs; with arguments, one with their lengths, without making it.

        ShapeError or IndexOutOfRange where the plan refuses the arguments; OptionError where the target does not know.
        """
        if arguments is None:
            return self.target.explain(self.variant, None, len(self.variants))
        return self.attempted(arguments, lambda variant: self.target.explain(variant, arguments, len(self.variants)))

    def complete(self, record: FunctionRecord) -> None:
        """Add to a record what the present variant knows."""
        self.target.complete(record, self.variant)

    def export(self, path: str | Path, data: str, unset: Iterable[int]) -> None:
        """Write the present variant as a module of its own; OptionError where there is no such module."""
        self.target.export(self.variant, path, data, unset)

    @property
    def compiled(self) -> Any:
        """Numba's dispatcher of the present variant's entry; OptionError where there is none."""
        if self.dispatcher is None or self.dispatcher[0] is not self.variant:
            self.dispatcher = self.variant, self.target.dispatcher(self.variant)
        return self.dispatcher[1]

    @property
    def source(self) -> str:
        """The generated source; OptionError where there is none."""
        return self.target.source(self.variant)

    @property
    def listing(self) -> str:
        """The source with the user's lines; OptionError where there is none."""
        return self.target.listing(self.variant)

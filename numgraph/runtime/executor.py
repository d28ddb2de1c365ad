"""The CPU executor of a function: compiled variants, the choice among them, and errors in the user's terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import IndexOutOfRange, NumgraphError, ShapeError, SizeError
from numgraph.inspector.explanation import Explanation
from numgraph.inspector.record import UNNAMED, FunctionRecord
from numgraph.ir import Graph, Node, Requirement, involved
from numgraph.rewrite.assume import ALL, NOTHING, Key, Keys, Leaf
from numgraph.rewrite.values import Values
from numgraph.runtime import explain
from numgraph.runtime.estimate import Estimator
from numgraph.runtime.export import export
from numgraph.runtime.fastcall import FastCall, can_be_fast
from numgraph.runtime.native import dispatcher
from numgraph.runtime.sweep import NativeSweep
from numgraph.runtime.users import raised_again, raised_error
from numgraph.runtime.variant import CheckFailed, Variant, is_raised
from numgraph.text import printable
from numgraph.whole import CALLS, Action, Disturbed, at_once, begin, end, held

Array = NDArray[Any]
Result = TypeVar("Result")

# Compiled forms kept for one function: calls whose lengths take turns find theirs again.
MAX_VARIANTS = 4
# Variants that one call tries before it gets one that assumes nothing.
MAX_TRIED = 2 * MAX_VARIANTS


class Executor:
    """Runs a program by compiled code.

    `compile_variant(given_up, leaf)` makes code that does not assume what was given up, for a call whose arrays `leaf`
    knows, and says what it did not assume.
    """

    def __init__(self, program: Any, compile_variant: Callable[[Keys, Leaf | None], tuple[Any, Keys]]) -> None:
        self.program = program
        self.compile_variant = compile_variant
        # assumptions about lengths that did not hold in a call, or do not beside others
        self.given_up: Keys
        self.bytes_allocated = 0
        # Numba's dispatcher, where somebody asked for it, and of which variant
        self.dispatcher: tuple[Variant, Any] | None = None
        # called when another variant takes over; chosen: the one of which it was told last
        self.switched: Callable[[], None] | None = None
        self.variant: Variant
        self.variant, self.given_up = compile_variant(NOTHING, None)
        self.chosen = self.variant
        self.variants = [self.variant]
        # not empty while a shared variable's value may be on a device
        self.away: list[bool] = []
        for variable in self.variant.shared:
            variable.storage.users.add(self)
            if variable.storage.remote is not None:
                self.displaced()

    def displaced(self) -> None:
        """A shared variable's value is about to leave this machine's memory: calls must bring it home first."""
        self.away.append(True)

    def bring_home(self) -> None:
        """Fetch the values of shared variables that are on a device. The caller holds CALLS, so that they stay."""
        if self.away:
            for variable in self.variant.shared:
                variable.storage.come_home()
            self.away.clear()

    def run(self, arguments: Sequence[Array], then: Sequence[Action] = ()) -> list[Array]:
        """The outputs; updates are done. ShapeError or IndexOutOfRange leave every shared variable as it was."""
        arrays = [np.ascontiguousarray(a) if a.ndim else a for a in arguments]
        outputs = self.attempted(arrays, lambda variant: self._run(variant, arrays, then))
        self.bytes_allocated += sum(a.nbytes for a in outputs)
        return outputs

    def _run(self, variant: Variant, arrays: Sequence[Array], then: Sequence[Action]) -> list[Array]:
        nested = held()
        with CALLS:
            begun = begin(nested)
            self.bring_home()
            outputs = variant.run(arrays, begun, then)
            end(nested)
            return outputs

    def attempted(self, arrays: Sequence[Array], work: Callable[[Variant], Result]) -> Result:
        """What `work` gives for the first variant whose assumptions hold for these arguments; ShapeError or
        IndexOutOfRange."""
        tried: list[Variant] = []
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
                self.recover(problem, arrays, tried, failed)
                continue
            if self.chosen is not self.variant:
                # after an interrupt, too, which may have come between the two
                self._tell()
            return found

    def recover(self, problem: CheckFailed, arrays: Sequence[Array], tried: list[Variant], failed: set[Key]) -> None:
        """After a failed check in a call with these arguments: another variant to try, or the user's error.

        failed: the assumptions that did not hold in this call; a new variant makes none of them. Nothing changes
        before it is compiled.
        """
        cause, variant = problem.cause, tried[-1]
        leaf = leaves_of(variant, arrays)
        if cause.kind != "assume" or is_mismatch(cause, problem):
            error = error_of(variant.schedule.graph, problem, leaf)
            if is_raised(cause) and not problem.words:
                error = raised_again(self.program, cause, arrays, error)
            raise error from error.__cause__
        failed.add(cause.key)
        given_up, variants = self.given_up, self.variants
        other = next((v for v in variants if v not in tried), None)
        if other is None:
            if len(tried) > MAX_TRIED:
                failed.add(ALL)
            other, given_up = self.compile_variant(given_up | failed, leaf)
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

    def fast_call(self, program: Any, binder: Any, general: Callable[..., Any]) -> Callable[..., Any]:
        """A call generated for the present variant, or the general one where that cannot be right."""
        if not can_be_fast(program):
            return general
        return FastCall(program, binder, self.variant, general, self.away).build()

    def native_sweep(self, columns: Sequence[tuple[Any, Any]], count: int) -> NativeSweep | None:
        """What runs many steps in one native call; None where the present variant cannot."""
        if not self.variant.module.sweeps:
            return None
        return NativeSweep(self.variant, [(c.values, c.varies) for _, c in columns], count, self.bring_home)

    def explanation(self, arguments: Sequence[Array] | None = None) -> Explanation:
        """What a call costs; with arguments, one with their lengths, without making it.

        ShapeError or IndexOutOfRange where the plan refuses the arguments.
        """
        if arguments is None:
            found = Estimator(self.variant, None)
        else:
            arrays = [np.ascontiguousarray(a) if a.ndim else a for a in arguments]
            found = Estimator(*self.attempted(arrays, lambda variant: self._planned(variant, arrays)))
        said = found.explanation(printable(self.program.name or UNNAMED))
        assumed = sum(getattr(cause, "kind", "") == "assume" for cause in self.variant.module.failures)
        count = "1 variant" if len(self.variants) == 1 else f"{len(self.variants)} variants"
        equal = "1 pair of lengths" if assumed == 1 else f"{assumed} pairs of lengths"
        said.notes.append(f"{count} compiled" + (f"; the one in use assumes {equal} to be equal" if assumed else ""))
        return said

    def _planned(self, variant: Variant, arrays: Sequence[Array]) -> tuple[Variant, Sequence[Array], dict[Any, int]]:
        """The variant that a call with these arguments would run, the arguments, and shares by divided block."""
        nested = held()
        with CALLS:
            begun = begin(nested)
            self.bring_home()
            shares = variant.plan(arrays, begun)
            end(nested)
            return variant, arrays, shares

    def complete(self, record: FunctionRecord) -> None:
        """Add to a record what the present variant knows."""
        explain.complete(record, self.variant)

    def export(self, path: str | Path) -> None:
        """Write the present variant as a module of its own."""
        export(self.variant, self.program, path)

    @property
    def compiled(self) -> Any:
        """Numba's dispatcher of the present variant's entry."""
        if self.dispatcher is None or self.dispatcher[0] is not self.variant:
            self.dispatcher = self.variant, dispatcher(self.variant.native.path, self.variant.module.text)
        return self.dispatcher[1]

    @property
    def source(self) -> str:
        """The generated source."""
        return self.variant.module.text

    @property
    def listing(self) -> str:
        """The source with the user's lines."""
        return self.variant.module.listing


def is_mismatch(cause: Any, failed: CheckFailed) -> bool:
    """Whether an assumption of equal lengths failed on lengths that do not broadcast either."""
    return (
        isinstance(cause.node, tuple) and len(cause.node) > 1 and failed.a != failed.b and 1 not in (failed.a, failed.b)
    )


def leaves_of(variant: Variant, arrays: Sequence[Array]) -> Leaf:
    """The arrays that the leaves of any variant of a program are in a call; of what is on a device the shape alone."""

    def leaf(node: Node) -> Any:
        if node.kind == "shared":
            storage = variant.shared[node.attrs[0]].storage
            return storage.held if storage.remote is None else storage
        return node.graph.arrays[node.attrs[0]] if node.kind == "array" else arrays[node.attrs[0]]

    return leaf


def error_of(graph: Graph, failed: CheckFailed, leaf: Leaf | None = None) -> NumgraphError:
    """The error that a failed check means to the user: what, with which values, the arrays and lines involved, with
    their lengths in the call where `leaf` knows it."""
    cause, values = failed.cause, Values(leaf or (lambda node: None))
    shapes = cause.shapes if isinstance(cause, Requirement) else {v: v.dims for v in involved(cause.node)}
    shown = "".join(graph.where(v, [values(n) for n in lengths]) for v, lengths in shapes.items())
    shown += called_at(graph, cause)
    if is_raised(cause):
        return raised_error(cause, failed.words, shown)
    if cause.kind in ("check", "range"):
        what = f"index {failed.a} is out of range for an axis of length {failed.b}"
        return IndexOutOfRange(f"{what}\n{shown}  fix: indices must lie in [-{failed.b}, {failed.b})")
    a, b = failed.a, failed.b
    if isinstance(cause.node, tuple):
        # in the order of the operands, whichever the condition names first
        met = [n for lengths in shapes.values() for n in map(values, lengths)]
        if a in met and b in met and met.index(b) < met.index(a):
            a, b = b, a
    text = cause.message.format(a=a, b=b)
    if "{a}" not in cause.message and cause.kind != "nonempty":
        text += f" ({a} and {b})"
    return class_of(cause)(f"{text}\n{shown}".rstrip("\n"))


def called_at(graph: Graph, cause: Any) -> str:
    """`  dot called at train.py:34`, the operation that needs a condition."""
    node = cause.node
    whole = isinstance(node, Node) and node.op is not None
    lines = graph.lines.get(node, ()) if whole else getattr(cause, "lines", ())
    what = node.op.title if whole else getattr(cause, "message", "").partition(":")[0]
    return f"  {what} called at {', '.join(map(str, lines))}\n" if lines and what and cause.kind != "length" else ""


def class_of(cause: Any) -> type[ShapeError]:
    """The class of the error for a condition: what the op that needs it says."""
    if cause.kind == "fits":
        return SizeError
    checks = cause.node.op.checks if isinstance(cause.node, Node) and cause.node.op is not None else ()
    return next((check.error for check in checks if cause.message.endswith(check.message)), ShapeError)

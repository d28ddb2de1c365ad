"""The CPU executor of a function: compiled variants, the choice among them, and errors in the user's terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import IndexOutOfRange, NumgraphError, ShapeError
from numgraph.inspector.explanation import Explanation
from numgraph.inspector.record import UNNAMED, FunctionRecord
from numgraph.ir import Graph, Node
from numgraph.rewrite.build import length_text
from numgraph.runtime import explain
from numgraph.runtime.estimate import Estimator
from numgraph.runtime.export import export
from numgraph.runtime.fastcall import FastCall, can_be_fast
from numgraph.runtime.sweep import NativeSweep
from numgraph.runtime.variant import CheckFailed, Variant
from numgraph.whole import CALLS, Action, Disturbed, at_once, begin, end

Array = NDArray[Any]
Result = TypeVar("Result")

# Compiled forms kept for one function: calls whose lengths take turns find theirs again.
MAX_VARIANTS = 4


class Executor:
    """Runs a program by compiled code. `compile_variant(denied)` makes code that does not assume what `denied`
    lists."""

    def __init__(self, program: Any, compile_variant: Callable[[frozenset[Any]], Any]) -> None:
        self.program = program
        self.compile_variant = compile_variant
        self.denied: frozenset[Any] = frozenset()
        self.bytes_allocated = 0
        # called when another variant takes over; chosen: the one of which it was told last
        self.switched: Callable[[], None] | None = None
        self.variant: Variant = compile_variant(self.denied)
        self.chosen = self.variant
        self.variants = [self.variant]
        # not empty while a shared variable's value may be on a device
        self.away: list[bool] = [True for v in self.variant.shared if v.storage.remote is not None]
        for variable in self.variant.shared:
            variable.storage.users.add(self)

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
        outputs = self.attempted(lambda variant: self._run(variant, arrays, then))
        self.bytes_allocated += sum(a.nbytes for a in outputs)
        return outputs

    def _run(self, variant: Variant, arrays: Sequence[Array], then: Sequence[Action]) -> list[Array]:
        nested = CALLS._is_owned()  # type: ignore[attr-defined]
        with CALLS:
            begun = begin(nested)
            self.bring_home()
            outputs = variant.run(arrays, begun, then)
            end(nested)
            return outputs

    def attempted(self, work: Callable[[Variant], Result]) -> Result:
        """What `work` gives for the first variant whose assumptions hold; ShapeError or IndexOutOfRange."""
        tried: list[Variant] = []
        failed: set[Any] = set()
        while True:
            variant = self.variant
            tried.append(variant)
            try:
                found = work(variant)
            except Disturbed:
                tried.pop()
                continue
            except CheckFailed as problem:
                self.recover(variant, problem, tried, failed)
                continue
            if self.chosen is not self.variant:
                # after an interrupt, too, which may have come between the two
                self._tell()
            return found

    def recover(self, variant: Variant, problem: CheckFailed, tried: list[Variant], failed: set[Any]) -> None:
        """After a failed check: another variant to try, or the user's error.

        failed: the assumptions that did not hold in this call; a new variant makes none of them. Nothing changes
        before it is compiled.
        """
        cause = problem.cause
        if cause.kind != "assume" or is_mismatch(cause, problem):
            raise error_of(variant.schedule.graph, problem) from None
        failed.add((length_text(cause.a), length_text(cause.b)))
        denied, variants = self.denied, self.variants
        other = next((v for v in variants if v not in tried), None)
        if other is None:
            if failed <= denied:
                raise error_of(variant.schedule.graph, problem) from None
            denied = denied | failed
            other = self.compile_variant(denied)
            variants = [other, *variants][:MAX_VARIANTS]
        at_once(
            partial(setattr, self, "denied", denied),
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
            found = Estimator(*self.attempted(lambda variant: self._planned(variant, arrays)))
        said = found.explanation(self.program.name or UNNAMED)
        assumed = sum(getattr(cause, "kind", "") == "assume" for cause in self.variant.module.failures)
        count = "1 variant" if len(self.variants) == 1 else f"{len(self.variants)} variants"
        equal = "1 pair of lengths" if assumed == 1 else f"{assumed} pairs of lengths"
        said.notes.append(f"{count} compiled" + (f"; the one in use assumes {equal} to be equal" if assumed else ""))
        return said

    def _planned(self, variant: Variant, arrays: Sequence[Array]) -> tuple[Variant, Sequence[Array], dict[Any, int]]:
        """The variant that a call with these arguments would run, the arguments, and shares by divided block."""
        nested = CALLS._is_owned()  # type: ignore[attr-defined]
        with CALLS:
            self.bring_home()
            return variant, arrays, variant.plan(arrays, begin(nested))

    def complete(self, record: FunctionRecord) -> None:
        """Add to a record what the present variant knows."""
        explain.complete(record, self.variant)

    def export(self, path: str | Path) -> None:
        """Write the present variant as a module of its own."""
        export(self.variant, self.program, path)

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


def error_of(graph: Graph, failed: CheckFailed) -> NumgraphError:
    """The error that a failed check means to the user: what, with which values, the arrays and lines involved."""
    cause = failed.cause
    nodes = [v for v in (cause.node if isinstance(cause.node, tuple) else (cause.node,)) if isinstance(v, Node)]
    shown = "".join(where(graph, v) for v in dict.fromkeys(w for v in nodes for w in (*arrays_of(v), v)))
    if cause.kind in ("check", "range"):
        what = f"index {failed.a} is out of range for an axis of length {failed.b}"
        return IndexOutOfRange(f"{what}\n{shown}  fix: indices must lie in [-{failed.b}, {failed.b})")
    text = cause.message.format(a=failed.a, b=failed.b)
    if "{a}" not in cause.message and cause.kind != "nonempty":
        text += f" ({failed.a} and {failed.b})"
    return ShapeError(f"{text}\n{shown}".rstrip("\n"))


def arrays_of(node: Node) -> list[Node]:
    """The named arrays that a result is made of, or its operands where they have no names."""
    return [v for v in node.inputs if v.dims] if node.op is not None else []


def where(graph: Graph, node: Node) -> str:
    """`  x: float32[?,3]  made at train.py:34`, one line."""
    lengths = ",".join(str(n) if isinstance(n, int) else "?" for n in node.dims)
    name = graph.names.get(node) or (f"the result of {node.name}" if node.op else node.kind)
    shown = f"{node.dtype}[{lengths}]" if node.dims else node.dtype
    lines = ", ".join(map(str, graph.lines.get(node, ())))
    return f"  {name}: {shown}" + (f"  made at {lines}" if lines else "") + "\n"

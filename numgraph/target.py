"""The contract between a function and what it runs on: one `Target` stands behind each function.

`Executor` is written against it, once for all targets: it keeps the compiled forms, chooses among them, gives
assumptions up and makes the user's errors. A target says how a form is made, entered, swept and described.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from numgraph.binder import Array, Binder, Call, Column, Counts
from numgraph.destinations import FRESH, Destinations
from numgraph.errors import OptionError
from numgraph.program import Program
from numgraph.shared import SharedVariable
from numgraph.whole import Action

if TYPE_CHECKING:
    from numgraph.explain.explanation import Explanation
    from numgraph.inspector.record import FunctionRecord
    from numgraph.ir import Graph, Requirement
    from numgraph.loops.values import Broken, Raised
    from numgraph.rewrite.assume import Keys, Leaf
    from numgraph.schedule.tasks import Task


# Why a variant may refuse to run.
Cause: TypeAlias = "Requirement | Raised | Broken | Task"
# What stands for an index that was refused and its length, where nothing knows them any more.
GONE = 0, -1


class CheckFailed(Exception):
    """A variant refused to run: which condition of its graph, and two values that it saw. words: arguments of what
    raised."""

    def __init__(self, graph: Graph, cause: Cause, a: int, b: int, words: Sequence[int] = ()) -> None:
        super().__init__(cause, a, b)
        self.graph, self.cause, self.a, self.b, self.words = graph, cause, a, b, words


class Variant(Protocol):
    """One compiled form of a program."""

    @property
    def shared(self) -> Sequence[SharedVariable]:
        """The shared variables, by number; the same in every variant of a program."""


V = TypeVar("V", bound=Variant)


class Compiled(NamedTuple, Generic[V]):
    """A variant, and the assumptions that it is made without."""

    variant: V
    given_up: Keys


Build = Callable[["Keys", "Leaf | None"], Compiled[V]]


class Sweep(Protocol):
    """Runs the steps of one sweep without returning to Python in between."""

    @property
    def outputs(self) -> Sequence[Array]:
        """The outputs of all steps, stacked."""

    def run(self, begin: int, end: int, /) -> int:
        """Run steps from `begin`; the first that did not run, `end` when all did."""


class Target(Protocol[V]):
    """What one program runs on.

    Arguments are one array per input, of the right dtype and rank; perhaps strided, read-only, or memory of the
    caller's. Methods that get them raise CheckFailed where the variant is not for them, and Disturbed where a signal
    handler has come in between; then nothing has changed.
    """

    @property
    def name(self) -> str:
        """As `function` is told: "cpu"."""

    @property
    def estimates(self) -> bool:
        """Whether `explain` knows what a call costs."""

    def compile(self, given_up: Keys, leaf: Leaf | None) -> Compiled[V]:
        """A variant that does not assume what was given up, for a call whose arrays `leaf` knows."""

    def bind(self, shared: Sequence[SharedVariable]) -> None:
        """Be told where the values of shared variables are, from now on."""

    def run(
        self, variant: V, arguments: Sequence[Array], then: Sequence[Action], into: Destinations = FRESH
    ) -> list[Array]:
        """The outputs, in fresh memory, or where `into` says if the target can compute them there; ArgumentShapeError
        where they do not fit. When it returns the updates are done, and with them the C functions `then`
        (see `whole.at_once`); when it raises every shared variable is as before. An interrupt leaves either all done
        or nothing."""

    def call(self, variant: V, binder: Binder, general: Call) -> Call:
        """What a call of the function enters while `variant` is the present one: `general`, or what stands for it."""

    def sweep(self, variant: V, columns: Sequence[Column], count: int) -> Sweep | None:
        """What runs `count` steps at once; None where the variant cannot."""

    def counts(self) -> Counts | None:
        """What the device has done so far; None where there is none, and arguments and outputs are counted."""

    def allocated(self, outputs: Sequence[Array]) -> int:
        """The bytes of the arrays that a call with these outputs has made."""

    def explain(self, variant: V, arguments: Sequence[Array] | None, kept: int) -> Explanation:
        """What a call costs, with these arguments if they are given, without making it. kept: how many variants the
        function has."""

    def complete(self, record: FunctionRecord, variant: V) -> None:
        """Add to a record what the variant knows: passes, phases, stages, where and how fast it was compiled."""

    def source(self, variant: V) -> str:
        """The generated source."""

    def listing(self, variant: V) -> str:
        """The source with the user's lines."""

    def dispatcher(self, variant: V) -> Any:
        """Numba's dispatcher of the entry."""

    def export(self, variant: V, path: str | Path, data: str, unset: Iterable[int]) -> None:
        """Write the variant as a module of its own; data: "npz" for its arrays beside it, or "none". unset: the inputs
        whose private state has no value yet."""


def missing(program: Program, target: str, what: str) -> OptionError:
    """The error for what a target does not have."""
    if target == "reference":
        return OptionError(
            f'{program.title} runs on target "reference", which compiles nothing and has no {what}\n'
            '  fix: make it with target="cpu"'
        )
    return OptionError(
        f'{program.title} runs on target "{target}", which has no {what}\n'
        '  fix: make it with target="cpu"; f.record has its kernels and their work'
    )


def contiguous(arguments: Sequence[Array]) -> list[Array]:
    """Arrays as compiled code reads them."""
    return [np.ascontiguousarray(a) if a.ndim else a for a in arguments]

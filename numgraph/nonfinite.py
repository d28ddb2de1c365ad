"""`config.check_nan`: which operation made a NaN or an infinity that a call ends with, and in which line.

The compiled function runs as always. Only when a result is not finite, the call is done again op by op in NumPy, and
followed back from that result: an infinity that later operations take away (`1 / (1 + exp(1000))`) is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.binder import Binder
from numgraph.errors import NotFiniteError
from numgraph.formula import described
from numgraph.graph import Variable, label
from numgraph.passes import STABILISE, Progress, passed
from numgraph.program import Program
from numgraph.reference import about, evaluate
from numgraph.shared import SharedVariable
from numgraph.storage import put_together

Array = NDArray[Any]


class Guard:
    """Looks at what the calls of one function end with."""

    def __init__(self, program: Program, binder: Binder) -> None:
        self.program = program
        self.binder = binder

    def calling(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A call that raises NotFiniteError where a result is not finite; shared variables are as before then."""

        def run(*args: Any, **named: Any) -> Any:
            given = {k: v for k, v in named.items() if k != "out" or k in self.binder.positions}
            arguments = [np.array(a) for a in self.binder(args, given)]
            before = [(s.storage, s.storage.copied()) for s, _ in self.program.updates]
            result = call(*args, **named)
            news = [s.storage.array for s, _ in self.program.updates]
            found = [np.asarray(a) for a in (*self.binder.listed(result), *news)]
            bad = next((k for k, a in enumerate(found) if not is_finite(a)), None)
            if bad is not None:
                put_together(before)
                raise NotFiniteError(
                    f"{self._explained(arguments, found, bad)}\nin a call of {self.binder.signature()}"
                )
            return result

        return run

    def _explained(self, arguments: Sequence[Array], found: Sequence[Array], bad: int) -> str:
        """What made the result number `bad` not finite."""
        stable = passed(Progress(self.program, {}), [STABILISE]).stable
        watch = Watch()
        again = evaluate(stable[bad : bad + 1], dict(zip(self.program.variables, arguments, strict=True)), watch)
        name = self._name(bad)
        if is_finite(again[0]):
            return (
                f"{name} {extent(found[bad])}, and is finite when NumPy computes it op by op\n"
                '  fix: make the function with target="reference" to compare'
            )
        cause, path = watch.cause(stable[bad])
        return f"{cause}\n  and so {name} {extent(found[bad])}{_by(path)}"

    def _name(self, number: int) -> str:
        outputs = len(self.program.outputs)
        if number < outputs:
            variable = self.program.outputs[number]
            return f"output {number}" + (f" ({described(variable)})" if variable.name else "")
        return f"the new value of {label(self.program.updates[number - outputs][0])}"


class Watch:
    """Sees each operation of an evaluation: which results are not finite, and which were made of finite values."""

    def __init__(self) -> None:
        self.finite: dict[Variable, bool] = {}
        self.leaves: dict[Variable, str] = {}
        self.makers: dict[Variable, str] = {}
        # of a loop, by its first result: the first step that ended with a value which is not finite
        self.steps: dict[int, tuple[int, Watch, Variable]] = {}

    def saw(self, node: Variable, arrays: Sequence[Array], result: Array) -> None:
        """An operation, what it got, and what it gave."""
        for v, array in zip(node.inputs, arrays, strict=True):
            if v not in self.finite:
                self.finite[v] = is_finite(array)
                if not self.finite[v]:
                    self.leaves[v] = f"{label(v)}: {_holder(v)} {extent(array)}"
        self.finite[node] = is_finite(result)
        if not self.finite[node] and all(self.finite[v] for v in node.inputs):
            self.makers[node] = _made(node, arrays, result)

    def step(self, loop: Any, number: int, wanted: Sequence[Variable], values: Mapping[Variable, Array]) -> list[Array]:
        """The values of one step of a loop."""
        inner = Watch()
        found = evaluate(wanted, values, inner)
        bad = next((v for v, a in zip(wanted, found, strict=True) if not is_finite(a)), None)
        if bad is not None and id(loop) not in self.steps:
            self.steps[id(loop)] = number, inner, bad
        return found

    def cause(self, node: Variable) -> tuple[str, list[Variable]]:
        """What made a value not finite, and the operations from there to the value."""
        path = [node]
        while node not in self.makers:
            bad = next((v for v in node.inputs if not self.finite.get(v, True)), None)
            if bad is None or bad in self.leaves:
                return self.leaves.get(node if bad is None else bad, f"{label(node)} is not finite"), path
            path.append(node := bad)
        inside = self.steps.get(id(node.attrs.get("loop")))
        if inside is None:
            return self.makers[node], path[:-1]
        number, watch, wanted = inside
        text, inner = watch.cause(wanted)
        return f"{text}\n  in step {number} of a loop", [*path, *inner]


def is_finite(array: Array) -> bool:
    """Whether no element is NaN or infinite."""
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def extent(array: Array) -> str:
    """`has nan at [2] (3 of 10 elements are not finite)`."""
    if not array.ndim:
        return f"is {array}"
    place, count = _first(array), int(np.sum(~np.isfinite(array)))
    verb = "is" if count == 1 else "are"
    return f"has {array[place]} at {list(place)} ({count} of {array.size} elements {verb} not finite)"


def _first(array: Array) -> tuple[int, ...]:
    """Where the first element is that is not finite."""
    return tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])


def _holder(v: Variable) -> str:
    return "the value before the call" if isinstance(v, SharedVariable) else "the argument" if v.op is None else "it"


def _made(node: Variable, arrays: Sequence[Array], result: Array) -> str:
    """What an operation made of finite values, with those that its first bad element was made of."""
    assert node.op is not None
    problem = f"the result {extent(result)}"
    if node.op.scalar:
        parts = [np.broadcast_to(a, result.shape)[_first(result)] for a in arrays]
        problem += f", made of {', '.join(map(str, parts))}"
    else:
        ranges = [f"{a.min()} to {a.max()}" for a in arrays if a.size and a.dtype.kind in "biuf"]
        problem += f", made of finite values, {' and '.join(ranges)}" if ranges else ""
    return about(node, arrays, problem)


def _by(path: Sequence[Variable]) -> str:
    """The operations on the way, with the user's lines, from the first to the last."""
    named = [f"{v.op.title} at {v.line}" for v in reversed(path) if v.op is not None and v.line]
    shown = list(dict.fromkeys(named))
    if len(shown) > 6:
        shown = [*shown[:3], "...", *shown[-2:]]
    return f", by {', '.join(shown)}" if shown else ""

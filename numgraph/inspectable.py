"""How a function shows itself: its source, its record, what calls cost and take, as a page and in notebooks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numgraph.binder import Binder
from numgraph.inspector.record import FunctionRecord
from numgraph.program import Program
from numgraph.whole import uncollected

if TYPE_CHECKING:
    from numgraph.explain.explanation import Explanation
    from numgraph.inspector.making import Making
    from numgraph.profiling.result import Profile
    from numgraph.runtime.executor import Executor


class Inspectable:
    """What can be seen of a function."""

    __slots__ = ("__dict__", "__weakref__")

    program: Program
    target: str
    executor: Executor[Any]
    _binder: Binder
    _record: FunctionRecord | None

    @property
    def source(self) -> str:
        """The generated source that was compiled."""
        return self.executor.source

    @property
    def listing(self) -> str:
        """The generated source with the user's lines beside it."""
        return self.executor.listing

    @property
    def compiled(self) -> Any:
        """Numba's dispatcher of the function's entry, with what it was compiled to in `compiled.overloads`.

        Machine code that was found in the cache was loaded alone: then it is compiled now. OptionError for another
        target than "cpu".
        """
        return self.executor.compiled

    def inspect_llvm(self) -> str:
        """The LLVM IR that Numba has optimised, as text; OptionError for another target than "cpu"."""
        return "".join(map(str, self.compiled.inspect_llvm().values()))

    def inspect_asm(self) -> str:
        """The machine code as text of the assembler; OptionError for another target than "cpu"."""
        return "".join(map(str, self.compiled.inspect_asm().values()))

    @property
    def record(self) -> FunctionRecord:
        """What is known about the function, as data: the inspector shows it, `to_json` writes it."""
        if self._record is None:
            from numgraph.inspector.describe import record_of

            self._record = record_of(self.program, self.target)
            self.executor.complete(self._record)
            self._record.making = partial(_made, self.program, self.target, self.executor)
            if self.executor.target.estimates:
                # without a cycle through the function
                explain = partial(_explained, self.executor, self._binder)
                self._record.explanation = explain
                self._record.stages["explain"] = lambda: str(explain())
        return self._record

    def explain(self, /, *args: Any, **named: Any) -> Explanation:
        """What a call costs, without making it: for each phase operations, bytes, the predicted time and what limits
        it, on how many threads it runs and why; print it for a table of 100 columns.

        args, named: example arguments of a call, of which only the lengths matter; without them, lengths that only a
        call tells are `?`, and windows `s[i*B:(i+1)*B]` count as whole. Predictions rest on figures of this machine,
        measured when they are first needed (a quarter of a second) and kept in the cache folder.

        Raises what a call with these arguments raises before it computes, and OptionError for target "reference".
        """
        return _explained(self.executor, self._binder, *args, **named)

    def profile(self, /, *args: Any, calls: int | None = None, **named: Any) -> Profile:
        """What calls with these arguments take: for each phase its time, on each thread, beside its work, what the
        machine could reach and what `explain` predicts; print it for tables of 80 columns, `trace` writes it for
        Perfetto.

        The calls run in a second compiled form, which reads the clock, and on copies of the shared variables that the
        function updates: afterwards these are as before, whatever happens. calls: how many, one after the other, each
        on the state that the one before has left; None for as many as half a second has room for, 3 to 1000. One more
        call comes first and is not counted. Functions of the user's are called as in any call; nothing is printed.

        Raises what a call raises; OptionError for targets "cuda" and "cuda-sim". `record.profile` has it, too, without
        the events of the trace.
        """
        from numgraph.profiling.run import profiled

        found = profiled(self.program, self.target, frozenset(self._binder.unset), args, named, calls)
        self.record.profile = replace(found, events=[]).to_plain()
        return found

    def inspect(self, path: str | Path | None = None) -> Path:
        """Write a page about the function, open it in a browser where there is one, and return where it is.

        path: the file, or None for a temporary one. One HTML document that needs nothing else, with the graph, the
        phases and what they cost, the source beside your lines, and the machine code. OSError where it cannot be
        written.
        """
        from numgraph.inspector import browser

        written = browser.write_page([self.record], path)
        browser.open_page(written)
        return written

    def _repr_html_(self) -> str:
        """What a notebook shows: inputs, outputs, updates and phases as a table, and the source behind a click."""
        from numgraph.inspector.notebook import table

        return table(self.record)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """The same beside `repr`, for notebooks that ask for all forms at once."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def _made(program: Program, target: str, executor: Executor[Any]) -> Making:
    """How the present variant of a function was made."""
    from numgraph.recorded import making_of

    return uncollected(partial(making_of, program, target, executor.given_up))


def _explained(executor: Executor[Any], binder: Binder, /, *args: Any, **named: Any) -> Explanation:
    """What a call with these arguments costs, and beside it what calls have taken so far."""
    bound = bool(args or named) or not binder.needed()
    found = executor.explanation(binder(args, named) if bound else None)
    if binder.stats.calls:
        found.calls, found.measured = binder.stats.calls, 1e6 * binder.stats.seconds / binder.stats.calls
    return found

"""One call of a function: arguments in, checked; outputs out, in the form that the user asked for."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from numgraph.binder import Binder, Call, bytes_of
from numgraph.destinations import FRESH, destinations
from numgraph.errors import NumgraphError
from numgraph.program import Program

if TYPE_CHECKING:
    from numgraph.runtime.executor import Executor


def executor_for(program: Program, target: str) -> Executor[Any]:
    """What runs `program` on `target`."""
    # loaded when they are first needed: importing numgraph takes no longer for it
    from numgraph.runtime.executor import Executor

    if target == "reference":
        from numgraph.runtime.reference import ReferenceTarget

        return Executor(program, ReferenceTarget(program))
    if target == "cpu":
        from numgraph.recall import processor_target

        return Executor(program, processor_target(program))
    from numgraph.cuda.passes import device_target

    return Executor(program, device_target(program, target))


def general_call(executor: Executor[Any], binder: Binder) -> Call:
    """A call for any executor: bind, run, count."""
    stats, counts = binder.stats, executor.target.counts

    def call(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        out = kwargs.pop("out", None) if "out" not in binder.positions else None
        arrays = binder(args, kwargs)
        allocated = executor.bytes_allocated
        earlier = counts()
        try:
            into = FRESH if out is None else destinations(binder.program, binder.shared, out, arrays)
            # a state has a value from the moment on at which it gets one
            outputs = executor.run(arrays, [binder.unset.clear] if binder.unset else (), into)
        except NumgraphError as error:
            error.add_note(f"in a call of {binder.signature()}")
            raise
        stats.calls += 1
        stats.count(bytes_of(arrays), bytes_of(outputs), earlier, counts())
        stats.bytes_allocated += executor.bytes_allocated - allocated
        stats.seconds += perf_counter() - start
        return binder.result(outputs)

    return call

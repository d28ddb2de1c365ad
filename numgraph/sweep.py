"""`f.sweep(...)`: many calls of a function as one, their outputs stacked.

Where the executor offers it, the steps run in native code without returning to Python in between; otherwise they are
called one by one. Either way the outputs and the shared variables are, bit for bit, those of single calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from numgraph.arguments import as_array
from numgraph.binder import Array, Binder, Column, Counts, bytes_of
from numgraph.errors import ArgumentShapeError, InputError, NumgraphError, OptionError, ShapeError
from numgraph.graph import Variable, describe, label
from numgraph.program import Argument
from numgraph.storage import owned
from numgraph.text import encodable, printable

if TYPE_CHECKING:
    from numgraph.runtime.executor import Executor
    from numgraph.target import Sweep

# Seconds of native code between two looks at signals (Ctrl-C) and the progress bar.
SLICE = 0.1


def sweep(
    binder: Binder,
    executor: Executor[Any],
    call: Callable[..., Any],
    args: Sequence[Any],
    named: Mapping[str, Any],
    steps: int | None,
    progress: bool,
    singly: bool = False,
) -> Any:
    """The stacked outputs of a call per step; see `Function.sweep`. singly: call each step."""
    columns = [_column(binder, a, v) for a, v in _given(binder, args, named)]
    count = _steps(binder, columns, steps)
    simple = not singly and all(a.default is None for a in binder.program.inputs)
    native = executor.sweep([c for _, c in columns], count) if simple else None
    with _bar(printable(binder.program.name or "steps"), count, progress) as advance:
        if native is None:
            return _one_by_one(binder, call, columns, count, advance)
        return _natively(binder, call, columns, count, native, advance, executor.target.counts)


def _given(binder: Binder, args: Sequence[Any], named: Mapping[str, Any]) -> list[tuple[Argument, Any]]:
    """(argument, value) of every input that got one."""
    values = binder.placed(args, named)
    missing = [a for a in binder.program.inputs if a.index not in values and a.default is None]
    if missing:
        raise InputError(
            f"{binder.signature()}: sweep: missing argument {missing[0].index}\n  {describe(missing[0].variable)}\n"
            "  fix: pass a range, an array with a value per step, or one value for all steps"
        )
    return [(a, values[a.index]) for a in binder.program.inputs if a.index in values]


def _column(binder: Binder, argument: Argument, value: Any) -> tuple[Argument, Column]:
    rank = argument.variable.ndim
    if isinstance(value, range):
        if rank:
            raise ArgumentShapeError(
                f"{label(argument.variable)}: sweep: got {value}, whose values are numbers\n"
                f"  {describe(argument.variable)}\n  fix: pass an array with one more axis than the input, in front"
            )
        ends = (value[0], value[-1]) if value else ()
        # what the two ends survive, all between them do
        converted = [binder.array_for(argument, end) for end in ends]
        dtype = converted[0].dtype if converted else np.dtype(argument.variable.dtype)
        return argument, Column(np.arange(value.start, value.stop, value.step).astype(dtype)[: len(value)], True)
    # a variable is refused with the values for all steps
    array = (
        np.empty(()) if isinstance(value, Variable) else as_array(value, label(argument.variable), argument.variable)
    )
    if isinstance(value, Variable) or array.ndim != rank + 1:
        return argument, Column(_own(binder.array_for(argument, value)), False)
    if isinstance(value, np.ndarray) and array.dtype == argument.variable.dtype and len(array):
        binder.array_for(argument, array[0])
        return argument, Column(_apart(binder, np.ascontiguousarray(array)), True)
    rows = [binder.array_for(argument, row) for row in (array if isinstance(value, np.ndarray) else value)]
    empty = np.empty((0, *(n or 0 for n in argument.variable.type.shape)), argument.variable.dtype)
    return argument, Column(np.stack(rows) if rows else empty, True)


def _own(array: Array) -> Array:
    return np.ascontiguousarray(array) if array.ndim else array


def _apart(binder: Binder, array: Array) -> Array:
    """The array, or a copy when an update would change it while later steps still read it."""
    return owned(array) if any(np.may_share_memory(array, s.array) for s in binder.targets) else array


def _steps(binder: Binder, columns: Sequence[tuple[Argument, Column]], steps: int | None) -> int:
    """The number of steps that the arguments agree on."""
    lengths = [(label(a.variable), len(c.values)) for a, c in columns if c.varies]
    if steps is not None:
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 0:
            raise OptionError(f"{binder.signature()}: sweep: steps must be a whole number of at least 0, not {steps!r}")
        lengths.append(("steps", int(steps)))
    if not lengths:
        raise InputError(
            f"{binder.signature()}: sweep: no argument has a value per step\n"
            "  fix: pass a range or an array with one more axis, or say steps=n"
        )
    if len({n for _, n in lengths}) > 1:
        listed = ", ".join(f"{name}: {n}" for name, n in lengths)
        raise ArgumentShapeError(f"{binder.signature()}: sweep: arguments with different numbers of steps ({listed})")
    return lengths[0][1]


def _natively(
    binder: Binder,
    call: Callable[..., Any],
    columns: Sequence[tuple[Argument, Column]],
    count: int,
    native: Sweep,
    advance: Callable[[int], None],
    counts: Callable[[], Counts | None],
) -> Any:
    """Slices of steps in native code; a step that native code leaves is called, which raises or finds other code."""
    stats = binder.stats
    start = perf_counter()
    earlier = counts()
    done, size = 0, 1
    while done < count:
        before = perf_counter()
        reached = native.run(done, min(done + size, count))
        seconds = perf_counter() - before
        stats.calls += reached - done
        advance(reached)
        if reached < min(done + size, count):
            _called(binder, call, columns, reached, native.outputs)
            reached += 1
        elif seconds > 0:
            size = max(1, min(int(SLICE / (seconds / (reached - done))), count))
        done = reached
    taken = sum(c.values.nbytes if c.varies else c.values.nbytes * count for _, c in columns)
    given = bytes_of(native.outputs)
    stats.count(taken, given, earlier, counts())
    stats.bytes_allocated += given
    stats.seconds += perf_counter() - start
    return binder.result(native.outputs)


def _called(
    binder: Binder,
    call: Callable[..., Any],
    columns: Sequence[tuple[Argument, Column]],
    step: int,
    outputs: Sequence[Array],
) -> None:
    """One step by an ordinary call, its outputs put into their rows."""
    for k, value in enumerate(_step(binder, call, columns, step)):
        if value.shape != outputs[k].shape[1:]:
            raise _unequal(binder, k, 0, outputs[k].shape[1:], step, value.shape)
        outputs[k][step] = value


def _one_by_one(
    binder: Binder,
    call: Callable[..., Any],
    columns: Sequence[tuple[Argument, Column]],
    count: int,
    advance: Callable[[int], None],
) -> Any:
    rows = []
    for step in range(count):
        rows.append(_step(binder, call, columns, step))
        advance(step + 1)
    stacked = []
    for k, variable in enumerate(binder.program.outputs):
        values = [row[k] for row in rows]
        odd = next((s for s, v in enumerate(values) if v.shape != values[0].shape), None)
        if odd is not None:
            raise _unequal(binder, k, 0, values[0].shape, odd, values[odd].shape)
        known = tuple(n or 0 for n in variable.type.shape)
        stacked.append(np.stack(values) if values else np.empty((0, *known), variable.dtype))
    return binder.result(stacked)


def _step(
    binder: Binder, call: Callable[..., Any], columns: Sequence[tuple[Argument, Column]], step: int
) -> list[Array]:
    """The outputs of one step, called."""
    values = {a.index: c.at(step) for a, c in columns}
    try:
        return binder.listed(call(*binder.by_position(values)))
    except NumgraphError as error:
        before = f"; the updates of the {step} steps before it are done" if step and binder.targets else ""
        error.add_note(f"in step {step} of a sweep{before}")
        raise


def _unequal(binder: Binder, k: int, a: int, first: Any, b: int, other: Any) -> ShapeError:
    return ShapeError(
        f"{binder.signature()}: sweep: output {k} cannot be stacked: its shape is {first} in step {a} and {other} in "
        f"step {b}\n  fix: call the function step by step"
    )


@contextmanager
def _bar(title: str, count: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """What is told how many steps are done: a progress bar, or nothing."""
    if not shown:
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(encodable(title, sys.stdout), total=count)
        yield lambda done: bar.update(task, completed=done)

"""One call of a compiled function: arguments in, checked; outputs out, in the form that the user asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from numgraph.arguments import check_lengths, convert
from numgraph.errors import InputError, NumgraphError
from numgraph.graph import Variable, describe, label
from numgraph.program import Argument, Program
from numgraph.reference import evaluate
from numgraph.stable.engine import stabilised
from numgraph.storage import owned
from numgraph.text import printable
from numgraph.whole import CALLS, Action, Disturbed, begin, end, held, undisturbed

Array = NDArray[Any]


class Executor(Protocol):
    """What runs a program.

    `run` takes one array per input (right dtype and rank; perhaps strided, read-only, or memory of the caller's), and
    gives the outputs in fresh memory. When it returns the updates are done, and `then` with them; when it raises every
    shared variable is as before. An interrupt leaves either all done or nothing.

    An executor may also offer `fast_call(program, binder, general)`: a callable with the arguments of a call, which
    then stands for the general one of `Function` (until it calls its attribute `switched`); the attributes `source`,
    `listing` and `export(path)`, which `Function` hands on; `complete(record)`, which adds what it knows to a
    `FunctionRecord` (phases, the stages from schedule to asm, cache path, seconds); and with it
    `explanation(arguments)`, an estimate of what a call costs. `traffic(earlier)` is what a device has done since
    `traffic()` was asked for.
    """

    bytes_allocated: int

    def run(self, arguments: Sequence[Array], then: Sequence[Action] = (), /) -> list[Array]:
        """The outputs for `arguments`; updates are done, and with them the C functions `then` (see `whole.at_once`)."""


class Traffic(Protocol):
    """What a device has done: launches of kernels, allocations, bytes from and to this machine's memory."""

    launches: int
    allocations: int
    bytes_in: int
    bytes_out: int


@dataclass
class Stats:
    """What the calls of a function have cost: their number and seconds, and bytes of memory.

    bytes_in: arguments. bytes_out: outputs. bytes_allocated: arrays made by calls, outputs included. On a device these
    are bytes that went from this machine's memory to the device's and back, and device memory; results count when they
    are read within a call. launches: of kernels; allocations: of device memory.
    """

    calls: int = 0
    seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    bytes_allocated: int = 0
    launches: int = 0
    allocations: int = 0

    def add(self, traffic: Traffic) -> None:
        """Count what a device has done."""
        self.launches += traffic.launches
        self.allocations += traffic.allocations
        self.bytes_in += traffic.bytes_in
        self.bytes_out += traffic.bytes_out


class Binder:
    """Turns the arguments of a call into arrays, and the arrays that come back into what the call returns.

    unset: indices of inputs with private state that has no value yet.
    """

    def __init__(self, program: Program, unset: frozenset[int] | None = None) -> None:
        self.program = program
        self.stats = Stats()
        self.unset = (
            set(unset)
            if unset is not None
            else {a.index for a in program.inputs if a.default is not None and a.required}
        )
        self.targets = [s.storage for s, _ in program.updates]
        self.positions: dict[str, int] = {}
        self.ambiguous: set[str] = set()
        for argument in program.inputs:
            if argument.name is not None and argument.name in self.positions:
                self.ambiguous.add(argument.name)
            elif argument.name is not None:
                self.positions[argument.name] = argument.index

    def __call__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Array]:
        """One array per input; InputError, DtypeError or ArgumentShapeError for what does not fit.

        Arguments may be the caller's own arrays. They share no memory with what the function updates.
        """
        values = self.placed(args, kwargs)
        return [self.array_for(argument, values.get(argument.index, _MISSING)) for argument in self.program.inputs]

    def placed(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[int, Any]:
        """Position -> value of the inputs that got one; InputError for too many, unknown or repeated ones."""
        inputs = self.program.inputs
        if len(args) > len(inputs):
            raise InputError(f"{self.signature()}: takes {_count(len(inputs))}, got {len(args)}")
        values = dict(enumerate(args))
        for name, value in kwargs.items():
            index = self._position(name)
            if index in values:
                raise InputError(f"{self.signature()}: got several values for the input {printable(name)}")
            values[index] = value
        return values

    def by_position(self, values: Mapping[int, Any]) -> list[Any]:
        """The arguments of a general call, for which defaults stand where there is no value."""
        return [values.get(argument.index, _MISSING) for argument in self.program.inputs]

    def needed(self) -> bool:
        """Whether a call without arguments would miss one."""
        return any(a.default is None or a.index in self.unset for a in self.program.inputs)

    def array_for(self, argument: Argument, value: Any) -> Array:
        """The array of one argument; `_MISSING` stands for the default."""
        if value is _MISSING:
            return self._default(argument)
        try:
            array = convert(value, argument.variable.type.dtype, argument.variable, argument.strict, argument.downcast)
            check_lengths(array, argument.variable.type, argument.variable)
        except Exception as error:
            error.add_note(f"argument {argument.index} of {self.signature()}")
            raise
        for storage in self.targets:
            # compiled code may write the new value over the old one while it still reads its arguments
            if np.may_share_memory(array, storage.held):
                return owned(array)
        return array

    def result(self, outputs: Sequence[Array]) -> Any:
        """What a call returns for these outputs: None, an array, a list or a dict."""
        form = self.program.form
        if form == "single":
            return outputs[0]
        if form == "list":
            return list(outputs)
        return dict(zip(self.program.keys, outputs, strict=True)) if form == "dict" else None

    def listed(self, result: Any) -> list[Array]:
        """The outputs in order, of what a call has returned."""
        form = self.program.form
        if form == "single":
            return [result]
        if form == "list":
            return list(result)
        return [result[key] for key in self.program.keys] if form == "dict" else []

    def argument(self, key: Variable | str | int) -> Argument:
        """The argument that a variable, a name or a position stands for; KeyError for none."""
        for argument in self.program.inputs:
            if argument.index == key if isinstance(key, int) else argument.variable is key or argument.name == key:
                return argument
        raise KeyError(f"{self.signature()}: has no input {label(key) if isinstance(key, Variable) else key!r}")

    def signature(self) -> str:
        """`train(index, lr)`, for messages."""
        names = ", ".join(printable(a.name) if a.name else f"<input {a.index}>" for a in self.program.inputs)
        where = f", made at {self.program.line}," if self.program.line else ""
        name = self.program.name
        return f"{printable(name)}({names})" if name else f"the function ({names}){where}".rstrip(",")

    def _position(self, name: str) -> int:
        if name in self.ambiguous:
            raise InputError(
                f"{self.signature()}: several inputs are named {printable(name)}\n  fix: pass them by position"
            )
        if name not in self.positions:
            named = ", ".join(map(printable, self.positions)) or "none"
            raise InputError(f"{self.signature()}: has no input named {printable(name)}\n  inputs with a name: {named}")
        return self.positions[name]

    def _default(self, argument: Argument) -> Array:
        if argument.default is None or argument.index in self.unset:
            raise InputError(
                f"{self.signature()}: missing argument {argument.index}\n  {describe(argument.variable)}"
                + (
                    "\n  fix: its state has no value yet; pass one in the first call"
                    if argument.default is not None
                    else ""
                )
            )
        # private state is copied: an update may write it in place while the old value is read
        return argument.default.get_value(borrow=argument.update is None and not argument.mutable)


class ReferenceExecutor:
    """Runs a program op by op with NumPy: slow, without a compiler, and what every other executor must agree with."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.results = stabilised(program.results, program.variables)
        self.bytes_allocated = 0

    def run(self, arguments: Sequence[Array], then: Sequence[Action] = ()) -> list[Array]:
        """The outputs in fresh memory; updates are stored once everything is computed."""
        program = self.program
        values: dict[Variable, Any] = dict(zip(program.variables, arguments, strict=True))
        nested = held()
        while True:
            with CALLS:
                begun = begin(nested)
                results = evaluate(self.results, values)
                with suppress(Disturbed):
                    undisturbed(begun, *self._stored(results[len(program.outputs) :]), *then)
                    end(nested)
                    break
        self.bytes_allocated += sum(a.nbytes for a in results)
        return results[: len(program.outputs)]

    def _stored(self, values: Sequence[Array]) -> list[Action]:
        targets = [target.storage for target, _ in self.program.updates]
        return [action for t, new in zip(targets, values, strict=True) for action in t.setting(new)]


_MISSING: Any = type("Missing", (), {"__repr__": lambda self: "<missing>"})()


def executor_for(program: Program, target: str) -> Executor:
    """What runs `program` on `target`."""
    if target == "reference":
        return ReferenceExecutor(program)
    # the compiler is loaded when it is first needed: importing numgraph must not import Numba
    from numgraph.compile import compile_for_device, compile_program

    return compile_program(program) if target == "cpu" else compile_for_device(program, target)


def general_call(executor: Executor, binder: Binder) -> Callable[..., Any]:
    """A call for any executor: bind, run, count."""
    stats = binder.stats
    # of a device: what it has done since an earlier answer
    traffic = getattr(executor, "traffic", None)

    def call(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        arrays = binder(args, kwargs)
        allocated = executor.bytes_allocated
        earlier = traffic() if traffic is not None else None
        try:
            # a state has a value from the moment on at which it gets one
            outputs = executor.run(arrays, [binder.unset.clear] if binder.unset else ())
        except NumgraphError as error:
            error.add_note(f"in a call of {binder.signature()}")
            raise
        stats.calls += 1
        if traffic is not None:
            stats.add(traffic(earlier))
        else:
            stats.bytes_in += sum(a.nbytes for a in arrays)
            stats.bytes_out += sum(a.nbytes for a in outputs)
        stats.bytes_allocated += executor.bytes_allocated - allocated
        stats.seconds += perf_counter() - start
        return binder.result(outputs)

    return call


def _count(number: int) -> str:
    return "1 argument" if number == 1 else f"{number} arguments"

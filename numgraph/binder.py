"""The arguments of a call as arrays, checked; its results in the form that the user asked for; and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.arguments import check_lengths, convert
from numgraph.errors import InputError
from numgraph.graph import Variable, describe, label
from numgraph.program import Argument, Program
from numgraph.shared import SharedVariable
from numgraph.storage import owned
from numgraph.text import printable

Array = NDArray[Any]
Call = Callable[..., Any]


@dataclass
class Counts:
    """What a device has done so far.

    launches: of kernels, those that replays repeat included. bytes_in, bytes_out: host to device and back.
    allocations: blocks of device memory that were asked for.
    """

    launches: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    allocations: int = 0

    def minus(self, earlier: Counts) -> Counts:
        """What happened since `earlier`."""
        return Counts(
            self.launches - earlier.launches,
            self.bytes_in - earlier.bytes_in,
            self.bytes_out - earlier.bytes_out,
            self.allocations - earlier.allocations,
        )

    def copy(self) -> Counts:
        """The counts as they are now."""
        return Counts(self.launches, self.bytes_in, self.bytes_out, self.allocations)


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

    def count(self, bytes_in: int, bytes_out: int, before: Counts | None, after: Counts | None) -> None:
        """Count what calls took and gave; on a device, what that has done between `before` and `after`."""
        if before is None or after is None:
            self.bytes_in += bytes_in
            self.bytes_out += bytes_out
            return
        moved = after.minus(before)
        self.launches += moved.launches
        self.allocations += moved.allocations
        self.bytes_in += moved.bytes_in
        self.bytes_out += moved.bytes_out


@dataclass(frozen=True)
class Column:
    """The values of one argument of a sweep. values: with one row per step, or what is the same in every step."""

    values: Array
    varies: bool

    def at(self, step: int) -> Array:
        """The argument of one step, as an array."""
        return np.asarray(self.values[step]) if self.varies else self.values


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

    @cached_property
    def shared(self) -> list[SharedVariable]:
        """The shared variables that a call reads or writes."""
        return self.program.shared()

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


def bytes_of(arrays: Sequence[Array]) -> int:
    """The bytes of arrays together."""
    return sum(a.nbytes for a in arrays)


_MISSING: Any = type("Missing", (), {"__repr__": lambda self: "<missing>"})()


def _count(number: int) -> str:
    return "1 argument" if number == 1 else f"{number} arguments"

"""One compiled form of a function: its code, its table, and how a call goes through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ctypes import c_int64
from dataclasses import dataclass, field
from functools import cached_property, partial
from operator import getitem, setitem
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numgraph.arguments import in_memory
from numgraph.config import config
from numgraph.convention import DGEMM, FAILED_A, FAILED_B, GROW, HEADER, LAUNCH, SGEMM, THREADS
from numgraph.destinations import FRESH, Destinations
from numgraph.errors import SizeError
from numgraph.lengths.dims import counted
from numgraph.runtime import pattern
from numgraph.runtime.artifact import Artifact
from numgraph.runtime.header import data_offset
from numgraph.runtime.lapack import routine_address
from numgraph.runtime.native import Native
from numgraph.runtime.products import product_address
from numgraph.runtime.threads import ready
from numgraph.runtime.units import unit_address
from numgraph.shared import SharedVariable
from numgraph.target import CheckFailed
from numgraph.types import REALS
from numgraph.whole import WITHIN, Action, Disturbed, at_once

if TYPE_CHECKING:
    from numgraph.emit.module import Module
    from numgraph.inspector.record import PassRecord
    from numgraph.schedule.plan import Schedule

Array = NDArray[Any]

# Cycles of work up to which a call keeps Python's lock; not above `_LONG` in kernels/support.py.
SHORT = 60_000


class Details(NamedTuple):
    """What a variant was made of, and the passes that made it: for errors, explanations and listings."""

    schedule: Schedule
    module: Module
    passes: list[PassRecord]


@dataclass
class NativeVariant:
    """Code compiled under assumptions about lengths, with the memory it works in. detailed: gives the details, which
    are made anew where the code was found in the cache."""

    artifact: Artifact
    native: Native
    shared: list[SharedVariable]
    threads: int
    detailed: Callable[[], Details]
    table: NDArray[np.int64] = field(init=False)
    arenas: list[Any] = field(init=False)
    # whether memory is filled with a pattern before a call writes it, see `config.verify`
    patterned: bool = field(init=False)

    def __post_init__(self) -> None:
        self.patterned = config.verify
        self.empty = pattern.empty if self.patterned else np.empty
        artifact = self.artifact
        self.table = np.zeros(artifact.words, np.int64)
        self.entry = self.native.bind(self.table)
        self.integers = memoryview(self.table)  # type: ignore[arg-type]  # an ndarray is a buffer
        self.reals = self.integers.cast("B").cast("d")
        self.integers[HEADER] = data_offset()
        self.integers[THREADS] = self.threads
        if artifact.divided:
            self.integers[LAUNCH] = ready(self.threads)
        for kinds in artifact.products:
            self.integers[SGEMM if kinds.dtype == "float32" else DGEMM] = product_address(kinds)
        for slot, variable in zip(artifact.shared, self.shared, strict=True):
            self.integers[slot] = int(variable.storage.descriptor.ctypes.data)
        for slot, array in artifact.arrays.items():
            self.integers[slot] = int(array.ctypes.data)
        for slot, name in artifact.routines.items():
            self.integers[slot] = routine_address(name)
        for slot, unit in artifact.units.items():
            self.integers[slot] = unit_address(*unit)
        self.arenas = [None] * len(artifact.arena)
        for stage, memory in enumerate(artifact.memory):
            if memory is not None:
                self.grow(stage, memory[0] + self.threads * memory[1])
        self.making = artifact.making
        self.exchanges = [(self.shared[a].storage, self.shared[b].storage) for a, b in self.making.exchanged]

    @cached_property
    def details(self) -> Details:
        """What it was made of."""
        return self.detailed()

    @property
    def schedule(self) -> Schedule:
        """Its schedule."""
        return self.details.schedule

    @property
    def module(self) -> Module:
        """Its generated source."""
        return self.details.module

    @cached_property
    def is_static(self) -> bool:
        """Whether every output has known lengths, so that one native call does everything."""
        return (
            len(self.arenas) == 1
            and not self.artifact.fresh
            and all(self.making.known(made) is not None for made in self.making.at("output", 0))
        )

    @property
    def alone(self) -> bool:
        """Whether a call with a tuple needs no lock of ours: it is short, so that Python's own lock is kept all the
        time, it cannot fail, and nothing that it works with is anybody else's but the table, which a sweep leaves."""
        work = self.artifact.work
        apart = not (self.shared or self.artifact.failures) and all(m == (0, 0) for m in self.artifact.memory)
        return work is not None and work <= SHORT and apart and self.is_static

    def own_table(self) -> tuple[Any, Callable[[Any], int]]:
        """A copy of the table, and the entry that works with it."""
        table = self.table.copy()
        return memoryview(table), self.native.bind(table)  # type: ignore[arg-type]  # an ndarray is a buffer

    def grow(self, stage: int, size: int) -> None:
        """Make a stage's arena hold at least `size` bytes; it starts on a cache line."""
        memory = self.new((size + 64,), np.dtype(np.uint8), "temporaries")
        artifact = self.artifact
        address = -(-int(memory.ctypes.data) // 64) * 64
        at_once(
            partial(setitem, self.integers, artifact.arena[stage], address),
            partial(setitem, self.integers, artifact.capacity[stage], size),
            partial(setitem, self.arenas, stage, memory),
        )

    def new(self, lengths: Sequence[int], dtype: np.dtype[Any], what: str) -> Array:
        """A new array. SizeError, before anything is computed in this stage, if there is no memory for it."""
        try:
            return self.empty(lengths, dtype)
        except (MemoryError, ValueError):
            size = counted(lengths, dtype.itemsize)
            text = f"{what}: {dtype}[{','.join(map(str, lengths))}] takes {size:,} bytes, more than there is memory for"
            raise SizeError(text) from None

    def spoil(self, stage: int = 0) -> None:
        """Fill a stage's arena with the pattern, where that is wanted."""
        if self.patterned and self.arenas[stage] is not None:
            pattern.filled(self.arenas[stage])

    def fill(self, arguments: Sequence[Array]) -> None:
        """Write the arguments into the table."""
        for slot, array in zip(self.artifact.arguments, arguments, strict=True):
            if in_memory(array):
                self.integers[slot] = id(array)
            elif array.dtype.name in REALS:
                self.reals[slot] = float(array)
            else:
                self.table[slot] = array.astype(np.int64)

    def run(
        self, arguments: Sequence[Array], begun: int = 0, then: Sequence[Action] = (), into: Destinations = FRESH
    ) -> list[Array]:
        """Outputs for arguments of the right dtypes and ranks, C-contiguous. When it returns updates are done, and
        `then` with them. begun: see `whole.begin`."""
        if not self.is_static:
            self.fill(arguments)
            return self._run_stages(begun, then, into)
        outputs = list(self._make("output", 0, into).values())
        self.spoil()
        # in one step, since calls that are `alone` may come between any two
        objects = (*map(_object, arguments), *outputs)
        commit = [*self.commit(), *then]
        status = self._native(begun, objects, commit)
        if status == GROW:
            self.grow(0, self.integers[self.artifact.needed[0]])
            status = self._native(begun, objects, commit)
        self.check(status)
        return outputs

    def _native(self, begun: int, part: Any, commit: Sequence[Action]) -> Any:
        """The status of the native call, with all of `commit` done at once with it; a list, and nothing done, if a
        signal handler came since `begun`."""
        if commit:
            return at_once(partial(getitem, WITHIN, slice(begun, None)), partial(self.entry, part), *commit)
        # no handler runs between the look and the call
        return WITHIN[begun:] or self.entry(part)

    def exchanged(self, objects: tuple[Any, ...]) -> Any:
        """The status of a call with a tuple, whose updates exchange buffers; nobody else is within a call."""
        WITHIN.append(True)
        status = self._native(1, objects, self.commit())
        WITHIN.clear()
        return status

    def plan(self, arguments: Sequence[Array], begun: int = 0) -> dict[Any, int]:
        """The number of chunks of each divided nest of the first stage for these arguments; CheckFailed. Nothing is
        computed."""
        self.fill(arguments)
        self.check(self._native(begun, 0, ()))
        layout = self.module.layout
        first = set(self.schedule.stages[0])
        return {nest: self.integers[slot] for nest, slot in layout.chunks.items() if nest in first}

    def run_stages(self) -> list[Array] | None:
        """As `run` for arguments that are in the table already; None when a check fails, or a signal handler has come
        in between, before anything changed."""
        try:
            return self._run_stages(1)
        except (CheckFailed, Disturbed):
            return None

    def _run_stages(self, begun: int, then: Sequence[Action] = (), into: Destinations = FRESH) -> list[Array]:
        artifact = self.artifact
        outputs: dict[int, Array] = {}
        fresh: dict[int, Array] = {}
        last = len(self.arenas) - 1
        for stage in range(len(self.arenas)):
            self.check(self._native(begun, 2 * stage, ()))
            if self.integers[artifact.needed[stage]] > self.integers[artifact.capacity[stage]]:
                self.grow(stage, self.integers[artifact.needed[stage]])
            self.spoil(stage)
            outputs |= self._make("output", stage, into)
            fresh |= self._make("fresh", stage)
            # updates in place are in the last stage
            commit = [*self.commit(fresh), *then] if stage == last else []
            self.check(self._native(begun, 2 * stage + 1, commit))
        return [outputs[k] for k in range(len(artifact.outputs))]

    def _make(self, kind: str, stage: int, into: Destinations = FRESH) -> dict[int, Array]:
        """New arrays for outputs or updates whose lengths are known at `stage`, their objects written into the
        table."""
        artifact, making = self.artifact, self.making
        slots = dict(enumerate(artifact.outputs)) if kind == "output" else artifact.fresh
        found = {}
        for made in making.at(kind, stage):
            lengths = making.lengths(made, self.integers)
            array = into.at(made[1], lengths) if kind == "output" else None
            if array is None:
                array = self.new(lengths, making.dtypes[made], f"{kind} array {made[1]}")
            elif self.patterned:
                pattern.filled(array)
            self.integers[slots[made[1]]] = id(array)
            found[made[1]] = array
        return found

    def commit(self, fresh: Mapping[int, Array] = MappingProxyType({})) -> list[Action]:
        """What gives shared variables their new buffers: to be done at once with the native call, and behind it."""
        actions: list[Action] = []
        for slot in self.artifact.fresh:
            address = c_int64.from_address(id(fresh[slot]) + self.integers[HEADER]).value
            actions += self.shared[slot].storage.holding(fresh[slot], address)
        for storage, other in self.exchanges:
            actions += storage.taking(other)
        return actions

    def check(self, status: Any) -> None:
        """Raise what a status other than 0 and None stands for: CheckFailed or Disturbed."""
        if status.__class__ is list:
            raise Disturbed
        if status:
            cause = self.module.failures[status - 1]
            slot = cause.slot if cause.kind == "raised" else None
            words = () if slot is None else self.integers[slot : slot + len(cause.node.inputs)].tolist()
            raise CheckFailed(self.schedule.graph, cause, self.integers[FAILED_A], self.integers[FAILED_B], words)


def _object(array: Array) -> Any:
    """What stands for an argument in the tuple of a call: the array, or the number as compiled code takes it."""
    if in_memory(array):
        return array
    return float(array) if array.dtype.name in REALS else int(array.astype(np.int64))

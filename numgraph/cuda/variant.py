"""One compiled form of a function for a device: its kernels, its memory, and how a call goes through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakMethod

import numpy as np

from numgraph.arguments import in_memory
from numgraph.config import config
from numgraph.convention import FAILED_A, FAILED_B
from numgraph.cuda.array import DeviceArray, empty
from numgraph.cuda.buffer import device_buffer
from numgraph.cuda.device import Array, Device, Recording
from numgraph.cuda.launching import Launching, looks
from numgraph.cuda.library import Launch, ask
from numgraph.cuda.loading import Loaded, loaded, slots_read, small_results
from numgraph.cuda.plan import Constant, Table, as_number, run_plan
from numgraph.cuda.pool import Pool
from numgraph.cuda.simdevice import spoil
from numgraph.cuda.status import Status
from numgraph.cuda.steps import Steps
from numgraph.destinations import Destinations
from numgraph.emit.gridmodule import GridModule
from numgraph.inspector.record import PassRecord
from numgraph.loops.grid.kernel import STEPS, Geometry, Kernel
from numgraph.rewrite.halves import as_argument
from numgraph.runtime.made import Made, Making
from numgraph.runtime.refused import error_of
from numgraph.schedule.plan import Schedule
from numgraph.shared import SharedVariable
from numgraph.target import GONE, CheckFailed
from numgraph.types import REALS
from numgraph.whole import Action, at_once

# With blocks of fewer threads kernels of the library are made small, too.
WARP = 32
# Outputs of up to this many bytes are results of a recording, and copied from there.
SMALL = 4096
# Recordings that are kept; lengths and places that take turns find theirs again.
RECORDINGS = 8

NOTHING: dict[Made, DeviceArray] = {}
# Calls whose plans are remembered, by their numbers.
CALLS_KEPT = 1 << 16


class DeviceVariant:
    """Code for a device under assumptions about lengths, with the memory it works in."""

    def __init__(
        self, schedule: Schedule, module: GridModule, shared: list[SharedVariable], device: Device, geometry: Geometry
    ) -> None:
        self.schedule, self.module, self.shared, self.device, self.geometry = schedule, module, shared, device, geometry
        # of the passes that made it
        self.records: dict[str, PassRecord] = {}
        self.making = Making.of(schedule, module.layout)
        self.source = loaded(module.text)
        layout = module.layout
        self.table = Table([0] * layout.size)
        self.table.fetch = self._fetch
        self.kernels = [[self._loaded(self.source, kernel) for kernel in stage] for stage in module.kernels]
        self.peeked = False
        # where the shared variables are; launches by what they depend on, and by the numbers of a call; all three are
        # void when memory changes its place
        self.where: Any = None
        self.reads = [slots_read(stage, module) for stage in module.kernels]
        self.known: dict[Any, tuple[Launch, ...]] = {}
        self.calls: dict[tuple[int | float, ...], tuple[Launch, ...]] = {}
        for digest, slot in layout.arrays.items():
            # plans read elements of these
            self.table[slot] = Constant(schedule.graph.arrays[digest])
        # outputs that are results of a recording: number, offset in its words
        self.results, words = small_results(schedule, self.making, SMALL)
        self.steps = Steps(device, len(layout.arguments) + 1, words, STEPS)
        device.upload(self.steps.slots, np.zeros(len(layout.arguments) + 1, np.int64))
        self.status = Status(device, len(module.words))
        self.launching = Launching(
            device, module, geometry, self.table, self.status, self.steps, self.results, self._planned, self._forget
        )
        self.launching.load_constants(schedule.graph)
        self.pool = Pool(device)
        # whether a call has not been looked at for refused indices
        self.late = False
        # whether what a stage launches depends on what it computes
        self.looks = [any(map(looks, stage)) for stage in module.kernels]
        self.sweeps = self._can_sweep()
        # by launches: how often they were asked for, or their recording
        self.recordings: dict[Any, Recording | None] = {}

    def _loaded(self, source: dict[str, Any], kernel: Kernel) -> Loaded:
        if kernel.library or kernel.scan is not None:
            return Loaded(kernel, None, [self._loaded(source, inner) for inner in kernel.inner])
        limits = kernel.threads, kernel.resident, kernel.together
        return Loaded(kernel, self.device.load(source[kernel.code], kernel.signature, *limits))

    def _can_sweep(self) -> bool:
        """Whether one recording serves many steps: one stage, small outputs, every update in place, and plans that do
        not depend on what steps change."""
        changed = {update.slot for update in self.schedule.updates}
        return (
            self.looks == [False]
            and len(self.results) == len(self.schedule.outputs)
            and all(node.kind == "scalar" for node in self.schedule.arguments)
            and all(u.how in ("in place", "none") for u in self.schedule.updates)
            and not any(v.kind == "shared" and v.attrs[0] in changed for v in self.module.layout.addresses)
        )

    def _fetch(self, address: int, dtype: str) -> Any:
        self.peeked = True
        cell = np.empty(1, dtype)
        self.device.download(address, cell)
        return as_number(cell[0])

    def _forget(self) -> None:
        """Launches that were planned go to places that have moved."""
        self.known.clear()
        self.calls.clear()

    # -- a call ---------------------------------------------------------------------------------------------------

    def run(self, arguments: Sequence[Array], then: Sequence[Action], into: Destinations, replay: bool = False) -> Any:
        """Outputs for arguments of the right dtypes and ranks, C-contiguous. When it returns updates are done, and
        `then` with them. That takes several steps (see `whole.apart`), unless it is the replay of a recording: one call
        of the driver. replay: None for a call that is more, and nothing done. into: what the outputs have to fit."""
        if replay and not (self.sweeps and self.device.asynchronous):
            return None
        self.locate()
        self._pass(arguments)
        # memory first: nothing may fail once updates are under way
        small = {number: self._result(number, into) for number in self.results}
        made: dict[Made, DeviceArray] = {}
        if self.sweeps:
            launches = self.planned(tuple(self.table[slot] for slot in self.module.layout.arguments))
            if replay and self.recordings.get(launches) is None:
                return None
            spoil(self.device, self.launching.memory, 0, self.steps)
            self._start(launches)
            self._check_later()
            at_once(*then)
            return self._outputs(small, made)
        for stage in range(len(self.kernels)):
            self.plan(stage, made)
            for key in (*self.making.at("output", stage), *self.making.at("fresh", stage)):
                if not (key[0] == "output" and key[1] in self.results):
                    made[key] = empty(self.device, self.making.lengths(key, self.table), self.making.dtypes[key].name)
                    into.check(key[1] if key[0] == "output" else -1, made[key].shape)
            spoil(self.device, self.launching.memory, stage, self.steps)
            if self.looks[stage]:
                self.launching.go_through(self.kernels[stage], made)
            else:
                self._start(self.launches(stage, made))
            self.check(made)
        outputs = self._outputs(small, made)
        at_once(*self._commit(made), *then)
        return outputs

    def _check_later(self) -> None:
        """Look for refused indices when a result is read, or the new value of a shared variable: nobody waits for a
        device here. A call after one that failed does nothing, as long as that has not been said."""
        if config.cuda_wait or not self.device.asynchronous:
            self.check()
        elif self.module.words:
            self.late = True
            for update in self.schedule.updates:
                self.launching.shared[update.slot].settle = WeakMethod(self.settle)

    def settle(self) -> None:
        """Raise what a call that was not waited for has found; IndexOutOfRange."""
        if not self.late:
            return
        self.late = False
        try:
            self.check()
        except CheckFailed as problem:
            error = error_of(problem)
            error.add_note("in a call that was not waited for; those of the same function after it did nothing")
            raise error from None

    def locate(self) -> None:
        """Find the shared variables' values, and have them on the device."""
        self.launching.shared = [device_buffer(v.storage, self.device) for v in self.shared]
        for slot, place in zip(self.module.layout.shared, self.launching.shared, strict=True):
            self.table[slot] = place.shape
        where = [(place.address, place.shape) for place in self.launching.shared]
        if where != self.where:
            # in this order: an interrupt in between leaves nothing that is out of date
            self._forget()
            self.where = where

    def row(self, arguments: Sequence[Array]) -> Array:
        """The words of a call's arguments, numbers as the kernels read them; into the table as the plan does."""
        words = np.zeros(len(arguments), np.int64)
        for k, (slot, array) in enumerate(zip(self.module.layout.arguments, arguments, strict=True)):
            if in_memory(array):
                self.table[slot] = array
            elif array.dtype.name in REALS:
                self.table[slot] = float(array)
                words[k : k + 1].view(as_argument(array.dtype.name))[0] = array
            else:
                words[k] = array.astype(np.int64)
                self.table[slot] = words[k]
        return words

    def _pass(self, arguments: Sequence[Array]) -> None:
        """Write the arguments into the table, and to the device."""
        words = self.row(arguments)
        for k, array in enumerate(arguments):
            if in_memory(array):
                address = self.launching.room(("argument", k), array.nbytes)
                if array.nbytes:
                    self.device.upload(address, array)
        if not all(map(in_memory, arguments)):
            self.steps.set(words)

    def plan(self, stage: int, made: dict[Made, DeviceArray] = NOTHING) -> None:
        """Run the plan of a stage; CheckFailed. made: outputs and new values that earlier stages have computed."""
        layout = self.module.layout
        self.table[layout.arena[stage]] = self.launching.room(("arena", stage), 0)
        for node, slot in layout.addresses.items():
            # plans read elements of these
            self.table[slot] = self.launching.address_of(node)
        for key, slot in layout.made_addresses.items():
            if key[0] == "output" and key[1] in self.results:
                self.table[slot] = self.launching.result_address(key[1])
            elif key in made:
                self.table[slot] = made[key].address
        self._planned(self.module.plans[stage])
        self.table[layout.arena[stage]] = self.launching.room(("arena", stage), int(self.table[layout.needed[stage]]))

    def _planned(self, name: str) -> None:
        """Run a plan; CheckFailed."""
        status = run_plan(self.source[name], self.table)
        if status:
            cause = self.module.failures[status - 1]
            raise CheckFailed(self.schedule.graph, cause, int(self.table[FAILED_A]), int(self.table[FAILED_B]))

    def planned(self, numbers: tuple[int | float, ...]) -> tuple[Launch, ...]:
        """What a call with these numbers launches, where `sweeps` is true and they are in the table; CheckFailed.

        Plans are functions of the numbers and of the lengths of shared variables: one that was run is not run again,
        unless plans of this program read elements of arrays, too.
        """
        found = self.calls.get(numbers)
        if found is None:
            self.plan(0)
            found = self.launches(0, {})
            if len(self.calls) >= CALLS_KEPT:
                self.calls.clear()
            if not self.peeked:
                self.calls[numbers] = found
        return found

    def launches(self, stage: int, made: dict[Made, DeviceArray]) -> tuple[Launch, ...]:
        """What a stage launches, after its plan."""
        key = stage, tuple(self.table[slot] for slot in self.reads[stage])
        found = self.known.get(key) if not made else None
        if found is None:
            found = self.launching.settled(self.kernels[stage], made)
        if not made:
            self.known[key] = found
        return found

    def _start(self, launches: tuple[Launch, ...]) -> None:
        """Launch, from the second time on as a recording."""
        if launches in self.recordings:
            recording = self.recordings[launches]
            if recording is None:
                recording = self.record(launches, False)
            recording.replay()
            return
        while len(self.recordings) >= RECORDINGS:
            self.recordings.pop(next(iter(self.recordings)))
        self.recordings[launches] = None
        ask(self.device, launches)

    def record(self, launches: tuple[Launch, ...], sweeping: bool) -> Recording:
        """The recording of launches, made once."""
        key = (launches, True) if sweeping else launches
        found = self.recordings.get(key)
        if found is None:
            if sweeping:
                self.steps.prepare()

            def step() -> None:
                if sweeping:
                    self.steps.advance()
                ask(self.device, launches)

            found = self.recordings[key] = self.device.record(step)
        return found

    def check(self, made: Mapping[Made, DeviceArray] = NOTHING) -> None:
        """CheckFailed for an index that a kernel found out of range. made: the arrays of this call."""
        found = self.status.failed()
        if found is not None:
            if self.sweeps:
                # the table may be that of another call's plan
                self.plan(0)
            cause = self.module.failures[self.module.words[found[1]] - 1]
            raise CheckFailed(self.schedule.graph, cause, *self._refused(found[1], made))

    def _refused(self, word: int, made: Mapping[Made, DeviceArray]) -> tuple[int, int]:
        """The index that a check refused, and the length of its axis; searched again, for the message. GONE where what
        a step of a scan has read is no longer there."""
        finder = self.module.finders[word]
        if finder is None:
            return GONE
        kernel = finder.kernel
        code = self.device.load(loaded(finder.text)[kernel.name], tuple(p.dtype for p in kernel.parameters.values()), 1)
        found = self.launching.room("found", 24)
        self.device.clear(found, 24)
        sources = [p.source for p in kernel.parameters.values()]
        self.device.launch(code, 1, 1, tuple(self.launching.value(source, 1, kernel, made) for source in sources))
        told = np.zeros(3, np.int64)
        self.device.download(found, told)
        return int(told[1]), int(told[2])

    def _result(self, number: int, into: Destinations) -> DeviceArray:
        """Memory of its own for an output that is a result of a recording; ArgumentShapeError if that does not fit."""
        key = "output", number
        dtype, shape = self.making.dtypes[key], self.making.lengths(key, self.table)
        into.check(number, shape)
        lease = self.pool.take(max(1, int(np.prod(shape)) * dtype.itemsize))
        return DeviceArray(self.device, lease, lease.address, shape, dtype)

    def _outputs(self, small: dict[int, DeviceArray], made: dict[Made, DeviceArray]) -> list[DeviceArray]:
        """The outputs in memory of their own, in order."""
        for number, new in small.items():
            new.settle = self.settle if self.late else None
            if new.nbytes:
                self.device.copy(new.address, self.launching.result_address(number), new.nbytes)
        return [
            small[number] if number in small else made["output", number] for number in range(len(self.schedule.outputs))
        ]

    def _commit(self, made: dict[Made, DeviceArray]) -> list[Action]:
        """What gives shared variables their new memory, for `at_once`."""
        changes = [(slot, made["fresh", slot]) for slot in self.module.layout.fresh]
        changes += [(slot, self.launching.shared[other].value) for slot, other in self.making.exchanged]
        return [self.launching.shared[slot].holding(value) for slot, value in changes]

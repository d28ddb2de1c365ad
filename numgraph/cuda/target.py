"""A device as a target, and the devices that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from numgraph.binder import Array, Binder, Call, Column, Counts, bytes_of
from numgraph.cuda.array import DeviceArray
from numgraph.cuda.device import Device
from numgraph.cuda.simdevice import SimulatedDevice
from numgraph.cuda.sweep import DeviceSweep
from numgraph.cuda.variant import DeviceVariant
from numgraph.destinations import FRESH, Destinations
from numgraph.emit.gridmodule import GridModule
from numgraph.explain.explanation import Explanation
from numgraph.inspector.record import FunctionRecord
from numgraph.loops.grid.kernel import Geometry, flat
from numgraph.program import Program
from numgraph.rewrite.assume import Keys, Leaf
from numgraph.runtime.explain import add_source
from numgraph.schedule.gridproduct import LARGE, Patch
from numgraph.shared import SharedVariable
from numgraph.target import Build, Compiled, contiguous, missing
from numgraph.whole import CALLS, Action, apart, compiled

# Small: a simulated thread costs microseconds.
SIMULATED = Geometry(
    threads=8, blocks=3, small=64, part=16, shares=3, sums=16, skinny=8, columns=16, tiles=((16, 4, 4),), wanted=1,
    patches=(Patch(16, 16, 4, 4),), narrow=(Patch(4, 16, 4, 1), Patch(16, 4, 4, 1)), deep=4, entries=16, together=3,
)  # fmt: skip


@cache
def device_for(target: str) -> tuple[Device, Geometry]:
    """The device that a target stands for, and the sizes of its grids."""
    if target == "cuda-sim":
        return SimulatedDevice(), SIMULATED
    # a process without a device does not need the driver
    from numgraph.cuda.driver import device as cuda_device

    device = cuda_device()
    return device, Geometry(large=LARGE if device.blas is not None else None, together=device.multiprocessors)


class DeviceTarget:
    """Runs one program by kernels of a device. name: "cuda" or "cuda-sim". printed: gives its kernels with the sizes of
    blocks on a device, which the simulator's are not."""

    estimates = False

    def __init__(
        self,
        program: Program,
        name: str,
        device: Device,
        build: Build[DeviceVariant],
        printed: Callable[[], GridModule],
    ) -> None:
        self.program = program
        self.name = name
        self.device = device
        self.build = build
        self.printed = printed

    def compile(self, given_up: Keys, leaf: Leaf | None) -> Compiled[DeviceVariant]:
        """A variant that does not assume what was given up, for a call whose arrays `leaf` knows."""
        return self.build(given_up, leaf)

    def bind(self, shared: Sequence[SharedVariable]) -> None:
        """Nothing: each call has the values brought to the device."""

    def run(
        self, variant: DeviceVariant, arguments: Sequence[Array], then: Sequence[Action], into: Destinations = FRESH
    ) -> list[Any]:
        """The outputs, on the device; updates are done, and `then` with them."""
        arrays = contiguous(arguments)
        outputs: list[DeviceArray] | None = None
        if not then:
            with CALLS:
                outputs = variant.run(arrays, (), into, replay=True)
        # an interrupt between two launches would leave some of the updates
        return outputs if outputs is not None else apart(partial(variant.run, arrays, then, into), CALLS)

    def call(self, variant: DeviceVariant, binder: Binder, general: Call) -> Call:
        """The general call."""
        return general

    def sweep(self, variant: DeviceVariant, columns: Sequence[Column], count: int) -> DeviceSweep | None:
        """What replays one recording for many steps; None where the variant cannot."""
        return DeviceSweep(variant, columns, count) if variant.sweeps else None

    def counts(self) -> Counts | None:
        """What the device has done so far, for whatever function."""
        return self.device.counts.copy()

    def allocated(self, outputs: Sequence[Array]) -> int:
        """The bytes of the outputs."""
        return bytes_of(outputs)

    def explain(self, variant: DeviceVariant, arguments: Sequence[Array] | None, kept: int) -> Explanation:
        """OptionError: the figures are of processors."""
        raise missing(self.program, self.name, "explanation")

    def complete(self, record: FunctionRecord, variant: DeviceVariant) -> None:
        """Add the kernels to a record, and the stages that there are on a device."""
        schedule, module = variant.schedule, variant.module
        record.passes = list(variant.records.values())
        add_source(record, schedule, module, [kernel for stage in module.kernels for kernel in flat(stage)])
        # what is for reading is loaded with the compilers, when somebody reads it
        from numgraph.cuda import compiler, looking

        if compiler.missing("compile") is None:
            capability, printed = self.device.capability, self.printed
            record.stages["ptx"] = lambda: compiled(lambda: looking.ptx(printed(), capability))
            if looking.disassembler() is not None:
                record.stages["sass"] = lambda: compiled(lambda: looking.sass(printed(), capability))

    def source(self, variant: DeviceVariant) -> str:
        """The generated source."""
        return variant.module.text

    def listing(self, variant: DeviceVariant) -> str:
        """The source with the user's lines."""
        return variant.module.listing

    def dispatcher(self, variant: DeviceVariant) -> Any:
        """OptionError: kernels have none."""
        raise missing(self.program, self.name, "compiled")

    def export(self, variant: DeviceVariant, path: str | Path, data: str, unset: Iterable[int]) -> None:
        """OptionError: a module of its own needs this one's executor."""
        raise missing(self.program, self.name, "export")

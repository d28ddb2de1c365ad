"""The executor of a function on a device, and the devices that there are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from numgraph.cuda.device import Counts, Device
from numgraph.cuda.simdevice import SimulatedDevice
from numgraph.cuda.sweep import DeviceSweep
from numgraph.cuda.variant import DeviceVariant
from numgraph.emit.grid import Geometry
from numgraph.inspector.record import FunctionRecord
from numgraph.runtime.executor import Executor
from numgraph.runtime.explain import phase_record
from numgraph.schedule.gridproduct import LARGE
from numgraph.schedule.work import schedule_text
from numgraph.whole import CALLS, Action, apart, compiled

# Small: a simulated thread costs microseconds.
SIMULATED = Geometry(threads=8, blocks=3, small=64, part=16, shares=3, sums=16, skinny=8, tiles=((16, 4, 4),), wanted=1)


@cache
def device_for(target: str) -> tuple[Device, Geometry]:
    """The device that a target stands for, and the sizes of its grids."""
    if target == "cuda-sim":
        return SimulatedDevice(), SIMULATED
    # a process without a device does not need the driver
    from numgraph.cuda.driver import device as cuda_device

    device = cuda_device()
    return device, Geometry(large=LARGE if device.blas is not None else None)


class DeviceExecutor(Executor):
    """Runs a program by kernels of a device. Compiled forms, assumptions and errors are as those of the processor."""

    # no Variant, but what an executor asks of one: `run`, `shared`, `schedule` and `module`
    variant: DeviceVariant  # type: ignore[assignment]

    # what is told of the processor's code only
    explanation: Any = None
    export: Any = None

    def complete(self, record: FunctionRecord) -> None:
        """Add the kernels to a record, and the stages that there are on a device."""
        schedule, module = self.variant.schedule, self.variant.module
        record.phases = [phase_record(schedule, kernel) for stage in module.kernels for kernel in stage]
        record.stages["schedule"] = lambda: schedule_text(schedule)
        record.stages["source"] = module.text
        record.stages["listing"] = module.listing
        from numgraph.device import door

        if door.missing("compile") is None:
            record.stages["ptx"] = lambda: compiled(self._ptx)

    def _ptx(self) -> str:
        """What the kernels are compiled to, one after the other."""
        from numgraph.device import door

        variant, texts = self.variant, []
        for kernel in (k for stage in variant.module.kernels for k in stage if not k.library and k.code == k.name):
            code, capability = variant.source[kernel.code], variant.device.capability
            texts.append(door.compile_cubin(code, kernel.signature, capability, max_threads=kernel.threads).ptx)
        return "\n".join(texts)

    def traffic(self, earlier: Counts | None = None) -> Counts:
        """What the device has done, since `earlier` if that is given."""
        counts = self.variant.device.counts
        return counts.copy() if earlier is None else counts.minus(earlier)

    def _run(self, variant: Any, arrays: Sequence[Any], then: Sequence[Action]) -> list[Any]:
        outputs: list[Any] | None = None
        if not then:
            with CALLS:
                outputs = variant.run(arrays, replay=True)
        # an interrupt between two launches would leave some of the updates
        return outputs if outputs is not None else apart(partial(variant.run, arrays, then), CALLS)

    def displaced(self) -> None:
        """Nothing: each call has the values brought to the device."""

    def bring_home(self) -> None:
        """Nothing: on a device they are at home."""

    def fast_call(self, program: Any, binder: Any, general: Any) -> Any:
        """The general call."""
        return general

    # a DeviceSweep has what `sweep` asks of a NativeSweep
    def native_sweep(self, columns: Sequence[tuple[Any, Any]], count: int) -> DeviceSweep | None:  # type: ignore[override]
        """What replays one recording for many steps; None where the present variant cannot."""
        if not self.variant.sweeps:
            return None
        return DeviceSweep(self.variant, [(c.values, c.varies) for _, c in columns], count)

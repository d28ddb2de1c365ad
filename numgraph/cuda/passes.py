"""The pipeline from a schedule to kernels of a device; what comes before is as for the processor, see `compile`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from numgraph.compile import State, title_of, within_memory
from numgraph.config import config
from numgraph.cuda.device import Device
from numgraph.cuda.target import DeviceTarget, device_for
from numgraph.cuda.variant import DeviceVariant
from numgraph.emit.gridmodule import GridModule, print_grid
from numgraph.fingerprint import shapes_of
from numgraph.loops import verify as loops
from numgraph.loops.grid.kernel import Geometry
from numgraph.loops.grid.program import GridProgram
from numgraph.loops.names import KERNEL_NAMES
from numgraph.passes import Made, Pass, passed
from numgraph.program import Program
from numgraph.rewrite.assume import NOTHING, Assumptions, Keys, Leaf
from numgraph.scalars import DEVICE
from numgraph.target import Compiled
from numgraph.traits import GRID
from numgraph.whole import compiled


@dataclass
class KernelState(State):
    """A program on its way to kernels of a device. device: None where they are only to be printed."""

    geometry: Geometry = field(default_factory=Geometry)
    device: Device | None = None
    loops: GridProgram = field(init=False)
    module: GridModule = field(init=False)
    variant: DeviceVariant = field(init=False)


def make_loops(state: KernelState) -> Made:
    """The loop program of the schedule, mapped to a grid."""
    state.loops = GridProgram(state.schedule, state.conditions, DEVICE, state.geometry)
    return {"kernels": sum(map(len, state.loops.kernels)), "checks": len(state.loops.words)}


def print_kernels(state: KernelState) -> Made:
    """The generated source."""
    state.module = print_grid(state.loops, title_of(state.program))
    if config.verify:
        loops.verify(state.module.functions, KERNEL_NAMES)
    if config.debug >= 2:
        print(state.module.listing, file=sys.stderr)
    return {"kernels": sum(map(len, state.module.kernels)), "lines": state.module.text.count("\n")}


def load_kernels(state: KernelState) -> Made:
    """The kernels compiled, or from the cache, and on the device with their memory."""
    assert state.device is not None
    make = partial(DeviceVariant, state.schedule, state.module, state.shared, state.device, state.geometry)
    state.variant = compiled(make)
    state.variant.records = state.records
    return {"kernels": sum(map(len, state.variant.kernels))}


KERNELS: list[Pass[KernelState]] = [
    Pass("make loops", make_loops),
    Pass("print", print_kernels),
    Pass("load", load_kernels),
]


def kernel_state(
    program: Program, geometry: Geometry, device: Device | None = None
) -> Callable[[Assumptions], KernelState]:
    """What makes new states of a program on its way to kernels, of a device with grids of these sizes."""
    return partial(KernelState, program, {}, GRID, shapes_of(program), geometry=geometry, device=device)


def device_of(name: str) -> tuple[Device, Geometry]:
    """The device that a name stands for, and the sizes of its grids with the settings as they are."""
    device, geometry = device_for(name)
    return device, replace(geometry, loops=config.cuda_loops, tf32=config.cuda_tf32)


def device_target(program: Program, name: str) -> DeviceTarget:
    """What runs a normalised program on the device that a name stands for: "cuda" or "cuda-sim"."""
    device, geometry = device_of(name)

    def build(given_up: Keys, leaf: Leaf | None) -> Compiled[DeviceVariant]:
        make = partial(kernel_state, geometry=geometry, device=device)
        state = passed(within_memory(program, given_up, leaf, make), KERNELS)
        return Compiled(state.variant, state.given_up)

    def printed() -> GridModule:
        return printed_for_grid(
            program, Geometry(large=geometry.large, loops=geometry.loops, tf32=geometry.tf32)
        ).module

    return DeviceTarget(program, name, device, build, printed)


def printed_for_grid(program: Program, geometry: Geometry) -> KernelState:
    """The state of a program with generated source for a device with grids of these sizes, which is not compiled."""
    return passed(within_memory(program, NOTHING, None, partial(kernel_state, geometry=geometry)), KERNELS[:2])

"""What the inspector learns from a compiled variant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from numgraph.emit.steps import steps_text
from numgraph.inspector.machinecode import assembly_code, llvm_code
from numgraph.inspector.record import FunctionRecord, PhaseRecord
from numgraph.processor import processor
from numgraph.runtime.native import compiled_source, version_of
from numgraph.runtime.variant import NativeVariant
from numgraph.schedule.plan import Schedule
from numgraph.schedule.work import schedule_text, work_of
from numgraph.whole import compiled

if TYPE_CHECKING:
    from numgraph.emit.gridmodule import GridModule
    from numgraph.emit.module import Module
    from numgraph.loops.grid.kernel import Kernel
    from numgraph.loops.processor import Phase


def complete(record: FunctionRecord, variant: NativeVariant) -> None:
    """Add phases, the compiled stages, and where and how fast they were compiled."""
    add_source(record, variant.schedule, variant.module, variant.module.phases)
    record.passes = variant.details.passes
    library = cache(partial(looked_into, variant))
    record.code["llvm"] = lambda: llvm_code(library().get_llvm_str())
    record.code["asm"] = lambda: assembly_code(library().get_asm_str())
    record.stages["llvm"] = lambda: record.annotated("llvm", ";")
    record.stages["asm"] = lambda: record.annotated("asm", "#" if processor().triple.startswith("x86") else "//")
    record.cache_path = str(variant.native.path)
    record.versions |= {name: version_of(name) for name in ("numba", "llvmlite")} | {"processor": processor().name}
    record.compile_seconds = variant.native.seconds
    record.cached = variant.native.cached


def add_source(
    record: FunctionRecord, schedule: Schedule, module: Module | GridModule, phases: Sequence[Phase | Kernel]
) -> None:
    """Add phases, or kernels of a grid, and the stages from the schedule to the generated source."""
    record.phases = [phase_record(schedule, phase) for phase in phases]
    record.stages["schedule"] = lambda: schedule_text(schedule)
    record.stages["loops"] = lambda: steps_text(module.steps)
    record.stages["source"] = module.text
    record.stages["listing"] = module.listing


def phase_record(schedule: Schedule, phase: Phase | Kernel) -> PhaseRecord:
    """One phase, or kernel of a grid, as data."""
    work = work_of(schedule, phase.tasks)
    return PhaseRecord(
        phase.name, phase.kind, work.loops, work.statements, work.flops, work.bytes, work.reads, work.writes
    )


def looked_into(variant: NativeVariant) -> Any:
    """The library of a variant that knows its lines: compiled anew, since the cache keeps code only."""
    return compiled(partial(_looked_into, variant))


def _looked_into(variant: NativeVariant) -> Any:
    # Numba is loaded with it
    from numgraph.lower.lines import lines_wanted

    with lines_wanted():
        return compiled_source(variant.native.path, variant.module.text).library

"""What compiled code tells the inspector."""

from __future__ import annotations

from pathlib import Path

from numgraph.inspector.record import FunctionRecord, PhaseRecord
from numgraph.runtime.native import import_source
from numgraph.runtime.variant import Variant
from numgraph.schedule.work import schedule_text, work_of


def complete(record: FunctionRecord, variant: Variant) -> None:
    """Add the phases, the stages from schedule to asm, the file and the seconds of `variant` to a record."""
    schedule, module, native = variant.schedule, variant.module, variant.native
    record.phases = []
    for phase in module.phases:
        work = work_of(schedule, phase.items)
        shown = (work.loops, work.statements, work.flops, work.bytes, work.reads, work.writes)
        record.phases.append(PhaseRecord(phase.name, phase.kind, *shown))
    record.stages["schedule"] = lambda: schedule_text(schedule)
    record.stages["source"] = module.text
    record.stages["listing"] = module.listing
    record.stages["llvm"] = lambda: library_text(native.path, "get_llvm_str")
    record.stages["asm"] = lambda: library_text(native.path, "get_asm_str")
    record.cache_path = str(native.path)
    record.compile_seconds = native.seconds
    record.cached = native.cached


def library_text(path: Path, what: str) -> str:
    """A text of Numba's for a generated file: it is compiled once more, since the cache holds machine code only."""
    library = import_source(path).enter._library
    return str(getattr(library, what)())

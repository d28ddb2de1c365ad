"""What the inspector learns from a compiled variant."""

from __future__ import annotations

from typing import Any

from numgraph.inspector.record import FunctionRecord, PhaseRecord
from numgraph.runtime.native import import_source
from numgraph.runtime.variant import Variant
from numgraph.schedule.work import schedule_text, work_of


def complete(record: FunctionRecord, variant: Variant) -> None:
    """Add phases, the compiled stages, and where and how fast they were compiled."""
    record.phases = [phase_record(variant, phase) for phase in variant.module.phases]
    record.stages["schedule"] = lambda: schedule_text(variant.schedule)
    record.stages["source"] = variant.module.text
    record.stages["listing"] = variant.module.listing
    record.stages["llvm"] = lambda: str(_library(variant).get_llvm_str())
    record.stages["asm"] = lambda: str(_library(variant).get_asm_str())
    record.cache_path = str(variant.native.path)
    record.compile_seconds = variant.native.seconds
    record.cached = variant.native.cached


def phase_record(variant: Variant, phase: Any) -> PhaseRecord:
    """One phase as data."""
    work = work_of(variant.schedule, phase.items)
    return PhaseRecord(phase.name, phase.kind, work.loops, work.statements, work.flops, work.bytes, work.reads, work.writes)


def _library(variant: Variant) -> Any:
    """Numba's code library of the entry; compiled anew, since the cache keeps machine code only."""
    return import_source(variant.native.path).enter._library

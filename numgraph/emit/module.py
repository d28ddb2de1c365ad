"""The generated module for the processor: a loop program as text, under a header that says what it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numgraph.convention import Products
from numgraph.emit.header import module_header, slot_lines, with_users, words
from numgraph.emit.printer import function_lines
from numgraph.emit.steps import Transformed
from numgraph.emit.writer import Line
from numgraph.loops.entry import sweeps
from numgraph.loops.notes import Notes
from numgraph.loops.processor import Phase, ProcessorProgram
from numgraph.loops.products import products_of
from numgraph.loops.program import Function
from numgraph.loops.table import Layout
from numgraph.schedule.plan import Schedule
from numgraph.schedule.tasks import Task
from numgraph.schedule.work import work_of


@dataclass
class Module:
    """A printed program. `text` is compiled and cached; `listing` is the same with the user's lines. lines: of both.
    steps: the loop program that it is printed of, after each transformation."""

    text: str
    listing: str
    lines: list[Line]
    steps: list[Transformed]
    layout: Layout
    failures: list[Any]
    phases: list[Phase]
    sweeps: bool

    @property
    def functions(self) -> list[Function]:
        """The loop program as it is printed."""
        return self.steps[-1].functions

    @cached_property
    def products(self) -> list[Products]:
        """The matrix products that it calls, itself or in kernels, which have none of dot products."""
        found = {dtype: Products(dtype, narrow=True) for dtype in self.layout.multiplying}
        for products in products_of(self.functions):
            found[products.dtype] = products._replace(narrow=products.narrow or products.dtype in found)
        return sorted(found.values())


def print_module(program: ProcessorProgram, steps: list[Transformed], title: Sequence[str]) -> Module:
    """The text of the last step. title: lines that say what the graph is in the user's terms."""
    layout, notes, schedule = program.layout, program.notes, program.schedule
    lines = with_users(layout, separated(map(function_lines, steps[-1].functions)), "users_function")
    code = "\n".join(line.code for line in lines)
    table = [work_line(schedule, notes, phase.name, phase.tasks) for phase in program.phases]
    header = module_header(title, table, code, set(program.setting.vector.values()), program.kernels)
    lines = [*(Line(0, code) for code in [*header, *slot_lines(layout, words(code)), "", ""]), *lines]
    text = "\n".join(line.text() for line in lines) + "\n"
    listing = "\n".join(line.text(True) for line in lines) + "\n"
    return Module(text, listing, lines, steps, layout, layout.failures, program.phases, sweeps(schedule))


def separated(parts: Iterable[Sequence[Line]]) -> list[Line]:
    """The lines of functions, with empty ones between them."""
    lines: list[Line] = []
    for part in parts:
        lines += [*([Line(0, ""), Line(0, "")] if lines else []), *part]
    return lines


def work_line(schedule: Schedule, notes: Notes, name: str, tasks: list[Task], how: str = "") -> str:
    """What a phase makes, over which lengths, and its work. how: it is divided, where that is worth saying."""
    work = work_of(schedule, tasks)
    flops = "?" if work.flops is None else f"{work.flops:,}"
    traffic = "?" if work.bytes is None else f"{work.bytes:,}"
    loops = " x ".join(work.loops) or "once"
    return f"{name}: {notes.made(tasks) or 'parts of sums'} ({loops}{how}): {flops} flops, {traffic} bytes"

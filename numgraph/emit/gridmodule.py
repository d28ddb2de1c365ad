"""The generated module for a grid of threads: the plans, which the host runs, and the kernels that it launches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numgraph.emit.header import finders, libraries, slot_lines, with_users, words
from numgraph.emit.module import separated, work_line
from numgraph.emit.printer import fits, function_lines
from numgraph.emit.steps import Transformed
from numgraph.emit.writer import Line
from numgraph.loops.grid.kernel import Kernel, flat
from numgraph.loops.grid.program import GridProgram
from numgraph.loops.inline import inlined
from numgraph.loops.names import HOST
from numgraph.loops.program import Call, Function, rebuilt
from numgraph.loops.scalar import HELPERS
from numgraph.loops.table import Layout
from numgraph.text import docstring

# What finds a user's function for a kernel.
FINDER = "plain_users_function"


@dataclass
class Finder:
    """The search for the index that a check refused, a kernel for one thread; made when a check has failed."""

    kernel: Kernel
    text: str


@dataclass
class GridModule:
    """A printed program. `text` is compiled and cached; `listing` is the same with the user's lines. lines: of both.
    plans: names of the host's functions, one per stage. kernels: per stage, in order. failures: what a plan's status
    means. parts: bytes of the parts of each sum that blocks of threads share. words: for each word of the device's
    status, which failure it means; finders: for each, the search for the index, None where that was not kept.
    functions: what the text is printed of."""

    text: str
    listing: str
    lines: list[Line]
    layout: Layout
    failures: list[Any]
    plans: list[str]
    kernels: list[list[Kernel]]
    parts: dict[Any, Any] = field(default_factory=dict)
    words: list[int] = field(default_factory=list)
    finders: list[Finder | None] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)

    @property
    def steps(self) -> list[Transformed]:
        """The loop program that it is printed of."""
        return [Transformed("mapped to a grid, alike kernels merged, expressions inlined", self.functions)]


def print_grid(program: GridProgram, title: Sequence[str]) -> GridModule:
    """The text of a program. title: lines that say what the graph is in the user's terms."""
    layout = program.layout
    every = [kernel for kernels in program.kernels for kernel in flat(kernels)]
    helpers = merge_helpers(every)
    merge([kernel for kernel in every if kernel.function is not None])
    functions = list(helpers.values())
    parts = [function_lines(helper) for helper in helpers.values()]
    for stage, kernels in enumerate(program.kernels):
        plan = inlined(program.plans[stage], fits)
        plans = [plan, *(program.plans_of_steps[s] for s in scans_of(kernels) if s in program.plans_of_steps)]
        parts += [*map(function_lines, plans), *(kernel_lines(program, kernel) for kernel in flat(kernels))]
        functions += [*plans, *(kernel.function for kernel in flat(kernels) if kernel.function is not None)]
    lines = with_users(layout, separated(parts), FINDER)
    header = header_of(program, title, "\n".join(line.code for line in lines), every)
    lines = [*(Line(0, code) for code in header), *lines]
    text = "\n".join(line.text() for line in lines).rstrip("\n") + "\n"
    listing = "\n".join(line.text(True) for line in lines).rstrip("\n") + "\n"
    names = [f"plan_{stage}" for stage in range(len(program.kernels))]
    searches = program.searches
    finders = [None if s is None else Finder(s, search_text(program, s, title)) for s in searches]
    return GridModule(
        text,
        listing,
        lines,
        layout,
        layout.failures,
        names,
        program.kernels,
        program.parts,
        program.words,
        finders,
        functions,
    )


def scans_of(kernels: Sequence[Kernel]) -> list[int]:
    """The numbers of the scans of a stage."""
    return [kernel.scan.number for kernel in flat(kernels) if kernel.scan is not None]


def merge_helpers(kernels: Sequence[Kernel]) -> dict[str, Function]:
    """The functions that kernels call, with nested expressions, by name: of those that are the same, the first, which
    kernels call in the place of the others."""
    found: dict[object, Function] = {}
    for kernel in kernels:
        names: dict[str, str] = {}
        for name, helper in kernel.helpers.items():
            printed = inlined(helper, fits)
            lines = (*map(str, printed.arguments), *(line.code for line in function_lines(printed)[2:]))
            names[name] = found.setdefault(lines, printed).name

        def change(node: Any, names: dict[str, str] = names) -> Any:
            return replace(node, function=names.get(node.function, node.function)) if isinstance(node, Call) else node

        if kernel.function is not None:
            kernel.function = replace(kernel.function, body=tuple(rebuilt(s, change) for s in kernel.function.body))
    return {helper.name: helper for helper in found.values()}


def merge(kernels: Sequence[Kernel]) -> None:
    """Nest expressions, and let kernels that are the same be one: what they work on are their parameters."""
    firsts: dict[object, Kernel] = {}
    for kernel in kernels:
        assert kernel.function is not None
        kernel.function = inlined(kernel.function, fits)
        body = tuple(line.code for line in function_lines(kernel.function)[1:])
        head = tuple((p.name, p.dtype) for p in kernel.parameters.values())
        first = firsts.setdefault((kernel.threads, head, body), kernel)
        if first is not kernel:
            kernel.code, kernel.function = first.name, None
            kernel.remark = f"{kernel.name}: {first.name} with other arguments"


def kernel_lines(program: GridProgram, kernel: Kernel) -> list[Line]:
    """A kernel as text, or what stands for it."""
    if kernel.function is not None:
        return function_lines(kernel.function)
    return [Line(0, f"# {library_remark(program, kernel) if kernel.library else kernel.remark}")]


def library_remark(program: GridProgram, kernel: Kernel) -> str:
    """The comment that stands for launches that the host works out."""
    sizes = ", ".join(map(slot_text, kernel.sizes))
    names = [f"{name} + {slot_text(begin)}" if begin else name for name, begin in kernel.operands]
    more = "; alpha {}, beta {}".format(*kernel.factors) if kernel.factors else ""
    dtypes = {p.name: p.dtype for p in kernel.parameters.values()}
    if kernel.factors and program.geometry.tf32 and dtypes[names[0]] == "float32*":
        more += ", in TF32"
    return f"{kernel.name}: {names[0]} = {kernel.library}({', '.join(names[1:])}; {sizes}{more})"


def slot_text(number: int) -> str:
    """A number, or the slot of the plan's table that holds it."""
    return str(number) if number >= 0 else f"table[{-1 - number}]"


def search_text(program: GridProgram, kernel: Kernel, title: Sequence[str]) -> str:
    """The module of the search for an index."""
    assert kernel.function is not None
    lines = with_users(program.layout, function_lines(inlined(kernel.function, fits)), FINDER)
    code = "\n".join(line.text() for line in lines)
    return "\n".join([*header_of(program, title, code, [kernel]), code]) + "\n"


def header_of(program: GridProgram, title: Sequence[str], code: str, kernels: Sequence[Kernel]) -> list[str]:
    """The lines above the functions of `code`."""
    used = words(code)
    table = [work_line(program.schedule, program.notes, k.name, k.tasks, f"; {k.kind}") for k in kernels]
    lines = [*docstring([*title, "", *table]), ""]
    lines += libraries(used)
    host = sorted(used & HOST)
    lines += [f"from numgraph.cuda.plan import {', '.join(host)}"] if host else []
    lines += finders(used)
    made = {expression: name for kernel in kernels for expression, name in kernel.made.items()}
    called = used.union(*map(words, made))
    imports = {name for kernel in kernels for name in kernel.imports if name.rpartition(".")[2] in called}
    imports |= {f"support.{name}" for name in used & HELPERS} | {"cuda.support.cuda"}
    imports |= {f"cuda.support.{name}" for name in used & {"FULL"}}
    if "helper" in used or any(kernel.made for kernel in kernels):
        imports.add("cuda.support.helper")
    for module in sorted({name.rpartition(".")[0] for name in imports}):
        found = sorted(name.rpartition(".")[2] for name in imports if name.rpartition(".")[0] == module)
        lines.append(f"from numgraph.kernels.{module} import {', '.join(found)}")
    lines += ["", f"THREADS = {program.geometry.threads}"]
    lines += [f"WARP = {program.geometry.warp}"] if "WARP" in used else []
    lines += slot_lines(program.layout, used)
    return [*lines, *(f"{name} = helper({expression})" for expression, name in made.items()), "", ""]

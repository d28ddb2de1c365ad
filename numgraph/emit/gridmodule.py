"""A whole program for a grid of threads: the plan, which the host runs, and the kernels that it launches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numgraph import dims
from numgraph.emit.grid import Geometry, Kernel
from numgraph.emit.gridkernel import GridPrinter
from numgraph.emit.gridloops import BLOCK, BLOCKS, LANE, LANES, THREAD, THREADS
from numgraph.emit.gridsums import shares_of
from numgraph.emit.header import DTYPES, finders, words
from numgraph.emit.module import ModulePrinter, PlanPrinter, separated
from numgraph.emit.printer import fits, function_lines
from numgraph.emit.steps import Transformed
from numgraph.emit.table import Layout, found_functions, slot_lines
from numgraph.emit.writer import RESERVED, Line, Names, imported
from numgraph.errors import FunctionError
from numgraph.loops.nest import nested
from numgraph.loops.program import Assign, Barrier, Expression, Function, If, Logic, Name, Return, Statement, walk
from numgraph.loops.scalar import HELPERS
from numgraph.schedule.arrange import Block
from numgraph.schedule.grid import Mapping
from numgraph.schedule.plan import Schedule
from numgraph.text import docstring

# What plans use, of `cuda.plan`.
HOST = frozenset("i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 argument_length resident_length fail".split())
# Names that a kernel's variables may not have: the functions and types of any module, and what says which thread it is.
KERNEL_NAMES = (
    (RESERVED - set("table reals arena own share shares begin end step status call many words return_code".split()))
    | HOST
    | HELPERS
    | set("block blocks thread threads lane cuda helper advance THREADS".split())
)
# Statements in one kernel of several phases.
MAX_KERNEL = 120


@dataclass
class Finder:
    """The search for the index that a check refused, a kernel for one thread; made when a check has failed."""

    kernel: Kernel
    text: str


@dataclass
class GridModule:
    """A printed program. `text` is compiled and cached; `listing` is the same with the user's lines. plans: names of
    the host's functions, one per stage. kernels: per stage, in order. failures: what a plan's status means. parts:
    bytes of the parts of each sum that blocks of threads share. words: for each word of the device's status, which
    failure it means; finders: for each, the search for the index, None where that was not kept.
    functions: what the text is printed of."""

    text: str
    listing: str
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
        return [Transformed("mapped to a grid, alike kernels merged, expressions nested", self.functions)]


def _slot_text(number: int) -> str:
    """A number, or the slot of the plan's table that holds it."""
    return str(number) if number >= 0 else f"table[{-1 - number}]"


def _merge(kernels: Sequence[Kernel]) -> None:
    """Print kernels that are the same once: what they work on are their parameters."""
    firsts: dict[object, Kernel] = {}
    for kernel in kernels:
        if kernel.function is None:
            continue
        body = tuple(line.code for line in function_lines(kernel.function)[1:])
        head = tuple((p.name, p.dtype) for p in kernel.parameters.values())
        first = firsts.setdefault((kernel.threads, head, body), kernel)
        if first is not kernel:
            kernel.code, kernel.function = first.name, None
            kernel.remark = f"{kernel.name}: {first.name} with other arguments"


def _kernel_lines(kernel: Kernel) -> list[Line]:
    """A kernel as text, or what stands for it."""
    return function_lines(kernel.function) if kernel.function is not None else [Line(0, f"# {kernel.remark}")]


@dataclass(frozen=True)
class Step:
    """What a kernel does in one go: a block of the schedule, or the joining of the parts of its sums."""

    block: Block
    joins: bool = False


class GridModulePrinter(ModulePrinter):
    """Prints the program of one schedule for a grid."""

    # the host runs plans as they are
    decorator = ""

    def __init__(
        self,
        schedule: Schedule,
        requirements: Sequence[Any],
        functions: dict[tuple[str, str], str],
        title: Sequence[str],
        geometry: Geometry,
    ) -> None:
        super().__init__(schedule, requirements, functions, title)
        self.geometry = geometry
        self.reserved = KERNEL_NAMES | imported(functions.values())
        self.parts: dict[Any, Any] = {}
        self.words: list[int] = []
        # functions made by expressions, of all kernels
        self.made: dict[str, str] = {}

    def run(self) -> GridModule:
        """Kernels first: they decide which lengths the plans must compute."""
        kernels: list[list[Kernel]] = []
        serial = 0
        for stage, blocks in enumerate(self.schedule.stages):
            kernels.append([])
            for group in self._groups(blocks):
                kernels[-1].append(self._kernel(f"kernel_{serial}", stage, group))
                serial += 1
        _merge([kernel for made in kernels for kernel in made])
        finders = [self._finder(word) for word in range(len(self.words))]
        plans = {stage: self._plan(stage) for stage in reversed(range(len(kernels)))}
        helpers = {name: function for made in kernels for k in made for name, function in k.helpers.items()}
        functions = list(helpers.values())
        parts = [function_lines(helper) for helper in helpers.values()]
        for stage, made in enumerate(kernels):
            plan = nested(plans[stage], fits)
            parts += [function_lines(plan), *map(_kernel_lines, made)]
            functions += [plan, *(kernel.function for kernel in made if kernel.function is not None)]
        lines = separated(parts)
        code = "\n".join(line.code for line in lines)
        self._refuse_raising(words(code))
        lines = [*self._users(code), *lines]
        code = "\n".join(line.code for line in lines)
        header = self._header(code, [k for made in kernels for k in made])
        text = "\n".join([*header, *(line.text() for line in lines)]).rstrip("\n") + "\n"
        listing = "\n".join([*header, *(line.text(True) for line in lines)]).rstrip("\n") + "\n"
        names = [f"plan_{stage}" for stage in range(len(kernels))]
        return GridModule(
            text, listing, self.layout, self.layout.failures, names, kernels, self.parts, self.words, finders, functions
        )

    # -- kernels ------------------------------------------------------------------------------------------------

    def _groups(self, blocks: Sequence[Block]) -> list[list[Step]]:
        """What each launch does: small steps that follow each other are one launch, of one thread block."""
        groups: list[list[Step]] = []
        open_group = False
        for block in blocks:
            mapping: Mapping = self.schedule.sharing[block]
            small = mapping.is_small(self.geometry.small)
            size = sum(step.block.lines for step in groups[-1]) if groups else 0
            if open_group and small and size + block.lines <= MAX_KERNEL:
                groups[-1].append(Step(block))
            else:
                groups.append([Step(block)])
            open_group = small
            if mapping.shape == "sums" and self._shares(block) != 1:
                groups.append([Step(block, True)])
                open_group = True
        return groups

    def _shares(self, block: Block) -> Any:
        return shares_of(self.schedule.graph, block, self.schedule.sharing[block], self.geometry)

    def _names(self) -> Names:
        """Names for a kernel's variables."""
        return Names({*self.reserved, *self.layout.functions.values()})

    def _kernel(self, name: str, stage: int, steps: Sequence[Step]) -> Kernel:
        """One kernel, of steps with barriers in between."""
        kernel = Kernel(name, self._names(), threads=self.geometry.threads, made=self.made)
        own: Any = 0
        checked = tested = len(self.words)
        for number, step in enumerate(steps):
            if number:
                kernel.statements += [Barrier(), *self._refused(kernel, tested, len(self.words))]
                tested = len(self.words)
            printer = GridPrinter(self.schedule, self.layout, self.vector, kernel, stage, self.geometry, self.words)
            (printer.join if step.joins else printer.run)(step.block)
            own = dims.maximum(own, printer.own)
            if step.joins:
                self._add_parts(step.block)
        kernel.own = self.layout.number(own)
        if len(steps) > 1:
            kernel.grid = [(1, 1, 1)]
        if kernel.library:
            kernel.remark = self._library_remark(kernel)
            return kernel
        note = self._summary(kernel.items) or f"parts of {self._summary(steps[0].block.items)}"
        kernel.function = self._function_of(kernel, checked, note)
        return kernel

    def _library_remark(self, kernel: Kernel) -> str:
        """The comment that stands for launches that the host works out."""
        sizes = ", ".join(map(_slot_text, kernel.sizes))
        names = [f"{name} + {_slot_text(begin)}" if begin else name for name, begin in kernel.operands]
        more = "; alpha {}, beta {}".format(*kernel.factors) if kernel.factors else ""
        dtypes = {p.name: p.dtype for p in kernel.parameters.values()}
        if kernel.factors and self.geometry.tf32 and dtypes[names[0]] == "float32*":
            more += ", in TF32"
        return f"{kernel.name}: {names[0]} = {kernel.library}({', '.join(names[1:])}; {sizes}{more})"

    def _finder(self, word: int) -> Finder | None:
        item = self.layout.failures[self.words[word] - 1]
        buffers = [self.schedule.buffers.get(load.inputs[0]) for load in item.loads]
        if any(place is not None and place.place in ("private", "register") for place in buffers):
            return None
        kernel = Kernel(f"find_{word}", self._names(), threads=1)
        GridPrinter(self.schedule, self.layout, self.vector, kernel, item.stage, self.geometry, []).find(item)
        lines = function_lines(self._function_of(kernel, 0, f"the index that {item.node.name} refuses"))
        code = "\n".join(line.text() for line in lines)
        code = "\n".join([*(line.text() for line in self._users(code)), code])
        return Finder(kernel, "\n".join([*self._header(code, [kernel]), code]) + "\n")

    def _users(self, code: str) -> list[Line]:
        """What finds the users' functions that occur in the code."""
        return found_functions(self.layout, words(code), "plain_users_function")

    def _refuse_raising(self, used: set[str]) -> None:
        """FunctionError for a user's function that says `raise`: a thread of a grid cannot end a call."""
        for (user, _, _), name in self.layout.functions.items():
            if name in used and user.says_raise:
                graph = self.schedule.graph
                nodes = [v for v in graph.lines if v.op is not None and v.op.user is user]
                lines = ", ".join(dict.fromkeys(str(line) for v in nodes for line in graph.lines[v]))
                raise FunctionError(
                    f"{user.where} may raise an exception, which threads of a device cannot\n  called at {lines}\n"
                    f'  defined at {user.line}\n  fix: return a number that says so, such as nan; or target="cpu"'
                )

    def _add_parts(self, block: Block) -> None:
        """Memory for the parts of a block's sums."""
        first, find = block.items[0], self.schedule.graph.find
        count = dims.product([find(first.loops[k]) for k in first.kept]) * self._shares(block)
        for item in block.items:
            self.parts[item] = self.layout.number(count * 8)

    def _refused(self, kernel: Kernel, first: int, end: int) -> list[Statement]:
        """Nothing more is done after an index check has failed, one of words `first` to `end` of the status."""
        if first == end:
            return []
        status = kernel.parameter("status", "status", "p", "int64*", ("status",))
        refused = tuple(status[word].compared("!=", 0) for word in range(first, end))
        condition = refused[0] if len(refused) == 1 else Logic("or", refused)
        return [If(condition, (Return(note="an index was refused before"),))]

    def _function_of(self, kernel: Kernel, checked: int, note: str) -> Function:
        """The whole function. checked: words of the status that kernels before this one may have set."""
        body = [*self._refused(kernel, 0, checked), *kernel.statements]
        used = {node.text for node in walk(body) if isinstance(node, Name)}
        # which thread this is, where that is asked for
        places: list[tuple[set[str], Name, Expression]] = [
            ({"lane", "thread"}, LANE, Name("cuda.threadIdx.x")),
            ({"block", "thread"}, BLOCK, Name("cuda.blockIdx.x")),
            ({"blocks", "threads"}, BLOCKS, Name("cuda.gridDim.x")),
            ({"thread"}, THREAD, BLOCK * LANES + LANE),
            ({"threads"}, THREADS, BLOCKS * LANES),
        ]
        start = [Assign(name, value) for asked, name, value in places if used & asked]
        arguments = tuple(Name(p.name, p.dtype) for p in kernel.parameters.values())
        return nested(Function(kernel.name, arguments, (*start, *body), note=note), fits)

    def _header(self, code: str, kernels: Sequence[Kernel]) -> list[str]:
        used = words(code)
        dtypes = [d for d in DTYPES if d in used]
        lines = docstring([*self.title, "", *(self._work_line(k.name, k.items, f"; {k.kind}") for k in kernels)])
        lines += [""]
        lines += ["import math", ""] if "math" in used else []
        lines += ["import numpy as np"] if "np" in used else []
        lines += [f"from numpy import {', '.join(dtypes)}"] if dtypes else []
        host = sorted(used & HOST)
        lines += [f"from numgraph.cuda.plan import {', '.join(host)}"] if host else []
        lines += finders(used)
        imports = {name for kernel in kernels for name in kernel.imports} | self.imports
        imports |= {f"support.{name}" for name in used & HELPERS} | {"cuda.support.cuda"}
        if "helper" in used or any(kernel.made for kernel in kernels):
            imports.add("cuda.support.helper")
        for module in sorted({name.rpartition(".")[0] for name in imports}):
            found = sorted(name.rpartition(".")[2] for name in imports if name.rpartition(".")[0] == module)
            lines.append(f"from numgraph.kernels.{module} import {', '.join(found)}")
        made = {expression: name for kernel in kernels for expression, name in kernel.made.items()}
        lines += ["", f"THREADS = {self.geometry.threads}", *slot_lines(self.layout, used)]
        return [*lines, *(f"{name} = helper({expression})" for expression, name in made.items()), "", ""]

    # -- plan ---------------------------------------------------------------------------------------------------

    def _divide(self, printer: PlanPrinter, stage: int) -> None:
        """A grid divides loops by itself."""

    def _addresses(self) -> list[Statement]:
        """None: kernels have addresses as parameters."""
        return []

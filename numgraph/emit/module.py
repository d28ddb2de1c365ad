"""A whole program: the plan, the phases, the step, and the entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numgraph.emit.calls import KernelPrinter, ProductPrinter
from numgraph.emit.divided import SHARE, SHARES, JoinPrinter, SharePrinter
from numgraph.emit.entry import POINTER, entry_function, step_function, sweeps
from numgraph.emit.function import FunctionPrinter, outside
from numgraph.emit.fused import FusedJoinPrinter, FusedPrinter
from numgraph.emit.header import module_header, words
from numgraph.emit.printer import fits, function_lines
from numgraph.emit.steps import Transformed
from numgraph.emit.table import THREADS, WORK, Layout, found_functions, slot_lines
from numgraph.emit.writer import Line
from numgraph.ir import Node
from numgraph.loops.alike import Merged, apart, merge
from numgraph.loops.nest import nested
from numgraph.loops.program import (
    ADDRESS,
    REALS,
    TABLE,
    Assign,
    Call,
    Expression,
    Function,
    If,
    Logic,
    Number,
    Return,
    Statement,
    fail,
)
from numgraph.schedule import shares
from numgraph.schedule.arrange import Block, Fused
from numgraph.schedule.items import Item, computed_sources
from numgraph.schedule.plan import Schedule
from numgraph.schedule.work import work_of

# Statements in one generated function, see `arrange.MAX_BODY`.
MAX_FUNCTION = 96


@dataclass
class Phase:
    """A loop nest, a product or a kernel. functions: that compute it, the last one perhaps what joins the parts of
    shares, called `joining`. block: what is divided among threads."""

    name: str
    kind: str
    items: list[Item]
    functions: list[Function] = field(default_factory=list)
    block: Block | None = None
    joining: str | None = None

    @property
    def fails(self) -> bool:
        """Whether the function may refuse to run on."""
        return any(item.kind == "check" or item.raises for item in self.items)


@dataclass
class Module:
    """A printed program. `text` is compiled and cached; `listing` is the same with the user's lines. steps: the loop
    program that it is printed of, after each transformation."""

    text: str
    listing: str
    steps: list[Transformed]
    layout: Layout
    failures: list[Any]
    phases: list[Phase]
    sweeps: bool

    @property
    def functions(self) -> list[Function]:
        """The loop program as it is printed."""
        return self.steps[-1].functions


def broken(kind: str, a: Expression, b: Expression) -> Expression:
    """That two lengths do not meet a condition."""
    if kind == "broadcast":
        return Logic("and", (a.compared("!=", b), a.compared("!=", 1), b.compared("!=", 1)))
    if kind == "range":
        return outside(a, b)
    sign = {"equal": "!=", "assume": "!=", "nonempty": "<", "at_least": "<", "fits": ">"}[kind]
    return a.compared(sign, 1 if kind == "nonempty" else b)


def separated(parts: Iterable[Sequence[Line]]) -> list[Line]:
    """The lines of functions, with empty ones between them."""
    lines: list[Line] = []
    for part in parts:
        lines += [*([Line(0, ""), Line(0, "")] if lines else []), *part]
    return lines


class PlanPrinter(FunctionPrinter):
    """Prints a stage's plan: conditions, lengths, addresses and the arena's size, before anything is computed."""

    def _define_planned(self, node: Node) -> None:
        if node.kind != "extent":
            super()._define_planned(node)
            return
        leaf, axis = node.inputs[0], node.attrs[0]
        resident = leaf.kind == "shared"
        place = (self.layout.shared if resident else self.layout.arguments)[leaf.attrs[0]]
        length = Call(
            "resident_length" if resident else "argument_length", (TABLE, self.layout.at(place), Number(axis))
        )
        name = self.names.fresh(None, "n")
        self.bodies[0].names[node] = self.assign(name, length, self.explain(node), node, 0)


class ModulePrinter:
    """Makes the loop program of one schedule, transforms it step by step, and prints it. decorator: of functions
    `(address)`."""

    decorator = "jit"

    def __init__(
        self, schedule: Schedule, requirements: Sequence[Any], vector: dict[tuple[str, str], str], title: Sequence[str]
    ) -> None:
        self.schedule = schedule
        self.requirements = requirements
        self.vector = vector
        self.title = title
        self.layout = Layout(schedule)
        self.imports: set[str] = set()
        self.kernels: set[str] = set()
        self.phases: list[list[Phase]] = []
        self.plans: dict[int, Function] = {}
        self.functions: list[Function] = []

    def make(self) -> list[Transformed]:
        """The loop program of the schedule. Phases come first (they decide which lengths the plan must compute), then
        the plans, then the rest."""
        self.phases = [self._phases(stage, blocks) for stage, blocks in enumerate(self.schedule.stages)]
        # the first plan comes last: it writes every address that phases and later plans read
        self.plans = {stage: self._plan(stage) for stage in reversed(range(len(self.phases)))}
        self.functions = [function for phase in self._every for function in phase.functions]
        return [Transformed("made of the schedule", self._program(apart(self.functions)))]

    def merge_alike(self, steps: list[Transformed]) -> None:
        """Merge the phases that differ in numbers only."""
        steps.append(Transformed("alike functions merged", self._program(merge(self.functions))))

    def nest(self, steps: list[Transformed]) -> None:
        """Nest the expressions."""
        nest = [nested(function, fits) for function in steps[-1].functions]
        steps.append(Transformed("expressions nested", nest))

    def print(self, steps: list[Transformed]) -> Module:
        """The text of the last step."""
        lines = separated(map(function_lines, steps[-1].functions))
        code = "\n".join(line.code for line in lines)
        lines = [*found_functions(self.layout, words(code), "users_function"), *lines]
        code = "\n".join(line.code for line in lines)
        every = self._every
        header = module_header(self.title, self._phase_table(every), code, set(self.vector.values()), self.kernels)
        slots = slot_lines(self.layout, words(code))
        header = [*header, *slots, "", ""]
        text = "\n".join([*header, *(line.text() for line in lines)]) + "\n"
        listing = "\n".join([*header, *(line.text(True) for line in lines)]) + "\n"
        return Module(text, listing, steps, self.layout, self.layout.failures, every, sweeps(self.schedule))

    @property
    def _every(self) -> list[Phase]:
        return [phase for stage_phases in self.phases for phase in stage_phases]

    def _program(self, merged: Merged) -> list[Function]:
        """All functions, those of the phases merged or apart."""
        functions: list[Function] = []
        for stage, stage_phases in enumerate(self.phases):
            functions.append(self.plans[stage])
            for phase in stage_phases:
                functions += [printed for function in phase.functions for printed in merged.printed[function.name]]
            functions.append(step_function(self.layout, stage, stage_phases, merged.calls))
        return [*functions, entry_function(self.layout, len(self.phases), sweeps(self.schedule))]

    # -- phases -------------------------------------------------------------------------------------------------

    def _phases(self, stage: int, blocks: Sequence[Block]) -> list[Phase]:
        groups: list[list[Block]] = []
        for block in blocks:
            size = sum(b.lines for b in groups[-1]) if groups else 0
            if (
                groups
                and not self._alone(block)
                and not self._alone(groups[-1][0])
                and size + block.lines <= MAX_FUNCTION
            ):
                groups[-1].append(block)
            else:
                groups.append([block])
        return [
            self._phase(f"phase_{stage}_{k}" if stage else f"phase_{k}", stage, group) for k, group in enumerate(groups)
        ]

    def _alone(self, block: Block) -> bool:
        """Whether a block is a function of its own."""
        return block.items[0].kind == "kernel" or block in self.schedule.sharing

    def _phase(self, name: str, stage: int, blocks: Sequence[Block]) -> Phase:
        if blocks[0] in self.schedule.sharing:
            return self._divided(name, stage, blocks[0])
        items = [item for block in blocks for item in block.items]
        kind = "kernel" if items[0].kind == "kernel" else "loops"
        printer = (KernelPrinter if kind == "kernel" else FunctionPrinter)(self.schedule, self.layout, self.vector)
        if isinstance(printer, KernelPrinter):
            self.kernels |= {printer.call(items[0])} - {""}
        else:
            printer.blocks(blocks)
        self.imports |= printer.imports
        return Phase(name, kind, items, [self._function(name, printer, self._summary(items))])

    def _divided(self, name: str, stage: int, block: Block) -> Phase:
        """A loop or a product that threads share, and behind it the joining of what they have accumulated."""
        kind = "rows" if isinstance(block, Fused) else "product" if block.items[0].kind == "product" else "divided"
        made = {"rows": FusedPrinter, "product": ProductPrinter, "divided": SharePrinter}[kind]
        printer = made(self.schedule, self.layout, self.vector, block, stage)
        printer.run()
        function = self._function(name, printer, self._summary(block.items))
        functions = [replace(function, decorator="divided", arguments=(ADDRESS, SHARE, SHARES))]
        self.imports |= printer.imports
        self.layout.share_count(block)
        if not self.schedule.sharing[block].partial:
            return Phase(name, kind, block.items, functions, block)
        joiner = (FusedJoinPrinter if kind == "rows" else JoinPrinter)(
            self.schedule, self.layout, self.vector, block, stage
        )
        joiner.run()
        joining = name.replace("phase", "join")
        title = f"what the shares of {name} have accumulated"
        functions.append(self._function(joining, joiner, title))
        return Phase(name, kind, block.items, functions, block, joining)

    def _function(self, name: str, printer: FunctionPrinter, note: str) -> Function:
        statements = printer.bodies[0].statements
        body: list[Statement] = [Assign(TABLE, POINTER)]
        if printer.reads_reals:
            body.append(Assign(REALS, Call("f64", (ADDRESS,), "float64*")))
        return Function(name, (ADDRESS,), (*body, *statements, Return(Number(0))), self.decorator, note)

    def _summary(self, items: Sequence[Item]) -> str:
        names = self.schedule.graph.names
        made = [names.get(i.node) or i.node.name for i in items if i.kind != "check"]
        text = ", ".join(dict.fromkeys(made))
        return text if len(text) < 70 else text[:67] + "..."

    # -- plan ---------------------------------------------------------------------------------------------------

    def _plan(self, stage: int) -> Function:
        printer = PlanPrinter(self.schedule, self.layout, self.vector)
        printer.planning = True
        graph = self.schedule.graph
        for requirement in self.requirements:
            if self._stage_of(requirement) == stage:
                self._require(printer, requirement)
        if stage == len(self.schedule.stages) - 1:
            # plans are printed from the last one back
            self._made()
        for node, place in list(self.layout.values.items()):
            if self._value_stage(node) == stage:
                value = printer.value(node)
                printer.add(self.layout.stored(place, value, printer.explain(node)))
        self._divide(printer, stage)
        size = printer.length(self.schedule.arena_bytes[stage])
        private = graph.as_index(self.schedule.private_bytes[stage])
        if not (private.is_number and private.value == 0):
            size = size + self.layout.slot(THREADS) * printer.value(private)
        printer.add(self.layout.stored(self.layout.needed[stage], size, "bytes of temporaries"))
        self.imports |= printer.imports
        # only now is it known which addresses the conditions and lengths need, too
        if stage == 0:
            printer.bodies[0].statements[:0] = self._addresses()
        return self._function(f"plan_{stage}", printer, "conditions, lengths and addresses")

    def _divide(self, printer: PlanPrinter, stage: int) -> None:
        """Into how many shares each divided loop of the stage goes, and how much work the stage is."""
        graph = self.schedule.graph
        total: Any = 0
        for block in self.schedule.stages[stage]:
            sharing = self.schedule.sharing.get(block)
            work = sharing.work if sharing is not None else shares.work_of_block(graph, block)
            total = total + work
            if sharing is not None:
                cycles, rows = printer.length(work), printer.length(sharing.length)
                count = Call("share_count", (TABLE, cycles, Number(shares.GRAIN), rows))
                printer.add(self.layout.stored(self.layout.share_count(block), count, "shares of a divided loop"))
        work = graph.find(total)
        self.layout.work = work if isinstance(work, int) and len(self.schedule.stages) == 1 else None
        printer.add(self.layout.stored(WORK, printer.length(total), "cycles of work, about"))

    def _addresses(self) -> list[Statement]:
        """Copy the data addresses of arguments and shared variables into their slots."""
        found: list[Statement] = []
        graph = self.schedule.graph
        for node, place in list(self.layout.addresses.items()):
            name, lines = graph.names.get(node, node.kind), tuple(graph.lines.get(node, ()))
            resident = node.kind == "shared"
            source = (self.layout.shared if resident else self.layout.arguments)[node.attrs[0]]
            address = Call("resident_address" if resident else "argument_address", (TABLE, self.layout.at(source)))
            statement = self.layout.stored(place, address, f"where {name} lies{' now' if resident else ''}")
            found.append(replace(statement, node=node, lines=lines))
        return found

    def _made(self) -> None:
        """Lengths of outputs and fresh arrays, for the runtime to make them, and before which stage it does so."""
        graph = self.schedule.graph
        for key in [
            *(("output", k) for k in range(len(self.schedule.outputs))),
            *(("fresh", s) for s in self.layout.fresh),
        ]:
            node = self.schedule.outputs[key[1]] if key[0] == "output" else self._fresh_node(key[1])
            lengths = [graph.find(n) for n in node.dims]
            slots = [-n - 1 if isinstance(n, int) else self.layout.value(n) for n in lengths]
            self.layout.made[key] = slots
            self.layout.made_stage[key] = max((self._value_stage(n) for n in lengths if isinstance(n, Node)), default=0)

    def _fresh_node(self, slot: int) -> Node:
        return next(u.node for u in self.schedule.updates if u.slot == slot and u.how == "fresh")

    def _stage_of(self, requirement: Any) -> int:
        lengths = [n for n in (requirement.a, requirement.b) if isinstance(n, Node)]
        return max(map(self._value_stage, lengths), default=0)

    def _value_stage(self, node: Node) -> int:
        return max((self.schedule.buffers[v].stage + 1 for v in computed_sources([node])), default=0)

    def _require(self, printer: PlanPrinter, requirement: Any) -> None:
        a, b = printer.length(requirement.a), printer.length(requirement.b)
        refused = (fail(a, b, self.layout.fail_code(requirement)),)
        printer.add(If(broken(requirement.kind, a, b), refused, note=requirement.kind))

    def _phase_table(self, phases: Sequence[Phase]) -> list[str]:
        """One line per phase: what it makes, over which lengths, and its work."""
        return [self._work_line(phase.name, phase.items) for phase in phases]

    def _work_line(self, name: str, items: Sequence[Item], how: str = "") -> str:
        """What a phase makes, over which lengths, and its work. how: it is divided, where that is worth saying."""
        work = work_of(self.schedule, items)
        flops = "?" if work.flops is None else f"{work.flops:,}"
        traffic = "?" if work.bytes is None else f"{work.bytes:,}"
        loops = " x ".join(work.loops) or "once"
        return f"{name}: {self._summary(items) or 'parts of sums'} ({loops}{how}): {flops} flops, {traffic} bytes"

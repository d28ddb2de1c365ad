"""The loop program of a schedule for the processor: plans, phases, steps and the entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from numgraph.ir import Requirement
from numgraph.loops.alike import Merged, apart, merge
from numgraph.loops.build import LoopBuilder
from numgraph.loops.calls import Products, add_kernel
from numgraph.loops.chunks import CHUNK, CHUNKS, add_chunk, add_join, host_values
from numgraph.loops.entry import POINTER, entry_function, step_function, sweeps
from numgraph.loops.memory import HostMemory
from numgraph.loops.notes import Notes
from numgraph.loops.plan import Plans
from numgraph.loops.program import ADDRESS, REALS, TABLE, Assign, Call, Function, Number, Return, Statement
from numgraph.loops.tiles import Tiles, add_tiles_join
from numgraph.loops.values import Setting, Values
from numgraph.schedule.arrange import LoopNest, Tiled
from numgraph.schedule.plan import Schedule
from numgraph.schedule.tasks import IndexCheck, KernelCall, Product, Task

# Statements in one generated function, see `arrange.MAX_BODY`.
MAX_FUNCTION = 96


@dataclass
class Phase:
    """A loop nest, a product or a kernel. functions: that compute it, the last one perhaps what joins the parts of
    chunks, called `joining`. nest: what is divided among threads."""

    name: str
    kind: str
    tasks: list[Task]
    functions: list[Function] = field(default_factory=list)
    nest: LoopNest | None = None
    joining: str | None = None

    @property
    def fails(self) -> bool:
        """Whether the function may refuse to run on."""
        return any(isinstance(task, IndexCheck) or task.raises for task in self.tasks)


def host_function(name: str, statements: Sequence[Statement], reads_reals: bool, decorator: str, note: str) -> Function:
    """A function of the table's address. reads_reals: whether it reads arguments that are floats."""
    body: list[Statement] = [Assign(TABLE, POINTER)]
    if reads_reals:
        body.append(Assign(REALS, Call("f64", (ADDRESS,), REALS.dtype)))
    return Function(name, (ADDRESS,), (*body, *statements, Return(Number(0))), decorator, note)


class ProcessorProgram:
    """The loop program of a schedule. kernels: the named kernels that it calls."""

    def __init__(
        self, schedule: Schedule, requirements: Sequence[Requirement], vector: dict[tuple[str, str], str]
    ) -> None:
        self.schedule = schedule
        self.setting = Setting.of(schedule, vector)
        self.layout = self.setting.layout
        self.notes = Notes(schedule.graph, self.layout)
        self.kernels: set[str] = set()
        # phases first: they decide which lengths the plans must compute
        self.stages = [self._phases(stage, nests) for stage, nests in enumerate(schedule.stages)]
        plans = Plans(self.setting, requirements)
        # the first plan comes last: it writes every address that phases and later plans read
        self.plans = {stage: self._plan(plans, stage) for stage in reversed(range(len(self.stages)))}

    @property
    def phases(self) -> list[Phase]:
        """Those of all stages."""
        return [phase for phases in self.stages for phase in phases]

    @property
    def functions(self) -> list[Function]:
        """Those of the phases."""
        return [function for phase in self.phases for function in phase.functions]

    def made(self) -> list[Function]:
        """All functions, as they are made."""
        return self._whole(apart(self.functions))

    def merged(self) -> list[Function]:
        """All functions, phases that differ in numbers only being one."""
        return self._whole(merge(self.functions))

    def _whole(self, merged: Merged) -> list[Function]:
        functions: list[Function] = []
        for stage, phases in enumerate(self.stages):
            functions.append(self.plans[stage])
            for phase in phases:
                functions += [made for function in phase.functions for made in merged.printed[function.name]]
            functions.append(step_function(self.layout, stage, phases, merged.calls))
        return [*functions, entry_function(self.layout, len(self.stages), sweeps(self.schedule))]

    def _plan(self, plans: Plans, stage: int) -> Function:
        return host_function(f"plan_{stage}", *plans.make(stage), "jit", "conditions, lengths and addresses")

    # -- phases -------------------------------------------------------------------------------------------------

    def _phases(self, stage: int, nests: Sequence[LoopNest]) -> list[Phase]:
        """The phases of a stage: small loop nests that follow each other are one."""
        groups: list[list[LoopNest]] = []
        for nest in nests:
            last = groups[-1] if groups else []
            room = MAX_FUNCTION - sum(b.lines for b in last)
            if not last or self._alone(nest) or self._alone(last[0]) or nest.lines > room:
                groups.append([])
            groups[-1].append(nest)
        return [
            self._phase(f"phase_{stage}_{k}" if stage else f"phase_{k}", stage, group) for k, group in enumerate(groups)
        ]

    def _alone(self, nest: LoopNest) -> bool:
        """Whether a nest is a function of its own."""
        return isinstance(nest.tasks[0], KernelCall) or nest in self.schedule.division

    def _phase(self, name: str, stage: int, nests: Sequence[LoopNest]) -> Phase:
        if nests[0] in self.schedule.division:
            return self._divided(name, stage, nests[0])
        tasks = [task for nest in nests for task in nest.tasks]
        kind = "kernel" if isinstance(tasks[0], KernelCall) else "loops"
        values, memory = host_values(self.setting)
        if kind == "kernel":
            self.kernels |= {add_kernel(values, memory, tasks[0])} - {""}
        else:
            LoopBuilder(values).nests(nests)
        return Phase(name, kind, tasks, [self._function(name, values, memory, self.notes.made(tasks))])

    def _divided(self, name: str, stage: int, nest: LoopNest) -> Phase:
        """A loop or a product that threads share, and behind it the joining of what they have accumulated."""
        phase = Phase(name, "divided", nest.tasks, nest=nest)
        values, memory = host_values(self.setting, nest)
        if isinstance(nest, Tiled):
            phase.kind = "rows"
            Tiles(values, memory, nest).add(stage)
        elif isinstance(nest.tasks[0], Product):
            phase.kind = "product"
            Products(values, memory).add(nest.tasks[0], stage)
        else:
            add_chunk(values, memory, nest, stage)
        function = self._function(name, values, memory, self.notes.made(nest.tasks))
        phase.functions.append(replace(function, decorator="divided", arguments=(ADDRESS, CHUNK, CHUNKS)))
        place = self.layout.chunk_count(nest)
        if self.schedule.division[nest].partial:
            phase.joining = name.replace("phase", "join")
            phase.functions.append(self._joining(phase, stage, place))
        return phase

    def _joining(self, phase: Phase, stage: int, place: int) -> Function:
        """The function that joins what chunks have accumulated. place: the slot of how many they are."""
        nest, joining = phase.nest, phase.joining
        assert nest is not None and joining is not None
        values, memory = host_values(self.setting)
        values.assign(CHUNKS, self.layout.slot(place))
        for task in self.schedule.division[nest].partial:
            if isinstance(nest, Tiled):
                add_tiles_join(values, memory, task, nest, stage)
            else:
                add_join(values, memory, task, nest, stage)
        return self._function(joining, values, memory, f"what the chunks of {phase.name} have accumulated")

    def _function(self, name: str, values: Values, memory: HostMemory, note: str) -> Function:
        return host_function(name, values.statements, memory.reads_reals, "jit", note)

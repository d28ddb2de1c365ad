"""The loop program of a schedule for the processor: plans, phases, steps and the entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from numgraph.ir import Requirement
from numgraph.loops.alike import Merged, Use, apart, merge
from numgraph.loops.build import LoopBuilder
from numgraph.loops.calls import Products, add_kernel, add_unit
from numgraph.loops.chunks import CHUNK, CHUNKS, add_chunk, add_join, host_values
from numgraph.loops.entry import POINTER, call_of, entry_function, phase_call, step_function, sweeps
from numgraph.loops.memory import HostMemory
from numgraph.loops.notes import Notes
from numgraph.loops.plan import Plans
from numgraph.loops.program import ADDRESS, REALS, TABLE, Assign, Call, Function, Number, Return, Statement
from numgraph.loops.scans import ScanBuilder, ScanLoop, plan_of_steps
from numgraph.loops.tiles import Tiles, add_tiles_join
from numgraph.loops.values import Setting, Values
from numgraph.schedule.arrange import LoopNest, Tiled
from numgraph.schedule.plan import Schedule
from numgraph.schedule.tasks import IndexCheck, KernelCall, Product, ScanTask, Task

# Statements in one generated function, see `arrange.MAX_BODY`.
MAX_FUNCTION = 96


@dataclass
class Phase:
    """A loop nest, a product or a kernel. functions: that compute it, the last one perhaps what joins the parts of
    chunks, called `joining`. nest: what is divided among threads. scan: of a scan, its loop; inner: the phases of a
    step."""

    name: str
    kind: str
    tasks: list[Task]
    functions: list[Function] = field(default_factory=list)
    nest: LoopNest | None = None
    joining: str | None = None
    scan: ScanLoop | None = None
    inner: list[Phase] = field(default_factory=list)

    @property
    def fails(self) -> bool:
        """Whether the function may refuse to run on."""
        return any(isinstance(task, IndexCheck) or task.raises for task in self.tasks)


def within(phases: Iterable[Phase]) -> Iterator[Phase]:
    """Phases, those of the steps of a scan before the scan."""
    for phase in phases:
        yield from within(phase.inner)
        yield phase


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
        self.stages = [
            self._phases(f"phase_{stage}" if stage else "phase", stage, nests)
            for stage, nests in enumerate(schedule.stages)
        ]
        self._plan_steps(requirements)
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
        return [function for phase in within(self.phases) for function in phase.functions]

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
            for phase in within(phases):
                functions += [made for function in phase.functions for made in merged.printed[function.name]]
                if phase.scan is not None:
                    functions += self._loop(phase, merged)
            functions.append(step_function(self.layout, stage, phases, merged.calls))
        return [*functions, entry_function(self.layout, len(self.stages), sweeps(self.schedule))]

    def _plan(self, plans: Plans, stage: int) -> Function:
        return host_function(f"plan_{stage}", *plans.make(stage), "jit", "conditions, lengths and addresses")

    # -- phases -------------------------------------------------------------------------------------------------

    def _loop(self, phase: Phase, merged: Merged) -> list[Function]:
        """The loop of a scan around the phases of a step, and the plan of a step, if there is one."""
        loop = phase.scan
        assert loop is not None
        calls: list[Statement] = []
        if loop.plan is not None:
            calls += call_of(Use(Call(loop.plan.name, (ADDRESS,))), True)
        for inner in phase.inner:
            calls += phase_call(self.layout, inner, merged.calls)
        note = self.notes.made(phase.tasks)
        made = host_function(loop.name, loop.statements(calls), loop.reads_reals, "jit", note)
        merged.calls[loop.name] = Use(Call(loop.name, (ADDRESS,)))
        return [*([loop.plan] if loop.plan is not None else []), made]

    def _plan_steps(self, requirements: Sequence[Requirement]) -> None:
        """What is worked out before each step; that of an inner scan may need numbers of the outer one's steps."""
        found = {p.scan.memory.task.scan.number: p.scan for p in within(self.phases) if p.scan is not None}
        for number, loop in sorted(found.items(), reverse=True):
            values, memory = host_values(self.setting, scan=number)
            if plan_of_steps(values, memory, number, requirements):
                loop.plan = self._function(f"{loop.name}_step", values, memory, "lengths and places of a step")

    def _phases(self, name: str, stage: int, nests: Sequence[LoopNest]) -> list[Phase]:
        """The phases of a stage: small loop nests that follow each other are one."""
        groups: list[list[LoopNest]] = []
        for nest in nests:
            last = groups[-1] if groups else []
            room = MAX_FUNCTION - sum(b.lines for b in last)
            if not last or self._alone(nest) or self._alone(last[0]) or nest.lines > room:
                groups.append([])
            groups[-1].append(nest)
        return [self._phase(f"{name}_{k}", stage, group) for k, group in enumerate(groups)]

    def _alone(self, nest: LoopNest) -> bool:
        """Whether a nest is a function of its own."""
        return isinstance(nest.tasks[0], KernelCall) or nest in self.schedule.division

    def _phase(self, name: str, stage: int, nests: Sequence[LoopNest]) -> Phase:
        if nests[0] in self.schedule.division:
            return self._divided(name, stage, nests[0])
        tasks = [task for nest in nests for task in nest.tasks]
        if isinstance(tasks[0], ScanTask):
            return self._scan(name, stage, tasks[0])
        kind = "kernel" if isinstance(tasks[0], KernelCall) else "loops"
        values, memory = host_values(self.setting)
        if kind == "kernel":
            self.kernels |= {add_kernel(values, memory, tasks[0])} - {""}
        else:
            LoopBuilder(values).nests(nests)
        return Phase(name, kind, tasks, [self._function(name, values, memory, self.notes.made(tasks))])

    def _scan(self, name: str, stage: int, task: ScanTask) -> Phase:
        """The steps of a scan."""
        inner = self._phases(f"{name}_part", stage, task.nests)
        values, memory = host_values(self.setting)
        loop = ScanBuilder(values, memory, task.memory, name).build()
        return Phase(name, "scan", [task], scan=loop, inner=inner)

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
        elif isinstance(nest.tasks[0], KernelCall):
            phase.kind = "kernel"
            add_unit(values, memory, nest.tasks[0], stage)
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

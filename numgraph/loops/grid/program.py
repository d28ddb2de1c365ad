"""The loop program of a schedule for a grid of threads: the plans, which the host runs, and the kernels it launches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numgraph.errors import FunctionError
from numgraph.ir import Requirement
from numgraph.lengths import dims
from numgraph.lengths.known import times
from numgraph.loops.build import LoopBuilder
from numgraph.loops.chunks import host_values
from numgraph.loops.grid import calls, epilogues, nests, persistent, quads, reductions
from numgraph.loops.grid.bodies import function_of, refused
from numgraph.loops.grid.checks import SearchingChecks
from numgraph.loops.grid.kernel import Geometry, Kernel, flat
from numgraph.loops.grid.nests import Work, kernel_values
from numgraph.loops.grid.persistent import Persistent
from numgraph.loops.grid.scans import GridScan, GridScans
from numgraph.loops.names import KERNEL_NAMES
from numgraph.loops.notes import Notes
from numgraph.loops.plan import Plans
from numgraph.loops.processor import host_function
from numgraph.loops.program import Barrier, Call, Function, walk
from numgraph.loops.scans import plan_of_steps
from numgraph.loops.values import Setting
from numgraph.schedule.arrange import Arranger, LoopNest
from numgraph.schedule.grid import Mapping
from numgraph.schedule.gridproduct import Choice, blocks, blocks_of, choose_product, cublas_sizes
from numgraph.schedule.persistent import Facts, few_enough, phases, why_launched
from numgraph.schedule.plan import Schedule
from numgraph.schedule.tasks import Product, ScanTask, Task
from numgraph.userfunctions.function import UserFunction

# Parts of a sum that a block which joins them reads, about.
PARTS = 8
# Statements in one kernel of several phases.
MAX_KERNEL = 120
# How threads divide a loop nest, see `schedule.grid`.
Shapes = dict[str, Callable[[Work], None]]
SHAPES: Shapes = {
    "once": nests.once,
    "flat": quads.flat,
    "rows": nests.rows,
    "lanes": nests.lanes,
    "sums": reductions.reductions,
    "scatter": nests.scatter,
    "product": calls.product,
    "kernel": calls.kernel,
}
# The same in a kernel that goes through the steps of a scan.
IN_STEPS: Shapes = {**SHAPES, "product": persistent.product}


@dataclass(frozen=True)
class Step:
    """What a kernel does in one go: a loop nest, or the joining of the parts of its sums."""

    nest: LoopNest
    joins: bool = False


class GridProgram:
    """The loop program of a schedule.

    kernels: per stage, in order. parts: bytes of the parts of each sum that blocks of threads share. words: for each
    word of the device's status, which failure it means; searches: for each, the kernel that finds the index, None where
    that was not kept.
    """

    def __init__(
        self,
        schedule: Schedule,
        requirements: Sequence[Requirement],
        vector: dict[tuple[str, str], str],
        geometry: Geometry,
    ) -> None:
        self.schedule = schedule
        self.geometry = geometry
        # of plans, which the host runs, and of kernels
        self.setting = Setting.of(schedule, vector)
        self.of_kernels = Setting.of(schedule, vector, KERNEL_NAMES, self.setting.layout)
        self.layout = self.setting.layout
        self.notes = Notes(schedule.graph, self.layout)
        self.parts: dict[Task, Any] = {}
        self.words: list[int] = []
        # functions made by expressions, of all kernels
        self.made: dict[str, str] = {}
        # kernels first: they decide which lengths the plans must compute
        self.kernels: list[list[Kernel]] = []
        self.scans = GridScans(schedule, self.layout)
        self.requirements = requirements
        self.count = 0
        for stage in schedule.stages:
            self.kernels.append(self._kernels(stage))
        self.searches = [self._search(word) for word in range(len(self.words))]
        self.plans_of_steps = self._plans_of_steps()
        plans = Plans(self.setting, requirements)
        stages = range(len(schedule.stages))
        self.plans = {stage: self._plan(plans, stage) for stage in reversed(stages)}
        self._refuse_raising()

    def _kernels(self, nests: Sequence[LoopNest]) -> list[Kernel]:
        """The kernels of a stage, or of a step of a scan."""
        found = []
        for group in self._groups(nests):
            name, self.count = f"kernel_{self.count}", self.count + 1
            task = group[0].nest.tasks[0]
            found.append(self._scan(name, task) if isinstance(task, ScanTask) else self._kernel(name, group))
        return found

    def _scan(self, name: str, task: ScanTask) -> Kernel:
        """The steps of a scan: a kernel that goes through them, or those that the host launches for each."""
        kernel = Kernel(name, self.of_kernels.names(), threads=1, tasks=[task], shapes=["scan"])
        scan = kernel.scan = self.scans.made(task.memory)
        made = self.notes.made([task])
        facts = Facts(self.schedule.graph, task, self.schedule.division, self.requirements)
        why = why_launched(facts) if self.geometry.loops else "cuda_loops is off"
        if why:
            kernel.inner = self._kernels(task.nests)
            kernel.remark = f"{name}: for each step of {made}: {', '.join(k.name for k in kernel.inner)}; {why}"
            return kernel
        scan.whole = True
        inner = Kernel(f"kernel_{self.count}", self.of_kernels.names(), threads=self.geometry.threads, made=self.made)
        self.count += 1
        self._go_through(inner, scan, task)
        kernel.inner = [inner]
        kernel.remark = f"{name}: all steps of {made}: {inner.name}"
        return kernel

    def _go_through(self, kernel: Kernel, scan: GridScan, task: ScanTask) -> None:
        """Print a kernel that goes through the steps of a scan."""
        geometry, division = self.geometry, self.schedule.division
        for nest in task.nests:
            # blocks that share in a sum leave parts, which another phase would have to join
            division[nest].shares = 1

        def add(kernel: Kernel, nest: LoopNest) -> Work:
            return self._step(kernel, Step(nest), IN_STEPS)

        alone = few_enough(self.schedule.graph, task, geometry.small)
        made = Persistent(kernel, scan, task.memory, self.of_kernels, alone, geometry.together, self.words)
        note = f"all steps of {self.notes.made([task])}"
        made.make(phases(task, division, self.schedule.buffers), add, note)

    def _plans_of_steps(self) -> dict[int, Function]:
        """What the host works out before each step, by the number of the scan."""
        scans = [k.scan for kernels in self.kernels for k in flat(kernels) if k.scan is not None]
        found: dict[int, Function] = {}
        for scan in sorted(scans, key=lambda scan: -scan.number):
            values, memory = host_values(self.setting, scan=scan.number)
            if plan_of_steps(values, memory, scan.number, self.requirements):
                scan.plan = f"plan_of_step_{scan.number}"
                note = "lengths and places of a step"
                found[scan.number] = host_function(scan.plan, values.statements, memory.reads_reals, "", note)
        return found

    def _plan(self, plans: Plans, stage: int) -> Function:
        return host_function(f"plan_{stage}", *plans.make(stage), "", "conditions, lengths and addresses")

    # -- kernels ------------------------------------------------------------------------------------------------

    def _groups(self, nests: Sequence[LoopNest]) -> list[list[Step]]:
        """What each launch does: a product and what goes on with it; or small steps that follow each other, by one
        thread block. Parts of sums are joined when somebody needs the results, or with small steps."""
        groups: list[list[Step]] = []
        open_group = False
        joins: list[LoopNest] = []
        for launch in self._launches(nests):
            nest = launch[0]
            mapping: Mapping = self.schedule.division[nest]
            small = mapping.is_small(self.geometry.small)
            waiting = {task.node for sums in joins for task in sums.tasks}
            if joins and (small or any(waiting.intersection(t.sources) for n in launch for t in n.tasks)):
                groups += self._joining(joins)
                # a small step goes on with a launch of one block only
                open_group, joins = self._few(groups[-1][0].nest), []
            size = sum(step.nest.lines for step in groups[-1]) if groups else 0
            if open_group and small and size + nest.lines <= MAX_KERNEL:
                groups[-1].append(Step(nest))
            else:
                groups.append([*map(Step, launch)])
            open_group = small
            joins += [n for n in launch if self._has_parts(n, len(launch) > 1)]
        return groups + self._joining(joins)

    def _joining(self, joins: Sequence[LoopNest]) -> list[list[Step]]:
        """The launches that join parts: one for what one block may do, which comes last."""
        few = [sums for sums in joins if self._few(sums)]
        last = [[Step(sums, True) for sums in few]] if few else []
        return [*([Step(sums, True)] for sums in joins if sums not in few), *last]

    def _few(self, sums: LoopNest) -> bool:
        """Whether one block may join the parts of sums, as there are few results."""
        first = sums.tasks[0]
        found = times([first.loops[k] for k in first.kept])
        return found is not None and found <= self.geometry.small // PARTS

    def _launches(self, nests: Sequence[LoopNest]) -> list[list[LoopNest]]:
        """The nests, those with their product that its launch does, too."""
        found: list[list[LoopNest]] = []
        for nest in nests:
            choice = self._choice(found[-1][0]) if nest.joined else None
            if choice is None:
                found.append([nest])
                continue
            found[-1].append(nest)
            if self.schedule.division[nest].shape == "sums":
                shares = blocks_of(choice) if nest.joined == "beside" else blocks(nest.length, choice.rows)
                self.schedule.division[nest].shares = shares
        return found

    def _has_parts(self, nest: LoopNest, joined: bool) -> bool:
        """Whether blocks share in the sums of a nest. joined: to a product."""
        return self.schedule.division[nest].shape == "sums" and (joined or self._shares(nest) != 1)

    def _choice(self, nest: LoopNest) -> Choice | None:
        """What computes a product, if that is certainly a kernel of numgraph's own; else None."""
        graph, task = self.schedule.graph, nest.tasks[0]
        if isinstance(task, Product) and cublas_sizes(graph, task, self.geometry.large) is not None:
            return None
        return choose_product(graph, task, self.geometry)

    def _shares(self, nest: LoopNest) -> Any:
        return reductions.shares_of(self.schedule.graph, nest, self.schedule.division[nest], self.geometry)

    def _kernel(self, name: str, steps: Sequence[Step]) -> Kernel:
        """One kernel, of steps with barriers in between."""
        kernel = Kernel(name, self.of_kernels.names(), threads=self.geometry.threads, made=self.made)
        own: Any = 0
        checked = tested = len(self.words)
        for number, step in enumerate(steps):
            if number:
                kernel.statements.append(Barrier())
                if kernel.region is None:
                    kernel.statements += refused(kernel, tested, len(self.words))
                tested = len(self.words)
            own = dims.maximum(own, self._step(kernel, step).own)
        kernel.own = self.layout.number(own)
        if len(steps) > 1 and kernel.region is None:
            kernel.grid = [(1, 1, 1)]
        if not kernel.library:
            note = self.notes.made(kernel.tasks) or f"parts of {self.notes.made(steps[0].nest.tasks)}"
            kernel.function = function_of(kernel, checked, note)
        return kernel

    def _step(self, kernel: Kernel, step: Step, shapes: Shapes = SHAPES) -> Work:
        """Add what a kernel does in one go."""
        work = Work.of(self.of_kernels, kernel, step.nest, self.geometry, self.words)
        if step.joins:
            kernel.shapes.append("joins")
            reductions.join(work)
            self._add_parts(step.nest)
        else:
            kernel.tasks += step.nest.tasks
            kernel.shapes.append(work.mapping.shape)
            behind = step.nest.joined if kernel.region is not None else ""
            (epilogues.JOINED[behind] if behind else shapes[work.mapping.shape])(work)
        kernel.close(work.values)
        return work

    def _add_parts(self, nest: LoopNest) -> None:
        """Memory for the parts of a nest's sums."""
        first, find = nest.tasks[0], self.schedule.graph.find
        count = dims.product([find(first.loops[k]) for k in first.kept]) * self._shares(nest)
        for task in nest.tasks:
            self.parts[task] = self.layout.number(count * max(8, np.dtype(task.node.dtype).itemsize))

    def _search(self, word: int) -> Kernel | None:
        """The search for the index that a check refused, by one thread."""
        task = self.layout.failures[self.words[word] - 1]
        buffers = [self.schedule.buffers.get(load.inputs[0]) for load in task.loads]
        if any(place is not None and place.place in ("private", "register", "moving") for place in buffers):
            return None
        if any(load.inputs[0].kind == "state" or load.within for load in task.loads):
            # what a step has read is gone
            return None
        kernel = Kernel(f"find_{word}", self.of_kernels.names(), threads=1)
        values, _ = kernel_values(self.of_kernels, kernel, Mapping("find", 1, None))
        LoopBuilder(values, SearchingChecks, vectors=False).nests(
            Arranger(self.schedule.graph, [task], {}).arrange([task])
        )
        kernel.close(values)
        kernel.function = function_of(kernel, 0, f"the index that {task.node.name} refuses")
        return kernel

    def _refuse_raising(self) -> None:
        """FunctionError for a user's function that says `raise`: a thread of a grid cannot end a call."""
        every = [k for kernels in self.kernels for k in flat(kernels)]
        functions = [f for k in every for f in (k.function, *k.helpers.values()) if f is not None]
        called = {node.function for f in functions for node in walk(f.body) if isinstance(node, Call)}
        for (user, _, _), name in self.layout.functions.items():
            if name in called and user.says_raise:
                raise FunctionError(self._raising(user))

    def _raising(self, user: UserFunction) -> str:
        graph = self.schedule.graph
        nodes = [v for v in graph.lines if v.op is not None and v.op.user is user]
        lines = ", ".join(dict.fromkeys(str(line) for v in nodes for line in graph.lines[v]))
        return (
            f"{user.where} may raise an exception, which threads of a device cannot\n  called at {lines}\n"
            f'  defined at {user.line}\n  fix: return a number that says so, such as nan; or target="cpu"'
        )

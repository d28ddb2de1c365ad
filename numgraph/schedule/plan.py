"""The whole schedule of a program: stages of loop nests, and a place in memory for every buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numgraph.elements import Elements
from numgraph.ir import Graph, Node, Requirement, topological
from numgraph.lengths import dims
from numgraph.lengths.known import OF_ELEMENTS, undecided
from numgraph.lengths.sources import Mover, computed_sources, read_for
from numgraph.schedule.arrange import Arranger, LoopNest
from numgraph.schedule.buffers import Buffer, Placer, loops_around
from numgraph.schedule.chunks import divide_among_threads
from numgraph.schedule.conditions import LateConditions
from numgraph.schedule.fuse import Fuser
from numgraph.schedule.grid import map_to_grid
from numgraph.schedule.maker import TaskMaker, needed
from numgraph.schedule.ownership import Owner, Update
from numgraph.schedule.scans import (
    memory_of_scan,
    refuse_computed_lengths,
    refuse_moving_conditions,
    refuse_moving_lengths,
)
from numgraph.schedule.separate import separated
from numgraph.schedule.stored import choose_stored
from numgraph.schedule.tasks import ScanTask, Task, tasks_within


@dataclass(eq=False)
class Schedule:
    """Everything that the printers need.

    stages: nests, in order; arena_bytes: per stage. division: how nests are divided, for those that are: a `Division`
    among processor threads, a `Mapping` among a grid's. private_bytes: per stage, what each chunk has for itself,
    behind the arena. apart: why a product is not done together with loops over its rows. dtypes: of the arrays of the
    outputs, and of the shared variables.
    """

    graph: Graph
    elements: Elements
    stages: list[list[LoopNest]]
    buffers: dict[Node, Buffer]
    outputs: list[Node]
    updates: list[Update]
    arena_bytes: list[Any]
    tasks: list[Task]
    division: dict[LoopNest, Any]
    private_bytes: list[Any]
    apart: dict[Task, str]
    dtypes: list[str] = field(default_factory=list)
    arguments: list[Node] = field(default_factory=list)
    shared: list[Node] = field(default_factory=list)

    @cached_property
    def paths(self) -> dict[Task, list[LoopNest]]:
        """The loops around each task, outermost first."""
        return loops_around(self.stages)


class Scheduler:
    """Builds a `Schedule` from rewritten nodes."""

    def __init__(
        self,
        graph: Graph,
        elements: Elements,
        outputs: Sequence[Node],
        updates: Sequence[tuple[int, Node]],
        shared: Sequence[Node],
    ) -> None:
        self.graph = graph
        self.elements = elements
        self.shared = list(shared)
        self.outputs = list(outputs)
        self.updates = [Update(slot, node, "") for slot, node in updates]
        # index checks (node, index, length), conditions on lengths, and what stands for a node after rewriting
        self.ranges: Sequence[tuple[Node, Node, Any]] = ()
        self.requirements: Sequence[Requirement] = ()
        self.moved: Callable[[Node], Node] = lambda node: node
        self.serial = 0
        self.buffers: dict[Node, Buffer] = {}
        # the last stage; where only a condition waits for what the one before it computes, nothing else is in it
        self.final = 0
        # next values of scans' states that are made in the memory of the state
        self.in_states: set[Node] = set()

    def run(self) -> Schedule:
        """Decide, arrange, place."""
        tasks, overwritten = self._decided()
        stages = []
        for stage in range(self.final + 1):
            mine = [task for task in tasks if task.stage == stage]
            stages.append(Arranger(self.graph, mine, overwritten).arrange(mine))
        scans = [task for task in tasks_within(tasks) if isinstance(task, ScanTask)]
        for task in scans:
            self._arrange_steps(task)
        placer = Placer(self.graph, self.buffers)
        placer.place(tasks, stages, [v for wait in self._waits() for v in wait])
        apart: dict[Task, str] = {}
        if len(stages) == 1 and not self.graph.traits.grid:
            fuser = Fuser(self.graph, Arranger(self.graph, tasks, overwritten), self.buffers)
            stages = [fuser.run(stages[0])]
            apart = fuser.why
            for task in scans:
                inner = Fuser(self.graph, Arranger(self.graph, task.body, {}), self.buffers)
                task.nests = inner.run(task.nests)
                apart |= inner.why
        refuse_moving_lengths(self.graph, tasks, lambda v: self.buffers[v].in_arena)
        division: dict[LoopNest, Any] = {}
        private = []
        divide = map_to_grid if self.graph.traits.grid else divide_among_threads
        for stage, nests in enumerate(stages):
            divided, size = divide(self.graph, nests, self.buffers)
            division |= divided
            for task in (task for task in scans if task.stage == stage):
                divided, own = divide(self.graph, task.nests, self.buffers)
                division |= divided
                size = dims.maximum(size, own)
            private.append(size)
        arena = [placer.lay_out(stage, nests) for stage, nests in enumerate(stages)]
        return Schedule(
            self.graph, self.elements, stages, self.buffers, self.outputs, self.updates, arena, tasks, division,
            private, apart,
        )  # fmt: skip

    def _arrange_steps(self, task: ScanTask) -> None:
        """The nests of a step, and the addresses that move from step to step."""
        task.nests = Arranger(self.graph, task.body, {}).arrange(task.body)
        task.memory = memory_of_scan(task, self.in_states)
        for node, place in task.memory.moving.items():
            kept = place.places if place.home is None else 0
            self.buffers[node] = Buffer(node, "moving", len(self.buffers), places=kept)
        for inner in task.body:
            inner.stage = task.stage

    def _decided(self) -> tuple[list[Task], dict[Node, Node]]:
        """What is stored, and the tasks, in order; with the variable of each node that is written in place.

        An update that was to work in its variable and may not gets a copy of the old value: then all is decided anew.
        """
        self._separate_scans()
        outputs, updates, ranges = list(self.outputs), [(u.slot, u.node) for u in self.updates], self.ranges
        owner = Owner(self.graph, self.shared, self._copy)
        while True:
            self._exchanges()
            self._follow(self.moved)
            owner.results(self.outputs, self.updates)
            self._replace(owner.bases(self._roots(), self.updates))
            roots = self._roots()
            choose_stored(self.graph, self.elements, roots)
            tasks = needed(TaskMaker(self.graph, self.elements, self.ranges).make_all(roots), roots)
            refuse_computed_lengths(self.graph, tasks)
            self._number_stages(tasks)
            self.in_states = owner.in_states
            tasks, overwritten = owner.settled(tasks, self.updates, self.final)
            if not owner.needs_copies(self.updates):
                break
            self.outputs, self.updates, self.ranges = list(outputs), [Update(s, n, "") for s, n in updates], ranges
            self.elements.stored.clear()
            self.elements.forget_memory()
        self._place_results()
        return tasks, overwritten

    def _separate_scans(self) -> None:
        """Let all results of a scan vary with the same steps: they are made together."""
        # a scan within another, and that
        while len(self.graph.scans) > 1:
            new, self.ranges = separated(self.graph, self._roots(), self.ranges)
            if not new:
                return
            self._replace(new)

    def _copy(self, node: Node) -> Node:
        """A private copy of `node`: a buffer that nothing else uses."""
        self.serial += 1
        return self.graph.make("copy", None, (node,), (self.serial,), node.dtype, node.dims)

    def _exchanges(self) -> None:
        """Updates that only move values between shared variables in a cycle exchange their buffers; `(a, a)` is
        nothing."""
        by_slot = {u.slot: u for u in self.updates}
        slot_of = {node: k for k, node in enumerate(self.shared)}
        for update in self.updates:
            if update.how or update.node not in slot_of:
                continue
            cycle = [update]
            while True:
                source = slot_of.get(cycle[-1].node)
                follower = by_slot.get(source) if source is not None else None
                if follower is None or follower in cycle:
                    break
                cycle.append(follower)
            if follower is update:
                for u in cycle:
                    u.how, u.other = ("exchange", slot_of[u.node]) if len(cycle) > 1 else ("none", u.slot)
                    u.why = "values only change places" if len(cycle) > 1 else "the new value is the old one"

    def _replace(self, new: dict[Node, Node]) -> None:
        """Let every result, check and length be what stands for it now."""
        self.outputs = [new.get(v, v) for v in self.outputs]
        for u in self.updates:
            u.node = new.get(u.node, u.node)
        self.ranges = [(new.get(n, n), new.get(i, i), length) for n, i, length in self.ranges]
        if new:
            self._follow(lambda node: new.get(node, node))

    def _place_results(self) -> None:
        """The buffers of outputs and of new values."""
        for k, node in enumerate(self.outputs):
            self.buffers[node] = Buffer(node, "output", k)
        for u in self.updates:
            if u.how in ("in place", "fresh"):
                self.buffers[u.node] = Buffer(u.node, "shared" if u.how == "in place" else "fresh", u.slot)

    def _follow(self, moved: Callable[[Node], Node]) -> None:
        """Lengths are read from what now stands for the nodes that they were made of."""
        mover = Mover(self.graph, moved)
        mover.apply([*self.outputs, *(u.node for u in self.updates)])
        self.ranges = [(n, i, mover.length(length)) for n, i, length in self.ranges]
        for r in self.requirements:
            r.a, r.b = mover.as_written(r.a), mover.as_written(r.b)

    def _roots(self) -> list[Node]:
        """What must be computed: outputs, new values, and what lengths and conditions on them depend on."""
        roots = [*self.outputs, *(u.node for u in self.updates if not u.how)]
        roots = [*dict.fromkeys(v for wait in self._waits() for v in wait if v not in roots), *roots]
        seen: set[Node] = set()
        frontier = list(roots)
        while frontier:
            needed: list[Node] = []
            for node in topological(frontier):
                if node in seen:
                    continue
                seen.add(node)
                needed += computed_sources(map(self.graph.find, node.dims))
            frontier = [v for v in dict.fromkeys(needed) if v not in roots]
            roots = frontier + roots
        return roots

    def _waits(self) -> list[list[Node]]:
        """The computed nodes that conditions wait for, also those on an array of which no element is computed."""
        waits = [computed_sources((r.a, r.b)) for r in undecided(self.graph) if r.kind not in OF_ELEMENTS]
        return [wait for wait in waits if wait]

    def _number_stages(self, tasks: Sequence[Task]) -> None:
        """A length that depends on computed data ends a stage: what has that length runs in a later one."""
        refuse_moving_conditions(self.graph)
        stage: dict[Node, int] = {}
        late = LateConditions(self.graph)
        for task in tasks:
            lengths = [*task.loops, *task.sizes, task.bound, *map(self.graph.find, task.node.dims)]
            lengths += [v for view in task.views for v in (*view.lengths, view.offset, *view.strides)]
            known = list(dict.fromkeys([*read_for(lengths), *(task.lengths if isinstance(task, ScanTask) else ())]))
            after = [stage.get(v, -1) + 1 for v in known]
            reads = [stage.get(v, 0) for v in task.sources] + [c.stage for c in task.checks]
            task.stage = max([*after, *reads, late.stage(task, (*known, *task.sources), stage)], default=0)
            stage.update(dict.fromkeys(task.written, task.stage))
        checked = [1 + max(stage[v] for v in wait) for wait in self._waits()]
        self.final = max([task.stage for task in tasks] + checked, default=0)


__all__ = ["Buffer", "Schedule", "Scheduler", "Update"]

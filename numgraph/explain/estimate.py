"""`explain`: phases with their work, the time that this machine should take for them, and the schedule's reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numgraph.explain.costs import LoopCosts, ProductCosts, kernel_cycles
from numgraph.explain.explanation import Explanation, PhaseEstimate, UpdateEstimate
from numgraph.explain.machine import Machine, machine
from numgraph.ir import Node
from numgraph.lengths.known import times
from numgraph.lengths.values import Values
from numgraph.loops.entry import sweep_obstacle
from numgraph.loops.processor import Phase
from numgraph.runtime.variant import NativeVariant
from numgraph.schedule.arrange import LoopNest, Tiled
from numgraph.schedule.chunks import GRAIN, obstacle, work_of_nest
from numgraph.schedule.plan import Schedule
from numgraph.schedule.tasks import Product
from numgraph.schedule.work import Work, name_of, work_of

Array = NDArray[Any]

# Nanoseconds of a call besides its phases; of an argument or a result; of asking for lengths in between; of a phase.
CALL, VALUE, DYNAMIC, PHASE = 750.0, 200.0, 400.0, 10.0
# Cycles of a step of a scan besides its phases, and of the call of each of these, about.
STEP = 4.0
KINDS = {"divided": "divided loops", "rows": "tiles of rows"}


def made(schedule: Schedule, phase: Phase) -> list[str]:
    """The names of what a phase makes."""
    names = (name_made(schedule, task.node) for task in phase.tasks if task.writes)
    return list(dict.fromkeys(names)) or ["index checks"]


def name_made(schedule: Schedule, node: Node) -> str:
    """The name of what is made: the variable of an update, the user's name, or the op."""
    place = schedule.buffers.get(node)
    updated = place is not None and place.place in ("shared", "fresh")
    return name_of(schedule.graph, schedule.shared[place.slot] if place is not None and updated else node)


class Estimator:
    """The estimate of one compiled variant.

    arguments: example arguments, or None. planned: number of chunks by divided nest, where the plan was run with them.
    """

    def __init__(
        self, variant: NativeVariant, arguments: Sequence[Array] | None, planned: Mapping[LoopNest, int] | None = None
    ) -> None:
        self.variant = variant
        self.schedule = variant.schedule
        self.graph = variant.schedule.graph
        self.arguments = arguments
        self.planned = planned or {}
        self.number = Values(self._leaf, taken=True)
        self.machine: Machine = machine(variant.threads)
        self.loops = LoopCosts(self.schedule, self.number, self.machine.vector)
        self.works = [work_of(self.schedule, phase.tasks, self.number) for phase in variant.module.phases]
        self.footprint = self._footprint()

    def _leaf(self, node: Node) -> Array | None:
        """The array of a leaf as it is now."""
        if node.kind == "shared":
            array: Array = self.variant.shared[node.attrs[0]].storage.array
            return array
        if node.kind == "array":
            return np.asarray(self.graph.arrays[node.attrs[0]])
        return None if self.arguments is None else self.arguments[node.attrs[0]]

    def _footprint(self) -> int:
        """Bytes that a call uses, each buffer once."""
        sizes: dict[Node, int] = {}
        for work in self.works:
            for part in (work.read_from, work.written_to):
                for node, size in part.items():
                    sizes[node] = max(sizes.get(node, 0), size or 0)
        return sum(sizes.values())

    def explanation(self, name: str) -> Explanation:
        """All of it."""
        values = len(self.schedule.arguments) + len(self.schedule.outputs)
        call = CALL + VALUE * values + (0.0 if self.variant.is_static else DYNAMIC * len(self.schedule.stages))
        phases = [self.phase(p, w) for p, w in zip(self.variant.module.phases, self.works, strict=True)]
        return Explanation(
            name=name,
            lengths=self._lengths_text(phases),
            threads=self.variant.threads,
            phases=phases,
            updates=[
                UpdateEstimate(name_of(self.graph, self.schedule.shared[u.slot]), u.how, u.why)
                for u in self.schedule.updates
            ],
            call=call / 1000,
            notes=[self._sweep_note(), self._memory_note()],
            machine=self._machine_text(),
            limits=self.machine.limits(),
        )

    # -- phases -------------------------------------------------------------------------------------------------

    def phase(self, phase: Phase, work: Work) -> PhaseEstimate:
        """One phase."""
        found = PhaseEstimate(
            name=phase.name,
            makes=made(self.schedule, phase),
            kind=KINDS.get(phase.kind, phase.kind),
            loops=self._loop_lengths(phase),
            flops=work.flops,
            read=work.read,
            written=work.written,
        )
        found.chunks, found.reason = self._chunks(phase)
        product = ProductCosts(phase.tasks[0], self.number) if phase.kind == "product" else None
        if product is not None:
            found.details = product.details(found.chunks or 1)
        found.details += self._apart(phase)
        self._predict(found, phase, work, product)
        return found

    def _apart(self, phase: Phase) -> list[str]:
        """What is done together over tiles of rows, or why a product is not."""
        if isinstance(phase.nest, Tiled):
            found = [f"{phase.nest.rows} rows at a time go through all of it, while they are in the cache"]
            found += ["vectors lie along the rows"] if phase.nest.lanes else []
            for task in phase.nest.sums:
                size = times(task.node.dims, self.number) or 0
                size *= np.dtype(task.node.dtype).itemsize
                found.append(f"each thread sums up {name_made(self.schedule, task.node)}, {size:,} bytes")
            return found
        reasons = [self.schedule.apart[task] for task in phase.tasks if task in self.schedule.apart]
        return [f"not together with loops over its rows: {reason}" for reason in reasons]

    def _loop_lengths(self, phase: Phase) -> list[str]:
        if phase.kind == "product":
            node, views = phase.tasks[0].node, phase.tasks[0].views
            lengths: list[Any] = [*node.dims, views[0].lengths[-1]]
        elif phase.kind == "kernel":
            lengths = list(phase.tasks[0].node.dims)
        elif phase.scan is not None:
            lengths = [phase.scan.memory.task.steps]
        else:
            deepest = max(phase.tasks, key=lambda task: len(task.loops))
            lengths = list(deepest.loops)
        return ["?" if n is None else f"{n:,}" for n in map(self.number, lengths)]

    def _predict(self, found: PhaseEstimate, phase: Phase, work: Work, product: ProductCosts | None) -> None:
        """Set the times and what limits them."""
        chunks = found.chunks or 1
        one = self._cycles(phase)
        many = product.cycles(chunks) if product is not None else self._largest(phase, one, chunks)
        memory, divided = self._memory(work, 1), self._memory(work, chunks)
        if one is None or many is None or memory is None or divided is None:
            return
        one, many = one * self.machine.cycle, many * self.machine.cycle
        found.alone = (max(one, memory) + PHASE) / 1000
        overhead = PHASE if chunks == 1 else PHASE + self.machine.launch
        if found.chunks is not None:
            found.together = (max(many, divided) + overhead) / 1000
        limits = {"compute": many, "memory": divided, "overhead": overhead}
        found.limit = max(limits, key=lambda name: limits[name])

    def _cycles(self, phase: Phase) -> float | None:
        """Of a phase on one thread."""
        if phase.scan is not None:
            # a step writes to the table, and calls its phases
            parts = [self._cycles(inner) for inner in phase.inner]
            steps: int | None = self.number(phase.scan.memory.task.steps)
            if steps is None or None in parts:
                return None
            return float(steps * (STEP + sum(n + STEP for n in parts if n is not None)))
        if phase.kind == "product":
            return ProductCosts(phase.tasks[0], self.number).cycles()
        if phase.kind == "rows":
            return self._rows_cycles(phase)
        return kernel_cycles(phase.tasks[0], self.number) if phase.kind == "kernel" else self.loops.cycles(phase.tasks)

    def _rows_cycles(self, phase: Phase) -> float | None:
        """Of the loops and products of a phase over tiles of rows."""
        products = [ProductCosts(task, self.number).cycles() for task in phase.tasks if isinstance(task, Product)]
        parts = [self.loops.cycles(phase.tasks), *products]
        return None if None in parts else sum(p for p in parts if p is not None)

    def _largest(self, phase: Phase, cycles: float | None, chunks: int) -> float | None:
        """Cycles of the largest chunk of divided loops, and of joining what they have accumulated."""
        if cycles is None or phase.nest is None or chunks == 1:
            return cycles
        division = self.schedule.division[phase.nest]
        rows = self.number(division.length) or 1
        joined = [times(self.schedule.buffers[i.node].lengths(self.graph), self.number) or 0 for i in division.partial]
        return cycles * -(-rows // chunks) / rows + chunks * sum(joined)

    def _memory(self, work: Work, chunks: int) -> float | None:
        """Nanoseconds in which the phase's memory can be read and written.

        A part of a larger array (a minibatch) comes from where the larger array has a place; the rest stays where all
        that the function uses has.
        """
        total = 0.0
        for node, size in work.read_from.items():
            whole = self._whole(node)
            if size is None:
                return None
            place = max(whole, self.footprint) if whole > 2 * size else self.footprint
            total += size / self.machine.bandwidth(place, chunks)
        for size in work.written_to.values():
            if size is None:
                return None
            total += size / self.machine.bandwidth(self.footprint, chunks)
        return total

    def _whole(self, node: Node) -> int:
        count = times(node.dims, self.number)
        return 0 if count is None else count * np.dtype(node.dtype).itemsize

    # -- reasons ------------------------------------------------------------------------------------------------

    def _chunks(self, phase: Phase) -> tuple[int | None, str]:
        """Into how many chunks a phase goes, and why; None where only a call tells."""
        if phase.nest is None:
            return 1, self._serial_reason(phase)
        division = self.schedule.division[phase.nest]
        cycles, rows = self.number(division.work), self.number(division.length)
        threads = self.variant.threads
        if threads == 1:
            return 1, "1 thread: there are no others"
        if cycles is None or rows is None:
            return None, "as many threads as the lengths of the call are worth"
        count = self.planned.get(phase.nest, max(min(cycles // GRAIN, rows, threads), 1))
        if count > 1:
            return count, f"{count} threads: {cycles:,} cycles, at least {GRAIN:,} each"
        if cycles // GRAIN < 2:
            return 1, f"1 thread: too little work, {cycles:,} cycles for chunks of at least {GRAIN:,}"
        return 1, f"1 thread: {'a single tile' if phase.kind == 'product' else 'a single row'}"

    def _serial_reason(self, phase: Phase) -> str:
        """Why a phase is not divided among threads."""
        if phase.scan is not None:
            divided = sum(inner.nest is not None for inner in phase.inner)
            shared = f"; {divided} of its {len(phase.inner)} parts may be divided" if divided else ""
            return f"one step after the other{shared}"
        members = set(phase.tasks)
        nests = [b for stage in self.schedule.stages for b in stage if b.tasks[0] in members]
        works = [work_of_nest(self.graph, b, self.number) for b in nests]
        if None not in works and sum(works) < 2 * GRAIN:
            return f"1 thread: too little work, {sum(works):,} cycles"
        reasons = [obstacle(b) or "too little work" for b in nests]
        return f"1 thread: {'; '.join(dict.fromkeys(reasons))}"

    # -- notes --------------------------------------------------------------------------------------------------

    def _lengths_text(self, phases: Sequence[PhaseEstimate]) -> str:
        """Where the lengths come from."""
        unknown = any(p.alone is None for p in phases)
        if self.arguments is not None:
            said = "a call with such arguments" if self.arguments else "a call"
            return f"{said}; ? depends on what is computed" if unknown else said
        return (
            "a call; ? depends on arguments: explain(...)" if unknown else "a call, parts s[i*n:(i+1)*n] at full length"
        )

    def _sweep_note(self) -> str:
        why = sweep_obstacle(self.schedule)
        return f"sweep makes one call after the other: {why}" if why else "sweep runs all steps in one native call"

    def _memory_note(self) -> str:
        buffers = self.schedule.buffers.values()
        count = sum(b.place in ("arena", "private", "rows") for b in buffers)
        parts = [self.number(n) for n in self.schedule.arena_bytes]
        own = [self.number(n) for n in self.schedule.private_bytes]
        said = "temporaries: 1 buffer" if count == 1 else f"temporaries: {count} buffers"
        said += ", ? bytes" if None in parts else f", {sum(n or 0 for n in parts):,} bytes"
        if None in own:
            return f"{said}, and ? for each thread"
        return f"{said}, and {sum(n or 0 for n in own):,} for each thread" if any(own) else said

    def _machine_text(self) -> str:
        m = self.machine
        near, far = m.read[min(m.read)], m.read[max(m.read)]
        said = f"one core: {m.peak:.0f} GFLOP/s float32; reads {near:.0f} GB/s from its cache, {far:.0f} from memory"
        if m.threads == 1:
            return said
        return (
            f"{said}; {m.threads} threads read {m.together:.1f} times as fast, a launch takes {m.launch / 1000:.1f} us"
        )

"""A kernel that goes through the steps of a scan by itself.

What its phases do is printed as for kernels of their own. What the host works out between the launches of two steps,
which step it is and where values lie, are parameters of those; here they become variables, which the loop over the
steps sets. Behind each phase all threads wait: those of the block, where one has all the work, or those of all blocks.

A block that ends while others wait would leave them there. So all come to the same conclusion: a refused index is
looked for right behind a barrier, in words that no thread writes before the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numgraph.lengths import dims
from numgraph.loops.grid.bodies import function_of, refused
from numgraph.loops.grid.calls import factors_of, in_blocks, stack
from numgraph.loops.grid.kernel import THREAD, THREADS, Kernel
from numgraph.loops.grid.nests import Work, kernel_values
from numgraph.loops.grid.scans import GridScan, Place, source_of
from numgraph.loops.program import (
    Assign,
    Barrier,
    Call,
    Do,
    Expression,
    For,
    If,
    Logic,
    Name,
    Number,
    Several,
    Statement,
    Store,
    Unary,
    While,
)
from numgraph.loops.values import Setting, Values
from numgraph.ops.loop import SAVED
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.grid import Mapping
from numgraph.schedule.persistent import product_of_step
from numgraph.schedule.scans import ScanMemory, checkpoints_of

# Adds what a nest does to a kernel.
Add = Callable[[Kernel, LoopNest], Work]


def product(work: Work) -> None:
    """A product in a step: in tiles over which blocks step, or, of a stack of matrices, by one thread per element."""
    task, values = work.nest.tasks[0], work.values
    choice = product_of_step(values.graph, task, work.geometry)
    if choice is None:
        stack(work, task)
        return
    in_blocks(work, task, choice, factors_of(values, task))


@dataclass
class Persistent:
    """Makes such a kernel. alone: one block has all the work; most: how many may wait for one another. words: of the
    status, see `GridProgram`. blocks: how many have work; own: bytes that each has for itself. places: sets where a
    step writes its values; ended: says whether the step has ended the scan."""

    kernel: Kernel
    scan: GridScan
    memory: ScanMemory
    setting: Setting
    alone: bool
    most: int
    words: list[int]
    blocks: Any = 1
    own: Any = 0
    places: list[Statement] = field(default_factory=list)
    ended: Name | None = None

    def make(self, phases: Sequence[Sequence[LoopNest]], add: Add, note: str) -> None:
        """Print the kernel. add: adds what a nest of a phase does."""
        kernel, checked, layout = self.kernel, len(self.words), self.setting.layout
        for nests in phases:
            self._phase(nests, add)
        if len(phases) == 1 and (checked < len(self.words) or self.memory.ends is not None):
            # the next step may write before all have looked at what this one has found
            self.kernel.statements.append(self._waiting())
        kernel.statements = self._loop(kernel.statements)
        kernel.own = layout.number(self.own)
        kernel.grid = [(1, 1, 1)] if self.alone else [(layout.number(self.blocks), 1, self.most)]
        kernel.together = not self.alone
        # the figures that are shown are those of a step
        kernel.shapes.insert(0, "each step")
        kernel.function = function_of(kernel, checked, note)

    def _phase(self, nests: Sequence[LoopNest], add: Add) -> None:
        """What may be done at the same time, and the barrier behind it."""
        before, ends = len(self.words), self.memory.ends
        for nest in nests:
            work = add(self.kernel, nest)
            self.blocks = dims.maximum(self.blocks, work.blocks())
            self.own = dims.maximum(self.own, work.own)
        self.kernel.statements.append(self._waiting())
        self.kernel.statements += refused(self.kernel, before, len(self.words))
        if any(ends in task.written for nest in nests for task in nest.tasks):
            assert ends is not None
            found = work.memory.base(ends)[0][0]
            self.ended = Name(self.kernel.names.fresh("ended"), "bool")
            self.kernel.statements.append(Assign(self.ended, found.compared("!=", 0), note="by this step"))

    def _waiting(self) -> Statement:
        """A barrier."""
        if self.alone:
            return Barrier()
        word = self.kernel.parameter("barrier", "barrier", "p", "uint32*", ("barrier",))
        self.kernel.imports.add("cuda.together.all_blocks")
        return Do(Call("all_blocks", (word,)))

    # -- the loop over the steps ------------------------------------------------------------------------------------

    def _loop(self, body: Sequence[Statement]) -> list[Statement]:
        """The loop, and what it begins with."""
        # what the steps know is not known before them
        self.kernel.known.clear()
        values, _ = kernel_values(self.setting, self.kernel, Mapping("once", 1, None))
        step = self._variable(("slot", self.scan.step)) or Name(self.kernel.names.fresh("step"))
        count = values.whole(self.memory.task.steps)
        written = self._written(values, step)
        names = self._names(values)
        onward = self._states(values, names, written)
        kept = self._kept(values, names, step)
        begin = [*values.statements, Assign(step, Number(0), note="which step it is")]
        inner = (*self.places, *kept, *body, *onward, Assign(step, step + 1))
        more: Expression = step.compared("<", count)
        if self.ended is None:
            return [*begin, While(more, inner, note="for each step")]
        made = self.kernel.parameter("count", "count", "p", "int64*", ("count", self.scan.number))
        told = If(THREAD.compared("==", 0), (Store(made, Number(0), step, note="how many steps were made"),))
        goes_on = Logic("and", (more, Unary("not", self.ended)))
        return [*begin, Assign(self.ended, Number(False, "bool")), While(goes_on, inner, note="for each step"), told]

    def _variable(self, source: tuple[Any, ...]) -> Name | None:
        """What was a parameter from a source, as a variable; None where nothing uses it."""
        parameters = self.kernel.parameters
        key = next((key for key, p in parameters.items() if p.source == source), None)
        if key is None:
            return None
        parameter = parameters.pop(key)
        return Name(parameter.name, parameter.dtype)

    def _base(self, place: Place, like: Name, wish: str) -> Name:
        """A parameter for a place that all steps begin at."""
        source = ("behind", place.source, place.offset)
        return self.kernel.parameter((source, like.dtype), f"{like.text}_{wish}", "p", like.dtype, source)

    def _written(self, values: Values, step: Name) -> dict[int, Name]:
        """Where the step writes its values, by slot."""
        found: dict[int, Name] = {}
        for node, moving in self.memory.moving.items():
            buffer = self.setting.schedule.buffers[node]
            name = self._variable(("moving", buffer.slot))
            if name is None:
                continue
            place = self.scan.written[buffer.slot]
            base: Expression = self._base(place.base, name, "at")
            if moving.home is not None:
                turn = step + place.first if place.first else step
                size = dims.product(map(values.graph.find, node.dims))
            else:
                turn = step % place.places
                size = buffer.size(values.graph) // np.dtype(name.dtype.removesuffix("*")).itemsize
            if moving.home is not None or place.places > 1:
                self.kernel.imports.add("cuda.pointers.advance")
                base = Call("advance", (base, turn * values.whole(size)), name.dtype)
            self.places.append(Assign(name, base, **values.origin(node, values.notes.array(node))))
            found[buffer.slot] = name
        return found

    def _names(self, values: Values) -> dict[int, Name]:
        """What the states are called that something reads, or that others become."""
        names = {k: name for k in self.scan.states if (name := self._variable(("state", self.scan.number, k)))}
        become = {state.state for state in self.scan.states.values()}
        for k in {of.state for of in self.scan.checkpoints} | {k for k in become if k is not None}:
            leaf = self.memory.states[k][0]
            dtype = "uint8" if leaf.dtype == "bool" else leaf.dtype
            names.setdefault(k, Name(values.names.fresh(values.graph.names.get(leaf), "x"), f"{dtype}*"))
        return names

    def _states(self, values: Values, names: dict[int, Name], written: dict[int, Name]) -> list[Statement]:
        """Sets where states are before the first step; returns what sets where they are before the next one."""
        new: dict[Name, Name] = {}
        for k, name in names.items():
            state = self.scan.states[k]
            kept = self.scan.written.get(state.written) if state.state is None else None
            first = kept.base if kept is not None and kept.in_place else state.first
            note = f"{values.notes.name_of(self.memory.states[k][0])} before the first step"
            values.assign(name, self._base(first, name, "first"), note)
            new[name] = written[state.written] if state.state is None else names[state.state]
        if not new:
            return []
        if len(new) == 1:
            ((name, value),) = new.items()
            return [Assign(name, value)]
        return [Assign(tuple(new), Several(tuple(new.values())))]

    def _kept(self, values: Values, names: dict[int, Name], step: Name) -> list[Statement]:
        """Copies the states before some steps, which are kept for a gradient."""
        found: list[Statement] = []
        for result in (v for v in self.memory.task.results if v.op is SAVED):
            number, (first, every) = result.attributes["asked"][0], checkpoints_of(result, self.memory.task.steps)
            leaf, _, new = self.memory.states[number]
            size = values.whole(dims.product(map(values.graph.find, leaf.dims)))
            begin, apart, e = values.whole(first), values.whole(every), Name(values.names.fresh("e"))
            to = self._base(Place(source_of(self.setting.schedule, self.setting.layout, result)), names[number], "base")
            since = step - begin if begin != Number(0) else step
            kept = Store(to, since // apart * size + e, names[number][e])
            body: list[Statement] = [For(e, (THREAD, size, THREADS), (kept,), note=values.notes.array(result))]
            if new in self.memory.moving and self.memory.moving[new].in_place:
                body.append(self._waiting())
            found.append(If(Logic("and", (since.compared(">=", 0), (since % apart).compared("==", 0))), tuple(body)))
        return found

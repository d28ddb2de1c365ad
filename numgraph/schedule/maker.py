"""Makes the tasks of a program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numgraph.elements import Elements, Operand
from numgraph.ir import Graph, Node, loops_of, topological
from numgraph.lengths.known import holds, undecided, within_of
from numgraph.lengths.sources import read_for, scalar_nodes
from numgraph.ops.loop import ROWS, SAVED, TRACE
from numgraph.schedule.tasks import (
    Elementwise,
    IndexCheck,
    KernelCall,
    Product,
    Reduction,
    ScanTask,
    Scattering,
    Task,
    read_in_memory,
    result_of,
    whole_view,
    writers,
)


class TaskMaker:
    """Makes the tasks of a program, in an order in which each comes after what it reads."""

    def __init__(self, graph: Graph, elements: Elements, ranges: Sequence[tuple[Node, Node, Any]]) -> None:
        self.graph = graph
        self.elements = elements
        self.tasks: dict[Node, Task] = {}
        self.ordered: list[Task] = []
        self.ranges: dict[Node, list[tuple[Node, Any]]] = {}
        for node, index, length in ranges:
            self.ranges.setdefault(node, []).append((index, length))
        self.check_tasks: dict[Node, list[IndexCheck]] = {}
        self.checked: dict[Any, IndexCheck] = {}
        # by scan: its results, and the tasks of a step
        self.results: dict[int, list[Node]] = {}
        self.bodies: dict[int, list[Task]] = {}
        # for each condition on lengths that code must check the scans in whose steps it is another one
        self.conditions = [within_of(r) for r in undecided(graph)]

    def make_all(self, roots: Sequence[Node]) -> list[Task]:
        """Tasks of every stored node that the roots need, and the index checks among them."""
        for node in topological(roots):
            if node.op is not None and node.op.loop:
                self.results.setdefault(node.attributes["scan"], []).append(node)
        for node in topological(roots, inputs=self._needed_by):
            for index, length in self.ranges.get(node, ()):
                self._check(node, index, length)
            if node in self.elements.stored and node not in self.tasks:
                task = self._task(node)
                self._finish(task)
                self.tasks.update(dict.fromkeys(task.written, task))
                self._append(task, node.within)
        return self.ordered

    def _needed_by(self, node: Node) -> Sequence[Node]:
        """What comes before a node: all results of a scan are made together."""
        if node.op is None or not node.op.loop:
            return node.inputs
        results = self.results[node.attributes["scan"]]
        return list(dict.fromkeys(v for result in results for v in result.inputs))

    def _append(self, task: Task, within: frozenset[int]) -> None:
        """Put a task behind the others of the program, or of a step of the innermost scan that it varies in."""
        (self.bodies.setdefault(max(within), []) if within else self.ordered).append(task)

    def _loop_index(self, node: Node) -> tuple[tuple[Any, ...], list[Any]]:
        """(loops, index): one loop per axis that is not known to have length 1."""
        index: list[Any] = []
        level = 0
        for n in map(self.graph.find, node.dims):
            if isinstance(n, int) and n == 1:
                index.append(self.graph.number(0))
            else:
                index.append(self.graph.loop(level))
                level += 1
        return loops_of(self.graph, node.dims), index

    def _task(self, node: Node) -> Task:
        op = node.op
        if op is not None and op.reduce:
            return self._reduce(node)
        if op is not None and op.scatter:
            return self._scatter(node)
        if op is not None and (op.product or op.kernel):
            return self._kernel(node)
        if op is not None and op.loop:
            return self._scan(node)
        loops, index = self._loop_index(node)
        return Elementwise(node, loops, self.elements.compute(node, index), tuple(index))

    def _reduce(self, node: Node) -> Task:
        source = node.inputs[0]
        loops, index = self._loop_index(source)
        axes = node.attributes["axis"]
        reduced = tuple(index[a].attrs[0] for a in axes if index[a].kind == "loop")
        if node.attributes["keepdims"]:
            target = [self.graph.number(0) if k in axes else i for k, i in enumerate(index)]
        else:
            target = [i for k, i in enumerate(index) if k not in axes]
        return Reduction(node, loops, self.elements.at(source, index), tuple(target), reduced)

    def _scatter(self, node: Node) -> Task:
        form = node.op.scatter if node.op else None
        assert form is not None
        operands = [Operand(v, self.elements) for v in node.inputs]
        attrs = node.attributes
        region = [self.graph.find(n) for n in form.region(*operands, **attrs)]
        # a stand-in with the region's lengths gives the loops and the broadcasting of the value
        stand_in = self.graph.make("region", None, (node,), (), node.dtype, region)
        loops, index = self._loop_index(stand_in)
        value = self.elements.at(node.inputs[1], self.elements.broadcast_index(node.inputs[1], stand_in, index))
        target = tuple(map(self.graph.as_index, form.target(tuple(index), *operands, **attrs)))
        return Scattering(node, loops, value, target)

    def _kernel(self, node: Node) -> Task:
        op = node.op
        assert op is not None
        operands = [Operand(v, self.elements) for v in node.inputs]
        views = []
        for v in read_in_memory(node):
            view = self.elements.memory(v)
            assert view is not None, (node, v)
            views.append(view)
        sizes = tuple(op.kernel.sizes(*operands, **node.attributes)) if op.kernel else ()
        numbers = node.inputs[3:5] if op.accumulates else [v for v in node.inputs if not v.dims] if op.user else ()
        factors = tuple(self.elements.at(v, ()) for v in numbers)
        made = Product if op.product else KernelCall
        return made(node, views=tuple(views), sizes=sizes, factors=factors)

    def _scan(self, node: Node) -> ScanTask:
        """All steps of a scan, of which the node is a result."""
        number = node.attributes["scan"]
        results = self.results[number]
        parts = [result_of(v) for v in results]
        body = needed(self.bodies.get(number, []), [v for part in parts for v in part.roots])
        made = {v for task in body for v in task.written}
        read = [v for task in body for v in task.sources if v not in made]
        views = [whole_view(v) for v in dict.fromkeys(read) if not (v.kind == "state" and v.attrs[0] == number)]
        for first in dict.fromkeys(first for part in parts for first, _ in part.states.values()):
            view = self.elements.memory(first)
            assert view is not None, (node, first)
            views.append(view)
        steps = Operand(parts[0].steps, self.elements).value
        # where no result has a row for each step, the loop itself reads how many there are: no plan has to wait for it
        counted = self.graph.traits.grid or any(v.op in (ROWS, TRACE, SAVED) for v in results)
        task = ScanTask(node, views=tuple(views), sizes=(steps,) if counted else (), steps=steps)
        task.scan, task.results, task.body = self.graph.scans[number], results, body
        return task

    def _finish_scan(self, task: ScanTask) -> None:
        """What a scan waits for, and whether it may end a call."""
        body = task.body
        lengths = [*task.sizes, *(n for v in task.results for n in map(self.graph.find, v.dims))]
        if not task.sizes and isinstance(task.steps, Node):
            task.loads = [v for v in scalar_nodes([task.steps]) if v.kind == "load"]
        task.lengths = tuple(dict.fromkeys([*read_for(lengths), *(v for t in body for v in t.lengths)]))
        task.checks = list(dict.fromkeys(c for t in body for c in t.checks if c not in body))
        # lengths and places that are other ones in each step are checked before it
        checked = any(max(within, default=-1) == task.scan.number for within in self.conditions)
        task.raises = checked or any(isinstance(t, IndexCheck) or t.raises for t in body)

    def _check(self, node: Node, index: Node, length: Any) -> None:
        loops, at = self._loop_index(index)
        value = self.elements.at(index, at)
        bound = self.graph.find(length)
        if holds("range", value, bound) or self._in_range(value, loops, bound):
            return
        within = self._checked_within(node, value, bound)
        # what is checked in the steps of a scan is not checked outside
        key = (value, bound, loops, max(within, default=-1))
        task = self.checked.get(key)
        if task is None:
            task = self.checked[key] = IndexCheck(node, loops, value, bound=bound)
            # it reads the index, and what the node reads besides may be looked at later, in a step
            self._finish(task, index)
            self._append(task, within)
        self.check_tasks.setdefault(node, []).append(task)

    def _checked_within(self, node: Node, index: Node, bound: Any) -> frozenset[int]:
        """The scans in whose steps an index is looked at: those in which it or the length varies, with all around them.
        One that is the same in all steps is looked at before the loop, but where nothing is (`Loop.lazy`)."""
        varies = index.within | (bound.within if isinstance(bound, Node) else frozenset())
        lazy = {number for number in node.within if self.graph.scans[number].loop.lazy}
        innermost = max(varies | lazy, default=-1)
        # the number of an inner scan is larger
        return varies | {number for number in node.within if number <= innermost}

    def _in_range(self, value: Node, loops: tuple[Any, ...], length: Any) -> bool:
        """Whether an index is a loop counter that stays below `length`."""
        return value.kind == "loop" and self.graph.equal_lengths(loops[value.attrs[0]], length)

    def _finish(self, task: Task, root: Node | None = None) -> None:
        """Collect the task's memory reads and the checks that must precede it. root: what it computes, if that is not
        its node."""
        if isinstance(task, ScanTask):
            self._finish_scan(task)
            return
        scalars = [v for v in (task.value, *task.target) if v is not None]
        scalars += [v for view in task.views for v in (view.offset, *view.strides) if isinstance(v, Node)]
        scalars += [v for v in (*task.sizes, *task.factors) if isinstance(v, Node)]
        nodes = scalar_nodes(scalars)
        task.loads = [v for v in nodes if v.kind == "load"]
        task.scalars = set(nodes)
        task.statements = sum(v.kind in ("op", "load") for v in nodes)
        # threads of a grid cannot end a call: there functions that say `raise` are refused
        task.raises = not self.graph.traits.grid and any(v.op is not None and v.op.raises for v in (*nodes, task.node))
        lengths = [*task.loops, *map(self.graph.find, task.node.dims), task.bound]
        task.lengths = tuple(read_for([*lengths, *(n for view in task.views for n in view.lengths)]))
        for node in self._inlined(root or task.node):
            task.checks += self.check_tasks.get(node, ())

    def _inlined(self, root: Node) -> Iterable[Node]:
        """The nodes computed inside a task: its own, and unstored ones above it."""
        seen: dict[Node, None] = {root: None}
        stack = [root]
        while stack:
            for v in stack.pop().inputs:
                if v not in seen and not self.elements.has_buffer(v):
                    seen[v] = None
                    stack.append(v)
        return seen


def needed(tasks: Sequence[Task], roots: Sequence[Node]) -> list[Task]:
    """The tasks that results are made of, and index checks, with all that these read. Of an array of which only a
    length is asked for, no element is computed."""
    by_node = writers(tasks)
    results = set(roots)
    found: set[Task] = set()
    stack = [task for task in tasks if isinstance(task, IndexCheck) or not results.isdisjoint(task.written)]
    while stack:
        task = stack.pop()
        if task not in found:
            found.add(task)
            stack += [*(by_node[v] for v in task.sources if v in by_node), *task.checks]
    return [task for task in tasks if task in found]

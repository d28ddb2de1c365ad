"""How a function was made, for its record: the passes once more, and all that they leave, as data.

Nothing of this is kept while functions are built and called; who looks at a function has its program go through the
passes again, with the assumptions of the variant in use.
"""

from __future__ import annotations

import ast
import linecache
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from numgraph.compile import LOOPS, NativeState, State, native_state, within_memory
from numgraph.cuda.passes import KERNELS, KernelState, device_of, kernel_state
from numgraph.emit.writer import Line
from numgraph.fingerprint import shapes_of
from numgraph.formula import formula
from numgraph.graph import Constant, Variable, label, toposort
from numgraph.inspector.making import (
    BufferRecord,
    GraphRecord,
    LinkRecord,
    Making,
    NodeRecord,
    PlaceRecord,
    RewriteRecord,
    RootRecord,
)
from numgraph.ir import Graph, Node, topological
from numgraph.lengths.known import full_length
from numgraph.loops.grid.kernel import flat
from numgraph.loops.notes import type_text
from numgraph.loops.processor import within
from numgraph.passes import STABILISE, Progress, passed
from numgraph.program import Program
from numgraph.rewrite.assume import NOTHING, Keys
from numgraph.schedule.arrange import Tiled, nests_within
from numgraph.schedule.buffers import Buffer
from numgraph.schedule.plan import Schedule
from numgraph.schedule.tasks import Task
from numgraph.schedule.work import name_of
from numgraph.shared import SharedVariable
from numgraph.source import SourceLine
from numgraph.text import printable

# How much of a formula is written out, in parts; and letters of one that is shown in a node of a graph.
PARTS, LETTERS = 14, 120
# How deep the operands of a node of the compile graph are written out.
DEPTH = 2
# The largest file of the user's that is kept, in letters.
LARGEST_FILE = 2_000_000
_DEFINED = re.compile(r"def (\w+)\(")
PASSES = {
    "written": "the expressions as you wrote them, gradients included",
    "givens": "what stands for a variable is in its place",
    "stable forms": "what overflows or cancels is replaced; this is where compiling begins",
    "lowered": "the compile graph: equal expressions are one node, lengths are nodes",
    "fused updates": "new values in forms that can be written over the old ones",
}


def making_of(program: Program, target: str, given_up: Keys = NOTHING) -> Making:
    """How a program became what runs on a target, under assumptions without those that were given up."""
    recorder = Recorder(program)
    if target == "reference":
        recorder.expressions(passed(Progress(program, {}), [STABILISE]))
        return recorder.finished()
    grid = target != "cpu"
    if grid:
        make = partial(kernel_state, geometry=device_of(target)[1])
        state: Any = passed(within_memory(program, given_up, None, make), KERNELS[:2])
    else:
        shapes = shapes_of(program)
        state = passed(within_memory(program, given_up, None, partial(native_state, shapes=shapes)), LOOPS)
    recorder.expressions(state)
    recorder.compile_graphs(state)
    recorder.work(state.schedule, phases_of(state))
    recorder.links(state.module.lines)
    return recorder.finished()


def phases_of(state: NativeState | KernelState) -> list[tuple[str, list[Task]]]:
    """The names of the phases, or kernels of a grid, with their tasks."""
    if isinstance(state, KernelState):
        return [(k.name, list(k.tasks)) for kernels in state.module.kernels for k in flat(kernels)]
    return [(phase.name, list(phase.tasks)) for phase in within(state.module.phases)]


class Recorder:
    """Numbers nodes and places, and fills a `Making` from a state of the compiler."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.made = Making()
        self.numbers: dict[Variable | Node, int] = {}
        self.places: dict[SourceLine, int] = {}

    # -- numbers ------------------------------------------------------------------------------------------------------

    def place(self, line: SourceLine | None) -> list[int]:
        """The number of a line, in a list that is empty for none."""
        if line is None:
            return []
        if line not in self.places:
            self.places[line] = len(self.made.places)
            self.made.places.append(PlaceRecord(line.file, line.line, line.function))
        return [self.places[line]]

    def several(self, lines: Iterable[SourceLine]) -> list[int]:
        """The numbers of lines."""
        return [number for line in lines for number in self.place(line)]

    def variable(self, v: Variable) -> int:
        """The number of a variable, whose operands have one."""
        if v not in self.numbers:
            kind = "op" if v.op is not None and v.op.args else "input"
            kind = "constant" if isinstance(v, Constant) else "shared" if isinstance(v, SharedVariable) else kind
            text = _cut(formula(v, PARTS))
            inputs = [self.numbers[u] for u in v.inputs if u in self.numbers]
            op = v.op.name if v.op is not None else ""
            record = NodeRecord(kind, op, str(v.type), text, label(v) if v.name else "", inputs, self.place(v.line))
            self.numbers[v] = len(self.made.nodes)
            self.made.nodes.append(record)
        return self.numbers[v]

    def node(self, node: Node) -> int:
        """The number of a node of the compile graph, whose operands have one."""
        if node not in self.numbers:
            graph = node.graph
            inputs = [self.numbers[u] for u in node.inputs if u in self.numbers]
            kind = {"number": "constant", "array": "constant"}.get(node.kind, node.kind)
            op = node.op.name if node.op is not None else ""
            text, places = _cut(node_text(graph, node)), self.several(graph.lines.get(node, ()))
            record = NodeRecord(kind, op, type_text(graph, node), text, graph.names.get(node, ""), inputs, places)
            self.numbers[node] = len(self.made.nodes)
            self.made.nodes.append(record)
        return self.numbers[node]

    def number(self, ends: Iterable[Any], give: Callable[[Any], int]) -> None:
        """Give numbers to nodes, and to all below them that have none."""
        waiting = list(ends)
        while waiting:
            node = waiting[-1]
            below = [] if node in self.numbers else [v for v in node.inputs if v not in self.numbers]
            if not below:
                give(waiting.pop())
            waiting += below

    # -- graphs -------------------------------------------------------------------------------------------------------

    def expressions(self, state: Progress) -> None:
        """The graphs up to the stable forms."""
        program = self.program
        results = (program.outputs, [value for _, value in program.updates])
        outputs, values = program.written
        if outputs or values:
            self.graph("written", outputs, values, [])
        if program.givens or not self.made.graphs:
            self.graph("givens", *results, program.variables)
        if state.fired:
            count = len(program.outputs)
            number = self.graph("stable forms", state.stable[:count], state.stable[count:], program.variables)
            for rule, old, new in state.fired:
                self.number([old, new], self.variable)
                self.rewrite(number, rule, self.numbers[old], self.numbers[new])

    def graph(
        self, name: str, outputs: Sequence[Variable], values: Sequence[Variable], stop: Sequence[Variable]
    ) -> int:
        """A graph of variables; returns its number."""
        nodes = [self.variable(v) for v in toposort([*outputs, *values], stop=stop)]
        roots = self.roots([self.numbers[v] for v in outputs], [self.numbers[v] for v in values])
        self.made.graphs.append(GraphRecord(name, PASSES[name], nodes, roots))
        return len(self.made.graphs) - 1

    def roots(self, outputs: Sequence[int], values: Sequence[int]) -> list[RootRecord]:
        """The outputs and new values, by the numbers of their nodes."""
        program = self.program
        names = program.keys or [v.name or f"output {k}" for k, v in enumerate(program.outputs)]
        found = [RootRecord("output", printable(name), number) for name, number in zip(names, outputs, strict=False)]
        targets = [label(target) for target, _ in program.updates]
        return found + [RootRecord("update", name, v) for name, v in zip(targets, values, strict=False)]

    def compile_graphs(self, state: State) -> None:
        """The compile graph as it was made, after each round of rewriting, and at last."""
        begin = [state.leaves.nodes[v] for v in state.stable]
        self.nodes_of("lowered", PASSES["lowered"], begin)
        for number, rewriter in enumerate(state.rounds, 1):
            begin = [rewriter.new[v] for v in begin]
            if not rewriter.fired:
                continue
            why = "compositions are written out, and rules simplify what there is"
            place = self.nodes_of(f"rewritten {number}", why, begin)
            for rule, old, new in rewriter.fired:
                self.number([old, new], self.node)
                self.rewrite(place, rule, self.numbers[old], self.numbers[new])
        last = [*state.outputs, *state.values]
        if last != begin or len(self.made.graphs) == 1:
            self.nodes_of("fused updates", PASSES["fused updates"], last)
        for v, node in state.leaves.nodes.items():
            found = self.numbers.get(state.moved(node))
            if found is not None and v in self.numbers:
                self.made.nodes[self.numbers[v]].becomes = found

    def nodes_of(self, name: str, why: str, results: Sequence[Node]) -> int:
        """A compile graph; returns its number."""
        nodes = [self.node(v) for v in topological(results)]
        numbers, count = [self.numbers[v] for v in results], len(self.program.outputs)
        roots = self.roots(numbers[:count], numbers[count:])
        self.made.graphs.append(GraphRecord(name, why, nodes, roots))
        return len(self.made.graphs) - 1

    def rewrite(self, graph: int, rule: Any, old: int, new: int) -> None:
        """What a rule did."""
        before, after = self.made.nodes[old], self.made.nodes[new]
        name = rule.name if rule is not None else f"{before.op} written out"
        why = rule.why if rule is not None else "a composition of other operations, which fuse"
        self.made.rewrites.append(RewriteRecord(graph, name, why, before.text, after.text, old, new))

    # -- the schedule -------------------------------------------------------------------------------------------------

    def work(self, schedule: Schedule, phases: Sequence[tuple[str, list[Task]]]) -> None:
        """Which phase computes what, and the buffers."""
        self.made.phases = [name for name, _ in phases]
        used: dict[Node, list[int]] = {}
        for number, (name, tasks) in enumerate(phases):
            for task in tasks:
                for node in in_memory(task):
                    used.setdefault(node, []).append(number)
                for node in inside(schedule, task):
                    if node in self.numbers:
                        known = self.made.nodes[self.numbers[node]].phases
                        known += [name] if name not in known else []
        rooms = rooms_of(schedule)
        self.made.buffers = [self.buffer(schedule, node, used.get(node, []), rooms) for node in schedule.buffers]

    def buffer(self, schedule: Schedule, node: Node, used: list[int], rooms: Mapping[Node, int]) -> BufferRecord:
        """Where an array lies, and between which phases."""
        graph, buffer = schedule.graph, schedule.buffers[node]
        leaf = schedule.shared[buffer.slot] if buffer.place == "shared" else None
        over = leaf if leaf is not None else node.inputs[0] if buffer.place == "base" else None
        offset = graph.find(buffer.offset) if not isinstance(buffer.offset, int) else buffer.offset
        return BufferRecord(
            name_of(graph, node),
            type_text(graph, node),
            buffer.place,
            self.numbers.get(node, -1),
            size_of(graph, buffer, rooms),
            offset if isinstance(offset, int) else None,
            buffer.stage,
            min(used, default=-1),
            max(used, default=-1),
            name_of(graph, over) if over is not None else "",
        )

    # -- lines --------------------------------------------------------------------------------------------------------

    def links(self, lines: Sequence[Line]) -> None:
        """What each line of the source belongs to."""
        for begin, end in functions_of(lines):
            found = _DEFINED.match(lines[begin].code)
            name = found[1] if found is not None else ""
            for k in range(begin, end):
                # what a statement that is wrapped goes on with belongs to it
                goes_on = k > begin and lines[k - 1].code.endswith(("(", ",")) and not lines[k].lines
                made = self.made.links
                made.append(made[-1] if goes_on else self.link(name, lines[k], around(lines, k, begin, end)))

    def link(self, function: str, line: Line, around: Sequence[SourceLine]) -> LinkRecord:
        """What one line belongs to. around: the user's lines of the statements around it."""
        node = self.numbers.get(line.node, -1)
        if line.lines or not function or not line.code:
            return LinkRecord(function, self.several(line.lines), node)
        return LinkRecord(function, self.several(around) or self.place(self.program.line), node, False)

    def finished(self) -> Making:
        """The record, with the files of the user's."""
        for file in dict.fromkeys(place.file for place in self.made.places):
            text = "".join(linecache.getlines(file))
            if 0 < len(text) <= LARGEST_FILE:
                self.made.files[file] = text
        return self.made


def in_memory(task: Task) -> list[Node]:
    """The nodes that a task reads or writes in memory."""
    return [*task.written, *(view.buffer for view in task.views), *(load.inputs[0] for load in task.loads)]


def inside(schedule: Schedule, task: Task) -> list[Node]:
    """The nodes of arrays that a task computes."""
    found: list[Node] = []
    seen = set(task.written)
    waiting = list(task.written) or [task.node]
    while waiting:
        node = waiting.pop()
        found.append(node)
        for v in node.inputs:
            if v not in seen and v not in schedule.buffers:
                seen.add(v)
                waiting.append(v)
    return found


def functions_of(lines: Sequence[Line]) -> list[tuple[int, int]]:
    """Where functions begin and end among lines; what stands before the first is a part, too."""
    begins = [k for k, line in enumerate(lines) if not line.indent and _DEFINED.match(line.code)]
    return list(zip([0, *begins], [*begins, len(lines)], strict=True))


def around(lines: Sequence[Line], k: int, begin: int, end: int) -> Sequence[SourceLine]:
    """The user's lines behind the statement that is nearest to one without: the first inside of it, the last before
    it, the first behind it."""
    inner = k + 1
    while inner < end and lines[inner].indent > lines[k].indent:
        if lines[inner].lines:
            return lines[inner].lines
        inner += 1
    behind = range(k + 1, end) if lines[k].indent else range(0)
    return next((lines[j].lines for j in (*range(k - 1, begin, -1), *behind) if lines[j].lines), ())


def rooms_of(schedule: Schedule) -> dict[Node, int]:
    """How many rows a tile has room for, by the arrays that are kept for one tile of rows."""
    nests = nests_within([nest for nests in schedule.stages for nest in nests])
    return {node: nest.room for nest in nests if isinstance(nest, Tiled) for node in nest.local}


def size_of(graph: Graph, buffer: Buffer, rooms: Mapping[Node, int]) -> int | None:
    """The bytes of an array, with windows at full length; of a tile of rows those of the tile."""
    lengths = [full_length(n) for n in buffer.lengths(graph)]
    if buffer.place == "rows":
        lengths[:1] = [rooms[buffer.node]]
    return None if None in lengths else prod(n or 0 for n in lengths) * np.dtype(buffer.node.dtype).itemsize


# -- texts ------------------------------------------------------------------------------------------------------------


def node_text(graph: Graph, node: Node) -> str:
    """A formula of a node, with names in it where there are some."""
    return ast.unparse(_tree(graph, node, 0))


def _tree(graph: Graph, node: Node, depth: int) -> ast.expr:
    if node in graph.names and (depth or node.op is None):
        return ast.Name(graph.names[node])
    if node.is_number:
        return ast.Name(str(node.value))
    if node.op is None:
        return ast.Name(
            f"{node.kind}({', '.join(_short(graph, v) for v in node.inputs)})" if node.inputs else node.kind
        )
    if depth > DEPTH:
        return ast.Name("...")
    parts = [_tree(graph, v, depth + 1) for v in node.inputs]
    if node.op.show is not None and not node.op.loop:
        return node.op.show(*parts, **node.attributes)
    form = node.op.tree
    names = dict(zip(node.op.args, parts, strict=False))
    match form:
        case ast.BinOp(left=ast.Name(id=a), right=ast.Name(id=b), op=sign) if a in names and b in names:
            return ast.BinOp(names[a], sign, names[b])
        case ast.Compare(left=ast.Name(id=a), ops=ops, comparators=[ast.Name(id=b)]) if a in names and b in names:
            return ast.Compare(names[a], ops, [names[b]])
        case ast.UnaryOp(operand=ast.Name(id=a), op=unary) if a in names:
            return ast.UnaryOp(unary, names[a])
    return ast.Call(ast.Name(node.name), parts, [ast.keyword(k, ast.Name(repr(v))) for k, v in _attributes(node)])


def _short(graph: Graph, node: Node) -> str:
    return graph.names.get(node) or node.name


def _attributes(node: Node) -> list[tuple[str, Any]]:
    """The attributes that say something to a reader."""
    said = [(k, v) for k, v in node.attrs if isinstance(v, int | float | str | tuple) and k != "dtype"]
    return [(k, v) for k, v in said if v is not False and v != ()]


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 3] + "..."

"""The pipeline, top to bottom: expression, givens, grad -> rewrite -> schedule -> emit -> compile -> call.

`givens` have been substituted and gradients built when a program arrives here. Each pass is a function over one state;
`GRAPH`, `SCHEDULE`, `LOOPS` and `NATIVE` are the lists of them, in order; `cuda.passes` has those for devices.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from numgraph import cache
from numgraph.config import config
from numgraph.emit.module import Module, print_module
from numgraph.emit.printer import fits
from numgraph.emit.steps import Transformed
from numgraph.fingerprint import Shapes, shapes_of
from numgraph.graph import Variable, label
from numgraph.inspector.record import PassRecord
from numgraph.ir import Graph, Node, Requirement
from numgraph.lengths import dims
from numgraph.lengths.known import OF_ELEMENTS, undecided
from numgraph.lengths.sources import computed_sources, length_sources
from numgraph.loops.inline import inlined
from numgraph.loops.processor import ProcessorProgram
from numgraph.loops.program import Function, count_statements
from numgraph.loops.timed import Clocks, timed
from numgraph.passes import STABILISE, Made, Pass, Progress, passed
from numgraph.printing import pprint
from numgraph.program import Program
from numgraph.rewrite.assume import MEMORY, NOTHING, Assumptions, Key, Keys, Leaf, settled
from numgraph.rewrite.build import Builder
from numgraph.rewrite.engine import Rewriter
from numgraph.rewrite.lower import Leaves, expand, lower
from numgraph.rewrite.rules import SIMPLE
from numgraph.rewrite.update import fuse_updates
from numgraph.runtime import native, products, threads
from numgraph.runtime.artifact import Artifact
from numgraph.runtime.timed import TimedVariant
from numgraph.runtime.units import begin_unit
from numgraph.runtime.users import explained
from numgraph.runtime.variant import Details, NativeVariant
from numgraph.scalars import PROCESSOR
from numgraph.schedule.plan import Schedule, Scheduler
from numgraph.shared import SharedVariable
from numgraph.target import Compiled
from numgraph.text import printable
from numgraph.traits import CPU, Traits

# More rounds of rewriting than any program needs, in case two rules undo each other.
MAX_ROUNDS = 10

# -- the state ----------------------------------------------------------------------------------------------------


@dataclass
class State(Progress):
    """A program on its way to a schedule.

    shapes: lengths of shared variables that it is made for. given_up: the assumptions that it is made without. nodes:
    what the stable forms were lowered to, then the targets of updates and what lengths are read from. rounds: of
    rewriting. outputs, values: rewritten nodes of the outputs and of the new values.
    """

    traits: Traits
    shapes: Shapes
    assumptions: Assumptions
    given_up: Keys = NOTHING
    builder: Builder = field(init=False)
    leaves: Leaves = field(init=False)
    nodes: list[Node] = field(init=False)
    rounds: list[Rewriter] = field(init=False)
    outputs: list[Node] = field(init=False)
    values: list[Node] = field(init=False)
    schedule: Schedule = field(init=False)

    @property
    def graph(self) -> Graph:
        """The compile graph."""
        return self.builder.graph

    @property
    def shared(self) -> list[SharedVariable]:
        """The shared variables by number."""
        return self.leaves.shared

    @property
    def conditions(self) -> list[Requirement]:
        """What the plan checks. An array whose length nothing computes after all need not fit, and its length may be
        negative."""
        computed = self.schedule.buffers
        return [
            r
            for r in undecided(self.schedule.graph)
            if r.kind not in OF_ELEMENTS or all(v in computed for v in computed_sources((r.a, r.b)))
        ]

    def moved(self, node: Node) -> Node:
        """What stands for a node after rewriting."""
        for rewriter in self.rounds:
            node = rewriter.new.get(node, node)
        return node


@dataclass
class NativeState(State):
    """A program on its way to native code."""

    loops: ProcessorProgram = field(init=False)
    steps: list[Transformed] = field(init=False)
    module: Module = field(init=False)
    code: native.Native = field(init=False)
    variant: NativeVariant = field(init=False)


@dataclass
class TimedState(NativeState):
    """A program on its way to native code that is timed."""

    clocks: Clocks = field(init=False)
    variant: TimedVariant = field(init=False)


S = TypeVar("S", bound=State)


def settled_schedule(make: Callable[[Assumptions], S], given_up: Keys = NOTHING, leaf: Leaf | None = None) -> S:
    """The state of a program with a schedule that assumes nothing of what was given up, nor what does not hold in the
    call whose arrays `leaf` knows. make: a new state for a build under assumptions."""
    while True:
        state, given_up = settled(lambda assumptions: passed(make(assumptions), GRAPH), given_up, leaf)
        passed(state, SCHEDULE)
        resized = resized_lengths(state)
        if resized <= given_up:
            state.given_up = given_up
            limit_memory(state)
            return state
        # of a shared variable's length, which the function's own updates change: another build, without them
        given_up |= resized


# -- expression to compile graph ----------------------------------------------------------------------------------


def lower_all(state: State) -> Made:
    """The compile graph of outputs, new values and targets of updates; Contradiction where assumptions do not hold
    together."""
    program, graph = state.program, Graph(state.traits)
    state.builder = Builder(graph, state.assumptions)
    state.leaves = Leaves(state.builder, program.variables, state.shapes)
    # a program that keeps less has the shared variables in the same order
    in_order = bool(program.remembered)
    state.nodes = lower([*state.stable, *(s for s, _ in program.updates)], state.leaves, in_order)
    for key, value in program.givens:
        # what stands for x is called x
        if not value.name and value in state.leaves.nodes:
            graph.call(state.leaves.nodes[value], key.name)
    # what lengths are read from is rewritten along
    state.nodes += length_sources(graph, state.nodes)
    return {"nodes": graph.count}


def rewrite(state: State) -> Made:
    """All rules applied and compositions expanded.

    A round looks at each node once, and not at what its rules and expansions made inside their results; so another one
    follows as long as there may be something new.
    """
    state.rounds = []
    while not state.rounds or (state.rounds[-1].made and len(state.rounds) < MAX_ROUNDS):
        state.rounds.append(Rewriter(state.builder, SIMPLE, expand))
        state.nodes = state.rounds[-1].run(state.nodes)
    count = len(state.program.outputs)
    state.outputs, state.values = state.nodes[:count], state.nodes[count : len(state.stable)]
    return {"nodes": state.graph.count, "rounds": len(state.rounds)}


def fuse_all_updates(state: State) -> Made:
    """New values in forms that can be written over the old ones."""
    targets = [state.leaves.stored(target) for target, _ in state.program.updates]
    state.values = fuse_updates(state.builder, state.outputs, state.values, targets)
    return {"updates": len(state.values)}


# Made again without assumptions that contradict each other, see `assume.settled`.
GRAPH: list[Pass[State]] = [
    STABILISE,
    Pass("lower", lower_all),
    Pass("rewrite", rewrite),
    Pass("fuse updates", fuse_all_updates),
]

# -- compile graph to schedule ------------------------------------------------------------------------------------


def schedule(state: State) -> Made:
    """Loop nests, products and kernels, and where their results lie."""
    leaves, builder, graph = state.leaves, state.builder, state.graph
    slots = {variable: k for k, variable in enumerate(leaves.shared)}
    targets = [slots[target] for target, _ in state.program.updates]
    updates = list(zip(targets, state.values, strict=True))
    scheduler = Scheduler(graph, builder.elements, state.outputs, updates, leaves.shared_nodes)
    scheduler.ranges, scheduler.requirements, scheduler.moved = builder.ranges, graph.requirements, state.moved
    found = state.schedule = scheduler.run()
    found.arguments, found.shared = leaves.arguments, leaves.shared_nodes
    found.dtypes = [v.type.dtype for v in (*state.program.outputs, *leaves.shared)]
    return {"stages": len(found.stages), "tasks": len(found.tasks), "buffers": len(found.buffers)}


def verify_schedule(state: State) -> Made:
    """Proof that nothing is read after it was overwritten, where that is wanted."""
    if config.verify:
        from numgraph.schedule.verify import verify

        verify(state.schedule)
    return {"checked": int(config.verify)}


SCHEDULE: list[Pass[State]] = [
    Pass("schedule", schedule),
    Pass("verify", verify_schedule),
]


def resized_lengths(state: State) -> set[Key]:
    """Assumptions about lengths of shared variables that the function's own updates would break."""
    graph, found = state.graph, set()
    for update in state.schedule.updates:
        leaf = state.schedule.shared[update.slot]
        for axis, new in enumerate(update.node.dims):
            extent = graph.make("extent", None, (leaf,), (axis,), "int64", ())
            known = graph.find(extent)
            if isinstance(known, int) and not graph.equal_lengths(known, new):
                found.add(state.assumptions.key(extent, known))
    return found


def limit_memory(state: State) -> None:
    """Have the plan check that what a call works in is not too much, where there is a way with less. TooMuch where it
    is known to be."""
    limit, graph = config.scan_memory, state.graph
    if not limit or not state.program.remembered or MEMORY in state.given_up:
        return
    for size in state.schedule.arena_bytes:
        over = dims.where(dims.less(limit, size), 1, 0)
        if over == 1:
            raise TooMuch
        if not isinstance(over, int):
            graph.requirements.append(Requirement("assume", over, 0, "", None, MEMORY))


class TooMuch(Exception):
    """A program would take more memory than `config.scan_memory`, and there is one that takes less."""


def within_memory(
    program: Program, given_up: Keys, leaf: Leaf | None, make: Callable[[Program], Callable[[Assumptions], S]]
) -> S:  # fmt: skip
    """The state of a program with a schedule, or of one that keeps less, where the assumption that memory will do was
    given up. make: what makes new states of a program."""
    if MEMORY not in given_up:
        try:
            return settled_schedule(make(program), given_up, leaf)
        except TooMuch:
            given_up |= {MEMORY}
    return settled_schedule(make(program.leaner()), given_up, leaf)


# -- schedule to source -----------------------------------------------------------------------------------------


def make_loops(state: NativeState) -> Made:
    """The loop program of the schedule."""
    state.loops = ProcessorProgram(state.schedule, state.conditions, PROCESSOR)
    state.steps = []
    return transformed(state, "made of the schedule", state.loops.made())


def merge_alike(state: NativeState) -> Made:
    """Functions that differ in numbers only become one."""
    return transformed(state, "alike functions merged", state.loops.merged())


def inline(state: NativeState) -> Made:
    """Expressions that are used once stand where they are used."""
    functions = [inlined(function, fits) for function in state.steps[-1].functions]
    return transformed(state, "expressions inlined", functions)


def transformed(state: NativeState, name: str, functions: list[Function]) -> Made:
    """One more step of the loop program, which makes sense after each."""
    state.steps.append(Transformed(name, functions))
    if config.verify:
        from numgraph.loops import verify

        verify.verify(functions)
    return {"functions": len(functions), "statements": count_statements(functions)}


def print_source(state: NativeState) -> Made:
    """The generated source."""
    state.module = print_module(state.loops, state.steps, title_of(state.program))
    if config.debug >= 2:
        print(state.module.listing, file=sys.stderr)
    return {"phases": len(state.module.phases), "lines": state.module.text.count("\n")}


def read_clocks(state: TimedState) -> Made:
    """The loop program with clock reads."""
    functions, state.clocks = timed(state.loops, state.steps[-1].functions)
    return {"spans": len(state.clocks.spans), **transformed(state, "clock reads added", functions)}


LOOPS: list[Pass[NativeState]] = [
    Pass("make loops", make_loops),
    Pass("merge alike", merge_alike),
    Pass("inline", inline),
    Pass("print", print_source),
]
TIMED_LOOPS: list[Pass[TimedState]] = [*LOOPS[:-1], Pass("read clocks", read_clocks), LOOPS[-1]]

# -- source to machine code ---------------------------------------------------------------------------------------


def compile_products(state: NativeState) -> Made:
    """The matrix products and kernels that the code will call, and the pool of threads: compiled once on a machine, for
    all functions. Their machine code is made in the next pass, while the program is being lowered."""
    if state.schedule.division:
        threads.begin(config.threads)
    for kinds in state.module.products:
        products.begin(kinds)
    for unit in state.module.layout.units:
        begin_unit(*unit)
    return {"kinds": len(state.module.products) + len(state.module.layout.units)}


def compile_module(state: NativeState) -> Made:
    """Machine code, or what the cache has of it."""
    code = state.code = explained(partial(native.build, state.module.text), state.graph)
    if config.debug >= 1:
        how = "loaded from the cache" if code.cached else "compiled"
        said = f"{len(state.module.phases)} phases, {how} in {code.seconds:.2f} s: {code.path}"
        print(f"numgraph: {state.program.title}: {said}", file=sys.stderr)
    return {"cached": int(code.cached)}


def load_module(state: NativeState) -> Made:
    """The code with its table and memory."""
    state.variant = NativeVariant(*variant_parts(state))
    return {"words": len(state.variant.table), "arenas": len(state.variant.arenas)}


def load_timed(state: TimedState) -> Made:
    """The code with its table and memory, and what times it."""
    state.variant = TimedVariant(*variant_parts(state), state.clocks)
    return {"words": len(state.variant.table), "arenas": len(state.variant.arenas)}


def variant_parts(
    state: NativeState,
) -> tuple[Artifact, native.Native, list[SharedVariable], int, Callable[[], Details]]:
    """What a variant is made of."""
    text = state.module.text
    artifact = Artifact.of(state.schedule, state.module, cache.digest(text), native.imported_kernels(text))
    details = partial(detailed, state.schedule, state.module, state.records)
    return artifact, state.code, state.shared, config.threads, details


NATIVE: list[Pass[NativeState]] = [
    Pass("products", compile_products),
    Pass("compile", compile_module),
    Pass("load", load_module),
]
TIMED_NATIVE: list[Pass[TimedState]] = [*NATIVE[:-1], Pass("load", load_timed)]


def detailed(schedule: Schedule, module: Module, records: dict[str, PassRecord]) -> Details:
    """What a variant was made of."""
    return Details(schedule, module, list(records.values()))


def native_state(program: Program, shapes: Shapes) -> Callable[[Assumptions], NativeState]:
    """What makes new states of a program on its way to native code; they share their records. shapes: see `State`."""
    return partial(NativeState, program, {}, CPU, shapes)


def compiled_program(program: Program, shapes: Shapes, given_up: Keys, leaf: Leaf | None) -> Compiled[NativeVariant]:
    """A variant for the processor; see `settled_schedule`."""
    state = within_memory(program, given_up, leaf, partial(native_state, shapes=shapes))
    passed(state, LOOPS + NATIVE)
    return Compiled(state.variant, state.given_up)


def timed_program(program: Program, shapes: Shapes, given_up: Keys, leaf: Leaf | None) -> Compiled[NativeVariant]:
    """As `compiled_program`, of code that says when each phase begins and ends."""
    state = within_memory(program, given_up, leaf, lambda p: partial(TimedState, p, {}, CPU, shapes))
    passed(state, TIMED_LOOPS + TIMED_NATIVE)
    return Compiled(state.variant, state.given_up)


# -- the first passes alone ---------------------------------------------------------------------------------------


def scheduled(program: Program, given_up: Keys = NOTHING, traits: Traits = CPU, leaf: Leaf | None = None) -> State:
    """The state of a program with a schedule; see `settled_schedule`."""
    shapes = shapes_of(program)
    return within_memory(program, given_up, leaf, lambda p: partial(State, p, {}, traits, shapes))


def printed(program: Program, shapes: Shapes | None = None) -> NativeState:
    """The state of a program with generated source for the processor, which is not compiled."""
    make = partial(native_state, shapes=shapes or shapes_of(program))
    return passed(within_memory(program, NOTHING, None, make), LOOPS)


def looked_at(program: Program, shapes: Shapes) -> Details:
    """What a variant that was found in the cache was made of: the passes give it once more."""
    state = printed(program, shapes)
    return detailed(state.schedule, state.module, state.records)


# -- the header of generated source -------------------------------------------------------------------------------


def title_of(program: Program) -> list[str]:
    """What the header of the generated source says about the graph, in lines: a function of the graph alone, so that
    it caches."""
    lines = [f"numgraph function {printable(program.name or '')}".rstrip()]
    names = program.named_givens()
    gradients = program.named_gradients()
    known = {**names, **gradients}
    for variable in program.outputs:
        lines.append(short("    return ", variable, known))
    for target, value in program.updates:
        lines.append(short(f"    update {label(target)} := ", value, known))
    for variable, hint in gradients.items():
        others = {v: name for v, name in known.items() if v is not variable}
        lines.append(short(f"    where {hint} = ", variable, others))
    for key, value in program.givens:
        lines.append(short(f"    given {label(key)} = ", value, {}))
    return lines


def short(start: str, variable: Variable, names: Mapping[Variable, str], limit: int = 94) -> str:
    """A formula on one line behind `start`, cut where it gets longer than a listing of 100 columns has room for."""
    text = start + pprint(variable, names=names)
    return text if len(text) <= limit else text[: limit - 3] + "..."

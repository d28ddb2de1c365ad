"""The pipeline, top to bottom: expression, givens, grad -> rewrite -> schedule -> emit -> compile -> call.

`givens` have been substituted and gradients built when a program arrives here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from numgraph.config import config
from numgraph.cuda.executor import DeviceExecutor, device_for
from numgraph.cuda.variant import DeviceVariant
from numgraph.emit.grid import Geometry
from numgraph.emit.gridmodule import KERNEL_NAMES, GridModule, GridModulePrinter
from numgraph.emit.module import Module, ModulePrinter
from numgraph.graph import label
from numgraph.ir import Graph, Node, Requirement
from numgraph.loops import verify as loops
from numgraph.printing import pprint
from numgraph.rewrite.assume import NOTHING, Assumptions, Key, Keys, Leaf, settled
from numgraph.rewrite.build import Builder
from numgraph.rewrite.conditions import OF_ELEMENTS, undecided
from numgraph.rewrite.engine import Rewriter
from numgraph.rewrite.lower import Leaves, expand, lower
from numgraph.rewrite.rules import SIMPLE
from numgraph.rewrite.update import fuse_updates
from numgraph.runtime import native
from numgraph.runtime.executor import Executor
from numgraph.runtime.users import explained
from numgraph.runtime.variant import Variant
from numgraph.schedule.items import computed_sources
from numgraph.schedule.moved import length_sources
from numgraph.schedule.plan import Schedule, Scheduler
from numgraph.schedule.verify import verify
from numgraph.shared import SharedVariable
from numgraph.stable.engine import stabilised
from numgraph.text import printable
from numgraph.traits import CPU, GRID, Traits
from numgraph.whole import compiled

# More passes than any program needs, in case two rules undo each other.
MAX_PASSES = 10


class Rewritten(NamedTuple):
    """Lowered and rewritten nodes of the outputs and of the updates' values, and what made them."""

    builder: Builder
    leaves: Leaves
    outputs: list[Node]
    values: list[Node]
    passes: list[Rewriter]


def rewritten(program: Any, assumptions: Assumptions | None = None, traits: Traits = CPU) -> Rewritten:
    """The compile graph of a program under assumptions; Contradiction where they do not hold together."""
    graph = Graph(traits)
    builder = Builder(graph, assumptions)
    leaves = Leaves(builder, [a.variable for a in program.inputs])
    values = [value for _, value in program.updates]
    stable = stabilised([*program.outputs, *values], program.variables)
    nodes = lower([*stable, *(s for s, _ in program.updates)], leaves)
    for key, value in program.givens:
        # what stands for x is called x
        if not value.name and value in leaves.nodes:
            graph.call(leaves.nodes[value], key.name)
    # what lengths are read from is rewritten along
    nodes += length_sources(graph, nodes)
    nodes, rewriters = simplified(builder, nodes)
    count = len(program.outputs)
    outputs, new = nodes[:count], nodes[count : count + len(values)]
    new = fuse_updates(builder, outputs, new, [leaves.nodes[target] for target, _ in program.updates])
    return Rewritten(builder, leaves, outputs, new, rewriters)


def simplified(builder: Builder, nodes: list[Node]) -> tuple[list[Node], list[Rewriter]]:
    """`nodes` with all rules applied and compositions expanded, and the passes that it took.

    A pass looks at each node once, and not at what its rules and expansions made inside their results; so another one
    follows as long as there may be something new.
    """
    passes: list[Rewriter] = []
    while not passes or (passes[-1].made and len(passes) < MAX_PASSES):
        passes.append(Rewriter(builder, SIMPLE, expand))
        nodes = passes[-1].run(nodes)
    return nodes, passes


class Scheduled(NamedTuple):
    """The schedule of a program, the shared variables by number, and the assumptions that it is made without."""

    schedule: Schedule
    shared: list[SharedVariable]
    given_up: Keys

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


def scheduled(program: Any, given_up: Keys = NOTHING, traits: Traits = CPU, leaf: Leaf | None = None) -> Scheduled:
    """The schedule of a program that assumes nothing of what was given up, nor what does not hold in the call whose
    arrays `leaf` knows."""
    found, given_up = settled(lambda assumptions: rewritten(program, assumptions, traits), given_up, leaf)
    builder, leaves, outputs, values, rewriters = found

    def moved(node: Node) -> Node:
        for rewriter in rewriters:
            node = rewriter.new.get(node, node)
        return node

    graph = builder.graph
    slots = {variable: k for k, variable in enumerate(leaves.shared)}
    updates = [(slots[target], value) for (target, _), value in zip(program.updates, values, strict=True)]
    scheduler = Scheduler(graph, builder.elements, outputs, updates, leaves.shared_nodes)
    scheduler.ranges, scheduler.requirements, scheduler.moved = builder.ranges, graph.requirements, moved
    schedule = scheduler.run()
    schedule.arguments = leaves.arguments
    schedule.shared = leaves.shared_nodes
    if config.verify:
        verify(schedule)
    resized = given_up | resized_lengths(schedule, builder.assumptions)
    if resized != given_up:
        return scheduled(program, resized, traits, leaf)
    return Scheduled(schedule, leaves.shared, given_up)


def resized_lengths(schedule: Schedule, assumptions: Assumptions) -> set[Key]:
    """Assumptions about lengths of shared variables that the function's own updates would break."""
    graph = schedule.graph
    found = set()
    for update in schedule.updates:
        leaf = schedule.shared[update.slot]
        for axis, new in enumerate(update.node.dims):
            extent = graph.make("extent", None, (leaf,), (axis,), "int64", ())
            known = graph.find(extent)
            if isinstance(known, int) and not graph.equal_lengths(known, new):
                found.add(assumptions.key(extent, known))
    return found


def printed(found: Scheduled, title: Sequence[str]) -> Module:
    """The generated source of a schedule."""
    vector = import_module("numgraph.kernels.names").VECTOR
    module = ModulePrinter(found.schedule, found.conditions, vector, title).run()
    if config.verify:
        loops.verify(module.functions)
    return module


def compile_variant(program: Any, given_up: Keys = NOTHING, leaf: Leaf | None = None) -> tuple[Variant, Keys]:
    """Compiled code of a program, and the assumptions that it is made without; see `scheduled`."""
    found = scheduled(program, given_up, leaf=leaf)
    module = printed(found, title_of(program))
    if config.debug >= 2:
        print(module.listing, file=sys.stderr)
    code = explained(partial(native.build, module.text), found.schedule.graph)
    if config.debug >= 1:
        how = "loaded from the cache" if code.cached else "compiled"
        said = f"numgraph: {program.title}: {len(module.phases)} phases, {how} in {code.seconds:.2f} s: {code.path}"
        print(said, file=sys.stderr)
    return Variant(found.schedule, module, code, found.shared, config.threads), found.given_up


def title_of(program: Any) -> list[str]:
    """What the header of the generated source says about the graph, in lines: a function of the graph alone, so that
    it caches."""
    lines = [f"numgraph function {printable(program.name or '')}".rstrip()]
    names = program.named_givens()
    for variable in program.outputs:
        lines.append(short("    return ", variable, names))
    for target, value in program.updates:
        lines.append(short(f"    update {label(target)} := ", value, names))
    for key, value in program.givens:
        lines.append(short(f"    given {label(key)} = ", value, {}))
    return lines


def short(start: str, variable: Any, names: Mapping[Any, str], limit: int = 94) -> str:
    """A formula on one line behind `start`, cut where it gets longer than a listing of 100 columns has room for."""
    text = start + pprint(variable, names=names)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def compile_program(program: Any) -> Executor:
    """The CPU executor of a normalised program."""
    return Executor(program, lambda given_up, leaf: compile_variant(program, given_up, leaf))


def printed_for_grid(
    program: Any, given_up: Keys, geometry: Geometry, leaf: Leaf | None = None
) -> tuple[Scheduled, GridModule]:
    """The schedule of a program, and its generated source for a device with grids of these sizes."""
    found = scheduled(program, given_up, GRID, leaf)
    functions = import_module("numgraph.kernels.names").GRID
    printer = GridModulePrinter(found.schedule, found.conditions, functions, title_of(program), geometry)
    module = printer.print()
    if config.verify:
        loops.verify(module.functions, KERNEL_NAMES)
    return found, module


def compile_for_device(program: Any, target: str) -> DeviceExecutor:
    """The executor of a normalised program on the device that `target` stands for: "cuda" or "cuda-sim"."""
    device, geometry = device_for(target)
    geometry = replace(geometry, tf32=config.cuda_tf32)

    def variant(given_up: Keys, leaf: Leaf | None) -> tuple[DeviceVariant, Keys]:
        found, module = printed_for_grid(program, given_up, geometry, leaf)
        if config.debug >= 2:
            print(module.listing, file=sys.stderr)
        make = partial(DeviceVariant, found.schedule, module, found.shared, device, geometry)
        return compiled(make), found.given_up

    return DeviceExecutor(program, variant)

"""The pipeline, top to bottom: expression, givens, grad -> rewrite -> schedule -> emit -> compile -> call.

`givens` have been substituted and gradients built when a program arrives here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from numgraph.config import config
from numgraph.cuda.executor import DeviceExecutor, device_for
from numgraph.cuda.variant import DeviceVariant
from numgraph.emit.grid import Geometry
from numgraph.emit.gridmodule import GridModule, GridModulePrinter
from numgraph.emit.module import Module, ModulePrinter
from numgraph.graph import label
from numgraph.ir import Graph, Node
from numgraph.printing import pprint
from numgraph.rewrite.build import Builder, length_text
from numgraph.rewrite.conditions import undecided
from numgraph.rewrite.engine import Rewriter
from numgraph.rewrite.lower import Leaves, expand, lower
from numgraph.rewrite.rules import SIMPLE
from numgraph.rewrite.update import fuse_updates
from numgraph.runtime import native
from numgraph.runtime.executor import Executor
from numgraph.runtime.variant import Variant
from numgraph.schedule.moved import length_sources
from numgraph.schedule.plan import Schedule, Scheduler
from numgraph.stable.engine import stabilised
from numgraph.traits import CPU, GRID, Traits

# More passes than any program needs, in case two rules undo each other.
MAX_PASSES = 10


def rewritten(
    program: Any, denied: frozenset[Any], traits: Traits = CPU
) -> tuple[Builder, Leaves, list[Node], list[Node], list[Rewriter]]:
    """Lowered and rewritten nodes of the outputs and of the updates' values."""
    graph = Graph(traits)
    graph.denied = denied
    builder = Builder(graph)
    leaves = Leaves(builder, [a.variable for a in program.inputs])
    values = [value for _, value in program.updates]
    stable = stabilised([*program.outputs, *values], program.variables)
    nodes = lower([*stable, *(s for s, _ in program.updates)], leaves)
    for key, value in program.givens:
        # what stands for x is called x
        if key.name and not value.name and value in leaves.nodes:
            graph.names.setdefault(leaves.nodes[value], key.name)
    # what lengths are read from is rewritten along
    nodes += length_sources(graph, nodes)
    nodes, rewriters = simplified(builder, nodes)
    count = len(program.outputs)
    outputs, new = nodes[:count], nodes[count : count + len(values)]
    new = fuse_updates(builder, outputs, new, [leaves.nodes[target] for target, _ in program.updates])
    return builder, leaves, outputs, new, rewriters


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


def scheduled(program: Any, denied: frozenset[Any], traits: Traits = CPU) -> tuple[Schedule, Builder, Leaves]:
    """The schedule of a program."""
    builder, leaves, outputs, values, rewriters = rewritten(program, denied, traits)

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
    resized = denied | resized_lengths(schedule)
    return (schedule, builder, leaves) if resized == denied else scheduled(program, resized, traits)


def resized_lengths(schedule: Schedule) -> set[Any]:
    """Assumptions about lengths of shared variables that the function's own updates would break."""
    graph = schedule.graph
    found = set()
    for update in schedule.updates:
        leaf = schedule.shared[update.slot]
        for axis, new in enumerate(update.node.dims):
            extent = graph.make("extent", None, (leaf,), (axis,), "int64", ())
            known = graph.find(extent)
            if isinstance(known, int) and not graph.equal_lengths(known, new):
                found.add((length_text(extent), str(known)))
    return found


def printed(schedule: Schedule, builder: Builder, title: str) -> Module:
    """The generated source of a schedule."""
    vector = import_module("numgraph.kernels.names").VECTOR
    return ModulePrinter(schedule, undecided(builder.graph), vector, title).run()


def compile_variant(program: Any, denied: frozenset[Any]) -> Variant:
    """Compiled code of a program that assumes nothing of what `denied` lists."""
    schedule, builder, leaves = scheduled(program, denied)
    module = printed(schedule, builder, title_of(program))
    if config.debug >= 2:
        print(module.listing, file=sys.stderr)
    code = native.build(module.text)
    if config.debug >= 1:
        how = "loaded from the cache" if code.cached else "compiled"
        said = f"numgraph: {program.title}: {len(module.phases)} phases, {how} in {code.seconds:.2f} s: {code.path}"
        print(said, file=sys.stderr)
    return Variant(schedule, module, code, leaves.shared, config.threads)


def title_of(program: Any) -> str:
    """What the header of the generated source says about the graph: a function of the graph alone, so that it
    caches."""
    lines = [f"numgraph function {program.name or ''}".rstrip()]
    names = program.named_givens()
    for variable in program.outputs:
        lines.append(short("    return ", variable, names))
    for target, value in program.updates:
        lines.append(short(f"    update {label(target)} := ", value, names))
    for key, value in program.givens:
        lines.append(short(f"    given {label(key)} = ", value, {}))
    return "\n".join(lines)


def short(start: str, variable: Any, names: Mapping[Any, str], limit: int = 94) -> str:
    """A formula on one line behind `start`, cut where it gets longer than a listing of 100 columns has room for."""
    text = start + pprint(variable, names=names).replace("\\", "/").replace('"', "'")
    return text if len(text) <= limit else text[: limit - 3] + "..."


def compile_program(program: Any) -> Executor:
    """The CPU executor of a normalised program."""
    return Executor(program, lambda denied: compile_variant(program, denied))


def printed_for_grid(program: Any, denied: frozenset[Any], geometry: Geometry) -> tuple[Schedule, GridModule, Leaves]:
    """The generated source of a program for a device with grids of these sizes."""
    schedule, builder, leaves = scheduled(program, denied, GRID)
    functions = import_module("numgraph.kernels.names").GRID
    conditions = undecided(builder.graph)
    module = GridModulePrinter(schedule, conditions, functions, title_of(program), geometry).print()
    return schedule, module, leaves


def compile_for_device(program: Any, target: str) -> DeviceExecutor:
    """The executor of a normalised program on the device that `target` stands for: "cuda" or "cuda-sim"."""
    device, geometry = device_for(target)
    geometry = replace(geometry, tf32=config.cuda_tf32)

    def variant(denied: frozenset[Any]) -> DeviceVariant:
        schedule, module, leaves = printed_for_grid(program, denied, geometry)
        if config.debug >= 2:
            print(module.listing, file=sys.stderr)
        return DeviceVariant(schedule, module, leaves.shared, device, geometry)

    return DeviceExecutor(program, variant)

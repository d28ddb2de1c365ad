"""Which scans a kernel of a grid goes through by itself, step by step, and where all its threads wait for one another.

Launches cost a few microseconds each, and a step of a recurrent network is several small ones. One kernel that loops
over the steps has a barrier in the place of each. `RULES` says which scans are left to launches, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from numgraph.ir import Graph, Node, Requirement
from numgraph.lengths.known import full_length
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.grid import Mapping, must_follow
from numgraph.schedule.gridproduct import MOST, Choice, maker_of
from numgraph.schedule.tasks import Product, ScanTask, Task, multiplications

# What a length is taken for that is not known before a call: that of a minibatch.
ASSUMED = 64
# Elements of a nest, multiply-adds of a product, and terms that a block of threads adds up, in a step: beyond, work
# takes longer than its launch, and kernels of its own, with more threads, do it faster. Estimates, to be set on a card.
ELEMENTS, MULTIPLICATIONS, TERMS = 1 << 18, 1 << 25, 1 << 16
# Statements of a step: the compiler takes long for a function that has more.
LINES = 400
# Results of a block's sums lie side by side, up to so many.
WIDTH = 32
# Of a product in a step: rows of a tile, at most, and where their number is not known; columns.
ROWS, SOME_ROWS, COLUMNS = 8, 4, 8


@dataclass(frozen=True)
class Facts:
    """What the rules look at."""

    graph: Graph
    task: ScanTask
    division: dict[LoopNest, Mapping]
    requirements: Sequence[Requirement]

    @property
    def tasks(self) -> list[Task]:
        """Those of a step."""
        return self.task.body


def _is_one_step(facts: Facts) -> bool:
    steps = facts.graph.find(facts.task.steps)
    most: int = steps.highest if isinstance(steps, Node) else steps
    return most <= 1


def _has_scan(facts: Facts) -> bool:
    return any(isinstance(task, ScanTask) for task in facts.tasks)


def _calls_kernel(facts: Facts) -> bool:
    return any(facts.division[nest].shape == "kernel" for nest in facts.task.nests)


def _changes_length(facts: Facts) -> bool:
    lengths = [n for task in facts.tasks for n in (*task.loops, *map(facts.graph.find, task.node.dims))]
    lengths += [n for task in facts.tasks for view in task.views for n in view.lengths]
    return any(isinstance(n, Node) and n.within for n in lengths)


def _has_conditions(facts: Facts) -> bool:
    number: int = facts.task.scan.number
    within: list[frozenset[int]] = [v.within for r in facts.requirements for v in (r.a, r.b) if isinstance(v, Node)]
    return number in frozenset[int]().union(*within)


def _multiplies_much(facts: Facts) -> bool:
    return any(_many(multiplications(task)) > MULTIPLICATIONS for task in facts.tasks if isinstance(task, Product))


def _has_many_elements(facts: Facts) -> bool:
    return any(_many(task.loops) > ELEMENTS for task in facts.tasks)


def _adds_up_much(facts: Facts) -> bool:
    sums = [nest.tasks[0] for nest in facts.task.nests if facts.division[nest].shape == "sums"]
    return any(_many(t.loops[k] for k in t.reduced) * WIDTH > TERMS for t in sums)


def _is_long(facts: Facts) -> bool:
    lines: int = sum(nest.lines for nest in facts.task.nests)
    return lines > LINES


# What holds of a scan that is left to launches, and what is said then.
RULES: tuple[tuple[Callable[[Facts], bool], str], ...] = (
    (_is_one_step, "it makes one step at most"),
    (_has_scan, "a step has a loop in it"),
    (_calls_kernel, "a step calls a kernel"),
    (_changes_length, "a length changes from step to step"),
    (_has_conditions, "a step has conditions on lengths"),
    (_multiplies_much, "a product of a step is large"),
    (_has_many_elements, "a step has many elements"),
    (_adds_up_much, "a sum of a step is large"),
    (_is_long, "a step has many operations"),
)


def why_launched(facts: Facts) -> str:
    """Why the steps of a scan are launched one by one; "" where one kernel goes through all of them."""
    return next((why for holds, why in RULES if holds(facts)), "")


def _many(lengths: Iterable[Any]) -> int:
    """How many there are of what has these lengths, about."""
    return prod(ASSUMED if (n := full_length(length)) is None else n for length in lengths)


def few_enough(graph: Graph, task: ScanTask, most: int) -> bool:
    """Whether a step is so little that one block of threads does it sooner than several that wait for one another."""
    work = [full_length(n) for t in task.body for n in (*t.loops, *map(graph.find, t.node.dims))]
    each = (_many(multiplications(t) or t.loops or t.node.dims) for t in task.body)
    return None not in work and sum(each) <= most


def phases(task: ScanTask, division: dict[LoopNest, Mapping], buffers: dict[Node, Any]) -> list[list[LoopNest]]:
    """The nests of a step in order, those together that may run at the same time. All threads wait between two
    phases."""
    found: list[list[LoopNest]] = []
    for nest in task.nests:
        # memory that threads have for themselves is the same for all nests
        own = bool(division[nest].private)
        if found and not any(
            must_follow(nest, other, buffers) or (own and division[other].private) for other in found[-1]
        ):
            found[-1].append(nest)
        else:
            found.append([nest])
    return found


def product_of_step(graph: Graph, task: Task, geometry: Any) -> Choice | None:
    """What computes a product of two matrices in a step; None for a stack, of which a thread makes an element."""
    if not maker_of(graph, task):
        return None
    m, n = (graph.find(length) for length in task.node.dims)
    k = graph.find(task.views[0].lengths[-1])
    steps = [graph.find(s) for view in task.views for s in view.strides]
    threads, warps = geometry.threads, geometry.threads // geometry.warp
    along = steps[2] == 1 and steps[3] != 1
    most = full_length(m)
    rows = SOME_ROWS if most is None else max(1, min(ROWS, most))
    width = warps if along else min(COLUMNS, threads // 2)
    tiles = ((m + (rows - 1)) // rows) * ((n + (width - 1)) // width)
    return Choice(
        "shared_product", f"{rows}, {width}, {threads}, {along}", (m, n, k, *steps, n), ((tiles, 1, MOST),), threads,
        f"tiles of {rows} x {width}", rows, width, "together",
    )  # fmt: skip


__all__ = ["Facts", "few_enough", "phases", "product_of_step", "why_launched"]

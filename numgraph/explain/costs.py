"""What the phases of a function take, in cycles of one core: a model of the code that LLVM makes of them.

A cycle is the time of two multiply-adds of vectors. The model is meant to tell what a call spends its time on, and to
be right within a factor of two; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache as remember
from math import log2
from typing import Any

import numpy as np

from numgraph.ir import Node
from numgraph.lengths.known import times
from numgraph.loops.neighbours import Run, run_from
from numgraph.loops.scalar import functions_of
from numgraph.op import Op
from numgraph.ops.bounds import BEFORE
from numgraph.ops.compare import WHERE
from numgraph.runtime.native import kernel_module
from numgraph.runtime.products import IN_PARTS
from numgraph.scalars import SCALAR_FUNCTIONS, VECTOR
from numgraph.schedule.arrange import LoopNest, Tiled
from numgraph.schedule.chunks import KERNEL
from numgraph.schedule.plan import Schedule
from numgraph.schedule.tasks import IndexCheck, KernelCall, Product, Reduction, Scattering, Task, multiplications
from numgraph.schedule.work import Length, Operation, kernel_flops, operations
from numgraph.types import FLOATS

# Cycles of an operation for each unit of its `cost`, of a read, and of a write; of a read of elements that are no
# neighbours; of a function of the C library for each unit.
UNIT, LOAD, STORE, GATHER = 0.6, 0.5, 1.0, 1.6
LIBRARY = {"float32": 0.65, "float64": 1.1}
# Cycles between two steps of an accumulation whose order is fixed; of a scattered element; of entering a loop.
CHAIN, SCATTER, LOOP = 2.0, 4.0, 5.0
# Rounds of a loop that LLVM makes copies of, such as those of a window; bytes of vectors that have masks.
COPIES, WITH_MASKS = 4, 64
# Of an element of a named kernel, by file; of the others what the schedule takes them for. Sorting: for each doubling.
KERNELS = {"scans": 3.0, "radix": 60.0}
SORTING = 26.0
# Of kernels that work on matrices, by file: for each element and each row of its matrix.
ROWS = {"spectral": 3.0, "expm": 2.0}
# Of kernels whose operations are counted, by file: for each two vectors of multiply-adds, for each element of the
# result, and for each row of it, which small matrices take.
COUNTED = {"lapack": (1.7, 3.4, 12.0), "convolutions": (1.4, 1.0, 0.0)}
# Of tiles of a product: cycles of beginning one, and of packing an element.
TILE_START, PACK = 24.0, 0.5
# Of a dot product: adding up its lanes.
DOT_END = 4.0


class LoopCosts:
    """Cycles of loops. number: what lengths are. vector: bytes of a vector of this machine."""

    def __init__(self, schedule: Schedule, number: Length, vector: int) -> None:
        self.schedule = schedule
        self.number = number
        self.vector = vector
        self.paths = schedule.paths
        # the loops whose rounds LLVM does several at a time, and how many
        self.lanes: dict[LoopNest, int] = {}
        # loops that run as one, by the innermost of them; those around these; and what loops become copies of a body
        self.runs: dict[LoopNest, Run] = {}
        self.joined: set[LoopNest] = set()
        self.copied: dict[LoopNest, LoopNest] = {}

    def cycles(self, tasks: Sequence[Task]) -> float | None:
        """Of a phase on one thread; None where a length is unknown."""
        done = operations(self.schedule, tasks)
        for path in dict.fromkeys(tuple(self.paths[task]) for task in tasks):
            self._find_runs(path)
        self.lanes = self._find_lanes(tasks, done)
        parts = [self._operation(operation) for operation in done]
        parts += [self._finish(task) for task in tasks]
        entered = {nest: (task, depth) for task in tasks for depth, nest in enumerate(self.paths[task])}
        begun = (pair for nest, pair in entered.items() if nest not in self.joined and nest not in self.copied)
        parts += [_times(times(task.loops[:depth], self.number), LOOP) for task, depth in begun]
        return None if None in parts else sum(p for p in parts if p is not None)

    def _find_runs(self, path: Sequence[LoopNest]) -> None:
        """Which of the loops around a task run as one, and which are so short that their rounds are copies."""
        level = 0
        while level < len(path):
            run = None if isinstance(path[0], Tiled) else run_from(self.schedule, path[level], level, None)
            around = path[level:] if run is None else path[run.innermost :]
            if run is not None:
                self.runs[run.nest] = run
                self.joined.update(path[level : run.innermost])
            short = [nest for nest in around[1:] if (self.number(nest.length) or COPIES + 1) <= COPIES]
            if len(short) == len(around) - 1:
                self.copied.update(dict.fromkeys(short, around[0]))
            level += 1 if run is None else len(run.lengths)

    def _find_lanes(self, tasks: Sequence[Task], done: Sequence[Operation]) -> dict[LoopNest, int]:
        """For each loop how many rounds one instruction does: as many as numbers of its widest dtype fit a vector; 1
        where something in it goes one by one."""
        found: dict[LoopNest, int] = {}
        for task in tasks:
            for depth, nest in enumerate(self.paths[task]):
                inner = all(body.length is None or body in self.copied for body in nest.body)
                apart = inner and not _is_chain(task, depth) and task.writes
                found[nest] = min(found.get(nest, self.vector), self._fit(task.node.dtype) if apart else 1)
        for operation in done:
            op, inside = operation.node.op, operation.nest
            if inside is not None and op is not None:
                fit = self._fit(operation.node.dtype) if operation.node.dtype in FLOATS else self.vector
                found[inside] = min(found[inside], 1 if calls_library(op, _dtype_in(operation.node)) else fit)
        return found

    def _fit(self, dtype: str) -> int:
        return max(self.vector // max(np.dtype(dtype).itemsize, 4), 1)

    def _rate(self, nest: LoopNest | None) -> float:
        """Rounds of a loop that one instruction does; the last rounds of a short one are done one by one, or together
        where vectors have masks."""
        nest = nest if nest is None else self.copied.get(nest, nest)
        lanes = 1 if nest is None else self.lanes.get(nest, 1)
        length = None if nest is None else self.number(self.runs[nest].inside(0) if nest in self.runs else nest.length)
        if not length:
            return float(lanes)
        rest = length % lanes
        return length / (length // lanes + (min(rest, 1) if self.vector >= WITH_MASKS else rest))

    def _operation(self, operation: Operation) -> float | None:
        node, rounds = operation.node, times(operation.task.loops[: operation.depth], self.number)
        if node.kind == "load":
            place = self.schedule.buffers.get(node.inputs[0])
            if place is not None and place.place == "register":
                return 0.0
            if not adjacent(node, operation.depth - 1):
                return _times(rounds, GATHER)
            return _times(rounds, LOAD / self._rate(operation.nest))
        op = node.op
        if op is None or (node.dtype == "int64" and node.depth > 0 and op.cost == 1) or _is_cut(node):
            # the address of an element, or where a loop is cut
            return 0.0
        if calls_library(op, _dtype_in(node)):
            return _times(rounds, op.cost * LIBRARY[_dtype_in(node)])
        return _times(rounds, op.cost * UNIT / self._rate(operation.nest))

    def _finish(self, task: Task) -> float | None:
        """What a task does with the value of each round."""
        if isinstance(task, Product | KernelCall):
            return 0.0
        path = self.paths[task]
        nest = path[-1] if path else None
        rounds = times(task.loops, self.number)
        if isinstance(task, IndexCheck):
            return _times(rounds, 2 * UNIT)
        if isinstance(task, Scattering | Reduction):
            inner = len(task.loops) - 1
            if _is_chain(task, inner):
                return _times(rounds, SCATTER if isinstance(task, Scattering) else CHAIN)
            # where the innermost loop goes along the result, that is read and written
            each = UNIT if inner in task.reduced else UNIT + STORE / 2
            return _times(rounds, each / self._rate(nest))
        place = self.schedule.buffers.get(task.node)
        if place is not None and place.place == "register":
            return 0.0
        return _times(rounds, STORE / self._rate(nest))


def _times(rounds: int | None, cost: float) -> float | None:
    return None if rounds is None else rounds * cost


def _is_cut(node: Node) -> bool:
    """Whether an operation only says in which piece of a loop it is (`loops.pieces`), or chooses by that."""
    return node.op is BEFORE or (node.op is WHERE and node.inputs[0].op is BEFORE)


def _is_chain(task: Task, depth: int) -> bool:
    """Whether rounds of the loop at `depth` are steps of an accumulation of floats in a fixed order."""
    if isinstance(task, Scattering):
        # elements follow each other where the loop goes along the result
        return not any(index.depth == depth + 1 and not index.reads for index in task.target)
    form = task.form if isinstance(task, Reduction) else None
    if form is None or depth not in task.reduced:
        return False
    return form.position or (task.node.dtype in FLOATS and not form.reassociate)


def adjacent(load: Node, level: int) -> bool:
    """Whether rounds of the loop at `level` read neighbours, or the same element."""
    *outer, last = load.inputs[1:] or (None,)
    moved = [v for v in outer if v is not None and v.depth == level + 1]
    return not moved and (last is None or last.kind == "loop" or last.depth <= level or not last.reads)


def _dtype_in(node: Node) -> str:
    """The dtype in which an operation computes, about."""
    return node.inputs[-1].dtype if node.inputs else node.dtype


@remember
def calls_library(op: Op, dtype: str) -> bool:
    """Whether the scalar form of an op calls a function of the C library, one element at a time."""
    return dtype in FLOATS and any(
        not SCALAR_FUNCTIONS[name].inline and (name, dtype) not in VECTOR for name in functions_of(op)
    )


def kernel_cycles(task: Task, number: Length) -> float | None:
    """Of a named kernel: so many for each element of what it reads or makes, whichever is more."""
    counts = [times(lengths, number) for lengths in (task.node.dims, *(view.lengths for view in task.views))]
    if None in counts or task.node.op is None or task.node.op.kernel is None:
        return None
    most = max(n for n in counts if n is not None)
    module = task.node.op.kernel.function.partition(".")[0]
    if module in COUNTED:
        return _counted_cycles(task, module, number)
    if module in ROWS:
        # of the first operand, the last axis but one
        return most * (KERNEL + ROWS[module] * (number(task.views[0].lengths[-2]) or 1))
    if module == "sorting":
        return most * SORTING * log2(max(number(task.node.dims[-1]) or 1, 2))
    return most * KERNELS.get(module, KERNEL)


def _counted_cycles(task: Task, module: str, number: Length) -> float | None:
    """Of a kernel whose operations are counted, on one thread."""
    done = times((2, *multiplications(task)), number) if multiplications(task) else kernel_flops(task, number)
    elements = times(task.node.dims, number)
    if done is None or elements is None:
        return None
    lanes = int(kernel_module("tiles").VECTOR) // np.dtype(task.node.dtype).itemsize
    each, element, row = COUNTED[module]
    rows = elements // max(number(task.node.dims[-1]) or 1, 1)
    return done / (4 * lanes) * each + elements * element + rows * row


class ProductCosts:
    """Cycles of a matrix product, and the path that it takes through the kernels (kernels/calls.py, kernels/tiles.py),
    which are asked for it."""

    def __init__(self, task: Task, number: Length) -> None:
        self.tiles: Any = kernel_module("tiles")
        self.calls: Any = kernel_module("calls")
        self.in_parts: bool = self.tiles.VECTOR == IN_PARTS
        self.task = task
        self.size = np.dtype(task.node.dtype).itemsize
        a, b = task.views
        lengths = [number(n) for n in (*task.node.dims[-2:], a.lengths[-1])]
        self.m, self.n, self.k = (n or 0 for n in lengths)
        self.stack = number(task.node.dims[0]) if len(task.node.dims) == 3 else 1
        self.known = None not in lengths and self.stack is not None
        strides = (*a.strides[-2:], *b.strides[-2:])
        self.a_row, self.a_col, self.b_row, self.b_col = (self.size * (number(s) or 0) for s in strides)
        if self.m == 1 and self.b_row == self.size != self.b_col and self.stack == 1:
            # a row becomes a column
            self.m, self.n = self.n, 1
            self.a_row, self.a_col, self.b_row, self.b_col = self.b_col, self.b_row, self.a_col, self.a_row

    def part(self, chunks: int) -> tuple[int, int]:
        """Rows and columns of the largest chunk."""
        if chunks == 1 or len(self.task.node.dims) == 3:
            return self.m, self.n
        if self.calls.divides_columns(self.n, chunks):
            return self.m, min(-(-self.n // chunks) + 15, self.n)
        return min(-(-self.m // chunks) + 5, self.m), self.n

    def cycles(self, chunks: int = 1) -> float | None:
        """Of the largest chunk; None where a length is unknown."""
        if not self.known:
            return None
        (m, n), size = self.part(chunks), self.size
        way = self.way(m, n)
        if way == self.tiles.DOTS:
            packed = 0 if self.b_row == size else n * self.k
            found = m * n * (self.k * size / self.tiles.VECTOR / 2 + DOT_END)
        elif way == self.tiles.TURNED:
            packed = 0 if self.a_row == size else m * self.k
            found = self._run(n, m * size) + m * n * 2
        else:
            packed = 0 if self.b_col == size and way == self.tiles.STRAIGHT else n * self.k
            found = self._run(m, n * size) + (m * n * 2 if way == self.tiles.COPIED else 0)
        count = -(-(self.stack or 0) // chunks) if len(self.task.node.dims) == 3 else 1
        return float(count * (found + packed * PACK))

    def way(self, m: int, n: int) -> int:
        """One of `tiles.STRAIGHT`, `COPIED`, `TURNED` and `DOTS`, for m x n of the whole."""
        if self.tiles.dot_blocks.py_func(self.size, self.m, self.n, self.k, self.a_col, self.b_row):
            return int(self.tiles.DOTS)
        return int(self.tiles.way.py_func(self.size, self.in_parts, m, n, self.k, self.a_row, self.b_col))

    def _run(self, rows: int, width: int) -> float:
        """Rows times `width` bytes of columns: the tiles, each limited by multiply-adds, their latency, or reads."""
        tiles = self.tiles
        vectors = tiles.WIDE if rows == 1 and width >= tiles.WIDE * tiles.VECTOR else 2 if width > tiles.VECTOR else 1
        down = -(-rows // tiles.ROWS) or 1
        across = -(-width // (vectors * tiles.VECTOR))
        tall = rows / down
        step: float = max(tall * vectors / 2, 4.0, (tall + vectors) / 2)
        nests: int = -(-self.k // tiles._k_block.py_func(self.k))
        return float(down * across) * (self.k * step + nests * (TILE_START + 2 * tall * vectors))

    def details(self, chunks: int) -> list[str]:
        """The path in words."""
        tiles, found = self.tiles, []
        if chunks > 1:
            if len(self.task.node.dims) == 3:
                found.append("the stack is divided")
            elif self.calls.divides_columns(self.n, chunks):
                found.append("columns divided: b is read once")
            else:
                found.append("rows divided: too few columns to give each thread four tiles")
        way = self.way(*self.part(chunks)) if self.known else tiles.STRAIGHT
        if way == tiles.DOTS:
            found.append("dot products: vectors along the summed axis, which is contiguous")
        elif way == tiles.STRAIGHT and self.known and self.in_parts and self.n * self.size <= tiles.VECTOR:
            found.append("parts of vectors: rows of the result are no longer than one")
        else:
            found.append(f"tiles {tiles.ROWS}x{tiles.TILE // self.size}")
        if self.known:
            if way == tiles.TURNED:
                found.append("vectors along the columns of the result, in a copy")
            elif way == tiles.COPIED:
                found.append("in a copy: its rows are shorter than a vector")
        return found

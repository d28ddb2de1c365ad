"""Calls in kernels of a grid: matrix products and named kernels, by functions, by one thread, or by the host."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from numgraph.errors import FunctionError, OptionError
from numgraph.lengths import dims
from numgraph.loops.grid.kernel import BLOCK, THREAD, THREADS, Region
from numgraph.loops.grid.nests import Work
from numgraph.loops.program import Call, Do, Expression, If, Load, Logic, Name, Number, Statement
from numgraph.loops.scalar import number
from numgraph.loops.values import Values, refusal
from numgraph.schedule.buffers import memory_of
from numgraph.schedule.gridproduct import Choice, blocks_of, choose_product, choose_tiles, cublas_sizes
from numgraph.schedule.tasks import Task

# Named kernels that a device has kernels of its own for, see `cuda.library`.
LIBRARY = frozenset({"sorting.argsort", "scans.cumsum", "scans.cumprod"})
# What `cuda.library` calls a product by cuBLAS.
CUBLAS = "cublas.gemm"


def product(work: Work) -> None:
    """A product: by cuBLAS, by a function of `kernels/cuda/products.py`, or, of a stack of matrices, by one thread per
    element."""
    task, values, kernel = work.nest.tasks[0], work.values, work.kernel
    if by_cublas(work, task):
        return
    choice = choose_product(values.graph, task, work.geometry)
    if choice is None:
        stack(work, task)
        return
    in_blocks(work, task, choice, factors_of(values, task))
    if choice.columns:
        row = Name("cuda.blockIdx.z") * Name("cuda.gridDim.y") + Name("cuda.blockIdx.y")
        kernel.region = Region(row * choice.rows, choice.rows, BLOCK * choice.columns, choice.columns)
    else:
        kernel.region = Region(BLOCK * choice.rows, choice.rows, Number(0))


def factors_of(values: Values, task: Task) -> list[Expression]:
    """Alpha and beta of a product."""
    return [values.value(v) for v in task.factors] or [number(k, task.node.dtype) for k in (1, 0)]


def in_blocks(work: Work, task: Task, choice: Choice, factors: Sequence[Expression] = ()) -> None:
    """A call of a function of `kernels/cuda` by all blocks."""
    values, kernel = work.values, work.kernel
    name = kernel.make(choice.maker, f'{choice.maker}("{task.node.dtype}", {choice.options})')
    kernel.imports.add(f"cuda.{choice.module}.{choice.maker}")
    pointers = pointers_of(work, task)
    lengths = [values.length(n) for n in choice.numbers]
    note = values.notes.array(task.node)
    call: Statement = Do(Call(name, (*pointers, *lengths, *factors)), **values.origin(task.node, note))
    # a kernel reads something even where there is nothing to compute
    unsure = [n for n in map(values.graph.find, task.node.dims) if not isinstance(n, int) or n == 0]
    if unsure:
        there = tuple(values.whole(n).compared(">", 0) for n in unsure)
        call = If(there[0] if len(there) == 1 else Logic("and", there), (call,))
    values.add(call)
    kernel.grid = [(values.layout.number(n), per_block, most) for n, per_block, most in choice.grid]
    kernel.threads, kernel.resident = choice.threads, choice.resident
    work.blocks = partial(blocks_of, choice)


def by_cublas(work: Work, task: Task) -> bool:
    """Leave a product to cuBLAS, if that is to have it."""
    place = memory_of(work.values.schedule.buffers, task.node)
    sizes = cublas_sizes(work.values.graph, task, work.geometry.large)
    if sizes is None or (work.checks.words and place is not None and place.place == "shared"):
        # an index that was refused must leave shared variables alone, and cuBLAS looks at no status
        return False
    by_library(work, CUBLAS, task, sizes)
    work.kernel.factors = tuple(float(v.value) for v in task.factors) or (1.0, 0.0)
    return True


def by_library(work: Work, name: str, task: Task, sizes: Sequence[Any]) -> None:
    """Launches that the host works out."""
    kernel, memory, number_of = work.kernel, work.memory, work.values.layout.number
    kernel.library = name
    kernel.operands = [(memory.base(task.node)[0].text, 0)]
    kernel.operands += [(memory.base(v.buffer)[0].text, number_of(v.offset)) for v in task.views]
    kernel.sizes = list(map(number_of, sizes))


def pointers_of(work: Work, task: Task) -> list[Expression]:
    """Pointers to where the result of a task begins, and each operand."""
    places = [(task.node, 0), *((v.buffer, v.offset) for v in task.views)]
    return [advanced(work, *work.memory.whole_of(*place)) for place in places]


def advanced(work: Work, pointer: Name, start: Expression | None) -> Expression:
    """A pointer to the element where an operand starts."""
    if start is None:
        return pointer
    work.kernel.imports.add("cuda.pointers.advance")
    return Call("advance", (pointer, start), pointer.dtype)


def stack(work: Work, task: Task) -> None:
    """A product by one thread per element."""
    values, memory, node, (left, right) = work.values, work.memory, task.node, task.views
    lengths = [values.graph.find(n) for n in node.dims]
    index = [values.graph.loop(level) for level in range(len(lengths))]
    inner = values.graph.loop(len(lengths))
    e, k = work.name("e"), work.name("k")
    with work.loop(e, THREAD, values.whole(dims.product(lengths)), THREADS):
        work.unflatten(e, lengths, range(len(lengths)))
        values.counters[len(lengths)] = k
        acc = values.assign(values.names.fresh("acc"), number(0, node.dtype))
        with work.loop(k, values.whole(left.lengths[-1])):
            factors: list[Load] = []
            for view, place in ((left, [*index[:-1], inner]), (right, [*index[:-2], inner, index[-1]])):
                factors.append(memory.element(view.buffer, [values.graph.as_index(view.flat(place))], True))
            values.assign(acc, acc + factors[0] * factors[1], node.name, node)
        element = memory.element(node, index)
        result: Expression = acc
        if task.factors:
            alpha, beta = (values.value(v) for v in task.factors)
            result = beta * element + alpha * acc
        values.add(work.builder.store(element, result, task, values.notes.name_of(node)))
    work.launch(dims.product(lengths), work.geometry.threads)


def kernel(work: Work) -> None:
    """A named kernel: in tiles, by launches that the host works out, or by one thread."""
    task, values = work.nest.tasks[0], work.values
    node = task.node
    assert node.op is not None and node.op.kernel is not None
    if node.op.user is not None:
        lines = ", ".join(map(str, values.graph.lines.get(node, ())))
        raise FunctionError(
            f"{node.op.user.where} is a function of arrays (ng.call), which runs on the processor only\n"
            f'  called at {lines}\n  fix: target="cpu", or ng.elementwise with a function of numbers'
        )
    if node.op.kernel.tiles is not None:
        choice = choose_tiles(values.graph, task, work.geometry)
        in_blocks(work, task, choice)
        if node.op.kernel.tiles.result:
            work.kernel.region = Region(Number(0), choice.rows, Number(0), choice.columns, task)
        return
    name: str = node.op.kernel.on_thread or node.op.kernel.function
    if (node.op.kernel.routines or node.op.kernel.own) and not node.op.kernel.on_thread:
        raise OptionError(refusal(node, values.graph.lines.get(node, ())))
    if name in LIBRARY:
        # they are told an axis; what else the processor's kernel is told does not matter to a device's
        by_library(work, name, task, task.sizes[:3])
        return
    pointers = pointers_of(work, task)
    sizes = [values.whole(n) for n in task.sizes]
    # a plain function, as the processor's is
    function = name.rpartition(".")[2]
    call = Call(work.kernel.make(function, function), (*pointers, *sizes))
    with work.one_thread():
        values.add(Do(call, **values.origin(node, values.notes.array(node))))
    work.kernel.imports.add(name)

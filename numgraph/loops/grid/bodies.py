"""Whole functions of kernels: what stands around what their phases do."""

from __future__ import annotations

from numgraph.loops.grid.kernel import BLOCK, BLOCK_Y, BLOCKS, BLOCKS_Y, LANE, LANES, THREAD, THREADS, Kernel
from numgraph.loops.grid.strides import stepped
from numgraph.loops.program import Assign, Expression, Function, If, Logic, Name, Return, Statement, walk


def refused(kernel: Kernel, first: int, end: int) -> list[Statement]:
    """Nothing more is done after an index check has failed, one of words `first` to `end` of the status."""
    if first == end:
        return []
    status = kernel.parameter("status", "status", "p", "int64*", ("status",))
    failed = tuple(status[word].compared("!=", 0) for word in range(first, end))
    condition = failed[0] if len(failed) == 1 else Logic("or", failed)
    return [If(condition, (Return(note="an index was refused before"),))]


def function_of(kernel: Kernel, checked: int, note: str) -> Function:
    """The whole function. checked: words of the status that kernels before this one may have set."""
    body = [*refused(kernel, 0, checked), *stepped(kernel.statements)]
    used = {node.text for node in walk(body) if isinstance(node, Name)}
    # which thread this is, where that is asked for
    places: list[tuple[set[str], Name, Expression]] = [
        ({"lane", "thread"}, LANE, Name("cuda.threadIdx.x")),
        ({"block", "thread"}, BLOCK, Name("cuda.blockIdx.x")),
        ({"blocks", "threads"}, BLOCKS, Name("cuda.gridDim.x")),
        ({"block_y"}, BLOCK_Y, Name("cuda.blockIdx.y")),
        ({"blocks_y"}, BLOCKS_Y, Name("cuda.gridDim.y")),
        ({"thread"}, THREAD, BLOCK * LANES + LANE),
        ({"threads"}, THREADS, BLOCKS * LANES),
    ]
    start = [Assign(name, value) for asked, name, value in places if used & asked]
    arguments = tuple(Name(p.name, p.dtype) for p in kernel.parameters.values())
    return Function(kernel.name, arguments, (*start, *body), note=note)

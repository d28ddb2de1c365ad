"""What the source says to LLVM of an innermost loop, so that it becomes a loop over vectors (`kernels/loops.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.ir import Node, topological
from numgraph.loops.program import Binary, Call, Do, Expression, Load, Name, Number, Statement, Store, walk
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.neighbours import ELEMENTARY, LONG
from numgraph.schedule.tasks import Elementwise
from numgraph.types import FLOATS

# A loop over operations of at least the cost ELEMENTARY has so many vectors of rounds side by side, by what its
# operations cost at most in all: long bodies would take LLVM long. A loop shorter than LONG has none.
SIDE_BY_SIDE = {80: 4, 240: 2}
# In a body of more, functions are called if this part of its cost is operations of which each waits for the one before.
CHAINED = 0.16
# LLVM makes copies of the body for up to so many rounds, if it is short.
UNROLLED = 64
# Of up to FEW rounds LLVM makes vectors as they are. LANES: of float32 in the longest vectors.
FEW, LANES = 7, 16


def vector_hints(nest: LoopNest, length: Any, counter: Name, statements: Sequence[Statement]) -> list[Statement]:
    """The hints for a loop of this length, of these statements."""
    if not isinstance(length, int) or length > UNROLLED or (length >= LONG and is_elementary(nest)):
        return _of_many_rounds(nest)
    places = [part.index for part in walk(statements) if isinstance(part, Load | Store)]
    return _of_few_rounds(nest, length) if all(_stride(place, counter) in (0, 1) for place in places) else []


def _of_few_rounds(nest: LoopNest, length: int) -> list[Statement]:
    """LLVM would make a copy of the body for each, and then find no vectors in these.

    Measured for 4 to 63 rounds of tanh, sums, extremes, softmax and multiplications with AVX-512 and AVX2: 0.15 to 1.2
    of the time. Sums over fewer rounds than LANES would take longer, as would with AVX2 what is stored, and what is
    read or written in strides.
    """
    many = length >= LANES
    stores = any(isinstance(task, Elementwise) for task in nest.tasks)
    mostly = length % LANES > LANES // 2
    if length > FEW and stores and (not many or (mostly and is_elementary(nest))):
        return [Do(Call("with_masks", (Number(length),)), note="last vector in part")]
    return [Do(Call("not_unrolled", ()), note="but in vectors")] if many else []


def _stride(index: Expression, counter: Name) -> int | None:
    """By how much an index grows with a counter; None where that is no number."""
    if not isinstance(index, Binary):
        return int(index == counter) if isinstance(index, Name | Number) else None
    left, right = _stride(index.left, counter), _stride(index.right, counter)
    if left is None or right is None or index.sign not in ("+", "-", "*"):
        return None
    if index.sign == "*":
        factors = [part.value for part in (index.left, index.right) if isinstance(part, Number)]
        return (left or right) * factors[0] if factors else None if left or right else 0
    return left + right if index.sign == "+" else left - right


def _of_many_rounds(nest: LoopNest) -> list[Statement]:
    """How many vectors are computed side by side, where LLVM would compute them singly."""
    if not is_elementary(nest):
        return []
    total = sum(_costs(nest))
    count = next((n for most, n in SIDE_BY_SIDE.items() if total <= most), 0)
    hint = "interleave"
    if not count and is_chain(nest):
        hint, count = "call_functions", 2
    return [Do(Call(hint, (Number(count),)), note="vectors side by side")] if count else []


def _costs(nest: LoopNest) -> list[int]:
    """Of operations on floats."""
    return [v.op.cost for v in nest.scalars if v.op is not None and v.dtype in FLOATS]


def is_elementary(nest: LoopNest) -> bool:
    """Whether a loop has elementary functions."""
    return max(_costs(nest), default=0) >= ELEMENTARY


def is_chain(nest: LoopNest) -> bool:
    """Whether a long body computes floats of one type, of which many wait for the one before, and stores them."""
    stored = {task.node: task.value for task in nest.tasks if isinstance(task, Elementwise)}
    floats, others = 0.0, 0.0
    longest: dict[Node | None, float] = {}

    def before(node: Node) -> list[Node]:
        return [v for v in (stored.get(u) or u for u in node.inputs) if v in nest.scalars]

    for node in topological(nest.scalars, inputs=before):
        cost = node.op.cost if node.op is not None else 0
        if all(v.dtype in FLOATS for v in (node, *node.inputs)):
            floats += cost
        else:
            others += cost
        longest[node] = cost + max((longest[v] for v in before(node)), default=0)
    alike = len(stored) == len(nest.tasks) and sum(any(v.dtype == t for v in nest.scalars) for t in FLOATS) == 1
    return alike and max(longest.values()) > CHAINED * floats > 10 * CHAINED * others

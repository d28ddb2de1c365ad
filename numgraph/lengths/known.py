"""What is known of lengths, and of other integers of the plan, whatever a call brings.

A number is looked at as a sum of multiples of numbers that are no sums themselves. What is left of a difference says
whether one number is at least another one, and whether pieces of memory are apart. No nodes are made, and lengths that
are assumed or required to be equal count as equal, since that is checked by itself. Sums of lengths do not wrap around,
see `rewrite.sizes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from math import prod
from typing import Any

from numgraph.ir import Graph, Node, Requirement, found, topological
from numgraph.lengths.rules import HIGH, LOW

# For each number that is no sum, its factor; with the key None what is left when all of them are 0.
Terms = dict[Node | None, int]

# Kinds of conditions that need not hold of an array that nothing computes.
OF_ELEMENTS = ("fits", "at_least")

# A size for each that is not known, to put pieces in order.
SAMPLE = 1 << 20


def total(*parts: tuple[Any, int]) -> Terms:
    """The sum of numbers, each with its factor.

    What was made last is taken apart first. So each node is met once, with all that is to be added to it, and the
    difference of two long sums that begin alike is short work.
    """
    terms: Terms = {None: 0}
    factors: dict[Node, int] = {}
    waiting: list[tuple[int, Node]] = []
    while True:
        for number, factor in parts:
            node = found(number)
            if not isinstance(node, Node):
                terms[None] += factor * node
                continue
            if node not in factors:
                heappush(waiting, (-node.serial, node))
            factors[node] = factors.get(node, 0) + factor
        if not waiting:
            return terms
        _, node = heappop(waiting)
        factor = factors.pop(node)
        parts = tuple((v, k * factor) for v, k in _parts(node)) if factor else ()
        if factor and not parts:
            terms[node] = factor


def _parts(node: Node) -> tuple[tuple[Any, int], ...]:
    """(number, factor) of a sum or a multiple; none where the node is neither."""
    if node.name in ("add", "sub"):
        return (node.inputs[0], 1), (node.inputs[1], 1 if node.name == "add" else -1)
    return ((node.inputs[0], node.inputs[1].value),) if node.name == "mul" and node.inputs[1].is_number else ()


def difference(a: Any, b: Any) -> int | None:
    """a - b, where that is the same number whatever they are made of."""
    terms = total((a, 1), (b, -1))
    return terms[None] if len(terms) == 1 else None


def least(*parts: tuple[Any, int]) -> int | None:
    """A number that a sum, see `total`, is known to be at least; None where none is known."""
    result = 0
    for node, factor in total(*parts).items():
        if node is None:
            result += factor
        elif factor < 0 or node.lowest == LOW:
            return None
        else:
            result += factor * node.lowest
    return result


def at_least(a: Any, b: Any) -> bool:
    """Whether a >= b, for sums that do not wrap around: also where a is the larger of two numbers, of which one is."""
    return any(_is_least(v, b) for v in (a, *_larger_of(a)))


def certainly(a: Any, b: Any) -> bool:
    """Whether a >= b even if they are made of any numbers, as lengths are that users write."""
    return may_not_wrap(b) and any(may_not_wrap(v) and _is_least(v, b) for v in (a, *_larger_of(a)))


def may_not_wrap(number: Any) -> bool:
    """Whether a number is no sum or multiple that could have wrapped around."""
    return not isinstance(number, Node) or not _parts(number) or (number.lowest, number.highest) != (LOW, HIGH)


def _larger_of(number: Any) -> Sequence[Node]:
    return number.inputs if isinstance(number, Node) and number.name == "maximum" else ()


def _is_least(a: Any, b: Any) -> bool:
    bound = least((a, 1), (b, -1))
    return bound is not None and bound >= 0


# -- conditions ---------------------------------------------------------------------------------------------------


def holds(kind: str, a: Any, b: Any) -> bool:
    """Whether a condition (see `ir.Requirement`) is known to hold."""
    a, b = found(a), found(b)
    if kind == "range":
        return isinstance(a, int) and certainly(b, a + 1 if a >= 0 else -a)
    if kind in ("nonempty", "at_least"):
        return certainly(a, 1 if kind == "nonempty" else b)
    if kind == "fits":
        return certainly(b, a)
    return bool(a == b) or (kind == "broadcast" and 1 in (a, b))


def undecided(graph: Graph) -> list[Requirement]:
    """The conditions that code must check: each once, none that is known to hold."""
    conditions: dict[Any, Requirement] = {}
    for r in graph.requirements:
        if r.kind in ("equal", "assume") or not holds(r.kind, r.a, r.b):
            conditions.setdefault((r.kind, r.a, r.b), r)
    return list(conditions.values())


def within_of(requirement: Requirement) -> frozenset[int]:
    """The scans in whose steps a condition is another one."""
    numbers = [n.within for n in (requirement.a, requirement.b) if isinstance(n, Node)]
    return frozenset().union(*numbers)


# -- parts of an axis ---------------------------------------------------------------------------------------------


def full_length(length: Any) -> int | None:
    """The number that a length is, or that a window `s[i*B:(i+1)*B]` is long unless the end of its array cuts it
    short."""
    length = found(length)
    if isinstance(length, int):
        return length
    if length.name == "maximum" and length.inputs[1].is_number and length.inputs[1].value == 0:
        return full_length(length.inputs[0])
    known = difference(*map(_as_written, length.inputs)) if length.name == "sub" else None
    return known if known is not None and known >= 0 else None


def times(lengths: Iterable[Any], number: Callable[[Any], int | None] = full_length) -> int | None:
    """The product of what lengths count as, None where one is not known."""
    known = [number(n) for n in lengths]
    return None if None in known else prod(n for n in known if n is not None)


def _as_written(bound: Node) -> Node:
    """A bound of a slice before the end of its array cuts it short."""
    if bound.name == "minimum" and bound.inputs[1].is_number:
        return bound.inputs[1]
    return bound.inputs[0] if bound.name == "slice_bound" else bound


def ceiling(length: Any) -> Any:
    """What a length is at most: the axis that it is a part of, where it is a window."""
    length = found(length)
    while isinstance(length, Node) and (larger := _larger(length)) is not None:
        length = found(larger)
    return length


def _larger(length: Node) -> Node | None:
    """A length that is not smaller; a negative one counts as 0 or 1."""
    if length.name == "slice_bound":
        return length.inputs[1]
    if length.name == "minimum":
        return next((v for v in length.inputs if v.is_number), length.inputs[0])
    if length.name not in ("maximum", "sub", "floor_div"):
        return None
    first, second = length.inputs
    if length.name == "maximum":
        return first if second.is_number and second.value <= 1 else None
    divided = length.name == "floor_div"
    if divided and second.is_number and first.name == "add" and first.inputs[1].is_number:
        # rounded up
        return first.inputs[0] if first.inputs[1].value < second.value else None
    return first if at_least(second, int(divided)) else None


# -- pieces of memory: none of the sizes that their places and sizes are made of is negative --------------------------


def in_order(*numbers: Any) -> bool:
    """Whether the first of two numbers, and others that are added to it, are not larger than the last one: also where
    that is the larger of two numbers, and they are not larger than one of those."""
    *parts, end = numbers
    if all(factor >= 0 for factor in total((end, 1), *((n, -1) for n in parts)).values()):
        return True
    end = found(end)
    return isinstance(end, Node) and end.name == "maximum" and any(in_order(*parts, v) for v in end.inputs)


def apart(a: tuple[Any, Any], b: tuple[Any, Any]) -> bool:
    """Whether two pieces, offset and size each, do not overlap."""
    return in_order(*a, b[0]) or in_order(*b, a[0])


def all_apart(pieces: Sequence[tuple[Any, Any]]) -> bool:
    """Whether each of different pieces ends before the next one begins, in some order."""
    at: dict[Node, int] = {}
    offsets = [offset for offset, _ in pieces if isinstance(offset, Node)]
    for node in topological(offsets, inputs=lambda node: [v for v, _ in _parts(node)]):
        parts = _parts(node)
        at[node] = sum(at[v] * k for v, k in parts) if parts else node.value if node.is_number else SAMPLE
    ordered = sorted(pieces, key=lambda piece: at.get(piece[0], piece[0]))
    return all(in_order(*a, b[0]) for a, b in pairwise(ordered))


# -- indices ------------------------------------------------------------------------------------------------------


def linear(node: Node, marks: Sequence[Node]) -> list[Any] | None:
    """An index as constant + sum(coefficient * mark): the coefficients, behind them the constant; None where it is not
    linear in the marks."""
    rows: dict[Node, list[Any] | None] = {}
    for v in topological([node]):
        rows[v] = _row(v, marks, [rows[w] for w in v.inputs])
    return rows[node]


def _row(node: Node, marks: Sequence[Node], inputs: Sequence[list[Any] | None]) -> list[Any] | None:
    if node in marks:
        return [*(int(m is node) for m in marks), 0]
    if all(row is not None and _is_constant(row) for row in inputs):
        return [0] * len(marks) + [node.value if node.is_number else node]
    if node.name not in ("add", "sub", "mul") or inputs[0] is None or inputs[1] is None:
        return None
    a, b = inputs[0], inputs[1]
    if node.name != "mul":
        return [x + y if node.name == "add" else x - y for x, y in zip(a, b, strict=True)]
    if not _is_constant(b):
        a, b = b, a
    return [k * b[-1] for k in a] if _is_constant(b) else None


def _is_constant(row: list[Any]) -> bool:
    return all(isinstance(k, int) and k == 0 for k in row[:-1])


# -- what a number is ---------------------------------------------------------------------------------------------


def factors(*numbers: Any) -> tuple[int, Counter[Node]]:
    """The factors of a product: of those that are numbers the product, and the others, each as often as it is there."""
    known, others = 1, Counter[Node]()
    waiting = list(numbers)
    while waiting:
        number = found(waiting.pop())
        if not isinstance(number, Node):
            known *= number
        elif number.is_number:
            known *= number.value
        elif number.name == "mul":
            waiting += number.inputs
        else:
            others[number] += 1
    return known, others if known else Counter()


def divided(nodes: Iterable[Node], counter: Node) -> dict[int, tuple[list[Node], list[Node]]]:
    """What is made of a counter by dividing it: by divisor, the quotients, and what remains of it."""
    parts: dict[int, tuple[list[Node], list[Node]]] = {}
    for node in nodes:
        if node.name in ("floor_div", "mod") and node.inputs[0] is counter and node.inputs[1].is_number:
            parts.setdefault(node.inputs[1].value, ([], []))[node.name == "mod"].append(node)
    return parts


def natural_factors(node: Node) -> tuple[Node, ...]:
    """The factors of a product, none of which is negative; none of anything else."""
    return node.inputs if node.name == "mul" and all(at_least(v, 0) for v in node.inputs) else ()


def counts_from_the_end(node: Node) -> bool:
    """Whether a number is an index that may be negative, as `dims.wrap` makes it."""
    if node.name != "where" or node.inputs[0].name != "lt":
        return False
    index, zero = node.inputs[0].inputs
    return index is node.inputs[2] and zero.is_number and zero.value == 0

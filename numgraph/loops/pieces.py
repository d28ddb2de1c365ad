"""Loops cut into pieces, in each of which an index map reads one operand in order.

An index map chooses where it reads: `where(before(i, cut), i + a, i + b)`, or between elements of several arrays. In a
piece of the loop over i that ends or begins at the cut the condition is known, and what remains is the address of a
plain loop, which LLVM makes vectors of. The pieces follow each other as the rounds of the whole loop do, so nothing is
read or written in another order, and no order of cuts that are known only at the call is assumed: a piece that turns
out to end before it begins has no rounds.

A loop is cut where that pays:

* an innermost loop at every cut, since a choice in it costs each element, and its vectors;
* a loop around others only where elements are chosen: an index that is chosen costs each of its rounds once, but of
  elements all are read;
* into MOST_PIECES at most, loops inside each other together, and so few that all pieces have LINES lines, about. What
  is left over stays a choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from numgraph.ir import Graph, Node, topological
from numgraph.lengths import dims
from numgraph.lengths.known import SAMPLE, at_least, linear
from numgraph.lengths.rules import RULES
from numgraph.lengths.values import Values
from numgraph.ops.bounds import BEFORE
from numgraph.ops.compare import WHERE
from numgraph.schedule.arrange import LoopNest
from numgraph.schedule.cuts import choosing, conditions, varying

MOST_PIECES, LINES = 9, 120
# A cut is near the end of a loop if so small a part of a very long one is behind it.
SMALL_PART = 1 << 10


class Settled:
    """Scalars as they are where conditions are known, or for what others stand. outer: what is known already.

    origin: whose element a scalar is (see `Elements`), which goes over to what stands for it.
    """

    def __init__(
        self, graph: Graph, known: Mapping[Node, int | Node], outer: Settled | None, origin: dict[Node, Node]
    ) -> None:
        self.graph, self.outer, self.origin = graph, outer, origin
        self.found: dict[Node, Node] = {
            v: value if isinstance(value, Node) else graph.number(value, v.dtype) for v, value in known.items()
        }

    def __call__(self, root: Node) -> Node:
        """What stands for a scalar."""
        root = self.outer(root) if self.outer is not None else root
        for node in topological([root], self.found, varying):
            self.found[node] = self._rebuilt(node)
        return self.found[root]

    def _rebuilt(self, node: Node) -> Node:
        inputs = [self.found.get(v, v) for v in node.inputs]
        if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            return node
        new = self._made(node, inputs)
        if node in self.origin and new.kind in ("op", "load"):
            self.origin.setdefault(new, self.origin[node])
        return new

    def _made(self, node: Node, inputs: Sequence[Node]) -> Node:
        graph = self.graph
        if node.op is WHERE and inputs[0].is_number:
            return graph.cast(inputs[1 if inputs[0].value else 2], node.dtype)
        whole = node.dtype == "int64" and all(v.dtype in ("int64", "bool") for v in inputs)
        if node.op is not None and whole and node.op.name in RULES:
            return graph.as_index(graph.integer(node.op.name, *inputs))
        if node.op is not None and not node.attrs:
            return graph.scalar_op(node.op, *inputs, dtype=node.dtype)
        return graph.make(node.kind, node.op, inputs, node.attrs, node.dtype, node.dims)


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a loop: from `begin` on to before `end`. settled: what is known in it, None where that is nothing."""

    begin: Any
    end: Any
    settled: Settled | None

    @property
    def empty(self) -> bool:
        """Whether it is known to have no rounds."""
        return at_least(self.begin, self.end)


class Cutter:
    """Cuts the loops of one function. room: into how many pieces a loop may be cut."""

    def __init__(self, graph: Graph, origin: dict[Node, Node]) -> None:
        self.graph = graph
        self.origin = origin
        self.room = MOST_PIECES

    def pieces(self, nest: LoopNest, level: int, settled: Settled | None) -> list[Piece]:
        """The pieces of a loop at a level, in order. settled: what is known around it."""
        length = self.graph.find(nest.length)
        whole = Piece(0, length, settled)
        if not any(v.op is BEFORE for v in nest.scalars):
            return [whole]
        head, middle, tail = self._trimmed(nest, level, whole)
        done: list[Piece] = []
        waiting = [middle]
        lines = {middle: self._lines(nest, middle)}
        while waiting:
            piece = waiting.pop()
            for parts in self._parted(nest, level, piece):
                new = {part: self._lines(nest, part) for part in parts}
                more = sum(new.values()) - lines[piece]
                few = len(done) + len(waiting) + 2 <= self.room and sum(lines.values()) + more <= LINES
                if few or len(parts) == 1:
                    del lines[piece]
                    lines |= new
                    waiting += reversed(parts)
                    break
            else:
                done.append(piece)
        return [*head, *done, *tail]

    def _trimmed(self, nest: LoopNest, level: int, whole: Piece) -> tuple[list[Piece], Piece, list[Piece]]:
        """A loop of which it is not known in which order several cuts near its ends are, since it may be short: its
        first and last rounds, in which all stays a choice, and what is between them, where the conditions are known."""
        near: dict[bool, list[Any]] = {True: [], False: []}
        known: dict[Node, bool] = {}
        for cut, below in self._cuts(nest, level, whole.settled).items():
            at_begin = _is_near_begin(cut, whole.end)
            if at_begin is not None:
                near[at_begin].append(cut)
                known |= {condition: value != at_begin for condition, value in below.items()}
        cuts = [*near[True], *near[False]]
        if all(at_least(a, b) or at_least(b, a) for k, a in enumerate(cuts) for b in cuts[:k]):
            return [], whole, []
        begin, end = reduce(_larger, near[True], 0), reduce(_smaller, near[False], whole.end)
        middle = Piece(begin, end, Settled(self.graph, known, whole.settled, self.origin))
        head = Piece(0, _smaller(whole.end, begin), whole.settled)
        tail = Piece(_larger(begin, end), whole.end, whole.settled)
        return [head], middle, [tail]

    def _lines(self, nest: LoopNest, piece: Piece) -> int:
        """About how many lines a piece has."""
        nodes = topological(self._roots(nest, piece.settled), inputs=varying)
        return sum(v.kind in ("op", "load") for v in nodes)

    def _roots(self, nest: LoopNest, settled: Settled | None) -> list[Node]:
        """What the tasks of a loop compute."""
        roots = [v for task in nest.tasks for v in (task.value, *task.target) if v is not None]
        return [settled(v) for v in roots] if settled is not None else roots

    def _parted(self, nest: LoopNest, level: int, piece: Piece) -> Iterator[list[Piece]]:
        """What a piece may be cut into: two parts, or itself with more that is known."""
        for cut, below in self._cuts(nest, level, piece.settled).items():
            parts = [
                Piece(piece.begin, _smaller(piece.end, cut), self._knowing(below, True, piece)),
                Piece(_larger(piece.begin, cut), piece.end, self._knowing(below, False, piece)),
            ]
            yield [part for part in parts if not part.empty] or parts[:1]

    def _knowing(self, below: dict[Node, bool], is_below: bool, piece: Piece) -> Settled:
        known = {condition: value == is_below for condition, value in below.items()}
        return Settled(self.graph, known, piece.settled, self.origin)

    def _cuts(self, nest: LoopNest, level: int, settled: Settled | None) -> dict[Any, dict[Node, bool]]:
        """Where conditions change, and whether each of them holds below it."""
        roots = self._roots(nest, settled)
        innermost = all(part.length is None for part in nest.body)
        counter = self.graph.loop(level)
        found: dict[Any, dict[Node, bool]] = {}
        for condition in conditions(roots) if innermost else choosing(roots):
            place = _place(condition, counter) if condition.depth == level + 1 else None
            if place is not None:
                found.setdefault(place[0], {})[condition] = place[1]
        return found


def _place(condition: Node, counter: Node) -> tuple[Any, bool] | None:
    """(the first round in which a condition is another one than before, whether it holds until then); None where there
    may be several such rounds."""
    index, bound = condition.inputs
    row = linear(index, [counter]) if not bound.depth else None
    if row is None or not isinstance(row[0], int) or row[0] == 0 or _varies(row[1]):
        return None
    step, first = row
    if step > 0:
        return _whole(bound - first + (step - 1)) // step if step > 1 else _whole(bound - first), True
    # first - k * i < bound, from the first i on that is above (first - bound) / k
    return _whole(first - bound) // -step + 1, False


def _is_near_begin(cut: Any, length: Any) -> bool | None:
    """Whether a cut would be near the begin of a very long loop, or near its end; None where it is neither."""
    place, end = _sample(cut), _sample(length)
    if place is None or end is None:
        return None
    return True if place * SMALL_PART < end else False if (end - place) * SMALL_PART < end else None


class _Long:
    """An array all whose axes are very long."""

    def __init__(self, leaf: Node) -> None:
        self.shape = (SAMPLE,) * len(leaf.dims)


def _sample(number: Any) -> int | None:
    """What a number would be if all arrays were very long; None where it depends on more than lengths."""
    found = Values(lambda leaf: _Long(leaf) if leaf.dims else None)(number)
    return None if found is None else int(found)


def _whole(number: Any) -> Any:
    return number.value if isinstance(number, Node) and number.is_number else number


def _varies(number: Any) -> bool:
    return isinstance(number, Node) and number.depth > 0


def _smaller(end: Any, cut: Any) -> Any:
    return cut if at_least(end, cut) else end if at_least(cut, end) else dims.minimum(end, cut)


def _larger(begin: Any, cut: Any) -> Any:
    return cut if at_least(cut, begin) else begin if at_least(begin, cut) else dims.maximum(begin, cut)

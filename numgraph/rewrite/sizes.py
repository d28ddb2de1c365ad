"""Conditions that an array is not too large: its elements are counted, and its bytes, without wrapping around.

An array that is there already has been counted; so one with its lengths needs no condition. A product of other lengths,
or a length that is computed, may be anything: that of 2**32 and 2**32 wraps to 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from numgraph.ir import Graph, Node
from numgraph.lengths.dims import MOST_BYTES, WIDEST, maximum
from numgraph.lengths.known import ceiling, natural_factors

# The lengths of an array that are not known, each as often as it occurs, and the bytes for what is known of it.
Count = tuple[Counter[Node], int]


class Sizes:
    """The conditions of one graph, each once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.seen: set[tuple[Any, ...]] = set()
        # arrays that have passed
        self.counted: list[Count] = []

    def conditions(self, lengths: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """Pairs of a length and the most that it may be, in the order in which they have to be checked."""
        # elements count as the widest: then an array of others needs no condition of its own
        key = (WIDEST, *map(self.graph.find, lengths))
        if key in self.seen:
            return
        self.seen.add(key)
        unknown, known = self._count(key)
        if self._is_counted(unknown, known) or self._is_counted(*self._count(map(ceiling, key))):
            return
        self.counted.append((unknown, known))
        left: Any = MOST_BYTES // known
        if not unknown:
            yield min(known, 2 * MOST_BYTES), MOST_BYTES
        for n in unknown.elements():
            yield n, left
            left = left // maximum(n, 1)

    def _count(self, lengths: Any) -> Count:
        """What is to be multiplied; a length of 0 counts as 1, since others may remain when its axis is gone."""
        unknown: Counter[Node] = Counter()
        size = 1
        waiting = list(lengths)
        while waiting:
            n = self.graph.find(waiting.pop())
            if not isinstance(n, Node):
                size *= max(n, 1)
            elif factors := natural_factors(n):
                waiting += factors
            else:
                unknown[n] += 1
        return unknown, size

    def _is_counted(self, unknown: Counter[Node], known: int) -> bool:
        """Whether an array with at least these lengths is there, or has passed."""
        if not unknown:
            return known <= MOST_BYTES
        if any(known <= most and unknown <= others for others, most in self.counted):
            return True
        for leaf in {n.inputs[0] for n in unknown if n.kind == "extent"}:
            others, most = self._count((np.dtype(leaf.dtype).itemsize, *leaf.dims))
            # an array that lacks one of them may be large where this one is empty
            if unknown == others and known <= most * WIDEST:
                return True
        return False

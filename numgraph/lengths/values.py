"""The numbers that lengths, and other integers of the plan, are in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numgraph.ir import LEAVES, Node, found, topological
from numgraph.lengths.known import full_length
from numgraph.op import reference

_NUMBERS = (int, float, np.generic, np.ndarray)


class Values:
    """`values(n)`: the number that a length is, None where only a call tells.

    leaf: the array of an input, shared variable or constant, an object with its `shape` where it lies on a device, None
    where there is none yet. taken: lengths that the program is compiled for as equal count as equal, and a window
    `s[i*B:(i+1)*B]` whose place is not known with its full length B.
    """

    def __init__(self, leaf: Callable[[Node], Any | None], taken: bool = False) -> None:
        self.leaf = leaf
        self.taken = taken
        self.known: dict[Node, Any | None] = {}

    def __call__(self, length: Any) -> Any | None:
        """The number, or None."""
        length = found(length) if self.taken else length
        if not isinstance(length, Node):
            return length
        for node in topological([length], self.known):
            value = self._value(node)
            if value is None and self.taken and not node.dims and not node.depth and node.dtype == "int64":
                same = found(node)
                value = full_length(node) if same is node else self(same)
            self.known[node] = value
        return self.known[length]

    def _value(self, node: Node) -> Any | None:
        """The number that a scalar node is, or a leaf's array; what it depends on is known already."""
        if node.kind in ("step", "state"):
            return None
        if node.kind in LEAVES:
            array = self.leaf(node)
            return array.item() if isinstance(array, np.ndarray) and node.kind == "scalar" else array
        if node.dims:
            return None
        if node.kind == "number":
            return node.value
        values: list[Any] = [self.known[v] for v in node.inputs]
        if any(v is None for v in values):
            return None
        if node.kind == "extent":
            return values[0].shape[node.attrs[0]]
        if node.kind == "load":
            return self._element(values[0], values[1:], bool(node.attrs))
        # a number on a device is not looked at
        if node.op is None or not node.op.scalar or not all(isinstance(x, _NUMBERS) for x in values):
            return None
        typed = [np.dtype(v.dtype).type(x) for v, x in zip(node.inputs, values, strict=True)]
        return reference(node.op, typed, node.attributes, node.dtype).item()

    def _element(self, array: Any, index: list[int], flat: bool) -> Any | None:
        if not isinstance(array, np.ndarray):
            return None
        elements = array.reshape(-1) if flat else array
        inside = all(-n <= i < n for i, n in zip(index, elements.shape, strict=True))
        return elements[tuple(index)].item() if inside else None

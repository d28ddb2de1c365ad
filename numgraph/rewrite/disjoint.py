"""Sums of arrays that are zeros but for a part each, and no two parts overlap: the parts one behind the other.

The gradient of a slice is such an array. The gates of a recurrent layer, four slices of one product, have four: zeros
are written, added to and added up for what are parts side by side, which nothing has to be written for.
"""

from __future__ import annotations

from typing import NamedTuple

from numgraph.ir import Node
from numgraph.lengths import dims
from numgraph.ops.batching import FULL
from numgraph.ops.indexmaps import CONCATENATED
from numgraph.ops.join import MOST_JOINED
from numgraph.ops.subtensor import SUBTENSOR_UPDATE
from numgraph.patterns import Bindings
from numgraph.rewrite.build import Builder
from numgraph.rewrite.engine import fill_value


class Part(NamedTuple):
    """What is no zeros along an axis: elements `begin` to `end`."""

    begin: int
    end: int
    value: Node


def side_by_side(builder: Builder, node: Node, bound: Bindings) -> Node | None:
    """A sum of two such arrays as `concatenated`."""
    first, second = (_parts(builder, bound[name]) for name in "ab")
    if first is None or second is None or first[0] != second[0]:
        return None
    axis, length = first[0], builder.graph.find(node.dims[first[0]])
    parts = sorted((*first[1], *second[1]), key=lambda part: part.begin)
    pieces, at = [], 0
    for begin, end, value in parts:
        if begin < at:
            return None
        pieces += [*_gap(builder, node, axis, begin - at), value]
        at = end
    pieces += _gap(builder, node, axis, length - at)
    if len(pieces) > MOST_JOINED or any(p.dtype != node.dtype for p in pieces):
        return None
    return builder.op(CONCATENATED, pieces, {"axis": axis})


def _gap(builder: Builder, node: Node, axis: int, length: int) -> list[Node]:
    """Zeros along the axis; nothing for none."""
    lengths = [length if k == axis else n for k, n in enumerate(node.dims)]
    return [builder.spread(builder.graph.number(0, node.dtype), lengths)] if length else []


def _parts(builder: Builder, node: Node) -> tuple[int, list[Part]] | None:
    """The axis along which a node is zeros but for some parts, and these; None where it is not known to be so."""
    if node.op is SUBTENSOR_UPDATE:
        return _updated(builder, node)
    return _joined(builder, node) if node.op is CONCATENATED else None


def _updated(builder: Builder, node: Node) -> tuple[int, list[Part]] | None:
    """Zeros with a slice of one axis replaced."""
    base, value, *bounds = node.inputs
    key = node.attributes["key"]
    axes = [axis for axis, entry in enumerate(key) if entry != FULL]
    if fill_value(base) != 0 or len(axes) != 1 or not all(b.is_number for b in bounds):
        return None
    (axis,), numbers = axes, iter([int(b.value) for b in bounds])
    form, *rest = key[axis]
    length = builder.graph.find(node.dims[axis])
    if form != "slice" or rest[-1] != 1 or not isinstance(length, int):
        return None
    start, stop = (next(numbers) if given else None for given in rest[:-1])
    begin, count = dims.slice_bounds(length, start, stop, 1)
    assert isinstance(begin, int) and isinstance(count, int)
    lengths = [count if k == axis else n for k, n in enumerate(node.dims)]
    same = len(value.dims) == len(lengths) and all(map(builder.graph.equal_lengths, value.dims, lengths))
    return (axis, [Part(begin, begin + count, value)]) if same and count else None


def _joined(builder: Builder, node: Node) -> tuple[int, list[Part]] | None:
    """Arrays one behind the other, some of which are zeros."""
    axis, parts, begin = node.attributes["axis"], list[Part](), 0
    for value in node.inputs:
        length = builder.graph.find(value.dims[axis])
        if not isinstance(length, int):
            return None
        if fill_value(value) != 0:
            parts.append(Part(begin, begin + length, value))
        begin += length
    return axis, parts

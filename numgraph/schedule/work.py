"""Estimates of a phase's work, and the schedule as text.

A window `s[i*B:(i+1)*B]` counts with its full length B; a length with no known bound makes the estimate unknown (None).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from numgraph.ir import Graph, Node
from numgraph.schedule.arrange import Block
from numgraph.schedule.bounds import full_length
from numgraph.schedule.items import Item
from numgraph.schedule.plan import Schedule


@dataclass
class Work:
    """One phase: arithmetic operations, bytes read and written, and the buffers by name."""

    flops: int | None
    bytes: int | None
    reads: list[str]
    writes: list[str]
    loops: list[str]
    statements: int


def work_of(schedule: Schedule, items: Sequence[Item]) -> Work:
    """The work of a phase."""
    graph = schedule.graph
    flops: int | None = 0
    traffic: dict[Node, int | None] = {}
    reads: dict[Node, None] = {}
    writes: dict[Node, None] = {}
    for item in items:
        flops = _plus(flops, _flops(graph, item))
        for buffer in [load.inputs[0] for load in item.loads] + [view.buffer for view in item.views]:
            reads[buffer] = None
            traffic.setdefault(buffer, _touched(graph, item, buffer))
        if item.kind != "check":
            writes[item.node] = None
            traffic[item.node] = _size(graph, item.node)
    inner = {node for node in writes if node in schedule.buffers and schedule.buffers[node].place == "register"}
    total: int | None = 0
    for node, size in traffic.items():
        if node not in inner:
            total = _plus(total, size)
    outside = [v for v in reads if v not in writes]
    loops = dict.fromkeys(length_text(graph, n) for item in items for n in item.loops)
    return Work(
        flops,
        total,
        [_name(graph, v) for v in outside],
        [_name(graph, v) for v in writes if v not in inner],
        list(loops),
        sum(item.statements for item in items),
    )


def _plus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _elements(graph: Graph, lengths: Sequence[Any]) -> int | None:
    known = [full_length(graph, n) for n in lengths]
    return None if None in known else prod(n for n in known if n is not None)


def _size(graph: Graph, node: Node) -> int | None:
    count = _elements(graph, node.dims)
    return None if count is None else count * np.dtype(node.dtype).itemsize


def _touched(graph: Graph, item: Item, buffer: Node) -> int | None:
    """Bytes of `buffer` that an item reads: all of it, or as much as its loops can reach."""
    whole = _size(graph, buffer)
    lengths = item.loops
    if item.views:
        # a length that was computed is read too, but is no operand
        lengths = next((view.lengths for view in item.views if view.buffer is buffer), ())
    reached = _elements(graph, lengths)
    reached = None if reached is None else reached * np.dtype(buffer.dtype).itemsize
    return reached if whole is None else whole if reached is None else min(whole, reached)


def _flops(graph: Graph, item: Item) -> int | None:
    if item.kind == "product":
        count = _elements(graph, (*item.node.dims, item.views[0].lengths[-1]))
        return None if count is None else 2 * count
    count = _elements(graph, item.loops)
    if count is None:
        return None
    operations = sum(v.kind == "op" and "float" in v.dtype for v in item.scalars) + (item.kind in ("reduce", "scatter"))
    return operations * count


def _name(graph: Graph, node: Node) -> str:
    return graph.names.get(node) or (node.name if node.op else node.kind)


def length_text(graph: Graph, length: Any) -> str:
    """A length for people: the number, `up to 600` for a window, or `?`."""
    length = graph.find(length)
    if isinstance(length, int):
        return str(length)
    full = full_length(graph, length)
    return "?" if full is None else f"up to {full}"


def schedule_text(schedule: Schedule) -> str:
    """The stages, blocks and items as an indented text."""
    lines: list[str] = []
    for number, blocks in enumerate(schedule.stages):
        if len(schedule.stages) > 1:
            lines.append(f"stage {number}")
        for block in blocks:
            _block_text(schedule, block, 0, lines)
    for update in schedule.updates:
        target = _name(schedule.graph, schedule.shared[update.slot])
        source = f" with {_name(schedule.graph, schedule.shared[update.other])}" if update.how == "exchange" else ""
        lines.append(f"update {target}: {update.how}{source}")
    return "\n".join(lines)


def _block_text(schedule: Schedule, block: Block, depth: int, lines: list[str]) -> None:
    if block.length is not None:
        lines.append(f"{'    ' * depth}for each of {length_text(schedule.graph, block.length)}:")
        for inner in block.body:
            _block_text(schedule, inner, depth + 1, lines)
        return
    for item in block.items:
        place = schedule.buffers.get(item.node)
        where = "" if item.kind == "check" or place is None else f"  -> {place.place}"
        lengths = ",".join(length_text(schedule.graph, n) for n in item.node.dims)
        shown = f"{item.node.dtype}[{lengths}]" if lengths else item.node.dtype
        lines.append(f"{'    ' * depth}{item.kind} {_name(schedule.graph, item.node)} {shown}{where}")

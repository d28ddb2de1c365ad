"""float16 in the compile graph, where there is none: its numbers are nodes of float32 that are rounded, its arrays in
memory are 16-bit codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph.graph import Variable
from numgraph.ir import Node
from numgraph.ops.halves import CODE, ROUNDED, VALUE
from numgraph.rewrite.build import Builder
from numgraph.types import HALF

# The dtype of codes.
CODES = "uint16"


def register(dtype: str) -> str:
    """The dtype of the node of a variable."""
    return "float32" if dtype == HALF else dtype


def in_memory(dtype: str) -> str:
    """The dtype of an array's elements as code sees them."""
    return CODES if dtype == HALF else dtype


def as_argument(dtype: str) -> str:
    """The dtype of a number that is passed to code, which rounds it."""
    return "float64" if dtype == HALF else dtype


def read(builder: Builder, leaf: Node) -> Node:
    """The numbers of a leaf of float16: of its codes, or of a number that was passed."""
    if leaf.kind == "scalar":
        return builder.graph.cast(builder.call(ROUNDED, leaf), register(HALF))
    return builder.call(VALUE, builder.graph.cast(leaf, register(HALF)))


def written(builder: Builder, node: Node) -> Node:
    """The codes of a node that holds numbers of float16; where it only reads some, those."""
    if node.op is VALUE:
        return builder.graph.cast(node.inputs[0], CODES)
    return builder.graph.cast(builder.call(CODE, node), CODES)


def computed(builder: Builder, variable: Variable, inputs: Sequence[Node]) -> Node:
    """The node of an operation: of one that gives float16, the result in float32, rounded."""
    op, attrs = variable.op, variable.attrs
    assert op is not None
    if variable.type.dtype != HALF:
        return builder.op(op, inputs, attrs)
    if op.conversion:
        # from float64 in one step: rounded twice, it may be another number
        inputs = [builder.call(ROUNDED, v) if v.dtype == "float64" else v for v in inputs]
    known: dict[str, Any] = {**attrs, "dtype": register(HALF)} if "dtype" in attrs else attrs
    node = builder.graph.cast(builder.op(op, inputs, known), register(HALF))
    same = op.moves or op.reshape or (op.conversion and inputs[0].op is ROUNDED)
    return node if same else builder.call(ROUNDED, node)

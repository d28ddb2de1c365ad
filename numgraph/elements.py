"""Element access: which scalar expression stands at an index of a node.

`Elements.at(node, index)` follows views, gathers and elementwise ops down to memory reads (`load` nodes) of buffers:
leaves and the nodes in `stored`. `Elements.memory(node)` says where a node's elements lie when they are a strided
view of one buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numgraph.ir import LEAVES, Graph, Node
from numgraph.lengths import dims
from numgraph.lengths.known import linear
from numgraph.lengths.sources import made_in_steps
from numgraph.types import DISCRETE


@dataclass(frozen=True)
class View:
    """Elements of `buffer` at `offset + sum(index * stride)`, all counted in elements."""

    buffer: Node
    offset: Any
    lengths: tuple[Any, ...]
    strides: tuple[Any, ...]

    def flat(self, index: Sequence[Any]) -> Any:
        """The position of the element at `index`."""
        position = self.offset
        for i, stride in zip(index, self.strides, strict=True):
            position = position + i * stride
        return position


def row_major(lengths: Sequence[Any]) -> tuple[Any, ...]:
    """Strides, in elements, of a C-contiguous array."""
    strides: list[Any] = []
    step: Any = 1
    for n in reversed(lengths):
        strides.append(step)
        step = step * n
    return tuple(reversed(strides))


def row_by_row(view: View) -> bool:
    """Whether a view's elements lie in C order, without gaps."""
    equal = view.buffer.graph.equal_lengths
    wanted = row_major(view.lengths)
    return all(n == 1 or equal(s, w) for n, s, w in zip(view.lengths, view.strides, wanted, strict=True))


def unit_stride(view: View) -> bool:
    """Whether BLAS can take the last two axes as they lie: one of them with stride 1, the other not smaller."""
    rows, columns = view.strides[-2:]
    flat = (isinstance(columns, int) and columns == 1) or (isinstance(rows, int) and rows == 1)
    positive = all(not isinstance(s, int) or s > 0 for s in view.strides)
    return flat and positive


class Operand:
    """An argument as an op's shape rule and element form see it: lengths, value, and `at` for its elements."""

    __slots__ = ("dtype", "elements", "ndim", "node", "shape")

    def __init__(self, node: Node, elements: Elements) -> None:
        self.node = node
        self.elements = elements
        self.shape = tuple(map(node.graph.find, node.dims))
        self.ndim = len(node.dims)
        self.dtype = node.dtype

    @property
    def value(self) -> Any:
        """The value of a 0-d argument: an int where it is known, else a scalar node (int64 for integers)."""
        scalar = self.elements.at(self.node, ())
        if self.dtype not in DISCRETE:
            return scalar
        return int(scalar.value) if scalar.is_number else self.node.graph.cast(scalar, "int64")

    @property
    def settled(self) -> bool:
        """Whether the value is known before any step of a scan, so that lengths may depend on it."""
        return not made_in_steps(self.value)

    def at(self, *index: Any) -> Node:
        """The element at `index`."""
        return self.elements.at(self.node, index)


class Elements:
    """Element access over one graph. `stored`: nodes that have a buffer of their own, besides the leaves."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.stored: set[Node] = set()
        self.sizes: dict[Node, int] = {}
        self._memory: dict[Node, View | None] = {}
        self._computed: dict[tuple[Node, tuple[Any, ...]], Node] = {}
        # the node whose element a scalar expression is: for names, types and user lines in generated source
        self.origin: dict[Node, Node] = {}

    def has_buffer(self, node: Node) -> bool:
        """Whether the node's elements are read from memory."""
        return (node.kind in LEAVES and node.kind != "scalar") or node in self.stored

    def at(self, node: Node, index: Sequence[Any]) -> Node:
        """The scalar expression of the element at `index`."""
        # a load is an element already: a length that is found late is made of such
        if node.kind in ("number", "load") or self._is_length(node):
            return node
        if self.has_buffer(node):
            return self.graph.load(node, index)
        return self.compute(node, index)

    def _is_length(self, node: Node) -> bool:
        """Whether the node is an argument, or integer arithmetic that the plan does: such a node stands for itself."""
        return node.planned and node not in self.stored and (node.kind != "op" or node.dtype == "int64")

    def compute(self, node: Node, index: Sequence[Any]) -> Node:
        """As `at`, but the node itself is computed even where it has a buffer."""
        key = (node, tuple(index))
        found = self._computed.get(key)
        if found is None:
            found = self._computed[key] = self._compute(node, index)
        return found

    def _compute(self, node: Node, index: Sequence[Any]) -> Node:
        op = node.op
        if node.kind == "copy":
            return self.at(node.inputs[0], index)
        if op is not None and op.scalar:
            operands = [self.at(v, self.broadcast_index(v, node, index)) for v in node.inputs]
            return self._from(node, self._scalar(node, operands))
        if op is not None and op.element:
            return self._from(node, self._element(node, index))
        if op is not None and op.reshape:
            value = self._reshaped(node, index)
            return self._from(node, value) if value.kind == "op" else value
        # reductions, products, kernels and scatters are read from the buffer that they will get
        return self.graph.load(node, index)

    def _from(self, node: Node, value: Node) -> Node:
        """Note whose element a value is: the first node's, or that of one with a name."""
        names = self.graph.names
        if self.origin.setdefault(value, node) not in names and node in names and value.kind == "op":
            self.origin[value] = node
        return value

    def _scalar(self, node: Node, operands: list[Node]) -> Node:
        assert node.op is not None
        if node.attrs:
            return self.graph.make("op", node.op, operands, node.attrs, node.dtype, ())
        return self.graph.scalar_op(node.op, *operands, dtype=node.dtype)

    def _element(self, node: Node, index: Sequence[Any]) -> Node:
        assert node.op is not None and node.op.element is not None
        operands = [Operand(v, self) for v in node.inputs]
        value = node.op.element(tuple(index), *operands, **node.attributes)
        if not isinstance(value, Node):
            return self.graph.number(value, node.dtype)
        return self.graph.cast(value, node.dtype)

    def _reshaped(self, node: Node, index: Sequence[Any]) -> Node:
        """An element of a reshape: only 1s inserted or dropped, or the same flat position of contiguous memory."""
        source = node.inputs[0]
        real = [i for i, n in zip(index, node.dims, strict=True) if self.graph.find(n) != 1]
        if self.only_ones(node):
            chosen = iter(real)
            return self.at(source, [0 if self.graph.find(n) == 1 else next(chosen) for n in source.dims])
        view = self._reshaped_view(node)
        if view is None:
            # the source will get a buffer, see `schedule.tasks`
            lengths = tuple(map(self.graph.find, node.dims))
            view = View(source, 0, lengths, row_major(lengths))
        return self.graph.make(
            "load", None, (view.buffer, self.graph.as_index(view.flat(index))), ("flat",), node.dtype, ()
        )

    def _reshaped_view(self, node: Node) -> View | None:
        """Where the elements of a reshape lie in the memory of what is reshaped, also if the node has a buffer of its
        own, which is filled from there."""
        source = self.memory(node.inputs[0])
        if source is None or not row_by_row(source):
            return None
        lengths = tuple(map(self.graph.find, node.dims))
        return View(source.buffer, source.offset, lengths, row_major(lengths))

    def only_ones(self, reshape: Node) -> bool:
        """Whether a reshape merely inserts or drops axes of length 1."""
        a = [n for n in map(self.graph.find, reshape.dims) if n != 1]
        b = [n for n in map(self.graph.find, reshape.inputs[0].dims) if n != 1]
        return len(a) == len(b) and all(self.graph.equal_lengths(p, q) for p, q in zip(a, b, strict=True))

    def broadcast_index(self, operand: Node, result: Node, index: Sequence[Any]) -> list[Any]:
        """The index into `operand` of the element that lands at `index` of `result`."""
        shift = len(result.dims) - len(operand.dims)
        return [self.broadcast_axis(n, result.dims[k + shift], index[k + shift]) for k, n in enumerate(operand.dims)]

    def broadcast_axis(self, length: Any, full: Any, i: Any) -> Any:
        """Index on an axis of `length` that broadcasts to `full`: 0 where the length is 1."""
        length = self.graph.find(length)
        return i if length != 1 and self.graph.equal_lengths(length, full) else dims.along(length, i)

    def memory(self, node: Node) -> View | None:
        """Where the node's elements lie, when they are a strided view of one buffer."""
        if node not in self._memory:
            self._memory[node] = self._find_memory(node)
        return self._memory[node]

    def forget_memory(self) -> None:
        """Buffers were added: views and elements are looked up anew."""
        self._memory.clear()
        self._computed.clear()

    def _find_memory(self, node: Node) -> View | None:
        lengths = tuple(map(self.graph.find, node.dims))
        if self.has_buffer(node):
            return View(node, 0, lengths, row_major(lengths))
        op = node.op
        if op is None or not (op.reshape or (op.element and op.injective and node.inputs)):
            return None
        if op.reshape:
            return self._reshaped_view(node)
        source = self.memory(node.inputs[0])
        return None if source is None else self._affine(node, source, lengths)

    def _affine(self, node: Node, source: View, lengths: tuple[Any, ...]) -> View | None:
        """Probe the element form: a view is affine when it reads its first operand at index expressions linear in
        idx."""
        marks = [self.graph.make("probe", None, (), (k,), "int64", ()) for k in range(len(lengths))]
        seen: list[tuple[Any, ...]] = []

        class Probe(Operand):
            def at(self, *index: Any) -> Node:
                seen.append(index)
                return self.node.graph.number(0, self.dtype)

        assert node.op is not None and node.op.element is not None
        operands = [Probe(node.inputs[0], self), *(Operand(v, self) for v in node.inputs[1:])]
        node.op.element(tuple(marks), *operands, **node.attributes)
        if len(seen) != 1:
            return None
        offset, strides = source.offset, [0] * len(lengths)
        for index, stride in zip(seen[0], source.strides, strict=True):
            row = linear(self.graph.as_index(index), marks)
            if row is None:
                return None
            *factors, rest = row
            offset = offset + rest * stride
            strides = [s + k * stride for s, k in zip(strides, factors, strict=True)]
        if any(map(made_in_steps, (offset, *strides))):
            # no plan knows what a step of a scan computes
            return None
        return View(source.buffer, offset, lengths, tuple(strides))

"""Prints calls: of named kernels, and of matrix products, of which each share computes a part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph import dims
from numgraph.emit.divided import SharePrinter
from numgraph.emit.function import FunctionPrinter
from numgraph.emit.memory import MemoryStatements
from numgraph.emit.scalar import POINTERS
from numgraph.emit.statements import Raised
from numgraph.emit.table import DGEMM, SGEMM, called_as
from numgraph.ir import Node
from numgraph.schedule.items import Item
from numgraph.types import FLOATS


def view_address(printer: MemoryStatements, view: Any) -> str:
    """The address of the first element that an operand reads."""
    address = printer.address(view.buffer)
    if isinstance(view.offset, int) and view.offset == 0:
        return address
    size = np.dtype(view.buffer.dtype).itemsize
    return f"{address} + {printer.value(printer.graph.as_index(view.offset * size))}"


class KernelPrinter(FunctionPrinter):
    """Prints a phase that is one call of a named kernel."""

    def call(self, item: Item) -> str:
        """Print the call; returns the kernel's name, "module.function", or "" for a user's function."""
        node = item.node
        assert node.op is not None and node.op.kernel is not None
        if node.op.user is not None:
            self._call_users(item)
            return ""
        name: str = node.op.kernel.function
        arguments = [f"{POINTERS[node.dtype]}({self.address(node)})"]
        arguments += [f"{POINTERS[v.buffer.dtype]}({view_address(self, v)})" for v in item.views]
        arguments += [self.value(self.graph.as_index(n)) for n in item.sizes]
        note = f"{self.buffer_name(node)} {self.type_text(node)}"
        self.say(f"{name.rsplit('.', 1)[1]}({', '.join(arguments)})", note, node)
        return name

    def _call_users(self, item: Item) -> None:
        """Print the call of a user's function of arrays; an exception ends the phase."""
        node, key = item.node, called_as(item.node)
        assert node.op is not None and node.op.kernel is not None and key is not None
        views, numbers = iter(item.views), iter(item.factors)
        arguments = []
        for v in node.inputs:
            if not v.dims:
                arguments.append(self.value(next(numbers)))
                continue
            operand = next(views)
            note = f"{self.buffer_name(v)} {self.type_text(v)}"
            made = self._array("view", v, view_address(self, operand), operand.lengths)
            arguments.append(self._named(made, self.graph.names.get(v), "x", note, v))
        arguments += self._results(item, node.op.kernel.ranks)
        call = f"{self.layout.functions[key]}({', '.join(arguments)})"
        if not key[-1]:
            self.say(call, self._note(node, None), node)
            return
        raised = self.names.fresh("raised")
        self.say(f"{raised} = {call}[1]", self._note(node, None), node)
        self.say(f"if {raised}:")
        self.say(f"    return fail(table, 0, 0, {self.layout.fail_code(Raised(node))})")

    def _results(self, item: Item, ranks: Sequence[int]) -> list[str]:
        """Arrays for the results, one behind the other in the memory of the item's node."""
        node, left = item.node, list(item.sizes)
        begin: Any = 0
        names = []
        for rank in ranks:
            lengths, left = left[:rank], left[rank:]
            address = self.beyond(self.address(node), begin)
            note = f"{self.buffer_name(node)} {node.dtype}, to be written"
            names.append(self._named(self._array("room", node, address, lengths), "out", "out", note, node))
            begin = begin + dims.product(lengths) * np.dtype(node.dtype).itemsize
        return names

    def _named(self, made: str, wish: str | None, prefix: str, note: str, node: Node) -> str:
        name = self.names.fresh(wish, prefix)
        self.say(f"{name} = {made}", note, node)
        return name

    def _array(self, kind: str, node: Node, address: str, lengths: Sequence[Any]) -> str:
        """An array of the elements at an address."""
        pointer = "bools" if node.dtype == "bool" else POINTERS[node.dtype]
        shape = "".join(f"{self.value(self.graph.as_index(self.graph.find(n)))}, " for n in lengths)
        shape = shape.removesuffix(" ") if len(lengths) == 1 else shape.removesuffix(", ")
        return f"{kind}({pointer}({address}), ({shape}))"


def product_of(node: Node, kind: str = "") -> tuple[str, int]:
    """(function, slot of its address in the table) of the product for a node's dtype."""
    return (f"sgemm{kind}", SGEMM) if node.dtype == "float32" else (f"dgemm{kind}", DGEMM)


class ProductPrinter(SharePrinter):
    """Prints a share of a matrix product: some of its rows or columns, or some of a stack of products."""

    def run(self) -> None:
        """Print the addresses, and the call."""
        item = self.divided.items[0]
        node = item.node
        assert node.dtype in FLOATS, f"{node}: integer products are sums, see rewrite.rules"
        note = f"{self.buffer_name(node)} {self.type_text(node)}"
        out = self.address(node)
        self.say_own()
        sources = node.inputs[1:3] if item.factors else node.inputs
        left, right = (self._named(v, view) for v, view in zip(sources, item.views, strict=True))
        target = self.names.fresh(self.graph.names.get(node.inputs[0] if item.factors else node), "out")
        self.say(f"{target} = {out}", note, node)
        if len(node.dims) == 3:
            self._stack(item, left, right, target)
        else:
            self.say(
                self._call(item, left, right, target, "share, shares"), self._formula(item, left, right, target), node
            )

    def _length(self, length: Any) -> str:
        return self.value(self.graph.as_index(self.graph.find(length)))

    def _factors(self, item: Item) -> tuple[str, str]:
        if item.factors:
            alpha, beta = (self.value(v) for v in item.factors)
            return alpha, beta
        return ("float32(1.0)", "float32(0.0)") if item.node.dtype == "float32" else ("1.0", "0.0")

    def _formula(self, item: Item, left: str, right: str, target: str) -> str:
        if not item.factors:
            return f"{target} = {left} @ {right}"
        alpha, beta = self._factors(item)
        return f"{target} = {beta} * {target} + {alpha} * {left} @ {right}"

    def _stack(self, item: Item, left: str, right: str, target: str) -> None:
        """A product of each pair of matrices of two stacks; shares divide the stack."""
        node, (a, b) = item.node, item.views
        size = np.dtype(node.dtype).itemsize
        steps = [self._length(s * size) for s in (a.strides[0], b.strides[0], node.dims[1] * node.dims[2])]
        one, other, to = (f"{base} + i * {s}" for base, s in zip((left, right, target), steps, strict=True))
        count = self._length(node.dims[0])
        call = self._call(item, one, other, to, "0, 1")
        self.say(f"for i in range({count} * share // shares, {count} * (share + 1) // shares):")
        self.say(f"    {call}", self._formula(item, left, right, target), node)

    def _call(self, item: Item, left: str, right: str, target: str, share: str) -> str:
        node, (a, b) = item.node, item.views
        name, slot = product_of(node)
        self.imports.add(name)
        alpha, beta = self._factors(item)
        sizes = ", ".join(map(self._length, (node.dims[-2], node.dims[-1], a.lengths[-1])))
        steps = [f"{self._length(v.strides[-2])}, {self._length(v.strides[-1])}" for v in (a, b)]
        operands = f"{left}, {steps[0]}, {right}, {steps[1]}"
        row = self._length(node.dims[-1])
        return f"{name}(table[{slot}], {share}, own, {sizes}, {alpha}, {operands}, {beta}, {target}, {row})"

    def _named(self, node: Node, view: Any) -> str:
        """A statement that names the address of an operand; returns the name."""
        names = self.graph.names
        source = node
        while source not in names and source.op is not None and source.op.element and source is not view.buffer:
            source = source.inputs[0]
        wish = names.get(source) or names.get(view.buffer)
        address = view_address(self, view)
        name = self.names.fresh(wish, "p")
        note = f"{wish or self.buffer_name(view.buffer)} {self.type_text(source)}"
        if not isinstance(view.offset, int):
            note += f" = {self.buffer_name(view.buffer)} from element {self.explain(view.offset)}"
        self.declare(view.buffer, f"{name} = {address}", note, source)
        return name

"""Calls: of named kernels, and of matrix products, of which each share computes a part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph import dims
from numgraph.emit.divided import SHARE, SHARES, SharePrinter
from numgraph.emit.function import FunctionPrinter
from numgraph.emit.memory import OWN, MemoryStatements, pointer_to
from numgraph.emit.printer import text
from numgraph.emit.statements import Raised
from numgraph.emit.table import DGEMM, SGEMM, called_as
from numgraph.ir import Node
from numgraph.loops.program import Call, Do, Expression, For, If, Name, Number, Several, fail
from numgraph.loops.scalar import number
from numgraph.schedule.items import Item
from numgraph.types import FLOATS


def view_address(printer: MemoryStatements, view: Any) -> Expression:
    """The address of the first element that an operand reads."""
    address = printer.address(view.buffer)
    if isinstance(view.offset, int) and view.offset == 0:
        return address
    return address + printer.length(view.offset * np.dtype(view.buffer.dtype).itemsize)


class KernelPrinter(FunctionPrinter):
    """Makes a phase that is one call of a named kernel."""

    def call(self, item: Item) -> str:
        """Add the call; returns the kernel's name, "module.function", or "" for a user's function."""
        node = item.node
        assert node.op is not None and node.op.kernel is not None
        if node.op.user is not None:
            self._call_users(item)
            return ""
        name: str = node.op.kernel.function
        arguments: list[Expression] = [pointer_to(self.address(node), node.dtype)]
        arguments += [pointer_to(view_address(self, v), v.buffer.dtype) for v in item.views]
        arguments += [self.length(n) for n in item.sizes]
        note = f"{self.buffer_name(node)} {self.type_text(node)}"
        self.add(Do(Call(name.rpartition(".")[2], tuple(arguments)), **self.origin(node, note)))
        return name

    def _call_users(self, item: Item) -> None:
        """Add the call of a user's function of arrays; an exception ends the phase."""
        node, key = item.node, called_as(item.node)
        assert node.op is not None and node.op.kernel is not None and key is not None
        views, numbers = iter(item.views), iter(item.factors)
        arguments: list[Expression] = []
        for v in node.inputs:
            if not v.dims:
                arguments.append(self.value(next(numbers)))
                continue
            operand = next(views)
            note = f"{self.buffer_name(v)} {self.type_text(v)}"
            made = self._array("view", v, view_address(self, operand), operand.lengths)
            arguments.append(self._named(made, self.graph.names.get(v), "x", note, v))
        arguments += self._results(item, node.op.kernel.ranks)
        # what it returns, and whether it raised
        call = Call(self.layout.functions[key], tuple(arguments), "bool*")
        origin = self.origin(node, self._note(node, None))
        if not key[-1]:
            self.add(Do(call, **origin))
            return
        raised = self.assign(self.names.fresh("raised"), call[1], self._note(node, None), node)
        self.add(If(raised, (fail(0, 0, self.layout.fail_code(Raised(node))),)))

    def _results(self, item: Item, ranks: Sequence[int]) -> list[Name]:
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

    def _named(self, made: Expression, wish: str | None, prefix: str, note: str, node: Node) -> Name:
        return self.assign(self.names.fresh(wish, prefix), made, note, node)

    def _array(self, kind: str, node: Node, address: Expression, lengths: Sequence[Any]) -> Expression:
        """An array of the elements at an address."""
        pointer = Call("bools", (address,), "uint8*") if node.dtype == "bool" else pointer_to(address, node.dtype)
        shape = Several(tuple(self.length(self.graph.find(n)) for n in lengths))
        return Call(kind, (pointer, shape), "array")


def product_of(node: Node, kind: str = "") -> tuple[str, int]:
    """(function, slot of its address in the table) of the product for a node's dtype."""
    return (f"sgemm{kind}", SGEMM) if node.dtype == "float32" else (f"dgemm{kind}", DGEMM)


class ProductPrinter(SharePrinter):
    """Makes a share of a matrix product: some of its rows or columns, or some of a stack of products."""

    def run(self) -> None:
        """Add the addresses, and the call."""
        item = self.divided.items[0]
        node = item.node
        assert node.dtype in FLOATS, f"{node}: integer products are sums, see rewrite.rules"
        note = f"{self.buffer_name(node)} {self.type_text(node)}"
        out = self.address(node)
        self.say_own()
        sources = node.inputs[1:3] if item.factors else node.inputs
        left, right = (self._operand(v, view) for v, view in zip(sources, item.views, strict=True))
        wish = self.graph.names.get(node.inputs[0] if item.factors else node)
        target = self.assign(self.names.fresh(wish, "out"), out, note, node)
        if len(node.dims) == 3:
            self._stack(item, left, right, target)
        else:
            call = self._call(item, (left, right, target), (SHARE, SHARES))
            self.add(Do(call, **self.origin(node, self._formula(item, left, right, target))))

    def _length(self, length: Any) -> Expression:
        return self.length(self.graph.find(length))

    def _factors(self, item: Item) -> tuple[Expression, Expression]:
        if item.factors:
            alpha, beta = (self.value(v) for v in item.factors)
            return alpha, beta
        return number(1.0, item.node.dtype), number(0.0, item.node.dtype)

    def _formula(self, item: Item, left: Name, right: Name, target: Name) -> str:
        product = f"{left.text} @ {right.text}"
        if not item.factors:
            return f"{target.text} = {product}"
        alpha, beta = map(text, self._factors(item))
        return f"{target.text} = {beta} * {target.text} + {alpha} * {product}"

    def _stack(self, item: Item, left: Name, right: Name, target: Name) -> None:
        """A product of each pair of matrices of two stacks; shares divide the stack."""
        node, (a, b) = item.node, item.views
        size = np.dtype(node.dtype).itemsize
        steps = [self._length(s * size) for s in (a.strides[0], b.strides[0], node.dims[1] * node.dims[2])]
        i = Name("i")
        one, other, to = (base + i * s for base, s in zip((left, right, target), steps, strict=True))
        count = self._length(node.dims[0])
        call = self._call(item, (one, other, to), (Number(0), Number(1)))
        done = Do(call, **self.origin(node, self._formula(item, left, right, target)))
        self.add(For(i, (count * SHARE // SHARES, count * (SHARE + 1) // SHARES), (done,)))

    def _call(self, item: Item, addresses: Sequence[Expression], share: Sequence[Expression]) -> Call:
        """The call of the kernel. addresses: of the operands and the target; share: which, and of how many."""
        node, (a, b) = item.node, item.views
        name, place = product_of(node)
        self.imports.add(name)
        alpha, beta = self._factors(item)
        sizes = map(self._length, (node.dims[-2], node.dims[-1], a.lengths[-1]))
        left, right, target = addresses
        arguments = [self.layout.slot(place), *share, OWN, *sizes, alpha]
        for address, view in ((left, a), (right, b)):
            arguments += [address, self._length(view.strides[-2]), self._length(view.strides[-1])]
        return Call(name, (*arguments, beta, target, self._length(node.dims[-1])))

    def _operand(self, node: Node, view: Any) -> Name:
        """A name for the address of an operand."""
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
        return self.declare(view.buffer, name, address, note, source)

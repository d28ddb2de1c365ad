"""Kernels of a grid: functions that every thread runs, with pointers and lengths as parameters.

Inside a kernel `block` of `blocks` and `lane` of THREADS say which thread this is, `thread` of `threads` the same among
all. A loop that threads divide steps over what the others do; all threads of a block go through the same barriers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numgraph import dims
from numgraph.emit.gridloops import THREAD, THREADS
from numgraph.emit.gridsums import GridSums
from numgraph.errors import FunctionError
from numgraph.ir import Node
from numgraph.loops.program import Call, Do, Expression, If, Load, Logic, Name, Statement
from numgraph.loops.scalar import number
from numgraph.schedule.arrange import Block
from numgraph.schedule.gridproduct import choose_product, cublas_sizes
from numgraph.schedule.items import Item

# Named kernels that a device has kernels of its own for, see `cuda.library`.
LIBRARY = frozenset({"sorting.argsort", "scans.cumsum", "scans.cumprod"})
# What `cuda.library` calls a product by cuBLAS.
CUBLAS = "cublas.gemm"


class GridPrinter(GridSums):
    """Puts one block of the schedule into a kernel."""

    def run(self, block: Block) -> None:
        """Add a block of the schedule."""
        self.block, self.mapping = block, self.schedule.sharing[block]
        self.kernel.items += block.items
        self.kernel.shapes.append(self.mapping.shape)
        self.bodies[0].names |= self.kernel.known
        getattr(self, f"_print_{self.mapping.shape}")(block)
        self.kernel.statements += self.bodies[0].statements
        names = self.bodies[0].names
        self.kernel.known |= {v: name for v, name in names.items() if v.planned and not self._reads(v)}

    def _print_product(self, block: Block) -> None:
        """A product: by cuBLAS, by a function of `kernels/cuda/products.py`, or, of a stack of matrices, by one thread
        per element."""
        item = block.items[0]
        if self._by_cublas(item):
            return
        choice = choose_product(self.graph, item, self.geometry)
        if choice is None:
            self._print_stack(item)
            return
        name = self.kernel.make(choice.maker, f'{choice.maker}("{item.node.dtype}", {choice.options})')
        self.imports.add(f"cuda.products.{choice.maker}")
        target, begin = self._whole_of(item.node, 0)
        operands = [self._whole_of(v.buffer, v.offset) for v in item.views]
        pointers = [self._advanced(*place) for place in ((target, begin), *operands)]
        factors = [self.value(v) for v in item.factors] or [number(k, item.node.dtype) for k in (1, 0)]
        lengths = [self.length(self.graph.find(n)) for n in choice.numbers]
        note = f"{self.buffer_name(item.node)} {self.type_text(item.node)}"
        call: Statement = Do(Call(name, (*pointers, *lengths, *factors)), **self.origin(item.node, note))
        # a kernel reads something even where there is nothing to compute
        unsure = [n for n in map(self.graph.find, item.node.dims) if not isinstance(n, int) or n == 0]
        if unsure:
            there = tuple(self.length(n).compared(">", 0) for n in unsure)
            call = If(there[0] if len(there) == 1 else Logic("and", there), (call,))
        self.add(call)
        self.kernel.grid = [(self.layout.number(n), per_block, most) for n, per_block, most in choice.grid]
        self.kernel.threads = choice.threads

    def _by_cublas(self, item: Item) -> bool:
        """Leave a product to cuBLAS, if that is to have it."""
        sizes = cublas_sizes(self.graph, item, self.geometry.large)
        if sizes is None or (self.words and self.root(self.schedule.buffers[item.node]).place == "shared"):
            # an index that was refused must leave shared variables alone, and cuBLAS looks at no status
            return False
        self._by_library(CUBLAS, item, sizes)
        self.kernel.factors = tuple(float(v.value) for v in item.factors) or (1.0, 0.0)
        return True

    def _by_library(self, name: str, item: Item, sizes: Sequence[Any]) -> None:
        """Launches that the host works out."""
        self.kernel.library = name
        self.kernel.operands = [(self.base(item.node)[0].text, 0)]
        self.kernel.operands += [(self.base(v.buffer)[0].text, self.layout.number(v.offset)) for v in item.views]
        self.kernel.sizes = [self.layout.number(n) for n in sizes]

    def _whole_of(self, buffer: Node, offset: Any) -> tuple[Name, Expression | None]:
        """(parameter, start) of an operand whose first element is `offset` elements into a buffer."""
        pointer, start = self.base(buffer)
        return pointer, self._begin(buffer, start, offset, None)

    def _advanced(self, pointer: Name, start: Expression | None) -> Expression:
        if start is None:
            return pointer
        self.imports.add("cuda.pointers.advance")
        return Call("advance", (pointer, start), pointer.dtype)

    def _print_stack(self, item: Item) -> None:
        """A product by one thread per element."""
        node, (left, right) = item.node, item.views
        lengths = [self.graph.find(n) for n in node.dims]
        e, k = Name(self.names.fresh("e")), Name(self.names.fresh("k"))
        self._inside_loop(e, THREAD, self.length(dims.product(lengths)), THREADS)
        self._unflatten(e, lengths, range(len(lengths)))
        index = [self.graph.loop(level) for level in range(len(lengths))]
        inner = self.graph.loop(len(lengths))
        self.counters[len(lengths)] = k
        acc = self.assign(self.names.fresh("acc"), number(0, node.dtype))
        self._inside_loop(k, self.length(left.lengths[-1]))
        factors: list[Load] = []
        for view, place in ((left, [*index[:-1], inner]), (right, [*index[:-2], inner, index[-1]])):
            factors.append(self.element(view.buffer, [self.graph.as_index(view.flat(place))], True))
        self.assign(acc, acc + factors[0] * factors[1], node.name, node)
        self._close()
        element = self.element(node, index)
        result: Expression = acc
        if item.factors:
            alpha, beta = (self.value(v) for v in item.factors)
            result = beta * element + alpha * acc
        self.add(self.store(element, result, item, self.buffer_name(node)))
        self._close()
        self._launch(dims.product(lengths), self.geometry.threads)

    def _print_kernel(self, block: Block) -> None:
        """A named kernel: by launches that the host works out, or by one thread."""
        item = block.items[0]
        node = item.node
        assert node.op is not None and node.op.kernel is not None
        if node.op.user is not None:
            lines = ", ".join(map(str, self.graph.lines.get(node, ())))
            raise FunctionError(
                f"{node.op.user.where} is a function of arrays (ng.call), which runs on the processor only\n"
                f'  called at {lines}\n  fix: target="cpu", or ng.elementwise with a function of numbers'
            )
        name: str = node.op.kernel.function
        if name in LIBRARY:
            self._by_library(name, item, item.sizes)
            return
        arguments: list[Expression] = [self.base(node)[0], *(self.base(v.buffer)[0] for v in item.views)]
        arguments += [self.length(n) for n in item.sizes]
        self._inside_one_thread()
        note = f"{self.buffer_name(node)} {self.type_text(node)}"
        # a plain function, as the processor's is
        function = name.rpartition(".")[2]
        called = Call(self.kernel.make(function, function), tuple(arguments))
        self.add(Do(called, **self.origin(node, note)))
        self._close()
        self.kernel.imports.add(name)

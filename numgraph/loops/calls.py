"""Calls: of named kernels, users' functions of arrays, and matrix products, of which each chunk computes a part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numgraph.convention import DGEMM, SGEMM
from numgraph.elements import View
from numgraph.ir import Node
from numgraph.lengths import dims
from numgraph.loops.chunks import CHUNK, CHUNKS
from numgraph.loops.memory import OWN, HostMemory, pointer_to
from numgraph.loops.program import Call, Do, Expression, For, If, Name, Number, Several, fail
from numgraph.loops.scalar import number
from numgraph.loops.shown import text
from numgraph.loops.table import called_as
from numgraph.loops.values import Broken, Raised, Values
from numgraph.schedule.ownership import worked_in
from numgraph.schedule.tasks import Task
from numgraph.types import COMPLEX, FLOATS, real_of

# How names of LAPACK and BLAS begin.
LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}


def add_kernel(values: Values, memory: HostMemory, task: Task) -> str:
    """Add the call of a named kernel; returns its name, "module.function", or "" for a user's function."""
    node = task.node
    assert node.op is not None and node.op.kernel is not None
    if node.op.user is not None:
        UsersCall(values, memory, task).add(node.op.kernel.ranks)
        return ""
    name = _function(values, task)
    arguments: list[Expression] = [pointer_to(memory.address(node), node.dtype)]
    arguments += [pointer_to(memory.view_address(v), v.buffer.dtype) for v in task.views]
    arguments += [values.whole(n) for n in task.sizes]
    # of what is factorised: the result may be an order, or real
    letters = [LETTERS.get(v.buffer.dtype, "") for v in task.views[:1]]
    arguments += [values.layout.slot(values.layout.routine(letters[0] + r)) for r in node.op.kernel.routines]
    call = Call(name.rpartition(".")[2], tuple(arguments))
    if not node.op.kernel.routines:
        values.add(Do(call, **values.origin(node, values.notes.array(node))))
        return name
    failed = values.assign(values.names.fresh("failed"), call, values.notes.array(node), node)
    code = values.layout.fail_code(Broken(node))
    values.add(If(failed.compared("!=", 0), (fail(failed, 0, code),), **values.origin(node)))
    return name


def _function(values: Values, task: Task) -> str:
    """The name of the kernel of a task, by what is known of its sizes."""
    assert task.node.op is not None and task.node.op.kernel is not None
    kernel = task.node.op.kernel
    if kernel.is_small is None or any(v.buffer.dtype in COMPLEX for v in task.views):
        return kernel.function
    sizes = [values.graph.find(n) for n in task.sizes]
    small = kernel.is_small(*(n if isinstance(n, int) else None for n in sizes))
    return kernel.small if small else kernel.function


def add_unit(values: Values, memory: HostMemory, task: Task, stage: int) -> None:
    """Add the call of a kernel that is compiled once for all functions: a chunk of its result."""
    node, layout = task.node, values.layout
    assert node.op is not None and node.op.kernel is not None
    memory.say_own(stage, CHUNK)
    addresses = [memory.address(node), *(memory.view_address(v) for v in task.views)]
    product = () if callable(node.op.kernel.own) else (layout.slot(product_of(node)[1]),)
    sizes = [values.length(n) for n in task.sizes]
    chunk: tuple[Expression, Expression] = (CHUNK, CHUNKS)
    if not node.op.kernel.shares:
        rows = values.length(node.dims[0])
        chunk = (rows * CHUNK // CHUNKS, rows * (CHUNK + 1) // CHUNKS)
    arguments = [*addresses, *sizes, *product, *chunk, OWN]
    dtype, pointers = ("int64", 0) if node.op.kernel.addresses else (real_of(node.dtype), len(addresses))
    unit = layout.slot(layout.unit(node.op.kernel.function, dtype, pointers, bool(product)))
    values.add(Do(Call("call_at", (unit, Several(tuple(arguments)))), **values.origin(node, values.notes.array(node))))


class UsersCall:
    """The call of a user's function of arrays; an exception ends the phase."""

    def __init__(self, values: Values, memory: HostMemory, task: Task) -> None:
        self.values = values
        self.memory = memory
        self.task = task

    def add(self, ranks: Sequence[int]) -> None:
        """Add arrays for operands and results, and the call. ranks: of the results."""
        values, node, key = self.values, self.task.node, called_as(self.task.node)
        assert key is not None
        arguments = [*self._operands(), *self._results(ranks)]
        # what it returns, and whether it raised
        call = Call(values.layout.functions[key], tuple(arguments), "bool*")
        if not key[-1]:
            values.add(Do(call, **values.origin(node, values.notes.op(node))))
            return
        raised = values.assign(values.names.fresh("raised"), call[1], values.notes.op(node), node)
        values.add(If(raised, (fail(0, 0, values.layout.fail_code(Raised(node))),)))

    def _operands(self) -> list[Expression]:
        values = self.values
        views, numbers = iter(self.task.views), iter(self.task.factors)
        found: list[Expression] = []
        for v in self.task.node.inputs:
            if not v.dims:
                found.append(values.value(next(numbers)))
                continue
            view = next(views)
            made = self._array("view", v, self.memory.view_address(view), view.lengths)
            name = values.names.fresh(values.graph.names.get(v), "x")
            found.append(values.assign(name, made, values.notes.array(v), v))
        return found

    def _results(self, ranks: Sequence[int]) -> list[Name]:
        """Arrays for the results, one behind the other in the memory of the task's node."""
        values, node, left = self.values, self.task.node, list(self.task.sizes)
        note = f"{values.notes.name_of(node)} {node.dtype}, to be written"
        begin: Any = 0
        names = []
        for rank in ranks:
            lengths, left = left[:rank], left[rank:]
            made = self._array("room", node, self.memory.beyond(self.memory.address(node), begin), lengths)
            names.append(values.assign(values.names.fresh("out", "out"), made, note, node))
            begin = begin + dims.product(lengths) * np.dtype(node.dtype).itemsize
        return names

    def _array(self, kind: str, node: Node, address: Expression, lengths: Sequence[Any]) -> Expression:
        """An array of the elements at an address."""
        pointer = Call("bools", (address,), "uint8*") if node.dtype == "bool" else pointer_to(address, node.dtype)
        return Call(kind, (pointer, Several(tuple(map(self.values.length, lengths)))), "array")


def product_of(node: Node, kind: str = "") -> tuple[str, int]:
    """(function, slot of its address in the table) of the product for a node's dtype."""
    return (f"sgemm{kind}", SGEMM) if node.dtype == "float32" else (f"dgemm{kind}", DGEMM)


class Products:
    """Adds matrix products to a function that is being made."""

    def __init__(self, values: Values, memory: HostMemory) -> None:
        self.values = values
        self.memory = memory
        # operands of several products have one name
        self.operands: dict[Any, Name] = {}

    def add(self, task: Task, stage: int) -> None:
        """A chunk of a product: some of its rows or columns, or some of a stack of products."""
        values, node = self.values, task.node
        assert node.dtype in FLOATS, f"{node}: integer products are sums, see rewrite.rules"
        out = self.memory.address(node)
        self.memory.say_own(stage, CHUNK)
        left, right = self.sides(task)
        # several products may be added to a variable, each to what the one before made of it
        wish = values.graph.names.get(worked_in(node)[0].inputs[0] if task.factors else node)
        target = values.assign(values.names.fresh(wish, "out"), out, values.notes.array(node), node)
        if len(node.dims) == 3:
            self._stack(task, left, right, target)
        else:
            values.add(self._call(task, (left, right, target), (CHUNK, CHUNKS), (left, right, target)))

    def sides(self, task: Task) -> tuple[Name, Name]:
        """Names for the addresses of the two operands."""
        sources = task.node.inputs[1:3] if task.factors else task.node.inputs
        left, right = (self._operand(v, view) for v, view in zip(sources, task.views, strict=True))
        return left, right

    def factors(self, task: Task) -> tuple[Expression, Expression]:
        """Alpha and beta."""
        if task.factors:
            alpha, beta = (self.values.value(v) for v in task.factors)
            return alpha, beta
        return number(1.0, task.node.dtype), number(0.0, task.node.dtype)

    def _formula(self, task: Task, left: Name, right: Name, target: Name) -> str:
        product = f"{left.text} @ {right.text}"
        if not task.factors:
            return f"{target.text} = {product}"
        alpha, beta = self.factors(task)
        kept = target.text if beta == number(1.0, task.node.dtype) else f"{text(beta)} * {target.text}"
        return f"{target.text} = {kept} + {text(alpha)} * {product}"

    def _stack(self, task: Task, left: Name, right: Name, target: Name) -> None:
        """A product of each pair of matrices of two stacks; chunks divide the stack."""
        values, node, (a, b) = self.values, task.node, task.views
        size = np.dtype(node.dtype).itemsize
        steps = [values.length(s * size) for s in (a.strides[0], b.strides[0], node.dims[1] * node.dims[2])]
        i = Name("i")
        one, other, to = (base + i * s for base, s in zip((left, right, target), steps, strict=True))
        count = values.length(node.dims[0])
        call = self._call(task, (one, other, to), (Number(0), Number(1)), (left, right, target))
        values.add(For(i, (count * CHUNK // CHUNKS, count * (CHUNK + 1) // CHUNKS), (call,)))

    def _call(
        self, task: Task, addresses: Sequence[Expression], chunk: Sequence[Expression], shown: tuple[Name, Name, Name]
    ) -> Do:
        """The call of the kernel. addresses: of the operands and the target; chunk: which, and of how many."""
        values, node, (a, b) = self.values, task.node, task.views
        name, place = product_of(node)
        values.imports.add(name)
        alpha, beta = self.factors(task)
        sizes = map(values.length, (node.dims[-2], node.dims[-1], a.lengths[-1]))
        left, right, target = addresses
        arguments = [values.layout.slot(place), *chunk, OWN, *sizes, alpha]
        for address, view in ((left, a), (right, b)):
            arguments += [address, values.length(view.strides[-2]), values.length(view.strides[-1])]
        call = Call(name, (*arguments, beta, target, values.length(node.dims[-1])))
        return Do(call, **values.origin(node, self._formula(task, *shown)))

    def _operand(self, node: Node, view: View) -> Name:
        """A name for the address of an operand."""
        key = (view.buffer, view.offset)
        if key in self.operands:
            return self.operands[key]
        values, names = self.values, self.values.graph.names
        source = node
        while source not in names and source.op is not None and source.op.element and source is not view.buffer:
            source = source.inputs[0]
        wish = names.get(source) or names.get(view.buffer)
        address = self.memory.view_address(view, wish)
        note = f"{wish or values.notes.name_of(view.buffer)} {values.notes.type_of(source)}"
        if not isinstance(view.offset, int):
            note += f" = {values.notes.name_of(view.buffer)} from element {values.notes.length(view.offset)}"
        name = self.memory.declare(view.buffer, values.names.fresh(wish, "p"), address, note, source)
        self.operands[key] = name
        return name

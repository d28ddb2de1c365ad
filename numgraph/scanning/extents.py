"""Lengths of variables as expressions, by the ops' shape rules: nothing is computed that lengths do not need.

`x.shape[0]` asks for a length of what is computed anyway. Of a branch that may not be taken the lengths are needed and
the values are not; so its shape rules are run once more, on numbers and on 0-d expressions (`Extent`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.graph import Constant, Variable, apply, as_operands
from numgraph.lengths.dims import UNKNOWN, Arithmetic, Dim
from numgraph.op import OPS
from numgraph.ops import lengths as ln
from numgraph.ops.lengths import Length
from numgraph.ops.loop import lengths_of_result
from numgraph.types import DISCRETE


class Extent(Arithmetic):
    """A length, or a condition on lengths, that is the value of a 0-d variable: what shape rules compute with."""

    __slots__ = ("graph", "variable")

    def __init__(self, graph: Extents, variable: Variable) -> None:
        self.graph, self.variable = graph, variable


# What leaves the first operand as it is.
NEUTRAL = {"add": 0, "sub": 0, "mul": 1, "floor_div": 1}


class _Operand:
    """An argument as shape rules see it. value: looked up only where a rule asks for it."""

    settled = True

    def __init__(self, extents: Extents, variable: Variable) -> None:
        self.extents, self.variable = extents, variable
        self.shape: tuple[Dim, ...] = extents.known[id(variable)]
        self.ndim, self.dtype = variable.ndim, variable.type.dtype

    @property
    def value(self) -> Dim:
        """The value of a 0-d integer."""
        v = self.variable
        if v.ndim or v.type.dtype not in DISCRETE:
            return UNKNOWN
        return self.extents.wrapped(self.extents.number(v))


class Extents:
    """The lengths of what a branch computes. outer: the ids of what is computed anyway, where lengths are simply read.

    made: `(0-d integer of the branch) -> one of the outside`, for a number that lengths depend on and that takes more
    than arithmetic of lengths and scalars, such as the count of a mask. terms: those that there are, for several
    branches: then equal ones are one object.
    """

    def __init__(self, outer: set[int], made: Callable[[Variable], Variable], terms: dict[Any, Dim]) -> None:
        self.outer, self.made = outer, made
        self.known: dict[int, tuple[Dim, ...]] = {}
        self.numbers: dict[int, Variable] = {}
        self.terms = terms

    # -- arithmetic --------------------------------------------------------------------------------------------------

    def integer(self, name: str, *args: Any) -> Dim:
        """Arithmetic of `lengths.dims`: equal terms are one object."""
        key = (name, *((type(a), a if isinstance(a, int) else id(a)) for a in args))
        if key not in self.terms:
            if name == "where" and args[1] is args[2]:
                return args[1]
            if NEUTRAL.get(name) == args[-1] and isinstance(args[-1], int):
                return args[0]
            operands = as_operands(*(a.variable if isinstance(a, Extent) else a for a in args))
            self.terms[key] = self.wrapped(apply(OPS[name], operands))
        return self.terms[key]

    def wrapped(self, v: Length) -> Dim:
        """A length for shape rules."""
        if isinstance(v, int):
            return v
        if isinstance(v, Constant):
            return bool(v.data) if v.type.dtype == "bool" else int(v.data)
        key = (id(v),)
        if v.op is not None and v.op.name == "length":
            key = ("length", id(v.inputs[0]), v.attrs["axis"])  # type: ignore[assignment]
        if key not in self.terms:
            self.terms[key] = Extent(self, v if v.type.dtype in ("bool", "int64") else ln.as_position(v))
        return self.terms[key]

    # -- lengths -----------------------------------------------------------------------------------------------------

    def read(self, node: Variable) -> None:
        """Find the lengths of one variable, after those of its inputs."""
        if id(node) in self.known:
            return
        if id(node) in self.outer or node.op is None:
            self.known[id(node)] = tuple(map(self.wrapped, ln.dims_of(node)))
            return
        found = self._by_rule(node)
        self.known[id(node)] = tuple(
            n if n is not None else self._asked(node, axis) if m is UNKNOWN else m
            for axis, (n, m) in enumerate(zip(node.type.shape, found, strict=True))
        )

    def _asked(self, node: Variable, axis: int) -> Dim:
        """A length that no rule says: the branch is asked for it."""
        n = ln.dim(node, axis)
        return n if isinstance(n, int) else self.wrapped(self.made(n))

    def lengths(self, node: Variable) -> list[Length]:
        """The lengths of a variable that was read."""
        return [n.variable if isinstance(n, Extent) else n for n in self.known[id(node)]]

    def _by_rule(self, node: Variable) -> Sequence[Dim]:
        op = node.op
        assert op is not None
        operands = [_Operand(self, v) for v in node.inputs]
        if op.scatter is not None:
            # not the lengths of the result, but of what is written
            op.scatter.region(*operands, **node.attrs)
        if op.kernel is not None:
            op.kernel.sizes(*operands, **node.attrs)
        if None not in node.type.shape:
            return node.type.shape
        if op.loop:
            return self._of_loop(node, operands)
        if op.shape is not None:
            return op.shape(*operands, **node.attrs)
        if op.reduce is not None:
            axes, keep = node.attrs["axis"], node.attrs["keepdims"]
            lengths = enumerate(operands[0].shape)
            return [1 if k in axes else n for k, n in lengths if keep or k not in axes]
        return [ln.broadcast_dims(v.shape[axis] for v in operands if v.ndim >= -axis) for axis in range(-node.ndim, 0)]

    def _of_loop(self, node: Variable, operands: Sequence[_Operand]) -> Sequence[Dim]:
        """The lengths of a loop's result: those of a state are its first value's."""
        loop, attrs = node.attrs["loop"], node.attrs
        value = loop.values[attrs["value"]] if "value" in attrs else None
        state = attrs.get("state") if value is None else loop.state_of(value)
        if state is not None:
            _, initials, _ = loop.parts(operands[1:])
            lengths: Sequence[Dim] = initials[state].shape
        else:
            lengths = () if value is None else [UNKNOWN if n is None else n for n in value.type.shape]
        assert node.op is not None
        return lengths_of_result(node.op, operands[0].value, lengths, attrs)

    # -- numbers -----------------------------------------------------------------------------------------------------

    def number(self, v: Variable) -> Variable:
        """A 0-d integer of the branch as one of the outside."""
        if id(v) in self.outer or v.op is None:
            return v
        if id(v) not in self.numbers:
            arithmetic = self._arithmetic(v)
            self.numbers[id(v)] = self.made(v) if arithmetic is None else arithmetic
        return self.numbers[id(v)]

    def _arithmetic(self, number: Variable) -> Variable | None:
        """A number that is made of lengths and of scalars of the outside alone; None where it is not."""
        waiting = [(number, False)]
        while waiting:
            v, ready = waiting.pop()
            if id(v) in self.numbers:
                continue
            inner = id(v) not in self.outer and v.op is not None
            read = inner and v.op is not None and v.op.name == "length"
            if v.ndim or (inner and not read and not _is_arithmetic(v)):
                return None
            if inner and not read and not ready:
                waiting += [(v, True), *((w, False) for w in v.inputs)]
            elif read:
                n = self.known[id(v.inputs[0])][v.attrs["axis"]]
                self.numbers[id(v)] = n.variable if isinstance(n, Extent) else ln.int_constant(n)
            elif inner:
                self.numbers[id(v)] = v.copy_with(tuple(self.numbers[id(w)] for w in v.inputs))
            else:
                self.numbers[id(v)] = v
        return self.numbers[id(number)]


def _is_arithmetic(v: Variable) -> bool:
    op = v.op
    return op is not None and bool(op.scalar) and op.user is None and not op.redrawn

"""Sums over the steps of a loop: what is added up behind the loop at once, and what in a state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numgraph.graph import Constant, Variable
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.shape import reshaped, shuffled
from numgraph.types import DISCRETE


def total(a: Variable | None, b: Variable | None, like: Variable) -> Variable:
    """a + b, of what there is; zeros for nothing."""
    if a is None or b is None:
        found = b if a is None else a
        return f.zeros_like(like) if found is None else found
    return f.add(a, b)


def added(total: Variable, part: Variable) -> Variable:
    """total + part, into the total where the part is nothing but what some rows get."""
    op = part.op
    if op is not None and op.scatter and part.attrs.get("mode") == "add" and _zero(part.inputs[0]):
        return part.copy_with((total, *part.inputs[1:]))
    return f.add(total, part)


def _zero(v: Variable) -> bool:
    while v.op is not None and v.op.uniform:
        v = v.inputs[0]
    return isinstance(v, Constant) and not v.data.any()


class Sink:
    """A sum over steps that is one operation behind the loop. operands: values of a step; build: the sum, of what they
    are in all steps."""

    def __init__(self, operands: Sequence[Variable], build: Callable[..., Variable]) -> None:
        self.operands, self.build = list(operands), build


def sunk(part: Variable) -> Sink | None:
    """The sum over steps of a gradient, where it is one matrix product of what has rows; None where it is not."""
    op = part.op
    if op is None or part.type.dtype in DISCRETE:
        return None
    if op.conversion:
        inner = sunk(part.inputs[0])
        if inner is None:
            return None
        build = inner.build
        return Sink(inner.operands, lambda *whole: f.cast(build(*whole), part.type.dtype))
    if op.name == "dimshuffle" and part.attrs["pattern"] == (1, 0):
        inner = sunk(part.inputs[0])
        if inner is None:
            return None
        build = inner.build
        return Sink(inner.operands, lambda *whole: shuffled(build(*whole), (1, 0)))
    if op.name == "dot2":
        return _sunk_product(*part.inputs)
    if op.name == "sum" and part.inputs[0].ndim == 2 and part.attrs["axis"] == (0,):
        keep = part.attrs["keepdims"]
        return Sink([part.inputs[0]], lambda whole: f.sum(_flat(whole), axis=0, keepdims=keep))
    return None


def _sunk_product(a: Variable, b: Variable) -> Sink:
    """The sum of a[t] @ b[t]: the rows of all a.T, one behind the other, transposed, times those of all b."""
    if a.op is not None and a.op.name == "dimshuffle" and len(a.attrs["pattern"]) == 2:
        pattern, source = a.attrs["pattern"], a.inputs[0]
        if pattern == (1, 0):
            return Sink([source, b], lambda x, y: f.dot(shuffled(_flat(x), (1, 0)), _flat(y)))
        if pattern == (0, -1) and source.ndim == 1:
            # a column times a row
            return Sink([source, b], lambda x, y: f.dot(shuffled(x, (1, 0)), _flat(y)))
    return Sink([shuffled(a, (1, 0)), b], lambda x, y: f.dot(shuffled(_flat(x), (1, 0)), _flat(y)))


def _flat(stack: Variable) -> Variable:
    """The rows of a stack of matrices, one behind the other."""
    steps, rows, columns = ln.dims_of(stack)
    return reshaped(stack, [ln.product([steps, rows]), columns])

"""`vectorize`: expressions over one more axis of what they are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numgraph.errors import DtypeError, GivensError, InputError, ShapeError
from numgraph.givens import pairs
from numgraph.graph import Variable, apply, as_variable, describe, label, toposort
from numgraph.op import Op
from numgraph.ops.batching import padded_behind
from numgraph.ops.define import f
from numgraph.scanning.api import scan
from numgraph.source import current_line, lines_of, warn
from numgraph.substitution import substitute

# What stands for a variable, and whether it has the new axis.
Stand = tuple[Variable, bool]


def vectorize(outputs: Any, replace: Any) -> Any:
    """`outputs`, a variable or a list or tuple of them, for each element along a new first axis of some variables.

    replace: a mapping or pairs (variable, what stands for it), which has one axis more in front: as `givens`, all at
    once, for inputs, shared variables or intermediate results. All new axes have one length, or 1. Each output has that
    axis in front, too, also one that depends on none of the variables.

    An op over the new axis is again an op, of arrays with one axis more: elementwise ops broadcast, reductions and
    slices count axes from the next one, products are products of stacks. What no rule of the op table covers (such as
    scatters, and loops) is done by `scan`, one element after the other, and a UserWarning says which ops these are.

    GivensError for what is no pair of variables, ShapeError for another number of axes, DtypeError for another dtype.

    >>> import numgraph as ng
    >>> x, xs = ng.vector("x"), ng.matrix("xs")
    >>> y = ng.vectorize(ng.sum(x / ng.max(x)), {x: xs})
    >>> ng.function([xs], y)([[1.0, 2.0], [3.0, 1.0]])
    array([1.5       , 1.33333333])
    """
    several = isinstance(outputs, list | tuple)
    ends: list[Any] = list(outputs) if several else [outputs]
    for end in ends:
        if not isinstance(end, Variable):
            raise InputError(f"vectorize: expected variables, got {end!r}")
    stands = _stands(replace)
    slow: dict[str, None] = {}
    found = batched(ends, stands, slow)
    if slow:
        warn(
            f"vectorize: there is no rule for {', '.join(slow)} over one more axis: done by a loop over its elements; "
            "write the expression for the whole array where that is too slow"
        )
    first = next(iter(stands.values()))[0]
    results = [v if has else f.broadcast_to(v, (f.shape(first)[0], *f.shape(v))) for v, has in found]
    for end, result in zip(ends, results, strict=True):
        result.name = result.name or end.name
    return type(outputs)(results) if several else results[0]


def _stands(replace: Any) -> dict[Variable, Stand]:
    found: dict[Variable, Stand] = {}
    for key, value in pairs(replace, "vectorize", GivensError):
        if not isinstance(key, Variable):
            raise GivensError(f"vectorize: what is replaced must be a variable, got {key!r}")
        stand = as_variable(value)
        if stand.ndim != key.ndim + 1:
            raise ShapeError(
                f"vectorize: what stands for {label(key)} must have {key.ndim + 1} axes, the new one in front\n"
                f"  {describe(stand)}\n  {describe(key)}"
            )
        if stand.dtype != key.dtype:
            raise DtypeError(f"vectorize: dtype {stand.dtype} for {key.dtype}\n  {describe(stand)}\n  {describe(key)}")
        found[key] = stand, True
    if not found:
        raise GivensError("vectorize: replace names no variable")
    return found


def batched(outputs: Sequence[Variable], stands: Mapping[Variable, Stand], slow: dict[str, None]) -> list[Stand]:
    """What stands for `outputs` where `stands` do for variables; the ops that take a loop are put into `slow`."""
    new: dict[int, Stand] = {id(v): stand for v, stand in stands.items()}
    here = current_line()
    order = toposort(outputs, stop=stands)
    if _ends_apart(order, new):
        slow["scan"] = None
        return _all_by_loop(outputs, stands)
    for node in order:
        if id(node) in new:
            continue
        inputs = [new[id(v)] for v in node.inputs]
        if not any(has for _, has in inputs):
            same = all(v is w for (v, _), w in zip(inputs, node.inputs, strict=True))
            new[id(node)] = (node if same else node.copy_with(tuple(v for v, _ in inputs))), False
            continue
        with lines_of(node.line or here):
            result = _by_rule(node, [v for v, _ in inputs], tuple(has for _, has in inputs), slow)
            if result is None:
                assert node.op is not None
                slow[node.op.title] = None
                result = _by_loop(node, inputs)
        new[id(node)] = result, result.ndim > node.ndim
    return [new[id(v)] for v in outputs]


def _by_rule(
    node: Variable, inputs: Sequence[Variable], has: tuple[bool, ...], slow: dict[str, None]
) -> Variable | None:
    """An op over the new axis; None where only a loop does it."""
    op: Op | None = node.op
    assert op is not None
    if op.batch is not None:
        result: Variable | None = op.batch(has, *inputs, **node.attrs)
        return result
    if op.scalar:
        wide = [padded_behind(v, node.ndim) if b else v for v, b in zip(inputs, has, strict=True)]
        return apply(op, wide, **node.attrs)
    if op.reduce:
        return apply(op, inputs, **node.attrs | {"axis": tuple(axis + 1 for axis in node.attrs["axis"])})
    composition = op.composition(False)
    if composition is None:
        return None
    inner = dict(zip(node.inputs, zip(inputs, has, strict=True), strict=True))
    found, _ = batched([composition(*node.inputs, **node.attrs)], inner, slow)[0]
    return found


def _ends_apart(order: Sequence[Variable], new: Mapping[int, Stand]) -> bool:
    """Whether a condition ends some loop, which may be after another number of steps for each element."""
    on_axis = {key for key, (_, has) in new.items() if has}
    for node in order:
        if any(id(v) in on_axis for v in node.inputs) and id(node) not in new:
            on_axis.add(id(node))
            if node.op is not None and node.op.loop and node.attrs["loop"].until is not None:
                return True
    return False


def _all_by_loop(outputs: Sequence[Variable], stands: Mapping[Variable, Stand]) -> list[Stand]:
    """All of it for one element of the new axis after the other: rows of another number for each have no array."""
    sequences = [v for v, has in stands.values() if has]

    def step(*elements: Variable) -> list[Variable]:
        rest = iter(elements)
        return substitute(outputs, {key: next(rest) if has else v for key, (v, has) in stands.items()})

    found, _ = scan(step, sequences=sequences, name="vectorize", return_list=True)
    return [(v, True) for v in found]


def _by_loop(node: Variable, inputs: Sequence[Stand]) -> Variable:
    """An op for one element of the new axis after the other."""
    sequences = [v for v, has in inputs if has]

    def step(*elements: Variable) -> Variable:
        rest = iter(elements)
        return node.copy_with(tuple(next(rest) if has else v for v, has in inputs))

    result, _ = scan(step, sequences=sequences, name="vectorize")
    found: Variable = result
    return found

"""Runs a graph op by op with the ops' NumPy references: no compiler, no rewrites. The oracle of every other
executor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from numgraph.errors import (
    AssertionFailed,
    IndexOutOfRange,
    MatrixError,
    MissingInputError,
    NumgraphError,
    ShapeError,
    SizeError,
)
from numgraph.formula import described
from numgraph.graph import Constant, Variable, describe, toposort
from numgraph.lengths.dims import MOST_BYTES, counted
from numgraph.op import OPS, Check, Op, reference
from numgraph.ops.loop import COUNT, FINAL, LAST, ROWS, SAVED, Loop, checkpoints, chunk, operands_of, traced_steps
from numgraph.shared import SharedVariable
from numgraph.types import HALF

Array = NDArray[Any]


class ArrayOperand:
    """An argument of an op as its checks see it, once its value is known."""

    __slots__ = ("array", "dtype", "ndim", "shape", "value")
    settled = True

    def __init__(self, array: Array) -> None:
        self.array = array
        self.shape = array.shape
        self.ndim = array.ndim
        self.dtype = array.dtype.name
        self.value: Any = array.item() if array.ndim == 0 else None


class Observer(Protocol):
    """What sees an evaluation."""

    def saw(self, node: Variable, arrays: Sequence[Array], result: Array) -> None:
        """An operation, what it got, and what it gave."""

    def step(self, loop: Any, number: int, wanted: Sequence[Variable], values: Mapping[Variable, Array]) -> list[Array]:
        """Evaluate one step of a loop."""


def evaluate(
    outputs: Sequence[Variable], values: Mapping[Variable, Array], observer: Observer | None = None
) -> list[Array]:
    """The values of `outputs`, fresh C-contiguous arrays of their dtypes, given the values of the variables in
    `values`.

    Shared variables are read, constants are known; a variable in `values` may be anything, the graph is cut there.
    MissingInputError for a leaf without a value; ShapeError and IndexOutOfRange, with the user's lines, where an op
    refuses its operands.
    """
    known: dict[int, Array] = {id(v): np.asarray(a) for v, a in values.items()}
    inputs = _Inputs(toposort(outputs, stop=values))
    nodes = toposort(outputs, stop=values, inputs=inputs)
    uses = Counter(id(v) for node in nodes if id(node) not in known for v in inputs(node))
    uses.update(id(v) for v in outputs)
    looped: dict[Any, dict[Variable, Array]] = {}
    for node in nodes:
        if id(node) in known:
            continue
        if node.op is not None and node.op.loop:
            key = _loop_of(node)
            if key not in looped:
                members = [v for v in nodes if v.op and v.op.loop and _loop_of(v) == key]
                looped[key] = run_loop(members, _operands(node, known), observer)
            known[id(node)] = looped[key][node]
        else:
            known[id(node)] = compute(node, [known[id(v)] for v in node.inputs]) if node.op is not None else _leaf(node)
        if observer is not None and node.op is not None:
            observer.saw(node, _operands(node, known), known[id(node)])
        for v in inputs(node):
            uses[id(v)] -= 1
            if not uses[id(v)]:
                del known[id(v)]
    return [np.array(known[id(v)], dtype=v.type.dtype, order="C", copy=True) for v in outputs]


class _Inputs:
    """The inputs of nodes, without the operands of loops that no result needs: these are not computed."""

    def __init__(self, nodes: Sequence[Variable]) -> None:
        self.read: dict[Any, set[int]] = {}
        for v in nodes:
            if v.op is not None and v.op.loop:
                self.read.setdefault(_loop_of(v), set()).update(operands_of(v))

    def __call__(self, node: Variable) -> Sequence[Variable]:
        if node.op is None or not node.op.loop:
            return node.inputs
        return [v for k, v in enumerate(node.inputs) if k in self.read[_loop_of(node)]]


def _loop_of(result: Variable) -> Any:
    return id(result.attrs["loop"]), tuple(map(id, result.inputs))


def _operands(node: Variable, known: Mapping[int, Array]) -> list[Array]:
    """The values of a node's inputs; zeros for operands of a loop that nobody needs."""
    found = [known.get(id(v)) for v in node.inputs]
    for k, v in enumerate(node.inputs):
        if found[k] is None:
            # of a sequence as many as there are steps
            lead = [int(known[id(node.inputs[0])])] * (k <= len(node.attrs["loop"].sequences))
            found[k] = np.zeros((*lead, *(n or 0 for n in v.type.shape[len(lead) :])), v.type.dtype)
    return [a for a in found if a is not None]


def run_loop(
    results: Sequence[Variable], arrays: Sequence[Array], observer: Observer | None = None
) -> dict[Variable, Array]:
    """The results of one loop: its steps, one after the other."""
    first = results[0]
    loop: Loop = first.attrs["loop"]
    for result in results:
        assert result.op is not None
        try:
            check(result.op, arrays, result.attrs)
        except NumgraphError as error:
            raise type(error)(about(result, arrays, str(error))) from error.__cause__
    steps = int(arrays[0])
    sequences, initials, invariants = loop.parts(arrays[1:])
    states = [np.array(a, dtype=p.type.dtype) for p, a in zip(loop.states, initials, strict=True)]
    ends = [loop.until] if loop.until is not None else []
    asked = sorted({v.attrs["value"] for v in results if "value" in v.attrs})
    states_asked = sorted({v.attrs["state"] for v in results if "state" in v.attrs})
    needed = loop.needed([*(loop.values[k] for k in asked), *ends], states_asked)
    wanted = [*(loop.nexts[k] for k in needed), *(loop.values[k] for k in asked), *ends]
    traces, rows, made = [[s] for s in states], [[] for _ in loop.values], 0  # type: ignore[var-annotated]
    for t in range(steps):
        stand = dict(zip(loop.sequences, (s[t] for s in sequences), strict=True))
        stand |= dict(zip(loop.states, states, strict=True)) | dict(zip(loop.invariants, invariants, strict=True))
        found = evaluate(wanted, stand) if observer is None else observer.step(loop, t, wanted, stand)
        news = list(states)
        for k, new in zip(needed, found, strict=False):
            news[k] = new
        for p, old, new in zip(loop.states, states, news, strict=True):
            if old.shape != new.shape:
                raise ShapeError(
                    f"scan: a step changes the lengths of a state from {list(old.shape)} to {list(new.shape)}\n"
                    f"  {describe(p)}"
                )
        states = news
        for past, new in zip(traces, states, strict=True):
            past.append(new)
        for k, value in zip(asked, found[len(needed) :], strict=False):
            rows[k].append(value)
        made += 1
        if loop.until is not None and found[-1]:
            break
    return {result: _result(result, loop, arrays, steps, made, rows, traces) for result in results}


def _result(
    result: Variable,
    loop: Loop,
    arrays: Sequence[Array],
    steps: int,
    made: int,
    rows: Sequence[list[Array]],
    traces: Sequence[list[Array]],
) -> Array:
    """One result of a loop, of what its steps were."""
    attrs = result.attrs
    if result.op is COUNT:
        return np.array(made)
    if result.op is FINAL:
        return traces[attrs["state"]][-1]
    if result.op is LAST:
        return rows[attrs["value"]][-1]
    if result.op is SAVED:
        past, length = traces[attrs["state"]], traced_steps(steps, attrs["limit"])
        found = past[steps - length :: chunk(length, attrs["every"])][: checkpoints(length, attrs["every"])]
        return _filled(found or past[:1], checkpoints(length, attrs["every"]))
    kept, count = (rows[attrs["value"]], steps) if result.op is ROWS else (traces[attrs["state"]], steps + 1)
    value = loop.values[attrs["value"]] if result.op is ROWS else None
    if not kept:
        assert value is not None
        return np.zeros((0, *_lengths_without_steps(value, loop, arrays)), value.type.dtype)
    return _filled(kept, count)


def _filled(kept: Sequence[Array], count: int) -> Array:
    """What there is, one behind the other: behind the step that ended the loop there is nothing."""
    return np.concatenate([np.stack(kept), np.zeros((count - len(kept), *kept[0].shape), kept[0].dtype)])


def _lengths_without_steps(value: Variable, loop: Loop, arrays: Sequence[Array]) -> Sequence[int]:
    """What lengths a value would have, if there were steps: zeros stand for the elements of the sequences."""
    sequences, initials, invariants = loop.parts(arrays[1:])
    state = loop.state_of(value)
    if state is not None:
        first: Array = initials[state]
        return first.shape
    elements = [np.zeros(s.shape[1:], s.dtype) for s in sequences]
    stand = dict(zip(loop.placeholders, (*elements, *initials, *invariants), strict=True))
    try:
        return evaluate([value], stand)[0].shape
    except (IndexError, ShapeError):
        # an index of a step that there is not, or a chunk of steps that are not there: only lengths matter
        return _lengths_of(value, {id(p): a for p, a in stand.items()})


def _lengths_of(value: Variable, known: dict[int, Array]) -> Sequence[int]:
    """The lengths of a value where indices may be out of range, and slices shorter than the gradient that they get."""
    for node in toposort([value]):
        if id(node) in known:
            continue
        arrays = [known[id(v)] for v in node.inputs]
        try:
            if node.op is not None and node.op.loop:
                known[id(node)] = run_loop([node], _long_enough(node, arrays))[node]
            else:
                known[id(node)] = _leaf(node) if node.op is None else compute(node, arrays)
        except IndexOutOfRange:
            part = np.zeros([n or 0 for n in node.type.shape], node.type.dtype)
            known[id(node)] = arrays[0] if node.op is not None and node.op.scatter else part
        except ShapeError:
            # only gradients make it; of what does not fit by the user's fault, that is refused
            if node.op is not OPS["unbroadcast"]:
                raise
            known[id(node)] = arrays[0]
    return known[id(value)].shape


def _long_enough(node: Variable, arrays: Sequence[Array]) -> list[Array]:
    """The operands of a loop, with zeros behind sequences that have no element for each step."""
    steps, count = int(arrays[0]), len(node.attrs["loop"].sequences)
    long = [
        np.concatenate([s, np.zeros((max(steps - len(s), 0), *s.shape[1:]), s.dtype)]) for s in arrays[1 : 1 + count]
    ]
    return [arrays[0], *long, *arrays[1 + count :]]


def _leaf(node: Variable) -> Array:
    if isinstance(node, Constant):
        return node.data
    if isinstance(node, SharedVariable):
        return node.storage.array
    raise MissingInputError(f"no value for {describe(node)}. Add it to the inputs, or replace it with givens.")


def compute(node: Variable, arrays: Sequence[Array]) -> Array:
    """The value of one node, given the values of its inputs; errors name the node's operands and the user's line."""
    op = node.op
    assert op is not None
    # float16 is what arrays have: all is computed in float32, and rounded
    wide = [a.astype("float32") if a.dtype == HALF else a for a in arrays]
    operands = converted(op, wide, "float32" if node.type.dtype == HALF and not op.conversion else node.type.dtype)
    try:
        if op.checks or op.reduce:
            check(op, operands, node.attrs)
        result: Array = reference(op, operands, node.attrs, node.type.dtype)
    except NumgraphError as error:
        raise type(error)(about(node, arrays, str(error))) from error.__cause__
    except IndexError as error:
        raise IndexOutOfRange(about(node, arrays, str(error))) from error
    except np.linalg.LinAlgError as error:
        raise MatrixError(about(node, arrays, str(error))) from error
    except MemoryError as error:
        raise SizeError(about(node, arrays, str(error))) from error
    except ValueError as error:
        # NumPy's words for lengths that it cannot count
        large = any(text in str(error) for text in ("too big", "too large", "Maximum allowed"))
        raise (SizeError if large else ShapeError)(about(node, arrays, str(error))) from error
    if counted(result.shape, result.itemsize) > MOST_BYTES:
        raise SizeError(about(node, arrays, f"a result of lengths {list(result.shape)} is too large"))
    fits = result.ndim == node.ndim and all(n in (None, m) for n, m in zip(node.type.shape, result.shape, strict=True))
    if not fits:
        raise ShapeError(about(node, arrays, f"result has shape {list(result.shape)}, which its type does not allow"))
    return result


def converted(op: Op, arrays: Sequence[Array], dtype: str) -> list[Array]:
    """The operands in the dtype that the op computes in: elementwise ops and products convert first, then compute."""
    wanted = np.dtype(dtype)
    if all(a.dtype == wanted for a in arrays):
        return list(arrays)
    if op.scalar:
        loose = [k for k in range(len(arrays)) if k not in op.keeps]
        common = op.computes([arrays[k].dtype.name for k in loose], dtype)
        dtype, loose = (common, loose) if common is not None else (dtype, [])
    elif op.product:
        loose = list(range(len(arrays)))
    elif op.scatter:
        loose = [0, 1]
    else:
        loose = []
    with np.errstate(all="ignore"):
        return [a.astype(dtype, copy=False) if k in loose else a for k, a in enumerate(arrays)]


def check(op: Op, arrays: Sequence[Array], attrs: dict[str, Any]) -> None:
    """The op's conditions on lengths and indices; ShapeError or IndexOutOfRange for the first that does not hold."""
    operands = [ArrayOperand(a) for a in arrays]
    if op.reduce is not None and isinstance(op.reduce.start, str) and not attrs.get("empty"):
        empty = [a for a in attrs["axis"] if operands[0].shape[a] == 0]
        if empty:
            raise ShapeError(f"axis {empty[0]} is empty, and {op.name} of nothing is not defined")
    for condition in op.checks:
        if condition.error is AssertionFailed:
            _check_assertion(arrays[0], arrays[1], attrs["message"])
            continue
        for pair in condition.values(*operands, **attrs):
            a, b = pair if isinstance(pair, tuple) else (pair, 1)
            _check_one(condition, a, b)


def _check_assertion(x: Array, failed: Array, message: str) -> None:
    """AssertionFailed, with the value, where an element of `failed` is not 0."""
    if not failed.any():
        return
    place = tuple(int(k[0]) for k in failed.nonzero()) if failed.ndim else ()
    if x.shape == failed.shape:
        where = f" at {list(place)}" if place else ""
        raise AssertionFailed(f"{message}: the value{where} is {x[place]}")
    where = f" at {list(place)} of the condition" if place else ""
    raise AssertionFailed(f"{message}{where}: the value is {np.array2string(x, threshold=6)}")


def _check_one(condition: Check, a: Any, b: Any) -> None:
    if condition.kind == "range":
        indices = np.asarray(a.array if isinstance(a, ArrayOperand) else a)
        bad = indices[(indices < -b) | (indices >= b)]
        if bad.size:
            raise IndexOutOfRange(f"index {bad.flat[0]} is out of range for an axis of length {b}")
        return
    holds = {
        "equal": a == b, "nonempty": a >= 1, "at_least": a >= b, "broadcast": a == b or 1 in (a, b),
    }[condition.kind]  # fmt: skip
    if not holds:
        text = condition.message.format(a=a, b=b)
        raise condition.error(text if "{" in condition.message else f"{text} ({a} and {b})")


def about(node: Variable, arrays: Sequence[Array], problem: str) -> str:
    """What went wrong, the operands with their lengths at run time, and the user's line of the op."""
    assert node.op is not None
    listed = ""
    operands = [(v, a) for v, a in zip(node.inputs, arrays, strict=True) if a.ndim]
    for variable, array in operands or zip(node.inputs, arrays, strict=True):
        made = f"  made at {variable.line}" if variable.line else ""
        lengths = ",".join(map(str, array.shape))
        listed += f"\n  {described(variable)}: {array.dtype.name}{f'[{lengths}]' if lengths else ''}{made}"
    name = node.op.called(node.attrs)
    called = f"\n  {name} called at {node.line}" if node.line else ""
    defined = f"\n  {node.op.title} is defined at {node.op.user.line}" if node.op.user else ""
    return f"{name}: {problem}{listed}{called}{defined}"


__all__ = ["evaluate"]

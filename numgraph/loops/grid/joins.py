"""What the lanes of a block of threads have accumulated, joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from numgraph.loops.build import in_order, position_of
from numgraph.loops.grid.kernel import FULL, LANE, LANES, WARP
from numgraph.loops.program import (
    Assign,
    Barrier,
    Call,
    Compare,
    Expression,
    For,
    Function,
    If,
    Logic,
    Name,
    Number,
    Return,
    Several,
    Statement,
    Store,
    Unary,
    While,
)
from numgraph.loops.scalar import formula
from numgraph.loops.values import as_read, as_stored
from numgraph.schedule.tasks import Reduction

if TYPE_CHECKING:
    from numgraph.loops.grid.nests import Work

# A value, and its position.
Pair = tuple[Expression, Expression]
# Of the block of threads.
WARPS = Name("warps")
# What lanes of a warp exchange at once, and how.
SHUFFLED = frozenset({"float32", "float64", "int32", "int64"})
SHUFFLE = "cuda.shfl_xor_sync"


def joined(work: Work, task: Reduction, name: Name, width: int) -> Name:
    """Join what lanes have accumulated, those `width` apart; returns the joined value. It is right in all lanes."""
    form, dtype, helpers = task.form, name.dtype, work.kernel.helpers
    function = f"join_{task.node.name}_{dtype}"
    if function not in helpers:
        helpers[function] = join_function(task, function, dtype)
    result = Name(work.values.names.fresh("joined", partner="_at" if form.position else ""), dtype)
    origin = work.values.origin(task.node, task.node.name)
    found = (name, position_of(name)) if form.position else (name,)
    call = Call(function, (*found, LANE, Number(width), Number(work.kernel.threads // work.geometry.warp)), dtype)
    target = (result, position_of(result)) if form.position else result
    work.values.add(Assign(target, call, **origin))
    return result


def join_function(task: Reduction, function: str, dtype: str) -> Function:
    """The function that joins what lanes have, `width` apart."""
    width, position = Name("width"), Name("position")
    value = Name("value", dtype)
    body = (_by_shuffles if dtype in SHUFFLED else _in_halves)(task, value, position, width)
    arguments = (value, position, LANE, width, WARPS) if task.form.position else (value, LANE, width, WARPS)
    return Function(function, arguments, tuple(body), "helper", f"{task.form.combine}, of lanes `width` apart")


def _merged(task: Reduction, mine: Pair, other: Pair, stored: Callable[[Pair], tuple[Statement, ...]]) -> Statement:
    """What makes one of two values, or of two with their positions. stored: the statements that keep the result."""
    form, dtype = task.form, mine[0].dtype
    if not form.position:
        (kept,) = stored((in_order(task, mine[0], other[0]), mine[1]))
        return kept
    better = formula(form.combine, {"acc": mine[0], "x": other[0]}, "bool")
    worse = formula(form.combine, {"acc": other[0], "x": mine[0]}, "bool")
    assert dtype == other[0].dtype
    first = Logic("or", (better, Logic("and", (Unary("not", worse), Compare("<", other[1], mine[1])))))
    return If(first, stored(other))


def _by_shuffles(task: Reduction, value: Name, position: Name, width: Name) -> Iterator[Statement]:
    """Lanes of a warp exchange what they have, and then warps, through shared memory: one barrier before, one behind
    it. The order is that of a binary tree in each warp, then that of the warps."""
    places, dtype = task.form.position, value.dtype
    memory, at, step, warp = Name("memory", f"{dtype}*"), Name("at", "int64*"), Name("step"), Name("warp")
    other, other_at, cell = Name("other", dtype), Name("other_at"), Name("cell")
    kept = ((value, position) if places else (value,)), ((other, other_at) if places else (other,))
    cells = (memory, at)[: 1 + places]

    def taken(pair: Pair) -> tuple[Statement, ...]:
        return tuple(Assign(name, new) for name, new in zip(kept[0], pair, strict=False))

    exchange = [Assign(o, Call(SHUFFLE, (FULL, v, step), o.dtype)) for v, o in zip(*kept, strict=True)]
    yield Assign(step, WARP // 2)
    turn = (*exchange, _merged(task, (value, position), (other, other_at), taken), Assign(step, step // 2))
    yield While(step.compared(">=", width), turn)
    yield from (Assign(array, shared_array(name.dtype)) for array, name in zip(cells, kept[0], strict=True))
    place = LANE // WARP * width + LANE % WARP
    puts = tuple(Store(array, place, name) for array, name in zip(cells, kept[0], strict=True))
    yield If((LANE % WARP).compared("<", width), puts)
    yield Barrier()
    yield from (Assign(name, array[LANE % width]) for array, name in zip(cells, kept[0], strict=True))
    found = [Assign(o, array[cell]) for array, o in zip(cells, kept[1], strict=True)]
    merged = _merged(task, (value, position), (other, other_at), taken)
    yield For(warp, (Number(1), WARPS), (Assign(cell, warp * width + LANE % width), *found, merged))
    yield Barrier()
    yield Return(Several(kept[0]) if places else value)


def _in_halves(task: Reduction, value: Name, position: Name, width: Name) -> Iterator[Statement]:
    """In shared memory halves are laid upon each other, of dtypes that no shuffle takes."""
    dtype, places = value.dtype, task.form.position
    cell = "uint8" if dtype == "bool" else dtype
    memory, at, half = Name("memory", f"{cell}*"), Name("at", "int64*"), Name("half")
    mine, other = (as_read(memory[place], dtype) for place in (LANE, LANE + half))

    def put(pair: Pair) -> tuple[Statement, ...]:
        kept = Store(memory, LANE, as_stored(pair[0], dtype))
        return (kept, Store(at, LANE, pair[1])) if places else (kept,)

    yield Assign(memory, shared_array(cell))
    if places:
        yield Assign(at, shared_array("int64"))
    yield from put((value, position))
    yield Barrier()
    yield Assign(half, LANES // 2)
    merged = _merged(task, (mine, at[LANE]), (other, at[LANE + half]), put)
    step = (If(LANE.compared("<", half), (merged,)), Barrier(), Assign(half, half // 2))
    yield While(half.compared(">=", width), step)
    result, found = Name("result", dtype), Name("found")
    yield Assign(result, as_read(memory[LANE % width], dtype))
    if places:
        yield Assign(found, at[LANE % width])
    yield Barrier()
    yield Return(Several((result, found)) if places else result)


def shared_array(dtype: str) -> Call:
    """Memory of a block of threads, an element for each."""
    return Call("cuda.shared.array", (LANES, Name(dtype, "dtype")), f"{dtype}*")

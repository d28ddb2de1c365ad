"""Branches and loops without a known end: a branch is a loop of one step or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.errors import DtypeError, InputError, ShapeError
from numgraph.graph import Constant, Variable, as_operands, as_variable, describe, toposort
from numgraph.ops import lengths as ln
from numgraph.ops import loop as loops
from numgraph.ops.define import f
from numgraph.scanning.closed import Open, closed, placeholder
from numgraph.substitution import replaced

__all__ = ["cond", "ifelse", "while_loop"]

# More steps than any loop makes.
ENDLESS = 1 << 46


def ifelse(condition: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> Any:
    """then_branch where `condition`, a scalar, is true, else else_branch: only one of the two is computed.

        ng.ifelse(x.sum() > 0, costly(x), x)

    then_branch, else_branch: expressions of one dtype and shape, or lists (tuples) of such in pairs, which give a list
    (tuple). What both of them use, or what is used elsewhere, too, is computed anyway. The gradient goes through the
    branch that was taken. `ng.where` chooses element by element, and computes both.

    ShapeError for a condition that is no scalar, and for branches that differ in their shapes (where that is known only
    at the call, then); DtypeError for different dtypes; InputError for lists of different lengths.
    """
    choice = as_variable(condition)
    if choice.ndim:
        raise ShapeError(f"ifelse: the condition must be a scalar\n  {describe(choice)}")
    several = isinstance(then_branch, list | tuple)
    first, second = (list(v) if isinstance(v, list | tuple) else [v] for v in (then_branch, else_branch))
    if several != isinstance(else_branch, list | tuple) or len(first) != len(second):
        raise InputError(f"ifelse: {len(first)} values for one branch, and {len(second)} for the other")
    pairs = [_alike(a, b) for a, b in zip(first, second, strict=True)]
    yes = choice if choice.type.dtype == "bool" else f.neq(choice, 0)
    start = [f.zeros(ln.dims_of(a), a.type.dtype) for a, _ in pairs]
    thens, elses = [a for a, _ in pairs], [b for _, b in pairs]
    before = _common(yes, thens, elses)
    taken = _once(f.cast(yes, "int64"), thens, start, before, name or "then")
    found = _once(f.cast(f.logical_not(yes), "int64"), elses, taken, before, name or "else")
    if not several:
        return found[0]
    return tuple(found) if isinstance(then_branch, tuple) else found


def _alike(a: Any, b: Any) -> tuple[Variable, Variable]:
    x, y = as_operands(a, b)
    said = f"\n  then: {describe(x)}\n  else: {describe(y)}"
    if x.ndim != y.ndim:
        raise ShapeError(f"ifelse: the branches have different ranks, {x.ndim} and {y.ndim}{said}")
    if x.type.dtype != y.type.dtype:
        raise DtypeError(f"ifelse: the branches differ in their dtypes{said}\n  fix: convert one with .astype(...)")
    known = zip(x.type.shape, y.type.shape, strict=False)
    if any(None not in pair and pair[0] != pair[1] for pair in known):
        raise ShapeError(f"ifelse: the branches differ in their shapes{said}")
    return x, y


def _common(condition: Variable, thens: Sequence[Variable], elses: Sequence[Variable]) -> set[int]:
    """What is computed whatever is chosen: that the condition or both branches are made of."""
    of_thens, of_elses = ({id(v) for v in toposort(values)} for values in (thens, elses))
    return {id(v) for v in toposort([condition])} | (of_thens & of_elses)


def _once(
    steps: Variable, values: Sequence[Variable], start: Sequence[Variable], before: set[int], name: str
) -> list[Variable]:
    """`values` where there is one step, and `start` where there is none. before: what is computed before the step; the
    rest, down to the leaves, is computed in it."""
    states = [(placeholder(v), v) for v in start]
    whole = toposort(values)
    ends = [v for v in whole if not isinstance(v, Constant) and (v.op is None or id(v) in before)]
    used = {id(v) for v in toposort(values, stop=ends)}
    stands = {v: placeholder(v, v.name) for v in ends if id(v) in used}
    inside = replaced(values, stands)
    graph = Open(steps, [], states, inside, name=name, lazy=True, invariants=[(p, v) for v, p in stands.items()])
    made = closed(graph)
    return [loops.final(made.loop, made.operands, k) for k in range(len(values))]


def cond(condition: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """true_fun(*operands) where `condition`, a scalar, is true, else false_fun(*operands); see `ifelse`.

    For those who write JAX: the functions are called once each, to build the expressions.
    """
    return ifelse(condition, true_fun(*operands), false_fun(*operands))


def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init: Any) -> Any:
    """What `init` becomes when body_fun is applied to it as long as cond_fun says true. For those who write JAX.

    init: a variable or a list (tuple) of them, which the functions get and body_fun returns: states that keep their
    dtypes and shapes. There is no gradient through it, since nothing says how many steps are to be kept: use
    `ng.scan(..., n_steps=most)` with `ng.until`.
    """
    several = isinstance(init, list | tuple)
    firsts = [as_variable(v) for v in (init if several else [init])]
    inner = [placeholder(v) for v in firsts]

    def packed(values: Sequence[Variable]) -> Any:
        return (tuple(values) if isinstance(init, tuple) else list(values)) if several else values[0]

    given = body_fun(packed(inner))
    nexts = [as_variable(v) for v in (given if isinstance(given, list | tuple) else [given])]
    if len(nexts) != len(firsts):
        raise InputError(f"while_loop: the body returns {len(nexts)} values for {len(firsts)}")
    for p, new in zip(inner, nexts, strict=True):
        _alike(p, new)
    steps = f.mul(f.cast(_truth(cond_fun(packed(firsts))), "int64"), ENDLESS)
    graph = Open(steps, [], list(zip(inner, firsts, strict=True)), nexts, name="while_loop")
    graph.until = f.logical_not(_truth(cond_fun(packed(nexts))))
    made = closed(graph)
    return packed([loops.final(made.loop, made.operands, k) for k in range(len(firsts))])


def _truth(given: Any) -> Variable:
    condition = as_variable(given)
    if condition.ndim:
        raise ShapeError(f"while_loop: the condition must be a scalar\n  {describe(condition)}")
    return condition if condition.type.dtype == "bool" else f.neq(condition, 0)

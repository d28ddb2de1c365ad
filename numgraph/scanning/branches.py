"""Branches and loops without a known end: a branch is a loop of one step or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.errors import DtypeError, InputError, ShapeError
from numgraph.graph import Constant, Variable, as_operands, as_variable, describe, toposort
from numgraph.ops import loop as loops
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.scanning.arguments import noted
from numgraph.scanning.closed import Open, closed, is_costly, placeholder
from numgraph.scanning.extents import Extents
from numgraph.substitution import replaced

__all__ = ["cond", "ifelse", "while_loop"]

# More steps than any loop makes.
ENDLESS = 1 << 46


def ifelse(condition: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> Any:
    """then_branch where `condition`, a scalar, is true, else else_branch: only one of the two is computed.

        ng.ifelse(x.sum() > 0, costly(x), x)

    then_branch, else_branch: expressions of one dtype and number of axes, or lists (tuples) of such in pairs, which
    give a list (tuple). Lengths may differ: the result has those of the branch that was taken. What both of them use,
    or what is used elsewhere, too, is computed anyway; so are, of a branch that is taken, the numbers that its lengths
    depend on (the count of a mask), before the rest of it. The gradient goes through the branch that was taken.
    `ng.where` chooses element by element, and computes both.

    ShapeError for a condition that is no scalar, and for branches of different ranks; DtypeError for different dtypes;
    InputError for lists of different lengths.
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
    found = _chosen(yes, [a for a, _ in pairs], [b for _, b in pairs], name)
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
    return x, y


def _kept(first: Variable, before: Variable, after: Variable) -> None:
    """A state of a while_loop keeps its dtype and its shape, as far as this is known."""
    said = f"\n  first: {describe(first)}\n  after: {describe(after)}"
    shapes = before.type.shape, after.type.shape
    if before.ndim != after.ndim or any(None not in pair and pair[0] != pair[1] for pair in zip(*shapes, strict=True)):
        raise ShapeError(f"while_loop: a step changes the shape of a state{said}")
    if before.type.dtype != after.type.dtype:
        fix = f"a first value of {after.type.dtype}, or .astype({before.type.dtype!r}) in the step"
        raise DtypeError(
            f"while_loop: a step makes {after.type.dtype} of a state of {before.type.dtype}{said}\n  fix: {fix}"
        )


def _chosen(yes: Variable, thens: Sequence[Variable], elses: Sequence[Variable], name: str | None) -> list[Variable]:
    """`thens` where `yes` holds, else `elses`: one loop for each, of one step or none."""
    of_thens, of_elses = ({id(v) for v in toposort(values)} for values in (thens, elses))
    common = {id(v) for v in toposort([yes])} | (of_thens & of_elses)
    terms: dict[Any, Any] = {}
    first = Branch(yes, thens, common, terms, name or "then")
    second = Branch(f.logical_not(yes), elses, common, terms, name or "else")
    start = [
        loops.either_lengths(first.steps, first.lengths(a), second.lengths(b), a.type.dtype)
        for a, b in zip(thens, elses, strict=True)
    ]
    return second.once(elses, first.once(thens, start))


class Branch:
    """What is computed where a condition holds: a loop of one step or none.

    before: the ids of what is computed anyway. What lengths depend on and what takes more than arithmetic of lengths
    and scalars is computed in loops before that one, and is something of the outside from then on. terms: lengths that
    were met, see `Extents`.
    """

    def __init__(
        self, holds: Variable, values: Sequence[Variable], before: set[int], terms: dict[Any, Any], name: str
    ) -> None:
        self.values, self.name = values, name
        self.steps = f.cast(holds, "int64")
        self.nodes = toposort(values)
        self.outer = {id(v) for v in self.nodes if v.op is None or id(v) in before}
        # what stands for a value of the branch that was computed before
        self.made: dict[Variable, Variable] = {}
        self.users: dict[int, list[Variable]] = {}
        for node in self.nodes:
            for v in node.inputs:
                self.users.setdefault(id(v), []).append(node)
        self.extents = Extents(self.outer, self._number, terms)
        used = self._inside(values)
        for node in self.nodes:
            if id(node) in used:
                self.extents.read(node)
                if node.op is not None and node.op.loop:
                    self._steps_before(node.inputs[0])

    def lengths(self, value: Variable) -> list[Length]:
        """Those of a value of the branch, as expressions of the outside."""
        return self.extents.lengths(value)

    def once(self, values: Sequence[Variable], start: Sequence[Variable]) -> list[Variable]:
        """`values` where the branch is taken, and `start` where it is not. Both have the same lengths, if it is."""
        states = [(placeholder(v), v) for v in start]
        whole = replaced(values, self.made)
        ends = [v for v in toposort(whole) if not isinstance(v, Constant) and (v.op is None or id(v) in self.outer)]
        used = {id(v) for v in toposort(whole, stop=ends)}
        stands = {v: placeholder(v, v.name) for v in ends if id(v) in used}
        inside = [
            loops.with_lengths(v, p) if v.ndim else v for v, (p, _) in zip(replaced(whole, stands), states, strict=True)
        ]
        invariants = [(p, v) for v, p in stands.items()]
        made = closed(Open(self.steps, [], states, inside, name=self.name, lazy=True, invariants=invariants))
        return [loops.final(made.loop, made.operands, k) for k in range(len(values))]

    def _inside(self, values: Sequence[Variable]) -> set[int]:
        """The ids of what the branch computes for some values, and of what that reads of the outside."""
        ends = [v for v in self.nodes if id(v) in self.outer or v in self.made]
        return {id(v) for v in toposort(values, stop=ends)}

    def _steps_before(self, number: Variable) -> None:
        """How many steps a loop in the branch has, computed before: the host of a device must know them there."""
        if id(number) in self.outer or number in self.made or isinstance(number, Constant):
            return
        self.made[number] = self.extents.number(number)
        self.outer.add(id(self.made[number]))

    def _number(self, number: Variable) -> Variable:
        """A 0-d integer of the branch, computed before; 0 where the branch is not taken. What is costly on the way to
        it and is used for more is kept, but for that of which this is a length."""
        below = self._inside([number])
        kept = [
            v
            for v in self.nodes
            if id(v) in below - self.outer
            and v not in self.made
            and v is not number
            and id(v) in self.extents.known
            and is_costly(v.op)
            and (v in self.values or any(id(user) not in below for user in self.users.get(id(v), ())))
        ]
        start: list[Variable] = [f.zeros((), number.type.dtype)]
        for v in kept:
            start.append(loops.either_lengths(self.steps, self.lengths(v), [0] * v.ndim, v.type.dtype))
        values = [number, *kept]
        found = self.once(values, start)
        self.made.update(zip(values, found, strict=True))
        self.outer.update(map(id, found))
        return found[0]


def cond(condition: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """true_fun(*operands) where `condition`, a scalar, is true, else false_fun(*operands); see `ifelse`.

    For those who write JAX: the functions are called once each, to build the expressions.
    """
    note = f"cond calls both functions with its operands, {len(operands)} of them"
    return ifelse(condition, noted(true_fun, operands, note), noted(false_fun, operands, note))


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

    note = f"while_loop calls both functions with {'one list of all states' if several else 'the state'}, as JAX does"
    given = noted(body_fun, [packed(inner)], note)
    nexts = [as_variable(v) for v in (given if isinstance(given, list | tuple) else [given])]
    if len(nexts) != len(firsts):
        raise InputError(f"while_loop: the body returns {len(nexts)} values for {len(firsts)}")
    for first, p, new in zip(firsts, inner, nexts, strict=True):
        _kept(first, p, new)
    steps = f.mul(f.cast(_truth(noted(cond_fun, [packed(firsts)], note)), "int64"), ENDLESS)
    graph = Open(steps, [], list(zip(inner, firsts, strict=True)), nexts, name="while_loop")
    graph.until = f.logical_not(_truth(cond_fun(packed(nexts))))
    made = closed(graph)
    return packed([loops.final(made.loop, made.operands, k) for k in range(len(firsts))])


def _truth(given: Any) -> Variable:
    condition = as_variable(given)
    if condition.ndim:
        raise ShapeError(f"while_loop: the condition must be a scalar\n  {describe(condition)}")
    return condition if condition.type.dtype == "bool" else f.neq(condition, 0)

"""Gradients by one reverse sweep over the expression graph, in time linear in its size.

The sweep visits only what lies between the cost and the variables asked for. Each op's own gradient says what it hands
to its inputs; the sweep sums over broadcast axes, converts to each variable's dtype, adds up, and stops at integers and
bools.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from numgraph.config import config
from numgraph.errors import DisconnectedError, GradientError, ShapeError
from numgraph.graph import Constant, Variable, describe, frozen, label, toposort
from numgraph.op import Op
from numgraph.ops.define import ZERO, Zero, f
from numgraph.reach import Part, Reach, cleaned, joined, limited, passed_down
from numgraph.scanning import lean
from numgraph.scanning.gradient import gradients
from numgraph.source import current_line, lines_of
from numgraph.stable.engine import Stable, remember_rewritten
from numgraph.types import COMPLEX, DISCRETE, REALS

# What has reached a variable so far: a sum of contributions, or nothing but zeros.
Cotangent = Variable | Zero


def grad(
    cost: Variable | None,
    wrt: Variable | Sequence[Variable],
    consider_constant: Iterable[Variable] | Variable | None = None,
    known_grads: Mapping[Variable, Variable] | Iterable[tuple[Variable, Variable]] | None = None,
    disconnected_inputs: str = "raise",
    add_names: bool = False,
    return_disconnected: str = "zero",
    integers: str = "raise",
) -> Any:
    """The derivative of `cost`, a float scalar, for each variable in `wrt`: a variable of its shape and dtype.

    wrt: one variable, or a list or tuple of them (the result is then a list or tuple); inputs, shared variables or
    anything
        that the cost is computed from.
    consider_constant: variables (by identity) through which no gradient flows; one that is in `wrt` has its own.
    known_grads: gradients already known, by variable; the sweep starts there too, and `cost` may be None.
    disconnected_inputs: what to do for a variable that the cost does not depend on: "raise", "warn" or "ignore".
    return_disconnected: what to return for it then: "zero" for zeros, "none" for None.
    add_names: name the results `(dcost/dx)`.
    integers: "float" takes a variable of integers for one of floats, and gives a gradient of `config.floatX` for it, of
        what operations of floats make of it; zeros, where there are none. "raise" refuses it.

    Of complex variables z = x + iy it is dcost/dx + i dcost/dy, of their dtype: a step against it lessens the cost.
    Known gradients are taken so, too.

    What overflows or cancels in the cost is replaced before it is differentiated, as in the functions that compute it:
    the gradient of log(1 + exp(x)) is that of softplus(x). This stops at the variables that are named here.

    GradientError for a cost that is no float scalar, a variable that is no float, or an op without a gradient;
    DisconnectedError for a variable that the cost does not depend on.

    >>> x = ng.vector("x")
    >>> ng.grad((x**2).sum(), x)
    <mul float64[?]>
    """
    if disconnected_inputs not in ("raise", "warn", "ignore"):
        raise ValueError(f'disconnected_inputs must be "raise", "warn" or "ignore", not {disconnected_inputs!r}')
    if return_disconnected not in ("zero", "none"):
        raise ValueError(f'return_disconnected must be "zero" or "none", not {return_disconnected!r}')
    if integers not in ("raise", "float"):
        raise ValueError(f'integers must be "raise" or "float", not {integers!r}')
    wanted: list[Variable] = [wrt] if isinstance(wrt, Variable) else list(wrt)
    for variable in wanted:
        _check_wrt(variable, integers == "float")
    seeds = _seeds(cost, known_grads)
    constant = [consider_constant] if isinstance(consider_constant, Variable) else list(consider_constant or ())
    stable = Stable([*wanted, *constant, *seeds])
    roots = stable.run(list(seeds), constant)
    after = stable.new
    seeds = dict(zip(roots, seeds.values(), strict=True))
    moved, fixed = ([after.get(id(v), v) for v in some] for some in (wanted, constant))
    swept = Sweep(moved, seeds, fixed)
    found = swept.run(cost)
    results: list[Any] = []
    for variable in wanted:
        result = found.get(id(after.get(id(variable), variable)))
        if result is None:
            result = _disconnected(cost, variable, disconnected_inputs, return_disconnected)
        elif isinstance(result, Zero):
            result = _zeros(variable)
        else:
            result = _with_ones(f.conj(result), variable)
        if add_names and isinstance(result, Variable) and result.name is None:
            result.name = f"(d{label(cost) if cost is not None else 'known'}/d{label(variable)})"
        if isinstance(result, Variable) and variable.name and result.op is not None and not swept.computes(result):
            result.hint = result.hint or f"g{variable.name}"
        results.append(result)
    if swept.keeps:
        numbers = [k for k, v in enumerate(wanted) if isinstance(results[k], Variable) and id(moved[k]) in found]
        marked = lean.remembering([results[k] for k in numbers], seeds, [moved[k] for k in numbers], fixed)
        for k, result in zip(numbers, marked, strict=True):
            result.name, result.hint, results[k] = results[k].name, results[k].hint, result
    remember_rewritten(stable, [r for r in results if r is not None])
    return results[0] if isinstance(wrt, Variable) else tuple(results) if isinstance(wrt, tuple) else results


def _with_ones(gradient: Variable, variable: Variable) -> Variable:
    """A gradient whose type says which axes have length 1, as its variable's does: what follows broadcasts by it."""
    lengths = [1 if n == 1 and m != 1 else None for n, m in zip(variable.type.shape, gradient.type.shape, strict=True)]
    known: Variable = f.matched(gradient, lengths, "grad") if any(lengths) else gradient
    return known


def _check_wrt(variable: Any, integers: bool) -> None:
    if not isinstance(variable, Variable):
        raise GradientError(
            f"grad: wrt must be a variable or a list of variables, not {variable!r}{_call_it(variable)}"
        )
    if variable.type.dtype in DISCRETE and not integers:
        raise GradientError(
            f"grad: {label(variable)} is not a float and has no gradient\n  {describe(variable)}\n"
            "  fix: y = x.astype('float64') where it enters the cost, and ask for the gradient with respect to y"
        )


def check_cost(cost: Any) -> None:
    """GradientError for what is no float scalar."""
    if not isinstance(cost, Variable):
        raise GradientError(f"grad: the cost must be a variable, not {cost!r}{_call_it(cost)}")
    if cost.ndim != 0:
        raise GradientError(
            f"grad: the cost must be a scalar, and {label(cost)} has {cost.ndim} ax{'i' if cost.ndim == 1 else 'e'}s\n"
            f"  {describe(cost)}\n  fix: use .sum() or .mean() on it"
        )
    if cost.type.dtype not in REALS:
        fix = "take .real of it, or abs" if cost.type.dtype in COMPLEX else "use .astype('float64') on it"
        raise GradientError(
            f"grad: the cost must be a float, and {label(cost)} is {cost.type.dtype}\n  {describe(cost)}\n  fix: {fix}"
        )


def _call_it(value: Any) -> str:
    """Advice for who wrote `x.sum` for `x.sum()`."""
    return f"\n  fix: call it, with () after {value.__name__}" if hasattr(value, "__name__") else ""


def _seeds(cost: Variable | None, known: Any) -> dict[Variable, Variable]:
    """Where the sweep starts, and with which cotangents."""
    seeds: dict[Variable, Variable] = {}
    for variable, value in known.items() if isinstance(known, Mapping) else known or ():
        given = value if isinstance(value, Variable) else f.identity(value)
        if given.ndim != variable.ndim:
            raise ShapeError(
                f"grad: a known gradient has another number of axes than its variable\n"
                f"  {describe(given)}\n  {describe(variable)}"
            )
        # within the sweep cotangents are conjugates, see `ops.complexes`
        seeds[variable] = f.conj(f.cast(given, gradient_dtype(variable)))
    if cost is not None:
        check_cost(cost)
        one = Constant(frozen(np.ones((), cost.type.dtype)))
        # as Theano's `ones_like(cost)`: whatever the cost was written with counts as used
        one.about = (cost,)
        seeds.setdefault(cost, one)
    elif not seeds:
        raise GradientError("grad: no cost and no known_grads, so there is nothing to differentiate")
    return seeds


def _disconnected(cost: Variable | None, variable: Variable, policy: str, returned: str) -> Variable | None:
    subject = "the cost" if cost is not None else "what has a known gradient"
    message = (
        f"grad: {subject} does not depend on {label(variable)}, or only through integers, comparisons or constants\n"
        + (f"  cost: {describe(cost)}\n" if cost is not None else "")
        + f"  wrt: {describe(variable)}\n"
        '  fix: look at the graph with ng.debugprint(cost), or pass disconnected_inputs="ignore" for zeros'
    )
    if policy == "raise":
        raise DisconnectedError(message)
    if policy == "warn":
        warnings.warn(message, UserWarning, stacklevel=3)
    return None if returned == "none" else _zeros(variable)


def _zeros(variable: Variable) -> Variable:
    """The gradient where there is none."""
    result: Variable = f.zeros_like(variable, gradient_dtype(variable))
    return result


def gradient_dtype(variable: Variable) -> str:
    """The dtype of a variable's gradient: its own, and floatX for integers."""
    dtype = variable.type.dtype
    return config.floatX if dtype in DISCRETE else dtype


class Sweep:
    """One reverse sweep from the variables in `seeds` to those in `wrt`."""

    def __init__(
        self, wrt: Sequence[Variable], seeds: Mapping[Variable, Variable], constant: Sequence[Variable]
    ) -> None:
        self.wrt = {id(v) for v in wrt}
        self.seeds = {id(v): g for v, g in seeds.items()}
        # a variable that is held constant, or whose gradient is known, needs nothing from what is above the seeds
        self.nodes = toposort(seeds, stop=constant)
        self.constant = {id(v) for v in constant}
        self.needed = self._needed()
        self.shapes = self._shapes()
        self.cotangents: dict[int, Cotangent] = dict(self.seeds)
        # which elements of a variable have a part in the seeds; all where it is not listed
        self.reach: dict[int, Reach] = {}
        # whether some loop keeps for it what could be computed again
        self.keeps = False
        # the results of each loop that are still to come, and what has arrived at the others
        self.loops: dict[Any, list[Variable]] = {}
        self.arrived: dict[Any, list[tuple[Variable, Cotangent]]] = {}

    def computes(self, variable: Variable) -> bool:
        """Whether a variable is one that the cost is computed from."""
        return id(variable) in self.shapes

    def _needed(self) -> set[int]:
        """Variables of floats on a path from `wrt` to a seed, and those in `wrt`."""
        needed: set[int] = set()
        for node in self.nodes:
            # of integers only those that are asked for, which `grad` allows or not
            if id(node) in self.wrt or (node.type.dtype not in DISCRETE and self._leads_on(node, needed)):
                needed.add(id(node))
        return needed

    def _leads_on(self, node: Variable, needed: set[int]) -> bool:
        """Whether gradients flow through the node to one that needs them."""
        return id(node) not in self.constant and any(id(v) in needed for v in node.inputs)

    def _shapes(self) -> dict[int, int]:
        """For each node a number that it shares with nodes of certainly the same shape.

        An elementwise op has the shape of its operand when all operands that can matter have one shape.
        """
        shapes: dict[int, int] = {}
        for node in self.nodes:
            number = id(node)
            # above a variable that is held constant nothing has a number
            if node.op is not None and node.op.scalar and all(id(v) in shapes for v in node.inputs):
                decisive = {shapes[id(v)] for v in node.inputs if v.ndim == node.ndim and not _all_ones(v)}
                others = [v for v in node.inputs if v.ndim < node.ndim and not _all_ones(v)]
                if len(decisive) == 1 and not others:
                    number = decisive.pop()
            shapes[id(node)] = number
        return shapes

    def run(self, cost: Variable | None) -> dict[int, Cotangent]:
        """The cotangents of the variables in `wrt` that the seeds depend on, by id."""
        here = current_line()
        for node in reversed(self.nodes):
            if id(node) not in self.needed:
                continue
            cotangent = self.cotangents.get(id(node))
            if node.op is not None and node.op.loop:
                with lines_of(node.line or here):
                    self._arrived(node, cotangent)
            elif cotangent is not None and node.op is not None and self._leads_on(node, self.needed):
                with lines_of(node.line or here):
                    self._hand_down(node, node.op, cotangent)
            if id(node) not in self.wrt:
                self.cotangents.pop(id(node), None)
            self.reach.pop(id(node), None)
        return {key: g for key, g in self.cotangents.items() if key in self.wrt and key in self.needed}

    def _arrived(self, node: Variable, cotangent: Cotangent | None) -> None:
        """Wait until all results of a loop have their cotangents, and give each of its operands its part."""
        key = _loop_of(node)
        waiting = self.loops.setdefault(key, [v for v in self.nodes if v.op and v.op.loop and _loop_of(v) == key])
        found = self.arrived.setdefault(key, [])
        if cotangent is not None and self._leads_on(node, self.needed):
            found.append((node, cotangent))
        waiting.remove(node)
        # what needs no gradient does not come by
        if found and not any(id(v) in self.needed for v in waiting):
            wanted = [id(v) in self.needed and v.type.dtype not in DISCRETE for v in node.inputs]
            self.keeps = self.keeps or node.attrs["loop"].lean is not None
            parts = gradients(found, wanted, _differentiated)
            for variable, part in zip(node.inputs, parts, strict=True):
                if part is not None and id(variable) in self.needed and id(variable) not in self.seeds:
                    fitted = part if part is ZERO else converted_part(part, variable.type.dtype)
                    self._add(variable, fitted, None)

    def _hand_down(self, node: Variable, op: Op, cotangent: Cotangent) -> None:
        """Give each input of `node` its part of the cotangent."""
        parts: Sequence[Any]
        reaches: Sequence[Part] = [None] * len(node.inputs)
        if isinstance(cotangent, Zero):
            parts = [ZERO] * len(node.inputs)
        elif op.grad is None:
            why, newline, fix = op.no_grad.partition("\n")
            raise GradientError(f"grad: {op.name} has no gradient: {why}\n  {describe(node)}{newline}{fix}")
        else:
            parts, reaches = self._parts(node, op, cotangent)
        for k, (variable, part, reach) in enumerate(zip(node.inputs, parts, reaches, strict=True)):
            if k in op.undefined and part is not ZERO and id(variable) in self.needed:
                raise GradientError(
                    f"grad: {op.name} has no gradient for its argument {op.args[k]}: {op.no_grad}\n"
                    f"  {op.args[k]}: {describe(variable)}\n  {describe(node)}\n"
                    "  fix: hold it constant, with ng.disconnected_grad or consider_constant"
                )
            if part is None or id(variable) not in self.needed or id(variable) in self.seeds:
                continue
            self._add(variable, part if part is ZERO else self._fitted(node, op, variable, part), reach)

    def _parts(self, node: Variable, op: Op, cotangent: Variable) -> tuple[list[Any], Sequence[Part]]:
        """The part of each input, zero for what does not count, and which elements of each count."""
        assert op.grad is not None
        own = self.reach.get(id(node))
        inputs: Sequence[Variable] = node.inputs
        reaches: Sequence[Part] = [None] * len(inputs)
        ends = all(v.op is None for v in inputs if id(v) in self.needed)
        if (own is not None or op.reach is not None) and not (ends and (op.scalar or op.element or op.scatter)):
            shape = self.shapes[id(node)]
            reaches = passed_down(node, op, own, lambda v: self.shapes[id(v)] == shape)
        if op.product:
            inputs = cleaned(inputs, reaches)
        parts = list(op.grad(cotangent, node, *inputs, **node.attrs))
        if len(parts) != len(inputs):
            raise GradientError(f"grad: the gradient of {op.name} gave {len(parts)} parts for {len(inputs)} inputs")
        if not op.product:
            limits = [own] * len(parts) if op.scalar else reaches
            parts = [
                limited(part, limit, cotangent, (*inputs, node)) if isinstance(part, Variable) else part
                for part, limit in zip(parts, limits, strict=True)
            ]
        return parts, reaches

    def _add(self, variable: Variable, part: Cotangent, reach: Part) -> None:
        key = id(variable)
        before = self.cotangents.get(key)
        if before is None or isinstance(before, Zero):
            self.cotangents[key] = part
        elif not isinstance(part, Zero):
            self.cotangents[key] = f.add(before, part)
            reach = joined(self.reach.get(key), reach)
        else:
            return
        if reach is not None:
            self.reach[key] = reach
        else:
            self.reach.pop(key, None)

    def _fitted(self, node: Variable, op: Op, variable: Variable, part: Variable) -> Variable:
        """`part` in the dtype and the shape of `variable`."""
        result = converted_part(part, gradient_dtype(variable))
        if not result.type.shape and not variable.type.shape:
            return result
        if result.ndim < variable.ndim:
            raise GradientError(
                f"grad: the gradient of {op.name} has fewer axes than what it is for\n  gradient: {describe(result)}\n"
                f"  for: {describe(variable)}\n  fix: give it the shape of that"
            )
        may_broadcast = op.scalar is not None or op.scatter is not None
        same_shape = self.shapes[id(variable)] == self.shapes[id(node)]
        if (may_broadcast and not same_shape) or result.ndim != variable.ndim:
            summed: Variable = f.unbroadcast(variable, result)
            return summed
        return result


def converted_part(part: Variable, dtype: str) -> Variable:
    """A cotangent in the dtype of what it is for: what is real takes the real part of a complex one."""
    real = part if dtype in COMPLEX else f.real(part)
    return real if real.type.dtype == dtype else f.cast(real, dtype)


def _loop_of(result: Variable) -> Any:
    """The same for all results of one loop with the same operands."""
    return id(result.attrs["loop"]), tuple(map(id, result.inputs))


def _differentiated(seeds: Mapping[Variable, Variable], wrt: Sequence[Variable]) -> Sequence[Variable | None]:
    """The gradients of `wrt`, None where there is none, of variables whose cotangents are known."""
    if not seeds or not wrt:
        return [None] * len(wrt)
    sweep = Sweep(wrt, seeds, ())
    found = sweep.run(None)
    parts = [found.get(id(v)) for v in wrt]
    return [None if part is None or isinstance(part, Zero) else part for part in parts]


def _all_ones(variable: Variable) -> bool:
    return all(n == 1 for n in variable.type.shape)


def leaner(outputs: Sequence[Variable]) -> list[Variable]:
    """The outputs, with gradients of scans that keep less: see `scanning.lean`."""

    def again(
        seeds: Mapping[Variable, Variable], wrt: Sequence[Variable], constant: Sequence[Variable]
    ) -> Sequence[Variable | None]:  # fmt: skip
        found = Sweep(wrt, seeds, constant).run(None)
        parts = [found.get(id(v)) for v in wrt]
        return [part if isinstance(part, Variable) else None for part in parts]

    return lean.leaner(outputs, again)

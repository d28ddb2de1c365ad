"""Theano's functions of pieces of graphs: `grad` with names, `subgraph_grad`, `OpFromGraph` and `map_variables`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from numgraph.compat.sparsevars import SparseVariable
from numgraph.config import config
from numgraph.givens import clone
from numgraph.grad import grad as native_grad
from numgraph.grad import gradient_dtype
from numgraph.graph import Variable, toposort
from numgraph.ops.define import f
from numgraph.shared import SharedVariable
from numgraph.subgraphs import subgraph
from numgraph.types import DISCRETE


def grad(
    cost: Variable | None,
    wrt: Any,
    consider_constant: Iterable[Variable] | Variable | None = None,
    disconnected_inputs: str = "raise",
    add_names: bool = True,
    known_grads: Any = None,
    return_disconnected: str = "zero",
    null_gradients: str = "raise",
) -> Any:
    """As `numgraph.grad`, with Theano's order of arguments. add_names: where `cost` and a variable have names, the
    gradient has "(dcost/dx)". return_disconnected: "zero", or "None" or "Disconnected" for None. null_gradients:
    without effect.

    Variables of integers are taken for floats, and have gradients of floatX. The gradient of a cost of integers is 0.
    That for a sparse variable has numbers in its places.
    """
    returned = {"None": "none", "Disconnected": "none"}.get(return_disconnected, return_disconnected)
    asked = list(wrt) if isinstance(wrt, list | tuple) else [wrt]
    if any(isinstance(v, SparseVariable) for v in asked):
        vectors = [v.data if isinstance(v, SparseVariable) else v for v in asked]
        parts = grad(cost, vectors, consider_constant, disconnected_inputs, False, known_grads, returned)
        made = [_placed(v, g) for v, g in zip(asked, parts, strict=True)]
        return type(wrt)(made) if isinstance(wrt, list | tuple) else made[0]
    one = isinstance(wrt, Variable)
    wanted = [wrt] if one else list(wrt)
    # known: what is not reached, or through integers alone, comes as None
    known = {"known_grads": known_grads, "integers": "float"}
    start = f.cast(cost, config.floatX) if _discrete(cost) else cost
    parts = native_grad(
        start, wanted, consider_constant, disconnected_inputs="ignore", return_disconnected="none", **known
    )
    for k, (v, part) in enumerate(zip(wanted, parts, strict=True)):
        if part is None and _through_integers(cost, v):
            parts[k] = f.zeros_like(v, gradient_dtype(v))
        elif part is None:
            parts[k] = native_grad(
                start, v, consider_constant, disconnected_inputs=disconnected_inputs,
                return_disconnected=returned, **known,
            )  # fmt: skip
    found = parts[0] if one else tuple(parts) if isinstance(wrt, tuple) else parts
    if add_names and cost is not None and cost.name:
        pairs = [(wrt, found)] if isinstance(wrt, Variable) else list(zip(wrt, found, strict=True))
        for variable, result in pairs:
            if variable.name and isinstance(result, Variable) and result.op is not None and result.name is None:
                result.name = f"(d{cost.name}/d{variable.name})"
    return found


def _placed(v: Any, gradient: Any) -> Any:
    return v.with_data(gradient) if isinstance(v, SparseVariable) and gradient is not None else gradient


def _discrete(v: Any) -> bool:
    return isinstance(v, Variable) and v.type.dtype in DISCRETE


def _through_integers(cost: Variable | None, v: Variable) -> bool:
    """Whether the cost depends on v, and one of the two is a variable of integers: then Theano's gradient is 0."""
    return cost is not None and (_discrete(cost) or _discrete(v)) and any(u is v for u in toposort([cost]))


def subgraph_grad(
    wrt: Sequence[Variable],
    end: Sequence[Variable],
    start: Mapping[Variable, Any] | None = None,
    cost: Variable | None = None,
    details: bool = False,
) -> tuple[list[Variable], ...]:
    """(gradients for `wrt`, gradients for `end`) of what lies between `end` and what has gradients already.

    start: gradients of variables that the piece computes; cost: a scalar of the piece, which is added to it. Nothing
    flows through `end`. details: two more lists, the parts that come from `start` and from `cost`, which are None for
    the one that is not given. ValueError without both.
    """
    if start is None and cost is None:
        raise ValueError("subgraph_grad: start or cost is needed")
    wanted = [*wrt, *end]
    parts = [
        native_grad(part, wanted, list(end), known_grads=known, disconnected_inputs="ignore") if there else None
        for part, known, there in ((None, start, start is not None), (cost, None, cost is not None))
    ]
    given = [p for p in parts if p is not None]
    total = [f.add(*each) if len(each) > 1 else each[0] for each in zip(*given, strict=True)]
    found = total[: len(wrt)], total[len(wrt) :]
    return (*found, *parts) if details else found  # type: ignore[arg-type]  # None for what was not given


def disconnected_type() -> None:
    """What an override of a gradient returns for an input without one: None."""
    return None


class NoGradient:
    """Theano's `DisconnectedType` and `NullType`: a call of one gives None, which is no gradient."""

    def __call__(self, *args: Any, **named: Any) -> None:
        """None."""


def _meant(given: Any) -> bool:
    return given is not None and not (isinstance(given, str) and given == "default")


class OpFromGraph:
    """Theano's op made of a piece of a graph: `numgraph.subgraph`. inline, name: as there or without effect.

    lop_overrides (PyTensor's pullback), grad_overrides: the gradients, by a function or another OpFromGraph of (inputs,
    outputs, gradients of the outputs), for `grad_overrides` without the outputs; or a list with a function for each
    input, "default", or None where there is none. They must be linear in the gradients: of several outputs the parts of
    each are asked for by themselves. An input may be there twice with on_unused_input="ignore": then only the first
    counts. NotImplementedError for `rop_overrides`.
    """

    def __init__(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], inline: bool = False,
        lop_overrides: Any = "default", grad_overrides: Any = "default", rop_overrides: Any = "default",
        connection_pattern: Any = None, name: str | None = None, pullback: Any = None, pushforward: Any = None,
        on_unused_input: str = "raise", **named: Any,
    ) -> None:  # fmt: skip
        self.inputs, self.outputs = list(inputs), list(outputs)
        if on_unused_input == "ignore":
            self.inputs = [Variable(v.type) if v in self.inputs[:k] else v for k, v in enumerate(self.inputs)]
        self.given, self.with_outputs = None, False
        for given, with_outputs in ((lop_overrides, True), (pullback, True), (grad_overrides, False)):
            if _meant(given):
                self.given, self.with_outputs = given, with_outputs
        if _meant(rop_overrides) or _meant(pushforward):
            raise NotImplementedError("OpFromGraph: Rop is the derivative of Lop, and takes no overrides")
        if self.given is None:
            self.pieces = [subgraph(self.inputs, self.outputs, name)]
        else:
            self.pieces = [
                subgraph(self.inputs, [out], name, partial(self._rule, k)) for k, out in enumerate(self.outputs)
            ]

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The output, or a list of several."""
        found = [out for piece in self.pieces for out in piece(*inputs)]
        return found[0] if len(found) == 1 else found

    def _rule(self, number: int, g: Variable, *at: Variable) -> Any:
        """The gradients for these inputs of what arrives at output `number`."""
        ends = clone(self.outputs, list(zip(self.inputs, at, strict=True)))
        arriving = [g if k == number else f.zeros_like(end) for k, end in enumerate(ends)]
        if callable(self.given):
            return self._asked(self.given, at, ends, arriving)
        assert self.given is not None
        return [
            self._plain(k, number, g, at)
            if isinstance(given, str)
            else given and self._asked(given, at, ends, arriving)
            for k, given in enumerate(self.given)
        ]

    def _asked(self, given: Any, at: Sequence[Variable], ends: list[Variable], arriving: list[Variable]) -> Any:
        """What an override says."""
        groups = [list(at), ends, arriving] if self.with_outputs else [list(at), arriving]
        return given(*(v for group in groups for v in group)) if isinstance(given, OpFromGraph) else given(*groups)

    def _plain(self, k: int, number: int, g: Variable, at: Sequence[Variable]) -> Variable:
        """The gradient for input k as it is without overrides, for these inputs."""
        out = self.outputs[number]
        seed = Variable(out.type)
        found = native_grad(None, self.inputs[k], known_grads={out: seed}, disconnected_inputs="ignore")
        result: Variable = clone(found, [(seed, g), *zip(self.inputs, at, strict=True)])
        return result


def map_variables(
    replacer: Callable[[Variable], Variable], graphs: Sequence[Variable], additional_inputs: Sequence[Variable] = ()
) -> list[Variable]:
    """`graphs` in which each variable is what `replacer` makes of it, where it makes another one; within a replacement
    nothing is replaced. Steps of `scan` and pieces of OpFromGraph are taken as they are.

    NotImplementedError for a replacement that a shared variable with a default update has a part in.
    """
    found = {}
    for v in toposort(list(graphs)):
        new = replacer(v)
        if new is not v:
            found[v] = new
    for leaf in toposort(list(found.values())):
        if isinstance(leaf, SharedVariable) and leaf.default_update is not None:
            raise NotImplementedError(f"map_variables: a replacement uses {leaf!r}, which has a default update")
    return list(clone(list(graphs), list(found.items())))

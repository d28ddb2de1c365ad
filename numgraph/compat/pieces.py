"""Theano's gradients of pieces of graphs: `grad` with names, `subgraph_grad` and `OpFromGraph`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numgraph.config import config
from numgraph.givens import clone
from numgraph.grad import grad as native_grad
from numgraph.grad import gradient_dtype
from numgraph.graph import Variable, toposort
from numgraph.ops.define import f
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
    gradient has "(dcost/dx)". null_gradients: without effect.

    Variables of integers are taken for floats, and have gradients of floatX. The gradient of a cost of integers is 0.
    """
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
                return_disconnected=return_disconnected, **known,
            )  # fmt: skip
    found = parts[0] if one else tuple(parts) if isinstance(wrt, tuple) else parts
    if add_names and cost is not None and cost.name:
        pairs = [(wrt, found)] if isinstance(wrt, Variable) else list(zip(wrt, found, strict=True))
        for variable, result in pairs:
            if variable.name and isinstance(result, Variable) and result.op is not None and result.name is None:
                result.name = f"(d{cost.name}/d{variable.name})"
    return found


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


class OpFromGraph:
    """Theano's op made of a piece of a graph: `numgraph.subgraph`. inline, name: as there or without effect.

    lop_overrides, grad_overrides: the gradients of a piece with one output, by a function or another OpFromGraph of
    (inputs, outputs, gradients of the outputs), for `grad_overrides` without the outputs; or a list with a function
    for each input, or "default". NotImplementedError for several outputs and for `rop_overrides`.
    """

    def __init__(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], inline: bool = False,
        lop_overrides: Any = "default", grad_overrides: Any = "default", rop_overrides: Any = "default",
        connection_pattern: Any = None, name: str | None = None, **named: Any,
    ) -> None:  # fmt: skip
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.given, self.with_outputs = None, False
        for given, with_outputs in ((lop_overrides, True), (grad_overrides, False)):
            if given is not None and not (isinstance(given, str) and given == "default"):
                self.given, self.with_outputs = given, with_outputs
        if self.given is not None and len(self.outputs) != 1:
            raise NotImplementedError("OpFromGraph: overrides are for one output; see ng.subgraph")
        if rop_overrides not in (None, "default"):
            raise NotImplementedError("OpFromGraph: Rop is the derivative of Lop, and takes no overrides")
        self.piece = subgraph(inputs, self.outputs, name, None if self.given is None else self._rule)

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The output, or a list of several."""
        found = self.piece(*inputs)
        return found[0] if len(found) == 1 else found

    def _rule(self, g: Variable, *at: Variable) -> Any:
        """The gradients for these inputs."""
        ends = clone(self.outputs, list(zip(self.inputs, at, strict=True))) if self.with_outputs else []
        if isinstance(self.given, OpFromGraph):
            found = self.given(*at, *ends, g)
            return found if isinstance(found, list) else [found]
        extra = [ends, [g]] if self.with_outputs else [[g]]
        if callable(self.given):
            return self.given(list(at), *extra)
        assert self.given is not None
        return [
            self._plain(k, g, at) if given is None or isinstance(given, str) else given(list(at), *extra)
            for k, given in enumerate(self.given)
        ]

    def _plain(self, k: int, g: Variable, at: Sequence[Variable]) -> Variable:
        """The gradient for input k as it is without overrides, for these inputs."""
        seed = Variable(self.outputs[0].type)
        found = native_grad(None, self.inputs[k], known_grads={self.outputs[0]: seed}, disconnected_inputs="ignore")
        result: Variable = clone(found, [(seed, g), *zip(self.inputs, at, strict=True)])
        return result

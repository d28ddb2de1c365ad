"""`subgraph`: a piece of a graph with named inputs, used again with other expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numgraph.errors import InputError, MissingInputError
from numgraph.givens import type_mismatch
from numgraph.graph import Constant, Variable, as_operands, as_variable, describe, label, toposort
from numgraph.ops.custom import custom_gradient
from numgraph.shared import SharedVariable
from numgraph.source import current_line
from numgraph.substitution import substitute
from numgraph.text import printable

__all__ = ["Subgraph", "subgraph"]


class Subgraph:
    """What `subgraph` returns. inputs, outputs: the variables of the piece. name: what messages call it."""

    def __init__(
        self, inputs: Sequence[Variable], outputs: Any, name: str | None, grad: Callable[..., Any] | None
    ) -> None:
        self.several = isinstance(outputs, list | tuple)
        self.inputs, self.outputs = list(inputs), list(outputs) if self.several else [outputs]
        self.name, self.grad, self.line = name, grad, current_line()

    def __repr__(self) -> str:
        names = ", ".join(label(v) for v in self.inputs)
        return f"<subgraph {printable(self.name or 'without a name')}({names})>"

    def __call__(self, *args: Any, **named: Any) -> Any:
        """The outputs, an expression or a list of them, with expressions in the place of the inputs.

        args, named: one expression or value for each input, by position or by its name. InputError for missing, unknown
        or repeated ones, and for another type than the input's.
        """
        values = self._placed(args, named)
        if self.grad is None:
            found = self._built(*values)
        else:
            found = [custom_gradient(lambda *v: self._built(*v)[0], *values, grad=self.grad)]
        for new, old in zip(found, self.outputs, strict=True):
            if new is not old and new.name is None and not isinstance(new, Constant):
                new.hint = new.hint or old.name
        return found if self.several else found[0]

    def _built(self, *values: Variable) -> list[Variable]:
        return substitute(self.outputs, dict(zip(self.inputs, values, strict=True)))

    def _placed(self, args: Sequence[Any], named: dict[str, Any]) -> list[Variable]:
        if len(args) > len(self.inputs):
            raise InputError(f"{self!r}: takes {len(self.inputs)} arguments, got {len(args)}")
        given = dict(zip(self.inputs, args, strict=False))
        by_name = {v.name: v for v in self.inputs if v.name}
        for name, value in named.items():
            if name not in by_name:
                raise InputError(f"{self!r}: has no input named {printable(name)}")
            if by_name[name] in given:
                raise InputError(f"{self!r}: got several values for the input {printable(name)}")
            given[by_name[name]] = value
        values = []
        for v in self.inputs:
            if v not in given:
                raise InputError(f"{self!r}: misses an argument\n  {describe(v)}")
            # numbers take the dtype of the input
            plain = not isinstance(given[v], Variable)
            value = as_operands(given[v], v)[0] if plain and not v.ndim else as_variable(given[v])
            reason = type_mismatch(v.type, value.type)
            if reason is not None:
                raise InputError(f"{self!r}: {reason}\n  given: {describe(value)}\n  for: {describe(v)}")
            values.append(value)
        return values


def subgraph(
    inputs: Sequence[Variable], outputs: Any, name: str | None = None, grad: Callable[..., Any] | None = None
) -> Subgraph:
    """A piece of a graph that is built once and called with other expressions: Theano's OpFromGraph.

    inputs: variables; one that is the result of an operation cuts the graph there. outputs: an expression, or a list.
    Everything else that they depend on is shared or constant. name: for messages. grad: for one output, a rule `(g,
    *inputs) -> expressions` instead of its gradient, as for `custom_gradient`.

    A call puts expressions in the place of the inputs: the piece is rewritten, fused and differentiated together
    with what is around it; its shared variables are the same in all calls. InputError for what is no variable, for an
    input that is there twice, and for `grad` with several outputs; MissingInputError for a leaf that is no input.

    >>> import numgraph as ng
    >>> x, w = ng.vectors("xw")
    >>> distance = ng.subgraph([x, w], ng.sqrt(ng.sum((x - w) ** 2)), name="distance")
    >>> a, b = ng.vectors("ab")
    >>> ng.function([a, b], distance(a, w=b) + distance(b, -a))([3.0, 0.0], [0.0, 4.0])
    array(10.)
    """
    ends = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    for what, listed in (("inputs", inputs), ("outputs", ends)):
        for k, v in enumerate(listed):
            if not isinstance(v, Variable):
                raise InputError(f"subgraph: {what} must be variables, got {v!r}")
            if what == "inputs" and any(v is other for other in listed[:k]):
                raise InputError(f"subgraph: an input is there twice\n  {describe(v)}")
    if grad is not None and len(ends) != 1:
        raise InputError(f"subgraph: grad= is for one output, not {len(ends)}")
    given = {id(v) for v in inputs}
    for v in toposort(ends, stop=inputs):
        if v.op is None and id(v) not in given and not isinstance(v, Constant | SharedVariable):
            raise MissingInputError(f"subgraph: an output needs what is no input\n  {describe(v)}")
    return Subgraph(inputs, outputs, name, grad)

"""What users state about values and gradients: `custom_gradient`, `assert_op`, `Print`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numgraph.errors import AssertionFailed, GradientError, ShapeError
from numgraph.graph import Variable, apply, as_operands, as_variable, describe, label
from numgraph.op import OPS, Check, Op, first, same
from numgraph.ops.define import f
from numgraph.ops.fitted import as_part

__all__ = ["Print", "assert_op", "custom_gradient"]

Rule = Callable[..., Any]


def _ruled(g: Variable, out: Variable, y: Variable, *inputs: Variable, rule: Rule) -> tuple[Any, ...]:
    """The parts of the inputs, as the rule says; what the result was computed from otherwise gets none."""
    found = rule(g, *inputs)
    parts = list(found) if isinstance(found, list | tuple) else [found]
    if len(parts) != len(inputs):
        raise GradientError(
            f"custom_gradient: the rule gave {len(parts)} parts for {len(inputs)} inputs\n  {describe(out)}\n"
            "  fix: return a list with an expression, or None, for each input"
        )
    for part, v in zip(parts, inputs, strict=True):
        if part is not None and as_variable(part).ndim != v.ndim:
            more = "more" if as_variable(part).ndim > v.ndim else "fewer"
            raise ShapeError(
                f"custom_gradient: a part of the gradient has {more} axes than its input\n"
                f"  {describe(as_variable(part))}\n  {describe(v)}\n  fix: give it the shape of its input"
            )
    pairs = zip(parts, inputs, strict=True)
    return (None, *(None if part is None else as_part(part, v, "custom_gradient") for part, v in pairs))


def _double(g: Variable, *inputs: Variable) -> list[Variable]:
    return [2.0 * g for _ in inputs]


OP_RULED = Op(
    "ruled",
    ("y", "*inputs"),
    "y, whose gradient for `inputs` is what `rule` says.",
    first,
    lambda y, *inputs, rule: np.array(y),
    _ruled,
    expand=lambda y, *inputs, rule: y,
    complex=True,
    shape=lambda y, *inputs, rule: y.shape,
    samples=lambda: [([np.array([0.5, -1.0])] * 2, {"rule": _double})],
    says="custom_gradient",
)


def custom_gradient(function: Callable[..., Any], *inputs: Any, grad: Rule) -> Variable:
    """The expression `function(*inputs)`, with a gradient of its own.

    function: of expressions, called once with the inputs as variables; returns one expression. grad: `(g, *inputs) ->
    one expression per input`, None for an input without a gradient; g is the gradient with respect to the result. What
    `function` uses besides its inputs gets no gradient through it. A second derivative is that of the rule.

    When a gradient is taken: GradientError for another number of parts, ShapeError for one with too many axes.

    >>> import numgraph as ng
    >>> x = ng.scalar("x")
    >>> y = ng.custom_gradient(ng.round, x, grad=lambda g, x: g)  # rounds as if it did not
    >>> ng.function([x], [y, ng.grad(y, x)])(2.7)
    [array(3.), array(1.)]
    """
    operands = as_operands(*inputs)
    value = as_variable(function(*operands))
    return apply(OP_RULED, [value, *operands], rule=grad)


# -- assertions -----------------------------------------------------------------------------------------------------

OP_ASSERT = Op(
    "assert_op",
    ("x", "failed"),
    "x, where no element of `failed` is 1.",
    first,
    lambda x, failed, message: np.array(x),
    lambda g, out, x, failed, message: (g, None),
    element=lambda idx, x, failed, message: x.at(*idx),
    moves=True,
    batch=lambda batched, x, failed, message: apply(OPS["assert_op"], [x, failed], message=message),
    shape=lambda x, failed, message: x.shape,
    checks=(Check("range", lambda x, failed, message: [(failed, 1)], "an assertion fails", AssertionFailed),),
    samples=lambda: [([np.array([0.5, -1.0]), np.array([0, 0, 0])], {"message": "m"})],
)


def assert_op(x: Any, *conditions: Any, message: str = "") -> Variable:
    """x itself, in a function that ends with an error unless all elements of all `conditions` hold.

    conditions: expressions (not 0 holds) of any shapes, usually of x: `ng.assert_op(x, x >= 0)`. They are looked at in
    compiled code, by each call that needs x, before anything is written in place: after a call that fails, every shared
    variable is as it was. Gradients pass as through x.

    In such a call: AssertionFailed, an AssertionError, which names the variable, its first value for which the
    condition fails (where both have one shape) and the line of this call, with `message`.
    """
    result = as_variable(x)
    for condition in conditions:
        holds = as_variable(condition)
        text = message or f"{label(result)} is not as asserted"
        failed = f.cast(f.eq(holds, 0), "int64")
        result = apply(OP_ASSERT, [result, failed], message=text)
    return result


# -- printing -------------------------------------------------------------------------------------------------------

PRINTED = Op(
    "printed",
    ("x",),
    "x, which calls of a function print.",
    same,
    lambda x, message, attributes: np.array(x),
    lambda g, out, x, message, attributes: (g,),
    scalar="x",
    complex=True,
    samples=lambda: [([np.array([0.5, -1.0])], {"message": "x", "attributes": ("__str__",)})],
)


class Print:
    """`Print(message)(x)` is x, which each call of a function that needs it prints, when it has ended.

    attrs: attributes of the array, each on a line of its own: `("shape", "mean")`; a method is called. Lines come in
    the order of the graph, also for compiled code and in a sweep; the value is one output more, so it has memory of its
    own. Inside a step of `scan` nothing is printed, which a warning says. Gradients pass as through x.
    """

    def __init__(self, message: str = "", attrs: Any = ("__str__",)) -> None:
        self.message, self.attributes = str(message), tuple(map(str, attrs))

    def __call__(self, x: Any) -> Variable:
        """x, which is printed."""
        return apply(PRINTED, [as_variable(x)], message=self.message, attributes=self.attributes)

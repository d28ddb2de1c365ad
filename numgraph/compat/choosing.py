"""Theano's ops that choose among outcomes, by uniform numbers that a program gives them."""

from __future__ import annotations

from typing import Any

from numgraph.graph import Variable, as_variable
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.scanning.api import scan


class MultinomialFromUniform:
    """How often each outcome was chosen: an op of (pvals, unis, n). odtype: of the counts; "auto" for that of pvals.

    pvals: probabilities [rows, outcomes]. unis: a number from [0, 1) for each row, n times one after the other; the
    outcome is the first at which the sum of probabilities is above it, none where it is not. NotImplementedError for
    other numbers of axes, as in Theano; in a call AssertionFailed where there are not rows * n numbers.
    """

    def __init__(self, odtype: Any = "auto") -> None:
        self.odtype = odtype

    def __call__(self, pvals: Any, unis: Any, n: Any = 1) -> Variable:
        """The counts, [rows, outcomes]."""
        p, numbers = _operands(pvals, unis, n)
        rows, columns = ln.dims_of(p)
        chosen = first_above(f.cumsum(f.cast(p, "float64"), 1), numbers)
        dtype = p.type.dtype if self.odtype == "auto" else self.odtype
        counts = f.zeros((rows, columns + 1), dtype)
        places = f.broadcast_to(f.arange(rows), f.shape(numbers))
        result: Variable = f.inc_subtensor(counts[places, chosen], 1)[:, :columns]
        return result


class ChoiceFromUniform:
    """Which outcomes were chosen: an op of (pvals, unis, n), as of `MultinomialFromUniform`. replace: whether an
    outcome can be chosen again. odtype: of the places; "auto" for int64."""

    def __init__(self, odtype: Any = "auto", replace: bool = False, *args: Any, **named: Any) -> None:
        self.odtype, self.replace = odtype, replace

    def __call__(self, pvals: Any, unis: Any, n: Any = 1) -> Variable:
        """The places, [rows, n]."""
        p, numbers = _operands(pvals, unis, n)
        dtype = "int64" if self.odtype == "auto" else self.odtype
        if self.replace:
            result: Variable = f.cast(f.transpose(first_above(f.cumsum(p, 1), numbers)), dtype)
            return result
        count = ln.integer(n, "ChoiceFromUniform: n")
        if isinstance(count, int):
            return chosen_once(p, [numbers[k] for k in range(count)], dtype)
        (places, _), _ = scan(lambda each, left: _chosen(left, each), [numbers], [None, p], name="choice")
        found: Variable = f.cast(f.transpose(places), dtype)
        return found


def matrix_of(value: Any, what: str) -> Variable:
    """A matrix; NotImplementedError for everything else, as Theano's ops raise."""
    variable = as_variable(value)
    if variable.ndim != 2:
        raise NotImplementedError(f"{what} must be a matrix, not {variable!r}")
    return variable


def first_above(below: Variable, numbers: Variable) -> Variable:
    """For each row of running sums the first column above the row's number, of the last axis of `numbers`; as many as
    there are if none is."""
    above = f.gt(below, numbers[..., None])
    first = f.argmax(f.cast(above, "int8"), -1)
    result: Variable = f.switch(f.any(above, -1), first, ln.dim(below, -1))
    return result


def chosen_once(p: Variable, numbers: list[Variable], dtype: Any) -> Variable:
    """The places of different outcomes, [rows, as many as there are vectors of numbers]."""
    found = []
    for each in numbers:
        chosen, p = _chosen(p, each)
        found.append(f.cast(chosen, dtype))
    result: Variable = f.stack(found, axis=1)
    return result


def _chosen(p: Variable, numbers: Variable) -> tuple[Variable, Variable]:
    """The outcome of each row, and the probabilities of the others."""
    chosen = first_above(f.cumsum(p, 1), numbers)
    left = f.switch(f.eq(f.arange(ln.dim(p, 1)), chosen[:, None]), 0, p)
    return chosen, f.true_div(left, f.sum(left, 1, keepdims=True))


def _operands(pvals: Any, unis: Any, n: Any) -> tuple[Variable, Variable]:
    """The matrix of probabilities, and the numbers, [n, rows]."""
    p, numbers, count = matrix_of(pvals, "pvals"), as_variable(unis), as_variable(n)
    if numbers.ndim != 1:
        raise NotImplementedError(f"unis must be a vector, not {numbers!r}")
    rows = ln.dim(p, 0)
    fits = f.eq(ln.dim(numbers, 0), f.mul(rows, count))
    numbers = f.assert_op(numbers, fits, message="there must be n numbers for each row of pvals")
    return p, f.reshape(numbers, (count, rows))


OPS = {
    "MultinomialFromUniform": MultinomialFromUniform, "ChoiceFromUniform": ChoiceFromUniform,
    "MultinomialWOReplacementFromUniform": ChoiceFromUniform,
}  # fmt: skip

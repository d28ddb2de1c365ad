"""Sums of products by labels of axes, and Kronecker products: compositions of transposes, sums and matrix products."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from numgraph.errors import OptionError, ShapeError
from numgraph.graph import Variable, as_operands, describe
from numgraph.ops import lengths as ln
from numgraph.ops.define import f
from numgraph.ops.lengths import Length
from numgraph.ops.matrices import diagonals
from numgraph.ops.shape import reshaped, shuffled

__all__ = ["einsum", "kron"]

# What stands for a length that is not known where the order of products is chosen.
USUAL = 64
ELLIPSIS = "..."


@dataclass
class Labelled:
    """An operand, with a label for each of its axes."""

    value: Variable
    labels: list[str]

    def length(self, label: str) -> Length:
        """Of the axis with a label."""
        return ln.dim(self.value, self.labels.index(label))

    def known(self, label: str) -> int | None:
        """The length of the axis with a label, if it is known."""
        return self.value.type.shape[self.labels.index(label)]

    def ordered(self, labels: Sequence[str]) -> Variable:
        """The value with its axes in this order; labels that it has not are axes of length 1."""
        return shuffled(self.value, tuple(self.labels.index(k) if k in self.labels else -1 for k in labels))

    def summed(self, kept: Sequence[str]) -> Labelled:
        """The sum over the axes whose labels are not kept."""
        axes = tuple(axis for axis, k in enumerate(self.labels) if k not in kept)
        value = f.sum(self.value, axes, dtype=self.value.type.dtype) if axes else self.value
        return Labelled(value, [k for k in self.labels if k in kept])

    def without_repeats(self) -> Labelled:
        """The diagonal along the axes of a label that is there twice."""
        labels, v = list(self.labels), self.value
        while twice := [k for k in labels if labels.count(k) > 1]:
            first = labels.index(twice[0])
            second = labels.index(twice[0], first + 1)
            others = [axis for axis in range(v.ndim) if axis not in (first, second)]
            n = ln.dim(v, first)
            _same_lengths(twice[0], v, first, v, second)
            v = shuffled(v, (*others, first, second))
            v = diagonals(f.matched(v, [*[None] * (v.ndim - 1), n], "einsum"))
            labels = [*(labels[axis] for axis in others), twice[0]]
        return Labelled(v, labels)


def _same_lengths(label: str, x: Variable, axis: int, y: Variable, other: int) -> None:
    n, m = x.type.shape[axis], y.type.shape[other]
    if n is not None and m is not None and n != m:
        raise ShapeError(
            f"einsum: axes of lengths {n} and {m} have the label {label}\n  {describe(x)}\n  {describe(y)}"
        )


def einsum(subscripts: Any, *operands: Any) -> Variable:
    """The sum of products of the operands that `subscripts` says, as np.einsum: `einsum("ij,jk->ik", a, b)`.

    subscripts: a label, a letter, for each axis of each operand, and behind `->` those of the result; without `->` the
    result has those that occur once, in alphabetical order. A label that is not in the result is summed over. `...`
    stands for further axes, which broadcast; a label twice in an operand takes a diagonal. NumPy's other form, operands
    each followed by a list of numbers, is understood, too. Several operands are multiplied two by two, by matrix
    products, in an order that np.einsum_path finds. OptionError for subscripts that do not fit the operands, ShapeError
    where lengths of a label differ.
    """
    if isinstance(subscripts, str):
        text, values = subscripts, as_operands(*operands)
    else:
        text, given = _from_lists((subscripts, *operands))
        values = as_operands(*given)
    terms, result = _parsed(text.replace(" ", ""), values)
    parts = [Labelled(v, labels).without_repeats() for v, labels in zip(values, terms, strict=True)]
    for first, second in _order(parts, result):
        one, other = parts[first], parts[second]
        rest = [p for k, p in enumerate(parts) if k not in (first, second)]
        kept = {k for p in rest for k in p.labels} | set(result)
        parts = [*rest, _multiplied(one, other, kept)]
    return parts[0].summed(result).ordered(result)


def _from_lists(given: Sequence[Any]) -> tuple[str, list[Any]]:
    """`einsum(a, [0, 1], b, [1, 2], [0, 2])` as subscripts and operands."""

    def text(numbers: Any) -> str:
        return "".join(ELLIPSIS if n is Ellipsis else string.ascii_letters[n] for n in numbers)

    pairs = len(given) // 2
    terms = ",".join(text(given[2 * k + 1]) for k in range(pairs))
    return (f"{terms}->{text(given[-1])}" if len(given) % 2 else terms), [given[2 * k] for k in range(pairs)]


def _parsed(subscripts: str, values: Sequence[Variable]) -> tuple[list[list[str]], list[str]]:
    """The labels of each operand, and those of the result; what `...` stands for has digits as labels."""
    given, arrow, wanted = subscripts.partition("->")
    terms = given.split(",")
    if len(terms) != len(values):
        raise OptionError(f"einsum: {subscripts!r} is for {len(terms)} operands, and there are {len(values)}")
    found = [_labels(term, v, subscripts) for term, v in zip(terms, values, strict=True)]
    more = max((sum(k.isdigit() for k in labels) for labels in found), default=0)
    further = [str(k) for k in reversed(range(more))]
    if arrow:
        head, dots, tail = wanted.partition(ELLIPSIS)
        result = [*head, *(further if dots else []), *tail]
        known = {k for labels in found for k in labels}
        wrong = [k for k in result if k not in known or result.count(k) > 1]
        if wrong:
            raise OptionError(f"einsum: the result of {subscripts!r} has a label {wrong[0]!r} of no operand, or twice")
        return found, result
    every = [k for labels in found for k in labels if not k.isdigit()]
    return found, [*further, *sorted(k for k in set(every) if every.count(k) == 1)]


def _labels(term: str, v: Variable, subscripts: str) -> list[str]:
    """The labels of one operand."""
    head, dots, tail = term.partition(ELLIPSIS)
    left = v.ndim - len(head) - len(tail)
    if not all(k in string.ascii_letters for k in head + tail):
        raise OptionError(f"einsum: {term!r} in {subscripts!r} is no list of letters")
    if left < 0 or (left and not dots):
        raise OptionError(f"einsum: {term!r} in {subscripts!r} does not fit\n  {describe(v)}")
    return [*head, *(str(k) for k in reversed(range(left))), *tail]


def _order(parts: Sequence[Labelled], result: Sequence[str]) -> list[tuple[int, int]]:
    """Which two are multiplied in each step, and taken off the list; their product is put behind it."""
    if len(parts) <= 2:
        return [(0, 1)] * (len(parts) - 1)
    letters = iter(string.ascii_letters)
    names = {k: next(letters) for p in parts for k in p.labels}
    terms = ",".join("".join(names[k] for k in p.labels) for p in parts)
    sizes = {k: n for p in parts for k, n in zip(p.labels, p.value.type.shape, strict=True) if n not in (None, 1)}
    shapes = [[1 if p.known(k) == 1 else sizes.get(k) or USUAL for k in p.labels] for p in parts]
    dummies = [np.broadcast_to(np.float32(0), s) for s in shapes]
    path = np.einsum_path(f"{terms}->{''.join(names[k] for k in result)}", *dummies, optimize="greedy")[0][1:]
    steps: list[tuple[int, int]] = []
    count = len(parts)
    for step in path:
        # a step of several operands is taken as steps of two: the product is the last on the list
        chosen = sorted(step)
        steps.append((chosen[0], chosen[1]) if len(chosen) > 1 else (0, 0))
        for k, later in enumerate(chosen[2:]):
            steps.append((later - 2 - k, count - 2 - k))
        count -= len(chosen) - 1
    return steps


def _multiplied(x: Labelled, y: Labelled, kept: set[str]) -> Labelled:
    """The product of two, summed over the labels that are not kept."""
    x, y = x.summed([*kept, *y.labels]), y.summed([*kept, *x.labels])
    x, y = _without_ones(x, y), _without_ones(y, x)
    shared = [k for k in x.labels if k in y.labels]
    for k in shared:
        _same_lengths(k, x.value, x.labels.index(k), y.value, y.labels.index(k))
    batch, inner = [k for k in shared if k in kept], [k for k in shared if k not in kept]
    rows, columns = [k for k in x.labels if k not in shared], [k for k in y.labels if k not in shared]
    if not inner:
        labels = [*batch, *rows, *columns]
        return Labelled(f.mul(x.ordered(labels), y.ordered(labels)), labels)
    if len(shared) > 1:
        # a product would compare only how many elements there are along several axes together
        first, second = ([v.labels.index(k) for k in shared] for v in (x, y))
        y = Labelled(f.as_long(x.value, y.value, first, second, "einsum"), y.labels)
    lengths = [*(x.length(k) for k in [*batch, *rows]), *(y.length(k) for k in columns)]
    # each by its own lengths, which the product compares: a reshape would only compare how many elements there are
    left = _merged(x, *([batch] if batch else []), rows, inner)
    right = _merged(y, *([batch] if batch else []), inner, columns)
    product = f.batched_dot(left, right) if batch else f.dot(left, right)
    return Labelled(reshaped(product, lengths), [*batch, *rows, *columns])


def _merged(x: Labelled, *groups: list[str]) -> Variable:
    """The value with an axis for each group of labels."""
    order = [k for labels in groups for k in labels]
    return reshaped(x.ordered(order), [ln.product(map(x.length, labels)) for labels in groups])


def _without_ones(x: Labelled, y: Labelled) -> Labelled:
    """x without axes of length 1 whose label y has: they broadcast."""
    ones = [k for k in x.labels if k in y.labels and x.known(k) == 1 and y.known(k) != 1]
    left = [k for k in x.labels if k not in ones]
    return Labelled(x.ordered(left), left)


def kron(a: Any, b: Any) -> Variable:
    """The Kronecker product, as np.kron: blocks `a[i, j] * b`, for arrays of any number of axes."""
    x, y = as_operands(a, b)
    ndim = max(x.ndim, y.ndim)
    x, y = (shuffled(v, (*[-1] * (ndim - v.ndim), *range(v.ndim))) for v in (x, y))
    left = shuffled(x, tuple(k for axis in range(ndim) for k in (axis, -1)))
    right = shuffled(y, tuple(k for axis in range(ndim) for k in (-1, axis)))
    lengths = [ln.product([n, m]) for n, m in zip(ln.dims_of(x), ln.dims_of(y), strict=True)]
    return reshaped(f.mul(left, right), lengths)
